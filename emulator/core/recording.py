"""From a journal to a scenario that answers the same: exchanges as the control API shows them, a rule for each request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import yaml

from emulator.core.errors import STATUS, Json

_SKIPPED = ("refused", "unmatched")


class _Text(str):
    """A string that is written in double quotes, whatever it looks like."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Json) -> bool:
        return True


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def scenario_text(exchanges: Sequence[Mapping[str, Json]]) -> str:
    """Return a scenario in YAML; requests that were refused or unmatched are left out: they answer themselves."""
    answered = [item for item in exchanges if item["rule"] not in _SKIPPED and not item["replay_of"]]
    providers = {item["provider"] for item in answered}
    rules: dict[str, dict[str, Json]] = {}
    for item in answered:
        when = _when(item)
        rule = rules.setdefault(json.dumps(when, sort_keys=True), {"when": when, "replies": []})
        rule["replies"].append(_reply(item))
    scenario: dict[str, Json] = {"emulator": 1}
    if len(providers) == 1:
        scenario["provider"] = providers.pop()
    scenario["rules"] = list(rules.values())
    return yaml.dump(_quoted(scenario), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _quoted(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return _Text(value) if isinstance(value, str) else value


def _when(item: Mapping[str, Json]) -> dict[str, Json]:
    """Tell a request from the others by what a reader would: operation, model, the last user message, the step."""
    when: dict[str, Json] = {"operation": item["operation"]}
    body = item["body"] if isinstance(item["body"], Mapping) else {}
    if isinstance(body.get("model"), str):
        when["model"] = body["model"]
    if item["operation"] == "chat" and isinstance(body.get("messages"), list):
        messages = [message for message in body["messages"] if isinstance(message, Mapping)]
        users = [message for message in messages if message.get("role") == "user"]
        if users and isinstance(users[-1].get("content"), str):
            when["last_user"] = {"equals": users[-1]["content"]}
        when["turn"] = len(users)
        when["step"] = sum(message.get("role") == "assistant" for message in messages)
    elif "input" in body:
        when["body"] = {"$.input": {"equals": body["input"]}}
    return when


def _reply(item: Mapping[str, Json]) -> dict[str, Json]:
    response = item["response"]
    reply = _content(item, response)
    end = item["timeline"]["end"]
    if end in ("clean", "fin"):
        chunks = sum(frame["kind"] in ("data", "done") for frame in item["timeline"]["frames"])
        reply["faults"] = [{"cut": {"after_chunks": chunks, "how": end}}]
    return reply


def _content(item: Mapping[str, Json], response: Mapping[str, Json]) -> dict[str, Json]:
    refusal = item["refusal"]
    if refusal and refusal["code"] in STATUS:
        return {"error": refusal["code"]}
    if response["status"] >= 400:
        return {"error": {"status": response["status"], "body": _escaped(response["body"])}}
    if response["stream"]:
        return _streamed(response["body_text"] or "")
    body = response["body"]
    if item["operation"] != "chat" or not isinstance(body, Mapping) or not body.get("choices"):
        return {"json": _escaped(body), "off_contract": True}
    choice = body["choices"][0]
    return _said(choice["message"], choice["finish_reason"], body.get("usage"))


def _said(message: Mapping[str, Json], finish_reason: Json, usage: Json) -> dict[str, Json]:
    reply: dict[str, Json] = {}
    if message.get("content") is not None:
        reply["text"] = _escaped(message["content"])
    if message.get("refusal") is not None:
        reply = {"refusal": _escaped(message["refusal"])}
    if message.get("tool_calls"):
        reply["tool_calls"] = [
            {"name": call["function"]["name"], "arguments": _escaped(call["function"]["arguments"]), "id": call["id"]}
            for call in message["tool_calls"]
        ]
    reply["finish_reason"] = finish_reason or "stop"
    reply["verbatim"] = True  # what was cut was cut already
    if usage:
        reply["usage"] = {name: usage[name] for name in ("prompt_tokens", "completion_tokens")}
    return reply


def _streamed(text: str) -> dict[str, Json]:
    """Put a stream's deltas together again, and keep where they were split."""
    pieces: list[str] = []
    refusals: list[str] = []
    calls: dict[int, dict[str, Json]] = {}
    reason, usage = "stop", None
    for chunk in _chunks(text):
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", [])[:1]:
            delta = choice.get("delta", {})
            pieces += [delta["content"]] if delta.get("content") else []
            refusals += [delta["refusal"]] if delta.get("refusal") else []
            reason = choice.get("finish_reason") or reason
            for part in delta.get("tool_calls", []):
                call = calls.setdefault(part["index"], {"id": part.get("id"), "name": "", "arguments": ""})
                call["name"] += part["function"].get("name", "")
                call["arguments"] += part["function"].get("arguments", "")
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


def _chunks(text: str) -> Iterator[Mapping[str, Json]]:
    for event in text.split("\n\n"):
        try:
            chunk = json.loads(event.removeprefix("data: "))
        except ValueError:
            continue
        if isinstance(chunk, Mapping):
            yield chunk


def _escaped(value: Json) -> Json:
    """Make `${` in what was said literal again."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
