"""Studies made by hand for the report serve the dashboard, too; one of 100,000 trials for all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "report"))


@pytest.fixture(scope="session")
def large_folder(tmp_path_factory):
    """A study of 100,000 scored trials and one under way; it must not be altered."""
    import web_studies

    return web_studies.many(tmp_path_factory.mktemp("large"), 100_000)
