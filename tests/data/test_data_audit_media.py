"""Checks of images and clips: each finds what was planted, and passes without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attain.core.decode import resize, write_clip, write_image
from attain.core.media import inline
from attain.core.protocols import Subject
from attain.core.types import FindingState, Severity
from attain.data.audit import CHECKS
from attain.data.checks_labels import Mislabelled
from attain.data.checks_media import (
    Empties,
    NearMedia,
    OddFiles,
    OddSizes,
    SealedMedia,
    UnreadableFiles,
)
from attain.data.infer import describe
from attain.data.looks import close_pairs, looks
from attain.data.seal import make_seal, sealed_summary
from attain.data.table import to_rows

FOUND, PASSED, NOT = FindingState.FOUND, FindingState.PASSED, FindingState.NOT_APPLICABLE
ALL = (UnreadableFiles, OddFiles, Empties, OddSizes, NearMedia, SealedMedia)

CODES = {"D040", "D041", "D042", "D043", "D044", "D045"}


def picture(seed: int, size: int = 64) -> np.ndarray:
    """Smooth colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return resize(coarse, size, size)


def image(pixels: np.ndarray) -> str:
    """An image as a cell."""
    return str(inline("image", write_image(pixels, "PNG")))


def tone(seed: int, seconds: float = 0.4, rate: int = 8_000) -> np.ndarray:
    """A few tones that come and go."""
    random = np.random.default_rng(seed)
    at = np.arange(int(seconds * rate)) / rate
    waves = [
        np.sin(2 * np.pi * random.uniform(150, 3000) * at)
        * np.exp(-(((at - random.uniform(0, seconds)) / 0.06) ** 2))
        for _ in range(5)
    ]
    return (np.sum(waves, axis=0) / 5).astype(np.float32)


def clip(wave: np.ndarray, rate: int = 8_000) -> str:
    """A clip as a cell."""
    return str(inline("audio", write_clip(wave, rate)))


IMAGES = [image(picture(i)) for i in range(60)]
CLIPS = [clip(tone(i)) for i in range(60)]


def asked(check, cells, labels=None, sealed=None):
    """What a check answers."""
    labels = ["ab"[i % 2] for i in range(len(cells))] if labels is None else labels
    frame = pd.DataFrame({"file": cells, "y": labels})
    dataset = describe(frame, target="y")
    return check().run(Subject(dataset, frame, to_rows(frame, dataset), sealed or {}))


@pytest.mark.parametrize("cells", [IMAGES, CLIPS], ids=["images", "clips"])
@pytest.mark.parametrize("check", ALL[:-1])
def test_sound_files_pass(check, cells):
    """Nothing is found where nothing was planted; every check is asked in an audit."""
    assert asked(check, cells).state is PASSED
    assert check in CHECKS


@pytest.mark.parametrize("check", ALL)
def test_tables_are_not_asked(check):
    """Without files the question does not arise."""
    frame = pd.DataFrame({"x": np.arange(30.0), "y": [0, 1] * 15})
    dataset = describe(frame, target="y")
    assert check().run(Subject(dataset, frame, to_rows(frame, dataset))).state is NOT


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_damaged_files_are_named(modality):
    """A file that is cut off and one that is something else; of all others none."""
    cells = list(IMAGES if modality == "image" else CLIPS)
    whole = write_image(picture(99), "JPEG") if modality == "image" else write_clip(tone(99), 8_000)
    cells[7] = str(inline(modality, whole[: len(whole) // 2]))
    cells[20] = str(inline(modality, b"something else"))
    finding = asked(UnreadableFiles, cells)
    assert (finding.state, finding.severity) == (FOUND, Severity.ISSUE)
    assert finding.rows == (7, 20)


def test_ways_of_storing_are_counted():
    """One grey image is a tip; grey images of one class are an issue."""
    grey = [image(picture(i)) for i in range(60)]
    from io import BytesIO

    from PIL import Image

    def in_grey(i):
        buffer = BytesIO()
        Image.fromarray(picture(i)).convert("L").save(buffer, "PNG")
        return str(inline("image", buffer.getvalue()))

    grey[3] = in_grey(3)
    finding = asked(OddFiles, grey)
    assert (finding.state, finding.severity, finding.rows) == (FOUND, Severity.TIP, (3,))
    labels = ["a" if i < 30 else "b" for i in range(60)]
    told = [in_grey(i) if i < 30 else IMAGES[i] for i in range(60)]
    finding = asked(OddFiles, told, labels)
    assert finding.severity is Severity.ISSUE
    assert "100% of those in L are of one class" in finding.explanation
    rates = [*CLIPS[:59], clip(tone(1, rate=16_000), 16_000)]
    assert asked(OddFiles, rates).rows == (59,)


def test_blank_and_silent_files_are_found():
    """One colour, and below -60 dB."""
    cells = [*IMAGES[:59], image(np.full((64, 64, 3), 9, dtype=np.uint8))]
    assert asked(Empties, cells).rows == (59,)
    quiet = [*CLIPS[:59], clip(tone(1) * 1e-4)]
    assert asked(Empties, quiet).rows == (59,)


def test_tiny_images_and_odd_lengths_are_found():
    """A side of 20 pixels; ten times the usual length."""
    assert asked(OddSizes, [*IMAGES[:59], image(picture(1, 20))]).rows == (59,)
    assert asked(OddSizes, [*CLIPS[:59], clip(tone(1, 4.0))]).rows == (59,)


def test_near_copies_are_found_and_contradictions_weigh_more():
    """A recompressed copy, a quieter one; equal files are another check's."""
    small = np.clip(resize(picture(5), 48, 48) * 1.05, 0, 255).astype(np.uint8)
    copy = str(inline("image", write_image(small, "JPEG", 60)))
    finding = asked(NearMedia, [*IMAGES, copy], ["ab"[i % 2] for i in range(60)] + ["b"])
    assert finding.rows == (5, 60)
    assert finding.evidence["pairs"] == 1
    assert finding.evidence["apart"] == 0
    finding = asked(NearMedia, [*IMAGES, copy], ["ab"[i % 2] for i in range(60)] + ["a"])
    assert (finding.severity, finding.evidence["apart"]) == (Severity.ISSUE, 1)
    assert asked(NearMedia, [*CLIPS, clip(tone(8) * 0.5)]).rows == (8, 60)
    assert asked(NearMedia, [*IMAGES, IMAGES[4]]).state is PASSED


def test_near_copies_across_the_seal_are_counted(tmp_path):
    """Copies of all files, recompressed: those whose original is on the other side are counted."""
    again = [
        str(
            inline(
                "image", write_image(np.clip(picture(i) * 1.05, 0, 255).astype(np.uint8), "JPEG")
            )
        )
        for i in range(60)
    ]
    frame = pd.DataFrame({"file": [*IMAGES, *again], "y": ["ab"[i % 2] for i in range(60)] * 2})
    dataset = describe(frame, target="y")
    work, seal = make_seal(frame, dataset, tmp_path, test=0.2)
    assert seal.near_compared == seal.rows
    assert 0 < seal.near_overlap <= seal.rows
    assert work.modality == "image"
    finding = asked(SealedMedia, IMAGES, sealed=sealed_summary(seal))
    assert (finding.state, finding.evidence["near"]) == (FOUND, seal.near_overlap)
    _, clean = make_seal(frame[:60], describe(frame[:60], target="y"), tmp_path / "b", test=0.2)
    assert clean.near_overlap == 0
    assert asked(SealedMedia, IMAGES, sealed=sealed_summary(clean)).state is PASSED


def test_near_copies_of_one_group_do_not_matter():
    """No split divides a group; only two classes of one picture are still told."""
    copy = str(inline("image", write_image(np.clip(picture(5) * 1.05, 0, 255).astype(np.uint8))))
    frame = pd.DataFrame({"file": [*IMAGES, copy], "y": ["ab"[i % 2] for i in range(60)] + ["b"]})
    for who, label, state in (("p5", "b", PASSED), ("p9", "b", FOUND), ("p5", "a", FOUND)):
        grouped = frame.assign(who=[f"p{i}" for i in range(60)] + [who])
        grouped.loc[60, "y"] = label
        dataset = describe(grouped, target="y", groups="who")
        subject = Subject(dataset, grouped, to_rows(grouped, dataset))
        assert NearMedia().run(subject).state is state


def test_wrong_labels_are_told_by_what_a_pretrained_model_reads():
    """Noise tells nothing to small pictures; features of the files find the flipped labels."""
    random = np.random.default_rng(4)
    n, k = 300, 3
    y = np.arange(n) % k
    features = np.eye(k)[y] @ random.normal(size=(k, 32)) + random.normal(0, 0.3, (n, 32))
    features *= np.sqrt(32) / np.linalg.norm(features, axis=1, keepdims=True)
    given, wrong = y.copy(), np.arange(0, n, 20)
    given[wrong] = (y[wrong] + 1) % k
    cells = [image(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)) for _ in range(n)]
    frame = pd.DataFrame({"file": cells, "label": [f"c{label}" for label in given]})
    dataset = describe(frame, target="label")
    rows = to_rows(frame, dataset)
    at = {cell: i for i, cell in enumerate(rows.X["file"])}

    def read(asked):
        return features[[at[cell] for cell in asked]].astype(np.float32)

    blind = Mislabelled().run(Subject(dataset, frame, rows))
    told = Mislabelled().run(Subject(dataset, frame, rows, read=read))
    assert blind.state is NOT
    assert told.state is FOUND
    assert len(set(told.rows) & set(wrong)) >= 0.8 * max(len(wrong), len(told.rows))
    assert "a linear model on the pre-trained one" in told.explanation


def test_clips_of_other_lengths_are_no_copies():
    """The same tone half as long again is another clip; a tenth cut off is a copy."""
    wave = tone(3, seconds=0.9)
    stretched = np.interp(np.linspace(0, len(wave) - 1, 3 * len(wave) // 2), range(len(wave)), wave)
    cells = [clip(wave), clip(stretched.astype(np.float32)), clip(wave[: int(0.92 * len(wave))])]
    found = looks(cells)
    assert (0, 1) not in {tuple(pair) for pair in close_pairs(found, 64)}
    assert (0, 2) in {tuple(pair) for pair in close_pairs(found, 64)}
