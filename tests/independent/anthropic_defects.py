"""Defects of Anthropic's API as the independent endpoint has it; see `defects`."""

from __future__ import annotations

import itertools
from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Spoil

# isort: off
from independent.misreadings import (
    clamped,
    filling,
    header,
    ignoring,
    in_parts,
    objects,
    roles,
    taking,
    taking_messages,
)
from independent.spoils import (
    as_status, asked, at, body, chunk, events, good, gone, lacking, on, refusing, setting, status, streamed,
)  # fmt: skip

# isort: on
from independent.values import Json, Reply

MESSAGES, COUNT, LIST = at("/v1/messages"), at("/v1/messages/count_tokens"), at("/v1/models")


def names(word: str) -> Spoil:
    """Refuse what has a word anywhere."""
    return refusing(lambda request, _: word.encode() in request.body)


def of_part(kind: str, **said: Json) -> Spoil:
    """Read something else in each part of a kind."""
    return taking_messages(in_parts(lambda part: {**part, **said} if part.get("type") == kind else part))


def as_text(kind: str) -> Spoil:
    """Read each part of a kind as a text."""
    return taking_messages(in_parts(lambda part: {"type": "text", "text": "a"} if part.get("type") == kind else part))


def of_tools(**said: Json) -> Spoil:
    """Read something else in each tool."""
    return taking("tools", objects(lambda item: {**item, **said}))


ANTHROPIC = (
    # versions, keys, headers
    Defect("an-v-header", "the version header is unknown", names("messages"), "gets 200"),
    Defect("an-v-values", "the newest version is not there yet", header(
        "anthropic-version", lambda value: "x" if value == "2026-10-21" else value), "gets 200"),
    Defect("an-v-2026-sampling", "the newest version samples", ignoring("temperature"), "temperature 1 gets 400"),
    Defect("an-v-2026-blocks", "the newest version takes documents of the assistant", as_text("document"),
        "gets 400"),
    Defect("an-base-url", "messages stand elsewhere", refusing(MESSAGES, 404), "gets 200"),
    Defect("an-paths", "nothing counts tokens", refusing(COUNT, 404), "count_tokens gets 200"),
    Defect("an-beta-query", "a query is refused", refusing(lambda request, _: bool(request.query)), "gets 200"),
    Defect("an-auth", "any key is good", header("x-api-key", lambda _: "sk-ant-key"), "a wrong key gets 401"),
    Defect("an-auth", "no key gets 403", as_status(403, status(401)), "gets 401"),
    Defect("an-auth-wrong", "a wrong key is a wrong request", body(
        "error.type", lambda _: "invalid_request_error", status(401)), "error.type"),
    Defect("an-content-type", "JSON is refused", names("messages"), "gets 200"),
    Defect("an-beta-header", "betas are refused", refusing(lambda request, _: "anthropic-beta" in request.headers),
           "gets 200"),
    Defect("an-beta-header", "any beta is taken", header("anthropic-beta", lambda _: None), "gets 400"),
    Defect("an-response-headers", "every request has the same id", setting("request-id", lambda _: "req_1"),
           "each answer has another"),
    Defect("an-response-headers", "an error has another id", body("request_id", lambda _: "req_0", status(400)),
           "request_id repeats"),
    Defect("an-response-headers", "no workspace is told", lacking("anthropic-workspace-id"), "anthropic-workspace-id"),
    Defect("an-l-headers", "no limit is told", lacking("anthropic-ratelimit-requests-limit"),
           "anthropic-ratelimit-requests-limit"),
    Defect("an-l-headers", "the reset is in seconds", setting(
        "anthropic-ratelimit-tokens-reset", lambda _: 60, good), "has the documented form"),
    # what is asked
    Defect("an-model", "a number names a model", taking("model", lambda value: "claude-opus-4-6"), "model 4 gets 400"),
    Defect("an-max-tokens", "max_tokens has a default", filling(max_tokens=1000), "no max_tokens gets 400"),
    Defect("an-max-tokens", "a half token is rounded", taking(
        "max_tokens", lambda value: int(value) if type(value) is float else value), "max_tokens 1.5 gets 400"),
    Defect("an-max-tokens-zero", "a stream warms a cache", ignoring("stream"), "gets 400"),
    Defect("an-messages", "a string is one message", taking(
        "messages", lambda value: [{"role": "user", "content": value}] if isinstance(value, str) else value),
        'messages "Hello" gets 400'),
    Defect("an-system", "a system prompt has no parts", refusing(asked(
        lambda fields: isinstance(fields.get("system"), list))), "gets 200"),
    Defect("an-temperature", "a temperature out of range is moved into it", clamped("temperature", 0, 1),
           "temperature -0.1 gets 400"),
    Defect("an-temperature", "the default temperature is 0.7", filling(temperature=0.7), "without temperature"),
    Defect("an-top", "top_p may be a text", taking("top_p", lambda value: float(value)), 'top_p "1" gets 400'),
    Defect("an-sampling-fixed", "sampling is not looked at", ignoring("temperature", "top_k"), "gets 400"),
    Defect("an-sampling-both", "the temperature goes first", on(
        lambda request: b"temperature" in request.body, ignoring("top_p")), "gets 400"),
    Defect("an-stop-sequences", "one stop may be a text", taking(
        "stop_sequences", lambda value: [value] if isinstance(value, str) else value), 'stop_sequences "END" gets 400'),
    Defect("an-stream", "1 is true", taking("stream", bool), "stream 1 gets 400"),
    Defect("an-stream", "a stream is the default", filling(stream=True), "without stream"),
    Defect("an-rare-params", "any tier is taken", ignoring("service_tier"), 'service_tier "gold" gets 400'),
    # messages and tools
    Defect("an-roles", "an assistant's turn is refused", names("assistant"), "gets 200"),
    Defect("an-merge", "roles must alternate", refusing(asked(lambda fields: any(
        one == other for one, other in itertools.pairwise(roles(fields))))), "gets 200"),
    Defect("an-first-assistant", "the assistant may not begin", refusing(asked(
        lambda fields: roles(fields)[:1] == ["assistant"])), "gets 200", "observed"),
    Defect("an-system-mid", "system messages may stand anywhere", taking_messages(objects(
        lambda item: {**item, "role": "user"} if item.get("role") == "system" else item)), "gets 400"),
    Defect("an-text-block", "a text may be left out", taking_messages(in_parts(lambda part: {"text": "a", **part})),
           "gets 400"),
    Defect("an-image-block", "any picture is taken", as_text("image"), "gets 400"),
    Defect("an-document-block", "documents are unknown", names("document"), "gets 200"),
    Defect("an-tool-use-block", "an input may be a text", of_part("tool_use", input={}), "gets 400"),
    Defect("an-tool-result-block", "a result needs no call's id", taking_messages(in_parts(
        lambda part: {"tool_use_id": "toolu_1", **part} if part.get("type") == "tool_result" else part)), "gets 400"),
    Defect("an-thinking-block", "a thought needs no signature", taking_messages(in_parts(
        lambda part: {"signature": "a", **part} if part.get("type") == "thinking" else part)), "gets 400"),
    Defect("an-tool-shape", "a tool needs no schema", taking("tools", objects(
        lambda item: {"input_schema": {"type": "object"}, **item})), "gets 400"),
    Defect("an-tool-shape", "none of the tools may still be called", taking(
        "tool_choice", lambda value: {"type": "auto"} if value == {"type": "none"} else value), "calls no tool"),
    Defect("an-tool-name", "a tool may have any name", of_tools(name="f"), "gets 400"),
    Defect("an-tool-schema", "any schema is taken", of_tools(input_schema={"type": "object"}), "gets 400"),
    Defect("an-tool-choice", "a choice may be a word", taking(
        "tool_choice", lambda value: {"type": value} if isinstance(value, str) else value), 'tool_choice "auto" gets'),
    Defect("an-tool-choice-parallel", "parallel calls are not looked at", taking(
        "tool_choice", objects(lambda value: {"type": value["type"]})), "gets 400"),
    # thinking, structured output, caches
    Defect("an-thinking-types", "any thinking is on", taking(
        "thinking", lambda value: {"type": "adaptive"} if value is True else value), "thinking true gets 400"),
    Defect("an-thinking-budget", "a small budget is made larger", taking(
        "thinking", objects(lambda value: {**value, "budget_tokens": 1024})), "gets 400"),
    Defect("an-thinking-enabled", "every model takes a budget", ignoring("thinking"), "gets 400"),
    Defect("an-thinking-adaptive", "every model adapts", ignoring("thinking"), "gets 400"),
    Defect("an-effort", "any effort is taken", ignoring("output_config"), "gets 400"),
    Defect("an-so-format", "any format is text", ignoring("output_config"), "gets 400"),
    Defect("an-so-schema", "any schema is kept to", ignoring("output_config"), "gets 400"),
    Defect("an-cache-control", "caches may last", ignoring("cache_control"), "gets 400"),
    # answers and streams
    Defect("an-r-shape", "an answer has no role", body("role", gone, MESSAGES), "role is required"),
    Defect("an-r-shape", "ids are of another make", body("id", lambda _: "chatcmpl-1", MESSAGES), "id"),
    Defect("an-r-model", "an answer names its family", body("model", lambda _: "claude", MESSAGES), "model"),
    Defect("an-r-stop-reason", "a reply ends with stop", body("stop_reason", lambda _: "stop", MESSAGES),
           "stop_reason"),
    Defect("an-usage", "usage has chat's names", body("usage", lambda _: {"prompt_tokens": 1}, MESSAGES),
           "input_tokens"),
    Defect("an-s-sse", "a stream goes out as JSON", setting("Content-Type", lambda _: "application/json", streamed),
           "a stream has its content type"),
    Defect("an-s-sse", "events have no names", lambda request, serve: _unnamed(serve(request)), "named as its type"),
    Defect("an-s-order", "the reason comes first", events(lambda items: [items[0], items[-2], *items[1:-2], items[-1]]),
           "come in order"),
    Defect("an-s-message-start", "the first event counts no tokens", chunk("message.usage.input_tokens", gone),
           "input_tokens is required"),
    Defect("an-s-block-start", "a block begins with its text", chunk("content_block.text", lambda _: "a"),
           "content_block"),
    Defect("an-s-text-delta", "deltas are of a block", chunk("delta.type", lambda _: "text"), "type"),
    Defect("an-s-message-delta", "the end tells no stop sequence", chunk("delta.stop_sequence", gone),
           "stop_sequence is required"),
    Defect("an-e-envelope", "an error has no type", body("type", gone, status(400)), "type is required"),
    # counting and models
    Defect("an-count", "tokens are told as a count", body("input_tokens", gone, COUNT), "input_tokens is required"),
    Defect("an-models-list", "a list has no end", body("has_more", gone, LIST), "has_more is required"),
    Defect("an-models-list", "the limit is not looked at", lambda request, serve: serve(replace(request, query={})),
           "data"),
    Defect("an-models-info", "no model is dated", body("created_at", gone), "created_at is required"),
    Defect("an-models-get", "each model is the newest", body("id", lambda _: "claude-opus-5"), "id"),
    Defect("an-m-ids", "dated ids are unknown", names("20251001"), "gets 200"),
    Defect("an-m-1m", "every model has 200,000 tokens", body("max_input_tokens", lambda _: 200_000),
           "max_input_tokens"),
)  # fmt: skip


def _unnamed(reply: Reply) -> Reply:
    return replace(reply, named=False)
