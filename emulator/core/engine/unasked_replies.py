"""What a scripted reply says that its request did not ask for: no model would, so an application must not learn it.

A call of a tool that was not offered, arguments or a text that break the schema asked for, a text where the tool choice
asks for a call: each is a note with an id of MISFITS, unless the reply says `off_contract: true`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import orjson

from emulator.core.answer.completion import parts_of
from emulator.core.answer.render import Turn
from emulator.core.errors import Json, nearest, shown
from emulator.core.scenario.scenario import ARGUMENTS_BREAK, CALL_LEFT_OUT, NOT_OFFERED, TEXT_BREAKS, Reply
from emulator.core.schema.bounds import patterns, schema_parts
from emulator.core.schema.cost import TooCostly
from emulator.core.schema.schema import Schema
from emulator.core.schema.untrusted import Allowance
from emulator.core.tree import compact, parsed
from emulator.core.values import Note
from emulator.core.wires.completion import Completion, Part
from emulator.core.wires.request.conversation import Conversation, Tool
from emulator.core.wires.wire import Wire

#: How many calls are looked at, and how many violations of each are told.
MOST_CALLS, MOST_TOLD = 100, 3
#: Explaining takes a hundred times as long as the verdict: steps of about 8 ns.
MOST_EXPLAINED = 20_000

#: Why an answer ended that may be broken off anywhere.
_BROKEN_OFF = ("length", "content_filter")
#: The tool choices with which a model calls a tool.
_MUST_CALL = ("required", "named")
_ANY_OBJECT: Mapping[str, Json] = {"type": "object"}


def misfits(turn: Turn, reply: Reply, content: Json) -> list[Note]:
    """Return a note of each thing that a reply says and its request does not ask for; `content` has no templates."""
    wire = turn.operation.wire
    if wire is None or reply.off_contract or _fits_anyway(turn.call.conversation, reply, content):
        return []
    said = _said(turn, wire, reply, content)
    whole = said.finish not in _BROKEN_OFF
    calls = said.calls()
    if calls:
        return list(_misfit_calls(_asked(turn, wire), calls[:MOST_CALLS], whole))
    if not whole or said.text("refusal") is not None:
        return []
    return list(_misfit_text(turn.call.conversation, said.text() or ""))


def _fits_anyway(asked: Conversation, reply: Reply, content: Json) -> bool:
    """Tell, without making its parts, that a reply is no call, and that the request takes any text."""
    if reply.kind != "message" or "tool_calls" in content or "outputs" in content:
        return False
    return asked.schema is None and not asked.json and asked.tool_choice not in _MUST_CALL


def _said(turn: Turn, wire: Wire, reply: Reply, content: Json) -> Completion:
    """Return what a reply says before any cap: a message, or what is read back from a body or from events."""
    if reply.kind == "message":
        return Completion(tuple(parts_of(turn, content)), reply.finish_reason)
    if reply.kind == "json":
        return wire.read(content)
    if reply.kind == "events":
        items = (parsed(item.encode(errors="replace")) if isinstance(item, str) else item for item in content)
        return wire.read_events(item for item in items if item is not None)
    return Completion(finish=_BROKEN_OFF[0])


def _asked(turn: Turn, wire: Wire) -> Conversation:
    """Return what a request asks for, with its tools, whether the docs know any or not."""
    return turn.call.conversation if turn.operation.takes_tools else wire.request.read(turn.call.body)


def _misfit_calls(asked: Conversation, calls: Sequence[Part], whole: bool) -> Iterator[Note]:
    offered = {tool.name: tool for tool in asked.tools}
    for part in calls:
        reason = _not_offered(part.name, asked, offered)
        if reason:
            yield _note(NOT_OFFERED, f"the reply calls {shown(part.name)}, {reason}")
        elif whole and not offered[part.name].custom:  # what a custom tool takes is any text
            why = _broken(part.text, offered[part.name].parameters or _ANY_OBJECT)
            if why:
                yield _note(ARGUMENTS_BREAK, f"the reply's arguments of {shown(part.name)} break its parameters: {why}")


def _not_offered(name: str, asked: Conversation, offered: Mapping[str, Tool]) -> str | None:
    if not offered:
        return "and the request offers no tools"
    if name not in offered:
        return f"which the request does not offer; {nearest(name, offered)}"
    if asked.tool_choice == "none":
        return "and the request's tool choice is none"
    if asked.tool_choice == "named" and name != asked.tool_named and asked.tool_named in offered:
        return f"and the request's tool choice is {shown(asked.tool_named)}"
    return None


def _misfit_text(asked: Conversation, text: str) -> Iterator[Note]:
    if asked.tool_choice in _MUST_CALL:
        yield _note(CALL_LEFT_OUT, f"the reply calls no tool, and the request's tool choice is {asked.tool_choice}")
        return
    said = compact(text) if asked.bare else text
    schema = _ANY_OBJECT if asked.schema is None and asked.json else asked.schema
    if schema is not None and (broken := _broken(said, schema)):
        yield _note(TEXT_BREAKS, f"the reply's text breaks the schema asked for: {broken}")


def _note(fact: str, message: str) -> Note:
    return Note(fact, "reply", f"{message} (say off_contract: true if it is meant to)")


def _broken(text: str, schema: Json) -> str:
    """Say where a text is no JSON that conforms to a schema; nothing where it is, or where nobody can say."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return f"{shown(text)} is no JSON"
    if not isinstance(schema, Mapping | bool):
        return ""
    allowance = Allowance()
    try:
        if allowance.schema(schema, foreign=True)(value):
            return ""
    except (ValueError, TooCostly):
        return ""
    compiled = Schema(schema, foreign=True)
    costly = allowance.most - allowance.left > MOST_EXPLAINED
    if costly or any(True for _ in patterns(schema_parts(schema))):  # the engine that explains is not bounded
        return shown(next(iter(compiled.errors(value))).message, 200)
    violations = compiled.violations(value)[:MOST_TOLD]
    return "; ".join(f"{item.path} {item.message}".strip() for item in violations)
