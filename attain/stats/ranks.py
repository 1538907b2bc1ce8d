"""What a curve that was cut off would have come to: its rank among those that were not."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np

Curve = Sequence[tuple[int, float]]
"""Steps, increasing, and the loss at each."""


class Ranks:
    """A curve that was cut off is expected to keep its rank.

    Where it would stand among the others' losses at its last step, it stands among their last ones.
    So it is never better than the best of them, and as bad as the worst where it was behind all.
    How far this misses the others themselves is the error (decision 0021).

    Args:
        whole: Curves that ran to their end, and the loss that each came to.
    """

    def __init__(self, whole: Iterable[tuple[Curve, float]]) -> None:
        self._whole = [(curve, end) for curve, end in whole if math.isfinite(end)]
        self._known: dict[int, tuple[np.ndarray, np.ndarray, float] | None] = {}

    def __call__(self, curve: Curve) -> tuple[float, float] | None:
        """What a curve would have come to.

        Args:
            curve: Cut off; steps without a finite loss do not count.

        Returns:
            The loss and its standard error; None where no other is known at its last step.
        """
        last = next((point for point in reversed(curve) if math.isfinite(point[1])), None)
        if last is None:
            return None
        step, loss = last
        if step not in self._known:
            self._known[step] = self._at(step)
        found = self._known[step]
        if found is None:
            return None
        then, end, error = found
        expected = np.interp(loss, then, end)  # may lie beyond the ends by the last digit
        return float(min(max(expected, end[0]), end[-1])), error

    def _at(self, step: int) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Losses up to a step and at the end, each sorted, and what ranks get wrong of them."""
        pairs = [(_until(curve, step), end) for curve, end in self._whole]
        known = np.array([pair for pair in pairs if math.isfinite(pair[0])]).reshape(-1, 2)
        if not len(known):
            return None
        ranked = np.sort(known[:, 0]), np.sort(known[:, 1])
        missed = np.interp(known[:, 0], *ranked) - known[:, 1]
        return *ranked, float(np.sqrt(np.mean(missed**2)))


def _until(curve: Curve, step: int) -> float:
    """The newest loss up to a step; NaN for none."""
    place = bisect_right(curve, step, key=lambda point: point[0])
    return curve[place - 1][1] if place else math.nan
