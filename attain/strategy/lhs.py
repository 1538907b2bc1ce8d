"""Latin hypercubes: every slice of every axis is visited once (McKay, Beckman and Conover 1979)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from attain.core.seeds import derive
from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging
from attain.strategy._encode import Cube
from attain.strategy._initial import Fresh, along, pending_defaults

_FIRST, _LARGEST = 8, 256  # points of the first hypercube, and of the largest


class Lhs(Unjudging):
    """Latin hypercube search after the known-good defaults.

    Hypercubes follow each other: of 8 points, of 8, 16, 32, 64, 128, and then of 256 each. Within
    each, every axis is cut in as many slices as there are points, and each slice is visited once.
    """

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations; the hypercubes continue where the history left off.

        Args:
            space: What to cover.
            history: All trials so far, running and failed ones too.
            n: How many are wanted.
            seed: Of the hypercubes.

        Returns:
            New configurations; fewer than n when a discrete space is exhausted.
        """
        cube = Cube(space)

        def sequence(first: int) -> Iterator[np.ndarray]:
            return _chunks(cube.draws, seed, first)

        fresh = Fresh.after(cube, history)
        starts = [p for p in pending_defaults(cube, history) if fresh.accept(dict(p.config))][:n]
        stream = along(cube, sequence, len(history) + len(starts), "Latin hypercube point")
        return (*starts, *fresh.take(stream, n - len(starts), seed))


def _chunks(dimensions: int, seed: int, first: int) -> Iterator[np.ndarray]:
    """The points from a place on, one hypercube at a time; each has a generator of its own."""
    from scipy.stats import qmc  # half a second to import, and a grid or a plan needs none of it

    start, size = _block(first)
    skipped = first - start
    while True:
        generator = np.random.default_rng(derive(seed, "lhs", start))
        yield qmc.LatinHypercube(dimensions, rng=generator).random(size)[skipped:]
        start, size, skipped = start + size, _block(start + size)[1], 0


def _block(place: int) -> tuple[int, int]:
    """Start and size of the hypercube that holds a place of the sequence."""
    if place < _FIRST:
        return 0, _FIRST
    if place < _LARGEST:
        size = 1 << (place.bit_length() - 1)
        return size, size
    return place // _LARGEST * _LARGEST, _LARGEST
