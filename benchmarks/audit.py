"""What the data audit finds of faults that were planted into real data, and what it takes.

    python benchmarks/audit.py --data FOLDER [--only adult sms] [--cleanlab PYTHON] [--check]
    python benchmarks/audit.py --data FOLDER --held-out [--check]
    python benchmarks/audit.py --quick [--check]

FOLDER holds the public sets under the names in SETS (see benchmarks/README.md). Each check's fault
is planted at three strengths into 1,500 rows of each set to which it applies; then all checks are
asked. A fault is found when its check says so and names the planted column. A false alarm is a
finding on a planted table that is not there without the fault, and is not one of the fault's own
consequences (`audit_faults.ALSO`). Label errors are compared with cleanlab's on the same
probabilities, by the interpreter given. `--held-out` plants with other seeds into sets that
no check was made or mended with, and keeps its own results. `--quick` takes two bundled sets and
one strength. What is finished is kept in `results/`; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from audit_faults import ALSO, FAULTS, TARGET, Base, Planted

from attain.core.protocols import Subject
from attain.core.types import Finding, FindingState
from attain.data.audit import CHECKS, audit
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.mislabels import mislabels
from attain.data.quick import encode, fold_of, out_of_fold, wants_linear
from attain.data.seal import load_work, make_seal, sealed_summary
from attain.data.sketch import sketch
from attain.data.table import to_rows, usable

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "audit.json"
ROWS, FRESH = 1_500, 400
RECALL, PRECISION, SECONDS, BEHIND = 0.9, 0.9, 30.0, 0.02  # targets
NOISE = (0.05, 0.2)


@dataclass(frozen=True)
class Set:
    """A public table."""

    file: str
    target: str
    text: str | None = None
    drop: tuple[str, ...] = ()


SETS = {
    "adult": Set("adult/adult_train.csv.gz", "income"),
    "bank-marketing": Set("bank-marketing/bank_full.csv.gz", "deposit"),
    "credit-g": Set("credit-g/credit_g.csv", "class"),
    "california": Set("california-housing/housing.csv.gz", "median_house_value"),
    "diamonds": Set("diamonds/diamonds.csv.gz", "price"),
    "wine": Set("wine-quality/wine_quality.csv", "quality"),
    "titanic": Set("titanic/titanic.csv", "Survived"),
    "bike-sharing": Set("bike-sharing/hour.csv.gz", "cnt", None, ("casual", "registered")),
    "sms": Set("sms-spam/sms_spam.csv", "label", "text"),
    "sst2": Set("sst2/sst2_train.tsv", "label", "text"),
}
HELD_OUT = ("titanic", "wine", "bank-marketing", "bike-sharing")
HELD_OUT_SEED = 1_000
NOISY = ("adult", "bank-marketing", "credit-g", "sms", "sst2")


def base_of(frame: pd.DataFrame, target: str, text: str | None, seed: int = 0) -> Base:
    """Rows in random order, the first for training, the next as fresh test rows."""
    frame = frame.rename(columns={target: TARGET}).dropna(subset=[TARGET])
    if text is not None:
        frame = frame.drop_duplicates(text)
    frame = frame.sample(frac=1, random_state=seed, ignore_index=True)
    many = min(ROWS, round(0.75 * len(frame)))
    names = set(describe(load_frame(frame), target=TARGET).classes)
    return Base(frame.head(many), frame.iloc[many : many + FRESH], len(names), text)


def bundled() -> dict[str, Base]:
    """Sets that need no download: a table of scikit-learn's and German credit."""
    from sklearn.datasets import load_breast_cancer

    cancer = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "malignant"})
    credit = pd.read_csv(HERE.parent / "examples" / "credit" / "credit_g.csv")
    return {
        "breast-cancer": base_of(cancer, "malignant", None),
        "credit-g": base_of(credit, "class", None),
    }


def subject_of(planted: Planted, seal: bool) -> Subject:
    """Rows as the audit sees them; with the user's own test rows, after the sealing step."""
    frame = load_frame(planted.frame.reset_index(drop=True))
    dataset = describe(frame, target=TARGET, **planted.roles)
    summary: Any = {}
    if seal:
        test = None if planted.test is None else planted.test.reset_index(drop=True)
        with tempfile.TemporaryDirectory() as folder:
            dataset, made = make_seal(frame, dataset, Path(folder), test_frame=test)
            frame, summary = load_work(Path(folder)), sealed_summary(made)
    has = usable(frame, dataset)
    frame = frame.loc[has].reset_index(drop=True)
    return Subject(dataset, frame, to_rows(frame, dataset), summary)


def answers(planted: Planted) -> dict[str, Finding]:
    """All checks, without the effects of what they find."""
    subject = subject_of(planted, seal=planted.test is not None)
    return {check.code: check().run(subject) for check in CHECKS}


def one(
    base: Base, plain: dict[str, Finding], code: str, strength: int, seed: int = 0
) -> dict[str, Any] | None:
    """Plant one fault; whether it was found, and what else was said."""
    plant, strengths = FAULTS[code]
    planted = plant(base, strengths[strength], np.random.default_rng(strength + seed))
    if planted is None:
        return None
    told = answers(planted)
    finding, was = told[code], plain[code]
    hit = finding.state is FindingState.FOUND and set(planted.columns) <= set(finding.columns)
    if was.state is FindingState.FOUND:  # the real data have the fault already: more of it is told
        hit = hit and finding.explanation != was.explanation
    alarms = [
        other
        for other, f in told.items()
        if f.state is FindingState.FOUND
        and plain[other].state is not FindingState.FOUND
        and other != code
        and other not in ALSO.get(code, set())
    ]
    return {"found": bool(hit), "severity": str(finding.severity), "alarms": alarms}


def noisy(base: Base, share: float) -> dict[str, Any] | None:
    """Probabilities and labels of which a share is flipped."""
    subject = subject_of(Planted(base.frame), seal=False)
    k = len(subject.dataset.classes)
    if k < 2:
        return None
    rng = np.random.default_rng(0)
    true = subject.rows.y
    bad = rng.random(len(true)) < share
    y = np.where(bad, (true + rng.integers(1, k, len(true))) % k, true)
    features = subject.dataset.features
    design = encode(subject.rows.X, features, linear=wants_linear(k, features))
    p = out_of_fold(design, y, fold_of(sketch(subject).hashes), k)
    return {"y": y, "p": p, "bad": bad}


CLEANLAB = (
    "import sys, json, numpy as np; from cleanlab.filter import find_label_issues; "
    "d = np.load(sys.argv[1]); print(json.dumps(find_label_issues(d['y'], d['p'], "
    "return_indices_ranked_by='normalized_margin', n_jobs=1).tolist()))"
)


def labels(base: Base, share: float, python: str | None) -> dict[str, Any] | None:
    """Recall and precision of rows, ours and cleanlab's."""
    case = noisy(base, share)
    if case is None:
        return None
    told = {"ours": mislabels(case["y"], case["p"]).rows}
    if python:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "case.npz"
            np.savez(file, **case)
            ran = subprocess.run([python, "-c", CLEANLAB, str(file)], capture_output=True,
                                 text=True, check=True)  # fmt: skip
        told["cleanlab"] = np.array(json.loads(ran.stdout.splitlines()[-1]), dtype="int64")
    bad = case["bad"]
    return {
        who: {
            "recall": round(float(bad[rows].sum() / bad.sum()), 4),
            "precision": round(float(bad[rows].mean()), 4) if len(rows) else 1.0,
            "at_k": round(float(bad[rows[: bad.sum()]].mean()), 4) if len(rows) else 0.0,
        }
        for who, rows in told.items()
    }


def timed(rows: int) -> dict[str, Any]:
    """Seconds of the whole audit, effects included, on a made table of 30 columns."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=rows) for i in range(15)}
    columns |= {f"i{i}": rng.integers(0, 1000, rows) for i in range(4)}
    holes = rng.random(rows) < 0.05
    columns |= {f"g{i}": np.where(holes, np.nan, rng.normal(size=rows)) for i in range(2)}
    words = np.array([f"level {k}" for k in range(40)], dtype=object)
    columns |= {f"c{i}": words[rng.integers(40, size=rows)] for i in range(7)}
    start = pd.Timestamp("2024-01-01")
    columns["day"] = start + pd.to_timedelta(rng.integers(0, 10**7, rows), "s")
    columns["target"] = (columns["x0"] + rng.normal(size=rows) > 0).astype(int)
    subject = subject_of(Planted(pd.DataFrame(columns)), seal=False)
    wall, cpu = time.perf_counter(), time.process_time()
    audit(subject)
    return {
        "rows": rows,
        "columns": len(columns),
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def summary(done: dict[str, Any]) -> dict[str, Any]:
    """Recall and precision of each check, and which targets are missed."""
    hits: dict[str, list[list[bool]]] = defaultdict(lambda: [[], [], []])
    alarms: dict[str, int] = defaultdict(int)
    for key, one in done["faults"].items():
        _, code, strength = key.split("/")
        if one is None:
            continue
        hits[code][int(strength)].append(one["found"])
        for other in one["alarms"]:
            alarms[other] += 1
    checks = {}
    for code in FAULTS:
        found = [sum(h) for h in hits[code]]
        of = [len(h) for h in hits[code]]
        total = sum(found)
        checks[code] = {
            "found": found,
            "of": of,
            "recall": round(total / sum(of), 3) if sum(of) else None,
            "alarms": alarms[code],
            "precision": round(total / (total + alarms[code]), 3) if total + alarms[code] else None,
        }
    missed = [
        f"{code}: recall {c['recall']:.0%}"
        for code, c in checks.items()
        if c["recall"] is not None and c["recall"] < RECALL
    ]
    missed += [
        f"{code}: precision {c['precision']:.0%}"
        for code, c in checks.items()
        if c["precision"] is not None and c["precision"] < PRECISION
    ]
    missed += [f"labels {key}: recall {v['ours']['recall']:.0%}, cleanlab's is "
               f"{v['cleanlab']['recall']:.0%}" for key, v in done["labels"].items()
               if v and "cleanlab" in v
               and v["ours"]["recall"] < v["cleanlab"]["recall"] - BEHIND]  # fmt: skip
    if done["time"] and done["time"]["seconds"] > SECONDS:
        missed.append(f"{done['time']['seconds']} s for {done['time']['rows']:,} rows")
    known = [v for v in checks.values() if sum(v["of"])]
    found, of = (sum(sum(v[k]) for v in known) for k in ("found", "of"))
    wrong = sum(v["alarms"] for v in known)
    return {
        "benchmark": "audit",
        "planted": of,
        "recall": round(found / of, 4) if of else None,
        "precision": round(found / (found + wrong), 4) if found + wrong else None,
        "checks": checks,
        "labels": done["labels"],
        "time": done["time"],
        "missed": missed,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the public sets")
    parser.add_argument("--only", nargs="*", help="names of sets")
    parser.add_argument("--cleanlab", help="a Python that has cleanlab")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table that is timed")
    parser.add_argument("--quick", action="store_true", help="bundled sets, middle strength")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--held-out", action="store_true", help="other sets and seeds, no timing")
    asked = parser.parse_args()
    seed = HELD_OUT_SEED if asked.held_out else 0
    if not asked.quick and asked.data is None:
        parser.error("--data FOLDER is needed (or --quick)")
    results = RESULTS.with_stem("audit_quick") if asked.quick else RESULTS
    results = RESULTS.with_stem("audit_held_out") if asked.held_out else results
    results.parent.mkdir(exist_ok=True)
    done: dict[str, Any] = {"faults": {}, "labels": {}, "time": None}
    if results.exists() and not asked.quick:
        done = json.loads(results.read_text())
    strengths = (1,) if asked.quick else (0, 1, 2)
    tuned = [name for name in SETS if name not in HELD_OUT]
    for name in bundled() if asked.quick else asked.only or (HELD_OUT if asked.held_out else tuned):
        if asked.quick:
            base = bundled()[name]
        else:
            which = SETS[name]
            frame = load_frame(asked.data / which.file)
            base = base_of(frame.drop(columns=list(which.drop)), which.target, which.text, seed)
        plain: dict[str, Finding] = {}
        for code in FAULTS:
            for strength in strengths:
                key = f"{name}/{code}/{strength}"
                if key in done["faults"]:
                    continue
                plain = plain or answers(Planted(base.frame, test=base.fresh))
                done["faults"][key] = one(base, plain, code, strength, seed)
                results.write_text(json.dumps(done, indent=1))
        for share in NOISE if asked.quick or name in NOISY else ():
            key = f"{name} {share:.0%}"
            if key not in done["labels"]:
                done["labels"][key] = labels(base, share, asked.cleanlab)
        results.write_text(json.dumps(done, indent=1))
        print(name, file=sys.stderr, flush=True)
    if done["time"] is None and not asked.held_out:
        done["time"] = timed(20_000 if asked.quick else asked.rows)
    results.write_text(json.dumps(done, indent=1))
    told = summary(done)
    print(json.dumps(told))
    return 1 if asked.check and told["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
