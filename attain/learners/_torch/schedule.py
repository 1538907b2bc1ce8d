"""The learning rate over time, as a factor of the largest one."""

from __future__ import annotations

import math

SHAPES = {
    "linear": lambda left: left,
    "cosine": lambda left: 0.5 * (1 - math.cos(math.pi * left)),
    "constant": lambda left: 1.0,
}
"""Factor by the share of steps left after the warm-up, in (0, 1]."""


def warmup_steps(steps: int, share: float) -> int:
    """Steps in which the rate rises.

    Args:
        steps: All steps.
        share: In [0, 1].

    Returns:
        Rounded up, as practitioners' libraries do.
    """
    return math.ceil(steps * share - 1e-9)


def factor(step: int, steps: int, warmup: int, shape: str) -> float:
    """Factor on the learning rate of one step.

    It is the schedule of transformers for ``warmup + 1`` and ``steps + 1`` from its second value
    on: theirs begins with a step at rate 0, which moves nothing.

    Args:
        step: From 0; must be below `steps`.
        steps: All steps.
        warmup: The first of them, in which the rate rises.
        shape: A key of `SHAPES`.

    Returns:
        In (0, 1].
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return float(SHAPES[shape]((steps - step) / max(1, steps - warmup)))
