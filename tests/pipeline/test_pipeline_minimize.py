"""Minimising a function: what ends it, what failures cost, what worker processes can take."""

from __future__ import annotations

import functools
import io
import math
import os
import signal
import threading
from pathlib import Path
from typing import Any

import minimize_functions as functions
import pytest
from minimize_functions import LINE, SPACE, Offset, bowl, broken, hostile, slow

import attain
from attain.core.errors import LedgerError, SpaceError, SpecError
from attain.pipeline.asktell import Optimizer
from attain.pipeline.function_jobs import check_importable
from attain.pipeline.goals import read_goals
from attain.pipeline.minimize import Ended, MinimizeResult
from attain.pipeline.ticker import Ticker
from attain.strategy.bayes import Bayes


def minimize(function: Any, space: Any, **settings: Any) -> MinimizeResult:
    """Without progress."""
    return attain.minimize(function, space, **{"progress": False, **settings})


def test_it_finds_the_minimum() -> None:
    """Thirty trials on a mixed space; the result says what, where and why it ended."""
    result = minimize(bowl, SPACE, trials=30, seed=1)
    assert result.ended is Ended.TRIALS
    assert result.config is not None
    assert result.loss == bowl(dict(result.config)) < 0.5
    assert result.metrics == {"loss": result.loss}
    assert len(result.trials) == 30
    assert "all trials have ended (30 trials)" in str(result)


def test_it_is_the_loop_of_ask_and_tell() -> None:
    """The same trials as by hand; the seed and the strategy change them."""
    optimizer = Optimizer(SPACE, seed=2)
    for _ in range(8):
        trial = optimizer.ask()
        optimizer.tell(trial, bowl(dict(trial.config)))
    result = minimize(bowl, SPACE, trials=8, seed=2)
    assert [(t.config, t.loss) for t in result.trials] == [
        (t.config, t.loss) for t in optimizer.trials
    ]
    configs = [t.config for t in result.trials]
    for change in ({"seed": 3}, {"strategy": "random"}, {"start": [result.trials[5].config]}):
        other = minimize(bowl, SPACE, **{"trials": 8, "seed": 2, **change})
        assert [t.config for t in other.trials] != configs


def test_the_default_is_a_hundred_trials() -> None:
    """Without any limit there are a hundred; an exhausted space ends earlier and says so."""
    assert len(minimize(lambda c: c["x"], LINE, strategy="random").trials) == 100
    result = minimize(lambda c: c["k"], {"k": [1, 2, 3]})
    assert (result.ended, len(result.trials)) == (Ended.EXHAUSTED, 3)
    assert "every configuration of the space was tried" in result.reason


def test_the_target_ends_it() -> None:
    """In the metric's own sign, and only within the limits."""
    up = minimize(lambda c: c["x"], LINE, goals="maximize a", target=0.9, strategy="random")
    assert up.ended is Ended.TARGET
    assert up.metrics["a"] >= 0.9 > max(t.metrics["a"] for t in up.trials[:-1])

    def beyond(config: dict[str, Any]) -> dict[str, float]:
        return {"a": config["x"], "b": config["x"]}

    within = minimize(beyond, LINE, goals="maximize a, b <= 0.5", target=0.9, trials=20)
    assert within.ended is Ended.TRIALS


def test_seconds_end_it() -> None:
    """The clock ends the search, whatever the number of trials."""
    result = minimize(slow, LINE, seconds=0.4, strategy="random")
    assert result.ended is Ended.SECONDS
    assert 1 <= len(result.trials) <= 9


def test_failures_are_trials_with_messages() -> None:
    """An exception, NaN and a wrong type fail their trial; the search goes on."""

    def moody(config: dict[str, Any]) -> Any:
        x = config["x"]
        if x > 0.8:
            raise RuntimeError("too large")
        return math.nan if x > 0.7 else None if x > 0.6 else x

    result = minimize(moody, LINE, trials=40, strategy="random")
    said = {t.message.partition(" (got")[0] for t in result.trials if not t.done}
    assert {"RuntimeError: too large", "loss is nan"} < said
    assert any("a result must be a real number" in text for text in said)
    failed = sum(not t.done for t in result.trials)
    assert f"(40 trials, {failed} failed)" in result.reason


def test_a_function_that_never_succeeds_stops_the_search() -> None:
    """After five failures of five the function's own error is shown, and is the cause."""
    with pytest.raises(SpecError, match=r"5 of 5 trials failed.*no file for x = 2") as caught:
        minimize(broken, SPACE, trials=50)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(SpecError, match="did the function forget to"):
        minimize(lambda c: None, LINE, trials=3)


def test_failures_after_a_success_do_not_stop_it() -> None:
    """One success is enough to go on."""
    calls = iter(range(100))
    result = minimize(lambda c: c["x"] if next(calls) == 0 else 1 / 0, LINE, trials=12)
    assert len(result.trials) == 12


def test_a_repaired_function_gets_its_trials_again(tmp_path: Path) -> None:
    """The trials of a broken function are asked again, starts too, once it was repaired."""
    start = [{"x": 0.125}, {"x": 0.25}]
    works = False

    def function(config: dict[str, Any]) -> float:
        if not works:
            raise OSError("no such file")
        return float(config["x"])

    settings: Any = {"trials": 7, "start": start, "output": tmp_path / "out", "strategy": "random"}
    with pytest.raises(SpecError, match="no such file"):
        minimize(function, LINE, **settings)
    works = True
    result = minimize(function, LINE, **settings)
    assert [t.config for t in result.trials[:2]] == start
    assert all(t.done for t in result.trials)
    assert len(result.trials) == 7


def test_with_output_it_continues_and_repeats_nothing(tmp_path: Path) -> None:
    """Three calls make what one would have made; a fourth finds nothing to do."""
    settings: Any = {"strategy": "bayes", "seed": 4}
    calls: list[float] = []

    def function(config: dict[str, Any]) -> float:
        calls.append(config["x"])
        return bowl(dict(config))

    whole = minimize(function, SPACE, trials=9, **settings)
    calls.clear()
    for trials in (3, 6, 9, 9):
        part = minimize(function, SPACE, trials=trials, output=tmp_path / "out", **settings)
    assert len(calls) == 9
    assert [t.config for t in part.trials] == [t.config for t in whole.trials]
    assert part.output == tmp_path / "out"


def test_seconds_are_counted_over_all_calls(tmp_path: Path) -> None:
    """A call that has used up its time is not given it again."""
    settings: Any = {"seconds": 0.3, "strategy": "random", "output": tmp_path / "out"}
    first = minimize(slow, LINE, **settings)
    again = minimize(slow, LINE, **settings)
    assert again.ended is Ended.SECONDS
    assert len(again.trials) <= len(first.trials) + 1
    assert len(minimize(slow, LINE, **{**settings, "seconds": 0.8}).trials) > len(again.trials)


def test_another_function_or_writer_is_refused(tmp_path: Path) -> None:
    """A folder belongs to one function and, at a time, to one process."""
    minimize(slow, LINE, trials=1, output=tmp_path)
    with pytest.raises(SpecError, match=r"goes on with the function it began with .got broken"):
        minimize(broken, LINE, trials=1, output=tmp_path)
    with (
        Optimizer(LINE, ledger=tmp_path / "ledger.db"),
        pytest.raises(LedgerError, match="one study has one writer"),
    ):
        minimize(slow, LINE, trials=2, output=tmp_path)


def test_ctrl_c_returns_what_was_found(tmp_path: Path) -> None:
    """The interrupted trial is asked again by the next call; the finished ones are kept."""
    stop = True

    def function(config: dict[str, Any]) -> float:
        calls.append(config["x"])
        if stop and len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the signal comes first")
        return float(config["x"])

    calls: list[float] = []
    settings: Any = {"trials": 6, "strategy": "random", "output": tmp_path / "out"}
    result = minimize(function, LINE, **settings)
    assert result.ended is Ended.INTERRUPTED
    assert [t.status for t in result.trials] == ["done", "done", "done", "lost"]
    assert "the same call continues" in result.reason
    stop = False
    result = minimize(function, LINE, **settings)
    assert calls[4] == calls[3]
    assert len(calls) == 7
    assert [t.status for t in result.trials] == ["done"] * 6


def test_ctrl_c_gives_up_what_workers_run(tmp_path: Path) -> None:
    """The search ends at once, running trials are asked again by the next call."""
    settings: Any = {"workers": 2, "strategy": "random", "output": tmp_path / "out"}
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = minimize(slow, LINE, seconds=60, **settings)
    timer.join()
    assert result.ended is Ended.INTERRUPTED
    assert {t.status for t in result.trials} <= {"done", "lost"}
    known = len(result.trials)
    again = minimize(slow, LINE, trials=known, **settings)
    assert [t.config for t in again.trials] == [t.config for t in result.trials]
    assert all(t.done for t in again.trials)


def test_worker_processes_share_the_work() -> None:
    """Two workers: every trial is its own, running ones are not proposed again."""
    result = minimize(slow, LINE, trials=12, workers=2, seed=1)
    assert len({t.config["x"] for t in result.trials}) == 12
    assert all(t.done and t.seconds >= 0.05 for t in result.trials)
    best = min(result.trials, key=lambda t: t.loss or math.inf)
    assert result.loss == best.loss == (best.config["x"] - 0.3) ** 2


def test_workers_survive_a_hostile_function() -> None:
    """Exits, exceptions and NaN in a worker end their trial with a message, not the search."""
    result = minimize(hostile, LINE, trials=24, workers=2, strategy="random", seed=1)
    assert {t.status for t in result.trials} == {"done", "failed", "killed"}
    assert all(t.message for t in result.trials if not t.done)
    with pytest.raises(SpecError, match="ValueError: no file for x = 2"):
        minimize(broken, SPACE, trials=50, workers=2)


def test_seconds_give_up_what_workers_run() -> None:
    """At the end of the time running trials are given up, and are lost, not failed."""
    result = minimize(slow, LINE, seconds=0.02, workers=2, strategy="random")
    assert result.ended is Ended.SECONDS
    assert {t.status for t in result.trials} <= {"lost", "done"}


@pytest.mark.parametrize(
    "function",
    [bowl, Offset(0.5), Offset(0.5).method, functools.partial(bowl), math.fsum, Offset],
    ids=["function", "instance", "method", "partial", "builtin", "class"],
)
def test_what_can_go_to_a_worker(function: Any) -> None:
    """Whatever another process can import."""
    check_importable(function)


def test_what_cannot_go_to_a_worker_says_what_to_do() -> None:
    """Lambdas, nested functions and functions of a script are refused before anything runs."""

    def nested(config: dict[str, Any]) -> float:
        return 0.0

    script = type(bowl)(bowl.__code__, {})
    script.__module__ = "__main__"
    renamed = type(bowl)(bowl.__code__, {}, "elsewhere")
    renamed.__module__ = functions.__name__
    for function, why in (
        (lambda c: 0.0, "a lambda"),
        (functools.partial(nested), "inside of another function"),
        (script, "in the script that was started"),
        (renamed, "which minimize_functions does not have"),
    ):
        with pytest.raises(SpecError, match=f"{why}.*define it at the top of a module"):
            minimize(function, LINE, workers=2, trials=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "trials: must be a whole number, at least 1"),
        ({"seconds": 0}, "seconds: must be a finite number, above 0"),
        ({"target": math.nan}, "target: must be a finite number"),
        ({"target": 1, "goals": "minimize a, minimize b"}, "a target needs a single goal"),
        ({"workers": 0}, "workers: must be a whole number"),
        ({"seed": 0.5}, "seed: must be a whole number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(settings: Any, message: str) -> None:
    """Each is named, before the function is called."""
    with pytest.raises(SpecError, match=message):
        minimize(broken, LINE, **settings)


def test_function_and_space_are_checked() -> None:
    """Something that cannot be called, and a range that is none."""
    with pytest.raises(SpecError, match="function: must be something to call"):
        minimize(3, LINE)
    with pytest.raises(SpaceError, match=r"below high"):
        minimize(bowl, {"x": (1.0, 0.0)})


def test_the_frame_has_a_column_for_everything() -> None:
    """Parameters, metrics and messages, one row per trial."""
    frame = minimize(bowl, SPACE, trials=6, strategy="random").frame()
    assert len(frame) == 6
    assert {"id", "status", "loss", "seconds", "reason", "metric.loss", "config.x"} < {*frame}


def test_progress_is_written_to_stderr_or_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Improvements, the first failure and the end are lines; without progress there is none."""
    calls = iter(range(9))
    attain.minimize(lambda c: 1 / (next(calls) % 2), LINE, trials=4)
    said = capsys.readouterr()
    assert said.out == ""
    assert "t00001 failed: ZeroDivisionError: division by zero" in said.err
    assert said.err.count("failed: Zero") == 1
    assert "best loss 1 (t00002)" in said.err
    assert "all trials have ended (4 trials, 2 failed)" in said.err
    minimize(lambda c: 1.0, LINE, trials=2)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_changes() -> None:
    """It is drawn at most eight times a second and erased before a line that stays."""
    at, stream = 0.0, Terminal()
    ticker = Ticker(stream, read_goals("minimize loss"), 9, now=lambda: at)
    optimizer = Optimizer(LINE)
    for step, loss in enumerate((3.0, 2.0, 1.0)):
        at = 0.1 * (step + 1)
        trial = optimizer.tell(optimizer.ask(), loss)
        ticker.ended(step + 1, trial, optimizer.best)
    ticker.line("the end")
    assert stream.getvalue().count("trial ") == 1
    assert "[0 s] trial 2 of 9: best loss 2 (t00002)" in stream.getvalue()
    assert stream.getvalue().endswith("\r[0 s] the end\n")


@pytest.mark.parametrize(("goal", "wanted"), [("minimize loss", 0.5), ("maximize loss", -0.5)])
def test_the_strategy_is_told_what_is_good_enough(goal, wanted, monkeypatch) -> None:
    """A target reaches a strategy that can aim at one, as a loss; others go without."""
    seen = []
    original = Bayes.propose
    monkeypatch.setattr(
        Bayes, "propose", lambda self, *args: seen.append(self.target) or original(self, *args)
    )
    space = {"x": (0.0, 1.0)}
    for strategy in ("bayes", "random"):
        settings = {"goals": [goal], "trials": 3, "target": 0.5, "strategy": strategy}
        minimize(lambda c: 2.0 if goal.startswith("min") else 0.0, space, **settings)
    assert set(seen) == {wanted}
