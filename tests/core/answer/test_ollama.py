"""Ollama's answers: lines of JSON, and what faults, the journal and recordings make of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import PROVIDERS, EngineSession, chat, make_call, make_session

from emulator.core.journal.describe import describe
from emulator.core.provider.openapi import openapi
from emulator.core.recording.to_scenario import scenario_text
from emulator.core.values import Exchange

STREAMED = chat("ollama", stream=True)
TEXT = "One two three."


def line(**fields: Any) -> bytes:
    said = {"model": "llama3.2", "created_at": "2027-01-15T08:00:00Z"}
    return orjson.dumps({**said, **fields}) + b"\n"


def piece(text: str) -> bytes:
    return line(message={"role": "assistant", "content": text}, done=False)


LAST = line(
    message={"role": "assistant", "content": ""}, done=True, done_reason="stop", total_duration=49_000_000,
    load_duration=1_000_000, prompt_eval_count=8, prompt_eval_duration=8_000_000, eval_count=4,
    eval_duration=40_000_000,
)  # fmt: skip
LINES = [piece("One"), piece(" two"), piece(" three."), LAST]
ERROR = b'{"error":"the model failed to generate a response"}\n'


def send(reply: dict[str, Any], body: Any = STREAMED) -> Exchange:
    said = reply if "error" in reply else {"text": TEXT, "stream": {"split": "words"}, **reply}
    return make_session({"rules": [{"reply": said}]}).send("ollama", body)


def sent(exchange: Exchange) -> bytes:
    return b"".join(frame.data for frame in exchange.timeline.frames)


def test_a_stream_is_lines_of_json() -> None:
    exchange = send({})
    assert dict(exchange.timeline.headers)["content-type"] == "application/x-ndjson"
    assert [frame.data for frame in exchange.timeline.frames] == LINES
    assert [frame.kind for frame in exchange.timeline.frames] == ["data"] * 3 + ["done"]


@pytest.mark.parametrize(
    ("stream", "kind"),
    [(None, "application/x-ndjson"), (True, "application/x-ndjson"), (False, "application/json")],
    ids=["null", "true", "false"],
)
def test_what_is_streamed(stream: bool | None, kind: str) -> None:
    assert dict(send({}, chat("ollama", stream=stream)).timeline.headers)["content-type"] == kind


def test_left_out_a_stream_is_asked_for() -> None:
    body = {name: value for name, value in STREAMED.items() if name != "stream"}
    assert sent(send({}, body)) == b"".join(LINES)


WHOLE = b"".join(LINES)


@pytest.mark.parametrize(
    ("fault", "left", "end"),
    [
        ({"cut": {"after_chunks": 2}}, b"".join(LINES[:2]), "fin"),
        ({"cut": {"after_pieces": 1}}, LINES[0], "fin"),
        ({"cut": {"after_bytes": 150, "how": "reset"}}, WHOLE[:150], "reset"),
        ({"cut": {"before": "done"}}, b"".join(LINES[:3]), "fin"),
        ({"drop_done": True}, b"".join(LINES[:3]), "clean"),
        ({"half_event": {"chunk": 2}}, LINES[0] + LINES[1][: len(LINES[1]) // 2], "clean"),
        ({"error_event": {"error": "server_error", "after_chunks": 2}}, b"".join(LINES[:2]) + ERROR, "clean"),
        ({"error_event": {"error": "server_error", "after_chunks": 0}}, ERROR, "clean"),
        ({"duplicate": {"chunk": 4}}, WHOLE + LAST, "complete"),
        ({"reorder": {"chunks": [1, 2]}}, b"".join([LINES[1], LINES[0], *LINES[2:]]), "complete"),
        ({"slice": {"bytes": 7}}, WHOLE, "complete"),
        ({"merge": {"chunks": 3}}, WHOLE, "complete"),
        ({"empty": True}, b"", "clean"),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else "",
)  # fmt: skip
def test_faults(fault: dict[str, Any], left: bytes, end: str) -> None:
    exchange = send({"faults": [fault]})
    assert (sent(exchange), exchange.timeline.end) == (left, end)
    assert exchange.notes == ()


def test_no_line_keeps_a_connection() -> None:
    exchange = send({"stream": {"split": "words", "itl": "1m"}, "faults": [{"comment": {"every": "15s"}}]})
    assert sent(exchange) == WHOLE
    assert [note.message for note in exchange.notes] == ["the fault comment had nothing to act on here"]


def test_the_journal_tells_what_was_streamed() -> None:
    told = describe(send({}))["response"]
    assert (told["stream"], told["finish_reason"]) == (True, "stop")
    assert told["usage"] == {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12}
    assert told["body_text"] == WHOLE.decode()


REPLIES: list[dict[str, Any]] = [
    {},
    {"text": 'Gr\u00fc\u00dfe "and\\n more'},
    {"tool_calls": [{"name": "look", "arguments": {"at": "it"}, "id": "call_1"}]},
    {"error": "model_unavailable"},
    {"faults": [{"cut": {"after_chunks": 2}}]},
    {"faults": [{"drop_done": True}]},
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("number", range(len(REPLIES)))
def test_a_journal_becomes_a_scenario_that_answers_the_same(number: int, stream: bool) -> None:
    body = chat("ollama", stream=stream)
    first = send(REPLIES[number], body)
    assert_it_is_answered_again(first, body)


def test_a_stream_that_breaks_inside_a_line_is_written_down() -> None:
    assert_it_is_answered_again(send({"faults": [{"cut": {"after_bytes": 150}}]}), STREAMED)


def assert_it_is_answered_again(first: Exchange, body: Any) -> None:
    rows = orjson.loads(orjson.dumps([describe(first)]))
    again = make_session(scenario_text(rows, PROVIDERS)).send("ollama", body)
    assert (sent(again), again.timeline.end) == (sent(first), first.timeline.end)


def test_images_are_counted() -> None:
    said = [{"role": "user", "content": "hello", "images": ["aGk=", "aGk="]}, {"role": "user", "content": "hello"}]
    call = make_call("ollama", chat("ollama", messages=said))
    assert [message.images for message in call.messages] == [2, 0]
    prompt = make_call(
        "ollama", {"model": "gemma4", "system": "Hm.", "prompt": "hello", "images": ["aGk="]}, "generate"
    )
    assert [(item.role, item.text, item.images) for item in prompt.messages] == [
        ("system", "Hm.", 0),
        ("user", "hello", 1),
    ]


@pytest.mark.parametrize(("cap", "text"), [(1, "One"), (0, ""), (-1, TEXT), (-2, TEXT)])
def test_a_cap_below_zero_is_none(cap: int, text: str) -> None:
    exchange = send({}, chat("ollama", options={"num_predict": cap}))
    assert orjson.loads(sent(exchange))["message"]["content"] == text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "load"), ({"messages": []}, "load"), ({"messages": None, "keep_alive": 0}, "unload")],
    ids=["left-out", "empty", "unload"],
)
def test_no_messages_load_a_model_whatever_the_scenario(fields: dict[str, Any], reason: str) -> None:
    live: EngineSession = make_session({"rules": [{"reply": {"text": TEXT}}]})
    exchange = live.send("ollama", {"model": "llama3.2", **fields})
    assert sent(exchange) == line(message={"role": "assistant", "content": ""}, done=True, done_reason=reason).rstrip(
        b"\n"
    )
    assert (exchange.rule, exchange.timeline.stream) == ("built-in", False)


def test_a_rule_waits_for_what_asks_for_words() -> None:
    live = make_session({"rules": [{"replies": [{"text": "One"}, {"text": "Two"}]}]})
    bodies = [{"model": "llama3.2"}, chat("ollama"), {"model": "llama3.2"}, chat("ollama")]
    said = [orjson.loads(sent(live.send("ollama", body)))["message"]["content"] for body in bodies]
    assert said == ["", "One", "", "Two"]


def test_openapi_tells_its_lines_its_errors_and_that_no_key_is_needed() -> None:
    document = openapi(PROVIDERS["ollama"], "1", "http://test/ollama")
    chats = document["paths"]["/api/chat"]["post"]["responses"]["200"]["content"]
    assert list(chats) == ["application/json", "application/x-ndjson"]
    assert (
        list(document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"])[1] == "text/event-stream"
    )
    assert document["security"] == [{}, {"bearer": []}]
    forms = document["components"]["responses"]["model_not_found"]["content"]["application/json"]["schema"]["anyOf"]
    assert [form["properties"]["error"]["type"] for form in forms] == ["string", "object"]
    assert "page_not_found" not in document["components"]["responses"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/api/chat", "model 'nobody' not found"),
        ("/v1/chat/completions", {
            "message": "model 'nobody' not found", "type": "not_found_error", "param": None, "code": None,
        }),
    ],
    ids=["own", "openai"],
)  # fmt: skip
def test_errors_have_the_envelope_of_their_side(path: str, error: Any) -> None:
    exchange = make_session().send("ollama", chat("ollama", model="nobody"), path=path)
    assert (exchange.timeline.status, orjson.loads(sent(exchange))) == (404, {"error": error})


def test_a_stream_that_fails_on_the_openai_side_says_nothing() -> None:
    reply = {"text": TEXT, "faults": [{"error_event": {"error": "server_error", "after_chunks": 2}}]}
    exchange = make_session({"rules": [{"reply": reply}]}).send("ollama", STREAMED, path="/v1/chat/completions")
    assert [frame.data.count(b"data: ") for frame in exchange.timeline.frames] == [1, 1]
    assert b"error" not in sent(exchange)
