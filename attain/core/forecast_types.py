"""What a fit will cost, and what it will be shown, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attain.core.data_types import Finding


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

    def __str__(self) -> str:
        if not self.usable:
            return f"{self.name}: cannot be used here, {self.reason}"
        trained = f"{_short(self.trainable, 'parameter')} trained"
        took = f"about {_seconds(self.seconds)} a fit, {self.bytes / 1e9:.2g} GB"
        return f"{self.name}: {trained}, {took}"


@dataclass(frozen=True)
class Forecast:
    """What a learner says before it is tuned.

    Attributes:
        rungs: From cheap to dear.
        examples: A few inputs as the model will see them, decoded, with their labels.
        facts: Numbers for people, such as the share of texts that are cut; plain JSON values.
        masks: A few inputs as runs of text, each with whether it is learnt.
        findings: What would go wrong in training; one that blocks ends the run before it costs.
    """

    rungs: tuple[RungForecast, ...]
    examples: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    masks: tuple[tuple[tuple[str, bool], ...], ...] = ()
    findings: tuple[Finding, ...] = ()


def _short(count: int, what: str) -> str:
    """Such as ``22.7 M parameters``."""
    size, unit = next(
        ((s, u) for s, u in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if count >= s), (1.0, "")
    )
    return f"{count / size:.3g}{unit} {what}" + ("" if count == 1 else "s")


def _seconds(value: float) -> str:
    """Such as ``210 s`` or ``0.4 s``; minutes from ten on."""
    if value >= 600:
        return f"{value / 60:.0f} min"
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
