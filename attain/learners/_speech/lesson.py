"""What rows can teach: their clips, their texts in the network's spelling, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import DataError, Problem
from attain.core.types import Rows
from attain.learners._cache import text_keys
from attain.learners._media.columns import MediaColumns
from attain.learners._speech.alphabet import Spelled, frames_needed
from attain.learners._speech.waves import Waves

if TYPE_CHECKING:
    from attain.learners._speech.network import SpeechBody

MOST_SECONDS = 30.0
"""Of a clip that is trained on; the memory of a step grows with its longest clip."""
REASONS: Mapping[str, str] = {
    "unlabelled": "have no transcript",
    "unreadable": "have a clip that cannot be read",
    "empty": "have a transcript without a word",
    "unwritable": "hold letters, digits or signs that the vocabulary lacks",
    "too_long": f"last longer than {MOST_SECONDS:.0f} s",
    "too_short": "are too short for their text",
}
"""Why a row is left out of training, in the order in which it is asked."""


@dataclass(frozen=True, eq=False)
class Taught:
    """Rows that can be learnt.

    Attributes:
        waves: Clips of all rows, those that are left out included.
        spelled: Their texts; None where there is no transcript.
        rows: Positions of those that can be learnt, int64.
        left_out: Positions of the others by the reason, of `REASONS`.
        frames: Of all rows, int64.
        unwritable: How many rows hold each character that the vocabulary lacks.
    """

    waves: Waves
    spelled: Sequence[Spelled | None]
    rows: np.ndarray
    frames: np.ndarray
    left_out: Mapping[str, np.ndarray] = field(default_factory=dict)
    unwritable: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def ids(self, place: int) -> np.ndarray:
        """Tokens of a row that can be learnt, by its place among those."""
        spelled = self.spelled[int(self.rows[place])]
        assert spelled is not None  # else it would be left out
        return spelled.ids

    @property
    def facts(self) -> dict[str, Any]:
        """How many rows there are, and how many are left out for each reason."""
        out = {name: len(where) for name, where in self.left_out.items() if len(where)}
        return {"rows": len(self.waves), "learnt": len(self.rows), **out}

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of clips and of texts that are learnt."""
        said = [s.said if s is not None else "" for s in self.spelled]
        return self.waves.keys()[self.rows], text_keys(said)[self.rows]


def texts_of(rows: Rows, target: str) -> list[str | None]:
    """Transcripts of rows, as they were written; None where there is none."""
    if target not in rows.X:
        return [None] * len(rows)
    cells = rows.X[target]
    return [cell if isinstance(cell, str) else None for cell in cells]


def teach(
    body: SpeechBody,
    columns: MediaColumns,
    target: str,
    rows: Rows,
    cache: Path | None,
    most: int | None = None,
) -> Taught:
    """Sort out what rows can teach.

    Args:
        body: Says what can be written, and how many frames a clip gives.
        columns: Where clips are.
        target: Where transcripts are.
        rows: As learners see them.
        cache: `FitData.cache`.
        most: Bytes of clips that stay in memory; None for as many as usual.

    Returns:
        Each row is learnt, or left out for one reason.
    """
    import torch

    (cells,) = columns.read(rows.X)
    waves = Waves(body.hearing, cells, cache, **({} if most is None else {"most": most}))
    spelled = [None if t is None else body.alphabet.spell(t) for t in texts_of(rows, target)]
    heard = np.maximum(waves.lengths, body.hearing.least)
    frames = body.frames(torch.from_numpy(heard)).numpy()
    why = np.array(
        [
            _reason(text, float(seconds), int(own))
            for text, seconds, own in zip(spelled, waves.seconds, frames, strict=True)
        ],
        dtype=object,
    )
    lacking: Counter[str] = Counter()
    for text in spelled:
        lacking.update(() if text is None else text.unwritable.keys())
    return Taught(
        waves, spelled, np.flatnonzero(why == ""), frames,
        {name: np.flatnonzero(why == name) for name in REASONS}, dict(lacking.most_common()),
    )  # fmt: skip


def _reason(text: Spelled | None, seconds: float, frames: int) -> str:
    """Why a row is left out; empty if it is not."""
    if text is None:
        return "unlabelled"
    if seconds == 0:
        return "unreadable"
    if text.unwritable:
        return "unwritable"
    if not len(text.ids):
        return "empty"
    if seconds > MOST_SECONDS:
        return "too_long"
    return "too_short" if frames < frames_needed(text.ids) else ""


def check_taught(taught: Taught) -> None:
    """Refuse rows of which none can be learnt.

    Args:
        taught: Of the training rows.

    Raises:
        DataError: Says why they were left out.
    """
    if len(taught):
        return
    why = "; ".join(f"{len(w)} {REASONS[n]}" for n, w in taught.left_out.items() if len(w))
    if taught.unwritable:
        why += f" ({' '.join(list(taught.unwritable)[:20])})"
    rule, remedy = "training rows must have transcripts to learn", "see the findings D070 to D073"
    raise DataError(Problem(rule, why or "no rows", "training rows", remedy))
