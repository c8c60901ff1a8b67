"""What OpenAI's operations answer to a request that is right."""

from __future__ import annotations

import base64
import json
import random
import string
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from independent import speech
from independent.openai_rules import EMBEDDINGS, MODELS, PLAIN, Fields
from independent.shapes import refuse
from independent.values import Json, Reply

#: What a reply depends on beside the conversation, and what is meant where it is left out.
SAMPLING = {
    "temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "seed": None, "logit_bias": None,
}  # fmt: skip
ANSWERS_AS = {"gpt-4o": "gpt-4o-2024-08-06", "gpt-5-mini": "gpt-5-mini-2025-08-07", "gpt-5.6": "gpt-5.6-sol"}
IMAGE_TOKENS = 85
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


def new_id(prefix: str, size: int = 29) -> str:
    return prefix + "".join(random.choices(string.ascii_letters + string.digits, k=size))


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says: tokens of a text, or the call of a tool (its kind, name and input), and why it ended."""

    tokens: Sequence[str]
    call: tuple[str, str, str] | None
    reason: str

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def count(self) -> int:
        return len(self.tokens) or len(speech.tokens(self.call[2])) if self.call else len(self.tokens)


def prompt_tokens(*parts: Json) -> int:
    """Count what a prompt has: a token a word, and some for each image."""
    said = json.dumps(parts, ensure_ascii=False)
    return 8 + len(speech.tokens(said)) + IMAGE_TOKENS * said.count('"image_url":')


def say(fields: Fields, about: Json, tools: Sequence[Json], choice: Json, schema: Json, cap: int | None) -> Said:
    """Answer in words, in JSON, or by a call."""
    called = _called(tools, choice)
    if called:
        kind, function = called
        return Said((), (kind, function["name"], _input(kind, function)), "tool_calls")
    sampling = [usual if fields.get(name) is None else fields[name] for name, usual in SAMPLING.items()]
    said = speech.tokens(json.dumps(speech.arguments(schema))) if schema is not None else speech.reply(about, sampling)
    kept = said[:cap]
    return Said(kept, None, "length" if len(kept) < len(said) else "stop")


def _called(tools: Sequence[Json], choice: Json) -> tuple[str, Json] | None:
    """Return the tool that is called: the one named, or the first where some must be or may be."""
    offered = [(tool["type"], tool.get(tool["type"], tool)) for tool in tools if tool["type"] in ("function", "custom")]
    if choice == "none" or not offered or choice == "told":
        return None
    named = choice.get(choice["type"], choice).get("name") if isinstance(choice, dict) else None
    return next((item for item in offered if item[1].get("name") == named), offered[0])


def _input(kind: str, function: Json) -> str:
    return json.dumps(speech.arguments(function.get("parameters") or {})) if kind == "function" else "Look."


# Chat


def chat(fields: Fields) -> Reply:
    model, cap = fields["model"], fields.get("max_completion_tokens") or fields.get("max_tokens")
    prompt, room = prompt_tokens(fields["messages"], fields.get("tools")), PLAIN.get(model, (400_000, 0))[0]
    if prompt + (cap or 0) > room:
        raise refuse("context_length_exceeded", "messages", f"This model's maximum context length is {room} tokens.")
    form = fields.get("response_format") or {}
    schema = {"json_object": {}, "json_schema": form.get("json_schema", {}).get("schema", {})}.get(form.get("type", ""))
    choice = "told" if fields["messages"][-1]["role"] == "tool" else fields.get("tool_choice", "auto")
    said = say(fields, fields["messages"], fields.get("tools") or (), choice, schema, cap)
    count = fields.get("n") or 1
    head = {"id": new_id("chatcmpl-"), "object": "chat.completion", "created": int(time.time())}
    head |= {"model": ANSWERS_AS.get(model, model), "service_tier": "default", "system_fingerprint": "fp_1a2b3c4d5e"}
    usage = _usage(prompt, said.count * count)
    if fields.get("stream"):
        told = (fields.get("stream_options") or {}).get("include_usage")
        return Reply(200, events=(*_chunks(head, said, count, fields, usage if told else None), "[DONE]"))
    choices = [_choice(index, said, fields) for index in range(count)]
    return Reply(200, {**head, "choices": choices, "usage": usage})


def _usage(prompt: int, completion: int) -> Json:
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                      "rejected_prediction_tokens": 0},
    }  # fmt: skip


def _choice(index: int, said: Said, fields: Fields) -> Json:
    message = {"role": "assistant", "content": None if said.call else said.text, "refusal": None, "annotations": []}
    if said.call:
        message["tool_calls"] = [_call(said.call)]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(said.tokens, fields),
        "finish_reason": said.reason,
    }


def _call(call: tuple[str, str, str]) -> Json:
    kind, name, given = call
    return {"id": new_id("call_", 24), "type": kind, kind: {"name": name, _GIVEN[kind]: given}}


_GIVEN = {"function": "arguments", "custom": "input"}


def _logprobs(tokens: Sequence[str], fields: Fields) -> Json:
    if not fields.get("logprobs"):
        return None
    return {"content": probabilities(tokens, fields.get("top_logprobs") or 0), "refusal": None}


def probabilities(tokens: Sequence[str], count: int) -> Json:
    made = [{"token": token, "logprob": -0.1, "bytes": list(token.encode())} for token in tokens]
    others = [{"token": f" {n}", "logprob": -1.0 - n, "bytes": [32, 48 + n % 10]} for n in range(count)]
    return [{**item, "top_logprobs": [item, *others][:count]} for item in made]


def obfuscated(fields: Fields) -> bool:
    """Tell whether what is streamed has a random text that hides its length."""
    return (fields.get("stream_options") or {}).get("include_obfuscation") is not False


def _chunks(head: Json, said: Said, count: int, fields: Fields, usage: Json) -> Iterator[Json]:
    head |= {"obfuscation": "x7Qp"} if obfuscated(fields) else {}
    more = {"usage": None} if usage else {}
    for index in range(count):
        for delta, tokens in _deltas(said):
            logprobs = _logprobs(tokens, fields) if tokens else None
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
            yield {**head, "object": "chat.completion.chunk", "choices": [choice], **more}
        end = {"index": index, "delta": {}, "logprobs": None, "finish_reason": said.reason}
        yield {**head, "object": "chat.completion.chunk", "choices": [end], **more}
    if usage:
        yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def _deltas(said: Said) -> Iterator[tuple[Json, Sequence[str]]]:
    yield {"role": "assistant", "content": None if said.call else "", "refusal": None}, ()
    if said.call:
        kind, given = said.call[0], _GIVEN[said.call[0]]
        whole = _call(said.call)
        yield {"tool_calls": [{"index": 0, **whole, kind: {**whole[kind], given: ""}}]}, ()
        for at in range(0, len(said.call[2]), 8):
            yield {"tool_calls": [{"index": 0, kind: {given: said.call[2][at : at + 8]}}]}, ()
    for token in said.tokens:
        yield {"content": token}, (token,)


# The others


def models(fields: Fields) -> Reply:
    return Reply(200, {"object": "list", "data": [model_of(name) for name in MODELS]})


def model_of(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "system"}


def embeddings(fields: Fields) -> Reply:
    given = fields["input"]
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = fields.get("dimensions") or EMBEDDINGS[fields["model"]]
    used = sum(len(speech.tokens(text)) if isinstance(text, str) else len(text) for text in inputs)
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(text, size, fields)}
        for index, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return Reply(200, {"object": "list", "data": data, "model": fields["model"], "usage": usage})


def _vector(text: Json, size: int, fields: Fields) -> Json:
    values = speech.vector(repr(text), size)
    if fields.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{size}f", *values)).decode()
    return values


def moderations(fields: Fields) -> Reply:
    given = fields["input"]
    parts = isinstance(given, list) and isinstance(given[0], dict)
    inputs = [given] if isinstance(given, str) or parts else given
    result = {
        "flagged": False, "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.001),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }  # fmt: skip
    model = fields.get("model", "omni-moderation-latest")
    return Reply(200, {"id": new_id("modr-"), "model": model, "results": [result for _ in inputs]})


def completions(fields: Fields) -> Reply:
    given = fields["prompt"] if fields["prompt"] is not None else ""
    prompts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    cap = 16 if fields.get("max_tokens") is None else fields["max_tokens"]
    choices, used, spoken = [], 0, 0
    for prompt in prompts:
        said = speech.reply(prompt, [fields.get(name) for name in SAMPLING])[:cap]
        used, spoken = used + prompt_tokens(prompt), spoken + len(said) * (fields.get("n") or 1)
        text = (prompt if fields.get("echo") and isinstance(prompt, str) else "") + "".join(said)
        for _ in range(fields.get("n") or 1):
            choices.append({"text": text, "index": len(choices), "logprobs": None, "finish_reason": "length"})
    head = {"id": new_id("cmpl-"), "object": "text_completion", "created": int(time.time()), "model": fields["model"]}
    usage = {"prompt_tokens": used, "completion_tokens": spoken, "total_tokens": used + spoken}
    if fields.get("stream"):
        told = (fields.get("stream_options") or {}).get("include_usage")
        return Reply(200, events=(*_text_chunks(head, choices, usage if told else None), "[DONE]"))
    return Reply(200, {**head, "choices": choices, "usage": usage})


def _text_chunks(head: Json, choices: Sequence[Mapping[str, Json]], usage: Json) -> Iterator[Json]:
    more = {"usage": None} if usage else {}
    for choice in choices:
        for token in speech.tokens(choice["text"]):
            yield {**head, "choices": [{**choice, "text": token, "finish_reason": None}], **more}
        yield {**head, "choices": [{**choice, "text": ""}], **more}
    if usage:
        yield {**head, "choices": [], "usage": usage}
