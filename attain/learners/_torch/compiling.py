"""Whether compiling a network pays, given how long it would still be trained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

_SKIPPED, _TIMED = 10, 50
"""Steps before the clock starts (the first are slower), and when it is read."""
_MARGIN = 2.0
"""How many times its cost compiling must save: gain and cost are guesses for a new network."""


@dataclass(frozen=True)
class Gain:
    """What compiling brings on one kind of device.

    Attributes:
        faster: Time of a step before over time after.
        seconds: That compiling takes, for all shapes that come.
        source: Where both are from.
    """

    faster: float
    seconds: float
    source: str


GAINS = {
    "cuda": Gain(1.2, 120.0, "PyTorch 2.0 announcement: 163 models on an A100, 1.21 at fp32, 1.51"
                 " at mixed precision; minutes for transformers of 12 layers"),
}  # fmt: skip
"""By type of device; compiling does not pay on others. Measured on a CPU with AVX512_BF16, MiniLM,
batch 16, 16 tokens, one thread: 148 ms of CPU time for a compiled step, 138 ms for another, after
five minutes of compiling on a busy machine."""


def pays(device: str, seconds: float) -> bool:
    """Whether compiling saves clearly more than it costs.

    Args:
        device: Type of the device.
        seconds: That the fit would still take without.

    Returns:
        False on devices for which nothing is known.
    """
    gain = GAINS.get(device)
    return gain is not None and seconds * (1 - 1 / gain.faster) > _MARGIN * gain.seconds


class Compiling:
    """Decides once, when there is something to go by.

    Args:
        wanted: As in `Recipe.compile`.
        device: Type of the device.
    """

    def __init__(self, wanted: bool | Literal["auto"], device: str) -> None:
        self._wanted, self._device = wanted, device
        self._open = wanted is True or (wanted == "auto" and device in GAINS)
        self._steps, self._start = 0, 0.0

    def due(self, left: int) -> bool:
        """Asked before each step: whether the network is to be compiled now.

        Args:
            left: Steps that are left.

        Returns:
            True once at most.
        """
        if not self._open:
            return False
        if self._wanted == "auto" and self._steps < _TIMED:
            if self._steps == _SKIPPED:
                self._start = time.monotonic()
            self._steps += 1
            return False
        self._open = False
        each = (time.monotonic() - self._start) / (_TIMED - _SKIPPED)
        return self._wanted is True or pays(self._device, each * left)
