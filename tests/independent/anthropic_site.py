"""Anthropic in service: versions, keys, errors and headers, and what its operations answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from independent import anthropic_requests as takes
from independent.openai_answers import Said, new_id, prompt_tokens, say
from independent.shapes import Shape
from independent.values import Json, Refused, Reply, Request
from independent.windows import Windows

KEY, LIMIT, TOKENS = "sk-ant-key", 1_000_000, 1_000_000_000
VERSIONS = ("2023-01-01", "2023-06-01", takes.NEWEST)
BETA = re.compile(r"[a-z0-9-]+-20\d\d-\d\d-\d\d")
TYPES = {401: "authentication_error", 404: "not_found_error"}
ANSWERS_AS = {"claude-haiku-4-5": "claude-haiku-4-5-20251001", "claude-sonnet-4-5": "claude-sonnet-4-5-20250929"}
REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(slots=True)
class Anthropic:
    """The API in service, and what it remembers."""

    windows: Windows = field(default_factory=Windows)

    def serve(self, request: Request) -> Reply:
        ident = new_id("req_", 24)
        try:
            reply = self._answer(request)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            reply = _refusal(Refused(400, "The request cannot be read."), ident)
        except Refused as refused:
            reply = _refusal(refused, ident)
        headers = {"request-id": ident, "anthropic-organization-id": "0a1b2c3d-0000-4000-8000-000000000000"}
        if reply.status != 401:
            headers["anthropic-workspace-id"] = "wrkspc_01"
        if reply.status not in (401, 404, 405) and request.path.startswith("/v1/messages"):
            headers |= self._rate()
        return replace(reply, headers={**headers, **reply.headers})

    def _answer(self, request: Request) -> Reply:
        found = [item for item in PATHS if re.fullmatch(item[1], request.path)]
        if not found:
            raise Refused(404, "Not Found")
        answer = next((item[2] for item in found if item[0] == request.method), None)
        if answer is None:
            raise Refused(405, "Method Not Allowed", Allow=found[0][0])
        _check_headers(request.headers)
        self.windows[KEY].requests += 1
        return answer(request)

    def _rate(self) -> dict[str, str]:
        window, told = self.windows[KEY], {}
        reset = datetime.fromtimestamp(int(window.end), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
            limit = LIMIT if kind == "requests" else TOKENS
            told[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
            told[f"anthropic-ratelimit-{kind}-remaining"] = str(limit - window.requests)
            told[f"anthropic-ratelimit-{kind}-reset"] = reset
        return told


def _refusal(refused: Refused, ident: str) -> Reply:
    error = {"type": TYPES.get(refused.status, "invalid_request_error"), "message": str(refused)}
    return Reply(refused.status, {"type": "error", "error": error, "request_id": ident}, refused.headers)


def _check_headers(headers: Mapping[str, str]) -> None:
    key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    if key != KEY:
        raise Refused(401, "invalid x-api-key" if key else "x-api-key header is required")
    version = headers.get("anthropic-version")
    if version not in VERSIONS:
        why = "header is required" if version is None else f'"{version}" is not a valid version'
        raise Refused(400, f"anthropic-version: {why}")
    for name in headers.get("anthropic-beta", "").split(","):
        if name.strip() and not BETA.fullmatch(name.strip()):
            raise Refused(400, f"Unexpected value(s) `{name.strip()}` for the `anthropic-beta` header.")


def _read(request: Request, shape: Shape) -> Json:
    """Return the object of a body, as its operation takes it. Raises: Refused."""
    try:
        fields = json.loads(request.body)
    except ValueError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(fields, dict) or SURROGATE.search(request.body):
        raise Refused(400, "The request body is not valid JSON: no object")
    shape(fields, "")
    takes.check(fields, request.headers["anthropic-version"])
    return fields


def create(request: Request) -> Reply:
    fields = _read(request, takes.MESSAGES)
    last = takes.blocks(fields["messages"][-1]["content"])
    told = any(block["type"] == "tool_result" for block in last)
    form = (fields.get("output_config") or {}).get("format") or {}
    said = say(
        fields, fields["messages"], _tools(fields), _choice(fields, told), form.get("schema"), fields["max_tokens"]
    )
    said = said if fields["max_tokens"] else replace(said, tokens=(), call=None, reason="length")
    message = _message(fields, said)
    return Reply(200, events=tuple(_events(message)), named=True) if fields.get("stream") else Reply(200, message)


def _tools(fields: Json) -> list[Json]:
    tools = [tool for tool in fields.get("tools") or () if "input_schema" in tool]
    return [{"type": "function", "name": tool["name"], "parameters": tool["input_schema"]} for tool in tools]


def _choice(fields: Json, told: bool) -> Json:
    choice = fields.get("tool_choice") or {"type": "auto"}
    if choice["type"] == "tool":
        return {"type": "function", "name": choice["name"]}
    return "told" if told and choice["type"] == "auto" else choice["type"]


def _message(fields: Json, said: Said) -> Json:
    content: list[Json] = [{"type": "text", "text": said.text}] if said.tokens else []
    if said.call:
        _, name, given = said.call
        content = [{"type": "tool_use", "id": new_id("toolu_", 24), "name": name, "input": json.loads(given)}]
    model = fields["model"]
    usage = {
        "input_tokens": prompt_tokens(fields["messages"], fields.get("system"), fields.get("tools")),
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": said.count,
        "service_tier": "standard",
    }  # fmt: skip
    return {
        "id": new_id("msg_", 24), "type": "message", "role": "assistant", "model": ANSWERS_AS.get(model, model),
        "content": content, "stop_reason": REASONS[said.reason], "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def _events(message: Json) -> Iterator[Json]:
    begun = {**message["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": begun}}
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        empty = {"text": ""} if is_text else {"input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        yield {"type": "ping"}
        for piece in _pieces(block):
            delta = (
                {"type": "text_delta", "text": piece}
                if is_text
                else {"type": "input_json_delta", "partial_json": piece}
            )
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _pieces(block: Json) -> list[str]:
    text = block["text"] if block["type"] == "text" else json.dumps(block["input"])
    return [text[at : at + 8] for at in range(0, len(text), 8)]


def count(request: Request) -> Reply:
    fields = _read(request, takes.COUNT)
    tokens = prompt_tokens(fields["messages"], fields.get("system"), fields.get("tools"))
    return Reply(200, {"input_tokens": tokens})


def models(request: Request) -> Reply:
    limit, after, before = (request.query.get(name) for name in ("limit", "after_id", "before_id"))
    if limit is not None and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1000):
        raise Refused(400, "limit: Input should be from 1 to 1000")
    names, most = list(takes.MODELS), int(limit or 20)
    begin = names.index(after) + 1 if after in names else max(0, names.index(before) - most) if before in names else 0
    end = min(begin + most, names.index(before) if before in names else len(names))
    page = {"first_id": None, "last_id": None, "data": [_model(name) for name in names[begin:end]]}
    if page["data"]:
        page |= {"first_id": names[begin], "last_id": names[end - 1]}
    return Reply(200, {**page, "has_more": begin > 0 if before in names else end < len(names)})


def model(request: Request) -> Reply:
    name = request.path.rpartition("/")[2]
    if name not in takes.MODELS:
        raise Refused(404, f"model: {name}")
    return Reply(200, _model(name))


def _model(name: str) -> Json:
    given, most, _ = takes.MODELS[name]
    line = name.split("-")[1]
    return {
        "type": "model", "id": name, "display_name": name.replace("-", " ").title(), "line": line,
        "created_at": "2026-01-01T00:00:00Z", "max_input_tokens": given, "max_tokens": most, "lifecycle": "active",
        "deprecated_at": None, "retires_at": None,
    }  # fmt: skip


PATHS: tuple[tuple[str, str, Callable[[Request], Reply]], ...] = (
    ("POST", "/v1/messages", create),
    ("POST", "/v1/messages/count_tokens", count),
    ("GET", "/v1/models", models),
    ("GET", "/v1/models/[^/]+", model),
)
