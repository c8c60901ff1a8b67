"""What is wrong in a provider's folder, all of it. What is ours is shipped without a fault: a start does not look."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from emulator.core.errors import Json, shown
from emulator.core.provider.holes import drawn_length, fill_text, holes
from emulator.core.provider.keys import read_way
from emulator.core.provider.loading.problems.names import Data, Problems, name_problems
from emulator.core.provider.loading.problems.operations import operation_problems
from emulator.core.provider.operation import Operation
from emulator.core.provider.routes import parameters
from emulator.core.schema import schema as schemas
from emulator.core.schema.bounds import schema_parts
from emulator.core.schema.defaults import echoed
from emulator.core.schema.schema import Schema
from emulator.core.secrets.texts import is_secret
from emulator.core.tree import Path
from emulator.core.wires.completion import Completion
from emulator.core.wires.loading.samples import differences, unmarked
from emulator.core.wires.request.form import IN_PATH
from emulator.core.wires.scope import AnswerValues


def folder_problems(
    name: str, data: Data, beside: Mapping[str, Schema | None], operations: Mapping[str, Operation]
) -> Problems:
    """Yield the place of each problem in provider.yaml, and what is wrong there; `name` is the folder's."""
    yield from _of_name(data, name)
    yield from _of_keys(data)
    yield from _of_headers(data, beside["request_headers"])
    yield from operation_problems(data, operations)
    yield from name_problems(data)
    yield from _of_schemas(data, beside, operations)
    for operation in operations.values():
        yield from _of_wire(data, operation) if operation.wire else ()


def _of_name(data: Data, folder: str) -> Problems:
    name, steps = data["name"], _steps(data["base_url"])
    if name != folder:
        yield ("name",), f"must be the folder's name, '{folder}', not '{name}'"
    if steps is None:
        yield ("base_url",), "must be a URL such as https://api.example.com/v1"
        return
    if name in ("v1", "s", *steps[:1]):
        yield ("name",), f"'{name}' is a part of the addresses; choose another name"
    versions = data.get("versions")
    if versions and steps[-1:] != versions[:1]:
        message = f"must begin with the last part of base_url, {shown(steps[-1]) if steps else 'which has none'}"
        yield ("versions",), f"{message}, not {shown(versions[0])}"


def _steps(url: str) -> list[str] | None:
    """Return the parts of a URL's path; None for what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return None
    return [step for step in parts.path.split("/") if step] if parts.netloc else None


def _of_keys(data: Data) -> Problems:
    """What holds a key is known by its name as a secret, so that it is shown nowhere."""
    for index, given in enumerate(data["auth"].get("accepts", ())):
        way = read_way(given)
        shows = {"bearer": False, "header": not is_secret(way.name), "query": not is_secret(way.name, "query")}
        if shows[way.kind]:
            message = f"'{way.name}' is not known as a secret, and would be shown; names with api-key, key, token are"
            yield ("auth", "accepts", index, way.kind), message


def _of_headers(data: Data, headers: Schema | None) -> Problems:
    """The headers that a schema speaks of are in lower case, as they come."""
    parts = [part for part in schema_parts(headers.document) if isinstance(part, Mapping)] if headers else []
    for name in {name for part in parts for key in ("properties", "required") for name in part.get(key, ())}:
        if name != name.lower():
            hint = f"{data['request_headers']} names the header {name}; write it in lower case, {name.lower()}"
            yield ("request_headers",), hint


def _of_schemas(data: Data, beside: Mapping[str, Schema | None], operations: Mapping[str, Operation]) -> Problems:
    """The facts on which schemas rest are in the list."""
    files: dict[Path, tuple[Json, Schema | None]] = {(part,): (data.get(part), its) for part, its in beside.items()}
    for name, its in operations.items():
        given = {**data["operations"][name], "query": data["operations"][name].get("query", {}).get("schema")}
        parts = {"request": its.asked, "response": its.response, "chunk": its.chunk, "query": its.query}
        files |= {("operations", name, part): (given.get(part), schema) for part, schema in parts.items()}
    ids = {fact["id"] for fact in data["facts"]}
    for place, (file, schema) in files.items():
        for fact_id in sorted(set(schemas.facts_named(schema.document)) - ids) if schema else ():
            yield place, f"{file} rests on '{fact_id}', which is no fact"


def _of_wire(data: Data, operation: Operation) -> Problems:
    """An operation and its wire go together."""
    wire, done = operation.wire, data["stream"].get("done")
    assert wire
    if done is not None and wire.last not in (done, ""):
        yield ("stream", "done"), f"must be as the wire ends a stream, '{wire.last}', or left out"
    if wire.request.model_in_path and "model" not in parameters(operation.path):
        message = f"lacks {IN_PATH}, where its wire '{wire.name}' has the model"
        yield ("operations", operation.name, "path"), message
    for kind in ("reasoning", *wire.request.kinds) if wire.items and operation.kind == "chat" else ():
        if kind not in operation.ids:
            hint = f"ids lacks '{kind}': the wire '{wire.name}' tells the id of each part"
            yield ("operations", operation.name), hint


def sample_problems(operations: Mapping[str, Operation]) -> Problems:
    """Yield where samples in an operation's wire are not as its schemas say, or cannot be read."""
    for name, operation in operations.items():
        if operation.wire and operation.response and operation.chunk:
            checks = (operation.response.violations, operation.chunk.violations)
            written = partial(sample_values, operation)
            for message in differences(operation.wire, *checks, operation.takes_tools, written):
                yield ("operations", name, "wire"), message
            as_shown = partial(operation.as_shown, part="chunk")
            for message in unmarked(operation.wire, as_shown, operation.takes_tools, written):
                yield ("operations", name, "shown", "chunk"), message


def sample_values(operation: Operation, sample: Completion) -> AnswerValues:
    """Return a sample as the operation answers it: with ids of its forms, and what it repeats of an empty request."""
    wire = operation.wire
    items = [_sample_id(operation, part.kind) for part in sample.parts] if wire and wire.items else ()
    echo = echoed(operation.request, {}, wire.echoes if wire else (), {})
    return AnswerValues(sample, _sample_id(operation, "response"), 1_800_000_000, "a-model", items=items, echo=echo)


def _sample_id(operation: Operation, kind: str) -> str:
    """Return an id as an answer can have it."""
    form = operation.ids.get(kind, "")
    return fill_text(form, {hole: "0" * drawn_length(hole)[1] for hole in holes(form)})
