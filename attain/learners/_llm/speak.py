"""A causal model: hidden states, losses of supervised tokens, sums of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from attain.learners._llm.batch import Batch, collate
from attain.learners._llm.encode import Coded, pack_up
from attain.learners._llm.losses import token_losses
from attain.learners._pretrained.load import Body

TOLERANCE = 1e-3
"""Largest difference of logits for two ways of computing to be one: float32 sums in another
order differ by less, another formula by far more."""
TOKENS = 4096
"""Padded tokens in a batch without gradients."""


class Speaker(nn.Module):
    """A causal network whose output layer only sees supervised positions.

    Args:
        net: A `transformers` model with a head for the next token.

    Attributes:
        net: The network.
        direct: Whether its logits are the output layer's without anything after it; if not, all
            logits are computed as the network itself does it.
        packs: Whether examples that share a line are computed as if each stood alone.
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

    def _sample(self, packed: bool) -> tuple[Coded, Batch]:
        top = int(self.net.get_input_embeddings().weight.shape[0])
        random = np.random.default_rng(0)
        ids = [random.integers(0, top, size) for size in (9, 4, 5)]
        trained = [np.ones(len(part), dtype=bool) for part in ids]
        coded = pack_up(ids, trained, np.arange(3))
        device = next(self.net.parameters()).device
        return coded, collate(coded, np.arange(3), pad=0, packed=packed).to(device)

    def _is_direct(self) -> bool:
        _, batch = self._sample(packed=False)
        head = self.net.get_output_embeddings()
        if not isinstance(head, nn.Linear) or self.net.base_model is self.net:
            return False
        whole = self.net(**batch.inputs, use_cache=False).logits.flatten(0, 1)[batch.places]
        made = nn.functional.linear(self.states(batch), head.weight, head.bias)
        return bool((whole - made).abs().max() <= TOLERANCE * (1 + whole.abs().max()))

    def _keeps_apart(self) -> bool:
        if getattr(self.net.config, "sliding_window", None):
            return False  # a mask of our own would stand in for that of the window
        _, together = self._sample(packed=True)
        _, alone = self._sample(packed=False)
        try:
            a, b = (self(part)[0] for part in (together, alone))
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False  # an attention that takes no mask of this form
        # places are in the order of lines, so compare what each example says
        sums = [
            torch.zeros(3, device=x.device).index_add_(0, part.owners, x.float())
            for x, part in ((a, together), (b, alone))
        ]
        return bool((sums[0] - sums[1]).abs().max() <= TOLERANCE * (1 + sums[1].abs().max()))


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


def sums(speaker: Speaker, body: Body, coded: Coded) -> Sums:
    """Loss, tokens and hits of each example, as the network is now; no gradients.

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
        for index in batches(coded.lengths):
            batch = collate(coded, index, pad=padding(body), packed=False).to(device)
            losses, hits = speaker(batch)
            total = torch.zeros(2, len(index), dtype=torch.float64)
            total.index_add_(1, batch.owners.cpu(), torch.stack([losses, hits]).double().cpu())
            loss[index], right[index] = total.numpy()
    return Sums(loss, coded.supervised.astype(float), right)


def padding(body: Body) -> int:
    """A token to pad with; which one does not matter, since padding is masked by position."""
    token = body.tokenizer.pad_token_id
    return int(token) if token is not None else 0
