"""Folders that a study can do without: the shared cache, and the state of fits under way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pipeline_small import inline, table

from attain.pipeline import folders
from attain.pipeline import run as running
from attain.pipeline.doctor import doctor

STUBBORN = "pipeline_climbers:Stubborn"
STUDY = """\
data: {folder}/table.csv
target: label
objectives: [roc_auc >= 0.5]
learners: ["pipeline_climbers:Stubborn"]
budget: 1 trials
folds: 1
repeats: 1
rigor: quick
workers: 1
"""


def start(folder: Path, step_seconds: float = 0.05) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "attain", "run", str(folder / "attain.yaml"), "--json"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    told = {"PYTHONPATH": path, "STEP_SECONDS": str(step_seconds)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **told})


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    root = psutil.Process(process.pid)
    for member in [root, *root.children(recursive=True)]:
        if member.is_running():
            member.kill()
    process.wait()


def began(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "study" / "began.txt").read_text().split("\n")
    return [(name, int(step)) for name, step in (line.split() for line in lines if line)]


def wait_for(path: Path, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


def test_kill_9_during_a_fit_goes_on_from_its_checkpoint(tmp_path):
    """The same command goes on where the fit was, not at its beginning; nothing is left behind."""
    table().to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "attain.yaml").write_text(STUDY.format(folder=tmp_path))
    process = start(tmp_path, step_seconds=0.5)  # so that it cannot end before it is killed
    state = tmp_path / "study" / "checkpoints" / "t0001-f0" / "state.json"
    wait_for(state)
    time.sleep(0.3)
    kill_tree(process)
    assert state.exists()
    found = {d.name: d for d in doctor(tmp_path / "study")}
    assert found["checkpoints"].ok
    assert "t0001-f0" in found["checkpoints"].text
    assert "fits share" in found["cache"].text
    (tmp_path / "study" / "checkpoints" / "t0099-f3").mkdir()
    assert start(tmp_path).wait(timeout=120) in (0, 3, 4)
    searched = [step for name, step in began(tmp_path) if name == "t0001-f0"]
    assert searched[0] == 0
    assert searched[1] > 0
    assert not (tmp_path / "study" / "checkpoints").exists()
    assert not (tmp_path / "study" / "cache").exists()


@pytest.mark.parametrize("keep", [False, True])
def test_the_cache_goes_unless_it_is_to_stay(spec, keep):
    """An ended study fits nothing any more."""
    stated = spec(learners=[STUBBORN], budget="1 trials", folds=1, keep_cache=keep)
    running.run(stated, executors=inline)
    assert folders.cache(stated.folder).exists() is keep
    assert not (stated.folder / folders.CHECKPOINTS).exists()


def test_a_state_is_deleted_with_its_fit(tmp_path):
    """And kept for fits that have not ended."""
    for name in ("t0001-f0", "t0001-f1", "refit"):
        place = folders.checkpoint(tmp_path, name)
        place.mkdir(parents=True)
        (place / "state").write_bytes(b"x")
    folders.drop_checkpoint(tmp_path, "t0001-f0")
    folders.drop_checkpoint(tmp_path, "t0001-f0")
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["refit", "t0001-f1"]
    folders.keep_checkpoints(tmp_path, ["refit"])
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["refit"]
    assert folders.checkpoint(tmp_path, None) is None
    folders.keep_checkpoints(tmp_path / "elsewhere", [])


@pytest.mark.parametrize(("strategy", "kept"), [("Pausing", True), ("Stopping", False)])
def test_a_pause_keeps_the_state_and_a_stop_does_not(spec, strategy, kept):
    """Until the study ends, then neither is there."""
    stated = spec(
        learners=[STUBBORN],
        budget="2 trials",
        folds=1,
        strategy=f"pipeline_climbers:{strategy}",
    )
    seen = []

    def listen(notice):
        if notice.record is not None and notice.record.kind == "decision":
            place = stated.folder / folders.CHECKPOINTS
            seen.extend(p.name for p in (place.iterdir() if place.exists() else ()))

    result = running.run(stated, listen=listen, executors=inline)
    outcomes = [r.payload["outcome"] for r in result.records if r.kind == "outcome"]
    searched = [o for o in outcomes if o["trial"] == "t0001"]
    assert searched[0]["facts"]["stopped"] == 3
    assert ("t0001-f0" in seen) is kept
    assert not (stated.folder / folders.CHECKPOINTS).exists()


def test_the_doctor_finds_what_an_ended_study_left(spec):
    """It says what to delete."""
    stated = spec(learners=[STUBBORN], budget="1 trials", folds=1)
    running.run(stated, executors=inline)
    (stated.folder / "checkpoints" / "t0001-f0").mkdir(parents=True)
    found = {d.name: d for d in doctor(stated.folder)}
    assert not found["checkpoints"].ok
    assert "delete" in found["checkpoints"].remedy
