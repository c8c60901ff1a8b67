"""What keeps a tool's JSON Schema from being taken: always, and where its caller wants it kept to the letter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from emulator.core.errors import Json, shown
from emulator.core.tree import compact

#: Keywords that no strict schema may have.
UNSUPPORTED = ("allOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else")
FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
MOST_LEVELS = 10
MOST_PROPERTIES = 5_000
MOST_ENUM_VALUES = 1_000
MOST_LETTERS = 120_000
#: What is behind so many parts of a schema is not looked at; by then it is too large in another way.
MOST_PARTS = 20_000
#: An enum of more values than this has so many characters at most.
MANY_VALUES = 250
MOST_ENUM_LETTERS = 15_000

#: Keywords whose value is a schema, a list of schemas, or schemas by name.
_ONE, _SEVERAL, _NAMED = ("items",), ("anyOf", "oneOf", "allOf", "prefixItems"), ("properties", "$defs", "definitions")
_HOLDERS = (*_SEVERAL, *_NAMED)
Path = tuple[str, ...]


def loose_problem(schema: Json) -> str | None:
    """Say what is wrong with a schema that need not be strict: an object without properties, a list without items."""
    for path, part, _ in _parts(schema):
        if part.get("type") == "object" and "properties" not in part and not path:
            return f"{_context(path)}object schema missing properties."
        if part.get("type") == "array" and "items" not in part and "prefixItems" not in part:
            return f"{_context(path)}array schema missing items."
    return None


def strict_problem(schema: Json) -> str | None:
    """Say what of a strict schema is not as it has to be."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or "anyOf" in schema:
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {_named(kind)}'."
    for path, part, level in _parts(schema):
        problem = _problem(part)
        if problem:
            return _context(path) + problem
        if level > MOST_LEVELS:
            return f"{_context(path)}the schema is nested deeper than {MOST_LEVELS} levels."
    return _too_large(schema)


def keyword_problem(schema: Json, words: Sequence[str]) -> str | None:
    """Say which of some keywords a schema has."""
    for _, part, _ in _parts(schema):
        word = next((name for name in words if name in part), None)
        if word:
            return f"For {shown(part.get('type') or 'any')} type, property '{word}' is not supported"
    return None


def whole_problem(schema: Json) -> str | None:
    """Say where a schema requires a property that it does not define, or has a list without items."""
    for path, part, _ in _parts(schema):
        properties, required = part.get("properties"), part.get("required")
        defined = properties if isinstance(properties, Mapping) else {}
        for index, name in enumerate(required if isinstance(required, list) else ()):
            if name not in defined:
                return f"{_place(path)}required[{index}]: property is not defined"
        if str(part.get("type")).lower() == "array" and "items" not in part:
            return f"{_place(path)}items: missing field."
    return None


def closed_problem(schema: Json) -> str | None:
    """Say where a schema lets an object have other fields, or refers to outside or to itself."""
    for _, part, _ in _parts(schema):
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            return f"External schema reference {shown(reference)} is not supported"
    return "Circular reference detected in schema definitions" if _is_circular(schema) else None


def _is_circular(schema: Json) -> bool:
    """Tell whether a definition refers to itself, through others too; `#` is the whole."""
    defined = {f"#/{key}/{name}": item for key in ("$defs", "definitions") for name, item in _named_in(schema, key)}
    leads = {name: _references(item) for name, item in defined.items()} | {"#": _references(schema)}
    try:
        TopologicalSorter(leads).prepare()
    except CycleError:
        return True
    return False


def _named_in(schema: Json, key: str) -> Sequence[tuple[str, Json]]:
    found = schema.get(key) if isinstance(schema, Mapping) else None
    return list(found.items()) if isinstance(found, Mapping) else []


def _references(schema: Json) -> set[str]:
    return {part["$ref"] for _, part, _ in _parts(schema) if isinstance(part.get("$ref"), str)}


def _problem(part: Mapping[str, Json]) -> str | None:
    unsupported = next((name for name in UNSUPPORTED if name in part), None)
    if unsupported:
        return f"'{unsupported}' is not permitted."
    if isinstance(part.get("format"), str) and part["format"] not in FORMATS:
        return f"'{part['format']}' is not a valid format."
    properties = part.get("properties")
    if part.get("type") == "object" or isinstance(properties, Mapping):
        if part.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false."
        names = properties if isinstance(properties, Mapping) else {}
        required = part.get("required") if isinstance(part.get("required"), list) else []
        there = {name for name in required or () if isinstance(name, str)}
        missing = next((name for name in names if name not in there), None)
        if missing is not None:
            return (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing {shown(missing)}."
            )
    return None


def _too_large(schema: Json) -> str | None:
    properties = values = letters = 0
    for path, part, _ in _parts(schema):
        names = [name for key in _NAMED if isinstance(part.get(key), Mapping) for name in part[key]]
        properties += len(part["properties"]) if isinstance(part.get("properties"), Mapping) else 0
        enum = part["enum"] if isinstance(part.get("enum"), list) else []
        words = [item for item in [*enum, part.get("const")] if isinstance(item, str)]
        values += len(enum)
        letters += sum(map(len, (*names, *words)))
        if len(enum) > MANY_VALUES and sum(map(len, words)) > MOST_ENUM_LETTERS:
            return f"{_context(path)}the values of an enum have more than {MOST_ENUM_LETTERS} characters together."
    sums = (
        (properties, MOST_PROPERTIES, "object properties"), (values, MOST_ENUM_VALUES, "enum values"),
        (letters, MOST_LETTERS, "characters in names and enum values"),
    )  # fmt: skip
    return next((f"the schema has {n} {what}; at most {most} are allowed." for n, most, what in sums if n > most), None)


def _parts(schema: Json) -> Iterator[tuple[Path, Mapping[str, Json], int]]:
    """Yield a schema and those in it, each with its path and how many objects it stands in, itself counted."""
    waiting: list[tuple[Path, Json, int]] = [((), schema, 0)]
    for _ in range(MOST_PARTS):
        if not waiting:
            return
        path, part, level = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        level += part.get("type") == "object"
        yield path, part, level
        inner = [((*path, key), part.get(key), level) for key in _ONE]
        for key in (*_SEVERAL, *_NAMED):
            given = part.get(key)
            named = given.items() if isinstance(given, Mapping) and key in _NAMED else ()
            listed = enumerate(given) if isinstance(given, list) and key in _SEVERAL else ()
            inner += [((*path, key, str(name)), item, level) for name, item in (*named, *listed)]
        waiting += reversed(inner)


def _place(path: Path) -> str:
    """Write a path as `properties[city].items.`: names and numbers of what a keyword holds stand in brackets."""
    steps = [f"[{step}]" if path[index - 1 : index] and path[index - 1] in _HOLDERS else f".{step}"
             for index, step in enumerate(path)]  # fmt: skip
    return "".join(steps).removeprefix(".") + "." if path else ""


def _context(path: Path) -> str:
    inner = ", ".join(f"'{step}'" for step in path) + ("," if len(path) == 1 else "")
    return f"In context=({inner}), "


def _named(kind: Json) -> str:
    return f'"{kind}"' if isinstance(kind, str) else "null" if kind is None else compact(kind)
