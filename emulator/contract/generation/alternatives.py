"""A part of a JSON Schema as flat alternatives: references and `allOf` merged, unions multiplied out.

What merging cannot express (`not`, `oneOf`, `if`, a second `pattern`) is left to the validator. References are unrolled
to a depth; what would go on without end beyond it has no alternatives there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from emulator.contract.generation.subschemas import Document
from emulator.core.errors import Json

#: Keywords that all hold of one value, and how many references led to them.
Flat: TypeAlias = tuple[Mapping[str, Json], int]

MAX_DEPTH = 3
COMBINES = {"$ref", "allOf", "anyOf", "else", "if", "not", "oneOf", "then"}


class Alternatives:
    """Takes the parts of one document apart: references and `allOf` merged, unions multiplied out."""

    def __init__(self, document: Document) -> None:
        self.document = document

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
            yield self.flatten(self.document.follow(part["$ref"]), depth + 1)
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
