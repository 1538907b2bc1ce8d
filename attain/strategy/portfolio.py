"""Two searches that fail on different problems, taken in turns.

A Gaussian process learns fast where losses are smooth, and is misled where they have steps, ties or
many equal valleys; densities of good trials do not mind. Every fourth proposal comes from the
densities, and both learn from all trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attain.core.registry import find
from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging


@dataclass(frozen=True)
class Portfolio(Unjudging):
    """Turns between a leading strategy and another.

    Attributes:
        leader: Registered name of the strategy that makes most proposals.
        other: Registered name of the one that makes the rest.
        every: One proposal in so many is the other's, at least 2.
        after: Trials before the other's first.
    """

    leader: str = "bayes"
    other: str = "tpe"
    every: int = 4
    after: int = 12

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations; whose turn it is depends on the length of the history alone.

        Args:
            space: Where to search.
            history: All trials so far, running and failed ones too.
            n: How many are wanted.
            seed: Of all random choices.

        Returns:
            New configurations, each with its maker in the reason; fewer than n when a discrete
            space is exhausted.
        """
        trials = list(history)
        found: list[Proposal] = []
        while len(found) < n:
            name = self._turn(len(trials))
            made = find("strategy", name)().propose(space, tuple(trials), 1, seed)
            if not made:
                break
            found.append(replace(made[0], reason=f"{name}: {made[0].reason}"))
            trials.append(Observed(f"next {len(found)}", made[0].config, "running"))
        return tuple(found)

    def _turn(self, number: int) -> str:
        others = number >= self.after and number % self.every == 0
        return self.other if others else self.leader
