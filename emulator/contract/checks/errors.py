"""Checks of errors: their status, their envelope, and the headers that every answer has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulator.contract.case_client import CaseClient, Changes, shown_changes
from emulator.contract.client import Answer
from emulator.contract.expectations import OF_FACT, accepted, conform, equal, hold, pick
from emulator.contract.target import NotArranged
from emulator.core.errors import Json

UNKNOWN_PATH = "/chat/completion"


@dataclass(frozen=True, slots=True)
class Situation:
    """A way to get an answer: in words, the error it should get (empty: none), and how it comes about."""

    what: str
    error: str
    meet: Callable[[CaseClient], Answer]


def situation(name: str) -> Situation:
    """Return one of SITUATIONS, or of an error's name the one that it is arranged in."""
    return SITUATIONS.get(name) or Situation(name, name, lambda client: _arranged(client, name))


def met(client: CaseClient, on: Sequence[str]) -> Iterator[tuple[Answer, str]]:
    """Yield the answer in each situation, and the situation in words."""
    for now in map(situation, on):
        yield now.meet(client), now.what


def _arranged(client: CaseClient, error: str) -> Answer:
    client.session.answer({"error": error})
    return client.chat()


def errors(
    client: CaseClient, *, on: Sequence[str], schema: Json = True, per: Mapping[str, Json] | None = None
) -> None:
    """In each situation the error has its status and a body of this shape, and of the one in `per`.

    What cannot be arranged is left out, as long as something is seen.
    """
    unseen: list[NotArranged] = []
    for name in on:
        now = situation(name)
        try:
            answer = _refused(client, name)
        except NotArranged as reason:
            unseen.append(reason)
            continue
        _envelope(answer, schema, now.what)
        conform(answer, answer.json, (per or {}).get(name, True), f"the error of {now.what}:")
    if len(unseen) == len(on):
        raise unseen[0]


def _refused(client: CaseClient, name: str) -> Answer:
    """Meet a situation, and demand that it is refused. Raises: Differs; NotArranged."""
    now = situation(name)
    return client.refused(now.meet(client), now.error, now.what, client.ask.spoilt if name == "spoilt" else None)


def _envelope(answer: Answer, schema: Json, what: str) -> None:
    equal(answer, f"the error of {what} is JSON", "application/json", answer.media_type, assumed=True, about=what)
    conform(answer, answer.json, schema, f"the error of {what}:")


def scripted(client: CaseClient, *, error: str, schema: Json = True) -> None:
    """An error that strikes has its status and shape, for a stream too, and the next request is answered."""
    client.session.answer({"error": error, "times": 2}, {"text": "Here again."})
    for name in ("whole", "stream"):
        now = SITUATIONS[name]
        answer = client.refused(now.meet(client), error, f"{now.what} while {error} strikes")
        _envelope(answer, schema, now.what)
    accepted(client.chat(), f"a request after {error}")


def names_fields(client: CaseClient, *, at: str, spoilt: Sequence[Changes] = (), missing: Sequence[str] = ()) -> None:
    """A refusal names, at a path of its body, each field that is wrong, and each that is missing."""
    tried = [(client.chat(changes), shown_changes(changes), changes) for changes in spoilt]
    tried += [(client.chat(missing=[name]), shown_changes({}, [name]), {name: None}) for name in missing]
    for answer, what, names in tried:
        client.refused(answer, "invalid_request", what, names)
        found = pick(answer.json, at)
        told = f"the refusal of {what} names each wrong field in {at}"
        hold(answer, told, all(name in found for name in names), list(names), found, about=what)


def mentions(client: CaseClient, *, words: Sequence[str], on: Sequence[str]) -> None:
    """The body of an error has each of these words, wherever it has them."""
    for name in on:
        answer, what = _refused(client, name), situation(name).what
        missing, told = [word for word in words if word not in answer.text], f"the error of {what} says"
        hold(answer, f"{told} {', '.join(words)}", not missing, list(words), answer.text, about=what)


def same_as_header(client: CaseClient, *, header: str, at: str, on: Sequence[str]) -> None:
    """An error's body repeats a header's value."""
    for name in on:
        answer = situation(name).meet(client)
        value = answer.header(header)
        hold(answer, f"{header} is on the answer to {name}", bool(value), "a value", value, about=name)
        equal(answer, f"{at} repeats the header {header}", [value], pick(answer.json, at))


def unknown_path(
    client: CaseClient, *, schema: Json = True, also: Sequence[Mapping[str, str]] = (), texts: Sequence[str] = ()
) -> None:
    """An unknown path gets 404; a known one with another method 405, and Allow names the right method.

    Where these errors are texts and no JSON, `texts` are both.
    """
    for method in ("POST", "GET"):
        answer = client.send(method, UNKNOWN_PATH, b"{}" if method == "POST" else b"")
        client.refused(answer, "unknown_path", f"{method} {UNKNOWN_PATH}")
        _told(answer, schema, texts[:1], "an unknown path")
    wrong = [{"method": method, "path": client.ask.path, "allow": "POST"} for method in ("GET", "DELETE")]
    for item in (*wrong, *also):
        what = f"{item['method']} {item['path']}"
        answer = client.refused(client.send(item["method"], item["path"]), "wrong_method", what)
        allowed = [name.strip() for name in (answer.header("allow") or "").split(",")]
        told = f"the answer to {what} names {item['allow']} in its Allow header"
        hold(answer, told, item["allow"] in allowed, item["allow"], allowed)
        _told(answer, schema, texts[1:], what)


def _told(answer: Answer, schema: Json, texts: Sequence[str], what: str) -> None:
    for text in texts:
        equal(answer, f"the error of {what} is a text", text, answer.text, about=what)
    if not texts:
        _envelope(answer, schema, what)


def empty_errors(client: CaseClient, *, on: Sequence[str], status: int) -> None:
    """In each situation the answer has this status, and no body."""
    for answer, what in met(client, on):
        hold(answer, f"{what} gets {status}", answer.status == status, status, answer.status)
        hold(answer, f"the answer to {what} is empty", not answer.body, "", answer.text[:200])


def own_header(client: CaseClient, *, header: str, on: Sequence[str]) -> None:
    """Answers carry a header whose value is not empty and is each one's own."""
    values: list[str | None] = []
    for answer, what in met(client, on):
        value = answer.header(header)
        hold(answer, f"{header} is on the answer to {what}", bool(value), "a value", value, about=what)
        hold(answer, f"each answer has another {header}", value not in values, "another value", value)
        values.append(value)


def has_header(client: CaseClient, *, header: str, on: Sequence[str], pattern: str = ".") -> None:
    """Answers carry a header whose value has this form, a regular expression."""
    wanted = "any value" if pattern == "." else pattern
    for answer, what in met(client, on):
        value = answer.header(header) or ""
        told = f"{header} on the answer to {what} has the documented form"
        hold(answer, told, bool(re.search(pattern, value)), wanted, value or None, about=what)


def unseen(client: CaseClient, *, why: str) -> None:
    """A fact that no request of this run shows. Raises: NotArranged, with why."""
    raise NotArranged(why)


def refusals(client: CaseClient, *, of: Sequence[Mapping[str, Json]], error: str = "invalid_request") -> None:
    """Each request of `of`, with the changes `send` and without `missing`, is refused, and `says` so: value by path."""
    for item in of:
        send, missing = item.get("send", {}), item.get("missing", ())
        answer, what = client.chat(send, missing), shown_changes(send, missing)
        client.refused(answer, error, what, send | dict.fromkeys(missing))
        for path, value in item.get("says", {}).items():
            found = pick(answer.json, path)
            equal(answer, f"{path} of the refusal of {what}", [value], found, difference=f"{OF_FACT}{path}")


SITUATIONS: Mapping[str, Situation] = {
    "whole": Situation("a good request", "", lambda client: client.chat()),
    "stream": Situation("a request for a stream", "", lambda client: client.chat(client.asks(stream=True))),
    "spoilt": Situation("an invalid request", "invalid_request", lambda client: client.chat(client.ask.spoilt)),
    "malformed": Situation(
        "a body that is no JSON", "invalid_request", lambda client: client.send("POST", client.ask.path, b'{"a": ')
    ),
    "no_key": Situation("a request without a key", "no_key", lambda client: client.keyed(None).chat()),
    "wrong_key": Situation("a wrong key", "wrong_key", lambda client: client.keyed("invalid-key-0000").chat()),
    "unknown_path": Situation("an unknown path", "unknown_path", lambda client: client.post(UNKNOWN_PATH, {})),
    "wrong_method": Situation("a wrong method", "wrong_method", lambda client: client.send("GET", client.ask.path)),
}
