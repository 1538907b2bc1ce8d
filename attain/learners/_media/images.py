"""Images: decoded and scaled once; changed at random for each batch that is learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.decode import Unreadable, read_image, resize
from attain.core.media import Reference
from attain.learners._cache import ByteStore
from attain.learners._media.front import Front, content_of, pooled, reference_keys

if TYPE_CHECKING:
    import torch

_CODE = 1
"""Raised when the same images would become other rows."""
_CELLS, _ANGLES = 6, 9
"""Of a summary: histograms of gradients (Dalal & Triggs 2005, CVPR)."""
_SHOWN = 176
"""Pixels of the longer side of a picture for people."""
_FINE, _COARSE = 48, 12
"""Cells that all parts of a summary fit into, and those of an explanation."""
_MOST_CELLS = 16
_RATIO = np.log(4 / 3)
"""Of width and height of a crop, at most (Szegedy et al. 2015, arXiv:1409.4842)."""
_OPERATIONS = 2
"""Changes of one image (Cubuk et al. 2020, arXiv:1909.13719, table 5)."""


@dataclass(frozen=True)
class ImageFront(Front):
    """How images are prepared: all of a picture is scaled to a square.

    Attributes:
        size: Pixels of a side.
        mean: Subtracted from red, green and blue, on the scale from 0 to 255.
        spread: They are divided by it then.
        detail: Pixels of a side of the small picture in a summary.
    """

    size: int = 224
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    spread: tuple[float, ...] = (127.5, 127.5, 127.5)
    detail: int = 16

    @property
    def row_bytes(self) -> int:
        """Of a decoded row."""
        return self.size * self.size * 3

    @staticmethod
    def readable(reference: Reference | None) -> bool:
        """Whether an image can be decoded."""
        return _decoded(reference) is not None

    def decoded(self, references: Sequence[Reference | None], cache: Path | None) -> np.ndarray:
        """Pixels, uint8, shape (n, size * size * 3); those of what cannot be read are the mean."""
        about = {"size": self.size, "mean": list(self.mean), "code": _CODE}
        store = ByteStore(cache, "pixels", about, self.row_bytes)
        nothing = np.full((self.size, self.size, 3), np.rint(self.mean), dtype=np.uint8)

        def row(reference: Reference | None) -> np.ndarray:
            pixels = _decoded(reference)
            return nothing if pixels is None else resize(pixels, self.size, self.size)

        def compute(index: np.ndarray) -> np.ndarray:
            return np.stack([row(references[i]).ravel() for i in index])

        return store.get(reference_keys(references), compute, batch=256)

    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Normed pixels, shape (n, 3, size, size)."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(rows)).view(-1, self.size, self.size, 3)
        mean, spread = (torch.tensor(v, dtype=torch.float32) for v in (self.mean, self.spread))
        normed = (pixels.float() - mean) / spread
        return {"inputs": normed.permute(0, 3, 1, 2).contiguous()}

    def augmented(
        self, rows: np.ndarray, config: Mapping[str, Any], random: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """The same of rows that were cropped, mirrored and otherwise changed."""
        pictures = rows.reshape(-1, self.size, self.size, 3)
        return self.inputs(np.stack([self._changed(p, config, random) for p in pictures]))

    def _changed(
        self, pixels: np.ndarray, config: Mapping[str, Any], random: np.random.Generator
    ) -> np.ndarray:
        least, strength = float(config["crop"]), int(config["strength"])
        if least < 1:
            pixels = _cropped(pixels, least, random)
        if config["flip"] and random.random() < 0.5:
            pixels = pixels[:, ::-1]
        if strength:
            pixels = _randomised(pixels, strength / 10, random)
        return np.ascontiguousarray(pixels)

    def summary(self, rows: np.ndarray) -> np.ndarray:
        """A small picture, and histograms of its gradients in 6 by 6 cells."""
        found = []
        for pixels in rows.reshape(-1, self.size, self.size, 3):
            small = resize(pixels, self.detail, self.detail).astype(np.float32) / 255 - 0.5
            grey = resize(pixels, 8 * _CELLS, 8 * _CELLS).mean(axis=2) / 255
            found.append(np.concatenate([small.ravel(), 3 * _gradients(grey)]))
        return np.asarray(found, dtype=np.float32)

    def mapped(self, parts: np.ndarray) -> np.ndarray:
        """Each number evenly over the pixels that it is of, in 12 by 12 cells."""
        split = self.detail * self.detail * 3
        small = parts[:split].reshape(self.detail, self.detail, 3).sum(axis=2)
        edges = parts[split:].reshape(_CELLS, _CELLS, _ANGLES).sum(axis=2)
        fine = sum(
            np.kron(part, np.full((_FINE // len(part),) * 2, (len(part) / _FINE) ** 2))
            for part in (small, edges)
        )
        return pooled(np.asarray(fine), _COARSE, _COARSE)

    def picture(self, reference: Reference | None) -> np.ndarray:
        """The image in its own proportions; a grey one for what cannot be read."""
        pixels = _decoded(reference)
        if pixels is None:
            return np.full((_SHOWN, _SHOWN, 3), 127, dtype=np.uint8)
        height, width = pixels.shape[:2]
        scale = _SHOWN / max(height, width)
        if scale >= 2:  # a few pixels are shown as the squares that they are
            return pixels.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
        return resize(pixels, max(round(height * scale), 1), max(round(width * scale), 1))

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Pictures of the mean colour."""
        return np.repeat(self.decoded([None], None), len(rows), axis=0)

    def laid(self, values: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, float]:
        """Places of the picture, in at most 16 by 16 cells; nothing lies outside."""
        return pooled(values, _MOST_CELLS, _MOST_CELLS), 0.0


def _decoded(reference: Reference | None) -> np.ndarray | None:
    try:
        return read_image(content_of(reference)).pixels
    except Unreadable:
        return None


def _gradients(grey: np.ndarray) -> np.ndarray:
    """Histograms of directions, weighted by slope; each cell's has length 1."""
    down, right = np.gradient(grey)
    angle = (np.arctan2(down, right) % np.pi) / np.pi * _ANGLES
    slope = np.hypot(down, right)
    cells = np.arange(len(grey)) * _CELLS // len(grey)
    place = (cells[:, None] * _CELLS + cells) * _ANGLES + np.minimum(angle, _ANGLES - 1).astype(int)
    sums = np.bincount(place.ravel(), slope.ravel(), _CELLS * _CELLS * _ANGLES)
    rows = sums.reshape(-1, _ANGLES)
    return np.asarray((rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 0.1)).ravel())


def _cropped(pixels: np.ndarray, least: float, random: np.random.Generator) -> np.ndarray:
    """A part of the picture, scaled to all of it; `least` is its smallest share of the area."""
    size = len(pixels)
    area, ratio = random.uniform(least, 1), np.exp(random.uniform(-_RATIO, _RATIO))
    width = min(max(round(size * np.sqrt(area * ratio)), 1), size)
    height = min(max(round(size * np.sqrt(area / ratio)), 1), size)
    top = int(random.integers(0, size - height + 1))
    left = int(random.integers(0, size - width + 1))
    return resize(np.ascontiguousarray(pixels[top : top + height, left : left + width]), size, size)


def _randomised(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Two changes drawn from `_CHANGES`, of random sign."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    for name in random.choice(list(_CHANGES), _OPERATIONS):
        sign = 1 if random.random() < 0.5 else -1
        image = _CHANGES[str(name)](image, strength * sign)
    return np.asarray(image, dtype=np.uint8)


def _moved(image: Any, matrix: tuple[float, ...]) -> Any:
    from PIL import Image

    grey = (128, 128, 128)
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=grey
    )


def _enhanced(kind: str) -> Callable[[Any, float], Any]:
    def change(image: Any, strength: float) -> Any:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(image).enhance(1 + 0.9 * strength)

    return change


def _turned(image: Any, strength: float) -> Any:
    from PIL import Image

    return image.rotate(30 * strength, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128))


def _ops(name: str, *values: Callable[[float], Any]) -> Callable[[Any, float], Any]:
    def change(image: Any, strength: float) -> Any:
        from PIL import ImageOps

        return getattr(ImageOps, name)(image, *(value(abs(strength)) for value in values))

    return change


_CHANGES: Mapping[str, Callable[[Any, float], Any]] = {
    "rotate": _turned,
    "shear_x": lambda image, s: _moved(image, (1, 0.3 * s, 0, 0, 1, 0)),
    "shear_y": lambda image, s: _moved(image, (1, 0, 0, 0.3 * s, 1, 0)),
    "move_x": lambda image, s: _moved(image, (1, 0, 0.3 * s * image.width, 0, 1, 0)),
    "move_y": lambda image, s: _moved(image, (1, 0, 0, 0, 1, 0.3 * s * image.height)),
    "brightness": _enhanced("Brightness"),
    "contrast": _enhanced("Contrast"),
    "colour": _enhanced("Color"),
    "sharpness": _enhanced("Sharpness"),
    "posterise": _ops("posterize", lambda s: 8 - round(4 * s)),
    "solarise": _ops("solarize", lambda s: 256 - round(256 * s)),
    "autocontrast": _ops("autocontrast"),
    "equalise": _ops("equalize"),
}
"""RandAugment's changes at strength 1 (arXiv:1909.13719, section 3.1; ranges of arXiv:1805.09501,
table 6), but for the identity."""
