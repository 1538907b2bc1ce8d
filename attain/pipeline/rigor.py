"""How much is spent on making sure: what ``rigor`` of the study file means, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from attain.core.space import Space
from attain.core.types import Dataset, Objective, Split
from attain.objectives.metrics import lookup

OUTER, INNER = 3, 3  # folds of nested cross-validation


@dataclass(frozen=True)
class Rigor:
    """One level.

    Attributes:
        repeats: Whether few rows are divided more than once (`validate.resample.REPEATS`).
        finalists: Configurations at most that are confirmed on fresh folds.
        confirmations: How many times as many fresh divisions confirm as the search used.
        nested: Whether the search is repeated in outer folds (`pipeline.nested`).
    """

    repeats: bool
    finalists: int
    confirmations: int
    nested: bool = False

    @property
    def trials(self) -> int:
        """What confirming costs, in trials of the search."""
        return self.finalists * self.confirmations


STANDARD = "standard"
LEVELS: Mapping[str, Rigor] = MappingProxyType(
    {
        "quick": Rigor(repeats=False, finalists=2, confirmations=1),
        STANDARD: Rigor(repeats=True, finalists=3, confirmations=1),
        "max": Rigor(repeats=True, finalists=5, confirmations=3, nested=True),
    }
)


def nested_cost(split: Split) -> float:
    """Compute time of nested cross-validation, in units of the search's.

    Args:
        split: By which the search validates.

    Returns:
        About 1 for five folds drawn once, if fits cost what their rows are and nothing is raced.
    """
    share = 1 - 1 / split.folds if split.folds > 1 else 0.8
    replays = OUTER * (1 - 1 / OUTER) * INNER * (1 - 1 / INNER)
    return replays / (split.jobs * share)


def why_not_nested(objectives: Sequence[Objective], dataset: Dataset, space: Space) -> str:
    """Why the search cannot be repeated in outer folds, or an empty string.

    Args:
        objectives: What good means.
        dataset: What is known of the rows.
        space: What is searched first.

    Returns:
        A clause.
    """
    if not any(lookup(o.metric).needs != "measurement" for o in objectives):
        return "no objective is validated on rows"
    if dataset.pretrained is not None or space.ladders:
        return "to repeat the tuning of a pre-trained model would cost too much"
    return ""
