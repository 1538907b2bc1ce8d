"""A headless Chromium that is told what to do over a pipe: no driver, no port, no package."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BROWSER = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
AXE = importlib.util.find_spec("axe_playwright_python")  # brings axe-core, if it is installed
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe"),
)
# The browser reads from descriptor 3 and writes to 4, whatever these are in our process.
START = """
import os, sys
ends = [os.dup2(int(end), 200 + i) for i, end in enumerate(sys.argv[1:3])]
for i, end in enumerate(ends):
    os.dup2(end, 3 + i)
os.execv(sys.argv[3], sys.argv[3:])
"""


def axe(browser: Browser) -> list[str]:
    """What axe-core has to say against the page that is open; empty is good."""
    assert AXE is not None
    assert AXE.submodule_search_locations is not None
    script = next(Path(AXE.submodule_search_locations[0]).glob("**/axe.min.js")).read_text("utf-8")
    browser.run(f"{script};1")
    asked = "axe.run(document, {resultTypes: ['violations']})"
    found: list[str] = browser.run(
        f"{asked}.then((r) => r.violations.map((v) => v.id + v.nodes[0].html))"
    )
    return found


class Browser:
    """One browser with one page.

    Args:
        profile: An empty folder for its profile.
    """

    def __init__(self, profile: Path) -> None:
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(to_read), str(to_write), *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._rest, self._number = b"", 0
        self.console: list[str] = []
        self.requests: list[str] = []
        self._session = ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; events on the way are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                if "error" in found:
                    raise AssertionError(f"{method}: {found['error']}")
                return dict(found["result"])
            self._note(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._from, 1 << 16)
            if not part:
                raise AssertionError("the browser has died")
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(text))

    def _note(self, event: dict[str, Any]) -> None:
        method, values = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.console.append(str([a.get("value") for a in values["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(values["exceptionDetails"]))
        elif method == "Log.entryAdded":
            entry = values["entry"]
            self.console.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])

    def size(self, width: int, height: int = 900, dark: bool = False) -> None:
        """The window's size in CSS pixels, and its colours."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression; promises are awaited."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 15.0) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if value := self.run(script):
                    return value
            except AssertionError:  # the page is being exchanged
                pass
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}\n{self.console}")

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key."""
        same = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **same)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def shoot(self, file: Path, whole: bool = True) -> None:
        """A picture of the page."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for end in (self._to, self._from):
            os.close(end)
