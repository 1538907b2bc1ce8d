"""The pages and numbers of the dashboard; whoever gets here has passed the gate."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from attain.core.errors import AttainError, InputError
from attain.report import numbers
from attain.report.book import plain
from attain.web import acts, series, table
from attain.web.functions import differences
from attain.web.hub import MOST_VIEWERS, Hub
from attain.web.index import Entry, Index

STATIC = {
    "app.css": "text/css",
    "charts.css": "text/css",
    "icon.svg": "image/svg+xml",
    "main.js": "text/javascript",
    "dom.js": "text/javascript",
    "net.js": "text/javascript",
    "chart.js": "text/javascript",
    "overview.js": "text/javascript",
    "goals.js": "text/javascript",
    "progress.js": "text/javascript",
    "trials.js": "text/javascript",
    "parallel.js": "text/javascript",
    "compare.js": "text/javascript",
    "trial.js": "text/javascript",
    "actions.js": "text/javascript",
}
# Scripts need the nonce of their page, and with trusted types and no policy none of them can turn
# text into markup: a name from the data cannot become anything but text.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def make_app(hub: Hub) -> Starlette:
    """The application, to be put behind a `Gate`.

    Args:
        hub: Of the study.

    Returns:
        With the hub's reader running from start to shutdown.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        reader = asyncio.create_task(hub.run())
        yield
        await hub.close()
        await reader

    pages = Pages(hub)
    return Starlette(
        routes=[
            Route("/", pages.index, methods=["GET"]),
            Route("/static/{name}", pages.static, methods=["GET"]),
            Route("/events", pages.events, methods=["GET"]),
            Route("/api/trials", pages.trials, methods=["GET"]),
            Route("/api/progress", pages.progress, methods=["GET"]),
            Route("/api/parallel", pages.parallel, methods=["GET"]),
            Route("/api/trial/{trial}", pages.trial, methods=["GET"]),
            Route("/api/compare", pages.compare, methods=["GET"]),
            Route("/api/ask", pages.ask, methods=["POST"]),
        ],
        exception_handlers={AttainError: _told, Exception: _bug},
        lifespan=lifespan,
    )


class Pages:
    """What each address answers.

    Args:
        hub: Of the study.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def index(self, request: Request) -> Response:
        """The page; everything on it comes later, so that it shows at once."""
        nonce = secrets.token_urlsafe(16)
        seal = request.app.state.gate.seal
        html = _file("index.html").decode().replace("{nonce}", nonce).replace("{seal}", seal)
        policy = {"content-security-policy": POLICY.format(nonce=nonce)}
        return Response(html, media_type="text/html", headers=policy)

    async def static(self, request: Request) -> Response:
        """A file of the list, by its exact name."""
        kind = STATIC.get(request.path_params["name"])
        if kind is None:
            return JSONResponse({"error": "there is no such file"}, 404)
        return Response(_file(request.path_params["name"]), media_type=kind)

    async def events(self, request: Request) -> Response:
        """The overview now and at every change, as server-sent events."""
        if self._hub.viewers >= MOST_VIEWERS:
            return JSONResponse({"error": f"{MOST_VIEWERS} viewers are here already"}, 503)
        seen = request.headers.get("last-event-id", "")
        return StreamingResponse(self._hub.follow(seen), media_type="text/event-stream")

    async def trials(self, request: Request) -> Response:
        """A page of the table."""
        query = table.Query.parse(request.query_params)
        metrics = series.metrics
        return await self._read(
            lambda: table.page(self._hub.index, metrics(self._hub.index), query)
        )

    async def progress(self, request: Request) -> Response:
        """The numbers of the chart of the best so far."""
        return await self._read(lambda: series.progress(self._hub.index))

    async def parallel(self, request: Request) -> Response:
        """The numbers of the parallel coordinates."""
        learner = request.query_params.get("learner", "")
        return await self._read(lambda: series.parallel(self._hub.index, learner))

    async def trial(self, request: Request) -> Response:
        """Everything about one trial."""
        return await self._read(lambda: self._trial(request.path_params["trial"]))

    async def compare(self, request: Request) -> Response:
        """Two trials side by side."""
        names = [request.query_params.get(k, "") for k in ("a", "b")]
        return JSONResponse(await asyncio.to_thread(self._compare, *names))

    async def ask(self, request: Request) -> Response:
        """Ask something of the run."""
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise InputError("a request is a JSON object")

        def put() -> dict[str, Any]:
            return vars(acts.ask(self._hub.index, self._hub.pulse, self._hub.box, given))

        return await self._read(put)

    async def _read(self, make: Callable[[], Any]) -> Response:
        """Answer from the index, in a thread, while nothing changes it."""

        def locked() -> Any:
            with self._hub.lock:
                return make()

        return JSONResponse(await asyncio.to_thread(locked))

    def _trial(self, name: str) -> dict[str, Any]:
        index = self._hub.index
        entry = index.trials.get(name)
        if entry is None:
            raise InputError("there is no such trial")
        leader = index.best[-1].id if index.best else ""
        outcomes = [r.payload["outcome"] for r in self._records(name) if r.kind == "outcome"]
        fits = [
            {
                "fold": int(o["fold"]) + 1,
                "status": str(o["status"]),
                "message": plain(str(o["message"])),
                "seconds": numbers.seconds(o["seconds"]),
                "memory": numbers.size(o["peak_bytes"]) if o["peak_bytes"] else "",
                "log": plain(str(o["log"])),
            }
            for o in outcomes or entry.outcomes
        ]
        metrics = list(dict.fromkeys([*series.metrics(index), *entry.values]))
        live = self._hub.live["curves"]
        return {
            **table.row(entry, metrics, leader),
            "metrics": [numbers.words(m) for m in metrics],
            "reason": plain(entry.reason),
            "message": plain(entry.message),
            "fits": fits,
            "folds": entry.folds,
            "curves": series.drawn(outcomes) or series.curves(entry, live),
            "form": acts.choices(index, name),
        }

    def _records(self, name: str) -> Any:
        """The records of a scored trial; none of one that runs."""
        entry = self._hub.index.trials.get(name)
        if entry is None or not entry.ended:
            return ()
        return self._hub.fetch([*entry.parts, entry.ended])

    def _compare(self, a: str, b: str) -> dict[str, Any]:
        from attain.core.codec import decode
        from attain.core.types import Dataset
        from attain.web import pair

        with self._hub.lock:
            index = self._hub.index
            if index.function is not None:
                return differences(*(_ended(index, name) for name in (a, b)))
            sides = [pair.read_side(self._records(name)) for name in (a, b)]
            dataset = decode(Dataset, self._hub.index.payload("dataset")["dataset"])
            objectives = series.objectives(self._hub.index)
        return pair.compare(self._hub.folder, dataset, objectives, *sides)


def _ended(index: Index, name: str) -> Entry:
    found = index.trials.get(name)
    if found is None or not found.ended:
        raise InputError("only trials that have ended can be compared")
    return found


@cache
def _file(name: str) -> bytes:
    return files("attain.web").joinpath("static", name).read_bytes()


async def _told(request: Request, error: Exception) -> Response:
    """What went wrong, in the words that a terminal would show."""
    status = 422 if isinstance(error, InputError) else 503
    return JSONResponse({"error": plain(str(error))}, status)


async def _bug(request: Request, error: Exception) -> Response:
    """A bug costs one answer, not the page, and shows nothing of the inside."""
    return JSONResponse({"error": "the dashboard could not answer this"}, 500)
