"""Searches of functions whose pages are looked at; each is made once."""

from functools import cache

import attain

EVIL = '"><img src=x onerror=alert(1)></script>'
METRIC = "\"onload'&lt"


def plain(config):
    if config["kind"] == "c":
        raise ValueError("there is no c")
    slope = 1.0 if config["kind"] == "a" else 3.0
    return slope * (config["x"] - 2.0) ** 2 + abs(config["depth"] - 5) / 8 + 1e-6


def goals(config):
    x, b = config["x"], config["b"]
    return {"accuracy": 1 - (x - 0.6) ** 2 - b / 5, "latency": 10 * x + 3 * b, "size": 3 * b}


def hostile(config):
    if config[EVIL] == EVIL and config["x"] > 0.6:
        raise ValueError(EVIL)
    return {METRIC: config["x"]}


SPACE = {"x": (-5.0, 10.0), "depth": (1, 9), "kind": ["a", "b", "c"], "y": (1e-5, 0.1, "log")}


@cache
def one():
    """A single goal over several magnitudes, with failures."""
    return attain.minimize(plain, SPACE, trials=40, seed=1, progress=False)


@cache
def two():
    """Two goals and a limit, which some trials break."""
    return attain.minimize(
        goals, {"x": (0.0, 1.0), "b": (0.0, 1.0)}, trials=30, progress=False, strategy="sobol",
        goals=["maximize accuracy", "minimize latency", "size <= 2"],
    )  # fmt: skip


@cache
def evil():
    """Names, choices and messages that try to break out."""
    return attain.minimize(
        hostile, {EVIL: [EVIL, "a"], "x": (0.0, 1.0)}, trials=14, progress=False,
        goals=f"minimize {METRIC}", strategy="sobol",
    )  # fmt: skip


def rising(config, report):
    for step in range(1, 28):
        if report(1 - (config["x"] - 0.4) ** 2 - 1 / step):
            break
    return 1 - (config["x"] - 0.4) ** 2 - 1 / 27


@cache
def reported():
    """A score that is reported on the way; some trials are pruned."""
    return attain.minimize(
        rising, {"x": (0.0, 1.0)}, trials=30, progress=False, pruner="halving", seed=2,
        goals="maximize score",
    )  # fmt: skip


def trading(config, report):
    size = config["y"] + config["x"] / 5
    for step in range(1, 28):
        loss = (config["x"] - 0.3) ** 2 * 4 + (1 - config["y"]) ** 2 + 1 / step
        if report({"accuracy": 1 - loss, "size": size}):
            break
    return {"accuracy": 1 - loss, "size": size}


@cache
def traded():
    """Two goals that are reported on the way; some trials are pruned."""
    return attain.minimize(
        trading, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, trials=40, progress=False, pruner="halving",
        goals=["maximize accuracy", "minimize size"], strategy="sobol", seed=2,
    )  # fmt: skip


def nothing():
    """Asked for, and not told."""
    optimizer = attain.Optimizer(SPACE)
    optimizer.ask()
    return optimizer


MADE = {
    "one": one,
    "two": two,
    "evil": evil,
    "reported": reported,
    "traded": traded,
    "nothing": nothing,
}


@cache
def page(name):
    """The page of one of them as text."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        return MADE[name]().report(Path(folder)).read_text(encoding="utf-8")
