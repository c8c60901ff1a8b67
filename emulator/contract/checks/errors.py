"""Checks of errors: their status, their envelope, and the headers that every answer has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emulator.contract.case_client import Changes, Talk, accepted, conform, equal, hold, pick, shown_changes
from emulator.contract.client import Answer
from emulator.contract.target import NotArranged
from emulator.core.errors import Json

UNKNOWN_PATH = "/chat/completion"


@dataclass(frozen=True, slots=True)
class Situation:
    """A way to get an answer: in words, the error it should get (empty: none), and how it comes about."""

    what: str
    error: str
    meet: Callable[[Talk], Answer]


def situation(name: str) -> Situation:
    """Return one of SITUATIONS, or of an error's name the one that it is arranged in."""
    return SITUATIONS.get(name) or Situation(name, name, lambda talk: _arranged(talk, name))


def _arranged(talk: Talk, error: str) -> Answer:
    talk.world.answer({"error": error})
    return talk.chat()


def errors(talk: Talk, *, on: Sequence[str], schema: Json = True, per: Mapping[str, Json] | None = None) -> None:
    """In each situation the error has its status and a body of this shape, and of the one in `per`.

    What cannot be arranged is left out, as long as something is seen.
    """
    unseen: list[NotArranged] = []
    for name in on:
        now = situation(name)
        try:
            answer = now.meet(talk)
        except NotArranged as reason:
            unseen.append(reason)
            continue
        talk.refused(answer, now.error, now.what)
        _envelope(answer, schema, now.what)
        conform(answer, answer.json, (per or {}).get(name, True), f"the error of {now.what}:")
    if len(unseen) == len(on):
        raise unseen[0]


def _envelope(answer: Answer, schema: Json, what: str) -> None:
    equal(answer, f"the error of {what} is JSON", "application/json", answer.media_type, assumed=True)
    conform(answer, answer.json, schema, f"the error of {what}:")


def scripted(talk: Talk, *, error: str, schema: Json = True) -> None:
    """An error that strikes has its status and shape, for a stream too, and the next request is answered."""
    talk.world.answer({"error": error, "times": 2}, {"text": "Here again."})
    for name in ("whole", "stream"):
        now = SITUATIONS[name]
        answer = now.meet(talk)
        talk.refused(answer, error, f"{now.what} while {error} strikes")
        _envelope(answer, schema, now.what)
    accepted(talk.chat(), f"a request after {error}")


def names_fields(talk: Talk, *, at: str, spoilt: Sequence[Changes] = (), missing: Sequence[str] = ()) -> None:
    """A refusal names, at a path of its body, each field that is wrong, and each that is missing."""
    tried = [(talk.chat(changes), shown_changes(changes), list(changes)) for changes in spoilt]
    tried += [(talk.chat(missing=[name]), shown_changes({}, [name]), [name]) for name in missing]
    for answer, what, names in tried:
        talk.refused(answer, "invalid_request", what)
        found = pick(answer.json, at)
        hold(answer, f"{what}: {at} names them", all(name in found for name in names), names, found)


def same_as_header(talk: Talk, *, header: str, at: str, on: Sequence[str]) -> None:
    """An error's body repeats a header's value."""
    for name in on:
        answer = situation(name).meet(talk)
        equal(answer, f"{at} is {header}", [answer.header(header)], pick(answer.json, at))


def unknown_path(talk: Talk, *, schema: Json = True, also: Sequence[Mapping[str, str]] = ()) -> None:
    """An unknown path gets 404; a known one with another method 405, and Allow names the right method."""
    for method in ("POST", "GET"):
        answer = talk.send(method, UNKNOWN_PATH, b"{}" if method == "POST" else b"")
        talk.refused(answer, "not_found", f"{method} {UNKNOWN_PATH}")
        _envelope(answer, schema, "an unknown path")
    wrong = [{"method": method, "path": talk.ask.path, "allow": "POST"} for method in ("GET", "DELETE")]
    for item in (*wrong, *also):
        what = f"{item['method']} {item['path']}"
        answer = talk.send(item["method"], item["path"])
        talk.refused(answer, "method_not_allowed", what)
        allowed = [name.strip() for name in (answer.header("allow") or "").split(",")]
        hold(answer, f"Allow of {what} names {item['allow']}", item["allow"] in allowed, item["allow"], allowed)
        _envelope(answer, schema, what)


def own_header(talk: Talk, *, header: str, on: Sequence[str]) -> None:
    """Answers carry a header whose value is not empty and is each one's own."""
    values: list[str | None] = []
    for name in on:
        now = situation(name)
        answer = now.meet(talk)
        value = answer.header(header)
        hold(answer, f"{header} is on the answer to {now.what}", bool(value), "a value", value)
        hold(answer, f"{header} is each answer's own", value not in values, "another value", value)
        values.append(value)


def _raw(talk: Talk, body: bytes, method: str = "POST") -> Answer:
    return talk.send(method, talk.ask.path, body)


SITUATIONS: Mapping[str, Situation] = {
    "whole": Situation("a good request", "", lambda talk: talk.chat()),
    "stream": Situation("a request for a stream", "", lambda talk: talk.chat(talk.asks(stream=True))),
    "spoilt": Situation("an invalid request", "invalid_request", lambda talk: talk.chat(talk.ask.spoilt)),
    "malformed": Situation("a body that is no JSON", "invalid_request", lambda talk: _raw(talk, b'{"a": ')),
    "no_key": Situation("a request without a key", "unauthorized", lambda talk: talk.keyed(None).chat()),
    "wrong_key": Situation("a wrong key", "unauthorized", lambda talk: talk.keyed("invalid-key-0000").chat()),
    "unknown_path": Situation("an unknown path", "not_found", lambda talk: talk.post(UNKNOWN_PATH, {})),
    "wrong_method": Situation("a wrong method", "method_not_allowed", lambda talk: talk.send("GET", talk.ask.path)),
}
