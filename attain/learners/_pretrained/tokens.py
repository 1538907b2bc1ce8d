"""Texts as token ids, computed once for a study and kept in its cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.learners._cache import Progress, Ragged, RaggedStore, byte_keys, ragged, text_keys

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body

_CODE = 1
"""Raised when the same texts would become other rows."""
_BATCH = 4096
_HEAD = 2
"""Numbers before the ids of a row: length of the first segment, length before it was cut."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts or pairs of texts as a model sees them, special tokens included.

    Attributes:
        ids: Token ids, one row a text.
        first: Length of the first segment of each row (all of it but for pairs), int64, shape (n,).
        full: Length of each row before it was cut, int64, shape (n,).
    """

    ids: Ragged
    first: np.ndarray
    full: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row, int64, shape (n,)."""
        return self.ids.lengths

    @property
    def cut(self) -> int:
        """How many rows are longer than the model may take, and were cut."""
        return int((self.full > self.lengths).sum())

    def take(self, index: np.ndarray) -> Tokens:
        """The rows at these positions (int64, shape (m,)), in this order."""
        return Tokens(self.ids.take(index), self.first[index], self.full[index])

    def keys(self) -> np.ndarray:
        """Hashes of the rows for a store, shape (n, 2)."""
        rows = (self.ids.row(i).tobytes() for i in range(len(self)))
        return byte_keys(b"%d " % first + row for first, row in zip(self.first, rows, strict=True))

    def __len__(self) -> int:
        return len(self.ids)


def tokenise(
    body: Body,
    texts: Sequence[str],
    seconds: Sequence[str] | None = None,
    *,
    longest: int | None = None,
    cache: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Tokens:
    """Turn texts or pairs of texts into token ids.

    Args:
        body: Whose tokenizer is used.
        texts: The texts, or the first ones of pairs.
        seconds: The second texts, or None.
        longest: Tokens in a row at most, special ones included; None for as many as the model
            takes. Of a pair the longer text is cut first.
        cache: `FitData.cache`.
        threads: With one the tokenizer starts no threads of its own.
        progress: Told how many texts are done.

    Returns:
        One row a text.
    """
    limit = min(longest or body.longest, body.longest)
    parts = {"model": body.digest, "longest": limit, "code": _CODE}
    store = RaggedStore(cache, "tokens", parts)

    def compute(index: np.ndarray) -> Ragged:
        firsts = [texts[i] for i in index]
        others = None if seconds is None else [seconds[i] for i in index]
        with parallel(threads > 1):
            return ragged(_rows(body.tokenizer, firsts, others, limit))

    rows = store.get(text_keys(texts, seconds), compute, batch=_BATCH, progress=progress)
    return _split(rows)


def collate(body: Body, tokens: Tokens, index: Sequence[int] | np.ndarray) -> dict[str, Any]:
    """A batch, padded to its longest row.

    Args:
        body: The model it is for.
        tokens: From `tokenise`.
        index: Rows of the batch, m of them.

    Returns:
        ``input_ids``, ``attention_mask`` and, if the model tells segments apart,
        ``token_type_ids``: int64 tensors on the CPU, shape (m, longest of them).
    """
    import torch

    part = tokens.take(np.asarray(index, dtype=np.int64))
    lengths = part.lengths
    columns = np.arange(int(lengths.max(initial=0)))
    mask = columns < lengths[:, None]
    ids = np.full(mask.shape, body.tokenizer.pad_token_id or 0, dtype=np.int64)
    left = body.tokenizer.padding_side == "left"
    where = mask[:, ::-1] if left else mask
    ids[where] = part.ids.values
    batch = {"input_ids": ids, "attention_mask": where.astype(np.int64)}
    if "token_type_ids" in body.tokenizer.model_input_names:
        second = mask & (columns >= part.first[:, None])
        kinds = np.zeros_like(ids)
        kinds[where] = second[mask]
        batch["token_type_ids"] = kinds
    return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in batch.items()}


def _split(rows: Ragged) -> Tokens:
    """Take the numbers before the ids of each row apart."""
    begins = rows.starts[:-1]
    kept = np.ones(len(rows.values), dtype=bool)
    kept[begins] = kept[begins + 1] = False
    first, full = rows.values[begins], rows.values[begins + 1]
    starts = rows.starts - _HEAD * np.arange(len(rows.starts))
    return Tokens(Ragged(rows.values[kept], starts), first.astype(np.int64), full.astype(np.int64))


def _rows(
    tokenizer: Any, texts: list[str], seconds: list[str] | None, limit: int
) -> Iterator[list[int]]:
    """Head and ids of each text; those that are too long are tokenised again, to be cut."""
    whole = _encode(tokenizer, texts, seconds, None)
    long = [i for i, (ids, _) in enumerate(whole) if len(ids) > limit]
    firsts = [texts[i] for i in long]
    others = None if seconds is None else [seconds[i] for i in long]
    short = dict(zip(long, _encode(tokenizer, firsts, others, limit), strict=True))
    for i, (ids, first) in enumerate(whole):
        full = len(ids)
        ids, first = short.get(i, (ids, first))
        yield [first, full, *ids]


def _encode(
    tokenizer: Any, texts: list[str], seconds: list[str] | None, limit: int | None
) -> list[tuple[list[int], int]]:
    """Ids of each text, and length of its first segment."""
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        seconds,
        truncation=False if limit is None else "longest_first" if seconds else True,
        max_length=limit,
        return_attention_mask=False,
        return_token_type_ids=seconds is not None,
        verbose=False,
    )
    rows = encoded["input_ids"]
    if seconds is None or "token_type_ids" not in encoded:
        return [(ids, len(ids)) for ids in rows]
    kinds = encoded["token_type_ids"]
    return [(i, k.index(1) if 1 in k else len(i)) for i, k in zip(rows, kinds, strict=True)]


@contextlib.contextmanager
def parallel(allowed: bool) -> Iterator[None]:
    """Say whether the tokenizer may start threads; without a word it warns when a process forks."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if allowed else "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
