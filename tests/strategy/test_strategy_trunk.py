"""What all branches of a space share is looked at by itself, too."""

from __future__ import annotations

import numpy as np
import pytest

from attain.core.space import Categorical, Condition, Float, Forbidden, Int, Space
from attain.core.types import Observed
from attain.strategy._encode import Cube
from attain.strategy._initial import defaults
from attain.strategy.bayes import Bayes

_DART = (Condition("booster", ("dart",)),)
_BRANCHES = Space(
    (
        Categorical(name="booster", choices=("tree", "dart"), default="tree"),
        Int(name="rounds", low=8, high=2000, scale="log", default=100),
        Float(name="shrink", low=0.0, high=1.0, default=0.5),
        Float(name="drop", low=0.0, high=1.0, default=0.0, when=_DART),
        *(Float(name=f"x{i}", low=0.0, high=1.0, default=0.5, when=_DART) for i in range(6)),
    )
)
_FLAT = Space((Float(name="x", low=0.0, high=1.0), Float(name="y", low=0.0, high=1.0)))
_CHOICE = Space(
    (
        Categorical(name="learner", choices=("a", "b")),
        Float(name="x", low=0.0, high=1.0, when=(Condition("learner", ("a",)),)),
        Float(name="y", low=0.0, high=1.0, when=(Condition("learner", ("b",)),)),
    )
)


def _trap(config):
    """More rounds help everywhere, most with dropping; around its default is a dead end."""
    rounds = np.log(config["rounds"] / 8) / np.log(250)
    if config["booster"] == "tree":
        return 0.8 - 0.2 * rounds
    if config["drop"] > 0.3:
        return 0.9 - 0.9 * rounds**2
    return 0.5 - 0.02 * config["shrink"] + 0.3 * max(rounds - 0.5, 0.0)


def _searched(space, loss, strategy, trials, seed=0):
    """The proposals of a search, one after the other."""
    history, found = [], []
    while len(history) < trials:
        (made,) = strategy.propose(space, history, 1, seed)
        found.append(made)
        told = loss(made.config)
        history.append(Observed(f"t{len(history)}", made.config, "done", loss=told))
    return found


def _is_by_trunk(proposal):
    return "all branches share" in proposal.reason


def test_the_trunk_is_what_every_branch_has():
    """Parameters without conditions, whatever they are."""
    trunk = Cube(_BRANCHES).trunk
    assert [one.parameter.name for one in trunk.axes] == ["booster", "rounds", "shrink"]


@pytest.mark.parametrize("space", [_FLAT, _CHOICE, Space(())])
def test_no_trunk_without_branches_or_without_numbers(space):
    """A flat space is no tree, and a choice alone is no landscape."""
    assert Cube(space).trunk is None


@pytest.mark.parametrize("every", [2, 4])
def test_whose_turn_it_is_depends_on_the_number_of_trials(every):
    """After defaults and starts one in so many, its prediction that of the whole process."""
    found = _searched(_BRANCHES, _trap, Bayes(trunk_every=every), 16)
    begun = len(defaults(_BRANCHES)) + 4
    turns = [i for i, made in enumerate(found) if _is_by_trunk(made)]
    assert turns == [i for i in range(begun, 16) if i % every == 0]
    assert all(found[i].predicted is not None for i in turns)


@pytest.mark.parametrize(
    ("space", "every"), [(_BRANCHES, 0), (_FLAT, 4), (_CHOICE, 4)], ids=["off", "flat", "choice"]
)
def test_no_turns_where_there_is_nothing_to_look_at(space, every):
    """None is asked for, or the space has none."""

    def loss(config):
        return sum(value for value in config.values() if not isinstance(value, str))

    found = _searched(space, loss, Bayes(trunk_every=every), 14)
    assert not any(map(_is_by_trunk, found))


def test_it_goes_where_the_shared_parameters_are_best_and_draws_the_rest():
    """What more rounds do on average is seen through all that the branches do beside it."""
    rng, history, cube = np.random.default_rng(0), [], Cube(_BRANCHES)
    known = [dict(start.config) for start in defaults(_BRANCHES)]
    for i, config in enumerate([*known, *map(cube.decode, rng.random((14, len(cube))))]):
        told = -np.log(config["rounds"]) - ("drop" in config) + rng.normal(scale=0.3)
        history.append(Observed(f"t{i}", config, "done", loss=told))
    made = [Bayes().propose(_BRANCHES, history, 1, seed)[0] for seed in range(12)]
    assert all(map(_is_by_trunk, made))
    assert min(one.config["rounds"] for one in made) > 1500
    drops = [one.config["drop"] for one in made if "drop" in one.config]
    assert np.ptp(drops) > 0.5


def test_a_batch_is_what_asking_one_by_one_would_give():
    """Trials under way count in the look at the trunk as well."""
    history = [
        Observed(f"t{i}", made.config, "done", loss=_trap(made.config))
        for i, made in enumerate(_searched(_BRANCHES, _trap, Bayes(), 7))
    ]
    batch = Bayes().propose(_BRANCHES, history, 3, 0)
    single = list(history)
    for made in batch:
        (alone,) = Bayes().propose(_BRANCHES, single, 1, 0)
        assert alone.config == made.config
        single.append(Observed(f"r{len(single)}", made.config, "running"))
    assert _is_by_trunk(batch[1])


def test_clauses_between_the_trunk_and_a_branch_hold():
    """What is drawn beside the trunk's best values is refused where it may not come with them."""
    heavy = Forbidden((*_DART, Condition("mode", ("slow",))))
    mode = Categorical(name="mode", choices=("slow", "fast"), default="fast", when=_DART)
    space = Space((*_BRANCHES.parameters, mode), forbidden=(heavy,))
    found = _searched(space, _trap, Bayes(trunk_every=2), 20)
    assert all(space.allows(made.config) for made in found)
    assert any(map(_is_by_trunk, found))
