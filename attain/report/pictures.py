"""What files showed: pictures with what each place said, files most alike, what is mixed up."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from attain.core.decode import resize, write_image
from attain.core.errors import AttainError
from attain.core.media import parse
from attain.core.types import Attribution, Dataset, Rows
from attain.report import mistakes, numbers
from attain.report.singles import Question, about, in_turn, short, summed

MOST_BYTES = 350_000
"""Of all pictures as they stand in the page; those that would go beyond are left out."""
MOST_ALIKE = 3
MOST_PAIRS = 5
MOST_OF_PAIR = 4
QUALITY = 70  # of JPEG
SMALL = 96  # pixels of the longer side beside a larger picture
FOR, AGAINST = (31, 95, 168), (191, 79, 0)  # as the report's first two colours
DEEPEST = 0.8  # how far the strongest place hides the picture below
_SHARES = (0.55, 0.9)  # of the time, by when single files are read, and by when alike ones are
_BATCH = 32


@dataclass(frozen=True)
class Sight:
    """How files are drawn and compared.

    Attributes:
        pictures: See `core.protocols.Seeing`, for one model.
        places: Likewise.
    """

    pictures: Callable[[Rows], Sequence[np.ndarray]]
    places: Callable[[Rows], np.ndarray]


@dataclass(frozen=True, eq=False)
class Known:
    """All rows that may be shown.

    Attributes:
        rows: With their target, none of them sealed.
        names: Position of each in the user's data, shape (n,).
        prediction: Out-of-fold, of each row; NaN where there is none.
        learnt: Positions of those that the model was taught with.
    """

    rows: Rows
    names: np.ndarray
    prediction: np.ndarray
    learnt: np.ndarray


class _Album:
    """Pictures of rows as data URIs, within a number of bytes."""

    def __init__(self, sight: Sight, dataset: Dataset) -> None:
        self._sight = sight
        self._column = next(c.name for c in dataset.features if c.kind.is_media)
        self.bytes = 0
        self.left_out = 0

    def picture(self, rows: Rows, row: int, small: bool = False) -> dict[str, Any]:
        """``picture`` (empty where there is no room), ``size`` (width, height) and ``file``."""
        (pixels,) = self._sight.pictures(rows.take(np.array([row])))
        height, width = pixels.shape[:2]
        if small and max(height, width) > SMALL:
            scale = SMALL / max(height, width)
            height, width = max(round(height * scale), 1), max(round(width * scale), 1)
            pixels = resize(pixels, height, width)
        shown = self.kept("jpeg", write_image(pixels, "JPEG", QUALITY))
        found = parse(rows.X[self._column].iloc[row])
        return {
            "picture": shown,
            "size": [width, height],
            "file": found.name if found is not None and found.path is not None else "",
        }

    def kept(self, form: str, content: bytes) -> str:
        """A data URI, or nothing when there is no room for it."""
        uri = f"data:image/{form};base64,{base64.b64encode(content).decode('ascii')}"
        if self.bytes + len(uri) > MOST_BYTES:
            self.left_out += 1
            return ""
        self.bytes += len(uri)
        return uri


def what_files_say(
    question: Question, sight: Sight, known: Known, seconds: float
) -> tuple[dict[str, Any] | None, list[str]]:
    """Single files with what each place said, those most alike to mistakes, and mixed up pairs.

    Args:
        question: The model and rows that it has not seen.
        sight: Draws and compares files.
        known: All rows.
        seconds: Wall time to spend; when it is short, fewer files are looked at.

    Returns:
        JSON values and sentences on what was left out. The values are ``kind``, ``singles``
        (``row``, ``file``, ``actual``, ``predicted``, ``right``, ``output``, ``baseline``,
        ``rest``, ``residual``, ``steps``, ``cells`` (down and across), ``picture``, ``size``,
        ``heat``, and ``alike``: ``row``, ``file``, ``actual``, ``alike``, ``picture``), ``pairs``
        (``actual``, ``predicted``, ``count``, ``of`` and ``files``), ``looked`` (training files
        among which alike ones were looked for), ``bytes`` and ``sums``. None instead when nothing
        can be told.
    """
    began = time.perf_counter()
    album = _Album(sight, question.dataset)
    try:
        singles, wanted = in_turn(
            question, began + _SHARES[0] * seconds, partial(_told, question, album)
        )
        looked = _with_alike(question, known, singles, sight, album, began + _SHARES[1] * seconds)
        pairs = _pairs(question, known, album)
    except AttainError as error:
        return None, [f"What the files show could not be found out: {error}"]
    if not singles:
        return None, []
    late = wanted - len(singles)
    notes = [f"Time was up before {numbers.plural(late, 'file')} could be seen."] if late else []
    if album.left_out:
        more = numbers.plural(album.left_out, "picture")
        notes.append(f"{more} left out: all together may take {numbers.size(MOST_BYTES)}.")
    told = {"kind": question.dataset.modality, "singles": singles, "pairs": pairs}
    return {**told, "looked": looked, "bytes": album.bytes, "sums": question.sums}, notes


def _told(question: Question, album: _Album, row: int, told: Attribution) -> dict[str, Any]:
    """One file, for people."""
    values = np.array(told.files[0].values)
    return {
        "row": int(question.names[row]),
        "at": row,
        **about(question, row),
        **summed(told),
        "cells": list(values.shape),
        "strongest": short(float(np.abs(values).max(initial=0.0))),
        **album.picture(question.rows, row),
        "heat": album.kept("png", write_image(heat(values), "PNG")),
        "alike": [],
    }


def heat(values: np.ndarray) -> np.ndarray:
    """What places said, as colours to lay over a picture.

    Args:
        values: Shape (down, across); positive speaks for the answer.

    Returns:
        uint8, shape (down, across, 4): blue for it, orange against it, clear where nothing is said.
    """
    strength = np.abs(values) / max(float(np.abs(values).max(initial=0.0)), 1e-12)
    colours = np.where((values > 0)[:, :, None], np.array(FOR), np.array(AGAINST))
    alpha = np.rint(255 * DEEPEST * strength)[:, :, None]
    return np.concatenate([colours, alpha], axis=2).astype(np.uint8)


def _with_alike(
    question: Question,
    known: Known,
    singles: Sequence[dict[str, Any]],
    sight: Sight,
    album: _Album,
    deadline: float,
) -> int:
    """Put the training files most alike beside each mistake; among how many they were looked for.

    Alikeness is the cosine between what the model's head is told of the two files.
    """
    wrong = [single for single in singles if not single["right"]]
    at = [single.pop("at") for single in singles][: len(wrong)]
    if not wrong or not len(known.learnt):
        return 0
    asked = sight.places(question.rows.take(np.array(at)))
    order = np.random.default_rng([question.seed, 3]).permutation(known.learnt)
    near: list[np.ndarray] = []
    for start in range(0, len(order), _BATCH):
        if near and time.perf_counter() > deadline:
            break
        others = sight.places(known.rows.take(order[start : start + _BATCH]))
        near.append(asked @ others.T / asked.shape[1])
    alike = np.hstack(near)
    for single, row in zip(wrong, alike, strict=True):
        best = np.argsort(-row, kind="stable")[:MOST_ALIKE]
        single["alike"] = [_other(question, known, album, int(order[i]), row[i]) for i in best]
    return int(alike.shape[1])


def _other(
    question: Question, known: Known, album: _Album, row: int, alike: float
) -> dict[str, Any]:
    """A training file that is alike."""
    assert known.rows.y is not None
    value, data = known.rows.y[row], question.dataset
    actual: Any = data.classes[int(value)] if data.task.classifies else float(value)
    shown = album.picture(known.rows, row, small=True)
    return {"row": int(known.names[row]), "actual": actual, "alike": short(float(alike)), **shown}


def _pairs(question: Question, known: Known, album: _Album) -> list[dict[str, Any]]:
    """The classes that are mixed up most often, with some of the files; the surest first."""
    data, p = question.dataset, known.prediction
    if not data.task.classifies:
        return []
    assert known.rows.y is not None
    told = np.flatnonzero(np.isfinite(p).all(axis=1))
    y, guess = known.rows.y[told].astype(np.int64), mistakes.guesses(p[told], question.threshold)
    wrong = np.flatnonzero(y != guess)
    often = Counter(zip(y[wrong].tolist(), guess[wrong].tolist(), strict=True))
    found = []
    for (actual, predicted), count in often.most_common(MOST_PAIRS):
        inside = wrong[(y[wrong] == actual) & (guess[wrong] == predicted)]
        surest = told[inside[np.argsort(-p[told[inside], predicted], kind="stable")]]
        files = [
            {"row": int(known.names[row]), **album.picture(known.rows, int(row), small=True)}
            for row in surest[:MOST_OF_PAIR]
        ]
        names = {"actual": data.classes[actual], "predicted": data.classes[predicted]}
        found.append({**names, "count": count, "of": int((y == actual).sum()), "files": files})
    return found


def sums_sentence(found: Mapping[str, Any]) -> str:
    """How well the places add up, in one sentence.

    Args:
        found: The evidence's ``model.pictures``.

    Returns:
        For people, with the largest residual.
    """
    sums, nothing = found["sums"], {"image": "a picture of one colour", "audio": "silence"}
    largest = numbers.number(sums["residual"], digits=2)
    if not sums["steps"]:
        return (
            "Exact: the weight of each number of the summary times its value, at its place, which "
            f"add up to the prediction but for rounding (largest residual {largest})."
        )
    return (
        f"Integrated gradients against {nothing[found['kind']]}: they add up to what the file "
        "changed, within 5 % of it or of one unit of the model's score, for "
        f"{sums['complete']:,} of {numbers.plural(sums['asked'], 'file')}, with up to "
        f"{sums['steps']} steps; the largest residual is {largest} where "
        f"{numbers.number(sums['tolerance'], digits=2)} is allowed."
    )
