"""What Azure OpenAI and OpenRouter take, as their descriptions and docs say it; other fields are left alone."""

from __future__ import annotations

import re

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
from independent.values import Json

STRING, OBJECT = text(), record(is_open=True)
NAME = text(1, 64, r"^[a-zA-Z0-9_-]+\Z")


def fields(required: str = "", **known: Shape) -> Shape:
    return record(required, True, **known)


def _calls(name: Shape) -> Shape:
    function = fields("name arguments", name=name, arguments=STRING)
    return array(fields("id type function", id=STRING, type=words("function"), function=function))


def _chosen(name: Shape) -> Shape:
    one = fields("type function", type=words("function"), function=fields("name", name=name))
    return either("a string or an object", string=words("none", "auto", "required"), object=one)


def _tool(name: Shape, strict: Shape) -> Shape:
    function = fields("name", name=name, description=STRING, parameters=OBJECT, strict=strict)
    return fields("type function", type=words("function"), function=function)


def _messages(aside: Shape, asked: Shape, said: Shape, called: Shape, **more: Shape) -> Shape:
    kinds = {
        "user": fields("role content", content=asked, name=STRING),
        "assistant": fields("role", content=said, refusal=null_or(STRING), name=STRING, tool_calls=called, **more),
        "tool": fields("role content tool_call_id", content=aside, tool_call_id=STRING),
        **dict.fromkeys(("system", "developer"), fields("role content", content=aside, name=STRING)),
    }
    return array(tagged("role", kinds), 1)


# Azure

TEXT = fields("type text", text=STRING)
LOOK = fields("type image_url", image_url=fields("url", url=STRING, detail=words("auto", "low", "high")))
REFUSAL = fields("type refusal", refusal=STRING)


def _parts(**kinds: Shape) -> Shape:
    return array(tagged("type", kinds), 1)


SAID = either("a text, or parts", string=STRING, null=anything, array=_parts(text=TEXT, refusal=REFUSAL))
AZURE: dict[str, Shape] = {
    "messages": _messages(
        either("a text, or parts", string=STRING, array=_parts(text=TEXT)),
        either("a text, or parts", string=STRING, array=_parts(text=TEXT, image_url=LOOK)), SAID, _calls(STRING),
    ),
    "temperature": number(0, 2), "top_p": number(0, 1), "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2), "logit_bias": mapping(integer()), "seed": integer(-(2**63), 2**63 - 1),
    "n": integer(1, 128), "max_tokens": integer(), "max_completion_tokens": integer(),
    "stop": either("a text, or up to 4", string=anything, array=array(STRING, 1, 4)), "stream": boolean,
    "stream_options": fields(include_usage=boolean), "logprobs": boolean, "top_logprobs": integer(0, 20),
    "response_format": tagged("type", {
        "text": OBJECT, "json_object": OBJECT, "json_schema": fields("json_schema", json_schema=fields(
            "name", name=NAME, description=STRING, schema=OBJECT, strict=null_or(boolean))),
    }),
    "tools": array(_tool(NAME, null_or(boolean)), 1, 128), "tool_choice": _chosen(STRING),
    "parallel_tool_calls": boolean, "user": STRING,
}  # fmt: skip
AZURE_CHAT = fields("model messages", model=STRING, **AZURE)
AZURE_EMBEDDINGS = fields(
    "model input", model=STRING, user=STRING, input_type=STRING, encoding_format=words("float", "base64"),
    dimensions=integer(1), input=either("a text, or texts", string=text(1), array=array(
        either("a text, or tokens", string=text(1), integer=integer(0)), 1, 2048)),
)  # fmt: skip


# OpenRouter


def _share(value: Json, at: str) -> None:
    number(0, 1)(value, at)
    if value == 0:
        raise refuse(None, at, f"{at} must be above 0")


def _boolean_or_null(value: Json, at: str) -> None:
    null_or(boolean)(value, at)


PART = fields(
    "type", type=words("text", "image_url", "input_audio", "file", "video_url", "input_video"), text=STRING,
    image_url=fields("url", url=STRING, detail=STRING), input_audio=OBJECT, file=OBJECT, video_url=OBJECT,
)  # fmt: skip
CONTENT = either("a text, or parts", string=STRING, array=array(PART))
LEVEL = null_or(words("max", "xhigh", "high", "medium", "low", "minimal", "none"))
SLUGS = null_or(array(STRING))
PRICE = either("a price", string=anything, number=anything, integer=anything)
SPEED = either("a figure", number=anything, integer=anything, object=anything, null=anything)
PROVIDER = record(
    order=SLUGS, only=SLUGS, ignore=SLUGS, data_collection=null_or(words("deny", "allow")), max_price=fields(
        prompt=PRICE, completion=PRICE, request=PRICE, image=PRICE, audio=PRICE),
    quantizations=null_or(array(words("int4", "int8", "fp4", "fp6", "fp8", "fp16", "bf16", "fp32", "unknown"))),
    sort=either("a word", string=anything, object=anything, null=anything), preferred_max_latency=SPEED,
    preferred_min_throughput=SPEED, **dict.fromkeys(
        ("allow_fallbacks", "require_parameters", "zdr", "enforce_distillable_text"), _boolean_or_null),
)  # fmt: skip
OPENROUTER_CHAT = fields(
    "messages", model=STRING, models=array(STRING), route=STRING,
    messages=_messages(
        CONTENT, CONTENT, either("a text, or parts", string=STRING, array=array(PART), null=anything), _calls(STRING),
        reasoning=null_or(STRING), reasoning_details=array(fields("type", type=STRING))),
    temperature=number(0, 2), top_p=_share, top_k=integer(0), frequency_penalty=number(-2, 2),
    presence_penalty=number(-2, 2), repetition_penalty=number(0, 2), min_p=number(0, 1), top_a=number(0, 1),
    seed=integer(), logit_bias=mapping(number()), logprobs=boolean, top_logprobs=integer(0, 20),
    max_tokens=integer(1), max_completion_tokens=integer(1),
    stop=either("a text, or up to 4", string=anything, array=array(STRING, 0, 4)), stream=boolean,
    stream_options=fields(include_usage=boolean),
    response_format=fields(
        "type", type=words("text", "json_object", "json_schema", "grammar", "python"), grammar=STRING,
        json_schema=fields("name", name=text(most=64), description=STRING, schema=OBJECT, strict=null_or(boolean))),
    tools=array(_tool(text(most=64), null_or(boolean))), tool_choice=_chosen(STRING), parallel_tool_calls=boolean,
    provider=null_or(PROVIDER), reasoning_effort=LEVEL, include_reasoning=boolean,
    reasoning=fields(effort=LEVEL, max_tokens=integer(), exclude=boolean, enabled=boolean, summary=STRING),
    transforms=array(STRING), plugins=array(fields("id", id=STRING)), usage=fields(include=boolean), user=STRING,
    session_id=text(most=256), metadata=mapping(STRING),
)  # fmt: skip


def is_version(value: str | None) -> bool:
    """Tell whether a text is a version of Azure's API."""
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}(-preview)?", value or "") is not None
