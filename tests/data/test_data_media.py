"""Images and clips as rows: folders, paths, contents, and what is refused."""

from __future__ import annotations

import io
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from attain.core.decode import Unreadable, read_clip, read_image, resize, write_clip, write_image
from attain.core.errors import DataError
from attain.core.media import inline, parse
from attain.core.types import ColumnKind, ColumnRole
from attain.data.fix import write_frame
from attain.data.hashing import row_hash
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.looks import close_pairs, looks
from attain.data.seal import make_seal
from attain.data.table import to_rows


def picture(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    """Some smooth shapes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return resize(coarse, height, width)


def tone(seed: int, seconds: float = 0.5, rate: int = 8_000) -> np.ndarray:
    """A few tones that come and go."""
    random = np.random.default_rng(seed)
    at = np.arange(int(seconds * rate)) / rate
    parts = [
        np.sin(2 * np.pi * random.uniform(150, 3000) * at)
        * np.exp(-(((at - random.uniform(0, seconds)) / 0.08) ** 2))
        for _ in range(6)
    ]
    return (np.sum(parts, axis=0) / 6).astype(np.float32)


def write_classes(folder, rows=24):
    """A folder of two classes with `rows` images."""
    for i in range(rows):
        place = folder / ("cat" if i % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.png").write_bytes(write_image(picture(i), "PNG"))
    return folder


def test_a_folder_of_folders_is_a_table(tmp_path):
    """Folders name classes; hidden files and other kinds are left out; the modality is said."""
    folder = write_classes(tmp_path / "pets")
    (folder / "cat" / "notes.txt").write_text("hello")
    (folder / "cat" / ".hidden.png").write_bytes(b"x")
    frame = load_frame(folder)
    assert list(frame.columns) == ["file", "label"]
    assert len(frame) == 24
    dataset = describe(frame, target="label")
    assert (dataset.modality, dataset.classes) == ("image", ("cat", "dog"))
    assert parse(frame["file"][0]).content() == (folder / "cat" / "001.png").read_bytes()


def test_a_folder_without_classes_is_refused(tmp_path):
    """The message says how classes are given."""
    (tmp_path / "0.png").write_bytes(write_image(picture(0), "PNG"))
    with pytest.raises(DataError, match="a folder for each class"):
        load_frame(tmp_path)


@pytest.mark.parametrize("shape", ["paths", "bytes", "struct"])
def test_manifests_hold_paths_or_contents(tmp_path, shape):
    """The same rows come out of paths in CSV, of bytes and of the datasets library's cells."""
    folder = write_classes(tmp_path / "pets")
    names = sorted(p.relative_to(tmp_path).as_posix() for p in folder.rglob("*.png"))
    labels = [name.split("/")[1] for name in names]
    contents = [(tmp_path / name).read_bytes() for name in names]
    if shape == "paths":
        pd.DataFrame({"picture": names, "kind": labels}).to_csv(tmp_path / "a.csv", index=False)
        frame = load_frame(tmp_path / "a.csv")
    else:
        cells = contents if shape == "bytes" else [{"bytes": c, "path": "x"} for c in contents]
        table = pa.table({"picture": cells, "kind": labels})
        parquet.write_table(table, tmp_path / "a.parquet")
        frame = load_frame(tmp_path / "a.parquet")
    dataset = describe(frame, target="kind")
    assert dataset.features[0].kind is ColumnKind.IMAGE
    X = to_rows(frame, dataset).X
    assert [parse(cell).content() for cell in X["picture"]] == contents
    folder_rows = load_frame(folder).rename(columns={"file": "picture"})
    assert np.array_equal(row_hash(X), row_hash(folder_rows[["picture"]]))


def test_paths_do_not_leave_the_folder(tmp_path):
    """Neither dots, nor absolute paths, nor links lead out of the folder of the table."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(write_image(picture(0), "PNG"))
    inside = write_classes(tmp_path / "data")
    os.symlink(secret, inside / "link.png")
    for name in ("../secret.png", str(secret), "link.png"):
        pd.DataFrame({"f": ["cat/001.png", name], "y": [0, 1]}).to_csv(
            inside / "t.csv", index=False
        )
        with pytest.raises(DataError, match="below the folder"):
            load_frame(inside / "t.csv")


def test_a_table_cannot_bring_references_of_its_own(tmp_path):
    """A reference in a file could name any file of the machine."""
    cell = str(inline("image", write_image(picture(0), "PNG")))
    pd.DataFrame({"f": [cell], "y": [0]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="names files, not references"):
        load_frame(tmp_path / "t.csv")


def test_missing_files_are_all_named(tmp_path):
    """What is not there is said at once; a table whose files are all elsewhere stays a table."""
    folder = write_classes(tmp_path)
    pd.DataFrame({"f": ["cat/001.png", "cat/9.png", "no.png"], "y": [0, 1, 1]}).to_csv(
        folder / "t.csv", index=False
    )
    with pytest.raises(DataError, match=r"(?s)cat/9\.png.*no\.png"):
        load_frame(folder / "t.csv")
    pd.DataFrame({"f": ["a.png", "b.png"], "y": [0, 1]}).to_csv(folder / "u.csv", index=False)
    assert load_frame(folder / "u.csv")["f"].tolist() == ["a.png", "b.png"]


def test_other_columns_are_left_out_and_two_of_media_are_refused(tmp_path):
    """What learns from images reads nothing else, and says so."""
    folder = write_classes(tmp_path)
    frame = load_frame(folder).assign(age=np.arange(24.0) ** 2)
    dataset = describe(frame, target="label")
    assert [c.name for c in dataset.features] == ["file"]
    (age,) = (c for c in dataset.columns if c.name == "age")
    assert age.role is ColumnRole.IGNORED
    assert "reads nothing else" in age.reason
    with pytest.raises(DataError, match="one image or one clip"):
        describe(frame.assign(other=frame["file"][::-1].to_numpy()), target="label")


def test_changed_files_are_noticed(tmp_path):
    """A study does not go on with other contents, or without them."""
    folder = write_classes(tmp_path)
    frame = load_frame(folder)
    found = parse(frame["file"][0])
    found.path.write_bytes(b"something else")
    with pytest.raises(DataError, match="stay as they were"):
        found.content()
    found.path.unlink()
    with pytest.raises(DataError, match="stay where they are"):
        found.content()


def test_equal_contents_are_sealed_together(tmp_path):
    """Copies under other names are on the same side of the seal."""
    folder = write_classes(tmp_path / "pets", rows=60)
    for i in range(0, 60, 3):
        place = folder / ("cat" if i % 2 else "dog")
        (place / f"copy{i}.png").write_bytes((place / f"{i:03d}.png").read_bytes())
    frame = load_frame(folder)
    _, seal = make_seal(frame, describe(frame, target="label"), tmp_path / "study", test=0.3)
    assert seal.overlap == 0
    assert seal.rows > 10


def test_rows_are_written_with_paths_again(tmp_path):
    """A mended table names files, as the one that it was made of."""
    folder = write_classes(tmp_path)
    frame = load_frame(folder)
    write_frame(frame, folder / "mended.csv")
    assert pd.read_csv(folder / "mended.csv")["file"][0] == "cat/001.png"
    assert load_frame(folder / "mended.csv")["file"].tolist() == frame["file"].tolist()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "I;16", "LA"])
def test_odd_modes_become_colours(mode):
    """Every mode is read as red, green and blue; transparency shows white, depth is scaled."""
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 32_896, dtype=np.uint16))
    else:
        image = Image.new("RGB", (8, 8), (128, 128, 128)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF" if mode in ("CMYK", "I;16") else "PNG")
    found = read_image(buffer.getvalue())
    assert found.pixels.shape == (8, 8, 3)
    assert found.mode == mode
    if mode not in ("1", "P"):  # these are dithered
        assert np.abs(found.pixels.astype(int) - 128).max() <= 3
    if mode == "RGBA":
        clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
        buffer = io.BytesIO()
        clear.save(buffer, "PNG")
        assert read_image(buffer.getvalue()).pixels.min() == 255


def test_damaged_contents_are_unreadable():
    """Truncated and foreign contents say why; a whole clip is read as it was written."""
    whole = write_image(picture(0), "JPEG")
    for content in (whole[: len(whole) // 2], b"", b"\x89PNG\r\n"):
        with pytest.raises(Unreadable, match=r"\w"):  # its words are the decoder's
            read_image(content)
    clip = write_clip(tone(0), 8_000)
    found = read_clip(clip)
    assert (found.rate, found.channels, found.seconds) == (8_000, 1, 0.5)
    assert np.abs(found.wave - tone(0)).max() < 1e-4
    with pytest.raises(Unreadable, match="ends before"):
        read_clip(clip[: len(clip) // 2])
    with pytest.raises(Unreadable, match=r"\w"):  # its words are the decoder's
        read_clip(b"RIFF0000WAVE")


def test_near_copies_of_images_are_found():
    """Scaled, recompressed and brighter copies are near; other pictures are not."""
    first = [picture(i, 120, 160) for i in range(40)]
    second = [np.clip(resize(p, 90, 120) * 1.1 + 5, 0, 255).astype(np.uint8) for p in first[:10]]
    cells = [str(inline("image", write_image(p, quality=60))) for p in (*first, *second)]
    pairs = close_pairs(looks(cells), 8)
    assert pairs.tolist() == [[i, 40 + i] for i in range(10)]


def test_pictures_of_one_shape_are_no_copies():
    """Small pictures that differ in fine structure only are told apart; their copies are found."""
    rng = np.random.default_rng(0)
    shape = np.zeros((28, 28))
    shape[4:24, 8:20] = 170
    first = [
        np.clip(shape + rng.normal(0, 30, shape.shape) * (shape > 0), 0, 255) for _ in range(30)
    ]
    coloured = [np.repeat(p.astype(np.uint8)[:, :, None], 3, axis=2) for p in first]
    cells = [str(inline("image", write_image(p, "PNG"))) for p in coloured]
    cells += [str(inline("image", write_image(p, "JPEG", 70))) for p in coloured[:10]]
    pairs = close_pairs(looks(cells), 8)
    assert pairs.tolist() == [[i, 30 + i] for i in range(10)]


def test_near_copies_of_clips_are_found():
    """Quieter, noisier and resampled copies are near; other clips are not."""
    first = [tone(i) for i in range(30)]
    noise = np.random.default_rng(0).normal(0, 0.002, len(first[0])).astype(np.float32)
    cells = [str(inline("audio", write_clip(w, 8_000))) for w in first]
    cells += [str(inline("audio", write_clip(w * 0.5 + noise, 8_000))) for w in first[:10]]
    pairs = close_pairs(looks(cells), 8)
    assert pairs.tolist() == [[i, 30 + i] for i in range(10)]
