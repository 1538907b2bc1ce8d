"""Before the search: what fits will cost, asked of learners that can say it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from attain.core.codec import decode, encode
from attain.core.errors import Interrupted
from attain.core.protocols import Event, Executor, Forecasting, Job, Limits
from attain.core.registry import find
from attain.core.seeds import derive
from attain.core.space import Space
from attain.core.types import Dataset, Forecast, Split, Status
from attain.pipeline.study import Study

JOB = "attain.pipeline.forecast_jobs:forecast"
LEAST_SECONDS = 600.0  # that one forecast may take: it comes before the budget's clock starts

MakeExecutor = Callable[[], Executor]
"""Makes a place with one worker."""


def forecasts(
    study: Study,
    dataset: Dataset,
    split: Split,
    spaces: Mapping[str, Space],
    place: tuple[MakeExecutor, Limits] | None,
) -> dict[str, Forecast]:
    """What fits of each learner cost, asked once per study in a worker process.

    A forecast that fails costs the study nothing but the forecast: the record says why.

    Args:
        study: Where the record goes; none is written when no learner can forecast.
        dataset: What is known of the rows.
        split: Of the search; the forecast is of fits on its first fold.
        spaces: By learner, of those that may be searched; rungs that are in none are left out.
        place: Where to ask, and the limits of a fit; None to read the record only.

    Returns:
        By learner, without those that failed.

    Raises:
        Interrupted: When asked to stop meanwhile.
    """
    able = [name for name in spaces if isinstance(find("learner", name)(), Forecasting)]
    if study.last("forecast") is None:
        if not able or place is None:
            return {}
        asked = {name: spaces[name] for name in able}
        study.write("parameters", "forecast", _asked(study, dataset, split, asked, *place))
    found = study.last("forecast")
    assert found is not None
    return decode(dict[str, Forecast], found.payload["forecasts"])


def _asked(
    study: Study,
    dataset: Dataset,
    split: Split,
    spaces: Mapping[str, Space],
    make: MakeExecutor,
    limits: Limits,
) -> dict[str, Any]:
    began = time.monotonic()
    found, failed = {}, {}
    limits = _patient(limits)
    with closing(make()) as executor:
        for name, space in spaces.items():
            study.say(f"measuring what fits of {name} cost", "parameters")
            payload = {
                "folder": str(study.folder),
                "dataset": encode(dataset),
                "learner": name,
                "space": encode(space),
                "split": encode(split),
                "seed": derive(study.seed, "forecast"),
                "threads": limits.threads,
                "memory": limits.bytes,
            }
            event = _run(study, executor, Job(f"forecast-{name}", JOB, payload, limits))
            if event.status is Status.DONE:
                found[name] = event.value["forecast"]
            else:
                failed[name] = f"{event.status}: {event.message}"
    return {"forecasts": found, "failed": failed, "seconds": time.monotonic() - began}


def _patient(limits: Limits) -> Limits:
    """Those of a fit, but for a hang that half of a short budget makes of a slow machine."""
    if limits.seconds is None:
        return limits
    return replace(limits, seconds=max(limits.seconds, LEAST_SECONDS))


def _run(study: Study, executor: Executor, job: Job) -> Event:
    executor.submit(job)
    while True:
        if study.stopping:
            raise Interrupted("stopped on request — run the same command to go on")
        for event in executor.events(0.2):
            if event.job == job.id and event.kind == "ended":
                return event
        study.tell("tick", running=1)


def spread(forecasts: Mapping[str, Forecast]) -> float:
    """How many times as long a fit on the dearest usable rung takes as on the cheapest.

    Args:
        forecasts: By learner.

    Returns:
        The largest ratio among learners; 1 without forecasts.
    """
    ratios = [1.0]
    for forecast in forecasts.values():
        seconds = [rung.seconds for rung in forecast.rungs if rung.usable and rung.seconds > 0]
        ratios += [max(seconds) / min(seconds)] if seconds else []
    return max(ratios)
