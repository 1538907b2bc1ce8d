"""What the user says of parameters: fixed values, ranges and choices, before any is selected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.space import (
    Categorical,
    Float,
    Int,
    Ordinal,
    Parameter,
    Scalar,
    Space,
    between,
    possible,
    snap,
    start_value,
)

STATED = "stated in the study file"
"""The source of a parameter about which the user said something."""
FIXED = 99
"""Priority of a parameter that is never tuned."""
_KEY = "parameters"
_EXTRAS = {("llm", "base_bits"): "pip install 'attain[quantized]' (not on macOS), or leave it out"}
"""What to do about parameters that exist only where an optional package is."""


class _Refused(ValueError):
    """A statement that cannot be followed: the rule, and what can be done."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.remedy = remedy


def narrow(
    spaces: Mapping[str, Space | str], stated: Mapping[str, Any], wanted: Sequence[str] = ()
) -> dict[str, Space | str]:
    """Spaces as the user wants them.

    Args:
        spaces: For each known learner its space, or the reason why it does not apply.
        stated: By ``learner.parameter``, or by ``parameter`` for every learner that has it and for
            which it makes sense: one value, which fixes it; for a number two values, its range,
            which no refinement leaves; for a choice the values that may be tried.
        wanted: Learners that the user names; empty for attain's choice.

    Returns:
        The spaces with these parameters; what can no longer exist, such as the parameters of a
        rung that is left out, is gone.

    Raises:
        SpecError: Names every parameter that does not exist and every value that cannot be had.
    """
    problems: list[Problem] = []
    found = dict(spaces)
    given: dict[str, dict[str, Parameter]] = {}
    for key, value in stated.items():
        owners = _owners(key, spaces, wanted)
        if not owners:
            problems.append(_unknown(key, spaces, wanted))
        refused = []
        for learner, parameter in owners:
            try:
                said = _stated(parameter, value)
            except _Refused as why:
                refused.append(Problem(str(why), repr(value), f"{_KEY}: {key}", why.remedy))
            else:
                given.setdefault(learner, {})[parameter.name] = said
        if len(refused) == len(owners):  # learning rates of trees and of networks have one name
            problems += refused[:1]
    if problems:
        raise SpecError(problems)
    for learner, parts in given.items():
        space = spaces[learner]
        assert isinstance(space, Space)
        found[learner] = _pruned(space, parts)
    problems = [
        Problem(
            "a parameter about which something is said must exist beside what else is said",
            repr(value), f"{_KEY}: {key}", "leave it out, or allow what it depends on",
        )
        for key, value in stated.items()
        if not _owners(key, {name: found[name] for name in given}, ())
    ]  # fmt: skip
    if problems:
        raise SpecError(problems)
    return found


def _owners(
    key: str, spaces: Mapping[str, Space | str], wanted: Sequence[str]
) -> list[tuple[str, Parameter]]:
    """Learners that are meant, each with its parameter."""
    return [
        (learner, parameter)
        for learner, parameter in _all(spaces, wanted)
        if key in (parameter.name, f"{learner}.{parameter.name}")
    ]


def _all(
    spaces: Mapping[str, Space | str], wanted: Sequence[str]
) -> Iterator[tuple[str, Parameter]]:
    """Every parameter of the learners that may be used."""
    for learner, space in spaces.items():
        if isinstance(space, Space) and (not wanted or learner in wanted):
            yield from ((learner, parameter) for parameter in space)


def _unknown(key: str, spaces: Mapping[str, Space | str], wanted: Sequence[str]) -> Problem:
    of, parts = key.rpartition(".")[0], list(_all(spaces, wanted))
    known = [f"{learner}.{p.name}" if of in spaces else p.name for learner, p in parts]
    why = spaces.get(of)
    if isinstance(why, str):
        rule = f"{of} does not apply: {why}"
        return Problem(rule, key, _KEY, "leave it out")
    for (learner, name), remedy in _EXTRAS.items():
        if key in (name, f"{learner}.{name}") and any(learner == part[0] for part in parts):
            rule = f"{name} exists only where an optional package is installed and works"
            return Problem(rule, key, _KEY, remedy)
    rule = "a parameter must exist in a learner that is used"
    return Problem(rule, key, _KEY, did_you_mean(key, list(dict.fromkeys(known))))


def _stated(parameter: Parameter, value: Any) -> Parameter:
    """The parameter with what was said of it."""
    if not isinstance(value, list | tuple):
        return _fixed(parameter, value)
    if isinstance(parameter, Float | Int):
        return _ranged(parameter, value)
    return _chosen(parameter, value)


def _fixed(parameter: Parameter, value: Any) -> Parameter:
    told: Scalar
    if isinstance(parameter, Float | Int):
        told = _number(parameter, value)
    else:
        told = _one_of(parameter, value)
    if isinstance(parameter, Ordinal):
        return replace(
            parameter, choices=(told,), default=told, reserve=(), prior=None, source=STATED,
            priority=FIXED,
        )  # fmt: skip
    return Categorical(
        name=parameter.name, when=parameter.when, unit=parameter.unit, effect=parameter.effect,
        choices=(told,), default=told, source=STATED, priority=FIXED,
    )  # fmt: skip


def _ranged(parameter: Float | Int, value: Sequence[Any]) -> Parameter:
    if len(value) != 2:
        raise _Refused("a range has two ends", "write [low, high], or one value to fix it")
    low, high = (_number(parameter, end) for end in value)
    if not low < high:
        raise _Refused("the low end of a range must be below the high one", "write [low, high]")
    start = start_value(parameter)
    assert isinstance(start, int | float)
    ends: Any = {"low": low, "high": high}  # whole numbers if the parameter's are
    made = replace(
        parameter, **ends, limits=(low, high), default=None, prior=None, source=STATED,
        priority=1,
    )  # fmt: skip
    inside = low <= start <= high
    default: Any = snap(made, start if inside else between(made, 0.5))
    return replace(made, default=default)


def _chosen(parameter: Categorical | Ordinal, value: Sequence[Any]) -> Parameter:
    told = [_one_of(parameter, one) for one in value]
    if not told or len(set(map(repr, told))) != len(told):
        raise _Refused("choices must be some different values", "list each value once")
    if len(told) == 1:
        return _fixed(parameter, told[0])
    default = start_value(parameter)
    default = default if any(one == default for one in told) else told[0]
    if isinstance(parameter, Categorical):
        return replace(
            parameter, choices=tuple(told), default=default, prior=None, source=STATED, priority=1
        )  # fmt: skip
    order = [*parameter.choices, *parameter.reserve]
    told = sorted(told) if _numeric(parameter) else sorted(told, key=order.index)
    held = tuple(one for one in told if one in parameter.reserve)
    open_ = tuple(one for one in told if one not in held) or held[:1]
    default = default if default in open_ else open_[0]
    return replace(
        parameter, choices=open_, reserve=tuple(one for one in held if one not in open_),
        default=default, prior=None, source=STATED, priority=1,
    )  # fmt: skip


def _number(parameter: Float | Int, value: Any) -> float | int:
    """A number within the limits; also one that YAML takes for a text, such as 1e-4."""
    least, most = parameter.limits or (parameter.low, parameter.high)
    try:
        told = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        told = None
    if told is None or (isinstance(parameter, Int) and told != int(told)):
        what = "a whole number" if isinstance(parameter, Int) else "a number"
        raise _Refused(f"{parameter.name} is {what}", f"between {least:g} and {most:g}")
    if not least <= told <= most:
        rule = f"{parameter.name} makes sense from {least:g} to {most:g}"
        raise _Refused(rule, "use a value between them")
    return int(told) if isinstance(parameter, Int) else told


def _one_of(parameter: Categorical | Ordinal, value: Any) -> Scalar:
    """A choice, held back or not; of choices that are numbers any number like them."""
    if possible(parameter, value):
        return value
    held = parameter.reserve if isinstance(parameter, Ordinal) else ()
    choices = (*parameter.choices, *held)
    same = [c for c in choices if str(c).lower() == str(value).lower()]
    if same:
        return same[0]
    if _numeric(parameter) and isinstance(value, int | float) and not isinstance(value, bool):
        whole = all(isinstance(c, int) for c in choices)
        if value > 0 and (not whole or value == int(value)):
            return int(value) if whole else float(value)
    known = [str(c) for c in choices]
    raise _Refused(
        f"{parameter.name} is one of {', '.join(known)}", did_you_mean(str(value), known)
    )


def _numeric(parameter: Parameter) -> bool:
    """Whether it is a choice of numbers in order, between which others make sense, too."""
    return isinstance(parameter, Ordinal) and all(
        isinstance(c, int | float) and not isinstance(c, bool) for c in parameter.choices
    )


def _pruned(space: Space, given: Mapping[str, Parameter]) -> Space:
    """With these parameters; without what can never exist beside them, and clauses about it."""
    parts = {p.name: given.get(p.name, p) for p in space}
    while True:
        gone = {
            p.name
            for p in parts.values()
            for c in p.when
            if c.parent not in parts or not any(possible(parts[c.parent], v) for v in c.values)
        }
        if not gone:
            break
        parts = {name: p for name, p in parts.items() if name not in gone}
    names = parts.keys() - given.keys()  # a clause may not fit what was said
    return Space(
        tuple(parts.values()),
        space.version,
        tuple(clause for clause in space.forbidden if clause.names <= names),
        tuple(clause for clause in space.constraints if clause.names <= names),
    )
