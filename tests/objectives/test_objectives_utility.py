"""One number out of many objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attain.core.errors import DataError
from attain.core.types import Direction, Objective
from attain.objectives.metrics import METRICS
from attain.objectives.parse import parse
from attain.objectives.utility import better, loss, loss_noise, losses, shortfall

SETS = (
    "roc_auc",
    "rmse",
    "r2",
    "roc_auc >= 0.9",
    "rmse <= 3",
    "r2 >= 0.8, rmse",
    "precision >= 0.9, recall",
    "roc_auc >= 0.9, f1 >= 0.8",
    "log_loss, latency_p95_ms <= 5, size_mb <= 20",
    "mcc >= 0.5, throughput >= 1000, brier",
    "throughput_rows_per_s, mae",
    "r2 >= 0",
    "rmse <= 0",
)


def worse_by(objective: Objective, value: float, amount: float) -> float:
    sign = -1 if objective.direction is Direction.MAXIMIZE else 1
    return min(max(value + sign * amount, objective.low), objective.high)


@st.composite
def cases(draw):
    objectives = parse(draw(st.sampled_from(SETS)))
    near = {o.metric: (o.target if o.target is not None else 0.5) for o in objectives}
    values = {
        o.metric: min(max(near[o.metric] * draw(st.floats(0.2, 3)), o.low), o.high)
        for o in objectives
    }
    return objectives, values


@pytest.mark.parametrize(
    ("statement", "value", "expected"),
    [
        ("accuracy >= 0.9", 0.85, 0.05),
        ("accuracy >= 0.9", 0.95, 0.0),
        ("accuracy", 0.1, 0.0),
        ("mcc >= 0.5", 0.1, 0.2),
        ("rmse <= 4", 5.0, 0.25),
        ("rmse <= 0", 5.0, 5.0),
        ("r2 >= 0.9", 0.7, 0.2),
        ("throughput >= 1000, auc", 750.0, 0.25),
    ],
)
def test_shortfalls_are_normalised(statement: str, value: float, expected: float):
    """Bounded metrics by their range, others by the target, r2 in its own unit."""
    objective = parse(statement)[0]
    assert shortfall(objective, value) == pytest.approx(expected)


def test_a_value_that_is_no_number_is_the_worst():
    """NaN and infinities give a finite shortfall, the largest there is for the metric."""
    accuracy, rmse = parse("accuracy >= 0.9")[0], parse("rmse <= 3")[0]
    assert shortfall(accuracy, math.nan) == shortfall(accuracy, -math.inf) == 0.9
    assert shortfall(rmse, math.nan) == shortfall(rmse, math.inf) > 1e200
    assert math.isfinite(shortfall(rmse, math.nan))


@given(cases())
def test_an_unreached_target_costs_more_than_any_gain(case):
    """Whatever the goals gain, missing a target by a little is worse than reaching all (Deb)."""
    objectives, values = case
    targets = [o for o in objectives if o.target not in (None, 0.0)]
    assume(targets)
    reached = values | {o.metric: o.target for o in targets}
    worst_goals = {o.metric: worse_by(o, 0.5, 1e6) for o in objectives if o.target is None}
    best_goals = {o.metric: worse_by(o, 0.5, -1e6) for o in objectives if o.target is None}
    missed = targets[0]
    slightly = worse_by(missed, float(missed.target or 0), 1e-6 * abs(missed.target or 1))
    if "rmse <= 0" in map(str, objectives):
        return
    better_goals = reached | best_goals | {missed.metric: slightly}
    assert loss(objectives, better_goals) > loss(objectives, reached | worst_goals)


@given(cases(), st.integers(0, 5), st.floats(0.001, 0.5))
def test_nothing_gets_better_by_getting_worse(case, index: int, amount: float):
    """Making one metric worse never lowers the loss, and raises it for a goal without target."""
    objectives, values = case
    objective = objectives[index % len(objectives)]
    spoilt = values | {objective.metric: worse_by(objective, values[objective.metric], amount)}
    assert loss(objectives, spoilt) >= loss(objectives, values) - 1e-12
    feasible = all(o.reached(spoilt[o.metric]) for o in objectives)
    changed = abs(spoilt[objective.metric] - values[objective.metric]) > 1e-6
    if objective.target is None and feasible and changed:
        assert loss(objectives, spoilt) > loss(objectives, values)


@given(
    st.sampled_from(SETS),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4),
)
def test_the_loss_is_finite_for_any_values(statements: str, numbers: list[float]):
    """NaN, infinities and absurd sizes give a finite loss, with and without a reference."""
    objectives = parse(statements)
    values = {o.metric: number for o, number in zip(objectives, numbers, strict=False)}
    assert math.isfinite(loss(objectives, values))
    assert math.isfinite(loss(objectives, values, values))
    assert loss_noise(objectives, values, dict.fromkeys(values, 0.1)) >= 0


@given(cases(), cases())
def test_better_is_the_order_of_the_loss(a, b):
    """`better` says what comparing losses says, and nothing is better than itself."""
    objectives, values = a
    other = {o.metric: b[1].get(o.metric, values[o.metric]) for o in objectives}
    expected = loss(objectives, values) < loss(objectives, other)
    assert better(objectives, values, other) is expected
    assert not better(objectives, values, values)


def test_margin_counts_a_little_when_only_targets_are_stated():
    """Beyond the target the loss goes on falling, ten times slower, without a step."""
    objectives = parse("roc_auc >= 0.9")
    values = np.linspace(0.85, 0.95, 101)
    losses = np.array([loss(objectives, {"roc_auc": v}) for v in values])
    assert (np.diff(losses) < 0).all()
    assert np.abs(np.diff(losses)).max() < 0.0012
    assert losses[values > 0.901].max() < 0 < losses[values < 0.899].min()


def test_limits_gain_nothing_beyond_their_target():
    """A model twice as fast as asked is not preferred for it; one twice as precise is."""
    objectives = parse("roc_auc >= 0.8, latency_p95_ms <= 5")
    slow = {"roc_auc": 0.9, "latency_p95_ms": 5.0}
    fast = {"roc_auc": 0.9, "latency_p95_ms": 1.0}
    assert loss(objectives, slow) == loss(objectives, fast)
    assert better(objectives, {"roc_auc": 0.95, "latency_p95_ms": 5.0}, fast)


def test_the_unit_of_an_unbounded_metric_does_not_matter():
    """In any unit, the same relative gain moves the loss by the same amount, given a reference."""
    objectives = parse("rmse")
    for unit in (1e-6, 1.0, 1e6):
        reference = {"rmse": 10 * unit}
        drop = loss(objectives, {"rmse": 8 * unit}, reference) - loss(
            objectives, {"rmse": 7 * unit}, reference
        )
        assert drop == pytest.approx(
            math.log(1 / 0.7) / (1 + math.log(1 / 0.7))
            - math.log(1 / 0.8) / (1 + math.log(1 / 0.8))
        )


def test_a_reference_keeps_an_unbounded_goal_from_being_drowned():
    """With the baseline as reference, 20 % less error outweighs one point of accuracy-like gain."""
    objectives = parse("rmse, r2")
    reference = {"rmse": 50_000.0, "r2": 0.0}
    a = {"rmse": 40_000.0, "r2": 0.0}
    b = {"rmse": 50_000.0, "r2": 0.01}
    assert better(objectives, a, b, reference)


def test_noise_is_the_error_of_the_loss():
    """The noise equals the spread of losses of metrics drawn with their errors, in both cases."""
    objectives = parse("roc_auc >= 0.9, log_loss")
    rng = np.random.default_rng(0)
    errors = {"roc_auc": 0.004, "log_loss": 0.01}
    for centre in ({"roc_auc": 0.95, "log_loss": 0.4}, {"roc_auc": 0.8, "log_loss": 0.4}):
        drawn = [
            loss(objectives, {m: rng.normal(centre[m], errors[m]) for m in centre})
            for _ in range(4000)
        ]
        assert loss_noise(objectives, centre, errors) == pytest.approx(np.std(drawn), rel=0.06)


def test_noise_does_not_take_the_step_at_a_target_for_error():
    """Right at a target the noise is that of the metric, not of the step between the cases."""
    objectives = parse("precision >= 0.9, recall")
    values = {"precision": 0.9, "recall": 0.5}
    noise = loss_noise(objectives, values, {"precision": 0.02, "recall": 0.02})
    assert 0.01 < noise < 0.03


def test_a_missing_value_is_refused():
    """Every metric without a value is named."""
    with pytest.raises(DataError, match=r"f1: every objective needs a value(.|\n)*recall: every"):
        loss(parse("f1, recall, roc_auc"), {"roc_auc": 0.5})


def test_every_metric_can_be_a_goal_and_a_target():
    """For every metric of the table, better values have smaller losses, as goal and as target."""
    swept = 0
    for metric in METRICS.values():
        if metric.argument is not None:
            continue
        goal = Objective(metric.name, metric.direction, low=metric.low, high=metric.high)
        target = Objective(metric.name, metric.direction, 0.5, low=metric.low, high=metric.high)
        good, bad = (0.6, 0.4) if metric.direction is Direction.MAXIMIZE else (0.4, 0.6)
        for objective in (goal, target):
            assert better([objective], {metric.name: good}, {metric.name: bad})
            swept += 1
    assert swept >= 76


@given(
    st.lists(st.floats(0, 1) | st.just(math.nan), min_size=4, max_size=4),
    st.lists(st.floats(-5, 50), min_size=4, max_size=4),
    st.sampled_from([None, {"roc_auc": 0.5, "latency_p95_ms": 20.0}]),
)
def test_many_losses_are_the_losses_of_each(areas, times, reference):
    """Over random values, with and without targets: the array form gives what each alone has."""
    for stated in (
        ["roc_auc"],
        ["roc_auc >= 0.6"],
        ["roc_auc >= 0.6", "latency_p95_ms <= 20"],
        ["maximize roc_auc", "latency_p95_ms <= 20"],
        ["roc_auc", "latency_p95_ms"],
    ):
        objectives = parse(stated)
        values = {"roc_auc": np.array(areas), "latency_p95_ms": np.array(times)}
        found = losses(objectives, values, reference)
        alone = [
            loss(objectives, {"roc_auc": a, "latency_p95_ms": t}, reference)
            for a, t in zip(areas, times, strict=True)
        ]
        assert found == pytest.approx(alone)
    with pytest.raises(DataError, match="every objective needs a value"):
        losses(parse(["roc_auc"]), {"accuracy": np.array(areas)}, reference)
