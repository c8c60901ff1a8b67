"""What a request names of the answers that are kept, found step by step: who drives the steps asks the store.

A step yields what it looks for, and is sent what the store has of it. So one description serves a store that has its
answers at hand, and one that must be waited for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson

from emulator.core.answer.render import render_id
from emulator.core.answer.stored import Recalled, conversation_key, earlier, recalled
from emulator.core.durations import whole_number
from emulator.core.engine.stored_page import Page, data_of, sent_in
from emulator.core.errors import Json
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.seeded_random import Draw
from emulator.core.store import KeptAnswers, KeptExchange, Lookup, soon
from emulator.core.stored_answers import Kept
from emulator.core.tree import parsed
from emulator.core.values import Exchange, Request
from emulator.core.wires.completion import Completion, neutral_usage
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import payload
from emulator.core.wires.wire import Wire

#: What is found of a request, step by step.
Steps: TypeAlias = Generator[Lookup, Any, Recalled | None]

#: The newest kept answers in which an item is looked for that a request refers to, and that a list looks at.
MOST_LOOKED_THROUGH = 1000
#: The bytes of exchanges after which no older one is looked for that has an item.
MOST_READ = 32_000_000
#: When a stream without end is over: never.
_NEVER = 1e15


def recalling(provider: Provider, request: Request) -> Steps | None:
    """Return the steps that find what a request names; None where it names nothing. Nothing is wrong with it yet."""
    route = (provider.routes.find(request.path) or {}).get(request.method)
    if route is None:
        return None
    operation = route.operation
    if operation.kind == "stored":
        asked = dict(parse_qsl(request.query))
        ident = next(iter(route.params.values()), "")
        return _of_stored(provider, operation, ident, asked) if ident else _all(provider, operation, asked)
    wire = operation.wire
    if wire is None or not wire.request.may_go_on(request.body):
        return None
    body = parsed(request.body)
    return _of_chat(provider, operation, body) if isinstance(body, dict) else None


def found_at_once(steps: Steps, store: KeptAnswers, session: str) -> bytes:
    """Take the steps with a store that has its answers at hand, and return what `recalled` reads."""
    found: Any = None
    try:
        while True:
            found = _look(store, session, steps.send(found))
    except StopIteration as ended:
        return ended.value.packed() if ended.value else b""


async def found_later(steps: Steps, store: KeptAnswers, session: str) -> bytes:
    """Take the steps with a store that must be waited for.

    Raises: StoreFailed.
    """
    found: Any = None
    try:
        while True:
            found = await soon(_look(store, session, steps.send(found)))
    except StopIteration as ended:
        return ended.value.packed() if ended.value else b""


def _look(store: KeptAnswers, session: str, wanted: Lookup) -> Any:
    return store.listed(session, wanted.of) if wanted.of else store.recall(session, wanted.id, wanted.with_texts)


def _of_chat(provider: Provider, operation: Operation, body: Mapping[str, Json]) -> Steps:
    """Find the answer that a request goes on from, and the items that it refers to."""
    wire = operation.wire
    if wire is None or wire.kept is None:
        return None
    previous, named = wire.request.previous(body), wire.request.conversation(body)
    key = previous or (conversation_key(named) if named else "")
    found = _answer((yield Lookup(key)), wire) if key else None
    if previous and found and found.response and found.response.get(wire.place("id")) != previous:
        found = None  # a conversation
    wanted = set(wire.request.references(body))
    if not wanted:
        return found
    references: dict[str, Json] = {}
    marks, read = [orjson.dumps(ident) for ident in wanted], 0
    chat = next(item for item in provider.operations.values() if item.kind == "chat" and item.wire is wire)
    ids: Sequence[str] = yield Lookup(of=chat.name)
    for kept in ids[::-1][:MOST_LOOKED_THROUGH]:
        other: KeptExchange | None = yield Lookup(kept)
        if other is None or other[0].claim.wire is not wire:
            continue
        data = data_of(other[0])
        if any(mark in data for mark in marks):
            items = wire.kept.items(_whole(other[0], wire)[0])
            references |= {item["id"]: item for item in items if isinstance(item, dict) and item.get("id") in wanted}
        read += len(data) + len(other[0].request.body) + len(other[0].request.recalled)
        if len(references) == len(wanted) or read > MOST_READ:
            break
    return replace(found or Recalled(), references=references)


def _of_stored(provider: Provider, operation: Operation, ident: str, asked: Mapping[str, str]) -> Steps:
    """Find the answer that is asked for by its id."""
    of = provider.operations[operation.of]
    kept: KeptExchange | None = yield Lookup(ident)
    if kept is None or of.wire is None or of.wire.kept is None or kept[0].claim.operation != of.name:
        return None
    found = _answer(kept, of.wire)
    if found is None or found.response is None or found.response.get(of.wire.place("id")) != ident:
        return None
    if operation.does == "list":
        return _page_of_items(of, operation, of.wire.kept, ident, found.items, asked)
    events = _events(of.wire, operation, kept[0], asked) if operation.does == "show" else None
    return Recalled(found.response, (), found.due, found.later, found.change, events=events)


def _answer(kept: KeptExchange | None, wire: Wire) -> Recalled | None:
    """Return what is kept of an answered exchange; nothing, where its answer is of another form or does not say it."""
    exchange, change = kept or (None, "")
    call = exchange.claim.call if exchange else None
    if exchange is None or call is None or exchange.claim.wire is not wire or wire.kept is None:
        return None
    response, due = _whole(exchange, wire)
    if response is None:
        return None
    changes = orjson.loads(change) if change else {}
    before = recalled(exchange.request)
    sent = wire.request.with_references(call.body, before.references if before else {})
    items = [*earlier(before, exchange.request.at, wire), *wire.request.items(sent)]
    beside = {name: no if call.body.get(name) is None else call.body[name] for name, no in wire.kept.shown.items()}
    return Recalled({**response, **beside, **changes}, items, due, exchange.later is not None, changes)


def _whole(exchange: Exchange, wire: Wire) -> tuple[dict[str, Json] | None, float | None]:
    """Return an answer's body, and when it is done where it is not at once.

    A stream that broke off has one that was begun, and is never done.
    """
    timeline, data = exchange.timeline, [frame.data for frame in exchange.timeline.frames]
    if exchange.later:
        return orjson.loads(exchange.later.body), exchange.later.at
    if not timeline.stream:
        return wire.whole_in(data, False), None
    ends = _NEVER if timeline.endless else exchange.request.at + timeline.end_at
    whole = wire.whole_in(data, True)
    if whole is None and wire.begins_whole:
        return wire.begun_in(data), None
    return whole or _assembled(exchange, wire), ends


def _assembled(exchange: Exchange, wire: Wire) -> dict[str, Json] | None:
    """Return the body that says what the events of a stream said, if it came to its end."""
    call = exchange.claim.call
    values = [value for frame in exchange.timeline.frames if (value := parsed(payload(frame.data))) is not None]
    said = wire.read_events(values)
    if call is None or said.finish is None or exchange.timeline.broken:
        return None
    completion = Completion(said.parts, said.finish, said.usage or neutral_usage(exchange.usage))
    ident = next((value[wire.place("id")] for value in values if wire.place("id") in value), "")
    choices, at = call.conversation.choices, int(exchange.request.at)
    saying = AnswerValues(completion, ident, at, said.model or call.model, choices)
    body: dict[str, Json] = orjson.loads(wire.whole(saying))
    return body


def _events(
    wire: Wire, operation: Operation, exchange: Exchange, asked: Mapping[str, str]
) -> list[tuple[float, str, str]] | None:
    """Return the events of an answer that is made afterwards, where they are asked for again."""
    names = operation.replay
    if not names or asked.get(names["stream"]) != "true" or exchange.later is None:
        return None
    after = whole_number(asked.get(names["after"], ""))
    begin = -1 if after is None else after
    began = exchange.request.at
    padding = wire.padding if asked.get(names.get("unpadded", "")) == "false" else None
    sent = padding.without if padding else bytes
    return [
        (began + frame.at, sent(frame.data).decode(errors="replace"), frame.kind)
        for frame in exchange.later.frames
        if (parsed(payload(frame.data)) or {}).get(names["number"], -1) > begin
    ]


# Pages


def _page_of_items(
    of: Operation, operation: Operation, kept: Kept, ident: str, items: Sequence[Json], asked: Mapping[str, str]
) -> Recalled:
    """Return a page of what an answer was asked for with; only its items are rendered."""
    form = of.wire.request if of.wire else None
    if form is None:
        return Recalled()

    items = [item for item in items if isinstance(item, dict | str)]

    def draw(item: Json, index: int) -> str:
        return render_id(of, form.kind(item), Draw("item", ident, index), 0.0)

    def name(index: int) -> str:
        return kept.id_of(items[index], ident, index, draw)

    page = Page(operation, asked)
    order = range(len(items)) if page.oldest_first else range(len(items) - 1, -1, -1)
    begin = page.begin(order, name)
    if begin is None:
        return Recalled(unknown=page.after)
    chosen = order[begin : begin + page.limit]
    rows = [kept.listed(items[index], name(index), *form.fields_of_message) for index in chosen]
    return page.told(rows, [name(index) for index in chosen], begin + page.limit < len(items))


def _all(provider: Provider, operation: Operation, asked: Mapping[str, str]) -> Steps:
    """Find a page of the kept answers that a list asks for."""
    of = provider.operations[operation.of]
    ids: Sequence[str] = yield Lookup(of=of.name)
    page = Page(operation, asked)
    order = list(ids) if page.oldest_first else list(ids[::-1])
    begin = page.begin(order, str)
    if begin is None or of.wire is None:
        return Recalled(unknown=page.after)
    rows: list[Mapping[str, Json]] = []
    for ident in order[begin:][:MOST_LOOKED_THROUGH]:
        kept: KeptExchange | None = yield Lookup(ident, with_texts=page.of_request)
        if kept is None or not page.may_want(*kept):
            continue
        found = _answer(kept, of.wire)
        if found and found.response is not None and page.wants(found.response, sent_in(kept[0])):
            rows.append(found.response)
        if len(rows) > page.limit:
            break
    told = rows[: page.limit]
    return page.told(told, [row[of.wire.place("id")] for row in told], len(rows) > page.limit)
