"""What may change in a space while a study runs, so that all its trials still count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attain.core.errors import Problem, did_you_mean
from attain.core.space_parameters import Float, Int, Ordinal, Parameter, level_value, levels

# What may change and what may not; `change_problems` checks each row.
RULES: Mapping[str, str] = {
    "range": "may become wider or narrower; trials outside of it remain evidence",
    "scale, default, limits, prior, conditions": "may change",
    "grid": "may become finer or be dropped, so that old values stay values",
    "int": "may become float, but not the other way round",
    "choices": "may be added and removed; ordered ones keep their order",
    "a number": "cannot become a list of choices, or the other way round",
    "new parameters": "state a default: the value that earlier trials count as having had",
    "removed parameters": "are ignored in earlier trials; the name cannot be used again",
}


def change_problems(
    old: Mapping[str, Parameter],
    new: Sequence[Parameter],
    removed: Sequence[str],
    retired: Sequence[str],
) -> Iterator[Problem]:
    """Every change that would cost the study its history.

    Args:
        old: The present parameters.
        new: Added ones, and new forms of present ones.
        removed: Names to leave out.
        retired: Names left out by earlier changes.

    Yields:
        One problem for each, in terms of `RULES`.
    """
    for name in removed:
        if name not in old:
            rule, remedy = (
                "only a parameter of the space can be removed",
                did_you_mean(name, [*old]),
            )
            yield Problem(rule, name, "removed", remedy)
        if any(p.name == name for p in new):
            rule = "a parameter cannot be changed and removed at once"
            yield Problem(rule, name, "removed", "do one of the two")
    for parameter in new:
        if parameter.name in retired:
            rule = "a removed parameter's name cannot be used again"
            yield Problem(rule, parameter.name, parameter.name, "use another name")
        elif parameter.name in old:
            yield from _form_problems(old[parameter.name], parameter)
        elif parameter.default is None:
            rule = "a new parameter must state the value that earlier trials had"
            yield Problem(rule, "no default", parameter.name, "give it that value as default")


def _form_problems(old: Parameter, new: Parameter) -> Iterator[Problem]:
    if isinstance(old, Float | Int) and isinstance(new, Float | Int):
        if isinstance(old, Float) and isinstance(new, Int):
            rule = "a float parameter cannot become an int: earlier values would be lost"
            yield Problem(rule, str(new), new.name, "keep it a float, perhaps in steps of 1")
        elif not _keeps_grid(old, new):
            rule = "a grid can only become finer: earlier values must stay values"
            remedy = f"use a part of {old.step or 1:g} as step, starting at {old.low:g}, or none"
            yield Problem(rule, str(new), new.name, remedy)
    elif isinstance(old, Float | Int) or isinstance(new, Float | Int):
        rule = "a number cannot become a list of choices, nor the other way round"
        yield Problem(rule, str(new), new.name, "add a parameter with another name")
    elif isinstance(old, Ordinal) and isinstance(new, Ordinal):
        kept = [c for c in new.choices if old.contains(c)]
        if kept != [c for c in old.choices if new.contains(c)]:
            rule = "ordered choices must keep their order"
            yield Problem(rule, str(new), new.name, str(old))
    elif type(old) is not type(new):
        rule = "an ordered list cannot become an unordered one, nor the other way round"
        yield Problem(rule, str(new), new.name, "add a parameter with another name")


def _keeps_grid(old: Float | Int, new: Float | Int) -> bool:
    """Whether the old values that lie in the new range are values of it; looks at some of many."""
    count = levels(old)
    if new.step is None or not count:
        return new.step is None
    places = range(0, count, max(1, count // 1000))
    values = (level_value(old, k) for k in (*places, *range(min(count, 10)), count - 1))
    return all(new.contains(v) for v in values if new.low <= float(v) <= new.high)
