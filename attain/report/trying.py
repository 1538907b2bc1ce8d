"""What each column said to any model, found out by putting a row's cells into other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attain.core.types import Attribution, ReadCell, Rows
from attain.report.importance import Predict

PAIRS = 32
"""Other rows, and orders with their reverses: 64 orders. The error is told beside each value."""
MOST_PLAYERS = 12
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Trying:
    """Asks a model what the cells of rows said, one order of putting them in after the other.

    Shapley values by sampled orders (Štrumbelj & Kononenko, Knowledge and Information Systems 41
    (2014)): what a column adds is the mean change of the output when its cell of the row takes
    the place of another row's, over other rows and orders. Each order is also walked backwards,
    which makes the error smaller (Mitchell et al. 2022, arXiv 2104.12199).

    Attributes:
        predict: Rows to probabilities (n, classes) or values (n,).
        others: Rows whose cells stand where the row's do not yet; at least one.
        players: Columns that are put in together; columns in none of them go with the last one.
        seed: Of orders, the same for every row.
    """

    predict: Predict
    others: Rows
    players: Sequence[tuple[str, ...]]
    seed: int = 0

    def __call__(self, rows: Rows, classes: np.ndarray | None) -> list[Attribution]:
        """What the cells of rows said.

        Args:
            rows: With the columns of `others`.
            classes: For each row the code of the class whose chance is asked about; None for
                values.

        Returns:
            One answer a row; its baseline is the mean over the other rows.
        """
        codes = [None] * len(rows) if classes is None else [int(code) for code in classes]
        return [self._one(rows.take(np.array([i])), code) for i, code in enumerate(codes)]

    def _one(self, row: Rows, code: int | None) -> Attribution:
        orders, other = self._orders()
        players = orders.shape[1]
        steps = np.empty(orders.shape, dtype=np.int64)  # when each player's cells are put in
        np.put_along_axis(steps, orders, np.arange(players)[None], axis=1)
        done = np.arange(players + 1)
        present = (steps[:, None, :] < done[None, :, None]).reshape(-1, players)
        told = self.predict(self._mixed(row, present, np.repeat(other, players + 1)))
        output = told if code is None else told[:, code]
        walks = output.reshape(len(orders), players + 1)
        changes = np.take_along_axis(np.diff(walks, axis=1), steps, axis=1)
        pairs = (changes[0::2] + changes[1::2]) / 2
        values, errors = pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
        return Attribution(
            (),
            float(walks[:, -1].mean()),
            float(walks[:, 0].mean()),
            tolerance=_ROUNDING * (1 + float(np.abs(walks).max())),
            steps=len(orders),
            cells=tuple(
                ReadCell(tuple(names), float(value), float(error))
                for names, value, error in zip(self.players, values, errors, strict=True)
            ),
        )

    def _orders(self) -> tuple[np.ndarray, np.ndarray]:
        """Orders of players, each followed by its reverse, and the other row of each."""
        rng = np.random.default_rng([self.seed, 3])
        some = rng.permutation(len(self.others))
        other = np.resize(some, PAIRS)
        forth = np.array([rng.permutation(len(self.players)) for _ in range(PAIRS)])
        return np.stack([forth, forth[:, ::-1]], axis=1).reshape(2 * PAIRS, -1), np.repeat(other, 2)

    def _mixed(self, row: Rows, present: np.ndarray, other: np.ndarray) -> Rows:
        """Rows with the cells of some players, and those of other rows in the rest."""
        import pandas as pd

        both = pd.concat([row.X, self.others.X], ignore_index=True)
        player = {name: k for k, names in enumerate(self.players) for name in names}
        last = len(self.players) - 1
        columns = {
            name: both[name].take(np.where(present[:, player.get(name, last)], 0, 1 + other)).array
            for name in both
        }
        return Rows(pd.DataFrame(columns))


def players(
    importance: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> list[tuple[str, ...]]:
    """Which columns are put in together: twins, and all that hardly matter.

    Args:
        importance: As from `permutation_importance`, the most important first.
        columns: All of them.

    Returns:
        At most 13 groups that hold every column once.
    """
    found = [tuple(str(c) for c in e["columns"]) for e in importance[:MOST_PLAYERS]]
    known = {name for names in found for name in names}
    rest = tuple(name for name in columns if name not in known)
    return [*found, rest] if rest else found
