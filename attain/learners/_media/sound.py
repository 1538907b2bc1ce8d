"""Clips: decoded, resampled and brought to one loudness once; spectra are taken of each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.decode import Clip, Unreadable, read_clip, resize
from attain.core.media import Reference
from attain.learners._cache import FloatStore
from attain.learners._media.front import Front, content_of, pooled, reference_keys
from attain.learners._media.mel import mel_power

if TYPE_CHECKING:
    import torch

_CODE = 1
"""Raised when the same clips would become other rows."""
_STEP = 0.25
"""Seconds to which the length of rows is rounded up, so that folds share what is kept."""
_MOST = 30.0
"""Seconds of a clip that are read at most."""
_SHARE = 0.99
_FLOOR = 1e-6
_SUMMED = 24
"""Bands of a summary."""
_MOST_BANDS, _MOST_PARTS = 12, 24
"""Cells of an explanation."""
_SHOWN_BANDS, _SHOWN_WIDTHS = 64, (128, 256)
_RANGE = 60.0
"""dB below the loudest place that are drawn in shades."""


@dataclass(frozen=True)
class SoundFront(Front):
    """How clips are prepared.

    Attributes:
        rate: Samples a second that the body takes.
        seconds: Length of a row; longer clips are cut, shorter ones end in silence.
        window: Samples of a window of the spectrum; 0 for a body that takes the samples.
        hop: Samples between two windows.
        bands: Of the mel scale.
        log: Whether the body takes the logarithm of the power.
        loudness: dB to full scale that all clips are brought to; NaN leaves them as they are.
        detail: Parts of a clip in a summary.
        extractor: Folder of a transformers feature extractor, whose spectra the body takes.
    """

    rate: int = 16_000
    seconds: float = 1.0
    window: int = 400
    hop: int = 160
    bands: int = 40
    log: bool = True
    loudness: float = -30.0
    detail: int = 16
    extractor: str = ""

    @property
    def samples(self) -> int:
        """Of a row."""
        return round(self.rate * self.seconds)

    @property
    def row_bytes(self) -> int:
        """Of a decoded row."""
        return 4 * (self.samples + 1)

    @staticmethod
    def readable(reference: Reference | None) -> bool:
        """Whether a clip can be decoded."""
        return decoded_clip(reference) is not None

    def lasting(self, references: Sequence[Reference | None]) -> SoundFront:
        """The same, long enough for 99 in 100 of some clips.

        Args:
            references: Of training rows.

        Returns:
            At most 30 seconds.
        """
        from dataclasses import replace

        lengths = [clip.seconds for r in references if (clip := decoded_clip(r)) is not None]
        longest = float(np.quantile(lengths or [_STEP], _SHARE, method="higher"))
        steps = int(np.ceil(min(longest, _MOST) / _STEP - 1e-9))
        return replace(self, seconds=max(steps, 1) * _STEP)

    def decoded(self, references: Sequence[Reference | None], cache: Path | None) -> np.ndarray:
        """Samples at one rate and loudness, and behind them how many are sound; float32."""
        about = {"rate": self.rate, "samples": self.samples, "loudness": str(self.loudness)}
        store = FloatStore(cache, "sound", {**about, "code": _CODE}, self.samples + 1)

        def compute(index: np.ndarray) -> np.ndarray:
            return np.stack([self._row(references[i]) for i in index])

        return store.get(reference_keys(references), compute)

    def _row(self, reference: Reference | None) -> np.ndarray:
        row = np.zeros(self.samples + 1, dtype=np.float32)
        clip = decoded_clip(reference)
        if clip is None:
            row[-1] = min(self.samples, max(self.window, self.rate // 10))
            return row
        wave = resampled(clip.wave, clip.rate, self.rate)[: self.samples]
        row[: len(wave)] = louder(wave, self.loudness)
        row[-1] = len(wave)
        return row

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Samples or spectra, and how many of their positions are sound."""
        import torch

        waves, lengths = rows[:, :-1], rows[:, -1].astype(np.int64)
        if self.extractor:
            made = _extractor(self.extractor)(list(waves), sampling_rate=self.rate)
            values = np.asarray(next(iter(made.values())), dtype=np.float32)
            return {"inputs": torch.from_numpy(values), "lengths": torch.from_numpy(lengths)}
        if not self.window:
            loud = waves - waves.mean(axis=1, keepdims=True)
            loud = loud / np.sqrt(loud.var(axis=1, keepdims=True) + 1e-7)
            return {"inputs": torch.from_numpy(loud), "lengths": torch.from_numpy(lengths)}
        spectra = mel_power(waves, self.rate, self.window, self.hop, self.bands)
        if self.log:
            spectra = np.log(spectra + _FLOOR)
        frames = np.minimum(1 + lengths // self.hop, spectra.shape[1])
        return {"inputs": torch.from_numpy(spectra), "lengths": torch.from_numpy(frames)}

    def augmented(
        self, rows: np.ndarray, config: Mapping[str, Any], random: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """Speed, loudness, place and noise of the samples, then masks over the spectrum."""
        changed = np.stack([self._changed(row, config, random) for row in rows])
        made = self.inputs(changed)
        if made["inputs"].ndim == 3:
            _mask(made, config, random)
        return made

    def _changed(
        self, row: np.ndarray, config: Mapping[str, Any], random: np.random.Generator
    ) -> np.ndarray:
        length = max(int(row[-1]), 1)
        wave = row[:length]
        if spread := float(config["speed"]):
            wave = faster(wave, spread, random)
        wave = wave[: self.samples]
        if decibels := float(config["gain"]):
            wave = wave * np.float32(10 ** (random.uniform(-decibels, decibels) / 20))
        changed = np.zeros_like(row)
        start = 0
        if share := float(config["shift"]):
            start = int(random.integers(0, int(share * self.samples) + 1))
            start = min(start, max(self.samples - len(wave), 0))
        changed[start : start + len(wave)] = wave
        changed[-1] = min(start + len(wave), self.samples)
        if level := float(config["noise"]):
            changed[:-1] += noise_beside(wave, level, self.samples, random)
        return changed

    def summary(self, rows: np.ndarray) -> np.ndarray:
        """Logarithms of the power in parts of the clip and 24 bands, and how they vary."""
        waves, lengths = rows[:, :-1], rows[:, -1].astype(np.int64)
        found = []
        for wave, length in zip(waves, lengths, strict=True):
            cut = np.pad(wave[:length], (0, max(400 - int(length), 0)))
            loud = np.log(mel_power(cut[None], self.rate, 400, 160, _SUMMED)[0] + _FLOOR)
            loud = np.repeat(loud, -(-self.detail // len(loud)), axis=0)
            parts = np.stack([p.mean(axis=0) for p in np.array_split(loud, self.detail)])
            centred = parts - loud.mean()
            found.append(np.concatenate([centred.ravel(), 5 * loud.std(axis=0)]))
        return np.asarray(found, dtype=np.float32)

    def mapped(self, parts: np.ndarray) -> np.ndarray:
        """Each number over its part of the clip, the variation of a band over all of it."""
        split = self.detail * _SUMMED
        levels = parts[:split].reshape(self.detail, _SUMMED)
        whole = levels + parts[split:] / self.detail
        return pooled(whole.T[::-1], _MOST_BANDS, _MOST_PARTS)

    def picture(self, reference: Reference | None) -> np.ndarray:
        """The spectrum over time: louder is darker, low tones are at the bottom."""
        row = self.decoded([reference], None)
        if self.extractor:
            values, frames = self._spectra(row)
            shown = 10 / np.log(10) * values[0, : frames[0]]
        else:
            wave = row[0, : max(int(row[0, -1]), self.window, 400)]
            bands = self.bands if self.window else _SHOWN_BANDS
            power = mel_power(wave[None], self.rate, self.window or 400, self.hop, bands)[0]
            shown = 10 * np.log10(power + _FLOOR)
        shade = np.clip((shown.max() - shown) / _RANGE, 0, 1)
        shade = np.ones_like(shade) if np.ptp(shade) == 0 else shade  # silence is white
        grey = np.rint(255 * shade.T[::-1]).astype(np.uint8)
        wide = int(np.clip(4 * grey.shape[1], *_SHOWN_WIDTHS))
        return resize(np.repeat(grey[:, :, None], 3, axis=2), _SHOWN_BANDS, wide)

    def _spectra(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values that a body takes, shape (n, frames or samples, ...), and how many are sound."""
        made = self.inputs(rows)
        values = made["inputs"].numpy()
        many = made["lengths"].numpy()
        if self.extractor and values.ndim == 3:  # lengths are samples, frames a hundredth of 1 s
            many = many * 100 // self.rate
        return values, np.clip(many, 1, values.shape[1])

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Silence of the same lengths."""
        found = np.zeros_like(rows)
        found[:, -1] = rows[:, -1]
        return found

    def laid(self, values: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, float]:
        """Times and bands, low ones at the bottom; what was said behind the end is apart."""
        taken, (frames,) = self._spectra(row[None])
        sound = int(np.ceil(len(values) * frames / taken.shape[1]))
        inside = pooled(values[:sound].T[::-1], _MOST_BANDS, _MOST_PARTS)
        return inside, float(values[sound:].sum())


def _mask(
    made: dict[str, torch.Tensor], config: Mapping[str, Any], random: np.random.Generator
) -> None:
    """Up to two stretches of time and two of bands of each row become the row's mean (Park et al.
    2019, arXiv:1904.08779, section 2; the mean stands for silence of any scale)."""
    values = made["inputs"]
    for i, length in enumerate(made["lengths"].tolist()):
        length = min(length, values.shape[1])
        mean = float(values[i, :length].mean())
        for share, axis, size in (
            (float(config["time_mask"]), 0, length),
            (float(config["band_mask"]), 1, values.shape[2]),
        ):
            for _ in range(2 if share else 0):
                width = int(random.integers(0, int(share * size) + 1))
                start = int(random.integers(0, size - width + 1))
                part = slice(start, start + width)
                values[(i, part) if axis == 0 else (i, slice(None), part)] = mean


def faster(wave: np.ndarray, spread: float, random: np.random.Generator) -> np.ndarray:
    """A clip faster or slower by up to a share; Ko et al. 2015 take 0.9, 1 and 1.1 times the speed.

    Args:
        wave: float32, shape (n,).
        spread: Largest share, in [0, 1).
        random: Draws the speed.

    Returns:
        float32, of another length.
    """
    length, factor = len(wave), random.uniform(1 - spread, 1 + spread)
    at = np.arange(0, length - 1, factor) if length > 1 else np.zeros(1)
    return np.interp(at, np.arange(length), wave).astype(np.float32)


def noise_beside(
    wave: np.ndarray, level: float, size: int, random: np.random.Generator
) -> np.ndarray:
    """White noise of up to a share of a clip's own loudness.

    Args:
        wave: The clip.
        level: Largest share.
        size: Samples that are wanted.
        random: Draws the noise, then the share.

    Returns:
        float32, shape (size,).
    """
    loud = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) + 1e-9
    made = random.standard_normal(size, dtype=np.float32)
    return np.asarray(np.float32(random.uniform(0, level) * loud) * made)


def resampled(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples at another rate, by a polyphase filter.

    Args:
        wave: float32, shape (n,).
        rate: Samples a second.
        wanted: Likewise, of the result.

    Returns:
        float32.
    """
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return np.asarray(resample_poly(wave, wanted // common, rate // common), dtype=np.float32)


def louder(wave: np.ndarray, decibels: float) -> np.ndarray:
    """Samples with a root mean square of so many dB to full scale; silence stays silent."""
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    if level < 1e-5 or np.isnan(decibels):
        return wave
    return wave * np.float32(10 ** (decibels / 20) / level)


def decoded_clip(reference: Reference | None) -> Clip | None:
    """The samples of a file; None where there is none, or it cannot be read."""
    try:
        return read_clip(content_of(reference))
    except Unreadable:
        return None


@cache
def _extractor(folder: str) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
