"""A frozen base in 4 bits, for adapters to be trained beside (QLoRA).

Dettmers et al. 2023 (arXiv:2305.14314), equations 4 to 6: each matrix of the blocks is kept as NF4,
16 steps that lie as a normal distribution does, with a scale for every 64 weights that is itself
kept in 8 bits (double quantization): 4.127 bits a weight. Products are computed with the matrix
as these steps say it, in the number format in which the layer would have computed anyway.

What is trained is right beside the rounded matrix, not beside the one that was loaded: whoever
merges or compares takes `weight_of`, or `rounded` of the loaded network.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from attain.core.errors import EnvironmentProblem
from attain.learners._pretrained.adapters import target_names, weight_of
from attain.learners._pretrained.load import Body

_PACKAGE = "bitsandbytes"
_MARK = "+nf4"
"""Behind the digest of a body whose matrices are rounded: it says other things."""
_FETCHES = "kernels"
"""With this package beside it, bitsandbytes loads code from the network when it is imported."""


def possible() -> bool:
    """Whether a base of 4 bits can be had here; nothing is loaded to find out.

    Returns:
        Whether bitsandbytes is installed and fits run on CUDA or a CPU: on macOS they take MPS.
    """
    return sys.platform != "darwin" and importlib.util.find_spec(_PACKAGE) is not None


def quantized(body: Body, device: Any) -> Body:
    """A copy of a body for adapters, the linear layers of its blocks in 4 bits.

    Args:
        body: As it was loaded, wherever; it stays as it is. Layers come to the device one by one.
        device: Where the copy computes.

    Returns:
        The copy, in evaluation mode; it cannot be restored or saved, only be `expanded`.

    Raises:
        EnvironmentProblem: When bitsandbytes is not installed.
    """
    import torch
    from torch import nn

    kind = _layer()
    plain = _plain(body.net)
    empty = {id(layer.weight): nn.Parameter(torch.empty(0)) for layer in plain.values()}
    net = copy.deepcopy(body.net, empty).to(device)
    for name, layer in plain.items():
        _put(net, name, kind.of(layer, device))
    net.eval()
    return dataclasses.replace(body, net=net, digest=body.digest + _MARK, _originals={})


def expanded(body: Body, matrices: Mapping[str, Any]) -> Body:
    """Make an ordinary body of one in 4 bits, in place.

    Args:
        body: From `quantized`, without an adapter.
        matrices: Weights of layers by name, such as merged ones; of all others the rounded ones.

    Returns:
        A body in float32 whose digest is that of the loaded one.
    """
    from torch import nn

    for name in target_names(body.net):
        layer = body.net.get_submodule(name)
        if is_quantized(layer):
            weight = matrices[name] if name in matrices else weight_of(layer)
            made = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
            made.weight, made.bias = nn.Parameter(weight.detach()), layer.bias
            _put(body.net, name, made)
    body.net.eval()
    return dataclasses.replace(body, digest=body.digest.removesuffix(_MARK), _originals={})


def rounded(body: Body) -> Body:
    """Round the matrices of an ordinary body as `quantized` does, in place.

    Args:
        body: Just loaded, and of the caller's own.

    Returns:
        The same.
    """
    import torch

    with torch.no_grad():
        for layer in _plain(body.net).values():
            layer.weight.copy_(weight_of(_layer().of(layer, layer.weight.device)))
    return body


def is_quantized(layer: Any) -> bool:
    """Whether a layer's matrix is kept in 4 bits."""
    return hasattr(layer, "dequantized")


def in_bits(body: Body) -> bool:
    """Whether a body is from `quantized`."""
    return body.digest.endswith(_MARK)


def _plain(net: Any) -> dict[str, Any]:
    """What adapters correct: the linear layers of the blocks, so no embedding and no head.

    A class of its own may compute something else with its matrix, and stays as it is.
    """
    from torch import nn

    found = {name: net.get_submodule(name) for name in target_names(net)}
    return {name: layer for name, layer in found.items() if type(layer) is nn.Linear}


def _put(net: Any, name: str, layer: Any) -> None:
    """Put a layer in the place of another one."""
    parent, _, own = name.rpartition(".")
    setattr(net.get_submodule(parent), own, layer)


@cache
def _layer() -> Any:
    """The class of layers; made late, since torch is."""
    theirs = _library()
    import torch
    from torch import nn

    class Linear4(nn.Linear):
        """A linear layer with its matrix in NF4, frozen.

        Not bitsandbytes' own layer: that one keeps the number format of its first call, and on some
        CPUs rewrites its matrix when it only reads, so that reading and training differ.
        """

        @classmethod
        def of(cls, layer: Any, device: Any) -> Any:
            """The same layer in 4 bits on a device."""
            made = cls(layer.in_features, layer.out_features, bias=False, device="meta")
            packed, made.scales = theirs.functional.quantize_4bit(
                layer.weight.detach().to(device).contiguous(),
                quant_type="nf4", compress_statistics=True,
            )  # fmt: skip
            made.weight = nn.Parameter(packed, requires_grad=False)
            if layer.bias is not None:
                bias = layer.bias.detach().to(device, copy=True)
                made.bias = nn.Parameter(bias, requires_grad=False)
            return made

        def dequantized(self) -> Any:
            """The matrix as its steps say it, shape (out, in)."""
            return theirs.functional.dequantize_4bit(self.weight, self.scales)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """As `nn.Linear` of `dequantized`, also under autocast."""
            place = x.device.type
            if torch.is_autocast_enabled(place):
                x = x.to(torch.get_autocast_dtype(place))
            bias = None if self.bias is None else self.bias.to(x.dtype)
            return theirs.matmul_4bit(x, self.weight, self.scales, bias=bias)

    return Linear4


@cache
def _library() -> Any:
    """bitsandbytes."""
    try:
        with _offline():
            import bitsandbytes
    except ImportError as error:
        raise EnvironmentProblem(
            f"a base of 4 bits needs {error.name} — pip install 'attain[quantized]', or leave"
            " base_bits at 32"
        ) from error
    return bitsandbytes


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """While it lasts, what would fetch code cannot be imported; nobody complains that it cannot."""
    log, there = logging.getLogger(f"{_PACKAGE}.backends.cpu.ops"), _FETCHES in sys.modules
    level, before = log.level, sys.modules.get(_FETCHES)
    # Python's own way to say that a name cannot be imported, which the type of the table leaves out
    sys.modules[_FETCHES] = None  # type: ignore[assignment]
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, by its inductor
            yield
    finally:
        log.setLevel(level)
        del sys.modules[_FETCHES]
        if there and before is not None:
            sys.modules[_FETCHES] = before
