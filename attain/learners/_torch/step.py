"""One optimiser step: its rows in parts that fit into memory, one update at the end."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from attain.core.errors import DataError, EnvironmentProblem, Problem
from attain.learners._torch import device as devices
from attain.learners._torch.batches import micro_batches
from attain.learners._torch.optimizer import Group, adamw, named, set_rate
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.rows import RowGradients
from attain.learners._torch.work import Work

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


class OutOfMemory(EnvironmentProblem, MemoryError):
    """One example alone does not fit into memory."""


@dataclass(frozen=True, eq=False)
class Taken:
    """What one step showed. Tensors stay on the device, so that nothing waits for them.

    Attributes:
        loss: Sum over the supervised units of the step; shape ().
        units: Their number.
        norm: Global norm of the gradient of the mean loss, before clipping; shape ().
    """

    loss: torch.Tensor
    units: float
    norm: torch.Tensor


class Stepper:
    """Network, optimiser and scaler of one fit.

    Args:
        net: The network.
        work: Rows and loss.
        recipe: Rates, clipping, batch.
        groups: What to train.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        micro: Examples in memory at once, at least 1.

    Attributes:
        net: What is called: the network, or a compiled form of it.
        micro: As above; smaller once memory has run out.
        halvings: How often memory has run out.
        optimizer: AdamW.
        scaler: Of fp16; disabled otherwise.
    """

    def __init__(
        self,
        net: nn.Module,
        work: Work,
        recipe: Recipe,
        groups: Sequence[Group],
        precision: str,
        micro: int,
    ) -> None:
        self.net, self.micro, self.halvings = net, micro, 0
        self.parameters = list(named(groups).values())
        if not {id(p) for p in self.parameters} <= {id(p) for p in net.parameters()}:
            raise ValueError("groups must hold parameters of the network (got those of another)")
        self.device = self.parameters[0].device
        self._work, self._clip, self._precision = work, recipe.clip, precision
        self.optimizer = adamw(groups, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self._rows = RowGradients(net, self.parameters)
        self._buffers = [b for b in net.buffers() if b.numel()]

    def compile(self) -> None:
        """Call a compiled form of the network from now on; lengths of batches may vary."""
        # compiled code makes whole gradients
        self._rows = RowGradients(self.net, self.parameters, large=sys.maxsize)
        self.net = torch.compile(self.net, dynamic=True)

    def take(self, rows: np.ndarray, factor: float, seed: int, step: int) -> Taken:
        """Do one step; once more with smaller parts if memory runs out.

        Args:
            rows: Positions of the examples, sorted by length.
            factor: Of the learning rate.
            seed: Of the fit.
            step: From 0; with the seed it fixes everything random.

        Returns:
            Loss, units and gradient norm.

        Raises:
            OutOfMemory: When one example alone does not fit.
            DataError: When no unit of the step is supervised.
        """
        before = [b.clone() for b in self._buffers]
        while True:
            loss, units = self._gradient(rows, seed, step)
            if loss is not None:
                break
            self._halve(len(rows), step)
            for buffer, value in zip(self._buffers, before, strict=True):
                buffer.copy_(value)
        if not units > 0:
            rule = "every step must have supervised examples or tokens"
            remedy = "check the labels: all of them may be masked"
            raise DataError(Problem(rule, f"{units:g} units", f"step {step + 1}", remedy))
        norm = self._update(len(rows) / units, factor)
        return Taken(loss, units, norm)

    def _gradient(
        self, rows: np.ndarray, seed: int, step: int
    ) -> tuple[torch.Tensor | None, float]:
        """Gradient of ``loss / len(rows)``; no loss if memory ran out."""
        self.optimizer.zero_grad(set_to_none=True)
        devices.seed_step(self.device, seed, step)
        total: torch.Tensor | None = None
        units = 0.0
        try:
            for part in micro_batches(rows, self.micro):
                batch = devices.move(self._work.batch(part), self.device)
                with devices.autocast(self.device, self._precision), self._rows.made():
                    loss, number = self._work.loss(self.net, batch)
                # not the units, which are known only after the last part, but of their order of
                # magnitude, so that half precision does not overflow
                self.scaler.scale(loss / len(rows)).backward()
                total = loss.detach().float() if total is None else total + loss.detach().float()
                units += float(number)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            total = None
        return total, units

    def _halve(self, rows: int, step: int) -> None:
        """Free what the failed attempt holds, and go on with half of the examples at once."""
        self.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        held = min(self.micro, rows)
        if held <= 1:
            rule = "one example must fit into memory"
            remedy = "shorten the examples, take a smaller model, or free memory"
            raise OutOfMemory(str(Problem(rule, "out of memory", f"step {step + 1}", remedy)))
        self.micro, self.halvings = math.ceil(held / 2), self.halvings + 1

    def _update(self, scale: float, factor: float) -> torch.Tensor:
        """Clip and apply the gradient.

        Args:
            scale: What the gradients are still to be multiplied with.
            factor: Of the learning rate.

        Returns:
            The norm of the gradient before clipping.
        """
        self.scaler.unscale_(self.optimizer) if self.scaler.is_enabled() else None
        gradients = self._rows.values()
        if not gradients:
            raise ValueError("the loss must depend on a trained parameter (got no gradient)")
        norms = torch._foreach_norm(gradients)
        norm = torch.linalg.vector_norm(torch.stack([n.float() for n in norms])) * scale
        if self.device.type == "cpu":  # a look costs nothing, a pass over all gradients does
            shrink = scale * min(1.0, self._clip / (float(norm) + 1e-6))
            if shrink != 1.0:
                torch._foreach_mul_(gradients, shrink)
        else:
            torch._foreach_mul_(gradients, scale * torch.clamp(self._clip / (norm + 1e-6), max=1.0))
        set_rate(self.optimizer, factor)
        with self._rows.whole():
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return norm


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    Args:
        error: What torch, Python or a fake raised.

    Returns:
        True for MemoryError and for torch's errors on any device.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SIGNS)
