"""What tells a request from the others: a `when` as a reader would write it, without what was redacted."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.errors import Json
from emulator.core.secrets.texts import is_redacted, literals
from emulator.core.tree import change_texts
from emulator.core.wires.request.conversation import last_text
from emulator.core.wires.wire import Wire


def when_of(item: Mapping[str, Json], wire: Wire | None) -> dict[str, Json]:
    """Tell a request from the others by what a reader would: operation, model, the last user message, the step."""
    when: dict[str, Json] = {"operation": item["operation"]}
    body = item["body"] if isinstance(item["body"], Mapping) else {}
    model = item.get("params", {}).get("model") or (wire.request.model(body) if wire else body.get("model"))
    if model and isinstance(model, str) and not is_redacted(model):
        when["model"] = model
    if wire:
        messages = wire.request.messages(body)
        text = last_text(messages, "user")
        when["last_user"] = {"absent": True} if text is None else wanted(text)
        when["turn"] = sum(message.role == "user" for message in messages)
        when["step"] = sum(message.role == "assistant" for message in messages)
    elif "input" in body:
        when["body"] = {"$.input": wanted(body["input"])}
    return when


def wanted(value: Json) -> dict[str, Json]:
    """Return a matcher of a value: what was redacted in it may be anything."""
    if masked(value) == value:
        return {"equals": value}
    if isinstance(value, str) and (parts := literals(value)):
        return {"all": [{"contains": part} for part in parts]}
    surely = _sure(value) if isinstance(value, Mapping) else {}
    return {"like": surely} if surely else {"present": True}


def masked(value: Json) -> Json:
    """Return a value in which all that was redacted is alike."""
    return change_texts(value, lambda text: "…".join(["", *literals(text)]) if is_redacted(text) else text)


def _sure(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields of an object in which nothing was redacted."""
    same = {name: item for name, item in value.items() if masked(item) == item}
    parts = {name: _sure(item) for name, item in value.items() if name not in same and isinstance(item, Mapping)}
    return same | {name: item for name, item in parts.items() if item}
