"""Ollama in service: what its own operations and its OpenAI side answer, as its docs and its source tell them."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from independent import ollama_requests as takes
from independent import speech
from independent.openai_answers import new_id
from independent.shapes import Shape, refuse
from independent.values import Json, Refused, Reply, Request

#: What each model can, by its name without the tag `latest`, and of those that make vectors how long they are.
MODELS: dict[str, tuple[str, ...]] = {
    "llama3.2": ("tools",), "llama3.1": ("tools",), "llama3.1:8b": ("tools",), "mistral": ("tools",),
    "qwen3": ("tools", "thinking"), "qwen3:8b": ("tools", "thinking"), "deepseek-r1": ("tools", "thinking"),
    "gpt-oss": ("tools", "thinking"), "gpt-oss:20b": ("tools", "thinking"), "gemma4": ("tools", "vision"),
    "gemma3": ("vision",), "llava": ("vision",),
}  # fmt: skip
VECTORS = {"nomic-embed-text": 768, "embeddinggemma": 768, "all-minilm": 384}
TYPES = {400: "invalid_request_error", 404: "not_found_error"}
THOUGHT = ["Let", " me", " think."]
MODIFIED = "2026-01-15T08:00:00Z"
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says: its thoughts, tokens of a text, a call, and why it ended."""

    thought: Sequence[str]
    tokens: Sequence[str]
    call: Json
    reason: str
    asked: int

    @property
    def count(self) -> int:
        return len(self.thought) + len(self.tokens) + (3 if self.call else 0)


def base(name: str) -> str:
    return name.removesuffix(":latest")


class Ollama:
    """The API in service; it remembers nothing."""

    def serve(self, request: Request) -> Reply:
        methods = {method: found for method, path, found in PATHS if path == request.path}
        name = request.path.removeprefix("/v1/models/") if request.path.startswith("/v1/models/") else ""
        if name:
            methods = {"GET": lambda fields: _model(name)}
        if not methods:
            return Reply(404, raw=b"404 page not found", headers={"Content-Type": "text/plain"})
        if request.method not in methods:
            told = {"Content-Type": "text/plain", "Allow": ", ".join(methods)}
            return Reply(405, raw=b"405 method not allowed", headers=told)
        try:
            return methods[request.method](_decode(request) if request.method == "POST" else {})
        except Refused as refused:
            return _error(request, refused)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return _error(request, refuse(None, None, "the request cannot be read"))


def _error(request: Request, refused: Refused) -> Reply:
    told: Json = str(refused)
    if request.path.startswith("/v1"):
        told = {"message": told, "type": TYPES.get(refused.status, "api_error"), "param": None, "code": None}
    return Reply(refused.status, {"error": told})


def _decode(request: Request) -> Fields:
    try:
        fields = json.loads(request.body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise refuse(None, None, "the body is no JSON object")
    return {name: value for name, value in fields.items() if value is not None}


def _can(name: str) -> tuple[str, ...]:
    """Return what a model can. Raises: Refused, where there is none of that name."""
    if base(name) not in {**MODELS, **VECTORS}:
        raise refuse(None, None, f"model '{name}' not found", 404)
    return MODELS.get(base(name), ())


def _asked(fields: Fields, shape: Shape, does: str) -> tuple[str, ...]:
    """Return what the model of a good request can. Raises: Refused."""
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise refuse(None, None, "model is required")
    top, think = fields.get("top_logprobs"), fields.get("think")
    if type(top) is int and not 0 <= top <= 20:
        raise refuse(None, None, "top_logprobs must be between 0 and 20")
    if isinstance(think, str) and think not in ("high", "medium", "low", "max"):
        raise refuse(
            None, None, f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)'
        )
    shape(fields, "")
    can = _can(fields["model"])
    if base(fields["model"]) in VECTORS:
        raise refuse(None, None, f'"{fields["model"]}" does not support {does}')
    return can


def _say(fields: Fields, about: Json, can: tuple[str, ...], think: Json, cap: Json, schema: Json) -> Said:
    if think and "thinking" not in can:
        raise refuse(None, None, f'"{fields["model"]}" does not support thinking')
    if fields.get("tools") and "tools" not in can:
        raise refuse(None, None, f"registry.ollama.ai/library/{fields['model']}:latest does not support tools")
    thought = THOUGHT if "thinking" in can and think is not False else []
    asked = 6 + len(speech.tokens(json.dumps(about)))
    called = _called(fields.get("tools") or [], about)
    if called:
        return Said(thought, (), called, "stop", asked)
    tokens = speech.tokens(_json(schema)) if schema is not None else speech.reply(about)
    kept = tokens[: int(cap)] if cap is not None and cap >= 0 else tokens
    return Said(thought, kept, None, "length" if len(kept) < len(tokens) else "stop", asked)


def _called(tools: list[Json], about: Json) -> Json:
    """Return the call of the tool whose name fits the question best; none, where a tool has answered last."""
    last = about[-1] if isinstance(about, list) and about else {}
    if not tools or last.get("role") == "tool":
        return None
    words = str(last.get("content", "")).lower()
    best = max(tools, key=lambda tool: sum(word in words for word in tool["function"]["name"].lower().split("_")))
    function = best["function"]
    return {
        "id": new_id("call_", 8),
        "name": function["name"],
        "input": speech.arguments(function.get("parameters") or {}),
    }


def _json(schema: Json) -> str:
    try:
        return json.dumps(speech.arguments(schema if isinstance(schema, dict) else {}))
    except (AttributeError, TypeError):
        return "{}"


def _figures(said: Said) -> Fields:
    spent = {"load_duration": 1000, "prompt_eval_duration": 2000, "eval_duration": 3000, "total_duration": 6000}
    return {
        "done": True,
        "done_reason": said.reason,
        **spent,
        "prompt_eval_count": said.asked,
        "eval_count": said.count,
    }


def _probable(fields: Fields, tokens: Sequence[str]) -> Fields:
    rows = [{"token": token, "logprob": -0.5, "bytes": list(token.encode())} for token in tokens]
    top = fields.get("top_logprobs", 0)
    return (
        {"logprobs": [{**row, **({"top_logprobs": [row]} if top else {})} for row in rows]}
        if fields.get("logprobs")
        else {}
    )


def _native(fields: Fields, said: Said, form: Callable[[str, str, Json], Fields]) -> Reply:
    """Return an answer of Ollama's own: lines, unless a whole one is asked for."""

    def line(more: Fields) -> Fields:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"model": fields["model"], "created_at": now, **more}

    last = _figures(said)
    if fields.get("stream") is False:
        told = form("".join(said.tokens), "".join(said.thought), said.call)
        return Reply(200, line({**told, **last, **_probable(fields, said.tokens)}))
    parts = [form("", piece, None) for piece in said.thought]
    parts += [form("", "", said.call)] if said.call else []
    parts += [{**form(piece, "", None), **_probable(fields, [piece])} for piece in said.tokens]
    lines = [line({**part, "done": False}) for part in parts]
    return Reply(200, events=(*lines, line({**form("", "", None), **last})), lines=True)


def _loaded(fields: Fields, empty: Fields) -> Reply:
    reason = "unload" if fields.get("keep_alive") in (0, "0") else "load"
    return Reply(200, {"model": fields["model"], "created_at": MODIFIED, **empty, "done": True, "done_reason": reason})


def chat(fields: Fields) -> Reply:
    can = _asked(fields, takes.CHAT, "chat")
    if not fields.get("messages"):
        return _loaded(fields, {"message": {"role": "assistant", "content": ""}})
    schema = fields.get("format")
    cap = fields.get("options", {}).get("num_predict")
    said = _say(fields, fields["messages"], can, fields.get("think"), cap, {} if schema == "json" else schema)

    def message(text: str, thought: str, call: Json) -> Fields:
        calls = (
            [{"id": call["id"], "function": {"index": 0, "name": call["name"], "arguments": call["input"]}}]
            if call
            else []
        )
        told = {"thinking": thought} if thought else {}
        return {"message": {"role": "assistant", "content": text, **told, **({"tool_calls": calls} if calls else {})}}

    return _native(fields, said, message)


def generate(fields: Fields) -> Reply:
    can = _asked(fields, takes.GENERATE, "generate")
    if not fields.get("prompt"):
        return _loaded(fields, {"response": ""})
    schema = fields.get("format")
    cap = fields.get("options", {}).get("num_predict")
    about = [fields.get("system"), fields.get("prompt")]
    said = _say(fields, about, can, fields.get("think"), cap, {} if schema == "json" else schema)
    return _native(
        fields, said, lambda text, thought, _: {"response": text, **({"thinking": thought} if thought else {})}
    )


def embed(fields: Fields) -> Reply:
    if not _is_input(fields.get("input")):
        raise refuse(None, None, "invalid input type")
    takes.EMBED(fields, "")
    _can(fields["model"])
    texts = [fields["input"]] if isinstance(fields["input"], str) else fields["input"]
    vectors = [_vector(fields["model"], item, fields.get("dimensions")) for item in texts]
    spent = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 4}
    return Reply(200, {"model": fields["model"], "embeddings": vectors, **spent})


def _is_input(value: Json) -> bool:
    return (
        value is None
        or isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    )


def _vector(name: str, said: str, size: int | None) -> list[float]:
    own = VECTORS.get(base(name), 1024)
    return speech.vector(said, min(size or own, own))


def embed_one(fields: Fields) -> Reply:
    takes.EMBED_ONE(fields, "")
    _can(fields["model"])
    return Reply(200, {"embedding": _vector(fields["model"], fields["prompt"], None)})


def _details(name: str) -> Fields:
    family = base(name).partition(":")[0]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "3B",
        "quantization_level": "Q4_0",
    }


def tags(fields: Fields) -> Reply:
    names = [name if ":" in name else f"{name}:latest" for name in {**MODELS, **VECTORS}]
    rows = [
        {"name": name, "model": name, "modified_at": MODIFIED, "size": 7, "digest": "0a8c", "details": _details(name)}
        for name in names
    ]
    return Reply(200, {"models": rows})


def show(fields: Fields) -> Reply:
    if not fields.get("model"):
        raise refuse(None, None, "model is required")
    takes.SHOW(fields, "")
    can = ["embedding"] if base(fields["model"]) in VECTORS else ["completion", *_can(fields["model"])]
    told = {"template": "{{ .Prompt }}", "parameters": "", "model_info": {}}
    return Reply(200, {**told, "details": _details(fields["model"]), "capabilities": can, "modified_at": MODIFIED})


# The OpenAI side


def completions(fields: Fields) -> Reply:
    effort = fields.get("reasoning_effort")
    efforts = ("minimal", "low", "medium", "high", "xhigh", "ultra", "max", "none")
    if isinstance(effort, str) and effort not in efforts:
        listed = ", ".join(f'"{name}"' for name in efforts[:-1])
        raise refuse(None, None, f'invalid reasoning value: "{effort}" (must be {listed}, or "none")')
    _check_images(fields.get("messages"))
    can = _asked(fields, takes.COMPLETION, "chat")
    for message in fields["messages"]:
        if message.get("content") is None and message.get("tool_calls") is None:
            raise refuse(None, None, "invalid message content type: <nil>")
    think = {None: None, "none": False}.get(effort, True)
    form = fields.get("response_format", {})
    schema = (
        form.get("json_schema", {}).get("schema", {}) if form.get("type") in ("json_object", "json_schema") else None
    )
    said = _say(fields, fields["messages"], can, think, fields.get("max_tokens"), schema)
    head = {
        "id": new_id("chatcmpl-", 3),
        "created": int(time.time()),
        "model": fields["model"],
        "system_fingerprint": "fp_ollama",
    }
    usage = {"prompt_tokens": said.asked, "completion_tokens": said.count, "total_tokens": said.asked + said.count}
    reason = "tool_calls" if said.call else said.reason
    calls = [_call(said.call)] if said.call else []
    if not fields.get("stream"):
        more = {"reasoning": "".join(said.thought)} if said.thought else {}
        more |= {"tool_calls": calls} if calls else {}
        message = {"role": "assistant", "content": "".join(said.tokens), **more}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return Reply(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    head["object"] = "chat.completion.chunk"
    deltas = [{"content": "", "reasoning": piece} for piece in said.thought]
    deltas += [{"content": "", "tool_calls": calls}] if calls else []
    deltas += [{"content": piece} for piece in said.tokens]
    deltas = [{"role": "assistant", **(deltas[0] if deltas else {"content": ""})}, *deltas[1:]]
    chunks = [{**head, "choices": [{"index": 0, "delta": item, "finish_reason": None}]} for item in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if fields.get("stream_options", {}).get("include_usage"):
        chunks.append({**head, "choices": [], "usage": usage})
    return Reply(200, events=(*chunks, "[DONE]"))


def _check_images(messages: Json) -> None:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else None
            if isinstance(url, str) and url.startswith("http"):
                raise refuse(
                    None, None, "image URLs are not currently supported, please use base64 encoded data instead"
                )


def _call(call: Json) -> Json:
    function = {"name": call["name"], "arguments": json.dumps(call["input"])}
    return {"id": call["id"], "index": 0, "type": "function", "function": function}


def vectors(fields: Fields) -> Reply:
    takes.VECTORS(fields, "")
    _can(fields["model"])
    texts = [fields["input"]] if isinstance(fields["input"], str) else fields["input"]
    found = [_vector(fields["model"], item, fields.get("dimensions")) for item in texts]
    encode = _base64 if fields.get("encoding_format") == "base64" else list
    rows = [{"object": "embedding", "index": index, "embedding": encode(item)} for index, item in enumerate(found)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return Reply(200, {"object": "list", "data": rows, "model": fields["model"], "usage": usage})


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _entry(name: str) -> Fields:
    return {"id": name, "object": "model", "created": 1768464000, "owned_by": "library"}


def models(fields: Fields) -> Reply:
    return Reply(200, {"object": "list", "data": [_entry(row["name"]) for row in tags({}).body["models"]]})


def _model(name: str) -> Reply:
    _can(name)
    return Reply(200, _entry(name))


PATHS: tuple[tuple[str, str, Callable[[Fields], Reply]], ...] = (
    ("POST", "/api/chat", chat),
    ("POST", "/api/generate", generate),
    ("POST", "/api/embed", embed),
    ("POST", "/api/embeddings", embed_one),
    ("GET", "/api/tags", tags),
    ("POST", "/api/show", show),
    ("GET", "/api/ps", lambda fields: Reply(200, {"models": []})),
    ("GET", "/api/version", lambda fields: Reply(200, {"version": "0.12.6"})),
    ("POST", "/v1/chat/completions", completions),
    ("POST", "/v1/embeddings", vectors),
    ("GET", "/v1/models", models),
)
