"""Rows that change over time, test rows unlike the others, and columns that know the future."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_tables import N, amounts, answer, clean, prose, sentences
from scipy.stats import ks_2samp

from attain.core.types import Column, ColumnKind, FindingState, Severity
from attain.data import drift
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.seal import make_seal, sealed_summary

FOUND, PASSED, NOT = FindingState.FOUND, FindingState.PASSED, FindingState.NOT_APPLICABLE
ISSUE, TIP = Severity.ISSUE, Severity.TIP
CODES = {"D036", "D037", "D038", "D039"}
ROWS = 1500
DAYS = pd.date_range("2024-01-01", periods=ROWS, freq="h")


def _drifting(shift):
    """A table whose column `a` grows from the early to the late half."""
    table = clean(ROWS)
    table["a"] += shift * (np.arange(ROWS) >= ROWS / 2)
    return table.assign(day=DAYS)


@pytest.mark.parametrize(
    ("shift", "state", "severity"),
    [(0.0, PASSED, TIP), (0.8, FOUND, TIP), (2.0, FOUND, ISSUE), (6.0, FOUND, ISSUE)],
)
def test_drift_at_several_strengths(shift, state, severity):
    """Late rows that differ a little are a tip, much an issue, and the column is named first."""
    finding = answer("D036", _drifting(shift), time="day")
    assert (finding.state, finding.severity) == (state, severity), finding
    assert 0.5 - 0.06 < finding.evidence["auc"] <= 1
    if state is FOUND:
        assert finding.columns[0] == "a"
        assert "by day" in finding.explanation


def test_order_of_a_file_without_time_is_a_tip():
    """Whatever the order means, the finding says so; shuffled rows pass."""
    table = _drifting(6.0).drop(columns="day")
    assert answer("D036", table).severity is TIP
    assert answer("D036", table.sample(frac=1, random_state=0)).state is PASSED


def test_calendars_counters_and_sorted_files_are_no_drift():
    """What only grows with time tells nothing; a file sorted by its target neither."""
    table = clean(ROWS, year=np.arange(ROWS) // 500, count=np.arange(ROWS) * 3.5)
    assert answer("D036", table).state is PASSED
    ordered = amounts(ROWS).sort_values("y", ignore_index=True)
    assert "sorted by their target" in answer("D036", ordered).explanation
    blocks = clean(ROWS, y=np.repeat(["q", "p", "r"], ROWS // 3))
    assert "sorted by their target" in answer("D036", blocks).explanation
    assert "fewer than 200" in answer("D036", clean(150)).explanation
    assert "no feature but" in answer("D036", table[["year", "count", "y"]]).explanation


def test_drift_of_texts():
    """Late texts of other words are found."""
    texts = [t + (" update" if i >= N / 2 else "") for i, t in enumerate(sentences(N))]
    assert answer("D036", prose(t=texts)).state is FOUND


@pytest.mark.parametrize(
    ("sealed", "state", "severity"),
    [
        ({}, NOT, TIP),
        ({"drift": 0.0, "rows": 500}, NOT, TIP),
        ({"drift": 0.52, "rows": 500}, PASSED, TIP),
        ({"drift": 0.63, "rows": 60}, PASSED, TIP),
        ({"drift": 0.7, "rows": 500}, FOUND, TIP),
        ({"drift": 0.9, "rows": 500}, FOUND, ISSUE),
    ],
)
def test_drift_of_own_test_rows_is_one_number(sealed, state, severity):
    """D037 knows the area under the curve, and allows for how few rows it stands on."""
    finding = answer("D037", clean(), sealed)
    assert (finding.state, finding.severity) == (state, severity)
    assert not finding.columns


@pytest.mark.parametrize(
    ("shift", "least", "most"), [(0.0, 0.4, 0.6), (1.0, 0.65, 0.85), (4.0, 0.95, 1)]
)
def test_the_sealing_step_compares_own_test_rows(shift, least, most, tmp_path: Path):
    """The number grows with the difference of features; rows set aside by attain have none."""
    train, test = clean(800), clean(400, seed=7)
    test["a"] += shift
    frame = load_frame(train)
    _, seal = make_seal(frame, describe(frame, target="y"), tmp_path / "own", test_frame=test)
    assert least <= sealed_summary(seal)["drift"] <= most
    assert seal.drift == round(seal.drift, 2)
    _, drawn = make_seal(frame, describe(frame, target="y"), tmp_path / "drawn")
    assert drawn.drift == 0


@pytest.mark.parametrize(
    ("counts", "state", "severity", "words"),
    [
        ((), NOT, TIP, "no row"),
        ((52, 48), PASSED, TIP, "agree"),
        ((580, 420), FOUND, TIP, "42.0%"),
        ((900, 100), FOUND, ISSUE, "90.0%"),
        ((50, 0), FOUND, ISSUE, "1 classes have no sealed row"),
    ],
)
def test_shares_of_classes_of_the_test(counts, state, severity, words):
    """Differences within chance pass; larger ones are found."""
    finding = answer("D038", clean(y=["no", "yes"] * 200), {"class_counts": counts, "rows": 9})
    assert (finding.state, finding.severity) == (state, severity)
    assert words in finding.explanation
    assert answer("D038", amounts(), {"rows": 9}).state is NOT


@pytest.mark.parametrize(("share", "state"), [(0.1, PASSED), (0.6, FOUND), (1.0, FOUND)])
def test_dates_after_the_time_of_the_row(share, state):
    """A date that is mostly later than the row's own is not known yet."""
    late = np.arange(ROWS) < share * ROWS
    closed = DAYS + pd.to_timedelta(np.where(late, 2, -1), "D")
    finding = answer("D039", clean(ROWS, day=DAYS, closed=closed), time="day")
    assert finding.state is state, finding
    assert finding.columns == (("closed",) if state is FOUND else ())


@pytest.mark.parametrize(("step", "state"), [(1, FOUND), (3, FOUND), (-1, PASSED)])
def test_targets_of_later_rows(step, state):
    """A column with the target of a later row is found; that of an earlier one is fair."""
    table = amounts(ROWS, day=DAYS)
    table["z"] = table["y"].shift(-step)
    shuffled = table.sample(frac=1, random_state=0)
    finding = answer("D039", shuffled, time="day")
    assert finding.state is state, finding
    if state is FOUND:
        assert f"target of {step} row(s) later" in finding.explanation


@pytest.mark.parametrize(("noise", "state"), [(0.3, FOUND), (1.0, FOUND), (30.0, PASSED)])
def test_dates_that_random_folds_would_look_up(noise, state):
    """A target that wanders in time is looked up by its date; noise is not."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=ROWS)) / 5
    table = amounts(ROWS, day=DAYS, y=walk + noise * rng.normal(size=ROWS))
    finding = answer("D039", table.sample(frac=1, random_state=1))
    assert finding.state is state, finding
    assert answer("D039", clean()).state is NOT


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_the_references(seed):
    """Numbers by Kolmogorov and Smirnov, ties and gaps included; categories by total variation."""
    rng = np.random.default_rng(seed)
    other = rng.random(300) < 0.4
    numbers = np.where(other, rng.integers(0, 9, 300), rng.integers(2, 12, 300)).astype("float64")
    column = Column("x", ColumnKind.NUMERIC)
    reference = ks_2samp(numbers[other], numbers[~other]).statistic
    assert drift.distance(pd.Series(numbers), column, other) == pytest.approx(reference)
    gaps = np.where(other, np.nan, 1.0)
    assert drift.distance(pd.Series(gaps), column, other) == pytest.approx(1.0)
    words = pd.Series(np.where(other, "u", np.where(rng.random(300) < 0.5, "u", "v")))
    share = (words[~other] == "v").mean()
    kind = Column("x", ColumnKind.CATEGORICAL)
    assert drift.distance(words, kind, other) == pytest.approx(share)
    assert drift.distance(words, kind, np.ones(300, bool)) == 0


@pytest.mark.parametrize("rows", [60, 400])
def test_lower_limits_hold(rows):
    """The limit of an area that is 0.5 in truth is above it in one of twenty draws at most."""
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 2
    above = 0
    for _ in range(400):
        area = drift.auc(y, rng.random(rows))
        above += drift.lower_limit(area, int(y.sum()), int((1 - y).sum())) > 0.5
    assert above <= 0.08 * 400
    assert drift.lower_limit(0.9, 0, 5) == 0
