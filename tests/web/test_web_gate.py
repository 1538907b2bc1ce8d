"""The gate: what may come in, and that nothing else does."""

import asyncio
import contextlib

import pytest
import web_studies as world

from attain.web.app import POLICY, STATIC, make_app
from attain.web.gate import MOST_BODY, Gate
from attain.web.hub import Hub


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """A dashboard of a whole study with hostile names, its ledger read."""
    folder = world.finished(tmp_path_factory.mktemp("study"), hostile=True)
    hub = Hub(folder)
    while not hub._caught_up:
        hub.look()
    app = make_app(hub)
    made = Gate(app, world.PORT)
    app.state.gate = made
    return made


def ask(gate, method="GET", path="/", headers=(), **more):
    return asyncio.run(world.call(gate, method, path, headers, **more))


@pytest.fixture(scope="module")
def cookie(gate):
    return asyncio.run(world.enter(gate))


ADDRESSES = [
    "/", "/events", "/api/trials", "/api/progress", "/api/parallel", "/api/trial/t0001",
    "/api/compare", "/api/ask", "/static/main.js", "/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_told_without_a_token(gate, path, method):
    """Every address answers 401 to whoever has no cookie, and shows nothing of the study."""
    found = ask(gate, method, path)
    assert found.status == 401
    assert b"attain watch" in found.body
    assert len(found.body) < 100


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "é", "%00", "../../etc/passwd"])
def test_a_wrong_token_opens_nothing(gate, token):
    """A guess is refused, is not repeated in the answer, and sets no cookie."""
    found = ask(gate, query=f"token={token}")
    assert found.status == 401
    assert "set-cookie" not in found.headers
    assert token == "" or token.encode() not in found.body or token == "x"


@pytest.mark.parametrize("text", ["", "attain_8123=", "attain_8123=wrong", "a=b; ;;=", "\x00"])
def test_a_wrong_cookie_opens_nothing(gate, text):
    """Neither an empty nor a made-up nor a damaged cookie is a pass."""
    assert ask(gate, headers=[("cookie", text)]).status == 401


def test_the_token_is_exchanged_for_a_strict_cookie(gate):
    """The cookie is hidden from scripts, is not sent from other sites, and is not the token."""
    found = ask(gate, query=f"token={gate.token}")
    assert found.status == 200
    pass_, *flags = found.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(flags)
    assert gate.token not in pass_
    assert gate.token.encode() not in found.body
    assert b"url=/" in found.body
    assert found.headers["referrer-policy"] == "no-referrer"


def test_a_ticket_opens_once(gate):
    """What a browser's command line shows is worth nothing afterwards."""
    ticket = gate.ticket()
    assert ask(gate, query=f"token={ticket}").status == 200
    assert ask(gate, query=f"token={ticket}").status == 401


def test_a_token_counts_at_the_printed_address_alone(gate):
    """An address with a token leads to the exchange; elsewhere the token is worth nothing."""
    assert ask(gate, path="/api/trials", query=f"token={gate.token}").status == 401
    assert ask(gate, "POST", "/", query=f"token={gate.token}").status == 401


HOSTS = [
    ["evil.example"], ["evil.example:8123"], ["127.0.0.1.evil.example:8123"], ["127.0.0.1"],
    ["127.0.0.1:8124"], ["localhost:8124"], ["[::1]:8123"], ["0.0.0.0:8123"], ["2130706433:8123"],
    ["127.0.0.1:8123@evil.example"], [""], ["127.0.0.1:8123", "evil.example"], [" 127.0.0.1:8123"],
]  # fmt: skip


@pytest.mark.parametrize("hosts", HOSTS)
def test_a_foreign_host_is_refused(gate, cookie, hosts):
    """A name that was made to point here (DNS rebinding) gets nothing, cookie or not."""
    headers = [*cookie, *(("host", h) for h in hosts)]
    assert ask(gate, headers=headers).status == 421
    assert ask(gate, headers=headers, query=f"token={gate.token}").status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123"])
def test_our_own_hosts_are_welcome(gate, cookie, host):
    """Both names of the loopback interface work."""
    assert ask(gate, headers=[*cookie, ("host", host)]).status == 200


ORIGINS = [
    "http://evil.example", "https://127.0.0.1:8123", "http://127.0.0.1:8124", "null", "",
    "http://localhost:8123", "http://127.0.0.1:8123.evil.example", "file://",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(gate, cookie, origin, method):
    """A page of another origin can neither read nor change, even with everything else right."""
    headers = [h for h in world.posting(gate, cookie) if h[0] != "origin"]
    found = ask(gate, method, "/api/ask", [*headers, ("origin", origin)], body=[b"{}"])
    assert found.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_is_refused(gate, cookie, site):
    """A call that the browser says is from elsewhere is refused; a visit to the page is not one."""
    headers = [*cookie, ("sec-fetch-site", site)]
    assert ask(gate, path="/api/trials", headers=headers).status == 403
    assert ask(gate, path="/static/main.js", headers=headers).status == 403
    assert ask(gate, headers=[*headers, ("sec-fetch-mode", "no-cors")]).status == 403
    assert ask(gate, headers=[*headers, ("sec-fetch-mode", "navigate")]).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "X"])
def test_other_methods_are_refused(gate, cookie, method):
    """Only what is listed is allowed, so none can be forgotten."""
    assert ask(gate, method, "/api/trials", cookie).status == 405
    assert ask(gate, method, "/", world.posting(gate, cookie)).status == 405


@pytest.mark.parametrize(
    ("without", "status"), [("origin", 403), ("x-attain-seal", 403), ("content-type", 415)]
)
def test_a_change_needs_everything(gate, cookie, without, status):
    """Each thing that a foreign form could not have is needed."""
    headers = [h for h in world.posting(gate, cookie) if h[0] != without]
    assert ask(gate, "POST", "/api/ask", headers, body=[b"{}"]).status == status
    wrong = [*headers, (without, "text/plain" if without == "content-type" else "x")]
    assert ask(gate, "POST", "/api/ask", wrong, body=[b"{}"]).status == status


@pytest.mark.parametrize("path", ["/", "/api/trials", "/static/main.js", "/events"])
def test_nothing_else_can_be_posted_to(gate, cookie, path):
    """Changes go to one address."""
    assert ask(gate, "POST", path, world.posting(gate, cookie), body=[b"{}"]).status == 405


def test_large_bodies_are_refused_before_they_are_held(gate, cookie):
    """Announced or sent in parts, more than 16 KiB is refused; what is allowed passes."""
    headers = world.posting(gate, cookie)
    told = [*headers, ("content-length", str(MOST_BODY + 1))]
    assert ask(gate, "POST", "/api/ask", told, body=[b"{}"]).status == 413
    assert ask(gate, "POST", "/api/ask", [*headers, ("content-length", "-1")]).status == 413
    endless = [b"x" * 1_000] * 1_000
    assert ask(gate, "POST", "/api/ask", headers, body=endless).status == 413
    fits = b'{"action": "none"}'.ljust(MOST_BODY)
    assert ask(gate, "POST", "/api/ask", headers, body=[fits]).status == 422


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 15_000, b'"x"'])
def test_bodies_that_are_no_request_are_told_so(gate, cookie, body):
    """Nonsense gets a sentence, not a traceback."""
    found = ask(gate, "POST", "/api/ask", world.posting(gate, cookie), body=[body])
    assert found.status == 422
    assert "JSON object" in found.json()["error"]


PATHS = [
    "/static/../serve.py", "/static/..%2fserve.py", "/static/%2e%2e/serve.py", "/static/index.html",
    "/static//etc/passwd", "/static/..", "/static/", "/static/main.js/..", "/../ledger.db",
    "/static/....//serve.py", "/static/..\\serve.py", "/static/main.js\x00.css", "/ledger.db",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(gate, cookie, path):
    """Only listed names are served: no folder is walked, so none can be left."""
    found = ask(gate, path=path, headers=cookie)
    assert found.status == 404
    assert b"import" not in found.body


@pytest.mark.parametrize("name", ["t9999", "..", "../../etc/passwd", "t0001/../x", "<b>", "é" * 99])
def test_no_trial_name_leads_out(gate, cookie, name):
    """A name is looked up in a table, never on the disk, and is not repeated."""
    found = ask(gate, path=f"/api/trial/{name}", headers=cookie)
    assert found.status in (404, 422)
    assert b"passwd" not in found.body
    found = ask(gate, path="/api/compare", headers=cookie, query=f"a={name}&b=t0001")
    assert found.status == 422


def test_every_answer_is_hardened(gate, cookie):
    """Refusals, pages, numbers and files say that they may not be kept, framed or guessed at."""
    answers = [
        ask(gate),
        ask(gate, headers=cookie),
        ask(gate, path="/api/progress", headers=cookie),
        ask(gate, path="/static/main.js", headers=cookie),
        ask(gate, path="/nothing", headers=cookie),
        ask(gate, "PUT"),
    ]
    for found in answers:
        assert found.headers["cache-control"] == "no-store"
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["x-frame-options"] == "DENY"
        assert found.headers["referrer-policy"] == "no-referrer"
        assert found.headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert "access-control-allow-origin" not in found.headers


def test_the_page_may_run_its_own_script_only(gate, cookie):
    """The policy names a nonce that is new for each page, and forbids turning text into markup."""
    pages = [ask(gate, headers=cookie) for _ in range(2)]
    policies = [p.headers["content-security-policy"] for p in pages]
    assert policies[0] != policies[1]
    for page, policy in zip(pages, policies, strict=True):
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        assert len(nonce) >= 16
        assert page.body.count(f'nonce="{nonce}"'.encode()) == 1
        assert page.body.count(b"<script") == 1
        assert b"style=" not in page.body
        for part in ("trusted-types 'none'", "require-trusted-types-for 'script'"):
            assert part in policy
        assert "unsafe" not in policy
        assert "http" not in policy
    assert "'self'" in POLICY


@pytest.mark.parametrize("name", [n for n in STATIC if n.endswith(".js")])
def test_scripts_never_make_markup_of_text(gate, cookie, name):
    """No script has a way from text to markup, to code, or to another address."""
    text = ask(gate, path=f"/static/{name}", headers=cookie).body.decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("):
        assert way not in text
    assert "//cdn" not in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0
    assert "https://" not in text
    assert "localStorage" not in text


def test_hostile_names_arrive_as_data(gate, cookie):
    """Names that are markup arrive in JSON, of a type that no browser shows as a page."""
    found = ask(gate, path="/api/trials", headers=cookie)
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "onerror" in asyncio.run(_first_event(gate, cookie))


async def _first_event(gate, cookie):
    seen = b""

    async def send(message):
        nonlocal seen
        seen += message.get("body", b"")
        if b"\n\n" in seen and b"data: " in seen:
            raise asyncio.CancelledError

    async def receive():
        await asyncio.sleep(3600)

    scope = {
        "type": "http", "method": "GET", "path": "/events", "raw_path": b"/events",
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [(b"host", world.HOST.encode()), (b"cookie", cookie[0][1].encode())],
    }  # fmt: skip
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await gate(scope, receive, send)
    return seen.decode()


def test_a_websocket_is_not_accepted(gate):
    """There is no second kind of connection to guard."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(gate({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == []
