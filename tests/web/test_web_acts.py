"""What is offered when, and that what is asked reaches the box as the run reads it."""

import pytest
import web_studies as world

from attain.core.errors import InputError
from attain.core.types import Record
from attain.runtime.requests import RequestBox
from attain.web import acts
from attain.web.index import Index
from attain.web.pulse import Pulse

RUNNING = Pulse("running", "running", 1.0, False, 5)


def indexed(records):
    index = Index()
    for record in records:
        index.add(record)
    return index


@pytest.fixture
def searching():
    return indexed(world.searching(20))


def answered(index, action, done=True, **values):
    payload = {"id": action, "action": action, "values": values, "done": done, "reason": "x"}
    index.add(Record(index.last + 1, "study", "request", payload, (), 0.0))


def test_a_search_under_way_offers_everything(searching):
    """Each action is offered with what it does in words."""
    found = acts.offered(searching, RUNNING)
    assert set(found) == {"pause", "end", "extend", "stop", "copy"}
    assert "sealed test is opened" in found["end"]
    assert "42 trials or 30 minutes" in found["extend"]


@pytest.mark.parametrize("state", ["silent", "died", "stopped", "ended"])
def test_nothing_is_offered_when_nobody_reads(searching, state):
    """A run that is not alive cannot be asked."""
    assert acts.offered(searching, Pulse(state, "")) == {}


def test_an_ended_study_offers_nothing():
    """Not even while its ledger is held by a process that writes reports."""
    assert acts.offered(indexed(world.studies.complete()), RUNNING) == {}


def test_before_and_after_the_search_a_run_can_only_be_paused():
    """While data are prepared or the finalists confirmed, there is no search to steer."""
    whole = world.studies.complete()
    strategy = next(i for i, r in enumerate(whole) if r.kind == "strategy")
    finalists = next(i for i, r in enumerate(whole) if r.kind == "finalists")
    for end in (strategy, finalists + 1):
        assert set(acts.offered(indexed(whole[:end]), RUNNING)) == {"pause"}


def test_an_end_is_offered_once(searching):
    """After it no further trial can be asked for; what is under way can still be stopped."""
    answered(searching, "end")
    assert set(acts.offered(searching, RUNNING)) == {"pause", "extend", "stop"}


def test_a_spent_budget_offers_no_copy_until_it_grows(searching):
    """Another trial needs room in the budget, which can be added."""
    searching.payload("study")["spec"]["budget"]["trials"] = 5
    assert "copy" not in acts.offered(searching, RUNNING)
    answered(searching, "extend", trials=50)
    assert "copy" in acts.offered(searching, RUNNING)
    assert acts.budget(searching).trials == 55


def test_a_refused_request_changes_nothing(searching):
    """Only what was obeyed counts."""
    answered(searching, "end", done=False)
    answered(searching, "extend", done=False, trials=50)
    assert acts.budget(searching).trials == 42
    assert "end" in acts.offered(searching, RUNNING)


def test_an_unlimited_search_cannot_be_extended(searching):
    """Without a limit there is nothing to add to."""
    searching.payload("study")["spec"]["budget"] = {"trials": None, "minutes": None}
    assert "extend" not in acts.offered(searching, RUNNING)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"action": "pause", "extra": 1}, {}),
        ({"action": "end"}, {}),
        ({"action": "extend", "trials": 5, "minutes": None}, {"trials": 5}),
        ({"action": "extend", "minutes": 2.5}, {"minutes": 2.5}),
        ({"action": "stop", "trial": "t0099"}, {"trial": "t0099"}),
    ],
)
def test_a_request_reaches_the_box(searching, tmp_path, given, values):
    """It names the lease of the run that it is meant for, and holds nothing that was not asked."""
    asked = acts.ask(searching, RUNNING, RequestBox(tmp_path), given)
    (request,) = RequestBox(tmp_path).take()
    assert (request.id, request.action, request.epoch) == (asked.id, given["action"], 5)
    assert request.values == values


def test_a_copy_is_checked_before_it_is_asked(searching, tmp_path):
    """A value in its range passes; the run checks once more."""
    form = acts.choices(searching, "t0001")
    field = next(f for f in form["fields"] if f["kind"] == "float")
    middle = (field["low"] + field["high"]) / 2
    given = {"action": "copy", "trial": "t0001", "values": {field["name"]: middle}}
    acts.ask(searching, RUNNING, RequestBox(tmp_path), given)
    (request,) = RequestBox(tmp_path).take()
    assert request.values == {"trial": "t0001", "values": {field["name"]: middle}}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "no such action"),
        ({"action": "launch"}, "no such action"),
        ({"action": ["pause"]}, "no such action"),
        ({"action": "extend"}, "how many"),
        ({"action": "extend", "trials": -4}, "whole number"),
        ({"action": "extend", "trials": 1.5}, "whole number"),
        ({"action": "extend", "trials": "9"}, "whole number"),
        ({"action": "extend", "minutes": "9"}, "must be a number"),
        ({"action": "stop"}, "not under way"),
        ({"action": "stop", "trial": "t0001"}, "not under way"),
        ({"action": "stop", "trial": "../../x"}, "not under way"),
        ({"action": "copy", "trial": "t0001"}, "mapping"),
        ({"action": "copy", "trial": "t0001", "values": {}}, "nothing is changed"),
        ({"action": "copy", "trial": "t0001", "values": {"__class__": 1}}, "must exist"),
        ({"action": "copy", "trial": "zzz", "values": {}}, "no such trial"),
    ],
)
def test_what_the_run_would_refuse_is_refused_at_once(searching, tmp_path, given, why):
    """Nothing gets into the box, and the viewer hears why."""
    with pytest.raises(InputError, match=why):
        acts.ask(searching, RUNNING, RequestBox(tmp_path), given)
    assert RequestBox(tmp_path).take() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_run_is_not_asked(searching, tmp_path):
    """The page may be old: what is not offered now is refused."""
    with pytest.raises(InputError, match="cannot do this now"):
        acts.ask(searching, Pulse("died", ""), RequestBox(tmp_path), {"action": "pause"})
