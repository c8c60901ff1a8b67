"""The groups of what a session remembers: limits, repeated requests, turns, states; what matches; the wire itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .answers import Case, asked, streamed, whole
from .asks import CALLED, TOOLS, user
from .connection import request
from .normal import normal
from .recorded import CHAT, KEY, PROVIDERS, Ask, Server, Session, chat, scenario
from .replies import THREE

UUID = "0195f0b2-6f1c-7c3e-9b2a-111111111111"
ONCE = {"idempotency-key": UUID}


def opened(server: Server, given: Any, **options: Any) -> Session:
    session = server.open(given, **options)
    assert isinstance(session, Session), session.data
    return session


PLANS: dict[str, dict[str, int]] = {
    "requests": {"requests_per_minute": 2},
    "tokens": {"tokens_per_minute": 30},
    "none": {"requests_per_minute": 0},
}


def limits(server: Server) -> Iterator[Case]:
    """Ask more than a plan allows, then wait for the next window."""
    for provider in PROVIDERS:
        for name, plan in PLANS.items():
            session = opened(server, scenario(provider, [{"reply": {"text": THREE}}], plan=plan))
            for step, wait in (("1", 0), ("2", "20.5s"), ("3", "1s"), ("4", "38.4s"), ("5", "0.2s"), ("6", "61s")):
                if wait:
                    session.advance(wait)
                yield f"{provider}/{name}/{step}", session.told(streamed(provider) if step == "2" else whole(provider))
            yield f"{provider}/{name}/session", session.shown(session.control("GET", ""))
            session.close()
    for provider, named in (
        ("braintwin", "standard"),
        ("brainstormrouter", "team"),
        ("brainstormrouter", "enterprise"),
    ):
        yield from asked(server, f"{provider}/{named}", scenario(provider), {"first": whole(provider)}, plan=named)


def idempotency(server: Server) -> Iterator[Case]:
    """Send an Idempotency-Key again: with the same body, with another, after a broken answer, a day later."""
    one, other = whole("beatra", headers=ONCE), Ask(chat("beatra", "other"), headers=ONCE)
    quoted = whole("beatra", headers={"idempotency-key": f'"{UUID.upper()}"'})
    session = opened(server, scenario("beatra", [{"id": "turns", "reply": {"text": "Turn ${n}."}}]))
    for name, ask in {"first": one, "again": one, "other": other, "quoted": quoted, "without": whole("beatra")}.items():
        session.advance("1s")
        yield name, session.told(ask)
    session.advance("25h")
    yield "later", session.told(one)
    session.close()
    for name, fault in {"cut": {"cut": {"after_chunks": 2, "how": "fin"}}, "dropped": {"drop_done": True}}.items():
        session = opened(server, scenario("beatra", [{"reply": {"text": THREE, "faults": [fault]}}]))
        for turn in ("1", "2"):
            yield f"{name}/{turn}", session.told(streamed("beatra", headers=ONCE))
        session.close()
    session = opened(server, scenario("beatra", [{"replies": [{"error": "rate_limited"}, {"text": THREE}]}]))
    for turn in ("1", "2", "3"):
        yield f"failed/{turn}", session.told(one)
    session.close()


def client(server: Server) -> Iterator[Case]:
    """Leave in the middle; ask the same again while an answer is under way."""
    stalled = {"text": THREE, "faults": [{"stall": {"after_chunks": 2, "for": "forever"}}]}
    for provider in PROVIDERS:
        session = opened(server, scenario(provider, [{"reply": stalled}]))
        server.line.leave_after(session.bytes_of(streamed(provider)), b"One")
        yield f"{provider}/left", normal(session.row(1), session.names)
        session.close()
    session = opened(server, scenario("beatra", [{"reply": stalled}]))
    server.line.begin(session.bytes_of(streamed("beatra", headers=ONCE)), b"One")
    under_way = session.control("GET", "/journal").data["exchanges"][0]
    yield "under-way/journal", normal(under_way, session.names)
    second = server.api.send(session.bytes_of(streamed("beatra", headers=ONCE)))
    yield "under-way/conflict", session.recorded(second)
    session.release()
    yield "under-way/released", session.recorded(server.line.read())
    session.close()


COUNTED: dict[str, dict[str, Any]] = {
    "repeat": {"replies": [{"text": "a", "times": 2}, {"text": "b"}]},
    "unmatched": {"replies": [{"text": "a"}, {"text": "b", "times": 1}]},
    "cycle": {"replies": [{"text": "a"}, {"error": "server_error"}], "after_last": "cycle"},
    "said-unmatched": {"reply": {"text": "a"}, "after_last": "unmatched"},
    "key": {"replies": [{"text": "a"}, {"text": "b"}], "count_by": "key", "after_last": "cycle"},
    "request": {"replies": [{"text": "a"}, {"text": "b"}], "count_by": "request"},
    "header": {"replies": [{"text": "a"}, {"text": "b"}], "count_by": "header:x-tenant", "after_last": "unmatched"},
}


def turns(server: Server) -> Iterator[Case]:
    """Ask rules with several replies in turn, by who counts, and what leads from state to state."""
    asks = {
        "1": whole("beatra"), "2": whole("beatra", headers={"x-tenant": "a"}), "3": streamed("beatra"),
        "4": whole("beatra", headers={"x-tenant": "a"}), "5": whole("beatra", key="sk-second"),
    }  # fmt: skip
    for name, rule in COUNTED.items():
        rules = [{"id": "counted", **rule, "expect": {"min": 1, "max": 2}}]
        yield from asked(server, name, scenario("beatra", rules) | {"keys": [KEY, "sk-second"]}, asks)
    rules = [
        {"when": {"state": "started"}, "reply": {"text": "${state}"}, "then": {"state": "waiting"}},
        {"when": {"state": {"one_of": ["waiting", 5]}, "step": 0}, "reply": {"error": "timeout"}, "then": {"state": 7}},
        {"when": {"state": {"not": "done"}}, "reply": {"text": "${state}"}, "then": {"state": "done"}},
    ]
    session = opened(server, scenario("beatra", rules))
    for turn in range(5):
        yield f"states/{turn}", session.told(whole("beatra"))
        yield f"states/{turn}-session", session.shown(session.control("GET", ""))
    session.close()


BODY = chat("brivionix", "What is the weather in Oslo?", temperature=0.5, tools=TOOLS)
RESULTS = chat("brivionix", messages=[
    {"role": "system", "content": "You are brief."}, user("weather?"),
    {"role": "assistant", "content": None, "tool_calls": CALLED},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"temp_c": 21, "sky": "grey"}'}])  # fmt: skip
#: Each is tried with a request of which it holds, or does not.
WHENS: dict[str, Any] = {
    "nothing": {},
    "model": {"model": "gpt-5.4-mini"},
    "stream": {"stream": True},
    "text": {"last_user": "weather?"},
    "contains": {"last_user": {"contains": "Oslo"}},
    "regex": {"last_user": {"regex": "^What .* in (Oslo|Bergen)\\?$"}},
    "one-of": {"last_user": {"one_of": ["weather?", "time?"]}},
    "not": {"last_user": {"not": {"contains": "Oslo"}}},
    "any": {"last_user": {"any": [{"equals": "x"}, {"regex": "r\\?$"}]}},
    "all": {"last_user": {"all": [{"contains": "weather"}, {"not": {"contains": "Oslo"}}]}},
    "system": {"system": {"regex": "^You are"}},
    "no-system": {"system": {"absent": True}},
    "turn": {"turn": 1, "step": {"lt": 1}},
    "step": {"step": {"gte": 1}},
    "elapsed": {"elapsed": {"gt": "30s"}},
    "tools": {"tools": {"includes": "get_weather"}},
    "tools-both": {"tools": {"includes": ["get_weather", "web_search"]}},
    "result": {"tool_result": {"name": "get_weather", "content": {"like": {"temp_c": 21}}}},
    "result-absent": {"tool_result": {"absent": True}},
    "result-all": {"tool_result": {"all": [{"name": "get_weather"}, {"content": {"contains": "rain"}}]}},
    "result-any": {"tool_result": {"any": [{"name": "nope"}, {"content": {"contains": "grey"}}]}},
    "headers": {"headers": {"x-tenant": {"one_of": ["acme", "globex"]}, "x-debug": {"absent": True}}},
    "body": {"body": {"$.temperature": {"lte": 0.5}, "$.messages[0].role": "user"}},
    "schema": {"body": {"$.tools": {"schema": {"type": "array", "minItems": 2}}}},
    "like": {"body": {"$": {"like": {"model": "gpt-5.4-mini", "temperature": 0.5}}}},
    "present": {"body": {"$.temperature": {"present": True}}},
    "equals": {"body": {"$.messages[0]": {"equals": {"role": "user", "content": "What is the weather in Oslo?"}}}},
    "operation": {"operation": "any", "turn": 9},
}


def matching(server: Server) -> Iterator[Case]:
    """Ask rules of one condition each with two requests; what is not matched tells the nearest rules."""
    tenant = {"x-tenant": "acme"}
    asks = {"weather": Ask(BODY, headers=tenant), "result": Ask(RESULTS)}
    for name, when in WHENS.items():
        rules: list[Any] = [{"id": name, "when": when, "reply": {"text": "It fits."}}]
        rules += [{"when": {"last_user": f"other {number}"}, "reply": {"text": "x"}} for number in range(4)]
        yield from asked(server, name, scenario("brivionix", rules), asks)
    rules = [{"when": when, "reply": {"text": name}} for name, when in list(WHENS.items())[3:]]
    yield from asked(server, "all-rules", scenario("brivionix", rules), asks)
    yield from asked(server, "otherwise", scenario("brivionix", rules[:1], unmatched="built-in"), asks)
    yield from asked(server, "proxy", scenario("brivionix", rules[:1], unmatched="proxy"), asks)
    muted = {"mute": ["bv-models", "bv-headers"], "models": ["gpt-99"]}
    odd = {"type": Ask(BODY, headers={"content-type": "text/plain"}), "model": Ask(BODY | {"model": "gpt-99"}),
           "key": Ask(BODY, headers={"authorization": None})}  # fmt: skip
    yield from asked(server, "muted", scenario("brivionix", **muted), odd)


EMBED: dict[str, Any] = {
    "text": {"input": "north"},
    "texts": {"input": ["north", "east"]},
    "tokens": {"input": [1, 2, 3]},
    "lists": {"input": [[1, 2], [3]]},
    "few": {"input": "north", "dimensions": 4, "model": "text-embedding-3-small"},
    "base64": {"input": ["north", "a"], "dimensions": 3, "encoding_format": "base64"},
    "none": {"input": []},
    "number": {"input": 5},
    "mixed": {"input": [1, "a"]},
}
COMPUTED = {
    "models": Ask(method="GET", path="/models"),
    "models-head": Ask(method="HEAD", path="/models"),
    "recommendations": Ask(method="GET", path="/intelligence/recommendations?task=translate+a+letter"),
    "recommendations-code": Ask(method="GET", path="/intelligence/recommendations?task=code%20review&x=1"),
    "recommendations-none": Ask(method="GET", path="/intelligence/recommendations"),
    "rankings": Ask(method="GET", path="/intelligence/rankings"),
    "rankings-again": Ask(method="GET", path="/intelligence/rankings"),
    "health": Ask(method="GET", path="/intelligence/health"),
    "patterns": Ask(method="GET", path="/intelligence/patterns"),
    "forecast": Ask(path="/intelligence/cost-forecast", body={"strategy": "combined", "tasks": [
        {"type": "code_generation", "estimated_tokens": 1_000_000}, {"type": "a review", "estimated_tokens": 3}]}),
    "forecast-none": Ask(path="/intelligence/cost-forecast", body={"tasks": []}),
    "forecast-wrong": Ask(path="/intelligence/cost-forecast", body={"tasks": [{"type": 5}]}),
}  # fmt: skip


def router(server: Server) -> Iterator[Case]:
    """Ask the router's other operations, of a session without a past and of one with it."""
    model = {"model": "auto"}
    embed = {name: Ask(model | body, path="/embeddings") for name, body in EMBED.items()}
    for level in ("documented", "strict", "off"):
        yield from asked(server, f"embeddings/{level}", scenario("brainstormrouter", validation=level), embed)
        yield from asked(server, f"computed/{level}", scenario("brainstormrouter", validation=level), COMPUTED)
    for name, vector in {"vector": [0.25, -1], "vectors": [[0, 1], [1, 0]], "auto": "auto"}.items():
        asks = {ask: embed[ask] for ask in ("text", "texts", "base64")}
        rules = [{"reply": {"embedding": vector, "usage": {"prompt_tokens": 3}}}]
        yield from asked(server, f"scripted/{name}", scenario("brainstormrouter", rules), asks)
    rules = [
        {"when": {"last_user": {"contains": "fail"}}, "reply": {"error": "server_error", "latency": "150ms"}},
        {"when": {"operation": "models"}, "reply": {"json": {"object": "list", "data": []}, "off_contract": True}},
        {"when": {"operation": "health", "body": {"$.x": "1"}}, "reply": {"error": "timeout"}},
        {"reply": {"text": "${request.model}", "latency": {"uniform": {"min": 0.1, "max": 2}}}},
    ]
    session = opened(server, scenario("brainstormrouter", rules), plan="team")
    asked_for = [("review this", "gpt-5.4"), ("fail to code", "kimi-k2.5"), ("translate", "auto")]
    for number, (text, name) in enumerate(asked_for * 3):
        session.ask(Ask(chat("brainstormrouter", f"{text} {number}", model=name)))
    session.ask(Ask(method="GET", path="/intelligence/health?x=1"))
    for name, ask in COMPUTED.items():
        yield f"past/{name}", session.told(ask)
    session.close()


CHUNKED = {"transfer-encoding": "chunked", "content-length": None}


def raw(server: Server) -> Iterator[Case]:
    """Send bytes as clients of other kinds do: HTTP/1.0, chunked, pipelined, and what is no request."""
    rules = [{"id": "raw", "reply": {"text": "Hi!", "stream": {"itl": 1}}}]
    for provider in PROVIDERS:
        session = opened(server, scenario(provider, rules))
        target, auth = session.target(CHAT), {"authorization": f"Bearer {KEY}"}
        plain = request("POST", target, chat(provider), auth)
        stream = request("POST", target, chat(provider, stream=True), auth)
        body = plain.partition(b"\r\n\r\n")[2]
        pieces = b"%x\r\n%b\r\n1\r\n%b\r\n0\r\n\r\n" % (len(body) - 1, body[:-1], body[-1:])
        old = b" HTTP/1.0\r\n"
        sent: dict[str, Sequence[bytes]] = {
            "plain": [plain],
            "close": [request("POST", target, chat(provider), auth | {"connection": "close"})],
            "stream-close": [request("POST", target, chat(provider, stream=True), auth | {"connection": "close"})],
            "http-1.0": [plain.replace(b" HTTP/1.1\r\n", old)],
            "http-1.0-kept": [plain.replace(b" HTTP/1.1\r\n", old + b"connection: keep-alive\r\n")],
            "http-1.0-stream": [stream.replace(b" HTTP/1.1\r\n", old)],
            "chunked": [request("POST", target, headers=auth | CHUNKED) + pieces],
            "pipelined": [stream + plain + stream, b"", b""],
            "upper": [plain.replace(b"authorization: Bearer", b"AUTHORIZATION: bearer")],
        }  # fmt: skip
        for name, parts in sent.items():
            for number, data in enumerate(parts):
                answer = server.line.send(data) if data else server.line.read()
                yield f"{provider}/{name}/{number}", session.recorded(answer)
        server.line.close()
        session.close()
    session = opened(server, scenario("beatra"))
    target = session.target(CHAT)
    for name, data in {
        "no-request": b"hello\r\n\r\n",
        "no-host": b"GET %b HTTP/1.1\r\n\r\n" % target.encode(),
        "version": b"GET / HTTP/3.0\r\nhost: localhost\r\n\r\n",
        "large-head": request("GET", "/", headers={"x-large": "x" * 70_000}),
        "no-length": request("POST", target, {}, {"content-length": "five"}),
        "upgrade": request("GET", target, headers={"upgrade": "websocket", "connection": "upgrade"}),
    }.items():
        yield f"none/{name}", session.recorded(server.line.send(data))
        server.line.close()
    session.close()


GROUPS = {
    "limits": limits, "idempotency": idempotency, "client": client, "turns": turns, "matching": matching,
    "router": router, "raw": raw,
}  # fmt: skip
