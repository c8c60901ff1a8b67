"""Echoes: the secrets of a request, looked for wherever else they stand, in whatever encoding they were repeated."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Collection
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import orjson

from emulator.core.errors import Json
from emulator.core.secrets.redaction import redact_json
from emulator.core.secrets.texts import Show, is_suspect, redact, redact_text, unpacked
from emulator.core.tree import change_texts

#: A shorter secret may be a word, or a part of one; a longer one, and more than so many, nobody looks for.
SHORTEST, LONGEST, MOST = 8, 5_000, 100
#: The longest secret that is found with only some of its characters escaped.
_LONGEST_MIXED = 200
#: What has letters alone, such as `anything`, may be a word up to this length.
_WORDLIKE = re.compile("[A-Z]?[a-z]*|[A-Z]*")
_LONGEST_WORD = 15
#: The shortest piece of base64 or of hexadecimal digits that gives a secret away.
_SHORTEST_CODED = 8
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\/|&(?:#|\w{2,4};)")
_JSON_ESCAPE = re.compile(r"\\{1,8}(?:u([0-9a-fA-F]{4})|([\"/\\]))")
_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


def noting(found: set[str]) -> Show:
    """Return a `show` that redacts, and notes each secret that it was given."""

    def show(secret: str) -> str:
        shown = redact(secret)
        if shown != secret:  # it was not redacted before
            found.add(secret)
        return shown

    return show


def telling(secrets: Collection[str]) -> Collection[str]:
    """Return secrets and their parts, such as each cookie, or the password of Basic; not what may be a word."""
    found = {part for secret in secrets if len(secret) <= LONGEST for part in _parts(secret)}
    return sorted(found, key=lambda part: (-len(part), part))[:MOST]


@functools.lru_cache(maxsize=256)
def _parts(secret: str) -> Collection[str]:
    pair = unpacked(secret, strict=True)
    pair = pair if ":" in pair else ""  # NAME:PASSWORD
    parts = {secret, pair, *(unquote_plus(text.partition(":")[2]) for text in (pair, secret)), unquote_plus(secret)}
    parts |= {part.strip("\"'") for part in re.split(r"[\s;,=]+", secret)}
    words = {part for part in parts if len(part) <= _LONGEST_WORD and _WORDLIKE.fullmatch(part)}
    return [part for part in parts - words if len(part) >= SHORTEST]


def without(value: Json, secrets: Collection[str]) -> Json:
    """Return data in which these secrets, and what it holds itself, are redacted, wherever they stand."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # what cannot be written is looked at
        return changed(redact_json(value), secrets)
    return changed(redact_json(value, by_value=is_suspect(text)), held(text, secrets))


def held(text: str, secrets: Collection[str]) -> Collection[str]:
    """Return the secrets that a text holds, as they are or in an encoding."""
    return [secret for secret in secrets if holds(text, secret)]


def changed(value: Json, secrets: Collection[str], show: Show = redact) -> Json:
    """Return data in which secrets that it holds are redacted."""

    def clean(text: str) -> str:
        for secret in secrets:
            text = replaced(text, secret, functools.partial(show, secret))
        return text

    return change_texts(value, clean, names=True) if secrets else value


_PIECE = re.compile(
    r'(?<=")(content|text|arguments|refusal|partial_json|thinking|reasoning\w*|delta)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)


def across_events(text: str, secrets: Collection[str]) -> str:
    """Return the text of a stream without the secrets that are spread over its events.

    Where there is one the first of those events says all of them, and the others nothing.
    """
    groups: dict[str, list[re.Match[str]]] = {}
    for found in _PIECE.finditer(text):
        groups.setdefault(found[1], []).append(found)
    changes: dict[tuple[int, int], str] = {}
    for group in groups.values():
        joined = "".join([found[2] for found in group])
        clean = changed(redact_text(joined) if is_suspect(joined) else joined, held(joined, secrets))
        if clean != joined:
            changes |= {found.span(2): "" for found in group} | {group[0].span(2): clean}
    for (start, end), clean in sorted(changes.items(), reverse=True):
        text = text[:start] + clean + text[end:]
    return text


def replaced(text: str, secret: str, shown: Callable[[], str], around: str = "") -> str:
    """Return a text with `shown()` for a secret, as it is or in an encoding; `around`: what it is no part of."""
    if secret in text and not around:
        text = text.replace(secret, shown())  # what finds encodings as well takes long to compile
    return finder(secret, around).sub(lambda found: shown(), text) if holds(text, secret) else text


def holds(text: str, secret: str) -> bool:
    """Tell whether a text holds a secret, as it is or in an encoding."""
    if secret in text or any(coded in text for coded in codings(secret)):
        return True
    if "%" not in text and "&" not in text and "\\" not in text:
        return False
    if _ESCAPE.search(text) or "\\" in json.dumps(secret, ensure_ascii=False):
        from html import unescape  # its table of names takes a while to load

        plain = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
        forms = (plain, unquote(plain), unquote(text), unescape(plain), unescape(unquote(plain)))  # it may look escaped
        return any(secret in form or secret in form.replace("+", " ") for form in forms)
    return False


@functools.lru_cache(maxsize=256)
def codings(secret: str) -> Collection[str]:
    """Return a secret in base64, of whatever it is a part of, and in hexadecimal digits."""
    data = secret.encode(errors="replace")
    found = {data.hex(), data.hex().upper()}
    for offset in range(3):  # in base64 three bytes are four characters
        whole = base64.b64encode(bytes(offset) + data).decode()
        own = whole[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]  # what other bytes have no part in
        found |= {own, own.translate(str.maketrans("+/", "-_"))}
    return [coded for coded in found if len(coded) >= _SHORTEST_CODED]


@functools.lru_cache(maxsize=256)
def finder(secret: str, around: str = "") -> re.Pattern[str]:
    """Return what finds a secret in a text, each character as it is or escaped; `around`: what it is no part of."""
    plain = _escaped(secret) if len(secret) > _LONGEST_MIXED else "".join(map(_character, secret))
    if around:
        plain = f"(?<!{around}){plain}(?!{around})"
    return re.compile("|".join([plain, *map(re.escape, sorted(codings(secret), key=len, reverse=True))]))


def _escaped(secret: str) -> str:
    """Return what finds a long secret as it is, or as URLs, JSON and HTML escape the whole."""
    from html import escape

    data = secret.encode(errors="replace")
    in_json = json.dumps(secret)[1:-1]
    forms = [secret, quote(data, safe=""), quote_plus(data), in_json, in_json.replace("/", r"\/"), escape(secret)]
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys(forms)))})"


def _character(char: str) -> str:
    """Return what finds a character as it is, and as URLs, JSON and HTML escape it."""
    code = ord(char)
    units = char.encode("utf-16-be", "surrogatepass")
    json = "".join(rf"\\{{1,8}}u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))
    percent = "".join(f"%{byte:02x}" for byte in char.encode(errors="replace"))
    forms = [re.escape(char), f"(?i:{percent}|{json}|&#x0*{code:x};?)", f"&#0*{code};?"]
    forms += [f"&{_NAMED[char]};"] if char in _NAMED else []
    forms += [rf"\\{{1,8}}{re.escape(char)}"] if char in '"/\\' else []
    forms += [r"\+"] if char == " " else []
    return f"(?:{'|'.join(forms)})"
