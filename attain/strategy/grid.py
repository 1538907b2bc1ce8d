"""Every combination of some values of each parameter, conditions respected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging
from attain.strategy._encode import Cube
from attain.strategy._tree import SMALL, Tree, is_finite


@dataclass(frozen=True)
class Grid(Unjudging):
    """Grid search; combinations are computed when asked for, so that any size is possible.

    They are visited in an order that spreads over the whole grid, so that a budget smaller than
    the grid still covers it. There are no known-good defaults: the grid is exactly what it says.

    Attributes:
        levels: Values of each number without a step, evenly spaced on its scale, ends included;
            at least 2. A number with a step gets all its steps.
    """

    levels: int = 4

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """The next n combinations that are not in the history.

        Args:
            space: What to visit.
            history: All trials so far, running and failed ones too.
            n: How many are wanted.
            seed: Not used: a grid has nothing random.

        Returns:
            New configurations; fewer than n when the grid is exhausted.
        """
        cube, tree = Cube(space), grid_tree(space, self.levels)
        seen = cube.keys(observed.config for observed in history)
        proposals: list[Proposal] = []
        for place, index in enumerate(_spread(tree.size), 1):
            if len(proposals) == n:
                break
            config = tree.at(index)
            if cube.key(config) not in seen:
                proposals.append(Proposal(config, f"grid point {place} of {tree.size}"))
        return tuple(proposals)


def grid_tree(space: Space, levels: int) -> Tree:
    """The grid over a space.

    Args:
        space: What to visit.
        levels: Values of each number without a step.

    Returns:
        All configurations of a small finite space, else the grid's.
    """
    if is_finite(space) and (complete := Tree(space)).size <= SMALL:
        return complete
    return Tree(space, levels)


def _spread(size: int) -> Iterator[int]:
    """All numbers below `size`, once each, every stretch of them spread evenly."""
    stride = max(1, size * 618_033_988_749_895 // 10**15)  # the golden ratio: least clumping
    while math.gcd(stride, size) != 1:
        stride += 1
    return (place * stride % size for place in range(size))
