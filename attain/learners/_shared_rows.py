"""Rows of a table are prepared once for all fits of a fold, in all workers of a study.

What was prepared lies in the study's cache under the key of its rows and its plan, as arrays that
workers map into their memory; a worker keeps what it used last, and the bins that a learner made of
it. Whoever comes first prepares; who comes meanwhile waits, which takes no longer than doing it
again. Rows that are prepared in a moment each worker keeps for itself: a file would cost more.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from attain.core.errors import AttainError, EnvironmentProblem
from attain.core.protocols import FitData
from attain.core.savings import saved
from attain.core.seeds import derive
from attain.core.types import Rows
from attain.learners._cache_file import locked
from attain.learners._prepare import Plan, Prepared, fit_prepare, load_prepare
from attain.learners._store import read_json, write_json

T = TypeVar("T")

WORTH_A_FILE = 0.1
"""Seconds of preparing from which on others are spared it: writing and mapping take a tenth."""
_MOST_BYTES = 512e6
"""What a worker keeps in memory; one fold is kept whatever its size."""
_LEAST_FREE = 0.1
"""Of the disk: what is below is left to the study's records."""
_CODE = 1
"""Raised when the same plan gives other numbers than before."""


@dataclass(eq=False)
class SharedRows:
    """Prepared rows, read-only, since other fits go on with them.

    Attributes:
        prepared: The preparation.
        matrix: Training rows, float64, shape (n, width).
        stop: Rows to stop on, float64, shape (m, width); None without.
        seconds: What preparing them took.
        kept: What learners made of these rows, by a name of theirs.
    """

    prepared: Prepared
    matrix: np.ndarray
    stop: np.ndarray | None
    seconds: float
    kept: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def made(self, name: str, make: Callable[[], T]) -> T:
        """What a learner makes of the rows, made once in a worker.

        Args:
            name: Tells apart what is made; the same name means the same thing.
            make: Makes it.

        Returns:
            The same object at each call.
        """
        if name in self.kept:
            thing, seconds = self.kept[name]
            saved(seconds)
            return thing
        began = time.perf_counter()
        thing = make()
        self.kept[name] = thing, time.perf_counter() - began
        return thing

    @property
    def bytes(self) -> float:
        """Memory: the arrays, and an eighth more for each thing made of them (bins are bytes)."""
        arrays = self.matrix.nbytes + (0 if self.stop is None else self.stop.nbytes)
        return arrays * (1 + len(self.kept) / 8)


_recent: dict[str, SharedRows] = {}


def shared_rows(plan: Plan, data: FitData, stop: Rows | None) -> SharedRows:
    """Rows prepared as a learner wants them.

    Args:
        plan: How columns become numbers.
        data: The rows, and their key; without one nothing is shared.
        stop: Rows to stop on, of classes that the training rows have; None without.

    Returns:
        The same numbers whether they were found or computed.
    """
    if not data.rows_key:
        return _prepare(plan, data, stop, data.seed)
    parts = json.dumps([data.rows_key, str(data.cache), asdict(plan), _CODE], sort_keys=True)
    key = blake2b(parts.encode(), digest_size=16).hexdigest()
    found = _recent.pop(key, None)
    if found is None:
        found = _found_or_made(key, plan, data, stop)
    else:
        saved(found.seconds)
    _recent[key] = found  # the last in order of use
    while len(_recent) > 1 and sum(rows.bytes for rows in _recent.values()) > _MOST_BYTES:
        _recent.pop(next(iter(_recent)))
    return found


def _prepare(plan: Plan, data: FitData, stop: Rows | None, seed: int) -> SharedRows:
    began = time.perf_counter()
    prepared, matrix = fit_prepare(plan, data.dataset, data.train, seed)
    stopped = None if stop is None or not matrix.shape[1] else prepared.transform(stop.X)
    for array in (matrix, stopped):
        if array is not None:
            array.flags.writeable = False
    return SharedRows(prepared, matrix, stopped, time.perf_counter() - began)


def _found_or_made(key: str, plan: Plan, data: FitData, stop: Rows | None) -> SharedRows:
    """From the study's cache; what cannot be kept there is made for this worker alone."""
    seed = derive(0, data.rows_key)  # of the rows, not of the fit
    if data.cache is None:
        return _prepare(plan, data, stop, seed)
    home = data.cache / f"rows-{key}"
    rows: SharedRows | None = None
    try:
        data.cache.mkdir(parents=True, exist_ok=True)
        with locked(data.cache / f"rows-{key}.lock"):
            found = _read(home)
            if found is not None:
                saved(found.seconds)
                return found
            rows = _prepare(plan, data, stop, seed)
            if rows.seconds >= WORTH_A_FILE:
                _write(home, rows)
    except (OSError, EnvironmentProblem) as error:
        text = f"prepared rows cannot be kept in {home} ({error}); each worker prepares its own"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return rows or _prepare(plan, data, stop, seed)


def _read(home: Path) -> SharedRows | None:
    """What lies there; None if nothing does, or if it is damaged."""
    if not home.is_dir():
        return None
    try:
        about = read_json(home, "rows.json")
        arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r") for name in about["sums"]}
        if any(_sum(array) != about["sums"][name] for name, array in arrays.items()):
            return None
        prepared = load_prepare(home)
        return SharedRows(prepared, arrays["matrix"], arrays.get("stop"), about["seconds"])
    except (AttainError, OSError, ValueError, KeyError, TypeError):
        return None


def _write(home: Path, rows: SharedRows) -> None:
    arrays = {"matrix": rows.matrix} | ({} if rows.stop is None else {"stop": rows.stop})
    disk = shutil.disk_usage(home.parent)
    size = sum(array.nbytes for array in arrays.values())
    if disk.free - size < _LEAST_FREE * disk.total:
        return
    draft = Path(tempfile.mkdtemp(prefix=".rows-", dir=home.parent))
    try:
        rows.prepared.save(draft)
        for name, array in arrays.items():
            np.save(draft / f"{name}.npy", array, allow_pickle=False)
        sums = {name: _sum(array) for name, array in arrays.items()}
        write_json(draft, "rows.json", {"seconds": rows.seconds, "sums": sums})
        shutil.rmtree(home, ignore_errors=True)  # damaged, else it would have been read
        draft.replace(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data) if array.size else 0
