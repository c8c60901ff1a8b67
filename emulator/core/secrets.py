"""Redaction: what may be shown of a key or a header that holds one."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "api-key", "x-api-key", "openai-api-key"}
)
_SCHEMES = {"basic", "bearer", "digest"}  # another first word may be a part of the secret


def redact(key: str | None) -> str:
    """Show that a key is the same as another without showing it: its prefix and a digest."""
    if not key:
        return ""
    prefix = key[:3] if len(key) > 12 else ""
    return f"{prefix}…{blake2b(key.encode(errors='replace'), digest_size=3).hexdigest()}"


def redact_header(name: str, value: str) -> str:
    """Return a header's value, redacted where the name says that it is a secret."""
    if name.lower() not in SECRET_HEADERS:
        return value
    scheme, space, rest = value.partition(" ")
    return f"{scheme} {redact(rest)}" if space and scheme.lower() in _SCHEMES else redact(value)


def redact_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name, secrets redacted."""
    return {name: redact_header(name, value) for name, value in headers}
