"""What a scripted reply says must fit what its request asked for; each misfit is a note with an id of its own."""

from __future__ import annotations

from typing import Any

import pytest
from build import chat, make_session

from emulator.core.errors import SourceError
from emulator.core.scenario.scenario import ARGUMENTS_BREAK, CALL_LEFT_OUT, MISFITS, NOT_OFFERED, TEXT_BREAKS
from emulator.core.schema.schema import Schema

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]}
LOOSE = {"tools": [{"type": "function", "function": {"name": "get_weather"}}]}
NAMED = {"tool_choice": {"type": "function", "function": {"name": "look"}}}
BOTH = {"tools": [*TOOLS["tools"], {"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]}
JSON_MODE = {"response_format": {"type": "json_object"}}


def schema(**document: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": document}}}


def calls(name: str = "get_weather", arguments: Any = None) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": {"city": "Rome"} if arguments is None else arguments}]}


def body(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": None, **message},
        "finish_reason": finish,
    }
    return {"json": {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}}


def written(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "index": 0, "function": {"name": name, "arguments": arguments}}


def chunks(*deltas: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    items = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return {"events": [*items, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, "[DONE]"]}


def found(reply: dict[str, Any], **fields: Any) -> list[tuple[str | None, str]]:
    """Answer a request by a reply; return the ids and texts of the notes on what it says."""
    live = make_session({"rules": [{"reply": reply}]})
    exchange = live.send("brivionix", chat("brivionix", **fields))
    return [(note.fact, note.message.removesuffix(HINT)) for note in exchange.notes if note.fact in MISFITS]


HINT = " (say off_contract: true if it is meant to)"

MISFIT = [
    ("no tools", calls(), {}, NOT_OFFERED, "the reply calls 'get_weather', and the request offers no tools"),
    ("misspelt", calls("get_wether"), TOOLS, NOT_OFFERED,
     "the reply calls 'get_wether', which the request does not offer; did you mean 'get_weather'?"),
    ("choice none", calls(), TOOLS | {"tool_choice": "none"}, NOT_OFFERED,
     "the reply calls 'get_weather', and the request's tool choice is none"),
    ("another is named", calls(), BOTH | NAMED, NOT_OFFERED,
     "the reply calls 'get_weather', and the request's tool choice is 'look'"),
    ("wrong type", calls(arguments={"city": 5}), TOOLS, ARGUMENTS_BREAK,
     "the reply's arguments of 'get_weather' break its parameters: city must be a string, not 5"),
    ("left out", calls(arguments={}), TOOLS, ARGUMENTS_BREAK,
     "the reply's arguments of 'get_weather' break its parameters: city is required"),
    ("no JSON", calls(arguments="{"), LOOSE, ARGUMENTS_BREAK,
     "the reply's arguments of 'get_weather' break its parameters: '{' is no JSON"),
    ("no object", calls(arguments="[]"), LOOSE, ARGUMENTS_BREAK,
     "the reply's arguments of 'get_weather' break its parameters: must be an object, not []"),
    ("text", {"text": "Rome"}, schema(**PARAMETERS), TEXT_BREAKS,
     "the reply's text breaks the schema asked for: 'Rome' is no JSON"),
    ("wrong JSON", {"text": {"city": 5}}, schema(**PARAMETERS), TEXT_BREAKS,
     "the reply's text breaks the schema asked for: city must be a string, not 5"),
    ("draft-07", {"text": {"a": [5]}}, schema(**{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {
        "a": {"items": True, "additionalItems": False, "contains": {"const": 7}}}}), TEXT_BREAKS,
     "the reply's text breaks the schema asked for: a None of [5] are valid under the given schema"),
    ("JSON mode", {"text": "[]"}, JSON_MODE, TEXT_BREAKS,
     "the reply's text breaks the schema asked for: must be an object, not []"),
    ("a call is required", {"text": "Rome"}, TOOLS | {"tool_choice": "required"}, CALL_LEFT_OUT,
     "the reply calls no tool, and the request's tool choice is required"),
    ("a call is named", {"text": "Rome"}, BOTH | NAMED, CALL_LEFT_OUT,
     "the reply calls no tool, and the request's tool choice is named"),
    ("body", body({"tool_calls": [written("look", "{}")]}), TOOLS, NOT_OFFERED,
     "the reply calls 'look', which the request does not offer; did you mean 'get_weather'?"),
    ("body's text", body({"content": "Rome"}), JSON_MODE, TEXT_BREAKS,
     "the reply's text breaks the schema asked for: 'Rome' is no JSON"),
    ("events", chunks({"tool_calls": [written("get_weather", '{"city":')]}, {"tool_calls": [
        {"index": 0, "function": {"arguments": " 5}"}}]}), TOOLS | {"stream": True}, ARGUMENTS_BREAK,
     "the reply's arguments of 'get_weather' break its parameters: city must be a string, not 5"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "fields", "fact", "message"), [row[1:] for row in MISFIT], ids=[row[0] for row in MISFIT]
)
def test_what_was_not_asked_for_is_noted(reply: Any, fields: Any, fact: str, message: str) -> None:
    [(noted, told)] = found(reply, **fields)
    assert (noted, told.replace("known: get_weather", "did you mean 'get_weather'?")) == (fact, message)
    assert found({**reply, "off_contract": True}, **fields) == []


CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "by_hand"}}]}
FITS = {
    "a call": (calls(), TOOLS),
    "any arguments": (calls(arguments={"a": 1}), LOOSE),
    "a custom tool": ({"tool_calls": [{"name": "by_hand", "input": "any text"}]}, CUSTOM),
    "the tool that is named": (calls("look"), BOTH | NAMED),
    "arguments that are cut": ({**calls(arguments='{"ci'), "finish_reason": "length"}, TOOLS),
    "a text": ({"text": "Rome"}, TOOLS),
    "JSON": ({"text": {"city": "Rome"}}, schema(**PARAMETERS)),
    "JSON that is cut": ({"text": '{"ci', "finish_reason": "length"}, schema(**PARAMETERS)),
    "a refusal": ({"refusal": "No."}, schema(**PARAMETERS)),
    "a refusal where a call is required": ({"refusal": "No."}, TOOLS | {"tool_choice": "required"}),
    "a text that is cut where a call is required": (
        {"text": "R", "finish_reason": "length"},
        TOOLS | {"tool_choice": "required"},
    ),
    "a call where a text is asked to conform": (calls(), TOOLS | schema(type="object", required=["x"])),
    "a schema that is none": ({"text": "{}"}, schema(type="nonsense")),
    "a schema that costs too much": ({"text": "{}"}, schema(pattern="(a{1000}){1000}")),
    "a body": (body({"tool_calls": [written("get_weather", '{"city": "Rome"}')]}), TOOLS),
    "an error": ({"error": "server_error"}, TOOLS),
    "what is built in": ({"builtin": True}, TOOLS),
}


@pytest.mark.parametrize(("reply", "fields"), FITS.values(), ids=FITS)
def test_what_fits_is_not_noted(reply: Any, fields: Any) -> None:
    assert found(reply, **fields) == []


def test_what_a_cap_cuts_off_breaks_nothing() -> None:
    live = make_session({"rules": [{"reply": {"text": {"city": "Rome"}}}]})
    exchange = live.send("openai", chat("openai", max_tokens=1, **schema(**PARAMETERS)))
    assert [note.fact for note in exchange.notes if note.fact in MISFITS] == []


def test_tools_that_the_docs_do_not_know_are_offered_all_the_same() -> None:
    live = make_session({"rules": [{"reply": calls()}]})
    assert [note.fact for note in live.send("beatra", chat(**TOOLS)).notes] == [None]
    assert NOT_OFFERED in [note.fact for note in live.send("beatra", chat(**TOOLS, tool_choice="none")).notes]


def test_a_misfit_can_be_muted() -> None:
    live = make_session({"mute": [NOT_OFFERED], "rules": [{"reply": calls()}]})
    assert live.send("brivionix").notes == ()
    with pytest.raises(SourceError, match="there is no fact 'emulator:call-not-ofered'; did you mean"):
        make_session({"mute": ["emulator:call-not-ofered"]})


MANY = {f"a{number}": {"anyOf": [{"type": "string"}] * 50} for number in range(200)}


@pytest.mark.parametrize(
    ("text", "document", "said"),
    [
        (dict.fromkeys(MANY, 5), {"type": "object", "properties": MANY}, "5 is not valid under any of the schemas"),
        ({"a": "a" * 40 + "!"}, {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}, "does not match"),
    ],
    ids=["large", "pattern"],
)
def test_what_takes_long_is_not_explained_at_length(
    monkeypatch: pytest.MonkeyPatch, text: Any, document: Any, said: str
) -> None:
    """The verdict is quick; the engine that explains takes a hundred times as long, and with patterns for ever."""
    monkeypatch.setattr(Schema, "violations", lambda *given: pytest.fail("it was explained"))
    [(fact, message)] = found({"text": text}, **schema(**document))
    assert (fact, said in message) == (TEXT_BREAKS, True)


@pytest.mark.parametrize("reply", [{"text": "x"}, {"builtin": True}], ids=["scripted", "built in"])
def test_an_undocumented_format_is_heeded_by_what_is_built_in(reply: dict[str, Any]) -> None:
    live = make_session({"rules": [{"reply": reply}]})
    message = "is not in the docs; it was accepted and has its customary effect on a built-in answer"
    notes = live.send("brivionix", chat("brivionix", **JSON_MODE)).notes
    assert [note.message for note in notes if note.path == "response_format"] == [message]
