"""What people may ask of a run under way: the rules, known to those who ask and to the run.

The run looks into the box (`runtime.requests`) between events, answers each request once with a
``request`` record, and only then acts. What a request changes for good (a larger budget, no further
trials) is read back from these records, so that a resumed study goes on as the first run would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attain.core.errors import InputError, Problem, SpaceError
from attain.core.seeds import derive
from attain.core.space import Categorical, Int, Ordinal, Parameter, Scalar, Space
from attain.core.types import Record, Trial
from attain.parameters.select import unprefix
from attain.pipeline.spec import Budget
from attain.report import numbers
from attain.runtime.requests import Request, RequestBox

if TYPE_CHECKING:
    from attain.pipeline.loop import Search
    from attain.pipeline.study import Study

PAUSE, END, EXTEND, STOP, COPY = "pause", "end", "extend", "stop", "copy"
ACTIONS: Mapping[str, str] = {
    PAUSE: "stop cleanly now; the same command goes on",
    END: "finish the trials under way, then confirm, refit and test",
    EXTEND: "let the search spend more",
    STOP: "end one trial",
    COPY: "try a trial again with some values changed",
}
MOST_TRIALS, MOST_MINUTES = 100_000, 60 * 24 * 30.0  # that one request may add
LATE = "it was meant for an earlier run of the study"
OVER = "the search is over"


class Inbox:
    """The requests to one run.

    Args:
        box: Where they lie.
        epoch: Of the run's lease; requests to other runs are answered, not obeyed.
    """

    def __init__(self, box: RequestBox, epoch: int) -> None:
        self._box, self._epoch = box, epoch

    def heed(self, study: Study, search: Search | None = None) -> None:
        """Answer what has been asked since the last call, and do it.

        Args:
            study: Where the answers go.
            search: The search, while there is one; without it a run can only be paused.
        """
        for request in self._box.take():
            if request.id not in study.answered:
                self._answer(study, search, request)

    def _answer(self, study: Study, search: Search | None, request: Request) -> None:
        try:
            act, said = self._plan(study, search, request)
        except InputError as error:
            _record(study, request, False, str(error))
            return
        _record(study, request, True, said)
        act()

    def _plan(self, study: Study, search: Search | None, request: Request) -> _Plan:
        if request.epoch != self._epoch:
            raise InputError(LATE)
        if request.action == PAUSE:
            return _pause(study), "stopping; run the same command to go on"
        plan = _PLANS.get(request.action)
        if plan is None:
            raise InputError(f"nothing is called {request.action!r}")
        if search is None:
            raise InputError(OVER if study.last("decision") else "the search has not begun")
        return plan(search, request.values)


_Plan = tuple[Callable[[], None], str]


def _pause(study: Study) -> Callable[[], None]:
    def act() -> None:
        study.stopping = True
        study.tell("progress", text="stopping")

    return act


def _record(study: Study, request: Request, done: bool, reason: str) -> None:
    """The answer; what was asked for is only kept when it is obeyed."""
    study.write(
        "study",
        "request",
        {
            "id": request.id,
            "action": request.action,
            "values": request.values if done else {},
            "done": done,
            "reason": reason,
        },
    )


def _end(search: Search, values: Mapping[str, Any]) -> _Plan:
    del values
    if search.study.closing:
        raise InputError("the search is ending already")
    return _nothing, "no further trials; those under way are finished"


def _extend(search: Search, values: Mapping[str, Any]) -> _Plan:
    after = extended(search.study.budget, values)
    return _nothing, f"the budget is {after} from now on"


def _stop(search: Search, values: Mapping[str, Any]) -> _Plan:
    trial = str(values.get("trial"))
    if search.trials.trials.get(trial) is None or trial in search.trials.scored:
        raise InputError(f"{numbers.printable(trial)[:40]} is not under way")
    return lambda: search.stop(trial), f"{trial} ends"


def _copy(search: Search, values: Mapping[str, Any]) -> _Plan:
    trial = search.trials.trials.get(str(values.get("trial")))
    if trial is None:
        raise InputError("there is no such trial")
    if search.study.closing or search.trials_left <= 0:
        raise InputError("no trials are left; add some to the budget first")
    changed = values.get("values")
    if not isinstance(changed, dict):
        raise InputError("the changed values must be a mapping")
    point = changed_point(search.space, trial.point, changed)
    twin = next((t.id for t in search.trials.trials.values() if dict(t.point) == point), None)
    if twin is not None:
        raise InputError(f"{twin} has this configuration already")
    new = copied(search, trial, point)
    return lambda: search.trials.ask(new), f"{new.id} is asked for"


def _nothing() -> None:
    """The record itself is what changes the study."""


_PLANS: Mapping[str, Callable[[Search, Mapping[str, Any]], _Plan]] = {
    END: _end,
    EXTEND: _extend,
    STOP: _stop,
    COPY: _copy,
}


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
        raise SpaceError([Problem("values must be possible together", "", "space", str(space)[:500])])
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


def copied(search: Search, trial: Trial, point: Mapping[str, Scalar]) -> Trial:
    """The trial of a configuration that was changed by hand.

    Args:
        search: Under way.
        trial: What it was made from.
        point: As `changed_point` gives it.

    Returns:
        Not asked yet; it counts as one of the search.
    """
    learner, config = unprefix(point, search.ready.fixed)
    number = search.trials.asked("search") + 1
    trial_id = f"t{number:04d}"
    changes = [
        f"{name} {numbers.setting(value)}"
        for name, value in point.items()
        if trial.point.get(name) != value
    ]
    return Trial(
        id=trial_id,
        learner=learner,
        config=config,
        point=point,
        seed=derive(search.study.seed, "trial", trial_id),
        split=search.ready.split,
        reason=f"asked by hand: {trial.id} with {numbers.listed(changes)}",
        round=search.round,
        seen=len(search.study.records),
    )
