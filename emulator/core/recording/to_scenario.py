"""From a journal to a scenario that answers the same: exchanges as the control API shows them, a rule a request.

Kept are texts, pieces, tool calls, refusals, bodies, errors, headers of a reply's own, cuts, wrong content types, and
JSON that lacks its end; waits are not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import yaml

from emulator.core.errors import STATUS, Json
from emulator.core.redaction import is_redacted, is_secret, literals
from emulator.core.tree import change_texts
from emulator.core.wires.chat import conversation, last_text

DONE = "[DONE]"
_REASONS = ("stop", "length", "tool_calls", "content_filter")
_TYPES = {True: "text/event-stream", False: "application/json"}  # of streams, and of whole answers
_SKIPPED = ("refused", "unmatched")


class _Text(str):
    """A string that is written in double quotes, whatever it looks like."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Json) -> bool:
        return True


_Dumper.add_representer(
    _Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def scenario_text(
    exchanges: Sequence[Mapping[str, Json]], documented: Mapping[str, Collection[str]] | None = None
) -> str:
    """Return a scenario in YAML; requests that were refused or unmatched are left out: they answer themselves.

    `documented` are each provider's own headers: whatever else was sent is a reply's own. Without them only Retry-After
    is kept.
    """
    answered = [item for item in exchanges if item["rule"] not in _SKIPPED and not item["replay_of"]]
    providers = {item["provider"] for item in answered}
    rules: dict[str, dict[str, Json]] = {}
    for item in answered:
        when = when_of(item)
        rule = rules.setdefault(json.dumps(when, sort_keys=True), {"when": when, "replies": []})
        rule["replies"].append(_reply(item, (documented or {}).get(item["provider"])))
    scenario: dict[str, Json] = {"emulator": 1}
    if len(providers) == 1:
        scenario["provider"] = providers.pop()
    scenario["rules"] = list(rules.values())
    return to_yaml(scenario)


def to_yaml(value: Json) -> str:
    """Write YAML: texts in double quotes, the innermost lists and mappings on one line."""
    quoted = change_texts(value, _Text)
    return str(
        yaml.dump(quoted, None, _Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    )


def when_of(item: Mapping[str, Json]) -> dict[str, Json]:
    """Tell a request from the others by what a reader would: operation, model, the last user message, the step."""
    when: dict[str, Json] = {"operation": item["operation"]}
    body = item["body"] if isinstance(item["body"], Mapping) else {}
    model = item.get("params", {}).get("model", body.get("model"))
    if isinstance(model, str) and not is_redacted(model):
        when["model"] = model
    if isinstance(body.get("messages"), list):
        messages = conversation(body)
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


def _reply(item: Mapping[str, Json], documented: Collection[str] | None) -> dict[str, Json]:
    response, timeline = item["response"], item["timeline"]
    faults: list[dict[str, Json]] = []
    if (whole := _completed(response)) is not None:
        response, faults = {**response, "body": whole}, [{"invalid_json": True}]
    if response["headers"].get("content-type", "").partition(";")[0] != _TYPES[response["stream"]]:
        faults.append({"wrong_content_type": True})
    reply = content_of(item, response)
    if headers := _own_headers(response["headers"], documented):
        reply["headers"] = headers
    if timeline["end"] != "complete":
        faults.append({"cut": {**_cut_place(response, timeline), "how": timeline["end"]}})
    return reply | ({"faults": faults} if faults else {})


def _completed(response: Mapping[str, Json]) -> Json:
    """Return the JSON of a whole answer that lacks its last character; None for any other."""
    if response["stream"] or response["body"] is not None:
        return None
    for last in ("}", "]"):
        with suppress(ValueError, RecursionError):
            return json.loads((response["body_text"] or "") + last)
    return None


def _own_headers(headers: Mapping[str, str], documented: Collection[str] | None) -> dict[str, str]:
    """Return what a scenario asked for: neither ours, nor HTTP's, nor the provider's, nor a secret."""
    if documented is None:
        documented = [name for name in headers if name != "retry-after"]
    left_out = {"content-type", *documented}
    return {
        name: escaped(value)
        for name, value in headers.items()
        if name not in left_out
        and not name.startswith(("x-emulator-", "x-should-retry"))
        and not (is_secret(name) or is_redacted(value))
    }


def _cut_place(response: Mapping[str, Json], timeline: Mapping[str, Json]) -> dict[str, Json]:
    """Say where an answer broke off: after so many events, or where it broke inside of one, bytes."""
    frames = timeline["frames"]
    if response["stream"] and (not frames or (response["body_text"] or "").endswith("\n\n")):
        return {"after_chunks": sum(frame["kind"] in ("data", "done") for frame in frames)}
    return {"after_bytes": sum(frame["size"] for frame in frames)}


def content_of(item: Mapping[str, Json], response: Mapping[str, Json]) -> dict[str, Json]:
    refusal, status, body = item["refusal"], response["status"], response["body"]
    if refusal:
        return _error(refusal, status)
    if response["stream"]:
        return _streamed(response["body_text"] or "", item["timeline"]["end"] == "complete") | _status(status, 200)
    if body is None:
        return {"builtin": True}  # cut inside its body, or too long to be shown whole: it cannot be written down
    if status >= 400:
        return {"error": {"status": status, "body": escaped(body)}, "off_contract": True}
    if not _is_message(body):
        return {"json": escaped(body), "off_contract": True} | _status(status, 200)
    choice = body["choices"][0]
    usage = body.get("usage") or "none"
    return _said(choice["message"], choice.get("finish_reason"), usage) | _status(status, 200)


def _error(refusal: Mapping[str, Json], status: int) -> dict[str, Json]:
    details = [{"field": item["path"], "message": item["message"]} for item in refusal["details"]]
    error = {"name": refusal["code"], "message": refusal.get("message"), "details": details}
    given = {name: escaped(value) for name, value in error.items() if value}
    reply = {"error": given if len(given) > 1 else refusal["code"]}
    usual = STATUS.get(refusal["code"], status)  # a further name has the status that it was sent with
    return reply if status == usual else reply | {"status": status, "off_contract": True}


def _status(status: int, usual: int) -> dict[str, Json]:
    return {"status": status} if status != usual else {}


def _is_message(body: Json) -> bool:
    """Tell whether a body is a chat answer of the usual form, which a reply's text and tool calls make again."""
    try:
        message = body["choices"][0]["message"]
        calls = [call["function"]["name"] + call["function"]["arguments"] + call["id"]
                 for call in message.get("tool_calls") or ()]  # fmt: skip
        told = message.get("content"), message.get("refusal")
        return all(isinstance(text, str | None) for text in told) and (
            any(text is not None for text in told) or bool(calls)
        )
    except (LookupError, TypeError, AttributeError):
        return False


def _said(message: Mapping[str, Json], finish_reason: Json, usage: Json) -> dict[str, Json]:
    reply: dict[str, Json] = {}
    if message.get("content") is not None:
        reply["text"] = escaped(message["content"])
    if message.get("refusal") is not None:
        reply = {"refusal": escaped(message["refusal"])}
    if message.get("tool_calls"):
        reply["tool_calls"] = [
            {"name": call["function"]["name"], "arguments": escaped(call["function"]["arguments"]), "id": call["id"]}
            for call in message["tool_calls"]
        ]
    reply["finish_reason"] = finish_reason or "stop"
    reply["verbatim"] = True  # what was cut was cut already
    if isinstance(usage, Mapping):
        reply["usage"] = {name: usage[name] for name in ("prompt_tokens", "completion_tokens") if name in usage}
    elif usage:
        reply["usage"] = usage
    if usage == "none" or reply["finish_reason"] not in _REASONS:
        reply["off_contract"] = True
    return reply


def _streamed(text: str, whole: bool) -> dict[str, Json]:
    """Put a stream's deltas together again and keep where they were split; events of another kind stay as they are."""
    items = [event.removeprefix("data: ") for event in text.split("\n\n") if event.startswith("data: ")]
    try:
        return _message_of([json.loads(item) for item in items if item != DONE])
    except (ValueError, LookupError, TypeError, AttributeError):
        if not whole and items and not text.endswith("\n\n"):
            return _streamed(text[: text.rfind("\n\n") + 2], whole) if "\n\n" in text else {"builtin": True}
        return {"events": [escaped(item) for item in items], "off_contract": True}


def _message_of(chunks: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    pieces: list[str] = []
    refusals: list[str] = []
    calls: dict[int, dict[str, Json]] = {}
    reason, usage = "stop", None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"][:1]:
            delta = choice["delta"]
            pieces += [delta["content"]] if delta.get("content") else []
            refusals += [delta["refusal"]] if delta.get("refusal") else []
            reason = choice.get("finish_reason") or reason
            for part in delta.get("tool_calls") or ():
                call = calls.setdefault(part["index"], {"id": part.get("id"), "name": "", "arguments": ""})
                call["name"] += part["function"].get("name") or ""
                call["arguments"] += part["function"].get("arguments") or ""
    message: dict[str, Json] = {"content": "".join(pieces) if pieces or not (calls or refusals) else None}
    if refusals:
        message["refusal"] = "".join(refusals)
    message["tool_calls"] = [
        {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]
    reply = _said(message, reason, usage)
    if pieces:
        reply["stream"] = {"split": pieces}
    return reply


def escaped(value: Json) -> Json:
    """Make `${` in what was said literal again."""
    return change_texts(value, lambda text: text.replace("${", "$${"))
