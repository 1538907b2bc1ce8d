"""Gradient boosted trees by LightGBM, grown round by round in an own loop."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError, NotApplicable
from attain.core.files import inside, plain_errors
from attain.core.protocols import Report
from attain.core.space import Categorical, Config, Float, Int, Parameter, Space
from attain.core.types import Dataset, Signal
from attain.learners._cells import SummedLearner
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import row_weights, two_columns, weight_parameters
from attain.learners._state import Course
from attain.learners._steps import Patience, fixed_rounds
from attain.learners._store import read_json, write_json
from attain.learners._table import Core, Sample

MOST_ROUNDS = 5_000
_REMEDY = "the folder is damaged or was altered; get the model anew"
_FEW_ROWS = 256
"""Up to so many rows one thread is faster than waking the others."""
_BLOCK = 10
"""Rounds between which random streams begin anew."""
_ONE_HOT = 4
"""Up to so many labels LightGBM tries each label against the rest, without smoothing."""
_TABREPO = "TabRepo (Salinas & Erickson 2023, arXiv 2311.02971), LightGBM space and defaults"
_OPTUNA = "Optuna LightGBMTuner: 1e-8 to 10 log; default: LightGBM's 0"


@dataclass(frozen=True, eq=False)
class Booster:
    """A trained booster, kept as the text that LightGBM itself writes.

    Predictions always come from a booster read back from this text, so a model predicts the same
    before and after it was saved.

    Attributes:
        text: LightGBM's model format.
        seen: Number of seen classes; 0 for values.
    """

    text: str
    seen: int

    @cached_property
    def booster(self) -> Any:
        """LightGBM's own object."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities of shape (n, seen), or values of shape (n,).

        Args:
            matrix: Shape (n, width).

        Returns:
            See above.
        """
        threads = {"num_threads": 1} if len(matrix) <= _FEW_ROWS else {}
        found = np.asarray(self.booster.predict(matrix, raw_score=self.seen == 2, **threads))
        return two_columns(found) if self.seen == 2 else found

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """See `_cells.Summed`.

        Args:
            matrix: Shape (n, width).

        Returns:
            Shape (n, seen), or (n, 1) for values.
        """
        return self._widened(np.asarray(self.booster.predict(matrix, raw_score=True)))

    def parts(self, matrix: np.ndarray) -> np.ndarray:
        """LightGBM's own contributions: Shapley values of each tree, following its paths.

        TreeSHAP, Lundberg et al. 2020 (arXiv 1905.04610), algorithm 2.

        Args:
            matrix: Shape (n, width).

        Returns:
            Shape (n, width + 1, seen), or (n, width + 1, 1) for values.
        """
        found = np.asarray(self.booster.predict(matrix, pred_contrib=True))
        outputs = self.seen if self.seen > 2 else 1
        each = found.reshape(len(matrix), outputs, -1).transpose(0, 2, 1)
        return self._widened(each[..., 0]) if outputs == 1 else each

    def _widened(self, outputs: np.ndarray) -> np.ndarray:
        """One output with an axis of its own; of two classes the first is 0."""
        if self.seen > 2:
            return outputs
        each = (np.zeros_like(outputs), outputs) if self.seen else (outputs,)
        return np.stack(each, axis=-1)

    def save(self, folder: Path) -> None:
        """Write ``booster.txt`` and ``booster.json``.

        Args:
            folder: An existing folder.
        """
        path = inside(folder, "booster.txt")
        with plain_errors(path):
            path.write_bytes(self.text.encode())
        write_json(folder, "booster.json", {"seen": self.seen, "sha256": _digest(self.text)})

    def readable(self) -> dict[str, Any]:
        """``booster.txt`` as LightGBM's own JSON dump, every tree nested."""
        return {"booster.txt": self.booster.dump_model(num_iteration=-1)}


class LightGBM(SummedLearner):
    """Usually the strongest single learner on tables with more than a thousand rows."""

    name = "lightgbm"
    stops_early = True
    pauses = True

    def space(self, dataset: Dataset) -> Space:
        """Step size, size of trees, randomness and penalties.

        Args:
            dataset: Its rows limit leaves; columns with many labels add their own parameter.

        Returns:
            The space.

        Raises:
            NotApplicable: When LightGBM is not installed.
        """
        dataset = alone(dataset)
        if importlib.util.find_spec("lightgbm") is None:
            raise NotApplicable("the package lightgbm is missing: pip install 'attain[boost]'")
        many = any(c.kind == "categorical" and c.distinct > _ONE_HOT for c in dataset.features)
        return Space(
            (
                *_capacity(dataset),
                *_randomness(),
                *_penalties(),
                *((_cat_smooth(),) if many else ()),
                *weight_parameters(dataset),
            )
        )

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        return Plan(numeric="keep", codes=True, cyclic=False)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        rate, stop = float(config["learning_rate"]), sample.stop_matrix is not None
        fixed = fixed_rounds(sample.hints, MOST_ROUNDS)
        if fixed is None and not stop:  # nothing says when to stop: a length that suits the rate
            fixed = int(np.clip(round(8 / rate), 50, 1000))
        patience = Patience(int(np.clip(round(5 / rate), 20, 300)))

        def over(rounds: int, losses: Mapping[str, float]) -> bool:
            if stop:
                patience.improved(rounds, losses["stop"])
            return fixed is None and patience.over

        course = Course(self.name, config, sample, report)
        found = course.found(over)
        growing = _Growing(config, sample, None if found is None else found.arrays["booster"])
        ended, rounds = fixed is None and patience.over, growing.rounds
        while not ended and rounds < (fixed or MOST_ROUNDS) and course.signal is Signal.CONTINUE:
            rounds += 1
            exhausted = growing.grow()
            losses = _losses(growing.booster, stop)
            ended = over(rounds, losses) or exhausted
            if course.tell(rounds, losses) is Signal.PAUSE and rounds >= _BLOCK:
                course.keep(*growing.state())
        best = rounds if fixed is not None else max(1, patience.at)
        text = growing.text(best)
        return Booster(text, sample.seen), {"rounds": best, "trees": best * max(1, _width(sample))}

    def _load(self, folder: Path) -> Core:
        stored = read_json(folder, "booster.json")
        path = inside(folder, "booster.txt")
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"booster.txt cannot be read ({error}) — {_REMEDY}") from error
        if _digest(text) != stored["sha256"]:  # a cut text would end the process inside LightGBM
            raise ArtifactError(f"booster.txt is not the text that was saved — {_REMEDY}")
        return Booster(text, int(stored["seen"]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _capacity(dataset: Dataset) -> tuple[Parameter, ...]:
    rows = dataset.rows
    leaves = int(np.clip(rows // 10, 15, 255))
    child = int(np.clip(rows // 40, 3, 20))
    return (
        Float(
            name="learning_rate", low=0.005, high=0.3, default=0.05, scale="log",
            limits=(0.001, 1.0), effect="capacity",
            source=f"{_TABREPO}: 5e-3 to 0.1, default 0.05; upper end: Grinsztajn et al. 2022",
        ),
        Int(
            name="num_leaves", low=4, high=leaves, default=min(31, leaves), scale="log",
            limits=(2, max(leaves, min(4095, rows // 2))), effect="capacity",
            source=f"{_TABREPO}: 16 to 255, default 31; fewer where rows are few",
        ),
        Int(
            name="min_child", low=1, high=max(3 * child, 10), default=child, scale="log",
            limits=(1, max(100, rows // 10)), unit="rows", effect="regularisation",
            source=f"{_TABREPO}: 2 to 60, default 20; fewer where rows are few",
        ),
    )  # fmt: skip


def _randomness() -> tuple[Parameter, ...]:
    return (
        Float(
            name="feature_fraction", low=0.4, high=1.0, default=1.0, limits=(0.05, 1.0),
            effect="capacity", source=f"{_TABREPO}: 0.4 to 1, default 1",
        ),
        Float(
            name="bagging_fraction", low=0.5, high=1.0, default=1.0, limits=(0.1, 1.0),
            effect="capacity", priority=2,
            source="Grinsztajn et al. 2022: subsample 0.5 to 1; default: LightGBM",
        ),
        Categorical(
            name="extra_trees", choices=(False, True), default=False, priority=2,
            source=f"{_TABREPO}: random thresholds, AutoGluon's LightGBMXT",
        ),
    )  # fmt: skip


def _penalties() -> tuple[Parameter, ...]:
    return tuple(
        Float(
            name=name, low=1e-8, high=10.0, default=1e-8, scale="log", limits=(1e-8, 1000.0),
            effect="regularisation", priority=priority, source=_OPTUNA,
        )
        for name, priority in (("lambda_l2", 2), ("lambda_l1", 3))
    )  # fmt: skip


def _cat_smooth() -> Parameter:
    return Float(
        name="cat_smooth", low=1.0, high=100.0, default=10.0, scale="log", limits=(0.01, 1000.0),
        effect="regularisation", priority=3,
        source="LightGBM parameters: default 10, against noise of rare categories; range: a decade"
        " either way",
    )  # fmt: skip


def _width(sample: Sample) -> int:
    """Trees in one round."""
    return sample.seen if sample.seen > 2 else 1


_OBJECTIVES = {
    0: ("regression", "rmse"),
    2: ("binary", "binary_logloss"),
    3: ("multiclass", "multi_logloss"),
}
"""By number of seen classes, 3 standing for more."""


def _arguments(config: Config, sample: Sample) -> dict[str, Any]:
    objective, metric = _OBJECTIVES[min(sample.seen, 3)]
    bagging = float(config["bagging_fraction"])
    arguments = {
        "objective": objective,
        "metric": metric,
        "min_data_in_leaf": int(config["min_child"]),
        "max_cat_to_onehot": _ONE_HOT,
        # the default of 100 rows for a group of labels leaves small tables without such splits;
        # this lowered the loss on 3 of 5 data sets of 1000 to 3000 rows, raised it on 1
        "min_data_per_group": int(np.clip(sample.dataset.rows // 50, 10, 100)),
        "bagging_freq": int(bagging < 1),
        "seed": sample.seed,
        "num_threads": sample.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        # what bins depend on is the same for all configurations
        "feature_pre_filter": False,
        "data_random_seed": 1,
        **{k: v for k, v in config.items() if k not in ("min_child", "class_weight")},
    }
    return arguments | ({"num_class": sample.seen} if objective == "multiclass" else {})


_OF_BINS = (
    "feature_pre_filter",
    "data_random_seed",
    "num_threads",
    "deterministic",
    "force_row_wise",
    "verbosity",
)


class _Growing:
    """A booster under way, whose random streams begin anew every ten rounds.

    A booster that goes on from a model has no memory of its streams; so they are a function of the
    seed and of the round.

    Args:
        config: Values of parameters.
        sample: What it learns from.
        start: A model to go on from, as bytes, shape (n,); None to begin anew.
    """

    def __init__(self, config: Config, sample: Sample, start: np.ndarray | None) -> None:
        import lightgbm

        self._arguments = _arguments(config, sample)
        bags, draws = self._arguments["bagging_freq"] > 0, self._arguments["feature_fraction"] < 1
        self._random = bags or draws or bool(self._arguments["extra_trees"])
        train, stop = _datasets(self._arguments, config, sample, anew=start is not None)
        self.rounds = 0
        self._given: int | None = None
        if start is None:
            self.booster = lightgbm.Booster(params=self._arguments, train_set=train)
            self.booster.set_train_data_name("train")
            if stop is not None:
                self.booster.add_valid(stop, "stop")
            return
        old = lightgbm.Booster(model_str=start.tobytes().decode())
        self.rounds = self._given = int(old.current_iteration())
        # the one public way to go on from a model makes a round at once: `grow` hands it out
        self.booster = lightgbm.train(
            self._arguments | (self._seeds() if self._random else {}),
            train,
            num_boost_round=1,
            valid_sets=[train] if stop is None else [train, stop],
            valid_names=["train"] if stop is None else ["train", "stop"],
            init_model=old,
            keep_training_booster=True,
        )

    def grow(self) -> bool:
        """Make a round.

        Returns:
            Whether nothing was left to learn.
        """
        given, self._given = self._given, None
        if given is None and self._random and self.rounds and self.rounds % _BLOCK == 0:
            self._reseed()
        self.rounds += 1
        if given is not None:
            return int(self.booster.current_iteration()) == given
        return bool(self.booster.update())

    def text(self, rounds: int) -> str:
        """LightGBM's model format.

        Args:
            rounds: How many of the first ones; said in the text, however they came about.

        Returns:
            The text.
        """
        whole = str(self.booster.model_to_string(num_iteration=rounds))
        return re.sub(r"\[num_iterations: \d+\]", f"[num_iterations: {rounds}]", whole)

    def state(self) -> tuple[int, dict[str, np.ndarray]]:
        """The model when its streams last began anew.

        Returns:
            Rounds done then, at least 10, and the model as bytes under ``booster``.
        """
        rounds = self.rounds - self.rounds % _BLOCK
        return rounds, {"booster": np.frombuffer(self.text(rounds).encode(), dtype=np.uint8)}

    def _seeds(self) -> dict[str, int]:
        seed = (self._arguments["seed"] + self.rounds * 1_000_003) % 2**31
        return dict.fromkeys(("bagging_seed", "feature_fraction_seed", "extra_seed"), seed)

    def _reseed(self) -> None:
        if self._arguments["bagging_freq"]:  # bags are drawn anew only if their size has changed
            share = self._arguments["bagging_fraction"]
            self.booster.reset_parameter({"bagging_fraction": share - 1e-3})
        self.booster.reset_parameter(self._arguments | self._seeds())


def _datasets(
    arguments: Mapping[str, Any], config: Config, sample: Sample, *, anew: bool
) -> tuple[Any, Any | None]:
    """Binned rows, the same for all configurations; only the weights differ."""
    if anew or sample.shared is None:  # to go on from a model writes its scores into the bins
        train, stop = _binned(arguments, sample)
    else:
        train, stop = sample.shared.made("lightgbm", lambda: _binned(arguments, sample))
    weights = row_weights(config, sample.y) if sample.seen else None
    train.construct().set_field("weight", None if weights is None else weights.astype(np.float32))
    return train, stop


def _binned(arguments: Mapping[str, Any], sample: Sample) -> tuple[Any, Any | None]:
    import lightgbm

    params = {name: arguments[name] for name in _OF_BINS}
    train = lightgbm.Dataset(
        sample.matrix,
        label=sample.y,
        categorical_feature=sample.prepared.coded,
        params=params,
        free_raw_data=False,
    ).construct()
    if sample.stop_matrix is None:
        return train, None
    stop = train.create_valid(sample.stop_matrix, label=sample.stop_y, params=params)
    return train, stop.construct()


def _losses(booster: Any, stop: bool) -> dict[str, float]:
    found = booster.eval_train() + (booster.eval_valid() if stop else [])
    return {name: float(value) for name, _, value, _ in found}
