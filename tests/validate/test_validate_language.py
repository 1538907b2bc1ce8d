"""Metrics of language models are ratios of sums, with intervals of the right size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attain.core.counts import OF_METRIC
from attain.core.errors import DataError
from attain.core.language import COLUMNS, RATIOS, place
from attain.objectives.metrics import METRICS
from attain.validate.compare import compare
from attain.validate.metrics import compute
from attain.validate.score import score


def made(n=400, seed=0, **columns):
    """Sums of rows; others are zero."""
    found = np.zeros((n, len(COLUMNS)))
    for name, values in columns.items():
        found[:, place(name)] = values
    return found


def test_tokens_count_not_rows():
    """Two rows of 1 and 99 tokens: the mean is over 100 tokens, as over one batch of both."""
    p = made(2, loss=[5.0, 99.0], tokens=[1.0, 99.0])
    assert compute("token_loss", np.zeros(2), p) == pytest.approx(104 / 100)
    assert compute("perplexity", np.zeros(2), p) == pytest.approx(math.exp(1.04))


def test_every_metric_of_the_table_is_computed():
    """The table of metrics and the formulas name the same ones."""
    assert {m.name for m in METRICS.values() if m.needs == "counts"} == set(OF_METRIC)
    assert set(OF_METRIC) >= set(RATIOS)
    p = np.ones((5, len(COLUMNS)))
    for metric in RATIOS:
        expected = math.e if metric == "perplexity" else 1.0
        assert compute(metric, np.zeros(5), p) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["token_loss", "perplexity", "exact_match"])
def test_intervals_cover(metric):
    """Over 400 samples, 95 % intervals hold the truth in 92 to 98 % of them."""
    random, hits = np.random.default_rng(1), 0
    truth = {"token_loss": 1.5, "perplexity": math.exp(1.5), "exact_match": 0.3}[metric]
    for _ in range(400):
        tokens = random.integers(5, 60, 150).astype(float)
        loss = tokens * random.gamma(3, 0.5, 150)
        exact = random.random(150) < 0.3
        found = score(metric, np.zeros(150), made(150, loss=loss, tokens=tokens, exact=exact,
                                                  written=1.0))  # fmt: skip
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_rows_without_an_answer_are_no_units():
    """Of 400 rows 32 were answered: the interval is one of 32."""
    written = np.arange(400) < 32
    found = score("exact_match", np.zeros(400), made(exact=written * 0.0, written=written))
    assert (found.n, found.estimate) == (32, 0.0)
    assert found.high == pytest.approx(0.107, abs=0.001)


@pytest.mark.parametrize("metric", ["win_rate", "token_accuracy", "exact_match", "chrf"])
def test_no_sample_proves_perfection(metric):
    """Where all rows are right the interval still ends below 1, as Wilson's does."""
    found = score(metric, np.zeros(20), np.ones((20, len(COLUMNS))))
    assert found.estimate == 1.0
    assert 0.8 < found.low < 0.9


def test_without_any_answer_the_metric_is_undefined():
    """A share of nothing is not 0."""
    with pytest.raises(DataError, match="undefined without answers"):
        compute("rouge_l", np.zeros(3), made(3))
    with pytest.raises(DataError, match="one row of counts"):
        compute("token_loss", np.zeros(3), np.zeros((3, 2)))


def test_models_are_compared_row_by_row():
    """A small gain on every row is seen, although rows differ by far more."""
    random = np.random.default_rng(0)
    tokens = random.integers(5, 60, 400).astype(float)
    loss = tokens * random.gamma(3, 0.5, 400)
    a = made(loss=loss, tokens=tokens)
    b = made(loss=loss * 1.02, tokens=tokens)
    found = compare("token_loss", np.zeros(400), a, b, folds=None, direction="minimize")
    assert found.answer == "better"
