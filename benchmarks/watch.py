"""What the dashboard costs: a run that is watched by ten people, and pages of 100,000 trials.

    python benchmarks/watch.py [--viewers 10] [--trials 40] [--rounds 3] [--quick] [--check]

Every round runs the same small study twice, unwatched and watched in changing order, on the machine
as it is. A viewer keeps the stream open, and reads the chart and the newest page of the table
whenever something is new, at most every other second, as a browser does. Reported are fits per
second of CPU time of the run, the CPU time of the dashboard, and how long an append to the ledger
took; wall times depend on what else the machine does, CPU times hardly.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

TARGET = 0.02  # of the throughput
REST = 2.0  # seconds between two readings of one viewer, as in static/main.js


def make_study(folder: Path, trials: int) -> Path:
    """A study file whose fits take a moment each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 8))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(8)])
    frame["y"] = x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=3_000) > 0
    frame.to_csv(folder / "data.csv", index=False)
    stated = f"data: data.csv\ntarget: y\nobjectives: [roc_auc >= 0.999]\nbudget: {trials} trials\n"
    (folder / "attain.yaml").write_text(stated + "workers: 2\nracing: false\n", encoding="utf-8")
    return folder / "attain.yaml"


class Viewer(threading.Thread):
    """One browser: a stream, and readings when something is new."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._host, _, query = address.removeprefix("http://").partition("/")
        self._cookie = self._get(f"/{query}")[1]["set-cookie"].partition(";")[0]
        self.read = self.pushed = 0

    def _get(self, path: str, cookie: str = "") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def run(self) -> None:
        """Until the dashboard ends."""
        connection = http.client.HTTPConnection(self._host, timeout=600)
        connection.request("GET", "/events", headers={"Cookie": self._cookie})
        answer, known, rest = connection.getresponse(), 0, 0.0
        try:
            while line := answer.readline():
                if not line.startswith(b"data: "):
                    continue
                self.pushed += 1
                last = json.loads(line[6:])["read"]["records"]
                if last != known and time.monotonic() >= rest:
                    known, rest = last, time.monotonic() + REST
                    self._get("/api/progress", self._cookie)
                    self._get("/api/trials", self._cookie)
                    self.read += 1
        except (OSError, http.client.HTTPException):
            return


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process and the workers it had."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def ledger_gaps(folder: Path) -> list[float]:
    """Seconds between an outcome's record and the next record, which is written at once."""
    from attain.runtime.ledger import SqliteLedger

    ledger = SqliteLedger(folder / "ledger.db", read_only=True)
    records = ledger.read()
    ledger.close()
    pairs = itertools.pairwise(records)
    return [b.at - a.at for a, b in pairs if a.kind == "outcome" and b.kind == "scored"]


def one_run(trials: int, viewers: int) -> dict[str, Any]:
    """Run the study; figures of the run and of its dashboard."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = folder / "study"
        command = [sys.executable, "-m", "attain", "run", str(make_study(folder, trials))]
        began = time.perf_counter()
        run = subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        watch, watched, looking = None, 0.0, []
        if viewers:
            while not (study / "ledger.db").exists():
                time.sleep(0.1)
            command = [sys.executable, "-m", "attain", "watch", str(study), "--no-open"]
            watch = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            address = watch.stdout.readline().strip()  # type: ignore[union-attr]
            start = cpu_of(psutil.Process(watch.pid))
            looking = [Viewer(address) for _ in range(viewers)]
            for viewer in looking:
                viewer.start()
        process, cpu = psutil.Process(run.pid), 0.0
        while run.poll() is None:
            with contextlib.suppress(psutil.Error):
                cpu = cpu_of(process) + sum(cpu_of(c) for c in process.children(recursive=True))
            time.sleep(0.5)
        wall = time.perf_counter() - began
        if watch is not None:
            watched = cpu_of(psutil.Process(watch.pid)) - start
            watch.terminate()
            watch.wait(20)
        return {
            "wall": wall,
            "cpu": cpu,
            "dashboard_cpu": watched,
            "scoring": statistics.median(ledger_gaps(study)),
            "pushes": sum(v.pushed for v in looking),
            "readings": sum(v.read for v in looking),
        }


def large(trials: int) -> dict[str, float]:
    """CPU seconds to read a large ledger, and of each answer that a page asks for."""
    sys.path[:0] = [str(Path(__file__).parent.parent / "tests" / p) for p in ("web", "report")]
    import web_studies

    from attain.web import series, table
    from attain.web.hub import Hub

    with tempfile.TemporaryDirectory() as name:
        hub = Hub(web_studies.many(Path(name), trials))
        found = {"first state": _cpu(hub.look)}
        rest = 0.0
        while not hub._caught_up:
            rest += _cpu(hub.look)
        found["whole ledger"] = found["first state"] + rest
        metrics = series.metrics(hub.index)
        found["page"] = _cpu(lambda: table.page(hub.index, metrics, table.Query()))
        sort = table.Query(sort=f"metric:{metrics[0]}")
        found["sorted page"] = _cpu(lambda: table.page(hub.index, metrics, sort))
        found["progress"] = _cpu(lambda: series.progress(hub.index))
        found["parallel"] = _cpu(lambda: series.parallel(hub.index))
        found["memory_mb"] = psutil.Process().memory_info().rss / 1e6
        hub._forget()
    return {name: round(value, 3) for name, value in found.items()}


def _cpu(act: Any) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> int:
    """Measure, print, and say whether the target is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.trials = 1, 8
    runs: dict[str, list[dict[str, Any]]] = {"alone": [], "watched": []}
    for number in range(given.rounds):
        order = ("alone", "watched") if number % 2 == 0 else ("watched", "alone")
        for name in order:
            found = one_run(given.trials, given.viewers if name == "watched" else 0)
            runs[name].append(found)
            print(name, json.dumps(found), file=sys.stderr)
    cores = psutil.cpu_count() or 1
    share = [r["dashboard_cpu"] / (r["wall"] * cores) for r in runs["watched"]]
    ratio = [w["cpu"] / a["cpu"] - 1 for a, w in zip(*runs.values(), strict=True)]
    figures = {
        "viewers": given.viewers,
        "dashboard_share_of_machine": round(statistics.median(share), 4),
        "run_cpu_more": round(statistics.median(ratio), 4),
        "scoring_ms": {
            k: round(statistics.median(r["scoring"] for r in v) * 1e3, 1) for k, v in runs.items()
        },
        "readings": sum(r["readings"] for r in runs["watched"]),
        "large": large(20_000 if given.quick else 100_000),
    }
    print(json.dumps(figures))
    return int(given.check and figures["dashboard_share_of_machine"] > TARGET)


if __name__ == "__main__":
    sys.exit(main())
