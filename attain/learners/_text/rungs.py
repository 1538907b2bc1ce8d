"""The rungs: how each one turns texts and targets into a core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained import linear
from attain.learners._pretrained.heads import Dense, Sparse
from attain.learners._pretrained.lesson import Lesson, quiet
from attain.learners._text import parameters
from attain.learners._text.encoder import Encoder, Reading
from attain.learners._text.model import Core, Words
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


def fit_words(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """TF-IDF and a linear head."""
    kinds = [(False, int(config["ngrams"]))]
    kinds += [(True, 0)] if config["char_ngrams"] else []
    blocks = tuple(
        fit_terms(place, pieces, longest, texts)
        for place, texts in enumerate(lesson.inputs)
        for pieces, longest in kinds
    )
    design = Sparse(stack(blocks, lesson.inputs))
    stop = None if lesson.stop is None else stack(blocks, lesson.stop)
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    terms = sum(len(block.terms) for block in blocks)
    return "words", Words(blocks, head), {"terms": terms, "trained": head.size, **facts}


def fit_frozen(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """Features of the body as it is, kept for all fits of a study, and a linear head."""
    body = resident_body(data)
    reading, cut = find_reading(config, data, body, lesson.inputs, apart=len(lesson.inputs) > 1)
    features = lambda texts: reading.features(  # noqa: E731
        body, reading.tokens(body, texts, data.cache), data.cache
    )
    stop = None if lesson.stop is None else features(lesson.stop)
    design = Dense(features(lesson.inputs))
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    core = Encoder(lambda: resident_body(data), reading, head, body.digest, cache=data.cache)
    about = {"longest": reading.longest, "cut": cut, "trained": head.size}
    return "encoder", core, {**about, **facts}


def fit_tuned(config: Config, data: FitData, lesson: Lesson, report: Report) -> Fitted:
    """A head solved on the frozen body, then the head and the body or a part of it tuned together.

    Kumar et al. 2022 (arXiv:2202.10054): a random head would spoil the body's features before it
    has learnt what they are good for.
    """
    from attain.learners._text.tuning import tune

    body = resident_body(data)
    reading, cut = find_reading(config, data, body, lesson.inputs, apart=False)
    work = make_work(config, data, body, reading, lesson)
    start, begun = solved_start(body, reading, work, lesson, data)
    tuned = tune(config, body, start, work, data, report)
    own = tuned.body
    core = Encoder(lambda: own, reading, tuned.head, body.digest, tuned.adapter)
    told = {"longest": reading.longest, "cut": cut, **begun, **lower_facts(config, work)}
    return "encoder", core, {**told, **tuned.facts}


RUNGS: Mapping[str, Callable[[Config, FitData, Lesson, Report], Fitted]] = {
    parameters.TFIDF: fit_words,
    parameters.FROZEN: fit_frozen,
    parameters.LAST: fit_tuned,
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
    longest = fitting_length(body, full)
    return replace(whole, longest=longest), int(np.count_nonzero(full > longest))


def fitting_length(body: Body, full: np.ndarray) -> int:
    """Tokens of a text at most.

    Args:
        body: What reads.
        full: Tokens of each training text, shape (n,), n >= 1.

    Returns:
        Enough for all but one in a hundred, at least 128, and no more than the body takes.
    """
    most = -(-int(np.quantile(full, _SHARE, method="higher")) // _STEP) * _STEP
    return min(body.longest, max(most, _SHORT))


def lower_facts(config: Config, work: Any) -> dict[str, str]:
    """How often the blocks that do not learn read the texts, for people."""
    if config["rung"] != parameters.LAST:
        return {}
    if work.train.states is None:
        return {"lower_blocks": "read at each step: this network cannot be cut"}
    once = work.train.states.once
    return {"lower_blocks": "read once" if once else "read at each step: too much to keep"}


def make_work(
    config: Config,
    data: FitData,
    body: Body,
    reading: Reading,
    lesson: Lesson,
    *,
    pretend: bool = False,
) -> Any:
    """Rows and loss for the training loop; a `network.TextWork`."""
    from attain.learners._text.network import Part, TextWork
    from attain.learners._text.tuning import reader

    read = reader(config, body, data.cache, pretend=pretend)

    def part(texts: Sequence[list[str]], targets: np.ndarray) -> Part:
        tokens: tuple[Tokens, ...] = reading.tokens(body, texts, data.cache)
        return Part(tokens[0], targets, read(tokens[0]))

    stop = None
    if lesson.stop is not None and lesson.stop_targets is not None:
        stop = part(lesson.stop, lesson.stop_targets)
    about = f"{body.digest} {sorted(config.items())}"
    smoothing = float(config.get("label_smoothing", 0.0))
    train = part(lesson.inputs, lesson.targets)
    return TextWork(body, lesson.outputs, train, stop, lesson.weights, smoothing, about)


def solved_start(
    body: Body, reading: Reading, work: Any, lesson: Lesson, data: FitData
) -> tuple[linear.Linear, dict[str, Any]]:
    """The best linear head on the body as it is, and which it is on the path.

    Features come from the study's cache.
    """
    design = Dense(reading.features(body, [work.train.tokens], data.cache))
    stop = work.stop and reading.features(body, [work.stop.tokens], data.cache)
    hints = linear.start_hints(data.hints)
    head, found = linear.walk(design, lesson.head(stop), quiet, hints)
    return head, {linear.HEAD_ROUNDS: found["rounds"]}
