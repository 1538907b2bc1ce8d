"""What each column said to a model of tables: sums, sources and references."""

import numpy as np
import pytest

from attain.core.errors import DataError
from attain.core.protocols import Contributing, FitData
from attain.core.registry import find
from attain.core.types import Rows, Signal, Task
from attain.learners._prepare import Plan, fit_prepare
from attain.testing.learner_suite import synthetic

LEARNERS = ("linear", "lightgbm")
PLANS = [
    Plan(numeric="keep", codes=True, cyclic=False),
    *(Plan(numeric=k, one_hot=3) for k in ("standard", "robust", "quantile", "piecewise")),
]


def fitted(name, task, config=None, rows=240):
    dataset, data = synthetic(task, rows=rows)
    learner = find("learner", name)()
    model = learner.fit(config or {}, FitData(dataset, data), lambda step, losses: Signal.CONTINUE)
    return learner, model, dataset, data


def asked(task, n):
    return None if task is Task.REGRESSION else np.arange(n) % (2 if task is Task.BINARY else 3)


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.numeric)
def test_a_column_moves_only_the_prepared_columns_that_come_from_it(plan):
    """Each prepared column names the user's column behind it, whatever the preparation."""
    dataset, data = synthetic(Task.BINARY, rows=300)
    prepared, matrix = fit_prepare(plan, dataset, data, 0)
    assert len(prepared.sources) == matrix.shape[1]
    before = prepared.transform(data.X)
    for column in dataset.features:
        X = data.X.copy()
        X[column.name] = X[column.name].iloc[::-1].to_numpy()
        after = prepared.transform(X)
        moved = ~np.all((after == before) | (np.isnan(after) & np.isnan(before)), axis=0)
        still = data.X[column.name].nunique() < 2
        assert {prepared.sources[j] for j in np.flatnonzero(moved)} == (
            set() if still else {column.name}
        )


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
@pytest.mark.parametrize("name", LEARNERS)
def test_cells_add_up_to_the_prediction(name, task):
    """Baseline and cells are the log odds of the class, or the value, of every row."""
    learner, model, _, data = fitted(name, task)
    assert isinstance(learner, Contributing)
    some = data.take(np.arange(30))
    classes = asked(task, 30)
    told = learner.contribute(model, some, classes)
    p = learner.predict(model, some)
    assert all(t.complete and t.cells for t in told)
    output = np.array([t.output for t in told])
    if classes is None:
        assert output == pytest.approx(p, rel=1e-6)
        return
    logs = np.log(np.clip(p, 1e-300, None))
    of = logs[np.arange(30), classes]
    assert output == pytest.approx(of - (logs.sum(axis=1) - of) / (p.shape[1] - 1), rel=1e-5)


def test_linear_cells_are_slope_times_distance_from_the_mean():
    """Replacing a numeric cell by the training mean takes exactly its value away."""
    learner, model, dataset, data = fitted("linear", Task.REGRESSION)
    name = next(c.name for c in dataset.features if c.name == "noise")
    row = data.take(np.array([5]))
    (told,) = learner.contribute(model, row, None)
    X = row.X.copy()
    X[name] = float(data.X[name].mean())
    (without,) = learner.contribute(model, Rows(X), None)
    value = next(c.value for c in told.cells if c.columns == (name,))
    assert told.output - without.output == pytest.approx(value, abs=1e-9)


def test_lightgbm_cells_of_one_split_are_leaf_minus_mean():
    """With one column there is one player: its value is the output less the mean output."""
    rng = np.random.default_rng(0)
    dataset, data = synthetic(Task.REGRESSION, rows=400)
    name = next(c.name for c in dataset.features if c.name == "noise")
    X = data.X.copy()
    for other in X.columns.drop(name):
        X[other] = X[other].iloc[np.ones(len(X), dtype=int)].to_numpy()
    y = (X[name].to_numpy() > X[name].median()) * 3.0 + rng.normal(0, 0.1, len(X))
    learner = find("learner", "lightgbm")()
    model = learner.fit({}, FitData(dataset, Rows(X, y)), lambda step, losses: Signal.CONTINUE)
    told = learner.contribute(model, Rows(X), None)
    assert {c.columns for t in told for c in t.cells if c.value} == {(name,)}
    mean = learner.predict(model, Rows(X)).mean()
    assert told[0].baseline == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_model_says_the_same_of_its_columns(name, tmp_path):
    """Values are equal to the last bit after loading."""
    learner, model, _, data = fitted(name, Task.MULTICLASS)
    model.save(tmp_path)
    some, classes = data.take(np.arange(9)), asked(Task.MULTICLASS, 9)
    again = learner.load(tmp_path)
    assert learner.contribute(again, some, classes) == learner.contribute(model, some, classes)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_constant_model_names_no_column_and_an_unseen_class_is_refused(name):
    """One class in training: nothing moved; a class that was never seen has no score."""
    dataset, data = synthetic(Task.BINARY, rows=60)
    same = Rows(data.X, np.zeros(len(data), dtype=np.int64))
    learner = find("learner", name)()
    model = learner.fit({}, FitData(dataset, same), lambda step, losses: Signal.CONTINUE)
    (told,) = learner.contribute(model, data.take(np.array([0])), np.array([0]))
    assert (told.cells, told.residual, told.complete) == ((), 0.0, True)
    with pytest.raises(DataError, match="must be among those trained on"):
        learner.contribute(model, data.take(np.array([0])), np.array([1]))
