"""The phase `coverage`: every boundary and every single fault of each operation's request, without chance.

good bodies ──boundaries──> valid ones, each taken       ids: coverage/OPERATION/PLACE/KEYWORD/WHAT
     └──────mutations─────> broken ones, each refused
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from emulator.contract.contract import Contract, target
from emulator.contract.generation.boundaries import Boundary, boundaries, place, slug, tags
from emulator.contract.generation.mutations import Mutation
from emulator.contract.generation.strategies import answered, model_fields
from emulator.contract.outcome import PlannedCase
from emulator.contract.phases.endpoint import Endpoint, endpoints
from emulator.contract.phases.exchanges import sent
from emulator.contract.target import TargetSession
from emulator.core.errors import Json
from emulator.core.provider.holes import fill
from emulator.core.tree import kind_of

#: A list that is longer is not tried at its bound: its answer would take megabytes.
MOST_ITEMS = 1000


def coverage(contract: Contract) -> Iterator[PlannedCase]:
    """Yield the cases of each operation, those that are taken first."""
    for endpoint in endpoints(contract):
        if endpoint.is_tried:
            yield from _bodies(endpoint) if endpoint.operation.has_body else _queries(endpoint)


def _bodies(endpoint: Endpoint) -> Iterator[PlannedCase]:
    """Yield a request for each boundary and each fault, once however many good bodies have it."""
    operation, bodies = endpoint.operation, endpoint.bodies
    if not bodies:
        return  # nobody knows a good request of it: the docs print none, and the contract gives none
    known, seen, good = tags(operation.request), set[str](), list[Mapping[str, Json]]()
    for item in _boundaries(endpoint, bodies[0]):
        if _size(item.value) > MOST_ITEMS or endpoint.refusal(item.value):
            continue
        good.append(item.value)
        where = place(item.steps, item.value, known)
        name = f"{where}/{item.keyword}/{item.label}"
        if name not in seen:
            seen.add(name)
            what = f"a request with {where} at a boundary ({item.keyword} {item.label})"
            yield _case(endpoint, name, sent(endpoint, what, item.value), item.comment, not item.stated)
    mutator = endpoint.mutator
    for body in (*bodies, *good):
        for mutation in mutator.candidates(body):
            name = f"{place(mutation.steps, body, known)}/{mutation.keyword}/{_label(mutation)}"
            if name not in seen and mutator.breaks(body, mutation):
                seen.add(name)
                what = f"a request whose {mutation.path or 'body'} breaks {mutation.keyword} ({told(mutation)})"
                broken = sent(endpoint, what, mutation.apply(body), "invalid_request", mutation.alone)
                yield _case(endpoint, name, broken, mutation.comment)


def _case(
    endpoint: Endpoint, name: str, check: Callable[[TargetSession], None], comment: str, assumed: bool = False
) -> PlannedCase:
    """Plan a case that rests on what a constraint's `$comment` says."""
    fact, silent = endpoint.basis(comment)
    name = f"{endpoint.operation.name}/{name}"
    return endpoint.contract.planned("coverage", name, check, fact=fact, assumed=silent or assumed)


def _boundaries(endpoint: Endpoint, good: Mapping[str, Json]) -> Iterator[Boundary]:
    """Yield the boundaries of a good body; which models there are the schema cannot say, the provider can."""
    provider, operation = endpoint.contract.provider, endpoint.operation
    names = model_fields(operation.wire)
    for item in boundaries(operation.request, good):
        if item.steps[1:] or item.steps[0] not in names:
            yield _in_conversation(endpoint, item, good)
    for name in names if operation.wire else ():
        for model in provider.models_of(operation) if name in good and not endpoint.model else ():
            if not model.embedding:
                comment = f"{provider.models_fact or ''}{': assumed' if model.assumed else ''}"
                yield Boundary((name,), "listed", slug(model.id), comment, True, {**good, name: model.id})


def _in_conversation(endpoint: Endpoint, item: Boundary, good: Mapping[str, Json]) -> Boundary:
    """Put before a tool's message, alone at its boundary, the call that it answers: what no schema can say."""
    body, wire, tools = item.value, endpoint.operation.wire, endpoint.contract.ask.tools
    if wire is None or not tools or answered(wire, body) == body:
        return item
    at, call_id = wire.request.fields("messages")[0], wire.request.call_id
    if call_id is None or call_id not in body[at][0]:  # None: an answer is an item, and no message
        return item
    call = {"id": body[at][0][call_id], "name": "get_weather", "arguments": "{}"}
    before = [*good[at], fill(tools["called"], call)]
    steps = (at, len(before), *item.steps[2:])
    return replace(item, steps=steps, value={**body, at: [*before, *body[at]]})


def _size(value: Json) -> int:
    """Return the length of the longest list in a value."""
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, Mapping) else []
    return max([len(inner) if isinstance(value, list) else 0, *map(_size, inner)])


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


def _queries(endpoint: Endpoint) -> Iterator[PlannedCase]:
    """Yield a request with its query, and one without each parameter that is required."""
    contract, good, mutator = endpoint.contract, endpoint.query, endpoint.mutator
    check = sent(endpoint, f"GET {endpoint.address}")
    yield contract.planned("coverage", f"{endpoint.operation.name}/query/good", check, fact=endpoint.fact)
    for mutation in mutator.candidates(dict(good)):
        if mutation.operator == "remove" and mutator.breaks(dict(good), mutation):
            name = str(mutation.steps[0])
            path = target(endpoint.path, {key: value for key, value in good.items() if key != name})
            check = sent(endpoint, f"GET {path}, which lacks {name},", error="invalid_request", path=path)
            yield _case(endpoint, f"query.{name}/required/remove", check, mutation.comment)
