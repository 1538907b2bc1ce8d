"""What a worker runs before the search: a learner says what its fits will cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attain.core.codec import decode, encode
from attain.core.protocols import Forecasting
from attain.core.registry import find
from attain.core.space import Space
from attain.core.types import Dataset
from attain.pipeline.jobs import Progress, all_folds, fit_data, work_rows


def forecast(payload: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """What fits of one learner cost on the rows of one fold.

    Args:
        payload: ``folder``, ``dataset``, ``learner``, its ``space`` as the user has narrowed it,
            ``split``, ``seed``, ``threads``, ``memory``.
        progress: Not used.

    Returns:
        ``forecast`` (an encoded `core.types.Forecast`) and ``seconds`` that it took.
    """
    began = time.perf_counter()
    dataset = decode(Dataset, payload["dataset"])
    rows = work_rows(payload["folder"], dataset)
    fold = all_folds(payload["folder"], payload["split"], dataset)[0]
    learner: Forecasting = find("learner", payload["learner"])()
    data = fit_data(learner, payload, dataset, rows, fold.train)
    found = learner.forecast(data, decode(Space, payload["space"]))
    return {"forecast": encode(found), "seconds": time.perf_counter() - began}
