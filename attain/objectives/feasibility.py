"""Whether the sealed rows can show an objective at all, said before anything is spent.

A target counts as met when the two-sided interval's end that faces it clears it. With few rows even
a model that truly reaches the target passes by luck only; what passes four times in five is further
away, and sometimes impossible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from attain.core.types import Direction, Objective, Score
from attain.objectives.metrics import Metric, base_name, lookup
from attain.stats import power

State = Literal["decidable", "undecidable", "unknown", "no target", "measured"]
POWER = 0.8  # Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, section 2.4
NEGLIGIBLE = 0.001  # a model this close to perfect is not one that anybody trains

# Metrics that are the share of right rows, and among which rows.
_SHARES: Mapping[str, Literal["all", "positive", "negative"]] = MappingProxyType(
    {
        "accuracy": "all", "f1_micro": "all", "recall_weighted": "all", "top_k_accuracy": "all",
        "subset_accuracy": "all",
        "recall": "positive", "specificity": "negative",
        # As many rows are called positive as there are, to first order.
        "precision": "positive",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Feasibility:
    """What n sealed rows can say of one objective.

    Attributes:
        objective: The statement.
        state: ``decidable``; ``undecidable`` (no real model could pass); ``unknown`` (too little is
            known of how much the metric varies between rows); ``no target``; ``measured``
            (efficiency, which does not rest on sealed rows).
        n: Sealed rows that count for this metric.
        needed: True value that would pass with 80 % power; None when there is none, or nobody
            knows.
        text: One sentence for the user.
    """

    objective: Objective
    state: State
    n: int
    needed: float | None
    text: str


def decidable(
    objective: Objective,
    n: int,
    positives: int | None = None,
    spread: float | None = None,
    unit: str = "row",
    several: bool = False,
) -> Feasibility:
    """What the sealed rows can show of an objective.

    Args:
        objective: As parsed.
        n: Sealed rows (groups, when rows of a group belong together).
        positives: Of these, rows of the positive class; for metrics of the two classes.
        spread: Standard deviation that one row contributes to the metric's error, in metric units
            and near the target, such that n rows have a standard error of ``spread / sqrt(n)``;
            `spread_of` takes it from a baseline's score. For metrics without a formula of their
            own.
        unit: What `n` counts, for people: ``row``, or ``group`` when rows belong together.
        several: Whether a row carries any number of labels; then F1 of all is no share of rows.

    Returns:
        State, the rows that count, the value needed and the sentence to show.
    """
    metric = lookup(objective.metric)
    if objective.target is None:
        return Feasibility(objective, "no target", n, None, _no_target(objective, unit))
    if metric.needs == "measurement":
        text = f"{objective} is measured on the final model; it does not rest on sealed rows"
        return Feasibility(objective, "measured", n, None, text)
    rows = _rows_that_count(metric, n, positives)
    if several and metric.name == "f1_micro":
        rows = None
    if rows is None or not _computable(metric, positives, spread):
        return Feasibility(objective, "unknown", n, None, _unknown(objective, n, unit))
    needed = _needed(objective, metric, n, positives, spread)
    if needed is None or _out_of_reach(objective, metric, needed):
        share = (positives or 0) / max(n, 1)
        text = _undecidable(objective, metric, rows, share, unit)
        return Feasibility(objective, "undecidable", rows, None, text)
    text = (
        f"{_rows(rows, metric, unit)} cannot certify {objective} unless the model is really about "
        f"{needed:.3g}"
    )
    return Feasibility(objective, "decidable", rows, needed, text)


def spread_of(objective: Objective, score: Score) -> float:
    """What one row contributes to a metric's error, read from the interval of a score.

    Errors of losses without an upper end (rmse, log loss) grow with their size, so the spread is
    scaled from the score's estimate to the target.

    Args:
        objective: With a target.
        score: Of the same metric, from a baseline for example.

    Returns:
        A spread for `decidable`, in metric units.
    """
    half = (score.high - score.low) / 2
    spread = half / power.critical(score.confidence) * math.sqrt(max(score.n, 1))
    if objective.target and objective.low == 0 and math.isinf(objective.high) and score.estimate:
        spread *= min(abs(objective.target / score.estimate), 1.0)
    return spread


def _rows_that_count(metric: Metric, n: int, positives: int | None) -> int | None:
    """Rows behind the metric; None when that takes an unknown number of positive rows."""
    among = _SHARES.get(base_name(metric.name), "all")
    if among == "all":
        return n
    if positives is None:
        return None
    return positives if among == "positive" else n - positives


def _computable(metric: Metric, positives: int | None, spread: float | None) -> bool:
    name = base_name(metric.name)
    if name in _SHARES or spread is not None:
        return True
    return positives is not None and (name == "roc_auc" or name in _VARIANCE)


def _needed(
    objective: Objective, metric: Metric, n: int, positives: int | None, spread: float | None
) -> float | None:
    """The true value that passes with `POWER`; None when there is none."""
    assert objective.target is not None
    name = base_name(metric.name)
    if name in _SHARES:
        rows = _rows_that_count(metric, n, positives) or 0
        if not 0 < objective.target < 1:
            return None
        return power.rate_needed(
            objective.target, rows, power=POWER, confidence=objective.confidence
        )
    if positives is not None and name == "roc_auc":
        return power.auc_needed(
            objective.target, positives, n - positives,
            power=POWER, confidence=objective.confidence,
        )  # fmt: skip
    if positives is not None and name in _VARIANCE:
        return _from_variance(objective, _VARIANCE[name], n, positives)
    assert spread is not None
    return power.mean_needed(
        objective.target, n, spread,
        maximize=objective.direction is Direction.MAXIMIZE,
        power=POWER, confidence=objective.confidence,
    )  # fmt: skip


def _from_variance(
    objective: Objective, variance: Callable[[float, int, int], float], n: int, positives: int
) -> float | None:
    """The first value on a fine grid whose error is small enough to show the distance."""
    assert objective.target is not None
    if positives < 1 or n - positives < 1:
        return None
    z = power.critical(objective.confidence) + power.critical(POWER, sides=1)
    gap = 1 - objective.target
    for step in range(1, 1001):
        value = objective.target + gap * step / 1000
        if value - objective.target >= z * math.sqrt(variance(value, positives, n - positives)):
            return value if step < 1000 else None
    return None


def _balanced(value: float, positives: int, negatives: int) -> float:
    """Half the sum of two independent rates, both taken to be the value."""
    return value * (1 - value) * (1 / positives + 1 / negatives) / 4


def _f1(value: float, positives: int, negatives: int) -> float:
    """Delta method on the multinomial counts, with precision = recall = value.

    F = 2 TP / (2 TP + FP + FN); its gradient is orthogonal to the counts, which leaves
    F (1 - F) (1 - F / 2) per positive row (Takahashi et al. 2022, doi:10.1007/s10489-021-02635-5).
    """
    del negatives
    return value * (1 - value) * (1 - value / 2) / positives


_VARIANCE: Mapping[str, Callable[[float, int, int], float]] = MappingProxyType(
    {"balanced_accuracy": _balanced, "f1": _f1}
)


def _out_of_reach(objective: Objective, metric: Metric, needed: float) -> bool:
    """Whether the value is at the perfect end, or so near that no real model gets there."""
    assert objective.target is not None
    if math.isinf(metric.best):
        return False
    worth = abs(metric.best) or abs(objective.target)
    left = metric.best - needed if metric.best >= needed else 0.0
    if objective.direction is Direction.MINIMIZE:
        left = max(needed - metric.best, 0.0)
    return left <= NEGLIGIBLE * worth


def _rows(rows: int, metric: Metric, unit: str) -> str:
    kind = {"positive": "positive ", "negative": "negative "}.get(
        _SHARES.get(base_name(metric.name), "all"), ""
    )
    return _sealed(rows, unit, kind)


def _sealed(count: int, unit: str, kind: str = "") -> str:
    return f"{count:,} {kind}sealed {unit}{'' if count == 1 else 's'}"


def _no_target(objective: Objective, unit: str) -> str:
    return f"{objective} has no target: more sealed {unit}s would only narrow its interval"


def _unknown(objective: Objective, n: int, unit: str) -> str:
    return (
        f"whether {_sealed(n, unit)} can certify {objective} is known once a baseline shows how "
        f"much it varies from row to row"
    )


def _undecidable(
    objective: Objective, metric: Metric, rows: int, positives: float, unit: str
) -> str:
    text = f"{_rows(rows, metric, unit)} cannot certify {objective}: "
    if objective.target == metric.best:
        return text + "no number of rows shows that a model is perfect; lower the target"
    text += "only a practically perfect model would pass; "
    enough = _enough(objective, metric, positives)
    if enough is None:
        return text + f"seal more {unit}s or lower the target"
    value, count = enough
    enough_rows = _rows(count, metric, unit)
    return text + f"with {enough_rows} a model of {value:.3g} would, or lower the target"


def _enough(objective: Objective, metric: Metric, positives: float) -> tuple[float, int] | None:
    """A value halfway between target and perfection, and the rows with which it would pass."""
    assert objective.target is not None
    value = (objective.target + metric.best) / 2
    name, confidence = base_name(metric.name), objective.confidence
    count = None
    if name in _SHARES and 0 < objective.target < 1:
        count = power.rate_rows(objective.target, value, power=POWER, confidence=confidence)
    elif name == "roc_auc":
        count = power.auc_rows(
            objective.target, value, positives, power=POWER, confidence=confidence
        )
    return None if count is None else (value, count)
