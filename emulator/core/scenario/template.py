"""Templates: `${path}` only; `$${` is a literal `${`. Names: letters, digits, `_`, `-`; list items by number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import orjson

from emulator.core.durations import whole_number
from emulator.core.errors import Json, nearest
from emulator.core.secrets.texts import is_secret
from emulator.core.tree import change_texts
from emulator.core.values import Call
from emulator.core.wires.request.conversation import last_text, system_text

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
    texts: dict[str, Rendered] = {}

    def compile_each(text: str) -> str:
        if "${" in text:
            texts[text] = _compile_text(text, check)
        return text

    def render(scope: Scope, missing: Missing) -> Json:
        return change_texts(value, lambda text: texts[text](scope, missing) if text in texts else text)

    change_texts(value, compile_each)
    return render if texts else None


def _compile_text(text: str, check: Callable[[tuple[str, ...]], None]) -> Rendered:
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


def _said_by(role: str) -> Callable[[Call], Json]:
    """Return what counts the messages of a role."""
    return lambda call: sum([message.role == role for message in call.messages])


#: What a reply's templates can name.
ROOTS = ("request", "vars", "state", "n", "now", "uuid")
#: What they can name below `request`; headers that hold secrets are left out.
REQUEST: Mapping[str, Callable[[Call], Json]] = {
    "last_user": lambda call: last_text(call.messages, "user"),
    "system": lambda call: system_text(call.messages),
    "model": lambda call: call.model,
    "operation": lambda call: call.operation,
    "provider": lambda call: call.request.provider,
    "session": lambda call: call.request.session,
    "method": lambda call: call.request.method,
    "path": lambda call: call.request.path,
    "stream": lambda call: call.stream,
    "turn": _said_by("user"),
    "step": _said_by("assistant"),
    "headers": lambda call: {name: text for name, text in call.request.headers.items() if not is_secret(name)},
    "body": lambda call: call.body,
    "tools": lambda call: list(call.tools),
}


def reply_path_check(variables: Mapping[str, Json]) -> Callable[[tuple[str, ...]], None]:
    """Return a check of paths in a reply, as far as they can be seen before a request is there."""

    def check(path: tuple[str, ...]) -> None:
        root, rest = path[0], path[1:]
        if root not in ROOTS:
            raise TemplateError(f"${{{'.'.join(path)}}}: nothing is called '{root}'; {nearest(root, ROOTS)}")
        if root == "request" and rest[:1] and rest[0] not in REQUEST:
            hint = nearest(rest[0], REQUEST)
            raise TemplateError(f"${{{'.'.join(path)}}}: a request has no '{rest[0]}'; {hint}")
        if root == "vars" and lookup(variables, rest) is None:
            hint = nearest(".".join(rest), variables)
            raise TemplateError(f"${{{'.'.join(path)}}}: vars has no '{'.'.join(rest)}'; {hint}")
        if root in ("request", "vars") and not rest:
            raise TemplateError(f"${{{root}}} is a mapping; name one of its fields")
        if root not in ("request", "vars") and rest:
            raise TemplateError(f"${{{'.'.join(path)}}}: '{root}' has no fields")

    return check
