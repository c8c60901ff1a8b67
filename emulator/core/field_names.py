"""Names of fields that a request may have in two spellings: each is read as the documented one, where that is known.

Only fields that the schema lists are renamed: names that the caller chose stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from emulator.core.errors import Json, Refusal, Violation
from emulator.core.tree import path_of

#: Says of a body that some name in it could be of the other spelling.
SNAKE = re.compile(rb'"[A-Za-z0-9]*_[A-Za-z0-9_]*"\s*:')
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_Steps: TypeAlias = tuple[str | int, ...]


def camel_case(name: str) -> str:
    return _UNDERSCORE.sub(lambda letter: letter[1].upper(), name)


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda letter: f"_{letter[1].lower()}", name)


class FieldNames:
    """The fields that a schema lists, wherever it does."""

    def __init__(self, document: Json) -> None:
        self._root = document

    def documented(self, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return a body with the documented spellings. Raises: Refusal, where a field has both."""
        found: Mapping[str, Json] = self._renamed(body, (self._root,), ())
        return found

    def _renamed(self, value: Json, schemas: tuple[Json, ...], at: _Steps) -> Json:
        if isinstance(value, list):
            inner = tuple(schema["items"] for schema in self._all(schemas) if "items" in schema)
            return [self._renamed(item, inner, (*at, index)) for index, item in enumerate(value)] if inner else value
        if not isinstance(value, Mapping):
            return value
        listed: dict[str, list[Json]] = {}
        others: list[Json] = []
        for schema in self._all(schemas):
            for name, item in schema.get("properties", {}).items():
                listed.setdefault(name, []).append(item)
            if isinstance(schema.get("additionalProperties"), Mapping):
                others.append(schema["additionalProperties"])
        found: dict[str, Json] = {}
        for name, item in value.items():
            known = name if name in listed else camel_case(name)
            known = known if known in listed else name
            if known in found:
                path = path_of((*at, known))
                raise Refusal("invalid_request", details=[Violation(path, f"is there twice, as {known} and {name}")])
            found[known] = self._renamed(item, tuple(listed.get(known, others)), (*at, known))
        return found

    def _all(self, schemas: tuple[Json, ...]) -> Iterator[Mapping[str, Json]]:
        """Yield schemas with what they are made of."""
        for schema in schemas:
            if not isinstance(schema, Mapping):
                continue
            yield schema
            if "$ref" in schema:
                yield from self._all((self._root["$defs"][schema["$ref"].rpartition("/")[2]],))
            for word in ("allOf", "anyOf", "oneOf"):
                yield from self._all(tuple(schema.get(word, ())))


def told_path(steps: _Steps, body: Json, maps: frozenset[str]) -> str:
    """Return a path in snake_case; an entry of a field that holds a map has its number: `properties[0].value`."""
    text, value, holds_names = "", body, False
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif holds_names:
            number = list(value).index(step) if isinstance(value, Mapping) and step in value else 0
            text += f"[{number}].value"
        else:
            text += f".{snake_case(step)}" if text else snake_case(step)
        value = _below(value, step)
        holds_names = step in maps and not holds_names
    return text


def _below(value: Json, step: str | int) -> Json:
    try:
        return value[step]
    except (LookupError, TypeError):
        return None
