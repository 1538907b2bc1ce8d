"""A causal model: hidden states, losses of supervised tokens, sums of each row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from attain.learners._llm.batch import Batch, collate, collate_shared, in_common
from attain.learners._llm.encode import Coded, pack_up
from attain.learners._llm.losses import token_losses
from attain.learners._pretrained.load import Body

TOLERANCE = 1e-3
"""Largest difference of logits for two ways of computing to be one: float32 sums in another
order differ by less, another formula by far more."""
TOKENS = 4096
"""Padded tokens in a batch without gradients."""
LINE = 2048
"""Tokens that examples with the same beginning share a line up to: looking back over more of them
costs a small model more than reading the beginning again."""
_SHARED = 0.5
"""Share of an example from which it is worth a place behind another one that begins alike."""


class Speaker(nn.Module):
    """A causal network whose output layer only sees supervised positions.

    Args:
        net: A `transformers` model with a head for the next token.

    Attributes:
        net: The network.
        direct: Whether its logits are the output layer's without anything after it; if not, all
            logits are computed as the network itself does it.
        packs: Whether examples that share a line, or what they begin with, are computed as if each
            stood alone.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.direct = self.packs = False
        with torch.no_grad():
            training = net.training
            net.eval()
            self.direct = self._is_direct()
            self.packs = self._keeps_apart()
            net.train(training)

    def states(self, batch: Batch) -> torch.Tensor:
        """Hidden states of the supervised positions, shape (supervised, hidden)."""
        found = self.net.base_model(**batch.inputs, use_cache=False).last_hidden_state
        return found.flatten(0, 1)[batch.places]

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each supervised token, and whether it is the most probable one.

        Args:
            batch: On the device of the network.

        Returns:
            Both of shape (supervised,).
        """
        if self.direct:
            return token_losses(self.states(batch), self.net.get_output_embeddings(), batch.targets)
        logits = self.net(**batch.inputs, use_cache=False).logits
        logits = logits.flatten(0, 1)[batch.places].float()
        losses = nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        return losses, logits.argmax(dim=1) == batch.targets

    def _sample(self) -> Coded:
        top = int(self.net.get_input_embeddings().weight.shape[0])
        random = np.random.default_rng(0)
        ids = [random.integers(0, top, size) for size in (9, 4, 5)]
        ids[2][:3] = ids[1][:3]
        return pack_up(ids, [np.ones(len(part), dtype=bool) for part in ids], np.arange(3))

    def _alone(self) -> Batch:
        batch = collate(self._sample(), np.arange(3), pad=0, packed=False)
        return batch.to(next(self.net.parameters()).device)

    def _is_direct(self) -> bool:
        batch = self._alone()
        head = self.net.get_output_embeddings()
        if not isinstance(head, nn.Linear) or self.net.base_model is self.net:
            return False
        whole = self.net(**batch.inputs, use_cache=False).logits.flatten(0, 1)[batch.places]
        made = nn.functional.linear(self.states(batch), head.weight, head.bias)
        return bool((whole - made).abs().max() <= TOLERANCE * (1 + whole.abs().max()))

    def _keeps_apart(self) -> bool:
        if getattr(self.net.config, "sliding_window", None):
            return False  # a mask of our own would stand in for that of the window
        alone, coded = self._alone(), self._sample()
        # the shorter two share a line behind the long one, and then also what they begin with
        shared = collate_shared(coded, [[0], [1, 2]], pad=0), collate(coded, np.arange(3), pad=0)
        try:
            found = [self._totals(part.to(alone.ids.device)) for part in (alone, *shared)]
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False  # an attention that takes no mask of this form
        most = TOLERANCE * (1 + found[0].abs().max())
        return all(bool((found[0] - part).abs().max() <= most) for part in found[1:])

    def _totals(self, batch: Batch) -> torch.Tensor:
        """Loss of each example."""
        losses = self(batch)[0].float()
        return torch.zeros(batch.examples, device=losses.device).index_add_(0, batch.owners, losses)


@dataclass(frozen=True, eq=False)
class Sums:
    """What each example adds up to; all of shape (n,).

    Attributes:
        loss: Negative log probability of its supervised tokens, in nats.
        tokens: Their number.
        right: How many of them are the most probable ones.
    """

    loss: np.ndarray
    tokens: np.ndarray
    right: np.ndarray

    def in_turns(self) -> tuple[Sums, Sums]:
        """Of the first, third, fifth example and so on, and of those between them."""
        parts = (self.loss, self.tokens, self.right)
        return Sums(*(part[::2] for part in parts)), Sums(*(part[1::2] for part in parts))


def batches(lengths: np.ndarray, tokens: int = TOKENS) -> Iterator[np.ndarray]:
    """Examples of similar length, as many as there is room for.

    Args:
        lengths: Of all examples, shape (n,).
        tokens: Padded tokens in a batch; a longer example stands alone.

    Yields:
        Positions, each once, from long to short.
    """
    order = np.argsort(-lengths, kind="stable")
    at = 0
    while at < len(order):
        most = max(1, tokens // max(1, int(lengths[order[at]])))
        yield order[at : at + most]
        at += most


def families(coded: Coded, most: int = LINE) -> list[list[int]]:
    """Examples that begin alike, so that what they share is read once.

    Args:
        coded: The examples.
        most: Tokens of a group, unless one example alone has more.

    Returns:
        Groups of positions, each example in one; neighbours share at least half of the later one.
    """
    rows = [coded.row(i)[0] for i in range(len(coded))]
    found: list[list[int]] = []
    room = 0
    for i in sorted(range(len(rows)), key=lambda i: rows[i].tolist()):
        same = in_common(rows[found[-1][-1]], rows[i]) if found else 0
        if found and same >= _SHARED * len(rows[i]) and room >= len(rows[i]) - same:
            found[-1].append(i)
        else:
            found.append([i])
            room, same = most, 0
        room -= len(rows[i]) - same
    return found


def width(coded: Coded, group: Sequence[int]) -> int:
    """Tokens of a group of examples when each shares what it begins with with the one before."""
    rows = [coded.row(i)[0] for i in group]
    shared = sum(in_common(a, b) for a, b in itertools.pairwise(rows))
    return sum(map(len, rows)) - shared


def sums(speaker: Speaker, body: Body, coded: Coded) -> Sums:
    """Loss, tokens and hits of each example, as the network is now; no gradients.

    Beginnings that examples have in common, such as the prompt of two answers or the examples
    before all prompts, are read once where the network allows it.

    Args:
        speaker: In evaluation mode.
        body: Gives the token to pad with.
        coded: The examples.

    Returns:
        Sums over supervised tokens.
    """
    device = next(speaker.parameters()).device
    loss, right = np.zeros(len(coded)), np.zeros(len(coded))
    with torch.no_grad():
        groups = families(coded) if speaker.packs else [[i] for i in range(len(coded))]
        widths = np.array([width(coded, group) for group in groups], dtype=int)
        for some in batches(widths):
            index = np.concatenate([groups[g] for g in some])
            lines = [groups[g] for g in some]
            batch = collate_shared(coded, lines, pad=padding(body), packed=False).to(device)
            losses, hits = speaker(batch)
            total = torch.zeros(2, len(index), dtype=torch.float64)
            total.index_add_(1, batch.owners.cpu(), torch.stack([losses, hits]).double().cpu())
            loss[index], right[index] = total.numpy()
    return Sums(loss, coded.supervised.astype(float), right)


def padding(body: Body) -> int:
    """A token to pad with; which one does not matter, since padding is masked by position."""
    token = body.tokenizer.pad_token_id
    return int(token) if token is not None else 0
