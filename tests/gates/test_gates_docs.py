"""What the documentation says is so: links lead somewhere, commands run, examples work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attain.cli.call import VERBS
from attain.core import registry
from attain.core.errors import Exit
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows
from attain.learners.linear import Linear
from attain.pipeline import exports, saved

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "model-format.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# The example's verdict is not what is tested here, and a small machine may have little memory.
ALLOWED = {"run": {0, 3, 4}, "doctor": {0, 8}}


def _blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def _commands(page: str) -> list[list[str]]:
    lines = [line for block in _blocks("console", page) for line in block.splitlines()]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    bare = re.sub(r"[`*]|[^\w\s-]", "", heading.strip().lower())
    return re.sub(r"\s", "-", bare)


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "TMPDIR": str(folder)}


def _ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


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
    commands = _commands(README)
    assert len(commands) >= 6
    for program, verb, *rest in commands:
        assert program == "attain"
        ran = _ran(folder, "-m", "attain", verb, *rest)
        said = f"attain {verb} {shlex.join(rest)}\n{ran.stdout}\n{ran.stderr}"
        assert ran.returncode in ALLOWED.get(verb, {0}), said
        assert ran.stdout.strip(), said
    for name in ("report.html", "model_card.md", "report.json", "model", "ledger.db"):
        assert (folder / "study" / name).exists(), name
    assert (folder / "predictions.csv").exists()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(folder):
    """Pasted into a file, the example tunes, prints a verdict and predicts."""
    tuning, _ = _blocks("python")
    assert _said(folder, tuning + "print(len(predictions))\n")[-1] == "1000"


def test_the_python_of_any_function_runs(folder):
    """The README's second example searches, and stops where it says that it would."""
    _, searching = _blocks("python")
    assert _said(folder, searching + "print(len(result.trials))\n")[-1] == "30"


def test_the_python_of_the_page_on_functions_runs(folder):
    """All examples of docs/minimize.md, one after the other in one file."""
    blocks = _blocks("python", (ROOT / "docs" / "minimize.md").read_text(encoding="utf-8"))
    assert len(blocks) == 7
    assert len(_said(folder, "\n".join(blocks))) == 5


def _said(folder: Path, program: str) -> list[str]:
    """The lines that a program prints when it is run as a file."""
    script = folder / "example.py"
    script.write_text(program, encoding="utf-8")
    ran = _ran(folder, str(script))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


CHECKED = """
import attain
folder = attain.load("final")
assert (predictions == folder.predict("credit_g.csv")).all()
assert (probabilities == folder.raw("credit_g.csv")).all()
assert np.allclose(second, probabilities[:, 1], rtol=0, atol=1e-12)
assert np.ptp(second) > 0.5
"""


def test_the_examples_of_the_model_formats_run(folder):
    """A study's model is exported as the page says, and both its programs predict the same."""
    frame = load_frame(folder / "credit_g.csv")
    dataset = describe(frame, target="class")
    learner, config = Linear(), {"C": 1.0, "penalty": "l2", "numeric": "standard"}
    data = FitData(dataset, to_rows(frame, dataset))
    model = learner.fit(config, data, lambda step, losses: Signal.CONTINUE)
    (folder / "study").mkdir()
    about = {"learner": "linear", "config": config, "dataset": dataset, "about": {}}
    saved.save(folder / "study" / "model", model, **about)
    for _, *arguments in _commands(FORMATS):
        ran = _ran(folder, "-m", "attain", *arguments)
        assert ran.returncode == 0, ran.stderr
    (folder / "example.py").write_text("\n".join([*_blocks("python", FORMATS), CHECKED]))
    ran = _ran(folder, "-W", "error", "example.py")
    assert ran.returncode == 0, ran.stderr


# Learners of files and of language write a pre-trained body, which has guides of its own.
OF_TABLES = {n for n in registry.names("learner") if ":" not in n} - {"image", "audio", "llm"}


@pytest.mark.parametrize("learner", sorted(OF_TABLES))
def test_every_field_of_a_model_is_in_the_page(learner, model_folder):
    """Whatever file or field a learner of tables and texts writes, the page has its name."""
    folder, _ = model_folder(learner)
    spans = re.findall(r"`([^`\n]+)`", FORMATS)
    explained = {word for span in spans for word in re.findall(r"[\w.]+", span)}
    written = _fields(exports.document(saved.load(folder))["learner"])
    assert len(written) >= 7
    assert written - explained == set()


def _fields(files: dict[str, Any]) -> set[str]:
    """Names of files, fields, columns of records, parts of `prepare.json`; numbered ones once."""
    names = set(files)
    for file, content in files.items():
        for key, value in content.items() if file != "booster.txt" else ():  # LightGBM's own
            parts = file == "prepare.json" and isinstance(value, dict)
            names |= {f"{key}.{part}" for part in value} if parts else {key}
            kinds = value["dtype"] if isinstance(value, dict) and "dtype" in value else {}
            names |= set(kinds) if isinstance(kinds, dict) else set()  # records have columns
    return {re.sub(r"^(weight|bias|text)\d+", r"\g<1>0", name) for name in names}


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
