"""attain's side of the comparison: one fit of a rung, or a whole study; one line of JSON.

    python text/ours.py JOB.json

The same job file as for `peer_trainer.py`, the same clock: from raw texts to the score of the model
that is kept, on the same validation rows. A study has the rows to train and to validate on, and the
test rows as its sealed ones.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import pandas as pd
from transformers import AutoModel, AutoTokenizer  # noqa: F401 - the peer's libraries are loaded too

from attain.core.protocols import FitData
from attain.core.types import Dataset, Rows, Signal
from attain.data import infer
from attain.data.pretrained import describe_pretrained
from attain.data.table import to_rows
from attain.learners.text import Text


def frames(job: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    data = json.loads(Path(job["data"]).read_text())
    labels = [f"class {code:03d}" for code in range(job["classes"])]
    made = [
        pd.DataFrame({"text": texts, "label": [labels[code] for code in codes]})
        for texts, codes in (data["train"], data["valid"], data["test"])
    ]
    return made[0], made[1], made[2]


def described(job: Mapping[str, Any], train: pd.DataFrame) -> Dataset:
    return infer.describe(
        train,
        target="label",
        text=("text",),
        pretrained=describe_pretrained(job["model"], Path.cwd()),
    )


def fit(job: Mapping[str, Any]) -> dict[str, Any]:
    """One fit of the rung and settings asked for, the other settings at their defaults."""
    train, valid, _ = frames(job)
    dataset = described(job, train)
    rows, held = to_rows(train, dataset), to_rows(valid, dataset)
    learner = Text()
    config = learner.space(dataset).defaults({"rung": job["rung"]}) | job["settings"]
    began, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        # as after a search: all rows train, for as long as was found to be best; here, to the end
        hints = {"rounds": 1_000} if job["rung"] in ("full", "lora", "last") else {}
        stop = None if hints else _tenth(rows, job["seed"])
        data = FitData(
            dataset=dataset,
            train=rows if stop is None else rows.take(stop[0]),
            stop=None if stop is None else rows.take(stop[1]),
            hints=hints,
            seed=job["seed"],
            threads=job["threads"],
            cache=Path(folder),
        )
        model = learner.fit(config, data, lambda step, losses: Signal.CONTINUE)
        fit_seconds = time.monotonic() - began
        prediction = learner.predict(model, held)
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu,
        "train_seconds": fit_seconds,
        "score": float((prediction.argmax(1) == held.y).mean()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "facts": dict(model.facts),
    }


def _tenth(rows: Rows, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = len(rows) // 10
    return np.sort(order[cut:]), np.sort(order[:cut])


def search(job: Mapping[str, Any]) -> dict[str, Any]:
    """A whole study with one worker: audit, ladder, search, refit, sealed test, report.

    It has the rows that the peer trains and validates on, and compares on one hold-out of its own.
    """
    import attain

    train, valid, unseen = frames(job)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test.csv"
        unseen.to_csv(test, index=False)
        result = attain.tune(
            pd.concat([train, valid], ignore_index=True),
            target="label",
            text=["text"],
            model=job["model"],
            test=str(test),
            objectives=["maximize accuracy"],
            budget={"trials": job["trials"], "minutes": job["minutes"]},
            folds=1,
            rigor="quick",
            workers=1,
            seed=job["seed"],
            output=str(Path(folder) / "study"),
        )
        seconds = time.monotonic() - began
        assert result.verdict is not None
        score = result.verdict.objectives[0].score
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": seconds,
        "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in spent),
        "score": score.estimate,
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    import torch

    torch.set_num_threads(job["threads"])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    done = search(job) if job["trials"] else fit(job)
    print(json.dumps({**done, "device": device}, default=str))


if __name__ == "__main__":
    main()
