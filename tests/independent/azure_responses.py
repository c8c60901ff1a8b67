"""Azure's Responses: what they take, and OpenAI's answers with what Azure tells besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from independent.openai_answers import prompt_tokens
from independent.openai_responses import Kept
from independent.shapes import (
    Shape,
    anything,
    array,
    boolean,
    either,
    integer,
    mapping,
    null_or,
    number,
    record,
    refuse,
    tagged,
    text,
    words,
)
from independent.values import Json, Refused, Reply, Request

Fields = dict[str, Any]
STRING, NULLABLE = text(), null_or(text())
SAFE = {"filtered": False, "severity": "safe"}
PASSED = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": SAFE}
OFFSETS = {"start_offset": 0, "end_offset": 5, "check_offset": 0}
FILTERS = [
    {"blocked": False, "source_type": kind, "content_filter_results": PASSED, "content_filter_offsets": OFFSETS}
    for kind in ("prompt", "completion")
]
UNDER_WAY = {"output": [], "usage": None, "content_filters": None, "completed_at": None, "incomplete_details": None}
WINDOWS = {"gpt-35-turbo": 16_385}
FIRST_VERSION = "2025-03-01"


def fields(required: str = "", **known: Shape) -> Shape:
    return record(required, True, **known)


# What they take

OBJECT = fields()
STATUS = null_or(words("in_progress", "completed", "incomplete"))
PARTS = {
    **dict.fromkeys(("input_text", "output_text"), fields("type text", text=STRING)),
    "input_image": fields(
        "type", image_url=NULLABLE, file_id=either("null", null=anything),
        detail=null_or(words("low", "high", "auto", "original")),
    ),
    "input_file": fields("type", file_id=NULLABLE, file_data=STRING, file_url=NULLABLE, filename=NULLABLE),
    "refusal": fields("type refusal", refusal=STRING),
}  # fmt: skip
MESSAGE = fields(
    "role content", role=words("user", "assistant", "system", "developer"), id=NULLABLE, status=STATUS,
    content=either("a text, or parts", string=STRING, array=array(tagged("type", PARTS))),
)  # fmt: skip
OUTPUT = either("a text, or parts", string=STRING, array=array(OBJECT))
GAVE = {"call_id": STRING, "id": NULLABLE, "output": OUTPUT}
REFERENCE = record("id", type=anything, id=STRING)
HOSTED_ITEMS = (
    "file_search_call", "computer_call", "computer_call_output", "web_search_call", "image_generation_call",
    "code_interpreter_call", "local_shell_call", "local_shell_call_output", "mcp_list_tools", "mcp_approval_request",
    "mcp_approval_response", "mcp_call", "compaction",
)  # fmt: skip
ITEMS = {
    "message": MESSAGE,
    "function_call": fields("type call_id name arguments", id=NULLABLE, call_id=STRING, name=STRING,
                            arguments=STRING, status=STATUS),
    "function_call_output": fields("type call_id output", **GAVE, status=STATUS),
    "custom_tool_call": fields("type call_id name input", id=NULLABLE, call_id=STRING, name=STRING, input=STRING),
    "custom_tool_call_output": fields("type call_id output", **GAVE),
    "reasoning": fields("type id summary", id=STRING, encrypted_content=NULLABLE,
                        summary=array(fields("type text", type=words("summary_text"), text=STRING))),
    "item_reference": REFERENCE,
    **dict.fromkeys(HOSTED_ITEMS, OBJECT),
}  # fmt: skip


def _untyped(value: Json, at: str) -> None:
    """An item without a type is a message, or refers to one."""
    (REFERENCE if value.keys() <= {"id", "type"} else MESSAGE)(value, at)


HOSTED = ("file_search", "computer_use_preview", "web_search_preview", "code_interpreter", "image_generation", "mcp")
TOOLS = {
    "function": fields("type name", name=text(1), description=NULLABLE, parameters=null_or(OBJECT),
                       strict=null_or(boolean)),
    "custom": fields("type name", name=STRING, description=STRING, format=fields(
        "type", type=words("text", "grammar"), syntax=words("lark", "regex"), definition=STRING)),
    **dict.fromkeys((*HOSTED, "web_search", "local_shell"), OBJECT),
}  # fmt: skip
CHOICES = {
    **dict.fromkeys(("function", "custom"), fields("type name", name=STRING)),
    **dict.fromkeys((*HOSTED, "allowed_tools"), OBJECT),
}
INCLUDED = words(
    "code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results",
    "message.input_image.image_url", "message.output_text.logprobs", "reasoning.encrypted_content",
    "web_search_call.action.sources", "web_search_call.results",
)  # fmt: skip
SUMMARY = null_or(words("auto", "concise", "detailed"))
TAKES = record(
    "model", model=STRING, instructions=NULLABLE,
    input=either("a text, or items", string=STRING, array=array(tagged("type", ITEMS, _untyped))),
    max_output_tokens=null_or(integer(16)), max_tool_calls=null_or(integer()), previous_response_id=null_or(text(1)),
    conversation=either("an id", null=anything, string=anything, object=anything), store=null_or(boolean),
    include=null_or(array(INCLUDED)), tools=array(tagged("type", TOOLS)),
    tool_choice=either("a word or a tool", string=words("none", "auto", "required"), object=tagged("type", CHOICES)),
    parallel_tool_calls=null_or(boolean),
    text=fields(verbosity=null_or(words("low", "medium", "high")), format=tagged("type", {
        "text": OBJECT, "json_object": OBJECT, "json_schema": fields(
            "type name schema", name=STRING, schema=OBJECT, description=STRING, strict=null_or(boolean)),
    })),
    reasoning=null_or(fields(
        effort=null_or(words("none", "minimal", "low", "medium", "high", "xhigh")), summary=SUMMARY,
        generate_summary=SUMMARY)),
    truncation=null_or(words("auto", "disabled")), background=null_or(boolean), stream=null_or(boolean),
    stream_options=null_or(fields(include_obfuscation=boolean)), temperature=null_or(number(0, 2)),
    top_p=null_or(number(0, 1)), top_logprobs=null_or(integer(0, 20)),
    metadata=null_or(mapping(text(most=512), 16, 64)), user=NULLABLE, safety_identifier=NULLABLE,
    prompt_cache_key=NULLABLE, prompt_cache_retention=NULLABLE, service_tier=NULLABLE, prompt=null_or(OBJECT),
    context_management=null_or(array()),
)  # fmt: skip


def check(given: Fields) -> None:
    """Look at the body of a request. Raises: Refused."""
    if "messages" in given:
        raise refuse("unsupported_parameter", None, "Unsupported parameter: 'messages' has moved to 'input'.")
    TAKES(given, "")
    items = given["input"] if isinstance(given.get("input"), list) else []
    for kind in ("function_call", "custom_tool_call"):
        called = {item["call_id"] for item in items if item.get("type") == kind}
        answered = {item["call_id"] for item in items if item.get("type") == f"{kind}_output"}
        if called - answered:
            raise refuse(None, "input", f"No tool output found for function call {', '.join(called - answered)}.")
        if answered - called:
            raise refuse(None, "input", "No tool call found for function call output.")
    if given.get("background") and given.get("store") is False:
        raise refuse(None, "background", "What is made in the background is stored.")
    room = WINDOWS.get(given["model"])
    if room and prompt_tokens(items, given.get("instructions")) + (given.get("max_output_tokens") or 0) > room:
        raise refuse("context_length_exceeded", "input", "Your input exceeds the context window of this model.")


def check_version(query: Mapping[str, str]) -> None:
    """Look at the version of a request at the older path, which is a date. Raises: Refused."""
    if not query["api-version"].endswith("-preview"):
        raise refuse("404", None, "Resource not found", 404)
    if query["api-version"] < FIRST_VERSION:
        told = "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later"
        raise refuse("BadRequest", None, told)


# What they answer

METHODS = {"": ("POST",), "/ID": ("GET", "DELETE"), "/ID/cancel": ("POST",), "/ID/input_items": ("GET",)}


def methods_at(rest: str) -> tuple[str, ...]:
    """Return the methods at what stands after /responses; none where nothing is there."""
    return METHODS.get(re.sub("^/[^/]+", "/ID", rest), ())


@dataclass(slots=True)
class Responses:
    """What is kept of one resource."""

    kept: Kept = field(default_factory=Kept)

    def create(self, given: Fields, model: str) -> Reply:
        """Answer a body that is checked; `model` is the one that is deployed."""
        try:
            reply = self.kept.create(given)
        except Refused as refused:
            raise refuse(refused.code, refused.param, str(refused)) from None
        if given.get("background") and reply.body:
            return Reply(200, _told({**reply.body, "model": model}) | {"status": "queued", **UNDER_WAY})
        return _with_filters(reply, {"model": model})

    def ask(self, request: Request, rest: str) -> Reply:
        """Answer a request for what is kept."""
        name, _, does = rest.removeprefix("/").partition("/")
        if does == "input_items":
            return self.kept.listed(name, request.query)
        if does == "cancel":
            return self.kept.cancel(name)
        if request.method == "DELETE":
            return replace(self.kept.forget(name), body={"object": "response.deleted", "id": name, "deleted": True})
        return _with_filters(self.kept.show(name, request.query), {})


def _with_filters(reply: Reply, more: Json) -> Reply:
    if reply.events is None:
        return replace(reply, body={**_told(reply.body), **more})
    return replace(reply, events=tuple(_event(event, more) for event in reply.events))


def _event(event: Json, more: Json) -> Json:
    if event["type"] == "response.function_call_arguments.done":
        return {name: value for name, value in event.items() if name != "name"}
    if "response" not in event:
        return event
    return {**event, "response": {**_told(event["response"]), **more}}


def _told(response: Json) -> Json:
    over = response["status"] != "in_progress"
    return {
        **response,
        "completed_at": response["created_at"] if over else None,
        "content_filters": FILTERS if over else None,
    }
