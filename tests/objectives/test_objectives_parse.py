"""The grammar of objectives, and what it refuses."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.codec import decode, encode
from attain.core.errors import SpecError
from attain.core.types import Direction, Objective, Role, Task
from attain.objectives.metrics import METRICS
from attain.objectives.parse import default, parse

DOC = Path(__file__).parents[2] / "docs" / "objectives.md"


def shown(statements, **options) -> list[str]:
    return [str(o) for o in parse(statements, **options)]


@pytest.mark.parametrize(
    ("statement", "meaning"),
    [
        ("roc_auc", "maximize roc_auc"),
        ("rmse", "minimize rmse"),
        ("maximise auc", "maximize roc_auc"),
        ("min rmse", "minimize rmse"),
        ("roc_auc >= 0.93", "roc_auc >= 0.93"),
        ("auc>.93", "roc_auc >= 0.93"),
        ("rmse ≤ 1e3", "rmse <= 1000"),
        ("rmse < 1_000", "rmse <= 1000"),
        ("accuracy >= 93.3%", "accuracy >= 0.933"),
        ("mape <= 10 %", "mape <= 0.1"),
        ("mape <= 1000%", "mape <= 10"),
        ("r2 >= -0.5", "r2 >= -0.5"),
        ("pinball@0.9 <= 3", "pinball@0.9 <= 3"),
        ("pinball@0.9<=3", "pinball@0.9 <= 3"),
    ],
)
def test_statements_mean_one_thing(statement: str, meaning: str):
    """Every form of the grammar gives the objective it says."""
    assert shown(statement) == [meaning]


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("latency_p95_ms <= 5 ms", 5.0),
        ("latency_p95_ms <= 0.5s", 500.0),
        ("latency_p95_ms <= 500 us", 0.5),
        ("size_mb <= 20 MB", 20.0),
        ("size_mb <= 2 GB", 2000.0),
        ("training_seconds <= 3 min", 180.0),
        ("throughput >= 1000 rows/s", 1000.0),
    ],
)
def test_units_are_converted(statement: str, target: float):
    """A unit changes the number into the metric's own unit, and the limit is a constraint."""
    quality, limit = parse(["auc", statement])
    assert limit.target == pytest.approx(target)
    assert limit.role is Role.CONSTRAINT
    assert quality.role is Role.GOAL


def test_efficiency_without_a_target_is_a_goal():
    """Only a number makes a limit; without one, speed is something to improve."""
    assert parse("auc, latency_p95_ms")[1].role is Role.GOAL


def test_one_string_may_hold_several():
    """Commas, semicolons and line ends part statements."""
    expected = ["roc_auc >= 0.93", "latency_p95_ms <= 5", "maximize f1"]
    assert shown("auc >= .93, latency_p95_ms <= 5 ms; f1") == expected
    assert shown("auc >= .93\nlatency_p95_ms <= 5 ms\nf1\n") == expected
    assert shown(["auc >= .93", "latency_p95_ms <= 5 ms, f1"]) == expected


def test_confidence_is_stated_per_objective_or_for_all():
    """The words override the argument, and both reach the objective."""
    first, second = parse("auc >= 0.9 with 99% confidence, f1 >= 0.8", confidence=0.9)
    assert (first.confidence, second.confidence) == (0.99, 0.9)


def test_mappings_say_the_same():
    """What YAML gives means what the string means."""
    mapping = {"metric": "auc", "target": "93 %", "confidence": 0.99, "direction": "maximize"}
    assert parse(mapping) == parse("roc_auc >= 93% with 99% confidence")
    assert parse({"metric": "rmse", "target": 3}) == parse("rmse <= 3")
    assert parse({"metric": "rmse"}) == parse("rmse")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("rmse >= 3", r"rmse is better when lower \(got rmse >= 3\) — write rmse <= 3"),
        ("minimize accuracy", "accuracy is better when higher .* write maximize accuracy"),
        ("accuracy >= 95", r"between 0 and 1 \(got 95\) — did you mean 0.95\?"),
        ("accuracy >= 1.2", r"between 0 and 1 \(got 1.2\) — choose a target in that range"),
        ("accuracy >= 120%", r"between 0 and 1 \(got 1.2\)"),
        ("accuracy >= 0", "every model reaches accuracy >= 0 .* could be missed"),
        ("mcc >= -1", "every model reaches mcc >= -1"),
        ("acuracy >= 0.9", "did you mean 'accuracy'"),
        ("accuracy >=", r"finite number \(got nothing\) — write for example accuracy >= 0.9"),
        ("accuracy >= nan", r"finite number \(got nan\)"),
        ("rmse <= inf", r"finite number \(got inf\)"),
        ("accuracy >= 0.9 0.8", "finite number"),
        ("accuracy = 0.9", ">= or <= .* write accuracy >= 0.9"),
        ("rmse == 3", ">= or <= .* write rmse <= 3"),
        ("maximise acc >= 0.9", "a verb or a target, not both"),
        ("maximze auc", "did you mean 'maximize'"),
        ("auc >= 0,93", "written with a point .* 0.93, not 0,93"),
        ("rmse <= 1,000", "1000, not 1,000"),
        ("latency_p95_ms <= 5 MB, auc", "latency_p95_ms is measured in ms .* use ms or s"),
        ("rmse <= 5 eur", "a target for rmse is a plain number .* leave the unit out"),
        ("rmse <= 5%", "a target for rmse is a plain number"),
        ("mape <= 10", "mape is a fraction, .* write mape <= 10%, or 1000% if that is meant"),
        ("auc >= 0.9 with 30% confidence", "confidence must lie between 50 % and 100 %"),
        ("auc >= 0.9 with 95% luck", "finite number|a statement must be"),
        ("", "a statement must be metric"),
        ("0.93", "a statement must be metric"),
        ("latency_p95_ms <= 5", "at least one objective must be about quality"),
        ([], "at least one objective must be stated"),
        (["auc", "roc_auc >= 0.9"], "objective 2: each metric is stated once, and objective 1"),
        ({"target": 0.9}, "names its metric .got nothing"),
        ({"metric": "auc", "tarqet": 0.9}, "no such key .got tarqet. — did you mean 'target'"),
        ({"metric": "auc", "target": True}, "a target must be a number .got True"),
        ({"metric": "auc", "target": [1]}, "a target must be a number"),
        ({"metric": "auc", "direction": "up"}, "a direction is maximize or minimize .got up"),
        ({"metric": "auc", "direction": "minimize"}, "roc_auc is better when higher"),
        ({"metric": "auc", "confidence": 1.2}, "confidence must lie between"),
        ({"metric": 3}, "names its metric"),
        (7, "a statement or a list of statements .got 7"),
        ([7], "objective 1: an objective must be a statement or a mapping .got 7"),
        (None, "a statement or a list of statements"),
    ],
)
def test_what_is_refused_and_how(statement, message: str):
    """Each mistake is named with the value and what to write instead."""
    with pytest.raises(SpecError, match=message):
        parse(statement)


def test_all_problems_come_at_once_with_their_positions():
    """Four bad statements out of five give four problems in one error, each at its place."""
    with pytest.raises(SpecError, match="objective 5") as caught:
        parse(["rmse >= 3", "auc", "acuracy", 7, "f1 >= 80"])
    places = [problem.place for problem in caught.value.problems]
    assert places == ["objective 1", "objective 3", "objective 4", "objective 5"]


def test_one_statement_may_have_several_problems():
    """Wrong direction, wrong task and impossible target are all named."""
    with pytest.raises(SpecError, match="better when lower") as caught:
        parse("rmse >= -3", Task.BINARY)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("metric", "task", "instead"),
    [
        ("roc_auc", Task.MULTICLASS, "roc_auc_ovr"),
        ("f1", Task.MULTICLASS, "f1_macro"),
        ("accuracy", Task.REGRESSION, "rmse"),
        ("rmse", Task.BINARY, "roc_auc"),
    ],
)
def test_a_metric_must_fit_the_task(metric: str, task: Task, instead: str):
    """The message names the task and the metric that fits it."""
    with pytest.raises(SpecError, match=f"this one is {task} .* use {instead}"):
        parse(metric, task)
    assert parse(instead, task)


def test_the_confidence_argument_is_checked():
    """A confidence that cannot be one is refused with its place."""
    with pytest.raises(SpecError, match=r"confidence: a confidence .* \(got 95\)"):
        parse("auc", confidence=95)


@pytest.mark.parametrize(
    ("task", "counts", "metric", "why"),
    [
        (Task.BINARY, (500, 500), "roc_auc", "ranking"),
        (Task.BINARY, (970, 30), "average_precision", "3.0% of the rows"),
        (Task.BINARY, (30, 970), "roc_auc", "ranking"),
        (Task.MULTICLASS, (5, 5, 5), "log_loss", "all probabilities"),
        (Task.REGRESSION, (), "rmse", "large errors"),
    ],
)
def test_defaults_fit_the_task(task: Task, counts, metric: str, why: str):
    """The default depends on the task and on how rare the positive class is, and says why."""
    objectives, reason = default(task, counts)
    assert [o.metric for o in objectives] == [metric]
    assert why in reason
    assert metric in reason


@st.composite
def objectives(draw) -> Objective:
    metric = draw(st.sampled_from([m for m in METRICS.values() if m.argument is None]))
    if metric.role is Role.CONSTRAINT:
        metric = METRICS["rmse"]
    low, high = max(metric.low, -100.0), min(metric.high, 1.9)
    target = draw(st.none() | st.floats(low, high).map(lambda x: float(f"{x:g}")))
    if target == metric.worst:
        target = None
    return Objective(
        metric.name, metric.direction, target, Role.GOAL, 0.95, metric.unit, metric.low, metric.high
    )


@given(objectives())
def test_what_an_objective_says_is_read_back(objective: Objective):
    """The text of an objective, its record, and the object itself parse to the same objective."""
    assert parse(str(objective)) == (objective,)
    assert parse([objective]) == (objective,)
    assert decode(Objective, encode(objective)) == objective


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str):
    """Any text either parses or is refused as an input error."""
    with contextlib.suppress(SpecError):
        assert all(o.direction in Direction for o in parse(text))


def test_the_examples_of_the_guide_hold():
    """Each example line ``statement -> meaning`` in docs/objectives.md parses to its meaning, and
    each ``statement -> refused: words`` is refused in these words."""
    lines = re.findall(r"^(\S.*?)\s+-> (.*)$", DOC.read_text(), re.MULTILINE)
    accepted = [pair for pair in lines if not pair[1].startswith("refused")]
    refused = [pair for pair in lines if pair[1].startswith("refused")]
    assert len(accepted) >= 8
    assert len(refused) >= 5
    for statement, meaning in accepted:
        found = parse([statement, *(["r2"] if "_mb" in statement or "_ms" in statement else [])])[0]
        tail = "" if found.confidence == 0.95 else f", {found.confidence:.0%} confidence"
        assert str(found) + tail == meaning
    for statement, words in refused:
        with pytest.raises(SpecError, match=re.escape(words.removeprefix("refused: "))):
            parse(statement)
