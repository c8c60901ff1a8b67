"""What Anthropic's operations take, as its docs say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from independent.shapes import (
    Shape,
    anything,
    array,
    boolean,
    either,
    integer,
    null_or,
    number,
    record,
    tagged,
    text,
    words,
)
from independent.values import Json, Refused

STRING, NULLABLE, OBJECT, LIST = text(), null_or(text()), record(is_open=True), array()
CACHE = null_or(record("type", type=words("ephemeral"), ttl=words("5m", "1h")))
CITED = null_or(record(enabled=boolean))


def _block(required: str, **fields: Shape) -> Shape:
    return record(f"type {required}", type=STRING, cache_control=CACHE, **fields)


def _source(required: str, **fields: Shape) -> Shape:
    return record(f"type {required}", type=STRING, **fields)


TEXT = _block("text", text=STRING, citations=null_or(LIST))
OF_URL, OF_FILE = _source("url", url=STRING), _source("file_id", file_id=STRING)
PICTURE = words("image/jpeg", "image/png", "image/gif", "image/webp")
IMAGE = _block("source", source=tagged("type", {
    "base64": _source("media_type data", media_type=PICTURE, data=STRING), "url": OF_URL, "file": OF_FILE,
}))  # fmt: skip
INLINE = either("a string or an array", string=STRING, array=array(tagged("type", {"text": TEXT, "image": IMAGE})))
DOCUMENT = _block("source", title=NULLABLE, context=NULLABLE, citations=CITED, source=tagged("type", {
    "base64": _source("media_type data", media_type=words("application/pdf"), data=STRING),
    "text": _source("media_type data", media_type=words("text/plain"), data=STRING),
    "content": _source("content", content=INLINE), "url": OF_URL, "file": OF_FILE,
}))  # fmt: skip
SEARCH_RESULT = _block("source title content", source=STRING, title=STRING, content=array(TEXT), citations=CITED)
GIVEN = {"text": TEXT, "image": IMAGE, "document": DOCUMENT, "search_result": SEARCH_RESULT}
RESULT = either("a string or an array", string=STRING, array=array(tagged("type", GIVEN)))
USE = _block("id name input", id=STRING, name=STRING, input=OBJECT, caller=anything)
FOUND = _block("tool_use_id content", tool_use_id=STRING, content=anything, caller=anything)
SERVED = (
    "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
)  # fmt: skip
BLOCKS = {
    **GIVEN,
    "tool_use": USE,
    "server_tool_use": USE,
    "tool_result": _block("tool_use_id", tool_use_id=STRING, content=RESULT, is_error=boolean),
    "thinking": record("type thinking signature", type=STRING, thinking=STRING, signature=STRING),
    "redacted_thinking": record("type data", type=STRING, data=STRING),
    **dict.fromkeys(SERVED, FOUND),
}
#: What only one of the two says.
OF_ROLE = {
    "user": ("tool_result",), "assistant": ("tool_use", "server_tool_use", "thinking", "redacted_thinking", *SERVED),
}  # fmt: skip
CONTENT = either("a string or an array", string=STRING, array=array(tagged("type", BLOCKS)))
MESSAGE = record("role content", role=words("user", "assistant", "system"), content=CONTENT)
SYSTEM = either("a string or an array", string=STRING, array=array(tagged("type", {"text": TEXT})))
OWN_TOOL = record(
    "name input_schema", type=words("custom"), name=text(1, 128, r"^[a-zA-Z0-9_-]+\Z"), description=STRING,
    input_schema=record("type", True, type=words("object")), cache_control=CACHE, defer_loading=boolean,
    strict=boolean, input_examples=array(OBJECT), eager_input_streaming=null_or(boolean), allowed_callers=LIST,
)  # fmt: skip
SEARCH = _block(
    "name", name=words("web_search"), allowed_domains=null_or(array(STRING)), blocked_domains=null_or(array(STRING)),
    max_uses=null_or(integer(1)), user_location=null_or(OBJECT), defer_loading=boolean, strict=boolean,
)  # fmt: skip
PARALLEL = {"type": STRING, "disable_parallel_tool_use": boolean}
CHOICE = tagged("type", {
    "auto": record("type", **PARALLEL), "any": record("type", **PARALLEL), "none": record("type", type=STRING),
    "tool": record("type name", name=STRING, **PARALLEL),
})  # fmt: skip
SHOWN = {"type": STRING, "display": null_or(words("summarized", "omitted"))}
THINKING = tagged("type", {
    "adaptive": record("type", **SHOWN), "disabled": record("type", type=STRING),
    "enabled": record("type budget_tokens", budget_tokens=integer(1024), **SHOWN),
})  # fmt: skip
FORMAT = null_or(tagged("type", {"json_schema": record("type schema", type=STRING, schema=OBJECT)}))
COUNTED: Mapping[str, Shape] = {
    "model": text(1), "messages": array(MESSAGE, 1, 100_000), "system": SYSTEM, "thinking": THINKING,
    "tools": array(tagged("type", {"custom": OWN_TOOL, "web_search_20250305": SEARCH}, OWN_TOOL)),
    "tool_choice": CHOICE, "cache_control": CACHE,
    "output_config": record(effort=null_or(words("low", "medium", "high", "xhigh", "max")), format=FORMAT),
}  # fmt: skip
COUNT = record("model messages", **COUNTED)
MESSAGES = record(
    "model max_tokens messages", **COUNTED, max_tokens=integer(0), temperature=number(0, 1), top_p=number(0, 1),
    top_k=integer(0), stop_sequences=array(text(1, form=r"\S")), stream=boolean,
    metadata=record(user_id=null_or(text(most=512))), service_tier=words("auto", "standard_only"),
    inference_geo=NULLABLE, speed=null_or(words("standard")), container=NULLABLE,
    diagnostics=null_or(record(previous_message_id=NULLABLE)),
)  # fmt: skip

#: Of each model: the tokens that it takes and gives, and what it does not do as others do. The newest first.
MODELS: Mapping[str, tuple[int, int, str]] = {
    "claude-fable-5-2": (1_000_000, 128_000, "fixed no-enabled no-disabled no-prefill system no-forced"),
    "claude-haiku-5-5": (1_000_000, 128_000, "fixed no-enabled no-prefill system"),
    "claude-sonnet-5": (1_000_000, 128_000, "fixed no-enabled no-prefill"),
    "claude-opus-5": (1_000_000, 128_000, "fixed no-enabled by-effort no-prefill system"),
    "claude-fable-5": (1_000_000, 128_000, "fixed no-enabled no-disabled no-prefill system"),
    "claude-opus-4-8": (1_000_000, 128_000, "fixed no-enabled no-prefill system"),
    "claude-opus-4-7": (1_000_000, 128_000, "fixed no-enabled no-prefill"),
    "claude-sonnet-4-6": (1_000_000, 128_000, "no-prefill one"),
    "claude-opus-4-6": (1_000_000, 128_000, "no-prefill one"),
    "claude-opus-4-5": (200_000, 64_000, "no-adaptive one"),
    "claude-haiku-4-5-20251001": (200_000, 64_000, "no-adaptive one no-effort"),
    "claude-haiku-4-5": (200_000, 64_000, "no-adaptive one no-effort"),
    "claude-sonnet-4-5-20250929": (200_000, 64_000, "no-adaptive one no-effort"),
    "claude-sonnet-4-5": (200_000, 64_000, "no-adaptive one no-effort"),
}
NEWEST = "2026-10-21"
NO_KEYWORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
               "maxItems", "uniqueItems", "patternProperties", "not", "if")  # fmt: skip


def check(fields: Mapping[str, Json], version: str) -> None:
    """Look at a request whose fields are right, one by one. Raises: Refused."""
    if fields["model"] not in MODELS:
        raise Refused(404, f"model: {fields['model']}")
    why = next(_wrong(fields, version, MODELS[fields["model"]]), None)
    if why:
        raise Refused(400, why)


def blocks(content: Json) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _wrong(fields: Mapping[str, Json], version: str, model: tuple[int, int, str]) -> Iterator[str]:
    traits = frozenset(model[2].split())
    yield from _of_version(fields) if version == NEWEST else ()
    yield from _of_messages(fields["messages"], "system" in traits)
    if not all(block["text"] for block in blocks(fields.get("system") or [])):
        yield "messages: text content blocks must be non-empty"
    yield from _of_blocks([block for message in fields["messages"] for block in blocks(message["content"])])
    yield from _of_calls(fields["messages"])
    yield from _of_end(fields, traits)
    yield from _of_tools(fields)
    yield from _of_model(fields, model[1], traits)
    yield from _of_thinking(fields)
    yield from _of_format(fields)
    cached = str(fields).count("'cache_control': {")
    if cached > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {cached}."


def _of_blocks(given: list[Json]) -> Iterator[str]:
    for block in given:
        said, source = block.get("text"), block.get("source") or {}
        if said and not said.strip():
            yield "messages: text content blocks must contain non-whitespace text"
        if block.get("is_error") and block.get("content") in ("", []):
            yield "tool_result: content cannot be empty if `is_error` is true"
        if block["type"] == "tool_use" and not re.fullmatch("[a-zA-Z0-9_-]+", block["id"]):
            yield "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if block["type"] == "image" and source.get("type") == "base64" and ":" in source["data"][:10]:
            yield "image.source.base64: invalid base64 data"


def _of_version(fields: Mapping[str, Json]) -> Iterator[str]:
    yield from (
        f"{name}: Extra inputs are not permitted" for name in ("temperature", "top_p", "top_k") if name in fields
    )
    for message in fields["messages"]:
        for block in blocks(message["content"]):
            if block["type"] == "document" and message["role"] == "assistant":
                yield "messages: `document` blocks can only be in `user` messages"
            if block["type"] == "text" and message["role"] == "user" and block.get("citations"):
                yield "messages: citations: List should have at most 0 items after validation"


def _of_messages(messages: list[Json], takes_system: bool) -> Iterator[str]:
    for index, message in enumerate(messages):
        role, at = message["role"], f"messages.{index}"
        around = [item["role"] for item in messages[max(0, index - 1) : index + 2 : 2]] if index else []
        if role == "system" and not (takes_system and around in (["user"], ["user", "assistant"])):
            yield f"{at}: `system` messages must follow a user turn, and precede an assistant turn or come last"
        if not message["content"] and (role == "user" or index + 1 < len(messages)):
            yield f"{at}: all messages must have non-empty content except for the optional final assistant message"
        for block in blocks(message["content"]) if message["content"] else ():
            if block["type"] == "text" and not block["text"]:
                yield "messages: text content blocks must be non-empty"
            if any(block["type"] in kinds for other, kinds in OF_ROLE.items() if other != role):
                yield f"{at}: `{block['type']}` blocks cannot be in `{role}` messages"


def _of_calls(messages: list[Json]) -> Iterator[str]:
    """Each call has one result in the turn that follows, before all else there."""
    seen: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        parts = blocks(message["content"])
        results = [part["tool_use_id"] for part in parts if part["type"] == "tool_result"]
        first = [part["type"] for part in parts[: len(waiting)]]
        if sorted(results) != sorted(waiting) or first != ["tool_result"] * len(waiting):
            yield f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {waiting}"
        waiting = [part["id"] for part in parts if part["type"] == "tool_use"]
        if seen & set(waiting):
            yield "messages: `tool_use` ids must be unique"
        seen |= set(waiting)
        served = [part["id"] for part in parts if part["type"] == "server_tool_use"]
        found = [part["tool_use_id"] for part in parts if part["type"] in SERVED]
        if set(found) != set(served):
            yield "messages: a server tool's call and its result stand together"


def _of_end(fields: Mapping[str, Json], traits: frozenset[str]) -> Iterator[str]:
    last = fields["messages"][-1]
    if last["role"] != "assistant":
        return
    said = blocks(last["content"])[-1:] or [{}]
    thinks = (fields.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if "no-prefill" in traits or thinks or (fields.get("output_config") or {}).get("format"):
        yield "This model does not support assistant message prefill. The conversation must end with a user message."
    if said[0].get("text", "").rstrip() != said[0].get("text", ""):
        yield "messages: final assistant content cannot end with trailing whitespace"


def _of_tools(fields: Mapping[str, Json]) -> Iterator[str]:
    for tool in fields.get("tools") or ():
        schema = tool.get("input_schema") or {}
        if {"oneOf", "allOf", "anyOf"} & set(schema):
            yield "input_schema does not support oneOf, allOf, or anyOf at the top level"
        if not all(re.fullmatch("[a-zA-Z0-9_.-]{1,64}", name) for name in schema.get("properties") or ()):
            yield "input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
    tools, choice = fields.get("tools") or [], fields.get("tool_choice") or {}
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    if choice.get("type") in ("any", "tool") and (not tools or choice.get("name", names[0]) not in names):
        yield "tool_choice: Tool not found in provided tools"
    if tools and all(tool.get("defer_loading") for tool in tools):
        yield "tools: At least one tool must have defer_loading=false."
    for tool in tools:
        if tool.get("defer_loading") and tool.get("cache_control"):
            yield "tools: `defer_loading` and `cache_control` cannot be set together"
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            yield "tools: only one of `allowed_domains` and `blocked_domains` may be specified"
        required = set(tool.get("input_schema", {}).get("required", ()))
        if any(required - set(example) for example in tool.get("input_examples", ())):
            yield "tools: input_examples: does not fit input_schema"


def _of_model(fields: Mapping[str, Json], most: int, traits: frozenset[str]) -> Iterator[str]:
    kind, effort = (fields.get("thinking") or {}).get("type"), (fields.get("output_config") or {}).get("effort")
    if fields.get("max_tokens", 0) > most:
        yield f"max_tokens: {fields['max_tokens']} > {most}, which is the maximum allowed number of output tokens"
    sampled = fields.get("temperature", 1) != 1 or fields.get("top_p", 1) != 1 or "top_k" in fields
    if "fixed" in traits and sampled:
        yield "sampling is not supported for this model"
    if "one" in traits and "temperature" in fields and "top_p" in fields:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if f"no-{kind}" in traits or (kind == "disabled" and "by-effort" in traits and effort in ("xhigh", "max")):
        yield f"thinking.type.{kind} is not supported for this model"
    if effort and "no-effort" in traits:
        yield "output_config.effort: is not supported for this model"
    if "no-forced" in traits and (fields.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "tool_choice: is not supported for this model"


def _of_thinking(fields: Mapping[str, Json]) -> Iterator[str]:
    thinking = fields.get("thinking") or {}
    forced = (fields.get("tool_choice") or {}).get("type") in ("any", "tool")
    if fields.get("max_tokens") == 0 and (fields.get("stream") or thinking.get("type") == "enabled" or forced):
        yield "max_tokens: must be at least 1"
    if thinking.get("type") not in ("enabled", "adaptive"):
        return
    if fields.get("temperature", 1) != 1 or "top_k" in fields or fields.get("top_p", 1) < 0.95:
        yield "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."
    if thinking["type"] == "adaptive":
        return
    if thinking["budget_tokens"] >= fields.get("max_tokens", 10**9) and not fields.get("tools"):
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."
    if forced:
        yield "Thinking may not be enabled when tool_choice forces tool use."
    called = [blocks(item["content"])[0]["type"] for item in fields["messages"] if "'tool_use'" in str(item)]
    if (
        called
        and called[-1] not in ("thinking", "redacted_thinking")
        and "'tool_result'" in str(fields["messages"][-1])
    ):
        yield "messages: a final `assistant` message must start with a thinking block"


def _of_format(fields: Mapping[str, Json]) -> Iterator[str]:
    form = (fields.get("output_config") or {}).get("format")
    if not form:
        return
    found = [name for name in NO_KEYWORDS if re.search(rf"'{name}':", str(form["schema"]))]
    if found or not _is_closed(form["schema"]) or _turns_back(form["schema"]):
        yield f"output_config.format.schema: {found} is not supported"
    if "'enabled': True" in str(fields["messages"]):
        yield "output_config.format: is not supported together with citations"


def _is_closed(schema: Json) -> bool:
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    closed = schema.get("type") != "object" or schema.get("additionalProperties") is False
    return closed and all(map(_is_closed, schema.values()))


def _turns_back(schema: Mapping[str, Json]) -> bool:
    """Tell whether a definition refers to itself."""
    return any(f"'#/$defs/{name}'" in str(part) for name, part in schema.get("$defs", {}).items())
