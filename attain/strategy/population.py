"""Population-based training: bad members take over the state of good ones, and explore from there.

Jaderberg et al. 2017, "Population based training of neural networks", arXiv 1711.09846: truncation
selection (section 4.1.1: the worst fifth copies one of the best fifth; a quarter here, as
populations are small), perturbation by 0.8 or 1.2. Nobody waits for the others (algorithm 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import Float, Scalar, Space
from attain.core.types import Observed, Proposal, Signal
from attain.strategy._curves import best_until

_FACTORS = (0.8, 1.2)
_FEWEST = 4  # members, for a quarter of them to be one


@dataclass(frozen=True)
class Population:
    """Search in which members of a population change on the way; see `Adjustable`.

    Attributes:
        search: Registered name of the strategy that proposes new members.
        size: Members at a time.
        every: Steps between two looks at a member, at least 1.
        continues: Goes on with paused trials by its proposals.
    """

    search: str = "bayes"
    size: int = 8
    every: int = 10
    continues: bool = True

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """New members until the population is complete, then those that wait, the least far first.

        Args:
            space: Where to search.
            history: All trials so far.
            n: How many are wanted.
            seed: Of all random choices.

        Returns:
            Configurations; with a parent where a member goes on.
        """
        waiting = sorted(filter(_waits, history), key=lambda o: (o.step, o.trial))
        running = sum(o.status == "running" and bool(o.adjustable) for o in history)
        missing = max(0, min(n, self.size - len(waiting) - running)) if waiting else n
        new: tuple[Proposal, ...] = find("strategy", self.search)().propose(
            space, history, missing, seed
        )
        going = (self._next(space, o, waiting, history, seed) for o in waiting)
        return (*new, *going)[:n]

    def judge(
        self, history: Sequence[Observed], running: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Signal]:
        """PAUSE whenever a member has made so many steps more; others run to their end.

        Args:
            history: Trials so far, the running ones among them.
            running: Losses after each step of the running or paused trials.

        Returns:
            Signals of those that are to wait for their turn.
        """
        able = {o.trial for o in history if o.adjustable}
        return {
            trial: Signal.PAUSE
            for trial, losses in running.items()
            if trial in able and len(losses) % self.every == 0
        }

    def _next(
        self,
        space: Space,
        member: Observed,
        waiting: Sequence[Observed],
        history: Sequence[Observed],
        seed: int,
    ) -> Proposal:
        """How a member goes on: as it is, or as a changed copy of one of the best."""
        ranked = sorted(_reached(member, history), key=lambda pair: pair[0])
        quarter = len(ranked) // _FEWEST
        place = next(i for i, (_, name) in enumerate(ranked) if name == member.trial)
        best = {name for _, name in ranked[:quarter]}
        able = [o for o in waiting if o.trial in best]
        if place < len(ranked) - quarter or not able:
            return Proposal(member.config, f"{member.trial} goes on", parent=member.trial)
        rng = np.random.default_rng(derive(seed, "exploit", member.trial))
        source = able[int(rng.integers(len(able)))]
        config = {**source.config, **_explored(space, source, rng)}
        reason = (
            f"{member.trial}, number {place + 1} of {len(ranked)} at step {member.step}, takes over"
            f" the state of {source.trial} and changes {', '.join(source.adjustable)}"
        )
        return Proposal(config, reason, parent=member.trial, origin=source.trial)


def _waits(seen: Observed) -> bool:
    return seen.step > 0


def _reached(member: Observed, history: Sequence[Observed]) -> Iterator[tuple[float, str]]:
    """The best losses of all that have come as far, with their names; the member among them."""
    for seen in history:
        found = best_until(seen.curve, member.step)
        if found is not None and seen.adjustable == member.adjustable:
            yield found, seen.trial


def _explored(space: Space, source: Observed, rng: np.random.Generator) -> dict[str, Scalar]:
    """New values of what may change, within their ranges."""
    found: dict[str, Scalar] = {}
    for parameter in space:
        if parameter.name in source.adjustable and isinstance(parameter, Float):
            value = float(source.config[parameter.name]) * float(rng.choice(_FACTORS))
            found[parameter.name] = min(max(value, parameter.low), parameter.high)
    return found
