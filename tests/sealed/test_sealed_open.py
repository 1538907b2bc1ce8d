"""The seal opens for an announced, frozen model, once, and only on the rows that were set aside."""

from __future__ import annotations

import numpy as np
import pytest

from attain.core.errors import ArtifactError, SealError
from attain.core.seal import Permit
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.seal import load_work, make_seal
from attain.sealed.open import open_sealed

PERMIT = Permit(digest="m" * 64, intent=7)


@pytest.fixture
def study(tmp_path):
    """A folder with sealed rows, its seal, and all rows."""
    frame = load_frame({"x": np.arange(100.0) ** 1.5, "w": ["ä", None] * 50, "y": ["a", "b"] * 50})
    _, seal = make_seal(frame, describe(frame, target="y"), tmp_path)
    return tmp_path, seal, frame


def test_sealed_rows_come_back_as_they_were(study):
    """Sealed and unsealed rows together are the user's rows, cell by cell."""
    folder, seal, frame = study
    sealed = open_sealed(folder, seal, PERMIT)
    assert len(sealed) == seal.rows
    assert sorted([*sealed["x"], *load_work(folder)["x"]]) == frame["x"].tolist()
    assert sealed.dtypes.tolist() == frame.dtypes.tolist()


def test_altered_rows_are_refused(study):
    """One changed byte is enough to refuse the file."""
    folder, seal, _ = study
    path = folder / seal.path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    with pytest.raises(SealError, match=r"must be the ones set aside.*put the original file back"):
        open_sealed(folder, seal, PERMIT)


def test_missing_rows_are_refused(study):
    """A removed file is named, with the way out."""
    folder, seal, _ = study
    (folder / seal.path).unlink()
    with pytest.raises(
        SealError, match=r"sealed\.arrow: the sealed rows must be where they were put"
    ):
        open_sealed(folder, seal, PERMIT)


def test_a_path_that_leads_outside_is_refused(study):
    """A seal that was altered to point elsewhere opens nothing."""
    from dataclasses import replace

    folder, seal, _ = study
    with pytest.raises(ArtifactError, match="leads outside"):
        open_sealed(folder, replace(seal, path="../other.arrow"), PERMIT)


@pytest.mark.parametrize(
    ("permit", "message"),
    [
        (Permit("", 7), "frozen model whose test was announced"),
        (Permit("d", 0), "frozen model whose test was announced"),
        (Permit("d", 7, look=2), "look 2 needs a reason"),
        (Permit("d", 7, look=3, reason="  "), "look 3 needs a reason"),
        (Permit("d", 7, look=0), "counted from 1"),
    ],
)
def test_looks_without_leave_are_refused(study, permit, message):
    """No model, no announcement, or no reason for a further look: the seal stays closed."""
    folder, seal, _ = study
    with pytest.raises(SealError, match=message):
        open_sealed(folder, seal, permit)


def test_a_further_look_with_a_reason_is_permitted(study):
    """A reason opens the seal again."""
    folder, seal, _ = study
    assert len(open_sealed(folder, seal, Permit("d", 9, look=2, reason="new labels"))) == seal.rows
