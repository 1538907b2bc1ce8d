"""Simulated workers: the executor's contract, simulated time, a search through the real loop."""

from __future__ import annotations

import pytest

import attain
from attain.core.protocols import Job, Limits
from attain.core.types import Status
from attain.testing.executor_suite import check_executor
from attain.testing.fakes import SimulatedClock
from attain.testing.simulated import SimulatedWorkers

ECHO = "attain.testing.jobs:echo"


def square(config):
    """Smallest, 0, at x = 0."""
    return config["x"] ** 2


def test_keeps_the_contract():
    """All that does not need processes."""
    check_executor(lambda: SimulatedWorkers(2, lambda job: 1.0), isolated=False)


def ends(executor, count):
    """When each of so many jobs ended, in simulated seconds."""
    found = {}
    while len(found) < count:
        for event in executor.events(1.0):
            if event.kind == "ended":
                found[event.job] = (executor.clock.monotonic(), event.status)
    return found


def test_time_passes_as_on_so_many_workers():
    """Five jobs of 10 s on two workers end two by two; a slow clock or machine changes nothing."""
    clock = SimulatedClock()
    executor = SimulatedWorkers(2, lambda job: 10.0, clock)
    for number in range(5):
        executor.submit(Job(str(number), ECHO, {"value": number}))
    times = [time for time, _ in ends(executor, 5).values()]
    assert times == [10, 10, 20, 20, 30]
    assert executor.busy == 50


def test_limits_and_deaths_are_simulated():
    """Beyond its limit a job ends as TIMEOUT, at the limit; one whose node dies ends as LOST."""
    executor = SimulatedWorkers(3, lambda job: 10.0, dies=lambda job: job.id == "dies")
    for name, limits in (("slow", Limits(seconds=4)), ("dies", Limits()), ("well", Limits())):
        executor.submit(Job(name, ECHO, {"value": 1}, limits))
    assert ends(executor, 3) == {
        "slow": (4, Status.TIMEOUT), "dies": (5, Status.LOST), "well": (10, Status.DONE)
    }  # fmt: skip


def test_ends_arrive_in_bursts():
    """With a step, all ends within it are heard of together."""
    executor = SimulatedWorkers(9, lambda job: 1.0 + int(job.id) / 10, step=5.0)
    for number in range(9):
        executor.submit(Job(str(number), ECHO, {"value": 1}))
    executor.events(0.0)
    assert len(executor.events(0.0)) == 9
    assert executor.clock.monotonic() == 5


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_a_search_on_a_hundred_simulated_workers(strategy):
    """The real loop: every trial ends, workers stay busy, lost trials are repeated."""
    made = []
    lost = {"t00007", "t00020"}

    def cluster():
        def dies(job):
            gone = job.id in lost
            lost.discard(job.id)
            return gone

        made.append(SimulatedWorkers(100, lambda job: 60.0, dies=dies))
        return made[0]

    result = attain.minimize(
        square,
        {"x": (-1.0, 1.0)},
        trials=300,
        workers=100,
        executor=cluster,
        strategy=strategy,
        progress=False,
    )
    assert len(result.trials) == 300
    assert all(trial.done for trial in result.trials)
    wall = made[0].clock.monotonic()
    assert made[0].busy / (100 * wall) > 0.7
    assert not lost


def test_a_trial_that_is_lost_again_and_again_fails():
    """Infrastructure faults are repeated three times; then the trial is said to have failed."""
    calls = []

    def dies(job):
        calls.append(job.id)
        return job.id == "t00002"

    result = attain.minimize(
        square,
        {"x": (0.0, 1.0)},
        trials=6,
        workers=2,
        executor=lambda: SimulatedWorkers(2, lambda job: 1.0, dies=dies),
        strategy="random",
        progress=False,
    )
    assert calls.count("t00002") == 4
    (failed,) = [trial for trial in result.trials if not trial.done]
    assert (failed.id, failed.status, failed.message) == ("t00002", "killed", "its node died")
