"""attain's sampler inside of Optuna, with Optuna's pruners, beside Optuna's samplers.

    python benchmarks/search/run.py --setup optuna                  # once
    python benchmarks/search/pruning.py --data FOLDER [--seeds 5] [--check]
    python benchmarks/search/pruning.py --quick                     # under a minute, test functions

Each trial falls to its final loss over 27 steps, from 1 to 3 above it, by a rate that differs from
trial to trial (log-normal, median 0.25 a step), with noise of 0.01; losses are normalised regrets,
those of a trial are the same for all samplers. Final losses are of surrogates, test functions and a
real model (`problems.py`). 60 trials, the default first. A pruner sees what is reported, and the
regret is that of the best trial that ran to its end. Each finished study is one file under
`results/pruning/`; the same command goes on where it was stopped. Prints JSON last.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import numpy as np
from figures import best_known, regret
from kept import arguments, ended, once
from live import RESULTS
from peers import _suggest
from problems import problem, settle

from attain.core.space import holds
from attain.integrations.optuna_sampler import AttainSampler

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent / ".venvs" / "optuna" / "bin" / "python"
FOLDER = RESULTS.parent / "pruning"
PROBLEMS = (
    *("lcbench-3945", "lcbench-189905", "lcbench-167168", "rbv2_xgboost-40981"),
    *("bbob-f3-2d", "bbob-f8-5d", "live-svr-diabetes"),
)
QUICK = ("bbob-f3-2d", "bbob-f8-5d")
TRIALS, STEPS, HORIZONS = 60, 27, (25, 40, 60)
WANTED = 1.0
"""Largest share of the best peer's regret at the end, with each pruner."""


def samplers(optuna: Any, seed: int) -> Mapping[str, Callable[[], Any]]:
    """By name; each made afresh for a study."""
    theirs = optuna.samplers
    return {
        "attain": lambda: AttainSampler(seed=seed),
        "optuna-tpe": lambda: theirs.TPESampler(seed=seed, multivariate=True),
        "optuna-gp": lambda: theirs.GPSampler(seed=seed),
        "random": lambda: theirs.RandomSampler(seed=seed),
    }


def pruners(optuna: Any) -> Mapping[str, Callable[[], Any]]:
    """By name; each made afresh for a study."""
    theirs = optuna.pruners
    return {
        "median": lambda: theirs.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
        "hyperband": lambda: theirs.HyperbandPruner(1, STEPS, 3),
        "halving": theirs.SuccessiveHalvingPruner,
    }


def study(name: str, data: Path | None, seed: int, sampler: Any, pruner: Any) -> dict[str, Any]:
    """One study.

    Args:
        name: Of the problem.
        data: Folder of YAHPO's scenarios.
        seed: Of everything random.
        sampler: Proposes.
        pruner: Ends trials.

    Returns:
        ``losses`` of trials, None where they were pruned; ``pruned`` trials and ``steps`` of all.
    """
    import optuna

    one = problem(name, data)
    known = reference()[name]  # what is told must not depend on what runs have found since
    best, span = known["best"], known["median"] - known["best"]
    losses: list[float | None] = []
    steps = 0

    def objective(trial: Any) -> float:
        nonlocal steps
        flat: dict[str, Any] = {}
        for parameter in one.space.ordered:
            if all(holds(c, flat) for c in parameter.when):
                flat[parameter.name] = _suggest(trial, parameter)
        loss = one.evaluate(settle(one.space, flat))
        end = (loss - best) / span
        random = np.random.default_rng([seed, trial.number])
        rate, above = 0.25 * np.exp(random.normal(0.0, 0.4)), random.uniform(1.0, 3.0)
        losses.append(None)
        for step in range(1, STEPS + 1):
            steps += 1
            trial.report(end + above * np.exp(-rate * step) + random.normal(0.0, 0.01), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        losses[-1] = loss
        return float(end)

    made = optuna.create_study(sampler=sampler, pruner=pruner)
    made.enqueue_trial(dict(one.default))
    made.optimize(objective, n_trials=TRIALS)
    ended = sum(t.state.name == "PRUNED" for t in made.trials)
    return {"losses": losses, "pruned": ended, "steps": steps}


def reference() -> dict[str, Any]:
    """Best known and median losses by problem."""
    entries: dict[str, Any] = json.loads((HERE / "reference.json").read_text())["problems"]
    return entries


def regrets(kept: Mapping[str, Any], best: float, median: float) -> list[float]:
    """Normalised regret at the horizons; 1 until a trial has run to its end."""
    whole = [median if loss is None else loss for loss in kept["losses"]]
    curve = regret(whole, best, median)
    return [float(curve[horizon - 1]) for horizon in HORIZONS]


def make(asked: argparse.Namespace, problems: Sequence[str], folder: Path) -> None:
    """Make the studies that are not finished; quickly, those of one pruner."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for seed in range(asked.seeds):
        for pruner, make_pruner in [*pruners(optuna).items()][: 1 if asked.quick else None]:
            for sampler, make_sampler in samplers(optuna, seed).items():
                for name in problems:
                    file = folder / pruner / sampler / f"{name}-{seed}.json"
                    made = make_sampler(), make_pruner()
                    once(file, partial(study, name, asked.data, seed, *made))
                print(f"{pruner}, {sampler}, seed {seed}", file=sys.stderr, flush=True)


def figures(problems: Sequence[str], seeds: int, folder: Path) -> dict[str, Any]:
    """Mean regret by pruner and sampler, and the share of the best peer's at the end."""
    answer: dict[str, Any] = {}
    known = reference()
    best = best_known(known, {})
    for pruner in sorted(p.name for p in folder.iterdir() if p.is_dir()):
        rows: dict[str, Any] = {}
        for sampler in sorted(p.name for p in (folder / pruner).iterdir()):
            kept = {
                (p, s): json.loads((folder / pruner / sampler / f"{p}-{s}.json").read_text())
                for p in problems
                for s in range(seeds)
            }
            found = [regrets(k, best[p], known[p]["median"]) for (p, _), k in kept.items()]
            means = np.mean(found, axis=0).round(4).tolist()
            rows[sampler] = {
                "regret": dict(zip(map(str, HORIZONS), means, strict=True)),
                "pruned": round(float(np.mean([k["pruned"] for k in kept.values()])), 1),
                "steps": round(float(np.mean([k["steps"] for k in kept.values()]))),
                "studies": len(kept),
            }
        last = {name: row["regret"][str(HORIZONS[-1])] for name, row in rows.items()}
        peer = min((n for n in last if n.startswith("optuna")), key=last.__getitem__)
        share = round(last["attain"] / last[peer], 3)
        answer[pruner] = {"samplers": rows, "best_peer": peer, "share": share}
    return answer


def table(answer: Mapping[str, Any]) -> str:
    """Figures as Markdown."""
    lines = ["| pruner | sampler | regret at 25/40/60 | pruned | steps |", "|---|---|---|---|---|"]
    for pruner, found in answer.items():
        for name, row in found["samplers"].items():
            regrets = "/".join(f"{v:.3f}".removeprefix("0") for v in row["regret"].values())
            lines.append(f"| {pruner} | {name} | {regrets} | {row['pruned']} | {row['steps']} |")
    return "\n".join(lines)


def main() -> int:
    asked = arguments(__doc__.splitlines()[0], seeds=5)
    if importlib.util.find_spec("optuna") is None:  # it lives in an environment of its own
        if not PYTHON.exists():
            print(
                "no environment; make it with benchmarks/search/run.py --setup optuna",
                file=sys.stderr,
            )
            return 2
        return subprocess.run([str(PYTHON), __file__, *sys.argv[1:]], check=False).returncode
    problems, folder = (QUICK, FOLDER / "quick") if asked.quick else (PROBLEMS, FOLDER / "whole")
    make(asked, problems, folder)
    answer = figures(problems, asked.seeds, folder)
    print(table(answer))
    print(json.dumps({"benchmark": "search-pruning", "pruners": answer}))
    short = [
        f"{p}: {a['share']} of {a['best_peer']}'s regret, wanted {WANTED}"
        for p, a in answer.items()
        if a["share"] > WANTED
    ]
    return ended(short, asked)


if __name__ == "__main__":
    sys.exit(main())
