"""What the package offers by name is there, in order, and has the version that is announced."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import attain

ROOT = Path(__file__).resolve().parents[2]
LEAST = 2  # modules with __all__; fewer means that the sweep itself is broken


def _exports() -> dict[str, list[str]]:
    """The literal ``__all__`` of every module that has one."""
    found = {}
    for path in sorted((ROOT / "attain").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = ast.literal_eval(node.value)
    return found


def test_the_sweep_finds_the_exports():
    """The root and the API are among the modules that are looked at."""
    found = _exports()
    assert len(found) >= LEAST
    assert {"attain", "attain.pipeline.api"} <= set(found)


@pytest.mark.parametrize(("module", "names"), _exports().items())
def test_exports_are_unique_and_importable(module, names):
    """Every name in ``__all__`` can be imported; that they are sorted is the linter's business."""
    assert len(names) == len(set(names))
    loaded = importlib.import_module(module)
    for name in names:
        assert getattr(loaded, name) is not None


def test_unknown_names_are_refused_as_python_does():
    """The lazy root does not swallow typing errors."""
    with pytest.raises(AttributeError, match="has no attribute 'tuen'"):
        attain.tuen  # noqa: B018 - the access is what is tested
    assert set(attain.__all__) <= set(dir(attain))


def test_the_changelog_begins_with_this_version():
    """Whoever reads the changelog reads about what they have installed."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", text, re.MULTILINE)
    assert newest is not None
    assert newest[1] == attain.__version__


def test_module_and_command_are_the_same():
    """``python -m attain --version`` answers like ``attain --version``."""
    ran = subprocess.run(
        [sys.executable, "-m", "attain", "--version"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert ran.stdout == f"attain {attain.__version__}\n"
