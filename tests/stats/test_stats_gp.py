"""The Gaussian process against scikit-learn, finite differences and its own definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from attain.stats import gp


def _sample(n=25, features=3, seed=0, blocks=1, known=0.0, noise=0.3):
    rng = np.random.default_rng(seed)
    x = rng.random((n, features))
    y = np.sin(4 * x[:, 0]) + noise * rng.normal(size=n)
    return gp.Sample(
        x,
        (y - y.mean()) / y.std(),
        np.arange(features),
        rng.integers(blocks, size=n),
        known * rng.random(n),
    )


_HYPER = gp.Hyper(np.array([2.0, 0.5, 9.0]), signal=1.7, noise=0.05, fine=0.4)


def _sklearn(sample, hyper):
    lengths = 1 / np.sqrt(hyper.weights)
    kernel = ConstantKernel(hyper.signal) * Matern(lengths, nu=2.5)
    kernel += ConstantKernel(hyper.fine) * Matern(lengths / 5, nu=2.5) + WhiteKernel(hyper.noise)
    return GaussianProcessRegressor(kernel, alpha=1e-300, optimizer=None).fit(sample.x, sample.y)


def test_likelihood_and_gradient_equal_scikit_learn():
    """Without priors, blocks and known noise, value and slopes are those of scikit-learn."""
    sample = replace(_sample(), exact=True)
    reference = _sklearn(sample, _HYPER)
    value, slopes = reference.log_marginal_likelihood(reference.kernel_.theta, eval_gradient=True)
    evidence = gp.Evidence(sample, alone=False)
    got, gradient = evidence.likelihood(evidence.pack(_HYPER))
    assert got == pytest.approx(value, rel=1e-10)
    # scikit-learn differentiates by log lengthscale, of each part by its own
    by_length = (slopes[1:4] + slopes[5:8]) * -0.5
    expected = [*by_length, slopes[0], slopes[8], slopes[4]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-10)


def test_predictions_equal_scikit_learn():
    """Means and standard deviations of the noise-free function are scikit-learn's."""
    sample = _sample()
    x = np.random.default_rng(1).random((7, 3)) * 1.4 - 0.2
    mean, sd = _sklearn(sample, _HYPER).predict(x, return_std=True)
    got, got_sd = gp.condition(sample, _HYPER).predict(x, np.zeros(7, dtype=int))
    np.testing.assert_allclose(got, mean, rtol=1e-9, atol=1e-10)
    # scikit-learn's sd is that of a new noisy observation
    np.testing.assert_allclose(got_sd**2 + _HYPER.noise, sd**2, rtol=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_gradients_match_finite_differences(seed, blocks, noisy):
    """Likelihood and posterior gradients agree with central differences to 1e-6, all options on."""
    sample = replace(
        _sample(seed=seed, blocks=blocks, known=0.2 if noisy else 0.0), groups=np.array([0, 1, 0])
    )
    evidence = gp.Evidence(replace(sample, exact=seed % 2 == 0))
    start = evidence.pack(gp.Hyper(np.array([1.5, 0.3]), 0.8, 0.1, 0.4, 0.5, 0.7, 0.2))
    vector = start + np.random.default_rng(seed).normal(scale=0.5, size=len(start))
    for function in (evidence.likelihood, evidence.posterior):
        numeric = [
            (function(vector + h)[0] - function(vector - h)[0]) / 2e-5
            for h in np.eye(len(vector)) * 1e-5
        ]
        np.testing.assert_allclose(function(vector)[1], numeric, rtol=1e-6, atol=1e-6)


def test_optional_hyperparameters_appear_only_when_they_matter():
    """Exact values, blocks, known noise and several groups bring the hyperparameters they need."""
    plain = ("weights",) * 3 + ("signal", "noise")
    assert gp.Evidence(_sample()).names == (*plain, "main")
    assert gp.Evidence(_sample(), alone=False).names == plain
    assert gp.Evidence(_sample(features=1)).names == ("weights", "signal", "noise")
    names = gp.Evidence(replace(_sample(blocks=2, known=0.1), exact=True)).names
    assert names == (*plain, "fine", "offset", "share", "main")


def test_groups_act_together_and_alone():
    """Value and predictions are those of the covariance as the module's head writes it."""
    sample, hyper = replace(_sample(), exact=True), replace(_HYPER, main=0.9)
    new = np.random.default_rng(2).random((5, 3))
    lengths = 1 / np.sqrt(hyper.weights)
    kernel = ConstantKernel(hyper.signal) * Matern(lengths, nu=2.5)
    kernel += ConstantKernel(hyper.fine) * Matern(lengths / 5, nu=2.5)

    def covariance(a, b):
        alone = (
            Matern(1 / np.sqrt(w), nu=2.5)(a[:, [g]], b[:, [g]])
            for g, w in enumerate(hyper.weights)
        )
        return kernel(a, b) + hyper.main / 3 * sum(alone)

    noisy = covariance(sample.x, sample.x) + hyper.noise * np.eye(25)
    evidence = gp.Evidence(sample)
    got = evidence.likelihood(evidence.pack(hyper))[0]
    assert got == pytest.approx(multivariate_normal(np.zeros(25), noisy).logpdf(sample.y), rel=1e-9)
    cross = covariance(new, sample.x)
    mean, sd = gp.condition(sample, hyper).predict(new, np.zeros(5, dtype=int))
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(noisy, sample.y), rtol=1e-8)
    left = hyper.variance - np.einsum("ij,ji->i", cross, np.linalg.solve(noisy, cross.T))
    np.testing.assert_allclose(sd**2, left, rtol=1e-6)


def test_pack_and_unpack_are_inverse():
    """The vector of logarithms holds every hyperparameter."""
    evidence = gp.Evidence(replace(_sample(blocks=2, known=0.1), exact=True))
    hyper = replace(_HYPER, offset=0.3, share=0.4, main=0.2)
    back = evidence.unpack(evidence.pack(hyper))
    np.testing.assert_allclose(back.weights, hyper.weights)
    for name in ("signal", "noise", "fine", "offset", "share", "main"):
        assert getattr(back, name) == pytest.approx(getattr(hyper, name))


@pytest.mark.parametrize("seed", range(5))
def test_fitting_climbs_and_finds_what_matters(seed):
    """The fit beats its starts, and a feature without effect gets a longer lengthscale."""
    sample = _sample(n=40, seed=seed, noise=0.05)
    hyper = gp.fit_hyper(sample)
    evidence = gp.Evidence(sample)
    fitted = evidence.posterior(evidence.pack(hyper))[0]
    for weight, noise in ((0.5, 1e-3), (4.0, 1e-1)):
        start = evidence.pack(gp.Hyper(np.full(3, weight), 0.5, noise, main=1.0))
        assert fitted > evidence.posterior(start)[0]
    assert hyper.weights[0] > 2 * hyper.weights[1:].max()


def test_fitting_is_reproducible():
    """Equal samples give equal hyperparameters, to the last bit."""
    first, second = gp.fit_hyper(_sample()), gp.fit_hyper(_sample())
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (first.signal, first.noise) == (second.signal, second.noise)


def test_lengthscales_stay_near_one_without_evidence():
    """Two observations say nothing: the two-sided prior keeps the inverse squares near 1."""
    sample = _sample(n=2)
    weights = gp.fit_hyper(sample).weights
    assert (weights > 0.05).all()
    assert (weights < 20).all()


def test_known_noise_is_used():
    """An observation known to be noisy pulls the mean less than one known to be exact."""
    x = np.array([[0.0], [1.0], [0.5]])
    y, group, block = np.array([0.0, 0.0, 1.0]), np.zeros(1, dtype=int), np.zeros(3, dtype=int)
    hyper = gp.Hyper(np.ones(1), 1.0, 1e-4, share=1.0)
    exact = gp.condition(gp.Sample(x, y, group, block, np.zeros(3)), hyper)
    noisy = gp.condition(gp.Sample(x, y, group, block, np.array([0.0, 0.0, 0.5])), hyper)
    at = np.array([[0.5]])
    assert exact.predict(at, block[:1])[0][0] > 0.99
    assert noisy.predict(at, block[:1])[0][0] < 0.6


def test_the_share_of_the_known_noise_is_learnt():
    """Where the stated noise is really in the values it is believed, else it is not."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.random((60, 1)), axis=0)
    smooth = np.sin(6 * x[:, 0])
    sd = np.where(rng.random(60) < 0.5, 0.05, 0.8)
    group, block = np.zeros(1, dtype=int), np.zeros(60, dtype=int)
    real = gp.fit_hyper(gp.Sample(x, smooth + sd * rng.normal(size=60), group, block, sd**2))
    shared = gp.fit_hyper(gp.Sample(x, smooth, group, block, sd**2))
    assert real.share > 0.4
    assert shared.share < 0.05


def test_exact_values_have_ripples_and_no_noise():
    """Ripples are learnt where values are exact; where they need not be, more is noise."""
    x = np.linspace(0, 1, 60)[:, None]
    y = np.sin(3 * x[:, 0]) + 0.3 * np.sin(60 * x[:, 0])
    none = np.zeros(60, dtype=int)
    sample = gp.Sample(x, y - y.mean(), np.zeros(1, dtype=int), none, np.zeros(60), exact=True)
    rough = np.random.default_rng(0).normal(scale=0.3, size=60)
    hyper = gp.fit_hyper(sample)
    assert hyper.fine + hyper.signal > 20 * hyper.noise
    between = (x[:-1] + x[1:]) / 2
    mean, _ = gp.condition(sample, hyper).predict(between, none[1:])
    truth = np.sin(3 * between[:, 0]) + 0.3 * np.sin(60 * between[:, 0]) - y.mean()
    assert np.abs(mean - truth).mean() < 0.05
    noisy = replace(sample, y=np.sin(3 * x[:, 0]) + rough)
    exact, other = gp.fit_hyper(noisy), gp.fit_hyper(replace(noisy, exact=False))
    assert exact.noise < other.noise
    assert exact.fine > other.fine == 0.0


def test_what_is_near_is_told_by_the_fine_part():
    """A lucky point lifts what is a twentieth of a lengthscale away more than what is a half."""
    hyper = gp.Hyper(np.ones(1), 0.1, 1e-4, fine=1.0)
    one = np.zeros(1, dtype=int)
    sample = gp.Sample(np.array([[0.0]]), np.ones(1), one, one, np.zeros(1))
    near, far = gp.condition(sample, hyper).predict(np.array([[0.05], [0.5]]), np.zeros(2, int))[0]
    assert near > 0.9
    assert far < 0.3


def test_a_block_lifts_all_its_points():
    """Seeing one point of a block high raises the prediction for the block's far points only."""
    x, group = np.array([[0.0], [0.0]]), np.zeros(1, dtype=int)
    hyper = gp.Hyper(np.full(1, 100.0), 1.0, 1e-4, offset=1.0)
    sample = gp.Sample(x, np.array([2.0, -2.0]), group, np.array([0, 1]), np.zeros(2))
    far = np.array([[5.0], [5.0], [5.0]])
    mean, _ = gp.condition(sample, hyper).predict(far, np.array([0, 1, 2]))
    assert mean[0] > 0.5
    assert mean[1] < -0.5
    assert abs(mean[2]) < 1e-6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_prediction_gradients_match_finite_differences(seed):
    """Slopes of mean and standard deviation by the features agree with central differences."""
    sample = _sample(seed=seed, blocks=2)
    process = gp.condition(sample, replace(_HYPER, offset=0.5, main=0.8))
    x = np.random.default_rng(seed + 1).random(3)

    def predict(at):
        return np.array(process.predict(at[None, :], np.array([1])))[:, 0]

    block = np.array([1])
    around = process.around(x[None, :], block, np.ones(3, dtype=bool))
    mean, sd = (p[0] for p in around.predict(x[None, :]))
    one, zero = np.ones(1), np.zeros(1)
    mean_slope, sd_slope = around.slopes(one, zero)[0], around.slopes(zero, one)[0]
    numeric = np.array([(predict(x + h) - predict(x - h)) / 2e-5 for h in np.eye(3) * 1e-5]).T
    np.testing.assert_allclose([mean, sd], predict(x), rtol=1e-9)
    np.testing.assert_allclose([mean_slope, sd_slope], numeric, rtol=1e-5, atol=1e-6)


def test_the_factor_is_extended_as_if_computed_anew():
    """Rows added to a process give what a process of all rows gives."""
    sample = _sample(blocks=2)
    whole = gp.condition(sample, replace(_HYPER, offset=0.5, main=0.8))
    first = replace(sample, **{n: getattr(sample, n)[:-4] for n in ("x", "y", "blocks", "known")})
    part = gp.condition(first, replace(_HYPER, offset=0.5, main=0.8))
    grown = part.observing(sample.x[-4:], sample.blocks[-4:], sample.y[-4:])
    np.testing.assert_allclose(grown.factor, whole.factor, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(grown.alpha, whole.alpha, rtol=1e-7, atol=1e-9)


def test_observing_the_mean_keeps_the_mean_and_removes_doubt():
    """A trial under way leaves all predictions where they are and makes its surroundings sure."""
    process = gp.condition(_sample(), _HYPER)
    new, none = np.array([[1.5, 1.5, 1.5]]), np.zeros(1, dtype=int)
    grown = process.observing(new, none, process.predict(new, none)[0])
    x = np.random.default_rng(2).random((9, 3)) * 2
    zeros = np.zeros(9, dtype=int)
    np.testing.assert_allclose(
        grown.predict(x, zeros)[0], process.predict(x, zeros)[0], rtol=1e-6, atol=1e-9
    )
    assert grown.predict(new, none)[1][0] < 0.3 * process.predict(new, none)[1][0]
    assert (grown.predict(x, zeros)[1] <= process.predict(x, zeros)[1] + 1e-9).all()


def test_repeated_rows_do_not_break_the_factor():
    """Fifty copies of one row, noise at its floor: the covariance still has a Cholesky factor."""
    sample = _sample(n=50)
    sample = replace(sample, x=np.repeat(sample.x[:1], 50, axis=0), y=np.zeros(50))
    process = gp.condition(sample, replace(_HYPER, noise=1e-6))
    mean, sd = process.predict(sample.x[:1], np.zeros(1, dtype=int))
    assert abs(mean[0]) < 1e-9
    assert 0 < sd[0] < 1e-2


def test_no_features_leave_a_constant():
    """A process without features fits a constant and its noise."""
    y = np.random.default_rng(0).normal(size=10) + 1.0
    nothing = np.empty((10, 0))
    sample = gp.Sample(nothing, y, np.empty(0, dtype=int), np.zeros(10, dtype=int), np.zeros(10))
    process = gp.condition(sample, gp.fit_hyper(sample))
    mean, _ = process.predict(nothing[:1], np.zeros(1, dtype=int))
    assert 0 < mean[0] < y.mean() + 1e-9
