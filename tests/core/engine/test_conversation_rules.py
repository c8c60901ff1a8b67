"""What OpenAI's facts rule out and what they allow, there and at the providers that are compatible with it."""

from __future__ import annotations

from typing import Any

import pytest
from build import PROVIDERS, body_of, make_session

from emulator.core.provider.conversation.rule import Asked, Selector
from emulator.core.provider.conversation.rules import RULES, ConversationRules, read_rule, rule_problems, told
from emulator.core.provider.conversation.strict_schemas import loose_problem, strict_problem
from emulator.core.values import Exchange
from emulator.core.wires.request.conversation import Conversation, Message

Body = dict[str, Any]
MODEL = "gpt-4o"
#: A model of each provider that says that it is compatible.
COMPATIBLE = {"beatra": "auto", "brainstormrouter": "auto", "braintwin": "gpt-4", "brivionix": "gpt-5.4-mini",
              "compatible": "any-model"}  # fmt: skip


def user(content: Any = "Say it as JSON.") -> Body:
    return {"role": "user", "content": content}


def chat(**fields: Any) -> Body:
    return {"model": MODEL, "messages": [user()], **fields}


def talk(*messages: Body, **fields: Any) -> Body:
    return chat(messages=list(messages), **fields)


def tool(name: str = "f", **function: Any) -> Body:
    return {"type": "function", "function": {"name": name, **function}}


def calls(*ids: str, name: str = "f") -> Body:
    made = [{"id": each, "type": "function", "function": {"name": name, "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": made}


def answer(call_id: str) -> Body:
    return {"role": "tool", "tool_call_id": call_id, "content": "21"}


def strict(schema: Any) -> list[Body]:
    return [tool(strict=True, parameters=schema)]


def asks_for(schema: Any, **more: Any) -> Body:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True, **more}}


GOOD_SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}}
REFUSAL = {"type": "refusal", "refusal": "No."}
TEXT = {"type": "text", "text": "JSON"}

#: id: the body, the code and the param; what compatible APIs refuse too.
RULED_OUT: dict[str, tuple[Body, str | None, str | None]] = {
    # structure
    "no-messages": ({"model": MODEL}, "missing_required_parameter", "messages"),
    "null-messages": (chat(messages=None), "invalid_type", "messages"),
    "text-messages": (chat(messages="Hi"), "invalid_type", "messages"),
    "empty-messages": (chat(messages=[]), "empty_array", "messages"),
    "text-message": (chat(messages=["Hi"]), "invalid_type", "messages[0]"),
    "no-role": (talk({"content": "Hi"}), "missing_required_parameter", "messages[0].role"),
    "robot": (talk({"role": "robot", "content": "Hi"}), "invalid_value", "messages[0].role"),
    "no-content": (talk({"role": "user"}), "missing_required_parameter", "messages[0].content"),
    "null-content": (talk(user(None)), "invalid_type", "messages[0].content"),
    "number-content": (talk(user(5)), "invalid_type", "messages[0].content"),
    "no-parts": (talk(user([])), "empty_array", "messages[0].content"),
    "odd-part": (talk(user([{"type": "video"}])), "invalid_value", "messages[0].content[0].type"),
    "part-without-text": (talk(user([{"type": "text"}])), "missing_required_parameter", "messages[0].content[0].text"),
    "image-without-url": (
        talk(user([{"type": "image_url", "image_url": {}}])),
        "missing_required_parameter",
        "messages[0].content[0].image_url.url",
    ),
    "image-detail": (
        talk(user([{"type": "image_url", "image_url": {"url": "https://a.b/c", "detail": "some"}}])),
        "invalid_value",
        "messages[0].content[0].image_url.detail",
    ),
    "image-from-the-system": (
        talk({"role": "system", "content": [IMAGE]}, user()),
        "invalid_value",
        "messages[0].content[0].type",
    ),
    "audio-format": (
        talk(user([{"type": "input_audio", "input_audio": {"data": "", "format": "ogg"}}])),
        "invalid_value",
        "messages[0].content[0].input_audio.format",
    ),
    "file-data": (
        talk(user([{"type": "file", "file": {"file_data": 5}}])),
        "invalid_type",
        "messages[0].content[0].file.file_data",
    ),
    "name-of-a-speaker": (talk({**user(), "name": "a b"}), "invalid_value", "messages[0].name"),
    "long-name-of-a-speaker": (talk({**user(), "name": "a" * 65}), "string_above_max_length", "messages[0].name"),
    "call-without-id": (
        talk(
            user(),
            {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": ""}}]},
        ),
        "missing_required_parameter",
        "messages[1].tool_calls[0].id",
    ),
    "call-arguments": (
        talk(
            user(),
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}],
            },
        ),
        "invalid_type",
        "messages[1].tool_calls[0].function.arguments",
    ),
    "call-name": (
        talk(user(), calls("1", name="a.b"), answer("1")),
        "invalid_value",
        "messages[1].tool_calls[0].function.name",
    ),
    "tool-without-id": (
        talk(user(), calls("1"), {"role": "tool", "content": "21"}),
        "missing_required_parameter",
        "messages[2].tool_call_id",
    ),
    "tool-null": (
        talk(user(), calls("1"), {**answer("1"), "content": None}),
        "invalid_type",
        "messages[2].content",
    ),
    # types
    "n-text": (chat(n="2"), "invalid_type", "n"),
    "n-half": (chat(n=1.5), "invalid_type", "n"),
    "temperature-text": (chat(temperature="hot"), "invalid_type", "temperature"),
    "top-p-text": (chat(top_p="1"), "invalid_type", "top_p"),
    "cap-text": (chat(max_tokens="5"), "invalid_type", "max_tokens"),
    "stream-text": (chat(stream="yes"), "invalid_type", "stream"),
    "logprobs-number": (chat(logprobs=1), "invalid_type", "logprobs"),
    "seed-text": (chat(seed="1"), "invalid_type", "seed"),
    "user-number": (chat(user=5), "invalid_type", "user"),
    "stop-number": (chat(stop=5), "invalid_type", "stop"),
    "stop-numbers": (chat(stop=[5]), "invalid_type", "stop[0]"),
    "store-text": (chat(store="yes"), "invalid_type", "store"),
    "metadata-list": (chat(metadata=[]), "invalid_type", "metadata"),
    "metadata-number": (chat(metadata={"a": 1}), "invalid_type", "metadata.a"),
    "bias-text": (chat(logit_bias={"5": "x"}), "invalid_type", "logit_bias.5"),
    "tools-object": (chat(tools={}), "invalid_type", "tools"),
    "parallel-text": (chat(tools=[tool()], parallel_tool_calls="no"), "invalid_type", "parallel_tool_calls"),
    "usage-text": (
        chat(stream=True, stream_options={"include_usage": "yes"}),
        "invalid_type",
        "stream_options.include_usage",
    ),
    "parameters-text": (chat(tools=[tool(parameters="x")]), "invalid_type", "tools[0].function.parameters"),
    # words
    "effort": (chat(reasoning_effort="huge"), "invalid_value", "reasoning_effort"),
    "verbosity": (chat(verbosity="huge"), "invalid_value", "verbosity"),
    "tier": (chat(service_tier="gold"), "invalid_value", "service_tier"),
    "modality": (chat(modalities=["smell"]), "invalid_value", "modalities[0]"),
    "format": (chat(response_format={"type": "xml"}), "invalid_value", "response_format.type"),
    "choice": (chat(tools=[tool()], tool_choice="perhaps"), "invalid_value", "tool_choice"),
    "voice": (
        chat(modalities=["text", "audio"], audio={"voice": "alloy", "format": "ogg"}),
        "invalid_value",
        "audio.format",
    ),
    "retention": (chat(prompt_cache_retention="7d"), "invalid_value", "prompt_cache_retention"),
    "tool-type": (chat(tools=[{"type": "gadget"}]), "invalid_value", "tools[0].type"),
    # ranges
    "temperature-above": (chat(temperature=2.1), "decimal_above_max_value", "temperature"),
    "temperature-below": (chat(temperature=-0.1), "decimal_below_min_value", "temperature"),
    "top-p-above": (chat(top_p=1.1), "decimal_above_max_value", "top_p"),
    "top-p-below": (chat(top_p=-1), "decimal_below_min_value", "top_p"),
    "frequency-above": (chat(frequency_penalty=2.5), "decimal_above_max_value", "frequency_penalty"),
    "frequency-below": (chat(frequency_penalty=-2.5), "decimal_below_min_value", "frequency_penalty"),
    "presence-above": (chat(presence_penalty=2.5), "decimal_above_max_value", "presence_penalty"),
    "presence-below": (chat(presence_penalty=-3), "decimal_below_min_value", "presence_penalty"),
    "n-below": (chat(n=0), "integer_below_min_value", "n"),
    "n-above": (chat(n=129), "integer_above_max_value", "n"),
    "cap-below": (chat(max_tokens=0), "integer_below_min_value", "max_tokens"),
    "completion-cap-below": (chat(max_completion_tokens=0), "integer_below_min_value", "max_completion_tokens"),
    "top-logprobs-above": (chat(logprobs=True, top_logprobs=21), "integer_above_max_value", "top_logprobs"),
    "top-logprobs-below": (chat(logprobs=True, top_logprobs=-1), "integer_below_min_value", "top_logprobs"),
    "bias-above": (chat(logit_bias={"5": 101}), "integer_above_max_value", "logit_bias.5"),
    "bias-below": (chat(logit_bias={"5": -101}), "integer_below_min_value", "logit_bias.5"),
    # lengths
    "five-stops": (chat(stop=list("abcde")), "array_above_max_length", "stop"),
    "no-stops": (chat(stop=[]), "empty_array", "stop"),
    "129-tools": (chat(tools=[tool(f"f{n}") for n in range(129)]), "array_above_max_length", "tools"),
    "129-functions": (chat(functions=[{"name": f"f{n}"} for n in range(129)]), "array_above_max_length", "functions"),
    "tool-name": (chat(tools=[tool("a.b")]), "invalid_value", "tools[0].function.name"),
    "tool-name-long": (chat(tools=[tool("a" * 65)]), "string_above_max_length", "tools[0].function.name"),
    "tool-without-name": (
        chat(tools=[{"type": "function", "function": {}}]),
        "missing_required_parameter",
        "tools[0].function.name",
    ),
    "17-pairs": (chat(metadata={str(n): "x" for n in range(17)}), "object_above_max_properties", "metadata"),
    "long-key": (chat(metadata={"a" * 65: "x"}), "property_name_above_max_length", "metadata"),
    "long-value": (chat(metadata={"a": "x" * 513}), "string_above_max_length", "metadata.a"),
    "long-identifier": (chat(safety_identifier="x" * 65), "string_above_max_length", "safety_identifier"),
    "format-without-name": (
        chat(response_format={"type": "json_schema", "json_schema": {}}),
        "missing_required_parameter",
        "response_format.json_schema.name",
    ),
    "format-name": (
        chat(response_format={"type": "json_schema", "json_schema": {"name": "a b"}}),
        "invalid_value",
        "response_format.json_schema.name",
    ),
    # null that means nothing
    "null-tools": (chat(tools=None), "invalid_type", "tools"),
    "null-user": (chat(user=None), "invalid_type", "user"),
    "null-format": (chat(response_format=None), "invalid_type", "response_format"),
    # one field and another
    "silent-assistant": (talk(user(), {"role": "assistant", "content": None}), None, "messages.[1].content"),
    "empty-assistant": (talk(user(), {"role": "assistant"}), None, "messages.[1].content"),
    "silent-with-no-calls": (
        talk(user(), {"role": "assistant", "tool_calls": []}),
        "empty_array",
        "messages[1].tool_calls",
    ),
    "refusal-beside-text": (
        talk(user(), {"role": "assistant", "content": [TEXT, REFUSAL]}),
        "invalid_value",
        "messages[1].content[1]",
    ),
    "answer-first": (talk(answer("1")), None, "messages.[0].role"),
    "answer-to-a-user": (talk(user(), answer("1")), None, "messages.[1].role"),
    "answer-after-a-text": (
        talk(user(), {"role": "assistant", "content": "a"}, answer("1")),
        None,
        "messages.[2].role",
    ),
    "call-left-open": (talk(user(), calls("1"), user()), None, "messages.[2].role"),
    "call-at-the-end": (talk(user(), calls("1")), None, "messages"),
    "one-call-of-two": (talk(user(), calls("1", "2"), answer("1")), None, "messages"),
    "answer-too-late": (talk(user(), calls("1", "2"), answer("1"), user(), answer("2")), None, "messages.[4].role"),
    "answer-to-another": (talk(user(), calls("1"), answer("2")), None, "messages"),
    "answer-too-many": (talk(user(), calls("1"), answer("1"), answer("2")), None, "messages.[3].role"),
    "choice-without-tools": (chat(tool_choice="auto"), None, "tool_choice"),
    "choice-of-another": (
        chat(tools=[tool()], tool_choice={"type": "function", "function": {"name": "g"}}),
        None,
        "tool_choice",
    ),
    "choice-of-no-custom": (
        chat(tools=[tool()], tool_choice={"type": "custom", "custom": {"name": "f"}}),
        None,
        "tool_choice",
    ),
    "allowed-of-another": (
        chat(
            tools=[tool()],
            tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("g")]}},
        ),
        None,
        "tool_choice",
    ),
    "parallel-without-tools": (chat(parallel_tool_calls=False), None, "parallel_tool_calls"),
    "top-logprobs-alone": (chat(top_logprobs=2), None, "top_logprobs"),
    "top-logprobs-without": (chat(logprobs=False, top_logprobs=2), None, "top_logprobs"),
    "stream-options-alone": (chat(stream_options={"include_usage": True}), None, "stream_options"),
    "stream-options-without": (chat(stream=False, stream_options={}), None, "stream_options"),
    "no-word": (talk(user("Hi"), response_format={"type": "json_object"}), None, "messages"),
    "two-caps": (chat(max_tokens=5, max_completion_tokens=5), "invalid_parameter_combination", "max_tokens"),
    "no-audio": (chat(modalities=["text", "audio"]), "missing_required_parameter", "audio"),
    "prediction-and-n": (
        chat(prediction={"type": "content", "content": "a"}, n=2),
        "invalid_parameter_combination",
        "prediction",
    ),
    "prediction-and-tools": (
        chat(prediction={"type": "content", "content": "a"}, tools=[tool()]),
        "invalid_parameter_combination",
        "prediction",
    ),
    # schemas of tools
    "bare-object": (
        chat(tools=[tool(parameters={"type": "object"})]),
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    "bare-list": (
        chat(tools=[tool(parameters={"type": "object", "properties": {"a": {"type": "array"}}})]),
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    "strict-open": (chat(tools=strict(OPEN_SCHEMA)), "invalid_function_parameters", "tools[0].function.parameters"),
    "strict-optional": (
        chat(tools=strict({**GOOD_SCHEMA, "required": []})),
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    "strict-text": (
        chat(tools=strict({"type": "string"})),
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    "strict-not": (
        chat(tools=strict({**GOOD_SCHEMA, "properties": {"a": {"not": {}}}})),
        "invalid_function_parameters",
        "tools[0].function.parameters",
    ),
    "strict-answer-open": (chat(response_format=asks_for(OPEN_SCHEMA)), None, "response_format"),
}

#: What OpenAI alone refuses: fields that it does not know, and what its models do not take.
ONLY_THERE: dict[str, tuple[Body, int, str | None, str | None]] = {
    "no-model": ({"messages": [user()]}, 400, None, None),
    "empty-model": (chat(model=""), 400, None, None),
    "null-model": (chat(model=None), 400, None, None),
    "number-model": (chat(model=4), 400, None, None),
    "unknown-model": (chat(model="gpt-99"), 404, "model_not_found", None),
    "unknown-field": (chat(foo=1), 400, "unknown_parameter", "foo"),
    "unknown-option": (
        chat(stream=True, stream_options={"bogus": 1}),
        400,
        "unknown_parameter",
        "stream_options.bogus",
    ),
    "unknown-in-a-message": (talk({**user(), "mood": "good"}), 400, "unknown_parameter", "messages[0].mood"),
    "no-chat-model": (chat(model="gpt-5-pro"), 404, None, "model"),
    "no-system": (
        talk({"role": "system", "content": "a"}, user(), model="o1-mini"),
        400,
        "unsupported_value",
        "messages[0].role",
    ),
    "no-audio-model": (talk(user([AUDIO])), 400, "invalid_value", "messages[0]"),
    "no-audio-output": (
        chat(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}),
        400,
        "invalid_value",
        "modalities",
    ),
    "no-search": (chat(web_search_options={}), 400, None, "web_search_options"),
    "no-prediction": (
        chat(model="gpt-4", prediction={"type": "content", "content": "a"}),
        400,
        "unsupported_parameter",
        "prediction",
    ),
    "cap-of-a-reasoner": (chat(model="gpt-5", max_tokens=5), 400, "unsupported_parameter", "max_tokens"),
    "cap-of-an-o": (chat(model="o3", max_tokens=5), 400, "unsupported_parameter", "max_tokens"),
    "cap-too-large": (chat(max_tokens=32_000), 400, "invalid_value", "max_tokens"),
    "completion-cap-too-large": (
        chat(model="gpt-5", max_completion_tokens=128_001),
        400,
        "invalid_value",
        "max_completion_tokens",
    ),
    "temperature-of-a-reasoner": (chat(model="gpt-5-mini", temperature=0), 400, "unsupported_value", "temperature"),
    "temperature-of-o3-mini": (chat(model="o3-mini", temperature=1), 400, "unsupported_parameter", "temperature"),
    "temperature-while-it-reasons": (
        chat(model="gpt-5.2", temperature=0.5, reasoning_effort="low"),
        400,
        "unsupported_value",
        "temperature",
    ),
    "top-p-while-it-reasons": (chat(model="gpt-5.6-sol", top_p=0.5), 400, "unsupported_parameter", "top_p"),
    "logprobs-while-it-reasons": (chat(model="gpt-5.5", logprobs=True), 400, "unsupported_parameter", "logprobs"),
    "penalty-while-it-reasons": (
        chat(model="gpt-5.5", presence_penalty=0.5),
        400,
        "unsupported_parameter",
        "presence_penalty",
    ),
    "stop-of-o3": (chat(model="o3", stop="a"), 400, "unsupported_parameter", "stop"),
    "bias-of-terra": (chat(model="gpt-5.6-terra", logit_bias={}), 400, "unsupported_parameter", "logit_bias"),
    "search-of-terra": (
        chat(model="gpt-5.6-terra", web_search_options={}),
        400,
        "unknown_parameter",
        "web_search_options",
    ),
    "effort-none-of-gpt-5": (
        chat(model="gpt-5", reasoning_effort="none"),
        400,
        "unsupported_value",
        "reasoning_effort",
    ),
    "effort-xhigh-of-o1": (chat(model="o1", reasoning_effort="xhigh"), 400, "unsupported_value", "reasoning_effort"),
    "effort-of-terra": (
        chat(model="gpt-5.6-terra", reasoning_effort="minimal"),
        400,
        "unsupported_value",
        "reasoning_effort",
    ),
    "tools-while-it-reasons": (chat(model="gpt-6-sol", tools=[tool()]), 400, None, "reasoning_effort"),
    "tools-of-astra": (chat(model="gpt-6-astra", tools=[tool()], reasoning_effort="low"), 400, None, "tools"),
    "too-long": (talk(user("word " * 9000), model="gpt-4"), 400, "context_length_exceeded", "messages"),
}

#: Unusual, and right.
RIGHT: dict[str, Body] = {
    "smallest": chat(),
    "another-key-of-a-text": talk(user([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}])),
    "nulls": chat(
        **dict.fromkeys(
            (
                "audio",
                "frequency_penalty",
                "logit_bias",
                "logprobs",
                "max_completion_tokens",
                "max_tokens",
                "metadata",
                "modalities",
                "moderation",
                "n",
                "prediction",
                "presence_penalty",
                "prompt_cache_key",
                "prompt_cache_retention",
                "reasoning_effort",
                "safety_identifier",
                "seed",
                "service_tier",
                "stop",
                "store",
                "stream",
                "stream_options",
                "temperature",
                "top_logprobs",
                "top_p",
                "verbosity",
            )
        )
    ),
    "metadata-without-store": chat(metadata={"a": "b"}),
    "temperature-0": chat(temperature=0),
    "temperature-2": chat(temperature=2),
    "both": chat(temperature=0.5, top_p=0.5),
    "top-p-0": chat(top_p=0),
    "penalties": chat(frequency_penalty=-2, presence_penalty=2.0),
    "n-128": chat(n=128),
    "cap-1": chat(max_completion_tokens=1),
    "cap-whole-decimal": chat(max_completion_tokens=5.0),
    "cap-old": chat(max_tokens=16_384),
    "two-caps-one-null": chat(max_tokens=None, max_completion_tokens=5),
    "stop-text": chat(stop="a"),
    "stop-four": chat(stop=list("abcd")),
    "bias": chat(logit_bias={"50256": -100}),
    "logprobs": chat(logprobs=True, top_logprobs=20),
    "logprobs-0": chat(logprobs=True, top_logprobs=0),
    "seed": chat(seed=-(2**63)),
    "stream": chat(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
    "stream-options-null": chat(stream_options=None),
    "store": chat(store=True, metadata={"a" * 64: "x" * 512}),
    "tier": chat(service_tier="flex"),
    "developer": talk({"role": "developer", "content": "Be brief."}, user()),
    "system-last": talk(user(), {"role": "system", "content": "Be brief."}),
    "only-system": talk({"role": "system", "content": "Say hi."}),
    "two-users": talk(user(), user()),
    "assistant-first": talk({"role": "assistant", "content": "Hi"}, user()),
    "assistant-last": talk(user(), {"role": "assistant", "content": "And"}),
    "empty-text": talk(user("")),
    "text-parts": talk(user([TEXT, TEXT])),
    "image": talk(user([TEXT, IMAGE])),
    "file": talk(user([{"type": "file", "file": {"file_id": "file-1"}}])),
    "refusal-part": talk(user(), {"role": "assistant", "content": [REFUSAL]}, user()),
    "refusal-sent-back": talk(user(), {"role": "assistant", "content": None, "refusal": "No."}, user()),
    "audio-sent-back": talk(
        user(), {"role": "assistant", "audio": {"id": "audio_1"}}, user(), model="gpt-4o-audio-preview"
    ),
    "audio-in": talk(user([AUDIO]), model="gpt-4o-audio-preview"),
    "audio-out": chat(
        model="gpt-4o-audio-preview", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
    ),
    "names": talk({**user(), "name": "a-b_C9"}),
    "tools": chat(tools=[tool(), tool("g", parameters=GOOD_SCHEMA)]),
    "tools-strict": chat(tools=strict(GOOD_SCHEMA)),
    "tools-strict-null": chat(tools=[tool(strict=None, parameters=OPEN_SCHEMA)]),
    "tool-without-parameters": chat(tools=[tool(parameters={})]),
    "custom-tool": chat(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]),
    "choice-of-a-custom": chat(
        tools=[{"type": "custom", "custom": {"name": "c"}}], tool_choice={"type": "custom", "custom": {"name": "c"}}
    ),
    "choice": chat(
        tools=[tool()], tool_choice={"type": "function", "function": {"name": "f"}}, parallel_tool_calls=False
    ),
    "choice-none": chat(tools=[tool()], tool_choice="none"),
    "allowed": chat(
        tools=[tool()], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool()]}}
    ),
    "functions": chat(functions=[{"name": "f"}], function_call="auto"),
    "loop": talk(user(), calls("1"), answer("1"), tools=[tool()]),
    "loop-without-tools": talk(user(), calls("1"), answer("1")),
    "two-answers": talk(user(), calls("1", "2"), answer("2"), answer("1"), user()),
    "custom-loop": talk(
        user(),
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "c", "input": "x"}}]},
        answer("1"),
    ),
    "two-loops": talk(user(), calls("1"), answer("1"), calls("2"), answer("2"), tools=[tool()]),
    "call-with-text": talk(user(), {**calls("1"), "content": "Wait."}, answer("1")),
    "function-message": talk(
        user(),
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "21"},
    ),
    "json-object": talk(user("Some jSoN."), response_format={"type": "json_object"}),
    "json-word-in-the-system": talk(
        {"role": "system", "content": "Answer in JSON"}, user("Hi"), response_format={"type": "json_object"}
    ),
    "json-schema": chat(response_format=asks_for(GOOD_SCHEMA)),
    "json-schema-loose": chat(response_format=asks_for(OPEN_SCHEMA, strict=False)),
    "format-text": chat(response_format={"type": "text"}),
    "prediction": chat(prediction={"type": "content", "content": [TEXT]}, temperature=0),
    "search": chat(model="gpt-4o-search-preview", web_search_options={"search_context_size": "low"}),
    "reasoner": chat(model="gpt-5", max_completion_tokens=128_000, reasoning_effort="minimal", verbosity="low"),
    "reasoner-temperature-1": chat(model="o3", temperature=1),
    "samples-at-none": chat(model="gpt-5.6-sol", temperature=0.2, top_p=0.9, logprobs=True, reasoning_effort="none"),
    "samples-by-default": chat(model="gpt-5.2", temperature=0.2, presence_penalty=1),
    "tools-at-none": chat(model="gpt-6-sol", tools=[tool()], reasoning_effort="none"),
    "efforts-of-terra": chat(model="gpt-5.6-terra", reasoning_effort="xhigh"),
    "cache": chat(prompt_cache_key="k", prompt_cache_options={"mode": "explicit", "ttl": "30m"}),
}


def error_of(exchange: Exchange) -> tuple[int, str, str | None, str | None]:
    error = body_of(exchange)["error"]
    return exchange.timeline.status, error["type"], error["code"], error["param"]


@pytest.mark.parametrize("name", RULED_OUT)
def test_what_the_facts_rule_out_is_refused(name: str) -> None:
    body, code, param = RULED_OUT[name]
    assert error_of(make_session().send("openai", body)) == (400, "invalid_request_error", code, param)


@pytest.mark.parametrize("name", ONLY_THERE)
def test_what_its_fields_and_models_rule_out_is_refused(name: str) -> None:
    body, status, code, param = ONLY_THERE[name]
    assert error_of(make_session().send("openai", body)) == (status, "invalid_request_error", code, param)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_unusual_and_right_is_accepted(name: str) -> None:
    exchange = make_session().send("openai", RIGHT[name])
    assert (exchange.timeline.status, exchange.refusal) == (200, None)


def test_the_tables_are_as_long_as_they_have_to_be() -> None:
    assert len(RULED_OUT) >= 80
    assert len(RIGHT) >= 50


@pytest.mark.parametrize("provider", COMPATIBLE)
@pytest.mark.parametrize("name", RULED_OUT)
def test_a_compatible_api_refuses_it_where_it_is_asked_to(name: str, provider: str) -> None:
    body = RULED_OUT[name][0] | {"model": COMPATIBLE[provider]}
    exchange = make_session(validation="compatible").send(provider, body)
    assert (exchange.timeline.status, exchange.refusal and exchange.refusal[0]) == (400, "invalid_request")


@pytest.mark.parametrize("provider", COMPATIBLE)
@pytest.mark.parametrize("name", RULED_OUT)
def test_a_compatible_api_only_notes_it_otherwise(name: str, provider: str) -> None:
    body = RULED_OUT[name][0] | {"model": COMPATIBLE[provider]}
    exchange = make_session().send(provider, body)
    told = [note.message for note in exchange.notes if note.message.startswith("OpenAI would refuse this: ")]
    assert exchange.refusal is not None or told


@pytest.mark.parametrize("provider", ["brainstormrouter", "brivionix", "compatible"])
@pytest.mark.parametrize("name", sorted({*RIGHT} - {"nulls"}))
def test_nothing_is_noted_of_what_is_right(name: str, provider: str) -> None:
    exchange = make_session().send(provider, RIGHT[name] | {"model": COMPATIBLE[provider]})
    assert [note for note in exchange.notes if "would refuse" in note.message] == []


def test_a_fact_that_is_muted_forbids_nothing() -> None:
    for fact, body in {"oa-x-stream-options": "stream-options-alone", "oa-chat-n": "n-below"}.items():
        for provider in ("openai", "brivionix"):
            live = make_session({"provider": provider, "mute": [fact]}, validation="compatible")
            body_ = RULED_OUT[body][0] | ({"model": COMPATIBLE[provider]} if provider in COMPATIBLE else {})
            assert live.send(provider, body_).refusal is None


def test_a_muted_wording_leaves_ours() -> None:
    live = make_session({"provider": "openai", "mute": ["oa-err-int-range"]})
    error = body_of(live.send("openai", chat(n=0)))["error"]
    assert (error["message"], error["code"], error["param"]) == ("n: must be at least 1, not 0", None, "n")


TEXTS = {
    "n-text": "Invalid type for 'n': expected an integer, but got a string instead.",
    "n-below": "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    "null-user": "Invalid type for 'user': expected a string, but got null instead.",
    "no-messages": "Missing required parameter: 'messages'.",
    "robot": "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and "
    "'developer'.",
    "129-tools": "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with "
    "length 129 instead.",
    "answer-first": "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
    "'tool_calls'.",
    "one-call-of-two": "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: 2",
    "silent-assistant": "Invalid value for 'content': expected a string, got null.",
    "parallel-without-tools": "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when "
    "'tools' are specified.",
    "strict-open": "Invalid schema for function 'f': In context=(), 'additionalProperties' is required to be supplied "
    "and to be false.",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_one_that_clients_match_on(name: str) -> None:
    assert body_of(make_session().send("openai", RULED_OUT[name][0]))["error"]["message"] == TEXTS[name]


def test_one_fault_is_told_and_all_are_in_the_journal() -> None:
    exchange = make_session().send("openai", chat(n=0, temperature=99))
    assert body_of(exchange)["error"]["param"] == "n"
    assert exchange.refusal
    assert [item.path for item in exchange.refusal[2].details] == ["n", "temperature"]


ORDER = [
    ({}, None),
    ({"model": MODEL, "foo": 1}, "messages"),
    (chat(foo=1, n=0), "foo"),
    (chat(n=0, messages=[]), "messages"),
    (chat(n=0, temperature=3), "n"),
    (chat(model="gpt-5", max_tokens=5, stream_options={}), "stream_options"),
]


@pytest.mark.parametrize(("body", "param"), ORDER)
def test_faults_are_found_in_order(body: Body, param: str | None) -> None:
    assert body_of(make_session().send("openai", body))["error"]["param"] == param


def test_keys_paths_and_bodies() -> None:
    live = make_session()
    none, wrong = live.send("openai", key=None), live.send("openai", key="sk-invalid-key-1234")
    assert (none.timeline.status, body_of(none)["error"]["code"]) == (401, None)
    assert body_of(wrong)["error"] == {
        "message": "Incorrect API key provided: sk****************4. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    for asked in ({"path": "/nope"}, {"path": "/embeddings", "method": "GET"}):
        exchange = live.send("openai", chat(), **asked)
        assert (exchange.timeline.status, [frame.data for frame in exchange.timeline.frames]) == (404, [b""])
        assert dict(exchange.timeline.headers)["x-emulator-hint"]
    for asked in ({"raw": b"{"}, {"headers": {"content-type": "text/plain"}}):
        exchange = live.send("openai", **({"body": chat()} | asked))
        error = body_of(exchange)["error"]
        assert error["message"].startswith("We could not parse the JSON body of your request.")
        assert (exchange.timeline.status, error["param"], error["code"]) == (400, None, None)


@pytest.mark.parametrize("provider", sorted({*COMPATIBLE} - {"compatible"}))  # which takes any value
def test_null_for_an_optional_field_counts_as_left_out(provider: str) -> None:
    body = {"model": COMPATIBLE[provider], "messages": [user()], "temperature": None, "max_tokens": None}
    told = [body_of(make_session(validation=level).send(provider, body)) for level in ("documented", "compatible")]
    plain = body_of(make_session().send(provider, {"model": COMPATIBLE[provider], "messages": [user()]}))
    assert [answer["choices"] for answer in told] == [plain["choices"]] * 2
    assert make_session(validation="strict").send(provider, body).timeline.status == 400


# The rules, one by one, as other APIs will have them


def conversation(*roles: str) -> Conversation:
    messages = tuple(Message(role, "text", at=at) for at, role in enumerate(roles))
    return Conversation("m", messages=messages, plain=True)


@pytest.mark.parametrize(
    ("rule", "roles", "i"),
    [
        ({"rule": "begins_as", "words": ["user"]}, ("system", "user"), None),
        ({"rule": "begins_as", "words": ["user"]}, ("system", "assistant"), 1),
        ({"rule": "begins_as", "words": ["user"]}, (), None),
        ({"rule": "alternates"}, ("user", "assistant", "user"), None),
        ({"rule": "alternates"}, ("user", "system", "user"), 2),
    ],
)
def test_roles(rule: Any, roles: tuple[str, ...], i: int | None) -> None:
    body = {"messages": [{"role": role, "content": "text"} for role in roles]}
    rules = ConversationRules([read_rule(rule | {"fact": "a-b", "message": "${i}"})], frozenset(), ["messages"])
    broken = rules.first_broken(Asked(body, conversation(*roles)))
    assert (told(*broken)[0].message if broken else None) == (None if i is None else str(i))


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (chat(), True),
        (talk(user(), {"role": "assistant", "content": "Yes."}, user()), True),
        (talk(user([{"type": "text", "text": "Hi"}])), False),
        (talk(user(), {"role": "assistant", "content": None}), False),
        (talk({**user(), "name": "Ann"}), False),
        (talk({"role": "user", "name": "Ann"}), False),
        (talk({"role": 1, "content": "Hi"}), False),
        (chat(messages=["Hi"]), False),
        (chat(messages="Hi"), False),
    ],
    ids=["one", "three", "parts", "null", "name", "no content", "no role", "no message", "a text"],
)
def test_plain_messages_are_read_as_others_and_known(body: Body, plain: bool) -> None:
    wire = PROVIDERS["openai"].operations["chat"].wire
    assert wire
    said = wire.request.read(body)
    assert said.plain is plain
    assert said.messages == wire.request.messages(body)


def test_names_that_stand_twice() -> None:
    rule = read_rule({"rule": "is_unique", "field": "tools[].name", "fact": "a-b", "message": "${path} ${value}"})
    rules = ConversationRules([rule], frozenset(), ["messages"])
    body = {"tools": [{"name": "f"}, {"name": "g"}, {"name": "f"}]}
    broken = rules.first_broken(Asked(body, Conversation(plain=True)))
    assert broken
    assert told(*broken)[0].message == "tools[2].name f"
    assert rules.first_broken(Asked({"tools": body["tools"][:2]}, Conversation())) is None


def test_a_rule_says_what_it_lacks_and_what_is_not_for_it() -> None:
    given = {"rule": "needs", "field": "a", "words": ["x"], "message": "${wobble}", "fact": "a-b"}
    assert list(rule_problems(given)) == [
        ("rule", "needs 'other' beside it"),
        ("words", "is not for the rule 'needs'"),
        (
            "message",
            "nothing fills ${wobble}; known: path, name, i, j, value, other, ids, model, limit, reason, caller",
        ),
    ]


def test_every_rule_is_listed_by_some_provider_or_tested_above() -> None:
    listed = {
        rule.wording["rule"]
        for provider in PROVIDERS.values()
        for item in provider.operations.values()
        for rule in item.conversation
    }
    assert {*RULES} - listed == {"begins_as", "alternates"}


SELECTED = [
    ("a.b", {"a": {"b": 1}}, ["a.b"]),
    ("a[].b", {"a": [{"b": 1}, {}, {"b": 2}]}, ["a[0].b", "a[2].b"]),
    ({"at": "a", "is": [1]}, {"a": True}, []),
    ({"at": "a", "not": [1]}, {"a": True}, ["a"]),
    ({"at": "a", "above": 1}, {"a": 2}, ["a"]),
    ({"at": "a", "above": 1}, {"a": "2"}, []),
    ({"at": "a[]", "with": {"b": 1}}, {"a": [{"b": 1}, {"b": 2}, 5]}, ["a[0]"]),
    ("a[].b", {"a": "text"}, []),
    ("a.b", {"a": None}, []),
]


@pytest.mark.parametrize(("selector", "body", "paths"), SELECTED)
def test_a_selector_finds_places(selector: Any, body: Any, paths: list[str]) -> None:
    assert [place.path for place in Selector(selector).find(body)] == paths


def nested(levels: int) -> Body:
    schema: Body = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


def holding(part: Body) -> Body:
    return {**GOOD_SCHEMA, "properties": {"a": part}}


STRICT = {
    "good": (GOOD_SCHEMA, None),
    "ten-levels": (nested(10), None),
    "eleven-levels": (nested(11), "the schema is nested deeper than 10 levels."),
    "any-of": ({**GOOD_SCHEMA, "anyOf": []}, "schema must be a JSON Schema of 'type: \"object\"'"),
    "format": (holding({"type": "string", "format": "uuid"}), None),
    "odd-format": (holding({"type": "string", "format": "uri"}), "'uri' is not a valid format."),
    "all-of": (holding({"allOf": []}), "In context=('properties', 'a'), 'allOf' is not permitted."),
    "union": (holding({"anyOf": [{"type": "string"}, {"type": "null"}]}), None),
    "open-inside": (
        holding({"anyOf": [OPEN_SCHEMA]}),
        "In context=('properties', 'a', 'anyOf', '0'), 'additionalProperties'",
    ),
    "open-definition": (
        {**GOOD_SCHEMA, "$defs": {"d": OPEN_SCHEMA}},
        "In context=('$defs', 'd'), 'additionalProperties'",
    ),
    "values": (
        holding({"enum": [str(n) for n in range(1001)]}),
        "the schema has 1001 enum values; at most 1000 are allowed.",
    ),
    "long-values": (holding({"enum": ["x" * 60 + str(n) for n in range(251)]}), "more than 15000 characters together."),
    "properties": (
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {f"p{n}": {} for n in range(5001)},
            "required": [f"p{n}" for n in range(5001)],
        },
        "the schema has 5001 object properties; at most 5000 are allowed.",
    ),
    "letters": (holding({"const": "x" * 120_000}), "the schema has 120001 characters in names and enum values"),
    "no-schema": (5, "schema must be a JSON Schema"),
}


@pytest.mark.parametrize("name", STRICT)
def test_a_strict_schema(name: str) -> None:
    schema, problem = STRICT[name]
    found = strict_problem(schema)
    assert found is None if problem is None else problem in (found or "")


def test_a_schema_that_is_not_strict() -> None:
    assert loose_problem(OPEN_SCHEMA) is None
    assert loose_problem({"type": "object"}) == "In context=(), object schema missing properties."
    assert loose_problem(holding({"type": "array"})) == "In context=('properties', 'a'), array schema missing items."
