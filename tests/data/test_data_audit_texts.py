"""Each check of texts finds what was planted at three strengths, passes, or does not apply."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_tables import N, amounts, answer, answers, clean, edited, prose, sentences

from attain.core.types import FindingState, Severity
from attain.data import marks, near
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.seal import make_seal, sealed_summary

FOUND, PASSED, NOT = FindingState.FOUND, FindingState.PASSED, FindingState.NOT_APPLICABLE
ISSUE, TIP = Severity.ISSUE, Severity.TIP
CODES = {f"D{i:03d}" for i in range(26, 35)}
GERMAN = "Der Hund ist nicht auf dem Sofa und die Katze sitzt mit ihm auf einem Stuhl, sich wird"


def _texts(share, change):
    return prose(t=edited(sentences(N), share, change))


def _near(share, flip=False):
    """Copies of the first rows with a word changed, put below."""
    table = prose()
    copies = table.head(round(share * N)).copy()
    copies["t"] = [text.replace("the ", "the very ", 1) + " indeed" for text in copies["t"]]
    copies["t"] = [text.replace(" indeed", "") for text in copies["t"]]
    if flip:
        copies["y"] = copies["y"].map({"no": "yes", "yes": "no"})
    return pd.concat([table, copies], ignore_index=True)


def _told(share):
    """So large a share of one class carries a mark."""
    table = prose()
    yes = np.flatnonzero(table["y"] == "yes")
    marked = set(yes[: round(share * len(yes))])
    table["t"] = [f"[ok] {t}" if i in marked else t for i, t in enumerate(table["t"])]
    return table


# code, what is planted at a share, then (share, state, severity, words) from weak to strong
STRENGTHS = [
    ("D026", lambda s: _texts(s, lambda _: "-"),
     [(0.0, PASSED, TIP, "every text"), (0.005, FOUND, TIP, "'t' 2"),
      (0.2, FOUND, ISSUE, "'t' 80")]),
    ("D027", lambda s: _texts(s, lambda t: " ".join([t] * 40)),
     [(0.0, PASSED, TIP, "none is long"), (0.005, FOUND, TIP, "2 texts"),
      (0.2, FOUND, ISSUE, "80 texts (20.0%)")]),
    ("D028", lambda s: _texts(s, lambda t: t + " cafÃ©"),
     [(0.0, PASSED, TIP, "no trace"), (0.005, FOUND, TIP, "wrong encoding in 2 cells"),
      (0.2, FOUND, ISSUE, "wrong encoding in 80 cells")]),
    ("D028", lambda s: _texts(s, lambda t: f"<p>{t}</p>\ufffd\x92"),
     [(0.005, FOUND, TIP, "HTML in 2"), (0.05, FOUND, ISSUE, "replacement characters in 20"),
      (0.2, FOUND, ISSUE, "control characters in 80")]),
    ("D029", lambda s: _texts(s, lambda t: GERMAN + t[-9:]),
     [(0.0, PASSED, TIP, "one language (English)"), (0.02, FOUND, TIP, "German 8"),
      (0.3, FOUND, ISSUE, "German 120")]),
    ("D029", lambda s: _texts(s, lambda t: "Мы идём домой " + t[-9:]),
     [(0.01, FOUND, TIP, "Cyrillic 4"), (0.1, FOUND, TIP, "Cyrillic 40"),
      (0.3, FOUND, ISSUE, "Cyrillic 120")]),
    ("D030", _near,
     [(0.0, PASSED, TIP, "no two texts"), (0.0025, FOUND, TIP, "2 rows"),
      (0.25, FOUND, ISSUE, "200 rows (40.0%)")]),
    ("D031", lambda s: _near(s, flip=True),
     [(0.0, PASSED, TIP, "all of 0"), (0.0025, FOUND, TIP, "1 of 1 pairs"),
      (0.25, FOUND, ISSUE, "100 of 100 pairs")]),
    ("D033", lambda s: _texts(s, lambda t: t + " jo@example.org"),
     [(0.0, PASSED, TIP, "no address"), (0.005, FOUND, TIP, "e-mail addresses in 2"),
      (0.2, FOUND, ISSUE, "e-mail addresses in 80")]),
    ("D033", lambda s: _texts(s, lambda t: t + " 4111 1111 1111 1111"),
     [(0.0025, FOUND, ISSUE, "card numbers in 1"), (0.05, FOUND, ISSUE, "card numbers in 20"),
      (0.2, FOUND, ISSUE, "card numbers in 80")]),
    ("D034", _told,
     [(0.0, PASSED, TIP, "no single word"), (0.6, FOUND, ISSUE, "'[ok]' is in 60%"),
      (1.0, FOUND, ISSUE, "'[ok]' is in 100%")]),
]  # fmt: skip
CASES = [(code, plant, *step) for code, plant, steps in STRENGTHS for step in steps]


@pytest.mark.parametrize(("code", "plant", "share", "state", "severity", "words"), CASES)
def test_faults_of_texts_at_three_strengths(code, plant, share, state, severity, words):
    """What is planted in more rows is found at a higher severity, with rows and a remedy."""
    finding = answer(code, plant(share))
    assert (finding.state, finding.severity) == (state, severity), finding
    assert words in finding.explanation
    assert len(finding.rows) <= 20
    if state is FOUND:
        assert finding.remedy
        assert finding.rows
        assert finding.columns == ("t",)


def test_rows_of_evidence_are_those_that_were_planted():
    """The first twenty changed rows are named, no other."""
    table = _texts(0.1, lambda t: f"<div>{t}</div> call +44 20 7946 0958, cafÃ©")
    found = answers(table)
    for code in ("D028", "D033"):
        assert found[code].rows == tuple(range(20))
    assert "7946" not in str(found["D033"])


def test_checks_of_texts_do_not_apply_to_tables():
    """Without a column of text each one says so; categories are still read for damage."""
    for make in (clean, amounts):
        found = answers(make())
        assert {c for c in CODES if found[c].state is NOT} == CODES - {"D028", "D033"}
        assert found["D028"].state is found["D033"].state is PASSED
    damaged = answer("D028", clean(c=["cafÃ©", "tea"] * (N // 2)))
    assert (damaged.state, damaged.columns) == (FOUND, ("c",))


def test_labels_are_for_classes():
    """Labels of near-copies and words that tell them do not apply where the target is a number."""
    found = answers(prose(y=np.random.default_rng(0).normal(size=N)))
    assert found["D031"].state is found["D034"].state is NOT


def test_topics_are_no_leaks_and_marks_are():
    """With several classes a frequent topic word is no finding, a mark or a told name is one."""
    y = np.random.default_rng(0).choice(["sport", "law", "art"], N)
    topic = {"sport": "goals", "law": "", "art": ""}
    words = [f"{t} {topic[c]}" for t, c in zip(sentences(N), y, strict=True)]
    assert answer("D034", prose(t=words, y=y)).state is PASSED
    marked = [f"{t} __{c}__" if c == "art" else t for t, c in zip(sentences(N), y, strict=True)]
    assert "'__art__'" in answer("D034", prose(t=marked, y=y)).explanation
    named = [f"{t} {c}" for t, c in zip(sentences(N), y, strict=True)]
    assert "'law'" in answer("D034", prose(t=named, y=y)).explanation


def test_words_of_a_large_class_are_no_labels():
    """Where nearly all rows are of one class, words that are everywhere are no finding."""
    assert answer("D034", prose(1000, y=["no"] * 985 + ["yes"] * 15)).state is PASSED


@pytest.mark.parametrize(
    ("sealed", "state", "severity", "words"),
    [
        ({}, NOT, TIP, "no sealed text"),
        ({"near_overlap": 0, "near_compared": 80}, PASSED, TIP, "none of 80"),
        ({"near_overlap": 1, "near_compared": 1000}, FOUND, TIP, "1 of 1,000"),
        ({"near_overlap": 9, "near_compared": 80}, FOUND, ISSUE, "9 of 80"),
    ],
)
def test_near_overlap_reads_counts_of_the_seal(sealed, state, severity, words):
    """D032 knows of sealed texts only how many have a near-copy."""
    finding = answer("D032", prose(), sealed)
    assert (finding.state, finding.severity) == (state, severity)
    assert words in finding.explanation


@pytest.mark.parametrize("copies", [0, 7, 60])
def test_the_sealing_step_counts_near_copies(copies, tmp_path: Path):
    """Of the user's own test rows those with a near-copy are counted, equal ones apart."""
    train = prose()
    test = prose(t=sentences(N, seed=9)).head(80)
    test.loc[: copies - 1, "t"] = [t.replace("the ", "the very ", 1) for t in train["t"][:copies]]
    test.loc[70:, "t"] = train["t"][70:80].tolist()
    frame = load_frame(train)
    _, seal = make_seal(frame, describe(frame, target="y"), tmp_path, test_frame=test)
    summary = sealed_summary(seal)
    assert (summary["near_overlap"], summary["overlap"]) == (copies, 10)
    assert summary["near_compared"] == 80


@pytest.mark.parametrize("seed", range(5))
def test_near_pairs_are_those_of_brute_force(seed):
    """All pairs of similar texts are found, and only those, however much was edited."""
    rng = np.random.default_rng(seed)
    texts = sentences(150, seed)
    for text in sentences(150, seed)[:60]:
        words = text.split()
        for place in rng.integers(len(words), size=rng.integers(1, 4)):
            words[place] = rng.choice(["other", "words", "here"])
        texts.append(" ".join(words))
    seen = near.shingles(texts)
    sets = [set(seen.hashes[seen.text == i].tolist()) for i in range(len(texts))]
    every = itertools.combinations(range(len(texts)), 2)
    truth = {(i, j) for i, j in every if len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j])}
    assert len(truth) > 10
    assert {tuple(map(int, pair)) for pair in near.near_pairs(texts)} == truth


def test_shingles_fold_case_punctuation_and_blanks():
    """Texts that differ in these only are the same; other texts share nothing."""
    one, same, other, short = (
        set(near.shingles([text]).hashes.tolist())
        for text in ("Hello,  World! Again", "hello world again", "quite unlike that", "hey")
    )
    assert one >= same
    assert len(one - same) <= 1
    assert not one & other
    assert not short


def test_too_many_characters_are_sampled_by_hash():
    """Beyond the limit the same rows are compared, whatever their order."""
    texts = np.array(sentences(200), dtype=object)
    order = np.random.default_rng(0).permutation(200).astype("uint64")
    few = near.near_copies(texts, order, most=4_000)
    turned = near.near_copies(texts[::-1], order[::-1], most=4_000)
    assert 0 < len(few.rows) < 60
    assert set(texts[few.rows]) == set(texts[::-1][turned.rows])


@pytest.mark.parametrize(
    "text", ["café crème", "it’s “good” – so", "Привет", "😀 ok", "£5", "naïve Ö"]
)
def test_wrong_encodings_are_found_and_mended(text):
    """UTF-8 read as Windows-1252 is read back, also when it happened twice; right text stays."""
    wrong = "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode("utf-8")
    )
    assert marks.MOJIBAKE.search(wrong)
    assert marks.repaired(wrong) == text
    assert marks.repaired(text) == text
    assert not marks.MOJIBAKE.search(text)


@pytest.mark.parametrize("text", ["beauté\u00a0» dit-il", "« café”…", "ESPAÑA", "Größe–", "日本語"])
def test_right_text_is_not_mended(text):
    """Accented letters before signs are no traces of a wrong encoding."""
    assert marks.repaired(text) == text
    assert not marks.MOJIBAKE.search(text)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("e-mail addresses", "to jo.b+x@mail.example.org.", "at 5 @home, a@b"),
        ("card numbers", "4111-1111-1111-1111", "4111-1111-1111-1112"),
        ("IBANs", "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("telephone numbers", "(212) 555-0187", "2125550187 or 12-5"),
        ("telephone numbers", "+49 30 901820", "+5 points"),
        ("IP addresses", "from 192.168.7.21", "version 1.2.3.4.5 or 300.1.1.1"),
        ("IP addresses", "2001:db8:0:0:1:0:0:1", "at 10:30:00, 127.0.0.1"),
    ],
)
def test_personal_data_pass_their_own_checks(kind, right, wrong):
    """Numbers with a wrong check digit, times, versions and points are none."""
    count = max(20, N // 10)
    for text, state in ((right, FOUND), (wrong, PASSED)):
        finding = answer("D033", prose(t=edited(sentences(N), 0.1, lambda t, x=text: f"{t} {x}")))
        assert finding.state is state, finding
    assert answer("D033", prose(t=edited(sentences(N), 0.1, lambda t: f"{t} {right}"))).evidence[
        "cells"
    ] == {kind: count}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the cat is on the table and it sleeps", "English"),
        ("le chat est dans la maison et il dort pour une heure", "French"),
        ("el perro no es para los que se van con una correa", "Spanish"),
        ("Это просто текст", "Cyrillic"),
        ("これは日本語です", "Japanese"),
        ("这是中文", "Han"),
        ("xyzzy 42", ""),
    ],
)
def test_languages_are_told_by_their_words(text, language):
    """Other scripts by their letters, Latin ones by function words, and nothing is guessed."""
    assert marks.language_of(text) == language


def test_large_tables_of_texts_are_sampled_and_say_so():
    """Above 50,000 rows damage is counted on a sample, and the finding says of how many."""
    n = 60_000
    texts = np.array(sentences(600), dtype=object)
    table = pd.DataFrame({"t": [f"{t} &amp; {i}" for i, t in enumerate(np.resize(texts, n))]})
    table["y"] = np.random.default_rng(0).choice(["no", "yes"], n)
    assert "of 50,000 looked at" in answer("D028", table).explanation
