"""Whether a curve under way will still fall far enough, judged by how earlier curves went on.

How fits go on differs more between tasks and learners than any one formula allows: in our
comparison an ensemble of power laws, exponentials and Hill curves (after Domhan, Springenberg &
Hutter 2015, IJCAI) was far too sure of itself. So what is left to fall is regressed on what has
fallen lately, over the finished curves of the same learner, beginning with what a power law says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

# Beforehand, in natural logs: how far off the forecast may be on the whole, how much it may depend
# on either feature, and the scatter of single curves, worth so many of them.
_LEVEL, _SLOPE, _BEND = 1.0, 0.3, 0.5
_SCATTER, _WORTH = 0.85, 4.0


class Falls(NamedTuple):
    """How curves fell before a step s; each of shape (m,), at least 0.

    Attributes:
        early: From s/4 to s/2.
        late: From s/2 to s.
    """

    early: np.ndarray
    late: np.ndarray


def chance_of_fall(
    gap: float, early: float, late: float, past: Falls, rest: np.ndarray, unit: float
) -> float:
    """The chance that a curve still falls by more than a gap.

    If the fall of each doubling of the steps shrinks by the same factor, as for power laws, what is
    left is about as much smaller than the last fall as that is than the one before. The log of what
    is left is therefore a linear function of the log of the last fall and of the log of the ratio
    of the last two, with that as the centre of the prior; the posterior is Student's t (Bayesian
    linear regression, Gelman et al. 2013, section 14.8).

    Args:
        gap: By how much it would have to fall.
        early: How much it fell from a quarter to a half of the steps done.
        late: How much it fell since.
        past: The same of finished curves, at the same step.
        rest: How much these fell afterwards, shape (m,).
        unit: A fall that means nothing, above 0; added before logs are taken.

    Returns:
        In [0, 1]; 1 for a gap of 0 or less.
    """
    if gap <= 0:
        return 1.0
    own_late, own_ratio = np.log(late + unit), np.log((late + unit) / (early + unit))
    lates, ratios = np.log(past.late + unit), np.log((past.late + unit) / (past.early + unit))
    x = np.stack([np.ones(len(lates)), lates - own_late, ratios - own_ratio], axis=1)
    y = np.log(rest + unit) - own_late
    before = np.array([min(own_ratio, 0.0), 1.0, 1.0])
    prior = np.diag(1 / np.array([_LEVEL, _SLOPE, _BEND]) ** 2)
    precision = prior + x.T @ x
    centre = np.linalg.solve(precision, prior @ before + x.T @ y)
    squares = _WORTH * _SCATTER**2 + y @ y + before @ prior @ before - centre @ precision @ centre
    freedom = _WORTH + len(y)
    spread = np.sqrt(squares / freedom * (1 + np.linalg.inv(precision)[0, 0]))
    wanted = np.log(gap + unit) - own_late
    return float(special.stdtr(freedom, (centre[0] - wanted) / spread))
