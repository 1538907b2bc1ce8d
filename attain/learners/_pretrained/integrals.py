"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) along any path."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

TOLERANCE = 0.05
"""Share of the difference of the outputs by which the sum may miss it (section 5 of the paper); of
1 if that is smaller: 0.05 log odds are at most 1.3 % of probability; values have spread 1."""
STEPS = (16, 32, 64, 128)
"""Intervals of the path, doubled until the sum holds. Of MiniLM's sentences 16 are mostly enough,
where the plain sum of the paper takes 20 to 300."""
_POSITIONS = 2048
"""In one pass."""

Score = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""Embeddings, each of shape (m, positions, width), to m numbers."""


@dataclass(frozen=True, eq=False)
class Integral:
    """What a path brought.

    Attributes:
        values: For each embedding the attribution of its positions, shape (positions,), float64.
        output: At its end.
        baseline: At its start.
        steps: Intervals of the path at last.
    """

    values: tuple[np.ndarray, ...]
    output: float
    baseline: float
    steps: int

    def misses(self) -> float:
        """How far the sum of the attributions is from the difference of the outputs."""
        return abs(self.output - self.baseline - sum(float(v.sum()) for v in self.values))


def path_integral(
    score: Score,
    ends: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    tolerance: Callable[[float], float],
) -> Integral:
    """Equation 1 of the paper, by Clenshaw and Curtis's rule, with ever more points.

    Its points are kept when their number doubles, and it is about as exact as Gauss's rule, which
    has to start anew (Trefethen 2008, SIAM Review 50:67).

    Args:
        score: The function; it may look at each row alone only.
        ends: Where the path ends, each of shape (positions, width).
        starts: Where it starts, of the same shapes.
        tolerance: From the difference of the outputs to what the sum may miss of it.

    Returns:
        The first one that holds, or the one with the most points.
    """
    with torch.no_grad():
        both = score([torch.stack([a, b]) for a, b in zip(starts, ends, strict=True)])
    baseline, output = both.double().tolist()
    if all(torch.equal(a, b) for a, b in zip(starts, ends, strict=True)):
        return Integral(tuple(np.zeros(len(e)) for e in ends), output, baseline, 0)
    cuts = np.cumsum([len(end) for end in ends])[:-1]
    slopes = _slopes(score, ends, starts, points(STEPS[0]))
    for steps in STEPS:
        if steps > STEPS[0]:
            finer = np.empty((steps + 1, slopes.shape[1]))
            finer[::2] = slopes
            finer[1::2] = _slopes(score, ends, starts, points(steps)[1::2])
            slopes = finer
        values = np.split(weights(steps) @ slopes, cuts)
        found = Integral(tuple(values), output, baseline, steps)
        if found.misses() <= tolerance(output - baseline):
            break
    return found


def points(steps: int) -> np.ndarray:
    """Where Clenshaw and Curtis's rule looks, shape (steps + 1,), from 0 to 1."""
    return (1 - np.cos(np.pi * np.arange(steps + 1) / steps)) / 2


def weights(steps: int) -> np.ndarray:
    """What it weighs these points with.

    Args:
        steps: Even.

    Returns:
        Shape (steps + 1,), sums to 1; exact for polynomials of that degree.
    """
    angles = np.pi * np.arange(steps + 1) / steps
    j = np.arange(1, steps // 2 + 1)
    twice = np.where(2 * j == steps, 1.0, 2.0) / (4 * j * j - 1)
    found = (1 - np.cos(2 * np.outer(angles, j)) @ twice) / steps
    found[[0, -1]] /= 2
    return found


def _slopes(
    score: Score, ends: Sequence[torch.Tensor], starts: Sequence[torch.Tensor], at: np.ndarray
) -> np.ndarray:
    """How fast the score rises through each position, along the path; shape (points, positions)."""
    ways = [end - start for end, start in zip(ends, starts, strict=True)]
    size = max(_POSITIONS // sum(len(way) for way in ways), 1)
    found = []
    for part in torch.from_numpy(at).split(size):
        places = [
            (start + part.to(way)[:, None, None] * way).requires_grad_()
            for start, way in zip(starts, ways, strict=True)
        ]
        gradients = torch.autograd.grad(score(places).sum(), places)
        each = [(g * way).double().sum(2) for g, way in zip(gradients, ways, strict=True)]
        found.append(torch.hstack(each).cpu().numpy())
    return np.concatenate(found)


@contextlib.contextmanager
def fixed(net: Any) -> Iterator[None]:
    """Take no gradients of weights meanwhile; they are a third of the work."""
    free = [p for p in net.parameters() if p.requires_grad]
    for parameter in free:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_(True)
