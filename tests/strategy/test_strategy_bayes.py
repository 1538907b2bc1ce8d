"""Bayesian optimisation: better than random search, and honest about trials that run or fail."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from attain.core.space import Categorical, Condition, Float, Int, Space, prefixed
from attain.core.types import Observed
from attain.stats.acquisition import log_expected_improvement
from attain.strategy._cache import encoded
from attain.strategy._encode import Cube
from attain.strategy._evidence import active_set, read, scheduled
from attain.strategy._optimise import Effort, maximise
from attain.strategy._surrogate import Surrogate, Wish
from attain.strategy.bayes import Bayes
from attain.strategy.random import Random

_BRANIN = Space((Float(name="x", low=-5, high=10), Float(name="y", low=0, high=15)))


def _branin(config):
    x, y = config["x"], config["y"]
    bowl = (y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10 - 0.397887


_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_HARTMANN = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(6)))


def _hartmann(config):
    x = np.array(list(config.values()))
    return 3.32237 - float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-(_A * (x - _P) ** 2).sum(axis=1)))


_TREES = Space(
    (
        Float(name="rate", low=1e-5, high=1, scale="log", default=0.1),
        Int(name="leaves", low=2, high=256, scale="log", default=100),
        Categorical(name="booster", choices=("plain", "dart")),
        Float(name="drop", low=0, high=0.9, when=(Condition("booster", ("dart",)),)),
    )
)
_LINES = Space((Float(name="penalty", low=1e-6, high=1e3, scale="log", default=1.0),))
_CONDITIONAL = Space(
    (
        Categorical(name="learner", choices=("trees", "lines")),
        *prefixed(_TREES, "trees", Condition("learner", ("trees",))),
        *prefixed(_LINES, "lines", Condition("learner", ("lines",))),
    )
)


def _conditional(config):
    """Best 0: dart trees with rate 0.01, 20 leaves, drop 0.3; lines never get below 0.3."""
    if config["learner"] == "lines":
        return 0.3 + 0.02 * (np.log10(config["lines.penalty"]) + 2) ** 2
    loss = 0.1 * (np.log10(config["trees.rate"]) + 2) ** 2
    loss += 0.2 * np.log10(config["trees.leaves"] / 20) ** 2
    return loss + ((config["trees.drop"] - 0.3) ** 2 if "trees.drop" in config else 0.1)


def _search(strategy, space, loss, trials, seed):
    history = []
    for i in range(trials):
        (proposal,) = strategy.propose(space, history, 1, seed)
        history.append(Observed(f"t{i}", proposal.config, "done", float(loss(proposal.config))))
    return history


def _best(history):
    return min(o.loss for o in history)


@pytest.mark.parametrize(
    ("space", "loss", "regret"),
    [(_BRANIN, _branin, 0.05), (_HARTMANN, _hartmann, 0.5), (_CONDITIONAL, _conditional, 0.03)],
    ids=["branin", "hartmann", "conditional"],
)
def test_thirty_trials_beat_random_search_clearly(space, loss, regret):
    """Over six seeds the mean regret is small, and less than half of random search's."""
    ours, random = (
        np.array([_best(_search(s, space, loss, 30, seed)) for seed in range(6)])
        for s in (Bayes(), Random())
    )
    assert ours.mean() < regret
    assert ours.mean() < random.mean() / 2
    assert (ours < random).sum() >= 5


def test_noise_does_not_mislead_it():
    """With noise as large as many differences, what it believes in halves the default's loss."""
    regrets = []
    for seed in range(6):
        rng = np.random.default_rng(seed)

        def noisy(config, rng=rng):
            return _conditional(config) + 0.05 * rng.normal()

        history = _search(Bayes(), _CONDITIONAL, noisy, 30, seed)
        history = [replace(o, noise=0.05) for o in history]
        model = _model(_CONDITIONAL, history)
        regrets.append(_conditional(model.cube.decode(model.anchors(1)[0])))
    assert np.mean(regrets) < _conditional(_CONDITIONAL.defaults()) / 2


def _evidence(space, history):
    return read(encoded(space, history), 300)


def _model(space, history, wish=None):
    return Surrogate.fit(Cube(space), _evidence(space, history), wish=wish)


def _done(space, loss, count=20, seed=0):
    proposals = Random().propose(space, [], count, seed)
    return [
        Observed(f"t{i}", p.config, "done", float(loss(p.config))) for i, p in enumerate(proposals)
    ]


def _distance(a, b):
    return max(abs(a["x"] - b["x"]), abs(a["y"] - b["y"])) / 15


def test_trials_under_way_are_avoided():
    """The place a running trial is looking at is left to it; a batch spreads in the same way."""
    history = _done(_BRANIN, _branin)
    (first,) = Bayes().propose(_BRANIN, history, 1, 0)
    running = Observed("r", first.config, "running")
    (second,) = Bayes().propose(_BRANIN, [*history, running], 1, 0)
    assert _distance(first.config, second.config) > 0.02
    batch = Bayes().propose(_BRANIN, history, 4, 0)
    gaps = [_distance(a.config, b.config) for i, a in enumerate(batch) for b in batch[:i]]
    assert min(gaps) > 0.01


@pytest.mark.parametrize(("trials", "margin"), [(5, 0.8), (20, 0.2), (25, 0.0), (40, 0.0)])
def test_improvement_is_asked_over_a_margin_that_shrinks(trials, margin):
    """Scores are log improvements over the best less what is left of one deviation."""
    model = _model(_BRANIN, _done(_BRANIN, _branin, trials), Wish(margin_trials=25))
    rows = np.random.default_rng(0).random((50, 2))
    mean, sd = model.goals[0].predict(model.features.embed(rows), model.features.blocks(rows))
    wanted = log_expected_improvement(mean, sd, model.best - margin)
    np.testing.assert_allclose(model.score(rows), wanted, rtol=1e-9)


def test_a_margin_makes_searches_wider_at_first():
    """What is asked for is less sure after 15 trials; after 25, or under much noise, equal."""

    def doubt(strategy, seed):
        history = _done(_HARTMANN, _hartmann, 15, seed)
        (made,) = strategy.propose(_HARTMANN, history, 1, 0)
        model = _model(_HARTMANN, history)
        row = model.cube.encode(made.config)[None]
        return model.goals[0].predict(model.features.embed(row), model.features.blocks(row))[1][0]

    wide, narrow = (
        np.mean([doubt(s, seed) for seed in range(5)]) for s in (Bayes(), Bayes(margin_trials=0))
    )
    assert wide > 1.1 * narrow
    noisy = [replace(o, noise=3.0) for o in _done(_HARTMANN, _hartmann, 15)]
    for history in (_done(_HARTMANN, _hartmann, 25), noisy):
        without = Bayes(margin_trials=0).propose(_HARTMANN, history, 1, 0)
        assert Bayes().propose(_HARTMANN, history, 1, 0) == without


def test_noise_of_its_own_takes_its_share_of_the_margin():
    """Three deviations of the noise that is each loss's own are what luck asks for already."""
    history = [replace(o, noise=0.05) for o in _done(_HARTMANN, _hartmann, 5)]
    model = _model(_HARTMANN, history, Wish(margin_trials=25))
    process = model.goals[0]
    luck = 3 * np.sqrt(process.hyper.share * np.median(process.sample.known))
    assert 0.05 < luck < 0.7
    rows = np.random.default_rng(0).random((50, 6))
    mean, sd = process.predict(model.features.embed(rows), model.features.blocks(rows))
    wanted = log_expected_improvement(mean, sd, model.best - 0.8 + luck)
    np.testing.assert_allclose(model.score(rows), wanted, rtol=1e-9)


def test_pruned_trials_leave_the_margin_as_it_is():
    """Their losses are guesses, after which there is as much to be found as before."""
    whole = _done(_BRANIN, _branin, 5)
    more = tuple(replace(o, status="pruned") for o in _done(_BRANIN, _branin, 12)[5:])
    wish = Wish(margin_trials=25)
    assert _model(_BRANIN, (*whole, *more), wish)._margin() == pytest.approx(0.8)
    told = (*whole, *(replace(o, status="done") for o in more))
    assert _model(_BRANIN, told, wish)._margin() == pytest.approx(0.52)


def test_trials_under_way_shrink_the_margin_too():
    """What is believed of a running trial counts as one of those that the margin ends with."""
    history = _done(_BRANIN, _branin, 24)
    model = _model(_BRANIN, history, Wish(margin_trials=25))
    rows = np.random.default_rng(0).random((5, 2))
    believing = model.believing(rows[:1])
    plain = _model(_BRANIN, history, Wish()).believing(rows[:1])
    assert (model.score(rows) != _model(_BRANIN, history, Wish()).score(rows)).all()
    assert (believing.score(rows) == plain.score(rows)).all()


def test_failures_are_learnt():
    """Where every trial runs out of memory, few of the later ones are sent."""

    def fails(config):
        return config["x"] > 4

    shares = []
    for seed in range(3):
        history = []
        for i in range(30):
            (proposal,) = Bayes().propose(_BRANIN, history, 1, seed)
            bad = fails(proposal.config)
            loss = None if bad else _branin(proposal.config)
            status = "memory" if bad else "done"
            history.append(Observed(f"t{i}", proposal.config, status, loss))
        shares.append(np.mean([o.loss is None for o in history[15:]]))
        assert min(o.loss for o in history if o.loss is not None) < 0.5
    assert np.mean(shares) < 0.25  # of the whole space, 40 % fail, the other optimum among them


@pytest.mark.parametrize("finished", [25, 41, 65, 100])
def test_the_newest_failures_are_never_overlooked(finished):
    """However many trials finished before, three failures in one corner are believed at once."""
    history = _done(_BRANIN, _branin, finished)
    corner = [{"x": -5 + 0.3 * i, "y": 7.5} for i in range(3)]
    failed = [Observed(f"f{i}", config, "failed") for i, config in enumerate(corner)]
    model = _model(_BRANIN, [*history, *failed])
    rows = np.vstack([model.cube.encode(corner[1]), model.rows])
    mean, _ = model.failure.predict(model.features.embed(rows), model.features.blocks(rows))
    assert mean[0] > 0.9  # 0.1 to 0.3 while hyperparameters were fitted to finished trials alone
    assert np.median(mean[1:]) < 0.1


def test_cancelled_trials_are_no_failures():
    """A trial stopped on request does not make its surroundings look bad."""
    history = _done(_BRANIN, _branin)
    (wanted,) = Bayes().propose(_BRANIN, history, 1, 0)
    evidence = _evidence(_BRANIN, [*history, Observed("c", wanted.config, "cancelled")])
    assert len(evidence.failed) == 0
    evidence = _evidence(_BRANIN, [*history, Observed("c", wanted.config, "failed")])
    assert len(evidence.failed) == 1


def test_evidence_from_outside_of_the_space_counts():
    """After narrowing, trials outside still say which way is down."""
    wide = Space((Float(name="x", low=0, high=10),))
    narrow = wide.replacing(Float(name="x", low=4, high=6))
    history = [Observed(f"t{x}", {"x": float(x)}, "done", float(x)) for x in (0, 2, 7, 8, 9, 10)]
    history += [Observed("m", {"x": 5.0}, "done", 5.0)]
    (proposal,) = Bayes(spread_starts=0).propose(narrow, history, 1, 0)
    assert proposal.config["x"] < 4.6
    assert proposal.predicted < 5.0


def test_the_reason_tells_prediction_and_best():
    """Prediction and spread are in the units of the loss, and in the sentence for the user."""
    history = _done(_CONDITIONAL, _conditional, 25)
    (proposal,) = Bayes().propose(_CONDITIONAL, history, 1, 0)
    assert 0 < proposal.spread < 1
    assert -0.5 < proposal.predicted < 1
    text = f"expected improvement: predicted loss {proposal.predicted:.4g} ± {proposal.spread:.2g}"
    assert proposal.reason.startswith(text + ", best ")
    assert float(proposal.reason.split("best ")[1]) == pytest.approx(_best(history), abs=0.05)
    (early,) = Bayes().propose(_CONDITIONAL, history[:15], 1, 0)
    best, wanted = early.reason.split("best ")[1].split(", at first less than ")
    assert float(wanted.split()[0]) < float(best)


def test_the_start_is_defaults_then_sobol_then_the_model():
    """Two learners, four spread points, then predictions; the number of starts is an option."""
    history = _search(Bayes(), _CONDITIONAL, _conditional, 8, 0)
    reasons = []
    for i in range(8):
        (proposal,) = Bayes().propose(_CONDITIONAL, history[:i], 1, 0)
        reasons.append(proposal.reason.split(":")[0].rstrip(" 1234"))
    known = ["known-good default of trees", "known-good default of lines"]
    assert reasons == [*known, *["scrambled Sobol point"] * 4, *["expected improvement"] * 2]
    (proposal,) = Bayes(spread_starts=2).propose(_CONDITIONAL, history[:4], 1, 0)
    assert proposal.predicted is not None


def test_without_a_single_loss_it_keeps_spreading():
    """Ten failures tell no model anything: evenly spread points go on."""
    history = [
        replace(o, status="failed", loss=None) for o in _done(_CONDITIONAL, _conditional, 10)
    ]
    proposals = Bayes().propose(_CONDITIONAL, history, 3, 0)
    assert all(p.reason.startswith("scrambled Sobol point") for p in proposals)


def test_a_diverged_loss_does_not_spoil_the_search():
    """One loss of 1e30 and one beyond all numbers leave the next proposal near the best region."""
    history = _done(_BRANIN, _branin, 25)
    spoilt = [replace(history[3], loss=1e30), replace(history[4], loss=1e200)]
    (proposal,) = Bayes().propose(_BRANIN, [*history[:3], *spoilt, *history[5:]], 1, 0)
    assert _branin(proposal.config) < np.median([o.loss for o in history])


def test_long_histories_are_thinned_without_losing_the_best():
    """Of two thousand losses three hundred are kept, the best and the latest among them."""
    losses = np.random.default_rng(0).normal(size=2000)
    kept = active_set(losses, 300)
    assert len(kept) == 300
    assert set(np.argsort(losses)[:150]) <= set(kept)
    assert set(range(1980, 2000)) <= set(kept)
    assert (np.diff(kept) > 0).all()
    assert (active_set(losses[:50], 300) == np.arange(50)).all()


def test_hyperparameters_follow_a_schedule():
    """Fitted after every trial at first, then ever more rarely, never to more than there is."""
    numbers = [scheduled(k) for k in range(1, 2000)]
    assert numbers[:20] == list(range(1, 21))
    assert all(a <= k for k, a in enumerate(numbers, 1))
    assert all(a >= 0.9 * k for k, a in enumerate(numbers, 1))
    assert (np.diff(numbers) >= 0).all()
    assert len(set(numbers)) < 100


def test_a_suggestion_is_quick():
    """A hundred trials of fourteen mixed parameters: well under a second, usually 60 ms."""
    parameters = [Categorical(name=f"c{i}", choices=("a", "b", "c")) for i in range(3)]
    parameters += [Float(name=f"f{i}", low=1e-4, high=1, scale="log") for i in range(5)]
    parameters += [Int(name=f"n{i}", low=1, high=200) for i in range(3)]
    when = (Condition("c0", ("a", "b")),)
    parameters += [Float(name=f"g{i}", low=0, high=1, when=when) for i in range(3)]
    space = Space(tuple(parameters))
    history = _done(space, lambda c: c["f0"] + c["n0"] / 200 + c.get("g0", 0.5), 100)
    Bayes().propose(space, history, 1, 0)
    start = time.perf_counter()
    Bayes().propose(space, history, 1, 1)
    assert time.perf_counter() - start < 0.6  # the bound allows for a busy machine


def test_scores_and_gradients_agree():
    """The gradient that polishes a proposal is that of the score, failures included."""
    cube = Cube(_CONDITIONAL)
    history = _done(_CONDITIONAL, _conditional, 30)
    bad = [Observed(f"f{i}", o.config, "memory") for i, o in enumerate(history[:3])]
    model = _model(_CONDITIONAL, [*history[3:], *bad])
    config = {"learner": "trees", "trees.rate": 0.02, "trees.leaves": 30, "trees.booster": "dart"}
    row = cube.encode({**config, "trees.drop": 0.25})
    (value,), (gradient,) = model.around(row[None, :])(row[None, :])
    assert value == pytest.approx(model.score(row[None, :])[0], rel=1e-8)
    for name in ("trees.rate", "trees.drop"):
        column = cube.column[name]
        moved = np.array([row, row])
        moved[:, column] += (-1e-5, 1e-5)
        low, high = model.score(moved)
        assert gradient[column] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-5)


_COARSE = Effort(spread=64, near=4, elites=2, children=4, steps=(0.1,), polished=1, iterations=20)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("effort", "error"), [(_COARSE, 3e-3), (Effort(), 1e-3)])
def test_the_optimiser_finds_the_top(seed, effort, error):
    """On a smooth bump over a branch of the tree, the top is found to about three digits."""
    cube = Cube(_CONDITIONAL)
    rate, drop = cube.column["trees.rate"], cube.column["trees.drop"]
    booster, leaves = cube.column["trees.booster"], cube.column["trees.leaves"]

    def score(rows):
        inside = ~np.isnan(rows[:, drop])
        bump = (rows[:, rate] - 0.3) ** 2 + (rows[:, drop] - 0.7) ** 2
        return np.where(inside, -bump, -5.0)

    def gradient(rows):
        slope = np.zeros_like(rows)
        slope[:, rate], slope[:, drop] = -2 * (rows[:, rate] - 0.3), -2 * (rows[:, drop] - 0.7)
        return score(rows), np.where(np.isnan(rows[:, [drop]]), 0.0, slope)

    anchors = cube.settle(np.full((1, len(cube)), 0.1))
    rows = maximise(cube, score, lambda _: gradient, anchors, seed, effort)
    assert rows[0, [rate, drop]] == pytest.approx([0.3, 0.7], abs=error)
    assert rows[0, booster] == 0.75
    assert not np.isnan(rows[0, leaves])
    assert (np.diff(score(rows)) <= 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads):
    """However many threads are allowed outside, a proposal is the same to the last bit."""
    history = _done(_HARTMANN, _hartmann, 120)
    wanted = Bayes().propose(_HARTMANN, history, 1, 0)
    with threadpool_limits(threads, user_api="blas"):
        assert Bayes().propose(_HARTMANN, history, 1, 0) == wanted
        now = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        assert now == {threads}  # and what was set outside is left as it was


@pytest.mark.parametrize("seed", range(4))
def test_rough_scores_lead_to_the_same_proposal(seed):
    """Where seven digits decide what is climbed from, the top found is as high as with all digits.

    What is climbed is scored exactly, and first is what scores highest exactly.
    """
    history = _search(Random(), _CONDITIONAL, _conditional, 25, seed)
    model = _model(_CONDITIONAL, history)
    look = model.cube, model.score, model.around, model.anchors(10), seed, Effort()
    exact, rough = maximise(*look), maximise(*look, rough=model.rough_score)
    scores = model.score(np.vstack([exact[:1], rough[:20]]))
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)
    assert scores[1] == pytest.approx(scores[1:].max(), abs=1e-3)
