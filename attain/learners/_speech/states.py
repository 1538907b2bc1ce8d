"""What a frozen network makes of clips: one row of numbers a frame, kept as long as there is room.

Ten seconds are about 500 frames of 768 numbers, 1.5 MB. So states of up to `MOST_STATES` bytes are
kept, in memory and in the study's cache, where all fits share them; of clips beyond that nothing is
kept, and they are heard anew whenever a batch has them. Facts of a fit say how many these are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from attain.learners._cache import Ragged, RaggedStore, ragged
from attain.learners._speech.lesson import Taught
from attain.learners._speech.network import SpeechBody

MOST_STATES = 1 << 30
"""Bytes of states that are kept, of all rows of a fit."""
_CODE = 1
"""Raised when the same clips would get other states."""
_PART = 16
"""Clips whose states are kept at once: what a fit that is ended had heard is not heard again."""


class States:
    """States of the rows that can be learnt.

    Args:
        body: Frozen, as it was loaded.
        taught: The rows.
        cache: `FitData.cache`.
        most: Bytes that are kept.

    Attributes:
        kept: Rows whose states are kept; they are the first ones.
        bytes: What these take.
    """

    def __init__(
        self, body: SpeechBody, taught: Taught, cache: Path | None, most: int = MOST_STATES
    ) -> None:
        self._body, self._taught = body, taught
        sizes = 4 * body.hidden * np.cumsum(taught.frames[taught.rows])
        self.kept = int((sizes <= most).sum())
        self.bytes = int(sizes[self.kept - 1]) if self.kept else 0
        about = {"model": body.digest, "device": body.net.device.type, "code": _CODE}
        store = RaggedStore(cache, "states", {**about, "hidden": body.hidden})

        def compute(index: np.ndarray) -> Ragged:
            return ragged(self._compute(int(i)).view(np.int32).ravel() for i in index)

        keys = taught.waves.keys()[taught.rows[: self.kept]]
        self._held = store.get(keys, compute, batch=_PART)

    def __len__(self) -> int:
        return len(self._taught)

    def __getitem__(self, place: int) -> np.ndarray:
        """States of a row, float32, shape (frames, hidden)."""
        if place >= self.kept:
            return self._compute(place)
        return self._held.row(place).view(np.float32).reshape(-1, self._body.hidden)

    def _compute(self, place: int) -> np.ndarray:
        wave = self._taught.waves[int(self._taught.rows[place])]
        return heard_states(self._body, wave)


def heard_states(body: SpeechBody, wave: np.ndarray) -> np.ndarray:
    """What a network makes of one clip, before its head.

    Args:
        body: It is evaluated, whatever its mode.
        wave: Samples, at least one.

    Returns:
        float32, shape (frames, hidden).
    """
    net, training = body.net, body.net.training
    net.eval()
    taken = torch.from_numpy(body.hearing.prepared(wave))[None].to(net.device)
    with torch.inference_mode():
        found = net.base_model(taken).last_hidden_state[0].float().cpu().numpy()
    net.train(training)
    return np.ascontiguousarray(found)
