"""A search of 100,000 trials on 1,000 simulated workers, through the real loop and a real ledger.

    python benchmarks/scale.py [--trials 100000] [--workers 1000] [--quick] [--check]

Only the time that trials take is simulated. What is shown is where the coordinator's own seconds
go (strategy, ledger, rest), for each tenth of the trials, and its peak memory. `--check` exits with
1 when a trial of the ninth tenth costs more than 1.5 times one of the second. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attain
from attain.core.registry import find
from attain.runtime.ledger import SqliteLedger
from attain.testing.simulated import SimulatedWorkers

SPACE = {
    "rate": {"low": 1e-5, "high": 0.1, "scale": "log"},
    "decay": {"low": 1e-6, "high": 0.1, "scale": "log"},
    "dropout": (0.0, 0.6),
    "kind": ["a", "b", "c"],
    "depth": {"low": 1, "high": 9, "when": {"kind": ["a", "b"]}},
}
PARTS = 10
MOST_GROWTH = 1.5


def loss(config: dict[str, Any]) -> float:
    return (config["dropout"] - 0.2) ** 2 + config["decay"] + 0.1 * ("abc".index(config["kind"]))


class Watch:
    """Adds up the processor seconds of calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.process_time() - began

        return call


def one(strategy: str, trials: int, workers: int, folder: Path) -> dict[str, Any]:
    """One search in this process."""
    asking, writing = Watch(), Watch()
    made = find("strategy", strategy)
    made.propose = asking.timed(made.propose)
    SqliteLedger.append = writing.timed(SqliteLedger.append)  # type: ignore[method-assign]
    marks: list[tuple[float, float, float, float]] = []
    draw, ended = random.Random(1), 0

    class Cluster(SimulatedWorkers):
        def events(self, timeout: float) -> Any:
            nonlocal ended
            found = super().events(timeout)
            ended += sum(event.kind == "ended" for event in found)
            while len(marks) <= PARTS and ended >= len(marks) * trials / PARTS:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                marks.append((time.process_time(), asking.seconds, writing.seconds, memory))
            return found

    began = time.perf_counter()
    cluster = Cluster(workers, lambda job: draw.uniform(30.0, 90.0), step=1.0)
    result = attain.minimize(
        loss, SPACE, trials=trials, workers=workers, executor=lambda: cluster,
        strategy=strategy, output=folder, progress=False,
    )  # fmt: skip
    wall = time.perf_counter() - began
    assert sum(trial.done for trial in result.trials) == trials
    hours = cluster.clock.monotonic() / 3600
    return {
        "strategy": strategy,
        "trials": trials,
        "workers": workers,
        **figures(marks, trials, wall),
        "file_mb": round((folder / "ledger.db").stat().st_size / 1e6, 1),
        "simulated_hours": round(hours, 2),
        "utilisation": round(cluster.busy / hours / 3600 / workers, 4),
    }


def figures(marks: list[tuple[float, ...]], trials: int, wall: float) -> dict[str, Any]:
    each = trials / PARTS
    tenths = []
    for before, after in itertools.pairwise(marks):
        total, asked, wrote = (
            1e3 * (b - a) / each for a, b in zip(before[:3], after[:3], strict=True)
        )
        tenths.append({"strategy_ms": round(asked, 3), "ledger_ms": round(wrote, 3),
                       "rest_ms": round(total - asked - wrote, 3),
                       "memory_mb": round(after[3], 1)})  # fmt: skip
    whole = [b - a for a, b in zip(marks[0][:3], marks[-1][:3], strict=True)]

    def cost(tenth: dict[str, float]) -> float:
        return tenth["strategy_ms"] + tenth["ledger_ms"] + tenth["rest_ms"]

    return {
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(whole[0], 1),
        "strategy_seconds": round(whole[1], 1),
        "ledger_seconds": round(whole[2], 1),
        "rest_seconds": round(whole[0] - whole[1] - whole[2], 1),
        "peak_mb": tenths[-1]["memory_mb"],
        "kb_per_trial": round(1e3 * (marks[-1][3] - marks[1][3]) / (trials - each), 2),
        "growth": round(cost(tenths[-2]) / cost(tenths[1]), 2),  # in the last, nothing is asked
        "tenths": tenths,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--strategy", default="random,sobol")
    parser.add_argument("--quick", action="store_true", help="3,000 trials on 100 workers")
    parser.add_argument("--check", action="store_true", help="exit 1 if a cost grows")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    trials, workers = (3_000, 100) if asked.quick else (asked.trials, asked.workers)
    if asked.inside:
        with tempfile.TemporaryDirectory(prefix="attain-scale-") as folder:
            print(json.dumps(one(asked.strategy, trials, workers, Path(folder) / "search")))
        return 0
    found = []
    for strategy in asked.strategy.split(","):  # each in a process of its own: memory is a peak
        command = [sys.executable, __file__, "--inside", "--strategy", strategy,
                   "--trials", str(trials), "--workers", str(workers)]  # fmt: skip
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(ran.stdout.splitlines()[-1]))
        for tenth in found[-1]["tenths"]:
            print(strategy, tenth, file=sys.stderr)
    print(json.dumps({"benchmark": "scale", "runs": found}))
    return 1 if asked.check and any(run["growth"] > MOST_GROWTH for run in found) else 0


if __name__ == "__main__":
    sys.exit(main())
