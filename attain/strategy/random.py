"""Independent draws, uniform on each parameter's scale (Bergstra and Bengio 2012).

Where a parameter has a prior, three of four draws follow it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from attain.core.seeds import derive
from attain.core.types import Proposal
from attain.strategy._encode import Cube
from attain.strategy._initial import draws, permitted
from attain.strategy._opening import Drawing


class Random(Drawing):
    """Random search after the known-good defaults."""

    def _stream(self, cube: Cube, asked: int, seed: int) -> Iterator[Proposal]:
        for index in itertools.count(asked):  # each trial has a generator of its own
            points = permitted(cube, draws(cube, derive(seed, "random", index)))
            row = next((row for _, row in points), None)
            if row is None:  # next to nothing is permitted
                return
            yield Proposal(cube.decode(row), "drawn at random")
