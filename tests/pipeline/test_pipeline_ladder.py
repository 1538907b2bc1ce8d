"""Studies of a learner with rungs: forecast, first looks, climbs, and what is kept meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pipeline_climbers
import pytest
from pipeline_small import inline, table

from attain.cli.plain import Waiting
from attain.core.codec import decode
from attain.core.errors import DataError, SpecError
from attain.core.protocols import Limits
from attain.core.registry import find
from attain.core.space import Condition, Float, Ordinal, Space
from attain.core.types import Dataset, Decision, Forecast, Move, Pretrained, RungForecast, Split
from attain.pipeline import api, forecasting, loop
from attain.pipeline import run as running
from attain.pipeline.climbing import Climb
from attain.pipeline.notice import Notice
from attain.report import evidence
from attain.strategy.auto import choose

CLIMBER, GREEDY, DEAR, LAME, MUTE = (
    f"pipeline_climbers:{name}" for name in ("Climber", "Greedy", "Dear", "Lame", "Mute")
)
HARD = {"learners": [CLIMBER], "folds": 2, "objectives": ["roc_auc >= 0.999"]}


def kinds(result, kind):
    return [r for r in result.records if r.kind == kind]


def decisions(result):
    return [decode(Decision, r.payload["decision"]) for r in kinds(result, "decision")]


def rungs(result, purpose="search"):
    asked = [r.payload["trial"] for r in kinds(result, "trial")]
    return [t["config"]["rung"] for t in asked if t["purpose"] == purpose]


def climbs(result):
    return [d for d in decisions(result) if d.kind is Move.CLIMB]


def test_an_easy_target_ends_at_the_first_rung_that_meets_it(run):
    """The defaults of the open rungs are known, the target is met: one look, no climb."""
    result = run(**{**HARD, "objectives": ["roc_auc >= 0.55"], "budget": "30 trials"})
    (decision,) = decisions(result)
    assert decision.stop == "met"
    assert "met at rung frozen; higher rungs (lora, full) were not needed" in decision.reason
    assert set(rungs(result)) <= {"words", "frozen"}
    assert len(rungs(result)) <= 3
    assert result.verdict is not None


def test_a_hard_target_climbs_rung_by_rung(run):
    """Each climb is looked at as soon as the new rung's default is known; effects are measured."""
    result = run(**HARD, budget="12 trials")
    first, second = climbs(result)
    assert first.changes == (f"{CLIMBER}.rung: words, frozen -> words, frozen, lora",)
    assert "lora: 100 k parameters trained, about 1 s a fit" in first.reason
    assert second.space[f"{CLIMBER}.rung"].reserve == ()
    assert second.measured is not None
    looked = [r.payload["round"] for r in kinds(result, "decision")]
    assert looked[:3] == [1, 2, 3]
    asked = [r.payload["trial"] for r in kinds(result, "trial")]
    by_round = {
        n: [t for t in asked if t["round"] == n and t["purpose"] == "search"] for n in (2, 3)
    }
    assert by_round[2][0]["reason"] == "known-good default of lora"
    assert len(by_round[2]) <= 2
    assert by_round[3][0]["reason"] == "known-good default of full"
    found = evidence.collect(result.records)
    assert any("next rung is opened" in d["text"] for d in found["decisions"])
    chosen = kinds(result, "choice")[0].payload["trial"]
    best = next(t for t in asked if t["id"] == chosen)
    assert best["config"]["rung"] == "full"


def test_the_forecast_is_recorded_once_and_told(run):
    """Before the selection; rungs, what they took, and why the strategy counts seconds."""
    result = run(**HARD, budget="12 trials")
    (record,) = kinds(result, "forecast")
    forecast = decode(Forecast, record.payload["forecasts"][CLIMBER])
    assert [r.name for r in forecast.rungs] == ["words", "frozen", "lora", "full"]
    order = [r.kind for r in result.records]
    assert order.index("split") < order.index("forecast") < order.index("selection")
    (strategy,) = kinds(result, "strategy")
    assert strategy.payload["name"] == "bayes_per_second"
    assert "400-fold" in strategy.payload["reason"]
    told = evidence.collect(result.records)["search"]["forecast"]
    assert {r["rung"]: r["fits"] > 0 for r in told["rungs"]} == dict.fromkeys(
        ("words", "frozen", "lora", "full"), True
    )
    assert "full" in told["text"]
    assert "(forecast 4.0" in told["text"]
    assert "What fits took:" in result.summary
    assert any(
        d["title"] == "What fits will cost" for d in evidence.collect(result.records)["decisions"]
    )


@pytest.mark.parametrize(
    ("learner", "how", "said"),
    [
        (GREEDY, {}, "GB are allowed"),
        (DEAR, {"budget": "12 trials or 1 min"}, "more minutes would pay for it"),
        (DEAR, {"budget": "12 trials", "trial_minutes": 1}, "trial_minutes allows 60"),
    ],
)
def test_what_does_not_fit_is_never_opened(run, learner, how, said):
    """Memory, the budget of time, the limit of a fit: the diagnosis says which."""
    result = run(**{**HARD, "learners": [learner], "budget": "12 trials", **how})
    assert climbs(result) == []
    assert set(rungs(result)) <= {"words", "frozen"}
    told = [d.explanation for one in decisions(result) for d in one.diagnoses if d.code == "ladder"]
    assert said in told[0]
    assert said in decisions(result)[-1].reason


def test_an_unusable_rung_is_left_out(run):
    """The rungs below it are climbed all the same."""
    result = run(**{**HARD, "learners": [LAME]}, budget="12 trials")
    assert len(climbs(result)) == 1
    assert "full" not in rungs(result)
    assert "full cannot be used here: no GPU" in decisions(result)[-1].reason


def test_a_failed_forecast_costs_nothing_but_itself(run):
    """The study goes on and climbs; the record and the plan say why nothing is known."""
    result = run(**{**HARD, "learners": [MUTE]}, budget="9 trials")
    (record,) = kinds(result, "forecast")
    assert record.payload["forecasts"] == {}
    assert "the probe broke" in record.payload["failed"][MUTE]
    assert len(climbs(result)) == 2


def test_a_short_budget_leaves_the_forecast_its_time():
    """It comes before the search; half of a small budget is no hang where others compute, too."""
    for given, allowed in ((60.0, forecasting.LEAST_SECONDS), (3_600.0, 3_600.0), (None, None)):
        assert forecasting._patient(Limits(seconds=given, threads=2)) == Limits(allowed, threads=2)


def test_a_study_that_is_read_back_decides_the_same(run):
    """Asked again, an ended study gives what it gave; the ladder is read from the records."""
    first = run(**HARD, budget="12 trials")
    again = run(**HARD, budget="12 trials")
    assert len(again.records) == len(first.records)


def test_the_plan_shows_rungs_and_inputs(spec):
    """Trainable parameters, seconds, memory, the share that is cut, labels, decoded inputs."""
    from attain.cli import tables

    said = []
    view = api.plan(spec(**HARD), listen=lambda notice: said.append(notice.text), executors=inline)
    assert view.split == Split(view.split.kind, 2, 1, view.split.seed, view.split.reason)
    text = tables.plan(view, Path("attain.yaml"))
    assert "10 M parameters" not in text
    assert "1 M parameters trained, about 4 s a fit, 0.001 GB" in " ".join(text.split())
    assert "share of texts cut" in text
    assert "25" in text
    assert "0 = no and 1 = yes" in text
    assert text.count("[CLS]") == 3
    assert f"measuring what fits of {CLIMBER} cost" in said
    assert not (spec().folder).exists()


def test_the_plan_says_when_nothing_can_be_foretold(spec):
    """A probe that fails does not fail the plan."""
    from attain.cli import tables

    view = api.plan(spec(**{**HARD, "learners": [MUTE]}), executors=inline)
    assert "the probe broke" in view.unforetold[MUTE]
    assert "not known" in tables.plan(view, Path("attain.yaml"))


def test_fits_get_the_time_that_was_foretold(run, monkeypatch):
    """A tenth of the budget cuts no tuning short that was opened because the budget pays for it."""
    from attain.pipeline.trials import FORECAST_ROOM, Trials

    seen = {}
    made = Trials._job

    def job(self, trial, fold):
        found = made(self, trial, fold)
        seen[trial.config.get("rung")] = (found.payload["seconds"], found.limits.seconds)
        return found

    monkeypatch.setattr(Trials, "_job", job)
    run(**HARD, budget="12 trials or 2 min")
    assert seen["frozen"][0] == pytest.approx(2 * 60 * 0.1 / 2)
    assert seen["full"][0] == pytest.approx(FORECAST_ROOM * 4.0)
    assert seen["full"][1] >= 2 * seen["full"][0]


@pytest.mark.parametrize("model", ["nowhere", "folder"])
def test_a_model_that_cannot_be_used_is_refused_at_once(spec, tmp_path, model):
    """Before anything is spent, and with what to do."""
    (tmp_path / "folder").mkdir()
    with pytest.raises((SpecError, DataError), match=r"model|folder|hub"):
        running.run(spec(model=str(tmp_path / model)), executors=inline)
    assert not (spec().folder / "ledger.db").exists()


def few_texts(path, rows=240):
    """Texts that repeat, of which one word says the label and one says nothing."""
    rng = np.random.default_rng(0)
    good, noise = rng.integers(0, 2, rows), rng.integers(0, 5, rows)
    words = [f"{('bad', 'good')[g]} service {n}" for g, n in zip(good, noise, strict=True)]
    wrong = rng.random(rows) < 0.05
    pd.DataFrame({"text": words, "label": np.where(good ^ wrong, "yes", "no")}).to_csv(
        path, index=False
    )
    return str(path)


def test_texts_alone_have_the_lowest_rung_as_their_baseline(run, tmp_path, monkeypatch):
    """Not a linear model; it is a point of the search, and may be the final model, which is then
    not said to be beaten by a simpler one."""
    monkeypatch.setattr(
        pipeline_climbers, "SPOILED", {"words": 0.0, "frozen": 0.6, "lora": 0.6, "full": 0.6}
    )
    data = few_texts(tmp_path / "texts.csv")
    how = {"data": data, "text": ["text"], "objectives": ["roc_auc >= 0.8"], "budget": "9 trials"}
    result = run(**{**HARD, **how})
    simple = [r.payload["trial"] for r in kinds(result, "trial")][:2]
    assert [t["learner"] for t in simple] == ["baseline", CLIMBER]
    assert simple[1]["config"] == {"rung": "words"}
    assert simple[1]["point"] == {"learner": CLIMBER, f"{CLIMBER}.rung": "words"} or simple[1][
        "point"
    ] == {f"{CLIMBER}.rung": "words"}
    assert "met at rung words" in decisions(result)[0].reason
    assert kinds(result, "choice")[0].payload["trial"] == "b001"
    assert "simpler model" not in result.summary


def test_a_model_is_part_of_the_statement(spec, tmp_path, monkeypatch):
    """A study never goes on with another model's content; the same content goes on."""
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(
        "attain.data.pretrained.describe_pretrained",
        lambda address, base, trust_pickle=False: Pretrained(
            str(base / address), (base / address / "weights").read_text(), trust_pickle
        ),
    )
    weights = tmp_path / "model" / "weights"
    weights.write_text("first")
    data = few_texts(tmp_path / "texts.csv")
    how = {"data": data, "text": ["text"], "model": str(tmp_path / "model"), "trust_pickle": True}
    stated = spec(**{**HARD, **how, "objectives": ["roc_auc >= 0.6"], "budget": "6 trials"})
    result = running.run(stated, executors=inline)
    dataset = decode(Dataset, kinds(result, "dataset")[0].payload["dataset"])
    assert dataset.pretrained == Pretrained(str(tmp_path / "model"), "first", True)
    assert len(running.run(stated, executors=inline).records) == len(result.records)
    weights.write_text("second")
    with pytest.raises(SpecError, match="model it began with"):
        running.run(stated, executors=inline)


def test_a_model_without_texts_says_what_to_do(spec, tmp_path, monkeypatch):
    """Name the column, or leave the model out."""
    monkeypatch.setattr(
        "attain.data.pretrained.describe_pretrained",
        lambda address, base, trust_pickle=False: Pretrained("/model", "0" * 64),
    )
    with pytest.raises(SpecError, match="text: COLUMN"):
        running.run(spec(model="model"), executors=inline)


def test_init_writes_texts_and_model(tmp_path, monkeypatch):
    """What it writes is read back; a table without texts has no such lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder").mkdir()
    monkeypatch.setattr(
        "attain.data.pretrained.describe_pretrained",
        lambda address, base, trust_pickle=False: Pretrained(str(base / address), "0" * 64),
    )
    pipeline_climbers.texts().to_csv("texts.csv", index=False)
    api.init("texts.csv", "label", folder=tmp_path, model="encoder")
    spec = api.load_spec(tmp_path / "attain.yaml")
    assert (spec.text, spec.model) == (("text",), "encoder")
    api.init("texts.csv", "label", folder=tmp_path, force=True)
    assert api.load_spec(tmp_path / "attain.yaml").model is None
    assert "# model: FOLDER" in (tmp_path / "attain.yaml").read_text()
    table().to_csv("table.csv", index=False)
    api.init("table.csv", "label", folder=tmp_path, force=True)
    assert "text:" not in (tmp_path / "attain.yaml").read_text()
    api.init("table.csv", "label", folder=tmp_path, force=True, text=["colour"])
    assert api.load_spec(tmp_path / "attain.yaml").text == ("colour",)


def test_the_plans_listener_says_that_it_goes_on():
    """Every ten seconds, with the time it has taken; other news is left out."""
    clock, said = iter([0.0, 0.0, 5.0, 12.0, 12.0, 12.0]), []
    waiting = Waiting(said.append, lambda: next(clock))
    waiting(Notice("progress", text="reading the data", step="data"))
    waiting(Notice("progress", text="measuring", step="parameters"))
    waiting(Notice("tick"))
    waiting(Notice("tick"))
    assert said == ["measuring", "measuring: 0:12"]


def test_what_is_offered_leaves_out_what_would_not_end_in_time():
    """The lowest rung always stays; conditions of what is closed stay sound."""
    ladder = Ordinal(name="x.rung", choices=("low", "high"), reserve=("top",), default="high")
    space = Space(
        (ladder, Float(name="x.a", low=0, high=1, when=(Condition("x.rung", ("high",)),)))
    )
    forecast = Forecast((RungForecast("low", 1, 50.0, 1), RungForecast("high", 1, 100.0, 1)))
    trials = SimpleNamespace(
        trials={}, scored={}, workers=1, forecasts={"x": forecast},
        seconds_of=lambda learner, rung: {"low": 50.0, "high": 100.0}[rung],
    )  # fmt: skip
    climb = Climb(trials, space, 3)
    assert climb.offered(space, 1000.0) is space
    short = climb.offered(space, 80.0)
    assert short["x.rung"].choices == ("low",)
    assert short["x.rung"].reserve == ("high", "top")
    assert short.version == space.version
    assert climb.offered(space, 1.0)["x.rung"].choices == ("low",)


def test_a_rung_that_was_opened_is_tried():
    """Opening it has weighed its price: seconds that the leader's confirmation takes count there.

    Once its default is under way it waits for the answer, and then for the time, as others do.
    """
    ladder = Ordinal(name="x.rung", choices=("low",), reserve=("high",), default="low")
    first = Space((ladder,))
    now = first.replacing(ladder.opened("high", ("low", "high")))
    forecast = Forecast((RungForecast("low", 1, 50.0, 1), RungForecast("high", 1, 100.0, 1)))
    trial = SimpleNamespace(id="t1", point={"x.rung": "high"}, split=SimpleNamespace(jobs=1))
    trials = SimpleNamespace(
        trials={}, scored={}, workers=1, forecasts={"x": forecast}, limits=Limits(), firm=False,
        forecast=lambda learner, rung: None,
        seconds_of=lambda learner, rung: {"low": 50.0, "high": 100.0}[rung],
    )  # fmt: skip
    climb = Climb(trials, first, 3)
    assert climb.offered(now, 80.0) is now
    trials.trials["t1"] = trial
    assert climb.offered(now, 1000.0)["x.rung"].choices == ("low",)
    leader = SimpleNamespace(search=True, loss=0.5, seconds=400.0)
    trials.scored["t1"] = leader
    assert climb.offered(now, 1000.0) is now
    assert climb.offered(now, 80.0)["x.rung"].choices == ("low",)
    assert climb.rungs(now)["x.rung"]["low"].seconds == 50 + 3 * 400


def test_the_way_up_is_not_spent_on_the_ground(monkeypatch):
    """While a rung is tried, one trial is kept for each rung above; a study of SST-2 with eight
    trials and two workers spent four on counting words while its third rung of five was tried."""
    ladder = Ordinal(name="x.rung", choices=("low", "mid"), reserve=("high", "top"), default="low")
    space = Space((ladder, Float(name="x.a", low=0, high=1, default=0.5)))
    tried = {
        f"t{i}": SimpleNamespace(id=f"t{i}", point={"x.rung": rung, "x.a": 0.5})
        for i, rung in enumerate(("low", "mid"))
    }
    trials = SimpleNamespace(
        trials=tried, scored={"t0": None}, limits=Limits(), firm=False, has_room=True,
        forecast=lambda learner, rung: None, asked=lambda purpose: spent, history=lambda: (),
        seconds_of=lambda learner, rung: None,
    )  # fmt: skip
    climb = Climb(trials, space, 0)
    assert climb.kept(space) == 2
    study = SimpleNamespace(closing=False, seed=0, budget=SimpleNamespace(trials=8))
    asked = []
    strategy = SimpleNamespace(propose=lambda *told: asked.append(told) or [])
    monkeypatch.setattr(loop.Search, "_seconds_left", lambda self: 1.0)
    monkeypatch.setattr(loop.Search, "_goes_on", lambda self, proposing: None)
    ready = SimpleNamespace(space=space, confirming=0)
    search = loop.Search(study, ready, trials, strategy, space)
    spent = 6
    search._propose()
    assert not asked
    spent = 5
    search._propose()
    assert len(asked) == 1
    trials.scored["t1"] = None  # it is known; the look that follows decides what the rest is for
    assert climb.kept(space) == 0
    del tried["t1"]
    assert climb.kept(space) == 0  # its default comes next, and may take any trial
    trials.forecast = lambda learner, rung: RungForecast(rung, 1, 1.0, 1, usable=rung != "top")
    tried["t2"] = SimpleNamespace(id="t2", point={"x.rung": "mid", "x.a": 0.5})
    assert climb.kept(space) == 1


def test_a_strategy_with_nothing_to_say_is_not_asked_again_until_something_changes(monkeypatch):
    """While a rung is tried the space without it may be used up: to look for a point that is not
    there takes a strategy seconds, and the search looks many times a second."""
    ladder = Ordinal(name="x.rung", choices=("low", "high"), default="low")
    space, asked = Space((ladder,)), []
    offered = [space.replacing(Ordinal(name="x.rung", choices=("low",), default="low"))]
    strategy = SimpleNamespace(propose=lambda *told: asked.append(told) or [])
    trials = SimpleNamespace(has_room=True, busy=True, scored={}, asked=lambda purpose: 3,
                             history=lambda: ())  # fmt: skip
    study = SimpleNamespace(closing=False, seed=0, budget=SimpleNamespace(trials=None))
    climb = SimpleNamespace(offered=lambda space, left: offered[0], kept=lambda space: 0)
    monkeypatch.setattr(loop.Search, "climb", climb)
    monkeypatch.setattr(loop.Search, "_seconds_left", lambda self: 1.0)
    monkeypatch.setattr(loop.Search, "_goes_on", lambda self, proposing: None)
    search = loop.Search(study, None, trials, strategy, space)
    for times in (1, 1, 1):
        search._propose()
        assert len(asked) == times
        assert search.proposing
    trials.scored["t1"] = None
    search._propose()
    assert len(asked) == 2
    offered[0] = space
    search._propose()
    assert len(asked) == 3
    assert not search.proposing


@pytest.mark.parametrize(
    ("spread", "trials", "name"),
    [(5.0, 60, "bayes"), (6.0, 60, "bayes_per_second"), (100.0, 5, "sobol"), (100.0, 400, "tpe")],
)
def test_dear_rungs_are_searched_by_the_second(spread, trials, name):
    """From five-fold costs on, where a model learns at all."""
    space = Space(
        (
            Ordinal(name="rung", choices=("a", "b"), reserve=("c",)),
            Float(name="x", low=0, high=1, when=(Condition("rung", ("a", "b")),)),
        )
    )
    assert choose(space, trials, spread=spread)[0] == name
    assert find("strategy", "bayes_per_second")().per_second
