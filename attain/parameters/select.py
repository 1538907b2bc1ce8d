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
    start_value,
)
from attain.core.types import Dataset, Forecast
from attain.parameters.narrow import FIXED, STATED

LEARNER = "learner"
TEXT = "text"  # the learner of texts, and the modality of data that are nothing else
READERS: Mapping[str, str] = MappingProxyType(
    {TEXT: "texts", "image": "images", "audio": "sound clips"}
)
"""Learners of one modality, by its name, which is theirs; and what they read."""
MEDIA = ("image", "audio")
"""Modalities whose rows are files: of other learners only those read them that say so."""
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
_FITS_PER_TRIAL = 5  # folds
UNLIMITED = 1_000  # trials assumed when nothing limits them


@dataclass(frozen=True)
class Family:
    """What is known of a learner before it has seen the data.

    Attributes:
        why: Why it has its place in the order.
        seconds: CPU seconds of one fit on 10,000 rows and 20 columns with default parameters, one
            thread; measured with scikit-learn 1.9 and LightGBM 4.7, good to a factor of three.
            What a learner forecasts of these very rows takes its place.
        exponent: How the seconds grow with rows.
    """

    why: str
    seconds: float
    exponent: float = 1.0


# In order of what to spend a budget on. Boosted trees lead on medium-sized tables (Grinsztajn,
# Oyallon & Varoquaux 2022, arXiv:2207.08815; McElfresh et al. 2023, arXiv:2305.02997; Erickson et
# al. 2025, TabArena, arXiv:2506.16791); a linear model is the foil that shows what complexity buys.
# Where all that there is to learn from is text, a model that reads it leads, and its lowest rungs
# are as cheap as anything (Reimers & Gurevych 2019, arXiv:1908.10084; Howard & Ruder 2018,
# arXiv:1801.06146).
PORTFOLIO: Mapping[str, Family] = MappingProxyType(
    {
        TEXT: Family("reads texts, from words counted up to a pre-trained model tuned", 3.0),
        "image": Family("sees images, from small pictures up to a pre-trained model tuned", 60.0),
        "audio": Family("hears clips, from band energies up to a pre-trained model tuned", 60.0),
        "llm": Family("writes texts: as it is, with examples, with adapters, tuned", 3.0),
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
    forecasts: Mapping[str, Forecast] = MappingProxyType({}),
    fits: int = _FITS_PER_TRIAL,
) -> Selection:
    """Which learners and parameters deserve the budget.

    Args:
        spaces: For each known learner its space, or the reason why it does not apply.
        dataset: What is known of the rows.
        trials: Configurations that may be tried; None for no such limit.
        seconds: Wall time of the search; None for no such limit.
        wanted: Learners that the user names, which are then all used; empty for attain's choice.
        forecasts: What learners say their fits cost on these rows, as far as they can.
        fits: Fits that a trial takes, of learners with a forecast.

    Returns:
        The space to search, the fixed values, and a reason for everything.

    Raises:
        SpecError: When a wanted learner is unknown or does not apply, or none applies.
    """
    _refuse(spaces, wanted)
    prices = {name: _trial_seconds(name, dataset) for name in spaces}
    prices |= {name: _foretold(spaces[name], f, fits) for name, f in forecasts.items()}
    spaces = {
        name: _reason_against(name, space, spaces, dataset, wanted)
        for name, space in spaces.items()
    }
    affordable = _affordable(spaces, dataset, prices, trials, seconds)
    learners = (
        _as_wanted(spaces, wanted) if wanted else _as_budgeted(spaces, prices, affordable, seconds)
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
        shares = _shares(space, share, forecasts.get(name), fits, seconds)
        tuned = _tuned(space, shares)
        kept = _kept(space, tuned)
        parts += prefixed(kept, name, Condition(LEARNER, (name,)))
        never, rules = prefixed_clauses(kept, name)
        forbidden, constraints = (*forbidden, *never), (*constraints, *rules)
        parameters += [
            _parameter_choice(name, p, p.name in tuned, space, shares[p.name]) for p in space
        ]
        defaults = space.defaults()
        fixed |= {f"{name}.{k}": v for k, v in defaults.items() if k not in {p.name for p in kept}}
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


_ALONE = "{what} are all there is to learn from, and `{name}` climbs from cheap to dear on its own"


def _reason_against(
    name: str,
    space: Space | str,
    spaces: Mapping[str, Space | str],
    dataset: Dataset,
    wanted: Sequence[str],
) -> Space | str:
    """A learner's space; or the reason why it is not used on data with or without texts alone."""
    if isinstance(space, str) or wanted or name == BASELINE:
        return space
    kind = dataset.modality
    if name not in READERS:
        alone = kind in READERS and isinstance(spaces.get(kind), Space)
        return _ALONE.format(what=READERS[kind], name=kind) if alone else space
    if name == TEXT and dataset.modality != TEXT and dataset.pretrained is None:
        return "beside other columns it needs a pre-trained model: name one with model: FOLDER"
    return space


def _affordable(
    spaces: Mapping[str, Space | str],
    dataset: Dataset,
    prices: Mapping[str, float],
    trials: int | None,
    seconds: float | None,
) -> float:
    """Trials that the budget pays for, at the price of the cheapest serious learner."""
    allowed = float(UNLIMITED if trials is None else max(trials, 1))
    if seconds is None:
        return allowed
    kind = dataset.modality
    reads = kind in READERS and isinstance(spaces.get(kind), Space)
    price = prices[kind] if reads else _trial_seconds("lightgbm", dataset)
    return max(1.0, min(allowed, seconds / price))


def _foretold(space: Space | str, forecast: Forecast, fits: int) -> float:
    """Seconds of a trial on the dearest rung that is open from the start."""
    ladders = space.ladders if isinstance(space, Space) else ()
    open_ = [r for r in forecast.rungs if r.usable and any(p.contains(r.name) for p in ladders)]
    seconds = [rung.seconds for rung in open_ or forecast.rungs]
    return fits * max([*seconds, 0.01])


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
    prices: Mapping[str, float],
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
        elif used and seconds is not None and prices[name] > SHARE_OF_SECONDS * seconds:
            reason = f"one trial would take about {prices[name]:.0f} s "
            choices.append(Choice(name, False, reason + f"of the {seconds:.0f} s granted"))
        else:
            used += 1
            choices.append(Choice(name, True, family.why))
    return choices


def _in_order(spaces: Mapping[str, Space | str]) -> list[str]:
    known = [name for name in PORTFOLIO if name in spaces]
    return [*known, *(name for name in spaces if name not in PORTFOLIO)]


def _shares(
    space: Space, share: float, forecast: Forecast | None, fits: int, seconds: float | None
) -> dict[str, float]:
    """Trials that each parameter can get: on a dear rung no more than the time pays for."""
    paid: dict[str, float] = {}
    if forecast is not None and seconds is not None:
        paid = {r.name: seconds / max(r.seconds * fits, 1e-9) for r in forecast.rungs}
    ladders = {p.name for p in space.ladders}
    shares = {}
    for parameter in space:
        rungs = [str(v) for c in parameter.when if c.parent in ladders for v in c.values]
        most = max((paid.get(rung, share) for rung in rungs), default=share)
        shares[parameter.name] = min(share, most)
    return shares


def _tuned(space: Space, shares: Mapping[str, float]) -> set[str]:
    """Names of the parameters to tune, closed under conditions in both directions, and clauses.

    A parent of a tuned parameter is tuned, else the child might never exist. A child of a tuned
    parent is tuned, else nobody could say from a point alone whether the fixed child exists; but
    what exists on some rungs only may be pinned there (`_pinned`). What stands in one clause is
    tuned together, or not at all.
    """
    tuned = {
        p.name for p in space if shares[p.name] >= TRIALS_FOR_PRIORITY.get(p.priority, math.inf)
    }
    bound = [p for p in space if not _on_rungs(space, p)]
    while True:
        parents = {c.parent for p in space if p.name in tuned for c in p.when}
        children = {p.name for p in bound if any(c.parent in tuned for c in p.when)}
        mates = {name for c in space.clauses if c.names & tuned for name in c.names}
        if parents | children | mates <= tuned:
            return tuned
        tuned |= parents | children | mates


def _kept(space: Space, tuned: Iterable[str]) -> Space:
    """The tuned part of a space, with the clauses about it; no clause is about both parts.

    What is not tuned but exists on some rungs only stays as a choice of one, its known-good value:
    so a point says by itself whether it exists.
    """
    names = set(tuned)
    parameters = (p if p.name in names else _pinned(p) for p in space.parameters)
    return Space(
        tuple(p for p in parameters if p.name in names or _on_rungs(space, p, names)),
        forbidden=tuple(clause for clause in space.forbidden if clause.names <= names),
        constraints=tuple(clause for clause in space.constraints if clause.names <= names),
    )


def _on_rungs(space: Space, parameter: Parameter, among: Iterable[str] | None = None) -> bool:
    """Whether a parameter exists on some rungs of a ladder, and depends on nothing else."""
    ladders = {p.name for p in space.ladders if among is None or p.name in among}
    return bool(parameter.when) and all(c.parent in ladders for c in parameter.when)


def _pinned(parameter: Parameter) -> Categorical:
    value = start_value(parameter)
    return Categorical(
        name=parameter.name,
        when=parameter.when,
        unit=parameter.unit,
        source=parameter.source,
        priority=parameter.priority,
        choices=(value,),
        default=value,
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
    if parameter.source == STATED:
        fixed = parameter.priority == FIXED
        reason = f"fixed at {start_value(parameter)} in the study file" if fixed else STATED
        return Choice(name, not fixed, reason)
    needed = TRIALS_FOR_PRIORITY.get(parameter.priority, math.inf)
    if used and share >= needed:
        source = f" ({parameter.source})" if parameter.source else ""
        return Choice(name, True, f"priority {parameter.priority}{source}")
    if used:
        return Choice(name, True, "tied to another tuned parameter by a condition")
    defaults = space.defaults()
    kept = f"kept at {defaults[parameter.name]}" if parameter.name in defaults else "not in use"
    if _on_rungs(space, parameter):
        kept = f"kept at {start_value(parameter)}"
    why = (
        "tuned only where the study file asks for it"
        if math.isinf(needed)
        else f"priority {parameter.priority} takes {needed:g} trials per learner, "
        f"and there are about {share:.0f}"
    )
    return Choice(name, False, f"{kept}: {why}")
