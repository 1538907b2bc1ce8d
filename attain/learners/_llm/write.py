"""Answers: greedy, in batches padded on the left, until the token that ends them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from attain.learners._llm.speak import padding
from attain.learners._pretrained.load import Body

_LINES = 16
"""Prompts in a batch."""


@dataclass(frozen=True)
class Written:
    """One answer.

    Attributes:
        text: Without special tokens.
        ended: Whether it ended by itself.
        tokens: How many were generated, the one that ends it included.
    """

    text: str
    ended: bool
    tokens: int


def write(
    body: Body, prompts: Sequence[str], *, most: int, stop: Sequence[int]
) -> tuple[Written, ...]:
    """Let a model go on from each prompt; the most probable token each time.

    Args:
        body: Model and tokenizer; prompts that leave no room are cut on the left.
        prompts: Rendered, special tokens spelled out.
        most: Tokens after which an answer is broken off.
        stop: Tokens that end an answer.

    Returns:
        One answer for each prompt, in order; the same whichever prompts are written together, but
        for rounding.
    """
    tokenizer, room = body.tokenizer, max(1, body.longest - most)
    ids = [
        np.asarray(tokenizer(p, add_special_tokens=False, verbose=False)["input_ids"][-room:])
        for p in prompts
    ]
    found: dict[int, Written] = {}
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    for at in range(0, len(order), _LINES):
        index = order[at : at + _LINES]
        made = _batch(body, [ids[i] for i in index], most, stop)
        found |= dict(zip(index, made, strict=True))
    return tuple(found[i] for i in range(len(ids)))


def _batch(body: Body, ids: Sequence[np.ndarray], most: int, stop: Sequence[int]) -> list[Written]:
    device = next(body.net.parameters()).device
    width = max(len(part) for part in ids)
    lines = np.full((len(ids), width), padding(body), dtype=np.int64)
    mask = np.zeros_like(lines)
    for line, part in enumerate(ids):
        lines[line, width - len(part) :] = part
        mask[line, width - len(part) :] = 1
    generated = _greedy(
        body, torch.from_numpy(lines).to(device), torch.from_numpy(mask).to(device), most, stop
    )
    return [_written(body, line, stop) for line in generated]


@torch.no_grad()
def _greedy(
    body: Body, lines: torch.Tensor, mask: torch.Tensor, most: int, stop: Sequence[int]
) -> list[list[int]]:
    """Tokens after each line; a line that has ended waits for the others."""
    ends = torch.tensor(sorted(stop), device=lines.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    known = inspect.signature(body.net.forward).parameters
    name = "cache" if "cache" in known else "past_key_values"  # renamed in transformers 5
    last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
    cache = None
    over = torch.zeros(len(lines), dtype=torch.bool, device=lines.device)
    tokens: list[torch.Tensor] = []
    step = {"input_ids": lines, "position_ids": positions}
    for _ in range(most):
        made = body.net(**step, attention_mask=mask, use_cache=True, **{name: cache}, **last)
        cache = getattr(made, name)
        chosen = made.logits[:, -1].argmax(dim=1)
        chosen = torch.where(over, torch.full_like(chosen, padding(body)), chosen)
        tokens.append(torch.where(over, -1, chosen))
        over |= torch.isin(chosen, ends)
        if bool(over.all()):
            break
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
        step = {"input_ids": chosen.unsqueeze(1), "position_ids": positions}
    drawn = torch.stack(tokens, dim=1).tolist()
    return [[token for token in line if token >= 0] for line in drawn]


def _written(body: Body, tokens: Sequence[int], stop: Sequence[int]) -> Written:
    ended = bool(tokens) and tokens[-1] in set(stop)
    said = tokens[:-1] if ended else tokens
    text = str(body.tokenizer.decode(said, skip_special_tokens=True)).strip()
    return Written(text, ended, len(tokens))


def sample(lengths: np.ndarray, most: int) -> np.ndarray:
    """Some rows, as many from each quarter of lengths; always the same for the same rows.

    Args:
        lengths: What tells rows apart, such as characters of the prompt; shape (n,).
        most: How many.

    Returns:
        Positions, rising.
    """
    if len(lengths) <= most:
        return np.arange(len(lengths))
    order = np.argsort(lengths, kind="stable")
    parts = np.array_split(order, min(4, most))
    random = np.random.default_rng(0)
    quotas = [len(part) for part in np.array_split(np.arange(most), len(parts))]
    drawn = [
        random.choice(part, quota, replace=False) for part, quota in zip(parts, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn))
