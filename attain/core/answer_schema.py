"""The JSON Schema that generated answers should satisfy: read once, checked, and asked of answers.

A schema is kept as JSON text, so that it is part of what is known of the data and of the model that
is handed over. Nothing that it refers to is ever fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attain.core.errors import EnvironmentProblem, Problem, SpecError

_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def canonical(schema: Mapping[str, Any], place: str = "answer_schema") -> str:
    """A schema as text, after a check that it can be asked.

    Args:
        schema: The schema, as JSON has it.
        place: Where it was stated, for messages.

    Returns:
        JSON with sorted keys.

    Raises:
        SpecError: When it is no JSON Schema, or refers to what it does not hold.
        EnvironmentProblem: When the library for it is not installed.
    """
    jsonschema, _ = _libraries()
    try:
        text = json.dumps(schema, sort_keys=True, allow_nan=False)
        _kind(jsonschema, schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        rule, value = "the schema must be a JSON Schema", f"{error.json_path}: {error.message}"
        raise SpecError(Problem(rule, value, place, "see json-schema.org/learn")) from None
    except (TypeError, ValueError) as error:
        rule, remedy = "the schema must be JSON", "write texts, numbers, lists and mappings"
        raise SpecError(Problem(rule, str(error), place, remedy)) from None
    _holds_all(schema, place)
    return text


def satisfies(answer: str, schema: str) -> bool:
    """Whether an answer is JSON that satisfies a schema.

    Args:
        answer: As generated; a fence of three backticks around it is taken off.
        schema: From `canonical`.

    Returns:
        False for anything that is not JSON.
    """
    try:
        found = json.loads(unfenced(answer), parse_constant=_refuse)
        return bool(_validator(schema).is_valid(found))
    except (ValueError, RecursionError):
        return False


def unfenced(answer: str) -> str:
    """What stands between three backticks, if that is all of an answer."""
    text = answer.strip()
    fenced = _FENCE.fullmatch(text)
    return fenced.group(1) if fenced else text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


@lru_cache(maxsize=8)
def _validator(schema: str) -> Any:
    jsonschema, referencing = _libraries()
    read = json.loads(schema)
    # without a registry of its own it would fetch what a schema refers to
    return _kind(jsonschema, read)(read, registry=referencing.Registry())


def _kind(jsonschema: Any, schema: Any) -> Any:
    """The draft that a schema names, else the newest."""
    newest = jsonschema.Draft202012Validator
    return jsonschema.validators.validator_for(schema, default=newest)


def _holds_all(schema: Mapping[str, Any], place: str) -> None:
    """Refuse references to other documents, and to places that do not exist."""
    _, referencing = _libraries()
    draft = referencing.jsonschema.DRAFT202012
    root = referencing.Resource.from_contents(schema, default_specification=draft)
    resolver = referencing.Registry().resolver_with_root(root)
    for reference in dict.fromkeys(_references(schema)):
        try:
            resolver.lookup(reference)
        except referencing.exceptions.Unresolvable:
            rule = "a schema must hold all that it refers to; nothing is fetched"
            problem = Problem(rule, f"$ref: {reference}", place, "put it under $defs")
            raise SpecError(problem) from None


def _references(schema: Any) -> Iterator[str]:
    """What a schema refers to; values that answers are compared with are no schemas."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            elif key not in ("const", "enum", "default", "examples"):
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _libraries() -> tuple[Any, Any]:
    """The packages ``jsonschema`` and ``referencing``, which comes with it."""
    try:
        import jsonschema
        import referencing.exceptions
        import referencing.jsonschema
    except ImportError as error:
        raise EnvironmentProblem(
            f"a schema of answers needs {error.name} — pip install 'attain[llm]'"
        ) from error
    return jsonschema, referencing
