"""Depth: which parameters lie below which, for layer-wise learning rates and for freezing.

Found from module names alone, so it holds for every encoder that keeps its blocks in a list (BERT,
RoBERTa, DistilBERT, DeBERTa, ELECTRA, ModernBERT, MPNet, ...). ALBERT shares one block among all
layers, so it has one depth only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DEPTHS = ("num_hidden_groups", "num_hidden_layers", "n_layers", "n_layer")
"""Names of the number of blocks in configurations: ALBERT's, most others, DistilBERT's, GPT-2's."""

_ABOVE = ("final_norm", "final_layer_norm", "ln_f", "pooler", "head", "classifier")
"""First names of modules outside the list of blocks that come after it; all others come before."""

_HEARS = "feature_extractor"
"""Module of networks of sound whose list holds the convolutions that come before the blocks."""


def blocks(net: Any) -> tuple[str, Any]:
    """The list of blocks that make up the depth of a network.

    Args:
        net: Any `torch.nn.Module`.

    Returns:
        Its name and the `torch.nn.ModuleList`: the longest one, the outermost of equals.

    Raises:
        ValueError: When there is none.
    """
    from torch import nn

    lists = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.ModuleList) and m]
    if not lists:
        raise ValueError("the network has no list of blocks")
    lists = [pair for pair in lists if _HEARS not in pair[0].split(".")] or lists
    name, found = max(lists, key=lambda pair: len(pair[1]))  # the first of equals is outermost
    while len(found) == 1 and (inner := _only_list(found[0])):  # ALBERT's groups
        name, found = f"{name}.0.{inner[0]}", inner[1]
    return name, found


def depths(net: Any) -> dict[str, int]:
    """How deep each parameter lies.

    Args:
        net: Any network with a list of n blocks.

    Returns:
        By name: 0 for embeddings and all else that comes before the blocks, 1 to n for the blocks,
        n + 1 for what comes after them.
    """
    name, found = blocks(net)
    prefix = f"{name}."
    return {
        parameter: _depth(parameter, prefix, len(found)) for parameter, _ in net.named_parameters()
    }


def rate_scales(net: Any, decay: float) -> dict[str, float]:
    """Factors of the learning rate that fall with depth.

    Args:
        net: Any network with a list of n blocks; heads kept outside of it have factor 1.
        decay: Factor from one layer to the one below it, in (0, 1].

    Returns:
        By parameter name, ``decay ** (n + 1 - depth)``: the last block has `decay` (Clark et al.
        2020, ELECTRA, arXiv:2003.10555, appendix A; Bao et al. 2022, BEiT, arXiv:2106.08254).
    """
    top = len(blocks(net)[1]) + 1
    return {name: decay ** (top - depth) for name, depth in depths(net).items()}


def freeze_below(net: Any, last: int) -> int:
    """Let only the last blocks and what comes after them learn.

    Args:
        net: Any network with a list of blocks.
        last: How many blocks learn, 0 or more; at least all of them means the embeddings do too.

    Returns:
        Number of parameters that learn.
    """
    count = len(blocks(net)[1])
    lowest = 0 if last >= count else count + 1 - last
    depth = depths(net)
    learning = 0
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(depth[name] >= lowest)
        learning += parameter.numel() if parameter.requires_grad else 0
    return learning


def below(net: Any, last: int) -> list[Any]:
    """What lies below the last blocks: other blocks, embeddings, and all else that comes before.

    Args:
        net: Any network with a list of blocks.
        last: How many blocks do not count, fewer than there are.

    Returns:
        Modules, none of them inside of another.
    """
    name, found = blocks(net)
    lower = list(found[:-last])
    for path, module in net.named_modules():
        around = not path or f"{name}.".startswith(f"{path}.")
        inner = around or path.startswith(f"{name}.") or any(m is module for m in lower)
        if not inner and not any(part in _ABOVE for part in path.split(".")):
            lower += [module] if not any(_holds(other, module) for other in lower) else []
    return lower


def depth_of(folder: str) -> int | None:
    """How many blocks of their own a network has, by its configuration.

    Args:
        folder: Of the model.

    Returns:
        None where that is not said; ALBERT's groups, whose blocks share their weights.
    """
    try:
        told = json.loads((Path(folder) / "config.json").read_text("utf-8"))
        found = [told[name] for name in _DEPTHS if name in told]
    except (OSError, ValueError, TypeError):
        return None
    return found[0] if found and isinstance(found[0], int) else None


def _holds(module: Any, other: Any) -> bool:
    return any(inner is other for inner in module.modules())


def _only_list(module: Any) -> tuple[str, Any] | None:
    from torch import nn

    inner = [(n, m) for n, m in module.named_children() if isinstance(m, nn.ModuleList) and m]
    return inner[0] if inner else None


def _depth(parameter: str, prefix: str, count: int) -> int:
    if parameter.startswith(prefix):
        return int(parameter[len(prefix) :].partition(".")[0]) + 1
    return count + 1 if any(part in _ABOVE for part in parameter.split(".")) else 0
