"""Wider and narrower forms of a parameter. Pure; every result is valid or None."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from attain.core.space import (
    Categorical,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    between,
    snap,
)
from attain.core.space_scale import SCALES, backward, forward, grid_value

Number = Float | Int
Side = Literal["low", "high"]

LEAST_FACTOR, MOST_FACTOR = 2.0, 10.0  # of one widening on a scale that is not linear
LEAST_CHANGE = 0.05  # of the range; less is not worth a new version of the space


def position(parameter: Number, value: Scalar | None) -> float:
    """Where a value lies between the ends of a range, on its scale.

    Args:
        parameter: A numeric parameter.
        value: Of that parameter, possibly from an earlier, wider range.

    Returns:
        0 at the low end, 1 at the high end, beyond these outside; NaN for what is no such number.
    """
    if isinstance(value, bool | str | None):
        return math.nan
    curve = SCALES[parameter.scale]
    if not curve.above < value < curve.below:
        return math.nan
    low, high = _ends(parameter)
    return (_on_scale(parameter, value) - low) / (high - low)


def at(parameter: Number, place: float) -> float:
    """The value at a position; the inverse of `position`.

    Args:
        parameter: A numeric parameter.
        place: 0 for the low end, 1 for the high end.

    Returns:
        A value on no particular grid.
    """
    return between(parameter, place)


def widened(parameter: Number, side: Side) -> Number | None:
    """The parameter with more room on one side, never past its limits.

    Half the range is added, on the parameter's scale: on a log scale by a factor between 2 and 10,
    and on a logit scale by such a factor of the odds. A parameter that states no limits is not
    widened, for nobody knows which values beyond its range are legal.

    Args:
        parameter: A numeric parameter.
        side: Which end to move.

    Returns:
        None when there is no room.
    """
    if parameter.limits is None:
        return None
    least, most = parameter.limits
    ends = _ends(parameter)
    half = (ends[1] - ends[0]) / 2
    if parameter.scale != "linear":
        half = min(max(half, math.log(LEAST_FACTOR)), math.log(MOST_FACTOR))
    elif isinstance(parameter, Int):
        half = max(half, 1.0)
    if side == "low":
        low = _rounded(parameter, _from_scale(parameter, ends[0] - half), "low")
        return _formed(parameter, max(low, least), parameter.high)
    high = _rounded(parameter, _from_scale(parameter, ends[1] + half), "high")
    return _formed(parameter, parameter.low, min(high, most))


def narrowed(parameter: Number, low: float, high: float, keep: Scalar) -> Number | None:
    """The parameter with a smaller range that still holds one value.

    Args:
        parameter: A numeric parameter.
        low: Position of the new low end, in [0, 1].
        high: Position of the new high end, in [0, 1].
        keep: A value that must stay in range.

    Returns:
        None when the value is not in range, or hardly anything would change.
    """
    where = position(parameter, keep)
    if not 0 <= where <= 1:
        return None
    kept = float(keep)
    low, high = max(0.0, min(low, where)), min(1.0, max(high, where))
    new_low = parameter.low if low <= 0 else _rounded(parameter, at(parameter, low), "low")
    new_high = parameter.high if high >= 1 else _rounded(parameter, at(parameter, high), "high")
    new_low = min(max(new_low, parameter.low), kept)
    new_high = max(min(new_high, parameter.high), kept)
    made = _formed(parameter, new_low, new_high)
    if made is None or not made.contains(keep):
        return None
    moved = position(parameter, made.low) + 1 - position(parameter, made.high)
    return made if moved >= LEAST_CHANGE else None


def without(parameter: Categorical, choices: tuple[Scalar, ...]) -> Categorical | None:
    """The parameter without some of its choices.

    Args:
        parameter: A categorical parameter.
        choices: To leave out.

    Returns:
        None when nothing would be left or nothing would change.
    """
    left = tuple(c for c in parameter.choices if c not in choices)
    if not left or left == parameter.choices:
        return None
    default = parameter.default if parameter.default in left else None
    return replace(parameter, choices=left, default=default, prior=_kept_prior(parameter, left))


def in_words(old: Parameter, new: Parameter) -> str:
    """A change, such as ``lightgbm.learning_rate: 0.01..0.3 -> 0.003..0.3``."""
    return f"{old.name}: {_range(old)} -> {_range(new)}"


def fits(space: Space, new: Parameter) -> bool:
    """Whether a space stays sound with this form of one of its parameters.

    A range or choice that another parameter's condition needs must not disappear.

    Args:
        space: The present space.
        new: Another form of one of its parameters.

    Returns:
        False if a condition would lose one of its values.
    """
    old = space[new.name]
    needed = [v for p in space for c in p.when if c.parent == new.name for v in c.values]
    return all(new.contains(v) for v in needed if old.contains(v))


def _range(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical | Ordinal):
        return ", ".join(map(str, parameter.choices))
    return f"{parameter.low:g}..{parameter.high:g}"


def _formed(parameter: Number, low: float, high: float) -> Number | None:
    """With these ends: on the grid of the old range, in limits, default inside; None if unsound."""
    low, high = _on_grid(parameter, low, high)
    if isinstance(parameter, Int):
        low, high = math.ceil(low - 1e-9), math.floor(high + 1e-9)
        if high <= low:  # a range needs two values; the second is a neighbour within the old range
            low, high = (low, low + 1) if low + 1 <= parameter.high else (low - 1, low)
    if not low < high or (low, high) == (parameter.low, parameter.high):
        return None
    if parameter.step is not None and parameter.step > high - low:
        return None
    curve = SCALES[parameter.scale]
    if not curve.above < low < high < curve.below:
        return None
    made = _with_ends(parameter, low, high)
    if parameter.default is None:
        return made
    if isinstance(made, Int):
        return replace(made, default=int(snap(made, parameter.default)))
    return replace(made, default=snap(made, parameter.default))


def _with_ends(parameter: Number, low: float, high: float) -> Number:
    if isinstance(parameter, Int):
        return replace(parameter, low=int(low), high=int(high), default=None)
    return replace(parameter, low=float(low), high=float(high), default=None)


def _on_grid(parameter: Number, low: float, high: float) -> tuple[float, float]:
    """Ends moved inwards, except the old ones, so that old grid points stay grid points."""
    step = parameter.step
    if step is None:
        return low, high
    start = parameter.low
    down = math.ceil((low - start) / step - 1e-9)
    up = math.floor((high - start) / step + 1e-9)
    new_low = max(grid_value(start, step, down), low) if down else start
    new_high = parameter.high
    if high != parameter.high:
        new_high = min(grid_value(start, step, up), high)
    # a widening by less than one step is none
    return new_low, max(new_high, parameter.high) if high > parameter.high else new_high


def _rounded(parameter: Number, value: float, side: Side) -> float:
    """Two significant digits of what matters on the scale, outwards, for people to read."""
    size = _size(parameter, value)
    unit = 10.0 ** (math.floor(math.log10(size)) - 1)
    unit = max(unit, 1.0) if isinstance(parameter, Int) else unit
    steps = value / unit
    whole = math.floor(steps + 1e-9) if side == "low" else math.ceil(steps - 1e-9)
    return _tidy(whole * unit)


def _size(parameter: Number, value: float) -> float:
    """What equal steps near a value are equal shares of."""
    sizes = {
        "log": abs(value),
        "logit": min(abs(value), abs(1 - value)),
        "symlog": max(abs(value), parameter.linear_width),
    }
    return sizes.get(parameter.scale) or parameter.high - parameter.low


def _ends(parameter: Number) -> tuple[float, float]:
    return _on_scale(parameter, parameter.low), _on_scale(parameter, parameter.high)


def _on_scale(parameter: Number, value: float) -> float:
    return float(forward(parameter.scale, value, parameter.linear_width))


def _from_scale(parameter: Number, place: float) -> float:
    return float(backward(parameter.scale, place, parameter.linear_width))


def _kept_prior(parameter: Categorical, left: tuple[Scalar, ...]) -> tuple[float, ...] | None:
    """The weights of the choices that are left; None when these were not expected at all."""
    weights = zip(parameter.choices, parameter.prior or (), strict=False)
    kept = tuple(weight for choice, weight in weights if choice in left)
    return kept if sum(kept) > 0 else None


def _tidy(value: float) -> float:
    """0.30000000000000004 as people write it."""
    return float(f"{value:.14g}")
