"""Killed at any instant, a search with an output loses no finished trial and repeats none."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """\
import sys

import attain
from minimize_functions import LINE, noted

result = attain.minimize(
    noted, LINE, trials=24, output=sys.argv[1], workers=int(sys.argv[2]), progress=False
)
print(result.ended, len(result.trials), sum(t.done for t in result.trials))
"""


def start(folder: Path, workers: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path, "NOTES": str(folder / "notes")}
    command = [sys.executable, "-c", SCRIPT, str(folder / "out"), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def told(folder: Path) -> dict[str, float]:
    """Finished trials on the disk: their ids and losses."""
    path = folder / "out" / "ledger.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT payload FROM records WHERE kind = 'told'").fetchall()
        except sqlite3.OperationalError:  # killed before the table was made
            return {}
    found = [json.loads(payload) for (payload,) in rows]
    assert len({p["trial"] for p in found}) == len(found), "a trial was told twice"
    return {p["trial"]: p["metrics"]["loss"] for p in found}


def notes(folder: Path) -> list[str]:
    """Where the function was evaluated to its end."""
    path = folder / "notes"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def places(folder: Path, trials: Iterable[str]) -> set[str]:
    """Where some trials are."""
    with closing(sqlite3.connect(f"file:{folder}/out/ledger.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT payload FROM records WHERE kind = 'asked'").fetchall()
    asked = [json.loads(payload) for (payload,) in rows]
    at = {p["trial"]: repr(p["config"]["x"]) for p in asked if "config" in p}
    return {at[trial] for trial in trials}


def finish(folder: Path, workers: int) -> str:
    process = start(folder, workers)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return said


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_loses_and_repeats_nothing(tmp_path: Path, workers: int) -> None:
    """Killed three times under way: each finished trial stays, and none is evaluated again."""
    folder = tmp_path / "killed"
    folder.mkdir()
    recorded, evaluated = set[str](), 0
    for least in (2, 6, 12):
        process = start(folder, workers)
        deadline = time.monotonic() + 60
        while len(told(folder)) < least and time.monotonic() < deadline:
            time.sleep(0.01)
        before = told(folder)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        after = told(folder)
        assert before.items() <= after.items()
        assert len(after) >= least
        assert not recorded & set(notes(folder)[evaluated:])
        recorded, evaluated = places(folder, after), len(notes(folder))
    assert finish(folder, workers) == "trials 24 24\n"
    assert after.items() <= told(folder).items()
    assert not recorded & set(notes(folder)[evaluated:])
    if workers == 1:  # what ended in the instant before its record runs again, no more
        assert 24 <= len(notes(folder)) <= 24 + 3
        whole = tmp_path / "whole"
        whole.mkdir()
        finish(whole, workers)
        assert told(whole) == told(folder)
