"""Which rows each step sees, the layout in memory, the rates: against references."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_toys import RATE, Endless, Net, Toy, layers, same, train, weights
from torch import nn

from attain.learners._torch.batches import (
    Order,
    epoch_batches,
    micro_batches,
    padded,
    steps_per_epoch,
    total_steps,
)
from attain.learners._torch.optimizer import Group, adamw, group_by, one_group, set_rate
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.schedule import factor, warmup_steps
from attain.learners._torch.step import OutOfMemory, Stepper

TOLERANCE = 2e-6


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_every_row_comes_once_in_an_epoch(rows: int, batch: int, bucket: int, seed: int) -> None:
    """Whatever the sizes; only one batch is short; batches are sorted from long to short."""
    lengths = np.random.default_rng(seed).integers(1, 50, rows)
    order = Order(lengths, batch, bucket, seed)
    for epoch in range(2):
        steps = range(epoch * order.per_epoch, (epoch + 1) * order.per_epoch)
        batches = [order.rows(step) for step in steps]
        assert sorted(np.concatenate(batches)) == list(range(rows))
        assert sorted(len(b) for b in batches)[1:] == [batch] * (order.per_epoch - 1)
        assert all((np.diff(lengths[b]) <= 0).all() for b in batches)


def test_any_step_can_be_asked_for_in_any_order() -> None:
    """So no position of the data needs to be kept for a restart."""
    lengths = np.random.default_rng(0).integers(1, 50, 77)
    forward, jumping = Order(lengths, 8, 3, 5), Order(lengths, 8, 3, 5)
    wanted = [forward.rows(step) for step in range(40)]
    for step in np.random.default_rng(1).permutation(40):
        assert np.array_equal(jumping.rows(int(step)), wanted[step])


def test_order_depends_on_seed_and_epoch() -> None:
    """Epochs are not repeats of each other."""
    lengths = np.random.default_rng(0).integers(1, 50, 64)
    order = Order(lengths, 64, 1, 5)
    assert order.rows(0).tolist() != order.rows(1).tolist()
    assert order.rows(0).tolist() != Order(lengths, 64, 1, 6).rows(0).tolist()


def test_each_row_is_equally_likely_in_each_batch() -> None:
    """Long rows come neither first nor last: the mean place of each is the middle, over 400."""
    lengths = np.sort(np.random.default_rng(0).integers(1, 50, 60))
    places = np.zeros((400, 60))
    for seed in range(400):
        for place, rows in enumerate(epoch_batches(lengths, 6, 2, np.random.default_rng(seed))):
            places[seed, rows] = place
    spread = math.sqrt((10**2 - 1) / 12 / 400)  # of the mean of a uniform place among 10
    assert np.abs(places.mean(0) - 4.5).max() < 4 * spread


def test_a_bucket_of_one_is_a_uniform_draw() -> None:
    """The mean length in a batch spreads as that of random rows does; buckets make it wider."""
    lengths = np.random.default_rng(0).integers(1, 100, 640)
    spread = {}
    for bucket in (1, 10):
        batches = epoch_batches(lengths, 16, bucket, np.random.default_rng(2))
        spread[bucket] = float(np.std([lengths[b].mean() for b in batches]))
    assert spread[1] == pytest.approx(lengths.std() / 4, rel=0.35)
    assert spread[10] > 2.5 * spread[1]


def test_buckets_save_padding() -> None:
    """Lengths as of short messages: from over half to under a tenth."""
    lengths = np.random.default_rng(0).lognormal(3, 0.6, 5000).astype(int) + 3
    share = {
        b: padded(lengths, epoch_batches(lengths, 16, b, np.random.default_rng(0))) for b in (1, 50)
    }
    assert share[1] > 0.5
    assert share[50] < 0.1


def test_few_rows_do_not_get_the_same_batches_in_every_epoch() -> None:
    """With distinct lengths and one window, all epochs would be cut alike."""
    order = Order(np.arange(1, 65), 8, 50, 0)
    epochs = [{tuple(order.rows(e * 8 + s)) for s in range(8)} for e in range(2)]
    assert not epochs[0] & epochs[1]


def test_steps_are_counted_with_the_short_one() -> None:
    """Also when there is nothing but a short one."""
    assert (steps_per_epoch(33, 16), steps_per_epoch(32, 16), steps_per_epoch(1, 16)) == (3, 2, 1)
    assert (total_steps(33, 16, 2.5), total_steps(5, 16, 0.1)) == (8, 1)


@given(st.integers(1, 64), st.integers(1, 64))
def test_parts_of_a_step_fit_and_keep_the_order(rows: int, micro: int) -> None:
    """No part is larger than asked for, none much smaller than another."""
    parts = micro_batches(np.arange(rows), micro)
    assert np.concatenate(parts).tolist() == list(range(rows))
    assert max(map(len, parts)) <= micro
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def _stepper(work: Toy, micro: int, batch: int = 16) -> tuple[Net, Stepper]:
    net = Net(dropout=0.0)
    recipe = Recipe(1, batch, RATE, clip=math.inf)
    return net, Stepper(net, work, recipe, layers(net), "fp32", micro)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 16), st.integers(1, 16), st.booleans(), st.integers(0, 9))
def test_layout_changes_neither_loss_nor_gradient(
    micro: int, rows: int, weighted: bool, seed: int
) -> None:
    """Any number of parts, also of a short step, also with unequal weights of units."""
    work = Toy(seed=seed)
    work.weights = torch.tensor([0.2, 1.0, 5.0]) if weighted else work.weights
    chosen = np.random.default_rng(seed).permutation(103)[:rows]
    whole, parts = _stepper(work, 16), _stepper(work, micro)
    one = whole[1].take(chosen, 1.0, 0, 0)
    other = parts[1].take(chosen, 1.0, 0, 0)
    assert one.units == pytest.approx(other.units)
    assert torch.allclose(one.loss, other.loss, rtol=1e-5)
    assert torch.allclose(one.norm, other.norm, rtol=1e-4)
    for a, b in zip(whole[0].parameters(), parts[0].parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=TOLERANCE)


def test_gradient_is_that_of_the_mean_over_units() -> None:
    """Against torch's own weighted mean over the whole step, not a mean of means."""
    work = Toy()
    work.weights = torch.tensor([0.2, 1.0, 5.0])
    rows = np.arange(13)
    net, stepper = _stepper(work, 3)
    reference = Net(dropout=0.0)
    batch = work.batch(rows)
    scores = reference(batch["x"], batch["lengths"])
    nn.functional.cross_entropy(scores, batch["y"], weight=work.weights).backward()
    stepper.take(rows, 1.0, 0, 0)
    for a, b in zip(net.parameters(), reference.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=TOLERANCE)


def test_a_fit_in_parts_ends_like_one_in_wholes() -> None:
    """103 rows at 16: the last step of each epoch has 7."""
    ends = []
    for micro in (0, 4):
        net = Net(dropout=0.0)
        work = Endless()
        train(net, work, Recipe(2, 16, RATE, micro=micro))
        assert max(map(len, work.seen)) == (micro or 16)
        ends.append(net)
    for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


class Small(Toy):
    """Memory for so many examples; beyond, one of the errors that torch knows raises."""

    def __init__(self, room: int, error: BaseException) -> None:
        super().__init__()
        self.room, self.error = room, error

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        loss = super().loss(net, batch)  # the buffer of the network has changed by now
        if net.training and len(batch["y"]) > self.room:
            raise self.error
        return loss


ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_memory_that_runs_out_halves_the_parts_and_repeats_the_step(error: BaseException) -> None:
    """As if it had begun with small parts: same steps, dropout included, to the last bit."""
    net, planned = Net(), Net()
    done = train(net, Small(5, error))
    train(planned, Toy(), Recipe(3, 16, RATE, micro=4))
    assert (done.facts["micro"], done.facts["halvings"], done.steps) == (4, 2, 21)
    assert same(weights(net), weights(planned))


def test_memory_that_never_suffices_is_said_plainly() -> None:
    """The message says what to do, and the trial's watch sees a MemoryError."""
    with pytest.raises(OutOfMemory, match=r"step 1: one example must fit .* shorten the examples"):
        train(Net(), Small(0, MemoryError()))
    assert issubclass(OutOfMemory, MemoryError)


def test_other_errors_pass() -> None:
    """Only memory is recovered from."""
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(Net(), Small(5, RuntimeError("shapes do not match")))


@pytest.mark.parametrize("shape", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("steps", "share"), [(30, 0.1), (30, 0.0), (7, 0.5), (1, 0.1), (5, 1.0)])
def test_rates_are_those_of_transformers(shape: str, steps: int, share: float) -> None:
    """Of one step more, from the second value on: its first step has rate 0."""
    from transformers import optimization

    warmup = warmup_steps(steps, share)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    if shape == "constant":
        make = optimization.get_constant_schedule_with_warmup
        schedule = make(optimizer, warmup + 1)
    else:
        make = getattr(optimization, f"get_{shape}_schedule_with_warmup")
        schedule = make(optimizer, warmup + 1, steps + 1)
    for step in range(steps):
        optimizer.step()
        schedule.step()
        found = factor(step, steps, warmup, shape)
        assert found == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        assert 0 < found <= 1


def test_updates_are_those_of_adamw_step_by_step() -> None:
    """torch's AdamW with groups written out by hand, its own clipping, transformers' schedule."""
    from transformers.optimization import get_linear_schedule_with_warmup

    work, net, reference = Toy(), Net(dropout=0.0), Net(dropout=0.0)
    recipe = Recipe(2, 16, RATE, weight_decay=0.3, layer_decay=0.5, clip=0.5)
    stepper = Stepper(net, work, recipe, layers(net), "fp32", 16)
    r = reference
    hand = torch.optim.AdamW(
        [
            {"params": [r.words.weight], "lr": RATE / 4, "weight_decay": 0.3},
            {"params": [r.middle.weight], "lr": RATE / 2, "weight_decay": 0.3},
            {"params": [r.middle.bias, *r.norm.parameters()], "lr": RATE / 2, "weight_decay": 0.0},
            {"params": [r.head.weight], "lr": RATE, "weight_decay": 0.3},
            {"params": [r.head.bias], "lr": RATE, "weight_decay": 0.0},
        ],
        foreach=False,
    )
    schedule = get_linear_schedule_with_warmup(hand, 3, 15)
    order = Order(work.lengths, 16, recipe.bucket, 0)
    hand.step()  # without gradients: does nothing, but schedules are to be stepped after it
    for step in range(14):
        rows = order.rows(step)
        schedule.step()
        stepper.take(rows, factor(step, 14, 2, "linear"), 0, step)
        hand.zero_grad()
        batch = work.batch(rows)
        scores = reference(batch["x"], batch["lengths"])
        nn.functional.cross_entropy(scores, batch["y"]).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        hand.step()
        for a, b in zip(net.parameters(), reference.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_one_dimension_means_no_decay() -> None:
    """Biases and norms are not decayed, matrices are."""
    net = Net()
    groups = adamw(one_group(net), Recipe(1, 16, RATE, weight_decay=0.1)).param_groups
    decays = {p.ndim >= 2: g["weight_decay"] for g in groups for p in g["params"]}
    assert decays == {True: 0.1, False: 0.0}


def test_depth_and_rate_multiply() -> None:
    """Peak, depth, own rate and schedule are factors of one product."""
    net = Net()
    groups = group_by(net, lambda name: 2, lambda name: 10.0 if "head" in name else 1.0)
    optimizer = adamw(groups, Recipe(1, 16, 1.0, layer_decay=0.5))
    set_rate(optimizer, 0.5)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(net.head.bias)] == 1.25
    assert rates[id(net.words.weight)] == 0.125


def test_unused_parameters_stay_as_they_are() -> None:
    """A head that the loss does not reach gets no gradient and no decay."""
    net = Net()
    net.spare = nn.Linear(3, 3)
    before = net.spare.weight.clone()
    groups = (*layers_of(net), Group(dict(net.spare.named_parameters(prefix="spare"))))
    stepper = Stepper(net, Toy(), dataclasses.replace(Recipe(1, 16, RATE)), groups, "fp32", 16)
    stepper.take(np.arange(16), 1.0, 0, 0)
    assert torch.equal(net.spare.weight, before)


def test_groups_of_another_network_are_refused() -> None:
    """Else nothing would be trained and nobody would know."""
    with pytest.raises(ValueError, match="groups must hold parameters of the network"):
        Stepper(Net(), Toy(), Recipe(1, 16, RATE), layers(Net()), "fp32", 16)


def test_a_loss_that_reaches_nothing_trained_is_refused() -> None:
    """Else the curve would be flat without a word."""
    net = Net()
    net.spare = nn.Linear(3, 3)
    groups = (Group(dict(net.spare.named_parameters())),)
    stepper = Stepper(net, Toy(), Recipe(1, 16, RATE), groups, "fp32", 16)
    with pytest.raises(ValueError, match="must depend on a trained parameter"):
        stepper.take(np.arange(16), 1.0, 0, 0)


def layers_of(net: Net) -> tuple[Group, ...]:
    return group_by(net.head, lambda name: 0)
