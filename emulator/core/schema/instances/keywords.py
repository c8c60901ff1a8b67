"""What each keyword of a schema needs of a value, in the two drafts that are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.core.errors import Json
from emulator.core.schema.instances.needs import KINDS, Needs
from emulator.core.tree import canonical

Handler = Callable[[Needs, Json, Mapping[str, Json]], None]


def _type(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    kinds = list(dict.fromkeys(kind for name in ([value] if isinstance(value, str) else value) for kind in KINDS[name]))
    needs.kinds = kinds if needs.kinds is None else [kind for kind in needs.kinds if kind in kinds]


def _enum(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    if needs.choices is None:
        needs.choices = list(value)
    else:
        known = {canonical(item) for item in value}
        needs.choices = [item for item in needs.choices if canonical(item) in known]


def _size(held: str, name: str, tighter: Callable[[int, int], int]) -> Handler:
    def handle(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
        found: dict[str, int] = getattr(needs, held)
        found[name] = tighter(found.get(name, int(value)), int(value))

    return handle


def _fields(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    """Take the three keywords about fields together, at the first of them."""
    first = next(name for name in schema if name in _FIELDS)
    if schema[first] is value:
        scope = schema.get("properties", {}), schema.get("patternProperties", {}), schema.get("additionalProperties")
        needs.fields.append(scope)


_FIELDS = ("properties", "patternProperties", "additionalProperties")


def _items(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    if "prefixItems" not in schema or value is schema["prefixItems"]:
        needs.rows.append((schema.get("prefixItems", ()), schema.get("items")))


def _old_items(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    several = isinstance(value, list)
    needs.rows.append((value, schema.get("additionalItems")) if several else ((), value))


def _contains(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    most = schema.get("maxContains")
    needs.contains.append((value, int(schema.get("minContains", 1)), None if most is None else int(most)))


def _unique(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    needs.unique |= value is True


def _dependencies(needs: Needs, value: Json, schema: Mapping[str, Json]) -> None:
    for name, asked in value.items():
        if isinstance(asked, list):
            needs.brings.append((name, asked))
        else:
            needs.applies.append((name, asked))


_COMMON: Mapping[str, Handler] = {
    "type": _type,
    "enum": _enum,
    "const": lambda needs, value, schema: _enum(needs, [value], schema),
    "examples": lambda needs, value, schema: needs.guesses.append(value) if value else None,
    "default": lambda needs, value, schema: needs.guesses.append([value]),
    "minimum": lambda needs, value, schema: needs.lows.append((value, False)),
    "exclusiveMinimum": lambda needs, value, schema: needs.lows.append((value, True)),
    "maximum": lambda needs, value, schema: needs.highs.append((value, False)),
    "exclusiveMaximum": lambda needs, value, schema: needs.highs.append((value, True)),
    "multipleOf": lambda needs, value, schema: needs.steps.append(value),
    **{f"min{name}": _size("least", name, max) for name in ("Length", "Items", "Properties")},
    **{f"max{name}": _size("most", name, min) for name in ("Length", "Items", "Properties")},
    "pattern": lambda needs, value, schema: needs.patterns.append(value),
    "format": lambda needs, value, schema: needs.formats.append(value),
    **dict.fromkeys(_FIELDS, _fields),
    "required": lambda needs, value, schema: needs.required.update(dict.fromkeys(value)),
    "propertyNames": lambda needs, value, schema: needs.names.append(value),
    "uniqueItems": _unique,
}
DRAFT_07: Mapping[str, Handler] = {
    **_COMMON,
    "items": _old_items,
    "contains": lambda needs, value, schema: needs.contains.append((value, 1, None)),
    "dependencies": _dependencies,
}
DRAFT_2020: Mapping[str, Handler] = {
    **_COMMON,
    "items": _items,
    "prefixItems": _items,
    "contains": _contains,
    "dependentRequired": lambda needs, value, schema: needs.brings.extend(value.items()),
    "dependentSchemas": lambda needs, value, schema: needs.applies.extend(value.items()),
    "unevaluatedProperties": lambda needs, value, schema: needs.other_fields.append(value),
    "unevaluatedItems": lambda needs, value, schema: needs.other_items.append(value),
}
