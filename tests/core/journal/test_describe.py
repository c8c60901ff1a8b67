"""The journal: an exchange as plain data, with no key in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from build import KEY, NOW, chat, make_session
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.journal.describe import describe, read_body
from emulator.core.secrets.redaction import redact_header, redact_headers
from emulator.core.secrets.texts import redact
from emulator.core.values import Exchange, Sent

UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def test_an_answered_exchange() -> None:
    live = make_session({"seed": 7, "rules": [{"id": "hi", "reply": {"text": "hello", "stream": {"itl": 1}}}]})
    exchange = live.send("braintwin", chat("braintwin", n=1, stream=True), headers={"x-a": "b"})
    exchange = replace(exchange, sent=Sent(99, (0.1, 1.1), "client_left", 1.5))
    row = describe(exchange)
    text = row["response"].pop("body_text")
    frames = exchange.timeline.frames
    assert text == b"".join(frame.data for frame in frames).decode()
    assert row == {
        "n": 1, "session": "default", "provider": "braintwin", "operation": "chat", "at": NOW, "method": "POST",
        "path": "/braintwin/v1/chat/completions",
        "headers": {"content-type": "application/json", "authorization": f"Bearer {redact(KEY)}", "x-a": "b"},
        "key": redact(KEY), "body": chat("braintwin", n=1, stream=True), "body_text": None, "plan": "standard",
        "model": "gpt-4",
        "notes": [{"fact": None, "path": "n",
                   "message": "is not in the docs; it was accepted and has its customary effect"}],
        "rule": "s1.yaml:rules[0]", "rule_id": "hi", "call": 1, "reply": 0, "seed": 7, "refusal": None, "nearest": [],
        "response": {
            "status": 200, "headers": dict(exchange.timeline.headers), "body": None, "stream": True,
            "usage": None, "finish_reason": None,  # two of its four frames went out
        },
        "timeline": {
            "frames": [
                {"at": at, "size": len(frame.data), "kind": kind, "sent_at": sent_at}
                for at, frame, kind, sent_at in zip(
                    [0, 1, 2, 2], frames, ["data", "data", "data", "done"], [0.1, 1.1, None, None], strict=True)
            ],
            "end": "complete", "faults": [],
        },
        "sent": {"bytes": 99, "frames": 2, "end": "client_left", "at": 1.5, "silent": 0.0},
        "replay_of": None, "crash": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "path", "body", "asked"),
    [
        ("openai", "/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "temperature": 3}, "Hi"),
        ("openai", "/responses", {"model": "gpt-5-mini", "input": "Hi", "temperature": 3}, "Hi"),
        ("anthropic", "/v1/messages", {"messages": [{"role": "user", "content": "Hi"}]}, "Hi"),
        ("openai", "/chat/completions", {"messages": 5}, None),
        ("openai", "/chat/completions", ["Hi"], None),
        ("openai", "/embeddings", {"input": 5}, None),
    ],
    ids=["chat", "responses", "messages", "none", "no object", "embeddings"],
)
def test_what_a_refused_request_asked(provider: str, path: str, body: Any, asked: str | None) -> None:
    row = describe(make_session().send(provider, body, path=path), conversation=True)
    assert row["rule"] == "refused"
    assert row["conversation"]["asked"] == ([{"by": "user", "text": asked}] if asked else None)


def test_a_refused_exchange() -> None:
    row = describe(make_session().send(body=chat(temperature=3)))
    assert row["refusal"] == {
        "code": "invalid_request", "status": 400, "fact": "be-temperature", "message": None,
        "details": [{"path": "temperature", "message": "must be at most 2, not 3", "fact": "be-temperature"}],
    }  # fmt: skip
    assert (row["operation"], row["rule"], row["rule_id"], row["call"]) == ("chat", "refused", None, None)
    assert row["sent"] == {"bytes": 0, "frames": 0, "end": "under_way", "at": None, "silent": 0.0}
    assert row["response"]["body"]["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        ({"body": chat(temperature=3)}, "auto"),
        ({"body": chat(), "key": None}, "auto"),
        ({"body": chat(), "path": "/nowhere"}, "auto"),
        ({"body": chat(model="no such model")}, "no such model"),
        ({"body": chat(model=["auto"])}, ""),
        ({"body": ["auto"]}, ""),
        ({"raw": b'{"model": "auto"'}, ""),
        ({"method": "GET", "path": "/nowhere"}, ""),
    ],
    ids=["400", "401", "404", "unknown", "no-string", "no-object", "no-json", "no-body"],
)
def test_a_refused_exchange_shows_the_model_that_its_body_names(request_: dict[str, Any], model: str) -> None:
    row = describe(make_session().send(**request_))
    assert (row["rule"], row["model"]) == ("refused", model)


def test_a_limited_exchange_shows_its_model() -> None:
    live = make_session({"plan": {"requests_per_minute": 1}})
    rows = [describe(live.send()) for _ in range(2)]
    assert [(row["response"]["status"], row["model"]) for row in rows] == [(200, "beatra-1"), (429, "auto")]


def test_a_replayed_exchange_names_the_first() -> None:
    live = make_session()
    rows = [describe(live.send(headers={"idempotency-key": UUID})) for _ in range(2)]
    assert [row["replay_of"] for row in rows] == [None, 1]


def test_a_replay_is_no_call_of_its_rule() -> None:
    live = make_session({"rules": [{"reply": {"text": "a"}}]})
    rows = [describe(live.send(headers={"idempotency-key": UUID})) for _ in range(2)]
    assert [(row["rule_id"], row["call"]) for row in rows] == [("rule-1", 1), ("rule-1", None)]


def test_a_query_is_shown_without_its_secrets() -> None:
    query = "task=code&api_key=sk-very-secret&access-token=t0ps3cret&x=1"
    row = describe(make_session().send("brainstormrouter", method="GET", path="/models", query=query))
    key, token = redact("sk-very-secret"), redact("t0ps3cret")
    assert row["path"] == f"/brainstormrouter/v1/models?task=code&api_key={key}&access-token={token}&x=1"


def test_an_unmatched_exchange_has_the_nearest_rules() -> None:
    row = describe(make_session({"rules": [{"when": {"model": "x"}, "reply": {"text": "a"}}]}).send())
    assert (row["rule"], row["nearest"]) == (
        "unmatched",
        [
            {
                "rule": "s1.yaml:rules[0]",
                "id": "rule-1",
                "differences": [{"field": "model", "expected": "x", "actual": "auto"}],
            }
        ],
    )


# How an answer ended

USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
ENDED, UNENDED, UNCOUNTED = ("stop", USAGE), (None, None), ("stop", None)
ASKED = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("fields", "faults", "sent", "shown"),
    [
        # role, one, two, three, finish, [DONE]; with usage before [DONE] where it is asked for
        ({}, [], None, ENDED),
        ({}, [], 6, ENDED),
        ({}, [], 5, ENDED),
        ({}, [], 4, UNENDED),
        ({}, [], 0, UNENDED),
        (ASKED, [], 7, ENDED),
        (ASKED, [], 6, ENDED),
        (ASKED, [], 5, UNCOUNTED),
        (ASKED, [], 4, UNENDED),
        ({}, [{"cut": {"after_chunks": 3, "how": "reset"}}], 3, UNENDED),
        ({}, [{"cut": {"after_chunks": 3}}], None, UNENDED),
        ({}, [{"cut": {"before": "done"}}], 5, ENDED),
        ({}, [{"half_event": {"chunk": 5}}], 5, UNENDED),
        ({}, [{"corrupt": {"chunk": 5}}], 6, UNENDED),
        ({}, [{"error_event": {"error": "server_error", "after_chunks": 2}}], 3, UNENDED),
        ({}, [{"drop_done": True}], 5, ENDED),
        ({}, [{"merge": {"chunks": 2}}], None, ENDED),
        ({}, [{"slice": {"bytes": 7}}], None, ENDED),
        ({}, [{"slice": {"bytes": 7}}], 60, UNENDED),
        ({"stream": False}, [], 1, ENDED),
        ({"stream": False}, [], 0, UNENDED),
        ({"stream": False}, [{"cut": {"after_bytes": 90}}], 1, UNENDED),
        ({"stream": False}, [{"cut": {"after_bytes": 90, "how": "clean"}}], 1, UNENDED),
        ({"stream": False}, [{"empty": True}], 0, UNENDED),
        ({"stream": False}, [{"invalid_json": True}], 1, UNENDED),
        ({"stream": False}, [{"wrong_content_type": True}], 1, ENDED),
    ],
)  # fmt: skip
def test_usage_and_finish_reason_are_shown_where_they_went_out(
    fields: Any, faults: list[Any], sent: int | None, shown: Any
) -> None:
    live = make_session(
        {"rules": [{"reply": {"text": "one two three", "stream": {"split": "words"}, "faults": faults}}]}
    )
    exchange = live.send("brivionix", chat("brivionix", **{"stream": True} | fields))
    if sent is not None:
        exchange = replace(exchange, sent=Sent(0, (0.0,) * sent, "complete", 0.0))
    response = describe(exchange)["response"]
    assert (response["finish_reason"], response["usage"]) == shown


@pytest.mark.parametrize("choices", [None, 5, "x", ["x"], [None], {"a": 1}], ids=repr)
@pytest.mark.parametrize("how", ["events", "error event"])
def test_chunks_of_any_form_are_shown(how: str, choices: Any) -> None:
    odd = {"choices": choices}
    fault = {"error_event": {"after_chunks": 1, "error": {"status": 500, "body": odd}}}
    replies: dict[str, Any] = {"events": {"events": [odd, "[DONE]"]}, "error event": {"text": "a", "faults": [fault]}}
    live = make_session({"rules": [{"reply": {**replies[how], "off_contract": True}}]})
    response = describe(live.send(body=chat(stream=True)))["response"]
    assert (response["finish_reason"], response["usage"]) == UNENDED


# Bodies


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", (None, None)),
        (b'{"a": 1}', ({"a": 1}, None)),
        (b"null", (None, None)),
        (b"not json", (None, "not json")),
        (b"\xff", (None, "\ufffd")),
        (b"x" * 1_000_001, (None, "x" * 1_000_000)),
        (b"[%s]" % (b" " * 999_998), ([], None)),
        (b"[%s]" % (b" " * 999_999), (None, "[" + " " * 999_999)),
    ],
    ids=["empty", "json", "null", "text", "bytes", "long", "longest-json", "long-json"],
)
def test_read_body(data: bytes, found: Any) -> None:
    assert read_body(data) == found


def test_a_body_too_deep_to_be_written_again_is_shown_as_text() -> None:
    deep = b"[" * 900 + b"]" * 900
    assert read_body(deep) == (None, deep.decode())


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b'{"model": "auto", "messages": [], "model": "auto"}', ["model"]),
        (b'{"messages": [{"role": "a", "content": "a", "role": "b", "role": "user"}], "x": {"y": 1, "y": 2}}',
         ["role", "y"]),
        (b'{ "model" : "auto" , "messages" : [ ] }', []),
        (b'{"model":"auto","messages":[]}', []),
        (b'{"a": 1, "a": ' + b"9" * 5000 + b"}", []),
        (b"not json", []),
    ],
    ids=["top", "nested", "spaces", "compact", "huge-number", "no-json"],
)  # fmt: skip
def test_keys_that_stand_twice_are_noted(raw: bytes, names: list[str]) -> None:
    notes = describe(make_session().send(raw=raw))["notes"]
    message = "stands twice in one object; the last one counts"
    assert [note["path"] for note in notes if note["message"] == message] == names


def test_many_equal_keys_are_counted_once() -> None:
    raw = b'{"model": "auto", "messages": [], ' + b", ".join(b'"k%d": 1, "k%d": 2' % (n, n) for n in range(5000)) + b"}"
    notes = describe(make_session(validation="off").send(raw=raw))["notes"]
    assert [note["path"] for note in notes] == [*(f"k{n}" for n in range(100)), ""]
    assert notes[-1]["message"] == "4900 more keys stand twice in one object"


def test_a_body_over_a_million_bytes_is_not_read_again() -> None:
    said = b'[{"role": "user", "content": "a"}]'
    exchange = make_session().send(
        raw=b'{"model": "x", "model": "auto", "messages": %b' % said + b" " * 1_000_000 + b"}"
    )
    found = describe(exchange)
    assert (found["body"], len(found["body_text"]), found["notes"]) == (None, 1_000_000, [])


# Redaction

SECRET = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}"}, {"authorization": f"bearer {SECRET}"}, {"authorization": SECRET},
        {"authorization": f"{SECRET} and more"}, {"authorization": f"Basic {SECRET}"},
        {"Authorization": f"Bearer  {SECRET}"},
        {"proxy-authorization": f"Basic {SECRET}"}, {"cookie": f"session={SECRET}; other=x"},
        {"cookie": f"a=b; s={SECRET}"},
        {"x-api-key": SECRET}, {"api-key": f"{SECRET} x"}, {"openai-api-key": SECRET}, {"set-cookie": f"s={SECRET}"},
    ],
    ids=lambda headers: " ".join([*headers, *headers.values()])[:40],
)  # fmt: skip
def test_no_key_is_shown(headers: dict[str, str]) -> None:
    live = make_session({"rules": [{"when": {"headers": dict.fromkeys(headers, "x")}, "reply": {"text": "a"}}]})
    shown = json.dumps(describe(live.send(headers=headers, key=SECRET)))
    assert SECRET not in shown
    assert SECRET[4:] not in shown


def test_a_session_key_and_a_refused_key_are_not_shown() -> None:
    live = make_session({"keys": ["the-good-key-of-the-file"]}, id="own")
    rows = [
        describe(live.send(key=key)) for key in ("emu-generated", "the-good-key-of-the-file", "some-other-key-here")
    ]
    shown = json.dumps(rows)
    assert [word in shown for word in ("emu-generated", "good-key", "other-key")] == [False] * 3


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("x-tenant", "acme corp", "acme corp"),
        ("authorization", "Bearer sk-aaaaaaaaaaaa", f"Bearer {redact('sk-aaaaaaaaaaaa')}"),
        ("cookie", "a=1; b=2", redact("a=1; b=2")),
        ("authorization", "", ""),
    ],
)
def test_redact_header(name: str, value: str, shown: str) -> None:
    assert redact_header(name, value) == shown
    assert redact_headers([(name, value)]) == {name: shown}


@given(key=st.text(min_size=1), other=st.text(min_size=1))
def test_a_redacted_key_tells_keys_apart_and_shows_three_characters_at_most(key: str, other: str) -> None:
    shown = redact(key)
    prefix, _, digest = shown.rpartition("…")
    assert key.startswith(prefix)
    assert (len(prefix), len(digest)) == (3 if len(key) > 12 else 0, 6)
    assert (redact(other) == shown) >= (key == other)


def test_redact_of_nothing() -> None:
    assert (redact(None), redact("")) == ("", "")


def test_a_crash_is_shown() -> None:
    exchange: Exchange = replace(make_session().send(), crash="Traceback")
    assert describe(exchange)["crash"] == "Traceback"
