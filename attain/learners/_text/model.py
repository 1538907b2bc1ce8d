"""A fitted model for texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attain.core.errors import ArtifactError
from attain.learners._pretrained import model
from attain.learners._pretrained.linear import Linear, load_linear
from attain.learners._pretrained.model import Constant, Core, HeadModel
from attain.learners._store import read_arrays, read_json, write_arrays, write_json
from attain.learners._text.inputs import Columns
from attain.learners._text.words import Terms, stack

NAME = "text"
TextModel = HeadModel

__all__ = ["NAME", "Constant", "Core", "TextModel", "Words", "load_model"]


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


def load_model(folder: Path) -> TextModel:
    """The model that `TextModel.save` wrote.

    Args:
        folder: Where.

    Returns:
        A model whose predictions equal the saved one's to the last bit.

    Raises:
        ArtifactError: When files are missing, damaged, foreign or from a newer version.
    """
    return model.load_model(folder, NAME, _CORES, Columns)


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
    from attain.learners._text.encoder import Reading, load_encoder

    return load_encoder(folder, Reading)


_CORES = {"words": _load_words, "encoder": _load_encoder}
