"""The report in a real browser: it fits, obeys its own policy, and says nothing to the console."""

import html as escaping
import re
import shutil
import subprocess

import pytest
import report_searches as searches
import report_studies as studies
from web_browser import AXE, Browser, axe

from attain.core.types import Task
from attain.report import evidence, html

BROWSER = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000"),
)
# Measures pages in frames of a given width; frames from `srcdoc` may be looked into.
MEASURE = """
[...document.querySelectorAll("iframe")].map((frame) => {
  const page = frame.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("main *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > root.clientWidth + 1 && !e.closest(".scroll, svg");
  });
  return {
    width: root.clientWidth,
    scroll: root.scrollWidth,
    wide: wide.map((e) => e.tagName + "." + e.className).slice(0, 5),
    sortable: page.querySelectorAll("th button").length,
    images: page.images.length,
  };
})
"""
# Waits in real time: on a busy machine, frames had their scripts before their styles.
STYLED = """
document.readyState === "complete" && [...document.querySelectorAll("iframe")].every((frame) =>
  getComputedStyle(frame.contentDocument.querySelector("h1")).fontWeight === "680")
"""


def browse(tmp_path, page, *flags):
    """Open a file; give back the document after scripts ran, and what was logged."""
    profile = tmp_path / "profile"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def rendered(records):
    return html.render(evidence.collect(records))


def endless():
    """Names of 300 letters without a place to break, wherever a name can be."""
    text = rendered(studies.complete(Task.MULTICLASS))
    for name in ("tenure", "contract", "lightgbm", "opel", "vehicle", "edge_of_range"):
        text = text.replace(name, name * 50)
    return text


PAGES = {
    "binary": lambda: rendered(studies.complete(Task.BINARY)),
    "regression": lambda: rendered(studies.complete(Task.REGRESSION)),
    "hostile": lambda: rendered(studies.complete(Task.MULTICLASS, hostile=True)),
    "endless": endless,
    "interrupted": lambda: rendered(studies.interrupted()),
    "empty": lambda: rendered([]),
    "function": lambda: searches.page("one"),
    "goals": lambda: searches.page("two"),
    "hostile function": lambda: searches.page("evil"),
}


@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_and_their_style_and_script_are_allowed(tmp_path, width):
    """No page scrolls sideways; style and script passed the policy; hostile names load nothing."""
    frames = "".join(
        f'<iframe width="{width}" height="900" srcdoc="' + escaping.escape(make()) + '"></iframe>'
        for make in PAGES.values()
    )
    page = tmp_path / "frames.html"
    page.write_text(f"<!doctype html><body>{frames}", encoding="utf-8")
    browser = Browser(tmp_path / "profile")
    try:
        browser.size(1600, 1200)
        browser.open(page.as_uri())
        browser.until(STYLED, seconds=60)
        found = browser.run(MEASURE)
    finally:
        browser.close()
    assert len(found) == len(PAGES)
    for name, seen in zip(PAGES, found, strict=True):
        assert width - 20 <= seen["width"] <= width + 4, (name, seen)
        assert seen["scroll"] <= seen["width"], (name, seen)
        assert seen["wide"] == [], (name, seen)
        assert seen["images"] == 0, (name, seen)
        assert (seen["sortable"] > 0) == (name != "empty"), (name, seen)


@pytest.mark.parametrize("name", ["hostile", "binary", "hostile function"])
def test_the_console_stays_silent(tmp_path, name):
    """Opened from disk, a page causes no message: no violation, no failed request, no error."""
    page = tmp_path / "report.html"
    page.write_text(PAGES[name](), encoding="utf-8")
    dom, log = browse(tmp_path, page, "--dump-dom", "--window-size=1280,1000")
    assert "CONSOLE" not in log, re.findall(r".*CONSOLE.*", log)
    assert "<button type=" in dom


@pytest.mark.skipif(AXE is None, reason="no axe-core (pip install --no-deps axe-playwright-python)")
@pytest.mark.parametrize(
    ("width", "dark", "names"),
    [
        (400, False, ("binary", "hostile", "function")),
        (1280, False, ("regression", "interrupted")),
        (1280, True, ("binary", "goals")),
    ],
)
def test_axe_finds_nothing(tmp_path, width, dark, names):
    """The usual checker of accessibility has no complaint about a report, light or dark."""
    browser = Browser(tmp_path / "profile")
    try:
        browser.send("Page.setBypassCSP", enabled=True)
        browser.size(width, 900, dark)
        for name in names:
            page = tmp_path / f"{name}.html"
            page.write_text(PAGES[name](), encoding="utf-8")
            browser.open(page.as_uri())
            browser.until("document.readyState === 'complete' && !!document.querySelector('main')")
            browser.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
            assert axe(browser) == [], name
    finally:
        browser.close()


def test_the_console_is_heard(tmp_path):
    """The check above can fail: a page that breaks its policy is heard."""
    page = tmp_path / "report.html"
    text = rendered(studies.blocked())
    page.write_text(text.replace("</main>", "<script>x()</script></main>"), encoding="utf-8")
    _, log = browse(tmp_path, page, "--dump-dom")
    assert "CONSOLE" in log
