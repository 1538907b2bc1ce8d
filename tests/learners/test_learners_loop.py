"""The loop: what it reports, when it ends, what it keeps, and that each option matters."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from loop_toys import RATE, Endless, Listener, Net, Toy, layers, same, train, weights
from torch import nn

from attain.core.errors import DataError, SpecError
from attain.core.types import Signal
from attain.learners._torch import device as devices
from attain.learners._torch.average import decay_at
from attain.learners._torch.batches import rounds_at, span
from attain.learners._torch.loop import Ending
from attain.learners._torch.recipe import Recipe
from attain.train.limits import Divergence

BASE = Recipe(3, 16, RATE)


def test_learns_and_reports_what_watchers_need() -> None:
    """The loss falls; every report has finite train, gradient norm, rate and throughput."""
    listen, net = Listener(), Net()
    done = train(net, Toy(400), Recipe(12, 16, 3e-2, patience=20), listen=listen)
    looks = [v for _, v in listen.heard if "stop" in v]
    assert done.best["stop"] < 0.5 * looks[0]["stop"]
    assert all({"train", "grad_norm", "lr", "units_per_s"} <= v.keys() for _, v in listen.heard)
    assert all(math.isfinite(x) for _, v in listen.heard for x in v.values())
    assert done.best["stop"] == min(v["stop"] for v in looks)
    assert done.epochs == done.best_step / 25


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2.5}, {"batch": 8}, {"learning_rate": 2e-2}, {"weight_decay": 0.5},
        {"warmup": 0.5}, {"schedule": "cosine"}, {"schedule": "constant"}, {"clip": 0.01},
        {"layer_decay": 0.5}, {"ema": 0.9}, {"precision": "bf16"}, {"bucket": 1},
    ],
    ids=str,
)  # fmt: skip
def test_each_option_changes_the_weights(change: dict[str, Any]) -> None:
    """No option is accepted and dropped."""
    plain, changed = Net(), Net()
    train(plain, Endless(203), BASE)
    train(changed, Endless(203), dataclasses.replace(BASE, **change))
    assert not same(weights(plain), weights(changed))


def test_evaluations_come_at_the_interval_and_at_the_end() -> None:
    """0.4 of 10 steps are 4; the last step of 2.2 epochs is looked at as well."""
    listen = Listener()
    train(Net(), Toy(100), Recipe(2.2, 10, RATE, evaluate=0.4, patience=99), listen=listen)
    assert [s for s, v in listen.heard if "stop" in v] == [4, 8, 12, 16, 20, 22]


def test_patience_ends_it_and_the_best_weights_are_kept() -> None:
    """With a script of losses, the weights are those of the smallest one."""
    script = iter([3.0, 1.0, 2.0, math.pi, 2.5, 9.0])
    kept: list[dict[str, torch.Tensor]] = []

    class Scripted(Toy):
        def evaluate(self, net: nn.Module) -> dict[str, float]:
            kept.append(weights(net))
            return {"stop": next(script)}

    net = Net()
    done = train(net, Scripted(160), Recipe(9, 16, RATE, evaluate=0.5, patience=3))
    assert done.ending is Ending.PATIENCE
    assert (done.best_step, done.steps, done.best) == (10, 25, {"stop": 1.0})
    assert same(weights(net), kept[1])
    assert not net.training


def test_stop_ends_with_the_best_weights() -> None:
    """The answer to a report is obeyed at once."""
    net, listen = Net(), Listener(at=7)
    done = train(net, Toy(), listen=listen)
    assert (done.ending, done.steps) == (Ending.STOPPED, 7)


@pytest.mark.parametrize(
    ("rows", "epochs", "wanted"),
    [
        (70, 3.0, [4, 7, 11, 14, 18, 21]),  # 7 steps an epoch: none at 20 besides the end
        (90, 2.0, [5, 9, 14, 18]),
        (90, 2.5, [5, 9, 14, 18, 22]),  # epochs that end between two evaluations
        (90, 2.1, [5, 9, 14, 19]),  # and shortly after one, which is left out
        (50, 3.0, [3, 5, 8, 10, 13, 15]),
    ],
)
def test_half_epochs_of_an_odd_number_of_steps(rows: int, epochs: float, wanted: list[int]) -> None:
    """Evaluations are evenly spread, none comes shortly before the end, and rounds lead there."""
    listen = Listener()
    told = Recipe(epochs, 10, RATE, evaluate=0.5, patience=99)
    done = train(Net(), Toy(rows), told, listen=listen)
    assert [step for step, values in listen.heard if "stop" in values] == wanted
    every = span(rows, 10, 0.5)
    places = [rounds_at(step, every, int(done.facts["planned"])) for step in wanted]
    again = [min(math.ceil(n * every - 1e-9), done.steps) for n in places]
    assert again == wanted


def test_without_evaluations_the_length_is_fixed_and_the_last_weights_stay() -> None:
    """All planned steps are done, and none is called the best."""
    done = train(Net(), Endless(), BASE)
    assert (done.ending, done.steps, done.best_step, done.best) == (Ending.COMPLETE, 21, 21, {})


def test_a_shorter_fit_walks_the_first_steps_of_the_longer_one() -> None:
    """`steps` ends it early on the same schedule: the refit's weights are the first fit's."""
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(Toy):
        def evaluate(self, net: nn.Module) -> dict[str, float]:
            seen.append(weights(net))
            return {"stop": 1.0 / len(seen)}

    train(Net(), Watched(), Recipe(3, 16, RATE, evaluate=1))
    short = Net()
    done = train(short, Endless(), Recipe(3, 16, RATE, evaluate=1), steps=14)
    assert done.steps == 14
    assert same(weights(short), seen[1])


def test_moving_average_equals_a_loop_by_hand() -> None:
    """What is evaluated and kept is the average of the weights after each step."""
    trained: list[dict[str, torch.Tensor]] = []
    recipe = Recipe(2, 16, RATE, ema=0.8, evaluate=0.01, patience=99)

    class Raw(Toy):
        def evaluate(self, net: nn.Module) -> dict[str, float]:
            trained.append(weights(net))
            return {"stop": 1.0 / len(trained)}

    train(Net(), Raw(), dataclasses.replace(recipe, ema=0.0))
    averaged, raw = Net(), trained.copy()
    mean = {name: value.clone() for name, value in averaged.named_parameters()}
    for step, after in enumerate(raw):
        kept = min(0.8, (1 + step) / (10 + step))
        mean = {name: kept * value + (1 - kept) * after[name] for name, value in mean.items()}
    trained.clear()
    train(averaged, Raw(), recipe)
    assert all(torch.allclose(p, mean[n], atol=1e-6) for n, p in averaged.named_parameters())
    assert decay_at(10**6, 0.8) == 0.8


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_not_finite_ends_with_nan_in_the_report(where: str) -> None:
    """The trial's watch names it, and the best weights before it are in the network."""

    class Breaks(Toy):
        calls = 0

        def loss(self, net: nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
            loss, units = super().loss(net, batch)
            self.calls += net.training
            if net.training and self.calls > 9:
                # the square root's slope at 0 is infinite
                bad = (loss - loss.detach()).sqrt() if where == "gradient" else loss * math.nan
                loss = loss + bad
            return loss, units

    listen, net = Listener(), Net()
    done = train(net, Breaks(), Recipe(3, 16, RATE, evaluate=1), listen=listen)
    assert (done.ending, done.best_step) == (Ending.DIVERGED, 7)
    assert "the train loss is nan at step 10" in Divergence().problem(*listen.heard[-1])
    assert all(torch.isfinite(value).all() for value in weights(net).values())


def test_a_measure_that_is_nan_ends_it() -> None:
    """A network that cannot be measured is not trained on."""

    class Lost(Toy):
        def evaluate(self, net: nn.Module) -> dict[str, float]:
            return {"stop": math.nan}

    assert train(Net(), Lost()).ending is Ending.DIVERGED


def test_evaluations_must_say_what_to_stop_on() -> None:
    """A name that is not understood is no silent end of early stopping."""

    class Unsaid(Toy):
        def evaluate(self, net: nn.Module) -> dict[str, float]:
            return {"accuracy": 1.0}

    with pytest.raises(ValueError, match=r"must measure 'stop' \(got \['accuracy'\]\)"):
        train(Net(), Unsaid())


def test_throughput_counts_all_units_but_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a simulated clock: a second a step, a minute for each evaluation."""
    now = [0.0]
    monkeypatch.setattr("attain.learners._torch.meter.time.monotonic", lambda: now[0])

    class Timed(Toy):
        def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
            now[0] += 1.0
            return super().batch(rows)

        def evaluate(self, net: nn.Module) -> dict[str, float]:
            now[0] += 60.0
            return super().evaluate(net)

    listen = Listener()
    done = train(Net(), Timed(160), Recipe(2, 16, RATE, patience=9), listen=listen)
    assert [v["units_per_s"] for _, v in listen.heard] == [pytest.approx(16.0)] * 20
    assert done.facts["units_per_s"] == pytest.approx(16.0)


def test_steps_without_supervision_are_refused() -> None:
    """All labels masked is an error before the first update, not a loss of 0."""
    work = Toy()
    work.weights = torch.zeros(3)
    with pytest.raises(DataError, match=r"must have supervised examples or tokens \(got 0 units\)"):
        train(Net(), work)


def test_leaves_generators_and_threads_as_they_were() -> None:
    """What the caller draws afterwards does not depend on the fit."""
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    train(Net(), Toy())
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_uses_the_threads_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are set, and set back."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    with devices.threads(7):
        assert asked == [7]
    assert asked == [7, torch.get_num_threads()]


def test_the_seed_decides_everything_random() -> None:
    """Equal seeds give equal bits, other seeds do not."""
    nets = [Net(), Net(), Net()]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        train(net, Toy(), seed=seed)
    assert same(weights(nets[0]), weights(nets[1]))
    assert not same(weights(nets[0]), weights(nets[2]))


def test_seeds_of_steps_are_distinct_and_unlike() -> None:
    """Over 50 seeds and 200 steps: no two alike, and each bit is set half of the time."""
    mixed = [devices._mix(devices._mix(seed) + step) for seed in range(50) for step in range(200)]
    assert len(set(mixed)) == 10_000
    share = np.mean([[m >> bit & 1 for bit in range(64)] for m in mixed], axis=0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 100
    assert devices._mix(0) == 0xE220A8397B1DCDAF  # the reference's first value


def test_clipped_share_is_among_the_facts() -> None:
    """All steps above a tiny limit, none above an infinite one."""
    assert train(Net(), Toy(), dataclasses.replace(BASE, clip=1e-6)).facts["clipped"] == 1.0
    assert train(Net(), Toy(), dataclasses.replace(BASE, clip=math.inf)).facts["clipped"] == 0.0


def test_frozen_parameters_do_not_move() -> None:
    """Neither by gradient nor by decay."""
    net = Net()
    net.words.weight.requires_grad_(False)
    before = net.words.weight.clone()
    train(net, Toy())
    assert torch.equal(before, net.words.weight)


def test_half_precision_scales_the_loss_and_survives_overflow() -> None:
    """Steps whose scaled gradient overflows are skipped, counted, and do not end it."""

    class Steep(Toy):
        def loss(self, net: nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
            loss, units = super().loss(net, batch)
            return loss * 1000, units  # times the first scale, 2**16: beyond float16

    listen = Listener()
    recipe = Recipe(6, 16, RATE, precision="fp16", patience=99)
    done = train(Net(dropout=0.0), Steep(), recipe, listen=listen)
    assert done.ending is Ending.COMPLETE
    assert 0 < done.facts["skipped"] < 20
    assert listen.heard[-1][1]["train"] < listen.heard[0][1]["train"]


def test_half_precision_that_never_works_ends() -> None:
    """After as many steps as the scale could have fallen."""

    class Broken(Toy):
        def loss(self, net: nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
            loss, units = super().loss(net, batch)
            return loss + (loss - loss.detach()).sqrt(), units

    done = train(Net(), Broken(), Recipe(9, 16, RATE, precision="fp16", patience=99))
    assert (done.ending, done.steps) == (Ending.DIVERGED, 40)


@pytest.mark.parametrize(
    ("hardware", "width", "found"), [(True, 128, "bf16"), (True, 64, "fp32"), (False, 128, "fp32")]
)
def test_auto_precision_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, width: int, found: str
) -> None:
    """Short formats only where the processor has them and the matrices are wide."""
    monkeypatch.setattr(devices, "multiplies_bf16", lambda: hardware)
    assert devices.precision("auto", torch.device("cpu"), nn.Linear(width, 500)) == found
    assert devices.precision("fp16", torch.device("cpu"), nn.Linear(width, 500)) == "fp16"


def test_lower_precision_reaches_the_same_loss() -> None:
    """bf16 within 2 % of fp32 on the toy, over three seeds."""
    for seed in range(3):
        ends = []
        for precision in ("fp32", "bf16"):
            recipe = Recipe(6, 16, RATE, precision=precision, patience=99)
            ends.append(train(Net(0.0), Toy(200), recipe, seed=seed).best["stop"])
        assert ends[1] == pytest.approx(ends[0], rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0"),
        ({"weight_decay": -1}, "weight_decay must be at least 0"),
        ({"warmup": 1.5}, r"warmup must be in \[0, 1\]"),
        ({"schedule": "liner"}, "did you mean 'linear'"),
        ({"clip": 0}, "clip must be above 0"),
        ({"layer_decay": 0}, r"layer_decay must be in \(0, 1\]"),
        ({"ema": 1}, r"ema must be in \[0, 1\)"),
        ({"precision": "fp8"}, "precision must be known"),
        ({"evaluate": 0}, "evaluate must be above 0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"micro": -1}, "micro must be at least 0"),
        ({"bucket": 0}, "bucket must be at least 1"),
        ({"compile": "maybe"}, "compile must be a boolean or 'auto'"),
    ],
    ids=str,
)
def test_unsound_recipes_are_refused(change: dict[str, Any], message: str) -> None:
    """Each rule names the field, what holds, and what was given."""
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(BASE, **change)


def test_all_problems_of_a_recipe_are_told_at_once() -> None:
    """Collected, then raised once."""
    with pytest.raises(SpecError, match=r"(?s)epochs.*batch.*schedule"):
        Recipe(0, 0, 1.0, schedule="x")


def test_batches_are_moved_whatever_their_shape() -> None:
    """On another device ('meta' stands for one) every tensor of a structure goes along."""
    meta, x = torch.device("meta"), torch.ones(2)
    moved = devices.move({"a": x, "b": [x, (x, "text")], "c": 3}, meta)
    assert moved["a"].device == moved["b"][0].device == moved["b"][1][0].device == meta
    assert (moved["b"][1][1], moved["c"]) == ("text", 3)
    batch = {"a": x}
    assert devices.move(batch, torch.device("cpu")) is batch


def test_groups_must_be_disjoint_and_trainable() -> None:
    """A parameter in two groups would be moved twice."""
    net = Net()
    groups = layers(net)
    from attain.learners._torch.optimizer import named

    with pytest.raises(ValueError, match=r"in one group .*got head.weight"):
        named((*groups, groups[0]))
    with pytest.raises(ValueError, match="a parameter to train"):
        named(())
    assert np.unique([g.depth for g in groups]).tolist() == [0, 1, 2]
    assert Listener()(1, {}) == Signal.CONTINUE


@pytest.mark.parametrize(("place", "gpu"), [(None, 2), ("0", 0), ("3", 3), ("5", 1)])
def test_workers_take_the_gpus_in_turn(monkeypatch, place, gpu):
    """The worker's number decides; outside of workers the user's choice of a GPU stands."""
    now = [2]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: now[0])
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: now.__setitem__(0, index))
    monkeypatch.delenv("ATTAIN_PLACE", raising=False)
    if place is not None:
        monkeypatch.setenv("ATTAIN_PLACE", place)
    assert devices.pick() == torch.device("cuda", gpu)
