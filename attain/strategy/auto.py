"""Which strategy suits a space, a budget, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from attain.core.space import Categorical, Ordinal, Space
from attain.strategy._initial import defaults
from attain.strategy._tree import SMALL, Tree, is_finite

FAR_APART = 5.0  # from so many times the cost on, trials are no measure of what a search spends
MODEL_AFTER = 5  # trials beyond the known-good defaults before a model can tell anything
_USUAL = 100  # trials, when nobody says how many there will be
_MODELLED = 300  # trials up to which a process of the best and the latest 150 is worth its time
_MOSTLY = 0.75  # share of numbers among the parameters


@dataclass(frozen=True)
class Case:
    """What a strategy is chosen for.

    Attributes:
        space: The space to search.
        trials: How many trials there will be.
        goals: How many goals.
        limits: How many limits.
        spread: How many times as long the dearest fit takes as the cheapest.
    """

    space: Space
    trials: int
    goals: int
    limits: int
    spread: float = 1.0

    @cached_property
    def size(self) -> int | None:
        """Number of points; None when there is no end of them."""
        return Tree(self.space).size if is_finite(self.space) else None

    @cached_property
    def starts(self) -> int:
        """Number of known-good defaults."""
        return len(defaults(self.space))

    @cached_property
    def numeric(self) -> bool:
        """Whether nearly all parameters are numbers that always exist."""
        listed = [isinstance(p, Categorical | Ordinal) or bool(p.when) for p in self.space]
        return not listed or 1 - sum(listed) / len(listed) >= _MOSTLY

    @property
    def wanted(self) -> str:
        """Goals and limits in words."""
        limits = {0: "", 1: " within a limit"}.get(self.limits, f" within {self.limits} limits")
        return ("losses" if self.goals == 1 else f"{self.goals} goals") + limits


def _grid(case: Case) -> str | None:
    if case.size is None or case.size > min(case.trials, SMALL):
        return None
    points = "its only point" if case.size == 1 else f"all {case.size} points of the space"
    return f"{case.trials} trials are enough to try {points}"


def _sobol(case: Case) -> str | None:
    if case.trials >= case.starts + MODEL_AFTER:
        return None
    known = f"{case.starts} known-good defaults"
    known = "the known-good default" if case.starts == 1 else known
    return (
        f"with {case.trials} trials, {known} and evenly spread points tell more than a model would"
    )


def _bayes_per_second(case: Case) -> str | None:
    few = case.trials < case.starts + MODEL_AFTER
    if case.spread <= FAR_APART or few or case.trials > _MODELLED:
        return None
    return (
        f"fits differ up to {case.spread:.0f}-fold in what they cost, so a Gaussian process weighs "
        "the improvement that is likely by the seconds that it takes"
    )


def _bayes(case: Case) -> str | None:
    if case.trials > _MODELLED:
        return None
    gains = "improvement is" if case.goals == 1 else f"{case.goals} goals improve together as"
    also = ", and whether limits hold" if case.limits else ""
    return f"a Gaussian process learns from each of {case.trials} trials where {gains} likely{also}"


def _evolution(case: Case) -> str | None:
    if case.goals == 1:
        return None
    return (
        f"{case.trials} trials are enough for generations that spread along the front of "
        f"{case.wanted}, at little time per proposal"
    )


def _cmaes(case: Case) -> str | None:
    if not case.numeric or find_spec("cmaes") is None:
        return None
    return f"{case.trials} trials of mostly numbers let a normal distribution learn its shape"


def _tpe(case: Case) -> str:
    return (
        f"with {case.trials} trials, densities of good and bad ones tell enough, within "
        "milliseconds and with any conditions and choices"
    )


_RULES: tuple[tuple[str, Callable[[Case], str | None]], ...] = (
    ("bayes_per_second", _bayes_per_second),
    ("grid", _grid),
    ("sobol", _sobol),
    ("bayes", _bayes),
    ("evolution", _evolution),
    ("cmaes", _cmaes),
    ("tpe", _tpe),
)


def choose(
    space: Space, trials: int | None, goals: int = 1, limits: int = 0, spread: float = 1.0
) -> tuple[str, str]:
    """A registered strategy's name, and why: the first rule that applies.

    Args:
        space: The space to search.
        trials: How many trials the budget allows; None when it does not say.
        goals: How many goals there are.
        limits: How many limits there are.
        spread: How many times as long the dearest fit takes as the cheapest, as far as is known.

    Returns:
        The name, and the reason as a clause that ends no sentence.
    """
    case = Case(space, _USUAL if trials is None else trials, goals, limits, spread)
    return next((name, why) for name, rule in _RULES if (why := rule(case)) is not None)
