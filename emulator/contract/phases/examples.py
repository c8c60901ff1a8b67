"""The phase `examples`: the requests that the docs print, answered as the docs print it.

What is compared is the form: the fields that are printed are there, of their types. Placeholders (`<uuid>`) are
filled in, the printed key is replaced by the real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.contract.checks.answers import read_stream
from emulator.contract.client import Answer
from emulator.contract.contract import Contract, Example
from emulator.contract.expectations import Differs, equal, hold
from emulator.contract.outcome import PlannedCase
from emulator.contract.phases.endpoint import Endpoint
from emulator.contract.phases.exchanges import client_of, refused, resting_on, taken
from emulator.contract.target import TargetSession
from emulator.core.errors import Json
from emulator.core.provider.operation import Operation
from emulator.core.seeded_random import Draw
from emulator.core.tree import kind_of


def examples(contract: Contract, seed: int = 0) -> Iterator[PlannedCase]:
    """Yield a case for each example whose operation the provider has."""
    for example in contract.examples:
        operation = contract.provider.operation_at(example.method, example.path)
        if operation is not None:
            yield _example(Endpoint(contract, operation), example, seed)


def _example(endpoint: Endpoint, example: Example, seed: int) -> PlannedCase:
    contract, operation = endpoint.contract, endpoint.operation
    errors = contract.provider.errors  # of several with the status the first is printed; another status is none
    error = next((name for name, given in errors.items() if given["status"] == example.status), "")
    fact = contract.fact(errors.get(error, {}).get("fact")) or endpoint.fact

    def check(session: TargetSession) -> None:
        client = client_of(contract, session, _headers(contract, example, seed))
        if error:
            client.session.answer({"error": error})
        if example.body is None:
            answer = client.send(example.method, example.target)
        else:
            answer = client.post(example.target, example.body)
        what = f"the request of the docs ({example.source})"
        if error:
            refused(contract, session, answer, error, what)
        else:
            taken(endpoint, answer, what, promised=not _may_lack_model(endpoint, example, answer))
        with resting_on(fact):
            _as_printed(operation, example, answer)

    name = f"{operation.name}/{example.id}"
    return contract.planned("examples", name, check, fact=fact, source=example.source)


def _may_lack_model(endpoint: Endpoint, example: Example, answer: Answer) -> bool:
    """Tell whether an answer may be for a model that the docs print and a target need not have, as the good one."""
    contract, own = endpoint.contract, endpoint.operation.unknown_model
    unknown = contract.provider.errors[own or contract.provider.models_unknown]
    named, good = (one.get("model") if isinstance(one, Mapping) else None for one in (example.body, contract.ask.body))
    return bool(answer.status == unknown["status"] and named != good)


def _headers(contract: Contract, example: Example, seed: int) -> dict[str, str]:
    """Return the printed headers, placeholders filled in; the key is the run's."""
    of_keys = {"authorization", *(way.name for way in contract.provider.accepts if way.kind == "header")}
    headers = {name.lower(): value for name, value in example.headers.items() if name.lower() not in of_keys}
    return {name: value.replace("<uuid>", Draw(seed, example.id).uuid(name)) for name, value in headers.items()}


def _as_printed(operation: Operation, example: Example, answer: Answer) -> None:
    if example.answer is not None:
        _like(answer, example.answer, answer.json, "the answer")
    if example.events and operation.wire:
        chunks = read_stream(operation.wire, answer)
        for event in example.events:
            if isinstance(event, Mapping):
                _some_like(answer, event, chunks)


def _some_like(answer: Answer, printed: Json, chunks: list[Json]) -> None:
    """Demand that some chunk has the form of one that is printed. Raises: Differs, for the one that came nearest."""
    for chunk in chunks:
        try:
            return _like(answer, printed, chunk, "a chunk")
        except Differs:
            continue
    raise Differs("some chunk has the form of each that the docs print", printed, chunks, answer)


def _like(answer: Answer, printed: Json, actual: Json, where: str) -> None:
    """Demand that all that is printed is there, each value of its type."""
    equal(answer, f"{where} is of the type that the docs print", _kind(printed), _kind(actual))
    if isinstance(printed, Mapping):
        for name, item in printed.items():
            hold(answer, f"{where} has {name}, which the docs print", name in actual, item, sorted(actual))
            _like(answer, item, actual[name], f"{where}.{name}")
    if isinstance(printed, list) and printed:
        hold(answer, f"{where} has items, as the docs print it", bool(actual), printed, actual)
        _like(answer, printed[0], actual[0], f"{where}.0")


def _kind(value: Json) -> str:
    return kind_of(value).replace("integer", "number")
