"""Search spaces from Optuna's distributions, and back.

    from attain.integrations.optuna import from_optuna, to_optuna

    space = from_optuna(study.best_trial.distributions)

Distributions are read by the names of their classes and attributes, so that Optuna need not be
installed; only `to_optuna` imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attain.core.errors import EnvironmentProblem, Problem, SpaceError, did_you_mean
from attain.core.space import Categorical, Float, Int, Ordinal, Parameter, Space
from attain.core.space_scale import is_number


def from_optuna(distributions: Mapping[str, Any]) -> Space:
    """A space from the distributions of a trial or a study.

    Args:
        distributions: From names to Optuna's distributions, those that were replaced in its
            version 3 included.

    Returns:
        The same space. A range of one value is a list of one choice.

    Raises:
        SpaceError: Names every distribution that cannot be expressed, such as a choice of None.
    """
    parameters: list[Parameter] = []
    problems: list[Problem] = []
    for name, distribution in distributions.items():
        kind = type(distribution).__name__
        if kind not in _READERS:
            rule, remedy = "a distribution must be one of Optuna's", did_you_mean(kind, [*_READERS])
            problems.append(Problem(rule, kind, name, remedy))
        elif kind == "CategoricalDistribution" and (strange := _strange(distribution.choices)):
            rule = "choices must be text, finite numbers or booleans"
            remedy = 'name them in text, such as "none", and translate in your objective'
            problems.append(Problem(rule, ", ".join(map(repr, strange)), name, remedy))
        else:
            parameters.append(_READERS[kind](name, distribution))
    if problems:
        raise SpaceError(problems)
    return Space(tuple(parameters))


def to_optuna(space: Space) -> dict[str, Any]:
    """Optuna's distributions for a space.

    Args:
        space: Without conditions and clauses, on linear and log scales.

    Returns:
        From names to distributions. Defaults, priors and the order of ordinal choices are lost.

    Raises:
        SpaceError: Names everything that Optuna's distributions cannot express.
        EnvironmentProblem: When Optuna is not installed.
    """
    problems = list(_inexpressible(space))
    if problems:
        raise SpaceError(problems)
    try:
        from optuna import distributions
    except ModuleNotFoundError as error:
        remedy = "install it, then try again: pip install optuna"
        raise EnvironmentProblem(f"the package 'optuna' is not installed — {remedy}") from error
    return {parameter.name: _distribution(parameter, distributions) for parameter in space}


def _strange(choices: Any) -> list[Any]:
    return [c for c in choices if not isinstance(c, bool | str) and not is_number(c)]


def _float(low: float, high: float, step: float | None, log: bool) -> Callable[[str], Parameter]:
    if low == high:
        return lambda name: Categorical(name=name, choices=(float(low),))
    scale: Any = "log" if log else "linear"
    return lambda name: Float(name=name, low=float(low), high=float(high), step=step, scale=scale)


def _int(low: int, high: int, step: int | None, log: bool) -> Callable[[str], Parameter]:
    if low == high:
        return lambda name: Categorical(name=name, choices=(int(low),))
    scale: Any = "log" if log else "linear"
    by = None if step in (None, 1) else step
    return lambda name: Int(name=name, low=int(low), high=int(high), step=by, scale=scale)


# from the class of a distribution to the parameter that it is; the last five are Optuna 2's
_READERS: Mapping[str, Callable[[str, Any], Parameter]] = {
    "FloatDistribution": lambda name, d: _float(d.low, d.high, d.step, d.log)(name),
    "IntDistribution": lambda name, d: _int(d.low, d.high, d.step, d.log)(name),
    "CategoricalDistribution": lambda name, d: Categorical(name=name, choices=tuple(d.choices)),
    "UniformDistribution": lambda name, d: _float(d.low, d.high, None, False)(name),
    "LogUniformDistribution": lambda name, d: _float(d.low, d.high, None, True)(name),
    "DiscreteUniformDistribution": lambda name, d: _float(d.low, d.high, d.q, False)(name),
    "IntUniformDistribution": lambda name, d: _int(d.low, d.high, d.step, False)(name),
    "IntLogUniformDistribution": lambda name, d: _int(d.low, d.high, None, True)(name),
}


def _inexpressible(space: Space) -> Iterator[Problem]:
    for clause in space.clauses:
        rule = "Optuna's distributions know no clauses"
        yield Problem(rule, str(clause), "space", "check it in your objective")
    for parameter in space:
        if parameter.when:
            rule = "Optuna's distributions know no conditions"
            remedy = "ask for the parameter within an if in your objective"
            yield Problem(rule, str(parameter), parameter.name, remedy)
        if isinstance(parameter, Ordinal) and parameter.reserve:
            rule, remedy = "Optuna holds no choices back", "list all of them as choices"
            yield Problem(rule, str(parameter), parameter.name, remedy)
        if not isinstance(parameter, Float | Int):
            continue
        if parameter.scale not in ("linear", "log"):
            rule, remedy = "Optuna has linear and log scales only", "use one of these"
            yield Problem(rule, parameter.scale, parameter.name, remedy)
        if parameter.scale == "log" and parameter.step is not None:
            rule = "Optuna has no steps on a log scale"
            yield Problem(rule, str(parameter), parameter.name, "drop the step, or the scale")


def _distribution(parameter: Parameter, distributions: Any) -> Any:
    if isinstance(parameter, Categorical | Ordinal):
        return distributions.CategoricalDistribution(parameter.choices)
    log = parameter.scale == "log"
    if isinstance(parameter, Int):
        step = int(parameter.step or 1)
        return distributions.IntDistribution(parameter.low, parameter.high, log=log, step=step)
    return distributions.FloatDistribution(
        parameter.low, parameter.high, log=log, step=parameter.step
    )
