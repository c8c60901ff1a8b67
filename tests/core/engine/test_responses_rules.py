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
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]}
FILES: Any = {"type": "file_search", "vector_store_ids": ["vs_1"]}
SPACE = {"type": "namespace", "name": "s", "description": "Of mine.", "tools": [{"type": "custom", "name": "f"}]}
SCREEN = {"type": "computer_use_preview", "environment": "mac", "display_width": 800, "display_height": 600}
TEXT = {"type": "input_text", "text": "Hi"}
PART = {"type": "output_text", "text": "Hi"}
SCREEN_CALL: Any = {"type": "computer_call", "id": "a", "call_id": "b", "pending_safety_checks": [],
                    "status": "completed"}  # fmt: skip
PRINTED: Any = {"type": "shell_call_output", "call_id": "b", "output": [
    {"stdout": "", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}  # fmt: skip
#: The others that are items of hosted tools: the least that each can be.
HOSTED: list[Any] = [
    {"type": "file_search_call", "id": "a", "status": "searching", "queries": ["b"], "results": [{"score": 0.5}]},
    {"type": "computer_call_output", "call_id": "b", "output": {"type": "computer_screenshot"}},
    {"type": "web_search_call", "id": "a", "status": "completed", "action": {"type": "open_page", "url": None}},
    {"type": "image_generation_call", "id": "a", "status": "generating", "result": None},
    {"type": "code_interpreter_call", "id": "a", "status": "failed", "container_id": "b", "code": None,
     "outputs": None},
    {"type": "local_shell_call", "id": "a", "call_id": "b", "status": "completed",
     "action": {"type": "exec", "command": [], "env": {}}},
    {"type": "local_shell_call_output", "id": "a", "output": ""},
    {"type": "shell_call", "call_id": "b", "action": {"commands": ["ls"]}, "caller": {"type": "direct"}},
    {"type": "apply_patch_call", "call_id": "b", "status": "completed",
     "operation": {"type": "delete_file", "path": "a"}},
    {"type": "apply_patch_call_output", "call_id": "b", "status": "failed", "output": None},
    {"type": "mcp_list_tools", "id": "a", "server_label": "b", "tools": [{"name": "c", "input_schema": {}}]},
    {"type": "mcp_approval_request", "id": "a", "server_label": "b", "name": "c", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "a", "approve": False, "reason": None},
    {"type": "mcp_call", "id": "a", "server_label": "b", "name": "c", "arguments": "{}", "error": None},
    {"type": "tool_search_call", "arguments": {}},
    {"type": "tool_search_output", "tools": [{"type": "web_search"}]},
    {"type": "additional_tools", "role": "developer", "tools": [SPACE]},
    {"type": "compaction", "encrypted_content": "a"},
    {"type": "compaction_trigger"},
    {"type": "program", "id": "a", "call_id": "b", "code": "", "fingerprint": ""},
    {"type": "program_output", "id": "a", "call_id": "b", "result": "", "status": "incomplete"},
]  # fmt: skip
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
    "a loose strict form": ({"text": form(OPEN)}, "text.format.schema", "invalid_json_schema"),
    "an item twice": ({"input": [HI, THOUGHT, THOUGHT, CALL, RESULT]}, "input", None),
    "an id of another kind": ({"input": [HI, {**CALL, "id": "call_1"}, RESULT]}, "input[1].id", "invalid_value"),
    "an image that is no URL": (
        {"input": [{**HI, "content": [{"type": "input_image", "image_url": "aW1n"}]}]},
        "input[0].content[0].image_url", "invalid_value",
    ),
    "a call required of no tool": ({"tool_choice": "required"}, "tool_choice", None),
    "effort where no model reasons": ({"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter"),
    "verbosity where no model reasons": ({"text": {"verbosity": "low"}}, "text.verbosity", "unsupported_value"),
    "encrypted reasoning where no model reasons": ({"include": ["reasoning.encrypted_content"]}, "include", None),
    "a form of an old model": ({"model": "gpt-4", "text": form(CLOSED)}, "text.format", None),
    "a tool that is not offered": (
        {"tools": [tool(CLOSED)], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None,
    ),
    "temperature where a model reasons": ({"model": "gpt-5-mini", "temperature": 0.1}, "temperature", None),
    "top_p where a model reasons": ({"model": "o3-mini", "top_p": 0.5}, "top_p", None),
    "temperature where a model reasons by choice": ({"model": "gpt-5.6-sol", "temperature": 0.1}, "temperature", None),
    "top_p at another effort": ({"model": "gpt-5.4", "top_p": 0.5, "reasoning": {"effort": "low"}}, "top_p", None),
    "reasoning at the end": ({"input": [HI, THOUGHT]}, "input", None),
    "reasoning before the user": ({"input": [HI, THOUGHT, HI]}, "input", None),
    "reasoning before an output": ({"input": [HI, CALL, THOUGHT, RESULT]}, "input", None),
    "background unstored": ({"background": True, "store": False}, "background", None),
    "no previous response": ({"previous_response_id": ""}, "previous_response_id", "empty_string"),
    "messages": ({"messages": [HI]}, "messages", "unsupported_parameter"),
    "a response format": ({"response_format": {"type": "text"}}, "response_format", "unsupported_parameter"),
    "a name that chat alone has": ({"n": 2}, "n", "unknown_parameter"),
    "a search in nothing": ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids", MISSING),
    "a comparison with nothing": (
        {"tools": [{**FILES, "filters": {"type": "eq"}}]}, "tools[0].filters.key", MISSING),
    "a conjunction of nothing": (
        {"tools": [{**FILES, "filters": {"type": "and"}}]}, "tools[0].filters.filters", MISSING),
    "a comparison of several": (
        {"tools": [{**FILES, "filters": {"type": "eq", "key": "a", "value": 1, "filters": []}}]},
        "tools[0].filters.filters", "unknown_parameter"),
    "a filter in a filter": (
        {"tools": [{**FILES, "filters": {"type": "and", "filters": [{"type": "eq", "key": 1, "value": 1}]}}]},
        "tools[0].filters.filters[0].key", "invalid_type"),
    "more memory than there is": (
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "2g"}}]},
        "tools[0].container.memory_limit", "invalid_value"),
    "too many files": (
        {"tools": [{"type": "shell", "environment": {"type": "container_auto", "file_ids": ["f"] * 51}}]},
        "tools[0].environment.file_ids", "array_above_max_length"),
    "an approval of another kind": (
        {"tools": [{"type": "mcp", "server_label": "a", "require_approval": "sometimes"}]},
        "tools[0].require_approval", "invalid_value"),
    "tools that are no names": (
        {"tools": [{"type": "mcp", "server_label": "a", "allowed_tools": {"names": []}}]},
        "tools[0].allowed_tools.names", "unknown_parameter"),
    "a call of an MCP server without its name": (
        {"input": [{"type": "mcp_call", "id": "a", "server_label": "b", "arguments": "{}"}]}, "input[0].name", MISSING),
    "a search without its end": (
        {"input": [{"type": "web_search_call", "id": "a", "action": {}}]}, "input[0].status", MISSING),
    "a click of no button": (
        {"input": [{**SCREEN_CALL, "action": {"type": "click", "x": 1, "y": 2}}]}, "input[0].action.button", MISSING),
    "an end of no kind": (
        {"input": [{**PRINTED, "output": [{"stdout": "", "stderr": "", "outcome": {"type": "exit"}}]}]},
        "input[0].output[0].outcome.exit_code", MISSING),
    "a result of a program without its end": (
        {"input": [{"type": "program_output", "id": "a", "call_id": "b", "result": ""}]}, "input[0].status", MISSING),
    "tools that the user adds": (
        {"input": [{"type": "additional_tools", "role": "user", "tools": []}]}, "input[0].role", "invalid_value"),
    "a tool that was found": (
        {"input": [{"type": "tool_search_output", "tools": [{"type": "mcp"}]}]},
        "input[0].tools[0].server_label", MISSING),
    "an approval that is a word": (
        {"input": [{"type": "mcp_approval_response", "approval_request_id": "a", "approve": "yes"}]},
        "input[0].approve", "invalid_type"),
    "an id that is none": (
        {"input": [{"type": "local_shell_call_output", "id": 1, "output": ""}]}, "input[0].id", "invalid_type"),
    "a call whose id is null": ({"input": [{**CALL, "id": None}, RESULT]}, "input[0].id", "invalid_type"),
    "a call whose end is null": ({"input": [{**CALL, "status": None}, RESULT]}, "input[0].status", "invalid_value"),
    "reasoning whose end is null": ({"input": [{**THOUGHT, "status": None}, SAID]}, "input[0].status", "invalid_value"),
    "a custom tool's output whose id is null": (
        {"input": [{**RESULT, "type": "custom_tool_call_output", "id": None}]}, "input[0].id", "invalid_type"),
    "a caller without its id": (
        {"input": [{**CALL, "caller": {"type": "program"}}, RESULT]}, "input[0].caller.caller_id", MISSING),
    "a place of no kind": (
        {"tools": [{"type": "web_search_preview", "user_location": {}}]}, "tools[0].user_location.type", MISSING),
    "code that runs nowhere": ({"tools": [{"type": "code_interpreter"}]}, "tools[0].container", MISSING),
    "a server without its label": ({"tools": [{"type": "mcp"}]}, "tools[0].server_label", MISSING),
    "an empty namespace": ({"tools": [{**SPACE, "tools": []}]}, "tools[0].tools", "empty_array"),
    "a question of the assistant": (
        {"input": [{"role": "assistant", "content": [TEXT]}]}, "input[0].content[0].type", "invalid_value",
    ),
    "a part as chat has it": (
        {"input": [{**HI, "content": [{"type": "text", "text": "Hi"}]}]}, "input[0].content[0].type", "invalid_value",
    ),
    "an answer of the user": ({"input": [{**HI, "content": [PART]}]}, "input[0].content[0].type", "invalid_value"),
    "reasoning of no kind": (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "content": [{}]}, HI]},
        "input[0].content[0].type", MISSING,
    ),
    "a width in words": ({"tools": [{**SCREEN, "display_width": "wide"}]}, "tools[0].display_width", "invalid_type"),
    "a namespace of another kind": (
        {"tools": [{**SPACE, "tools": [{"type": "mcp", "name": "f"}]}]}, "tools[0].tools[0].type", "invalid_value",
    ),
    "no compaction": ({"context_management": []}, "context_management", "empty_array"),
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
    "reasoning that tells nothing": {"input": [HI, {**THOUGHT, "content": None, "encrypted_content": None}, SAID]},
    "items of hosted tools": {"input": [HI, SCREEN_CALL, PRINTED, *HOSTED]},
    "hosted tools": {
        "tools": [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}, SPACE, SCREEN]
    },
    "filters": {
        "tools": [
            {**FILES, "filters": {"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}]}},
            {"type": "web_search", "user_location": {"city": "Oslo"}, "filters": {"allowed_domains": ["a.b"]}},
        ]
    },
    "what was said": {"input": [HI, {"role": "assistant", "content": [PART]}, {**HI, "content": [TEXT]}]},
    "a caller": {"tools": [tool(CLOSED, allowed_callers=["programmatic"])]},
    "a breakpoint": {"input": [{**HI, "content": [{**TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}}]}]},
    "reasoning before a message": {"input": [HI, THOUGHT, SAID]},
    "reasoning before reasoning and a call": {"input": [HI, THOUGHT, {**THOUGHT, "id": "rs_2"}, CALL, RESULT]},
    "temperature at an effort of none": {"model": "gpt-5.6-sol", "temperature": 0.1, "reasoning": {"effort": "none"}},
    "temperature where none is usual": {"model": "gpt-5.4", "top_p": 0.5, "reasoning": {"summary": "auto"}},
    "background stored": {"background": True, "store": None},
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


def test_reasoning_that_is_alone_is_named() -> None:
    message = body_of(asked({"input": [HI, THOUGHT]}))["error"]["message"]
    assert message == "Item 'rs_1' of type 'reasoning' was provided without its required following item."


WORDS = "word " * 7000


def test_a_prompt_that_is_too_long_is_refused_in_words_of_its_own() -> None:
    assert body_of(asked({"model": "gpt-4", "input": "word " * 9000}))["error"] == {
        "message": "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "context_length_exceeded",
    }


@pytest.mark.parametrize(
    ("items", "left"),
    [
        ([{**HI, "content": WORDS}, SAID, {**HI, "content": WORDS}], ["a", WORDS]),
        ([{"role": "developer", "content": "Be kind."}, {**HI, "content": WORDS}, {**HI, "content": WORDS}],
         ["Be kind.", WORDS]),
        ([HI, {**CALL, "arguments": WORDS}, RESULT, {**HI, "content": WORDS}], [WORDS]),
        ([HI, {**HI, "content": WORDS}], ["Hi", WORDS]),
    ],
    ids=["the first", "not the system's", "an output with its call", "nothing"],
)  # fmt: skip
def test_what_does_not_fit_is_dropped_where_that_is_asked(items: list[Any], left: list[str]) -> None:
    exchange = asked({"model": "gpt-4", "input": items, "truncation": "auto"})
    call = exchange.claim.call
    assert call
    assert [message.text for message in call.messages] == left
    assert call.prompt_tokens < 8192
    assert body_of(exchange)["usage"]["input_tokens"] == call.prompt_tokens
    assert [note.message for note in exchange.notes] == [
        f"{count} messages were dropped, so that the others fit the context window"
        for count in [len(items) - len(left)] if count
    ]  # fmt: skip


def test_one_message_that_does_not_fit_is_refused_all_the_same() -> None:
    assert asked({"model": "gpt-4", "input": "word " * 9000, "truncation": "auto"}).timeline.status == 400


@pytest.mark.parametrize(
    ("body", "effort", "top_p"),
    [
        ({"model": "gpt-4o"}, None, 1),
        ({"model": "gpt-5"}, "medium", 1),
        ({"model": "o3", "reasoning": {"effort": "low"}}, "low", 1),
        ({"model": "gpt-5.1", "reasoning": {"summary": "auto"}}, "none", 1),
        ({"model": "gpt-5.2"}, "none", 0.98),
        ({"model": "gpt-5.2", "top_p": 0.5, "reasoning": None}, "none", 0.5),
        ({"model": "gpt-5.6-sol", "top_p": None}, "medium", 0.98),
    ],
    ids=str,
)
def test_an_answer_tells_what_the_model_does_unasked(body: dict[str, Any], effort: str | None, top_p: float) -> None:
    told = body_of(asked(body))
    assert (told["reasoning"]["effort"], told["top_p"]) == (effort, top_p)
