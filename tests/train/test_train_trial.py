"""One fit, watched: whatever a learner does ends as a status with a message."""

import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from attain.core.protocols import FitData
from attain.core.registry import find
from attain.core.types import Rows, Signal, Status, Task
from attain.testing.learner_suite import synthetic
from attain.train.limits import EXPLODES, Divergence
from attain.train.trial import MOST_POINTS, check_prediction, train

DATASET, ROWS = synthetic(Task.BINARY)
DATA = FitData(DATASET, ROWS.take(np.arange(80)), ROWS.take(np.arange(80, 120)))


class Scripted:
    """Reports given losses and returns how many it came to, or does what it is told."""

    def __init__(self, losses=(), act=None):
        self.losses, self.act, self.reported = losses, act, 0

    def fit(self, config, data, report):
        for i, loss in enumerate(self.losses):
            self.reported += 1
            values = loss if isinstance(loss, dict) else {"train": loss}
            if report(i + 1, values) is Signal.STOP:
                return "stopped"
        if self.act is not None:
            self.act()
        return "whole"


def test_a_sound_fit_gives_model_curve_and_time():
    """A real learner: DONE, a model, one point for each round, both losses."""
    told = []
    learner = find("learner", "lightgbm")()
    done = train(learner, {"learning_rate": 0.3}, DATA, on_point=told.append)
    assert done.status is Status.DONE
    assert done.message == ""
    assert done.seconds > 0
    assert [point.step for point in done.curve] == list(range(1, len(told) + 1))
    assert done.curve == tuple(told)
    assert set(done.curve[0].values) == {"train", "stop"}
    assert learner.predict(done.model, ROWS).shape == (120, 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["train", "stop"])
def test_a_loss_that_is_no_number_ends_the_fit(bad, name):
    """Any named loss; the point is kept, the model is not."""
    learner = Scripted([{"train": 1.0}, {name: bad}, {"train": 1.0}])
    done = train(learner, {}, DATA)
    assert (done.status, done.model) == (Status.DIVERGED, None)
    assert done.message == f"the {name} loss is {bad} at step 2"
    assert learner.reported == 2
    assert len(done.curve) == 2


def test_an_exploding_loss_ends_the_fit_after_three_looks():
    """Three looks in a row above best + 10 * first; the message has the numbers."""
    learner = Scripted([1.0, 0.5, 12.0, 13.0, 14.0, 1.0])
    done = train(learner, {}, DATA)
    assert done.status is Status.DIVERGED
    assert "rose to 14 at step 5, after a best of 0.5 and a first of 1" in done.message
    assert learner.reported == 5


@pytest.mark.parametrize(
    "losses",
    [
        [1.0, 0.5, 12.0, 13.0, 0.4, 14.0, 15.0],  # never three in a row
        [1.0, 1e-9, 1e-3, 1e-2, 0.1, 0.1],  # a thousand times the best, far below the first
        [{"train": 1.0, "stop": s} for s in (1.0, 50.0, 90.0, 99.0, 120.0)],  # overfitting
        [-5.0, -9.0, -3.0, -2.0, -1.0],  # log densities
        [5.0, 5.0, 5.0, 5.0],
    ],
)
def test_what_is_no_divergence_goes_on(losses):
    """Spikes, noise near zero, overfitting, negative losses and plateaus are not divergence."""
    done = train(Scripted(losses), {}, DATA)
    assert (done.status, done.model) == (Status.DONE, "whole")


def test_the_threshold_is_as_documented():
    """Just below is forgiven, just above is not."""
    for offset, wanted in ((-1e-6, False), (1e-6, True)):
        watch = Divergence()
        watch.problem(1, {"train": 2.0})
        loss = 2.0 + EXPLODES * 2.0 + offset
        assert bool([watch.problem(s, {"train": loss}) for s in range(3)][-1]) is wanted


def test_a_network_that_diverges_is_reported_as_such():
    """The real thing: a learning rate far too large."""
    config = {"learning_rate": 1e30, "layers": 4}
    done = train(find("learner", "mlp")(), config, DATA)
    assert done.status is Status.DIVERGED
    assert "loss" in done.message


def test_the_soft_limit_keeps_the_model_so_far():
    """DONE with a message: what was learnt in the time granted counts."""
    learner = find("learner", "lightgbm")()
    done = train(learner, {"learning_rate": 0.005}, DATA, seconds=0.0)
    assert done.status is Status.DONE
    assert done.message == "stopped at step 1 by the limit of 0 s"
    assert check_prediction(learner.predict(done.model, ROWS), 120, 2) == ""


def test_forests_keep_the_soft_limit_too():
    """They grow in chunks; a chunk without losses is no point of the curve."""
    done = train(find("learner", "random_forest")(), {"trees": 200}, DATA, seconds=0.0)
    assert done.model.facts["trees"] == 25
    assert done.curve == ()


@pytest.mark.parametrize(("signal", "word"), [(Signal.STOP, "stopped"), (Signal.PAUSE, "paused")])
def test_on_point_can_end_the_fit(signal, word):
    """The caller's answer to a point is a signal."""
    learner = Scripted([1.0] * 9)
    done = train(learner, {}, DATA, on_point=lambda p: signal if p.step == 4 else None)
    assert (done.model, done.message) == ("stopped", f"{word} on request at step 4")
    assert learner.reported == 4


def test_an_exception_is_a_failed_trial_with_its_traceback_in_the_log(capsys):
    """One line for people, the traceback for the log, nothing raised."""

    def fail():
        raise ValueError("n_neighbors must be\n   positive")

    done = train(Scripted(act=fail), {}, DATA)
    assert (done.status, done.model) == (Status.FAILED, None)
    assert done.message == "ValueError: n_neighbors must be positive"
    assert "in fail" in capsys.readouterr().err


def test_long_messages_are_cut():
    """A library that prints a page does not fill the ledger."""

    def fail():
        raise RuntimeError("x" * 9999)

    assert len(train(Scripted(act=fail), {}, DATA).message) == 300


def test_running_out_of_memory_has_its_own_status():
    """MemoryError is not an ordinary failure."""

    def fail():
        raise MemoryError

    done = train(Scripted(act=fail), {}, DATA)
    assert (done.status, done.model) == (Status.MEMORY, None)
    assert "more memory" in done.message


def test_a_learner_that_fails_after_a_bad_loss_has_diverged():
    """The cause is named, not the error that followed from it."""

    class Careless(Scripted):
        def fit(self, config, data, report):
            report(1, {"train": float("nan")})
            raise FloatingPointError("later")

    done = train(Careless(), {}, DATA)
    assert (done.status, done.message) == (Status.DIVERGED, "the train loss is nan at step 1")


def test_an_interrupt_passes_through():
    """Ctrl-C is not a failed trial."""

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        train(Scripted(act=interrupt), {}, DATA)


def test_what_on_point_raises_is_not_the_learners_fault():
    """A broken pipe to the caller surfaces, even through a learner that catches exceptions."""

    class Catching(Scripted):
        def fit(self, config, data, report):
            try:
                report(1, {"train": 1.0})
            except Exception:  # noqa: BLE001 - that is the point
                return "swallowed"

    def broken(point):
        raise BrokenPipeError("the worker's pipe is gone")

    with pytest.raises(BrokenPipeError, match="pipe is gone"):
        train(Catching(), {}, DATA, on_point=broken)


def test_warnings_go_to_the_log_once(capsys):
    """A library's warning, also repeated, is one line of the log and never raised."""

    def warn():
        for _ in range(5):
            warnings.warn("this will change", FutureWarning, stacklevel=1)

    done = train(Scripted(act=warn), {}, DATA)
    assert done.status is Status.DONE
    assert capsys.readouterr().err == "warning: FutureWarning: this will change\n"


@pytest.mark.parametrize("length", [1, MOST_POINTS, MOST_POINTS + 1, 5000])
def test_curves_of_any_length_stay_short(length):
    """Evenly thinned, first and last point kept, in order."""
    done = train(Scripted([1.0] * length), {}, DATA)
    steps = [point.step for point in done.curve]
    assert len(steps) <= MOST_POINTS + 1
    assert len(steps) >= min(length, MOST_POINTS // 2)
    assert (steps[0], steps[-1]) == (1, length)
    gaps = np.diff(steps[:-1])
    assert len(set(gaps.tolist())) <= 1


def test_time_is_measured():
    """Seconds are wall time of the fit."""
    done = train(Scripted(act=lambda: time.sleep(0.05)), {}, DATA)
    assert 0.05 <= done.seconds < 5


@pytest.mark.parametrize(
    ("prediction", "n", "classes", "message"),
    [
        (np.full((2, 2), 0.5), 2, 2, ""),
        (np.array([1.0, 2.0]), 2, 0, ""),
        (np.empty((0, 3)), 0, 3, ""),
        (np.array([[0.5, 0.5]]), 2, 2, "must have shape (2, 2) (got (1, 2))"),
        (np.ones((2, 1)), 2, 0, "must have shape (2,) (got (2, 1))"),
        (np.array([1.0, np.nan, np.inf]), 3, 0, "must be finite (got 2 of 3 that are not)"),
        (np.array([[1.2, -0.2]]), 1, 2, "must lie in [0, 1] (got -0.2 to 1.2)"),
        (np.array([[0.5, 0.5], [0.5, 0.4]]), 2, 2, "must sum to 1 (got 0.9 in row 1)"),
        (np.array(["a", "b"]), 2, 0, "must be numbers (got <U1)"),
        (None, 2, 0, "must have shape (2,) (got ())"),
    ],
)
def test_predictions_are_checked(prediction, n, classes, message):
    """Shape, kind, finiteness, range and sum: the first problem with its numbers, or nothing."""
    found = check_prediction(prediction, n, classes)
    assert found.endswith(message)
    assert bool(found) is bool(message)


def test_training_does_not_need_scikit_learn():
    """The module itself loads no learning library."""
    code = (
        "import sys, attain.train.trial\n"
        "print([m for m in ('sklearn', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_lengths_are_checked_by_the_learner():
    """A fit without rows fails as a status, with the learner's own words."""
    done = train(find("learner", "linear")(), {}, FitData(DATASET, Rows(ROWS.X[:0], ROWS.y[:0])))
    assert done.status is Status.FAILED
    assert "got 0 rows" in done.message
