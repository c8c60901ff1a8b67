"""The relay over real sockets: what passes through, as it comes, to the official SDK and to a raw socket."""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
import trustme
import yaml
from hostile_target import ENDLESS, NONSENSE, HostileTarget
from openai import AsyncOpenAI, OpenAI
from shared import fleet

from emulator import Emulator
from emulator.server import upstream as upstream_module
from emulator.server.upstream import Bounds
from sockets.raw import Connection, chat, control, events, make_world, request
from sockets.recording import Recording, recording

KEY = "sk-the-clients-own-key"
UPSTREAM = """\
emulator: 1
plan: unlimited
rules:
  - when: {last_user: limited}
    replies: [{error: rate_limited, retry_after: 2}, {text: Served.}]
  - when: {last_user: reset}
    reply: {text: one two three, faults: [{cut: {after_chunks: 2, how: reset}}]}
  - when: {last_user: fin}
    reply: {text: one two three, faults: [{cut: {after_chunks: 2, how: fin}}]}
  - when: {last_user: garbage}
    reply: {text: one two three, faults: [{cut: {after_chunks: 2, how: garbage}}]}
  - when: {last_user: stall}
    reply: {text: one two three, faults: [{stall: {after_chunks: 2, for: forever}}]}
  - when: {last_user: hang}
    reply: {text: never, latency: forever}
  - when: {last_user: half}
    reply: {text: one two three, faults: [{cut: {after_bytes: 20, how: fin}}]}
  - reply: {text: "Key ${request.headers.x-probe}, ${request.last_user}", headers: {x-extra: "1"}}
"""
MODELS = {"beatra": "auto", "brainstormrouter": "auto", "braintwin": "gpt-4", "brivionix": "gpt-5.4-mini"}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    file = tmp_path_factory.mktemp("upstream") / "up.yaml"
    file.write_text(UPSTREAM)
    with Emulator(file) as emulator:
        yield emulator


@contextmanager
def serving(folder: Path, scenario: str, **upstreams: str) -> Iterator[Emulator]:
    file = folder / "down.yaml"
    file.write_text(scenario)
    with Emulator(file, upstreams=upstreams) as emulator:
        yield emulator


def client(base_url: str, **options: Any) -> OpenAI:
    return OpenAI(**{"base_url": base_url, "api_key": KEY, "max_retries": 0, "timeout": 10, **options})


def hello(text: str = "hello") -> Any:
    return [{"role": "user", "content": text}]


# A part of a scenario


def test_what_no_rule_answers_goes_to_the_upstream(upstream: Emulator, tmp_path: Path) -> None:
    mine = (
        "emulator: 1\nprovider: beatra\nunmatched: proxy\nrules:\n- {when: {last_user: mine}, reply: {text: Mine.}}\n"
    )
    with serving(tmp_path, mine, beatra=upstream.base_urls["beatra"]) as emulator:
        with client(emulator.base_urls["beatra"], default_headers={"x-probe": "1"}) as api:
            answers = [
                api.chat.completions.with_raw_response.create(model="auto", messages=hello(text))
                for text in ("mine", "theirs")
            ]
        rows = control(emulator.url, "GET", "/sessions/default/journal")["exchanges"]
    texts = [answer.parse().choices[0].message.content for answer in answers]
    assert texts == ["Mine.", "Key 1, theirs"]
    assert [answer.headers["x-emulator-exchange"] for answer in answers] == ["1", "2"]
    assert [row["rule"] for row in rows] == [answer.headers["x-emulator-rule"] for answer in answers]
    assert (rows[1]["rule"], rows[1]["rule_id"]) == ("proxy", None)
    shown = rows[1]["response"]
    assert (shown["status"], shown["headers"]["x-extra"], shown["usage"]["completion_tokens"]) == (200, "1", 4)
    assert (rows[1]["sent"]["end"], KEY in str(rows)) == ("complete", False)


def test_a_reply_of_a_rule_is_the_upstreams(upstream: Emulator, tmp_path: Path) -> None:
    rules = (
        "emulator: 1\nprovider: beatra\nrules:\n- id: on\n  replies: [{text: Mine.}, {proxy: true}, {text: Last.}]\n"
    )
    with (
        serving(tmp_path, rules, beatra=upstream.base_urls["beatra"]) as emulator,
        client(emulator.base_urls["beatra"]) as api,
    ):
        answers = [api.chat.completions.create(model="auto", messages=hello()) for _ in range(3)]
        row = control(emulator.url, "GET", "/sessions/default/journal")["exchanges"][1]
    assert [answer.choices[0].message.content for answer in answers] == ["Mine.", "Key , hello", "Last."]
    assert (row["rule_id"], row["reply"], row["call"]) == ("on", 1, 2)


def test_limits_and_validation_come_before_the_upstream(upstream: Emulator, tmp_path: Path) -> None:
    rules = "emulator: 1\nprovider: beatra\nplan: {requests_per_minute: 1}\nrules:\n- reply: {proxy: true}\n"
    with (
        serving(tmp_path, rules, beatra=upstream.base_urls["beatra"]) as emulator,
        client(emulator.base_urls["beatra"]) as api,
    ):
        with pytest.raises(openai.BadRequestError):
            api.chat.completions.create(model="auto", messages=hello(), temperature=9)
        api.chat.completions.create(model="auto", messages=hello())
        with pytest.raises(openai.RateLimitError):
            api.chat.completions.create(model="auto", messages=hello())


def test_a_provider_without_an_upstream_says_so(upstream: Emulator, tmp_path: Path) -> None:
    with (
        serving(
            tmp_path, "emulator: 1\nrules:\n- reply: {proxy: true}\n", beatra=upstream.base_urls["beatra"]
        ) as emulator,
        client(emulator.base_urls["braintwin"]) as api,
        pytest.raises(openai.NotFoundError, match="--upstream braintwin=BASE_URL"),
    ):
        api.chat.completions.create(model="gpt-4", messages=hello())


def test_a_session_whose_scenario_needs_an_upstream_is_not_made(emulator_url: str) -> None:
    body = {"scenario": "emulator: 1\nprovider: beatra\nrules:\n- reply: {proxy: true}\n"}
    with Connection(emulator_url) as connection:
        connection.send(request(emulator_url, body, path="/_emulator/sessions"))
        answer = connection.answer()
    assert (answer.status, answer.json["error"]["problems"]) == (422, [{
        "file": "session", "line": 4, "column": 11, "where": "rules[0].reply.proxy",
        "message": "needs an upstream; start with --upstream beatra=BASE_URL",
    }])  # fmt: skip


# Everything: a recording


@pytest.fixture
def taped(upstream: Emulator) -> Iterator[Recording]:
    with recording(upstream.base_urls["beatra"], timeout=0.5) as found:
        yield found


def replay(found: Recording, folder: Path) -> Emulator:
    file = folder / "recorded.yaml"
    file.write_text(found.recorder.text())
    return Emulator(file)


def told(base_url: str, ask: Callable[[OpenAI], Any]) -> str:
    """Return what the SDK makes of it, ids and times aside."""
    with client(base_url) as api:
        try:
            found = ask(api)
        except openai.APIStatusError as error:
            found = (error.status_code, error.body, error.response.headers.get("retry-after"))
        except openai.APIError as error:
            found = type(error).__name__
    return re.sub(r"(chatcmpl|call|req)[-_]\w+|created=\d+", "NEW", str(found))


def pieces(api: OpenAI, model: str, text: str, **more: Any) -> list[Any]:
    got: list[Any] = []
    try:
        for chunk in api.chat.completions.create(model=model, messages=hello(text), stream=True, **more):
            got.append(chunk.choices[0].delta)
    except openai.APIError as error:
        got.append(type(error).__name__)
    return got


WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("provider", MODELS)
def test_the_sdk_finds_the_same_in_the_recording(upstream: Emulator, tmp_path: Path, provider: str) -> None:
    def asked(base_url: str) -> list[str]:
        model = MODELS[provider]
        whole = [lambda api, text=text: api.chat.completions.create(model=model, messages=hello(text))
                 for text in ("hello", "limited", "limited", "hello", "half")]  # fmt: skip
        streams = [lambda api, text=text: pieces(api, model, text) for text in ("hello", "reset", "fin", "garbage")]
        tools = [lambda api: api.chat.completions.create(model=model, messages=hello("Weather?"), tools=[WEATHER]),
                 lambda api: pieces(api, model, "Weather?", tools=[WEATHER])]  # fmt: skip
        return [told(base_url, ask) for ask in [*whole, *streams, *tools]]

    with recording(upstream.base_urls[provider], provider) as found:
        first = asked(found.base_url)
        found.exchanges(len(first))
    with replay(found, tmp_path) as emulator:
        assert asked(emulator.base_urls[provider]) == first


def test_the_async_sdk_streams_side_by_side(taped: Recording, tmp_path: Path) -> None:
    async def asked(base_url: str) -> list[str]:
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as api:

            async def one(text: str) -> str:
                stream = await api.chat.completions.create(model="auto", messages=hello(text), stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*(one(f"number {number}") for number in range(20)))

    first = asyncio.run(asked(taped.base_url))
    assert first == [f"Key , number {number}" for number in range(20)]
    taped.exchanges(20)
    with replay(taped, tmp_path) as emulator:
        assert asyncio.run(asked(emulator.base_urls["beatra"])) == first


def test_a_stream_is_passed_on_event_by_event(taped: Recording) -> None:
    with Connection(taped.base_url) as connection:
        connection.send(request(taped.base_url, chat("stall", stream=True), key=KEY))
        assert connection.until(b'"content":"one"')  # the upstream is silent from here on
        answer = connection.rest()
    assert not answer.endswith(b"0\r\n\r\n")
    ((exchange, sent),) = taped.exchanges()
    assert (exchange.timeline.end, sent.end) == ("fin", "cut")
    assert [note.message for note in exchange.notes] == ["the upstream fell silent for 0.5 s; it was cut there"]


def ask(base_url: str, text: str, **more: Any) -> tuple[int, Any]:
    with Connection(base_url) as connection:
        connection.send(request(base_url, chat(text, **more), key=KEY))
        answer = connection.answer()
    return answer.status, answer.json


def test_a_stuck_upstream_is_a_504(taped: Recording, tmp_path: Path) -> None:
    status, body = ask(taped.base_url, "hang")
    assert (status, body["error"]["code"]) == (504, "timeout")
    taped.exchanges()
    with replay(taped, tmp_path) as emulator:
        again = ask(emulator.base_urls["beatra"], "hang")
    assert (again[0], again[1]["error"]["message"]) == (504, body["error"]["message"])


def test_an_upstream_that_cannot_be_reached_is_a_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with recording(url) as found:
        status, body = ask(found.base_url, "hello")
        found.exchanges()
    assert (status, body["error"]["code"]) == (502, "bad_gateway")
    assert body["error"]["message"] == f"The upstream {url} cannot be reached: Connection refused."
    assert yaml.safe_load(found.recorder.text())["rules"][0]["replies"][0]["error"]["name"] == "bad_gateway"


@pytest.mark.parametrize("way", [*ENDLESS, *NONSENSE])
def test_no_upstream_brings_the_relay_down(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bounds = functools.partial(Bounds, whole_s=1.0, max_bytes=3_000_000)
    monkeypatch.setattr(upstream_module, "Bounds", bounds)
    with HostileTarget(way) as target, recording(target.url, timeout=0.3) as found:
        for stream in (False, True):
            with Connection(found.base_url) as connection:
                connection.send(request(found.base_url, chat(stream=stream), key=KEY, headers={"Connection": "close"}))
                try:
                    status = connection.head()[0]
                    connection.rest()
                except ConnectionResetError:
                    status = 0
            assert status in (0, 200, 302, 502, 504)
        exchanges = found.exchanges(2)
    assert [exchange.crash for exchange, _ in exchanges] == [None, None]
    with replay(found, tmp_path) as emulator:
        for exchange, sent in exchanges:
            if sent.end == "complete":
                assert ask_status(emulator, exchange.request.body) == exchange.timeline.status


def ask_status(emulator: Emulator, body: bytes) -> int:
    with Connection(emulator.url) as connection:
        connection.send(request(emulator.url, body, key=KEY))
        return connection.answer().status


def test_a_client_that_leaves_frees_the_upstream(taped: Recording) -> None:
    for text in ("hang", "stall"):
        with Connection(taped.base_url) as connection:
            connection.send(request(taped.base_url, chat(text, stream=True), key=KEY))
            if text == "stall":
                connection.until(b'"content":"one"')
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    ended = taped.exchanges(2)
    assert {sent.end for _, sent in ended} == {"client_left"}
    assert yaml.safe_load(taped.recorder.text())["rules"] == []


def test_a_session_that_is_deleted_while_the_upstream_answers_is_not_made_again(upstream: Emulator) -> None:
    with (
        fleet.serving("memory://", upstreams={"beatra": upstream.base_urls["beatra"]}, upstream_timeout=0.5) as member,
        upstream_asked(upstream) as asked,
    ):
        world = make_world(member.url, "provider: beatra\nrules: [{reply: {proxy: true}}]")
        with world.connect() as connection:
            connection.send(world.request(chat("hang")))
            asked()
            control(member.url, "DELETE", f"/sessions/{world.id}")
            status = connection.answer().status
        found = vars(member.worlds.store)["_sessions"]
    assert (status, dict(found)) == (504, {})


@contextmanager
def upstream_asked(upstream: Emulator) -> Iterator[Callable[[], None]]:
    """Yield what waits until the upstream has got one more request."""
    path = "/sessions/default/journal"
    since = control(upstream.url, "GET", path)["next"]

    def wait() -> None:
        for _ in range(1000):
            if control(upstream.url, "GET", f"{path}?since={since}")["exchanges"]:
                return
            threading.Event().wait(0.01)
        raise AssertionError("the upstream was not asked")

    yield wait


def test_connections_are_kept_and_requests_pipelined(taped: Recording) -> None:
    with Connection(taped.base_url) as connection:
        texts = ("one", "two")
        connection.send(b"".join(request(taped.base_url, chat(text), key=KEY) for text in texts))
        answers = [connection.answer().json["choices"][0]["message"]["content"] for _ in texts]
    assert answers == ["Key , one", "Key , two"]


def test_http_10_gets_a_stream_that_ends_with_the_connection(taped: Recording) -> None:
    with Connection(taped.base_url) as connection:
        connection.send(request(taped.base_url, chat(stream=True), key=KEY, version="1.0"))
        answer = connection.answer()
    assert events(answer)[-1] == "[DONE]"
    assert (answer.headers["connection"], "transfer-encoding" in answer.headers) == ("close", False)


class Echo:
    """An upstream that keeps what it was sent and gives one answer."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self._answer = answer
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Echo:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        self._listener.settimeout(10)
        try:
            connection, _ = self._listener.accept()
            connection.settimeout(5)
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        with connection:
            data = b""
            while not _is_whole(data):
                if not (more := connection.recv(65536)):
                    return
                data += more
            self.heads.append(data)
            connection.sendall(self._answer)


def _is_whole(data: bytes) -> bool:
    """Tell whether a request is there with its body: a socket that is closed before it has read all is reset."""
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


GOOD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\nSet-Cookie: sid=secret-cookie\r\n"
    b'Set-Cookie: b=2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n{"a": 1}'
)


def test_headers_pass_through_but_those_of_a_connection() -> None:
    with Echo(GOOD) as echo, recording(f"http://127.0.0.1:{echo.port}/base/v1") as found:
        with Connection(found.base_url) as connection:
            sent = {"Cookie": "mine=secret-of-mine", "TE": "trailers", "Accept-Encoding": "br", "X-Own": "1"}
            path = "/beatra/v1/chat/completions?a=1&b=%20c"
            connection.send(request(found.base_url, key=KEY, headers=sent, path=path))
            head = connection.until(b"\r\n\r\n")
        found.exchanges()
    lines = echo.heads[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert lines[0] == "POST /base/v1/chat/completions?a=1&b=%20c HTTP/1.1"
    named = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert named["host"] == f"127.0.0.1:{echo.port}"
    assert (named["authorization"], named["cookie"], named["x-own"]) == (f"Bearer {KEY}", sent["Cookie"], "1")
    assert (named["accept-encoding"], "te" in named) == ("identity", False)
    answered = head.decode().lower()
    assert (answered.count("set-cookie: "), "x-kept: 1" in answered, "x-hop" in answered) == (2, True, False)
    assert answered.count("date: ") == 1
    text = found.recorder.text()
    assert [word for word in (KEY, "secret-cookie", "secret-of-mine") if word in text] == []


def test_what_is_packed_arrives_as_it_came() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\n\x01\x02\xff"
    )
    with Echo(answer) as echo, recording(f"http://127.0.0.1:{echo.port}/v1") as found:
        with Connection(found.base_url) as connection:
            connection.send(request(found.base_url, key=KEY))
            came = connection.answer()
        found.exchanges()
    assert (came.headers["content-encoding"], came.body) == ("br", b"\x01\x02\xff")


@pytest.mark.parametrize("trusted", [True, False])
def test_an_upstream_over_tls(trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    if trusted:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Echo(GOOD, context) as echo, recording(f"https://127.0.0.1:{echo.port}/v1") as found:
        status, body = ask(found.base_url, "hello")
        found.exchanges()
    if trusted:
        assert (status, body) == (200, {"a": 1}), body
    else:
        assert status == 502
        assert "certificate verify failed" in body["error"]["message"].lower().replace("_", " ")


def test_an_upstream_of_another_provider_is_not_asked(taped: Recording) -> None:
    other = taped.base_url.replace("/beatra/", "/braintwin/")
    with Connection(other) as connection:
        connection.send(request(other, chat(), path="/braintwin/v1/chat/completions", key=KEY))
        answer = connection.answer()
    assert (answer.status, answer.error_code) == (404, "emulator_no_upstream")


def test_too_large_a_request_is_not_sent_on(upstream: Emulator) -> None:
    with recording(upstream.base_urls["beatra"]) as found, Connection(found.base_url) as connection:
        connection.send(request(found.base_url, chat("x" * 21_000_000), key=KEY))
        assert connection.answer().status == 413
    assert replace(found.exchanges()[0][1], at=0.0).end == "complete"
