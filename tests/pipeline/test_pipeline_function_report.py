"""Where pages about searches of functions come from: a result, an optimizer, a ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from minimize_functions import SPACE, bowl

import attain
from attain.cli.main import main
from attain.core.errors import EnvironmentProblem
from attain.core.types import Record
from attain.pipeline import api, function_report
from attain.pipeline.journal import open_ledger


def records_of(folder: Path) -> tuple[Record, ...]:
    ledger = open_ledger(folder / "ledger.db")
    assert ledger is not None
    try:
        return tuple(ledger.read())
    finally:
        ledger.close()


def measured(config: dict[str, Any]) -> dict[str, float]:
    loss = bowl(config)
    return {"loss": loss, "rate": float(config["rate"])}


GOALS = ["minimize loss", ["minimize loss", "maximize rate", "loss <= 20"]]


@pytest.mark.parametrize("goals", GOALS)
def test_records_say_what_the_result_says(tmp_path: Path, goals: str | list[str]) -> None:
    """Nothing is in the page of a result that its ledger does not know."""
    result = attain.minimize(
        measured, SPACE, trials=10, goals=goals, output=tmp_path, progress=False, strategy="sobol"
    )
    told = function_report.evidence(function_report.read(records_of(tmp_path)))
    assert told == function_report.evidence(result._searched())
    assert told["title"].startswith("measured: minimize loss")
    assert told["ended"] == 10


def test_a_page_can_be_written_while_a_search_goes_on_and_after_it_was_extended() -> None:
    """An optimizer has one at any time, in the space in force."""
    optimizer = attain.Optimizer({"x": (0.0, 1.0)}, seed=1)
    for _ in range(9):
        trial = optimizer.ask()
        optimizer.tell(trial, float(str(trial.config["x"])))
    running = optimizer.ask()
    optimizer.extend({"x": (0.0, 1.0), "y": {"low": 0.0, "high": 1.0, "default": 0.5}})
    told = function_report.evidence(optimizer._searched())
    assert [p["name"] for p in told["parameters"]] == ["x", "y"]
    assert (told["ended"], told["trials"][-1]["id"]) == (9, running.id)
    assert set(optimizer.importance()) <= {"x", "y"}


def test_the_page_goes_where_it_was_asked_for(tmp_path: Path) -> None:
    """A file, or a folder that exists; folders on the way are made; what stops that is named."""
    optimizer = attain.Optimizer({"x": (0.0, 1.0)})
    assert optimizer.report(tmp_path) == tmp_path / "report.html"
    deep = optimizer.report(tmp_path / "new" / "page.html")
    assert deep.read_text().startswith("<!doctype html>")
    with pytest.raises(EnvironmentProblem, match=r"page\.html"):
        optimizer.report(deep / "page.html")


def test_the_command_tells_a_search_from_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`attain report FOLDER` of a search writes its page and speaks of no sealed rows."""
    attain.minimize(bowl, SPACE, trials=9, output=tmp_path, progress=False, strategy="sobol")
    assert _code("report", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "Best of 9: loss" in said
    assert "sealed" not in said
    assert "bowl: minimize loss" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "model_card.md").exists()
    assert _code("report", str(tmp_path), "--json") == 0
    told = json.loads(capsys.readouterr().out)["report"]
    assert told == json.loads(json.dumps(api.report(tmp_path)))


def _code(*arguments: str) -> Any:
    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code
