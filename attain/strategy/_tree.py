"""A space as a tree whose leaves are configurations: counted exactly, reached by number.

Nothing is listed: the number of leaves under each branch is computed once per combination of those
parents that later parameters still depend on, so trees of any size cost next to nothing. Leaves
that a clause of the space forbids have numbers, too; whoever visits the tree skips them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from attain.core.space import (
    Categorical,
    Clause,
    Config,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    between,
    holds,
    level_value,
    levels,
    snap,
)
from attain.core.space_clauses import broken

SMALL = 256  # a finite space up to this size can be visited completely


@dataclass(frozen=True)
class Values:
    """The values that a grid visits of one parameter, computed when asked for.

    Attributes:
        parameter: The parameter.
        count: How many values.
        thin: Whether a number is visited at evenly spaced places only, not at each step.
    """

    parameter: Parameter
    count: int
    thin: bool = False

    def __getitem__(self, index: int) -> Scalar:
        if not self.thin:
            return level_value(self.parameter, index)
        return _spaced(self.parameter, index / (self.count - 1))


def _spaced(parameter: Parameter, share: float) -> float | int:
    assert isinstance(parameter, Float | Int), "choices are all visited"
    if share in (0, 1):
        return snap(parameter, parameter.high if share else parameter.low)
    value = between(parameter, share)
    return snap(parameter, float(f"{value:.12g}"))  # 0.1 rather than 0.09999999999999998


def is_finite(space: Space) -> bool:
    """Whether no parameter is a continuum."""
    return all(levels(p) for p in space)


@dataclass(frozen=True)
class Tree:
    """The configurations of a space, numbered.

    Attributes:
        space: The space.
        levels: How many evenly spaced values a number without a step gets, at least 2; None for
            every integer, which only a space without continuous parameters permits.
    """

    space: Space
    levels: int | None = None

    @cached_property
    def size(self) -> int:
        """Number of leaves, exact, however large: of configurations, and where the space has
        clauses of what these forbid, too."""
        return self._count(0, {})

    def at(self, index: int) -> dict[str, Scalar]:
        """The configuration with a number.

        Args:
            index: In [0, size).

        Returns:
            Values of the active parameters.
        """
        config: dict[str, Scalar] = {}
        for i, parameter in enumerate(self._order):
            if not all(holds(c, config) for c in parameter.when):
                continue
            for start, count in self._runs[i]:
                value = self._values[i][start]
                below = self._count(i + 1, {**config, parameter.name: value})
                if index < count * below:
                    step, index = divmod(index, below)
                    config[parameter.name] = self._values[i][start + step]
                    break
                index -= count * below
        return config

    def __iter__(self) -> Iterator[dict[str, Scalar]]:
        """All configurations in the order of their numbers, without those that a clause forbids."""
        return self._walk(0, {})

    def _walk(self, i: int, config: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        """The leaves below a branch; branches that break a clause are not entered."""
        if i == len(self._order):
            yield config
            return
        parameter = self._order[i]
        if not all(holds(c, config) for c in parameter.when):
            yield from self._walk(i + 1, config)
            return
        for index in range(self._values[i].count):
            below = {**config, parameter.name: self._values[i][index]}
            if not broken(self._due[i], below):
                yield from self._walk(i + 1, below)

    @cached_property
    def _due(self) -> Sequence[Sequence[Clause]]:
        """Per position, the clauses whose last parameter this is."""
        place = {p.name: i for i, p in enumerate(self._order)}
        last = [max(place[name] for name in clause.names) for clause in self.space.clauses]
        pairs = list(zip(last, self.space.clauses, strict=True))
        return [[clause for at, clause in pairs if at == i] for i in range(len(self._order))]

    @cached_property
    def _order(self) -> Sequence[Parameter]:
        """Parents first and children right behind them, so that few parents matter at a time."""
        done: dict[str, Parameter] = {}
        ordered = self.space.ordered

        def visit(parameter: Parameter) -> None:
            done[parameter.name] = parameter
            for child in ordered:
                parents = {c.parent for c in child.when}
                if child.name not in done and parameter.name in parents and parents <= set(done):
                    visit(child)

        for parameter in ordered:
            if not parameter.when:
                visit(parameter)
        return tuple(done.values())

    @cached_property
    def _values(self) -> Sequence[Values]:
        return [_values(p, self.levels) for p in self._order]

    @cached_property
    def _runs(self) -> Sequence[Sequence[tuple[int, int]]]:
        """Per parameter, runs (start, count) of values that have the same children."""
        decisive: dict[str, list[Scalar]] = {}
        for parameter in self._order:
            for condition in parameter.when:
                decisive.setdefault(condition.parent, []).extend(condition.values)
        return [
            _runs(values, decisive.get(p.name, []))
            for p, values in zip(self._order, self._values, strict=True)
        ]

    @cached_property
    def _needed(self) -> Sequence[tuple[str, ...]]:
        """Per position, the earlier parents that this or a later parameter depends on."""
        needed = []
        for i in range(len(self._order) + 1):
            earlier = {p.name for p in self._order[:i]}
            later = {c.parent for p in self._order[i:] for c in p.when}
            needed.append(tuple(sorted(earlier & later)))
        return needed

    @cached_property
    def _counts(self) -> dict[tuple[object, ...], int]:
        return {}

    def _count(self, i: int, config: Config) -> int:
        """Number of ways to continue from parameter i, given the values before it."""
        if i == len(self._order):
            return 1
        parents = ((type(config.get(name)), config.get(name)) for name in self._needed[i])
        key = (i, *parents)
        if key not in self._counts:
            parameter = self._order[i]
            if all(holds(c, config) for c in parameter.when):
                total = sum(
                    count * self._count(i + 1, {**config, parameter.name: self._values[i][start]})
                    for start, count in self._runs[i]
                )
            else:
                total = self._count(i + 1, config)
            self._counts[key] = total
        return self._counts[key]


def _values(parameter: Parameter, wanted: int | None) -> Values:
    """The values to visit; of a number without a step not more than are wanted."""
    count = levels(parameter)
    stepped = isinstance(parameter, Categorical | Ordinal) or parameter.step is not None
    if count and (stepped or wanted is None or count <= wanted):
        return Values(parameter, count)
    assert wanted is not None, "a continuum cannot be listed without a number of levels"
    places = {_spaced(parameter, k / (wanted - 1)) for k in range(wanted)}
    # a narrow integer range on a log scale has fewer values than places: then visit them all
    thin = len(places) == wanted
    return Values(parameter, wanted if thin else max(count, 2), thin=thin or not count)


def _runs(values: Values, decisive: Sequence[Scalar]) -> list[tuple[int, int]]:
    if not decisive:
        return [(0, values.count)]
    if isinstance(values.parameter, Categorical | Ordinal):
        return [(i, 1) for i in range(values.count)]
    marks = {0, values.count}
    for value in decisive:
        if isinstance(value, int | float):
            marks |= {i + d for i in _indices(values, value) for d in (0, 1)}
    edges = sorted(marks)
    return [(a, b - a) for a, b in itertools.pairwise(edges)]


def _indices(values: Values, wanted: float) -> list[int]:
    if values.thin:
        return [i for i in range(values.count) if values[i] == wanted]
    parameter = values.parameter
    assert isinstance(parameter, Float | Int), "choices have runs of one"
    near = round((wanted - parameter.low) / (parameter.step or 1))
    return [near] if 0 <= near < values.count and values[near] == wanted else []
