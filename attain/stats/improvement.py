"""What a new point is expected to add: down to a target, or to the volume of a front of two goals.

Both are sums of pieces E[max(high - max(f, low), 0)], what a normal value gains between two bounds,
and both are kept as logarithms: far from everything known the pieces are below the smallest float,
and their order still says where to go (Ament et al. 2023, arXiv 2310.20708).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from attain.stats.acquisition import improvement_slopes

Slopes = tuple[np.ndarray, np.ndarray, np.ndarray]
_TINY = 1e-30  # two bounds that are all but equal


def gain_between(mean: np.ndarray, sd: np.ndarray, low: float, high: float) -> Slopes:
    """Log of the expected improvement on `high` when nothing below `low` counts.

    E[max(high - max(f, low), 0)] = EI(high) - EI(low): with a target `low`, what is gained of the
    way from the best value to the target.

    Args:
        mean: Predicted means, any shape.
        sd: Predicted standard deviations, same shape, positive.
        low: Where gains end; less than `high`.
        high: The value to be improved on.

    Returns:
        The logarithm, its derivative by the mean and by the standard deviation, each of the shape
        of `mean`.
    """
    return _difference(improvement_slopes(mean, sd, high), improvement_slopes(mean, sd, low))


def log_volume_gain(
    means: np.ndarray, sds: np.ndarray, front: np.ndarray, reference: np.ndarray
) -> Slopes:
    """Log of the expected growth of the volume that a front of two goals dominates.

    The plane below the reference point is cut into strips at the first goals a_1 < ... < a_k of
    the front; in the strip from a_i to a_i+1 volume is new below the second goal b_i. With
    independent goals the expectation is exact,

        sum_i (EI_1(a_i+1) - EI_1(a_i)) EI_2(b_i),  a_0 = -inf, a_k+1 = r_1, b_0 = r_2,

    where EI_j(t) is the expected improvement of goal j on t (Emmerich, Deutz and Klinkenberg 2011;
    Yang et al. 2019, J. Global Optimization 75, eq. 14 to 17).

    Args:
        means: Predicted means of both goals, shape (2, m).
        sds: Predicted standard deviations, shape (2, m), positive.
        front: Points none of which dominates another, shape (k, 2), all below the reference.
        reference: Shape (2,).

    Returns:
        The logarithm, shape (m,); its derivatives by the means and by the standard deviations,
        each of shape (2, m).
    """
    front = front[np.argsort(front[:, 0])]
    rights = np.append(front[:, 0], reference[0])[:, None]
    tops = np.insert(front[:, 1], 0, reference[1])[:, None]
    up_to = improvement_slopes(means[0], sds[0], rights)  # each of shape (k + 1, m)
    nothing = np.full((1, means.shape[1]), -np.inf), *np.zeros((2, 1, means.shape[1]))
    lefts = tuple(np.vstack([a, b[:-1]]) for a, b in zip(nothing, up_to, strict=True))
    widths = _difference(up_to, (lefts[0], lefts[1], lefts[2]))
    heights = improvement_slopes(means[1], sds[1], tops)
    pieces = widths[0] + heights[0]
    value = special.logsumexp(pieces, axis=0)
    share = np.exp(pieces - value)
    by_mean = np.array([(share * part[1]).sum(axis=0) for part in (widths, heights)])
    by_sd = np.array([(share * part[2]).sum(axis=0) for part in (widths, heights)])
    return value, by_mean, by_sd


def _difference(more: Slopes, less: Slopes) -> Slopes:
    """log(e^a - e^b) and its slopes from those of a > b."""
    gap = np.maximum(more[0] - less[0], _TINY)
    rest = -np.expm1(-gap)
    ratio = np.exp(-gap)
    value = more[0] + np.log(rest)
    return value, (more[1] - ratio * less[1]) / rest, (more[2] - ratio * less[2]) / rest
