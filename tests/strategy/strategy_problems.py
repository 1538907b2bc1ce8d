"""Functions that searches are compared on, and the loops that run them."""

from __future__ import annotations

import numpy as np

from attain.core.space import Categorical, Condition, Float, Int, Space, prefixed
from attain.core.types import Observed
from attain.stats.pareto import hypervolume

BRANIN = Space((Float(name="x", low=-5, high=10), Float(name="y", low=0, high=15)))


def branin(config):
    """Least value 0, at three places."""
    x, y = config["x"], config["y"]
    bowl = (y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10 - 0.397887


BOWL = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(6)))


def bowl(config):
    """An ellipsoid in six dimensions whose axes differ by a factor of 30; least value 0."""
    x = np.array(list(config.values())) - 0.3
    return float(np.sum(np.geomspace(1, 30, 6) * x**2))


TREES = Space(
    (
        Float(name="rate", low=1e-5, high=1, scale="log", default=0.1),
        Int(name="leaves", low=2, high=256, scale="log", default=100),
        Categorical(name="booster", choices=("plain", "dart")),
        Float(name="drop", low=0, high=0.9, when=(Condition("booster", ("dart",)),)),
    )
)
MIXED = Space(
    (
        Categorical(name="learner", choices=("trees", "lines")),
        *prefixed(TREES, "trees", Condition("learner", ("trees",))),
        Float(
            name="lines.penalty",
            low=1e-6,
            high=1e3,
            scale="log",
            default=1.0,
            when=(Condition("learner", ("lines",)),),
        ),
    )
)


def mixed(config):
    """Best 0: dart trees with rate 0.01, 20 leaves, drop 0.3; lines never get below 0.3."""
    if config["learner"] == "lines":
        return 0.3 + 0.02 * (np.log10(config["lines.penalty"]) + 2) ** 2
    loss = 0.1 * (np.log10(config["trees.rate"]) + 2) ** 2
    loss += 0.2 * np.log10(config["trees.leaves"] / 20) ** 2
    return loss + ((config["trees.drop"] - 0.3) ** 2 if "trees.drop" in config else 0.1)


PROBLEMS = {"branin": (BRANIN, branin), "bowl": (BOWL, bowl), "mixed": (MIXED, mixed)}


def search(strategy, space, loss, trials, seed):
    """A study of one trial at a time."""
    history = []
    for i in range(trials):
        (proposal,) = strategy.propose(space, tuple(history), 1, seed)
        history.append(Observed(f"t{i}", proposal.config, "done", float(loss(proposal.config))))
    return history


def best(history):
    """The least loss."""
    return min(o.loss for o in history)


def bests(strategy, space, loss, trials, seeds):
    """The least losses of several studies."""
    return np.array([best(search(strategy, space, loss, trials, seed)) for seed in seeds])


def parallel(strategy, space, loss, trials, workers, seed):
    """A study with several trials at a time; the one that was asked first ends first."""
    history = []
    for i in range(trials + workers):
        if i >= workers:
            o = history[i - workers]
            done = Observed(o.trial, o.config, "done", float(loss(o.config)))
            history[i - workers] = done
        if i < trials:
            (proposal,) = strategy.propose(space, tuple(history), 1, seed)
            history.append(Observed(f"t{i}", proposal.config, "running"))
    return history


FRONTS = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(5)))


def zdt1(config):
    """A convex front (Zitzler, Deb and Thiele 2000) in five dimensions."""
    x = np.array(list(config.values()))
    g = 1 + 9 * x[1:].mean()
    return float(x[0]), float(g * (1 - np.sqrt(x[0] / g)))


def zdt2(config):
    """A concave one."""
    x = np.array(list(config.values()))
    g = 1 + 9 * x[1:].mean()
    return float(x[0]), float(g * (1 - (x[0] / g) ** 2))


def search_several(strategy, space, goals, trials, seed):
    """A study with several goals."""
    history = []
    for i in range(trials):
        (proposal,) = strategy.propose(space, tuple(history), 1, seed)
        found = goals(proposal.config)
        o = Observed(f"t{i}", proposal.config, "done", loss=sum(found), goals=found)
        history.append(o)
    return history


def volume(history, reference):
    """What the trials of a study dominate together."""
    return hypervolume(np.array([o.goals for o in history]), reference)
