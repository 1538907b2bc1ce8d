"""Whole studies of pictures and of spoken digits: is the stated objective met on sealed rows?

    python benchmarks/media_study.py --data FOLDER [--only trashnet fashion digits] [--quick]
        [--check]

FOLDER holds `trashnet-small/`, `fashion-mnist-subset/` and `free-spoken-digits/`. Networks, rows
and test rows are those of `media.py`, but that TrashNet is sealed by attain itself and the spoken
digits are told apart by speaker: two speakers are sealed, the others are groups. Each study is what
`attain.tune` makes of the data, the network, the objective and a time limit, nothing else. Studies
are kept in `results/media_study/` and go on where they were stopped. `--quick` takes 240 rows, half
a minute and no network; `--check` exits with 1 unless each objective is reached on the sealed rows,
and proven there where there are enough of them: two speakers prove nothing about a third, so a
study of six can end with "met but unproven" (exit 4) at best. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import media
import numpy as np
import pandas as pd

from attain.core.media import parse

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "media_study"


@dataclass(frozen=True)
class Case:
    """What is stated.

    Attributes:
        objective: Stated before any study ran.
        budget: For all of the search.
        sealed: Whether the test rows are given; else a fifth is sealed.
        enough: Exits that `--check` takes.
    """

    objective: str
    budget: str
    sealed: bool
    enough: tuple[int, ...] = (0,)


CASES = {
    "trashnet": Case("accuracy >= 0.75", "12 trials, 15 min", sealed=False),
    "fashion": Case("accuracy >= 0.82", "12 trials, 10 min", sealed=True),
    "digits": Case("accuracy >= 0.70", "12 trials, 10 min", sealed=True, enough=(0, 4)),
}


def written(name: str, data: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """Files with the rows, and with the sealed ones if they are given; arguments of `tune`."""
    table = media.TABLES[name](data)
    frame = pd.DataFrame({"file": [_content(cell) for cell in table.frame["file"]]})
    frame["label"] = table.frame["label"]
    told: dict[str, Any] = {}
    if name == "digits":
        files = sorted((data / "free-spoken-digits").glob("*/*.wav"))
        frame["speaker"] = [path.stem.split("_")[1] for path in files]
        told["groups"] = "speaker"
    test = table.use == "test" if CASES[name].sealed else np.zeros(len(frame), dtype=bool)
    rows = frame[~test].reset_index(drop=True)
    if quick:
        rows = rows.sample(240, random_state=0).reset_index(drop=True)
    rows.to_parquet(folder / "rows.parquet")
    if test.any():
        frame[test].reset_index(drop=True).to_parquet(folder / "test.parquet")
        told["test"] = str(folder / "test.parquet")
    return {"data": str(folder / "rows.parquet"), **told}


def _content(cell: str) -> bytes:
    found = parse(cell)
    assert found is not None
    return found.content()


def study(name: str, data: Path, quick: bool) -> dict[str, Any]:
    """One study, and how it ended."""
    import attain

    case, folder = CASES[name], RESULTS / f"{name}{'-quick' if quick else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    told = written(name, data, folder, quick)
    if not quick:
        kind = "audio" if name == "digits" else "image"
        told["model"] = str(media.models(kind, RESULTS)[True])
    result = attain.tune(
        told.pop("data"), "label", objectives=[case.objective], output=folder / "study",
        budget="4 trials, 0.5 min" if quick else case.budget, **told,
    )  # fmt: skip
    last = {r.kind: r.payload for r in result.records}
    if "verdict" not in last:
        return {"data": name, "exit": int(result.exit)}
    trials = {r.payload["trial"]["id"]: r.payload["trial"] for r in result.records
              if r.kind == "trial"}  # fmt: skip
    chosen = trials[last["choice"]["trial"]]
    (score,) = [s for s in last["verdict"]["scores"] if s["metric"] == "accuracy"]
    return {
        "data": name, "exit": int(result.exit), "objective": case.objective,
        "final": {"learner": chosen["learner"], **chosen["config"]},
        "sealed": [score["estimate"], score["low"], score["high"]], "n": score["n"],
        "trials": sum(t["purpose"] == "search" for t in trials.values()),
        "seconds": round(result.records[-1].at - result.records[0].at),
        "report": str(result.report),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the public sets")
    parser.add_argument("--only", nargs="*", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.data is None:
        print("nothing is measured without --data FOLDER\n{}")
        return 1 if asked.check else 0
    names = ["digits"] if asked.quick else asked.only
    found = [study(name, asked.data, asked.quick) for name in names]
    print(json.dumps(found))
    missed = [one["data"] for one in found if one["exit"] not in CASES[one["data"]].enough]
    return 1 if asked.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
