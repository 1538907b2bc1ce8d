"""Trials that fail in every known way, in real worker processes; and kill -9 of everything."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from pipeline_small import FAULTY, table

from attain.pipeline import run as running
from attain.pipeline.spec import StudySpec

Make = Callable[..., StudySpec]


def test_trials_that_fail_are_recorded_and_the_study_goes_on(spec: Make) -> None:
    """Raising, hanging, exiting, NaN, hoarding memory: a status and a message for each."""
    stated = spec(
        learners=[FAULTY],
        objectives=["roc_auc >= 0.99"],
        budget="16 trials",
        strategy="random",
        folds=2,
        workers=2,
        trial_minutes=0.05,
        trial_memory_gb=1.5,
        seed=2,
    )
    result = running.run(stated)
    scored = [r.payload for r in result.records if r.kind == "scored" and r.payload["search"]]
    assert len(scored) == 16
    failed = [p for p in scored if p["status"] != "done"]
    assert len({p["status"] for p in failed}) >= 3
    assert all(p["message"] for p in failed)
    assert result.verdict is not None


STUDY = """\
data: {folder}/table.csv
target: label
objectives: [roc_auc >= 0.7]
learners: [attain.testing.fakes:FakeLearner]
budget: 5 trials
folds: 3
repeats: 1
workers: 1
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "attain", "run", str(folder / "attain.yaml"), "--json"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    try:
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        if member.is_running():
            member.kill()
    process.wait()


def records(folder: Path) -> list[tuple[int, str, str]]:
    ledger = folder / "study" / "ledger.db"
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT id, kind, payload FROM records ORDER BY id").fetchall()
        except sqlite3.OperationalError:  # killed before the table was made
            return []


def essence(folder: Path) -> object:
    found = [(kind, json.loads(payload)) for _, kind, payload in records(folder)]
    return (
        {p["trial"]: p["loss"] for kind, p in found if kind == "scored"},
        [p["trial"] for kind, p in found if kind == "choice"],
        [
            (s["metric"], s["estimate"])
            for kind, p in found
            if kind == "verdict"
            for s in p["scores"]
            if s["metric"] in ("roc_auc", "log_loss")
        ],
    )


@pytest.mark.slow
def test_kill_9_at_any_instant_loses_nothing(tmp_path: Path) -> None:
    """Killed four times under way, the study ends as the undisturbed one, each fold run once."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        table().to_csv(folder / "table.csv", index=False)
        (folder / "attain.yaml").write_text(STUDY.format(folder=folder.as_posix()))
    began = time.monotonic()
    assert start(whole).wait(timeout=120) in (0, 3, 4)
    seconds = time.monotonic() - began
    for share in (0.3, 0.5, 0.6, 0.7):
        process = start(killed)
        time.sleep(share * seconds)
        before = records(killed)
        kill_tree(process)
        after = records(killed)
        assert after[: len(before)] == before
    assert start(killed).wait(timeout=120) in (0, 3, 4)
    assert essence(killed) == essence(whole)
    folds = Counter(
        (p["outcome"]["trial"], p["outcome"]["fold"])
        for p in (json.loads(payload) for _, kind, payload in records(killed) if kind == "outcome")
    )
    assert max(folds.values()) == 1
