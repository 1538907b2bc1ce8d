"""Learners that keep their state when they are paused, and strategies that pause them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from attain.core.space import Float, Space
from attain.core.types import Signal
from attain.strategy.population import Population
from attain.strategy.random import Random
from attain.testing.fakes import FakeLearner


class Patient(FakeLearner):
    """Keeps its state when it is paused, and says where its fits began.

    ``began.txt`` in the study's folder has a line for each fit: its state's folder, and the step.
    """

    pauses = True

    def space(self, dataset: Any) -> Space:
        return Space((Float(name="rate", low=0.1, high=1.0, default=0.5, source="test"),))

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        if data.checkpoint is None:
            return super().fit(config, data, report)
        state, began = data.checkpoint / "state.json", 0
        with suppress(OSError, ValueError):
            began = int(json.loads(state.read_text())["step"])
        with (data.cache.parent / "began.txt").open("a") as log:
            log.write(f"{data.checkpoint.name} {began}\n")

        def told(step: int, losses: Any) -> Signal:
            signal: Signal = report(step, losses)
            if signal is not Signal.PAUSE:
                return signal
            data.checkpoint.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps({"step": step}))
            return Signal.STOP

        full = {"penalty": 0.01, "rate": config["rate"], "rounds": 20}
        return super().fit(full, data, told)


class Slow(Patient):
    """Takes its time once it goes on, so that it can be killed there."""

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        first = data.checkpoint is not None and data.checkpoint.name in ("t0004-f0", "t0003-f0")

        def told(step: int, losses: Any) -> Signal:
            time.sleep(0.1 if first and step > 3 else 0.0)
            answer: Signal = report(step, losses)
            return answer

        return super().fit(config, data, told)


class Waiting:
    """Draws at random, and pauses fits after three steps until three have been seen."""

    later: Signal = Signal.CONTINUE

    def propose(self, space: Any, history: Any, n: int, seed: int) -> Any:
        return Random().propose(space, history, n, seed)

    def judge(self, history: Any, running: Any) -> Any:
        seen = sum(bool(o.curve) for o in history)
        signal = Signal.PAUSE if seen < 3 else self.later
        return {name: signal for name, losses in running.items() if len(losses) == 3}


class GivingUp(Waiting):
    """The same, but then it ends them."""

    later = Signal.STOP


class Four(Population):
    """Four members, looked at every twelve steps."""

    def __init__(self) -> None:
        super().__init__(search="random", size=4, every=12)
