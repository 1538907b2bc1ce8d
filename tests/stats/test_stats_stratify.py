"""Iterative stratification: each part gets its share of each label, and nothing is left out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.stats.stratify import iterative


def dealt(y, shares, seed=0):
    """Parts of rows that are units of their own."""
    draw = np.random.default_rng(seed).random(len(y))
    return iterative(y, np.ones(len(y), int), np.asarray(shares), draw)


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(12, 90), st.integers(1, 7))
@settings(max_examples=80, deadline=None)
def test_every_label_is_spread(seed, parts, n, labels):
    """Rows are shared out evenly, and a label of enough rows stands in every part."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, labels)) < rng.uniform(0.02, 0.6, labels)).astype(int)
    part = dealt(y, np.full(parts, 1 / parts), seed)
    assert set(part) == set(range(parts))
    if labels == 1:  # one label is a class: nothing competes
        counts = np.bincount(part[y[:, 0] == 1], minlength=parts)
        assert np.ptp(counts) <= 1
        assert np.ptp(np.bincount(part)) <= 1


def test_rare_labels_are_as_even_as_frequent_ones():
    """Twelve labels from 0.3 % to 40 %: within two rows of their share in each of five parts."""
    rng = np.random.default_rng(0)
    y = (rng.random((6_000, 12)) < np.geomspace(0.003, 0.4, 12)).astype(int)
    part = dealt(y, np.full(5, 0.2))
    counts = np.array([y[part == k].sum(axis=0) for k in range(5)])
    assert np.abs(counts - y.sum(axis=0) / 5).max() <= 3
    assert np.abs(np.bincount(part) - 1_200).max() <= 2
    random = rng.permutation(6_000) % 5
    chance = np.array([y[random == k].sum(axis=0) for k in range(5)])
    assert np.abs(chance - y.sum(axis=0) / 5).max() > 10


def test_a_label_of_two_rows_is_on_both_sides():
    """A fifth is set aside: of two rows with a label one goes, of one row none."""
    for seed in range(20):
        y = np.zeros((50, 3), int)
        y[:20, 0], y[[3, 30], 1], y[7, 2] = 1, 1, 1
        part = dealt(y, [0.8, 0.2], seed)
        assert y[part == 1, 1].sum() == 1
        assert y[part == 1, 2].sum() == 0
        assert abs((part == 1).sum() - 10) <= 1


def test_units_of_several_rows_count_as_many():
    """Groups stay whole, and parts are even in rows, not in groups."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 9, 200)
    content = np.stack([rng.binomial(sizes, p) for p in (0.05, 0.3)], axis=1)
    part = iterative(content, sizes, np.array([0.75, 0.25]), rng.random(200))
    taken = part == 1
    assert abs(sizes[taken].sum() / sizes.sum() - 0.25) < 0.01
    assert np.abs(content[taken].sum(axis=0) / content.sum(axis=0) - 0.25).max() < 0.05


def test_the_same_draw_gives_the_same_parts():
    """The draw decides, and another one gives other parts."""
    y = (np.random.default_rng(2).random((80, 4)) < 0.3).astype(int)
    assert (dealt(y, [0.5, 0.5], 3) == dealt(y, [0.5, 0.5], 3)).all()
    assert (dealt(y, [0.5, 0.5], 3) != dealt(y, [0.5, 0.5], 4)).any()
