"""What Anthropic's docs rule out of a Message, and what they do not: each refusal with its fact and its words."""

from __future__ import annotations

from typing import Any

import pytest
from build import body_of, chat, make_session

USER: dict[str, Any] = {"role": "user", "content": "hi"}
TOOL: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}
CALL: dict[str, Any] = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
RESULT: dict[str, Any] = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}
CACHED: dict[str, Any] = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
THINKS: dict[str, Any] = {"type": "enabled", "budget_tokens": 1024}
ADAPTS: dict[str, Any] = {"type": "adaptive"}
OLD, NEW, WITHOUT = "claude-haiku-4-5", "claude-opus-4-8", "claude-opus-5"
TEXT_SOURCE: dict[str, Any] = {"type": "text", "media_type": "text/plain", "data": "a"}
FORMAT: dict[str, Any] = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}


def told(*content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def schema(**given: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": given}}}


#: By name: what is sent beside a good request, the fact, and a part of the message.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "many-messages": (
        {"messages": [{"role": "user", "content": "a"}] * 100_001},
        "an-messages",
        "messages: List should have at most 100000 items after validation, not 100001",
    ),
    "white-text": (
        {"messages": [told(text(" \n"))]},
        "an-x-white-text",
        "messages: text content blocks must contain non-white",
    ),
    "white-content": (
        {"messages": [{"role": "user", "content": " "}]},
        "an-x-white-text",
        "must contain non-whitespace text",
    ),
    "white-system": ({"system": [text(" ")]}, "an-x-white-text", "system: text content blocks must contain"),
    "error-empty": (
        {"messages": [USER, CALL, told({**RESULT, "content": "", "is_error": True})]},
        "an-x-error-empty",
        "messages.2.content.0.tool_result: content cannot be empty if `is_error` is true",
    ),
    "id-of-a-call": (
        {
            "messages": [
                USER,
                told({**CALL["content"][0], "id": "f:1"}, role="assistant"),
                told({**RESULT, "tool_use_id": "f:1"}),
            ]
        },
        "an-x-tool-use-id",
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    "image-as-a-url": (
        {
            "messages": [
                told({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "data:a"}})
            ]
        },
        "an-x-image-data",
        "messages.0.content.0.source.base64: invalid base64 data",
    ),
    "schema-of-several": (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "oneOf": [{}]}}]},
        "an-tool-schema-top",
        "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
    ),
    "schema-keys": (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a b": {}}}}]},
        "an-tool-schema-keys",
        "properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
    ),
    "server-tool-name": (
        {"tools": [{"type": "web_search_20250305", "name": "f"}]},
        "an-server-tools",
        "tools.0.name: Input",
    ),
    "model": ({"model": 4}, "an-model", "model: Input should be a string"),
    "max-tokens-text": ({"max_tokens": "10"}, "an-max-tokens", "max_tokens: Input should be an integer"),
    "max-tokens-negative": (
        {"max_tokens": -1},
        "an-max-tokens",
        "max_tokens: Input should be greater than or equal to 0",
    ),
    "max-tokens-over": (
        {"max_tokens": 128_001},
        "an-max-tokens-over",
        "max_tokens: 128001 > 128000, which is the maximum",
    ),
    "max-tokens-over-old": (
        {"model": OLD, "max_tokens": 64_001},
        "an-max-tokens-over",
        "output tokens for claude-haiku-4-5",
    ),
    "max-tokens-0-stream": ({"max_tokens": 0, "stream": True}, "an-max-tokens-zero", "`stream`"),
    "max-tokens-0-format": (
        {"max_tokens": 0, "output_config": {"format": FORMAT}},
        "an-max-tokens-zero",
        "`output_config.format`",
    ),
    "no-messages": ({"messages": []}, "an-messages", "messages: at least one message is required"),
    "messages-text": ({"messages": "hi"}, "an-messages", "messages: Input should be an array"),
    "no-role": ({"messages": [{"content": "hi"}]}, "an-roles", "messages.0.role: Field required"),
    "no-content": ({"messages": [{"role": "user"}]}, "an-roles", "messages.0.content: Field required"),
    "role": (
        {"messages": [{"role": "bot", "content": "hi"}]},
        "an-roles",
        "messages.0.role: Input should be 'user', 'assistant', and 'system'",
    ),
    "unknown-field": ({"bogus": 1}, "an-paths", "bogus: Extra inputs are not permitted"),
    "unknown-in-message": (
        {"messages": [USER | {"name": "Ada"}]},
        "an-roles",
        "messages.0.name: Extra inputs are not permitted",
    ),
    "unknown-in-tool": ({"tools": [TOOL | {"a": 1}]}, "an-tool-shape", "tools.0.a: Extra inputs are not permitted"),
    "beta-field": ({"mcp_servers": []}, "an-field-extra", "mcp_servers: Extra inputs are not permitted"),
    "temperature": ({"temperature": 1.1}, "an-temperature", "temperature: Input should be less than or equal to 1"),
    "top-k": ({"top_k": -1}, "an-top", "top_k: Input should be greater than or equal to 0"),
    "both": (
        {"temperature": 0.5, "top_p": 0.5},
        "an-sampling-both",
        "`temperature` and `top_p` cannot both be specified",
    ),
    "fixed": ({"model": NEW, "temperature": 0.5}, "an-sampling-fixed", "`temperature` is not supported for this model"),
    "fixed-top-k": ({"model": NEW, "top_k": 5}, "an-sampling-fixed", "`top_k`"),
    "stop-text": ({"stop_sequences": "END"}, "an-stop-sequences", "stop_sequences: Input should be an array"),
    "stop-space": (
        {"stop_sequences": ["a", " "]},
        "an-stop-whitespace",
        "each stop sequence must contain non-whitespace",
    ),
    "stop-empty": ({"stop_sequences": [""]}, "an-stop-whitespace", "must be non-empty"),
    "tier": ({"service_tier": "gold"}, "an-rare-params", "service_tier: Input should be 'auto' and 'standard_only'"),
    "user-id": ({"metadata": {"user_id": 3}}, "an-rare-params", "metadata.user_id"),
    "fast": ({"speed": "fast"}, "an-rare-params", "speed: Extra inputs"),
    "system-number": ({"system": 3}, "an-system", "system: Input should be"),
    "system-image": ({"system": [{"type": "image"}]}, "an-text-block", "system.0"),
    "system-role": (
        {"messages": [{"role": "system", "content": "a"}, USER]},
        "an-x-role",
        'messages: Unexpected role "system"',
    ),
    "system-first": (
        {"model": NEW, "messages": [{"role": "system", "content": "a"}, USER]},
        "an-system-mid",
        "messages.0",
    ),
    "system-between": (
        {"model": NEW, "messages": [USER, {"role": "system", "content": "a"}, USER]},
        "an-system-mid",
        "messages.1",
    ),
    "text-missing": (
        {"messages": [told({"type": "text"})]},
        "an-text-block",
        "messages.0.content.0.text: Field required",
    ),
    "text-empty": (
        {"messages": [told(text(""))]},
        "an-x-empty-text",
        "messages: text content blocks must be non-empty",
    ),
    "text-empty-in-result": (
        {"messages": [USER, CALL, told(RESULT | {"content": [text("")]})]},
        "an-x-empty-text",
        "non-empty",
    ),
    "text-empty-cached": (
        {"messages": [told(text("", cache_control={"type": "ephemeral"}))]},
        "an-x-cache-empty",
        "messages.0.content.0.text: cache_control cannot be set for empty text blocks",
    ),
    "content-empty": (
        {"messages": [USER, {"role": "assistant", "content": ""}, USER]},
        "an-x-empty-content",
        "messages.1: all messages",
    ),
    "content-empty-last": (
        {"messages": [{"role": "user", "content": ""}]},
        "an-x-empty-content",
        "messages.0: all messages",
    ),
    "content-empty-list": ({"messages": [told()]}, "an-x-empty-content", "messages.0"),
    "block-unknown": (
        {"messages": [told({"type": "image_url"})]},
        "an-server-blocks",
        "messages.0.content.0: Input tag 'image_url' found using 'type' does not match any of the expected tags",
    ),
    "image-type": (
        {"messages": [told({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": ""}})]},
        "an-image-block",
        "messages.0.content.0.source.media_type",
    ),
    "image-bare": (
        {"messages": [told({"type": "image"})]},
        "an-image-block",
        "messages.0.content.0.source: Field required",
    ),
    "document-type": (
        {"messages": [told({"type": "document", "source": {**TEXT_SOURCE, "media_type": "text/html"}})]},
        "an-document-block",
        "messages.0.content.0.source.media_type",
    ),
    "call-input-text": (
        {
            "messages": [
                USER,
                told({"type": "tool_use", "id": "t1", "name": "f", "input": "{}"}, role="assistant"),
                told(RESULT),
            ]
        },
        "an-tool-use-block",
        "messages.1.content.0.input: Input should be an object",
    ),
    "result-no-id": (
        {"messages": [USER, CALL, told({"type": "tool_result"})]},
        "an-tool-result-block",
        "messages.2.content.0.tool_use_id: Field required",
    ),
    "thinking-unsigned": (
        {"messages": [USER, told({"type": "thinking", "thinking": "a"}, role="assistant"), USER]},
        "an-thinking-block",
        "signature: Field required",
    ),
    "thinking-of-user": (
        {"messages": [told({"type": "thinking", "thinking": "a", "signature": "b"})]},
        "an-thinking-block",
        "`thinking` blocks can only be in `assistant`",
    ),
    "call-of-user": (
        {"messages": [told({"type": "tool_use", "id": "t1", "name": "f", "input": {}})]},
        "an-x-tool-block-role",
        "`tool_use` blocks can only be",
    ),
    "result-of-assistant": (
        {"messages": [USER, told(RESULT, role="assistant"), USER]},
        "an-x-tool-block-role",
        "`tool_result` blocks can only be in `user` messages",
    ),
    "no-result": (
        {"messages": [USER, CALL, USER]},
        "an-x-tool-result-missing",
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1.",
    ),
    "no-result-at-end": (
        {"model": OLD, "messages": [USER, CALL]},
        "an-x-tool-result-missing",
        "messages.1: `tool_use` ids",
    ),
    "no-result-with-system": (
        {"system": "Be brief.", "messages": [USER, CALL, USER]},
        "an-x-tool-result-missing",
        "messages.1: ",
    ),
    "result-late": ({"messages": [USER, CALL, told(text("here"), RESULT)]}, "an-x-tool-result-missing", "messages.1: "),
    "result-orphan": (
        {"messages": [told(RESULT)]},
        "an-x-tool-result-orphan",
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1.",
    ),
    "result-other": (
        {"messages": [USER, CALL, told(RESULT, RESULT | {"tool_use_id": "t2"})]},
        "an-x-tool-result-orphan",
        "messages.2.content.1: unexpected",
    ),
    "result-twice": (
        {"messages": [USER, CALL, told(RESULT, RESULT)]},
        "an-x-tool-result-twice",
        "messages.2.content.1: each tool_use must have a single result",
    ),
    "ids-twice": (
        {"messages": [USER, CALL, told(RESULT), CALL, told(RESULT)]},
        "an-x-tool-use-unique",
        "messages.3.content.0: `tool_use` ids must be unique",
    ),
    "prefill": (
        {"messages": [USER, {"role": "assistant", "content": "The"}]},
        "an-x-prefill",
        "This model does not support assistant message prefill",
    ),
    "prefill-space": (
        {"model": OLD, "messages": [USER, {"role": "assistant", "content": "The "}]},
        "an-x-prefill-space",
        "cannot end with trailing whitespace",
    ),
    "prefill-thinking": (
        {
            "model": OLD,
            "max_tokens": 2000,
            "thinking": THINKS,
            "messages": [USER, {"role": "assistant", "content": "The"}],
        },
        "an-x-prefill-thinking",
        "the conversation must end with a user message",
    ),
    "loop-no-thinking": (
        {"model": OLD, "max_tokens": 2000, "thinking": THINKS, "messages": [USER, CALL, told(RESULT)]},
        "an-x-prefill-thinking",
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    "tool-no-schema": ({"tools": [{"name": "f"}]}, "an-tool-shape", "tools.0.input_schema: Field required"),
    "tool-name": (
        {"tools": [TOOL | {"name": "a b"}]},
        "an-tool-name",
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    "tool-schema-list": (
        {"tools": [TOOL | {"input_schema": {"type": "array"}}]},
        "an-tool-schema",
        "tools.0.input_schema.type",
    ),
    "tool-twice": ({"tools": [TOOL, TOOL]}, "an-tool-unique", "tools: Tool names must be unique."),
    "tool-examples": (
        {"tools": [TOOL | {"input_schema": {"type": "object", "required": ["a"]}, "input_examples": [{}]}]},
        "an-tool-extras",
        "tools.0.custom.input_examples.0",
    ),
    "tool-deferred": ({"tools": [TOOL | {"defer_loading": True}]}, "an-tool-extras", "At least one tool"),
    "tool-server": (
        {"tools": [{"type": "web_search_19990101", "name": "web_search"}]},
        "an-server-tools",
        "tools.0.type",
    ),
    "tool-domains": (
        {
            "tools": [
                {
                    "type": "web_search_20250305",
                    "name": "web_search",
                    "allowed_domains": ["a"],
                    "blocked_domains": ["b"],
                }
            ]
        },
        "an-server-tools",
        "only one of `allowed_domains` and `blocked_domains`",
    ),
    "choice-text": (
        {"tools": [TOOL], "tool_choice": "auto"},
        "an-tool-choice",
        "tool_choice: Input should be an object",
    ),
    "choice-nameless": (
        {"tools": [TOOL], "tool_choice": {"type": "tool"}},
        "an-tool-choice",
        "tool_choice.name: Field required",
    ),
    "choice-unknown": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}},
        "an-tool-choice-unknown",
        "Tool 'g' not found in provided tools",
    ),
    "choice-toolless": (
        {"tool_choice": {"type": "any"}},
        "an-tool-choice-unknown",
        "may only be specified while providing tools",
    ),
    "choice-thinking": (
        {"max_tokens": 2000, "tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": THINKS},
        "an-x-thinking-tool-choice",
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    "thinking-true": ({"thinking": True}, "an-thinking-types", "thinking: Input should be an object"),
    "thinking-type": ({"thinking": {"type": "on"}}, "an-thinking-types", "thinking.type"),
    "budget-small": (
        {"max_tokens": 2000, "thinking": THINKS | {"budget_tokens": 1023}},
        "an-thinking-budget",
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    "budget-large": (
        {"max_tokens": 1024, "thinking": THINKS},
        "an-thinking-budget",
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    "enabled-new": (
        {"model": NEW, "max_tokens": 2000, "thinking": THINKS},
        "an-thinking-enabled",
        '"thinking.type.enabled" is not supported for this model',
    ),
    "adaptive-old": (
        {"model": OLD, "thinking": ADAPTS},
        "an-thinking-adaptive",
        "adaptive thinking is not supported on this model",
    ),
    "disabled": (
        {"model": "claude-fable-5", "thinking": {"type": "disabled"}},
        "an-thinking-disabled",
        '"thinking.type.disabled"',
    ),
    "disabled-effort": (
        {"model": WITHOUT, "thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
        "an-thinking-disabled",
        '"thinking.type.disabled"',
    ),
    "thinking-temperature": (
        {"thinking": ADAPTS, "temperature": 0.5},
        "an-x-thinking-temperature",
        "`temperature` may only be set to 1",
    ),
    "thinking-top-k": ({"thinking": ADAPTS, "top_k": 5}, "an-x-thinking-temperature", "`top_k` must be unset"),
    "thinking-top-p": (
        {"thinking": ADAPTS, "top_p": 0.9},
        "an-x-thinking-temperature",
        "`top_p` must be greater than or equal to 0.95",
    ),
    "effort": ({"output_config": {"effort": "some"}}, "an-effort", "output_config.effort"),
    "effort-old": ({"model": OLD, "output_config": {"effort": "low"}}, "an-effort", "output_config.effort"),
    "schema-minimum": (
        schema(type="integer", minimum=1),
        "an-so-schema",
        "output_config.format.schema: For 'integer' type, property 'minimum' is not supported",
    ),
    "schema-open": (schema(type="object"), "an-so-schema", "'additionalProperties' must be explicitly set to false"),
    "schema-outside": (schema(**{"$ref": "http://a.test/b"}), "an-so-schema", "External schema reference"),
    "schema-circular": (
        schema(**{"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}),
        "an-so-schema",
        "Circular reference",
    ),
    "cache-type": ({"cache_control": {"type": "lasting"}}, "an-cache-control", "cache_control.type"),
    "cache-ttl": ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "an-cache-control", "cache_control.ttl"),
    "cache-five": (
        {"system": [CACHED] * 5},
        "an-cache-max",
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "server-result": (
        {
            "messages": [
                USER,
                told({"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}, role="assistant"),
                USER,
            ]
        },
        "an-x-server-tool",
        "s1",
    ),
}

RIGHT: dict[str, dict[str, Any]] = {
    "system": {"system": "Be brief."},
    "system-blocks": {"system": [CACHED]},
    "two-users": {"messages": [USER, USER]},
    "assistant-first": {"messages": [{"role": "assistant", "content": "a"}, USER]},
    "blocks": {"messages": [told(text("a"), text("b"))]},
    "image": {"messages": [told({"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}})]},
    "document": {
        "messages": [told({"type": "document", "source": TEXT_SOURCE, "citations": {"enabled": True}}, text("a"))]
    },
    "loop": {"tools": [TOOL], "messages": [USER, CALL, told(RESULT)]},
    "loop-then-text": {"messages": [USER, CALL, told(RESULT, text("and?"))]},
    "result-bare": {"messages": [USER, CALL, told({"type": "tool_result", "tool_use_id": "t1"})]},
    "result-of-two-messages": {"messages": [USER, CALL, told(RESULT), USER]},
    "call-and-text-apart": {"messages": [USER, CALL, {"role": "assistant", "content": "a"}, told(RESULT)]},
    "prefill-old": {"model": OLD, "messages": [USER, {"role": "assistant", "content": "The"}]},
    "empty-last-assistant": {"model": OLD, "messages": [USER, {"role": "assistant", "content": ""}]},
    "system-after-user": {"model": NEW, "messages": [USER, {"role": "system", "content": "a"}]},
    "server-tool": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "paused": {
        "messages": [
            USER,
            told({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}, role="assistant"),
        ]
    },
    "choice-any-adaptive": {"tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": ADAPTS},
    "thinking": {"max_tokens": 2000, "thinking": THINKS},
    "thinking-disabled": {"thinking": {"type": "disabled"}},
    "budget-with-tools": {"max_tokens": 1024, "thinking": THINKS, "tools": [TOOL]},
    "format": {"output_config": {"format": FORMAT, "effort": "low"}},
    "cache": {"cache_control": {"type": "ephemeral"}, "system": [CACHED] * 3},
    "nulls": {"container": None, "inference_geo": None, "metadata": {"user_id": None}},
    "stops": {"stop_sequences": ["END"] * 20},
    "warming": {"max_tokens": 0},
    "newest-model": {"model": "claude-fable-5-2"},
    "one-temperature": {"model": NEW, "temperature": 1},
}


@pytest.mark.parametrize(("sent", "fact", "message"), WRONG.values(), ids=WRONG)
def test_what_the_docs_rule_out_is_refused(sent: dict[str, Any], fact: str, message: str) -> None:
    exchange = make_session().send("anthropic", chat("anthropic", "hi") | sent)
    body = body_of(exchange)
    assert (exchange.timeline.status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in body["error"]["message"]
    assert exchange.refusal is not None
    assert exchange.refusal[2].details[0].fact == fact


@pytest.mark.parametrize("sent", RIGHT.values(), ids=RIGHT)
def test_what_the_docs_allow_is_answered(sent: dict[str, Any]) -> None:
    exchange = make_session().send("anthropic", chat("anthropic", "hi") | sent)
    assert exchange.timeline.status == 200
    assert [note for note in exchange.notes if "not in the docs" in note.message] == []


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_what_is_required_is_missed(name: str) -> None:
    sent = {key: value for key, value in chat("anthropic").items() if key != name}
    exchange = make_session().send("anthropic", sent)
    assert body_of(exchange)["error"]["message"] == f"{name}: Field required"


HEADERS: dict[str, tuple[dict[str, str | None], str]] = {
    "unknown": ({"anthropic-version": "2023-10-01"}, 'anthropic-version: "2023-10-01" is not a valid version'),
    "twice": ({"anthropic-version": "2023-06-01, 2023-06-01"}, '"2023-06-01, 2023-06-01" is not a valid version'),
    "beta": ({"anthropic-beta": "best-of-all"}, "Unexpected value(s) `best-of-all` for the `anthropic-beta` header"),
}


@pytest.mark.parametrize(("headers", "message"), HEADERS.values(), ids=HEADERS)
def test_headers_are_as_the_docs_have_them(headers: dict[str, str], message: str) -> None:
    assert message in body_of(make_session().send("anthropic", headers=headers))["error"]["message"]


NEWEST = {"anthropic-version": "2026-10-21"}


@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_the_newest_version_takes_no_sampling(field: str) -> None:
    exchange = make_session().send("anthropic", chat("anthropic", **{field: 1}), headers=NEWEST)
    assert body_of(exchange)["error"]["message"] == f"{field}: Extra inputs are not permitted"
    assert make_session().send("anthropic", chat("anthropic", **{field: 1})).timeline.status == 200


@pytest.mark.parametrize(
    ("fact", "sent"), [(fact, sent) for sent, fact, _ in WRONG.values() if fact.startswith("an-x-")]
)
def test_a_fact_that_is_muted_refuses_nothing(fact: str, sent: dict[str, Any]) -> None:
    exchange = make_session({"provider": "anthropic", "mute": [fact], "rules": [{"reply": {"text": "hi"}}]}).send(
        "anthropic", chat("anthropic", "hi") | sent
    )
    assert exchange.refusal is None or exchange.refusal[2].details[0].fact != fact
