"""One reader, many viewers: pushes, reconnections, and what happens when the run or file goes."""

import asyncio
import json
import time

import pytest
import web_studies as world

from attain.core.types import Draft
from attain.runtime.ledger import SqliteLedger
from attain.runtime.live import LiveFile
from attain.web import hub as hubs
from attain.web.hub import Hub


def events(text):
    """The parts of a stream that have data."""
    found = []
    for part in text:
        lines = dict(line.split(": ", 1) for line in part.strip().split("\n") if ": " in line)
        if "data" in lines:
            found.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return found


async def follow(hub, seen, until, seen_id=""):
    """Keep what a viewer gets until something holds."""
    async for part in hub.follow(seen_id):
        seen.append(part)
        if until(seen):
            return


@pytest.fixture
def quick(monkeypatch):
    """Looks follow each other at once."""
    monkeypatch.setattr(hubs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(hubs, "PULSE_SECONDS", 0.02)


def test_every_viewer_hears_of_a_record(tmp_path, quick):
    """Ten viewers get the state at once and again after an append; the ledger is read once."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.append([Draft(r.step, r.kind, dict(r.payload), r.parents) for r in world.searching(3)])

    async def main():
        hub = Hub(tmp_path)
        reader = asyncio.create_task(hub.run())
        viewers = [[] for _ in range(10)]

        def done(seen):
            last = events(seen)
            return bool(last) and last[-1][2]["counts"]["trials"] > known

        known = 0
        await asyncio.gather(*(follow(hub, seen, done) for seen in viewers))
        known = hub.index.order.__len__()
        late = [asyncio.create_task(follow(hub, seen, done)) for seen in viewers]
        await asyncio.sleep(0.1)
        bites = []
        original = hub._tail.bite
        hub._tail.bite = lambda **k: bites.append(original(**k)) or bites[-1]
        trial = next(r for r in world.searching(5) if r.kind == "trial")
        payload = {"trial": {**dict(trial.payload["trial"]), "id": "t0777"}}
        await asyncio.to_thread(ledger.append, [Draft("strategy", "trial", payload)])
        await asyncio.gather(*late)
        assert sum(len(b.records) for b in bites) == 1
        assert all(events(seen)[-1][2]["running"][-1]["id"] == "t0777" for seen in viewers)
        assert hub.viewers == 0
        await hub.close()
        await reader

    asyncio.run(asyncio.wait_for(main(), 60))
    ledger.close()


def test_a_viewer_that_comes_back_gets_only_what_is_new(tmp_path, quick, monkeypatch):
    """With the id of the last event nothing is sent twice; with any other, the state is."""
    monkeypatch.setattr(hubs, "ALIVE_SECONDS", 0.05)
    world.finished(tmp_path)

    async def main():
        hub = Hub(tmp_path)
        while not hub._caught_up:
            hub.look()
        first, same, other = [], [], []
        await follow(hub, first, lambda seen: bool(events(seen)))
        mark = events(first)[-1][0]
        await follow(hub, same, lambda seen: len(seen) > 3, mark)
        await follow(hub, other, lambda seen: bool(events(seen)), "some-other-1")
        assert events(same) == []
        assert ": still here" in same[-1]
        assert events(other)[-1][0] == mark
        await hub.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_slow_viewer_misses_the_middle_not_the_end(tmp_path, quick):
    """States are not queued: whoever is slow gets the newest one, and nobody's memory grows."""
    world.finished(tmp_path)

    async def main():
        hub = Hub(tmp_path)
        while not hub._caught_up:
            hub.look()
        stream = hub.follow()
        got = [await anext(stream), await anext(stream)]
        for _ in range(50):
            hub._compose()
        got.append(await anext(stream))
        assert len(events(got)) == 2
        assert events(got)[-1][0] == hub._mark()
        await stream.aclose()
        assert hub.viewers == 0

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_end_lets_viewers_go(tmp_path, quick):
    """When the dashboard is stopped no stream keeps it from ending."""
    world.finished(tmp_path)

    async def main():
        hub = Hub(tmp_path)
        reader = asyncio.create_task(hub.run())
        viewers = [asyncio.create_task(follow(hub, [], lambda seen: False)) for _ in range(3)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await hub.close()
        await asyncio.gather(reader, *viewers)
        assert time.monotonic() - began < 5

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_runs_is_shown_from_the_live_file(tmp_path):
    """A curve under way reaches viewers before the ledger knows of it."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    records = world.searching(3)
    ledger.append([Draft(r.step, r.kind, dict(r.payload), r.parents) for r in records])
    hub = Hub(tmp_path)
    while not hub._caught_up:
        hub.look()
    live = LiveFile(tmp_path)
    live.look("t0099-f0", {"step": 1, "values": {"stop": 0.5}})
    live.look("t0099-f0", {"step": 2, "values": {"stop": 0.4}})
    live.doing("reading texts")
    live.write(now=10.0)
    assert hub.look()
    found = json.loads(hub.state())
    curve = {"fold": 0, "running": True, "points": [[1.0, 0.5], [2.0, 0.4]]}
    assert found["running"][0]["curves"][-1] == curve
    assert found["doing"] == "reading texts"
    assert found["pulse"]["state"] == "running"
    ledger.close()


def test_a_removed_study_is_told_and_a_new_one_is_read(tmp_path):
    """The dashboard outlives its ledger: it says what is wrong, and goes on when it is back."""
    world.finished(tmp_path)
    hub = Hub(tmp_path)
    while not hub._caught_up:
        hub.look()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    assert hub.look()
    assert "no ledger" in json.loads(hub.state())["trouble"]
    assert not hub.look()
    world.write(tmp_path, world.searching(4))
    while not hub._caught_up:
        hub.look()
    found = json.loads(hub.state())
    assert found["trouble"] == ""
    assert found["counts"]["scored"] == 4


def test_outcomes_of_open_trials_are_known_after_opening(tmp_path):
    """A dashboard that is opened late knows the finished fits of trials still under way."""
    records = world.searching(4)
    outcome = next(r for r in records if r.kind == "outcome")
    payload = {"outcome": {**dict(outcome.payload["outcome"]), "trial": "t0099", "fold": 1}}
    world.write(tmp_path, [*records, type(outcome)(99, "train", "outcome", payload, (), 0.0)])
    hub = Hub(tmp_path)
    while not hub._caught_up:
        hub.look()
    assert json.loads(hub.state())["running"][0]["done"] == 1


def test_a_large_ledger_is_shown_while_it_is_read(tmp_path):
    """The first look at 20,000 trials ends at once, and says how far the reading is."""
    world.many(tmp_path, 20_000)
    hub = Hub(tmp_path)
    began = time.process_time()
    hub.look()
    assert time.process_time() - began < 1.5
    found = json.loads(hub.state())
    assert found["reading"]
    assert 0 < found["read"]["records"] < found["read"]["total"]
    while not hub._caught_up:
        hub.look()
    assert not json.loads(hub.state())["reading"]


def test_a_study_opened_late_looks_as_if_it_had_been_watched(tmp_path):
    """Outcomes that are not read on opening change nothing of what the steps say."""
    records = world.searching(8)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    watched = Hub(tmp_path)
    for record in records:
        ledger.append([Draft(record.step, record.kind, dict(record.payload), record.parents)])
        watched.look()
    ledger.close()
    late = Hub(tmp_path)
    while not late._caught_up:
        late.look()
    watched._pulse_at = 0.0
    watched.look()
    one, other = json.loads(watched.state()), json.loads(late.state())
    for key in ("steps", "goals", "alerts", "decisions", "counts", "metrics", "running"):
        assert one[key] == other[key], key
