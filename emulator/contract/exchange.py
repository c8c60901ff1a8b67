"""How an exchange is shown in a report: without the key, within a size, and as a command to repeat it."""

from __future__ import annotations

import shlex

from emulator.contract.bodies import parse_json
from emulator.contract.client import Answer, Sent
from emulator.core.errors import Json
from emulator.core.secrets.redaction import redact_header, redact_json
from emulator.core.secrets.repeated import codings, replaced
from emulator.core.secrets.texts import redact
from emulator.core.tree import change_texts

SHOWN_CHARACTERS = 4_000
CURL_CHARACTERS = 20_000
_KEY = "$API_KEY"
#: A part of the key this long gives it away, where a text was cut.
_TELLING = 6
#: A shorter key may be a part of other words, and is only found where it stands alone.
_LONG_KEY = 12
#: How many characters may stand for one, as `&#x006b;` does.
_LONGEST_ESCAPE = 8
#: Not sent by whoever repeats a request: curl makes them itself.
_OF_HTTP = {"host", "content-length", "accept", "accept-encoding", "user-agent", "connection"}


def scrub(text: str, key: str) -> str:
    """Return a text in which the key is `$API_KEY`, in whatever encoding, also where the text ends within it."""
    if not key:
        return text
    text = replaced(text, key, lambda: _KEY, "[A-Za-z0-9]" if len(key) < _LONG_KEY else "")
    end = text.rstrip("…")
    for told in (key, *codings(key)):
        if told[:_TELLING] not in end[-len(told) :]:
            continue
        for size in range(len(told) - 1, _TELLING - 1, -1):
            if end.endswith(told[:size]):
                return f"{end[:-size]}{_KEY}"
    return text


def scrub_json(value: Json, key: str) -> Json:
    """Return JSON in whose names and strings the key is `$API_KEY`."""
    return change_texts(value, lambda text: scrub(text, key), names=True)


def request_json(sent: Sent, key: str) -> dict[str, Json]:
    """Return a request as a report shows it."""
    headers = {name: scrub(value, key) for name, value in sent.headers}
    return {"method": sent.method, "url": scrub(sent.url, key), "headers": headers, "body": _shown(sent.body, key)}


def answer_json(answer: Answer, key: str) -> dict[str, Json]:
    """Return an answer as a report shows it: without any secrets, the target's own too."""
    headers = {scrub(name, key): _header(name, scrub(value, key)) for name, value in answer.headers}
    body = hidden_json(_shown(answer.body, key))
    return {"status": answer.status, "headers": headers, "body": body, "ended": answer.ended}


def hidden_json(value: Json) -> Json:
    """Return what a target said without its secrets."""
    return redact_json(value, lambda secret: secret if _KEY in secret else redact(secret))


def _header(name: str, value: str) -> str:
    return value if value.rpartition(" ")[2] == _KEY else redact_header(name, value)


def _shown(body: bytes, key: str) -> Json:
    value = parse_json(body) if len(body) <= SHOWN_CHARACTERS else None
    if value is not None:
        return scrub_json(value, key)
    room = SHOWN_CHARACTERS + _LONGEST_ESCAPE * len(key.encode())
    text = scrub(body[:room].decode("utf-8", "replace"), key)
    end = SHOWN_CHARACTERS if len(body) <= room else min(SHOWN_CHARACTERS, len(text) - _LONGEST_ESCAPE * len(key))
    return text[:end]


def curl_line(sent: Sent, key: str) -> str:
    """Return a shell command that sends a request again; `$API_KEY` is expanded by the shell."""
    parts = ["curl", "-i", "-X", sent.method, _quoted(scrub(sent.url, key))]
    for name, value in sent.headers:
        if name not in _OF_HTTP:
            parts += ["-H", _quoted(scrub(f"{name.title()}: {value}", key))]
    if sent.body:
        parts += ["--data-binary", _body(sent.body, key)]
    return " ".join(parts)


def _quoted(text: str) -> str:
    """Quote a URL or a header for a shell; one with the key in double quotes, within which the shell fills it in."""
    if _KEY not in text:
        return shlex.quote(text)
    kept = "".join(f"\\{char}" if char in '"\\`$' else char for char in text.replace(_KEY, "\0"))
    return f'"{kept}"'.replace("\0", _KEY)


def _body(body: bytes, key: str) -> str:
    if len(body) > CURL_CHARACTERS:
        return f"@body.json  # a body of {len(body)} bytes"
    return shlex.quote(scrub(body.decode("utf-8", "backslashreplace"), key))
