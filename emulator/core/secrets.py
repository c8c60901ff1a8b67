"""Redaction: what may be shown of a key or a header that holds one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from urllib.parse import unquote_plus

from emulator.core.errors import Json
from emulator.core.tree import change_texts
from emulator.core.wire import Request

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "api-key", "x-api-key", "openai-api-key"}
)
_SCHEMES = {"basic", "bearer", "digest"}  # another first word may be a part of the secret

_SECRET_NAME = re.compile(r"(?i)api-?key|token|secret|password|(^|[-_])key$|^(x-)?auth($|[-_])|^authentication")
#: Headers of limits count tokens of another kind, and an Idempotency-Key opens nothing.
_NO_SECRET = re.compile("(?i)rate-?limit|^idempotency-key$")
_SECRET_PARAMETER = re.compile(r"(?i)\b([a-z_-]*(?:key|token|secret|password))=([^&]*)")


def redact(key: str | None) -> str:
    """Show that a key is the same as another without showing it: its prefix and a digest."""
    if not key:
        return ""
    prefix = key[:3] if len(key) > 12 else ""
    return f"{prefix}…{blake2b(key.encode(errors='replace'), digest_size=3).hexdigest()}"


def is_secret(name: str) -> bool:
    """Tell whether a header's name says that it holds a secret."""
    return name.lower() in SECRET_HEADERS or (_SECRET_NAME.search(name) is not None and _NO_SECRET.search(name) is None)


def redact_header(name: str, value: str) -> str:
    """Return a header's value, redacted where the name says that it is a secret."""
    if not is_secret(name):
        return redact_query(value) if name.lower() == "referer" else value
    scheme, space, rest = value.partition(" ")
    return f"{scheme} {redact(rest)}" if space and scheme.lower() in _SCHEMES else redact(value)


def redact_query(query: str) -> str:
    """Return a query string, the values of parameters that hold secrets redacted."""
    return _SECRET_PARAMETER.sub(lambda found: f"{found[1]}={redact(found[2])}", query)


def secrets_in_query(query: str) -> set[str]:
    """Return the values that `redact_query` redacts, as they were sent and as they are read."""
    sent = {found[2] for found in _SECRET_PARAMETER.finditer(query)}
    return sent | set(map(unquote_plus, sent))


def redact_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name, secrets redacted."""
    return {name: redact_header(name, value) for name, value in headers}


def secrets_of(request: Request, shortest: int = 8) -> Collection[str]:
    """Return the secrets that came with a request, long enough to be told from words."""
    found: set[str] = set()
    for name, value in request.headers.items():
        if is_secret(name):
            found |= {value, *re.split(r"[\s;,=]+", value)}
    found |= secrets_in_query(request.query)
    return {item for item in found if len(item) >= shortest and item.lower() not in ("bearer",)}


def without(value: Json, secrets: Collection[str]) -> Json:
    """Return data in which secrets are redacted, wherever they stand."""

    def cleaned(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, redact(secret))
        return text

    return change_texts(value, cleaned) if secrets else value
