"""Where a study runs and where its records are: stated, found again, and never mixed up."""

from __future__ import annotations

import json

import pytest
from pipeline_small import inline

from attain.core.errors import LedgerError, SpecError
from attain.pipeline import api, places
from attain.pipeline import run as running
from attain.pipeline.asktell import Optimizer
from attain.pipeline.doctor import doctor
from attain.pipeline.limits import ray_address
from attain.pipeline.spec import make_spec
from attain.runtime.address import FILE, POINTER, pointer
from attain.runtime.ledger import SqliteLedger
from attain.runtime.postgres import PostgresLedger

NEEDED = {"data": "x.csv", "target": "y"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("executor", "rya", "must be local, ray, or ray:ADDRESS"),
        ("executor", 3, "must be local, ray, or ray:ADDRESS"),
        ("ledger", "study/ledger.db", "must be the URL of a PostgreSQL database"),
        ("ledger", "postgresql://h:port/x", "must be the URL of a PostgreSQL database"),
        ("trial_gpus", -1, "must be a number of GPUs from 0"),
        ("trial_gpus", 1, "GPUs are reserved by a cluster only .*executor: ray"),
        ("trial_cpus", 0, "must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused(key, value, message):
    """Each key says what it takes."""
    with pytest.raises(SpecError, match=message):
        make_spec({**NEEDED, key: value})


@pytest.mark.parametrize(
    ("executor", "address"),
    [
        ("local", ""),
        ("ray", ""),
        ("ray:10.0.0.1:6379", "10.0.0.1:6379"),
        ("ray://h:1", "ray://h:1"),
    ],
)
def test_an_executor_names_a_cluster(executor, address):
    """The address is what stands behind ray:, a client's address as a whole."""
    assert make_spec({**NEEDED, "executor": executor}).executor == executor
    assert ray_address(executor) == address


def test_cpus_of_a_trial_are_threads_of_a_worker(monkeypatch):
    """Fewer workers of more threads; never more workers than cores allow."""
    monkeypatch.setattr(places, "_cores", lambda: 6)
    found = {c: places.resources(make_spec({**NEEDED, "trial_cpus": c})) for c in (1, 2, 4, 8)}
    assert found == {1: (6, 1), 2: (3, 2), 4: (1, 6), 8: (1, 8)}


def test_records_in_a_database(server, spec):
    """The whole study is in the database; the folder says where, and every reader finds it there.

    No password is kept, in the folder or in the records. It goes on where it began: found by its
    folder without being named, and refused in another place or folder.
    """
    url = server.url.replace("attain@", "attain:secret@") + "#mine"
    small = {"budget": "1 trials", "folds": 1, "rigor": "quick"}
    stated = spec(ledger=url, **small)
    result = running.run(stated, executors=inline)
    assert not (stated.folder / FILE).exists()
    assert "secret" not in (stated.folder / POINTER).read_text()
    assert pointer(stated.folder).study == "mine"
    ledger = PostgresLedger(server.url, "mine", read_only=True)
    records = ledger.read()
    ledger.close()
    assert len(records) == len(result.records)
    assert records[-1].kind == "ended"
    assert "secret" not in json.dumps([dict(r.payload) for r in records])
    assert api.study_folder(stated.folder) == stated.folder
    found = {d.name: d for d in doctor(stated.folder)}
    assert found["ledger"].ok
    assert "#mine" in found["ledger"].text
    assert "secret" not in found["ledger"].text
    again = running.open_study(spec(**small), None)
    assert [r.id for r in again.records] == [r.id for r in records]
    again.close()
    with pytest.raises(SpecError, match=r"goes on where it began .*#mine"):
        places.open_ledger(spec(ledger=f"{server.url}#other", **small))
    elsewhere = spec(ledger=url, output="elsewhere", **small)
    with pytest.raises(SpecError, match="goes on in the folder that it began in"):
        places.open_ledger(elsewhere)


def test_a_study_in_a_file_stays_there(server, spec):
    """One that began in its folder is not begun anew in a database."""
    running.open_study(spec(), None).close()
    with pytest.raises(SpecError, match="a study goes on where it began"):
        places.open_ledger(spec(ledger=server.url))


def test_a_statement_that_changes_before_the_first_trial_begins_anew(server, spec):
    """In a database under a new name, for a log is never emptied."""
    first = spec(ledger=server.url, objectives=["roc_auc >= 0.7"])
    running.open_study(first, None).close()
    before = pointer(first.folder).study
    study = running.open_study(spec(ledger=server.url, objectives=["accuracy >= 0.7"]), None)
    assert [r.kind for r in study.records] == ["study"]
    study.close()
    assert pointer(first.folder).study != before


def test_an_optimizer_in_a_database(server):
    """Asked and told in one process, gone on with in another; a second one at a time is refused."""
    place = f"{server.url}#optimizer"
    space = {"x": (0.0, 1.0)}
    with Optimizer(space, strategy="random", ledger=place) as first:
        for _ in range(3):
            trial = first.ask()
            first.tell(trial, trial.config["x"])
        with pytest.raises(LedgerError, match="one study has one writer"):
            Optimizer(space, strategy="random", ledger=place)
        known = first.trials
    with Optimizer(space, strategy="random", ledger=place) as second:
        assert second.trials == known
        learnt = Optimizer(space, from_study=place)
    assert learnt.ask().origin == "earlier"


def test_postgres_and_sqlite_hold_the_same_rows(server, tmp_path):
    """Payloads are the same text in both, so that a study can be moved row by row."""
    from attain.core.types import Draft

    drafts = [Draft("train", "outcome", {"x": [1.5, None, "é\x00"]}), Draft("a", "b", {}, (1,))]
    one = SqliteLedger(tmp_path / "ledger.db")
    two = PostgresLedger(server.url, "same-rows")
    found = [[(r.id, r.step, r.kind, r.payload, r.parents) for r in each.append(drafts)]
             for each in (one, two)]  # fmt: skip
    assert found[0] == found[1]
    one.close()
    two.close()
