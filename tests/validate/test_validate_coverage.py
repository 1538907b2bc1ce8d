"""Simulation: 95 % intervals hold the true value in 93 to 97 % of samples."""

import numpy as np
import pytest
from scipy import special

from attain.validate.metrics import compute
from attain.validate.score import score

RUNS = 1200
LOW, HIGH = 0.93, 0.97


def binary(rng, n):
    """Two classes, 35 % positive, calibrated probabilities."""
    z = rng.normal(size=n) * 1.7 - 0.8
    p = special.expit(z)
    return (rng.random(n) < p).astype(int), np.column_stack([1 - p, p])


def regression(rng, n):
    """Linear with noise of slightly heavy tails."""
    x = rng.normal(size=n)
    return x + 0.6 * rng.standard_t(8, size=n), x


def multiclass(rng, n):
    """Four classes."""
    y = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4))
    logits[np.arange(n), y] += 1.2
    p = np.exp(logits)
    return y, p / p.sum(axis=1, keepdims=True)


CASES = [
    ("accuracy", binary, 200),
    ("recall", binary, 200),
    ("f1", binary, 200),
    ("mcc", binary, 200),
    ("roc_auc", binary, 80),
    ("roc_auc", binary, 400),
    ("average_precision", binary, 400),
    ("log_loss", binary, 200),
    ("f1_macro", multiclass, 300),
    ("roc_auc_ovr", multiclass, 150),
    ("rmse", regression, 300),
    ("mae", regression, 200),
    ("r2", regression, 300),
    ("medae", regression, 200),
    ("pinball@0.9", regression, 300),
]


@pytest.mark.parametrize(("metric", "draw", "n"), CASES)
def test_coverage(metric, draw, n):
    """Rows drawn afresh: the share of intervals that hold the value of a million rows."""
    truth = compute(metric, *draw(np.random.default_rng(10**6), 1_000_000))
    covered = 0
    for seed in range(RUNS):
        made = score(metric, *draw(np.random.default_rng(seed), n), seed=seed)
        covered += made.low <= truth <= made.high
    slack = 1.96 * np.sqrt(0.05 * 0.95 / RUNS) * 0.5  # half the noise of the simulation itself
    assert LOW - slack <= covered / RUNS <= HIGH + slack


def _grouped(rng, groups):
    """Groups of 3 to 12 rows that share a part of what decides the class."""
    group = np.repeat(np.arange(groups), rng.integers(3, 13, groups))
    shared = rng.normal(size=groups)[group]
    seen = rng.normal(size=len(group))
    p = special.expit(1.5 * seen)
    y = (rng.random(len(group)) < special.expit(1.5 * seen + shared)).astype(int)
    return y, np.column_stack([1 - p, p]), group


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "f1"])
def test_coverage_with_groups(metric):
    """Groups drawn afresh: intervals over 60 clusters hold the value of very many."""
    y, p, _ = _grouped(np.random.default_rng(10**6), 100_000)
    truth = compute(metric, y, p)
    covered = naive = 0
    for seed in range(RUNS):
        y, p, group = _grouped(np.random.default_rng(seed), 60)
        made, rows = score(metric, y, p, groups=group), score(metric, y, p)
        covered += made.low <= truth <= made.high
        naive += rows.low <= truth <= rows.high
    assert 0.92 <= covered / RUNS <= 0.975
    assert naive < covered


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "rmse"])
def test_coverage_over_folds(metric):
    """Scores over five folds keep the level, rankings averaged over folds included."""
    draw = regression if metric == "rmse" else binary
    truth = compute(metric, *draw(np.random.default_rng(10**6), 1_000_000))
    folds = np.array_split(np.arange(400), 5)
    covered = 0
    for seed in range(RUNS):
        made = score(metric, *draw(np.random.default_rng(seed), 400), folds=folds)
        covered += made.low <= truth <= made.high
    assert LOW - 0.006 <= covered / RUNS <= HIGH + 0.006
