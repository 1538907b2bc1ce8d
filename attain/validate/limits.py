"""Which limit binds when an objective is not met: the data, the model, the noise, or the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

LEAST_SHARE = 0.2  # of the distance to the target that a remedy must promise to bridge


@dataclass(frozen=True)
class Evidence:
    """What is known of the finalist; improvements are positive and in units of the metric.

    Attributes:
        metric: Of the objective, in words.
        gap: How far the score is from the target; None without a target.
        doubling: What twice the rows would bring: ``estimate``, ``low``, ``high``; None if unknown.
        far: The same of four times the rows.
        rises: Whether the learning curve can be told from a flat one.
        leftover: What a flexible model finds in the finalist's errors, as an improvement of the
            score; None if not tried.
        closes: Share of the distance to the target that as many trials again are expected to close;
            0 when the search did not end for want of budget.
        cut_short: Whether fits were ended by the clock.
    """

    metric: str
    gap: float | None
    doubling: Mapping[str, float] | None
    far: Mapping[str, float] | None
    rises: bool
    leftover: Mapping[str, float] | None
    closes: float
    cut_short: bool


Answer = tuple[float, str] | None


def binding(evidence: Evidence) -> list[dict[str, Any]]:
    """The limits that bind, the one whose remedy promises most first.

    ``model``: a flexible model predicts the finalist's errors on rows that neither has seen, so
    there is something in the features that the finalist misses. ``data``: the learning curve still
    rises. ``time``: the search or its fits were cut off while they still improved. ``noise``: none
    of these, so the features say no more about the target; named alone, and only when the others
    were asked.

    Args:
        evidence: What is known.

    Returns:
        Mappings with ``limit`` (stable), ``words`` (one sentence), ``remedy`` and ``promise`` (the
        improvement that the evidence suggests, or None); empty when nothing could be asked.
    """
    found = []
    for limit, (test, remedy) in LIMITS.items():
        answer = test(evidence)
        if answer is not None:
            promise, words = answer
            found.append({"limit": limit, "words": words, "remedy": remedy, "promise": promise})
    if found:
        return sorted(found, key=lambda f: -f["promise"]) if len(found) > 1 else found
    asked = evidence.leftover is not None and evidence.doubling is not None
    return [_noise(evidence)] if asked else []


def _matters(evidence: Evidence, improvement: float) -> bool:
    return evidence.gap is None or improvement >= LEAST_SHARE * max(evidence.gap, 0.0)


def _data(e: Evidence) -> Answer:
    if e.doubling is None or e.far is None or not e.rises:
        return None
    if not _matters(e, e.far["estimate"]):
        return None
    d = e.doubling
    text = (
        f"twice the rows would improve {e.metric} by about {d['estimate']:.2g} "
        f"({d['low']:.2g} to {d['high']:.2g})"
    )
    if e.gap is not None and e.gap > 0:
        text += f", of the {e.gap:.2g} that are missing"
    return d["estimate"], text


def _model(e: Evidence) -> Answer:
    if e.leftover is None or e.leftover["low"] <= 0 or not _matters(e, e.leftover["estimate"]):
        return None
    left = e.leftover
    text = (
        f"its errors can be predicted from the features: correcting them improves {e.metric} by "
        f"{left['estimate']:.2g} ({left['low']:.2g} to {left['high']:.2g}) on rows that were not "
        "used for it"
    )
    return left["estimate"], text


def _time(e: Evidence) -> Answer:
    if e.closes >= LEAST_SHARE:
        text = (
            "the search was still improving when its budget ran out; as many trials again are "
            f"expected to close {min(e.closes, 1.0):.0%} of the distance to the target"
        )
        return min(e.closes, 1.0) * (e.gap or 0.0), text
    if e.cut_short:
        return 0.0, "fits were ended by the clock before they had finished"
    return None


def _noise(e: Evidence) -> dict[str, Any]:
    words = "neither more rows nor a more flexible model promises much"
    if e.far is not None:
        words += (
            f": even four times the rows would improve {e.metric} by at most {e.far['high']:.2g}"
        )
    return {"limit": "noise", "words": words, "remedy": NOISE_REMEDY, "promise": None}


NOISE_REMEDY = "Collect features that say more about the target, or mend its labels."
Test = Callable[[Evidence], Answer]
LIMITS: Mapping[str, tuple[Test, str]] = MappingProxyType(
    {
        "model": (_model, "Allow more flexible learners, or give the features that it misses."),
        "data": (_data, "Collect more rows of the same kind."),
        "time": (_time, "Give the search, or each fit, more time."),
    }
)
CODES: Sequence[str] = (*LIMITS, "noise")
