"""What is wrong with the facts of a provider's folder, and with the schema of headers."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.errors import Json
from emulator.core.provider.loading.problems.data import Data, Problems, unknown
from emulator.core.provider.operation import Operation
from emulator.core.schema import schema as schemas
from emulator.core.schema.schema import Schema
from emulator.core.tree import walk


def header_problems(data: Data, headers: Schema | None) -> Problems:
    """The headers that a schema speaks of are in lower case, as they come."""
    for name in _named(headers.document) if headers else ():
        if name != name.lower():
            hint = f"{data['request_headers']} names the header {name}; write it in lower case, {name.lower()}"
            yield ("request_headers",), hint


def fact_problems(data: Data, beside: Mapping[str, Schema | None], operations: Mapping[str, Operation]) -> Problems:
    """Every fact named anywhere in the folder is in the list, and none is listed twice."""
    ids: set[str] = set()
    for index, fact in enumerate(data["facts"]):
        if fact["id"] in ids:
            yield ("facts", index, "id"), f"'{fact['id']}' stands here a second time"
        ids.add(fact["id"])
    for path, value in walk(data):
        named = path[-1:] in (("fact",), ("context_fact",)) and path[0] != "facts"
        yield from unknown(path, value, ids, "there is no fact '{}'") if named else ()
    for part, schema in beside.items():
        for fact_id in sorted(set(schemas.facts_named(schema.document)) - ids if schema else ()):
            yield (part,), f"{data[part]} rests on '{fact_id}', which is no fact"
    for name, its in operations.items():
        given = data["operations"][name]
        files = {**given, "query": given.get("query", {}).get("schema")}
        parts = {"request": its.asked, "response": its.response, "chunk": its.chunk, "query": its.query}
        for part, schema in parts.items():
            for fact_id in set(schemas.facts_named(schema.document)) - ids if schema else ():
                yield ("operations", name, part), f"{files[part]} rests on '{fact_id}', which is no fact"


def _named(document: Json) -> set[str]:
    """Return the fields that a schema names, wherever it does."""
    if isinstance(document, list):
        return set().union(*map(_named, document))
    if not isinstance(document, Mapping):
        return set()
    own = {*document.get("properties", ()), *document.get("required", ())}
    return own.union(*map(_named, document.values()))
