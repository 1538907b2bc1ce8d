"""What a search space is made of: numbers on scales, choices, and when each of them exists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from attain.core.errors import Problem, did_you_mean
from attain.core.space_scale import (
    SCALES,
    Scale,
    backward,
    forward,
    grid_count,
    grid_value,
    is_number,
)

Scalar = bool | int | float | str
Config = Mapping[str, Scalar]
Effect = Literal["", "capacity", "regularisation", "speed"]

_LINEAR_SHARE = 1e-3  # of the larger bound: the linear part of a symlog scale that states none


@dataclass(frozen=True)
class Condition:
    """A parameter exists only while its parent has one of these values.

    Attributes:
        parent: Name of another parameter of the space.
        values: Values of the parent that make the parameter active.
    """

    parent: str
    values: tuple[Scalar, ...]

    def __str__(self) -> str:
        return f"{self.parent} is " + " or ".join(str(v) for v in self.values)


@dataclass(frozen=True, kw_only=True)
class _Described:
    """What all parameters say of themselves.

    Attributes:
        name: Unique in the space.
        when: All must hold for the parameter to be active.
        unit: Of the value.
        source: Where range and default come from.
        effect: What a larger value does to the model; used when refining.
        priority: 1 tuned first, 3 tuned only with a large budget, above 3 only on request.
    """

    name: str
    when: tuple[Condition, ...] = ()
    unit: str = ""
    source: str = ""
    effect: Effect = ""
    priority: int = 1

    @property
    def _tail(self) -> str:
        return f", when {' and '.join(map(str, self.when))}" if self.when else ""


@dataclass(frozen=True, kw_only=True)
class _Number(_Described):
    """What float and int parameters share.

    Attributes:
        low: Smallest value.
        high: Largest value; a grid ends at its last value that is not larger.
        default: Known-good start.
        scale: ``log`` when ratios matter more than differences, ``logit`` for shares that matter
            near 0 and near 1, ``symlog`` for ratios on both sides of zero.
        scale_width: Up to which size values count linearly on a symlog scale; None for a
            thousandth of the larger bound.
        step: Values are the decimals ``low + k * step``, exactly; None for no grid.
        limits: The widest range that makes sense; a refinement never widens past it.
        prior: Where good values are expected: a value, and a standard deviation on the scale
            (on a log scale 0.7 is a factor of 2 either way, 2.3 a factor of 10).
    """

    low: float
    high: float
    default: float | None = None
    scale: Scale = "linear"
    scale_width: float | None = None
    step: float | None = None
    limits: tuple[float, float] | None = None
    prior: tuple[float, float] | None = None

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        start = f", starting at {self.default:g}" if self.default is not None else ""
        ends = f"{self.low:g} to {self.high:g}{unit}{self._scale_words}{self._step_words}"
        return f"{self.name}: {ends}{start}{self._prior_words}{self._tail}"

    @property
    def linear_width(self) -> float:
        """The linear part of a symlog scale."""
        if self.scale_width is not None:
            return self.scale_width
        return _LINEAR_SHARE * max(abs(self.low), abs(self.high)) or 1.0

    def contains(self, value: Any) -> bool:
        """Whether the value is a number within the range and on the grid."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not (self.low <= value <= self.high):
            return False
        if not self.step:
            return True
        steps = (value - self.low) / self.step
        if not math.isfinite(steps):
            return False
        near = grid_value(self.low, self.step, round(steps))
        return abs(near - value) <= 4 * math.ulp(max(abs(self.low), abs(self.high)))

    @property
    def _scale_words(self) -> str:
        if self.scale == "symlog":
            return f" (symlog, linear within {self.linear_width:g})"
        return "" if self.scale == "linear" else f" ({self.scale})"

    @property
    def _step_words(self) -> str:
        if not self.step:
            return ""
        last = grid_value(self.low, self.step, grid_count(self.low, self.high, self.step) - 1)
        return f" in steps of {self.step:g}" + (f", last {last:g}" if last < self.high else "")

    @property
    def _prior_words(self) -> str:
        if self.prior is None:
            return ""
        on = "" if self.scale == "linear" else f" on the {self.scale} scale"
        return f", expected near {self.prior[0]:g} ± {self.prior[1]:g}{on}"

    def _problems(self) -> Iterable[Problem]:
        bounds = f"[{self.low}, {self.high}]"
        if not (is_number(self.low) and is_number(self.high)):
            yield Problem("bounds must be finite numbers", bounds, self.name, "state both bounds")
            return
        if not self.low < self.high:
            remedy = "swap the bounds, or give a fixed value instead of a parameter"
            yield Problem("low must be below high", bounds, self.name, remedy)
        elif not is_number(self.high - self.low):
            rule = "the distance of the bounds must be a finite number"
            yield Problem(rule, bounds, self.name, "use nearer bounds")
        if self.step is not None and not (
            is_number(self.step)
            and 0 < self.step <= self.high - self.low
            and is_number((self.high - self.low) / self.step)
        ):
            rule = "a step must be positive and no larger than the range"
            yield Problem(rule, str(self.step), self.name, "use a smaller step")
        if (
            self.limits is not None
            and not self.limits[0] <= self.low <= self.high <= self.limits[1]
        ):
            rule, remedy = "limits must enclose the range", f"widen them to cover {bounds}"
            yield Problem(rule, str(self.limits), self.name, remedy)
        yield from self._scale_problems()

    def _scale_problems(self) -> Iterable[Problem]:
        curve = SCALES.get(self.scale)
        if curve is None:
            remedy = did_you_mean(str(self.scale), list(SCALES))
            yield Problem("a scale must be known", str(self.scale), self.name, remedy)
            return
        if not (curve.above < self.low and self.high < curve.below):
            value = str(self.low) if self.low <= curve.above else str(self.high)
            remedy = "use a bound a little inside, or the linear scale"
            yield Problem(curve.needs, value, self.name, remedy)
        if self.scale_width is not None:
            if self.scale != "symlog":
                rule, remedy = "scale_width is for the symlog scale", "leave it out"
                yield Problem(rule, str(self.scale_width), self.name, remedy)
            elif not (is_number(self.scale_width) and self.scale_width > 0):
                rule, remedy = "scale_width must be a positive number", "state where values matter"
                yield Problem(rule, str(self.scale_width), self.name, remedy)
        if self.prior is not None and not self._is_prior():
            rule = "a prior is a value on the scale and a positive spread"
            remedy = "write it as (value, spread)"
            yield Problem(rule, str(self.prior), self.name, remedy)

    def _is_prior(self) -> bool:
        curve, prior = SCALES[self.scale], self.prior
        return (
            isinstance(prior, tuple)
            and len(prior) == 2
            and all(map(is_number, prior))
            and curve.above < prior[0] < curve.below
            and prior[1] > 0
        )


@dataclass(frozen=True, kw_only=True)
class Float(_Number):
    """A real number in [low, high]."""

    kind: Literal["float"] = "float"


@dataclass(frozen=True, kw_only=True)
class Int(_Number):
    """An integer in [low, high]."""

    low: int
    high: int
    default: int | None = None
    kind: Literal["int"] = "int"

    def contains(self, value: Any) -> bool:
        """Whether the value is an integer within the range and on the grid."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        inside = self.low <= value <= self.high
        return inside and (not self.step or (value - self.low) % self.step == 0)

    def _problems(self) -> Iterable[Problem]:
        yield from super()._problems()
        for what, number in (("low", self.low), ("high", self.high), ("step", self.step)):
            if number is not None and is_number(number) and number != int(number):
                rule = f"{what} of an int parameter must be a whole number"
                yield Problem(rule, str(number), self.name, "round it, or use a float parameter")


@dataclass(frozen=True, kw_only=True)
class _Choice(_Described):
    """What categorical and ordinal parameters share.

    Attributes:
        choices: At least one, all different.
        default: Known-good start.
        prior: How likely each choice is to be good: one weight for each, of any sum.
    """

    choices: tuple[Scalar, ...]
    default: Scalar | None = None
    prior: tuple[float, ...] | None = None

    _joiner = ", "

    def __str__(self) -> str:
        start = f", starting at {self.default}" if self.default is not None else ""
        listed = self._joiner.join(map(str, self.choices))
        prior = f", expected as {' : '.join(f'{w:g}' for w in self.prior)}" if self.prior else ""
        return f"{self.name}: {listed}{start}{prior}{self._tail}"

    def contains(self, value: Any) -> bool:
        """Whether the value is one of the choices, of the same type."""
        return any(value == c and type(value) is type(c) for c in self.choices)

    def _problems(self) -> Iterable[Problem]:
        if not self.choices:
            rule = "choices must not be empty"
            yield Problem(rule, "()", self.name, "list at least one value")
        strange = [c for c in self.choices if not _is_scalar(c)]
        if strange:
            rule = "choices must be text, finite numbers or booleans"
            yield Problem(rule, ", ".join(map(repr, strange)), self.name, "leave them out")
            return
        keys = [(type(c).__name__, c) for c in self.choices]
        if len(set(keys)) != len(keys):
            rule = "choices must all be different"
            yield Problem(rule, str(self.choices), self.name, "remove the repeated value")
        if self.prior is not None and not self._is_prior():
            rule = "a prior has one weight for each choice, none negative, not all zero"
            remedy = f"give {len(self.choices)} weights"
            yield Problem(rule, str(self.prior), self.name, remedy)

    def _is_prior(self) -> bool:
        weights = self.prior
        if not isinstance(weights, tuple) or not all(map(is_number, weights)):
            return False
        return len(weights) == len(self.choices) and min(weights) >= 0 and sum(weights) > 0


@dataclass(frozen=True, kw_only=True)
class Categorical(_Choice):
    """One of some unordered values."""

    kind: Literal["categorical"] = "categorical"


@dataclass(frozen=True, kw_only=True)
class Ordinal(_Choice):
    """One of some values, given from low to high.

    Attributes:
        reserve: Choices above the others that only a refinement opens, next first. Conditions and
            clauses may name them; no configuration has them before they are opened.
    """

    reserve: tuple[Scalar, ...] = ()
    kind: Literal["ordinal"] = "ordinal"

    _joiner = " < "

    def __str__(self) -> str:
        held = f", held back: {self._joiner.join(map(str, self.reserve))}" if self.reserve else ""
        return f"{super().__str__()}{held}"

    def opened(self, choice: Scalar, order: Sequence[Scalar] = ()) -> Ordinal:
        """The parameter with one more choice.

        Args:
            choice: One that is held back.
            order: All choices from low to high; empty when the reserve is opened in its order.

        Returns:
            The choice stands where the order says, else last; a prior is dropped, for it has no
            weight for it.
        """
        choices, rank = (*self.choices, choice), list(order)
        if all(c in rank for c in choices):
            choices = tuple(sorted(choices, key=rank.index))
        rest = tuple(c for c in self.reserve if c != choice)
        return replace(self, choices=choices, reserve=rest, prior=None)

    def _problems(self) -> Iterable[Problem]:
        yield from super()._problems()
        strange = [c for c in self.reserve if not _is_scalar(c)]
        if strange:
            rule = "what is held back must be text, finite numbers or booleans"
            yield Problem(rule, ", ".join(map(repr, strange)), self.name, "leave them out")
            return
        keys = [(type(c).__name__, c) for c in (*self.choices, *self.reserve)]
        if self.reserve and len(set(keys)) != len(keys):
            rule = "what is held back must differ from the choices and from each other"
            yield Problem(rule, str(self.reserve), self.name, "remove the repeated value")


Parameter = Float | Int | Categorical | Ordinal


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or is_number(value)


def possible(parameter: Parameter, value: Any) -> bool:
    """Whether a parameter has a value, or will have it once that is no longer held back.

    Args:
        parameter: Any parameter.
        value: Any value.

    Returns:
        True for values in range and for those in the reserve of an `Ordinal`.
    """
    if parameter.contains(value):
        return True
    held = parameter.reserve if isinstance(parameter, Ordinal) else ()
    return any(value == c and type(value) is type(c) for c in held)


def holds(condition: Condition, config: Config) -> bool:
    """Whether the parent has one of the values; True and 1 are different, 1 and 1.0 are not.

    Args:
        condition: Any condition.
        config: Values of the active parameters.

    Returns:
        False also when the parent has no value.
    """
    value = config.get(condition.parent)
    return any(
        value == v and isinstance(value, bool) == isinstance(v, bool) for v in condition.values
    )


def levels(parameter: Parameter) -> int:
    """Number of values that a parameter can take; 0 for a continuum."""
    if isinstance(parameter, Categorical | Ordinal):
        return len(parameter.choices)
    if isinstance(parameter, Int):
        return (parameter.high - parameter.low) // int(parameter.step or 1) + 1
    if parameter.step is None:
        return 0
    return grid_count(parameter.low, parameter.high, parameter.step)


def level_value(parameter: Parameter, index: int) -> Scalar:
    """One of the values of a parameter that is no continuum.

    Args:
        parameter: Any parameter with `levels`.
        index: Which value, in [0, levels).

    Returns:
        The choice, or the number, exactly as a person would write it.
    """
    if isinstance(parameter, Categorical | Ordinal):
        return parameter.choices[index]
    if isinstance(parameter, Int):
        return int(parameter.low) + index * int(parameter.step or 1)
    assert parameter.step is not None, "a continuum has no values to count"
    return grid_value(parameter.low, parameter.step, index)


def start_value(parameter: Parameter) -> Scalar:
    """The default of a parameter, else the middle of its range on its scale.

    Args:
        parameter: Any parameter.

    Returns:
        A value in its range.
    """
    if parameter.default is not None:
        return parameter.default
    if isinstance(parameter, Categorical | Ordinal):
        return parameter.choices[
            0 if isinstance(parameter, Categorical) else len(parameter.choices) // 2
        ]
    return snap(parameter, float(f"{between(parameter, 0.5):.12g}"))


def between(parameter: Float | Int, share: float) -> float:
    """The value that divides a range on its scale.

    Args:
        parameter: A numeric parameter.
        share: 0 for the low end, 1 for the high end.

    Returns:
        A value on no particular grid.
    """
    scale, width = parameter.scale, parameter.linear_width
    low, high = (forward(scale, end, width) for end in (parameter.low, parameter.high))
    return float(backward(scale, low + share * (high - low), width))


def snap(parameter: Float | Int, value: float) -> float | int:
    """The nearest value that lies in the range and on the grid.

    Args:
        parameter: A numeric parameter.
        value: Any finite number.

    Returns:
        An int for an `Int`, else a float.
    """
    value = min(max(value, parameter.low), parameter.high)
    if parameter.step is None:
        return round(value) if isinstance(parameter, Int) else float(value)
    index = min(round((value - parameter.low) / parameter.step), levels(parameter) - 1)
    snapped = level_value(parameter, index)
    assert isinstance(snapped, int | float), "a number's values are numbers"
    return snapped
