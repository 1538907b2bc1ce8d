"""Support vector machines with a radial kernel, and probabilities that mean something."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import NotApplicable
from attain.core.protocols import Report
from attain.core.space import Config, Float, Space
from attain.core.types import Dataset
from attain.learners import _skops
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import (
    numeric_parameter,
    row_weights,
    softmax,
    two_columns,
    weight_parameters,
)
from attain.learners._store import read_arrays, write_arrays
from attain.learners._table import Core, Sample, TableLearner

MOST_ROWS = 10_000
"""Training time grows with the square to cube of the rows; one fit takes about a minute here."""
_FOLDS = 3
_PROBST = "Probst et al. 2019 (arXiv 1802.09596), table 1: svm cost and gamma 2^-10 to 2^10"


@dataclass(frozen=True, eq=False)
class Machine:
    """A fitted machine and what turns its output into an answer.

    Attributes:
        estimator: scikit-learn's SVC or SVR.
        slope: Calibration: shape (1, 1) for two classes, (seen, seen) for more; for values the
            spread of the target, shape (1, 1).
        shift: Calibration: shape (1,) or (seen,); for values the mean of the target, shape (1,).
    """

    estimator: Any
    slope: np.ndarray
    shift: np.ndarray

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of shape (n, seen), or values of shape (n,).

        Args:
            matrix: Shape (n, width).

        Returns:
            See above.
        """
        if not hasattr(self.estimator, "decision_function"):
            return np.asarray(self.estimator.predict(matrix) * self.slope[0, 0] + self.shift[0])
        scores = self.estimator.decision_function(matrix).reshape(len(matrix), -1)
        scores = scores @ self.slope + self.shift
        return softmax(scores) if scores.shape[1] > 1 else two_columns(scores[:, 0])

    def save(self, folder: Path) -> None:
        """Write ``svm.skops`` and ``calibration.npz``.

        Args:
            folder: An existing folder.
        """
        _skops.dump(folder, "svm.skops", self.estimator)
        write_arrays(folder, "calibration.npz", {"slope": self.slope, "shift": self.shift})

    def readable(self) -> dict[str, Any]:
        """``svm.skops`` as the numbers that decide: kernel, support vectors, weights."""
        machine = self.estimator
        return {
            "svm.skops": {
                "kernel": machine.kernel,
                "gamma": float(machine.gamma),
                "support_vectors": machine.support_vectors_,
                "counts": machine.n_support_,
                "weights": machine.dual_coef_,
                "intercept": machine.intercept_,
            }
        }


class Svm(TableLearner):
    """Smooth boundaries for small and middle-sized tables."""

    name = "svm"

    def space(self, dataset: Dataset) -> Space:
        """Penalty, width of the kernel, scaling.

        Args:
            dataset: Its rows say whether a fit is affordable.

        Returns:
            The space.

        Raises:
            NotApplicable: Above `MOST_ROWS` rows.
        """
        dataset = alone(dataset)
        if dataset.rows > MOST_ROWS:
            raise NotApplicable(
                f"a kernel machine's time grows with the square of the rows: {dataset.rows:,} are"
                f" more than the {MOST_ROWS:,} it is offered for"
            )
        cost = Float(
            name="C", low=2**-5, high=2**10, default=1.0, scale="log", limits=(2**-10, 2**15),
            effect="capacity", source=f"{_PROBST}; default: scikit-learn",
        )  # fmt: skip
        gamma = Float(
            name="gamma", low=2**-6, high=2**4, default=1.0, scale="log", limits=(2**-10, 2**10),
            unit="/ (columns * variance)", effect="capacity",
            source=f"{_PROBST}, as a multiple of scikit-learn's gamma='scale'",
        )  # fmt: skip
        numeric = numeric_parameter(
            "standard", "quantile", "robust",
            default="standard",
            source="Hsu, Chang & Lin 2003, section 2.2: scaling is very important",
        )  # fmt: skip
        if dataset.task.classifies:
            return Space((cost, gamma, numeric, *weight_parameters(dataset)))
        epsilon = Float(
            name="epsilon", low=0.001, high=1.0, default=0.1, scale="log", limits=(1e-5, 2.0),
            unit="standard deviations of the target", effect="regularisation", priority=2,
            source="scikit-learn SVR default 0.1; range: Hsu, Chang & Lin's log grid",
        )  # fmt: skip
        return Space((cost, gamma, epsilon, numeric))

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        return Plan(numeric=str(config["numeric"]), one_hot=20, topics=50)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        gamma = float(config["gamma"]) / (sample.matrix.shape[1] * sample.matrix.var())
        shared = {"C": float(config["C"]), "gamma": gamma, "cache_size": 500}
        machine = (
            _classify(config, sample, shared) if sample.seen else _regress(config, sample, shared)
        )
        return machine, {"support_vectors": len(machine.estimator.support_)}

    def _load(self, folder: Path) -> Core:
        from sklearn.svm import SVC, SVR

        arrays = read_arrays(folder, "calibration.npz")
        estimator: Any = _skops.load(folder, "svm.skops", (SVC, SVR))
        return Machine(estimator, arrays["slope"], arrays["shift"])


def _regress(config: Config, sample: Sample, shared: dict[str, Any]) -> Machine:
    from sklearn.svm import SVR

    mean, spread = float(sample.y.mean()), float(sample.y.std()) or 1.0
    estimator = SVR(epsilon=float(config["epsilon"]), **shared)
    estimator.fit(sample.matrix, (sample.y - mean) / spread)
    return Machine(estimator, np.array([[spread]]), np.array([mean]))


def _classify(config: Config, sample: Sample, shared: dict[str, Any]) -> Machine:
    """One machine on all rows; its scores are calibrated on machines that did not see the row."""
    from sklearn.svm import SVC

    weights = row_weights(config, sample.y)

    def machine(index: np.ndarray) -> Any:
        weight = None if weights is None else weights[index]
        return SVC(**shared).fit(sample.matrix[index], sample.y[index], sample_weight=weight)

    everything = np.arange(len(sample.y))
    width = 1 if sample.seen == 2 else sample.seen
    scores = np.zeros((len(sample.y), width))
    fold = _folds(sample.y, sample.seed)
    usable = np.zeros(len(sample.y), dtype=bool)
    for k in range(_FOLDS):
        inside, outside = everything[fold != k], everything[fold == k]
        if len(np.unique(sample.y[inside])) == sample.seen and len(outside):
            found = machine(inside).decision_function(sample.matrix[outside])
            scores[outside], usable[outside] = found.reshape(len(outside), width), True
    estimator = machine(everything)
    if not usable.any():  # too few rows of some class to hold any out
        scores = estimator.decision_function(sample.matrix).reshape(len(sample.y), width)
        usable[:] = True
    slope, shift = _calibrate(scores[usable], sample.y[usable], sample.seen)
    return Machine(estimator, slope, shift)


def _folds(y: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each row, each class spread evenly; shape (n,)."""
    order = np.random.default_rng(seed).permutation(len(y))
    fold = np.empty(len(y), dtype=np.int64)
    for code in np.unique(y):
        members = order[y[order] == code]
        fold[members] = np.arange(len(members)) % _FOLDS
    return fold


def _calibrate(scores: np.ndarray, y: np.ndarray, seen: int) -> tuple[np.ndarray, np.ndarray]:
    """Platt scaling (Platt 1999), for more classes its multinomial form.

    Args:
        scores: Of rows the machine had not seen, shape (n, 1) or (n, seen).
        y: Positions of their classes, shape (n,).
        seen: Number of classes.

    Returns:
        Slope of shape (1, 1) or (seen, seen), and shift of shape (1,) or (seen,).
    """
    from sklearn.linear_model import LogisticRegression

    identity, none = np.eye(scores.shape[1]), np.zeros(scores.shape[1])
    if len(np.unique(y)) < seen:
        return identity, none
    model = LogisticRegression(C=10.0, max_iter=1000).fit(scores, y)
    return np.ascontiguousarray(model.coef_.T), np.asarray(model.intercept_)
