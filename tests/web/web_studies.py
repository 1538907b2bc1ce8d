"""Ledgers for the dashboard: studies told by hand, one of 100,000 trials, and an ASGI client."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import report_studies as studies

from attain.core.codec import encode
from attain.core.types import Draft, Record, Task
from attain.runtime import schema
from attain.runtime.ledger import SqliteLedger
from attain.web.gate import Gate

PORT = 8123
HOST = f"127.0.0.1:{PORT}"


def write(folder: Path, records: Iterable[Record]) -> Path:
    """A study folder with these records; its run has ended and given the ledger back."""
    ledger = SqliteLedger(folder / "ledger.db")
    ledger.append([Draft(r.step, r.kind, dict(r.payload), r.parents) for r in records])
    ledger.close()
    return folder


def finished(folder: Path, *, hostile: bool = False) -> Path:
    """A whole study of 42 trials."""
    return write(folder, studies.complete(Task.BINARY, hostile=hostile))


def searching(trials: int = 20, *, hostile: bool = False) -> list[Record]:
    """The records of a study in the middle of its search, with one trial under way."""
    study = studies.Study(Task.BINARY, hostile=hostile)
    for step in (study.begin, study.audit, study.prepare, study.baselines):
        step()
    study.search(until=trials)
    records = list(study.scribe.records)
    records[0].payload["spec"]["budget"] = {"trials": 42, "minutes": 30.0}
    last = next(r for r in reversed(records) if r.kind == "trial")
    payload = json.loads(json.dumps(encode(last.payload)))
    payload["trial"] |= {"id": "t0099", "reason": "the strategy asked for it"}
    records.append(Record(len(records) + 1, "strategy", "trial", payload, (), 0.0))
    return records


def many(folder: Path, count: int) -> Path:
    """A study of so many scored trials and one under way, written as fast as SQLite can."""
    records = searching(6)
    head = [r for r in records if r.kind not in ("trial", "scored", "outcome")]
    trial = next(r.payload for r in records if r.kind == "trial" and r.payload["trial"]["point"])
    scored = next(r.payload for r in records if r.kind == "scored" and r.payload["loss"])
    write(folder, [])
    rows = _rows(head, encode(trial), encode(scored), count)
    db = sqlite3.connect(folder / "ledger.db")
    with db:
        db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.close()
    return folder


def _rows(head: list[Record], trial: Any, scored: Any, count: int) -> Iterator[tuple[Any, ...]]:
    rng = np.random.default_rng(5)
    number, at = 0, 1.7e9
    for number, record in enumerate(head, 1):
        yield number, record.step, record.kind, json.dumps(encode(record.payload)), "[]", at
    asked, good, bad = _templates(trial, scored)
    values = 0.7 + 0.2 * rng.beta(2 + np.arange(count) / count, 3)
    rates = rng.random(count)
    for i in range(count):
        name, learner = f"t{i + 1:06d}", ("lightgbm", "linear")[i % 2]
        point = f'{{"learner":"{learner}","{learner}.rate":{rates[i]:.6f},"{learner}.n":{i % 97}}}'
        at += 0.5
        text = asked.replace('"@point"', point).replace("@id", name).replace("@learner", learner)
        yield number + 1, "strategy", "trial", text, "[]", at
        text = bad if i % 50 == 49 else good
        for mark, value in (("@v", values[i]), ("@l", values[i] - 0.02), ("@h", values[i] + 0.02)):
            text = text.replace(f'"{mark}"', f"{value:.6f}")
        text = text.replace('"@loss"', f"{1 - values[i]:.6f}").replace("@id", name)
        number += 2
        yield number, "validate", "scored", text, f"[{number - 1}]", at
    last = {"trial": {**trial["trial"], "id": f"t{count + 1:06d}"}}
    yield number + 1, "strategy", "trial", json.dumps(last), "[]", at


def _templates(trial: Any, scored: Any) -> tuple[str, str, str]:
    """A trial, a good and a bad end of one, with marks where they differ."""
    asked = {"trial": {**trial["trial"], "id": "@id", "learner": "@learner", "point": "@point"}}
    marks = {"estimate": "@v", "low": "@l", "high": "@h"}
    scores = [{**score, **marks} for score in scored["scores"]]
    good = {**scored, "trial": "@id", "search": True, "loss": "@loss", "scores": scores}
    bad = {**good, "status": "timeout", "loss": None, "scores": []}
    return json.dumps(asked), json.dumps(good), json.dumps(bad)


def reopen(folder: Path) -> sqlite3.Connection:
    """A connection that can write, to play a run that writes or damages."""
    return schema.connect(folder / "ledger.db")


@dataclass
class Answer:
    """What came back over ASGI."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


async def call(
    app: Any,
    method: str = "GET",
    path: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: Iterable[bytes] = (b"",),
    query: str = "",
) -> Answer:
    """One request over ASGI; a Host is added unless one is given."""
    given = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers]
    if not any(k == b"host" for k, _ in given):
        given.append((b"host", HOST.encode()))
    parts, answer = list(body), Answer()

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.sleep(3600)
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "headers": given, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    await app(scope, receive, send)
    return answer


async def enter(gate: Gate) -> list[tuple[str, str]]:
    """The cookie of somebody who opened the printed address."""
    answer = await call(gate, query=f"token={gate.token}")
    assert answer.status == 200
    return [("cookie", answer.headers["set-cookie"].partition(";")[0])]


def posting(gate: Gate, cookie: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Everything that a change needs."""
    return [
        *cookie,
        ("origin", f"http://{HOST}"),
        ("x-attain-seal", gate.seal),
        ("content-type", "application/json"),
    ]
