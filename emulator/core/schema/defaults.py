"""Documented defaults, filled in wherever a schema describes a value: what an API echoes of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.core.errors import Json
from emulator.core.tree import at

_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str}


def filled(schema: Json, value: Json, definitions: Mapping[str, Json] | None = None) -> Json:
    """Return a value with the defaults of its fields; null counts as left out where there is a default.

    Of the branches of oneOf and anyOf the first counts whose type and fixed fields the value has. `definitions` are
    what references lead to; left out, they are the schema's own.
    """
    known = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        value = dict(value)
        for name, item in schema.get("properties", {}).items():
            if value.get(name) is None and isinstance(item, Mapping) and "default" in item:
                value[name] = item["default"]
            if value.get(name) is not None:
                value[name] = filled(item, value[name], known)
    elif isinstance(value, list) and "items" in schema:
        value = [filled(schema["items"], item, known) for item in value]
    else:
        return value
    for branches in (schema.get("oneOf", ()), schema.get("anyOf", ())):
        fitting = next((branch for branch in branches if _fits(branch, value)), None)
        if fitting is not None:
            value = filled(fitting, value, known)
    return value


def with_defaults(body: Mapping[str, Json], defaults: Mapping[str, Json]) -> dict[str, Json]:
    """Return a body in which fields that are left out, or null, are what a model has for them."""
    sent = {name: value for name, value in body.items() if value is not None}
    inner = {
        name: with_defaults(sent[name], value)
        for name, value in defaults.items()
        if isinstance(value, Mapping) and isinstance(sent.get(name), Mapping)
    }
    return {**defaults, **sent, **inner}


def echoed(schema: Json, body: Mapping[str, Json], paths: Sequence[str], usual: Mapping[str, Json]) -> dict[str, Json]:
    """Return what stands at some paths of a body once the documented defaults are filled in, a model's own first."""
    names = {path.partition(".")[0] for path in paths}
    given: Json = {name: body[name] for name in names if name in body}
    given = filled(schema, with_defaults(given, usual) if usual else given) if paths else {}
    return {path: at(given, path.split(".")) for path in paths}


def _fits(branch: Json, value: Json) -> bool:
    wanted = _TYPES.get(branch.get("type", ""))
    if wanted and not isinstance(value, wanted):
        return False
    fixed = {name: item["const"] for name, item in branch.get("properties", {}).items() if "const" in item}
    return not fixed or (isinstance(value, dict) and all(value.get(name) == item for name, item in fixed.items()))
