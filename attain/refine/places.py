"""Where trials lie in the ranges of parameters, and ranges that move with the best of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from attain.core.space import Float, Int
from attain.core.types import Observed
from attain.refine.progress import Progress
from attain.refine.ranges import Number, Side, narrowed, position, widened

OUTER = 0.25  # the outer part of a range, in which a best value asks for room beyond it


def incumbent(progress: Progress) -> Iterator[tuple[Number, float]]:
    """Numeric parameters of the best point, with its values, where these lie in the range.

    Args:
        progress: The study.

    Yields:
        Parameter and value.
    """
    for parameter in progress.space:
        value = progress.best_point.get(parameter.name)
        if isinstance(parameter, Float | Int) and parameter.contains(value):
            assert isinstance(value, int | float)
            yield parameter, value


def places(parameter: Number, trials: Sequence[Observed]) -> np.ndarray:
    """Positions of the trials in which a parameter was active, in the order given.

    Args:
        parameter: A numeric parameter.
        trials: Of the study.

    Returns:
        Shape (m,); 0 and 1 are the ends of the present range, values of wider ranges lie beyond.
    """
    found = [position(parameter, o.config.get(parameter.name)) for o in trials]
    return np.array([place for place in found if not math.isnan(place)], float)


def moved(parameter: Number, value: float, towards: Side) -> Number | None:
    """Half the room before the best value taken away; more room beyond it if it is near the end.

    Args:
        parameter: A numeric parameter.
        value: The best one.
        towards: The end to which the range moves.

    Returns:
        None when nothing would change.
    """
    where = position(parameter, value)
    if towards == "high":
        cut = narrowed(parameter, where / 2, 1.0, value)
        wide = where >= 1 - OUTER
    else:
        cut = narrowed(parameter, 0.0, (1 + where) / 2, value)
        wide = where <= OUTER
    current = cut or parameter
    return (widened(current, towards) if wide else None) or cut
