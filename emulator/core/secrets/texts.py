"""What a secret is, and what stands in its place: by the name of a header, a parameter or a field, or in a text.

In a text it is what looks like a credential, or stands in JSON or in a query by a name that says so.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Literal, TypeAlias
from urllib.parse import unquote_plus

#: Returns what is shown in the place of a secret: `redact`, or one that notes it too (see `repeated`).
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


# Secrets in a text


#: What a header's value has that holds a secret, beside what other texts have.
_OF_HEADERS = re.compile("(?i)(?:bearer|basic|digest) ")
#: A name or password of a URL that stands alone is a secret if it is no short word, as in ssh://git@example.com.
_LONG_USER = 16
#: Where a parameter begins: a `;` parts them too, and inside of one there may be another, escaped target.
_PARAMETER = re.compile(r"(?:^|[;?&])([^;?&=]*)=")
_TOKEN = "[A-Za-z0-9._~+/=-]"


def _key_like(prefix: str, rest: str) -> str:
    """Return what finds a key by how it begins: not inside of a word, but behind an escape of JSON or of a URL."""
    before = ("(?<![A-Za-z0-9]", r"(?<=\\[nrtbf]", r"(?<=\\u[0-9a-fA-F]{4}", "(?<=%[0-9a-fA-F]{2}")
    return f"{prefix}(?:{'|'.join(f'{behind}{prefix})' for behind in before)}){rest}"


_Replace: TypeAlias = Callable[[re.Match[str], Show], str]


def _key(found: re.Match[str], show: Show) -> str:
    return show(found[0])


def _credentials(found: re.Match[str], show: Show) -> str:
    """Hide what stands behind Bearer, and behind Basic if it is a name and a password: it is a word as well."""
    if found[1][:5].lower() == "basic" and ":" not in unpacked(found[2]):
        return found[0]
    return found[1] + show(found[2])


def _user(found: re.Match[str], show: Show) -> str:
    return f"{found[1]}{show(found[2])}@" if ":" in found[2] or len(found[2]) >= _LONG_USER else found[0]


def in_url(found: re.Match[str], show: Show) -> str:
    return found[1] + parameter(found[2], show)


def _in_json(found: re.Match[str], show: Show) -> str:
    after = found.string[found.end() : found.end() + 30]
    if not is_secret(found["name"], "field") or _PIECE.match(after):
        return found[0]
    if found["number"]:
        return found[0] if found["name"].lower().endswith("token") else f"{found['before']}{show(found['number'])}"
    value = redact_value(_as_read(found["value"], found["quote"]), show)
    return f"{found['before']}{found['quote']}{value}{found['end']}"


def _as_read(value: str, quote: str) -> str:
    """Return a string of JSON without its escapes; JSON in a string of JSON is escaped once more."""
    with suppress(ValueError):
        for _ in range(len(quote).bit_length()):
            value = json.loads(f'"{value}"', strict=False)
    return value


_PIECE = re.compile(r"""\s*,\s*\\{0,7}["'](?:logprob|bytes)""")  # the token before is a piece of an answer
_NAMES = ("key", "token", "secret", "password", "passwd", "passphrase", "passcode", "pwd", "auth", "authorization",
          "credential", "credentials", "jwt")  # fmt: skip
_IN_JSON = (
    rf"""(?si)(?P<before>(?P<quote>\\{{0,7}}["'])(?P<name>[\w.-]{{0,50}}(?:{"|".join(_NAMES)}))(?P=quote)\s*:\s*)"""
    r"""(?:(?P=quote)(?P<value>.*?)(?P<end>(?<!\\)(?P=quote)|\Z)|(?P<number>-?\d[\d.eE+-]*))"""
)
IN_URL = r"([?&;])([^?&;=\s\"'<>\\]{1,80}=[^&;\s\"'<>#\\]*)"
_BLOCK = r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_BEARER = rf"(?i)(\b(?:bearer|basic) +)((?={_TOKEN}*[0-9]){_TOKEN}{{8,}}|{_TOKEN}{{24,}})"
#: What a text must have for a regular expression to find anything, and what stands in the place of what it finds. None
#: is compiled before it is needed; repetitions are bounded where a search may begin anew inside of them.
_VALUES: tuple[tuple[tuple[str, ...], str, _Replace], ...] = (
    (("PRIVATE KEY-----",), _BLOCK, _key),
    (("earer ", "EARER ", "asic "), _BEARER, _credentials),
    (("sk-",), _key_like("sk-", r"(?:(?=[\w-]{0,99}[0-9])[\w-]{10,}|(?=[\w-]{0,99}[A-Z])[\w-]{16,})"), _key),
    (("eyJ",), _key_like("eyJ", r"[\w-]{8,600}\.[\w-]{4,}(?:\.[\w-]*)+"), _key),
    (("AKIA", "ASIA"), _key_like("A[KS]IA", "[0-9A-Z]{12,}"), _key),
    (("ghp_", "gho_", "ghs_"), _key_like("gh[pos]_", r"\w{16,}"), _key),
    (("github_pat_",), _key_like("github_pat_", r"\w{16,}"), _key),
    (("glpat-",), _key_like("glpat-", r"[\w-]{10,}"), _key),
    (("xox",), _key_like("xox[a-z]-", r"[\w-]{10,}"), _key),
    (("AIza",), _key_like("AIza", r"[\w-]{30,}"), _key),
    (("://", r":\/"), r"(:\\?/\\?/)([^\s/?#\"'<>\\]+)@", _user),
    (("://", r":\/"), IN_URL, in_url),
)
#: What finds whether there is anything, or an escape behind which there may be: each begins with a rare character, to
#: which a search leaps.
_SUSPECT = tuple(
    map(
        re.compile,
        (r"-(?:(?<=sk-)|(?<=glpat-)|(?<=xox[a-z]-)|(?<=KEY-)----)", "_(?:(?<=gh[pos]_)|(?<=github_pat_))", "J(?<=eyJ)",
         "A(?:[KS]IA|Iza)", "/(?<=:/)/", r'\\(?:" ?:|u00|/)', "B(?:earer |EARER |asic )", "bearer "),
    )
)  # fmt: skip
_NAME_PARTS = ("key", "token", "secret", "pass", "pwd", "auth", "credential", "jwt")


def redact_text(text: str, show: Show = redact, by_value: bool = True) -> str:
    """Return a text without what looks like a credential: by its value, or as a field of JSON in it by its name."""
    for marks, pattern, replace in _VALUES if by_value else ():
        if any(mark in text for mark in marks):
            text = re.sub(pattern, functools.partial(_replaced, replace, show), text)
    lowered = text.lower() if ":" in text else ""
    if any(part in lowered for part in _NAME_PARTS):
        text = re.sub(_IN_JSON, functools.partial(_replaced, _in_json, show), text)
    return text


def _replaced(replace: _Replace, show: Show, found: re.Match[str]) -> str:
    return replace(found, show)


def is_suspect(text: str, headers: Sequence[str] = ()) -> bool:
    """Tell whether some part of a text, or of the values of headers, may have to be hidden for its value."""
    values = "\n".join(headers)
    whole = f"{text}\n{values}"
    return (
        any(pattern.search(whole) for pattern in _SUSPECT)
        or "@" in values
        or "?" in values
        or _OF_HEADERS.search(values) is not None
    )


def parameter(part: str, show: Show) -> str:
    for found in _PARAMETER.finditer(part) if "=" in part else ():
        if is_secret(unquote_plus(found[1]), "query"):
            value = part[found.end() :]
            show(value)  # as it was sent, for whoever notes secrets
            return f"{part[: found.end()]}{show(unquote_plus(value))}"
    return part


def unpacked(text: str, strict: bool = False) -> str:
    """Return what base64 holds; nothing where it is none, or `strict` has other characters."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=strict).decode()
    except ValueError:
        return ""
