"""A ledger's path, an executor, and jobs that are defined beside their tests."""

from __future__ import annotations

import pytest

from attain.runtime.local import LocalExecutor


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study" / "ledger.db"


@pytest.fixture
def executor(tmp_path):
    made = LocalExecutor(workers=1, logs=tmp_path / "logs")
    yield made
    made.close()


@pytest.fixture
def here(request, monkeypatch):
    """Make the functions of the test's own file callable as jobs."""
    monkeypatch.syspath_prepend(request.path.parent)
    return f"{request.path.stem}:"
