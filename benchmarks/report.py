"""What a report weighs and how long it takes: 100, 1,000 and 10,000 trials, and a million rows.

    python benchmarks/report.py [--trials 100 1000 10000] [--rows 1000000] [--quick] [--check]

A small real study is run once. Its search trials are then repeated with other configurations and
scores until there are as many as asked for, a tenth of them failed, and everything that a finished
run does is done: collecting the evidence, writing page, card and summary.
For the rows, a known function of 30 columns is explained as a model would be (importance, effects,
mistakes seen closely, rules), and the page is written. CPU seconds decide; wall seconds depend on
what else the machine does. Targets were set before anything was measured.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attain.core.codec import encode
from attain.core.types import Record, Rows
from attain.data.infer import describe
from attain.data.table import to_rows
from attain.report import card, evidence, html, text
from attain.report.explain import explain

MOST_MB, MOST_SECONDS, MOST_ROWS_SECONDS = 2.0, 10.0, 60.0
COLUMNS = 30
EXPLAIN_SECONDS = 10.0  # as in a run


def study() -> list[Record]:
    """The records of a small finished study."""
    import attain
    from attain.runtime.ledger import SqliteLedger

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 6)), columns=list("abcdef"))
    frame["y"] = np.where(frame["a"] * frame["b"] + rng.normal(size=600) > 0, "yes", "no")
    with tempfile.TemporaryDirectory() as folder:
        attain.tune(
            frame,
            "y",
            objectives=["roc_auc >= 0.9"],
            output=f"{folder}/study",
            budget="6 trials",
            learners=["lightgbm"],
            folds=3,
            repeats=1,
        )
        ledger = SqliteLedger(Path(folder) / "study" / "ledger.db", read_only=True)
        records = list(ledger.read())
        ledger.close()
    return records


def grown(records: list[Record], count: int) -> Iterator[Record]:
    """The same study with so many search trials."""
    rng = np.random.default_rng(count)
    trial = next(r for r in records if r.kind == "trial" and _search(r))
    name = trial.payload["trial"]["id"]
    outcome = next(r for r in records if r.kind == "outcome" and _of(r) == name)
    scored = next(r for r in records if r.kind == "scored" and r.payload["trial"] == name)
    first = next(i for i, r in enumerate(records) if r is trial)
    kept = [
        r for r in records if r.kind not in ("trial", "outcome", "scored") or not _same(r, records)
    ]
    number = 0
    for record in kept[: next((i for i, r in enumerate(kept) if r.id > trial.id), len(kept))]:
        number = record.id
        yield record
    for i in range(count):
        for record in _one(i, rng, trial, outcome, scored):
            number += 1
            yield replace(record, id=number, parents=(number - 1,), at=trial.at + i)
    for record in records[first:]:
        if record.kind not in ("trial", "outcome", "scored"):
            number += 1
            yield replace(record, id=number, parents=())


def _search(record: Record) -> bool:
    return bool(record.payload["trial"]["purpose"] == "search")


def _of(record: Record) -> str:
    return str(record.payload["outcome"]["trial"])


def _same(record: Record, records: list[Record]) -> bool:
    """Whether a record belongs to a trial of the search."""
    names = {r.payload["trial"]["id"] for r in records if r.kind == "trial" and _search(r)}
    told = record.payload["trial"] if record.kind != "outcome" else _of(record)
    return (told["id"] if isinstance(told, dict) else told) in names


def _one(
    i: int, rng: np.random.Generator, trial: Record, outcome: Record, scored: Record
) -> Iterator[Record]:
    name = f"t{i + 1:05d}"
    asked = json.loads(json.dumps(encode(trial.payload)))
    for part in ("config", "point"):
        asked["trial"][part] = {
            k: v * float(rng.uniform(0.2, 3)) if isinstance(v, float) else v
            for k, v in asked["trial"][part].items()
        }
    asked["trial"]["id"] = name
    yield replace(trial, payload=asked)
    done = json.loads(json.dumps(encode(outcome.payload)))
    done["outcome"]["trial"] = name
    yield replace(outcome, payload=done)
    found = json.loads(json.dumps(encode(scored.payload)))
    found["trial"] = name
    if i % 10 == 9:
        found |= {"status": "failed", "loss": None, "scores": []}
        found["message"] = f"ValueError: trial {i % 30} does not converge with these settings"
    else:
        value = float(0.7 + 0.2 * rng.beta(2, 3))
        found["loss"] = 1 - value
        for score in found["scores"]:
            score |= {"estimate": value, "low": value - 0.02, "high": value + 0.02}
    yield replace(scored, payload=found)


def write(records: list[Record]) -> dict[str, Any]:
    """Everything a finished run writes, and what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = evidence.collect(records)
    page = html.render(found)
    card.render(found)
    text.render(found, 100)
    return {
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "megabytes": round(len(page.encode()) / 1e6, 3),
        "shapes": len(re.findall(r"<(?:circle|path|rect|line)\b", page)),
    }


def rows_of(count: int) -> tuple[Any, Rows]:
    """A table of 30 columns, ten of them categories, some cells missing."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        rng.normal(size=(count, COLUMNS - 10)).astype("float32").astype(float),
        columns=[f"number {i}" for i in range(COLUMNS - 10)],
    )
    frame.iloc[::11, 3] = np.nan
    levels = np.array([f"level {i}" for i in range(12)])
    for i in range(10):
        frame[f"category {i}"] = levels[rng.integers(0, 3 + i, count)]
    noisy = _signal(frame) + rng.logistic(size=count)
    frame["y"] = np.where(noisy > 0, "yes", "no")
    dataset = describe(frame, target="y")
    return dataset, to_rows(frame, dataset)


def _signal(X: pd.DataFrame) -> np.ndarray:
    first = (X["category 0"] == "level 0").to_numpy(dtype=float)
    return np.asarray(2 * X["number 0"].to_numpy() - X["number 1"].to_numpy() + 1.5 * first)


def explained(count: int, records: list[Record]) -> dict[str, Any]:
    """Explain a known function on so many rows, and write the page."""
    dataset, rows = rows_of(count)

    def predict(part: Rows) -> np.ndarray:
        yes = 1 / (1 + np.exp(-_signal(part.X)))
        return np.column_stack([1 - yes, yes])

    def loss(y: np.ndarray, p: np.ndarray) -> float:
        return float(-np.mean(np.log(p[np.arange(len(y)), y.astype(int)] + 1e-12)))

    wall, cpu = time.perf_counter(), time.process_time()
    payload = explain(
        predict,
        rows,
        dataset=dataset,
        metric="log_loss",
        loss=loss,
        held_out=np.arange(0, count, 5),
        seconds=EXPLAIN_SECONDS,
    )
    took = time.perf_counter() - wall, time.process_time() - cpu
    told = [replace(r, payload=payload) if r.kind == "explanation" else r for r in records]
    written = write(told)
    return {
        "rows": count,
        **written,
        "explaining_seconds": round(took[0], 2),
        "explaining_cpu_seconds": round(took[1], 2),
        "columns_looked_at": sum(len(e["columns"]) for e in payload["importance"]),
        "cases": len(payload["cases"]),
        "rules": payload["surrogate"] is not None,
    }


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="1,000 trials and 50,000 rows")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    given = parser.parse_args()
    trials, count = ([100, 1_000], 50_000) if given.quick else (given.trials, given.rows)
    records = study()
    figures: dict[str, Any] = {"trials": {}, "targets": [MOST_MB, MOST_SECONDS, MOST_ROWS_SECONDS]}
    missed = []
    for number in trials:
        found = write(list(grown(records, number)))
        figures["trials"][number] = found
        print(f"{number:>7,} trials  {found}", file=sys.stderr)
        if found["megabytes"] > MOST_MB or found["cpu_seconds"] > MOST_SECONDS:
            missed.append(f"{number} trials")
    figures["rows"] = explained(count, records)
    whole = figures["rows"]["cpu_seconds"] + figures["rows"]["explaining_cpu_seconds"]
    if figures["rows"]["megabytes"] > MOST_MB or whole > MOST_ROWS_SECONDS:
        missed.append(f"{count} rows")
    if figures["rows"]["columns_looked_at"] < COLUMNS:
        missed.append(f"importance of {figures['rows']['columns_looked_at']} columns in its time")
    figures["missed"] = missed
    print(json.dumps(figures))
    return int(given.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
