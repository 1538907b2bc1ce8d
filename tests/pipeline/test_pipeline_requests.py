"""What people ask of a run under way: carried out, recorded, and refused where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import InputError, Interrupted
from attain.core.space import Categorical, Condition, Float, Int, Space
from attain.pipeline import requests
from attain.pipeline.requests import changed_point, extended
from attain.pipeline.spec import Budget
from attain.runtime.requests import RequestBox

SPACE = Space(
    (
        Categorical(name="learner", choices=("a", "b"), default="a"),
        Float(
            name="a.rate",
            low=0.01,
            high=0.1,
            default=0.05,
            limits=(0.001, 1.0),
            when=(Condition("learner", ("a",)),),
        ),
        Int(name="a.n", low=1, high=9, default=3, when=(Condition("learner", ("a",)),)),
        Float(name="b.c", low=0.0, high=1.0, default=0.5, when=(Condition("learner", ("b",)),)),
    )
)
POINT = {"learner": "a", "a.rate": 0.05, "a.n": 3}


def of(records: Any, kind: str) -> list[Any]:
    return [r.payload for r in records if r.kind == kind]


class Asker:
    """Puts a request into the box when a record of a kind has come so many times."""

    def __init__(self, folder: Path, when: tuple[str, int], *asked: tuple[str, dict[str, Any]]):
        self.box, self.when, self.asked, self.seen = RequestBox(folder), when, asked, 0
        self.epoch = 1

    def __call__(self, notice: Any) -> None:
        if notice.record is not None and notice.record.kind == self.when[0]:
            self.seen += 1
            if self.seen == self.when[1]:
                for action, values in self.asked:
                    self.box.put(action, self.epoch, values)


def ask(tmp_path, when, *asked):
    (tmp_path / "study").mkdir(exist_ok=True)
    return Asker(tmp_path / "study", when, *asked)


def test_a_pause_stops_cleanly_and_the_same_command_goes_on(run, tmp_path):
    """The answer is recorded before the stop; the rest of the run is as without a pause."""
    with pytest.raises(Interrupted, match="run the same command"):
        run(listen=ask(tmp_path, ("scored", 4), ("pause", {})))
    result = run()
    plain = run(output=str(tmp_path / "plain"))
    answers = of(result.records, "request")
    assert [(a["action"], a["done"]) for a in answers] == [("pause", True)]
    assert of(result.records, "interrupted")
    losses = [[p["loss"] for p in of(r.records, "scored")] for r in (result, plain)]
    assert losses[0] == losses[1]


def test_an_end_lets_running_trials_finish_and_goes_on_to_the_test(run, tmp_path):
    """No further trials are asked, none is cancelled, and the study reaches its verdict."""
    result = run(listen=ask(tmp_path, ("scored", 4), ("end", {})))
    scored = [p for p in of(result.records, "scored") if p["search"]]
    assert len(scored) < 6
    assert all(p["status"] == "done" for p in scored)
    decision = of(result.records, "decision")[-1]["decision"]
    assert (decision["kind"], decision["stop"]) == ("stop", "request")
    assert "no further trials" in decision["reason"]
    assert result.verdict is not None


def test_an_end_outlives_a_kill(run, tmp_path):
    """Asked for an end and then paused, the resumed run asks for no further trials either."""
    with pytest.raises(Interrupted, match="run the same command"):
        run(listen=ask(tmp_path, ("scored", 4), ("end", {}), ("pause", {})))
    asked = len(of(run().records, "trial"))
    assert asked < 2 + 6 + 3


@pytest.mark.parametrize("resumed", [False, True])
def test_an_added_budget_is_spent(run, tmp_path, resumed):
    """Three trials more are searched, also when the run is stopped and resumed in between."""
    more = [("extend", {"trials": 3})]
    if resumed:
        with pytest.raises(Interrupted, match="run the same command"):
            run(listen=ask(tmp_path, ("scored", 4), *more, ("pause", {})))
        result = run()
    else:
        result = run(listen=ask(tmp_path, ("scored", 4), *more))
    searched = [p for p in of(result.records, "scored") if p["search"]]
    assert len(searched) == 9
    answers = of(result.records, "request")
    assert "9 trials" in answers[0]["reason"]
    assert len({a["id"] for a in answers}) == len(answers) == 1 + resumed  # each answered once


def test_a_trial_is_stopped_by_hand(run, tmp_path):
    """It is recorded as cancelled, gets no score, counts as tried, and the others go on."""
    result = run(listen=ask(tmp_path, ("trial", 4), ("stop", {"trial": "t0002"})))
    scored = {p["trial"]: p for p in of(result.records, "scored")}
    assert scored["t0002"]["status"] == "cancelled"
    assert scored["t0002"]["loss"] is None
    assert scored["t0002"]["message"] == "stopped by hand"
    assert sum(p["search"] for p in scored.values()) == 6
    assert not [p for p in of(result.records, "outcome") if p["outcome"]["trial"] == "t0002"][3:]
    assert result.verdict is not None


def test_a_copy_with_changes_is_tried(run, tmp_path):
    """The changed configuration becomes a trial of the search, which says who asked for it."""
    first = run(output=str(tmp_path / "first"))
    trial = next(p["trial"] for p in of(first.records, "trial") if p["trial"]["id"] == "t0001")
    space = Space.from_dict(of(first.records, "selection")[0]["space"])
    name = next(
        p.name for p in space if not isinstance(p, Categorical) and p.name in trial["point"]
    )
    low = space[name].low
    result = run(
        listen=ask(tmp_path, ("scored", 4), ("copy", {"trial": "t0001", "values": {name: low}}))
    )
    answer = of(result.records, "request")[0]
    assert answer["done"], answer["reason"]
    made = [
        p["trial"] for p in of(result.records, "trial") if "asked by hand" in p["trial"]["reason"]
    ]
    assert len(made) == 1
    assert made[0]["point"] == {**trial["point"], name: low}
    assert made[0]["purpose"] == "search"
    assert sum(p["search"] for p in of(result.records, "scored")) == 6


REFUSED = (
    ("stop", {"trial": "t9999"}, "not under way"),
    ("stop", {"trial": "b000"}, "not under way"),
    ("stop", {}, "not under way"),
    ("copy", {"trial": "t9999", "values": {}}, "no such trial"),
    ("copy", {"trial": "t0001", "values": {}}, "nothing is changed"),
    ("copy", {"trial": "t0001", "values": {"nope": 1}}, "must exist"),
    ("copy", {"trial": "t0001", "values": []}, "mapping"),
    ("extend", {}, "how many"),
    ("extend", {"trials": -1}, "whole number"),
    ("extend", {"minutes": 5}, "not limited"),
    ("launch", {}, "no such action"),
    ("", {}, "no such action"),
)


def test_what_cannot_be_done_is_answered_and_changes_nothing(run, tmp_path):
    """Each refusal is recorded with its reason, and the run ends as it would have."""
    result = run(listen=ask(tmp_path, ("scored", 4), *((a, v) for a, v, _ in REFUSED)))
    answers = of(result.records, "request")
    assert len(answers) == len(REFUSED)
    for answer, (action, _, why) in zip(answers, REFUSED, strict=True):
        assert not answer["done"]
        assert answer["action"] == action
        assert why in answer["reason"]
        assert answer["values"] == {}
    assert sum(p["search"] for p in of(result.records, "scored")) == 6


def test_requests_to_an_earlier_run_are_not_obeyed(run, tmp_path):
    """A pause that nobody read does not stop the next run by surprise."""
    asker = ask(tmp_path, ("scored", 4), ("pause", {}))
    asker.epoch = 7
    result = run(listen=asker)
    answer = of(result.records, "request")[0]
    assert (answer["done"], answer["reason"]) == (
        False,
        "it was meant for an earlier run of the study",
    )
    assert result.verdict is not None


def test_rubbish_in_the_box_is_passed_over(run, tmp_path):
    """Whatever is in the box, the run goes on; its live file is there as long as it is."""
    (tmp_path / "study").mkdir()
    rubbish = [b"{", b"null", b"\xff\xfe", b"[1]", b'{"id": 1}', b"x" * 50_000, b"[" * 10_000]
    rubbish.append(json.dumps({"id": "a", "action": "pause", "epoch": "1", "values": {}}).encode())
    (tmp_path / "study" / "requests.jsonl").write_bytes(b"\n".join(rubbish))
    seen = []
    result = run(listen=lambda notice: seen.append((tmp_path / "study" / "live.json").exists()))
    assert result.verdict is not None
    assert any(seen)
    assert not (tmp_path / "study" / "live.json").exists()


@pytest.mark.parametrize(
    ("changed", "after"),
    [
        ({"a.rate": 0.02}, {"learner": "a", "a.rate": 0.02, "a.n": 3}),
        ({"a.rate": 0.9}, {"learner": "a", "a.rate": 0.9, "a.n": 3}),
        ({"a.n": 4.0}, {"learner": "a", "a.rate": 0.05, "a.n": 4}),
        ({"learner": "b"}, {"learner": "b", "b.c": 0.5}),
        ({"learner": "b", "b.c": 1}, {"learner": "b", "b.c": 1.0}),
    ],
)
def test_a_configuration_changed_by_hand(changed, after):
    """Values within limits are taken, and what becomes active starts at its default."""
    assert changed_point(SPACE, POINT, changed) == after


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"a.rate": 2.0}, "a.rate: a value must lie in its range"),
        ({"a.rate": float("nan")}, "must lie in its range"),
        ({"a.rate": "0.1"}, "must lie in its range"),
        ({"a.rate": True}, "must lie in its range"),
        ({"a.n": 4.5}, "must lie in its range"),
        ({"a.n": 99}, "must lie in its range"),
        ({"learner": "c"}, "must lie in its range"),
        ({"b.c": 0.1}, "only active parameters"),
        ({"zzz": 1}, "must exist"),
        ({}, "nothing is changed"),
        ({"a.n": 3}, "nothing is changed"),
    ],
)
def test_an_impossible_change_is_refused(changed, why):
    """Each reason names its parameter."""
    with pytest.raises(InputError, match=why):
        changed_point(SPACE, POINT, changed)


@given(
    st.dictionaries(
        st.sampled_from(["a.rate", "a.n", "learner", "x"]),
        st.from_type(object) | st.floats() | st.integers() | st.text(),
    )
)
@settings(max_examples=60)
def test_no_change_gets_past_the_rules(changed):
    """Whatever is asked, the result is a configuration of the space or its limits, or a refusal."""
    try:
        found = changed_point(SPACE, POINT, changed)
    except InputError:
        return
    assert {p.name for p in SPACE.active(found)} == set(found)
    assert found.get("a.rate", 0.5) >= 0.001


@pytest.mark.parametrize("trials", [0, -1, 1.5, True, "3", 10**9, None, float("nan")])
def test_an_unusable_budget_is_refused(trials):
    """Only a positive whole number of trials can be added."""
    with pytest.raises(InputError, match=r"whole number|how many"):
        extended(Budget(5, None), {"trials": trials})


@pytest.mark.parametrize("minutes", [-1, True, "3", float("inf"), float("nan"), 1e12])
def test_unusable_minutes_are_refused(minutes):
    """Only a finite positive time can be added."""
    with pytest.raises(InputError, match="minutes"):
        extended(Budget(5, 10.0), {"minutes": minutes})


def test_every_action_is_told_in_words():
    """Whoever offers an action can say what it does."""
    assert set(requests.ACTIONS) == {"pause", "end", "extend", "stop", "copy"}
    assert all(requests.ACTIONS.values())
