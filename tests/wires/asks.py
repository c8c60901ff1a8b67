"""What a client asks, in the form of each provider, and one scenario that answers all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tests.build
from emulator.core.provider.routes import fill_path
from tests.wires.build import PROVIDERS

MADE_UP = ("parlance", "choral")
MODELS = {**tests.build.MODELS, "parlance": "parlance-1", "choral": "choral-1"}
SCENARIO = """\
emulator: 1
rules:
  - when: {last_user: {contains: weather}, tool_result: {absent: true}, tools: {includes: get_weather}}
    reply: {text: Let me look., tool_calls: [{name: get_weather, arguments: {city: Oslo}, id: call_1}]}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: It is 21 degrees in Oslo.}
  - {when: {last_user: {contains: refuse}}, reply: {refusal: I cannot help with that.}}
  - {when: {last_user: {contains: limit}}, reply: {error: rate_limited}}
  - {when: {last_user: {contains: cut}}, reply: {text: One two three four., faults: [{cut: {before: done}}]}}
  - when: {last_user: {contains: broken}}
    reply: {text: One two., faults: [{error_event: {error: server_error, after_chunks: 2}}]}
  - {when: {system: {contains: pirate}}, reply: {text: Arr.}}
  - reply: {text: "You said: ${request.last_user}", stream: {split: words, itl: 1s}}
"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def openai_chat(
    text: str, model: str, system: str = "", result: str = "", stream: bool = False, **more: Any
) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": "{}"}
    answer = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    before = [{"role": "system", "content": system}] if system else []
    messages = [*before, {"role": "user", "content": text}, *(answer if result else [])]
    body = {"model": model, "messages": messages, "tools": [tool], "stream": stream}
    return body | ({"max_tokens": more["cap"]} if "cap" in more else {})


def blocks(text: str, system: str = "", result: str = "", **more: Any) -> dict[str, Any]:
    answer = [
        {"by": "machine", "blocks": [{"kind": "wish", "key": "c", "name": "get_weather", "input": {}}]},
        {"by": "person", "blocks": [{"kind": "outcome", "of": "c", "blocks": [{"kind": "words", "words": result}]}]},
    ]
    turns = [{"by": "person", "blocks": [{"kind": "words", "words": text}]}, *(answer if result else [])]
    body = {"max_output": more.get("cap", 100), "turns": turns}
    return body | {"tools": [{"name": "get_weather", "takes": SCHEMA}]} | ({"system": system} if system else {})


def turns(
    text: str, model: str, system: str = "", result: str = "", stream: bool = False, **more: Any
) -> dict[str, Any]:
    answer = [
        {"from": "bot", "asks": [{"id": "c", "called": "get_weather", "with": "{}"}]},
        {"from": "tool", "replies_to": "c", "says": result},
    ]
    talk = [{"from": "user", "says": text}, *(answer if result else [])]
    body: dict[str, Any] = {"engine": model, "talk": talk, "live": stream, "live_options": {"count": True}}
    body |= {"kit": [{"tool": {"called": "get_weather", "takes": SCHEMA}}]} | ({"preamble": system} if system else {})
    return body | ({"limits": {"tokens": more["cap"]}} if "cap" in more else {})


def messages(
    text: str, model: str, system: str = "", result: str = "", stream: bool = False, **more: Any
) -> dict[str, Any]:
    answer = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": result}]},
    ]
    said = [{"role": "user", "content": text}, *(answer if result else [])]
    body = {"model": model, "max_tokens": more.get("cap", 100), "messages": said, "stream": stream}
    return body | {"tools": [{"name": "get_weather", "input_schema": SCHEMA}]} | ({"system": system} if system else {})


def unthinking(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat of which no reasoning must come back."""
    return openai_chat(text, **more) | {"thinking": {"type": "disabled"}}


def ollama_chat(text: str, model: str, result: str = "", **more: Any) -> dict[str, Any]:
    """Return a chat whose calls have objects as arguments, whose results name the tool, and whose cap is an option."""
    body = openai_chat(text, model, **more)
    called = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "get_weather", "arguments": {}}}],
    }
    answer = [called, {"role": "tool", "tool_name": "get_weather", "content": result}]
    body["messages"] += answer if result else []
    return body | ({"options": {"num_predict": body.pop("max_tokens")}} if "cap" in more else {})


FORMS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "openai-chat": openai_chat, "azure-chat": openai_chat, "compatible-chat": openai_chat,
    "openrouter-chat": openai_chat,
    "deepseek-chat": unthinking, "ollama-chat": ollama_chat, "blocks": blocks, "turns": turns,
    "anthropic-messages": messages,
}  # fmt: skip


def asked(
    provider: str, text: str, *, key: str = "k", stream: bool = False, **said: Any
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return a request's path below the base URL, its headers and its body."""
    known = PROVIDERS[provider]
    chat, model = known.operations["chat"], MODELS[provider]
    assert chat.wire
    path = (chat.streams_at if stream else None) or chat.path
    usual = {"content-type": "application/json"} | tests.build.HEADERS.get(provider, {})
    headers = {**known.accepts[0].write(key)[0], **usual}
    return fill_path(path, {"model": model}), headers, FORMS[chat.wire.name](text, model=model, stream=stream, **said)
