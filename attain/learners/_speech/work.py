"""Clips, texts and loss, as the training loop sees them; the unit is the character."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from attain.learners._media.sound import faster, noise_beside
from attain.learners._speech.alphabet import frames_needed
from attain.learners._speech.ctc import ctc_losses
from attain.learners._speech.lesson import Taught
from attain.learners._speech.network import SpeechBody
from attain.learners._speech.states import States

_EVALUATED = {"cpu": 1}
"""Rows that are heard together without learning: one on a CPU, where more are hardly faster."""
_MANY = 16
_MASKS = 2
"""Stretches of each kind that are covered: Park et al. 2019 (arXiv:1904.08779), table 1."""


def padded(rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Rows of different lengths in one tensor, zeros behind their ends.

    Args:
        rows: float32, each of shape (length, ...).

    Returns:
        The tensor, and ``lengths`` (int64).
    """
    lengths = [len(row) for row in rows]
    whole = np.zeros((len(rows), max(lengths), *rows[0].shape[1:]), dtype=np.float32)
    for i, row in enumerate(rows):
        whole[i, : len(row)] = row
    return {"values": torch.from_numpy(whole), "lengths": torch.tensor(lengths)}


class Dictation(ABC):
    """Texts to be heard; a `_torch.work.Work`.

    Attributes:
        body: Of the network.
        train: Rows to learn from.
        stop: Rows to stop on, or None.
        about: What else decides what is learnt.
    """

    body: SpeechBody
    train: Taught
    stop: Taught | None
    about: str

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each training row."""
        return self.train.frames[self.train.rows]

    @property
    def identity(self) -> str:
        """Hash of everything that decides what is learnt, besides recipe and start."""
        found = hashlib.sha256(f"{type(self).__name__} {self.about}".encode())
        for part in (self.train, self.stop):
            for keys in () if part is None else part.keys():
                found.update(np.ascontiguousarray(keys).tobytes())
        return found.hexdigest()

    @abstractmethod
    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """What the network takes of some training rows, as it learns from them."""

    @abstractmethod
    def heard(self, net: nn.Module) -> Iterator[tuple[int, torch.Tensor]]:
        """Place and logits, shape (frames, tokens), of each of the rows to stop on."""

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        """Inputs and texts of some training rows."""
        ids = [self.train.ids(int(row)) for row in rows]
        return {
            "inputs": self.inputs(rows),
            "ids": torch.from_numpy(np.concatenate(ids)),
            "sizes": torch.tensor([len(text) for text in ids]),
        }

    def loss(self, net: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, float]:
        """Sum over the rows of the batch, and their characters."""
        logits, frames = net(**batch["inputs"])
        blank = self.body.alphabet.blank
        losses = ctc_losses(logits, frames, batch["ids"], batch["sizes"], blank)
        return losses.sum(), float(batch["sizes"].sum())

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """Loss of a character of the rows to stop on."""
        if self.stop is None or not len(self.stop):
            return {}
        total = characters = 0.0
        for place, logits in self.heard(net):
            ids = self.stop.ids(place)
            total += row_loss(logits, ids, self.body.alphabet.blank)
            characters += len(ids)
        return {"stop": total / characters}


def row_loss(logits: torch.Tensor, ids: np.ndarray, blank: int) -> float:
    """Loss of one row, in nats; infinite when its frames are too few.

    Args:
        logits: Shape (frames, tokens).
        ids: Its text.
        blank: Token that stands for "nothing new".

    Returns:
        At least 0.
    """
    frames, sizes = torch.tensor([len(logits)]), torch.tensor([len(ids)])
    return float(ctc_losses(logits[None], frames, torch.from_numpy(ids), sizes, blank)[0])


def hear(
    net: nn.Module, body: SpeechBody, waves: Any, rows: np.ndarray
) -> Iterator[tuple[int, torch.Tensor]]:
    """What a network makes of clips that do not train it.

    Args:
        net: A `network.Listener`, in evaluation mode.
        body: Says how clips are taken.
        waves: The clips.
        rows: Positions of clips, none of them without samples.

    Yields:
        Place in `rows` and logits on the CPU, float32, shape (frames, tokens).
    """
    device = next(net.parameters()).device
    size = _EVALUATED.get(device.type, _MANY)
    order = np.argsort(waves.lengths[rows], kind="stable")
    for start in range(0, len(order), size):
        index = order[start : start + size]
        taken = padded([body.hearing.prepared(waves[int(rows[i])]) for i in index])
        with torch.no_grad():
            logits, frames = net(taken["values"].to(device), taken["lengths"].to(device))
        logits = logits.float().cpu()
        for place, own, many in zip(index, logits, frames.tolist(), strict=True):
            yield int(place), own[:many]


@dataclass(frozen=True, eq=False)
class FromWaves(Dictation):
    """The whole network learns from clips, which are changed at random each time.

    Attributes:
        body: As `Dictation` has it.
        train: Likewise.
        stop: Likewise.
        about: Likewise.
        config: Strengths of the random changes.
    """

    body: SpeechBody
    train: Taught
    stop: Taught | None = None
    about: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Clips changed by draws from torch's generator, which the loop seeds for each step."""
        random = np.random.default_rng(int(torch.randint(1 << 62, ())))
        made = padded([self._changed(int(row), random) for row in rows])
        frames = self.body.frames(made["lengths"]).numpy()
        shares = (float(self.config["time_mask"]), float(self.config["band_mask"]))
        found: dict[str, Any] = {"waves": made["values"], "lengths": made["lengths"]}
        if any(shares):
            covers = (
                covered(frames, int(frames.max()), shares[0], random),
                covered(np.full(len(rows), self.body.hidden), self.body.hidden, shares[1], random),
            )
            found["covers"] = tuple(map(torch.from_numpy, covers))
        return found

    def heard(self, net: nn.Module) -> Iterator[tuple[int, torch.Tensor]]:
        """Clips as they are."""
        assert self.stop is not None
        return hear(net, self.body, self.stop.waves, self.stop.rows)

    def _changed(self, row: int, random: np.random.Generator) -> np.ndarray:
        """A clip in another speed, if its text still fits, and with noise."""
        wave = self.train.waves[int(self.train.rows[row])]
        if spread := float(self.config["speed"]):
            made = faster(wave, spread, random)
            heard = torch.tensor(max(len(made), self.body.hearing.least))
            if int(self.body.frames(heard)) >= frames_needed(self.train.ids(row)):
                wave = made
        if level := float(self.config["noise"]):
            wave = wave + noise_beside(wave, level, len(wave), random)
        return self.body.hearing.prepared(wave)


def covered(sizes: np.ndarray, width: int, share: float, random: np.random.Generator) -> np.ndarray:
    """Two stretches of each row, each of up to a share of it.

    Args:
        sizes: Of each row.
        width: Of the result.
        share: Of a row, in [0, 1).
        random: Draws widths and places.

    Returns:
        Booleans, shape (rows, width).
    """
    found = np.zeros((len(sizes), width), dtype=bool)
    for row, size in zip(found, sizes.tolist(), strict=True):
        for _ in range(_MASKS if share else 0):
            wide = int(random.integers(0, int(share * size) + 1))
            start = int(random.integers(0, size - wide + 1))
            row[start : start + wide] = True
    return found


@dataclass(frozen=True, eq=False)
class FromStates(Dictation):
    """The head alone learns, from what the frozen network makes of clips.

    Attributes:
        body: As `Dictation` has it.
        train: Likewise.
        states: Of the training rows.
        stop: As `Dictation` has it.
        stop_states: Of the rows to stop on.
        about: As `Dictation` has it.
    """

    body: SpeechBody
    train: Taught
    states: States
    stop: Taught | None = None
    stop_states: States | None = None
    about: str = ""

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """States, the same each time."""
        made = padded([self.states[int(row)] for row in rows])
        return {"states": made["values"], "lengths": made["lengths"]}

    def heard(self, net: nn.Module) -> Iterator[tuple[int, torch.Tensor]]:
        """Row by row."""
        assert self.stop_states is not None
        device = next(net.parameters()).device
        for place in range(len(self.stop_states)):
            own = torch.from_numpy(np.array(self.stop_states[place]))[None].to(device)
            logits, _ = net(own, torch.tensor([own.shape[1]]))
            yield place, logits[0].float().cpu()
