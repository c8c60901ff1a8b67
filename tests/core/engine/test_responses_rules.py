"""What OpenAI's facts rule out of a request for a Response, though its schema allows it."""

from __future__ import annotations

from typing import Any

import pytest
from build import body_of, make_session

HI = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OTHER = {**CALL, "call_id": "call_2"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "21"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**OPEN, "additionalProperties": False}
SPACE = {"type": "namespace", "name": "s", "description": "Of mine.", "tools": [{"type": "custom", "name": "f"}]}
TEXT = {"type": "input_text", "text": "Hi"}
MISSING = "missing_required_parameter"


def tool(parameters: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": "f", "parameters": parameters, **more}


def form(schema: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}}


WRONG: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "an output without its call": ({"input": [HI, RESULT]}, "input", None),
    "an output of another call": ({"input": [HI, CALL, {**RESULT, "call_id": "call_9"}]}, "input", None),
    "a call without its output": ({"input": [HI, CALL]}, "input", None),
    "one of two calls": ({"input": [HI, CALL, OTHER, RESULT]}, "input", None),
    "a model that there is not": ({"model": "nope"}, "model", "model_not_found"),
    "a model for something else": ({"model": "text-embedding-3-small"}, "model", "model_not_found"),
    "options of no stream": ({"stream_options": {"include_obfuscation": False}}, "stream_options", None),
    "an effort that the model does not take": (
        {"model": "gpt-5-mini", "reasoning": {"effort": "none"}}, "reasoning.effort", "unsupported_value",
    ),
    "no word JSON": ({"text": {"format": {"type": "json_object"}}}, "text.format", None),
    "a loose strict tool": ({"tools": [tool(OPEN, strict=True)]}, "tools[0].parameters", "invalid_function_parameters"),
    "a loose strict form": ({"text": form(OPEN)}, "text.format.schema", None),
    "a tool that is not offered": (
        {"tools": [tool(CLOSED)], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None,
    ),
    "temperature where a model reasons": ({"model": "gpt-5-mini", "temperature": 0.1}, "temperature", None),
    "top_p where a model reasons": ({"model": "o3-mini", "top_p": 0.5}, "top_p", None),
    "messages": ({"messages": [HI]}, "messages", "unsupported_parameter"),
    "a response format": ({"response_format": {"type": "text"}}, "response_format", "unsupported_parameter"),
    "a name that chat alone has": ({"n": 2}, "n", "unknown_parameter"),
    "a search in nothing": ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids", MISSING),
    "code that runs nowhere": ({"tools": [{"type": "code_interpreter"}]}, "tools[0].container", MISSING),
    "a server without its label": ({"tools": [{"type": "mcp"}]}, "tools[0].server_label", MISSING),
    "an empty namespace": ({"tools": [{**SPACE, "tools": []}]}, "tools[0].tools", "empty_array"),
    "another caller": (
        {"tools": [tool(CLOSED, allowed_callers=["me"])]}, "tools[0].allowed_callers[0]", "invalid_value",
    ),
    "moderation by nothing": ({"moderation": {}}, "moderation.model", MISSING),
    "a breakpoint of no kind": (
        {"input": [{**HI, "content": [{**TEXT, "prompt_cache_breakpoint": {}}]}]},
        "input[0].content[0].prompt_cache_breakpoint.mode", MISSING,
    ),
}  # fmt: skip
RIGHT: dict[str, dict[str, Any]] = {
    "two calls and their outputs": {"input": [HI, CALL, OTHER, {**RESULT, "call_id": "call_2"}, RESULT]},
    "an output after another message": {"input": [HI, CALL, HI, RESULT]},
    "the word JSON": {"input": "As JSON.", "text": {"format": {"type": "json_object"}}},
    "a strict tool": {"tools": [tool(CLOSED, strict=True)]},
    "a loose tool": {"tools": [tool(OPEN, strict=False)]},
    "a strict form": {"text": form(CLOSED)},
    "a tool that is offered": {"tools": [tool(CLOSED)], "tool_choice": {"type": "function", "name": "f"}},
    "temperature where none reasons": {"temperature": 0.1, "top_p": 0.5},
    "hosted tools": {"tools": [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}, SPACE]},
    "a caller": {"tools": [tool(CLOSED, allowed_callers=["programmatic"])]},
    "a breakpoint": {"input": [{**HI, "content": [{**TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}}]}]},
    "no temperature": {"model": "gpt-5-mini", "temperature": None},
}


def asked(body: dict[str, Any]) -> Any:
    made = make_session({"rules": []}, provider="openai")
    return made.send("openai", {"model": "gpt-4o", "input": "Hi", **body}, path="/responses")


@pytest.mark.parametrize(("body", "param", "code"), WRONG.values(), ids=WRONG)
def test_what_is_ruled_out_is_refused(body: dict[str, Any], param: str, code: str | None) -> None:
    exchange = asked(body)
    error = body_of(exchange)["error"]
    assert (exchange.timeline.status, error["param"], error["code"]) == (400, param, code)


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_answered(body: dict[str, Any]) -> None:
    exchange = asked(body)
    assert (exchange.timeline.status, exchange.refusal) == (200, None)


def test_a_name_that_moved_says_where_to() -> None:
    error = body_of(asked({"max_completion_tokens": 20}))["error"]
    assert error["message"] == (
        "Unsupported parameter: 'max_completion_tokens'. In the Responses API, this parameter has moved to "
        "'max_output_tokens'. Try again with the new parameter. See the API documentation for more information: "
        "https://platform.openai.com/docs/api-reference/responses/create."
    )
