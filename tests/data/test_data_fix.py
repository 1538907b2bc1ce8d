"""What is safe to mend is mended into a new file, counted, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_tables import answers, clean, prose, sentences

from attain.core.errors import SpecError
from attain.core.types import FindingState
from attain.data.fix import check_new, mend, write_frame
from attain.data.infer import describe
from attain.data.load import load_frame

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet", ".arrow")


def mended(columns, **roles):
    """The mended frame, and repairs by code."""
    frame = load_frame(columns)
    before = frame.copy()
    after, repairs = mend(frame, describe(frame, target="y", **roles))
    pd.testing.assert_frame_equal(frame, before)
    return after, {r.code: r for r in repairs}


def test_sound_rows_stay_as_they_are():
    """Nothing is found, and each remedy says so with a count of 0."""
    frame = load_frame(clean())
    after, repairs = mended(clean())
    pd.testing.assert_frame_equal(after, frame)
    assert {code: r.count for code, r in repairs.items()} == dict.fromkeys(
        ["D028", "D012", "D013", "D018"], 0
    )


def test_each_remedy_mends_what_its_check_finds():
    """After mending the checks pass, and the counts are those that were planted."""
    rng = np.random.default_rng(0)
    table = clean(c=rng.choice(["red", "blue"], 400))
    table.loc[:4, "c"] = ["Red", "red ", "RED", "r_ed", "BLUE"]
    table["d"] = np.where(np.arange(400) < 30, "cafÃ©", "tea")
    table["e"] = np.where(np.arange(400) < 7, "N/A", rng.choice(["up", "down"], 400))
    table = pd.concat([table, table.tail(25)], ignore_index=True)
    before = answers(table)
    after, repairs = mended(table)
    assert repairs["D012"].columns == {"c": 4}
    assert repairs["D028"].columns == {"d": 30}
    assert repairs["D013"].columns == {"e": 7}
    assert (repairs["D018"].count, len(after)) == (25, 400)
    assert repairs["D018"].rows == tuple(range(400, 420))
    assert repairs["D028"].rows == tuple(range(20))
    assert set(after["c"]) == {"red", "blue", "r_ed"}
    assert after["e"].isna().sum() == 7
    found = answers(after)
    for code in ("D012", "D028", "D018"):
        assert before[code].state is FindingState.FOUND
        assert found[code].state is FindingState.PASSED


def test_the_most_frequent_spelling_is_kept_without_blanks():
    """Ties go to the one without blanks at its ends, then to the first by name."""
    after, _ = mended(clean(c=["New York", "new_york", " New York"] * 133 + ["Rome"]))
    assert set(after["c"]) == {"New York", "Rome"}
    after, _ = mended(clean(c=["up ", "Up", "down"] * 133 + ["down"]))
    assert set(after["c"]) == {"Up", "down"}


def test_classes_and_doubtful_words_are_left_alone():
    """Spellings of the target, and words that may be answers, are not guessed."""
    table = clean(c=["unknown", "None", "u", "-"] * 100, y=["Yes", "yes"] * 200)
    after, repairs = mended(table)
    assert after["c"].tolist() == load_frame(table)["c"].tolist()
    assert after["y"].tolist() == table["y"].tolist()
    assert repairs["D012"].count == repairs["D013"].count == 0


def test_texts_are_mended_and_not_respelt():
    """Wrong encodings in running text are read again; case and blanks stay."""
    texts = [f"{t} cafÃ©" if i < 9 else t.title() for i, t in enumerate(sentences(400))]
    after, repairs = mended(prose(t=texts))
    assert repairs["D028"].count == 9
    assert after["t"].tolist() == [t.replace("Ã©", "é") for t in texts]


def test_copies_differ_in_group_or_time_and_stay():
    """The same values of another person or day are no copy; rows without a target stay."""
    table = pd.concat([clean(), clean().head(40)], ignore_index=True)
    table["who"] = np.arange(440) % 44
    assert len(mended(table, groups="who")[0]) == 440
    day = pd.date_range("2024-01-01", periods=440)
    assert len(mended(table.assign(day=day), time="day", ignore=["who"])[0]) == 440
    table["y"] = table["y"].where(np.arange(440) > 9)
    assert len(mended(table, ignore=["who"])[0]) == 440 - 30
    chance = pd.DataFrame({"a": [0, 1] * 200, "y": ["k", "l"] * 200})
    assert len(mended(chance)[0]) == 400


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mended_file_reads_as_its_frame(suffix, tmp_path: Path):
    """Every format that can be written is read back with the same cells and kinds."""
    table = clean(200, d=pd.date_range("2024-01-01", periods=200), t=sentences(200))
    table["e"] = np.where(np.arange(200) % 3, None, 'x,"y"\té')
    frame = load_frame(table)
    write_frame(frame, tmp_path / f"out{suffix}")
    back = load_frame(tmp_path / f"out{suffix}")
    kinds = [(c.name, c.kind, c.missing, c.distinct) for c in describe(frame, target="y").columns]
    again = [(c.name, c.kind, c.missing, c.distinct) for c in describe(back, target="y").columns]
    assert kinds == again
    assert np.allclose(back["a"], frame["a"], rtol=0, atol=1e-9)


def test_nothing_is_overwritten(tmp_path: Path):
    """An existing file is refused and stays as it was; so is a suffix that is not known."""
    there = tmp_path / "there.csv"
    there.write_text("mine")
    with pytest.raises(
        SpecError, match=r"mended data go to a new file.*it exists.*nothing is over"
    ):
        write_frame(clean(), there)
    assert there.read_text() == "mine"
    with pytest.raises(SpecError, match=r"can be written as text, Parquet or Arrow.*\.xlsx"):
        check_new(tmp_path / "new.xlsx")
