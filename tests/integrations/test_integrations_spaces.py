"""Spaces from ConfigSpace and Optuna, which are not needed for it, and back."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from attain.core.errors import EnvironmentProblem, SpaceError
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
from attain.integrations.configspace import from_configspace_json
from attain.integrations.optuna import from_optuna, to_optuna

# as ConfigSpace 0.4 wrote it, shortened from YAHPO Gym's space for XGBoost
_OLD = {
    "hyperparameters": [
        {
            "name": "booster",
            "type": "categorical",
            "choices": ["gblinear", "gbtree", "dart"],
            "default": "gblinear",
            "probabilities": [0.25, 0.5, 0.25],
        },
        {"name": "eta", "type": "uniform_float", "log": True, "lower": 1e-3, "upper": 1.0,
         "default": 0.03},
        {"name": "nrounds", "type": "uniform_int", "log": False, "lower": 7, "upper": 27,
         "default": 17, "q": 5},
        {"name": "gamma", "type": "normal_float", "log": True, "mu": math.log(0.5), "sigma": 2.0,
         "lower": 0.01, "upper": 10.0, "default": 0.5},
    ],
    "conditions": [
        {"child": "eta", "parent": "booster", "type": "IN", "values": ["dart", "gbtree"]},
        {"child": "gamma", "parent": "booster", "type": "EQ", "value": "dart"},
    ],
    "forbiddens": [{"name": "nrounds", "type": "EQUALS", "value": 27}],
    "python_module_version": "0.4.18",
    "json_format_version": 0.2,
}  # fmt: skip
# as ConfigSpace 1.2 wrote it
_NEW = {
    "name": None,
    "hyperparameters": [
        {"type": "categorical", "name": "c", "choices": ["x", "y"], "weights": [1, 2],
         "default_value": "y", "meta": None},
        {"type": "constant", "name": "k", "value": 3, "meta": None},
        {"type": "normal_float", "name": "lr", "mu": 0.001, "sigma": 2.0, "lower": 1e-05,
         "upper": 0.1, "default_value": 0.001, "log": True, "meta": None},
        {"type": "ordinal", "name": "o", "sequence": ["s", "m", "l"], "default_value": "s",
         "meta": None},
        {"type": "uniform_int", "name": "a", "lower": 1, "upper": 10, "default_value": 6,
         "log": False, "meta": None},
        {"type": "uniform_float", "name": "b", "lower": 0, "upper": 1, "default_value": 0.5,
         "log": False, "meta": None},
    ],
    "conditions": [
        {"type": "AND", "child": "b", "conditions": [
            {"type": "GT", "child": "b", "parent": "a", "value": 7},
            {"type": "NEQ", "child": "b", "parent": "c", "value": "x"},
            {"type": "LT", "child": "b", "parent": "o", "value": "l"},
        ]},
        {"type": "OR", "child": "a", "conditions": [
            {"type": "EQ", "child": "a", "parent": "o", "value": "s"},
            {"type": "EQ", "child": "a", "parent": "o", "value": "l"},
        ]},
    ],
    "forbiddens": [
        {"type": "AND", "clauses": [
            {"type": "EQUALS", "name": "c", "value": "x"},
            {"type": "IN", "name": "o", "values": ["m", "l"]},
        ]},
        {"type": "RELATION_LT", "left": "a", "right": "k"},
    ],
    "python_module_version": "1.2.0",
    "format_version": 0.4,
}  # fmt: skip


def test_the_old_format_is_read():
    """Probabilities, steps, logarithmic normals and conditions of versions before 1.0."""
    dart = Condition("booster", ("dart",))
    assert from_configspace_json(_OLD) == Space(
        (
            Categorical(
                name="booster",
                choices=("gblinear", "gbtree", "dart"),
                default="gblinear",
                prior=(0.25, 0.5, 0.25),
            ),
            Float(name="eta", low=1e-3, high=1.0, default=0.03, scale="log",
                  when=(Condition("booster", ("dart", "gbtree")),)),
            Int(name="nrounds", low=7, high=27, default=17, step=5),
            Float(name="gamma", low=0.01, high=10.0, default=0.5, scale="log", prior=(0.5, 2.0),
                  when=(dart,)),
        ),
        forbidden=(Forbidden((Condition("nrounds", (27,)),)),),
    )  # fmt: skip


def test_the_new_format_is_read():
    """Weights, constants, ordinals, all kinds of conditions, forbidden clauses and relations."""
    got = from_configspace_json(_NEW)
    assert got["c"] == Categorical(name="c", choices=("x", "y"), default="y", prior=(1.0, 2.0))
    assert got["k"] == Categorical(name="k", choices=(3,))
    assert got["lr"].prior == pytest.approx((0.001, math.log(2)))  # both were no logarithms
    assert got["o"] == Ordinal(name="o", choices=("s", "m", "l"), default="s")
    assert got["a"].when == (Condition("o", ("s", "l")),)
    assert got["b"].when == (
        Condition("a", (8, 9, 10)),
        Condition("c", ("y",)),
        Condition("o", ("s", "m")),
    )
    assert got.forbidden == (Forbidden((Condition("c", ("x",)), Condition("o", ("m", "l")))),)
    assert got.constraints == (Constraint("a >= k"),)


def test_a_mapping_a_text_and_a_file_are_the_same(tmp_path):
    """The path may be text, too: a JSON document begins with a brace."""
    path = tmp_path / "space.json"
    path.write_text(json.dumps(_NEW), encoding="utf-8")
    wanted = from_configspace_json(_NEW)
    for source in (json.dumps(_NEW), path, str(path)):
        assert from_configspace_json(source) == wanted


def _with(**changes: Any) -> dict[str, Any]:
    return {**_NEW, **changes}


def _one(**fields: Any) -> dict[str, Any]:
    return _with(hyperparameters=[{"name": "x", **fields}], conditions=[], forbiddens=[])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "a ConfigSpace file must be readable JSON"),
        ("gone.json", "gone.json: a ConfigSpace file must be readable JSON"),
        ({}, "a ConfigSpace file has a list called hyperparameters"),
        (_one(type="beta_float"), "x: beta distributions cannot be expressed"),
        (_one(type="uniform_flot"), "x: parameters of type 'uniform_flot'.*did you mean"),
        (_one(type="uniform_int", lower=1), "x: a number without bounds cannot be expressed"),
        (_one(type="uniform_int", lower=1, upper=3), "a part of a ConfigSpace file needs default"),
        (_one(type="uniform_int", lower="a", upper=3, default=1), "cannot be read: invalid"),
        (_one(type="uniform_int", lower=3, upper=1, default=1), "low must be below high"),
        (_with(conditions=[{"type": "EQ", "child": "a", "parent": "z", "value": 1}]), "'z' is no"),
        (_with(conditions=[{"type": "XOR", "child": "a", "parent": "c"}]), "type 'XOR' is not"),
        (
            _with(conditions=[{"type": "GT", "child": "a", "parent": "b", "value": 0.5}]),
            "a: a condition GT on a parent with so many values cannot be expressed",
        ),
        (
            _with(
                conditions=[
                    {
                        "type": "OR",
                        "child": "a",
                        "conditions": [
                            {"type": "EQ", "child": "a", "parent": "c", "value": "x"},
                            {"type": "EQ", "child": "a", "parent": "o", "value": "s"},
                        ],
                    }
                ]
            ),
            r"one of several parents cannot be expressed \(got c or o\)",
        ),
        (
            _with(forbiddens=[{"type": "AND", "clauses": [{"type": "RELATION_LT"}]}]),
            "'RELATION_LT' inside of another cannot be expressed",
        ),
    ],
)
def test_what_cannot_be_expressed_is_refused(source, message):
    """Each kind has its message; nothing but `SpaceError` comes out."""
    with pytest.raises(SpaceError, match=message):
        from_configspace_json(source)


def test_all_that_cannot_be_expressed_is_told_at_once():
    """Two parameters and a condition are three problems."""
    broken = _with(
        hyperparameters=[{"name": "x", "type": "beta_int"}, {"name": "y", "type": "normal_int"}],
        conditions=[{"type": "EQ", "child": "x", "parent": "z", "value": 1}],
        forbiddens=[],
    )
    with pytest.raises(SpaceError, match="beta") as caught:
        from_configspace_json(broken)
    assert [problem.place for problem in caught.value.problems] == ["x", "y", "x"]


# Optuna's distributions as far as they are read, so that Optuna itself is not needed
@dataclass
class FloatDistribution:
    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass
class IntDistribution:
    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass
class CategoricalDistribution:
    choices: tuple[Any, ...]


@dataclass
class DiscreteUniformDistribution:
    low: float
    high: float
    q: float


@dataclass
class IntLogUniformDistribution:
    low: int
    high: int


@dataclass
class LogUniformDistribution:
    low: float
    high: float


_DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-5, 0.1, log=True),
    "share": FloatDistribution(0.0, 1.0, step=0.1),
    "depth": IntDistribution(1, 9, step=2),
    "units": IntDistribution(1, 128, log=True),
    "kind": CategoricalDistribution(("a", True, 2)),
}
_PARAMETERS = (
    Float(name="rate", low=1e-5, high=0.1, scale="log"),
    Float(name="share", low=0.0, high=1.0, step=0.1),
    Int(name="depth", low=1, high=9, step=2),
    Int(name="units", low=1, high=128, scale="log"),
    Categorical(name="kind", choices=("a", True, 2)),
)


def test_distributions_become_parameters():
    """Those of today and of version 2; a range of one value is a list of one choice."""
    assert from_optuna(_DISTRIBUTIONS) == Space(_PARAMETERS)
    older = {
        "q": DiscreteUniformDistribution(0.0, 1.0, 0.25),
        "n": IntLogUniformDistribution(1, 64),
        "r": LogUniformDistribution(1e-3, 1.0),
        "one": FloatDistribution(2.0, 2.0),
        "two": IntDistribution(2, 2),
    }
    assert from_optuna(older) == Space(
        (
            Float(name="q", low=0.0, high=1.0, step=0.25),
            Int(name="n", low=1, high=64, scale="log"),
            Float(name="r", low=1e-3, high=1.0, scale="log"),
            Categorical(name="one", choices=(2.0,)),
            Categorical(name="two", choices=(2,)),
        )
    )


def test_distributions_that_cannot_be_expressed():
    """A choice of None and a foreign class are refused at once."""
    with pytest.raises(SpaceError, match='name them in text, such as "none"') as caught:
        from_optuna({"x": CategoricalDistribution((None, "a")), "y": object()})
    assert [problem.place for problem in caught.value.problems] == ["x", "y"]


def test_parameters_become_distributions(monkeypatch):
    """There and back is the same; an ordered list becomes an unordered one."""
    names = (FloatDistribution, IntDistribution, CategoricalDistribution)
    distributions = SimpleNamespace(**{kind.__name__: kind for kind in names})
    monkeypatch.setitem(sys.modules, "optuna", SimpleNamespace(distributions=distributions))
    assert to_optuna(Space(_PARAMETERS)) == _DISTRIBUTIONS
    ordered = Space((Ordinal(name="o", choices=("s", "l")),))
    assert to_optuna(ordered) == {"o": CategoricalDistribution(("s", "l"))}


def test_spaces_that_optuna_cannot_express():
    """Conditions, clauses, other scales, and steps on a log scale are named, all at once."""
    space = Space(
        (
            Categorical(name="k", choices=("a", "b")),
            Float(name="x", low=0.1, high=0.9, scale="logit", when=(Condition("k", ("a",)),)),
            Int(name="n", low=1, high=9, scale="log", step=2),
        ),
        constraints=(Constraint("n < 9"),),
    )
    with pytest.raises(SpaceError, match="Optuna has linear and log scales only") as caught:
        to_optuna(space)
    assert [problem.place for problem in caught.value.problems] == ["space", "x", "x", "n"]


def test_a_missing_optuna_is_told(monkeypatch):
    """Only the way back needs it."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EnvironmentProblem, match="pip install optuna"):
        to_optuna(Space(_PARAMETERS))
