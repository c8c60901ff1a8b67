"""What a secret is by its name, and what stands in its place: a header, a parameter of a query, a field of JSON."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, TypeAlias

#: Returns what is shown in the place of a secret: `redact`, or one that notes it too (see `repeated_secrets`).
Show: TypeAlias = Callable[[str], str]
Kind: TypeAlias = Literal["header", "query", "field"]

_REDACTED = re.compile("(?s).{0,3}…[0-9a-f]{6}")
_SCHEMES = {"basic", "bearer", "digest"}  # another first word may be a part of the secret
_NAME_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LONGEST_NAME = 200
#: Words behind the one that counts: a password_hash is a secret too.
_ASIDE = ("value", "hash", "confirmation")
_SECRETS = ("secret", "secrets", "password", "passwords", "passwd", "passphrase", "passcode", "pwd", "jwt",
            "credential", "credentials", "authorization")  # fmt: skip
#: Those of HTTP beside them: words of ordinary fields, but not of ordinary headers and queries.
_OF_HTTP = ("auth", "authentication", "signature", "sig", "cookie", "otp", "csrf", "xsrf")
_GLUED = ("apikey", "secretkey", "privatekey", "accesskey", "secret", "password", "passwd")
_PARAMETERS = {"code", "pass", "pw", "sid", "sessionid", "phpsessid", "jsessionid"}
#: Keys that open nothing, and tokens that are pieces of text or places in a list.
_OPEN_KEYS = {"idempotency", "cache", "sort", "primary", "public", "foreign", "partition", "surrogate", "routing"}
_OPEN_TOKENS = {"next", "previous", "page", "continuation", "stop", "start", "end", "eos", "bos", "pad", "unk", "mask",
                "sep", "cls", "max", "min", "per", "special"}  # fmt: skip
#: Whose keys are secrets in a field: `key` alone is an ordinary word there.
_FIELD_KEYS = {"api", "access", "private", "secret", "subscription", "account", "master", "auth", "encryption",
               "signing", "admin", "service", "storage", "shared", "client", "functions"}  # fmt: skip


def redact(key: str | None) -> str:
    """Show that a key is the same as another without showing it: its prefix and a digest."""
    if not key or _REDACTED.fullmatch(key):
        return key or ""
    prefix = key[:3] if len(key) > 12 else ""
    return f"{prefix}…{blake2b(key.encode(errors='replace'), digest_size=3).hexdigest()}"


def literals(text: str) -> list[str]:
    """Return what a text with redacted parts surely says: the parts between them."""
    parts = re.split("…[0-9a-f]{6}", text)
    return [part for part in (*(part[:-3] for part in parts[:-1]), parts[-1]) if part]


def is_redacted(text: str) -> bool:
    """Tell whether something in a text was redacted."""
    return re.search("…[0-9a-f]{6}", text) is not None


def redact_value(value: str, show: Show) -> str:
    """Return what is shown of a whole value that is a secret: of credentials the scheme too."""
    scheme, space, rest = value.partition(" ")
    return f"{scheme} {show(rest)}" if space and scheme.lower() in _SCHEMES else show(value)


def is_secret(name: str, kind: Kind = "header") -> bool:
    """Tell whether the name of a header, of a parameter or of a field says that it holds a secret."""
    return _is_secret(name, kind) if len(name) <= _LONGEST_NAME else _names_secret(name, kind)


def _names_secret(name: str, kind: Kind) -> bool:
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words:
        return False
    while words[-1] in _ASIDE and len(words) > 1:
        words.pop()
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in ("key", "keys"):
        return before in _FIELD_KEYS if kind == "field" else before not in _OPEN_KEYS
    if last.endswith("token"):
        return before not in _OPEN_TOKENS
    if kind == "field":
        return last in _SECRETS or last == "auth" or last.removesuffix("s").endswith(_GLUED)
    if kind == "query" and name.lower() in _PARAMETERS:
        return True
    return any(word in _SECRETS or word in _OF_HTTP or word.endswith(_GLUED) for word in words)


_is_secret = functools.lru_cache(maxsize=4096)(_names_secret)  # the same names come with every request
