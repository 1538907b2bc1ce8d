"""What is delivered when the time is used up before anything, or before a finalist, is complete.

Whatever was validated by then is worth something: a configuration counts on the folds that it has,
and a finalist that was not confirmed is delivered as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable

from attain.pipeline.study import Study
from attain.pipeline.trials import Trials

LATE = "the time was used up"
FEWEST_FRESH = 2  # folds of a confirmation that tell how much scores scatter
_LEARNS = ("baseline", "search")


def is_late(study: Study) -> bool:
    """Whether the time budget is used up."""
    return study.seconds_left() <= 0


def has_model(trials: Trials) -> bool:
    """Whether any configuration that learns has a loss, so that there is something to deliver."""
    return any(trials.scored[name].loss is not None for name in _models(trials, scored=True))


def failure(trials: Trials) -> str:
    """That no configuration succeeded and what the first failure said; empty if none failed."""
    failed = [trials.scored[n] for n in _models(trials, scored=True)]
    failed = [s for s in failed if s.loss is None and s.message]
    failed.sort(key=lambda s: trials.trials[s.trial].purpose != "search")
    return (
        f"no searched configuration succeeded; the first said: {failed[0].message}"
        if failed
        else ""
    )


def rescue(study: Study, trials: Trials, pump: Callable[[], None]) -> None:
    """See to it that there is something to deliver, if anything can be had.

    When no configuration is complete, the one with most folds counts on these; when there is not a
    single fold, the first that ends is waited for, so a study overruns by one fit at most. All else
    that is unfinished is ended.

    Args:
        study: Whose search is over.
        trials: The study's trials.
        pump: Takes in what happened meanwhile; may raise when the study is to stop.
    """
    while not has_model(trials) and trials.busy and not _furthest(trials, _LEARNS):
        pump()
    if not has_model(trials):
        furthest = _furthest(trials, _LEARNS)
        if furthest:
            trials.cut(furthest, LATE)
    for purpose in _LEARNS:
        trials.drop(purpose, LATE)


def settle_confirmations(trials: Trials) -> None:
    """End the confirmations under way; if none is complete, the furthest counts on its folds.

    Args:
        trials: The study's trials.
    """
    if not trials.succeeded("confirm"):
        furthest = _furthest(trials, ("confirm",))
        if furthest and trials.folds_done(furthest) >= FEWEST_FRESH:
            trials.cut(furthest, LATE)
    trials.drop("confirm", LATE)


def _furthest(trials: Trials, purposes: tuple[str, ...]) -> str:
    """The unscored trial of a learner with most folds, the first of equals; empty if none has."""
    able = [n for n in _models(trials, scored=False) if trials.trials[n].purpose in purposes]
    most = max((trials.folds_done(name) for name in able), default=0)
    return next((n for n in able if most and trials.folds_done(n) == most), "")


def _models(trials: Trials, *, scored: bool) -> list[str]:
    return [
        t.id
        for t in trials.trials.values()
        if t.learner != "baseline" and (t.id in trials.scored) is scored
        if t.purpose != "confirm" or not scored
    ]
