"""k nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.protocols import Report
from attain.core.space import Categorical, Config, Int, Ordinal, Space
from attain.core.types import Dataset
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import numeric_parameter
from attain.learners._store import read_arrays, read_json, write_arrays, write_json
from attain.learners._table import Core, Sample, TableLearner

MOST_ROWS = 20_000
"""Rows kept: one prediction then compares at most so many, about 2 ms at 100 columns."""
_TREE_COLUMNS = 15
"""Up to so many columns a k-d tree beats comparing all rows (scikit-learn user guide 1.6.4)."""


@dataclass(frozen=True, eq=False)
class Memory:
    """The remembered rows.

    Attributes:
        matrix: Shape (m, width), float32.
        y: Positions among the seen classes, or values; shape (m,).
        seen: Number of seen classes; 0 for values.
        k: Number of neighbours.
        weights: ``uniform`` or ``distance``.
        p: Of the Minkowski distance.
    """

    matrix: np.ndarray
    y: np.ndarray
    seen: int
    k: int
    weights: str
    p: int

    @cached_property
    def index(self) -> Any:
        """scikit-learn's search structure; building it again gives the same one."""
        from sklearn.neighbors import NearestNeighbors

        tree = self.matrix.shape[1] <= _TREE_COLUMNS
        index = NearestNeighbors(
            n_neighbors=self.k, p=self.p, algorithm="kd_tree" if tree else "brute"
        )
        return index.fit(self.matrix)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Votes or means of the nearest rows.

        Args:
            matrix: Shape (n, width).

        Returns:
            Probabilities of shape (n, seen), or values of shape (n,).
        """
        distances, index = self.index.kneighbors(matrix.astype(np.float32))
        weights = self._weigh(distances)
        near = self.y[index]
        if not self.seen:
            return np.asarray((weights * near).sum(axis=1))
        votes = np.zeros((len(matrix), self.seen))
        np.add.at(votes, (np.arange(len(matrix))[:, None], near), weights)
        return votes

    def save(self, folder: Path) -> None:
        """Write ``memory.json`` and ``memory.npz``.

        Args:
            folder: An existing folder.
        """
        plain = {"seen": self.seen, "k": self.k, "weights": self.weights, "p": self.p}
        write_json(folder, "memory.json", plain)
        write_arrays(folder, "memory.npz", {"matrix": self.matrix, "y": self.y})

    def _weigh(self, distances: np.ndarray) -> np.ndarray:
        """Shares that sum to 1; a row at distance 0 leaves nothing to the others."""
        if self.weights == "uniform":
            return np.full(distances.shape, 1 / distances.shape[1])
        same = distances == 0
        inverse = 1 / np.where(same, 1, distances)
        raw = np.where(same.any(axis=1, keepdims=True), same, inverse)
        shares: np.ndarray = raw / raw.sum(axis=1, keepdims=True)
        return shares


class Neighbors(TableLearner):
    """The answer of the most similar rows; large tables are sampled."""

    name = "knn"

    def space(self, dataset: Dataset) -> Space:
        """How many neighbours, how they count, and what near means.

        Args:
            dataset: Its rows limit the number of neighbours.

        Returns:
            The space.
        """
        dataset = alone(dataset)
        high = max(5, min(100, dataset.rows // 4))
        usual = 30 if dataset.task.classifies else 10
        neighbours = Int(
            name="neighbors", low=1, high=high, default=min(usual, high), scale="log",
            limits=(1, max(high, min(1000, dataset.rows // 2))), effect="regularisation",
            source="Probst et al. 2019 (arXiv 1802.09596), table 1: kknn k 1 to 30; TabZilla 2023:"
            " 3 to 42; default: Probst's optimum 30 for classes, fewer for values",
        )  # fmt: skip
        weights = Categorical(
            name="weights", choices=("uniform", "distance"), default="distance", priority=2,
            source="scikit-learn KNeighborsClassifier; distance: Dudani 1976",
        )  # fmt: skip
        power = Ordinal(
            name="p", choices=(1, 2), default=2, priority=3,
            source="scikit-learn default 2; Aggarwal et al. 2001: 1 in many dimensions",
        )  # fmt: skip
        numeric = numeric_parameter(
            "standard", "quantile", "robust",
            default="quantile",
            source="scikit-learn user guide 7.3: distances need one scale; quantile: Gorishniy et"
            " al. 2021",
        )  # fmt: skip
        return Space((neighbours, weights, numeric, power))

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        return Plan(numeric=str(config["numeric"]), one_hot=10, topics=16)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        kept = np.arange(len(sample.y))
        if len(kept) > MOST_ROWS:
            drawn = np.random.default_rng(sample.seed).choice(len(kept), MOST_ROWS, replace=False)
            kept = np.sort(drawn)
        matrix = np.ascontiguousarray(sample.matrix[kept], dtype=np.float32)
        k = min(int(config["neighbors"]), len(kept))
        weights, p = str(config["weights"]), int(config["p"])
        memory = Memory(matrix, sample.y[kept], sample.seen, k, weights, p)
        return memory, {"rows_kept": len(kept)}

    def _load(self, folder: Path) -> Core:
        plain, arrays = read_json(folder, "memory.json"), read_arrays(folder, "memory.npz")
        return Memory(matrix=arrays["matrix"], y=arrays["y"], **plain)
