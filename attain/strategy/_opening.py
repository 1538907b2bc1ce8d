"""How searches begin, and what they fall back on when all they want was asked for."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from attain.core.space import Space
from attain.core.types import Observed, Proposal
from attain.strategy._base import Unjudging
from attain.strategy._cache import Encoded, cube_of, encoded
from attain.strategy._encode import Cube
from attain.strategy._initial import Fresh, defaults, pending_defaults, sobol_draws
from attain.strategy._threads import single_threaded

Lesson = TypeVar("Lesson")


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

    @classmethod
    def of(cls, past: Encoded, n: int, seed: int) -> Opening:
        """Begin with the known-good defaults that have not been asked for."""
        fresh = Fresh.after(past.cube, past.asked)
        waiting = pending_defaults(past.cube, past.history, past.asked)
        found = [p for p in waiting if fresh.accept(dict(p.config))][:n]
        return cls(past, n, seed, fresh, found)

    @property
    def asked(self) -> int:
        """How many trials there will have been before the next one."""
        return len(self.past.history) + len(self.found)

    @property
    def open(self) -> bool:
        """Whether more are wanted."""
        return len(self.found) < self.n

    def draw(self, draws: Iterable[Proposal], most: int) -> None:
        """Take new proposals of a stream.

        Args:
            draws: A stream of proposals.
            most: How many at most; never more than are wanted.
        """
        count = min(most, self.n - len(self.found))
        if count > 0:
            self.found += self.fresh.take(draws, count, self.seed)

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
        cube, before = self.past.cube, len(self.found)
        for row in rows:
            config = cube.decode(row)
            if self.fresh.accept(config):
                self.found.append(Proposal(config, reason))
                return True
        self.draw(sobol_draws(cube, self.asked, self.seed), 1)
        return len(self.found) > before


class Drawing(Unjudging, ABC):
    """A search that learns nothing: known-good defaults, then a stream of points."""

    learns = False

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
        cube = cube_of(space)
        if not cube.repeats and _has_defaults(cube, history):
            # nothing of the history matters but its length, however long it is
            stream = self._stream(cube, len(history), seed)
            return Fresh.after(cube, frozenset()).take(stream, n, seed)
        begun = Opening.of(encoded(space, history), n, seed)
        begun.draw(self._stream(begun.past.cube, begun.asked, seed), n)
        return tuple(begun.found)

    @abstractmethod
    def _stream(self, cube: Cube, asked: int, seed: int) -> Iterator[Proposal]:
        """Proposals from a place on, the known-good defaults counted."""


def _has_defaults(cube: Cube, history: Sequence[Observed]) -> bool:
    """Whether all known-good defaults have been asked for; they stand at the beginning."""
    wanted = {cube.key(p.config) for p in defaults(cube.space)}
    first = itertools.islice(history, 2 * len(wanted))
    return wanted <= {cube.key(observed.config) for observed in first}


class Learning(Unjudging, ABC, Generic[Lesson]):
    """A search that learns: known-good defaults, evenly spread points, then what it learnt."""

    def propose(
        self, space: Space, history: Sequence[Observed], n: int, seed: int
    ) -> tuple[Proposal, ...]:
        """Up to n configurations.

        Args:
            space: Where to search.
            history: All trials so far, running and failed ones too, also those of earlier
                versions of the space.
            n: How many are wanted.
            seed: Of all random choices.

        Returns:
            New configurations; fewer than n when a discrete space is exhausted.
        """
        past = encoded(space, history)
        begun, lesson = Opening.of(past, n, seed), self._lesson(past)
        most = n
        if lesson is not None:
            most = len(defaults(space)) + self._starts(lesson) - begun.asked
        begun.draw(sobol_draws(past.cube, begun.asked, seed), most)
        if begun.open and lesson is not None:
            with single_threaded():
                self._go_on(begun, lesson)
        return tuple(begun.found)

    @abstractmethod
    def _lesson(self, past: Encoded) -> Lesson | None:
        """What a history teaches; None while that is nothing."""

    @abstractmethod
    def _starts(self, lesson: Lesson) -> int:
        """How many evenly spread points follow the known-good defaults."""

    @abstractmethod
    def _go_on(self, begun: Opening, lesson: Lesson) -> None:
        """Find the rest of the proposals; fewer when the space is exhausted."""
