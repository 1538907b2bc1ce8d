"""Which of two answers a model prefers, and whether tuning moved it toward the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attain.core.dialogue import Example
from attain.core.language import place
from attain.learners._llm.encode import encode
from attain.learners._llm.reading import count, cut, pair_up
from attain.learners._llm.render import Renderer
from attain.learners._llm.speak import Speaker
from attain.learners._llm.work import Pairs, said_before
from attain.learners._pretrained.load import Body


def rank(body: Body, examples: Sequence[Example], found: np.ndarray) -> np.ndarray:
    """Fill in what a model says of the answers of pairs.

    Args:
        body: The model.
        examples: One a row, as the model reads it.
        found: Predictions, shape (n, columns of `core.language.COLUMNS`); rows that are no pairs
            stay as they are.

    Returns:
        Nats by which the chosen answer leads, shape (n,); not a number where there are no two.
    """
    index, pairs = _pairs(body, examples)
    one, other = pairs.sums(Speaker(body.net), body)
    found[index, place("loss")] = one.loss
    found[index, place("tokens")] = one.tokens
    found[index, place("right")] = one.right
    count(found)
    both = (one.tokens > 0) & (other.tokens > 0)
    found[index, place("pairs")] = both
    found[index, place("won")] = both * _won(-one.loss, -other.loss)
    means = (-s.loss / np.maximum(s.tokens, 1) for s in (one, other))
    found[index, place("won_a_token")] = both * _won(*means)
    lead = np.full(len(examples), np.nan)
    lead[index] = np.where(both, other.loss - one.loss, np.nan)
    return lead


def lead_before(body: Body | None, examples: Sequence[Example]) -> np.ndarray:
    """Nats by which the chosen answer leads for the pre-trained model.

    Args:
        body: That model as it was loaded; None if it is gone.
        examples: One a row, without any that a tuned model puts before it.

    Returns:
        Shape (n,); not a number where that is not known.
    """
    lead = np.full(len(examples), np.nan)
    if body is not None:
        index, pairs = _pairs(body, examples)
        chosen, rejected = said_before(pairs, Speaker(body.net), body)
        lead[index] = chosen - rejected
    return lead


def reward(lead: np.ndarray, before: np.ndarray, found: np.ndarray) -> None:
    """Fill in where the chosen answer leads by more than before.

    The implicit reward of an answer is how much more probable it is than for the pre-trained model
    (Rafailov et al. 2023, arXiv:2305.18290, section 4): the chosen one's is the larger of
    the two where its lead has grown.

    Args:
        lead: From `rank`.
        before: From `lead_before`.
        found: Predictions; rows of which one of these is not known count nothing.
    """
    known = np.isfinite(lead) & np.isfinite(before)
    found[known, place("compared")] = 1.0
    found[known, place("grown")] = _won(lead[known], before[known])


def _pairs(body: Body, examples: Sequence[Example]) -> tuple[np.ndarray, Pairs]:
    """Positions of the rows that are pairs, and their answers."""
    index, texts = pair_up(Renderer(body.tokenizer), examples)
    chosen, rejected = (
        cut(
            encode(body.tokenizer, [(r, p[side]) for r, p in zip(index, texts, strict=True)]),
            body.longest,
        )
        for side in (0, 1)
    )
    return np.array(index, dtype=int), Pairs(chosen, rejected)


def _won(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(a == b, 0.5, a > b).astype(float)
