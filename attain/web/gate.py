"""Who may come in: everything a request must show before any page or number is looked at.

A server on the loopback interface can be reached by every program and, through a browser, by every
web page on this machine. So: the host must be ours (against DNS rebinding), a foreign page may not
call (Origin, Sec-Fetch-Site), methods are those we have, bodies are small, and a token is needed
for everything. All of it is decided by lists of what is allowed, never of what is not
(CVE-2026-27482 was a forgotten method).
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "POST")
MOST_BODY = 16_384
HEADERS = (
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
# What a page may do when it does not say so itself: nothing.
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ENTER = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>attain</title>"
    '<meta http-equiv=refresh content="0;url=/"><p><a href="/">Open the dashboard</a>'
)


class Gate:
    """Stands before the application.

    Args:
        app: Gets only what may come in.
        port: That the server listens on.
        token: The secret of the printed address; drawn when empty.
    """

    def __init__(self, app: App, port: int, token: str = "") -> None:
        self._app = app
        self.port = port
        self.token = token or secrets.token_urlsafe(32)
        self.cookie = f"attain_{port}"
        self._session = secrets.token_urlsafe(32)
        self.seal = secrets.token_urlsafe(32)
        self._tickets: set[str] = set()
        self._hosts = loopback_hosts(port)

    def ticket(self) -> str:
        """A token that opens the dashboard once: a browser's command line can be seen by others."""
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(ticket)
        return ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, let in, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSockets
            return
        send = hardened(send)
        if (refusal := foreign(scope, self._hosts)) is not None:
            await refuse(send, *refusal)
        elif (given := _token(scope)) is not None:
            await self._enter(scope, send, given)
        elif not self._known(scope):
            await refuse(send, 401, "open the address that `attain watch` printed")
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _enter(self, scope: Scope, send: Send, given: str) -> None:
        """Exchange a token for a cookie; the page that follows has an address without it."""
        ticket = next((t for t in self._tickets if _same(t, given)), None)
        if ticket is not None:
            self._tickets.discard(ticket)
        elif not _same(given, self.token):
            await refuse(send, 401, "this is not the address that `attain watch` printed")
            return
        cookie = f"{self.cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"
        headers = [("set-cookie", cookie), ("content-type", "text/html; charset=utf-8")]
        await answer(send, 200, ENTER.encode(), headers)

    def _known(self, scope: Scope) -> bool:
        for text in values(scope, b"cookie"):
            try:
                found = SimpleCookie(text).get(self.cookie)
            except CookieError:
                continue
            if found is not None and _same(found.value, self._session):
                return True
        return False

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A change: it must come from our page, in our form, and be small."""
        if not values(scope, b"origin"):
            await refuse(send, 403, "a change needs an Origin")
            return
        if not any(_same(v, self.seal) for v in values(scope, b"x-attain-seal")):
            await refuse(send, 403, "a change must come from the dashboard's own page")
            return
        kind = (values(scope, b"content-type") or [""])[0].partition(";")[0].strip().lower()
        if kind != "application/json":
            await refuse(send, 415, "a change is written as application/json")
            return
        body = await read_body(scope, receive)
        if body is None:
            await refuse(send, 413, f"a request has at most {MOST_BODY:,} bytes")
            return
        await self._app(scope, _replay(body, receive), send)


def loopback_hosts(port: int) -> frozenset[str]:
    """What a request to this machine may name as its host."""
    names = ("127.0.0.1", "localhost")
    return frozenset({*(f"{name}:{port}" for name in names), *(names if port == 80 else ())})


def foreign(scope: Scope, hosts: frozenset[str]) -> tuple[int, str] | None:
    """Why a request cannot come from our own page or a program of this machine.

    Args:
        scope: Of the request.
        hosts: What it may name as its host.

    Returns:
        Status and reason; None if it can.
    """
    if scope["method"] not in METHODS:
        return 405, "only GET and POST"
    named = values(scope, b"host")
    if len(named) != 1 or named[0] not in hosts:
        return 421, "this server answers to its own address only"
    origins = values(scope, b"origin")
    if len(origins) > 1 or any(o != f"http://{named[0]}" for o in origins):
        return 403, "other pages may not call this server"
    site = values(scope, b"sec-fetch-site")
    if any(s not in ("same-origin", "none") for s in site) and not _is_visit(scope):
        return 403, "other pages may not call this server"
    return None


async def refuse(send: Send, status: int, why: str) -> None:
    """Answer with a status and one sentence, as JSON.

    Args:
        send: Of the connection.
        status: HTTP status.
        why: Nothing of the request is repeated in it.
    """
    body = json.dumps({"error": why}).encode()
    headers = [("content-type", "application/json"), ("allow", ", ".join(METHODS))]
    await answer(send, status, body, headers)


async def answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[str, str]]) -> None:
    """Send a whole answer; its length is added to the headers."""
    plain = [*headers, ("content-length", str(len(body)))]
    raw = [(k.encode(), v.encode()) for k, v in plain]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def hardened(send: Send) -> Send:
    """A `send` that adds what every answer carries; a page's own policy stays."""

    async def send_more(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            ours = [*HEADERS, ("content-security-policy", NOTHING)]
            headers += [(k.encode(), v.encode()) for k, v in ours if k.encode() not in names]
            message = {**message, "headers": headers}
        await send(message)

    return send_more


async def read_body(scope: Scope, receive: Receive, most: int = MOST_BODY) -> bytes | None:
    """The whole body; never more than is permitted is held.

    Args:
        scope: Of the request.
        receive: Of the connection.
        most: Bytes permitted.

    Returns:
        The body, or None when it is too large.
    """
    for length in values(scope, b"content-length"):
        if not length.isdecimal() or len(length) > 12 or int(length) > most:
            return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hands out the body that was read, then what follows on the connection."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return replay


def values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, in order."""
    return [v.decode("latin-1") for k, v in scope["headers"] if k.lower() == name]


def _token(scope: Scope) -> str | None:
    """The token of the address, only where the printed address leads."""
    if scope["method"] != "GET" or scope["path"] != "/":
        return None
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
    return found[0] if found else None


def _is_visit(scope: Scope) -> bool:
    """Whether somebody opens the page itself, also from a link elsewhere."""
    mode = (values(scope, b"sec-fetch-mode") or [""])[0]
    return scope["method"] == "GET" and scope["path"] == "/" and mode == "navigate"


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())
