"""Derived seeds are the same everywhere, and independent of each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attain.core.seeds import SEED_BITS, derive

_names = st.lists(st.text(alphabet=st.characters(exclude_characters="\x1f")) | st.integers())


def test_seeds_never_change():
    """These values are part of every stored study; a change would break replays."""
    assert derive(0) == 1108721358
    assert derive(7, "trial", "t0007", 2) == 723117761


@given(st.integers(), _names)
def test_seeds_fit_every_library(seed, names):
    """A seed is a non-negative 31-bit integer, which NumPy, LightGBM and PyTorch all take."""
    value = derive(seed, *names)
    assert 0 <= value < 2**SEED_BITS
    assert value == derive(seed, *names)
    np.random.RandomState(value)


def test_names_are_kept_apart():
    """Joining names differently, or leaving one out, gives another seed."""
    seeds = [derive(1, "ab", "c"), derive(1, "a", "bc"), derive(1, "abc"), derive(1), derive(11)]
    assert len(set(seeds)) == len(seeds)


def test_neighbouring_seeds_are_unrelated():
    """Seeds of ten thousand trials hardly collide and cover the range evenly."""
    values = np.array([derive(0, "trial", k) for k in range(10_000)])
    assert len(set(values.tolist())) > 9_990
    counts, _ = np.histogram(values, bins=10, range=(0, 2**SEED_BITS))
    assert counts.min() > 850
    steps = np.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(steps) < 0.05
