"""Importance of parameters, measured on the trials so far."""

from __future__ import annotations

import numpy as np
import pytest

from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space
from attain.core.types import Observed
from attain.parameters.screen import importance

SPACE = Space(
    (
        Categorical(name="kind", choices=("a", "b")),
        Float(name="rate", low=1e-4, high=1.0, scale="log", when=(Condition("kind", ("a",)),)),
        Int(name="depth", low=1, high=9),
        Ordinal(name="size", choices=("s", "m", "l")),
    )
)


def trials(count: int, weigh, seed: int = 0) -> list[Observed]:
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        config = {
            "kind": ("a", "b")[rng.integers(2)],
            "depth": int(rng.integers(1, 10)),
            "size": ("s", "m", "l")[rng.integers(3)],
        }
        if config["kind"] == "a":
            config["rate"] = float(10 ** rng.uniform(-4, 0))
        loss = weigh(config) + 0.01 * rng.normal()
        found.append(Observed(f"t{index:04d}", config, "done", float(loss)))
    return found


@pytest.mark.parametrize(
    ("name", "weigh"),
    [
        ("kind", lambda c: float(c["kind"] == "b")),
        ("depth", lambda c: (c["depth"] - 5) ** 2 / 16),
        ("size", lambda c: float(c["size"] != "m")),
        ("rate", lambda c: abs(np.log10(c.get("rate", 1.0)) + 2)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_parameter_that_matters_is_found(name: str, weigh, seed: int):
    """Whatever kind the only parameter that matters is, it gets the largest share."""
    shares = importance(SPACE, trials(150, weigh, seed))
    assert set(shares) == {p.name for p in SPACE}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=shares.__getitem__) == name


def test_few_trials_say_nothing():
    """Below ten finished trials all shares are 0; failed and running ones do not count."""
    few = trials(9, lambda c: c["depth"])
    failed = [Observed(f"f{i}", o.config, "failed") for i, o in enumerate(trials(30, len))]
    assert set(importance(SPACE, [*few, *failed]).values()) == {0.0}
    assert sum(importance(SPACE, trials(60, lambda c: c["depth"])).values()) > 0


def test_values_from_earlier_ranges_do_not_break_it():
    """Trials outside of the present ranges or choices are still read."""
    narrow = Space(
        (
            Categorical(name="kind", choices=("a",)),
            Float(name="rate", low=1e-2, high=0.1, scale="log"),
            Int(name="depth", low=4, high=6),
            Ordinal(name="size", choices=("s", "m")),
        )
    )
    shares = importance(narrow, trials(100, lambda c: (c["depth"] - 5) ** 2))
    assert max(shares, key=shares.__getitem__) == "depth"
