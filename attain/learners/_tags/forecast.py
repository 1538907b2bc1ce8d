"""What each rung will cost and what the model will see, found out on a few sentences."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.spans import scheme_of, spans
from attain.core.types import Forecast, RungForecast
from attain.learners._pretrained import linear
from attain.learners._pretrained.forecast import (
    SAMPLE,
    Asked,
    Case,
    Costs,
    Measure,
    resident,
    tuned,
)
from attain.learners._pretrained.heads import DEFAULT_POINT, Dense
from attain.learners._pretrained.lesson import empty_head, quiet
from attain.learners._tags import parameters, rungs
from attain.learners._tags.inputs import UNKNOWN, Labelled
from attain.learners._tags.tokens import CUT
from attain.learners._text.parameters import tuned_rungs
from attain.learners._text.rungs import resident_body

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._tags.encoder import WordReading
    from attain.learners._tags.tokens import WordTokens

_READ = 96
"""Sentences that the body reads to be timed."""
_EXAMPLES = (0.25, 0.5, 0.95)
"""Quantiles of length of the sentences that are shown."""
_LABELS = 40


@dataclass(frozen=True, eq=False)
class TagCase(Case):
    """What is forecast; a row is a sentence."""

    lesson: Any

    @property
    def rows(self) -> int:
        return len(self.lesson.train.sentences)


@dataclass(frozen=True)
class _Pace:
    """Seconds for a token that is read, and for a word whose head is solved."""

    token: float
    word: float


def forecast(asked: Asked, data: FitData) -> Forecast:
    """What each rung costs, and what the model will see.

    Args:
        asked: The learner's space for these rows, and what is wanted of it.
        data: Training rows, rows to stop on, folder of what is kept between fits.

    Returns:
        All rungs that are wanted, those that are held back included.

    Raises:
        NotApplicable: When words have no labels.
        DataError: When there is nothing to learn from.
    """
    case = TagCase(asked.space, data, rungs.Lesson.of(data))
    train, tags = case.lesson.train, case.lesson.columns.tags
    named = [f"{i} = {tag}" for i, tag in enumerate(tags)]
    more = f" and {len(tags) - _LABELS} more" if len(tags) > _LABELS else ""
    facts: dict[str, float | int | str] = {
        "sentences": case.rows,
        "words": len(train.codes),
        "labels": ", ".join(named[:_LABELS]) + more,
        "spans_are": str(scheme_of(tags)),
    }
    words = {parameters.WORDS: lambda: _words(case)}
    if data.dataset.pretrained is None:
        return Forecast(asked.measured(words), _examples(case, train.sentences), facts)
    return _with_body(asked, case, words, facts)


def _with_body(
    asked: Asked, case: TagCase, words: Mapping[str, Measure], facts: dict[str, Any]
) -> Forecast:
    body, train = resident_body(case.data), case.lesson.train
    reading, cut = rungs.find_reading(1, case.data, body, train)
    tokens = reading.tokens(body, train.sentences, case.data.cache)
    full = tokens.tokens.full
    facts |= {
        "tokens_median": float(np.median(full)),
        "tokens_longest": int(full.max()),
        "max_length": reading.longest,
        "cut": cut["cut"],
        "words_cut": cut["words_cut"],
        "tokens_a_word": float(tokens.tokens.lengths.sum() / max(1, np.count_nonzero(tokens.read))),
    }
    pace = _pace(case, body, reading, tokens)
    found: dict[str, Measure] = {
        **words,
        parameters.FROZEN: lambda: _frozen(case, body, tokens, pace),
        **{rung: partial(_tuned, case, rung, reading, pace) for rung in tuned_rungs(case.space)},
    }
    return Forecast(asked.measured(found), _examples(case, _marked(body, tokens)), facts)


def _words(case: TagCase) -> RungForecast:
    """A real fit on a sample of sentences."""
    sample = case.sample(SAMPLE)
    part = _taken(case.lesson.train, sample)
    lesson = replace(case.lesson, train=part, stop=None)
    if np.unique(part.codes[part.codes != UNKNOWN]).size < lesson.outputs.count:
        lesson, part = replace(case.lesson, stop=None), case.lesson.train  # each label has a word
    began = time.perf_counter()
    _, (_, _, facts) = rungs.fit_words(case.config(parameters.WORDS), case.data, lesson, quiet)
    share = len(part.codes) / len(case.lesson.train.codes)
    seconds = (time.perf_counter() - began) / share
    trained, sentences = round(facts["trained"] / share), len(part.sentences)
    reason = f"from a fit on {sentences} sentences"
    held = resident(trained * 4 * 30)
    return RungForecast(parameters.WORDS, trained, seconds, held, reason)


def _taken(train: Labelled, index: np.ndarray) -> Labelled:
    """Some of the sentences."""
    parts = np.split(train.codes, np.cumsum([len(words) for words in train.sentences])[:-1])
    return Labelled([train.sentences[i] for i in index], np.concatenate([parts[i] for i in index]))


def _pace(case: TagCase, body: Body, reading: WordReading, tokens: WordTokens) -> _Pace:
    """Some sentences are read twice, the first time slowly, and heads are solved on their words."""
    part = tokens.take(case.sample(_READ))
    reading.features(body, part.take(np.arange(1)))
    began = time.perf_counter()
    features = reading.features(body, part)
    read = time.perf_counter() - began
    count = case.lesson.outputs.count
    outputs = replace(case.lesson.outputs, seen=case.lesson.outputs.seen[: len(features)])
    y = np.arange(len(features)) % min(count, len(features))
    began = time.perf_counter()
    hints = {"rounds": DEFAULT_POINT + 1}
    linear.walk(Dense(features), linear.Lesson(outputs, y), quiet, hints)
    solved = time.perf_counter() - began
    return _Pace(read / max(1, int(part.tokens.lengths.sum())), solved / len(features))


def _frozen(case: TagCase, body: Body, tokens: WordTokens, pace: _Pace) -> RungForecast:
    """Reading all sentences once, and solving heads on the states of their words."""
    words = int(np.count_nonzero(tokens.read))
    stop = 0 if case.lesson.stop is None else len(case.lesson.stop.sentences) / case.rows
    read = pace.token * float(tokens.tokens.lengths.sum()) * (1 + stop)
    head = pace.word * words
    trained = (body.hidden + 1) * case.lesson.outputs.count
    reason = f"{read:.1f} s to read all sentences, once for the whole study, then {head:.1f} s"
    held = resident(words * body.hidden * 12)
    return RungForecast(parameters.FROZEN, trained, read + head, held, reason)


def _tuned(case: TagCase, rung: str, reading: WordReading, pace: _Pace) -> RungForecast:
    """A step on the longest batch and an ordinary one, taken back afterwards."""
    from attain.learners._tags.network import Network
    from attain.learners._text.tuning import adapt, headed, recipe, spared

    config, data = case.config(rung), case.data
    body = resident_body(data)
    lesson = rungs.seen_by(body, reading, data)
    work = rungs.make_work(config, data, body, reading, lesson, pretend=True)
    adapt(config, body, data.seed)
    head = empty_head(body.hidden, lesson.outputs.count)
    net = headed(Network(body.net, head, float(config["dropout"])), config, body)
    train = pace.token * float(work.lengths.sum())
    stopped = 0.0 if work.stop is None else float(work.stop.tokens.tokens.lengths.sum())
    stop, once = pace.token * stopped, spared(config, body, work.train.states)
    start = train + pace.word * len(work.targets)
    costs = Costs(stop * (1 - once), start, (train + stop) * once)
    return tuned(case, rung, net, work, recipe(config), body, costs)


def _marked(body: Body, tokens: WordTokens) -> list[list[str]]:
    """Each word of sentences as the tokens that the body sees of it."""
    found = []
    for i in range(len(tokens)):
        names = body.tokenizer.convert_ids_to_tokens(tokens.tokens.ids.row(i).tolist())
        heads = tokens.heads.row(i)
        places = [int(h) for h in heads if h != CUT]
        last = len(names) - int(body.tokenizer.num_special_tokens_to_add() > 1)
        ends = dict(zip(places, [*places[1:], last], strict=True))
        found.append(
            [" ".join(names[h : ends[h]]) if h != CUT else "(not seen)" for h in heads.tolist()]
        )
    return found


def _examples(case: TagCase, shown: Sequence[list[str]]) -> tuple[tuple[str, str], ...]:
    """A short, a middling and a long sentence: each word with its label, and its spans."""
    train, tags = case.lesson.train, case.lesson.columns.tags
    parts = np.split(train.codes, np.cumsum([len(words) for words in train.sentences])[:-1])
    order = np.argsort([len(words) for words in train.sentences], kind="stable")
    places = [int(order[round(share * (len(order) - 1))]) for share in _EXAMPLES]
    made = []
    for i in dict.fromkeys(places):
        labels = [tags[code] if code != UNKNOWN else "?" for code in parts[i]]
        text = " ".join(f"{word} ({tag})" for word, tag in zip(shown[i], labels, strict=True))
        found = [
            f"{kind}: {' '.join(train.sentences[i][a : b + 1])}"
            for kind, a, b in spans(labels, scheme_of(tags))
        ]
        made.append((text, "; ".join(found) or "no span"))
    return tuple(made)
