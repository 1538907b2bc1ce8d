"""Whole messages over a socket that never make the reader wait for the rest of one.

A worker may be stopped, or killed, in the middle of a message; whoever supervises many workers must
not wait for it. So the supervisor's end keeps what has arrived and what is still to be sent.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct(">Q")
_CHUNK = 1 << 20


def pack(message: tuple[Any, ...]) -> bytes:
    """A message as it travels: its length in eight bytes, then its pickle.

    Args:
        message: Anything picklable.

    Returns:
        The frame.
    """
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Channel:
    """The supervisor's end of a worker's socket.

    Args:
        sock: A connected stream socket; it is owned from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self.ended = False

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._sock.fileno()

    @property
    def pending(self) -> bool:
        """Whether something still waits to be sent."""
        return bool(self._outgoing)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message, now as far as the socket takes it; `flush` sends the rest."""
        self._outgoing += pack(message)
        self.flush()

    def flush(self) -> None:
        """Send what still waits, as far as the socket takes it."""
        try:
            while self._outgoing:
                sent = self._sock.send(memoryview(self._outgoing)[:_CHUNK])
                del self._outgoing[:sent]
        except BlockingIOError:
            return
        except OSError:  # the worker is gone; its end is dealt with where its death is noticed
            self._outgoing.clear()
            self.ended = True

    def receive(self) -> list[tuple[Any, ...]]:
        """Every message that has arrived whole; sets `ended` when the other end is closed."""
        try:
            while data := self._sock.recv(_CHUNK):
                self._incoming += data
            self.ended = True
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        return self._whole()

    def _whole(self) -> list[tuple[Any, ...]]:
        messages = []
        start = 0
        while len(self._incoming) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._incoming, start)
            end = start + _LENGTH.size + length
            if len(self._incoming) < end:
                break
            body = memoryview(self._incoming)[start + _LENGTH.size : end]
            messages.append(pickle.loads(body))
            body.release()
            start = end
        del self._incoming[:start]
        return messages

    def close(self) -> None:
        """Close the socket; what had not been sent is lost."""
        self._sock.close()


def read_message(sock: socket.socket) -> tuple[Any, ...] | None:
    """The next message on a worker's own end, waiting for it.

    Args:
        sock: A connected, blocking socket.

    Returns:
        The message, or None when the other end is closed.
    """
    header = _exactly(sock, _LENGTH.size)
    if header is None:
        return None
    body = _exactly(sock, _LENGTH.unpack(header)[0])
    if body is None:
        return None
    message: tuple[Any, ...] = pickle.loads(body)
    return message


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        part = sock.recv(min(count - len(data), _CHUNK))
        if not part:
            return None
        data += part
    return bytes(data)
