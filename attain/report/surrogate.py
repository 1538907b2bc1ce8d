"""A small tree that imitates the model, and how well it does so on rows it was not grown on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.types import ColumnKind, Dataset, Rows
from attain.report.mistakes import carried

if TYPE_CHECKING:
    import pandas as pd

MOST_LEAVES = 8
MOST_DEPTH = 4
MOST_ROWS = 4_000
FEWEST_ROWS = 100
FAITHFUL = 0.7  # share of the model's own variation that a tree must explain to be shown
_LEVELS = 10  # categories of a column that may be asked for


def surrogate(
    rows: Rows, prediction: np.ndarray, dataset: Dataset, *, seed: int = 0
) -> dict[str, Any] | None:
    """Imitate a model by a tree of at most eight leaves (Craven & Shavlik, NIPS 8 (1996)).

    The tree is grown on two thirds of the rows. Its fidelity is measured on the others: the share
    of the variation of the model's predictions (of all classes together) that it explains. Below
    0.7 its rules are withheld, for they would tell of another model.

    Args:
        rows: Rows that the model has not seen; at most 4,000 are used.
        prediction: The model's own, shape (n, classes) or (n,).
        dataset: For kinds and class labels.
        seed: Of dividing the rows.

    Returns:
        ``fidelity``, ``agreement`` (share of rows given the same class; None for values), ``rows``
        (behind both), ``faithful``, and ``leaves`` (empty when withheld): ``rules`` (texts),
        ``share`` (of the rows), ``value`` (chance of ``label``, or the value) and ``label`` (the
        most probable class, of two the second; empty for values). None for fewer than 100 rows or
        predictions that do not vary.
    """
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng([seed, 17])
    chosen = rng.permutation(len(rows))[:MOST_ROWS]
    table = prediction[chosen] if prediction.ndim == 2 else prediction[chosen, None]
    questions, names = _questions(rows.X.iloc[chosen], dataset)
    if len(chosen) < FEWEST_ROWS or not questions.shape[1] or not np.ptp(table, axis=0).any():
        return None
    cut = 2 * len(chosen) // 3
    tree = DecisionTreeRegressor(
        max_depth=MOST_DEPTH,
        max_leaf_nodes=MOST_LEAVES,
        min_samples_leaf=max(5, cut // 50),
        random_state=seed,
    ).fit(questions[:cut], table[:cut])
    held, told = table[cut:], tree.predict(questions[cut:]).reshape(len(chosen) - cut, -1)
    spread = float(np.sum((held - held.mean(axis=0)) ** 2))
    fidelity = 1 - float(np.sum((held - told) ** 2)) / spread if spread > 0 else 0.0
    return {
        "fidelity": fidelity,
        "agreement": _agreement(held, told, dataset),
        "rows": len(held),
        "faithful": fidelity >= FAITHFUL,
        "leaves": _leaves(tree, names, dataset) if fidelity >= FAITHFUL else [],
    }


def _agreement(held: np.ndarray, told: np.ndarray, dataset: Dataset) -> float | None:
    """Share of rows for which both say the same class, or exactly the same labels."""
    if dataset.task.several:
        return float((carried(held) == carried(told)).all(axis=1).mean())
    return float(np.mean(held.argmax(1) == told.argmax(1))) if held.shape[1] > 1 else None


def _questions(X: pd.DataFrame, dataset: Dataset) -> tuple[np.ndarray, list[tuple[str, Any]]]:
    """What a tree may ask: numbers as they are, one question for each frequent category."""
    columns, names = [], []
    for column in dataset.features:
        values = X[column.name]
        if column.kind in (ColumnKind.NUMERIC, ColumnKind.BOOLEAN):
            number = values.to_numpy(dtype=float, na_value=np.nan)
            if np.isfinite(number).any():
                columns.append(np.where(np.isfinite(number), number, np.nanmedian(number)))
                names.append((column.name, None))
        elif column.kind is ColumnKind.CATEGORICAL:
            for level in values.value_counts().index[:_LEVELS]:
                columns.append((values == level).fillna(False).to_numpy(dtype=float))
                names.append((column.name, level))
    return np.array(columns, dtype=float).reshape(len(columns), len(X)).T, names


def _leaves(tree: Any, names: list[tuple[str, Any]], dataset: Dataset) -> list[dict[str, Any]]:
    inner, found = tree.tree_, []

    def walk(node: int, rules: dict[Any, str]) -> None:
        if inner.children_left[node] == inner.children_right[node]:
            found.append(_leaf(inner, node, _told(rules), dataset))
            return
        name, level = names[inner.feature[node]]
        yes, no = _rule(name, level, float(inner.threshold[node]))
        walk(int(inner.children_left[node]), {**rules, no[0]: no[1]})
        walk(int(inner.children_right[node]), {**rules, yes[0]: yes[1]})

    walk(0, {})
    return sorted(found, key=lambda leaf: -leaf["share"])


def _rule(name: str, level: Any, threshold: float) -> tuple[tuple[Any, str], tuple[Any, str]]:
    """For yes and for no: what a later, tighter rule takes the place of, and the rule in words."""
    if level is not None:
        text = str(level)[:40]
        return ((name, level), f"{name} is {text}"), ((name, level), f"{name} is not {text}")
    return ((name, ">"), f"{name} above {threshold:.4g}"), (
        (name, "<="),
        f"{name} at most {threshold:.4g}",
    )


def _told(rules: dict[Any, str]) -> list[str]:
    """Rules in words; a category that is named makes it needless to say which ones it is not."""
    named = {key[0] for key, text in rules.items() if text == f"{key[0]} is {str(key[1])[:40]}"}
    return [t for key, t in rules.items() if key[0] not in named or " is not " not in t]


def _leaf(inner: Any, node: int, rules: list[str], dataset: Dataset) -> dict[str, Any]:
    values = inner.value[node][:, 0]
    label, value = "", float(values[0])
    if dataset.task.named:
        second = len(dataset.classes) == 2 and not dataset.task.several
        code = 1 if second else int(values.argmax())
        label, value = dataset.classes[code], float(values[code])
    share = float(inner.n_node_samples[node] / inner.n_node_samples[0])
    return {"rules": rules, "share": share, "value": value, "label": label}
