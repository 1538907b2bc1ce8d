"""Accidents to columns: what each does is measured, and only undue harm is called brittle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attain.core.counts import TRANSCRIPTION
from attain.core.types import Column, ColumnKind, Dataset, Direction, Rows, Task
from attain.validate import perturb as perturbing
from attain.validate.perturb import ACCIDENTS, UNSEEN, Part, changed, perturb
from attain.validate.seeds import seed_spread

KINDS = {
    "age": ColumnKind.NUMERIC,
    "useless": ColumnKind.NUMERIC,
    "job": ColumnKind.CATEGORICAL,
    "member": ColumnKind.BOOLEAN,
    "since": ColumnKind.DATETIME,
    "note": ColumnKind.TEXT,
}
CODES = {"office": 0.0, "craft": 1.0, "services": 2.0}


def rows_of(n: int = 400, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"age": rng.normal(50, 10, n), "useless": rng.normal(size=n)})
    X["job"] = pd.Series(rng.choice(list(CODES), n), dtype="str")
    X["member"] = rng.integers(0, 2, n).astype(float)
    X["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    X["note"] = pd.Series(["text"] * n, dtype="str")
    y = X["age"] / 10 + X["job"].map(CODES) + X["member"] + rng.normal(0, 0.3, n)
    return Rows(X, y.to_numpy(float))


def data_of() -> Dataset:
    columns = tuple(Column(name, kind) for name, kind in KINDS.items())
    return Dataset("t", "f", 400, columns, "y", Task.REGRESSION)


def model(rows: Rows) -> np.ndarray:
    """Knows the truth; an empty or unknown cell is taken for the mean."""
    X = rows.X
    job = X["job"].map(CODES).fillna(1.0)
    found = X["age"].fillna(50.0) / 10 + job + X["member"].fillna(0.5)
    return found.to_numpy(float)


def answer(predict: Callable[[Rows], np.ndarray] = model, **more: Any) -> dict[str, Any]:
    parts = [Part(predict, rows_of())]
    asked = {"gain": 1.0, "seconds": 60.0, **more}
    return perturb(parts, data_of(), "rmse", Direction.MINIMIZE, **asked)


def entry(found: dict[str, Any], column: str, code: str) -> dict[str, Any]:
    return next(e for e in found["entries"] if (e["column"], e["code"]) == (column, code))


def test_every_accident_happens_to_every_column_that_it_can() -> None:
    """The table is swept in full: each kind of column gets its accidents, each once."""
    found = {(e["column"], e["code"]) for e in answer()["entries"]}
    assert found == {(n, a.code) for n, kind in KINDS.items() for a in ACCIDENTS if kind in a.kinds}
    assert len(found) == 25


def test_a_column_that_is_not_used_cannot_hurt() -> None:
    """Whatever happens to it, no prediction changes and the drop is exactly zero."""
    for column in ("useless", "since", "note"):
        own = [e for e in answer()["entries"] if e["column"] == column]
        assert own
        assert all(e["drop"] == 0 and e["flipped"] == 0 and not e["brittle"] for e in own)


def test_a_unit_slip_is_brittle_where_an_empty_cell_is_not() -> None:
    """This model takes an empty age for the mean, but believes any number."""
    found = answer()
    assert not entry(found, "age", "missing")["brittle"]
    assert entry(found, "age", "times_10")["brittle"]
    assert entry(found, "age", "times_10")["flipped"] == 1.0


def test_a_plausible_wrong_value_is_no_fault_of_the_model() -> None:
    """Another row's age or another category must mislead, so it is measured but not blamed."""
    found = answer()
    for column, code in (("age", "shuffled"), ("job", "swapped"), ("member", "flipped")):
        assert entry(found, column, code)["low"] > 0
        assert not entry(found, column, code)["brittle"]


def test_a_model_that_hangs_on_tiny_differences_is_brittle_to_noise() -> None:
    """Noise of a twentieth of the spread is enough to blame a model that magnifies it."""

    def nervous(rows: Rows) -> np.ndarray:
        return model(rows) + 20 * np.sin(200 * rows.X["useless"].to_numpy(float))

    calm = answer()
    assert not entry(calm, "age", "noise")["brittle"]
    rows = replace(rows_of(), y=nervous(rows_of()))
    parts = [Part(nervous, rows)]
    found = perturb(parts, data_of(), "rmse", Direction.MINIMIZE, gain=1.0, seconds=60.0)
    assert entry(found, "useless", "noise")["brittle"]


def test_a_model_that_breaks_is_the_worst_finding() -> None:
    """An error or a value that is no number is told first, with what was raised."""

    def fragile(rows: Rows) -> np.ndarray:
        if (rows.X["job"] == UNSEEN).any():
            raise ValueError("never seen before")
        return model(rows) + np.where(rows.X["since"].isna(), np.nan, 0.0)

    first = answer(fragile)["entries"][:2]
    assert {(e["column"], e["code"]) for e in first} == {("job", "unseen"), ("since", "missing")}
    assert all(e["brittle"] for e in first)
    assert any("never seen before" in e["failed"] for e in first)


def test_the_gain_decides_how_much_harm_is_much() -> None:
    """The same drop is undue when there was little to lose, and bearable when there was much."""
    assert entry(answer(gain=1.0), "age", "times_10")["brittle"]
    assert not entry(answer(gain=1e6), "age", "times_10")["brittle"]


def test_time_cuts_the_less_important_columns() -> None:
    """With no time at all nothing is measured, and the answer says how much was left out."""
    found = answer(seconds=0.0, order=["member"])
    assert found["entries"] == []
    assert found["notes"] == ["Time was up before 6 of the less important columns."]


def test_the_order_and_the_seed_are_obeyed() -> None:
    """Important columns are looked at first; another seed draws other noise."""
    parts = [Part(model, rows_of())]
    seen: list[str] = []

    def watching(rows: Rows) -> np.ndarray:
        same = [c for c in KINDS if not rows.X[c].equals(parts[0].rows.X[c])]
        seen.extend(same)
        return model(rows)

    answer(watching, order=["member", "job"])
    assert list(dict.fromkeys(seen))[:2] == ["member", "job"]
    drops = [entry(answer(seed=s), "age", "noise")["drop"] for s in (0, 0, 1)]
    assert drops[0] == drops[1] != drops[2]


def test_without_an_effect_no_drop_is_called_certain() -> None:
    """Where changed cells move predictions at random, neither for better nor for worse, at most 2
    of 20 studies call any drop certain: the intervals hold jointly."""
    wrong = 0
    for seed in range(20):
        base = replace(rows_of(seed=seed), y=np.random.default_rng(seed).choice([-1.0, 1.0], 400))

        def aimless(rows: Rows, base: Rows = base, seed: int = seed) -> np.ndarray:
            found = np.zeros(len(rows))
            for place, name in enumerate(KINDS):
                same = rows.X[name].equals(base.X[name])
                luck = np.random.default_rng([seed, place]).normal(size=len(rows))
                found += 0.0 if same else 0.3 * luck
            return found

        parts = [Part(aimless, base)]
        made = perturb(parts, data_of(), "mae", Direction.MINIMIZE, gain=None, seconds=60.0)
        wrong += any(e["low"] > 0 for e in made["entries"])
    assert wrong <= 2


def test_a_changed_prediction_is_another_class_or_a_clear_move() -> None:
    """Probabilities may move within their class, values by a tenth of the spread; counts not."""
    before = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    after = np.array([[0.6, 0.4], [0.4, 0.6], [0.4, 0.6]])
    assert changed(before, after, np.zeros(3), "accuracy").tolist() == [False, True, False]
    y = np.array([0.0, 10.0, 20.0])
    moved = changed(y, y + np.array([0.5, 0.9, 5.0]), y, "rmse")
    assert moved.tolist() == [False, True, True]
    heard = np.zeros((3, len(TRANSCRIPTION.columns)))
    other = heard.copy()
    other[1, TRANSCRIPTION.place("word_edits")] = 1
    other[2, TRANSCRIPTION.place("loss")] = 1
    again = changed(heard, other, np.zeros(3), "word_error_rate")
    assert again.tolist() == [False, True, False]


def test_seeds_that_agree_are_called_the_same() -> None:
    """Without randomness the spread is zero and nothing is unstable."""
    y = np.arange(50.0)
    made = seed_spread("rmse", y, [y + 1, y + 1], half_width=0.1)
    assert made["same"]
    assert made["spread"] == 0
    assert not made["unstable"]


@pytest.mark.parametrize(("noise", "unstable"), [(0.3, False), (30.0, True)])
def test_seeds_matter_when_they_change_predictions(noise: float, unstable: bool) -> None:
    """Small differences between seeds are reported, large ones are a warning."""
    rng = np.random.default_rng(0)
    y = rng.normal(0, 10, 200)
    fits = [y + rng.normal(0, noise, 200) for _ in range(4)]
    made = seed_spread("rmse", y, fits, half_width=1e3)
    assert made["unstable"] is unstable
    assert (made["changed"] > 0.1) is unstable
    assert made["low"] <= made["mean"] <= made["high"]


def test_a_new_seed_s_score_lies_within_the_stated_range() -> None:
    """The range over 4 seeds holds a fifth seed's score in about 95 of 100 cases."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=100)
    hits = 0
    for _ in range(200):
        levels = rng.normal(1.0, 0.05, 5)
        fits = [y + level for level in levels]
        made = seed_spread("mae", y, fits[:4], half_width=None)
        hits += made["low"] <= levels[4] <= made["high"]
    assert 180 <= hits <= 199


TEXTS = (
    "This is an Excellent film, really!",
    "bad",
    "",
    "don't go there",
    "die Straße ist schön",
    "a1b2 12345",
)


def text_accident(code: str, seed: int = 0, texts: tuple[str | None, ...] = TEXTS) -> list[Any]:
    """The texts after an accident."""
    change = next(a for a in ACCIDENTS if a.code == code).change
    values = pd.Series(list(texts), dtype="str", index=range(5, 5 + len(texts)))
    found = change(values, np.random.default_rng(seed))
    assert isinstance(found, pd.Series)
    assert found.dtype == values.dtype
    assert list(found.index) == list(values.index)
    return list(found)


def test_typos_are_one_slip_in_a_share_of_the_longer_words() -> None:
    """Words keep their edges and length; about one in five changes; digits and blanks never do."""
    words = ("different", "letters", "everywhere", "Wonderful")
    long = tuple(" ".join(words) for _ in range(500))
    found = text_accident("typos", texts=long)
    pairs = [(b, a) for text in found for b, a in zip(words, text.split(), strict=True)]
    slips = [(b, a) for b, a in pairs if b != a]
    assert 0.16 < len(slips) / len(pairs) < 0.24
    for before, after in slips:
        differ = [i for i in range(len(before)) if before[i] != after[i]]
        assert len(before) == len(after)
        assert 0 < differ[0] <= differ[-1] < len(before) - 1
        swapped = len(differ) == 2 and sorted(before) == sorted(after)
        assert swapped or len(differ) == 1
    assert {len([i for i in range(len(b)) if b[i] != a[i]]) for b, a in slips} == {1, 2}


def test_typos_repeat_with_their_seed_and_spare_short_words() -> None:
    """The same seed gives the same slips, another one others; nothing else is touched."""
    many = TEXTS * 20
    assert text_accident("typos", 1, many) == text_accident("typos", 1, many)
    assert text_accident("typos", 1, many) != text_accident("typos", 2, many)
    for seed in range(10):
        found = text_accident("typos", seed)
        assert [found[1], found[2], found[5]] == ["bad", "", "a1b2 12345"]


def test_capitals_and_halves_change_what_they_should() -> None:
    """Every letter is a capital; the first half of the words stays, the odd one with it."""
    assert text_accident("capitals") == [text.upper() for text in TEXTS]
    assert text_accident("halved")[:4] == ["This is an", "bad", "", "don't go"]
    for code in ("typos", "capitals", "halved"):
        missing = text_accident(code, texts=("some words here", None))
        assert pd.isna(missing[1])


def only_text(predict: Callable[[Rows], np.ndarray]) -> dict[str, Any]:
    """Accidents of the only column, to a model whose answers are the truth."""
    rng = np.random.default_rng(0)
    notes = [" ".join(rng.choice(["awful", "splendid", "plain"], 9)) for _ in range(300)]
    rows = Rows(pd.DataFrame({"note": pd.Series(notes, dtype="str")}))
    rows = replace(rows, y=predict(rows))
    dataset = Dataset("t", "f", 300, (Column("note", ColumnKind.TEXT),), "y", Task.REGRESSION)
    return perturb(
        [Part(predict, rows)], dataset, "rmse", Direction.MINIMIZE, gain=1.0, seconds=60.0
    )


def splendour(rows: Rows) -> np.ndarray:
    """How often a word is said, as it is written."""
    texts = rows.X["note"].fillna("")
    return np.array([float(text.split().count("splendid")) - 3.0 for text in texts])


def test_nobody_is_blamed_for_an_empty_only_column() -> None:
    """It is measured, and costs more than shuffling; with another column it would be blamed."""

    def lost(rows: Rows) -> np.ndarray:
        return np.where(rows.X["note"].isna(), 50.0, splendour(rows))

    empty = entry(only_text(lost), "note", "missing")
    assert empty["low"] > entry(only_text(lost), "note", "shuffled")["high"]
    assert not empty["brittle"]

    def broken(rows: Rows) -> np.ndarray:
        return np.where(rows.X["note"].isna(), np.nan, splendour(rows))

    assert entry(only_text(broken), "note", "missing")["brittle"]


def test_small_slips_in_texts_are_blamed_when_they_cost_much() -> None:
    """A model that reads letters as they are written is brittle; one that does not care is not."""
    found = only_text(splendour)
    assert entry(found, "note", "capitals")["brittle"]
    assert entry(found, "note", "capitals")["small"]

    def careless(rows: Rows) -> np.ndarray:
        lower = rows.X["note"].fillna("").str.lower()
        return splendour(Rows(rows.X.assign(note=lower)))

    assert entry(only_text(careless), "note", "capitals")["drop"] == 0


def test_nothing_is_called_worse_than_what_was_not_measured() -> None:
    """When time was up before a column's cells were shuffled, no harm is compared with none."""
    harm = {"code": "times_10", "failed": "", "drop": 0.3, "low": 0.2, "small": False}
    assert perturbing._is_brittle(harm, 0.1, 0.5, False)
    assert not perturbing._is_brittle(harm, None, 0.5, False)
    assert perturbing._is_brittle({**harm, "small": True}, None, 0.5, False)
