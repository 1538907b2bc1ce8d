"""What a step costs in time and memory, found out by doing it and taking it back."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from attain.learners._torch import device as devices
from attain.learners._torch.batches import Order
from attain.learners._torch.best import live
from attain.learners._torch.dropout import from_bytes
from attain.learners._torch.optimizer import Group, named, one_group
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.step import Stepper
from attain.learners._torch.work import Work

_PERIOD = 0.001
"""Seconds between looks at the memory of this process."""


@dataclass(frozen=True)
class Probe:
    """What was measured.

    Attributes:
        seconds: Of an ordinary step.
        longest: Seconds of the step on the longest batch; the first one, so it is also slower.
        bytes: Peak memory during the longest step: all that the process holds on the CPU, all that
            torch holds on other devices.
        micro: Examples in memory at once that did fit.
    """

    seconds: float
    longest: float
    bytes: int
    micro: int


def probe(
    net: nn.Module,
    work: Work,
    recipe: Recipe,
    groups: Sequence[Group] | None = None,
    *,
    threads: int,
    most: float | None = None,
) -> Probe:
    """Do a step on the longest batch and one on an ordinary batch; leave everything as it was.

    Args:
        net: On its device; its weights, buffers, mode and torch's generators are put back.
        work: Rows and loss.
        recipe: As it will be trained.
        groups: What will be trained; None for all parameters that require gradients.
        threads: CPU threads.
        most: Length of rows that both steps may take together; where they take more, a few of
            their rows are measured, and the rest is extrapolated. None to do them whole.

    Returns:
        Time and memory.
    """
    groups = one_group(net) if groups is None else groups
    trained = named(groups)
    device = next(iter(trained.values())).device
    places, training = live(net, trained), net.training
    kept = {name: tensor.detach().clone() for name, tensor in places.items()}
    gradients = {name: parameter.grad for name, parameter in trained.items()}
    with devices.threads(threads), devices.own_randomness(device), from_bytes(net, device):
        try:
            return _measure(net, work, recipe, groups, device, most)
        finally:
            with torch.no_grad():
                for name, place in places.items():
                    place.copy_(kept[name])
            for name, parameter in trained.items():
                parameter.grad = gradients[name]
            net.train(training)


def _measure(
    net: nn.Module,
    work: Work,
    recipe: Recipe,
    groups: Sequence[Group],
    device: torch.device,
    most: float | None,
) -> Probe:
    net.train()
    micro = min(recipe.micro or recipe.batch, recipe.batch)
    precision = devices.precision(recipe.precision, device, net)
    stepper = Stepper(net, work, recipe, groups, precision, micro)
    longest = np.argsort(-work.lengths, kind="stable")[: recipe.batch]
    ordinary = _ordinary(work.lengths, recipe)
    if most is not None and _cost(work, longest) + _cost(work, ordinary) > most:
        return _from_parts(stepper, work, longest, ordinary, most / 2, device)
    with _peak(device) as peak:
        first = _seconds(stepper, longest, device)
    return Probe(_seconds(stepper, ordinary, device), first, peak[0], stepper.micro)


def _from_parts(
    stepper: Stepper,
    work: Work,
    longest: np.ndarray,
    ordinary: np.ndarray,
    most: float,
    device: torch.device,
) -> Probe:
    """Time and memory are lines through the shortest row alone and some rows of a batch.

    What a step costs whatever its rows, above all the update, is in both of them.
    """
    least = np.argsort(work.lengths, kind="stable")[:1]
    some = longest[: _affordable(work, longest, most)]
    count = _affordable(work, ordinary, most)
    begin = (len(ordinary) - count) // 2
    middle = ordinary[begin : begin + count]
    _seconds(stepper, least, device)  # the first is slow, and makes gradients and moments
    with _peak(device) as low:
        base = _seconds(stepper, least, device)
    with _peak(device) as high:
        first = _seconds(stepper, some, device)
    took = _seconds(stepper, middle, device)
    cost = partial(_cost, work)
    held = [cost(rows[: stepper.micro]) for rows in (least, some, longest)]
    return Probe(
        _line((cost(least), base), (cost(middle), took), cost(ordinary)),
        _line((cost(least), base), (cost(some), first), cost(longest)),
        round(_line((held[0], low[0]), (held[1], high[0]), held[2])),
        stepper.micro,
    )


def _cost(work: Work, rows: np.ndarray) -> float:
    """Length of some rows, all in all: those of a batch are alike, or share lines."""
    return float(work.lengths[rows].sum())


def _affordable(work: Work, rows: np.ndarray, most: float) -> int:
    """How many rows of a batch the cost allows; so many that they are longer than the shortest."""
    least = 1 if work.lengths[rows].min() > 1.5 * work.lengths.min() else 2
    return min(len(rows), max(least, int(most / work.lengths[rows].max())))


def _return_memory() -> None:
    """Give back what the allocator of C keeps, or it hides how much is needed next."""
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _line(one: tuple[float, float], other: tuple[float, float], x: float) -> float:
    """The value at x of the rising line through two points, the second one further right."""
    (a, low), (b, high) = one, other
    return high + (x - b) * max(0.0, (high - low) / (b - a) if b > a else 0.0)


def _seconds(stepper: Stepper, rows: np.ndarray, device: torch.device) -> float:
    start = time.perf_counter()
    float(stepper.take(rows, 1.0, 0, 0).norm)  # waits for the device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _ordinary(lengths: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The batch of the first epoch whose padded cost is nearest to the mean."""
    order = Order(lengths, recipe.batch, recipe.bucket, 0)
    batches = [order.rows(step) for step in range(order.per_epoch)]
    costs = np.array([len(rows) * lengths[rows].max() for rows in batches], dtype=np.float64)
    return batches[int(np.abs(costs - costs.mean()).argmin())]


@contextmanager
def _peak(device: torch.device) -> Iterator[list[int]]:
    """Peak memory in bytes while the context lasts, as the only item of a list."""
    found = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found[0] = int(torch.cuda.max_memory_allocated(device))
        return
    import psutil

    _return_memory()
    process, ended = psutil.Process(), threading.Event()

    def watch() -> None:
        while not ended.wait(_PERIOD):
            found[0] = max(found[0], int(process.memory_info().rss))

    found[0] = int(process.memory_info().rss)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found[0] = max(found[0], int(process.memory_info().rss))
