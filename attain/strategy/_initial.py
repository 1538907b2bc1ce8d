"""What every strategy but grid begins with, and how all of them avoid asking twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from attain.core.seeds import derive
from attain.core.space import Scalar, Space
from attain.core.types import Observed, Proposal
from attain.strategy._encode import Cube, Key
from attain.strategy._tree import Tree, is_finite

_TRIES = 25  # draws without anything new before the remaining points are listed
_LONG = 100_000  # the same where listing is impossible; practically never reached
_CHUNK = 64  # points that are looked at together
_LISTED = 1_000  # how many remaining points a random choice is made among


_MOST_BRANCHES = 12  # a choice of more is not tried value by value


def defaults(space: Space) -> tuple[Proposal, ...]:
    """The known-good starts: one per learner, or per branch of the space, its own first.

    Where a start has a ladder (`Space.ladders`), there is one for each of its open rungs, the
    lowest first: a rung that was opened later is tried at its own defaults before anything else.

    On problems whose parameters depend on a choice (YAHPO's rbv2_xgboost, three boosters), trying
    each choice with its defaults lowered the regret after 25 evaluations by a quarter.

    Args:
        space: The space.

    Returns:
        Proposals; just one when no choice decides which parameters exist, and none for a choice
        whose defaults a clause forbids.
    """
    return tuple(p for start in _branches(space) for p in _rungs(space, start))


def _branches(space: Space) -> Iterator[Proposal]:
    chooser = space.root
    if chooser is None or len(chooser.choices) > _MOST_BRANCHES:
        yield Proposal(space.defaults(), "known-good default")
        return
    first = chooser.default if chooser.default is not None else chooser.choices[0]
    for choice in sorted(chooser.choices, key=lambda c: c != first):  # the rest keeps its order
        config = space.defaults({chooser.name: choice})
        if space.allows(config):
            yield Proposal(config, f"known-good default of {choice}")


def _rungs(space: Space, start: Proposal) -> Iterator[Proposal]:
    """A start on each open rung of its ladder, or itself."""
    ladder = next((p for p in space.ladders if p.name in start.config), None)
    if ladder is None:
        yield start
        return
    for rung in ladder.choices:
        config = space.defaults({**start.config, ladder.name: rung})
        if space.allows(config):
            yield Proposal(config, f"known-good default of {rung}")


def pending_defaults(
    cube: Cube, history: Sequence[Observed], asked: frozenset[Key] | None = None
) -> tuple[Proposal, ...]:
    """Those known-good starts that have not been asked for.

    Args:
        cube: The space.
        history: All trials so far.
        asked: Their keys, where they are known already.

    Returns:
        Proposals, in order.
    """
    if asked is None:
        asked = frozenset(cube.keys(observed.config for observed in history))
    return tuple(p for p in defaults(cube.space) if cube.key(p.config) not in asked)


@dataclass(frozen=True)
class Fresh:
    """Keeps proposals new on spaces where two draws can be equal.

    Attributes:
        cube: The space.
        asked: Keys of what was asked before.
        taken: Keys of what was taken since.
    """

    cube: Cube
    asked: frozenset[Key]
    taken: set[Key] = field(default_factory=set)

    @classmethod
    def after(cls, cube: Cube, asked: frozenset[Key]) -> Fresh:
        """Knows the trials of a history, running ones too; none where draws never repeat."""
        return cls(cube, asked if cube.repeats else frozenset())

    def accept(self, config: dict[str, Scalar]) -> bool:
        """Whether a configuration is new and keeps all clauses; it is not new the next time."""
        if not self.cube.repeats:
            return True
        if not self.cube.space.allows(config):
            return False
        key = self.cube.key(config)
        if key is None or key in self.asked or key in self.taken:
            return False
        self.taken.add(key)
        return True

    def take(self, draws: Iterable[Proposal], n: int, seed: int) -> tuple[Proposal, ...]:
        """The first n new ones of a stream, then from a list of all points that remain.

        Args:
            draws: A stream of proposals that ends only where clauses leave next to nothing.
            n: How many are wanted.
            seed: Of the choice among the remaining points.

        Returns:
            Up to n; fewer only when every point of the space has been asked for.
        """
        taken: list[Proposal] = []
        finite = is_finite(self.cube.space)
        stream = iter(draws)
        while len(taken) < n:
            tries = itertools.islice(stream, _TRIES if finite else _LONG)
            found = next((p for p in tries if self.accept(dict(p.config))), None)
            if found is None:
                return (*taken, *self.rest(n - len(taken), seed))
            taken.append(found)
        return tuple(taken)

    def rest(self, n: int, seed: int) -> tuple[Proposal, ...]:
        """Up to n of the points that remain, chosen by the seed.

        Args:
            n: How many are wanted.
            seed: Of the choice.

        Returns:
            None when a finite space has been exhausted. Of one that is not finite, random points
            that its clauses permit; without clauses none, for other draws are as good.
        """
        place, cube = derive(seed, "rest", len(self.asked) + len(self.taken)), self.cube
        if not is_finite(cube.space):
            return self._drawn(n, place) if cube.space.clauses else ()
        seen = self.asked | self.taken
        new = (c for c in Tree(cube.space) if cube.key(c) not in seen)
        listed = list(itertools.islice(new, max(n, _LISTED)))
        order = np.random.default_rng(place).permutation(len(listed))
        chosen = [listed[i] for i in order[:n]]
        self.taken.update(cube.keys(chosen))
        return tuple(Proposal(c, "one of the last points not tried yet") for c in chosen)

    def _drawn(self, n: int, seed: int) -> tuple[Proposal, ...]:
        configs = (self.cube.decode(row) for _, row in permitted(self.cube, draws(self.cube, seed)))
        new = itertools.islice(filter(self.accept, itertools.islice(configs, _LONG)), n)
        return tuple(Proposal(c, "drawn from what the clauses leave") for c in new)


def draws(cube: Cube, seed: int) -> Iterator[np.ndarray]:
    """Independent uniform points without end.

    Args:
        cube: The space.
        seed: Of the points.

    Yields:
        Points in [0, 1): one of shape (1, draws), then many at a time.
    """
    generator = np.random.default_rng(seed)
    for count in itertools.chain((1,), itertools.repeat(_CHUNK)):
        yield generator.random((count, cube.draws))


def permitted(cube: Cube, chunks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Those points of a sequence that the clauses of a space permit, following its priors.

    Args:
        cube: The space.
        chunks: Of evenly spread points in [0, 1), each of shape (m, draws).

    Yields:
        Place in the sequence and point of shape (d,); ends after a hundred thousand points of
        which none is permitted.
    """
    place, refused = 0, 0
    for points in chunks:
        rows = cube.shaped(points)
        fine = cube.allowed(cube.settle(rows)) if cube.space.clauses else np.ones(len(rows), bool)
        for offset in np.flatnonzero(fine):
            yield place + int(offset), rows[offset]
        place += len(points)
        refused = 0 if fine.any() else refused + len(points)
        if refused >= _LONG:
            return


def along(
    cube: Cube, sequence: Callable[[int], Iterator[np.ndarray]], asked: int, what: str
) -> Iterator[Proposal]:
    """Proposals along a sequence of points, continuing where a history left off.

    The k-th trial after the known-good defaults is the k-th point that the clauses permit, however
    the trials before it were asked for.

    Args:
        cube: The space.
        sequence: From a place in the sequence to chunks of points from there on.
        asked: How many trials were asked for, the known-good defaults among them.
        what: Name of the points, for the reason.

    Yields:
        Proposals without end, unless the clauses leave next to nothing; a space without parameters
        gives its only point for ever.
    """
    if not len(cube):
        yield from itertools.repeat(Proposal({}, "the only point of the space"))
    first = max(0, asked - len(defaults(cube.space)))
    start, skipped = (0, first) if cube.space.clauses else (first, 0)
    for place, row in itertools.islice(permitted(cube, sequence(start)), skipped, None):
        yield Proposal(cube.decode(row), f"{what} {start + place + 1}")


def sobol_rows(dimensions: int, seed: int, first: int = 0) -> Iterator[np.ndarray]:
    """The scrambled Sobol sequence from a place on: `scipy.stats.qmc.Sobol` with this seed.

    Args:
        dimensions: Number of coordinates, at least 1.
        seed: Of the scrambling.
        first: Index of the first point.

    Yields:
        Points in [0, 1), each of shape (dimensions,).
    """
    for chunk in _sobol_chunks(dimensions, seed, first):
        yield from chunk


def _sobol_chunks(dimensions: int, seed: int, first: int) -> Iterator[np.ndarray]:
    from scipy.stats import qmc  # half a second to import, and a grid or a plan needs none of it

    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if first:
        engine.fast_forward(first)
    while True:
        yield engine.random(_CHUNK)


def sobol_draws(cube: Cube, history_length: int, seed: int) -> Iterator[Proposal]:
    """Proposals along the scrambled Sobol sequence, continuing where a history left off.

    Args:
        cube: The space.
        history_length: How many trials were asked for, the known-good defaults among them.
        seed: Of the study.

    Returns:
        Proposals, as `along` gives them.
    """

    def sequence(first: int) -> Iterator[np.ndarray]:
        return _sobol_chunks(cube.draws, seed, first)

    return along(cube, sequence, history_length, "scrambled Sobol point")
