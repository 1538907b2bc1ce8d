"""What the rung `last` of texts costs with an empty and with a full cache, beside its neighbours.

    python benchmarks/text_last.py --data FOLDER [--model FOLDER] [--rows 1000] [--seeds 3]
        [--quick] [--check]

FOLDER holds `banking77/` as published. Rows are drawn from its training file, a tenth of them
chooses where to stop, and accuracy is on the first 1,500 of its test rows in an order drawn once.
Each seed has a cache of its own, in which the fits follow each other as in a study: the frozen
encoder reads all texts, the first `last` reads them with its lower blocks, the second one finds
what these said, and all layers are tuned at last. Settings are the defaults of each rung, one
thread, the encoder is loaded before the clock starts, predictions are not on it. Finished seeds are
kept in `results/text_last/`. `--check` exits with 1 unless the two fits of `last` give the same
predictions, the second one takes less time, and both take less than tuning all layers. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import pandas as pd
from text_training import installed_model

from attain.core.files import write_atomic

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "text_last"
FITS = (("frozen", "frozen"), ("last, first fit", "last"), ("last, later fits", "last"),
        ("full", "full"))  # fmt: skip
HELD = 1_500


def read(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return pd.DataFrame({"text": [r["text"] for r in rows], "label": [r["category"] for r in rows]})


def drawn(frame: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    order = np.random.default_rng(seed).permutation(len(frame))[:count]
    return frame.iloc[order].reset_index(drop=True)


def measured(seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """All fits of a seed."""
    from attain.core.protocols import FitData
    from attain.core.savings import counting
    from attain.core.types import Signal
    from attain.data.infer import describe
    from attain.data.pretrained import describe_pretrained
    from attain.data.table import to_rows
    from attain.learners._pretrained.load import resident
    from attain.learners.text import Text

    train = drawn(read(asked.data / "banking77" / "train.csv"), asked.rows, seed)
    held = drawn(read(asked.data / "banking77" / "test.csv"), 200 if asked.quick else HELD, 0)
    held = held[held["label"].isin(set(train["label"]))]
    pretrained = describe_pretrained(str(asked.model), HERE)
    dataset = describe(train, target="label", text=("text",), pretrained=pretrained)
    rows, test, learner = to_rows(train, dataset), to_rows(held, dataset), Text()
    cut = len(rows) // 10
    resident(pretrained)
    found, predictions = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rung in FITS:
            stop, learnt = rows.take(np.arange(cut)), rows.take(np.arange(cut, len(rows)))
            data = FitData(dataset, learnt, stop, seed=seed, threads=1, cache=Path(folder))
            began, wall = time.process_time(), time.monotonic()
            with counting() as savings:
                model = learner.fit({"rung": rung}, data, lambda step, losses: Signal.CONTINUE)
            spent = time.process_time() - began, time.monotonic() - wall
            predictions[name] = learner.predict(model, test)
            right = predictions[name].argmax(axis=1) == np.asarray(test.y)
            found[name] = {
                "cpu_seconds": spent[0], "seconds": spent[1], "saved_seconds": savings.seconds,
                "accuracy": float(right.mean()), "n": len(right), "steps": model.facts.get("steps"),
                "trained": model.facts["trained"],
            }  # fmt: skip
            print(name, json.dumps(found[name]), file=sys.stderr, flush=True)
        kept = [path.stat().st_size for path in Path(folder).glob("states-*/rows.bin")]
    same = np.array_equal(*(predictions[name] for name, rung in FITS if rung == "last"))
    return {"fits": found, "same": bool(same), "states_mb": sum(kept) / 1e6}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with banking77/")
    parser.add_argument("--model", type=Path, default=installed_model(), help="an encoder's folder")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.data is None or asked.model is None:
        print("nothing is measured without --data FOLDER and an encoder\n{}")
        return 1 if asked.check else 0
    asked.model = asked.model.resolve()
    if asked.quick:
        asked.rows, asked.seeds = 200, 1
    RESULTS.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in range(asked.seeds):
        path = RESULTS / f"{asked.rows}-{seed}.json"
        if not path.exists():
            write_atomic(path, json.dumps(measured(seed, asked)))
        runs.append(json.loads(path.read_text()))
    table = {
        name: {key: median(run["fits"][name][key] for run in runs)
               for key in ("cpu_seconds", "saved_seconds", "accuracy", "trained")}
        for name, _ in FITS
    }  # fmt: skip
    cpu = [table[name]["cpu_seconds"] for name, rung in FITS if rung != "frozen"]
    short = [] if all(run["same"] for run in runs) else ["the fits of `last` differ"]
    short += [] if cpu[1] < cpu[0] < cpu[2] else ["the fits of `last` are not the cheaper ones"]
    states = median(run["states_mb"] for run in runs)
    told = {"benchmark": "text_last", "rows": asked.rows, "seeds": asked.seeds, "fits": table}
    print(json.dumps({**told, "states_mb": states, "short": short}))
    return 1 if asked.check and short else 0


if __name__ == "__main__":
    sys.exit(main())
