"""What columns say of single rows: sums, references, and what the page shows of it."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import report_studies as studies
from report_data import HOSTILE

from attain.core.types import Attribution, Column, ColumnKind, Dataset, ReadCell, Rows, Task
from attain.report import cells, evidence, html
from attain.report.explain import explain
from attain.report.trying import MOST_PLAYERS, Trying, players

NAMES = ("a", "b", "c")


def value(X):
    """An interaction of two columns, and a third one alone."""
    return (X["a"] * X["b"] + 2 * X["c"]).to_numpy()


def predict_value(rows):
    return value(rows.X)


def predict_class(rows):
    chance = 1 / (1 + np.exp(-value(rows.X)))
    return np.column_stack([1 - chance, chance])


def frame(n, seed=0):
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, 3)), columns=list(NAMES))


def made(task=Task.BINARY, n=300, evil=""):
    X = frame(n)
    noise = np.random.default_rng(1).normal(0, 1, n)
    y = value(X) + noise if task is Task.REGRESSION else (value(X) + noise > 0).astype(np.int64)
    classes = () if task is Task.REGRESSION else (f"no{evil}", f"yes{evil}")
    X = X.rename(columns=lambda name: name + evil)
    columns = tuple(Column(name, ColumnKind.NUMERIC) for name in X)
    return Dataset("d", "f", n, columns, f"y{evil}", task, classes), Rows(X, y)


def plain(rows):
    return Rows(rows.X.set_axis(list(NAMES), axis=1))


def exact(rows, classes):
    """Exact for a model without interaction: the sum of the columns."""
    sign = np.ones(len(rows)) if classes is None else np.array([-1.0, 1.0])[classes]
    return [
        Attribution(
            (),
            float(s * row.sum()),
            0.0,
            tolerance=1e-9,
            cells=tuple(
                ReadCell((n,), float(s * v)) for n, v in zip(rows.X.columns, row, strict=True)
            ),
        )
        for row, s in zip(rows.X.to_numpy(), sign, strict=True)
    ]


def told(task=Task.BINARY, *, contribute=None, evil="", **more):
    dataset, rows = made(task, evil=evil)
    model = predict_value if task is Task.REGRESSION else predict_class
    return explain(
        lambda part: model(plain(part)),
        rows,
        dataset=dataset,
        metric="loss",
        loss=lambda y, p: float(np.mean((y - (p if p.ndim == 1 else p[:, 1])) ** 2)),
        contribute=contribute,
        repeats=2,
        **more,
    )


def threefold(X):
    """All three columns act together: pairs of orders alone would not be enough."""
    return (X["a"] * X["b"] * X["c"] + X["c"]).to_numpy()


def brute(x, others):
    """Shapley values over all orders and all other rows (Štrumbelj & Kononenko 2014, eq. 4)."""
    found = dict.fromkeys(NAMES, 0.0)
    orders = list(permutations(NAMES))
    for order in orders:
        mixed = others.copy()
        before = threefold(mixed).mean()
        for name in order:
            mixed[name] = x[name].iloc[0]
            after = threefold(mixed).mean()
            found[name] += (after - before) / len(orders)
            before = after
    return found


def test_values_agree_with_all_orders_within_their_errors():
    """Six orders and 32 rows can be enumerated: sampling is off by a few errors at most."""
    others = frame(32, seed=3)
    trying = Trying(lambda rows: threefold(rows.X), Rows(others), [(n,) for n in NAMES])
    gaps = []
    for seed in range(40):
        x = frame(1, seed=100 + seed)
        (found,) = trying(Rows(x), None)
        assert found.complete
        assert found.output == pytest.approx(threefold(x)[0])
        assert found.baseline == pytest.approx(threefold(others).mean())
        reference = brute(x, others)
        for cell in found.cells:
            gap = cell.value - reference[cell.columns[0]]
            gaps.append(gap / cell.error)
    assert np.abs(gaps).max() < 5
    assert 0.1 < np.std(gaps) < 1.3


def test_an_additive_column_has_no_error_beside_its_rows():
    """Two times the cell less the mean of the others, whatever the order."""
    others, x = frame(32, seed=3), frame(1, seed=9)
    (found,) = Trying(predict_value, Rows(others), [(n,) for n in NAMES])(Rows(x), None)
    c = next(cell for cell in found.cells if cell.columns == ("c",))
    assert c.value == pytest.approx(2 * (x["c"].iloc[0] - others["c"].mean()))


def test_columns_that_hardly_matter_are_put_in_together():
    """Every column is in one group; twins stay together; the rest is the last group."""
    importance = [{"columns": [f"x{i}"]} for i in range(30)]
    importance[0]["columns"].append("twin")
    names = [*(f"x{i}" for i in range(30)), "twin"]
    found = players(importance, names)
    assert sorted(n for group in found for n in group) == sorted(names)
    assert len(found) == MOST_PLAYERS + 1
    assert found[0] == ("x0", "twin")


def test_chances_of_the_predicted_class_add_up():
    """By trying, each single row's cells lead from the mean chance to the row's own."""
    found = told()["cells"]
    assert not found["exact"]
    assert not found["columns"]
    for single in found["singles"]:
        total = single["baseline"] + sum(c["value"] for c in single["cells"]) + single["others"][1]
        assert total == pytest.approx(single["output"], abs=2e-3)
        assert 0.5 <= single["output"] <= 1
    assert found["sums"]["complete"] == found["sums"]["asked"]
    assert {s["right"] for s in found["singles"]} == {True, False}


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_all_columns_at_a_glance_come_from_the_learner_itself(task):
    """Means of absolute values of every row asked, the largest first, with ranks of the cells."""
    found = told(task, contribute=exact)["cells"]
    _, rows = made(task)
    means = np.abs(rows.X).mean()
    assert found["exact"]
    assert found["rows"] == len(rows)
    assert {c["column"]: c["mean"] for c in found["columns"]} == pytest.approx(
        means.to_dict(), rel=1e-3
    )
    for column in found["columns"]:
        values = np.array(column["points"], dtype=float)
        assert np.corrcoef(values[:, 0], values[:, 1])[0, 1] > 0.9
    assert found["of"] == ("yes" if task is Task.BINARY else None)


def test_nothing_is_told_of_one_column_or_of_a_model_that_knows_nothing():
    """A single column has no rival; a model at the baseline is not explained."""
    assert told(beats_baseline=False)["cells"] is None
    dataset, rows = made(Task.REGRESSION)
    dataset = replace(dataset, columns=dataset.columns[2:])
    one = Rows(rows.X[["c"]], rows.y)
    found = explain(
        lambda part: part.X["c"].to_numpy(),
        one,
        dataset=dataset,
        metric="loss",
        loss=lambda y, p: float(np.mean((y - p) ** 2)),
        repeats=2,
    )
    assert found["cells"] is None


def test_signs_and_units_are_said():
    """Points of chance by trying, log odds from the learner, the target's unit for values."""
    assert cells.signed(0.1234, {"exact": False}, True) == "+12.3"
    assert cells.signed(-0.5, {"exact": True}, True) == "−0.50"
    assert cells.signed(2.0, {"exact": False}, False) == "+2"


@pytest.mark.parametrize("contribute", [None, exact])
def test_the_page_draws_cells_and_escapes_them(contribute):
    """Bars and points are drawn; names that are markup stay text."""
    found = told(contribute=contribute, evil=HOSTILE)["cells"]
    records = [
        replace(r, payload={**r.payload, "cells": found}) if r.kind == "explanation" else r
        for r in studies.complete(Task.BINARY)
    ]
    page = html.render(evidence.collect(records))
    assert "What moved single predictions" in page
    assert page.count('id="cells-') > 2 * len(found["singles"])
    assert ('id="cloud' in page) == bool(found["columns"])
    assert "<img src=x" not in page
