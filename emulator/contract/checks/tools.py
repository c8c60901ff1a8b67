"""Checks of tool calls, whole and streamed."""

from __future__ import annotations

import json

from emulator.contract.case_client import Talk, accepted, content, demand, equal, hold, pick, whole
from emulator.contract.checks.answers import SHORT_TEXT, read_stream
from emulator.contract.client import Answer
from emulator.core.errors import Json

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_NAME = "get_time"
_TOOLS = [
    {"type": "function", "function": {"name": name, "description": text, "parameters": _CITY}}
    for name, text in (("get_weather", "The weather in a city."), (_NAME, "The time in a city."))
]
_CHOICE = {"type": "function", "function": {"name": _NAME}}
_ARGUMENTS = {"city": "Zürich"}
_QUESTION = [{"role": "user", "content": "What time is it in Zürich?"}]


def tools(talk: Talk) -> None:
    """A reply can call a tool, whole and streamed, and take its result; tool_choice none calls none."""
    asking = talk.asking({"messages": _QUESTION, "tools": _TOOLS})
    accepted(asking.chat({"tool_choice": "auto"}), "a request with tools and tool_choice auto")
    answer = asking.chat({"tool_choice": "none"})
    equal(answer, "tool_choice none calls no tool", [], pick(whole(answer), "choices.*.message.tool_calls.*"))
    _called(asking.chat({"tool_choice": _CHOICE}), None)
    call = {"tool_calls": [{"name": _NAME, "arguments": _ARGUMENTS}]}
    told = _ARGUMENTS if talk.arrange(call, call, {"text": SHORT_TEXT}) else None
    message = _called(asking.chat({"tool_choice": _CHOICE}), told)
    _streamed_call(asking.chat({"tool_choice": _CHOICE, "stream": True}), told)
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "12:30"}
    content(asking.chat({"messages": [*_QUESTION, message, result]}), "a request with a tool's result")


def _called(answer: Answer, told: Json) -> dict[str, Json]:
    """Demand one well-formed call of the tool that was chosen, and return the message."""
    value = whole(answer, "a request with tools")
    calls = demand(answer, value, "choices.0.message.tool_calls", list)
    equal(answer, "one tool is called", 1, len(calls))
    _identified(answer, calls)
    equal(answer, "a call's type is function", ["function"], pick(calls, "0.type"))
    equal(answer, "the tool chosen is called", [_NAME], pick(calls, "0.function.name"))
    _arguments(answer, demand(answer, calls, "0.function.arguments", str), told)
    reason = demand(answer, value, "choices.0.finish_reason", str)
    reasons = ("tool_calls",) if told else ("tool_calls", "stop")
    hold(answer, "finish_reason tells of the call", reason in reasons, "tool_calls", reason)
    message: dict[str, Json] = demand(answer, value, "choices.0.message", dict)
    return message


def _identified(answer: Answer, calls: list[Json]) -> None:
    name = demand(answer, calls, "0.id", str)
    hold(answer, "a call has an id for its result", bool(name), "an id", name)


def _arguments(answer: Answer, text: str, told: Json) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    good = value == told if told else isinstance(value, dict)
    hold(answer, "a call's arguments are the JSON the model gave", good, told or "object", text)


def _streamed_call(answer: Answer, told: Json) -> None:
    chunks = read_stream(answer)
    parts = pick(chunks, "*.choices.0.delta.tool_calls.*")
    _identified(answer, parts)
    equal(answer, "the fragments of a call have its index", [0] * len(parts), pick(parts, "*.index"))
    names = [name for name in pick(parts, "*.function.name") if name]
    equal(answer, "the tool is named once", [_NAME], names)
    texts = [text for text in pick(parts, "*.function.arguments") if isinstance(text, str)]
    _arguments(answer, "".join(texts), told)
    reasons = [reason for reason in pick(chunks, "*.choices.0.finish_reason") if reason]
    hold(answer, "finish_reason comes once", len(reasons) == 1, ["tool_calls"], reasons)
