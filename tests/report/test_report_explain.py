"""Explanations: importance, effects, mistakes, hyperparameters."""

import json
import time

import numpy as np
import pandas as pd
import pytest
import report_studies as studies
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from attain.core.errors import DataError, Problem
from attain.core.types import Column, ColumnKind, Dataset, Rows, Task
from attain.report import effects, hyper, mistakes
from attain.report.explain import explain, permutation_importance
from attain.report.importance import association, twin_groups


def squared(y, prediction):
    return float(np.mean((y - prediction) ** 2))


def made(n=3000, seed=0, noise=1.0):
    """y = 2 a + b + noise; `copy` nearly repeats `a`, `idle` does nothing."""
    rng = np.random.default_rng(seed)
    a, b, idle = rng.normal(size=(3, n))
    X = pd.DataFrame({"a": a, "idle": idle, "b": b, "copy": a + rng.normal(0, 0.05, n)})
    return Rows(X, 2 * a + b + rng.normal(0, noise, n))


def half_and_half(rows):
    """A model that reads `a` from both its copies."""
    return (rows.X["a"] + rows.X["copy"] + rows.X["b"]).to_numpy()


def test_importance_is_the_known_rise_of_the_loss():
    """For a linear model, shuffling raises the squared error by twice the variance carried."""
    found = {tuple(e["columns"]): e for e in permutation_importance(half_and_half, made(), squared)}
    both, b, idle = found["a", "copy"], found["b",], found["idle",]
    assert both["low"] < 2 * 4.0 < both["high"]
    assert b["low"] < 2 * 1.0 < b["high"]
    assert idle["mean"] == idle["low"] == idle["high"] == 0
    assert [e["rank"] for e in (both, b, idle)] == [1, 2, 3]
    assert (both["rank_low"], both["rank_high"]) == (1, 1)


def test_near_copies_are_shuffled_together():
    """Twins form one group; alone each would have looked half as important."""
    groups = twin_groups(made().X)
    assert groups == [("a", "copy"), ("idle",), ("b",)]
    assert twin_groups(made().X, threshold=0.9999) == [("a",), ("idle",), ("b",), ("copy",)]


def test_association_agrees_with_outside_references():
    """Numbers: SciPy's Spearman; a relabelled category: 1; unrelated categories: near 0."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=800)
    y = x + rng.normal(size=800)
    c = rng.choice(list("abcd"), 800)
    frame = pd.DataFrame(
        {"x": x, "y": y, "c": c, "same": pd.Series(c).map({k: k * 2 for k in "abcd"})}
    )
    frame["other"] = rng.choice(list("uvw"), 800)
    frame["cut"] = np.digitize(x, np.quantile(x, np.linspace(0, 1, 21)[1:-1])).astype(str)
    found = association(frame)
    assert found[0, 1] == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
    assert found[2, 3] == pytest.approx(1.0, abs=0.01)
    assert found[2, 4] < 0.1
    assert found[0, 5] > 0.98
    assert np.array_equal(found, found.T)


def test_intervals_cover_the_true_rise():
    """Over fresh data sets the 95 % interval holds the true rise about as often as it says."""
    hits = 0
    for seed in range(60):
        rows = made(n=400, seed=seed)
        found = permutation_importance(half_and_half, rows, squared, repeats=3, seed=seed)
        entry = next(e for e in found if e["columns"] == ["b"])
        hits += entry["low"] <= 2.0 <= entry["high"]
    assert 51 <= hits <= 60


def test_importance_keeps_to_its_time():
    """A slow model with many columns is cut short, every answer says how often it was asked."""
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(4000, 60)), columns=[f"c{i}" for i in range(60)]
    )
    rows = Rows(X, X["c0"].to_numpy())

    now, asked = 0.0, 0

    def slow(part):
        nonlocal now, asked
        now, asked = now + 2e-6 * len(part), asked + 1
        return part.X["c0"].to_numpy()

    found = permutation_importance(slow, rows, squared, seconds=0.4, clock=lambda: now)
    assert now <= 0.4 + 2e-6 * 4000
    assert found[0]["columns"] == ["c0"]
    assert 300 <= found[0]["rows"] < 4000
    assert asked == 2 + sum(entry["repeats"] for entry in found)
    whole = permutation_importance(slow, rows, squared, clock=lambda: now)
    assert {entry["rows"] for entry in whole} == {4000}


def test_an_undefined_loss_leaves_no_interval():
    """A metric that is undefined without some rows gives a rise, but no made-up interval."""
    rows = made(n=100)

    def needs_all(y, prediction):
        if len(y) < 100:
            raise DataError(Problem("needs 100 rows"))
        return squared(y, prediction)

    found = permutation_importance(half_and_half, rows, needs_all)
    assert {e["low"] for e in found} == {None}
    assert found[0]["columns"] == ["a", "copy"]


def table(columns, task=Task.REGRESSION, classes=()):
    kinds = [Column(name, kind) for name, kind in columns.items()]
    return Dataset("d.csv", "f", 100, tuple(kinds), "y", task, tuple(classes))


def test_accumulated_effects_ignore_correlated_columns():
    """The effect of `a` is its own slope, although a copy of it moves along."""
    rows = made()
    data = table(dict.fromkeys(rows.X.columns, ColumnKind.NUMERIC))
    found = effects.effect(half_and_half, rows, "a", data)
    slope = np.polyfit(found["at"], found["mean"], 1)[0]
    assert slope == pytest.approx(1.0, abs=1e-6)
    assert min(found["at"]) < np.average(found["at"]) < max(found["at"])


def test_category_effects_are_differences_between_levels():
    """Partial dependence of a category reproduces what the model adds for it."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": rng.choice(["u", "v"], 500), "x": rng.normal(size=500)})
    data = table({"c": ColumnKind.CATEGORICAL, "x": ColumnKind.NUMERIC})
    found = effects.effect(
        lambda r: np.where(r.X["c"] == "u", 3.0, 1.0) + r.X["x"].to_numpy(), Rows(X), "c", data
    )
    at = dict(zip(found["at"], found["mean"], strict=True))
    assert at["u"] - at["v"] == pytest.approx(2.0)


def test_effects_of_dates_text_and_constants():
    """Dates are told as dates; text and columns of one value have no effect to draw."""
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(200), unit="D")
    X = pd.DataFrame({"d": days, "t": "some words", "k": 1.0})
    data = table({"d": ColumnKind.DATETIME, "t": ColumnKind.TEXT, "k": ColumnKind.NUMERIC})

    def predict(rows):
        return (rows.X["d"] - days[0]).dt.days.to_numpy(dtype=float)

    found = effects.effect(predict, Rows(X), "d", data)
    assert found["at"][0] == "2020-01-01"
    assert found["mean"][-1] - found["mean"][0] == pytest.approx(199)
    assert effects.effect(predict, Rows(X), "t", data) is None
    assert effects.effect(predict, Rows(X), "k", data) is None


def predictions(k, n=600, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    y = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return y, p, table({}, Task.MULTICLASS if k > 2 else Task.BINARY, [f"k{i}" for i in range(k)])


def test_confusion_and_classes_agree_with_scikit_learn():
    """Counts equal scikit-learn's; recall and precision follow from them."""
    y, p, data = predictions(4)
    found = mistakes.confusion(data, y, p)
    reference = confusion_matrix(y, p.argmax(axis=1))
    assert np.array_equal(found["counts"], reference)
    classes = mistakes.per_class(data, y, p)
    assert [c["recall"] for c in classes] == pytest.approx(
        np.diag(reference) / reference.sum(axis=1)
    )
    assert [c["precision"] for c in classes] == pytest.approx(
        np.diag(reference) / reference.sum(axis=0)
    )
    assert all(c["low"] < c["recall"] < c["high"] for c in classes)


def test_many_classes_are_merged_without_losing_a_row():
    """Of 50 classes the 20 most frequent keep their row; the rest is counted together."""
    y, p, data = predictions(50, n=3000)
    found = mistakes.confusion(data, y, p)
    assert len(found["labels"]) == 21
    assert found["merged"] == 30
    assert np.sum(found["counts"]) == 3000


def test_curves_are_thin_and_keep_their_area():
    """At most 100 points, ends kept; areas equal scikit-learn's and nearly those of the points."""
    y, p, data = predictions(2, n=20_000)
    found = mistakes.curves(data, y, p)
    roc, pr = found["roc"][0], found["pr"][0]
    assert max(len(roc["x"]), len(pr["x"])) <= 100
    assert (roc["x"][0], roc["y"][0], roc["x"][-1], roc["y"][-1]) == (0, 0, 1, 1)
    assert roc["area"] == pytest.approx(roc_auc_score(y, p[:, 1]))
    assert np.trapezoid(roc["y"], roc["x"]) == pytest.approx(roc["area"], abs=0.002)
    assert pr["area"] == pytest.approx(average_precision_score(y, p[:, 1]))


def test_calibration_of_true_probabilities_covers_the_diagonal():
    """When outcomes are drawn from the predicted chances, nearly every interval holds them."""
    inside = total = 0
    for seed in range(8):
        y, p, data = predictions(2, n=2000, seed=seed)
        found = mistakes.calibration(data, y, p)
        inside += sum(b["low"] <= b["predicted"] <= b["high"] for b in found["bins"])
        total += len(found["bins"])
        assert sum(b["n"] for b in found["bins"]) == sum(found["counts"]) == 2000
    assert inside / total > 0.88


def test_constant_predictions_can_be_shown():
    """A model that always says the same has one calibration bin and empty columns, no error."""
    y = np.array([0, 1, 1, 0, 1])
    p = np.tile([0.4, 0.6], (5, 1))
    data = predictions(2)[2]
    assert len(mistakes.calibration(data, y, p)["bins"]) == 1
    assert mistakes.per_class(data, y, p)[0]["precision"] is None


def test_residuals_add_up():
    """Every row is in one tenth; actual minus predicted is the sign that is told."""
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=1000)
    found = mistakes.residuals(prediction + 1.0, prediction)
    assert found["mean"] == pytest.approx(1.0)
    assert sum(t["n"] for t in found["by_prediction"]) == 1000
    assert len(found["dots"]["actual"]) == 300
    json.dumps(found, allow_nan=False)


def test_worst_mistakes_are_wrong_and_ordered():
    """Only misclassified rows are told, the most confident first, in the data's own labels."""
    y, p, data = predictions(3)
    found = mistakes.worst(data, y, p, 20)
    assert len(found) == 20
    assert all(m["actual"] != m["predicted"] for m in found)
    badness = [m["badness"] for m in found]
    assert badness == sorted(badness, reverse=True)
    assert badness[0] == pytest.approx(1 - p[np.arange(len(y)), y].min())


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_explain_gives_json_and_says_what_was_done(task):
    """The payload holds every part that fits the task, and is JSON without NaN."""
    rows = studies.rows_of(task)
    data = studies.dataset_of(task, False, rows)
    found = explain(
        studies.predict(task), rows, dataset=data, metric="m", loss=studies.loss_of(task)
    )
    json.dumps(found, allow_nan=False)
    assert found["importance"][0]["columns"] in (["contract"], ["tenure"])
    assert len(found["partial_dependence"]) >= 3
    assert len(found["errors"]) == 20
    assert any(error["driver"] for error in found["errors"])
    for part in ("confusion", "calibration", "curves", "per_class"):
        assert (found[part] is not None) == task.classifies
    assert (found["residuals"] is not None) == (task is Task.REGRESSION)
    assert found["seconds"] < 20


def test_explanations_of_a_useless_model_are_withheld():
    """Without a gain over the baseline mistakes are shown, but no reasons for them."""
    task = Task.BINARY
    rows = studies.rows_of(task)
    asked = []

    def predict(part):
        asked.append(len(part))
        return studies.predict(task)(part)

    found = explain(
        predict,
        rows,
        dataset=studies.dataset_of(task, False, rows),
        metric="m",
        loss=studies.loss_of(task),
        beats_baseline=False,
    )
    assert "does not beat the baseline" in found["withheld"]
    assert found["importance"] == found["partial_dependence"] == []
    assert found["confusion"] is not None
    assert {error["driver"] for error in found["errors"]} == {None}
    assert asked == [len(rows)]


def test_only_held_out_rows_are_asked_about():
    """Out-of-fold predictions serve all rows; the model is asked about rows it has not seen."""
    task = Task.REGRESSION
    rows = studies.rows_of(task)
    held_out = np.arange(0, len(rows), 4)
    seen = set(rows.X["total_charge"]) - set(rows.X["total_charge"].iloc[held_out])
    told = []

    def predict(part):
        told.extend(part.X["total_charge"])
        return studies.predict(task)(part)

    oof = studies.predict(task)(rows)
    oof[:10] = np.nan
    found = explain(
        predict,
        rows,
        dataset=studies.dataset_of(task, False, rows),
        metric="m",
        loss=studies.loss_of(task),
        y_prediction=oof,
        held_out=held_out,
        positions=np.arange(len(rows)) + 5000,
    )
    assert not seen & set(told)
    assert "10 of 1,600 rows have no out-of-fold prediction." in found["notes"]
    assert sum(t["n"] for t in found["residuals"]["by_prediction"]) == 1590
    assert min(error["row"] for error in found["errors"]) >= 5010
    for error in found["errors"]:
        assert error["driver"] is None or (error["row"] - 5000) % 4 == 0


def test_a_short_time_limit_is_kept_and_told():
    """With hardly any time the payload is still whole and says what was not looked at."""
    task = Task.BINARY
    rows = studies.rows_of(task)

    def slow(part):
        time.sleep(0.05)
        return studies.predict(task)(part)

    data = studies.dataset_of(task, False, rows)
    found = explain(slow, rows, dataset=data, metric="m", loss=studies.loss_of(task), seconds=0.6)
    assert found["seconds"] < 2
    assert any("Time allowed" in note for note in found["notes"])


def test_hyperparameters_are_ranked_per_learner():
    """The parameter that decides is found; a learner with few trials is not judged."""
    rng = np.random.default_rng(0)
    scribe = studies.Scribe()
    for i in range(80):
        learner = "forest" if i % 16 == 0 else "boosting"
        rate = float(10 ** rng.uniform(-3, 0))
        config = {
            "rate": rate,
            "leaves": int(rng.integers(2, 200)),
            "mode": str(rng.choice(["x", "y"])),
        }
        trial = {"id": f"t{i}", "learner": learner, "config": config, "purpose": "search"}
        scribe.add("strategy", "trial", {"trial": trial})
        loss = None if i == 7 else (np.log10(rate) + 1.5) ** 2 + rng.normal(0, 0.05)
        scribe.add("validate", "scored", {"trial": f"t{i}", "loss": loss})
    found = hyper.importance(scribe.records)
    assert {entry["learner"] for entry in found} == {"boosting"}
    assert found[0]["parameter"] == "rate"
    assert found[0]["share"] > 0.6
    assert sum(entry["share"] for entry in found) == pytest.approx(1.0)
    assert {entry["trials"] for entry in found} == {74}


def test_inactive_and_constant_parameters_do_not_disturb():
    """Conditional parameters are judged where active; one-valued ones are left out."""
    rng = np.random.default_rng(1)
    scribe = studies.Scribe()
    for i in range(60):
        config = {"kind": "a" if i % 2 else "b", "fixed": 3}
        if i % 2:
            config["depth"] = int(rng.integers(1, 20))
        trial = {"id": f"t{i}", "learner": "l", "config": config, "purpose": "search"}
        scribe.add("strategy", "trial", {"trial": trial})
        loss = (config.get("depth", 40) - 10) ** 2 / 100 + rng.normal(0, 0.01)
        scribe.add("validate", "scored", {"trial": f"t{i}", "loss": loss})
    found = {entry["parameter"]: entry["share"] for entry in hyper.importance(scribe.records)}
    assert set(found) == {"kind", "depth"}
    assert min(found.values()) > 0


def test_missing_cells_are_a_category_of_their_own():
    """A category with missing cells is compared like any other, whatever pandas calls missing."""
    rng = np.random.default_rng(4)
    words = pd.Series(rng.choice(["a", "b"], 300)).where(rng.random(300) > 0.2)
    frame = pd.DataFrame({"word": words, "twin": words, "number": rng.normal(size=300)})
    for kind in (object, "str"):
        found = association(frame.astype({"word": kind, "twin": kind}))
        assert found[0, 1] == pytest.approx(1.0, abs=0.02)
        assert found[0, 2] < 0.2
