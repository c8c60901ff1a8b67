"""What may be shown of headers, addresses, JSON and a `when`: secrets are found by name, and by what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from emulator.core.errors import Json
from emulator.core.secrets.texts import (
    IN_URL,
    Kind,
    Show,
    in_url,
    is_secret,
    parameter,
    redact,
    redact_text,
    redact_value,
)
from emulator.core.tree import change_texts

_CREDENTIALS = re.compile("(?i)(bearer) +(.+)|(basic|digest) +(.{8,})")


def redact_header(name: str, value: str, show: Show = redact) -> str:
    """Return a header's value without its secrets."""
    if is_secret(name):
        return redact_value(value, show)
    name = name.lower()
    if not name.endswith("-authenticate") and (found := _CREDENTIALS.fullmatch(value)):
        return f"{found[1] or found[3]} {show(found[2] or found[4])}"
    if name == "host" and "@" in value:
        user, _, host = value.rpartition("@")
        return f"{show(user)}@{host}"
    return re.sub(IN_URL, lambda found: in_url(found, show), redact_text(value, show))


def redact_headers(headers: Iterable[tuple[str, str]], show: Show = redact, by_value: bool = True) -> dict[str, str]:
    """Return headers by name, without their secrets; without `by_value` it is known that only names tell of any."""
    if by_value:
        return {name: redact_header(name, value, show) for name, value in headers}
    return {name: redact_value(value, show) if is_secret(name) else value for name, value in headers}


def plain_values(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the values of those headers whose name tells of no secret."""
    return [value for name, value in headers if not is_secret(name)]


#: How often a target is read: what is escaped twice is seen by whoever reads it twice.
_READINGS = 4


def redact_target(target: str, show: Show = redact) -> str:
    """Return the target of a request, its path and its query, without its secrets."""
    path, mark, query = target.partition("?")
    return f"{_read(path, '/', show)}{mark}{redact_query(query, show)}"


def redact_query(query: str, show: Show = redact) -> str:
    """Return a query string without its secrets; a name counts as it is read, `%61pi_key` too."""
    return _read(query, "&", show)


def _read(text: str, mark: str, show: Show) -> str:
    """Return a path or a query without its secrets; where escapes hide one, as it is read: `sk%2D` begins a key."""
    shown, parts = text, text.split(mark)
    for _ in range(_READINGS):
        read = mark.join(parts)
        if mark == "/":  # which may be in a key, but there it ends one
            parts = [redact_text(part, show) for part in parts]
        clean = redact_text(mark.join([parameter(part, show) for part in parts]), show)
        if clean != read:
            shown, parts = clean, clean.split(mark)
        if "%" not in clean and "+" not in clean:
            break
        parts = [unquote_plus(part) for part in parts]
    return shown


def redact_form(text: str, show: Show = redact) -> str:
    """Return the text of a body that is no JSON without its secrets; it may be a form."""
    is_form = "=" in text and re.search(r"[\s{}\[\]\"<>]", text) is None
    return redact_query(text, show) if is_form else redact_text(text, show)


# JSON


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
