"""Each family gives the numbers it should: scikit-learn and LightGBM themselves are the judges."""

import math

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import NotApplicable, SpaceError
from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.space import Categorical, Float, Int, Ordinal, Space
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows, Signal, Task
from attain.learners import lightgbm_, neighbors
from attain.learners._prepare import fit_prepare
from attain.learners._shared import log_loss, rmse
from attain.learners._steps import Patience, fixed_rounds
from attain.testing.learner_suite import synthetic

LEARNERS = ("linear", "random_forest", "extra_trees", "knn", "svm", "lightgbm", "mlp")


def go_on(step, losses):
    return Signal.CONTINUE


def fit(name, task=Task.BINARY, config=None, rows=None, stop=True, **changes):
    """A model, and what it was fitted on."""
    dataset, every = synthetic(task, rows=160)
    rows = every.take(np.arange(110)) if rows is None else rows
    stop = every.take(np.arange(110, 140)) if stop else None
    learner = find("learner", name)()
    data = FitData(dataset, rows, stop, **{"seed": 3, **changes})
    model = learner.fit(config or {}, data, changes.pop("report", go_on))
    return learner, model, data, every.take(np.arange(110, 160))


def reference_matrix(learner, model, data, held):
    """Training matrix as the learner saw it, and held rows through its preparation."""
    config = learner.space(data.dataset).defaults()
    plan = learner._plan(config, data.dataset)
    _, matrix = fit_prepare(plan, data.dataset, data.train, data.seed)
    return matrix, model.prepared.transform(held.X)


def test_baseline_gives_class_shares_and_the_mean():
    """Whatever the features, the training rows' shares or mean."""
    learner, model, data, held = fit("baseline", Task.MULTICLASS)
    shares = np.bincount(data.train.y) / len(data.train)
    assert np.allclose(learner.predict(model, held), shares)
    learner, model, data, held = fit("baseline", Task.REGRESSION)
    assert np.allclose(learner.predict(model, held), data.train.y.mean())


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_linear_equals_scikit_learns_logistic_regression(task):
    """The lean prediction path gives predict_proba's numbers."""
    from sklearn.linear_model import LogisticRegression

    learner, model, data, held = fit("linear", task)
    train, new = reference_matrix(learner, model, data, held)
    wanted = LogisticRegression(max_iter=1000).fit(train, data.train.y).predict_proba(new)
    assert learner.predict(model, held) == pytest.approx(wanted, abs=1e-9)


def test_linear_equals_scikit_learns_ridge():
    """Values are Ridge's, with its intercept."""
    from sklearn.linear_model import Ridge

    learner, model, data, held = fit("linear", Task.REGRESSION)
    train, new = reference_matrix(learner, model, data, held)
    wanted = Ridge().fit(train, data.train.y).predict(new)
    assert learner.predict(model, held) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_forests_equal_scikit_learns(name, task):
    """Growing in chunks and predicting without the forest object change no bit."""
    from sklearn import ensemble

    learner, model, data, held = fit(name, task, {"trees": 60})
    train, new = reference_matrix(learner, model, data, held)
    config = learner.space(data.dataset).defaults()
    kind = ("ExtraTrees" if name == "extra_trees" else "RandomForest") + (
        "Classifier" if task.classifies else "Regressor"
    )
    forest = getattr(ensemble, kind)(
        60,
        max_features=config["max_features"],
        min_samples_leaf=config["min_leaf"],
        random_state=data.seed,
    ).fit(train.astype(np.float32), data.train.y)
    wanted = forest.predict_proba(new) if task.classifies else forest.predict(new)
    assert np.array_equal(model.core.predict(new), wanted)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_neighbours_equal_scikit_learns(weights, task):
    """Votes and means are those of KNeighbors, also for rows at distance 0."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    _, model, data, _ = fit("knn", task, {"weights": weights, "neighbors": 7})
    core, new = model.core, model.prepared.transform(data.train.X).astype(np.float32)
    new[::2] += 0.01
    kind = KNeighborsClassifier if task.classifies else KNeighborsRegressor
    reference = kind(7, weights=weights, p=2, algorithm="brute").fit(core.matrix, core.y)
    wanted = reference.predict_proba(new) if task.classifies else reference.predict(new)
    assert core.predict(new) == pytest.approx(wanted, abs=1e-4)


def test_neighbours_keep_a_sample_of_many_rows(monkeypatch):
    """Above the cap a repeatable sample is kept, and the facts say so."""
    monkeypatch.setattr(neighbors, "MOST_ROWS", 40)
    _, model, _, _ = fit("knn")
    _, again, _, _ = fit("knn")
    assert model.facts["rows_kept"] == 40
    assert np.array_equal(model.core.matrix, again.core.matrix)


def test_svm_values_equal_scikit_learns():
    """SVR on a standardised target, scaled back."""
    from sklearn.svm import SVR

    learner, model, data, held = fit("svm", Task.REGRESSION)
    train, new = reference_matrix(learner, model, data, held)
    mean, spread = data.train.y.mean(), data.train.y.std()
    wanted = SVR().fit(train, (data.train.y - mean) / spread).predict(new) * spread + mean
    assert learner.predict(model, held) == pytest.approx(wanted)


def test_svm_probabilities_are_calibrated():
    """Pure noise in front of the classes: probabilities stay near the share, not at 0 and 1."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    y = (rng.random(400) < 0.3).astype(np.int64)
    columns = (Column("a", ColumnKind.NUMERIC), Column("b", ColumnKind.NUMERIC))
    dataset = Dataset("", "", 400, columns, "y", Task.BINARY, ("n", "y"), (280, 120))
    learner = find("learner", "svm")()
    model = learner.fit({"C": 100.0}, FitData(dataset, Rows(X, y)), go_on)
    found = learner.predict(model, Rows(X))[:, 1]
    assert 0.15 < found.min() < found.max() < 0.5


def test_svm_is_not_for_many_rows():
    """It says so with the numbers instead of running for hours."""
    dataset, _ = synthetic(Task.BINARY)
    large = Dataset("", "", 50_000, dataset.columns, "target", Task.BINARY, ("a", "b"), (1, 1))
    with pytest.raises(NotApplicable, match="50,000 are more than the 10,000"):
        find("learner", "svm")().space(large)


def test_lightgbm_equals_its_own_training():
    """The own loop gives what lightgbm.train gives with early stopping."""
    import lightgbm

    learner, model, data, held = fit("lightgbm", Task.MULTICLASS)
    train, new = reference_matrix(learner, model, data, held)
    stop = model.prepared.transform(data.stop.X)
    config = learner.space(data.dataset).defaults()
    arguments = {
        "objective": "multiclass", "num_class": 3, "seed": 3, "deterministic": True,
        "force_row_wise": True, "verbosity": -1, "num_threads": 1, "learning_rate": 0.05,
        "num_leaves": config["num_leaves"], "min_data_in_leaf": config["min_child"],
        "lambda_l1": 1e-8, "lambda_l2": 1e-8, "min_data_per_group": 10,
    }  # fmt: skip
    coded = model.prepared.coded
    rows = lightgbm.Dataset(train, data.train.y, categorical_feature=coded, params=arguments)
    booster = lightgbm.train(
        arguments, rows, 5000, valid_sets=[rows.create_valid(stop, data.stop.y)],
        callbacks=[lightgbm.early_stopping(100, verbose=False)],
    )  # fmt: skip
    assert model.facts["rounds"] == booster.best_iteration
    assert learner.predict(model, held) == pytest.approx(booster.predict(new))


def test_lightgbm_without_its_package_does_not_apply(monkeypatch):
    """A missing extra is a reason, with the command that installs it."""
    monkeypatch.setattr(lightgbm_.importlib.util, "find_spec", lambda name: None)
    dataset, _ = synthetic(Task.BINARY)
    with pytest.raises(NotApplicable, match=r"pip install 'attain\[boost\]'"):
        find("learner", "lightgbm")().space(dataset)


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_mlp_predicts_as_scikit_learn_does(task):
    """The own forward pass gives the network's numbers."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    from attain.learners.mlp import Layers

    rng = np.random.default_rng(0)
    X, seen = rng.normal(size=(60, 4)), {"binary": 2, "multiclass": 3, "regression": 0}[task]
    y = rng.integers(0, seen, 60) if seen else rng.normal(size=60)
    kind = MLPClassifier if seen else MLPRegressor
    network = kind(hidden_layer_sizes=(8, 5), random_state=0, activation="tanh")
    for _ in range(5):
        network.partial_fit(X, y, **({"classes": np.arange(seen)} if seen else {}))
    layers = Layers(
        tuple(w.astype(np.float32) for w in network.coefs_),
        tuple(b.astype(np.float32) for b in network.intercepts_), "tanh", seen,
    )  # fmt: skip
    wanted = network.predict_proba(X) if seen else network.predict(X)
    assert layers.predict(X) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["lightgbm", "mlp"])
def test_iterative_learners_report_and_stop_early(name):
    """Losses of both kinds each round; training ends after the best round, before the limit."""
    points = []

    def report(step, losses):
        points.append((step, dict(losses)))
        return Signal.CONTINUE

    dataset, every = synthetic(Task.BINARY, rows=160)
    learner = find("learner", name)()
    config = {"learning_rate": 0.3} if name == "lightgbm" else {"learning_rate": 1e-2}
    data = FitData(dataset, every.take(np.arange(110)), every.take(np.arange(110, 160)))
    model = learner.fit(config, data, report)
    assert [step for step, _ in points] == list(range(1, len(points) + 1))
    assert all(set(losses) == {"train", "stop"} for _, losses in points)
    best = min(points, key=lambda point: point[1]["stop"])
    assert model.facts["rounds"] == best[0] < points[-1][0] < 200
    assert points[-1][1]["train"] < points[0][1]["train"]
    probabilities = learner.predict(model, data.stop)
    loss = log_loss(data.stop.y, probabilities)
    assert loss == pytest.approx(best[1]["stop"], rel=1e-4), "the best round's model must be kept"


@pytest.mark.parametrize("name", ["lightgbm", "mlp"])
def test_a_refit_with_hints_follows_the_same_path(name):
    """As many rounds as the search found, on the same rows, give the same model."""
    learner, model, _, held = fit(name)
    _, again, _, _ = fit(name, stop=False, hints={"rounds": float(model.facts["rounds"])})
    assert np.array_equal(learner.predict(model, held), learner.predict(again, held))


def test_mlp_reports_divergence_instead_of_raising():
    """A learning rate that is far too large ends in a loss that is not a number."""
    seen = []

    def report(step, losses):
        seen.append(losses["train"])
        return Signal.CONTINUE

    dataset, rows = synthetic(Task.REGRESSION)
    learner = find("learner", "mlp")()
    config = {"learning_rate": 1e30, "layers": 4}
    learner.fit(config, FitData(dataset, rows, hints={"rounds": 40}), report)
    assert not math.isfinite(seen[-1])
    assert len(seen) < 40


def _variants(space: Space):
    """Each parameter alone at another value than its default."""
    base = space.defaults()
    for p in space.ordered:
        config = dict(base)
        for condition in p.when:
            config[condition.parent] = condition.values[0]
        if isinstance(p, Categorical | Ordinal):
            config[p.name] = next(c for c in p.choices if c != p.default)
        elif isinstance(p, Int | Float):
            # so few rows of each label are below every cat_smooth but the lowest
            upwards = p.default - p.low < p.high - p.default and p.name != "cat_smooth"
            config[p.name] = p.high if upwards else p.low
        without = {k: v for k, v in config.items() if k != p.name}
        yield p.name, without if p.when else base, config


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_every_parameter_changes_the_model(name, task):
    """No option does nothing: each parameter at another value gives other predictions."""
    dataset, rows = synthetic(task, rows=400)
    if task.classifies:  # imbalanced, so that class weights are offered
        kept = np.flatnonzero((rows.y == 0) | (np.arange(400) % 4 == 0))
        rows = rows.take(kept)
        counts = tuple(np.bincount(rows.y).tolist())
        dataset = Dataset("", "", len(rows), dataset.columns, "target", task, ("a", "b"), counts)
    learner = find("learner", name)()
    index = np.arange(len(rows))
    train, stop = rows.take(index[index % 5 > 0]), rows.take(index[index % 5 == 0])
    # an MLP must train beyond the epochs of full learning rate for its schedule to matter
    hints = {"rounds": 60} if name == "lightgbm" else {}
    tested = 0
    for parameter, plain, changed in _variants(learner.space(dataset)):
        if name == "mlp":
            hints = {"rounds": 120} if parameter == "schedule" else {"rounds": 3}
            plain, changed = ({**c, "batch": 16, **o} for c, o in ((plain, {}), (changed, {})))
            if parameter == "batch":
                changed["batch"] = 256
        data = FitData(dataset, train, None, hints=hints)
        a, b = (learner.predict(learner.fit(c, data, go_on), stop) for c in (plain, changed))
        assert not np.array_equal(a, b), f"{parameter} of {name} does nothing"
        tested += 1
    assert tested == len(learner.space(dataset)) >= 2


def test_class_weights_are_offered_only_for_unequal_classes():
    """A question without an effect is not asked."""
    learner = find("learner", "linear")()
    equal, _ = synthetic(Task.BINARY)
    unequal = Dataset("", "", 100, equal.columns, "target", Task.BINARY, ("a", "b"), (90, 10))
    offered = [[p.name for p in learner.space(d)] for d in (equal, unequal)]
    assert ["class_weight" in names for names in offered] == [False, True]


def test_balanced_weights_raise_the_rare_class():
    """Weighting moves probabilities towards the rare class."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300)})
    y = (X["a"].to_numpy() + rng.normal(size=300) > 1.8).astype(np.int64)
    columns = (Column("a", ColumnKind.NUMERIC), Column("y", ColumnKind.NUMERIC, ColumnRole.TARGET))
    counts = tuple(np.bincount(y).tolist())
    dataset = Dataset("", "", 300, columns, "y", Task.BINARY, ("n", "y"), counts)
    for name in ("linear", "random_forest", "extra_trees", "svm", "lightgbm"):
        learner, data = find("learner", name)(), FitData(dataset, Rows(X, y))
        means = [
            learner.predict(learner.fit({"class_weight": w}, data, go_on), Rows(X))[:, 1].mean()
            for w in ("none", "balanced")
        ]
        if name == "svm":  # calibration gives the true share back, whatever the weights
            assert means[1] == pytest.approx(means[0], abs=0.05)
        else:
            assert means[1] > means[0] + 0.05


def test_spaces_shrink_with_few_rows():
    """Leaves, neighbours and widths that few rows cannot fill are not offered."""
    dataset, _ = synthetic(Task.BINARY)
    small, large = (
        Dataset("", "", n, dataset.columns, "target", Task.BINARY, ("a", "b"), (n // 2, n // 2))
        for n in (100, 9_000)
    )
    checks = {"lightgbm": "num_leaves", "knn": "neighbors", "random_forest": "min_leaf"}
    for name, parameter in checks.items():
        space = find("learner", name)().space
        assert space(small)[parameter].high < space(large)[parameter].high


def test_sparse_penalties_are_offered_where_they_are_affordable():
    """The slow solver is left out when cells are many; the parameter is then absent."""
    dataset, _ = synthetic(Task.BINARY)
    large = Dataset("", "", 10**6, dataset.columns, "target", Task.BINARY, ("a", "b"), (1, 1))
    space = find("learner", "linear")().space
    assert "penalty" in [p.name for p in space(dataset)]
    assert "penalty" not in [p.name for p in space(large)]


def test_an_unknown_parameter_is_refused_by_name():
    """A typing error does not pass silently; values beyond the range do, as ranges may widen."""
    with pytest.raises(SpaceError, match=r"num_leafs.*did you mean 'num_leaves'"):
        fit("lightgbm", config={"num_leafs": 3})
    _, model, _, _ = fit("linear", config={"C": 5000.0})
    assert model.facts["converged"]


def test_running_out_of_steps_is_a_fact_not_a_warning(monkeypatch):
    """A solver that does not converge says so in the model's facts."""
    from sklearn.linear_model import LogisticRegression

    original = LogisticRegression.__init__

    def hurried(self, **arguments):
        original(self, **{**arguments, "max_iter": 2})

    hurried.__signature__ = __import__("inspect").signature(original)
    monkeypatch.setattr(LogisticRegression, "__init__", hurried)
    _, model, _, _ = fit("linear")
    assert model.facts["converged"] is False


def test_rows_without_targets_are_refused():
    """Fitting needs targets; the message says what was received."""
    dataset, rows = synthetic(Task.BINARY)
    with pytest.raises(ValueError, match="must be there and have targets"):
        find("learner", "linear")().fit({}, FitData(dataset, Rows(rows.X)), go_on)


def test_patience_counts_from_the_best_step():
    """It ends exactly so many steps after the best; NaN never counts as better."""
    patience = Patience(3)
    answers = [patience.improved(i + 1, loss) for i, loss in enumerate([2.0, 1.0, 1.0, math.nan])]
    assert answers == [True, True, False, False]
    assert not patience.over
    patience.improved(5, 1.5)
    assert patience.over
    assert (patience.at, patience.best) == (2, 1.0)


@pytest.mark.parametrize(("hint", "wanted"), [(7, 7), (7.6, 8), (0, 1), (99, 50)])
def test_hints_of_rounds_are_rounded_and_limited(hint, wanted):
    """A mean over folds becomes a whole number of rounds, at least one."""
    assert fixed_rounds({"rounds": hint}, 50) == wanted
    assert fixed_rounds({}, 50) is None


def test_losses_equal_scikit_learns():
    """Log loss and root mean squared error."""
    from sklearn import metrics

    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    assert log_loss(y, p) == pytest.approx(metrics.log_loss(y, p))
    a, b = rng.normal(size=9), rng.normal(size=9)
    assert rmse(a, b) == pytest.approx(metrics.root_mean_squared_error(a, b))
