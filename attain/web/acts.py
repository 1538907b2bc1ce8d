"""What a viewer may ask of the run, and when: what cannot be carried out is not offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attain.core.codec import decode
from attain.core.errors import InputError
from attain.core.space import Space
from attain.pipeline import requests
from attain.pipeline.requests import COPY, END, EXTEND, PAUSE, STOP
from attain.pipeline.spec import Budget
from attain.report.book import plain
from attain.runtime.requests import RequestBox
from attain.web.index import Index
from attain.web.pulse import Pulse


@dataclass(frozen=True)
class Asked:
    """A request that was put into the box.

    Attributes:
        id: Its id; the answer will carry it.
        said: What happens now, in words.
    """

    id: str
    said: str


def offered(index: Index, pulse: Pulse) -> dict[str, str]:
    """The actions that can be carried out now.

    Args:
        index: The study.
        pulse: Of its run.

    Returns:
        Action to what it does, in words; without those that the run could not carry out.
    """
    if not pulse.running or "ended" in index.kinds or index.function is not None:
        return {}
    found = {PAUSE: "Stop cleanly now. Finished fits are kept; the same command goes on."}
    if not searching(index):
        return found
    if not closing(index):
        found[END] = (
            "No further trials. Those under way are finished, then finalists are confirmed, the"
            " model is refitted, and the sealed test is opened once."
        )
    limits = budget(index)
    if limits.trials is not None or limits.minutes is not None:
        found[EXTEND] = f"Let the search spend more than {limits}."
    if any(t.purpose == "search" for t in index.open.values()):
        found[STOP] = "End one trial; its fits are cancelled and it gets no score."
    left = limits.trials is None or sum(t.purpose == "search" for t in index.order) < limits.trials
    if left and not closing(index) and any(t.point for t in index.order):
        found[COPY] = "Try a trial again with some values changed by hand."
    return found


def searching(index: Index) -> bool:
    """Whether the search is under way: it has begun, and no decision has ended it."""
    decided = index.payload("decision").get("decision") or {}
    return "strategy" in index.kinds and decided.get("kind") != "stop"


def closing(index: Index) -> bool:
    """Whether somebody has asked for no further trials."""
    return any(r["done"] and r["action"] == END for r in index.requests.values())


def budget(index: Index) -> Budget:
    """What the search may spend, with what was added since it began."""
    stated = index.payload("study").get("spec", {}).get("budget") or {}
    found = Budget(stated.get("trials"), stated.get("minutes"))
    for answer in index.requests.values():
        if answer["done"] and answer["action"] == EXTEND:
            found = requests.extended(found, answer["values"])
    return found


def space(index: Index) -> Space | None:
    """The space in force now, None before there is one."""
    decided = (index.payload("decision").get("decision") or {}).get("space")
    stated = decided or index.payload("selection").get("space")
    return None if stated is None else decode(Space, stated)


def choices(index: Index, trial: str) -> dict[str, Any]:
    """What can be changed of a trial, for a form.

    Args:
        index: The study.
        trial: Its id.

    Returns:
        ``trial`` and ``fields``: ``name``, ``title``, ``kind``, ``value``, ``low`` and ``high``
        (the widest that makes sense) or ``choices``, ``unit``.
    """
    found, entry = space(index), index.trials.get(trial)
    if found is None or entry is None:
        return {"trial": trial, "fields": []}
    fields = []
    for parameter in found.active(entry.point):
        if parameter.name == "learner":
            continue
        shown = {
            "name": parameter.name,
            "title": plain(parameter.name.removeprefix(f"{entry.learner}.")),
            "unit": plain(parameter.unit),
            "value": plain(entry.point.get(parameter.name)),
        }
        options = getattr(parameter, "choices", None)
        if options is not None:
            fields.append({**shown, "kind": "choice", "choices": [plain(c) for c in options]})
        else:
            low, high = getattr(parameter, "limits", None) or (parameter.low, parameter.high)  # type: ignore[union-attr]
            whole = type(parameter).__name__ == "Int"
            kind = "int" if whole else "float"
            fields.append({**shown, "kind": kind, "low": low, "high": high})
    return {"trial": trial, "fields": fields}


def ask(index: Index, pulse: Pulse, box: RequestBox, given: Mapping[str, Any]) -> Asked:
    """Put a request into the box, unless the run would refuse it.

    Args:
        index: The study.
        pulse: Of its run.
        box: Of the study.
        given: ``action`` and what it needs, from a browser.

    Returns:
        The request's id and what happens now.

    Raises:
        InputError: When the action is not offered now, or its values are not possible.
        EnvironmentProblem: When the study folder cannot be written.
    """
    action = str(given.get("action"))
    if action not in requests.ACTIONS:
        raise InputError("there is no such action")
    if action not in offered(index, pulse):
        raise InputError(f"the run cannot do this now: {requests.ACTIONS[action]}")
    values = _VALUES[action](index, given)
    return Asked(box.put(action, pulse.epoch, values).id, requests.ACTIONS[action])


def _none(index: Index, given: Mapping[str, Any]) -> dict[str, Any]:
    del index, given
    return {}


def _more(index: Index, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {k: given[k] for k in ("trials", "minutes") if given.get(k)}
    requests.extended(budget(index), values)
    return values


def _one(index: Index, given: Mapping[str, Any]) -> dict[str, Any]:
    entry = index.open.get(str(given.get("trial")))
    if entry is None or entry.purpose != "search":
        raise InputError("this trial is not under way")
    return {"trial": entry.id}


def _changed(index: Index, given: Mapping[str, Any]) -> dict[str, Any]:
    entry, found = index.trials.get(str(given.get("trial"))), space(index)
    values = given.get("values")
    if entry is None or found is None or not entry.point:
        raise InputError("there is no such trial")
    if not isinstance(values, dict):
        raise InputError("the changed values must be a mapping")
    point = requests.changed_point(found, entry.point, values)
    twin = next((t.id for t in index.order if t.point == point), None)
    if twin is not None:
        raise InputError(f"{twin} has this configuration already")
    return {"trial": entry.id, "values": values}


_VALUES: Mapping[str, Callable[[Index, Mapping[str, Any]], dict[str, Any]]] = {
    PAUSE: _none,
    END: _none,
    EXTEND: _more,
    STOP: _one,
    COPY: _changed,
}
