"""``attain doctor STUDY`` finds what can happen to a study, and says what to do."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from contextlib import closing

import pytest

from attain.core.types import Draft
from attain.pipeline import doctor as module
from attain.pipeline.doctor import doctor
from attain.runtime import lease
from attain.runtime.address import FILE
from attain.runtime.ledger import SqliteLedger
from attain.testing.fakes import SimulatedClock


@pytest.fixture
def folder(tmp_path):
    ledger = SqliteLedger(tmp_path / FILE)
    ledger.append([Draft("train", "outcome", {"outcome": {"predictions": ""}}) for _ in range(300)])
    ledger.close()
    return tmp_path


def looked_at(folder):
    return {d.name: d for d in doctor(folder)}


def test_a_sound_study(folder):
    """Nothing is wrong, and nothing is said of a clock or a disk."""
    found = looked_at(folder)
    assert found["ledger"].ok
    assert "300 records" in found["ledger"].text
    assert not {"writable", "clock", "trials"} & set(found)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_torn_tail(folder, share):
    """A file that lost its end with the power is named, with what to do."""
    path = folder / FILE
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    found = looked_at(folder)["ledger"]
    assert not found.ok
    assert "restore it from a copy" in found.text


def test_a_torn_log_is_repaired(folder, monkeypatch):
    """What SQLite's log had not completed is dropped, whole transactions stay: sound at any cut.

    A commit is in the log before it is acknowledged; a cut within a later one costs that one alone.
    """
    lives = map(str, itertools.count())  # each writer of this test has died with its machine
    monkeypatch.setattr(lease, "process_start", lambda pid: next(lives))
    path, log = folder / FILE, folder / f"{FILE}-wal"
    keeper = SqliteLedger(path)
    for number in range(5):
        keeper.append([Draft("a", "b", {"n": number})])
    whole, content = path.read_bytes(), log.read_bytes()
    keeper.close()
    for cut in range(0, len(content), max(1, len(content) // 11)):
        for side in folder.glob(f"{FILE}-*"):
            side.unlink()
        path.write_bytes(whole)
        log.write_bytes(content[:cut])
        ledger = SqliteLedger(path)
        kept = [r.payload for r in ledger.read() if r.kind == "b"]
        assert kept == [{"n": n} for n in range(len(kept))]
        ledger.append([Draft("a", "b", {"n": "after"})])
        ledger.close()
        assert looked_at(folder)["ledger"].ok


def test_a_locked_file(folder, monkeypatch):
    """Another program that holds the file is no damage for a reader of a log in WAL."""
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert looked_at(folder)["ledger"].ok


def test_a_newer_and_a_foreign_ledger(folder):
    """A newer attain's is not touched; the remedy is an upgrade."""
    with closing(sqlite3.connect(folder / FILE)) as other:
        other.execute("PRAGMA user_version = 99")
        other.commit()
    found = looked_at(folder)["ledger"]
    assert not found.ok
    assert "upgrade it: pip install --upgrade attain" in found.text


def test_a_disk_that_only_reads(folder, monkeypatch):
    """A study that looks sound but cannot go on is said before it is run."""

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = looked_at(folder)["writable"]
    assert not found.ok
    assert "Read-only file system" in found.text
    assert "remount" in found.remedy


def test_a_clock_that_was_set_back(folder):
    """Records from the future are said; their order is kept and appends go on."""
    path = folder / FILE
    ahead = SimulatedClock(module.time.time() + 7200)
    ledger = SqliteLedger(path, clock=ahead)
    ledger.append([Draft("a", "b", {})])
    ledger.close()
    found = looked_at(folder)["clock"]
    assert not found.ok
    assert "120 minutes ahead" in found.text
    ledger = SqliteLedger(path)
    (later,) = ledger.append([Draft("a", "b", {})])
    assert later.at >= ledger.read()[-2].at
    ledger.close()


def test_predictions_that_are_gone(folder):
    """A study that could not be scored any more is found before it is gone on with."""
    ledger = SqliteLedger(folder / FILE)
    for name in ("trials/t0001-f0.npz", "trials/t0001-f1.npz"):
        ledger.append([Draft("train", "outcome", {"outcome": {"predictions": name}})])
    ledger.close()
    (folder / "trials").mkdir()
    (folder / "trials" / "t0001-f0.npz").touch()
    found = looked_at(folder)["trials"]
    assert not found.ok
    assert "1 of 2 files of predictions are missing: trials/t0001-f1.npz" in found.text
    (folder / "model").mkdir()
    assert "trials" not in looked_at(folder)  # it has ended and needs none


def test_a_note_that_cannot_be_read(folder):
    """A study whose records are in a database that nobody can name any more."""
    (folder / "ledger.json").write_text("[]")
    found = looked_at(folder)["ledger"]
    assert not found.ok
    assert "name the ledger with --ledger" in found.text
