"""Limits as a request meets them: the refusal of what is over one, and the headers that show what is left."""

from __future__ import annotations

import math

from emulator.core.answer.render import render_id
from emulator.core.durations import FOREVER, duration_text, time_text
from emulator.core.errors import Json, Refusal
from emulator.core.provider.holes import fill_text
from emulator.core.provider.plans import UNLIMITED_SHOWN
from emulator.core.provider.provider import Provider
from emulator.core.seeded_random import Draw
from emulator.core.values import Claim, Grant, Headers, Standing, Timeline


def check_grant(provider: Provider, claim: Claim, grant: Grant) -> None:
    """Refuse what was granted nothing. Raises: Refusal, for a key that is used, and for a limit."""
    if grant.idempotency:
        raise Refusal(f"idempotency_{grant.idempotency}")
    plan, exceeded = claim.plan, grant.standing.exceeded
    asked = claim.cost or (claim.call.prompt_tokens if claim.call else 0)
    too_large = "request" in provider.over and plan.tokens is not None and asked > plan.tokens
    if too_large and exceeded != "requests":
        raise _over(provider, claim, grant.standing, "request", asked)
    if exceeded:
        raise _over(provider, claim, grant.standing, exceeded, asked)


def _over(provider: Provider, claim: Claim, standing: Standing, what: str, asked: int) -> Refusal:
    """Return the refusal of what is over a plan's limit: of its requests, its tokens, or of one `request` by itself."""
    plan, wait = claim.plan, max(0.0, (standing.reset if standing.passes is None else standing.passes) - claim.at)
    figure = plan.requests if what == "requests" else plan.tokens
    left = standing.remaining if what == "requests" else standing.tokens_left
    name = provider.over.get(what, "rate_limited")
    values: dict[str, Json] = {
        "model": claim.call.model if claim.call else "",
        "limit": figure,
        "used": (figure or 0) - (left or 0),
        "given": 1 if what == "requests" else asked,
        "wait": duration_text(wait),
        "seconds": max(1, math.ceil(wait)),
    }
    usual = f"Rate limit exceeded: {figure} {what} a minute on the plan {plan.name}."
    headers = provider.retry_headers(wait, 1) if provider.errors[name].get("retry_after") else {}
    return provider.refuse(name, usual, headers=headers, **values)


def documented_headers(
    provider: Provider, claim: Claim, standing: Standing, draw: Draw, timeline: Timeline, model: str, spent: bool
) -> Headers:
    """Return the headers that the docs have on an answer; `spent` shows a limit as used up."""
    if not provider.headers:
        return ()
    used_up = standing.exceeded == "requests" or (standing.exceeded and not provider.tells_more)
    tokens_used_up = standing.exceeded == "tokens" and not claim.plan.refills
    remaining = 0 if spent or used_up else _counted(standing.remaining)
    values = {
        "limit": _counted(standing.limit),
        "remaining": remaining,
        "reset": math.ceil(standing.reset),
        "request_id": render_id(provider, "request", draw, claim.at),
    }
    if provider.tells_more:
        tokens = 0 if tokens_used_up else _counted(standing.tokens_left)
        values |= {
            "limit_tokens": _counted(claim.plan.tokens),
            "remaining_tokens": tokens,
            "remaining_tokens_rounded": rounded(tokens),
            "reset_tokens": math.ceil(standing.tokens_back),
            "reset_in": duration_text(standing.reset - claim.at),
            "reset_tokens_in": duration_text(standing.tokens_back - claim.at),
            "reset_at": time_text(standing.reset),
            "reset_tokens_at": time_text(standing.tokens_back),
            "processing_ms": 1 if timeline.head_at == FOREVER else max(1, round(timeline.head_at * 1000)),
            "model": one_line(model),
        }
    if not provider.header_scopes:
        return tuple([(name.lower(), fill_text(form, values)) for name, form in provider.headers])
    return tuple(
        (name.lower(), fill_text(form, values))
        for name, form in provider.headers
        if name not in provider.header_scopes
        or provider.header_scopes[name].covers(claim.operation, timeline.status, timeline.stream)
    )


def rounded(tokens: int) -> int:
    """Return a number to the nearest thousand."""
    return (tokens + 500) // 1000 * 1000


def _counted(number: int | None) -> int:
    return UNLIMITED_SHOWN if number is None else number


def one_line(value: str) -> str:
    """Return a text as a header can have it."""
    return "".join(char if 32 <= ord(char) < 127 else "?" for char in value)
