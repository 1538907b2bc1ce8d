"""Means of the weights beside those that train, and a moving average among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def decay_at(step: int, decay: float) -> float:
    """How much of the average is kept at a step.

    Short runs would be dominated by the first weights, hence ``min(decay, (1 + t) / (10 + t))`` as
    in TensorFlow's ExponentialMovingAverage with ``num_updates``.

    Args:
        step: Updates so far, from 0.
        decay: In [0, 1).

    Returns:
        In (0, 1).
    """
    return min(decay, (1 + step) / (10 + step))


class Beside:
    """Weights beside those that train, which can take their place for a while.

    Args:
        parameters: What trains.

    Attributes:
        weights: The others, at first equal to what trains.
    """

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        self.parameters = list(parameters)
        self.weights = [p.detach().clone() for p in self.parameters]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network use these weights for a while; nothing is copied.

        Yields:
            Nothing.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for place, parameter in enumerate(self.parameters):
            parameter.data, self.weights[place] = self.weights[place], parameter.data


class Average(Beside):
    """An exponential moving average of the weights.

    Args:
        parameters: What trains.
        decay: In (0, 1).
    """

    def __init__(self, parameters: Sequence[torch.Tensor], decay: float) -> None:
        super().__init__(parameters)
        self._decay = decay

    def update(self, step: int) -> None:
        """Take in the weights as they are after an update.

        Args:
            step: Updates before this one.
        """
        kept = decay_at(step, self._decay)
        trained = [p.detach() for p in self.parameters]
        torch._foreach_lerp_(self.weights, trained, 1 - kept)
