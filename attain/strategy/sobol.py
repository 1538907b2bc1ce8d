"""Evenly spread points: the scrambled Sobol sequence (Owen 1998) over all parameters."""

from __future__ import annotations

from collections.abc import Sequence

from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging
from attain.strategy._encode import Cube
from attain.strategy._initial import Fresh, pending_defaults, sobol_draws


class Sobol(Unjudging):
    """Quasi-random search after the known-good defaults.

    The sequence fills the cube of all parameters; those that are not active at a point are left
    out of its configuration.
    """

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations; the sequence continues where the history left off.

        Args:
            space: What to cover.
            history: All trials so far, running and failed ones too.
            n: How many are wanted.
            seed: Of the scrambling.

        Returns:
            New configurations; fewer than n when a discrete space is exhausted.
        """
        cube = Cube(space)
        fresh = Fresh.after(cube, history)
        starts = [p for p in pending_defaults(cube, history) if fresh.accept(dict(p.config))][:n]
        draws = sobol_draws(cube, len(history) + len(starts), seed)
        return (*starts, *fresh.take(draws, n - len(starts), seed))
