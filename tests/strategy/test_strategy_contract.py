"""The built-in strategies keep the contract, and the suite notices those that do not."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attain.core import registry
from attain.core.types import Proposal, Signal
from attain.testing.strategy_suite import SIZES, SPACES, check_strategy

_SEARCHES = ("bayes", "cmaes", "evolution", "grid", "lhs", "portfolio", "random", "sobol", "tpe")
# these propose as bayes, or are it
_AS_BAYES = ("bayes_per_second", "curves", "halving", "hyperband", "median", "population")
_NAMES = tuple(sorted([*_SEARCHES, *_AS_BAYES]))


@pytest.mark.parametrize("name", _SEARCHES)
def test_built_in_strategies_keep_the_contract(name):
    """Each of the nine passes every check of the suite; only grid has no defaults."""
    check_strategy(registry.find("strategy", name), defaults_first=name != "grid")


def test_no_built_in_strategy_is_left_out():
    """The list above names every registered strategy."""
    assert registry.names("strategy") == _NAMES


def test_every_strategy_has_a_row_in_the_guide():
    """docs/strategies.md names each registered strategy in its tables, and no others."""
    guide = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert tuple(sorted(set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)))) == _NAMES


def test_the_suite_sweeps_what_it_says():
    """Fifteen spaces, ten of them finite: a suite that loses one would prove less."""
    assert len(SPACES) == 15
    assert len(SIZES) == 10


class _Sound:
    """Keeps everything by leaning on random search; the broken ones below each change one thing."""

    def propose(self, space, history, n, seed):
        return registry.find("strategy", "random")().propose(space, history, n, seed)

    def judge(self, history, running):
        return {}


class _Outside(_Sound):
    def propose(self, space, history, n, seed):
        return tuple(
            replace(
                p, config={k: v * 1000 if isinstance(v, float) else v for k, v in p.config.items()}
            )
            for p in super().propose(space, history, n, seed)
        )


class _Inactive(_Sound):
    def propose(self, space, history, n, seed):
        proposals = super().propose(space, history, n, seed)
        return tuple(
            replace(
                p, config={**p.config, "trees.drop": 0.1} if "learner" in p.config else p.config
            )
            for p in proposals
        )


class _TooMany(_Sound):
    def propose(self, space, history, n, seed):
        return super().propose(space, history, n + 1, seed) if n else ()


class _Remembers(_Sound):
    _calls = itertools.count()

    def propose(self, space, history, n, seed):
        return super().propose(space, history, n, next(self._calls))


class _Forgets(_Sound):
    def propose(self, space, history, n, seed):
        return super().propose(space, [], n, seed + len(history))


class _ForgetsRunning(_Sound):
    def propose(self, space, history, n, seed):
        return super().propose(space, [o for o in history if o.status != "running"], n, seed)


class _GivesUp(_Sound):
    def propose(self, space, history, n, seed):
        return super().propose(space, history, n, seed) if len(history) < 4 else ()


class _NeedsLosses(_Sound):
    def propose(self, space, history, n, seed):
        if any(o.loss is None and o.status != "running" for o in history):
            raise ValueError("a loss is missing")
        return super().propose(space, history, n, seed)


class _NeedsThisSpace(_Sound):
    def propose(self, space, history, n, seed):
        for observed in history:
            space.check(observed.config)
        return super().propose(space, history, n, seed)


class _SkipsDefaults(_Sound):
    def propose(self, space, history, n, seed):
        return super().propose(space, history, n + 3, seed)[3:]


class _NumPyValues(_Sound):
    def propose(self, space, history, n, seed):
        return tuple(
            replace(
                p,
                config={
                    k: np.float64(v) if isinstance(v, float) else v for k, v in p.config.items()
                },
            )
            for p in super().propose(space, history, n, seed)
        )


class _Silent(_Sound):
    def propose(self, space, history, n, seed):
        return tuple(Proposal(p.config, "") for p in super().propose(space, history, n, seed))


class _NoNumber(_Sound):
    def propose(self, space, history, n, seed):
        proposals = super().propose(space, history, n, seed)
        return tuple(replace(p, predicted=float("nan")) for p in proposals)


class _Shouts(_Sound):
    def judge(self, history, running):
        return dict.fromkeys(running, "stop!")


class _Mute:
    def propose(self, space, history, n, seed):
        return ()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_Outside, "outside of the space"),
        (_Inactive, "only active parameters have values"),
        (_TooMany, "proposals when asked for"),
        (_Remembers, "gave different proposals"),
        (_Forgets, "proposed twice"),
        (_ForgetsRunning, "running trial was proposed again"),
        (_GivesUp, "ended after 4 of"),
        (_NeedsLosses, "raise ValueError: a loss is missing"),
        (_NeedsThisSpace, "history of an older space raises"),
        (_SkipsDefaults, "not the known-good defaults"),
        (_NumPyValues, "must be plain Python"),
        (_Silent, "has no reason"),
        (_NoNumber, "predicted is nan"),
        (_Shouts, "judge must answer with signals"),
        (_Mute, "must have the methods"),
    ],
)
def test_the_suite_names_what_is_broken(broken, message):
    """A strategy that breaks one promise fails, with a message that says which."""
    with pytest.raises(AssertionError, match=message):
        check_strategy(broken)


def test_the_suite_accepts_a_sound_strategy():
    """The base of all the broken ones passes, so each fails for its own change only."""
    check_strategy(_Sound)


def test_signals_are_accepted_from_judge():
    """A strategy that stops trials early is sound."""

    class Stops(_Sound):
        def judge(self, history, running):
            return dict.fromkeys(running, Signal.STOP)

    check_strategy(Stops)
