"""Clips as a network of speech takes them: whole, each of its own length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attain.core.media import Reference, parse
from attain.learners._cache import Ragged, RaggedStore, ragged
from attain.learners._media.front import MOST_HELD, reference_keys
from attain.learners._media.sound import decoded_clip, resampled

_CODE = 1
"""Raised when the same clips would become other samples."""
_PART = 64
"""Clips that are decoded at a time."""


@dataclass(frozen=True)
class Hearing:
    """How a network takes clips.

    Attributes:
        rate: Samples a second.
        normalises: Whether each clip is brought to mean 0 and spread 1.
        masks: Whether it takes a mask of what is padding. Networks whose first convolution
            normalises over the whole clip (group norm) do not, so theirs are never padded.
        least: Samples of the shortest clip that gives a frame.
    """

    rate: int
    normalises: bool
    masks: bool
    least: int

    def wave(self, reference: Reference | None) -> np.ndarray:
        """A clip's samples at the network's rate; none if it cannot be read."""
        clip = decoded_clip(reference)
        if clip is None:
            return np.zeros(0, dtype=np.float32)
        return np.asarray(resampled(clip.wave, clip.rate, self.rate), dtype=np.float32)

    def prepared(self, wave: np.ndarray) -> np.ndarray:
        """What the network takes of samples: normalised, and long enough for a frame."""
        if self.normalises and len(wave):
            spread = np.sqrt(wave.var(dtype=np.float64) + 1e-7)
            wave = ((wave - wave.mean(dtype=np.float64)) / spread).astype(np.float32)
        return np.pad(wave, (0, max(self.least - len(wave), 0)))


class Waves:
    """Clips: in memory as long as they have room there, else decoded when they are asked for.

    Args:
        hearing: How they are taken.
        cells: References, as tables hold them.
        cache: `FitData.cache`; clips are kept there as long as they have room in memory.
        most: Bytes that may stay in memory.

    Attributes:
        hearing: How they are taken.
        lengths: Samples of each clip, 0 for one that cannot be read; int64, shape (n,).
    """

    def __init__(
        self,
        hearing: Hearing,
        cells: Sequence[str],
        cache: Path | None = None,
        most: int = MOST_HELD,
    ) -> None:
        self.hearing = hearing
        self._references = [parse(cell) for cell in cells]
        self._held: list[np.ndarray] = []
        self._cache = cache
        lengths: list[int] = []
        room = most
        for start in range(0, len(cells), _PART):
            part = self._decoded(self._references[start : start + _PART], keep=room > 0)
            lengths += map(len, part)
            room -= sum(wave.nbytes for wave in part)
            if room >= 0:
                self._held += part
        self.lengths = np.array(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, i: int) -> np.ndarray:
        """Samples of a clip, float32."""
        return self._held[i] if i < len(self._held) else self.hearing.wave(self._references[i])

    @property
    def seconds(self) -> np.ndarray:
        """Length of each clip, float64, shape (n,)."""
        return self.lengths / self.hearing.rate

    def keys(self) -> np.ndarray:
        """Hashes of the contents, shape (n, 2)."""
        return reference_keys(self._references)

    def _decoded(self, references: Sequence[Reference | None], keep: bool) -> list[np.ndarray]:
        about = {"rate": self.hearing.rate, "code": _CODE}
        store = RaggedStore(self._cache if keep else None, "waves", about)

        def compute(index: np.ndarray) -> Ragged:
            return ragged(self.hearing.wave(references[i]).view(np.int32) for i in index)

        found = store.get(reference_keys(references), compute)
        return [found.row(i).view(np.float32) for i in range(len(found))]
