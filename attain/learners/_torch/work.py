"""What differs between modalities, as the loop sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn


class Work(Protocol):
    """The rows and the loss. Whatever is random draws from torch's global generator.

    The loop seeds that generator for each step, so augmentation, dropout and masks are the same
    after a restart.

    Attributes:
        lengths: Cost of each training example, such as its tokens; shape (n,), n >= 1.
        identity: Names what the rows hold and what is frozen (hex or any text). A checkpoint of
            other work is not continued.
    """

    @property
    def lengths(self) -> np.ndarray: ...

    @property
    def identity(self) -> str: ...

    def batch(self, rows: np.ndarray) -> Any:
        """Collated tensors of some training rows, on the CPU.

        Args:
            rows: Positions, sorted by length from long to short.

        Returns:
            A tensor, or a mapping or sequence of tensors, or an object with a method ``to``.
        """
        ...

    def loss(self, net: nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
        """The loss of a batch.

        Args:
            net: In training mode; may be a compiled form of the network.
            batch: What `batch` returned, on the device of the network.

        Returns:
            SUM of the loss over supervised units (examples or tokens), and their number (or the
            sum of their weights). The loop divides by the units of the whole optimiser step.
        """
        ...

    def evaluate(self, net: nn.Module) -> Mapping[str, float]:
        """How good the network is on other rows, from sufficient statistics.

        Args:
            net: In evaluation mode; no gradients are kept.

        Returns:
            ``stop`` is what to stop on, smaller is better; more names may stand beside it. Empty
            when there is nothing to evaluate on: then the length of training is fixed.
        """
        ...
