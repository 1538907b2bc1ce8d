"""Rows and loss of language models, as the training loop sees them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from attain.learners._llm.batch import Batch, collate, collate_shared
from attain.learners._llm.encode import Coded, joined
from attain.learners._llm.losses import dpo_losses
from attain.learners._llm.speak import Speaker, Sums, padding, sums, width
from attain.learners._pretrained.load import Body
from attain.learners._torch import device as devices


def _hash(*parts: object) -> str:
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Coded):
            for array in (part.ids, part.trained, part.ends):
                found.update(np.ascontiguousarray(array).tobytes())
        elif isinstance(part, np.ndarray):
            found.update(np.ascontiguousarray(part).tobytes())
        else:
            found.update(str(part).encode())
    return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Speech:
    """Answers to be learnt; a `_torch.work.Work`. The unit is the supervised token.

    Attributes:
        body: Of the model.
        train: Examples to learn from.
        stop: Examples to stop on, or None.
        packed: Whether short examples share a line.
        about: What else decides what is learnt.
    """

    body: Body
    train: Coded
    stop: Coded | None = None
    packed: bool = True
    about: str = ""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each training example."""
        return self.train.lengths

    @property
    def identity(self) -> str:
        """Hash of everything that decides what is learnt, besides recipe and start."""
        return _hash(self.about, self.packed, self.train, self.stop)

    def batch(self, rows: np.ndarray) -> Batch:
        """Some training examples."""
        return collate(self.train, rows, pad=padding(self.body), packed=self.packed)

    def loss(self, net: nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
        """Sum over supervised tokens, and their number."""
        losses, _ = net(batch)
        return losses.sum(), float(len(losses))

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """Mean loss of a supervised token of the examples to stop on."""
        if self.stop is None or not len(self.stop):
            return {}
        assert isinstance(net, Speaker)
        found = sums(net, self.body, self.stop)
        return {"stop": float(found.loss.sum() / max(1.0, found.tokens.sum()))}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Chosen and rejected answers to the same prompts.

    Attributes:
        chosen: One example a pair.
        rejected: In the same order.
    """

    chosen: Coded
    rejected: Coded

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def both(self) -> Coded:
        """Each chosen answer with the rejected one behind it, 2n examples."""
        order = np.arange(2 * len(self)).reshape(2, -1).T.ravel()
        return joined(self.chosen, self.rejected).take(order)

    def sums(self, speaker: Speaker, body: Body) -> tuple[Sums, Sums]:
        """Of the chosen answers as the network is now, and of the rejected ones."""
        return sums(speaker, body, self.both).in_turns()

    def log_probabilities(self, speaker: Speaker, body: Body) -> np.ndarray:
        """Of whole answers as the network is now; shape (2, n), chosen first."""
        return -np.stack([side.loss for side in self.sums(speaker, body)])

    def lengths(self, packed: bool) -> np.ndarray:
        """Tokens of each pair, its prompt once where lines are packed."""
        if not packed:
            return self.chosen.lengths + self.rejected.lengths
        return np.array([width(self.both, (2 * i, 2 * i + 1)) for i in range(len(self))], dtype=int)


_MOST = 16
_said: OrderedDict[str, np.ndarray] = OrderedDict()


def said_before(pairs: Pairs, speaker: Speaker, body: Body, wanted: str = "fp32") -> np.ndarray:
    """Log probabilities that the pre-trained model gives; a process computes them once.

    Every trial of a study is compared with the same model on the same rows.

    Args:
        pairs: Whose answers.
        speaker: Of the network as it was loaded; adapters at their start change nothing.
        body: Names the pre-trained model.
        wanted: Number format, as in `Recipe.precision`.

    Returns:
        Shape (2, n), chosen answers first; not to be changed.
    """
    device = next(speaker.parameters()).device
    format_ = devices.precision(wanted, device, speaker)
    key = _hash(body.digest, device, format_, speaker.packs, pairs.chosen, pairs.rejected)
    if key not in _said:
        with devices.autocast(device, format_):
            _said[key] = pairs.log_probabilities(speaker, body)
        _said[key].flags.writeable = False
    _said.move_to_end(key)
    while len(_said) > _MOST:
        _said.popitem(last=False)
    return _said[key]


@dataclass(frozen=True, eq=False)
class Preference:
    """Pairs to prefer; a `_torch.work.Work`. The unit is the pair.

    Attributes:
        body: Of the model.
        train: Pairs to learn from.
        reference: Their log probabilities before tuning, shape (2, n).
        beta: See `losses.dpo_losses`.
        stop: Pairs to stop on, or None.
        stop_reference: Their log probabilities before tuning.
        packed: Whether the answers of a pair share its prompt, and short pairs a line.
        about: What else decides what is learnt.
    """

    body: Body
    train: Pairs
    reference: np.ndarray
    beta: float
    stop: Pairs | None = None
    stop_reference: np.ndarray | None = None
    packed: bool = True
    about: str = ""

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each pair."""
        return self.train.lengths(self.packed)

    @property
    def identity(self) -> str:
        """Hash of everything that decides what is learnt, besides recipe and start."""
        parts = [
            p for pair in (self.train, self.stop) if pair for p in (pair.chosen, pair.rejected)
        ]
        return _hash(self.about, self.packed, self.beta, self.reference, *parts)

    def batch(self, rows: np.ndarray) -> Mapping[str, Any]:
        """Some training pairs."""
        answers = (2 * np.asarray(rows)[:, None] + [0, 1]).reshape(-1, 2 if self.packed else 1)
        pad = padding(self.body)
        both = collate_shared(self.train.both, answers.tolist(), pad=pad, packed=self.packed)
        reference = torch.from_numpy(self.reference[:, rows].astype(np.float32))
        return {"both": both, "reference": reference}

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        """Sum over pairs, and their number."""
        chosen, rejected = _answers(net, batch["both"]).reshape(-1, 2).T
        reference = batch["reference"]
        losses = dpo_losses(chosen, rejected, reference[0], reference[1], self.beta)
        return losses.sum(), float(len(losses))

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """Mean loss of the pairs to stop on, and how often the margin has grown."""
        if self.stop is None or self.stop_reference is None or not len(self.stop):
            return {}
        assert isinstance(net, Speaker)
        now = self.stop.log_probabilities(net, self.body)
        margin = (now - self.stop_reference)[0] - (now - self.stop_reference)[1]
        losses = np.logaddexp(0.0, -self.beta * margin)
        grown = np.where(margin == 0, 0.5, margin > 0)
        return {"stop": float(losses.mean()), "margin_grown": float(grown.mean())}


def _answers(net: nn.Module, batch: Batch) -> torch.Tensor:
    """Log probability of each example's supervised tokens."""
    losses, _ = net(batch)
    found = torch.zeros(batch.examples, dtype=torch.float32, device=losses.device)
    return found.index_add(0, batch.owners, -losses)
