"""The state of a fit of numbers: one file, whole or absent, checked when it is read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.codec import encode
from attain.core.files import write_atomic
from attain.core.protocols import Report
from attain.core.schedule import until
from attain.core.space import Config
from attain.core.types import Signal
from attain.learners._table import Sample

FILE = "state.bin"
_PLAIN = "plain.json"  # the name of an array of bytes
_DIGEST = 32


@dataclass(frozen=True, eq=False)
class State:
    """Where a fit stands.

    Attributes:
        step: Steps done.
        arrays: What the next step depends on, by name.
        told: Losses reported so far, each with its step.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    told: tuple[tuple[int, Mapping[str, float]], ...] = ()


@dataclass
class Course:
    """The reports of a fit under way, and where it keeps its state.

    Attributes:
        learner: Name of the learner.
        config: Its configuration.
        sample: What it learns from.
        report: Told the losses.
        told: What it was told so far.
        signal: What it answered last.
    """

    learner: str
    config: Config
    sample: Sample
    report: Report
    told: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)
    signal: Signal = Signal.CONTINUE

    def tell(self, step: int, losses: Mapping[str, float]) -> Signal:
        """Report losses and remember them.

        Args:
            step: From 1.
            losses: By name.

        Returns:
            What was answered.
        """
        self.told.append((step, losses))
        self.signal = self.report(step, losses)
        return self.signal

    def keep(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Make the state after a step durable; nothing where there is no folder for it.

        Args:
            step: Steps done.
            arrays: What the next step depends on.
        """
        if self.sample.checkpoint is not None:
            told = tuple((at, losses) for at, losses in self.told if at <= step)
            write(self.sample.checkpoint, self._identity(step), State(step, arrays, told))

    def found(self, note: Callable[[int, Mapping[str, float]], Any]) -> State | None:
        """The state to go on from; all that was reported until then is reported once more.

        Args:
            note: Told the same reports, before they are answered; an answer other than CONTINUE
                ends them.

        Returns:
            None where the fit must begin anew.
        """
        if self.sample.checkpoint is None or not (self.sample.checkpoint / FILE).exists():
            return None
        state = read(self.sample.checkpoint, self._identity)
        for step, losses in () if state is None else state.told:
            note(step, losses)
            if self.tell(step, losses) is not Signal.CONTINUE:
                break
        return state

    def _identity(self, step: int) -> str:
        """Hash of everything that the course of the fit up to a step depends on."""
        sample = self.sample
        config = {name: until(value, step) for name, value in self.config.items()}
        plain = [self.learner, config, sample.seed, dict(sample.hints), sample.seen]
        digest = hashlib.sha256(json.dumps(encode(plain), sort_keys=True).encode())
        for array in (sample.matrix, sample.y, sample.stop_matrix, sample.stop_y):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def write(folder: Path, identity: str, state: State) -> None:
    """Replace the state of a fit.

    Args:
        folder: Made when missing.
        identity: Of the fit; see `read`.
        state: What to keep.

    Raises:
        EnvironmentProblem: When the disk is full, read-only or forbidden.
    """
    plain = json.dumps({"identity": identity, "step": state.step, "told": encode(state.told)})
    buffer = io.BytesIO()
    packed = {_PLAIN: np.frombuffer(plain.encode(), dtype=np.uint8)}
    np.savez(buffer, allow_pickle=False, **state.arrays, **packed)
    content = buffer.getvalue()
    write_atomic(folder / FILE, hashlib.sha256(content).digest() + content)


def read(folder: Path, identity: Callable[[int], str]) -> State | None:
    """The state that `write` kept.

    Args:
        folder: As given to `write`.
        identity: Of the fit up to a step; must be equal to the written one.

    Returns:
        None when it is missing, damaged, or of another fit.
    """
    try:
        whole = (folder / FILE).read_bytes()
        content = whole[_DIGEST:]
        if hashlib.sha256(content).digest() != whole[:_DIGEST]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        plain = json.loads(arrays.pop(_PLAIN).tobytes())
        if plain["identity"] != identity(int(plain["step"])):
            return None
        told = tuple((int(at), {k: float(v) for k, v in by.items()}) for at, by in plain["told"])
        return State(int(plain["step"]), arrays, told)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
