"""What a network can write: its vocabulary of characters, and texts in its spelling.

Needs no torch. A text is brought to the vocabulary character by character: as it is, in the case
that the vocabulary has, or by a plainer sign for the same. Punctuation is not spoken, so where the
vocabulary lacks it, it is left out of the truth, too. A letter, a digit or a sign that is spoken
and cannot be written stays in the truth: it is counted, and no model with this vocabulary gets it
right.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError

VOCABULARY = "vocab.json"
FILES = (VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Of a tokenizer of characters; all but the first may be missing."""
_SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
_BLANK = " "
_SPOKEN = frozenset("%&@#§¶*")
"""Counted as punctuation by Unicode, but read aloud."""
_PLAINER = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"',
     "»": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "…": "."}
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spelled:
    """A text as a vocabulary writes it.

    Attributes:
        said: The truth that transcripts are held against: in the vocabulary's spelling, single
            blanks between words, without punctuation that the vocabulary lacks.
        ids: Tokens of it, int64, shape (n,); without what cannot be written.
        unwritable: Spoken characters that the vocabulary lacks, and how often each.
        silent: How many signs of punctuation were left out.
    """

    said: str
    ids: np.ndarray
    unwritable: Mapping[str, int]
    silent: int


@dataclass(frozen=True)
class Alphabet:
    """A vocabulary of characters.

    Attributes:
        tokens: Text of each token by its number; specials are empty, the delimiter is a blank.
        blank: Number of the token that stands for "nothing new".
        lowers: Whether the tokenizer writes in lower case what its vocabulary has in upper case.
    """

    tokens: tuple[str, ...]
    blank: int
    lowers: bool = False

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: i for i, text in enumerate(self.tokens) if text}

    @cached_property
    def _pieces(self) -> re.Pattern[str]:
        """Tokens of several characters, longer ones first, or any character."""
        known = sorted(self._longer.values(), key=lambda text: (-len(text), text))
        return re.compile("|".join([*map(re.escape, known), r"[\s\S]"]), re.IGNORECASE)

    @cached_property
    def _longer(self) -> dict[str, str]:
        return {text.casefold(): text for text in self._numbers if len(text) > 1}

    @cached_property
    def _written(self) -> dict[str, str | None]:
        """Spellings that were looked up."""
        return {}

    def spell(self, text: str) -> Spelled:
        """A text in the vocabulary's spelling.

        Args:
            text: Any.

        Returns:
            Its tokens, and what it loses.
        """
        made: list[str] = []
        unwritable: Counter[str] = Counter()
        silent = 0
        for piece in self._pieces.findall(unicodedata.normalize("NFC", text)):
            spelling = self._spelling(piece)
            if spelling is None:
                unwritable[piece] += 1
                made.append(piece)
            else:
                silent += not spelling
                made.append(spelling)
        said = _BLANK.join("".join(made).split())
        if _BLANK not in self._numbers:
            said = said.replace(_BLANK, "")
        known = (self._numbers.get(piece) for piece in self._pieces.findall(said))
        ids = np.array([i for i in known if i is not None], dtype=np.int64)
        return Spelled(said.lower() if self.lowers else said, ids, dict(unwritable), silent)

    def _spelling(self, piece: str) -> str | None:
        """How it is written; empty if it is silent, None if it cannot be written."""
        if piece not in self._written:
            longer = self._longer.get(piece.casefold())
            self._written[piece] = longer or self._look_up(piece)
        return self._written[piece]

    def _look_up(self, character: str) -> str | None:
        if character.isspace():
            return _BLANK
        plain = character.translate(_PLAINER)
        compatible = unicodedata.normalize("NFKC", character)
        for form in dict.fromkeys((character, plain, compatible)):
            for cased in (form, form.upper(), form.lower()):
                if all(part in self._numbers for part in cased):
                    return cased
        kind = unicodedata.category(character)
        if kind == "Pd" or character in "/\\|":
            return _BLANK
        silent = kind[0] in "PC" and character not in _SPOKEN
        return "" if silent else None

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say; single blanks between words, specials left out."""
        said = _BLANK.join("".join(self.tokens[i] for i in ids).split())
        return said.lower() if self.lowers else said

    def best_path(self, best: np.ndarray) -> str:
        """The text of the most probable token of each frame.

        Best path decoding (Graves et al. 2006, section 3.2): repeats become one token, then blanks
        go; so a blank between two equal tokens keeps both.

        Args:
            best: Tokens, shape (frames,).

        Returns:
            The text.
        """
        best = np.asarray(best)
        new = np.ones(len(best), dtype=bool)
        new[1:] = best[1:] != best[:-1]
        return self.text(best[new & (best != self.blank)].tolist())


def frames_needed(ids: np.ndarray) -> int:
    """Frames that a text takes at least: one a token, and a blank between equal ones.

    Args:
        ids: Tokens, shape (n,).

    Returns:
        At least 1.
    """
    return max(1, len(ids) + int((ids[1:] == ids[:-1]).sum()))


def read_alphabet(folder: Path) -> Alphabet:
    """The vocabulary of a checkpoint.

    Args:
        folder: With `FILES`.

    Returns:
        The vocabulary.

    Raises:
        ArtifactError: When it is missing, damaged, or no vocabulary of characters.
    """
    told = {name: _object(folder, name) for name in FILES if (folder / name).is_file()}
    if VOCABULARY not in told:
        raise ArtifactError(
            f"{folder} has no {VOCABULARY}, so what it writes is not known — name a model of speech"
            " with a vocabulary of characters, or copy its tokenizer's files"
        )
    config = told.get(FILES[1], {})
    numbers = _numbers(told[VOCABULARY], config.get("target_lang"), folder)
    numbers |= _added(told, config)
    specials = {kind: _special(told, kind) for kind in _SPECIAL}
    if specials["pad"] not in numbers:
        raise ArtifactError(
            f"the vocabulary in {folder} lacks {specials['pad']!r}, which stands for nothing new"
            " — use the tokenizer that belongs to the weights"
        )
    delimiter = str(config.get("word_delimiter_token") or "|")
    tokens = [""] * (max(numbers.values()) + 1)
    for text, i in numbers.items():
        marked = text in specials.values() or re.fullmatch(r"<[^<>]+>|\[[^\[\]]+\]", text)
        tokens[i] = _BLANK if text == delimiter else "" if marked else text
    return Alphabet(tuple(tokens), numbers[specials["pad"]], bool(config.get("do_lower_case")))


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error}) — get it anew") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{folder / name} must be a JSON object — get it anew")
    return found


def _numbers(told: Mapping[str, Any], language: object, folder: Path) -> dict[str, int]:
    """Number of each token; of several languages those of the one that is set."""
    if told and all(isinstance(part, dict) for part in told.values()):
        if language not in told:
            raise ArtifactError(
                f"the vocabulary in {folder} is of {len(told)} languages, and none of them is set"
                " — write its target_lang into tokenizer_config.json"
            )
        told = told[str(language)]
    found = {text: i for text, i in told.items() if isinstance(i, int) and i >= 0}
    if len(found) < len(told) or len(set(found.values())) < len(found) or not found:
        raise ArtifactError(
            f"the vocabulary in {folder} must give each token a number of its own — get it anew"
        )
    return found


def _added(told: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, int]:
    """Tokens that stand in other files than the vocabulary."""
    listed = config.get("added_tokens_decoder", {})
    found = {str(about["content"]): int(i) for i, about in listed.items()}
    return found | {str(text): int(i) for text, i in told.get(FILES[3], {}).items()}


def _special(told: Mapping[str, Any], kind: str) -> str:
    for name in FILES[1:3]:
        found = told.get(name, {}).get(f"{kind}_token")
        if isinstance(found, Mapping):
            found = found.get("content")
        if isinstance(found, str):
            return found
    return _SPECIAL[kind]
