"""A reliability record made by the real measurements, on the rows of a hand-made study."""

from __future__ import annotations

from typing import Any

import numpy as np
from report_data import predict

from attain.core.types import Dataset, Objective, Rows, Task
from attain.validate.learning import learning_curve
from attain.validate.limits import Evidence, binding
from attain.validate.perturb import Part, perturb
from attain.validate.seeds import seed_spread
from attain.validate.slices import find_slices


def weakened(task: Task, rows: Rows, data: Dataset) -> Rows:
    """The same rows, with a target that is nonsense in one category."""
    assert rows.y is not None
    name = next(c.name for c in data.features if c.kind.value == "categorical")
    odd = (rows.X[name] == rows.X[name].mode()[0]).to_numpy(bool, na_value=False)
    rng = np.random.default_rng(0)
    y = rows.y.copy()
    y[odd] = rng.permutation(y)[odd]
    return Rows(rows.X, y)


def measured(task: Task, rows: Rows, data: Dataset, goal: Objective) -> dict[str, Any]:
    """What the pipeline would record of a model that is wrong in one category."""
    weak = weakened(task, rows, data)
    assert weak.y is not None
    model = predict(task)
    p = model(weak)
    rng = np.random.default_rng(1)

    def blurred(level: float) -> np.ndarray:
        if p.ndim == 1:
            return p + level * 300 * rng.normal(size=len(p))
        mixed = np.abs(p + level * rng.normal(size=p.shape)) + 1e-3
        return mixed / mixed.sum(axis=1, keepdims=True)

    curve = learning_curve(
        goal,
        weak.y,
        {share: [blurred(0.05 / share)] for share in (0.125, 0.25, 0.5, 1.0)},
        len(rows),
    )
    flat = {"estimate": 0.0, "low": -0.01, "high": 0.01}
    return {
        "metric": goal.metric,
        "slices": find_slices(weak, data, p, goal.metric),
        "perturbations": perturb(
            [Part(model, weak)], data, goal.metric, goal.direction, gain=0.1, seconds=60.0
        ),
        "seeds": seed_spread(
            goal.metric, weak.y, [blurred(0.3) for _ in range(4)], half_width=1e-3
        ),
        "curve": curve,
        "limits": binding(
            Evidence("AUC", 0.1, curve["gain"], curve["gain_far"], False, flat, 0.0, False)
        ),
        "notes": ["Time was up before 2 of the less important columns."],
        "failed": {},
        "seconds": 3.1,
        "allowed": 5.0,
    }
