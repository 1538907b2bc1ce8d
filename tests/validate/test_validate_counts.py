"""Metrics of counts and sums: one table a task, ratios of sums, intervals of the right size."""

from __future__ import annotations

import numpy as np
import pytest

from attain.core import counts
from attain.core.errors import DataError
from attain.core.types import Direction, Task
from attain.objectives.metrics import METRICS, lookup
from attain.pipeline.scoring import FULL, STANDARD
from attain.validate.compare import compare
from attain.validate.metrics import compute
from attain.validate.score import score


def made(table, n, **columns):
    """Sums of rows; others are zero."""
    found = np.zeros((n, len(table.columns)))
    for name, values in columns.items():
        found[:, table.place(name)] = values
    return found


def test_each_counted_task_has_a_table_and_its_metrics():
    """Tasks, tables and metrics agree: what a task reports is computed from its own columns."""
    assert {task for task in Task if task.counted} == set(counts.TABLES)
    for task, table in counts.TABLES.items():
        assert counts.columns(task) == table.columns
        assert {*STANDARD[task], *FULL[task]} <= set(table.ratios)
        for metric, ratio in table.ratios.items():
            assert counts.OF_METRIC[metric] is table
            assert {*ratio.above, *ratio.below} <= set(table.columns)
            assert (METRICS[metric].high == 1.0) == (ratio.scale == "logit")
    assert counts.columns(Task.BINARY) == ()


def test_span_f1_counts_hits_twice():
    """Hand-made: 3 hits of 4 predicted and 5 true spans are 0.75, 0.6 and 2 * 3 / 9."""
    p = made(counts.TAGGING, 2, hits=[1, 2], found=[1, 3], spans=[3, 2], words=[9, 9])
    y = np.zeros(2)
    assert compute("span_precision", y, p) == pytest.approx(0.75)
    assert compute("span_recall", y, p) == pytest.approx(0.6)
    assert compute("span_f1", y, p) == pytest.approx(6 / 9)


@pytest.mark.parametrize("metric", ["span_f1", "word_error_rate"])
def test_intervals_cover(metric):
    """Over 400 samples, 95 % intervals hold the truth in 92 to 98 % of them."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        true = random.integers(1, 5, 150)
        if metric == "span_f1":
            hits, found = random.binomial(true, 0.8), random.binomial(true, 0.8)
            found = hits + random.binomial(2, 0.1, 150)
            p = made(counts.TAGGING, 150, hits=hits, found=found, spans=true, words=9)
            truth = 2 * 0.8 * 2.5 / (0.8 * 2.5 + 0.2 + 2.5)
        else:
            edits = random.poisson(0.3 * true)
            p = made(counts.TRANSCRIPTION, 150, word_edits=edits, words=true)
            truth = 0.3
        found = score(metric, np.zeros(150), p)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_rates_of_errors_may_exceed_one_and_are_never_surely_zero():
    """More edits than words are a rate above 1; without any edit the interval still has a width."""
    p = made(counts.TRANSCRIPTION, 30, word_edits=3, words=2, clips=1)
    many = score("word_error_rate", np.zeros(30), p)
    assert (many.estimate, many.low) == (1.5, 1.5)
    none = score("word_error_rate", np.zeros(30), made(counts.TRANSCRIPTION, 30, words=2))
    assert none.estimate == none.low == 0.0
    assert 0.05 < none.high < 0.2
    assert lookup("wer").direction is Direction.MINIMIZE


def test_what_was_not_counted_is_undefined():
    """Without a predicted span precision is no number; the message names what always is."""
    p = made(counts.TAGGING, 3, words=4, spans=1)
    with pytest.raises(DataError, match=r"undefined without predicted spans .* use word_loss"):
        compute("span_precision", np.zeros(3), p)
    with pytest.raises(DataError, match="span_f1 needs predictions that are one row of counts"):
        compute("span_f1", np.zeros(3), np.zeros((3, len(counts.LANGUAGE.columns))))


def test_taggers_are_compared_row_by_row():
    """One more hit in a third of the rows is seen, although rows differ by more."""
    random = np.random.default_rng(0)
    spans = random.integers(1, 6, 300)
    hits = random.binomial(spans, 0.7)
    more = np.minimum(hits + (random.random(300) < 0.33), spans)
    a, b = (made(counts.TAGGING, 300, hits=h, found=spans, spans=spans) for h in (more, hits))
    found = compare("span_f1", np.zeros(300), a, b, folds=None, direction=Direction.MAXIMIZE)
    assert found.answer == "better"
