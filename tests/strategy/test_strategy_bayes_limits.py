"""Bayesian search under limits: they are learnt, kept, and found where nothing keeps them yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategy_problems import BRANIN, MIXED, branin, mixed

from attain.core.space import Float, Space
from attain.core.types import Observed
from attain.strategy._cache import encoded
from attain.strategy._encode import Cube
from attain.strategy._evidence import read
from attain.strategy._surrogate import Surrogate, Wish
from attain.strategy.bayes import Bayes
from attain.strategy.random import Random

_SQUARE = Space((Float(name="x", low=0, high=1), Float(name="y", low=0, high=1)))
_FIVE = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(5)))


def _two_limits(config):
    """Gramacy et al. (2016), section 1.1: least loss 0.5998 within both limits."""
    x, y = config["x"], config["y"]
    first = 1.5 - x - 2 * y - 0.5 * np.sin(2 * np.pi * (x**2 - 2 * y))
    return x + y, (first, x**2 + y**2 - 1.5)


def _small_ball(config):
    """A ball of radius 0.2 in a corner of five dimensions: one random point in 6,000 is inside."""
    x = np.array(list(config.values()))
    return x.sum(), (np.sum((x - 0.8) ** 2) - 0.04, 0.75 - x[0])


def _search(strategy, space, function, trials, seed):
    history = []
    for i in range(trials):
        (proposal,) = strategy.propose(space, tuple(history), 1, seed)
        loss, excess = function(proposal.config)
        excess = tuple(float(e) for e in excess)
        history.append(Observed(f"t{i}", proposal.config, "done", float(loss), excess=excess))
    return history


def _best(history):
    return min((o.loss for o in history if max(o.excess) <= 0), default=np.inf)


def _model(space, history, wish=None):
    return Surrogate.fit(Cube(space), read(encoded(space, history), 300), 150, wish)


def _limited(count=30, seed=0, limit=0.5):
    """Random trials of the mixed problem; the limit is on a smooth function of two parameters."""
    history = []
    for i, p in enumerate(Random().propose(MIXED, [], count, seed)):
        rate = p.config.get("trees.rate", 0.1)
        excess = (float(np.log10(rate) + 2), mixed(p.config) - limit)
        history.append(Observed(f"t{i}", p.config, "done", mixed(p.config), excess=excess))
    return history


def test_the_best_within_two_limits_is_found():
    """Over five seeds the least permitted loss is found to 0.01; random search is off by 0.1."""
    ours, random = (
        np.array([_best(_search(s, _SQUARE, _two_limits, 30, seed)) for seed in range(5)]) - 0.5998
        for s in (Bayes(), Random())
    )
    assert ours.max() < 0.01
    assert random.mean() > 0.1


def test_limits_that_no_trial_keeps_are_kept_in_the_end():
    """Three seeds of three find the ball within 40 trials, and then a good point of it."""
    for seed in range(3):
        history = _search(Bayes(), _FIVE, _small_ball, 40, seed)
        assert _best(history) < 3.65  # the least is 3.56, the centre's 4.0
    assert _best(_search(Random(), _FIVE, _small_ball, 400, 0)) == np.inf


def test_what_has_to_be_improved_on_keeps_the_limits():
    """A small loss beyond a limit is no incumbent; without any other, the worst loss is."""
    history = [
        Observed(f"t{i}", p.config, "done", branin(p.config), excess=(0.5 - (i % 2),))
        for i, p in enumerate(Random().propose(BRANIN, [], 20, 0))
    ]
    model = _model(BRANIN, history)
    kept = [i for i, o in enumerate(history) if o.excess[0] <= 0]
    assert model.held.tolist() == [i in kept for i in range(20)]
    assert model.best == model.values[0, kept].min() > model.values[0].min()
    none = _model(BRANIN, [replace(o, excess=(1.0 + i,)) for i, o in enumerate(history)])
    assert none.best == none.values[0].max()


def test_improvement_has_a_small_say_while_no_limit_is_kept():
    """Of two places that may keep the limit alike, the one with the smaller loss is preferred."""
    space = Space((Float(name="x", low=0, high=1),))
    history = [
        Observed(f"t{x}", {"x": x}, "done", x, excess=(1 + 0.1 * (x - 0.5) ** 2,))
        for x in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    model = _model(space, history)
    low, high = model.score(np.array([[0.1], [0.9]]))
    assert low > high


@pytest.mark.parametrize("goals", [1, 2])
@pytest.mark.parametrize("limit", [0.5, -1.0], ids=["kept by some", "kept by none"])
@pytest.mark.parametrize("wish", [Wish(), Wish(target=0.01, per_second=True)], ids=["", "wishes"])
def test_scores_and_gradients_agree(goals, limit, wish):
    """With goals, limits, failures, a target and durations the gradient is that of the score."""
    history = [
        replace(
            o,
            goals=(o.loss, -o.excess[0] + 0.1 * o.loss) if goals == 2 else (),
            seconds=float(np.exp(o.excess[0] + o.loss)),
        )
        for o in _limited(limit=limit)
    ]
    bad = [Observed(f"f{i}", o.config, "memory") for i, o in enumerate(history[:3])]
    model = _model(MIXED, [*history[3:], *bad], wish)
    assert len(model.goals) == goals
    config = {"learner": "trees", "trees.rate": 0.02, "trees.leaves": 30, "trees.booster": "dart"}
    row = model.cube.encode({**config, "trees.drop": 0.25})
    (value,), (gradient,) = model.around(row[None, :])(row[None, :])
    assert value == pytest.approx(model.score(row[None, :])[0], rel=1e-8)
    for name in ("trees.rate", "trees.drop"):
        column = model.cube.column[name]
        moved = np.array([row, row])
        moved[:, column] += (-1e-5, 1e-5)
        low, high = model.score(moved)
        assert gradient[column] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-5)


def test_an_excess_that_is_not_known_is_predicted():
    """Trials from before a limit existed count for the goal, and where they likely keep it."""
    history = [
        Observed(f"t{i}", {"x": x, "y": 0.5}, "done", -x, excess=() if i in (1, 18) else (x - 0.6,))
        for i, x in enumerate(np.linspace(0, 1, 20).tolist())
    ]
    model = _model(_SQUARE, history)
    assert len(model.goals[0].sample.y) == 20
    assert len(model.limits[0].sample.y) == 18
    assert model.held.tolist() == [o.config["x"] <= 0.6 for o in history]


@pytest.mark.parametrize("strange", [np.nan, np.inf, 1e300])
def test_an_endless_excess_is_a_broken_limit(strange):
    """Whatever stands there, proposals go on, and the trial does not keep the limit."""
    history = _limited()
    history[0] = replace(history[0], excess=(strange, -1.0))
    model = _model(MIXED, history)
    assert not model.held[0]
    (proposal,) = Bayes().propose(MIXED, tuple(history), 1, 0)
    assert np.isfinite(proposal.predicted)


def test_running_trials_are_believed_in_every_process():
    """The goals and the limits count what is under way; the limits are less in doubt there."""
    history = _limited()
    running = Observed("r", {**MIXED.defaults(), "trees.rate": 0.9}, "running")
    before, after = _model(MIXED, history), _model(MIXED, [*history, running])
    row = before.cube.encode(running.config)[None, :]
    where = before.features.embed(row), before.features.blocks(row)
    for a, b in zip((*before.goals, *before.limits), (*after.goals, *after.limits), strict=True):
        assert len(b.sample.y) == len(a.sample.y) + 1
        assert b.predict(*where)[1][0] < a.predict(*where)[1][0]
    assert len(after.held) == len(before.held) + 1


def test_the_reason_tells_how_likely_the_limits_hold():
    """The probability is in the sentence for the user, and what matters while none is kept."""
    (proposal,) = Bayes().propose(MIXED, tuple(_limited()), 1, 0)
    assert 0 < float(proposal.reason.split("keeps all limits with probability ")[1]) <= 1
    (proposal,) = Bayes().propose(MIXED, tuple(_limited(limit=-1.0)), 1, 0)
    assert "limits come first; keeps all limits" in proposal.reason


def test_of_a_long_history_trials_within_the_limits_are_kept():
    """When a process is given only some trials, losses beyond a limit do not crowd out others."""
    rng = np.random.default_rng(0)
    history = [
        Observed(f"t{i}", {"x": x, "y": y}, "done", x + y, excess=(0.6 - x,))
        for i, (x, y) in enumerate(rng.random((200, 2)).tolist())
    ]
    evidence = read(encoded(_SQUARE, history), 10)
    first = np.argsort(evidence.standing)[: int((evidence.excess <= 0).sum())]
    assert (evidence.excess[first] <= 0).all()
    assert (np.diff(evidence.losses[first]) >= 0).all()
