"""Dropout from random bytes does what torch's does."""

from __future__ import annotations

import math

import pytest
import torch
from loop_toys import RATE, Net, Toy, same, train, weights
from torch import nn

from attain.learners._torch.dropout import drop, from_bytes, keep_mask
from attain.learners._torch.recipe import Recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_and_mean_are_those_asked_for(p: float, dtype: torch.dtype) -> None:
    """The dropped share is p within 1/512 and noise, and the mean of what is left stays."""
    torch.manual_seed(0)
    n = 200_001  # not a multiple of eight
    found = drop(nn.Dropout(p), torch.ones(n, dtype=dtype)).float()
    share = float((found == 0).float().mean())
    noise = 4 * math.sqrt(p * (1 - p) / n)
    assert abs(share - p) <= 1 / 512 + noise
    assert float(found.mean()) == pytest.approx(1, abs=noise / (1 - p) + 0.01)


def test_neighbours_are_independent() -> None:
    """Values that share a 64-bit draw are dropped independently of each other."""
    torch.manual_seed(1)
    dropped = (keep_mask(torch.empty(80_000), 64) == 0).view(-1, 8).float()
    seen = torch.corrcoef(dropped.T) - torch.eye(8)
    assert float(seen.abs().max()) < 4 / math.sqrt(10_000)


def test_the_gradient_passes_where_the_value_did() -> None:
    """The gradient is the mask that the values were multiplied with."""
    x = torch.randn(7, 33, requires_grad=True)
    y = drop(nn.Dropout(0.25), x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad * x, y)


def test_a_seed_fixes_what_is_dropped() -> None:
    """Equal seeds drop alike, others do not."""
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(keep_mask(torch.empty(500), 100))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.9999, 1.0])
def test_shares_that_no_byte_can_say(p: float) -> None:
    """No share is changed from never to sometimes or from sometimes to always."""
    x = torch.ones(1_000)
    share = float((drop(nn.Dropout(p), x) == 0).float().mean())
    assert share == pytest.approx(p, abs=0.01)


def test_layers_are_as_before_afterwards() -> None:
    """Only in training, only inside the context, and not on other devices."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4))
    x = torch.ones(64, 4)
    with from_bytes(net, CPU):
        assert "forward" in vars(net[0])
        assert bool((net.train()[0](x) == 0).any())
        assert torch.equal(net.eval()[0](x), x)
    assert "forward" not in vars(net[0])
    with from_bytes(net, torch.device("meta")):
        assert "forward" not in vars(net[0])


def test_the_loop_draws_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout in the network, a fit draws through this module and is the same again."""
    drawn = []
    kept = keep_mask
    monkeypatch.setattr(
        "attain.learners._torch.dropout.keep_mask", lambda *a: drawn.append(1) or kept(*a)
    )
    fits = []
    for _ in range(2):
        net = Net(dropout=0.3)
        train(net, Toy(64), Recipe(1, 16, RATE))
        fits.append(weights(net))
    assert drawn
    assert same(*fits)
