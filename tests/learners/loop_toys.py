"""A network and rows of different lengths, small enough to train in a blink."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from attain.core.types import Signal
from attain.learners._torch.loop import Finished, fit
from attain.learners._torch.optimizer import Group, group_by
from attain.learners._torch.recipe import Recipe

RATE = 1e-2


class Toy:
    """Sequences of numbers whose class is the most frequent of three marks."""

    def __init__(self, rows: int = 103, seed: int = 0, identity: str = "toy") -> None:
        random = np.random.default_rng(seed)
        self.identity = identity
        self.lengths = random.integers(2, 12, rows)
        self.tokens = torch.as_tensor(random.integers(0, 20, (rows, 12)))
        kept = torch.arange(12)[None] < torch.as_tensor(self.lengths)[:, None]
        self.y = torch.stack([((self.tokens % 3 == k) & kept).sum(1) for k in range(3)]).argmax(0)
        self.weights = torch.ones(3)
        self.seen: list[np.ndarray] = []
        self.evaluated = 0

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        self.seen.append(rows)
        return self.collate(rows)

    def collate(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        lengths = torch.as_tensor(self.lengths[rows])
        width = int(lengths.max())
        return {"x": self.tokens[rows][:, :width], "lengths": lengths, "y": self.y[rows]}

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        scores = net(batch["x"], batch["lengths"]).float()
        y, weights = batch["y"], self.weights
        loss = nn.functional.cross_entropy(scores, y, weight=weights, reduction="sum")
        return loss, float(weights[y].sum())

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        self.evaluated += 1
        loss, units = self.loss(net, self.collate(np.arange(40)))
        return {"stop": float(loss) / units}


class Endless(Toy):
    """Nothing to evaluate on."""

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        return {}


class Net(nn.Module):
    """Embedding, mean, two layers; with dropout and a buffer that training changes."""

    def __init__(self, dropout: float = 0.1, seed: int = 0, width: int = 16) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words = nn.Embedding(20, width)
            self.middle = nn.Linear(width, width)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, 3)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
        mask = (torch.arange(x.shape[1])[None] < lengths[:, None]).float()[..., None]
        mean = (self.words(x) * mask).sum(1) / mask.sum(1)
        return self.head(self.drop(self.norm(torch.tanh(self.middle(mean)))))


DEPTHS = {"words": 2, "middle": 1, "norm": 1, "head": 0}


def layers(net: nn.Module) -> tuple[Group, ...]:
    return group_by(net, lambda name: DEPTHS[name.split(".")[0]])


def weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


class Listener:
    """Remembers reports; answers with a signal at one step."""

    def __init__(self, at: int | None = None, answer: Signal = Signal.STOP) -> None:
        self.at, self.answer = at, answer
        self.heard: list[tuple[int, dict[str, float]]] = []

    def __call__(self, step: int, values: Mapping[str, float]) -> Signal:
        self.heard.append((step, dict(values)))
        return self.answer if step == self.at else Signal.CONTINUE

    def curve(self) -> list[tuple[int, dict[str, float]]]:
        return [(s, {k: v for k, v in vs.items() if k != "units_per_s"}) for s, vs in self.heard]


def train(
    net: nn.Module,
    work: Toy,
    recipe: Recipe | None = None,
    *,
    listen: Listener | None = None,
    folder: Path | None = None,
    seed: int = 3,
    steps: int | None = None,
    interval: float = 0.0,
) -> Finished:
    recipe = Recipe(3, 16, RATE) if recipe is None else recipe
    listen = Listener() if listen is None else listen
    return fit(
        net, work, recipe, layers(net), report=listen, seed=seed, threads=1, checkpoint=folder,
        steps=steps, interval=interval,
    )  # fmt: skip
