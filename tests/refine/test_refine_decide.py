"""Diagnosis, move, stop: what a round leads to."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.codec import decode, encode
from attain.core.space import Categorical, Condition, Float, Int, Space, snap
from attain.core.types import (
    Decision,
    Diagnosis,
    Direction,
    Move,
    Objective,
    Observed,
    Score,
)
from attain.refine.decide import Progress, decide
from attain.refine.moves import RULES
from attain.refine.progress import expected_gain
from attain.refine.ranges import at

DOC = Path(__file__).parents[2] / "docs" / "diagnoses.md"

SPACE = Space(
    (
        Float(name="rate", low=0.01, high=0.3, default=0.1, scale="log", limits=(1e-4, 1.0)),
        Int(name="leaves", low=4, high=64, default=31, limits=(2, 512), effect="capacity"),
        Float(name="l2", low=0.0, high=10.0, limits=(0.0, 100.0), effect="regularisation"),
        Categorical(name="kind", choices=("a", "b", "c"), default="a"),
    )
)
AUC = Objective("roc_auc", Direction.MAXIMIZE, 0.9, low=0.0, high=1.0)


def sample(space: Space, rng: np.random.Generator) -> dict:
    config: dict = {}
    for parameter in space.ordered:
        if parameter in space.active(config | {parameter.name: None}):
            if isinstance(parameter, Float | Int):
                config[parameter.name] = snap(parameter, at(parameter, rng.uniform()))
            else:
                config[parameter.name] = parameter.choices[rng.integers(len(parameter.choices))]
    return config


def trials(weigh, count: int = 40, *, space: Space = SPACE, seed: int = 0) -> list[Observed]:
    """Random trials; `weigh` gives a loss, or a status for a trial that fails."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        config = sample(space, rng)
        loss = weigh(config)
        done = not isinstance(loss, str)
        found.append(
            Observed(f"t{index:04d}", config, "done" if done else loss, loss if done else None)
        )
    return found


def progress(history, **options) -> Progress:
    done = sorted((o for o in history if o.loss is not None), key=lambda o: (o.loss, o.trial))
    state = {
        "round": 2,
        "space": SPACE,
        "history": tuple(history),
        "objectives": (AUC,),
        "best_scores": {},
        "best_point": done[0].config if done else {},
        "diagnoses": (),
        "importance": {},
        "trials_left": 50,
        "seconds_left": math.inf,
        "rounds_without_gain": 0,
        "noise": 0.001,
    }
    return Progress(**(state | options))


def score(estimate: float, half: float, metric: str = "roc_auc") -> Score:
    return Score("t", metric, estimate, estimate - half, estimate + half, 1000)


def flat(config) -> float:
    """Every configuration is as good as any, but for a little noise of no pattern."""
    return 0.5 + 0.01 * (zlib.crc32(repr(config).encode()) % 1000) / 1000


def codes(decision: Decision) -> list[str]:
    return [d.code for d in decision.diagnoses]


def test_a_best_value_at_an_edge_widens_that_edge():
    """When the best and half of the top lie at the low end, that end moves out, the other stays."""
    decision = decide(progress(trials(lambda c: math.log(c["rate"]))))
    assert decision.kind is Move.WIDEN
    assert decision.space is not None
    assert decision.space["rate"].low < 0.01
    assert decision.space["rate"].high == 0.3
    assert decision.space.version == SPACE.version + 1
    assert decision.changes == ("rate: 0.01..0.3 -> 0.0018..0.3",)
    assert "of the top 8 trials lie in that quarter" in decision.reason


def test_one_lucky_trial_at_an_edge_widens_nothing():
    """The best value alone at the end is not enough when the other top trials lie elsewhere."""
    history = trials(lambda c: abs(math.log(c["rate"] / 0.05)))
    lucky = Observed("t9999", history[0].config | {"rate": 0.01}, "done", -1.0)
    decision = decide(progress([*history, lucky]))
    assert "edge_of_range" not in codes(decision)


def test_limits_are_never_passed_and_that_is_said():
    """At its limit a range stays; without stated limits too, and the reason differs."""
    for limits, words in (((0.01, 0.3), "limits are reached"), (None, "it states no limits")):
        rate = replace(SPACE["rate"], limits=limits)
        space = Space((rate, *SPACE.parameters[1:]))
        decision = decide(progress(trials(lambda c: math.log(c["rate"]), 20), space=space))
        assert decision.space is None
        assert decision.kind is Move.CONTINUE
        found = next(d for d in decision.diagnoses if d.code == "edge_of_range")
        assert words in found.explanation


def test_an_edge_of_an_unimportant_parameter_is_left_alone():
    """A value at an edge says nothing when the parameter explains nothing."""
    history = trials(lambda c: math.log(c["rate"]), 20)
    importance = {"rate": 0.001, "leaves": 0.999, "l2": 0.0, "kind": 0.0}
    assert "edge_of_range" not in codes(decide(progress(history, importance=importance)))


def test_an_unimportant_parameter_is_held_near_the_best():
    """After many trials the range shrinks to a quarter around the incumbent, and stays legal."""
    history = trials(flat, 60)
    importance = {"rate": 0.5, "leaves": 0.495, "l2": 0.005, "kind": 0.0}
    state = progress(history, importance=importance)
    decision = decide(state)
    assert decision.space is not None
    l2 = decision.space["l2"]
    assert l2.high - l2.low <= 3.0
    assert l2.contains(state.best_point["l2"])
    assert "l2 explains 0.5% of what separates good trials, over 60 trials" in decision.reason
    few = decide(progress(history[:20], importance=importance))
    assert "unimportant" not in codes(few)


def test_a_clear_basin_narrows_the_range():
    """When the top trials agree on a third of an explored range, the rest is given up."""
    history = trials(lambda c: (c["leaves"] - 30) ** 2 / 1000, 80)
    decision = decide(progress(history))
    assert "clear_basin" in codes(decision)
    assert decision.kind is Move.NARROW
    assert decision.space is not None
    leaves = decision.space["leaves"]
    assert 4 < leaves.low < 30 < leaves.high < 64
    again = decide(progress(history, space=decision.space))
    assert all("leaves" not in d.parameters for d in again.diagnoses if d.code == "clear_basin")


def test_overfit_asks_for_regularisation_and_caps_capacity():
    """Ranges with these effects move as the diagnosis of the fit demands; others stay."""
    config = {"rate": 0.05, "leaves": 20, "l2": 6.0, "kind": "a"}
    history = [*trials(flat, 20), Observed("t9999", config, "done", 0.0)]
    decision = decide(progress(history, diagnoses=(Diagnosis("overfit", "train 0.99, new 0.8"),)))
    assert decision.kind is Move.NARROW
    assert decision.space is not None
    assert (decision.space["leaves"].low, decision.space["leaves"].high) == (4, 42)
    assert (decision.space["l2"].low, decision.space["l2"].high) == (3.0, 10.0)
    assert decision.space["rate"] == SPACE["rate"]
    assert "train 0.99, new 0.8" in decision.reason


def test_underfit_climbs_to_more_capacity():
    """The opposite: capacity may grow beyond its range, regularisation shrinks."""
    config = {"rate": 0.05, "leaves": 50, "l2": 5.0, "kind": "a"}
    history = [*trials(flat), Observed("t9999", config, "done", 0.0)]
    decision = decide(progress(history, diagnoses=(Diagnosis("underfit", "train 0.6"),)))
    assert decision.kind is Move.CLIMB
    assert decision.space is not None
    assert decision.space["leaves"].low > 4
    assert decision.space["leaves"].high > 64
    assert decision.space["l2"].high < 10


def test_a_move_that_brought_nothing_is_not_repeated():
    """The measured effect of the previous move decides whether it is made again."""
    history = trials(flat)
    best = min(o.loss for o in history if o.loss is not None)
    found = Diagnosis("overfit", "train 0.99", ("leaves",))
    before = Decision(Move.NARROW, "because", (found,))
    vain = decide(progress(history, diagnoses=(found,), previous=(before, best)))
    assert "not repeated" in next(d for d in vain.diagnoses if d.code == "overfit").explanation
    assert vain.space is None
    useful = decide(progress(history, diagnoses=(found,), previous=(before, best + 0.1)))
    assert useful.space is not None
    assert useful.measured == pytest.approx(0.1)


def test_the_effect_of_the_previous_decision_is_measured():
    """It is the fall of the best loss since; unknown when nothing had succeeded before."""
    history = trials(flat)
    best = min(o.loss for o in history if o.loss is not None)
    before = Decision(Move.WIDEN, "because")
    assert decide(progress(history, previous=(before, best + 0.25))).measured == pytest.approx(0.25)
    assert decide(progress(history, previous=(before, best))).measured == 0.0
    assert decide(progress(history, previous=(before, None))).measured is None
    assert decide(progress(history)).measured is None


def test_a_region_where_trials_fail_is_left_out():
    """Failures beyond a value move that end inwards, and the statuses are named."""
    history = trials(lambda c: "memory" if c["leaves"] > 48 else flat(c), 60)
    decision = decide(progress(history))
    assert codes(decision)[0] == "many_failures"
    assert decision.kind is Move.NARROW
    assert decision.space is not None
    assert 44 <= decision.space["leaves"].high <= 52
    assert "memory" in decision.reason


def test_a_choice_with_which_every_trial_fails_is_left_out():
    """The choice goes, unless another parameter depends on it, which is then said."""
    weigh = lambda c: "failed" if c["kind"] == "b" else flat(c)  # noqa: E731
    decision = decide(progress(trials(weigh, 60)))
    assert decision.space is not None
    assert decision.space["kind"].choices == ("a", "c")
    child = Float(name="x", low=0, high=1, when=(Condition("kind", ("b",)),))
    space = Space((*SPACE.parameters, child))
    kept = decide(progress(trials(weigh, 60, space=space), space=space))
    found = next(d for d in kept.diagnoses if d.code == "many_failures")
    assert "other parameters depend on it" in found.explanation
    assert kept.space is None or kept.space["kind"] == SPACE["kind"]


def test_failures_without_a_pattern_narrow_nothing():
    """When failures are everywhere, no region is blamed."""
    rng = np.random.default_rng(0)
    history = trials(lambda c: "failed" if rng.uniform() < 0.5 else flat(c), 60)
    assert "many_failures" not in codes(decide(progress(history)))


@pytest.mark.parametrize(
    ("options", "stop", "words"),
    [
        ({"trials_left": 0}, "budget", "no trials left after 2 rounds and 40 trials"),
        ({"seconds_left": -1.0}, "budget", "no time left"),
        ({"exhausted": True}, "exhausted", "every configuration of the space has been tried"),
        ({"best_scores": {"roc_auc": score(0.95, 0.02)}}, "met", "0.95 .0.93, 0.97. for >= 0.9"),
        (
            {"best_scores": {"roc_auc": score(0.95, 0.02)}, "trials_left": 0},
            "met",
            "all targets are reached",
        ),
        ({"rounds_without_gain": 2, "noise": 0.1}, "unlikely", "2 rounds brought no more than"),
        ({"rounds_without_gain": 4, "expected_gain": 9.0}, "unlikely", "4 rounds brought no more"),
    ],
)
def test_when_the_search_ends(options, stop: str, words: str):
    """Each reason to stop is reached, says its numbers, and carries its code."""
    decision = decide(progress(trials(flat), **options))
    assert decision.kind is Move.STOP
    assert decision.stop == stop
    assert decision.diagnoses[0].code == stop
    assert re.search(words, decision.reason)
    assert decision.space is None


@pytest.mark.parametrize(
    "options",
    [
        {"best_scores": {"roc_auc": score(0.95, 0.06)}},
        {"best_scores": {}},
        {
            "best_scores": {"roc_auc": score(0.95, 0.01)},
            "objectives": (AUC, replace(AUC, metric="f1")),
        },
        {
            "best_scores": {"roc_auc": score(0.95, 0.01)},
            "objectives": (AUC, Objective("rmse", Direction.MINIMIZE)),
        },
        {"rounds_without_gain": 1, "noise": 0.1},
        {"exhausted": False, "trials_left": 1},
    ],
)
def test_when_the_search_goes_on(options):
    """An interval below the target, a goal without target, hope or patience keep it going."""
    decision = decide(progress(trials(flat), **options))
    assert decision.kind is Move.CONTINUE
    assert not decision.stop


def test_a_target_out_of_reach_ends_the_search_one_round_after_the_last_gain():
    """Losses in 0.3 to 0.5 where 0 is needed: the reason names target, need and what is left. Not
    where the range of losses reaches down to it, nor after a round that gained, nor when met."""
    rng = np.random.default_rng(0)
    far, near = (trials(lambda c, low=low: low + 0.2 * rng.uniform()) for low in (0.3, 0.01))
    options = {"best_scores": {"roc_auc": score(0.6, 0.02)}, "rounds_without_gain": 1}
    decision = decide(progress(far, **options))
    assert (decision.kind, decision.stop) == (Move.STOP, "unlikely")
    assert re.search("out of reach: roc_auc would need a loss smaller by 0.3", decision.reason)
    assert decide(progress(near, **options)).kind is not Move.STOP
    assert decide(progress(far, **options | {"rounds_without_gain": 0})).kind is not Move.STOP
    assert decide(progress(far, **options | {"noise": 0.2})).kind is not Move.STOP
    reached = {"best_scores": {"roc_auc": score(0.91, 0.02)}}
    assert decide(progress(far, **options | reached)).kind is not Move.STOP


def test_a_limit_is_met_by_the_upper_end():
    """For a metric that is better when lower, the upper end must clear the target."""
    rmse = Objective("rmse", Direction.MINIMIZE, 3.0, low=0.0)
    for half, kind in ((0.05, Move.STOP), (0.2, Move.CONTINUE)):
        scores = {"rmse": score(2.9, half, "rmse")}
        state = progress(trials(flat), objectives=(rmse,), best_scores=scores)
        assert decide(state).kind is kind


def test_room_to_widen_outlasts_a_plateau_and_an_exhausted_space():
    """Two rounds without gain do not end a search whose best value lies at an edge."""
    history = trials(lambda c: math.log(c["rate"]))
    options = {"rounds_without_gain": 2, "expected_gain": 0.0}
    assert decide(progress(history, **options)).kind is Move.WIDEN
    assert decide(progress(history, exhausted=True)).kind is Move.WIDEN
    assert decide(progress(history, **options | {"rounds_without_gain": 4})).kind is Move.STOP


def test_a_study_in_which_everything_fails_ends():
    """Without a single success the search goes on for two rounds and then says so."""
    history = trials(lambda c: "failed", 20)
    assert decide(progress(history)).kind is Move.CONTINUE
    decision = decide(progress(history, rounds_without_gain=2))
    assert decision.stop == "unlikely"
    assert "none of 20 trials succeeded" in decision.reason


def test_an_empty_history_goes_on():
    """The first look at nothing decides nothing."""
    assert decide(progress([], round=1)).kind is Move.CONTINUE


@pytest.mark.parametrize("count", [4, 9, 30])
def test_expected_gain_is_that_of_a_random_half(count: int):
    """The formula agrees with drawing halves at random."""
    rng = np.random.default_rng(1)
    losses = rng.normal(size=count)
    history = [Observed(f"t{i:03d}", {"x": i}, "done", float(v)) for i, v in enumerate(losses)]
    halves = [rng.permutation(losses)[: count // 2].min() for _ in range(20_000)]
    expected = np.mean(halves) - losses.min()
    assert expected_gain(progress(history)) == pytest.approx(expected, rel=0.05, abs=0.01)
    assert expected_gain(progress(history, expected_gain=0.7)) == 0.7
    assert expected_gain(progress(history[:3])) is None


def test_a_decision_survives_the_ledger():
    """Encoding and decoding gives an equal decision, space included."""
    decision = decide(progress(trials(lambda c: math.log(c["rate"]))))
    assert decode(Decision, encode(decision)) == decision


@st.composite
def random_spaces(draw) -> Space:
    kind = Categorical(name="kind", choices=("a", "b", "c"))
    parameters: list = [kind]
    for index in range(draw(st.integers(1, 4))):
        when = ()
        if draw(st.booleans()):
            when = (Condition("kind", (draw(st.sampled_from(kind.choices)),)),)
        effect = draw(st.sampled_from(["", "capacity", "regularisation"]))
        shared = {"name": f"p{index}", "when": when, "effect": effect}
        shared["scale"] = draw(st.sampled_from(["linear", "log"]))
        if draw(st.booleans()):
            low = draw(st.integers(1, 5))
            high = low + draw(st.integers(1, 60))
            limits = draw(st.none() | st.just((1, high * 2)))
            step = draw(st.none() | st.integers(1, high - low))
            parameters.append(Int(low=low, high=high, limits=limits, step=step, **shared))
        else:
            low = draw(st.floats(1e-3, 1))
            high = low * draw(st.floats(1.5, 1e3))
            limits = draw(st.none() | st.just((low / 7, high * 3)))
            parameters.append(Float(low=low, high=high, limits=limits, **shared))
    return Space(tuple(parameters))


@settings(deadline=None, max_examples=60)
@given(random_spaces(), st.integers(0, 10_000), st.sampled_from([(), ("overfit",), ("underfit",)]))
def test_whatever_is_decided_the_space_stays_sound(space: Space, seed: int, fit):
    """Over random spaces and six rounds: sound, holds the best point, never past a limit, ends."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=8)
    original, history, previous, left = space, [], None, 90
    for number in range(1, 12):
        for _ in range(15):
            config = sample(space, rng)
            values = [v for v in config.values() if not isinstance(v, str)]
            loss = float(np.dot(weights[: len(values)], np.log1p(np.abs(values))))
            failed = rng.uniform() < 0.2
            status = ("failed", None) if failed else ("done", loss + 0.01 * rng.normal())
            history.append(Observed(f"t{len(history):04d}", config, *status, round=number))
        left -= 15
        shares = rng.dirichlet(np.full(len(space), 0.2))
        state = progress(
            history,
            round=number,
            space=space,
            diagnoses=tuple(Diagnosis(code, "seen") for code in fit),
            importance=dict(zip((p.name for p in space), shares, strict=True)),
            previous=previous,
            rounds_without_gain=number - 1,
            trials_left=left,
        )
        decision = decide(state)
        assert decision.reason
        if decision.kind is Move.STOP:
            break
        if decision.space is not None:
            assert decision.changes
            assert decision.space.version == space.version + 1
            assert space.contains(state.best_point) <= decision.space.contains(state.best_point)
            for parameter in decision.space:
                if isinstance(parameter, Float | Int):
                    first = original[parameter.name]
                    low, high = first.limits or (first.low, first.high)
                    assert low <= parameter.low < parameter.high <= high
            space = decision.space
        previous = (decision, state.best_loss)
    else:
        pytest.fail("the search did not end when the trials were spent")


def test_every_code_has_a_section_in_the_guide():
    """Each rule and each reason to stop is explained in docs/diagnoses.md under Search."""
    search = DOC.read_text().split("## Search")[1].split("## Trust")[0]
    sections = {line.removeprefix("### ").strip() for line in search.splitlines() if "### " in line}
    known = {rule.code for rule in RULES} - {"overfit", "underfit"}
    assert known | {"met", "budget", "exhausted", "unlikely"} == sections
    assert len({rule.code for rule in RULES}) == len(RULES) == 11
    assert all(rule.source for rule in RULES)
