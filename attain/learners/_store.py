"""Reading and writing what a model is made of: JSON and plain arrays, never pickle."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from attain.core.codec import encode
from attain.core.errors import ArtifactError
from attain.core.files import inside, plain_errors

T = TypeVar("T")

_REMEDY = "the folder is damaged or was not written by attain; get the model anew"


def write_json(folder: Path, name: str, value: Any) -> None:
    """Write a value as JSON.

    Args:
        folder: An existing folder.
        name: File name inside it.
        value: Anything `core.codec.encode` takes.
    """
    path = inside(folder, name)
    with plain_errors(path):
        path.write_text(json.dumps(encode(value), indent=1, sort_keys=True), encoding="utf-8")


def read_json(folder: Path, name: str) -> Any:
    """Read what `write_json` wrote.

    Args:
        folder: The model's folder.
        name: File name inside it.

    Returns:
        Plain JSON values.

    Raises:
        ArtifactError: When the file is missing or is not JSON.
    """
    try:
        return json.loads(inside(folder, name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{name} of the model cannot be read ({error}) — {_REMEDY}") from error


def write_arrays(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one compressed ``.npz`` file.

    Args:
        folder: An existing folder.
        name: File name inside it.
        arrays: Arrays of numbers, or records of numbers; objects are refused.
    """
    path = inside(folder, name)
    with plain_errors(path), path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Args:
        folder: The model's folder.
        name: File name inside it.

    Returns:
        The arrays by name.

    Raises:
        ArtifactError: When the file is missing, damaged, or holds Python objects.
    """
    try:
        with (
            inside(folder, name).open("rb") as handle,  # NumPy leaves a damaged file open
            np.load(handle, allow_pickle=False) as file,
        ):
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{name} of the model cannot be read ({error}) — {_REMEDY}") from error


def pack(block: Any, prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Split a fitted block into JSON values and arrays.

    Args:
        block: A dataclass whose fields are arrays or JSON values.
        prefix: Put before the names of its arrays.
        arrays: Receives the arrays.

    Returns:
        The fields that are not arrays.
    """
    plain = {}
    for field in dataclasses.fields(block):
        value = getattr(block, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}.{field.name}"] = value
        else:
            plain[field.name] = encode(value)
    return plain


def unpack(
    kind: type[T], prefix: str, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> T:
    """Put a block together again.

    Args:
        kind: The dataclass that was packed.
        prefix: As given to `pack`.
        plain: What `pack` returned.
        arrays: What `pack` filled.

    Returns:
        An equal block; lists become tuples.

    Raises:
        ArtifactError: When a field is missing.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # T is always a dataclass
        name = f"{prefix}.{field.name}"
        if name in arrays:
            values[field.name] = arrays[name]
        elif field.name in plain:
            values[field.name] = _tuples(plain[field.name])
        else:
            raise ArtifactError(f"{name} is missing from the model — {_REMEDY}")
    return kind(**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
