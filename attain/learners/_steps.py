"""Learning in steps: when to stop, and what to say meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Patience:
    """Remembers the best step and says when waiting for a better one is over.

    Attributes:
        steps: Steps without improvement to wait for.
        best: Smallest loss so far.
        at: Its step, from 1; 0 before the first.
        now: The last step seen.
    """

    steps: int
    best: float = math.inf
    at: int = 0
    now: int = 0

    def improved(self, step: int, loss: float) -> bool:
        """Note a loss.

        Args:
            step: From 1.
            loss: Smaller is better; NaN never improves.

        Returns:
            Whether it is the best so far.
        """
        self.now = step
        if not loss < self.best:
            return False
        self.best, self.at = loss, step
        return True

    @property
    def over(self) -> bool:
        """Whether the best step is more than `steps` back."""
        return self.now - self.at >= self.steps


def fixed_rounds(hints: Mapping[str, Any], most: int) -> int | None:
    """Length of training that earlier fits found.

    Args:
        hints: May hold ``rounds``, also a fractional mean over folds.
        most: Upper limit.

    Returns:
        At least 1, or None without a hint.
    """
    rounds = hints.get("rounds")
    return None if rounds is None else int(min(most, max(1, round(float(rounds)))))
