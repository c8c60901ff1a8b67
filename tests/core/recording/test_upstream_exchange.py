"""What an upstream answered as an exchange: frames at their times, usage, and notes of what the docs don't say."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import orjson
import pytest
from build import NAMES, PROVIDERS, chat, make_request, make_session
from hypothesis import given
from hypothesis import strategies as st
from relaying import answered, heard, sent, through

from emulator.core.errors import Refusal
from emulator.core.recording import upstream_exchange as relayed
from emulator.core.recording.upstream_exchange import can_be_sent_on, failed
from emulator.core.values import Frame, Note

STREAM = "text/event-stream"
CHUNK = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n\n"


def test_events_are_frames_at_the_time_when_they_are_whole() -> None:
    first, second = event(CHUNK), event(b"[DONE]")
    pieces = [(0.1, first[:10]), (0.2, first[10:] + b": note\r\n\r\n" + second[:3]), (0.5, second[3:])]
    exchange = answered(heard(body=pieces, kind=f"{STREAM}; charset=utf-8"), body=chat(stream=True))
    assert exchange.timeline.frames == (
        Frame(0.2, first, "data"), Frame(0.2, b": note\r\n\r\n", "comment"), Frame(0.5, second, "done"),
    )  # fmt: skip
    assert (exchange.timeline.stream, exchange.timeline.length) == (True, None)


def test_the_rest_of_a_broken_event_is_a_part() -> None:
    whole = event(CHUNK)
    broken = heard(body=[(0.1, whole + whole[:9])], kind=STREAM, end="fin", why="it broke off")
    exchange = answered(broken, body=chat(stream=True))
    assert [(frame.data, frame.kind) for frame in exchange.timeline.frames] == [(whole, "data"), (whole[:9], "part")]
    assert (exchange.timeline.end, exchange.notes) == ("fin", (Note(None, "upstream", "it broke off"),))


@pytest.mark.parametrize("size", [1, 7, 1000], ids=["bytes", "small pieces", "at once"])
def test_events_beyond_very_many_are_one_piece(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relayed, "MOST_PIECES", 3)
    data = event(CHUNK) * 5 + event(b"[DONE]")
    pieces = [(0.0, data[start : start + size]) for start in range(0, len(data), size)]
    exchange = answered(heard(body=pieces, kind=STREAM), body=chat(stream=True))
    one = len(event(CHUNK))
    assert [(frame.data, frame.kind) for frame in exchange.timeline.frames] == [
        (event(CHUNK), "data"), (event(CHUNK), "data"), (event(CHUNK), "data"), (data[3 * one :], "part"),
    ]  # fmt: skip
    said = "events came; what followed is kept as one piece, and not compared with the docs"
    assert [note.message.endswith(said) for note in exchange.notes] == [True]


@given(st.lists(st.integers(1, 40), max_size=30))
def test_however_a_stream_is_cut_it_has_the_same_events(sizes: list[int]) -> None:
    data = b"".join(map(event, ({"a": 1}, b"x\r\ndata: y", b"[DONE]"))) + b": c\r\rdata:z\r\n\r\n"
    pieces, start = [], 0
    for size in [*sizes, len(data)]:
        pieces.append((0.0, data[start : start + size]))
        start += size
    frames = answered(heard(body=pieces, kind=STREAM)).timeline.frames
    assert [frame.kind for frame in frames] == ["data", "data", "done", "comment", "data"]
    assert b"".join(frame.data for frame in frames) == data


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b'{"a": 1}')), ("deflate", zlib.compress(b'{"a": 1}')), ("gzip", b'{"a": 1}'),
     ("br", b'{"a": 1}')],
    ids=["gzip", "deflate", "not-packed-at-all", "unknown"],
)  # fmt: skip
def test_what_is_packed_is_shown_unpacked(encoding: str, packed: bytes) -> None:
    pieces = [(0.0, packed[:5]), (0.1, packed[5:])]
    exchange = answered(heard(body=pieces, headers=[("content-encoding", encoding)]))
    assert b"".join(frame.data for frame in exchange.timeline.frames) == b'{"a": 1}'


def test_usage_model_and_the_reason_are_read_from_the_answer() -> None:
    live = make_session({"rules": [{"reply": {"text": "Hi.", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}}]})
    for body in (chat(), chat(stream=True, stream_options={"include_usage": True})):
        exchange = through(live, body=body)
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        assert (exchange.usage, exchange.tokens, exchange.model) == (usage, 7, "beatra-1")
        assert exchange.finish_reason == "stop"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"usage": 3, "choices": [7], "model": {}}', b'{"choices": {}}', b"\xff"]
)
def test_what_is_no_message_is_read_without_a_fault(body: bytes) -> None:
    exchange = answered(heard(body=body))
    assert (exchange.usage, exchange.finish_reason, exchange.model) == (None, None, "auto")


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_of_a_documented_answer_there_is_nothing_to_say(provider: str, stream: bool) -> None:
    assert through(make_session(), provider, chat(provider, stream=stream)).notes == ()


def notes(*args: Any, **options: Any) -> list[tuple[str, str]]:
    return [(item.path, item.message) for item in answered(heard(*args), **options).notes]


def body_with(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "a"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return orjson.dumps({"id": "chatcmpl_1", "model": "beatra-1", "choices": choices, "usage": usage, **fields})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, body_with(fingerprint=1)), [("response.fingerprint", "is not in the docs")]),
        ((200, body_with(model="auto")), [
            ("response.model", "is not allowed here (the id that served the request, never auto)")
        ]),
        ((200, b"<html>"), [("response", "the body is no JSON")]),
        ((302, b""), [("response", "the status 302 is not in the docs; redirects are not followed")]),
        ((418, b"tea"), [("response", "an error with the status 418 is not in the docs"),
                         ("response", "the error 418 is no JSON")]),
        ((429, b'{"error": {"code": "x"}}'),
         [("response.error.message", "the error 429 is not as in the provider's error envelope")]),
        ((429, b"7"), [("response", "the error 429 is not as in the provider's error envelope")]),
    ],
    ids=["field", "breach", "page", "redirect", "teapot", "envelope", "no-envelope"],
)  # fmt: skip
def test_what_the_docs_do_not_say_of_an_answer(answer: Any, said: list[tuple[str, str]]) -> None:
    assert notes(*answer) == said


def test_a_whole_answer_to_a_streamed_request_is_noted() -> None:
    assert notes(200, body_with(), body=chat(stream=True)) == [
        ("response", "a stream was asked for, and a whole answer came")
    ]


def test_what_the_docs_rule_out_of_a_request_is_noted_with_what_came_of_it() -> None:
    ruled_out = ("temperature", "the docs rule this out (must be at most 2, not 9); the answer was 200")
    unknown = ("foo", "is not in the docs; the answer was 200")
    assert notes(200, body_with(), body=chat(temperature=9)) == [ruled_out]
    assert notes(200, body_with(), body=chat(temperature=9, foo=1)) == [unknown, ruled_out]
    assert notes(200, body_with(), body=chat(model=5, foo=1))[0] == unknown
    assert notes(200, body_with(), body=chat(foo=1), key=None)[0] == unknown
    assert notes(200, body_with(), body=chat(foo=1)) == [("foo", "is not in the docs; the answer was 200")]
    assert notes(200, body_with(), raw=b"{")[0][1].startswith("the docs rule this out (")


def test_an_address_that_the_docs_do_not_name_is_noted() -> None:
    exchange = answered(heard(200, b"{}"), path="/files")
    assert [item.path for item in exchange.notes] == [""]
    assert exchange.notes[0].message.startswith("the docs rule this out (There is nothing at /beatra/v1/files.")


@pytest.mark.parametrize(("name", "status"), [("bad_gateway", 502), ("timeout", 504)])
def test_where_no_answer_came_the_envelope_says_so(name: str, status: int) -> None:
    exchange = failed(PROVIDERS["beatra"], sent(), Refusal(name, "The upstream is gone."), 2.0)
    body = orjson.loads(exchange.timeline.frames[0].data)
    assert (exchange.timeline.status, exchange.timeline.end_at, body["error"]["code"]) == (status, 2.0, name)
    assert body["error"]["message"] == "The upstream is gone."
    assert [name for name, _ in exchange.timeline.headers] == [
        "content-type", "x-request-id", "x-emulator-exchange", "x-emulator-rule",
    ]  # fmt: skip
    assert exchange.notes == (Note(None, "upstream", "The upstream is gone."),)
    assert exchange.refusal
    assert exchange.refusal[:2] == (name, status)


def test_only_whole_requests_below_the_base_url_are_sent_on() -> None:
    assert can_be_sent_on(make_request())
    assert not can_be_sent_on(make_request(too_large=True))
    assert not can_be_sent_on(make_request(path="/../admin"))


def test_an_event_that_comes_in_very_many_pieces_is_one_frame() -> None:
    data = event({"a": "b" * 20_000})
    pieces = [(float(number), data[number : number + 1]) for number in range(len(data))]
    frames = answered(heard(body=[*pieces, (9e9, data[:-1])], kind=STREAM)).timeline.frames
    assert frames == (Frame(len(data) - 1.0, data, "data"), Frame(9e9, data[:-1], "part"))
