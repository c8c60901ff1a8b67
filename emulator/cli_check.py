"""A dry run for the command line: which rule would answer a request, or why none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from emulator.core.engine import Engine
from emulator.core.provider import Provider
from emulator.core.session import Session
from emulator.core.wire import Exchange, Request
from emulator.stores.memory import MemoryStore


def dry_run(providers: Mapping[str, Provider], session: Session, name: str, data: Mapping[str, Any]) -> Exchange:
    """Ask the engine what it would answer first of all."""
    headers = {str(key).lower(): str(value) for key, value in (data.get("headers") or {}).items()}
    headers.setdefault("authorization", f"Bearer {min(session.settings[name].keys or ['check'])}")
    body = json.dumps(data["body"]).encode() if "body" in data else b""
    path, _, query = str(data.get("path", "/chat/completions")).partition("?")
    path = path.removeprefix("/v1")
    method = str(data.get("method", "POST")).upper()
    request = Request(session.id, name, method, path, query, headers, body, 0.0, path, providers[name].base_url)
    engine = Engine(providers)
    claim = engine.claim(session, request)
    return engine.answer(session, request, claim, MemoryStore().take(claim))


def verdict(exchange: Exchange) -> Iterator[str]:
    """Yield the lines that say which rule answers, or why none does."""
    if exchange.rule == "refused" and exchange.refusal:
        name, status, refusal = exchange.refusal
        yield f"refused: {name} ({status}){f', {refusal.fact}' if refusal.fact else ''}"
        if refusal.message:
            yield f"  {refusal.message}"
        yield from (f"  {item.path or 'the body'}: {item.message}" for item in refusal.details)
    elif exchange.rule == "unmatched":
        yield "no rule answers this request; the nearest:"
        for item in exchange.nearest:
            yield f"  {item['rule']} ({item['id']})"
            for row in item["differences"]:
                expected, actual = json.dumps(row["expected"]), json.dumps(row["actual"])
                yield f"    {row['field']}: expected {expected}, got {actual}"
    elif exchange.proxied:
        yield f"sent on to the upstream by {exchange.rule}{f' ({exchange.rule_id})' if exchange.rule_id else ''}"
    else:
        rule = f"{exchange.rule} ({exchange.rule_id})" if exchange.rule_id else exchange.rule
        yield f"answered by {rule}, status {exchange.timeline.status}"
    for note in exchange.notes:
        yield f"  note: {note.path}: {note.message}"
