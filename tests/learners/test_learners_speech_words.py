"""Texts in a vocabulary's spelling, best paths, and how far two texts are apart; no torch."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.learners._speech.alphabet import Alphabet, frames_needed, read_alphabet
from attain.learners._speech.edits import character_edits, distance, word_edits

UPPER = Alphabet(("", "", "", "", " ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "'"), 0)
LOWER = Alphabet((" ", *"abcdeß", "ch", ""), 8)


def slow(a: str, b: str) -> int:
    """The definition of the distance, by recursion."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return of(len(a), len(b))


@settings(max_examples=50, deadline=None)
@given(st.text("abc ", max_size=9), st.text("abc ", max_size=9))
def test_the_distance_is_that_of_its_definition(a, b):
    """Characters and words, in both directions, and 0 for equals only."""
    assert character_edits(a, b) == slow(a, b) == character_edits(b, a)
    assert (distance(a, b) == 0) == (a == b)
    words = [{w: chr(i) for i, w in enumerate({*a.split(), *b.split()})}[w] for w in a.split()]
    others = [{w: chr(i) for i, w in enumerate({*a.split(), *b.split()})}[w] for w in b.split()]
    assert word_edits(a, b) == slow("".join(words), "".join(others))


@pytest.mark.parametrize(
    ("alphabet", "text", "said", "unwritable", "silent"),
    [
        (UPPER, " Don’t  stop,\tplease! ", "DON'T STOP PLEASE", {}, 2),
        (UPPER, "twenty-one / ﬁve", "TWENTY ONE FIVE", {}, 0),
        (UPPER, "7% of “it”", "7% OF IT", {"7": 1, "%": 1}, 2),
        (UPPER, "cafe\u0301", "CAFÉ", {"é": 1}, 0),
        (UPPER, "groß", "GROSS", {}, 0),
        (LOWER, "BAD ß each", "bad ß each", {}, 0),
        (LOWER, "...", "", {}, 3),
        (UPPER, "", "", {}, 0),
    ],
)
def test_texts_are_spelled_as_the_vocabulary_can(alphabet, text, said, unwritable, silent):
    """Case, quotes, dashes and ligatures follow; what is spoken and lacks a letter stays."""
    found = alphabet.spell(text)
    assert (found.said.upper(), dict(found.unwritable), found.silent) == (
        said.upper(), unwritable, silent,
    )  # fmt: skip
    assert "ch" not in said or len(found.ids) == len(found.said) - 1


@given(st.lists(st.sampled_from(range(4, 32)), max_size=20), st.data())
def test_any_path_of_a_text_is_read_as_that_text(ids, data):
    """Repeats and blanks may stand anywhere; between equal tokens a blank must."""
    path: list[int] = []
    for i, token in enumerate(ids):
        parted = i > 0 and ids[i - 1] == token
        path += [0] * data.draw(st.integers(int(parted), 2))
        path += [token] * data.draw(st.integers(1, 3))
    assert UPPER.best_path(np.array(path, dtype=int)) == UPPER.text(ids)
    assert frames_needed(np.array(ids, dtype=int)) <= max(1, len(path))


@given(st.text("ABZ' ", max_size=20))
def test_what_can_be_written_is_read_back(text):
    """Spelled, each token in a frame of its own, and read."""
    spelled = UPPER.spell(text)
    frames = [t for token in spelled.ids.tolist() for t in (token, 0)]
    assert UPPER.best_path(np.array(frames, dtype=int)) == spelled.said == " ".join(text.split())
    assert not spelled.unwritable


def test_vocabularies_are_read_from_a_tokenizers_files(tmp_path):
    """Names of specials and delimiter, languages, lower case and added tokens."""
    tokens = {"[PAD]": 3, "_": 0, "A": 1, "B": 2, "<s>": 4}
    (tmp_path / "vocab.json").write_text(json.dumps({"xx": tokens, "yy": {"Q": 0}}))
    told = {"pad_token": {"content": "[PAD]"}, "word_delimiter_token": "_", "target_lang": "xx",
            "do_lower_case": True, "added_tokens_decoder": {"5": {"content": "</s>"}}}  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    found = read_alphabet(tmp_path)
    assert found == Alphabet((" ", "A", "B", "", "", ""), 3, True)
    assert found.spell("b a!").said == "b a"
    assert found.text([2, 0, 1, 4]) == "b a"
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "Q"}))
    (tmp_path / "vocab.json").write_text(json.dumps({"Q": 0, "|": 1, "A": 2}))
    assert read_alphabet(tmp_path) == Alphabet(("", " ", "A"), 0)
