"""The prediction server: one model, rows in as JSON, predictions out as JSON, on this machine only.

A caller must not be able to do more than ask for predictions: the host must be ours (against DNS
rebinding), a page of another origin may not call (Origin, Sec-Fetch-Site), a body must say that it
is JSON (which a foreign page cannot do without asking first, and asking is refused), be small, and
hold nothing but rows of plain cells. Nothing is ever written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attain.core.errors import DataError, InputError, NotApplicable, Problem, did_you_mean
from attain.core.types import Task
from attain.pipeline import saved
from attain.report.book import plain
from attain.report.numbers import finite, printable
from attain.validate.threshold import carried
from attain.web.gate import (
    Receive,
    Scope,
    Send,
    answer,
    foreign,
    hardened,
    loopback_hosts,
    read_body,
    refuse,
    values,
)

MOST_BYTES = 16 * 1024 * 1024  # of a body
MOST_ROWS = 10_000  # of a request
MOST_AT_ONCE = 32  # requests that wait; more are told to come again
MOST_SECONDS = 30.0  # until a body is there
MOST_NAMED = 5  # problems told of one request
PATHS = {"/": "GET", "/health": "GET", "/predict": "POST"}
_Cell = str | int | float | bool | list[str] | None


class Predictor:
    """An ASGI application around one saved model.

    Args:
        folder: A model folder, or a study folder that has one.
        port: That the server listens on.

    Raises:
        ArtifactError: When the model is incomplete or was altered.
        NotApplicable: When the model reads files, which a caller could then name freely.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.model = saved.load(folder)
        self._columns = [c.name for c in self.model.dataset.features]
        files = [c.name for c in self.model.dataset.features if c.kind.is_media]
        if files:
            raise NotApplicable(
                f"this model reads the files that column {files[0]!r} names, and a caller could "
                "name any file of this machine — use: attain predict"
            )
        self._hosts = loopback_hosts(port)
        self._one = asyncio.Lock()  # a model is asked by one request at a time
        self._waiting = 0

    def about(self) -> dict[str, Any]:
        """What the model is and what it needs, as JSON values."""
        data = self.model.dataset
        return {
            "target": plain(data.target),
            "task": data.task.value,
            "classes": [plain(label) for label in data.classes],
            "threshold": self.model.threshold,
            "learner": self.model.learner_name,
            "digest": self.model.digest,
            "columns": [{"name": plain(c.name), "kind": c.kind.value} for c in data.features],
            "most_rows": MOST_ROWS,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or answer."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":  # no WebSockets
            return
        send = hardened(send)
        if (refusal := self._refusal(scope)) is not None:
            await refuse(send, *refusal)
        elif scope["method"] == "GET":
            shown = self.about() if scope["path"] == "/" else {"status": "ok"}
            await _reply(send, 200, shown)
        elif self._waiting >= MOST_AT_ONCE:
            await refuse(send, 503, "too many requests wait for an answer: come again")
        else:
            await self._predict(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not looked at; None if it is."""
        if (found := foreign(scope, self._hosts)) is not None:
            return found
        method = PATHS.get(scope["path"])
        if method is None:
            return 404, "there are / (what the model needs), /health and /predict"
        if scope["method"] != method:
            return 405, f"{scope['path']} takes {method} only"
        if method == "GET":
            return None
        kind = (values(scope, b"content-type") or [""])[0].partition(";")[0].strip().lower()
        return None if kind == "application/json" else (415, "rows are sent as application/json")

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._waiting += 1
        try:
            body = await asyncio.wait_for(read_body(scope, receive, MOST_BYTES), MOST_SECONDS)
            if body is None:
                await refuse(send, 413, f"a request has at most {MOST_BYTES:,} bytes")
                return
            async with self._one:
                found = await asyncio.to_thread(self.predict, body)
            await _reply(send, 200, found)
        except InputError as error:
            await _reply(send, 422, {"error": str(plain(str(error))), "problems": _told(error)})
        except TimeoutError:
            await refuse(send, 408, "the body did not come in time")
        except Exception:  # noqa: BLE001 - one bad request must not end the server, nor tell secrets
            await refuse(send, 500, "the model could not answer this")
        finally:
            self._waiting -= 1

    def predict(self, body: bytes) -> dict[str, Any]:
        """Predictions for the rows of a body.

        Args:
            body: JSON: ``{"rows": [{column: cell, ...}, ...]}``, or the list alone.

        Returns:
            ``predictions`` (labels or values, one for each row; lists where a row has several
            labels, or its words do), ``probabilities`` (class to a list; of classes and labels
            only), ``rows``, ``ignored`` (columns that the model does not know) and
            ``model`` (its digest).

        Raises:
            DataError: When the body is no JSON, or its rows are not what the model needs.
        """
        task = self.model.dataset.task
        rows = _rows(body, lists=task is Task.TAGGING)
        frame, ignored = self._frame(rows)
        found: dict[str, Any] = {"rows": len(rows), "ignored": ignored, "model": self.model.digest}
        if task.counted:
            return {**found, "predictions": self.model.predict(frame).tolist()}
        prediction = self.model.raw(frame)
        if not task.named:
            return {**found, "predictions": [finite(v) for v in prediction]}
        classes = self.model.dataset.classes
        return {
            **found,
            "predictions": self._said(prediction),
            "probabilities": {
                label: np.round(prediction[:, code].astype(float), 9).tolist()
                for code, label in enumerate(classes)
            },
        }

    def _said(self, prediction: np.ndarray) -> list[Any]:
        """The class of each row, or the list of its labels."""
        classes = self.model.dataset.classes
        if self.model.dataset.task.several:
            each = carried(prediction)
            return [[c for c, there in zip(classes, row, strict=True) if there] for row in each]
        return [classes[code] for code in saved.labels(prediction, self.model.threshold)]

    def _frame(self, rows: list[Mapping[str, _Cell]]) -> tuple[Any, list[str]]:
        """The rows as a frame with the model's columns, and the names of others."""
        import pandas as pd

        given = list(dict.fromkeys(name for row in rows for name in row))
        problems = []
        for name in self._columns:
            lacking = [i for i, row in enumerate(rows) if name not in row]
            if lacking:
                where = "any row" if len(lacking) == len(rows) else f"row {lacking[0]}"
                unknown = [other for other in given if other not in self._columns]
                remedy = did_you_mean(name, unknown) if unknown else ""
                remedy = remedy if remedy.startswith("did") else "send null for a missing cell"
                rule = "every row must have the model's columns"
                problems.append(Problem(rule, f"no {name!r} in {where}", "rows", remedy))
        if problems:
            raise DataError(problems)
        ignored = [str(plain(name)) for name in given if name not in self._columns]
        frame = pd.DataFrame({name: [row[name] for row in rows] for name in self._columns})
        return frame, ignored[:100]


def _rows(body: bytes, *, lists: bool) -> list[Mapping[str, _Cell]]:
    """The rows of a body; each a mapping from names to plain cells, or also to lists of texts."""
    try:
        given = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise DataError(Problem("the body must be JSON", "endless nesting", "body")) from None
    except ValueError as error:
        rule, remedy = "the body must be JSON", 'send {"rows": [{"column": value, ...}]}'
        raise DataError(Problem(rule, str(error)[:120], "body", remedy)) from None
    rows = given.get("rows") if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        rule, remedy = "there must be rows", 'send {"rows": [{"column": value, ...}]}'
        raise DataError(Problem(rule, type(rows).__name__, "rows", remedy))
    if len(rows) > MOST_ROWS:
        rule, remedy = f"a request has at most {MOST_ROWS:,} rows", "send them in parts"
        raise DataError(Problem(rule, f"{len(rows):,}", "rows", remedy))
    problems = [p for i, row in enumerate(rows) for p in _odd(i, row, lists)]
    if problems:
        raise DataError(problems[:MOST_NAMED])
    return rows


def _odd(number: int, row: Any, lists: bool) -> list[Problem]:
    if not isinstance(row, dict):
        rule = "a row is an object: column to cell"
        return [Problem(rule, type(row).__name__, f"rows[{number}]")]
    return [
        Problem(rule, value, f"rows[{number}].{printable(name)[:60]}", remedy)
        for name, cell in row.items()
        for rule, value, remedy in _odd_cell(cell, lists)
    ]


def _odd_cell(cell: Any, lists: bool) -> list[tuple[str, str, str]]:
    if lists and isinstance(cell, list) and all(isinstance(item, str) for item in cell):
        return [odd for item in cell for odd in _odd_cell(item, lists)]
    if isinstance(cell, dict | list):
        rule = "a cell is text, a number, true, false or null"
        return [(rule, type(cell).__name__, "send one value")]
    if isinstance(cell, str) and any("\ud800" <= c <= "\udfff" for c in cell):
        return [("text must be UTF-8", repr(cell)[:60], "mend or remove the cell")]
    return []


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON: send null for a missing number")


def _told(error: InputError) -> list[dict[str, str]]:
    """Each problem by itself, for programs."""
    problems = getattr(error, "problems", ())[:MOST_NAMED]
    return [
        {k: str(plain(getattr(p, k))) for k in ("rule", "value", "place", "remedy")}
        for p in problems
    ]


async def _reply(send: Send, status: int, found: Mapping[str, Any]) -> None:
    text = json.dumps(found, allow_nan=False)
    await answer(send, status, text.encode(), [("content-type", "application/json")])


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be begun or ended."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
