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

_PATIENCE = 10_000  # forbidden points in a row


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
    learns = False  # no annotation, so that it is no field

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
        cube = Cube(space)
        seen = cube.keys(observed.config for observed in history)
        found: list[Proposal] = []
        for proposal in _points(grid_tree(space, self.levels)) if n else ():
            key = cube.key(proposal.config)
            if key in seen:
                continue
            found.append(proposal)
            if len(found) == n:
                break
            seen |= {key} if key is not None else set()
        return tuple(found)


def _points(tree: Tree) -> Iterator[Proposal]:
    """The permitted points of a grid; after long stretches without one some come twice."""
    size = f"at most {tree.size}" if tree.space.clauses else str(tree.size)
    refused = 0
    for place, index in enumerate(_spread(tree.size), 1):
        config = tree.at(index)
        if tree.space.allows(config):
            yield Proposal(config, f"grid point {place} of {size}")
            refused = 0
            continue
        refused += 1
        if refused == _PATIENCE:  # next to nothing is permitted: look for it branch by branch
            yield from (Proposal(c, f"one of {size} grid points") for c in tree)
            return


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
