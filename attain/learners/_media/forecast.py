"""What each rung will cost and what the model will see, found out on a few rows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from attain.core.protocols import FitData
from attain.core.types import Forecast, RungForecast
from attain.learners._media import parameters, rungs
from attain.learners._media.columns import MediaColumns
from attain.learners._media.core import features
from attain.learners._media.front import Front
from attain.learners._pretrained.forecast import (
    Asked,
    Case,
    Costs,
    Measure,
    head_seconds,
    labels,
    resident,
    stop_share,
    taken,
    tuned,
)
from attain.learners._pretrained.lesson import Lesson, empty_head, quiet
from attain.learners._pretrained.outputs import find_outputs

_READ = 8
"""Files that are read to time it."""
_SUMMED = 64


def forecast(
    kind: str, asked: Asked, data: FitData, columns: MediaColumns, inputs: tuple[list[str], ...]
) -> Forecast:
    """What each rung costs, and what the model will see.

    Args:
        kind: ``image`` or ``audio``.
        asked: The learner's space for these rows, and what is wanted of it.
        data: Training rows, rows to stop on, folder of what is kept between fits.
        columns: Where the files are.
        inputs: Of the training rows.

    Returns:
        All rungs that are wanted, those that are held back included.
    """
    outputs = find_outputs(data.dataset, np.asarray(data.train.y))
    case = Case(asked.space, data, Lesson.of({}, data, columns, inputs, outputs))
    facts: dict[str, Any] = {"files": case.rows, **labels(data, outputs)}
    plain = {parameters.PLAIN: lambda: _plain(kind, case)}
    if data.dataset.pretrained is None:
        return Forecast(asked.measured(plain), facts=facts)
    body = rungs.resident_body(data)
    front = rungs.find_front(kind, case.config(parameters.FROZEN), case.lesson, body)
    pace, head = _pace(case, front), head_seconds(case, body.hidden)
    facts |= rungs.seen(front)
    found: dict[str, Measure] = {
        **plain,
        parameters.FROZEN: lambda: _frozen(case, pace, head),
        parameters.LAST: lambda: _tuned(case, parameters.LAST, front, pace, head),
        parameters.FULL: lambda: _tuned(case, parameters.FULL, front, pace, head),
    }
    return Forecast(asked.measured(found), facts=facts)


def _plain(kind: str, case: Case) -> RungForecast:
    """A real fit on a sample."""
    config = case.config(parameters.PLAIN)
    drawn = case.sample(_SUMMED)
    part = taken(case, drawn)
    began = time.perf_counter()
    _, _, facts = rungs.fit_plain(kind, config, part.data, part.lesson, quiet)
    seconds = (time.perf_counter() - began) * case.rows / len(drawn)
    trained = int(facts["trained"])
    reason = f"from a fit on {len(drawn)} files"
    return RungForecast(parameters.PLAIN, trained, seconds, resident(trained * 120), reason)


def _frozen(case: Case, pace: float, head: float) -> RungForecast:
    """Reading all files once, and solving heads on features of the right shape."""
    width = rungs.resident_body(case.data).hidden
    read = pace * case.rows * (1 + stop_share(case))
    trained = (width + 1) * case.lesson.outputs.count
    reason = f"{read:.1f} s to read all files, once for the whole study, then {head:.1f} s"
    return RungForecast(
        parameters.FROZEN, trained, read + head, resident(case.rows * width * 12), reason
    )


def _tuned(case: Case, rung: str, front: Front, pace: float, head: float) -> RungForecast:
    """Steps on as many files as a batch has, for all of them cost the same."""
    config = case.config(rung)
    body = rungs.resident_body(case.data)
    few = _few(case.lesson, case.sample(int(config["batch"])))
    work = rungs.make_work(config, case.data, body, front, few)
    net, told = rungs.make_net(config, body, empty_head(body.hidden, case.lesson.outputs.count))
    start = pace * case.rows + head
    look = pace * case.rows * stop_share(case)
    return tuned(case, rung, net, work, told, body, Costs(look, start))


def _few(lesson: Lesson, index: np.ndarray) -> Lesson:
    """The same of some training rows, with none to stop on: no more files are decoded."""
    inputs = tuple([column[i] for i in index] for column in lesson.inputs)
    weights = None if lesson.weights is None else lesson.weights[index]
    return replace(
        lesson,
        inputs=inputs,
        targets=lesson.targets[index],
        weights=weights,
        stop=None,
        stop_targets=None,
    )


def _pace(case: Case, front: Front) -> float:
    """Seconds for reading a file without learning."""
    body = rungs.resident_body(case.data)
    cells = [case.lesson.inputs[0][i] for i in case.sample(_READ)]
    features(body, front, cells[:1], None, case.data.threads)  # the first call is slow
    began = time.perf_counter()
    features(body, front, cells, None, case.data.threads)
    return (time.perf_counter() - began) / len(cells)
