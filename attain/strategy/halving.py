"""Asynchronous successive halving: at each rung only the best third goes on.

Li et al. 2020, "A system for massively parallel hyperparameter tuning", arXiv 1810.05934, in its
stopping form: a fit that reaches a rung continues when it is among the best 1/eta of all that have
reached it, and ends otherwise; nobody waits for a rung to fill, and nothing is paused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attain.core.seeds import derive
from attain.strategy._curves import Ranking


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

    def _looks(self, trial: str, step: int) -> bool:
        rung = self.first * self.eta ** (derive(0, "bracket", trial) % self.brackets)
        while rung < step:
            rung *= self.eta
        return rung == step

    def _worse(self, own: float, others: Sequence[float]) -> bool:
        allowed = (len(others) + 1) // self.eta
        return allowed > 0 and sum(value <= own for value in others) >= allowed


@dataclass(frozen=True)
class Hyperband(Halving):
    """Successive halving with three brackets, the last of which ends fits late only."""

    brackets: int = 3
