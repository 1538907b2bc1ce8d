"""Records to JSON and back. Non-finite numbers survive the trip."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn a record into plain JSON values.

    Args:
        value: A dataclass, enum, mapping, sequence, NumPy scalar or plain value.

    Returns:
        Dicts, lists, strings, numbers, booleans and None. NaN and infinities become the strings
        ``NaN``, ``Infinity`` and ``-Infinity``, which `decode` reads back.

    Raises:
        TypeError: If a value has no JSON form.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return _float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(v) for v in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return encode(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def decode(kind: type[T], value: Any) -> T:
    """Read a record back.

    Args:
        kind: The dataclass it was made from.
        value: What `encode` gave.

    Returns:
        An equal record.
    """
    result: T = _adapter(kind).validate_python(value)  # type: ignore[arg-type]
    return result


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)  # NumPy's float64 is a float, too
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
