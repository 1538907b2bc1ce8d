"""What all learners for tables share: columns to a matrix, classes to codes, saving, loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from attain.core.errors import ArtifactError, Problem, SpaceError, did_you_mean
from attain.core.protocols import FitData, Report
from attain.core.space import Config, Scalar, Space, start_value
from attain.core.types import Dataset, Rows
from attain.learners._each_label import LabelModels, fit_each, load_each
from attain.learners._prepare import Plan, Prepared, load_prepare
from attain.learners._shared_rows import SharedRows, shared_rows
from attain.learners._store import read_json, write_json

_FORMAT = 1
"""Raised when the files of a model change in a way that older code cannot read."""


class Core(Protocol):
    """The part of a model that sees only a matrix."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probabilities of the seen classes, shape (n, seen), or values, shape (n,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write files whose names do not start with ``model`` or ``prepare``."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """What a learner's own algorithm gets: numbers only.

    Attributes:
        dataset: What is known of the rows.
        matrix: Prepared training rows, shape (n, width), float64, read-only; n >= 1, width >= 1.
        y: Positions among the seen classes (int64), or values (float64); shape (n,).
        seen: Number of classes among the training rows, at least 2; 0 for regression.
        prepared: Says which columns hold codes.
        stop_matrix: Prepared rows to stop early on, or None.
        stop_y: Their targets, coded as `y`; rows of classes not seen are left out.
        hints: As in `FitData`.
        seed: As in `FitData`.
        threads: As in `FitData`.
        checkpoint: As in `FitData`.
        shared: What other fits of the same rows share; None if there are none.
    """

    dataset: Dataset
    matrix: np.ndarray
    y: np.ndarray
    seen: int
    prepared: Prepared
    stop_matrix: np.ndarray | None = None
    stop_y: np.ndarray | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    checkpoint: Path | None = None
    shared: SharedRows | None = None


@dataclass(frozen=True, eq=False)
class Constant:
    """The same answer for every row.

    Attributes:
        values: Probabilities of the seen classes, or one value.
        classifies: Which of the two.
    """

    values: np.ndarray
    classifies: bool

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The same probabilities or value, once for each row."""
        if self.classifies:
            return np.tile(self.values, (len(matrix), 1))
        return np.full(len(matrix), self.values[0])

    def save(self, folder: Path) -> None:
        """Nothing to write: ``model.json`` has the values."""


def fit_constant(y: np.ndarray, seen: int) -> Constant:
    """Class shares, or the mean.

    Args:
        y: Positions among the seen classes, or values; shape (n,), n >= 1.
        seen: Number of seen classes; 0 for regression.

    Returns:
        The best answer that ignores the features, by log loss or squared error.
    """
    if seen:
        return Constant(np.bincount(y, minlength=seen) / len(y), True)
    return Constant(np.array([y.mean()]), False)


@dataclass(frozen=True, eq=False)
class TableModel:
    """A fitted model for tables.

    Attributes:
        learner: Name of the learner that fitted it.
        core: The part that sees only a matrix.
        prepared: Turns rows into that matrix; None if the core ignores it.
        classes: Number of classes of the data set; 0 for regression.
        seen: Codes of the classes among the training rows.
        facts: See `core.protocols.Model`.
    """

    learner: str
    core: Core
    prepared: Prepared | None
    classes: int
    seen: tuple[int, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, rows: Rows) -> np.ndarray:
        """Predictions for any number of rows.

        Args:
            rows: As learners see them.

        Returns:
            Probabilities of shape (n, classes), each row summing to 1, or values of shape (n,).
        """
        X = rows.X
        matrix = np.empty((len(X), 0)) if self.prepared is None else self.prepared.transform(X)
        raw = np.asarray(self.core.predict(matrix), dtype=np.float64)
        if not self.classes:
            return raw
        full = np.zeros((len(raw), self.classes))
        full[:, list(self.seen)] = raw
        return full / full.sum(axis=1, keepdims=True)

    def save(self, folder: Path) -> None:
        """Write everything needed to load the model again.

        Args:
            folder: An existing, empty folder.
        """
        constant = self.core if isinstance(self.core, Constant) else None
        described = {
            "format": _FORMAT,
            "learner": self.learner,
            "classes": self.classes,
            "seen": self.seen,
            "facts": self.facts,
            "constant": None if constant is None else constant.values,
            "prepared": self.prepared is not None,
        }
        write_json(folder, "model.json", described)
        if self.prepared is not None:
            self.prepared.save(folder)
        self.core.save(folder)

    def readable(self) -> dict[str, Any]:
        """What the saved files say that are neither JSON nor arrays.

        Returns:
            By file name, finite JSON values and arrays; empty for most learners.
        """
        readable = getattr(self.core, "readable", dict)
        return dict(readable())


class TableLearner(ABC):
    """A family of models for tables. Subclasses say what differs; the rest is written once.

    Attributes:
        name: As in the registry.
        stops_early: Whether `fit` uses the rows to stop early on. A caller may give all rows to a
            learner that does not.
    """

    name: ClassVar[str]
    stops_early: ClassVar[bool] = False

    @abstractmethod
    def space(self, dataset: Dataset) -> Space:
        """What can be tuned for these rows."""

    @abstractmethod
    def _plan(self, config: Config, dataset: Dataset) -> Plan | None:
        """How columns become numbers; None if none is looked at."""

    @abstractmethod
    def _fit(self, config: Config, sample: Sample, report: Report) -> tuple[Core, dict[str, Any]]:
        """The fitted core and its facts."""

    @abstractmethod
    def _load(self, folder: Path) -> Core:
        """The core that its own `save` wrote."""

    def fit(self, config: Config, data: FitData, report: Report) -> TableModel | LabelModels:
        """Fit a model.

        Args:
            config: Values of parameters; defaults fill in for those left out.
            data: The rows.
            report: Told the losses by learners that learn in steps; answers with a signal.

        Returns:
            A model; a constant one when the rows show one class only, or no column varies. Where
            rows carry several labels, one for each label.

        Raises:
            SpaceError: When the configuration names a parameter that does not exist.
            NotApplicable: When the learner is not for these rows.
        """
        from threadpoolctl import threadpool_limits

        config = complete(self.space(data.dataset), config)
        if data.train.y is None or not len(data.train):
            rule = "training rows must be there and have targets"
            raise ValueError(f"{rule} (got {len(data.train)} rows)")
        with threadpool_limits(data.threads):
            if data.dataset.task.several:
                return fit_each(self.name, data, report, partial(self._fit_table, config))
            return self._fit_table(config, data, report)

    def predict(self, model: TableModel | LabelModels, rows: Rows) -> np.ndarray:
        """Predictions of a fitted model.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.

        Returns:
            Probabilities of shape (n, classes), or values of shape (n,).
        """
        return model.predict(rows)

    def load(self, folder: Path) -> TableModel | LabelModels:
        """Load a model that `TableModel.save` wrote.

        Args:
            folder: Its folder.

        Returns:
            A model whose predictions equal the saved one's to the last bit.

        Raises:
            ArtifactError: When files are missing, damaged, foreign or from a newer version.
        """
        stored = read_json(folder, "model.json")
        if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
            raise ArtifactError(
                f"model.json is not of format {_FORMAT} — load it with the version that wrote it"
            )
        if stored.get("learner") != self.name:
            raise ArtifactError(
                f"the folder holds a model of {stored.get('learner')!r}, not of {self.name!r}"
                " — load it with the learner that wrote it"
            )
        try:
            if "modelled" in stored:
                return load_each(stored, folder, self._load_table)
            return self._load_table(folder)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ArtifactError(
                f"the model's files do not fit together ({error!r}) — get the model anew"
            ) from error

    def _load_table(self, folder: Path) -> TableModel:
        stored = read_json(folder, "model.json")
        values, classes = stored["constant"], int(stored["classes"])
        seen = tuple(int(code) for code in stored["seen"])
        prepared = load_prepare(folder) if stored["prepared"] else None
        constant = None if values is None else Constant(np.array(values), classes > 0)
        core = self._load(folder) if constant is None else constant
        return TableModel(self.name, core, prepared, classes, seen, stored["facts"])

    def _fit_table(self, config: Config, data: FitData, report: Report) -> TableModel:
        dataset, y = data.dataset, np.asarray(data.train.y)
        codes = np.unique(y) if dataset.task.classifies else np.empty(0, dtype=np.int64)
        seen, classes = tuple(int(code) for code in codes), len(dataset.classes)
        position = np.searchsorted(codes, y) if seen else np.asarray(y, dtype=np.float64)
        plan, stop = self._plan(config, dataset), _known(data.stop, codes, bool(seen))
        ready = None if plan is None else shared_rows(plan, data, stop)
        if ready is None or len(seen) == 1 or not ready.matrix.shape[1]:
            return TableModel(self.name, fit_constant(position, len(seen)), None, classes, seen)
        sample = Sample(
            dataset=dataset,
            matrix=ready.matrix,
            y=position,
            seen=len(seen),
            prepared=ready.prepared,
            stop_matrix=ready.stop,
            stop_y=None if stop is None else _positions(stop, codes, bool(seen)),
            hints=data.hints,
            seed=data.seed,
            threads=data.threads,
            checkpoint=data.checkpoint,
            shared=ready if data.rows_key else None,
        )
        core, facts = self._fit(config, sample, report)
        return TableModel(self.name, core, ready.prepared, classes, seen, facts)


def complete(space: Space, config: Config) -> dict[str, Scalar]:
    """A configuration with defaults for what it leaves out.

    Args:
        space: The learner's space.
        config: Values of some parameters; they may lie outside of the range, since a refinement
            may have widened it.

    Returns:
        Values of all active parameters.

    Raises:
        SpaceError: Names every parameter that does not exist.
    """
    known = [p.name for p in space]
    problems = [
        Problem("a parameter must exist", name, "configuration", did_you_mean(name, known))
        for name in config
        if name not in known
    ]
    if problems:
        raise SpaceError(problems)
    full = dict(config)
    for parameter in space.ordered:
        if all(full.get(c.parent) in c.values for c in parameter.when):
            full.setdefault(parameter.name, start_value(parameter))
    return full


def _known(stop: Rows | None, codes: np.ndarray, classifies: bool) -> Rows | None:
    """The rows to stop on, without those of classes that no training row has; None if none is."""
    if stop is None or stop.y is None:
        return None
    index = np.flatnonzero(np.isin(stop.y, codes)) if classifies else np.arange(len(stop))
    return stop.take(index) if len(index) else None


def _positions(rows: Rows, codes: np.ndarray, classifies: bool) -> np.ndarray:
    y = np.asarray(rows.y)
    return np.searchsorted(codes, y) if classifies else y
