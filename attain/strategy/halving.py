"""Asynchronous successive halving: at each rung only the best third goes on.

Li et al. 2020, "A system for massively parallel hyperparameter tuning", arXiv 1810.05934: a fit
that reaches a rung continues when it is among the best 1/eta of all that have reached it, and is
paused otherwise; nobody waits for a rung to fill. It goes on once enough worse ones have come.
Beyond the best 2/eta it ends for good: few came back from there on real tables, and none mattered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attain.core.seeds import derive
from attain.core.types import Signal
from attain.strategy._curves import Ranking

_HOPE = 2  # times the share that goes on: who is within it may wait


@dataclass(frozen=True)
class Halving(Ranking):
    """Successive halving over boosting rounds or epochs.

    Attributes:
        first: Steps of the lowest rung; the others are `first` times powers of `eta`.
        eta: One in so many goes on at a rung, at least 2.
        brackets: Of so many trials, the first may end at every rung, the second from the second
            rung on, and so forth: a hedge against losses that tell little early (Li et al. 2018,
            Hyperband, JMLR 18, section 3).
    """

    first: int = 10
    eta: int = 3
    brackets: int = 1

    def looks(self, trial: str, step: int) -> bool:
        """Whether a fit is compared after a step; as `Judging.looks` says."""
        rung = self.first * self.eta ** (derive(0, "bracket", trial) % self.brackets)
        while rung < step:
            rung *= self.eta
        return rung == step

    def _ranked(self, own: float, others: Sequence[float]) -> Signal:
        allowed = (len(others) + 1) // self.eta
        ahead = sum(value <= own for value in others)
        if not allowed or ahead < allowed:
            return Signal.CONTINUE
        return Signal.PAUSE if ahead < _HOPE * allowed else Signal.STOP


@dataclass(frozen=True)
class Hyperband(Halving):
    """Successive halving with three brackets, the last of which ends fits late only."""

    brackets: int = 3
