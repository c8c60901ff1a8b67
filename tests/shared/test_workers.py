"""Workers: exact together, replaced when they die, and gone when their parent is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sockets.raw import Connection, chat, control, request

from shared.redis_server import RedisServer
from shared.workers import Serving

CONNECTIONS = 50
SEQUENCE = "emulator: 1\nprovider: beatra\nplan: unlimited\nrules: [{id: all, reply: {text: '${n}'}}]"
WAIT_S = 30.0


def until(holds: Callable[[], Any]) -> Any:
    for _ in range(int(WAIT_S / 0.02)):
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to hold")


def ask(url: str, count: int, key: str = "sk-test") -> list[tuple[int, Any]]:
    """Send so many requests, one after another; a connection that breaks counts as status 0, and is made anew."""
    answers: list[tuple[int, Any]] = []
    data = request(url, chat(), key=key)
    connection: Connection | None = None
    while len(answers) < count:
        try:
            connection = connection or Connection(url)
            connection.send(data)
            answer = connection.answer()
            answers.append((answer.status, answer.json))
        except (OSError, AssertionError):
            answers.append((0, None))
            if connection:
                connection.socket.close()
            connection = None
    if connection:
        connection.socket.close()
    return answers


def ask_together(url: str, each: int) -> list[tuple[int, Any]]:
    """Send so many requests on each of 50 connections at once."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [item for found in pool.map(lambda _: ask(url, each), range(CONNECTIONS)) for item in found]


def texts(answers: list[tuple[int, Any]]) -> list[int]:
    return [int(body["choices"][0]["message"]["content"]) for status, body in answers if status == 200]


def journal(url: str) -> list[dict[str, Any]]:
    return list(control(url, "GET", "/sessions/default/journal")["exchanges"])


def takers(server: RedisServer) -> Counter[str]:
    """Return how many claims each worker has taken, as they stand in the store."""
    import redis

    with redis.Redis(port=server.port) as client:
        rows: dict[bytes, bytes] = client.hgetall("emulator:{default}:journal")  # type: ignore[assignment]
    return Counter(json.loads(value)[12] for name, value in rows.items() if name.startswith(b"g"))


def test_ten_thousand_concurrent_claims_on_one_sequence_are_each_given_once(redis_server: RedisServer) -> None:
    redis_server.forget()
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        answers = ask_together(serving.url, 200)
        assert sorted(texts(answers)) == list(range(1, 10_001))
        assert control(serving.url, "GET", "/sessions/default")["exchanges"] == 10_000
    taken = takers(redis_server)
    assert (len(taken), sum(taken.values())) == (2, 10_000)


def test_a_plan_of_1000_requests_a_minute_lets_exactly_1000_through(redis_server: RedisServer) -> None:
    redis_server.forget()
    scenario = SEQUENCE.replace("unlimited", "{requests_per_minute: 1000}") + "\nclock: virtual"
    with Serving(redis_server.url, scenario=scenario) as serving:
        statuses = Counter(status for status, _ in ask_together(serving.url, 26))
        assert statuses == {200: 1000, 429: 300}
        control(serving.url, "PATCH", "/sessions/default/clock", {"advance": "60s"})
        statuses = Counter(status for status, _ in ask_together(serving.url, 22))
        assert statuses == {200: 1000, 429: 100}


def test_a_worker_that_is_killed_in_the_middle_is_replaced_and_nothing_is_given_twice(
    redis_server: RedisServer,
) -> None:
    redis_server.forget()
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        before = serving.workers()
        killing = threading.Thread(target=_kill_after, args=(serving, 300, before[0]))
        killing.start()
        answers = ask_together(serving.url, 40)
        killing.join()
        numbers = texts(answers)
        assert len(set(numbers)) == len(numbers)
        assert {status for status, _ in answers} == {200, 0}
        after = until(lambda: (found := serving.workers())[1:] and before[0] not in found and found)
        assert before[1] in after
        assert [status for status, _ in ask_together(serving.url, 1)] == [200] * CONNECTIONS
        exchanges = until(lambda: _all_ended(serving.url))
        assert [item["n"] for item in exchanges] == list(range(1, len(exchanges) + 1))
        assert set(numbers) <= {item["call"] for item in exchanges}
        assert {item["sent"]["end"] for item in exchanges} <= {"complete", "cut"}
    assert f"Worker {before[0]} ended (signal 9); another takes its place." in serving.said


def _kill_after(serving: Serving, exchanges: int, pid: int) -> None:
    until(lambda: control(serving.url, "GET", "/sessions/default")["exchanges"] >= exchanges)
    os.kill(pid, signal.SIGKILL)


def _all_ended(url: str) -> list[dict[str, Any]]:
    """Return the exchanges if none is under way; a connection that a dying worker had taken tells nothing yet."""
    try:
        found = journal(url)
    except (OSError, AssertionError):
        return []
    return [] if any(item["sent"]["end"] == "under_way" for item in found) else found


def test_a_claim_under_way_at_the_kill_is_journalled_as_unanswered(redis_server: RedisServer) -> None:
    redis_server.forget()
    late = "emulator: 1\nprovider: beatra\nrules: [{when: {last_user: late}, reply: {text: x, latency: 10m}}]"
    key = {"Idempotency-Key": "123e4567-e89b-42d3-a456-426614174000"}
    with Serving(redis_server.url, "--plan", "unlimited", scenario=late) as serving:
        with Connection(serving.url) as connection:
            connection.send(request(serving.url, chat("late"), headers=key))
            until(lambda: journal(serving.url))
            for pid in serving.workers():
                os.kill(pid, signal.SIGKILL)
            assert connection.rest() == b""
        [found] = until(lambda: _all_ended(serving.url))
        assert (found["sent"]["end"], found["sent"]["bytes"]) == ("cut", 0)
        assert [note["message"] for note in found["notes"]] == [
            "the worker that took this request ended before it told what was sent"
        ]


def test_redis_that_is_killed_in_the_middle_breaks_no_worker() -> None:
    with RedisServer() as server, Serving(server.url, scenario=SEQUENCE) as serving:
        before = serving.workers()
        answers: list[tuple[int, Any]] = []
        asking = threading.Thread(target=lambda: answers.extend(ask_together(serving.url, 60)))
        asking.start()
        until(lambda: takers(server).total() > 300)
        server.kill()
        asking.join()
        statuses = Counter(status for status, _ in answers)
        assert set(statuses) == {200, 500}
        assert {body["error"]["code"] for status, body in answers if status == 500} == {"store_failed"}
        assert len(set(texts(answers))) == statuses[200]
        server.begin()
        answers = ask_together(serving.url, 4)
        assert sorted(texts(answers)) == list(range(1, 201))
        assert serving.workers() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["term", "int"])
def test_a_signal_to_the_parent_ends_all(redis_server: RedisServer, number: int, code: int) -> None:
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        workers = serving.workers()
        assert len(workers) == 2
        assert serving.pid == serving.process.pid
        serving.process.send_signal(number)
        assert serving.process.wait(WAIT_S) == code
        assert not (serving.folder / "ready.json").exists()
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert serving.said == ""


def test_workers_end_when_their_parent_is_killed(redis_server: RedisServer) -> None:
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        workers = serving.workers()
        serving.process.kill()
        until(lambda: not any(_runs(pid) for pid in workers))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_is_stored_outlives_the_workers_and_what_they_wrote_last_is_there(redis_server: RedisServer) -> None:
    redis_server.forget()
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        ask(serving.url, 20)
        rule = {"when": {"last_user": "late"}, "replies": [{"text": "x", "latency": "10m"}]}
        control(serving.url, "POST", "/sessions/default/rules", {"rule": rule})
        late = Connection(serving.url)
        late.send(request(serving.url, chat("late")))
        until(lambda: len(journal(serving.url)) == 21)
    late.socket.close()
    assert serving.said == "Stopped; 1 answers under way were cut.\n"
    with Serving(redis_server.url, scenario=SEQUENCE) as serving:
        assert texts(ask(serving.url, 1)) == [21]
        found = journal(serving.url)
        assert [item["sent"]["end"] for item in found[:21]] == [*["complete"] * 20, "client_left"]
        assert found[20]["notes"] == []


def serve(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stderr


def test_a_port_that_is_taken_is_not_shared(redis_server: RedisServer) -> None:
    with Serving(redis_server.url) as serving:
        port = serving.url.rpartition(":")[2]
        code, said = serve("--port", port, "--workers", "2", "--store", redis_server.url)
    assert (code, said.split(".")[0]) == (2, "Cannot listen on 127")


def said(url: str) -> str:
    with Connection(url) as connection:
        connection.send(request(url, chat()))
        return str(connection.answer().json["choices"][0]["message"]["content"])


def test_a_changed_file_is_served_by_all_workers_and_a_broken_one_by_none(redis_server: RedisServer) -> None:
    def change(text: str) -> None:
        draft = serving.folder / "draft"
        draft.write_text(text)
        draft.replace(serving.folder / "scenario.yaml")

    redis_server.forget()
    rules = "emulator: 1\nprovider: beatra\nrules: [{reply: {text: %s}}]"
    with Serving(redis_server.url, "--reload", scenario=rules % "before") as serving:
        assert {said(serving.url) for _ in range(20)} == {"before"}
        change(rules % "after")
        until(lambda: said(serving.url) == "after")
        assert {said(serving.url) for _ in range(20)} == {"after"}
        change("emulator: 1\nrules: [{reply: {txt: a}}]")
        assert serving.process.stderr
        told = [serving.process.stderr.readline() for _ in range(4)]
        assert (told[0], told[3]) == (
            "Reloaded scenario.yaml.\n",
            "This does not load; what was loaded before stays.\n",
        )
        assert {said(serving.url) for _ in range(20)} == {"after"}
    assert serving.said == ""
