"""What clients send: options of a good request, and requests that are wrong in one way each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .recorded import CHAT, MODELS, Ask, chat

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "required": ["city", "days"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}, "unit": {"enum": ["C", "F"]},
}}}}  # fmt: skip
SEARCH = {"type": "function", "function": {"name": "web_search"}}
TOOLS = [SEARCH, WEATHER]
SCHEMA = {"type": "object", "required": ["city", "tags"], "properties": {
    "city": {"type": "string", "minLength": 3}, "tags": {"type": "array", "items": {"const": 5}, "minItems": 2},
}}  # fmt: skip
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
CALLED = [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


#: Fields beside a good body.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "n-2": {"n": 2},
    "n-0": {"n": 0},
    "n-99": {"n": 99},
    "stop": {"stop": "three"},
    "stop-list": {"stop": ["figures", "“longer”"]},
    "cap-1": {"max_tokens": 1},
    "cap-5": {"max_tokens": 5},
    "cap-100": {"max_tokens": 100},
    "cap-0": {"max_tokens": 0},
    "cap-below": {"max_tokens": -1},
    "cap-real": {"max_tokens": 3.0},
    "cap-text": {"max_tokens": "5"},
    "stream-options": {"stream_options": {"include_usage": True}},
    "stream-usage": {"stream": True, "stream_options": {"include_usage": True}, "n": 2, "max_tokens": 4},
    "stream-no-usage": {"stream": True, "stream_options": {"include_usage": False}},
    "stream-false": {"stream": False},
    "stream-text": {"stream": "yes"},
    "json-object": {"response_format": {"type": "json_object"}},
    "json-schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
    "json-schema-stream": {
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}, "stream": True},
    "json-schema-none": {"response_format": {"type": "json_schema", "json_schema": {"schema": False}}},
    "format-text": {"response_format": {"type": "text"}},
    "tools": {"tools": TOOLS},
    "tools-stream": {"tools": TOOLS, "stream": True, "messages": [user("How is the weather in the city?")]},
    "tools-auto": {"tools": TOOLS, "tool_choice": "auto"},
    "tools-none": {"tools": TOOLS, "tool_choice": "none"},
    "tools-required": {"tools": TOOLS, "tool_choice": "required"},
    "tools-named": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "web_search"}}},
    "tools-unknown": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}},
    "tools-odd": {"tools": TOOLS, "tool_choice": "perhaps"},
    "tools-empty": {"tools": []},
    "tools-wrong": {"tools": [{"type": "function"}]},
    "temperature": {"temperature": 0},
    "temperature-above": {"temperature": 2.1},
    "temperature-text": {"temperature": "hot"},
    "both": {"temperature": 0.7, "top_p": 0.9},
    "penalties": {"presence_penalty": -2, "frequency_penalty": 2.5},
    "seed": {"seed": 5, "temperature": 0.7, "top_p": 1},
    "unknown-field": {"user": "me", "metadata": {"a": [1]}},
    "system": {"messages": [{"role": "system", "content": "You are brief."}, user("a"), user("Second?")]},
    "developer": {"messages": [{"role": "developer", "content": "x"}, user("a")]},
    "history": {"messages": [user("a"), {"role": "assistant", "content": "b"}, user("c\nd")]},
    "tool-result": {"messages": [user("weather?"), {"role": "assistant", "content": None, "tool_calls": CALLED},
                                 {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}], "tools": TOOLS},
    "parts": {"messages": [user([{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}])]},
    "image": {"messages": [user([{"type": "text", "text": "What is this?"}, IMAGE])]},
    "audio": {"messages": [user([{"type": "input_audio", "input_audio": {}}])]},
    "long-words": {"messages": [user("word " * 300)], "max_tokens": 40},
    "too-long": {"messages": [user("word " * 9000)]},
    "model-unknown": {"model": "gpt-99"},
    "model-near": {"model": "gpt-5.4-mimi"},
    "model-empty": {"model": ""},
    "model-number": {"model": 4},
    "no-messages": {"messages": []},
    "no-content": {"messages": [{"role": "user"}]},
    "wrong-role": {"messages": [{"role": "robot", "content": "x"}]},
    "null-messages": {"messages": None},
}  # fmt: skip

#: Those that are asked with validation off: what is refused otherwise.
UNCHECKED = (
    "cap-text", "cap-below", "stream-text", "tools-wrong", "tools-odd", "temperature-text", "both", "audio",
    "model-unknown", "model-number", "no-messages", "no-content", "null-messages", "too-long",
)  # fmt: skip
#: Those that a scripted answer shows, streamed.
SCRIPTED = (
    "plain", "n-2", "n-0", "stop", "stop-list", "cap-1", "cap-5", "cap-100", "cap-0", "cap-real", "stream-options",
    "stream-usage", "stream-false", "json-object", "tools", "tools-none", "both", "unknown-field", "history", "image",
    "long-words", "model-unknown",
)  # fmt: skip


def wrong(provider: str) -> Iterator[tuple[str, Ask]]:
    """Yield requests that are wrong in their address, method, headers or bytes."""
    body = chat(provider)
    for name, key in (("no", None), ("wrong", "Bearer sk-other"), ("invalid", "Bearer sk-invalid-key"),
                      ("basic", "Basic dTpw"), ("prefixed", "Bearer br-123"), ("empty", "Bearer ")):  # fmt: skip
        yield f"{name}-key", Ask(body, headers={"authorization": key})
    for name, raw in (("empty", b""), ("list", b"[]"), ("broken", b'{"model": "a",'), ("utf-8", b'{"model": "\xff"}'),
                      ("nan", b'{"model": NaN}'), ("deep", b"[" * 201 + b"]" * 201), ("text", b'"hello"'),
                      ("twice", b'{"model": "x", "model": "%b", "messages": [{"role": "user", "content": "a"}]}'
                       % MODELS[provider].encode())):  # fmt: skip
        yield f"body-{name}", Ask(raw=raw)
    for name, kind in (("none", None), ("text", "text/plain"), ("form", "application/x-www-form-urlencoded"),
                       ("suffix", "application/vnd.api+json; charset=utf-8")):  # fmt: skip
        yield f"type-{name}", Ask(body, headers={"content-type": kind})
    for name, path in (("unknown", "/completions"), ("slash", f"{CHAT}/"), ("double", f"/v1{CHAT}"),
                       ("near", "/chat/completion"), ("root", ""), ("query", f"{CHAT}?api_key=abc&a=1")):  # fmt: skip
        yield f"path-{name}", Ask(body, path=path)
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"):
        yield f"method-{method.lower()}", Ask(None if method in ("GET", "HEAD", "DELETE") else body, method)
    for name, target in (("provider", "/s/{id}/nope/v1/chat/completions"), ("session", "/s/none/beatra/v1/models"),
                         ("no-v1", f"/s/{{id}}/{provider}{CHAT}"), ("implied", f"/s/{{id}}/v1{CHAT}"), ("root", "/"),
                         ("session-root", "/s/{id}"), ("bare", f"/s/{{id}}{CHAT}")):  # fmt: skip
        yield f"address-{name}", Ask(body, target=target)
    yield "no-model", Ask({"messages": body["messages"]})
    yield "nothing", Ask({})
    yield "idempotency-no-uuid", Ask(body, headers={"idempotency-key": "once"})
    sent = {"x-api-key": "secret-thing-1", "cookie": "a=b", "x-trace": "Zoë", "referer": "/?token=x"}
    yield "header", Ask(body, headers=sent)
