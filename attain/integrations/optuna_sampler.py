"""attain's search inside of an Optuna study.

    study = optuna.create_study(sampler=AttainSampler(seed=1))

The objective stays as it is, define-by-run. Parameters that earlier trials had are proposed
together; one that exists only for some values of a categorical parameter is found to depend on it.
A parameter that no earlier trial had is drawn at random. A trial that a pruner ended counts as what
it would hardly have done better than; trials' constraints are kept. Optuna is used as it is given,
never imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import Categorical, Condition, Parameter, Scalar, Space
from attain.core.types import Observed
from attain.integrations.optuna import from_optuna
from attain.pipeline.goals import Goal, Goals, Limit
from attain.pipeline.tally import Tally

_CHOICE = "CategoricalDistribution"
_KNOWN = ("COMPLETE", "FAIL", "RUNNING", "PRUNED")
_MINIMIZE = "MINIMIZE"


class AttainSampler:
    """An Optuna sampler (versions 4 and 5) that proposes what a strategy of attain proposes.

    Args:
        strategy: Registered name of a strategy.
        seed: Of all random choices.
    """

    def __init__(self, strategy: str = "bayes", seed: int = 0) -> None:
        self._name = strategy
        self._strategy = find("strategy", strategy)()
        self._seed = seed

    def __str__(self) -> str:
        return f"AttainSampler({self._name!r})"

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Distributions of all parameters that finished trials had, the newest form of each.

        Args:
            study: An Optuna study.
            trial: The trial that is about to begin.

        Returns:
            Empty before the first trial has finished.
        """
        found: dict[str, Any] = {}
        for other in _trials(study, ("COMPLETE",)):
            found |= other.distributions
        return {name: d for name, d in found.items() if not d.single()}

    def sample_relative(
        self, study: Any, trial: Any, search_space: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Values of the parameters that the strategy proposes.

        Args:
            study: An Optuna study.
            trial: The trial that is about to begin.
            search_space: As `infer_relative_search_space` gave it.

        Returns:
            From names to values; empty when nothing is known or left to try.
        """
        if not search_space:
            return {}
        others = [t for t in _trials(study, _KNOWN) if t.number != trial.number]
        space = _space(search_space, [t for t in others if t.state.name == "COMPLETE"])
        history = _history(others, study.directions, search_space)
        seed = derive(self._seed, "optuna")
        proposals = self._strategy.propose(space, history, 1, seed)
        config = proposals[0].config if proposals else {}
        return {name: _value(search_space[name], value) for name, value in config.items()}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """A random value of a parameter that was not proposed, uniform on its scale.

        Args:
            study: An Optuna study.
            trial: The trial under way.
            param_name: Its name.
            param_distribution: Its distribution.

        Returns:
            A value.
        """
        from attain.strategy._encode import axis

        parameter = _parameter(param_name, param_distribution)
        draw = np.random.default_rng(derive(self._seed, "independent", trial.number, param_name))
        return _value(param_distribution, axis(parameter).value(float(draw.random())))

    def before_trial(self, study: Any, trial: Any) -> None:
        """Nothing to prepare."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing to keep: everything is read from the study."""

    def reseed_rng(self) -> None:
        """Nothing to do: what is drawn depends on the trial's number, not on who draws."""


def _trials(study: Any, states: Iterable[str]) -> list[Any]:
    wanted, storage = set(states), getattr(study, "_storage", None)
    if storage is None:
        trials = study.get_trials(deepcopy=False)
    else:  # Hyperband's pruner shows a study of one bracket, but trials of all brackets teach
        trials = storage.get_all_trials(study._study_id, deepcopy=False)
    return sorted((t for t in trials if t.state.name in wanted), key=lambda t: t.number)


def _parameter(name: str, distribution: Any) -> Parameter:
    """The parameter of a distribution; choices, which may be any objects, by their numbers."""
    if type(distribution).__name__ == _CHOICE:
        return Categorical(name=name, choices=tuple(range(len(distribution.choices))))
    return from_optuna({name: distribution})[name]


def _value(distribution: Any, value: Scalar) -> Any:
    """What Optuna calls a value of the space."""
    is_choice = type(distribution).__name__ == _CHOICE
    return distribution.choices[int(value)] if is_choice else value


def _config(trial: Any, search_space: Mapping[str, Any]) -> dict[str, Scalar]:
    """What the space calls a trial's parameters, those that it does not know left out."""
    config: dict[str, Scalar] = {}
    for name, value in trial.params.items():
        distribution = search_space.get(name)
        if distribution is None:
            continue
        if type(distribution).__name__ != _CHOICE:
            config[name] = value
        elif value in distribution.choices:
            config[name] = int(distribution.to_internal_repr(value))
    return config


def _space(search_space: Mapping[str, Any], finished: Sequence[Any]) -> Space:
    """The space of some distributions, its conditions as finished trials show them."""
    parameters = {name: _parameter(name, d) for name, d in search_space.items()}
    configs = [_config(t, search_space) for t in finished]
    always = {n for n in parameters if all(n in c for c in configs)}
    roots = [n for n in always if isinstance(parameters[n], Categorical)]
    return Space(
        tuple(
            p if name in always else replace(p, when=_conditions(name, sorted(roots), configs))
            for name, p in parameters.items()
        )
    )


def _conditions(
    name: str, roots: Sequence[str], configs: Sequence[Mapping[str, Scalar]]
) -> tuple[Condition, ...]:
    """The first choice whose value decides in all trials whether a parameter exists; or none."""
    for root in roots:
        with_it = {c[root] for c in configs if name in c}
        without = {c[root] for c in configs if name not in c}
        if not with_it & without:
            return (Condition(root, tuple(sorted(with_it, key=float))),)
    return ()


def _history(
    trials: Sequence[Any], directions: Sequence[Any], search_space: Mapping[str, Any]
) -> tuple[Observed, ...]:
    signs = [1 if d.name == _MINIMIZE else -1 for d in directions]
    limits = sorted({name for trial in trials for name in _constraints(trial)})
    goals = Goals(
        tuple(Goal(f"value {k}", sign) for k, sign in enumerate(signs)),
        tuple(Limit(f"limit {name}", 1, 0.0) for name in limits),
    )
    tally = Tally(goals)
    for trial in trials:
        name, config = f"t{trial.number:05d}", _config(trial, search_space)
        asked = {"trial": name, "config": config, "reason": "", "origin": "strategy"}
        tally.apply("asked", asked)
        if trial.state.name != "RUNNING":
            tally.apply("told", {"trial": name, **_ended(trial, goals, limits)})
    return tuple(tally.history())


def _constraints(trial: Any) -> Mapping[str, float]:
    """What Optuna wants to be 0 at most, by name; of version 4, which has a list, by number."""
    found: Mapping[str, float] | None = getattr(trial, "constraints", None)
    if found is not None:
        return found
    listed = getattr(trial, "system_attrs", {}).get("constraints") or ()
    return {str(number): value for number, value in enumerate(listed)}


def _ended(trial: Any, goals: Goals, limits: Sequence[str]) -> dict[str, Any]:
    """How a trial ended, and what it reported on its way.

    A constraint that a trial does not have is kept, as Optuna sees it.
    """
    status = {"COMPLETE": "done", "FAIL": "failed", "PRUNED": "pruned"}[trial.state.name]
    values = [float(value) for value in trial.values or ()] if status == "done" else []
    if not all(map(math.isfinite, values)):
        status = "failed"
    known, metrics = _constraints(trial), dict[str, float]()
    if status == "done":
        metrics = {goal.metric: value for goal, value in zip(goals.goals, values, strict=True)}
    if status != "failed":
        metrics |= {f"limit {name}": float(known.get(name, 0.0)) for name in limits}
    curve = () if goals.several else _curve(trial, goals.goals[0].sign)
    told = {"status": status, "metrics": metrics, "curve": curve}
    return {**told, "message": "", "noise": None, "seconds": 0.0}


def _curve(trial: Any, sign: int) -> list[tuple[int, float]]:
    """What a trial reported, as losses in order of the steps; what is no number left out."""
    reported = sorted(trial.intermediate_values.items())
    return [(step, sign * value) for step, value in reported if math.isfinite(value)]
