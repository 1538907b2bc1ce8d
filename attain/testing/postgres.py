"""A PostgreSQL server of one's own for tests: in a temporary folder, behind a socket in it."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from attain.core.errors import EnvironmentProblem

START_SECONDS = 60.0
DATABASE = "attain"


def find_server() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest of several; None without a server."""
    found = [Path(path).parent for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    on_path = shutil.which("initdb")
    newest = sorted(found, key=lambda path: _version(path.parent.name))
    return newest[-1] if newest else Path(on_path).parent if on_path else None


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0


class PostgresServer:
    """A server that listens on a socket in its own folder, and on no port.

    Args:
        durable: Whether it flushes to the disk; not needed where only processes die.

    Raises:
        EnvironmentProblem: When no server is installed, or it does not start.
    """

    def __init__(self, *, durable: bool = False) -> None:
        found = find_server()
        if found is None:
            raise EnvironmentProblem("no PostgreSQL is installed — apt-get install postgresql")
        self._programs = found
        self._flush = "on" if durable else "off"
        self.folder = Path(tempfile.mkdtemp(prefix="attain-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._who = _someone()
        try:
            self._make()
            self.start()
            self._run("createdb", "--host", str(self.folder), "--username", "attain", DATABASE)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Of an empty database."""
        return f"postgresql://attain@/{DATABASE}?host={self.folder}"

    def start(self) -> None:
        """Start, and wait until connections are taken.

        Raises:
            EnvironmentProblem: When it does not come up within a minute.
        """
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": self._flush,
            "shared_buffers": "16MB",
            "max_connections": "40",
        }
        settings = [part for pair in options.items() for part in ("-c", "=".join(pair))]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *settings],
                stdout=log, stderr=log, cwd="/", **self._who,
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while subprocess.run(
            [self._programs / "pg_isready", "--quiet", "--host", self.folder], check=False
        ).returncode:
            if time.monotonic() > until or self._process.poll() is not None:
                text = (self.folder / "log").read_text(errors="replace")[-500:]
                raise EnvironmentProblem(f"the PostgreSQL server did not start: {text}")
            time.sleep(0.05)

    def stop(self, *, crash: bool = False) -> None:
        """Stop, cutting all connections.

        Args:
            crash: End at once, as a power cut would; the next start replays the log.
        """
        if self._process is None:
            return
        # SIGQUIT gives up at once, without writing anything more; SIGINT does not wait for clients.
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop and delete everything; safe to call twice."""
        self.stop(crash=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _make(self) -> None:
        self.folder.chmod(0o755)
        if "user" in self._who:
            shutil.chown(self.folder, self._who["user"])
        sync = [] if self._flush == "on" else ["--no-sync"]
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "attain", "-A", "trust", *sync)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True, text=True, cwd="/", check=False, **self._who,
        )  # fmt: skip
        if done.returncode:
            raise EnvironmentProblem(f"{program} failed: {done.stderr.strip()[-500:]}")


def _someone() -> dict[str, Any]:
    """Who runs the server: it refuses to be run by root."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise EnvironmentProblem("the server must not be run by root — add a user `postgres`")
