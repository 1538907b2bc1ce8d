"""What every strategy but grid begins with, and how all of them avoid asking twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attain.core.seeds import derive
from attain.core.space import Categorical, Scalar, Space
from attain.core.types import Observed, Proposal
from attain.strategy._encode import Cube, Key
from attain.strategy._tree import Tree, is_finite

ROOT = "learner"  # the categorical parameter that chooses between known-good defaults
_TRIES = 25  # draws without anything new before the remaining points are listed
_LONG = 100_000  # the same where listing is impossible; practically never reached
_LISTED = 1_000  # how many remaining points a random choice is made among


def root(space: Space) -> Categorical | None:
    """The parameter that chooses the learner, if the space has one."""
    for parameter in space:
        if parameter.name == ROOT and isinstance(parameter, Categorical) and not parameter.when:
            return parameter
    return None


def defaults(space: Space) -> tuple[Proposal, ...]:
    """The known-good starts: one per learner, the space's own first.

    Args:
        space: The space.

    Returns:
        Proposals; just one when the space has no parameter called ``learner``.
    """
    chooser = root(space)
    if chooser is None:
        return (Proposal(space.defaults(), "known-good default"),)
    first = chooser.default if chooser.default is not None else chooser.choices[0]
    choices = sorted(chooser.choices, key=lambda c: c != first)  # stable: the rest keeps its order
    others = [p for p in space.parameters if p.name != ROOT]
    found = []
    for choice in choices:
        fixed = Space((replace(chooser, default=choice), *others), space.version)
        found.append(Proposal(fixed.defaults(), f"known-good default of {choice}"))
    return tuple(found)


def pending_defaults(cube: Cube, history: Sequence[Observed]) -> tuple[Proposal, ...]:
    """Those known-good starts that have not been asked for.

    Args:
        cube: The space.
        history: All trials so far.

    Returns:
        Proposals, in order.
    """
    configs = [observed.config for observed in history]
    waiting = [p for p in defaults(cube.space) if p.config not in configs]
    if waiting and configs:  # perhaps asked for under an earlier version of the space
        seen = cube.keys(configs)
        waiting = [p for p in waiting if cube.key(p.config) not in seen]
    return tuple(waiting)


@dataclass(frozen=True)
class Fresh:
    """Keeps proposals new on spaces where two draws can be equal.

    Attributes:
        cube: The space.
        seen: Keys of what was asked before; grows with what is taken.
    """

    cube: Cube
    seen: set[Key]

    @classmethod
    def after(cls, cube: Cube, history: Sequence[Observed]) -> Fresh:
        """Knows the trials of a history, running ones too; none where draws never repeat."""
        return cls(cube, cube.keys(o.config for o in history) if cube.repeats else set())

    def accept(self, config: dict[str, Scalar]) -> bool:
        """Whether a configuration is new; it is not the next time."""
        if not self.cube.repeats:
            return True
        key = self.cube.key(config)
        if key is None or key in self.seen:
            return False
        self.seen.add(key)
        return True

    def take(self, draws: Iterable[Proposal], n: int, seed: int) -> tuple[Proposal, ...]:
        """The first n new ones of a stream, then from a list of all points that remain.

        Args:
            draws: An endless stream of proposals.
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
        """Up to n of the points that remain in a finite space, chosen by the seed.

        Args:
            n: How many are wanted.
            seed: Of the choice.

        Returns:
            None when the space is not finite or has been exhausted.
        """
        if not is_finite(self.cube.space):
            return ()
        new = (c for c in Tree(self.cube.space) if self.cube.key(c) not in self.seen)
        listed = list(itertools.islice(new, max(n, _LISTED)))
        order = np.random.default_rng(derive(seed, "rest", len(self.seen))).permutation(len(listed))
        chosen = [listed[i] for i in order[:n]]
        self.seen.update(self.cube.keys(chosen))
        return tuple(Proposal(c, "one of the last points not tried yet") for c in chosen)


def sobol_rows(dimensions: int, seed: int, first: int = 0, chunk: int = 64) -> Iterator[np.ndarray]:
    """The scrambled Sobol sequence from a place on: `scipy.stats.qmc.Sobol` with this seed.

    Args:
        dimensions: Number of parameters, at least 1.
        seed: Of the scrambling.
        first: Index of the first point.
        chunk: How many points are computed at a time.

    Yields:
        Points in [0, 1), each of shape (dimensions,).
    """
    from scipy.stats import qmc  # half a second to import, and a grid or a plan needs none of it

    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if first:
        engine.fast_forward(first)
    while True:
        yield from engine.random(chunk)


def sobol_draws(cube: Cube, history_length: int, seed: int) -> Iterator[Proposal]:
    """Proposals along the scrambled Sobol sequence, continuing where a history left off.

    Args:
        cube: The space.
        history_length: How many trials were asked for, the known-good defaults among them.
        seed: Of the study.

    Yields:
        Proposals without end; a space without parameters gives its only point for ever.
    """
    if not len(cube):
        yield from itertools.repeat(Proposal({}, "the only point of the space"))
    first = max(0, history_length - len(defaults(cube.space)))
    for index, row in enumerate(sobol_rows(len(cube), seed, first), first + 1):
        yield Proposal(cube.decode(row), f"scrambled Sobol point {index}")
