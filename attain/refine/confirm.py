"""The end of step 6: the best few are validated afresh, so that luck does not win."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attain.core.errors import AttainError
from attain.core.types import Observed, Status

# The luckiest of a hundred equal trials lies about 2.5 standard errors below their mean, so trials
# within two of the leader may well be as good.
WITHIN = 2.0


WORTHWHILE = 0.75  # a smaller saving is not worth any loss of quality


def finalists(history: Sequence[Observed], *, most: int = 3, noise: float) -> tuple[str, ...]:
    """The trials that may truly be the best.

    Args:
        history: The trials of the search.
        most: How many at most, at least 1.
        noise: Standard error of the difference of two good trials, in units of the loss.

    Returns:
        Ids, best first: the leader and those whose loss is within two standard errors of it, no
        configuration twice. Empty when no trial has a loss. One that was raced out is none of them,
        however small the loss that its first folds promise.
    """
    whole = [o for o in history if o.status != Status.RACED]
    done = [(o.loss, o) for o in whole if o.loss is not None and math.isfinite(o.loss)]
    done.sort(key=lambda pair: (pair[0], pair[1].trial))
    found: list[Observed] = []
    for loss, trial in done:
        if found and loss > done[0][0] + WITHIN * noise:
            break
        if all(trial.config != other.config for other in found):
            found.append(trial)
        if len(found) >= most:
            break
    return tuple(trial.trial for trial in found)


def choose(
    naive: Mapping[str, tuple[float, float]],
    confirmed: Mapping[str, tuple[float, float]],
    *,
    megabytes: Mapping[str, float],
    shown: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """The trial to build the final model from: the smallest within one standard error of the best.

    The one-standard-error rule of Breiman, Friedman, Olshen & Stone 1984, Classification and
    Regression Trees, section 3.4.3, applied to fresh scores only: the old ones are what made these
    trials finalists, so the best of them is too good. The error is that of the difference from the
    best on the same folds: what both owe to these rows cancels, so less quality is given away than
    by the error of the best alone. A smaller model must save at least a quarter. Size stands for
    cost because, unlike seconds, it is the same in every run.

    Args:
        naive: Loss and standard error of each finalist during the search.
        confirmed: Loss on fresh folds and seeds, and standard error of its difference from the
            best there; finalists that failed there are absent.
        megabytes: Size of each finalist's model; may be empty, then the best is chosen.
        shown: Each finalist's fresh score in words, for the price.

    Returns:
        The trial, and why, with the price that was paid in loss.

    Raises:
        AttainError: When there is no finalist.
    """
    fresh = {name: pair for name, pair in confirmed.items() if math.isfinite(pair[0])}
    scores = fresh or {name: pair for name, pair in naive.items() if math.isfinite(pair[0])}
    if not scores:
        raise AttainError("there is no finalist to choose from")
    order = sorted(scores, key=lambda name: (scores[name][0], name))
    best = order[0]
    near = [name for name in order if name == best or _is_near(scores[name], scores[best][0])]
    cheapest = min(near, key=lambda name: (megabytes.get(name, math.inf), order.index(name)))
    saves = megabytes.get(cheapest, math.inf) <= WORTHWHILE * megabytes.get(best, math.inf)
    chosen = cheapest if saves else best
    why = _why(chosen, best, near, scores, megabytes, shown or {})
    return chosen, why + _luck(naive, fresh, chosen)


def _is_near(pair: tuple[float, float], best: float) -> bool:
    return math.isfinite(pair[1]) and pair[0] - best <= pair[1]


def _why(
    chosen: str,
    best: str,
    near: Sequence[str],
    scores: Mapping[str, tuple[float, float]],
    megabytes: Mapping[str, float],
    shown: Mapping[str, str],
) -> str:
    if len(scores) == 1:
        return f"{chosen} is the only finalist"
    if len(near) == 1:
        error = min(error for name, (_, error) in scores.items() if name != best)
        return f"{chosen} is best by more than the standard error of the difference, {error:.2g}"
    error = max(scores[name][1] for name in near if name != best)
    others = f"{len(near)} finalists lie within one standard error ({error:.2g}) of the best"
    if chosen == best and best not in megabytes:
        return f"{others}; their sizes are not known, so the best, {chosen}, is taken"
    if chosen == best:
        return f"{others}, and none is clearly smaller than the best, {chosen}"
    price = scores[chosen][0] - scores[best][0]
    known = f", {megabytes[chosen]:.3g} MB instead of {best}'s {megabytes[best]:.3g} MB"
    sizes = known if best in megabytes else ""
    lost = f" ({shown[chosen]} instead of {shown[best]})" if {chosen, best} <= set(shown) else ""
    cost = f"the price is a loss higher by {price:.2g}{lost}"
    return f"{others}, and {chosen} is smaller{sizes}; {cost}"


def _luck(
    naive: Mapping[str, tuple[float, float]],
    fresh: Mapping[str, tuple[float, float]],
    chosen: str,
) -> str:
    """How much of the search's score did not survive fresh folds."""
    if not fresh:
        return "; none was confirmed on fresh folds, so luck is not ruled out"
    if chosen not in naive:
        return ""
    lost = fresh[chosen][0] - naive[chosen][0]
    way = "higher" if lost >= 0 else "lower"
    return f"; on fresh folds its loss is {abs(lost):.2g} {way} than in the search"
