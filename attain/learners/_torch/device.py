"""Where to compute, how precisely, with how many threads, and from which randomness."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from attain.core.protocols import PLACE_VARIABLE

_WIDE = 128
"""Width from which bf16 pays on the CPU. Measured with AVX512_BF16, six layers, forward and back,
fp32 time over bf16 time at 64, 256 and 1,024 rows: 0.5, 1.1, 1.8 at a width of 64; 0.9, 4.9, 2.7 at
128; 3.1, 3.1, 3.5 at 384. MiniLM, whole step: 1.9 to 2.7."""
_BITS = 2**64 - 1
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick() -> torch.device:
    """The fastest device that is there: CUDA, Apple's MPS, or the CPU.

    Worker processes of one machine take its GPUs in turn, so that as many fits run at a time.
    """
    if torch.cuda.is_available():
        place = os.environ.get(PLACE_VARIABLE)
        if place is not None:
            torch.cuda.set_device(int(place) % torch.cuda.device_count())
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def precision(wanted: str, device: torch.device, net: nn.Module) -> str:
    """The number format for matrix products.

    Args:
        wanted: As in `Recipe.precision`.
        device: Where it is computed.
        net: Its widest matrix decides whether a shorter format pays.

    Returns:
        ``fp32``, ``bf16`` or ``fp16``; depends on hardware and shapes alone, never on a clock, so
        that a fit can be repeated.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    pays = device.type == "cpu" and multiplies_bf16() and _width(net) >= _WIDE
    return "bf16" if pays else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Compute matrix products in a shorter format.

    Args:
        device: Where it is computed.
        precision: ``fp32`` changes nothing.

    Returns:
        A context for one forward pass.
    """
    if precision == "fp32":
        return nullcontext()
    context: AbstractContextManager[Any] = torch.autocast(device.type, dtype=_TYPES[precision])
    return context


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Use this many CPU threads, then as many as before.

    Args:
        number: At least 1.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were found.

    Args:
        device: Its generator is kept, and the CPU's.

    Yields:
        Nothing.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def seed_step(device: torch.device, seed: int, step: int) -> None:
    """Make everything random in one step a function of seed and step.

    Args:
        device: Its generator is seeded, and the CPU's.
        seed: Of the fit.
        step: From 0.
    """
    mixed = _mix(_mix(seed) + step) >> 1
    for generator in _generators(device):
        generator.manual_seed(mixed)


def move(batch: Any, device: torch.device) -> Any:
    """Bring a batch to the device.

    Args:
        batch: Anything that `Work.batch` may return.
        device: Where it is needed.

    Returns:
        The same structure; the same object on the CPU.
    """
    if device.type == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        pinned = batch.pin_memory() if device.type == "cuda" else batch
        return pinned.to(device, non_blocking=True)
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: move(value, device) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return tuple(move(value, device) for value in batch)
    return batch


def _generators(device: torch.device) -> list[torch.Generator]:
    # torch.manual_seed would format a stack trace for every step while CUDA is not in use
    found = [torch.default_generator]
    if device.type == "cuda":
        found.append(torch.cuda.default_generators[device.index or 0])
    if device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found


def _mix(number: int) -> int:
    """A hash of 64 bits, splitmix64 (Steele, Lea, Flood 2014); NumPy's takes 50 us a step."""
    z = (number + 1) * 0x9E3779B97F4A7C15 & _BITS
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _BITS
    return z ^ z >> 31


def multiplies_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 numbers in hardware; emulation would be slower."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test, bool)()) for test in tests)


def _width(net: nn.Module) -> int:
    """The smaller side of the largest matrix product."""
    return max((min(p.shape[0], p[0].numel()) for p in net.parameters() if p.ndim >= 2), default=0)
