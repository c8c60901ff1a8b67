"""APIs whose forms are none of OpenAI's: loaded, served, scripted as the others are, recorded, and judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import yaml

from emulator import Emulator
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.journal.describe import describe
from emulator.core.journal.verdict import judge
from emulator.core.recording.recorder import Recorder
from emulator.core.recording.to_scenario import scenario_text
from emulator.core.recording.upstream_exchange import UpstreamAnswer, relayed, sent_on
from emulator.core.scenario.session import DEFAULT, Options, build_session
from emulator.core.values import Exchange, Request, Sent
from emulator.core.wires.completion import Completion
from emulator.core.wires.sse import payload
from emulator.stores.memory import MemoryStore
from tests.wires.build import PROVIDERS, SCHEMAS

NOW = 1_800_000_000.0
SCENARIO = """\
emulator: 1
rules:
  - when: {last_user: {contains: weather}, tool_result: {absent: true}, tools: {includes: get_weather}}
    reply: {text: Let me look., tool_calls: [{name: get_weather, arguments: {city: Oslo}, id: call_1}]}
  - when: {tool_result: {name: get_weather, content: {contains: "21"}}}
    reply: {text: It is 21 degrees in Oslo.}
  - {when: {last_user: {contains: refuse}}, reply: {refusal: I cannot help with that.}}
  - {when: {last_user: {contains: limit}}, reply: {error: rate_limited}}
  - {when: {last_user: {contains: cut}}, reply: {text: One two three four., faults: [{cut: {before: done}}]}}
  - when: {last_user: {contains: broken}}
    reply: {text: One two., faults: [{error_event: {error: server_error, after_chunks: 2}}]}
  - {when: {system: {contains: pirate}}, reply: {text: Arr.}}
  - reply: {text: "You said: ${request.last_user}", stream: {split: words, itl: 1s}}
"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def openai_chat(text: str, system: str = "", result: str = "", stream: bool = False, **more: Any) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": "{}"}
    answer = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    before = [{"role": "system", "content": system}] if system else []
    messages = [*before, {"role": "user", "content": text}, *(answer if result else [])]
    body = {"model": "gpt-5.4-mini", "messages": messages, "tools": [tool], "stream": stream}
    return body | ({"max_tokens": more["cap"]} if "cap" in more else {})


def blocks(text: str, system: str = "", result: str = "", stream: bool = False, **more: Any) -> dict[str, Any]:
    answer = [
        {"by": "machine", "blocks": [{"kind": "wish", "key": "c", "name": "get_weather", "input": {}}]},
        {"by": "person", "blocks": [{"kind": "outcome", "of": "c", "blocks": [{"kind": "words", "words": result}]}]},
    ]
    turns = [{"by": "person", "blocks": [{"kind": "words", "words": text}]}, *(answer if result else [])]
    body = {"model": "parlance-1", "max_output": more.get("cap", 100), "turns": turns, "stream": stream}
    return body | {"tools": [{"name": "get_weather", "takes": SCHEMA}]} | ({"system": system} if system else {})


def turns(text: str, system: str = "", result: str = "", stream: bool = False, **more: Any) -> dict[str, Any]:
    answer = [
        {"from": "bot", "asks": [{"id": "c", "called": "get_weather", "with": "{}"}]},
        {"from": "tool", "replies_to": "c", "says": result},
    ]
    talk = [{"from": "user", "says": text}, *(answer if result else [])]
    body: dict[str, Any] = {"engine": "choral-1", "talk": talk, "live": stream, "live_options": {"count": True}}
    body |= {"kit": [{"tool": {"called": "get_weather", "takes": SCHEMA}}]} | ({"preamble": system} if system else {})
    return body | ({"limits": {"tokens": more["cap"]}} if "cap" in more else {})


Ask = Callable[..., dict[str, Any]]
ASKED: Mapping[str, Ask] = {"brivionix": openai_chat, "parlance": blocks, "choral": turns}


@dataclass
class EngineSession:
    """An engine with all providers, and a session of one scenario."""

    provider: str
    scenario: str = SCENARIO
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.engine = Engine(PROVIDERS)
        scenarios = [parse_text(self.scenario, "s.yaml", PROVIDERS, self.provider)]
        self.session = build_session(DEFAULT, "", PROVIDERS, scenarios, Options(), NOW)

    def send(self, *texts: str, **asked: Any) -> Exchange:
        return self.answer(self.request(*texts, **asked))

    def request(self, *texts: str, at: float = NOW, **asked: Any) -> Request:
        path = PROVIDERS[self.provider].operations["chat"].path
        headers = {"authorization": "Bearer k", "content-type": "application/json"}
        body = orjson.dumps(ASKED[self.provider](*texts, **asked))
        return Request(DEFAULT, self.provider, "POST", path, "", headers, body, at, path, "http://test/v1")

    def answer(self, request: Request) -> Exchange:
        claim = self.engine.claim(self.session, request)
        exchange = self.engine.answer(self.session, request, claim, self.store.take(claim))
        self.store.record(exchange)
        return exchange


def heard(exchange: Exchange) -> Completion:
    """Return what a client hears."""
    wire, frames = exchange.claim.wire, exchange.timeline.frames
    assert wire
    if not exchange.timeline.stream:
        return wire.read(orjson.loads(b"".join(frame.data for frame in frames)))
    return wire.read_events([orjson.loads(payload(frame.data)) for frame in frames
                             if payload(frame.data).decode() not in wire.texts])  # fmt: skip


PLACES = pytest.mark.parametrize("provider", ASKED)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@PLACES
@WAYS
@pytest.mark.parametrize(
    ("asked", "parts", "finish"),
    [
        ({"text": "hello"}, [("text", "You said: hello")], "stop"),
        ({"text": "the weather?"}, [("text", "Let me look."), ("call", '{"city":"Oslo"}')], "tool_calls"),
        ({"text": "the weather?", "result": "21 degrees"}, [("text", "It is 21 degrees in Oslo.")], "stop"),
        ({"text": "refuse"}, [("refusal", "I cannot help with that.")], "stop"),
        ({"text": "hello", "system": "Talk like a pirate."}, [("text", "Arr.")], "stop"),
        ({"text": "hello", "cap": 2}, [("text", "You said")], "length"),
    ],
    ids=["text", "call", "result", "refusal", "system", "cap"],
)
def test_one_scenario_answers_in_every_form(
    provider: str, stream: bool, asked: dict[str, Any], parts: list[tuple[str, str]], finish: str
) -> None:
    exchange = EngineSession(provider).send(**asked, stream=stream)
    found = heard(exchange)
    assert [(part.kind, part.text) for part in found.parts] == parts
    assert (found.finish, exchange.finish_reason, exchange.timeline.status) == (finish, finish, 200)
    told = describe(exchange)["response"]
    assert told["finish_reason"] == finish
    named = {name: found.usage[short] for short, name in (("input", "prompt_tokens"), ("output", "completion_tokens"))
             } if found.usage else {}  # fmt: skip
    assert named.items() <= (told["usage"] or {}).items()
    assert exchange.usage == told["usage"] or provider == "brivionix"


@PLACES
def test_errors_are_in_the_envelope(provider: str) -> None:
    exchange = EngineSession(provider).send("limit")
    assert exchange.timeline.status == 429
    broken = EngineSession(provider).send("broken", stream=True)
    name = {"brivionix": b"", "parlance": b"event: error\n", "choral": b"event: failed\n"}[provider]
    assert broken.timeline.frames[-1].data.startswith(name + b"data: {")


@PLACES
def test_what_the_docs_rule_out_is_refused(provider: str) -> None:
    live = EngineSession(provider)
    body = ASKED[provider]("hello")
    bad = orjson.dumps({name: item for name, item in body.items() if name not in ("messages", "turns", "talk")})
    request = live.request("hello")
    refused = live.answer(Request(*[bad if item is request.body else item for item in
                                     (getattr(request, name) for name in Request.__slots__)]))  # fmt: skip
    assert (refused.timeline.status, refused.rule) == (400, "refused")
    assert describe(refused)["model"] == body.get("model", body.get("engine"))


@PLACES
def test_the_time_of_pieces(provider: str) -> None:
    frames = EngineSession(provider).send("a b", stream=True).timeline.frames
    grows = {"brivionix": b'"content"', "parlance": b"event: block_grows", "choral": b"event: says"}[provider]
    times = [frame.at for frame in frames if grows in frame.data]
    assert [later - first for first, later in pairwise(times)] == [1.0, 1.0, 1.0]
    assert frames[-1].at == frames[-2].at


def without_new(exchange: Exchange) -> Any:
    data = b"".join(frame.data for frame in exchange.timeline.frames)
    new = rb'(ans|wish|req)_[0-9a-f]+|(chatcmpl|call|req)[-_][0-9A-Za-z]+|"(created|when)":\d+'
    return exchange.timeline.status, re.sub(new, b"NEW", data), exchange.timeline.end


ALL = ["hello", "the weather?", "refuse", "limit", "cut"]


@PLACES
@WAYS
def test_a_recording_gives_the_same_bytes(provider: str, stream: bool) -> None:
    live = EngineSession(provider)
    recorder = Recorder(live.engine, PROVIDERS[provider], "https://up.test/v1")
    wanted = []
    for text in ALL:
        answer = live.send(text, stream=stream)
        wanted.append(without_new(answer))
        request = live.request(text, stream=stream)
        claim = sent_on(live.engine.claim(live.session, request))
        asked = live.engine.answer(live.session, request, claim, live.store.take(claim))
        timeline = answer.timeline
        pieces = tuple((frame.at, frame.data) for frame in timeline.frames)
        came = UpstreamAnswer(
            timeline.status, timeline.headers, timeline.head_at, pieces, timeline.end, timeline.end_at
        )
        told = relayed(PROVIDERS[provider], asked, came)
        assert (told.finish_reason, told.model) == (answer.finish_reason, answer.model) or timeline.status == 429
        recorder.add(told, Sent(0, (), "complete", 0.0))
    assert [line for line in recorder.report() if "Left out" in line] == []
    again = EngineSession(provider, recorder.text())
    assert [without_new(again.send(text, stream=stream)) for text in ALL] == wanted
    replies = [rule["replies"][0] for rule in yaml.safe_load(recorder.text())["rules"]]
    kinds = [next(iter(reply)) for reply in replies]
    assert kinds == ["text", "text", "refusal", "error", "text"]


@PLACES
@WAYS
def test_a_journal_becomes_a_scenario(provider: str, stream: bool) -> None:
    live = EngineSession(provider)
    wanted = [without_new(live.send(text, stream=stream)) for text in ALL]
    rows = [orjson.loads(orjson.dumps(describe(item))) for item in live.store.journal(DEFAULT, 0)[0]]
    text = scenario_text(rows, PROVIDERS)
    assert "events" not in text
    again = EngineSession(provider, text)
    assert [without_new(again.send(text, stream=stream)) for text in ALL] == wanted


@PLACES
def test_the_text_of_a_cut_stream_that_comes_back_is_seen(provider: str) -> None:
    live = EngineSession(provider)
    cut = live.send("cut", stream=True)
    live.send("hello", at=NOW + 9)
    later = list(live.store.journal(DEFAULT, 0)[0])
    findings = judge(PROVIDERS[provider], later, [(cut.grant.number, "One two three four.")])
    assert all(finding.status in ("pass", "not_seen") for finding in findings)
    assert heard(cut).text() == "One two three four."


def test_a_served_form(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("emulator: 1\nprovider: parlance\nrules: [{reply: {text: Hi there.}}]\n")
    with Emulator(file, schemas=SCHEMAS) as emulator, httpx2.Client(trust_env=False) as client:
        url, headers = emulator.base_urls["parlance"] + "/answers", {"authorization": "Bearer k"}
        whole, streamed = (
            client.post(url, json=blocks("hello", stream=stream), headers=headers) for stream in (False, True)
        )
        journal = client.get(f"{emulator.url}/_emulator/sessions/default/journal").json()["exchanges"]
        document = client.get(f"{emulator.url}/_emulator/openapi/parlance.json").json()
    assert whole.json()["blocks"] == [{"kind": "words", "words": "Hi there."}]
    assert re.findall("event: (.*)", streamed.text) == [
        "opens", "block_opens", *["block_grows"] * 3, "block_ends", "ends", "closes",
    ]  # fmt: skip
    told = journal[-1]["response"]
    assert (told["finish_reason"], told["usage"]["completion_tokens"]) == ("stop", 3)
    assert "/answers" in document["paths"]
