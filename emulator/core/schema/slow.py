"""The validator that explains: jsonschema, but of a long list it only looks at items that fail, and at few of them.

It takes a hundred times as long as jsonschema-rs, which therefore sorts the good items out first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs

from emulator.core.errors import Json

#: Lists up to this length are walked whole.
SHORT = 100
#: How many wrong items of a longer list are explained.
MOST_EXPLAINED = 20
#: How many items are judged at once.
TOGETHER = 1000

Verdict = Callable[[Json], bool]


def oracle(document: Json) -> Any:
    """Return a validator of jsonschema for a document, whose errors come in the order of the value."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    usual = Draft202012Validator.VALIDATORS
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

    keywords = {"items": items, "additionalProperties": _additional(usual["additionalProperties"])}
    return extend(Draft202012Validator, keywords)(document, registry=Registry())  # type: ignore[no-untyped-call]


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


def _additional(usual: Any) -> Any:
    """Judge fields that are not listed in the order of the value; jsonschema takes them in the order of a set."""

    def additional(validator: Any, wanted: Json, value: Json, schema: Mapping[str, Json]) -> Iterator[Any]:
        if not isinstance(value, dict) or not isinstance(wanted, Mapping):
            yield from usual(validator, wanted, value, schema)
            return
        known, patterns = schema.get("properties", ()), "|".join(schema.get("patternProperties", ()))
        for name in value:
            if name not in known and not (patterns and re.search(patterns, name)):
                yield from validator.descend(value[name], wanted, path=name)

    return additional
