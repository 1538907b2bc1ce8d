"""Rows of media as the training loop sees them: changed at random each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from attain.learners._media.front import Front, Held
from attain.learners._pretrained.headed import HeadWork
from attain.learners._pretrained.outputs import Outputs

_EVALUATED = 16
_MIXUP, _CUTMIX = 0.2, 1.0
"""Parameters of the beta distribution: arXiv:1710.09412, section 3; arXiv:1905.04899, section 3."""


@dataclass(frozen=True, eq=False)
class MediaWork(HeadWork):
    """Rows and loss; a `_torch.work.Work`.

    Attributes:
        front: Prepares and changes rows.
        outputs: What scores mean.
        train: Decoded rows to learn from.
        train_targets: Their targets.
        stop: Decoded rows to stop on, or None.
        held_targets: Their targets.
        config: Strengths of the random changes.
        weights: As `HeadWork` has them.
        smoothing: Likewise.
        about: Likewise.
    """

    front: Front
    outputs: Outputs
    train: Held
    train_targets: np.ndarray
    stop: Held | None = None
    held_targets: np.ndarray | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: np.ndarray | None = None
    smoothing: float = 0.0
    about: str = ""

    @property
    def targets(self) -> np.ndarray:
        """Of the training rows."""
        return self.train_targets

    @property
    def stop_targets(self) -> np.ndarray | None:
        """Of the rows to stop on."""
        return self.held_targets

    @property
    def lengths(self) -> np.ndarray:
        """All rows cost the same."""
        return np.ones(len(self.train), dtype=np.int64)

    def keys(self) -> Iterator[np.ndarray]:
        """Hashes of the contents."""
        yield from (part.keys() for part in (self.train, self.stop) if part is not None)

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Rows changed by draws from torch's generator, which the loop seeds for each step."""
        random = np.random.default_rng(int(torch.randint(1 << 62, ())))
        return self.front.augmented(self.train.rows(rows), self.config, random)

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        """Inputs, targets and weights of some training rows, perhaps mixed with each other."""
        made = super().batch(rows)
        kind = self.config.get("mix", "none")
        if kind == "none" or len(rows) < 2:
            return made
        random = np.random.default_rng(int(torch.randint(1 << 62, ())))
        order = torch.from_numpy(random.permutation(len(rows)))
        values = made["inputs"]["inputs"]
        if kind == "mixup":
            share = float(random.beta(_MIXUP, _MIXUP))
            mixed = share * values + (1 - share) * values[order]
        else:
            mixed, share = _pasted(
                values, values[order], float(random.beta(_CUTMIX, _CUTMIX)), random
            )
        made["inputs"]["inputs"] = mixed
        return {**made, "mixed": made["targets"][order], "share": share}

    def stop_batches(self) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Rows as they are."""
        assert self.stop is not None
        for start in range(0, len(self.stop), _EVALUATED):
            index = np.arange(start, min(start + _EVALUATED, len(self.stop)))
            yield index, self.front.inputs(self.stop.rows(index))


def _pasted(
    values: torch.Tensor, others: torch.Tensor, share: float, random: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """A rectangle of other images in the place of their own; the share of the area that is left."""
    height, width = values.shape[2:]
    tall, wide = (round(size * float(np.sqrt(1 - share))) for size in (height, width))
    top = int(random.integers(0, height - tall + 1))
    left = int(random.integers(0, width - wide + 1))
    mixed = values.clone()
    window = (..., slice(top, top + tall), slice(left, left + wide))
    mixed[window] = others[window]
    return mixed, 1 - tall * wide / (height * width)
