"""Connectionist temporal classification: how well frames fit a text (Graves et al. 2006)."""

from __future__ import annotations

import torch
from torch.nn import functional


def ctc_losses(
    logits: torch.Tensor,
    frames: torch.Tensor,
    ids: torch.Tensor,
    sizes: torch.Tensor,
    blank: int,
) -> torch.Tensor:
    """Negative log probability of each text, summed over all paths that spell it.

    Graves et al. 2006, section 4.1, by torch's own recursion. A text that needs more frames than
    there are has no path, and its loss is infinite: those who call sort such rows out and count
    them; no loss is set to zero in silence.

    Args:
        logits: Shape (rows, frames, tokens); behind a row's own frames anything.
        frames: Frames of each row, int64, shape (rows,).
        ids: Tokens of all texts one after the other, int64.
        sizes: Tokens of each text, int64, shape (rows,); may be 0.
        blank: Token that stands for "nothing new".

    Returns:
        Losses in nats, float32, shape (rows,).
    """
    shares = functional.log_softmax(logits.float(), dim=2).transpose(0, 1)
    return functional.ctc_loss(
        shares, ids.to(shares.device), frames, sizes, blank=blank, reduction="none"
    )
