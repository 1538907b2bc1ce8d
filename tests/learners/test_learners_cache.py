"""The cache gives what was computed, computes it once, and never gives what was damaged."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.learners import _cache_file
from attain.learners._cache import FloatStore, Ragged, RaggedStore, byte_keys, ragged, text_keys

WIDTH = 3
PARTS = {"model": "abc"}


def keys_of(names: list[int]) -> np.ndarray:
    return byte_keys(b"%d" % name for name in names)


def row(name: int) -> np.ndarray:
    """The features that belong to a name."""
    return np.array([name, name * 0.5, -name], dtype=np.float32)


def ids(name: int) -> list[int]:
    """The tokens that belong to a name; some have none."""
    return list(range(name, name + name % 5))


class Counted:
    """Computes the rows of names, and remembers for which it was asked."""

    def __init__(self, names: list[int]) -> None:
        self.names, self.asked = names, []  # type: ignore[var-annotated]

    def floats(self, index: np.ndarray) -> np.ndarray:
        asked = [self.names[i] for i in index]
        self.asked += asked
        return np.array([row(name) for name in asked], dtype=np.float32).reshape(-1, WIDTH)

    def ragged(self, index: np.ndarray) -> Ragged:
        asked = [self.names[i] for i in index]
        self.asked += asked
        return ragged(ids(name) for name in asked)


def floats(folder: Path | None, names: list[int], **how: Any) -> tuple[np.ndarray, list[int]]:
    """Rows of a fresh store, and which of them were computed."""
    counted = Counted(names)
    rows = FloatStore(folder, "features", PARTS, WIDTH).get(keys_of(names), counted.floats, **how)
    np.testing.assert_array_equal(rows, np.array([row(n) for n in names]).reshape(-1, WIDTH))
    return rows, counted.asked


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("*/rows.bin")
    return found


@settings(max_examples=40, deadline=None)
@given(
    calls=st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=5),
    batch=st.integers(1, 9),
)
def test_any_calls_give_the_right_rows_and_compute_each_once(
    calls: list[list[int]], batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over any sequence of calls, by stores of their own, and for both kinds of rows."""
    folder = tmp_path_factory.mktemp("cache")
    seen: set[int] = set()
    for names in calls:
        _, asked = floats(folder, names, batch=batch)
        assert sorted(asked) == sorted(set(names) - seen)
        counted = Counted(names)
        tokens = RaggedStore(folder, "tokens", PARTS).get(
            keys_of(names), counted.ragged, batch=batch
        )
        assert [tokens.row(i).tolist() for i in range(len(tokens))] == [ids(n) for n in names]
        assert sorted(counted.asked) == sorted(set(names) - seen)
        seen |= set(names)


def test_without_a_folder_everything_is_computed_each_time() -> None:
    """None keeps nothing, and still computes equal keys once."""
    assert floats(None, [1, 2, 1])[1] == [1, 2]
    assert floats(None, [1, 2, 1])[1] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "parts", "width"),
    [("features", {"model": "other"}, WIDTH), ("feat", PARTS, WIDTH), ("features", PARTS, 4)],
)
def test_other_settings_are_another_store(
    tmp_path: Path, kind: str, parts: dict[str, str], width: int
) -> None:
    """Whatever decides a row besides its content keeps rows apart."""
    floats(tmp_path, [1, 2])
    asked: list[int] = []

    def compute(index: np.ndarray) -> np.ndarray:
        asked.extend(index)
        return np.ones((len(index), width), dtype=np.float32)

    FloatStore(tmp_path, kind, parts, width).get(keys_of([1, 2]), compute)
    assert sorted(asked) == [0, 1]


def test_it_says_what_it_saved(tmp_path: Path) -> None:
    """Rows found are worth the seconds that they had cost."""

    def slow(index: np.ndarray) -> np.ndarray:
        time.sleep(0.05)
        return np.zeros((len(index), WIDTH), dtype=np.float32)

    first = FloatStore(tmp_path, "features", PARTS, WIDTH)
    first.get(keys_of([1, 2, 3, 4]), slow)
    assert (first.found, first.computed, first.saved) == (0, 4, 0.0)
    assert first.spent >= 0.05
    second = FloatStore(tmp_path, "features", PARTS, WIDTH)
    second.get(keys_of([1, 2, 9]), slow)
    assert (second.found, second.computed) == (2, 1)
    assert second.saved == pytest.approx(first.spent / 2)


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    """Batch by batch, of all distinct rows."""
    told: list[tuple[int, int]] = []
    floats(tmp_path, [*range(10), 0], batch=4, progress=lambda *at: told.append(at))
    assert [of for _, of in told] == [10, 10, 10]
    assert [done for done, _ in told] in ([4, 8, 10], [4, 6, 10], [2, 6, 10])


@pytest.mark.parametrize("lost", [1, 9, 63, 64, 100, 127])
def test_a_torn_tail_is_computed_again(tmp_path: Path, lost: int) -> None:
    """A file that ends in the middle of a block gives the blocks before it and takes new ones."""
    floats(tmp_path, [1, 2])
    floats(tmp_path, [3, 4])
    path = file_of(tmp_path)
    os.truncate(path, path.stat().st_size - lost)
    _, asked = floats(tmp_path, [1, 2, 3, 4])
    assert asked == ([3, 4] if lost > 8 else [])  # the last 8 bytes only fill the block up
    assert floats(tmp_path, [1, 2, 3, 4])[1] == []


def test_any_flipped_bit_is_computed_again_and_never_returned(tmp_path: Path) -> None:
    """Wherever it is, in a header, a key or a number, later blocks stay readable."""
    floats(tmp_path, [1, 2])
    floats(tmp_path, [3, 4])
    floats(tmp_path, [5, 6])
    whole = file_of(tmp_path).read_bytes()
    random = np.random.default_rng(0)
    half = len(whole) // 3
    for place in [0, 9, 20, 44, 64, *random.integers(0, half, 30).tolist()]:
        spoilt = bytearray(whole)
        spoilt[half + place] ^= 1 << int(random.integers(8))
        file_of(tmp_path).write_bytes(bytes(spoilt))
        _, asked = floats(tmp_path, [1, 2, 3, 4, 5, 6])
        assert asked in ([3, 4], [])
        assert floats(tmp_path, [1, 2, 3, 4, 5, 6])[1] == []


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    """What is no block is skipped, and blocks are added behind it."""
    floats(tmp_path, [1])
    file_of(tmp_path).write_bytes(b"something else entirely" * 9)
    assert floats(tmp_path, [1])[1] == [1]
    assert floats(tmp_path, [1])[1] == []
    assert file_of(tmp_path).read_bytes().startswith(b"something else")


def test_a_full_disk_costs_the_cache_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning, right rows, no rest of the block, and what was there is still used."""
    floats(tmp_path, [1, 2])
    size = file_of(tmp_path).stat().st_size
    real = _cache_file.BlockFile.append

    def full(self: Any, content: bytes, rows: int, seconds: float) -> None:
        monkeypatch.setattr(_cache_file, "_up", _no_space)
        try:
            real(self, content, rows, seconds)
        finally:
            monkeypatch.undo()

    def _no_space(position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_cache_file.BlockFile, "append", full)
    with pytest.warns(RuntimeWarning, match="No space left.*computed again"):
        _, asked = floats(tmp_path, [1, 2, 3, 4, 5], batch=2)
    assert sorted(asked) == [3, 4, 5]
    assert file_of(tmp_path).stat().st_size == size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_write_that_fails_half_way_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own error, at the write itself."""
    file = _cache_file.BlockFile(Path("/dev/full"))
    shortened: list[int] = []
    monkeypatch.setattr(_cache_file, "_shorten", lambda path, size: shortened.append(size))
    with pytest.raises(OSError, match="No space left"):
        file.append(b"x" * 100, 1, 0.0)
    assert shortened == [0]


def test_a_folder_that_cannot_be_made_costs_the_cache_only(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "cache").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert floats(tmp_path / "cache", [1, 2])[1] == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        floats(tmp_path / "cache", [1, 2])  # it has been said


WORKER = """
import sys, time
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_learners_cache import FloatStore, PARTS, WIDTH, keys_of, row
folder, slow, names = Path(sys.argv[2]), float(sys.argv[3]), list(range(int(sys.argv[4])))
asked = 0
def compute(index):
    global asked
    asked += len(index)
    time.sleep(slow)
    return np.array([row(names[i]) for i in index], dtype=np.float32)
print("ready", flush=True)
sys.stdin.readline()
rows = FloatStore(folder, "features", PARTS, WIDTH).get(keys_of(names), compute, batch=5)
assert (rows == np.array([row(n) for n in names])).all()
print(asked, flush=True)
"""


def worker(folder: Path, slow: float, names: int) -> subprocess.Popen[str]:
    """A process that computes the rows of so many names, once it is told to begin."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WORKER, here, str(folder), str(slow), str(names)]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    began = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    assert began.stdout is not None
    assert began.stdout.readline() == "ready\n"
    return began


def test_two_processes_at_once_share_the_work(tmp_path: Path) -> None:
    """Both get all rows right, and together they compute hardly more than one would."""
    names = 300
    pair = [worker(tmp_path, 0.005, names), worker(tmp_path, 0.005, names)]
    for process in pair:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    asked = [int(process.communicate(timeout=60)[0]) for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert names <= sum(asked) < 2 * names
    assert floats(tmp_path, list(range(names)))[1] == []


@pytest.mark.skipif(os.name == "nt", reason="needs a signal that cannot be caught")
def test_a_kill_at_any_moment_spoils_nothing(tmp_path: Path) -> None:
    """Processes killed while they append leave right rows behind, and no lock."""
    names = 1000
    for delay in (0.01, 0.03, 0.06):
        process = worker(tmp_path, 0.0, names)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        floats(tmp_path, list(range(0, names, 7)), batch=50)
    floats(tmp_path, list(range(names)))
    assert floats(tmp_path, list(range(names)))[1] == []


TORN = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from attain.learners._cache_file import BlockFile
from test_learners_cache import floats
real = BlockFile.append
def half(self, content, rows, seconds):
    real(self, content, rows, seconds)
    os.truncate(self.path, self.path.stat().st_size - 70)
    os.kill(os.getpid(), signal.SIGKILL)
floats(Path(sys.argv[2]), [1, 2])
BlockFile.append = half
floats(Path(sys.argv[2]), [3, 4, 5, 6])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a signal that cannot be caught")
def test_a_kill_in_the_middle_of_a_block_frees_the_lock(tmp_path: Path) -> None:
    """It died with the lock and half of a block written; nobody waits, the half is not read."""
    command = [sys.executable, "-c", TORN, str(Path(__file__).parent), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    died = subprocess.run(command, env=environment, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert floats(tmp_path, [1, 2, 3, 4, 5, 6])[1] == [3, 4, 5, 6]
    assert floats(tmp_path, [1, 2, 3, 4, 5, 6])[1] == []


def test_text_keys_tell_pairs_apart() -> None:
    """Where the first text ends matters; equal texts have equal keys; half surrogates are text."""
    pairs = text_keys(["ab", "a", "", "ab"], ["c", "bc", "abc", "c"])
    assert len(np.unique(pairs, axis=0)) == 3
    assert (pairs[0] == pairs[3]).all()
    alone = text_keys(["abc", "\ud83d", "abc"])
    assert len(np.unique(alone, axis=0)) == 2
    assert len(text_keys([])) == 0


def test_rows_of_different_lengths_are_taken_in_any_order() -> None:
    """Also empty ones, also none."""
    rows = ragged([[1, 2], [], [3], [4, 5, 6]])
    taken = rows.take(np.array([3, 1, 0, 3]))
    assert [taken.row(i).tolist() for i in range(4)] == [[4, 5, 6], [], [1, 2], [4, 5, 6]]
    assert len(rows.take(np.empty(0, dtype=np.int64))) == 0
    assert ragged([]).lengths.tolist() == []
