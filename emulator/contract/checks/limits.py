"""Checks of rate limits and of the headers that tell them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from emulator.contract.case_client import Ask, CaseClient
from emulator.contract.checks.errors import met
from emulator.contract.client import Answer
from emulator.contract.expectations import Differs, accepted, counted, demand, equal, hold, whole
from emulator.contract.target import NotArranged, Plan
from emulator.core.durations import read_duration, whole_number
from emulator.core.errors import Json

_UNLIMITED_TRIES = 30
_TOKEN_STEPS = 4
_CLOCK_SLACK_S = 5.0
_FAR_S = 400 * 24 * 3600.0
_MOST_DIGITS = 15


def limit(
    client: CaseClient,
    *,
    plan: Plan,
    requests: int | None = None,
    tokens: int | None = None,
    window_s: float = 60.0,
    remaining: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """A plan lets so many requests, and tokens, through in a window; the next is refused until it ends.

    `headers` are what the refusal has beside, with their forms, regular expressions.
    """
    client.session.plan(plan)
    client.session.advance(0)  # where the window cannot be left again, using it up would spoil the other cases
    if requests is not None:
        _walk_requests(client, requests, window_s, remaining, headers or {})
    if tokens is not None:
        client.session.plan(plan)
        _walk_tokens(client, tokens, window_s)
    if requests is None and tokens is None:
        for n in range(1, _UNLIMITED_TRIES + 1):
            accepted(client.chat(), f"request {n} under no limit")


def requests_of(requests: int | None, tokens: int | None) -> int:
    """Return how many requests `limit` sends, at most."""
    if requests is None and tokens is None:
        return _UNLIMITED_TRIES
    return (requests + 3 if requests is not None else 0) + (_TOKEN_STEPS + 2 if tokens is not None else 0)


def _walk_requests(
    client: CaseClient, requests: int, window_s: float, remaining: str | None, headers: Mapping[str, str]
) -> None:
    for n in range(1, requests + 1):
        answer = accepted(client.chat(), f"request {n} of {requests} in a window")
        _left(answer, remaining, requests - n)
    over = client.refused(client.chat(), "rate_limited", f"request {requests + 1} of {requests} in a window")
    _left(over, remaining, 0)
    for name, form in headers.items():
        value = over.header(name) or ""
        told = f"{name} on a refusal over the limit has the documented form"
        hold(over, told, bool(re.search(form, value)), form, value or None)
    client.session.advance(window_s - 1)
    client.refused(client.chat(), "rate_limited", "a request before the window's end")
    client.session.advance(1.001)
    answer = accepted(client.chat(), "a request in the next window")
    _left(answer, remaining, requests - 1)


def _left(answer: Answer, remaining: str | None, left: int) -> None:
    if remaining:
        equal(answer, f"{remaining} counts requests left", str(left), answer.header(remaining))


def _walk_tokens(client: CaseClient, tokens: int, window_s: float) -> None:
    used, long = 0, client.says("a " * (tokens // _TOKEN_STEPS))
    for _ in range(_TOKEN_STEPS):
        if used >= tokens:
            break
        answer = client.chat(long)
        value = whole(answer, f"a request with {used} of {tokens} tokens used")
        used += demand(answer, value, client.wire.place("usage.input"), int)
        used += counted(answer, value, client.wire, "output")
    client.refused(client.chat(), "rate_limited", f"a request with {used} of {tokens} tokens used")
    client.session.advance(window_s + 0.001)
    accepted(client.chat(), "a request in the next window")


def refill(
    client: CaseClient,
    *,
    plan: Plan,
    requests: int | None = None,
    tokens: int | None = None,
    window_s: float = 60.0,
    reset: str | None = None,
    cap: str = "",
) -> None:
    """What a plan allows comes back bit by bit: one request after its share of a minute, and tokens alike.

    `reset` is the header that tells when all are back. A request is charged as many tokens as its `cap` asks for.
    """
    client.session.plan(plan)
    client.session.advance(0)
    if requests is not None:
        _walk_back(client, requests, window_s / requests, reset)
    if tokens is not None:
        _walk_charged(client, {cap: tokens * 3 // 5}, window_s)


def _walk_back(client: CaseClient, requests: int, share_s: float, reset: str | None) -> None:
    for n in range(1, requests + 1):
        answer = accepted(client.chat(), f"request {n} of {requests} in a minute")
        if n == 1 and reset:
            now = client.session.now()
            back = (rate_number(client.ask, answer, reset, now) or now) - now
            hold(answer, f"{reset} tells when one request is back", abs(back - share_s) < 1, share_s, back)
    client.refused(client.chat(), "rate_limited", f"request {requests + 1} of {requests} in a minute")
    client.session.advance(share_s * 0.9)
    client.refused(client.chat(), "rate_limited", "a request before one is back")
    client.session.advance(share_s * 0.1 + 0.001)
    accepted(client.chat(), "a request when one is back")
    client.refused(client.chat(), "rate_limited", "a second request when one is back")


def _walk_charged(client: CaseClient, most: Mapping[str, Json], window_s: float) -> None:
    """Ask twice for more than half of the tokens: the second passes when enough are back."""
    accepted(client.chat(most), "a request for more than half of the tokens")
    client.refused(client.chat(most), "rate_limited", "a request for more tokens than are left")
    client.session.advance(window_s / 4)
    accepted(client.chat(most), "a request when enough tokens are back")


def rate_headers(
    client: CaseClient, *, names: Sequence[str], on: Sequence[str], also: Sequence[Mapping[str, str]] = ()
) -> None:
    """Answers in every situation, and of other operations, carry these headers, each as the docs render it."""
    others = ((client.send(item["method"], item["path"]), f"{item['method']} {item['path']}") for item in also)
    for answer, what in (*met(client, on), *others):
        for header in names:
            rate_number(client.ask, answer, header, what=what)


def rate_counts(
    client: CaseClient,
    *,
    plan: Plan,
    remaining: str,
    reset: str,
    limit: str | None = None,
    absent: Sequence[str] = (),
    window_s: float = _FAR_S,
) -> None:
    """Remaining counts down below the limit, and Reset is a time no further away than a window."""
    with suppress(NotArranged):  # where the plan cannot be chosen, the one there is will do
        client.session.plan(plan)
    first, second = client.chat(), client.chat()
    now = client.session.now()
    number = functools.partial(rate_number, client.ask, now=now)
    end, left = number(second, reset), number(second, remaining)
    new_window = end != number(first, reset)
    counted = new_window or left < number(first, remaining)
    hold(second, f"{remaining} counts down", counted, f"< {first.header(remaining)}", left)
    soon = now - _CLOCK_SLACK_S <= end <= now + window_s + _CLOCK_SLACK_S
    hold(second, f"{reset} is the time when the window ends", soon, f"{now:.0f} or later", end)
    if limit:
        allowed = number(second, limit)
        equal(second, f"{limit} stays as it is", number(first, limit), allowed)
        hold(second, f"{limit} is what a window allows", left < allowed, f"> {left}", allowed)
    for header in absent:
        equal(second, f"the answer has no {header}, which the docs don't name", None, second.header(header))


def rate_number(ask: Ask, answer: Answer, header: str, now: float = 0.0, what: str = "a good request") -> float:
    """Demand a header of a limit, and return its number; of a time, whatever its rendering, its Unix seconds.

    Raises: Differs.
    """
    hole = ask.provider.rate_holes.get(header.lower(), "")
    told, read = next(item for end, item in _RENDERINGS.items() if hole.endswith(end))
    value = answer.header(header)
    number = None if value is None else read(value, now)
    if number is None:
        raise Differs(f"{header} is on the answer to {what}, {told}", told, value, answer, about=what)
    return number


def _from_now(value: str, now: float) -> float | None:
    seconds = read_duration(value)
    return None if seconds is None else now + seconds


def _time(value: str, now: float) -> float | None:
    with suppress(ValueError, OverflowError):
        read = datetime.fromisoformat(value)
        return read.timestamp() if read.tzinfo and "T" in value else None
    return None


#: By how the names of the holes end: how a header is rendered, and what reads it.
_RENDERINGS: Mapping[str, tuple[str, Callable[[str, float], float | None]]] = {
    "_in": ("a duration such as 6m0s", _from_now), "_at": ("a time as RFC 3339 has it", _time),
    "": ("a whole number", lambda value, now: whole_number(value, _MOST_DIGITS)),
}  # fmt: skip
