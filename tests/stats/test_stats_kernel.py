"""Covariances by short cuts are those of the long way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attain.stats import gp
from attain.stats.kernel import Kernel, layout

# three numbers, an arc, and two choices of three and two values
_GROUPS = np.array([0, 1, 2, 3, 3, 4, 4, 4, 5, 5])
_CORNERS = (4, 5)
_HYPER = gp.Hyper(np.array([2.0, 0.5, 9.0, 3.0, 0.7, 1.4]), 1.7, 1e-3, main=0.9, fine=0.4)


def _rows(n, seed):
    rng = np.random.default_rng(seed)
    angle, corner = rng.random(n), np.sqrt(0.5)
    rows = np.column_stack([rng.random((n, 3)), np.sin(angle), np.cos(angle), np.zeros((n, 5))])
    rows[np.arange(n), 5 + rng.integers(3, size=n)] = corner
    rows[np.arange(n), 8 + rng.integers(2, size=n)] = corner
    return rows


def _sample(n=30, corners=_CORNERS):
    y = np.random.default_rng(1).normal(size=n)
    none = np.zeros(n, dtype=int)
    return gp.Sample(_rows(n, 0), y, _GROUPS, none, np.zeros(n), corners, exact=True)


def _kernel(corners=_CORNERS, main=0.9):
    return Kernel(_rows(30, 0), layout(_GROUPS, corners), _HYPER.weights, 1.7, main, 0.4)


@pytest.mark.parametrize("main", [0.0, 0.9])
def test_corners_are_a_short_cut(main):
    """Told that groups are corners of a simplex, the kernel gives the same numbers."""
    x = _rows(700, 3)  # more than one part of a table
    short, long = _kernel(main=main).covariance(x), _kernel((), main).covariance(x)
    np.testing.assert_allclose(short, long, rtol=1e-11)
    assert not np.allclose(short, _kernel((), main).covariance(x[::-1]))


def test_likelihoods_know_corners():
    """Value and gradient of the likelihood are the same with and without the short cut."""
    (value, slopes), (plain, plain_slopes) = (
        (one := gp.Evidence(_sample(corners=corners))).likelihood(one.pack(_HYPER))
        for corners in (_CORNERS, ())
    )
    assert value == pytest.approx(plain, rel=1e-11)
    np.testing.assert_allclose(slopes, plain_slopes, rtol=1e-8, atol=1e-9)


def test_rough_covariances_have_seven_digits():
    """They differ from the exact ones, by less than a millionth of the variance."""
    kernel, x = _kernel(), _rows(700, 3)
    apart = np.abs(kernel.covariance(x, rough=True) - kernel.covariance(x))
    assert 0 < apart.max() < 1e-6 * (1.7 + 0.4 + 0.9)


def test_rough_predictions_sort_candidates():
    """Means and deviations from rough covariances are good to five digits of their range."""
    process, x = gp.condition(_sample(), _HYPER), _rows(200, 4)
    none = np.zeros(200, dtype=int)
    for rough, exact in zip(
        process.predict(x, none, rough=True), process.predict(x, none), strict=True
    ):
        np.testing.assert_allclose(rough, exact, atol=1e-5)


def test_a_walk_keeps_what_stays():
    """Where only some groups moved, covariances are those computed anew."""
    kernel, x, moving = _kernel(), _rows(6, 5), np.array([True, False, True, True, False, False])
    walk, there = kernel.walk(x, moving), x.copy()
    there[:, [0, 2, 3, 4]] = _rows(6, 6)[:, [0, 2, 3, 4]]
    np.testing.assert_allclose(walk.at(there), kernel.covariance(there), rtol=1e-12)
    np.testing.assert_allclose(walk.at(x), kernel.covariance(x), rtol=1e-12)
    slopes = walk.against(np.ones(30))
    assert (slopes[:, [0, 2, 3, 4]] != 0).all()
    assert (slopes[:, [1, 5, 6, 7, 8, 9]] == 0).all()


def test_a_trial_under_way_extends_the_factor():
    """With corners, too, an extended factor is a fresh one to 1e-9."""
    sample = _sample()
    whole = gp.condition(sample, _HYPER)
    first = replace(sample, **{n: getattr(sample, n)[:-1] for n in ("x", "y", "blocks", "known")})
    grown = gp.condition(first, _HYPER).observing(sample.x[-1:], sample.blocks[-1:], sample.y[-1:])
    np.testing.assert_allclose(grown.factor, whole.factor, atol=1e-9)
    np.testing.assert_allclose(grown.alpha, whole.alpha, rtol=1e-9, atol=1e-9)
