"""What may be shown of JSON, and of what a `when` says: secrets by the names of fields, and in every text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from emulator.core.errors import Json
from emulator.core.secrets.headers import redact_header
from emulator.core.secrets.names import Kind, Show, is_secret, redact, redact_value
from emulator.core.secrets.texts import redact_text
from emulator.core.tree import change_texts


def redact_json(value: Json, show: Show = redact, by_value: bool = True) -> Json:
    """Return JSON without its secrets: by the names of its fields, and with `by_value` in all of its texts."""
    return _hidden(value, show) if by_value or _has_secret_name(value) else value


def _has_secret_name(value: Json) -> bool:
    """Tell whether a field may hold a secret by its name; below `headers` the names are those of headers."""
    if value.__class__ is dict:
        for name, item in value.items():
            if is_secret(name, "field") or name.endswith("eaders"):
                return True
            if item.__class__ in (dict, list) and _has_secret_name(item):
                return True
        return False
    return value.__class__ is list and any(item.__class__ in (dict, list) and _has_secret_name(item) for item in value)


#: What holds schemas by name: that of a secret is none.
_OF_SCHEMAS = {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}


def _hidden(value: Json, show: Show, kind: Kind = "field", secret: bool = False, schemas: bool = False) -> Json:
    """Return a value without its secrets; `secret`: it is one itself, `schemas`: it may hold schemas by name."""
    if isinstance(value, str):
        return redact_value(value, show) if secret else redact_text(value, show)
    if isinstance(value, Mapping):
        return {
            redact_text(name): _hidden(item, show, secret=True)
            if secret
            else _field(value, name, item, show, kind, schemas)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(item, show, kind, secret) for item in value]
    return show(str(value)) if secret and isinstance(value, int | float) and not isinstance(value, bool) else value


def _field(holder: Mapping[str, Json], name: str, value: Json, show: Show, kind: Kind, schemas: bool) -> Json:
    if kind == "header" and isinstance(value, str):
        return redact_header(name, value, show)
    secret = is_secret(name, kind) and not (schemas and isinstance(value, Mapping))
    if name.lower().endswith("token"):  # in an answer's probabilities it is a piece of text, and a number counts
        secret = secret and isinstance(value, str | list | Mapping) and "logprob" not in holder
    if isinstance(value, Mapping) and not secret:
        kind = "header" if name.lower().endswith("headers") else "field"
        return _hidden(value, show, kind, False, name in _OF_SCHEMAS)
    return _hidden(value, show, kind, secret)


# What a `when` says


def redact_field(field: str, value: Json, show: Show = redact) -> Json:
    """Return what a field of a `when` is, or was expected to be, without its secrets: `headers.NAME`, `body.$.PATH`."""
    part, _, name = field.partition(".")
    if part == "headers":
        return change_texts(value, lambda text: redact_header(name, text, show))
    steps = re.findall(r"[^.\[\]'\"$]+", name)
    names = [step for step in steps if not step.isdecimal()]
    named = part == "body" and names and is_secret(names[-1], "field")
    return _all_hidden(value, show) if named else redact_json(value, show)


def redact_when(when: Mapping[str, Json], show: Show = redact) -> dict[str, Json]:
    """Return a `when` without its secrets."""
    return {
        name: {key: redact_field(f"{name}.{key}", item, show) for key, item in spec.items()}
        if name in ("headers", "body") and isinstance(spec, Mapping)
        else redact_json(spec, show)
        for name, spec in when.items()
    }


def _all_hidden(value: Json, show: Show) -> Json:
    """Return a matcher of a secret, every operand of it hidden."""
    if isinstance(value, Mapping):
        return {name: _all_hidden(item, show) for name, item in value.items()}
    if isinstance(value, list):
        return [_all_hidden(item, show) for item in value]
    return _hidden(value, show, secret=True)
