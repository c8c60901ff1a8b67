"""A client of the control API, on the standard library alone: one connection, safe to use from several threads."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit


class ControlError(Exception):
    """The control API refused; `code` and `status` say how, `problems` where a file is wrong."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", f"status {status}"))
        self.status = status
        self.code = error.get("code", "")
        self.problems = error.get("problems", [])


class Control:
    """Calls `METHOD /_emulator/PATH` with JSON and returns JSON."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/") + "/_emulator"
        self._make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._where = (parts.hostname or "127.0.0.1", parts.port)
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON, None for an empty one.

        Raises: ControlError, where the API refuses; OSError, where nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        with self._lock:
            status, answer = self._exchange(method, self._prefix + path, data)
        value = json.loads(answer) if answer else None
        if status >= 400:
            raise ControlError(status, value.get("error", {}) if isinstance(value, dict) else {})
        return value

    def _exchange(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        for last in (False, True):
            if self._connection is None:
                self._connection = self._make(*self._where, timeout=self._timeout_s)
            try:
                self._connection.request(method, path, data, headers)
                response = self._connection.getresponse()
                return response.status, response.read()
            except (http.client.HTTPException, OSError):
                self.close()  # a kept connection may have been closed meanwhile: once more on a new one
                if last:
                    raise
        raise AssertionError("not reached")

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
