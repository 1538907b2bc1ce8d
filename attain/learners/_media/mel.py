"""Power of sound in mel bands, in NumPy; the same numbers as librosa's with its defaults."""

from __future__ import annotations

from functools import cache

import numpy as np

_LINEAR, _STEP, _KNEE = 200 / 3, np.log(6.4) / 27, 1000.0
"""Slaney's scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""


def to_mel(hertz: np.ndarray) -> np.ndarray:
    """Frequency on Slaney's mel scale."""
    high = _KNEE / _LINEAR + np.log(np.maximum(hertz, 1e-9) / _KNEE) / _STEP
    return np.where(hertz < _KNEE, hertz / _LINEAR, high)


def to_hertz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `to_mel`."""
    knee = _KNEE / _LINEAR
    return np.where(mel < knee, mel * _LINEAR, _KNEE * np.exp(_STEP * (mel - knee)))


@cache
def filters(rate: int, window: int, bands: int) -> np.ndarray:
    """Triangles on the mel scale, each of area 1 in hertz.

    Args:
        rate: Samples a second.
        window: Samples of a window.
        bands: How many, from 0 to half of the rate.

    Returns:
        Shape (bands, window // 2 + 1), float32.
    """
    at = np.fft.rfftfreq(window, 1 / rate)
    edges = to_hertz(np.linspace(0, to_mel(np.array(rate / 2)), bands + 2))
    rise = (at[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - at[None]) / np.diff(edges)[1:, None]
    shapes = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return shapes.astype(np.float32)


def mel_power(waves: np.ndarray, rate: int, window: int, hop: int, bands: int) -> np.ndarray:
    """Power in mel bands.

    Args:
        waves: Samples, float32, shape (n, samples).
        rate: Samples a second.
        window: Samples of a (Hann) window; frames are centred, with silence at both ends.
        hop: Samples between frames.
        bands: Of the mel scale.

    Returns:
        Shape (n, 1 + samples // hop, bands), float32.
    """
    half = window // 2
    padded = np.pad(waves, ((0, 0), (half, half)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]
    shape = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    spectrum = np.fft.rfft(frames * shape, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power @ filters(rate, window, bands).T
