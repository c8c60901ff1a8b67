"""What a chat body says, whatever shape its parts have: read without trusting any type."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from emulator.core.errors import Json
from emulator.core.values import Message

#: How many characters of a text are read for its words.
MOST_READ = 2000
_WORD = re.compile(r"[^\W_]+")


def text_of(content: Json) -> str:
    """Return the text of a message's content: the string, or its text parts joined by a newline."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))


def conversation(body: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a body's messages; what is no message is left out."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return ()
    return tuple([_message(item) for item in messages if isinstance(item, dict)])


def _message(item: Mapping[str, Json]) -> Message:
    content = item.get("content")
    if isinstance(content, str) and len(item) == 2:  # most messages are a role and a text
        return Message(_text(item.get("role")), content)
    images = 0
    if isinstance(content, list):
        images = sum(isinstance(part, Mapping) and part.get("type") == "image_url" for part in content)
    calls = item.get("tool_calls")
    return Message(
        role=_text(item.get("role")),
        text=text_of(content),
        name=_text(item.get("name")),
        calls=tuple(_call(call) for call in calls if isinstance(call, Mapping)) if isinstance(calls, list) else (),
        call_id=_text(item.get("tool_call_id")),
        images=images,
    )


def _call(call: Mapping[str, Json]) -> tuple[str, str, str]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        function = {}
    return _text(call.get("id")), _text(function.get("name")), _text(function.get("arguments"))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def functions(body: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """Return the functions that a body offers as tools: each has a name."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return []
    found = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return [item for item in found if isinstance(item, Mapping) and isinstance(item.get("name"), str)]


def asks_usage(body: Mapping[str, Json]) -> bool:
    """Tell whether a streamed answer is asked to tell its usage."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def compact(value: Json) -> str:
    """Return compact JSON."""
    return orjson.dumps(value).decode()


def canonical(value: Json) -> bytes:
    """Return JSON that is the same for equal values; 1.0 is 1, as in JSON Schema."""
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if b".0" in data:
        data = orjson.dumps(_folded(value), option=orjson.OPT_SORT_KEYS)
    return data


def _folded(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _folded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_folded(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def last_text(messages: tuple[Message, ...], role: str) -> str | None:
    """Return the text of the last message of a role."""
    return next((message.text for message in reversed(messages) if message.role == role), None)


def system_text(messages: tuple[Message, ...]) -> str | None:
    """Return the system messages' texts joined by a newline."""
    texts = [message.text for message in messages if message.role == "system"]
    return "\n".join(texts) if texts else None


def tool_results(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Return `{name, content}` of each tool message after the last assistant message, named by its call's id."""
    names = {call_id: name for message in messages for call_id, name, _ in message.calls}
    results: list[dict[str, str]] = []
    for message in reversed(messages):
        if message.role == "assistant":
            break
        if message.role == "tool":
            name = names.get(message.call_id, message.name)
            results.append({"name": name, "content": message.text})
    return results[::-1]


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a text's beginning, names_with_parts taken apart."""
    return [word.lower() for word in _WORD.findall(text[:MOST_READ])]
