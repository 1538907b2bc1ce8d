"""What parts of texts contributed, before they are words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Spans = Sequence[tuple[int, int, int, float]]
"""Text (position among those of a row), start, end and value of each part."""


@dataclass(frozen=True)
class Parts:
    """What parts of the texts of one row contributed.

    Attributes:
        spans: The parts; those without characters are told apart from words as ``rest``.
        output: See `Attribution`.
        baseline: Likewise.
        tolerance: Likewise.
        steps: Likewise.
    """

    spans: Spans
    output: float
    baseline: float
    tolerance: float
    steps: int = 0
