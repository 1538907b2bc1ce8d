"""Serving the dashboard, or a model, on this machine, and only to it."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attain.core.errors import EnvironmentProblem

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
_MISSING = (
    "serving needs a package that is not installed ({}) — install it with: "
    "pip install 'attain[web]'"
)
QUIET = 10  # steps by which the run goes first where both want a core


@dataclass(frozen=True)
class Ready:
    """A server that only has to be started.

    Attributes:
        address: Of a dashboard with the token: whoever has it may look and ask.
        ticket: An address for a browser that is opened now; good for one visit. Empty for a model.
    """

    address: str
    ticket: str
    _server: uvicorn.Server
    _socket: socket.socket

    def serve(self) -> None:
        """Serve until Ctrl-C, or until `stop`."""
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._server.should_exit = True


def make_dashboard(folder: Path, port: int = 0) -> Ready:
    """Bind a port on the loopback interface.

    Args:
        folder: A study folder with a ledger.
        port: To listen on; 0 for any that is free.

    Returns:
        Not serving yet.

    Raises:
        EnvironmentProblem: When the web extra is not installed, or the port cannot be had.
    """
    try:
        import uvicorn  # noqa: F401 - before a port is taken

        from attain.web.app import make_app
    except ImportError as error:
        raise EnvironmentProblem(_MISSING.format(error.name)) from error
    from attain.web.gate import Gate
    from attain.web.hub import Hub

    listening = _bind(port)
    port = listening.getsockname()[1]
    app = make_app(Hub(folder))
    gate = Gate(app, port)
    app.state.gate = gate
    base = f"http://{HOST}:{port}/?token="
    return Ready(base + gate.token, base + gate.ticket(), _server(gate), listening)


def make_predictor(folder: Path, port: int = 0) -> Ready:
    """Load a model and bind a port on the loopback interface.

    Args:
        folder: A model folder, or a study folder that has one.
        port: To listen on; 0 for any that is free.

    Returns:
        Not serving yet.

    Raises:
        ArtifactError: When the model is incomplete or was altered.
        NotApplicable: When the model reads files, which a caller could then name freely.
        EnvironmentProblem: When the web extra is not installed, or the port cannot be had.
    """
    from attain.web.predictor import Predictor

    listening = _bind(port)
    try:
        port = listening.getsockname()[1]
        return Ready(f"http://{HOST}:{port}/", "", _server(Predictor(folder, port)), listening)
    except BaseException:
        listening.close()
        raise


def _server(app: Any) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError as error:
        raise EnvironmentProblem(_MISSING.format(error.name)) from error
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,  # an address holds the token
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        lifespan="on",
        timeout_graceful_shutdown=1,
        limit_concurrency=256,
    )
    return uvicorn.Server(config)


def _bind(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # there it would let another program share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)  # from now on nobody is turned away, though answers come later
    except OSError as error:
        listening.close()
        raise EnvironmentProblem(
            f"port {port} of {HOST} cannot be had ({error.strerror}) — name another with --port, or"
            " leave it out for any that is free"
        ) from error
    return listening


def watch(
    folder: Path, *, port: int = 0, browser: bool = True, tell: Callable[[str], None] = print
) -> None:
    """Serve a study's dashboard until Ctrl-C. The run comes first wherever both want a core.

    Args:
        folder: A study folder with a ledger.
        port: To listen on; 0 for any that is free.
        browser: Whether to open one.
        tell: Told the address.

    Raises:
        EnvironmentProblem: When the web extra is not installed, or the port cannot be had.
    """
    dashboard = make_dashboard(folder, port)
    if hasattr(os, "nice"):
        os.nice(QUIET)
    tell(dashboard.address)
    if browser:
        opening = threading.Thread(target=webbrowser.open, args=(dashboard.ticket,), daemon=True)
        opening.start()
    dashboard.serve()
