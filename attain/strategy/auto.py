"""Which strategy suits a space and a budget."""

from __future__ import annotations

from attain.core.space import Space
from attain.strategy._initial import defaults
from attain.strategy._tree import SMALL, Tree, is_finite

MODEL_AFTER = 5  # trials beyond the known-good defaults before a model can tell anything


def choose(space: Space, trials: int) -> tuple[str, str]:
    """A registered strategy's name, and why.

    Args:
        space: The space to search.
        trials: How many trials the budget allows.

    Returns:
        The name, and the reason as a clause that ends no sentence.
    """
    size = Tree(space).size if is_finite(space) else None
    if size is not None and size <= min(trials, SMALL):
        points = "its only point" if size == 1 else f"all {size} points of the space"
        return "grid", f"{trials} trials are enough to try {points}"
    starts = len(defaults(space))
    if trials < starts + MODEL_AFTER:
        known = "the known-good default" if starts == 1 else f"{starts} known-good defaults"
        return "sobol", (
            f"with {trials} trials, {known} and evenly spread points tell more than a model would"
        )
    return "bayes", (
        f"a Gaussian process learns from each of {trials} trials where improvement is likely"
    )
