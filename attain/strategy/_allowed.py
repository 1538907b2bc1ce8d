"""Which points of the cube the clauses permit, many at a time."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import reduce

import numpy as np

from attain.core.space import Categorical, Condition, Constraint, Forbidden, Ordinal, Space
from attain.core.space_clauses import kind
from attain.core.space_expression import SHARED, Ops, parse, value
from attain.strategy._axis import Axis


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(np.equal(b, 0), np.nan, np.divide(a, b))


def _rest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(np.equal(b, 0), np.nan, np.mod(a, b))


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    power = np.power(a, b)
    return np.where(np.isfinite(power), power, np.nan)


# the same as `core.space_expression.SCALAR`, on arrays
ARRAY: Ops = {
    **SHARED,
    ast.Div: _divided,
    ast.Mod: _rest,
    ast.Pow: _power,
    "min": lambda *parts: reduce(np.minimum, parts),
    "max": lambda *parts: reduce(np.maximum, parts),
    "log": lambda x: np.where(np.greater(x, 0), np.log(x), np.nan),
    "exp": np.exp,
    "sqrt": np.sqrt,
}


def allowed(space: Space, axes: Sequence[Axis], rows: np.ndarray) -> np.ndarray:
    """Which settled points keep every clause.

    Args:
        space: With its clauses.
        axes: Of the space's cube, d of them.
        rows: Settled points, shape (m, d), NaN where inactive.

    Returns:
        Booleans, shape (m,).
    """
    fine = np.ones(len(rows), dtype=bool)
    if not (space.forbidden or space.constraints):
        return fine
    column = {one.parameter.name: i for i, one in enumerate(axes)}
    for clause in space.forbidden:
        fine &= ~_together(clause, axes, column, rows)
    for constraint in space.constraints:
        fine &= _kept(constraint, axes, column, rows)
    return fine


def places(one: Axis, condition: Condition) -> np.ndarray:
    """Where a parent stands for one of a condition's values, shape (v,)."""
    return np.array([one.position(v) for v in condition.values if one.parameter.contains(v)])


def lies_at(one: Axis, at: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Which settled positions are among some places, shape (m,)."""
    near = min(1e-9, 0.1 / one.levels) if one.levels else 1e-9
    return np.asarray((np.abs(positions[:, None] - at) <= near).any(axis=1))


def _together(
    clause: Forbidden, axes: Sequence[Axis], column: dict[str, int], rows: np.ndarray
) -> np.ndarray:
    parts = ((axes[column[c.parent]], rows[:, column[c.parent]], c) for c in clause.together)
    return reduce(np.logical_and, (lies_at(one, places(one, c), at) for one, at, c in parts))


def _kept(
    constraint: Constraint, axes: Sequence[Axis], column: dict[str, int], rows: np.ndarray
) -> np.ndarray:
    rule = parse(constraint.text)
    columns = {name: column[name] for name in rule.names}
    active = ~np.isnan(rows[:, list(columns.values())]).any(axis=1)
    kept = np.ones(len(rows), dtype=bool)
    values = {name: _values(axes[i], rows[active, i]) for name, i in columns.items()}
    with np.errstate(all="ignore"):
        kept[active] = value(rule.tree, values, ARRAY)
    return kept


def _values(one: Axis, positions: np.ndarray) -> np.ndarray:
    """What positions stand for: numbers, truth values, or objects."""
    parameter = one.parameter
    if not isinstance(parameter, Categorical | Ordinal):
        return one.numbers(positions)
    types = {"number": float, "truth": bool}
    choices = np.array(parameter.choices, dtype=types.get(kind(parameter), object))
    return np.asarray(choices[np.minimum(positions * one.levels, one.levels - 1).astype(int)])
