"""What a wire writes it reads: whole, streamed, and cut at any place."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.provider.loading.problems.folder import sample_values
from emulator.core.wires.completion import REASONS, Completion, Part
from emulator.core.wires.loading.samples import SAMPLES, differences, stream_of
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import payload
from emulator.core.wires.wire import Wire
from tests.build import FOUR
from tests.build import PROVIDERS as OURS
from tests.wires.build import BLOCKS, DIALOGS, OPENAI, PROVIDERS, RESPONSES, THREADS, TURNS, WIRES

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMED = st.text("abc_", min_size=1, max_size=5)
CALLS = st.builds(
    Part,
    st.just("call"),
    st.dictionaries(st.sampled_from("ab"), TEXTS, max_size=2).map(lambda value: orjson.dumps(value).decode()),
    NAMED,
    NAMED,
)
USAGE = st.tuples(st.integers(0, 99), st.integers(0, 99)).map(
    lambda counts: {"input": counts[0], "output": counts[1], "total": sum(counts)}
)


def said(kind: Any, **bounds: Any) -> st.SearchStrategy[list[Part]]:
    """A part of a kind, or none."""
    return st.lists(st.builds(Part, st.just(kind), TEXTS.filter(bool)), max_size=1, **bounds)


PARTS = st.tuples(said("text"), said("refusal"), st.lists(CALLS, max_size=3)).map(
    lambda lists: [item for part in lists for item in part]
)
#: Of words that stand for several reasons, a wire gives the first one back.
COMPLETIONS = st.builds(Completion, PARTS.map(tuple), st.sampled_from(REASONS), USAGE).map(
    lambda item: replace(item, finish="tool_calls") if item.calls() and item.finish == "stop" else item
)


def given_back(item: Completion, wire: Wire) -> Completion:
    """Return a completion as its wire gives it back: of two reasons with one word, the one that fits."""
    tables = list(wire.words.tables.values())
    alike = [reason for reason in REASONS if all(table[reason] == table[item.finish or ""] for table in tables)]
    fits = item.finish if not tables else "tool_calls" if item.calls() and "tool_calls" in alike else alike[0]
    return replace(item, finish=fits, usage={**(item.usage or {}), **dict.fromkeys(wire.details, 0)})


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@given(completion=COMPLETIONS, choices=st.integers(1, 3))
def test_what_is_written_is_read(wire: Wire, completion: Completion, choices: int) -> None:
    saying = AnswerValues(
        completion, "an-id", 1_800_000_000, "a-model", 1 if wire in (BLOCKS, RESPONSES, THREADS) else choices
    )
    wanted = given_back(completion, wire)
    assert wire.read(orjson.loads(wire.whole(saying))) == wanted
    assert wire.read_events(stream_of(wire, saying)) == wanted


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@given(completion=COMPLETIONS, data=st.data())
def test_of_a_stream_that_is_cut_anywhere_its_beginning_is_read(wire: Wire, completion: Completion, data: Any) -> None:
    values = stream_of(wire, AnswerValues(completion, "an-id", 1, "a-model"))
    read = wire.read_events(values[: data.draw(st.integers(0, len(values)))])
    assert len(read.parts) <= len(completion.parts)
    for part, whole in zip(read.parts, completion.parts, strict=False):
        assert (part.kind, part.id, part.name) == (whole.kind, whole.id, whole.name)
        assert whole.text.startswith(part.text)
    assert not read.unread


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@given(value=st.recursive(st.none() | st.integers(0, 9) | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["choices", "delta", "message", "content", "tool_calls", "kind", "blocks", "answers", "usage"]),
    inner)))  # fmt: skip
def test_anything_is_read(wire: Wire, value: Any) -> None:
    assert isinstance(wire.read(value), Completion)
    assert isinstance(wire.read_events([value, value]), Completion)
    assert wire.ends(orjson.dumps(value)) in (True, False)
    assert len(wire.ending(value)) == 2


@pytest.mark.parametrize("name", [*OURS, "parlance", "choral"])
def test_samples_are_as_the_schemas_say(name: str) -> None:
    operation = PROVIDERS[name].operations["chat"]
    assert operation.wire
    assert operation.response
    assert operation.chunk
    checks = (operation.response.violations, operation.chunk.violations)
    assert list(differences(operation.wire, *checks, operation.takes_tools, partial(sample_values, operation))) == []


def test_the_providers_that_are_shipped_share_a_wire() -> None:
    assert {OURS[name].operations["chat"].wire for name in FOUR} == {OPENAI}


def test_samples_that_a_schema_refuses_or_a_wire_does_not_give_back() -> None:
    refusing = PROVIDERS["parlance"].operations["chat"]
    assert refusing.response
    found = list(differences(OPENAI, refusing.response.violations, lambda value: []))
    assert found[0].startswith("a text, whole: ")
    mute = replace(TURNS, match=lambda value, found: True)
    assert next(differences(mute, lambda value: [], lambda value: [])) == (
        "a text, whole, is not read as it was written: nothing (None, None) instead of "
        "text 'Hello there.' (stop, {'input': 3, 'output': 5, 'total': 8})"
    )


SAYING = AnswerValues(SAMPLES["a text with a call"], "an-id", 7, "a-model")


@pytest.mark.parametrize(("finish", "written"), [("length", {}), ("stop", '{"ci')])
def test_arguments_that_were_cut_stay_an_object(finish: str, written: Any) -> None:
    body = BLOCKS.whole(AnswerValues(Completion((Part("call", '{"ci', "c", "get_weather"),), finish)))
    assert orjson.loads(body)["blocks"][0]["input"] == written


def test_bytes_of_named_events() -> None:
    events = BLOCKS.streamed(SAYING, [[b'"Let"', b'" me"'], [b'"{}"']], True)
    assert [(name, kind) for (name, kind), _ in groupby((data.split(b"\n")[0], kind) for data, kind in events)] == [
        (b"event: opens", "data"), (b"event: block_opens", "along"), (b"event: block_grows", "data"),
        (b"event: block_ends", "along"), (b"event: block_opens", "along"), (b"event: block_grows", "data"),
        (b"event: block_ends", "along"), (b"event: ends", "along"), (b"event: closes", "done"),
    ]  # fmt: skip
    assert events[0][0] == (
        b'event: opens\ndata: {"kind":"opens","answer":{"kind":"answer","key":"an-id","model":"a-model","blocks":[],'
        b'"ended":null,"spent":{"in":3,"from_store":0,"out":0},"met":null}}\n\n'
    )


def test_an_event_is_named_as_its_field_says() -> None:
    assert BLOCKS.event(b'{"kind":"error"}') == b'event: error\ndata: {"kind":"error"}\n\n'
    assert BLOCKS.event(b"[1]") == b"data: [1]\n\n"
    assert OPENAI.event(b'{"kind":"error"}') == b'data: {"kind":"error"}\n\n'


@pytest.mark.parametrize(
    ("wire", "last", "others"),
    [
        (OPENAI, "[DONE]", ["{}", "[DONE"]),
        (BLOCKS, '{"kind":"closes"}', ["{}", '{"kind":"ends"}', "x"]),
        (THREADS, "", ["{}", '{"sort":"is_doing","whole":{}}', '{"sort":"wrong"}']),
        (TURNS, "over", [""]),
    ],
    ids=["text", "event", "several", "other-text"],
)  # fmt: skip
def test_the_last_event(wire: Wire, last: str, others: list[str]) -> None:
    assert wire.last == last
    assert not last or wire.ends(last.encode())
    assert not any(wire.ends(other.encode()) for other in others)


@pytest.mark.parametrize(
    ("chunks", "read"),
    [
        ([{"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}],
         Completion((Part("text", "a"),), "stop")),
        ([{"choices": [{"delta": {"tool_calls": [
            {"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "id": "2", "function": {"name": "g", "arguments": "[]"}}]}}]}],
         Completion((Part("call", "{}", "1", "f"), Part("call", "[]", "2", "g")))),
        ([{"choices": [], "usage": {"prompt_tokens": 1}}], Completion(usage={"input": 1})),
        ([{"choices": [{"delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]}],
         Completion((Part("text", "a"),))),
        ([{"model": "m", "choices": [{"delta": {"content": None}, "finish_reason": None}], "usage": None}],
         Completion()),
    ],
    ids=["text-and-end", "two-calls", "some-usage", "two-choices", "nulls"],
)  # fmt: skip
def test_what_other_servers_send(chunks: list[Any], read: Completion) -> None:
    found = OPENAI.read_events(chunks)
    assert (found, found.unread) == (read, False)


@pytest.mark.parametrize(
    "chunks",
    [[{"error": {"message": "x"}}], [{"choices": [{"delta": {"content": ["a"]}}]}], [5], [{"object": "x"}] * 2],
    ids=["error", "list", "number", "nothing"],
)
def test_what_a_wire_has_no_form_for(chunks: list[Any]) -> None:
    assert OPENAI.read_events(chunks).unread is (chunks[0] != {"object": "x"})


def test_a_payload_of_several_lines() -> None:
    assert payload(b"event: x\ndata: a\ndata:b\n\n") == b"a\nb"


# Items, numbers, echoes, and what fails


TALK = AnswerValues(
    Completion(
        (
            Part("reasoning", "Hm."),
            Part("text", "Let me see."),
            Part("call", "{}", "call-1", "look"),
            Part("text", "So."),
        ),
        "tool_calls",
        {"input": 1, "output": 9, "total": 10, "cached": 0, "written": 0, "reasoning": 2},
    ),
    "an-id",
    7,
    "a-model",
    items=("rs_1", "msg_2", "fc_3", "msg_4"),
    echo={"temperature": 0.5, "store": True},
)


@pytest.mark.parametrize("wire", [RESPONSES, THREADS], ids=["responses", "threads"])
def test_several_parts_come_in_order_and_are_read_so(wire: Wire) -> None:
    body = orjson.loads(wire.whole(TALK))
    assert wire.read(body) == TALK.completion
    values = stream_of(wire, TALK)
    assert wire.read_events(values) == TALK.completion
    assert wire.whole_in([orjson.dumps(body)], False) == body


def test_events_of_responses_in_their_order() -> None:
    values = stream_of(RESPONSES, TALK)
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    names = [value["type"].removeprefix("response.") for value in values]
    assert [name for name, _ in groupby(names)] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
        "completed",
    ]  # fmt: skip
    assert {value["item_id"] for value in values if "item_id" in value} == {"rs_1", "msg_2", "fc_3", "msg_4"}
    assert values[-1]["response"] == orjson.loads(RESPONSES.whole(TALK))
    first = values[0]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (first["temperature"], first["store"], first["tools"]) == (0.5, True, None)


def test_an_event_is_named_by_the_word_that_its_name_has_a_hole_for() -> None:
    cut = replace(TALK, completion=replace(TALK.completion, finish="length"))
    name, kind = RESPONSES.streamed(cut, [(), (), (), ()], True)[-1]
    assert (name.split(b"\n")[0], kind) == (b"event: response.incomplete", "done")
    assert stream_of(RESPONSES, cut)[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_stream_of_responses_that_fails() -> None:
    error = {"error.type": "server_error", "error.code": None, "error.message": "Oh.", "error.param": None,
             "error.reason": "server_error"}  # fmt: skip
    events = [orjson.loads(payload(event)) for event in RESPONSES.failing(TALK, error, 5)]
    told, failed = events
    assert told == {
        "type": "error", "error": {"type": "server_error", "code": None, "message": "Oh.", "param": None},
        "sequence_number": 5,
    }  # fmt: skip
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 6)
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "Oh."}
    assert [RESPONSES.ends(orjson.dumps(event)) for event in events] == [False, True]
    older = {name: value for name, value in events[-1]["response"].items() if name != "billing"}
    assert "billing" in events[-1]["response"]
    assert RESPONSES.ends(orjson.dumps({**events[-1], "response": older}))
    assert RESPONSES.read_events([*stream_of(RESPONSES, TALK)[:5], *events]).unread
    assert RESPONSES.whole_in([b"data: %b\n\n" % orjson.dumps(event) for event in events], True) == failed["response"]


@pytest.mark.parametrize("data", [b"[]", b"no", b""], ids=["list", "text", "nothing"])
def test_what_is_no_whole_answer(data: bytes) -> None:
    assert RESPONSES.whole_in([data], False) is None
    assert RESPONSES.whole_in([b"data: %b\n\n" % data], True) is None


# Events that are named outside of their data, pieces that look the same, refusals that only a word tells

MIXED = Completion(
    (Part("text", "Let me see."), Part("call", "{}", "c1", "look"), Part("text", "So.")),
    "tool_calls",
    {"input": 3, "output": 5, "total": 8},
)
REFUSED = Completion((Part("refusal", "I cannot."),), "stop", {"input": 3, "output": 5, "total": 8})


@pytest.mark.parametrize("said", [MIXED, REFUSED], ids=["pieces of several kinds", "a refusal"])
def test_what_looks_the_same_is_told_apart(said: Completion) -> None:
    saying = AnswerValues(said, "an-id", 1, "a-model")
    for read in (DIALOGS.read(orjson.loads(DIALOGS.whole(saying))), DIALOGS.read_events(stream_of(DIALOGS, saying))):
        assert [(part.kind, part.name, part.text) for part in read.parts] == [
            (part.kind, part.name, part.text) for part in said.parts
        ]
        assert read.finish == said.finish


def test_an_event_is_named_outside_of_its_data() -> None:
    saying = AnswerValues(replace(MIXED, parts=MIXED.parts[1:2]), "an-id", 1, "a-model")
    events = [event for event, _ in DIALOGS.streamed(saying, [[b'"{}"']], True)]
    assert events[1:3] == [
        b'event: piece.open\ndata: {"at":0,"kind":"action","ref":"c1","name":"look"}\n\n',
        b'event: piece.more\ndata: {"at":0,"more":"{}"}\n\n',
    ]
    assert [DIALOGS.event(payload(event)) for event in events] == events
    assert DIALOGS.event(b'{"other":1}') == b'data: {"other":1}\n\n'
