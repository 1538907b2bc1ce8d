"""Rows prepared once for all fits of a fold: the same models, seconds counted, damage harmless."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Dataset, Rows
from attain.data import infer
from attain.data.table import to_rows
from attain.learners import _shared_rows
from attain.train.trial import Trained, train

NAMES = ("linear", "random_forest", "knn", "svm", "lightgbm", "mlp")


@cache
def table() -> tuple[Dataset, Rows]:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 160))
    many = np.array([f"town {i}" for i in range(40)])[rng.integers(0, 40, 160)]
    said = [f"a {w} day by the {v}" for w, v in zip(many, many[::-1], strict=True)]
    frame = pd.DataFrame({"a": a, "b": b, "many": many, "said": said})
    frame["y"] = np.where(a + rng.normal(size=160) > 0.7, "yes", "no")
    known = infer.describe(frame, target="y")
    return known, to_rows(frame, known)


def fitted(name: str, key: str, folder: Path | None, config: Any = (), seed: int = 5) -> Trained:
    known, rows = table()
    own, stop = rows.take(np.arange(120)), rows.take(np.arange(120, 160))
    data = FitData(known, own, stop, seed=seed, cache=folder, rows_key=key)
    trained = train(find("learner", name)(), dict(config), data)
    assert trained.model is not None, trained.message
    return trained


def answers(trained: Trained) -> bytes:
    assert trained.model is not None
    return np.asarray(trained.model.predict(table()[1])).tobytes()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has seen nothing, and to which any preparing is worth a file."""
    monkeypatch.setattr(_shared_rows, "WORTH_A_FILE", 0.0)
    monkeypatch.setattr(_shared_rows, "_recent", {})


@pytest.mark.parametrize("name", NAMES)
def test_shared_rows_change_no_model(name: str, tmp_path: Path) -> None:
    """Prepared, kept in memory, read by another worker: the same predictions, and seconds saved."""
    first = fitted(name, "rows", tmp_path)
    second = fitted(name, "rows", tmp_path)
    _shared_rows._recent.clear()
    elsewhere = fitted(name, "rows", tmp_path)
    assert answers(first) == answers(second) == answers(elsewhere)
    assert first.saved == 0 < min(second.saved, elsewhere.saved)


def test_one_matrix_for_all_configurations(tmp_path: Path) -> None:
    """Another configuration and seed, the same plan: nothing is prepared again; other rows are."""
    fitted("linear", "rows", tmp_path, {"C": 1.0}, seed=1)
    fitted("linear", "rows", tmp_path, {"C": 0.1}, seed=2)
    assert len(list(tmp_path.glob("rows-*/rows.json"))) == 1
    assert fitted("linear", "other rows", tmp_path).saved == 0
    assert len(list(tmp_path.glob("rows-*/rows.json"))) == 2


def test_weights_of_one_fit_stay_its_own(tmp_path: Path) -> None:
    """Bins are shared, class weights are not: plain, balanced and plain again."""
    balanced = {"class_weight": "balanced"}
    plain = fitted("lightgbm", "rows", tmp_path)
    weighed = fitted("lightgbm", "rows", tmp_path, balanced)
    again = fitted("lightgbm", "rows", tmp_path)
    _shared_rows._recent.clear()
    assert answers(plain) == answers(again) != answers(weighed)
    assert answers(weighed) == answers(fitted("lightgbm", "rows", tmp_path, balanced))


@pytest.mark.parametrize("name", ["matrix.npy", "stop.npy", "rows.json", "prepare.npz"])
def test_damage_is_prepared_again(name: str, tmp_path: Path) -> None:
    """A file that was spoilt or cut counts as missing, and is replaced."""
    first = fitted("linear", "rows", tmp_path)
    (home,) = (path.parent for path in tmp_path.glob("rows-*/rows.json"))
    spoilt = bytearray((home / name).read_bytes())
    spoilt[-8:] = b"\xff" * 8
    (home / name).write_bytes(bytes(spoilt))
    _shared_rows._recent.clear()
    second = fitted("linear", "rows", tmp_path)
    assert answers(first) == answers(second)
    assert second.saved == 0
    _shared_rows._recent.clear()
    assert fitted("linear", "rows", tmp_path).saved > 0


def test_a_full_disk_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, each worker prepares its own, and says so once."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_shared_rows, "_write", full)
    first = fitted("linear", "rows", tmp_path)
    _shared_rows._recent.clear()
    second = fitted("linear", "rows", tmp_path)
    assert answers(first) == answers(second)
    assert second.saved == 0


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used longest ago is let go when folds do not fit; one always stays."""
    monkeypatch.setattr(_shared_rows, "_MOST_BYTES", 1.0)
    for key in ("one", "two", "three"):
        fitted("linear", key, tmp_path)
        assert len(_shared_rows._recent) == 1


def test_without_a_key_nothing_is_shared(tmp_path: Path) -> None:
    """Rows that nobody else fits leave nothing behind."""
    fitted("lightgbm", "", tmp_path)
    assert not _shared_rows._recent
    assert not list(tmp_path.iterdir())
