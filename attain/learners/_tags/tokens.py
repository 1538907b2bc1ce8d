"""Sentences as token ids, and where each of their words begins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import DataError, Problem
from attain.learners._cache import Ragged, RaggedStore, ragged, text_keys
from attain.learners._pretrained.tokens import Tokens, parallel

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body

CUT = -1
"""Stands for the place of a word that the body does not see."""
_CODE = 1
"""Raised when the same sentences would become other rows."""
_BATCH = 4096


@dataclass(frozen=True, eq=False)
class WordTokens:
    """Sentences as a body sees them.

    Attributes:
        tokens: Ids, special ones included.
        heads: For each word the position of its first token, `CUT` where there is none.
    """

    tokens: Tokens
    heads: Ragged

    @property
    def read(self) -> np.ndarray:
        """Which words are seen, one sentence after the other, bool, shape (words,)."""
        return np.asarray(self.heads.values != CUT)

    def take(self, index: np.ndarray) -> WordTokens:
        """The sentences at these positions (int64, shape (m,)), in this order."""
        return WordTokens(self.tokens.take(index), self.heads.take(index))

    def __len__(self) -> int:
        return len(self.tokens)


def tokenise_words(
    body: Body, sentences: Sequence[list[str]], *, longest: int, cache: Path | None, threads: int
) -> WordTokens:
    """Turn sentences into token ids.

    Words are joined by blanks, and a word's first token is the first one that covers any of its
    characters; so this holds for any tokenizer that says where its tokens stand.

    Args:
        body: Whose tokenizer is used.
        sentences: Their words.
        longest: Tokens of a sentence at most, special ones included.
        cache: `FitData.cache`.
        threads: With one the tokenizer starts no threads of its own.

    Returns:
        One row a sentence.

    Raises:
        DataError: When the tokenizer does not say where its tokens stand.
    """
    if not body.tokenizer.is_fast:
        rule = "labels of words need a tokenizer that says where its tokens stand"
        value = type(body.tokenizer).__name__
        raise DataError(Problem(rule, value, "model", "name a model with a tokenizer.json"))
    limit = min(longest, body.longest)
    parts = {"model": body.digest, "longest": limit, "code": _CODE}
    store = RaggedStore(cache, "words", parts)

    def compute(index: np.ndarray) -> Ragged:
        with parallel(threads > 1):
            return ragged(_rows(body.tokenizer, [sentences[i] for i in index], limit))

    keys = text_keys([json.dumps(words) for words in sentences])
    return _split(store.get(keys, compute, batch=_BATCH))


def _rows(tokenizer: Any, sentences: list[list[str]], limit: int) -> Iterator[list[int]]:
    """Number of words, length before it was cut, places of words, ids."""
    whole = _encode(tokenizer, sentences, None)
    long = [i for i, (ids, _) in enumerate(whole) if len(ids) > limit]
    short = dict(zip(long, _encode(tokenizer, [sentences[i] for i in long], limit), strict=True))
    for i, (ids, heads) in enumerate(whole):
        full = len(ids)
        ids, heads = short.get(i, (ids, heads))
        yield [len(heads), full, *heads, *ids]


def _encode(
    tokenizer: Any, sentences: list[list[str]], limit: int | None
) -> list[tuple[list[int], list[int]]]:
    """Ids of each sentence, and places of its words."""
    if not sentences:
        return []
    encoded = tokenizer(
        [" ".join(words) for words in sentences],
        truncation=limit is not None,
        max_length=limit,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    pairs = zip(sentences, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return [(ids, _heads(words, offsets)) for words, ids, offsets in pairs]


def _heads(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The first token that covers any character of each word; special ones cover none."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    found = [CUT] * len(words)
    word = 0
    for place, (start, end) in enumerate(offsets):
        if end <= start:
            continue
        while word < len(words) and ends[word] <= start:
            word += 1
        if word < len(words) and found[word] == CUT and end > ends[word] - len(words[word]):
            found[word] = place
    return found


def _split(rows: Ragged) -> WordTokens:
    """Take the numbers before the ids of each row apart."""
    begins = rows.starts[:-1]
    words, full = rows.values[begins].astype(np.int64), rows.values[begins + 1].astype(np.int64)
    place = np.arange(len(rows.values)) - np.repeat(begins, rows.lengths)
    of_words = np.repeat(words, rows.lengths)
    is_head, is_id = (place >= 2) & (place < 2 + of_words), place >= 2 + of_words
    lengths = rows.lengths - 2 - words
    ids = Ragged(rows.values[is_id], _starts(lengths))
    return WordTokens(Tokens(ids, lengths, full), Ragged(rows.values[is_head], _starts(words)))


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
