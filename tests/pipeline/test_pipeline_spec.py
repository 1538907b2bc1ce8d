"""The study file: strict, all problems at once, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from attain.core.errors import SpecError
from attain.core.types import Task
from attain.pipeline.spec import Budget, StudySpec, load_spec, make_spec

MINIMAL = {"data": "d.csv", "target": "y"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "attain.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_minimal_file_gets_documented_defaults(tmp_path: Path) -> None:
    """Only data and target are needed; paths start at the file's folder."""
    spec = load_spec(written(tmp_path, "data: d.csv\ntarget: y\n"))
    assert spec.source == tmp_path / "d.csv"
    assert spec.folder == tmp_path / "study"
    assert (spec.test, spec.strategy, spec.budget) == (0.2, "auto", Budget(60, 10.0))


def test_every_key_is_read(tmp_path: Path) -> None:
    """A file that uses every key changes every attribute; `reshuffle` excludes `time`, so it is
    tested where it is (test_pipeline_reshuffle)."""
    text = """
data: d.csv
target: y
task: regression
labels: "|"
positive: 1
objectives: [rmse <= 3, {metric: r2, target: 0.5}]
test: 30%
groups: g
time: t
ignore: [a, b]
text: [first, second]
model: encoder
trust_pickle: true
answer_schema: {type: object}
learners: [lightgbm, ridge]
strategy: sobol
budget: {trials: 7, minutes: 2}
folds: 3
repeats: 2
racing: false
rigor: max
confidence: 90%
workers: 3
parameters: {C: [0.1, 10], linear.penalty: l2, rung: [frozen]}
trial_minutes: 1
trial_memory_gb: 2
trial_cpus: 2
trial_gpus: 1
executor: ray
ledger: postgresql://host/studies
seed: 5
audit: deep
audit_ignore: [D008]
keep_cache: true
output: elsewhere
"""
    spec = load_spec(written(tmp_path, text))
    default = StudySpec("d.csv", "y")
    same = [
        name
        for name in default.__dataclass_fields__
        if name not in ("data", "target", "base", "reshuffle")
        and getattr(spec, name) == getattr(default, name)
    ]
    assert same == []
    assert spec.task is Task.REGRESSION
    assert spec.test == pytest.approx(0.3)
    assert spec.confidence == pytest.approx(0.9)


def test_all_problems_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    """One look at the message is enough to repair the file."""
    text = "data: d.csv\ntarget: y\nlerners: auto\nseed: -1\ntest: 80%\ntask: ranking\n"
    with pytest.raises(SpecError, match="did you mean 'learners'") as caught:
        load_spec(written(tmp_path, text))
    places = [problem.place for problem in caught.value.problems]
    assert len(places) == 4
    assert all(f"line {n}," in " ".join(places) for n in (3, 4, 5, 6))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("40 trials", Budget(40, None)),
        ("3 min", Budget(None, 3.0)),
        ("1 trial or 90 s", Budget(1, 1.5)),
        ("2 hours, 100 trials", Budget(100, 120.0)),
        ({"minutes": 4}, Budget(None, 4.0)),
    ],
)
def test_budgets_are_read_as_people_write_them(stated: object, expected: Budget) -> None:
    """Trials, time, or both; a limit that is not stated does not exist."""
    assert make_spec({**MINIMAL, "budget": stated}).budget == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("budget", "3 parsecs", "cannot read '3 parsecs'"),
        ("budget", {"trails": 3}, "did you mean 'trials'"),
        ("budget", {"trials": 0}, "at least 1"),
        ("test", 0.9, "at most 50 %"),
        ("test", "0%", "above 0"),
        ("learners", "lightgmb", "did you mean 'lightgbm'"),
        ("strategy", "genetic", "is not a known strategy"),
        ("folds", 0, "at least 1 or auto"),
        ("workers", "many", "at least 1 or auto"),
        ("confidence", 1.0, "below 100 %"),
        ("audit", "deap", "did you mean 'deep'"),
        ("audit_ignore", ["leak"], "codes look like D008"),
        ("seed", True, "whole number"),
        ("target", "", "non-empty text"),
        ("objectives", 3, "a list of statements"),
        ("trial_minutes", -1, "above 0"),
    ],
)
def test_bad_values_say_what_to_write(key: str, value: object, message: str) -> None:
    """Each key's rule and remedy reach the user."""
    with pytest.raises(SpecError, match=message):
        make_spec({**MINIMAL, key: value})


def test_a_task_that_is_misspelt_is_told_all_tasks_and_the_nearest() -> None:
    """The list is the one of the types, so that it cannot fall behind."""
    with pytest.raises(SpecError, match=r"did you mean 'tagging'") as caught:
        make_spec({**MINIMAL, "task": "tagign"})
    assert all(str(task) in str(caught.value) for task in Task)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "list of `key: value` lines"),
        ("data: [unclosed\n", "not valid YAML"),
        ("", "list of `key: value` lines"),
        ("data: d.csv\ndata: e.csv\ntarget: y\n", "duplicate key"),
    ],
)
def test_files_that_are_not_studies_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """YAML errors become sentences, never tracebacks."""
    with pytest.raises(SpecError, match=message):
        load_spec(written(tmp_path, text))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """The first error a newcomer meets tells the first command."""
    with pytest.raises(SpecError, match="attain init"):
        load_spec(tmp_path / "attain.yaml")


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    """The position of the first bad byte is given."""
    path = tmp_path / "attain.yaml"
    path.write_bytes(b"data: d\xff.csv\n")
    with pytest.raises(SpecError, match="byte 7 is not"):
        load_spec(path)


def test_data_and_target_are_required() -> None:
    """Both are named when both are missing."""
    with pytest.raises(SpecError, match="'target' is required") as caught:
        make_spec({})
    assert len(caught.value.problems) == 2


def test_overrides_replace_parts_of_the_budget(tmp_path: Path) -> None:
    """`--trials` alone lifts the file's time limit, so that the run is exactly as long as asked."""
    path = written(tmp_path, "data: d.csv\ntarget: y\nbudget: 5 min\n")
    assert load_spec(path, {"trials": 9, "seed": 4}).budget == Budget(9, None)
    assert load_spec(path, {"seed": 4}).seed == 4
    assert load_spec(path, {"seed": None}).seed == 0


def test_the_public_form_has_no_rows() -> None:
    """A frame in memory is never written into the ledger."""
    spec = make_spec({"data": object(), "target": "y"})
    assert spec.public()["data"] == "(in memory)"


def test_the_guide_names_every_key() -> None:
    """The study file's guide and the study file cannot drift apart."""
    guide = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text(encoding="utf-8")
    keys = [name for name in StudySpec.__dataclass_fields__ if name != "base"]
    assert [key for key in keys if f"`{key}`" not in guide] == []
