"""An operation as the phases ask for it: good requests for it, and what breaks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from emulator.contract.bodies import parse_json
from emulator.contract.client import Sent
from emulator.contract.contract import Contract, Example, target
from emulator.contract.generation.mutations import Mutator
from emulator.core.answer.embeddings import other_model
from emulator.core.engine.understand import conversation
from emulator.core.errors import Json, Refusal
from emulator.core.provider.conversation.rule import asked_of
from emulator.core.provider.fact import Fact
from emulator.core.provider.operation import Operation
from emulator.core.provider.routes import fill_path, parameters
from emulator.core.schema.instances.instance import instance
from emulator.core.seeded_random import Draw

_FACT = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation of a provider, and what is known of good requests for it."""

    contract: Contract
    operation: Operation

    @property
    def fact(self) -> Fact | None:
        """The fact that there is such an operation."""
        return self.contract.fact(self.operation.fact)

    @property
    def printed(self) -> list[Example]:
        """The examples that ask for it."""
        at = self.contract.provider.operation_at
        return [item for item in self.contract.examples if at(item.method, item.path) is self.operation]

    @property
    def is_asked(self) -> bool:
        """Whether the provider's good request is for it."""
        return self.contract.provider.operation_at("POST", self.contract.ask.path) is self.operation

    @property
    def is_tried(self) -> bool:
        """Whether it is tried: not what deletes, nor what is at a path that nobody knows all of."""
        free = set(parameters(self.operation.path)) - {"model"}
        return self.operation.method in ("GET", "POST") and (not free or bool(self.printed))

    @property
    def model(self) -> str | None:
        """The model that good chats name, where a run says which, and this asks the models of chats."""
        asked, models_of = self.contract.ask.route, self.contract.provider.models_of
        if self.operation.wire is None or asked is None:
            return None
        chats, own = [*models_of(asked.operation)], models_of(self.operation)
        return self.contract.model if self.is_asked or any(item in chats for item in own) else None

    @property
    def path(self) -> str:
        """The path of its good request: where it has parameters, one that is known, or of a model."""
        if self.model and parameters(self.operation.path) == ["model"]:
            return fill_path(self.operation.path, {"model": quote(self.model, safe="")})
        known = [self.contract.ask.path] if self.is_asked else [item.path for item in self.printed]
        if known:
            return known[0]
        model = next((model.id for model in self.contract.provider.models_of(self.operation)), "")
        return fill_path(self.operation.path, dict.fromkeys(parameters(self.operation.path), model))

    @property
    def query(self) -> Mapping[str, str]:
        """The query of its good request; where none is printed, one that it takes beside a body."""
        found, beside = [item.query for item in self.printed], self.operation.query
        return found[0] if found else instance(beside.document, Draw("query")) if beside else {}

    @property
    def address(self) -> str:
        """The path of its good request with its query."""
        return target(self.path, self.query)

    @property
    def bodies(self) -> list[dict[str, Json]]:
        """Its good bodies, the smallest first."""
        found = [dict(self.contract.ask.body)] if self.is_asked else []
        found += [self.read(item.body) for item in self.printed if isinstance(item.body, dict)]
        found = [*map(self.named, found)]
        return [body for index, body in enumerate(found) if body not in found[:index]]

    @property
    def mutator(self) -> Mutator:
        """What breaks its requests."""
        return Mutator(self.operation.request, reads=self.read if self.contract.provider.also_read else None)

    def read(self, body: Json) -> Json:
        """Return a body as the schema has it, where it is written in another way that the provider reads."""
        also = self.contract.provider.reads(())
        try:
            return self.operation.field_names.documented(body, also) if also and isinstance(body, Mapping) else body
        except Refusal:
            return body

    def named(self, body: Mapping[str, Json]) -> dict[str, Json]:
        """Return a body with the model that good chats name, where a run says which."""
        names = self.operation.wire.request.fields("model") if self.operation.wire and self.model else ()
        return {**body, **dict.fromkeys(names[:1], self.model)}

    def streams(self, sent: Sent) -> bool:
        """Tell whether a request is for a stream, by its path or by its body."""
        operation, body = self.operation, parse_json(sent.body)
        if operation.wire is None or not isinstance(body, dict) or operation.answer_unasked(body) is not None:
            return False
        route = self.contract.route(sent.url, sent.method)
        return bool(route and route.streams) if operation.streams_at else operation.wire.request.read(body).stream

    def refusal(self, body: Mapping[str, Json]) -> str | None:
        """Return the error that a body gets though its schema allows it.

        It names what nobody keeps, breaks a rule, or its model cannot.
        """
        contract, operation, said = self.contract, self.operation, conversation(self.operation, body)
        form = operation.wire.request if operation.wire else None
        if form and operation.missing and (form.previous(body) or form.references(body)):
            return operation.missing[0]
        route = (contract.provider.routes.find(self.path) or {}).get("POST")
        named = route.params.get("model", "") if route else ""
        model = contract.provider.models.get(named or said.model)
        rules = operation.rules(frozenset())
        broken = rules.first_broken(asked_of(body, said, model, contract.ask.headers)) if rules else None
        if broken:
            return broken[0].error
        if other_model(operation, body, named):
            return "invalid_request"
        size = body.get("dimensions") if model and model.dimensions else None
        too_long = model and size and not (model.shortens and size <= (model.dimensions or 0))
        return "invalid_request" if too_long else None

    def basis(self, comment: str) -> tuple[Fact | None, bool]:
        """Return the fact that a constraint's `$comment` names, else its operation's, and whether it is assumed."""
        match = _FACT.match(comment)
        fact = self.contract.fact(match[0]) if match else None
        assumed = "assumed" in comment or bool(fact and not fact.binding)
        return fact or self.fact, assumed


def endpoints(contract: Contract) -> list[Endpoint]:
    """Return a provider's operations."""
    return [Endpoint(contract, item) for item in contract.provider.operations.values()]
