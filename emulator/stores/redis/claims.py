"""A claim as the scripts of `scripts/` read it, and what they keep: keys, names of fields, and a grant.

Every session has keys of its own, with its id as their hash tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Any

import orjson

from emulator.core.values import Candidate, Claim, Grant, Plan, Sent
from emulator.stores.admission import SLACK, WINDOW_S, Window
from emulator.stores.memory import MOST_TURNS, MOST_WINDOWS

#: Parts of a session, in the order in which the scripts take their keys; the last ones only where a claim needs them.
TAKEN = ("session", "calls", "turns", "windows", "windows-order", "journal", "apart", "apart-order", "records",
         "records-order", "firsts")  # fmt: skip
PLAIN, COUNTED_APART = TAKEN[:6], TAKEN[:8]
NOTED = ("session", "windows", "journal", "records", "firsts")
ENDED = NOTED[:3]
CHANGED = (*TAKEN, "recipes", "recipes-order", "completed", "kept", "kept-more")
SEPARATOR = "\x1f"
#: Keys, and what turns are counted by, are kept as a digest where they are longer.
_LONGEST = 200


def key_of(session: str, part: str) -> str:
    """Return the key of a part of a session."""
    return f"emulator:{{{session}}}:{part}"


@lru_cache(1024)
def keys_of(session: str, parts: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the keys of several parts, as they are sent."""
    return tuple(key_of(session, part).encode() for part in parts)


def needed(claim: Claim) -> tuple[str, ...]:
    """Return the parts of a session that a claim needs."""
    if claim.idempotency:
        return TAKEN
    return COUNTED_APART if any(item.count_key != item.rule for item in claim.candidates) else PLAIN


def counts_at_once(claim: Claim) -> bool:
    """Tell whether the next claim must see this one's tokens: only where a plan limits them, and not before."""
    return claim.plan.tokens is not None and not claim.plan.refills


def window_of(claim: Claim) -> str:
    """Return the name of a claim's window: provider and key."""
    return f"{claim.provider}{SEPARATOR}{_short(claim.key or '')}"


def record_of(claim: Claim) -> str:
    """Return the name of a claim's idempotency record, key and header value; '' where it has none."""
    return f"{_short(claim.key or '')}{SEPARATOR}{claim.idempotency[0]}" if claim.idempotency else ""


def asked_of(claim: Claim) -> dict[str, Any]:
    """Return a claim as the script reads it; what is absent is left out."""
    plan = claim.plan
    asked: dict[str, Any] = {
        "at": repr(claim.at),
        "ends": repr(claim.at + WINDOW_S),
        "counted": claim.counted,
        "window": window_of(claim),
        "plan": orjson.dumps([plan.name, plan.requests, plan.tokens, plan.refills]).decode(),
        "candidates": [_rule(item) for item in claim.candidates],
        "fallback": f"{SEPARATOR}{claim.fallback}",
        "most_windows": MOST_WINDOWS,
        "most_turns": MOST_TURNS,
    }
    if plan.refills:
        asked |= {"refills": True, "cost": claim.cost, "window_s": WINDOW_S, "slack": SLACK}
    if plan.requests is not None:
        asked["plan_requests"] = plan.requests
    if plan.tokens is not None:
        asked["plan_tokens"] = plan.tokens
    if claim.idempotency:
        _, fingerprint, seconds = claim.idempotency
        asked |= {"record": record_of(claim), "fingerprint": fingerprint, "till": repr(claim.at + seconds)}
    return asked


def _rule(candidate: Candidate) -> dict[str, Any]:
    whole = candidate.count_key == candidate.rule
    rule: dict[str, Any] = {"id": candidate.rule, "key": candidate.rule if whole else _short(candidate.count_key)}
    if candidate.turns is not None:
        rule["turns"] = candidate.turns
    if candidate.states:
        rule |= {"states": list(candidate.states[0]), "good": candidate.states[1]}
    if candidate.then is not None:
        rule["then"] = candidate.then
    if candidate.failing:
        rule |= {"failing": candidate.failing, "period": candidate.period, "onward": candidate.onward}
    return rule


def _short(key: str) -> str:
    if len(key) <= _LONGEST:
        return key
    return f"{SEPARATOR}{blake2b(key.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"


def grant_of(row: Sequence[Any], plan: Plan, cost: int = 0) -> Grant:
    """Return a grant from what the script says of it; what it replays and looks back on is not in there."""
    number, time, requests, tokens, over, state, candidate, n, turn, idempotency, _, life, *_ = row
    window = Window(plan, float(time), float(requests), float(tokens), float(time))
    standing = window.standing(over or None, cost)
    return Grant(number, standing, state, None if candidate < 0 else candidate, n, turn, idempotency or None, life=life)


def grant_end(worker: str, ask: int) -> str:
    """Return how a grant ends that the script gives: whose claim it was, and the how manieth of that worker."""
    return f'"{worker}",{ask}]'


def sent_row(sent: Sent) -> bytes:
    """Return what was sent as it is kept; times of frames as steps of microseconds, for a stream has many of them."""
    times = [0, *(round(at * 1e6) for at in sent.frames)]
    steps = [later - at for at, later in pairwise(times)]
    return orjson.dumps([sent.bytes, steps, sent.end, sent.at, sent.real, sent.silent])


def sent_in(row: bytes) -> Sent:
    """Return what was sent from what is kept."""
    size, steps, *others = orjson.loads(row)
    return Sent(size, tuple(at / 1e6 for at in accumulate(steps)), *others)


def window_in(value: bytes) -> Window:
    """Return a window as the scripts keep it."""
    ends, requests, tokens, at, plan = value.decode().split(" ", 4)
    return Window(Plan(*orjson.loads(plan)), float(ends), float(requests), float(tokens), float(at))
