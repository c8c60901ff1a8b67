"""Builders shared by the core's tests: the built-in providers, requests, and a world in which one is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from emulator.core.answer.render import Turn
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import DEFAULT, Options, Session, build_session
from emulator.core.seeded_random import Draw
from emulator.core.store import at_once
from emulator.core.tree import compact
from emulator.core.values import Call, Exchange, Request
from emulator.core.wires.request.conversation import Conversation, prompt_tokens
from emulator.core.wires.sse import payload
from emulator.stores.memory import MemoryStore

PROVIDERS: Mapping[str, Provider] = load_providers()
#: The providers whose chats name their model in the body.
NAMES = [
    name for name, item in PROVIDERS.items()
    if not (item.operations["chat"].wire and item.operations["chat"].wire.request.model_in_path)
]  # fmt: skip
#: The providers whose docs are the project's own.
FOUR = ("beatra", "brainstormrouter", "braintwin", "brivionix")
KEY = "sk-a-key-of-the-tests"
MODELS = {
    "beatra": "auto", "brainstormrouter": "auto", "braintwin": "gpt-4", "brivionix": "gpt-5.4-mini", "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-6", "compatible": "any-model", "deepseek": "deepseek-flash",
    "azure": "gpt-4o", "openrouter": "openai/gpt-4o", "ollama": "llama3.2",
}  # fmt: skip
NOW = 1_800_000_000.0


#: Where chats are, what they need beside a model and messages, and which headers, where that is another thing.
CHATS = {"anthropic": "/v1/messages", "azure": "/openai/v1/chat/completions", "ollama": "/api/chat"}
NEEDED = {"anthropic": {"max_tokens": 1000}, "ollama": {"stream": False}}
#: What comes before a path, where it is not /v1.
PREFIXES = {"openrouter": "/api/v1"}
HEADERS = {"anthropic": {"anthropic-version": "2023-06-01"}}


def chat(provider: str = "beatra", text: str = "hello", **fields: Any) -> dict[str, Any]:
    """Return a chat body that is good at a provider; `fields` are added, or replace."""
    return {
        "model": MODELS[provider],
        "messages": [{"role": "user", "content": text}],
        **NEEDED.get(provider, {}),
        **fields,
    }


def make_request(
    provider: str = "beatra",
    body: Any = None,
    *,
    raw: bytes | None = None,
    method: str = "POST",
    path: str | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    key: str | None = KEY,
    at: float = NOW,
    session: str = DEFAULT,
    too_large: bool = False,
) -> Request:
    """Return a Request; `body` is written as JSON, `raw` is sent as it is."""
    path = CHATS.get(provider, "/chat/completions") if path is None else path
    given = (
        {"content-type": "application/json"}
        | HEADERS.get(provider, {})
        | ({"authorization": f"Bearer {key}"} if key is not None else {})
    )
    if raw is None:
        raw = b"" if method == "GET" else orjson.dumps(chat(provider) if body is None else body)
    prefix = PREFIXES.get(provider, "" if provider in CHATS else "/v1")
    base_url = f"http://test/{provider}{prefix}"
    address = f"/{provider}{prefix}{path}"
    return Request(
        session, provider, method, path, query, given | dict(headers or {}), raw, at, address, base_url, too_large
    )


def make_call(provider: str = "beatra", body: Any = None, operation: str = "chat", **request: Any) -> Call:
    """Return a Call without validating anything."""
    body = chat(provider) if body is None else body
    found = PROVIDERS[provider].operations[operation]
    sent = make_request(provider, body, path=found.path, method=found.method, **request)
    said = found.wire.request.read(body) if found.wire else Conversation(body.get("model", ""))
    cost = prompt_tokens(said.messages, compact(body["tools"]) if said.tools else None)
    return Call(sent, operation, body, said, cost, (), 0.0)


def make_turn(provider: str = "beatra", body: Any = None, operation: str = "chat", **turn: Any) -> Turn:
    """Return what a reply is rendered for."""
    call = make_call(provider, body, operation)
    model = turn.pop("model", call.model)
    draw = turn.pop("draw", Draw(0, "test", 1))
    return Turn(PROVIDERS[provider], PROVIDERS[provider].operations[operation], call, model, draw, NOW, **turn)


def scenario(text: Any, provider: str | None = None, label: str = "s.yaml") -> Scenario:
    """Load a scenario from YAML text, or from data without its `emulator: 1`."""
    return parse_text({"emulator": 1, **text} if isinstance(text, dict) else text, label, PROVIDERS, provider)


@dataclass
class EngineSession:
    """An engine, a session and a store: `send` does what a server does with a request."""

    session: Session
    store: MemoryStore = field(default_factory=MemoryStore)
    engine: Engine = field(default_factory=lambda: Engine(PROVIDERS))

    def send(self, provider: str = "beatra", body: Any = None, **request: Any) -> Exchange:
        return self.answer(make_request(provider, body, session=self.session.id, **request))

    def answer(self, request: Request) -> Exchange:
        """Answer a request, with what it names recalled."""
        if found := self.engine.recalling(request, self.store):
            request = replace(request, recalled=at_once(found))
        claim = self.engine.claim(self.session, request)
        exchange = self.engine.answer(self.session, request, claim, self.store.take(claim))
        self.store.record(exchange)
        return exchange


def make_session(*scenarios: Any, id: str = DEFAULT, **options: Any) -> EngineSession:
    """Return a world with scenarios (text, or data) and options."""
    loaded = [scenario(item, label=f"s{number}.yaml") for number, item in enumerate(scenarios, 1)]
    return EngineSession(build_session(id, "emu-generated", PROVIDERS, loaded, Options(**options), NOW))


def body_of(exchange: Exchange) -> Any:
    """Return the JSON body of a whole answer."""
    return orjson.loads(b"".join(frame.data for frame in exchange.timeline.frames))


def headers_of(exchange: Exchange) -> dict[str, str]:
    return dict(exchange.timeline.headers)


def chunks_of(exchange: Exchange) -> list[Any]:
    """Return the JSON of each data event of a stream."""
    return [orjson.loads(payload(frame.data)) for frame in exchange.timeline.frames if frame.kind == "data"]
