"""Effects of findings: scores before and after the remedy, on the same folds, with an interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from audit_tables import amounts, answers, clean, prose, sentences, subject
from test_data_audit_labels import flipped

from attain.core.codec import encode
from attain.core.types import Finding, FindingState
from attain.data import effects
from attain.data.audit import audit

ROWS = 1200


def _learnable(n=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    table = clean(n)
    score = table["a"] + 0.8 * rng.normal(size=n)
    return table.assign(y=np.where(score > 0, "yes", "no"))


def _leaky():
    table = _learnable()
    table["told"] = (table["y"] == "yes") * 6.0 + np.random.default_rng(1).normal(size=ROWS)
    return table


def _told_by_gaps():
    return _learnable().assign(
        gap=lambda t: np.where(t["y"] == "yes", np.nan, np.random.default_rng(1).normal(size=ROWS))
    )


def _copied():
    table = pd.concat([clean(400)] * 2 + [_learnable(400)], ignore_index=True)
    return pd.concat([table, table.head(300)], ignore_index=True)


def _summed():
    rng = np.random.default_rng(3)
    p, q = rng.integers(1, 90, ROWS), rng.integers(1, 500, ROWS)
    return amounts(ROWS, p=p, q=q, y=p + q)


def _near():
    """Noise labels on texts that come in threes, so that only a copy can tell them."""
    rng = np.random.default_rng(0)
    base = sentences(400)
    labels = rng.choice(["no", "yes"], 400)
    texts = [t.replace("the ", w, 1) for w in ("the ", "a ", "that ") for t in base]
    return pd.DataFrame({"t": texts, "y": np.tile(labels, 3)})


def _damaged():
    """One class is told by a word that is damaged in some rows, each in its own way."""
    y = np.random.default_rng(0).choice(["no", "yes"], ROWS)
    part = np.arange(ROWS) % 2
    word = ["café" if not p else "cafÃ©" for p in part]
    other = ["crÃ¨me" if not p else "crème" for p in part]
    texts = [
        f"{t[-9:]} {w if c == 'yes' else o} {t}"
        for t, w, o, c in zip(sentences(ROWS), word, other, y, strict=True)
    ]
    return prose(ROWS, t=texts, y=y)


# code, what is planted, and whether the score falls (-1), rises (1) or stays (0) for certain
CASES = [
    ("D018", _copied, -1, "without"),
    ("D023", _leaky, -1, "without 'told'"),
    ("D024", _told_by_gaps, -1, "without 'gap'"),
    ("D025", _summed, -1, "without 'p', 'q'"),
    ("D028", _damaged, 0, "cells mended"),
    ("D030", _near, -1, "kept in one fold"),
    ("D035", lambda: flipped(0.15, n=2000)[0], 0, "labels that are likely wrong"),
]


@pytest.mark.parametrize(("code", "plant", "sign", "words"), CASES)
def test_effects_of_what_was_planted(code, plant, sign, words):
    """What inflates the score costs it, and the interval says that it is no chance."""
    finding = answers(plant())[code]
    assert finding.state is FindingState.FOUND
    effect = finding.evidence["effect"]
    gap = effect["after"] - effect["before"]
    assert effect["low"] <= gap <= effect["high"]
    assert words in finding.explanation, finding.explanation
    assert f"{effect['before']:.3f} → {effect['after']:.3f}" in finding.explanation
    if sign:
        assert effect["high"] < 0
    else:
        assert gap > -0.01


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_are_scored_do_not_choose_what_is_dropped(seed):
    """On rows that are hard, not wrong, dropping those that the model doubts gains nothing."""
    finding = Finding("D035", "", FindingState.FOUND)
    effect = effects.effect(subject(_learnable(800, seed)), finding)
    assert effect.after <= effect.before + 0.01


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_few_groups_make_few_folds(groups):
    """Labels are judged by other folds of the training rows, or not at all where there is none."""
    table, _ = flipped(0.15, n=2000)
    table["who"] = [f"g{i % groups}" for i in range(len(table))]
    finding = Finding("D035", "", FindingState.FOUND)
    effect = effects.effect(subject(table, groups="who"), finding)
    assert (effect is None) == (groups == 2)
    if effect is not None:
        assert effect.after > effect.before - 0.01


def test_sound_tables_cost_nothing():
    """Where nothing is found nothing is fitted; small tables are not measured."""
    assert not any("effect" in f.evidence for f in answers(clean()).values())
    small = _leaky().head(150)
    assert answers(small)["D023"].state is FindingState.FOUND
    assert "effect" not in answers(small)["D023"].evidence


def test_effects_repeat():
    """The same rows give the same effect."""
    assert encode(audit(subject(_leaky()))) == encode(audit(subject(_leaky())))


def test_only_some_effects_are_measured_by_default(monkeypatch):
    """Beyond the limit findings have no effect, unless the audit is deep."""
    monkeypatch.setattr(effects, "MOST", 0)
    rows = subject(_leaky())
    assert "effect" not in next(f for f in audit(rows) if f.code == "D023").evidence
    deep = replace(rows, deep=True)
    assert "effect" in next(f for f in audit(deep) if f.code == "D023").evidence


def test_judging_labels_within_folds_is_bounded(monkeypatch):
    """Wrong labels of many rows and classes are measured by a deep audit only."""
    monkeypatch.setattr(effects, "NESTED", 100)
    rows = subject(flipped(0.15, n=1200)[0])
    assert "effect" not in next(f for f in audit(rows) if f.code == "D035").evidence
    assert "effect" in next(f for f in audit(replace(rows, deep=True)) if f.code == "D035").evidence


@pytest.mark.parametrize(
    ("y", "guess", "classes", "score"),
    [
        (np.array([0, 1, 0, 1]), np.eye(2)[[0, 1, 0, 1]], 2, 1.0),
        (np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 2, 0]], 3, 0.75),
        (np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), 0, 1.0),
        (np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]), 0, 0.0),
        (np.array([1.0, 1.0]), np.array([2.0, 2.0]), 0, 0.0),
    ],
)
def test_scores(y, guess, classes, score):
    """AUC of two classes, accuracy of more, R² of numbers."""
    assert effects.score(y, guess, classes) == pytest.approx(score)
