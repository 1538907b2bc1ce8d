"""What each rung will cost and what the model will see, found out on a few rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.types import Forecast, RungForecast
from attain.learners._pretrained.forecast import (
    SAMPLE,
    Asked,
    Case,
    Costs,
    Measure,
    head_seconds,
    label,
    labels,
    resident,
    stop_share,
    taken,
    tuned,
)
from attain.learners._pretrained.lesson import Lesson, empty_head, quiet
from attain.learners._pretrained.outputs import find_outputs
from attain.learners._text import parameters, rungs
from attain.learners._text.encoder import Reading
from attain.learners._text.inputs import check_training, empties, find_columns
from attain.learners._text.words import fit_terms

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._pretrained.tokens import Tokens

_POSITIONS = 1024
"""Of a batch that is read by the body to time it."""
_QUANTILES = (0.25, 0.5, 0.9)
"""Of the tokens of all texts, sorted by length: where those batches come from."""
_VOCABULARY = 20_000
"""Texts whose terms are counted."""
_EXAMPLES = (0.25, 0.5, 0.95)
"""Quantiles of length of the texts that are shown."""


def forecast(asked: Asked, data: FitData) -> Forecast:
    """What each rung costs, and what the model will see.

    Args:
        asked: The learner's space for these rows, and what is wanted of it.
        data: Training rows, rows to stop on, folder of what is kept between fits.

    Returns:
        All rungs that are wanted, those that are held back included.

    Raises:
        NotApplicable: When no column is text.
        DataError: When there is nothing to learn from.
    """
    columns = find_columns(data.dataset)
    texts = columns.read(data.train.X)
    check_training(data.train, texts)
    outputs = find_outputs(data.dataset, np.asarray(data.train.y))
    lesson = Lesson.of({}, data, columns, texts, outputs)
    case = Case(asked.space, data, lesson)
    facts: dict[str, float | int | str] = {
        "texts": case.rows,
        "empty": empties(texts),
        **labels(data, outputs),
    }
    words = {parameters.TFIDF: lambda: _words(case)}
    if data.dataset.pretrained is None:
        return Forecast(asked.measured(words), facts=facts)
    return _with_body(asked, case, words, facts)


def _with_body(
    asked: Asked, case: Case, words: Mapping[str, Measure], facts: dict[str, Any]
) -> Forecast:
    body = rungs.resident_body(case.data)
    config = case.config(parameters.FROZEN)
    reading, cut = rungs.find_reading(config, case.data, body, case.lesson.inputs, apart=False)
    (tokens,) = reading.tokens(body, case.lesson.inputs, case.data.cache)
    facts |= _lengths(body, tokens, cut, reading.longest)
    pace = _pace(body, reading, tokens)
    found: dict[str, Measure] = {
        **words,
        parameters.FROZEN: lambda: _frozen(case, body, tokens, pace),
        **{
            rung: partial(_tuned, case, rung, reading, pace)
            for rung in parameters.tuned_rungs(case.space)
        },
    }
    return Forecast(asked.measured(found), _examples(case, body, tokens), facts)


def _words(case: Case) -> RungForecast:
    """A real fit on a sample, and the number of terms of all texts."""
    config = case.config(parameters.TFIDF)
    drawn = case.sample(SAMPLE)
    part = taken(case, drawn)
    began = time.perf_counter()
    rungs.fit_words(config, part.data, part.lesson, quiet)
    seconds = (time.perf_counter() - began) * case.rows / len(drawn)
    kinds = [(False, int(config["ngrams"])), *([(True, 0)] if config["char_ngrams"] else [])]
    terms = sum(
        len(fit_terms(0, pieces, longest, texts[:_VOCABULARY]).terms)
        for texts in case.lesson.inputs
        for pieces, longest in kinds
    )
    trained = (terms + 1) * case.lesson.outputs.count
    reason = f"from a fit on {len(drawn)} texts"
    return RungForecast(parameters.TFIDF, trained, seconds, resident(trained * 4 * 30), reason)


def _frozen(case: Case, body: Body, tokens: Tokens, pace: float) -> RungForecast:
    """Reading all texts once, and solving heads on features of the right shape."""
    width = body.hidden * (4 if len(case.lesson.inputs) > 1 else 1)
    head = head_seconds(case, width)
    read = pace * float(tokens.lengths.sum()) * (1 + stop_share(case))
    trained = (width + 1) * case.lesson.outputs.count
    reason = f"{read:.1f} s to read all texts, once for the whole study, then {head:.1f} s"
    held = resident(case.rows * width * 12)
    return RungForecast(parameters.FROZEN, trained, read + head, held, reason)


def _tuned(case: Case, rung: str, reading: Reading, pace: float) -> RungForecast:
    """A step on the longest batch and an ordinary one, taken back afterwards."""
    from attain.learners._text.network import Network
    from attain.learners._text.tuning import adapt, headed, recipe, spared

    config, data = case.config(rung), case.data
    body = rungs.resident_body(data)
    work = rungs.make_work(config, data, body, reading, case.lesson, pretend=True)
    adapt(config, body, data.seed)
    head = empty_head(body.hidden, case.lesson.outputs.count)
    net = headed(Network(body.net, reading.pooling, head, float(config["dropout"])), config, body)
    train, stop = pace * float(work.lengths.sum()), pace * _stop_tokens(work)
    once = spared(config, body, work.train.states)
    start = train + head_seconds(case, body.hidden)
    costs = Costs(stop * (1 - once), start, (train + stop) * once)
    return tuned(case, rung, net, work, recipe(config), body, costs)


def _pace(body: Body, reading: Reading, tokens: Tokens) -> float:
    """Seconds for reading a token without learning, from batches as they will be."""
    from attain.learners._pretrained.features import equal_lengths

    batches = list(equal_lengths(tokens.lengths, _POSITIONS))
    costs = np.cumsum([tokens.lengths[rows].sum() for rows in batches])
    picked = np.unique(np.searchsorted(costs, np.array(_QUANTILES) * costs[-1]))
    reading.features(body, [tokens.take(batches[picked[0]][:1])])  # the first call is slow
    read = tokens.take(np.concatenate([batches[i] for i in picked]))
    began = time.perf_counter()
    reading.features(body, [read])
    return (time.perf_counter() - began) / max(1, int(read.lengths.sum()))


def _stop_tokens(work: Any) -> float:
    return 0.0 if work.stop is None else float(work.stop.tokens.lengths.sum())


def _lengths(body: Body, tokens: Tokens, cut: int, longest: int) -> dict[str, float | int]:
    full = tokens.full
    special = int(body.tokenizer.num_special_tokens_to_add())
    return {
        "tokens_median": float(np.median(full)),
        "tokens_p95": float(np.quantile(full, 0.95)),
        "tokens_longest": int(full.max()),
        "max_length": longest,
        "cut": cut,
        "cut_share": cut / len(full),
        "without_tokens": int(np.count_nonzero(full <= special)),
        "unknown_share": _unknown(body, tokens),
    }


def _unknown(body: Body, tokens: Tokens) -> float:
    """Share of tokens that stand for words the vocabulary lacks."""
    unknown = body.tokenizer.unk_token_id
    return 0.0 if unknown is None else float(np.mean(tokens.ids.values == unknown))


def _examples(case: Case, body: Body, tokens: Tokens) -> tuple[tuple[str, str], ...]:
    """A short, a middling and a long text as the model sees them, with their labels."""
    order = np.argsort(tokens.lengths, kind="stable")
    places = [order[round(share * (len(order) - 1))] for share in _EXAMPLES]
    shown = [int(i) for i in dict.fromkeys(places)]
    return tuple(
        (str(body.tokenizer.decode(tokens.ids.row(i).tolist())), label(case, i)) for i in shown
    )
