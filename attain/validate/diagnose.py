"""What the scores say is wrong with a fit. Each code has a section in ``docs/diagnoses.md``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from scipy import special

from attain.core.types import Diagnosis, Direction, Objective, Score
from attain.validate.metrics import COMPUTE

# A third of what the model gained on its training rows is not there on new rows.
OVERFIT_SHARE = 1 / 3
# The model gains less than a tenth of the way from the baseline to perfection, even in training.
UNDERFIT_SHARE = 0.1
# Folds differ by more than this share of the gain over the baseline ...
UNSTABLE_SHARE = 0.2
# ... and by more than their numbers of rows explain, at this level of a chi-square test.
UNSTABLE_LEVEL = 0.01

# One class has at least this share of the rows, ...
IMBALANCED = 0.8
# ... the other is ranked at least so well, with confidence, ...
RANKED_WELL = 0.7
# ... and yet the metric gains no more than this share of the way from the baseline to perfection.
IMBALANCE_SHARE = 0.5
RARE_METRICS = ("recall", "f1", "fbeta", "balanced_accuracy", "f1_macro", "mcc", "kappa")

Scores = Mapping[str, Score] | Sequence[Score]


@dataclass(frozen=True)
class Reading:
    """One objective's scores, turned so that more is better.

    Attributes:
        objective: The statement.
        score: Validation score.
        baseline: Score of the baseline on the same rows, or None.
        sign: 1 when the metric is maximised, -1 when minimised.
        half: Half the width of the score's interval, in metric units.
        others: All scores of the trial, by metric.
        bases: All scores of the baseline, by metric.
    """

    objective: Objective
    score: Score
    baseline: Score | None
    sign: int
    half: float
    others: Mapping[str, Score] = field(default_factory=dict)
    bases: Mapping[str, Score] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """How much better than the baseline on validation rows."""
        if self.baseline is None:
            return None
        return self.sign * (self.score.estimate - self.baseline.estimate)

    @property
    def train_gain(self) -> float | None:
        """How much better on its training rows than the baseline is on validation rows."""
        if self.baseline is None or self.score.train is None:
            return None
        return self.sign * (self.score.train - self.baseline.estimate)

    @property
    def gap(self) -> float | None:
        """How much better on training rows than on validation rows."""
        if self.score.train is None:
            return None
        return self.sign * (self.score.train - self.score.estimate)

    @property
    def room(self) -> float:
        """From the baseline to the best possible value; infinite when there is no such value."""
        if self.baseline is None:
            return math.inf
        best = self.objective.high if self.sign > 0 else self.objective.low
        return self.sign * (best - self.baseline.estimate)


def diagnose_fit(
    objectives: Sequence[Objective], scores: Scores, baseline: Scores | None
) -> tuple[Diagnosis, ...]:
    """Over- and underfitting, instability, and models no better than the baseline.

    Every objective with a score of quality is looked at; a code appears at most once, for the first
    objective that shows it.

    Args:
        objectives: What good means.
        scores: Of the model on validation rows, with `train` and `per_fold` where known.
        baseline: Of the baseline on the same rows; empty or None when there is none.

    Returns:
        Diagnoses in the order of `CODES`; none when nothing is wrong.
    """
    own, base = _by_metric(scores), _by_metric(baseline or ())
    readings = [
        _read(o, own, base)
        for o in objectives
        # a model is never faster or smaller than predicting a constant, and need not be
        if o.metric in own and o.metric.partition("@")[0] in COMPUTE
    ]
    found = []
    for code, (test, _) in CODES.items():
        answers = (test(reading) for reading in readings)
        diagnosis = next((a for a in answers if a is not None), None)
        if diagnosis is not None:
            explanation, evidence = diagnosis
            found.append(Diagnosis(code, explanation, evidence=evidence))
    return tuple(found)


def fold_spread(score: Score) -> float | None:
    """How improbable it is that folds differ so much by their rows alone.

    Args:
        score: With a value for each fold.

    Returns:
        Chance in [0, 1] of folds differing at least as much if each were only a sample of rows (a
        chi-square test of the folds' variance against that which the interval implies); None for
        fewer than three folds or an interval that is no guide.
    """
    values = np.array([v for v in score.per_fold if math.isfinite(v)])
    half = (score.high - score.low) / 2
    if len(values) < 3 or not math.isfinite(half) or half <= 0:
        return None
    error = half / float(special.ndtri(0.5 + score.confidence / 2))
    # a fold has 1 / k of the rows; repeats make this expectation larger, so the test milder
    expected = error**2 * len(values)
    statistic = (len(values) - 1) * float(np.var(values, ddof=1)) / expected
    return float(special.chdtrc(len(values) - 1, statistic))


def _by_metric(scores: Scores) -> Mapping[str, Score]:
    return scores if isinstance(scores, Mapping) else {s.metric: s for s in scores}


def _read(objective: Objective, own: Mapping[str, Score], base: Mapping[str, Score]) -> Reading:
    sign = 1 if objective.direction is Direction.MAXIMIZE else -1
    score = own[objective.metric]
    half = (score.high - score.low) / 2
    return Reading(objective, score, base.get(objective.metric), sign, half, own, base)


Answer = tuple[str, dict[str, object]] | None


def _worse_than_baseline(r: Reading) -> Answer:
    if r.gain is None or r.gain > 0:
        return None
    assert r.baseline is not None
    near = r.score.low <= r.baseline.estimate <= r.score.high
    verb = "is no better than" if near else "is worse than"
    name = r.score.metric
    text = (
        f"{name} {r.score.estimate:.4g} on new rows {verb} the baseline's {r.baseline.estimate:.4g}"
    )
    return text, _evidence(r)


def _overfit(r: Reading) -> Answer:
    if r.gap is None or r.gap <= r.half:
        return None
    if r.train_gain is not None and r.gap <= OVERFIT_SHARE * r.train_gain:
        return None
    text = (
        f"{r.score.metric} is {r.score.train:.4g} on training rows but {r.score.estimate:.4g} "
        f"on new rows, a gap of {r.gap:.3g} against an uncertainty of {r.half:.2g}"
    )
    if r.train_gain is not None and r.train_gain > 0:
        lost = min(r.gap / r.train_gain, 1.0)
        text += f": {lost:.0%} of the gain over the baseline does not carry over"
    return text, _evidence(r)


def _underfit(r: Reading) -> Answer:
    if r.score.train is None or _overfit(r) is not None:
        return None
    return _poor_without_target(r) if r.objective.target is None else _short_of_target(r)


def _short_of_target(r: Reading) -> Answer:
    train, target = r.score.train, r.objective.target
    assert train is not None
    assert target is not None
    if r.sign * (target - train) <= r.half:
        return None
    text = (
        f"{r.score.metric} is {train:.4g} even on training rows, short of the target {target:.4g}, "
        f"and {r.score.estimate:.4g} on new rows: the model is too simple or the features say "
        f"too little"
    )
    return text, _evidence(r)


def _poor_without_target(r: Reading) -> Answer:
    if r.train_gain is None or not math.isfinite(r.room) or r.room <= 0:
        return None
    if r.train_gain > max(UNDERFIT_SHARE * r.room, r.half):
        return None
    text = (
        f"{r.score.metric} is {r.score.train:.4g} even on training rows, hardly better than the "
        f"baseline on new rows: the model is too simple or the features say too little"
    )
    return text, _evidence(r)


def _unstable(r: Reading) -> Answer:
    chance = fold_spread(r.score)
    if chance is None or chance >= UNSTABLE_LEVEL:
        return None
    values = np.array([v for v in r.score.per_fold if math.isfinite(v)])
    spread = float(values.std(ddof=1))
    if r.gain is not None and spread <= UNSTABLE_SHARE * abs(r.gain):
        return None
    text = (
        f"{r.score.metric} runs from {values.min():.4g} to {values.max():.4g} over {len(values)} "
        f"folds, more than their numbers of rows explain (chance {chance:.1g})"
    )
    return text, {**_evidence(r), "fold_sd": spread, "chance": chance}


def _imbalance(r: Reading) -> Answer:
    """The rare class is ranked well and yet seldom predicted."""
    constant, ranked = r.bases.get("accuracy"), r.others.get("roc_auc")
    if r.score.metric.partition("@")[0] not in RARE_METRICS or constant is None or ranked is None:
        return None
    if constant.estimate < IMBALANCED or ranked.low < RANKED_WELL:
        return None
    if r.gain is None or r.gain > IMBALANCE_SHARE * r.room:
        return None
    text = (
        f"{r.score.metric} is only {r.score.estimate:.4g}, though the model ranks well (roc_auc "
        f"{ranked.estimate:.4g}): {constant.estimate:.0%} of the rows are of one class, and the "
        "other is seldom predicted at a threshold of one half"
    )
    return text, {**_evidence(r), "largest_class": constant.estimate, "roc_auc": ranked.estimate}


def _evidence(r: Reading) -> dict[str, object]:
    numbers = {
        "metric": r.score.metric,
        "estimate": r.score.estimate,
        "half_width": r.half,
        "train": r.score.train,
        "baseline": None if r.baseline is None else r.baseline.estimate,
        "gap": r.gap,
        "gain": r.gain,
    }
    return {name: value for name, value in numbers.items() if value is not None}


# code -> test, and what it means in one clause
CODES: Mapping[str, tuple[Callable[[Reading], Answer], str]] = MappingProxyType(
    {
        "worse_than_baseline": (_worse_than_baseline, "no better than predicting without learning"),
        "overfit": (_overfit, "much better on training rows than on new ones"),
        "underfit": (_underfit, "not good enough even on training rows"),
        "unstable": (_unstable, "folds differ more than chance explains"),
        "imbalance": (_imbalance, "the rare class is ranked well but seldom predicted"),
    }
)
