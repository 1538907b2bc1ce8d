"""What the user says of parameters is what is searched, and nonsense is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.errors import SpecError
from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Task
from attain.parameters.narrow import narrow
from attain.parameters.select import select, unprefix

TREES = Space(
    (
        Int(name="leaves", low=4, high=64, default=31, limits=(2, 512)),
        Float(name="rate", low=0.01, high=0.3, default=0.1, scale="log", limits=(0.001, 1.0)),
        Categorical(name="goss", choices=(False, True), default=False, priority=3),
    )
)
LADDER = Space(
    (
        Ordinal(name="rung", choices=("words", "frozen"), reserve=("lora", "full"),
                default="frozen"),
        Float(name="rate", low=1e-5, high=1e-3, default=1e-4, scale="log", limits=(1e-6, 1e-2),
              when=(Condition("rung", ("lora", "full")),)),
        Ordinal(name="epochs", choices=(1, 2, 3), default=2, priority=3,
                when=(Condition("rung", ("full",)),)),
        Categorical(name="ngrams", choices=("one", "two"), default="two",
                    when=(Condition("rung", ("words",)),)),
    )
)  # fmt: skip
SPACES = {"trees": TREES, "ladder": LADDER, "other": "it is for pictures"}


def names(space):
    return [p.name for p in space]


def test_nothing_said_changes_nothing():
    """The very same spaces."""
    assert narrow(SPACES, {}) == SPACES


def test_a_name_without_a_learner_means_all_that_have_it():
    """A rate of both; with the learner before it, of one."""
    both = narrow(SPACES, {"rate": [0.002, 0.005]})
    assert [both[n]["rate"].low for n in ("trees", "ladder")] == [0.002, 0.002]
    one = narrow(SPACES, {"trees.rate": [0.02, 0.05]})
    assert one["trees"]["rate"].limits == (0.02, 0.05)
    assert one["ladder"] is LADDER


def test_a_name_of_several_learners_means_those_for_which_it_makes_sense():
    """A rate of networks says nothing of trees; one of neither is refused."""
    found = narrow(SPACES, {"rate": [2e-5, 4e-5]})
    assert found["trees"] is TREES
    assert found["ladder"]["rate"].high == 4e-5
    with pytest.raises(SpecError, match=r"makes sense from 0\.001 to 1"):
        narrow(SPACES, {"rate": 7})


@given(low=st.floats(0.001, 0.99), share=st.floats(0.01, 1))
def test_a_range_is_kept_and_holds_its_start(low, share):
    """No refinement leaves it; the default is inside, the known one where it can be."""
    high = low + share * (1.0 - low)
    rate = narrow(SPACES, {"trees.rate": [low, high]})["trees"]["rate"]
    assert (rate.low, rate.high, rate.limits) == (low, high, (low, high))
    assert low <= rate.default <= high
    assert not low <= 0.1 <= high or rate.default == 0.1


def test_a_fixed_value_is_what_fits_get():
    """It is tuned nowhere and part of every configuration."""
    columns = (Column("x", ColumnKind.NUMERIC), Column("y", ColumnKind.BOOLEAN, ColumnRole.TARGET))
    dataset = Dataset("a.csv", "f0", 100, columns, "y", Task.BINARY, ("0", "1"))
    said = {"leaves": 100, "goss": "true", "trees.rate": "1e-2"}
    chosen = select(narrow({"trees": TREES}, said), dataset, trials=500, seconds=None, wanted=[])
    assert names(chosen.space) == ["learner"]
    assert unprefix({"learner": "trees"}, chosen.fixed) == (
        "trees",
        {"leaves": 100, "goss": True, "rate": 0.01},
    )
    assert {c.reason for c in chosen.parameters} == {
        f"fixed at {v} in the study file" for v in (100, True, 0.01)
    }


def test_a_stated_range_is_tuned_whatever_the_budget():
    """Its priority no longer matters."""
    spaces = narrow(SPACES, {"epochs": [2, 4, 8], "rung": ["full"]})
    assert names(spaces["ladder"]) == ["rung", "rate", "epochs"]
    assert spaces["ladder"]["epochs"].choices == (2, 4, 8)
    assert spaces["ladder"]["rung"].choices == ("full",)
    assert spaces["ladder"].defaults() == {"rung": "full", "rate": 1e-4, "epochs": 2}


@pytest.mark.parametrize("trials", [1, 20, 500])
@pytest.mark.parametrize("rung", ["words", "frozen", "lora", "full"])
def test_a_fixed_rung_leaves_what_exists_on_it(rung, trials):
    """Whatever is tuned there: the space is sound, and every point has the rung."""
    spaces = narrow({"ladder": LADDER}, {"rung": rung})
    columns = (Column("x", ColumnKind.NUMERIC), Column("y", ColumnKind.BOOLEAN, ColumnRole.TARGET))
    dataset = Dataset("a.csv", "f0", 100, columns, "y", Task.BINARY, ("0", "1"))
    chosen = select(spaces, dataset, trials=trials, seconds=None, wanted=["ladder"])
    learner, config = unprefix(chosen.space.defaults(), chosen.fixed)
    wanted = {"rung": rung, "rate": 1e-4, "epochs": 2, "ngrams": "two"}
    assert learner == "ladder"
    assert config == {name: wanted[name] for name in ("rung", *names(spaces["ladder"])[1:])}


def test_a_ladder_keeps_its_order_and_what_is_held_back():
    """Rungs that are named open as before; if all are held back, the first of them is open."""
    rung = narrow(SPACES, {"rung": ["full", "words"]})["ladder"]["rung"]
    assert (rung.choices, rung.reserve, rung.default) == (("words",), ("full",), "words")
    rung = narrow(SPACES, {"rung": ["full", "lora"]})["ladder"]["rung"]
    assert (rung.choices, rung.reserve, rung.default) == (("lora",), ("full",), "lora")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"rat": 1}, ["parameters", "rate"]),
        ({"other.rate": 1}, ["it is for pictures"]),
        ({"trees.rate": 5.0}, ["0.001 to 1", "5.0"]),
        ({"trees.rate": [0.2, 0.1]}, ["below the high one"]),
        ({"trees.rate": [0.1, 0.2, 0.3]}, ["two ends"]),
        ({"leaves": 3.5}, ["whole number"]),
        ({"leaves": "many"}, ["whole number", "many"]),
        ({"goss": "perhaps"}, ["False, True"]),
        ({"rung": ["words", "ful"]}, ["words, frozen, lora, full", "full"]),
        ({"rung": ["words", "words"]}, ["different"]),
        ({"epochs": 0}, ["1, 2, 3"]),
        ({"rung": "words", "epochs": 2}, ["epochs", "beside what else is said"]),
    ],
)
def test_nonsense_is_refused_with_the_place_and_a_remedy(said, words):
    """Each says what is wrong and what there is instead."""
    with pytest.raises(SpecError, match=words[0]) as error:
        narrow(SPACES, said)
    for word in words:
        assert word in str(error.value)


def test_only_learners_that_are_named_are_meant():
    """What another learner calls the same stays; a name that only it has is unknown."""
    found = narrow(SPACES, {"rate": 0.005}, ["trees"])
    assert found["ladder"] is LADDER
    with pytest.raises(SpecError, match="ngrams"):
        narrow(SPACES, {"ngrams": "one"}, ["trees"])
