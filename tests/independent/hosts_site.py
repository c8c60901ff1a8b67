"""Azure OpenAI and OpenRouter in service: OpenAI's chats, with the accents that their docs tell."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from independent import hosts_requests as takes
from independent import openai_answers as answers
from independent.azure_responses import Responses, check_version, methods_at
from independent.azure_responses import check as check_response
from independent.shapes import refuse
from independent.values import Json, Refused, Reply, Request

Fields = dict[str, Any]
KEY = "sk-key"


def decode(request: Request) -> Fields:
    try:
        fields = json.loads(request.body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise refuse(None, None, "The body is no JSON object.")
    return fields


def caught(answer: Callable[[Request], Reply], error: Callable[[Refused], Json], request: Request) -> Reply:
    """Answer, or tell what is wrong."""
    try:
        return answer(request)
    except Refused as refused:
        return Reply(refused.status, error(refused), refused.headers)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        refused = refuse(None, None, "The request cannot be read.")
        return Reply(refused.status, error(refused))


def counts(usage: Json) -> Json:
    told = {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return {**told, "completion_tokens_details": {"reasoning_tokens": 0}, "prompt_tokens_details": {"cached_tokens": 0}}


def bare(item: Json) -> Json:
    """Return a chunk or an answer without what OpenAI alone tells."""
    told = {name: value for name, value in item.items() if name not in ("service_tier", "obfuscation")}
    if told.get("usage"):
        told["usage"] = counts(told["usage"])
    return {**told, "choices": [_bare_choice(choice) for choice in told["choices"]]}


def _bare_choice(choice: Json) -> Json:
    message = {name: value for name, value in choice.get("message", {}).items() if name != "annotations"}
    return {**choice, "message": message} if message else choice


def changed(reply: Reply, change: Callable[[Json], Json], first: Sequence[Json] = ()) -> Reply:
    """Change an answer, or each chunk of a stream."""
    if reply.events is None:
        return replace(reply, body=change(bare(reply.body)))
    chunks = [item if isinstance(item, str) else change(bare(item)) for item in reply.events]
    return replace(reply, events=(*first, *chunks))


def check_turns(messages: Sequence[Json]) -> None:
    """Look whether each call is answered, and each answer has its call. Raises: Refused."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        is_answer = message["role"] == "tool"
        if is_answer != bool(waiting) or (is_answer and message["tool_call_id"] not in waiting):
            raise refuse(None, f"messages.[{index}].role", "Calls and the messages of tools do not fit together.")
        waiting -= {message.get("tool_call_id")}
        waiting |= {call["id"] for call in message.get("tool_calls") or ()}
    if waiting:
        raise refuse(None, "messages", "Calls have no answers.")


# Azure

SAFE = {"filtered": False, "severity": "safe"}
RESULTS = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": SAFE}
PROMPT = [
    {"prompt_index": 0, "content_filter_results": {**RESULTS, "jailbreak": {"filtered": False, "detected": False}}}
]
DEPLOYED = {"gpt-4o": "gpt-4o-2024-11-20", "gpt-4o-mini": "gpt-4o-mini-2024-07-18"}
VECTORS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
DENIED = "Access denied due to invalid subscription key or wrong API endpoint."


class Azure:
    """The API in service, and the responses that it keeps."""

    def __init__(self) -> None:
        self._responses = Responses()

    def serve(self, request: Request) -> Reply:
        reply = caught(self._answer, _azure_error, request)
        headers = {"apim-request-id": str(uuid.uuid4())}
        if reply.status not in (401, 404):
            headers["x-ms-region"] = "West Europe"
        if reply.status == 200:
            headers |= {"x-ratelimit-remaining-requests": "99", "x-ratelimit-remaining-tokens": "9999"}
        return replace(reply, headers={**headers, **reply.headers})

    def _answer(self, request: Request) -> Reply:
        deployment = re.fullmatch("/openai/deployments/([^/]+)/(chat/completions|embeddings)", request.path)
        below_v1 = re.fullmatch("/openai/v1/(chat/completions|embeddings|models)", request.path)
        responses = re.fullmatch("/openai/(v1/)?responses(/.+)?", request.path)
        name = deployment[2] if deployment else below_v1[1] if below_v1 else ""
        wanted = {"chat/completions": ("POST",), "embeddings": ("POST",), "models": ("GET",)}.get(name, ())
        wanted = methods_at(responses[2] or "") if responses else wanted
        versioned = deployment or (responses and not responses[1])
        lost = versioned and not takes.is_version(request.query.get("api-version"))
        if request.method not in wanted or lost:
            told = {"Allow": ", ".join(wanted)} if wanted else {}
            refused = Refused(404, "Resource not found", **told)
            refused.code = "404"
            raise refused
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if KEY not in (request.headers.get("api-key"), bearer):
            raise refuse("401", None, DENIED, 401)
        if responses and not responses[1]:
            check_version(request.query)
        if responses:
            return self._responses.ask(request, responses[2]) if responses[2] else self._respond(decode(request))
        if name == "models":
            rows = [{"id": name, "object": "model", "created": 1, "owned_by": "azure"} for name in DEPLOYED]
            return Reply(200, {"object": "list", "data": rows})
        fields = decode(request)
        if deployment:
            fields["model"] = deployment[1]
        return (_azure_chat if name == "chat/completions" else _azure_embeddings)(fields)

    def _respond(self, fields: Fields) -> Reply:
        check_response(fields)
        if fields["model"] in VECTORS:
            raise _no_operation("responses")
        return self._responses.create(fields, DEPLOYED.get(fields["model"], fields["model"]))


def _azure_error(refused: Refused) -> Json:
    kind = "invalid_request_error" if refused.status == 400 else None
    told = {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}
    return {"error": {name: value for name, value in told.items() if value is not None}}


def _no_operation(name: str) -> Refused:
    return refuse("OperationNotSupported", None, f"The {name} operation does not work with the specified model.")


def _azure_chat(fields: Fields) -> Reply:
    takes.AZURE_CHAT(fields, "")
    model = fields["model"]
    if model in VECTORS:
        raise _no_operation("chatCompletion")
    check_turns(fields["messages"])
    reply = answers.chat({**fields, "model": {"gpt-35-turbo": "gpt-3.5-turbo"}.get(model, model)})
    told = {"model": DEPLOYED.get(model, model)}

    def change(item: Json) -> Json:
        whole = item["object"] == "chat.completion"
        choices = [{**choice, "content_filter_results": RESULTS} for choice in item["choices"]]
        return {**item, **told, "choices": choices, **({"prompt_filter_results": PROMPT} if whole else {})}

    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": PROMPT}
    return changed(reply, change, (empty,))


def _azure_embeddings(fields: Fields) -> Reply:
    takes.AZURE_EMBEDDINGS(fields, "")
    if fields["model"] in DEPLOYED:
        raise _no_operation("embeddings")
    size = fields.get("dimensions") or VECTORS.get(fields["model"], 1536)
    return answers.embeddings({**fields, "dimensions": min(size, 3072)})


# OpenRouter

PRICES = {"openai/gpt-4o": 5e-6, "openai/gpt-4o-mini": 3e-7}
ROW = {
    "created": 1, "pricing": {"prompt": "0.1", "completion": "0.2"}, "context_length": 128_000,
    "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"],
                     "tokenizer": "GPT", "instruct_type": None},
    "top_provider": {"context_length": 128_000, "max_completion_tokens": 4096, "is_moderated": True},
    "per_request_limits": None, "supported_parameters": ["max_tokens"], "canonical_slug": "a", "description": "",
}  # fmt: skip
SPENT = {"label": "sk-or-v1-abc", "limit": None, "limit_remaining": None, "usage": 1.5, "is_free_tier": True}


class OpenRouter:
    """The API in service; it remembers nothing."""

    def serve(self, request: Request) -> Reply:
        return caught(self._answer, _openrouter_error, request)

    def _answer(self, request: Request) -> Reply:
        method, answer = OPENROUTER.get(request.path, ("", _openrouter_chat))
        if not method:
            raise refuse(None, None, "Not Found", 404)
        if method != request.method:
            raise Refused(405, "Method Not Allowed", Allow=method)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise refuse(None, None, "No auth credentials found", 401)
        return answer(decode(request) if method == "POST" else {})


def _openrouter_error(refused: Refused) -> Json:
    return {"error": {"code": refused.status, "message": str(refused)}}


def _openrouter_chat(fields: Fields) -> Reply:
    takes.OPENROUTER_CHAT(fields, "")
    reasoning = fields.get("reasoning") or {}
    if reasoning.get("effort") and reasoning.get("max_tokens") is not None:
        raise refuse(None, None, "Either reasoning.effort or reasoning.max_tokens, not both")
    model = fields.get("model") or next(iter(fields.get("models") or ()), "openrouter/auto")
    caps = {name: min(fields[name], 1000) for name in ("max_tokens", "max_completion_tokens") if name in fields}
    reply = answers.chat({**fields, **caps, "model": model, "stream_options": {"include_usage": True}})
    head = {"id": answers.new_id("gen-", 20), "provider": "Azure", "model": model, "created": int(time.time())}

    def change(item: Json) -> Json:
        told = {name: value for name, value in item.items() if name != "usage" or value}
        if "usage" in told:
            told["usage"] = {**told["usage"], "cost": PRICES.get(model, 1e-6) * told["usage"]["total_tokens"]}
        rows = [{**choice, "native_finish_reason": choice["finish_reason"]} for choice in told["choices"]]
        return {**told, **head, "choices": rows}

    return changed(reply, change)


OPENROUTER: dict[str, tuple[str, Callable[[Fields], Reply]]] = {
    "/chat/completions": ("POST", _openrouter_chat),
    "/models": ("GET", lambda _: Reply(200, {"data": [{**ROW, "id": name, "name": name} for name in PRICES]})),
    "/key": ("GET", lambda _: Reply(200, {"data": SPENT})),
    "/credits": ("GET", lambda _: Reply(200, {"data": {"total_credits": 10.5, "total_usage": 1.25}})),
}
