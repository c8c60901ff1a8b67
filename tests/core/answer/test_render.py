"""Rendering: whole and streamed say the same, usage adds up, caps bite, and ids have the provider's forms."""

from __future__ import annotations

import base64
import re
import struct
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from build import FOUR, NAMES, NOW, PROVIDERS, body_of, chat, chunks_of, make_session, make_turn
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.answer.embeddings import render_embeddings
from emulator.core.answer.message import render_events, render_message, split
from emulator.core.answer.render import PLAIN, Rendered, prune, render_body, render_id, whole
from emulator.core.durations import FOREVER, Wait
from emulator.core.scenario.scenario import Pace
from emulator.core.seeded_random import Draw
from emulator.core.tokens import count
from emulator.core.values import Frame, Timeline
from emulator.core.wires.sse import payload

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def body(rendered: Rendered) -> Any:
    return orjson.loads(rendered.timeline.frames[0].data)


def chunks(rendered: Rendered) -> list[Any]:
    return [orjson.loads(payload(frame.data)) for frame in rendered.timeline.frames if frame.kind == "data"]


def joined(streamed: list[Any], index: int = 0) -> tuple[dict[str, Any], str | None]:
    """Put the deltas of one choice together as a client does; return the message and the finish_reason."""
    message: dict[str, Any] = {"content": ""}
    reason = None
    for chunk in streamed:
        for choice in chunk["choices"]:
            if choice["index"] != index:
                continue
            delta, reason = choice["delta"], choice["finish_reason"] or reason
            message["role"] = delta.get("role", message.get("role"))
            message["content"] += delta.get("content", "")
            if "refusal" in delta:
                message["refusal"] = message.get("refusal", "") + delta["refusal"]
            for part in delta.get("tool_calls", []):
                calls = message.setdefault("tool_calls", [])
                if part["index"] == len(calls):
                    calls.append({key: part[key] for key in ("id", "type")} | {"function": dict(part["function"])})
                else:
                    calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    return message, reason


@pytest.mark.parametrize("provider", FOUR)
def test_a_whole_answer_has_what_openais_schema_requires(provider: str) -> None:
    live = make_session({"rules": [{"replies": [{"text": "Hello."}, {"refusal": "No."}]}]})
    found = [body_of(live.send(provider))["choices"][0] for _ in range(2)]
    assert [item["message"]["refusal"] for item in found] == [None, "No."]
    assert [item["logprobs"] for item in found] == [None, None]


# Whole and streamed

CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS | st.dictionaries(st.sampled_from("ab"), st.integers(0, 9)),
        "refusal": TEXTS,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["f", "get_weather"])},
                optional={"arguments": TEXTS | st.just({"city": "Köln"}), "id": st.just("call_1")},
            ),
            min_size=1,
            max_size=3,
        ),
    },
)
SPLITS = st.sampled_from(["tokens", "words", "chars"]) | st.integers(1, 5)


@given(
    content=CONTENTS, how=SPLITS, cap=st.none() | st.integers(0, 12), n=st.integers(1, 3),
    stop=st.none() | st.just("a"), verbatim=st.booleans(), reason=st.none() | st.just("content_filter"),
)  # fmt: skip
def test_the_deltas_joined_are_the_whole_message(
    content: dict[str, Any], how: Any, cap: int | None, n: int, stop: str | None, verbatim: bool, reason: str | None
) -> None:
    reply = replace(PLAIN, pace=Pace(how), verbatim=verbatim, finish_reason=reason)
    asked = chat("brivionix", n=n, stop=stop, stream_options={"include_usage": True})
    one, two = (
        render_message(make_turn("brivionix", {**asked, "stream": stream}, cap=cap), content, reply)
        for stream in (False, True)
    )
    answer, streamed = body(one), chunks(two)
    assert (one.usage, one.tokens, one.finish_reason, one.notes) == (
        two.usage,
        two.tokens,
        two.finish_reason,
        two.notes,
    )
    assert streamed[-1]["usage"] == answer["usage"] == one.usage
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in streamed} == {
        (answer["id"], answer["model"], answer["created"])
    }
    for index, choice in enumerate(answer["choices"]):
        message, finish_reason = joined(streamed, index)
        assert (filled(message), finish_reason) == (filled(choice["message"]), choice["finish_reason"])


def filled(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty: no delta tells null from an empty text."""
    return {key: value for key, value in message.items() if value}


@given(content=CONTENTS, cap=st.none() | st.integers(0, 12), n=st.integers(1, 3))
def test_usage_adds_up(content: dict[str, Any], cap: int | None, n: int) -> None:
    rendered = render_message(make_turn("brivionix", chat("brivionix", n=n), cap=cap), content)
    message = body(rendered)["choices"][0]["message"]
    said = count(message["content"] or "") + count(message.get("refusal") or "")
    said += sum(count(c["function"]["name"]) + count(c["function"]["arguments"]) for c in message.get("tool_calls", []))
    prompt = make_turn("brivionix").call.prompt_tokens
    assert rendered.usage == {"prompt_tokens": prompt, "completion_tokens": said * n, "total_tokens": prompt + said * n}
    assert cap is None or said <= cap
    assert (rendered.finish_reason == "length") is bool(rendered.notes)


# Caps

CALLS = [{"name": "f", "id": "a", "arguments": {"x": 1}}, {"name": "g", "id": "b", "arguments": "{}"}]


def said(content: dict[str, Any], cap: int | None, **reply: Any) -> tuple[Any, Any, Any, str | None]:
    rendered = render_message(make_turn("brivionix", cap=cap, cap_fact="f"), content, replace(PLAIN, **reply))
    message = body(rendered)["choices"][0]["message"]
    calls = [(c["id"], c["function"]["arguments"]) for c in message.get("tool_calls", [])]
    return message["content"], calls, message.get("refusal"), rendered.finish_reason


@pytest.mark.parametrize(
    ("content", "cap", "expected"),
    [
        ({"text": "one two three"}, 2, ("one two", [], None, "length")),
        ({"text": "one two three"}, 3, ("one two three", [], None, "stop")),
        ({"text": "one two three"}, 0, ("", [], None, "length")),
        ({"text": {"a": 1}}, 3, ('{"a', [], None, "length")),
        ({"refusal": "I will not"}, 2, (None, [], "I will", "length")),
        ({"refusal": "I will not"}, 0, (None, [], "", "length")),
        ({"tool_calls": CALLS}, None, (None, [("a", '{"x":1}'), ("b", "{}")], None, "tool_calls")),
        ({"tool_calls": CALLS}, 11, (None, [("a", '{"x":1}'), ("b", "{}")], None, "tool_calls")),
        ({"tool_calls": CALLS}, 10, (None, [("a", '{"x":1}'), ("b", "{")], None, "length")),
        ({"tool_calls": CALLS}, 8, (None, [("a", '{"x":1}')], None, "length")),
        ({"tool_calls": CALLS}, 4, (None, [("a", '{"x')], None, "length")),
        ({"tool_calls": CALLS}, 0, ("", [], None, "length")),
        ({"text": "one two", "tool_calls": CALLS}, 2, ("one two", [], None, "length")),
    ],
    ids=["text", "fits", "nothing", "json", "refusal", "empty-refusal", "calls", "calls-fit", "second-call",
         "first-call", "arguments", "no-name", "text-then-calls"],
)  # fmt: skip
def test_a_cap_cuts_text_and_then_arguments(content: dict[str, Any], cap: int | None, expected: Any) -> None:
    assert said(content, cap) == expected


def test_a_cut_is_noted_with_its_fact() -> None:
    rendered = render_message(
        make_turn("braintwin", cap=2, cap_fact="bt-max-tokens-default"), {"text": "one two three"}
    )
    assert [(note.fact, note.path, note.message) for note in rendered.notes] == [
        ("bt-max-tokens-default", "max_tokens", "the reply was cut at 2 of 3 tokens")
    ]


def test_the_documented_default_caps_and_the_fact_is_named_only_then() -> None:
    live = make_session({"rules": [{"reply": {"text": "word " * 30}}]})
    answers = [
        live.send("braintwin", chat("braintwin", **given)) for given in ({}, {"max_tokens": 16}, {"max_tokens": 99})
    ]
    assert [item.finish_reason for item in answers] == ["length", "length", "stop"]
    assert [[note.fact for note in item.notes] for item in answers] == [["bt-max-tokens-default"], [None], []]
    assert body_of(answers[0])["usage"]["completion_tokens"] == 16


def test_verbatim_is_neither_cut_nor_stopped() -> None:
    turn = make_turn("brivionix", chat("brivionix", stop="two"), cap=1)
    rendered = render_message(turn, {"text": "one two"}, replace(PLAIN, verbatim=True))
    assert (body(rendered)["choices"][0]["message"]["content"], rendered.finish_reason) == ("one two", "stop")


@pytest.mark.parametrize(
    "kind", [{"json": {"a": "word " * 30}}, {"events": ['{"a": "' + "word " * 30 + '"}']}], ids=["json", "events"]
)
def test_json_and_events_are_never_cut(kind: dict[str, Any]) -> None:
    exchange = make_session({"rules": [{"reply": {**kind, "off_contract": True}}]}).send("braintwin")
    assert (b"word " * 30) in exchange.timeline.frames[0].data
    assert exchange.finish_reason is None


# What SDKs commonly send


@pytest.mark.parametrize(
    ("stop", "text"),
    [("two", "one "), (["zzz", "two"], "one "), (["three", "one"], ""), ("", "one two three"), (5, "one two three"),
     ([None, 3], "one two three"), (None, "one two three"), ("zzz", "one two three"),
     (["zzz"] * 999 + ["two"], "one "), (["zzz"] * 1000 + ["two"], "one two three")],
    ids=lambda value: str(value)[-20:],
)  # fmt: skip
def test_stop(stop: Any, text: str) -> None:
    turn = make_turn("brivionix", chat("brivionix", stop=stop))
    assert body(render_message(turn, {"text": "one two three"}))["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    ("n", "choices"), [(1, 1), (3, 3), (128, 128), (129, 1), (0, 1), (-1, 1), (True, 1), ("2", 1), (None, 1)]
)
def test_n(n: Any, choices: int) -> None:
    found = body(render_message(make_turn("brivionix", chat("brivionix", n=n)), {"text": "a"}))["choices"]
    assert [(item["index"], item["message"]["content"]) for item in found] == [(i, "a") for i in range(choices)]


TOO_MANY = "where n is over 1 (a bound of the emulator's, assumed)"


@pytest.mark.parametrize(
    ("n", "text", "asked", "message"),
    [
        (100, "a" * 8 * 1000, {}, None),
        (100, "a" * 8 * 1001, {},
         f"100 choices of 1001 tokens are too many: an answer has at most 100000 tokens {TOO_MANY}"),
        (1, "a" * 8 * 100_001, {}, None),
        (1, "a" * 8 * 100_001, {"stream": True}, None),
        (100, "a" * 999, {"stream": True}, None),
    ],
    ids=["whole", "tokens", "one", "one-streamed", "streamed"],
)  # fmt: skip
def test_many_choices_of_a_long_text_are_refused(n: int, text: str, asked: dict[str, Any], message: str | None) -> None:
    live = make_session({"rules": [{"reply": {"text": text, "stream": {"split": "chars" if n > 1 else "tokens"}}}]})
    exchange = live.send("brivionix", chat("brivionix", n=n, **asked))
    found = exchange.refusal and [(item.path, item.message) for item in exchange.refusal[2].details]
    assert (exchange.timeline.status, found) == ((400, [("n", message)]) if message else (200, None))


@pytest.mark.parametrize(
    ("n", "length", "how", "sizes", "noted"),
    [
        (1, 20_000, "chars", {1}, ()),
        (1, 20_001, "chars", {2, 1}, ("20001 pieces were sent as 10001, which is the most",)),
        (1, 1_000_000, "chars", {50}, ("1000000 pieces were sent as 20000, which is the most",)),
        (1, 1_000_000, 50, {50}, ()),
        (100, 1000, "chars", {5}, ("1000 pieces were sent as 200, which is the most",)),
    ],
)
def test_a_text_is_streamed_in_a_bounded_number_of_pieces(
    n: int, length: int, how: Any, sizes: set[int], noted: tuple[str, ...]
) -> None:
    turn = make_turn("brivionix", chat("brivionix", n=n, stream=True))
    rendered = render_message(turn, {"text": "x" * length}, replace(PLAIN, pace=Pace(how)))
    for index in {0, n - 1}:
        deltas = [chunk["choices"][0] for chunk in chunks(rendered) if chunk["choices"][0]["index"] == index]
        texts = [item["delta"]["content"] for item in deltas if "content" in item["delta"]]
        assert ("".join(texts), set(map(len, texts))) == ("x" * length, sizes)
    assert tuple(note.message for note in rendered.notes) == noted


@pytest.mark.parametrize(
    ("options", "sent"),
    [({"include_usage": True}, True), ({"include_usage": False}, False), ({"include_usage": 1}, False), (None, False),
     ("x", False)],
    ids=str,
)  # fmt: skip
def test_usage_in_a_stream_is_sent_where_asked_for(options: Any, sent: bool) -> None:
    turn = make_turn("brivionix", chat("brivionix", stream=True, stream_options=options))
    assert any("usage" in chunk for chunk in chunks(render_message(turn, {"text": "a"}))) is sent


@pytest.mark.parametrize(
    ("usage", "shown", "tokens"),
    [
        (None, {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}, 9),
        ("none", None, 9),
        ({"prompt_tokens": 24}, {"prompt_tokens": 24, "completion_tokens": 1, "total_tokens": 25}, 25),
        (
            {"completion_tokens": 5, "prompt_tokens": 0},
            {"prompt_tokens": 0, "completion_tokens": 5, "total_tokens": 5},
            5,
        ),
    ],
    ids=["counted", "none", "prompt", "both"],
)
def test_usage_of_a_reply(usage: Any, shown: Any, tokens: int) -> None:
    turn = make_turn("beatra", chat(text="x"))
    rendered = render_message(turn, {"text": "a"}, replace(PLAIN, usage=usage))
    assert (body(rendered).get("usage"), rendered.usage, rendered.tokens) == (shown, shown, tokens)


# Forms


@pytest.mark.parametrize(
    ("provider", "kind", "form"),
    [
        ("beatra", "response", r"chatcmpl_[0-9A-HJKMNP-TV-Z]{26}"),
        ("braintwin", "response", r"chatcmpl-[A-Za-z0-9]{24}"),
        ("brivionix", "tool_call", r"call_[A-Za-z0-9]{24}"),
        ("beatra", "tool_call", r"call_[A-Za-z0-9]{24}"),
        ("beatra", "request", r"req_[0-9A-HJKMNP-TV-Z]{26}"),
    ],
)
def test_ids(provider: str, kind: str, form: str) -> None:
    assert re.fullmatch(form, render_id(PROVIDERS[provider], kind, Draw(1), NOW))


def test_ids_of_hexadecimal_digits_and_labels_of_their_own() -> None:
    provider = replace(PROVIDERS["beatra"], ids={"response": "x-${hex}"})
    one, two = (render_id(provider, "response", Draw(1), NOW, label) for label in ("", "1"))
    assert re.fullmatch(r"x-[0-9a-f]{24}", one)
    assert one != two


def test_each_tool_call_has_an_id_of_its_own() -> None:
    rendered = render_message(
        make_turn("brivionix"), {"tool_calls": [{"name": "f"}, {"name": "f"}, {"name": "g", "id": "mine"}]}
    )
    ids = [call["id"] for call in body(rendered)["choices"][0]["message"]["tool_calls"]]
    assert (len(set(ids)), ids[2]) == (3, "mine")


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("strict", [False, True], ids=["documented", "strict"])
@pytest.mark.parametrize(
    "said", [{"text": "hi"}, {"tool_calls": CALLS}, {"refusal": "no"}], ids=["text", "calls", "no"]
)
def test_answers_conform_to_the_response_schemas(provider: str, strict: bool, said: dict[str, Any]) -> None:
    operation, model = PROVIDERS[provider].operations["chat"], next(iter(PROVIDERS[provider].models))
    if ("tool_calls" in said and not operation.takes("tools")) or ("refusal" in said and strict):
        said = {"text": "what is asked is not shown in the docs"}
    answer, streamed = (
        render_message(make_turn(provider, chat(provider, stream=stream), model=model, strict=strict), said)
        for stream in (False, True)
    )
    assert operation.response is not None
    assert operation.chunk is not None
    assert operation.response.violations(body(answer)) == ()
    assert [operation.chunk.violations(chunk) for chunk in chunks(streamed)] == [()] * len(chunks(streamed))


SHOWN_CHUNKS = {
    "beatra": [
        {"choices": [{"delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"content": "hi"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    ],
    "brivionix": [
        {"choices": [{"delta": {}}]},
        {"choices": [{"delta": {"content": "hi"}}]},
        {"choices": [{"delta": {}}]},
    ],
}


@pytest.mark.parametrize("provider", SHOWN_CHUNKS)
def test_strict_leaves_what_the_samples_show(provider: str) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    rendered = render_message(make_turn(provider, chat(provider, **options), strict=True), {"text": "hi"})
    assert chunks(rendered) == SHOWN_CHUNKS[provider]


def test_strict_leaves_what_is_shown_of_a_whole_answer() -> None:
    answer = body(render_message(make_turn("brivionix", strict=True), {"text": "hi"}))
    assert answer == {
        "id": answer["id"],
        "model": "gpt-5.4-mini",
        "choices": [{"message": {"content": "hi"}}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 1},
    }


def test_what_is_no_object_stays_where_a_field_of_it_is_shown() -> None:
    operation = replace(PROVIDERS["beatra"].operations["chat"], shown={"response": {"id": {"part": {}}, "model": {}}})
    turn = replace(make_turn("beatra", strict=True), operation=operation)
    assert prune({"id": "x", "model": "m", "object": "o"}, turn, "response") == {"id": "x", "model": "m"}
    assert prune({"id": {"part": 1, "rest": 2}, "model": {"whole": 3}}, turn, "response") == {
        "id": {"part": 1}, "model": {"whole": 3},
    }  # fmt: skip


# Splitting


@pytest.mark.parametrize(
    ("text", "how", "pieces"),
    [
        ("Hello, world", "tokens", ["Hello", ",", " world"]),
        ("one two", "words", ["one", " two"]),
        (" a  b ", "words", [" a", " ", " b", " "]),
        ("abc", "chars", ["a", "b", "c"]),
        ("abcde", 2, ["ab", "cd", "e"]),
        ("abc", ["ab", "c"], ["ab", "c"]),
        ("ab", ["ab", "c"], ["ab"]),
        ("a", ["ab", "c"], ["a"]),
        ("", ["ab"], []),
        ("", "tokens", []),
        ("", "words", []),
        ("", "chars", []),
    ],
)
def test_split(text: str, how: Any, pieces: list[str]) -> None:
    assert split(text, how) == pieces


@given(text=TEXTS, how=SPLITS)
def test_split_is_lossless(text: str, how: Any) -> None:
    found = split(text, how)
    assert "".join(found) == text
    assert "" not in found


@given(pieces=st.lists(TEXTS), length=st.integers(0, 50))
def test_pieces_of_a_list_are_shortened_to_the_text(pieces: list[str], length: int) -> None:
    text = "".join(pieces)[:length]
    assert "".join(split(text, pieces)) == text


# Events


def decoded(timeline: Timeline) -> list[str]:
    """Read an event stream as the specification says."""
    text = b"".join(frame.data for frame in timeline.frames).decode()
    assert text.endswith("\n\n")
    events = []
    for event in text[:-2].split("\n\n"):
        assert all(line.startswith("data: ") for line in event.split("\n"))
        events.append("\n".join(line.removeprefix("data: ") for line in event.split("\n")))
    return events


@given(items=st.lists(st.text("ab\n\r {}", min_size=1), min_size=1, max_size=4))
def test_events_survive_line_breaks_in_their_data(items: list[str]) -> None:
    sent = ["\n".join(re.split("\r\n|\r|\n", item)) for item in items]
    wanted = [item[:-1] if item.endswith("\n") else item for item in sent]
    assert decoded(render_events(make_turn(), items, PLAIN)) == wanted


def test_raw_events_are_sent_as_they_are_and_mappings_as_json() -> None:
    timeline = render_events(make_turn(), ["plain", {"a": "é"}, "[DONE]"], replace(PLAIN, status=201))
    assert timeline.frames == (
        Frame(0.0, b"data: plain\n\n", "data"),
        Frame(0.0, 'data: {"a":"é"}\n\n'.encode(), "data"),
        Frame(0.0, b"data: [DONE]\n\n", "done"),
    )
    assert (timeline.status, timeline.headers, timeline.stream) == (201, (("content-type", "text/event-stream"),), True)


# Times


def times(turn: Any, **pace: Any) -> list[tuple[float, str]]:
    latency = pace.pop("latency", Wait("fixed", 0.0))
    rendered = render_message(turn, {"text": "a b"}, replace(PLAIN, pace=Pace(**pace), latency=latency))
    assert rendered.timeline.end_at == rendered.timeline.frames[-1].at
    return [(round(frame.at, 6), frame.kind) for frame in rendered.timeline.frames]


STREAMED = chat("braintwin", stream=True)


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        ({}, [0, 0, 0, 0, 0]),
        ({"ttft": Wait("fixed", 1.0)}, [1, 1, 1, 1, 1]),
        ({"itl": Wait("fixed", 0.5)}, [0, 0.5, 1, 1.5, 1.5]),
        ({"waits": (Wait("fixed", 2.0),), "itl": Wait("fixed", 0.5)}, [0, 2, 2.5, 3, 3]),
        ({"latency": Wait("fixed", 2.0), "ttft": Wait("fixed", 1.0), "itl": Wait("fixed", 0.5)}, [3, 3.5, 4, 4.5, 4.5]),
        ({"documented": True}, [0.6, 0.64, 0.68, 0.72, 0.72]),
    ],
    ids=["at-once", "ttft", "itl", "in-turn", "all", "documented"],
)
def test_times_of_a_stream(pace: dict[str, Any], expected: list[float]) -> None:
    kinds = ["data"] * 4 + ["done"]
    assert times(make_turn("braintwin", STREAMED), **pace) == list(zip(expected, kinds, strict=True))


def test_a_silence_for_ever_is_a_frame_that_holds() -> None:
    turn = make_turn("braintwin", STREAMED)
    assert times(turn, ttft=Wait("fixed", FOREVER))[:2] == [(0, "hold"), (0, "data")]
    assert [kind for _, kind in times(turn, itl=Wait("fixed", FOREVER))] == ["data", *["hold", "data"] * 3, "done"]


def test_a_silence_for_ever_before_the_head() -> None:
    turn = make_turn("braintwin", STREAMED)
    streamed = render_message(turn, {"text": "a"}, replace(PLAIN, latency=Wait("fixed", FOREVER))).timeline
    answer = whole(b"{}", 200, (), FOREVER)
    assert (streamed.head_at, streamed.frames[0].at, answer.head_at, answer.end_at) == (FOREVER, 0, FOREVER, 0)


def test_a_pace_of_an_unknown_model_is_at_once() -> None:
    turn = make_turn("braintwin", chat("braintwin", stream=True, model="x"))
    assert {at for at, _ in times(turn, documented=True)} == {0}


@pytest.mark.parametrize("documented", [False, True])
def test_a_stream_without_events_has_no_times(documented: bool) -> None:
    reply = replace(PLAIN, pace=Pace(ttft=Wait("fixed", 1.0), documented=documented))
    timeline = render_events(make_turn("braintwin", STREAMED), [], reply)
    assert (timeline.frames, timeline.end_at) == ((), 0.0)


def test_waits_are_drawn_anew_for_each_event_and_again_the_same() -> None:
    pace = {"itl": Wait("uniform", 0, 1)}
    one, two = (times(make_turn("braintwin", STREAMED), **pace) for _ in range(2))
    gaps = {round(later - earlier, 6) for (earlier, _), (later, _) in pairwise(one[:-1])}
    assert (one, len(gaps)) == (two, 3)


# Vectors


@pytest.mark.parametrize("form", [None, "float", "base64", "other"])
def test_embeddings(form: str | None) -> None:
    turn = make_turn("brainstormrouter", {"model": "m", "input": "x", "encoding_format": form}, "embeddings")
    rendered = render_embeddings(turn, [[0.5, -0.25], [1.0, 0.0]], 7)
    found = [item["embedding"] for item in body(rendered)["data"]]
    if form == "base64":
        found = [list(struct.unpack("<2f", base64.b64decode(item))) for item in found]
    assert (found, rendered.usage) == ([[0.5, -0.25], [1.0, 0.0]], {"prompt_tokens": 7, "total_tokens": 7})


# Through the engine


@pytest.mark.parametrize("provider", ["openai", *FOUR])
def test_a_stream_has_the_documented_order(provider: str) -> None:
    exchange = make_session({"rules": [{"reply": {"text": "a b"}}]}).send(provider, chat(provider, stream=True))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(exchange)]
    first = {"role": "assistant", **({"content": "", "refusal": None} if provider == "openai" else {})}
    assert deltas == [first, {"content": "a"}, {"content": " b"}, {}]
    assert exchange.timeline.frames[-1].data == b"data: [DONE]\n\n"


def test_a_body_keeps_no_more_memory_than_its_bytes() -> None:
    body = {"data": [[number / 7 for number in range(1500)] for _ in range(5)]}
    render_body(body)
    tracemalloc.start()
    timeline = render_body(body)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert timeline.length is not None
    assert kept < timeline.length + 10_000
