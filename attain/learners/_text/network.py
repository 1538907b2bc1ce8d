"""A body that is tuned together with a linear head on what it says of a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attain.learners._pretrained.features import equal_lengths
from attain.learners._pretrained.headed import Headed, HeadWork
from attain.learners._pretrained.linear import Linear
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.outputs import Outputs
from attain.learners._pretrained.prefix import STATES, States
from attain.learners._pretrained.tokens import Tokens, collate

_EVALUATED = 4096
"""Positions in a batch without gradients."""


class Network(Headed):
    """Body, pooling and head: the same numbers as `encoder.Reading.features` and `Linear.scores`.

    Args:
        body: A pre-trained body; its network becomes a part of this one.
        pooling: ``mean``, ``cls`` or ``max``.
        head: Where the head starts.
        dropout: Share of the pooled features that is dropped while training, in [0, 1).
    """

    def __init__(self, body: Any, pooling: str, head: Linear, dropout: float) -> None:
        super().__init__(body, head, dropout)
        self._pooling = pooling

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """One row a text; without ``attention_mask`` nothing is padding."""
        return _pooled(self.last_states(inputs), inputs.get("attention_mask"), self._pooling)


def _pooled(states: torch.Tensor, mask: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """One row a text, from states of shape (rows, positions, hidden); padding does not count."""
    if mask is None:
        mask = torch.ones(states.shape[:2], dtype=torch.int64, device=states.device)
    if pooling == "cls":
        first = mask.argmax(dim=1)  # not 0 where padding stands on the left
        return states[torch.arange(len(states), device=states.device), first]
    wide = mask.bool().unsqueeze(2)
    if pooling == "max":
        return states.masked_fill(~wide, float("-inf")).amax(dim=1)
    return states.masked_fill(~wide, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows.

    Attributes:
        tokens: As the body sees them.
        targets: From `Outputs.targets`.
        states: What the blocks say of them that do not learn, or None.
    """

    tokens: Tokens
    targets: np.ndarray
    states: States | None = None

    def inputs(self, body: Body, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Padded tokens, and states if there are any."""
        found = collate(body, self.tokens, rows)
        return found if self.states is None else {**found, STATES: self.states.padded(rows)}


@dataclass(frozen=True, eq=False)
class TextWork(HeadWork):
    """Rows and loss; a `_torch.work.Work`.

    Attributes:
        body: Collates tokens.
        outputs: What scores mean.
        train: Rows to learn from.
        stop: Rows to stop on, or None.
        weights: As `HeadWork` has them.
        smoothing: Likewise.
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
        """Of the training rows."""
        return self.train.targets

    @property
    def stop_targets(self) -> np.ndarray | None:
        """Of the rows to stop on."""
        return None if self.stop is None else self.stop.targets

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each training row."""
        return self.train.tokens.lengths

    def keys(self) -> Iterator[np.ndarray]:
        """Hashes of the tokens of all rows."""
        yield from (part.tokens.keys() for part in (self.train, self.stop) if part is not None)

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Padded tokens."""
        return self.train.inputs(self.body, rows)

    def stop_batches(self) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Rows of one length, so that nothing is padded."""
        assert self.stop is not None
        for index in equal_lengths(self.stop.tokens.lengths, _EVALUATED):
            inputs = self.stop.inputs(self.body, index)
            del inputs["attention_mask"]  # all ones
            yield index, inputs
