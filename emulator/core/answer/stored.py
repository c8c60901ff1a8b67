"""Answers that are kept for later requests: what is recalled of them, and what is answered to who asks for it.

A session's journal keeps the answers, and the store knows them by their ids. `Request.recalled` is what was found of
those that a request names: so it can be understood, and answered again, whatever became of them since.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from hashlib import blake2b

import orjson

from emulator.core.answer.render import Rendered, Turn, render_id
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.holes import fill
from emulator.core.stored_answers import Keeping
from emulator.core.tokens import count
from emulator.core.tree import compact
from emulator.core.values import Frame, Request, Timeline
from emulator.core.wires.wire import Wire


def page_of(items: Sequence[Json], ids: Sequence[Json], more: bool) -> dict[str, Json]:
    """Return what fills the holes of a page of a list."""
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return {"items": items, "first_id": first, "last_id": last, "has_more": more, "next_id": last if more else None}


@frozen
class Recalled:
    """A kept answer, or what else a request names of those that are kept.

    `response` is its body once it is done, `items` what it was asked for with, all that came before included. `due` is
    when it is done, where it is not yet; `later`: it is made afterwards. `change` is what it has otherwise since.
    """

    response: Mapping[str, Json] | None = None
    items: Sequence[Json] = ()
    due: float | None = None
    later: bool = False
    change: Mapping[str, Json] = field(default_factory=dict)
    references: Mapping[str, Json] = field(default_factory=dict)  # items of kept answers, by their ids
    page: Mapping[str, Json] | None = None  # of a list
    unknown: str = ""  # the id after which a page was to begin
    events: Sequence[tuple[float, str, str]] | None = None  # of a stream: when each was due, its bytes, its kind

    def state(self, at: float) -> str:
        """Return the state of an answer, empty for one that is done."""
        return "running" if self.due is not None and at < self.due and not self.change else ""

    def packed(self) -> bytes:
        """Return what `recalled` reads."""
        return orjson.dumps({one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None})


def recalled(request: Request) -> Recalled | None:
    """Return what a request names, if it is kept."""
    return Recalled(**orjson.loads(request.recalled)) if request.recalled else None


def earlier(found: Recalled | None, at: float, wire: Wire | None) -> list[Json]:
    """Return the items that come before those of a request: what the kept answer was asked for with, and its own."""
    if found is None or found.response is None or wire is None or wire.kept is None:
        return []
    return [*found.items, *wire.kept.items(wire.kept.now(found.response, found.state(at)))]


def conversation_key(ident: str) -> str:
    """Return by what a conversation is kept: it has its id apart from those of answers, which are in no path."""
    return f"/conversations/{ident}"


def keeping_of(turn: Turn, rendered: Rendered) -> Keeping | None:
    """Return what an answer does to those that are kept: it is kept itself, or it forgets or changes another."""
    operation, call, wire = turn.operation, turn.call, turn.operation.wire
    if rendered.timeline.status >= 400:
        return None
    if operation.kind == "stored":
        return _keeping_of_stored(turn)
    if not (rendered.id and wire and wire.kept and operation.kind == "chat"):
        return None
    body = {**turn.defaults} | {name: value for name, value in call.body.items() if value is not None}
    ids = [rendered.id] if wire.request.is_stored(body) else []
    ids += [conversation_key(named) for named in (wire.request.conversation(body),) if named]
    return Keeping("keep", ids[0], operation.name, tuple(ids[1:])) if ids else None


def _keeping_of_stored(turn: Turn) -> Keeping | None:
    does, found = turn.operation.does, recalled(turn.call.request)
    ident = next(iter(turn.call.params.values()), "")
    if does == "forget":
        return Keeping("forget", ident)
    change = _change(turn, found) if found else {}
    return Keeping("change", ident, data=compact({**found.change, **change})) if found and change else None


def _change(turn: Turn, found: Recalled) -> Mapping[str, Json]:
    """Return what a request changes of a kept answer."""
    operation = turn.operation
    if operation.does == "update":
        given = {name: item for name, item in turn.call.body.items() if operation.takes(name)}
        return {name: turn.defaults.get(name) if item is None else item for name, item in given.items()}
    wire = turn.provider.operations[operation.of].wire
    if operation.does == "cancel" and wire and wire.kept and found.later and found.state(turn.at):
        return wire.kept.states.get("cancelled", {})
    return {}


def stored_answer(turn: Turn, found: Recalled | None) -> Json:
    """Answer what asks for a kept answer; it is there, or the request would have been refused."""
    operation, call = turn.operation, turn.call
    wire = turn.provider.operations[operation.of].wire
    path = {f"path.{name}": value for name, value in call.params.items()}
    if operation.body is not None:
        return fill(operation.body, path | dict((found and found.page) or page_of([], [], False)))
    if found is None or found.response is None or wire is None or wire.kept is None:
        raise TypeError(f"{operation.name} was to be answered without what it asks for")
    return {**wire.kept.now(found.response, found.state(turn.at)), **_change(turn, found)}


def counted(turn: Turn) -> dict[str, Json]:
    """Return what the body of kind `tokens` can name: how long a conversation is, and what stands for it in short."""
    wire, call = turn.operation.wire, turn.call
    if wire is None or wire.kept is None:
        return {"tokens": call.prompt_tokens}
    role, content = wire.request.fields_of_message
    items = [*earlier(recalled(call.request), turn.at, wire), *wire.request.items(call.body)]
    asked = [item for item in items if isinstance(item, str) or (isinstance(item, dict) and item.get(role) == "user")]
    shown = [
        wire.kept.listed(item, render_id(turn.operation, "text", turn.draw, turn.at, str(index)), role, content)
        for index, item in enumerate(asked)
    ]
    gist = b64encode(blake2b(compact(items).encode(), digest_size=48).digest()).decode()
    ident = render_id(turn.operation, "compacted", turn.draw, turn.at)
    written = count(gist)
    return {
        "tokens": call.prompt_tokens, "written": written, "total": call.prompt_tokens + written,
        "id": render_id(turn.operation, "response", turn.draw, turn.at), "created": int(turn.at),
        "compacted": [*shown, wire.kept.in_short(ident, gist)],
    }  # fmt: skip


def stored_stream(turn: Turn, found: Recalled | None) -> Timeline | None:
    """Return the events of a kept answer, those that are over at once; None where none are asked for."""
    if found is None or found.events is None:
        return None
    frames = tuple(Frame(max(0.0, at - turn.at), data.encode(), kind) for at, data, kind in found.events)
    headers = (("content-type", "text/event-stream"),)
    return Timeline(200, headers, frames, True, 0.0, "complete", frames[-1].at if frames else 0.0)
