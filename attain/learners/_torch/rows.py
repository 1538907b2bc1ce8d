"""Gradients of large embeddings as the few rows that a batch touches.

A vocabulary's gradient is all zeros but for those rows, yet torch makes, measures and scales the
whole of it: at 30,522 by 384 that was 24 of 132 ms of CPU time of a step of MiniLM (batch 16, 16
tokens, bf16). AdamW still moves every row, so nothing changes but the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

_LARGE = 1_000_000
"""Numbers in an embedding from which it pays."""


class RowGradients:
    """Embeddings of a network whose gradient is kept as rows; none on other devices than the CPU.

    Args:
        net: The network.
        parameters: What is trained.
        large: Numbers in an embedding from which it is treated so.
    """

    def __init__(
        self, net: nn.Module, parameters: Sequence[nn.Parameter], large: int = _LARGE
    ) -> None:
        trained = {id(p) for p in parameters if p.device.type == "cpu"}
        uses = Counter(id(p) for _, p in net.named_parameters(remove_duplicate=False))
        self._modules = [
            module
            for module in net.modules()
            if isinstance(module, nn.Embedding)
            and id(module.weight) in trained
            and module.weight.numel() >= large
            and uses[id(module.weight)] == 1  # one that is also an output layer has a full gradient
            and not (module.sparse or module.scale_grad_by_freq)
        ]
        self._parameters = list(parameters)
        self._whole: dict[int, torch.Tensor] = {}

    @contextmanager
    def made(self) -> Iterator[None]:
        """While it lasts, backward passes make rows.

        Yields:
            Nothing.
        """
        for module in self._modules:
            module.sparse = True
        try:
            yield
        finally:
            for module in self._modules:
                module.sparse = False

    def values(self) -> list[torch.Tensor]:
        """What there is of all gradients, to be measured and scaled in place.

        Returns:
            Whole gradients, or the values of rows.
        """
        found = []
        for parameter in self._parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
                found.append(parameter.grad.values())
            elif parameter.grad is not None:
                found.append(parameter.grad)
        return found

    @contextmanager
    def whole(self) -> Iterator[None]:
        """While it lasts, rows stand in whole gradients, as the optimiser needs them.

        Yields:
            Nothing.
        """
        placed = []
        for parameter in self._parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                rows, values = parameter.grad.indices()[0], parameter.grad.values()
                if id(parameter) not in self._whole:
                    self._whole[id(parameter)] = torch.zeros_like(parameter, requires_grad=False)
                whole = self._whole[id(parameter)]
                whole[rows] = values
                placed.append((parameter, parameter.grad, whole, rows))
                parameter.grad = whole
        try:
            yield
        finally:
            for parameter, sparse, whole, rows in placed:
                whole[rows] = 0
                parameter.grad = sparse
