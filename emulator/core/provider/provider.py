"""A provider: what an API looks like, compiled from a folder of YAML and JSON Schema. No provider's name is in code.

schemas/<name>/provider.yaml      operations, auth, models, plans, envelopes, headers, stream, facts
schemas/<name>/*.schema.json      request, response and chunk schemas, each constraint with the fact it rests on
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from emulator.core.errors import Json, Refusal, Violation
from emulator.core.frozen import frozen
from emulator.core.provider.conversation.rules import ConversationRules
from emulator.core.provider.fact import Fact
from emulator.core.provider.holes import difference, fill, fill_text, only_hole
from emulator.core.provider.holes import holes as holes_of
from emulator.core.provider.keys import KeyPlace
from emulator.core.provider.model import Model
from emulator.core.provider.operation import Operation
from emulator.core.provider.plans import RATE_HOLES, HeaderScope
from emulator.core.provider.routes import Routes
from emulator.core.provider.wording import Wording, documented, error_below, path_in
from emulator.core.schema import schema as schemas
from emulator.core.schema.schema import Schema
from emulator.core.tree import path_of
from emulator.core.values import Plan


@frozen
class Comparison:
    """What a body would have to keep to elsewhere; `both` is that, and the strict schema of the operation itself."""

    schema: Schema
    rules: ConversationRules | None
    both: Schema


@dataclass(frozen=True, eq=False, kw_only=True)
class Provider:
    """A whole API as data. `operations` is keyed by name, `routes` finds them by path.

    `errors` has the thirteen that all providers have, and further names that are `like` one of them.
    """

    name: str
    title: str
    base_url: str
    versions: Sequence[str] = ()  # what may stand for the last part of the base URL; the first is the one that does
    key_prefix: str
    auth_fact: str | None = None
    key_optional: bool = False  # a request may have none, and any
    key_missing: str = "unauthorized"  # the error for a request without a key, and that for a wrong one
    key_wrong: str = "unauthorized"
    accepts: Sequence[KeyPlace]  # ways to send a key, in the order in which they are looked at
    request_headers: Json = None  # the schema of a request's headers, by lower-case name; None: anything goes
    env: Mapping[str, str | None]
    content_type: tuple[str, str | None]
    malformed: str = "invalid_request"  # the error for a body that cannot be read
    unknown_path: str = "not_found"
    wrong_method: str = "method_not_allowed"
    nulls_fact: str | None = None  # present: null is not as good as leaving an optional field out
    idempotency: tuple[str, float, str | None] | None
    models: Mapping[str, Model]
    models_open: bool
    models_closed: bool = False  # where a scenario lists models, these are all there are
    models_fact: str | None = None
    models_unknown: str = "invalid_request"  # the error for a model that there is not
    auto: str | None = None
    auto_embedding: str | None = None
    context_of: Literal["all", "input"] = "all"  # what must fit a window: the answer that is asked for too, or not
    context_fact: str | None = None
    context_error: str = "invalid_request"
    plans: Mapping[str, Plan]
    default_plan: str
    headers: Sequence[tuple[str, str]]
    ids: Mapping[str, str]
    envelope: Json
    detail: Json = None
    errors: Mapping[str, Mapping[str, Json]]
    wordings: Mapping[str, Wording] = field(default_factory=dict)  # how a broken constraint is told, by its keyword
    operations: Mapping[str, Operation]
    routes: Routes
    tasks: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    facts: Mapping[str, Fact]
    default: bool = False  # it is meant where several could be
    reference: Provider | None = None  # the API with which it is compatible
    reference_muted: frozenset[str] = frozenset()  # what of that does not hold here
    model_entry: Json = None  # the template of a model in the list of models
    header_scopes: Mapping[str, HeaderScope] = field(default_factory=dict)  # by the name of the header
    over: Mapping[str, str] = field(default_factory=dict)  # the errors of a plan's limits, by what is used up
    not_emulated: Mapping[str, Json] = field(default_factory=dict)  # beginnings of paths only the API has, the error
    header_exceptions: Sequence[Wording] = ()  # what is said of headers that break their schema
    elsewhere: Sequence[tuple[KeyPlace, str]] = ()  # where no key is taken, and the error for one that is sent there
    also_read: Mapping[str, str] = field(default_factory=dict)  # other ways to write a request, each with its fact
    error_paths: Mapping[str, Json] = field(default_factory=dict)  # how errors tell places of a body
    envelopes: Mapping[str, Json] = field(default_factory=dict)  # of errors below some paths, by how these begin
    refills: bool = False  # what a plan allows comes back bit by bit
    proven: bool = False  # it is one of ours as it is shipped: tests hold it against its schemas
    request_query: Json = None  # the schema of a request's query; None: anything goes
    retry_ms: bool = False  # where Retry-After is sent, retry-after-ms is too
    comment: tuple[bytes, float] | None = None  # what keeps a stream that waits, and after how many seconds

    def retry_headers(self, seconds: float, least: int = 0) -> dict[str, str]:
        """Return the headers that say when to come again."""
        told = {"retry-after": str(max(least, math.ceil(seconds)))}
        return told | ({"retry-after-ms": str(math.ceil(seconds * 1000))} if self.retry_ms else {})

    def reads(self, muted: Collection[str]) -> Collection[str]:
        """Return in what other ways a request may be written."""
        return [way for way, fact in self.also_read.items() if fact not in muted]

    def like(self, operation: Operation) -> Operation | None:
        """Return the operation of the API with which this one is compatible, if it is a chat there too."""
        found = self.reference.operation_at(operation.method, operation.path) if self.reference else None
        return found if found and found.wire and operation.wire else None

    @functools.lru_cache(maxsize=64)  # noqa: B019 - providers live as long as the process
    def compared(self, operation: Operation, muted: frozenset[str]) -> Comparison | None:
        """Return what an operation would have to keep to at the API with which this one is compatible."""
        like = self.like(operation)
        if like is None:
            return None
        document, rules = like.structure(muted | self.reference_muted)
        own = operation.checks(muted).strict.document
        return Comparison(Schema(lambda: document), rules, Schema(schemas.every(own, document)))

    @functools.cached_property
    def known_facts(self) -> frozenset[str]:
        """The facts that can be muted: its own, and those of the API with which it is compatible."""
        return frozenset([*self.facts, *(self.reference.facts if self.reference else ())])

    def refuse(
        self,
        name: str,
        message: str,  # empty: what the details say
        details: Sequence[Violation] = (),
        fact: str | None = None,
        headers: Mapping[str, str] | None = None,
        **holes: Json,
    ) -> Refusal:
        """Return a refusal; where the error has an exact text, that is told, and the message is for the journal.

        An exact text with a hole that nothing fills here is not told.
        """
        exact = self.errors[name].get("exact")
        documented = {"message": fill_text(exact, holes)} if exact and holes.keys() >= {*holes_of(exact)} else None
        return Refusal(name, message or None, details, fact, headers, documented, holes)

    def coded(self, code: str) -> str | None:
        """Return the name of the error whose code or type is what somebody took for a name."""
        told = (name for name, given in self.errors.items() if code in (given.get("code"), given.get("type")))
        return next(told, None)

    def refuse_body(
        self, operation: Operation, violations: Sequence[Violation], muted: frozenset[str], body: Json = None
    ) -> Refusal:
        """Return the refusal of a body that breaks its schema, in the provider's own words where it has them."""
        told = path_in(body, self.error_paths)
        words, each = documented(violations, self.wordings, operation.exceptions, muted, told)
        if each and self.detail is not None:
            words["details"] = [fill(self.detail, item) for item in each]
        return Refusal("invalid_request", details=violations, documented=words)

    def refuse_headers(self, violations: Sequence[Violation], muted: frozenset[str]) -> Refusal:
        """Return the refusal of headers that break their schema."""
        words, _ = documented(violations, {}, self.header_exceptions, muted, path_of)
        return Refusal("invalid_request", details=violations, documented=words)

    @functools.cached_property
    def tells_more(self) -> bool:
        """Tell whether headers show more than the requests of a limit and a number of seconds."""
        return any(hole in RATE_HOLES for _, form in self.headers for hole in holes_of(form))

    @property
    def rate_holes(self) -> dict[str, str]:
        """What each header shows that shows one thing: its hole, by the header's name in lower case."""
        found = {name.lower(): only_hole(form) for name, form in self.headers}
        return {name: hole for name, hole in found.items() if hole}

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @functools.lru_cache(maxsize=64)  # noqa: B019 - providers live as long as the process
    def header_checks(self, muted: frozenset[str]) -> Schema | None:
        """Return the schema of a request's headers without the muted facts, if there is one."""
        return Schema(schemas.mute(self.request_headers, muted)) if self.request_headers else None

    @functools.lru_cache(maxsize=64)  # noqa: B019 - providers live as long as the process
    def query_checks(self, muted: frozenset[str]) -> Schema | None:
        """Return the schema of a request's query without the muted facts, if there is one."""
        return Schema(schemas.mute(self.request_query, muted)) if self.request_query else None

    @functools.cached_property
    def common_parameters(self) -> frozenset[str]:
        """The query parameters of all operations, such as a key, which are no part of what is asked."""
        of_all = (self.request_query or {}).get("properties", {})
        return frozenset([*of_all, *(way.name for way in self.accepts if way.kind == "query")])

    def environment(self, base_url: str, key: str) -> dict[str, str | None]:
        """Return the variables that lead a client to a base URL; None for those that must not be set."""
        values = {"base_url": base_url, "root_url": self._root_url(base_url), "key": key}
        return {name: form if form is None else fill_text(form, values) for name, form in self.env.items()}

    def sdk_url(self, base_url: str) -> str:
        """Return the base URL that its own SDK takes: without the version, where a variable is told it so."""
        rootless = not any("${root_url}" in form for form in self.env.values() if form)
        return base_url if rootless else self._root_url(base_url)

    def _root_url(self, base_url: str) -> str:
        return base_url.removesuffix(f"/{self.versions[0]}") if self.versions else base_url

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

    def models_of(self, operation: Operation) -> list[Model]:
        """Return the models that an operation takes."""
        return [model for model in self.models.values() if not operation.uses or model.use in operation.uses]

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

    def is_not_emulated(self, path: str) -> bool:
        """Tell whether the API has a path that is left out here."""
        return any(path == begin or path.startswith(f"{begin}/") for begin in self.not_emulated.get("paths", ()))

    def envelope_at(self, path: str) -> Json:
        """Return the shape of errors at a path below the base URL."""
        return next((form for begin, form in self.envelopes.items() if path.startswith(begin)), self.envelope)

    def error_body(self, refusal: Refusal, request_id: str, path: str = "") -> Json:
        """Fill this provider's envelope, as it is at a path below the base URL."""
        details = [fill(self.detail, {"field": item.path, "message": item.message}) for item in refusal.details]
        given = error_below(self.errors[refusal.name], path)
        values = {"details": details, "request_id": request_id, "status": given["status"], "more": given.get("more")}
        figures = {"model": "", "limit": "", "seconds": given.get("retry_in"), **refusal.values}
        values = {**given, **self.error_values(refusal, path), **values, **figures, **refusal.documented}
        values["more"] = fill(values["more"], values)
        return fill(self.envelope_at(path), values)

    def error_values(self, refusal: Refusal, path: str = "") -> dict[str, Json]:
        """Return what an error says at a path; its reason is the code, or where there is none the type."""
        given = error_below(self.errors[refusal.name], path)
        told = {
            "type": given.get("type"),
            "code": given.get("code"),
            "message": refusal.message or _summary(refusal.details) or given["message"],
            "param": (refusal.details[0].path or None) if refusal.details else None,
        }
        told |= {"param": given["param"]} if "param" in given else {}
        told |= {name: value for name, value in refusal.documented.items() if name in told}
        return {**told, "reason": told["type"] if told["code"] is None else told["code"]}

    def envelope_difference(self, body: Json) -> str | None:
        """Return the path of the first field that only this provider's envelope or only a body has."""
        found = [difference(form, body) for form in (self.envelope, *self.envelopes.values())]
        return None if None in found else found[0]


def _summary(details: Sequence[Violation]) -> str:
    texts = [f"{item.path}: {item.message}" if item.path else f"The body {item.message}" for item in details]
    return "; ".join(texts)[:2000]
