"""K adapters on one network: one pass of the frozen base serves them all.

Adapters of different ranks are brought to one width by rows of zeros, which stay zero: neither
factor of such a row gets a gradient while the other is zero. Each adapter corrects its own lines of
a batch, so that gradients are those of K separate fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from attain.learners._pretrained.adapters import LoraConfig, target_names
from attain.learners._torch.average import Beside

_ETA = 4  # of `StackedMean`


class Stack:
    """Adapters that are on a network together; everything else is frozen.

    Args:
        net: The network, without an adapter.
        shapes: Of the adapters.
        seeds: Of their starts; equal to those of `adapters.put_on` for equal seeds.

    Attributes:
        names: The corrected linear layers.
        a: Of each layer, shape (K, widest rank, in).
        b: Of each layer, shape (K, out, widest rank).
    """

    def __init__(self, net: Any, shapes: Sequence[LoraConfig], seeds: Sequence[int]) -> None:
        if any(s.decomposed or s.dropout for s in shapes):
            raise ValueError("stacked adapters are plain: no dropout, not decomposed")
        self.net, self.shapes = net, tuple(shapes)
        self.names = target_names(net)
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        layers = [net.get_submodule(name) for name in self.names]
        device = layers[0].weight.device
        self._scale = torch.tensor([s.scale for s in shapes], device=device)
        widest = max(s.rank for s in shapes)
        starts = [_starts(layers, s, seed) for s, seed in zip(shapes, seeds, strict=True)]
        self.a, self.b = [], []
        for place, layer in enumerate(layers):
            a = torch.zeros(len(shapes), widest, layer.in_features, device=device)
            for k, made in enumerate(starts):
                a[k, : shapes[k].rank] = made[place].to(device)
            self.a.append(a.requires_grad_())
            b = torch.zeros(len(shapes), layer.out_features, widest, device=device)
            self.b.append(b.requires_grad_())
        self._active = tuple(range(len(shapes)))
        self._hooks = [
            layer.register_forward_hook(self._correct(place)) for place, layer in enumerate(layers)
        ]

    @property
    def parameters(self) -> list[torch.Tensor]:
        """What is trained; the first dimension is the adapter."""
        return [*self.a, *self.b]

    @contextmanager
    def active(self, which: Sequence[int]) -> Iterator[None]:
        """While it lasts, the lines of a batch belong to these adapters, in equal parts, in order.

        Args:
            which: Positions of adapters.

        Yields:
            Nothing.
        """
        before, self._active = self._active, tuple(which)
        try:
            yield
        finally:
            self._active = before

    def state(self, k: int) -> dict[str, torch.Tensor]:
        """Copies of one adapter, named and shaped as `adapters.Adapter.state` has them."""
        rank = self.shapes[k].rank
        found = {}
        for name, a, b in zip(self.names, self.a, self.b, strict=True):
            found[f"{name}.lora_A.weight"] = a[k, :rank].detach().cpu().clone()
            found[f"{name}.lora_B.weight"] = b[k, :, :rank].detach().cpu().clone()
        return found

    def take_off(self) -> None:
        """Leave the network as it was; safe to call twice."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _correct(self, place: int) -> Any:
        def hook(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
            which = list(self._active)
            x = inputs[0]
            parts = x.reshape(len(which), -1, x.shape[-1]).to(torch.float32)
            whole = len(which) == len(self.shapes)
            a = self.a[place] if whole else self.a[place][which]
            b = self.b[place] if whole else self.b[place][which]
            said = torch.bmm(torch.bmm(parts, a.transpose(1, 2)), b.transpose(1, 2))
            scale = self._scale[which].view(-1, 1, 1)
            return output + (said * scale).reshape(output.shape).to(output.dtype)

        return hook


def _starts(layers: Sequence[Any], shape: LoraConfig, seed: int) -> list[torch.Tensor]:
    """Starting values of A for each layer, as `adapters.put_on` draws them."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (2 * torch.rand(shape.rank, layer.in_features, generator=generator) - 1)
        / math.sqrt(layer.in_features)
        for layer in layers
    ]


class StackedAdam:
    """AdamW for stacked adapters: each has its own rate, clipping, and number of steps.

    Args:
        parameters: Of shape (K, ...).
        decay: Weight decay, decoupled from the gradient, as `_torch.optimizer.adamw`.
        clip: Largest norm of the gradient of one adapter.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], decay: float, clip: float) -> None:
        self.parameters, self._decay, self._clip = list(parameters), decay, clip
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, which: Sequence[int], rates: Sequence[float], done: Sequence[int]) -> None:
        """Update some adapters by the gradients that are there.

        Args:
            which: Positions of adapters.
            rates: Learning rate of each of these.
            done: Steps that each of these has done before.
        """
        index = torch.tensor(list(which), device=self.parameters[0].device)
        gradients = [p.grad[index] for p in self.parameters if p.grad is not None]
        squares = sum(g.flatten(1).square().sum(1) for g in gradients)
        norm = torch.as_tensor(squares).sqrt()
        shrink = torch.clamp(self._clip / (norm + 1e-6), max=1.0)
        rate = torch.tensor(list(rates), device=index.device)
        count = torch.tensor([d + 1.0 for d in done], device=index.device, dtype=torch.float64)
        one = (1 - 0.9**count).float()
        two = (1 - 0.999**count).float().sqrt()
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
            wide = (-1, *([1] * (p.ndim - 1)))
            g = g * shrink.view(wide)
            m[index] = m[index].lerp(g, 0.1)
            v[index] = v[index] * 0.999 + 0.001 * g * g
            lr = rate.view(wide)
            kept = p[index] * (1 - lr * self._decay)
            moved = m[index] / (v[index].sqrt() / two.view(wide) + 1e-8)
            p[index] = kept - lr / one.view(wide) * moved

    def state(self, k: int) -> dict[str, torch.Tensor]:
        """Copies of the moments of one adapter."""
        pairs: Mapping[str, list[torch.Tensor]] = {"first": self.first, "second": self.second}
        return {
            f"{kind}.{i}": moment[k].detach().cpu().clone()
            for kind, moments in pairs.items()
            for i, moment in enumerate(moments)
        }

    def restore(self, k: int, state: Mapping[str, torch.Tensor]) -> None:
        """Put moments of one adapter back."""
        for kind, moments in (("first", self.first), ("second", self.second)):
            for i, moment in enumerate(moments):
                moment[k].copy_(state[f"{kind}.{i}"])


class StackedMean(Beside):
    """Means of what stacked parameters were after each step, later steps weighing more.

    Step t has a weight of about t^4, so that half of it all is on the last eighth of the way: the
    polynomial-decay averaging of Shamir & Zhang 2013 (arXiv:1212.1824) with an eta of 4. While a
    rate is high, weights jump about; a mean of them is about as good as they themselves will be
    when the rate has fallen (Haegele et al. 2024, arXiv:2405.18392).

    Args:
        parameters: Of shape (K, ...).
    """

    @torch.no_grad()
    def update(self, which: Sequence[int], done: int) -> None:
        """Take in what some adapters have become.

        Args:
            which: Positions of adapters.
            done: Steps that they had done before this one.
        """
        index = torch.tensor(list(which), device=self.parameters[0].device)
        share = (_ETA + 1) / (done + 1 + _ETA)
        for p, mean in zip(self.parameters, self.weights, strict=True):
            mean[index] = mean[index].lerp(p[index], share)

    def state(self, k: int) -> dict[str, torch.Tensor]:
        """Copies of the means of one adapter."""
        return {f"mean.{i}": mean[k].cpu().clone() for i, mean in enumerate(self.weights)}

    def restore(self, k: int, state: Mapping[str, torch.Tensor]) -> None:
        """Put the means of one adapter back."""
        for i, mean in enumerate(self.weights):
            mean[k].copy_(state[f"mean.{i}"])
