"""The commands on a real table, as a user and as a program meet them."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from attain.cli.call import VERBS
from attain.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CREDIT = ROOT / "examples" / "credit" / "credit_g.csv"
STUDY = """\
data: credit_g.csv
target: class
objectives: [roc_auc >= 0.6]
learners: [linear]
folds: 2
repeats: 1
workers: 1
budget: 2 trials
"""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


Attain = Callable[..., Said]


@pytest.fixture
def attain(capsys: pytest.CaptureFixture[str]) -> Attain:
    """Run a command in this process."""

    def run(*arguments: object) -> Said:
        with pytest.raises(SystemExit, match=r"^\d$") as left:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Said(int(left.value.code), captured.out, captured.err)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the table and a study file, entered."""
    shutil.copy(CREDIT, tmp_path)
    (tmp_path / "attain.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A folder with a study that was run in a process of its own, and what it said."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(CREDIT, folder)
    (folder / "attain.yaml").write_text(STUDY)
    ran = subprocess.run(
        [sys.executable, "-m", "attain", "run"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, Said(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def done(finished: tuple[Path, Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished study, entered."""
    shutil.copytree(finished[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_init_writes_a_file_that_plan_reads(attain, here):
    """The written file is complete: the next command works without editing it."""
    (here / "attain.yaml").unlink()
    said = attain("init", "credit_g.csv", "--target", "class", "--objective", "accuracy >= 0.7")
    assert said.code == 0
    assert "attain.yaml is written" in said.out
    assert "accuracy >= 0.7" in said.out
    assert attain("plan").code == 0


def test_init_asks_before_it_replaces(attain, here):
    """A study file is not lost by a second init; --force and --output are the ways out."""
    refused = attain("init", "credit_g.csv", "--target", "class")
    assert refused.code == 2
    assert "--force" in refused.err
    assert (here / "attain.yaml").read_text() == STUDY
    other = attain("init", "credit_g.csv", "--target", "class", "--output", "other.yaml")
    assert other.code == 0
    assert "attain plan other.yaml" in other.out
    assert attain("init", "credit_g.csv", "--target", "class", "--force").code == 0
    assert (here / "attain.yaml").read_text() != STUDY


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("init credit.csv --target class --force", ["credit.csv"]),
        ("init credit_g.csv --target klass --force", ["'klass'", "did you mean 'class'"]),
        (
            "init credit_g.csv --target class --objective 'roc_acu >= 0.9' --force",
            ["roc_acu", "roc_auc"],
        ),
        ("plan nothing.yaml", ["nothing.yaml", "attain init"]),
        ("run nothing.yaml", ["nothing.yaml", "attain init"]),
        ("audit credit_g.csv", ["credit_g.csv"]),
        ("report", ["there must be a study", "attain run"]),
        ("report nowhere", ["nowhere"]),
        ("test --reason curious", ["there must be a study"]),
        ("doctor nowhere", ["nowhere"]),
        ("predict nowhere credit_g.csv", ["not a model folder"]),
        ("export nowhere --to x", ["not a model folder"]),
        ("export nowhere --to x --format onxx", ["'onxx'", "use one of"]),
        ("predict m credit_g.csv --out p.xlsx", ["p.xlsx", ".csv"]),
        ("predict m credit_g.csv --out no/p.csv", ["the folder must exist"]),
    ],
)
def test_bad_input_is_answered_with_what_to_do(attain, here, command, words):
    """Wrong paths, columns, metrics and formats end with code 2, one block, and a next step."""
    said = attain(*shlex.split(command))
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    for word in words:
        assert word in said.err, said.err


def test_all_mistakes_of_a_study_file_are_shown_at_once(attain, here):
    """Each with its line and the nearest valid name."""
    (here / "attain.yaml").write_text(STUDY + "bugdet: 3\nstrategy: baies\nseed: -1\n")
    said = attain("run")
    assert said.code == 2
    assert said.err.startswith("error: 3 problems")
    for word in ("line 9, bugdet", "'budget'", "line 10, strategy", "'bayes'", "line 11, seed"):
        assert word in said.err, said.err


def test_plan_shows_every_step_and_changes_nothing(attain, here):
    """The plan has all seven steps and leaves no study behind."""
    said = attain("plan")
    assert said.code == 0
    titles = ("1 objectives", "2 parameters", "3 strategy", "4 train", "5 validate", "6 refine")
    for title in (*titles, "7 test", "next: attain run"):
        assert title in said.out
    assert "linear" in said.out
    assert "sealed" in said.out
    assert not (here / "study").exists()
    answer = attain("plan", here, "--json").json
    assert answer["plan"]["dataset"]["target"] == "class"
    assert answer["plan"]["sealed_rows"] > 0


def _leak(here: Path) -> None:
    """Copy the target into a feature, which the audit must stop."""
    lines = (here / "credit_g.csv").read_text().splitlines()
    last = [line.rpartition(",")[2] for line in lines]
    names = ["leak", *(f"was {value}" for value in last[1:])]
    leaky = [f"{name},{line}" for name, line in zip(names, lines, strict=True)]
    (here / "credit_g.csv").write_text("\n".join(leaky) + "\n")


def test_a_leak_stops_plan_audit_and_run_with_the_same_code(attain, here):
    """A copy of the target is a blocking finding; nothing is trained, and the code says why."""
    _leak(here)
    for verb in ("plan", "audit", "run"):
        said = attain(verb)
        assert said.code == 5, said
        assert "leak" in said.out + said.err
    answer = attain("audit", "--json")
    assert answer.code == answer.json["exit"] == 5
    assert any(
        f["severity"] == "blocker" and f["state"] == "found" for f in answer.json["findings"]
    )


def test_audit_counts_every_check_and_shows_all_when_asked(attain, here):
    """Checks that found nothing are counted, and listed with --all."""
    short, long = attain("audit"), attain("audit", "--all")
    assert "checks:" in short.out.splitlines()[-1]
    assert short.out.splitlines()[-1] == long.out.splitlines()[-1]
    assert "D001" not in short.out
    assert "D001  passed" in long.out


def test_audit_fix_writes_a_new_file_and_says_what_it_did(attain, here):
    """Copies are taken out into a new file, the original stays, and nothing is overwritten."""
    data = here / "credit_g.csv"
    before = data.read_text()
    lines = before.splitlines()
    data.write_text("\n".join([*lines, *lines[1:8]]) + "\n")
    doubled = data.read_text()
    said = attain("audit", "--fix", "mended.csv", "--json")
    assert said.code == 0
    assert {r["code"]: r["count"] for r in said.json["repairs"]}["D018"] == 7
    assert len((here / "mended.csv").read_text().splitlines()) == len(lines)
    assert data.read_text() == doubled
    again = attain("audit", "--fix", "mended.csv")
    assert again.code == 2
    assert "nothing is overwritten" in again.err
    assert "7 copies of earlier rows" in attain("audit", "--fix", "other.csv").out
    data.write_text(before)
    assert "nothing to mend" in attain("audit", "--fix", "third.csv").out
    assert not (here / "third.csv").exists()


def test_an_audit_names_rows_as_the_file_has_them(attain, here):
    """The rows of a finding are those of the user's own file, and none of them is sealed."""
    data = here / "credit_g.csv"
    head, *lines = data.read_text().splitlines()
    doubled = [*lines[:5], *lines, *lines[:40]]
    data.write_text("\n".join([head, *doubled]) + "\n")
    said = attain("audit", "--json").json["findings"]
    rows = next(f["rows"] for f in said if f["code"] == "D018")
    assert len(rows) == 20
    assert all(doubled.count(doubled[row]) > 1 for row in rows)
    told = " ".join(attain("audit").out.split())  # however wide the terminal
    assert f"rows: {', '.join(map(str, rows[:10]))} and others (--json has 20)" in told
    assert "row 0 is on line 2" in told


def test_a_deep_audit_is_asked_for_by_option_or_study_file(attain, here, monkeypatch):
    """--deep and `audit: deep` both reach the checks."""
    from attain.pipeline import prepare

    deep = []
    audit = prepare.audit
    monkeypatch.setattr(
        prepare, "audit", lambda rows, ignore: deep.append(rows.deep) or audit(rows, ignore=ignore)
    )
    attain("audit")
    attain("audit", "--deep")
    file = here / "attain.yaml"
    file.write_text(file.read_text() + "\naudit: deep\n")
    attain("audit")
    assert deep == [False, True, True]


@pytest.mark.parametrize(
    ("option", "place"),
    [
        (("--trials", "1"), ("budget", "trials")),
        (("--minutes", "0.01"), ("budget", "minutes")),
        (("--workers", "2"), ("workers",)),
        (("--seed", "7"), ("seed",)),
    ],
)
def test_options_of_run_reach_the_study(attain, here, monkeypatch, option, place):
    """Each option replaces its key of the study file; the value arrives at the pipeline."""
    from attain.core.errors import Interrupted
    from attain.pipeline import api

    seen = []

    def stop(spec: Any, *, listen: Any) -> None:
        seen.append(spec)
        raise Interrupted("enough")

    monkeypatch.setattr(api, "run", stop)
    assert attain("run", *option).code == 7
    value: Any = seen[0]
    for name in place:
        value = getattr(value, name)
    assert value == float(option[1])


def test_run_prints_the_verdict_on_stdout_and_progress_on_stderr(finished):
    """The result can be piped; the story is told beside it; the exit code is the verdict."""
    said = finished[1]
    assert said.code == 0, said.err
    assert "report.html" in said.out
    assert "best so far: t0001 linear" in said.err
    assert "best so far" not in said.out
    assert "\x1b" not in said.out + said.err


def test_a_finished_study_is_not_run_again(attain, done):
    """The same command gives the same answer at once, and says that nothing was run."""
    again = attain("run", "--json")
    assert again.code == 0
    assert "had ended before" in again.err
    answer = again.json
    assert answer["verdict"] == "met"
    assert answer["looks"] == 1
    assert [o["objective"]["metric"] for o in answer["objectives"]] == ["roc_auc"]
    for key in ("report", "card", "model"):
        assert Path(answer[key]).exists()


def test_report_is_written_anew(attain, done):
    """A deleted report comes back, in words and as files."""
    (done / "study" / "report.html").unlink()
    said = attain("report")
    assert said.code == 0
    assert "roc" in said.out.lower()
    assert (done / "study" / "report.html").exists()
    answer = attain("report", "study", "--json").json
    written = json.loads((done / "study" / "report.json").read_text())
    assert answer["report"] == written


def test_a_second_look_needs_a_reason(attain, done):
    """Without a reason the seal refuses, with code 6; with one the look is counted."""
    refused = attain("test")
    assert refused.code == 6
    assert "--reason" in refused.err
    looked = attain("test", "study", "--reason", "the first look was at the wrong objective")
    assert looked.code in (0, 4), looked.err
    assert "look 2" in looked.err
    assert attain("run", "--json").json["looks"] == 2


def test_predictions_go_where_they_are_wanted(attain, done):
    """CSV on stdout, or a file of the kind that its ending names; the same rows each time."""
    printed = attain("predict", "study", "credit_g.csv", "--proba")
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert len(rows) == 1_000
    assert set(rows[0]) == {"class", "class=bad", "class=good"}
    assert attain("predict", "study", "credit_g.csv").out.splitlines()[0] == "class"
    told = list(
        csv.DictReader(attain("predict", "study", "credit_g.csv", "--explain").out.split("\n"))
    )
    assert [r["class"] for r in told] == [r["class"] for r in rows]
    assert all(r["class because"].count(" = ") == 3 for r in told)
    answer = attain("predict", "study/model", "credit_g.csv", "--json").json
    assert answer["rows"] == 1_000
    assert [r["class"] for r in answer["predictions"]] == [r["class"] for r in rows]
    for name in ("p.csv", "p.parquet", "p.jsonl"):
        said = attain("predict", "study", "credit_g.csv", "--out", name)
        assert said.out == f"1,000 predictions written to {name}\n"
        assert not list(done.glob(".*draft"))
    from attain.data.load import load_frame

    for name in ("p.csv", "p.parquet", "p.jsonl"):
        assert list(load_frame(done / name)["class"]) == [r["class"] for r in rows]


def test_predictions_need_the_models_columns(attain, done):
    """A table without a feature is refused by name, not with a traceback."""
    lines = (done / "credit_g.csv").read_text().splitlines()
    (done / "short.csv").write_text("\n".join(line.partition(",")[2] for line in lines))
    said = attain("predict", "study", "short.csv")
    assert said.code == 2
    assert lines[0].partition(",")[0] in said.err


def test_exported_models_load_and_are_not_overwritten(attain, done):
    """A folder predicts like the original; an existing destination is refused."""
    import attain as package

    assert attain("export", "study", "--to", "model").code == 0
    original = package.load("study").raw("credit_g.csv")
    assert (package.load("model").raw("credit_g.csv") == original).all()
    refused = attain("export", "study", "--to", "model")
    assert refused.code == 2
    assert "must not exist" in refused.err


def test_the_model_comes_out_in_every_format(attain, done):
    """Folder, skops file and JSON document hold the same model; an unknown format is refused."""
    import skops.io

    import attain as package
    from attain.integrations.sklearn import TRUSTED
    from attain.pipeline.exports import FORMATS

    for name in FORMATS:
        answer = attain("export", "study", "--to", f"m.{name}", "--format", name, "--json").json
        assert (answer["to"], answer["format"]) == (f"m.{name}", name)
    original = package.load("study")
    estimator = skops.io.load("m.skops", trusted=TRUSTED)
    assert (estimator.predict("credit_g.csv") == original.predict("credit_g.csv")).all()
    assert package.load("m.folder").digest == original.digest == estimator.digest_
    assert json.loads(Path("m.json").read_text())["digest"] == original.digest
    refused = attain("export", "study", "--to", "m", "--format", "skop")
    assert refused.code == 2
    assert "did you mean 'skops'" in refused.err
    assert not Path("m").exists()


def test_an_altered_model_is_refused(attain, done):
    """A changed byte in the model folder is found before anything is predicted."""
    file = next((done / "study" / "model" / "learner").iterdir())
    file.write_bytes(file.read_bytes() + b" ")
    said = attain("predict", "study", "credit_g.csv")
    assert said.code == 2
    assert "was altered" in said.err
    assert attain("doctor", "study").code == 8


def test_doctor_looks_at_machine_and_study(attain, done):
    """Every line has a mark; a study's ledger and model are looked at when named or here."""
    here, study = attain("doctor"), attain("doctor", "study", "--json").json
    assert "python" in here.out
    assert "ledger" in here.out
    (done / "attain.yaml").unlink()
    assert "ledger" not in attain("doctor").out
    names = {d["name"] for d in study["diagnostics"]}
    assert {"python", "memory", "disk", "ledger", "model"} <= names


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_json_and_debug(attain, verb):
    """The common options are on every command, and its help needs nothing but click."""
    said = attain(verb, "--help")
    assert said.code == 0
    assert said.err == ""
    for word in (f"Usage: attain {verb}", "--json", "--debug", "-h, --help"):
        assert word in said.out
