"""The problems: a space, a known-good default, and a deterministic loss. One name finds each.

    lcbench-<task>             7 numbers; surrogate of neural networks on tables (YAHPO)
    rbv2_xgboost-<task>        14 mixed, 8 of them conditional; surrogate of xgboost (YAHPO)
    live-<model>-<data>        scikit-learn's models on its own data, cross-validated
    bbob-f<number>-<d>d        noiseless test functions, instance 1 (COCO)
    <any>~gauss<share>         the same with noise; share of (median - best known) as its deviation
    <any>~binomial<rows>       the same as an error rate measured on so many rows

YAHPO's surrogates are read from a folder (``--data``) that holds ``<scenario>/model.onnx``,
``config_space.json`` and ``encoding.json``. As in YAHPO Gym, a number that is not active is given
to the model as 0; the models were fitted so, and NaN would come out as NaN.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from live import MODELS, Memo, live_loss

from attain.core.seeds import derive
from attain.core.space import (
    Categorical,
    Condition,
    Config,
    Float,
    Int,
    Parameter,
    Scalar,
    Space,
    holds,
    snap,
)

SUITES: Mapping[str, tuple[str, ...]] = {
    "lcbench": tuple(
        f"lcbench-{t}" for t in ("167168", "34539", "3945", "168908", "146212", "189905")
    ),
    "rbv2_xgboost": tuple(
        f"rbv2_xgboost-{t}" for t in ("12", "40981", "1468", "31", "23512", "1590")
    ),
    "live": tuple(f"live-{m}" for m in ("svr-diabetes", "forest-wine", "mlp-wine", "knn-diabetes")),
    "bbob": tuple(
        f"bbob-{p}"
        for p in ("f1-5d", "f3-2d", "f8-5d", "f10-10d", "f15-5d", "f20-10d", "f21-2d", "f24-2d")
    ),
}
ALL = tuple(name for names in SUITES.values() for name in names)


@dataclass(frozen=True)
class Scenario:
    """One of YAHPO's: the order of the model's inputs, and which output is an accuracy.

    Attributes:
        task: Name of the categorical input that chooses the instance.
        categories: Categorical inputs, in order.
        numbers: Numeric inputs, in order.
        fixed: Numbers that are not searched, the fidelity among them.
        output: Which output is the accuracy.
        scale: What the accuracy is divided by.
        start: Known-good values; the tool's own defaults, moved into the range.
    """

    task: str
    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    fixed: Mapping[str, float]
    output: int
    scale: float
    start: Mapping[str, Scalar]


SCENARIOS = {
    "lcbench": Scenario(
        task="OpenML_task_id",
        categories=("OpenML_task_id",),
        numbers=(
            *("epoch", "batch_size", "learning_rate", "momentum", "weight_decay"),
            *("num_layers", "max_units", "max_dropout"),
        ),
        fixed={"epoch": 52},
        output=1,
        scale=100,
        start={  # stochastic gradient descent as textbooks start it, in the middle of the rest
            **{"batch_size": 128, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.01},
            **{"num_layers": 3, "max_units": 256, "max_dropout": 0.2},
        },
    ),
    "rbv2_xgboost": Scenario(
        task="task_id",
        categories=("task_id", "booster", "num.impute.selected.cpo"),
        numbers=(
            *("nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth"),
            *("min_child_weight", "colsample_bytree", "colsample_bylevel", "rate_drop"),
            *("skip_drop", "trainsize", "repl"),
        ),
        fixed={"trainsize": 1.0, "repl": 6},
        output=0,
        scale=1,
        start={  # xgboost's own; gamma and alpha are 0 and min_child_weight 1, moved to the bound
            **{"booster": "gbtree", "num.impute.selected.cpo": "impute.mean", "nrounds": 100},
            **{"eta": 0.3, "gamma": 0.0, "lambda": 1.0, "alpha": 0.0, "subsample": 1.0},
            **{"max_depth": 6, "min_child_weight": 1.0, "colsample_bytree": 1.0},
            **{"colsample_bylevel": 1.0, "rate_drop": 0.0, "skip_drop": 0.0},
        },
    ),
}


@dataclass(frozen=True)
class Problem:
    """What a method is asked to minimise.

    Attributes:
        name: Unique; see the module.
        suite: Which kind it is.
        space: Where to search; its defaults are the known-good start.
        loss: The true loss of a configuration.
        optimum: Its least value, where theory tells.
        noise: What is added to the loss a method is told; "" for none.
        spread: Of the noise: a deviation, or a number of rows.
    """

    name: str
    suite: str
    space: Space
    loss: Callable[[Config], float] = field(repr=False)
    optimum: float | None = None
    noise: str = ""
    spread: float = 0.0

    @property
    def default(self) -> dict[str, Scalar]:
        """The known-good configuration that every method is given first."""
        return self.space.defaults()

    def evaluate(self, config: Config) -> float:
        """The true loss; the same for the same configuration.

        Args:
            config: Values of exactly the active parameters.

        Returns:
            A finite number.
        """
        self.space.check(config)
        value = float(self.loss(config))
        if not math.isfinite(value):
            raise ValueError(f"{self.name} gave {value} for {dict(config)}")
        return value

    def told(self, loss: float, seed: int, index: int) -> tuple[float, float | None]:
        """What a method is told of a true loss, and the standard error it may know.

        Args:
            loss: True.
            seed: Of the run.
            index: Of the trial.

        Returns:
            The loss itself and None when there is no noise.
        """
        if not self.noise:
            return loss, None
        rng = np.random.default_rng(derive(seed, "noise", self.name, index))
        if self.noise == "gauss":
            return loss + self.spread * float(rng.standard_normal()), self.spread
        rows = int(self.spread)
        rate = float(rng.binomial(rows, min(max(loss, 0.0), 1.0))) / rows
        smoothed = (rate * rows + 1) / (rows + 2)  # never certain, also at 0 errors
        return rate, math.sqrt(smoothed * (1 - smoothed) / rows)


def settle(space: Space, flat: Mapping[str, Any]) -> dict[str, Scalar]:
    """The configuration that a method meant: only active values, in range, of the right type.

    Args:
        space: What it must belong to.
        flat: Values of at least the active parameters, perhaps as other number types.

    Returns:
        A configuration of the space.
    """
    config: dict[str, Scalar] = {}
    for parameter in space.ordered:
        if all(holds(c, config) for c in parameter.when):
            config[parameter.name] = _typed(parameter, flat[parameter.name])
    return config


def _typed(parameter: Parameter, value: Any) -> Scalar:
    if isinstance(parameter, Float | Int):
        return snap(parameter, float(value))
    for choice in parameter.choices:
        if value == choice and isinstance(value, bool | np.bool_) == isinstance(choice, bool):
            return choice
    raise ValueError(f"{value!r} is no choice of {parameter}")


def problem(name: str, data: Path | None = None, reference: Mapping[str, Any] = {}) -> Problem:
    """The problem of a name.

    Args:
        name: See the module.
        data: Folder of YAHPO's scenarios, for the two suites that need it.
        reference: Best known and median losses, for gaussian noise.

    Returns:
        Ready to be evaluated.
    """
    name, _, noise = name.partition("~")
    suite, _, rest = name.partition("-")
    if suite in SCENARIOS:
        made = _surrogate(name, suite, rest, data)
    elif suite == "live":
        made = _live(name, rest)
    elif suite == "bbob":
        made = _bbob(name, rest)
    elif name == "mixed-13":
        made = mixed()
    else:
        raise ValueError(f"no problem is called {name!r}; known suites: {', '.join(SUITES)}")
    if not noise:
        return made
    kind, amount = _parts(r"(gauss|binomial)([\d.]+)", noise, "gauss0.1 or binomial500")
    spread = float(amount)
    if kind == "gauss":
        known = reference[name]
        spread *= known["median"] - known["best"]
    return Problem(f"{name}~{noise}", made.suite, made.space, made.loss, made.optimum, kind, spread)


def _surrogate(name: str, suite: str, task: str, data: Path | None) -> Problem:
    if data is None or not (data / suite / "model.onnx").exists():
        raise FileNotFoundError(f"{name} needs --data, a folder with {suite}/model.onnx in it")
    scenario = SCENARIOS[suite]
    run, codes = _model(data / suite)
    if task not in codes[scenario.task]:
        raise ValueError(f"{suite} has no task {task!r}")
    space = yahpo_space(json.loads((data / suite / "config_space.json").read_text()), scenario)

    def loss(config: Config) -> float:
        words = {scenario.task: task, **config}
        numbers = {**scenario.fixed, **config}
        cat = [codes[c][words.get(c, "#na#")] for c in scenario.categories]
        cont = [float(numbers.get(n, 0.0)) for n in scenario.numbers]
        return 1.0 - run(cat, cont)[scenario.output] / scenario.scale

    return Problem(name, suite, space, loss)


@cache
def _model(folder: Path) -> tuple[Callable[[list[int], list[float]], np.ndarray], Mapping]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    codes = json.loads((folder / "encoding.json").read_text())

    def run(cat: list[int], cont: list[float]) -> np.ndarray:
        given = {"x_cat": np.array([cat], np.int32), "x_cont": np.array([cont], np.float32)}
        return np.asarray(session.run(None, given)[0][0], float)

    return run, codes


def yahpo_space(described: Mapping[str, Any], scenario: Scenario) -> Space:
    """A scenario's space without its task and its fidelities.

    Args:
        described: Contents of ``config_space.json``.
        scenario: Inputs and known-good values.

    Returns:
        Bounds, scales and conditions as described.
    """
    when = {
        c["child"]: (Condition(c["parent"], tuple(c.get("values") or [c["value"]])),)
        for c in described["conditions"]
    }
    left_out = {scenario.task, *scenario.fixed}
    made = [
        _described(h, scenario.start[h["name"]], when.get(h["name"], ()))
        for h in described["hyperparameters"]
        if h["name"] not in left_out
    ]
    return Space(tuple(made))


def _described(told: Mapping[str, Any], start: Any, when: tuple[Condition, ...]) -> Parameter:
    name = told["name"]
    if told["type"] == "categorical":
        return Categorical(name=name, choices=tuple(told["choices"]), default=start, when=when)
    low, high = told["lower"], told["upper"]
    scale = "log" if told["log"] else "linear"
    start = min(max(start, low), high)
    kind = Int if told["type"] == "uniform_int" else Float
    return kind(name=name, low=low, high=high, scale=scale, default=start, when=when)


def _live(name: str, rest: str) -> Problem:
    model, _, rows = rest.partition("-")
    if model not in MODELS:
        raise ValueError(f"no live model {model!r}; known: {', '.join(MODELS)}")
    memo = Memo.of(name)
    return Problem(
        name, "live", MODELS[model].space, lambda config: memo.get(config, live_loss, model, rows)
    )


def _parts(pattern: str, word: str, example: str) -> tuple[str, ...]:
    """The groups of a pattern in a part of a problem's name; says what it should look like."""
    found = re.fullmatch(pattern, word)
    if found is None:
        raise ValueError(f"{word!r} is no part of a problem's name; it should be like {example}")
    return found.groups()


def _bbob(name: str, rest: str) -> Problem:
    import cocoex

    number, dimension = map(int, _parts(r"f(\d+)-(\d+)d", rest, "bbob-f1-5d"))
    function = cocoex.BareProblem("bbob", number, dimension, 1)
    names = [f"x{i}" for i in range(dimension)]
    space = Space(tuple(Float(name=n, low=-5.0, high=5.0, default=0.0) for n in names))
    return Problem(
        name,
        "bbob",
        space,
        lambda config: function([config[n] for n in names]),
        optimum=float(function.best_value()),
    )


def mixed() -> Problem:
    """Thirteen mixed parameters and a smooth loss, for timing."""
    tree = (Condition("booster", ("tree", "dart")),)
    numbers = ("a", "b", "c")
    space = Space(
        (
            Categorical(name="booster", choices=("tree", "dart", "linear"), default="tree"),
            Categorical(name="impute", choices=("mean", "median", "hist"), default="mean"),
            Categorical(name="centre", choices=(True, False), default=True),
            *(Float(name=n, low=0.0, high=1.0, default=0.5) for n in numbers),
            Float(name="rate", low=1e-4, high=1.0, scale="log", default=0.1, when=tree),
            Float(name="penalty", low=1e-4, high=1e3, scale="log", default=1.0),
            Float(
                name="drop", low=0.0, high=1.0, default=0.1, when=(Condition("booster", ("dart",)),)
            ),
            Int(name="rounds", low=8, high=2048, scale="log", default=128),
            Int(name="depth", low=1, high=15, default=6, when=tree),
            Int(name="bins", low=16, high=512, scale="log", default=256, when=tree),
            Int(name="leaf", low=1, high=100, default=20),
        )
    )

    def loss(config: Config) -> float:
        near = sum((float(config[n]) - 0.3) ** 2 for n in numbers)
        rate = math.log(config["rate"] / 0.03) ** 2 / 20 if "rate" in config else 1.0
        drop = float(config.get("drop", 0.0)) / 2
        penalty = math.log(config["penalty"] / 3) ** 2 / 50
        other = 0.1 * (config["impute"] != "median") + 0.1 * bool(config["centre"])
        rounds = math.log(config["rounds"] / 700) ** 2 / 20
        return near + rate + drop + penalty + other + rounds + abs(config["leaf"] - 30) / 200

    return Problem("mixed-13", "mixed", space, loss)


def chosen(names: Iterable[str] | None, suites: Iterable[str] | None) -> tuple[str, ...]:
    """Names of the problems asked for.

    Args:
        names: Given one by one.
        suites: Given by suite.

    Returns:
        All public ones when nothing is given.
    """
    if not names and not suites:
        return ALL
    listed = [n for s in suites or () for n in SUITES[s]]
    return tuple(dict.fromkeys([*(names or ()), *listed]))
