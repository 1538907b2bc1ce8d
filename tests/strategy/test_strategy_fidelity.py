"""What `auto` lets end early: each rule decides alone, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attain.core.registry import find
from attain.strategy.fidelity import ENDS_FITS, Case, choose_fidelity

TIMED = Case("bayes", minutes=10.0)


def test_fits_end_early_where_the_time_limits_the_search():
    """The name is a strategy that judges, and the reason has the measured gain."""
    name, why = choose_fidelity(TIMED)
    assert name == ENDS_FITS
    assert getattr(find("strategy", name)(), "judges", True)
    assert why.startswith("folds are raced; fits that will hardly become the best are paused")
    assert "3.6 times as many configurations" in why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"minutes": None, "trials": 30}, "the number of trials limits the search, not the time"),
        ({"minutes": None}, "the number of trials limits the search, not the time"),
        ({"trials": 30}, "a number of trials is stated beside the time"),
        ({"strategy": "sobol"}, "sobol lets them"),
        ({"strategy": "bayes_per_second"}, "bayes_per_second lets them"),
        ({"steps": False}, "no learner here reports losses while it fits"),
        ({"measured": ("latency_p95_ms",)}, "no loss foretells latency_p95_ms"),
    ],
)
def test_each_reason_against_it_decides_alone(change, why):
    """The search stays what it was, and folds are raced anyway."""
    case = replace(TIMED, **change)
    assert choose_fidelity(case) == (
        case.strategy,
        f"folds are raced; fits run to their end: {why}",
    )


def test_folds_that_cannot_be_raced_are_said_to_be_so():
    """With the reason, whatever becomes of the fits."""
    name, why = choose_fidelity(replace(TIMED, unraced="turned off"))
    assert name == ENDS_FITS
    assert why.startswith("folds are not raced (turned off); fits that")
