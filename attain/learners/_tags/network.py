"""A body that is tuned together with a linear head on the first token of each word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attain.learners._cache import Ragged
from attain.learners._pretrained.features import equal_lengths
from attain.learners._pretrained.headed import Headed, HeadWork
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.outputs import Outputs
from attain.learners._pretrained.prefix import STATES, Read, States, unread
from attain.learners._pretrained.tokens import collate
from attain.learners._tags.tokens import CUT, WordTokens

_EVALUATED = 4096
"""Positions in a batch without gradients."""
_HEADS = "heads"


class Network(Headed):
    """Body and head: the same numbers as `encoder.WordReading.features` and `Linear.scores`."""

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The state of the first token of each word that counts, sentence by sentence."""
        read = {name: tensor for name, tensor in inputs.items() if name != _HEADS}
        states = self.last_states(read)
        heads = inputs[_HEADS]
        row, word = (heads != CUT).nonzero(as_tuple=True)
        found: torch.Tensor = states[row, heads[row, word]]
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """Some sentences.

    Attributes:
        tokens: As the body sees them; words that do not count have no head.
        targets: Of all words, from `Outputs.targets`; anything where a word does not count.
        states: What the blocks say of the sentences that do not learn, or None.
    """

    tokens: WordTokens
    targets: Ragged
    states: States | None = None

    @classmethod
    def of(
        cls, tokens: WordTokens, targets: np.ndarray, counts: np.ndarray, read: Read = unread
    ) -> Part:
        """Only words that are seen and count.

        Args:
            tokens: Of the sentences.
            targets: Of the words that count and are seen.
            counts: Which words count, bool, shape (words,).
            read: What reads sentences with the blocks that do not learn.

        Returns:
            The sentences with a word that does, in their order.
        """
        kept = tokens.read & counts
        values = np.zeros(len(kept), dtype=np.int32)
        values[kept] = targets
        heads = Ragged(np.where(kept, tokens.heads.values, CUT), tokens.heads.starts)
        rows = np.flatnonzero([bool((heads.row(i) != CUT).any()) for i in range(len(heads))])
        part = WordTokens(tokens.tokens, heads).take(rows)
        return cls(part, Ragged(values, heads.starts).take(rows), read(part.tokens))

    @property
    def words(self) -> np.ndarray:
        """Targets of the words that count, int64."""
        return self.targets.values[self.tokens.read].astype(np.int64)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """The same of some sentences, in this order."""
        return Part(self.tokens.take(rows), self.targets.take(rows)).words

    def inputs(self, body: Body, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Padded tokens, where words begin, and states if there are any."""
        found = collate(body, self.tokens.tokens, rows)
        if self.states is not None:
            found[STATES] = self.states.padded(rows)
        own = self.tokens.take(rows)
        heads = np.full((len(rows), int(own.heads.lengths.max(initial=1))), CUT, dtype=np.int64)
        columns = np.arange(heads.shape[1])
        heads[columns < own.heads.lengths[:, None]] = own.heads.values
        if body.tokenizer.padding_side == "left":
            lengths = own.tokens.lengths
            heads += np.where(heads == CUT, 0, (lengths.max() - lengths)[:, None])
        return {**found, _HEADS: torch.from_numpy(heads)}


@dataclass(frozen=True, eq=False)
class TagWork(HeadWork):
    """Sentences and the loss of their words; a `_torch.work.Work`.

    The unit of the loss is a word, whatever batches and their parts hold.

    Attributes:
        body: Collates tokens.
        outputs: What scores mean.
        train: Sentences to learn from.
        stop: Sentences to stop on, or None.
        weights: None: words count the same.
        smoothing: As `HeadWork` has it.
        about: Likewise.
    """

    body: Body
    outputs: Outputs
    train: Part
    stop: Part | None = None
    weights: np.ndarray | None = None
    smoothing: float = 0.0
    about: str = ""

    @property
    def targets(self) -> np.ndarray:
        """Of the training words."""
        return self.train.words

    @property
    def stop_targets(self) -> np.ndarray | None:
        """Of the words to stop on."""
        return None if self.stop is None else self.stop.words

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each training sentence."""
        return self.train.tokens.tokens.lengths

    def keys(self) -> Iterator[np.ndarray]:
        """Hashes of the tokens of all sentences, and where their words begin."""
        for part in (self.train, self.stop):
            if part is not None:
                yield part.tokens.tokens.keys()
                yield part.tokens.heads.values

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Padded tokens, and where words begin."""
        return self.train.inputs(self.body, rows)

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        """Inputs of some sentences and targets of their words."""
        targets = torch.from_numpy(self.train.of_rows(rows))
        return {"inputs": self.inputs(rows), "targets": targets}

    def stop_batches(self) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Sentences of one length, so that no token is padding, with positions of their words."""
        assert self.stop is not None
        counted = Ragged(np.cumsum(self.stop.tokens.read, dtype=np.int32) - 1,
                         self.stop.tokens.heads.starts)  # fmt: skip
        for index in equal_lengths(self.stop.tokens.tokens.lengths, _EVALUATED):
            inputs = self.stop.inputs(self.body, index)
            del inputs["attention_mask"]  # all ones
            yield counted.take(index).values[self.stop.tokens.take(index).read], inputs
