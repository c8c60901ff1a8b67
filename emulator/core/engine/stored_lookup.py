"""What a request names of the answers that are kept, found before it is claimed; and pages of lists of them.

A store that has its answers at hand is waited for no more than one that has to be asked: see `at_once`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from emulator.core.answer.render import render_id
from emulator.core.answer.stored import Recalled, conversation_key, earlier, page_of, recalled
from emulator.core.durations import whole_number
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.seeded_random import Draw
from emulator.core.store import KeptAnswers, KeptExchange, soon
from emulator.core.stored_answers import Kept
from emulator.core.tree import Path, at, parsed
from emulator.core.values import Exchange, Request
from emulator.core.wires.completion import Completion, neutral_usage
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import payload
from emulator.core.wires.wire import Wire

#: The newest kept answers in which an item is looked for that a request refers to, and that a list looks at.
MOST_LOOKED_THROUGH = 1000
#: The bytes of exchanges after which no older one is looked for that has an item.
MOST_READ = 32_000_000
#: When a stream without end is over: never.
_NEVER = 1e15


def recalling(
    provider: Provider, request: Request, store: KeptAnswers, session: str
) -> Coroutine[Any, Any, bytes] | None:
    """Return what finds what a request names, as `recalled` reads it; None where it names nothing.

    Nothing is wrong with the request yet. Raises: StoreFailed, when awaited.
    """
    route = (provider.routes.find(request.path) or {}).get(request.method)
    if route is None:
        return None
    operation = route.operation
    stored = operation.kind == "stored"
    of = provider.operations[operation.of] if stored else operation
    wire = of.wire
    if wire is None or wire.kept is None or not (stored or wire.request.may_go_on(request.body)):
        return None
    chat = _Chat(of, wire, wire.kept, store, session)
    if stored:
        asked = dict(parse_qsl(request.query))
        ident = next(iter(route.params.values()), "")
        return _packed(chat.one(operation, ident, asked) if ident else chat.all(Page(operation, asked)))
    body = parsed(request.body)
    chats = (item.name for item in provider.operations.values() if item.kind == "chat" and item.wire is wire)
    return _packed(chat.named_in(body, next(chats))) if isinstance(body, dict) else None


async def _packed(found: Coroutine[Any, Any, Recalled | None]) -> bytes:
    recalled = await found
    return recalled.packed() if recalled else b""


@frozen
class _Chat:
    """A chat whose answers are kept: its wire, how it keeps them, and the session in whose store they are."""

    operation: Operation
    wire: Wire
    kept: Kept
    store: KeptAnswers
    session: str

    async def _find(self, ident: str, with_texts: Sequence[bytes] = ()) -> KeptExchange | None:
        return await soon(self.store.recall(self.session, ident, with_texts))

    async def named_in(self, body: Mapping[str, Json], chat: str) -> Recalled | None:
        """Find the answer that a request goes on from, and the items that it refers to, among those of a chat."""
        form = self.wire.request
        previous, named = form.previous(body), form.conversation(body)
        key = previous or (conversation_key(named) if named else "")
        found = self._answer(await self._find(key)) if key else None
        if previous and found and found.response and found.response.get(self.wire.place("id")) != previous:
            found = None  # a conversation
        wanted = set(form.references(body))
        return replace(found or Recalled(), references=await self._items(wanted, chat)) if wanted else found

    async def _items(self, wanted: set[str], chat: str) -> dict[str, Json]:
        """Find items of kept answers by their ids, in the newest answers."""
        found: dict[str, Json] = {}
        marks, read = [orjson.dumps(ident) for ident in wanted], 0
        ids = await soon(self.store.listed(self.session, chat))
        for kept in ids[::-1][:MOST_LOOKED_THROUGH]:
            other = await self._find(kept)
            if other is None or other[0].claim.wire is not self.wire:
                continue
            data = data_of(other[0])
            if any(mark in data for mark in marks):
                items = self.kept.items(_whole(other[0], self.wire)[0])
                found |= {item["id"]: item for item in items if isinstance(item, dict) and item.get("id") in wanted}
            read += len(data) + len(other[0].request.body) + len(other[0].request.recalled)
            if len(found) == len(wanted) or read > MOST_READ:
                break
        return found

    async def one(self, operation: Operation, ident: str, asked: Mapping[str, str]) -> Recalled | None:
        """Find the answer that is asked for by its id."""
        kept = await self._find(ident)
        if kept is None or kept[0].claim.operation != self.operation.name:
            return None
        found = self._answer(kept)
        if found is None or found.response is None or found.response.get(self.wire.place("id")) != ident:
            return None
        if operation.does == "list":
            return self._page_of_items(Page(operation, asked), ident, found.items)
        events = _events(self.wire, operation, kept[0], asked) if operation.does == "show" else None
        return Recalled(found.response, (), found.due, found.later, found.change, events=events)

    async def all(self, page: Page) -> Recalled:
        """Find a page of the kept answers that a list asks for."""
        ids = await soon(self.store.listed(self.session, self.operation.name))
        order = list(ids) if page.oldest_first else list(ids[::-1])
        begin = page.begin(order, str)
        if begin is None:
            return Recalled(unknown=page.after)
        rows: list[Mapping[str, Json]] = []
        for ident in order[begin:][:MOST_LOOKED_THROUGH]:
            kept = await self._find(ident, page.of_request)
            if kept is None or not page.may_want(*kept):
                continue
            found = self._answer(kept)
            if found and found.response is not None and page.wants(found.response, sent_in(kept[0])):
                rows.append(found.response)
            if len(rows) > page.limit:
                break
        told = rows[: page.limit]
        return page.told(told, [row[self.wire.place("id")] for row in told], len(rows) > page.limit)

    def _answer(self, kept: KeptExchange | None) -> Recalled | None:
        """Return what is kept of an exchange; nothing, where its answer is of another form or does not say it."""
        exchange, change = kept or (None, "")
        call = exchange.claim.call if exchange else None
        if exchange is None or call is None or exchange.claim.wire is not self.wire:
            return None
        response, due = _whole(exchange, self.wire)
        if response is None:
            return None
        changes, form = orjson.loads(change) if change else {}, self.wire.request
        before = recalled(exchange.request)
        sent = form.with_references(call.body, before.references if before else {})
        items = [*earlier(before, exchange.request.at, self.wire), *form.items(sent)]
        beside = {name: no if call.body.get(name) is None else call.body[name] for name, no in self.kept.shown.items()}
        return Recalled({**response, **beside, **changes}, items, due, exchange.later is not None, changes)

    def _page_of_items(self, page: Page, ident: str, items: Sequence[Json]) -> Recalled:
        """Return a page of what an answer was asked for with; only its items are rendered."""
        form, items = self.wire.request, [item for item in items if isinstance(item, dict | str)]

        def draw(item: Json, index: int) -> str:
            return render_id(self.operation, form.kind(item), Draw("item", ident, index), 0.0)

        def name(index: int) -> str:
            return self.kept.id_of(items[index], ident, index, draw)

        order = range(len(items)) if page.oldest_first else range(len(items) - 1, -1, -1)
        begin = page.begin(order, name)
        if begin is None:
            return Recalled(unknown=page.after)
        chosen = order[begin : begin + page.limit]
        rows = [self.kept.listed(items[index], name(index), *form.fields_of_message) for index in chosen]
        return page.told(rows, [name(index) for index in chosen], begin + page.limit < len(items))


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


class Page:
    """What a list is asked for: by its query, with the documented defaults."""

    def __init__(self, operation: Operation, asked: Mapping[str, str]) -> None:
        names = operation.page
        given: Mapping[str, Json] = {**operation.checks(frozenset()).defaults, **asked}
        limit = whole_number(str(given.get(names["limit"], "")))
        self.limit = 20 if limit is None else limit
        self.after = str(given.get(names["after"], ""))
        self.oldest_first = given.get(names["order"]) == names["oldest_first"]
        self._wanted = dict(_wanted(operation.page.get("filters", ()), asked))
        #: What fields of fields, which answers repeat from requests, must be.
        self.of_request = [orjson.dumps(value) for place, value in self._wanted.items() if len(place) > 1]

    def begin(self, order: Sequence[Any], name: Callable[[Any], str]) -> int | None:
        """Return where the page begins; None where nothing has the id after which it is to."""
        if not self.after:
            return 0
        return next((place for place, item in enumerate(order, 1) if name(item) == self.after), None)

    def may_want(self, exchange: Exchange, change: str) -> bool:
        """Tell whether an answer need be read: what a filter asks for is in its bytes, its request, or what changed."""
        said = [sent_in(exchange), orjson.loads(change) if change else {}]
        data = data_of(exchange) if self._wanted else b""
        return all(orjson.dumps(value) in data or _has(said, place, value) for place, value in self._wanted.items())

    def wants(self, *said: Mapping[str, Json]) -> bool:
        """Tell whether an answer, or its request, has what the list asks for."""
        return all(_has(said, place, value) for place, value in self._wanted.items())

    def told(self, rows: Sequence[Json], ids: Sequence[str], more: bool) -> Recalled:
        return Recalled(page=page_of(rows, ids, more))


def _has(said: Iterable[Mapping[str, Json]], place: Path, value: str) -> bool:
    return any(at(one, place) == value for one in said)


def _wanted(names: Sequence[str], asked: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield the places that must be so: NAME, or NAME[KEY] where NAME[] is known; others are no filters."""
    for given, value in asked.items():
        name, _, key = given.removesuffix("]").partition("[")
        if (f"{name}[]" if key else given) in names:
            yield (name, key) if key else (name,), value


def data_of(exchange: Exchange) -> bytes:
    """Return the bytes of an answer: what is not in them need not be read."""
    return b"".join([exchange.later.body if exchange.later else b"", *(item.data for item in exchange.timeline.frames)])


def sent_in(exchange: Exchange) -> Mapping[str, Json]:
    return exchange.claim.call.body if exchange.claim.call else {}
