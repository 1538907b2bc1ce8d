"""Functions to minimise; a module of their own so that worker processes can import them."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

SPACE = {
    "x": (-5.0, 10.0),
    "rate": {"low": 1e-5, "high": 0.1, "scale": "log"},
    "kind": ["a", "b"],
    "depth": {"low": 1, "high": 9, "when": {"kind": "a"}},
}
LINE = {"x": (0.0, 1.0)}


def bowl(config: dict[str, Any]) -> float:
    """Smallest, 0, at x = 2 and rate = 0.01."""
    extra = 0.01 * abs(config.pop("depth", 5) - 5)  # the configuration is the function's own
    return float((config["x"] - 2) ** 2 + (math.log10(config["rate"]) + 2) ** 2 + extra)


def broken(config: dict[str, Any]) -> float:
    """Never succeeds."""
    raise ValueError(f"no file for x = {config['x']:.0f}")


def hostile(config: dict[str, Any]) -> float:
    """Fails in every way there is, by region of x."""
    if config["x"] > 0.9:
        os._exit(3)
    if config["x"] > 0.8:
        raise RuntimeError("too large")
    if config["x"] > 0.7:
        return math.nan
    if config["x"] > 0.6:
        sys.exit("no")
    return float(config["x"])


def slow(config: dict[str, Any]) -> float:
    """Takes a twentieth of a second."""
    time.sleep(0.05)
    return float((config["x"] - 0.3) ** 2)


def noted(config: dict[str, Any]) -> float:
    """The same, and leaves a line in the file that the environment names, once it is done."""
    loss = slow(config)
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as file:
        file.write(f"{config['x']!r}\n")
    return loss


class Offset:
    """A callable with a state of its own."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, config: dict[str, Any]) -> float:
        return float((config["x"] - self.by) ** 2)

    def method(self, config: dict[str, Any]) -> float:
        return self(config)


def falling(config: dict[str, Any], report: Any) -> float:
    """Falls to where `slow` is in nine steps, and ends when it is told to; NaN beyond 0.9."""
    loss = math.inf
    for step in range(1, 10):
        loss = (config["x"] - 0.3) ** 2 + 1 / step
        if report(math.nan if config["x"] > 0.9 and step > 2 else loss):
            break
    return loss


def trading(config, report):
    """A loss that falls the slower the further off, against a size that is known at once."""
    size = config["y"]
    for step in range(1, 28):
        loss = (config["x"] - 0.3) ** 2 * 4 + (1 - size) ** 2 + 1 / step
        if report({"loss": loss, "size": size + config["x"] / 5}):
            break
    return {"loss": loss, "size": size + config["x"] / 5}
