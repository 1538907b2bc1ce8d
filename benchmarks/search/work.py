"""One run of one method on one problem with one seed, in the method's own process.

Called by `run.py` with a JSON object as its only argument; writes one JSON file. CPU times are of
this process alone (`time.process_time`), the evaluations are not part of them.
"""

from __future__ import annotations

import heapq
import json
import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))  # attain, from any environment

import numpy as np
from peers import PEERS, Exhausted, Method, Setting, make, parse
from problems import Problem, problem

FORMAT = 1
DURATION = 1.0  # simulated, of every trial


def search(asked: dict[str, Any]) -> dict[str, Any]:
    """Ask, evaluate and tell until the evaluations are used up.

    With `parallel` n, n trials are under way at any time; each takes the same simulated time, so
    that every question but the first n is asked while n - 1 results are missing.
    """
    one = problem(asked["problem"], _data(asked), asked.get("reference", {}))
    evaluations, parallel, seed = asked["evaluations"], asked["parallel"], asked["seed"]
    method = make(asked["method"], Setting(one.space, seed, evaluations, parallel))
    losses, told, configs = [], [], []
    ask_ms, tell_ms = [], []

    def value(config: Any, index: int) -> tuple[float, float | None]:
        losses.append(one.evaluate(config))
        configs.append(dict(config))
        told.append(one.told(losses[-1], seed, index))
        return told[-1]

    first = value(one.default, 0)
    before = time.process_time()
    method.start(one.default, *first)
    start_ms = (time.process_time() - before) * 1e3
    running: list[tuple[float, int, Any]] = []
    now, started = 0.0, 1
    while True:
        while len(running) < parallel and started < evaluations:
            before = time.process_time()
            try:
                token, config = method.ask()
            except Exhausted:
                evaluations = started
                break
            ask_ms.append((time.process_time() - before) * 1e3)
            heapq.heappush(running, (now + DURATION, started, (token, config)))
            started += 1
        if not running:
            break
        now, index, (token, config) = heapq.heappop(running)
        result = value(config, index)
        before = time.process_time()
        method.tell(token, *result)
        tell_ms.append((time.process_time() - before) * 1e3)
    return {
        "losses": losses,
        "told": [t for t, _ in told] if one.noise else None,
        "configs": configs,
        "start_ms": round(start_ms, 3),
        "ask_ms": [round(t, 3) for t in ask_ms],
        "tell_ms": [round(t, 3) for t in tell_ms],
    }


def overhead(asked: dict[str, Any]) -> dict[str, Any]:
    """Time of asking and telling when there is already a long history, and the peak memory."""
    one = problem(asked["problem"], _data(asked))
    history, rounds = asked["history"], asked["rounds"]
    setting = Setting(one.space, asked["seed"], history + rounds + 1, warm=True)
    method = make(asked["method"], setting)
    method.start(one.default, one.evaluate(one.default), None)
    feed(method, one, history - 1, asked["seed"])
    ms = []
    for _ in range(rounds + 1):  # the first loads what is loaded once, and is left out
        before = time.process_time()
        token, config = method.ask()
        middle = time.process_time()
        loss = one.evaluate(config)
        after = time.process_time()
        method.tell(token, loss, None)
        ms.append((time.process_time() - after + middle - before) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"history": history, "ms": [round(t, 3) for t in ms[1:]], "peak_mb": round(peak, 1)}


def feed(method: Method, one: Problem, n: int, seed: int) -> None:
    """Give a method n finished random trials without asking it."""
    from attain.strategy._encode import Cube

    cube, rng = Cube(one.space), np.random.default_rng(seed)
    configs = [cube.decode(rng.random(len(cube))) for _ in range(n)]
    method.feed([(c, one.evaluate(c)) for c in configs])


def versions(method: str) -> dict[str, str]:
    """What a figure depends on besides the method's settings."""
    name = parse(method)[0]
    packages = ("numpy", *(PEERS[name].packages if name in PEERS else ("scipy",)))
    found = {package: metadata.version(package) for package in packages}
    return {"python": platform.python_version(), **found}


def _data(asked: dict[str, Any]) -> Path | None:
    return Path(asked["data"]) if asked.get("data") else None


def main() -> int:
    asked = json.loads(sys.argv[1])
    began = time.monotonic()
    made = {"search": search, "overhead": overhead}[asked["task"]](asked)
    known = {k: asked[k] for k in ("method", "problem", "seed", "parallel", "source")}
    answer = {"format": FORMAT, **known, "versions": versions(asked["method"])}
    if asked["task"] == "search":
        answer["asked"] = asked["evaluations"]
    answer |= {"seconds": round(time.monotonic() - began, 2), **made}
    out = Path(asked["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(f".{os.getpid()}.tmp")
    partial.write_text(json.dumps(answer))
    partial.replace(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
