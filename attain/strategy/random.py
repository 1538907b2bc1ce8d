"""Independent draws, uniform on each parameter's scale (Bergstra and Bengio 2012).

Where a parameter has a prior, three of four draws follow it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from attain.core.seeds import derive
from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging
from attain.strategy._encode import Cube
from attain.strategy._initial import Fresh, draws, pending_defaults, permitted


class Random(Unjudging):
    """Random search after the known-good defaults."""

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations; trial k of a study is the same however they are asked for.

        Args:
            space: Where to draw.
            history: All trials so far, running and failed ones too.
            n: How many are wanted.
            seed: Of the study.

        Returns:
            New configurations; fewer than n when a discrete space is exhausted.
        """
        cube = Cube(space)
        fresh = Fresh.after(cube, history)
        starts = [p for p in pending_defaults(cube, history) if fresh.accept(dict(p.config))][:n]
        stream = _draws(cube, len(history) + len(starts), seed)
        return (*starts, *fresh.take(stream, n - len(starts), seed))


def _draws(cube: Cube, first: int, seed: int) -> Iterator[Proposal]:
    """Proposals from the stream of trial `first` on; each trial has a generator of its own."""
    for index in itertools.count(first):
        points = permitted(cube, draws(cube, derive(seed, "random", index)))
        row = next((row for _, row in points), None)
        if row is None:  # next to nothing is permitted
            return
        yield Proposal(cube.decode(row), "drawn at random")
