"""How much each parameter has mattered so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attain.core.space import Categorical, Config, Float, Int, Parameter, Space
from attain.core.space_scale import forward
from attain.core.types import Observed
from attain.stats.importance import ped_anova

FEWEST = 10  # trials below which shares are mostly chance


def importance(space: Space, history: Sequence[Observed]) -> Mapping[str, float]:
    """Share that each parameter has in what separates the best trials from the rest.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023, arXiv:2304.10255) on the finished trials. A
    conditional parameter is judged on the trials where it existed. Values outside of the present
    ranges, from before a refinement, count at the nearest end.

    Args:
        space: The present space.
        history: Trials so far; those without a loss are left out.

    Returns:
        One share per parameter, in [0, 1], summing to 1; all 0 with fewer than ten finished trials
        or when nothing can be said.
    """
    done = [o for o in history if o.loss is not None and math.isfinite(o.loss)]
    if len(done) < FEWEST:
        return {p.name: 0.0 for p in space}
    columns = {p.name: _column(p, [o.config for o in done]) for p in space}
    loss = np.array([o.loss for o in done], float)
    return ped_anova(columns, loss)


def _column(parameter: Parameter, configs: Sequence[Config]) -> np.ndarray:
    """Values on the unit scale (NaN where absent), or codes (-1 where absent), shape (n,)."""
    if isinstance(parameter, Categorical):
        return np.array([_code(parameter, c.get(parameter.name)) for c in configs], np.int64)
    return np.array([_unit(parameter, c.get(parameter.name)) for c in configs], float)


def _code(parameter: Categorical, value: object) -> int:
    for code, choice in enumerate(parameter.choices):
        if value == choice and type(value) is type(choice):
            return code
    return -1


def _unit(parameter: Parameter, value: object) -> float:
    """Position of a value between the ends of its range, on its scale, in [0, 1]."""
    if isinstance(parameter, Float | Int):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return math.nan
        value = min(max(value, parameter.low), parameter.high)
        scale, width = parameter.scale, parameter.linear_width
        numbers = (value, parameter.low, parameter.high)
        place, low, high = (forward(scale, number, width) for number in numbers)
        return float((place - low) / (high - low))
    if value not in parameter.choices:
        return math.nan
    return parameter.choices.index(value) / max(len(parameter.choices) - 1, 1)
