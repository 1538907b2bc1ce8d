"""The index of a study, its table and the numbers behind its charts, small and very large."""

import json
import time
from dataclasses import replace

import pytest
import web_studies as world

from attain.pipeline.spec import Budget
from attain.pipeline.study import Study
from attain.web import series, state, table
from attain.web.hub import Hub
from attain.web.index import Index
from attain.web.pulse import Pulse
from attain.web.table import Query

RUNNING = Pulse("running", "running as process 1", beat=1.0, epoch=1)
IDLE = {"doing": "", "curves": {}}
LARGE = 100_000


def indexed(records):
    index = Index()
    for record in records:
        index.add(record)
    assert index.bad == []
    return index


@pytest.fixture(scope="module")
def small():
    return indexed(world.searching(20))


@pytest.fixture(scope="module")
def large(large_folder):
    """An index of 100,000 trials, read from a ledger."""
    hub = Hub(large_folder)
    while not hub._caught_up:
        hub.look()
    hub._forget()
    return hub.index


def test_the_best_so_far_only_improves(small):
    """Each step of the best has a smaller loss, and the last is the smallest of all."""
    losses = [t.loss for t in small.best]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == len(losses)
    assert losses[-1] == min(t.loss for t in small.order if t.place and t.loss is not None)


def test_the_same_records_give_the_same_index():
    """Nothing depends on when or in which bites the records come."""
    a, b = indexed(world.searching(20)), indexed(world.searching(20))
    one, other = (state.overview(i, RUNNING, IDLE, 0) for i in (a, b))
    assert one == other
    assert table.page(a, ("roc_auc",), Query()) == table.page(b, ("roc_auc",), Query())


@pytest.mark.parametrize("key", ["id", "learner", "status", "round", "loss", "seconds"])
@pytest.mark.parametrize("down", [True, False])
def test_each_column_sorts_in_both_directions(small, key, down):
    """Values are in order and rows without one come last, whichever the direction."""
    size, read = 200, table._KEYS[key]
    found = table.page(small, (), Query(sort=key, down=down, size=size))["rows"]
    values = [read(small.trials[row["id"]]) for row in found]
    known = [v for v in values if v is not None]
    assert values == known + [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=down)
    assert len(found) == len(small.order)


def test_a_metric_sorts(small):
    """Also the columns of scores can be sorted, by the estimate."""
    found = table.page(small, (), Query(sort="metric:roc_auc", down=True, size=5))["rows"]
    best = [small.trials[row["id"]].values["roc_auc"][0] for row in found]
    every = [t.values["roc_auc"][0] for t in small.order if "roc_auc" in t.values]
    assert best == sorted(every, reverse=True)[:5]


def test_pages_cover_the_table_once(small):
    """All pages together are the table; a page past the end is the last one."""
    first = table.page(small, (), Query(size=7))
    pages = [table.page(small, (), Query(size=7, page=k)) for k in range(first["pages"])]
    ids = [row["id"] for page in pages for row in page["rows"]]
    assert sorted(ids) == sorted(small.trials)
    assert table.page(small, (), Query(size=7, page=999))["page"] == first["pages"] - 1


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        (Query(learner="linear"), lambda t: t.learner == "linear"),
        (Query(status="running"), lambda t: t.status == "running"),
        (Query(purpose="baseline"), lambda t: t.purpose == "baseline"),
        (Query(text="t0003"), lambda t: t.id == "t0003"),
        (Query(text="nothing has this"), lambda t: False),
    ],
)
def test_each_filter_keeps_what_fits(small, query, fits):
    """A filter keeps all rows that fit and no others, and the counts say so."""
    found = table.page(small, (), Query(**{**vars(query), "size": 200}))
    kept = {row["id"] for row in found["rows"]}
    assert kept == {t.id for t in small.order if fits(t)}
    assert (found["total"], found["all"]) == (len(kept), len(small.order))


@pytest.mark.parametrize("size", ["0", "-3", "9999", "x", "1e3", ""])
def test_a_query_takes_no_unusable_number(size):
    """A page has between 1 and 200 rows, whatever a browser says."""
    found = Query.parse({"size": size, "page": size, "text": "x" * 999})
    assert 1 <= found.size <= 200
    assert found.page >= 0
    assert len(found.text) <= 100


def test_the_overview_is_plain_json(small):
    """The state has a JSON form without NaN, and says where the run is."""
    found = state.overview(small, RUNNING, IDLE, small.last)
    text = json.dumps(found, allow_nan=False)
    assert len(text) < 60_000
    steps = {s["name"]: s["state"] for s in found["steps"]}
    assert steps["strategy"] == "done"
    assert steps["train"] == "active"
    assert steps["test"] == "waiting"
    assert [t["id"] for t in found["running"]] == ["t0099"]
    assert found["goals"][0]["state"] in ("not yet", "reached", "reached, unproven")
    assert found["spent"]["trials"] == 20
    assert found["decisions"]


@pytest.mark.parametrize("until", ["choice", "verdict", "ended"])
def test_the_budget_is_spent_as_the_run_counts_it(tmp_path, until):
    """Pauses and all that comes after the choice are counted by neither page nor run."""
    records = []
    for record in world.studies.complete():
        if record.kind == "scored" and record.payload["trial"] == "t0020":
            records.append((record.kind, record, 40.0))
            records.append(
                ("resumed", replace(record, kind="resumed", payload={"reason": ""}), 900)
            )
        else:
            records.append((record.kind, record, 1.0))
        if record.kind == until:
            break
    at, ledger = 0.0, []
    for number, (_, record, gap) in enumerate(records, 1):
        at += gap
        ledger.append(replace(record, id=number, at=at, parents=()))
    index = Index()
    for record in ledger:
        index.add(record)
    run = Study(tmp_path, Reading(ledger), seed=0, budget=Budget(42, 30.0))
    found = state.spent(index, RUNNING)
    assert found["seconds"] == pytest.approx(run.used(), abs=0.1)
    assert found["seconds"] < 900
    assert (found["since"], found["left"]) == (None, None)


class Reading:
    """A ledger that is read."""

    def __init__(self, records):
        self.read = lambda: records


def test_each_state_of_an_objective_is_told(small):
    """Not yet, reached, and reached without the interval saying so are three things."""
    objective = series.objectives(small)[0]
    known = {"estimate": 0.9, "low": 0.88, "high": 0.92}
    targets = {0.95: "not yet", 0.89: "reached, unproven", 0.87: "reached", None: ""}
    for target, word in targets.items():
        assert state._reached(replace(objective, target=target), known) == word


def test_live_curves_belong_to_the_trial_under_way(small):
    """Points that a worker reported are drawn with their fold; those of other trials are not."""
    points = [{"step": k, "values": {"train": 1 / k, "stop": 2 / k}} for k in (1, 2, 3)]
    live = {"t0099-f2": points, "t0001-f0": points, "t0099-f3": "x", "t0099-fx": points, "": []}
    found = series.curves(small.trials["t0099"], live)
    expected = [[1.0, 2.0], [2.0, 1.0], [3.0, pytest.approx(2 / 3, abs=1e-5)]]
    assert found == [{"fold": 2, "running": True, "points": expected}]


def test_a_live_curve_is_of_one_loss(small):
    """Steps without a loss on rows set aside are not filled up with others' losses or rates."""
    points = [
        {"step": k, "values": {"train": 5.0, "lr": 0.1} | ({"stop": 2.0 / k} if k % 2 else {})}
        for k in (1, 2, 3, 4)
    ]
    found = series.curves(small.trials["t0099"], {"t0099-f0": points, "t0099-f1": points[1:2]})
    assert [c["points"] for c in found] == [
        [[1.0, 2.0], [3.0, pytest.approx(2 / 3, abs=1e-5)]],
        [[2.0, 5.0]],
    ]


def test_alerts_come_gravest_first(large):
    """A missing heartbeat, failures and findings are told; failures by kind with the last one."""
    dead = Pulse("died", "the run has died", missing=True)
    found = state.alerts(large, dead)
    levels = [a["level"] for a in found]
    assert levels == sorted(levels, key=lambda level: level != "bad")
    assert "has died" in found[0]["text"]
    assert any("2,000 timeout" in a["text"] for a in found)


def test_a_large_study_stays_small(large):
    """100,000 trials: each answer is quick and short, and the best are always drawn."""
    assert len(large.order) == LARGE + 1
    makers = {
        "page": lambda: table.page(large, ("roc_auc",), Query()),
        "last page": lambda: table.page(large, ("roc_auc",), Query(page=10**9)),
        "sorted": lambda: table.page(large, ("roc_auc",), Query(sort="metric:roc_auc")),
        "found": lambda: table.page(large, ("roc_auc",), Query(text="t099999")),
        "progress": lambda: series.progress(large),
        "parallel": lambda: series.parallel(large),
        "overview": lambda: state.overview(large, RUNNING, IDLE, 0),
    }
    for name, make in makers.items():
        began = time.process_time()
        text = json.dumps(make())
        assert time.process_time() - began < 2.0, name
        assert len(text) < 150_000, name
    lines = series.parallel(large)["lines"]
    best = [t for t in large.order if t.loss is not None and t.learner == large.best[-1].learner]
    best.sort(key=lambda t: t.loss)
    assert {t.id for t in best[:50]} <= {line[0] for line in lines}
    assert lines[-1][0] == best[0].id
    assert series.progress(large)["best"][-1][5] == large.best[-1].id


def test_stories_are_few(large):
    """However many decisions there were, only the newest are kept and told."""
    assert len(large.stories()) <= 60
