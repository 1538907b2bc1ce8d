"""One parameter as an axis of the unit cube."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attain.core.space import (
    Categorical,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    level_value,
    levels,
    snap,
)
from attain.core.space_scale import SCALES, backward, forward, grid_digits

_REACH = (-1.0, 2.0)  # how far outside of the cube evidence from an older space may lie
_TABLED = 4096  # values of a grid whose positions are computed once
_COARSE = 4  # values of a number between which one jumps instead of climbing
_EXACT_DIGITS = 15  # decimal places to which an array can be rounded to what literals say


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

    @property
    def climbed(self) -> bool:
        """Whether slopes lead to better values: those of a number that are not few."""
        return not self.listed and (self.levels == 0 or self.levels > _COARSE)

    def position(self, value: Scalar) -> float:
        """Where a value lies; outside of [0, 1] if it is out of range, negative if unknown."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            return (self.level(value) + 0.5) / self.levels
        curve, number = SCALES[parameter.scale], float(value)
        if number <= curve.above:
            return _REACH[0]
        if number >= curve.below:
            return _REACH[1]
        place = forward(parameter.scale, number, parameter.linear_width)
        return float(min(max((place - self.start) / self.width, _REACH[0]), _REACH[1]))

    def level(self, value: Scalar) -> int:
        """Which of the `levels` a value is; -1 for an unknown choice."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            same = (i for i, c in enumerate(parameter.choices) if _identical(c, value))
            return next(same, -1)
        if isinstance(value, int) and not isinstance(parameter, Float):
            return (value - parameter.low) // int(parameter.step or 1)  # exact, however large
        return round((float(value) - parameter.low) / (parameter.step or 1))

    def value(self, position: float) -> Scalar:
        """The value at a position in [0, 1]."""
        parameter = self.parameter
        if isinstance(parameter, Categorical | Ordinal):
            return parameter.choices[min(int(position * self.levels), self.levels - 1)]
        place = self.start + position * self.width
        return snap(parameter, backward(parameter.scale, place, parameter.linear_width))

    def settle(self, positions: np.ndarray) -> np.ndarray:
        """Move positions to the nearest that stand for a value, shape (m,)."""
        positions = np.clip(positions, 0.0, 1.0)
        if not self.levels:
            return positions
        if self.listed:
            cells = np.minimum(np.floor(positions * self.levels), self.levels - 1)
            return np.asarray((cells + 0.5) / self.levels)
        if self._centres is None:
            return self.places(self.numbers(positions))
        steps = self._steps(positions)
        unknown = np.isnan(steps)
        settled = self._centres[np.where(unknown, 0, steps).astype(int)]
        return np.where(unknown, np.nan, settled) if unknown.any() else settled

    def numbers(self, positions: np.ndarray) -> np.ndarray:
        """Values of a number at positions in [0, 1], on its grid and in its range, shape (m,)."""
        if self.levels:
            return self._gridded(self._steps(positions))
        low, high = float(self._number.low), float(self._number.high)
        return np.asarray(np.clip(self._unscaled(positions), low, high))

    def _unscaled(self, positions: np.ndarray) -> np.ndarray:
        places = self.start + positions * self.width
        return np.asarray(backward(self._number.scale, places, self._number.linear_width, np))

    def _steps(self, positions: np.ndarray) -> np.ndarray:
        """Which value of a number's grid is nearest, shape (m,)."""
        low, step = float(self._number.low), float(self._number.step or 1)
        found = np.round((self._unscaled(positions) - low) / step)
        return np.asarray(np.clip(found, 0, self.levels - 1))

    def _gridded(self, steps: np.ndarray) -> np.ndarray:
        """Values of a number's grid, shape (m,)."""
        exact = float(self._number.low) + steps * float(self._number.step or 1)
        return np.asarray(exact if self._digits is None else np.round(exact, self._digits))

    @cached_property
    def _centres(self) -> np.ndarray | None:
        """Positions of all values of a number's grid; None where they are too many for a table."""
        if self.levels > _TABLED:
            return None
        return self.places(self._gridded(np.arange(self.levels, dtype=float)))

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Positions of values of a number that lie in its scale's domain, shape (m,)."""
        parameter = self._number
        on_scale = forward(parameter.scale, numbers, parameter.linear_width, np)
        return np.asarray((on_scale - self.start) / self.width)

    def cells(self, positions: np.ndarray) -> np.ndarray:
        """Lower and upper edges of the cells of a number's values, shape (2, m)."""
        parameter = self._number
        numbers, half = self.numbers(positions), float(parameter.step or 1) / 2
        edges = np.stack([numbers - half, numbers + half])
        curve = SCALES[parameter.scale]
        inside = (edges > curve.above) & (edges < curve.below)
        ends = np.array([[0.0], [1.0]])
        return np.asarray(np.clip(np.where(inside, self._safe_places(edges, inside), ends), 0, 1))

    def _safe_places(self, numbers: np.ndarray, inside: np.ndarray) -> np.ndarray:
        return self.places(np.where(inside, numbers, self.numbers(np.array(0.5))))

    @property
    def _number(self) -> Float | Int:
        parameter = self.parameter
        assert not isinstance(parameter, Categorical | Ordinal), "choices are no numbers"
        return parameter

    @cached_property
    def _digits(self) -> int | None:
        """Decimal places of the grid's literals; None where rounding would not be exact."""
        parameter = self.parameter
        if not isinstance(parameter, Float) or parameter.step is None:
            return None
        digits = grid_digits(parameter.low, parameter.step)
        return digits if digits <= _EXACT_DIGITS else None


def axis(parameter: Parameter) -> Axis:
    """The axis of a parameter.

    Args:
        parameter: Any parameter.

    Returns:
        Its axis; grids get a margin of half a step so that all values are equally likely.
    """
    count = levels(parameter)
    if isinstance(parameter, Categorical | Ordinal):
        return Axis(parameter, count, 0.0, 1.0)
    low, high = float(parameter.low), float(parameter.high)
    curve, width = SCALES[parameter.scale], parameter.linear_width
    if count:
        half = (parameter.step or 1) / 2
        last = float(level_value(parameter, count - 1))
        # a scale cannot reach the end of its domain, so a step that would gets a smaller margin
        low = max(low - half, (low + curve.above) / 2)
        high = min(last + half, (last + curve.below) / 2)
    start, end = (forward(parameter.scale, edge, width) for edge in (low, high))
    return Axis(parameter, count, float(start), float(end - start))


def _identical(a: Scalar, b: Scalar) -> bool:
    return a == b and type(a) is type(b)
