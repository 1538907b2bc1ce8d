"""The dashboard of a search over a function: trials, the best so far, the space, comparisons."""

import asyncio
import json

import pytest
import web_studies as world

from attain.pipeline.asktell import Optimizer
from attain.pipeline.minimize import minimize
from attain.runtime.ledger import SqliteLedger
from attain.web import series, state, table
from attain.web.app import make_app
from attain.web.gate import Gate
from attain.web.hub import Hub
from attain.web.index import Index
from attain.web.pulse import Pulse

SPACE = {
    "x": (-5.0, 10.0),
    "rate": {"low": 1e-5, "high": 0.1, "scale": "log"},
    "kind": ["a", "<b>"],
}
IDLE = {"doing": "", "curves": {}}
ENDED = Pulse("ended", "")
RUNNING = Pulse("running", "")


def bowl(config):
    """Fails for every configuration right of 8."""
    if config["x"] > 8:
        raise ValueError("too far to the right")
    return (config["x"] - 2) ** 2 + (config["kind"] == "a")


def indexed(folder):
    index = Index()
    ledger = SqliteLedger(folder / "ledger.db", read_only=True)
    for record in ledger.read():
        index.add(record)
    ledger.close()
    index.settle()
    return index


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of 25 trials and what it returned."""
    folder = tmp_path_factory.mktemp("function")
    result = minimize(bowl, SPACE, trials=25, seed=3, output=folder, progress=False)
    return folder, result


def test_trials_and_the_best_are_those_of_the_search(searched):
    """Every trial has its configuration, result and end; the leader is the one returned."""
    folder, result = searched
    index = indexed(folder)
    assert [t.id for t in index.order] == [t.id for t in result.trials]
    for entry, trial in zip(index.order, result.trials, strict=True):
        assert (entry.point, entry.status, entry.loss) == (trial.config, trial.status, trial.loss)
    assert index.best[-1].id == result.best.id
    losses = [t.loss for t in index.best]
    assert losses == sorted(losses, reverse=True)
    assert sum(index.failures.values()) == sum(not t.done for t in result.trials) > 0


def test_pruned_trials_have_not_failed(tmp_path):
    """They are behind, in the table and in the picture of the search."""

    def falling(config, report):
        for step in range(1, 10):
            if report((config["x"] - 2) ** 2 + 1 / step):
                break
        return (config["x"] - 2) ** 2 + 1 / 9

    more = {"trials": 20, "output": tmp_path, "progress": False, "pruner": "halving"}
    result = minimize(falling, {"x": (-5.0, 10.0)}, **more)
    pruned = [t.id for t in result.trials if t.status == "pruned"]
    index = indexed(tmp_path)
    assert [t.id for t in index.order if t.status == "pruned"] == pruned
    assert not index.failures
    drawn = series.progress(index)
    assert (drawn["raced_count"], drawn["failed_count"]) == (len(pruned), 0)


def test_the_overview_tells_goals_space_and_end(searched):
    """Goal, value, parameters and the reason of the end are there; nothing speaks of a seal."""
    folder, result = searched
    found = state.overview(indexed(folder), ENDED, IDLE, 0)
    json.dumps(found, allow_nan=False)
    assert found["title"] == "Minimize loss of bowl"
    assert [s["name"] for s in found["steps"]] == ["objectives", "parameters", "strategy", "trials"]
    assert {s["state"] for s in found["steps"]} == {"done"}
    assert found["goals"][0]["estimate"] == pytest.approx(result.loss)
    assert found["goals"][0]["interval"] == ""
    assert len(found["space"]) == 3
    assert found["space"][1].startswith("rate")
    assert found["verdict"]["title"] == "The search has ended"
    assert result.reason.rstrip(".").lower() in found["verdict"]["text"].lower()
    assert found["actions"] == {}
    assert "seal" not in json.dumps(found["steps"])
    titles = [d["title"] for d in found["decisions"]]
    assert {"Goals", "Strategy", "End"} <= set(titles)


def test_charts_and_table_have_every_trial(searched):
    """The progress chart, the parallel coordinates on a log axis and the table know them all."""
    folder, result = searched
    index = indexed(folder)
    done = sum(t.done for t in result.trials)
    drawn = series.progress(index)
    assert (drawn["known"], drawn["failed_count"]) == (done, len(result.trials) - done)
    lines = series.parallel(index)
    assert lines["total"] == done
    assert {a["title"]: a.get("log") for a in lines["axes"]}["rate"] is True
    page = table.page(index, series.metrics(index), table.Query(sort="loss", down=False))
    assert page["rows"][0]["id"] == result.best.id
    assert page["rows"][0]["values"][0][1] == ""


def test_a_continued_search_is_under_way_again(searched, tmp_path):
    """A second call takes the end back until it ends itself; the pause is not counted."""
    minimize(bowl, SPACE, trials=5, seed=3, output=tmp_path, progress=False)
    ledger = SqliteLedger(tmp_path / "ledger.db", read_only=True)
    records = ledger.read()
    ledger.close()
    index = Index()
    for record in records:
        index.add(record)
    again = next(r for r in records if r.kind == "began")
    last = records[-1]
    index.add(type(again)(last.id + 1, "study", "began", again.payload, (), last.at + 3600))
    assert state.overview(index, RUNNING, IDLE, 0)["verdict"] is None
    assert state.spent(index, RUNNING)["seconds"] < 600


def test_several_goals_and_lost_trials(tmp_path):
    """With two goals losses are as the optimizer has them now; a lost trial comes back."""
    optimizer = Optimizer(
        {"x": (0.0, 1.0)}, goals=["minimize a", "maximize b"], ledger=tmp_path / "ledger.db", seed=1
    )
    for value in (0.1, 0.9, 0.4):
        trial = optimizer.ask()
        optimizer.tell(trial, {"a": value, "b": value**2})
    trial = optimizer.ask()
    optimizer.lost(trial, "the machine went away")
    now = {t.id: t.loss for t in optimizer.trials}
    optimizer.close()
    index = indexed(tmp_path)
    assert {t.id: t.loss for t in index.order} == now
    assert index.order[-1].status == "lost"
    assert not index.open
    found = state.overview(index, ENDED, IDLE, 0)
    assert [g["metric"] for g in found["goals"]] == ["a", "b"]
    assert found["counts"]["trials"] == 4


def test_two_trials_are_compared_and_unknown_ones_refused(searched):
    """Settings and results stand side by side; the page says why there is no paired test."""
    folder, result = searched
    good = [t.id for t in result.trials if t.done][:2]

    async def story():
        hub = Hub(folder)
        while not hub._caught_up:
            hub.look()
        app = make_app(hub)
        gate = Gate(app, world.PORT)
        app.state.gate = gate
        cookie = await world.enter(gate)
        query = f"a={good[0]}&b={good[1]}"
        pair = await world.call(gate, path="/api/compare", headers=cookie, query=query)
        bad = await world.call(gate, path="/api/compare", headers=cookie, query="a=x&b=y")
        one = await world.call(gate, path=f"/api/trial/{good[0]}", headers=cookie)
        await hub.close()
        return pair, bad, one

    pair, bad, one = asyncio.run(story())
    assert pair.status == 200
    rows = {e["name"]: (e["a"], e["b"], e["differs"]) for e in pair.json()["settings"]}
    assert {"x", "rate", "kind", "result: loss"} <= rows.keys()
    assert rows["x"][2] == (rows["x"][0] != rows["x"][1])
    assert "nothing to test" in pair.json()["note"]
    assert (bad.status, "ended" in bad.json()["error"]) == (422, True)
    assert one.json()["config"][0][0] == "x"
