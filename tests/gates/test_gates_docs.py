"""What the documentation says is so: links lead somewhere, commands run, examples work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attain.cli.call import VERBS
from attain.core.errors import Exit

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# The example's verdict is not what is tested here, and a small machine may have little memory.
ALLOWED = {"run": {0, 3, 4}, "doctor": {0, 8}}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    bare = re.sub(r"[`*]|[^\w\s-]", "", heading.strip().lower())
    return re.sub(r"\s", "-", bare)


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "TMPDIR": str(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the small example table."""
    shutil.copy(ROOT / "examples" / "credit" / "credit_g.csv", tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_project_lead_somewhere(page):
    """Every relative link names a file that exists, every anchor a heading."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page if not name else (page.parent / name).resolve()
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{page.name} links to {link}"


def test_decisions_are_listed():
    """Each numbered record is in the list of records."""
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records
    for record in records:
        assert f"]({record.name})" in index


def test_every_command_and_exit_code_is_in_the_readme():
    """A reader of the README has met every verb and every exit code."""
    for verb in VERBS:
        assert f"`attain {verb}" in README, verb
    for code in Exit:
        assert re.search(rf"^\| {int(code)} \|", README, re.MULTILINE), code


@pytest.mark.slow
def test_the_commands_of_the_readme_run(folder):
    """Typed one after the other in an empty folder, each ends as it should."""
    commands = [
        shlex.split(line.removeprefix("$ "))
        for block in _blocks("console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert len(commands) >= 6
    for program, verb, *rest in commands:
        assert program == "attain"
        ran = subprocess.run(
            [sys.executable, "-m", "attain", verb, *rest],
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        said = f"attain {verb} {shlex.join(rest)}\n{ran.stdout}\n{ran.stderr}"
        assert ran.returncode in ALLOWED.get(verb, {0}), said
        assert ran.stdout.strip(), said
    for name in ("report.html", "model_card.md", "report.json", "model", "ledger.db"):
        assert (folder / "study" / name).exists(), name
    assert (folder / "predictions.csv").exists()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(folder):
    """Pasted into a file, the example tunes, prints a verdict and predicts."""
    (block,) = _blocks("python")
    script = folder / "example.py"
    script.write_text(block + "print(len(predictions))\n", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "1000"


def test_ci_runs_the_command_that_the_readme_names():
    """What a contributor is told to run is what CI runs."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("make --no-print-directory test")
    assert "make test" in README


def test_make_lists_its_targets():
    """`make` alone says what can be made, and each thing named is a target."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    ran = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = re.findall(r"^make (\w+)", ran.stdout, re.MULTILINE)
    assert {"demo", "test", "check", "bench"} <= set(named)
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in named:
        assert re.search(rf"^{target}:", rules, re.MULTILINE), target
