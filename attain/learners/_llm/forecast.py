"""What each rung will cost, which tokens are trained, and what would go wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.space import Ordinal, Space
from attain.core.types import Forecast, RungForecast, Task
from attain.learners._llm import parameters, rungs
from attain.learners._llm.encode import Coded, encode, shown
from attain.learners._llm.findings import inspect
from attain.learners._llm.lesson import Taught, layout_of, teach
from attain.learners._llm.model import pair_up, read_rows
from attain.learners._llm.render import Renderer, render_all
from attain.learners._pretrained.load import Body

_SAMPLE = 2_000
"""Rows that are rendered to find what goes wrong; all, where there are no more."""
_READ = 8
"""Examples that are read to time reading."""
_EXAMPLES = (0.25, 0.75, 0.95)
"""Quantiles of length of the examples that are shown."""


def forecast(space: Space, data: FitData) -> Forecast:
    """What fits cost and what they learn.

    Args:
        space: Of the learner, for these rows.
        data: Training rows, rows to stop on.

    Returns:
        All rungs, those that are held back included.

    Raises:
        DataError: When there is nothing to learn from.
    """
    body = rungs.resident_body(data)
    rows = data.train
    if len(rows) > _SAMPLE:
        drawn = np.random.default_rng(data.seed).choice(len(rows), _SAMPLE, replace=False)
        rows = rows.take(np.sort(drawn))
    whole = _whole(body, data, rows)
    taught = teach(body, data.dataset, rows)
    found = inspect(body, taught, whole)
    masks = _masks(body, taught if len(taught.coded) else None, whole)
    facts = _facts(body, data, taught, whole)
    if not len(taught.coded):
        return Forecast((), facts=facts, masks=masks, findings=found)
    scale = len(data.train) / max(1, len(rows))
    pace = _pace(body, taught)
    stop = 0.1 * float(taught.coded.lengths.sum()) * scale if data.stop is not None else 0.0
    made = [_free(name, body) for name in _known(space) if name in _UNTRAINED]

    def measured(name: str) -> RungForecast:
        return _tuned(name, space, body, data, taught, scale, pace * stop)

    made += [_guarded(name, measured) for name in (parameters.LORA, parameters.FULL)]
    return Forecast(tuple(made), (), facts, masks, found)


_UNTRAINED = (parameters.PROMPT, parameters.FEW_SHOT)


def _known(space: Space) -> tuple[str, ...]:
    ladder = space.ladders[0]
    return tuple(str(name) for name in (*ladder.choices, *ladder.reserve))


def _whole(body: Body, data: FitData, rows: Any) -> Coded:
    """All examples as they are, before any is left out."""
    examples = read_rows(layout_of(data.dataset), rows)
    renderer = Renderer(body.tokenizer)
    if data.dataset.task is Task.PREFERENCE:
        index, pairs = pair_up(renderer, examples)
        return encode(body.tokenizer, [(r, p[0]) for r, p in zip(index, pairs, strict=True)])
    return encode(body.tokenizer, render_all(renderer, examples)[0])


def _masks(
    body: Body, taught: Taught | None, whole: Coded
) -> tuple[tuple[tuple[str, bool], ...], ...]:
    """A short, a middling and a long example in runs of what is and what is not learnt."""
    coded = whole if taught is None else taught.coded
    if not len(coded):
        return ()
    order = np.argsort(coded.lengths, kind="stable")
    places = [int(order[round(share * (len(order) - 1))]) for share in _EXAMPLES]
    found = [shown(body.tokenizer, *coded.row(i)) for i in dict.fromkeys(places)]
    if taught is not None and taught.rejected is not None:
        found.append(shown(body.tokenizer, *taught.rejected.row(places[0])))
    return tuple(found)


def _facts(body: Body, data: FitData, taught: Taught, whole: Coded) -> dict[str, float | int | str]:
    facts: dict[str, float | int | str] = {
        "rows": len(data.train),
        "shape": str(layout_of(data.dataset).shape),
        "template": "the model's own" if Renderer(body.tokenizer).chats else "none",
    }
    if len(whole):
        facts |= {
            "tokens_median": float(np.median(whole.lengths)),
            "tokens_longest": int(whole.lengths.max()),
            "max_length": body.longest,
            "supervised_share": float(whole.trained.mean()),
        }
    left = {n: taught.facts[n] for n in ("refused", "too_long", "unsupervised") if taught.facts[n]}
    return facts | left


def _guarded(name: str, measure: Callable[[str], RungForecast]) -> RungForecast:
    try:
        return measure(name)
    except MemoryError as error:
        reason = f"it does not fit into memory: {error}"
        return RungForecast(name, 0, math.inf, 0, reason, usable=False)


def _free(name: str, body: Body) -> RungForecast:
    """A rung on which nothing is trained."""
    return RungForecast(name, 0, 0.1, _resident(0), "nothing is trained; its cost is its answers")


def _pace(body: Body, taught: Taught) -> float:
    """Seconds for reading a token without learning."""
    from attain.learners._llm.speak import Speaker, sums

    speaker = Speaker(body.net)
    index = np.linspace(0, len(taught.coded) - 1, min(_READ, len(taught.coded))).astype(int)
    part = taught.coded.take(index)
    sums(speaker, body, part.take([0]))  # the first call is slow
    began = time.perf_counter()
    sums(speaker, body, part)
    return (time.perf_counter() - began) / max(1, int(part.lengths.sum()))


def _tuned(
    rung: str,
    space: Space,
    body: Body,
    data: FitData,
    taught: Taught,
    scale: float,
    look: float,
) -> RungForecast:
    """A step on the longest batch and an ordinary one, taken back afterwards."""
    from attain.learners._llm.speak import Speaker
    from attain.learners._llm.tuning import (
        EVALUATE,
        adapt,
        checkpointing,
        make_work,
        recipe,
        sized,
    )
    from attain.learners._torch.batches import total_steps
    from attain.learners._torch.memory import probe
    from attain.learners._torch.optimizer import one_group

    config, told_rows = _config(space, rung), round(len(taught.coded) * scale)
    told = recipe(config)
    adapt(config, body, data.seed)
    try:
        speaker = Speaker(body.net)
        work = make_work(config, body, speaker, _few(taught), None)
        trained = sum(p.numel() for p in speaker.parameters() if p.requires_grad)
        told, twice = sized(told, body, int(work.lengths.max()), trained, data.memory)
        with checkpointing(body, twice):
            found = probe(speaker, work, told, one_group(speaker), threads=data.threads)
    finally:
        body.restored()
    steps = total_steps(told_rows, told.batch, told.epochs)
    seconds = steps * found.seconds + look * math.ceil(told.epochs / EVALUATE)
    reason = f"{steps} steps of {found.seconds:.2g} s, measured"
    if twice:
        reason += "; activations are computed twice, since they would not fit"
    if found.micro < told.batch:
        reason += f"; {found.micro} of {told.batch} rows fit into memory at once"
    return RungForecast(rung, trained, seconds, found.bytes + 4 * trained, reason)


def _few(taught: Taught) -> Taught:
    """The longest examples and some others: what a probe looks at."""
    order = np.argsort(-taught.coded.lengths, kind="stable")
    index = np.unique(np.concatenate([order[:16], order[:: max(1, len(order) // 48)]]))
    rejected = None if taught.rejected is None else taught.rejected.take(index)
    return Taught(taught.examples, taught.coded.take(index), rejected, taught.facts)


def _config(space: Space, rung: str) -> dict[str, Any]:
    """The defaults of a rung, also of one that is still held back."""
    opened = [p.opened(rung) if isinstance(p, Ordinal) and rung in p.reserve else p for p in space]
    return Space(tuple(opened)).defaults({"rung": rung})


def _resident(more: int) -> int:
    """Memory of this process now, and more."""
    import psutil

    return int(psutil.Process().memory_info().rss) + more
