"""Best known and median losses, which regret is measured by: many random configurations.

For test functions the optimum is exact. What runs come to lowers the best known loss further; it is
kept ("found"), so that figures do not depend on which runs a folder holds.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from figures import best_known
from problems import Problem, problem

from attain.core.seeds import derive
from attain.strategy._encode import Cube

VERSION = 1
MANY = {"lcbench": 20_000, "rbv2_xgboost": 20_000, "bbob": 20_000, "live": 600, "mixed": 5_000}


def measure(one: Problem, n: int) -> dict[str, Any]:
    """Least and median loss of n random configurations, uniform on each parameter's scale.

    Args:
        one: Where to draw.
        n: How many.

    Returns:
        An entry of the reference.
    """
    cube = Cube(one.space)
    rng = np.random.default_rng(derive(0, "reference", one.name))
    losses = [one.evaluate(cube.decode(rng.random(len(cube)))) for _ in range(n)]
    exact = one.optimum is not None
    best = one.optimum if exact else min(losses)
    entry = {"best": best, "median": float(np.median(losses)), "exact": exact, "drawn": n}
    entry |= {"random_best": min(losses), "default": one.evaluate(one.default)}
    return {k: float(f"{v:.10g}") if isinstance(v, float) else v for k, v in entry.items()}


def write(file: Path, names: tuple[str, ...], data: Path | None) -> int:
    """Measure problems and keep the entries of the others.

    Args:
        file: The reference.
        names: Which problems.
        data: Folder of YAHPO's scenarios.

    Returns:
        An exit code.
    """
    kept = json.loads(file.read_text()) if file.exists() else {"problems": {}}
    entries = kept["problems"]
    for name in names:
        one = problem(name, data)
        found = entries.get(name, {}).get("found")
        entries[name] = measure(one, MANY[one.suite]) | ({} if found is None else {"found": found})
        if not math.isfinite(entries[name]["median"] - entries[name]["best"]):
            raise ValueError(f"{name} has no finite median")
        print(name, json.dumps(entries[name]), file=sys.stderr, flush=True)
        packages = ("numpy", "scikit-learn", "onnxruntime", "coco-experiment")
        made_with = {package: metadata.version(package) for package in packages}
        answer = {"version": VERSION, "made_with": made_with, "problems": entries}
        file.write_text(json.dumps(answer, indent=1) + "\n")
    print(json.dumps({"benchmark": "search-reference", "problems": len(entries)}))
    return 0


def lower(file: Path, least: Mapping[str, float]) -> int:
    """Keep the lowest losses that runs came to, where they are below what is known.

    Args:
        file: The reference.
        least: By problem.

    Returns:
        An exit code.
    """
    kept = json.loads(file.read_text())
    before = best_known(kept["problems"], {})
    for name, value in best_known(kept["problems"], least).items():
        if value < before[name]:
            kept["problems"][name]["found"] = float(f"{value:.10g}")
            print(f"{name} {before[name]:.10g} -> {value:.10g}", file=sys.stderr)
    file.write_text(json.dumps(kept, indent=1) + "\n")
    lowered = sum("found" in entry for entry in kept["problems"].values())
    print(json.dumps({"benchmark": "search-reference", "lowered_by_runs": lowered}))
    return 0
