"""The groups of the control API: sessions, what is done with them, wrong requests, scenarios that do not load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .answers import Case, asked, streamed, whole
from .connection import request
from .normal import normal
from .recorded import KEY, MODELS, PROVIDERS, SEED, Ask, Server, Session, chat, controlled, scenario, serving
from .replies import HOLES, THREE
from .sessions import ONCE, opened

LIBRARY = Path(__file__).parents[2] / "scenarios"
RULES = [
    {"id": "retry", "when": {"last_user": "retry"}, "expect": {"calls": 3},
     "replies": [{"error": "rate_limited", "retry_after": 20, "times": 2}, {"text": "Done."}]},
    {"id": "cut", "when": {"last_user": "cut"}, "reply": {"text": THREE, "faults": [{"cut": {"after_chunks": 3}}]}},
    {"id": "down", "when": {"last_user": "down"},
     "replies": [{"error": "server_error"}, {"error": "model_unavailable"}, {"text": "Up."}]},
    {"id": "hello", "when": {"last_user": {"contains": "hello"}}, "reply": {"text": "Hi ${request.headers.x-tenant}"}},
]  # fmt: skip


def mixed(session: Session, provider: str) -> None:
    """Be a client that does some things well and others badly; its waits are longer than what it really takes."""
    for text, wait, fields in (
        ("retry", "0s", {}), ("retry", "30s", {}), ("retry", "10s", {}), ("down", "1s", {}), ("down", "1s", {}),
        ("down", "5s", {"model": MODELS[provider]}), ("cut", "1s", {"stream": True}), ("hello", "1s", {"stream": True}),
        ("hello you", "1s", {"n": 2}), ("nobody", "1s", {}), ("nobody", "1s", {}), ("hello", "1s", {"temperature": 9}),
    ):  # fmt: skip
        session.advance(wait)
        headers = ONCE if text == "retry" else {"x-tenant": "acme"}
        session.ask(Ask(chat(provider, text, **fields), headers=headers))


VERIFIED: dict[str, Any] = {
    "nothing": {},
    "count": {"count": 12},
    "too-few": {"when": {"last_user": "retry"}, "at_least": 4},
    "too-many": {"when": {"last_user": {"contains": "hello"}, "stream": False}, "at_most": 0},
    "none": {"when": {"last_user": "hullo", "headers": {"x-tenant": "acme"}}},
    "body": {"when": {"body": {"$.n": 2}}, "count": 1},
    "below": {"count": -1},
    "wrong": {"when": {"last_usr": "x"}},
    "regex": {"when": {"last_user": {"regex": "("}}},
    "type": {"when": [], "count": 1},
    "text": {"count": "one"},
}


def clients(server: Server) -> Iterator[Case]:
    """Be a mixed client of each provider: its journal, what is verified, and the verdict on it."""
    for provider in PROVIDERS:
        session = opened(server, scenario(provider, RULES))
        mixed(session, provider)
        for row in range(1, 13):
            yield f"{provider}/journal/{row}", normal(session.row(row), session.names)
        yield f"{provider}/journal/unmatched", session.shown(session.control("GET", "/journal?unmatched=true&limit=1"))
        yield f"{provider}/journal/since", session.shown(session.control("GET", "/journal?since=10"))
        for name, body in VERIFIED.items():
            yield f"{provider}/verify/{name}", session.shown(session.control("POST", "/verify", body))
        yield f"{provider}/verdict/before", session.shown(session.control("GET", "/verdict"))
        session.control("POST", "/completed", {"exchange": 7, "text": "One two"})
        yield f"{provider}/verdict/completed", session.shown(session.control("GET", "/verdict"))
        yield f"{provider}/session/read", session.shown(session.control("GET", ""))
        session.close()


MADE: dict[str, dict[str, Any]] = {
    "plain": {},
    "provider": {"provider": "braintwin"},
    "plan": {"plan": {"requests_per_minute": 3}},
    "level": {"validation": "strict", "provider": "beatra", "plan": "unlimited"},
}
NEW = {"when": {"last_user": "retry"}, "reply": {"text": "New."}}
PUT = scenario("beatra", [{"reply": {"text": "Put."}}])
WRONG = "emulator: 1\nrules:\n- reply: {txt: a}\n"


def lives(server: Server) -> Iterator[Case]:
    """Change a session: its scenario, its rules, its clock; forget what happened; remove it."""
    own = scenario(None, RULES[:1])
    yield "made/real", _made(server, own | {"clock": "real"})
    for name, options in MADE.items():
        yield f"made/{name}", _made(server, own, **options)
        yield f"made/{name}-built-in", _made(server, None, **options)
    yield "made/other", _made(server, scenario("braintwin", RULES), provider="beatra")
    session = opened(server, scenario("beatra", RULES))
    steps: list[tuple[str, str, str, Any]] = [
        ("rule", "POST", "/rules", {"rule": {"id": "new"} | NEW, "at": "test_x.py:12"}),
        ("rule-again", "POST", "/rules", {"rule": {"id": "new", "reply": {"text": "Newer."}}}),
        ("rule-taken", "POST", "/rules", {"rule": {"id": "hello", "reply": {"text": "x"}}}),
        ("rule-wrong", "POST", "/rules", {"rule": {"replie": {"text": "x"}}, "at": "test_x.py:14"}),
        ("rule-none", "POST", "/rules", {"rule": "text"}),
        ("rule-at", "POST", "/rules", {"rule": {"reply": {"text": "x"}}, "at": "a\nb"}),
        ("hold", "PATCH", "/clock", {"hold": True}),
        ("clock", "GET", "/clock", None),
        ("release", "PATCH", "/clock", {"release": True}),
        ("advance", "PATCH", "/clock", {"advance": "1.5m"}),
        ("advance-wrong", "PATCH", "/clock", {"advance": "soon"}),
        ("advance-forever", "PATCH", "/clock", {"advance": "forever"}),
        ("clock-two", "PATCH", "/clock", {"advance": 1, "hold": True}),
        ("clock-false", "PATCH", "/clock", {"hold": False}),
        ("completed", "POST", "/completed", {"exchange": 1, "text": "x"}),
        ("completed-wrong", "POST", "/completed", {"exchange": "1"}),
        ("put", "PUT", "/scenario", {"scenario": PUT, "file": "put.yaml"}),
        ("put-wrong", "PUT", "/scenario", {"scenario": WRONG, "file": "wrong.yaml"}),
        ("put-nothing", "PUT", "/scenario", {}),
        ("since-wrong", "GET", "/journal?since=x", None),
        ("verdict", "GET", "/verdict", None),
        ("read", "GET", "", None),
        ("method", "PUT", "", None),
        ("nothing", "GET", "/nothing", None),
    ]  # fmt: skip
    for name, method, path, body in steps:
        yield f"step/{name}/answer", session.shown(session.control(method, path, body))
        yield f"step/{name}/after", session.told(Ask(chat("beatra", "retry")))
    session.begin(session.control("POST", "/reset").data)
    yield "step/reset/answer", session.shown(session.control("GET", ""))
    yield "step/reset/after", session.told(Ask(chat("beatra", "retry")))
    yaml = f"emulator: 1\nkeys: [{KEY}]\nprovider: beatra\nrules:\n  - reply: {{text: From text.}}\n".encode()
    told = session.control("PUT", "/scenario", raw=yaml, headers={"content-type": "application/yaml"})
    yield "step/yaml/answer", session.shown(told)
    yield "step/yaml/after", session.told(streamed("beatra"))
    yield "step/delete/answer", session.shown(session.control("DELETE", ""))
    yield "step/delete/after", session.shown(session.control("GET", ""))
    yield "step/delete/addressed", session.told(whole("beatra"))
    session = opened(server, {"emulator": 1, "provider": "beatra"})
    by_key = Ask(chat("beatra"), target="/v1/chat/completions", key=session.key)
    yield "by-key/wire", normal(session.told(by_key)["wire"], session.names)
    session.close()


def _made(server: Server, given: Any, **options: Any) -> Any:
    made = server.open(given, **options)
    if not isinstance(made, Session):
        return normal(controlled(made))
    told = made.shown(made.control("GET", ""))
    made.close()
    real = told["body"]["clock"]
    return told | {"body": told["body"] | {"clock": real if real["kind"] == "virtual" else real["kind"]}}


ASKED: dict[str, tuple[str, str, Any]] = {
    "not-found": ("GET", "/nothing", None),
    "method": ("POST", "/health", {}),
    "head": ("OPTIONS", "/sessions", None),
    "no-session": ("GET", "/sessions/nope", None),
    "no-provider": ("GET", "/openapi/beatr.json", None),
    "no-kind": ("GET", "/openapi/beatra.yaml", None),
    "list": ("POST", "/sessions", []),
    "unknown": ("POST", "/sessions", {"sed": 5}),
    "seed": ("POST", "/sessions", {"seed": "five"}),
    "provider": ("POST", "/sessions", {"provider": "beatr"}),
    "plan": ("POST", "/sessions", {"provider": "braintwin", "plan": "standrd"}),
    "plan-figures": ("POST", "/sessions", {"plan": {"requests": 5}}),
    "validation": ("POST", "/sessions", {"validation": "stric"}),
    "clock": ("POST", "/sessions", {"clock": "fast"}),
    "scenario": ("POST", "/sessions", {"scenario": 5}),
    "file": ("POST", "/sessions", {"scenario": "emulator: 1", "file": ""}),
}


def wrongly(server: Server) -> Iterator[Case]:
    """Ask the control API what it refuses."""
    for name, (method, path, body) in ASKED.items():
        yield f"asked/{name}", normal(controlled(server.control(method, path, body)))
    yield "asked/no-json", normal(controlled(server.control("POST", "/sessions", raw=b"{")))


def reply(**given: Any) -> dict[str, Any]:
    return {"emulator": 1, "rules": [{"reply": given}]}


def rule(**given: Any) -> dict[str, Any]:
    return {"emulator": 1, "rules": [{"reply": {"text": "x"}} | given]}


#: Scenarios that do not load, or load with a warning; YAML text has places.
UNLOADED: dict[str, Any] = {
    "empty": "",
    "no-yaml": "emulator: 1\nrules: [",
    "list": "- 1",
    "version": "emulator: 2",
    "twice": "emulator: 1\nseed: 1\nseed: 2\n",
    "tab": "emulator: 1\nrules:\n\t- reply: {text: a}\n",
    "on-yes": "emulator: 1\nrules:\n- reply: {text: on, latency: 12:30, verbatim: yes}\n",
    "alias": "emulator: 1\nvars: &a {x: 1}\nrules:\n- reply: {text: a, headers: *a}\n",
    "several": "emulator: 1\nprovider: beatra\nplan: fre\nmute: [be-tmp]\nrules:\n- id: a\n  then: {state: x}\n"
               "  reply: {text: a, latency: 5ms}\n- {id: a, reply: {text: '${vars.x}'}, when: {operation: chats}}\n",
    "provider": {"emulator": 1, "provider": "beatr"},
    "unknown": {"emulator": 1, "ruls": []},
    "seed": {"emulator": 1, "seed": 1e30},
    "no-reply": {"emulator": 1, "rules": [{"when": {}}]},
    "both": {"emulator": 1, "rules": [{"reply": {"text": "x"}, "replies": [{"text": "y"}]}]},
    "two-kinds": reply(text="x", error="timeout"),
    "error": reply(error="rate_limit"),
    "error-both": reply(error={"name": "timeout", "status": 500}),
    "status": reply(text="x", status=204),
    "latency": reply(text="x", latency="soon"),
    "between": reply(text="x", latency={"uniform": {"min": 5, "max": "1s"}}),
    "split": reply(text="abc", stream={"split": ["a", "b"]}),
    "header": reply(text="x", headers={"content-length": "5", "a b": "c", "x-e": "é", "x-emulator-rule": "a"}),
    "proxy": reply(proxy=True, faults=[{"empty": True}], latency=1),
    "fault": reply(text="x", faults=[{"cut": {"after_chunk": 1}}, {"stal": {}}, {"merge": {"chunks": 1}}]),
    "fault-forever": reply(text="x", faults=[{"comment": {"every": "forever"}}]),
    "fault-two": reply(text="x", faults=[{"cut": {"after_bytes": 1, "before": "done"}}]),
    "hole": reply(text="${request.lst_user} ${vars.x} ${n.x} ${foo} ${request} ${open"),
    "contract": {"emulator": 1, "provider": "beatra", "rules": [{"reply": {"json": {"choices": []}}}]},
    "calls": {"emulator": 1, "provider": "beatra", "rules": [{"reply": {"tool_calls": [{"name": "f"}]}}]},
    "embedding": {"emulator": 1, "provider": "beatra", "rules": [{"reply": {"embedding": "auto"}}]},
    "events": {"emulator": 1, "provider": "braintwin", "rules": [{"reply": {"events": [{"a": 1}]}}]},
    "when": rule(when={"last_usr": "x"}),
    "matcher": rule(when={"last_user": {"contain": "x"}}),
    "matcher-two": rule(when={"last_user": {"contains": "x", "regex": "y"}}),
    "regex": rule(when={"last_user": {"regex": "(?=a)"}, "system": {"regex": "("}}),
    "operation": rule(when={"operation": "chats"}),
    "path": rule(when={"body": {"$.a[": 1}}),
    "schema": rule(when={"body": {"$.a": {"schema": {"type": "strin"}}}}),
    "state": rule(when={"state": {"is": "x"}}),
    "expect": rule(expect={"min": 3, "max": 1}),
    "count-by": rule(count_by="user"),
    "reserved": rule(id="built-in"),
    "unreachable": {"emulator": 1, "rules": [{"reply": {"text": "a"}}, {"reply": {"text": "b"}}]},
    "chaos": {"emulator": 1, "chaos": [{"chance": 2, "error": "timeout"}, {"chance": 1}]},
    "chaos-state": {"emulator": 1, "chaos": [{"chance": 1, "error": "timeout", "when": {"state": "x"}}]},
    "plan": {"emulator": 1, "provider": "braintwin", "plan": "premium"},
    "clock": {"emulator": 1, "clock": "fast", "validation": "none", "unmatched": "builtin"},
    "holes": {"emulator": 1, "rules": [{"reply": {"text": HOLES}}]},
}  # fmt: skip


def problems(server: Server) -> Iterator[Case]:
    """Load scenarios with mistakes."""
    for name, given in UNLOADED.items():
        made = server.open(given, file="mine.yaml")
        if isinstance(made, Session):
            yield f"loaded/{name}", made.shown(made.control("GET", ""))
            made.close()
        else:
            yield f"unloaded/{name}", normal(controlled(made))


def library(server: Server) -> Iterator[Case]:
    """Serve each scenario of the library of whom is asked as OpenAI is, and ask it some of what it is about."""
    for file in sorted(file for file in LIBRARY.glob("*/*.yaml") if file.parent.name in MODELS):
        provider = file.parent.name
        text = file.read_text(encoding="utf-8") + f"\nkeys: [{KEY}]\n"
        words = {"1": whole(provider), "2": streamed(provider, silent=True), "3": whole(provider)}
        yield from asked(server, f"{provider}/{file.stem}", text, words, file=f"{provider}/{file.name}")


def watched(_: Server) -> Iterator[Case]:
    """Watch a journal live, and count what a server answered; on a server of its own."""
    with serving() as server:
        yield "counts/health", normal(controlled(server.control("GET", "/health")))
        rows = server.control("GET", "/sessions").data["sessions"]
        yield "counts/sessions", normal([row | {"clock": row["clock"]["kind"]} for row in rows])
        session = opened(server, scenario("beatra", RULES), seed=SEED + 1)
        live = server.line
        live.begin(request("GET", f"/_emulator/sessions/{session.id}/journal/events"), b": watching")
        for text in ("hello", "hello", "nobody"):
            server.api.send(session.bytes_of(Ask(chat("beatra", text))))
        session.close()
        yield "live/events", normal(live.read().body.decode(), session.names)
        deadline = time.monotonic() + 10
        while server.control("GET", "/health").data["sessions"] > 1 and time.monotonic() < deadline:
            pass
        yield "counts/metrics", normal(server.control("GET", "/metrics").body.decode())


GROUPS = {
    "clients": clients, "lives": lives, "wrongly": wrongly, "problems": problems, "library": library,
    "watched": watched,
}  # fmt: skip
