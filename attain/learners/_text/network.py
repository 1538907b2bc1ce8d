"""A body that is tuned together with a linear head, as the training loop sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from attain.learners._pretrained.features import equal_lengths
from attain.learners._pretrained.layers import depths
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.tokens import Tokens, collate
from attain.learners._text.encoder import FLOOR
from attain.learners._text.linear import Linear
from attain.learners._text.outputs import Outputs
from attain.learners._torch.optimizer import Group, group_by

_EVALUATED = 4096
"""Positions in a batch without gradients."""


class Network(nn.Module):
    """Body, pooling and head: the same numbers as `encoder.Reading.features` and `Linear.scores`.

    Args:
        body: A pre-trained body; its network becomes a part of this one.
        pooling: ``mean``, ``cls`` or ``max``.
        head: Where the head starts.
        dropout: Share of the pooled features that is dropped while training, in [0, 1).
    """

    def __init__(self, body: Any, pooling: str, head: Linear, dropout: float) -> None:
        super().__init__()
        self.body, self._pooling = body, pooling
        self.dropout = nn.Dropout(dropout)
        slope = torch.from_numpy(head.slope)
        # made empty and then filled: no random number is drawn, so no seed can come too late
        self.head = nn.utils.skip_init(nn.Linear, *slope.shape)
        with torch.no_grad():
            self.head.weight.copy_(slope.T)
            self.head.bias.copy_(torch.from_numpy(head.intercept))

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of a batch.

        Args:
            inputs: What the body takes; without ``attention_mask`` nothing is padding.

        Returns:
            Shape (rows, outputs), float32.
        """
        states = self.body(**inputs).last_hidden_state.float()
        pooled = _pooled(states, inputs.get("attention_mask"), self._pooling)
        leveled = pooled * torch.rsqrt(pooled.square().mean(dim=1, keepdim=True) + FLOOR)
        return self.head(self.dropout(leveled)).float()

    def linear(self) -> Linear:
        """A copy of the head as it is now."""
        weight, bias = (p.detach().cpu() for p in (self.head.weight, self.head.bias))
        return Linear(np.ascontiguousarray(weight.T.numpy()), bias.numpy().copy())


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


def groups(net: Network) -> tuple[Group, ...]:
    """What is trained, by its distance from the output; the head has none."""
    below = depths(net.body)
    top = max(below.values(), default=0)
    top = max(top, 1)

    def depth(name: str) -> int:
        inner = name.removeprefix("body.")
        return top - below[inner] if inner in below and name != inner else 0

    return group_by(net, depth)


@contextmanager
def dropped(body: Any, share: float) -> Iterator[None]:
    """Let all dropout in a body have this share meanwhile.

    Args:
        body: A `torch.nn.Module`.
        share: In [0, 1).

    Yields:
        Nothing.
    """
    layers = [m for m in body.modules() if isinstance(m, nn.Dropout)]
    before = [layer.p for layer in layers]
    for layer in layers:
        layer.p = share
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.p = value


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows.

    Attributes:
        tokens: As the body sees them.
        targets: From `Outputs.targets`.
    """

    tokens: Tokens
    targets: np.ndarray


@dataclass(frozen=True, eq=False)
class TextWork:
    """Rows and loss; a `_torch.work.Work`.

    Attributes:
        body: Collates tokens.
        outputs: What scores mean.
        train: Rows to learn from.
        stop: Rows to stop on, or None.
        weights: Of the training rows, mean 1; None when they count the same.
        smoothing: Label smoothing (Szegedy et al. 2016, arXiv:1512.00567, section 7), in [0, 1).
        about: What else decides what is learnt, such as the digest of the body.
    """

    body: Body
    outputs: Outputs
    train: Part
    stop: Part | None = None
    weights: np.ndarray | None = None
    smoothing: float = 0.0
    about: str = ""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each training row."""
        return self.train.tokens.lengths

    @property
    def identity(self) -> str:
        """Hash of everything that decides what is learnt, besides recipe and start."""
        found = hashlib.sha256(f"{self.about} {self.outputs} {self.smoothing}".encode())
        for part in (self.train, self.stop):
            if part is not None:
                found.update(np.ascontiguousarray(part.tokens.keys()).tobytes())
                found.update(np.ascontiguousarray(part.targets).tobytes())
        if self.weights is not None:
            found.update(np.ascontiguousarray(self.weights).tobytes())
        return found.hexdigest()

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        """Padded inputs, targets and weights of some training rows."""
        made: dict[str, Any] = {
            "inputs": collate(self.body, self.train.tokens, rows),
            "targets": torch.from_numpy(self.train.targets[rows]),
        }
        if self.weights is not None:
            made["weights"] = torch.from_numpy(self.weights[rows].astype(np.float32))
        return made

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        """Sum over the rows of the batch, and their number or the sum of their weights."""
        each = self._losses(net(batch["inputs"]), batch["targets"], self.smoothing)
        if "weights" not in batch:
            return each.sum(), float(len(each))
        return (each * batch["weights"]).sum(), float(batch["weights"].sum())

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """Log loss, or root mean squared error in the target's unit, of the rows to stop on."""
        if self.stop is None:
            return {}
        device = next(net.parameters()).device
        total = torch.zeros((), dtype=torch.float64)
        for index in equal_lengths(self.stop.tokens.lengths, _EVALUATED):
            inputs = collate(self.body, self.stop.tokens, index)
            del inputs["attention_mask"]  # all ones
            scores = net({name: tensor.to(device) for name, tensor in inputs.items()})
            targets = torch.from_numpy(self.stop.targets[index])
            total += self._losses(scores.cpu(), targets, 0.0).sum(dtype=torch.float64)
        mean = float(total) / len(self.stop.targets)
        if self.outputs.seen:
            return {"stop": mean}
        return {"stop": float(np.sqrt(2 * mean)) * self.outputs.scale}

    def _losses(
        self, scores: torch.Tensor, targets: torch.Tensor, smoothing: float
    ) -> torch.Tensor:
        if self.outputs.seen:
            return functional.cross_entropy(
                scores, targets, reduction="none", label_smoothing=smoothing
            )
        return (scores[:, 0] - targets.to(scores.dtype)).square() / 2
