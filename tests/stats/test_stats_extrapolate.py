"""How likely a curve falls far enough: known shapes, more evidence, and how often it is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.stats.extrapolate import Falls, chance_of_fall

NOTHING = Falls(np.zeros(0), np.zeros(0))


def power(step: float, exponent: float) -> float:
    """A curve that falls as a power of the step."""
    return float(step**-exponent)


def fell(exponents: np.ndarray, step: int) -> tuple[Falls, np.ndarray]:
    """Falls of power laws around a step, and what is left until endless steps."""
    quarter, half, here = (
        np.array([power(s, c) for c in exponents]) for s in (step / 4, step / 2, step)
    )
    return Falls(quarter - half, half - here), here


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_without_other_curves_a_power_law_is_a_guess(exponent: float) -> None:
    """What is left of a power law is inside of the wide prior: an even chance near it, little far
    above, much far below."""
    own, left = fell(np.array([exponent]), 100)
    early, late, rest = float(own.early[0]), float(own.late[0]), float(left[0])

    def ask(gap: float) -> float:
        return chance_of_fall(gap, early, late, NOTHING, np.zeros(0), 1e-9)

    assert 0.15 < ask(rest) < 0.8
    assert ask(30 * rest) < 0.05
    assert ask(rest / 30) > 0.9


def test_earlier_curves_sharpen_the_forecast() -> None:
    """With twenty curves of the kind, five times what is left is out of reach; without, not."""
    rng = np.random.default_rng(0)
    past, rest = fell(rng.uniform(0.4, 1.2, 20), 100)
    own, left = fell(np.array([0.7]), 100)
    ask = {"gap": 5 * float(left[0]), "early": float(own.early[0]), "late": float(own.late[0])}
    alone = chance_of_fall(**ask, past=NOTHING, rest=np.zeros(0), unit=1e-6)
    assert chance_of_fall(**ask, past=past, rest=rest, unit=1e-6) < 0.005 < 0.04 < alone


def test_curves_that_fell_late_keep_hope_alive() -> None:
    """Where earlier curves fell far after a flat stretch, a flat curve is given a chance."""
    flat = Falls(np.full(10, 0.01), np.full(10, 0.01))
    ask = {"gap": 0.2, "early": 0.01, "late": 0.01, "past": flat, "unit": 1e-4}
    assert chance_of_fall(**ask, rest=np.full(10, 0.4)) > 0.5
    assert chance_of_fall(**ask, rest=np.full(10, 0.02)) < 0.02


@pytest.mark.parametrize("kind", ["exponential", "power", "hill"])
def test_chances_come_true(kind: str) -> None:
    """Over 60 worlds: of chances below 5 % less than 5 % come true, of those above 60 % most do."""
    low, high = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        c, start = rng.uniform(0.5, 2.5, 16), rng.uniform(5, 60, 16)

        def curve(step: float, c=c, start=start) -> np.ndarray:
            if kind == "exponential":
                return np.exp(-step / start)
            return step ** (-c / 2) if kind == "power" else 1 / (1 + (step / start) ** c)

        here = curve(40)
        falls = Falls(curve(10) - curve(20), curve(20) - here)
        rest = here - curve(1_000)
        others = Falls(falls.early[1:], falls.late[1:])
        for gap in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
            p = chance_of_fall(
                gap, float(falls.early[0]), float(falls.late[0]), others, rest[1:], 1e-3
            )
            (low if p < 0.05 else high if p > 0.6 else []).append(rest[0] > gap)
    assert len(low) > 40
    assert np.mean(low) < 0.05
    assert np.mean(high) > 0.6


@given(
    st.floats(-1, 2),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 6),
    st.integers(0, 1_000),
)
def test_properties(gap: float, early: float, late: float, curves: int, seed: int) -> None:
    """A probability, 1 for no gap, and never more for a wider gap."""
    rng = np.random.default_rng(seed)
    past, rest = Falls(*rng.random((2, curves))), rng.random(curves)
    near = chance_of_fall(gap, early, late, past, rest, 1e-3)
    far = chance_of_fall(gap + 0.1, early, late, past, rest, 1e-3)
    assert 0 <= far <= near <= 1
    assert near == 1 or gap > 0
