"""Losses of supervised tokens without ever holding the logits of a whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CHUNK = 512
"""Positions whose logits are held at once: 100 MB for a vocabulary of 49,152 in float32."""


class _TokenLosses(torch.autograd.Function):
    """``-log softmax(h W' + b)[target]`` of each position.

    The gradient with respect to h is made on the way, one row a position, so that going back costs
    one product; that of W is made by going through the chunks again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        right = torch.empty(len(states), dtype=torch.bool, device=states.device)
        wanted = ctx.needs_input_grad[0]
        slopes = torch.empty_like(states) if wanted else None
        for a in range(0, len(states), chunk):
            part = slice(a, a + chunk)
            logits = nn.functional.linear(states[part], weight, bias).float()
            at = targets[part].unsqueeze(1)
            norm = torch.logsumexp(logits, dim=1, keepdim=True)
            losses[part] = (norm - logits.gather(1, at)).squeeze(1)
            right[part] = logits.argmax(dim=1) == targets[part]
            if slopes is not None:
                shares = torch.exp(logits.sub_(norm))
                shares.scatter_add_(1, at, torch.full_like(at, -1.0, dtype=shares.dtype))
                slopes[part] = (shares.to(weight.dtype) @ weight).to(states.dtype)
        ctx.chunk = chunk
        ctx.mark_non_differentiable(right)
        ctx.save_for_backward(states, weight, bias, targets, slopes)
        return losses, right

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[torch.Tensor | None, ...]:
        states, weight, bias, targets, slopes = ctx.saved_tensors
        scale = grads[0].unsqueeze(1)
        for_states = None if slopes is None else slopes * scale.to(slopes.dtype)
        for_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for_bias = torch.zeros_like(bias) if ctx.needs_input_grad[2] else None
        if for_weight is not None or for_bias is not None:
            for a in range(0, len(states), ctx.chunk):
                part = slice(a, a + ctx.chunk)
                logits = nn.functional.linear(states[part].to(weight.dtype), weight, bias).float()
                shares = torch.softmax(logits, dim=1)
                at = targets[part].unsqueeze(1)
                shares.scatter_add_(1, at, torch.full_like(at, -1.0, dtype=shares.dtype))
                shares = shares * scale[part]
                if for_weight is not None:
                    for_weight += shares.T.to(weight.dtype) @ states[part].to(weight.dtype)
                if for_bias is not None:
                    for_bias += shares.sum(dim=0).to(bias.dtype)
        return for_states, for_weight, for_bias, None, None


def token_losses(
    states: torch.Tensor, head: nn.Linear, targets: torch.Tensor, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log probability of each target, and whether it is the most probable token.

    Args:
        states: Hidden states of supervised positions, shape (n, hidden).
        head: Output layer.
        targets: Tokens that follow, shape (n,).
        chunk: Positions whose logits are held at once.

    Returns:
        Losses in nats (float32) and booleans, both of shape (n,).
    """
    made: tuple[torch.Tensor, torch.Tensor] = _TokenLosses.apply(
        states, head.weight, head.bias, targets, chunk
    )
    return made


def dpo_losses(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Direct preference optimisation: Rafailov et al. 2023 (arXiv:2305.18290), equation 7.

    Args:
        chosen: Log probability of the whole chosen answer, shape (n,).
        rejected: Of the rejected one.
        reference_chosen: The same of the model before it was tuned.
        reference_rejected: The same.
        beta: How strongly the tuned model is held to the reference, above 0.

    Returns:
        One loss a pair, shape (n,); log 2 where nothing has moved.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -nn.functional.logsigmoid(beta * margin)
