"""What the columns of new rows say to a saved model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import ArtifactError, Problem, SpecError
from attain.core.protocols import Contributing, Learner
from attain.core.types import Attribution, Rows
from attain.report.cells import signed
from attain.report.local import shown
from attain.report.numbers import setting

if TYPE_CHECKING:
    import pandas as pd

STRONGEST = 3
_BATCH = 500

Tick = Callable[[int], None]
"""Told how many rows are done."""


def ignore(rows: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """How far each column moved each prediction (Shapley values, exact).

    Attributes:
        values: One row per row, one column per feature.
        output: What they lead to, shape (n,): for classes the log odds of the predicted one against
            the others before any calibration, for values the value.
        mean: Where they start, shape (n,): the mean of the same over the training rows. Together
            with a row's values it is its output.
    """

    values: pd.DataFrame
    output: np.ndarray
    mean: np.ndarray


def contributions(
    learner: Learner,
    model: Any,
    rows: Rows,
    codes: np.ndarray | None,
    name: str,
    tick: Tick = ignore,
) -> Contributions:
    """How far each column moved each prediction.

    Args:
        learner: Whose model it is, without calibration.
        model: A fitted model.
        rows: As the learner sees them.
        codes: Codes of the predicted classes, shape (n,); None for values.
        name: The learner's, for the error.
        tick: Told of each batch of rows.

    Returns:
        One row per row.

    Raises:
        SpecError: When the learner cannot tell exactly.
    """
    import pandas as pd

    told = list(_told(learner, model, rows, codes, name, tick))
    table = [{cell.columns[0]: cell.value for cell in one.cells} for one in told]
    values = pd.DataFrame(table, index=range(len(rows)), dtype=np.float64)
    values = values.reindex(columns=list(rows.X.columns)).fillna(0.0)
    output, mean = (np.array([getattr(o, k) for o in told]) for k in ("output", "baseline"))
    return Contributions(values, output, mean)


def reasons(found: Contributions, rows: Rows, classifies: bool) -> list[str]:
    """The three cells that moved each prediction most, in words.

    Args:
        found: From `contributions`.
        rows: The same rows.
        classifies: Whether classes are predicted.

    Returns:
        Such as ``age = 21 (+2.2), sex = Male (−0.12)``, one text per row; empty where no column
        moved it.
    """
    names, values = list(found.values.columns), found.values.to_numpy()
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :STRONGEST]
    texts = []
    for i, columns in enumerate(order):
        parts = []
        for j in columns:
            if not values[i, j]:
                continue
            cell = shown(rows.X[names[j]].iloc[i])
            said = "missing" if cell is None else setting(cell)
            parts.append(
                f"{names[j]} = {said} ({signed(values[i, j], {'exact': True}, classifies)})"
            )
        texts.append(", ".join(parts))
    return texts


def _told(
    learner: Learner, model: Any, rows: Rows, codes: np.ndarray | None, name: str, tick: Tick
) -> Iterator[Attribution]:
    if not isinstance(learner, Contributing):
        rule = "only models that are sums can tell of new rows: lightgbm, linear"
        remedy = "see the report, or train with learners: [lightgbm, linear]"
        raise SpecError([Problem(rule, name, "--explain", remedy)])
    for start in range(0, len(rows), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(rows)))
        asked = None if codes is None else codes[index]
        for one in learner.contribute(model, rows.take(index), asked):
            if not one.complete:
                raise ArtifactError(
                    f"the columns do not add up to the prediction (off by {one.residual:g}) — get "
                    "the model anew"
                )
            yield one
        tick(len(index))
