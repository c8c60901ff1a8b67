"""An operation of a provider: one method and path, its schemas, and what answers it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emulator.core.errors import Json, Refusal, Violation
from emulator.core.frozen import frozen
from emulator.core.provider.conversation.rule import ConversationRule
from emulator.core.provider.conversation.rules import ConversationRules
from emulator.core.provider.field_names import FieldNames
from emulator.core.provider.wording import Wording
from emulator.core.schema import schema as schemas
from emulator.core.schema.schema import Schema
from emulator.core.wires.wire import Wire

#: How many models of a body's list are asked; the docs name no number.
MOST_FALLBACKS = 20


@frozen
class Limit:
    """The most of something that a request may have, and the error beyond it."""

    most: int
    error: str
    fact: str | None = None


@frozen
class Fallbacks:
    """The field of a body with `models`, each asked where the one before it answers with an error but some."""

    models: str
    not_after: Sequence[str] = ()
    fact: str | None = None

    def asked(self, first: str, body: Mapping[str, Json]) -> list[str]:
        """Return the models that a body names, in turn; the first is the one that is asked for, if there is one."""
        listed = body.get(self.models)
        others = listed[:MOST_FALLBACKS] if isinstance(listed, list) else []
        return list(dict.fromkeys(name for name in (first, *others) if name and isinstance(name, str)))


@frozen
class Checks:
    """An operation's request schemas at one choice of muted facts."""

    documented: Schema
    strict: Schema
    defaults: Mapping[str, Json]
    cap: Json = None  # the documented default of the most tokens of an answer, and its fact
    cap_fact: str | None = None


@dataclass(frozen=True, eq=False)
class Operation:
    """One method and path below the base URL; its kind says what answers it.

    A chat is asked for as a stream at `streams_at`, or by its body; `body` is the template that a kind `body` answers.
    """

    name: str
    method: str
    path: str
    kind: str
    asked: Schema | None  # of a request's body, or of its query
    response: Schema | None
    chunk: Schema | None
    fact: str | None
    shown: Mapping[str, Json]  # response and chunk, as nested mappings of the fields that the docs show
    ids: Mapping[str, str]
    streams_at: str | None = None
    body: Json = None
    read_wire: Callable[[], Wire] | None = None  # of a chat, and of tokens: compiles how it says things
    conversation: Sequence[ConversationRule] = ()  # of a chat: what JSON Schema cannot say
    exceptions: Sequence[Wording] = ()  # what is said otherwise of some places of a wrong body
    uses: Sequence[str] = ()  # the models that it takes, by their use; none: any
    other_model: tuple[str, str | None] = ("invalid_request", None)  # the error for a model of another use, its fact
    limits: Mapping[str, Limit] = field(default_factory=dict)  # of embeddings, by what is limited
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of moderations, with the types of input
    of: str = ""  # of kind stored: the chat whose answers are kept
    does: Literal["", "show", "forget", "cancel", "update", "list", "index"] = ""  # with them
    missing: tuple[str, str] | None = None  # the error where a kept answer is not there, and its message
    missing_item: tuple[str, str] | None = None  # the same of an item
    refused: str = ""  # the message where an answer is not to be cancelled
    page: Mapping[str, Json] = field(default_factory=dict)  # query parameters of a list
    replay: Mapping[str, str] = field(default_factory=dict)  # query parameters that ask for the events of an answer
    vectors: Mapping[str, Json] = field(default_factory=dict)  # of embeddings: where the body says what, and an item
    context: tuple[str, str | None] | None = None  # the error for a prompt that is too long, and its fact
    unknown_model: str = ""  # the error for a model that there is not, where it is another than the provider's
    query: Schema | None = None  # of the query beside a body; none: anything goes
    query_error: str = "invalid_request"  # the error for what it rules out
    query_errors: Mapping[str, str] = field(default_factory=dict)  # others, by the fact that it rests on
    unasked: Sequence[tuple[Callable[[Json], bool], Json]] = ()  # of a chat: bodies that ask for no words, the answer
    entry: Json = None  # of models: what the list says of each, where that is another
    fallbacks: Fallbacks | None = None  # of a chat: the models that are asked where one fails
    no_effect: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # fields without any: why, and their fact

    @functools.cached_property
    def request(self) -> Json:
        """The schema of a request as a document."""
        return self.asked.document if self.asked else {"type": "object", "properties": {}}

    @functools.cached_property
    def wire(self) -> Wire | None:
        """How a chat, and what counts a chat's tokens, says things; compiled when it is first asked for."""
        return self.read_wire() if self.read_wire else None

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The fields of a body that must be there."""
        return frozenset(schemas.required(self.request))

    @functools.lru_cache(maxsize=64)  # noqa: B019 - operations live as long as the process
    def rules(self, muted: frozenset[str]) -> ConversationRules | None:
        """Return what a conversation must keep to, without the muted facts, if there is anything."""
        return self._rules(self.conversation, muted) if self.conversation else None

    def _rules(self, rules: Sequence[ConversationRule], muted: frozenset[str]) -> ConversationRules | None:
        if self.wire is None:
            return None
        form = self.wire.request
        return ConversationRules(rules, muted, [form.fields("messages")[0], *form.fields("model")])

    def structure(self, muted: frozenset[str]) -> tuple[Json, ConversationRules | None]:
        """Return what a compatible API must keep to: no list of fields, and nothing that models differ in."""
        shared = [rule for rule in self.conversation if not rule.of_models]
        return schemas.mute(schemas.open_world(self.request), muted), self._rules(shared, muted)

    def answer_unasked(self, body: Json) -> Json:
        """Return the template of what answers a body that asks for no words; None for any other."""
        return next((answer for asks, answer in self.unasked if asks(body)), None)

    @functools.cached_property
    def has_body(self) -> bool:
        """Tell whether a request has a body; else its query says what is asked."""
        return self.method not in ("GET", "DELETE")

    def is_missing(self, ident: str, path: str = "", item: bool = False) -> Refusal:
        """Return the refusal where an answer, or an item, is not kept; `path` is the field that names it."""
        name, form = (self.missing_item if item else self.missing) or ("not_found", "${id} is not found.")
        message = form.replace("${id}", ident)
        return Refusal(name, message, [Violation(path, message)] if path else ())

    @functools.lru_cache(maxsize=64)  # noqa: B019 - operations live as long as the process
    def checks(self, muted: frozenset[str]) -> Checks:
        """Return the schemas without the muted facts."""
        document = schemas.mute(self.request, muted)
        loose, tight = Schema(lambda: document), Schema(lambda: schemas.strict(document))
        defaults, names = schemas.defaults(document), self.wire.request.fields("cap") if self.wire else []
        cap = next((name for name in names if name in defaults), "")
        return Checks(loose, tight, defaults, defaults.get(cap), schemas.default_facts(document).get(cap))

    def as_shown(self, body: Json, part: Literal["response", "chunk"]) -> Json:
        """Return the fields of an answer that the docs' samples show; of a chunk, those that say something."""
        shown = self.shown.get(part)
        return _only(body, shown, part != "chunk") if shown else body

    @functools.lru_cache(maxsize=64)  # noqa: B019 - operations live as long as the process
    def query_checks(self, muted: frozenset[str]) -> Schema | None:
        """Return the schema of the query beside a body without the muted facts, if there is one."""
        return Schema(schemas.mute(self.query.document, muted)) if self.query else None

    def takes(self, name: str) -> bool:
        """Tell whether the docs list a request field."""
        return name in self._fields

    @functools.cached_property
    def takes_model(self) -> bool:
        """Tell whether a body names a model."""
        return self.takes("model")

    @functools.cached_property
    def _fields(self) -> frozenset[str]:
        return frozenset(self.request.get("properties", ()))

    @functools.cached_property
    def takes_cap(self) -> bool:
        """Tell whether the docs know of a most that an answer may have."""
        return self.wire is not None and any(map(self.takes, self.wire.request.fields("cap")))

    @functools.cached_property
    def names_kept(self) -> bool:
        """Tell whether a request can name an answer that is kept."""
        return self.kind == "stored" or (self.wire is not None and self.wire.request.goes_on)

    @functools.cached_property
    def field_names(self) -> FieldNames:
        """The fields that a body can have."""
        return FieldNames(self.request)

    @functools.cached_property
    def takes_tools(self) -> bool:
        """Tell whether the docs know of tools."""
        return self.wire is not None and any(map(self.takes, self.wire.request.fields("tools")))


def _only(value: Json, shown: Mapping[str, Json], nulls: bool) -> Json:
    if not shown:
        return value
    if isinstance(value, list):
        return [_only(item, shown, nulls) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: _only(item, shown[key], nulls) for key, item in value.items() if key in shown}
    return {key: item for key, item in kept.items() if nulls or item is not None}
