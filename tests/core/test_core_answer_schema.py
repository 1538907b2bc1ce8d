"""A schema of answers: read once, checked, asked of answers; nothing is fetched."""

import json

import pytest

from attain.core.answer_schema import canonical, satisfies
from attain.core.errors import SpecError

PERSON = {
    "$defs": {"age": {"type": "integer", "minimum": 0}},
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"name": "Ada", "age": 36}', True),
        ('```json\n{"name": "Ada", "age": 36}\n```', True),
        ('{"name": "Ada", "age": -1}', False),
        ('{"name": "ada", "age": 36}', False),
        ('{"name": "Ada"}', False),
        ('{"name": "Ada", "age": 36, "more": 1}', False),
        ('{"name": "Ada", "age": NaN}', False),
        ("Ada, 36", False),
        ("[" * 100_000, False),
    ],
)
def test_answers_are_held_against_a_schema(answer, expected):
    """Values, keys, patterns and what is referred to count; prose is no JSON."""
    assert satisfies(answer, canonical(PERSON)) is expected


def test_the_draft_that_a_schema_names_decides():
    """In draft 4 exclusiveMinimum is a truth beside minimum, since draft 6 a number."""
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 0,
           "exclusiveMinimum": True}  # fmt: skip
    assert not satisfies("0", canonical(old))
    assert not satisfies("0", canonical({"exclusiveMinimum": 0}))
    with pytest.raises(SpecError, match="must be a JSON Schema"):
        canonical({"minimum": 0, "exclusiveMinimum": True})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "person"}, r"must be a JSON Schema.*\$.type"),
        ({"$ref": "https://example.org/person.json"}, "nothing is fetched.*example.org"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, r"nothing is fetched.*#/\$defs/b"),
        ({"properties": {"a": {"pattern": "("}}}, r"must be a JSON Schema.*regex"),
        ({"const": float("nan")}, "must be JSON"),
    ],
)
def test_a_schema_that_cannot_be_asked_is_refused(schema, message):
    """Before anything is trained, and with the place."""
    with pytest.raises(SpecError, match=message) as caught:
        canonical(schema, "here")
    assert "here" in str(caught.value)


def test_values_that_look_like_references_are_none():
    """What an answer must equal is no schema."""
    schema = canonical({"const": {"$ref": "nowhere", "pattern": "("}})
    assert satisfies(json.dumps({"$ref": "nowhere", "pattern": "("}), schema)
