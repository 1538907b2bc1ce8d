"""The benchmark of honesty: its truths are true, and its figures say what was missed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from attain.validate import metrics

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def honesty():
    sys.path.insert(0, str(FOLDER))
    import honesty

    yield honesty
    sys.path.remove(str(FOLDER))
    sys.modules.pop("honesty")


@pytest.mark.parametrize("setting", range(7))
def test_the_truth_of_a_simulation_is_what_many_rows_show(honesty, setting):
    """On 40,000 rows each configuration scores what it is said to be worth, within noise."""
    metric, _, _, shared = honesty.SEARCHES[setting]
    rng = np.random.default_rng(setting)
    stack, truth = honesty.simulated(metric, 40_000, 3, shared, rng)
    for config in range(3):
        found = metrics.compute(metric, stack.truth, stack.predictions[config])
        assert found == pytest.approx(truth[config], abs=0.012)


def test_learners_are_equal_and_targets_are_missed(honesty):
    """Verdicts and comparisons are asked where the right answer is no; few say yes."""
    assert np.mean([honesty.verdict_once(500, "accuracy", seed) for seed in range(40)]) <= 0.1
    assert np.mean([honesty.compare_once(200, 1, seed) for seed in range(20)]) <= 0.2


def test_what_is_missed_is_named(honesty):
    """A bias that is left, an interval that does not hold and a false verdict are all listed."""
    good = [
        {"naive": 0.1 + 0.01 * i, "corrected": 0.001, "held": float(i > 0), "resampled": 1.0}
        for i in range(20)
    ]
    bad = [{**one, "corrected": 0.05, "held": 0.0} for one in good]
    told = honesty.summary(
        {"search a": good, "search b": bad, "verdict c": [1.0], "equal d": [0.0]}
    )
    assert [m.split(":")[0] for m in told["missed"]] == ["search b", "search b", "verdict c"]
    assert told["simulated"]["search a"]["held"] == 0.95
    assert honesty.summary({"real e": bad})["missed"] == ["real data: 26% of the bias is left"]


def test_a_real_search_has_a_fresh_truth(honesty):
    """One small search on bundled data: the best seen is no worse than the corrected score."""
    found = honesty.search_real("wine", 0, rows=100, count=6)
    assert found["naive"] >= found["corrected"] - 1e-9
    assert found["held"] in (0.0, 1.0)
