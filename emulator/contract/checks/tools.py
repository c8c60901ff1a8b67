"""Checks of tool calls, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from emulator.contract.bodies import parse_json
from emulator.contract.case_client import CaseClient, content
from emulator.contract.checks.answers import SHORT_TEXT, read_stream
from emulator.contract.checks.deltas import fragments_of, in_call, in_fragment, last_step, of_choice, within
from emulator.contract.client import Answer
from emulator.contract.expectations import accepted, demand, equal, hold, pick, whole
from emulator.core.errors import Json
from emulator.core.wires.wire import Wire

#: One of the tools that contract.yaml offers.
NAME = "get_time"
_ARGUMENTS = {"city": "Zürich"}
_QUESTION = "What time is it in Zürich?"


def tools(client: CaseClient) -> None:
    """A reply can call a tool, whole and streamed, and take its result; where there is a choice, of none calls none."""
    wire, asking = client.wire, client.asking(client.says(_QUESTION))
    accepted(asking.chat(client.with_tools("free")), "a request with tools and tool_choice auto")
    if "none" in client.ask.tools:
        answer = asking.chat(client.with_tools("none"))
        equal(answer, "tool_choice none calls no tool", [], [call.name for call in wire.read(whole(answer)).calls()])
    named = client.with_tools("named", NAME)
    _called(wire, asking.chat(named), None)
    call = {"tool_calls": [{"name": NAME, "arguments": _ARGUMENTS}]}
    told = _ARGUMENTS if client.arrange(call, call, {"text": SHORT_TEXT}) else None
    made = _called(wire, asking.chat(named), told)
    _streamed_call(wire, asking.chat({**named, **client.asks(stream=True)}), told)
    result = {**client.with_tools("free"), **client.called(_QUESTION, [(made, "12:30")])}
    content(client, asking.chat(result), "a request with a tool's result")


def _called(wire: Wire, answer: Answer, told: Json) -> Mapping[str, str]:
    """Demand one well-formed call of the tool that was chosen, and return it."""
    value = whole(answer, "a request with tools")
    demand(answer, value, wire.place("call").removesuffix(".*"), list)
    calls = [call for call in pick(value, wire.place("call")) if pick(call, in_call(wire, "call.name"))]
    equal(answer, "one tool is called", 1, len(calls))
    ident = _identified(answer, calls, in_call(wire, "call.id"))
    equal(answer, "the tool chosen is called", [NAME], pick(calls, f"0.{in_call(wire, 'call.name')}"))
    text = _written(wire, answer, calls[0])
    _arguments(answer, text, told)
    place = wire.place("finish")
    reason = wire.read(value).finish if demand(answer, value, place, str) else None
    reasons = ("tool_calls",) if told else ("tool_calls", "stop")
    hold(answer, f"{last_step(place)} says that a tool is called", reason in reasons, "tool_calls", reason)
    return {"id": ident, "name": NAME, "arguments": text}


def _written(wire: Wire, answer: Answer, call: Json) -> str:
    """Return a call's arguments as text."""
    place = wire.place("call.arguments")
    if place:
        return str(demand(answer, call, in_call(wire, "call.arguments"), str))
    return json.dumps(demand(answer, call, in_call(wire, "call.input"), dict))


def _identified(answer: Answer, calls: list[Json], place: str) -> str:
    name: str = demand(answer, calls, f"0.{place}", str)
    hold(answer, "a call has an id for its result", bool(name), "an id", name)
    return name


def _arguments(answer: Answer, text: str, told: Json) -> None:
    value = parse_json(text)
    good = value == told if told else isinstance(value, dict)
    hold(answer, "a call's arguments are the JSON the model gave", good, told or "object", text)


def _streamed_call(wire: Wire, answer: Answer, told: Json) -> None:
    chunks = read_stream(wire, answer)
    said = of_choice(wire, chunks, 0)
    parts = fragments_of(wire, said)
    _identified(answer, parts, in_fragment(wire, "call.begin.id"))
    if wire.place("call.piece.call"):
        index = in_fragment(wire, "call.piece.call")
        equal(answer, f"each fragment of a call has its {index}", [0] * len(parts), pick(parts, f"*.{index}"))
    names = [name for name in pick(parts, f"*.{in_fragment(wire, 'call.begin.name')}") if name]
    equal(answer, "the tool is named once", [NAME], names)
    _arguments(answer, "".join(call.text for call in wire.read_events(chunks).calls()), told)
    end = within(wire, "finish.finish")
    reasons = [reason for reason in pick(list(said), f"*.{end}") if reason]
    hold(answer, f"{last_step(end)} comes once in a stream", len(reasons) == 1, ["tool_calls"], reasons)
