"""The search space: typed parameters with scales, steps and conditions. Frozen; prints itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from attain.core.errors import Problem, SpaceError, did_you_mean

Scalar = bool | int | float | str
Config = Mapping[str, Scalar]
Effect = Literal["", "capacity", "regularisation", "speed"]


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
        priority: 1 tuned first, 3 tuned only with a large budget.
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
        high: Largest value.
        default: Known-good start.
        scale: ``log`` when ratios matter more than differences.
        step: Values are ``low + k * step``; None for no grid.
        limits: The widest range that makes sense; a refinement never widens past it.
    """

    low: float
    high: float
    default: float | None = None
    scale: Literal["linear", "log"] = "linear"
    step: float | None = None
    limits: tuple[float, float] | None = None

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        scale = " (log)" if self.scale == "log" else ""
        step = f" in steps of {self.step:g}" if self.step else ""
        start = f", starting at {self.default:g}" if self.default is not None else ""
        return f"{self.name}: {self.low:g} to {self.high:g}{unit}{scale}{step}{start}{self._tail}"

    def contains(self, value: Any) -> bool:
        """Whether the value is a number within the range and on the grid."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not (self.low <= value <= self.high):
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        blur = 4 * math.ulp(max(abs(self.low), abs(self.high))) / self.step
        return abs(steps - round(steps)) < 1e-6 + blur

    def _problems(self) -> Iterable[Problem]:
        bounds = f"[{self.low}, {self.high}]"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            yield Problem("bounds must be finite numbers", bounds, self.name, "state both bounds")
            return
        if not self.low < self.high:
            remedy = "swap the bounds, or give a fixed value instead of a parameter"
            yield Problem("low must be below high", bounds, self.name, remedy)
        if self.scale == "log" and self.low <= 0:
            remedy = "use a small positive low, or the linear scale"
            yield Problem("a log scale needs low > 0", str(self.low), self.name, remedy)
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            rule = "a step must be positive and no larger than the range"
            yield Problem(rule, str(self.step), self.name, "use a smaller step")
        if self.limits and not self.limits[0] <= self.low <= self.high <= self.limits[1]:
            rule, remedy = "limits must enclose the range", f"widen them to cover {bounds}"
            yield Problem(rule, str(self.limits), self.name, remedy)


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
        return isinstance(value, int) and super().contains(value)

    def _problems(self) -> Iterable[Problem]:
        yield from super()._problems()
        for what, number in (("low", self.low), ("high", self.high), ("step", self.step)):
            if number is not None and math.isfinite(number) and number != int(number):
                rule = f"{what} of an int parameter must be a whole number"
                yield Problem(rule, str(number), self.name, "round it, or use a float parameter")


@dataclass(frozen=True, kw_only=True)
class _Choice(_Described):
    """What categorical and ordinal parameters share.

    Attributes:
        choices: At least one, all different.
        default: Known-good start.
    """

    choices: tuple[Scalar, ...]
    default: Scalar | None = None

    _joiner = ", "

    def __str__(self) -> str:
        start = f", starting at {self.default}" if self.default is not None else ""
        return f"{self.name}: {self._joiner.join(map(str, self.choices))}{start}{self._tail}"

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


@dataclass(frozen=True, kw_only=True)
class Categorical(_Choice):
    """One of some unordered values."""

    kind: Literal["categorical"] = "categorical"


@dataclass(frozen=True, kw_only=True)
class Ordinal(_Choice):
    """One of some values, given from low to high."""

    kind: Literal["ordinal"] = "ordinal"

    _joiner = " < "


Parameter = Float | Int | Categorical | Ordinal


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool | int | str)


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


@dataclass(frozen=True)
class Space:
    """Parameters and the conditions under which each exists.

    Attributes:
        parameters: In any order; parents may follow their children.
        version: Rises by one each time a refinement changes the space.

    Raises:
        SpaceError: When bounds, choices, defaults or conditions are not sound; names all problems.
    """

    parameters: tuple[Parameter, ...]
    version: int = 1

    def __post_init__(self) -> None:
        problems = [*self._name_problems(), *self._value_problems(), *self._condition_problems()]
        if problems:
            raise SpaceError(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.parameters)) or "(no parameters)"

    def __iter__(self) -> Any:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [p.name for p in self.parameters]
        remedy = did_you_mean(name, names)
        raise SpaceError(Problem("a parameter must exist in the space", name, "space", remedy))

    @property
    def ordered(self) -> tuple[Parameter, ...]:
        """The parameters with every parent before its children."""
        done: dict[str, Parameter] = {}
        waiting = list(self.parameters)
        while waiting:
            ready = [p for p in waiting if all(c.parent in done for c in p.when)]
            done.update((p.name, p) for p in ready)
            waiting = [p for p in waiting if p.name not in done]
        return tuple(done.values())

    def active(self, config: Config) -> tuple[Parameter, ...]:
        """The parameters that exist, given the values of their parents.

        Args:
            config: Values of at least the parents.

        Returns:
            In an order with parents first. A child of an inactive parent is inactive.
        """
        names: set[str] = set()
        found = []
        for parameter in self.ordered:
            if all(c.parent in names and holds(c, config) for c in parameter.when):
                names.add(parameter.name)
                found.append(parameter)
        return tuple(found)

    def check(self, config: Config) -> None:
        """Refuse a configuration that is not in the space.

        Args:
            config: Values of exactly the active parameters.

        Raises:
            SpaceError: Names every missing, surplus or out-of-range value.
        """
        active = {p.name: p for p in self.active(config)}
        problems = [
            Problem("an active parameter needs a value", "nothing", name, str(parameter))
            for name, parameter in active.items()
            if name not in config
        ]
        for name, value in config.items():
            if name not in active:
                rule = "only active parameters have values"
                problems.append(Problem(rule, repr(value), name, "leave it out"))
            elif not active[name].contains(value):
                rule = "a value must lie in its range"
                problems.append(Problem(rule, repr(value), name, str(active[name])))
        if problems:
            raise SpaceError(problems)

    def contains(self, config: Config) -> bool:
        """Whether the configuration gives every active parameter a value in range, no others."""
        try:
            self.check(config)
        except SpaceError:
            return False
        return True

    def defaults(self) -> dict[str, Scalar]:
        """The known-good start: each active parameter's default, else its middle."""
        config: dict[str, Scalar] = {}
        for parameter in self.ordered:
            if all(holds(c, config) for c in parameter.when):
                config[parameter.name] = start_value(parameter)
        return config

    def replacing(self, *changed: Parameter) -> Space:
        """A next version with some parameters exchanged for others of the same name.

        Args:
            *changed: New forms; each name must exist.

        Returns:
            A space whose version is one higher.
        """
        new = {p.name: p for p in changed}
        for name in new:
            self[name]
        parameters = tuple(new.get(p.name, p) for p in self.parameters)
        return Space(parameters, self.version + 1)

    def _name_problems(self) -> Iterable[Problem]:
        names = [p.name for p in self.parameters]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield Problem("names must be unique", name, "space", "rename one of the two")

    def _value_problems(self) -> Iterable[Problem]:
        for parameter in self.parameters:
            broken = list(parameter._problems())
            yield from broken
            default = parameter.default
            if not broken and default is not None and not parameter.contains(default):
                rule = "the default must lie in the range"
                yield Problem(rule, str(default), parameter.name, str(parameter))

    def _condition_problems(self) -> Iterable[Problem]:
        known = {p.name: p for p in self.parameters}
        for parameter in self.parameters:
            for condition in parameter.when:
                parent = known.get(condition.parent)
                if parent is None:
                    remedy = did_you_mean(condition.parent, list(known))
                    rule = "a condition must name a parameter of the space"
                    yield Problem(rule, condition.parent, parameter.name, remedy)
                elif not any(parent.contains(v) for v in condition.values):
                    rule = "a condition must be satisfiable"
                    yield Problem(rule, str(condition), parameter.name, str(parent))
        yield from self._cycle_problems(known)

    def _cycle_problems(self, known: Mapping[str, Parameter]) -> Iterable[Problem]:
        done: set[str] = set()
        while True:
            ready = {
                n
                for n, p in known.items()
                if n not in done and all(c.parent in done or c.parent not in known for c in p.when)
            }
            if not ready:
                break
            done |= ready
        stuck = sorted(set(known) - done)
        if stuck:
            rule = "conditions must not form a cycle"
            yield Problem(rule, ", ".join(stuck), "space", "remove one of the conditions")


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
    low, high = parameter.low, parameter.high
    middle = math.sqrt(low * high) if parameter.scale == "log" else (low + high) / 2
    return snap(parameter, middle)


def snap(parameter: Float | Int, value: float) -> float | int:
    """The nearest value that lies in the range and on the grid.

    Args:
        parameter: A numeric parameter.
        value: Any finite number.

    Returns:
        An int for an `Int`, else a float.
    """
    value = min(max(value, parameter.low), parameter.high)
    if parameter.step is not None:
        most = math.floor((parameter.high - parameter.low) / parameter.step + 1e-9)
        steps = min(round((value - parameter.low) / parameter.step), most)
        value = parameter.low + steps * parameter.step
        if isinstance(parameter, Float):  # 0.1 + 2 * 0.1 is 0.30000000000000004
            digits = 12 - math.floor(math.log10(parameter.step))
            value = min(max(round(value, digits), parameter.low), parameter.high)
    return round(value) if isinstance(parameter, Int) else float(value)


def prefixed(space: Space, prefix: str, when: Condition) -> tuple[Parameter, ...]:
    """A learner's own parameters as part of a space over many learners.

    Args:
        space: The learner's space.
        prefix: The learner's name.
        when: The condition under which the learner is chosen.

    Returns:
        Parameters named ``prefix.name``, each active only under the condition.
    """

    def inside(condition: Condition) -> Condition:
        return replace(condition, parent=f"{prefix}.{condition.parent}")

    return tuple(
        replace(p, name=f"{prefix}.{p.name}", when=(when, *map(inside, p.when)))
        for p in space.parameters
    )
