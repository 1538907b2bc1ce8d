"""How much is spent on making sure: what ``rigor`` of the study file means, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Rigor:
    """One level.

    Attributes:
        repeats: Whether few rows are divided more than once (`validate.resample.REPEATS`).
        finalists: Configurations at most that are confirmed on fresh folds.
        confirmations: How many times as many fresh divisions confirm as the search used.
    """

    repeats: bool
    finalists: int
    confirmations: int

    @property
    def trials(self) -> int:
        """What confirming costs, in trials of the search."""
        return self.finalists * self.confirmations


STANDARD = "standard"
LEVELS: Mapping[str, Rigor] = MappingProxyType(
    {
        "quick": Rigor(repeats=False, finalists=2, confirmations=1),
        STANDARD: Rigor(repeats=True, finalists=3, confirmations=1),
        "max": Rigor(repeats=True, finalists=5, confirmations=3),
    }
)
