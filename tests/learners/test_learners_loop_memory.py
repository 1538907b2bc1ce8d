"""The probe leaves no trace; gradients of large embeddings as rows change nothing but the time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from loop_toys import RATE, Net, Toy, layers, same, train, weights
from torch import nn

from attain.learners._torch import rows as row_gradients
from attain.learners._torch.memory import Probe, probe
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.rows import RowGradients
from attain.learners._torch.step import Stepper

BASE = Recipe(2, 16, RATE)


def test_a_probe_leaves_no_trace() -> None:
    """Weights, buffers, gradients, mode, generators: the fit after it is the fit without it."""
    net, plain = Net(), Net()
    net.eval()
    net.head.weight.grad = mark = torch.ones_like(net.head.weight)
    before, state = weights(net), torch.random.get_rng_state()
    found = probe(net, Toy(), BASE, threads=1)
    assert same(before, weights(net))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (net.training, net.head.weight.grad is mark, net.words.weight.grad) == (
        False,
        True,
        None,
    )
    assert min(found.seconds, found.longest, found.bytes) > 0
    train(net, Toy())
    train(plain, Toy())
    assert same(weights(net), weights(plain))


def test_a_probe_takes_the_longest_rows_and_then_ordinary_ones() -> None:
    """Memory is that of the worst batch, time that of a common one."""
    work, net = Toy(400), Net()
    probe(net, work, BASE, layers(net), threads=1)
    longest, ordinary = work.seen
    assert work.lengths[longest].min() >= np.sort(work.lengths)[-16]
    assert work.lengths[ordinary].max() < work.lengths.max()


CELL = 200_000  # bytes


class Heavy(Toy):
    """Allocates and waits in proportion to the padded batch."""

    pace = 1e-4

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        cells = batch["x"].numel()
        block = torch.ones(cells * CELL, dtype=torch.uint8)
        time.sleep(0.02 + float(block[0]) * cells * self.pace)
        return super().loss(net, batch)


def test_a_probe_sees_memory_and_time() -> None:
    """A block of 35 MB that lives for 20 ms only is in the peak."""
    work = Heavy()
    block = 16 * int(np.sort(work.lengths)[-1]) * CELL

    def is_seen() -> bool:
        found = [probe(Net(), w, BASE, threads=1) for w in (Toy(), work)]
        assert found[1].longest > 0.02
        return found[1].bytes - found[0].bytes > 0.9 * block

    # once more if need be: garbage of other tests may be freed between the two
    assert is_seen() or is_seen()


class Paced(Heavy):
    """A clock and a memory that show this work alone, whatever else process and machine do."""

    pace = 1e-3

    def __init__(self) -> None:
        super().__init__()
        self.now, self.held = 0.0, 0

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        cells = batch["x"].numel()
        self.now += 0.02 + cells * self.pace
        self.held = cells * CELL
        time.sleep(0.02)  # as long as memory is looked at
        self.held = 0
        return Toy.loss(self, net, batch)

    def memory_info(self) -> Any:
        """As `psutil.Process` says it."""
        return SimpleNamespace(rss=800_000_000 + self.held)

    def probed(self, patch: pytest.MonkeyPatch, **options: float) -> Probe:
        """What a probe says of it."""
        patch.setattr(time, "perf_counter", lambda: self.now)
        patch.setattr(psutil, "Process", lambda: self)
        return probe(Net(), self, BASE, threads=1, **options)


def test_a_sparing_probe_measures_parts_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few rows stand for both steps; time, memory and the largest batch are extrapolated."""
    whole, part = Paced(), Paced()
    wanted, found = whole.probed(monkeypatch), part.probed(monkeypatch, most=80.0)
    assert [len(rows) for rows in whole.seen] == [16, 16]
    assert [len(rows) for rows in part.seen] == [1, 1, 3, 4]
    assert found.seconds == pytest.approx(wanted.seconds, rel=0.4)
    assert found.longest == pytest.approx(wanted.longest, rel=0.4)
    block = 16 * int(np.sort(whole.lengths)[-1]) * CELL
    assert wanted.bytes - 800_000_000 == pytest.approx(block)
    assert found.bytes - 800_000_000 == pytest.approx(block, rel=0.2)
    assert found.micro == 16


def test_a_sparing_probe_does_whole_steps_where_they_are_cheap() -> None:
    """What is allowed is a limit, not a wish."""
    work = Toy()
    probe(Net(), work, BASE, threads=1, most=1e9)
    assert [len(rows) for rows in work.seen] == [16, 16]


def test_a_probe_finds_how_many_examples_fit() -> None:
    """Running out of memory is an answer."""

    class Small(Toy):
        def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
            if len(batch["y"]) > 5:
                raise MemoryError
            return super().loss(net, batch)

    net = Net()
    before = weights(net)
    assert probe(net, Small(), BASE, threads=1).micro == 4
    assert same(before, weights(net))


def test_a_probe_that_fails_leaves_no_trace() -> None:
    """Also when the second step raises, after the first has moved the weights."""

    class Breaks(Toy):
        def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
            if len(self.seen) == 2:
                raise ValueError("no such label")
            return super().loss(net, batch)

    net = Net()
    before = weights(net)
    with pytest.raises(ValueError, match="no such label"):
        probe(net, Breaks(), BASE, threads=1)
    assert same(before, weights(net))


@pytest.mark.parametrize("micro", [16, 5])
@pytest.mark.parametrize("clip", [math.inf, 0.05])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_gradients_as_rows_change_nothing(
    micro: int, clip: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights after 20 steps equal those with whole gradients; also rows not touched move."""
    nets = []
    for large in (10**9, 1):
        monkeypatch.setattr(RowGradients.__init__, "__defaults__", (large,))
        net, work = Net(dropout=0.0), Toy()
        recipe = Recipe(1, 16, RATE, clip=clip, weight_decay=0.3)
        stepper = Stepper(net, work, recipe, layers(net), precision, micro)
        norms = [float(stepper.take(np.arange(k, k + 13), 0.5, 0, k).norm) for k in range(20)]
        nets.append((net, norms))
    (whole, one), (rows, other) = nets
    assert one == pytest.approx(other, rel=1e-3)
    for a, b in zip(whole.parameters(), rows.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert rows.words.sparse is False


def test_rows_are_used_only_where_they_pay_and_hold() -> None:
    """Not for small, tied, frozen or frequency-scaled embeddings, nor for those not trained."""
    assert row_gradients._LARGE == 10**6

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tied, self.free = nn.Embedding(9, 4), nn.Embedding(9, 4)
            self.counted = nn.Embedding(9, 4, scale_grad_by_freq=True)
            self.frozen = nn.Embedding(9, 4)
            self.out = nn.Linear(4, 9, bias=False)
            self.out.weight = self.tied.weight

    net = Tied()
    trained = [net.tied.weight, net.free.weight, net.counted.weight]
    assert RowGradients(net, trained, 1)._modules == [net.free]
    assert RowGradients(net, trained)._modules == []
