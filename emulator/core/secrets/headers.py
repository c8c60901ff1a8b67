"""What may be shown of headers and addresses: secrets by name, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from emulator.core.secrets.names import Show, is_secret, redact, redact_value
from emulator.core.secrets.texts import IN_URL, in_url, parameter, redact_text

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
