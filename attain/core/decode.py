"""Images and clips as arrays. Pillow and soundfile are loaded when the first one is read."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from attain.core.errors import EnvironmentProblem

MOST_PIXELS = 120_000_000
"""Of one image; larger ones are refused as Pillow would, since small files can unpack to them."""
MOST_SECONDS = 3_600.0
"""Of one clip."""


class Unreadable(ValueError):
    """A content is no image or clip, or not a whole one; says why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        pixels: Red, green and blue, uint8, shape (height, width, 3), turned upright.
        mode: As it was stored, in Pillow's words (``RGB``, ``L``, ``CMYK``, ``I;16`` ...).
    """

    pixels: np.ndarray
    mode: str


@dataclass(frozen=True, eq=False)
class Clip:
    """A decoded clip.

    Attributes:
        wave: Mean of all channels, float32 about [-1, 1], shape (samples,).
        rate: Samples a second.
        channels: As it was stored.
    """

    wave: np.ndarray
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.wave) / self.rate


def read_image(content: bytes) -> Picture:
    """Decode an image.

    Transparent pixels show white, deep grey values are scaled to 8 bits, and the orientation that
    a camera noted is applied.

    Args:
        content: Of a file.

    Returns:
        The first frame.

    Raises:
        Unreadable: When it is no image, damaged or larger than `MOST_PIXELS`.
        EnvironmentProblem: When Pillow is not installed.
    """
    image, ops = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which does not matter here
            with image.open(io.BytesIO(content)) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise Unreadable(f"{opened.width:,} x {opened.height:,} pixels")
                mode = str(opened.mode)
                opened.load()
                return Picture(_rgb(image, ops.exif_transpose(opened)), mode)
    except Unreadable:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything
        if isinstance(error, MemoryError):
            raise
        raise Unreadable(str(error) or type(error).__name__) from error


def _rgb(image: Any, opened: Any) -> np.ndarray:
    if opened.mode.startswith("I") or opened.mode == "F":
        values = np.asarray(opened, dtype=np.float64)
        deep = values.max(initial=0.0) > 255
        grey = np.clip(values / 257 if deep else values, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info:
        over = opened.convert("RGBA")
        white = image.new("RGBA", over.size, (255, 255, 255, 255))
        opened = image.alpha_composite(white, over)
    return np.asarray(opened.convert("RGB"), dtype=np.uint8)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image at another size, antialiased.

    Args:
        pixels: uint8, shape (h, w, 3).
        height: Of the result.
        width: Of the result.

    Returns:
        uint8, shape (height, width, 3).

    Raises:
        EnvironmentProblem: When Pillow is not installed.
    """
    image, _ = _pillow()
    if pixels.shape[:2] == (height, width):
        return pixels
    made = image.fromarray(pixels).resize((width, height), image.Resampling.BILINEAR)
    return np.asarray(made, dtype=np.uint8)


def write_image(pixels: np.ndarray, form: str = "JPEG", quality: int = 85) -> bytes:
    """An image as the content of a file.

    Args:
        pixels: uint8, shape (h, w, 3).
        form: ``JPEG`` or ``PNG``.
        quality: Of JPEG, from 1 to 95.

    Returns:
        The content.

    Raises:
        EnvironmentProblem: When Pillow is not installed.
    """
    image, _ = _pillow()
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, form, quality=quality)
    return buffer.getvalue()


def read_clip(content: bytes) -> Clip:
    """Decode a clip.

    Args:
        content: Of a file: WAV, FLAC, OGG, MP3, AIFF or AU.

    Returns:
        All of it.

    Raises:
        Unreadable: When it is no clip, has no samples, is cut off, or is longer than
            `MOST_SECONDS`.
        EnvironmentProblem: When soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            promised, rate, channels = opened.frames, int(opened.samplerate), int(opened.channels)
            if promised > MOST_SECONDS * rate:
                raise Unreadable(f"{promised / rate:,.0f} seconds")
            values = opened.read(dtype="float32", always_2d=True)
    except Unreadable:
        raise
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error
    if len(values) == 0:
        raise Unreadable("no samples")
    if len(values) < promised or _cut(content):
        raise Unreadable("it ends before its header says")
    wave = values.mean(axis=1, dtype=np.float32)
    if not np.isfinite(wave).all():
        raise Unreadable("samples that are no numbers")
    return Clip(wave, rate, channels)


def write_clip(wave: np.ndarray, rate: int) -> bytes:
    """A clip as the content of a WAV file of 16 bits.

    Args:
        wave: float32 in [-1, 1], shape (samples,); what is louder is clipped.
        rate: Samples a second.

    Returns:
        The content.

    Raises:
        EnvironmentProblem: When soundfile is not installed.
    """
    soundfile = _soundfile()
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1, 1), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _cut(content: bytes) -> bool:
    """Whether a WAV file is shorter than it says; soundfile reads what is there without a word."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            # streams do not know their length and write the largest one, or none
            return 0 < size < 0xFFFFFF00 and at + 8 + size > len(content)
        at += 8 + size + size % 2
    return False


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise EnvironmentProblem("images need Pillow — pip install 'attain[image]'") from error
    return Image, ImageOps


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise EnvironmentProblem("clips need soundfile — pip install 'attain[audio]'") from error
    return soundfile
