"""Tokens of examples with what is learnt, kept in one flat array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attain.core.errors import ArtifactError
from attain.learners._llm.render import Rendered


@dataclass(frozen=True, eq=False)
class Coded:
    """Token sequences of n examples.

    Attributes:
        ids: Tokens of all examples, one after the other; int64.
        trained: Whether each token is learnt; bool, same shape. The first token of an example
            never is: nothing predicts it.
        ends: Where each example ends in these; int64, shape (n,).
        rows: Row of the data that each example comes from; int64, shape (n,).
    """

    ids: np.ndarray
    trained: np.ndarray
    ends: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, shape (n,)."""
        return np.diff(self.ends, prepend=0)

    @property
    def supervised(self) -> np.ndarray:
        """Tokens of each example that are learnt, shape (n,)."""
        total = np.concatenate([[0], np.cumsum(self.trained)])
        return total[self.ends] - total[self.ends - self.lengths]

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and what is learnt of one example."""
        begin = int(self.ends[i] - self.lengths[i])
        return self.ids[begin : self.ends[i]], self.trained[begin : self.ends[i]]

    def take(self, index: Sequence[int] | np.ndarray) -> Coded:
        """Some of the examples, in this order."""
        parts = [self.row(int(i)) for i in index]
        return pack_up([p[0] for p in parts], [p[1] for p in parts], self.rows[np.asarray(index)])


def pack_up(ids: Sequence[np.ndarray], trained: Sequence[np.ndarray], rows: np.ndarray) -> Coded:
    """Examples in one flat array.

    Args:
        ids: Tokens of each.
        trained: Whether each token is learnt.
        rows: Row of each.

    Returns:
        The same, flat.
    """
    flat = lambda parts, kind: (  # noqa: E731
        np.concatenate(parts).astype(kind) if parts else np.empty(0, kind)
    )
    ends = np.cumsum([len(part) for part in ids], dtype=np.int64)
    return Coded(flat(ids, np.int64), flat(trained, bool), ends, np.asarray(rows, np.int64))


def joined(*parts: Coded) -> Coded:
    """Examples of several arrays, one array after the other."""
    rows = [part.row(i) for part in parts for i in range(len(part))]
    index = np.concatenate([part.rows for part in parts])
    return pack_up([ids for ids, _ in rows], [trained for _, trained in rows], index)


def encode(tokenizer: Any, texts: Sequence[tuple[int, Rendered]]) -> Coded:
    """Tokens of rendered texts; a token is learnt when it begins inside a span.

    Texts are read whole, so that pieces are joined as the model knows them; special tokens are
    spelled out in them already and none is added.

    Args:
        tokenizer: Of the model; it must say where its tokens stand.
        texts: With the row of each.

    Returns:
        The tokens.

    Raises:
        ArtifactError: When the tokenizer does not say where its tokens stand.
    """
    if not texts:
        return pack_up([], [], np.empty(0))
    if not getattr(tokenizer, "is_fast", False):
        raise ArtifactError(
            "the tokenizer does not say where its tokens stand, so what is learnt cannot be told"
            " from what is not — save it as tokenizer.json"
        )
    coded = tokenizer(
        [made.text for _, made in texts],
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    ids = [np.asarray(part, np.int64) for part in coded["input_ids"]]
    trained = [
        _mask(made, offsets)
        for (_, made), offsets in zip(texts, coded["offset_mapping"], strict=True)
    ]
    return pack_up(ids, trained, np.array([row for row, _ in texts]))


def _mask(made: Rendered, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    begins = np.array([begin for begin, _ in offsets], dtype=np.int64)
    ends = np.array([end for _, end in offsets], dtype=np.int64)
    # a token may take the blank before a word with it, so what counts is where its letters stand
    middle = np.maximum(begins, ends - 1)
    found = np.zeros(len(offsets), dtype=bool)
    for start, stop in made.spans:
        found |= (middle >= start) & (begins < stop) & (ends > begins)
    if len(found):
        found[0] = False
    return found


def shown(tokenizer: Any, ids: np.ndarray, trained: np.ndarray) -> tuple[tuple[str, bool], ...]:
    """Tokens as text in runs of what is and what is not learnt.

    Args:
        tokenizer: Of the model.
        ids: Tokens of one example.
        trained: Whether each is learnt.

    Returns:
        Decoded runs; together they are the whole example.
    """
    if not len(ids):
        return ()
    cuts = np.flatnonzero(np.diff(trained.astype(np.int8))) + 1
    parts = zip(np.split(ids, cuts), np.split(trained, cuts), strict=True)
    return tuple((str(tokenizer.decode(run.tolist())), bool(mask[0])) for run, mask in parts)
