"""How much smaller than the smallest seen a loss may be."""

from __future__ import annotations

from collections.abc import Sequence

MOST_SPACINGS = 5


def lower_endpoint(values: Sequence[float], error: float = 0.05) -> float:
    """A confidence limit for the smallest value that a distribution can give.

    Robson & Whitlock 1964, "Estimation of a truncation point", Biometrika 51, eq. 4: the endpoint
    lies above x(1) - (1 - a) / a (x(2) - x(1)) with confidence 1 - a, exactly where the density is
    flat near it, and more than that where it rises. Not one spacing is used but the widest of the
    mean spacings of the smallest six, so that two lucky equals do not end a search.

    Args:
        values: At least two.
        error: Chance a that the endpoint lies lower, in (0, 1).

    Returns:
        The limit; equal to the smallest value when the smallest are all equal.
    """
    ordered = sorted(values)[: MOST_SPACINGS + 1]
    spacing = max((x - ordered[0]) / k for k, x in enumerate(ordered) if k)
    return float(ordered[0] - (1 - error) / error * spacing)
