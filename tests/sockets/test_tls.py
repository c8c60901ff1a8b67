"""Serving https: who is served with which certificate, how a broken connection ends there, and what is left behind."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from emulator import Emulator
from emulator.cli.main import main
from emulator.server.certificate import Certificate, made_certificate
from emulator.testing.client import Control

RULES: list[dict[str, Any]] = [
    {"when": {"last_user": how}, "reply": {"events": ["one", "two", "three"], "off_contract": True,
                                           "faults": [{"cut": {"after_chunks": 2, "how": how}}]}}
    for how in ("fin", "reset", "garbage", "clean")
]  # fmt: skip
RULES += [{"when": {"last_user": "slow"}, "reply": {"text": "a b c", "stream": {"split": "words", "ttft": "forever"}}}]
RULES += [{"reply": {"text": "Hi!"}}]
SDK = """
import os
from openai import OpenAI
answer = OpenAI().chat.completions.create(model="auto", messages=[{"role": "user", "content": "x"}])
print(answer.choices[0].message.role, os.environ["OPENAI_BASE_URL"][:8], os.environ["NODE_EXTRA_CA_CERTS"])
"""
CUT = b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n"


@pytest.fixture(scope="module")
def certificate() -> Iterator[Certificate]:
    with made_certificate(["api.example.com"]) as made:
        yield made


@pytest.fixture(scope="module")
def server(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    file = tmp_path_factory.mktemp("tls") / "s.yaml"
    file.write_text(json.dumps({"emulator": 1, "provider": "beatra", "rules": RULES}))
    emulator = Emulator(file)
    emulator.setup = replace(emulator.setup, certificate=certificate)
    with emulator:
        yield emulator


class Tls:
    """TLS over a plain socket by hand: it shows how the socket ends, which a client's own layer may not."""

    def __init__(self, url: str, authority: Path, name: str = "localhost") -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), 5)
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(authority))
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname=name)
        self.ended = ""
        self.until_done(self.tls.do_handshake)

    def __enter__(self) -> Tls:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def until_done(self, step: Callable[[], Any]) -> Any:
        """Go on with a step of TLS, sending and reading what it needs; None at the end of the connection."""
        while not self.ended:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.send_what_waits()
                self.fill()
        return None

    def fill(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
        else:
            self.came.write(data)
            self.ended = "" if data else "closed"

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.send_what_waits()

    def send_what_waits(self) -> None:
        if self.goes.pending:
            self.socket.sendall(self.goes.read())

    def read(self) -> bytes:
        data: bytes | None = self.until_done(lambda: self.tls.read(65536))
        if data == b"":
            self.ended = "goodbye"
        return data or b""

    def answer(self) -> bytes:
        """Return all that comes after the head, up to a well-formed end or that of the connection."""
        data = b""
        while not self.ended and not data.endswith(b"0\r\n\r\n"):
            data += self.read()
        return data.partition(b"\r\n\r\n")[2]


def request(text: str, *, stream: bool = True) -> bytes:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}], "stream": stream}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n"
    return head.format(len(body)).encode() + body


@pytest.mark.parametrize(
    ("how", "wire", "ended"),
    [
        ("fin", CUT, "closed"),
        ("reset", CUT, "reset"),
        ("garbage", CUT + b"\xff\x00not a chunk\r\n", "goodbye"),
        ("clean", CUT + b"0\r\n\r\n", ""),
    ],
)
def test_how_a_cut_ends(how: str, wire: bytes, ended: str, server: Emulator, certificate: Certificate) -> None:
    with Tls(server.url, certificate.authority) as connection:
        connection.send(request(how))
        assert (connection.answer(), connection.ended) == (wire, ended)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "api.example.com"])
def test_each_name_is_in_the_certificate(name: str, server: Emulator, certificate: Certificate) -> None:
    with Tls(server.url, certificate.authority, name) as connection:
        connection.send(request("x", stream=False))
        assert connection.read().startswith(b"HTTP/1.1 200 OK")


def test_who_trusts_nothing_is_not_served(server: Emulator) -> None:
    parts = urlsplit(server.url)
    with (
        socket.create_connection((parts.hostname or "", parts.port or 0), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


def test_addresses_say_https_everywhere(server: Emulator, certificate: Certificate) -> None:
    control = Control(server.url, authority=str(certificate.authority))
    session = control.ask("POST", "/sessions", {"provider": "beatra"})
    assert server.url.startswith("https://127.0.0.1:")
    assert server.base_urls == {"beatra": f"{server.url}/beatra/v1"}
    assert session["base_urls"] == {"beatra": f"{server.url}/s/{session['id']}/beatra/v1"}
    document = control.ask("GET", "/openapi/beatra.json")
    assert document["servers"][0]["url"] == f"{server.url}/beatra/v1"
    control.close()
    with Tls(server.url, certificate.authority) as connection:
        connection.send(request("x", stream=False).replace(b"/v1/chat", b"/v1/v1/chat"))
        assert b"Did you mean https://x/v1/chat/completions?" in connection.read()


def test_a_client_that_says_goodbye_ends_what_waits(
    server: Emulator, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    control = Control(server.url, authority=str(certificate.authority))
    since = control.ask("GET", "/sessions/default/journal")["next"]
    with Tls(server.url, certificate.authority) as connection, caplog.at_level(logging.WARNING):
        connection.send(request("slow"))
        assert connection.read().startswith(b"HTTP/1.1 200 OK")
        with suppress(ssl.SSLWantReadError):
            connection.tls.unwrap()
        connection.send_what_waits()
        while not connection.ended:
            connection.fill()
    sent = None
    for _ in range(500):
        if sent not in (None, "under_way"):
            break
        (exchange,) = control.ask("GET", f"/sessions/default/journal?since={since}")["exchanges"]
        sent = exchange["sent"]["end"]
    control.close()
    assert (sent, caplog.text) == ("client_left", "")


def test_keys_are_for_the_owner_and_all_goes_at_the_end() -> None:
    with made_certificate([]) as made:
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in made.server.parent.iterdir()}
        assert modes == {"ca.pem": 0o644, "bundle.pem": 0o644, "server.pem": 0o600}
        assert b"PRIVATE" not in made.authority.read_bytes() + made.bundle.read_bytes()
    assert not made.server.parent.exists()


def test_the_bundle_holds_what_was_trusted_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.pem").write_text("-- mine --\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mine.pem"))
    with made_certificate([]) as made:
        assert made.bundle.read_text() == made.authority.read_text() + "-- mine --\n"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with made_certificate([]) as made:
        assert made.authority.read_text() in made.bundle.read_text()


def test_the_official_sdk_needs_no_other_word(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emulator", "exec", "--tls", "--provider", "beatra", "--", sys.executable, "-c"]
    done = subprocess.run([*command, SDK], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    role, scheme, authority = done.stdout.split()
    assert (done.returncode, done.stderr) == (0, "emulator: 1 request, nothing to find fault with\n")
    assert (role, scheme, Path(authority).exists()) == ("assistant", "https://", False)


def test_the_ready_file_and_the_ready_lines_name_the_authority(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emulator", "serve", "--tls", "--port", "0", "--ready-file", "r.json", "--quiet"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        lines = [process.stdout.readline()]
        while "CA to trust" not in lines[-1]:
            lines.append(process.stdout.readline())
        ready = json.loads((tmp_path / "r.json").read_text())
        assert lines[0] == f"Emulator ready at {ready['url']}\n"
        assert lines[-1] == f"  {'CA to trust':<18} {ready['ca_file']}\n"
        with Tls(ready["url"], Path(ready["ca_file"]), "api.beatra.ai") as connection:  # a documented host
            connection.send(request("x", stream=False).replace(b"host: x", b"host: api.beatra.ai"))
            assert connection.read().startswith(b"HTTP/1.1 200 OK")
        process.terminate()
        assert process.wait(10) == 0
        assert not Path(ready["ca_file"]).exists()
    finally:
        process.kill()
        process.communicate()


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    result = CliRunner().invoke(main, ["serve", "--tls", "--port", "0"])
    assert (result.exit_code, result.stderr) == (
        2, "--tls needs the package trustme; install it with: pip install 'llm-emulator[tls]'\n",
    )  # fmt: skip
