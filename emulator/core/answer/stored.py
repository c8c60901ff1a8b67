"""Answers that are kept for later requests: what is recalled of one, and what is answered to who asks for it.

A session's journal keeps the answers, and the store knows them by their ids. `Request.recalled` is what `recall` says
of the one that a request names: so a request can be understood, and answered again, whatever became of that one since.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from emulator.core.answer.render import Rendered, Turn, render_id
from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.provider.holes import fill
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.values import Exchange, Keeping, Request


@frozen
class Recalled:
    """A kept answer: its body once it is done, when that is (None: it was never made afterwards), and its input.

    `items` are what it was asked for with, all that came before included.
    """

    response: Json
    items: Sequence[Json]
    due: float | None = None
    cancelled: bool = False

    def state(self, at: float) -> str:
        """Return the state of an answer, empty for one that is done."""
        if self.cancelled:
            return "cancelled"
        return "running" if self.due is not None and at < self.due else ""


def recalled(request: Request) -> Recalled | None:
    """Return what a request names, if it is kept."""
    return Recalled(*orjson.loads(request.recalled)) if request.recalled else None


def recall(provider: Provider, exchange: Exchange, cancelled: bool) -> bytes:
    """Return what is kept of an answered exchange; nothing, where its answer does not say it whole."""
    call, operation = exchange.claim.call, provider.operations.get(exchange.claim.operation or "")
    wire, timeline = operation.wire if operation else None, exchange.timeline
    if call is None or wire is None or wire.kept is None:
        return b""
    response = (
        orjson.loads(exchange.later[0])
        if exchange.later
        else wire.whole_in([frame.data for frame in timeline.frames], timeline.stream)
    )
    if response is None:
        return b""
    items = [*earlier(provider, exchange.request, operation), *wire.request.items(call.body)]
    return orjson.dumps([response, items, exchange.later[1] if exchange.later else None, cancelled])


def earlier(provider: Provider, request: Request, operation: Operation | None) -> list[Json]:
    """Return the items that come before those of a request: what the kept answer was asked for with, and its own."""
    found = recalled(request)
    if found is None or operation is None or operation.wire is None or operation.wire.kept is None:
        return []
    kept = operation.wire.kept
    return [*found.items, *kept.items(kept.now(found.response, found.state(request.at)))]


def keeping_of(turn: Turn, rendered: Rendered) -> Keeping | None:
    """Return what an answer does to those that are kept: it is kept itself, or it forgets or cancels another."""
    operation, call = turn.operation, turn.call
    if rendered.timeline.status >= 400:
        return None
    if operation.kind == "stored":
        ident, found = next(iter(call.params.values())), recalled(call.request)
        if operation.does == "forget":
            return Keeping("forget", ident)
        return Keeping("cancel", ident) if operation.does == "cancel" and found and found.state(turn.at) else None
    wire = operation.wire
    if not (rendered.id and wire and wire.kept and operation.kind == "chat"):
        return None
    body = {**turn.defaults} | {name: value for name, value in call.body.items() if value is not None}
    return Keeping("keep", rendered.id) if wire.request.is_stored(body) else None


def stored_answer(turn: Turn) -> Json:
    """Answer what asks for a kept answer; it is there, or the request would have been refused."""
    operation, call = turn.operation, turn.call
    wire = turn.provider.operations[operation.of].wire
    found = recalled(call.request)
    if found is None or wire is None or wire.kept is None:
        raise TypeError(f"{operation.name} was to be answered without what it asks for")
    path = {f"path.{name}": value for name, value in call.params.items()}
    if operation.does == "forget":
        return fill(operation.body, path)
    if operation.does == "list":
        return fill(operation.body, path | _page(turn, found))
    state = found.state(turn.at)
    return wire.kept.now(found.response, "cancelled" if operation.does == "cancel" and state else state)


def _page(turn: Turn, found: Recalled) -> dict[str, Json]:
    """Return a page of the items of a request, with ids."""
    of, names = turn.provider.operations[turn.operation.of], turn.operation.page
    wire = of.wire
    if wire is None or wire.kept is None:
        return {}
    form = wire.request
    ident = next(iter(turn.call.params.values()))

    def draw(item: Json, index: int) -> str:
        return render_id(of, form.kind(item), Draw("item", ident, index), turn.at)

    items = list(wire.kept.listed(found.items, *form.fields_of_message, draw))
    asked = {**turn.defaults, **turn.call.body}
    if asked.get(names["order"]) != names["oldest_first"]:
        items.reverse()
    ids = [wire.kept.id_of(item) for item in items]
    begin = ids.index(asked[names["after"]]) + 1 if asked.get(names["after"]) in ids else 0
    limit = str(asked.get(names["limit"], len(items)))
    end = begin + (int(limit) if limit.isdecimal() and len(limit) < 10 else len(items))
    page = ids[begin:end]
    return {
        "items": items[begin:end], "first_id": page[0] if page else None, "last_id": page[-1] if page else None,
        "has_more": end < len(items),
    }  # fmt: skip
