"""The report is looked at in the same browser as the dashboard, and in a wide terminal."""

import sys
from pathlib import Path

import pytest

from attain.report.text import WIDEST

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "web"))


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """Lines break where they break in a wide terminal, whatever this one's width is."""
    monkeypatch.setenv("COLUMNS", str(WIDEST))
