"""Checks of idempotency keys: the same answer again, what is refused, and how long a key is remembered."""

from __future__ import annotations

import json
import uuid

from emulator.contract.case_client import CaseClient, Changes
from emulator.contract.checks.answers import SHORT_TEXT
from emulator.contract.client import Answer
from emulator.contract.expectations import accepted, equal, hold


def idempotency(client: CaseClient, *, header: str) -> None:
    """The same key and body get the same answer again, whole and streamed; another key gets a new one."""
    for changes in ({}, client.asks(stream=True)):
        key = str(uuid.uuid4())
        first, again = _keyed(client, header, key, changes), _keyed(client, header, key, changes)
        accepted(first, f"a request with {header}")
        equal(again, f"the same {header} gets the same status", first.status, again.status)
        equal(again, f"the same {header} gets the same body", first.text, again.text)
        other, told = _keyed(client, header, str(uuid.uuid4()), changes), f"another {header} gets an answer of its own"
        hold(other, told, other.text != first.text, "another id", other.text)
    accepted(client.chat(), f"a request without {header}")


def idempotency_refusals(client: CaseClient, *, header: str) -> None:
    """A used key with another body, and a key that is no UUID, are refused; a UUID in quotes is taken."""
    key = str(uuid.uuid4())
    accepted(_keyed(client, header, key, {}), f"a request with {header}")
    answer = _keyed(client, header, key, client.says("Something else."))
    client.refused(answer, "idempotency_mismatch", f"the same {header} with another body")
    for value in ("not-a-uuid", key[:-1]):
        client.refused(_keyed(client, header, value, {}), "invalid_request", f"{header}: {value}")
    quoted = f'"{uuid.uuid4()}"'
    accepted(_keyed(client, header, quoted, {}), f"{header} in quotes")


def idempotency_under_way(client: CaseClient, *, header: str) -> None:
    """While the first answer is under way its key gets 409."""
    client.session.answer({"text": SHORT_TEXT, "stream": {"ttft": "forever"}})
    key, (path, body) = str(uuid.uuid4()), client.ask.sent(client.body(client.asks(stream=True)))
    asked = ("POST", client.url(path), client.headers({header: key}), json.dumps(body).encode())
    send = client.session.client.begin
    with send(*asked) as first, send(*asked) as second:
        client.session.advance(1)  # what is silent for ever ends where the clock is moved
        answer, refusal = first(), second()
    client.refused(refusal, "idempotency_in_progress", f"the same {header} while the first is under way")
    accepted(answer, "the first request")


def idempotency_kept(client: CaseClient, *, header: str, hours: float) -> None:
    """A key is remembered for so long, and not longer; one whose answer was an error is free at once."""
    key = str(uuid.uuid4())
    first = _keyed(client, header, key, {})
    client.session.advance(hours * 3600 - 1)
    again = _keyed(client, header, key, {})
    equal(again, f"the same {header} gets the same answer for as long as documented", first.text, again.text)
    client.session.advance(2)
    other = accepted(_keyed(client, header, key, {}), "a request with its own key")
    hold(other, f"{header} is forgotten after {hours:g} h", other.text != first.text, "another body", other.text)
    client.session.answer({"error": "rate_limited"}, {"text": SHORT_TEXT})
    key = str(uuid.uuid4())
    client.refused(_keyed(client, header, key, {}), "rate_limited", "a request while rate_limited strikes")
    accepted(_keyed(client, header, key, {}), f"its retry with the same {header}")


def _keyed(client: CaseClient, header: str, key: str, changes: Changes) -> Answer:
    return client.chat(changes, headers={header: key})
