"""Which tokens are learnt, shown before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from attain.cli.output import paint
from attain.core.dialogue import Shape
from attain.core.types import Forecast

_LONGEST = {True: 600, False: 240}
"""Characters of a run that are shown, if it is learnt and if it is not."""


def masks(forecast: Forecast) -> list[str]:
    """Lines with examples as the model reads them; what is learnt is green, between « and ».

    Args:
        forecast: May hold examples with their masks.

    Returns:
        None where there are none.
    """
    if not forecast.masks:
        return []
    head = "  what is learnt: green, between « and »; line ends are shown as ↵"
    if forecast.rungs and forecast.facts.get("shape") == str(Shape.PREFERENCE):
        head += "; the last is the answer rejected for that of the first, to become less likely"
    lines = [paint(head, "head")]
    for number, runs in enumerate(forecast.masks, 1):
        said = "".join(_run(text, learnt) for text, learnt in runs)
        lines.append(f"    {number}  {said}")
    return lines


def _run(text: str, learnt: bool) -> str:
    shown = _short(text.replace("\n", "↵"), _LONGEST[learnt])
    return paint(f"«{shown}»", "good") if learnt else paint(shown, "dim")


def _short(text: str, most: int) -> str:
    """The beginning and the end of what is too long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-half:]}"


def all_masks(forecasts: Sequence[Forecast]) -> list[str]:
    """The lines of several learners, one after the other."""
    return [line for forecast in forecasts for line in masks(forecast)]
