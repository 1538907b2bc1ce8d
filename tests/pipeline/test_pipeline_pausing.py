"""Paused fits that go on later: as if they never had been paused, also after a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_small import inline, table
from test_pipeline_checkpoints import began, kill_tree, start, wait_for
from test_pipeline_run import StopAfter, payloads

from attain.core.errors import Interrupted
from attain.pipeline import folders
from attain.pipeline import run as running
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec

Make = Callable[..., StudySpec]
SMALL: dict[str, Any] = {
    "learners": ["pipeline_patient:Patient"],
    "strategy": "pipeline_patient:Waiting",
    "objectives": ["maximize roc_auc"],
    "budget": "4 trials",
    "folds": 2,
    "repeats": 1,
    "rigor": "quick",
}
ON_DISK = """\
data: {folder}/table.csv
target: label
objectives: [roc_auc >= 0.5]
learners: ["pipeline_patient:Slow"]
strategy: "pipeline_patient:Waiting"
budget: 4 trials
folds: 2
repeats: 1
rigor: quick
workers: 1
"""


def searched(result: Result) -> dict[str, dict[str, Any]]:
    """Trials of the search by number."""
    found = [p["trial"] for p in payloads(result.records, "trial")]
    return {t["id"]: t for t in found if t["purpose"] == "search"}


def scored(result: Result) -> dict[str, dict[str, Any]]:
    return {p["trial"]: p for p in payloads(result.records, "scored")}


def states(folder: Path) -> set[str]:
    place = folder / folders.CHECKPOINTS
    return {p.name for p in place.iterdir()} if place.exists() else set()


def essence(result: Result) -> Any:
    """What must not depend on interruptions: no times, no files."""
    ends = scored(result)
    return {
        name: (t["parent"], t["step"], t["config"], ends[name]["status"], ends[name]["loss"])
        for name, t in searched(result).items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The study that the others are compared with, once it was run, and the states it had."""
    return {}


@pytest.fixture
def undisturbed(whole: dict[str, Any], spec: Make) -> dict[str, Any]:
    if not whole:
        stated = spec(data=table(160), **SMALL)
        seen: dict[str, set[str]] = {}

        def listen(notice: Any) -> None:
            record = notice.record
            whole["counted"] = notice.trials
            if record is not None and record.kind in ("scored", "finalists"):
                seen[record.payload.get("trial", "finalists")] = states(stated.folder)

        whole["result"] = running.run(stated, listen=listen, executors=inline)
        whole["states"], whole["folder"] = seen, stated.folder
        whole["began"] = (stated.folder / "began.txt").read_text()
    return whole


def test_paused_trials_go_on_before_anything_new_is_tried(undisturbed: dict[str, Any]) -> None:
    """Three wait; then each goes on under a number of its own, and they do not count as tried."""
    trials = searched(undisturbed["result"])
    parents = [t["parent"] for t in trials.values()]
    assert parents[:3] + parents[6:] == [""] * 4
    firsts = {
        p["outcome"]["trial"]: min(point["values"]["stop"] for point in p["outcome"]["curve"])
        for p in payloads(undisturbed["result"].records, "outcome")
        if "paused" in p["outcome"]["facts"]
    }
    assert parents[3:6] == sorted(firsts, key=lambda name: firsts[name])
    assert set(firsts) == {"t0001", "t0002", "t0003"}
    assert {t["step"] for t in trials.values() if t["parent"]} == {3}
    assert all(
        t["seed"] == trials[t["parent"]]["seed"] and t["config"] == trials[t["parent"]]["config"]
        for t in trials.values()
        if t["parent"]
    )
    assert undisturbed["counted"] == 4
    ends = scored(undisturbed["result"])
    assert [ends[name]["status"] for name in trials] == ["raced"] * 3 + ["done"] * 4
    assert "goes on from step 3" in trials["t0004"]["reason"]
    assert ends["t0001"]["message"] == "paused by the strategy at step 3 of fold 1"


def test_they_end_as_trials_that_were_never_paused(
    undisturbed: dict[str, Any], spec: Make, tmp_path: Path
) -> None:
    """The same four configurations, predictions, scores and winner as without a judge."""
    plain = running.run(
        spec(data=table(160), **{**SMALL, "strategy": "random"}, output=str(tmp_path / "plain")),
        executors=inline,
    )
    ends, others = scored(undisturbed["result"]), scored(plain)
    trials = searched(undisturbed["result"])
    assert trials["t0007"]["config"] == searched(plain)["t0004"]["config"]
    for name, other in [(n, t["parent"]) for n, t in trials.items() if t["parent"]]:
        assert trials[name]["config"] == searched(plain)[other]["config"]
        assert ends[name]["loss"] == others[other]["loss"]
        for fold in (0, 1):
            a = np.load(undisturbed["folder"] / f"trials/{name}-f{fold}.npz")
            b = np.load(plain.folder / f"trials/{other}-f{fold}.npz")
            assert np.array_equal(a["valid"], b["valid"])


def test_a_state_is_found_kept_while_it_may_be_needed_and_given_back(
    undisturbed: dict[str, Any],
) -> None:
    """Each goes on from its third step; its state goes with the trial that needed it."""
    lines = undisturbed["began"].split("\n")
    assert {"t0004-f0 3", "t0005-f0 3", "t0006-f0 3", "t0007-f0 0", "t0004-f1 0"} <= set(lines)
    seen = undisturbed["states"]
    assert seen["t0001"] == {"t0001-f0"}
    assert seen["t0003"] == {"t0001-f0", "t0002-f0", "t0003-f0"}
    trials = searched(undisturbed["result"])
    assert f"{trials['t0006']['parent']}-f0" in seen["t0005"]
    assert f"{trials['t0004']['parent']}-f0" not in seen["t0005"]
    assert seen["finalists"] == set()


@pytest.mark.parametrize(
    ("kind", "count"),
    [("scored", 5), ("trial", 6), ("outcome", 6)],
)
def test_a_pause_that_was_interrupted_ends_as_the_undisturbed_one(
    kind: str, count: int, undisturbed: dict[str, Any], spec: Make, tmp_path: Path
) -> None:
    """Stopped between a pause and going on, or right after it was asked for."""
    stated = spec(data=table(160), **SMALL, output=str(tmp_path / "again"))
    with pytest.raises(Interrupted, match="finished trials are kept"):
        running.run(stated, listen=StopAfter(kind, count), executors=inline)
    assert states(stated.folder)
    resumed = running.run(stated, executors=inline)
    assert essence(resumed) == essence(undisturbed["result"])
    assert [
        line for line in (stated.folder / "began.txt").read_text().split("\n") if "t0004-f0" in line
    ] == ["t0004-f0 3"]


@pytest.mark.parametrize("harm", ["gone", "damaged", "no room"])
def test_without_its_state_a_trial_begins_anew_and_ends_the_same(
    harm: str, undisturbed: dict[str, Any], spec: Make, tmp_path: Path, monkeypatch: Any
) -> None:
    """Only the time is lost."""
    stated = spec(data=table(160), **SMALL, output=str(tmp_path / "again"))
    if harm == "no room":
        monkeypatch.setattr(folders, "LEAST_FREE", 2.0)
    kept: list[set[str]] = []

    def listen(notice: Any) -> None:
        record = notice.record
        if record is None or record.kind != "scored" or record.payload["trial"] != "t0003":
            return
        kept.append(states(stated.folder))
        for name in kept[0]:
            place = stated.folder / folders.CHECKPOINTS / name
            if harm == "gone":
                folders.drop_checkpoint(stated.folder, name)
            else:
                (place / "state.json").write_text("{")

    found = running.run(stated, listen=listen, executors=inline)
    assert bool(kept[0]) is (harm != "no room")
    assert essence(found) == essence(undisturbed["result"])
    assert "t0004-f0 0" in (stated.folder / "began.txt").read_text()


def test_what_is_told_to_stop_gives_its_state_back_and_never_goes_on(spec: Make) -> None:
    """The signal alone permits it."""
    stated = spec(data=table(160), **{**SMALL, "strategy": "pipeline_patient:GivingUp"})
    seen: dict[str, set[str]] = {}

    def listen(notice: Any) -> None:
        if notice.record is not None and notice.record.kind == "trial":
            seen[notice.record.payload["trial"]["id"]] = states(stated.folder)

    found = running.run(stated, listen=listen, executors=inline)
    assert seen["t0003"] == {"t0001-f0", "t0002-f0"}
    assert seen["t0004"] == set()
    assert not any(t["parent"] for t in searched(found).values())


def test_kill_9_while_a_paused_fit_goes_on(tmp_path: Path) -> None:
    """The same command goes on from the pause again, and asks for nothing twice."""
    table(160).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "attain.yaml").write_text(ON_DISK.format(folder=tmp_path))
    process = start(tmp_path)
    wait_for(tmp_path / "study" / "checkpoints" / "t0004-f0", 120)
    kill_tree(process)
    assert states(tmp_path / "study") >= {"t0001-f0", "t0002-f0", "t0003-f0"}
    assert start(tmp_path).wait(timeout=170) in (0, 3, 4)
    fits = began(tmp_path)
    assert {step for name, step in fits if name == "t0004-f0"} == {3}
    names = [name for name, _ in fits if name != "t0004-f0" and name.startswith("t")]
    assert len(set(names)) == len(names) > 5
    assert not (tmp_path / "study" / "checkpoints").exists()
