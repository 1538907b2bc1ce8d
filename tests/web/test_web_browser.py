"""The dashboard in a real browser: it draws, fits, keeps its policy, and runs nothing hostile."""

import threading
import time

import pytest
import web_studies as world
from web_browser import AXE, BROWSER, Browser, axe

from attain.core.types import Draft
from attain.pipeline.minimize import minimize
from attain.runtime.ledger import SqliteLedger
from attain.runtime.live import LiveFile
from attain.web.serve import make_dashboard

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

READY = "document.body.dataset.ready === 'yes'"
# What sticks out of the page, and what has no name for a screen reader.
WIDE = """
[...document.querySelectorAll("main *, header *, nav *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1
    && !e.closest(".scroll, .plot, svg, .quiet, .log");
}).map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`).slice(0, 5)
"""
NAMELESS = """
[...document.querySelectorAll("button, a, input, select, svg, dialog, [role=meter]")]
  .filter((e) => {
    if (!e.getClientRects().length || e.closest("[aria-hidden=true]")) return false;
    const label = e.id && document.querySelector(`label[for="${CSS.escape(e.id)}"]`);
    const by = document.getElementById(e.getAttribute("aria-labelledby"));
    return !(e.ariaLabel || e.textContent.trim() || label || e.closest("label") || by);
  }).map((e) => e.outerHTML.slice(0, 120))
"""
# Contrast of all text against what lies behind it (WCAG 2.2, 1.4.3: at least 4.5).
FAINT = """
(() => {
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const known = { willReadFrequently: true };
  const canvas = document.createElement("canvas").getContext("2d", known);
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (e) => {
    for (let n = e; n; n = n.parentElement) {
      const c = rgba(getComputedStyle(n).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  };
  const y = (c) => [0.2126, 0.7152, 0.0722].reduce((t, w, i) => t + w * linear(c[i] / 255), 0);
  const says = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const seen = (e) => e.getClientRects().length && !e.disabled && says(e);
  return [...document.querySelectorAll("body *")].filter(seen).map((e) => {
    const style = getComputedStyle(e);
    const [a, b] = [y(rgba(e.closest("svg") ? style.fill : style.color)), y(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const told = `${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)} ${e.textContent}`;
    return ratio < 4.5 ? told : null;
  }).filter(Boolean).slice(0, 5);
})()
"""
PRESS = """
[...document.querySelectorAll("#acts button")].find((b) => b.textContent.startsWith("%s")).click()
"""
HEADS = "[...document.querySelectorAll('#table th button')]"
SLOWNESS = 3  # how much slower than an idle machine a test machine may be


class Served:
    """A dashboard served by a thread."""

    def __init__(self, folder):
        self.dashboard = make_dashboard(folder)
        self.address = self.dashboard.address
        self._thread = threading.Thread(target=self.dashboard.serve, daemon=True)
        self._thread.start()

    def close(self):
        self.dashboard.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A study in the middle of its search, with hostile names; its run is this process."""
    folder = tmp_path_factory.mktemp("running")
    ledger = SqliteLedger(folder / "ledger.db")
    records = world.searching(20, hostile=True)
    ledger.append([Draft(r.step, r.kind, dict(r.payload), r.parents) for r in records])
    live = LiveFile(folder)
    for step in range(1, 20):
        live.look("t0099-f0", {"step": step, "values": {"stop": 1 / step}})
    live.doing(f"working on {world.studies.HOSTILE}")
    live.write()
    served = Served(folder)
    yield served, ledger, folder
    served.close()
    ledger.close()


def visit(browser, address, width=1280, page="overview", dark=False):
    """Open the dashboard anew and wait until it has drawn."""
    browser.size(width, 900, dark)
    browser.console.clear()
    browser.requests.clear()
    browser.open(address)
    browser.until(READY)
    browser.run(f"location.hash = '/{page}'")
    ready = {
        "overview": "document.querySelectorAll('#progress .mark').length > 5",
        "trials": "document.querySelectorAll('#table tbody tr').length > 5"
        " && document.querySelectorAll('#parallel .thread').length > 2",
        "compare": "!document.getElementById('compare').hidden",
    }
    browser.until(ready[page])


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("page", ["overview", "trials", "compare"])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_and_can_be_read(browser, running, width, page, dark):
    """No page scrolls sideways, everything has a name, all text has contrast, no word is said."""
    visit(browser, running[0].address, width, page, dark)
    scroll, client = browser.run(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scroll <= client, browser.run(WIDE)
    assert browser.run(WIDE) == []
    assert browser.run(NAMELESS) == []
    assert browser.run(FAINT) == []
    assert browser.console == []


@pytest.mark.skipif(AXE is None, reason="no axe-core (pip install --no-deps axe-playwright-python)")
@pytest.mark.parametrize(("width", "dark"), [(400, False), (1280, True), (1280, False)])
def test_axe_finds_nothing(browser, running, width, dark):
    """The usual checker of accessibility has no complaint about any page, nor about a dialog."""
    browser.send("Page.setBypassCSP", enabled=True)
    try:
        for page in ("overview", "compare", "trials"):
            visit(browser, running[0].address, width, page, dark)
            if page == "trials":
                browser.run("document.querySelector('#table tbody th button').click()")
                browser.until("!!document.querySelector('#sheet[open]')")
            assert axe(browser) == []
    finally:
        browser.send("Page.setBypassCSP", enabled=False)


@pytest.mark.parametrize("dark", [False, True])
def test_a_search_over_a_function_has_a_page(browser, tmp_path, dark):
    """Trials, best, space and comparison of `minimize` are drawn, fit and have contrast."""
    space = {"x": (-1.0, 1.0), "<img src=x onerror=alert(1)>": ["a", "b"]}
    minimize(lambda c: c["x"] ** 2, space, trials=12, output=tmp_path, progress=False)
    served = Served(tmp_path)
    try:
        for page in ("overview", "trials", "compare"):
            visit(browser, served.address, 400, page, dark)
            assert browser.run(WIDE) == []
            assert browser.run(FAINT) == []
            assert browser.run(NAMELESS) == []
            if page == "overview":
                assert browser.run("document.querySelectorAll('#space li').length") == 2
                assert "of the best trial" in browser.run("document.body.innerText")
        assert browser.console == []
    finally:
        served.close()


def test_all_charts_are_drawn(browser, running):
    """Gauges, progress, curves and parallel coordinates are there, named, of finite numbers."""
    visit(browser, running[0].address)
    shapes = "(id) => document.querySelectorAll(`#${id} svg > *`).length"
    counts = {id: browser.run(f"({shapes})({id!r})") for id in ("goals", "progress", "running")}
    visit(browser, running[0].address, page="trials")
    counts["parallel"] = browser.run(f"({shapes})('parallel')")
    assert all(count >= 1 for count in counts.values()), counts
    assert counts["progress"] > 20
    numbers = "[...document.querySelectorAll('svg *')].map((e) => e.outerHTML).join('')"
    assert "NaN" not in browser.run(numbers)
    names = browser.run("[...document.querySelectorAll('svg')].every((e) => e.ariaLabel)")
    assert names


def test_hostile_names_do_nothing(browser, running):
    """Names that are markup are shown as text on every page: nothing runs, nothing is fetched."""
    for page in ("overview", "trials", "compare"):
        visit(browser, running[0].address, page=page)
        if page == "trials":
            browser.run("document.querySelector('#table tbody th button').click()")
            browser.until("document.getElementById('sheet').open")
        assert browser.run("document.images.length + document.scripts.length") == 1
        assert all(url.startswith(running[0].address.partition("?")[0]) for url in browser.requests)
        assert not [url for url in browser.requests if url.endswith("/x")]
        assert browser.console == []
    shown = browser.run("document.title + document.getElementById('title').textContent")
    assert "data" in shown or "from" in shown


def test_the_policy_is_in_force(browser, running):
    """The check above can fail: what the page itself does not do is not allowed, and is heard."""
    visit(browser, running[0].address)
    sink = "try { document.body.innerHTML = '<b>x</b>'; 'set' } catch (e) { e.name }"
    assert browser.run(sink) == "TypeError"
    browser.run(
        "const s = document.createElement('script'); s.async = true; document.body.append(s)"
    )
    browser.run("fetch('http://127.0.0.1:9/').catch(() => 0)")
    browser.until("true")
    assert any("Content Security Policy" in line for line in browser.console)


def test_the_address_loses_its_token(browser, running):
    """After the first page the token is neither in the address nor in what a page can read."""
    visit(browser, running[0].address)
    assert browser.run("location.href + document.referrer + document.cookie").count("token") == 0
    assert browser.run("document.cookie") == ""


def test_a_new_trial_appears_by_itself(browser, running):
    """What the run appends is on the page without a reload, in the table and under way."""
    served, ledger, _ = running
    visit(browser, served.address)
    trial = next(r for r in world.searching(20) if r.kind == "trial")
    payload = {"trial": {**dict(trial.payload["trial"]), "id": "t0555", "purpose": "search"}}
    ledger.append([Draft("strategy", "trial", payload)])
    browser.until("document.getElementById('running').textContent.includes('t0555')")


def test_the_keyboard_reaches_everything(browser, running):
    """Tab visits pages, actions and table; a dialog opens, keeps the focus, and gives it back."""
    visit(browser, running[0].address, page="trials")
    seen = set()
    for _ in range(40):
        browser.press("Tab", 9)
        seen.add(browser.run("document.activeElement.id || document.activeElement.textContent"))
    assert {"Overview", "Compare"} <= seen
    assert any(text.startswith("Trials") for text in seen)
    assert {"text", "by-learner", "by-status", "parallel-learner"} <= seen
    assert any("Pause" in text for text in seen)
    browser.run("document.querySelector('#table tbody th button').focus()")
    browser.press("Enter", 13, "\r")
    browser.until("document.getElementById('sheet').open")
    browser.press("Tab", 9)
    assert browser.run("document.getElementById('sheet').contains(document.activeElement)")
    browser.press("Escape", 27)
    browser.until("!document.getElementById('sheet').open")
    assert browser.run("document.activeElement.closest('#table') !== null")


def test_sorting_says_its_order(browser, running):
    """A header sorts by the keyboard, says its order, and keeps the focus."""
    visit(browser, running[0].address, page="trials")
    browser.run(f"{HEADS}.find((b) => b.textContent === 'Time').focus()")
    browser.press("Enter", 13, "\r")
    browser.until(
        "document.querySelector('#table th[aria-sort=descending]')?.textContent === 'Time'"
    )
    browser.until("document.activeElement.textContent === 'Time'")
    browser.press("Enter", 13, "\r")
    browser.until(
        "document.querySelector('#table th[aria-sort=ascending]')?.textContent === 'Time'"
    )


def test_an_action_asks_first_and_then_once(browser, running):
    """Pause opens a dialog that says what will happen; only its button puts in a request."""
    served, _, folder = running
    box = folder / "requests.jsonl"
    visit(browser, served.address)
    browser.run(PRESS % "Pause")
    text = browser.until(
        "document.getElementById('sheet').open && document.getElementById('sheet').textContent"
    )
    assert "same command goes on" in text
    assert not box.exists()
    browser.run("document.querySelector('#sheet button.main').click()")
    browser.until("!document.getElementById('sheet').open")
    assert box.read_text().count('"action":"pause"') == 1
    assert "Asked" in browser.run("document.getElementById('toasts').textContent")


def test_a_refusal_is_shown_where_it_was_asked(browser, running):
    """A value that is not possible is told in the dialog, which stays open."""
    served, _, _ = running
    visit(browser, served.address)
    browser.run(PRESS % "Add")
    browser.until("!!document.getElementById('more-trials')")
    browser.run("document.querySelector('#sheet button.main').click()")
    browser.until("document.querySelector('#sheet .error').textContent.includes('say how many')")
    assert browser.run("document.getElementById('sheet').open")


def test_a_dead_dashboard_says_so(browser, tmp_path):
    """When the server is gone the page says that what it shows may be old."""
    served = Served(world.finished(tmp_path))
    visit(browser, served.address)
    served.close()
    browser.until("document.getElementById('pulse').textContent.includes('does not answer')")


@pytest.mark.parametrize("warm", [False, True])
def test_the_first_paint_of_100_000_trials_takes_less_than_a_second(
    browser, large_folder, tmp_path, warm
):
    """Painted within a second while 100,000 trials are being read, and when all has been read."""
    served = Served(world.many(tmp_path, 10_000) if warm else large_folder)
    try:
        if warm:
            browser.open(served.address)
            browser.until("document.querySelector('#count')?.textContent === '10,001'", 60)
        browser.size(1280)
        began = time.perf_counter()
        browser.open(served.address)
        browser.until(READY)
        shown = time.perf_counter() - began
        paint = browser.until(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        )
        print(f"\nfirst contentful paint {paint:.0f} ms, first state drawn {shown:.2f} s")
        assert paint < 1000 * SLOWNESS
    finally:
        served.close()
