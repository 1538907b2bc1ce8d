"""Jobs on a real Ray cluster of several nodes on loopback: the contract, and nodes that die."""

from __future__ import annotations

import os
import time
import warnings

import pytest
from runtime_tools import job, run, wait_for

from attain.core.errors import EnvironmentProblem, SpecError
from attain.core.types import Status
from attain.testing.executor_suite import check_executor, collect, gather

HOST = "127.0.0.2"  # Ray takes 127.0.0.1 for "this machine" and would look at its other addresses
JOBS = "ray_jobs:"


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'attain[ray]')")
    settings = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ.update(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        plain = {"node_ip_address": HOST, "object_store_memory": 80_000_000,
                 "include_log_monitor": False}  # fmt: skip
        head = {"num_cpus": 0, "include_dashboard": False, **plain}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.plain = plain
        made.add_node(num_cpus=2, **plain)
        made.add_node(num_cpus=2, num_gpus=1, **plain)
        yield made
        ray.shutdown()
        made.shutdown()
    for name in settings:
        del os.environ[name]


@pytest.fixture
def executor(cluster, here):
    from attain.runtime.ray_ import RayExecutor

    made = []

    def make(**options):
        made.append(RayExecutor(address=cluster.address, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def study(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "work.arrow").write_text("rows")
    (tmp_path / "data" / "sealed.arrow").write_text("sealed")
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_keeps_the_contract(cluster):
    """Crashes, limits, cancelling, values and order: as in worker processes of this machine."""
    from attain.runtime.ray_ import RayExecutor

    check_executor(lambda: RayExecutor(workers=1, address=cluster.address))


@pytest.mark.filterwarnings("ignore")
def test_rows_are_brought_once_to_each_node(executor, study):
    """Three workers on two nodes fetch two copies; results come back, sealed rows never leave."""
    made = executor(workers=3, shared=False, logs=study / "logs")
    jobs = [
        job(f"j{n}", f"{JOBS}read_rows", folder=str(study), out=f"trials/j{n}.npz", seconds=0.3)
        for n in range(12)
    ]
    ended = [events[-1] for events in collect(made, *jobs).values()]
    assert [e.status for e in ended] == [Status.DONE] * 12, ended
    assert all(e.value["rows"] == "rows" and not e.value["sealed"] for e in ended)
    assert str(study) not in {e.value["folder"] for e in ended}
    assert sorted(p.name for p in (study / "trials").iterdir()) == sorted(
        f"j{n}.npz" for n in range(12)
    )
    assert made.fetched() <= len(set(made.nodes())) <= 2


@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_nodes_see_is_used_in_place(executor, study):
    """On a shared file system nothing is copied, and no mark of the look is left behind."""
    made = executor(workers=1)
    event = run(made, f"{JOBS}read_rows", folder=str(study), out="trials/x.npz")
    assert event.value["folder"] == str(study)
    assert made.fetched() == 0
    made.close()
    assert not list(study.glob(".attain-*"))


@pytest.mark.filterwarnings("ignore")
def test_gpus_and_cpus_are_reserved(cluster, executor):
    """A job sees the GPU that it was given; what no node could hold is refused at once."""
    from attain.runtime.ray_ import capacity

    assert capacity(cluster.address, 1, 0) == 4
    assert capacity(cluster.address, 2, 0) == 2
    assert capacity(cluster.address, 1, 0.5) == 2
    made = executor(workers=1, gpus=1)
    assert run(made, f"{JOBS}devices").value == "0"
    with pytest.raises(EnvironmentProblem, match=r"no node .* has 1 CPUs and 2 GPUs .*2 and 1"):
        executor(workers=1, gpus=2)
    with pytest.raises(SpecError, match=r"(?s)workers.*gpus") as caught:
        executor(workers=0, gpus=-1)
    assert len(caught.value.problems) == 2


@pytest.mark.filterwarnings("ignore")
def test_large_parts_travel_once(executor, monkeypatch):
    """An array that every job carries is put into the object store a single time."""
    import ray

    puts, put = [], ray.put
    monkeypatch.setattr(ray, "put", lambda value: puts.append(len(value)) or put(value))
    made = executor(workers=1)
    large = b"x" * 300_000
    found = collect(made, *(job(f"w{n}", f"{JOBS}weigh", large=large, small=n) for n in range(3)))
    assert {events[-1].value for events in found.values()} == {300_000}
    assert len(puts) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_node_that_dies_costs_steps_and_no_job(cluster, executor, study):
    """Its job ends as LOST; submitted again it goes on elsewhere from the last state sent home."""
    extra = cluster.add_node(num_cpus=4, resources={"extra": 1}, **cluster.plain)
    made = executor(workers=5, shared=False)
    wait_for(lambda: len(made.nodes()) == 5, 120)
    payload = {"folder": str(study), "checkpoint": "t1-f0", "end": 40, "pause": 0.1}
    for number in range(5):
        made.submit(job(f"n{number}", f"{JOBS}count_up", **{**payload, "checkpoint": f"n{number}"}))
    states = [study / "checkpoints" / f"n{number}" / "state" for number in range(5)]
    wait_for(lambda: all(s.exists() for s in states), 60)
    cluster.remove_node(extra, allow_graceful=False)
    ended = {
        name: events[-1] for name, events in gather(made, *(f"n{k}" for k in range(5))).items()
    }
    lost = [name for name, event in ended.items() if event.status is Status.LOST]
    assert lost, ended
    assert {ended[n].status for n in ended if n not in lost} <= {Status.DONE}
    assert all("died" in ended[name].message for name in lost)
    name = lost[0]
    saved = int((study / "checkpoints" / name / "state").read_text())
    began = time.monotonic()
    event = collect(
        made, job(f"{name}-again", f"{JOBS}count_up", **{**payload, "checkpoint": name})
    )
    value = event[f"{name}-again"][-1].value
    assert value["count"] == 40
    assert value["began"] >= saved > 0, (value, time.monotonic() - began)


def test_no_cluster_is_said(monkeypatch):
    """An address at which nothing answers is named, with what to do."""
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'attain[ray]')")
    from attain.runtime import ray_

    def refuse(**_):
        raise ConnectionError("nobody listens")

    monkeypatch.setattr(ray_.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_.ray, "init", refuse)
    with pytest.raises(
        EnvironmentProblem, match=r"no Ray cluster at 10.0.0.9:1: nobody .*ray start"
    ):
        ray_.RayExecutor(address="10.0.0.9:1")
