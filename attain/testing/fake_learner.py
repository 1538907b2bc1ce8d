"""A learner in NumPy alone that is honest and quick, and one that fails in every known way.

A linear model with a ridge penalty, fitted by gradient descent on standardised numbers and one-hot
categories: softmax regression for classes, least squares for values.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError, NotApplicable
from attain.core.protocols import FitData, Report
from attain.core.space import Categorical, Config, Float, Int, Space
from attain.core.types import ColumnKind, Dataset, Rows, Signal

_SOURCE = "attain.testing"
_MOST_CATEGORIES = 20
_NEVER = -50.0  # a score that softmax turns into 2e-22


@dataclass(frozen=True)
class FakeModel:
    """A fitted linear model.

    Attributes:
        columns: For each feature its categories, or None for a number.
        mean: Of each design column, shape (p,).
        scale: Standard deviation of each design column, 1 where it is constant, shape (p,).
        weights: Shape (p + 1, outputs); the last row is the intercept.
        classes: Number of classes, 0 for regression.
        facts: ``rounds`` that were used.
    """

    columns: tuple[tuple[str, ...] | None, ...]
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    classes: int
    facts: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write the arrays without pickle, and the rest as JSON.

        Args:
            folder: Existing and empty.
        """
        np.savez(folder / "arrays.npz", mean=self.mean, scale=self.scale, weights=self.weights)
        rest = {"columns": self.columns, "classes": self.classes, "facts": dict(self.facts)}
        (folder / "model.json").write_text(json.dumps(rest), encoding="utf-8")


class FakeLearner:
    """Linear model; keeps `core.protocols.Learner`. Obeys a ``fault`` in its configuration."""

    stops_early = True

    def space(self, dataset: Dataset) -> Space:
        """Penalty, step size and rounds.

        Args:
            dataset: Any whose rows have one class or value.

        Returns:
            Three parameters.

        Raises:
            NotApplicable: When a row carries several labels.
        """
        if dataset.task.several:
            raise NotApplicable("it learns one class or one value of a row, not several labels")
        return Space(
            (
                Float(
                    name="penalty", low=1e-4, high=10.0, default=0.01, scale="log",
                    effect="regularisation", source=_SOURCE,
                ),
                Float(name="rate", low=0.05, high=1.0, default=0.5, scale="log", source=_SOURCE),
                Int(
                    name="rounds", low=5, high=80, default=40,
                    effect="capacity", source=_SOURCE, priority=2,
                ),
            )
        )  # fmt: skip

    def fit(self, config: Config, data: FitData, report: Report) -> FakeModel:
        """Gradient descent; deterministic.

        Args:
            config: Values of the space, and optionally ``fault``.
            data: Rows; `hints["rounds"]` replaces the rounds of the configuration.
            report: Told the losses after every round; STOP ends the fit.

        Returns:
            The model after the last round, or with stop rows after the round that was best on them.
        """
        fault = str(config.get("fault", "none"))
        FAULTS[fault]()
        columns = _columns(data.dataset, data.train)
        design = _design(columns, data.train)
        mean, scale = _moments(design)
        classes = len(data.dataset.classes)
        x, target = _standard(design, mean, scale), _target(data.train, classes)
        held = None
        if data.stop is not None:
            held = _standard(_design(columns, data.stop), mean, scale)
            held_target = _target(data.stop, classes)
        weights = _start(x, target, classes)
        # Descent is stable for steps below 2 / (largest curvature); `rate` is a share of half that.
        step = float(config["rate"]) / float(np.linalg.eigvalsh(x.T @ x / len(x))[-1])
        shrink = np.full((x.shape[1], 1), 1.0 / (1.0 + step * float(config["penalty"])))
        shrink[-1] = 1.0  # the intercept is not penalised
        done, best, kept = 0, (float("inf"), 0), weights
        for done in range(1, int(data.hints.get("rounds", config["rounds"])) + 1):
            slope = x.T @ (_output(x @ weights, classes) - target) / len(x)
            weights = (weights - step * slope) * shrink
            if fault == "nan":
                weights = weights * float("nan")
            losses = {"train": _loss(x @ weights, target, classes)}
            if held is not None:
                losses["stop"] = _loss(held @ weights, held_target, classes)
                if losses["stop"] < best[0]:
                    best, kept = (losses["stop"], done), weights
            if report(done, losses) is Signal.STOP:
                break
        if best[1]:
            done, weights = best[1], kept
        return FakeModel(columns, mean, scale, weights, classes, {"rounds": done})

    def predict(self, model: Any, rows: Rows) -> np.ndarray:
        """Probabilities of shape (n, classes), or values of shape (n,).

        Args:
            model: From `fit` or `load`.
            rows: Of the same columns.

        Returns:
            float64.
        """
        x = _standard(_design(model.columns, rows), model.mean, model.scale)
        output = _output(x @ model.weights, model.classes)
        return output if model.classes else output[:, 0]

    def load(self, folder: Path) -> FakeModel:
        """The model that `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            An equal model.

        Raises:
            ArtifactError: When a file is missing or unreadable.
        """
        try:
            rest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
                mean, scale, weights = arrays["mean"], arrays["scale"], arrays["weights"]
            columns = tuple(None if c is None else tuple(c) for c in rest["columns"])
            return FakeModel(columns, mean, scale, weights, rest["classes"], rest["facts"])
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(f"{folder} holds no fake model: {error}") from error


class FaultyLearner(FakeLearner):
    """The same, with the ways to fail as a categorical parameter of its space."""

    def space(self, dataset: Dataset) -> Space:
        """The fake learner's parameters, and ``fault``.

        Args:
            dataset: Any.

        Returns:
            Four parameters; by default there is no fault.
        """
        fault = Categorical(name="fault", choices=tuple(FAULTS), default="none", source=_SOURCE)
        return Space((*super().space(dataset).parameters, fault))


def _raise() -> None:
    raise RuntimeError("the fake learner was told to raise")


def _hang() -> None:
    time.sleep(3600.0)


def _exit() -> None:
    sys.exit(3)


def _vanish() -> None:
    os._exit(3)


def _print() -> None:
    for _ in range(20_000):
        print("the fake learner was told to print a lot " * 5)


def _hoard() -> None:
    blocks = []
    for _ in range(4096):  # a limit is noticed long before 4 GiB are full
        blocks.append(bytearray(b"x" * (1 << 20)))
        time.sleep(0.002)


def _run_out() -> None:
    raise MemoryError("the fake learner was told to run out of memory")


def _nothing() -> None:
    """No fault, or one that acts later: ``nan`` spoils losses and weights."""


FAULTS: Mapping[str, Callable[[], None]] = {
    "none": _nothing,
    "raise": _raise,
    "hang": _hang,
    "exit": _exit,
    "vanish": _vanish,
    "nan": _nothing,
    "print": _print,
    "memory": _hoard,
    "memoryerror": _run_out,
}


def _columns(dataset: Dataset, rows: Rows) -> tuple[tuple[str, ...] | None, ...]:
    numeric = (ColumnKind.NUMERIC, ColumnKind.BOOLEAN, ColumnKind.DATETIME)
    found: list[tuple[str, ...] | None] = []
    for position, column in enumerate(dataset.features):
        if column.kind in numeric:
            found.append(None)
            continue
        present = rows.X.iloc[:, position].dropna().astype(str)
        found.append(tuple(sorted(present.value_counts().index[:_MOST_CATEGORIES])))
    return tuple(found)


def _design(columns: tuple[tuple[str, ...] | None, ...], rows: Rows) -> np.ndarray:
    parts = []
    for position, categories in enumerate(columns):
        values = rows.X.iloc[:, position]
        if categories is not None:
            text = values.astype(str).to_numpy(dtype=object)
            parts += [(text == category).astype(float) for category in categories]
        elif values.dtype.kind == "M":
            stamps = values.to_numpy().astype("datetime64[s]")
            missing = np.isnat(stamps)
            parts.append(np.where(missing, np.nan, stamps.astype(np.int64).astype(float)))
        else:
            parts.append(values.to_numpy(dtype=float))
    return np.column_stack(parts) if parts else np.zeros((len(rows), 0))


def _moments(design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each column's present values; 0 and 1 where there are none."""
    present = np.isfinite(design)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, design, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(present, design - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 0, spread, 1.0)


def _start(x: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    weights = np.zeros((x.shape[1], target.shape[1]))
    absent = np.where(target.any(axis=0), 0.0, _NEVER)  # classes that these rows do not have
    weights[-1] = absent if classes else target.mean(axis=0)
    return weights


def _standard(design: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    x = np.where(np.isfinite(design), (design - mean) / scale, 0.0)  # missing: the mean
    return np.column_stack([x, np.ones(len(x))])


def _target(rows: Rows, classes: int) -> np.ndarray:
    assert rows.y is not None
    return np.eye(classes)[rows.y] if classes else rows.y[:, None].astype(float)


def _output(scores: np.ndarray, classes: int) -> np.ndarray:
    if not classes:
        return scores
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _loss(scores: np.ndarray, target: np.ndarray, classes: int) -> float:
    output = _output(scores, classes)
    if not classes:
        return float(np.mean((output - target) ** 2))
    return float(-np.mean(np.log(np.clip((output * target).sum(axis=1), 1e-15, None))))
