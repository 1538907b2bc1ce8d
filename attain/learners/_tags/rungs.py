"""The rungs: how each one turns words and labels into a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData, Report
from attain.core.space import Config
from attain.learners._pretrained import linear
from attain.learners._pretrained.heads import Dense, Sparse
from attain.learners._pretrained.lesson import quiet
from attain.learners._pretrained.outputs import Outputs
from attain.learners._tags import parameters
from attain.learners._tags.dictionary import fit_frequent
from attain.learners._tags.encoder import WordEncoder, WordReading
from attain.learners._tags.inputs import (
    UNKNOWN,
    Columns,
    Labelled,
    check_training,
    find_columns,
    labelled,
)
from attain.learners._tags.model import Core, TagModel, spare_code
from attain.learners._tags.words import Words, see
from attain.learners._text.encoder import Encoder
from attain.learners._text.rungs import fitting_length, lower_facts, resident_body

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._tags.tokens import WordTokens

Fitted = tuple[str, Core, dict[str, Any]]
"""Kind of the core, the core, its facts."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Words and what they are.

    Attributes:
        columns: Where they stand.
        outputs: What scores mean: one for each label that the training words show.
        train: Sentences to learn from.
        stop: Sentences to stop on, where words with other labels do not count; or None.
    """

    columns: Columns
    outputs: Outputs
    train: Labelled
    stop: Labelled | None

    @classmethod
    def of(cls, data: FitData, read: Callable[[Labelled], np.ndarray] | None = None) -> Lesson:
        """What rows teach.

        Args:
            data: Training rows, and rows to stop on.
            read: Which words a body sees, bool; None for all.

        Returns:
            A lesson in which other words do not count.

        Raises:
            DataError: When there is nothing to learn from.
        """
        columns = find_columns(data.dataset)

        def seen(found: Labelled) -> Labelled:
            if read is None or not found.sentences:
                return found
            return replace(found, codes=np.where(read(found), found.codes, UNKNOWN))

        train = seen(labelled(data.train, columns))
        check_training(train)
        codes = np.unique(train.codes[train.codes != UNKNOWN])
        outputs = Outputs(len(columns.tags), tuple(int(code) for code in codes))
        stop = None if data.stop is None else seen(labelled(data.stop, columns)).only(codes)
        if stop is not None and not (stop.codes != UNKNOWN).any():
            stop = None
        return cls(columns, outputs, train, stop)

    def targets(self, part: Labelled) -> np.ndarray:
        """What scores of words that count are trained on."""
        return self.outputs.targets(part.codes[part.codes != UNKNOWN])

    def head(self, stop: Any) -> linear.Lesson:
        """The same for a linear head, given the features of the words to stop on that count."""
        own = None if self.stop is None else self.targets(self.stop)
        return linear.Lesson(self.outputs, self.targets(self.train), None, stop, own)


def fit(learner: str, config: Config, data: FitData, report: Report) -> TagModel:
    """Fit a model that labels words.

    Args:
        learner: Name of the learner.
        config: A configuration, complete.
        data: The rows.
        report: Told the losses; answers with a signal.

    Returns:
        A model; of words with one label only, one that always gives it.

    Raises:
        DataError: When there is nothing to learn from.
    """
    rung = str(config.get("rung", parameters.WORDS))
    every = Lesson.of(data)
    facts = {"rung": rung, "sentences": len(every.train.sentences), "words": len(every.train.codes)}
    if every.outputs.count < 2:
        return fit_frequent(learner, data, facts)
    lesson, (kind, core, found) = RUNGS[rung](config, data, every, report)
    spare = spare_code(lesson.columns.tags, every.train.codes)
    told = {**facts, **found}
    return TagModel(learner, kind, core, lesson.columns, lesson.outputs, spare, told)


def fit_words(
    config: Config, data: FitData, lesson: Lesson, report: Report
) -> tuple[Lesson, Fitted]:
    """Features of words and of their neighbours, and a linear head."""
    seen = see(lesson.train.sentences, int(config["window"]), int(config["affixes"]))

    def matrix(part: Labelled) -> Any:
        return seen.matrix(part.sentences)[part.codes != UNKNOWN]

    stop = None if lesson.stop is None else matrix(lesson.stop)
    design = Sparse(matrix(lesson.train))
    head, facts = linear.walk(design, lesson.head(stop), report, data.hints)
    told = {"features": len(seen.names), "trained": head.size, **facts}
    return lesson, ("words", Words(seen, head), told)


def fit_frozen(
    config: Config, data: FitData, lesson: Lesson, report: Report
) -> tuple[Lesson, Fitted]:
    """States of words in the body as it is, kept for all fits of a study, and a linear head."""
    body = resident_body(data)
    reading, cut = find_reading(int(config["layers"]), data, body, lesson.train)
    lesson = seen_by(body, reading, data)
    head, facts = _walk(body, reading, data, lesson, report, data.hints)
    inner = Encoder(lambda: resident_body(data), reading, head, body.digest, cache=data.cache)
    return lesson, ("encoder", WordEncoder(inner), {**cut, "trained": head.size, **facts})


def fit_tuned(
    config: Config, data: FitData, lesson: Lesson, report: Report
) -> tuple[Lesson, Fitted]:
    """A head solved on the frozen body, then the head and the body or a part of it tuned together.

    Kumar et al. 2022 (arXiv:2202.10054): a random head would spoil the body's features before it
    has learnt what they are good for.
    """
    from attain.learners._pretrained import tuning
    from attain.learners._tags.network import Network
    from attain.learners._text.tuning import adapt, headed, recipe

    body = resident_body(data)
    reading, cut = find_reading(1, data, body, lesson.train)
    lesson = seen_by(body, reading, data)
    work = make_work(config, data, body, reading, lesson)
    start, found = _walk(body, reading, data, lesson, quiet, linear.start_hints(data.hints))
    adapter = adapt(config, body, data.seed)
    dropout = float(config["dropout"])
    net = headed(Network(body.net, start, dropout), config, body)
    inner = dropout if adapter is None else None
    tuned = tuning.tune(
        net, work, recipe(config), body, data, report, adapter=adapter, dropout=inner
    )
    own = tuned.body
    core = WordEncoder(Encoder(lambda: own, reading, tuned.head, body.digest, tuned.adapter))
    begun = {linear.HEAD_ROUNDS: found["rounds"]}
    return lesson, ("encoder", core, {**cut, **begun, **lower_facts(config, work), **tuned.facts})


RUNGS: Mapping[str, Callable[[Config, FitData, Lesson, Report], tuple[Lesson, Fitted]]] = {
    parameters.WORDS: fit_words,
    parameters.FROZEN: fit_frozen,
    parameters.LAST: fit_tuned,
    parameters.LORA: fit_tuned,
    parameters.FULL: fit_tuned,
}


def find_reading(
    layers: int, data: FitData, body: Body, train: Labelled
) -> tuple[WordReading, dict[str, int]]:
    """How the body reads these sentences, and what it does not see of them.

    Args:
        layers: Whose mean is taken, if the body has as many.
        data: Gives cache and threads.
        body: The body.
        train: Training sentences.

    Returns:
        A reading, and facts: ``longest`` (tokens), ``cut`` (sentences), ``words_cut`` (words
        without a token, because they were cut off or the tokenizer has none for them).
    """
    whole = WordReading(body.longest, min(layers, body.layers), data.threads)
    tokens = whole.tokens(body, train.sentences, data.cache)
    reading = replace(whole, longest=fitting_length(body, tokens.tokens.full))
    tokens = reading.tokens(body, train.sentences, data.cache)
    unseen = int(np.count_nonzero(~tokens.read))
    return reading, {"longest": reading.longest, "cut": tokens.tokens.cut, "words_cut": unseen}


def seen_by(body: Body, reading: WordReading, data: FitData) -> Lesson:
    """What the rows teach a body, which may not see all words."""
    return Lesson.of(data, lambda part: reading.tokens(body, part.sentences, data.cache).read)


def make_work(
    config: Config,
    data: FitData,
    body: Body,
    reading: WordReading,
    lesson: Lesson,
    *,
    pretend: bool = False,
) -> Any:
    """Sentences and loss for the training loop; a `network.TagWork`."""
    from attain.learners._tags.network import Part, TagWork
    from attain.learners._text.tuning import reader

    read = reader(config, body, data.cache, pretend=pretend)

    def part(found: Labelled) -> Part:
        tokens: WordTokens = reading.tokens(body, found.sentences, data.cache)
        return Part.of(tokens, lesson.targets(found), found.codes != UNKNOWN, read)

    stop = None if lesson.stop is None else part(lesson.stop)
    about = f"{body.digest} {sorted(config.items())}"
    smoothing = float(config.get("label_smoothing", 0.0))
    return TagWork(body, lesson.outputs, part(lesson.train), stop, None, smoothing, about)


def _walk(
    body: Body,
    reading: WordReading,
    data: FitData,
    lesson: Lesson,
    report: Report,
    hints: Mapping[str, Any],
) -> tuple[linear.Linear, dict[str, Any]]:
    """The best linear head on the body as it is; features come from the study's cache."""

    def features(part: Labelled) -> np.ndarray:
        tokens = reading.tokens(body, part.sentences, data.cache)
        found = reading.features(body, tokens, data.cache)
        return found[(part.codes != UNKNOWN)[tokens.read]]

    stop = None if lesson.stop is None else features(lesson.stop)
    return linear.walk(Dense(features(lesson.train)), lesson.head(stop), report, hints)
