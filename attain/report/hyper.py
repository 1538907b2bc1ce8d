"""Which hyperparameters mattered, per learner, from the trials that were run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from attain.core.types import Record
from attain.report.numbers import finite
from attain.stats.importance import ped_anova

FEWEST_TRIALS = 8  # below, the best fraction holds too few trials to compare distributions


def importance(records: Iterable[Record], *, fewest: int = FEWEST_TRIALS) -> list[dict[str, Any]]:
    """Share of what makes good trials good that each hyperparameter explains, per learner.

    Args:
        records: The ledger's records; those of kind ``trial`` and ``scored`` are read.
        fewest: Successful search trials that a learner needs before its parameters are judged.

    Returns:
        Mappings with ``learner``, ``parameter``, ``share`` in [0, 1] and ``trials``; learners with
        the lowest loss first, within a learner the largest share first. Computed with PED-ANOVA by
        `attain.stats.importance.ped_anova`.
    """
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {}
    runs: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
    for record in records:
        if record.kind == "trial" and record.payload["trial"].get("purpose") == "search":
            trial = record.payload["trial"]
            asked[trial["id"]] = (trial["learner"], trial["config"])
        elif record.kind == "scored" and record.payload["trial"] in asked:
            learner, config = asked[record.payload["trial"]]
            loss = finite(record.payload.get("loss"))
            if loss is not None:
                runs.setdefault(learner, []).append((config, loss))
    found = []
    for learner in sorted(runs, key=lambda name: min(loss for _, loss in runs[name])):
        shares = shares_of(runs[learner]) if len(runs[learner]) >= fewest else {}
        found += [
            {"learner": learner, "parameter": name, "share": value, "trials": len(runs[learner])}
            for name, value in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        ]
    return found


def shares_of(runs: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, float]:
    """Shares of the parameters that took at least two values.

    Args:
        runs: Configurations and finite losses.

    Returns:
        Shares in [0, 1] by parameter; empty where nothing can be said.
    """
    names = dict.fromkeys(name for config, _ in runs for name in config)
    values = {name: [config.get(name) for config, _ in runs] for name in names}
    varied = {n: v for n, v in values.items() if len({str(x) for x in v if x is not None}) > 1}
    shares = ped_anova(
        {name: _column(column) for name, column in varied.items()},
        np.array([loss for _, loss in runs]),
    )
    # All zero means that nothing can be said, which is not the same as "nothing matters".
    return shares if any(shares.values()) else {}


def _column(values: Sequence[Any]) -> np.ndarray:
    """One parameter as `ped_anova` takes it; None where the parameter was inactive.

    The divergence between two densities does not change under a monotone transformation, so ranks
    put numbers on the unit scale without knowing whether they were searched on a log scale.
    """
    from scipy.stats import rankdata  # here, because scipy.stats takes long to import

    present = [v for v in values if v is not None]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in present):
        known = sorted({str(v) for v in present})
        codes = [-1 if v is None else known.index(str(v)) for v in values]
        return np.array(codes, dtype=np.int64)
    column = np.array([np.nan if v is None else float(v) for v in values])
    active = ~np.isnan(column)
    column[active] = (rankdata(column[active]) - 0.5) / active.sum()
    return column
