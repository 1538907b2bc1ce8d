"""A real server on a real socket: only this machine, only with the address, and gone when ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import web_studies as world

from attain.core.errors import EnvironmentProblem
from attain.web import serve
from attain.web.serve import make_dashboard


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    dashboard = make_dashboard(world.finished(tmp_path_factory.mktemp("study")))
    thread = threading.Thread(target=dashboard.serve, daemon=True)
    thread.start()
    yield dashboard
    dashboard.stop()
    thread.join(10)
    assert not thread.is_alive()


def get(dashboard, path, headers=None, method="GET"):
    connection = http.client.HTTPConnection(dashboard.address.split("/")[2], timeout=20)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def cookie(dashboard):
    status, headers, _ = get(dashboard, "/" + dashboard.address.partition("/?")[2].join(["?", ""]))
    assert status == 200
    return {"Cookie": headers["set-cookie"].partition(";")[0]}


def test_it_listens_on_the_loopback_interface_alone(served):
    """No other address of this machine answers."""
    import psutil

    port = int(served.address.split(":")[2].split("/")[0])
    mine = [c for c in psutil.Process().net_connections("inet") if c.laddr.port == port]
    listening = [c for c in mine if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def test_the_whole_way_over_a_socket(served):
    """Without the address 401; with it a cookie, the page, its numbers and a stream of events."""
    assert get(served, "/")[0] == 401
    headers = cookie(served)
    status, found, body = get(served, "/", headers)
    assert status == 200
    assert "server" not in {k.lower() for k in found}
    assert b"attain" in body
    rows = json.loads(get(served, "/api/trials", headers)[2])
    assert rows["all"] > 40
    connection = http.client.HTTPConnection(served.address.split("/")[2], timeout=20)
    connection.request("GET", "/events", headers=headers)
    answer = connection.getresponse()
    assert answer.getheader("content-type").startswith("text/event-stream")
    lines = [answer.readline() for _ in range(5)]
    assert any(line.startswith(b"data: {") for line in lines)
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_raw_rubbish_is_refused_and_survived(served, text):
    """What no browser would send gets an error, and the next visitor an answer."""
    host, port = served.address.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        try:
            raw.sendall(text)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(4_096)
        except OSError:  # closed on us: refused as well
            answer = b""
    assert not answer or b" 4" in answer.split(b"\r\n")[0]
    assert get(served, "/")[0] == 401


def test_a_taken_port_is_told(served, tmp_path):
    """There is a sentence that names the port and what to do."""
    port = int(served.address.split(":")[2].split("/")[0])
    with pytest.raises(EnvironmentProblem, match=rf"port {port}.*--port"):
        make_dashboard(tmp_path, port)


def test_a_missing_package_is_told(monkeypatch, tmp_path):
    """Without the web extra the error says how to install it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'attain\[web\]'"):
        make_dashboard(tmp_path)


def test_the_browser_gets_a_ticket_not_the_token(monkeypatch, tmp_path):
    """What stands in a browser's command line opens the dashboard once, and is not the secret."""
    opened, told = [], []
    monkeypatch.setattr(serve.webbrowser, "open", opened.append)
    monkeypatch.setattr(serve.Ready, "serve", lambda self: (time.sleep(0.2), self.close()))
    monkeypatch.setattr(serve.os, "nice", lambda by: None)
    world.write(tmp_path, [])
    serve.watch(tmp_path, tell=told.append)
    assert len(opened) == 1
    assert opened[0].startswith("http://127.0.0.1:")
    assert opened[0] != told[0]
    serve.watch(tmp_path, browser=False, tell=told.append)
    assert len(opened) == 1


def test_the_command_prints_an_address_and_ends_on_ctrl_c(tmp_path):
    """`attain watch` says where, logs nothing of what is visited, and ends without a traceback."""
    world.finished(tmp_path / "study")
    run = subprocess.Popen(
        [sys.executable, "-m", "attain", "watch", str(tmp_path / "study"), "--no-open", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        found = json.loads(run.stdout.readline())
        assert found["command"] == "watch"
        host, path = found["address"].removeprefix("http://").split("/", 1)
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", f"/{path}")
        assert connection.getresponse().status == 200
        connection.close()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, err
    assert "Traceback" not in err
    assert path not in out + err
    assert "Ctrl-C" in err


def test_a_folder_without_a_study_is_told(tmp_path):
    """Exit code 2 and a sentence, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "attain", "watch", str(tmp_path), "--no-open"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there must be a study" in done.stderr
