"""APIs whose forms are none of OpenAI's: loaded, served, scripted as the others are, recorded, and judged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
import yaml

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
from tests.wires.asks import MADE_UP, MODELS, SCENARIO, asked
from tests.wires.build import PROVIDERS

NOW = 1_800_000_000.0


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

    def send(self, text: str, **said: Any) -> Exchange:
        return self.answer(self.request(text, **said))

    def request(self, text: str, at: float = NOW, **said: Any) -> Request:
        path, headers, body = asked(self.provider, text, **said)
        return Request(
            DEFAULT, self.provider, "POST", path, "", headers, orjson.dumps(body), at, path, "http://test/v1"
        )

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


PLACES = pytest.mark.parametrize("provider", ["brivionix", *MADE_UP])
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@PLACES
@WAYS
@pytest.mark.parametrize(
    ("said", "parts", "finish"),
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
    provider: str, stream: bool, said: dict[str, Any], parts: list[tuple[str, str]], finish: str
) -> None:
    exchange = EngineSession(provider).send(**said, stream=stream)
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
    request = live.request("hello")
    body = orjson.loads(request.body)
    bad = orjson.dumps({name: item for name, item in body.items() if name not in ("messages", "turns", "talk")})
    refused = live.answer(replace(request, body=bad))
    assert (refused.timeline.status, refused.rule) == (400, "refused")
    assert describe(refused)["model"] == MODELS[provider]


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
        sent = live.engine.answer(live.session, request, claim, live.store.take(claim))
        timeline = answer.timeline
        pieces = tuple((frame.at, frame.data) for frame in timeline.frames)
        came = UpstreamAnswer(
            timeline.status, timeline.headers, timeline.head_at, pieces, timeline.end, timeline.end_at
        )
        told = relayed(PROVIDERS[provider], sent, came)
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
