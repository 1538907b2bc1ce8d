"""Step 2: which learners and which of their parameters deserve the budget, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.space import (
    Categorical,
    Condition,
    Config,
    Constraint,
    Forbidden,
    Parameter,
    Scalar,
    Space,
    prefixed,
    prefixed_clauses,
)
from attain.core.types import Dataset

LEARNER = "learner"
BASELINE = "baseline"

# Each learner's known-good default is tried first; these tries may take a quarter of the budget.
# A handful of diverse defaults carries most of a portfolio's worth (AutoGluon's shrank from 110
# configurations to 8 between 2023 and 2026), but the search needs the rest to tune the best.
TRIALS_PER_LEARNER = 4
SHARE_OF_SECONDS = 0.25
# Trials that a learner must get on average before its parameters of priority 2 and 3 are tuned.
# Tuning the one or two most tunable parameters brings most of what tuning can bring (Probst,
# Boulesteix & Bischl 2019, JMLR 20(53), tables 3 and 4; van Rijn & Hutter 2018,
# doi:10.1145/3219819.3220058: the same few parameters matter across 100 data sets). The numbers
# are a rule of thumb: the strategy gives good learners more than the average.
TRIALS_FOR_PRIORITY: Mapping[int, int] = MappingProxyType({1: 0, 2: 5, 3: 25})
UNLIMITED = 1_000  # trials assumed when nothing limits them


@dataclass(frozen=True)
class Family:
    """What is known of a learner before it has seen the data.

    Attributes:
        why: Why it has its place in the order.
        seconds: CPU seconds of one fit on 10,000 rows and 20 columns with default parameters, one
            thread; measured with scikit-learn 1.9 and LightGBM 4.7, good to a factor of three.
        exponent: How the seconds grow with rows.
    """

    why: str
    seconds: float
    exponent: float = 1.0


# In order of what to spend a budget on. Boosted trees lead on medium-sized tables (Grinsztajn,
# Oyallon & Varoquaux 2022, arXiv:2207.08815; McElfresh et al. 2023, arXiv:2305.02997; Erickson et
# al. 2025, TabArena, arXiv:2506.16791); a linear model is the foil that shows what complexity buys.
PORTFOLIO: Mapping[str, Family] = MappingProxyType(
    {
        "lightgbm": Family("boosted trees lead on tables of this kind", 1.0),
        "linear": Family("the fast, readable foil that shows what complexity buys", 0.1),
        "extra_trees": Family("strong untuned, errs differently from boosted trees", 3.0),
        "mlp": Family("smooth functions that trees approximate badly", 3.0),
        "random_forest": Family("strong untuned, much like extra trees", 8.0),
        "svm": Family("strong on few rows with numeric columns", 5.0, 2.0),
        "knn": Family("the only one that works by similarity", 0.5),
    }
)
_UNKNOWN = Family("added by a plugin", 3.0)
_FITS_PER_TRIAL = 5  # folds


@dataclass(frozen=True)
class Choice:
    """Whether a learner or parameter takes part, and why.

    Attributes:
        name: Of the learner, or of the parameter with its learner's prefix.
        used: Whether it is part of the search.
        reason: For the user, in one clause.
    """

    name: str
    used: bool
    reason: str


@dataclass(frozen=True)
class Selection:
    """What will be tuned.

    Attributes:
        space: What the strategy searches.
        learners: One choice per known learner, best first.
        parameters: One choice per parameter of the learners that take part.
        fixed: Values of parameters that are not tuned, under prefixed names.
    """

    space: Space
    learners: tuple[Choice, ...]
    parameters: tuple[Choice, ...]
    fixed: Mapping[str, Scalar]


def select(
    spaces: Mapping[str, Space | str],
    dataset: Dataset,
    *,
    trials: int | None,
    seconds: float | None,
    wanted: Sequence[str],
) -> Selection:
    """Which learners and parameters deserve the budget.

    Args:
        spaces: For each known learner its space, or the reason why it does not apply.
        dataset: What is known of the rows.
        trials: Configurations that may be tried; None for no such limit.
        seconds: Wall time of the search; None for no such limit.
        wanted: Learners that the user names, which are then all used; empty for attain's choice.

    Returns:
        The space to search, the fixed values, and a reason for everything.

    Raises:
        SpecError: When a wanted learner is unknown or does not apply, or none applies.
    """
    _refuse(spaces, wanted)
    affordable = _affordable(dataset, trials, seconds)
    learners = (
        _as_wanted(spaces, wanted) if wanted else _as_budgeted(spaces, dataset, affordable, seconds)
    )
    used = [choice.name for choice in learners if choice.used]
    share = affordable / len(used)
    parts: list[Parameter] = []
    parameters: list[Choice] = []
    fixed: dict[str, Scalar] = {}
    forbidden: tuple[Forbidden, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    for name in used:
        space = spaces[name]
        assert isinstance(space, Space)
        tuned = _tuned(space, share)
        kept = _kept(space, tuned)
        parts += prefixed(kept, name, Condition(LEARNER, (name,)))
        never, rules = prefixed_clauses(kept, name)
        forbidden, constraints = (*forbidden, *never), (*constraints, *rules)
        parameters += [_parameter_choice(name, p, p.name in tuned, space, share) for p in space]
        defaults = space.defaults()
        fixed |= {f"{name}.{k}": v for k, v in defaults.items() if k not in tuned}
    if len(used) == 1 and parts and "." not in used[0]:
        parts = [replace(p, when=_without_learner(p)) for p in parts]
    else:
        parts.insert(0, _learner_parameter(used))
    whole = Space(tuple(parts), 1, forbidden, constraints)
    return Selection(whole, tuple(learners), tuple(parameters), fixed)


def unprefix(point: Config, fixed: Mapping[str, Scalar]) -> tuple[str, dict[str, Scalar]]:
    """A strategy's point as a learner and its full configuration.

    Args:
        point: Values of the active parameters of `Selection.space`.
        fixed: `Selection.fixed`.

    Returns:
        The learner's name, and values of all its active parameters without prefix.
    """
    if LEARNER in point:
        learner = str(point[LEARNER])
    else:
        learner = next(iter([*point, *fixed])).partition(".")[0]
    prefix = f"{learner}."
    merged = {**fixed, **point}
    return learner, {k[len(prefix) :]: v for k, v in merged.items() if k.startswith(prefix)}


def _refuse(spaces: Mapping[str, Space | str], wanted: Sequence[str]) -> None:
    problems = []
    for name in wanted:
        known = spaces.get(name)
        if known is None:
            remedy = did_you_mean(name, list(spaces))
            problems.append(Problem("a learner must be known", name, "learners", remedy))
        elif isinstance(known, str):
            remedy = "leave it out"
            problems.append(Problem(f"{name} does not apply: {known}", "", "learners", remedy))
    usable = [n for n, s in spaces.items() if isinstance(s, Space) and n != BASELINE]
    if not wanted and not usable:
        reasons = "; ".join(f"{n}: {s}" for n, s in spaces.items() if isinstance(s, str))
        rule = "at least one learner must apply to the data"
        problems.append(Problem(rule, reasons or "none is known", "learners", "see the reasons"))
    if problems:
        raise SpecError(problems)


def _affordable(dataset: Dataset, trials: int | None, seconds: float | None) -> float:
    """Trials that the budget pays for, at the price of the cheapest serious learner."""
    allowed = float(UNLIMITED if trials is None else max(trials, 1))
    if seconds is None:
        return allowed
    price = _trial_seconds("lightgbm", dataset)
    return max(1.0, min(allowed, seconds / price))


def _trial_seconds(learner: str, dataset: Dataset) -> float:
    """Expected CPU seconds of trying one configuration on all folds."""
    family = PORTFOLIO.get(learner, _UNKNOWN)
    size = (dataset.rows / 1e4) ** family.exponent * max(len(dataset.features), 1) / 20
    return _FITS_PER_TRIAL * max(family.seconds * size, 0.05)


def _as_wanted(spaces: Mapping[str, Space | str], wanted: Sequence[str]) -> list[Choice]:
    names = list(dict.fromkeys(wanted))
    others = [name for name in _in_order(spaces) if name not in names]
    return [
        *(Choice(name, True, "named by the user") for name in names),
        *(Choice(name, False, "other learners were named") for name in others),
    ]


def _as_budgeted(
    spaces: Mapping[str, Space | str],
    dataset: Dataset,
    affordable: float,
    seconds: float | None,
) -> list[Choice]:
    """As many learners as the budget can try, in the portfolio's order."""
    most = max(1, int(affordable // TRIALS_PER_LEARNER))
    choices: list[Choice] = []
    used = 0
    for name in _in_order(spaces):
        space, family = spaces[name], PORTFOLIO.get(name, _UNKNOWN)
        if isinstance(space, str):
            choices.append(Choice(name, False, space))
        elif name == BASELINE:
            reason = "the floor under every score; measured once, outside the search"
            choices.append(Choice(name, False, reason))
        elif used and used >= most:
            reason = f"{affordable:.0f} trials pay for {most}: {family.why}"
            choices.append(Choice(name, False, reason))
        elif used and _too_slow(name, dataset, seconds):
            reason = f"one trial would take about {_trial_seconds(name, dataset):.0f} s "
            choices.append(Choice(name, False, reason + f"of the {seconds:.0f} s granted"))
        else:
            used += 1
            choices.append(Choice(name, True, family.why))
    return choices


def _too_slow(name: str, dataset: Dataset, seconds: float | None) -> bool:
    return seconds is not None and _trial_seconds(name, dataset) > SHARE_OF_SECONDS * seconds


def _in_order(spaces: Mapping[str, Space | str]) -> list[str]:
    known = [name for name in PORTFOLIO if name in spaces]
    return [*known, *(name for name in spaces if name not in PORTFOLIO)]


def _tuned(space: Space, share: float) -> set[str]:
    """Names of the parameters to tune, closed under conditions in both directions, and clauses.

    A parent of a tuned parameter is tuned, else the child might never exist. A child of a tuned
    parent is tuned, else nobody could say from a point alone whether the fixed child exists. What
    stands in one clause is tuned together, or not at all.
    """
    tuned = {p.name for p in space if share >= TRIALS_FOR_PRIORITY.get(p.priority, math.inf)}
    while True:
        parents = {c.parent for p in space if p.name in tuned for c in p.when}
        children = {p.name for p in space if any(c.parent in tuned for c in p.when)}
        mates = {name for c in space.clauses if c.names & tuned for name in c.names}
        if parents | children | mates <= tuned:
            return tuned
        tuned |= parents | children | mates


def _kept(space: Space, tuned: Iterable[str]) -> Space:
    """The tuned part of a space, with the clauses about it; no clause is about both parts."""
    names = set(tuned)
    return Space(
        tuple(p for p in space.parameters if p.name in names),
        forbidden=tuple(clause for clause in space.forbidden if clause.names <= names),
        constraints=tuple(clause for clause in space.constraints if clause.names <= names),
    )


def _without_learner(parameter: Parameter) -> tuple[Condition, ...]:
    return tuple(c for c in parameter.when if c.parent != LEARNER)


def _learner_parameter(used: Sequence[str]) -> Categorical:
    return Categorical(
        name=LEARNER,
        choices=tuple(used),
        default=used[0],
        source="attain.parameters.select, in order of the portfolio",
    )


def _parameter_choice(
    learner: str, parameter: Parameter, used: bool, space: Space, share: float
) -> Choice:
    name = f"{learner}.{parameter.name}"
    needed = TRIALS_FOR_PRIORITY.get(parameter.priority, math.inf)
    if used and share >= needed:
        source = f" ({parameter.source})" if parameter.source else ""
        return Choice(name, True, f"priority {parameter.priority}{source}")
    if used:
        return Choice(name, True, "tied to another tuned parameter by a condition")
    defaults = space.defaults()
    kept = f"kept at {defaults[parameter.name]}" if parameter.name in defaults else "not in use"
    reason = (
        f"{kept}: priority {parameter.priority} takes {needed:g} trials per learner, "
        f"and there are about {share:.0f}"
    )
    return Choice(name, False, reason)
