"""Latin hypercubes: every slice of every axis is visited once (McKay, Beckman and Conover 1979)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attain.core.seeds import derive
from attain.core.types import Proposal
from attain.strategy._encode import Cube
from attain.strategy._initial import along
from attain.strategy._opening import Drawing

_FIRST, _LARGEST = 8, 256  # points of the first hypercube, and of the largest


class Lhs(Drawing):
    """Latin hypercube search after the known-good defaults.

    Hypercubes follow each other: of 8 points, of 8, 16, 32, 64, 128, and then of 256 each. Within
    each, every axis is cut in as many slices as there are points, and each slice is visited once.
    """

    def _stream(self, cube: Cube, asked: int, seed: int) -> Iterator[Proposal]:
        def sequence(first: int) -> Iterator[np.ndarray]:
            return _chunks(cube.draws, seed, first)

        return along(cube, sequence, asked, "Latin hypercube point")


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
