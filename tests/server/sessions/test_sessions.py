"""Sessions over the control API: bounds, rules added one by one, verification, the verdict and live events."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from emulator.server.sessions.live import LiveSessions
from emulator.server.sessions.source import KEPT_SCENARIOS, Builder
from emulator.server.setup import Setup, ignore, listen, make_live_sessions, make_server, origin, run
from emulator.testing.client import Control, ControlError


class Served:
    """A server in this process with bounds of its own."""

    def __init__(self, **setup: Any) -> None:
        made = Setup(**setup)
        self.sessions: LiveSessions = make_live_sessions(made)
        sock = listen(made)
        self.server = make_server(made, self.sessions, ignore, ignore)
        self.thread = threading.Thread(target=run, args=(self.server, sock))
        self.thread.start()
        self.control = Control(origin(made, sock))
        self.ask = self.control.ask

    def session(self, **body: Any) -> str:
        return str(self.ask("POST", "/sessions", {"provider": "beatra", **body})["id"])

    def chat(self, session: str, text: str = "hi", **fields: Any) -> int:
        key = self.sessions.by_id[session].session.api_key
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
        connection = http.client.HTTPConnection(self.control.url.partition("//")[2])
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", f"/s/{session}/beatra/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def close(self) -> None:
        self.control.close()
        self.server.stop()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def serve(**setup: Any) -> Served:
        made.append(Served(**setup))
        return made[-1]

    yield serve
    for item in made:
        item.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


def refused(act: Callable[[], Any]) -> tuple[int, str, str]:
    with pytest.raises(ControlError) as caught:
        act()
    return caught.value.status, caught.value.code, str(caught.value)


# Bounds


def test_sessions_are_bounded(serve: Callable[..., Served]) -> None:
    served = serve(max_sessions=2)
    first = served.session()
    served.session()
    assert refused(served.session) == (
        409, "too_many_sessions", "there are 2 sessions already (--max-sessions); delete some",
    )  # fmt: skip
    served.ask("DELETE", f"/sessions/{first}")
    assert len(served.ask("GET", "/sessions")["sessions"]) == 2
    assert served.session()


def test_what_sessions_are_sent_is_bounded_together(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.server.sessions.live.MOST_SCENARIO_BYTES", served.sessions.size + 3_000_000)
    rule = {"reply": {"text": "x" * 1_400_000}}
    scenario, before = {"emulator": 1, "rules": [rule]}, served.sessions.size
    one, two = (served.session(scenario=scenario) for _ in range(2))
    for method, path, body in (
        ("POST", "/sessions", {"scenario": scenario}),
        ("POST", f"/sessions/{one}/rules", {"rule": rule}),
    ):
        with pytest.raises(
            ControlError, match=r"sessions would be over \d+ MB; delete sessions that are over"
        ) as refused:
            served.ask(method, path, body)
        assert refused.value.status == 409
    served.ask("PUT", f"/sessions/{one}/scenario", {"scenario": scenario})  # it takes the place of the first
    served.ask("PUT", f"/sessions/{one}/scenario", {"scenario": {"emulator": 1, "rules": []}})
    served.ask("POST", f"/sessions/{one}/rules", {"rule": rule})
    for session in (one, two):
        served.ask("DELETE", f"/sessions/{session}")
    assert served.sessions.size == before


def test_each_journal_is_bounded_and_says_what_it_dropped(serve: Callable[..., Served]) -> None:
    served = serve(journal_size=3)
    one, two = served.session(), served.session()
    for _ in range(5):
        served.chat(one)
    served.chat(two)
    journal = served.ask("GET", f"/sessions/{one}/journal")
    assert ([item["n"] for item in journal["exchanges"]], journal["dropped"], journal["next"]) == ([3, 4, 5], 2, 5)
    session = served.ask("GET", f"/sessions/{one}")
    assert (session["exchanges"], session["dropped"]) == (5, 2)
    assert served.ask("GET", f"/sessions/{two}/journal")["dropped"] == 0


def test_thousands_stand_side_by_side_and_nothing_of_them_stays(served: Served) -> None:
    made = [served.sessions.open(None, served.sessions.options).session for _ in range(3000)]
    assert len({item.id for item in made} | {item.api_key for item in made}) == 6000
    for item in made:
        served.sessions.delete(item.id)
    assert (list(served.sessions.by_id), list(served.sessions.by_key.values())) == (["default"], ["default"])


def test_scenarios_that_were_sent_are_kept_compiled_but_not_for_ever(served: Served) -> None:
    builder = Builder(served.sessions.providers)
    text = "emulator: 1\nrules:\n  - reply: {text: A}\n"
    first = builder.read(text, "beatra")
    assert builder.read(text, "beatra") is first
    assert builder.read(text, "braintwin") is not first
    assert builder.read(text, "beatra", "other.yaml").rules[0].at == "other.yaml:3"
    for number in range(KEPT_SCENARIOS):
        builder.read({"emulator": 1, "rules": [], "seed": number}, "beatra")
    assert builder.read(text, "beatra") is not first


def test_a_scenario_sent_as_bytes_is_kept_too_and_told_from_the_object_it_says(served: Served) -> None:
    builder, data = Builder(served.sessions.providers), {"emulator": 1, "rules": [{"reply": {"text": "A"}}]}
    text = orjson.dumps(data)
    made = builder.read(data, "beatra")
    assert builder.read(text, "beatra") is builder.read(text, "beatra")
    assert (builder.read(text, "beatra").rules[0].at, made.rules[0].at) == ("session:1", "session:rules[0]")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("PUT", "/scenario"), ("POST", "/rules"), ("POST", "/reset"), ("GET", "/journal"),
     ("GET", "/journal/events"), ("POST", "/verify"), ("POST", "/completed"), ("GET", "/verdict"), ("GET", "/clock"),
     ("PATCH", "/clock")],
)  # fmt: skip
def test_an_unknown_session_is_told(served: Served, method: str, path: str) -> None:
    expected = (404, "emulator_unknown_session", "There is no session 'none'.")
    assert refused(lambda: served.ask(method, f"/sessions/none{path}", {} if method != "GET" else None)) == expected


# Rules


def test_rules_are_added_before_the_others_and_replaced_by_their_id(served: Served) -> None:
    session = served.session(scenario="emulator: 1\nrules:\n  - reply: {text: file}\n", file="x.yaml")
    path = f"/sessions/{session}/rules"
    served.ask("POST", path, {"rule": {"reply": {"text": "a"}}})
    served.ask("POST", path, {"rule": {"id": "mine", "reply": {"text": "b"}}, "at": "test_x.py:12"})
    served.chat(session)
    shown = served.ask(
        "POST", path, {"rule": {"id": "mine", "replies": [{"text": "b"}, {"text": "c"}]}, "at": "t.py:1"}
    )
    assert [(rule["id"], rule["at"], rule["calls"]) for rule in shown["rules"]] == [
        ("mine", "t.py:1", 1), ("added-1", "session:added[0]", 0), ("rule-1", "x.yaml:3", 0),
    ]  # fmt: skip
    served.chat(session)
    exchanges = served.ask("GET", f"/sessions/{session}/journal")["exchanges"]
    assert [(item["rule"], item["reply"]) for item in exchanges] == [("test_x.py:12", 0), ("t.py:1", 1)]


def test_rules_without_lines_are_told_apart_by_their_path(served: Served) -> None:
    rules = [{"when": {"last_user": "x"}, "reply": {"text": "x"}}, {"reply": {"text": "y"}}]
    session = served.session(scenario={"emulator": 1, "rules": rules})
    path = f"/sessions/{session}/rules"
    served.ask("POST", path, {"rule": {"when": {"model": "a"}, "reply": {"text": "a"}}})
    served.ask("POST", path, {"rule": {"when": {"model": "b"}, "reply": {"text": "b"}}})
    shown = served.ask("POST", path, {"rule": {"id": "added-1", "when": {"model": "c"}, "reply": {"text": "c"}}})
    assert [(rule["id"], rule["at"]) for rule in shown["rules"]] == [
        ("added-2", "session:added[1]"), ("added-1", "session:added[0]"),
        ("rule-1", "session:rules[0]"), ("rule-2", "session:rules[1]"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "invalid_request", "The body must be {rule: {...}}.")),
        ({"rule": {"reply": {"text": "a"}}, "at": "a\r\nb"},
         (400, "invalid_request", "at must be a place, as scenario.yaml or test_x.py:12.")),
        ({"rule": {"reply": {"text": "a"}}, "at": "x" * 501},
         (400, "invalid_request", "at must be a place, as scenario.yaml or test_x.py:12.")),
        ({"rule": {"id": "rule-1", "reply": {"text": "a"}}},
         (409, "rule_exists", "The scenario has a rule with the id 'rule-1' already.")),
        ({"rule": {"reply": {"txt": "a"}}, "at": "test_x.py:7"},
         (422, "invalid_scenario", "test_x.py:7:1: reply: needs one of: text, tool_calls, refusal, outputs, json, "
                "events, error, embedding, builtin, proxy\n"
                "test_x.py:7:1: reply.txt: is not known here; did you mean 'text'?")),
    ],
    ids=["no-rule", "line-breaks", "too-long", "taken", "does-not-load"],
)  # fmt: skip
def test_a_rule_that_cannot_be_added(served: Served, body: Any, expected: Any) -> None:
    session = served.session(scenario="emulator: 1\nrules:\n  - reply: {text: file}\n")
    status, code, message = refused(lambda: served.ask("POST", f"/sessions/{session}/rules", body))
    assert (status, code, sorted(message.splitlines())) == (*expected[:2], sorted(expected[2].splitlines()))
    assert len(served.ask("GET", f"/sessions/{session}")["rules"]) == 1


def test_a_place_beyond_latin_1_reaches_the_journal(served: Served) -> None:
    session = served.session()
    served.ask("POST", f"/sessions/{session}/rules", {"rule": {"reply": {"text": "a"}}, "at": "tést_日.py:3"})
    assert served.chat(session) == 200
    assert served.ask("GET", f"/sessions/{session}/journal")["exchanges"][0]["rule"] == "tést_日.py:3"


def test_added_rules_outlive_another_scenario(served: Served) -> None:
    session = served.session()
    served.ask("POST", f"/sessions/{session}/rules", {"rule": {"id": "mine", "reply": {"text": "a"}}})
    shown = served.ask(
        "PUT", f"/sessions/{session}/scenario", {"scenario": "emulator: 1\nrules: []\n", "file": "y.yaml"}
    )
    assert [rule["id"] for rule in shown["rules"]] == ["mine"]


# Verification, completed, verdict


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"when": []}, (400, "invalid_request", "when must be an object, as in a scenario's rule.")),
        ({"count": "1"}, (400, "invalid_request", "count must be an integer.")),
        ({"wen": {}}, (400, "invalid_request", "'wen' is not known here; did you mean 'when'?")),
        ({"when": {"modl": "x"}}, (422, "invalid_when", "when:1:1: modl: is not known here; did you mean 'model'?")),
    ],
    ids=["when", "count", "key", "field"],
)
def test_a_verification_that_is_none(served: Served, body: Any, expected: Any) -> None:
    assert refused(lambda: served.ask("POST", "/sessions/default/verify", body)) == expected


def test_verification_without_a_number_asks_for_one(served: Served) -> None:
    session = served.session()
    path = f"/sessions/{session}/verify"
    assert served.ask("POST", path, {"when": {"last_user": "hi"}})["ok"] is False
    served.chat(session)
    assert served.ask("POST", path, {"when": {"last_user": "hi"}}) == {
        "ok": True, "count": 1, "message": '1 of 1 requests fit {"last_user":"hi"}.', "nearest": [],
        "exchanges": [1],
    }  # fmt: skip


@pytest.mark.parametrize("body", [{}, {"exchange": 1}, {"text": "a"}], ids=str)
def test_completed_needs_an_exchange_and_a_text(served: Served, body: Any) -> None:
    expected = (400, "invalid_request", "The body must be {exchange: N, text: TEXT}.")
    assert refused(lambda: served.ask("POST", "/sessions/default/completed", body)) == expected


CUT = {"text": "Half, whole.", "stream": {"split": 5}, "faults": [{"cut": {"after_chunks": 2, "how": "clean"}}]}


def test_a_verdict_rests_on_what_was_completed_until_a_reset(served: Served) -> None:
    session = served.session(scenario={"emulator": 1, "rules": [{"reply": CUT}]})
    served.chat(session, stream=True)
    assert served.ask("GET", f"/sessions/{session}/verdict")["ok"] is True
    assert served.ask("POST", f"/sessions/{session}/completed", {"exchange": 1, "text": "Half,"}) is None
    verdict = served.ask("GET", f"/sessions/{session}/verdict")
    assert (verdict["ok"], verdict["findings"][0]) == (
        False,
        {
            "fact": "be-incomplete-stream", "provider": "beatra", "status": "fail", "advice": False,
            "message": "The text of a cut stream was taken as a whole answer.", "exchanges": [1],
            "source": "Response (stream)",
        },
    )  # fmt: skip
    served.ask("POST", f"/sessions/{session}/reset")
    assert served.sessions.by_id[session].completed == []


# Live events


def watch(served: Served, session: str) -> tuple[http.client.HTTPConnection, Any]:
    connection = http.client.HTTPConnection(served.control.url.partition("//")[2], timeout=10)
    connection.request("GET", f"/_emulator/sessions/{session}/journal/events")
    response = connection.getresponse()
    assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert (response.readline(), response.readline()) == (b": watching\n", b"\n")
    return connection, response


def test_events_tell_each_exchange_as_it_ends(served: Served) -> None:
    session, other = served.session(), served.session()
    connection, response = watch(served, session)
    served.chat(other)
    served.chat(session)
    assert response.readline() == b"event: exchange\n"
    told = json.loads(response.readline().removeprefix(b"data: "))
    assert told == served.ask("GET", f"/sessions/{session}/journal")["exchanges"][0]
    assert (told["session"], told["sent"]["end"], response.readline()) == (session, "complete", b"\n")
    served.ask("DELETE", f"/sessions/{session}")
    assert response.read() == b""
    connection.close()


def test_a_watcher_that_leaves_is_forgotten(served: Served) -> None:
    session = served.session()
    connection, response = watch(served, session)
    watchers = served.sessions.by_id[session].watchers
    assert len(watchers) == 1
    response.close()
    connection.close()
    for _ in range(2000):  # until the server has seen it
        if not watchers:
            break
        served.ask("GET", "/health")
    assert not watchers
    assert served.chat(session) == 200


def test_a_reader_too_slow_is_cut_off_and_breaks_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.server.control.journal.WATCHED_BYTES", 0)
    session = served.session()
    connection, response = watch(served, session)
    watchers = served.sessions.by_id[session].watchers
    [watcher] = watchers
    watcher._waiting = 1  # as if it had not read what came before
    assert served.chat(session) == 200
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        response.read()
    connection.close()
    for _ in range(2000):  # until the server has seen it
        if not watchers:
            break
        served.ask("GET", "/health")
    assert not watchers


def test_readers_of_live_journals_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.server.control.journal.MOST_WATCHERS", 1)
    session, other = served.session(), served.session()
    connection, response = watch(served, session)
    with pytest.raises(ControlError, match="1 readers follow a journal already; end one first"):
        served.ask("GET", f"/sessions/{other}/journal/events")
    response.close()
    connection.close()
