"""What a fit will cost, and what it will be shown, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RungForecast:
    """One way to use a pre-trained model, from cheap to dear.

    Attributes:
        name: Value of the learner's parameter ``rung``.
        trainable: Number of parameters that are trained.
        seconds: Wall time of one fit on all training rows at the default configuration, with the
            threads a fit is given; measured by a probe where that is affordable.
        bytes: Peak memory of that fit, for everything the worker holds.
        reason: How it was found, or why the rung cannot be used here, in one clause.
        usable: Whether it can be used at all.
    """

    name: str
    trainable: int
    seconds: float
    bytes: int
    reason: str = ""
    usable: bool = True


@dataclass(frozen=True)
class Forecast:
    """What a learner says before it is tuned.

    Attributes:
        rungs: From cheap to dear.
        examples: A few inputs as the model will see them, decoded, with their labels.
        facts: Numbers for people, such as the share of texts that are cut; plain JSON values.
    """

    rungs: tuple[RungForecast, ...]
    examples: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
