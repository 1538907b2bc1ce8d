"""How much training work early ends save, and what they cost in the final score.

    python benchmarks/early_exit.py [--tasks adult-lightgbm digits-mlp] [--seeds 10] [--quick]

First every configuration of a task is fitted on every fold to its end, and the losses after each
round or epoch, the validation predictions and the test score are kept in `results/early_exit/`;
the same command goes on where it was stopped. Then each method is replayed on these fits: it sees
what it would have seen, decides, and pays for what it would have trained. A seed is another draw of
configurations in another order. `lost` is how much worse the chosen configuration tests than that
of the whole search; `share_lost` is the same over the distance from the median test score to the
best. Optuna's pruners run as they are, where `benchmarks/.venvs/optuna` exists. `--check` exits
with 1 unless a method of attain saves 70 % of the steps at a score that cannot be told from the
whole search's. `--equal` gives every method the same training work instead. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.files import write_atomic
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.types import (
    CurvePoint,
    Direction,
    Observed,
    Outcome,
    Signal,
    Status,
    Task,
)
from attain.data import infer
from attain.data.table import to_rows
from attain.pipeline.racing import curve_of
from attain.strategy.curves import Curves
from attain.strategy.halving import Halving, Hyperband
from attain.strategy.median import Median
from attain.train.trial import train
from attain.validate import metrics
from attain.validate.race import Gap, Race, gap, look
from attain.validate.resample import carve_stop, folds, plan

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "early_exit"
OPTUNA = HERE / ".venvs" / "optuna"
FOLDS, CONFIGURATIONS, DRAWN = 5, 30, 24
FEW = 8  # configurations whose work all methods get with --equal
SAVED = 0.7  # share of the steps, for --check


@dataclass(frozen=True)
class Case:
    """A table, a learner, and how many rows are tuned on."""

    data: str
    learner: str
    rows: int
    metric: str
    direction: Direction = Direction.MAXIMIZE


CASES = {
    "adult-lightgbm": Case("adult", "lightgbm", 2000, "roc_auc"),
    "credit-lightgbm": Case("credit", "lightgbm", 700, "roc_auc"),
    "diabetes-lightgbm": Case("diabetes", "lightgbm", 300, "rmse", Direction.MINIMIZE),
    "adult-mlp": Case("adult", "mlp", 1500, "roc_auc"),
    "digits-mlp": Case("digits", "mlp", 900, "log_loss", Direction.MINIMIZE),
    "breast_cancer-mlp": Case("breast_cancer", "mlp", 380, "log_loss", Direction.MINIMIZE),
}


@dataclass(frozen=True, eq=False)
class Fitted:
    """One configuration, fitted on all folds: curves (each (steps,)), predictions, test score."""

    curves: tuple[np.ndarray, ...]
    valid: tuple[np.ndarray, ...]
    test: float

    @property
    def steps(self) -> int:
        return sum(map(len, self.curves))


def frame(name: str) -> tuple[Any, str]:
    import pandas as pd
    from sklearn import datasets

    examples = HERE.parent / "examples"
    if name == "adult":
        return pd.read_csv(examples / "adult" / "adult_train.csv.gz"), "income"
    if name == "credit":
        return pd.read_csv(examples / "credit" / "credit_g.csv"), "class"
    found = getattr(datasets, f"load_{name}")(as_frame=True).frame
    if name != "diabetes":
        found["target"] = "class " + found["target"].astype(str)
    return found, "target"


@cache
def table(name: str) -> tuple[Any, Any, Any, Any]:
    """What is known of the rows, rows to tune on, test rows, folds."""
    case = CASES[name]
    data, target = frame(case.data)
    data = data.sample(frac=1, random_state=0).reset_index(drop=True)
    data = data.head(case.rows + max(case.rows // 2, min(4000, len(data) - case.rows)))
    known = infer.describe(data, target=target)
    rows = to_rows(data, known)
    tuned, test = np.arange(case.rows), np.arange(case.rows, len(data))
    known = replace(known, rows=case.rows)
    own = rows.take(tuned)
    return known, own, rows.take(test), folds(plan(known, own, folds=FOLDS, repeats=1), own)


def fit(name: str, number: int) -> Fitted:
    """Fit configuration `number` on every fold, to its own end; 0 is the known-good default."""
    known, rows, test, split = table(name)
    learner, case = find("learner", CASES[name].learner)(), CASES[name]
    space = learner.space(known)
    config: Mapping[str, Any] = space.defaults()
    if number:
        drawn = find("strategy", "random")().propose(space, [], number + 1, derive(0, name))
        config = drawn[number].config
    curves, valid, scores = [], [], []
    for k, fold in enumerate(split):
        seen: list[float] = []
        index, stop = carve_stop(
            rows,
            fold.train,
            classifies=known.task is not Task.REGRESSION,
            seed=derive(0, "stop", k),
        )
        data = FitData(
            known, rows.take(index), rows.take(stop), seed=derive(0, name, number, k), threads=1
        )

        def told(point: CurvePoint, seen: list[float] = seen) -> Signal:
            seen += [point.values["stop"]] * (point.step - len(seen))
            return Signal.CONTINUE

        done = train(learner, config, data, on_point=told)
        if done.model is None:
            raise RuntimeError(f"{name} {number}: {done.message}")
        curves.append(np.array(seen))
        valid.append(learner.predict(done.model, rows.take(fold.valid)))
        scores.append(metrics.compute(case.metric, test.y, learner.predict(done.model, test)))
    return Fitted(tuple(curves), tuple(valid), float(np.mean(scores)))


def fitted(name: str, number: int) -> Fitted | None:
    """The same, kept; None for a configuration that diverges."""
    path = RESULTS / name / f"{number:03d}.npz"
    if not path.exists():
        import io

        try:
            made = fit(name, number)
        except RuntimeError:
            made = Fitted((), (), np.nan)
        buffer = io.BytesIO()
        arrays = {f"curve{k}": c for k, c in enumerate(made.curves)}
        arrays |= {f"valid{k}": v for k, v in enumerate(made.valid)}
        np.savez(buffer, test=made.test, **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    with np.load(path) as file:
        if "curve0" not in file:
            return None
        each = {n: tuple(file[f"{n}{k}"] for k in range(FOLDS)) for n in ("curve", "valid")}
        return Fitted(each["curve"], each["valid"], float(file["test"]))


@dataclass
class ByStrategy:
    """One of attain's strategies.

    Attributes:
        strategy: What judges.
        goes_on: Whether it is asked again about what it has paused.
    """

    strategy: Any
    goes_on: bool = True
    history: dict[str, Observed] = field(default_factory=dict)
    paused: dict[str, list[float]] = field(default_factory=dict)

    def granted(self, trial: int, curve: Sequence[float], after: int) -> int:
        name, told = f"t{trial:04d}", list(map(float, curve))
        known = [o for o in self.history.values() if o.trial != name]
        last, signal = len(told), Signal.CONTINUE
        for step in range(after + 1, len(told) + 1):
            signal = self.strategy.judge(known, {name: told[:step]}).get(name, Signal.CONTINUE)
            if signal is not Signal.CONTINUE:
                last = step
                break
        points = tuple(CurvePoint(s + 1, {"stop": told[s]}) for s in range(last))
        shown = curve_of(Outcome(name, 0, Status.DONE, curve=points))
        ended = "done" if last == len(told) else "raced"
        self.history[name] = Observed(name, {}, ended, curve=shown)
        if signal is Signal.PAUSE and self.goes_on and last < len(told):
            self.paused[name] = told[:last]
        return last

    def again(self) -> tuple[int, int] | None:
        if not self.paused:
            return None
        told = self.strategy.judge(list(self.history.values()), self.paused)
        able = [name for name in self.paused if told.get(name, Signal.CONTINUE) is Signal.CONTINUE]
        if not able:
            return None
        name = min(able, key=lambda n: (-len(self.paused[n]), min(self.paused[n])))
        return int(name[1:]), len(self.paused.pop(name))


@dataclass
class ByPruner:
    """A pruner of Optuna, which ends fits for good."""

    judge: Callable[[int, Sequence[float]], int]

    def granted(self, trial: int, curve: Sequence[float], after: int) -> int:
        return self.judge(trial, curve)

    again = staticmethod(lambda: None)


def by_optuna(pruner: str) -> ByPruner:
    """The steps that a pruner of Optuna grants, with its default settings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="early exit",  # Optuna draws the bracket of a trial from this name
        pruner=getattr(optuna.pruners, pruner)(),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )

    def judge(trial: int, curve: Sequence[float]) -> int:
        asked = study.ask()
        for step, loss in enumerate(curve, 1):
            asked.report(float(loss), step)
            if asked.should_prune():
                study.tell(asked, state=optuna.trial.TrialState.PRUNED)
                return step
        study.tell(asked, float(min(curve)))
        return len(curve)

    return ByPruner(judge)


@dataclass
class Replay:
    """One method on one draw of configurations.

    Attributes:
        name: The task.
        fits: The configurations in order of asking.
        racing: Whether folds are raced.
        judge: Ends first fits: `granted` says at which step, given the curve and where it goes on;
            `again` which paused one goes on, and from where.
    """

    name: str
    fits: list[Fitted]
    racing: bool
    judge: Any

    def __post_init__(self) -> None:
        case, (_, rows, _, split) = CASES[self.name], table(self.name)
        self.case, self.y = case, [rows.y[f.valid] for f in split]
        self.losses = [self._loss(f) for f in self.fits]

    def _loss(self, f: Fitted) -> float:
        y, p = np.concatenate(self.y), np.concatenate(f.valid)
        value = metrics.compute(self.case.metric, y, p)
        return -value if self.case.direction is Direction.MAXIMIZE else value

    def _gap(self, i: int, rival: int, k: int) -> Gap | None:
        a, b = self.fits[i].valid[:k], self.fits[rival].valid[:k]
        return gap(self.case.metric, self.case.direction, self.y[:k], a, b)

    def run(self, most: float = np.inf) -> dict[str, float]:
        """Shares of folds and steps that were trained, the test score of the best, and the share
        of ended first fits that would have fallen below all finished ones before them. Nothing is
        begun after `most` steps, once a configuration is complete."""
        self.steps, self.used, self.ended, self.wrong, self.went_on = 0, 0, 0, 0, 0
        self.lowest, tried = np.inf, 0
        whole: list[int] = []
        past: list[Race] = []
        for i in range(len(self.fits)):
            if whole and self.steps >= most:
                break
            self._first(i, 0, whole, past)
            tried += 1
            while self.judge is not None and (found := self.judge.again()) is not None:
                self._first(*found, whole, past)
                self.went_on += 1
        best = min(whole, key=lambda i: self.losses[i])
        return {
            "folds": self.used / (FOLDS * len(self.fits)),
            "steps": self.steps / sum(f.steps for f in self.fits),
            "test": self.fits[best].test,
            "first": float(self.losses[best] == min(self.losses)),
            "wrong": self.wrong / max(self.ended, 1),
            "went_on": self.went_on / len(self.fits),
            "tried": tried,
        }

    def _first(self, i: int, after: int, whole: list[int], past: list[Race]) -> None:
        """The first fit of a trial, from a step on, and the others if nothing ends it."""
        f, granted = self.fits[i], len(self.fits[i].curves[0])
        if self.judge is not None:
            granted = self.judge.granted(i, f.curves[0], after)
        self.steps += granted - after
        self.used += after == 0
        if granted < len(f.curves[0]):
            self.ended += after == 0
            self.wrong += after == 0 and f.curves[0].min() < self.lowest
            return
        if after:  # it was not lost after all
            self.ended -= 1
            self.wrong -= f.curves[0].min() < self.lowest
        self.lowest = min(self.lowest, f.curves[0].min())
        done, seen = self._race(i, whole, past)
        past += [] if seen is None else [seen]
        self.steps += sum(len(c) for c in f.curves[1:done])
        self.used += done - 1
        whole += [i] if done == FOLDS else []

    def _race(self, i: int, whole: list[int], past: list[Race]) -> tuple[int, Race | None]:
        if not self.racing or not whole:
            return FOLDS, None
        rival, seen = min(whole, key=lambda j: self.losses[j]), None
        for done in range(1, FOLDS + 1):
            found = self._gap(i, rival, done)
            if found is None:
                return FOLDS, seen
            seen = look(str(rival), [found], folds=done, total=FOLDS, rivals=i, past=past)
            if seen.dropped:
                break
        return done, seen


METHODS: dict[str, tuple[bool, Callable[[], Any] | None]] = {
    "racing": (True, None),
    "halving": (False, lambda: ByStrategy(Halving())),
    "hyperband": (False, lambda: ByStrategy(Hyperband())),
    "median": (False, lambda: ByStrategy(Median())),
    "curves": (False, lambda: ByStrategy(Curves())),
    "racing+halving": (True, lambda: ByStrategy(Halving())),
    "racing+hyperband": (True, lambda: ByStrategy(Hyperband())),
    "racing+median": (True, lambda: ByStrategy(Median())),
    "racing+curves": (True, lambda: ByStrategy(Curves())),
    "racing+halving, for good": (True, lambda: ByStrategy(Halving(), goes_on=False)),
    "racing+hyperband, for good": (True, lambda: ByStrategy(Hyperband(), goes_on=False)),
    "racing+median, for good": (True, lambda: ByStrategy(Median(), goes_on=False)),
    "racing+curves, for good": (True, lambda: ByStrategy(Curves(), goes_on=False)),
    "optuna-median": (False, lambda: by_optuna("MedianPruner")),
    "optuna-hyperband": (False, lambda: by_optuna("HyperbandPruner")),
}


def has_optuna() -> bool:
    """Whether Optuna can be imported, from its own environment if need be (ours comes first)."""
    site = next(OPTUNA.glob("lib/python*/site-packages"), None)
    if site is not None and f"python{sys.version_info[0]}.{sys.version_info[1]}" in str(site):
        sys.path.append(str(site))
    return find_spec("optuna") is not None


def replayed(name: str, fits: list[Fitted], seeds: int, methods: Sequence[str]) -> dict[str, Any]:
    """Each method on each seed, beside the whole search on the same draw."""
    found: dict[str, list[dict[str, float]]] = {m: [] for m in methods}
    worse = 1.0 if CASES[name].direction is Direction.MINIMIZE else -1.0
    tests = np.array([worse * f.test for f in fits])
    unit = float(np.median(tests) - tests.min())
    for seed in range(seeds):
        rng = np.random.default_rng(derive(seed, "early exit", name))
        drawn = rng.permutation(np.arange(1, len(fits)))[: DRAWN - 1]
        own = [fits[0], *(fits[i] for i in drawn)]  # the default comes first, as in a study
        whole = Replay(name, own, False, None).run()
        for method in methods:
            racing, judge = METHODS[method]
            ran = Replay(name, own, racing, judge() if judge else None).run()
            lost = worse * (ran["test"] - whole["test"])
            found[method].append({**ran, "lost": lost, "share": lost / unit})
    return found


def equal(name: str, fits: list[Fitted], seeds: int) -> dict[str, dict[str, float]]:
    """What each method finds with the steps that racing needs for `FEW` configurations: the test
    score's distance from the best of all over the distance from the median."""
    worse = 1.0 if CASES[name].direction is Direction.MINIMIZE else -1.0
    tests = np.array([worse * f.test for f in fits])
    unit = float(np.median(tests) - tests.min())
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(derive(seed, "equal", name))
        own = [fits[0], *(fits[i] for i in rng.permutation(np.arange(1, len(fits))))]
        few = Replay(name, own[:FEW], True, None)
        few.run()
        for method, (racing, judge) in METHODS.items():
            if method.startswith("racing") and "for good" not in method:
                replay = Replay(name, own, racing, judge() if judge else None)
                ran = replay.run(most=few.steps)
                regret = (worse * ran["test"] - tests.min()) / unit
                found.setdefault(method, []).append((regret, ran["tried"]))
    return {
        m: {"regret": round(float(r), 3), "tried": round(float(t), 1)}
        for m, (r, t) in ((m, np.mean(v, axis=0)) for m, v in found.items())
    }


def summary(results: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> dict[str, Any]:
    """By method and task, means over seeds; over all tasks with intervals over tasks and seeds."""
    methods = next(iter(results.values())).keys()
    return {
        m: {
            "tasks": {name: means(found[m]) for name, found in results.items()},
            "all": {
                "folds_saved": interval([[1 - r["folds"] for r in f[m]] for f in results.values()]),
                "steps_saved": interval([[1 - r["steps"] for r in f[m]] for f in results.values()]),
                "share_lost": interval([[r["share"] for r in f[m]] for f in results.values()]),
                "dropped_first": interval(
                    [[1 - r["first"] for r in f[m]] for f in results.values()]
                ),
                "wrongly_ended": interval([[r["wrong"] for r in f[m]] for f in results.values()]),
            },
        }
        for m in methods
    }


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {
        "folds_saved": round(1 - float(np.mean([r["folds"] for r in rows])), 3),
        "steps_saved": round(1 - float(np.mean([r["steps"] for r in rows])), 3),
        "lost": round(float(np.mean([r["lost"] for r in rows])), 5),
        "share_lost": round(float(np.mean([r["share"] for r in rows])), 3),
        "dropped_first": round(1 - float(np.mean([r["first"] for r in rows])), 3),
        "wrongly_ended": round(float(np.mean([r["wrong"] for r in rows])), 3),
        "went_on": round(float(np.mean([r["went_on"] for r in rows])), 3),
    }


def interval(values: list[list[float]], resamples: int = 2000) -> list[float]:
    """Mean, and 95 % of a bootstrap over tasks and seeds."""
    rng = np.random.default_rng(0)
    tasks = [np.array(v) for v in values]
    draws = [
        np.mean([rng.choice(tasks[t], len(tasks[t])).mean() for t in picked])
        for picked in rng.integers(len(tasks), size=(resamples, len(tasks)))
    ]
    ends = np.quantile(draws, [0.025, 0.975])
    return [round(float(v), 5) for v in (np.mean([t.mean() for t in tasks]), *ends)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one task, eight configurations")
    parser.add_argument("--equal", action="store_true", help="the same work for every method")
    parser.add_argument("--check", action="store_true", help="exit 1 below 70 %% at equal score")
    asked = parser.parse_args()
    names = ["credit-lightgbm"] if asked.quick else asked.tasks
    count = 8 if asked.quick else CONFIGURATIONS
    methods = [m for m in METHODS if not m.startswith("optuna") or has_optuna()]
    results, began = {}, time.monotonic()
    for name in names:
        fits = [f for i in range(count) if (f := fitted(name, i)) is not None]
        if asked.equal:
            print(json.dumps({"equal": name, **equal(name, fits, asked.seeds)}), flush=True)
            continue
        results[name] = replayed(name, fits, 3 if asked.quick else asked.seeds, methods)
        line = {m: means(r) for m, r in results[name].items()}
        print(f"{name}, {time.monotonic() - began:.0f} s: {json.dumps(line)}", file=sys.stderr)
    if asked.equal:
        return 0
    found = summary(results)
    print(json.dumps({"benchmark": "early_exit", "tasks": names, "methods": found}))
    ours = [found[m]["all"] for m in methods if not m.startswith("optuna")]
    reached = any(a["steps_saved"][0] >= SAVED and a["share_lost"][1] <= 0 for a in ours)
    return 1 if asked.check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
