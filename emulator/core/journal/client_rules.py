"""The judges: each looks at what a client did at one provider and says pass, fail or not_seen, why, and from what.

JUDGES are named by `judge:` in a provider's facts; COMMON hold for every provider.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Literal

from emulator.core.frozen import frozen
from emulator.core.journal.attempts import Attempts, answered_text, retry_after, wait_between, was_cut
from emulator.core.scenario.scenario import ARGUMENTS_BREAK, CALL_LEFT_OUT, NOT_OFFERED, TEXT_BREAKS
from emulator.core.secrets.texts import is_secret
from emulator.core.values import Exchange, Request

Status = Literal["pass", "fail", "not_seen"]

MOST_ATTEMPTS = 10
#: Waits below this are no backing off: seconds.
SHORTEST_WAIT_S = 0.05
#: How much longer a later wait must be.
GROWTH = 1.25
#: A silence that a client should not sit through: real seconds.
LONGEST_SILENCE_S = 25.0
#: What clocks may be out by: seconds.
SLACK_S = 0.01
_FINAL = frozenset({400, 401, 404, 422})
#: Refusals that a right request can get too: of a limit, or of one that is under way.
_PASSING = frozenset({409, 429})


@frozen
class Evidence:
    """What a judge looks at: a provider's calls, all its exchanges, and marks of the texts taken as whole answers."""

    calls: Sequence[Attempts]
    exchanges: Sequence[Exchange]
    completed: Sequence[tuple[int, str]] = ()

    def retries(self, status: int | None = None) -> list[tuple[Exchange, Exchange]]:
        return [pair for call in self.calls for pair in call.retries(status)]


Judged = tuple[Status, str, Sequence[Exchange]]
Judge = Callable[[Evidence], Judged]


# What the docs ask


def _backed_off(evidence: Evidence) -> Judged:
    """After a 429 a wait is at least Retry-After; without one it is over 50 ms, and a later one of the call is longer.

    The last wait of a call has no later one: one bad wait in a call is no failure, unless it is next to nothing.
    """
    seen = [first for first, _ in evidence.retries(429)]
    if not seen:
        return "not_seen", "No 429 was retried.", []
    for call in evidence.calls:
        retries = list(call.retries(429))
        waits = [wait_between(first, later) for first, later in retries]
        bad = [index for index, (first, _) in enumerate(retries) if not _is_backoff(first, waits[index:])]
        if len(bad) >= 2 or any(waits[index] < SHORTEST_WAIT_S for index in bad):
            told = ", ".join(f"{wait:.3g}" for wait in waits)
            return "fail", f"The waits after a 429 did not back off: {told} s.", [first for first, _ in retries]
    return "pass", "The waits after a 429 back off.", seen


def _is_backoff(first: Exchange, waits: Sequence[float]) -> bool:
    """Tell whether the first of some waits is good, with those that follow."""
    asked = retry_after(first)
    if asked is not None:
        return waits[0] >= asked - SLACK_S
    return waits[0] > SHORTEST_WAIT_S and any(later >= GROWTH * waits[0] for later in waits[1:])


def _gave_up(evidence: Evidence) -> Judged:
    """What no retry cures, as a spent quota, is not tried again."""
    seen = [item for item in evidence.exchanges if item.refusal and item.refusal[2].final]
    if not seen:
        return "not_seen", "No error that a retry cannot cure was answered.", []
    for first, later in evidence.retries():
        if first.refusal and first.refusal[2].final:
            return "fail", f"{first.refusal[0]} was retried; no retry cures it.", [first, later]
    return "pass", "No error that a retry cannot cure was retried.", seen


def _tried_again(evidence: Evidence) -> Judged:
    """A call that gets a 500 is tried again, later; that it is given up in the end is no fault."""
    seen = [call for call in evidence.calls if any(item.timeline.status == 500 for item in call.exchanges)]
    if not seen:
        return "not_seen", "No 500 was answered.", []
    for call in seen:
        retries = list(call.retries(500))
        if not retries:
            return "fail", "A 500 was not tried again.", call.exchanges
        for first, later in retries:
            wait = wait_between(first, later)
            if wait < SHORTEST_WAIT_S:
                return "fail", f"A 500 was tried again at once, after {wait:.3g} s.", [first, later]
    return "pass", "Each 500 was tried again, later.", [item for call in seen for item in call.exchanges]


def _same_key(evidence: Evidence) -> Judged:
    seen = evidence.retries(429)
    if not seen:
        return "not_seen", "No 429 was retried.", []
    for first, later in seen:
        keys = [item.request.headers.get("idempotency-key") for item in (first, later)]
        if keys[1] is None:
            return "fail", "A 429 was retried without an Idempotency-Key.", [first, later]
        if keys[0] != keys[1]:
            return "fail", "A 429 was retried with another Idempotency-Key.", [first, later]
    return "pass", "Each 429 was retried with the same Idempotency-Key.", [first for first, _ in seen]


def _switched(evidence: Evidence) -> Judged:
    seen = evidence.retries(503)
    if not seen:
        return "not_seen", "No 503 was followed by another attempt.", []
    for first, later in seen:
        models = [item.claim.call.model if item.claim.call else "" for item in (first, later)]
        if models[1] != "auto" and models[0] == models[1]:
            return "fail", f"After a 503 the same model, {models[0]}, was asked again.", [first, later]
    return "pass", "After each 503 another model, or auto, was asked.", [first for first, _ in seen]


def mark_of(text: str) -> str:
    """Return what tells a text that an application took from others: of long ones nothing more is kept."""
    return blake2b(text.strip().encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _incomplete(evidence: Evidence) -> Judged:
    """A cut stream is repeated; its partial text must not come back, unless a whole answer said the same."""
    cut = [item for item in evidence.exchanges if was_cut(item)]
    if not cut:
        return "not_seen", "No stream was cut.", []
    whole = {answered_text(item).strip() for item in evidence.exchanges if not was_cut(item)}
    broken = {item.grant.number: answered_text(item).strip() for item in cut}
    told = {number: text for number, text in broken.items() if text and text not in whole}
    quotes = _quotes(evidence, frozenset(told.values()))
    completed = {mark: number for number, mark in sorted(evidence.completed)}
    for exchange in cut:
        number = exchange.grant.number
        text = told.get(number, "")
        quoting = [item for item in quotes.get(text, ()) if item.grant.number > number]
        taken = bool(text) and completed.get(mark_of(text), 0) >= number
        if taken or quoting:
            return "fail", "The text of a cut stream was taken as a whole answer.", [exchange, *quoting]
    repeated = {item.grant.number for call in evidence.calls for item in call.exchanges[:-1]}
    if all(item.grant.number in repeated for item in cut):
        return "pass", "Each cut stream was asked for again.", cut
    return "not_seen", "What became of a cut stream does not show on the wire.", cut


def _quotes(evidence: Evidence, texts: frozenset[str]) -> Mapping[str, Sequence[Exchange]]:
    """Return the requests in which the assistant says one of some texts, by the text."""
    found: dict[str, list[Exchange]] = {}
    for exchange in evidence.exchanges if texts else ():
        messages = exchange.claim.call.messages if exchange.claim.call else ()
        for text in {item.text.strip() for item in messages if item.role == "assistant"} & texts:
            found.setdefault(text, []).append(exchange)
    return found


# What holds everywhere


def _no_vain_retry(evidence: Evidence) -> Judged:
    seen = [item for item in evidence.exchanges if item.timeline.status in _FINAL]
    if not seen:
        return "not_seen", "Nothing was refused for good.", []
    for first, later in evidence.retries():
        status = first.timeline.status
        if status in _FINAL and _asked(first.request) == _asked(later.request):  # in its body and its headers
            return "fail", f"A {status} was retried; the same request gets the same answer.", [first, later]
    return "pass", "No refusal was retried.", seen


def _asked(request: Request) -> tuple[bytes, str, list[str]]:
    """Return what a refusal can rest on: the body, the query, and the headers that hold keys."""
    return request.body, request.query, [value for name, value in sorted(request.headers.items()) if is_secret(name)]


def _valid_requests(evidence: Evidence) -> Judged:
    """What the provider refuses by itself, and no rule said so, is a mistake of the client's."""
    if not evidence.exchanges:
        return "not_seen", "No request was made.", []
    bad = [item for item in evidence.exchanges if item.rule == "refused" and item.timeline.status not in _PASSING]
    if not bad:
        return "pass", "No request was refused.", []
    kinds = dict.fromkeys(f"{item.timeline.status} {item.refusal[0]}" for item in bad if item.refusal)
    return "fail", f"Requests were refused, and no rule said so: {', '.join(kinds)}.", bad


def _bounded_attempts(evidence: Evidence) -> Judged:
    if not evidence.calls:
        return "not_seen", "No call was made.", []
    most = max(evidence.calls, key=lambda call: len(call.exchanges)).exchanges
    if len(most) > MOST_ATTEMPTS:
        return "fail", f"One call was tried {len(most)} times; more than {MOST_ATTEMPTS} do not help.", most
    return "pass", f"No call was tried more than {MOST_ATTEMPTS} times.", most


def _honoured(evidence: Evidence) -> Judged:
    seen = [(first, later, asked) for first, later in evidence.retries() if (asked := retry_after(first)) is not None]
    if not seen:
        return "not_seen", "No Retry-After was followed by another attempt.", []
    for first, later, asked in seen:
        wait = wait_between(first, later)
        if wait < asked - SLACK_S:
            return "fail", f"Retry-After asked for {asked:g} s, the retry came after {wait:.3g} s.", [first, later]
    return "pass", "Each Retry-After was honoured.", [first for first, _, _ in seen]


def _gave_up_silence(evidence: Evidence) -> Judged:
    stalled = [item for item in evidence.exchanges if "stall" in item.timeline.faults and item.sent]
    for item in stalled:
        silence = _silence(item)
        if silence >= LONGEST_SILENCE_S and item.sent and item.sent.end != "client_left":
            return "fail", f"A stream was silent for {silence:.3g} s and the client went on waiting.", [item]
    given_up = [item for item in stalled if item.sent and item.sent.end == "client_left"]
    if given_up:
        return "pass", "A stalled stream was given up.", given_up
    return "not_seen", "No stream stalled for long in real time.", []


def _silence(exchange: Exchange) -> float:
    """Return the longest gap between frames, but no more than the real seconds that the answer took."""
    if exchange.sent is None:
        return 0.0
    times = [0.0, *exchange.sent.frames, exchange.sent.at]
    endless = any(frame.kind == "hold" for frame in exchange.timeline.frames)
    longest = math.inf if endless else max(later - first for first, later in itertools.pairwise(times))
    return min(longest, exchange.sent.real - exchange.request.real)


def _fits(fact: str) -> Judge:
    """Return what looks for replies that say what their requests did not ask for, as the notes of a fact tell."""

    def judged(evidence: Evidence) -> Judged:
        seen = [(item, note.message) for item in evidence.exchanges for note in item.notes if note.fact == fact]
        if not seen:
            return "not_seen", "No scripted reply is of this kind.", []
        return "fail", "; ".join(dict.fromkeys(message for _, message in seen)), [item for item, _ in seen]

    return judged


JUDGES: Mapping[str, Judge] = {
    "backed_off": _backed_off,
    "gave_up": _gave_up,
    "tried_again": _tried_again,
    "same_key": _same_key,
    "switched_model": _switched,
    "incomplete_stream": _incomplete,
    "not_on_the_wire": lambda evidence: ("not_seen", "Nothing of this shows on the wire.", []),
}

COMMON: Mapping[str, tuple[Judge, str]] = {
    "no-vain-retry": (_no_vain_retry, "every provider: 400, 401, 404 and 422 are final"),
    "bounded-attempts": (_bounded_attempts, f"every provider: a call ends after {MOST_ATTEMPTS} attempts"),
    "retry-after": (_honoured, "RFC 9110, section 10.2.3"),
    "valid-requests": (_valid_requests, "every provider: a request that is refused is a mistake of the client"),
    "cut-stream": (_incomplete, "every provider: a stream that breaks off is no answer"),
    "stalled-stream": (_gave_up_silence, "every provider: a silent stream is given up"),
    NOT_OFFERED: (_fits(NOT_OFFERED), "every provider: a model calls the tools that are offered"),
    ARGUMENTS_BREAK: (_fits(ARGUMENTS_BREAK), "every provider: the application is tested with what it asked for"),
    TEXT_BREAKS: (_fits(TEXT_BREAKS), "every provider: the application is tested with what it asked for"),
    CALL_LEFT_OUT: (_fits(CALL_LEFT_OUT), "every provider: a model calls a tool where it must"),
}
