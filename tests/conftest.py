"""What all tests share: how examples are drawn, and a model without a study.

With CI set, the same examples are drawn every time, so that a commit passes or fails for what it
changed; elsewhere every run looks at new ones, and what it finds becomes a test of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

from attain.core import registry
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Signal, Task
from attain.learners._table import complete
from attain.pipeline import saved
from attain.testing.learner_suite import synthetic
from attain.testing.postgres import PostgresServer, find_server

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _forget_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test registers, the next does not see."""
    added = {kind: dict(plugins) for kind, plugins in registry._added.items()}
    monkeypatch.setattr(registry, "_added", added)


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[Path, pd.DataFrame]]:
    """Makes a model folder and its rows, once for each set of arguments; it must not be altered."""

    @cache
    def make(
        learner: str = "linear", task: Task = Task.BINARY, **config: object
    ) -> tuple[Path, pd.DataFrame]:
        dataset, rows = synthetic(task)
        found = find("learner", learner)()
        full = complete(found.space(dataset), config)
        data = FitData(dataset, rows, hints={"rounds": 8})
        model = found.fit(full, data, lambda step, losses: Signal.CONTINUE)
        folder = tmp_path_factory.mktemp("saved") / "model"
        about = {"trial": "t0001", "facts": model.facts}
        saved.save(folder, model, learner=learner, config=full, dataset=dataset, about=about)
        return folder, rows.X

    return make


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; every test names studies of its own."""
    if find_server() is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    with PostgresServer() as made:
        yield made
