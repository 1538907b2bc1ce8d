"""How a run answers what it is asked: one ``request`` record each, written before anything is done.

The run looks into the box (`runtime.requests`) between events. What may be asked, and what that
changes for good, is said in `pipeline.requests`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attain.core.errors import InputError
from attain.core.seeds import derive
from attain.core.space import Scalar, Space
from attain.core.types import Trial
from attain.parameters.select import unprefix
from attain.pipeline.prepare import Prepared
from attain.pipeline.requests import COPY, END, EXTEND, PAUSE, STOP, changed_point, extended
from attain.pipeline.study import Study
from attain.pipeline.trials import Trials
from attain.report import numbers
from attain.runtime.requests import Request

LATE = "it was meant for an earlier run of the study"


class Searching(Protocol):
    """What a request may touch of a search under way; see `pipeline.loop.Search`."""

    study: Study
    ready: Prepared
    trials: Trials
    space: Space
    round: int

    def trials_left(self) -> float:
        """How many more may be asked for."""
        ...

    def stop(self, trial: str) -> None:
        """End one trial."""
        ...


_Plan = tuple[Callable[[], None], str]


def heed(study: Study, search: Searching | None = None) -> None:
    """Answer what has been asked since the last call, and do it.

    Args:
        study: Where the answers go.
        search: The search, while there is one; without it a run can only be paused.
    """
    if study.box is None:
        return
    for request in study.box.take():
        if request.id not in study.answered:
            _answer(study, search, request)


def _answer(study: Study, search: Searching | None, request: Request) -> None:
    try:
        act, said = _plan(study, search, request)
    except InputError as error:
        _record(study, request, False, str(error))
        return
    _record(study, request, True, said)
    act()


def _plan(study: Study, search: Searching | None, request: Request) -> _Plan:
    if request.epoch != study.epoch:
        raise InputError(LATE)
    if request.action == PAUSE:
        return _pause(study), "stopping; the same command goes on"
    plan = _PLANS.get(request.action)
    if plan is None:
        raise InputError("there is no such action")
    if search is None:
        raise InputError("there is no search under way")
    return plan(search, request.values)


def _record(study: Study, request: Request, done: bool, reason: str) -> None:
    """The answer; what was asked for is only kept when it is obeyed."""
    values = request.values if done else {}
    answer = {"id": request.id, "action": request.action[:40], "values": values}
    study.write("study", "request", {**answer, "done": done, "reason": reason})


def _pause(study: Study) -> Callable[[], None]:
    def act() -> None:
        study.stopping = True
        study.tell("progress", text="stopping")

    return act


def _end(search: Searching, values: Mapping[str, Any]) -> _Plan:
    del values
    if search.study.closing:
        raise InputError("the search is ending already")
    return _nothing, "no further trials; those under way are finished"


def _extend(search: Searching, values: Mapping[str, Any]) -> _Plan:
    after = extended(search.study.budget, values)
    return _nothing, f"the budget is {after} from now on"


def _stop(search: Searching, values: Mapping[str, Any]) -> _Plan:
    name = str(values.get("trial"))
    trial = search.trials.trials.get(name)
    if trial is None or trial.purpose != "search" or name in search.trials.scored:
        raise InputError("this trial is not under way")
    return lambda: search.stop(name), f"{name} is ended"


def _copy(search: Searching, values: Mapping[str, Any]) -> _Plan:
    trial = search.trials.trials.get(str(values.get("trial")))
    changed = values.get("values")
    if trial is None or not trial.point:
        raise InputError("there is no such trial")
    if search.study.closing or search.trials_left() <= 0:
        raise InputError("no trials are left; add some to the budget first")
    if not isinstance(changed, dict):
        raise InputError("the changed values must be a mapping")
    point = changed_point(search.space, trial.point, changed)
    twin = next((t.id for t in search.trials.trials.values() if dict(t.point) == point), None)
    if twin is not None:
        raise InputError(f"{twin} has this configuration already")
    new = _copied(search, trial, point)
    return lambda: search.trials.ask(new), f"{new.id} is asked for"


def _nothing() -> None:
    """The record itself is what changes the study."""


_PLANS: Mapping[str, Callable[[Searching, Mapping[str, Any]], _Plan]] = {
    END: _end,
    EXTEND: _extend,
    STOP: _stop,
    COPY: _copy,
}


def _copied(search: Searching, trial: Trial, point: Mapping[str, Scalar]) -> Trial:
    """The trial of a configuration that was changed by hand; it counts as one of the search."""
    learner, config = unprefix(point, search.ready.fixed)
    trial_id = search.trials.next_id()
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
