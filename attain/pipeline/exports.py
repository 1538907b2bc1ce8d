"""A model outside of its study: as a folder, as one scikit-learn estimator, as one JSON document.

The layout of each is told in docs/model-format.md.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attain.core import registry
from attain.core.codec import encode
from attain.core.errors import Problem, SpecError, did_you_mean
from attain.core.files import plain_errors, sync_folder, write_atomic
from attain.pipeline import saved

DOCUMENT = "attain-model-json/1"
_WRITE_SKOPS = "attain.integrations.sklearn:write_skops"  # a layer above, so found by its address


def write(folder: Path, to: Path, format: str) -> None:
    """Write a model somewhere else; whole or not at all.

    Args:
        folder: A model folder, or a study folder that has one.
        to: Where; must not exist.
        format: One of `FORMATS`.

    Raises:
        SpecError: When the format is unknown, or the destination is no place for it.
        ArtifactError: When the model is incomplete or was altered.
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    if problems := _problems(to, format):
        raise SpecError(problems)
    model = saved.load(folder)
    if to.resolve().is_relative_to(model.folder.resolve()):
        rule = "the destination must lie outside of the model's folder"
        raise SpecError(Problem(rule, str(to), "--to", "any other place will do"))
    _WRITERS[format](model, to)


def document(model: saved.SavedModel) -> dict[str, Any]:
    """Everything a model is made of, so that a program in any language can predict with it.

    Args:
        model: A saved model.

    Returns:
        Finite JSON values: ``format``, ``digest`` of the manifest, ``about`` (the content of
        ``model.json``), and ``learner``: each file's name with its content.
    """
    readable = getattr(model.model, "readable", dict)
    known = {name: _json(value) for name, value in readable().items()}
    files = saved.contents(model.folder / "learner")
    return {
        "format": DOCUMENT,
        "digest": model.digest,
        "about": _json(saved.read_about(model.folder)),
        "learner": {n: known[n] if n in known else _content(f) for n, f in files.items()},
    }


def _problems(to: Path, format: str) -> list[Problem]:
    problems = []
    if format not in FORMATS:
        rule = "the format must be known"
        problems.append(Problem(rule, repr(format), "--format", did_you_mean(format, FORMATS)))
    if os.path.lexists(to):  # a link that leads nowhere is there, too
        rule = "the destination must not exist"
        problems.append(Problem(rule, str(to), "--to", "name another"))
    elif not to.absolute().parent.is_dir():
        rule = "the destination's folder must exist"
        problems.append(
            Problem(rule, str(to.absolute().parent), "--to", "make it, or name another")
        )
    return problems


def _write_folder(model: saved.SavedModel, to: Path) -> None:
    place = to.absolute().parent
    with (
        plain_errors(to),
        tempfile.TemporaryDirectory(dir=place, prefix=f".{to.name}.") as beside,
    ):
        draft = Path(beside) / "model"
        for name, path in saved.contents(model.folder).items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, draft / name)
        saved.verify(draft)
        os.replace(draft, to)
        sync_folder(place)


def _write_json(model: saved.SavedModel, to: Path) -> None:
    write_atomic(to, json.dumps(document(model), allow_nan=False) + "\n")


def _write_skops(model: saved.SavedModel, to: Path) -> None:
    registry.load(_WRITE_SKOPS)(model.folder, to)


_WRITERS: dict[str, Callable[[saved.SavedModel, Path], None]] = {
    "folder": _write_folder,
    "skops": _write_skops,
    "json": _write_json,
}
FORMATS = tuple(_WRITERS)


def _json(value: Any) -> Any:
    """JSON values of nested mappings; arrays keep their type and shape."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return {str(name): _json(part) for name, part in value.items()}
    return encode(value)


def _array(array: np.ndarray) -> dict[str, Any]:
    """An array with what is needed to read it; records column by column."""
    names, shape = array.dtype.names, list(array.shape)
    if names is None:
        return {"dtype": str(array.dtype), "shape": shape, "data": _values(array)}
    return {
        "dtype": {name: str(array.dtype[name]) for name in names},
        "shape": shape,
        "data": {name: _values(array[name]) for name in names},
    }


def _values(array: np.ndarray) -> Any:
    if array.dtype.kind in "biu" or (array.dtype.kind == "f" and np.isfinite(array).all()):
        return array.tolist()
    return encode(array.tolist() if array.dtype.kind == "f" else array.astype(str).tolist())


def _content(path: Path) -> Any:
    """What a file says; one that says nothing to a reader as text or base64."""
    try:
        return _READ[path.suffix](path)
    except (KeyError, ValueError):
        pass
    content = path.read_bytes()
    try:
        return {"encoding": "utf-8", "data": content.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(content).decode()}


def _read_json(path: Path) -> Any:
    return encode(json.loads(path.read_text(encoding="utf-8")))


def _read_arrays(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as arrays:
        return _json(dict(arrays))


_READ: dict[str, Callable[[Path], Any]] = {".json": _read_json, ".npz": _read_arrays}
