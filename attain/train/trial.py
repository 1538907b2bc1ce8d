"""Step 4: one fit, watched. Whatever a learner does, the study goes on and knows why."""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attain.core.protocols import FitData, Learner
from attain.core.space import Config
from attain.core.types import CurvePoint, Signal, Status
from attain.train.limits import Divergence

if TYPE_CHECKING:
    import numpy as np

MOST_POINTS = 200
"""Points kept of a curve; beyond, every second one is dropped, so that any length fits."""
_LONGEST_MESSAGE = 300

OnPoint = Callable[[CurvePoint], Signal | None]


@dataclass(frozen=True, eq=False)
class Trained:
    """How a fit ended.

    Attributes:
        model: The fitted model; None unless the status is DONE.
        status: DONE, FAILED, DIVERGED or MEMORY.
        message: Why it did not end well, or that it was cut short.
        curve: At most about 200 looks at the fit, evenly spread, the last one included.
        seconds: Wall time.
    """

    model: Any | None
    status: Status
    message: str = ""
    curve: tuple[CurvePoint, ...] = ()
    seconds: float = 0.0


def train(
    learner: Learner,
    config: Config,
    data: FitData,
    *,
    on_point: OnPoint | None = None,
    seconds: float | None = None,
) -> Trained:
    """Fit one model and say how it ended; never raises what the learner raises.

    A loss that is not a number, or that explodes (`limits.Divergence`), ends the fit. So does the
    clock, but then the model so far is kept: learners that learn in steps stop within one step.
    Libraries' warnings and tracebacks go to standard error, which a worker's log holds.

    Args:
        learner: What fits.
        config: Values of its parameters.
        data: Rows, seed and threads.
        on_point: Told every look at the fit; may answer with a signal, and STOP or PAUSE end the
            fit as the clock does. A learner that pauses keeps its state then; others are told STOP.
            What it raises is not the learner's fault and passes through.
        seconds: Soft limit of wall time; None for none. A learner that does not learn in steps
            cannot keep it; the executor's hard limit ends it.

    Returns:
        Model, status, message and curve.
    """
    can_pause = data.checkpoint is not None and getattr(learner, "pauses", False)
    watch = _Watch(on_point, seconds, can_pause)
    try:
        with _warnings_to_log():
            model = learner.fit(config, data, watch.report)
    except _Passing as passing:
        raise passing.error from None
    except MemoryError:
        traceback.print_exc(file=sys.stderr)
        return watch.ended(None, Status.MEMORY, "MemoryError: the fit needs more memory")
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is a failed trial
        traceback.print_exc(file=sys.stderr)
        if watch.diverged:
            return watch.ended(None, Status.DIVERGED, watch.message)
        return watch.ended(None, Status.FAILED, _short(error))
    if watch.diverged:
        return watch.ended(None, Status.DIVERGED, watch.message)
    return watch.ended(model, Status.DONE, watch.message)


def check_prediction(
    prediction: Any, n: int, classes: int, columns: int = 0, *, exclusive: bool = True
) -> str:
    """What is wrong with a learner's predictions.

    Args:
        prediction: What the learner returned.
        n: Rows it was given.
        classes: Number of classes; 0 for values.
        columns: Counts and sums of each row (`core.counts`); 0 for other predictions.
        exclusive: Whether a row is of one class only, not of any number of them.

    Returns:
        One sentence to fail the trial with, or an empty string when they are sound: the right
        shape, finite and, for classes, in [0, 1] with rows that sum to 1 if they are exclusive.
    """
    import numpy as np

    wanted = (n, columns or classes) if classes or columns else (n,)
    found = np.asarray(prediction)
    if found.shape != wanted:
        return f"predictions must have shape {wanted} (got {found.shape})"
    if found.dtype.kind not in "fiu":
        return f"predictions must be numbers (got {found.dtype})"
    broken = int(np.count_nonzero(~np.isfinite(found)))
    if broken:
        return f"predictions must be finite (got {broken} of {found.size} that are not)"
    return _improbable(found, exclusive) if classes and not columns else ""


def _improbable(found: np.ndarray, exclusive: bool) -> str:
    import numpy as np

    if found.size and (found.min() < -1e-9 or found.max() > 1 + 1e-9):
        return f"probabilities must lie in [0, 1] (got {found.min():.4g} to {found.max():.4g})"
    off = np.abs(found.sum(axis=1) - 1)
    if exclusive and found.size and off.max() > 1e-6:
        total = found.sum(axis=1)[int(off.argmax())]
        return f"a row's probabilities must sum to 1 (got {total:.6g} in row {int(off.argmax())})"
    return ""


class _Passing(BaseException):
    """Carries an error of `on_point` past a learner that catches exceptions."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class _Watch:
    """What a fit's report function remembers."""

    on_point: OnPoint | None
    limit: float | None
    can_pause: bool = False
    start: float = field(default_factory=time.monotonic)
    divergence: Divergence = field(default_factory=Divergence)
    diverged: bool = False
    message: str = ""
    points: list[CurvePoint] = field(default_factory=list)
    last: CurvePoint | None = None
    seen: int = 0
    stride: int = 1

    def report(self, step: int, values: Mapping[str, float]) -> Signal:
        """Note a look at the fit and say how to go on."""
        if values:
            self._keep(CurvePoint(int(step), {k: float(v) for k, v in values.items()}))
        problem = self.divergence.problem(step, values)
        if problem:
            self.diverged, self.message = True, problem
            return Signal.STOP
        if self.limit is not None and time.monotonic() - self.start > self.limit:
            self.message = f"stopped at step {step} by the limit of {self.limit:g} s"
            return Signal.STOP
        return self._ask(step, values)

    def ended(self, model: Any | None, status: Status, message: str) -> Trained:
        """The result, with the curve so far."""
        curve = list(self.points)
        if self.last is not None and (not curve or curve[-1] is not self.last):
            curve.append(self.last)
        return Trained(model, status, message, tuple(curve), time.monotonic() - self.start)

    def _keep(self, point: CurvePoint) -> None:
        if self.seen % self.stride == 0:
            self.points.append(point)
        self.seen += 1
        self.last = point
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self.stride *= 2

    def _ask(self, step: int, values: Mapping[str, float]) -> Signal:
        if self.on_point is None or not values:
            return Signal.CONTINUE
        assert self.last is not None  # values are there, so a point was kept
        try:
            answer = self.on_point(self.last)
        except Exception as error:
            raise _Passing(error) from error
        if answer is Signal.PAUSE:
            self.message = f"paused on request at step {step}"
            return Signal.PAUSE if self.can_pause else Signal.STOP
        if answer is Signal.STOP:
            self.message = f"stopped on request at step {step}"
            return Signal.STOP
        return Signal.CONTINUE


@contextmanager
def _warnings_to_log() -> Iterator[None]:
    """Print each different warning once to standard error instead of raising or repeating it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught):
                print(f"warning: {text}", file=sys.stderr)


def _short(error: Exception) -> str:
    text = str(error).strip()
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    first = " ".join(message.split())
    return first if len(first) <= _LONGEST_MESSAGE else first[: _LONGEST_MESSAGE - 1] + "…"
