"""What the steps since the last report showed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attain.learners._torch.step import Taken

_SKIPS = 40
"""Steps in a row without an update that cannot be a matter of the loss scale: from 2**16 it would
have fallen below 2**-24, the smallest number of fp16."""


@dataclass
class Meter:
    """Sums between two reports, and counts over the whole fit.

    Attributes:
        clip: Norm above which a gradient is clipped.
        scaled: Whether fp16 skips steps whose gradient is not finite.
        counts: ``steps``, ``clipped``, ``skipped``, ``units`` and ``seconds`` of the whole fit, and
            ``row``: steps skipped in a row up to now.
        pending: Loss, units and norm of each step since the last report.
    """

    clip: float
    scaled: bool = False
    counts: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("steps", "clipped", "skipped", "row", "units", "seconds"), 0
        )
    )
    pending: list[tuple[float, float, float]] = field(default_factory=list)
    _waiting: list[Taken] = field(default_factory=list)
    _since: float = field(default_factory=lambda: time.monotonic())

    def add(self, taken: Taken) -> None:
        """Note a step.

        Args:
            taken: What it showed; its tensors are not looked at before `settle`.
        """
        self._waiting.append(taken)

    def settle(self) -> bool:
        """Look at the steps noted; waits for the device.

        Returns:
            Whether losses and gradients are finite, as far as that matters.
        """
        sound = True
        for taken in self._waiting:
            loss, norm = float(taken.loss), float(taken.norm)
            sound &= self._count(loss, norm)
            self.pending.append((loss, taken.units, norm))
        self._waiting.clear()
        return sound

    def read(self, rate: float, sound: bool) -> dict[str, float]:
        """What to report; starts anew.

        Args:
            rate: Learning rate of the last step.
            sound: Whether all was finite; if not, the training loss is NaN.

        Returns:
            ``train``, ``grad_norm``, ``lr`` and ``units_per_s``.
        """
        now = time.monotonic()
        units = sum(u for _, u, _ in self.pending)
        norms = [n for _, _, n in self.pending if math.isfinite(n)]
        loss = sum(value for value, _, _ in self.pending) / units
        seconds = max(now - self._since, 1e-9)
        self.counts["seconds"] += seconds
        self.counts["units"] += units
        self.pending, self._since = [], now
        if not sound:
            return {"train": math.nan}
        mean = sum(norms) / len(norms) if norms else 0.0
        return {"train": loss, "grad_norm": mean, "lr": rate, "units_per_s": units / seconds}

    def rest(self) -> None:
        """Leave out the time since the last report, such as that of an evaluation."""
        self._since = time.monotonic()

    def facts(self) -> dict[str, float]:
        """Share of clipped steps, number of skipped ones, throughput of the whole fit."""
        counts = self.counts
        return {
            "clipped": counts["clipped"] / max(1, counts["steps"]),
            "skipped": counts["skipped"],
            "units_per_s": counts["units"] / max(counts["seconds"], 1e-9),
        }

    def state(self) -> dict[str, Any]:
        """Plain JSON values that `restore` takes; call `settle` first."""
        return {"counts": dict(self.counts), "pending": [list(p) for p in self.pending]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Args:
            state: From `state`.
        """
        self.counts = dict(state["counts"])
        self.pending = [(float(a), float(b), float(c)) for a, b, c in state["pending"]]

    def _count(self, loss: float, norm: float) -> bool:
        counts, finite = self.counts, math.isfinite(norm)
        skipped = self.scaled and not finite
        counts["steps"] += 1
        counts["clipped"] += finite and norm > self.clip
        counts["skipped"] += skipped
        counts["row"] = counts["row"] + 1 if skipped else 0
        return math.isfinite(loss) and (finite or self.scaled) and counts["row"] < _SKIPS
