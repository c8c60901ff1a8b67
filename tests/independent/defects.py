"""Defects of the independent endpoint: each gets one thing wrong, which the case of its fact must find.

A defect breaks what the docs say, and its case fails; or only what is assumed, and its case is observed.
"""

from __future__ import annotations

import base64
import itertools
import json
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from independent.endpoint import Spoil
from independent.spoils import (
    a_key,
    answering,
    as_raw,
    as_status,
    asked,
    at,
    at_once,
    body,
    broken_off,
    chunk,
    cumulative,
    events,
    fields_of,
    filling,
    finish_with_text,
    gone,
    good,
    header,
    ignoring,
    in_turn,
    lacking,
    of_calls,
    on,
    reading,
    refusing,
    repeating,
    role_with_text,
    setting,
    status,
    streamed,
    taking,
    taking_messages,
    text_not_cut,
)
from independent.values import Json

_count = itertools.count()


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong: the case that must find it, how it comes about, and a part of what the case says of it."""

    fact: str
    what: str
    spoil: Spoil
    says: str
    outcome: Literal["failed", "observed"] = "failed"


def _roles(request_fields: Mapping[str, Json]) -> list[Json]:
    messages = request_fields.get("messages")
    return [item.get("role") for item in messages if isinstance(item, dict)] if isinstance(messages, list) else []


def _listed(value: Json) -> Json:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"{len(vector)}f", *vector)).decode()


def _texts_only(message: Json) -> Json:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": " ".join(str(part.get("text", "")) for part in content)}


def _known_parts(message: Json) -> Json:
    content = message.get("content") if isinstance(message, dict) else None
    kept = [{"type": "text", "text": str(part.get("text"))} for part in content] if isinstance(content, list) else content
    return {**message, "content": kept}


def _called(value: Json) -> Json:
    """Return a message of a role that the API doesn't know as one of the user's."""
    return {**value, "role": "user"} if isinstance(value, dict) and value.get("role") in ("tool", "narrator") else value


def _clamped(low: float, high: float) -> Spoil:
    return taking("temperature", lambda value: min(max(value, low), high) if type(value) in (int, float) else value)


_REPEATED_FINISH = events(lambda items: [*items[:-1], items[-2], items[-1]])
_SHUFFLED = events(lambda items: [*items[:2], *reversed(items[2:-2]), *items[-2:]])

BRAINTWIN = (
    Defect("bt-base-url", "the text stands where completions had it",
           body("choices.*", lambda item: {**item, "text": item["message"]["content"], "message": {}}),
           "choices.0.message.content is there"),
    Defect("bt-auth-bearer", "a key is good under any scheme",
           a_key(lambda given: given.endswith(" bt-key"), "bt-key"), "another scheme gets 401"),
    Defect("bt-auth-bearer", "any key is good",
           a_key(lambda given: given.startswith("Bearer "), "bt-key"), "a wrong key gets 401"),
    Defect("bt-model-required", "no model means gpt-4", filling(model="gpt-4"), "no model gets 400"),
    Defect("bt-model-known", "a model's id is read in lower case",
           taking("model", lambda value: str(value).lower()), 'model "GPT-4" gets 400'),
    Defect("bt-model-known", "a model that is not there gets 404",
           as_status(404, asked(lambda fields: fields.get("model") == "gpt-5")), 'model "gpt-5" gets 400', "observed"),
    Defect("bt-messages-required", "a string is one message", taking("messages", _listed), 'messages "Hello" gets 400'),
    Defect("bt-temperature-range", "a temperature out of range is moved into it", _clamped(0, 2),
           "temperature -0.1 gets 400"),
    Defect("bt-temperature-range", "the default temperature is 0.7", filling(temperature=0.7),
           "temperature left out answers as"),
    Defect("bt-max-tokens-default", "no default cuts a reply", filling(max_tokens=1000), "without max_tokens has 16"),
    Defect("bt-max-tokens-default", "the default is a limit",
           taking("max_tokens", lambda value: min(value, 16) if isinstance(value, int) else value), "is a default"),
    Defect("bt-max-tokens-default", "the cut is counted but not made", text_not_cut, "no more text than 1 tokens"),
    Defect("bt-max-tokens-default", "a cut reply says stop", body("choices.*.finish_reason", lambda _: "stop"),
           "says that it was cut", "observed"),
    Defect("bt-stream-default", "a stream is the default", filling(stream=True), "without stream is answered in JSON"),
    Defect("bt-presence-penalty-range", "presence_penalty has no range",
           taking("presence_penalty", lambda value: 0 if type(value) in (int, float) else value), "-2.1 gets 400"),
    Defect("bt-frequency-penalty-range", "frequency_penalty is taken as a string",
           taking("frequency_penalty", lambda value: float(value)), 'frequency_penalty "0" gets 400'),
    Defect("bt-context-window", "gpt-4 has the window of gpt-3.5-turbo",
           on(lambda request: fields_of(request).get("model") == "gpt-4",
              in_turn(body("model", lambda _: "gpt-4"), taking("model", lambda _: "gpt-3.5-turbo"))), "gpt-4 with"),
    Defect("bt-context-window", "a reply that has no room is made shorter",
           taking("max_tokens", lambda value: min(value, 60) if type(value) is int else value), "tokens gets 400"),
    Defect("bt-stream-sse", "a stream goes out as JSON",
           setting("Content-Type", lambda _: "application/json", streamed), "a stream has its content type"),
    Defect("bt-stream-sse", "each delta repeats what was said", events(cumulative), "holds only what is new"),
    Defect("bt-stream-sse", "the text comes at once", events(at_once), "the content comes in parts"),
    Defect("bt-stream-sse", "a stream loses a chunk", events(lambda items: [*items[:2], *items[3:]]),
           "is streamed as whole", "observed"),
    Defect("bt-response", "a stream just ends", events(lambda items: items[:-1]), "[DONE] comes last", "observed"),
    Defect("bt-ok-200", "a system message is refused", refusing(asked(lambda fields: "system" in _roles(fields))),
           "gets 200"),
    Defect("bt-error-400", "what is no JSON is a server error",
           as_status(500, lambda request, reply: reply.status == 400 and not fields_of(request)), "the body"),
    Defect("bt-error-400", "an invalid request gets 422", as_status(422, status(400)), "gets 400"),
    Defect("bt-error-401", "no key gets 403", as_status(403, status(401)), "gets 401"),
    Defect("bt-error-body", "an error says detail",
           answering(lambda reply: replace(reply, body={"detail": "no"}), status(400)), "error is required", "observed"),
    Defect("bt-unknown-path", "405 without Allow", lacking("Allow"), "Allow of GET", "observed"),
    Defect("bt-rate-headers", "no limit is told", lacking("X-RateLimit-Limit"), "X-RateLimit-Limit is on"),
    Defect("bt-rate-headers", "streams tell no limits", lacking("X-RateLimit", streamed), "a request for a stream"),
    Defect("bt-rate-headers", "Remaining stays", setting("X-RateLimit-Remaining", lambda _: 59), "counts down"),
    Defect("bt-rate-headers", "Reset is in seconds from now",
           setting("X-RateLimit-Reset", lambda value: int(value) - int(time.time())), "is the Unix time"),
    Defect("bt-rate-plan", "the window is an hour", setting("X-RateLimit-Reset", lambda value: int(value) + 3540),
           "is the Unix time", "observed"),
)  # fmt: skip

BRAINSTORMROUTER = (
    Defect("br-base-url", "JSON goes out as text", setting("Content-Type", lambda _: "text/plain", good),
           "is answered in JSON"),
    Defect("br-auth-bearer", "the models are listed without a key",
           on(lambda request: request.path == "/models", a_key(lambda _: True, "br-enterprise")), "without a key"),
    Defect("br-auth-bearer", "any key that begins with br- is good",
           a_key(lambda given: given.startswith("Bearer br-"), "br-enterprise"), "a wrong key gets 401"),
    Defect("br-chat-params", "an empty list of tools is refused",
           refusing(asked(lambda fields: fields.get("tools") == [])), "gets 200"),
    Defect("br-chat-params", "more than 1024 tokens are refused",
           refusing(asked(lambda fields: fields.get("max_tokens") == 4096)), "max_tokens 4096 gets 200"),
    Defect("br-model-auto", "auto answers as auto",
           body("model", lambda _: "auto", asked(lambda fields: fields.get("model") == "auto")), "names the model chosen"),
    Defect("br-model-auto", "auto chooses a model that is not listed",
           on(lambda request: "chat" in request.path, taking("model", lambda value: {"auto": "gpt-6"}.get(value, value))),
           "/models lists the model"),
    Defect("br-model-named", "the answer names a dated model",
           body("model", lambda name: f"{name}-20260217" if name == "claude-sonnet-4-6" else name, at("/chat/completions")),
           "claude-sonnet-4-6 answers by its name"),
    Defect("br-chat-response", "the total leaves the prompt out",
           body("usage", lambda usage: {**usage, "total_tokens": usage["completion_tokens"]}), "sum of the others"),
    Defect("br-chat-response", "a whole answer calls itself a chunk",
           body("object", lambda _: "chat.completion.chunk", at("/chat/completions")), "object"),
    Defect("br-chat-response", "a whole answer gives no reason for its end",
           body("choices.*.finish_reason", lambda _: None), "finish_reason"),
    Defect("br-tools", "tool_choice none calls a tool",
           taking("tool_choice", lambda value: "auto" if value == "none" else value), "tool_choice none calls no tool"),
    Defect("br-tools", "arguments are an object",
           body("choices.*.message.tool_calls.*.function.arguments", json.loads), "function.arguments is there, a string"),
    Defect("br-tools", "the fragments of a call have no index", of_calls(lambda call: {**call, "index": None}),
           "have its index"),
    Defect("br-tools", "the reason of a call comes twice", _REPEATED_FINISH, "finish_reason comes once"),
    Defect("br-stream-delta", "a stream just ends", events(lambda items: items[:-1]), "[DONE] comes last and once"),
    Defect("br-stream-delta", "[DONE] comes twice", events(lambda items: [*items, "[DONE]"]),
           "[DONE] comes last and once"),
    Defect("br-stream-delta", "chunks hold messages",
           chunk("choices.*", lambda item: {"index": 0, "message": item["delta"]}), "delta"),
    Defect("br-models", "the models are a bare list",
           answering(lambda reply: replace(reply, body=reply.body["data"]), at("/models")), "JSON object"),
    Defect("br-embeddings", "auto answers as auto", body("model", lambda _: "auto", at("/embeddings")),
           "names the model chosen"),
    Defect("br-embeddings", "only the first of a list is embedded",
           body("data", lambda items: items[:1], at("/embeddings")), "each input has a vector"),
    Defect("br-embeddings", "vectors differ in length",
           body("data.1.embedding", lambda vector: vector[:-1], at("/embeddings")), "of one length"),
    Defect("br-embeddings", "each item is the first", body("data.*.index", lambda _: 0, at("/embeddings")), "in order"),
    Defect("br-embeddings", "vectors come in base64", body("data.*.embedding", _packed, at("/embeddings")), "embedding"),
    Defect("br-embeddings", "the same text has another vector each time",
           body("data.*.embedding.0", lambda _: next(_count) * 9.0, at("/embeddings")), "the same text"),
    Defect("br-embeddings", "no input is an empty one",
           on(lambda request: request.path == "/embeddings", filling(input="nothing")), "no input gets 400", "observed"),
    Defect("br-recommendations", "there is no such operation", refusing(at("/intelligence/recommendations"), 404),
           "gets 200"),
    Defect("br-recommendations", "the worst comes first",
           body("recommendations", lambda items: items[::-1]), "has the best first", "observed"),
    Defect("br-rankings", "the rankings are empty", as_raw(b"", "application/json", at("/intelligence/rankings")),
           "JSON object"),
    Defect("br-rankings", "the rankings never change",
           body("rankings.*.*.samples", lambda _: 7, at("/intelligence/rankings")), "follows what is asked", "observed"),
    Defect("br-cost-forecast", "the documented strategy is refused",
           refusing(asked(lambda fields: fields.get("strategy") == "combined")), "gets 200"),
    Defect("br-cost-forecast", "the total is another sum", body("total_cost", lambda cost: cost + 1), "is the sum of",
           "observed"),
    Defect("br-health", "the health of the providers is a page",
           as_raw(b"<p>ok</p>", "text/html", at("/intelligence/health")), "is answered in JSON"),
    Defect("br-patterns", "no pattern is 204", answering(lambda reply: replace(reply, status=204, raw=b""), at("/intelligence/patterns")), "gets 200"),
    Defect("br-rate-headers", "refusals of a key tell no limits", lacking("X-RateLimit", status(401)), "without a key"),
    Defect("br-rate-headers", "listings tell no limits", lacking("X-RateLimit", at("/models")), "GET /models"),
    Defect("br-rate-headers", "Reset is a date",
           setting("X-RateLimit-Reset", lambda at: time.strftime("%FT%TZ", time.gmtime(int(at)))), "a whole number"),
    Defect("br-rate-headers", "Remaining stays", setting("X-RateLimit-Remaining", lambda _: 19), "counts down", "observed"),
    Defect("br-error-format", "code is a string", body("error.code", str, lambda _, reply: reply.status >= 400), "code"),
    Defect("br-error-format", "an error is a string", body("error", lambda error: error["message"], status(400)), "error"),
    Defect("br-unknown-path", "an unknown path gets a page", as_raw(b"<p>404</p>", "text/html", status(404)),
           "is JSON", "observed"),
)  # fmt: skip

BRIVIONIX = (
    Defect("bv-endpoint", "content comes in parts",
           body("choices.*.message.content", lambda text: [{"type": "text", "text": text}]), "content is there, a string"),
    Defect("bv-headers", "no key is needed", a_key(lambda given: not given, "sk-key"), "no Authorization gets 401"),
    Defect("bv-headers", "a charset is refused",
           on(lambda request: ";" in request.headers.get("content-type", ""), refusing(good, 415)),
           "charset=utf-8"),
    Defect("bv-minimal", "the text is empty", body("choices.*.message.content", lambda _: ""), "content"),
    Defect("bv-openai-python", "the Python SDK is taken for a robot",
           on(lambda request: request.headers.get("user-agent", "").startswith("OpenAI/Python"), refusing(good, 403)),
           "gets 200"),
    Defect("bv-openai-node", "a fetch is taken for a browser of another site",
           on(lambda request: "sec-fetch-mode" in request.headers, refusing(good, 403)), "gets 200"),
    Defect("bv-stream", "a last chunk has no choices",
           events(lambda items: [*items[:-1], {**items[-2], "choices": []}, items[-1]]), "choices"),
    Defect("bv-stream", "a stream breaks off", answering(broken_off, streamed), "gets 200"),
    Defect("bv-stream", "a stream's text is in another order", _SHUFFLED, "is streamed as whole", "observed"),
    Defect("bv-roles", "the tool role is refused", refusing(asked(lambda fields: "tool" in _roles(fields))), "gets 200"),
    Defect("bv-roles", "an unknown role is the user's", taking_messages(_called), "narrator"),
    Defect("bv-temperature-default", "the default temperature is 1", filling(temperature=1), "temperature left out"),
    Defect("bv-top-p-default", "the default top_p is 0.9", filling(top_p=0.9), "top_p left out"),
    Defect("bv-penalties", "penalties have a range",
           refusing(asked(lambda fields: fields.get("presence_penalty") == -3.5)), "gets 200"),
    Defect("bv-penalties", "penalties are not looked at", ignoring("frequency_penalty", "presence_penalty"),
           "gets 400"),
    Defect("bv-max-tokens", "max_tokens is ignored", ignoring("max_tokens"), "max_tokens 1 has 1 tokens"),
    Defect("bv-max-tokens", "a string is taken for max_tokens", taking("max_tokens", lambda value: int(float(value))),
           'max_tokens "7" gets 400'),
    Defect("bv-max-tokens", "an unsaid default cuts a reply", filling(max_tokens=16), "no default cuts", "observed"),
    Defect("bv-seed", "seed is ignored", reading(lambda fields: {**fields, "seed": next(_count)}), "same choices again"),
    Defect("bv-seed", "the same seed has the same id", body("id", lambda _: "chatcmpl-42"), "an id of its own"),
    Defect("bv-tools", "the tool named is not called",
           taking("tool_choice", lambda value: "auto" if isinstance(value, dict) else value), "the tool chosen is called"),
    Defect("bv-tools", "arguments are no JSON",
           body("choices.*.message.tool_calls.*.function.arguments", lambda text: text.replace('"', "'")), "arguments"),
    Defect("bv-tools", "each fragment names the tool",
           of_calls(lambda call: {**call, "function": {**call["function"], "name": "get_time"}}), "named once"),
    Defect("bv-tools", "fragments come in another order", _SHUFFLED, "arguments"),
    Defect("bv-tools", "tools are not looked at", taking("tools", lambda _: []), "tool_calls is there"),
    Defect("bv-vision", "images are refused", refusing(asked(lambda fields: "image_url" in json.dumps(fields))),
           "gets 200"),
    Defect("bv-vision", "any part is taken", taking_messages(_known_parts), "gets 400"),
    Defect("bv-models", "another model answers", body("model", lambda _: "gpt-5.4-mini"), "gpt-5.4 answers", "observed"),
    Defect("bv-response-fields", "usage is left out", body("usage", gone), "usage"),
    Defect("bv-response-fields", "the model is left out", body("model", gone), "model"),
    Defect("bv-errors", "an error is a page", as_raw(b"<p>400</p>", "text/html", status(400)), "is JSON", "observed"),
    Defect("bv-unknown-path", "an unknown path leads home", as_status(302, status(404)), "gets 404", "observed"),
)  # fmt: skip

BEATRA = (
    Defect("be-endpoint", "an answer is a job that was accepted", as_status(202, good), "gets 200"),
    Defect("be-auth", "a key needs no scheme", a_key(lambda given: given == "bea-key", "bea-key"), "without its scheme"),
    Defect("be-auth", "a wrong key is a server error", as_status(500, status(401)), "gets 401"),
    Defect("be-content-type", "a charset is refused",
           on(lambda request: ";" in request.headers.get("content-type", ""), refusing(good)), "charset=utf-8"),
    Defect("be-idempotency", "the key is ignored", header("idempotency-key", lambda _: None), "gets the same body"),
    Defect("be-idempotency", "streams are answered anew",
           on(lambda request: fields_of(request).get("stream"), header("idempotency-key", lambda _: None)),
           "gets the same body"),
    Defect("be-idempotency", "every key is the same one",
           header("idempotency-key", lambda _: "7d9f2f9e-3c4b-4f0e-9a53-0f5d3ad4a111"), "an answer of its own"),
    Defect("be-idempotency", "a key gets its answer whatever the body", repeating("idempotency-key"),
           "with another body", "observed"),
    Defect("be-model", "auto answers as auto", body("model", lambda _: "auto"), "names the model chosen"),
    Defect("be-model", "the model that answered is unknown",
           refusing(asked(lambda fields: fields.get("model") == "loris-2")), "gets 200"),
    Defect("be-model", "no model means auto", filling(model="auto"), "no model gets 400"),
    Defect("be-messages", "the tool role is taken", taking_messages(_called), "gets 400"),
    Defect("be-messages", "content may be in parts", taking_messages(_texts_only), "gets 400"),
    Defect("be-messages", "content may be left out",
           taking_messages(lambda item: {"content": "", **item} if isinstance(item, dict) else item), "gets 400"),
    Defect("be-stream", "a stream just ends", events(lambda items: items[:-1]), "[DONE] comes last and once"),
    Defect("be-stream", "[DONE] comes before the reason", events(lambda items: [*items[:-2], items[-1], items[-2]]),
           "[DONE] comes last and once"),
    Defect("be-stream", "a string is taken for stream", taking("stream", bool), 'stream "true" gets 400'),
    Defect("be-temperature", "below 0 is 0", _clamped(0, 9), "temperature -0.1 gets 400"),
    Defect("be-temperature", "true is 1", taking("temperature", lambda value: 1 if value is True else value),
           "temperature true gets 400"),
    Defect("be-max-tokens", "one token more is let through",
           taking("max_tokens", lambda value: value + 1 if type(value) is int else value), "has 1 tokens"),
    Defect("be-top-p-xor-temperature", "top_p is refused", refusing(asked(lambda fields: "top_p" in fields)),
           "top_p 0.9 gets 200"),
    Defect("be-top-p-xor-temperature", "both are taken",
           on(lambda request: "temperature" in fields_of(request), ignoring("top_p")), "gets 400", "observed"),
    Defect("be-response-sync", "ids have a hyphen", body("id", lambda name: name.replace("_", "-")), "id"),
    Defect("be-response-sync", "a message has no role", body("choices.*.message.role", gone), "role"),
    Defect("be-response-sync", "the total is too high", body("usage.total_tokens", lambda total: total + 1),
           "sum of the others"),
    Defect("be-request-id", "every request has the same id", setting("X-Request-Id", lambda _: "r-1"),
           "each answer's own"),
    Defect("be-request-id", "no request has an id", lacking("X-Request-Id"), "X-Request-Id is on"),
    Defect("be-request-id", "errors have no id", lacking("X-Request-Id", lambda _, reply: reply.status >= 400),
           "X-Request-Id is on", "observed"),
    Defect("be-stream-order", "the role comes last", events(lambda items: [*items[1:-1], items[0], items[-1]]),
           "the chunks come in order"),
    Defect("be-stream-order", "the role comes with text", events(role_with_text), "the chunks come in order"),
    Defect("be-stream-order", "the reason comes with text", events(finish_with_text), "the chunks come in order"),
    Defect("be-stream-order", "the reason never comes", events(lambda items: [*items[:-2], items[-1]]),
           "the chunks come in order"),
    Defect("be-stream-order", "the reason comes twice", _REPEATED_FINISH, "the chunks come in order"),
    Defect("be-error-400", "an invalid request gets 422", as_status(422, status(400)), "gets 400"),
    Defect("be-error-400", "an empty body is a server error",
           as_status(500, lambda request, _: not request.body), "the body '' gets 400"),
    Defect("be-error-400", "details name one field", body("error.details", lambda items: items[:1], status(400)),
           "names them", "observed"),
)  # fmt: skip

DEFECTS: Mapping[str, tuple[Defect, ...]] = {
    "braintwin": BRAINTWIN,
    "brainstormrouter": BRAINSTORMROUTER,
    "brivionix": BRIVIONIX,
    "beatra": BEATRA,
}
