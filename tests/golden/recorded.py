"""A server, a session of it whose time and draws are always the same, and its exchanges as they are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from emulator import Emulator

from .connection import Answer, Connection, request
from .normal import NOON, normal, normal_head

PROVIDERS = ("beatra", "brainstormrouter", "braintwin", "brivionix")
MODELS = {
    "beatra": "auto", "brainstormrouter": "auto", "braintwin": "gpt-4", "brivionix": "gpt-5.4-mini", "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-6",
}  # fmt: skip
KEY = "sk-the-key-of-the-golden-record"
SEED = 7
CHAT = "/chat/completions"
#: Where a chat is that is elsewhere, and what it needs.
ELSEWHERE: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {"path": "/messages", "headers": {"anthropic-version": "2023-06-01"}},
}
NEEDED: Mapping[str, Mapping[str, Any]] = {"anthropic": {"max_tokens": 100}}


class Server:
    """A running emulator: one connection for its control API, one for its providers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.api, self.line = Connection(url), Connection(url)

    def control(self, method: str, path: str, body: Any = None, **how: Any) -> Answer:
        """Ask the control API; headers that are given come beside."""
        return self.api.send(request(method, f"/_emulator{path}", body, **how))

    def open(self, scenario: Any = None, **options: Any) -> Session | Answer:
        """Open a session; return the answer where it is refused."""
        given = {"scenario": scenario} if scenario is not None else {}
        made = self.control("POST", "/sessions", given | {"clock": "virtual", "seed": SEED} | options)
        return Session(self, made.data) if made.status == 201 else made

    def close(self) -> None:
        self.api.close()
        self.line.close()


@contextmanager
def serving() -> Iterator[Server]:
    with Emulator(plan="unlimited") as emulator:
        server = Server(emulator.url)
        try:
            yield server
        finally:
            server.close()


class Session:
    """A session, ended by `close`; `told` is what its exchanges are recorded as."""

    def __init__(self, server: Server, made: Mapping[str, Any]) -> None:
        self._server = server
        self.id: str = made["id"]
        self.provider: str = made["provider"] or ""
        self.names = {self.id: "SESSION", made["api_key"]: "API-KEY"}
        self.key: str = made["api_key"]
        self.begin(made)

    # What it is told

    def control(self, method: str, path: str, body: Any = None, **how: Any) -> Answer:
        return self._server.control(method, f"/sessions/{self.id}{path}", body, **how)

    def begin(self, told: Mapping[str, Any]) -> None:
        """Move a virtual clock, which begins at real time, to NOON."""
        if told["clock"]["kind"] == "virtual":
            self.advance(NOON - told["clock"]["now"])

    def advance(self, duration: float | str) -> None:
        assert self.control("PATCH", "/clock", {"advance": duration}).status == 200

    def release(self) -> None:
        self.control("PATCH", "/clock", {"release": True})

    def close(self) -> None:
        self.control("DELETE", "")

    # What it is asked

    def target(self, path: str = CHAT, provider: str = "") -> str:
        return f"/s/{self.id}/{provider or self.provider}/v1{path}"

    def bytes_of(self, ask: Ask) -> bytes:
        target = ask.target.format(id=self.id) if ask.target else self.target(ask.path, ask.provider)
        key = {"authorization": f"Bearer {ask.key or KEY}"}
        return request(ask.method, target, ask.body, key | dict(ask.headers or {}), ask.raw)

    def ask(self, ask: Ask) -> Answer:
        """Send a request; what is silent for ever in its answer is released."""
        release: Callable[[], None] | None = self.release if ask.silent else None
        return self._server.line.send(self.bytes_of(ask), ask.method == "HEAD", release)

    # What is recorded

    def row(self, number: int) -> Any:
        """Return an exchange of the journal, once it has ended."""
        while True:
            rows = self.control("GET", f"/journal?since={number - 1}&limit=1").data["exchanges"]
            if not rows or rows[0]["sent"]["end"] != "under_way":
                return rows[0] if rows else None

    def recorded(self, answer: Answer) -> Any:
        """Return an answer as it came on the wire and as it is journalled."""
        number = int(answer.headers.get("x-emulator-exchange", 0))  # 0: it is not journalled
        return normal({"wire": wire(answer), "row": self.row(number) if number else None}, self.names)

    def told(self, ask: Ask) -> Any:
        """Ask, and return what is recorded of it."""
        return self.recorded(self.ask(ask))

    def shown(self, answer: Answer) -> Any:
        """Return an answer of the control API."""
        return normal(controlled(answer), self.names)


@dataclass(frozen=True)
class Ask:
    """A request of a client's; `raw` is a body that is sent as it is, `target` another address than the provider's."""

    body: Any = None
    method: str = "POST"
    path: str = CHAT
    provider: str = ""
    headers: Mapping[str, str | None] | None = None
    raw: bytes | None = None
    target: str = ""
    key: str = ""
    silent: bool = False


def chat(provider: str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """Return a chat body that is good at a provider; `fields` are added, or replace."""
    return {
        "model": MODELS[provider],
        "messages": [{"role": "user", "content": text}],
        **NEEDED.get(provider, {}),
        **fields,
    }


def wire(answer: Answer) -> Any:
    return {
        "heads": [normal_head(head) for head in answer.heads],
        "pieces": [piece.decode("utf-8", "backslashreplace") for piece in answer.pieces],
        "end": answer.end,
    }


def controlled(answer: Answer) -> Any:
    """Return an answer of the control API: its status, its body, and headers other than lengths."""
    try:
        body: Any = answer.data
    except ValueError:
        body = answer.body.decode()
    kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "allow")}
    return {"status": answer.status, "headers": kept, "body": body}


def scenario(provider: str | None, rules: Sequence[Any] = (), **settings: Any) -> dict[str, Any]:
    """Return a scenario of rules in which KEY is good."""
    named = {"provider": provider} if provider else {}
    return {"emulator": 1, **named, "keys": [KEY], **settings, "rules": list(rules)}
