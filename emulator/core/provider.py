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

from emulator.core import schema as schemas
from emulator.core.errors import STATUS, Json, Refusal, Violation
from emulator.core.frozen import frozen
from emulator.core.schema import Schema
from emulator.core.tree import change_texts, walk
from emulator.core.wire import Plan

UNLIMITED = Plan("unlimited")
#: What the headers of a limit show where a plan has none.
UNLIMITED_SHOWN = 1_000_000

_HOLE = re.compile(r"\$\{([a-z_]+)\}")


def read_plan(name: str, figures: Mapping[str, Json]) -> Plan:
    """Return a plan of `requests_per_minute` and `tokens_per_minute`; what is left out is without limit."""
    return Plan(name, figures.get("requests_per_minute"), figures.get("tokens_per_minute"))


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
    """One method and path below the base URL, and the function of core.answers that answers it."""

    name: str
    method: str
    path: str
    answer: str
    request: Json
    response: Schema | None
    chunk: Schema | None
    fact: str | None
    shown: Mapping[str, Json]  # response and chunk, as nested mappings of the fields that the docs show

    @functools.lru_cache(maxsize=64)  # noqa: B019 - operations live as long as the process
    def checks(self, muted: frozenset[str]) -> Checks:
        """Return the schemas without the muted facts."""
        document = schemas.mute(self.request, muted)
        loose, tight = Schema(document), Schema(schemas.strict(document))
        return Checks(loose, tight, schemas.defaults(document), schemas.default_facts(document))

    def takes(self, name: str) -> bool:
        """Tell whether the docs list a request field."""
        return name in self.request.get("properties", {})


@dataclass(frozen=True, eq=False)
class Provider:
    """A whole API as data. `operations` is keyed by name, `routes` by path and then method."""

    name: str
    title: str
    base_url: str
    key_prefix: str
    auth_fact: str | None
    content_type: tuple[str, str | None]
    idempotency: tuple[str, float, str | None] | None
    models: Mapping[str, Model]
    models_open: bool
    models_fact: str | None
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
    done: str
    operations: Mapping[str, Operation]
    routes: Mapping[str, Mapping[str, Operation]]
    tasks: Mapping[str, Mapping[str, Json]]
    facts: Mapping[str, Fact]

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @functools.cached_property
    def model_ids(self) -> frozenset[str]:
        """What `model` can be by the docs: `auto` too, where the provider routes."""
        return frozenset([*self.models, *(["auto"] if self.auto else [])])

    def error_body(self, refusal: Refusal, request_id: str) -> Json:
        """Fill this provider's envelope."""
        given = self.errors[refusal.name]
        details = [fill(self.detail, {"field": item.path, "message": item.message}) for item in refusal.details]
        values = {
            "message": refusal.message or _summary(refusal.details) or given["message"],
            "param": (refusal.details[0].path or None) if refusal.details else None,
            "details": details,
            "request_id": request_id,
            "status": STATUS[refusal.name],
        }
        return fill(self.envelope, {**given, **values})

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
