"""What an audit sees of images and clips: each is decoded once for all checks, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from attain.core.decode import Unreadable, read_clip, read_image, resize
from attain.core.errors import DataError
from attain.core.media import IMAGE, Reference, parse

PRINT_BITS = 64
CLOSE = 8
"""Bits of a hash in which near-copies differ at most."""
_THUMB, _BANDS, _PARTS = 12, 24, 6
_ALIKE = 0.95
"""Correlation of small pictures below which equal hashes are chance."""
_SIDE, _FINE, _SAME = 24, 1.5, 0.9
"""Of what is left of a grey picture of so many pixels when a blur of so many is taken away: the
correlation below which two pictures are alike but no copies. Of 1,500 of Fashion-MNIST 720 pairs
pass without it, 13 with it; copies as JPEG of quality 30, brighter, twice as large or with noise
have 0.96 or more, copies of photographs cropped by 2 % 0.91 or more."""
_LENGTHS = np.log(1.15)
"""Of the ratio of two clips' lengths, beyond which they are no copies: a tenth may be cut off. Two
digits of one speaker, 1.26 and 0.92 s long, correlate by 0.953; copies with noise by 0.985."""
_BLOCK = 1024
SILENT = 1e-3
"""Root mean square of a full-scale sine times 1.4e-3, or -60 dB: below it nothing is heard."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen of one file.

    Attributes:
        fault: Why it cannot be read; empty if it can.
        kind: Mode of an image; sample rate and channels of a clip (``8000 Hz, 1 channel``).
        size: Shorter side in pixels, or length in seconds.
        level: Spread of the grey values in [0, 1], or root mean square of the samples.
        mark: Perceptual hash, booleans, shape (64,).
        numbers: A small picture of it for a quick model, float32.
        detail: Fine structure of an image, of length 1, float16, shape (576,); None of a clip.
    """

    fault: str
    kind: str
    size: float
    level: float
    mark: np.ndarray
    numbers: np.ndarray
    detail: np.ndarray | None = None


def looks(cells: Iterable[object]) -> list[Look | None]:
    """A look at each file; None for missing cells.

    Args:
        cells: References (`core.media`).

    Returns:
        In the same order.
    """
    found: list[Look | None] = []
    for cell in cells:
        reference = parse(cell)
        found.append(None if reference is None else _look(reference))
    return found


@lru_cache(maxsize=100_000)
def _look(reference: Reference) -> Look:
    try:
        content = reference.content()
        return _at_image(content) if reference.kind == IMAGE else _at_clip(content)
    except (Unreadable, DataError) as error:
        width = _THUMB * _THUMB * 3 + 3 if reference.kind == IMAGE else _BANDS * (_PARTS + 2)
        nothing = np.zeros(PRINT_BITS, dtype=bool)
        return Look(str(error), "", 0.0, 0.0, nothing, np.zeros(width, np.float32))


def _at_image(content: bytes) -> Look:
    picture = read_image(content)
    pixels = picture.pixels
    small = resize(pixels, _THUMB, _THUMB).astype(np.float32) / 255
    grey = resize(pixels, 32, 32).mean(axis=2)
    spread = small.reshape(-1, 3).std(axis=0)
    numbers = np.concatenate([small.ravel(), spread]).astype(np.float32)
    level = float(grey.std()) / 255
    size, detail = float(min(pixels.shape[:2])), _detail(pixels)
    return Look("", picture.mode, size, level, _hash(grey), numbers, detail)


def _detail(pixels: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    grey = resize(pixels, _SIDE, _SIDE).mean(axis=2, dtype=np.float64)
    fine = grey - gaussian_filter(grey, _FINE)
    fine -= fine.mean()
    return np.asarray(fine / max(float(np.linalg.norm(fine)), 1e-9), dtype=np.float16).ravel()


def _at_clip(content: bytes) -> Look:
    clip = read_clip(content)
    bands = coarse_bands(clip.wave, clip.rate)
    parts = np.stack([p.mean(axis=0) for p in np.array_split(bands, _PARTS)])
    numbers = np.concatenate([parts.ravel(), bands.mean(axis=0), bands.std(axis=0)])
    kind = f"{clip.rate} Hz, {clip.channels} channel{'s' if clip.channels > 1 else ''}"
    level = float(np.sqrt(np.mean(np.square(clip.wave, dtype=np.float64))))
    picture = np.stack([p.mean(axis=0) for p in np.array_split(bands, 32)])
    return Look("", kind, clip.seconds, level, _hash(picture), numbers.astype(np.float32))


def coarse_bands(wave: np.ndarray, rate: int) -> np.ndarray:
    """Energy of a clip over time and pitch, whatever its rate and loudness.

    Args:
        wave: Samples, shape (n,), n >= 1.
        rate: Samples a second.

    Returns:
        Logarithms in 24 bands from 80 to 3,800 Hz equally wide on the mel scale, about the mean of
        the clip, float64, shape (frames, 24) with at least 32 frames of 32 ms or less.
    """
    window = max(int(0.032 * rate), 16)
    hop = max(min(window // 2, (len(wave) - window) // 31), 1)
    padded = np.pad(wave, (0, max(window + 31 * hop - len(wave), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    pitch = 2595 * np.log10(1 + np.fft.rfftfreq(window, 1 / rate) / 700)  # O'Shaughnessy 1987
    low, high = 2595 * np.log10(1 + np.array([80, 3800]) / 700)
    band = np.floor((pitch - low) / (high - low) * _BANDS).astype(np.int64)
    inside = (band >= 0) & (band < _BANDS)
    summed = np.zeros((len(frames), _BANDS))
    np.add.at(summed.T, band[inside], power.T[inside])
    loud = np.log(summed + 1e-2 * max(float(summed.mean()), 1e-12))
    return np.asarray(loud - loud.mean())


def _hash(picture: np.ndarray) -> np.ndarray:
    """The 8 by 8 lowest waves of a picture, each above or below their median.

    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section
    3.2.1; the constant part is left out.
    """
    from scipy.fft import dctn

    waves = dctn(picture, norm="ortho")[:9, :9].ravel()[1 : PRINT_BITS + 1]
    return np.asarray(waves > np.median(waves))


def close_pairs(found: Sequence[Look | None], most: int) -> np.ndarray:
    """Pairs whose hashes differ in few bits, whose small pictures and fine structure correlate.

    Clips must be of like lengths, too.

    Args:
        found: From `looks`; unreadable, flat and silent ones have no pairs.
        most: Bits that may differ.

    Returns:
        Positions, int64, shape (pairs, 2), the first smaller than the second.
    """
    known = np.array(
        [i for i, at in enumerate(found) if at is not None and not at.fault and at.level > SILENT],
        dtype=np.int64,
    )
    if len(known) < 2:
        return np.empty((0, 2), dtype=np.int64)
    sure = [at for at in found if at is not None and not at.fault and at.level > SILENT]
    marks = np.stack([at.mark for at in sure]).astype(np.float32) * 2 - 1
    numbers = np.stack([at.numbers for at in sure])
    numbers = numbers - numbers.mean(axis=1, keepdims=True)
    numbers /= np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-9)
    lengths = np.array([np.log(at.size) if "Hz" in at.kind else 0.0 for at in sure])
    agree = PRINT_BITS - 2 * most
    pairs = []
    for start in range(0, len(known), _BLOCK):
        part = slice(start, start + _BLOCK)
        near = marks[part] @ marks.T >= agree
        near &= np.abs(lengths[part, None] - lengths) <= _LENGTHS
        for one, other in np.argwhere(near):
            if other <= start + one or numbers[start + one] @ numbers[other] < _ALIKE:
                continue
            if _same_detail(sure[start + one], sure[other]):
                pairs.append((known[start + one], known[other]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _same_detail(one: Look, other: Look) -> bool:
    """Whether two images are the same in what a blur would take away; true of clips."""
    if one.detail is None or other.detail is None:
        return True
    return float(one.detail.astype(np.float64) @ other.detail) >= _SAME
