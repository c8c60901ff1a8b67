"""The relay over real sockets: what passes through, as it comes, to the official SDK and to a raw socket."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import re
import socket
import ssl
import struct
import termios
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
import relaying
import trustme
import yaml
from build import PROVIDERS
from hostile_target import ENDLESS, NONSENSE, HostileTarget
from openai import AsyncOpenAI, OpenAI
from shared import fleet

from emulator import Emulator
from emulator.core.recording.upstream_exchange import UpstreamAnswer
from emulator.core.values import Exchange, Sent
from emulator.server.http import connection as delivery
from emulator.server.http import relay as relay_module
from emulator.server.upstream import client as upstream_module
from emulator.server.upstream.client import Bounds
from sockets.raw import Connection, chat, control, events, make_session, request
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


# A client that reads late, and very many events

MANY = [f"number {n} of many" for n in range(8000)]


@contextmanager
def late(monkeypatch: pytest.MonkeyPatch, stuck_s: float) -> Iterator[tuple[Connection, Recording]]:
    """Ask for a stream that the upstream resets, and read nothing of it, until its end has come or long could have."""
    monkeypatch.setattr(delivery, "STUCK_S", stuck_s)
    with (
        Stream(b"".join(map(sse, MANY)), ends="reset") as stream,
        recording(stream.url) as found,
        Connection(found.base_url, window=4096) as connection,
    ):
        connection.send(request(found.base_url, chat(stream=True), key=KEY))
        with found.changed:
            found.changed.wait_for(lambda: found.ended, 0.3)
        yield connection, found


class Stream:
    """An upstream that answers each request on a connection of its own with a stream: `ends` is fin or reset."""

    def __init__(self, body: bytes, ends: str = "fin", kind: str = "text/event-stream") -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n%b" % (kind.encode(), body)
        self._ends = ends
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(5)
                    self._answer_one(connection)

    def _answer_one(self, connection: socket.socket) -> None:
        data = b""
        while not _is_whole(data):
            data += connection.recv(65536)
        connection.sendall(self._answer)
        if self._ends == "reset":
            while fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)) != bytes(4):  # it is on its way
                threading.Event().wait(0.001)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def sse(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


def test_what_was_sent_before_an_upstreams_reset_arrives_however_late_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with late(monkeypatch, stuck_s=30.0) as (connection, found):
        body = chunked_to_the_reset(connection)
        ((exchange, sent),) = found.exchanges()
    whole = b"".join(map(sse, MANY))
    assert (body, exchange.timeline.end) == (whole, "reset")
    assert (sent.end, sent.bytes, len(sent.frames)) == ("reset", len(whole), len(MANY))


def test_what_a_stuck_client_did_not_take_of_an_upstreams_answer_is_not_said_to_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with late(monkeypatch, stuck_s=0.05) as (connection, found):
        ((_, sent),) = found.exchanges()
        body = chunked_to_the_reset(connection)
    assert 0 < len(body) < len(b"".join(map(sse, MANY)))
    assert (sent.end, sent.bytes, len(sent.frames)) == ("reset", len(body), body.count(b"\n\n"))


def test_a_client_that_leaves_before_an_upstreams_reset_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with late(monkeypatch, stuck_s=30.0) as (connection, found):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
        ((_, sent),) = found.exchanges()
    assert sent.end == "client_left"


def chunked_to_the_reset(connection: Connection) -> bytes:
    """Read what arrives up to the reset, and take it out of its chunks; the last of them may be a part."""
    with pytest.raises(ConnectionResetError):
        connection.rest()
    data, body = connection.buffer.partition(b"\r\n\r\n")[2], b""
    while b"\r\n" in data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def test_others_are_answered_while_a_long_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made of very many events takes its time; a request that comes meanwhile is answered before it ends."""
    begun, others = threading.Event(), threading.Event()

    def slowly(provider: Any, exchange: Exchange, heard: UpstreamAnswer) -> Exchange:
        begun.set()
        assert others.wait(10)
        return original(provider, exchange, heard)

    original = relay_module.relayed
    monkeypatch.setattr(relay_module, "relayed", slowly)
    with (
        Stream(sse("many") * 20_000) as stream,
        recording(stream.url) as found,
        Connection(found.base_url) as connection,
    ):
        connection.send(request(found.base_url, chat(stream=True), key=KEY))
        assert connection.answer().body == sse("many") * 20_000
        assert begun.wait(10)
        assert control(found.base_url, "GET", "/health")
        others.set()
        ((exchange, _),) = found.exchanges()
    assert len(exchange.timeline.frames) == 20_000


def test_pieces_beyond_very_many_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "MOST_PIECES", 3)
    body = b"abcdefghij" * 100_000
    with Stream(body, kind="text/plain") as stream, recording(stream.url) as found:
        with Connection(found.base_url) as connection:
            connection.send(request(found.base_url, key=KEY))
            assert connection.answer().body == body
        ((exchange, sent),) = found.exchanges()
    frames = exchange.timeline.frames
    assert (b"".join(frame.data for frame in frames), len(frames) <= 4, sent.bytes) == (body, True, len(body))


class Ready:
    """An upstream, and its one answer, of which all is there already; and a transport that takes everything."""

    status, headers, length = 200, (("content-type", "text/plain"),), None

    def __init__(self, count: int) -> None:
        self._count = count

    @asynccontextmanager
    async def ask(self, _: object) -> AsyncIterator[Ready]:
        yield self

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            yield b"x"

    def write(self, _: bytes) -> None:
        return


def test_others_have_their_turn_while_pieces_pass_through() -> None:
    ready: Any = Ready(1000)
    ended: list[Sent] = []

    async def scene() -> int:
        line = relay_module.ClientSide(ready, keep_alive=True, http_10=False, head_only=False, extra_headers=b"")
        relay = relay_module.Relay(
            ready, PROVIDERS["beatra"], relaying.sent(), line, lambda _, __, sent: ended.append(sent), ended.append
        )
        relay.begin()
        turns = 0
        while not ended:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(scene()) >= 1000 / relay_module.TURN_PIECES
    assert (ended[0].bytes, ended[0].end) == (1000, "complete")


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
        for exchange, sent in exchanges:  # in the order in which they were recorded
            status = None
            with suppress(ConnectionResetError):
                status = ask_status(emulator, exchange.request.body)
            assert status == exchange.timeline.status or sent.end != "complete"


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
        live = make_session(member.url, "provider: beatra\nrules: [{reply: {proxy: true}}]")
        with live.connect() as connection:
            connection.send(live.request(chat("hang")))
            asked()
            control(member.url, "DELETE", f"/sessions/{live.id}")
            status = connection.answer().status
        found = vars(member.sessions.store)["_sessions"]
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


@pytest.mark.parametrize("extra", [b"", b"x", None], ids=["one answer", "a stray byte", "two answers"])
def test_each_request_gets_its_own_answer(extra: bytes | None) -> None:
    """What an upstream sends behind an answer is nobody's: not the next request's, though the connection was kept."""
    with Counting(extra) as upstream, recording(upstream.url) as found:
        answers = [ask(found.base_url, text)[1] for text in ("one", "two", "three")]
        ended = found.exchanges(3)
    assert answers == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [orjson.loads(exchange.timeline.frames[0].data) for exchange, _ in ended] == answers


class Counting:
    """An upstream that keeps its connections, numbers the requests, and sends more than it was asked for (None: the
    answer once more, as of no request)."""

    def __init__(self, extra: bytes | None) -> None:
        self._extra = extra
        self._requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Counting:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, suppress(OSError):
            data = b""
            while True:
                while not _is_whole(data):
                    if not (more := connection.recv(65536)):
                        return
                    data += more
                data = b""
                self._requests += 1
                own, stray = (_json_answer(b'{"n": %d}' % n) for n in (self._requests, 0))
                connection.sendall(own + (stray if self._extra is None else self._extra))


def _json_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


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
