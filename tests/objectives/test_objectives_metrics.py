"""The metric table and its names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from attain.core.errors import SpecError
from attain.core.types import Direction, Role, Task
from attain.objectives.metrics import METRICS, base_name, lookup, stand_in

DOC = Path(__file__).parents[2] / "docs" / "objectives.md"


def test_the_table_is_sound():
    """Every row has a range with the better end on the right side, a title, a source, a task."""
    assert len(METRICS) >= 41
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.low < metric.high
        assert metric.title
        assert metric.source
        assert metric.tasks
        efficiency = metric.needs == "measurement"
        assert (metric.role is Role.CONSTRAINT) == efficiency
        assert bool(metric.unit) == efficiency
        if metric.direction is Direction.MINIMIZE:
            assert metric.best == metric.low == 0.0
        assert math.isfinite(metric.best) or metric.name == "throughput_rows_per_s"


def test_no_name_means_two_metrics():
    """Aliases are distinct from each other and from all names."""
    aliases = [alias for metric in METRICS.values() for alias in metric.aliases]
    assert len(aliases) == len(set(aliases)) >= 60
    assert not set(aliases) & set(METRICS)


def test_every_alias_is_found():
    """Each alias leads to its own row, however it is capitalised or hyphenated."""
    swept = 0
    for metric in METRICS.values():
        suffix = {"beta": "@2", "k": "@3", "quantile": "@0.9"}
        tail = suffix[metric.argument.name] if metric.argument else ""
        for alias in metric.aliases:
            assert base_name(lookup(alias.upper().replace("_", "-") + tail).name) == metric.name
            swept += 1
    assert swept >= 60


def test_directions_agree_with_scikit_learn():
    """scikit-learn's own scorer table negates the metrics that we call better when lower."""
    from sklearn.metrics import get_scorer_names

    names = set(get_scorer_names())
    shared = 0
    for name in METRICS:
        if name in names:
            shared += 1
            expected = Direction.MINIMIZE if name == "max_error" else Direction.MAXIMIZE
            assert METRICS[name].direction is expected
    assert shared >= 12
    negated = [name for name in names if name.startswith("neg_")]
    explained = 0
    for name in negated:
        try:
            lookup(name)
        except SpecError as error:
            if "sign turned" in str(error):
                explained += 1
                plain = str(error).split("write ")[1].split(";")[0]
                assert METRICS[plain].direction is Direction.MINIMIZE
    assert explained >= 8


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("auc", "roc_auc"),
        (" F1-Score ", "f1"),
        ("fbeta@2.0", "fbeta@2"),
        ("pinball@.90", "pinball@0.9"),
        ("top_k@3", "top_k_accuracy@3"),
        ("quantile_loss@0.5", "pinball@0.5"),
    ],
)
def test_lookup_spells_names_in_one_way(written: str, name: str):
    """Aliases, case, spaces and arguments end in one canonical name."""
    assert lookup(written).name == name
    assert lookup(name).name == name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("acuracy", "did you mean 'accuracy'"),
        ("xyzzy", "use one of: accuracy, .*fbeta@beta"),
        ("neg_log_loss", "log_loss with its sign turned — write log_loss"),
        ("fbeta", "needs its beta after an @ .* fbeta@2"),
        ("pinball@1", "quantile of pinball must be a number between 0 and 1"),
        ("pinball@nan", "quantile of pinball"),
        ("top_k_accuracy@2.5", "k of top_k_accuracy must be a whole number from 1 to 1000"),
        ("top_k_accuracy@many", "k of top_k_accuracy"),
        ("accuracy@3", "accuracy takes no argument .* write accuracy"),
        ("latency", "did you mean 'latency_p"),
    ],
)
def test_lookup_refuses_with_a_remedy(written: str, message: str):
    """Unknown names, negated scorers and bad arguments name the rule and what to write."""
    with pytest.raises(SpecError, match=message):
        lookup(written)


def test_a_stand_in_fits_its_task():
    """Whatever metric does not fit a task, the suggestion does."""
    swept = 0
    for metric in METRICS.values():
        for task in Task:
            if task not in metric.tasks:
                swept += 1
                assert task in METRICS[stand_in(metric, task)].tasks
    assert swept >= 50
    assert stand_in(lookup("auc"), Task.MULTICLASS) == "roc_auc_ovr"
    assert stand_in(lookup("fbeta@2"), Task.MULTICLASS) == "f1_macro"


def test_the_guide_shows_the_table():
    """docs/objectives.md lists every metric with the direction, range, unit and tasks in use."""
    rows = {
        cells[0].strip("`"): cells[1:]
        for line in DOC.read_text().split("## Metrics")[1].splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert set(rows) == {metric.spelled for metric in METRICS.values()}
    for metric in METRICS.values():
        title, direction, extent, unit, tasks, aliases = rows[metric.spelled]
        assert title == metric.title
        assert direction == ("higher" if metric.direction is Direction.MAXIMIZE else "lower")
        assert extent == f"{metric.low:g} to {metric.high:g}"
        assert unit == metric.unit
        assert tasks == ("all" if len(metric.tasks) == len(Task) else ", ".join(metric.tasks))
        assert aliases == ", ".join(metric.aliases)
