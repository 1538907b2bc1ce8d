"""Extrapolation: a fit ends when it will hardly fall below the best fit that ran to its end.

The forecast rests on how finished fits went on from the same step (`stats.extrapolate`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attain.core.types import Observed, Signal
from attain.stats.extrapolate import Falls, chance_of_fall
from attain.strategy._curves import Judging

_GROWTH = 1.5  # of the steps from look to look
_MEANINGLESS = 1e-3  # of what the best has gained since the first step


@dataclass(frozen=True)
class Curves(Judging):
    """Search whose fits end when they are next to certain to stay behind.

    Attributes:
        first: Steps that every fit is granted; looks follow whenever half as many are added.
        fewest: Fits that must have run to their end.
        chance: Of becoming the best, below which a fit is paused.
        hopeless: The same, below which it ends for good.
    """

    first: int = 10
    fewest: int = 3
    chance: float = 0.05
    hopeless: float = 0.01

    def looks(self, trial: str, step: int) -> bool:
        """Whether a fit is compared after a step; as `Judging.looks` says."""
        return self._mark(step) > self._mark(step - 1)

    def _mark(self, step: int) -> int:
        if step < self.first:
            return -1
        return math.floor(math.log(step / self.first, _GROWTH) + 1e-9)

    def _told(self, losses: Sequence[float], others: Sequence[Observed]) -> Signal:
        finished = [o.curve for o in others if o.status == "done" and _finite(o.curve)]
        if len(finished) < self.fewest or not np.isfinite(losses).all():
            return Signal.CONTINUE
        step, own = len(losses), np.minimum.accumulate(losses)
        ends = [min(loss for _, loss in curve) for curve in finished]
        start = float(np.median([curve[0][1] for curve in finished]))
        came = [(c, end) for c, end in zip(finished, ends, strict=True) if c[-1][0] >= step]
        before = [_at(curve, step) for curve, _ in came]
        then = np.array(before).reshape(-1, 3)
        here, half, quarter = (float(own[max(step // part, 1) - 1]) for part in (1, 2, 4))
        chance = chance_of_fall(
            here - min(ends),
            early=quarter - half,
            late=half - here,
            past=Falls(then[:, 0] - then[:, 1], then[:, 1] - then[:, 2]),
            rest=then[:, 2] - np.array([end for _, end in came]),
            unit=_MEANINGLESS * max(start - min(ends), np.finfo(float).tiny),
        )
        if chance >= self.chance:
            return Signal.CONTINUE
        return Signal.PAUSE if chance >= self.hopeless else Signal.STOP


def _finite(curve: Sequence[tuple[int, float]]) -> bool:
    return bool(curve) and all(math.isfinite(loss) for _, loss in curve)


def _at(curve: Sequence[tuple[int, float]], step: int) -> tuple[float, float, float]:
    """The best loss after a quarter, half and all of the steps, between looks in the log of steps.

    A curve holds the best loss of about forty steps (`pipeline.racing.curve_of`).
    """
    steps = np.log([at for at, _ in curve])
    best = np.minimum.accumulate([loss for _, loss in curve])
    wanted = np.log([max(step // 4, 1), max(step // 2, 1), step])
    quarter, half, here = np.interp(wanted, steps, best)
    return float(quarter), float(half), float(here)
