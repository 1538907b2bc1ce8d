"""How a fit or a trial went on its way, in few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

Curve = tuple[tuple[int, float], ...]

MOST_CURVES = 100  # of earlier ones, for a strategy that judges one under way
_GROWTH = 7 / 6


def shortened(points: Sequence[tuple[int, float]]) -> Curve:
    """The best loss at about forty steps.

    Args:
        points: Steps, increasing, and losses.

    Returns:
        Steps, each a sixth above the one before, and the best losses up to them; then the last.
    """
    kept: list[tuple[int, float]] = []
    best, wanted = math.inf, 0.0
    for number, (step, loss) in enumerate(points, 1):
        best = min(best, loss)
        if step >= wanted or number == len(points):
            kept.append((step, best))
            wanted = step * _GROWTH
    return tuple(kept)
