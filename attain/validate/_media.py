"""What happens to images and clips on their way: blur, noise, light, compression; noise, loudness.

Each is about severity 3 of 5 of Hendrycks & Dietterich 2019 (arXiv:1903.12261, appendix B), scaled
to the size of the image where theirs counts pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from attain.core.decode import (
    Unreadable,
    read_clip,
    read_image,
    resize,
    write_clip,
    write_image,
)
from attain.core.media import inline, parse

Picture = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Wave = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
NOISE, LIGHT, BLUR, QUALITY = 0.12, 0.3, 4, 15
"""Spread of noise and rise of light as shares of the range; blur: pixels melted into one, of 224;
quality of JPEG."""
HISS, QUIET, BAND = 0.1, 20.0, 4_000
"""Noise relative to the clip (20 dB below it); dB of loudness; samples a second of a bad line."""


def of_images(change: Picture) -> Callable[[pd.Series, np.random.Generator], pd.Series]:
    """A change of pixels as a change of a column; what cannot be read stays as it is."""

    def changed(cell: str, random: np.random.Generator) -> str:
        found = parse(cell)
        if found is None:
            return cell
        try:
            pixels = read_image(found.content()).pixels
        except Unreadable:
            return cell
        return str(inline("image", write_image(change(pixels, random), "PNG")))

    return _column(changed)


def of_clips(change: Wave) -> Callable[[pd.Series, np.random.Generator], pd.Series]:
    """A change of samples as a change of a column; what cannot be read stays as it is."""

    def changed(cell: str, random: np.random.Generator) -> str:
        found = parse(cell)
        if found is None:
            return cell
        try:
            clip = read_clip(found.content())
        except Unreadable:
            return cell
        return str(inline("audio", write_clip(change(clip.wave, clip.rate, random), clip.rate)))

    return _column(changed)


def _column(
    change: Callable[[str, np.random.Generator], str],
) -> Callable[[pd.Series, np.random.Generator], pd.Series]:
    def changed(values: pd.Series, random: np.random.Generator) -> pd.Series:
        return values.map(lambda cell: change(cell, random), na_action="ignore").astype(
            values.dtype
        )

    return changed


def blurred(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Scaled down and up again."""
    height, width = pixels.shape[:2]
    factor = max(BLUR * min(height, width) / 224, 2.0)
    small = resize(pixels, max(round(height / factor), 1), max(round(width / factor), 1))
    return resize(small, height, width)


def grained(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise on each colour."""
    noise = random.normal(0, 255 * NOISE, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def lit(share: float) -> Picture:
    """Brighter, or darker where `share` is negative."""
    return lambda pixels, _: np.clip(pixels + 255.0 * share, 0, 255).astype(np.uint8)


def pressed(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Strongly compressed."""
    return read_image(write_image(pixels, "JPEG", QUALITY)).pixels


def hissing(wave: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """White noise 20 dB below the clip."""
    loud = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    return np.asarray(wave + random.normal(0, HISS * loud, len(wave)), dtype=np.float32)


def quieter(wave: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """A tenth of the amplitude."""
    return np.asarray(wave * 10 ** (-QUIET / 20), dtype=np.float32)


def narrowed(wave: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """Through a line of 4,000 samples a second: nothing above 2 kHz is left."""
    from scipy.signal import resample_poly

    if rate <= BAND or len(wave) < 2:
        return wave
    through = resample_poly(resample_poly(wave, BAND, rate), rate, BAND)
    return np.asarray(through[: len(wave)], dtype=np.float32)
