"""A small study that runs in this process within a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipeline_small import FAKE, inline, table

from attain.pipeline import final_jobs
from attain.pipeline import run as running
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec, make_spec


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
