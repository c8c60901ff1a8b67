"""Checks of good answers: their shape, whole and streamed, tool calls, and which model gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

from emulator.contract.case_client import TEXT, CaseClient, Changes, content
from emulator.contract.checks.deltas import ORDER, UNLIKE_WHOLE, last_step
from emulator.contract.client import Answer
from emulator.contract.expectations import accepted, conform, counted, demand, equal, first, hold, pick, whole
from emulator.core.errors import Json
from emulator.core.wires.completion import COUNTS
from emulator.core.wires.sse import TYPES
from emulator.core.wires.wire import Wire

#: Long enough to come in several chunks, short enough for any default that cuts.
SHORT_TEXT = "One, two, three, four, five."

#: Fewer deltas may each begin with the one before by chance.
_GROWING = 4
_REPEATS = 2
_LONGER = 100
_WHOLE_EVENT = "each event has a data line and ends in an empty line"


def endpoint(client: CaseClient, *, version: str) -> None:
    """Chat completions are at the base URL, which ends in `version`, and the path of the good request."""
    answer = client.chat()
    path = urlsplit(client.session.base_url).path
    equal(answer, f"the base URL ends in {version}", version, path[len(path) - len(version) :], assumed=True)
    content(client, answer, f"POST {version}{client.ask.path}")


def shape(client: CaseClient, *, schema: Json) -> None:
    """A whole answer has this shape; its usage adds up, and its text is what the model said."""
    told = client.arrange({"text": SHORT_TEXT})
    answer = client.chat()
    value = whole(answer)
    conform(answer, value, schema, "the answer's")
    total = client.wire.place("usage.total")
    if total and pick(value, total):
        counts = [counted(answer, value, client.wire, name) for name in COUNTS]
        equal(answer, f"{total} is the sum of the others", counts[0] + counts[1], counts[2])
    if told:
        equal(answer, "the content is what the model said", SHORT_TEXT, content(client, answer))


def arranged(
    client: CaseClient, *, reply: Changes, send: Changes, schema: Json, before: Sequence[Changes] = ()
) -> None:
    """The answer to a reply that is arranged, behind others, has this shape; of a stream, the list of its events."""
    client.session.answer(*before, reply)
    answer = accepted(client.chat(send), "a request with an arranged answer")
    value = answer.json if answer.events is None else [event.json for event in answer.events]
    conform(answer, value, schema, "the answer's")


def listed(client: CaseClient, *, chunk: Json = True, refused: Json = True) -> None:
    """A stream that is asked for without a word on its form is a JSON array of chunks; a refusal is one of one item."""
    told = client.arrange({"text": SHORT_TEXT})
    path, body = client.ask.sent(client.body(client.asks(stream=True)))
    path = path.partition("?")[0]
    answer = accepted(client.post(path, body), "a request for a stream")
    equal(answer, "an array has its content type", "application/json", answer.media_type)
    items = answer.json
    what = "a stream for which no form was asked is a list"
    hold(answer, what, isinstance(items, list) and len(items) > 1, "a list", items)
    for item in items:
        conform(answer, item, chunk, "an item's")
    if told:
        equal(answer, "its items together are what the model said", SHORT_TEXT, "".join(_texts(client.wire, items)))
    refusal = client.post(path, {**body, **client.ask.spoilt})
    client.refused(refusal, "invalid_request", "an invalid request for an array")
    conform(refusal, refusal.json, refused, "the refusal's")


def breaks(client: CaseClient, *, error: str, after_chunks: int, pattern: str) -> None:
    """A stream that fails in its middle ends with this form, a regular expression."""
    fault = {"error_event": {"error": error, "after_chunks": after_chunks}}
    client.session.answer({"text": SHORT_TEXT, "faults": [fault]})
    answer = accepted(client.chat(client.asks(stream=True)), "a request for a stream")
    good = bool(re.search(pattern, answer.text))
    hold(answer, "a stream that fails ends with its error", good, pattern, answer.text[-300:])


def comments(client: CaseClient, *, reply: Changes, comment: str) -> None:
    """A stream that waits has this line between its events."""
    client.session.answer(reply)
    answer = accepted(client.chat(client.asks(stream=True)), "a request for a stream that waits")
    lines = [line for line in answer.text.splitlines() if line.startswith(":")]
    hold(answer, "a stream that waits has comments", comment in lines, comment, lines[:3])


def prompt_counts(client: CaseClient) -> None:
    """A longer prompt has more prompt tokens."""
    short, long = client.chat(), client.chat(client.says("Hello! " * _LONGER))
    place = client.wire.place("usage.input")
    few, many = (demand(answer, whole(answer), place, int) for answer in (short, long))
    hold(long, f"{place} grows with the prompt", many > few, f"> {few}", many)


def stream(
    client: CaseClient,
    *,
    chunk: Json = True,
    done: Literal["documented", "assumed", "no"] = "documented",
    ordered: bool = False,
) -> None:
    """A stream's events are data lines with chunks of this shape, whose text is what the model said."""
    told = client.arrange({"text": SHORT_TEXT})
    answer = client.chat(client.asks(stream=True))
    chunks = read_stream(client.wire, answer, done)
    for item in chunks:
        conform(answer, item, chunk, "a chunk's")
    texts = _texts(client.wire, chunks)
    hold(answer, "the text of each delta is a string", all(isinstance(text, str) for text in texts), "strings", texts)
    said = "".join(texts)
    wanted = SHORT_TEXT if told else said or "some text"
    equal(answer, "the deltas together are what the model said", wanted, said)
    hold(answer, "the content comes in parts", len(texts) > 1 or len(said) < 20, "several deltas", len(texts))
    growing = len(texts) >= _GROWING and all(one != more and more.startswith(one) for one, more in pairwise(texts))
    hold(answer, "each delta has only the text that is new", not growing, "the text that follows", texts[:_GROWING])
    if ordered:
        _order(client.wire, answer, chunks)
    if not told:
        _same_as_whole(client, answer, said)


def _texts(wire: Wire, chunks: Sequence[Json]) -> list[Json]:
    return [text for text in pick(chunks, f"*.{wire.place('text.piece', '*')}") if text]


def _same_as_whole(client: CaseClient, answer: Answer, said: str) -> None:
    """Demand the text that a whole answer has; judged only where both repeat, which no doc promises."""
    told = first(client.chat().json, client.wire.place("text"))
    if told == said or not isinstance(told, str):
        return
    for _ in range(_REPEATS):
        streamed = _texts(client.wire, read_stream(client.wire, client.chat(client.asks(stream=True)), "no"))
        if first(client.chat().json, client.wire.place("text")) != told or "".join(map(str, streamed)) != said:
            return
    equal(answer, "the same is streamed as whole", told, said, assumed=True, difference=UNLIKE_WHOLE)


def read_stream(wire: Wire, answer: Answer, done: Literal["documented", "assumed", "no"] = "assumed") -> list[Json]:
    """Demand a stream of JSON objects in data lines, ended once as it should; return them. Raises: Differs."""
    accepted(answer, "a request for a stream")
    equal(answer, "a stream has its content type", wire.stream_type, answer.media_type)
    events = answer.events or ()
    whole_one = "each line has an object and ends" if wire.stream_type == TYPES["ndjson"] else _WHOLE_EVENT
    for event in events:
        hold(answer, whole_one, event.data is not None and event.whole, "data: …", event.data)
    if done != "no" and wire.has_end:
        _ended(wire, answer, silent=done == "assumed")
    said = [event for event in events if event.data not in wire.texts]
    hold(answer, "a stream has chunks", bool(said), "at least one", 0)
    for event in said:
        item = event.json
        hold(answer, "each chunk is a JSON object", isinstance(item, dict), "object", item)
        if wire.event_name:
            equal(answer, f"an event is named as its {wire.event_name} says", item.get(wire.event_name), event.name)
        elif names := wire.event_names(item):
            hold(answer, "an event has its name", event.name in names, " or ".join(names), event.name)
    return [event.json for event in said]


def _ended(wire: Wire, answer: Answer, silent: bool) -> None:
    """Demand a stream's end where its wire has one: last, and once. `silent`: it is assumed."""
    data = [event.data for event in answer.events or ()]
    ends = [index for index, item in enumerate(data) if item is not None and wire.ends(item.encode())]
    once = f"{wire.last} comes last and once"
    hold(answer, f"{once}, and this stream has no `data: {wire.last}`", bool(ends), wire.last, None, silent)
    equal(answer, once, [len(data) - 1], ends, silent)


def stream_end(client: CaseClient) -> None:
    """A stream, where there is one, ends as its wire says: last and once. Whatever else it holds is not looked at."""
    answer = accepted(client.chat(client.asks(stream=True)), "a request for a stream", promised=False)
    equal(answer, "a stream has its content type", client.wire.stream_type, answer.media_type, assumed=True)
    _ended(client.wire, answer, silent=False)


def _order(wire: Wire, answer: Answer, chunks: Sequence[Json]) -> None:
    """Demand: what begins, then text, then why it ended in an empty delta; named events may say other things too."""
    places = [wire.place(name) for name in ("start.mark", "text.piece", "finish.finish")]
    begin, text, end = map(last_step, places)
    kinds = [" and ".join(last_step(place) for place in places if any(pick(item, place))) or "empty" for item in chunks]
    kinds = [kind for kind in kinds if kind != "empty" or not wire.names_events]
    wanted = [begin, *[text] * (len(kinds) - 2), end]
    equal(answer, f"the chunks come in order: {begin}, {text}, {end}", wanted, kinds, difference=ORDER)


def model_auto(client: CaseClient, *, ask: str = "auto", listed_at: str | None = None) -> None:
    """A request for `ask` names the model chosen; that one can be asked for by name, and is listed."""
    answer = client.chat(client.asks(model=ask))
    chosen = demand(answer, whole(answer), client.wire.place("model"), str)
    hold(answer, f"the answer to {ask} names the model chosen", chosen not in ("", ask), "a model's id", chosen)
    named = client.chat(client.asks(model=chosen))
    equal(named, f"{chosen}, once chosen, answers by its name", chosen, first(whole(named), client.wire.place("model")))
    if listed_at:
        listing = client.send("GET", listed_at)
        ids = pick(whole(listing, f"GET {listed_at}"), "data.*.id")
        hold(listing, f"{listed_at} lists the model chosen", chosen in ids, chosen, ids)


def models_named(client: CaseClient, *, models: Sequence[str]) -> None:
    """Each model answers by its name, and the answer names it."""
    for model in models:
        answer = client.chat(client.asks(model=model))
        equal(answer, f"{model} answers by its name", model, first(whole(answer, model), client.wire.place("model")))


def pace(client: CaseClient, *, faster: str, slower: str, reply: Changes) -> None:
    """A stream of `reply`, paced as documented, takes the faster model less time than the slower one."""
    client.session.answer({"text": TEXT, **reply})
    took = {}
    for model in (faster, slower):
        start = client.session.now()
        answer = accepted(client.chat(client.asks(model=model, stream=True)), f"a paced stream of {model}")
        took[model] = client.session.now() - start
    hold(answer, f"{faster} is faster than {slower}", took[faster] < took[slower], "less time", took)
    hold(answer, f"{faster} takes time too", took[faster] > 0, "more than 0 s", took)
