"""What the places of a file said, before it is told to others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Part:
    """What places of a file said.

    Attributes:
        cells: A grid over its picture, shape (down, across).
        output: Of the head.
        baseline: Of the head for a file that says nothing.
        rest: Outside of the picture.
        tolerance: By which the sum may miss.
        steps: Of the path; 0 where the sum is exact.
    """

    cells: np.ndarray
    output: float
    baseline: float
    rest: float = 0.0
    tolerance: float = 0.0
    steps: int = 0
