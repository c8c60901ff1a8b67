"""What OpenAI refuses though each field alone is right: structure of a conversation, fields together, models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from independent.shapes import refuse
from independent.values import Json, Refused

Fields = Mapping[str, Json]

#: Chat models: the most tokens of prompt and reply together, and of the reply.
PLAIN: Mapping[str, tuple[int, int]] = {
    "gpt-4o-mini": (128_000, 16_384), "gpt-4o": (128_000, 16_384), "gpt-4o-2024-08-06": (128_000, 16_384),
    "gpt-4o-audio-preview": (128_000, 16_384), "gpt-4o-search-preview": (128_000, 16_384),
    "gpt-4.1": (1_047_576, 32_768), "gpt-4.1-mini": (1_047_576, 32_768), "gpt-4.1-nano": (1_047_576, 32_768),
    "gpt-4-turbo": (128_000, 4_096), "gpt-4": (8_192, 8_192), "gpt-3.5-turbo": (16_385, 4_096),
    "gpt-5.3-chat-latest": (128_000, 16_384), "gpt-5.2-chat-latest": (128_000, 16_384),
    "gpt-5.1-chat-latest": (128_000, 16_384), "gpt-5-chat-latest": (128_000, 16_384),
}  # fmt: skip
#: Those that know nothing of reasoning, and those before structured output.
NO_EFFORT = ("gpt-4", "gpt-3.5", "gpt-5-chat")
NO_FORMAT = ("gpt-4-turbo", "gpt-4", "gpt-3.5-turbo")
#: How ids of items begin, and images.
ITEM_IDS = {"message": "msg", "function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}
IMAGE = r"^(https?://|data:image/[A-Za-z0-9.+-]+;base64,[A-Za-z0-9+/])"
#: Models that reason: those whose sampling is fixed, and those that sample where they do not reason.
FIXED = ("gpt-5", "gpt-5-mini", "gpt-5-mini-2025-08-07", "gpt-5-nano", "o4-mini", "o3", "o3-mini", "o1", "o1-mini")
SAMPLING = (
    "gpt-6-sol", "gpt-6-astra", "gpt-5.6", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-5.5", "gpt-5.4",
    "gpt-5.4-2026-03-05", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.2", "gpt-5.2-pro", "gpt-5.1", "gpt-5.1-codex",
    "gpt-5.1-mini",
)  # fmt: skip
#: Those that do not reason unless they are asked to.
AT_REST = ("gpt-5.4", "gpt-5.4-2026-03-05", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.2", "gpt-5.1", "gpt-5.1-mini")
RESPONSES_ONLY = ("o1-pro", "gpt-5-pro", "gpt-5.3-codex")
CHATS = (*PLAIN, *FIXED, *SAMPLING)
EMBEDDINGS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
MODERATIONS = (
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
)
COMPLETIONS = ("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002")
MODELS = (*CHATS, *RESPONSES_ONLY, *EMBEDDINGS, *MODERATIONS, *COMPLETIONS)


def check_chat(fields: Fields) -> None:
    """Look at a chat request whose fields are right, one by one. Raises: Refused."""
    _messages(fields["messages"])
    _tools(fields)
    _together(fields)
    _model(fields)


def _messages(messages: list[Json]) -> None:
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        at, role = f"messages.[{index}].role", message["role"]
        words = any(message.get(name) is not None for name in ("content", "refusal"))
        said = words or any(message.get(name) for name in ("tool_calls", "function_call", "audio"))
        if role == "assistant" and not said:
            raise refuse(
                None, f"messages.[{index}].content", "Invalid value for 'content': expected a string, got null."
            )
        if role == "tool" and message["tool_call_id"] not in waiting:
            raise refuse(None, at, "messages with role 'tool' must be a response to a preceeding message with calls.")
        if role != "tool" and waiting:
            raise refuse(None, at, f"These calls did not have response messages: {', '.join(waiting)}")
        waiting -= {message.get("tool_call_id")}
        waiting |= {call["id"] for call in message.get("tool_calls") or ()}
        _parts(message.get("content"), f"messages[{index}].content")
    if waiting:
        raise refuse(None, "messages", f"These calls did not have response messages: {', '.join(waiting)}")


def _parts(content: Json, at: str) -> None:
    kinds = [part["type"] for part in content] if isinstance(content, list) else []
    if "refusal" in kinds and len(kinds) > 1:
        raise refuse("invalid_value", f"{at}[{kinds.index('refusal')}]", "A refusal must be the only part.")
    for index, part in enumerate(content if isinstance(content, list) else ()):
        if part["type"] == "image_url" and not re.search(IMAGE, part["image_url"]["url"]):
            raise refuse("invalid_value", f"{at}[{index}].image_url.url", "Expected a base64-encoded data URL.")


def _tools(fields: Fields) -> None:
    for index, tool in enumerate(fields.get("tools") or ()):
        function, at = tool.get("function", {}), f"tools[{index}].function.parameters"
        _schema(function.get("parameters"), at, bool(function.get("strict")), "invalid_function_parameters")
    for index, function in enumerate(fields.get("functions") or ()):
        _schema(function.get("parameters"), f"functions[{index}].parameters", False, "invalid_function_parameters")
    asked = (fields.get("response_format") or {}).get("json_schema", {})
    if asked.get("strict"):
        _schema(asked.get("schema"), "response_format", True, None)
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in fields and not fields.get("tools"):
            raise refuse(None, name, f"'{name}' is only allowed when 'tools' are specified.")
    if fields.get("function_call") is not None and not fields.get("functions"):
        raise refuse(None, "function_call", "'function_call' is only allowed when 'functions' are specified.")
    offered = {tool[tool["type"]]["name"] for tool in fields.get("tools") or ()}
    for name in _chosen(fields.get("tool_choice")):
        if name not in offered:
            raise refuse(None, "tool_choice", f"Tool choice '{name}' not found in 'tools' parameter.")


def _chosen(choice: Json) -> Iterator[str]:
    if isinstance(choice, dict):
        tools = choice["allowed_tools"]["tools"] if choice["type"] == "allowed_tools" else [choice]
        for tool in tools:
            named = tool.get(tool.get("type")) if isinstance(tool, dict) else None
            if isinstance(named, dict) and "name" in named:
                yield named["name"]


def _schema(schema: Json, at: str, strict: bool, code: str | None) -> None:
    if schema is None:
        return
    why = "" if schema.get("type") != "object" or "properties" in schema else "object schema missing properties"
    why = why or (next(_not_strict(schema), "") if strict else "")
    if why:
        raise refuse(code, at, f"Invalid schema: {why}.")


def _not_strict(schema: Json) -> Iterator[str]:
    """Yield what strict output does not take of a schema."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and to be false"
        if sorted(schema.get("required", ())) != sorted(schema.get("properties", {})):
            yield "'required' is required to be supplied and to be an array including every key in properties"
    yield from (f"'{name}' is not permitted" for name in ("not", "allOf", "if", "oneOf") if name in schema)
    inner = [*schema.get("properties", {}).values(), schema.get("items"), *schema.get("anyOf", ())]
    for item in (*inner, *schema.get("$defs", {}).values()):
        yield from _not_strict(item)


def _together(fields: Fields) -> None:
    if fields.get("top_logprobs") is not None and not fields.get("logprobs"):
        raise refuse(None, "top_logprobs", "'top_logprobs' is only allowed when 'logprobs' is enabled.")
    form = (fields.get("response_format") or {}).get("type")
    if form == "json_object" and "json" not in json.dumps(fields["messages"]).lower():
        raise refuse(None, "messages", "'messages' must contain the word 'json' in some form.")
    if fields.get("max_tokens") is not None and fields.get("max_completion_tokens") is not None:
        raise refuse("invalid_parameter_combination", "max_tokens", "Two limits at the same time are not supported.")
    needs_stream(fields)
    if "audio" in (fields.get("modalities") or ()) and not fields.get("audio"):
        raise refuse("missing_required_parameter", "audio", "Missing required parameter: 'audio'.")
    if fields.get("prediction") and _beside_prediction(fields):
        raise refuse("invalid_parameter_combination", "prediction", "'prediction' is not supported with these.")


def needs_stream(fields: Fields) -> None:
    if fields.get("stream_options") is not None and not fields.get("stream"):
        raise refuse(None, "stream_options", "'stream_options' is only allowed when 'stream' is enabled.")


def _beside_prediction(fields: Fields) -> bool:
    others = ("logprobs", "audio", "max_completion_tokens", "tools")
    more = (fields.get("n") or 1) > 1 or any(
        (fields.get(f"{name}_penalty") or 0) > 0 for name in ("presence", "frequency")
    )
    return more or any(fields.get(name) for name in others) or fields.get("modalities") not in (None, ["text"])


def _model(fields: Fields) -> None:
    model = fields["model"]
    if model not in CHATS:
        raise _no_chat(model)
    if model in PLAIN:
        _plain(fields, model)
    else:
        _reasoning(fields, model, fields.get("reasoning_effort") or ("none" if model in AT_REST else "medium"))
    if fields.get("web_search_options") is not None and "search" not in model:
        raise refuse(None, "web_search_options", "Web search options not supported with this model.")
    if "audio" in (fields.get("modalities") or ()) and "audio" not in model:
        raise refuse("invalid_value", "modalities", "'audio' is not supported with this model.")
    if "input_audio" in json.dumps(fields["messages"]) and "audio" not in model:
        raise refuse("invalid_value", "messages", "Blocks must be one of 'text' or 'image_url'.")


def _no_chat(model: str) -> Refused:
    if model in MODELS:
        return refuse(None, "model", "This is not a chat model.", 404)
    return refuse("model_not_found", None, f"The model `{model}` does not exist or you do not have access to it.", 404)


def _plain(fields: Fields, model: str) -> None:
    limit = PLAIN[model][1]
    form = (fields.get("response_format") or {}).get("type")
    if model.startswith(NO_EFFORT) and fields.get("reasoning_effort") is not None:
        raise refuse(None, None, "Unrecognized request argument supplied: reasoning_effort")
    if model.startswith(NO_EFFORT) and fields.get("verbosity") not in (None, "medium"):
        raise refuse("unsupported_value", "verbosity", "Supported values are: 'medium'.")
    if (form == "json_schema" and model in NO_FORMAT) or (form == "json_object" and model == "gpt-4"):
        raise refuse(None, "response_format", f"'response_format' of type '{form}' is not supported with this model.")
    for name in ("max_completion_tokens", "max_tokens"):
        if (fields.get(name) or 0) > limit:
            raise refuse("invalid_value", name, f"{name} is too large. This model supports at most {limit} tokens.")
    if fields.get("prediction") is not None and not model.startswith(("gpt-4o", "gpt-4.1")):
        raise refuse("unsupported_parameter", "prediction", "'prediction' is not supported with this model.")


def _reasoning(fields: Fields, model: str, effort: str) -> None:
    if fields.get("max_tokens") is not None:
        raise _unsupported("max_tokens")
    for name, usual in {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}.items():
        other = fields.get(name) not in (None, usual)
        if other and (name == "temperature" if model in FIXED else effort != "none"):
            raise refuse("unsupported_value", name, f"'{name}' does not support this value with this model.")
    if fields.get("logprobs") and model in FIXED:
        raise refuse(None, None, "You are not allowed to request logprobs from this model", 403)
    if fields.get("top_p") not in (None, 1) and model in FIXED:
        raise _unsupported("top_p")
    if fields.get("parallel_tool_calls") is not None and model in ("o1", "o3", "o3-mini", "o4-mini"):
        raise _unsupported("parallel_tool_calls")
    if fields.get("logprobs") and model in SAMPLING and effort != "none":
        raise _unsupported("logprobs")
    if fields.get("stop") is not None and model in ("o3", "o4-mini", "gpt-5.6-terra"):
        raise _unsupported("stop")
    if fields.get("prediction") is not None or (fields.get("logit_bias") is not None and model == "gpt-5.6-terra"):
        raise _unsupported("prediction" if fields.get("prediction") is not None else "logit_bias")
    asked = fields.get("reasoning_effort")
    if asked in _refused_efforts(model):
        raise refuse("unsupported_value", "reasoning_effort", f"'{asked}' is not supported with the '{model}' model.")
    if fields.get("tools") and model.startswith(("gpt-6", "gpt-5.6")) and (effort != "none" or model == "gpt-6-astra"):
        raise refuse(
            None, "reasoning_effort", "Function tools are not supported here. Please use /v1/responses instead."
        )
    if model == "o1-mini" and any(message["role"] in ("system", "developer") for message in fields["messages"]):
        raise refuse("unsupported_value", "messages[0].role", "This role is not supported with this model.")


def _unsupported(name: str) -> Refused:
    return refuse("unsupported_parameter", name, f"Unsupported parameter: '{name}' is not supported with this model.")


def _refused_efforts(model: str) -> tuple[str, ...]:
    if model == "gpt-5.6-terra":
        return ("minimal", "max")
    if model in FIXED:
        return ("none", "xhigh")
    return ("xhigh",) if model.startswith("gpt-5.1") else ("none",) if model == "gpt-6-astra" else ()


def check_moved(fields: Fields) -> None:
    """Refuse the names of chat that Responses have in another place. Raises: Refused."""
    for name in ("messages", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort", "verbosity"):
        if name in fields:
            raise refuse("unsupported_parameter", name, f"Unsupported parameter: '{name}'. It has moved.")


def check_responses(fields: Fields) -> None:
    """Look at a request for a response whose fields are right, one by one. Raises: Refused."""
    if fields.get("previous_response_id") is not None and fields.get("conversation") is not None:
        raise refuse(None, "previous_response_id", "'previous_response_id' and 'conversation' exclude one another.")
    if all(fields.get(name) is None for name in ("input", "previous_response_id", "prompt", "conversation")):
        raise refuse("missing_required_parameter", None, 'One of "input" or "previous_response_id" must be provided.')
    _items(fields.get("input"))
    if fields.get("tool_choice") == "required" and not fields.get("tools"):
        raise refuse(None, "tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.")
    form = ((fields.get("text") or {}).get("format") or {}).get("type")
    said = json.dumps([fields.get("input"), fields.get("instructions")]).lower()
    if form == "json_object" and "json" not in said:
        raise refuse(None, "text.format", "The input must contain the word 'json' in some form.")
    needs_stream(fields)
    check_responses_model(fields)
    model, effort = fields["model"], (fields.get("reasoning") or {}).get("effort")
    thinks = model in FIXED or (model in SAMPLING and (effort or ("none" if model in AT_REST else "medium")) != "none")
    for name in ("temperature", "top_p"):
        if thinks and fields.get(name) is not None:
            raise refuse(None, name, f"Unsupported parameter: '{name}' is not supported with this model.")
    if model.startswith(NO_EFFORT):
        _without_reasoning(fields)
    if fields.get("background") and fields.get("store") is False:
        raise refuse(None, "background", "A response in the background must be stored.")
    if (fields.get("max_output_tokens") or 0) > PLAIN.get(model, (10**9, 0))[0]:
        raise refuse("context_length_exceeded", "input", "Your input exceeds the context window of this model.")


def _without_reasoning(fields: Fields) -> None:
    asked = fields.get("reasoning") or {}
    name = next((name for name in ("effort", "summary") if asked.get(name) is not None), None)
    if name:
        raise _unsupported(f"reasoning.{name}")
    if "reasoning.encrypted_content" in (fields.get("include") or ()):
        raise refuse(None, "include", "Encrypted content is not supported with this model.")
    if (fields.get("text") or {}).get("verbosity") not in (None, "medium"):
        raise refuse("unsupported_value", "text.verbosity", "Supported values are: 'medium'.")


def check_responses_model(fields: Fields) -> None:
    if fields.get("model") not in (*CHATS, *RESPONSES_ONLY):
        raise refuse("model_not_found", "model", f"The requested model '{fields.get('model')}' does not exist.")


def _items(given: Json) -> None:
    items = given if isinstance(given, list) else []
    seen: set[str] = set()
    for index, item in enumerate(items):
        begins, ident = ITEM_IDS.get(item.get("type", "message")), item.get("id")
        if begins and ident and not ident.startswith(begins):
            raise refuse("invalid_value", f"input[{index}].id", f"Expected an ID that begins with '{begins}'.")
        if begins and ident in seen:
            raise refuse(None, "input", f"Duplicate item found with id {ident}.")
        seen |= {ident} if ident else set()
        for place, part in enumerate(item["content"] if isinstance(item.get("content"), list) else ()):
            if part.get("image_url") and not re.search(IMAGE, part["image_url"]):
                raise refuse("invalid_value", f"input[{index}].content[{place}].image_url", "Expected a data URL.")
    if items and items[-1].get("type") == "reasoning":
        raise refuse(None, "input", f"Item '{items[-1]['id']}' was provided without its required following item.")
    for kind in ("function_call", "custom_tool_call"):
        called = {item["call_id"] for item in items if item.get("type") == kind}
        answered = {item["call_id"] for item in items if item.get("type") == f"{kind}_output"}
        if called - answered:
            raise refuse(None, "input", f"No tool output found for call {', '.join(called - answered)}.")
        if answered - called:
            raise refuse(None, "input", f"No tool call found for output {', '.join(answered - called)}.")


def check_completions(fields: Fields) -> None:
    """Look at a request for a completion whose fields are right, one by one. Raises: Refused."""
    needs_stream(fields)
    best = fields.get("best_of")
    if best is not None and ((fields.get("n") or 0) > best or (best > 1 and fields.get("stream"))):
        raise refuse(None, "best_of", "'best_of' must be at least 'n', and 1 in a stream.")
    if fields["model"] not in COMPLETIONS:
        raise (
            _no_chat(fields["model"]) if fields["model"] not in MODELS else refuse(None, "model", "A chat model.", 404)
        )
    if fields.get("suffix") is not None and fields["model"] != "gpt-3.5-turbo-instruct":
        raise _unsupported("suffix")


def check_embeddings(fields: Fields) -> None:
    """Look at a request for embeddings whose fields are right, one by one. Raises: Refused."""
    given = fields["input"]
    if isinstance(given, list) and len({type(item) for item in given}) > 1:
        raise refuse("invalid_type", "input", "Texts and tokens cannot be mixed.")
    if fields["model"] not in EMBEDDINGS:
        raise refuse("model_not_found", None, f"The model `{fields['model']}` does not exist.", 404)
    size = fields.get("dimensions")
    if size and (fields["model"] == "text-embedding-ada-002" or size > EMBEDDINGS[fields["model"]]):
        raise refuse(None, "dimensions", "This model does not support these dimensions.")


def check_moderations(fields: Fields) -> None:
    """Look at a request for moderation whose fields are right, one by one. Raises: Refused."""
    given = fields["input"]
    if isinstance(given, list) and len({type(item) for item in given}) > 1:
        raise refuse("invalid_type", "input", "Texts and parts cannot be mixed.")
    if fields.get("model", MODERATIONS[0]) not in MODERATIONS:
        raise refuse("model_not_found", None, f"The model `{fields['model']}` does not exist.", 404)
