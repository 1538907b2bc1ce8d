"""A fitted model that labels words: what scores them, and how right its answers are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attain.core.counts import TAGGING
from attain.core.errors import ArtifactError
from attain.core.spans import OUTSIDE, scheme_of, spans
from attain.core.types import Rows
from attain.learners._pretrained.outputs import Outputs
from attain.learners._store import read_json, write_json
from attain.learners._tags.inputs import UNKNOWN, Columns

FILE = "tags.json"
_FORMAT = 1
"""Raised when the files of a model change in a way that older code cannot read."""
_LEAST = 1e-15
"""Probability that a true label counts with at least, as in `learners._shared.log_loss`."""


class Core(Protocol):
    """What turns words into scores."""

    def scores(self, sentences: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the words that were read, and which of all words these are.

        Shapes (read, outputs), float64, and (words,), bool; one sentence after the other.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write files other than ``tags.json`` into an existing folder."""
        ...


@dataclass(frozen=True, eq=False)
class TagModel:
    """A fitted model.

    Attributes:
        learner: Name of the learner.
        kind: Which core it has.
        core: Turns words into scores.
        columns: Where words and labels are.
        outputs: What scores mean.
        spare: Code of the label that a word gets which was not read, such as one that was cut off.
        facts: See `core.protocols.Model`.
    """

    learner: str
    kind: str
    core: Core
    columns: Columns
    outputs: Outputs
    spare: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, rows: Rows) -> np.ndarray:
        """How right the labels of rows are.

        A word that was not read counts as wrong, with the loss of a guess among all labels.

        Args:
            rows: As learners see them.

        Returns:
            Counts and sums, shape (n, columns of `core.counts.TAGGING`), float64; zeros where a row
            is not labelled.

        Raises:
            DataError: When a column is missing, or words and labels do not fit.
        """
        sentences = self.columns.sentences(rows.X)
        truth = self.columns.codes(rows.X, sentences)
        codes, losses, read = self._answers(sentences, truth)
        found = np.zeros((len(sentences), len(TAGGING.columns)))
        place = {name: TAGGING.place(name) for name in TAGGING.columns}
        scheme, tags, start = scheme_of(self.columns.tags), np.array(self.columns.tags), 0
        for row, (words, own) in enumerate(zip(sentences, truth, strict=True)):
            part = slice(start, start + len(words))
            start += len(words)
            if own is None:
                continue
            said = spans(tags[codes[part]].tolist(), scheme)
            names = [tags[c] if c != UNKNOWN else "?" for c in own]
            true = spans(names, scheme)
            found[row, place["loss"]] = losses[part].sum()
            found[row, place["words"]] = len(words)
            found[row, place["right"]] = np.count_nonzero((codes[part] == own) & read[part])
            found[row, place["hits"]] = len(set(said) & set(true))
            found[row, place["found"]] = len(said)
            found[row, place["spans"]] = len(true)
        return found

    def say(self, rows: Rows) -> np.ndarray:
        """Labels of the words of rows.

        Args:
            rows: As learners see them; labels are not looked at.

        Returns:
            JSON lists, shape (n,), object.

        Raises:
            DataError: When the column of words is missing or holds something else.
        """
        sentences = self.columns.sentences(rows.X)
        codes, _, _ = self._answers(sentences, [None] * len(sentences))
        ends = np.cumsum([len(words) for words in sentences])
        made = np.empty(len(sentences), dtype=object)
        for row, part in enumerate(np.split(codes, ends[:-1]) if len(ends) else ()):
            made[row] = json.dumps([self.columns.tags[c] for c in part], ensure_ascii=False)
        return made

    def _answers(
        self, sentences: Sequence[list[str]], truth: Sequence[np.ndarray | None]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes and losses of all words (of any size without truth), and which words were read."""
        scores, read = self.core.scores(sentences)
        chances = self.outputs.answers(scores)
        codes = np.full(len(read), self.spare)
        codes[read] = chances.argmax(axis=1) if len(chances) else 0
        own = [
            np.full(len(words), UNKNOWN) if t is None else t
            for words, t in zip(sentences, truth, strict=True)
        ]
        true = np.concatenate(own) if own else np.empty(0, dtype=np.int64)
        losses = np.full(len(read), np.log(len(self.columns.tags)))
        right = chances[np.arange(len(chances)), np.maximum(true[read], 0)]
        losses[read] = -np.log(np.maximum(np.where(true[read] == UNKNOWN, 0.0, right), _LEAST))
        return codes, losses, read

    def save(self, folder: Path) -> None:
        """Write everything needed to load the model again, also without the pre-trained folder.

        Args:
            folder: An existing, empty folder.
        """
        described = {
            "format": _FORMAT,
            "learner": self.learner,
            "kind": self.kind,
            "columns": self.columns,
            "outputs": self.outputs,
            "spare": self.spare,
            "facts": self.facts,
        }
        write_json(folder, FILE, described)
        self.core.save(folder)


def spare_code(tags: Sequence[str], codes: np.ndarray) -> int:
    """The label of words that are not read.

    Args:
        tags: All labels.
        codes: Of the training words.

    Returns:
        The code of ``O`` if there is one, else of the most frequent label.
    """
    if OUTSIDE in tags:
        return list(tags).index(OUTSIDE)
    return int(np.bincount(codes[codes != UNKNOWN], minlength=len(tags)).argmax())


def is_tagger(folder: Path) -> bool:
    """Whether a folder holds what `TagModel.save` writes."""
    return (folder / FILE).is_file()


def load_tagger(folder: Path, learner: str) -> TagModel:
    """The model that `TagModel.save` wrote.

    Args:
        folder: Where.
        learner: Name of the learner.

    Returns:
        A model whose answers equal the saved one's to the last bit.

    Raises:
        ArtifactError: When files are missing, damaged, foreign or from a newer version.
    """
    stored = read_json(folder, FILE)
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise ArtifactError(
            f"{FILE} is not of format {_FORMAT} — load it with the version that wrote it"
        )
    if stored.get("learner") != learner:
        raise ArtifactError(
            f"the folder holds a model of {stored.get('learner')!r}, not of {learner!r}"
            " — load it with the learner that wrote it"
        )
    try:
        told, where = stored["outputs"], stored["columns"]
        outputs = Outputs(int(told["classes"]), tuple(told["seen"]))
        columns = Columns(where["words"], where["labels"], tuple(where["tags"]))
        core = _CORES[stored["kind"]](folder)
        return TagModel(
            learner, stored["kind"], core, columns, outputs, int(stored["spare"]), stored["facts"]
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"the model's files do not fit together ({error!r}) — get the model anew"
        ) from error


def _load_frequent(folder: Path) -> Core:
    from attain.learners._tags.frequent import load_frequent

    return load_frequent(folder)


def _load_words(folder: Path) -> Core:
    from attain.learners._tags.words import load_words

    return load_words(folder)


def _load_encoder(folder: Path) -> Core:
    from attain.learners._tags.encoder import load_word_encoder

    return load_word_encoder(folder)


_CORES: Mapping[str, Callable[[Path], Core]] = {
    "frequent": _load_frequent,
    "words": _load_words,
    "encoder": _load_encoder,
}
