"""What a request may write in another way than the schema has it: it is read as documented, where that is known.

Only fields that the schema lists are renamed: names that the caller chose stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from emulator.core.errors import Json, Refusal, Violation
from emulator.core.tree import at, path_of

#: Says of a body that some name in it could be of the other spelling.
SNAKE = re.compile(rb'"[A-Za-z0-9]*_[A-Za-z0-9_]*"\s*:')
_COMMA = re.compile(rb'("(?:[^"\\]|\\.)*+")|,(?=\s*+[}\]])')
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

    def documented(self, body: Mapping[str, Json], also: Collection[str]) -> Mapping[str, Json]:
        """Return a body as the schema has it. Raises: Refusal, where a field has two spellings."""
        found: Mapping[str, Json] = self._read(body, (self._root,), (), also)
        return found

    def _read(self, value: Json, schemas: tuple[Json, ...], at: _Steps, also: Collection[str]) -> Json:
        if isinstance(value, Mapping) and "one_as_list" in also:
            types = [schema["type"] for schema in self._all(schemas) if "type" in schema]
            value = [value] if types and set(types) == {"array"} else value
        if isinstance(value, list):
            inner = tuple(schema["items"] for schema in self._all(schemas) if "items" in schema)
            return [self._read(item, inner, (*at, index), also) for index, item in enumerate(value)] if inner else value
        if isinstance(value, str) and "any_case" in also:
            words = [word for schema in self._all(schemas) for word in schema.get("enum", ())]
            return value.upper() if value not in words and value.upper() in words else value
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
            known = camel_case(name) if name not in listed and "snake_case" in also else name
            known = known if known in listed else name
            if known in found:
                path = path_of((*at, known))
                raise Refusal("invalid_request", details=[Violation(path, f"is there twice, as {known} and {name}")])
            found[known] = self._read(item, tuple(listed.get(known, others)), (*at, known), also)
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


def without_trailing_commas(body: bytes) -> bytes:
    """Return JSON without the commas that nothing follows."""
    return _COMMA.sub(lambda found: found[1] or b"", body)


def told_path(steps: _Steps, body: Json, maps: Collection[str]) -> str:
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
        value = at(value, [step])
        holds_names = step in maps and not holds_names
    return text
