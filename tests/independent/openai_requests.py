"""What OpenAI's operations take, as its reference says it."""

from __future__ import annotations

from independent.openai_hosted import CALLER, CALLERS, HOSTED_TOOLS, hosted_items
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
    tagged,
    text,
    words,
)

NAME = text(1, 64, r"^[a-zA-Z0-9_-]+\Z")
STRING, NULLABLE, OBJECT = text(), null_or(text()), record(is_open=True)
EFFORT = null_or(words("none", "minimal", "low", "medium", "high", "xhigh", "max"))
TIER = null_or(words("auto", "default", "flex", "scale", "priority", "fast"))
METADATA = null_or(mapping(text(most=512), 16, 64))
JUDGED = null_or(record("mode", True, mode=words("score", "block")))
POLICY = null_or(record(is_open=True, input=JUDGED, output=JUDGED))
MODERATED = null_or(record("model", True, model=STRING, policy=POLICY))
LEVEL = null_or(words("low", "medium", "high"))
RETENTION = null_or(words("in_memory", "24h"))
BREAK = record("mode", True, mode=words("explicit"))
GRAMMAR = {"syntax": words("lark", "regex"), "definition": STRING}


def _part(required: str, **fields: Shape) -> Shape:
    return record(f"type {required}", type=STRING, prompt_cache_breakpoint=BREAK, **fields)


# Chat

TEXT_PART = _part("text", text=STRING)
REFUSAL = record("type refusal", type=STRING, refusal=STRING)
IMAGE = record("url", url=STRING, detail=words("auto", "low", "high"))
AUDIO = record("data format", data=STRING, format=words("wav", "mp3"))
FILE = record(file_data=STRING, file_id=STRING, filename=STRING)
USER_PARTS = {
    "text": TEXT_PART, "image_url": _part("image_url", image_url=IMAGE),
    "input_audio": _part("input_audio", input_audio=AUDIO), "file": _part("file", file=FILE),
}  # fmt: skip


def _content(kinds: dict[str, Shape], **others: Shape) -> Shape:
    return either("a string or an array", string=STRING, array=array(tagged("type", kinds), 1), **others)


ASIDE = record("role content", role=STRING, content=_content({"text": TEXT_PART}), name=NAME)
CALLS = {
    "function": record("id type function", id=STRING, type=STRING,
                       function=record("name arguments", name=NAME, arguments=STRING)),
    "custom": record("id type custom", id=STRING, type=STRING, custom=record("name input", name=STRING, input=STRING)),
}  # fmt: skip
MESSAGES = {
    "system": ASIDE, "developer": ASIDE,
    "user": record("role content", role=STRING, content=_content(USER_PARTS), name=NAME),
    "assistant": record(
        "role", role=STRING, content=_content({"text": TEXT_PART, "refusal": REFUSAL}, null=anything), refusal=NULLABLE,
        name=NAME, audio=null_or(record("id", True, id=STRING)), tool_calls=array(tagged("type", CALLS), 1),
        function_call=null_or(record("name arguments", True, name=STRING, arguments=STRING)), annotations=anything,
    ),
    "tool": record("role content tool_call_id", role=STRING,
                   tool_call_id=STRING, content=_content({"text": TEXT_PART})),
    "function": record("role content name", role=STRING, content=NULLABLE, name=STRING),
}  # fmt: skip
FORMATS = {"text": record("type", type=STRING), "json_object": record("type", type=STRING)}
JSON_SCHEMA = record("name", name=NAME, description=STRING, schema=OBJECT, strict=null_or(boolean))
TOOLS = {
    "function": record("type function", type=STRING, function=record(
        "name", name=NAME, description=STRING, parameters=OBJECT, strict=null_or(boolean))),
    "custom": record("type custom", type=STRING, custom=record(
        "name", name=STRING, description=STRING, format=tagged("type", {
            "text": record("type", True), "grammar": record("type grammar", True, grammar=record(
                "definition syntax", True, **GRAMMAR)),
        }),
    )),
}  # fmt: skip
NAMED = record("name", True, name=STRING)
SEARCH = record(
    is_open=True, search_context_size=words("low", "medium", "high"),
    user_location=null_or(record("type approximate", True, type=words("approximate"), approximate=OBJECT)),
)  # fmt: skip
VOICE = either("a string or an object", string=STRING, object=record("id", True, id=STRING))
PREDICTED = null_or(record("type content", True, type=words("content"), content=either(
    "a string or an array", string=STRING, array=array(tagged("type", {"text": TEXT_PART})))))  # fmt: skip
CHAT = record(
    "messages",
    model=STRING,
    messages=array(tagged("role", MESSAGES), 1),
    functions=array(record("name", True, name=NAME, description=STRING, parameters=OBJECT), 1, 128),
    function_call=either("a string or an object", string=words("none", "auto"), object=NAMED),
    tools=array(tagged("type", TOOLS), 1, 128),
    tool_choice=either("a string or an object", string=words("none", "auto", "required"), object=tagged("type", {
        "function": record("type function", type=STRING, function=NAMED),
        "custom": record("type custom", type=STRING, custom=NAMED),
        "allowed_tools": record("type allowed_tools", type=STRING, allowed_tools=record(
            "mode tools", True, mode=words("auto", "required"), tools=array())),
    })),
    parallel_tool_calls=boolean, max_completion_tokens=null_or(integer(1)), n=null_or(integer(1, 128)),
    temperature=null_or(number(0, 2)), top_p=null_or(number(0, 1)), frequency_penalty=null_or(number(-2, 2)),
    presence_penalty=null_or(number(-2, 2)), logprobs=null_or(boolean), top_logprobs=null_or(integer(0, 20)),
    user=STRING, seed=null_or(integer(-(2**63), 2**63 - 1)),
    response_format=tagged("type", {**FORMATS, "json_schema": record("type json_schema", type=STRING,
                                                                     json_schema=JSON_SCHEMA)}),
    service_tier=TIER, max_tokens=null_or(integer(1)), reasoning_effort=EFFORT,
    logit_bias=null_or(mapping(integer(-100, 100))),
    stop=either("a string or an array", null=anything, string=STRING, array=array(STRING, 1, 4)),
    stream=null_or(boolean), stream_options=null_or(record(include_usage=boolean, include_obfuscation=boolean)),
    store=null_or(boolean), metadata=METADATA, prediction=PREDICTED,
    verbosity=LEVEL, modalities=null_or(array(words("text", "audio"))),
    audio=null_or(record("voice format", True, voice=VOICE,
                         format=words("wav", "aac", "mp3", "flac", "opus", "pcm16"))),
    web_search_options=SEARCH, safety_identifier=null_or(text(most=64)), prompt_cache_key=NULLABLE,
    prompt_cache_retention=RETENTION,
    prompt_cache_options=record(is_open=True, mode=words("implicit", "explicit"), ttl=words("30m")),
    moderation=MODERATED,
)  # fmt: skip

# Responses

STATUS = null_or(words("in_progress", "completed", "incomplete"))
DETAIL = null_or(words("low", "high", "auto", "original"))
GIVEN = {
    "input_text": _part("text", text=STRING),
    "input_image": _part("", image_url=NULLABLE, file_id=NULLABLE, detail=DETAIL),
    "input_file": _part("", file_id=NULLABLE, file_data=STRING, file_url=NULLABLE, filename=NULLABLE,
                        detail=words("low", "high", "auto")),
}  # fmt: skip
SAID = {
    "refusal": REFUSAL,
    "output_text": record("type text", type=STRING, text=STRING, annotations=array(OBJECT), logprobs=null_or(array())),
}  # fmt: skip
ITEM = {"type": STRING, "id": NULLABLE, "status": STATUS}
CALL = {**ITEM, "id": STRING, "call_id": STRING, "name": STRING, "namespace": STRING, "caller": CALLER}
RUN = words("in_progress", "completed", "incomplete")


def _message(parts: dict[str, Shape]) -> Shape:
    content = either("a string or an array", string=STRING, array=array(tagged("type", parts)))
    phase = null_or(words("commentary", "final_answer"))
    return record("role content", **ITEM, role=STRING, phase=phase, content=content)


ASKS = _message(GIVEN)
MESSAGE = tagged("role", {"user": ASKS, "assistant": _message(SAID), "system": ASKS, "developer": ASKS})


def _output(most: int, least: int = 0, **fields: Shape) -> Shape:
    said = either("a string or an array", string=text(most=10485760), array=array(tagged("type", GIVEN)))
    fields = {**ITEM, "call_id": text(least, most), "output": said, "caller": CALLER, **fields}
    return record("type call_id output", **fields)


def _untyped(value: object, at: str) -> None:
    """An item without a type is a message, or refers to an item."""
    (REFERENCE if isinstance(value, dict) and "role" not in value and "id" in value else MESSAGE)(value, at)


def _tools(value: object, at: str) -> None:
    ASKED["tools"](value, at)


REFERENCE = record("id", type=anything, id=STRING)
ITEMS = {
    "message": MESSAGE, "item_reference": REFERENCE,
    "function_call": record("type call_id name arguments", **{**CALL, "status": RUN}, arguments=STRING),
    "custom_tool_call": record("type call_id name input", **CALL, input=STRING),
    "function_call_output": _output(64, 1), "custom_tool_call_output": _output(10**9, id=STRING),
    "reasoning": record("type id summary", type=STRING, id=STRING, status=RUN, content=null_or(array()),
                        encrypted_content=NULLABLE,
                        summary=array(record("type text", type=words("summary_text"), text=STRING))),
    **hosted_items(_tools),
}  # fmt: skip
LATER = {"type": STRING, "description": NULLABLE, "defer_loading": boolean, "allowed_callers": CALLERS}
OWN_TOOLS = {
    "function": record("type name", **LATER, name=text(1, 128, r"^[a-zA-Z0-9_-]+\Z"), parameters=null_or(OBJECT),
                       strict=null_or(boolean), output_schema=null_or(OBJECT)),
    "custom": record("type name", **{**LATER, "description": STRING}, name=STRING, format=tagged("type", {
        "text": record("type", type=STRING), "grammar": record("type syntax definition", type=STRING, **GRAMMAR),
    })),
}  # fmt: skip
OFFERED = {
    **OWN_TOOLS,
    "namespace": record("name description tools", True, name=text(1), description=STRING,
                        tools=array(tagged("type", OWN_TOOLS), 1)),
    **HOSTED_TOOLS,
}  # fmt: skip
CHOICES = {
    "function": record("type name", type=STRING, name=STRING), "custom": record("type name", type=STRING, name=STRING),
    "allowed_tools": record("type mode tools", type=STRING, mode=words("auto", "required"), tools=array(OBJECT)),
    "mcp": record("type server_label", type=STRING, server_label=STRING, name=NULLABLE),
    **dict.fromkeys([*(name for name in HOSTED_TOOLS if name != "mcp"), "namespace"], record("type", type=STRING)),
}  # fmt: skip
CONVERSATION = text(0, 64, r"^conv_")
SUMMARY = null_or(words("auto", "concise", "detailed"))
ASKED = {
    "model": STRING,
    "input": either("a string or an array", string=STRING, array=array(tagged("type", ITEMS, _untyped))),
    "instructions": NULLABLE, "previous_response_id": NULLABLE,
    "conversation": either("a string or an object", null=anything, string=CONVERSATION,
                           object=record("id", id=CONVERSATION)),
    "tools": array(tagged("type", OFFERED)),
    "tool_choice": either("a string or an object", string=words("none", "auto", "required"),
                          object=tagged("type", CHOICES)),
    "parallel_tool_calls": null_or(boolean),
    "text": record(verbosity=LEVEL, format=tagged("type", {
        **FORMATS, "json_schema": record("type name schema", type=STRING, name=STRING, schema=OBJECT,
                                         description=STRING, strict=null_or(boolean)),
    })),
    "reasoning": null_or(record(effort=EFFORT, summary=SUMMARY, generate_summary=SUMMARY, mode=words("standard", "pro"),
                                context=null_or(words("auto", "current_turn", "all_turns")))),
    "truncation": null_or(words("auto", "disabled")), "personality": NULLABLE,
}  # fmt: skip
INCLUDE = words(
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "reasoning.encrypted_content", "message.output_text.logprobs",
)  # fmt: skip
COMPACTION = record("type", type=words("compaction"), compact_threshold=null_or(integer(1000)))
RESPONSES = record(
    "model", **{name: shape for name, shape in ASKED.items() if name != "personality"},
    max_output_tokens=null_or(integer(16)), max_tool_calls=null_or(integer()), store=null_or(boolean),
    include=null_or(array(INCLUDE)), background=null_or(boolean), stream=null_or(boolean),
    stream_options=null_or(record(include_obfuscation=boolean)), temperature=null_or(number(0, 2)),
    top_p=null_or(number(0, 1)), top_logprobs=integer(0, 20), metadata=METADATA, service_tier=TIER, user=STRING,
    safety_identifier=null_or(text(most=64)), prompt_cache_key=NULLABLE, prompt_cache_retention=RETENTION,
    prompt_cache_options=OBJECT, moderation=MODERATED, context_management=null_or(array(COMPACTION)),
    prompt=null_or(record("id", True, id=STRING, version=NULLABLE, variables=null_or(OBJECT))),
)  # fmt: skip
INPUT_TOKENS = record(**ASKED)
COMPACT = record(
    "model", **{name: ASKED[name] for name in ("model", "input", "instructions", "previous_response_id")},
    prompt_cache_key=NULLABLE, prompt_cache_retention=RETENTION, service_tier=TIER,
)  # fmt: skip

# The others

TOKENS = array(integer(0), 1, 2048)
EMBEDDINGS = record(
    "model input", model=STRING, dimensions=integer(1), encoding_format=words("float", "base64"), user=STRING,
    input=either("a string or an array", string=text(1), array=array(
        either("a string or tokens", string=text(1), integer=integer(0), array=TOKENS), 1, 2048)),
)  # fmt: skip
SEEN = {"text": STRING, "image_url": record("url", True, url=STRING)}
LOOKED_AT = {"text": record("text", True, **SEEN), "image_url": record("image_url", True, **SEEN)}
MODERATIONS = record(
    "input", True, model=STRING,
    input=either("a string or an array", string=STRING, array=array(
        either("a string or an object", string=STRING, object=tagged("type", LOOKED_AT)), 1)),
)  # fmt: skip
COMPLETIONS = record(
    "model prompt", True, model=STRING,
    prompt=either("a string or an array", null=anything, string=STRING, array=array(
        either("a string or tokens", string=STRING, integer=integer(0), array=array(integer(0), 1)), 1)),
    best_of=null_or(integer(0, 20)), echo=null_or(boolean), frequency_penalty=null_or(number(-2, 2)),
    presence_penalty=null_or(number(-2, 2)), logit_bias=null_or(mapping(integer())), logprobs=null_or(integer(0, 5)),
    max_tokens=null_or(integer(0)), n=null_or(integer(1, 128)), seed=null_or(integer()), suffix=NULLABLE, user=STRING,
    stop=either("a string or an array", null=anything, string=STRING, array=array(STRING, 1, 4)),
    stream=null_or(boolean), stream_options=null_or(record(is_open=True, include_usage=boolean,
                                                           include_obfuscation=boolean)),
    temperature=null_or(number(0, 2)), top_p=null_or(number(0, 1)),
)  # fmt: skip
