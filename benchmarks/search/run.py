"""Search methods compared on the same problems, seeds, budgets and default configurations.

    python benchmarks/search/run.py --setup optuna smac ax          # peers' environments, once
    python benchmarks/search/run.py --data FOLDER --methods attain-bayes optuna-tpe --seeds 10
    python benchmarks/search/run.py --data FOLDER --reference       # best known and median losses
    python benchmarks/search/run.py --figures                       # of all that is finished
    python benchmarks/search/run.py --overhead [--methods ...]      # milliseconds and memory
    python benchmarks/search/run.py --data FOLDER --parallel 8 ...  # 8 at a time, simulated time
    python benchmarks/search/run.py --lower-reference               # to the least of stored runs
    python benchmarks/search/run.py --keep [--methods ax ...]       # peers' runs, for `measured/`
    python benchmarks/search/run.py --quick [--check]               # under a minute, no peers

FOLDER holds YAHPO's scenarios; methods are described in `peers.py`, problems in `problems.py`.
Each finished (method, problem, seed) is one file under `results/search/`; the same command goes on
where it was stopped. Runs of peers that came with the project (`measured.py`) are not made again,
unless with --again. Prints a Markdown table, then JSON as the last line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import efficiency
import figures
import measured
from live import RESULTS
from peers import PEERS, SHORT, is_peer, parse
from problems import chosen
from targets import inefficient, slow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENVS = HERE.parent / ".venvs"
REFERENCE = HERE / "reference.json"
OURS = ("attain/strategy", "attain/stats", "attain/core/space.py", "attain/core/seeds.py")
ONE_THREAD = {
    **{"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    **{"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"},
}
TORCH = "torch==2.13.0"  # first and alone, so that no other request brings a GPU build
QUICK = {"problems": ["mixed-13"], "seeds": range(2), "evaluations": 50}
HISTORIES = (100, 1_000, 10_000)


@dataclass(frozen=True)
class Run:
    """One run to be made.

    Attributes:
        method: See `peers.py`.
        problem: See `problems.py`.
        seed: Of everything random.
        evaluations: How many.
        parallel: How many at a time.
        folder: Where results are kept.
    """

    method: str
    problem: str
    seed: int
    evaluations: int
    parallel: int
    folder: Path

    @property
    def file(self) -> Path:
        """Where its result is kept."""
        place = self.folder / f"parallel-{self.parallel}" / measured.plain(self.method)
        return place / self.problem / f"{self.seed}.json"

    @property
    def came(self) -> bool:
        """Whether it came with the project, with at least as many evaluations."""
        runs = measured.load(self.method) if self.parallel == 1 else {}
        return runs.get(self.problem, {}).get(self.seed, {"asked": 0})["asked"] >= self.evaluations

    @property
    def finished(self) -> bool:
        """Whether it has been made here, with at least as many evaluations."""
        if not self.file.exists():
            return False
        kept = json.loads(self.file.read_text())
        return kept["asked"] >= self.evaluations


def python_of(method: str) -> str:
    """The interpreter whose environment has the method."""
    name = parse(method)[0]
    if name not in PEERS:
        return sys.executable
    return str(VENVS / PEERS[name].venv / "bin" / "python")


def source() -> str:
    """What tells one state of attain's search code from another."""
    digest = hashlib.sha256()
    for place in OURS:
        path = ROOT / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def work(method: str, asked: dict[str, Any], limit: float) -> str:
    """Do one piece of work in the method's process.

    Args:
        method: Whose environment is used.
        asked: For `work.py`.
        limit: Seconds after which it is given up.

    Returns:
        "" when it went well, else the last line it said.
    """
    command = [python_of(method), str(HERE / "work.py"), json.dumps(asked)]
    environment = {**os.environ, **ONE_THREAD}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return f"more than {limit:g} s"
    except FileNotFoundError:
        return f"no environment; make it with --setup {PEERS[parse(method)[0]].venv}"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def make_runs(runs: Sequence[Run], data: Path | None, limit: float, fresh: bool) -> list[str]:
    """Make those runs that are not finished, in order.

    Args:
        runs: What is wanted.
        data: Folder of YAHPO's scenarios.
        limit: Seconds for each.
        fresh: Whether attain's runs of an earlier state of its code are made again.

    Returns:
        What failed, one line each.
    """
    state, failed = source(), []
    reference = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
    for index, run in enumerate(runs, 1):
        mine = "" if is_peer(run.method) else state
        if run.finished and not (fresh and json.loads(run.file.read_text())["source"] != mine):
            continue
        asked = {
            **{"task": "search", "method": run.method, "problem": run.problem, "seed": run.seed},
            **{"evaluations": run.evaluations, "parallel": run.parallel, "source": mine},
            **{"data": str(data.resolve()) if data else None, "out": str(run.file)},
            "reference": reference.get("problems", {}),
        }
        began = time.monotonic()
        problem = work(run.method, asked, limit)
        said = f"{index}/{len(runs)} {run.method} {run.problem} seed {run.seed}"
        print(f"{said} {time.monotonic() - began:.1f} s {problem}", file=sys.stderr, flush=True)
        if problem:
            failed.append(f"{said}: {problem}")
    return failed


def plan(
    methods: Iterable[str], problems: Sequence[str], seeds: Iterable[int], asked: Any, folder: Path
) -> list[Run]:
    """All runs, all methods of a seed before the next seed."""
    methods = tuple(methods)
    return [
        Run(method, problem, seed, asked.evaluations, asked.parallel, folder)
        for seed in seeds
        for problem in problems
        for method in methods
    ]


def overhead(methods: Sequence[str], limit: float) -> list[dict[str, Any]]:
    """Milliseconds per question and answer with long histories, each in a process of its own.

    Args:
        methods: Whose.
        limit: Seconds for each.

    Returns:
        One row per method and history, with the reason where there is no figure.
    """
    rows = []
    for history in HISTORIES:
        for method in methods:
            out = RESULTS / "overhead" / f"{measured.plain(method)}-{history}.json"
            asked = {
                **{"task": "overhead", "method": method, "problem": "mixed-13", "seed": 0},
                **{"history": history, "rounds": 8, "parallel": 1, "source": source()},
                **{"out": str(out)},
            }
            problem = work(method, asked, limit)
            row: dict[str, Any] = {"method": method, "history": history}
            row |= (
                {"problem": problem} if problem else figures.overhead(json.loads(out.read_text()))
            )
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def keep(methods: Iterable[str], folder: Path = RESULTS) -> int:
    """Let finished runs of peers, one trial at a time, come with the project.

    Args:
        methods: Whose; attain's own are left out.
        folder: Where runs are.

    Returns:
        An exit code.
    """
    for method in filter(is_peer, methods):
        files = sorted((folder / "parallel-1" / measured.plain(method)).glob("*/*.json"))
        runs = [json.loads(file.read_text()) for file in files]
        print(json.dumps({"method": method, "measured": measured.keep(method, runs)}))
    return 0


def setup(names: Sequence[str]) -> int:
    """Make the peers' environments from their pins."""
    for name in names:
        python = VENVS / name / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(VENVS / name)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        pins = HERE / f"requirements-{name}.txt"
        if "torch==" in pins.read_text():
            subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, "-r", str(pins)], check=True)
    return 0


def seeds_of(word: str) -> range:
    """``10`` for the first ten, ``3-5`` for 3, 4 and 5."""
    first, dash, last = word.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(first))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--data", type=Path, help="folder with YAHPO's scenarios")
    made.add_argument("--methods", nargs="*", help=f"attain-<name>, {', '.join([*SHORT, *PEERS])}")
    made.add_argument("--problems", nargs="*", help="names; all public ones by default")
    made.add_argument("--suites", nargs="*", help="lcbench rbv2_xgboost live bbob")
    made.add_argument("--seeds", type=seeds_of, default=range(10), help="10 or 3-5")
    made.add_argument("--evaluations", type=int, default=100)
    made.add_argument("--parallel", type=int, default=1, help="how many run at a time")
    made.add_argument("--main", help="the method that others are compared with")
    made.add_argument("--limit", type=float, default=3600, help="seconds for one run")
    made.add_argument("--fresh", action="store_true", help="repeat runs of older attain code")
    made.add_argument("--again", action="store_true", help="make runs that came with the project")
    made.add_argument("--keep", action="store_true", help="let the peers' runs come with it")
    made.add_argument("--figures", action="store_true", help="make no run, only the figures")
    made.add_argument("--no-figures", action="store_true", help="make the runs, no figures")
    made.add_argument("--overhead", action="store_true", help="time and memory of long histories")
    made.add_argument("--reference", action="store_true", help="write reference.json")
    made.add_argument("--lower-reference", action="store_true", help="keep the runs' least losses")
    made.add_argument("--setup", nargs="+", help="make environments: optuna smac ax")
    made.add_argument("--quick", action="store_true", help="under a minute, without peers")
    made.add_argument("--check", action="store_true", help="exit 1 when a figure falls short")
    return made


def main() -> int:
    asked = parser().parse_args()
    if asked.setup:
        return setup(asked.setup)
    if asked.reference:
        import reference

        return reference.write(REFERENCE, chosen(asked.problems, asked.suites), asked.data)
    if asked.lower_reference:
        import reference

        return reference.lower(REFERENCE, figures.load(RESULTS, None, (), ())[1])
    if asked.keep:
        return keep(asked.methods or PEERS)
    if asked.overhead:
        methods = asked.methods or ["attain-bayes", "random", *PEERS]
        rows = overhead(methods, min(asked.limit, 600))
        print(figures.overhead_table(rows))
        print(json.dumps({"benchmark": "search-overhead", "rows": rows}))
        return checked(asked, slow(rows, asked.main or "attain-bayes"))
    folder, problems, seeds = RESULTS, chosen(asked.problems, asked.suites), asked.seeds
    methods = asked.methods
    if asked.quick:
        folder, problems, seeds = RESULTS / "quick", QUICK["problems"], QUICK["seeds"]
        asked.evaluations = QUICK["evaluations"]
        methods, asked.fresh = methods or ["attain-bayes", "random", "sobol"], True
    failed: list[str] = []
    if not asked.figures:
        if not methods:
            parser().error("--methods is needed")
        runs = plan(methods, problems, seeds, asked, folder)
        runs = [run for run in runs if asked.again or not run.came]
        failed = make_runs(runs, asked.data, asked.limit, asked.fresh)
    if asked.no_figures:
        print(json.dumps({"benchmark": "search", "failed": failed}))
        return bool(failed)
    kept, least = figures.load(folder, methods, problems, seeds)
    known = json.loads(REFERENCE.read_text())["problems"]
    chosen_runs = [run for run in kept if run.parallel == asked.parallel]
    answer = figures.report((chosen_runs, least), known, asked.main, source())
    print(figures.table(answer))
    answer = {"benchmark": "search", "failed": failed, **answer}
    shortfalls = figures.shortfalls(answer, asked.quick)
    if asked.parallel > 1:
        main_runs = [run for run in kept if run.method == answer["main"]]
        answer["lost"] = efficiency.report(main_runs, asked.parallel, least, known)
        shortfalls = inefficient(answer["lost"])
    print(json.dumps(answer))
    return checked(asked, [*failed, *shortfalls])


def checked(asked: argparse.Namespace, shortfalls: Sequence[str]) -> int:
    """Say what a check finds wanting; 1 if that is anything."""
    for line in shortfalls if asked.check else ():
        print(f"falls short: {line}", file=sys.stderr)
    return 1 if asked.check and shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
