"""A Redis that stands still for a while: nobody waits for ever, and what was given up does not happen afterwards."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sockets.raw import Connection, ServedSession, chat, control, make_session, request

from emulator.core.store import StoreFailed
from emulator.stores.redis import lock as lock_module
from emulator.stores.redis import pipeline as line_module
from emulator.stores.redis.lock import locked
from emulator.stores.redis.pipeline import Pipeline
from emulator.stores.redis.store import NOTE, SCRIPTS, TAKE, RedisStore
from shared.fleet import Member, serving, text_of
from shared.redis_server import RedisServer
from shared.workers import Serving

COUNTED = "rules: [{reply: {text: 'number ${n}'}}]"
KEYED = {"Idempotency-Key": "123e4567-e89b-42d3-a456-426614174000"}


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon."""
    monkeypatch.setattr(line_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(line_module, "MARGIN_S", 0.2)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def member(server: RedisServer, patience: None) -> Iterator[Member]:
    with serving(server.url) as member:
        yield member


def end_of(live: ServedSession, n: int) -> str:
    """Return how an exchange ended, once it is told: what failed is told with a beat."""
    for _ in range(1000):
        found = next(str(item["sent"]["end"]) for item in live.journal() if item["n"] == n)
        if found != "under_way":
            return found
        threading.Event().wait(0.01)
    raise AssertionError("it stays under way")


@pytest.mark.parametrize("headers", [{}, KEYED], ids=["plain", "keyed"])
def test_a_claim_that_was_given_up_is_not_taken_when_redis_goes_on(
    server: RedisServer, member: Member, headers: dict[str, str]
) -> None:
    live = make_session(member.url, COUNTED)
    assert text_of(live.ask()) == "number 1"
    with server.paused():
        failed = [live.ask(headers=headers) for _ in range(2)]
    assert [(answer.status, answer.error_code) for answer in failed] == [(500, "store_failed")] * 2
    assert text_of(live.ask(headers=headers)) == "number 2"
    assert [(item["n"], live.ended(item["n"])["sent"]["end"]) for item in live.journal()] == [
        (1, "complete"), (2, "complete"),
    ]  # fmt: skip


def test_a_session_that_could_not_be_made_is_not_made_when_redis_goes_on(server: RedisServer, member: Member) -> None:
    with Connection(member.url) as connection, server.paused():
        connection.send(request(member.url, {}, path="/_emulator/sessions"))
        assert connection.answer().error_code == "store_failed"
    control(member.url, "GET", "/sessions")
    assert server.ask("HLEN", "emulator:sessions") == ":0"


def test_what_was_sent_meanwhile_is_told_when_redis_goes_on(server: RedisServer, member: Member) -> None:
    live = make_session(member.url, "rules: [{reply: {text: one two, stream: {split: words, itl: 0.1}}}]")
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.until(b"one")
        with server.paused():
            connection.until(b"[DONE]")
            assert live.ask().error_code == "store_failed"
    assert end_of(live, 1) == "complete"


def test_a_claim_whose_answer_could_not_be_noted_is_journalled_as_failed_and_its_key_is_free(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = make_session(member.url, COUNTED)
    send = Pipeline.send

    def fails_once(pipeline: Pipeline, *command: Any) -> asyncio.Future[Any]:
        if NOTE.digest not in command[:2]:
            return send(pipeline, *command)
        patch.undo()
        failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreFailed("it does not answer"))
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "send", fails_once)
        assert live.ask(headers=KEYED).error_code == "store_failed"
    assert text_of(live.ask(headers=KEYED)) == "number 2"
    assert end_of(live, 1) == "cut"
    found = live.journal()[0]
    assert found["sent"]["bytes"] == 0
    assert [note["message"] for note in found["notes"]] == [
        "the store failed before this could be answered: the client got a 500, store_failed"
    ]


@pytest.mark.parametrize("headers", [{}, KEYED], ids=["plain", "keyed"])
def test_a_claim_that_was_taken_but_not_heard_of_is_found_journalled_as_failed_and_its_key_is_free(
    member: Member, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    live = make_session(member.url, COUNTED)
    assert text_of(live.ask()) == "number 1"
    send = Pipeline.send

    async def lost(pipeline: Pipeline, *command: Any) -> None:
        await send(pipeline, *command)
        raise StoreFailed("the connection broke")

    def loses(pipeline: Pipeline, *command: Any) -> Any:
        return (
            asyncio.ensure_future(lost(pipeline, *command)) if TAKE.digest in command[:2] else send(pipeline, *command)
        )

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "send", loses)
        assert live.ask(headers=headers).error_code == "store_failed"
    assert end_of(live, 2) == "cut"
    assert text_of(live.ask(headers=headers)) == "number 3"
    assert [(item["n"], item["sent"]["bytes"] > 0) for item in live.journal()] == [(1, True), (2, False), (3, True)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("GET", "/sessions", None),
        ("GET", "/sessions/ID", None),
        ("DELETE", "/sessions/ID", None),
        ("POST", "/sessions/ID/reset", None),
        ("POST", "/sessions/ID/completed", {"exchange": 1, "text": "x"}),
        ("GET", "/sessions/ID/journal", None),
        ("GET", "/sessions/ID/journal/events", None),
        ("POST", "/sessions/ID/verify", {}),
    ],
    ids=lambda value: str(value).rpartition("/")[2],
)
def test_the_control_api_says_so_in_time(
    server: RedisServer, member: Member, method: str, path: str, body: Any
) -> None:
    live = make_session(member.url, COUNTED)
    with Connection(member.url) as connection, server.paused():
        path = f"/_emulator{path.replace('ID', live.id)}"
        connection.send(request(member.url, body, method=method, path=path))
        answer = connection.answer()
    assert (answer.status, answer.error_code) == (500, "store_failed")


def test_what_waits_behind_others_is_told_in_the_same_time(
    server: RedisServer, patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "BATCH", 1)

    async def outcomes() -> list[Any]:
        pipeline = Pipeline(server.url)
        await pipeline.send("PING")
        with server.paused():
            async with asyncio.timeout(5):
                found = await asyncio.gather(*(pipeline.send("PING") for _ in range(50)), return_exceptions=True)
        assert await pipeline.send("PING")
        await pipeline.close()
        return found

    found = asyncio.run(outcomes())
    assert {(type(item), str(item)) for item in found} == {
        (StoreFailed, f"Redis at 127.0.0.1:{server.port}/0 failed: it does not answer")
    }


def test_a_clock_that_was_set_meanwhile_is_learnt_from_who_refuses(server: RedisServer) -> None:
    async def noted() -> list[Any]:
        pipeline = Pipeline(server.url, SCRIPTS)
        store = RedisStore(pipeline, "w", 10, lambda *_: pytest.fail("nothing is made again"), lambda session: None)
        await store.beat()
        found = []
        for wrong in (-3600, 0, 3600):
            pipeline._ahead = (pipeline._ahead or 0) + wrong
            found.append(await store.change(f"s{wrong}", "", "", "life", {"version": "1", "now": "0"}))
        await pipeline.close()
        return found

    assert asyncio.run(noted()) == [1, 1, 1]


def test_a_lock_that_nobody_gives_back_is_waited_for_no_longer_than_it_lasts(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "TRIES_S", 0.1)

    async def said() -> str:
        pipeline = Pipeline(server.url, SCRIPTS)
        try:
            async with locked(pipeline, "s"), locked(pipeline, "s"):
                return "got twice"
        except StoreFailed as error:
            return str(error)
        finally:
            async with locked(pipeline, "s"):  # it was given back
                await pipeline.close()

    assert asyncio.run(said()) == "Others have kept emulator:{s}:lock for 0.1 s."


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_stops_though_redis_stands_still(server: RedisServer, workers: int) -> None:
    with Serving(server.url, workers=workers, scenario=f"emulator: 1\nprovider: beatra\n{COUNTED}") as running:
        live = ServedSession(running.url, "default", "sk-test")
        assert text_of(live.ask()) == "number 1"
        with Connection(running.url) as connection, server.paused():
            connection.send(live.request())
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(6) == 0
