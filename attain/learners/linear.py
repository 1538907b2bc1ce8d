"""Logistic regression for classes, ridge regression for values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.protocols import Report
from attain.core.space import Categorical, Condition, Config, Float, Parameter, Space
from attain.core.types import Dataset
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import (
    numeric_parameter,
    row_weights,
    softmax,
    two_columns,
    unconverged,
    weight_parameters,
)
from attain.learners._store import read_arrays, write_arrays
from attain.learners._table import Core, Sample, TableLearner

_PROBST = "Probst et al. 2019 (arXiv 1802.09596), table 1: glmnet lambda 2^-10 to 2^10"
_SKLEARN = "scikit-learn 1.9 default"
_SPARSE_CELLS = 2_000_000
"""Rows x columns up to which the slow solvers of sparse penalties are offered (about a minute)."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A linear model.

    Attributes:
        slope: Shape (width, outputs): one output for values and for two classes, else one for
            each class.
        intercept: Shape (outputs,).
        classifies: Whether outputs are scores of classes.
    """

    slope: np.ndarray
    intercept: np.ndarray
    classifies: bool

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities of shape (n, seen), or values of shape (n,).

        Args:
            matrix: Shape (n, width).

        Returns:
            The same numbers as scikit-learn's ``predict_proba`` or ``predict``.
        """
        scores = matrix @ self.slope + self.intercept
        if not self.classifies:
            return np.asarray(scores[:, 0])
        return softmax(scores) if scores.shape[1] > 1 else two_columns(scores[:, 0])

    def save(self, folder: Path) -> None:
        """Write ``linear.npz``.

        Args:
            folder: An existing folder.
        """
        flag = np.array(self.classifies)
        arrays = {"slope": self.slope, "intercept": self.intercept, "classifies": flag}
        write_arrays(folder, "linear.npz", arrays)


class Linear(TableLearner):
    """Fast, hard to overfit, and readable; the rung above the baseline."""

    name = "linear"

    def space(self, dataset: Dataset) -> Space:
        """Strength and kind of the penalty, and how numbers enter.

        Args:
            dataset: Decides between classes and values, and whether slow penalties are offered.

        Returns:
            The space.
        """
        dataset = alone(dataset)
        numeric = numeric_parameter(
            "standard", "quantile", "piecewise",
            default="standard",
            source="standard: scikit-learn user guide 'scale your data'; quantile: Gorishniy et al."
            " 2021; piecewise: Gorishniy et al. 2022 (arXiv 2203.05556)",
            priority=1,
        )  # fmt: skip
        if not dataset.task.classifies:
            return Space((_alpha(), numeric))
        return Space(
            (_inverse_penalty(), numeric, *_penalties(dataset), *weight_parameters(dataset))
        )

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        return Plan(numeric=str(config["numeric"]), one_hot=30, topics=100)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        if sample.seen:
            return _logistic(config, sample)
        return _ridge(config, sample)

    def _load(self, folder: Path) -> Core:
        arrays = read_arrays(folder, "linear.npz")
        return Weights(arrays["slope"], arrays["intercept"], bool(arrays["classifies"]))


def _alpha() -> Parameter:
    return Float(
        name="alpha", low=2**-10, high=2**10, default=1.0, scale="log", limits=(1e-8, 1e8),
        source=f"{_PROBST}; default: {_SKLEARN}", effect="regularisation",
    )  # fmt: skip


def _inverse_penalty() -> Parameter:
    return Float(
        name="C", low=2**-10, high=2**10, default=1.0, scale="log", limits=(1e-6, 1e6),
        source=f"{_PROBST}, inverted; default: {_SKLEARN}", effect="capacity",
    )  # fmt: skip


def _penalties(dataset: Dataset) -> tuple[Parameter, ...]:
    """Sparse penalties need solvers that are slow on many cells; l2 alone is left to them."""
    if dataset.rows * len(dataset.features) * max(1, len(dataset.classes) - 1) > _SPARSE_CELLS:
        return ()
    penalty = Categorical(
        name="penalty", choices=("l2", "l1", "elastic"), default="l2", priority=2,
        source=f"Probst et al. 2019, table 1: glmnet alpha 0 to 1; default: {_SKLEARN}",
    )  # fmt: skip
    share = Float(
        name="l1_ratio", low=0.05, high=0.95, default=0.5, limits=(0.0, 1.0), priority=3,
        when=(Condition("penalty", ("elastic",)),), effect="regularisation",
        source="Zou & Hastie 2005, the elastic net; scikit-learn ElasticNet default 0.5",
    )  # fmt: skip
    return (penalty, share)


_L1_SHARE = {"l2": 0.0, "l1": 1.0}


def _logistic(config: Config, sample: Sample) -> tuple[Core, dict[str, Any]]:
    from sklearn.linear_model import LogisticRegression

    penalty = str(config.get("penalty", "l2"))
    share = float(config["l1_ratio"]) if penalty == "elastic" else _L1_SHARE[penalty]
    model = LogisticRegression(
        C=float(config["C"]),
        l1_ratio=share,
        solver="lbfgs" if share == 0 else "saga",
        max_iter=1000 if share == 0 else 300,
        tol=1e-4 if share == 0 else 1e-3,
        random_state=sample.seed,
    )
    with unconverged() as messages:
        model.fit(sample.matrix, sample.y, sample_weight=row_weights(config, sample.y))
    weights = Weights(np.ascontiguousarray(model.coef_.T), model.intercept_, True)
    return weights, {"converged": not messages, "steps": int(np.max(model.n_iter_))}


def _ridge(config: Config, sample: Sample) -> tuple[Core, dict[str, Any]]:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=float(config["alpha"]), random_state=sample.seed)
    model.fit(sample.matrix, sample.y)
    return Weights(model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_), False), {}
