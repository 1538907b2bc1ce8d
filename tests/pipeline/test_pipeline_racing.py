"""Racing in a study: what is saved, what is recorded, what a resumed study makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pipeline_small import inline, table
from test_pipeline_run import StopAfter, payloads

from attain.core.codec import decode
from attain.core.errors import Interrupted, SpecError
from attain.core.types import CurvePoint, Objective, Observed, Outcome, Score, Status
from attain.objectives import parse
from attain.pipeline import jobs
from attain.pipeline import run as running
from attain.pipeline.judging import first_fit
from attain.pipeline.racing import overtaken_by
from attain.pipeline.result import Result
from attain.pipeline.scoring import Scored
from attain.pipeline.spec import StudySpec

Run = Callable[..., Result]
Make = Callable[..., StudySpec]
UNEVEN: dict[str, Any] = {
    "learners": ["pipeline_learners:Uneven"],
    "objectives": ["maximize roc_auc"],
    "strategy": "random",
    "folds": 5,
    "budget": "16 trials",
}


def scored(result: Result) -> dict[str, Scored]:
    return {p["trial"]: decode(Scored, p) for p in payloads(result.records, "scored")}


def fits(result: Result) -> Counter[str]:
    """Folds that were fitted, by trial of the search."""
    found = [p["outcome"]["trial"] for p in payloads(result.records, "outcome")]
    return Counter(trial for trial in found if trial.startswith("t"))


@pytest.fixture
def uneven(run: Run) -> Result:
    """A study most of whose configurations lose clearly."""
    return run(data=table(600), **UNEVEN)


def test_clear_losers_are_denied_their_folds(uneven: Result) -> None:
    """With a hundred rows in a fold a fifth is saved; who is raced out says so, with evidence."""
    lost = {k: s for k, s in scored(uneven).items() if s.status is Status.RACED}
    assert len(lost) >= 5
    assert sum(fits(uneven).values()) <= 0.8 * len(fits(uneven)) * 5
    for trial, end in lost.items():
        assert end.race is not None
        assert end.race.dropped
        assert end.race.folds == fits(uneven)[trial] < 5
        assert end.message.startswith(
            f"raced out after {end.race.folds} of 5 folds: roc_auc behind"
        )
        assert all(g.chance <= end.race.level for g in end.race.gaps)


def test_who_is_raced_out_has_an_estimate_but_no_loss(uneven: Result) -> None:
    """The strategy is told a loss behind the rival's and with more noise; nobody else is."""
    ends = scored(uneven)
    for end in ends.values():
        if end.status is Status.RACED:
            assert end.race is not None
            rival = ends[end.race.rival]
            assert (end.loss, end.scores) == (None, ())
            assert end.race.loss is not None
            assert rival.loss is not None
            assert end.race.loss > rival.loss
            assert (end.race.noise or 0) > (rival.noise or 0)
            assert fits(uneven)[rival.trial] == 5


def test_who_is_raced_out_is_never_a_finalist(uneven: Result) -> None:
    """Finalists have all their folds."""
    names = payloads(uneven.records, "finalists")[0]["trials"]
    assert names
    assert all(scored(uneven)[name].status is Status.DONE for name in names)


def test_the_answer_is_that_of_a_study_without_races(uneven: Result, run: Run) -> None:
    """`racing: false` fits every fold and puts the same configuration first."""
    whole = run(data=table(600), **UNEVEN, racing=False, output=str(uneven.folder) + "-whole")
    assert set(fits(whole).values()) == {5}
    assert all(s.race is None for s in scored(whole).values())
    first = [payloads(r.records, "finalists")[0]["trials"][0] for r in (uneven, whole)]
    assert first[0] == first[1]


@pytest.mark.parametrize(
    ("kind", "count"), [("outcome", 22), ("outcome", 23), ("outcome", 31), ("scored", 9)]
)
def test_a_race_that_was_interrupted_ends_as_the_undisturbed_one(
    kind: str, count: int, uneven: Result, spec: Make
) -> None:
    """Stopped between an outcome and its consequence, the second run draws the same one."""
    stated = spec(data=table(600), **UNEVEN, output=str(uneven.folder) + f"-{kind}{count}")
    with pytest.raises(Interrupted, match="finished trials are kept"):
        running.run(stated, listen=StopAfter(kind, count), executors=inline)
    resumed = running.run(stated, executors=inline)

    def essence(result: Result) -> Any:
        ends = scored(result).values()
        return {s.trial: (s.status, s.loss, s.message, s.race) for s in ends}

    assert essence(resumed) == essence(uneven)
    assert fits(resumed) == fits(uneven)


def test_a_holdout_is_not_raced(run: Run) -> None:
    """There are no folds to save."""
    result = run(data=table(600), **{**UNEVEN, "folds": 1, "budget": "6 trials"})
    assert all(s.race is None for s in scored(result).values())


@pytest.mark.parametrize("strategy", ["halving", "median"])
def test_a_strategy_ends_fits_that_are_behind(strategy: str, run: Run) -> None:
    """Fits end at the rung with what they have; the trial is told apart and is no finalist."""
    stated = {**UNEVEN, "strategy": strategy, "racing": False, "budget": "14 trials"}
    result = run(data=table(600), **stated)
    stopped = {
        p["outcome"]["trial"]: p["outcome"]["facts"]["stopped"]
        for p in payloads(result.records, "outcome")
        if "stopped" in p["outcome"]["facts"]
    }
    assert stopped
    paused = {
        p["outcome"]["trial"]
        for p in payloads(result.records, "outcome")
        if "paused" in p["outcome"]["facts"]
    }
    for trial, step in stopped.items():
        end = scored(result)[trial]
        assert (end.status, end.loss, fits(result)[trial]) == (Status.RACED, None, 1)
        said = f"by the strategy at step {step} of fold 1"
        assert end.message == (f"paused {said}" if trial in paused else f"ended {said}: behind")
        assert end.race is not None
        assert end.race.loss is not None
    assert not set(stopped) & set(payloads(result.records, "finalists")[0]["trials"])
    again = run(data=table(600), **stated, output=str(result.folder) + "-again")
    assert {k: s.message for k, s in scored(again).items()} == {
        k: s.message for k, s in scored(result).items()
    }


def test_racing_is_true_or_false(spec: Make) -> None:
    """Anything else is refused."""
    with pytest.raises(SpecError, match="must be true or false"):
        spec(racing="sometimes")


def test_an_impossible_target_ends_early_and_says_so(run: Run) -> None:
    """Long before sixty trials: labels that were drawn at random cannot be predicted."""
    stated = {**UNEVEN, "objectives": ["roc_auc >= 0.95"], "budget": "60 trials", "folds": 3}
    noise = table(300)
    noise["label"] = np.random.default_rng(0).permutation(noise["label"])
    result = run(data=noise, **stated)
    assert len(fits(result)) < 40
    decision = payloads(result.records, "decision")[-1]["decision"]
    assert decision["stop"] == "unlikely"
    assert "out of reach: roc_auc would need" in decision["reason"]


def test_an_easy_target_ends_at_the_known_good_defaults(run: Run) -> None:
    """The first look comes after three trials, and nothing more is spent."""
    stated = {**UNEVEN, "objectives": ["roc_auc >= 0.6"], "budget": "60 trials", "racing": False}
    result = run(data=table(600), **stated)
    assert payloads(result.records, "decision")[-1]["decision"]["stop"] == "met"
    assert len(fits(result)) <= 4


@pytest.mark.parametrize(
    ("stated", "reached", "wanted"),
    [
        (["maximize roc_auc"], {"roc_auc": True}, ("roc_auc",)),
        (
            ["maximize roc_auc", "minimize log_loss"],
            {"roc_auc": True, "log_loss": True},
            ("roc_auc", "log_loss"),
        ),
        (
            ["maximize roc_auc", "latency_p95_ms <= 50"],
            {"roc_auc": True, "latency_p95_ms": True},
            ("roc_auc",),
        ),
        (
            ["maximize roc_auc", "latency_p95_ms <= 50"],
            {"roc_auc": True, "latency_p95_ms": False},
            ("latency_p95_ms",),
        ),
        (
            ["maximize roc_auc", "accuracy >= 0.9"],
            {"roc_auc": True, "accuracy": False},
            ("accuracy",),
        ),
    ],
)
def test_where_a_rival_can_be_overtaken(
    stated: list[str], reached: dict[str, bool], wanted: tuple[str, ...]
) -> None:
    """What it misses, if anything; else its goals; never a limit that it keeps."""
    objectives: tuple[Objective, ...] = parse.parse(stated)
    scores: tuple[Score, ...] = ()
    rival = Scored("t0001", Status.DONE, True, scores=scores, loss=0.0, reached=reached)
    assert overtaken_by(objectives, rival) == wanted


@pytest.mark.parametrize(("strategy", "asks"), [("random", False), ("median", True)])
def test_fits_of_searches_that_never_judge_are_not_sent_curves(
    run: Run, monkeypatch: pytest.MonkeyPatch, strategy: str, asks: bool
) -> None:
    """Only a strategy that may end a fit is given the curves of earlier ones."""
    sent = []
    original = jobs.judged
    monkeypatch.setattr(jobs, "judged", lambda a, p: sent.append(a) or original(a, p))
    run(data=table(300), **{**UNEVEN, "strategy": strategy, "budget": "3 trials"})
    assert any(a is not None for a in sent) == asks


@pytest.mark.parametrize(
    ("facts", "status", "told"),
    [({}, "raced", "done"), ({"stopped": 7}, "raced", "raced"), ({}, "done", "done")],
)
def test_whose_folds_were_raced_still_shows_a_whole_curve(
    facts: dict[str, int], status: str, told: str
) -> None:
    """A first fit that nothing ended teaches how curves go on, though other folds were saved."""
    curve = tuple(CurvePoint(step, {"stop": 1 / step}) for step in (1, 2, 3))
    first = Outcome("t", 0, Status.DONE, curve=curve, facts=facts)
    found = first_fit(Observed("t", {}, status), first)
    assert found.status == told
    assert found.curve == ((1, 1.0), (2, 0.5), (3, 1 / 3))
    assert first_fit(Observed("t", {}, "failed"), None).status == "failed"
