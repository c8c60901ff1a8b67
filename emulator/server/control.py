"""The control API under /_emulator/: sessions, scenarios, journals and clocks, as JSON."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from emulator.core.errors import Json, SourceError, nearest
from emulator.core.journal import describe
from emulator.core.provider import Provider
from emulator.core.secrets import redact
from emulator.core.session import Options
from emulator.core.timing import parse_duration
from emulator.core.verdict import judge
from emulator.core.verify import verify
from emulator.core.wire import FOREVER, Exchange, Plan
from emulator.server.clock import VirtualClock
from emulator.server.worlds import Unaddressed, World, Worlds, advance

Endpoint = Callable[[Worlds, Request], Awaitable[Response]]
_STARTED = time.time()
#: Exchanges that wait for a reader of the live journal, and texts kept as completed.
WATCHED = 1000


def control_app(worlds: Worlds, loopback: bool, admin_token: str | None) -> Starlette:
    """Return the Starlette app; `loopback` tells whether the server is bound to this machine only."""

    def guarded(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                _check_access(request, loopback, admin_token)
                if request.scope.get("emulator.too_large"):
                    raise Unaddressed(413, "too_large", "The body is larger than --max-body.")
                return await endpoint(worlds, request)
            except Unaddressed as error:
                return _json(error.body(), error.status)

        return answer

    async def not_found(request: Request, error: Exception) -> Response:
        return _json(Unaddressed(404, "not_found", _no_such(request)).body(), 404)

    async def wrong_method(request: Request, error: Any) -> Response:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{request.url.path} takes {allowed}, not {request.method}."
        return _json(Unaddressed(405, "method_not_allowed", message).body(), 405, {"allow": allowed})

    routes = [
        Route(f"/_emulator{path}", guarded(endpoint), methods=[method])
        for path, methods in _ROUTES.items()
        for method, endpoint in methods.items()
    ]
    return Starlette(routes=_merged(routes), exception_handlers={404: not_found, 405: wrong_method})


def _merged(routes: list[Route]) -> list[Route]:
    """Join the methods of one path in one route, so that a wrong method gets 405 with all that are good."""
    merged: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in route.methods or ():
            merged.setdefault(route.path, {})[method] = route.endpoint

    def dispatch(methods: dict[str, Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            response: Response = await methods[request.method](request)
            return response

        return answer

    return [Route(path, dispatch(methods), methods=sorted(methods)) for path, methods in merged.items()]


def _check_access(request: Request, loopback: bool, admin_token: str | None) -> None:
    """On loopback without a token only loopback Host headers are good; elsewhere only the token is."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if admin_token and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), admin_token.encode()):
        return
    if not loopback:
        message = "The control API of a server that others can reach needs --admin-token, sent as a Bearer token."
        raise Unaddressed(403, "forbidden", message)
    host = request.headers.get("host", "localhost")
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if name.lower() not in ("localhost", "[::1]") and not name.startswith("127."):
        raise Unaddressed(403, "forbidden", f"The control API does not answer to the host '{name[:100]}'.")


def _no_such(request: Request) -> str:
    known = [path.replace("{id}", "ID") for path in _ROUTES]
    return f"There is nothing at {request.url.path[:200]}. Below /_emulator there are: {', '.join(known)}."


# Endpoints


async def health(worlds: Worlds, request: Request) -> Response:
    return _json({"status": "ok", "sessions": len(worlds.by_id), "uptime": round(time.time() - _STARTED, 3)})


async def providers(worlds: Worlds, request: Request) -> Response:
    origin = _origin(request)
    return _json({"providers": [provider_body(item, f"{origin}/{name}/v1") for name, item in worlds.providers.items()]})


async def make_session(worlds: Worlds, request: Request) -> Response:
    data = await _object(request, {"scenario", "provider", "seed", "clock", "plan", "validation"})
    options = Options(
        provider=_typed(data, "provider", str), seed=_typed(data, "seed", int), clock=_typed(data, "clock", str),
        plan=_plan(data.get("plan")), validation=_typed(data, "validation", str),
    )  # fmt: skip
    scenario = data.get("scenario")
    if scenario is not None and not isinstance(scenario, str | dict):
        raise Unaddressed(400, "invalid_request", "scenario must be YAML text or an object.")
    world = worlds.open(scenario, options)
    return _json(session_body(worlds, world, _origin(request), with_key=True), 201)


async def list_sessions(worlds: Worlds, request: Request) -> Response:
    origin = _origin(request)
    return _json({"sessions": [session_body(worlds, world, origin) for world in worlds.by_id.values()]})


async def read_session(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    return _json(session_body(worlds, world, _origin(request), with_key=True))


async def delete_session(worlds: Worlds, request: Request) -> Response:
    worlds.delete(request.path_params["id"])
    return Response(status_code=204)


async def put_scenario(worlds: Worlds, request: Request) -> Response:
    """Take YAML text as the body, or JSON {scenario: TEXT or object}."""
    worlds.find(request.path_params["id"])
    if "json" in request.headers.get("content-type", ""):
        scenario = (await _object(request, {"scenario"})).get("scenario")
        if not isinstance(scenario, str | dict):
            raise Unaddressed(400, "invalid_request", "The body must be YAML text, or {scenario: TEXT or object}.")
    else:
        scenario = (await request.body()).decode("utf-8", "replace")
    world = worlds.put_scenario(request.path_params["id"], scenario)
    return _json(session_body(worlds, world, _origin(request), with_key=True))


async def reset_session(worlds: Worlds, request: Request) -> Response:
    world = worlds.reset(request.path_params["id"])
    return _json(session_body(worlds, world, _origin(request), with_key=True))


async def read_journal(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    since = request.query_params.get("since", "0")
    if not since.isdecimal() or len(since) > 15:
        raise Unaddressed(400, "invalid_request", "since must be the number of an exchange.")
    exchanges, dropped = worlds.store.journal(world.session.id, int(since))
    if request.query_params.get("unmatched") == "true":
        exchanges = [item for item in exchanges if item.rule == "unmatched"]
    rows = [describe(item) for item in exchanges]
    last = max((row["n"] for row in rows), default=int(since))
    return _json({"exchanges": rows, "next": last, "dropped": dropped})


async def watch_journal(worlds: Worlds, request: Request) -> Response:
    """Stream exchanges as they end; a reader too slow for them misses some."""
    world = worlds.find(request.path_params["id"])
    queue: asyncio.Queue[Exchange] = asyncio.Queue(WATCHED)

    def watch(exchange: Exchange) -> None:
        if not queue.full():
            queue.put_nowait(exchange)

    async def events() -> AsyncIterator[bytes]:
        world.watchers.add(watch)
        try:
            yield b": watching\n\n"
            while True:
                yield b"event: exchange\ndata: " + orjson.dumps(describe(await queue.get())) + b"\n\n"
        finally:
            world.watchers.discard(watch)

    return StreamingResponse(events(), media_type="text/event-stream")


async def add_rule(worlds: Worlds, request: Request) -> Response:
    """Take {rule} and, for who made it in a test, {at: "test_x.py:12"}."""
    data = await _object(request, {"rule", "at"})
    rule, at = data.get("rule"), _typed(data, "at", str)
    if not isinstance(rule, dict):
        raise Unaddressed(400, "invalid_request", "The body must be {rule: {...}}.")
    if at is not None and not (at.isprintable() and at.isascii() and len(at) <= 500):
        raise Unaddressed(400, "invalid_request", "at must be a place such as test_x.py:12.")
    world = worlds.add_rule(request.path_params["id"], rule, at)
    return _json(session_body(worlds, world, _origin(request), with_key=True), 201)


async def verify_journal(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    data = await _object(request, {"when", "count", "at_least", "at_most"})
    bounds = {name: _typed(data, name, int) for name in ("count", "at_least", "at_most")}
    if all(bound is None for bound in bounds.values()):
        bounds["at_least"] = 1
    when = data.get("when", {})
    if not isinstance(when, dict):
        raise Unaddressed(400, "invalid_request", "when must be an object, as in a scenario's rule.")
    try:
        return _json(verify(worlds.store.journal(world.session.id, 0)[0], when, **bounds).body())
    except SourceError as error:
        raise Unaddressed(422, "invalid_when", str(error), error.problems) from None


async def note_completed(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    data = await _object(request, {"exchange", "text"})
    number, text = _typed(data, "exchange", int), _typed(data, "text", str)
    if number is None or text is None:
        raise Unaddressed(400, "invalid_request", "The body must be {exchange: N, text: TEXT}.")
    world.completed = [*world.completed, (number, text)][-WATCHED:]
    return Response(status_code=204)


async def read_verdict(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    exchanges = worlds.store.journal(world.session.id, 0)[0]
    used = {item.claim.provider for item in exchanges}
    findings = [
        finding
        for name, provider in worlds.providers.items()
        if name in used
        for finding in judge(provider, exchanges, world.completed)
    ]
    ok = not any(finding.status == "fail" and not finding.advice for finding in findings)
    return _json({"ok": ok, "findings": [finding.body() for finding in findings]})


async def set_clock(worlds: Worlds, request: Request) -> Response:
    world = worlds.find(request.path_params["id"])
    data = await _object(request, {"advance", "hold", "release"})
    if len(data) != 1:
        raise Unaddressed(
            400, "invalid_request", "The body must be one of {advance: '60s'}, {hold: true}, {release: true}."
        )
    if "advance" in data:
        advance(world, _seconds(data["advance"]))
    elif "release" in data:
        world.clock.release()
    elif isinstance(world.clock, VirtualClock):
        world.clock.hold()
    else:
        raise Unaddressed(409, "real_clock", "This session's clock is real and cannot be held.")
    return _json({"kind": world.clock.kind, "now": world.clock.now()})


_ROUTES: dict[str, dict[str, Endpoint]] = {
    "/health": {"GET": health},
    "/providers": {"GET": providers},
    "/sessions": {"POST": make_session, "GET": list_sessions},
    "/sessions/{id}": {"GET": read_session, "DELETE": delete_session},
    "/sessions/{id}/scenario": {"PUT": put_scenario},
    "/sessions/{id}/reset": {"POST": reset_session},
    "/sessions/{id}/journal": {"GET": read_journal},
    "/sessions/{id}/journal/events": {"GET": watch_journal},
    "/sessions/{id}/rules": {"POST": add_rule},
    "/sessions/{id}/verify": {"POST": verify_journal},
    "/sessions/{id}/completed": {"POST": note_completed},
    "/sessions/{id}/verdict": {"GET": read_verdict},
    "/sessions/{id}/clock": {"PATCH": set_clock},
}


# Bodies


def session_body(worlds: Worlds, world: World, origin: str, with_key: bool = False) -> Json:
    """Return a session as the control API shows it; lists leave the key out."""
    session = world.session
    standing = worlds.store.world(session.id, world.clock.now())
    settings = session.settings[session.provider] if session.provider else next(iter(session.settings.values()))
    plans = {name: item.plan.name for name, item in session.settings.items()}
    body: dict[str, Json] = {"id": session.id}
    if with_key:
        body["api_key"] = session.api_key
    return body | {
        "provider": session.provider,
        "base_urls": worlds.base_urls(session, origin),
        "clock": {"kind": world.clock.kind, "now": world.clock.now()},
        "seed": session.seed,
        "plan": settings.plan.name if session.provider else plans,
        "validation": settings.validation,
        "state": standing.state,
        "rules": [
            {"id": rule.id, "at": rule.at, "calls": standing.calls.get(rule.id, 0), "expect": rule.expected}
            for rule in session.all_rules
        ],
        "limits": [
            {"provider": provider, "key": redact(key), "plan": plan, "requests_left": item.remaining,
             "tokens_left": item.tokens_left, "reset": item.reset}
            for provider, key, plan, item in standing.limits
        ],
        "exchanges": standing.exchanges,
        "dropped": standing.dropped,
    }  # fmt: skip


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
        "errors": [name for name, item in provider.errors.items() if item.get("documented")],
        "facts": [
            {"id": fact.id, "who": fact.who, "source": fact.source, "text": fact.text, "assumed": fact.assumed,
             "advice": fact.advice, "note": fact.note}
            for fact in provider.facts.values()
        ],
    }  # fmt: skip


def _json(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


async def _object(request: Request, known: set[str]) -> dict[str, Json]:
    """Return the body as a JSON object with known keys; an empty body is an empty object."""
    data = await request.body()
    try:
        value = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError as error:
        raise Unaddressed(400, "invalid_request", f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Unaddressed(400, "invalid_request", "The body must be a JSON object.")
    for name in value:
        if name not in known:
            raise Unaddressed(400, "invalid_request", f"'{name[:100]}' is not known here; {nearest(name, known)}")
    return value


def _typed(data: dict[str, Json], name: str, kind: type) -> Any:
    value = data.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    word = {str: "a string", int: "an integer"}[kind]
    raise Unaddressed(400, "invalid_request", f"{name} must be {word}.")


def _plan(value: Json) -> str | Plan | None:
    if value is None or isinstance(value, str):
        return value
    figures = {"requests_per_minute", "tokens_per_minute"}
    if (
        not isinstance(value, dict)
        or not set(value) <= figures
        or not all(type(item) is int for item in value.values())
    ):
        raise Unaddressed(400, "invalid_request", "plan must be a name, or {requests_per_minute, tokens_per_minute}.")
    return Plan("session", value.get("requests_per_minute"), value.get("tokens_per_minute"))


def _seconds(value: Json) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise Unaddressed(400, "invalid_request", f"advance {error}") from None
    if seconds == FOREVER:
        raise Unaddressed(400, "invalid_request", "advance needs an end; forever has none.")
    return seconds


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
