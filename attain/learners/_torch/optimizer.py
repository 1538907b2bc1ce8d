"""AdamW with the groups that fine-tuning needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from attain.learners._torch.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that are trained at the same rate.

    Attributes:
        parameters: By their name in the network; they must require gradients.
        depth: Layers between them and the output: the rate is multiplied by ``layer_decay**depth``.
        rate: A further factor on the rate, such as that of a new head.
    """

    parameters: Mapping[str, nn.Parameter]
    depth: int = 0
    rate: float = 1.0


def group_by(
    net: nn.Module, depth: Callable[[str], int], rate: Callable[[str], float] = lambda name: 1.0
) -> tuple[Group, ...]:
    """Groups of all parameters of a network that require gradients.

    Args:
        net: The network.
        depth: Layers between a parameter of this name and the output, from 0.
        rate: Factor on the rate of a parameter of this name.

    Returns:
        Groups from the output downwards.
    """
    found: dict[tuple[int, float], dict[str, nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            found.setdefault((depth(name), rate(name)), {})[name] = parameter
    return tuple(Group(members, *key) for key, members in sorted(found.items(), key=lambda i: i[0]))


def one_group(net: nn.Module) -> tuple[Group, ...]:
    """All parameters that require gradients, at one rate.

    Args:
        net: The network.

    Returns:
        One group, or none if nothing is trained.
    """
    return group_by(net, lambda name: 0)


def named(groups: Sequence[Group]) -> dict[str, nn.Parameter]:
    """All parameters that are trained.

    Args:
        groups: Disjoint groups.

    Returns:
        By name, in the order of the groups.

    Raises:
        ValueError: When a parameter is in two groups, or does not require gradients.
    """
    found: dict[str, nn.Parameter] = {}
    for name, parameter in ((n, p) for group in groups for n, p in group.parameters.items()):
        if name in found or not parameter.requires_grad:
            rule = "a parameter must be in one group and require gradients"
            raise ValueError(f"{rule} (got {name})")
        found[name] = parameter
    if not found:
        raise ValueError("there must be a parameter to train (got none)")
    return found


def adamw(groups: Sequence[Group], recipe: Recipe) -> torch.optim.AdamW:
    """The optimiser, with all of its memory allocated, so that no later step can lack it.

    Args:
        groups: What to train.
        recipe: Rates and decay.

    Returns:
        AdamW (arXiv 1711.05101); each of its groups has ``peak``, for `set_rate`.
    """
    made: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        peak = recipe.learning_rate * recipe.layer_decay**group.depth * group.rate
        for p in group.parameters.values():
            made.setdefault((peak, recipe.weight_decay if p.ndim >= 2 else 0.0), []).append(p)
    options = [
        {"params": members, "weight_decay": decay, "peak": peak, "lr": peak}
        for (peak, decay), members in made.items()
    ]
    fused = all(p.is_floating_point() and p.device.type != "mps" for p in named(groups).values())
    optimizer = torch.optim.AdamW(options, betas=(0.9, 0.999), eps=1e-8, fused=fused)
    for option in optimizer.param_groups:
        for p in option["params"]:
            optimizer.state[p] = {
                "step": torch.zeros((), dtype=torch.float32, device=p.device if fused else "cpu"),
                "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
            }
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rates of the next step.

    Args:
        optimizer: From `adamw`.
        factor: Of each group's peak.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
