"""OpenAI in service: paths, keys, errors and headers, as its reference and guides tell them."""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from independent import openai_answers as answers
from independent import openai_requests as takes
from independent import openai_rules as rules
from independent.openai_kept import Chats
from independent.openai_responses import Kept
from independent.shapes import Shape, refuse
from independent.values import Json, Refused, Reply, Request
from independent.windows import Windows

KEYS = {"sk-key": (1_000_000, 1_000_000_000), "sk-three": (3, 1_000_000_000)}
LIMITED = ("/chat/completions", "/completions", "/responses", "/embeddings")
NO_JSON = "We could not parse the JSON body of your request."
#: Of the errors with these statuses; all others are invalid requests.
TYPES = {429: "requests", 500: "server_error"}


@dataclass(slots=True)
class OpenAI:
    """The API in service, and what it remembers."""

    kept: Kept = field(default_factory=Kept)
    chats: Chats = field(default_factory=Chats)
    windows: Windows = field(default_factory=Windows)

    def serve(self, request: Request) -> Reply:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            reply = self._answer(request, key)
        except Refused as refused:
            reply = _error(refused)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            reply = _error(refuse(None, None, "The request cannot be read."))
        headers = {"x-request-id": f"req_{uuid.uuid4().hex}"}
        if reply.status not in (401, 404):
            headers |= {"openai-organization": "org-test", "openai-processing-ms": "7", "openai-version": "2020-10-01"}
            headers |= self._rate(key) if request.path in LIMITED else {}
        return replace(reply, headers={**headers, **reply.headers})

    def _answer(self, request: Request, key: str) -> Reply:
        found = next(
            ((answer, match) for method, form, answer in PATHS
             if method == request.method and (match := re.fullmatch(form, request.path))), None
        )  # fmt: skip
        if found is None:
            return Reply(404, raw=b"")
        _authenticate(request)
        window = self.windows[key]
        if request.path in LIMITED and window.requests >= KEYS[key][0]:
            wait = {"Retry-After": str(math.ceil(window.end - time.time()))}
            refused = Refused(429, "Rate limit reached. Please try again later.", **wait)
            refused.code = "rate_limit_exceeded"
            raise refused
        answer, match = found
        reply = answer(self, request, *match.groups())
        if request.path in LIMITED:
            window.requests += 1
            usage = reply.body.get("usage") or {} if isinstance(reply.body, dict) else {}
            window.tokens += usage.get("total_tokens", 0)
        return reply

    def _rate(self, key: str) -> dict[str, str]:
        window, told = self.windows[key], {}
        for name, limit, used in zip(("requests", "tokens"), KEYS[key], (window.requests, window.tokens), strict=True):
            told[f"x-ratelimit-limit-{name}"] = str(limit)
            told[f"x-ratelimit-remaining-{name}"] = str(limit - used)
            told[f"x-ratelimit-reset-{name}"] = (
                f"{max(1, math.ceil((window.end - time.time()) * used / limit * 1000))}ms"
            )
        return told


def _authenticate(request: Request) -> None:
    given = request.headers.get("authorization", "")
    scheme, _, key = given.partition(" ")
    if scheme != "Bearer" or not key:
        raise refuse(None, None, "You didn't provide an API key.", 401)
    if key not in KEYS:
        raise refuse("invalid_api_key", None, "Incorrect API key provided.", 401)


def _error(refused: Refused) -> Reply:
    kind = TYPES.get(refused.status, "invalid_request_error")
    error = {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}
    return Reply(refused.status, {"error": error}, refused.headers)


def decode(request: Request) -> Json:
    """Return the object of a body. Raises: Refused."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    try:
        fields = json.loads(request.body) if kind == "application/json" else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise refuse(None, None, NO_JSON)
    return fields


Answer = Callable[..., Reply]


def asked(shape: Shape, check: Callable[[Json], None], answer: Callable[[Json], Reply]) -> Answer:
    """Return the answer to a body of a shape, once `check` has nothing against it."""

    def answered(site: OpenAI, request: Request) -> Reply:
        fields = decode(request)
        shape(fields, "")
        check(fields)
        return answer(fields)

    return answered


def chat(site: OpenAI, request: Request) -> Reply:
    fields = decode(request)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise refuse(None, None, NO_JSON if model not in (None, "") else "you must provide a model parameter")
    takes.CHAT(fields, "")
    rules.check_chat(fields)
    return site.chats.keep(fields, answers.chat(fields))


def respond(site: OpenAI, request: Request) -> Reply:
    fields = decode(request)
    rules.check_moved(fields)
    takes.RESPONSES(fields, "")
    rules.check_responses(fields)
    return site.kept.create(fields)


def input_tokens(site: OpenAI, request: Request) -> Reply:
    fields = decode(request)
    takes.INPUT_TOKENS(fields, "")
    items = site.kept.conversation(fields)
    count = answers.prompt_tokens(items, fields.get("instructions"), fields.get("tools"))
    return Reply(200, {"object": "response.input_tokens", "input_tokens": count})


def compact(site: OpenAI, request: Request) -> Reply:
    fields = decode(request)
    takes.COMPACT(fields, "")
    rules.check_responses_model(fields)
    return site.kept.compact(fields)


def model(site: OpenAI, request: Request, name: str) -> Reply:
    if name not in rules.MODELS:
        raise refuse("model_not_found", "model", f"The model '{name}' does not exist", 404)
    return Reply(200, answers.model_of(name))


def no_model_deleted(site: OpenAI, request: Request, name: str) -> Reply:
    raise refuse(None, None, "You have insufficient permissions for this operation.", 403)


PATHS: tuple[tuple[str, str, Answer], ...] = (
    ("POST", "/chat/completions", chat),
    ("POST", "/responses", respond),
    ("POST", "/responses/input_tokens", input_tokens),
    ("POST", "/responses/compact", compact),
    ("GET", "/responses/(resp_[^/]+)", lambda site, request, name: site.kept.show(name, request.query)),
    ("DELETE", "/responses/(resp_[^/]+)", lambda site, request, name: site.kept.forget(name)),
    ("POST", "/responses/(resp_[^/]+)/cancel", lambda site, request, name: site.kept.cancel(name)),
    ("GET", "/responses/(resp_[^/]+)/input_items", lambda site, request, name: site.kept.listed(name, request.query)),
    ("GET", "/chat/completions", lambda site, request: site.chats.list(request.query)),
    ("GET", "/chat/completions/([^/]+)", lambda site, request, name: site.chats.show(name)),
    ("POST", "/chat/completions/([^/]+)", lambda site, request, name: site.chats.update(name, decode(request))),
    ("DELETE", "/chat/completions/([^/]+)", lambda site, request, name: site.chats.forget(name)),
    ("GET", "/chat/completions/([^/]+)/messages", lambda site, request, name: site.chats.messages(name, request.query)),
    ("GET", "/models", lambda site, request: answers.models({})),
    ("GET", "/models/([^/]+)", model),
    ("DELETE", "/models/([^/]+)", no_model_deleted),
    ("POST", "/embeddings", asked(takes.EMBEDDINGS, rules.check_embeddings, answers.embeddings)),
    ("POST", "/moderations", asked(takes.MODERATIONS, rules.check_moderations, answers.moderations)),
    ("POST", "/completions", asked(takes.COMPLETIONS, rules.check_completions, answers.completions)),
)
