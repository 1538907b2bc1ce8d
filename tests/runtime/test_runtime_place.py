"""A place on a node of a cluster, without a cluster."""

from __future__ import annotations

import pickle
import time

import pytest
from runtime_tools import job

from attain.core.types import Status
from attain.runtime import place
from attain.runtime.mirror import needs


class Here(place.Place):
    """A place in this process."""

    def get(self, ref):
        return ref

    def here(self):
        return "place", "node"


@pytest.mark.parametrize("orphaned", [False, True])
def test_a_worker_that_went_down_with_its_node_is_not_told_as_killed(monkeypatch, orphaned):
    """Ray may end it before the place itself: the job would count as failed, not as lost."""
    made = Here(1, None, [], True)
    try:
        asked = job("t1", "kill_itself")
        parts = {name: pickle.dumps(value) for name, value in asked.payload.items()}
        made.run(place.Parcel(asked, parts, {}, needs(asked.payload)), "token")
        if orphaned:
            monkeypatch.setattr(place.os, "getppid", lambda: -1)
        ended, until = [], time.monotonic() + (5 if orphaned else 60)
        while not ended and time.monotonic() < until:
            told, _ = made.poll(0.2)
            ended += [event.status for event, _, _ in told if event.kind == "ended"]
        assert ended == ([] if orphaned else [Status.KILLED])
    finally:
        made.close()
