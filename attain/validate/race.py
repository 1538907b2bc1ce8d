"""Whether the remaining folds of a configuration are worth their cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attain.core.errors import DataError
from attain.core.types import Direction, Split, SplitKind
from attain.stats import sequential
from attain.stats.interval import error_of
from attain.validate import metrics
from attain.validate._dealing import codes
from attain.validate._linear import LINEAR

ERROR = 0.05
"""Chance, over a study, that the configuration which all folds would put first is dropped."""
FEWEST_FOLDS = 3


@dataclass(frozen=True)
class Gap:
    """How far one configuration is behind another, on the folds that both have.

    Attributes:
        metric: Name of a quality metric.
        difference: In metric units, positive when behind; over the rows of the folds together.
        error: Standard error of the difference from its rows; infinite where the metric cannot be
            linearised.
        spread: Variance of the difference between folds; None for a single fold.
        ratio: That variance over what the rows of a fold predict; None where one is not known.
        units: Independent rows or groups.
        chance: Of such a difference if the complete one were not above zero.
    """

    metric: str
    difference: float
    error: float
    spread: float | None = None
    ratio: float | None = None
    units: int = 0
    chance: float = 1.0


@dataclass(frozen=True)
class Race:
    """A look at a configuration under way, beside the best complete one.

    Attributes:
        rival: Trial it is compared with.
        folds: Folds known.
        total: All folds.
        level: What every gap's chance must not exceed for the rest to be saved.
        factor: Assumed variance between folds over what rows explain.
        gaps: One for each metric in which the rival could still be overtaken.
        dropped: Whether the rest is saved.
        loss: What the whole would give, as far as can be told; None for complete trials.
        noise: Standard error of that loss.
    """

    rival: str
    folds: int
    total: int
    level: float
    factor: float
    gaps: tuple[Gap, ...]
    dropped: bool = False
    loss: float | None = None
    noise: float | None = None

    def __str__(self) -> str:
        parts = [f"{g.metric} behind {self.rival} by {g.difference:.3g}" for g in self.gaps]
        worst = max((g.chance for g in self.gaps), default=1.0)
        return (
            f"raced out after {self.folds} of {self.total} folds: {', '.join(parts)}"
            f" (p = {worst:.1g}, needed {self.level:.1g})"
        )


def unsound(split: Split) -> str:
    """Why configurations cannot be raced over the folds of a split.

    Args:
        split: How rows are divided.

    Returns:
        A clause, or an empty string when they can.
    """
    if split.kind is SplitKind.TIME:
        return "folds in order of time differ by more than chance"
    if split.jobs < FEWEST_FOLDS:
        return f"a race needs at least {FEWEST_FOLDS} folds, there are {split.jobs}"
    return ""


def gap(
    metric: str,
    direction: Direction,
    y: Sequence[np.ndarray],
    a: Sequence[np.ndarray],
    b: Sequence[np.ndarray],
    groups: Sequence[np.ndarray] | None = None,
) -> Gap | None:
    """Compare two configurations on the folds that both have.

    Args:
        metric: Name of a quality metric.
        direction: Which way it is better.
        y: Class codes or values of each fold's rows.
        a: Predictions of the configuration in question, fold by fold.
        b: Predictions of the other.
        groups: Group of each row, fold by fold; None when rows are independent.

    Returns:
        The difference and how sure it is; None where the metric is undefined on these rows.
    """
    sign = -1.0 if direction is Direction.MAXIMIZE else 1.0
    families = [None] * len(y) if groups is None else [codes(g) for g in groups]
    together = None if groups is None else codes(np.concatenate(groups))
    try:
        whole = _paired(metric, np.concatenate(y), np.concatenate(a), np.concatenate(b), together)
        each = [_paired(metric, *fold) for fold in zip(y, a, b, families, strict=True)]
    except DataError:
        return None
    made = Gap(metric, sign * whole[0], whole[1], units=whole[2])
    if len(each) < 2:
        return made
    spread = float(np.var([d for d, _, _ in each], ddof=1))
    explained = float(np.mean([e**2 for _, e, _ in each]))
    ratio = spread / explained if 0 < explained < math.inf else None
    return replace(made, spread=spread, ratio=ratio)


def _paired(
    metric: str, y: np.ndarray, a: np.ndarray, b: np.ndarray, clusters: np.ndarray | None
) -> tuple[float, float, int]:
    """Difference, its standard error from the rows, and the number of independent units."""
    base, argument = metrics.parse(metric)
    if base not in LINEAR:
        pair = [metrics.compute(metric, y, p) for p in (a, b)]
        return pair[0] - pair[1], math.inf, len(y)
    y, a = metrics.checked(metric, y, a)
    _, b = metrics.checked(metric, y, b)
    (value_a, u_a), (value_b, u_b) = (LINEAR[base](y, p, argument) for p in (a, b))
    error, units = error_of(u_a - u_b, clusters, 1)
    return value_a - value_b, error, int(units)


def look(
    rival: str,
    gaps: Iterable[Gap],
    *,
    folds: int,
    total: int,
    rivals: int,
    past: Iterable[Race],
    error: float = ERROR,
) -> Race:
    """Decide whether the folds that are left are worth their cost.

    A loss never falls when every metric gets worse, so the configuration is behind for certain when
    it is behind in each metric: all chances must be small, and no error is added up over metrics.

    Args:
        rival: Trial it was compared with.
        gaps: One for each metric in which the rival could be overtaken.
        folds: Folds known.
        total: All folds.
        rivals: Configurations among which the rival is the best.
        past: Earlier looks at configurations of the same family.
        error: See `ERROR`.

    Returns:
        The look; `dropped` is never set without a gap, or once all folds are known.
    """
    seen = [(g.ratio, r.folds - 1.0) for r in past for g in r.gaps if g.ratio is not None]
    known = sequential.dispersion(seen)
    tested = tuple(_tested(g, folds, total, known) for g in gaps)
    limit = sequential.level(error, max(rivals, 1), folds, total)
    dropped = folds < total and bool(tested) and all(g.chance <= limit for g in tested)
    return Race(rival, folds, total, limit, known.factor, tested, dropped)


def _tested(found: Gap, folds: int, total: int, known: sequential.Dispersion) -> Gap:
    """The chance of the gap, by its rows and, from three folds on, by its own folds if they say
    more."""
    if math.isfinite(found.error):
        factor, freedom = known.factor, min(known.freedom, found.units - 1)
        if folds > 2 and found.ratio is not None:
            factor = max(factor, found.ratio)
        error = found.error * math.sqrt(factor)
    else:
        error = math.inf if found.spread is None else math.sqrt(found.spread / folds)
        freedom = folds - 1
    return replace(found, chance=sequential.chance(found.difference, error, folds, total, freedom))
