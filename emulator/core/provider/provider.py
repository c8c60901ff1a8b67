"""A provider: what an API looks like, compiled from a folder of YAML and JSON Schema. No provider's name is in code.

schemas/<name>/provider.yaml      operations, auth, models, plans, envelopes, headers, stream, facts
schemas/<name>/*.schema.json      request, response and chunk schemas, each constraint with the fact it rests on
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from emulator.core.errors import Json, Refusal, Violation
from emulator.core.frozen import frozen
from emulator.core.provider.keys import KeyPlace
from emulator.core.provider.routes import Routes
from emulator.core.schema import schema as schemas
from emulator.core.schema.schema import Schema
from emulator.core.tree import change_texts, walk
from emulator.core.values import Plan
from emulator.core.wires.wire import Wire

UNLIMITED = Plan("unlimited")
#: What the headers of a limit show where a plan has none.
UNLIMITED_SHOWN = 1_000_000

#: What headers can show of a limit beside its requests and its end in Unix seconds.
RATE_HOLES = frozenset(
    ("limit_tokens", "remaining_tokens", "reset_in", "reset_at", "reset_tokens", "reset_tokens_in", "reset_tokens_at")
)
#: What an operation's body can say of the model that its path names: holes, and the fields of Model.
MODEL_HOLES: Mapping[str, str] = {
    "model.id": "id", "model.owner": "owner", "model.context_window": "context_window",
}  # fmt: skip

_HOLE = re.compile(r"\$\{([a-z0-9_.]+)\}")


def read_plan(name: str, figures: Mapping[str, Json]) -> Plan:
    """Return a plan of `requests_per_minute` and `tokens_per_minute`; what is left out is without limit."""
    return Plan(name, figures.get("requests_per_minute"), figures.get("tokens_per_minute"))


#: How a fact is known.
Evidence = Literal["spec", "docs", "recorded", "measured", "reported"]


@frozen
class Fact:
    """One fact of a provider's docs, in our words; `note` says what of it is assumed."""

    id: str
    who: Literal["server", "client"]
    source: str
    text: str
    assumed: bool = False
    advice: bool = False
    note: str = ""
    judge: str = "not_on_the_wire"  # of a client fact: the function of core.judges that judges it
    evidence: Evidence = "docs"

    @property
    def binding(self) -> bool:
        """Tell whether the docs, or a specification, promise it: anything else is only observed."""
        return not self.assumed and self.evidence in ("spec", "docs")


@frozen
class Model:
    """One model id; `ttft` and `itl` in seconds, prices in the provider's currency for a million tokens."""

    id: str
    context_window: int | None = None
    ttft: float = 0.0
    itl: float = 0.0
    owner: str = ""
    pricing: Mapping[str, float] = field(default_factory=dict)
    capabilities: Mapping[str, float] = field(default_factory=dict)
    embedding: bool = False
    assumed: bool = False


@frozen
class Checks:
    """An operation's request schemas at one choice of muted facts."""

    documented: Schema
    strict: Schema
    defaults: Mapping[str, Json]
    default_facts: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Operation:
    """One method and path below the base URL; its kind says what answers it.

    A chat is asked for as a stream at `streams_at`, or by its body; `body` is the template that a kind `body` answers.
    """

    name: str
    method: str
    path: str
    kind: str
    request: Json
    response: Schema | None
    chunk: Schema | None
    fact: str | None
    shown: Mapping[str, Json]  # response and chunk, as nested mappings of the fields that the docs show
    ids: Mapping[str, str]
    streams_at: str | None = None
    body: Json = None
    wire: Wire | None = None  # of a chat, and of tokens: how it says things
    of: str = ""  # of kind stored: the chat whose answers are kept
    does: Literal["", "show", "forget", "cancel", "list"] = ""  # with them
    missing: tuple[str, str] | None = None  # the error where a kept answer is not there, and its message
    refused: str = ""  # the message where an answer is not to be cancelled
    page: Mapping[str, str] = field(default_factory=dict)  # query parameters of a list

    @property
    def has_body(self) -> bool:
        """Tell whether a request has a body; else its query says what is asked."""
        return self.method not in ("GET", "DELETE")

    def is_missing(self, ident: str, path: str = "") -> Refusal:
        """Return the refusal where an answer is not kept; `path` is the field of the request that names it."""
        name, form = self.missing or ("not_found", "${id} is not found.")
        message = form.replace("${id}", ident)
        return Refusal(name, message, [Violation(path, message)] if path else ())

    @functools.lru_cache(maxsize=64)  # noqa: B019 - operations live as long as the process
    def checks(self, muted: frozenset[str]) -> Checks:
        """Return the schemas without the muted facts."""
        document = schemas.mute(self.request, muted)
        loose, tight = Schema(document), Schema(schemas.strict(document))
        return Checks(loose, tight, schemas.defaults(document), schemas.default_facts(document))

    def takes(self, name: str) -> bool:
        """Tell whether the docs list a request field."""
        return name in self.request.get("properties", {})

    @functools.cached_property
    def takes_tools(self) -> bool:
        """Tell whether the docs know of tools."""
        return self.wire is not None and any(map(self.takes, self.wire.request.fields("tools")))


@dataclass(frozen=True, eq=False)
class Provider:
    """A whole API as data. `operations` is keyed by name, `routes` finds them by path.

    `errors` has the thirteen that all providers have, and further names that are `like` one of them.
    """

    name: str
    title: str
    base_url: str
    versions: Sequence[str]  # what may stand for the last part of the base URL; the first is the one that does
    key_prefix: str
    auth_fact: str | None
    accepts: Sequence[KeyPlace]  # ways to send a key, in the order in which they are looked at
    request_headers: Json  # the schema of a request's headers, by lower-case name; None: anything goes
    env: Mapping[str, str | None]
    content_type: tuple[str, str | None]
    idempotency: tuple[str, float, str | None] | None
    models: Mapping[str, Model]
    models_open: bool
    models_fact: str | None
    models_unknown: str  # the error for a model that there is not
    auto: str | None
    auto_embedding: str | None
    context_fact: str | None
    plans: Mapping[str, Plan]
    default_plan: str
    headers: Sequence[tuple[str, str]]
    ids: Mapping[str, str]
    envelope: Json
    detail: Json
    errors: Mapping[str, Mapping[str, Json]]
    operations: Mapping[str, Operation]
    routes: Routes[Operation]
    tasks: Mapping[str, Mapping[str, Json]]
    facts: Mapping[str, Fact]
    default: bool = False  # it is meant where several could be

    @functools.cached_property
    def tells_more(self) -> bool:
        """Tell whether headers show more of a limit than requests and a number of seconds."""
        return any(hole in RATE_HOLES for _, form in self.headers for hole in holes(form))

    @property
    def rate_holes(self) -> dict[str, str]:
        """What each header shows that shows one thing: its hole, by the header's name in lower case."""
        matches = {name.lower(): _HOLE.fullmatch(form) for name, form in self.headers}
        return {name: match[1] for name, match in matches.items() if match}

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @functools.lru_cache(maxsize=64)  # noqa: B019 - providers live as long as the process
    def header_checks(self, muted: frozenset[str]) -> Schema | None:
        """Return the schema of a request's headers without the muted facts, if there is one."""
        return Schema(schemas.mute(self.request_headers, muted)) if self.request_headers else None

    @functools.cached_property
    def key_parameters(self) -> frozenset[str]:
        """The query parameters that hold keys, which are no part of what is asked."""
        return frozenset(way.name for way in self.accepts if way.kind == "query")

    def environment(self, base_url: str, key: str) -> dict[str, str | None]:
        """Return the variables that lead a client to a base URL; None for those that must not be set."""
        root = base_url.removesuffix(f"/{self.versions[0]}") if self.versions else base_url
        values = {"base_url": base_url, "root_url": root, "key": key}
        return {name: form if form is None else fill_text(form, values) for name, form in self.env.items()}

    @functools.cached_property
    def base_path(self) -> str:
        """The path of the documented base URL, which begins each path at the emulator too; it may be empty."""
        return urlsplit(self.base_url).path.rstrip("/")

    @functools.cached_property
    def _bases(self) -> Sequence[tuple[str, ...]]:
        """The steps of the base path, with each of its versions."""
        steps = tuple(self.base_path.split("/")[1:])
        return [(*steps[:-1], version) for version in self.versions] or [steps]

    @functools.cached_property
    def first_steps(self) -> frozenset[str]:
        """What a path that begins with a base path, and with no provider's name, begins with."""
        below = {path.split("/")[1] for path in self.routes}
        return frozenset(base[0] for base in self._bases if base) | (below if () in self._bases else frozenset())

    def below(self, steps: Sequence[str]) -> str | None:
        """Return the path below the base URL that the steps of a path lead to; None where they begin otherwise."""
        for base in self._bases:
            if tuple(steps[: len(base)]) == base:
                return "/" + "/".join(steps[len(base) :])
        return None

    @functools.cached_property
    def model_ids(self) -> frozenset[str]:
        """What `model` can be by the docs: `auto` too, where the provider routes."""
        return frozenset([*self.models, *(["auto"] if self.auto else [])])

    @functools.cached_property
    def keeps(self) -> bool:
        """Tell whether answers are kept for later requests."""
        return any(operation.kind == "stored" for operation in self.operations.values())

    def operation_at(self, method: str, path: str) -> Operation | None:
        """Return the operation that a path below the base URL is for."""
        route = (self.routes.find(path) or {}).get(method)
        return route.operation if route else None

    def error_body(self, refusal: Refusal, request_id: str) -> Json:
        """Fill this provider's envelope."""
        details = [fill(self.detail, {"field": item.path, "message": item.message}) for item in refusal.details]
        values = {"details": details, "request_id": request_id, "status": self.errors[refusal.name]["status"]}
        return fill(self.envelope, {**self.errors[refusal.name], **self.error_values(refusal), **values})

    def error_values(self, refusal: Refusal) -> dict[str, Json]:
        """Return what an error says wherever it is told; its reason is the code, or where there is none the type."""
        given = self.errors[refusal.name]
        code, kind = given.get("code"), given.get("type")
        return {
            "type": kind,
            "code": code,
            "reason": code if code is not None else kind,
            "message": refusal.message or _summary(refusal.details) or given["message"],
            "param": (refusal.details[0].path or None) if refusal.details else None,
        }

    def envelope_difference(self, body: Json) -> str | None:
        """Return the path of the first field that only this provider's envelope or only a body has."""
        holes = dict.fromkeys(("message", "param", "details", "request_id", "status", "code", "type"))
        return _difference(fill(self.envelope, holes), body)


def _difference(shape: Json, body: Json) -> str | None:
    """Return the path of the first field that only one of two bodies has."""
    if not isinstance(shape, Mapping):
        return None
    if not isinstance(body, Mapping):
        return ""
    for name in [*shape, *body]:
        if (name in shape) != (name in body):
            return str(name)
        below = _difference(shape[name], body[name])
        if below is not None:
            return f"{name}.{below}" if below else name
    return None


def _summary(details: Sequence[Violation]) -> str:
    texts = [f"{item.path}: {item.message}" if item.path else f"The body {item.message}" for item in details]
    return "; ".join(texts)[:2000]


def fill(shape: Json, values: Mapping[str, Json]) -> Json:
    """Fill a shape's holes; a string that is exactly one hole becomes the value itself."""

    def filled(text: str) -> Json:
        whole = _HOLE.fullmatch(text)
        return values[whole[1]] if whole else _HOLE.sub(lambda hole: str(values[hole[1]]), text)

    return change_texts(shape, filled)


def fill_text(form: str, values: Mapping[str, Json]) -> str:
    """Fill the holes of a text, which is taken apart once."""
    return "".join([str(values[part]) if hole else part for part, hole in _parts(form)])


@functools.lru_cache(maxsize=256)
def _parts(form: str) -> tuple[tuple[str, bool], ...]:
    """Return a form's literals and names of holes, in order, and which they are."""
    return tuple((part, index % 2 == 1) for index, part in enumerate(_HOLE.split(form)) if part)


def holes(shape: Json) -> Iterator[str]:
    """Yield the names of a shape's holes."""
    for _, leaf in walk(shape):
        if isinstance(leaf, str):
            yield from _HOLE.findall(leaf)
