"""The state of a fit on disk: whole or absent, checked when read, the previous one kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from attain.core.codec import encode
from attain.core.files import file_digest, plain_errors, sync_folder, write_atomic

_FORMAT = 1
_KEPT = 2
"""Checkpoints that are kept, so that a damaged one does not lose everything."""


@dataclass(frozen=True, eq=False)
class State:
    """Where a fit stands.

    Attributes:
        step: Optimiser steps done.
        tensors: Weights, moments, averages, best weights; by name.
        plain: Everything else, as JSON values.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    plain: Mapping[str, Any] = field(default_factory=dict)


def write(folder: Path, identity: str, state: State) -> None:
    """Make a state durable before returning; then forget all but the last two.

    Args:
        folder: Made when missing.
        identity: Of recipe, groups and data; see `read`.
        state: What to keep.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    from safetensors.torch import save_file

    name = f"step-{state.step:010d}"
    path = folder / f"{name}.safetensors"
    draft = folder / f".{path.name}.draft"
    with plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file({n: t.detach().contiguous() for n, t in state.tensors.items()}, draft)
        except Exception as error:  # its own errors, for full disks among others
            draft.unlink(missing_ok=True)
            raise OSError(str(error)) from error
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        digest = file_digest(draft)
        os.replace(draft, path)
        sync_folder(folder)
    body = {
        "format": _FORMAT,
        "identity": identity,
        "step": state.step,
        "tensors": digest,
        "plain": encode(state.plain),
    }
    write_atomic(folder / f"{name}.json", json.dumps({"body": body, "digest": _digest(body)}))
    _forget(folder, name)


def read(folder: Path, identity: str) -> tuple[State | None, tuple[str, ...]]:
    """The newest state that is sound.

    Args:
        folder: As given to `write`; may be missing.
        identity: Must be equal to the written one.

    Returns:
        The state, or None; and why newer ones were passed over, one sentence each.
    """
    reasons: list[str] = []
    for path in sorted(folder.glob("step-*.json"), reverse=True):
        found = _read(path, identity)
        if isinstance(found, State):
            return found, tuple(reasons)
        reasons.append(f"{path.name}: {found}")
    return None, tuple(reasons)


def _read(path: Path, identity: str) -> State | str:
    """The state, or what is wrong with it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        body = whole["body"]
        if whole["digest"] != _digest(body):
            return "damaged: its content does not match its hash"
        if body["format"] != _FORMAT:
            return f"of format {body['format']}, this version reads {_FORMAT}"
        if body["identity"] != identity:
            return "of another fit: recipe, trained parameters, rows or seed differ"
        tensors = path.with_suffix(".safetensors")
        if file_digest(tensors) != body["tensors"]:
            return "damaged: its tensors do not match their hash"
        return State(int(body["step"]), load_file(tensors), body["plain"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        return f"damaged: {type(error).__name__}: {error}"


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _forget(folder: Path, newest: str) -> None:
    """Remove all but the last two; what lies after the newest is of another fit, or damaged."""
    stems = sorted(path.stem for path in folder.glob("step-*.json"))
    kept = [stem for stem in stems if stem <= newest][-_KEPT:]
    leftovers = folder.glob(".step-*")  # of writes that were killed
    for path in [*leftovers, *(p for p in folder.glob("step-*.*") if p.stem not in kept)]:
        path.unlink(missing_ok=True)
