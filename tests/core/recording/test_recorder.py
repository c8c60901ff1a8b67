"""A recording: what it writes loads, gives the same bytes to the same requests in their order, and holds no secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
import yaml
from build import MODELS, PROVIDERS, chat, make_session
from hypothesis import given
from hypothesis import strategies as st
from relaying import COMPLETE, answered, heard, sent, through

from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.errors import STATUS, Json, Refusal
from emulator.core.recording.recorder import Recorder
from emulator.core.recording.upstream_exchange import failed
from emulator.core.values import Exchange
from emulator.core.wires.sse import payload

ENGINE = Engine(PROVIDERS)
URL = "https://api.example.com/v1"
STREAM = "text/event-stream"


def record(exchanges: Sequence[Exchange], provider: str = "beatra") -> Recorder:
    recorder = Recorder(ENGINE, PROVIDERS[provider], URL)
    for exchange in exchanges:
        recorder.add(exchange, COMPLETE)
    return recorder


def first_reply(recorder: Recorder) -> dict[str, Any]:
    reply: dict[str, Any] = yaml.safe_load(recorder.text())["rules"][0]["replies"][0]
    return reply


def bare(exchange: Exchange) -> Any:
    """Return what a client reads, ids and times aside: status, rate headers, bytes, how it ends."""
    timeline = exchange.timeline
    data = b"".join(frame.data for frame in timeline.frames if frame.kind != "comment")
    data = re.sub(rb'(chatcmpl|call|req)[-_][0-9A-Za-z]+|"created":\d+', b"NEW", data)
    kept = ("retry-after", "x-extra", "x-ratelimit-limit", "x-ratelimit-remaining")
    headers = sorted(item for item in timeline.headers if item[0] in kept)
    end = "complete" if timeline.end == "clean" else timeline.end
    return timeline.status, headers, data, timeline.stream, end


def replayed(recorder: Recorder, asked: Sequence[tuple[str, Any]]) -> list[Any]:
    """Ask a recording the same requests in their order."""
    live = make_session(recorder.text())
    return [bare(live.send(provider, **request)) for provider, request in asked]


CALL = {"tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]}
TOOLS = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]}


PROBABLE = {
    "text": "Yes, sir",
    "logprobs": [
        {"token": "Yes,", "logprob": -1.0, "top": [{"token": "Yes,", "logprob": -1.0}]},
        {"token": " sir", "logprob": -2},
    ],
    "annotations": [{"url": "a:b", "title": "A $${b}", "start": 0, "end": 3}],
}
NO_TOOLS: dict[str, Any] = {}
CUSTOM = {"tool_calls": [{"name": "look", "input": "at $${it}"}, {"name": "look", "input": "again"}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        ({"reasoning": "Hm, well.", "text": "Yes, sir"}, {}),
        ({"reasoning": "Hm, well.", "text": "Yes, sir", "stream": {"split": 3}}, {}),
        ({"outputs": [{"reasoning": "Hm."}, {"text": "One two"}, {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
                      {"text": "Three four."}], "stream": {"split": "chars"}}, {}),
        (PROBABLE, {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
        (PROBABLE, {}),
        ({"outputs": [{"text": "Yes, sir"}, PROBABLE]}, {"include": ["message.output_text.logprobs"]}),
        (CUSTOM, {"tools": [{"type": "custom", "name": "look"}]}),
    ],
    ids=["reasoning", "pieces", "outputs", "probable", "cited", "probable outputs", "custom"],
)  # fmt: skip
def test_a_recording_of_responses_says_the_same_in_words(reply: Any, fields: Any, stream: bool) -> None:
    body = {"model": "gpt-4o", "input": "What about Oslo?", "stream": stream, **fields}
    upstream = make_session({"rules": [{"when": {"operation": "responses"}, "reply": reply}]})
    exchange = through(upstream, "openai", body=body, path="/responses")
    recorder = record([exchange], "openai")
    told = first_reply(recorder)
    assert {"json", "events"}.isdisjoint(told)
    again = through(make_session(recorder.text()), "openai", body=body, path="/responses")
    wire = exchange.claim.wire
    assert wire
    assert without_new(again, wire.fresh) == without_new(exchange, wire.fresh)


def without_new(exchange: Exchange, new: frozenset[str]) -> list[bytes]:
    names = b"|".join(name.encode() for name in sorted(new))
    return [re.sub(rb'"(%b)":("[^"]*"|\d+)' % names, b"", frame.data) for frame in exchange.timeline.frames]


LOOK = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
LOOKS = {"tool_calls": [{"name": "look", "arguments": {"at": "Oslo"}}]}
TOLD = {
    "/chat/completions": ("openai", {"messages": [{"role": "user", "content": "Hi"}],
                                     "tools": [{"type": "function", "function": LOOK}],
                                     "stream_options": {"include_usage": True}}),
    "/responses": ("openai", {"input": "Hi", "tools": [{"type": "function", **LOOK}]}),
    "/v1/messages": ("anthropic", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99}),
}  # fmt: skip


def from_upstream(path: str, reply: Any, change: Any, **fields: Any) -> tuple[Exchange, dict[str, Any]]:
    """Return a stream as an upstream sends it whose events are changed, and what was recorded of it."""
    provider, body = TOLD[path]
    body = {"model": MODELS[provider], "stream": True, **body, **fields}
    exchange = make_session({"rules": [{"reply": reply}]}, plan="unlimited").send(provider, body, path=path)
    items = [payload(frame.data) for frame in exchange.timeline.frames]
    events = [orjson.dumps(change(orjson.loads(item))) if item[:1] == b"{" else item for item in items]
    pieces = [(0.0, b"data: %b\n\n" % event) for event in events]
    exchange = answered(heard(body=pieces, kind=STREAM), provider, body=body, path=path)
    return exchange, first_reply(record([exchange], provider))


def with_more(event: dict[str, Any]) -> dict[str, Any]:
    """Add to an event what OpenAI and others send beside what is said."""
    more = {"obfuscation": "q8Zr0", "system_fingerprint": "fp_44709d6fcb", "x_vendor": {"id": "v-1"}}
    inner = {"service_tier": "flex", "model": "gpt-4o-2030-01-01", "x_own": 1.5, "moderation": None}
    if "choices" in event:
        return event | more | inner | {"choices": [{**item, "x_own": 1} for item in event["choices"]]}
    return event | more | ({"response": event["response"] | inner} if "response" in event else {})


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
@pytest.mark.parametrize(
    "reply",
    [
        {"text": "Yes, sir", "stream": {"split": 3}},
        {"refusal": "I will not."},
        LOOKS | {"text": "I look."},
        {"reasoning": "Hm, well.", "text": "Yes", "usage": {"reasoning_tokens": 3}},
        {"text": "One two", "finish_reason": "length"},
    ],
    ids=["text", "refusal", "call", "reasoning", "length"],
)
def test_fields_that_say_nothing_do_not_keep_a_stream_from_being_told_in_words(path: str, reply: Any) -> None:
    same, plain = from_upstream(path, reply, lambda event: event)
    more, told = from_upstream(path, reply, with_more)
    assert more.timeline.frames != same.timeline.frames
    assert told == plain
    assert "events" not in told


def test_a_call_that_opens_in_the_first_chunk_is_told_in_words() -> None:
    opening = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    deltas = [
        {"role": "assistant", "content": None, "tool_calls": [opening], "refusal": None},
        *({"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in ('{"at":', '"Oslo"}')),
        {},
    ]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "tool_calls"}],
               "obfuscation": "Tq"} for delta in deltas]  # fmt: skip
    pieces = [(0.0, b"data: %b\n\n" % orjson.dumps(chunk)) for chunk in chunks]
    answer = heard(body=[*pieces, (0.0, b"data: [DONE]\n\n")], kind=STREAM)
    body = chat("openai", stream=True, tools=[{"type": "function", "function": LOOK}])
    told = first_reply(record([answered(answer, "openai", body=body)], "openai"))
    assert (told["tool_calls"], told["stream"]["split"]) == (
        [{"name": "look", "arguments": '{"at":"Oslo"}', "id": "call_1"}], ['{"at":', '"Oslo"}'],
    )  # fmt: skip


def beside(name: str, value: Json) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds a field to what a choice says, in place of a text."""

    def change(event: dict[str, Any]) -> dict[str, Any]:
        said = [{**item, "delta": {name: value}} if item["delta"].get("content") else item for item in event["choices"]]
        return event | {"choices": said}

    return change


@pytest.mark.parametrize(
    ("path", "change", "fields"),
    [
        ("/chat/completions", beside("reasoning_content", "Hm."), {}),
        ("/chat/completions", with_more, {"n": 2}),
        ("/v1/messages", with_more, {"stop_sequences": [" sir"]}),
    ],
    ids=["a text that is not read", "two choices", "what it stopped at"],
)
def test_a_stream_that_says_more_than_is_read_is_kept_event_by_event(path: str, change: Any, fields: Any) -> None:
    exchange, told = from_upstream(path, {"text": "Yes, sir and so on"}, change, **fields)
    kept = [event for event in told["events"] if event != "[DONE]"]
    sent = [payload(frame.data) for frame in exchange.timeline.frames]
    assert kept == [orjson.loads(item) for item in sent if item[:1] == b"{"]


@pytest.mark.parametrize(
    ("provider", "reply", "fields"),
    [
        ("beatra", {"text": "A literal $${hole} and\nanother line."}, {}),
        ("beatra", {"text": ""}, {}),
        ("braintwin", {"text": "word " * 40}, {}),
        ("braintwin", {"text": "word " * 40}, {"stream": True}),
        ("braintwin", {"text": "Hi.", "headers": {"x-extra": "$${1}"}}, {}),
        ("beatra", {"text": "One two three", "stream": {"split": ["One", " two th", "ree"]}}, {"stream": True}),
        ("beatra", {"text": "abc", "stream": {"split": "chars", "ttft": "1s", "itl": "20ms"}}, {"stream": True}),
        ("brivionix", CALL, TOOLS),
        ("brivionix", CALL, TOOLS | {"stream": True}),
        ("brivionix", CALL | {"stream": {"split": 2}}, TOOLS | {"stream": True}),
        ("brivionix", CALL | {"text": "I look."}, TOOLS | {"stream": True}),
        ("brivionix", {"refusal": "I will not."}, {"stream": True}),
        ("beatra", {"text": "a b"}, {"n": 2, "stream": True}),
        ("beatra", {"text": "a b"}, {"stream": True, "stream_options": {"include_usage": True}}),
        ("beatra", {"error": "rate_limited", "retry_after": 7}, {}),
        ("beatra", {"error": "rate_limited"}, {"stream": True}),
        ("beatra", {"error": {"name": "invalid_request", "message": "No $${x}.",
                              "details": [{"field": "model", "message": "is odd"}]}}, {}),
        ("braintwin", {"error": {"name": "invalid_request", "details": [{"path": "model", "message": "is odd"}]}}, {}),
        ("beatra", {"error": {"status": 418, "body": {"tea": "$${pot}"}}, "off_contract": True}, {}),
        ("beatra", {"error": {"status": 502, "body": "<html>"}, "off_contract": True}, {}),
        ("beatra", {"json": {"choices": "none", "id": "$${x}"}, "off_contract": True}, {}),
        ("beatra", {"events": ["what", {"delta": "$${x}"}, "[DONE]"], "off_contract": True}, {"stream": True}),
        ("beatra", {"events": [], "off_contract": True}, {"stream": True}),
        ("beatra", {"text": "Made", "status": 201}, {}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_chunks": 2, "how": "reset"}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_chunks": 0}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"before": "done"}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_bytes": 250, "how": "garbage"}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_bytes": 3}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_bytes": 30}}]}, {}),
        ("beatra", {"text": "a b c", "faults": [{"cut": {"after_bytes": 0}}]}, {}),
        ("beatra", {"text": "a b c", "faults": [{"drop_done": True}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"half_event": {"chunk": 2}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"duplicate": {"chunk": 2}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"reorder": {"chunks": [2, 3]}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"error_event": {"error": "server_error", "after_chunks": 2}}]},
         {"stream": True}),
        ("beatra", {"text": "a b", "stream": {"itl": "1s"}, "faults": [{"comment": {"every": "300ms"}}]},
         {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"slice": {"bytes": 7}}]}, {"stream": True}),
        ("beatra", {"text": "a b c", "faults": [{"invalid_json": True}]}, {}),
        ("beatra", {"text": "a b c", "faults": [{"empty": True}]}, {}),
        ("brainstormrouter", {"embedding": [0.5, -0.25]}, {}),
        *((provider, reply, {**fields, "stream": stream}) for stream in (False, True) for provider, reply, fields in (
            ("openai", PROBABLE, {"logprobs": True, "top_logprobs": 2}),
            ("openai", {"text": "Yes, sir"}, {"logprobs": True}),
            ("openai", {"refusal": "No, sir"}, {"logprobs": True, "top_logprobs": 1}),
            ("openai", CUSTOM, {"tools": [{"type": "custom", "custom": {"name": "look"}}]}),
            ("openai", CALL | {"text": "I look.", "stream": {"split": 2}}, NO_TOOLS),
        )),
    ],
    ids=str,
)  # fmt: skip
def test_a_recording_answers_the_same(provider: str, reply: Any, fields: Any) -> None:
    upstream = make_session({"rules": [{"reply": reply}]}, plan="unlimited")
    request: dict[str, Any] = {"body": chat(provider, "What about Oslo?", **fields)}
    if "embedding" in reply:
        request = {"body": {"model": "auto", "input": ["x", "y"]}, "path": "/embeddings"}
    exchange = through(upstream, provider, **request)
    recorder = record([exchange], provider)
    assert replayed(recorder, [(provider, request)]) == [bare(exchange)]
    assert "Left out" not in "\n".join(recorder.report())


def test_a_readable_answer_is_told_readably() -> None:
    pace = {"split": "words", "ttft": "200ms", "itl": "30ms"}
    upstream = make_session({"rules": [{"reply": {"text": "One two three", "latency": "1s", "stream": pace}}]})
    recorder = record([through(upstream, body=chat(stream=True)), through(upstream)])
    when = {"operation": "chat", "model": "auto", "last_user": {"equals": "hello"}, "turn": 1, "step": 0}
    said = {"text": "One two three", "finish_reason": "stop", "verbatim": True, "latency": 1.0}
    stream = {"split": ["One", " two", " three"], "ttft": 0.2, "itl": 0.03}
    usage = {"prompt_tokens": 8, "completion_tokens": 3}
    assert yaml.safe_load(recorder.text()) == {
        "emulator": 1,
        "provider": "beatra",
        "description": f"Recorded from {URL}.",
        "plan": "unlimited",
        "rules": [
            {"when": {**when, "body": {"$.stream": {"equals": True}}}, "replies": [{**said, "stream": stream}]},
            {"when": {**when, "body": {"$.stream": {"absent": True}}}, "replies": [{**said, "usage": usage}]},
        ],
    }


def test_the_pace_of_a_stream_is_kept_event_by_event() -> None:
    times = [0.5, 0.5, 0.7, 2.7, 2.7]
    deltas = ({"role": "assistant"}, {"content": "a"}, {"content": "b"}, {"content": "c"}, {})
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    pieces = [(at, b"data: %b\n\n" % orjson.dumps(chunk)) for at, chunk in zip(times, chunks, strict=True)]
    recorder = record([answered(heard(body=pieces, kind=STREAM), body=chat(stream=True))])
    assert first_reply(recorder)["stream"] == {"ttft": 0.5, "itl": [0.0, 0.2, 2.0, 0.0]}
    answer = make_session(recorder.text()).send("beatra", chat(stream=True))
    assert [round(frame.at, 6) for frame in answer.timeline.frames] == times


def test_equal_requests_share_a_rule_and_different_ones_never() -> None:
    upstream = make_session({"rules": [{"replies": [{"text": str(number)} for number in range(9)]}]})
    bodies = [chat(), chat(temperature=0.5), chat(), chat(temperature=0.5, seed=1), chat(text="bye"), chat(),
              chat(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]),
              {"messages": [{"role": "user", "content": "hello"}], "model": "auto", "temperature": 0.5}]  # fmt: skip
    exchanges = [through(upstream, body=body) for body in bodies]
    recorder = record(exchanges)
    assert [len(rule["replies"]) for rule in yaml.safe_load(recorder.text())["rules"]] == [3, 2, 1, 1, 1]
    asked = [("beatra", {"body": body}) for body in bodies]
    assert replayed(recorder, asked) == [bare(exchange) for exchange in exchanges]
    apart = [asked[index] for index in (3, 1, 0)]  # in another order each still gets its own
    assert replayed(recorder, apart) == [bare(exchanges[index]) for index in (3, 1, 0)]


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.5, 1]), "stream": st.booleans(), "odd name's": st.sampled_from([1, 2]),
        "x": st.sampled_from([None, True, 1, [1], {"a": 1}]),
    },
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["hi", "bye", ["hi"]]), FIELDS), min_size=1, max_size=6))
def test_any_requests_are_told_apart(asked: list[tuple[Any, dict[str, Any]]]) -> None:
    bodies = []
    for text, fields in asked:
        content = [{"type": "text", "text": text[0]}] if isinstance(text, list) else text
        bodies.append(chat("brivionix", messages=[{"role": "user", "content": content}], **fields))
    upstream = make_session({"rules": [{"replies": [{"text": str(number)} for number in range(9)]}]})
    exchanges = [through(upstream, "brivionix", body) for body in bodies]
    found = replayed(record(exchanges, "brivionix"), [("brivionix", {"body": body}) for body in bodies])
    assert found == [bare(exchange) for exchange in exchanges]


def test_requests_with_a_query_are_told_apart() -> None:
    exchanges = [
        answered(heard(body=b'{"data": [%d]}' % number), "brainstormrouter", method="GET", path="/models", query=query)
        for number, query in enumerate(["", "limit=1", "limit=2"])
    ]
    recorder = record(exchanges, "brainstormrouter")
    live = make_session(recorder.text())
    for query, number in (("limit=2", 2), ("", 0), ("limit=1", 1)):
        answer = live.send("brainstormrouter", method="GET", path="/models", query=query)
        assert orjson.loads(answer.timeline.frames[0].data) == {"data": [number]}


# What the docs rule out


def test_what_the_docs_rule_out_and_the_upstream_takes_is_let_through() -> None:
    upstream = make_session({"rules": [{"reply": {"text": "Taken."}}]}, validation="off")
    bodies = [chat(temperature=9), chat(model="other"), chat(temperature=0.5, top_p=0.5), chat()]
    exchanges = [through(upstream, body=body) for body in bodies]
    recorder = record(exchanges)
    assert yaml.safe_load(recorder.text())["mute"] == ["be-model", "be-temperature", "be-top-p-xor-temperature"]
    assert replayed(recorder, [("beatra", {"body": body}) for body in bodies]) == [bare(item) for item in exchanges]


def test_embeddings_that_the_docs_rule_out_are_let_through() -> None:
    request: dict[str, Any] = {"body": {"input": "x"}, "path": "/embeddings"}
    exchange = answered(heard(200, b'{"data": []}'), "brainstormrouter", **request)
    assert exchange.claim.refusal
    recorder = record([exchange], "brainstormrouter")
    ((status, _, data, *_),) = replayed(recorder, [("brainstormrouter", request)])
    assert (status, orjson.loads(data)) == (200, {"data": []})


def test_an_error_to_what_the_docs_rule_out_is_the_upstreams() -> None:
    body = chat(temperature=9)
    said = {"error": {"code": "invalid_request", "message": "Too hot.", "details": [], "request_id": "req_1"}}
    exchange = answered(heard(400, orjson.dumps(said)), body=body)
    recorder = record([exchange])
    assert replayed(recorder, [("beatra", {"body": body})]) == [bare(exchange)]


def test_what_the_emulator_refuses_alike_needs_no_rule() -> None:
    recorder = record([through(make_session(), body=chat(temperature=9))])
    data = yaml.safe_load(recorder.text())
    assert (data["rules"], "mute" in data) == ([], False)
    assert "the emulator refuses it in the same words" in "\n".join(recorder.report())


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"path": "/files"}, "it is at an address that the docs don't name"),
        ({"raw": b"{"}, "its body is no JSON object that a rule can match"),
        ({"key": "sk-invalid"}, "the docs refuse it (unauthorized), whatever a scenario says"),
    ],
    ids=["address", "json", "key"],
)
def test_what_no_rule_can_answer_is_left_out_and_told(request_: Any, why: str) -> None:
    recorder = record([answered(heard(200, b"{}"), **request_)])
    assert yaml.safe_load(recorder.text())["rules"] == []
    assert list(recorder.report())[1] == f"Left out 1 exchange, first 1: {why}."


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_left_out(status: int) -> None:
    recorder = record([answered(heard(status, b""))])
    assert (
        list(recorder.report())[1] == f"Left out 1 exchange, first 1: an answer with the status {status} has no body."
    )


def test_an_answer_that_its_client_left_is_left_out() -> None:
    recorder = Recorder(ENGINE, PROVIDERS["beatra"], URL)
    recorder.add(through(make_session()), replace(COMPLETE, end="client_left"))
    recorder.add(make_session().send("beatra"), COMPLETE)
    assert list(recorder.report())[1:3] == [
        "Left out 1 exchange, first 1: the client left before its end.",
        "Left out 1 exchange, first 1: the upstream was not asked.",
    ]


def test_an_answer_given_again_to_an_idempotency_key_is_no_reply() -> None:
    upstream, key = make_session(), {"idempotency-key": '"5B1CBB2C-6cb1-4f3f-9e64-f7bd58b3dd0b"'}
    exchanges = [through(upstream, headers=key), through(upstream, headers=key), through(upstream)]
    recorder = record(exchanges)
    assert len(yaml.safe_load(recorder.text())["rules"][0]["replies"]) == 2
    asked = [("beatra", {"headers": key}), ("beatra", {"headers": key}), ("beatra", {})]
    assert replayed(recorder, asked) == [bare(exchange) for exchange in exchanges]


# Errors, headers, secrets


@pytest.mark.parametrize("name", ["bad_gateway", "timeout"])
def test_an_upstream_that_gives_no_answer_is_told_as_that_error(name: str) -> None:
    exchange = failed(PROVIDERS["beatra"], sent(), Refusal(name, "The upstream is gone."), 1.5)
    recorder = record([exchange])
    assert first_reply(recorder) == {"error": {"name": name, "message": "The upstream is gone."}, "latency": 1.5}
    assert replayed(recorder, [("beatra", {})]) == [bare(exchange)]
    assert STATUS[name] == exchange.timeline.status


def test_limits_are_replayed_and_the_time_of_a_reset_is_new() -> None:
    upstream = make_session({"rules": [{"reply": {"text": "Hi."}}]}, plan="unlimited")
    limited = make_session({"plan": {"requests_per_minute": 2}, "rules": [{"reply": {"text": "Hi."}}]})
    exchanges = [through(limited, "braintwin") for _ in range(3)]
    recorder = record([*exchanges, through(upstream, "braintwin")], "braintwin")
    replies = yaml.safe_load(recorder.text())["rules"][0]["replies"]
    assert [reply["headers"]["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0", "1000000"]
    assert replies[2]["error"] == {
        "name": "rate_limited", "message": "Rate limit exceeded: 2 requests a minute on the plan scenario.",
    }  # fmt: skip
    assert "x-ratelimit-reset" not in recorder.text()
    assert replayed(recorder, [("braintwin", {})] * 3) == [bare(exchange) for exchange in exchanges]


def test_headers_of_the_way_are_left_out() -> None:
    kept = [("retry-after", "3"), ("x-ratelimit-remaining-tokens", "7"), ("x-should-retry", "true"), ("x-own", "1")]
    left = [("server", "x"), ("cf-ray", "x"), ("set-cookie", "sid=1"), ("x-auth-token", "x"), ("vary", "x"),
            ("x-emulator-exchange", "9"), ("x-request-id", "x"), ("x-odd", "\u00e9"), ("connection", "x")]  # fmt: skip
    recorder = record([answered(heard(200, b'{"a": 1}', headers=[*kept, *left]))])
    assert first_reply(recorder)["headers"] == dict(kept)


def test_secrets_are_never_written() -> None:
    key, cookie = "sk-0123456789", "sid=cookie-secret-1; theme=dark-theme-2"
    said = f"Wrong key {key}, cookie cookie-secret-1, Bearer {key}"
    body = chat(text=f"My key is {key}", metadata={"also": [key]})
    error = {"error": {"code": "x", "message": said}}
    asked: dict[str, Any] = {"key": key, "headers": {"cookie": cookie, "x-api-key": "api-key-secret"}}
    exchanges = [
        answered(
            heard(401, orjson.dumps(error), headers=[("x-echo", key), ("set-cookie", "sid=1")]), body=body, **asked
        ),
        answered(heard(200, b'{"a": "api-key-secret"}'), body=chat(foo=key), **asked),
        answered(heard(body=[(0.0, f"data: {said}\n\n".encode())], kind=STREAM), body=chat(stream=True), **asked),
    ]
    recorder = record(exchanges)
    told = recorder.text() + "\n".join(recorder.report())
    assert [word for word in (key, "cookie-secret", "dark-theme", "api-key-secret") if word in told] == []
    assert "sk-…" in told
    assert len(yaml.safe_load(recorder.text())["rules"]) == 3
    assert len(parse_text(recorder.text(), "recording", PROVIDERS, "beatra").rules) == 3  # it loads all the same


def test_a_secret_of_a_query_is_never_written() -> None:
    asked = {"provider": "brainstormrouter", "method": "GET", "path": "/models", "query": "api_key=secret%2Bone%3D"}
    recorder = record([answered(heard(200, b'{"data": "secret+one="}'), **asked)], "brainstormrouter")
    assert "recorded 1 " in next(iter(recorder.report())).lower()
    assert [word for word in ("secret+one", "secret%2Bone") if word in recorder.text()] == []


# The report


def test_the_report_counts_what_the_docs_do_not_say() -> None:
    body = {"id": "chatcmpl_1", "model": "m", "choices": [
        {"index": index, "message": {"role": "assistant", "content": "a", "extra": 1}, "finish_reason": "stop"}
        for index in range(2)
    ], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
    exchanges = [answered(heard(200, orjson.dumps(body)), body=chat(foo=1)) for _ in range(2)]
    assert list(record(exchanges).report()) == [
        "Recorded 2 answers to 1 different request.",
        "What the docs of Beatra don't say, or say otherwise:",
        "  request.foo: is not in the docs; the answer was 200 (2 times, first in exchange 1)",
        "  response.choices[].message.extra: is not in the docs (4 times, first in exchange 1)",
    ]


def test_the_report_of_nothing() -> None:
    recorder = record([])
    assert recorder.text().endswith("rules: []\n")
    assert list(recorder.report()) == [
        "Recorded 0 answers to 0 different requests.", "Nothing differed from the docs of Beatra.",
    ]  # fmt: skip
