"""The built-in answer to a chat: a fitting tool call, conforming JSON, or text; the same request, the same answer.

Where the request makes the model reason, a thought stands before it, as the API has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from emulator.core.answer.completion import asked
from emulator.core.answer.render import Turn, wire_of
from emulator.core.errors import Json, shown
from emulator.core.schema.instances.instance import instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.seeded_random import Draw
from emulator.core.tree import canonical, compact
from emulator.core.values import Call, Note
from emulator.core.wires.request.conversation import MOST_READ, Conversation, Tool, last_text, tool_results, words_of

_OPENINGS = (
    "This is a built-in answer", "The emulator answers in the model's place", "No scenario was given for this request",
    "Here is a deterministic reply",
)  # fmt: skip
_CLOSINGS = (
    "The same request always gets the same answer, and another one gets another.",
    "Write a scenario to decide what is said here, how fast, and what goes wrong.",
    "Its words depend on nothing but the request and the seed, so tests can rely on them.",
    "Every parameter was checked against the documentation before this was said.",
)

#: What was reasoned: few tokens, since a cap counts them.
_THOUGHT = "Let me think."
#: Bodies over so many bytes are digested before anything is drawn from them.
_LONG = 100_000


def builtin_message(turn: Turn, body: Mapping[str, Json]) -> tuple[dict[str, Json], list[Note]]:
    """Answer with a fitting tool call, conforming JSON, or text. `body` has the documented defaults filled in.

    Raises: CannotConform, where nothing is found that conforms to the schema asked for, or to a tool's parameters.
    """
    form = wire_of(turn).request
    aside = form.fields("stream", "usage", "unpadded")
    said = {key: value for key, value in body.items() if key not in aside}
    draw = Draw(turn.seed, turn.operation.name, _digest(canonical(said)))
    notes: list[Note] = []
    before = {"reasoning": _THOUGHT} if form.makes_reason(asked(turn)) else {}
    tool = _fitting_tool(turn, notes, draw) if turn.call.conversation.tools else None
    if tool:
        return {**before, "tool_calls": [tool]}, notes
    schema = _schema_asked(turn.call.conversation)
    if schema is not None:
        try:
            made = instance(schema, draw)
        except CannotConform as error:
            raise CannotConform(f"{form.fields('schema')[0]}: {error}") from None
        bare = turn.call.conversation.bare and isinstance(made, str)
        return {**before, "text": made if bare else compact(made)}, notes
    return {**before, "text": _text(turn.call, draw)}, notes


def _digest(data: bytes) -> bytes:
    """Return what a draw depends on in place of many bytes, which it would copy several times."""
    return data if len(data) <= _LONG else blake2b(data).digest()


def _text(call: Call, draw: Draw) -> str:
    opening = _OPENINGS[draw.below("opening", len(_OPENINGS))]
    closing = _CLOSINGS[draw.below("closing", len(_CLOSINGS))]
    results = tool_results(call.messages)
    about = f"“{_excerpt(last_text(call.messages, 'user') or '')}”"
    if results:
        about = f"{about}, with the result {_excerpt(results[-1]['content'])}"
    return f"{opening} ({draw.hex('mark', 6)}) to {about}. {closing}"


def _excerpt(text: str) -> str:
    line = " ".join(text[:MOST_READ].split())
    return line if len(line) <= 80 else line[:79] + "…"


def _fitting_tool(turn: Turn, notes: list[Note], draw: Draw) -> dict[str, Json] | None:
    """Choose the offered tool that the choice names, or whose words fit the last user message best."""
    conversation, form = turn.call.conversation, wire_of(turn).request
    offered, choice, name = conversation.tools, conversation.tool_choice, conversation.tool_named
    if choice == "none" or (choice == "free" and tool_results(conversation.messages)):
        return None
    if choice == "named" or name:
        chosen = tuple(item for item in offered if item.name == name)
        if not chosen:
            path = form.fields("tool_choice")[0]
            notes.append(Note(None, path, f"{shown(name or None)} is not among the tools offered; another is called"))
        offered = chosen or offered
    words = set(words_of(last_text(conversation.messages, "user") or ""))
    best = max(offered, key=lambda item: len(words & set(words_of(f"{item.name} {item.description}"))))
    if best.custom:
        return {"name": best.name, "input": _text_for(turn, best, notes)}
    return {"name": best.name, "arguments": _arguments(best, f"{form.fields('tools')[0]}.{best.name}", draw)}


def _text_for(turn: Turn, tool: Tool, notes: list[Note]) -> str:
    """Return a text for a tool that takes one: what the user said last, whatever grammar it should follow."""
    if tool.grammar is not None:
        path = f"{wire_of(turn).request.fields('tools')[0]}.{tool.name}"
        notes.append(Note(None, path, "the input is what the user said; it may not follow the tool's grammar"))
    return _excerpt(last_text(turn.call.messages, "user") or "")


def _arguments(tool: Tool, path: str, draw: Draw) -> Json:
    """Return arguments that conform to a tool's parameters; they are an object, whatever else these allow."""
    given = tool.parameters if isinstance(tool.parameters, Mapping) else {}
    if "type" not in given or (isinstance(given["type"], list) and "object" in given["type"]):
        given = {**given, "type": "object"}
    try:
        made = instance(given, draw)
    except CannotConform as error:
        raise CannotConform(f"{path}: {error}") from None
    if not isinstance(made, dict):
        raise CannotConform(f"{path}: 'type' allows no object, which arguments are")
    return made


def _schema_asked(conversation: Conversation) -> Json:
    if conversation.schema is not None or not conversation.json:
        return conversation.schema
    return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
