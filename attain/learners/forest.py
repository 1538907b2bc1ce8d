"""Random forests and extremely randomised trees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.protocols import Report
from attain.core.space import Categorical, Config, Float, Int, Ordinal, Parameter, Space
from attain.core.types import Dataset, Signal
from attain.learners._each_label import alone
from attain.learners._prepare import Plan
from attain.learners._shared import row_weights, weight_parameters
from attain.learners._store import read_arrays, write_arrays
from attain.learners._table import Core, Sample, TableLearner

_CHUNK = 25
"""Trees grown between two looks at the clock."""
_PROBST = "Probst, Wright & Boulesteix 2019 (arXiv 1804.03515)"
_GRINSZTAJN = "Grinsztajn et al. 2022 (arXiv 2207.08815), appendix, random forest"


@dataclass(frozen=True, eq=False)
class Trees:
    """A forest as plain arrays; each tree's own compiled look-up does the work.

    Going around the forest's `predict_proba` makes one row about ten times faster (0.4 instead of
    7 ms for 200 trees) and adds the trees up in a fixed order, so that the last bit is the same
    whatever the number of threads.

    Attributes:
        nodes: All trees' nodes one after the other, scikit-learn's node records.
        values: Class shares or mean of each node, shape (nodes, outputs).
        sizes: Number of nodes of each tree, shape (trees,).
        width: Number of columns.
        classifies: Whether values are class shares.
    """

    nodes: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    width: int
    classifies: bool

    @cached_property
    def grown(self) -> list[Any]:
        """scikit-learn's compiled trees."""
        return _grow_back(self)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The mean of the trees' answers.

        Args:
            matrix: Shape (n, width).

        Returns:
            Probabilities of shape (n, seen), or values of shape (n,).
        """
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        total = np.zeros((len(rows), self.values.shape[1]))
        for tree in self.grown:
            total += tree.predict(rows).reshape(total.shape)
        total /= len(self.grown)
        return total if self.classifies else total[:, 0]

    def save(self, folder: Path) -> None:
        """Write ``trees.npz``: a fifth of the size of the same forest through skops.

        Args:
            folder: An existing folder.
        """
        arrays = {
            "nodes": self.nodes,
            "values": self.values,
            "sizes": self.sizes,
            "shape": np.array([self.width, self.classifies], dtype=np.int64),
        }
        write_arrays(folder, "trees.npz", arrays)


class _Forest(TableLearner):
    """What both forests share; they differ in how a split is chosen."""

    _extra: ClassVar[bool]

    def space(self, dataset: Dataset) -> Space:
        """How random, how deep and how many trees are.

        Args:
            dataset: Its number of features gives the default share, its rows the largest leaf.

        Returns:
            The space.
        """
        dataset = alone(dataset)
        bootstrap = () if self._extra else (_max_samples(),)
        criterion = (_criterion(),) if dataset.task.classifies else ()
        return Space(
            (
                _max_features(dataset),
                _min_leaf(dataset),
                *bootstrap,
                *criterion,
                *_one_hot(dataset),
                _trees(),
                *weight_parameters(dataset),
            )
        )

    def _plan(self, config: Config, dataset: Dataset) -> Plan:
        labels = int(config.get("one_hot", 10))
        return Plan(numeric="keep", one_hot=labels, cyclic=False)

    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        forest = _estimator(config, sample, self._extra)
        matrix = sample.matrix.astype(np.float32)
        weights = row_weights(config, sample.y) if sample.seen else None
        wanted = int(config["trees"])
        for trees in [*range(_CHUNK, wanted, _CHUNK), wanted]:
            forest.set_params(n_estimators=trees)
            forest.fit(matrix, sample.y, sample_weight=weights)
            if report(trees, {}) is Signal.STOP:
                break
        core = _flatten(forest, matrix.shape[1], sample.seen > 0)
        return core, {"trees": len(core.sizes), "nodes": len(core.nodes)}

    def _load(self, folder: Path) -> Core:
        arrays = read_arrays(folder, "trees.npz")
        width, classifies = (int(v) for v in arrays["shape"])
        nodes, values, sizes = (arrays[name] for name in ("nodes", "values", "sizes"))
        trees = Trees(nodes, values, sizes, width, bool(classifies))
        _check_nodes(trees)
        return trees


class RandomForest(_Forest):
    """Bagged trees, best split among a random share of the columns."""

    name = "random_forest"
    _extra = False


class ExtraTrees(_Forest):
    """Trees on all rows, random thresholds (Geurts et al. 2006)."""

    name = "extra_trees"
    _extra = True


def _max_features(dataset: Dataset) -> Parameter:
    features = max(1, len(dataset.features))
    default = max(0.05, math.sqrt(features) / features) if dataset.task.classifies else 1.0
    return Float(
        name="max_features", low=0.05, high=1.0, default=round(default, 3), limits=(0.01, 1.0),
        effect="capacity", priority=1,
        source=f"{_PROBST}: mtry 0 to p matters most; default sqrt(p)/p for classes"
        " (Breiman 2001), all for values (scikit-learn)",
    )  # fmt: skip


def _min_leaf(dataset: Dataset) -> Parameter:
    high = max(4, min(50, dataset.rows // 20))
    return Int(
        name="min_leaf", low=1, high=high, default=2 if dataset.task.classifies else 1,
        scale="log", limits=(1, max(high + 1, dataset.rows // 4)), effect="regularisation",
        source=f"{_GRINSZTAJN}: min_samples_leaf 1.5 to 50.5 log; default 2 for classes, as"
        " single-row leaves give probabilities of 0 and double the model",
    )  # fmt: skip


def _max_samples() -> Parameter:
    return Float(
        name="max_samples", low=0.3, high=1.0, default=1.0, limits=(0.05, 1.0), priority=2,
        effect="capacity", source=f"{_PROBST}: sample.fraction 0.1 to 1; default: Breiman 2001",
    )  # fmt: skip


def _criterion() -> Parameter:
    return Categorical(
        name="criterion", choices=("gini", "entropy"), default="gini", priority=3,
        source="AutoGluon's default portfolio runs both; default: scikit-learn",
    )  # fmt: skip


def _one_hot(dataset: Dataset) -> tuple[Parameter, ...]:
    if not any(c.kind == "categorical" and c.distinct > 2 for c in dataset.features):
        return ()
    parameter = Ordinal(
        name="one_hot", choices=(2, 10, 50), default=10, unit="labels", priority=3,
        source="up to so many labels 0/1 columns, above target means; Pargent et al. 2022"
        " (arXiv 2104.00629): regularised target encoding wins above about 10 labels",
    )  # fmt: skip
    return (parameter,)


def _trees() -> Parameter:
    return Int(
        name="trees", low=50, high=1000, default=200, scale="log", limits=(10, 5000), priority=3,
        effect="capacity", source="Probst & Boulesteix 2018 (arXiv 1705.05654): more is better,"
        " with most of the gain in the first 100 to 250; costs size and latency",
    )  # fmt: skip


def _estimator(config: Config, sample: Sample, extra: bool) -> Any:
    from sklearn import ensemble

    kind = "ExtraTrees" if extra else "RandomForest"
    arguments: dict[str, Any] = {
        "n_estimators": _CHUNK,
        "max_features": float(config["max_features"]),
        "min_samples_leaf": int(config["min_leaf"]),
        "n_jobs": sample.threads,
        "random_state": sample.seed,
        "warm_start": True,
    }
    if sample.seen:
        arguments["criterion"] = str(config["criterion"])
    share = float(config.get("max_samples", 1.0))
    if share < 1:
        arguments["max_samples"] = share
    return getattr(ensemble, kind + ("Classifier" if sample.seen else "Regressor"))(**arguments)


def _flatten(forest: Any, width: int, classifies: bool) -> Trees:
    states = [tree.tree_.__getstate__() for tree in forest.estimators_]
    nodes = np.concatenate([state["nodes"] for state in states])
    values = np.concatenate([state["values"][:, 0, :] for state in states])
    sizes = np.array([len(state["nodes"]) for state in states], dtype=np.int64)
    return Trees(nodes, values, sizes, width, classifies)


def _grow_back(trees: Trees) -> list[Any]:
    from sklearn.tree._tree import Tree

    outputs = trees.values.shape[1]
    grown = []
    for end, size in zip(np.cumsum(trees.sizes), trees.sizes, strict=True):
        tree = Tree(trees.width, np.array([outputs], dtype=np.intp), 1)
        values = np.ascontiguousarray(trees.values[end - size : end, None, :])
        nodes = np.ascontiguousarray(trees.nodes[end - size : end])
        state = {"max_depth": 0, "node_count": int(size), "nodes": nodes, "values": values}
        tree.__setstate__(state)
        grown.append(tree)
    return grown


def _check_nodes(trees: Trees) -> None:
    """Refuse nodes that would make the compiled look-up read outside of its arrays."""
    nodes, sizes = trees.nodes, trees.sizes
    remedy = "the folder was altered, or written with another scikit-learn; refit the model"
    if not len(sizes) or sizes.min() < 1 or not sizes.sum() == len(nodes) == len(trees.values):
        raise ArtifactError(f"the trees' sizes do not add up to their nodes — {remedy}")
    names = {"left_child", "right_child", "feature", "threshold", "missing_go_to_left"}
    if not names <= set(nodes.dtype.names or ()) or trees.values.dtype != np.float64:
        raise ArtifactError(f"the trees' nodes are not of a kind known here — {remedy}")
    inner = nodes["left_child"] != -1
    own, size = (np.concatenate([np.arange(s) for s in sizes]), np.repeat(sizes, sizes))
    for side in ("left_child", "right_child"):
        child = nodes[side][inner]
        if np.any(child <= own[inner]) or np.any(child >= size[inner]):
            raise ArtifactError(f"a tree's {side} leads outside of the tree — {remedy}")
    feature = nodes["feature"][inner]
    if np.any(feature < 0) or np.any(feature >= trees.width):
        raise ArtifactError(f"a tree asks for a column that is not there — {remedy}")
