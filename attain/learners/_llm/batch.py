"""Examples side by side in one tensor: padded, or packed so that none sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from attain.learners._llm.encode import Coded

Side = Literal["left", "right"]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a network gets and what it is asked.

    Attributes:
        ids: Tokens, shape (lines, width).
        mask: 1 for tokens, 0 for padding, shape (lines, width); or, when lines hold several
            examples, which position may look at which: bool, shape (lines, 1, width, width).
        positions: Of each token in its example, shape (lines, width).
        places: Flat positions whose next token is supervised, shape (supervised,).
        targets: These tokens.
        owners: Which example of the batch each belongs to, shape (supervised,).
        examples: How many there are.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor
    examples: int

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return Batch(
            self.ids.to(device), self.mask.to(device), self.positions.to(device),
            self.places.to(device), self.targets.to(device), self.owners.to(device), self.examples,
        )  # fmt: skip

    def tiled(self, times: int) -> Batch:
        """The same examples several times, one after the other."""
        if times == 1:
            return self
        again = lambda t, span: torch.cat([t + k * span for k in range(times)])  # noqa: E731
        wide = (times, *([1] * (self.mask.ndim - 1)))
        return Batch(
            self.ids.repeat(times, 1), self.mask.repeat(wide), self.positions.repeat(times, 1),
            again(self.places, self.ids.numel()), self.targets.repeat(times),
            again(self.owners, self.examples), self.examples * times,
        )  # fmt: skip

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """What a network of transformers takes."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.mask,
            "position_ids": self.positions,
        }


def lines(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Which examples share a line: first fit, from long to short (Johnson 1973).

    Args:
        lengths: Of the examples, none above `width`.
        width: Of a line.

    Returns:
        Positions of the examples of each line.
    """
    found: list[list[int]] = []
    left: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        line = next((n for n, room in enumerate(left) if room >= lengths[i]), None)
        if line is None:
            found.append([])
            left.append(width)
            line = len(found) - 1
        found[line].append(i)
        left[line] -= lengths[i]
    return found


def collate(
    coded: Coded,
    index: Sequence[int] | np.ndarray,
    *,
    pad: int,
    packed: bool = True,
    side: Side = "right",
) -> Batch:
    """Some examples as one batch.

    Args:
        coded: Where they are.
        index: Which; at least one.
        pad: Token to pad with; it is masked by position, so it may be any, also one that is learnt.
        packed: Whether several short examples may share a line.
        side: Where padding stands.

    Returns:
        The batch, on the CPU.
    """
    parts = [coded.row(int(i)) for i in index]
    sizes = [len(ids) for ids, _ in parts]
    width = max(sizes)
    placed = lines(sizes, width) if packed else [[i] for i in range(len(parts))]
    ids = np.full((len(placed), width), pad, dtype=np.int64)
    positions = np.zeros_like(ids)
    segments = np.full_like(ids, -1)
    places, targets, owners = [], [], []
    for n, members in enumerate(placed):
        at = 0 if side == "right" else width - sum(sizes[i] for i in members)
        for i in members:
            tokens, trained = parts[i]
            part = slice(at, at + len(tokens))
            ids[n, part], positions[n, part] = tokens, np.arange(len(tokens))
            segments[n, part] = i
            supervised = np.flatnonzero(trained[1:])
            places.append(n * width + at + supervised)
            targets.append(tokens[1:][supervised])
            owners.append(np.full(len(supervised), i))
            at += len(tokens)
    shared = len(placed) < len(parts)
    tensor = lambda made: torch.from_numpy(np.concatenate(made).astype(np.int64))  # noqa: E731
    return Batch(
        ids=torch.from_numpy(ids),
        mask=_apart(segments) if shared else torch.from_numpy((segments >= 0).astype(np.int64)),
        positions=torch.from_numpy(positions),
        places=tensor(places),
        targets=tensor(targets),
        owners=tensor(owners),
        examples=len(parts),
    )


def _apart(segments: np.ndarray) -> torch.Tensor:
    """Each position sees itself and what comes before it in its own example.

    Padding is an example of its own, since a row without any position to look at gives no number.
    """
    found = torch.from_numpy(segments)
    same = found.unsqueeze(2) == found.unsqueeze(1)
    width = segments.shape[1]
    return (same & torch.tril(torch.ones(width, width, dtype=torch.bool))).unsqueeze(1)
