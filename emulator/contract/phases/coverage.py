"""The phase `coverage`: every boundary and every single fault of each operation's request, without chance.

good bodies ──boundaries──> valid ones, each taken       ids: coverage/OPERATION/PLACE/KEYWORD/WHAT
     └──────mutations─────> broken ones, each refused
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from emulator.contract.contract import Contract, target
from emulator.contract.generation.boundaries import Boundary, boundaries, place, slug, tags
from emulator.contract.generation.mutations import Mutation, Mutator
from emulator.contract.generation.strategies import answered, model_fields
from emulator.contract.phases.case import PlannedCase, planned_case
from emulator.contract.phases.exchanges import client_of, refused, streams, taken
from emulator.contract.target import TargetSession
from emulator.core.errors import Json
from emulator.core.provider.holes import fill
from emulator.core.provider.operation import Operation
from emulator.core.tree import kind_of

#: A list that is longer is not tried at its bound: its answer would take megabytes.
MOST_ITEMS = 1000


def coverage(contract: Contract) -> Iterator[PlannedCase]:
    """Yield the cases of each operation, those that are taken first."""
    for operation in contract.provider.operations.values():
        if contract.asks(operation):
            yield from _bodies(contract, operation) if operation.has_body else _queries(contract, operation)


def _bodies(contract: Contract, operation: Operation) -> Iterator[PlannedCase]:
    """Yield a request for each boundary and each fault, once however many good bodies have it."""
    bodies = contract.bodies(operation)
    if not bodies:
        return  # nobody knows a good request of it: the docs print none, and the contract gives none
    known, seen, good = tags(operation.request), set[str](), list[Mapping[str, Json]]()
    for item in _boundaries(contract, operation, bodies[0]):
        if _size(item.value) > MOST_ITEMS or contract.refusal(operation, item.value):
            continue
        good.append(item.value)
        where = place(item.steps, item.value, known)
        name = f"{operation.name}/{where}/{item.keyword}/{item.label}"
        if name not in seen:
            seen.add(name)
            yield _good(contract, operation, name, where, item)
    mutator = Mutator(operation.request, reads=contract.reads(operation))
    for body in (*bodies, *good):
        for mutation in mutator.candidates(body):
            where = place(mutation.steps, body, known)
            name = f"{operation.name}/{where}/{mutation.keyword}/{_label(mutation)}"
            if name not in seen and mutator.breaks(body, mutation):
                seen.add(name)
                yield _bad(contract, operation, name, body, mutation)


def _boundaries(contract: Contract, operation: Operation, good: Mapping[str, Json]) -> Iterator[Boundary]:
    """Yield the boundaries of a good body; which models there are the schema cannot say, the provider can."""
    provider, names = contract.provider, model_fields(operation.wire)
    for item in boundaries(operation.request, good):
        if item.steps[1:] or item.steps[0] not in names:
            yield _in_conversation(contract, operation, item, good)
    for name in names if operation.wire else ():
        for model in provider.models_of(operation) if name in good else ():
            if not model.embedding:
                comment = f"{provider.models_fact or ''}{': assumed' if model.assumed else ''}"
                yield Boundary((name,), "listed", slug(model.id), comment, True, {**good, name: model.id})


def _in_conversation(contract: Contract, operation: Operation, item: Boundary, good: Mapping[str, Json]) -> Boundary:
    """Put before a tool's message, alone at its boundary, the call that it answers: what no schema can say."""
    body, wire = item.value, operation.wire
    if wire is None or not contract.ask.tools or answered(wire, body) == body:
        return item
    at = wire.request.fields("messages")[0]
    if wire.request.call_id not in body[at][0]:
        return item
    call = {"id": body[at][0][wire.request.call_id], "name": "get_weather", "arguments": "{}"}
    before = [*good[at], fill(contract.ask.tools["called"], call)]
    steps = (at, len(before), *item.steps[2:])
    return replace(item, steps=steps, value={**body, at: [*before, *body[at]]})


def _size(value: Json) -> int:
    """Return the length of the longest list in a value."""
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, Mapping) else []
    return max([len(inner) if isinstance(value, list) else 0, *map(_size, inner)])


def _good(contract: Contract, operation: Operation, name: str, where: str, item: Boundary) -> PlannedCase:
    fact, assumed = contract.basis(item.comment, operation)
    what = f"a request with {where} at a boundary ({item.keyword} {item.label})"

    def check(session: TargetSession) -> None:
        path = contract.path(operation)
        answer = client_of(contract, session).post(contract.address(operation), item.value)
        taken(contract, operation, answer, what, streams(contract, path, item.value))

    return planned_case(contract, "coverage", name, check, fact=fact, assumed=assumed or not item.stated)


def _bad(contract: Contract, operation: Operation, name: str, body: Json, mutation: Mutation) -> PlannedCase:
    fact, assumed = contract.basis(mutation.comment, operation)
    broken = mutation.apply(body)
    what = f"a request whose {mutation.path or 'body'} breaks {mutation.keyword} ({told(mutation)})"

    def check(session: TargetSession) -> None:
        answer = client_of(contract, session).post(contract.address(operation), broken)
        refused(contract, session, answer, "invalid_request", what, mutation.alone)

    return planned_case(contract, "coverage", name, check, fact=fact, assumed=assumed)


def told(mutation: Mutation) -> str:
    """Return a fault in words: its pointer, operator, and the value before and after."""
    before, after = (json.dumps(item, ensure_ascii=False)[:60] for item in (mutation.before, mutation.after))
    return f"{mutation.operator} at '{mutation.pointer}': {before} -> {after}"


def _label(mutation: Mutation) -> str:
    if mutation.operator in ("remove", "extend"):
        return mutation.operator
    if isinstance(mutation.after, list) and mutation.operator == "lengthen":
        return f"lengthen-{len(mutation.after)}-{kind_of(mutation.after[-1])}"  # whatever it has so many of
    if mutation.operator == "retype":
        return f"retype-{kind_of(mutation.after)}"
    if mutation.operator == "combine":
        return f"combine-{'+'.join(sorted(set(mutation.after) - set(mutation.before)))}"
    return f"{mutation.operator}-{slug(mutation.after)}"


def _queries(contract: Contract, operation: Operation) -> Iterator[PlannedCase]:
    """Yield a request with its query, and one without each parameter that is required."""
    good = contract.query(operation)

    def asked(query: Mapping[str, str]) -> str:
        return target(contract.path(operation), query)

    def check(session: TargetSession) -> None:
        answer = client_of(contract, session).send("GET", asked(good))
        taken(contract, operation, answer, f"GET {asked(good)}")

    yield planned_case(contract, "coverage", f"{operation.name}/query/good", check, fact=operation.fact)
    mutator = Mutator(operation.request, reads=contract.reads(operation))
    for mutation in mutator.candidates(dict(good)):
        if mutation.operator == "remove" and mutator.breaks(dict(good), mutation):
            yield _without(contract, operation, good, mutation)


def _without(contract: Contract, operation: Operation, good: Mapping[str, str], mutation: Mutation) -> PlannedCase:
    name = str(mutation.steps[0])
    path = target(contract.path(operation), {key: value for key, value in good.items() if key != name})
    fact, assumed = contract.basis(mutation.comment, operation)

    def check(session: TargetSession) -> None:
        answer = client_of(contract, session).send("GET", path)
        refused(contract, session, answer, "invalid_request", f"GET {path}, which lacks {name},")

    case = f"{operation.name}/query.{name}/required/remove"
    return planned_case(contract, "coverage", case, check, fact=fact, assumed=assumed)
