"""Templates: `${path}` only; `$${` is a literal `${`. Names: letters, digits, `_`, `-`; list items by number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import orjson

from emulator.core.durations import whole_number
from emulator.core.errors import Json, nearest

#: How many characters a rendered text may have.
MAX_OUTPUT = 1_000_000

Scope: TypeAlias = Mapping[str, Json]
Missing: TypeAlias = Callable[[str], None]
Rendered: TypeAlias = Callable[[Scope, Missing], Json]

_HOLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class TemplateError(ValueError):
    """A hole that can never be filled; the message says why."""


def compile_template(value: Json, check: Callable[[tuple[str, ...]], None]) -> Rendered | None:
    """Compile every string in a value; None where it has no hole and no `$${`, so that it can be used as it is.

    `check` is called with each hole's path and raises TemplateError for one that cannot exist.
    """
    if isinstance(value, str):
        return _compile_text(value, check)
    if isinstance(value, Mapping):
        parts = {key: compile_template(item, check) for key, item in value.items()}
        if not any(parts.values()):
            return None
        return lambda scope, missing: {key: part(scope, missing) if part else value[key] for key, part in parts.items()}
    if isinstance(value, list | tuple):
        items = [compile_template(item, check) for item in value]
        if not any(items):
            return None
        return lambda scope, lost: [part(scope, lost) if part else one for part, one in zip(items, value, strict=True)]
    return None


def _compile_text(text: str, check: Callable[[tuple[str, ...]], None]) -> Rendered | None:
    if "${" not in text:
        return None
    segments: list[str | tuple[str, ...]] = []
    end = 0
    for hole in _HOLE.finditer(text):
        segments.append(text[end : hole.start()])
        segments.append("${" if hole[1] is None else _path(hole, check))
        end = hole.end()
    segments.append(text[end:])

    def render(scope: Scope, missing: Missing) -> str:
        out = ""
        for segment in segments:
            out += segment if isinstance(segment, str) else _fill(segment, scope, missing)
            if len(out) > MAX_OUTPUT:
                missing(f"the text was cut at {MAX_OUTPUT} characters")
                return out[:MAX_OUTPUT]
        return out

    return render


def _path(hole: re.Match[str], check: Callable[[tuple[str, ...]], None]) -> tuple[str, ...]:
    if not hole[0].endswith("}"):
        raise TemplateError(f"'{hole[0][:40]}' has no closing brace; write $${{ for a literal ${{")
    if not _PATH.fullmatch(hole[1]):
        raise TemplateError(f"'{hole[0][:80]}' is no path; write names joined by dots, or $${{ for a literal ${{")
    path = tuple(hole[1].split("."))
    check(path)
    return path


def _fill(path: tuple[str, ...], scope: Scope, missing: Missing) -> str:
    value = lookup(scope, path)
    if value is None:
        missing(f"${{{'.'.join(path)}}} is empty: there is nothing at that path")
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def lookup(value: Json, path: Iterable[str]) -> Json:
    """Follow a path through mappings and lists; None where it leads nowhere."""
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list | tuple) and (number := whole_number(name)) is not None:
            value = value[number] if number < len(value) else None
        else:
            return None
    return value


#: What a reply's templates can name, and the names below `request`.
ROOTS = ("request", "vars", "state", "n", "now", "uuid")
REQUEST_NAMES = (
    "last_user", "system", "model", "operation", "provider", "session", "method", "path", "stream",
    "turn", "step", "headers", "body", "tools",
)  # fmt: skip


def reply_path_check(variables: Mapping[str, Json]) -> Callable[[tuple[str, ...]], None]:
    """Return a check of paths in a reply, as far as they can be seen before a request is there."""

    def check(path: tuple[str, ...]) -> None:
        root, rest = path[0], path[1:]
        if root not in ROOTS:
            raise TemplateError(f"${{{'.'.join(path)}}}: nothing is called '{root}'; {nearest(root, ROOTS)}")
        if root == "request" and rest[:1] and rest[0] not in REQUEST_NAMES:
            hint = nearest(rest[0], REQUEST_NAMES)
            raise TemplateError(f"${{{'.'.join(path)}}}: a request has no '{rest[0]}'; {hint}")
        if root == "vars" and lookup(variables, rest) is None:
            hint = nearest(".".join(rest), variables)
            raise TemplateError(f"${{{'.'.join(path)}}}: vars has no '{'.'.join(rest)}'; {hint}")
        if root in ("request", "vars") and not rest:
            raise TemplateError(f"${{{root}}} is a mapping; name one of its fields")
        if root not in ("request", "vars") and rest:
            raise TemplateError(f"${{{'.'.join(path)}}}: '{root}' has no fields")

    return check
