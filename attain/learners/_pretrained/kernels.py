"""Float32 products at full speed on AMD processors.

torch multiplies float32 matrices with MKL, which on AMD processors with AVX-512 runs at half of the
speed that oneDNN reaches (95 against 190 GFLOP/s a core, forward and backward, on an EPYC). torch
takes oneDNN when float32 products may be computed "as bf16"; without AMX units oneDNN has nothing
faster than true float32 and computes that. Whether it does is probed, not assumed.
"""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TOLERANCE = 1e-5
"""Relative error of products of 256 terms: float32 stays below, bfloat16 (4e-3) does not."""


@contextlib.contextmanager
def fast_float32() -> Iterator[None]:
    """Let float32 products take the faster of two exact ways while the context lasts.

    Which one is decided by the processor alone, never by a clock, so a fit and a later prediction
    on the same machine agree to the last bit.

    Yields:
        Nothing.
    """
    import torch

    if not helps():
        yield
        return
    with _as_bf16(torch):
        yield


@functools.cache
def helps() -> bool:
    """Whether oneDNN is the faster way here, and computes in float32."""
    import torch

    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    settable = hasattr(matmul, "fp32_precision") and torch.backends.mkldnn.is_available()
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return bool(settable and wide and _amd() and _error(torch) < _TOLERANCE)


@contextlib.contextmanager
def _as_bf16(torch: Any) -> Iterator[None]:
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _error(torch: Any) -> float:
    """Relative error of a product that is computed "as bf16"."""
    left = torch.linspace(-1, 1, 64 * 256).sin().reshape(64, 256)
    right = torch.linspace(-3, 2, 256 * 128).cos().reshape(256, 128)
    exact = left.double() @ right.double()
    with torch.no_grad(), _as_bf16(torch):
        found = torch.nn.functional.linear(left, right.T.contiguous())
    return float((found - exact).abs().max() / exact.abs().max())


def _amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return "AuthenticAMD" in platform.processor()
