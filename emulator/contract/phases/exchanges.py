"""What holds of every exchange, whatever was asked: each demand names the fact that it rests on.

good request ──taken──> 200, shaped as the schema says; usage adds up; a stream framed, ordered, ended once
bad request ──refused──> the status and the envelope of the error
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from emulator.contract import expectations
from emulator.contract.bodies import parse_json
from emulator.contract.case_client import CaseClient
from emulator.contract.checks.answers import read_stream
from emulator.contract.checks.deltas import choices_of, joined, of_choice, ordered
from emulator.contract.checks.errors import situation
from emulator.contract.checks.limits import rate_number
from emulator.contract.client import Answer
from emulator.contract.contract import Contract
from emulator.contract.expectations import Differs, accepted, at_any, at_path, conform, equal, hold, pick, whole
from emulator.contract.phases.endpoint import Endpoint
from emulator.contract.target import NotArranged, TargetSession
from emulator.core.errors import Json
from emulator.core.provider.fact import Fact
from emulator.core.provider.operation import Operation
from emulator.core.schema.schema import Schema, open_world, undocumented
from emulator.core.tree import at
from emulator.core.wires.completion import COUNTS
from emulator.core.wires.wire import Wire

#: How many of an answer's own fields are named.
_MOST_FIELDS = 12

Streamed = Literal["documented", "assumed", "no"]


def client_of(contract: Contract, session: TargetSession, headers: Mapping[str, str] | None = None) -> CaseClient:
    """Return a conversation that begins from the provider's good request."""
    return CaseClient(session, replace(contract.ask, headers={**contract.ask.headers, **(headers or {})}))


@contextmanager
def resting_on(fact: Fact | None, assumed: bool = False) -> Iterator[None]:
    """Let what differs within rest on a fact, unless it names another."""
    try:
        yield
    except Differs as found:
        if found.fact is None and fact is not None:
            found.fact = fact
            found.assumed = found.assumed or assumed or not fact.binding
        raise


def answers(answer: Answer, what: str, status: int = 200) -> None:
    """Demand an answer, and not a crash, unless an error of the server is what is wanted. Raises: Differs."""
    if not answer.status:
        raise expectations.status_differs(answer, "an answer", f"{what} is answered within bounds", "an answer")
    if answer.status >= 500 > status:
        raise expectations.status_differs(
            answer, "no 5xx", f"{what} meets no error of the server", "a status below 500"
        )


def sent(
    endpoint: Endpoint,
    what: str,
    body: Json = None,
    error: str = "",
    wrong: Mapping[str, Json] | None = None,
    promised: bool = True,
    path: str = "",
) -> Callable[[TargetSession], None]:
    """Return the check that a request is taken, or, with an error, refused; the rest is that of `taken` and `refused`.

    It has a body where its operation has one; `path` is another one than that of the good request.
    """

    def check(session: TargetSession) -> None:
        client, address = client_of(endpoint.contract, session), path or endpoint.address
        answer = client.post(address, body) if endpoint.operation.has_body else client.send("GET", address)
        if error:
            refused(endpoint.contract, session, answer, error, what, wrong)
        else:
            taken(endpoint, answer, what, promised)

    return check


def taken(endpoint: Endpoint, answer: Answer, what: str, promised: bool = True) -> None:
    """Demand a good answer to a good request; `promised`: that it is good follows from the docs. Raises: Differs."""
    contract = endpoint.contract
    answers(answer, what)
    accepted(answer, what, promised)
    with resting_on(contract.shown_by("rate_headers")):
        for name in contract.params("rate_headers").get("names", ()):
            rate_number(contract.ask, answer, name, what=what)
    if endpoint.operation.chunk is not None and endpoint.streams(answer.request):
        good_stream(endpoint, answer)
    else:
        good_whole(endpoint, answer, what)


def refused(
    contract: Contract,
    session: TargetSession,
    answer: Answer,
    error: str,
    what: str,
    wrong: Mapping[str, Json] | None = None,
) -> None:
    """Demand that a request is refused with an error's status and the provider's envelope. Raises: Differs."""
    answers(answer, what, contract.ask.status(error))
    client_of(contract, session).refused(answer, error, what, wrong)
    route = contract.route(answer.request.url, answer.request.method)
    for fact, assumed, shape in _envelopes(contract, error, route.operation.path if route else contract.ask.path):
        with resting_on(fact, assumed):
            told = f"the error of {what} is JSON"
            equal(answer, told, "application/json", answer.media_type, assumed=True, about=what)
            conform(answer, answer.json, shape, f"the error of {what}:")


def _envelopes(contract: Contract, error: str, path: str) -> Iterator[tuple[Fact | None, bool, Json]]:
    """Yield the shapes that an error's body has at a path: all that the facts say of a situation in which it is met."""
    form = contract.provider.envelope_at(path)
    for fact, step in contract.steps("errors"):
        if contract.provider.envelope_at(step.ask.path) != form:
            continue
        for name in step.params["on"]:
            if situation(name).error == error:
                shapes = (step.params.get("schema", True), step.params.get("per", {}).get(name, True))
                yield from ((fact, step.assumed is True, shape) for shape in shapes)


def good_whole(endpoint: Endpoint, answer: Answer, what: str = "a good request") -> dict[str, Json]:
    """Demand a whole answer of the operation's shape, and return it. Raises: Differs."""
    value = whole(answer, what)
    _conform(endpoint, answer, value, endpoint.operation.response, f"the answer to {what}:")
    _adds_up(endpoint, answer, value)
    return value


def good_stream(endpoint: Endpoint, answer: Answer) -> dict[str, Json]:
    """Demand a stream of the operation's chunks, in order, and return the message that they make. Raises: Differs."""
    contract, wire = endpoint.contract, wire_of(endpoint.operation)
    with resting_on(contract.shown_by("stream")):
        done: Streamed = contract.params("stream").get("done", "documented")
        chunks = read_stream(wire, answer, "assumed" if done == "no" else done)
    for chunk in chunks:
        _conform(endpoint, answer, chunk, endpoint.operation.chunk, "a chunk:")
        _adds_up(endpoint, answer, chunk)
    fact, documented = _order_of(contract)
    with resting_on(fact):
        for number in choices_of(wire, chunks):
            ordered(wire, answer, of_choice(wire, chunks, number), not documented)
    return joined(wire, answer, chunks)


def wire_of(operation: Operation) -> Wire:
    if operation.wire is None:
        raise NotArranged(f"{operation.name} is no chat")
    return operation.wire


def _order_of(contract: Contract) -> tuple[Fact | None, bool]:
    """Return the fact that tells the order of a stream's chunks, and whether the docs do."""
    for fact, step in contract.steps("stream"):
        if step.params.get("ordered"):
            return fact, fact.binding and not step.assumed
    return contract.shown_by("stream"), False


def arguments_are_json(answer: Answer, calls: Sequence[Mapping[str, Json]]) -> None:
    """Demand that each call's arguments are a JSON object. Raises: Differs."""
    for call in calls:
        good = isinstance(parse_json(call["arguments"]), dict)
        hold(answer, "a call's arguments are a JSON object", good, "object", call["arguments"])


def _adds_up(endpoint: Endpoint, answer: Answer, value: Json) -> None:
    wire = endpoint.operation.wire
    places = [wire.place(f"usage.{name}") for name in COUNTS] if wire else []
    parts = [pick(value, place) for place in places if place]
    numbers = [item[0] for item in parts if item and isinstance(item[0], int)]
    if len(numbers) == len(COUNTS):
        with resting_on(endpoint.contract.shown_by("shape")):
            equal(answer, f"{places[-1]} is the sum of the others", numbers[0] + numbers[1], numbers[2])


def _conform(endpoint: Endpoint, answer: Answer, value: Json, schema: Schema | None, what: str) -> None:
    """Demand a shape; what breaks it rests on the fact that the schema names there, or is assumed."""
    if schema is None or schema.verdict(value) or (schema := _opened(schema)).verdict(value):
        return
    violation = schema.violations(value)[0]
    fact = endpoint.contract.fact(violation.fact)
    shown = bool(endpoint.operation.shown)  # where the docs show no answer, its whole form is ours
    with resting_on(fact or endpoint.fact, assumed=not (fact and shown)):
        actual = at(value, violation.steps)
        told, difference = f"{what} {violation.path} {violation.message}", at_path(violation.path, violation.keyword)
        raise Differs(told, violation.message, actual, answer, difference=difference)


@functools.lru_cache(maxsize=256)
def _opened(schema: Schema) -> Schema:
    return Schema(open_world(schema.document))


def beyond_docs(contract: Contract, answer: Answer) -> Differs | None:
    """Return how a good answer says more than the docs show, which nothing rules out."""
    route = contract.route(answer.request.url, answer.request.method)
    if route is None or answer.status != 200:
        return None
    streamed = answer.events is not None
    schema = route.operation.chunk if streamed else route.operation.response
    values = [event.json for event in answer.events or ()] if streamed else [answer.json]
    more = {path for value in values if schema and value is not None for path in _undocumented(schema, value)}
    if not more:
        return None
    told = ", ".join(sorted({at_any(path) for path in more})[:_MOST_FIELDS])
    what = f"{'a stream' if streamed else 'an answer'} has no fields but those of the docs"
    return Differs(what, "no others", told, answer, assumed=True, difference="fields beyond those of the docs")


def _undocumented(schema: Schema, value: Json) -> list[str]:
    return [] if schema.verdict(value) else undocumented(schema, value)
