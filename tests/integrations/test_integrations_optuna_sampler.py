"""attain inside of Optuna: define-by-run, conditions found by looking, any choices, any direction.

Optuna is not needed: a few lines stand for its study. Where it is installed, it is used as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from attain.core.errors import PluginError
from attain.core.space import Condition
from attain.integrations.optuna_sampler import (
    AttainSampler,
    _conditions,
    _constraints,
    _history,
    _space,
)


class _Distribution(SimpleNamespace):
    def single(self) -> bool:
        return False


class FloatDistribution(_Distribution):
    """As Optuna's."""


class IntDistribution(_Distribution):
    """As Optuna's."""


class CategoricalDistribution(_Distribution):
    """As Optuna's."""

    def to_internal_repr(self, value: Any) -> float:
        return float(self.choices.index(value))


@dataclass
class Trial:
    """A trial that asks the sampler as Optuna's does."""

    study: Study
    number: int
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, Any] = field(default_factory=dict)
    state: Any = field(default_factory=lambda: SimpleNamespace(name="RUNNING"))
    values: tuple[float, ...] | None = None
    relative: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)

    def suggest(self, name: str, distribution: Any) -> Any:
        if name not in self.relative:
            sampler = self.study.sampler
            value = sampler.sample_independent(self.study, self, name, distribution)
        else:
            value = self.relative[name]
        self.params[name], self.distributions[name] = value, distribution
        return value


class Pruned(Exception):
    """What an objective raises that a pruner ends."""


class Study:
    """Just enough of `optuna.Study`."""

    _storage: Any = None
    _study_id: int = 0

    def __init__(self, sampler: AttainSampler, *directions: str) -> None:
        self.sampler = sampler
        self.trials: list[Trial] = []
        self.directions = [SimpleNamespace(name=d) for d in directions or ("MINIMIZE",)]

    def get_trials(self, deepcopy: bool = True) -> list[Trial]:
        return self.trials

    def optimize(self, objective: Callable[[Trial], Any], n: int) -> Study:
        for _ in range(n):
            trial = Trial(self, len(self.trials))
            self.trials.append(trial)
            space = self.sampler.infer_relative_search_space(self, trial)
            trial.relative = self.sampler.sample_relative(self, trial, space)
            try:
                found = objective(trial)
            except ArithmeticError:
                trial.state = SimpleNamespace(name="FAIL")
            except Pruned:
                trial.state = SimpleNamespace(name="PRUNED")
            else:
                trial.values = found if isinstance(found, tuple) else (found,)
                trial.state = SimpleNamespace(name="COMPLETE")
        return self

    @property
    def best(self) -> float:
        return min(t.values[0] for t in self.trials if t.values)


KIND = CategoricalDistribution(choices=("svm", None, ("a", "tuple")))
X = FloatDistribution(low=-5.0, high=10.0, step=None, log=False)
DEPTH = IntDistribution(low=1, high=9, step=1, log=False)


def objective(trial: Trial) -> float:
    """Best, 0, for svm at x = 2 and depth 5; fails for large x."""
    kind, x = trial.suggest("kind", KIND), trial.suggest("x", X)
    if x > 9:
        raise ZeroDivisionError
    extra = 2.0 if kind != "svm" else 0.5 * abs(trial.suggest("depth", DEPTH) - 5)
    return float((x - 2) ** 2 + extra)


def test_it_searches_better_than_at_random() -> None:
    """Over seeds, thirty trials come closer than thirty random ones; failures do no harm."""
    ours = [Study(AttainSampler(seed=s)).optimize(objective, 30).best for s in range(3)]
    random = [Study(AttainSampler("random", seed=s)).optimize(objective, 30).best for s in range(3)]
    assert max(ours) < 0.6
    assert sum(ours) < sum(random)


def test_the_same_seed_gives_the_same_study() -> None:
    """Everything is derived from the seed and the trials; another seed differs."""

    def run(seed: int) -> list[dict[str, Any]]:
        return [t.params for t in Study(AttainSampler(seed=seed)).optimize(objective, 8).trials]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_conditions_are_found_by_looking() -> None:
    """A parameter that exists for one choice only is proposed with that choice only."""
    study = Study(AttainSampler(seed=1)).optimize(objective, 15)
    known = study.sampler.infer_relative_search_space(study, None)
    finished = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert _space(known, finished)["depth"].when == (Condition("kind", (0,)),)
    for trial in study.trials[10:]:
        assert ("depth" in trial.relative) == (trial.relative["kind"] == "svm")


def test_where_no_choice_decides_there_is_no_condition() -> None:
    """A parameter that comes and goes for another reason is taken as always there."""
    configs = [{"k": 0, "p": 1.0}, {"k": 0}, {"k": 1}]
    assert _conditions("p", ["k"], configs) == ()
    assert _conditions("p", ["k"], configs[:1] + configs[2:]) == (Condition("k", (0,)),)


def test_directions_turn_the_sign() -> None:
    """Maximising the opposite makes the same study."""
    down = Study(AttainSampler(seed=3)).optimize(objective, 10)
    up = Study(AttainSampler(seed=3), "MAXIMIZE").optimize(lambda t: -objective(t), 10)
    assert [t.params for t in down.trials] == [t.params for t in up.trials]


def test_several_values_and_nan_are_taken() -> None:
    """Two directions work, and a NaN is a failed trial."""

    def two(trial: Trial) -> tuple[float, float]:
        x = trial.suggest("x", X)
        return (math.nan if x > 8 else x * x, (x - 2) ** 2)

    study = Study(AttainSampler(seed=1), "MINIMIZE", "MINIMIZE").optimize(two, 12)
    inside = [t for t in study.trials[6:] if -1 < t.params["x"] < 3]
    assert len(inside) >= 3


def test_constraints_are_kept() -> None:
    """The search goes where they hold; a trial without one keeps it, as in Optuna."""

    def limited(trial: Trial) -> float:
        x = trial.suggest("x", X)
        trial.constraints["least"] = 4.0 - x
        return float((x - 2) ** 2)

    study = Study(AttainSampler(seed=2)).optimize(limited, 25)
    late = [t.params["x"] for t in study.trials[12:]]
    assert sum(3.5 < x < 5 for x in late) > len(late) / 2
    study.trials[1].constraints = {}
    seen = _history(study.trials, study.directions, {"x": X})
    wanted = [0.0 if number == 1 else 4.0 - t.params["x"] for number, t in enumerate(study.trials)]
    assert [t.excess for t in seen] == [(excess,) for excess in wanted]
    kept = [t.values[0] for t in study.trials if t.values and t.params["x"] >= 4]
    assert min(kept) < 4.1


def test_constraints_of_version_4_are_a_list() -> None:
    """Where trials have no mapping, the list among their attributes is read."""
    old = SimpleNamespace(system_attrs={"constraints": (0.5, -1.0)})
    assert _constraints(old) == {"0": 0.5, "1": -1.0}
    assert _constraints(SimpleNamespace(system_attrs={"constraints": None})) == {}


def _trial(number: int, values: dict[int, float], end: float | None) -> Any:
    state = SimpleNamespace(name="PRUNED" if end is None else "COMPLETE")
    ends = None if end is None else (end,)
    return SimpleNamespace(
        number=number, state=state, values=ends, intermediate_values=values, params={}
    )


@pytest.mark.parametrize("direction", ["MINIMIZE", "MAXIMIZE"])
def test_a_pruned_trial_counts_with_its_rank(direction: str) -> None:
    """Between those beside which it stood at its last step, in either direction."""
    sign = 1 if direction == "MINIMIZE" else -1
    ended = [(3.0, 1.0), (5.0, 2.0), (7.0, 6.0)]
    whole = [_trial(n, {1: sign * a, 9: sign * b}, sign * b) for n, (a, b) in enumerate(ended)]
    pruned = _trial(3, {1: sign * 6.0}, None)
    *_, seen = _history([*whole, pruned], [SimpleNamespace(name=direction)], {})
    assert (seen.status, seen.loss, seen.noise) == ("pruned", pytest.approx(4.0), None)


@pytest.mark.parametrize("reported", [{}, {1: math.nan}, {1: 1.0}])
def test_what_cannot_be_compared_teaches_nothing(reported: dict[int, float]) -> None:
    """No report, none that is a number, or nobody who had got as far: known, but not bad."""
    (seen,) = _history([_trial(9, reported, None)], [SimpleNamespace(name="MINIMIZE")], {})
    assert (seen.status, seen.loss) == ("pruned", None)


def test_pruned_trials_keep_the_search_away() -> None:
    """With most trials pruned, a search that learns from their reports finds far more."""

    def pruning(trial: Trial, *, reporting: bool) -> float:
        x, y = trial.suggest("x", X), trial.suggest("y", X)
        loss = float((x - 2) ** 2 + (y - 7) ** 2)
        ends = [t.values[0] for t in trial.study.trials if t.values]
        if reporting:
            trial.intermediate_values[1] = loss + 1
        if len(ends) >= 4 and loss > sorted(ends)[len(ends) // 2]:
            raise Pruned
        trial.intermediate_values[1] = loss + 1
        return loss

    found = []
    for reporting in (True, False):
        objective = partial(pruning, reporting=reporting)
        studies = [Study(AttainSampler(seed=s)).optimize(objective, 30) for s in range(3)]
        found.append(sum(study.best for study in studies) / 3)
    assert found[0] < 0.2 * found[1]


def test_trials_of_all_brackets_teach() -> None:
    """Hyperband's pruner shows a sampler one bracket; the storage has them all."""
    whole = Study(AttainSampler(seed=1)).optimize(objective, 12)
    part = Study(AttainSampler(seed=1))
    part._study_id = 3

    def all_trials(study_id: int, deepcopy: bool) -> list[Trial]:
        assert (study_id, deepcopy) == (3, False)
        return whole.trials

    part._storage = SimpleNamespace(get_all_trials=all_trials)
    trial = Trial(part, 12)
    space = part.sampler.infer_relative_search_space(part, trial)
    assert set(space) == {"kind", "x", "depth"}
    known = whole.sampler.sample_relative(whole, Trial(whole, 12), space)
    assert part.sampler.sample_relative(part, trial, space) == known


def test_values_keep_their_grid_and_type() -> None:
    """Steps, logs and integers arrive as Optuna's distributions state them."""
    step = FloatDistribution(low=0.0, high=0.9, step=0.3, log=False)
    log = IntDistribution(low=1, high=1000, step=1, log=True)

    def seen(trial: Trial) -> float:
        s, n = trial.suggest("s", step), trial.suggest("n", log)
        assert isinstance(n, int)
        assert 1 <= n <= 1000
        assert min(abs(s - k * 0.3) for k in range(4)) < 1e-9
        return float(s + n)

    assert Study(AttainSampler()).optimize(seen, 10).best <= 2


def test_an_unknown_strategy_is_refused_at_once() -> None:
    """Not when the first trial begins."""
    with pytest.raises(PluginError, match="no strategy is called 'byes'"):
        AttainSampler("byes")


def test_it_works_in_optuna_itself() -> None:
    """Where Optuna is installed, a real study runs with it, also in two threads."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=AttainSampler(seed=1))
    study.optimize(lambda t: (t.suggest_float("x", -5, 10) - 2) ** 2, n_trials=20, n_jobs=2)
    assert study.best_value < 0.1


def test_optunas_own_constraints_are_read() -> None:
    """`trial.set_constraint` of Optuna 5; the best permitted trial is next to the limit."""
    optuna = pytest.importorskip("optuna", minversion="5")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def limited(trial: Any) -> float:
        x = trial.suggest_float("x", -5, 10)
        trial.set_constraint("least", 4 - x)
        return float((x - 2) ** 2)

    study = optuna.create_study(sampler=AttainSampler(seed=1))
    study.optimize(limited, n_trials=25)
    assert 4.0 <= study.best_value < 4.2


def test_it_learns_from_what_optunas_pruners_end() -> None:
    """In a real study the history has pruned trials with what they would have come to."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def falling(trial: Any) -> float:
        end = float((trial.suggest_float("x", -5, 10) - 2) ** 2)
        for step in range(5):
            trial.report(end + 5 - step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return end

    study = optuna.create_study(sampler=AttainSampler(seed=1), pruner=optuna.pruners.MedianPruner())
    study.optimize(falling, n_trials=30)
    pruned = [t.number for t in study.trials if t.state.name == "PRUNED"]
    space = {"x": optuna.distributions.FloatDistribution(-5, 10)}
    seen = _history(study.trials, study.directions, space)
    assert len(pruned) >= 5
    assert all(seen[number].loss is not None for number in pruned)
    assert study.best_value < 0.1
