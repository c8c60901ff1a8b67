"""Redaction: what may be shown of a request and its answer. Whatever shows or writes them goes through here.

A secret is found by its name (a header, a parameter of a query, a field of JSON) and by its value (what looks like a
credential, in any text). Each function takes `show`, which returns what stands in a secret's place: `redact`, or one
that notes it too, so that it can be looked for elsewhere (see `repeated_secrets`).
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Literal, TypeAlias
from urllib.parse import unquote_plus

from emulator.core.errors import Json
from emulator.core.tree import change_texts

#: Returns what is shown in the place of a secret.
Show: TypeAlias = Callable[[str], str]
Kind: TypeAlias = Literal["header", "query", "field"]

_REDACTED = re.compile("(?s).{0,3}…[0-9a-f]{6}")
_SCHEMES = {"basic", "bearer", "digest"}  # another first word may be a part of the secret
_CREDENTIALS = re.compile("(?i)(bearer) +(.+)|(basic|digest) +(.{8,})")
#: What a header's value has that holds a secret, beside what other texts have.
_OF_HEADERS = re.compile("(?i)(?:bearer|basic|digest) ")
#: A name or password of a URL that stands alone is a secret if it is no short word, as in ssh://git@example.com.
_LONG_USER = 16


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


# Names

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


# Headers and queries


def redact_header(name: str, value: str, show: Show = redact) -> str:
    """Return a header's value without its secrets."""
    if is_secret(name):
        return _redact_value(value, show)
    name = name.lower()
    if not name.endswith("-authenticate") and (found := _CREDENTIALS.fullmatch(value)):
        return f"{found[1] or found[3]} {show(found[2] or found[4])}"
    if name == "host" and "@" in value:
        user, _, host = value.rpartition("@")
        return f"{show(user)}@{host}"
    return re.sub(_IN_URL, lambda found: _in_url(found, show), redact_text(value, show))


def redact_headers(headers: Iterable[tuple[str, str]], show: Show = redact, by_value: bool = True) -> dict[str, str]:
    """Return headers by name, without their secrets; without `by_value` it is known that only names tell of any."""
    if by_value:
        return {name: redact_header(name, value, show) for name, value in headers}
    return {name: _redact_value(value, show) if is_secret(name) else value for name, value in headers}


def plain_values(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the values of those headers whose name tells of no secret."""
    return [value for name, value in headers if not is_secret(name)]


def _redact_value(value: str, show: Show) -> str:
    """Return what is shown of a whole value that is a secret: of credentials the scheme too."""
    scheme, space, rest = value.partition(" ")
    return f"{scheme} {show(rest)}" if space and scheme.lower() in _SCHEMES else show(value)


#: Where a parameter begins: a `;` parts them too, and inside of one there may be another, escaped target.
_PARAMETER = re.compile(r"(?:^|[;?&])([^;?&=]*)=")
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
        clean = redact_text(mark.join([_parameter(part, show) for part in parts]), show)
        if clean != read:
            shown, parts = clean, clean.split(mark)
        if "%" not in clean and "+" not in clean:
            break
        parts = [unquote_plus(part) for part in parts]
    return shown


def _parameter(part: str, show: Show) -> str:
    for found in _PARAMETER.finditer(part) if "=" in part else ():
        if is_secret(unquote_plus(found[1]), "query"):
            value = part[found.end() :]
            show(value)  # as it was sent, for whoever notes secrets
            return f"{part[: found.end()]}{show(unquote_plus(value))}"
    return part


# Texts

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
    if found[1][:5].lower() == "basic" and ":" not in _unpacked(found[2]):
        return found[0]
    return found[1] + show(found[2])


def _user(found: re.Match[str], show: Show) -> str:
    return f"{found[1]}{show(found[2])}@" if ":" in found[2] or len(found[2]) >= _LONG_USER else found[0]


def _in_url(found: re.Match[str], show: Show) -> str:
    return found[1] + _parameter(found[2], show)


def _in_json(found: re.Match[str], show: Show) -> str:
    after = found.string[found.end() : found.end() + 30]
    if not is_secret(found["name"], "field") or _PIECE.match(after):
        return found[0]
    if found["number"]:
        return found[0] if found["name"].lower().endswith("token") else f"{found['before']}{show(found['number'])}"
    value = _redact_value(_as_read(found["value"], found["quote"]), show)
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
_IN_URL = r"([?&;])([^?&;=\s\"'<>\\]{1,80}=[^&;\s\"'<>#\\]*)"
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
    (("://", r":\/"), _IN_URL, _in_url),
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


def redact_form(text: str, show: Show = redact) -> str:
    """Return the text of a body that is no JSON without its secrets; it may be a form."""
    is_form = "=" in text and re.search(r"[\s{}\[\]\"<>]", text) is None
    return redact_query(text, show) if is_form else redact_text(text, show)


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
        return _redact_value(value, show) if secret else redact_text(value, show)
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
        return _hidden(
            value, show, "header" if name.lower().endswith("headers") else "field", False, name in _OF_SCHEMAS
        )
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


def _unpacked(text: str) -> str:
    """Return what base64 holds; nothing where it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""
