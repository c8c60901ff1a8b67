"""What a check works with: a session of the target, and the provider's requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote, urlencode

from emulator.contract.bodies import parse_json
from emulator.contract.client import Answer
from emulator.contract.expectations import demand, status_differs, whole
from emulator.contract.target import NotArranged, TargetSession
from emulator.core.errors import Json
from emulator.core.provider.holes import fill
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route, fill_path
from emulator.core.wires.wire import Wire

Changes = Mapping[str, Json]

#: More words than any default that cuts a reply lets through.
TEXT = "Here are the first words of a reply that is long enough to be cut: " + " ".join(
    f"number {n}," for n in range(1, 31)
)

#: Of a conversation: the key of its session.
OWN = "\0own"


@dataclass(frozen=True, slots=True)
class Ask:
    """A provider's good chat request, and a change that spoils it."""

    path: str
    body: Changes
    spoilt: Changes
    headers: Mapping[str, str]
    provider: Provider
    says: Changes = field(default_factory=dict)  # what puts ${text} in the user's mouth
    tools: Mapping[str, Json] = field(default_factory=dict)  # how tools are offered, chosen, called and answered

    def error(self, name: str) -> str:
        """Return the error that a situation meets here; of an error, its name."""
        provider = self.provider
        met = {
            "no_key": provider.key_missing, "wrong_key": provider.key_wrong,
            "unknown_path": provider.unknown_path, "wrong_method": provider.wrong_method,
        }  # fmt: skip
        return met.get(name, name)

    def status(self, error: str) -> int:
        """Return an error's status."""
        return int(self.provider.errors[error]["status"])

    @property
    def route(self) -> Route | None:
        """Where the path leads."""
        return (self.provider.routes.find(self.path.partition("?")[0]) or {}).get("POST")

    @property
    def wire(self) -> Wire | None:
        return self.route.operation.wire if self.route else None

    @property
    def model(self) -> Json:
        """The model that a chat names, in its path or its body; None where it names none."""
        if self.route is None or self.wire is None:
            return None
        return self.route.params.get("model") or next(map(self.body.get, self.wire.request.fields("model")), None)

    def naming(self, model: str) -> Ask:
        """Return the chat with another model."""
        if self.wire is None:
            return self
        if "model" in self.in_path:
            return replace(self, path=self.sent({"model": model})[0])
        return replace(self, body={**self.body, **self.wire.request.changes(model=model)})

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
        asked = self.path.partition("?")[2]
        operation = self.route.operation
        streams = said.pop("stream", False) is True
        params = {name: quote(str(value), safe="") for name, value in {**self.route.params, **said}.items()}
        path = fill_path((operation.streams_at if streams else operation.path) or "", params)
        framed = urlencode(operation.wire.asks_sse) if streams and operation.wire else ""
        query = "&".join(filter(None, (asked, framed)))
        return path + (f"?{query}" if query else ""), {name: body[name] for name in body if name not in self.in_path}


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
        return self.ask.provider.accepts[0].write(key) if key is not None else ({}, "")

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
        """Return the changes that offer the tools, and where there is a choice make it: free, none, or one by name."""
        tools = self.ask.tools
        if not tools:
            raise NotArranged("contract.yaml does not tell how tools are offered (ask.tools)")
        changes: dict[str, Json] = fill({**tools["offer"], **tools.get(choice, {})}, {"name": name})
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

    def refused(self, answer: Answer, error: str, what: str, wrong: Changes | None = None) -> Answer:
        """Demand that a request was refused with an error's status, for what is `wrong` with it, and return the answer.

        Raises: Differs.
        """
        error = self.ask.error(error)
        status = self.ask.status(error)
        if answer.status != status:
            refusal = 400 <= answer.status < 500 and answer.status != 429
            settled = bool(self.ask.provider.errors[error].get("documented")) and not self.assumed
            message = f"{what} gets {status} ({error})"
            names = [name for name in wrong or () if not isinstance(self.ask.body.get(name), list | dict)]
            field = names[0] if len(wrong or ()) == len(names) == 1 else ""
            raise status_differs(answer, f"{status} ({error})", message, status, refusal and not settled, field)
        return answer


def content(client: CaseClient, answer: Answer, what: str = "a good request") -> str:
    """Demand a whole chat answer, and return its text. Raises: Differs."""
    text: str = demand(answer, whole(answer, what), client.wire.place("text"), str)
    return text


def shown_changes(changes: Changes, missing: Iterable[str] = ()) -> str:
    """Return a request's changes as a message shows them."""
    parts = [f"{name} {json.dumps(value, ensure_ascii=False)[:60]}" for name, value in changes.items()]
    parts += [f"no {name}" for name in missing]
    return "a request with " + (" and ".join(parts) or "nothing but what is required")
