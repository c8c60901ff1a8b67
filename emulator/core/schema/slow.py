"""The validator that explains: jsonschema, but of a long list it only looks at items that fail, and at few of them.

It takes a hundred times as long as jsonschema-rs, which therefore sorts the good items out first.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from emulator.core.errors import Json
from emulator.core.schema.common_keywords import common_keywords, is_of
from emulator.core.schema.cost import follow
from emulator.core.tree import canonical

#: Lists up to this length are walked whole.
SHORT = 100
#: How many wrong items of a longer list are explained.
MOST_EXPLAINED = 20
#: How many items are judged at once.
TOGETHER = 1000

#: A reference to another document, or one within this.
_SEVERAL = re.compile(r'"\$(ref|dynamicRef)": "[^#]|"\$id": ".*"\$id": "')

#: What tells the branches of a union apart.
_WORDS = frozenset(("const", "enum"))

Verdict = Callable[[Json], bool]


def oracle(document: Json, old: bool = False) -> Any:
    """Return a validator of jsonschema for a document, whose errors come in the order of the value."""
    usual = _base(old).VALIDATORS
    verdicts: dict[int, Verdict] = {}  # by the identity of a subschema, which the document keeps alive

    def judge(validator: Any, wanted: Json) -> Verdict:
        if id(wanted) not in verdicts:
            each = validator.evolve(schema=wanted).is_valid
            verdicts[id(wanted)] = _all_good(wanted, document) or (lambda items: all(map(each, items)))
        return verdicts[id(wanted)]

    def items(validator: Any, wanted: Json, value: Json, schema: Mapping[str, Json]) -> Iterator[Any]:
        if not isinstance(value, list) or len(value) <= SHORT or wanted is False:
            yield from usual["items"](validator, wanted, value, schema)
            return
        good = judge(validator, wanted)
        failing = _failing(good, value, len(schema.get("prefixItems", ())))
        for index in islice(failing, MOST_EXPLAINED):
            yield from validator.descend(value[index], wanted, path=index)

    searched = functools.partial(_additional, lambda pattern, name: re.search(pattern, name) is not None)
    keywords = common_keywords(usual) | union_keywords() | (_of_draft_07(usual) if old else {"items": items})
    keywords["additionalProperties"] = functools.partial(searched, usual["additionalProperties"])
    if _SEVERAL.search(json.dumps(document)):  # in each of several documents a reference leads elsewhere
        return _made(old, keywords, document)
    keywords["$ref"] = functools.partial(_followed, usual["$ref"], functools.cache(functools.partial(follow, document)))
    return _made(old, keywords, document, keeps=True)


def _base(old: bool) -> Any:
    from jsonschema import Draft7Validator, Draft202012Validator

    return Draft7Validator if old else Draft202012Validator


def _made(old: bool, keywords: Mapping[str, Any], document: Json, keeps: bool = False) -> Any:
    """Return a validator that has some keywords of ours, to which a schema that names its draft is as all others are.

    One that `keeps` has the validators of subschemas only once; jsonschema makes each anew for each value.
    """
    from jsonschema.validators import extend
    from referencing import Registry

    made = extend(_base(old), keywords)  # type: ignore[no-untyped-call]
    usual = made.evolve
    kept: dict[int, Any] = {}  # by the identity of a subschema, which the document keeps alive
    plain: dict[int, Json] = {}  # the type of a subschema that asks for nothing else

    def evolve(validator: Any, **changes: Any) -> Any:
        schema = changes.get("schema")
        if not isinstance(schema, Mapping):
            return usual(validator, **changes)
        if id(schema) in kept:
            return kept[id(schema)]
        if "$schema" in schema:
            changes["schema"] = {name: item for name, item in schema.items() if name != "$schema"}
        found = usual(validator, **changes)
        if keeps:
            kept[id(schema)] = found
            if [name for name in schema if name in made.VALIDATORS] == ["type"]:
                plain[id(schema)] = schema["type"]
        return found

    def descend(validator: Any, instance: Json, schema: Json, *places: Any, **more: Any) -> Iterable[Any]:
        good = is_of(instance, plain.get(id(schema), ()))
        return () if good else _descend(validator, instance, schema, *places, **more)

    made.evolve = evolve
    if keeps:
        made.descend = descend
    return made(document, registry=Registry())


def _followed(
    usual: Any, target: Callable[[str], Json], validator: Any, wanted: str, value: Json, schema: Json
) -> Iterable[Any]:
    """Follow a reference; jsonschema looks for its place each time."""
    part = target(wanted)
    errors: Iterable[Any] = usual(validator, wanted, value, schema) if part is None else validator.descend(value, part)
    return errors


def _descend(
    validator: Any, instance: Json, schema: Json, path: Any = None, schema_path: Any = None, **_: Any
) -> Iterator[Any]:
    for error in validator.evolve(schema=schema).iter_errors(instance):
        if path is not None:
            error.path.appendleft(path)
        if schema_path is not None:
            error.schema_path.appendleft(schema_path)
        yield error


def judge_in_steps(
    document: Json, old: bool, spend: Callable[[int], None], matches: Callable[[str, str], bool]
) -> Callable[[Json, Json], Any]:
    """Return what judges a value by a subschema of a document: the first error, or None.

    Each keyword that is met is a step, and so are ten parts of it, or of the value; `spend` is told. Unevaluated fields
    and items are not judged.
    """
    usual = _base(old).VALIDATORS

    def counted(usual: Any) -> Any:
        def judged(validator: Any, wanted: Json, value: Json, schema: Mapping[str, Json]) -> Iterator[Any]:
            spend(1 + sum(len(each) // 10 for each in (wanted, value) if isinstance(each, list | dict)))
            yield from usual(validator, wanted, value, schema) or ()

        return judged

    own = {**_of_patterns(matches), **(_of_draft_07(usual) if old else {}), "uniqueItems": _unique, "format": _nothing}
    own |= {name: _nothing for name in usual if name.startswith("unevaluated")}
    keywords = {name: counted(judge) for name, judge in {**usual, **own}.items()}
    validator = _made(old, keywords, document)
    return lambda schema, value: next(validator.evolve(schema=schema).iter_errors(value), None)


def _of_draft_07(usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return what draft-07 has beyond jsonschema: items that are true or false, beside which others say nothing."""

    def additional(validator: Any, wanted: Json, value: Json, schema: Mapping[str, Json]) -> Iterator[Any]:
        if not isinstance(schema.get("items"), bool):  # jsonschema asks for its length
            yield from usual["additionalItems"](validator, wanted, value, schema)

    return {"additionalItems": additional}


def _nothing(validator: Any, wanted: Json, value: Json, schema: Json) -> Iterator[Any]:
    return iter(())


def _unique(validator: Any, wanted: Json, value: Json, schema: Json) -> Iterator[Any]:
    """Compare by what is written, which takes no longer for many items."""
    from jsonschema import ValidationError

    if wanted and isinstance(value, list) and len({canonical(item) for item in value}) < len(value):
        yield ValidationError("has non-unique elements")


def _of_patterns(matches: Callable[[str, str], bool]) -> dict[str, Any]:
    """Return the keywords that try patterns, with an engine that is bounded."""
    from jsonschema import ValidationError

    def pattern(validator: Any, wanted: Json, value: Json, schema: Json) -> Iterator[Any]:
        if isinstance(value, str) and not matches(wanted, value):
            yield ValidationError("does not match")

    def by_pattern(validator: Any, wanted: Json, value: Json, schema: Json) -> Iterator[Any]:
        for name in value if isinstance(value, dict) else ():
            for text, inner in wanted.items():
                if matches(text, name):
                    yield from validator.descend(value[name], inner, path=name)

    additional = functools.partial(_additional, matches, None)
    return {"pattern": pattern, "patternProperties": by_pattern, "additionalProperties": additional}


def _all_good(wanted: Json, document: Json) -> Verdict | None:
    """Compile the verdict on a list of items; None where their schema refers to what is not in `$defs`."""
    definitions = document.get("$defs", {}) if isinstance(document, Mapping) else {}
    options = jsonschema_rs.RegexOptions()
    try:
        validator = jsonschema_rs.Draft202012Validator({"$defs": definitions, "items": wanted}, pattern_options=options)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return None
    verdict: Verdict = validator.is_valid
    return verdict


def _failing(good: Verdict, value: list[Json], first: int) -> Iterator[int]:
    """Yield the indexes of the items that are not good, from `first`."""
    for start in range(first, len(value), TOGETHER):
        part = value[start : start + TOGETHER]
        if not good(part):
            yield from (start + index for index, item in enumerate(part) if not good([item]))


def _additional(
    matches: Callable[[str, str], bool], usual: Any, validator: Any, wanted: Json, value: Json, schema: Json
) -> Iterator[Any]:
    """Judge fields that are not listed in the order of the value; jsonschema takes them in the order of a set."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", ())
    if usual and not isinstance(wanted, Mapping):
        if not isinstance(value, dict) or not value.keys() <= known.keys():
            yield from usual(validator, wanted, value, schema)
        return
    for name in value if isinstance(value, dict) else ():
        if name not in known and not any(matches(pattern, name) for pattern in patterns):
            yield from validator.descend(value[name], wanted, path=name)


# Unions (`anyOf`, `oneOf`): the branch that a value means by its tag is looked at first


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
