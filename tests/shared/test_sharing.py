"""Two servers on ports of their own that share a Redis: what is done through one is so through the other."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sockets.raw import CHAT, Connection, ServedSession, chat, contents, control, make_session, request

from emulator.core.engine.engine import Engine
from emulator.server.sessions import changes
from emulator.server.sessions.live import LiveSessions
from emulator.stores.redis.pipeline import Pipeline
from emulator.stores.redis.store import NOTE
from shared.fleet import Member, serving, text_of
from shared.redis_server import RedisServer

LONG_S = 10.0
COUNTED = "rules: [{id: counted, reply: {text: 'number ${n}'}}]"


@pytest.fixture
def two(redis_server: RedisServer) -> Iterator[tuple[Member, Member]]:
    redis_server.forget()
    with serving(redis_server.url, plan="unlimited") as a, serving(redis_server.url, plan="unlimited") as b:
        yield a, b


def at(live: ServedSession, member: Member) -> ServedSession:
    """Return the same session as another server has it."""
    return ServedSession(member.url, live.id, live.key)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what is told to the other server."""
    for _ in range(int(LONG_S / 0.01)):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to hold")


# Sessions


def test_a_session_is_known_by_its_key_and_its_path(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, COUNTED)
    path = f"/s/{live.id}/beatra/v1/chat/completions"
    told = [text_of(at(live, member).ask()) for member in (b, a)]
    with Connection(b.url) as connection:
        connection.send(request(b.url, path=path, key=live.key))
        told.append(text_of(connection.answer()))
    assert told == ["number 1", "number 2", "number 3"]


def test_a_session_is_listed_read_and_counted(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, COUNTED)
    at(live, b).ask()
    listed = control(b.url, "GET", "/sessions")["sessions"]
    shown = [control(member.url, "GET", f"/sessions/{live.id}") for member in two]
    for item in shown:
        for name in ("base_url", "base_urls", "sdk_urls", "clock", "env"):
            del item[name]
    assert [item["id"] for item in listed] == ["default", live.id]
    assert shown[0] == shown[1]
    assert (shown[0]["rules"][0]["calls"], shown[0]["exchanges"]) == (1, 1)
    assert [control(member.url, "GET", "/health")["sessions"] for member in two] == [2, 2]


def metrics_of(member: Member) -> str:
    with Connection(member.url) as connection:
        connection.send(request(member.url, None, method="GET", path="/_emulator/metrics"))
        return connection.answer().body.decode()


def test_the_metrics_count_the_sessions_of_all_workers(two: tuple[Member, Member]) -> None:
    for _ in range(2):
        make_session(two[0].url, COUNTED)
    assert [metrics_of(member).splitlines()[-1] for member in two] == ["emulator_sessions 3"] * 2


def test_a_deleted_session_is_gone(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, COUNTED)
    assert text_of(at(live, b).ask()) == "number 1"
    control(a.url, "DELETE", f"/sessions/{live.id}")
    by_path = at(live, b).ask(path=f"/s/{live.id}/beatra/v1/chat/completions")
    by_key = at(live, b).ask()
    assert (by_path.status, by_path.error_code) == (404, "emulator_unknown_session")
    assert (by_key.status, by_key.headers["x-emulator-rule"]) == (200, "built-in")
    assert [len(control(member.url, "GET", "/sessions")["sessions"]) for member in two] == [1, 1]


def kept_of(server: RedisServer, id: str) -> list[str]:
    """Return the keys and fields of a store that name a session."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        found = [str(key) for key in client.keys(f"*{id}*")]
        hashes = [str(key) for key in client.keys("emulator:*") if client.type(key) == "hash"]
        return sorted([*found, *(key for key in hashes if client.hexists(key, id))])


PACED = "rules: [{reply: {text: one two, stream: {split: words, itl: 0.2}}}]"


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_nothing_of_a_session_is_left_that_was_deleted_while_it_answered(
    two: tuple[Member, Member], redis_server: RedisServer, clock: str
) -> None:
    a, b = two
    live = make_session(a.url, PACED, clock=clock, plan={"tokens_per_minute": 10_000})
    with Connection(b.url) as streaming, Connection(b.url) as watching:
        watching.send(request(b.url, None, method="GET", path=f"/_emulator/sessions/{live.id}/journal/events"))
        watching.until(b": watching\n\n")
        live.clock(hold=True) if clock == "virtual" else None
        streaming.send(at(live, b).request(chat(stream=True), headers=KEYED))
        streaming.head()
        control(a.url, "DELETE", f"/sessions/{live.id}")
        assert b"[DONE]" in streaming.until(b"[DONE]")
        watching.until(b"0\r\n\r\n")
    for member in two:
        told = asyncio.run_coroutine_threadsafe(settled(member), member.server.loop)
        told.result(LONG_S)
    assert kept_of(redis_server, live.id) == []


async def settled(member: Member) -> None:
    """Wait until a server has told the store all that it has to, also of how much is kept."""
    for _ in range(3):
        await member.sharing.store.beat()
    await member.sharing.pipeline.settle()


def test_a_session_that_is_gone_is_not_made_again_by_who_still_knows_it(
    two: tuple[Member, Member], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    live = make_session(a.url, COUNTED)
    at(live, b).ask()
    session = b.sessions.by_id[live.id]
    control(a.url, "DELETE", f"/sessions/{live.id}")

    async def late() -> None:
        await b.sharing.complete(session, 1, "text")
        b.sharing.store.restart(live.id)
        b.sharing.store.reset(live.id)
        await b.sharing.pipeline.settle()

    asyncio.run_coroutine_threadsafe(late(), b.server.loop).result(LONG_S)
    assert kept_of(redis_server, live.id) == []


@pytest.mark.parametrize("failing", [False, True], ids=["sound", "crash"])
def test_a_request_is_not_taken_in_a_session_that_was_deleted_meanwhile(
    two: tuple[Member, Member], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    a, b = two
    live = make_session(a.url, COUNTED)
    claim = Engine.claim

    def slow(*given: Any) -> Any:
        if live.id in b.sessions.by_id:
            control(a.url, "DELETE", f"/sessions/{live.id}")
        if failing:
            raise ZeroDivisionError("of ours")
        return claim(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "claim", slow)
        answer = at(live, b).ask(path=f"/s/{live.id}/beatra/v1/chat/completions")
    assert (answer.status, answer.error_code) == (404, "emulator_unknown_session")
    assert kept_of(redis_server, live.id) == []


def test_a_change_of_a_session_that_was_deleted_meanwhile_is_none(
    two: tuple[Member, Member], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = two
    live = make_session(a.url, COUNTED)
    give = changes.put_scenario

    def slow(sessions: LiveSessions, id: str, *given: Any) -> Any:
        redis_server.ask("DEL", f"emulator:{{{id}}}:session", f"emulator:{{{id}}}:recipes",
                         f"emulator:{{{id}}}:recipes-order")  # fmt: skip
        return give(sessions, id, *given)

    monkeypatch.setattr(changes, "put_scenario", slow)
    with Connection(a.url) as connection:
        path = f"/_emulator/sessions/{live.id}/scenario"
        scenario = {"scenario": {"emulator": 1, "rules": [{"reply": {"text": "x"}}]}}
        connection.send(request(a.url, scenario, method="PUT", path=path))
        answer = connection.answer()
    assert (answer.status, answer.error_code) == (404, "emulator_unknown_session")
    assert f"emulator:{{{live.id}}}:session" not in kept_of(redis_server, live.id)


def test_sessions_are_bounded_together(redis_server: RedisServer) -> None:
    redis_server.forget()
    with serving(redis_server.url, max_sessions=1) as a, serving(redis_server.url, max_sessions=1) as b:
        make_session(a.url)
        with Connection(b.url) as connection:
            connection.send(request(b.url, {}, path="/_emulator/sessions"))
            answer = connection.answer()
    assert (answer.status, answer.error_code) == (409, "too_many_sessions")


def test_another_scenario_holds_at_once_and_turns_and_state_begin_anew(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "rules: [{reply: {text: one}, then: {state: moved}}]")
    assert text_of(at(live, b).ask()) == "one"
    assert control(a.url, "GET", f"/sessions/{live.id}")["state"] == "moved"
    other = "emulator: 1\nrules: [{when: {state: started}, replies: [{text: two}, {text: three}]}]"
    control(b.url, "PUT", f"/sessions/{live.id}/scenario", {"scenario": other})
    assert [text_of(at(live, member).ask()) for member in (a, b)] == ["two", "three"]


def test_rules_added_to_either_hold_for_both_and_the_newest_comes_first(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "rules: [{reply: {text: file}}]")
    told = [text_of(at(live, b).ask())]
    for member, text in ((a, "first"), (b, "second")):
        rule = {"when": {"last_user": text}, "replies": [{"text": f"{text}"}]}
        control(member.url, "POST", f"/sessions/{live.id}/rules", {"rule": rule, "at": "test_x.py:1"})
    for member in two:
        told += [text_of(at(live, member).ask(chat(word))) for word in ("first", "second", "x")]
    assert told == ["file", *["first", "second", "file"] * 2]
    assert [item["id"] for item in control(a.url, "GET", f"/sessions/{live.id}")["rules"]] == [
        "added-2", "added-1", "rule-1",
    ]  # fmt: skip


def test_rules_added_at_the_same_time_through_both_are_all_there(two: tuple[Member, Member]) -> None:
    live = make_session(two[0].url)

    def add(member: Member, name: str) -> None:
        rule = {"id": name, "replies": [{"text": "x"}]}
        control(member.url, "POST", f"/sessions/{live.id}/rules", {"rule": rule})

    adding = [
        threading.Thread(target=add, args=(member, f"r{side}-{number}"))
        for number in range(5) for side, member in enumerate(two)
    ]  # fmt: skip
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    found = {item["id"] for item in control(two[0].url, "GET", f"/sessions/{live.id}")["rules"]}
    assert found == {f"r{side}-{number}" for number in range(5) for side in range(2)}


def test_a_reset_forgets_for_both(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, COUNTED, clock="virtual")
    at(live, b).ask()
    live.clock(advance="1h")
    control(b.url, "POST", f"/sessions/{live.id}/reset")
    assert text_of(live.ask()) == "number 1"
    assert [item["n"] for item in at(live, b).journal()] == [1]
    nows = [control(member.url, "GET", f"/sessions/{live.id}/clock")["now"] for member in two]
    assert nows[0] == nows[1]
    assert nows[0] < at(live, b).journal()[0]["at"] + 1800


# What is counted


def test_limits_count_together(two: tuple[Member, Member]) -> None:
    live = make_session(two[0].url, plan={"requests_per_minute": 5})
    statuses = [at(live, two[number % 2]).ask().status for number in range(8)]
    assert statuses == [200] * 5 + [429] * 3


@pytest.fixture
def slow_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is noted of an answer come late, so that an answer that does not wait for it is too early."""
    send = Pipeline.send

    async def late(pipeline: Pipeline, *command: Any) -> None:
        await asyncio.sleep(0.1)
        await send(pipeline, *command)

    def sent(pipeline: Pipeline, *command: Any) -> asyncio.Future[Any]:
        return (
            asyncio.ensure_future(late(pipeline, *command)) if NOTE.digest in command[:2] else send(pipeline, *command)
        )

    monkeypatch.setattr(Pipeline, "send", sent)


@pytest.mark.usefixtures("slow_notes")
def test_tokens_count_before_the_next_request_wherever_it_comes(two: tuple[Member, Member]) -> None:
    live = make_session(two[0].url, "rules: [{reply: {text: x, usage: {prompt_tokens: 4, completion_tokens: 6}}}]",
                       plan={"tokens_per_minute": 25})  # fmt: skip
    statuses = [at(live, two[number % 2]).ask().status for number in range(6)]
    assert statuses == [200] * 3 + [429] * 3


def test_states_and_turns_go_on_wherever_a_request_comes(two: tuple[Member, Member]) -> None:
    rules = "rules: [{when: {state: started}, replies: [{text: a, times: 2}], then: {state: b}}, {reply: {text: b}}]"
    live = make_session(two[0].url, rules)
    assert [text_of(at(live, two[number % 2]).ask()) for number in range(3)] == ["a", "b", "b"]


KEYED = {"Idempotency-Key": "123e4567-e89b-42d3-a456-426614174000"}


@pytest.mark.usefixtures("slow_notes")
def test_an_idempotent_retry_gets_the_same_answer_from_the_other(two: tuple[Member, Member]) -> None:
    live = make_session(two[0].url, COUNTED)
    first, again = (at(live, member).ask(headers=KEYED) for member in two)
    other = at(live, two[1]).ask(chat("another"), headers=KEYED)
    assert (first.body, again.headers.get("x-emulator-replayed"), other.status) == (again.body, "true", 422)
    assert [item["replay_of"] for item in live.journal()] == [None, 1, None]
    assert live.journal()[1]["response"]["body"] == first.json


def test_answers_computed_from_the_past_know_all_of_it_and_are_kept_as_they_were(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, provider="brainstormrouter")
    ask = {"path": "/brainstormrouter/v1/chat/completions"}
    for member in (a, b):
        assert at(live, member).ask(**ask).status == 200
    answer = at(live, b).ask(None, path="/brainstormrouter/v1/intelligence/rankings", method="GET")
    assert answer.status == 200
    samples = [row["samples"] for rows in answer.json["rankings"].values() for row in rows]
    assert sum(samples) == 2
    live.ask(**ask)
    assert at(live, a).journal()[2]["response"]["body"] == answer.json


# The journal


def test_the_journal_is_the_same_through_both(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "rules: [{when: {last_user: hi}, reply: {text: one two, stream: {split: words}}}]")
    for member, body in ((a, CHAT), (b, chat(stream=True)), (a, chat("miss")), (b, {"model": 3}), (a, b"{")):
        at(live, member).ask(body)
    until(lambda: all(item["sent"]["end"] == "complete" for item in live.journal()))
    journals = [at(live, member).journal() for member in two]
    assert journals[0] == journals[1]
    found = [(item["n"], item["rule"], item["response"]["status"]) for item in journals[0]]
    assert found == [
        (1, "session:2", 200), (2, "session:2", 200), (3, "unmatched", 404), (4, "refused", 400), (5, "refused", 400),
    ]  # fmt: skip


def test_of_the_journal_no_more_is_made_again_than_is_asked_for(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = two
    live = make_session(a.url)
    for _ in range(5):
        live.ask()
    made: list[Any] = []
    remake = a.sharing.store.rows.remake
    monkeypatch.setattr(a.sharing.store.rows, "remake", lambda *given: made.append(given) or remake(*given))
    found = control(a.url, "GET", f"/sessions/{live.id}/journal?since=1&limit=2")
    assert ([item["n"] for item in found["exchanges"]], found["next"], len(made)) == ([2, 3], 3, 2)


def test_the_journal_shows_the_bytes_that_were_sent_under_the_scenario_of_then(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "rules: [{reply: {text: old}}]")
    first = live.ask()
    control(b.url, "PUT", f"/sessions/{live.id}/scenario",
            {"scenario": {"emulator": 1, "rules": [{"reply": {"text": "new"}}]}})  # fmt: skip
    second = at(live, b).ask()
    shown = [item["response"]["body"] for item in at(live, b).journal()]
    assert shown == [first.json, second.json]
    assert [text_of(item) for item in (first, second)] == ["old", "new"]


def test_a_client_that_leaves_while_its_claim_is_taken_is_journalled(
    two: tuple[Member, Member], redis_server: RedisServer
) -> None:
    a, b = two
    live = make_session(a.url)
    with Connection(a.url) as connection, redis_server.paused():
        connection.send(live.request())
        until(lambda: any(getattr(item, "current", None) for item in a.server.server_state.connections))
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
        until(lambda: not a.server.server_state.connections)
    sent = at(live, b).ended()["sent"]
    assert (sent["end"], sent["bytes"]) == ("client_left", 0)


def test_a_crash_is_told_through_both(two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = two
    live = make_session(a.url)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "claim", fail)
        answer = live.ask()
    assert (answer.status, answer.error_code) == (500, "emulator_crash")
    found = at(live, b).journal()[0]
    assert "ZeroDivisionError: of ours" in found["crash"]
    assert found["response"]["body"] == answer.json


def test_live_events_come_from_both(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url)
    with Connection(a.url) as watching:
        watching.send(request(a.url, None, method="GET", path=f"/_emulator/sessions/{live.id}/journal/events"))
        watching.until(b": watching\n\n")
        for member in (b, a):
            at(live, member).ask()
        told = [watching.until(b"\n\n") for _ in range(2)]
    numbers = sorted(json.loads(item.partition(b"data: ")[2])["n"] for item in told)
    assert numbers == [1, 2]


def test_verification_completion_and_the_verdict_are_shared(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "rules: [{reply: {text: a b c, faults: [{cut: {after_chunks: 2, how: clean}}]}}]")
    at(live, b).ask(chat(stream=True))
    verified = control(a.url, "POST", f"/sessions/{live.id}/verify", {"when": {"last_user": "hi"}, "count": 1})
    assert (verified["ok"], verified["count"]) == (True, 1)
    control(a.url, "POST", f"/sessions/{live.id}/completed", {"exchange": 1, "text": "a"})
    verdicts = [control(member.url, "GET", f"/sessions/{live.id}/verdict") for member in two]
    assert verdicts[0] == verdicts[1]
    found = {item["fact"]: item["status"] for item in verdicts[1]["findings"]}
    assert found["be-incomplete-stream"] == "fail"


# Clocks

STREAM = "clock: virtual\nrules: [{reply: {text: one two, stream: {split: words, itl: forever}}}]"


def test_an_advance_through_one_moves_what_waits_at_the_other(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "clock: virtual\nrules: [{reply: {text: late, latency: 60s}}]")
    live.clock(hold=True)
    with Connection(b.url) as connection:
        connection.send(at(live, b).request())
        begun = at(live, a).begun()[0]
        now = live.clock(advance="61s")["now"]
        assert text_of(connection.answer()) == "late"
    assert now == pytest.approx(begun["at"] + 61, abs=1e-5)
    assert control(b.url, "GET", f"/sessions/{live.id}/clock")["now"] == now


def test_a_release_through_one_ends_a_silence_at_the_other(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, STREAM)
    with Connection(b.url) as connection:
        connection.send(at(live, b).request(chat(stream=True)))
        at(live, a).begun()
        head = connection.head()
        until(lambda: len(b.sessions.by_id[live.id].clock._silence) == 1)  # type: ignore[attr-defined]
        for _ in range(3):
            live.clock(release=True)
            threading.Event().wait(0.05)
        answer = connection._chunked(*head)
    assert contents(answer) == ["one", " two"]


def test_a_window_ends_by_an_advance_through_the_other(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, clock="virtual", plan={"requests_per_minute": 1})
    statuses = [at(live, member).ask().status for member in two]
    at(live, b).clock(advance="59.9s")
    statuses.append(live.ask().status)
    live.clock(advance="0.1s")
    statuses.append(at(live, b).ask().status)
    assert statuses == [200, 429, 429, 200]


def test_a_virtual_clock_that_an_answer_moved_is_not_behind_at_the_other(two: tuple[Member, Member]) -> None:
    a, b = two
    live = make_session(a.url, "clock: virtual\nrules: [{when: {last_user: late}, reply: {text: x, latency: 60s}}]")
    at(live, b).ask()
    live.ask(chat("late"))
    late = live.ended(2)
    at(live, b).ask()
    assert at(live, b).ended(3)["at"] >= late["at"] + 60


# Servers that come, and a store that goes


def test_a_server_that_joins_finds_all_as_it_is(two: tuple[Member, Member], redis_server: RedisServer) -> None:
    a, _ = two
    control(a.url, "PUT", "/sessions/default/scenario",
            {"scenario": {"emulator": 1, "rules": [{"reply": {"text": "put"}}]}})  # fmt: skip
    with serving(redis_server.url, plan="unlimited") as late, Connection(late.url) as connection:
        connection.send(request(late.url))
        assert text_of(connection.answer()) == "put"
        sessions = [control(member.url, "GET", "/sessions/default") for member in (a, late)]
    assert sessions[0]["api_key"] == sessions[1]["api_key"]


def test_a_server_with_other_files_makes_the_default_session_of_them(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.forget()
    for name in ("old", "new"):
        (tmp_path / f"{name}.yaml").write_text(f"emulator: 1\nrules: [{{reply: {{text: {name}}}}}]")
    told = []
    with serving(redis_server.url, tmp_path / "old.yaml") as a, serving(redis_server.url, tmp_path / "new.yaml") as b:
        for member in (a, b):
            with Connection(member.url) as connection:
                connection.send(request(member.url))
                told.append(text_of(connection.answer()))
    assert told == ["new", "new"]


def test_without_the_store_requests_and_control_say_so_and_all_goes_on_when_it_is_back() -> None:
    with (
        RedisServer() as server,
        serving(server.url) as a,
        serving(server.url) as b,
    ):
        live = make_session(a.url, "rules: [{reply: {text: one two, stream: {split: words, itl: 0.3}}}]")
        with Connection(b.url) as streaming:
            streaming.send(at(live, b).request(chat(stream=True)))
            head = streaming.head()
            server.kill()
            for member in (a, b):
                answer = at(live, member).ask()
                assert (answer.status, answer.error_code) == (500, "store_failed")
                assert answer.headers["x-emulator-error"] == "StoreFailed"
                with Connection(member.url) as connection:
                    connection.send(request(member.url, None, method="GET", path="/_emulator/sessions"))
                    answer = connection.answer()
                assert (answer.status, answer.error_code) == (500, "store_failed")
                assert "emulator_requests_total" in metrics_of(member)
                assert "emulator_sessions" not in metrics_of(member)
                known = set(member.sessions.by_id)
                with Connection(member.url) as connection:
                    connection.send(request(member.url, {}, path="/_emulator/sessions"))
                    assert connection.answer().status == 500
                assert set(member.sessions.by_id) == known  # what could not be shared is not kept
            assert contents(streaming._chunked(*head)) == ["one", " two"]
        server.begin()
        for member in (a, b):
            with Connection(member.url) as connection:
                connection.send(request(member.url))
                assert connection.answer().status == 200
        assert [len(control(a.url, "GET", "/sessions/default/journal")["exchanges"])] == [2]
        live = make_session(b.url, COUNTED)
        assert [text_of(at(live, member).ask()) for member in (a, b)] == ["number 1", "number 2"]
