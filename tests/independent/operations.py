"""What the independent endpoint's operations answer."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from independent import speech
from independent.apis import Api, resolve, validate
from independent.values import Json, Refused, Reply, Request

IMAGE_TOKENS = 100
#: What a reply depends on, beside the conversation.
SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model says: the tokens of a text, or the call of a tool."""

    head: Mapping[str, Json]
    tokens: Sequence[str]
    call: Json
    finish_reason: str
    prompt_tokens: int


def chat(api: Api, request: Request, asked: Counter[str]) -> Reply:
    """Answer a chat request, whole or streamed. Raises: Refused."""
    fields = decode(request)
    validate(api, fields, api.required)
    turn = _turn(api, {**api.defaults, **fields})
    asked[turn.head["model"]] += 1
    if fields.get("stream"):
        return Reply(200, events=(*_chunks(api, turn), "[DONE]"))
    return Reply(200, _whole(api, turn))


def decode(request: Request) -> Json:
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None


def _turn(api: Api, fields: Mapping[str, Json]) -> Turn:
    model = resolve(api, fields["model"])
    prompt = sum(map(_prompt_tokens, fields["messages"])) + 3
    room, cap = api.context.get(model), fields.get("max_tokens")
    if room is not None and prompt + (cap or 0) > room:
        raise Refused(400, f"this model's context length is {room} tokens", {"messages": "is too long"})
    head = {"id": api.id(), "object": "chat.completion", "created": int(time.time()), "model": model}
    call = _call(fields) if "tools" in api.rules else None
    said = speech.reply(fields["messages"], [fields.get(name) for name in SAMPLING])
    kept = [] if call else said[:cap]
    reason = "tool_calls" if call else "length" if len(kept) < len(said) else "stop"
    return Turn(head, kept, call, reason, prompt)


def _prompt_tokens(message: Mapping[str, Json]) -> int:
    content = message.get("content") or ""
    parts = [{"text": content}] if isinstance(content, str) else content
    return 4 + sum(len(speech.tokens(part["text"])) if "text" in part else IMAGE_TOKENS for part in parts)


def _call(fields: Mapping[str, Json]) -> Json:
    choice = fields.get("tool_choice", "auto")
    functions = [item["function"] for item in fields.get("tools", ())]
    if choice == "none" or not functions or fields["messages"][-1]["role"] == "tool":
        return None
    wanted = choice["function"]["name"] if isinstance(choice, dict) else functions[0]["name"]
    function = next((item for item in functions if item["name"] == wanted), None)
    if function is None:
        raise Refused(400, f"there is no tool {wanted}", {"tool_choice": "is unknown"})
    given = json.dumps(speech.arguments(function.get("parameters", {})), ensure_ascii=False)
    return {
        "id": f"call_{uuid.uuid4().hex[:8]}",
        "type": "function",
        "function": {"name": wanted, "arguments": given},
    }


def _whole(api: Api, turn: Turn) -> Json:
    message: dict[str, Json] = {"role": "assistant", "content": None if turn.call else "".join(turn.tokens)}
    if turn.call:
        message["tool_calls"] = [turn.call]
    spoken = len(turn.tokens) or len(turn.call["function"]["arguments"])
    usage = {"prompt_tokens": turn.prompt_tokens, "completion_tokens": spoken}
    usage["total_tokens"] = sum(usage.values())
    choices = [{"index": 0, "message": message, "finish_reason": turn.finish_reason}]
    return _without(api, {**turn.head, "choices": choices, "usage": usage})


def _chunks(api: Api, turn: Turn) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant"}]
    if turn.call:
        name, given = turn.call["function"]["name"], turn.call["function"]["arguments"]
        deltas.append({"tool_calls": [{**turn.call, "index": 0, "function": {"name": name, "arguments": ""}}]})
        pieces = [given[at : at + 8] for at in range(0, len(given), 8)]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    deltas += [{"content": token} for token in turn.tokens]
    choices: list[Json] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": turn.finish_reason})
    head = {**turn.head, "object": "chat.completion.chunk"}
    return [_without(api, {**head, "choices": [choice]}) for choice in choices]


def _without(api: Api, body: Mapping[str, Json]) -> Json:
    return {name: value for name, value in body.items() if name not in api.leaves_out}


def models(api: Api, request: Request, asked: Counter[str]) -> Reply:
    items = [
        {
            "id": name,
            "object": "model",
            "provider": name.split("-")[0],
            "context_window": 200_000,
            "pricing": {"input": 2.0, "output": 8.0},
            "capability_scores": {"code": 0.8},
        }
        for name in api.models
    ]
    return Reply(200, {"object": "list", "data": items})


def embeddings(api: Api, request: Request, asked: Counter[str]) -> Reply:
    fields = decode(request)
    validate(api, fields, ("model", "input"))
    texts = fields["input"] if isinstance(fields["input"], list) else [fields["input"]]
    model = "gemini-embedding" if fields["model"] == "auto" else fields["model"]
    data = [{"object": "embedding", "index": n, "embedding": speech.vector(text)} for n, text in enumerate(texts)]
    used = sum(len(speech.tokens(text)) for text in texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return Reply(200, {"object": "list", "data": data, "model": model, "usage": usage})


def recommendations(api: Api, request: Request, asked: Counter[str]) -> Reply:
    scored = [{"model": name, "score": 1 - n / 10, "reason": "It did well."} for n, name in enumerate(api.models)]
    return Reply(200, {"task": request.query.get("task", ""), "recommendations": scored})


def rankings(api: Api, request: Request, asked: Counter[str]) -> Reply:
    ranked = [{"model": name, "score": 1 - n / 10, "samples": asked[name]} for n, name in enumerate(api.models)]
    return Reply(200, {"rankings": {"code_generation": ranked}})


def cost_forecast(api: Api, request: Request, asked: Counter[str]) -> Reply:
    fields = decode(request)
    validate(api, fields, ("tasks",))
    tasks = [{**task, "model": api.auto, "cost": task["estimated_tokens"] * 8e-6} for task in fields["tasks"]]
    total = sum(task["cost"] for task in tasks)
    return Reply(200, {"strategy": fields.get("strategy"), "currency": "USD", "total_cost": total, "tasks": tasks})


def health(api: Api, request: Request, asked: Counter[str]) -> Reply:
    latency = {"p50": 400, "p95": 900, "p99": 2000}
    item = {"provider": "anthropic", "latency_ms": latency, "error_rate": 0.0, "circuit_breaker": "closed"}
    return Reply(200, {"providers": [item]})


def patterns(api: Api, request: Request, asked: Counter[str]) -> Reply:
    trends = [{"task": "review", "model": name, "requests": asked[name], "trend": "steady"} for name in api.models]
    return Reply(200, {"patterns": trends})


Operation = Callable[[Api, Request, "Counter[str]"], Reply]

CHAT: Mapping[str, tuple[str, Operation]] = {"/chat/completions": ("POST", chat)}
OTHERS: Mapping[str, tuple[str, Operation]] = {
    "/models": ("GET", models),
    "/embeddings": ("POST", embeddings),
    "/intelligence/recommendations": ("GET", recommendations),
    "/intelligence/rankings": ("GET", rankings),
    "/intelligence/cost-forecast": ("POST", cost_forecast),
    "/intelligence/health": ("GET", health),
    "/intelligence/patterns": ("GET", patterns),
}
