"""Everything the report shows of the final model, computed once, within a time limit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from attain.core.types import Dataset, Rows
from attain.report import effects, local, mistakes
from attain.report.cells import what_cells_say
from attain.report.importance import Loss, Predict, permutation_importance
from attain.report.pictures import Known, Sight, what_files_say
from attain.report.singles import Attribute, Question
from attain.report.surrogate import MOST_ROWS, surrogate
from attain.report.trying import PAIRS, Trying, players
from attain.report.words import what_words_say

__all__ = ["explain", "permutation_importance"]

MOST_ERRORS = 20
MOST_EFFECTS = 6
MOST_DRIVERS = 30
_LEAST_SHARE = 0.25  # of the time that the model itself is asked at least
_SHARE_OF_WORDS = 0.75  # of the time, where words can be told: one column of texts has no rival
_SHARE_OF_IMPORTANCE = 0.6  # of what is left; effects and single rows share the rest
_SHARE_OF_CELLS = 0.3  # of what is left then


def explain(
    predict: Predict,
    rows: Rows,
    *,
    dataset: Dataset,
    metric: str,
    loss: Loss,
    y_prediction: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
    positions: np.ndarray | None = None,
    beats_baseline: bool = True,
    threshold: float | None = None,
    attribute: Attribute | None = None,
    contribute: Attribute | None = None,
    sight: Sight | None = None,
    repeats: int = 5,
    seconds: float = 20.0,
    seed: int = 0,
) -> dict[str, Any]:
    """The payload of the record ``explanation``, but for hyperparameters.

    Mistakes are read from `y_prediction`. Importance, effects and the columns behind single
    mistakes ask `predict`; they are withheld when the model does not beat the baseline, because
    explanations of a model that knows nothing mislead.

    Args:
        predict: The model that is asked: rows to probabilities (n, classes) or values (n,).
        rows: Rows with their target, none of them sealed.
        dataset: Of these rows.
        metric: Name of the metric behind `loss`.
        loss: ``loss(y, prediction)``, lower is better.
        y_prediction: Out-of-fold predictions of the chosen configuration, one for each of `rows`;
            a row with NaN has none and is left out. None takes the predictions of `predict`.
        held_out: Which of `rows` (positions among them) the model behind `predict` was not trained
            on; only these are asked about. None says that it has seen none of them.
        positions: Position of each of `rows` in the user's data, for naming mistakes; None for
            0, 1, 2, ...
        beats_baseline: Whether the confirmed score beats the baseline's.
        threshold: Probability from which the second of two classes is predicted; None for the
            usual rule.
        attribute: Says what words or places of files said to the model behind `predict`; None if
            it cannot tell.
        contribute: Says exactly what columns said to it; None to find out by trying.
        sight: Draws and compares files for the same model; None where there are none.
        repeats: Shuffles of each group of columns.
        seconds: Wall time to spend; when it is short, less is looked at, and ``notes`` says what.
        seed: Of all sampling.

    Returns:
        JSON values: ``metric``, ``rows``, ``seconds``, ``notes`` (sentences: what was sampled or
        left out), ``withheld`` (a reason, or empty), ``importance``, ``partial_dependence``,
        ``errors``, ``cases`` (some of them seen closely), ``surrogate``, ``words``
        (`words.what_words_say`), ``pictures`` (`pictures.what_files_say`), ``cells``
        (`cells.what_cells_say`; None where words or files are told), ``confusion``,
        ``per_class``, ``calibration``, ``curves`` and ``residuals`` (None where they do not
        apply); the functions that make them say what is inside. How much hyperparameters mattered
        rests on trials, not on the model: see `hyper.importance`.
    """
    began = time.perf_counter()
    unseen = np.arange(len(rows)) if held_out is None else np.asarray(held_out)
    names = np.arange(len(rows)) if positions is None else positions
    prediction = predict(rows) if y_prediction is None else y_prediction
    asked = _Asked(
        predict, rows, dataset, loss, unseen, seed, names, prediction, threshold, attribute,
        contribute, sight,
    )  # fmt: skip
    payload, notes = _from_predictions(rows, dataset, prediction, threshold, seed)
    payload |= {"importance": [], "partial_dependence": [], "withheld": "", "words": None}
    payload |= {"cases": [], "surrogate": None, "pictures": None, "cells": None}
    if beats_baseline:
        payload |= _from_model(asked, payload["errors"], repeats, began + seconds, seconds, notes)
    else:
        payload["withheld"] = (
            "The model does not beat the baseline. An explanation of a model that knows nothing "
            "would mislead, so none is given."
        )
    payload["errors"] = [{**e, "row": int(names[e["row"]])} for e in payload["errors"]]
    payload |= {"metric": metric, "rows": len(rows), "notes": notes}
    return {**payload, "seconds": time.perf_counter() - began}


@dataclass(frozen=True, eq=False)
class _Asked:
    """The model that is asked, and about which rows.

    Attributes:
        predict: The model.
        rows: All rows.
        dataset: Of these rows.
        loss: Lower is better.
        held_out: Positions the model has not seen.
        seed: Of all sampling.
        names: Position of each row in the user's data.
        prediction: Out-of-fold predictions.
        threshold: As for `explain`.
        attribute: Likewise.
        contribute: Likewise.
        sight: Likewise.
    """

    predict: Predict
    rows: Rows
    dataset: Dataset
    loss: Loss
    held_out: np.ndarray
    seed: int
    names: np.ndarray
    prediction: np.ndarray
    threshold: float | None
    attribute: Attribute | None
    contribute: Attribute | None
    sight: Sight | None

    def said(self, row: int) -> Any:
        """The target of a row, as people know it."""
        assert self.rows.y is not None
        return mistakes.in_words(self.dataset, self.rows.y[row])

    @property
    def only_files(self) -> bool:
        """Whether a model of files is asked: nothing else is read, so no column has a rival."""
        return self.sight is not None

    def single_rows(self, deadline: float, notes: list[str]) -> dict[str, Any]:
        """What words or files say, until time is up; None where the model cannot tell."""
        question = None if self.attribute is None else self._question(self.attribute)
        if question is None:
            return {}
        seconds = max(0.0, deadline - time.perf_counter())
        if self.sight is None:
            found, told = what_words_say(question, seconds)
        else:
            learnt = np.setdiff1d(np.arange(len(self.rows)), self.held_out)
            known = Known(self.rows, self.names, self.prediction, learnt)
            found, told = what_files_say(question, self.sight, known, seconds)
        notes += told
        return {"words" if self.sight is None else "pictures": found}

    def cells(
        self, importance: list[dict[str, Any]], seconds: float, notes: list[str]
    ) -> dict[str, Any] | None:
        """What columns say of single rows; None where words do, or there is but one column."""
        columns = list(self.rows.X.columns)
        if self.attribute is not None or len(columns) < 2 or not importance:
            return None
        asked = self.contribute
        if asked is None:
            some = np.random.default_rng([self.seed, 5]).permutation(self.held_out)[:PAIRS]
            others = self.rows.take(np.sort(some))
            asked = Trying(self.predict, others, players(importance, columns), self.seed)
        question = self._question(asked)
        if question is None:
            return None
        found, told = what_cells_say(question, seconds, exact=self.contribute is not None)
        notes += told
        return found

    def _question(self, ask: Attribute) -> Question | None:
        """Rows that the model has not seen, with an out-of-fold prediction.

        None without any, and where a row carries several labels: answers are about one class.
        """
        known = np.isfinite(self.prediction.reshape(len(self.prediction), -1)).all(axis=1)
        unseen = self.held_out[known[self.held_out]]
        if not len(unseen) or self.dataset.task.several:
            return None
        return Question(
            ask,
            self.predict,
            self.rows.take(unseen),
            self.names[unseen],
            self.prediction[unseen],
            self.dataset,
            self.threshold,
            self.seed,
        )


def _from_predictions(
    rows: Rows, dataset: Dataset, prediction: np.ndarray, threshold: float | None, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """What out-of-fold predictions alone tell."""
    assert rows.y is not None
    known = np.isfinite(prediction.reshape(len(prediction), -1)).all(axis=1)
    notes = []
    if not known.all():
        left = int((~known).sum())
        notes.append(f"{left:,} of {len(known):,} rows have no out-of-fold prediction.")
    y, p, index = rows.y[known], prediction[known], np.flatnonzero(known)
    found: dict[str, Any] = dict.fromkeys(("confusion", "per_class", "calibration", "curves"))
    found |= {"residuals": None, "errors": []}
    if len(y) == 0:
        return found, notes
    if dataset.task.classifies:
        found["confusion"] = mistakes.confusion(dataset, y, p, threshold)
        found["per_class"] = mistakes.per_class(dataset, y, p, threshold)
        found["calibration"] = mistakes.calibration(dataset, y, p)
        found["curves"] = mistakes.curves(dataset, y, p)
    elif dataset.task.several:
        found["per_class"] = mistakes.per_class(dataset, y, p)
        notes.append(
            "What words, cells and places of single rows say is told of one class a row only, so "
            "it is left out where a row carries several labels."
        )
    else:
        found["residuals"] = mistakes.residuals(y, p, seed=seed)
    worst = mistakes.worst(dataset, y, p, MOST_ERRORS, threshold)
    found["errors"] = [{**m, "row": int(index[m["row"]]), "driver": None} for m in worst]
    return found, notes


def _from_model(
    asked: _Asked,
    errors: list[dict[str, Any]],
    repeats: int,
    deadline: float,
    seconds: float,
    notes: list[str],
) -> dict[str, Any]:
    """What has to be asked of the model, until time is up."""
    began = time.perf_counter()
    deadline = max(deadline, began + _LEAST_SHARE * seconds)  # many rows took the time before
    share = 1.0 if asked.only_files else _SHARE_OF_WORDS
    single = asked.single_rows(began + share * (deadline - began), notes)
    told = {"importance": [], "partial_dependence": [], "cases": [], "surrogate": None, **single}
    if asked.only_files:
        return {**told, "errors": errors}
    unseen = asked.rows.take(asked.held_out)
    importance = permutation_importance(
        asked.predict,
        unseen,
        asked.loss,
        repeats=repeats,
        seed=asked.seed,
        seconds=_SHARE_OF_IMPORTANCE * max(0.0, deadline - time.perf_counter()),
    )
    notes += _coverage(importance, unseen, repeats)
    shown, late = _effects(asked, unseen, importance, deadline)
    notes += [f"Time was up before the effect of {late} columns could be drawn."] if late else []
    told |= {"importance": importance, "partial_dependence": shown}
    left = deadline - time.perf_counter()
    if left > 0:
        told["cells"] = asked.cells(importance, _SHARE_OF_CELLS * left, notes)
    if time.perf_counter() < deadline:
        errors = _with_drivers(asked, errors, importance)
    if time.perf_counter() < deadline and importance:
        told["surrogate"] = _surrogate(asked, unseen)
    if time.perf_counter() < deadline:
        told["cases"] = _cases(asked, errors, importance)
    else:
        notes.append("Time was up before single mistakes could be seen closely.")
    return {**told, "errors": errors}


def _surrogate(asked: _Asked, unseen: Rows) -> dict[str, Any] | None:
    if len(unseen) > MOST_ROWS:
        some = np.random.default_rng([asked.seed, 2]).permutation(len(unseen))[:MOST_ROWS]
        unseen = unseen.take(np.sort(some))
    return surrogate(unseen, asked.predict(unseen), asked.dataset, seed=asked.seed)


def _cases(
    asked: _Asked, errors: list[dict[str, Any]], importance: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The worst mistakes among rows the model has not seen, each seen closely."""
    rows, data = asked.rows, asked.dataset
    assert rows.y is not None
    unseen = set(asked.held_out.tolist())
    worst = [e["row"] for e in errors if e["row"] in unseen][: local.MOST_CASES]
    weights = {c: e["mean"] for e in importance if e["mean"] > 0 for c in e["columns"]}
    if not worst or not weights:
        return []
    training = np.setdiff1d(np.arange(len(rows)), asked.held_out)
    training = training if len(training) else asked.held_out
    told = asked.predict(rows.take(np.array(worst)))
    changes: list[dict[str, Any] | None] = [None] * len(worst)
    if data.task.classifies:
        wanted = rows.y[worst].astype(np.int64)
        guess = partial(mistakes.guesses, threshold=asked.threshold)
        found = local.one_change(
            asked.predict, rows.X, training, worst, list(weights), data, guess, wanted
        )
        changes = [None if r else f for f, r in zip(found, guess(told) == wanted, strict=True)]
    return [
        _case(asked, row, told[i], changes[i], training, weights) for i, row in enumerate(worst)
    ]


def _case(
    asked: _Asked,
    row: int,
    told: np.ndarray,
    change: dict[str, Any] | None,
    training: np.ndarray,
    weights: dict[str, float],
) -> dict[str, Any]:
    rows, names = asked.rows, asked.names
    alike = local.closest(rows.X, training[training != row], row, weights, asked.dataset)
    predicted: Any = float(told) if told.ndim == 0 else None
    if asked.dataset.task.several:
        predicted = mistakes.in_words(asked.dataset, mistakes.carried(told))
    elif predicted is None:
        predicted = asked.dataset.classes[int(mistakes.guesses(told[None], asked.threshold)[0])]
    shown = [c for c in weights if c in rows.X][: local.MOST_CELLS]
    return {
        "row": int(names[row]),
        "actual": asked.said(row),
        "predicted": predicted,
        "cells": [[c, local.shown(rows.X[c].iloc[row])] for c in shown],
        "alike": [
            {"row": int(names[other]), "actual": asked.said(other), "alike": near}
            for other, near in alike
        ],
        "change": change,
    }


def _coverage(importance: list[dict[str, Any]], rows: Rows, repeats: int) -> list[str]:
    """Sentences on what was sampled or left out."""
    notes = []
    looked = sum(len(entry["columns"]) for entry in importance)
    total = rows.X.shape[1]
    if looked < total:
        notes.append(f"Time allowed looking at {looked:,} of {total:,} columns.")
    if importance and importance[0]["rows"] < len(rows):
        used = importance[0]["rows"]
        notes.append(f"Importance was measured on a sample of {used:,} of {len(rows):,} rows.")
    fewest = min((entry["repeats"] for entry in importance), default=repeats)
    if fewest < repeats:
        notes.append(f"Time allowed {fewest} of {repeats} shuffles of each column.")
    return notes


def _effects(
    asked: _Asked, rows: Rows, importance: list[dict[str, Any]], deadline: float
) -> tuple[list[dict[str, Any]], int]:
    """Effects of the most important columns, and how many of them time did not allow."""
    wanted = [entry["columns"][0] for entry in importance if entry["mean"] > 0][:MOST_EFFECTS]
    found: list[dict[str, Any]] = []
    for position, column in enumerate(wanted):
        if time.perf_counter() > deadline:
            return found, len(wanted) - position
        shown = effects.effect(asked.predict, rows, column, asked.dataset, seed=asked.seed)
        found += [shown] if shown else []
    return found, 0


def _with_drivers(
    asked: _Asked, errors: list[dict[str, Any]], importance: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Mistakes among rows the model has not seen, with the columns behind them."""
    unseen = set(asked.held_out.tolist())
    chosen = [error for error in errors if error["row"] in unseen]
    groups = [tuple(entry["columns"]) for entry in importance if entry["mean"] > 0][:MOST_DRIVERS]
    told = effects.drivers(asked.predict, asked.rows, chosen, groups, asked.dataset)
    by_row = {error["row"]: driver for error, driver in zip(chosen, told, strict=True)}
    return [{**error, "driver": by_row.get(error["row"])} for error in errors]
