"""Any bytes on a connection: requests that are nearly HTTP, one or several, and bytes that are none at all."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.contract.generation.strategies import TEXTS

from .cases import TIMEOUT_S, case, fuzz, kept
from .conftest import Server
from .test_bodies import BODY

TOKENS = st.sampled_from(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "M-SEARCH", "FOO", "post",
     ""]
)  # fmt: skip
STEPS = st.sampled_from(
    ["", "v1", "s", "default", "braintwin", "beatra", "brivionix", "brainstormrouter", "chat", "completions", "models",
     "embeddings", "intelligence", "recommendations", "_emulator", "sessions", "journal", "clock", "health", "..", ".",
     "%2f", "%00", "%", "%zz", "%ff", "é", "?", "?task=%ff", "?since=-1", "#", "*", "http://x", "x" * 5_000, "{id}"]
) | TEXTS  # fmt: skip
PATHS = st.lists(STEPS, max_size=6).map(lambda steps: "/" + "/".join(steps)) | TEXTS
NAMES = st.sampled_from(
    ["Authorization", "Content-Type", "Content-Length", "Transfer-Encoding", "Expect", "Connection", "Upgrade", "Host",
     "Idempotency-Key", "Accept-Encoding", "Cookie", "X-Tenant", "", ":", "\x00"]
) | TEXTS  # fmt: skip
VALUES = st.sampled_from(
    ["Bearer any", "Bearer ", "Basic x", "Bearer é", "Bearer invalid", "application/json", "text/plain;", "/", "0", "5",
     "-1", "9" * 40, "chunked", "gzip, chunked", "100-continue", "close", "keep-alive", "websocket", "h2c", "[::1", "[",
     "127.0.0.1:0", "api.beatra.ai", "\"550e8400-e29b-41d4-a716-446655440000\"", "x" * 9_000]
) | TEXTS  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


def raw_message(method: str, path: str, version: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


MESSAGE = st.builds(
    raw_message, TOKENS, PATHS, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ""]), HEADERS, BODY
)


@fuzz(2_500)
@given(MESSAGE | st.lists(MESSAGE, min_size=2, max_size=3).map(b"".join) | st.binary(max_size=100))
def test_any_message_on_the_socket_gets_no_error_of_ours(server: Server, data: bytes) -> None:
    check_message(server, data)


@pytest.mark.parametrize("data", kept("messages"))
def test_a_kept_message_gets_no_error_of_ours(server: Server, data: bytes) -> None:
    check_message(server, data)


def check_message(server: Server, data: bytes) -> None:
    with case("messages", data, server.spent):
        for head in heads(exchange(server.address, data)):
            assert not head.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), head
            assert b"\r\nx-emulator-error:" not in head.lower()


def exchange(server: str, data: bytes) -> bytes:
    """Send, say that nothing more will come, and read to the end."""
    host, port = server.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        received = bytearray()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # what is no HTTP may be cut short
        return bytes(received)


def heads(answer: bytes) -> Iterator[bytes]:
    """Yield each answer's head; what looks like one in a body is none: it does not stand at a line's beginning."""
    for match in re.finditer(rb"(?:^|(?<=[}\n]))HTTP/1\.[01] [^\r]*\r\n(?:[^\r]+\r\n)*", answer):
        yield match[0]
