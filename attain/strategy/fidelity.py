"""What ends early, as `auto` chooses it: folds, fits, or nothing; each choice says why.

What is known of each is measured by ``benchmarks/early_exit.py``: racing folds costs nothing, and
ending fits costs the best configuration in nearly half of the searches. Yet with the training work
of eight complete configurations (``--equal``), `curves` tried 13 to 29 and found one that tested
0.50 and 0.20 nearer to the best of all, three as near, one 0.10 farther, in units of the distance
from the median to the best, on six tables with ten draws each. So fits end early where the time
limits a search, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ENDS_FITS = "curves"
_MODEL = "bayes"  # what `curves` proposes


@dataclass(frozen=True)
class Case:
    """What the choice depends on.

    Attributes:
        strategy: Chosen name.
        trials: How many the budget allows; None when it does not say.
        minutes: The same for time.
        unraced: Why folds are not raced; empty when they are.
        steps: Whether any learner reports losses while it fits.
        measured: Objectives that no loss foretells, such as a latency.
    """

    strategy: str
    trials: int | None = None
    minutes: float | None = None
    unraced: str = ""
    steps: bool = True
    measured: tuple[str, ...] = ()


def _other_search(case: Case) -> str | None:
    return None if case.strategy == _MODEL else f"{case.strategy} lets them"


def _by_number(case: Case) -> str | None:
    if case.minutes is None:
        return "the number of trials limits the search, not the time"
    return None if case.trials is None else "a number of trials is stated beside the time"


def _silent(case: Case) -> str | None:
    return None if case.steps else "no learner here reports losses while it fits"


def _unforetold(case: Case) -> str | None:
    return f"no loss foretells {', '.join(case.measured)}" if case.measured else None


_REASONS: tuple[Callable[[Case], str | None], ...] = (
    _other_search,
    _by_number,
    _silent,
    _unforetold,
)
"""Why fits run to their end; the first that applies is told."""


def choose_fidelity(case: Case) -> tuple[str, str]:
    """The strategy that ends fits, or the one that was chosen, and what ends early.

    Args:
        case: What is known beforehand.

    Returns:
        The name, and a clause that ends no sentence.
    """
    folds = f"folds are not raced ({case.unraced})" if case.unraced else "folds are raced"
    why = next((found for rule in _REASONS if (found := rule(case)) is not None), None)
    if why is not None:
        return case.strategy, f"{folds}; fits run to their end: {why}"
    return ENDS_FITS, (
        f"{folds}; fits that will hardly become the best are paused: the time limits the search,"
        " and at equal work that tried up to 3.6 times as many configurations and found better ones"
        " on two of four tables, worse ones on one"
    )
