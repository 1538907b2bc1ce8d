"""Comparisons that may stop early: some of the folds are known, the answer is about all of them.

A cross-validation of J folds compares two configurations by the mean of J paired differences. After
k of them the question is not who is better in the world, but who will be ahead when all J are
known. The folds are dealt at random, so their differences D_1 .. D_J are exchangeable, and for
normal ones

    mean(D_1 .. D_k) - mean(D_1 .. D_J)  ~  N(0, s^2 (1/k - 1/J)),

independent of the mean over all J (Cochran 1977, Sampling Techniques, section 2.5: the correction
for a finite population). What folds have in common, such as overlapping training sets, is in both
means and cancels. So the chance of the difference seen, were the complete one not above zero, is a
valid p-value at every look; the looks share one error, more of it where more folds can be saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from scipy import special

PRIOR_FACTOR = 2.0
PRIOR_FREEDOM = 4.0
LEAST_FACTOR = 0.5  # folds that are stratified differ less than rows drawn freely would


class Dispersion(NamedTuple):
    """How much more folds differ than their rows explain.

    Attributes:
        factor: Variance of a difference between folds over what its rows predict, at least 1/2.
        freedom: Degrees of freedom behind it.
    """

    factor: float
    freedom: float


def dispersion(seen: Iterable[tuple[float, float]]) -> Dispersion:
    """Pool what earlier comparisons showed.

    Rows explain the variance that comes from who was validated; fits that would come out otherwise
    on other training rows, or with another seed, add to it. One comparison has too few folds to
    tell by how much, many have enough. A prior worth one comparison of five folds says twice.

    Args:
        seen: Of each comparison the ratio of the two variances, and its degrees of freedom.

    Returns:
        The factor and its degrees of freedom.
    """
    total, freedom = PRIOR_FACTOR * PRIOR_FREEDOM, PRIOR_FREEDOM
    for ratio, degrees in seen:
        if math.isfinite(ratio) and degrees > 0:
            total += ratio * degrees
            freedom += degrees
    return Dispersion(max(LEAST_FACTOR, total / freedom), freedom)


def chance(difference: float, error: float, done: int, total: int, freedom: float) -> float:
    """The chance of such a difference so far, if the complete one were not above zero.

    Args:
        difference: Mean of the differences known.
        error: Its standard error, that is s / sqrt(k).
        done: Number k of differences known, at least 1.
        total: Number J of all differences.
        freedom: Degrees of freedom behind the error.

    Returns:
        A p-value: the upper tail of Student's t at difference / (error sqrt(1 - k/J)). It is 1
        where nothing can be told: without error, without freedom, or with nothing behind.
    """
    left = 1 - done / total
    if not (difference > 0 and 0 < error < math.inf and freedom > 0 and left > 0):
        return 1.0
    return float(special.stdtr(freedom, -difference / (error * math.sqrt(left))))


def level(error: float, rivals: int, done: int, total: int) -> float:
    """The share of an error that one look at one pair may spend.

    Bonferroni over the rivals, any of which luck may have put ahead, and over the looks after 1 to
    J - 1 folds, weighted by the folds that each can save: (J - k) / (J (J - 1) / 2).

    Args:
        error: Chance of a wrong answer over all looks, in (0, 1).
        rivals: Configurations among which the one to compare with was the best, at least 1.
        done: Folds known.
        total: All folds.

    Returns:
        What the p-value must not exceed; 0 where no fold is left to save.
    """
    return 0.0 if done >= total else error / rivals * 2 * (total - done) / (total * (total - 1))
