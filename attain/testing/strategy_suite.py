"""What every search strategy must keep, as one function to run on your own.

from attain.testing.strategy_suite import check_strategy

def test_mine_keeps_the_contract():
    check_strategy(MyStrategy)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from attain.core.errors import SpaceError
from attain.core.protocols import Strategy
from attain.core.registry import find
from attain.core.space import (
    Categorical,
    Condition,
    Config,
    Constraint,
    Float,
    Forbidden,
    Int,
    Ordinal,
    Space,
    prefixed,
    snap,
)
from attain.core.types import Observed, Proposal, Signal, Status

_CONTINUOUS = Space(
    (Float(name="x", low=-5.0, high=10.0), Float(name="rate", low=1e-5, high=1.0, scale="log"))
)
_CATEGORIES = Space(
    (
        Categorical(name="colour", choices=("red", "green", "blue")),
        Categorical(name="flag", choices=(True, False)),
    )
)
_LOG_INTS = Space((Int(name="leaves", low=1, high=12, scale="log", default=3),))
_STEPS = Space(
    (
        Float(name="share", low=0.1, high=0.5, step=0.2),
        Int(name="depth", low=2, high=9, step=3, default=5),
        Ordinal(name="size", choices=("small", "large")),
    )
)
_BRANCHES = Space(
    (
        Categorical(name="kind", choices=("plain", "deep")),
        Int(name="layers", low=1, high=3, when=(Condition("kind", ("deep",)),)),
        Categorical(name="skip", choices=(True, False), when=(Condition("layers", (2, 3)),)),
    )
)
_DECIMALS = Space((Float(name="share", low=0.1, high=0.75, step=0.1),))
_SCALES = Space(
    (
        Float(name="keep", low=0.01, high=0.999, scale="logit", default=0.9),
        Float(name="shift", low=-100.0, high=1000.0, scale="symlog", scale_width=0.1),
        Int(name="offset", low=-20, high=20, scale="symlog", scale_width=1.0),
    )
)
_EXPECTED = Space(
    (
        Float(name="rate", low=1e-5, high=1.0, scale="log", prior=(1e-3, 1.0)),
        Int(name="depth", low=1, high=12, prior=(6, 2.0)),
        Categorical(name="kind", choices=("plain", "deep"), prior=(3.0, 1.0)),
    )
)
_FORBIDDEN = Space(
    (
        Categorical(name="kind", choices=("plain", "deep")),
        Int(name="depth", low=1, high=4, default=2),
        Categorical(name="skip", choices=(True, False), when=(Condition("kind", ("deep",)),)),
    ),
    forbidden=(Forbidden((Condition("kind", ("plain",)), Condition("depth", (3, 4)))),),
    constraints=(Constraint("skip or depth <= 2"),),
)
_CONSTRAINED = Space(
    (
        Float(name="x", low=0.0, high=1.0),
        Float(name="y", low=1e-3, high=1.0, scale="log"),
        Int(name="units", low=1, high=64, scale="log"),
    ),
    constraints=(Constraint("x + y <= 1"), Constraint("x * units <= 8")),
)
_POINT = Space((Categorical(name="only", choices=("this",)),))
_LEARNERS = Space(
    (
        Categorical(name="learner", choices=("trees", "lines", "none"), default="lines"),
        *prefixed(
            Space(
                (
                    Float(name="rate", low=1e-4, high=1.0, scale="log", default=0.1),
                    Int(name="leaves", low=2, high=256, scale="log", default=31),
                    Categorical(name="booster", choices=("plain", "dart")),
                    Float(name="drop", low=0.0, high=0.5, when=(Condition("booster", ("dart",)),)),
                )
            ),
            "trees",
            Condition("learner", ("trees",)),
        ),
        *prefixed(
            Space((Float(name="penalty", low=1e-6, high=1e3, scale="log", default=1.0),)),
            "lines",
            Condition("learner", ("lines",)),
        ),
    )
)

_LADDER = Space(
    (
        Ordinal(name="rung", choices=("low", "middle"), reserve=("high", "top"), default="low"),
        Int(name="units", low=1, high=3, when=(Condition("rung", ("middle", "high")),)),
        Categorical(name="depth", choices=("some", "all"), when=(Condition("rung", ("top",)),)),
    ),
    forbidden=(Forbidden((Condition("rung", ("high",)), Condition("units", (3,)))),),
)

SPACES = {
    "continuous numbers": _CONTINUOUS,
    "only categories": _CATEGORIES,
    "integers on a log scale": _LOG_INTS,
    "numbers with steps": _STEPS,
    "conditions under conditions": _BRANCHES,
    "exact decimals": _DECIMALS,
    "scales for shares and signs": _SCALES,
    "priors": _EXPECTED,
    "forbidden combinations": _FORBIDDEN,
    "constraints on numbers": _CONSTRAINED,
    "a single point": _POINT,
    "no parameters": Space(()),
    "several learners": _LEARNERS,
    "a ladder with rungs held back": _LADDER,
    "a ladder climbed by one rung": _LADDER.replacing(_LADDER.ladders[0].opened("high")),
}
# how many configurations the finite ones have
SIZES = {
    "only categories": 6,
    "integers on a log scale": 12,
    "numbers with steps": 18,
    "conditions under conditions": 6,
    "exact decimals": 7,
    "forbidden combinations": 8,
    "a single point": 1,
    "no parameters": 1,
    "a ladder with rungs held back": 4,
    "a ladder climbed by one rung": 6,
}
_SEEDS = (0, 1)


def check_strategy(strategy_class: Callable[[], Strategy], *, defaults_first: bool = True) -> None:
    """Try a strategy on small spaces and awkward histories.

    Args:
        strategy_class: The class; called without arguments to make an instance.
        defaults_first: Whether the first proposals must be the known-good defaults, one for each
            choice of `Space.root` and for each open rung of `Space.ladders`.

    Raises:
        AssertionError: Names every broken promise and on which space.
    """
    broken = list(_contract(strategy_class))
    if not broken:
        checks = [*_CHECKS, *([_known_good_first] if defaults_first else [])]
        broken = [text for check in checks for text in check(strategy_class)]
    if broken:
        raise AssertionError("\n".join(dict.fromkeys(broken)))


Make = Callable[[], Strategy]


def _contract(make: Make) -> Iterator[str]:
    strategy: object = make()
    if not isinstance(strategy, Strategy):
        yield "it must have the methods `propose` and `judge`"
        return
    told = strategy.judge([_observed(0, {"x": 1.0}, "running")], {"t0": [0.5]})
    if not all(isinstance(signal, Signal) for signal in told.values()):
        yield f"judge must answer with signals, not {told!r}"
    got = strategy.propose(_CONTINUOUS, [], 0, 0)
    if got != ():
        yield f"asked for 0 proposals it must give (), not {got!r}"


def _inside(make: Make) -> Iterator[str]:
    for name, space in SPACES.items():
        for seed in _SEEDS:
            for asked, got, _ in _study(make, space, seed):
                if len(got) > asked:
                    yield f"{name}: {len(got)} proposals when asked for {asked}"
                for proposal in got:
                    yield from (f"{name}: {problem}" for problem in _faults(space, proposal))


def _faults(space: Space, proposal: Proposal) -> Iterator[str]:
    try:
        space.check(proposal.config)
    except SpaceError as error:
        yield f"a proposal lies outside of the space: {error}"
    for key, value in proposal.config.items():
        if isinstance(value, float) and repr(value) != repr(_as_written(space, key, value)):
            yield f"{key} is {value!r}; values of a grid are the decimals that its step says"
        if type(value) not in (bool, int, float, str):
            yield f"{key} is a {type(value).__name__}; values must be plain Python"
    if not proposal.reason.strip():
        yield "a proposal has no reason"
    for what in ("predicted", "spread"):
        number = getattr(proposal, what)
        if number is not None and not math.isfinite(number):
            yield f"{what} is {number}"


def _as_written(space: Space, key: str, value: float) -> float:
    parameter = next((p for p in space if p.name == key), None)
    return snap(parameter, value) if isinstance(parameter, Float) and parameter.step else value


def _replay(make: Make) -> Iterator[str]:
    for name, space in SPACES.items():
        used = make()
        for asked, _, history in _study(make, space, 0):
            first = used.propose(space, history, asked, 3)
            used.propose(_CONTINUOUS, [], 2, 8)
            copy = tuple(_observed_again(o) for o in history)
            if first != used.propose(space, copy, asked, 3):
                yield f"{name}: equal arguments gave different proposals after another call"
            if first != make().propose(space, history, asked, 3):
                yield f"{name}: a fresh instance gave different proposals"


def _distinct(make: Make) -> Iterator[str]:
    for name, size in SIZES.items():
        space = SPACES[name]
        for batch in (1, 4):
            history: list[Observed] = []
            for _ in range(size + 3):
                got = make().propose(space, history, batch, 5)
                history += [
                    _observed(len(history) + i, p.config, "done") for i, p in enumerate(got)
                ]
            different = {_identity(o.config) for o in history}
            if len(different) < len(history):
                repeats = len(history) - len(different)
                yield f"{name}: {repeats} configurations were proposed twice"
            if len(different) < size:
                yield f"{name}: ended after {len(different)} of {size} configurations"


def _running(make: Make) -> Iterator[str]:
    for name, space in SPACES.items():
        history: list[Observed] = []
        for _ in range(min(SIZES.get(name, 8), 8)):
            got = make().propose(space, history, 1, 0)
            history += [_observed(len(history), p.config, "running") for p in got]
        if len({_identity(o.config) for o in history}) < len(history):
            yield f"{name}: a running trial was proposed again"
        for status in ("running", "done"):  # the same with some trials finished meanwhile
            mixed = [_observed(i, o.config, status) for i, o in enumerate(history[:3])]
            asked = {_identity(o.config) for o in history}
            for p in make().propose(space, [*mixed, *history[3:]], 2, 0):
                if _identity(p.config) in asked:
                    yield f"{name}: a trial that was running or done was proposed again"


def _failed(make: Make) -> Iterator[str]:
    for name, space in SPACES.items():
        for losses in ((None,), (None, 0.5), (math.nan, 1e300, 0.1), (math.inf, -1e300), (0.3,)):
            history: list[Observed] = []
            for i in range(12):
                try:
                    got = make().propose(space, history, 1, 0)
                except Exception as error:  # noqa: BLE001 - any exception is the finding
                    yield f"{name}: losses {losses} raise {type(error).__name__}: {error}"
                    break
                for proposal in got:
                    yield from (f"{name}: {fault}" for fault in _faults(space, proposal))
                    loss = losses[i % len(losses)]
                    status = Status.DONE if loss is not None else _BAD[i % len(_BAD)]
                    history.append(Observed(f"t{i}", proposal.config, status, loss, noise=math.nan))


_BAD = (Status.FAILED, Status.MEMORY, Status.TIMEOUT, Status.DIVERGED, Status.CANCELLED)


def _older(make: Make) -> Iterator[str]:
    strange: tuple[Config, ...] = (
        {"learner": "trees", "trees.rate": 30.0, "trees.leaves": 9999, "trees.booster": "plain"},
        {"learner": "trees", "trees.rate": -1.0, "trees.leaves": 31, "trees.booster": "goss"},
        {"learner": "trees", "trees.leaves": 31},
        {"learner": "trees", "trees.rate": 0.1, "trees.leaves": 31, "trees.bins": 255},
        {"learner": "forest", "forest.trees": 100},
        {"forest.trees": 100},
        {"learner": "lines", "lines.penalty": "strong"},
        {},
    )
    for space_name in ("several learners", "continuous numbers", "numbers with steps"):
        space = SPACES[space_name]
        history = [_observed(i, config, "done") for i, config in enumerate(strange * 2)]
        for i in range(4):
            try:
                got = make().propose(space, history, 2, i)
            except Exception as error:  # noqa: BLE001 - any exception is the finding
                yield f"{space_name}: a history of an older space raises {error!r}"
                break
            for proposal in got:
                yield from (f"{space_name}: {fault}" for fault in _faults(space, proposal))
            if len(got) < 2:
                yield f"{space_name}: trials of an older space were taken for this one's"
            history += [_observed(len(history), p.config, "done") for p in got]


def _known_good_first(make: Make) -> Iterator[str]:
    for name, space in SPACES.items():
        wanted = list(_defaults(space))
        got: list[Proposal] = []
        history: list[Observed] = []
        for _ in wanted:
            got += make().propose(space, history, 1, 4)
            history = [_observed(i, p.config, "running") for i, p in enumerate(got)]
        together = make().propose(space, [], len(wanted), 4)
        for proposals in (got, together):
            if {_identity(p.config) for p in proposals} != {_identity(c) for c in wanted}:
                yield f"{name}: the first proposals are not the known-good defaults"


def _defaults(space: Space) -> Iterator[Config]:
    chooser = space.root or next(iter(space.ladders), None)
    if chooser is None:
        yield space.defaults()
        return
    starts = (space.defaults({chooser.name: choice}) for choice in chooser.choices)
    yield from filter(space.allows, starts)


def _waiting(make: Make) -> Iterator[str]:
    """Trials that wait may be gone on with, once each; whatever else is proposed is new."""
    for name in ("continuous numbers", "several learners"):
        space = SPACES[name]
        ended = [_observed(i, p.config, "done") for i, p in enumerate(_some(space, 8))]
        curves = [((1, 9.0), (10, 1.0 + i)) for i in range(len(ended))]
        history = [
            replace(o, status="raced", loss=None, curve=c, step=10, adjustable=tuple(o.config))
            for o, c in zip(ended[1:], curves, strict=False)
        ]
        try:
            got = make().propose(space, [ended[0], *history], 12, 0)
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            yield f"{name}: trials that wait raise {type(error).__name__}: {error}"
            continue
        parents = [p.parent for p in got if p.parent]
        waits = {o.trial for o in history}
        for proposal in got:
            yield from (f"{name}: {fault}" for fault in _faults(space, proposal))
            for other in filter(None, (proposal.parent, proposal.origin)):
                if other not in waits:
                    yield f"{name}: a proposal goes on with {other}, which does not wait"
        if len(set(parents)) < len(parents):
            yield f"{name}: two proposals take the place of one trial"


def _some(space: Space, count: int) -> tuple[Proposal, ...]:
    found: tuple[Proposal, ...] = find("strategy", "random")().propose(space, [], count, 7)
    return found


_CHECKS = (_inside, _replay, _distinct, _running, _failed, _older, _waiting)


def _study(
    make: Make, space: Space, seed: int
) -> Iterator[tuple[int, tuple[Proposal, ...], list[Observed]]]:
    """A short study: what was asked, what came, and the history before it."""
    history: list[Observed] = []
    for asked in (1, 3, 1, 2, 4, 1):
        got = make().propose(space, list(history), asked, seed)
        yield asked, got, list(history)
        for proposal in got:
            status = "running" if len(history) % 4 == 3 else "done"
            history.append(_observed(len(history), proposal.config, status))


def _observed(index: int, config: Config, status: str) -> Observed:
    loss = None if status == "running" else _loss(config)
    return Observed(f"t{index}", config, status, loss, noise=0.01, seconds=1.0)


def _observed_again(o: Observed) -> Observed:
    return Observed(o.trial, dict(o.config), o.status, o.loss, o.noise, o.seconds, o.round)


def _loss(config: Config) -> float:
    """A smooth loss on any space."""
    total = 0.0
    for name, value in sorted(config.items()):
        number = float(len(value)) if isinstance(value, str) else float(value)
        total += (math.atan(number) - len(name) / 10) ** 2
    return total


@dataclass(frozen=True)
class _Value:
    kind: type
    value: object


def _identity(config: Config) -> frozenset[tuple[str, _Value]]:
    return frozenset((name, _Value(type(value), value)) for name, value in config.items())
