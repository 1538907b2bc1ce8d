"""Whatever a trial does is a result with a status, a message and a log; the search goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import unruly

import attain
from attain.core.errors import SpecError
from attain.pipeline.function_search import Ahead

WANTED = {
    "well": ("done", ""),
    "raise": ("failed", "ValueError: on purpose"),
    "segfault": ("killed", "SIGSEGV"),
    "kill": ("killed", "SIGKILL"),
    "exit": ("killed", "sys.exit(4)"),
    "vanish": ("killed", "exit code 5"),
    "hang": ("timeout", "limit 20 s"),
    "hoard": ("memory", "limit 512 MiB"),
    "threads": ("killed", "threads, limit 1000"),
    "lock": ("failed", "a lock that cannot be sent back"),
    "flood": ("done", ""),
    "text": ("failed", "good"),
    "nothing": ("failed", "None"),
    "nan": ("failed", "nan"),
    "infinite": ("failed", "inf"),
}


@pytest.mark.slow
def test_every_kind_of_misconduct_is_recorded(tmp_path: Path) -> None:
    """Fifteen trials, twelve of them unruly, one try each: every one ends as it should.

    What it printed is in its log; a failure's message names the file.
    """
    result = attain.minimize(
        unruly.act,
        unruly.SPACE,
        strategy="grid",
        trials=len(unruly.HOWS),
        workers=2,
        trial_seconds=20,
        trial_memory_gb=0.5,
        output=tmp_path,
        progress=False,
    )
    found = {t.config["how"]: t for t in result.trials}
    assert set(found) == set(WANTED)
    for how, (status, words) in WANTED.items():
        trial = found[how]
        assert trial.status == status, trial
        assert words.lower() in trial.message.lower(), trial
        log = tmp_path / "logs" / f"{trial.id}.log"
        assert log.read_text(errors="replace").startswith(f"about to {how}")
        assert log.stat().st_size < 1.1 * 2**20
        if status in ("killed", "timeout", "memory"):
            assert str(log) in trial.message
    assert result.best is not None
    assert result.best.config["how"] in ("flood", "well")


def test_one_worker_with_a_limit_has_a_process_of_its_own(tmp_path: Path) -> None:
    """A limit moves trials out of this process, which alone can then enforce it."""
    space = {"how": ["well", "vanish"]}
    result = attain.minimize(
        unruly.act, space, strategy="grid", trials=2, trial_seconds=30, progress=False
    )
    assert {t.config["how"]: t.status for t in result.trials} == {
        "well": "done",
        "vanish": "killed",
    }
    assert os.getpid() > 0  # this process is still here


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("trial_seconds", 0, "trial_seconds: must be a finite number, above 0"),
        ("trial_memory_gb", float("inf"), "trial_memory_gb: must be a finite number"),
        ("executor", "rya", "executor: must be local, ray"),
        ("ledger", "here.db", "ledger: a ledger is the URL of a database"),
    ],
)
def test_senseless_arguments_are_refused(argument: str, value: object, message: str) -> None:
    """Each says what it takes."""
    with pytest.raises(SpecError, match=message):
        attain.minimize(unruly.act, unruly.SPACE, progress=False, **{argument: value})  # type: ignore[arg-type]


def test_asking_ahead_only_where_workers_would_wait() -> None:
    """Long trials are asked for when a worker is free; the shorter they are, the more wait.

    Where the strategy learns, no more than end while the next ones are asked for.
    """
    counts: dict[bool, list[int]] = {True: [], False: []}
    for learns, found in counts.items():
        for seconds in (10.0, 1.0, 0.2, 0.1, 0.04, 0.004, 0.0):
            ahead = Ahead(workers=2, learns=learns)
            assert ahead.count == 0
            for _ in range(5):
                ahead.note(1, seconds, between=0.005)
            found.append(ahead.count)
    assert counts == {True: [0, 0, 0, 1, 1, 3, 16], False: [0, 0, 2, 2, 2, 3, 16]}


def test_a_single_worker_is_never_asked_ahead_for() -> None:
    """Its search must not depend on how fast this machine is."""
    ahead = Ahead(workers=1)
    ahead.note(1, 0.01, between=1.0)
    assert ahead.count == 0


def test_short_trials_stay_within_the_budget(tmp_path: Path) -> None:
    """Trials that wait count: exactly as many end as were asked for, none is left, none is lost."""
    space = {"how": ["well"], "x": (0.0, 1.0)}
    result = attain.minimize(
        unruly.act, space, strategy="random", trials=33, workers=2, output=tmp_path, progress=False
    )
    assert [t.status for t in result.trials] == ["done"] * 33
    again = attain.minimize(
        unruly.act, space, strategy="random", trials=36, workers=2, output=tmp_path, progress=False
    )
    assert [t.status for t in again.trials] == ["done"] * 36
