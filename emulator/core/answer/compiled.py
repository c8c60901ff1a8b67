"""Forms: answers that wait for nothing, compiled to bytes with holes for what differs from one time to the next.

A form is rendered as any answer is, but with marks for the time, the numbers and the draws: where they are found are
its holes. It is kept only where, filled, it gives to the byte what was rendered for the request at hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Literal

import orjson

from emulator.core.answer.framing import STATUS_LINES, in_one_piece
from emulator.core.answer.render import PLAIN
from emulator.core.cache import LruCache
from emulator.core.durations import duration_text, time_text
from emulator.core.errors import Json
from emulator.core.scenario.session import Session
from emulator.core.seeded_random import Draw, series
from emulator.core.stored_answers import Keeping
from emulator.core.values import Call, Claim, Exchange, Grant, Request

#: Gives what fills a hole: from the draws of the rule, the time of the request, and the grant.
Filler = Callable[[Draw, float, Grant], bytes]
#: Renders an answer, from draws that are made by the last argument.
Render = Callable[[Request, Claim, Grant, Callable[..., Draw]], Exchange]

#: The longest body that is compiled: bytes.
LONGEST = 100_000
#: The longest text by which a form is found; a digest stands for longer ones.
LONGEST_KEY = 200
#: Between these times, in Unix seconds, `created` has as many digits as its mark.
FROM, UNTIL = 1e9, 1e10
#: No mark is a part of another.
_AT, _NUMBER, _REMAINING, _TOKENS = 9_444_444_444, 8_111_111_111_111_111, 7_222_222_222_222_222, 5_555_555_555_555_555
_RESET, _RESET_TOKENS = 243_333_333_333, 246_666_666_666  # in the years 9680 and 9786: later ones have no date
_NUMBERS: Mapping[bytes, Filler] = {
    b"%d" % _AT: lambda draw, at, grant: b"%d" % at,
    b"%d" % _NUMBER: lambda draw, at, grant: b"%d" % grant.number,
    b"%d" % _REMAINING: lambda draw, at, grant: b"%d" % (grant.standing.remaining or 0),
    b"%d" % _TOKENS: lambda draw, at, grant: b"%d" % (grant.standing.tokens_left or 0),
    b"%d" % _RESET: lambda draw, at, grant: b"%d" % math.ceil(grant.standing.reset),
    duration_text(_RESET - _AT).encode(): lambda draw, at, grant: duration_text(grant.standing.reset - at).encode(),
    time_text(_AT).encode(): lambda draw, at, grant: time_text(int(at)).encode(),
    time_text(_RESET).encode(): lambda draw, at, grant: time_text(grant.standing.reset).encode(),
    b"%d" % _RESET_TOKENS: lambda draw, at, grant: b"%d" % math.ceil(grant.standing.tokens_back),
    duration_text(_RESET_TOKENS - _AT).encode(): lambda draw, at, grant: duration_text(
        grant.standing.tokens_back - at
    ).encode(),
    time_text(_RESET_TOKENS).encode(): lambda draw, at, grant: time_text(grant.standing.tokens_back).encode(),
}


@dataclass(frozen=True, slots=True, eq=False)
class CompiledAnswer:
    """A compiled answer; `example` is one that was rendered, without what was asked and sent: see `_summary`."""

    example: Exchange
    line: bytes  # the status line
    head: bytes  # the other header lines, %b for each hole
    in_head: tuple[Filler, ...]
    body: tuple[bytes, ...]  # framed; `unit` stands between its parts
    unit: bytes  # with marks that are as long as what takes their place
    in_unit: tuple[tuple[bytes, Filler], ...]
    size: int  # bytes of the body without its framing: they are kept as long as the form is
    draws: Callable[[int], Draw]  # of the n-th claim
    again: Callable[[Request, Grant], Exchange]
    kept: tuple[Keeping, Filler] | None = None  # of an answer that is kept: how, and its id

    def keeping(self, at: float, grant: Grant) -> Keeping | None:
        """Return what one answer does to those that are kept."""
        if self.kept is None:
            return None
        keeping, ident = self.kept
        return replace(keeping, id=ident(self.draws(grant.n), at, grant).decode())

    def fill(self, at: float, grant: Grant) -> tuple[bytes, bytes]:
        """Return the header lines and the body for one request."""
        draw, unit = self.draws(grant.n), self.unit
        for mark, fill in self.in_unit:
            unit = unit.replace(mark, fill(draw, at, grant))
        return self.head % tuple([fill(draw, at, grant) for fill in self.in_head]), unit.join(self.body)


class _Marks(Draw):
    """Draws that remember what was drawn by a label; `steady` where nothing else was drawn."""

    __slots__ = ("fillers", "steady")

    def __init__(self) -> None:
        super().__init__("marks")
        self.fillers: dict[bytes, Filler] = {}
        self.steady = True

    def number(self, label: str, bits: int = 64) -> int:
        self.steady = False
        return super().number(label, bits)

    def alnum(self, label: str, length: int = 24) -> str:
        return self._mark(super().alnum(label, length), lambda draw, at, grant: draw.alnum(label, length).encode())

    def hex(self, label: str, length: int = 24) -> str:
        return self._mark(super().hex(label, length), lambda draw, at, grant: draw.hex(label, length).encode())

    def ulid(self, label: str, at: float) -> str:
        return self._mark(super().ulid(label, at), lambda draw, at, grant: draw.ulid(label, at).encode())

    def _mark(self, text: str, filler: Filler) -> str:
        self.fillers[text.encode()] = filler
        return text


def compile_form(
    render: Render, request: Request, claim: Claim, grant: Grant, draws: Callable[[int], Draw],
    again: Callable[[Request, Grant], Exchange],
) -> CompiledAnswer | None:  # fmt: skip
    """Compile what a request is answered; None where it waits, is long, or draws more than ids."""
    example = render(request, claim, grant, Draw)
    wanted = in_one_piece(example.timeline)
    marks = _Marks()
    marked = render(*_marked(request, claim, grant), lambda *parts: marks)
    pieces = in_one_piece(marked.timeline)
    if wanted is None or pieces is None or len(wanted[1]) > LONGEST or not marks.steady:
        return None
    head, body = pieces
    fillers = {**_NUMBERS, **marks.fillers}
    parts = re.split(b"(%b)" % b"|".join(map(re.escape, fillers)), head)
    in_body = [mark for mark in fillers if mark in body]
    unit = _unit(body, in_body)
    compiled = CompiledAnswer(
        _summary(example),
        STATUS_LINES[example.timeline.status],
        b"".join(b"%b" if part in fillers else part.replace(b"%", b"%%") for part in parts),
        tuple(fillers[part] for part in parts if part in fillers),
        tuple(body.split(unit)) if in_body else (body,),
        unit,
        tuple((mark, fillers[mark]) for mark in in_body),
        sum(len(frame.data) for frame in example.timeline.frames),
        draws,
        again,
        (marked.keeping, _filler(marked.keeping.id.encode(), fillers)) if marked.keeping else None,
    )
    return compiled if compiled.fill(request.at, grant) == wanted else None


def _filler(text: bytes, fillers: Mapping[bytes, Filler]) -> Filler:
    """Return what fills a text with marks."""
    marks = [(mark, fill) for mark, fill in fillers.items() if mark in text]

    def filled(draw: Draw, at: float, grant: Grant) -> bytes:
        found = text
        for mark, fill in marks:
            found = found.replace(mark, fill(draw, at, grant))
        return found

    return filled


def _summary(exchange: Exchange) -> Exchange:
    """Leave of an exchange what all that are answered alike share, and a count or a log line tells: no long bytes."""
    call = exchange.claim.call
    return replace(
        exchange,
        claim=replace(exchange.claim, call=None),
        request=replace(exchange.request, headers={}, query="", body=b""),
        timeline=replace(exchange.timeline, frames=()),
        model=exchange.model or (call.model if call else ""),
    )


def _unit(body: bytes, marks: list[bytes]) -> bytes:
    """Return the bytes between which a body is always the same: what begins each chunk of a stream, or all of it."""
    if not marks:
        return b""
    begins = min(map(body.index, marks))
    ends = max(body.index(mark) + len(mark) for mark in marks)
    unit = body[begins:ends]
    alike = all(body.count(mark) == body.count(unit) * unit.count(mark) for mark in marks)
    return unit if alike else body


def _marked(request: Request, claim: Claim, grant: Grant) -> tuple[Request, Claim, Grant]:
    """Put marks in the place of the time and the numbers."""
    standing = replace(grant.standing, reset=float(_RESET), tokens_reset=float(_RESET_TOKENS))
    if standing.remaining is not None:
        standing = replace(standing, remaining=_REMAINING)
    if standing.tokens_left is not None:
        standing = replace(standing, tokens_left=_TOKENS)
    request = replace(request, at=float(_AT))
    call = claim.call and claim.call.of(request, claim.call.elapsed)
    return request, replace(claim, at=request.at, call=call), replace(grant, number=_NUMBER, standing=standing)


# What the answers to one rule depend on, by the kind of its reply


def _message(call: Call) -> Json:
    said = call.conversation
    asked = said.choices, said.usage, said.reasoning
    if said.cap is None and said.logprobs is None and not (said.stop or said.echoes or said.tools):
        return said.stream, _short(said.model), call.prompt_tokens, asked, ""
    more = [said.stop, said.cap, said.logprobs, said.echoes, [tool.name for tool in said.tools if tool.custom]]
    return said.stream, _short(said.model), call.prompt_tokens, asked, _short(repr(more))  # 1, 1.0, True are one key


def _prompt(call: Call) -> Json:
    return _short(call.model), call.prompt_tokens


def _all_said(call: Call) -> Json:
    return call.stream, _short(call.request.query), _digest(call.request.body)


def echoed(claim: Claim) -> str | bytes:
    """Return what an answer repeats of its request, whether it is kept, and how its events follow one another."""
    if claim.call is None or claim.wire is None:
        return b""
    if not claim.wire.depends_on:
        return claim.wire.framing(claim.call.request.query) if claim.wire.framings else b""
    body = claim.call.body
    data = orjson.dumps({name: body[name] for name in claim.wire.depends_on if name in body})
    return data if len(data) <= LONGEST_KEY else _digest(data)


def _short(text: str) -> str | bytes:
    return text if len(text) <= LONGEST_KEY else _digest(text.encode(errors="surrogatepass"))


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


SHAPES: Mapping[str, Callable[[Call], Json]] = {
    "message": _message,
    "json": _prompt,
    "events": _prompt,
    "error": _prompt,
    "embedding": _all_said,
    "builtin": _all_said,
}


# What was answered before

#: How many forms are remembered.
MOST_FORMS = 256
#: Session, provider, operation, rule, number of the reply, path parameters, what else of the call it depends on, and
#: what it repeats of it.
_Name = tuple[Session, str, str | None, str, int, tuple[str, ...], Json, str | bytes]


class AnswerCache:
    """Remembers forms by what they depend on."""

    def __init__(self, answer: Callable[..., Exchange], again: Callable[..., Exchange]) -> None:
        self._answer = answer
        self._again = again
        self._forms: LruCache[_Name, CompiledAnswer | Literal["seen", "unfit"]] = LruCache(MOST_FORMS)

    def compiled(self, session: Session, request: Request, claim: Claim, grant: Grant) -> CompiledAnswer | None:
        """Return the answer as a form where one like it was given before."""
        call, unusual = claim.call, claim.idempotency or claim.history or session.chaos or grant.standing.exceeded
        if call is None or unusual or request.recalled or not FROM <= request.at < UNTIL:
            return None
        if claim.wire and claim.wire.kept and claim.wire.request.conversation(call.body):
            return None  # the next one goes on from this one
        index = session.rules_for(claim.provider, call.operation)
        if grant.candidate is None and index.rules:
            return None
        chosen = claim.candidates[grant.candidate] if grant.candidate is not None else None
        if chosen and chosen.model:
            return None  # who answers depends on how often others failed
        rule = index.by_id[chosen.rule] if chosen else None
        number = rule.reply_at(grant.turn) if rule else 0
        reply = rule.replies[number] if rule else PLAIN
        shape = SHAPES.get(reply.kind)
        if shape is None or reply.fill or reply.faults:
            return None
        rule_id = rule.id if rule else "built-in"
        params = tuple(call.params.values()) if call.params else ()
        name = (session, claim.provider, claim.operation, rule_id, number, params, shape(call), echoed(claim))
        compiled = self._forms.get(name)
        if compiled is None:
            self._forms.put(name, "seen")
        elif compiled == "seen":
            draws = series(session.seed, rule_id)
            answer, again = partial(self._answer, session), partial(self._again, session)
            compiled = compile_form(answer, request, claim, grant, draws, again) or "unfit"
            self._forms.put(name, compiled)
        return compiled if isinstance(compiled, CompiledAnswer) else None

    def forget(self, session: Session) -> None:
        """Let go of what was remembered of a session that is gone."""
        self._forms.drop(lambda name: name[0] is session)
