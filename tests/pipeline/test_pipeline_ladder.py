"""Studies of a learner with rungs: forecast, first looks, climbs, and what is kept meanwhile."""

from __future__ import annotations

import pytest
from pipeline_small import inline

from attain.core.codec import decode
from attain.core.errors import DataError, SpecError
from attain.core.types import Decision, Forecast, Move, Split
from attain.pipeline import api
from attain.pipeline import run as running
from attain.report import evidence

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
    text = tables.plan(view, __import__("pathlib").Path("attain.yaml"))
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
    assert "not known" in tables.plan(view, __import__("pathlib").Path("attain.yaml"))


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
