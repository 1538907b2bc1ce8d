"""A network of speech as a study keeps it: what it hears, and how right that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.counts import TRANSCRIPTION
from attain.core.errors import ArtifactError
from attain.core.files import plain_errors
from attain.core.types import Pretrained, Rows
from attain.learners._media.columns import MediaColumns
from attain.learners._speech.alphabet import Spelled, frames_needed
from attain.learners._speech.edits import character_edits, word_edits
from attain.learners._speech.lesson import texts_of
from attain.learners._speech.waves import Waves
from attain.learners._store import read_json, write_json

if TYPE_CHECKING:
    from attain.learners._speech.network import SpeechBody

FILE = "speech.json"
_FORMAT = 1
_BODY = "body"


@dataclass(eq=False)
class SpeechModel:
    """A model that writes down what it hears.

    Attributes:
        body: Gives the network as this model has it.
        columns: Where clips are.
        target: Where transcripts are, if there are any.
        facts: See `core.protocols.Model`.
        digest: Of the pre-trained model that it started from.
        threads: CPU threads; with another number sums round differently.
        cache: Where clips are kept while the model lives where it was fitted.
    """

    body: Callable[[], SpeechBody]
    columns: MediaColumns
    target: str
    facts: Mapping[str, Any]
    digest: str
    threads: int = 1
    cache: Path | None = None

    def predict(self, rows: Rows) -> np.ndarray:
        """How right the transcripts of clips are.

        Args:
            rows: As learners see them; rows without a transcript count nothing. The truth is taken
                in the vocabulary's spelling (`alphabet`); of a clip that cannot be read nothing is
                heard.

        Returns:
            Counts and sums, shape (n, columns of `core.counts.TRANSCRIPTION`), float64. The loss is
            over transcripts that the vocabulary can write and the clip has frames for.

        Raises:
            DataError: When the column of clips is missing.
        """
        body = self.body()
        truths = [
            None if t is None else body.alphabet.spell(t) for t in texts_of(rows, self.target)
        ]
        said = np.full(len(rows), "", dtype=object)
        found = np.zeros((len(rows), len(TRANSCRIPTION.columns)))
        for row, logits in self._heard(rows):
            said[row] = body.alphabet.best_path(logits.argmax(dim=1).numpy())
            truth = truths[row]
            if truth is not None:
                found[row, :2] = _loss(logits, truth, body.alphabet.blank)
        for row, truth in enumerate(truths):
            if truth is not None:
                found[row, 2:] = _right(truth.said, said[row])
        return found

    def say(self, rows: Rows) -> np.ndarray:
        """Transcripts.

        Args:
            rows: As learners see them.

        Returns:
            Texts, shape (n,); None for clips that cannot be read.

        Raises:
            DataError: When the column of clips is missing.
        """
        alphabet, found = self.body().alphabet, np.full(len(rows), None, dtype=object)
        for row, logits in self._heard(rows):
            found[row] = alphabet.best_path(logits.argmax(dim=1).numpy())
        return found

    def truths(self, rows: Rows) -> list[str | None]:
        """Transcripts as they should be, in the vocabulary's spelling; None where there is none."""
        alphabet = self.body().alphabet
        return [None if t is None else alphabet.spell(t).said for t in texts_of(rows, self.target)]

    def _heard(self, rows: Rows) -> Iterator[tuple[int, Any]]:
        """Row and logits of each clip that can be read."""
        from attain.learners._speech.network import Listener
        from attain.learners._speech.work import hear
        from attain.learners._torch.device import threads

        body, (cells,) = self.body(), self.columns.read(rows.X)
        waves = Waves(body.hearing, cells, self.cache)
        readable = np.flatnonzero(waves.lengths)
        with threads(self.threads):
            for place, logits in hear(Listener(body), body, waves, readable):
                yield int(readable[place]), logits

    def save(self, folder: Path) -> None:
        """Write ``speech.json`` and ``body/``, which need no other folder.

        Args:
            folder: An existing, empty folder.
        """
        self.cache = None
        plain = {
            "format": _FORMAT,
            "columns": self.columns.names,
            "target": self.target,
            "facts": self.facts,
            "digest": self.digest,
            "threads": self.threads,
        }
        write_json(folder, FILE, plain)
        with plain_errors(folder):
            (folder / _BODY).mkdir()
            self.body().save(folder / _BODY)


def _loss(logits: Any, truth: Spelled, blank: int) -> tuple[float, float]:
    """Loss of a transcript and the tokens that it is over; zeros where it has none."""
    from attain.learners._speech.work import row_loss

    if truth.unwritable or not len(truth.ids) or len(logits) < frames_needed(truth.ids):
        return 0.0, 0.0
    return row_loss(logits, truth.ids, blank), float(len(truth.ids))


def _right(truth: str, said: str) -> tuple[float, ...]:
    """The columns behind the loss."""
    edits = character_edits(truth, said)
    return (len(truth), edits, len(truth.split()), word_edits(truth, said), 1, edits == 0)


def load_model(folder: Path) -> SpeechModel:
    """The model that `SpeechModel.save` wrote.

    Args:
        folder: Where.

    Returns:
        The model; it hears what the saved one did to the last bit.

    Raises:
        ArtifactError: When files are missing, damaged, or from a newer version.
    """
    from attain.learners._speech.network import load_speech
    from attain.learners._torch.device import pick

    told = read_json(folder, FILE)
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise ArtifactError(f"{FILE} is not of format {_FORMAT} — load it with what wrote it")
    try:
        columns, digest = MediaColumns(tuple(told["columns"])), str(told["digest"])
        body = load_speech(Pretrained(str(folder / _BODY), digest), device=str(pick()))
        return SpeechModel(
            lambda: body, columns, told["target"], told["facts"], digest, int(told["threads"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"the model's files do not fit together ({error!r}) — get the model anew"
        ) from error
