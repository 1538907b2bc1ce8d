"""Mistakes seen closely, rules that imitate, parameters that act together: true on planted data."""

import json

import numpy as np
import pandas as pd
import pytest
import report_data as world
import report_studies as studies
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows, Task
from attain.report import effects, evidence, html, local, paths
from attain.report.explain import explain
from attain.report.interplay import interplay
from attain.report.surrogate import surrogate

N = 400


def table(rng, n=N):
    """A number, a number with holes, a category and a date."""
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "w": rng.normal(size=n),
            "kind": rng.choice(["a", "b", "c"], n),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D"),
        }
    )
    frame.loc[::7, "w"] = np.nan
    return frame


KINDS = (
    ColumnKind.NUMERIC,
    ColumnKind.NUMERIC,
    ColumnKind.CATEGORICAL,
    ColumnKind.DATETIME,
)


def described(frame, task=Task.BINARY, kinds=KINDS):
    columns = [Column(n, k) for n, k in zip(frame.columns, kinds, strict=True)]
    target = Column("y", ColumnKind.CATEGORICAL, role=ColumnRole.TARGET)
    classes = ("no", "yes") if task.classifies else ()
    return Dataset("t.csv", "f", len(frame), (*columns, target), "y", task, classes=classes)


def right_of(threshold):
    """A model that says yes exactly where x is above a threshold."""

    def predict(rows):
        yes = np.where(rows.X["x"].to_numpy(dtype=float) > threshold, 0.9, 0.2)
        return np.column_stack([1 - yes, yes])

    return predict


def codes(probability):
    return probability.argmax(axis=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_one_change_is_real_and_turns_the_prediction(seed):
    """Its value occurs among the training rows, its column is the only one that can help, and the
    model agrees when the row is really changed."""
    rng = np.random.default_rng(seed)
    X, training = table(rng), np.arange(100, N)
    predict, data = right_of(0.3), None
    data = described(X)
    rows = [int(i) for i in np.flatnonzero(X["x"].to_numpy()[:100] <= 0.3)[:5]]
    wanted = np.ones(len(rows), dtype=int)
    found = local.one_change(predict, X, training, rows, list(X), data, codes, wanted)
    for row, change in zip(rows, found, strict=True):
        assert change["column"] == "x"
        assert change["new"] in X["x"].to_numpy()[training]
        assert change["old"] == X["x"].iloc[row]
        changed = X.iloc[[row]].assign(x=change["new"])
        assert codes(predict(Rows(changed)))[0] == 1
        assert change["chance"] == pytest.approx(0.9)


def test_no_change_is_told_where_none_helps():
    """A model that no single cell can turn gives none, and categories keep to their own values."""
    rng = np.random.default_rng(1)
    X, training = table(rng), np.arange(100, N)
    data, seen = described(X), []

    def stubborn(rows):
        seen.append(rows.X)
        return np.tile([0.9, 0.1], (len(rows), 1))

    assert local.one_change(
        stubborn, X, training, [0, 1], list(X), data, codes, np.ones(2, dtype=int)
    ) == [None, None]
    asked = pd.concat(seen)
    assert set(asked["kind"]) <= {"a", "b", "c"}
    assert set(asked["day"]) <= set(X["day"])
    for name in X:  # each asked row differs from its own in one cell at most
        assert asked[name].dtype == X[name].dtype
    two = [X.iloc[0], X.iloc[1]]
    same = [max((row == other).sum() + (row.isna() & other.isna()).sum() for other in two)
            for _, row in asked.iterrows()]  # fmt: skip
    assert min(same) >= len(X.columns) - 1


def test_a_category_may_be_the_one_change():
    """Where only the category decides, the change names it."""
    X = table(np.random.default_rng(2))

    def by_kind(rows):
        yes = (rows.X["kind"] == "c").to_numpy(dtype=float)
        return np.column_stack([1 - yes, yes])

    row = int(np.flatnonzero(X["kind"].to_numpy() == "a")[0])
    found = local.one_change(
        by_kind, X, np.arange(N), [row], list(X), described(X), codes, np.array([1])
    )
    assert (found[0]["column"], found[0]["old"], found[0]["new"]) == ("kind", "a", "c")


def test_the_closest_training_rows_are_found():
    """A planted copy is first with alikeness 1, a copy without weight in what differs as well, and
    rows outside of training are never named."""
    X = table(np.random.default_rng(3))
    X.iloc[50] = X.iloc[7]
    X.iloc[60] = X.iloc[7]
    X.loc[60, "x"] = 99.0
    X.iloc[70] = X.iloc[7]
    training = np.setdiff1d(np.arange(N), [7, 70])
    every = dict.fromkeys(X, 1.0)
    found = local.closest(X, training, 7, every, described(X))
    assert found[0] == (50, pytest.approx(1.0))
    assert 70 not in [row for row, _ in found]
    assert all(0 <= alike <= 1 for _, alike in found)
    without = {"w": 1.0, "kind": 1.0, "day": 1.0}
    told = local.closest(X, training, 7, without, described(X))
    assert {row for row, alike in told if alike == pytest.approx(1.0)} >= {50, 60}
    assert local.closest(X, training[:0], 7, every, described(X)) == []
    assert local.closest(X, training, 7, {}, described(X)) == []


def test_a_tree_is_told_with_its_fidelity():
    """A model that is two rules comes back as these rules, with a fidelity of one."""
    X = table(np.random.default_rng(4), 900)

    def predict(rows):
        right = rows.X["x"].to_numpy(dtype=float) > 0
        yes = np.where(right & (rows.X["kind"] == "a").to_numpy(), 0.8, 0.1)
        return np.column_stack([1 - yes, yes])

    rows, data = Rows(X, np.zeros(900)), described(X)
    found = surrogate(rows, predict(rows), data)
    assert found["faithful"]
    assert found["fidelity"] > 0.95
    assert found["agreement"] > 0.95
    high = max(found["leaves"], key=lambda leaf: leaf["value"])
    assert high["value"] == pytest.approx(0.8, abs=0.05)
    assert high["label"] == "yes"
    assert any(rule == "kind is a" for rule in high["rules"])
    assert any(rule.startswith("x above ") for rule in high["rules"])
    bound = next(float(r.split()[-1]) for r in high["rules"] if r.startswith("x above"))
    assert abs(bound) < 0.1
    assert sum(leaf["share"] for leaf in found["leaves"]) == pytest.approx(1.0)


def test_an_unfaithful_tree_is_withheld():
    """Where eight leaves cannot follow the model, the low fidelity is told and no rule is."""
    X = table(np.random.default_rng(5), 900)
    wave = np.sin(40 * X["x"].to_numpy())
    found = surrogate(Rows(X, wave), wave, described(X, Task.REGRESSION))
    assert not found["faithful"]
    assert found["fidelity"] < 0.5
    assert found["leaves"] == []
    assert surrogate(Rows(X, wave), np.ones(900), described(X, Task.REGRESSION)) is None
    few = Rows(X.iloc[:50], wave[:50])
    assert surrogate(few, wave[:50], described(X, Task.REGRESSION)) is None


def trials(rng, loss, n=120):
    configs = [
        {"a": float(rng.random()), "b": float(rng.random()), "c": str(rng.choice(["p", "q"]))}
        for _ in range(n)
    ]
    return configs, np.array([loss(c) for c in configs])


@pytest.mark.parametrize("seed", range(3))
def test_parameters_that_act_together_are_named(seed):
    """A product of two parameters is found, and it is the strongest pair."""
    rng = np.random.default_rng(seed)
    configs, losses = trials(rng, lambda c: (c["a"] - 0.5) * (c["b"] - 0.5) + 0.01 * rng.normal())
    found = interplay(configs, losses, ["a", "b", "c"])
    assert {found[0]["a"], found[0]["b"]} == {"a", "b"}
    assert found[0]["strength"] > found[0]["chance"]


def test_sums_and_noise_are_no_interplay():
    """Effects that add up, and losses of pure chance, are named in few of many cases."""
    named = 0
    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        configs, losses = trials(rng, lambda c, rng=rng: c["a"] + c["b"] + 0.1 * rng.normal(), 60)
        named += bool(interplay(configs, losses, ["a", "b", "c"]))
        named += bool(interplay(configs, rng.permutation(losses), ["a", "b", "c"]))
    assert named <= 3
    assert interplay(configs[:29], losses[:29], ["a", "b"]) == []
    assert interplay(configs, losses, ["a"]) == []


def test_intervals_of_accumulated_effects_hold():
    """For x1 * x2 with correlated columns the known effect lies in about 95 % of the intervals."""
    inside = total = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=500)
        z = 0.6 * x + 0.8 * rng.normal(size=500)
        X = pd.DataFrame({"x": x, "z": z})
        kinds = (ColumnKind.NUMERIC, ColumnKind.NUMERIC)
        data = described(X, Task.REGRESSION, kinds)
        found = effects.effect(
            lambda r: r.X["x"].to_numpy() * r.X["z"].to_numpy(), Rows(X), "x", data
        )
        edges = np.array(found["at"])
        place = np.clip(np.searchsorted(edges, x) - 1, 0, len(edges) - 2)
        weights = np.bincount(place)
        means = np.bincount(place, 0.6 * x) / weights  # the mean of z where x is
        truth = np.concatenate([[0.0], np.cumsum(np.diff(edges) * means)])
        truth += (x * z).mean() - np.average((truth[1:] + truth[:-1]) / 2, weights=weights)
        low, high = np.array(found["low"]), np.array(found["high"])
        inside += int(((low <= truth) & (truth <= high)).sum())
        total += len(truth)
    assert 0.92 <= inside / total <= 0.98


def test_intervals_of_categories_hold():
    """The difference between levels that depends on another column is covered, with width."""
    inside = total = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame({"k": rng.choice(["a", "b"], 300), "z": rng.normal(size=300)})
        kinds = (ColumnKind.CATEGORICAL, ColumnKind.NUMERIC)

        def predict(rows):
            return rows.X["z"].to_numpy() * (rows.X["k"] == "b").to_numpy()

        found = effects.effect(predict, Rows(X), "k", described(X, Task.REGRESSION, kinds))
        mean = float(predict(Rows(X)).mean())
        for low, high in zip(found["low"], found["high"], strict=True):
            inside += low - mean <= 0 <= high - mean  # z has mean 0: no level is truly higher
            total += 1
    assert 0.9 <= inside / total <= 0.99


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_an_explanation_has_cases_and_withholds_them_from_an_idle_model(task):
    """Mistakes are seen closely with true cells; a model below the baseline gets none of it."""
    rows, data = world.rows_of(task), world.dataset_of(task, False, world.rows_of(task))
    ask = {"dataset": data, "metric": "m", "loss": world.loss_of(task), "seconds": 300.0}
    ask |= {"held_out": np.arange(300), "repeats": 2, "positions": np.arange(len(rows)) * 10}
    found = explain(world.predict(task), rows, **ask)
    json.dumps(found, allow_nan=False)
    assert 1 <= len(found["cases"]) <= local.MOST_CASES
    for case in found["cases"]:
        row = case["row"] // 10
        assert row < 300
        for name, value in case["cells"]:
            assert local.shown(rows.X[name].iloc[row]) == value
        assert all(a["row"] // 10 >= 300 for a in case["alike"])
        assert case["actual"] != case["predicted"]
    none = explain(world.predict(task), rows, **ask, beats_baseline=False)
    assert (none["cases"], none["surrogate"], none["partial_dependence"]) == ([], None, [])
    assert "does not beat" in none["withheld"]


def test_pages_show_what_was_found_and_escape_it():
    """Rules, cases, paths and pairs are on the page; hostile names in them are text."""
    found = evidence.collect(studies.complete(Task.MULTICLASS, hostile=True))
    evil = world.HOSTILE
    leaf = {"rules": [f"{evil} above 1"], "share": 1.0, "value": 0.5, "label": evil}
    tree = {"fidelity": 0.9, "agreement": 0.9, "rows": 50, "faithful": True, "leaves": [leaf]}
    change = {"column": evil, "old": None, "new": evil, "chance": 0.6, "cost": 0.1}
    near = [{"row": 5, "actual": evil, "alike": 0.97}]
    case = {"row": 3, "actual": evil, "predicted": "b", "cells": [[evil, None], [evil, evil]]}
    found["model"] |= {"surrogate": tree, "cases": [{**case, "alike": near, "change": change}]}
    leader = next(e["learner"] for e in found["search"]["learners"] if e["score"])
    names = [e["parameter"] for e in found["search"]["hyperparameters"] if e["learner"] == leader]
    pair = {"a": names[0], "b": names[1], "strength": 0.4, "chance": 0.1, "trials": 40, "record": 1}
    found["search"]["interplay"] = [pair]
    page = html.render(found)
    assert evil not in page
    for words in ("The model in a few rules", "Some of them seen closely", "Row 3: predicted"):
        assert words in page
    assert "97\u00a0% alike" in page
    assert "Parameters that act together" in page
    assert page.count('class="thread best"') == 2  # a wide and a narrow picture
    found["model"]["surrogate"] = {**tree, "faithful": False, "fidelity": 0.31, "leaves": []}
    assert "explains only 31" in html.render(found)


def test_the_paths_are_few_and_the_best_are_among_them():
    """Of 5,000 trials at most 120 are drawn, the best always, and an axis for each parameter."""
    found = evidence.collect(studies.complete(Task.BINARY))["search"]
    one = next(t for t in found["trials"] if t["purpose"] == "search" and t["loss"] is not None)
    many = [
        {
            **one,
            "id": f"t{i:05d}",
            "loss": abs(i - 3_000) + 1.0,
            "config": {"p": i + 1, "q": f"k{i % 3}"},
        }
        for i in range(5_000)
    ]
    leading = [{"learner": one["learner"], "score": {}, **{}}]
    leading[0]["score"] = {"estimate": 1.0}
    big = {**found, "trials": many, "learners": leading, "hyperparameters": []}
    page = str(paths.parallel(big, "p"))
    assert page.count("<path") <= 2 * paths.MOST_LINES
    assert "t03000" in page
    assert len(page) < 120_000
    assert str(paths.parallel({**big, "trials": many[:3]}, "p")) == ""
