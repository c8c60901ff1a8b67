"""Gemini in service: keys, paths, errors, and what its operations answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from independent import gemini_requests as takes
from independent import speech
from independent.openai_answers import Said, new_id, prompt_tokens, say
from independent.values import Json, Refused, Reply, Request

KEY = "AIza-key"
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
NOT_FOUND = "The requested entity was not found."
REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
GOOGLE = "type.googleapis.com/google.rpc"
WRONG_KEY = [
    {"@type": f"{GOOGLE}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
    {"@type": f"{GOOGLE}.LocalizedMessage", "locale": "en-US", "message": "API key not valid."},
]
NAMED = re.compile(r"Unknown parameter: '(?:(.*)\.)?([^.']+)'\.")


@dataclass(slots=True)
class Gemini:
    """The API in service; it remembers nothing."""

    def serve(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except Refused as found:
            refused = found
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            refused = takes.wrong(takes.INVALID)
        listed = ":streamGenerateContent" in request.path and request.query.get("alt") != "sse"
        return Reply(refused.status, [_error(refused)] if listed else _error(refused), refused.headers)

    def _answer(self, request: Request) -> Reply:
        found = re.fullmatch(r"/models(?:/([^:/]+)(?::(\w+))?)?", request.path)
        name, method = (found[1], found[2]) if found else (None, None)
        if not found or (method and method not in METHODS):
            raise Refused(404, NOT_FOUND)
        if request.method != ("POST" if method else "GET"):
            raise Refused(404, NOT_FOUND, Allow="POST" if method else "GET")
        _check_key(request)
        if request.query.get("alt", "json") not in ("json", "sse"):
            raise takes.wrong(takes.INVALID)
        if not method:
            return _models(request) if name is None else Reply(200, _model(_known(name, "")))
        fields = takes.read(request.body)
        named = _known(str(fields.get("model", name)).removeprefix("models/"), method)
        return METHODS[method](request, fields, named)


def _check_key(request: Request) -> None:
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    if not key and "authorization" in request.headers:
        raise takes.wrong("Request had invalid authentication credentials.", 401)
    if not key:
        raise takes.wrong("Method doesn't allow unregistered callers.", 403)
    if key != KEY:
        refused = takes.wrong("API key not valid. Please pass a valid API key.")
        refused.details = WRONG_KEY
        raise refused


def _known(name: str, method: str) -> str:
    embeds = "embeds" in takes.MODELS.get(name, "")
    if name not in takes.MODELS or (method and embeds is not ("mbed" in method)):
        raise takes.wrong(f"models/{name} is not found for API version v1beta, or is not supported for {method}.", 404)
    return name


def _error(refused: Refused) -> Json:
    """Return the envelope; an unknown name is told in Google's words, with its place."""
    message, details = str(refused), list(refused.details)
    fields = [{"field": field, "description": said} for field, said in refused.fields.items()]
    if found := NAMED.fullmatch(message):
        within, name = found[1], found[2]
        within = within and re.sub("(?<=[a-z])([A-Z])", lambda item: f"_{item[1].lower()}", within)
        message = f'Invalid JSON payload received. Unknown name "{name}"{f" at {within!r}" if within else ""}: '
        message += "Cannot find field."
        fields = [{**({"field": within} if within else {}), "description": message}]
    if fields:
        details.append({"@type": f"{GOOGLE}.BadRequest", "fieldViolations": fields})
    error = {"code": refused.status, "message": message, "status": STATUSES[refused.status]}
    return {"error": {**error, **({"details": details} if details else {})}}


def _generate(request: Request, fields: Any, model: str) -> Reply:
    takes.generate(fields, model)
    said = _said(fields, fields.get("generationConfig", {}))
    answers = list(_chunks(fields, said, model))
    if ":generateContent" in request.path:
        return Reply(200, answers[0])
    chunks = tuple(answers[1:])
    return Reply(200, events=chunks) if request.query.get("alt") == "sse" else Reply(200, list(chunks))


def _said(fields: Json, config: Json) -> Said:
    functions = [item for tool in fields.get("tools", ()) for item in tool.get("functionDeclarations", ())]
    tools = [{"type": "function", "name": item["name"], "parameters": _plain(item)} for item in functions]
    choice = fields.get("toolConfig", {}).get("functionCallingConfig", {})
    mode, allowed = choice.get("mode", "AUTO").upper(), choice.get("allowedFunctionNames")
    told = any("functionResponse" in part for part in fields["contents"][-1]["parts"])
    chosen: Json = {"type": "function", "name": allowed[0]} if allowed else "none" if mode == "NONE" else "auto"
    chosen = "told" if told and mode != "ANY" else chosen
    schema = None
    if config.get("responseMimeType") == "application/json":
        schema = _lower(config.get("responseSchema") or config.get("responseJsonSchema") or {})
    return say(config, fields["contents"], tools, chosen, schema, config.get("maxOutputTokens"))


def _plain(function: Json) -> Json:
    return _lower(function.get("parameters") or function.get("parametersJsonSchema") or {})


def _lower(schema: Json) -> Json:
    if not isinstance(schema, dict):
        return schema
    named = {name: _lower(item) for name, item in schema.get("properties", {}).items()}
    return {**schema, "type": str(schema.get("type", "object")).lower(), "properties": named}


def _chunks(fields: Json, said: Said, model: str) -> Iterator[Json]:
    """Yield the whole answer, and then those of a stream."""
    given, ident = prompt_tokens(fields["contents"], fields.get("systemInstruction")), new_id("", 23)
    parts: list[Json] = [{"text": said.text}]
    if said.call:
        parts = [{"functionCall": {"id": new_id("", 8), "name": said.call[1], "args": json.loads(said.call[2])}}]
    pieces = parts if said.call else [{"text": token} for token in said.tokens]

    def answer(parts: list[Json], spoken: int, **more: Json) -> Json:
        usage = {"promptTokenCount": given, "candidatesTokenCount": spoken, "totalTokenCount": given + spoken}
        counted = {name: count for name, count in usage.items() if count}
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
        return {"candidates": [candidate], "usageMetadata": counted, "modelVersion": model, "responseId": ident}

    ended = {"finishReason": REASONS[said.reason]}
    count = fields.get("generationConfig", {}).get("candidateCount", 1)
    whole = answer(parts, said.count, **ended)
    yield {**whole, "candidates": [{**whole["candidates"][0], "index": index} for index in range(count)]}
    yield from (answer([piece], number + 1) for number, piece in enumerate(pieces))
    yield answer([{"text": ""}], said.count, **ended)


def _count(request: Request, fields: Any, model: str) -> Reply:
    takes.COUNT(fields, "")
    if {"contents", "generateContentRequest"} <= set(fields):
        raise takes.wrong(takes.INVALID)
    whole = fields.get("generateContentRequest", fields)
    return Reply(200, {"totalTokens": prompt_tokens(whole.get("contents"))})


def _embed(request: Request, fields: Any, model: str) -> Reply:
    takes.EMBED(fields, "")
    return Reply(200, {"embedding": _vector(fields)})


def _embed_batch(request: Request, fields: Any, model: str) -> Reply:
    takes.BATCH(fields, "")
    return Reply(200, {"embeddings": [_vector(item) for item in fields["requests"]]})


def _vector(item: Json) -> Json:
    if "title" in item and item.get("taskType") != "RETRIEVAL_DOCUMENT":
        raise takes.wrong(takes.INVALID)
    return {"values": speech.vector(str(item["content"]), item.get("outputDimensionality", 3072))}


def _models(request: Request) -> Reply:
    size, token = request.query.get("pageSize", "50"), request.query.get("pageToken")
    if not (size.isascii() and size.isdigit()):
        raise takes.wrong(takes.INVALID)
    names = list(takes.MODELS)
    begin = names.index(token) + 1 if token in names else 0
    shown = names[begin : begin + int(size)]
    more = {"nextPageToken": shown[-1]} if shown and shown[-1] != names[-1] else {}
    return Reply(200, {"models": [_model(name) for name in shown], **more})


def _model(name: str) -> Json:
    traits, chats = takes.MODELS[name].split(), "embeds" not in takes.MODELS[name]
    methods = ["generateContent", "countTokens"] if chats else ["embedContent"]
    return {
        "name": f"models/{name}", "version": "001", "displayName": name, "supportedGenerationMethods": methods,
        "inputTokenLimit": 1_048_576 if chats else 2048, **({"outputTokenLimit": 65_536} if chats else {}),
        **({"thinking": True} if "thinks" in traits else {}),
    }  # fmt: skip


METHODS = {
    "generateContent": _generate, "streamGenerateContent": _generate, "countTokens": _count, "embedContent": _embed,
    "batchEmbedContents": _embed_batch,
}  # fmt: skip
