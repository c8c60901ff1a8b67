"""What the control API reads and writes: bodies checked by hand; sessions and providers as it shows them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from difflib import SequenceMatcher
from heapq import nlargest
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emulator.core.durations import FOREVER, parse_duration
from emulator.core.errors import Json, closest, nearest
from emulator.core.provider.plans import read_plan
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Reply
from emulator.core.schema.formats import data_folder
from emulator.core.secrets.texts import redact
from emulator.core.store import soon
from emulator.core.values import Plan
from emulator.server.own_errors import OwnError, invalid
from emulator.server.sessions.live import LiveSession, LiveSessions
from emulator.server.sessions.source import SENT

#: The longest place or file name that is taken.
LONGEST_NAME = 500
#: A piece of a long list ends after so many rows, or bytes: what is written of it in one go.
PIECE_ROWS = 100
PIECE_BYTES = 200_000
_ID, _KEY = re.compile(r"[\w-]{1,64}", re.ASCII), re.compile(r"[\w.~+/=-]{1,200}", re.ASCII)
_JSON = re.compile(r"application/([^\s,/]+\+)?json", re.IGNORECASE)


async def session_body(sessions: LiveSessions, live: LiveSession, origin: str, with_key: bool = False) -> Json:
    """Return a session as the control API shows it; lists leave the key out."""
    session = live.session
    standing = await soon(sessions.store.counters(session.id, live.clock.now()))
    settings = session.settings[session.provider] if session.provider else next(iter(session.settings.values()))
    plans = {name: item.plan.name for name, item in session.settings.items()}
    body: dict[str, Json] = {"id": session.id}
    base_urls, main = sessions.base_urls(session, origin), sessions.main_provider(session)
    if with_key:
        body["api_key"] = session.api_key
        if main:
            body["env"] = sessions.environment(session, base_urls, lambda provider: session.api_key)
    return body | {
        "provider": session.provider,
        "base_url": base_urls[main] if main else None,
        "base_urls": base_urls,
        "sdk_urls": {name: sessions.providers[name].sdk_url(url) for name, url in base_urls.items()},
        "clock": {"kind": live.clock.kind, "now": live.clock.now()},
        "seed": session.seed,
        "plan": settings.plan.name if session.provider else plans,
        "validation": settings.validation,
        "state": standing.state,
        "rules": [
            {"id": rule.id, "at": rule.at, "calls": standing.calls.get(rule.id, 0), "expect": rule.expected,
             "added": number < len(session.added), "replies": [_reply_body(reply) for reply in rule.replies]}
            for number, rule in enumerate(session.all_rules)
        ],
        "limits": [
            {"provider": provider, "key": redact(key), "plan": plan, "requests_left": item.remaining,
             "tokens_left": item.tokens_left, "reset": item.reset}
            for provider, key, plan, item in standing.limits
        ],
        "exchanges": standing.exchanges,
        "dropped": standing.dropped,
    }  # fmt: skip


def _reply_body(reply: Reply) -> Json:
    """Return how often a reply is given in a row, and which faults it has that always strike."""
    return {"times": reply.times, "faults": [fault.kind for fault in reply.faults if fault.chance == 1]}


def provider_body(provider: Provider, base_url: str) -> Json:
    """Return what is emulated of a provider: operations, models, plans, errors, facts."""
    return {
        "name": provider.name,
        "title": provider.title,
        "documented_base_url": provider.base_url,
        "base_url": base_url,
        "operations": [
            {"name": item.name, "method": item.method, "path": item.path} for item in provider.operations.values()
        ],
        "models": list(provider.models),
        "plans": {
            plan.name: {"requests_per_minute": plan.requests, "tokens_per_minute": plan.tokens}
            for plan in provider.plans.values()
        },
        "default_plan": provider.default_plan,
        "error_names": {name: item["status"] for name, item in provider.errors.items()},
        "errors": [name for name, item in provider.errors.items() if item.get("documented")],
        "facts": [
            {"id": fact.id, "who": fact.who, "source": fact.source, "text": fact.text, "assumed": fact.assumed,
             "evidence": fact.evidence, "advice": fact.advice, "note": fact.note}
            for fact in provider.facts.values()
        ],
    }  # fmt: skip


# Reading and writing


def json_response(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


def json_list(name: str, rows: Iterable[Json], rest: Mapping[str, Json]) -> Response:
    """Return `{name: rows, **rest}`, made and sent in pieces: other connections have their turn between them."""
    return StreamingResponse(list_pieces(name, rows, rest), media_type="application/json")


async def list_pieces(name: str, rows: Iterable[Json], rest: Mapping[str, Json]) -> AsyncIterator[bytes]:
    """Yield the JSON of `{name: rows, **rest}`; each row is taken, or awaited, when its turn has come."""
    before, size = b'{"%b":[' % name.encode(), 0
    piece: list[bytes] = []
    for row in rows:
        piece += (before, orjson.dumps(await soon(row)))
        size, before = size + len(piece[-1]), b","
        if len(piece) >= 2 * PIECE_ROWS or size >= PIECE_BYTES:
            yield b"".join(piece)
            await asyncio.sleep(0)
            piece, size = [], 0
    opened = before if before != b"," else b""
    yield b"".join([*piece, opened, b"]", b"," if rest else b"", orjson.dumps(rest)[1:]])


def is_json(headers: Headers) -> bool:
    """Tell whether a body says that it is JSON."""
    return _JSON.fullmatch(headers.get("content-type", "").partition(";")[0].strip()) is not None


async def read_object(request: Request, known: set[str]) -> dict[str, Json]:
    """Return the body as a JSON object with known keys; an empty body is an empty object."""
    data = await request.body()
    try:
        value = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.")
    for name in value:
        if name not in known:
            raise invalid(f"'{name[:100]}' is not known here; {nearest(name, known)}")
    return value


def typed(data: dict[str, Json], name: str, kind: type) -> Any:
    value = data.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    word = {str: "a string", int: "an integer"}[kind]
    if kind is int and isinstance(value, float) and abs(value) >= 2**63:  # as JSON with more than 64 bits is read
        word = "of at most 64 bits"
    raise invalid(f"{name} must be {word}.")


def name_in(data: dict[str, Json], name: str) -> str | None:
    """Return the place or file name that a body gives: it goes into headers and messages."""
    value: str | None = typed(data, name, str)
    if value is not None and not (value and value.isprintable() and len(value) <= LONGEST_NAME):
        raise invalid(f"{name} must be a place, as scenario.yaml or test_x.py:12.")
    return value


def scenario_of(data: dict[str, Json]) -> tuple[Json, str]:
    """Return the scenario of a body, None where it has none, and what stands for its file."""
    name = typed(data, "library", str)
    if name is None:
        scenario = data.get("scenario")
        if scenario is not None and not isinstance(scenario, str | dict):
            raise invalid("scenario must be YAML text or an object.")
        return scenario, name_in(data, "file") or SENT
    if "scenario" in data:
        raise invalid("scenario and library exclude each other.")
    library = {f"{file.parent.name}/{file.name}": file for file in data_folder("scenarios").glob("*/*.yaml")}
    if name not in library:
        close = closest(name, library) if "/" in name else None  # several have a file of one name
        likely = [close] if close else nlargest(2, library, lambda item: _likeness(name, item))
        hint = " or ".join(f"'{item}'" for item in likely)
        raise OwnError(404, "not_found", f"The library has no '{name[:100]}'; did you mean {hint}?")
    return library[name].read_text(encoding="utf-8"), name


def _likeness(name: str, file: str) -> float:
    """Return how like a name is to PROVIDER/FILE, or to FILE alone."""
    return max(SequenceMatcher(None, name[:LONGEST_NAME], item).ratio() for item in (file, file.rpartition("/")[2]))


def identity_of(data: dict[str, Json]) -> tuple[str, str]:
    """Return the id and the key that a session is to have, each empty where one is to be made."""
    id, key = typed(data, "id", str) or "", typed(data, "api_key", str) or ""
    if id and not _ID.fullmatch(id):
        raise invalid("id must be 1 to 64 letters, digits, '-' or '_'.")
    if key and not _KEY.fullmatch(key):
        raise invalid("api_key must be 1 to 200 letters, digits or -._~+/=.")
    return id, key


def plan_of(value: Json) -> str | Plan | None:
    if value is None or isinstance(value, str):
        return value
    figures = {"requests_per_minute", "tokens_per_minute"}
    good = isinstance(value, dict) and value and value.keys() <= figures
    if not good or not all(type(item) is int and item >= 0 for item in value.values()):
        raise invalid("plan must be a name, or {requests_per_minute, tokens_per_minute}.")
    return read_plan("session", value)


def seconds_of(value: Json) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise invalid(f"advance {error}") from None
    if seconds == FOREVER:
        raise invalid("advance needs an end; forever has none.")
    return seconds


def origin_of(request: Request) -> str:
    return f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}"
