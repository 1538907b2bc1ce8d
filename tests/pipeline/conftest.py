"""A small study that runs in this process within a second or two."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pipeline_small import FAKE, inline, table

from attain.core.protocols import Subject
from attain.core.types import Finding
from attain.data import audit as auditing
from attain.pipeline import final_jobs, prepare
from attain.pipeline import run as running
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec, make_spec
from attain.runtime import schema
from attain.sealed import latency


@pytest.fixture(autouse=True)
def _short_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process latency is measured for a moment only."""
    monkeypatch.setattr(final_jobs, "LATENCY_SECONDS", 0.05)
    monkeypatch.setattr(latency, "_no_collection", nullcontext)  # a test run's heap is large


_AUDITS: dict[tuple[object, ...], tuple[Finding, ...]] = {}


@pytest.fixture(autouse=True)
def _audits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these studies are of the same rows: what the audit says of them is asked for once."""
    audit = prepare.audit

    def look(subject: Subject, *, ignore: Sequence[str] = ()) -> tuple[Finding, ...]:
        rows = tuple(pd.util.hash_pandas_object(subject.frame, index=False))
        told = (repr(subject.dataset), repr(subject.sealed), subject.seed, subject.deep)
        key = (rows, *told, tuple(ignore))
        if key not in _AUDITS:
            _AUDITS[key] = tuple(audit(subject, ignore=ignore))
        return _AUDITS[key]

    monkeypatch.setattr(prepare, "audit", look)
    # what findings cost is measured by quick models, a third of such a study's time: see tests/data
    monkeypatch.setattr(auditing, "measured", lambda _, findings: findings)


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loss of power would take is not tested in this process; killed ones sync as ever."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(schema, "connect", partial(schema.connect, synchronous="OFF"))


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., StudySpec]:
    """Makes the statement of a small study; keywords change it."""

    def make(**changes: Any) -> StudySpec:
        path = tmp_path / "table.csv"
        if not path.exists():
            table().to_csv(path, index=False)
        stated = {
            "data": str(path),
            "target": "label",
            "objectives": ["roc_auc >= 0.7", "maximize accuracy"],
            "learners": [FAKE],
            "budget": "6 trials",
            "folds": 3,
            "repeats": 1,
            "workers": 1,
            "output": str(tmp_path / "study"),
        }
        return make_spec({**stated, **changes})

    return make


@pytest.fixture
def run(spec: Callable[..., StudySpec]) -> Callable[..., Result]:
    """Runs a small study in this process."""

    def start(listen: Any = None, **changes: Any) -> Result:
        return running.run(spec(**changes), listen=listen, executors=inline)

    return start
