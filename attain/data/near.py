"""Texts that are almost the same: character shingles, MinHash with one permutation, and LSH.

Texts are compared by the Jaccard similarity of their sets of five-character shingles, after case,
punctuation and runs of blanks are folded away. One hash of each shingle is spread over 64 bins of
which each keeps its smallest (Li, Owen & Zhang 2012, "One permutation hashing", NeurIPS); bins that
stay empty borrow from another one (Shrivastava 2017, "Optimal densification for fast and accurate
minwise hashing", ICML). Texts equal in one of 16 bands of four bins are candidates (Leskovec,
Rajaraman & Ullman 2014, "Mining of massive datasets", section 3.4), and candidates are compared
exactly, so no pair is reported that is none. Of pairs at the threshold about one in a thousand is
missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attain.data.hashing import mix

SHINGLE = 5  # characters
ALIKE = 0.8  # Jaccard similarity from which texts are near-copies
FEWEST = 16  # shingles below which texts are alike by chance
_BINS, _BAND = 64, 4
_LOOSE = 0.2  # below the threshold by so much, an estimate from 64 bins is no candidate (4 sigma)
_EMPTY = np.uint32(0xFFFFFFFF)
_CHUNK = 2_000_000  # characters worked on at a time
_PAIRS = 20_000  # pairs compared exactly at a time
_BASE = np.uint64(0x100000001B3)  # FNV-1a's prime, as the base of a polynomial over code points
MOST_CHARACTERS = 20_000_000  # in which near-copies are looked for, about three seconds
_LETTERS = np.array([chr(code).isalnum() for code in range(0x3000)])


@dataclass(frozen=True, eq=False)
class Shingles:
    """Hashed shingles of several texts, those of one text side by side.

    Attributes:
        hashes: uint64, shape (m,).
        text: Which text each belongs to, int64, shape (m,), rising.
    """

    hashes: np.ndarray
    text: np.ndarray


@dataclass(frozen=True, eq=False)
class NearCopies:
    """Rows whose texts are almost the same.

    Attributes:
        rows: Positions of the rows that were compared, int64, shape (m,).
        code: Which distinct text each of them holds, int64, shape (m,).
        first: Position of the first row of each distinct text, int64, shape (k,).
        pairs: Distinct texts that are near-copies, int64, shape (p, 2).
        heap: A number for each distinct text, equal for near-copies of near-copies, shape (k,).
    """

    rows: np.ndarray
    code: np.ndarray
    first: np.ndarray
    pairs: np.ndarray
    heap: np.ndarray

    @property
    def heap_sizes(self) -> np.ndarray:
        """How many distinct texts are in the heap of each distinct text, shape (k,)."""
        return np.bincount(self.heap, minlength=1)[self.heap]


def near_copies(texts: np.ndarray, order: np.ndarray, most: int = MOST_CHARACTERS) -> NearCopies:
    """Compare texts, those of smallest order first, as far as the limit allows.

    Args:
        texts: Object, shape (n,); empty ones are left out.
        order: Anything that sorts, such as a hash of the content, shape (n,).
        most: Characters to compare at most.

    Returns:
        Rows, distinct texts and pairs.
    """
    lengths = np.fromiter(map(len, texts), dtype="int64", count=len(texts))
    rows = np.flatnonzero(lengths)
    if lengths.sum() > most:
        rows = rows[np.argsort(order[rows], kind="stable")]
        rows = np.sort(rows[np.cumsum(lengths[rows]) <= most])
    code, names = pd.factorize(texts[rows])
    first = np.full(len(names), -1, dtype="int64")
    first[code[::-1]] = rows[::-1]
    pairs = near_pairs(list(names))
    return NearCopies(rows, code.astype("int64"), first, pairs, clusters(pairs, len(names)))


def together(texts: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """All texts of a row as one.

    Args:
        texts: Columns of texts, each of shape (n,).
        n: Number of rows.

    Returns:
        Object, shape (n,); empty without columns.
    """
    columns = list(texts.values())
    if len(columns) == 1:
        return columns[0]
    joined = np.full(n, "", dtype=object)
    for column in columns:
        joined = joined + column + "\n"
    return joined


def near_pairs(texts: Sequence[str], alike: float = ALIKE) -> np.ndarray:
    """Pairs of texts that are almost the same.

    Args:
        texts: Any, n of them; those of fewer than 16 shingles are left out.
        alike: Smallest Jaccard similarity, in (0, 1].

    Returns:
        Positions i < j, int64, shape (m, 2), sorted. In large heaps of equal texts each is paired
        with some, not with all others; `clusters` puts them together.
    """
    signatures, counts = _signatures(texts)
    kept = np.flatnonzero(counts >= FEWEST)
    candidates = kept[_candidates(signatures[kept], alike - _LOOSE)]
    found = [
        chunk[_similarity(texts, chunk) >= alike]
        for chunk in np.array_split(candidates, max(1, -(-len(candidates) // _PAIRS)))
    ]
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def clusters(pairs: np.ndarray, n: int) -> np.ndarray:
    """Texts that are connected by pairs.

    Args:
        pairs: Positions, int64, shape (m, 2).
        n: Number of texts.

    Returns:
        A number for each text, equal for connected ones, int64, shape (n,).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype="int64")


def shingles(texts: Sequence[str]) -> Shingles:
    """Hash every run of five characters of folded texts.

    Args:
        texts: Any.

    Returns:
        Hashes with repetition; texts shorter than five characters have none.
    """
    joined = "\0".join(text.replace("\0", " ") for text in texts).lower() + "\0"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    end = codes == 0
    blank = ~_LETTERS[np.minimum(codes, len(_LETTERS) - 1)] & (codes < len(_LETTERS))
    drop = np.r_[True, blank[:-1]] & blank & ~end  # blanks after blanks, and at the beginning
    codes, end = np.where(blank & ~end, 32, codes)[~drop], end[~drop]
    owner = np.cumsum(end) - end
    if len(codes) < SHINGLE:
        return Shingles(np.zeros(0, "uint64"), np.zeros(0, "int64"))
    rolled = np.zeros(len(codes) - SHINGLE + 1, dtype="uint64")
    with np.errstate(over="ignore"):
        for k in range(SHINGLE):
            rolled = rolled * _BASE + codes[k : len(rolled) + k]
    whole = owner[SHINGLE - 1 :] == owner[: len(rolled)]
    whole &= ~end[SHINGLE - 1 :]
    return Shingles(mix(rolled[whole]), owner[: len(rolled)][whole].astype("int64"))


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Runs of texts of about two million characters, with the position of the first."""
    ends = np.cumsum([len(text) + 1 for text in texts])
    begin = 0
    while begin < len(texts):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        yield begin, texts[begin:end]
        begin = end


def _signatures(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest hash in each of 64 bins, uint32, shape (n, 64); and shingles of each text."""
    smallest = np.full((len(texts), _BINS), _EMPTY)
    counts = np.zeros(len(texts), dtype="int64")
    for begin, some in _chunks(texts):
        seen = shingles(some)
        counts[begin : begin + len(some)] = np.bincount(seen.text, minlength=len(some))
        slot = seen.text * _BINS + (seen.hashes >> np.uint64(58)).astype("int64")
        part = smallest[begin : begin + len(some)].reshape(-1)
        np.minimum.at(part, slot, (seen.hashes & np.uint64(0xFFFFFFFF)).astype("uint32"))
    return _filled(smallest), counts


def _filled(smallest: np.ndarray) -> np.ndarray:
    """Empty bins borrow from the first full one in an order of their own."""
    order = np.argsort(mix(np.arange(_BINS * _BINS, dtype="uint64")).reshape(_BINS, _BINS), axis=1)
    full = smallest != _EMPTY
    row, column = np.nonzero(~full)
    filled = smallest.copy()
    for donors in order.T:
        if not len(row):
            break
        donor = donors[column]
        has = full[row, donor]
        filled[row[has], column[has]] = smallest[row[has], donor[has]]
        row, column = row[~has], column[~has]
    return filled


def _candidates(signatures: np.ndarray, least: float) -> np.ndarray:
    """Pairs that share a band and whose bins agree to at least this share, shape (m, 2)."""
    n = len(signatures)
    found: list[np.ndarray] = []
    for band in range(0, _BINS, _BAND):
        key = np.full(n, band, dtype="uint64")
        for column in range(band, band + _BAND):
            key = mix(key ^ signatures[:, column])
        order = np.argsort(key, kind="stable")
        same = np.flatnonzero(key[order][1:] == key[order][:-1])
        heads = np.r_[True, key[order][1:] != key[order][:-1]] if n else np.zeros(0, bool)
        first = order[np.flatnonzero(heads)[np.cumsum(heads) - 1]] if n else order
        for left, right in ((order[same], order[same + 1]), (first[same + 1], order[same + 1])):
            found.append(np.minimum(left, right) * n + np.maximum(left, right))
    numbers = np.unique(np.concatenate(found)) if found else np.zeros(0, "int64")
    pairs = np.stack([numbers // max(n, 1), numbers % max(n, 1)], axis=1)
    agree = np.empty(len(pairs))
    for begin in range(0, len(pairs), _PAIRS):
        left, right = pairs[begin : begin + _PAIRS].T
        agree[begin : begin + _PAIRS] = (signatures[left] == signatures[right]).mean(axis=1)
    return pairs[(agree >= least) & (pairs[:, 0] != pairs[:, 1])]


def _similarity(texts: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """Jaccard similarity of pairs of texts, shape (m,)."""
    names, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    seen = shingles([texts[i] for i in names])
    order = np.lexsort((seen.hashes, seen.text))
    hashes, text = seen.hashes[order], seen.text[order]
    new = np.r_[True, (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])]
    hashes, text = hashes[new[: len(hashes)]], text[new[: len(text)]]
    sizes = np.bincount(text, minlength=len(names))
    starts = np.cumsum(sizes) - sizes
    both = sizes[places].sum(axis=1)
    pair = np.repeat(np.arange(len(pairs)), both)
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(both) - both, both)
    left = sizes[places[:, 0]][pair]
    index = np.where(
        offset < left,
        starts[places[:, 0]][pair] + offset,
        starts[places[:, 1]][pair] + offset - left,
    )
    members = hashes[index]
    order = np.lexsort((members, pair))
    twice = (members[order][1:] == members[order][:-1]) & (pair[order][1:] == pair[order][:-1])
    shared = np.bincount(pair[order][1:][twice], minlength=len(pairs))
    return np.asarray(shared / np.maximum(both - shared, 1), dtype="float64")
