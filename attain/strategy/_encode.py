"""Configurations as points of the unit cube, one axis per parameter.

A number sits where it lies between its bounds on its scale; a value of a grid or a list of choices
owns a cell of the axis and sits at the cell's centre. An inactive parameter is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attain.core.space import (
    Categorical,
    Config,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    holds,
    snap,
    start_value,
)

_REACH = (-1.0, 2.0)  # how far outside of the cube evidence from an older space may lie
Key = tuple[float | int | None, ...]


@dataclass(frozen=True)
class Axis:
    """One parameter as an axis of the cube.

    Attributes:
        parameter: What it encodes.
        levels: Number of values it can take; 0 for a continuum.
        start: Lower edge on the parameter's scale.
        width: Length on the parameter's scale.
    """

    parameter: Parameter
    levels: int
    start: float
    width: float

    @property
    def listed(self) -> bool:
        """Whether the values are a list of choices, not numbers."""
        return isinstance(self.parameter, Categorical | Ordinal)

    def position(self, value: Scalar) -> float:
        """Where a value lies; outside of [0, 1] if it is out of range, negative if unknown."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            return (self.level(value) + 0.5) / self.levels
        number = float(value)
        if parameter.scale == "log":
            number = math.log(number) if number > 0 else -math.inf
        return min(max((number - self.start) / self.width, _REACH[0]), _REACH[1])

    def level(self, value: Scalar) -> int:
        """Which of the `levels` a value is; -1 for an unknown choice."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            same = (i for i, c in enumerate(parameter.choices) if _identical(c, value))
            return next(same, -1)
        return round((float(value) - parameter.low) / (parameter.step or 1))

    def value(self, position: float) -> Scalar:
        """The value at a position in [0, 1]."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            return parameter.choices[min(int(position * self.levels), self.levels - 1)]
        number = self.start + position * self.width
        return snap(parameter, math.exp(number) if parameter.scale == "log" else number)

    def settle(self, positions: np.ndarray) -> np.ndarray:
        """Move positions to the nearest that stand for a value, shape (m,)."""
        positions = np.clip(positions, 0.0, 1.0)
        if not self.levels:
            return positions
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            cells = np.minimum(np.floor(positions * self.levels), self.levels - 1)
            return np.asarray((cells + 0.5) / self.levels)
        numbers = self.start + positions * self.width
        numbers = np.exp(numbers) if parameter.scale == "log" else numbers
        step = parameter.step or 1
        steps = np.clip(np.round((numbers - parameter.low) / step), 0, self.levels - 1)
        numbers = parameter.low + steps * step
        numbers = np.log(numbers) if parameter.scale == "log" else numbers
        return np.asarray((numbers - self.start) / self.width)


def axis(parameter: Parameter) -> Axis:
    """The axis of a parameter.

    Args:
        parameter: Any parameter.

    Returns:
        Its axis; grids get a margin of half a step so that all values are equally likely.
    """
    if isinstance(parameter, Categorical | Ordinal):
        return Axis(parameter, len(parameter.choices), 0.0, 1.0)
    low, high = float(parameter.low), float(parameter.high)
    step = parameter.step or (1 if isinstance(parameter, Int) else None)
    levels = 0
    if step is not None:
        levels = math.floor((high - low) / step + 1e-9) + 1
        high = low + (levels - 1) * step + step / 2
        # a log scale cannot reach 0, so a first step larger than its start gets a smaller margin
        low = max(low - step / 2, low / 2) if parameter.scale == "log" else low - step / 2
    if parameter.scale == "log":
        low, high = math.log(low), math.log(high)
    return Axis(parameter, levels, low, high - low)


def _identical(a: Scalar, b: Scalar) -> bool:
    return a == b and type(a) is type(b)


@dataclass(frozen=True)
class Cube:
    """A space as a unit cube.

    Attributes:
        space: The space.
    """

    space: Space

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """One axis per parameter, parents first."""
        return tuple(axis(p) for p in self.space.ordered)

    @cached_property
    def column(self) -> dict[str, int]:
        """Position of each parameter's axis."""
        return {a.parameter.name: i for i, a in enumerate(self.axes)}

    @cached_property
    def parents(self) -> frozenset[str]:
        """Names of the parameters that others depend on."""
        return frozenset(c.parent for p in self.space for c in p.when)

    @cached_property
    def repeats(self) -> bool:
        """Whether two draws can be equal: no continuous parameter is always active."""
        return not any(a.levels == 0 and not a.parameter.when for a in self.axes)

    def __len__(self) -> int:
        return len(self.axes)

    def decode(self, row: np.ndarray) -> dict[str, Scalar]:
        """The configuration at a point of the cube.

        Args:
            row: Positions in [0, 1], shape (d,); those of inactive parameters are not read.

        Returns:
            Values of the active parameters.
        """
        config: dict[str, Scalar] = {}
        for one, position in zip(self.axes, row, strict=True):
            if _is_active(one.parameter, config):
                config[one.parameter.name] = one.value(float(position))
        return config

    def encode(self, config: Config) -> np.ndarray | None:
        """Where a configuration lies, also one from an earlier version of the space.

        Values out of range lie outside of the cube; a choice that is no longer offered is unlike
        all others; a parameter that did not exist yet is taken at its start value, which is what
        was used then.

        Args:
            config: Any configuration.

        Returns:
            Shape (d,), NaN where inactive; None when the configuration says nothing about this
            space, such as one of a learner that is no longer part of it.
        """
        full = self._complete(config)
        if full is None:
            return None
        row = np.full(len(self), np.nan)
        for i, one in enumerate(self.axes):
            name = one.parameter.name
            if name in full:
                row[i] = one.position(full[name])
                gone = row[i] < 0 and one.listed
                if gone and name in self.parents and not one.parameter.when:
                    return None  # a learner that is no longer offered
        return row

    def key(self, config: Config) -> Key | None:
        """What two equal configurations have in common, whichever version they were made for.

        Args:
            config: Any configuration.

        Returns:
            A hashable value; None when the configuration is not in this space.
        """
        full = self._complete(config)
        if full is None:
            return None
        parts: list[float | int | None] = []
        for one in self.axes:
            name = one.parameter.name
            if name not in full:
                parts.append(None)
            elif not one.parameter.contains(full[name]):
                return None
            else:
                parts.append(one.level(full[name]) if one.levels else float(full[name]))
        return tuple(parts)

    def keys(self, configs: Iterable[Config]) -> set[Key]:
        """Keys of those configurations that are in the space."""
        return {key for config in configs if (key := self.key(config)) is not None}

    def settle(self, rows: np.ndarray) -> np.ndarray:
        """Move points to the nearest that stand for configurations.

        Args:
            rows: Any numbers, shape (m, d).

        Returns:
            Shape (m, d), in the cube; NaN where inactive.
        """
        settled = np.array(rows, dtype=float)
        for i, one in enumerate(self.axes):
            settled[:, i] = one.settle(settled[:, i])
            for condition in one.parameter.when:
                parent = self.column[condition.parent]
                at = [self.axes[parent].position(v) for v in condition.values]
                met = np.isclose(settled[:, [parent]], at, rtol=0, atol=1e-9).any(axis=1)
                settled[~met, i] = np.nan
        return settled

    def _complete(self, config: Config) -> dict[str, Scalar] | None:
        """The active values, with start values where a number or choice is missing."""
        full: dict[str, Scalar] = {}
        missing = False
        for one in self.axes:
            name = one.parameter.name
            if not _is_active(one.parameter, full):
                continue
            value = config.get(name)
            if value is None or not (one.listed or _is_number(value)):
                value, missing = start_value(one.parameter), True
            full[name] = value
        # Both missing and surplus parameters: a configuration of something else.
        if missing and any(name not in self.column for name in config):
            return None
        return full


def _is_number(value: Scalar) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _is_active(parameter: Parameter, config: Config) -> bool:
    return all(holds(condition, config) for condition in parameter.when)
