"""What a check works with: a session of the target, the provider's requests, and words for an answer that differs."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

from emulator.contract.bodies import parse_json
from emulator.contract.client import Answer
from emulator.contract.target import NotArranged, TargetSession
from emulator.core.errors import STATUS, Json
from emulator.core.provider.holes import fill
from emulator.core.provider.keys import BEARER, KeyPlace
from emulator.core.provider.operation import Operation
from emulator.core.provider.routes import Route, fill_path
from emulator.core.schema.schema import Schema
from emulator.core.wires.wire import Wire

Changes = Mapping[str, Json]

#: More words than any default that cuts a reply lets through.
TEXT = "Here are the first words of a reply that is long enough to be cut: " + " ".join(
    f"number {n}," for n in range(1, 31)
)

#: Of a conversation: the key of its session.
OWN = "\0own"

_LONG = 300
_KINDS: Mapping[type, str] = {
    str: "string", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip


class Differs(Exception):
    """An answer that a fact rules out; `assumed`: only what we assumed does, not what the docs say.

    `fact` is the fact's id where it is not the one that its case is about.
    """

    def __init__(
        self, message: str, expected: Json, actual: Json, answer: Answer | None, assumed: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.actual = actual
        self.answer = answer
        self.assumed = assumed
        self.fact: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A provider's good chat request, a change that spoils it, its errors' status, and which of them its docs list."""

    path: str
    body: Changes
    spoilt: Changes
    headers: Mapping[str, str]
    documented: frozenset[str]
    status: Mapping[str, int] = field(default_factory=lambda: STATUS)
    way: KeyPlace = BEARER  # in which the key is sent
    route: Route[Operation] | None = None  # where the path leads
    says: Changes = field(default_factory=dict)  # what puts ${text} in the user's mouth
    tools: Mapping[str, Json] = field(default_factory=dict)  # how tools are offered, chosen, called and answered
    rates: Mapping[str, str] = field(default_factory=dict)  # what the headers of a limit show: holes by lower-case name

    @property
    def wire(self) -> Wire | None:
        return self.route.operation.wire if self.route else None

    @property
    def in_path(self) -> frozenset[str]:
        """What the path says in place of the body: its model, and whether a stream is asked for."""
        if self.route is None:
            return frozenset()
        streams = {"stream"} if self.route.operation.streams_at else set()
        return frozenset(streams | ({"model"} & self.route.params.keys()))

    def sent(self, body: Changes) -> tuple[str, Changes]:
        """Return where a body is sent, and what is left of it once its path says the rest."""
        said = {name: body[name] for name in self.in_path if name in body}
        if self.route is None or not said:
            return self.path, body
        operation = self.route.operation
        path = operation.streams_at if said.pop("stream", False) is True else operation.path
        params = {name: quote(str(value), safe="") for name, value in {**self.route.params, **said}.items()}
        return fill_path(path or "", params), {name: body[name] for name in body if name not in self.in_path}


@dataclass(frozen=True, slots=True)
class CaseClient:
    """One step's conversation. `assumed`: all it looks at is, or (`status`) which status a refusal has."""

    session: TargetSession
    ask: Ask
    assumed: bool | Literal["status"] = False
    key: str | None = OWN  # what is sent as the key: the session's own one, another one, or none

    def keyed(self, key: str | None) -> CaseClient:
        """Return this conversation with another key, or without one."""
        return replace(self, key=key)

    def url(self, path: str) -> str:
        """Return the URL of a path, with the key where it stands there."""
        query = self._credentials()[1]
        return self.session.base_url + path + (f"{'&' if '?' in path else '?'}{query}" if query else "")

    def _credentials(self) -> tuple[Mapping[str, str], str]:
        key = self.session.key if self.key == OWN else self.key
        return self.ask.way.write(key) if key is not None else ({}, "")

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Send anything; a header that is None is left out."""
        return self.session.client.send(method, self.url(path), self.headers(headers), body)

    def headers(self, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the headers of a good request, and more."""
        usual = {**self._credentials()[0], "content-type": "application/json"}
        merged: dict[str, str | None] = {**usual, **self.ask.headers, **(more or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def post(self, path: str, value: Json, headers: Mapping[str, str | None] | None = None) -> Answer:
        """Send a value as JSON."""
        return self.send("POST", path, json.dumps(value).encode(), headers)

    def chat(
        self,
        changes: Changes | None = None,
        missing: Iterable[str] = (),
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """Send the good chat request, with changes and without some fields."""
        return self.post(*self.ask.sent(self.body(changes, missing)), headers)

    def body(self, changes: Changes | None = None, missing: Iterable[str] = ()) -> dict[str, Json]:
        """Return the good chat body, with changes and without some fields."""
        return {name: item for name, item in {**self.ask.body, **(changes or {})}.items() if name not in missing}

    @property
    def wire(self) -> Wire:
        """The form of the chat that is asked. Raises: NotArranged, where it is no chat's."""
        if self.ask.wire is None:
            raise NotArranged(f"{self.ask.path} is no chat")
        return self.ask.wire

    def asks(self, **values: Json) -> dict[str, Json]:
        """Return the changes that ask for a model, a stream and so on. Raises: NotArranged, where none can."""
        in_path = {name: values.pop(name) for name in self.ask.in_path if name in values}
        for name in values:
            if not self.wire.request.fields(name):
                raise NotArranged(f"no request of {self.ask.path} can say its {name}")
        return self.wire.request.changes(**values) | in_path

    def says(self, text: str) -> dict[str, Json]:
        """Return the changes with which the user says a text. Raises: NotArranged, where contract.yaml has none."""
        if not self.ask.says:
            raise NotArranged("contract.yaml does not tell how another text is said (ask.says)")
        changes: dict[str, Json] = fill(self.ask.says, {"text": text})
        return changes

    def with_tools(self, choice: str, name: str = "") -> dict[str, Json]:
        """Return the changes that offer the tools, with a choice of them: free, none, or the one that is named."""
        tools = self.ask.tools
        if not tools:
            raise NotArranged("contract.yaml does not tell how tools are offered (ask.tools)")
        changes: dict[str, Json] = fill({**tools["offer"], **tools[choice]}, {"name": name})
        return changes

    def called(self, text: str, calls: Sequence[tuple[Mapping[str, str], str]]) -> dict[str, Json]:
        """Return the changes with which a conversation goes on: a question, then calls with their results."""
        said, at = self.says(text), self.wire.request.fields("messages")[0]
        for call, result in calls:
            values = {**call, "input": parse_json(call["arguments"]), "text": result}
            answers = [fill(self.ask.tools[name], values) for name in ("called", "result")]
            said[at] = [*said[at], *answers]
        return said

    def arrange(self, *replies: Mapping[str, Json]) -> bool:
        """Give replies if that can be arranged; tell whether it could."""
        try:
            self.session.answer(*replies)
        except NotArranged:
            return False
        return True

    def asking(self, changes: Changes) -> CaseClient:
        """Return this conversation with changes to its good request."""
        return replace(self, ask=replace(self.ask, body=self.body(changes)))

    def refused(self, answer: Answer, error: str, what: str) -> None:
        """Demand that a request was refused with an error's status. Raises: Differs."""
        status = self.ask.status[error]
        if answer.status != status:
            refusal = 400 <= answer.status < 500 and answer.status != 429
            settled = error in self.ask.documented and not self.assumed
            message = f"{what} gets {status} ({error})"
            raise Differs(message, status, outcome(answer), answer, assumed=refusal and not settled)


def whole(answer: Answer, what: str = "a good request") -> dict[str, Json]:
    """Demand a whole answer of 200 in JSON, and return its object. Raises: Differs."""
    accepted(answer, what)
    if answer.media_type != "application/json":
        raise Differs(f"{what} is answered in JSON", "application/json", answer.media_type, answer)
    value = answer.json
    if not isinstance(value, dict):
        told = answer.body[:200].decode("utf-8", "replace")
        raise Differs(f"{what} is answered with a JSON object", "object", told, answer)
    return value


def accepted(answer: Answer, what: str, promised: bool = True) -> None:
    """Demand a 200, whole or streamed; where the docs don't promise it, a refusal is only not as assumed.

    Raises: Differs.
    """
    if answer.status != 200 or answer.ended != "complete":
        refusal = 400 <= answer.status < 500
        raise Differs(f"{what} gets 200", 200, outcome(answer), answer, assumed=refusal and not promised)


def content(client: CaseClient, answer: Answer, what: str = "a good request") -> str:
    """Demand a whole chat answer, and return its text. Raises: Differs."""
    text: str = demand(answer, whole(answer, what), client.wire.place("text"), str)
    return text


def demand(answer: Answer, value: Json, path: str, kind: type | tuple[type, ...]) -> Json:
    """Demand a value of a kind at a path, and return it. Raises: Differs."""
    found = pick(value, path)
    good = bool(found) and isinstance(found[0], kind) and not isinstance(found[0], bool)
    if not good:
        expected = _KINDS[kind if isinstance(kind, type) else float]
        raise Differs(f"{path} is there, a {expected}", expected, found[0] if found else None, answer)
    return found[0]


def conform(answer: Answer, value: Json, schema: Json, what: str) -> None:
    """Demand that a value conforms to a JSON Schema. Raises: Differs, with the first place that does not."""
    for violation in _compiled(json.dumps(schema)).violations(value):
        place = f"{what} {violation.path}" if violation.path else what
        actual = pick(value, violation.path.replace("[", ".").replace("]", "")) if violation.path else [value]
        raise Differs(f"{place} {violation.message}"[:_LONG], schema, actual[0] if actual else None, answer)


@functools.lru_cache(maxsize=256)
def _compiled(schema: str) -> Schema:
    return Schema(json.loads(schema))


def equal(answer: Answer, what: str, expected: Json, actual: Json, assumed: bool = False) -> None:
    """Demand that two values are equal. Raises: Differs."""
    if expected != actual:
        raise Differs(what, expected, actual, answer, assumed)


def hold(answer: Answer, what: str, holds: bool, expected: Json, actual: Json, assumed: bool = False) -> None:
    """Demand that something holds. Raises: Differs."""
    if not holds:
        raise Differs(what, expected, actual, answer, assumed)


def outcome(answer: Answer) -> Json:
    """Return an answer's status, or how the exchange broke before one came."""
    if answer.status == 0 or answer.ended != "complete":
        why = f": {answer.why}" if answer.why else ""
        return f"{answer.status or 'no answer'} ({answer.ended}{why})"
    return answer.status


def pick(value: Json, path: str) -> list[Json]:
    """Return the values at a dotted path; a number is an index, `*` every item or value."""
    found = [value]
    for step in path.split("."):
        found = [inner for item in found for inner in _step(item, step)]
    return found


def _step(value: Json, step: str) -> list[Json]:
    if isinstance(value, list):
        if step == "*":
            return value
        return value[int(step) :][:1] if step.isdecimal() else []
    if isinstance(value, Mapping):
        return list(value.values()) if step == "*" else [value[step]] if step in value else []
    return []


def shown_changes(changes: Changes, missing: Iterable[str] = ()) -> str:
    """Return a request's changes as a message shows them."""
    parts = [f"{name} {json.dumps(value, ensure_ascii=False)[:60]}" for name, value in changes.items()]
    parts += [f"no {name}" for name in missing]
    return "a request with " + (" and ".join(parts) or "nothing but what is required")
