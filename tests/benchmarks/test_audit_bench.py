"""The audit benchmark: every check has a fault, faults are found, and figures are counted right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attain.data.audit import CHECKS

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench():
    sys.path.insert(0, str(FOLDER))
    import audit

    yield audit
    sys.path.remove(str(FOLDER))
    for name in ("audit", "audit_faults"):
        sys.modules.pop(name)


def _base(bench):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "b": rng.integers(0, 60, 500)})
    return bench.base_of(frame.assign(label=np.where(frame["a"] > 0, "u", "v")), "label", None)


def test_every_check_has_a_fault_at_three_strengths(bench):
    """No check of tables and texts goes unmeasured, and consequences are of checks that exist.

    Those of images and clips have a benchmark of their own, `media.py`; faults in labels of words
    are planted in tests/data/test_data_tags.py.
    """
    elsewhere = {"attain.data.checks_media", "attain.data.checks_tags"}
    codes = {check.code for check in CHECKS if check.__module__ not in elsewhere}
    assert len(codes) == 39
    assert set(bench.FAULTS) == codes
    assert all(len(strengths) == 3 for _, strengths in bench.FAULTS.values())
    assert set(bench.ALSO) | set().union(*bench.ALSO.values()) <= codes


def test_a_planted_fault_is_found_and_nothing_else(bench):
    """Missing cells are found where they are planted; a fault that does not apply is left out."""
    base = _base(bench)
    plain = bench.answers(bench.Planted(base.frame, test=base.fresh))
    assert bench.one(base, plain, "D008", 2) == {"found": True, "severity": "issue", "alarms": []}
    assert bench.one(base, plain, "D025", 0) is None
    assert bench.one(base, plain, "D028", 0) is None


def test_figures_count_what_was_found_and_what_was_not(bench):
    """Recall is over all plantings, precision over all alarms, and what falls short is named."""
    faults = {
        "one/D008/0": {"found": True, "severity": "tip", "alarms": ["D009"]},
        "one/D008/1": {"found": False, "severity": "tip", "alarms": []},
        "one/D009/0": {"found": True, "severity": "tip", "alarms": []},
        "one/D025/0": None,
    }
    ours, other = ({"recall": r, "precision": 1.0, "at_k": 1.0} for r in (0.5, 0.9))
    told = bench.summary(
        {"faults": faults, "labels": {"one 5%": {"ours": ours, "cleanlab": other}},
         "time": {"seconds": 40.0, "rows": 10}}
    )  # fmt: skip
    assert told["planted"] == 3
    assert told["recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert told["checks"]["D009"]["precision"] == 0.5
    assert told["checks"]["D025"]["recall"] is None
    assert [m.split(":")[0].split(" ")[0] for m in told["missed"]] == [
        "D008", "D009", "labels", "40.0",
    ]  # fmt: skip


def test_labels_are_flipped_and_found(bench):
    """Where it is easy to learn, most flipped labels are found, and most found are flipped."""
    told = bench.labels(_base(bench), 0.2, None)["ours"]
    assert told["recall"] > 0.8
    assert told["precision"] > 0.8
