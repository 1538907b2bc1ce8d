"""Data, objectives, findings and a space made by hand, and a fixed model of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from attain.core.space import Categorical, Condition, Float, Int, Space, prefixed
from attain.core.types import (
    Column,
    ColumnKind,
    ColumnRole,
    Dataset,
    Direction,
    Finding,
    FindingState,
    Objective,
    Role,
    Rows,
    Severity,
    Task,
)

HOSTILE = "</script><img src=x onerror=alert(1)>"
ROWS = 1600


def names(hostile: bool) -> list[str]:
    plain = ["tenure", "monthly_charge", "total_charge", "support_calls", "contract", "region"]
    plain += ["paperless", "signup_date"]
    return [f"{n}{HOSTILE}" for n in plain] if hostile else plain


def frame(hostile: bool = False, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    tenure = rng.gamma(2.0, 14.0, rows).round()
    charge = rng.normal(64, 22, rows).clip(18, 120).round(2)
    columns = [
        tenure,
        charge,
        tenure * charge * rng.normal(1, 0.01, rows),
        rng.poisson(1.4, rows).astype(float),
        rng.choice(["monthly", "one year", "two years"], rows, p=[0.55, 0.25, 0.2]),
        rng.choice(["north", "south", "east", "west"], rows),
        rng.integers(0, 2, rows).astype(float),
        pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 2000, rows), unit="D"),
    ]
    table = pd.DataFrame(dict(zip(names(hostile), columns, strict=True)))
    table.iloc[::17, 1] = np.nan
    return table


def signal(table: pd.DataFrame) -> np.ndarray:
    charge = table.iloc[:, 1].fillna(64.0).to_numpy()
    contract = table.iloc[:, 4].map({"monthly": 1.1, "one year": -0.4}).fillna(-1.3).to_numpy()
    tenure = table.iloc[:, 0].to_numpy()
    return np.asarray(
        -0.045 * tenure
        + 0.02 * (charge - 64)
        + 0.55 * table.iloc[:, 3].to_numpy()
        + contract
        + 0.1 * table.iloc[:, 6].to_numpy()
    )


def classes(task: Task, hostile: bool) -> tuple[str, ...]:
    labels = {
        Task.BINARY: ("no", "yes"),
        Task.MULTICLASS: ("bus", "opel", "saab", "van"),
        Task.REGRESSION: (),
    }[task]
    return tuple(f"{label}{HOSTILE}" for label in labels) if hostile else labels


def predict(task: Task) -> Any:
    """A fixed model: probabilities or values from the signal."""

    def binary(rows: Rows) -> np.ndarray:
        p = 1 / (1 + np.exp(-1.3 * signal(rows.X)))
        return np.column_stack([1 - p, p])

    def multi(rows: Rows) -> np.ndarray:
        s = signal(rows.X)
        logits = np.column_stack([1.2 * s, -0.6 * s, 0.3 * s**2 - 1, -0.2 * s**2 + 0.4])
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def value(rows: Rows) -> np.ndarray:
        return 1200 + 310 * signal(rows.X)

    return {Task.BINARY: binary, Task.MULTICLASS: multi, Task.REGRESSION: value}[task]


def rows_of(task: Task, hostile: bool = False, rows: int = ROWS) -> Rows:
    rng = np.random.default_rng(11)
    table = frame(hostile, rows)
    p = predict(task)(Rows(table))
    if task is Task.REGRESSION:
        return Rows(table, p + rng.standard_t(4, rows) * 130)
    return Rows(table, (p.cumsum(axis=1) < rng.random(rows)[:, None]).sum(axis=1))


def loss_of(task: Task) -> Any:
    if task is Task.REGRESSION:
        return lambda y, p: float(np.sqrt(np.mean((y - p) ** 2)))
    return lambda y, p: float(-np.mean(np.log(p[np.arange(len(y)), y.astype(int)] + 1e-12)))


KINDS = [ColumnKind.NUMERIC] * 4 + [ColumnKind.CATEGORICAL] * 2
KINDS += [ColumnKind.BOOLEAN, ColumnKind.DATETIME]


def dataset_of(task: Task, hostile: bool, rows: Rows) -> Dataset:
    evil = HOSTILE if hostile else ""
    labels = classes(task, hostile)
    target = {"binary": "churned", "multiclass": "vehicle", "regression": "price"}[task] + evil
    columns = tuple(
        Column(
            name,
            kind,
            reason="text that repeats"
            if kind is ColumnKind.CATEGORICAL
            else "all cells are numbers",
            missing=int(rows.X[name].isna().sum()),
            distinct=int(rows.X[name].nunique()),
        )
        for name, kind in zip(names(hostile), KINDS, strict=True)
    )
    extra = (
        Column(
            "customer_id" + evil, ColumnKind.CATEGORICAL, ColumnRole.IGNORED, "one value per row"
        ),
        Column(target, ColumnKind.CATEGORICAL, ColumnRole.TARGET, "stated in the study file"),
    )
    assert rows.y is not None
    counts = np.bincount(rows.y.astype(int), minlength=len(labels)) if labels else []
    return Dataset(
        address=f"data/{target}.csv",
        fingerprint="9f2c41d07b6e58a3c1d2",
        rows=len(rows),
        columns=columns + extra,
        target=target,
        task=task,
        classes=labels,
        class_counts=tuple(int(c) for c in counts),
        task_reason=f"{len(labels)} distinct labels" if labels else "numbers with many values",
    )


GOALS = {
    Task.BINARY: ("roc_auc", Direction.MAXIMIZE, 0.86, 0.0, 1.0),
    Task.MULTICLASS: ("f1_macro", Direction.MAXIMIZE, 0.80, 0.0, 1.0),
    Task.REGRESSION: ("rmse", Direction.MINIMIZE, 190.0, 0.0, float("inf")),
}
# Lead metric of: constant guess, plain linear, middle of the search, best of the search.
LEVELS = {
    Task.BINARY: (0.5, 0.841, 0.858, 0.884),
    Task.MULTICLASS: (0.11, 0.642, 0.70, 0.763),
    Task.REGRESSION: (402.0, 236.0, 214.0, 181.0),
}
HALF = {Task.BINARY: 0.018, Task.MULTICLASS: 0.021, Task.REGRESSION: 9.5}


def objectives_of(task: Task) -> tuple[Objective, ...]:
    metric, direction, target, low, high = GOALS[task]
    return (
        Objective(metric, direction, target, low=low, high=high),
        Objective("latency_p95_ms", Direction.MINIMIZE, 5.0, Role.CONSTRAINT, unit="ms", low=0.0),
    )


def findings_of(hostile: bool, blocked: bool) -> tuple[Finding, ...]:
    evil = HOSTILE if hostile else ""
    found, passed = FindingState.FOUND, FindingState.PASSED
    leak = Finding(
        "D007",
        "A column gives the target away",
        found if blocked else passed,
        Severity.BLOCKER,
        f"cancel_reason{evil} alone predicts the target with ROC AUC 0.998." if blocked else "",
        "Remove the column if it is only known after the fact.",
        (f"cancel_reason{evil}",),
    )
    return (
        leak,
        Finding(
            "D011",
            "Missing cells",
            found,
            Severity.TIP,
            f"monthly_charge{evil} lacks 6 % of its cells.",
            "Nothing to do: learners here handle missing cells.",
            (f"monthly_charge{evil}",),
            evidence={"share": 0.059},
        ),
        Finding(
            "D004",
            "Repeated rows",
            found,
            Severity.ISSUE,
            "23 rows occur more than once; copies in training and validation flatter the score.",
            "Remove the copies, or name the column that identifies a customer as `groups`.",
            rows=(4, 19, 77),
        ),
        Finding("D001", "Enough rows", passed, explanation="1,600 rows for 8 columns."),
        Finding(
            "D009", "Order of time", FindingState.NOT_APPLICABLE, explanation="No time column."
        ),
        Finding("D013", "Label errors", FindingState.SKIPPED, explanation="Silenced by the study."),
    )


def space_of() -> tuple[Space, dict[str, Space]]:
    own = {
        "lightgbm": Space(
            (
                Float(name="learning_rate", low=0.01, high=0.3, default=0.1, scale="log"),
                Int(name="leaves", low=4, high=256, default=31, scale="log"),
                Float(name="l2", low=1e-6, high=10.0, default=1e-3, scale="log"),
                Float(name="columns", low=0.4, high=1.0, default=0.8),
            )
        ),
        "linear": Space((Float(name="C", low=1e-4, high=100.0, default=1.0, scale="log"),)),
        "random_forest": Space(
            (
                Int(name="depth", low=3, high=30, default=12),
                Categorical(name="criterion", choices=("gini", "entropy"), default="gini"),
            )
        ),
    }
    root = Categorical(name="learner", choices=tuple(own))
    inside = [p for n, s in own.items() for p in prefixed(s, n, Condition("learner", (n,)))]
    return Space((root, *inside)), own
