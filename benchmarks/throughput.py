"""Trials per second of an empty objective, beside Optuna and Ray Tune, all durable, in one run.

    python benchmarks/throughput.py [--workers 1,4,16,64] [--quick] [--check]

Every tool searches at random on the same disk: attain in its SQLite ledger, Optuna in an SQLite
database and in a journal file, Ray Tune as it comes (it writes each trial's folder). Starting up is
left out: Optuna's processes are forked when all is imported, of the others the second half of the
trials counts. Then: the share of the workers' time that is spent in an objective of 100 ms.

The peers run in an environment of their own, `benchmarks/.venvs/throughput`, which is made when it
is missing. Finished parts are kept in `results/throughput.json`; `--check` exits with 1 below 10
times Optuna's SQLite, 5 times Ray Tune or 97 % at 2 workers. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "throughput.json"
VENV = HERE / ".venvs" / "throughput"
PINS = ("optuna==5.0.0", "ray[tune]==2.60.0")
SECONDS = 15.0  # that Optuna is given
TRIALS = {1: 600, 4: 3000, 16: 3000, 64: 4000}  # of attain
TUNE = {1: 12, 4: 24, 16: 32, 64: 64}  # of Ray Tune, whose trials take seconds
TASKS = ("attain", "optuna-sqlite", "optuna-journal", "ray-tune")
LEAST = {"optuna-sqlite": 10.0, "ray-tune": 5.0}
LEAST_UTILISATION = 0.97


def empty(config: dict[str, Any]) -> float:
    return float(config["x"])


def short(config: dict[str, Any]) -> float:
    time.sleep(0.1)
    return float(config["x"])


def second_half(times: list[float]) -> float:
    """Ends per second in the second half of some ends."""
    times = sorted(times)
    half = times[len(times) // 2 - 1 :]
    return (len(half) - 1) / max(half[-1] - half[0], 1e-9)


def told(folder: Path) -> list[Any]:
    from attain.runtime.ledger import SqliteLedger

    ledger = SqliteLedger(folder / "ledger.db", read_only=True)
    try:
        return [record for record in ledger.read() if record.kind == "told"]
    finally:
        ledger.close()


def run_attain(workers: int, folder: Path, trials: int, name: str, strategy: str) -> list[Any]:
    import attain

    sys.path.insert(0, str(HERE))
    import throughput  # the functions must be importable in a worker

    attain.minimize(
        getattr(throughput, name), {"x": (0.0, 1.0), "y": (0.0, 1.0)}, trials=trials,
        workers=workers, strategy=strategy, output=folder, progress=False,
    )  # fmt: skip
    return told(folder)


def attain_rate(workers: int, folder: Path, share: float) -> dict[str, Any]:
    trials = max(int(TRIALS[workers] * share), 4 * workers)
    began = time.time()
    found = run_attain(workers, folder, trials, "empty", "random")
    times = [record.at for record in found]
    whole = len(times) / (time.time() - began)
    return {"rate": second_half(times), "with_start": whole, "trials": len(times)}


def utilisation(workers: int, folder: Path, strategy: str, trials: int) -> dict[str, Any]:
    """Share of the workers' time in the function, once all are up; and what a trial costs."""
    found = run_attain(workers, folder, trials, "short", strategy)
    late = found[len(found) // 4 :]
    window = late[-1].at - late[0].at
    inside = sum(record.payload["seconds"] for record in late[1:])
    count = len(late) - 1
    return {
        "utilisation": inside / (workers * window),
        "overhead_ms": 1e3 * (workers * window - inside) / count,
        "trials": len(found),
    }


def optuna_rate(workers: int, folder: Path, share: float, kind: str) -> dict[str, Any]:
    import multiprocessing

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    context = multiprocessing.get_context("fork")

    def storage() -> Any:
        if kind == "journal":
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend

            return JournalStorage(JournalFileBackend(str(folder / "journal.log")))
        # SQLite's own wait is raised: with many processes the default gives up after 5 s
        arguments = {"connect_args": {"timeout": 100}}
        return optuna.storages.RDBStorage(f"sqlite:///{folder}/optuna.db", engine_kwargs=arguments)

    optuna.create_study(study_name="s", storage=storage())
    until = time.time() + SECONDS * share

    def work(seed: int) -> None:
        sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.load_study(study_name="s", storage=storage(), sampler=sampler)

        def objective(trial: Any) -> float:
            trial.suggest_float("y", 0, 1)
            return float(trial.suggest_float("x", 0, 1))

        while time.time() < until:
            study.optimize(objective, n_trials=1)

    began = time.time()
    processes = [context.Process(target=work, args=(k,)) for k in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    seconds = time.time() - began
    trials = optuna.load_study(study_name="s", storage=storage()).get_trials(deepcopy=False)
    done = sum(trial.state.name == "COMPLETE" for trial in trials)
    return {"rate": done / seconds, "trials": done}


def tune_rate(workers: int, folder: Path, share: float) -> dict[str, Any]:
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
    import ray
    from ray import tune

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             object_store_memory=100_000_000)  # fmt: skip
    ends: list[float] = []

    class Noted(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            ends.append(time.time())

    def objective(config: dict[str, Any]) -> dict[str, Any]:
        return {"loss": config["x"]}

    config = tune.TuneConfig(num_samples=max(int(TUNE[workers] * share), 6),
                             max_concurrent_trials=workers)  # fmt: skip
    limits = tune.RunConfig(storage_path=str(folder), callbacks=[Noted()], verbose=0)
    space = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}
    tune.Tuner(objective, param_space=space, tune_config=config, run_config=limits).fit()
    ray.shutdown()
    return {"rate": second_half(ends), "trials": len(ends)}


def inside(task: str, workers: int, share: float) -> None:
    """One measurement in this process."""
    folder = Path(tempfile.mkdtemp(prefix="attain-throughput-", dir=RESULTS.parent))
    try:
        if task == "attain":
            found = attain_rate(workers, folder / "s", share)
        elif task.startswith("utilisation"):
            found = utilisation(workers, folder / "s", task.split("-")[1], int(400 * share))
        elif task == "ray-tune":
            found = tune_rate(workers, folder, share)
        else:
            found = optuna_rate(workers, folder, share, task.split("-")[1])
        print(json.dumps(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_of(task: str) -> str:
    if task == "attain" or task.startswith("utilisation"):
        return sys.executable
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PINS], check=True)
    return str(python)


def measure(task: str, workers: int, share: float) -> dict[str, Any]:
    command = [python_of(task), __file__, "--inside", task, "--workers", str(workers),
               "--share", str(share)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=400, check=False, env=environment
        )
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        return {"rate": 0.0, "failed": repr(error)[:200]}
    return found


def summary(done: dict[str, Any]) -> dict[str, Any]:
    ratios: dict[str, dict[str, float]] = {}
    for peer in TASKS[1:]:
        for key, found in done.items():
            task, _, workers = key.partition(" ")
            ours = done.get(f"attain {workers}")
            if task == peer and ours and found["rate"]:
                ratios.setdefault(peer, {})[workers] = round(ours["rate"] / found["rate"], 1)
    rates = {k: round(v["rate"], 2) for k, v in done.items() if "rate" in v}
    used = {k: round(v["utilisation"], 4) for k, v in done.items() if "utilisation" in v}
    cost = {k: round(v["overhead_ms"], 2) for k, v in done.items() if "utilisation" in v}
    return {"benchmark": "throughput", "trials_per_s": rates, "times_faster": ratios,
            "utilisation": used, "overhead_ms": cost}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,4,16,64")
    parser.add_argument("--quick", action="store_true", help="a few trials, attain alone")
    parser.add_argument("--check", action="store_true", help="exit 1 if a figure falls short")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, default=1.0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    if asked.inside:
        inside(asked.inside, int(asked.workers), asked.share)
        return 0
    share, tasks = (0.1, TASKS[:1]) if asked.quick else (1.0, TASKS)
    workers = (1, 4) if asked.quick else tuple(map(int, asked.workers.split(",")))
    plan = [(task, count) for count in workers for task in tasks]
    plan += [("utilisation-random", 2), ("utilisation-auto", 2)]
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() and not asked.quick else {}
    for task, count in plan:
        key = f"{task} {count}"
        if key not in done:
            done[key] = measure(task, count, share)
            print(key, done[key], file=sys.stderr, flush=True)
            if not asked.quick:
                RESULTS.write_text(json.dumps(done, indent=1))
    found = summary(done)
    print(json.dumps(found))
    faster = found["times_faster"]
    pairs = [(r, least) for peer, least in LEAST.items() for r in faster.get(peer, {}).values()]
    short_of = [r for r, least in pairs if r < least]
    low = [u for u in found["utilisation"].values() if u < LEAST_UTILISATION]
    return 1 if asked.check and (short_of or low) else 0


if __name__ == "__main__":
    sys.exit(main())
