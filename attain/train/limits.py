"""Rules that end a fit early: losses that are no numbers, losses that explode, the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

EXPLODES = 10.0
"""A loss this many times the first one above the best one has exploded."""
PATIENCE = 3
"""Looks in a row that must show it; one bad batch is forgiven."""


@dataclass
class Divergence:
    """Watches a training loss.

    The loss has diverged when it lies, three looks in a row, above ``best + 10 * |first|``: worse
    than the untrained model by an order of magnitude. Measured from the first loss and not as a
    multiple of the best, because a good fit's best is near 0 and any noise a multiple of it. The
    shape of the rule (a threshold tied to the starting loss, a patience of three) is Axolotl's
    ``loss_watchdog``; it recommends 2 to 5 for language models, whose loss starts near its
    ceiling. Squared errors move further, hence 10.

    Only the training loss is watched: a rising loss on other rows is overfitting, not divergence.

    Attributes:
        first: First finite loss.
        best: Smallest loss so far.
        above: Looks in a row above the threshold.
    """

    first: float = math.nan
    best: float = math.inf
    above: int = field(default=0)

    def problem(self, step: int, values: Mapping[str, float]) -> str:
        """What is wrong with these losses.

        Args:
            step: For the message.
            values: Named losses; the one called ``train`` is watched for explosion.

        Returns:
            A sentence, or an empty string.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                return f"the {name} loss is {value} at step {step}"
        loss = values.get("train")
        if loss is None:
            return ""
        if math.isnan(self.first):
            self.first = loss
        self.best = min(self.best, loss)
        threshold = self.best + EXPLODES * abs(self.first)
        self.above = self.above + 1 if loss > threshold else 0
        if self.above < PATIENCE:
            return ""
        return (
            f"the train loss rose to {loss:.4g} at step {step}, after a best of {self.best:.4g}"
            f" and a first of {self.first:.4g}"
        )
