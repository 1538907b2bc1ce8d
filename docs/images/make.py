"""The README's pictures, of the demo's study.

    make demo && python docs/images/make.py [STUDY]

Opens report and dashboard in a headless Chromium and writes docs/images/report.png and
docs/images/dashboard.png, in 64 colours, so that a clone stays small.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1180, 1000
sys.path.insert(0, str(ROOT / "tests" / "web"))

from web_browser import Browser  # noqa: E402


def shoot(browser: Browser, address: str, name: str) -> None:
    """One picture of the top of a page."""
    browser.size(WIDTH, HEIGHT)
    browser.open(address)
    browser.until("document.readyState === 'complete' && !!document.querySelector('main')")
    time.sleep(2.0)  # until the dashboard has drawn what it was sent
    file = IMAGES / f"{name}.png"
    browser.shoot(file, whole=False)
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1e3:.0f} kB")


def main() -> int:
    """Start what shows the study, take the pictures, end it."""
    study = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "examples" / "adult" / "study"
    IMAGES.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "attain", "watch", str(study), "--no-open"]
    with tempfile.TemporaryDirectory() as profile:
        watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        browser = Browser(Path(profile))
        try:
            assert watch.stdout is not None
            address = re.search(r"http://\S+", watch.stdout.readline())
            assert address is not None, "attain watch says no address"
            shoot(browser, (study / "report.html").resolve().as_uri(), "report")
            shoot(browser, address.group(0), "dashboard")
        finally:
            browser.close()
            watch.terminate()
            watch.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
