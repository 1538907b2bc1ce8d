"""The examples: their study files can be read, and their data are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from attain.pipeline.spec import load_spec

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "examples").glob("*/attain.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_study_files_can_be_read(path):
    """Their data lie beside them, and the folder of examples tells of them."""
    spec = load_spec(path)
    assert spec.source.parent == path.parent
    assert spec.source.exists()
    told = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert f"`{path.parent.name}/{spec.source.name}`" in told
    assert len(STUDIES) >= 3
