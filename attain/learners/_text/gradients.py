"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) of an encoder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attain.core.errors import NotApplicable
from attain.learners._pretrained.features import Features
from attain.learners._pretrained.kernels import fast_float32
from attain.learners._pretrained.load import Body
from attain.learners._pretrained.tokens import Tokens, collate
from attain.learners._text.encoder import FLOOR, Encoder, Reading
from attain.learners._text.inputs import segments
from attain.learners._text.parts import Parts
from attain.learners._torch.device import threads

TOLERANCE = 0.05
"""Share of the difference of the outputs by which the sum may miss it (section 5 of the paper); of
1 if that is smaller: 0.05 log odds are at most 1.3 % of probability; values have spread 1."""
STEPS = (16, 32, 64, 128)
"""Intervals of the path, doubled until the sum holds. Of MiniLM's sentences 16 are mostly enough,
where the plain sum of the paper takes 20 to 300."""
_POSITIONS = 2048
"""In one pass."""

Score = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""Embeddings, each of shape (m, positions, width), to m numbers."""
Origin = tuple[int, int, int] | None
"""Which text a token is of, and where it starts and ends there; None if the tokenizer added it."""


@dataclass(frozen=True, eq=False)
class Integral:
    """What a path brought.

    Attributes:
        values: For each embedding the attribution of its positions, shape (positions,), float64.
        output: At its end.
        baseline: At its start.
        steps: Intervals of the path at last.
    """

    values: tuple[np.ndarray, ...]
    output: float
    baseline: float
    steps: int

    def misses(self) -> float:
        """How far the sum of the attributions is from the difference of the outputs."""
        return abs(self.output - self.baseline - sum(float(v.sum()) for v in self.values))


def path_integral(
    score: Score,
    ends: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    tolerance: Callable[[float], float],
) -> Integral:
    """Equation 1 of the paper, by Clenshaw and Curtis's rule, with ever more points.

    Its points are kept when their number doubles, and it is about as exact as Gauss's rule, which
    has to start anew (Trefethen 2008, SIAM Review 50:67).

    Args:
        score: The function; it may look at each row alone only.
        ends: Where the path ends, each of shape (positions, width).
        starts: Where it starts, of the same shapes.
        tolerance: From the difference of the outputs to what the sum may miss of it.

    Returns:
        The first one that holds, or the one with the most points.
    """
    with torch.no_grad():
        both = score([torch.stack([a, b]) for a, b in zip(starts, ends, strict=True)])
    baseline, output = both.double().tolist()
    if all(torch.equal(a, b) for a, b in zip(starts, ends, strict=True)):
        return Integral(tuple(np.zeros(len(e)) for e in ends), output, baseline, 0)
    cuts = np.cumsum([len(end) for end in ends])[:-1]
    slopes = _slopes(score, ends, starts, points(STEPS[0]))
    for steps in STEPS:
        if steps > STEPS[0]:
            finer = np.empty((steps + 1, slopes.shape[1]))
            finer[::2] = slopes
            finer[1::2] = _slopes(score, ends, starts, points(steps)[1::2])
            slopes = finer
        values = np.split(weights(steps) @ slopes, cuts)
        found = Integral(tuple(values), output, baseline, steps)
        if found.misses() <= tolerance(output - baseline):
            break
    return found


def points(steps: int) -> np.ndarray:
    """Where Clenshaw and Curtis's rule looks, shape (steps + 1,), from 0 to 1."""
    return (1 - np.cos(np.pi * np.arange(steps + 1) / steps)) / 2


def weights(steps: int) -> np.ndarray:
    """What it weighs these points with.

    Args:
        steps: Even.

    Returns:
        Shape (steps + 1,), sums to 1; exact for polynomials of that degree.
    """
    angles = np.pi * np.arange(steps + 1) / steps
    j = np.arange(1, steps // 2 + 1)
    twice = np.where(2 * j == steps, 1.0, 2.0) / (4 * j * j - 1)
    found = (1 - np.cos(2 * np.outer(angles, j)) @ twice) / steps
    found[[0, -1]] /= 2
    return found


def _slopes(
    score: Score, ends: Sequence[torch.Tensor], starts: Sequence[torch.Tensor], at: np.ndarray
) -> np.ndarray:
    """How fast the score rises through each position, along the path; shape (points, positions)."""
    ways = [end - start for end, start in zip(ends, starts, strict=True)]
    size = max(_POSITIONS // sum(len(way) for way in ways), 1)
    found = []
    for part in torch.from_numpy(at).split(size):
        places = [
            (start + part.to(way)[:, None, None] * way).requires_grad_()
            for start, way in zip(starts, ways, strict=True)
        ]
        gradients = torch.autograd.grad(score(places).sum(), places)
        each = [(g * way).double().sum(2) for g, way in zip(gradients, ways, strict=True)]
        found.append(torch.hstack(each).cpu().numpy())
    return np.concatenate(found)


def integrate(
    core: Encoder, rows: Sequence[tuple[str, ...]], contrasts: np.ndarray, scale: float
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
    with threads(core.reading.threads), fast_float32(body.net), _fixed(body.net):
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
        self, body: Body, core: Encoder, texts: Sequence[str], contrast: np.ndarray
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
        """As `encoder.level` of `encoder.Reading.features`."""
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
def _fixed(net: Any) -> Iterator[None]:
    """Take no gradients of weights meanwhile; they are a third of the work."""
    free = [p for p in net.parameters() if p.requires_grad]
    for parameter in free:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_(True)


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
