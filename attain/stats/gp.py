"""A Gaussian process on NumPy and SciPy: Matern-5/2, grouped lengthscales, analytic gradients.

Points are rows of features. Features are tied in groups that share a lengthscale, so a categorical
parameter (a few indicator columns) or one that is not always active (a point on an arc, or the
circle's centre) is one group among others; see `attain.strategy._features`.

The covariance of rows x and z is

    signal * matern(r) + fine * matern(5 r) + main * mean_g matern(r_g) + offset * [same block],

    r_g^2 = weight[g] sum_{f in g} (x_f - z_f)^2,   r^2 = sum_g r_g^2,

with noise + share * known_i added to the variance of observation i. The second term is what the
function does at a fifth of its lengthscales, where values are exact: ripples and steps, which are
no noise, since a point beside a good one is good, and one beside a bad one need not be tried. The
third is what each parameter does by itself (Duvenaud et al. 2011, arXiv 1112.4394, first order),
which a few trials tell long before they tell how parameters act together; it is left out where
there is but one. The last is an effect shared by all points of a block (all configurations of one
learner, say).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import linalg, optimize
from scipy.linalg import lapack

from attain.stats.kernel import Kernel, Pairs, Walk, layout

_RELEVANT = 5.0  # groups that are expected to matter, however many there are
_FLOOR = 1e-6  # smallest noise variance: keeps the Cholesky factor accurate
_BOUNDS = {
    "weights": (np.log(1e-4), np.log(1e4)),
    "signal": (np.log(1e-3), np.log(1e3)),
    "main": (np.log(1e-3), np.log(1e3)),
    "noise": (np.log(_FLOOR), np.log(1e1)),
    "fine": (np.log(1e-6), np.log(1e1)),
    "offset": (np.log(1e-3), np.log(1e2)),
    "share": (np.log(1e-3), 0.0),
}


@dataclass(frozen=True, eq=False)
class Sample:
    """What a process is fitted to.

    Attributes:
        x: Features, shape (n, f).
        y: Values, shape (n,), roughly of mean 0 and standard deviation 1.
        groups: Lengthscale group of each feature, shape (f,), from 0 without gaps.
        blocks: Block of each row, shape (n,).
        known: Known noise variances, shape (n,), 0 where nothing is known.
        corners: Groups whose points are corners of a simplex: of their features one is the root of
            a half and the others are 0.
        exact: Whether equal rows have equal values but for the known noise. What lengthscales do
            not explain is a function of small scale then, and hardly any noise.
    """

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray
    known: np.ndarray
    corners: tuple[int, ...] = ()
    exact: bool = False


@dataclass(frozen=True, eq=False)
class Hyper:
    """Hyperparameters.

    Attributes:
        weights: Inverse squared lengthscale of each group, shape (g,).
        signal: Variance of the part in which all groups act together.
        noise: Noise variance common to all observations.
        offset: Variance of the effect shared by a block; 0 for none.
        share: Share of the known noise variance that acts independently on each observation, in
            [0, 1]. Scores on the same folds share most of their error, so it is fitted.
        main: Variance of the part in which each group acts by itself; 0 for none.
        fine: Variance of the part at a fifth of the lengthscales; 0 for none.
    """

    weights: np.ndarray
    signal: float = 1.0
    noise: float = 1e-2
    offset: float = 0.0
    share: float = 0.0
    main: float = 0.0
    fine: float = 0.0

    @property
    def variance(self) -> float:
        """Prior variance of the noise-free function."""
        return self.signal + self.fine + self.main + self.offset


class Evidence:
    """The penalised log marginal likelihood of a sample as a function of log hyperparameters.

    Differences of all pairs are computed once; one evaluation costs one Cholesky factor, one
    inverse and two products with the (g, n(n-1)/2) table of pairwise distances.

    Args:
        sample: What to fit to.
        alone: Whether what groups do by themselves is a part of its own, where there are several.
    """

    def __init__(self, sample: Sample, *, alone: bool = True) -> None:
        self.sample = sample
        n = len(sample.y)
        i, j = np.triu_indices(n, 1)
        self._upper = i * n + j  # of the covariance as one row
        self._first, self._second = i, j
        self._pairs = Pairs(sample.x, sample.groups, sample.corners)
        self._n_groups = len(self._pairs)
        self._alone = alone and self._n_groups > 1
        self._same = (sample.blocks[i] == sample.blocks[j]).astype(float)
        self._has_blocks = len(set(sample.blocks.tolist())) > 1
        self._has_known = bool((sample.known > 0).any())

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each entry of the vector of log hyperparameters."""
        extra = [("fine", self.sample.exact), ("offset", self._has_blocks)]
        extra.append(("share", self._has_known))
        extra.append(("main", self._alone))
        optional = tuple(name for name, used in extra if used)
        return ("weights",) * self._n_groups + ("signal", "noise", *optional)

    def pack(self, hyper: Hyper) -> np.ndarray:
        """The vector of log hyperparameters, in the order of `names`."""
        single = [getattr(hyper, name) for name in self.names[self._n_groups :]]
        return np.log(np.concatenate([hyper.weights, single]))

    def unpack(self, vector: np.ndarray) -> Hyper:
        """Hyperparameters from their logarithms; the inverse of `pack`."""
        values = np.exp(vector)
        single = dict(
            zip(self.names[self._n_groups :], map(float, values[self._n_groups :]), strict=True)
        )
        return Hyper(values[: self._n_groups], **single)

    def likelihood(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Log marginal likelihood and its gradient by the log hyperparameters.

        Rasmussen and Williams (2006), eqs. 5.8 and 5.9.

        Args:
            vector: Log hyperparameters, in the order of `names`.

        Returns:
            The value, and the gradient in the same order.
        """
        hyper, sample = self.unpack(vector), self.sample
        fine = sample.exact
        parts = np.array([hyper.signal, hyper.fine] if fine else [hyper.signal])
        together, pull = self._pairs.together(hyper.weights, fine=fine)
        between = parts @ together
        if self._has_blocks:
            between += hyper.offset * self._same
        if self._alone:
            alone, own_table = self._pairs.alone(hyper.weights)
            between += hyper.main * alone
        covariance = np.zeros((len(sample.y), len(sample.y)))
        covariance.ravel()[self._upper] = between
        np.fill_diagonal(covariance, _diagonal(hyper, sample.known))
        factor, info = lapack.dpotrf(covariance, lower=False)
        if info != 0:  # not positive definite in floating point: as unlikely as can be
            return -1e12, np.zeros_like(vector)
        alpha = lapack.dpotrs(factor, sample.y, lower=False)[0]
        inverse = lapack.dpotri(factor, lower=False)[0]
        value = -0.5 * sample.y @ alpha - np.log(np.diag(factor)).sum()
        value -= 0.5 * len(sample.y) * np.log(2.0 * np.pi)
        pairs = alpha[self._first] * alpha[self._second]
        pairs -= inverse[self._first, self._second]
        own = alpha**2 - np.diag(inverse)
        by_weight = self._pairs.slopes(hyper.weights, parts @ pull, pairs)
        by_part = parts * (together @ pairs + 0.5 * own.sum())
        by_name = dict(zip(("signal", "fine"), by_part, strict=False)) | {
            "noise": 0.5 * hyper.noise * own.sum(),
            "offset": hyper.offset * (pairs @ self._same + 0.5 * own.sum()),
            "share": 0.5 * hyper.share * (own @ sample.known),
        }
        if self._alone:
            by_weight += self._pairs.own_slopes(
                hyper.weights, own_table, pairs * (hyper.main / self._n_groups)
            )
            by_name["main"] = hyper.main * (pairs @ alone + 0.5 * own.sum())
        single = [by_name[name] for name in self.names[self._n_groups :]]
        return float(value), np.concatenate([by_weight, single])

    def posterior(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Log marginal likelihood plus log prior, and the gradient.

        Args:
            vector: Log hyperparameters, in the order of `names`.

        Returns:
            The value, and the gradient in the same order.
        """
        value, gradient = self.likelihood(vector)
        prior, prior_gradient = _log_prior(self.names, np.exp(vector))
        return value + prior, gradient + prior_gradient


def _log_prior(names: tuple[str, ...], x: np.ndarray) -> tuple[float, np.ndarray]:
    """Log densities up to a constant, and their derivatives by log x.

    The inverse squared lengthscales are pulled from both sides, -0.1 (x + c/x); the variances have
    Gamma priors. With c = 1 this is the set that Optuna's GPSampler settled on by hand tuning.
    Without the pull from below, flat directions of the likelihood make lengthscales run away with
    few observations; but that all of many groups matter is no good belief, and keeps what little is
    known of each from being pooled over the others. So c = (5/g)^2 for more than five groups, which
    leaves the geometric mean of a weight to fall as 1/g and the sum of all where it is.

    Beside a fine part, noise is expected to be a tenth of it (docs/ablations.md).
    """
    count = max(names.count("weights"), 1)
    pull = min(1.0, _RELEVANT / count) ** 2
    value, gradient = 0.0, np.empty_like(x)
    gammas = {"signal": (2.0, 1.0), "fine": (1.1, 30.0), "offset": (1.5, 1.0), "share": (1.5, 1.0)}
    gammas["main"] = gammas["signal"]
    gammas["noise"] = (1.1, 300.0) if "fine" in names else gammas["fine"]
    for k, name in enumerate(names):
        if name == "weights":
            value -= 0.1 * (x[k] + pull / x[k])
            gradient[k] = -0.1 * (x[k] - pull / x[k])
        else:
            shape, rate = gammas[name]
            value += (shape - 1.0) * np.log(x[k]) - rate * x[k]
            gradient[k] = shape - 1.0 - rate * x[k]
    return float(value), gradient


def fit_hyper(sample: Sample, *, iterations: int = 50) -> Hyper:
    """Hyperparameters of highest posterior density.

    L-BFGS-B on the log scale from two fixed starts: smooth with little noise, and rougher with
    more; the better end wins. Equal samples give equal results.

    Args:
        sample: What to fit to.
        iterations: Most iterations from each start.

    Returns:
        The hyperparameters.
    """
    evidence = Evidence(sample)
    bounds = [_BOUNDS[name] for name in evidence.names]
    n_groups = evidence.names.count("weights")

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = evidence.posterior(vector)
        return -value, -gradient

    def begin(weight: float, signal: float, noise: float) -> np.ndarray:
        return evidence.pack(Hyper(np.full(n_groups, weight), signal, noise, 0.3, 0.3, 1.0, 0.03))

    best_value, best = np.inf, begin(1.0, 1.0, 1e-2)
    for weight, noise in ((0.5, 1e-3), (4.0, 1e-1)):
        start = begin(weight, 0.5, noise)
        options = {"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-3}
        found = optimize.minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        if found.fun < best_value:
            best_value, best = float(found.fun), found.x
    return evidence.unpack(best)


@dataclass(frozen=True, eq=False)
class Process:
    """A Gaussian process given observations.

    Attributes:
        sample: What was observed.
        hyper: Hyperparameters.
        factor: Lower Cholesky factor of the observations' covariance, shape (n, n).
        alpha: That covariance's inverse times y, shape (n,).
    """

    sample: Sample
    hyper: Hyper
    factor: np.ndarray
    alpha: np.ndarray

    def correlate(self, x: np.ndarray, blocks: np.ndarray, *, rough: bool = False) -> np.ndarray:
        """Prior covariance of rows with the observed rows.

        Args:
            x: Features, shape (m, f).
            blocks: Block of each row, shape (m,).
            rough: Whether seven digits are enough.

        Returns:
            Shape (m, n).
        """
        covariance = self._kernel.covariance(x, rough=rough)
        if self.hyper.offset:
            covariance += self.hyper.offset * (blocks[:, None] == self.sample.blocks)
        return covariance

    def predict(
        self, x: np.ndarray, blocks: np.ndarray, *, rough: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and standard deviation of the noise-free function.

        Rasmussen and Williams (2006), algorithm 2.1.

        Args:
            x: Features, shape (m, f).
            blocks: Block of each row, shape (m,).
            rough: Whether covariances of seven digits are enough, to sort hundreds of rows.

        Returns:
            Means and standard deviations, each of shape (m,).
        """
        cross = self.correlate(x, blocks, rough=rough)
        half = _forward(self.factor, cross.T)
        variance = self.hyper.variance - np.einsum("ij,ij->j", half, half)
        return cross @ self.alpha, np.sqrt(np.maximum(variance, 1e-14))

    def around(self, x: np.ndarray, blocks: np.ndarray, moving: np.ndarray) -> Around:
        """Predictions, with slopes, of a few rows of which only some groups will change.

        Args:
            x: Features, shape (m, f).
            blocks: Block of each row, shape (m,).
            moving: Which groups may change, shape (g,); those of corners never do.

        Returns:
            What predicts wherever these groups have come to.
        """
        offset: np.ndarray | float = 0.0
        if self.hyper.offset:
            offset = self.hyper.offset * (blocks[:, None] == self.sample.blocks)
        return Around(self, self._kernel.walk(x, moving), offset)

    def observing(self, x: np.ndarray, blocks: np.ndarray, y: np.ndarray) -> Process:
        """The process had these rows been observed, too, without any known noise.

        The Cholesky factor is extended by the new rows: O(n^2 m) instead of O(n^3).

        With y the posterior mean, the mean stays and the uncertainty around the rows goes: what
        trials under way will tell (kriging believer; Ginsbourger et al. 2010).

        Args:
            x: Features, shape (m, f).
            blocks: Block of each row, shape (m,).
            y: Values, shape (m,).

        Returns:
            A new process with m more observations and the same hyperparameters.
        """
        sample = self.sample
        cross, own = self.correlate(x, blocks), replace(sample, x=x, blocks=blocks)
        within = replace(self, sample=own).correlate(x, blocks)
        np.fill_diagonal(within, _diagonal(self.hyper, np.zeros(len(x))))
        side = _forward(self.factor, cross.T)
        corner = linalg.cholesky(within - side.T @ side, lower=True, check_finite=False)
        old, new = len(sample.y), len(sample.y) + len(x)
        factor = np.zeros((new, new), order="F")  # as LAPACK wants it: no copy for each solution
        factor[:old, :old], factor[old:, :old], factor[old:, old:] = self.factor, side.T, corner
        grown = replace(
            sample,
            x=np.vstack([sample.x, x]),
            y=np.concatenate([sample.y, y]),
            blocks=np.concatenate([sample.blocks, blocks]),
            known=np.concatenate([sample.known, np.zeros(len(x))]),
        )
        alpha = _solved(factor, grown.y)
        return replace(self, sample=grown, factor=factor, alpha=alpha)

    @cached_property
    def _kernel(self) -> Kernel:
        hyper, sample = self.hyper, self.sample
        kinds = layout(sample.groups, sample.corners)
        return Kernel(sample.x, kinds, hyper.weights, hyper.signal, hyper.main, hyper.fine)


class Around:
    """Predictions of a process at a few rows, with slopes.

    Args:
        process: Whose.
        walk: Covariances of the rows with the observed ones.
        offset: What blocks add to them, of a shape that broadcasts to (m, n).
    """

    def __init__(self, process: Process, walk: Walk, offset: np.ndarray | float) -> None:
        self._process, self._walk, self._offset = process, walk, offset

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations, each of shape (m,).

        Args:
            x: Features, shape (m, f), as at first but for those of moving groups.

        Returns:
            As `Process.predict` gives them.
        """
        process = self._process
        cross = self._walk.at(x)
        cross += self._offset
        self._solved = _solved(process.factor, cross.T).T
        variance = process.hyper.variance - np.einsum("ij,ij->i", cross, self._solved)
        self._sd = np.sqrt(np.maximum(variance, 1e-14))
        return cross @ process.alpha, self._sd

    def slopes(self, by_mean: np.ndarray, by_sd: np.ndarray) -> np.ndarray:
        """The gradient of a function of the last predictions by the features.

        Args:
            by_mean: The function's derivatives by the means, shape (m,).
            by_sd: Its derivatives by the standard deviations, shape (m,).

        Returns:
            Shape (m, f); 0 where features cannot move.
        """
        table = self._solved * (by_sd / -self._sd)[:, None]
        table += by_mean[:, None] * self._process.alpha
        return self._walk.against(table)


def condition(sample: Sample, hyper: Hyper) -> Process:
    """The process given a sample.

    Args:
        sample: What was observed, at least one row.
        hyper: Hyperparameters.

    Returns:
        The posterior process.
    """
    empty = Process(sample, hyper, np.empty((0, 0)), np.empty(0))
    covariance = empty.correlate(sample.x, sample.blocks)
    np.fill_diagonal(covariance, _diagonal(hyper, sample.known))
    factor = linalg.cholesky(covariance, lower=True, check_finite=False)
    alpha = _solved(factor, sample.y)
    return Process(sample, hyper, factor, alpha)


def _diagonal(hyper: Hyper, known: np.ndarray) -> np.ndarray:
    return hyper.variance + hyper.noise + hyper.share * known


# SciPy's wrappers around these cost more than the small systems they solve.


def _forward(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L^-1 B for a lower triangular L."""
    return np.asarray(lapack.dtrtrs(factor, right, lower=1)[0])


def _solved(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(L L^T)^-1 B for a lower triangular L."""
    return np.asarray(lapack.dpotrs(factor, right, lower=1)[0])
