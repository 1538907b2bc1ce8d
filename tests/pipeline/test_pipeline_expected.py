"""What to expect after selection: recorded with every decision, from complete configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pipeline_small import FAKE, FAULTY

from attain.cli.absorb import advance
from attain.cli.board import Board
from attain.cli.plain import heartbeat
from attain.cli.plain import lines as plain_lines
from attain.core.types import Score, Split
from attain.pipeline import expected
from attain.pipeline.notice import Notice
from attain.pipeline.result import Result
from attain.pipeline.rigor import LEVELS
from attain.pipeline.spec import StudySpec
from attain.report import numbers

Run = Callable[..., Result]


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


def test_it_comes_with_every_decision_and_not_more_often(run: Run) -> None:
    """Just before each decision, never after a trial: looking all the time is optional stopping."""
    kinds = [r.kind for r in run().records]
    assert kinds.count("expected") == kinds.count("decision") > 0
    assert all(kinds[i + 1] == "decision" for i, kind in enumerate(kinds) if kind == "expected")


def test_it_is_below_the_best_seen_and_has_an_interval(run: Run) -> None:
    """The luck of the best is taken out; limits hold the estimate, the method says how."""
    result = run(objectives=["roc_auc"], budget="20 trials")
    last = payloads(result, "expected")[-1]
    best = next(p for p in payloads(result, "scored") if p["trial"] == last["trial"])
    (score,) = last["scores"]
    seen = next(s for s in best["scores"] if s["metric"] == "roc_auc")
    assert score["metric"] == "roc_auc"
    assert score["estimate"] <= seen["estimate"] + 0.002
    assert score["low"] <= score["estimate"] <= score["high"] <= 1
    assert score["method"].startswith(f"BBC-CV of {last['configurations']} configurations")
    assert best["loss"] == min(
        p["loss"] for p in payloads(result, "scored") if p["search"] and p["loss"] is not None
    )


def test_only_complete_configurations_count(run: Run) -> None:
    """Failed trials have no score that could have been selected."""
    result = run(learners=[FAKE, FAULTY], budget="10 trials")
    complete = [
        p["trial"]
        for p in payloads(result, "scored")
        if p["loss"] is not None and not p["trial"].startswith(("b000", "c"))
    ]
    assert payloads(result, "expected")[-1]["configurations"] <= len(complete)


def test_predictions_of_the_best_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many of the search keep their files; those of baselines and confirmations stay."""
    monkeypatch.setattr(expected, "KEPT", 3)
    result = run(budget="12 trials")
    left = {path.name.partition("-")[0] for path in (result.folder / "trials").glob("*.npz")}
    assert payloads(result, "expected")[-1]["configurations"] == 3
    assert {"b000", "b001", "c001"} <= left
    assert sum(name.startswith("t") for name in left) <= 3


def test_several_objectives_are_selected_by_their_loss(run: Run) -> None:
    """Each quality objective has its corrected score, with what was measured held fixed."""
    result = run(objectives=["roc_auc >= 0.7", "f1", "size_mb <= 50"])
    last = payloads(result, "expected")[-1]
    assert [s["metric"] for s in last["scores"]] == ["roc_auc", "f1"]


def test_everything_shows_it(run: Run) -> None:
    """Report, card and report.json have it between the best seen and the confirmed score."""
    result = run(objectives=["roc_auc"])
    told = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    kinds = [p["kind"] for p in told["comparison"][0]["points"]]
    at = kinds.index("corrected")
    assert kinds[at - 1 : at + 2] == ["naive", "corrected", "confirmed"]
    assert "Expected after selection" in result.card.read_text(encoding="utf-8")
    assert "Expected after selection" in result.report.read_text(encoding="utf-8")
    assert "Expected after selection" in result.summary


def test_both_views_show_it_until_it_is_confirmed(run: Run) -> None:
    """A line when it is known, a word beside the best seen, nothing once it is confirmed."""
    board, said = Board(), []
    for record in run(objectives=["roc_auc"]).records:
        before, board = board, advance(board, Notice("record", record=record))
        said += list(plain_lines(before, board, record))
        if record.kind == "expected":
            value = numbers.estimate(dict(record.payload["scores"][0]))
            assert f"expected {value} after selection" in heartbeat(board)
    assert "after selection" not in heartbeat(board)
    assert any(line.startswith("expected after selection from ") for line in said)


@pytest.mark.parametrize("rigor", sorted(LEVELS))
def test_rigor_decides_folds_and_finalists(run: Run, rigor: str) -> None:
    """More rigor: few rows are divided more often, more finalists are confirmed, on more folds."""
    level = LEVELS[rigor]
    result = run(rigor=rigor, repeats="auto", objectives=["roc_auc"])
    split = payloads(result, "split")[0]["split"]
    assert split["repeats"] == (3 if level.repeats else 1)
    confirmed = [
        p["trial"] for p in payloads(result, "trial") if p["trial"]["purpose"] == "confirm"
    ]
    assert 1 <= len(confirmed) <= level.finalists
    for trial in confirmed:
        assert trial["split"]["repeats"] == split["repeats"] * level.confirmations
        assert trial["split"]["seed"] != split["seed"]


def test_one_division_cannot_be_drawn_afresh(spec: Callable[..., StudySpec]) -> None:
    """With a row in each fold, more rigor has nothing more to draw, and says nothing wrong."""
    from pipeline_small import table

    from attain.data import infer
    from attain.data.table import to_rows
    from attain.pipeline.confirming import fresh_split

    frame = table(12)
    dataset = infer.describe(frame, target="label")
    stated = spec(rigor="max", folds=12, repeats="auto")
    split = fresh_split(stated, dataset, to_rows(frame, dataset), 0)
    assert isinstance(split, Split)
    assert (split.folds, split.repeats) == (12, 1)


def test_intervals_as_wide_as_sealed_rows_give_stay_where_scores_can_be():
    """An accuracy is never above 1, a loss never below 0, however few rows are sealed."""
    told = {"trial": "t", "n": 9, "unit": "", "method": "m", "confidence": 0.95}
    sure = expected.widened(Score(metric="accuracy", estimate=0.95, low=0.8, high=1.0, **told), 3.0)
    assert (sure.low, sure.high) == (pytest.approx(0.5), 1.0)
    loss = expected.widened(Score(metric="log_loss", estimate=0.1, low=0.05, high=0.2, **told), 3.0)
    assert (loss.low, loss.high) == (0.0, pytest.approx(0.4))
