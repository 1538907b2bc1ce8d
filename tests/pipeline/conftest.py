"""A small study that runs in this process within a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attain.core.protocols import Executor
from attain.pipeline import final_jobs
from attain.pipeline import run as running
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec, make_spec
from attain.testing.fakes import InlineExecutor

FAKE = "attain.testing.fakes:FakeLearner"
FAULTY = "attain.testing.fakes:FaultyLearner"


def table(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two informative numbers, a noisy one, a category, and a label that depends on three."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, rows))
    colour = rng.choice(["red", "green", "blue"], rows)
    logit = 2 * a - 1.5 * b + 1.5 * (colour == "red")
    label = np.where(logit + rng.logistic(size=rows) > 0, "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "noise": noise, "colour": colour, "label": label})


def inline(workers: int, threads: int, logs: Path) -> Executor:
    """An executor without processes."""
    return InlineExecutor()


@pytest.fixture(autouse=True)
def _short_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process latency is measured for a moment only."""
    monkeypatch.setattr(final_jobs, "LATENCY_SECONDS", 0.05)


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., StudySpec]:
    """Makes the statement of a small study; keywords change it."""

    def make(**changes: Any) -> StudySpec:
        path = tmp_path / "table.csv"
        if not path.exists():
            table().to_csv(path, index=False)
        stated = {
            "data": str(path),
            "target": "label",
            "objectives": ["roc_auc >= 0.7", "maximize accuracy"],
            "learners": [FAKE],
            "budget": "6 trials",
            "folds": 3,
            "repeats": 1,
            "workers": 1,
            "output": str(tmp_path / "study"),
        }
        return make_spec({**stated, **changes})

    return make


@pytest.fixture
def run(spec: Callable[..., StudySpec]) -> Callable[..., Result]:
    """Runs a small study in this process."""

    def start(listen: Any = None, **changes: Any) -> Result:
        return running.run(spec(**changes), listen=listen, executors=inline)

    return start
