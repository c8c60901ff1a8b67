"""What Ollama's operations take, as its docs and its OpenAPI description say it."""

from __future__ import annotations

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
    text,
    words,
)

NAME, OBJECT = text(1), record(is_open=True)
TEXTS = either("a string or an array", string=text(), array=array(text()))
IMAGES = array(text(form=r"^[A-Za-z0-9+/=\r\n]*$"))
FUNCTION = record("name", True, name=text(), description=text(), parameters=OBJECT)
TOOLS = array(record("function", True, type=words("function"), function=FUNCTION))


def body(required: str, **fields: Shape) -> Shape:
    """A body with these fields, and any others; what need not be there may be null."""
    known = {name: shape if name in required.split() else null_or(shape) for name, shape in fields.items()}
    return record(required, True, **known)


CALLED = record("name", True, index=integer(), name=text(), description=text(), arguments=OBJECT)
MESSAGE = record(
    "role", True, role=words("system", "user", "assistant", "tool"), content=text(), thinking=text(),
    images=null_or(IMAGES), tool_name=text(), tool_call_id=text(),
    tool_calls=null_or(array(record("function", True, id=text(), type=text(), function=CALLED))),
)  # fmt: skip
OPTIONS = record(
    is_open=True, seed=integer(), temperature=number(), top_k=integer(), top_p=number(), min_p=number(), stop=TEXTS,
    num_ctx=integer(), num_predict=integer(),
)  # fmt: skip
GENERATION: dict[str, Shape] = {
    "format": either("json or an object", string=words("json"), object=OBJECT),
    "options": OPTIONS,
    "stream": boolean,
    "think": either("a boolean or a level", boolean=anything, string=words("high", "medium", "low", "max")),
    "keep_alive": either("a duration", string=anything, integer=anything, number=anything),
    "truncate": boolean,
    "shift": boolean,
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
}
CHAT = body("model", model=NAME, messages=array(MESSAGE), tools=TOOLS, **GENERATION)
GENERATE = body(
    "model", model=NAME, prompt=text(), suffix=text(), system=text(), template=text(), raw=boolean,
    context=array(integer()), images=IMAGES, **GENERATION,
)  # fmt: skip
EMBED = body(
    "model input", model=NAME, input=TEXTS, truncate=boolean, dimensions=integer(1, 8192),
    keep_alive=GENERATION["keep_alive"], options=OBJECT,
)  # fmt: skip
EMBED_ONE = body("model prompt", model=NAME, prompt=text(), keep_alive=GENERATION["keep_alive"], options=OBJECT)
SHOW = body("model", model=NAME, verbose=boolean)

# The OpenAI side

URL = record(is_open=True, url=text(form="^data:"), detail=text())
PART = record(
    "type", True, type=words("text", "image_url", "input_audio"), text=text(), input_audio=OBJECT,
    image_url=either("an image", object=URL, string=anything),
)  # fmt: skip
CALL = record(
    "function", True, id=text(), index=integer(), type=text(),
    function=record("name arguments", True, name=text(), arguments=text()),
)  # fmt: skip
SAID = record(
    "role", True, role=text(), content=either("a text, or parts", string=text(), array=array(PART), null=anything),
    reasoning=text(), tool_calls=array(CALL), name=text(), tool_call_id=text(),
)  # fmt: skip
COMPLETION = body(
    "model messages", model=NAME, messages=array(SAID), stream=boolean,
    stream_options=record(is_open=True, include_usage=boolean), max_tokens=integer(), seed=integer(),
    stop=either("a text, or a list", string=anything, array=anything), temperature=number(), top_p=number(),
    frequency_penalty=number(), presence_penalty=number(), tools=TOOLS, logprobs=boolean, top_logprobs=integer(0, 20),
    response_format=record("type", True, type=text(), json_schema=OBJECT),
    reasoning_effort=words("minimal", "low", "medium", "high", "xhigh", "ultra", "max", "none"),
)  # fmt: skip
VECTORS = body(
    "model input", model=NAME, input=TEXTS, dimensions=integer(1, 8192), encoding_format=words("float", "base64")
)
