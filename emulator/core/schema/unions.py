"""The branches of a union (`anyOf`, `oneOf`), told apart by a tag: the one that a value means is looked at first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emulator.core.errors import Json

_WORDS = frozenset(("const", "enum"))


def tag_names(branches: Sequence[Json]) -> Sequence[str]:
    """Return the fields that tell branches apart: in all that have fields, they are one of some words."""
    found = [
        [
            name
            for name, item in branch["properties"].items()
            if isinstance(item, Mapping) and not _WORDS.isdisjoint(item)
        ]
        for branch in branches
        if isinstance(branch, Mapping) and "properties" in branch
    ]
    return [name for name in found[0] if all(name in names for names in found)] if found else []


def union_keywords() -> dict[str, Any]:
    """Return `anyOf` and `oneOf` for jsonschema, which look no further into a branch that a tag rules out."""
    from jsonschema import ValidationError

    tags: dict[int, Sequence[str]] = {}  # by the identity of a union, which the document keeps alive

    def wrong(validator: Any, branch: Json, value: Json, names: Sequence[str], index: int) -> list[Any]:
        by_tag = [
            error
            for name in names
            if name in value and isinstance(branch, Mapping) and name in branch.get("properties", ())
            for error in validator.descend(value[name], branch["properties"][name], path=name, schema_path=index)
            if error.validator in _WORDS
        ]
        return by_tag or list(validator.descend(value, branch, schema_path=index))

    def union(validator: Any, wanted: Sequence[Json], value: Json, most: int) -> Iterator[Any]:
        if id(wanted) not in tags:
            tags[id(wanted)] = tag_names(wanted)
        names = tags[id(wanted)] if isinstance(value, Mapping) else ()
        errors: list[Any] = []
        fitting = 0
        for index, branch in enumerate(wanted):
            found = wrong(validator, branch, value, names, index)
            errors += found
            fitting += not found
            if fitting > most:  # enough is known: of `anyOf` that one fits, of `oneOf` that two do
                break
        if not fitting:
            yield ValidationError("fits no branch", context=errors)
        elif fitting > 1:
            yield ValidationError("fits more than one branch")

    def keyword(most: int) -> Any:
        return lambda validator, wanted, value, schema: union(validator, wanted, value, most)

    return {"anyOf": keyword(0), "oneOf": keyword(1)}
