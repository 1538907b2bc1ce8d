"""Labels that are likely wrong: against the reference, at three strengths, and where unknowable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from audit_tables import answer, clean, sentences, subject

from attain.core.types import FindingState, Severity
from attain.data import quick
from attain.data.checks_labels import Mislabelled
from attain.data.mislabels import mislabels

FOUND, PASSED, NOT = FindingState.FOUND, FindingState.PASSED, FindingState.NOT_APPLICABLE
ISSUE, TIP = Severity.ISSUE, Severity.TIP
CODES = {"D035"}

# find_label_issues(filter_by="prune_by_noise_rate", return_indices_ranked_by="normalized_margin")
# of cleanlab 2.9.0 for the labels of `_noisy`, by seed.
CLEANLAB = {
    0: [30, 60, 4, 76, 6, 48, 59, 11, 55, 73],
    1: [77, 14, 45, 37, 41, 25, 44, 35, 43, 34, 27, 0, 48, 78, 39, 7, 8, 75],
    2: [4, 31, 59, 38, 7, 52, 65, 56, 50, 11, 0],
    3: [26, 64, 46, 40, 20, 32, 56, 28, 16, 71],
}


def _noisy(seed, n=80, k=3):
    """Labels of which 15 % are wrong, and probabilities that mostly know better."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 2.5 * np.eye(k)[true]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bad = rng.random(n) < 0.15
    return np.where(bad, (true + 1) % k, true), p


def flipped(share, n=3000, seed=0):
    """A table that is easy to learn, with a share of its labels wrong, and which these are."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(4)})
    y = (table["x0"] + table["x1"] > 0).to_numpy()
    table = table[np.abs(table["x0"] + table["x1"]) > 0.2].reset_index(drop=True)
    y = (table["x0"] + table["x1"] > 0).to_numpy()
    bad = rng.random(len(y)) < share
    return table.assign(y=np.where(y ^ bad, "yes", "no")), np.flatnonzero(bad)


@pytest.mark.parametrize("seed", CLEANLAB)
def test_rows_and_their_order_are_those_of_cleanlab(seed):
    """The same rows are pruned, and ranked alike."""
    assert mislabels(*_noisy(seed)).rows.tolist() == CLEANLAB[seed]


@pytest.mark.parametrize("seed", range(5))
def test_the_joint_keeps_the_counts_of_given_classes(seed):
    """Its rows add up to the given classes (equation 3), and errors to what is off its diagonal."""
    y, p = _noisy(seed)
    told = mislabels(y, p)
    assert told.joint.sum(axis=1) == pytest.approx(np.bincount(y, minlength=3))
    assert told.estimated == pytest.approx(len(y) - np.trace(told.joint))
    assert (told.better != y[told.rows]).all()


def test_a_class_that_is_never_given_is_never_better():
    """An absent class has no threshold, so nothing is moved to it."""
    y, p = _noisy(0)
    p = np.c_[p * 0.5, np.full(len(p), 0.5)]
    assert 3 not in mislabels(y, p / p.sum(axis=1, keepdims=True)).better


@pytest.mark.parametrize(
    ("share", "state", "severity"),
    [(0.0, PASSED, TIP), (0.02, FOUND, TIP), (0.06, FOUND, ISSUE), (0.2, FOUND, ISSUE)],
)
def test_wrong_labels_at_several_strengths(share, state, severity):
    """Few wrong labels are a tip, many an issue, and most of those named are wrong."""
    table, bad = flipped(share)
    finding = answer("D035", table)
    assert (finding.state, finding.severity) == (state, severity), finding
    if state is FOUND:
        assert len(set(finding.rows) & set(bad)) >= 0.8 * len(finding.rows)
        assert len(finding.evidence["better"]) == len(finding.rows) == 20
        assert finding.evidence["surest"] == pytest.approx(share, abs=0.02)
        given = table["y"].to_numpy()[list(finding.rows)]
        assert (given != np.array(finding.evidence["better"])).all()


@pytest.mark.parametrize("share", [0.0, 0.06, 0.2])
def test_wrong_labels_of_texts(share):
    """Texts are read by their words."""
    rng = np.random.default_rng(0)
    y = rng.choice(["sport", "law", "art"], 2000)
    own = {"sport": "goal team", "law": "court judge", "art": "colour brush"}
    texts = [f"{t} {rng.choice(own[c].split())}" for t, c in zip(sentences(2000), y, strict=True)]
    bad = rng.random(2000) < share
    wrong = np.where(bad, rng.permutation(y), y)
    finding = answer("D035", pd.DataFrame({"t": texts, "y": wrong}))
    assert finding.state is (FOUND if share else PASSED)
    assert set(finding.rows) <= set(np.flatnonzero(wrong != y))


def test_what_cannot_be_known_is_not_told():
    """Numbers, few rows and noise are answered with a reason; small tables give tips only."""
    assert "no two classes" in answer("D035", clean(y=np.arange(400) * 1.5)).explanation
    assert "fewer than 100" in answer("D035", clean(60)).explanation
    noise = answer("D035", clean())
    assert (noise.state, "surest" in noise.explanation) == (NOT, True)
    small, _ = flipped(0.2, n=700)
    assert answer("D035", small).severity is TIP


def test_depth_decides_how_many_rows_are_looked_at():
    """By default 20,000 rows are, chosen by their hash; a deep audit looks at ten times as many."""
    table, _ = flipped(0.1, n=26_000)
    rows = subject(table)
    finding = Mislabelled().run(rows)
    assert finding.evidence["looked_at"] == 20_000
    assert "of 20,000 looked at" in finding.explanation
    deep = type(rows)(rows.dataset, rows.frame, rows.rows, deep=True)
    assert Mislabelled().run(deep).evidence["looked_at"] == len(table)


def test_equal_rows_and_groups_stay_in_one_fold():
    """What no split may divide, the folds of the quick model do not divide."""
    units = np.repeat(np.arange(300, dtype="uint64"), 4)
    fold = quick.fold_of(units)
    assert (fold.reshape(-1, 4) == fold[::4, None]).all()
    assert set(fold) == set(range(quick.FOLDS))
    assert (quick.fold_of(units, seed=1) != fold).any()


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_quick_model_reads_every_kind_of_column(linear, classes):
    """Numbers, categories, dates, truth values and gaps are learnt from, by either model."""
    rng = np.random.default_rng(0)
    n, part = 900, np.tile(np.arange(3), 300)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n) * 1e300,
            "word": np.array(["u", "v", None], dtype=object)[part],
            "day": pd.date_range("2020-01-01", periods=n, freq="h"),
            "truth": rng.random(n) > 0.5,
            "empty": np.where(np.arange(n) % 2, np.nan, 1.0),
            "y": part * 1.0 if not classes else np.minimum(part, classes - 1).astype(str),
        }
    )
    rows = subject(frame, task="regression" if not classes else None)
    design = quick.encode(rows.rows.X, rows.dataset.features, linear=linear)
    assert design.linear is linear
    guess = quick.out_of_fold(design, rows.rows.y, np.arange(n) % 5, classes)
    right = np.abs(guess - rows.rows.y) < 0.5 if not classes else guess.argmax(1) == rows.rows.y
    assert right.mean() > 0.95
