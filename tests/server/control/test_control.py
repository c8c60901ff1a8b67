"""The control API: every route over a running server, every error, and who may ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import httpx2
import pytest
from build import KEY, PROVIDERS, chat
from starlette.requests import Request

from emulator.core.scenario.session import Options
from emulator.server.control.app import control_app, list_sessions
from emulator.server.control.bodies import list_pieces
from emulator.server.setup import Setup, make_live_sessions

NAMES = [*PROVIDERS]
RULE = "emulator: 1\nrules:\n- {id: hi, reply: {text: hello}, expect: {calls: 1}}\n"


@pytest.fixture
def control(emulator_url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{emulator_url}/_emulator/", trust_env=False) as client:
        yield client


@pytest.fixture
def session(control: httpx2.Client) -> Iterator[dict[str, Any]]:
    """A session of its own with a virtual clock and one rule for Beatra."""
    opened = control.post("sessions", json={"scenario": RULE, "provider": "beatra", "clock": "virtual", "seed": 3})
    assert opened.status_code == 201
    yield opened.json()
    control.delete(f"sessions/{opened.json()['id']}")


def ask(session: dict[str, Any], **given: Any) -> httpx2.Response:
    url = f"{session['base_urls']['beatra']}/chat/completions"
    headers = {"authorization": f"Bearer {session['api_key']}"}
    return httpx2.post(url, json=chat(**given), headers=headers, trust_env=False)


def error_of(response: httpx2.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


# Routes


def test_health(control: httpx2.Client, session: dict[str, Any]) -> None:
    body = control.get("health").json()
    assert (body["status"], body["sessions"] >= 2, body["uptime"] >= 0) == ("ok", True, True)


def test_providers(control: httpx2.Client, emulator_url: str) -> None:
    found = control.get("providers").json()["providers"]
    assert [item["name"] for item in found] == NAMES
    beatra = found[NAMES.index("beatra")]
    assert (beatra["base_url"], beatra["documented_base_url"]) == (
        f"{emulator_url}/beatra/v1", "https://api.beatra.ai/v1",
    )  # fmt: skip
    assert beatra["operations"] == [{"name": "chat", "method": "POST", "path": "/chat/completions"}]
    assert beatra["errors"] == ["invalid_request", "rate_limited", "model_unavailable"]
    assert beatra["plans"] == {"unlimited": {"requests_per_minute": None, "tokens_per_minute": None}}
    assert {"id": "be-max-tokens", "who": "server", "advice": False} .items() <= {
        fact["id"]: fact for fact in beatra["facts"]
    }["be-max-tokens"].items()  # fmt: skip


def test_a_session_is_made_read_listed_and_deleted(control: httpx2.Client, emulator_url: str) -> None:
    made = control.post("sessions", json={"scenario": {"emulator": 1, "seed": 5}, "validation": "strict"}).json()
    assert made | {"clock": None} == {
        "id": made["id"], "api_key": made["api_key"], "provider": None,
        "base_url": f"{emulator_url}/s/{made['id']}/openai/v1",
        "env": made["env"],
        "base_urls": {
            name: f"{emulator_url}/s/{made['id']}/{name}{provider.base_path}" for name, provider in PROVIDERS.items()
        },
        "sdk_urls": made["base_urls"] | {"gemini": f"{emulator_url}/s/{made['id']}/gemini"},
        "clock": None, "seed": 5, "plan": dict.fromkeys(NAMES, "unlimited"), "validation": "strict",
        "state": "started", "rules": [], "limits": [], "exchanges": 0, "dropped": 0,
    }  # fmt: skip
    assert made["clock"]["kind"] == "real"
    led = {name: value for name, value in made["env"].items() if name.startswith("OPENAI_")}
    assert led == {
        "OPENAI_BASE_URL": made["base_url"], "OPENAI_API_BASE": made["base_url"], "OPENAI_API_KEY": made["api_key"],
        "OPENAI_API_VERSION": "2025-04-01-preview",
        **dict.fromkeys(("OPENAI_ADMIN_KEY", "OPENAI_API_TYPE", "OPENAI_CUSTOM_HEADERS", "OPENAI_ORGANIZATION",
                         "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_PROXY")),
    }  # fmt: skip
    assert made["env"]["ANTHROPIC_BASE_URL"] == made["base_urls"]["anthropic"]
    read = control.get(f"sessions/{made['id']}").json()
    assert read | {"clock": None} == made | {"clock": None}
    listed = {item["id"]: item for item in control.get("sessions").json()["sessions"]}
    assert {"default", made["id"]} <= listed.keys()
    assert "api_key" not in listed[made["id"]]
    deleted = control.delete(f"sessions/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert control.get(f"sessions/{made['id']}").status_code == 404


def test_an_empty_body_makes_a_session_with_defaults(control: httpx2.Client) -> None:
    made = control.post("sessions")
    assert (made.status_code, made.json()["seed"]) == (201, 0)
    control.delete(f"sessions/{made.json()['id']}")


@pytest.mark.parametrize(
    ("provider", "prefix"), [("brainstormrouter", "br-"), ("brivionix", "sk-"), ("beatra", "emu-"), (None, "sk-")]
)
def test_a_generated_key_has_the_documented_prefix(control: httpx2.Client, provider: str | None, prefix: str) -> None:
    made = control.post("sessions", json={"provider": provider}).json()
    assert made["api_key"].startswith(prefix)
    control.delete(f"sessions/{made['id']}")


def test_a_session_shows_its_plan_its_rules_and_its_limits(control: httpx2.Client) -> None:
    given = {"scenario": RULE, "provider": "beatra", "plan": {"requests_per_minute": 2}, "clock": "virtual"}
    session = control.post("sessions", json=given).json()
    assert (ask(session).json()["choices"][0]["message"]["content"], session["plan"]) == ("hello", "session")
    read = control.get(f"sessions/{session['id']}").json()
    [limit] = read["limits"]
    assert read["rules"] == [
        {"id": "hi", "at": "session:3", "calls": 1, "expect": {"calls": 1}, "added": False,
         "replies": [{"times": 1, "faults": []}]},
    ]  # fmt: skip
    assert (limit.pop("reset") - read["clock"]["now"] <= 60, limit.pop("key") != session["api_key"]) == (True, True)
    assert limit == {"provider": "beatra", "plan": "session", "requests_left": 1, "tokens_left": None}
    assert read["exchanges"] == 1
    control.delete(f"sessions/{session['id']}")


def test_a_session_can_be_made_again_with_its_id_and_key(control: httpx2.Client) -> None:
    for text in ("one", "two"):
        scenario = {"emulator": 1, "rules": [{"reply": {"text": text}}]}
        made = control.post("sessions", json={"id": "mine", "api_key": "sk-mine", "provider": "beatra",
                                              "scenario": scenario}).json()  # fmt: skip
        assert (made["id"], made["api_key"], made["exchanges"]) == ("mine", "sk-mine", 0)
        assert ask(made).json()["choices"][0]["message"]["content"] == text
        assert control.post("sessions", json={"api_key": "sk-mine"}).status_code == 409
        control.delete("sessions/mine")
    assert ask(made).status_code == 404


@pytest.mark.parametrize("how", ["yaml", "json-text", "json-object"])
def test_a_scenario_is_put(control: httpx2.Client, session: dict[str, Any], how: str) -> None:
    ask(session)
    path, text = f"sessions/{session['id']}/scenario", "emulator: 1\nrules: [{reply: {text: new}}]"
    data: Any = {"emulator": 1, "rules": [{"reply": {"text": "new"}}]} if how == "json-object" else text
    put = control.put(path, content=text) if how == "yaml" else control.put(path, json={"scenario": data})
    assert (put.status_code, [rule["calls"] for rule in put.json()["rules"]]) == (200, [0])
    assert (put.json()["exchanges"], put.json()["clock"]["kind"], put.json()["seed"]) == (1, "virtual", 3)
    assert ask(session).json()["choices"][0]["message"]["content"] == "new"


def test_a_session_is_reset(control: httpx2.Client, session: dict[str, Any]) -> None:
    ask(session)
    control.patch(f"sessions/{session['id']}/clock", json={"advance": "1h"})
    reset = control.post(f"sessions/{session['id']}/reset").json()
    assert (reset["exchanges"], reset["api_key"], [rule["calls"] for rule in reset["rules"]]) == (
        0,
        session["api_key"],
        [0],
    )
    assert control.get(f"sessions/{session['id']}/journal").json() == {"exchanges": [], "next": 0, "dropped": 0}
    assert reset["clock"]["now"] < session["clock"]["now"] + 1800


def test_the_journal_is_read_from_a_number_on(control: httpx2.Client, session: dict[str, Any]) -> None:
    control.put(
        f"sessions/{session['id']}/scenario",
        content="emulator: 1\nrules: [{when: {last_user: hi}, reply: {text: a}}]",
    )
    for text in ("hi", "other", "hi"):
        ask(session, text=text)
    path = f"sessions/{session['id']}/journal"
    whole, rest, none = (control.get(path, params={"since": since}).json() for since in (0, 2, 3))
    assert [row["n"] for row in whole["exchanges"]] == [1, 2, 3]
    assert [row["rule"] for row in whole["exchanges"]] == ["session:2", "unmatched", "session:2"]
    assert ([row["n"] for row in rest["exchanges"]], rest["next"], rest["dropped"]) == ([3], 3, 0)
    assert none == {"exchanges": [], "next": 3, "dropped": 0}
    missed = control.get(path, params={"unmatched": "true"}).json()["exchanges"]
    assert [(row["n"], row["response"]["status"]) for row in missed] == [(2, 404)]
    assert session["api_key"] not in str(whole)


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(0, [0]), (1, [1]), (99, [99]), (100, [100, 0]), (250, [100, 100, 50])],
    ids=str,
)
def test_a_long_list_is_made_in_pieces_and_others_have_their_turn(rows: int, sizes: list[int]) -> None:
    made: list[int] = []
    others: list[int] = []

    def rows_made() -> Iterator[Any]:
        for n in range(rows):
            made.append(n)
            yield {"n": n}

    async def read() -> bytes:
        asyncio.get_running_loop().call_soon(lambda: others.append(len(made)))
        pieces = []
        async for piece in list_pieces("items", rows_made(), {"next": 5}):
            pieces.append(piece)
            asyncio.get_running_loop().call_soon(lambda: others.append(len(made)))
        await asyncio.sleep(0)
        assert [piece.count(b'{"n"') for piece in pieces] == sizes
        return b"".join(pieces)

    assert json.loads(asyncio.run(read())) == {"items": [{"n": n} for n in range(rows)], "next": 5}
    assert sorted({count for count in others if count}) == list(accumulate(size for size in sizes if size))


def test_a_piece_of_a_list_ends_with_its_bytes_too() -> None:
    async def read() -> list[int]:
        rows = ["x" * 100_000] * 5
        return [piece.count(b"xx") > 0 and round(len(piece), -5) async for piece in list_pieces("a", rows, {})]

    assert asyncio.run(read()) == [200_000, 200_000, 100_000]


def test_a_session_that_is_deleted_while_the_list_is_read_is_left_out() -> None:
    sessions = make_live_sessions(Setup())
    gone = sessions.open(None, Options(), "x")
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [],
                       "scheme": "http", "server": ("127.0.0.1", 80)})  # fmt: skip

    async def read() -> bytes:
        response: Any = await list_sessions(sessions, request)
        sessions.delete(gone.session.id)
        return b"".join([piece async for piece in response.body_iterator])

    assert [item["id"] for item in json.loads(asyncio.run(read()))["sessions"]] == ["default"]


def test_the_clock_is_advanced_held_and_released(control: httpx2.Client, session: dict[str, Any]) -> None:
    path = f"sessions/{session['id']}/clock"
    start = session["clock"]["now"]
    advanced = control.patch(path, json={"advance": "60s"}).json()
    assert advanced == {"kind": "virtual", "now": start + 60}
    assert [control.patch(path, json=body).json() for body in ({"hold": True}, {"release": True})] == [advanced] * 2


def test_the_problems_of_a_session(control: httpx2.Client, session: dict[str, Any]) -> None:
    path = f"sessions/{session['id']}"
    control.post(
        f"{path}/rules", json={"rule": {"id": "mine", "when": {"model": "x"}, "reply": {"text": "a"}}, "at": "t.js:3"}
    )
    ask(session)
    found = control.get(f"{path}/problems").json()["problems"]
    assert found == [
        {"name": "unused", "text": "the rule of .on() at t.js:3 was never used", "allowed_by": "allow_unused=True",
         "concerns": ["mine", "t.js:3"]},
    ]  # fmt: skip


def test_where_not_one_request_came_the_base_url_is_told(control: httpx2.Client, session: dict[str, Any]) -> None:
    path = f"sessions/{session['id']}"
    control.post(f"{path}/rules", json={"rule": {"reply": {"text": "a"}}, "at": "t.js:3"})
    found = control.get(f"{path}/problems").json()["problems"]
    assert found[-1]["text"] == (
        "not one request came to this session: the rule of .on() at t.js:3 was never used; point the client at its "
        f"base URL, {session['base_url']}"
    )


def test_a_scenario_of_the_library(control: httpx2.Client, session: dict[str, Any]) -> None:
    given = control.put(f"sessions/{session['id']}/scenario", json={"library": "beatra/plan-exhausted.yaml"}).json()
    assert {rule["at"].rpartition(":")[0] for rule in given["rules"]} == {"beatra/plan-exhausted.yaml"}


# Errors

FIELDS = "api_key, clock, file, id, library, plan, provider, scenario, seed, validation"
ERRORS = {
    "wrong-method": ("POST", "health", None, 405, "method_not_allowed", "/_emulator/health takes GET, HEAD, not POST."),
    "bad-json": ("POST", "sessions", b"{", 400, "invalid_request", None),
    "id": ("POST", "sessions", {"id": "a b"}, 400, "invalid_request",
        "id must be 1 to 64 letters, digits, '-' or '_'."),
    "id-taken": ("POST", "sessions", {"id": "default"}, 409, "session_exists",
        "Another session has this id, or this key; delete it first."),
    "key": ("POST", "sessions", {"api_key": "a b"}, 400, "invalid_request",
        "api_key must be 1 to 200 letters, digits or -._~+/=."),
    "no-object": ("POST", "sessions", [], 400, "invalid_request", "The body must be a JSON object."),
    "unknown-field": ("POST", "sessions", {"sead": 1}, 400, "invalid_request",
        "'sead' is not known here; did you mean 'seed'?"),
    "far-field": ("POST", "sessions", {"x": 1}, 400, "invalid_request", f"'x' is not known here; known: {FIELDS}"),
    "seed": ("POST", "sessions", {"seed": "1"}, 400, "invalid_request", "seed must be an integer."),
    "seed-over-64-bits": ("POST", "sessions", {"seed": 2**64}, 400, "invalid_request",
                          "seed must be of at most 64 bits."),
    "seed-under-64-bits": ("POST", "sessions", {"seed": -(2**70)}, 400, "invalid_request",
                           "seed must be of at most 64 bits."),
    "seed-true": ("POST", "sessions", {"seed": True}, 400, "invalid_request", "seed must be an integer."),
    "clock": ("POST", "sessions", {"clock": 5}, 400, "invalid_request", "clock must be a string."),
    "scenario": ("POST", "sessions", {"scenario": 5}, 400, "invalid_request",
        "scenario must be YAML text or an object."),
    "library": ("POST", "sessions", {"library": "openai/reasonin.yaml"}, 404, "not_found",
        "The library has no 'openai/reasonin.yaml'; did you mean 'openai/reasoning.yaml'?"),
    "library-far": ("POST", "sessions", {"library": "chat.yaml"}, 404, "not_found",
        "The library has no 'chat.yaml'; did you mean 'braintwin/chat.yaml' or 'brivionix/chat.yaml'?"),
    "library-outside": ("PUT", "sessions/ID/scenario", {"library": "../schemas/openai/provider.yaml"}, 404,
        "not_found", None),
    "library-and-more": ("PUT", "sessions/ID/scenario", {"library": "openai/reasoning.yaml", "scenario": RULE}, 400,
        "invalid_request", "scenario and library exclude each other."),
    "plan": ("POST", "sessions", {"plan": 5}, 400, "invalid_request",
        "plan must be a name, or {requests_per_minute, tokens_per_minute}."),
    "plan-field": ("POST", "sessions", {"plan": {"x": 1}}, 400, "invalid_request",
        "plan must be a name, or {requests_per_minute, tokens_per_minute}."),
    "plan-figure": ("POST", "sessions", {"plan": {"tokens_per_minute": "1"}}, 400, "invalid_request",
        "plan must be a name, or {requests_per_minute, tokens_per_minute}."),
    "unknown-plan": ("POST", "sessions", {"plan": "proo"}, 422, "invalid_scenario",
        "plan: there is no plan 'proo'; did you mean 'pro'?"),
    "unknown-provider": ("POST", "sessions", {"provider": "beatr"}, 422, "invalid_scenario",
        "provider: there is no provider 'beatr'; did you mean 'beatra'?"),
    "put-no-scenario": ("PUT", "sessions/ID/scenario", {}, 400, "invalid_request",
        "The body must be YAML text, or {scenario: TEXT or object}."),
    "since": ("GET", "sessions/ID/journal?since=x", None, 400, "invalid_request",
        "since must be the number of an exchange."),
    "since-huge": ("GET", "sessions/ID/journal?since=" + "9" * 16, None, 400, "invalid_request",
        "since must be the number of an exchange."),
    "clock-nothing": ("PATCH", "sessions/ID/clock", {}, 400, "invalid_request",
        "The body must be one of {advance: '60s'}, {hold: true}, {release: true}."),
    "clock-two": ("PATCH", "sessions/ID/clock", {"hold": True, "release": True}, 400, "invalid_request",
        "The body must be one of {advance: '60s'}, {hold: true}, {release: true}."),
    "hold-false": ("PATCH", "sessions/ID/clock", {"hold": False}, 400, "invalid_request", "hold must be true."),
    "release-no": ("PATCH", "sessions/ID/clock", {"release": "no"}, 400, "invalid_request", "release must be true."),
    "advance": ("PATCH", "sessions/ID/clock", {"advance": "soon"}, 400, "invalid_request",
        "advance must be seconds from 0, or a duration such as 200ms, 1.5s, 1m; not 'soon'"),
    "advance-for-ever": ("PATCH", "sessions/ID/clock", {"advance": "forever"}, 400, "invalid_request",
        "advance needs an end; forever has none."),
    "advance-real": ("PATCH", "sessions/default/clock", {"advance": 1}, 409, "real_clock",
        "This session's clock is real and cannot be moved; make the session with clock: virtual."),
    "hold-real": ("PATCH", "sessions/default/clock", {"hold": True}, 409, "real_clock",
        "This session's clock is real and cannot be held."),
    "delete-default": ("DELETE", "sessions/default", None, 409, "default_session",
        "The default session always exists; reset it instead."),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(
    control: httpx2.Client,
    session: dict[str, Any],
    method: str,
    path: str,
    body: Any,
    status: int,
    code: str,
    message: str,
) -> None:
    typed = {"content-type": "application/json"}
    sent = {"content": body, "headers": typed} if isinstance(body, bytes) else {} if body is None else {"json": body}
    found = error_of(control.request(method, path.replace("ID", session["id"]), **sent))
    assert found == (status, code, message or found[2])
    assert found[2]


def test_an_unknown_path_names_those_that_are_good(control: httpx2.Client) -> None:
    status, code, message = error_of(control.get("nowhere"))
    start = "There is nothing at /_emulator/nowhere. Below /_emulator there are: /health, /providers, /sessions, "
    assert (status, code, message[: len(start)]) == (404, "not_found", start)


@pytest.mark.parametrize(
    ("path", "meant"),
    [("health/", "health"), ("sessions/default/reset//", "sessions/default/reset"),
     ("sessions/", "sessions"), ("openapi/beatra.json/", "openapi/beatra.json")],
)  # fmt: skip
def test_a_slash_at_the_end_is_no_redirect_and_the_right_path_is_named(
    control: httpx2.Client, path: str, meant: str
) -> None:
    for method in ("GET", "POST"):
        status, code, message = error_of(control.request(method, path))
        right = f"/_emulator/{meant}".rstrip("/")
        assert (status, code) == (404, "not_found")
        assert message.startswith(f"There is nothing at /_emulator/{path} (did you mean {right}?). Below ")


UNKNOWN = [
    ("GET", ""), ("DELETE", ""), ("PUT", "/scenario"), ("POST", "/reset"), ("GET", "/journal"), ("PATCH", "/clock")
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_an_unknown_session(control: httpx2.Client, method: str, path: str) -> None:
    found = error_of(control.request(method, f"sessions/nope{path}"))
    assert found == (404, "emulator_unknown_session", "There is no session 'nope'.")


def test_a_wrong_method_names_all_that_are_good(control: httpx2.Client) -> None:
    response = control.patch("sessions")
    assert {method.strip() for method in response.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("how", ["post", "put"])
def test_a_scenario_that_does_not_load_comes_with_its_problems(
    control: httpx2.Client, session: dict[str, Any], how: str
) -> None:
    text = "emulator: 1\nrules:\n- reply: {txt: a}\n"
    if how == "post":
        response = control.post("sessions", json={"scenario": text})
    else:
        response = control.put(f"sessions/{session['id']}/scenario", content=text)
    problems = [
        {"file": "session", "line": 3, "column": 3, "where": "rules[0].reply",
         "message": "needs one of: text, tool_calls, refusal, outputs, json, events, error, embedding, builtin, "
         "proxy"},
        {"file": "session", "line": 3, "column": 11, "where": "rules[0].reply.txt",
         "message": "is not known here; did you mean 'text'?"},
    ]  # fmt: skip
    said = "\n".join("{file}:{line}:{column}: {where}: {message}".format(**problem) for problem in problems)
    assert response.json() == {"error": {"code": "invalid_scenario", "message": said, "problems": problems}}
    assert response.status_code == 422


def test_a_scenario_that_does_not_load_leaves_the_old_one(control: httpx2.Client, session: dict[str, Any]) -> None:
    control.put(f"sessions/{session['id']}/scenario", content="nonsense")
    assert ask(session).json()["choices"][0]["message"]["content"] == "hello"


# Who may ask


def asked(setup: Setup, loopback: bool, token: str | None, path: str = "sessions", **headers: str) -> tuple[int, str]:
    """Ask the app itself, as a server that is bound to loopback or not; return the status and the error's message."""
    app = control_app(make_live_sessions(setup), loopback, token)

    async def get() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(f"/_emulator/{path}", headers=headers)

    response = asyncio.run(get())
    return response.status_code, response.json().get("error", {}).get("message", "")


GOOD = (200, "")
NEEDS = (403, "The control API of a server that others can reach needs --admin-token, sent as a Bearer token.")
NONE = (403, "The control API needs a Host header that names this machine, such as 127.0.0.1:4010.")
T = {"authorization": "Bearer t"}


def no_host(name: str) -> tuple[int, str]:
    return 403, (
        f"The control API does not answer to the host '{name}'; ask it at 127.0.0.1, [::1] or localhost, or start "
        "the server with --admin-token and send that as a Bearer token."
    )


def no_page(said: str, own: str = "http://localhost") -> tuple[int, str]:
    return 403, (
        f"The control API does not answer to web pages of other origins ({said}); ask it from a page of {own}, or from "
        "a program that is no browser."
    )


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, GOOD),
        ({"host": "emulator.internal"}, GOOD),
        ({"origin": "http://evil.test"}, no_page("Origin: http://evil.test")),
    ],
    ids=["itself", "by a name", "a page"],
)
def test_a_health_check_of_a_server_that_others_can_reach_needs_no_token(headers: Any, found: tuple[int, str]) -> None:
    assert asked(Setup(), False, None, "health", **headers) == found
    assert asked(Setup(), False, None, "health/", **headers) == NEEDS


@pytest.mark.parametrize(
    ("loopback", "token", "headers", "found"),
    [
        (True, None, {}, GOOD),
        (True, None, {"host": "127.0.0.1:4010"}, GOOD),
        (True, None, {"host": "127.8.8.8"}, GOOD),
        (True, None, {"host": "LOCALHOST:1"}, GOOD),
        (True, None, {"host": "[::1]:4010"}, GOOD),
        (True, None, {"host": "[0:0:0:0:0:0:0:1]"}, GOOD),
        *((True, None, {"host": host}, no_host(host)) for host in (
            "evil.example.com", "127.evil.com", "127.0.0.1.evil.test", "localhost.evil.com", "evil.localhost",
            "localhost.", "127.0.0.1.", "[::2]", "[localhost]", "[::1]evil.test", "[::1", "::1", "0.0.0.0:4010",
            "127.1", "0x7f.0.0.1", "2130706433", "user@127.0.0.1", "127.0.0.1@evil.test", "127.0.0.1:80:80",
            "127.0.0.1:x", "127.0.0.1 evil.test", "127.0.0.1/", "127.0.0.1, evil.test", "127.0.0.1, 127.0.0.1",
            "a:b@localhost", ":80",
        )),
        (True, None, {"host": ""}, NONE),
        (True, "t", {"host": "evil.example.com", **T}, GOOD),
        (True, "t", {"host": "", **T}, GOOD),
        (True, "t", {}, GOOD),
        (False, None, {}, NEEDS),
        (False, None, {"authorization": "Bearer "}, NEEDS),
        (False, "", {"authorization": "Bearer "}, NEEDS),
        (False, "t", {}, NEEDS),
        (False, "t", {"authorization": "Bearer x"}, NEEDS),
        (False, "t", {"authorization": "Basic t"}, NEEDS),
        (False, "t", {"authorization": "bearer t", "host": "emulator.internal"}, GOOD),
        (True, None, {"origin": "http://localhost"}, GOOD),
        (True, None, {"origin": "http://127.0.0.1:4010", "host": "127.0.0.1:4010"}, GOOD),
        *((True, None, {"origin": origin}, no_page(f"Origin: {origin}")) for origin in (
            "null", "", "https://localhost", "http://localhost:80", "http://127.0.0.1", "http://evil.test",
            "http://localhost.evil.test", "http://localhost, http://localhost", "file://",
        )),
        (True, None, {"origin": "http://localhost:3000", "host": "localhost:4010"},
            no_page("Origin: http://localhost:3000", "http://localhost:4010")),
        (True, None, {"sec-fetch-site": "same-origin"}, GOOD),
        (True, None, {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, GOOD),
        *((True, None, {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}, no_page(f"Sec-Fetch-Site: {site}"))
            for site in ("cross-site", "same-site", "", "none, none")),
        (True, "t", {"origin": "http://evil.test", "sec-fetch-site": "cross-site"}, no_page("Origin: http://evil.test")),
        (True, "t", {"origin": "http://evil.test", "sec-fetch-site": "cross-site", **T}, GOOD),
        (False, "t", {"origin": "http://evil.test", "sec-fetch-site": "cross-site", **T}, GOOD),
    ],
)  # fmt: skip
def test_who_may_ask(loopback: bool, token: str | None, headers: dict[str, str], found: tuple[int, str]) -> None:
    assert asked(Setup(), loopback, token, **headers) == found


@pytest.mark.parametrize("path", ["health/", "nowhere", "sessions/default/reset", "", "openapi/x.json/"])
@pytest.mark.parametrize("headers", [{"host": "evil.test"}, {"origin": "http://evil.test"}], ids=["host", "origin"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "TRACE"])
def test_who_may_not_ask_is_told_nothing_else(
    control: httpx2.Client, path: str, headers: dict[str, str], method: str
) -> None:
    answer = control.request(method, path, headers=headers)
    if (path, method) == ("", "GET") and "host" in headers:  # the inspector's page is for all; it holds no data
        assert answer.status_code == 200
    else:
        assert error_of(answer)[:2] == (403, "forbidden")


# What a body says it is


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/problem+json", "application/json ;x"]
)
def test_json_is_taken_by_its_type(control: httpx2.Client, session: dict[str, Any], kind: str) -> None:
    answer = control.post(f"sessions/{session['id']}/verify", content=b'{"count": 0}', headers={"content-type": kind})
    assert answer.json()["ok"] is True


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "text/plain;charset=UTF-8", "text/plain; x=application/json", "multipart/form-data",
     "application/x-www-form-urlencoded", "text/plain, application/json", "application/json, text/plain", "text/json",
     "text/plain, a/b+json", "application/jsonx", "application/yaml"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("POST", "rules"), ("POST", "reset"), ("PATCH", "clock"), ("DELETE", "")])
def test_a_body_of_another_type_is_refused(
    control: httpx2.Client, session: dict[str, Any], method: str, path: str, kind: str | None
) -> None:
    rule = b'{"rule": {"reply": {"text": "x"}}}'
    headers = {} if kind is None else {"content-type": kind}
    answer = control.request(method, f"sessions/{session['id']}/{path}".rstrip("/"), content=rule, headers=headers)
    assert error_of(answer) == (
        415, "unsupported_media_type",
        f"The body must be sent as JSON, not as {kind or 'no content type'}; with curl: "
        "-H 'Content-Type: application/json'.",
    )  # fmt: skip
    assert [rule["id"] for rule in control.get(f"sessions/{session['id']}").json()["rules"]] == ["hi"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/yaml", "application/x-www-form-urlencoded"])
def test_a_scenario_as_yaml_is_put_whatever_its_type(
    control: httpx2.Client, session: dict[str, Any], kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = control.put(f"sessions/{session['id']}/scenario", content="emulator: 1\nrules: []", headers=headers)
    assert (answer.status_code, answer.json()["rules"]) == (200, [])


@pytest.mark.parametrize("kind", [None, "text/plain"])
def test_without_a_body_its_type_does_not_matter(
    control: httpx2.Client, session: dict[str, Any], kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    assert control.post(f"sessions/{session['id']}/reset", headers=headers).status_code == 200


def test_sessions_are_bounded() -> None:
    sessions = make_live_sessions(Setup(max_sessions=2))
    app = control_app(sessions, True, None)

    async def make() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client:
            return [await client.post("/_emulator/sessions") for _ in range(3)]

    responses = asyncio.run(make())
    assert [response.status_code for response in responses] == [201, 201, 409]
    message = "there are 2 sessions already (--max-sessions); delete some"
    assert error_of(responses[2]) == (409, "too_many_sessions", message)


def test_options_of_the_server_hold_in_its_sessions_but_its_keys_do_not() -> None:
    options = Options(seed=9, validation="strict", plan="unlimited", api_keys=(KEY,))
    sessions = make_live_sessions(Setup(options=options))
    made = sessions.open(None, Options(seed=4)).session
    assert (made.seed, made.settings["beatra"].validation, made.settings["beatra"].keys) == (4, "strict", None)


def test_a_body_over_the_bound_is_refused(emulator_url: str) -> None:
    app = control_app(make_live_sessions(Setup()), True, None)

    async def mark(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "emulator.too_large": True}, receive, send)

    async def post() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=mark), base_url="http://localhost") as client:
            return await client.post("/_emulator/sessions")

    assert error_of(asyncio.run(post())) == (413, "too_large", "The body is larger than --max-body.")
