"""What a small study is made of: a table, learners, and an executor without processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from attain.core.protocols import Executor
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
