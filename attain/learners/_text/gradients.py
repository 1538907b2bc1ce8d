"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) of an encoder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from attain.core.errors import NotApplicable
from attain.learners._pretrained.features import Features
from attain.learners._pretrained.integrals import TOLERANCE, fixed, path_integral
from attain.learners._pretrained.kernels import fast_float32
from attain.learners._pretrained.levels import FLOOR
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.tokens import Tokens, collate
from attain.learners._text.encoder import Encoder, Reading
from attain.learners._text.inputs import segments
from attain.learners._text.parts import Parts
from attain.learners._torch.device import threads

Origin = tuple[int, int, int] | None
"""Which text a token is of, and where it starts and ends there; None if the tokenizer added it."""


def integrate(
    core: Encoder[Reading], rows: Sequence[tuple[str, ...]], contrasts: np.ndarray, scale: float
) -> list[Parts]:
    """What the tokens of rows said, against the same rows with every token masked.

    A mask is what an encoder was taught to be told nothing by; where there is none, padding stands
    for it. The tokens that the tokenizer adds stay as they are and get nothing.

    Args:
        core: Body and head.
        rows: The texts of each row.
        contrasts: What scores are multiplied with, shape (n, outputs).
        scale: Of a score of 1 in the unit of the answer.

    Returns:
        One for each row.

    Raises:
        NotApplicable: When the tokenizer does not say where its tokens stand in a text.
    """
    body = core.body()
    if not body.tokenizer.is_fast:
        raise NotApplicable(
            "words cannot be told apart: the tokenizer of this model does not say where its "
            "tokens stand — use a model with a tokenizer.json"
        )
    allowed = lambda way: TOLERANCE * max(abs(way), scale)  # noqa: E731
    found = []
    with threads(core.reading.threads), fast_float32(body.net), fixed(body.net):
        for texts, contrast in zip(rows, contrasts, strict=True):
            case = _Case(body, core, texts, contrast)
            made = path_integral(case.score, case.ends, case.starts, allowed)
            told = np.concatenate(made.values).tolist()
            origins = [origin for part in case.origins for origin in part]
            spans = [(*(o or (0, 0, 0)), value) for o, value in zip(origins, told, strict=True)]
            offset = float(core.linear.intercept.astype(np.float64) @ contrast)
            output, baseline = made.output + offset, made.baseline + offset
            tolerance = allowed(made.output - made.baseline)
            found.append(Parts(spans, output, baseline, tolerance, made.steps))
    return found


class _Case:
    """One row as a function of its embeddings.

    Args:
        body: Of the model.
        core: The model.
        texts: Of each column one.
        contrast: What scores are multiplied with.
    """

    def __init__(
        self, body: Body, core: Encoder[Reading], texts: Sequence[str], contrast: np.ndarray
    ) -> None:
        net, reading = body.net, core.reading
        self._net, self._reading = net, reading
        self._pool = Features(body, reading.pooling, reading.layers).pooled
        tokens = reading.tokens(body, [[text] for text in texts])
        self._batches = [_whole(body, part) for part in tokens]
        self.origins = _origins(body, reading, texts)
        slope = core.linear.slope.astype(np.float64) @ contrast
        self._slope = torch.from_numpy(slope.astype(np.float32)).to(net.device)
        table = net.get_input_embeddings()
        with torch.no_grad():
            self.ends = [table(batch["input_ids"])[0] for batch in self._batches]
            nothing = table(torch.tensor([_nothing(body.tokenizer)], device=net.device))[0]
            self.starts = [
                torch.where(_added(part).to(net.device), end, nothing)
                for part, end in zip(self.origins, self.ends, strict=True)
            ]

    def score(self, embeddings: Sequence[torch.Tensor]) -> torch.Tensor:
        """The head's answer, without its intercept."""
        levels = [
            self._level(batch, rows) for batch, rows in zip(self._batches, embeddings, strict=True)
        ]
        if len(levels) == 1:
            return levels[0] @ self._slope
        u, v = levels
        return torch.hstack([u, v, (u - v).abs(), u * v]) @ self._slope

    def _level(self, batch: dict[str, torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """As `levels.level` of `encoder.Reading.features`."""
        many = {name: t.expand(len(embeddings), -1) for name, t in batch.items()}
        with _embedded(self._net, embeddings):
            out = self._net(**many, output_hidden_states=self._reading.layers > 1)
        pooled = self._pool(out).float()
        return pooled * torch.rsqrt(pooled.square().mean(dim=1, keepdim=True) + FLOOR)


def _whole(body: Body, tokens: Tokens) -> dict[str, torch.Tensor]:
    """One row, not padded."""
    batch = collate(body, tokens, [0])
    del batch["attention_mask"]  # all ones
    return {name: tensor.to(body.net.device) for name, tensor in batch.items()}


def _added(origins: Sequence[Origin]) -> torch.Tensor:
    """Which tokens the tokenizer added, such as [CLS]; shape (positions, 1)."""
    return torch.tensor([origin is None for origin in origins])[:, None]


def _nothing(tokenizer: Any) -> int:
    """The token that says nothing."""
    known = (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
    return next((int(token) for token in known if token is not None), 0)


@contextlib.contextmanager
def _embedded(net: Any, embeddings: torch.Tensor) -> Iterator[None]:
    """Let the table of tokens answer with these embeddings, so that positions stay the model's."""
    handle = net.get_input_embeddings().register_forward_hook(lambda *_: embeddings)
    try:
        yield
    finally:
        handle.remove()


def _origins(body: Body, reading: Reading, texts: Sequence[str]) -> list[list[Origin]]:
    """Where each token of a row comes from, as `Reading.tokens` has them."""
    first, second = segments([[text] for text in texts])
    given, places = [first[0]], [[(0, 0)]]
    if second is not None:
        given, places = [*given, second[0]], [*places, _joined(texts[1:])]
    if not reading.apart:
        return [_located(body, reading, given, places)]
    return [
        _located(body, reading, [text], [place]) for text, place in zip(given, places, strict=True)
    ]


def _joined(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Which texts `segments` joined, and where each starts: (start, position among all texts)."""
    found, at = [], 0
    for place, text in enumerate(texts, start=1):
        if text:
            found.append((at, place))
            at += len(text) + 1
    return found or [(0, 1)]


def _located(
    body: Body, reading: Reading, given: list[str], parts: Sequence[list[tuple[int, int]]]
) -> list[Origin]:
    """Where each token stands, in the text that its segment was made of."""
    encoded = body.tokenizer(
        *given,
        truncation="longest_first" if len(given) > 1 else True,
        max_length=min(reading.longest, body.longest),
        return_offsets_mapping=True,
        verbose=False,
    )
    found: list[Origin] = []
    for segment, (start, end) in zip(
        encoded.sequence_ids(0), encoded["offset_mapping"], strict=True
    ):
        if segment is None:
            found.append(None)
            continue
        first, place = max((p for p in parts[segment] if p[0] <= start), default=parts[segment][0])
        found.append((place, start - first, end - first))
    return found
