"""The best weights so far, and when waiting for better ones is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from attain.learners._steps import Patience


def live(net: nn.Module, trained: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    """The tensors that training changes.

    Args:
        net: The network.
        trained: Its parameters that are trained.

    Returns:
        Those parameters, and buffers that are saved with the network, such as running means.
    """
    saved = net.state_dict(keep_vars=True)
    buffers = {n: b for n, b in net.named_buffers() if n in saved}
    return {**trained, **buffers}


class Best:
    """Remembers weights and measurements of the best evaluation.

    Args:
        places: Tensors in the network, by name.
        patience: Evaluations without improvement to wait for.

    Attributes:
        step: Of the best evaluation; 0 before the first.
        measured: What it said.
        weights: Copies of the tensors at that step; empty before the first.
    """

    def __init__(self, places: Mapping[str, torch.Tensor], patience: int) -> None:
        self._places, self._patience = dict(places), Patience(patience)
        self.step, self.measured = 0, {}  # type: tuple[int, dict[str, float]]
        self.weights: dict[str, torch.Tensor] = {}

    @property
    def over(self) -> bool:
        """Whether waiting for something better is over."""
        return self._patience.over

    def note(self, step: int, measured: Mapping[str, float]) -> None:
        """Note an evaluation of the weights that are in the network now.

        Args:
            step: Steps done.
            measured: ``stop`` decides; NaN is never the best.

        Raises:
            ValueError: When ``stop`` is not among them.
        """
        if "stop" not in measured:
            raise ValueError(f"an evaluation must measure 'stop' (got {sorted(measured)})")
        if self._patience.improved(self._patience.now + 1, measured["stop"]):
            self.step, self.measured = step, dict(measured)
            self.keep()

    def keep(self) -> None:
        """Copy the weights that are in the network now."""
        for name, place in self._places.items():
            if name in self.weights:
                self.weights[name].copy_(place.detach())
            else:
                self.weights[name] = place.detach().clone()

    def put(self) -> None:
        """Put the best weights into the network, if there are any."""
        with torch.no_grad():
            for name, value in self.weights.items():
                self._places[name].copy_(value)

    def state(self) -> dict[str, Any]:
        """Plain JSON values that `restore` takes; the weights go separately."""
        patience = self._patience
        waiting = {"best": patience.best, "at": patience.at, "now": patience.now}
        return {"step": self.step, "measured": self.measured, "patience": waiting}

    def restore(self, state: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
        """Go on from a state.

        Args:
            state: From `state`; infinities may be text.
            weights: As `weights` was.
        """
        self.step = int(state["step"])
        self.measured = {name: float(v) for name, v in state["measured"].items()}
        waiting = state["patience"]
        self._patience.best = float(waiting["best"])
        self._patience.at, self._patience.now = int(waiting["at"]), int(waiting["now"])
        self.weights = {n: v.to(self._places[n].device) for n, v in weights.items()}
