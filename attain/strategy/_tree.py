"""A space as a tree whose leaves are configurations: counted exactly, reached by number.

Nothing is listed: the number of leaves under each branch is computed once per combination of those
parents that later parameters still depend on, so trees of any size cost next to nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from attain.core.space import (
    Categorical,
    Config,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    holds,
    snap,
)

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
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            return parameter.choices[index]
        if not self.thin:
            return snap(parameter, parameter.low + index * (parameter.step or 1))
        return _spaced(parameter, index / (self.count - 1))


def _spaced(parameter: Float | Int, share: float) -> float | int:
    low, high = parameter.low, parameter.high
    log = parameter.scale == "log"
    value = low * (high / low) ** share if log else low + (high - low) * share
    return snap(parameter, float(f"{value:.12g}"))  # 0.1 rather than 0.09999999999999998


def is_finite(space: Space) -> bool:
    """Whether no parameter is a continuum."""
    return not any(isinstance(p, Float) and p.step is None for p in space)


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
        """Number of configurations; exact, however large."""
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
        return (self.at(i) for i in range(self.size))

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


def _values(parameter: Parameter, levels: int | None) -> Values:
    if isinstance(parameter, Categorical | Ordinal):
        return Values(parameter, len(parameter.choices))
    step = parameter.step or (1 if isinstance(parameter, Int) else None)
    if step is not None:
        count = math.floor((parameter.high - parameter.low) / step + 1e-9) + 1
        if parameter.step is not None or levels is None or count <= levels:
            return Values(parameter, count)
    assert levels is not None, "a continuum cannot be listed without a number of levels"
    places = {_spaced(parameter, k / (levels - 1)) for k in range(levels)}
    # a narrow integer range on a log scale has fewer values than places: then visit them all
    return Values(parameter, levels, thin=True) if len(places) == levels else _all(parameter)


def _all(parameter: Float | Int) -> Values:
    return Values(parameter, int(parameter.high - parameter.low) + 1)


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
    assert isinstance(parameter, Float | Int)
    near = round((wanted - parameter.low) / (parameter.step or 1))
    return [near] if 0 <= near < values.count and values[near] == wanted else []
