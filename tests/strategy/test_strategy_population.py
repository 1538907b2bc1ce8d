"""Population-based training: who goes on, who takes over whose state, and what changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attain.core.space import Categorical, Float, Space
from attain.core.types import Observed, Signal
from attain.strategy.population import Population
from attain.testing.strategy_suite import check_strategy

SPACE = Space(
    (
        Float(name="mlp.rate", low=1e-4, high=1e-2, scale="log", default=1e-3),
        Categorical(name="mlp.kind", choices=("a", "b")),
    )
)
FOUR = Population(search="random", size=4)


def waiting(name: str, loss: float, step: int = 10, rate: float = 1e-3) -> Observed:
    config = {"mlp.rate": rate, "mlp.kind": "a"}
    curve = ((1, 9.0), (step, loss))
    return Observed(name, config, "raced", curve=curve, step=step, adjustable=("mlp.rate",))


MEMBERS = tuple(waiting(f"t{i}", loss) for i, loss in enumerate((0.4, 0.1, 0.3, 0.2)))


def test_the_population_is_completed_before_anybody_goes_on() -> None:
    """New ones first, then those that wait; never more than were asked for."""
    made = FOUR.propose(SPACE, MEMBERS[:3], 3, 0)
    assert [p.parent for p in made] == ["", "t0", "t1"]
    assert [p.parent for p in FOUR.propose(SPACE, MEMBERS, 2, 0)] == ["t0", "t1"]
    assert len(FOUR.propose(SPACE, (), 6, 0)) == 6


def test_the_worst_takes_over_the_best_and_explores() -> None:
    """Its place, another's state; the rate is 0.8 or 1.2 times the other's, the rest is its."""
    rivals = (replace(MEMBERS[1], config={"mlp.rate": 5e-3, "mlp.kind": "b"}), *MEMBERS[2:])
    first = FOUR.propose(SPACE, (MEMBERS[0], *rivals), 1, 0)[0]
    assert (first.parent, first.origin) == ("t0", "t1")
    assert first.config["mlp.kind"] == "b"
    assert first.config["mlp.rate"] in (pytest.approx(4e-3), pytest.approx(6e-3))
    assert "t0, number 4 of 4 at step 10, takes over the state of t1" in first.reason


def test_others_go_on_as_they_are_the_least_far_first() -> None:
    """Their own state and configuration."""
    far = replace(MEMBERS[1], step=20, curve=((1, 9.0), (10, 0.1), (20, 0.05)))
    made = FOUR.propose(SPACE, (MEMBERS[2], far, MEMBERS[3], MEMBERS[0]), 4, 0)
    assert [p.parent for p in made] == ["t0", "t2", "t3", "t1"]
    assert [p.origin for p in made] == ["t1", "", "", ""]
    assert made[1].config == MEMBERS[2].config


def test_exploring_stays_within_the_range() -> None:
    """At the upper end of it, whichever way was drawn."""
    best = replace(MEMBERS[1], config={"mlp.rate": 1e-2, "mlp.kind": "a"})
    rates = {
        round(float(made.config["mlp.rate"]), 9)
        for seed in range(8)
        for made in FOUR.propose(SPACE, (MEMBERS[0], best, *MEMBERS[2:]), 1, seed)
    }
    assert rates == {1e-2, 8e-3}


@pytest.mark.parametrize("count", [2, 3])
def test_a_small_population_copies_nobody(count: int) -> None:
    """A quarter of three is none."""
    small = Population(search="random", size=count)
    assert all(not p.origin for p in small.propose(SPACE, MEMBERS[:count], count, 0))


def test_it_pauses_what_can_be_adjusted_and_nothing_else() -> None:
    """Every ten steps, again and again; other learners run to their end."""
    own = Observed("t9", {}, "running", adjustable=("mlp.rate",))
    losses = {step: {"t9": [1.0] * step} for step in (9, 10, 15, 20)}
    told = {step: FOUR.judge([own], running) for step, running in losses.items()}
    assert told == {9: {}, 10: {"t9": Signal.PAUSE}, 15: {}, 20: {"t9": Signal.PAUSE}}
    assert FOUR.judge([replace(own, adjustable=())], losses[10]) == {}
    assert Population(every=3).judge([own], losses[9]) == {"t9": Signal.PAUSE}


def test_it_keeps_the_contract() -> None:
    """With any search inside; a cheap one here."""
    check_strategy(lambda: Population(search="random"))


class Grasping(Population):
    """Goes on with a trial that has ended."""

    def propose(self, space, history, n, seed):  # type: ignore[no-untyped-def]
        made = super().propose(space, history, n, seed)
        return tuple(replace(p, parent="t0") if p.parent else p for p in made)


def test_the_suite_notices_who_goes_on_with_what_does_not_wait() -> None:
    """Each waiting trial once at most, and no other."""
    with pytest.raises(AssertionError, match="goes on with t0, which does not wait"):
        check_strategy(lambda: Grasping(search="random"))
