"""Logistic regression for classes, ridge regression for values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.protocols import Report
from attain.core.space import Categorical, Condition, Config, Float, Parameter, Space
from attain.core.types import Dataset
from attain.learners._cells import SummedLearner
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
from attain.learners._table import Core, Sample

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
        center: Mean of the training rows, shape (width,).
    """

    slope: np.ndarray
    intercept: np.ndarray
    classifies: bool
    center: np.ndarray

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities of shape (n, seen), or values of shape (n,).

        Args:
            matrix: Shape (n, width).

        Returns:
            The same numbers as scikit-learn's ``predict_proba`` or ``predict``.
        """
        scores = self._outputs(matrix)
        if not self.classifies:
            return np.asarray(scores[:, 0])
        return softmax(scores) if scores.shape[1] > 1 else two_columns(scores[:, 0])

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """See `_cells.Summed`.

        Args:
            matrix: Shape (n, width).

        Returns:
            Shape (n, seen), or (n, 1) for values.
        """
        return self._widened(self._outputs(matrix))

    def parts(self, matrix: np.ndarray) -> np.ndarray:
        """Slope times distance from the mean: Shapley values of a linear model.

        Lundberg & Lee 2017 (arXiv 1705.07874), corollary 1.

        Args:
            matrix: Shape (n, width).

        Returns:
            Shape (n, width + 1, seen), or (n, width + 1, 1) for values.
        """
        each = (matrix - self.center)[:, :, None] * self.slope
        mean = np.broadcast_to(self._outputs(self.center[None]), (len(matrix), 1, each.shape[2]))
        return self._widened(np.concatenate([each, mean], axis=1))

    def _outputs(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(matrix @ self.slope + self.intercept)

    def _widened(self, outputs: np.ndarray) -> np.ndarray:
        """One output of two classes as two, the first of them 0."""
        if not self.classifies or outputs.shape[-1] > 1:
            return outputs
        return np.concatenate([np.zeros_like(outputs), outputs], axis=-1)

    def save(self, folder: Path) -> None:
        """Write ``linear.npz``.

        Args:
            folder: An existing folder.
        """
        flag = np.array(self.classifies)
        arrays = {"slope": self.slope, "intercept": self.intercept, "classifies": flag}
        arrays["center"] = self.center
        write_arrays(folder, "linear.npz", arrays)


class Linear(SummedLearner):
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
        slope, intercept, center = (arrays[name] for name in ("slope", "intercept", "center"))
        return Weights(slope, intercept, bool(arrays["classifies"]), center)


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
    center = sample.matrix.mean(axis=0)
    weights = Weights(np.ascontiguousarray(model.coef_.T), model.intercept_, True, center)
    return weights, {"converged": not messages, "steps": int(np.max(model.n_iter_))}


def _ridge(config: Config, sample: Sample) -> tuple[Core, dict[str, Any]]:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=float(config["alpha"]), random_state=sample.seed)
    model.fit(sample.matrix, sample.y)
    intercept, center = np.atleast_1d(model.intercept_), sample.matrix.mean(axis=0)
    return Weights(model.coef_.reshape(-1, 1), intercept, False, center), {}
