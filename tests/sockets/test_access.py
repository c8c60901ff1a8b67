"""Who may ask the control API, on a plain socket: what no client sends, and every byte as it came."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from sockets.raw import Answer, Connection

PATHS = [
    "/_emulator/health",
    "/_emulator/health/",
    "/_emulator/sessions",
    "/_emulator/nowhere",
    "/_emulator/sessions//",
]


def ask(url: str, *lines: str, path: str = "/_emulator/health", method: str = "GET", version: str = "1.1") -> Answer:
    """Send these header lines and no others; HOST stands for the server's own."""
    head = [f"{method} {path} HTTP/{version}", *lines, "", ""]
    with Connection(url) as connection:
        connection.send("\r\n".join(head).replace("HOST", urlsplit(url).netloc).encode())
        return connection.answer()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "lines",
    [
        ["Host: HOST", "Host: HOST"],
        ["Host: HOST", "Host: evil.test"],
        ["Host: evil.test", "Host: HOST"],
        ["Host: evil.test", "host: HOST"],
        ["Host: HOST, evil.test"],
        ["Host: HOST,HOST"],
        ["Host:"],
        ["Host: ", "Host: HOST"],
        ["Host: evil.test"],
        ["X-Forwarded-Host: HOST"],
        [],
        ["Host: HOST", "Origin: null"],
        ["Host: HOST", "Origin: http://HOST", "Origin: http://evil.test"],
        ["Host: evil.test", "Origin: http://evil.test"],
        ["Host: HOST", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"],
        ["Host: HOST", "Sec-Fetch-Site: same-site"],
        ["Host: HOST", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
    ],
    ids=" | ".join,
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_who_may_not_ask(emulator_url: str, lines: list[str], path: str, version: str) -> None:
    answer = ask(emulator_url, *lines, path=path, version=version)
    assert (answer.status, answer.error_code) == (403, "forbidden")
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Host: HOST"], 200),
        (["host: LocalHost:1"], 200),
        (["Host: HOST", "Origin: http://HOST", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"], 200),
        (["Host: HOST", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"], 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_who_may_ask(emulator_url: str, lines: list[str], status: int, version: str) -> None:
    assert ask(emulator_url, *lines, version=version).status == status


@pytest.mark.parametrize("path", ["/_emulator", "/_emulator/"])
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Host: HOST"], 200),
        (["Host: evil.test"], 200),
        (["Host: HOST", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], 200),
        (["Host: HOST", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"], 403),
        (["Host: HOST", "Origin: http://evil.test"], 403),
    ],
    ids=str,
)
def test_the_page_is_for_who_types_its_address_or_follows_a_link(
    emulator_url: str, path: str, lines: list[str], status: int
) -> None:
    assert ask(emulator_url, *lines, path=path).status == status


def test_an_absolute_target_is_what_counts_and_not_the_host(emulator_url: str) -> None:
    assert ask(emulator_url, "Host: HOST", path="http://evil.test/_emulator/health").status == 403
    assert ask(emulator_url, "Host: evil.test", path="http://HOST/_emulator/health").status == 200
    assert ask(emulator_url, "Host: HOST", path="http://127.0.0.1@evil.test/_emulator/health").status == 403


def test_a_chunked_body_needs_its_type_too(emulator_url: str) -> None:
    lines = ["Host: HOST", "Transfer-Encoding: chunked", "Content-Type: text/plain", "", "2", "{}", "0"]
    answer = ask(emulator_url, *lines, path="/_emulator/sessions", method="POST")
    assert (answer.status, answer.error_code) == (415, "unsupported_media_type")
