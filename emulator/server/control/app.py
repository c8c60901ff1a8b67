"""The control API under /_emulator/: sessions, scenarios, journals and clocks, as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.core.errors import Json, SourceError, nearest
from emulator.core.provider.openapi import openapi
from emulator.core.provider.provider import Provider
from emulator.core.scenario.session import Options
from emulator.core.store import StoreFailed
from emulator.server import metrics
from emulator.server.control import bodies, inspector, journal
from emulator.server.control.access import check_access
from emulator.server.control.bodies import json_response, read_object, session_body, typed
from emulator.server.own_errors import OwnError, invalid
from emulator.server.real_time import monotonic
from emulator.server.sessions import changes
from emulator.server.sessions.clock import VirtualClock
from emulator.server.sessions.live import LiveSession, LiveSessions
from emulator.server.sessions.source import SENT

#: Takes the live sessions, the request, and below /sessions/{id} that session.
Endpoint = Callable[..., Awaitable[Response]]
_STARTED = monotonic()


def control_app(sessions: LiveSessions, loopback: bool, admin_token: str | None) -> ASGIApp:
    """Return the routes behind their guard; `loopback` tells whether the server is bound to this machine only."""
    app = _routed(sessions)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_access(scope, loopback, admin_token)
        except OwnError as error:
            await json_response(error.body(), error.status)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def _routed(sessions: LiveSessions) -> Starlette:
    def route(path: str, methods: Mapping[str, Endpoint]) -> Route:
        async def answer(request: Request) -> Response:
            try:
                if request.scope.get("emulator.too_large"):
                    raise OwnError(413, "too_large", "The body is larger than --max-body.")
                endpoint = methods["GET" if request.method == "HEAD" else request.method]
                found = [await _PARTS[name](sessions, part) for name, part in request.path_params.items()]
                return await endpoint(sessions, request, *found)
            except OwnError as error:
                return json_response(error.body(), error.status)
            except SourceError as error:  # what was sent does not load
                return json_response(OwnError(422, "invalid_scenario", str(error), error.problems).body(), 422)
            except StoreFailed as error:
                body = OwnError(500, "store_failed", str(error)).body()
                return json_response(body, 500, {"x-emulator-error": type(error).__name__})

        return Route(f"/_emulator{path}", answer, methods=list(methods))

    async def not_found(request: Request, error: Exception) -> Response:
        return json_response(OwnError(404, "not_found", _no_such(request, routes)).body(), 404)

    async def wrong_method(request: Request, error: Any) -> Response:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        message = f"{request.scope['path']} takes {allowed}, not {request.method}."
        return json_response(OwnError(405, "method_not_allowed", message).body(), 405, {"allow": allowed})

    routes = [*inspector.ROUTES, *(route(path, methods) for path, methods in _ROUTES.items())]
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: wrong_method})
    app.router.redirect_slashes = False
    return app


def _no_such(request: Request, routes: Sequence[Route]) -> str:
    path: str = request.scope["path"]
    meant = path.rstrip("/")
    hint = f" (did you mean {meant[:200]}?)" if any(item.path_regex.match(meant) for item in routes) else ""
    known = [item.replace("{id}", "ID").replace("{provider}", "PROVIDER") for item in _ROUTES]
    return f"There is nothing at {path[:200]}{hint}. Below /_emulator there are: {', '.join(known)}."


# Endpoints


async def _shown(sessions: LiveSessions, request: Request, live: LiveSession, status: int = 200) -> Response:
    return json_response(await session_body(sessions, live, bodies.origin_of(request), with_key=True), status)


async def health(sessions: LiveSessions, request: Request) -> Response:
    uptime = round(monotonic() - _STARTED, 3)
    return json_response({"status": "ok", "sessions": await _count(sessions), "uptime": uptime})


async def providers(sessions: LiveSessions, request: Request) -> Response:
    known, origin = sessions.providers.items(), bodies.origin_of(request)
    rows = [bodies.provider_body(item, f"{origin}/{name}{item.base_path}") for name, item in known]
    return json_response({"providers": rows})


async def read_metrics(sessions: LiveSessions, request: Request) -> Response:
    try:
        count: int | None = await _count(sessions)
    except StoreFailed:  # the other counts are this process's own
        count = None
    return Response(sessions.metrics.text(count), media_type=metrics.TEXT)


async def _count(sessions: LiveSessions) -> int:
    """Return the number of sessions. Raises: StoreFailed."""
    return await sessions.sharing.count() if sessions.sharing else len(sessions.by_id)


async def read_openapi(sessions: LiveSessions, request: Request, provider: Provider) -> Response:
    base_url = f"{bodies.origin_of(request)}/{provider.name}{provider.base_path}"
    return json_response(openapi(provider, version("llm-emulator"), base_url))


async def make_session(sessions: LiveSessions, request: Request) -> Response:
    """Take {scenario: TEXT or object}, or {library: PROVIDER/FILE}, the session's options, and its id and key."""
    known = {"scenario", "file", "library", "provider", "seed", "clock", "plan", "validation", "id", "api_key"}
    data = await read_object(request, known)
    options = Options(
        provider=typed(data, "provider", str), seed=typed(data, "seed", int), clock=typed(data, "clock", str),
        plan=bodies.plan_of(data.get("plan")), validation=typed(data, "validation", str),
    )  # fmt: skip
    scenario, label = bodies.scenario_of(data)
    id, key = bodies.identity_of(data)
    if id and sessions.sharing:
        await sessions.sharing.meet(id)
    live = sessions.open(scenario, options, label, len(await request.body()), id, key)
    if sessions.sharing:
        await sessions.sharing.share(live)
    return await _shown(sessions, request, live, 201)


async def list_sessions(sessions: LiveSessions, request: Request) -> Response:
    origin = bodies.origin_of(request)
    if sessions.sharing:
        await sessions.sharing.meet_all()
    found = list(sessions.by_id.values())
    rows = (session_body(sessions, live, origin) for live in found if sessions.by_id.get(live.session.id) is live)
    return bodies.json_list("sessions", rows, {})


async def delete_session(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    async with sessions.changing(live.session.id):
        await sessions.forgetting(live)
        sessions.delete(live.session.id)
    return Response(status_code=204)


async def put_scenario(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    """Take JSON {scenario: TEXT or object} and, for where its rules stand, {file: NAME}; or {library: PROVIDER/FILE}.

    Another body is YAML text.
    """
    scenario: Json = None
    if bodies.is_json(request.headers):
        scenario, label = bodies.scenario_of(await read_object(request, {"scenario", "file", "library"}))
        if scenario is None:
            raise invalid("The body must be YAML text, or {scenario: TEXT or object}.")
    else:
        scenario, label = await request.body(), SENT
    async with sessions.changing(live.session.id):
        live = changes.put_scenario(sessions, live.session.id, scenario, label, len(await request.body()))
    return await _shown(sessions, request, live)


async def reset_session(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    async with sessions.changing(live.session.id):
        await sessions.forgetting(live)
        live = changes.reset(sessions, live.session.id)
    return await _shown(sessions, request, live)


async def add_rule(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    """Take {rule} and, for who made it in a test, {at: "test_x.py:12"}."""
    data = await read_object(request, {"rule", "at"})
    rule, at = data.get("rule"), bodies.name_in(data, "at")
    if not isinstance(rule, dict):
        raise invalid("The body must be {rule: {...}}.")
    async with sessions.changing(live.session.id):
        live = changes.add_rule(sessions, live.session.id, rule, at, len(await request.body()))
    return await _shown(sessions, request, live, 201)


async def read_clock(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    return json_response({"kind": live.clock.kind, "now": live.clock.now()})


async def set_clock(sessions: LiveSessions, request: Request, live: LiveSession) -> Response:
    data = await read_object(request, {"advance", "hold", "release"})
    if len(data) != 1:
        raise invalid("The body must be one of {advance: '60s'}, {hold: true}, {release: true}.")
    if "advance" not in data and next(iter(data.values())) is not True:
        raise invalid(f"{next(iter(data))} must be true.")
    seconds = bodies.seconds_of(data["advance"]) if "advance" in data else 0.0
    async with sessions.changing(live.session.id) as live:
        if "release" in data:
            live.clock.release()
        elif not isinstance(live.clock, VirtualClock):
            how = "moved; make the session with clock: virtual" if "advance" in data else "held"
            raise OwnError(409, "real_clock", f"This session's clock is real and cannot be {how}.")
        elif "advance" in data:
            live.clock.advance(seconds)
        else:
            live.clock.hold()
    return await read_clock(sessions, request, live)


async def _provider(sessions: LiveSessions, name: str) -> Provider:
    found = sessions.providers.get(name)
    if found is None:
        message = f"There is no provider '{name[:100]}'; {nearest(name, sessions.providers)}"
        raise OwnError(404, "unknown_provider", message)
    return found


#: What the parts of a path stand for.
_PARTS: dict[str, Callable[[LiveSessions, str], Awaitable[LiveSession | Provider]]] = {
    "id": LiveSessions.meet,
    "provider": _provider,
}
_ROUTES: dict[str, dict[str, Endpoint]] = {
    "/health": {"GET": health},
    "/providers": {"GET": providers},
    "/sessions": {"POST": make_session, "GET": list_sessions},
    "/sessions/{id}": {"GET": _shown, "DELETE": delete_session},
    "/sessions/{id}/scenario": {"PUT": put_scenario},
    "/sessions/{id}/reset": {"POST": reset_session},
    "/sessions/{id}/journal": {"GET": journal.read_journal},
    "/sessions/{id}/journal/events": {"GET": journal.watch_journal},
    "/sessions/{id}/rules": {"POST": add_rule},
    "/sessions/{id}/verify": {"POST": journal.verify_journal},
    "/sessions/{id}/completed": {"POST": journal.note_completed},
    "/sessions/{id}/verdict": {"GET": journal.read_verdict},
    "/sessions/{id}/problems": {"GET": journal.read_problems},
    "/sessions/{id}/clock": {"GET": read_clock, "PATCH": set_clock},
    "/metrics": {"GET": read_metrics},
    "/openapi/{provider}.json": {"GET": read_openapi},
}
