"""A message on the wire: one body, or a stream of events, in the operation's form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, repeat

import orjson

from emulator.core.answer.completion import reasoning_cost, say, told
from emulator.core.answer.render import JSON_TYPE, PLAIN, Rendered, Turn, prune, render_body, render_id, whole, wire_of
from emulator.core.durations import FOREVER
from emulator.core.errors import Json, Refusal, Violation
from emulator.core.scenario.scenario import Reply
from emulator.core.schema.defaults import echoed
from emulator.core.stored_answers import Kept
from emulator.core.tokens import pieces
from emulator.core.tree import compact
from emulator.core.values import Frame, Later, Note, Timeline
from emulator.core.wires.completion import Completion, Part, named_usage, neutral_usage
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.sse import TYPES, event, framed

#: An answer, and what is worth knowing of it.
_Written = tuple[Timeline, tuple[Note, ...]]

#: How many tokens several choices may have together; no doc says so.
MAX_TOGETHER = 100_000
#: In how many pieces a text is streamed, in all choices together: writing more would keep other requests waiting.
MOST_PIECES = 20_000
#: The longest text whose pieces are remembered: characters.
LONGEST_REMEMBERED = 5_000


def render_message(turn: Turn, content: Mapping[str, Json], reply: Reply = PLAIN) -> Rendered:
    """Render text, tool calls or a refusal, whole or streamed as the call asked.

    Raises: Refusal invalid_request, where so many choices are asked for that the answer would be too long.
    """
    completion, tokens, notes = say(turn, content, reply)
    choices = turn.call.conversation.choices
    _check_together(turn, tokens)
    said, thought = completion, 0
    if any(part.kind == "reasoning" for part in completion.parts):
        said, untold = told(turn, completion)
        notes = (*notes, *untold)
        thought = reasoning_cost(completion) * choices
    usage = _usage(turn, tokens * choices, thought, reply)
    saying = answer_values(turn, Completion(said.parts, said.finish, usage, stopped=said.stopped), choices)
    spent = usage["total"] if usage else turn.call.prompt_tokens + tokens * choices
    wire, kept = wire_of(turn), wire_of(turn).kept
    if kept and not turn.call.stream and wire.request.is_later(turn.call.body):
        timeline, queued = _afterwards(turn, kept, wire.whole(saying), reply)
        return Rendered(timeline, named_usage(usage), spent, completion.finish, notes, saying.id, queued)
    timeline, more = (_stream if turn.call.stream else _whole)(turn, saying, reply)
    later = Later(wire.whole(saying), timeline.end_at, timeline.frames) if kept and saying.later else None
    return Rendered(timeline, named_usage(usage), spent, completion.finish, (*notes, *more), saying.id, later)


def _afterwards(turn: Turn, kept: Kept, data: bytes, reply: Reply) -> tuple[Timeline, Later]:
    """Say at once that an answer is to come; its latency is the time until it is there."""
    latency = reply.latency.draw(turn.draw, "latency")
    return render_body(kept.now(orjson.loads(data), "queued"), reply.status or 200), Later(data, latency)


def answer_values(turn: Turn, completion: Completion, choices: int = 1) -> AnswerValues:
    """Return what is written of a completion: with its ids drawn, and what it repeats of the request."""
    wire, operation, model = wire_of(turn), turn.operation, turn.provider.models.get(turn.call.model)
    items = [
        render_id(operation, part.kind, turn.draw, turn.at, str(index))
        for index, part in enumerate(completion.parts if wire.items else ())
    ]
    return AnswerValues(
        completion=completion,
        id=render_id(operation, "response", turn.draw, turn.at),
        created=int(turn.at),
        model=turn.model,
        choices=choices,
        echoes=turn.call.conversation.echoes,
        items=items,
        echo=echoed(operation.request, turn.call.body, wire.echoes, model.told if model else {}) if wire.echoes else {},
        later=wire.request.is_later(turn.call.body),
        conversation=wire.request.conversation(turn.call.body) or None,
        signs=model is not None and model.signs,
        padded_by=None if wire.request.is_unpadded(turn.call.body) else turn.seed,
        prices=(model.pricing["input_per_million"], model.pricing["output_per_million"])
        if model and model.pricing
        else None,
    )


def _usage(turn: Turn, tokens: int, reasoning: int, reply: Reply) -> dict[str, int] | None:
    if reply.usage == "none":
        return None
    given = neutral_usage(reply.usage) or {}
    told, said = given.get("input", turn.call.prompt_tokens), given.get("output", tokens)
    usual = {"reasoning": reasoning}
    details = {name: given.get(name, usual.get(name, 0)) for name in wire_of(turn).details}
    return {"input": told, "output": said, "total": told + said, **details}


def _check_together(turn: Turn, tokens: int) -> None:
    choices = turn.call.conversation.choices
    if choices > 1 and choices * tokens > MAX_TOGETHER:
        name = wire_of(turn).request.path("choices")
        message = (
            f"{choices} choices of {tokens} tokens are too many: an answer has at most {MAX_TOGETHER} tokens where "
            f"{name} is over 1 (a bound of the emulator's, assumed)"
        )
        raise Refusal("invalid_request", details=[Violation(name, message)])


def _whole(turn: Turn, saying: AnswerValues, reply: Reply) -> _Written:
    data = wire_of(turn).whole(saying)
    if turn.strict:
        data = orjson.dumps(prune(orjson.loads(data), turn, "response"))
    return whole(data, reply.status or 200, (JSON_TYPE,), reply.latency.draw(turn.draw, "latency")), ()


def _stream(turn: Turn, saying: AnswerValues, reply: Reply) -> _Written:
    wire = wire_of(turn)
    notes: list[Note] = []
    probable = turn.call.conversation.logprobs is not None
    parts = saying.completion.parts
    pieces = [
        _pieces(part, how, saying.choices, notes, probable)
        for part, how in zip(parts, _splits(parts, reply.pace.split), strict=True)
    ]
    usage = turn.call.conversation.usage and (wire.request.tells_usage or not turn.strict)
    events: list[tuple[bytes, str]] = wire.streamed(saying, pieces, usage)
    if turn.strict:
        events = [(data if kind == "done" else _pruned_chunk(turn, data), kind) for data, kind in events]
    return timed(turn, events, reply), tuple(notes)


def _splits(parts: Sequence[Part], how: Json) -> Iterator[Json]:
    """Yield how each part is split: where pieces are given, by those whose turn it is.

    What is no text is split so where the pieces are its own, else by tokens.
    """
    if not isinstance(how, list):
        yield from [how] * len(parts)
        return
    left = how
    for part in parts:
        count = _count(part.text, left)
        if count is not None:
            yield left[:count]
        elif part.kind in ("text", "refusal"):
            yield left
            count = len(left)
        else:
            yield "tokens"
        left = left[count or 0 :]


def _count(text: str, pieces: Sequence[str]) -> int | None:
    """Return how many pieces are a text; None where they are another."""
    at = count = 0
    while at < len(text):
        if count == len(pieces) or not pieces[count] or not text.startswith(pieces[count], at):
            return None
        at += len(pieces[count])
        count += 1
    return count


def _pieces(part: Part, how: Json, choices: int, notes: list[Note], probable: bool) -> Iterable[bytes]:
    """Return the pieces of a part as JSON, and note where they are larger than asked; short ones are remembered.

    Where its tokens are told, they are its pieces.

    Others are encoded one by one: orjson takes a kilobyte for each, however short it is.
    """
    if probable and part.tokens and how == "tokens":
        how = [token.text for token in part.tokens]
    if isinstance(how, list) or choices > 1 or len(part.text) > LONGEST_REMEMBERED:
        return map(orjson.dumps, _bounded(split(part.text, how), MOST_PIECES // choices, notes))
    return _remembered(part.text, how)


def _bounded(pieces: Sequence[str], most: int, notes: list[Note]) -> Sequence[str]:
    """Join pieces, where there are more than the most."""
    if len(pieces) <= most:
        return pieces
    size = math.ceil(len(pieces) / most)
    larger = ["".join(pieces[start : start + size]) for start in range(0, len(pieces), size)]
    notes.append(Note(None, "stream", f"{len(pieces)} pieces were sent as {len(larger)}, which is the most"))
    return larger


@lru_cache(maxsize=64)
def _remembered(text: str, how: Json) -> list[bytes]:
    return list(map(orjson.dumps, split(text, how)))


def _pruned_chunk(turn: Turn, data: bytes) -> bytes:
    name, begin, chunk = data.partition(b"data: ")
    return name + begin + orjson.dumps(prune(orjson.loads(chunk), turn, "chunk")) + b"\n\n"


# Event streams


def render_events(turn: Turn, items: Sequence[Json], reply: Reply) -> Timeline:
    """Render raw data items as an event stream."""
    wire = turn.operation.wire
    events = []
    for item in items:
        data = (item if isinstance(item, str) else compact(item)).encode(errors="replace")
        last = wire is not None and wire.ends(data)
        events.append((wire.event(data) if wire else event(data), "done" if last else "data"))
    return timed(turn, events, reply)


def split(text: str, how: Json) -> list[str]:
    """Split a text into the pieces of a stream; joined, they are the text again.

    `how`: tokens, words, chars, a number of characters, or a list of pieces whose lengths are taken.
    """
    if isinstance(how, list):
        return _cut_alike(text, how)
    if how == "tokens":
        return pieces(text)
    if how == "words":
        words = text.split(" ")
        return [word if not index else " " + word for index, word in enumerate(words) if word or index]
    size = 1 if how == "chars" else how
    return [text[start : start + size] for start in range(0, len(text), size)]


def _cut_alike(text: str, parts: Iterable[str]) -> list[str]:
    """Cut a text where the pieces end; what is longer than all of them is the last piece."""
    kept, start = [], 0
    for part in parts:
        kept.append(text[start : start + len(part)])
        start += len(part)
    return [piece for piece in (*kept, text[start:]) if piece]


def timed(turn: Turn, events: Sequence[tuple[bytes, str]], reply: Reply) -> Timeline:
    """Frame events and give each its time: latency, then ttft, then itl between the following; the last one at once."""
    framing = turn.operation.wire.framing(turn.call.request.query) if turn.operation.wire else "sse"
    events = framed(events, framing)
    latency = reply.latency.draw(turn.draw, "latency")
    begun, waits = 0.0 if latency == FOREVER else latency, _waits(turn, events, reply)
    silent = FOREVER in waits
    times = list(accumulate([0.0 if wait == FOREVER else wait for wait in waits] if silent else waits, initial=begun))
    data, kinds = zip(*events, strict=True) if events else ((), ())
    kinds = tuple(["data" if kind == "along" else kind for kind in kinds]) if "along" in kinds else kinds
    frames = list(map(Frame._make, zip(times[1:], data, kinds, strict=True)))
    if silent:
        pairs = [(Frame(frame.at, b"", "hold"), frame) if wait == FOREVER else (frame,)
                 for wait, frame in zip(waits, frames, strict=True)]  # fmt: skip
        frames = [frame for pair in pairs for frame in pair]
    headers = (("content-type", TYPES[framing]),)
    return Timeline(reply.status or 200, headers, tuple(frames), True, latency, "complete", times[-1])


def _waits(turn: Turn, events: Sequence[tuple[bytes, str]], reply: Reply) -> list[float]:
    """Return the wait before each event; the last, and what comes along, come at once, unless nothing else does."""
    pace, model = reply.pace, turn.provider.models.get(turn.model)
    if pace.documented and model:
        waits = [model.ttft, *repeat(model.itl, len(events) - 1)][: len(events)]
    else:
        given = [pace.ttft, *pace.waits][: len(events)]
        waits = [wait.draw(turn.draw, f"wait/{index}") for index, wait in enumerate(given)]
        if pace.itl.kind == "fixed":
            waits += repeat(pace.itl.first, len(events) - len(given))
        else:
            waits += [pace.itl.draw(turn.draw, f"wait/{index}") for index in range(len(given), len(events))]
    for index, (_, kind) in enumerate(events):
        if kind != "data" and index:
            waits[index] = 0.0
    return waits
