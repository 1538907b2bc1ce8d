"""Is what attain says true? Scores after selection, verdicts and comparisons against known truths.

    python benchmarks/honesty.py [--simulations 1000] [--repeats 30] [--sets digits] [--quick]

In simulations the truth is known: how biased is the best score of a search, how much of that is
left after the correction, how often do intervals hold, how often is a target "met" that is missed
by a little, how often are equal learners told apart? On real data most rows are kept away from a
small search, and what its models score on them is the truth. Finished repeats are kept in
`results/honesty.json`; the same command goes on where it was stopped. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from attain.core.files import write_atomic
from attain.core.types import Direction, Objective, Score, VerdictState
from attain.objectives.metrics import lookup
from attain.sealed.verdict import judge
from attain.stats.bbc import Corrected
from attain.validate import metrics
from attain.validate.compare import compare
from attain.validate.expected import expected
from attain.validate.resampled import Stack
from attain.validate.score import score

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "honesty.json"
EXAMPLES = HERE.parent / "examples"
FOLDS = 5
# rows, configurations, share of what is hard or easy for all of them alike
SEARCHES = (("accuracy", 200, 50, 0.8), ("accuracy", 1_000, 50, 0.8), ("accuracy", 1_000, 50, 0.95))
SEARCHES = (*SEARCHES, ("roc_auc", 300, 30, 0.8), ("rmse", 300, 50, 0.8), ("f1", 300, 30, 0.8))
SEARCHES = (*SEARCHES, ("accuracy", 3_000, 60, 0.9))  # hardly any luck, so hardly any to take out
ONE = 0.05  # what may be wrong of verdicts and comparisons
LEFT = 0.2  # of the naive bias, after the correction


def sign(metric: str) -> float:
    return 1.0 if lookup(metric).direction is Direction.MAXIMIZE else -1.0


def decisions(right: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predictions of two classes that are right where stated."""
    said = np.where(right, y, 1 - y)
    return np.stack([1.0 - said, said], axis=1)


def simulated(
    metric: str, rows: int, count: int, shared: float, rng: np.random.Generator
) -> tuple[Stack, np.ndarray]:
    """Configurations of known worth on rows that all of them find hard or easy alike."""
    y = rng.integers(2, size=rows)
    quality = rng.normal(size=count)
    noise = np.sqrt(shared) * rng.normal(size=rows)
    noise = noise + np.sqrt(1 - shared) * rng.normal(size=(count, rows))
    if metric == "rmse":
        spread = np.exp(0.02 * quality)
        truth, made = spread, [spread[c] * noise[c] for c in range(count)]
        y = np.zeros(rows)
    elif metric == "roc_auc":
        apart = 1.2 + 0.05 * quality
        truth = norm.cdf(apart / np.sqrt(2))
        chance = norm.cdf(noise + apart[:, None] * (y - 0.5))
        made = [np.stack([1 - p, p], axis=1) for p in chance]
    else:  # right with the same chance in both classes, so accuracy and F1 coincide
        truth = np.clip(0.8 + 0.01 * quality, 0.5, 0.98)
        made = [decisions(noise[c] < norm.ppf(truth[c]), y) for c in range(count)]
    folds = np.array_split(np.arange(rows), FOLDS)
    return Stack(y, np.arange(rows), folds, made), truth


def selected(stack: Stack, metric: str, seed: int) -> Any:
    """The corrected score of the configuration that is best by a metric."""
    way = {metric: Direction.MAXIMIZE if sign(metric) > 0 else Direction.MINIMIZE}
    return expected(way, stack, lambda v: -sign(metric) * v[metric], seed=seed).scores[metric]


def search_once(setting: int, seed: int) -> dict[str, float]:
    """One simulated search: how far off are the best seen and the corrected score?"""
    metric = SEARCHES[setting][0]
    stack, truth = simulated(*SEARCHES[setting], np.random.default_rng([seed, setting]))
    found = selected(stack, metric, seed)
    own = score(metric, stack.y, stack.predictions[found.selected])
    return errors(metric, found, own, float(truth[found.selected]))


def errors(metric: str, found: Corrected, own: Score, true: float) -> dict[str, float]:
    """What the best seen and the corrected score promise too much, and whether limits held.

    `resampled` are the percentiles alone, `held` the limits that a study shows: at least as far
    from the estimate as those of the best's own score.
    """
    shown = found.no_narrower(own.estimate - own.low, own.high - own.estimate)
    return {
        "naive": sign(metric) * (found.naive - true),
        "corrected": sign(metric) * (found.estimate - true),
        "held": float(shown.low <= true <= shown.high),
        "resampled": float(found.low <= true <= found.high),
    }


def verdict_once(rows: int, metric: str, seed: int) -> float:
    """Whether sealed rows call a target met that the model misses by half a point."""
    rng = np.random.default_rng([seed, rows])
    y = rng.integers(2, size=rows)
    if metric == "accuracy":
        target, p = 0.9, decisions(rng.random(rows) < 0.895, y)
    else:
        target, apart = 0.9, np.sqrt(2) * norm.ppf(0.895)
        chance = norm.cdf(rng.normal(size=rows) + apart * (y - 0.5))
        p = np.stack([1 - chance, chance], axis=1)
    objective = Objective(metric, Direction.MAXIMIZE, target, low=0.0, high=1.0)
    found = {metric: score(metric, y, p)}
    ask = {"finalist": "t", "baseline": (), "digest": "", "seal": "", "looks": 1}
    return float(judge([objective], found, confidence=0.95, **ask).state is VerdictState.MET)


def compare_once(rows: int, repeats: int, seed: int) -> float:
    """Whether two learners, equal by symmetry as each has its own columns, are told apart."""
    rng = np.random.default_rng([seed, rows, repeats])
    y = rng.integers(2, size=rows)
    x = rng.normal(size=(rows, 12)) + 0.35 * y[:, None]
    order = np.concatenate([rng.permutation(rows) for _ in range(repeats)])
    folds = list(np.array_split(np.arange(rows * repeats), FOLDS * repeats))
    predicted = []
    for columns in (slice(0, 6), slice(6, 12)):
        p = np.empty((rows * repeats, 2))
        for fold in folds:
            train = np.setdiff1d(np.arange(rows), order[fold])
            p[fold] = _nearest_mean(x[train, columns], y[train], x[order[fold], columns])
        predicted.append(p)
    made = compare("accuracy", y[order], *predicted, folds=folds, repeats=repeats,
                   direction=Direction.MAXIMIZE)  # fmt: skip
    return float(made.answer != "tie")


def _nearest_mean(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Probabilities of a linear rule: which class's mean is nearer?"""
    one, other = x[y == 1].mean(axis=0), x[y == 0].mean(axis=0)
    chance = norm.cdf((new - (one + other) / 2) @ (one - other))
    return np.stack([1 - chance, chance], axis=1)


SIMULATIONS: dict[str, Callable[[int], Any]] = {
    **{
        f"search {m}, {n} rows, {c} configurations, {s:g} shared": partial(search_once, i)
        for i, (m, n, c, s) in enumerate(SEARCHES)
    },
    **{
        f"verdict {m}, {n} rows": partial(verdict_once, n, m)
        for m in ("accuracy", "roc_auc")
        for n in (500, 2_000)
    },
    **{
        f"equal learners, {n} rows, {r} x {FOLDS} folds": partial(compare_once, n, r)
        for n, r in ((200, 1), (200, 3), (1_000, 1))
    },
}


def real_sets() -> dict[str, tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]]]]:
    """Metric and rows of each real data set."""
    from sklearn import datasets

    def bundled(name: str) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        return lambda: getattr(datasets, f"load_{name}")(return_X_y=True)

    return {
        "breast_cancer": ("accuracy", bundled("breast_cancer")),
        "digits": ("accuracy", bundled("digits")),
        "diabetes": ("rmse", bundled("diabetes")),
        "wine": ("accuracy", bundled("wine")),
        "credit": ("roc_auc", lambda: table("credit/credit_g.csv", "class")),
        "adult": ("roc_auc", lambda: table("adult/adult_train.csv.gz", "")),
    }


def table(path: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """A table as numbers: categories one-hot, gaps filled; at most 6,000 rows."""
    import pandas as pd

    frame = pd.read_csv(EXAMPLES / path)
    frame = frame.sample(min(len(frame), 6_000), random_state=0)
    target = target or str(frame.columns[-1])
    y = frame.pop(target).astype("category").cat.codes.to_numpy(np.int64)
    return pd.get_dummies(frame).fillna(0).to_numpy(float), y


def configurations(count: int, classifies: bool, rng: np.random.Generator) -> Iterator[Any]:
    """Random configurations of three quick families."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = DecisionTreeClassifier if classifies else DecisionTreeRegressor
    near = KNeighborsClassifier if classifies else KNeighborsRegressor
    for number in range(count):
        strength = 10 ** rng.uniform(-3, 2)
        linear = LogisticRegression(C=strength, max_iter=300) if classifies else Ridge(1 / strength)
        weights = ("uniform", "distance")[rng.integers(2)]
        grown = {"max_depth": int(rng.integers(1, 12)), "random_state": number}
        model = (
            linear,
            near(n_neighbors=int(rng.integers(1, 30)), weights=weights),
            tree(min_samples_leaf=int(rng.integers(1, 20)), **grown),
        )[number % 3]
        yield make_pipeline(StandardScaler(), model)


def search_real(name: str, repeat: int, rows: int = 120, count: int = 45) -> dict[str, float]:
    """A small search on few rows; what its best truly scores is measured on all the others."""
    metric, load = real_sets()[name]
    rng = np.random.default_rng([repeat, len(name)])
    x, y = load()
    order = rng.permutation(len(y))
    work, fresh = order[:rows], order[rows:]
    classes = int(y.max()) + 1 if y.dtype.kind in "iu" else 0
    folds = np.array_split(np.arange(rows), FOLDS)
    models = list(configurations(count, bool(classes), rng))
    made = []
    for model in models:
        p = np.empty((rows, classes) if classes else rows)
        for fold in folds:
            train = np.setdiff1d(np.arange(rows), fold)
            p[fold] = _predicted(model.fit(x[work[train]], y[work[train]]), x[work[fold]], classes)
        made.append(p)
    found = selected(Stack(y[work], np.arange(rows), folds, made), metric, repeat)
    best, values = models[found.selected], []
    for fold in folds:  # the models that cross-validation scored, on rows none of them has seen
        train = work[np.setdiff1d(np.arange(rows), fold)]
        p = _predicted(best.fit(x[train], y[train]), x[fresh], classes)
        values.append(metrics.compute(metric, y[fresh], p))
    own = score(metric, y[work], made[found.selected])
    return errors(metric, found, own, float(np.mean(values)))


def _predicted(model: Any, x: np.ndarray, classes: int) -> np.ndarray:
    if not classes:
        return np.asarray(model.predict(x))
    p = np.zeros((len(x), classes))
    p[:, model.classes_] = model.predict_proba(x)
    return p


def biases(found: list[dict[str, float]]) -> dict[str, float]:
    """Mean errors of the best seen and of the corrected score, and how often intervals held."""
    naive, left = (float(np.mean([f[k] for f in found])) for k in ("naive", "corrected"))
    error = float(np.std([f["corrected"] for f in found]) / np.sqrt(len(found)))
    return {
        "repeats": len(found),
        "naive": round(naive, 5),
        "corrected": round(left, 5),
        "standard_error": round(error, 5),
        "spread": round(float(np.std([f["naive"] for f in found])), 5),
        "left": round(abs(left) / abs(naive), 3),
        "held": round(float(np.mean([f["held"] for f in found])), 4),
        "resampled": round(float(np.mean([f["resampled"] for f in found])), 4),
    }


def summary(done: dict[str, list[Any]]) -> dict[str, Any]:
    """The figures, and which targets they miss."""
    searches = {k: biases(v) for k, v in done.items() if v and k.startswith("search ")}
    real = {k[5:]: biases(v) for k, v in done.items() if v and k.startswith("real ")}
    wrong = {
        k: round(float(np.mean(v)), 4)
        for k, v in done.items()
        if v and k.startswith(("verdict ", "equal "))
    }
    missed = [
        f"{k}: {v['left']:.0%} of the bias is left" for k, v in searches.items() if v["left"] > LEFT
    ]
    missed += [
        f"{k}: {v['held']:.1%} held" for k, v in searches.items() if not 0.93 <= v["held"] <= 0.97
    ]
    missed += [f"{k}: {v:.1%} wrong" for k, v in wrong.items() if v > ONE]
    if abs(_left(real) or 0.0) > LEFT:
        missed.append(f"real data: {_left(real):.0%} of the bias is left")
    return {
        "benchmark": "honesty",
        "simulated": searches,
        "left_simulated": _left(searches),
        "real": real,
        "left_real": _left(real),
        "wrong": wrong,
        "missed": missed,
    }


def _left(found: dict[str, dict[str, float]]) -> float | None:
    """Share of the naive bias that is left over all, each in units of its own scatter."""
    scaled = [(v["corrected"] / v["spread"], v["naive"] / v["spread"]) for v in found.values()
              if v["spread"]]  # fmt: skip
    left, naive = (sum(column) for column in zip(*scaled, strict=True)) if scaled else (0.0, 0.0)
    return round(left / naive, 3) if naive else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1_000, help="of each kind")
    parser.add_argument("--repeats", type=int, default=30, help="on each real data set")
    parser.add_argument("--sets", nargs="*", default=sorted(real_sets()))
    parser.add_argument("--quick", action="store_true", help="a few of everything")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    asked = parser.parse_args()
    simulations, repeats = (20, 1) if asked.quick else (asked.simulations, asked.repeats)
    results = RESULTS.with_stem("honesty_quick") if asked.quick else RESULTS
    results.parent.mkdir(exist_ok=True)
    done = json.loads(results.read_text()) if results.exists() and not asked.quick else {}
    plan = [(name, make, simulations) for name, make in SIMULATIONS.items()]
    plan += [(f"real {name}", partial(search_real, name), repeats) for name in asked.sets]
    for name, make, wanted in plan:
        found = done.setdefault(name, [])
        while len(found) < wanted:
            found.append(make(len(found)))
            if len(found) % (1 if name.startswith("real") else 50) == 0:
                write_atomic(results, json.dumps(done))
        print(name, biases(found) if isinstance(found[0], dict) else np.mean(found),
              file=sys.stderr, flush=True)  # fmt: skip
        write_atomic(results, json.dumps(done))
    told = summary(done)
    print(json.dumps(told))
    return 1 if asked.check and told["missed"] else 0


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", message=".*converge.*")
    sys.exit(main())
