"""A JSON Schema document taken apart: which keywords it uses, where its references lead, what one part says of a value,
and the flat alternatives of a part: references and `allOf` merged, unions multiplied out.

A keyword that generation does not know is an error here, before anything is generated: what is skipped in silence would
be a rule that nobody tests. What merging cannot express (`not`, `oneOf`, `if`, a second `pattern`) is left to the
validator. References are unrolled to a depth; what would go on without end beyond it has no alternatives there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from emulator.core.errors import Json
from emulator.core.schema.cost import follow
from emulator.core.schema.schema import Schema, placed

_DESCRIBES = {"$comment", "$defs", "$id", "$schema", "default", "description", "examples", "title"}
_HOLDS_ONE = {"additionalProperties", "else", "if", "items", "not", "propertyNames", "then"}
_HOLDS_LIST = {"allOf", "anyOf", "oneOf"}
_HOLDS_NAMED = {"$defs", "properties"}
_CONSTRAINS = {
    "$ref", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maxProperties",
    "maximum", "minItems", "minLength", "minimum", "pattern", "required", "type",
}  # fmt: skip
KEYWORDS = _DESCRIBES | _HOLDS_ONE | _HOLDS_LIST | _HOLDS_NAMED | _CONSTRAINS

_ROOT = "urn:llm-emulator:root"

#: Keywords that all hold of one value, and how many references led to them.
Flat: TypeAlias = tuple[Mapping[str, Json], int]
MAX_DEPTH = 3
COMBINES = {"$ref", "allOf", "anyOf", "else", "if", "not", "oneOf", "then"}


class UnsupportedKeyword(ValueError):
    """A schema uses what generation does not know; `pointer` is the keyword's place in the document."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer


class Document:
    """A whole schema whose parts can be asked alone: `#/…` in a part still means the whole."""

    def __init__(self, schema: Json) -> None:
        """Raises: UnsupportedKeyword; ValueError, if the schema is none."""
        for pointer, message in _unsupported(schema, schema, ""):
            raise UnsupportedKeyword(pointer, message)
        self.schema = schema
        self._verdicts: dict[int, tuple[Json, Callable[[Json], bool]]] = {}
        self._whole = {**schema, "$id": _ROOT} if isinstance(schema, Mapping) else schema

    def follow(self, reference: str) -> Json:
        """Return the part that a `$ref` names."""
        return follow(self.schema, reference)

    def verdict(self, part: Json) -> Callable[[Json], bool]:
        """Return the test of a part, compiled once."""
        kept = self._verdicts.get(id(part))
        if kept is None:
            whole = {"$defs": {"root": self._whole}} if _refers(part) else {}
            alone = {**whole, "allOf": [placed(part, f"{_ROOT}#")]}
            kept = self._verdicts[id(part)] = (part, Schema(alone).verdict)  # the part is held, so its id stays its own
        return kept[1]

    def alone(self, part: Json) -> Json:
        """Return a part as a document of its own, with what it can refer to: compiling that takes long."""
        return {"$defs": self.schema.get("$defs", {}), "allOf": [part]} if _refers(part) else {"allOf": [part]}

    def flatten(self, part: Json, depth: int) -> list[Flat]:
        """Return flat schemas, each with the depth it stands at, of which a valid value fits one."""
        if depth > MAX_DEPTH or part is False:
            return []
        if part is True:
            return [({}, depth)]
        flats: list[Flat] = [({key: item for key, item in part.items() if key not in COMBINES}, depth)]
        for options in self.choices(part, depth):
            pairs = [(left, right, max(above, below)) for left, above in flats for right, below in options]
            flats = [(merged, deepest) for left, right, deepest in pairs if (merged := merge(left, right)) is not None]
        return flats

    def choices(self, part: Mapping[str, Json], depth: int) -> Iterator[list[Flat]]:
        """Yield, for each keyword that combines, the alternatives that it opens."""
        if "$ref" in part:
            yield self.flatten(self.follow(part["$ref"]), depth + 1)
        for item in part.get("allOf", ()):
            yield self.flatten(item, depth)
        for union in ("anyOf", "oneOf"):
            if union in part:
                yield [flat for item in part[union] for flat in self.flatten(item, depth)]
        if "if" in part:
            holds = self.flatten({"allOf": [part["if"], part.get("then", True)]}, depth)
            yield holds + self.flatten(part.get("else", True), depth)
        forbidden = part.get("not")
        if isinstance(forbidden, Mapping) and set(forbidden) - {"$comment"} == {"required"}:
            yield [({"absent": [name]}, depth) for name in forbidden["required"]]


def escape(step: str | int) -> str:
    """Return a step as a JSON pointer writes it."""
    return str(step).replace("~", "~0").replace("/", "~1")


def pointer_of(steps: Sequence[str | int]) -> str:
    """Return the JSON pointer of a path; empty for the whole."""
    return "".join(f"/{escape(step)}" for step in steps)


def _refers(part: Json) -> bool:
    """Tell whether a part refers to another."""
    if isinstance(part, Mapping):
        return "$ref" in part or any(map(_refers, part.values()))
    return isinstance(part, list) and any(map(_refers, part))


def _unsupported(schema: Json, root: Json, pointer: str) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        return
    for keyword, value in schema.items():
        place = f"{pointer}/{escape(keyword)}"
        if keyword not in KEYWORDS:
            yield place, f"the keyword '{keyword}' is not supported; known: {', '.join(sorted(KEYWORDS))}"
        elif keyword == "$ref" and not (isinstance(value, str) and value and follow(root, value) is not None):
            yield place, f"'{value}' leads nowhere; a reference must be a '#/…' that exists"
        elif keyword in _HOLDS_ONE:
            yield from _unsupported(value, root, place)
        elif keyword in _HOLDS_LIST:
            for index, item in enumerate(value):
                yield from _unsupported(item, root, f"{place}/{index}")
        elif keyword in _HOLDS_NAMED:
            for name, item in value.items():
                yield from _unsupported(item, root, f"{place}/{escape(name)}")


def merge(left: Mapping[str, Json], right: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return one flat schema for two that both hold, as near as it can be said; None where no value fits both."""
    result = dict(left)
    for key, item in right.items():
        result[key] = _MERGERS.get(key, _keep)(left[key], item) if key in left else item
    return None if result.get("type") == [] or result.get("enum") == [] else result


def _keep(left: Json, right: Json) -> Json:
    return left


def _both(left: Json, right: Json) -> Json:
    return left if left == right else {"allOf": [left, right]}


def _types(left: Json, right: Json) -> Json:
    mine, theirs = ([item] if isinstance(item, str) else item for item in (left, right))
    shared = [name for name in mine if name in theirs or (name == "integer" and "number" in theirs)]
    return shared + (["integer"] if "number" in mine and "integer" in theirs and "integer" not in shared else [])


_MERGERS: Mapping[str, Callable[[Any, Any], Json]] = {
    "$comment": lambda left, right: f"{left}; {right}",
    "type": _types,
    "required": lambda left, right: [*left, *right],
    "absent": lambda left, right: [*left, *right],
    "enum": lambda left, right: [item for item in left if item in right],
    "properties": lambda left, right: (
        left | right | {name: _both(left[name], right[name]) for name in left if name in right}
    ),
    "items": _both,
    "additionalProperties": _both,
    "propertyNames": _both,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
