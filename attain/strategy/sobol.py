"""Evenly spread points: the scrambled Sobol sequence (Owen 1998) over all parameters."""

from __future__ import annotations

from collections.abc import Iterator

from attain.core.types import Proposal
from attain.strategy._encode import Cube
from attain.strategy._initial import sobol_draws
from attain.strategy._opening import Drawing


class Sobol(Drawing):
    """Quasi-random search after the known-good defaults.

    The sequence fills the cube of all parameters; those that are not active at a point are left
    out of its configuration.
    """

    def _stream(self, cube: Cube, asked: int, seed: int) -> Iterator[Proposal]:
        return sobol_draws(cube, asked, seed)
