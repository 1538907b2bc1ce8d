"""The lower blocks of a body that do not learn read each text once for all fits of a study.

What they say of a text depends on the text and on the pre-trained weights alone: not on rows, fold,
seed or configuration but for how many blocks learn. It is computed without dropout in batches of
equal lengths, as `features` are, so that on a CPU it is the same to the last bit whether it was
kept, is computed again for each step, or came with other texts. It is kept as float32, twice the
room of float16, for that reason: a fit must not depend on whether there was room.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.learners._cache import NotKept, Ragged, StateStore
from attain.learners._pretrained.features import each_batch
from attain.learners._pretrained.layers import below, blocks
from attain.learners._pretrained.tokens import Tokens, collate

if TYPE_CHECKING:
    import torch

    from attain.learners._pretrained.load import Body

STATES = "states"
"""Name of the states among what a network takes, and of their store."""
MOST_BYTES = 4e9
"""Of states of all depths and bodies in a study's cache. Each fit reads what it opens once, to
check it, which takes a second or two at this size."""
LEAST_FREE = 0.1
"""Of the disk: what is below is left to the study's records, as for prepared rows."""
MOST_MEMORY = 0.25
"""Of the memory that is free, where nothing can be kept on disk."""
_AT_ONCE = 16e6
"""Bytes that are computed between two writes."""
_CODE = 1
"""Raised when the same rows would get other states."""
_TOLERANCE = 1e-3
"""Relative to the largest state; padding and other batches change some last bits only."""


def learning(config: Mapping[str, Any], body: Body) -> int:
    """How many blocks learn on the rung ``last``: as many as are asked for, but not all of them."""
    return min(int(config.get("blocks", 1)), len(blocks(body.net)[1]) - 1)


class Cut:
    """A network in two parts: blocks that stay as they are, and the last ones, which learn.

    Args:
        net: A `transformers.PreTrainedModel` whose blocks take states and return states, alone or
            first in a tuple.
        last: How many blocks are above the cut, fewer than there are.

    Attributes:
        still: Modules below the cut, which are evaluated even while the others learn.
    """

    def __init__(self, net: Any, last: int) -> None:
        found = list(blocks(net)[1])
        if not 1 <= last < len(found):
            raise ValueError(f"blocks above a cut must lie in 1..{len(found) - 1} (got {last})")
        self.net, self.still = net, below(net, last)
        self._lower, self._upper = found[:-last], found[-last:]
        self._form: tuple[Any, ...] | None = None

    def lower(self, **inputs: Any) -> Any:
        """What the highest block below the cut says; shape (rows, positions, hidden)."""
        said: list[Any] = []

        def keep(module: Any, args: Any, out: Any) -> None:
            said.append(out)

        handle = self._lower[-1].register_forward_hook(keep)
        try:
            with _instead(self._upper, lambda *args, **options: said[-1]):
                self.net(**inputs)
        finally:
            handle.remove()
        if isinstance(said[-1], tuple):
            self._form = said[-1][1:]
            return said[-1][0]
        return said[-1]

    def upper(self, states: Any, inputs: Mapping[str, Any]) -> Any:
        """The last states, given those at the cut.

        Args:
            states: Shape (rows, positions, hidden).
            inputs: The same rows as the network takes them: masks and positions come from there.

        Returns:
            A tensor of the same shape.
        """
        given = states if self._form is None else (states, *self._form)
        with _instead(self._lower, lambda *args, **options: given):
            return self.net(**inputs).last_hidden_state


@dataclass(frozen=True, eq=False)
class States:
    """What the lower blocks say of some rows.

    Attributes:
        of: From positions of rows to an array (tokens, hidden) each, float32.
        lengths: Tokens of each row.
        left: Whether padding stands on the left.
        once: Whether they are computed once; else they are computed again for each step.
    """

    of: Callable[[np.ndarray], list[np.ndarray]]
    lengths: np.ndarray
    left: bool
    once: bool = True

    def padded(self, rows: np.ndarray) -> torch.Tensor:
        """States of some rows; zeros where there is no token.

        Args:
            rows: Positions, at least one.

        Returns:
            float32 on the CPU, shape (rows, longest of them, hidden).
        """
        import torch

        found, longest = self.of(rows), int(self.lengths[rows].max())
        whole = np.zeros((len(rows), longest, found[0].shape[1]), dtype=np.float32)
        for place, states in zip(whole, found, strict=True):
            begin = longest - len(states) if self.left else 0
            place[begin : begin + len(states)] = states
        return torch.from_numpy(whole)


Read = Callable[[Tokens], States | None]
"""What the blocks that do not learn say of rows; None where every block learns."""


def unread(tokens: Tokens) -> None:
    """No states: the whole body reads the rows at each step."""


@dataclass(eq=False)
class Prefix:
    """The blocks of a body that do not learn.

    Attributes:
        body: As it was loaded.
        last: How many blocks learn; fewer than there are.
    """

    body: Body
    last: int
    cut: Cut = field(init=False)

    def __post_init__(self) -> None:
        self.cut = Cut(self.body.net, self.last)

    def of(self, tokens: Tokens, cache: Path | None) -> States:
        """States of rows, computed once where they may be kept.

        Args:
            tokens: From `tokenise`, at least one row.
            cache: `FitData.cache`; without one they are kept in memory for this fit.

        Returns:
            The same numbers wherever they come from.

        Raises:
            ValueError: When the body was tuned.
        """
        if not self.body.untouched():
            raise ValueError("states of a tuned body are not those of the model")
        order = np.argsort(tokens.lengths, kind="stable")
        ordered, back = tokens.take(order), np.argsort(order)
        row_bytes = 4 * self.body.hidden * ordered.lengths
        longest = max(int(row_bytes.max()), 1)
        try:
            row = self._store(cache).rows(
                ordered.keys(),
                lambda index: self.compute(ordered.take(index)),
                lambda missing, kept: _room(int(row_bytes[missing].sum()), cache if kept else None),
                batch=max(1, int(_AT_ONCE / longest)),
            )
        except NotKept:
            return self._states(tokens, lambda rows: self._rows(tokens.take(rows)), once=False)
        shape = (-1, self.body.hidden)
        return self._states(tokens, lambda rows: [row(int(back[i])).reshape(shape) for i in rows])

    def has_room(self, tokens: Tokens, cache: Path | None) -> bool:
        """Whether states of rows may be kept, none of which is there yet."""
        return _room(4 * self.body.hidden * int(tokens.lengths.sum()), cache)

    def pretended(self, tokens: Tokens) -> States:
        """Zeros instead of states: a step on them takes as long.

        Args:
            tokens: From `tokenise`.

        Returns:
            States of the right shapes.
        """

        def zeros(rows: np.ndarray) -> list[np.ndarray]:
            width = self.body.hidden
            return [np.zeros((n, width), dtype=np.float32) for n in tokens.lengths[rows]]

        return self._states(tokens, zeros)

    def fits(self, tokens: Tokens) -> bool:
        """Whether the network can be cut, found out on two rows of unlike length.

        Args:
            tokens: From `tokenise`, at least one row.

        Returns:
            False where the parts do not add up to the whole, whatever the reason.
        """
        import torch

        order = np.argsort(tokens.lengths, kind="stable")
        part, net = tokens.take(order[[0, -1]]), self.body.net
        training = net.training
        net.eval()
        try:
            with torch.no_grad():
                inputs = collate(self.body, part, np.arange(2))
                inputs = {name: tensor.to(net.device) for name, tensor in inputs.items()}
                whole = net(**inputs).last_hidden_state
                states = self._states(part, lambda rows: self._rows(part)).padded(np.arange(2))
                parts = self.cut.upper(states.to(net.device), inputs)
                apart = (whole - parts)[inputs["attention_mask"].bool()].abs().max()
                return bool(apart <= _TOLERANCE * whole.abs().max())
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
            return False
        finally:
            net.train(training)

    def compute(self, tokens: Tokens) -> Ragged:
        """States of rows, one after the other.

        Args:
            tokens: From `tokenise`.

        Returns:
            float32; tokens times `Body.hidden` numbers a row.
        """
        starts = np.concatenate([[0], np.cumsum(tokens.lengths * self.body.hidden)])
        values = np.empty(int(starts[-1]), dtype=np.float32)

        def take(index: np.ndarray, out: Any) -> None:
            for i, states in zip(index, out[: len(index)].float().cpu().numpy(), strict=True):
                values[starts[i] : starts[i + 1]] = states.ravel()

        each_batch(self.body, tokens, take, read=self.cut.lower)
        return Ragged(values, starts.astype(np.int64))

    def _rows(self, tokens: Tokens) -> list[np.ndarray]:
        found = self.compute(tokens)
        return [found.row(i).reshape(-1, self.body.hidden) for i in range(len(found))]

    def _states(
        self, tokens: Tokens, of: Callable[[np.ndarray], list[np.ndarray]], *, once: bool = True
    ) -> States:
        return States(of, tokens.lengths, self.body.tokenizer.padding_side == "left", once)

    def _store(self, cache: Path | None) -> StateStore:
        net = self.body.net
        parts = {
            "model": self.body.digest,
            "dtype": str(net.dtype),
            "device": net.device.type,
            "behind": len(blocks(net)[1]) - self.last,
            "code": _CODE,
        }
        return StateStore(cache, STATES, parts)


def _room(size: int, cache: Path | None) -> bool:
    """Whether so many bytes more may be kept."""
    if cache is None or not cache.is_dir():
        import psutil

        return size <= MOST_MEMORY * psutil.virtual_memory().available
    disk = shutil.disk_usage(cache)
    held = sum(path.stat().st_size for path in cache.glob(f"{STATES}-*/rows.bin"))
    return held + size <= MOST_BYTES and disk.free - size >= LEAST_FREE * disk.total


@contextmanager
def _instead(modules: list[Any], forward: Callable[..., Any]) -> Iterator[None]:
    """Let modules compute something else meanwhile."""
    for module in modules:
        module.forward = forward
    try:
        yield
    finally:
        for module in modules:
            del module.forward
