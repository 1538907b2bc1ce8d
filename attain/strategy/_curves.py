"""Curves of fits, and the strategies that judge a fit under way by those before it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attain.core.registry import find
from attain.core.space import Space
from attain.core.types import Observed, Proposal, Signal


def best_until(curve: Sequence[tuple[int, float]], step: int) -> float | None:
    """The smallest loss of a curve up to a step.

    Args:
        curve: Steps, increasing, and losses.
        step: The last one that counts.

    Returns:
        None where the curve ends earlier, or begins later.
    """
    if not curve or curve[-1][0] < step:
        return None
    return min((loss for at, loss in curve if at <= step), default=None)


def is_milestone(step: int) -> bool:
    """Whether a step is the first beyond another power of 7/6, so that looks grow with the log.

    Args:
        step: From 1.

    Returns:
        True for the first nine steps, then ever more rarely.
    """
    return step == 1 or int(math.log(step, 7 / 6)) > int(math.log(step - 1, 7 / 6))


@dataclass(frozen=True)
class Judging(ABC):
    """A search whose fits may end early; what to try is another strategy's business.

    Attributes:
        search: Registered name of the strategy that proposes.
    """

    search: str = "bayes"

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations, as the strategy `search` proposes them.

        Args:
            space: Where to search.
            history: All trials so far.
            n: How many are wanted.
            seed: Of all random choices.

        Returns:
            New configurations.
        """
        found: tuple[Proposal, ...] = find("strategy", self.search)().propose(
            space, history, n, seed
        )
        return found

    def judge(
        self, history: Sequence[Observed], running: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Signal]:
        """PAUSE for each trial that is behind at the step it has come to, STOP for hopeless ones.

        A paused trial goes on once it is no longer behind, which is the promotion of successive
        halving (Li et al. 2020, arXiv 1810.05934, algorithm 2) for every rule of this kind.

        Args:
            history: Trials so far; those with a curve are what running ones are compared with.
            running: Losses after each step of the running or paused trials.

        Returns:
            Signals of those that are not to go on.
        """
        found = {}
        for trial, losses in running.items():
            if not self.looks(trial, len(losses)):
                continue
            signal = self._told(losses, [o for o in history if o.trial != trial])
            if signal is not Signal.CONTINUE:
                found[trial] = signal
        return found

    @abstractmethod
    def looks(self, trial: str, step: int) -> bool:
        """Whether a fit is compared after a step; before it, there is no need to ask.

        Args:
            trial: Its id.
            step: From 1.

        Returns:
            False where `judge` would let it go on whatever its losses.
        """

    @abstractmethod
    def _told(self, losses: Sequence[float], others: Sequence[Observed]) -> Signal:
        """What a fit is told, given its losses after each step, and other trials."""


class Ranking(Judging):
    """Compares the best loss so far with the best losses of others at the same step."""

    def _told(self, losses: Sequence[float], others: Sequence[Observed]) -> Signal:
        known = [best_until(o.curve, len(losses)) for o in others]
        return self._ranked(min(losses), sorted(value for value in known if value is not None))

    @abstractmethod
    def _ranked(self, own: float, others: Sequence[float]) -> Signal:
        """What a fit is told, given the best losses up to here, increasing."""
