"""Which learners and parameters get the budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.codec import decode, encode
from attain.core.errors import SpecError
from attain.core.space import (
    Categorical,
    Condition,
    Constraint,
    Float,
    Forbidden,
    Int,
    Ordinal,
    Space,
)
from attain.core.types import (
    Column,
    ColumnKind,
    ColumnRole,
    Dataset,
    Forecast,
    Pretrained,
    RungForecast,
    Task,
)
from attain.parameters.select import PORTFOLIO, Selection, select, unprefix

TREES = Space(
    (
        Float(name="rate", low=0.01, high=0.3, default=0.05, scale="log", source="paper"),
        Int(name="leaves", low=4, high=256, default=31, scale="log", priority=2),
        Float(name="bagging", low=0.5, high=1.0, default=1.0, priority=3),
    )
)
LINEAR = Space(
    (
        Float(name="C", low=1e-4, high=1e4, default=1.0, scale="log"),
        Categorical(name="penalty", choices=("l2", "elasticnet"), default="l2", priority=2),
        Float(
            name="ratio", low=0.0, high=1.0, default=0.5, priority=3,
            when=(Condition("penalty", ("elasticnet",)),),
        ),
    )
)  # fmt: skip
EMPTY = Space(())


def dataset(rows: int = 1000, columns: int = 10) -> Dataset:
    features = tuple(Column(f"x{i}", ColumnKind.NUMERIC) for i in range(columns))
    target = Column("y", ColumnKind.BOOLEAN, ColumnRole.TARGET)
    return Dataset("a.csv", "f0", rows, (*features, target), "y", Task.BINARY, ("0", "1"))


def choose(spaces, *, trials=60, seconds=None, wanted=(), rows=1000, columns=10) -> Selection:
    return select(spaces, dataset(rows, columns), trials=trials, seconds=seconds, wanted=wanted)


def used(choices) -> list[str]:
    return [choice.name for choice in choices if choice.used]


def test_more_trials_buy_more_learners_in_the_portfolios_order():
    """A quarter of the trials may go to defaults: 4 trials buy one learner, 12 three, 60 all."""
    spaces = dict.fromkeys(reversed([*PORTFOLIO]), LINEAR)
    order = [name for name in PORTFOLIO if name != "text"]  # on tables it needs a model
    assert used(choose(spaces, trials=1).learners) == order[:1]
    assert used(choose(spaces, trials=12).learners) == order[:3]
    assert used(choose(spaces, trials=60).learners) == order
    left_out = choose(spaces, trials=12).learners[4]
    assert "12 trials pay for 3" in left_out.reason


def test_every_learner_gets_an_answer():
    """Learners that do not apply keep their own reason, the baseline is never searched."""
    spaces = {"lightgbm": TREES, "svm": "more than 20,000 rows", "baseline": EMPTY, "mine": LINEAR}
    choices = {c.name: c for c in choose(spaces).learners}
    assert set(choices) == set(spaces)
    assert choices["svm"] == type(choices["svm"])("svm", False, "more than 20,000 rows")
    assert not choices["baseline"].used
    assert choices["mine"].used
    assert all(c.reason for c in choices.values())


def test_little_time_leaves_out_slow_learners():
    """Seconds limit how many learners there are, and which: an SVM on many rows takes too long."""
    spaces = dict.fromkeys((n for n in PORTFOLIO if n not in ("image", "audio", "llm")), LINEAR)
    quick = choose(spaces, trials=None, seconds=600, rows=15_000, columns=20)
    assert "svm" in used(choose(spaces, seconds=36_000, rows=15_000, columns=20).learners)
    assert "svm" not in used(choose(spaces, seconds=200, rows=15_000, columns=20).learners)
    reason = {
        c.name: c.reason for c in choose(spaces, seconds=200, rows=15_000, columns=20).learners
    }
    assert "one trial would take about 56 s of the 200 s granted" in reason["svm"]
    assert len(used(quick.learners)) == 7
    assert used(choose(spaces, seconds=5, rows=200_000, columns=50).learners) == ["lightgbm"]


def test_wanted_learners_are_all_kept():
    """Learners that the user names are used whatever the budget, in the order given, once each."""
    spaces = dict.fromkeys(PORTFOLIO, LINEAR) | {"baseline": EMPTY}
    selection = choose(spaces, trials=1, wanted=("svm", "knn", "svm"))
    assert used(selection.learners) == ["svm", "knn"]
    assert {c.reason for c in selection.learners} == {
        "named by the user",
        "other learners were named",
    }


def test_wanted_learners_must_be_known_and_apply():
    """All wrong names are refused at once, with the nearest name or the learner's reason."""
    with pytest.raises(SpecError, match="did you mean 'lightgbm'") as caught:
        choose({"lightgbm": TREES, "svm": "too many rows"}, wanted=("lightgmb", "svm"))
    assert "svm does not apply: too many rows" in str(caught.value)


def test_when_no_learner_applies_the_reasons_are_given():
    """The error holds each learner's own reason."""
    with pytest.raises(SpecError, match=r"at least one learner must apply .*svm: too many rows"):
        choose({"svm": "too many rows", "baseline": EMPTY})


@pytest.mark.parametrize(
    ("trials", "tuned"),
    [(2, ["rate"]), (10, ["rate", "leaves"]), (30, ["rate", "leaves", "bagging"])],
)
def test_more_trials_tune_more_parameters(trials: int, tuned: list[str]):
    """Priority 1 always, 2 and 3 with enough trials; the others are fixed at their defaults."""
    selection = choose({"lightgbm": TREES}, trials=trials)
    names = [f"lightgbm.{name}" for name in tuned]
    assert [p.name for p in selection.space] == names
    assert used(selection.parameters) == names
    defaults = {"lightgbm.rate": 0.05, "lightgbm.leaves": 31, "lightgbm.bagging": 1.0}
    assert selection.fixed == {k: v for k, v in defaults.items() if k not in names}
    reasons = {c.name: c.reason for c in selection.parameters}
    assert reasons["lightgbm.rate"] == "priority 1 (paper)"
    if trials == 2:
        assert reasons["lightgbm.bagging"] == (
            "kept at 1.0: priority 3 takes 25 trials per learner, and there are about 2"
        )


def test_one_learner_needs_no_learner_parameter():
    """With one learner the space holds only its parameters; with two, a choice comes first."""
    assert [p.name for p in choose({"linear": LINEAR}, trials=2).space] == ["linear.C"]
    both = choose({"linear": LINEAR, "lightgbm": TREES}, trials=8).space
    assert both["learner"] == Categorical(
        name="learner",
        choices=("lightgbm", "linear"),
        default="lightgbm",
        source=both["learner"].source,
    )
    assert both["linear.C"].when == (Condition("learner", ("linear",)),)


def test_a_learner_without_parameters_is_still_named():
    """A point of an otherwise empty space says which learner it means."""
    selection = choose({"plain": EMPTY})
    point = selection.space.defaults()
    assert unprefix(point, selection.fixed) == ("plain", {})


def test_what_stands_in_a_clause_is_tuned_together():
    """A learner's clauses hold in the whole space; with few trials nothing in them is tuned."""
    clauses = Space(
        TREES.parameters,
        forbidden=(Forbidden((Condition("leaves", (256,)),)),),
        constraints=(Constraint("rate * leaves <= 30 * bagging"),),
    )
    rich = choose({"trees": clauses, "linear": LINEAR}, trials=400).space
    assert {"trees.rate", "trees.leaves", "trees.bagging"} <= {p.name for p in rich}
    assert [str(c) for c in rich.clauses] == [
        "never trees.leaves is 256",
        "trees.rate * trees.leaves <= 30 * trees.bagging",
    ]
    poor = choose({"trees": clauses}, trials=3).space
    assert {p.name for p in poor} in (set(), {"trees.rate", "trees.leaves", "trees.bagging"})
    assert len(poor.clauses) in (0, 2)


def test_a_selection_survives_the_ledger():
    """Encoding and decoding gives an equal selection."""
    selection = choose({"linear": LINEAR, "lightgbm": TREES, "svm": "no"})
    again = decode(Selection, encode(selection))
    assert again == selection
    assert isinstance(again.space, Space)


@st.composite
def learner_spaces(draw) -> Space:
    parameters = []
    for index in range(draw(st.integers(0, 5))):
        parents = [p for p in parameters if isinstance(p, Categorical)]
        when = ()
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            when = (Condition(parent.name, (draw(st.sampled_from(parent.choices)),)),)
        shared = {"name": f"p{index}", "priority": draw(st.integers(1, 3)), "when": when}
        if draw(st.booleans()):
            parameters.append(Categorical(choices=("a", "b", "c"), **shared))
        else:
            parameters.append(Float(low=0.0, high=1.0, **shared))
    return Space(tuple(parameters))


@given(st.lists(learner_spaces(), min_size=1, max_size=3), st.integers(1, 120), st.randoms())
def test_any_point_becomes_a_complete_configuration(spaces, trials: int, random):
    """Whatever is tuned or fixed, a point of the space gives its learner every active parameter."""
    named = {f"l{i}": space for i, space in enumerate(spaces)}
    selection = choose(named, trials=trials, wanted=tuple(named))
    config = {}
    for parameter in selection.space.ordered:
        if parameter in selection.space.active(config | {parameter.name: None}):
            config[parameter.name] = (
                random.choice(parameter.choices)
                if isinstance(parameter, Categorical)
                else random.uniform(parameter.low, parameter.high)
            )
    selection.space.check(config)
    learner, full = unprefix(config, selection.fixed)
    named[learner].check(full)
    names = {f"{n}.{p.name}" for n, s in named.items() for p in s}
    assert {c.name for c in selection.parameters} == names
    tuned = {p.name for p in selection.space} - {"learner"}
    assert {c.name for c in selection.parameters if c.used} == tuned


def ladder() -> Space:
    return Space(
        (
            Ordinal(name="rung", choices=("low", "middle"), reserve=("high",), default="middle"),
            Float(name="size", low=0.0, high=1.0, default=0.5, when=(Condition("rung", ("low",)),)),
            Float(
                name="rate", low=0.0, high=1.0, default=0.1, when=(Condition("rung", ("high",)),)
            ),
            Int(
                name="epochs", low=1, high=9, default=3, priority=2,
                when=(Condition("rung", ("middle", "high")),),
            ),
            Float(
                name="decay", low=0.0, high=1.0, default=0.9, priority=2,
                when=(Condition("rung", ("high",)),),
            ),
        )
    )  # fmt: skip


def texts(modality: str = "text", pretrained: Pretrained | None = None) -> Dataset:
    words = Column("words", ColumnKind.TEXT)
    return replace(
        dataset(), columns=(words, *dataset().columns), modality=modality, pretrained=pretrained
    )


def costs(low: float, middle: float, high: float) -> dict[str, Forecast]:
    seconds = {"low": low, "middle": middle, "high": high}
    rungs = tuple(RungForecast(name, 10, s, 10**6) for name, s in seconds.items())
    return {"text": Forecast(rungs)}


MODEL = Pretrained("/model", "0" * 64)
WITH_TEXT = {"linear": LINEAR, "lightgbm": TREES, "text": ladder()}


def test_texts_alone_are_read_by_the_learner_of_texts():
    """Others say why not, unless the user names them."""
    found = select(WITH_TEXT, texts(), trials=60, seconds=None, wanted=())
    assert used(found.learners) == ["text"]
    reasons = {c.name: c.reason for c in found.learners}
    assert "texts are all there is" in reasons["lightgbm"]
    named = select(WITH_TEXT, texts(), trials=60, seconds=None, wanted=["linear"])
    assert used(named.learners) == ["linear"]
    without = {"linear": LINEAR, "text": "torch is missing"}
    assert used(select(without, texts(), trials=60, seconds=None, wanted=()).learners) == ["linear"]


def test_beside_other_columns_texts_need_a_model():
    """On a table the learner of texts joins when there is a pre-trained model, and comes first."""
    found = select(WITH_TEXT, texts("table"), trials=60, seconds=None, wanted=())
    assert used(found.learners) == ["lightgbm", "linear"]
    assert "model: FOLDER" in next(c.reason for c in found.learners if c.name == "text")
    found = select(WITH_TEXT, texts("table", MODEL), trials=60, seconds=None, wanted=())
    assert used(found.learners) == ["text", "lightgbm", "linear"]


@pytest.mark.parametrize(("middle", "joins"), [(10, True), (120, False)])
def test_a_forecast_takes_the_place_of_rows_times_columns(middle, joins):
    """What is open from the start decides: a rung that is held back costs nothing yet."""
    spaces = {"mlp": LINEAR, "text": ladder()}
    how = {"trials": 60, "wanted": (), "forecasts": costs(1, middle, 10_000), "fits": 2}
    order = select(spaces, texts("table", MODEL), seconds=1000, **how)
    assert used(order.learners) == ["text", "mlp"]
    alone = select(spaces, texts(), seconds=1000, **how)
    about = 1000 / (middle * 2)
    size = next(c for c in alone.parameters if c.name == "text.epochs")
    assert size.used is joins
    assert joins or f"there are about {about:.0f}" in size.reason


def test_on_a_dear_rung_only_what_matters_is_tuned():
    """Three trials of the highest rung pay for its priority 1; the rest is pinned where it exists,
    so that a point says by itself what exists."""
    found = select(
        WITH_TEXT, texts(), trials=60, seconds=600, wanted=(), forecasts=costs(1, 5, 200), fits=1
    )
    assert used(found.parameters) == ["text.rung", "text.size", "text.rate", "text.epochs"]
    decay = found.space["text.decay"]
    assert decay.choices == (0.9,)
    assert "takes 5 trials per learner, and there are about 3" in next(
        c.reason for c in found.parameters if c.name == "text.decay"
    )
    assert found.fixed == {}
    opened = found.space.replacing(found.space["text.rung"].opened("high"))
    point = opened.defaults({"text.rung": "high"})
    assert unprefix(point, found.fixed) == (
        "text",
        {"rung": "high", "rate": 0.1, "epochs": 3, "decay": 0.9},
    )
    rich = select(
        WITH_TEXT, texts(), trials=60, seconds=6000, wanted=(), forecasts=costs(1, 5, 200), fits=1
    )
    assert "text.decay" in used(rich.parameters)
