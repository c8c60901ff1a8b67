"""The four APIs as their docs describe them: keys, models, fields, defaults, errors, headers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from independent.values import Json, Refused

#: Says what is wrong with a value; empty if nothing is.
Rule = Callable[[Json], str]

UNLIMITED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Api:
    """One API. `keys`: requests and tokens that a window allows each; `rate`: the headers that tell of it."""

    keys: Mapping[str, tuple[int, int]]
    models: Sequence[str]
    rules: Mapping[str, Rule]
    id: Callable[[], str]
    error: Callable[[Refused], Json]
    auto: str | None = None
    open_models: bool = False
    required: Sequence[str] = ("model", "messages")
    defaults: Mapping[str, Json] = field(default_factory=dict)
    context: Mapping[str, int] = field(default_factory=dict)
    leaves_out: frozenset[str] = frozenset()
    rate: Sequence[str] = ()
    request_id: bool = False
    idempotent: bool = False
    json_only: int = 0
    others: bool = False


def number(low: float = -UNLIMITED, high: float = UNLIMITED) -> Rule:
    def rule(value: Json) -> str:
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return "" if good else f"must be a number from {low} to {high}"

    return rule


def integer(value: Json) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) else "must be an integer"


def boolean(value: Json) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def string(value: Json) -> str:
    return "" if isinstance(value, str) and value else "must be a string that is not empty"


def cap(value: Json) -> str:
    return integer(value) or ("" if value > 0 else "must be greater than 0")


def messages(roles: Sequence[str], *, parts: bool = False) -> Rule:
    """A list of messages with these roles; with `parts`, content may be a list of text and images."""

    def rule(value: Json) -> str:
        if not isinstance(value, list) or not value:
            return "must be a list of messages"
        return next((wrong for item in value if (wrong := _message(item, roles, parts))), "")

    return rule


def _message(item: Json, roles: Sequence[str], parts: bool) -> str:
    if not isinstance(item, dict) or item.get("role") not in roles:
        return f"each message needs a role: {', '.join(roles)}"
    content = item.get("content")
    if isinstance(content, str) or (parts and content is None and item.get("tool_calls")):
        return ""
    if parts and isinstance(content, list) and content and all(map(_is_part, content)):
        return ""
    return "each message needs content"


def _is_part(part: Json) -> bool:
    if not isinstance(part, dict):
        return False
    if part.get("type") == "text":
        return isinstance(part.get("text"), str)
    image = part.get("image_url")
    return part.get("type") == "image_url" and isinstance(image, dict) and isinstance(image.get("url"), str)


def tools(value: Json) -> str:
    good = isinstance(value, list) and all(isinstance(item, dict) and "function" in item for item in value)
    return "" if good else "must be a list of functions"


def tasks(value: Json) -> str:
    good = isinstance(value, list) and all(
        isinstance(item, dict) and not integer(item.get("estimated_tokens")) for item in value
    )
    return "" if good else "must be a list of tasks, each with estimated_tokens"


def texts(value: Json) -> str:
    return "" if isinstance(value, str | list) and value else "must be a text or several"


def openai_error(refused: Refused) -> Json:
    kind = "rate_limit_error" if refused.status == 429 else "invalid_request_error"
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(refused.status)
    return {"error": {"message": str(refused), "type": kind, "param": next(iter(refused.fields), None), "code": code}}


def router_error(refused: Refused) -> Json:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(refused.status, "invalid_request_error")
    return {"error": {"message": str(refused), "type": kind, "code": refused.status}}


def coded_error(refused: Refused) -> Json:
    code = {401: "unauthorized", 404: "not_found", 405: "not_allowed", 422: "key_reused", 429: "rate_limited"}
    details = [{"field": name, "message": wrong} for name, wrong in refused.fields.items()]
    return {"error": {"code": code.get(refused.status, "invalid_request"), "message": str(refused), "details": details}}


ROLES = ("system", "user", "assistant")
USUAL: Mapping[str, Rule] = {"model": string, "stream": boolean, "max_tokens": cap}
PENALTY = number(-2, 2)

APIS: Mapping[str, Api] = {
    "braintwin": Api(
        keys={"bt-key": (100_000, UNLIMITED), "bt-three": (3, UNLIMITED)},
        models=("gpt-3.5-turbo", "gpt-4"),
        rules={
            **USUAL,
            "messages": messages(ROLES),
            "temperature": number(0, 2),
            "presence_penalty": PENALTY,
            "frequency_penalty": PENALTY,
        },
        id=lambda: f"chatcmpl-{uuid.uuid4().hex}",
        error=openai_error,
        defaults={"temperature": 1, "max_tokens": 16, "stream": False},
        context={"gpt-3.5-turbo": 4096, "gpt-4": 8192},
        rate=("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    ),
    "brainstormrouter": Api(
        keys={"br-enterprise": (100_000, UNLIMITED), "br-free": (20, 100_000)},
        models=(
            *("claude-opus-4-6", "claude-sonnet-4-6", "gpt-5.4", "gemini-3.1-pro", "gemini-3.1-flash"),
            *("deepseek-v3", "kimi-k2.5"),
        ),
        rules={
            **USUAL,
            "messages": messages((*ROLES, "tool"), parts=True),
            "temperature": number(),
            "tools": tools,
            "tasks": tasks,
            "input": texts,
        },
        id=lambda: f"chatcmpl-{uuid.uuid4().hex[:12]}",
        error=router_error,
        auto="claude-opus-4-6",
        open_models=True,
        leaves_out=frozenset({"created"}),
        rate=("X-RateLimit-Remaining", "X-RateLimit-Reset"),
        others=True,
    ),
    "brivionix": Api(
        keys={"sk-key": (UNLIMITED, UNLIMITED)},
        models=("gpt-5.4-mini", "gpt-5.4", "gpt-5.4-nano", "gpt-5.4-pro", "gpt-5.4-max"),
        rules={
            **USUAL,
            "messages": messages((*ROLES, "tool"), parts=True),
            "temperature": number(),
            "top_p": number(),
            "frequency_penalty": number(),
            "presence_penalty": number(),
            "seed": integer,
            "tools": tools,
        },
        id=lambda: f"chatcmpl-{uuid.uuid4().hex}",
        error=openai_error,
        defaults={"temperature": 0.7, "top_p": 1},
        json_only=415,
    ),
    "beatra": Api(
        keys={"bea-key": (UNLIMITED, UNLIMITED)},
        models=("loris-2", "loris-2-small"),
        rules={**USUAL, "messages": messages(ROLES), "temperature": number(0, 2), "top_p": number(0, 1)},
        id=lambda: f"chatcmpl_01J5{uuid.uuid4().hex.upper()[:22]}",
        error=coded_error,
        auto="loris-2",
        leaves_out=frozenset({"object", "created"}),
        request_id=True,
        idempotent=True,
        json_only=400,
    ),
}


def validate(api: Api, fields: Json, required: Sequence[str]) -> None:
    """Refuse a body that the docs rule out. Raises: Refused."""
    if not isinstance(fields, dict):
        raise Refused(400, "the body must be a JSON object")
    wrong = {name: "is required" for name in required if name not in fields}
    wrong |= {name: said for name, value in fields.items() if name in api.rules and (said := api.rules[name](value))}
    if api.idempotent and "top_p" in fields and "temperature" in fields:
        wrong["top_p"] = "cannot be passed together with temperature"
    if wrong:
        raise Refused(400, "; ".join(f"{name} {said}" for name, said in wrong.items()), wrong)


def resolve(api: Api, model: str) -> str:
    """Return the id of the model that answers. Raises: Refused."""
    if model == "auto" and api.auto:
        return api.auto
    if model not in api.models and not api.open_models:
        raise Refused(400, f"there is no model {model}", {"model": "is unknown"})
    return model
