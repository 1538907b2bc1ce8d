"""`attain init` and `attain run` on real tables, with no editing but the name of the target.

    python benchmarks/tables.py --data FOLDER [--only adult titanic] [--quick] [--check]

FOLDER holds the public sets under the names in SETS (see benchmarks/README.md). Finished sets are
kept in `results/tables.json`; the same command goes on where it was stopped. `--quick` runs German
credit, which the project carries, with a tiny budget. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Set:
    """A table, its target, and what a good practitioner would ask of it."""

    file: str
    target: str
    objective: str


SETS = {
    "adult": Set("adult/adult_train.csv.gz", "income", "roc_auc >= 0.91"),
    "bank-marketing": Set("bank-marketing/bank_full.csv.gz", "deposit", "roc_auc >= 0.75"),
    "credit-g": Set("credit-g/credit_g.csv", "class", "roc_auc >= 0.70"),
    "titanic": Set("titanic/titanic.csv", "Survived", "accuracy >= 0.75"),
    "wine-quality": Set("wine-quality/wine_quality.csv", "quality", "accuracy >= 0.5"),
    "poker-hand": Set("poker-hand-100k/poker.csv.gz", "CLASS", "accuracy >= 0.6"),
    "california-housing": Set(
        "california-housing/housing.csv.gz", "median_house_value", "r2 >= 0.8"
    ),
    "diamonds": Set("diamonds/diamonds.csv.gz", "price", "r2 >= 0.97"),
    "bike-sharing": Set("bike-sharing/hour.csv.gz", "cnt", "r2 >= 0.6"),
    "parkinsons": Set(
        "parkinsons-telemonitoring/parkinsons_updrs.csv.gz", "total_UPDRS", "minimize mae"
    ),
}
QUICK = {"credit-g": Set("credit/credit_g.csv", "class", "roc_auc >= 0.70")}


def attain(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attain", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


def one(name: str, table: Set, data: Path, budget: list[str]) -> dict[str, Any]:
    """Init and run one set in a fresh folder; what came out."""
    folder = RESULTS / "tables" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    source = str((data / table.file).resolve())
    made = attain(folder, "init", source, "--target", table.target, "--objective", table.objective)
    ran = attain(folder, "run", "--json", *budget)
    (folder / "output.txt").write_text(made.stdout + made.stderr + ran.stdout + ran.stderr)
    answer: dict[str, Any] = {"set": name, "seconds": round(time.monotonic() - began, 1)}
    answer |= {"init_exit": made.returncode, "exit": ran.returncode}
    report = folder / "study" / "report.json"
    if report.exists():
        answer["verdict"] = verdict(folder / "study")
    return answer


def verdict(study: Path) -> list[dict[str, Any]]:
    """Each objective with its estimate on the sealed rows, from the ledger's last verdict."""
    import sqlite3

    with sqlite3.connect(f"file:{study / 'ledger.db'}?mode=ro", uri=True) as database:
        row = database.execute(
            "SELECT payload FROM records WHERE kind = 'verdict' ORDER BY id DESC"
        ).fetchone()
    if row is None:
        return []
    payload = json.loads(row[0])
    baseline = {(s["trial"], s["metric"]): s["estimate"] for s in payload["baseline"]}
    return [
        {
            "objective": f"{v['objective']['metric']} {v['objective']['target']}",
            "state": v["state"],
            **{k: v["score"][k] for k in ("estimate", "low", "high", "n")},
            "linear": baseline.get(("b001", v["objective"]["metric"])),
        }
        for v in payload["verdict"]["objectives"]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the public sets")
    parser.add_argument("--only", nargs="*", help="names of sets")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--quick", action="store_true", help="German credit, five trials")
    parser.add_argument("--check", action="store_true", help="exit 1 below eight verdicts")
    asked = parser.parse_args()
    if asked.quick:
        sets, data, trials, wanted = QUICK, HERE.parent / "examples", 5, 1
    elif asked.data is None:
        parser.error("--data FOLDER is needed (or --quick)")
    else:
        sets, data, trials, wanted = SETS, asked.data, asked.trials, 8
    budget = ["--trials", str(trials), "--minutes", str(asked.minutes)]
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "tables.json"
    done: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and not asked.quick else {}
    for name, table in sets.items():
        if name in done or (asked.only and name not in asked.only):
            continue
        done[name] = one(name, table, data, budget)
        print(json.dumps(done[name]), file=sys.stderr, flush=True)
        if not asked.quick:
            kept.write_text(json.dumps(done, indent=1))
    verdicts = sum(bool(d.get("verdict")) for d in done.values())
    print(
        json.dumps(
            {"benchmark": "tables", "sets": len(done), "verdicts": verdicts, "results": done}
        )
    )
    return 1 if asked.check and verdicts < min(wanted, len(done)) else 0


if __name__ == "__main__":
    sys.exit(main())
