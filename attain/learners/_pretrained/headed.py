"""A body that is tuned together with a linear head, as the training loop sees it."""

from __future__ import annotations

import gc
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from attain.core.errors import Problem
from attain.learners._pretrained.layers import depths
from attain.learners._pretrained.levels import FLOOR
from attain.learners._pretrained.linear import Linear
from attain.learners._pretrained.outputs import Outputs
from attain.learners._pretrained.prefix import STATES, Cut
from attain.learners._torch.optimizer import Group, group_by
from attain.learners._torch.step import OutOfMemory, is_out_of_memory


class Headed(nn.Module):
    """Body, pooling and head: the same numbers as `levels.level` and `Linear.scores`.

    Args:
        body: A pre-trained body; its network becomes a part of this one.
        head: Where the head starts.
        dropout: Share of the pooled features that is dropped while training, in [0, 1).
    """

    def __init__(self, body: Any, head: Linear, dropout: float) -> None:
        super().__init__()
        self._cut: Cut | None = None
        self.body = body
        self.dropout = nn.Dropout(dropout)
        slope = torch.from_numpy(head.slope)
        # made empty and then filled: no random number is drawn, so no seed can come too late
        self.head = nn.utils.skip_init(nn.Linear, *slope.shape)
        with torch.no_grad():
            self.head.weight.copy_(slope.T)
            self.head.bias.copy_(torch.from_numpy(head.intercept))

    def cut_at(self, cut: Cut) -> None:
        """Let what lies below a cut be as it is: nothing is dropped there while training.

        Args:
            cut: Of the body; states at the cut may be given instead of being computed.
        """
        self._cut = cut
        self.train(self.training)

    def train(self, mode: bool = True) -> Headed:
        """Change to training or evaluation."""
        super().train(mode)
        for module in [] if self._cut is None else self._cut.still:
            module.eval()
        return self

    def last_states(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the last block of a body of texts says, float32, shape (rows, positions, hidden)."""
        own = {name: tensor for name, tensor in inputs.items() if name != STATES}
        if self._cut is not None and STATES in inputs:
            found: torch.Tensor = self._cut.upper(inputs[STATES], own)
        else:
            found = self.body(**own).last_hidden_state
        return found.float()

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """One row of features for each row of a batch, float32, shape (rows, hidden)."""
        found: torch.Tensor = self.body(**inputs).float()
        return found

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of a batch.

        Args:
            inputs: What the body takes.

        Returns:
            Shape (rows, outputs), float32.
        """
        pooled = self.pooled(inputs)
        leveled = pooled * torch.rsqrt(pooled.square().mean(dim=1, keepdim=True) + FLOOR)
        return self.head(self.dropout(leveled)).float()

    def linear(self) -> Linear:
        """A copy of the head as it is now."""
        weight, bias = (p.detach().cpu() for p in (self.head.weight, self.head.bias))
        return Linear(np.ascontiguousarray(weight.T.numpy()), bias.numpy().copy())


def groups(net: Headed) -> tuple[Group, ...]:
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


class HeadWork(ABC):
    """Rows and loss of a headed body; a `_torch.work.Work`.

    Attributes:
        outputs: What scores mean.
        targets: Of the training rows, from `Outputs.targets`.
        stop_targets: Of the rows to stop on, or None.
        weights: Of the training rows, mean 1; None when they count the same.
        smoothing: Label smoothing (Szegedy et al. 2016, arXiv:1512.00567, section 7), in [0, 1).
        about: What else decides what is learnt, such as the digest of the body.
    """

    outputs: Outputs
    weights: np.ndarray | None
    smoothing: float
    about: str

    @property
    @abstractmethod
    def targets(self) -> np.ndarray: ...

    @property
    @abstractmethod
    def stop_targets(self) -> np.ndarray | None: ...

    @property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """Cost of each training row."""

    @abstractmethod
    def keys(self) -> Iterator[np.ndarray]:
        """Hashes of the contents of all rows, part by part."""

    @abstractmethod
    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """What the body takes for some training rows, as it learns from them."""

    @abstractmethod
    def stop_batches(self) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Batches of the rows to stop on: positions and what the body takes."""

    @property
    def identity(self) -> str:
        """Hash of everything that decides what is learnt, besides recipe and start."""
        found = hashlib.sha256(f"{self.about} {self.outputs} {self.smoothing}".encode())
        for part in (*self.keys(), self.targets, self.stop_targets, self.weights):
            if part is not None:
                found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        """Inputs, targets and weights of some training rows."""
        made: dict[str, Any] = {
            "inputs": self.inputs(rows),
            "targets": torch.from_numpy(self.targets[rows]),
        }
        if self.weights is not None:
            made["weights"] = torch.from_numpy(self.weights[rows].astype(np.float32))
        return made

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        """Sum over the rows of the batch, and their number or the sum of their weights."""
        scores = net(batch["inputs"])
        each = self._losses(scores, batch["targets"], self.smoothing)
        if "mixed" in batch:  # each row is also a share of another one (arXiv:1710.09412)
            other = self._losses(scores, batch["mixed"], self.smoothing)
            each = batch["share"] * each + (1 - batch["share"]) * other
        if "weights" not in batch:
            return each.sum(), float(len(each))
        return (each * batch["weights"]).sum(), float(batch["weights"].sum())

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """Log loss, or root mean squared error in the target's unit, of the rows to stop on.

        A batch that does not fit into memory is measured in halves.

        Args:
            net: What is trained.

        Returns:
            ``{"stop": loss}``; empty when no rows are set aside.

        Raises:
            OutOfMemory: When one row alone does not fit.
        """
        if self.stop_targets is None:
            return {}
        device = next(net.parameters()).device
        total = torch.zeros((), dtype=torch.float64)
        for index, inputs in self.stop_batches():
            targets = torch.from_numpy(self.stop_targets[index])
            scores = _in_parts(net, inputs, device)
            total += self._losses(scores, targets, 0.0).sum(dtype=torch.float64)
        mean = float(total) / len(self.stop_targets)
        if self.outputs.seen:
            return {"stop": mean}
        return {"stop": float(np.sqrt(2 * mean)) * self.outputs.scale}

    def _losses(
        self, scores: torch.Tensor, targets: torch.Tensor, smoothing: float
    ) -> torch.Tensor:
        scores = scores.float()  # a log loss of half precision would lose what it is about
        if self.outputs.shares:
            each = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            return each.mean(dim=1)
        if self.outputs.seen:
            return functional.cross_entropy(
                scores, targets, reduction="none", label_smoothing=smoothing
            )
        return (scores[:, 0] - targets.to(scores.dtype)).square() / 2


def _in_parts(
    net: nn.Module, inputs: Mapping[str, torch.Tensor], device: torch.device
) -> torch.Tensor:
    """Scores of a batch, on the CPU; in halves, and halves of these, if memory runs out."""
    rows = len(next(iter(inputs.values())))
    try:
        found: torch.Tensor = net({n: t.to(device) for n, t in inputs.items()}).float().cpu()
        return found
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if rows == 1:
        rule, remedy = "one row must fit into memory", "shorten it, or take a smaller model"
        raise OutOfMemory(str(Problem(rule, "out of memory", "evaluation", remedy)))
    parts = (slice(0, rows // 2), slice(rows // 2, rows))
    halves = [_in_parts(net, {n: t[part] for n, t in inputs.items()}, device) for part in parts]
    return torch.cat(halves)
