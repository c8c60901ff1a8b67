"""APIs that speak OpenAI's chat with an accent: DeepSeek's, from its docs, and one without docs of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from independent import openai_answers as answers
from independent.shapes import (
    Shape,
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
from independent.values import Json, Refused, Reply, Request

KEY = "sk-key"
STRING, OBJECT = text(), record(is_open=True)
NO_JSON = "We could not parse the JSON body of your request."

Answer = Callable[[Json], Reply]


@dataclass(frozen=True, slots=True)
class Accent:
    """One API: what it answers to a POST at a path, and its list of models. It remembers nothing.

    `kinds` and `code` are its words for errors, by their status.
    """

    posts: Mapping[str, Answer]
    models: tuple[Json, ...]
    kinds: Mapping[int, str]
    code: Callable[[int], Json]

    def serve(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except Refused as found:
            refused = found
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            refused = Refused(400, "The request cannot be read.")
        kind = self.kinds.get(refused.status, "invalid_request_error")
        error = {"message": str(refused), "type": kind, "param": refused.param, "code": self.code(refused.status)}
        return Reply(refused.status, {"error": error}, refused.headers)

    def _answer(self, request: Request) -> Reply:
        if request.path not in (*self.posts, "/models"):
            raise Refused(404, f"There is nothing at {request.path}.")
        method = "GET" if request.path == "/models" else "POST"
        if request.method != method:
            raise Refused(405, f"{request.path} takes {method}.", Allow=method)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "Authentication Fails, your API key is invalid.")
        if method == "GET":
            return Reply(200, {"object": "list", "data": list(self.models)})
        try:
            fields = json.loads(request.body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise Refused(400, NO_JSON)
        return self.posts[request.path](fields)


# DeepSeek

CONTENT = either("a string or an array", string=STRING, array=array())
NULLABLE = null_or(CONTENT)
FUNCTION = record("name", True, name=STRING, description=STRING, parameters=OBJECT)
CALL = record("id type function", True, id=STRING,
              function=record("name arguments", True, name=STRING, arguments=STRING))  # fmt: skip
EFFORT = words("minimal", "low", "medium", "high", "xhigh", "max", "ultra")
NAMED = record("type function", True, type=words("function"), function=FUNCTION)
SAID = record("role content", True, role=STRING, content=CONTENT, name=STRING)
DEEPSEEK = record(
    "model messages", True, model=text(1), max_tokens=null_or(integer(1)), temperature=null_or(number(0, 2)),
    messages=array(tagged("role", {
        "system": SAID, "user": SAID,
        "assistant": record("role", True, content=NULLABLE, tool_calls=array(CALL), name=STRING,
                            reasoning_content=null_or(STRING)),
        "tool": record("role content tool_call_id", True, tool_call_id=STRING, content=CONTENT),
    }), 1),
    top_p=null_or(number(0, 1)), frequency_penalty=null_or(number(-2, 2)), presence_penalty=null_or(number(-2, 2)),
    stop=null_or(either("a string or an array", string=STRING, array=array(STRING))),
    stream=null_or(boolean), stream_options=null_or(record(include_usage=boolean)), user_id=STRING,
    response_format=null_or(record("type", type=words("text", "json_object"))),
    tools=null_or(array(record("type function", True, type=words("function"), function=FUNCTION))),
    tool_choice=either("a string or an object", string=words("none", "auto", "required"), object=NAMED),
    thinking=null_or(record("type", True, type=words("enabled", "disabled"))), reasoning_effort=null_or(EFFORT),
)  # fmt: skip
DEEPSEEK_MODELS = ("deepseek-flash", "deepseek-v4-pro")


def _deepseek(fields: Json) -> Reply:
    DEEPSEEK(fields, "")
    if fields["model"] not in DEEPSEEK_MODELS:
        raise Refused(400, "Model Not Exist")
    thinks = (fields.get("thinking") or {}).get("type") != "disabled"
    if thinks and any(item.get("tool_calls") and not item.get("reasoning_content") for item in fields["messages"]):
        raise Refused(400, "The `reasoning_content` in the thinking mode must be passed back to the API.")
    usual = {name: value for name, value in fields.items() if value is not None}
    return _accented(answers.chat(usual))


#: What OpenAI's answers have, and DeepSeek's not.
NOT_TOLD = ("refusal", "annotations", "service_tier")


def _accented(reply: Reply) -> Reply:
    """Say it in DeepSeek's form, which tells of a prompt what the cache had."""
    events = None if reply.events is None else tuple(map(_in_form, reply.events))
    return replace(reply, body=_in_form(reply.body), events=events)


def _in_form(value: Json) -> Json:
    if isinstance(value, list):
        return list(map(_in_form, value))
    if not isinstance(value, dict):
        return value
    told = {name: _in_form(item) for name, item in value.items() if name not in NOT_TOLD}
    asked = told.get("prompt_tokens")
    return told if asked is None else {**told, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": asked}


# An API without docs


MESSAGES = record("messages", True, messages=array())
EMBEDDED: Shape = record(
    "input", True, input=either("a string or an array", string=text(1), array=array(text(1), 1)),
    dimensions=null_or(integer(1, 8192)), encoding_format=null_or(words("float", "base64")),
)  # fmt: skip


def _any_chat(fields: Json) -> Reply:
    MESSAGES(fields, "")
    messages = fields["messages"] or [{"role": "user", "content": ""}]
    told = {"messages": messages, "stream": fields.get("stream") is True}
    return answers.chat({"model": "any-model", **fields, **told})


def _any_embeddings(fields: Json) -> Reply:
    EMBEDDED(fields, "")
    return answers.embeddings({"model": "any-embedding-model", "dimensions": 16, **fields})


def _model(ident: str, owner: str, **more: Json) -> Json:
    return {"id": ident, "object": "model", "created": 1_767_225_600, "owned_by": owner, **more}


SIZES = {"context_window": 1_048_576, "max_output_tokens": 393_216, "output_modalities": ["text"]}
ACCENTS = {
    "deepseek": Accent(
        {"/chat/completions": _deepseek},
        tuple(_model(name, "deepseek", name=name, **SIZES) for name in DEEPSEEK_MODELS),
        {401: "authentication_error"}, lambda status: "invalid_request_error",
    ),
    "compatible": Accent(
        {"/chat/completions": _any_chat, "/embeddings": _any_embeddings},
        (_model("any-model", "gateway"), _model("any-embedding-model", "gateway")), {},
        lambda status: {401: "invalid_api_key", 404: "unknown_url", 405: "method_not_supported"}.get(status),
    ),
}  # fmt: skip
