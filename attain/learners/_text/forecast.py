"""What each rung will cost and what the model will see, found out on a few rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.space import Ordinal, Space
from attain.core.types import Forecast, RungForecast, Signal
from attain.learners._text import parameters, rungs
from attain.learners._text.encoder import Reading
from attain.learners._text.heads import DEFAULT_POINT, Dense
from attain.learners._text.inputs import check_training, empties, find_columns
from attain.learners._text.linear import walk
from attain.learners._text.outputs import Outputs, find_outputs
from attain.learners._text.words import fit_terms

if TYPE_CHECKING:
    from attain.learners._pretrained.load import Body
    from attain.learners._pretrained.tokens import Tokens

_SAMPLE = 512
"""Texts on which counting words and solving heads is timed."""
_POSITIONS = 1024
"""Of a batch that is read by the body to time it."""
_QUANTILES = (0.25, 0.5, 0.9)
"""Of the tokens of all texts, sorted by length: where those batches come from."""
_VOCABULARY = 20_000
"""Texts whose terms are counted."""
_EXAMPLES = (0.25, 0.5, 0.95)
"""Quantiles of length of the texts that are shown."""
_LABELS = 20


@dataclass(frozen=True, eq=False)
class _Case:
    """What is forecast."""

    space: Space
    data: FitData
    lesson: rungs.Lesson

    @property
    def rows(self) -> int:
        return len(self.lesson.targets)

    def config(self, rung: str) -> dict[str, Any]:
        """The defaults of a rung, also of one that is still held back."""
        opened = [
            p.opened(rung) if isinstance(p, Ordinal) and rung in p.reserve else p
            for p in self.space
        ]
        ladder = any(p.name == "rung" for p in opened)
        return Space(tuple(opened)).defaults({"rung": rung} if ladder else {})

    def sample(self, count: int) -> np.ndarray:
        """Positions of some training rows, rising."""
        if self.rows <= count:
            return np.arange(self.rows)
        drawn = np.random.default_rng(self.data.seed).choice(self.rows, count, replace=False)
        return np.sort(drawn)


def forecast(space: Space, data: FitData) -> Forecast:
    """What each rung costs, and what the model will see.

    Args:
        space: Of the learner, for these rows.
        data: Training rows, rows to stop on, folder of what is kept between fits.

    Returns:
        All rungs, those that are held back included.

    Raises:
        NotApplicable: When no column is text.
        DataError: When there is nothing to learn from.
    """
    columns = find_columns(data.dataset)
    texts = columns.read(data.train.X)
    check_training(data.train, texts)
    outputs = find_outputs(data.dataset, np.asarray(data.train.y))
    lesson = rungs.Lesson.of({}, data, columns, texts, outputs)
    case = _Case(space, data, lesson)
    facts: dict[str, float | int | str] = {
        "texts": case.rows,
        "empty": empties(texts),
        **_labels(data, outputs),
    }
    words = _guarded(parameters.TFIDF, lambda: _words(case))
    if data.dataset.pretrained is None:
        return Forecast((words,), facts=facts)
    return _with_body(case, words, facts)


def _with_body(case: _Case, words: RungForecast, facts: dict[str, Any]) -> Forecast:
    body = rungs.resident_body(case.data)
    config = case.config(parameters.FROZEN)
    reading, cut = rungs.find_reading(config, case.data, body, case.lesson.texts, apart=False)
    (tokens,) = reading.tokens(body, case.lesson.texts, case.data.cache)
    facts |= _lengths(body, tokens, cut, reading.longest)
    pace = _pace(body, reading, tokens)
    found = [
        words,
        _guarded(parameters.FROZEN, lambda: _frozen(case, body, tokens, pace)),
        _guarded(parameters.LORA, lambda: _tuned(case, parameters.LORA, reading, pace)),
        _guarded(parameters.FULL, lambda: _tuned(case, parameters.FULL, reading, pace)),
    ]
    return Forecast(tuple(found), _examples(case, body, tokens), facts)


def _guarded(name: str, measure: Callable[[], RungForecast]) -> RungForecast:
    try:
        return measure()
    except MemoryError as error:
        reason = f"it does not fit into memory: {error}"
        return RungForecast(name, 0, math.inf, 0, reason, usable=False)


def _words(case: _Case) -> RungForecast:
    """A real fit on a sample, and the number of terms of all texts."""
    config = case.config(parameters.TFIDF)
    drawn = case.sample(_SAMPLE)
    part = _taken(case, drawn)
    began = time.perf_counter()
    rungs.fit_words(config, part.data, part.lesson, _quiet)
    seconds = (time.perf_counter() - began) * case.rows / len(drawn)
    kinds = [(False, int(config["ngrams"])), *([(True, 0)] if config["char_ngrams"] else [])]
    terms = sum(
        len(fit_terms(0, pieces, longest, texts[:_VOCABULARY]).terms)
        for texts in case.lesson.texts
        for pieces, longest in kinds
    )
    trained = (terms + 1) * case.lesson.outputs.count
    reason = f"from a fit on {len(drawn)} texts"
    return RungForecast(parameters.TFIDF, trained, seconds, _resident(trained * 4 * 30), reason)


def _frozen(case: _Case, body: Body, tokens: Tokens, pace: float) -> RungForecast:
    """Reading all texts once, and solving heads on features of the right shape."""
    width = body.hidden * (4 if len(case.lesson.texts) > 1 else 1)
    head = _head_seconds(case, width)
    read = pace * float(tokens.lengths.sum()) * (1 + _stop_share(case))
    trained = (width + 1) * case.lesson.outputs.count
    reason = f"{read:.1f} s to read all texts, once for the whole study, then {head:.1f} s"
    held = _resident(case.rows * width * 12)
    return RungForecast(parameters.FROZEN, trained, read + head, held, reason)


def _tuned(case: _Case, rung: str, reading: Reading, pace: float) -> RungForecast:
    """A step on the longest batch and an ordinary one, taken back afterwards."""
    from attain.learners._text.network import Network, groups
    from attain.learners._text.tuning import EVALUATE, adapt, recipe
    from attain.learners._torch.batches import total_steps
    from attain.learners._torch.memory import probe

    config, data = case.config(rung), case.data
    body = rungs.resident_body(data)
    work = rungs.make_work(config, data, body, reading, case.lesson)
    adapt(config, body, data.seed)
    head = rungs.empty_head(body.hidden, case.lesson.outputs.count)
    net = Network(body.net, reading.pooling, head, float(config["dropout"])).to(body.net.device)
    told = recipe(config)
    try:
        found = probe(net, work, told, groups(net), threads=data.threads)
        trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    finally:
        body.restored()
    steps = total_steps(case.rows, told.batch, told.epochs)
    looks = pace * _stop_tokens(work) * math.ceil(told.epochs / EVALUATE)
    start = pace * float(work.lengths.sum()) + _head_seconds(case, body.hidden)
    seconds = steps * found.seconds + looks + start
    reason = f"{steps} steps of {found.seconds:.2g} s, measured"
    if found.micro < told.batch:
        reason += f"; {found.micro} of {told.batch} rows fit into memory at once"
    return RungForecast(rung, trained, seconds, found.bytes + 4 * trained, reason)


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


def _head_seconds(case: _Case, width: int) -> float:
    """Time of the usual part of a path, on features that tell classes apart somewhat."""
    drawn = case.sample(_SAMPLE)
    lesson = _taken(case, drawn).lesson
    random = np.random.default_rng(case.data.seed)
    matrix = random.standard_normal((len(drawn), width))
    if lesson.outputs.seen:
        matrix += random.standard_normal((lesson.outputs.count, width))[lesson.targets]
    began = time.perf_counter()
    walk(Dense(matrix.astype(np.float32)), lesson.head(None), _quiet, {"rounds": DEFAULT_POINT + 1})
    return (time.perf_counter() - began) * case.rows / len(drawn)


def _taken(case: _Case, index: np.ndarray) -> _Case:
    """The same with some of the training rows only, and none to stop on."""
    texts = tuple([column[i] for i in index] for column in case.lesson.texts)
    y = np.asarray(case.data.train.y)[index]
    outputs = find_outputs(case.data.dataset, y)
    lesson = rungs.Lesson(outputs, texts, outputs.targets(y), None, None, None)
    return _Case(case.space, case.data, lesson)


def _stop_share(case: _Case) -> float:
    return 0.0 if case.lesson.stop_targets is None else len(case.lesson.stop_targets) / case.rows


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


def _labels(data: FitData, outputs: Outputs) -> Mapping[str, str]:
    """Which class each score is of."""
    if not outputs.seen:
        return {}
    named = [f"{i} = {data.dataset.classes[code]}" for i, code in enumerate(outputs.seen)]
    more = f" and {len(named) - _LABELS} more" if len(named) > _LABELS else ""
    return {"labels": ", ".join(named[:_LABELS]) + more}


def _examples(case: _Case, body: Body, tokens: Tokens) -> tuple[tuple[str, str], ...]:
    """A short, a middling and a long text as the model sees them, with their labels."""
    order = np.argsort(tokens.lengths, kind="stable")
    places = [order[round(share * (len(order) - 1))] for share in _EXAMPLES]
    shown = [int(i) for i in dict.fromkeys(places)]
    return tuple(
        (str(body.tokenizer.decode(tokens.ids.row(i).tolist())), _label(case, i)) for i in shown
    )


def _label(case: _Case, row: int) -> str:
    value = np.asarray(case.data.train.y)[row]
    return case.data.dataset.classes[int(value)] if case.lesson.outputs.seen else f"{value:g}"


def _resident(more: int) -> int:
    """Memory of this process now, and more."""
    import psutil

    return int(psutil.Process().memory_info().rss) + more


def _quiet(step: int, losses: Mapping[str, float]) -> Signal:
    return Signal.CONTINUE
