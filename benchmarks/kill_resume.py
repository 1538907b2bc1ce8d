"""Kill a study at random instants, run it again, and compare with the run that nobody disturbed.

    python benchmarks/kill_resume.py [--kills 30] [--quick] [--check]

Each kill is `kill -9` of the whole process tree; then the same command is run again. What must
hold: every finished fold and trial is still there, unchanged; none is repeated; the final result
equals that of the undisturbed run. Finished kills are kept in `results/kill_resume.json`; the same
command goes on where it was stopped. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "examples" / "credit" / "credit_g.csv"
RESULTS = HERE / "results" / "kill_resume.json"
STUDY = """\
data: {data}
target: class
objectives: [roc_auc >= 0.7]
learners: [linear, lightgbm]
budget: {trials} trials
folds: 3
repeats: 1
workers: 1
seed: 1
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`attain run`, quietly, in a process of its own."""
    command = [sys.executable, "-m", "attain", "run", "attain.yaml", "--json"]
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the process and all it started, the parent first."""
    try:
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def records(folder: Path) -> list[tuple[int, str, str, dict[str, Any]]]:
    """What the ledger holds, read without attain."""
    ledger = folder / "study" / "ledger.db"
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute(
                "SELECT id, step, kind, payload FROM records ORDER BY id"
            ).fetchall()
        except sqlite3.OperationalError:  # killed before the table was made
            return []
    return [(i, step, kind, json.loads(payload)) for i, step, kind, payload in rows]


def result(folder: Path) -> dict[str, Any]:
    """What a study came to, without anything that depends on the clock."""
    found = records(folder)
    verdict = [p for _, _, kind, p in found if kind == "verdict"]
    timed = ("_ms", "_per_s", "_seconds", "_mb")
    return {
        "trials": [
            (p["trial"]["id"], p["trial"]["point"], p["trial"]["seed"])
            for _, _, kind, p in found
            if kind == "trial"
        ],
        "losses": {p["trial"]: p["loss"] for _, _, kind, p in found if kind == "scored"},
        "decisions": [p["decision"]["kind"] for _, _, kind, p in found if kind == "decision"],
        "choice": [p["trial"] for _, _, kind, p in found if kind == "choice"],
        "verdict": [
            (s["metric"], s["estimate"], s["low"], s["high"])
            for v in verdict
            for s in v["scores"]
            if not s["metric"].endswith(timed)
        ],
        "looks": [v["verdict"]["looks"] for v in verdict],
    }


def repeated(folder: Path) -> int:
    """Folds and trials that were recorded more than once."""
    found = records(folder)
    folds = Counter(
        (p["outcome"]["trial"], p["outcome"]["fold"])
        for _, _, kind, p in found
        if kind == "outcome"
    )
    scored = Counter(p["trial"] for _, _, kind, p in found if kind == "scored")
    return sum(n - 1 for n in [*folds.values(), *scored.values()])


def one_kill(
    folder: Path, trials: int, seconds: float, reference: dict[str, Any]
) -> dict[str, Any]:
    """Run, kill after so many seconds, run again; say what was lost, repeated or different."""
    prepare(folder, trials)
    process, began = start(folder), time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    lasted, finished_early = time.monotonic() - began, process.poll() is not None
    kill_tree(process)
    before = records(folder)
    again = start(folder)
    code = again.wait()
    after = records(folder)
    final = json.loads(json.dumps(result(folder)))  # as the reference: tuples become lists
    kept = {(i, kind): payload for i, _, kind, payload in after}
    return {
        "seconds": lasted,
        "ended_before_kill": finished_early,
        "records_at_kill": len(before),
        "lost": sum(1 for i, _, kind, payload in before if kept.get((i, kind)) != payload),
        "repeated": repeated(folder),
        "different": [key for key in reference if final[key] != reference[key]],
        "exit": code,
    }


def prepare(folder: Path, trials: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "attain.yaml").write_text(STUDY.format(data=DATA.as_posix(), trials=trials))


def undisturbed(folder: Path, trials: int) -> tuple[dict[str, Any], float]:
    prepare(folder, trials)
    began = time.monotonic()
    code = start(folder).wait()
    if code not in (0, 3, 4):
        sys.exit(
            f"the undisturbed run failed with exit {code}:\n{(folder / 'run.log').read_text()}"
        )
    return json.loads(json.dumps(result(folder))), time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two kills of a tiny study")
    parser.add_argument("--check", action="store_true", help="exit 1 if anything was lost")
    asked = parser.parse_args()
    kills, trials = (2, 3) if asked.quick else (asked.kills, asked.trials)
    results = RESULTS.with_stem("kill_resume_quick") if asked.quick else RESULTS
    results.parent.mkdir(exist_ok=True)
    done = json.loads(results.read_text()) if results.exists() and not asked.quick else []
    with tempfile.TemporaryDirectory(prefix="attain-kill-") as scratch:
        reference, seconds = undisturbed(Path(scratch) / "reference", trials)
        draw = random.Random(asked.seed + len(done))
        while len(done) < kills:
            instant = draw.uniform(0.05, 0.98) * seconds
            one = one_kill(Path(scratch) / "killed", trials, instant, reference)
            print(len(done) + 1, one, file=sys.stderr, flush=True)
            if one["ended_before_kill"]:  # the machine has become quicker: no kill, no count
                seconds = min(seconds, one["seconds"])
                continue
            done.append(one)
            results.write_text(json.dumps(done, indent=1))
    summary = {
        "benchmark": "kill_resume",
        "kills": len(done),
        "undisturbed_seconds": round(seconds, 1),
        "records_at_kill": sorted(d["records_at_kill"] for d in done),
        "lost": sum(d["lost"] for d in done),
        "repeated": sum(d["repeated"] for d in done),
        "different": sum(bool(d["different"]) for d in done),
    }
    print(json.dumps(summary))
    broken = summary["lost"] + summary["repeated"] + summary["different"]
    return 1 if asked.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
