"""Scales of numbers, on which equal steps matter equally, and grids of exact decimals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from types import ModuleType
from typing import Any, Literal

Scale = Literal["linear", "log", "logit", "symlog"]

_EXACT = Context(prec=800)  # digits that any sum of two floats needs, and a few more


@dataclass(frozen=True)
class Curve:
    """One scale; ``math`` does the work for numbers, ``numpy`` for arrays.

    Attributes:
        there: From module, value and linear width to the scale.
        back: From module, place on the scale and linear width to the value.
        above: Values must be larger than this.
        below: Values must be smaller than this.
        needs: That rule in words.
        why: When to choose it.
    """

    there: Callable[[Any, Any, float], Any]
    back: Callable[[Any, Any, float], Any]
    above: float = -math.inf
    below: float = math.inf
    needs: str = ""
    why: str = ""


SCALES: Mapping[str, Curve] = {
    "linear": Curve(lambda m, x, w: x, lambda m, t, w: t, why="differences matter"),
    "log": Curve(
        lambda m, x, w: m.log(x),
        lambda m, t, w: m.exp(t),
        above=0.0,
        needs="a log scale needs low > 0",
        why="ratios matter",
    ),
    "logit": Curve(
        lambda m, x, w: m.log(x) - m.log1p(-x),
        lambda m, t, w: m.exp(t) / (1 + m.exp(t)),
        above=0.0,
        below=1.0,
        needs="a logit scale needs 0 < low and high < 1",
        why="shares near 0 or 1 matter: 0.99 is as far from 0.9 as 0.1 is from 0.01",
    ),
    "symlog": Curve(
        lambda m, x, w: m.copysign(m.log1p(abs(x) / w), x),
        lambda m, t, w: m.copysign(w * m.expm1(abs(t)), t),
        why="ratios matter on both sides of zero",
    ),
}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a float can hold; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def forward(scale: str, value: Any, width: float = 1.0, maths: ModuleType = math) -> Any:
    """Where a value lies on a scale.

    Args:
        scale: One of `SCALES`.
        value: Within the scale's domain; an array if `maths` is numpy.
        width: Of the part around zero that is about linear; symlog only.
        maths: ``math`` or ``numpy``.

    Returns:
        A number without unit, or an array of them.
    """
    return SCALES[scale].there(maths, value, width)


def backward(scale: str, place: Any, width: float = 1.0, maths: ModuleType = math) -> Any:
    """The value at a place on a scale; the inverse of `forward`.

    Args:
        scale: One of `SCALES`.
        place: On the scale; an array if `maths` is numpy.
        width: Of the part around zero that is about linear; symlog only.
        maths: ``math`` or ``numpy``.

    Returns:
        A value, or an array of them.
    """
    return SCALES[scale].back(maths, place, width)


def grid_count(low: float, high: float, step: float) -> int:
    """How many values ``low + k * step`` are not above a bound, in decimals as they are written.

    Args:
        low: First value.
        high: Bound, finite.
        step: Positive.

    Returns:
        At least 1 when low <= high: 3 for 0.1, 0.3 and 0.1, where floats would find 2.
    """
    room = _EXACT.subtract(_decimal(high), _decimal(low))
    return int(_EXACT.divide_int(room, _decimal(step))) + 1


def grid_value(low: float, step: float, index: int) -> float:
    """One value of a grid: the float whose literal is the exact decimal sum.

    Args:
        low: First value.
        step: Between two values.
        index: Which one, from 0.

    Returns:
        0.3 for 0.1, 0.1 and 2, where floats would give 0.30000000000000004.
    """
    return float(_EXACT.add(_decimal(low), _EXACT.multiply(Decimal(index), _decimal(step))))


def grid_digits(low: float, step: float) -> int:
    """Decimal places that the values of a grid have at most."""
    exponents = (_decimal(x).as_tuple().exponent for x in (low, step))
    return max(0, *(-e for e in exponents if isinstance(e, int)))


def _decimal(value: float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))
