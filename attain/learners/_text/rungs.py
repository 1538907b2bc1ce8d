"""The rungs: how each one turns texts and targets into a core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.core.types import Signal
from attain.learners._shared import row_weights
from attain.learners._text import linear, parameters
from attain.learners._text.encoder import Encoder, Reading
from attain.learners._text.heads import Dense, Sparse
from attain.learners._text.inputs import Columns
from attain.learners._text.model import Core, Words
from attain.learners._text.outputs import Outputs
from attain.learners._text.words import fit_terms, stack

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._pretrained.tokens import Tokens

Fitted = tuple[str, Core, dict[str, Any]]
"""Kind of the core, the core, its facts."""

_SHORT = 128
"""Tokens up to which no text is cut: batches of similar length make a few long ones cheap."""
_SHARE = 0.99
_STEP = 16


@dataclass(frozen=True, eq=False)
class Lesson:
    """Texts and targets.

    Attributes:
        outputs: What scores mean.
        texts: Training texts of each column.
        targets: From `Outputs.targets`.
        weights: Of the training rows, mean 1; None when they count the same.
        stop: Texts of the rows to stop on, or None.
        stop_targets: Their targets.
    """

    outputs: Outputs
    texts: tuple[list[str], ...]
    targets: np.ndarray
    weights: np.ndarray | None
    stop: tuple[list[str], ...] | None
    stop_targets: np.ndarray | None

    @classmethod
    def of(
        cls,
        config: Config,
        data: FitData,
        columns: Columns,
        texts: tuple[list[str], ...],
        outputs: Outputs,
    ) -> Lesson:
        """What these rows teach; rows to stop on of classes that were not seen are left out."""
        targets = outputs.targets(np.asarray(data.train.y))
        weights = row_weights(config, targets) if outputs.seen else None
        stop = stop_targets = None
        if data.stop is not None and data.stop.y is not None:
            known = outputs.known(data.stop.y)
            if len(known):
                stop = columns.read(data.stop.X.iloc[known])
                stop_targets = outputs.targets(data.stop.y[known])
        return cls(outputs, texts, targets, weights, stop, stop_targets)

    @property
    def stop_rows(self) -> int:
        """Rows to stop on."""
        return 0 if self.stop_targets is None else len(self.stop_targets)

    def head(self, stop: Any) -> linear.Lesson:
        """The same for a linear head, given the features of the rows to stop on."""
        return linear.Lesson(self.outputs, self.targets, self.weights, stop, self.stop_targets)


def fit_words(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """TF-IDF and a linear head."""
    kinds = [(False, int(config["ngrams"]))]
    kinds += [(True, 0)] if config["char_ngrams"] else []
    blocks = tuple(
        fit_terms(place, pieces, longest, texts)
        for place, texts in enumerate(lesson.texts)
        for pieces, longest in kinds
    )
    design = Sparse(stack(blocks, lesson.texts))
    stop = None if lesson.stop is None else stack(blocks, lesson.stop)
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    terms = sum(len(block.terms) for block in blocks)
    return "words", Words(blocks, head), {"terms": terms, "trained": head.size, **facts}


def fit_frozen(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """Features of the body as it is, kept for all fits of a study, and a linear head."""
    body = resident_body(data)
    reading, cut = find_reading(config, data, body, lesson.texts, apart=len(lesson.texts) > 1)
    features = lambda texts: reading.features(  # noqa: E731
        body, reading.tokens(body, texts, data.cache), data.cache
    )
    stop = None if lesson.stop is None else features(lesson.stop)
    design = Dense(features(lesson.texts))
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    core = Encoder(lambda: resident_body(data), reading, head, body.digest, cache=data.cache)
    about = {"longest": reading.longest, "cut": cut, "trained": head.size}
    return "encoder", core, {**about, **facts}


def fit_tuned(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """A head solved on the frozen body, then body and head tuned together.

    Kumar et al. 2022 (arXiv:2202.10054): a random head would spoil the body's features before it
    has learnt what they are good for.
    """
    from attain.learners._text.tuning import tune

    body = resident_body(data)
    reading, cut = find_reading(config, data, body, lesson.texts, apart=False)
    work = make_work(config, data, body, reading, lesson)
    start = solved_start(body, reading, work, lesson, data)
    tuned = tune(config, body, start, work, data, report)
    own = tuned.body
    core = Encoder(lambda: own, reading, tuned.head, body.digest, tuned.adapter)
    return "encoder", core, {"longest": reading.longest, "cut": cut, **tuned.facts}


RUNGS: Mapping[str, Callable[[Config, FitData, Lesson, Report], Fitted]] = {
    parameters.TFIDF: fit_words,
    parameters.FROZEN: fit_frozen,
    parameters.LORA: fit_tuned,
    parameters.FULL: fit_tuned,
}


def resident_body(data: FitData) -> Body:
    """The pre-trained body as it was loaded, on the fastest device."""
    from attain.learners._pretrained.load import resident
    from attain.learners._torch.device import pick

    assert data.dataset.pretrained is not None  # the space has no such rung without it
    return resident(data.dataset.pretrained, device=str(pick()))


def find_reading(
    config: Config, data: FitData, body: Body, texts: Sequence[list[str]], apart: bool
) -> tuple[Reading, int]:
    """How the body reads these texts, and how many of them are cut.

    Args:
        config: Gives the pooling.
        data: Gives cache and threads.
        body: The body.
        texts: Training texts.
        apart: Whether texts of a pair are read one by one.

    Returns:
        All but one in a hundred of the training texts are read whole, and all of at most 128
        tokens.
    """
    whole = Reading(body.longest, str(config["pooling"]), 1, apart, data.threads)
    full = np.max([part.full for part in whole.tokens(body, texts, data.cache)], axis=0)
    most = -(-int(np.quantile(full, _SHARE, method="higher")) // _STEP) * _STEP
    longest = min(body.longest, max(most, _SHORT))
    return replace(whole, longest=longest), int(np.count_nonzero(full > longest))


def make_work(config: Config, data: FitData, body: Body, reading: Reading, lesson: Lesson) -> Any:
    """Rows and loss for the training loop; a `network.TextWork`."""
    from attain.learners._text.network import Part, TextWork

    def part(texts: Sequence[list[str]], targets: np.ndarray) -> Part:
        tokens: tuple[Tokens, ...] = reading.tokens(body, texts, data.cache)
        return Part(tokens[0], targets)

    stop = None
    if lesson.stop is not None and lesson.stop_targets is not None:
        stop = part(lesson.stop, lesson.stop_targets)
    about = f"{body.digest} {sorted(config.items())}"
    smoothing = float(config.get("label_smoothing", 0.0))
    train = part(lesson.texts, lesson.targets)
    return TextWork(body, lesson.outputs, train, stop, lesson.weights, smoothing, about)


def solved_start(
    body: Body, reading: Reading, work: Any, lesson: Lesson, data: FitData
) -> linear.Linear:
    """The best linear head on the body as it is; features come from the study's cache."""
    design = Dense(reading.features(body, [work.train.tokens], data.cache))
    stop = work.stop and reading.features(body, [work.stop.tokens], data.cache)
    head, _ = linear.walk(design, lesson.head(stop), _quiet, {})
    return head


def empty_head(width: int, outputs: int) -> linear.Linear:
    """A head that says nothing, where only shapes matter."""
    zeros = np.zeros((width, outputs), dtype=np.float32)
    return linear.Linear(zeros, np.zeros(outputs, dtype=np.float32))


def _quiet(step: int, losses: Mapping[str, float]) -> Signal:
    return Signal.CONTINUE
