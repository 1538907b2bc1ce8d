"""A pre-trained body with a linear head on what it says of the first token of each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.learners._cache import FloatStore, byte_keys
from attain.learners._pretrained.levels import level
from attain.learners._tags.tokens import WordTokens, tokenise_words
from attain.learners._text.encoder import Encoder, load_encoder

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body

_CODE = 1
"""Raised when the same words would get other features."""


@dataclass(frozen=True)
class WordReading:
    """How a body reads sentences; a `_text.encoder.Reads`.

    Attributes:
        longest: Tokens of a sentence at most, special ones included.
        layers: The mean of so many last layers is taken.
        threads: CPU threads; with another number sums round differently.
    """

    longest: int
    layers: int = 1
    threads: int = 1

    def tokens(
        self, body: Body, inputs: Sequence[list[str]], cache: Path | None = None
    ) -> WordTokens:
        """What the body sees.

        Args:
            body: Whose tokenizer is used.
            inputs: Words of each sentence.
            cache: `FitData.cache`.

        Returns:
            One row a sentence.
        """
        return tokenise_words(body, inputs, longest=self.longest, cache=cache, threads=self.threads)

    def features(self, body: Body, tokens: WordTokens, cache: Path | None = None) -> np.ndarray:
        """What the body says of each word that it sees.

        The state of a word's first token stands for the word (Devlin et al. 2019, arXiv:1810.04805,
        section 5.3).

        Args:
            body: Frozen or tuned.
            tokens: From `tokens`.
            cache: `FitData.cache`; None for a tuned body.

        Returns:
            One row a word, float32, in the order of sentences and words.

        Raises:
            ValueError: When features of a body that was tuned would be kept as those of the model.
        """
        from attain.learners._torch.device import threads

        if cache is not None and not body.untouched():
            raise ValueError("features of a tuned body must not be kept; give no cache")
        parts = {
            "model": body.digest,
            "dtype": str(body.net.dtype),
            "device": body.net.device.type,
            "layers": self.layers,
            "code": _CODE,
        }
        store = FloatStore(cache, "word-features", parts, body.hidden)
        sentence = np.repeat(np.arange(len(tokens)), tokens.heads.lengths)[tokens.read]
        place = tokens.heads.values[tokens.read]
        order = np.argsort(tokens.tokens.lengths[sentence], kind="stable")
        sentence, place = sentence[order], place[order]
        content = [tokens.tokens.ids.row(i).tobytes() for i in range(len(tokens))]
        keys = byte_keys(
            b"%d " % p + content[s] for s, p in zip(sentence.tolist(), place.tolist(), strict=True)
        )
        rows = np.empty((len(order), body.hidden), dtype=np.float32)
        with threads(self.threads):
            rows[order] = store.get(
                keys, lambda index: self._states(body, tokens, sentence[index], place[index])
            )
        return level(rows)

    def width(self, hidden: int) -> int:
        """See `_text.encoder.Reads`."""
        return hidden

    def _states(
        self, body: Body, tokens: WordTokens, sentence: np.ndarray, place: np.ndarray
    ) -> np.ndarray:
        """States of tokens, each given by its sentence and its place there."""
        from attain.learners._pretrained.features import each_batch, mean_states

        asked, own = np.unique(sentence, return_inverse=True)
        found = np.empty((len(place), body.hidden), dtype=np.float32)

        def take(index: np.ndarray, out: Any) -> None:
            states = mean_states(out, self.layers)
            row = np.full(len(asked), -1)
            row[index] = np.arange(len(index))
            wanted = np.flatnonzero(row[own] >= 0)
            found[wanted] = states[row[own[wanted]], place[wanted]].float().cpu().numpy()

        each_batch(body, tokens.tokens.take(asked), take, every_layer=self.layers > 1)
        return found


@dataclass(eq=False)
class WordEncoder:
    """Body and head; a `model.Core`.

    Attributes:
        inner: How words that are seen are scored.
    """

    inner: Encoder[WordReading]

    def scores(self, sentences: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """See `model.Core`; words that were cut off are not read."""
        own = self.inner
        body = own.body()
        tokens = own.reading.tokens(body, sentences, own.cache)
        return own.linear.scores(own.reading.features(body, tokens, own.cache)), tokens.read

    def save(self, folder: Path) -> None:
        """As `Encoder.save`."""
        self.inner.save(folder)


def load_word_encoder(folder: Path) -> WordEncoder:
    """The core that `WordEncoder.save` wrote.

    Args:
        folder: Where.

    Returns:
        A core that needs no other folder.

    Raises:
        ArtifactError: When files are missing or do not fit together.
    """
    return WordEncoder(load_encoder(folder, WordReading))
