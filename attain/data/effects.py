"""What a finding costs: the quick model fitted again without it, on the same folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.core.types import Column, ColumnKind, Finding, FindingState, Severity
from attain.data import quick
from attain.data.hashing import combine, mix
from attain.data.marks import repaired
from attain.data.mislabels import mislabels
from attain.data.sketch import Sketch, auc, sketch
from attain.data.table import target_hash
from attain.stats.interval import corrected_t

FEWEST = 200  # rows below which intervals say nothing
NESTED = 45_000  # rows times classes up to which labels are judged within folds by default
MOST = 6  # findings whose effect is measured by default, in the order of their codes


@dataclass(frozen=True, eq=False)
class Change:
    """How rows differ once a finding is remedied. What is None stays as it was.

    Attributes:
        words: What was done, to end a sentence.
        X: Other features, shape (m, k).
        columns: Fewer columns.
        learn: Rows to learn from, booleans, shape (m,).
        fold: Other folds, shape (m,), for the remedied fit.
        fold_before: Other folds for the fit before, too.
        judged: Rows to score both on, booleans, shape (m,).
        guess: Predictions after the change, where fitting again takes more than the above.
    """

    words: str
    X: pd.DataFrame | None = None
    columns: tuple[Column, ...] | None = None
    learn: np.ndarray | None = None
    fold: np.ndarray | None = None
    fold_before: np.ndarray | None = None
    judged: np.ndarray | None = None
    guess: np.ndarray | None = None


@dataclass(frozen=True)
class Effect:
    """A score before and after a remedy.

    Attributes:
        metric: ``AUC``, ``accuracy`` or ``R²``.
        before: Mean over folds.
        after: Mean over the same folds.
        low: Lower 95 % limit of the difference.
        high: Upper 95 % limit.
        words: What was done.
    """

    metric: str
    before: float
    after: float
    low: float
    high: float
    words: str

    def __str__(self) -> str:
        return (
            f"{self.metric} of a quick model {self.before:.3f} → {self.after:.3f} {self.words} "
            f"(95 % of the difference: {self.low:+.3f} to {self.high:+.3f})"
        )


def measured(subject: Subject, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Add what they cost to findings that have a remedy to try.

    Args:
        subject: The rows.
        findings: What the checks said.

    Returns:
        The same findings; the effect ends the explanation, its numbers are in the evidence.
    """
    seen = sketch(subject)
    if seen.n < FEWEST or len(np.unique(seen.y)) < 2 or not seen.features:
        return findings
    found = [f for f in findings if f.state is FindingState.FOUND and f.code in REMEDIES]
    effects = {f.code: effect(subject, f) for f in found[: None if subject.deep else MOST]}
    return tuple(_with(f, effects.get(f.code)) for f in findings)


def _with(finding: Finding, effect: Effect | None) -> Finding:
    if effect is None:
        return finding
    numbers = {k: getattr(effect, k) for k in ("metric", "before", "after", "low", "high")}
    hard = finding.code == "D035" and effect.high < 0  # it learns from them: hard, not wrong
    return replace(
        finding,
        severity=Severity.TIP if hard else finding.severity,
        explanation=f"{finding.explanation}; {effect}{_HARD if hard else ''}",
        evidence={**finding.evidence, "effect": numbers},
    )


_HARD = ": most of them are hard rather than wrong"


def effect(subject: Subject, finding: Finding) -> Effect | None:
    """Fit the quick model with and without what a finding is about.

    Args:
        subject: The rows.
        finding: One with a remedy in REMEDIES.

    Returns:
        Scores on the same folds and rows, or None when nothing is left to compare.
    """
    seen = sketch(subject)
    change = REMEDIES[finding.code](subject, seen, finding)
    if change is None:
        return None
    before = seen.quick.guess
    if change.fold_before is not None:
        before = _fit(seen, Change("", fold=change.fold_before))
    after = _fit(seen, change) if change.guess is None else change.guess
    fold = seen.quick.fold if change.fold_before is None else change.fold_before
    judged = np.ones(len(fold), dtype=bool) if change.judged is None else change.judged
    y = seen.y[seen.quick.rows]
    scores = np.array(
        [
            [score(y[part], guess[part], seen.classes) for guess in (before, after)]
            for part in ((fold == k) & judged for k in np.unique(fold))
            if len(np.unique(y[part])) > 1
        ]
    )
    if len(scores) < 2:
        return None
    gap = corrected_t(scores[:, 1] - scores[:, 0], 1 / (quick.FOLDS - 1))
    metric = "R²" if not seen.classes else "AUC" if seen.classes == 2 else "accuracy"
    means = scores.mean(axis=0)
    return Effect(metric, float(means[0]), float(means[1]), gap.low, gap.high, change.words)


def _fit(seen: Sketch, change: Change) -> np.ndarray:
    """Out-of-fold predictions after a change."""
    rows, y = seen.quick.rows, seen.y[seen.quick.rows]
    X = seen.rows.X.iloc[rows] if change.X is None else change.X
    columns = seen.features if change.columns is None else change.columns
    linear = quick.wants_linear(seen.classes, seen.features)
    design = quick.encode(X, columns, linear=linear)
    fold = seen.quick.fold if change.fold is None else change.fold
    learn = np.ones(len(y), dtype=bool) if change.learn is None else change.learn
    return quick.out_of_fold(design, y, fold, seen.classes, seen.seed, learn)


def score(y: np.ndarray, guess: np.ndarray, classes: int) -> float:
    """The score that effects are told in.

    Args:
        y: Class codes or values, shape (n,).
        guess: Probabilities, shape (n, classes), or values, shape (n,).
        classes: Number of classes, 0 for regression.

    Returns:
        Area under the ROC curve of two classes, accuracy of more, R² of values.
    """
    if classes == 2:
        return auc(y, guess[:, 1])
    if classes:
        return float((guess.argmax(axis=1) == y).mean())
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - guess) ** 2).sum()) / spread if spread > 0 else 0.0


def _without_columns(subject: Subject, seen: Sketch, finding: Finding) -> Change | None:
    gone = [c.name for c in seen.features if c.name in finding.columns]
    kept = tuple(c for c in seen.features if c.name not in gone)
    if not kept or not gone:
        return None
    return Change(f"without {', '.join(map(repr, gone[:3]))}", columns=kept)


def _without_copies(subject: Subject, seen: Sketch, finding: Finding) -> Change:
    """Copies in folds that divide them; what is judged are the rows that stay."""
    rows = seen.quick.rows
    keys = combine(seen.hashes, target_hash(subject.frame, subject.dataset))[rows]
    first = ~pd.Series(keys).duplicated().to_numpy()
    fold = quick.fold_of(mix(np.arange(len(rows), dtype="uint64")), seed=seen.seed)
    words = f"without {int((~first).sum()):,} copies, in random folds"
    return Change(words, learn=first, fold=fold, fold_before=fold, judged=first)


def _near_copies_together(subject: Subject, seen: Sketch, finding: Finding) -> Change | None:
    near = seen.near
    unit = mix(np.arange(seen.n, dtype="uint64") + np.uint64(1 << 40))
    unit[near.rows] = mix(near.heap[near.code].astype("uint64"))
    fold = quick.fold_of(unit[seen.quick.rows], seed=seen.seed)
    in_heap = np.zeros(seen.n, dtype=bool)
    in_heap[near.rows] = (near.heap_sizes > 1)[near.code]
    if in_heap[seen.quick.rows].sum() < FEWEST:
        return None
    words = "on near-copies when they are kept in one fold"
    return Change(words, fold=fold, judged=in_heap[seen.quick.rows])


def _without_wrong_labels(subject: Subject, seen: Sketch, finding: Finding) -> Change | None:
    """Labels judged wrong by the training folds alone: else the judged fold would choose them."""
    rows, fold, k = seen.quick.rows, seen.quick.fold, seen.classes
    if seen.told is not None or (len(rows) * k > NESTED and not subject.deep):
        return None  # a pre-trained model judged, so what this one learns is beside the point
    if len(np.unique(fold)) < 3:
        return None  # two groups: the training fold has no other one to be judged by
    y, guess = seen.y[rows], np.empty_like(seen.quick.guess)
    linear = quick.wants_linear(k, seen.features)
    design = quick.encode(seen.rows.X.iloc[rows], seen.features, linear=linear)
    dropped = []
    for part in np.unique(fold):
        others = np.flatnonzero(fold != part)
        told, parts = np.zeros((len(others), k)), np.unique(fold[others])
        first = np.isin(fold[others], parts[: len(parts) // 2])
        for here in (first, ~first):
            fit, ask = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
            fit[others[~here]], ask[others[here]] = True, True
            told[here] = quick.fitted(design, y, fit, ask, k, seen.seed)
        wrong = others[mislabels(y[others], told).rows]
        fit = fold != part
        fit[wrong] = False
        guess[fold == part] = quick.fitted(design, y, fit, fold == part, k, seen.seed)
        dropped.append(len(wrong) / len(others))
    words = f"when it learns without the {np.mean(dropped):.1%} of labels that are likely wrong"
    return Change(words, guess=guess)


def _with_texts_mended(subject: Subject, seen: Sketch, finding: Finding) -> Change | None:
    X = seen.rows.X.iloc[seen.quick.rows].copy()
    changed = 0
    for column in seen.features:
        if column.kind not in (ColumnKind.TEXT, ColumnKind.CATEGORICAL):
            continue
        old = X[column.name]
        new = old.map(repaired, na_action="ignore")
        changed += int((new.notna() & (new != old)).sum())
        X[column.name] = new
    return Change(f"with {changed:,} cells mended", X=X) if changed else None


Remedy = Callable[[Subject, Sketch, Finding], Change | None]
REMEDIES: Mapping[str, Remedy] = {
    "D010": _without_columns,
    "D018": _without_copies,
    "D023": _without_columns,
    "D024": _without_columns,
    "D025": _without_columns,
    "D028": _with_texts_mended,
    "D030": _near_copies_together,
    "D035": _without_wrong_labels,
    "D039": _without_columns,
}
