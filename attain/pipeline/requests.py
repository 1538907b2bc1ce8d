"""What people may ask of a run under way: the rules, known to those who ask and to the run.

What a request changes for good (a larger budget, no further trials) is read back from the
``request`` records that answer it, so that a resumed study goes on as the first run would have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from attain.core.errors import InputError, Problem, SpaceError
from attain.core.space import Categorical, Int, Ordinal, Parameter, Scalar, Space
from attain.core.types import Record
from attain.pipeline.spec import Budget

PAUSE, END, EXTEND, STOP, COPY = "pause", "end", "extend", "stop", "copy"
ACTIONS: Mapping[str, str] = {
    PAUSE: "stop cleanly now; the same command goes on",
    END: "finish the trials under way, then confirm, refit and test",
    EXTEND: "let the search spend more",
    STOP: "end one trial",
    COPY: "try a trial again with some values changed",
}
MOST_TRIALS, MOST_MINUTES = 100_000, 60 * 24 * 30.0  # that one request may add


def closes(record: Record) -> bool:
    """Whether a ``request`` record says that no further trials are wanted."""
    return bool(record.payload["done"]) and record.payload["action"] == END


def grown(budget: Budget, record: Record) -> Budget:
    """The budget after a ``request`` record.

    Args:
        budget: Before.
        record: An answered request of any kind.

    Returns:
        Larger when the request was to extend it and was obeyed.
    """
    if not record.payload["done"] or record.payload["action"] != EXTEND:
        return budget
    return extended(budget, record.payload["values"])


def extended(budget: Budget, values: Mapping[str, Any]) -> Budget:
    """A larger budget.

    Args:
        budget: Before; what it does not limit cannot grow.
        values: ``trials`` (at least 1) or ``minutes`` (above 0) to be added, or both.

    Returns:
        After.

    Raises:
        InputError: When nothing usable is added.
    """
    trials, minutes = values.get("trials") or 0, values.get("minutes") or 0
    whole = isinstance(trials, int) and not isinstance(trials, bool)
    if not whole or not 0 <= trials <= MOST_TRIALS:
        raise InputError(f"trials to add must be a whole number from 1 to {MOST_TRIALS:,}")
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise InputError("minutes to add must be a number")
    if not math.isfinite(minutes) or not 0 <= minutes <= MOST_MINUTES:
        raise InputError(f"minutes to add must lie between 0 and {MOST_MINUTES:,.0f}")
    if trials and budget.trials is None:
        raise InputError("the number of trials is not limited")
    if minutes and budget.minutes is None:
        raise InputError("the time is not limited")
    if not trials and not minutes:
        raise InputError("say how many trials or minutes to add")
    return replace(
        budget,
        trials=None if budget.trials is None else budget.trials + trials,
        minutes=None if budget.minutes is None else budget.minutes + float(minutes),
    )


def changed_point(
    space: Space, point: Mapping[str, Scalar], changed: Mapping[str, Any]
) -> dict[str, Scalar]:
    """A configuration with some values changed by hand.

    Args:
        space: In force now.
        point: The configuration to begin with, which may lie outside of it.
        changed: New values; of a parameter that has limits also beyond its present range.

    Returns:
        Values of the active parameters; those that become active start at their defaults.

    Raises:
        SpaceError: Names every value that is not possible.
        InputError: When nothing is changed.
    """
    known = {p.name: p for p in space}
    problems = [p for name, v in changed.items() if (p := _problem(known.get(name), name, v))]
    if problems:
        raise SpaceError(problems)
    proper = {name: _proper(known[name], value) for name, value in changed.items()}
    found = space.defaults({**point, **proper})
    unused = [name for name in proper if name not in found]
    if unused:
        rule = "only active parameters have values"
        raise SpaceError([Problem(rule, repr(changed[n]), n, "leave it out") for n in unused])
    if not space.allows(found):
        raise SpaceError(
            [Problem("values must be possible together", "", "space", str(space)[:500])]
        )
    if found == dict(point):
        raise InputError("nothing is changed; change at least one value")
    return found


def _problem(parameter: Parameter | None, name: str, value: Any) -> Problem | None:
    if parameter is None:
        return Problem("a parameter must exist in the space", "", str(name)[:80], "see the table")
    proper = _proper(parameter, value)
    if parameter.contains(proper) or _within_limits(parameter, proper):
        return None
    return Problem("a value must lie in its range", repr(value)[:80], name, str(parameter))


def _proper(parameter: Parameter, value: Any) -> Any:
    """The value as the parameter holds it: JSON knows one kind of number only."""
    if isinstance(parameter, Categorical | Ordinal) or isinstance(value, bool):
        return value
    if not isinstance(value, int | float) or not math.isfinite(value):
        return value
    if isinstance(parameter, Int):
        return int(value) if value == int(value) else value
    return float(value)


def _within_limits(parameter: Parameter, value: Any) -> bool:
    """Whether a number lies in the widest range that makes sense."""
    if isinstance(parameter, Categorical | Ordinal) or parameter.limits is None or parameter.step:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(parameter, Int) and not isinstance(value, int):
        return False
    return parameter.limits[0] <= value <= parameter.limits[1]
