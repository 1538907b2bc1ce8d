"""Accidents to images and clips: each changes what it says, and a model that needs it drops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attain.core.decode import read_clip, read_image, write_clip, write_image
from attain.core.media import inline, parse
from attain.core.types import ColumnKind, Direction
from attain.data.infer import describe
from attain.data.table import to_rows
from attain.validate.perturb import ACCIDENTS, Part, perturb

IMAGES = {"blurred", "grained", "bright", "dark", "pressed"}
CLIPS = {"hissing", "quieter", "narrowed"}


def checker(size: int) -> str:
    """Fine squares, on a grey that is dark or bright."""
    squares = (np.indices((32, 32)).sum(axis=0) // size % 2 * 100 + 70).astype(np.uint8)
    return str(inline("image", write_image(np.repeat(squares[:, :, None], 3, axis=2), "PNG")))


def tone(pitch: float) -> str:
    """A tone at 8 kHz."""
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(4_000) / 8_000)
    return str(inline("audio", write_clip(wave.astype(np.float32), 8_000)))


def changed(code: str, cell: str | None) -> str | None:
    """The cell after an accident."""
    accident = next(a for a in ACCIDENTS if a.code == code)
    return accident.change(pd.Series([cell], dtype=object), np.random.default_rng(0)).iloc[0]


@pytest.mark.parametrize("code", sorted(IMAGES))
def test_images_change_as_is_said(code):
    """Light moves the mean, blur lowers the contrast, noise and compression leave both about."""
    before = read_image(parse(checker(1)).content()).pixels.astype(float)
    after = read_image(parse(changed(code, checker(1))).content()).pixels.astype(float)
    assert after.shape == before.shape
    assert not np.array_equal(after, before)
    shift = {"bright": 60, "dark": -60}.get(code, 0)
    assert abs((after.mean() - before.mean()) - shift) < 20
    if code == "blurred":
        assert after.std() < 0.3 * before.std()


@pytest.mark.parametrize("code", sorted(CLIPS))
def test_clips_change_as_is_said(code):
    """Quiet is a tenth, noise adds a hundredth of the power, a bad line loses what is high."""
    before = read_clip(parse(tone(3_000)).content()).wave
    after = read_clip(parse(changed(code, tone(3_000))).content()).wave
    assert len(after) == len(before)
    ratio = after.std() / before.std()
    low, high = {"quieter": (0.09, 0.11), "hissing": (1.0, 1.02), "narrowed": (0, 0.3)}[code]
    assert low < ratio < high


def test_unreadable_and_missing_files_stay():
    """Nothing can happen to what is not there."""
    damaged = str(inline("image", b"\x89PNG damaged"))
    assert changed("blurred", damaged) == damaged
    assert changed("hissing", str(inline("audio", b"RIFF"))) == str(inline("audio", b"RIFF"))
    assert pd.isna(changed("blurred", None))


def test_a_model_of_brightness_is_brittle_to_light():
    """A model that reads the mean drops in other light, and only images have such accidents."""
    random = np.random.default_rng(0)
    levels = random.integers(60, 190, 160)
    cells = [
        str(inline("image", write_image(np.full((16, 16, 3), level, dtype=np.uint8), "PNG")))
        for level in levels
    ]
    frame = pd.DataFrame({"file": cells, "y": np.where(levels > 125, "b", "a")})
    dataset = describe(frame, target="y")

    def predict(rows):
        known = [
            read_image(parse(c).content()).pixels.mean() if parse(c) else 0 for c in rows.X["file"]
        ]
        high = np.array(known) > 125
        return np.stack([~high, high], axis=1).astype(float)

    found = perturb(
        [Part(predict, to_rows(frame, dataset))], dataset, "accuracy", Direction.MAXIMIZE,
        gain=0.5, seconds=60.0,
    )  # fmt: skip
    by_code = {entry["code"]: entry for entry in found["entries"]}
    assert set(by_code) >= IMAGES
    assert not set(by_code) & CLIPS
    assert by_code["bright"]["drop"] > 0.3
    assert by_code["bright"]["brittle"]
    assert by_code["blurred"]["drop"] == 0
    assert {a.code for a in ACCIDENTS if ColumnKind.AUDIO in a.kinds} >= CLIPS
