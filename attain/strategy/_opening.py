"""How searches that learn begin, and what they fall back on when all they want was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from attain.core.types import Proposal
from attain.strategy._cache import Encoded
from attain.strategy._initial import Fresh, defaults, pending_defaults, sobol_draws


@dataclass
class Opening:
    """The proposals of one call, as they are found.

    Attributes:
        past: The history.
        n: How many are wanted.
        seed: Of the study.
        fresh: Keeps proposals new.
        found: So far.
    """

    past: Encoded
    n: int
    seed: int
    fresh: Fresh
    found: list[Proposal] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How many trials there will have been before the next one."""
        return len(self.past.history) + len(self.found)

    @property
    def open(self) -> bool:
        """Whether more are wanted."""
        return len(self.found) < self.n

    def rows(self) -> np.ndarray:
        """Points of the proposals found so far, shape (m, d)."""
        cube = self.past.cube
        rows = [row for p in self.found if (row := cube.encode(p.config)) is not None]
        return np.array(rows, dtype=float).reshape(len(rows), len(cube))

    def add(self, rows: Iterable[np.ndarray], reason: str) -> bool:
        """Take the first new one of some settled points, else the next evenly spread one.

        Args:
            rows: Points in order of preference, each of shape (d,).
            reason: Why it is proposed.

        Returns:
            False when the space is exhausted.
        """
        cube = self.past.cube
        for row in rows:
            config = cube.decode(row)
            if self.fresh.accept(config):
                self.found.append(Proposal(config, reason))
                return True
        draws = sobol_draws(cube, self.asked, self.seed)
        spare = self.fresh.take(draws, 1, self.seed)
        self.found += spare
        return bool(spare)


def opening(past: Encoded, n: int, seed: int, starts: int, blind: bool) -> Opening:
    """Known-good defaults, then evenly spread points.

    Args:
        past: The history.
        n: How many proposals are wanted.
        seed: Of the study.
        starts: Evenly spread points after the defaults.
        blind: Whether the history teaches nothing yet, so that all n must be found here.

    Returns:
        What was found; fewer than n when it is time to learn.
    """
    cube, history = past.cube, past.history
    keys = {key for key in past.keys if key is not None} if cube.repeats else set()
    begun = Opening(past, n, seed, Fresh(cube, keys))
    waiting = pending_defaults(cube, history, past.keys)
    begun.found += [p for p in waiting if begun.fresh.accept(dict(p.config))][:n]
    spread = len(defaults(cube.space)) + starts - begun.asked
    wanted = n - len(begun.found) if blind else min(max(spread, 0), n - len(begun.found))
    if wanted > 0:
        draws = sobol_draws(cube, begun.asked, seed)
        begun.found += begun.fresh.take(draws, wanted, seed)
    return begun
