"""A client of the control API: one kept connection, for any number of threads; a forked process has one of its own.

A request goes out in one write and httptools reads the answer: a test asks three times or more, and http.client took
most of that time.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import weakref
from typing import Any
from urllib.parse import unquote, urlsplit

import httptools

#: What an answer that is no JSON raises; a ValueError may come from a signal's handler.
_NO_JSON = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)


class ControlError(Exception):
    """The control API refused; `code` and `status` say how, `problems` where a file is wrong."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", f"status {status}"))
        self.status = status
        self.code = error.get("code", "")
        self.problems = error.get("problems", [])


def __tracebackhide__(raised: Any) -> bool:
    """Tell pytest to hide the frames of a module that imports this, where the error itself says what is wrong."""
    return isinstance(raised.value, AssertionError | ControlError) or type(raised.value) is LookupError


class Control:
    """Calls `METHOD /_emulator/PATH` with JSON and returns JSON. In `http://TOKEN@HOST` TOKEN is the admin token.

    `authority` is the CA's file to trust at https, in place of those that this machine trusts.
    """

    def __init__(self, url: str, timeout_s: float = 30.0, authority: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        address = parts.netloc.rpartition("@")[2]
        self.url = f"{parts.scheme}://{address}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/") + "/_emulator"
        self._tls = parts.scheme == "https"
        self._where = (parts.hostname or "127.0.0.1", parts.port or (443 if self._tls else 80))
        self._headers = f"host: {address}\r\ncontent-type: application/json\r\n"
        if parts.username:
            self._headers += f"authorization: Bearer {unquote(parts.username)}\r\n"
        self._timeout_s = timeout_s
        self._authority = authority
        self._socket: socket.socket | None = None
        self._new_lock = threading.Lock
        self._lock = self._new_lock()
        _living.add(self)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON, None for an empty one.

        Raises: ControlError, where the API refuses, or no emulator is there; OSError, where nobody answers.
        """
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._headers}content-length: {len(data)}\r\n\r\n"
        if self._new_lock is not threading.Lock:  # gevent took its place, and a greenlet that waits must give way
            self.begin_anew()
        with self._lock:
            answer = self._exchange(head.encode() + data)
        try:
            text = b"".join(answer.body)
            value = json.loads(text) if text else None
        except _NO_JSON:
            raise self._stranger(answer.status) from None
        if answer.status >= 400:
            error = value.get("error") if isinstance(value, dict) else None
            raise ControlError(answer.status, error if isinstance(error, dict) else {})
        return value

    def _stranger(self, status: int) -> ControlError:
        return ControlError(status, {"message": f"what answers at {self.url} is no emulator"})

    def _exchange(self, message: bytes) -> _Answer:
        """Send on the kept connection, and once more on a new one if that turns out to be closed."""
        if self._socket is not None:
            with contextlib.suppress(ConnectionError):  # the server closed it meanwhile
                return self._send(self._socket, message)
        self._socket = self._connect()
        return self._send(self._socket, message)

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._where, self._timeout_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._tls:
            return made
        import ssl

        context = ssl.create_default_context(cafile=self._authority)
        return context.wrap_socket(made, server_hostname=self._where[0])

    def _send(self, connection: socket.socket, message: bytes) -> _Answer:
        answer = _Answer()
        try:
            connection.sendall(message)
            answer.read(connection)
            if not answer.status:
                raise ConnectionResetError(f"{self.url} closed the connection without an answer")
        except httptools.HttpParserError:
            self._drop(connection)
            raise self._stranger(answer.status) from None
        except BaseException:
            self._drop(connection)  # half an exchange is left on it
            raise
        if not answer.kept:
            self._drop(connection)
        return answer

    def _drop(self, connection: socket.socket) -> None:
        connection.close()
        if self._socket is connection:  # in a fork a greenlet of the parent may still hold another
            self._socket = None

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def begin_anew(self) -> None:
        """Take a new lock and connection: in a fork they are the parent's, and a thread of it may hold the lock."""
        self._new_lock = threading.Lock
        self._lock = self._new_lock()
        self.close()


_living: weakref.WeakSet[Control] = weakref.WeakSet()


def _begin_anew() -> None:
    for control in list(_living):
        control.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)


class _Answer:
    """One answer as it comes in; `kept` tells whether the connection can be used again."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.body: list[bytes] = []
        self.kept = False
        self.complete = False

    def read(self, connection: socket.socket) -> None:
        """Read until the message ends; one without a length ends with the connection.

        Raises: OSError; httptools.HttpParserError.
        """
        while not self.complete:
            data = connection.recv(1 << 16)
            if not data:
                self.kept = False
                return
            if raised := self._feed(data):
                raise raised

    def _feed(self, data: bytes) -> BaseException | None:
        """Parse, and return what a callback raised: a signal's handler may run in one, and the parser wraps it."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            return error.__context__ or error
        return None

    # What httptools calls

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.kept = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.complete = True
