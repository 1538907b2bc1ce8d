"""Records to JSON and back, for every type that the ledger holds."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from enum import Enum, StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core import codec, types
from attain.core.space import Categorical, Float, Space


def _through_json(value):
    return codec.decode(type(value), json.loads(json.dumps(codec.encode(value), allow_nan=False)))


_space = Space((Float(name="x", low=0, high=1), Categorical(name="b", choices=(True, 1, "1", 1.5))))
_objective = types.Objective("auc", types.Direction.MAXIMIZE, 0.9)
_score = types.Score("t1", "auc", 0.9, 0.8, 0.95, 100, per_fold=(0.8, 1.0))
_verdict = types.ObjectiveVerdict(_objective, _score, types.VerdictState.MET)
_EXAMPLES = [
    types.Forecast(
        (types.RungForecast("full", 22_566_146, 40.5, 1_600_000_000, "measured"),),
        (("[CLS] hello [SEP]", "spam"),),
        {"cut": 3, "cut share": 0.25, "labels": "0 = ham"},
    ),
    types.Attribution(
        (types.ReadText("text", "not bad", (types.WordShare(0, 3, -0.5),)),), 1.5, 0.25, steps=32
    ),
    types.Attribution(
        (), 1.5, 0.25, steps=16, files=(types.SeenFile("clip", ((0.5, -0.25), (0.0, 1.0))),)
    ),
    types.Attribution((), 0.5, 0.25, cells=(types.ReadCell(("age", "born"), 0.25, 0.01),)),
    types.ReadCell(("age",), -0.5),
    types.SeenFile("photo", ((0.5, -0.25),)),
    _space,
    _objective,
    types.Objective("rmse", types.Direction.MINIMIZE, low=0.0, high=math.inf),
    types.Column("age", types.ColumnKind.NUMERIC, missing=3),
    types.Dataset(
        "a.csv",
        "ff",
        3,
        (types.Column("y", types.ColumnKind.BOOLEAN, types.ColumnRole.TARGET),),
        "y",
        types.Task.BINARY,
        ("0", "1"),
        (1, 2),
        modality="text",
        pretrained=types.Pretrained("/models/a", "ff", trusted=True),
        separator="|",
        tags=("B-PER", "O"),
    ),
    types.Finding("D001", "t", types.FindingState.FOUND, types.Severity.TIP, evidence={"n": [1]}),
    types.Split(types.SplitKind.STRATIFIED, 5, 2, 7, "why"),
    types.Proposal({"x": 0.5, "b": True}, "why", 0.1, math.nan),
    types.Trial("t1", "linear", {"x": 0.5}, {"x": 1}, 3, types.Split(types.SplitKind.KFOLD), "why"),
    types.Outcome("t1", 0, types.Status.MEMORY, curve=(types.CurvePoint(1, {"train": -math.inf}),)),
    _score,
    types.Observed("t1", {"b": "1"}, "running"),
    types.Decision(types.Move.NARROW, "why", (types.Diagnosis("R1", "e"),), (1, 2), _space),
    _verdict,
    types.Verdict((_verdict,), "t1", (_score,), "ab", "cd"),
    types.Draft("train", "outcome", {"a": None}, (1,)),
    types.Record(2, "train", "outcome", {"a": {"b": [1, 2.5, "x", True]}}, (1,), 12.5),
]


@pytest.mark.parametrize("record", _EXAMPLES, ids=lambda r: type(r).__name__)
def test_records_survive_json(record):
    """Every record comes back equal from strict JSON text, infinities included."""
    back = _through_json(record)
    assert codec.encode(back) == codec.encode(record)
    if "NaN" not in json.dumps(codec.encode(record)):
        assert back == record


def test_every_record_type_has_an_example():
    """Only types that live in memory or inside of others are left out."""
    classes = {
        c for _, c in inspect.getmembers(types, inspect.isclass) if dataclasses.is_dataclass(c)
    }
    nested = {types.CurvePoint, types.Diagnosis, types.RungForecast, types.ReadText}
    nested |= {types.Pretrained, types.WordShare}
    in_memory = {types.Rows}
    assert classes - in_memory - nested == {type(e) for e in _EXAMPLES} - {Space}


@given(st.floats())
def test_every_float_survives(value):
    """Not-a-number and infinities become words that are read back as the same numbers."""
    back = _through_json(types.Observed("t", {}, "done", value)).loss
    assert back == value or (math.isnan(value) and math.isnan(back))


class _Colour(StrEnum):
    RED = "red"


class _Number(Enum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, math.nan]]), [[1.0, "NaN"]]),
        (_Colour.RED, "red"),
        (_Number.ONE, 1),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({3: None}, {"3": None}),
        (-math.inf, "-Infinity"),
        ("NaN", "NaN"),
    ],
)
def test_plain_values(value, encoded):
    """NumPy values, enums, tuples and odd keys become plain JSON."""
    got = codec.encode(value)
    assert got == encoded
    assert type(got) is type(encoded)


@pytest.mark.parametrize("value", [object(), 1j, b"bytes", {"a": object()}, _Colour])
def test_what_has_no_json_form_is_refused(value):
    """Anything else raises instead of being written as its repr."""
    with pytest.raises(TypeError, match="has no JSON form"):
        codec.encode(value)


def test_decoding_checks_types():
    """A payload of the wrong shape is refused, naming the field."""
    with pytest.raises(ValueError, match="folds"):
        codec.decode(types.Split, {"kind": "kfold", "folds": "many"})


@given(st.sampled_from([True, False, 0, 1, 0.0, 1.0, "1", "true", "NaN"]))
def test_configurations_keep_their_types(value):
    """A value of a configuration comes back as the same Python type."""
    back = _through_json(types.Observed("t", {"x": value}, "done")).config["x"]
    assert type(back) is type(value)
    assert back == value
