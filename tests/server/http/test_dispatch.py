"""A connection without a socket: what came before, byte for byte, is answered as then, and without deciding anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emulator.core.scenario.session import Options
from emulator.core.values import Claim, Plan, Request
from emulator.server.http.dispatch import Dispatch
from emulator.server.http.protocol import Connection, bind
from emulator.server.sessions import changes
from emulator.server.sessions.clock import VirtualClock
from emulator.server.setup import Setup, make_live_sessions

COUNTED = {"rules": [{"reply": {"text": "${n}"}}]}
NEW = {"rules": [{"reply": {"text": "new"}}]}
CYCLE = {"rules": [{"replies": [{"text": "a"}, {"text": "b"}], "after_last": "cycle"}]}


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> None:
        return None

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing is read here."""


class Server:
    """One connection to a server; `claims` are the requests that were decided, and not answered as before."""

    def __init__(self, folder: Path, scenario: Any, **options: Any) -> None:
        file = folder / "a.json"
        file.write_text(json.dumps({"emulator": 1, "provider": "beatra", **scenario}))
        self.sessions = make_live_sessions(Setup((file,), Options(**options)))
        self.claims: list[Claim] = []
        self.transport = Transport()
        state = SimpleNamespace(connections=set(), total_requests=0, default_headers=[])
        dispatch = Dispatch(self.sessions, None, lambda *_: None, lambda *_: None)
        config = SimpleNamespace(timeout_keep_alive=5)
        self.connection: Connection = bind(dispatch, 1000)(config, state, {}, asyncio.get_running_loop())
        self.connection.connection_made(self.transport)
        claim = self.sessions.engine.claim
        self.sessions.engine.claim = self._counted(claim)  # type: ignore[method-assign]

    def _counted(self, claim: Callable[..., Claim]) -> Callable[..., Claim]:
        def counted(session: Any, request: Request) -> Claim:
            self.claims.append(claim(session, request))
            return self.claims[-1]

        return counted

    @property
    def clock(self) -> VirtualClock:
        clock = self.sessions.by_id["default"].clock
        assert isinstance(clock, VirtualClock)
        return clock

    def ask(self, *messages: bytes) -> list[bytes]:
        """Send bytes at once, each in a piece of its own; return the bytes of each answer."""
        self.transport.written = b""
        for message in messages:
            self.connection.data_received(message)
        return [b"HTTP/1.1 " + answer for answer in self.transport.written.split(b"HTTP/1.1 ")[1:]]

    def said(self, *messages: bytes) -> list[Any]:
        self.ask(*messages)
        return self.answers()

    def answers(self) -> list[Any]:
        """Return what the answers say that were written since the last question."""
        return [said(b"HTTP/1.1 " + answer) for answer in self.transport.written.split(b"HTTP/1.1 ")[1:]]


def said(answer: bytes) -> Any:
    """Return the text of an answer, or the status of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    return json.loads(body)["choices"][0]["message"]["content"] if status == 200 else status


def chat(text: str = "hi", **headers: str) -> bytes:
    """Return a whole request."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]})
    lines = {"host": "a", "authorization": "Bearer k", "content-type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /beatra/v1/chat/completions HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Run each test inside a loop that goes no further."""
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)
        loop.close()


def test_a_request_is_known_when_it_comes_the_third_time(tmp_path: Path) -> None:
    server = Server(tmp_path, {"rules": [{"reply": {"text": "a"}}]}, plan="unlimited")
    for number in range(5):
        server.ask(chat(f"once {number}"))
    assert len(server.claims) == 5
    for _ in range(5):
        server.ask(chat("once 9"))
    assert len(server.claims) == 5 + 2


def test_what_came_before_is_answered_in_turn_without_being_decided(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    assert server.said(*[chat()] * 9) == ["a", "b"] * 4 + ["a"]
    decided = len(server.claims)
    assert server.said(*[chat()] * 4) == ["b", "a", "b", "a"]
    assert len(server.claims) == decided


def test_each_answer_has_its_own_number_id_and_place_in_the_journal(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    answers = server.ask(*[chat()] * 12)
    assert len(server.claims) < 12
    numbers = [answer.partition(b"x-emulator-exchange: ")[2].split()[0] for answer in answers]
    assert numbers == [b"%d" % number for number in range(1, 13)]
    exchanges, dropped = server.sessions.store.journal("default", 0)  # type: ignore[misc]
    assert dropped == 0
    for answer, exchange in zip(answers, exchanges, strict=True):
        assert answer.endswith(b"".join(frame.data for frame in exchange.timeline.frames))
        assert exchange.sent is not None
    ids = [json.loads(answer.partition(b"\r\n\r\n")[2])["id"] for answer in answers]
    assert len(set(ids)) == 12


def test_a_template_is_filled_for_each(tmp_path: Path) -> None:
    server = Server(tmp_path, COUNTED, plan="unlimited")
    assert server.said(*[chat()] * 6) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("scenario", [CYCLE, {"rules": []}], ids=["rules", "built-in"])
def test_a_limit_holds_for_what_came_before(tmp_path: Path, scenario: Any) -> None:
    server = Server(tmp_path, scenario, plan=Plan("p", 7))
    statuses = [answer.split()[1] for answer in server.ask(*[chat()] * 9)]
    assert statuses == [b"200"] * 7 + [b"429"] * 2
    assert len(server.claims) < 9


def test_rules_that_ask_for_headers_and_keys_are_given_what_they_ask_for(tmp_path: Path) -> None:
    rules = [{"when": {"headers": {"x-a": "1"}}, "reply": {"text": "one"}}, {"count_by": "key", **CYCLE["rules"][0]}]
    server = Server(tmp_path, {"rules": rules}, plan="unlimited")
    assert server.said(*[chat(**{"x-a": "1"}), chat(), chat(authorization="Bearer m")] * 6) == [
        "one", "a", "a", "one", "b", "b"
    ] * 3  # fmt: skip
    assert len(server.claims) < 18


def test_rules_that_ask_for_the_time_are_asked_each_time(tmp_path: Path) -> None:
    rules = [{"when": {"elapsed": {"lt": 60}}, "reply": {"text": "early"}}, {"reply": {"text": "late"}}]
    server = Server(tmp_path, {"rules": rules}, plan="unlimited", clock="virtual")
    assert server.said(*[chat()] * 6) == ["early"] * 6
    server.clock.advance(60)
    assert server.said(*[chat()] * 6) == ["late"] * 6
    assert len(server.claims) == 12


@pytest.mark.parametrize(
    "change",
    [
        lambda sessions: changes.add_rule(sessions, "default", NEW["rules"][0], None),
        lambda sessions: changes.put_scenario(
            sessions, "default", {"emulator": 1, "rules": [{"reply": {"text": "new"}}]}
        ),
    ],
    ids=["rule", "scenario"],
)
def test_what_was_known_is_not_once_the_session_has_changed(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    server.ask(*[chat()] * 6)
    change(server.sessions)
    assert server.said(*[chat()] * 6) == ["new"] * 6
    decided = len(server.claims)
    assert server.said(*[chat()] * 3) == ["new"] * 3
    assert len(server.claims) == decided


def test_what_was_known_of_a_session_is_not_once_it_is_gone(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    live = server.sessions.open(None, Options(provider="beatra", plan="unlimited"))
    mine = chat(authorization=f"Bearer {live.session.api_key}").replace(b"/beatra", b"/s/%b" % live.session.id.encode())
    assert server.ask(*[mine] * 6)[-1].startswith(b"HTTP/1.1 200")
    assert len(server.claims) < 6
    server.sessions.delete(live.session.id)
    assert server.ask(mine)[0].startswith(b"HTTP/1.1 404")


def test_a_time_with_more_digits_has_room_for_them(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited", clock="virtual")
    server.ask(*[chat()] * 6)
    server.clock.advance(1e10)
    [answer] = server.ask(chat())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    assert json.loads(body)["created"] >= 10**10


def test_bytes_that_are_the_body_of_another_request_are_not_answered(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    server.ask(*[chat()] * 6)
    awaited = chat(expect="100-continue").partition(b"\r\n\r\n")[0]
    head = awaited.rpartition(b" ")[0] + b" %d\r\n\r\n" % len(chat())
    assert server.ask(head) == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert server.said(chat()) == [400]


def test_known_bytes_wait_while_the_client_reads_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited")
    server.ask(*[chat()] * 6)
    server.connection.pause_writing()
    assert server.ask(chat(), chat()) == []
    server.connection.resume_writing()
    assert server.transport.written.count(b"HTTP/1.1 200") == 2


def test_known_bytes_wait_for_the_answer_before_them(tmp_path: Path) -> None:
    slow = {"when": {"last_user": "slowly"}, "reply": {"text": "late", "latency": "1h"}}
    server = Server(tmp_path, {"rules": [slow, *CYCLE["rules"]]}, plan="unlimited", clock="virtual")
    server.ask(*[chat()] * 6)
    assert server.ask(chat("slowly"), chat()) == []
    server.clock.advance(3600)
    assert server.answers() == ["late", "a"]


def test_times_of_what_came_before_are_those_of_its_clock(tmp_path: Path) -> None:
    server = Server(tmp_path, CYCLE, plan="unlimited", clock="virtual")
    server.ask(*[chat()] * 9)
    exchanges, _ = server.sessions.store.journal("default", 0)  # type: ignore[misc]
    assert [(exchange.sent.at, exchange.sent.frames) for exchange in exchanges if exchange.sent] == [(0.0, (0.0,))] * 9
