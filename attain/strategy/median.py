"""The median rule: a fit ends when its best loss is worse than the median of others at that step.

Golovin et al. 2017, "Google Vizier", section 3.2.2, with the best loss so far instead of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attain.core.types import Signal
from attain.strategy._curves import Ranking, is_milestone


@dataclass(frozen=True)
class Median(Ranking):
    """Search whose fits end when they fall behind the median.

    Attributes:
        first: Steps that every fit is granted.
        fewest: Fits that must have come as far before one is judged.
    """

    first: int = 10
    fewest: int = 5

    def looks(self, trial: str, step: int) -> bool:
        """Whether a fit is compared after a step; as `Judging.looks` says."""
        return step >= self.first and is_milestone(step)

    def _ranked(self, own: float, others: Sequence[float]) -> Signal:
        half = len(others) // 2
        if len(others) < self.fewest or own <= (others[half] + others[~half]) / 2:
            return Signal.CONTINUE
        return Signal.PAUSE if own <= others[len(others) * 3 // 4] else Signal.STOP
