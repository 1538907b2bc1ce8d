"""The fakes: honest learning, chosen faults, proposals that replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attain.core import registry
from attain.core.errors import ArtifactError
from attain.core.protocols import FitData, Job, Learner, Limits, Strategy
from attain.core.space import Categorical, Condition, Float, Int, Space
from attain.core.types import Column, ColumnKind, Dataset, Observed, Rows, Signal, Status, Task
from attain.runtime.local import LocalExecutor
from attain.testing.executor_suite import collect
from attain.testing.fake_learner import FAULTS
from attain.testing.fakes import FakeLearner, FakeStrategy, FaultyLearner, InlineExecutor
from attain.testing.learner_suite import check_learner


def made(task, n=300, seed=0):
    """Rows with numbers, gaps, categories and a target that depends on all of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    kind = rng.choice(["red", "blue", None], size=n)
    frame = pd.DataFrame({"a": x[:, 0], "b": 1000 + 50 * x[:, 1], "kind": kind})
    frame["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="h")
    frame["empty"] = np.nan
    score = 2 * x[:, 0] - x[:, 1] + 1.5 * (kind == "red")
    frame.loc[::17, "a"] = np.nan
    kinds = [ColumnKind.NUMERIC] * 2 + [ColumnKind.CATEGORICAL, ColumnKind.DATETIME]
    columns = [Column(str(c), k) for c, k in zip(frame, [*kinds, ColumnKind.NUMERIC], strict=True)]
    if task is Task.REGRESSION:
        y, classes, counts = 300 + 10 * score, (), ()
    else:
        edges = [0.5] if task is Task.BINARY else [-1.0, 1.5]
        y = np.searchsorted(edges, score).astype(np.int64)
        classes = tuple("abc"[: len(edges) + 1])
        counts = tuple(int(c) for c in np.bincount(y))
    dataset = Dataset("here", "ab", n, tuple(columns), "y", task, classes, counts)
    return dataset, Rows(frame, y)


def halves(task):
    dataset, rows = made(task)
    cut = np.arange(len(rows)) % 2 == 0
    return dataset, rows.take(np.flatnonzero(cut)), rows.take(np.flatnonzero(~cut))


def quiet(step, losses):
    return Signal.CONTINUE


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_fake_learner_learns(task):
    """On unseen rows it does far better than the best constant, for every task."""
    dataset, train, valid = halves(task)
    learner = FakeLearner()
    config = learner.space(dataset).defaults()
    model = learner.fit(config, FitData(dataset, train), quiet)
    output = learner.predict(model, valid)
    if task is Task.REGRESSION:
        assert output.shape == (len(valid),)
        assert np.mean((output - valid.y) ** 2) < 0.3 * np.var(valid.y)
    else:
        assert output.shape == (len(valid), len(dataset.classes))
        np.testing.assert_allclose(output.sum(axis=1), 1.0)
        guess = np.bincount(valid.y).max() / len(valid)
        assert np.mean(output.argmax(axis=1) == valid.y) > guess + 0.15


@pytest.mark.parametrize("task", [task for task in Task if not (task.counted or task.several)])
def test_fake_learner_saves_to_the_bit(task, tmp_path):
    """A loaded model predicts the same to the last bit; a damaged folder is refused."""
    dataset, train, valid = halves(task)
    learner = FakeLearner()
    model = learner.fit(learner.space(dataset).defaults(), FitData(dataset, train), quiet)
    model.save(tmp_path)
    loaded = FakeLearner().load(tmp_path)
    assert np.array_equal(learner.predict(model, valid), FakeLearner().predict(loaded, valid))
    assert loaded.facts == model.facts
    (tmp_path / "arrays.npz").write_bytes(b"junk")
    with pytest.raises(ArtifactError, match="holds no fake model"):
        FakeLearner().load(tmp_path)


def test_fake_learner_reports_and_obeys():
    """Losses fall, STOP ends the fit, hints fix the rounds, stop rows are scored."""
    dataset, train, valid = halves(Task.BINARY)
    learner = FakeLearner()
    config = {**learner.space(dataset).defaults(), "rounds": 30}
    seen = []
    learner.fit(config, FitData(dataset, train, stop=valid), lambda s, v: seen.append((s, v)))
    assert [step for step, _ in seen] == list(range(1, 31))
    assert seen[-1][1]["train"] < seen[0][1]["train"]
    assert seen[-1][1]["stop"] < seen[0][1]["stop"]
    stop = lambda step, losses: Signal.STOP if step == 4 else Signal.CONTINUE  # noqa: E731
    assert learner.fit(config, FitData(dataset, train), stop).facts == {"rounds": 4}
    hinted = FitData(dataset, train, hints={"rounds": 7})
    assert learner.fit(config, hinted, quiet).facts == {"rounds": 7}


def test_fake_learner_keeps_the_contract():
    """The fake learner passes the suite that every learner must pass."""
    check_learner(FakeLearner)


def test_fake_learner_keeps_the_best_round():
    """With stop rows that contradict the training rows the first round is kept, not the last."""
    dataset, train, valid = halves(Task.BINARY)
    against = Rows(valid.X, 1 - valid.y)
    learner = FakeLearner()
    config = learner.space(dataset).defaults()
    model = learner.fit(config, FitData(dataset, train, stop=against), quiet)
    assert model.facts == {"rounds": 1}
    hinted = FitData(dataset, train, hints=model.facts)
    assert np.array_equal(learner.fit(config, hinted, quiet).weights, model.weights)


def test_fake_learner_parameters_matter():
    """Each parameter changes the fit; a large penalty shrinks it."""
    dataset, train, _ = halves(Task.REGRESSION)
    learner = FakeLearner()
    config = {"penalty": 0.01, "rate": 0.5, "rounds": 40}

    def size(**change):
        model = learner.fit({**config, **change}, FitData(dataset, train), quiet)
        return float(np.abs(model.weights[:-1]).sum())

    assert size(penalty=10.0) < 0.5 * size()
    assert size(rounds=5) < size()
    assert size(rate=0.05) < size()


def fit(payload, progress):
    """Fit a faulty learner (called in a worker)."""
    dataset, rows = made(Task.BINARY, n=60)
    learner = registry.load("attain.testing.fakes:FaultyLearner")()
    config = {**learner.space(dataset).defaults(), "fault": payload["fault"]}
    losses = []
    model = learner.fit(config, FitData(dataset, rows), lambda s, v: losses.append(v["train"]))
    return losses[-1], bool(np.isnan(learner.predict(model, rows)).any())


@pytest.mark.timeout(60)
def test_every_fault_ends_as_it_should(tmp_path, monkeypatch):
    """In a worker each fault ends its job with the right status, and none hurts the next."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    wanted = {
        "none": Status.DONE,
        "nan": Status.DONE,
        "print": Status.DONE,
        "raise": Status.FAILED,
        "memoryerror": Status.MEMORY,
        "memory": Status.MEMORY,
        "exit": Status.KILLED,
        "vanish": Status.KILLED,
        "hang": Status.TIMEOUT,
    }
    assert set(wanted) == set(FAULTS)
    executor = LocalExecutor(workers=2, logs=tmp_path)
    call = f"{Path(__file__).stem}:fit"
    executor.warm(call)  # imports are not part of a job's time, then
    limits = Limits(seconds=4.0, bytes=400 * 2**20)
    jobs = [Job(fault, call, {"fault": fault}, limits) for fault in wanted]
    found = {id: events[-1] for id, events in collect(executor, *jobs).items()}
    executor.close()
    assert {id: event.status for id, event in found.items()} == wanted
    assert np.isnan(found["nan"].value[0])
    assert found["nan"].value[1]
    assert not found["none"].value[1]
    assert (tmp_path / "print.log").stat().st_size > 500_000


def test_fault_is_a_parameter_of_the_faulty_learner_only():
    """The honest learner's space has no fault; the faulty one starts without."""
    dataset, _ = made(Task.BINARY)
    assert "fault" not in FakeLearner().space(dataset).defaults()
    assert FaultyLearner().space(dataset).defaults()["fault"] == "none"


def test_fakes_can_be_registered():
    """The fakes keep the contracts that the registry checks, by name."""
    registry.register("learner", "fake", FakeLearner)
    registry.register("strategy", "fake", FakeStrategy)
    registry.register("executor", "inline", InlineExecutor)
    assert isinstance(registry.find("learner", "fake")(), Learner)
    assert isinstance(registry.find("strategy", "fake")(), Strategy)


SPACE = Space(
    (
        Float(name="x", low=1e-3, high=1.0, scale="log", default=0.1),
        Int(name="n", low=1, high=3, step=1),
        Categorical(name="c", choices=("a", "b")),
        Float(name="d", low=0.0, high=1.0, when=(Condition("c", ("b",)),)),
    )
)


@pytest.mark.parametrize("seed", range(5))
def test_fake_strategy_is_pure_and_inside_the_space(seed):
    """Same arguments, same proposals; all inside the space; the defaults come first."""
    strategy = FakeStrategy()
    first = strategy.propose(SPACE, (), 20, seed)
    assert first == FakeStrategy().propose(SPACE, (), 20, seed)
    assert first != strategy.propose(SPACE, (), 20, seed + 1)
    assert first[0].config == SPACE.defaults()
    assert len(first) == 20
    for proposal in first:
        SPACE.check(proposal.config)
    assert strategy.judge((), {"t": [1.0]}) == {}


def test_fake_strategy_never_repeats():
    """On a small discrete space each configuration is proposed once, then none."""
    space = Space((Int(name="n", low=1, high=3), Categorical(name="c", choices=("a", "b"))))
    history = []
    for _ in range(10):
        for proposal in FakeStrategy().propose(space, history, 2, seed=1):
            history.append(Observed(f"t{len(history)}", proposal.config, "done", 1.0))
    assert len(history) == 6
    assert len({tuple(sorted(o.config.items())) for o in history}) == 6


def test_inline_executor_cancels_the_running_job():
    """Cancelled from within its own progress, a job still ends once, as CANCELLED."""
    executor = InlineExecutor()
    executor.submit(Job("a", f"{__name__}:cancel_me", {"executor": 1}))
    cancel_me.executor = executor
    kinds = [(e.kind, e.status) for e in executor.events(0)]
    assert kinds == [("started", Status.DONE), ("ended", Status.CANCELLED)]


def cancel_me(payload, progress):
    """Cancel the job from inside (called in this process)."""
    cancel_me.executor.cancel("a")
