"""One 64-bit hash per row. It finds duplicates, overlap and conflicts, and decides what is sealed.

Equal typed rows have equal hashes, whatever file, order or integer width they came from. At a
million rows the chance that any two different rows collide is about 3e-8 (n^2 / 2^65).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from attain.core.media import identity

# Constants of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
# generators", OOPSLA, figure 16).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST = np.uint64(31)
_EMPTY = np.uint64(0xA5A5A5A5A5A5A5A5)


def mix(bits: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words so that each input bit moves half of the output bits.

    Args:
        bits: uint64, any shape.

    Returns:
        uint64 of the same shape (SplitMix64's finaliser).
    """
    with np.errstate(over="ignore"):
        word = bits + _GAMMA
        for shift, factor in _MIX:
            word = (word ^ (word >> shift)) * factor
        return word ^ (word >> _LAST)


def name_hash(name: str | int) -> np.uint64:
    """A 64-bit hash of a name.

    Args:
        name: Column name or seed.

    Returns:
        The same on every machine.
    """
    digest = hashlib.blake2b(str(name).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def cell_hash(values: Any) -> np.ndarray:
    """Hash the cells of one typed column.

    Args:
        values: A column (or array) of numbers, datetimes or text, shape (n,).

    Returns:
        uint64, shape (n,). All missing cells are equal, 0.0 equals -0.0, 3 equals 3.0, and images
        and clips of the same content are equal wherever they lie.
    """
    array = values if isinstance(values, np.ndarray) else values.array
    if isinstance(array, np.ndarray) or array.dtype.kind in "iufbM":
        array = np.asarray(array)
        if array.dtype.kind in "iufb":
            return _float_hash(array.astype("float64"))
        if array.dtype.kind == "M":
            return mix(array.astype("datetime64[us]").view("uint64"))
    codes, levels = pd.factorize(pd.Series(array))
    words = np.array([identity(str(level)) for level in levels], dtype=object)
    hashes = pd.util.hash_array(words, categorize=False) if len(words) else np.zeros(0, "uint64")
    return mix(np.append(hashes, _EMPTY)[codes])


def _float_hash(values: np.ndarray) -> np.ndarray:
    values = values + 0.0  # -0.0 becomes 0.0
    bits = values.view("uint64")
    return mix(np.where(np.isnan(values), _EMPTY, bits))


def row_hash(frame: pd.DataFrame) -> np.ndarray:
    """Hash each row of a typed frame.

    Args:
        frame: Typed columns, shape (n, m). The order of columns does not matter, their names do.

    Returns:
        uint64, shape (n,).
    """
    total = np.zeros(len(frame), dtype="uint64")
    for name in frame.columns:
        with np.errstate(over="ignore"):
            total += mix(cell_hash(frame[name]) ^ name_hash(str(name)))
    return mix(total)


def combine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One hash from two, in this order.

    Args:
        first: uint64, shape (n,).
        second: uint64, shape (n,).

    Returns:
        uint64, shape (n,).
    """
    return mix(mix(first) ^ second)


def occurrence(keys: np.ndarray) -> np.ndarray:
    """How many equal keys came before each key.

    Args:
        keys: uint64, shape (n,).

    Returns:
        int64, shape (n,); 0 for the first of its kind.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]] if len(keys) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    counts = np.empty(len(keys), dtype="int64")
    counts[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    return counts


def fingerprint(hashes: np.ndarray) -> str:
    """A fingerprint of a set of rows that does not depend on their order.

    Args:
        hashes: Row hashes, uint64, shape (n,).

    Returns:
        32 hexadecimal digits.
    """
    content = np.sort(hashes).astype("<u8").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
