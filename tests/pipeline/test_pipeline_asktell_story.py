"""Any interleaving of asks, tells, losses, failures and restarts keeps every trial exactly once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from attain.core.types import Draft, Record
from attain.pipeline.asktell import Optimizer
from attain.testing.fakes import MemoryLedger

SPACES: list[dict[str, Any]] = [
    {"x": (0.0, 1.0), "kind": ["a", "b"]},
    {"n": (1, 3), "kind": ["a", "b"], "flag": {"choices": [True, False], "when": {"kind": "b"}}},
]
GOALS = ["minimize loss", "maximize loss, cost <= 2", "minimize loss, maximize cost"]
LOSSES = st.floats(allow_infinity=False) | st.just(math.inf)  # NaN included


class Disk:
    """What stays when an optimizer is closed or dies: records as JSON, in a ledger without end."""

    def __init__(self) -> None:
        self._records = MemoryLedger()

    def append(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        return self._records.append(drafts)

    def read(self, since: int = 0) -> tuple[Record, ...]:
        return self._records.read(since)

    def close(self) -> None:
        pass


class Story(RuleBasedStateMachine):
    """A durable optimizer, a model of what must be known, and a twin that never stops."""

    @initialize(
        space=st.sampled_from(SPACES),
        goals=st.sampled_from(GOALS),
        seed=st.integers(0, 3),
        strategy=st.sampled_from(["random", "grid", "sobol"]),
    )
    def begin(self, space: dict[str, Any], goals: str, seed: int, strategy: str) -> None:
        self.stated = {"space": space, "goals": goals, "seed": seed, "strategy": strategy}
        self.disk = Disk()
        self.optimizer = Optimizer(**self.stated, ledger=self.disk)
        self.twin = Optimizer(**self.stated)
        self.known: dict[str, str] = {}
        self.configs: list[dict[str, Any]] = []

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """Do the same with both; they must agree."""
        first = getattr(self.optimizer, verb)(*arguments, **named)
        second = getattr(self.twin, verb)(*arguments, **named)
        assert repr(first) == repr(second)
        return first

    def of(self, *states: str) -> list[str]:
        return [trial for trial, state in self.known.items() if state in states]

    @rule(n=st.integers(1, 3))
    def ask(self, n: int) -> None:
        waiting = len(self.of("lost"))
        trials = self.both("ask", n)
        again = [t.id for t in trials if t.id in self.known]
        assert len(again) == min(n, waiting)
        assert set(again) <= set(self.of("lost"))
        self.configs += [t.config for t in trials if t.id not in self.known]
        self.known |= {t.id: "running" for t in trials}

    @precondition(lambda self: self.of("running", "lost"))
    @rule(data=st.data(), loss=LOSSES, cost=LOSSES)
    def tell(self, data: st.DataObject, loss: float, cost: float) -> None:
        trial = data.draw(st.sampled_from(self.of("running", "lost")))
        told = self.both("tell", trial, {"loss": loss, "cost": cost})
        needed = (loss, cost) if "cost" in str(self.stated["goals"]) else (loss,)
        assert told.done == all(map(math.isfinite, needed))
        self.known[trial] = told.status

    @precondition(lambda self: self.of("running"))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        trial = data.draw(st.sampled_from(self.of("running")))
        self.both("failed", trial, "why")
        self.known[trial] = "failed"

    @precondition(lambda self: self.of("running", "failed"))
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        trial = data.draw(st.sampled_from(self.of("running", "failed")))
        self.both("lost", trial)
        self.known[trial] = "lost"

    @rule(loss=LOSSES)
    def add(self, loss: float) -> None:
        config = self.optimizer.space.defaults()
        added = self.both("add", config, {"loss": loss, "cost": 0.0})
        assert added.id not in self.known
        self.known[added.id] = added.status

    @rule()
    def reopen(self) -> None:
        self.optimizer.close()
        self.optimizer = Optimizer(**self.stated, ledger=self.disk)

    @rule()
    def crash(self) -> None:
        """As after a kill: nothing is closed, what was in memory is gone."""
        self.optimizer = Optimizer(**self.stated, ledger=self.disk)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "known"):
            return
        found = {t.id: t.status for t in self.optimizer.trials}
        assert found == self.known
        assert self.optimizer.done == len(self.of("done"))
        assert self.optimizer.ended == len(self.of("done", "failed"))
        seen = {o.trial: o.status for o in self.optimizer.history}
        assert seen == {t: s for t, s in self.known.items() if s != "lost"}
        assert len(self.configs) == len({repr(sorted(c.items())) for c in self.configs})

    @invariant()
    def the_twin_agrees(self) -> None:
        if hasattr(self, "known"):
            for view in ("trials", "history", "running", "best", "front", "done", "ended"):
                assert repr(getattr(self.optimizer, view)) == repr(getattr(self.twin, view)), view


TestStory = Story.TestCase
TestStory.__doc__ = "No order of events loses a trial, doubles one, or makes a restart differ."
TestStory.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
