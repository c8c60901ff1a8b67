"""What was said in an exchange, whatever the form of its API: the conversation asked, and what the model answered."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.core.errors import Json
from emulator.core.journal.attempts import answer_of, event_values
from emulator.core.values import Exchange
from emulator.core.wires.completion import CALLS, Completion
from emulator.core.wires.request.conversation import Conversation, Message

#: Of how many frames of a stream it is told what each says.
MOST_PIECES = 300


def said_in(exchange: Exchange, body: Json) -> dict[str, Json]:
    """Return what was asked and answered, by neutral names; `body` is the request's, for one that was refused.

    `{model, asked: [{by, text, calls, call_id, images}], offered: [NAME], answered: [{kind, text, name}], pieces}`:
    `asked` is null where the request says nothing to a model, `answered` empty where no part of an answer was read; a
    call's text is its arguments; `pieces` are what each of a stream's first frames says.
    """
    conversation = _conversation(exchange, body)
    return {
        "model": conversation.model if conversation else None,
        "asked": [_message(item) for item in conversation.messages] if conversation else None,
        "offered": [tool.name for tool in conversation.tools] if conversation else [],
        "answered": list(_answered(exchange)),
        "pieces": [_piece(exchange, frame.data) for frame in exchange.timeline.frames[:MOST_PIECES]]
        if exchange.timeline.stream
        else [],
    }


def _conversation(exchange: Exchange, body: Json) -> Conversation | None:
    """Return the conversation asked; of a request that was refused, what can be read of it."""
    claim = exchange.claim
    if claim.call:
        return claim.call.conversation
    found = claim.wire.request.read(body) if claim.wire and isinstance(body, dict) else None
    return found if found and found.messages else None


def _message(message: Message) -> dict[str, Json]:
    calls = [{"id": id, "name": name, "arguments": arguments} for id, name, arguments in message.calls]
    told = {"calls": calls, "call_id": message.call_id, "name": message.name, "images": message.images}
    return {"by": message.role, "text": message.text} | {key: value for key, value in told.items() if value}


def _piece(exchange: Exchange, data: bytes) -> str:
    """Return what a frame of a stream says by itself."""
    wire = exchange.claim.wire
    told = wire.read_events(list(event_values(data))) if wire else Completion()
    return "".join(part.text for part in told.parts)


def _answered(exchange: Exchange) -> Iterator[dict[str, Json]]:
    for part in answer_of(exchange).parts:
        yield {"kind": part.kind, "text": part.text} | ({"name": part.name} if part.kind in CALLS else {})
