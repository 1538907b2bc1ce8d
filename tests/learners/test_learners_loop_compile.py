"""Compiling: when it is done, and that it changes nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loop_toys import RATE, Endless, Net, Toy, same, train, weights
from torch import nn

from attain.learners._torch import compiling
from attain.learners._torch.compiling import Compiling, Gain, pays
from attain.learners._torch.recipe import Recipe


class Compiled(nn.Module):
    """Stands for what torch.compile returns: shares its parameters, and counts its calls."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self._orig_mod, self.calls = net, 0

    def forward(self, *inputs: Any) -> Any:
        self.calls += 1
        return self._orig_mod(*inputs)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Compiled]:
    found: list[Compiled] = []

    def fake(net: nn.Module, *, dynamic: bool) -> Compiled:
        assert dynamic, "every length would be compiled anew"
        found.append(Compiled(net))
        return found[-1]

    monkeypatch.setattr(torch, "compile", fake)
    return found


@pytest.mark.parametrize("compile_", [True, False])
def test_the_compiled_form_is_called_and_the_network_is_trained(
    compile_: bool, made: list[Compiled]
) -> None:
    """In steps and evaluations; the weights are those without."""
    net, plain = Net(), Net()
    done = train(net, Toy(), Recipe(2, 16, RATE, compile=compile_))
    assert done.facts["compiled"] is compile_
    assert [c.calls for c in made] == ([14 + 4] if compile_ else [])
    made.clear()
    train(plain, Toy(), Recipe(2, 16, RATE, compile=False))
    assert same(weights(net), weights(plain))


def test_auto_never_compiles_where_nothing_is_known_of_the_gain(made: list[Compiled]) -> None:
    """On the CPU it was measured not to pay."""
    assert train(Net(), Endless(), Recipe(20, 16, RATE)).facts["compiled"] is False
    assert not made


@pytest.mark.parametrize(("seconds", "compiled"), [(1e-9, True), (1e9, False)])
def test_auto_compiles_when_the_forecast_pays_for_it(
    seconds: float, compiled: bool, made: list[Compiled], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 50 steps, if those that are left take long enough; the steps before are eager."""
    monkeypatch.setitem(compiling.GAINS, "cpu", Gain(2.0, seconds, "a test"))
    done = train(Net(), Endless(), Recipe(20, 16, RATE))
    assert done.facts["compiled"] is compiled
    assert [c.calls for c in made] == ([140 - 50] if compiled else [])


def test_the_forecast_is_of_the_steps_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a simulated clock with slow first steps that do not count: a second each, 120 to win."""
    now = [0.0]
    monkeypatch.setattr(compiling.time, "monotonic", lambda: now[0])
    for left, due in ((1441, True), (1439, False)):
        decides, answers = Compiling("auto", "cuda"), []
        for step in range(60):
            now[0] += 100.0 if step < 10 else 1.0
            answers.append(decides.due(left))
        assert answers == [False] * 50 + [due] + [False] * 9


def test_short_runs_do_not_pay() -> None:
    """Ten minutes do not, an hour does; every row of the table has a source."""
    assert not pays("cuda", 600)
    assert pays("cuda", 3600)
    assert not pays("cpu", 1e9)
    assert all(gain.source for gain in compiling.GAINS.values())
