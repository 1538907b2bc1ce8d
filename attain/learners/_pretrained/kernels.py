"""Float32 products at full speed on AMD processors.

torch multiplies float32 matrices with MKL, which on AMD processors with AVX-512 runs at half of the
speed that oneDNN reaches (95 against 190 GFLOP/s a core, forward and backward, on an EPYC; features
of MiniLM: 211 against 303 sentences of 16 tokens a CPU second). torch
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
def fast_float32(net: Any) -> Iterator[None]:
    """Let the linear layers of a network take the faster of two float32 ways, also backward.

    Which one is decided by the processor alone, never by a clock, so a fit and a later prediction
    on the same machine agree to the last bit. Only linear layers: torch's fused attention becomes
    many times slower under the same setting.

    Args:
        net: Any `torch.nn.Module`; nothing happens to it unless it is on a CPU that gains.

    Yields:
        Nothing.
    """
    from torch import nn

    if not helps():
        yield
        return
    layers = [m for m in net.modules() if type(m) is nn.Linear and "forward" not in vars(m)]
    forward = _linear()
    for layer in layers:
        layer.forward = functools.partial(forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


@functools.cache
def _linear() -> Any:
    """What a linear layer computes, each product in the faster way."""
    import torch

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> Any:
            ctx.save_for_backward(x, weight)
            ctx.biased = bias is not None
            with _as_bf16(torch):
                return torch.nn.functional.linear(x, weight, bias)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> tuple[Any, Any, Any]:
            x, weight = ctx.saved_tensors
            rows = grads[0].reshape(-1, weight.shape[0])
            for_x, for_weight, for_bias = ctx.needs_input_grad
            with _as_bf16(torch):
                dx = (rows @ weight).view_as(x) if for_x else None
                dw = rows.T @ x.reshape(-1, weight.shape[1]) if for_weight else None
            return dx, dw, rows.sum(0) if ctx.biased and for_bias else None

    def forward(layer: Any, x: Any) -> Any:
        plain = x.dtype is torch.float32 and x.device.type == "cpu"
        if plain and not torch.is_autocast_enabled("cpu"):
            return Product.apply(x, layer.weight, layer.bias)
        return torch.nn.functional.linear(x, layer.weight, layer.bias)

    return forward


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
