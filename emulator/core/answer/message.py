"""A message on the wire: one body, or chunks: role | text pieces | tool calls | finish | usage | done."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import orjson

from emulator.core.answer.completion import Said, say
from emulator.core.answer.render import PLAIN, Rendered, Turn, prune, render_id, render_json
from emulator.core.answer.stream import event, split, timed
from emulator.core.errors import Json, Refusal, Violation
from emulator.core.scenario.scenario import Pace, Reply
from emulator.core.values import Call, Note, Timeline
from emulator.core.wires.chat import asks_usage

#: An answer, and what is worth knowing of it.
_Written = tuple[Timeline, tuple[Note, ...]]

MAX_CHOICES = 128
#: How many tokens several choices may have together; no doc says so.
MAX_TOGETHER = 100_000
#: In how many pieces a text is streamed, in all choices together: writing more would keep other requests waiting.
MOST_PIECES = 20_000
#: The longest text whose chunks are remembered: characters.
LONGEST_REMEMBERED = 5_000


def render_message(turn: Turn, content: Mapping[str, Json], reply: Reply = PLAIN) -> Rendered:
    """Render text, tool calls or a refusal, whole or streamed as the call asked.

    Raises: Refusal invalid_request, where so many choices are asked for that the answer would be too long.
    """
    said, notes = say(turn, content, reply)
    _check_together(choices_asked(turn.call), said.tokens)
    usage = _usage(turn, said, reply)
    render = _stream if turn.call.stream else _whole
    counted = turn.call.prompt_tokens + said.tokens * choices_asked(turn.call)
    tokens = usage["total_tokens"] if usage else counted
    timeline, more = render(turn, said, usage, reply)
    return Rendered(timeline, usage, tokens, said.finish_reason, (*notes, *more))


def _usage(turn: Turn, said: Said, reply: Reply) -> Mapping[str, int] | None:
    if reply.usage == "none":
        return None
    given = reply.usage or {}
    prompt = given.get("prompt_tokens", turn.call.prompt_tokens)
    completion = given.get("completion_tokens", said.tokens * choices_asked(turn.call))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def choices_asked(call: Call) -> int:
    """Return `n` where it is a number that makes sense, else 1."""
    number = call.body.get("n")
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MAX_CHOICES:
        return number
    return 1


def _check_together(choices: int, tokens: int) -> None:
    if choices > 1 and choices * tokens > MAX_TOGETHER:
        message = (
            f"{choices} choices of {tokens} tokens are too many: an answer has at most {MAX_TOGETHER} tokens where n "
            "is over 1 (a bound of the emulator's, assumed)"
        )
        raise Refusal("invalid_request", details=[Violation("n", message)])


def _whole(turn: Turn, said: Said, usage: Mapping[str, int] | None, reply: Reply) -> _Written:
    message: dict[str, Json] = {"role": "assistant", "content": said.text}
    if said.refusal is not None:
        message["refusal"] = said.refusal
    if said.calls:
        message["tool_calls"] = [
            {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}
            for ident, name, arguments in said.calls
        ]
    body = {
        "id": render_id(turn.operation, "response", turn.draw, turn.at),
        "object": "chat.completion",
        "created": int(turn.at),
        "model": turn.model,
        "choices": [
            {"index": index, "message": message, "finish_reason": said.finish_reason}
            for index in range(choices_asked(turn.call))
        ],
    }
    if usage:
        body["usage"] = usage
    return render_json(turn, body, reply), ()


def _stream(turn: Turn, said: Said, usage: Mapping[str, int] | None, reply: Reply) -> _Written:
    head = {
        "id": render_id(turn.operation, "response", turn.draw, turn.at),
        "object": "chat.completion.chunk",
        "created": int(turn.at),
        "model": turn.model,
    }
    begun = b"data: " + orjson.dumps(head)[:-1]
    endings, notes = _endings(said, reply.pace, choices_asked(turn.call))
    events = [(begun + ending, "data") for ending in endings]
    if turn.strict:
        events = [(_pruned_chunk(turn, data), kind) for data, kind in events]
    if usage and not turn.strict and asks_usage(turn.call.body):
        events.append((event(orjson.dumps({**head, "choices": [], "usage": usage})), "data"))
    events.append((event(turn.provider.done.encode()), "done"))
    return timed(turn, events, reply), notes


_Endings = tuple[Sequence[bytes], tuple[Note, ...]]


def _endings(said: Said, pace: Pace, choices: int) -> _Endings:
    """Return of each chunk's event what follows the fields that are the same in all; without ids, it is remembered."""
    length = len(said.text or said.refusal or "")
    if said.calls or isinstance(pace.split, list) or choices > 1 or length > LONGEST_REMEMBERED:
        return _write_endings(said, pace.split, choices)
    return _remembered_endings(said, pace.split, choices)


def _write_endings(said: Said, how: Json, choices: int) -> _Endings:
    notes: list[Note] = []
    chunks = [
        orjson.dumps({"index": index, "delta": delta, "finish_reason": reason})
        for delta, reason in _deltas(said, how, MOST_PIECES // choices, notes)
        for index in range(choices)
    ]
    return [b',"choices":[%b]}\n\n' % chunk for chunk in chunks], tuple(notes)


_remembered_endings = lru_cache(maxsize=64)(_write_endings)


def _pruned_chunk(turn: Turn, data: bytes) -> bytes:
    return event(orjson.dumps(prune(orjson.loads(data.removeprefix(b"data: ")), turn, "chunk")))


def _deltas(said: Said, how: Json, most: int, notes: list[Note]) -> Iterator[tuple[dict[str, Json], str | None]]:
    """Yield the delta and finish reason of each chunk; a text has at most so many pieces, and what is noted of it."""

    def parts(text: str, how: Json) -> Sequence[str]:
        pieces = split(text, how)
        if len(pieces) <= most:
            return pieces
        size = math.ceil(len(pieces) / most)
        larger = ["".join(pieces[start : start + size]) for start in range(0, len(pieces), size)]
        notes.append(Note(None, "stream", f"{len(pieces)} pieces were sent as {len(larger)}, which is the most"))
        return larger

    yield {"role": "assistant"}, None
    for piece in parts(said.text or "", how):
        yield {"content": piece}, None
    for piece in parts(said.refusal or "", how):
        yield {"refusal": piece}, None
    for index, (ident, name, arguments) in enumerate(said.calls):
        begun = {"index": index, "id": ident, "type": "function", "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [begun]}, None
        for piece in parts(arguments, how if isinstance(how, str | int) else "tokens"):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None
    yield {}, said.finish_reason
