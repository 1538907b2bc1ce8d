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
    return _laid([_Tree.of([coded.row(int(i))]) for i in index], pad, packed, side)


def collate_shared(
    coded: Coded, groups: Sequence[Sequence[int]], *, pad: int, packed: bool = True
) -> Batch:
    """Examples as one batch in which those of a group share what they begin with.

    A prompt with two answers, or many prompts behind the same examples, are read once and not once
    for each of them. Every token sees what it would see if its example stood alone.

    Args:
        coded: Where they are.
        groups: Which examples share a line; each one shares what it has in common with the one
            before it, so those that begin alike should be neighbours.
        pad: As for `collate`.
        packed: Whether several groups may share a line.

    Returns:
        The batch, on the CPU; owners count the examples group by group.
    """
    trees = [_Tree.of([coded.row(int(i)) for i in group]) for group in groups]
    return _laid(trees, pad, packed, side="right")


def in_common(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens two examples begin with that are the same."""
    most = min(len(one), len(other))
    differs = np.flatnonzero(one[:most] != other[:most])
    return int(differs[0]) if len(differs) else most


@dataclass(frozen=True, eq=False)
class _Tree:
    """Examples one behind the other, each without what it shares with the one before it.

    Attributes:
        ids: Tokens, shape (size,).
        positions: Of each in its example.
        pieces: Of each example: where the tokens that it shares are, where its own begin and end.
        places: Where the next token is supervised.
        targets: These tokens.
        owners: Which example each belongs to.
    """

    ids: np.ndarray
    positions: np.ndarray
    pieces: tuple[tuple[np.ndarray, int, int], ...]
    places: np.ndarray
    targets: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> _Tree:
        """Tokens of each example, and which are learnt."""
        path = before = np.empty(0, np.int64)
        found: list[list[np.ndarray]] = [[], [], [], [], []]
        pieces, size = [], 0
        for owner, (tokens, trained) in enumerate(rows):
            same = in_common(before, tokens)
            end = size + len(tokens) - same
            pieces.append((path[:same], size, end))
            path, before = np.concatenate([path[:same], np.arange(size, end)]), tokens
            supervised = np.flatnonzero(trained[1:])
            told = (
                tokens[same:], np.arange(same, len(tokens)), path[supervised],
                tokens[1:][supervised], np.full(len(supervised), owner),
            )  # fmt: skip
            for part, values in zip(found, told, strict=True):
                part.append(values)
            size = end
        ids, positions, places, targets, owners = (np.concatenate(part) for part in found)
        return cls(ids, positions, tuple(pieces), places, targets, owners)

    def seen(self) -> np.ndarray:
        """Which position looks at which: the beginning of its own example; bool, (size, size)."""
        found = np.zeros((len(self.ids), len(self.ids)), dtype=bool)
        for shared, start, end in self.pieces:
            found[start:end, shared] = True
            found[start:end, start:end] = np.tri(end - start, dtype=bool)
        return found


def _laid(trees: Sequence[_Tree], pad: int, packed: bool, side: Side) -> Batch:
    sizes = [len(tree.ids) for tree in trees]
    width = max(sizes)
    placed = lines(sizes, width) if packed else [[i] for i in range(len(trees))]
    firsts = np.cumsum([0, *(len(tree.pieces) for tree in trees)])
    ids = np.full((len(placed), width), pad, dtype=np.int64)
    positions, real = np.zeros_like(ids), np.zeros_like(ids)
    alone = len(placed) == firsts[-1]  # one example a line
    # a padding token sees itself, since a row without any position to look at gives no number
    seen = None if alone else np.repeat(np.eye(width, dtype=bool)[None], len(placed), axis=0)
    places, targets, owners = [], [], []
    for n, members in enumerate(placed):
        at = 0 if side == "right" else width - sum(sizes[i] for i in members)
        for i in members:
            tree, part = trees[i], slice(at, at + sizes[i])
            ids[n, part], positions[n, part], real[n, part] = tree.ids, tree.positions, 1
            if seen is not None:
                seen[n, part, part] = tree.seen()
            places.append(n * width + at + tree.places)
            targets.append(tree.targets)
            owners.append(firsts[i] + tree.owners)
            at += sizes[i]
    tensor = lambda made: torch.from_numpy(np.concatenate(made).astype(np.int64))  # noqa: E731
    return Batch(
        ids=torch.from_numpy(ids),
        mask=torch.from_numpy(real if seen is None else seen[:, None]),
        positions=torch.from_numpy(positions),
        places=tensor(places),
        targets=tensor(targets),
        owners=tensor(owners),
        examples=int(firsts[-1]),
    )
