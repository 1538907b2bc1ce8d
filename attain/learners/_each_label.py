"""Labels that do not exclude each other, one model of two classes for each (binary relevance)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attain.core.protocols import FitData, Report
from attain.core.types import Dataset, Rows, Signal, Task
from attain.learners._store import write_json


class One(Protocol):
    """A model of two classes."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """See `core.protocols.Model`."""
        ...

    def predict(self, rows: Rows) -> np.ndarray:
        """Probabilities, shape (n, 2)."""
        ...

    def save(self, folder: Path) -> None:
        """Write it into an existing, empty folder."""
        ...


@dataclass(frozen=True, eq=False)
class LabelModels:
    """A model for each label.

    Attributes:
        learner: Name of the learner that fitted them.
        models: Of each label; None where all training rows have it, or none.
        shares: Of the training rows with each label, by Laplace's rule: the answer where there is
            no model.
        facts: See `core.protocols.Model`.
    """

    learner: str
    models: tuple[One | None, ...]
    shares: tuple[float, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, rows: Rows) -> np.ndarray:
        """Probabilities of the labels.

        Args:
            rows: As learners see them.

        Returns:
            Shape (n, labels), each label on its own.
        """
        found = np.tile(np.array(self.shares), (len(rows), 1))
        for k, model in enumerate(self.models):
            if model is not None:
                found[:, k] = model.predict(rows)[:, 1]
        return found

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and a folder for each model.

        Args:
            folder: An existing, empty folder.
        """
        described = {
            "format": FORMAT,
            "learner": self.learner,
            "shares": self.shares,
            "modelled": [model is not None for model in self.models],
            "facts": self.facts,
        }
        write_json(folder, "model.json", described)
        for k, model in enumerate(self.models):
            if model is not None:
                (folder / f"label{k}").mkdir()
                model.save(folder / f"label{k}")

    def readable(self) -> dict[str, Any]:
        """What the saved files say that are neither JSON nor arrays.

        Returns:
            By file name, finite JSON values and arrays.
        """
        each: dict[int, Mapping[str, Any]] = {
            k: getattr(model, "readable", dict)() for k, model in enumerate(self.models)
        }
        return {f"label{k}/{name}": v for k, told in each.items() for name, v in told.items()}


FORMAT = 1
"""Raised when the files of a model change in a way that older code cannot read."""


def alone(dataset: Dataset) -> Dataset:
    """What a learner of classes is to know of a data set whose rows carry several labels.

    Args:
        dataset: Any.

    Returns:
        The same rows with a single label, there or not; other data sets as they are.
    """
    if not dataset.task.several:
        return dataset
    return replace(
        dataset, task=Task.BINARY, classes=("without", "with"), class_counts=(), separator=""
    )


def fit_each(
    learner: str, data: FitData, report: Report, fit: Callable[[FitData, Report], One]
) -> LabelModels:
    """A model for each label that some training rows have and others have not.

    Looks at single models are not reported, because their losses make no one curve; limits of time
    hold all the same.

    Args:
        learner: Name of the learner.
        data: The rows, whose targets are labels.
        report: Says when to stop.
        fit: Fits one model of two classes.

    Returns:
        All models, with the median of their rounds.
    """
    y = np.asarray(data.train.y)
    known = alone(data.dataset)

    over = False

    def limited(step: int, losses: Mapping[str, float]) -> Signal:
        nonlocal over
        over = over or report(step, {}) is not Signal.CONTINUE
        return Signal.STOP if over else Signal.CONTINUE

    models: list[One | None] = []
    for own in range(y.shape[1]):
        if not np.ptp(y[:, own]):
            models.append(None)
            continue
        positive = int(y[:, own].sum())
        dataset = replace(known, class_counts=(len(y) - positive, positive))
        part = replace(
            data,
            dataset=dataset,
            train=_only(data.train, own),
            stop=None if data.stop is None else _only(data.stop, own),
            checkpoint=None,
            rows_key=f"{data.rows_key}/{own}" if data.rows_key else "",
        )
        models.append(fit(part, limited))
    shares = tuple(float(s) for s in (y.sum(axis=0) + 1) / (len(y) + 2))
    return LabelModels(learner, tuple(models), shares, _together(models))


def _only(rows: Rows, label: int) -> Rows:
    y = None if rows.y is None else np.ascontiguousarray(rows.y[:, label])
    return replace(rows, y=y)


def _together(models: Sequence[One | None]) -> dict[str, Any]:
    """Facts of all models: how many there are, and how far they went."""
    each = [model.facts for model in models if model is not None]
    facts: dict[str, Any] = {"models": len(each)}
    rounds = [f["rounds"] for f in each if "rounds" in f]
    if rounds:
        facts["rounds"] = max(1, round(float(np.median(rounds))))
    if any("converged" in f for f in each):
        facts["converged"] = all(f.get("converged", True) for f in each)
    return facts


def load_each(stored: Mapping[str, Any], folder: Path, load: Callable[[Path], One]) -> LabelModels:
    """The models that `LabelModels.save` wrote.

    Args:
        stored: The content of ``model.json``.
        folder: Where it lies.
        load: Loads one model.

    Returns:
        Models whose predictions equal the saved ones' to the last bit.
    """
    models = tuple(
        load(folder / f"label{k}") if there else None for k, there in enumerate(stored["modelled"])
    )
    return LabelModels(
        stored["learner"], models, tuple(map(float, stored["shares"])), stored["facts"]
    )
