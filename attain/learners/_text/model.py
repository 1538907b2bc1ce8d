"""A fitted model for texts: where the texts are, what scores them, what the scores mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attain.core.errors import ArtifactError
from attain.core.types import Rows
from attain.learners._store import read_arrays, read_json, write_arrays, write_json
from attain.learners._text.inputs import Columns
from attain.learners._text.linear import Linear, load_linear
from attain.learners._text.outputs import Outputs
from attain.learners._text.words import Terms, stack

NAME = "text"
_FORMAT = 1
"""Raised when the files of a model change in a way that older code cannot read."""


class Core(Protocol):
    """What turns texts into scores."""

    def scores(self, texts: Sequence[list[str]]) -> np.ndarray:
        """Scores of n rows, given the texts of each column; shape (n, outputs), float64."""
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

    def scores(self, texts: Sequence[list[str]]) -> np.ndarray:
        """See `Core`."""
        return np.tile(self.values, (len(texts[0]), 1))

    def save(self, folder: Path) -> None:
        """Write ``constant.npz``."""
        write_arrays(folder, "constant.npz", {"values": self.values})


@dataclass(frozen=True, eq=False)
class Words:
    """A linear head on TF-IDF.

    Attributes:
        blocks: What is counted.
        linear: The head.
    """

    blocks: tuple[Terms, ...]
    linear: Linear

    def scores(self, texts: Sequence[list[str]]) -> np.ndarray:
        """See `Core`."""
        return self.linear.scores(stack(self.blocks, texts))

    def save(self, folder: Path) -> None:
        """Write ``words.json``, ``words.npz`` and ``head.npz``."""
        plain = [
            {"place": b.place, "pieces": b.pieces, "longest": b.longest, "terms": b.terms}
            for b in self.blocks
        ]
        write_json(folder, "words.json", {"blocks": plain})
        weights = {f"weight{i}": block.weights for i, block in enumerate(self.blocks)}
        write_arrays(folder, "words.npz", weights)
        self.linear.save(folder)


@dataclass(frozen=True, eq=False)
class TextModel:
    """A fitted model for texts.

    Attributes:
        kind: Which core it has: ``constant``, ``words`` or ``encoder``.
        core: Turns texts into scores.
        columns: Where the texts are.
        outputs: What scores mean.
        facts: See `core.protocols.Model`.
    """

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
            DataError: When a text column is missing.
        """
        return self.outputs.answers(self.core.scores(self.columns.read(rows.X)))

    def save(self, folder: Path) -> None:
        """Write everything needed to load the model again, also without the pre-trained folder.

        Args:
            folder: An existing, empty folder.
        """
        described = {
            "format": _FORMAT,
            "learner": NAME,
            "kind": self.kind,
            "columns": self.columns.names,
            "outputs": self.outputs,
            "facts": self.facts,
        }
        write_json(folder, "model.json", described)
        self.core.save(folder)


def load_model(folder: Path) -> TextModel:
    """The model that `TextModel.save` wrote.

    Args:
        folder: Where.

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
    if stored.get("learner") != NAME:
        raise ArtifactError(
            f"the folder holds a model of {stored.get('learner')!r}, not of {NAME!r}"
            " — load it with the learner that wrote it"
        )
    try:
        kind, told = stored["kind"], stored["outputs"]
        outputs = Outputs(
            int(told["classes"]), tuple(told["seen"]), float(told["center"]), float(told["scale"])
        )
        columns = Columns(tuple(stored["columns"]))
        core = _CORES[kind](folder)
        return TextModel(kind, core, columns, outputs, stored["facts"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"the model's files do not fit together ({error!r}) — get the model anew"
        ) from error


def _load_constant(folder: Path) -> Core:
    return Constant(read_arrays(folder, "constant.npz")["values"])


def _load_words(folder: Path) -> Core:
    plain, arrays = read_json(folder, "words.json"), read_arrays(folder, "words.npz")
    blocks = tuple(
        Terms(b["place"], b["pieces"], b["longest"], tuple(b["terms"]), arrays[f"weight{i}"])
        for i, b in enumerate(plain["blocks"])
    )
    linear = load_linear(folder)
    if len(linear.slope) != sum(len(block.terms) for block in blocks):
        raise ArtifactError("head.npz does not fit words.json — get the model anew")
    return Words(blocks, linear)


def _load_encoder(folder: Path) -> Core:
    from attain.learners._text.encoder import load_encoder

    return load_encoder(folder)


_CORES = {"constant": _load_constant, "words": _load_words, "encoder": _load_encoder}
