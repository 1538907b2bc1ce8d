"""Learners with rungs that cost nothing but say that they do, and one that keeps checkpoints."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from attain.core.space import Condition, Float, Int, Ordinal, Space
from attain.core.types import Forecast, RungForecast, Signal
from attain.strategy.random import Random
from attain.testing.fakes import FakeLearner

RUNGS = ("words", "frozen", "lora", "full")
SECONDS = {"words": 0.01, "frozen": 0.02, "lora": 1.0, "full": 4.0}
SPOILED = {"words": 0.75, "frozen": 0.45, "lora": 0.2, "full": 0.0}
"""Share of the targets that are shuffled: the higher the rung, the better the model."""


class Climber(FakeLearner):
    """The higher its rung, the less its targets are spoiled; fits take no time at all."""

    seconds: ClassVar[dict[str, float]] = SECONDS
    bytes = 10**6
    unusable: tuple[str, ...] = ()

    def space(self, dataset: Any) -> Space:
        return Space(
            (
                Ordinal(
                    name="rung", choices=RUNGS[:2], reserve=RUNGS[2:], default="frozen",
                    source="test",
                ),
                Float(
                    name="rate", low=0.1, high=1.0, default=0.5,
                    when=(Condition("rung", RUNGS[1:]),), source="test",
                ),
                Int(
                    name="depth", low=1, high=9, default=3, priority=3,
                    when=(Condition("rung", ("full",)),), source="test",
                ),
            )
        )  # fmt: skip

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        rng = np.random.default_rng(data.seed)
        y = data.train.y.copy()
        part = rng.choice(len(y), int(len(y) * SPOILED[config["rung"]]), replace=False)
        y[part] = rng.permutation(y[part])
        full = {"penalty": 0.01, "rate": config.get("rate", 0.5), "rounds": 30}
        train = replace(data.train, y=y)
        return super().fit(full, replace(data, train=train, stop=None), report)

    def forecast(self, data: Any, stated: Any = None) -> Forecast:
        assert data.cache is not None
        rungs = tuple(
            RungForecast(
                name,
                10 ** (3 + i),
                self.seconds[name],
                self.bytes,
                "no GPU" if name in self.unusable else "as measured",
                name not in self.unusable,
            )
            for i, name in enumerate(RUNGS)
        )
        examples = tuple((f"[CLS] text {i} [SEP]", "yes") for i in range(5))
        return Forecast(rungs, examples, {"share of texts cut": 0.25, "longest": 512})


class Greedy(Climber):
    """Its highest rung takes more memory than anybody has."""

    bytes = 10**15


class Dear(Climber):
    """Its higher rungs take longer than a study of a minute."""

    seconds: ClassVar[dict[str, float]] = {**SECONDS, "lora": 100.0, "full": 400.0}


class Lame(Climber):
    """Its highest rung cannot be used, and it says why."""

    unusable = ("full",)


class Mute(Climber):
    """It cannot say what it costs."""

    def forecast(self, data: Any, stated: Any = None) -> Forecast:
        raise RuntimeError("the probe broke")


class Stubborn(FakeLearner):
    """Keeps its state in its checkpoint's folder, and says where its fits began.

    A fit takes twenty steps of STEP_SECONDS, a twentieth of a second; each is written down.
    ``touched`` in the data's folder counts the steps that were ever made.
    """

    def space(self, dataset: Any) -> Space:
        return Space((Float(name="rate", low=0.1, high=1.0, default=0.5, source="test"),))

    def fit(self, config: Any, data: Any, report: Any) -> Any:
        folder: Path = data.checkpoint
        folder.mkdir(parents=True, exist_ok=True)
        data.cache.mkdir(parents=True, exist_ok=True)
        (data.cache / "tokens.bin").write_bytes(b"1")
        state = folder / "state.json"
        began = json.loads(state.read_text())["step"] if state.exists() else 0
        with (data.cache.parent / "began.txt").open("a") as log:
            log.write(f"{folder.name} {began}\n")
        for step in steps(began):
            time.sleep(float(os.environ.get("STEP_SECONDS", "0.05")))
            state.write_text(json.dumps({"step": step}))
            if report(step, {"train": 1.0 / step, "stop": 1.0 / step}) is Signal.STOP:
                break
        full = {"penalty": 0.01, "rate": config["rate"], "rounds": 20}
        model = super().fit(full, replace(data, stop=None), lambda step, losses: Signal.CONTINUE)
        return replace(model, facts={"began": began})


class Pausing:
    """Draws at random, and pauses each fit after three steps; or stops it."""

    signal = Signal.PAUSE

    def propose(self, space: Any, history: Any, n: int, seed: int) -> Any:
        return Random().propose(space, history, n, seed)

    def judge(self, history: Any, running: Any) -> Any:
        return {name: self.signal for name, losses in running.items() if len(losses) >= 3}


class Stopping(Pausing):
    """The same with STOP."""

    signal = Signal.STOP


def steps(began: int) -> Iterator[int]:
    yield from range(began + 1, 21)


def texts(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """Texts whose first word says the label."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    words = np.array(["bad", "good"])[label]
    return pd.DataFrame(
        {
            "text": [f"{w} service and word number {i} of many" for i, w in enumerate(words)],
            "label": np.array(["no", "yes"])[label],
        }
    )
