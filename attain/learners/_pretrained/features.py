"""Features of a frozen body: one row of numbers a text, computed once for a study.

Rows of a batch have equal lengths, so nothing is padded, and batches are not too small. With
torch's fused attention and one thread of a CPU each text then has the same features to the last
bit, whichever texts it is computed with, so that what comes from the cache, from another worker or
from a saved model is equal; padding would change sums in their last bits. It costs no time: texts
of one length are many. With several threads MKL divides long sums on Intel processors by how many
rows there are, and features differ by a millionth.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.learners._cache import FloatStore, Progress
from attain.learners._pretrained.kernels import fast_float32
from attain.learners._pretrained.tokens import Tokens, collate

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body

POOLINGS = ("mean", "cls", "max")
_CODE = 2
"""Raised when the same rows would get other features."""
_TOKENS = 2048
"""Positions in a batch at most. From 512 to 4096 the speed of a CPU is the same within 5 %."""
_LEAST, _LEAST_NARROW = 16, 64
"""Positions in a batch at least: smaller products go another way and end in other bits, with
AVX-512 up to 15 rows (MKL 2024.2 on Intel processors; up to 3 on AMD's), without it up to 55."""


@dataclass(eq=False)
class Features:
    """How the positions of a text become one row.

    Attributes:
        body: The frozen body, as it was loaded.
        pooling: ``mean`` over all positions, ``cls`` for the first one, ``max`` over all.
        layers: The mean of so many last layers is pooled; 1 for the last one.
        saved: Seconds that rows found in the cache had cost, in all calls so far.
        spent: Seconds that computing the others took.
    """

    body: Body
    pooling: str = "mean"
    layers: int = 1
    saved: float = 0.0
    spent: float = 0.0

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {POOLINGS} (got {self.pooling!r})")
        if not 1 <= self.layers <= self.body.layers:
            raise ValueError(f"layers must lie in 1..{self.body.layers} (got {self.layers})")

    def of(
        self, tokens: Tokens, *, cache: Path | None = None, progress: Progress | None = None
    ) -> np.ndarray:
        """Features of rows.

        Args:
            tokens: From `tokenise`.
            cache: `FitData.cache`.
            progress: Told how many rows are done.

        Returns:
            float32, shape (n, `Body.hidden`), in the order of `tokens`.

        Raises:
            ValueError: When features of a body that was tuned would be kept as those of the model.
        """
        if cache is not None and not self.body.untouched():
            raise ValueError("features of a tuned body must not be kept; give no cache")
        parts = {
            "model": self.body.digest,
            "dtype": str(self.body.net.dtype),
            "device": self.body.net.device.type,
            "pooling": self.pooling,
            "layers": self.layers,
            "code": _CODE,
        }
        store = FloatStore(cache, "features", parts, self.body.hidden)
        order = np.argsort(tokens.lengths, kind="stable")
        sorted_tokens = tokens.take(order)
        rows = np.empty((len(tokens), self.body.hidden), dtype=np.float32)
        rows[order] = store.get(
            sorted_tokens.keys(),
            lambda index: self._compute(sorted_tokens.take(index)),
            progress=progress,
        )
        self.saved, self.spent = self.saved + store.saved, self.spent + store.spent
        return rows

    def _compute(self, tokens: Tokens) -> np.ndarray:
        rows = np.empty((len(tokens), self.body.hidden), dtype=np.float32)

        def take(index: np.ndarray, out: Any) -> None:
            rows[index] = self.pooled(out)[: len(index)].float().cpu().numpy()

        each_batch(self.body, tokens, take, every_layer=self.layers > 1)
        return rows

    def pooled(self, out: Any) -> Any:
        """One row a text, from what the network says of rows without padding.

        Args:
            out: Of ``net(...)``; with ``hidden_states`` if more than one layer is pooled.

        Returns:
            A tensor of shape (rows, hidden).
        """
        states = mean_states(out, self.layers)
        if self.pooling == "cls":
            return states[:, 0]
        return states.amax(dim=1) if self.pooling == "max" else states.mean(dim=1)


def mean_states(out: Any, layers: int) -> Any:
    """The mean of so many last layers.

    Args:
        out: Of ``net(...)``; with ``hidden_states`` if there is more than one layer.
        layers: At least 1.

    Returns:
        A tensor of shape (rows, positions, hidden).
    """
    if layers == 1:
        return out.last_hidden_state
    return sum(out.hidden_states[-layers:]) / layers


def each_batch(
    body: Body,
    tokens: Tokens,
    take: Callable[[np.ndarray, Any], None],
    *,
    every_layer: bool = False,
    read: Callable[..., Any] | None = None,
) -> None:
    """Let a body read rows in batches without padding, whatever else is under way.

    Args:
        body: Frozen or tuned.
        tokens: From `tokenise`.
        take: Gets positions of rows and what the network says of them; the first rows of that are
            theirs, in this order.
        every_layer: Whether it says what each layer holds.
        read: What is called instead of the network, such as a part of it.
    """
    import torch

    net = body.net
    read = read or functools.partial(net, output_hidden_states=every_layer)
    exact = torch.autocast(net.device.type, enabled=False)
    with torch.inference_mode(), exact, fast_float32(net), _evaluating(net):
        for index in equal_lengths(tokens.lengths, _TOKENS):
            positions = len(index) * int(tokens.lengths[index[0]])
            enough = np.tile(index, max(-(-_least() // max(positions, 1)), 1))
            batch = collate(body, tokens, enough)
            del batch["attention_mask"]  # all ones
            batch = {name: tensor.to(net.device) for name, tensor in batch.items()}
            take(index, read(**batch))


def _least() -> int:
    import torch

    return _LEAST if torch.backends.cpu.get_cpu_capability() == "AVX512" else _LEAST_NARROW


def equal_lengths(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Batches of rows of one length, short ones first.

    Args:
        lengths: Of each row, shape (n,).
        budget: Positions in a batch at most (but at least one row).

    Yields:
        Positions of rows; together all of them, each once.
    """
    order = np.argsort(lengths, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if len(same):
            size = max(budget // max(int(lengths[same[0]]), 1), 1)
            yield from np.split(same, range(size, len(same), size))


@contextlib.contextmanager
def _evaluating(net: Any) -> Iterator[None]:
    """No dropout meanwhile; afterwards each module is as it was."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
