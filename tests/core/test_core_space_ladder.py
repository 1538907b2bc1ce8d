"""Ordered choices of which some are held back until a refinement opens them."""

from __future__ import annotations

import pytest

from attain.core.errors import SpaceError
from attain.core.space import Categorical, Condition, Constraint, Float, Forbidden, Ordinal, Space
from attain.core.space_read import plain_space, read_space, space_yaml
from attain.core.types import Observed
from attain.integrations.optuna import to_optuna
from attain.strategy._encode import Cube
from attain.strategy._initial import defaults, pending_defaults

RUNGS = Ordinal(name="rung", choices=("tfidf", "frozen"), reserve=("lora", "full"), default="tfidf")
SPACE = Space(
    (
        RUNGS,
        Float(
            name="rate", low=1e-5, high=1e-3, scale="log",
            when=(Condition("rung", ("lora", "full")),),
        ),
        Float(name="decay", low=0.5, high=1.0, when=(Condition("rung", ("full",)),)),
    ),
    forbidden=(Forbidden((Condition("rung", ("full",)), Condition("rate", (1e-3,)))),),
)  # fmt: skip


def test_what_is_held_back_is_no_value_yet():
    """It is shown and named by conditions, but no configuration has it, and its children sleep."""
    assert str(RUNGS) == "rung: tfidf < frozen, starting at tfidf, held back: lora < full"
    assert not RUNGS.contains("lora")
    assert SPACE.contains({"rung": "frozen"})
    assert not SPACE.contains({"rung": "lora", "rate": 1e-4})
    assert [p.name for p in SPACE.active({"rung": "tfidf"})] == ["rung"]


def test_opening_keeps_order_and_trials():
    """A rung may be skipped: the order says where it belongs. Earlier trials still count."""
    order = ("tfidf", "frozen", "lora", "full")
    skipped = RUNGS.opened("full", order)
    assert (skipped.choices, skipped.reserve) == (("tfidf", "frozen", "full"), ("lora",))
    assert skipped.opened("lora", order).choices == order
    assert skipped.opened("lora").choices == ("tfidf", "frozen", "full", "lora")
    after = SPACE.extended(RUNGS.opened("lora", order))
    assert after.version == 2
    old = {"rung": "frozen"}
    assert after.contains(old)
    assert Cube(after).encode(old) is not None
    assert after.contains({"rung": "lora", "rate": 1e-4})


def test_a_prior_does_not_survive_an_opening():
    """Its weights know nothing of the new choice."""
    weighed = Ordinal(name="rung", choices=(1, 2), reserve=(3,), prior=(1.0, 2.0))
    assert weighed.opened(3).prior is None


def test_each_open_rung_is_tried_at_its_defaults_first():
    """The lowest first; what is opened later is what waits next, and nothing is asked twice."""
    assert [p.config["rung"] for p in defaults(SPACE)] == ["tfidf", "frozen"]
    history = [Observed(f"t{i}", p.config, "done", 0.5) for i, p in enumerate(defaults(SPACE))]
    opened = SPACE.replacing(RUNGS.opened("lora"))
    (waiting,) = pending_defaults(Cube(opened), history)
    assert waiting.config["rung"] == "lora"
    assert waiting.reason == "known-good default of lora"


def test_rungs_of_one_learner_among_several():
    """Other learners keep their single start."""
    space = Space(
        (
            Categorical(name="learner", choices=("text", "trees")),
            Ordinal(
                name="text.rung", choices=("low", "high"), when=(Condition("learner", ("text",)),)
            ),
        )
    )
    assert [p.config.get("text.rung") for p in defaults(space)] == ["low", "high", None]


def test_it_survives_every_form():
    """As the ledger keeps it, and as people write it."""
    assert Space.from_dict(SPACE.to_dict()) == SPACE
    assert read_space(plain_space(SPACE)) == SPACE
    assert read_space(space_yaml(SPACE)) == SPACE
    plain = SPACE.to_dict()
    del plain["parameters"][0]["reserve"]
    assert Space.from_dict({**plain, "forbidden": []} | {"parameters": plain["parameters"][:1]})


def child(rung: str) -> Float:
    return Float(name="x", low=0, high=1, when=(Condition("rung", (rung,)),))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Space((Ordinal(name="r", choices=(1,), reserve=(1,)),)), "must differ"),
        (lambda: Space((Ordinal(name="r", choices=(1,), reserve=(None,)),)), "held back must be"),
        (lambda: read_space({"r": {"choices": [1], "reserve": [2]}}), "only ordered choices"),
        (lambda: read_space({"r": {"choices": [1], "ordered": True, "reserve": 2}}), "a list"),
        (lambda: Space((RUNGS, child("no"))), "satisfiable"),
    ],
)  # fmt: skip
def test_what_is_unsound_is_refused(make, match):
    """Every message says which rule."""
    with pytest.raises(SpaceError, match=match):
        make()


def test_constraints_may_compare_with_what_is_held_back():
    """They say nothing until it is opened."""
    space = Space(
        (RUNGS, Float(name="x", low=0, high=1)), constraints=(Constraint("rung != 'full'"),)
    )
    assert space.contains({"rung": "tfidf", "x": 0.5})


def test_a_ladder_is_known_when_it_is_fully_open():
    """By its name; other ordered choices are no ladders."""
    spent = Ordinal(name="text.rung", choices=("a", "b"))
    assert Space((spent,)).ladders == (spent,)
    assert Space((Ordinal(name="size", choices=(1, 2)),)).ladders == ()


def test_optuna_cannot_hold_choices_back():
    """It is refused rather than lost."""
    with pytest.raises(SpaceError, match="holds no choices back"):
        to_optuna(Space((RUNGS,)))
