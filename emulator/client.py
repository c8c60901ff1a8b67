"""A client of the control API, on the standard library alone: one connection, for any number of threads."""

from __future__ import annotations

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

#: A kept connection that the server closed meanwhile; on a new one the request is good.
_GONE = (http.client.BadStatusLine, ConnectionError)


class ControlError(Exception):
    """The control API refused; `code` and `status` say how, `problems` where a file is wrong."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", f"status {status}"))
        self.status = status
        self.code = error.get("code", "")
        self.problems = error.get("problems", [])


class Control:
    """Calls `METHOD /_emulator/PATH` with JSON and returns JSON. In `http://TOKEN@HOST` TOKEN is the admin token."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/") + "/_emulator"
        self._make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._where = (parts.hostname or "127.0.0.1", parts.port)
        self._headers = {"content-type": "application/json"}
        if parts.username:
            self._headers["authorization"] = f"Bearer {unquote(parts.username)}"
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON, None for an empty one.

        Raises: ControlError, where the API refuses, or no emulator is there; OSError, where nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        with self._lock:
            status, answer = self._exchange(method, self._prefix + path, data)
        try:
            value = json.loads(answer) if answer else None
        except ValueError:
            raise ControlError(status, {"message": f"what answers at {self.url} is no emulator"}) from None
        if status >= 400:
            error = value.get("error") if isinstance(value, dict) else None
            raise ControlError(status, error if isinstance(error, dict) else {})
        return value

    def _exchange(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        """Send on the kept connection, and once more on a new one if that turns out to be closed."""
        if self._process != os.getpid():
            self._connection, self._process = None, os.getpid()  # the other process goes on using it
        if self._connection is not None:
            try:
                return self._send(self._connection, method, path, data)
            except _GONE:
                self.close()
        self._connection = self._make(*self._where, timeout=self._timeout_s)
        return self._send(self._connection, method, path, data)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, data: bytes | None
    ) -> tuple[int, bytes]:
        try:
            connection.request(method, path, data, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self.close()  # half an exchange is left on it
            raise

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
