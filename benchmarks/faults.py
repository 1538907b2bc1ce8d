"""Kill, starve and rob searches at random instants, go on, and count what was lost or repeated.

    python benchmarks/faults.py [--kills 500] [--quick] [--check]

`kill -9` of the coordinator: searches with one worker and with several, in SQLite and in
PostgreSQL, and whole studies of a table. Then a disk that is full, a database server that crashes
and comes back, a coordinator that sleeps through a takeover, and on a Ray cluster a coordinator
that is killed and a node that dies.
After each fault every record that was there must still be there, no trial may have two results, and
in the end a search with one worker must equal the one that nobody disturbed; with several workers
all trials must be there, each with the value of its configuration.

Searches are forked from this process, which has imported everything, so that kills fall on work and
not on start-up. Finished parts are kept in `results/faults.json`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import attain
from attain.core.errors import LedgerError
from attain.pipeline import run as _whole_studies_are_imported_before_forking  # noqa: F401
from attain.runtime.address import open_place
from attain.testing.postgres import PostgresServer, find_server

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "faults.json"
NODE = {"node_ip_address": "127.0.0.2", "object_store_memory": 80_000_000,
        "include_log_monitor": False, "num_cpus": 2}  # fmt: skip
CREDIT = HERE.parent / "examples" / "credit" / "credit_g.csv"
TRIALS = 40
SHARES = {"sqlite-1": 0.5, "sqlite-3": 0.2, "postgres-1": 0.2, "postgres-3": 0.06, "table": 0.04}
SPACE = {"x": (-5.0, 5.0), "rate": {"low": 1e-4, "high": 1.0, "scale": "log"}, "kind": ["a", "b"]}


def value(config: dict[str, Any]) -> float:
    return (config["x"] - 1) ** 2 + config["rate"] + (config["kind"] == "a")


def slow(config: dict[str, Any]) -> float:
    time.sleep(0.02)
    return value(config)


def search(place: str, workers: int, executor: str = "local") -> None:
    """One life of a search."""
    sys.path.insert(0, str(HERE))
    import faults  # the function must be importable in a worker

    where = {"ledger": place} if "://" in place else {"output": place}
    attain.minimize(faults.slow, SPACE, trials=TRIALS, workers=workers, strategy="tpe", seed=3,
                    progress=False, executor=executor, **where)  # fmt: skip


def study(place: str, workers: int) -> None:
    """One life of a whole study."""
    attain.tune(
        CREDIT, "class", objectives=["roc_auc >= 0.7"], output=place, budget="4 trials",
        learners=["linear"], folds=3, repeats=1, workers=workers, rigor="quick",
    )  # fmt: skip


def fork(action: Callable[[], None]) -> int:
    """Run in a child; its exit code is 0, 8 for a ledger's error, 1 for any other."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with (Path(tempfile.gettempdir()) / "attain-faults.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            with redirect_stderr(log):
                try:
                    action()
                    code = 0
                except LedgerError as error:
                    print(error, file=log)
                    code = 8
                except Exception:  # noqa: BLE001 - the parent sees the code, people the log
                    traceback.print_exc(file=log)
    finally:
        os._exit(code)


def wait(child: int) -> int:
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def records(place: str) -> list[tuple[int, str, str]]:
    try:
        ledger = open_place(place if "://" in place else Path(place), read_only=True)
    except LedgerError:  # killed before there was one
        return []
    try:
        return [(r.id, r.kind, json.dumps(r.payload, sort_keys=True)) for r in ledger.read()]
    finally:
        ledger.close()


def finished(found: list[tuple[int, str, str]]) -> dict[str, Any]:
    """The result of every trial or fold that has one."""
    ends: dict[str, Any] = {}
    for _, kind, payload in found:
        if kind == "told":
            told = json.loads(payload)
            ends[told["trial"]] = (told["status"], told["metrics"])
        elif kind == "scored":
            scored = json.loads(payload)
            ends[scored["trial"]] = (scored["status"], scored["loss"])
    return ends


def repeated(found: list[tuple[int, str, str]]) -> int:
    """Results beyond the first of a trial, or of a fold of one."""
    names: Counter[Any] = Counter()
    for _, kind, payload in found:
        content = json.loads(payload)
        if kind in ("told", "scored"):
            names[kind, content["trial"]] += 1
        elif kind == "outcome":
            names[kind, content["outcome"]["trial"], content["outcome"]["fold"]] += 1
    return sum(count - 1 for count in names.values())


def missing(before: list[tuple[int, str, str]], after: list[tuple[int, str, str]]) -> int:
    """Records that are gone or changed."""
    kept = set(after)
    return sum(record not in kept for record in before)


def invalid(found: list[tuple[int, str, str]]) -> int:
    """Trials of a finished search that are missing, or have another value than they must."""
    asked = {}
    for _, kind, payload in found:
        content = json.loads(payload)
        if kind == "asked" and not content.get("again"):
            asked[content["trial"]] = content["config"]
    ends = finished(found)
    wrong = sum(
        status != "done" or metrics["loss"] != value(asked[trial])
        for trial, (status, metrics) in ends.items()
    )
    return wrong + abs(TRIALS - len(ends))


class Count:
    """What a part found."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.faults = self.lost = self.repeated = self.different = self.finished_at_fault = 0

    def look(self, before: list[Any], after: list[Any]) -> None:
        self.lost += missing(before, after)
        self.repeated += repeated(after)

    def result(self) -> dict[str, Any]:
        return dict(vars(self))


def killed(part: str, kills: int, draw: random.Random, folder: Path, url: str) -> dict[str, Any]:
    """Lives that are ended by `kill -9`, of as many searches as it takes."""
    count, workers = Count(part), 3 if part.endswith("3") else 1
    run = study if part == "table" else search
    reference: dict[str, Any] | None = None
    number, longest = 0, 0.0
    while count.faults < kills or number == 0:
        number += 1
        place = (
            f"{url}#{part}-{os.getpid()}-{number}"
            if "postgres" in part
            else str(folder / f"{part}{number}")
        )
        if not longest:  # how long one takes that nobody disturbs, and what it comes to
            began = time.monotonic()
            assert wait(fork(lambda p=place: run(f"{p}-whole", workers))) == 0
            longest = time.monotonic() - began
            reference = finished(records(f"{place}-whole"))
        before: list[Any] = []
        while count.faults < kills:
            child = fork(lambda p=place: run(p, workers))
            until = time.monotonic() + draw.uniform(0.02, 0.9) * longest
            while (
                time.monotonic() < until
                and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            ):
                time.sleep(0.005)
            os.kill(child, signal.SIGKILL)
            if wait(child) == 0:
                break
            count.faults += 1
            now = records(place)
            count.look(before, now)
            count.finished_at_fault += len(finished(now))
            before = now
        assert wait(fork(lambda p=place: run(p, workers))) == 0
        end = records(place)
        count.look(before, end)
        if workers > 1:
            count.different += invalid(end)
        else:
            count.different += finished(end) != reference
    return count.result()


def full_disk(faults: int, draw: random.Random, folder: Path) -> dict[str, Any]:
    """No file may grow beyond a limit, which is raised after each failure as if space were made."""
    count = Count("disk-full")
    number = 0
    while count.faults < faults:
        number += 1
        place, room = str(folder / f"full{number}"), 20_000

        def life(place: str = place, room: int = 0) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            search(place, 1)

        before: list[Any] = []
        while (code := wait(fork(lambda r=room, life=life: life(room=r)))) != 0:
            assert code == 8, f"a full disk must end as a ledger's error, got {code}"
            count.faults += 1
            now = records(place)
            count.look(before, now)
            before, room = now, room + draw.randrange(4_000, 40_000)
        end = records(place)
        count.look(before, end)
        count.different += invalid(end)
    return count.result()


def restarts(faults: int, draw: random.Random, server: PostgresServer) -> dict[str, Any]:
    """The server crashes under a running search, which goes on by itself."""
    count = Count("server-restart")
    number = 0
    while count.faults < faults:
        number += 1
        place = f"{server.url}#restart-{os.getpid()}-{number}"
        child = fork(lambda p=place: search(p, 1))
        while not finished(records(place)):
            time.sleep(0.02)
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(draw.uniform(1.0, 3.0))
            before = records(place)
            server.stop(crash=True)
            count.faults += 1
            server.start()
            count.look(before, records(place))
        count.different += wait(child) != 0
        end = records(place)
        count.repeated += repeated(end)
        count.different += invalid(end)
    return count.result()


def steals(
    faults: int, draw: random.Random, folder: Path, server: PostgresServer | None
) -> dict[str, Any]:
    """A coordinator sleeps, another takes over as from another machine, and the first wakes up."""
    count = Count("lease-steal")
    for number in range(faults):
        database = server is not None and number % 2
        place = (
            f"{server.url}#steal-{os.getpid()}-{number}"
            if server and database
            else str(folder / f"steal{number}")
        )
        first = fork(lambda p=place: search(p, 1))
        while len(finished(records(place))) < 3:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 0.2))
        os.kill(first, signal.SIGSTOP)
        while not make_silent(place):  # it sleeps inside of a transaction, which locks the file
            os.kill(first, signal.SIGCONT)
            time.sleep(0.01)
            os.kill(first, signal.SIGSTOP)
        before = records(place)
        second = fork(lambda p=place: search(p, 1))
        while len(records(place)) == len(before):  # until it has taken over
            time.sleep(0.02)
        os.kill(first, signal.SIGCONT)
        codes = wait(first), wait(second)
        count.faults += 1
        end = records(place)
        count.look(before, end)
        count.different += invalid(end) + (codes != (8, 0))
    return count.result()


def make_silent(place: str) -> bool:
    """Make the lease look as if its holder ran elsewhere and had been silent for a minute."""
    change = "machine = 'elsewhere', host = 'elsewhere', beat = beat - 60"
    if "://" in place:
        from attain.runtime import postgres_schema

        url, _, name = place.partition("#")
        with closing(postgres_schema.connect(url)) as db:
            number = postgres_schema.find_study(db, name, place, make=False)
            db.execute("SET lock_timeout = '100ms'")
            try:
                db.execute(f"UPDATE attain.lease SET {change} WHERE study = {number}".encode())
            except postgres_schema.psycopg.errors.LockNotAvailable:
                return False
        return True
    with closing(sqlite3.connect(Path(place) / "ledger.db", timeout=0.1)) as db, db:
        try:
            db.execute(f"UPDATE lease SET {change}")
        except sqlite3.OperationalError:
            return False
    return True


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """A cluster of two nodes with two processors each, on loopback."""
    os.environ.update({"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    try:
        cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()


def dead_drivers(faults: int, draw: random.Random, folder: Path) -> dict[str, Any]:
    """The coordinator of a search on a cluster is killed; the same command goes on there."""
    count = Count("driver-death")

    def life(place: str, address: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--life", place, "--cluster", address]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with ray_cluster() as cluster:
        for number in range(faults):
            place, before = str(folder / f"driver{number}"), list[Any]()
            for wanted in sorted(draw.sample(range(1, TRIALS - 5), 2)):  # two deaths of each search
                driver = life(place, cluster.address)
                while len(finished(records(place))) < wanted and driver.poll() is None:
                    time.sleep(0.01)
                driver.kill()
                count.different += driver.wait() != -signal.SIGKILL
                count.faults += 1
                now = records(place)
                count.look(before, now)
                count.finished_at_fault += len(finished(now))
                before = now
            count.different += life(place, cluster.address).wait() != 0
            end = records(place)
            count.look(before, end)
            count.different += invalid(end)
    return count.result()


def dead_nodes(faults: int, draw: random.Random, folder: Path) -> dict[str, Any]:
    """A node of a cluster dies under a running search, which goes on with the others."""
    import ray

    count = Count("node-death")
    with ray_cluster() as cluster:
        for number in range(faults):
            node, place = cluster.add_node(**NODE), str(folder / f"node{number}")
            thread = threading.Thread(target=search, args=(place, 6, f"ray:{cluster.address}"))
            thread.start()
            while len(finished(records(place))) < 5:
                time.sleep(0.02)
            before = records(place)
            cluster.remove_node(node, allow_graceful=False)
            count.faults += 1
            count.finished_at_fault += len(finished(before))
            thread.join()
            end = records(place)
            count.look(before, end)
            count.different += invalid(end)
        ray.shutdown()
    return count.result()


def parts(asked: argparse.Namespace, server: PostgresServer | None, folder: Path) -> dict[str, Any]:
    kills, few = (10, 1) if asked.quick else (asked.kills, 20)
    draw, url = random.Random(asked.seed), server.url if server else ""
    names = [n for n in SHARES if not (asked.quick and n in ("table", "postgres-3"))]
    names = [n for n in names if server or "postgres" not in n]
    whole = sum(SHARES[n] for n in names)
    plan: dict[str, Callable[[], dict[str, Any]]] = {
        n: lambda n=n: killed(n, max(1, round(kills * SHARES[n] / whole)), draw, folder, url)  # type: ignore[misc]
        for n in names
    }
    plan["disk-full"] = lambda: full_disk(few, draw, folder)
    if server is not None:
        plan["server-restart"] = lambda: restarts(few, draw, server)
    plan["lease-steal"] = lambda: steals(few, draw, folder, server)
    if not asked.quick:  # last: after these this process has threads, and must not fork any more
        plan["driver-death"] = lambda: dead_drivers(3, draw, folder)
        plan["node-death"] = lambda: dead_nodes(3, draw, folder)
    return plan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of parts, with commas")
    parser.add_argument(
        "--quick", action="store_true", help="ten kills and one of each other fault"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 if anything was lost")
    parser.add_argument("--life", help=argparse.SUPPRESS)
    parser.add_argument("--cluster", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.life:
        search(asked.life, 3, f"ray:{asked.cluster}")
        return 0
    RESULTS.parent.mkdir(exist_ok=True)
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() and not asked.quick else {}
    server = PostgresServer(durable=True) if find_server() else None
    folder = Path(tempfile.mkdtemp(prefix="attain-faults-"))
    try:
        for name, part in parts(asked, server, folder).items():
            if name in done or (asked.only and name not in asked.only.split(",")):
                continue
            done[name] = part()
            print(done[name], file=sys.stderr, flush=True)
            if not asked.quick:
                RESULTS.write_text(json.dumps(done, indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if server is not None:
            server.close()
    kinds = ("faults", "lost", "repeated", "different")
    total = {kind: sum(part[kind] for part in done.values()) for kind in kinds}
    total["kills"] = sum(part["faults"] for name, part in done.items() if name in SHARES)
    print(json.dumps({"benchmark": "faults", **total, "parts": done}))
    broken = total["lost"] + total["repeated"] + total["different"]
    return 1 if asked.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
