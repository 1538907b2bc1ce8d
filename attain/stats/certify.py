"""Which of many settings keep a promise, certified: Learn then Test for proportions.

Angelopoulos, Bates, Candès, Jordan & Lei (2021), "Learn then test", arXiv 2110.01052: each setting
is a hypothesis that the promise is broken there, with an exact p-value; testing them in an order
fixed beforehand, until one cannot be rejected, controls the chance that any of the settings handed
back breaks the promise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special


def tail(hits: np.ndarray, rows: np.ndarray, target: float) -> np.ndarray:
    """Exact p-values of "the proportion is below the target".

    The chance of at least so many hits when the proportion is exactly the target (Clopper & Pearson
    1934). Where rows hit with different chances of the same mean, the binomial still bounds it
    above that mean (Hoeffding 1956, Annals of Mathematical Statistics 27).

    Args:
        hits: Hits of each setting, shape (k,).
        rows: Rows of each setting, shape (k,); a fraction when it is an effective number.
        target: In (0, 1).

    Returns:
        Shape (k,); 1 without a hit.
    """
    some = np.maximum(hits, 1e-9)
    found: np.ndarray = np.where(hits > 0, special.betainc(some, rows - some + 1, target), 1.0)
    return found


def fixed_sequence(p: np.ndarray, starts: Sequence[int], level: float) -> np.ndarray:
    """Settings whose promise is certified, tested in a fixed order from several starts.

    Algorithm 1 of Angelopoulos et al. (2021): from each start on, settings are tested at an equal
    share of the level until one is not rejected.

    Args:
        p: P-values in the order of testing, shape (k,).
        starts: Positions in that order, chosen without looking at the labels; at least one.
        level: Allowed chance that any certified setting breaks the promise, in (0, 1).

    Returns:
        Which are certified, shape (k,).
    """
    found = np.zeros(len(p), dtype=bool)
    for start in set(starts):
        failed = np.flatnonzero(p[start:] > level / len(set(starts)))
        end = start + int(failed[0]) if len(failed) else len(p)
        found[start:end] = True
    return found
