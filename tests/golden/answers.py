"""The groups of what providers answer, a session for each scenario: replies, faults, options, wrong requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from .asks import OPTIONS, SCRIPTED, UNCHECKED, wrong
from .recorded import ELSEWHERE, PROVIDERS, Ask, Server, Session, chat, scenario
from .replies import CHAOS, CONTENT, DRAWN, ERRORS, FAULTS, LONG, PACES, SCRIPTED_ERRORS, THREE, VARS

Case = tuple[str, Any]
#: Replies that are asked for once more: what came before is answered by a shorter way.
REPEATED = ("text", "text-and-calls", "builtin", "usage", "usage-none", "refusal", "template", "json")
LEVELS = ("documented", "strict", "off")


def whole(provider: str, **how: Any) -> Ask:
    return Ask(chat(provider), **ELSEWHERE.get(provider, {}), **how)


def streamed(provider: str, **how: Any) -> Ask:
    return Ask(chat(provider, stream=True), **ELSEWHERE.get(provider, {}), **how)


def counted(provider: str) -> Ask:
    return Ask(chat(provider, stream=True, stream_options={"include_usage": True}))


def asked(server: Server, name: str, given: Any, asks: Mapping[str, Ask], **options: Any) -> Iterator[Case]:
    """Yield what a session answers each ask; a scenario that does not load is a case of its own."""
    session = server.open(given, **options)
    if not isinstance(session, Session):
        yield f"{name}/load", [session.status, session.data]
        return
    for ask, sent in asks.items():
        yield f"{name}/{ask}", session.told(sent)
    session.close()


def content(server: Server, provider: str) -> Iterator[Case]:
    tenant = {"headers": {"x-tenant": "acme"}}
    for level in LEVELS:
        for name, reply in CONTENT.items():
            asks = {"whole": whole(provider, **tenant), "stream": streamed(provider, **tenant)}
            if level == "documented" and name in REPEATED:
                asks |= {"usage": counted(provider), "again": asks["whole"], "stream-again": asks["stream"]}
            elif level == "off":
                del asks["whole"]
            given = scenario(provider, [{"id": name, "reply": reply}], vars=VARS, validation=level)
            told = dict(asked(server, f"{level}/{name}", given, asks))
            yield from told.items()
            if level == "documented" and f"{level}/{name}/load" in told:
                given["rules"][0]["reply"] = reply | {"off_contract": True}
                yield from asked(server, f"off-contract/{name}", given, asks)


def errors(server: Server, provider: str) -> Iterator[Case]:
    for name, reply in SCRIPTED_ERRORS.items():
        asks = {"whole": whole(provider)} | ({} if name in ERRORS else {"stream": streamed(provider)})
        yield from asked(server, name, scenario(provider, [{"reply": reply}]), asks)


def paces(server: Server, provider: str) -> Iterator[Case]:
    asks = {"stream": streamed(provider, silent=True), "again": streamed(provider, silent=True)}
    for name, pace in PACES.items():
        given = scenario(provider, [{"id": "paced", "reply": {"text": THREE} | pace}])
        yield from asked(server, name, given, asks if name in DRAWN else {"stream": asks["stream"]})
    refusal = {"refusal": THREE, "stream": {"split": 3, "itl": 1}, "off_contract": True}
    calls = {"tool_calls": [{"name": "f", "arguments": {"a": THREE}}, {"name": "g"}], "off_contract": True}
    for name, reply in {"refusal": refusal, "calls": calls | {"stream": {"split": 5, "itl": [1, 2]}}}.items():
        yield from asked(server, name, scenario(provider, [{"reply": reply}]), {"stream": asks["stream"]})
    for seed in (0, -1, 2**63 - 1):
        given = scenario(provider, [{"id": "paced", "reply": {"text": THREE, "stream": PACES["chars"]["stream"]}}])
        yield from asked(server, f"seed{seed}", given, asks, seed=seed)


def faults(server: Server, provider: str) -> Iterator[Case]:
    asks = {"whole": whole(provider), "stream": streamed(provider, silent=True)}
    for name, struck in FAULTS.items():
        more = {f"{ask}-{turn}": asks[ask] for turn in (2, 3) for ask in asks} if name == "chance" else {}
        reply = {"text": THREE, "stream": {"itl": "100ms"}, "faults": struck}
        yield from asked(server, name, scenario(provider, [{"id": "struck", "reply": reply}]), asks | more)


def chaos(server: Server, provider: str) -> Iterator[Case]:
    asks = {f"{turn}-{kind.__name__}": kind(provider) for turn in range(1, 4) for kind in (whole, streamed)}
    for name, struck in CHAOS.items():
        rules: Sequence[Any] = [{"id": "one", "reply": {"text": THREE}}] if name != "error" else []
        yield from asked(server, name, scenario(provider, rules, chaos=struck), asks)


def options(server: Server, provider: str) -> Iterator[Case]:
    asks = {name: Ask(chat(provider) | fields) for name, fields in OPTIONS.items()}
    for level in LEVELS[:2]:
        yield from asked(server, f"built-in/{level}", scenario(provider, validation=level), asks)
    unchecked = {name: asks[name] for name in UNCHECKED}
    yield from asked(server, "built-in/off", scenario(provider, validation="off"), unchecked)
    scripted = scenario(provider, [{"id": "long", "reply": {"text": LONG}}], models=["gpt-99"])
    streams = {name: Ask(chat(provider) | {"stream": True} | OPTIONS[name]) for name in SCRIPTED}
    yield from asked(server, "scripted", scripted, streams)


def refusals(server: Server, provider: str) -> Iterator[Case]:
    yield from asked(server, "wrong", scenario(provider), dict(wrong(provider)))
    unchecked = {name: ask for name, ask in wrong(provider) if name.startswith("type-")}
    yield from asked(server, "off", scenario(provider, validation="off"), unchecked)


#: What is asked of each provider.
ANSWERS: Mapping[str, Callable[..., Iterator[Case]]] = {
    "content": content,
    "errors": errors,
    "paces": paces,
    "faults": faults,
    "chaos": chaos,
    "options": options,
    "refusals": refusals,
}
GROUPS = {
    f"{name}/{provider}": partial(make, provider=provider) for name, make in ANSWERS.items() for provider in PROVIDERS
}
