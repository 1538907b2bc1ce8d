"""What each rung will cost, which tokens are trained, and what would go wrong."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.space import Space
from attain.core.types import Forecast, RungForecast, Task
from attain.learners._llm import parameters, rungs
from attain.learners._llm.encode import Coded, encode, shown
from attain.learners._llm.findings import inspect
from attain.learners._llm.lesson import Taught, layout_of, teach
from attain.learners._llm.reading import pair_up, read_rows
from attain.learners._llm.render import Renderer, render_all
from attain.learners._pretrained.forecast import Asked, Measure, rung_defaults
from attain.learners._pretrained.load import Body

if TYPE_CHECKING:
    from attain.learners._torch.recipe import Recipe

_SAMPLE = 2_000
"""Rows that are rendered to find what goes wrong; all, where there are no more."""
_READ = 8
"""Examples that are read to time reading."""
_SHARE = 0.03
"""Of the training of a rung, how much may be spent on measuring its steps on a CPU."""
_LEAST = 2.0
"""Seconds that may be spent on it in any case."""
_TRAINING = 3.0
"""Time of a step over that of reading its rows: forward, and twice as much backward."""
_EXAMPLES = (0.25, 0.75, 0.95)
"""Quantiles of length of the examples that are shown."""


def forecast(asked: Asked, data: FitData) -> Forecast:
    """What fits cost and what they learn.

    Args:
        asked: The learner's space for these rows, and what is wanted of it.
        data: Training rows, rows to stop on.

    Returns:
        All rungs that are wanted, those that are held back included.

    Raises:
        DataError: When there is nothing to learn from.
    """
    began = time.perf_counter()
    body = rungs.resident_body(data)
    loaded, rows = time.perf_counter() - began, data.train
    if len(rows) > _SAMPLE:
        drawn = np.random.default_rng(data.seed).choice(len(rows), _SAMPLE, replace=False)
        rows = rows.take(np.sort(drawn))
    whole = _whole(body, data, rows)
    began = time.perf_counter()
    taught = teach(body, data.dataset, rows)
    taken = time.perf_counter() - began
    found = inspect(body, taught, whole)
    masks = _masks(body, taught if len(taught.coded) else None, whole)
    facts = _facts(body, data, taught, whole)
    if not len(taught.coded):
        return Forecast((), facts=facts, masks=masks, findings=found)
    scale = len(data.train) / max(1, len(rows))
    costs = _Costs(loaded + taken * scale, _pace(body, taught), scale)
    measures: dict[str, Measure] = {
        name: partial(_free, name, costs)
        if name in _UNTRAINED
        else partial(_tuned, name, asked.space, body, data, taught, costs)
        for name in _known(asked.own)
    }
    return Forecast(asked.measured(measures), (), facts, masks, found)


@dataclass(frozen=True)
class _Costs:
    """What all rungs have in common.

    Attributes:
        ready: Seconds until the model is loaded and the rows are tokens.
        pace: Seconds for reading a token without learning.
        scale: Training rows over rows that were looked at.
    """

    ready: float
    pace: float
    scale: float


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


def _free(name: str, costs: _Costs) -> RungForecast:
    """A rung on which nothing is trained."""
    reason = "nothing is trained: the model is loaded, rows are read; answers come on top"
    return RungForecast(name, 0, costs.ready, _resident(0), reason)


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
    rung: str, space: Space, body: Body, data: FitData, taught: Taught, costs: _Costs
) -> RungForecast:
    """Steps are measured and taken back; so few of them that it costs little beside the fit."""
    from attain.learners._llm.speak import Speaker
    from attain.learners._llm.tuning import adapt, checkpointing, make_work, recipe, sized, stacked
    from attain.learners._torch.batches import total_steps
    from attain.learners._torch.memory import probe
    from attain.learners._torch.optimizer import one_group

    config, told_rows = rung_defaults(space, rung), round(len(taught.coded) * costs.scale)
    told = recipe(config)
    adapt(config, body, data.seed)
    try:
        speaker = Speaker(body.net)
        work = make_work(config, body, speaker, taught, None, rehearsed=True)
        trained = sum(p.numel() for p in speaker.parameters() if p.requires_grad)
        told, twice = sized(told, body, int(work.lengths.max()), trained, data.memory)
        tokens = float(work.lengths.sum()) * costs.scale
        most = max(_SHARE * told.epochs * tokens, _LEAST / (_TRAINING * costs.pace))
        cpu = next(body.net.parameters()).device.type == "cpu"
        with checkpointing(body, twice):
            found = probe(
                speaker, work, told, one_group(speaker),
                threads=data.threads, most=most if cpu else None,
            )  # fmt: skip
    finally:
        body.restored()
    steps = total_steps(told_rows, told.batch, told.epochs)
    steps, passes, adapters = _work_of(config, data, taught, steps, told)
    reason = f"{steps} steps of {found.seconds:.2g} s, measured"
    if adapters > 1:
        reason += f"; all of a race of {adapters} adapters"
    if twice:
        reason += "; activations are computed twice, since they would not fit"
    if found.micro < told.batch:
        reason += f"; {found.micro} of {told.batch} rows fit into memory at once"
    seconds = costs.ready + passes * costs.pace * tokens + steps * found.seconds
    longest = told.batch * int(taught.coded.lengths.max())
    memory = found.bytes + 4 * trained + stacked(body, adapters, trained, longest)
    return RungForecast(rung, trained, seconds, memory, reason)


def _work_of(
    config: dict[str, Any], data: FitData, taught: Taught, steps: int, told: Recipe
) -> tuple[int, float, int]:
    """Steps of all adapters of a fit, passes without learning, and how many adapters there are."""
    from attain.learners._llm.many import effort
    from attain.learners._llm.tuning import racing

    count = racing(config, taught, data)
    if count == 1 or data.stop is None:
        return steps, _passes(data, taught, told.epochs), 1
    done, looked = effort(steps, count, told.batch, len(data.stop))
    return done, looked / len(data.train), count


def _passes(data: FitData, taught: Taught, epochs: float) -> float:
    """How often the training rows are read without learning, all in all.

    Rows to stop on are read at each look, and of pairs all are once before anything is learnt.
    """
    from attain.learners._llm.tuning import EVALUATE

    stop = 0.0 if data.stop is None else len(data.stop) / len(data.train)
    before = 0.0 if taught.rejected is None else 1.0 + stop
    return before + stop * math.ceil(epochs / EVALUATE)


def _resident(more: int) -> int:
    """Memory of this process now, and more."""
    import psutil

    return int(psutil.Process().memory_info().rss) + more
