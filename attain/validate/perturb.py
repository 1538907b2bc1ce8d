"""What small accidents in the data do to a model: empty cells, wrong units, unseen words, noise.

Asked of models on rows that they have not seen, none of them sealed: the seal answers one question,
and how brittle a model is can be learnt without it (``docs/reliability.md``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.counts import OF_METRIC
from attain.core.errors import DataError
from attain.core.types import Column, ColumnKind, Dataset, Direction, Rows
from attain.validate import _media
from attain.validate._counts import labels
from attain.validate._labels import decided
from attain.validate.compare import compare

if TYPE_CHECKING:
    import pandas as pd

NOISE = 0.05  # of the column's spread
BRITTLE = 0.2  # share of the gain over the baseline that one accident may not cost
MOVED = 0.1  # standard deviations of the target by which a predicted value has changed
UNSEEN = "a word that no row has"
TYPOS = 0.2  # share of the words that are misspelt
_SPELLED = re.compile(r"[^\W\d_]{4,}")  # Belinkov & Bisk 2018: shorter words are left alone
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {
    letter: "".join(row[max(at - 1, 0) : at] + row[at + 1 : at + 2])
    for row in _ROWS
    for at, letter in enumerate(row)
}
"""Keys to the left and right of each letter on a keyboard."""

Predict = Callable[[Rows], np.ndarray]
Change = Callable[["pd.Series", np.random.Generator], "pd.Series | np.ndarray"]


@dataclass(frozen=True)
class Accident:
    """One row of the table of what can happen to a column.

    Attributes:
        code: Stable.
        words: What happened to its cells, after "if its cells are".
        kinds: Columns that it can happen to.
        noticeable: Whether a model could see that something is wrong; a plausible wrong value, such
            as another row's, must mislead.
        change: From a column and a generator to the changed column.
        small: Whether it should hardly matter, so that it is brittle to lose much by it at all.
    """

    code: str
    words: str
    kinds: tuple[ColumnKind, ...]
    noticeable: bool
    change: Change
    small: bool = False


def _emptied(values: pd.Series, _: np.random.Generator) -> pd.Series:
    return values.where(np.zeros(len(values), dtype=bool))


def _noisy(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    low, high = np.nanquantile(values, [0.05, 0.95]) if values.notna().any() else (0.0, 0.0)
    return values + NOISE * (high - low) / 3.29 * rng.normal(size=len(values))


def _shuffled(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    return values.iloc[rng.permutation(len(values))].set_axis(values.index)


def _swapped(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Another known category for every cell."""
    known = list(values.value_counts().index)
    if len(known) < 2:
        return values
    after = dict(zip(known, [*known[1:], known[0]], strict=True))
    return values.map(after).astype(values.dtype)


def _unseen(values: pd.Series, _: np.random.Generator) -> pd.Series:
    return values.where(values.isna().to_numpy(), UNSEEN)


def _later(values: pd.Series, _: np.random.Generator) -> pd.Series:
    return values + np.timedelta64(365, "D")


def _misspelt(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    """A share of the words of at least four letters with one slip each.

    Two neighbours inside the word change places, or a key beside the right one is hit (Belinkov and
    Bisk 2018, arXiv:1711.02173, section 4: ``swap`` and ``keyboard typo``).
    """

    def slip(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() >= TYPOS:
            return word
        at = int(rng.integers(1, len(word) - 2))
        beside = _BESIDE.get(word[at].lower(), "")
        if not beside or (word[at] != word[at + 1] and rng.random() < 0.5):
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        typed = beside[int(rng.integers(len(beside)))]
        return word[:at] + (typed.upper() if word[at].isupper() else typed) + word[at + 1 :]

    return _each(values, lambda text: _SPELLED.sub(slip, text))


def _shouted(values: pd.Series, _: np.random.Generator) -> pd.Series:
    return _each(values, str.upper)


def _halved(values: pd.Series, _: np.random.Generator) -> pd.Series:
    """The first half of the words, as a form with too short a field leaves them."""
    return _each(values, lambda text: " ".join((words := text.split())[: -(-len(words) // 2)]))


def _each(values: pd.Series, change: Callable[[str], str]) -> pd.Series:
    """Every text changed; missing ones stay missing."""
    return values.map(change, na_action="ignore").astype(values.dtype)


def _of_pictures(code: str, words: str, change: Any) -> Accident:
    """People still see what a picture shows, so that a model should."""
    return Accident(code, words, _IMAGE, True, _media.of_images(change), small=True)


def _of_clips(code: str, words: str, change: Any) -> Accident:
    """The same of what a clip says."""
    return Accident(code, words, _AUDIO, True, _media.of_clips(change), small=True)


_NUMBER, _FLAG, _DATE = (ColumnKind.NUMERIC,), (ColumnKind.BOOLEAN,), (ColumnKind.DATETIME,)
_WORD, _TEXT = (ColumnKind.CATEGORICAL,), (ColumnKind.TEXT,)
_IMAGE, _AUDIO = (ColumnKind.IMAGE,), (ColumnKind.AUDIO,)
ACCIDENTS: tuple[Accident, ...] = (
    Accident("missing", "empty", tuple(ColumnKind), True, _emptied),
    Accident("noise", f"off by {NOISE:.0%} of their spread", _NUMBER, True, _noisy, small=True),
    Accident("times_10", "10 times too large", _NUMBER, True, lambda v, _: v * 10.0),
    Accident("times_1000", "1000 times too large", _NUMBER, True, lambda v, _: v * 1000.0),
    Accident("swapped", "of another category", _WORD, False, _swapped),
    Accident("unseen", "of a category never seen", _WORD, True, _unseen),
    Accident("flipped", "flipped", _FLAG, False, lambda v, _: 1.0 - v),
    Accident("year_off", "a year too late", _DATE, True, _later),
    Accident("typos", "misspelt in one word of five", _TEXT, True, _misspelt, small=True),
    Accident("capitals", "all in capitals", _TEXT, True, _shouted, small=True),
    Accident("halved", "cut after half of their words", _TEXT, True, _halved),
    _of_pictures("blurred", "blurred", _media.blurred),
    _of_pictures("grained", "noisy", _media.grained),
    _of_pictures("bright", "too bright", _media.lit(_media.LIGHT)),
    _of_pictures("dark", "too dark", _media.lit(-_media.LIGHT)),
    _of_pictures("pressed", "strongly compressed", _media.pressed),
    _of_clips("hissing", "noisy", _media.hissing),
    _of_clips("quieter", "20 dB quieter", _media.quieter),
    _of_clips("narrowed", "as over a bad line", _media.narrowed),
    Accident("shuffled", "taken from other rows", tuple(ColumnKind), False, _shuffled),
)
_UNKNOWN, _EMPTY = "shuffled", "missing"
_NOTICEABLE = frozenset(a.code for a in ACCIDENTS if a.noticeable)


@dataclass(frozen=True, eq=False)
class Part:
    """A model and rows that it has not seen.

    Attributes:
        predict: Rows to probabilities (n, K) or values (n,).
        rows: With their target.
    """

    predict: Predict
    rows: Rows


def perturb(
    parts: Sequence[Part],
    dataset: Dataset,
    metric: str,
    direction: Direction,
    *,
    gain: float | None,
    order: Sequence[str] = (),
    confidence: float = 0.95,
    seconds: float = 5.0,
    seed: int = 0,
) -> dict[str, Any]:
    """How much worse the score gets when one column's cells go wrong, column by column.

    Every row is compared with itself (`compare.compare`), so that even small drops show; the
    intervals of all accidents hold jointly (Bonferroni). A column is brittle for an accident that a
    model could notice when the drop is certain, costs at least a fifth of what the model gains over
    the baseline, and is worse than not knowing the column at all (its cells shuffled, where there
    was time for that); for small noise, typos, capitals, and files that people still recognise, the
    last is not asked. Nothing can be told without the only column, so that an empty one is never
    brittle.

    Args:
        parts: Models with rows that they have not seen; their rows are taken together.
        dataset: Of the rows.
        metric: Name of a quality metric.
        direction: Which way it is better.
        gain: How much better than the baseline the model is, above 0; None when not known.
        order: Names of columns that matter, most first; the others follow.
        confidence: With which all drops hold at once, in (0, 1).
        seconds: Wall time to spend; when it is short, columns at the end are left out.
        seed: Of noise and shuffling.

    Returns:
        JSON values: ``metric``, ``rows``, ``columns`` (looked at), ``tried`` (accidents),
        ``confidence``, ``gain``, ``notes`` and ``entries``, the worst first: ``column``, ``code``,
        ``words``, ``small`` (should hardly matter), ``drop`` (in metric units, positive is worse),
        ``low``, ``high``, ``flipped`` (share of rows whose prediction changes), ``brittle`` and
        ``failed`` (why no prediction came back; empty otherwise).
    """
    began = time.perf_counter()
    planned = _planned(dataset.features, order)
    case = _Case(parts, dataset, metric, direction, 1 - (1 - confidence) / max(len(planned), 1))
    entries, done = [], 0
    for place, (column, accident) in enumerate(planned):
        if time.perf_counter() - began > seconds:
            break
        rng = np.random.default_rng([seed, place])
        entries.append(case.measure(column, accident, rng))
        done = place + 1
    unknown = {e["column"]: e["drop"] or 0.0 for e in entries if e["code"] == _UNKNOWN}
    for entry in entries:
        alone = len(dataset.features) == 1
        entry["brittle"] = _is_brittle(entry, unknown.get(entry["column"]), gain, alone)
    left = len({c.name for c, _ in planned[done:]})
    return {
        "metric": metric,
        "rows": sum(len(part.rows) for part in parts),
        "columns": len({c.name for c, _ in planned[:done]}),
        "tried": done,
        "confidence": confidence,
        "gain": gain,
        "notes": [f"Time was up before {left} of the less important columns."] if left else [],
        "entries": sorted(entries, key=lambda e: (not e["failed"], -(e["drop"] or 0.0))),
    }


def _planned(columns: Sequence[Column], order: Sequence[str]) -> list[tuple[Column, Accident]]:
    """Every accident of every column, important columns first."""
    rank = {name: place for place, name in enumerate(order)}
    known = sorted(columns, key=lambda c: rank.get(c.name, len(rank)))
    return [(c, a) for c in known for a in ACCIDENTS if c.kind in a.kinds]


def _is_brittle(
    entry: dict[str, Any], unknown: float | None, gain: float | None, alone: bool
) -> bool:
    """Whether an accident does more harm than it should; `unknown` is the drop when shuffled, None
    where time was up before that."""
    if entry["failed"]:
        return True
    if alone and entry["code"] == _EMPTY:
        return False
    if entry["code"] not in _NOTICEABLE or entry["low"] is None or entry["low"] <= 0:
        return False
    if gain is not None and gain > 0 and entry["drop"] < BRITTLE * gain:
        return False
    worse = unknown is not None and entry["drop"] > max(unknown, 0.0)
    return bool(entry["small"] or worse)


class _Case:
    """What every accident is compared with.

    Args:
        parts: Models with rows that they have not seen.
        dataset: Of the rows.
        metric: Name of a quality metric.
        direction: Which way it is better.
        joint: Confidence of a single drop.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        dataset: Dataset,
        metric: str,
        direction: Direction,
        joint: float,
    ) -> None:
        self.parts, self.dataset, self.metric = parts, dataset, metric
        self.direction, self.joint = direction, joint
        self.y = np.concatenate([part.rows.y for part in parts if part.rows.y is not None])
        grouped = [p.rows.groups for p in parts if p.rows.groups is not None]
        self.groups = np.concatenate(grouped) if grouped else None
        self.clean = np.concatenate([part.predict(part.rows) for part in parts])

    def measure(
        self, column: Column, accident: Accident, rng: np.random.Generator
    ) -> dict[str, Any]:
        """One accident of one column."""
        entry: dict[str, Any] = {"column": column.name, "code": accident.code}
        entry |= {"words": accident.words, "small": accident.small}
        empty = dict.fromkeys(("drop", "low", "high", "flipped"))
        try:
            found = np.concatenate(
                [part.predict(_with(part.rows, column.name, accident, rng)) for part in self.parts]
            )
        except Exception as error:  # noqa: BLE001 - whatever a model raises is the finding
            return {**entry, **empty, "failed": f"{type(error).__name__}: {error}"[:200]}
        if not np.isfinite(found).all():
            return {**entry, **empty, "failed": "the model predicts values that are no numbers"}
        return {**entry, **self._drop(found), "failed": ""}

    def _drop(self, found: np.ndarray) -> dict[str, Any]:
        """How much worse the score is, and how many predictions changed."""
        sign = 1.0 if self.direction is Direction.MAXIMIZE else -1.0
        flipped = float(changed(self.clean, found, self.y, self.metric).mean())
        try:
            made = compare(
                self.metric,
                self.y,
                self.clean,
                found,
                folds=None,
                groups=self.groups,
                direction=self.direction,
                confidence=self.joint,
            )
        except DataError:
            return {"drop": None, "low": None, "high": None, "flipped": flipped}
        low, high = sorted((sign * made.low, sign * made.high))
        return {"drop": sign * made.difference, "low": low, "high": high, "flipped": flipped}


def _with(rows: Rows, column: str, accident: Accident, rng: np.random.Generator) -> Rows:
    changed_column = accident.change(rows.X[column], rng)
    return Rows(rows.X.assign(**{column: changed_column}), rows.y, rows.groups, rows.time)


def changed(before: np.ndarray, after: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    """Which predictions are no longer the same.

    Args:
        before: Probabilities of shape (n, K), counts and sums, or values of shape (n,).
        after: Of the same rows.
        y: Their target, for its shape and spread.
        metric: What is asked; of predictions that are counts and sums it says which count.

    Returns:
        Booleans, shape (n,): another class, other labels, another sum that the metric adds up, or a
        value that moved by more than a tenth of the target's standard deviation.
    """
    table = OF_METRIC.get(metric)
    if table is not None:
        return np.asarray(table.sums(metric, before)[0] != table.sums(metric, after)[0])
    if y.ndim == 2:
        return np.asarray((decided(before) != decided(after)).any(axis=1))
    if before.ndim == 2:
        return np.asarray(labels(before) != labels(after))
    return np.asarray(np.abs(before - after) > MOVED * float(np.std(y)))
