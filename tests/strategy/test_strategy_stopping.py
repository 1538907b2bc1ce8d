"""Strategies that end fits early: each rule by hand, and on curves whose order is known."""

from itertools import pairwise

import numpy as np
import pytest

from attain.core.registry import find
from attain.core.space import Float, Space
from attain.core.types import Observed, Signal
from attain.strategy._curves import best_until, is_milestone
from attain.strategy.curves import Curves
from attain.strategy.halving import Halving, Hyperband
from attain.strategy.median import Median

STOP, PAUSE = Signal.STOP, Signal.PAUSE
STEPS = 100


def done(*losses, steps=STEPS):
    """Finished trials with flat curves."""
    return [
        Observed(f"d{i}", {}, "done", loss, curve=tuple((s, loss) for s in range(1, steps + 1)))
        for i, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("curve", "step", "wanted"),
    [
        (((1, 3.0), (5, 1.0), (9, 2.0)), 9, 1.0),
        (((1, 3.0), (5, 1.0), (9, 2.0)), 4, 3.0),
        (((1, 3.0), (5, 1.0)), 6, None),
        (((5, 1.0), (9, 0.5)), 3, None),
        ((), 1, None),
    ],
)
def test_the_best_until_a_step(curve, step, wanted):
    """What a curve shows up to a step; nothing where it ends earlier or begins later."""
    assert best_until(curve, step) == wanted


@pytest.mark.parametrize(
    ("own", "others", "wanted"),
    [
        *((9.0, (), None), (9.0, (1.0,), None), (9.0, (1.0, 2.0), STOP)),
        *((0.5, (1.0, 2.0), None), (1.0, (1.0, 2.0), PAUSE), (1.5, (1, 2, 3, 4, 5), None)),
        *((2.5, (1, 2, 3, 4, 5), PAUSE), (2.5, (1, 2, 3, 4, 5, 6, 7, 8), None)),
        *((4.5, (1, 2, 3, 4, 5), STOP), (4.5, (1, 2, 3, 4, 5, 6, 7, 8), PAUSE)),
    ],
)
def test_one_in_three_goes_on_at_a_rung(own, others, wanted):
    """Among the best third of all that reached the rung, its own included; too few: all go on.
    The second third waits."""
    told = Halving().judge(done(*others), {"t": [own] * 10})
    assert told == ({"t": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("strategy", "step", "own", "few", "many"),
    [
        (Halving(), 30, 2.5, (1, 3, 4), (1, 3, 4, 5, 6)),
        (Median(), 26, 4.5, (1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
    ],
)
def test_a_paused_trial_goes_on_once_enough_worse_ones_have_come(strategy, step, own, few, many):
    """Asked again with the same losses, its own first showing left out of the comparison."""
    losses = {"t": [own] * step}
    itself = Observed("t", {}, "raced", None, curve=((1, own), (step, own)))
    assert strategy.judge(done(*few), losses) == {"t": PAUSE}
    assert strategy.judge([*done(*few), itself], losses) == {"t": PAUSE}
    assert strategy.judge([*done(*many), itself], losses) == {}


def test_rungs_are_powers_of_three_times_the_first():
    """The worst of many stops at 10, 30 and 90 steps, nowhere else."""
    stops = [
        step
        for step in range(1, STEPS + 1)
        if Halving().judge(done(*range(9)), {"t": [99.0] * step})
    ]
    assert stops == [10, 30, 90]


def test_a_trial_is_judged_by_its_best_loss_not_its_last():
    """A fit that was good and got worse keeps its best model, so that is what counts."""
    losses = [0.5] + [99.0] * 9
    assert Halving().judge(done(*range(1, 9)), {"t": losses}) == {}


def test_hyperband_grants_some_trials_more():
    """Of 60 trials about a third is judged at 10 steps, two thirds by 30, all by 90."""
    history, names = done(*range(9)), [f"t{i:04d}" for i in range(60)]
    stopped = [
        sum(bool(Hyperband().judge(history, {name: [99.0] * step})) for name in names)
        for step in (10, 30, 90)
    ]
    assert 10 <= stopped[0] <= 30
    assert 30 <= stopped[1] <= 50
    assert stopped[2] == 60


def test_milestones_grow_with_the_logarithm_of_steps():
    """All of the first nine, then about every sixth of the way so far."""
    found = [step for step in range(1, 1000) if is_milestone(step)]
    assert found[:9] == list(range(1, 10))
    assert all(1 <= b - a <= 1 + b / 6 for a, b in pairwise(found))
    assert len(found) < 45


def test_the_median_rule_waits_for_steps_and_fits_then_judges_at_milestones():
    """Nine steps or four fits are not enough; then worse than the median stops, better does not."""
    rule = Median()
    assert rule.judge(done(*range(9)), {"t": [99.0] * 9}) == {}
    assert rule.judge(done(*range(4)), {"t": [99.0] * 50}) == {}
    assert rule.judge(done(*range(9)), {"t": [4.5] * 26}) == {"t": PAUSE}
    assert rule.judge(done(*range(9)), {"t": [7.5] * 26}) == {"t": STOP}
    assert rule.judge(done(*range(9)), {"t": [3.9] * 26}) == {}


def falling(end, speed, steps=STEPS):
    """Losses that fall to an end."""
    return [end + np.exp(-step / speed) for step in range(1, steps + 1)]


def ran(*curves, status="done"):
    """Trials with these losses."""
    return [
        Observed(f"d{i}", {}, status, min(c), curve=tuple(enumerate(map(float, c), 1)))
        for i, c in enumerate(curves)
    ]


def test_a_fit_ends_when_it_will_hardly_become_the_best():
    """Flat and far behind is ended; as far behind but falling fast, or nearly as good, is not."""
    history = ran(*(falling(end, 15) for end in (0.0, 0.1, 0.2, 0.3, 0.4)))
    flat, fast = [1.0 + 0.001 * np.exp(-s) for s in range(34)], falling(0.0, 30, 34)
    assert Curves().judge(history, {"t": flat}) == {"t": STOP}
    assert Curves().judge(history, {"t": fast}) == {}
    assert Curves().judge(history, {"t": falling(0.0, 15, 34)}) == {}
    assert Curves(chance=0.0).judge(history, {"t": flat}) == {}


def test_extrapolation_looks_whenever_half_as_many_steps_are_added():
    """At 10, 15, 23, 34, 51 and 76 of a hundred steps."""
    history = ran(*(falling(end, 3) for end in (0.0, 0.1, 0.2, 0.3)))
    looks = [s for s in range(1, STEPS + 1) if Curves().judge(history, {"t": [9.0] * s})]
    assert looks == [10, 15, 23, 34, 51, 76]
    assert Curves(first=20).judge(history, {"t": [9.0] * 15}) == {}


def test_only_fits_that_ran_to_their_end_teach_how_curves_go_on():
    """Fits that were ended say nothing of what would have come; two finished ones are too few."""
    curves, worst = [falling(end, 3) for end in (0.0, 0.1, 0.2, 0.3)], {"t": [9.0] * 10}
    assert Curves().judge(ran(*curves), worst) == {"t": STOP}
    assert Curves().judge(ran(*curves, status="raced"), worst) == {}
    assert Curves().judge(ran(*curves[:2]), worst) == {}
    assert Curves(fewest=2).judge(ran(*curves[:2]), worst) == {"t": STOP}


def test_extrapolation_leaves_odd_losses_alone():
    """Infinite or missing losses, here or in the history, neither stop a fit nor break anything."""
    history = ran(*(falling(end, 3) for end in (0.0, 0.1, 0.2, 0.3)))
    odd = ran([np.inf] * STEPS, [np.nan] * STEPS)
    assert Curves().judge(history, {"t": [np.inf] * 5 + [9.0] * 5}) == {}
    assert Curves().judge(odd + history, {"t": [9.0] * 10}) == {"t": STOP}
    assert Curves().judge(history, {"t": [-1.0] * 10}) == {}


def test_fits_that_ended_before_a_step_do_not_count_there():
    """A rung compares with those that came as far."""
    assert Halving().judge(done(*range(9), steps=20), {"t": [99.0] * 30}) == {}


@pytest.mark.parametrize("name", ["curves", "halving", "hyperband", "median"])
def test_they_propose_what_the_strategy_inside_proposes(name):
    """What to try is left to Bayesian search."""
    space = Space((Float(name="x", low=0, high=1, default=0.5),))
    assert find("strategy", name)().propose(space, [], 3, 7) == find("strategy", "bayes")().propose(
        space, [], 3, 7
    )


@pytest.mark.parametrize("strategy", [Halving(), Hyperband(), Median(), Curves()])
def test_most_steps_are_saved_and_the_best_is_kept(strategy):
    """50 seeds, 40 decaying curves with noise: half of the steps at most (0.6 by careful rules),
    and the best that is left is within 3 % of the range of the best there is, on average."""
    spent, regret = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        ends = rng.uniform(size=40)
        history, steps = [], 0
        for i, end in enumerate(ends):
            fall = np.exp(-np.arange(1, 301) / rng.uniform(10, 40))
            losses = end + fall + 0.01 * rng.normal(size=300)
            last = next(
                (s for s in range(1, 301) if strategy.judge(history, {f"t{i}": losses[:s]})), 300
            )
            steps += last
            curve = tuple((s + 1, float(losses[s])) for s in range(last))
            loss = end if last == 300 else None
            status = "done" if last == 300 else "raced"
            history.append(Observed(f"t{i}", {}, status, loss, curve=curve))
        spent.append(steps / (300 * len(ends)))
        regret.append(min(o.loss for o in history if o.loss is not None) - ends.min())
    assert np.mean(spent) < (0.6 if isinstance(strategy, Median | Curves) else 0.5)
    assert np.mean(regret) < 0.03
