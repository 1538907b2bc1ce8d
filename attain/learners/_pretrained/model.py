"""A fitted model: where its inputs are, what scores them, what the scores mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.types import Rows
from attain.learners._pretrained.lesson import Columns
from attain.learners._pretrained.outputs import Outputs
from attain.learners._shared import contrasts as _of_classes
from attain.learners._store import read_arrays, read_json, write_arrays, write_json

_FORMAT = 1
"""Raised when the files of a model change in a way that older code cannot read."""


class Core(Protocol):
    """What turns inputs into scores."""

    def scores(self, inputs: Sequence[list[str]]) -> np.ndarray:
        """Scores of n rows, given the cells of each column; shape (n, outputs), float64."""
        ...

    def save(self, folder: Path) -> None:
        """Write files other than ``model.json`` into an existing folder."""
        ...


@dataclass(frozen=True, eq=False)
class Constant:
    """The same scores for every row.

    Attributes:
        values: Shape (outputs,), float64.
    """

    values: np.ndarray

    def scores(self, inputs: Sequence[list[str]]) -> np.ndarray:
        """See `Core`."""
        return np.tile(self.values, (len(inputs[0]), 1))

    def save(self, folder: Path) -> None:
        """Write ``constant.npz``."""
        write_arrays(folder, "constant.npz", {"values": self.values})


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A fitted model of one learner.

    Attributes:
        learner: Name of the learner.
        kind: Which core it has.
        core: Turns inputs into scores.
        columns: Where the inputs are.
        outputs: What scores mean.
        facts: See `core.protocols.Model`.
    """

    learner: str
    kind: str
    core: Core
    columns: Columns
    outputs: Outputs
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, rows: Rows) -> np.ndarray:
        """Predictions for any number of rows.

        Args:
            rows: As learners see them.

        Returns:
            Probabilities of shape (n, classes), each row summing to 1, or values of shape (n,).

        Raises:
            DataError: When a column is missing.
        """
        return self.outputs.answers(self.core.scores(self.columns.read(rows.X)))

    def save(self, folder: Path) -> None:
        """Write everything needed to load the model again, also without the pre-trained folder.

        Args:
            folder: An existing, empty folder.
        """
        described = {
            "format": _FORMAT,
            "learner": self.learner,
            "kind": self.kind,
            "columns": self.columns.names,
            "outputs": self.outputs,
            "facts": self.facts,
        }
        write_json(folder, "model.json", described)
        self.core.save(folder)


def load_model(
    folder: Path,
    learner: str,
    cores: Mapping[str, Callable[[Path], Core]],
    columns_of: Callable[[tuple[str, ...]], Columns],
) -> HeadModel:
    """The model that `HeadModel.save` wrote.

    Args:
        folder: Where.
        learner: Name of the learner.
        cores: What loads each kind of core beside a constant one.
        columns_of: From names of columns to what reads them.

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
    if stored.get("learner") != learner:
        raise ArtifactError(
            f"the folder holds a model of {stored.get('learner')!r}, not of {learner!r}"
            " — load it with the learner that wrote it"
        )
    try:
        kind, told = stored["kind"], stored["outputs"]
        outputs = Outputs(
            int(told["classes"]), tuple(told["seen"]), float(told["center"]), float(told["scale"]),
            tuple(told.get("shares", ())),
        )  # fmt: skip
        columns = columns_of(tuple(stored["columns"]))
        core = {"constant": _load_constant, **cores}[kind](folder)
        return HeadModel(learner, kind, core, columns, outputs, stored["facts"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"the model's files do not fit together ({error!r}) — get the model anew"
        ) from error


def _load_constant(folder: Path) -> Core:
    return Constant(read_arrays(folder, "constant.npz")["values"])


def contrasts(outputs: Outputs, rows: int, classes: np.ndarray | None) -> np.ndarray:
    """What scores are multiplied with to tell of a class, a label or a value.

    Args:
        outputs: What scores mean.
        rows: How many there are.
        classes: For each row the code of the class that is asked about; None for values.

    Returns:
        Shape (rows, outputs), float64.

    Raises:
        DataError: When a class was not among those that were trained on.
    """
    if not outputs.seen:
        return np.full((rows, 1), outputs.scale)
    weighing = _of_classes(outputs.seen, classes)
    # a label's score is its log odds, whatever the others say
    return np.maximum(weighing, 0.0) if outputs.shares else weighing
