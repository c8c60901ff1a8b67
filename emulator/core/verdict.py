"""The verdict on the client: what the docs, and good manners, ask of a caller, judged from a session's journal.

A call is the run of attempts with one operation and one body (model and stream aside), each begun after the one before
it failed. Waits are the longer of the session's time and real time, so that a client that really sleeps is seen too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from emulator.core.chat import canonical
from emulator.core.errors import Json
from emulator.core.provider import Fact, Provider
from emulator.core.wire import Exchange

Status = Literal["pass", "fail", "not_seen"]

MOST_ATTEMPTS = 10
#: Waits below this are no backing off: seconds.
SHORTEST_WAIT_S = 0.05
#: How much longer a later wait must be.
GROWTH = 1.25
#: A silence that a client should not sit through: real seconds.
LONGEST_SILENCE_S = 25.0
_FINAL = frozenset({400, 401, 404, 422})


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: `exchanges` are the numbers it rests on; advice fails only where strictness is asked for."""

    fact: str
    provider: str
    status: Status
    advice: bool
    message: str
    exchanges: tuple[int, ...]
    source: str

    def body(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__} | {"exchanges": list(self.exchanges)}


@dataclass(frozen=True, slots=True)
class Attempts:
    """One call: its attempts in order, and the waits between them in seconds."""

    exchanges: tuple[Exchange, ...]

    def pairs(self, status: int) -> Iterator[tuple[Exchange, Exchange | None]]:
        """Yield each attempt that got a status, with the attempt after it."""
        following = [*self.exchanges[1:], None]
        for exchange, later in zip(self.exchanges, following, strict=True):
            if exchange.timeline.status == status:
                yield exchange, later


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judge looks at: a provider's calls, all of its exchanges, and the texts the application took as whole."""

    calls: Sequence[Attempts]
    exchanges: Sequence[Exchange]
    completed: Sequence[tuple[int, str]]


Judged = tuple[Status, str, Sequence[Exchange]]
Judge = Callable[[Evidence], Judged]


def judge(
    provider: Provider, exchanges: Sequence[Exchange], completed: Sequence[tuple[int, str]] = ()
) -> list[Finding]:
    """Judge what a client did at one provider: its client facts, then what holds everywhere."""
    mine = [item for item in exchanges if item.claim.provider == provider.name]
    evidence = Evidence(group(mine), mine, completed)
    findings = [_finding(provider, fact, evidence) for fact in provider.facts.values() if fact.who == "client"]
    for name, (ask, source) in COMMON.items():
        status, message, seen = ask(evidence)
        findings.append(Finding(name, provider.name, status, False, message, _numbers(seen), source))
    return findings


def _finding(provider: Provider, fact: Fact, evidence: Evidence) -> Finding:
    status, message, seen = JUDGES[fact.judge](evidence)
    return Finding(fact.id, provider.name, status, fact.advice, message, _numbers(seen), fact.source)


def _numbers(exchanges: Sequence[Exchange]) -> tuple[int, ...]:
    return tuple(item.grant.number for item in exchanges)


def group(exchanges: Sequence[Exchange]) -> list[Attempts]:
    """Gather attempts into calls."""
    runs: list[list[Exchange]] = []
    latest: dict[bytes, list[Exchange]] = {}
    for exchange in exchanges:
        name = _identity(exchange)
        run = latest.get(name)
        if run is not None and failed(run[-1]) and exchange.request.at >= _ended(run[-1]):
            run.append(exchange)
        else:
            latest[name] = run = [exchange]
            runs.append(run)
    return [Attempts(tuple(run)) for run in runs]


def _identity(exchange: Exchange) -> bytes:
    call = exchange.claim.call
    if call is None:
        return exchange.request.path.encode() + b"\x1f" + exchange.request.body
    body = {name: value for name, value in call.body.items() if name not in ("model", "stream", "stream_options")}
    return call.operation.encode() + b"\x1f" + canonical(body)


def failed(exchange: Exchange) -> bool:
    """Tell whether an attempt failed: an error, a broken stream, or a client that gave up."""
    cut = exchange.sent is not None and exchange.sent.end in ("cut", "reset", "client_left")
    return exchange.timeline.status >= 400 or exchange.timeline.broken or cut


def _ended(exchange: Exchange) -> float:
    return exchange.request.at + (exchange.sent.at if exchange.sent else 0.0)


def wait_between(first: Exchange, later: Exchange) -> float:
    """Return seconds between the end of an attempt and the next: the session's, or real ones where these are more."""
    session = later.request.at - _ended(first)
    real = later.request.real - (first.sent.real if first.sent else first.request.real)
    return max(session, real)


# What the docs ask


def _backed_off(evidence: Evidence) -> Judged:
    """After a 429: each wait is at least Retry-After, or over 50 ms with a longer one to follow."""
    seen, bad, hasty = [], 0, False
    for call in evidence.calls:
        retries = [(first, later) for first, later in call.pairs(429) if later]
        waits = [wait_between(first, later) for first, later in retries]
        for index, ((first, _), wait) in enumerate(zip(retries, waits, strict=True)):
            seen.append(first)
            asked = retry_after(first)
            if asked is not None:
                good = wait >= asked
            else:
                grows = any(item >= GROWTH * wait for item in waits[index + 1 :])
                good = wait > SHORTEST_WAIT_S and grows
                hasty = hasty or wait <= SHORTEST_WAIT_S
            bad += not good
    if not seen:
        return "not_seen", "No 429 was retried.", []
    if bad >= 2 or hasty:
        return "fail", f"{bad} of {len(seen)} waits after a 429 did not back off: they must grow.", seen
    return "pass", "The waits after a 429 back off.", seen


def retry_after(exchange: Exchange) -> float | None:
    """Return the Retry-After that was sent, in seconds."""
    given = dict(exchange.timeline.headers).get("retry-after", "")
    return float(given) if given.replace(".", "", 1).isdecimal() else None


def _tried_again(evidence: Evidence) -> Judged:
    seen = [(first, later) for call in evidence.calls for first, later in call.pairs(500)]
    if not seen:
        return "not_seen", "No 500 was answered.", []
    given_up = [first for first, later in seen if later is None]
    if given_up:
        return "fail", "A 500 was not tried again.", given_up
    return "pass", "Each 500 was tried again.", [first for first, _ in seen]


def _same_key(evidence: Evidence) -> Judged:
    seen = [(first, later) for call in evidence.calls for first, later in call.pairs(429) if later]
    if not seen:
        return "not_seen", "No 429 was retried.", []
    for first, later in seen:
        keys = [item.request.headers.get("idempotency-key") for item in (first, later)]
        if keys[0] is None or keys[0] != keys[1]:
            what = "without an Idempotency-Key" if keys[1] is None else "with another Idempotency-Key"
            return "fail", f"A 429 was retried {what}.", [first, later]
    return "pass", "Each 429 was retried with the same Idempotency-Key.", [first for first, _ in seen]


def _switched(evidence: Evidence) -> Judged:
    seen = [(first, later) for call in evidence.calls for first, later in call.pairs(503) if later]
    if not seen:
        return "not_seen", "No 503 was followed by another attempt.", []
    for first, later in seen:
        models = [item.claim.call.model if item.claim.call else "" for item in (first, later)]
        if models[1] != "auto" and models[0] == models[1]:
            return "fail", f"After a 503 the same model, {models[0]}, was asked again.", [first, later]
    return "pass", "After each 503 another model or auto was asked.", [first for first, _ in seen]


def _incomplete(evidence: Evidence) -> Judged:
    """A cut stream is repeated; its partial text must not come back as an answer."""
    cut = [item for item in evidence.exchanges if item.timeline.stream and item.timeline.broken]
    if not cut:
        return "not_seen", "No stream was cut.", []
    for exchange in cut:
        text = streamed_text(exchange)
        taken = any(text and text == said for number, said in evidence.completed if number >= exchange.grant.number)
        if taken or any(
            _quotes(later, text) for later in evidence.exchanges if later.request.at >= exchange.request.at
        ):
            return "fail", "The text of a cut stream was taken as a whole answer.", [exchange]
    repeated = {item.grant.number for call in evidence.calls for item in call.exchanges[:-1]}
    if all(item.grant.number in repeated for item in cut):
        return "pass", "Each cut stream was asked for again.", cut
    return "not_seen", "What became of a cut stream does not show on the wire.", cut


def streamed_text(exchange: Exchange) -> str:
    """Return the text that a streamed answer's deltas add up to, as far as it was sent."""
    import orjson

    text = ""
    for frame in exchange.timeline.frames:
        if frame.kind == "data":
            try:
                chunk = orjson.loads(frame.data.removeprefix(b"data: "))
                text += chunk["choices"][0]["delta"].get("content") or ""
            except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
                continue
    return text


def _quotes(exchange: Exchange, text: str) -> bool:
    messages = exchange.claim.call.messages if exchange.claim.call else ()
    return bool(text) and any(item.role == "assistant" and item.text == text for item in messages)


def _not_on_the_wire(evidence: Evidence) -> Judged:
    return "not_seen", "Nothing of this shows on the wire.", []


# What holds everywhere


def _no_vain_retry(evidence: Evidence) -> Judged:
    seen = []
    for call in evidence.calls:
        for first, later in zip(call.exchanges, call.exchanges[1:], strict=False):
            if first.timeline.status in _FINAL and _same_model(first, later):
                status = first.timeline.status
                return "fail", f"A {status} was retried; the same request will get the same answer.", [first, later]
        seen += [item for item in call.exchanges if item.timeline.status in _FINAL]
    return ("pass", "No refusal was retried.", seen) if seen else ("not_seen", "Nothing was refused for good.", [])


def _same_model(first: Exchange, later: Exchange) -> bool:
    return first.request.body == later.request.body and first.request.headers.get(
        "authorization"
    ) == later.request.headers.get("authorization")


def _bounded_attempts(evidence: Evidence) -> Judged:
    if not evidence.calls:
        return "not_seen", "No call was made.", []
    most = max(evidence.calls, key=lambda call: len(call.exchanges))
    count = len(most.exchanges)
    if count > MOST_ATTEMPTS:
        return "fail", f"One call was tried {count} times; more than {MOST_ATTEMPTS} do not help.", most.exchanges
    return "pass", f"No call was tried more than {count} times.", most.exchanges


def _honoured(evidence: Evidence) -> Judged:
    seen = []
    for call in evidence.calls:
        for first, later in zip(call.exchanges, call.exchanges[1:], strict=False):
            asked = retry_after(first)
            if asked is None:
                continue
            seen.append(first)
            wait = wait_between(first, later)
            if wait < asked:
                return "fail", f"Retry-After asked for {asked:g} s, the retry came after {wait:.3g} s.", [first, later]
    return (
        ("pass", "Each Retry-After was honoured.", seen) if seen else ("not_seen", "No Retry-After was followed.", [])
    )


def _gave_up_silence(evidence: Evidence) -> Judged:
    stalled = [item for item in evidence.exchanges if "stall" in item.timeline.faults and item.sent]
    sat_through = [item for item in stalled if _silence(item) >= LONGEST_SILENCE_S and item.sent]
    for item in sat_through:
        if item.sent and item.sent.end != "client_left":
            return "fail", f"A stream was silent for {_silence(item):.0f} s and the client went on waiting.", [item]
    given_up = [item for item in stalled if item.sent and item.sent.end == "client_left"]
    return (
        ("pass", "A stalled stream was given up.", given_up)
        if given_up
        else ("not_seen", "No stream stalled for long.", [])
    )


def _silence(exchange: Exchange) -> float:
    """Return real seconds from the request to the end of its answer: what a stall took of a client's time."""
    return exchange.sent.real - exchange.request.real if exchange.sent else 0.0


JUDGES: Mapping[str, Judge] = {
    "backed_off": _backed_off,
    "tried_again": _tried_again,
    "same_key": _same_key,
    "switched_model": _switched,
    "incomplete_stream": _incomplete,
    "not_on_the_wire": _not_on_the_wire,
}

COMMON: Mapping[str, tuple[Judge, str]] = {
    "no-vain-retry": (_no_vain_retry, "every provider: 400, 401, 404 and 422 are final"),
    "bounded-attempts": (_bounded_attempts, "every provider: a call ends"),
    "retry-after": (_honoured, "RFC 9110, section 10.2.3"),
    "stalled-stream": (_gave_up_silence, "every provider: a silent stream is given up"),
}
