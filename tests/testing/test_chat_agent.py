"""An application through the fixture: the chat agent, well and badly behaved, for each finding of the verdict."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest
from chat_agent import Agent, BrokenStreamError, Manners
from openai import AsyncOpenAI, OpenAI

from emulator.testing.session import EmulatedSession

MODELS = {"beatra": "beatra-1", "braintwin": "gpt-4", "brainstormrouter": "auto", "brivionix": "gpt-5.4-mini"}
GOOD = Manners()
Make = Callable[..., Agent]


@pytest.fixture
def agent(emulator_env: EmulatedSession) -> Make:
    """Make the application as it is made in production: its SDK reads the environment."""

    def make(manners: Manners = GOOD, **more: Any) -> Agent:
        return Agent(OpenAI(), MODELS[emulator_env.provider or ""], manners=manners, **more)

    return make


beatra = pytest.mark.emulator(provider="beatra")
braintwin = pytest.mark.emulator(provider="braintwin")
brivionix = pytest.mark.emulator(provider="brivionix")
allow_unused = pytest.mark.emulator(allow_unused=True)


def status(emulator: EmulatedSession, fact: str) -> str:
    return next(item["status"] for item in emulator.verdict()["findings"] if item["fact"] == fact)


# What it does


@brivionix
def test_it_calls_tools_and_answers(emulator: EmulatedSession, agent: Make) -> None:
    emulator.on(step=0).reply(tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}])
    emulator.on(tool_result={"name": "weather", "content": {"like": {"temp_c": 21}}}).reply("It is 21 degrees.")
    made = agent(tools={"weather": lambda city: {"city": city, "temp_c": 21}})
    assert made.ask("How warm is it in Oslo?") == "It is 21 degrees."
    emulator.verify(count=1, tools={"includes": "weather"}, step=1)
    emulator.assert_well_behaved(strict=True)


@beatra
def test_it_shows_pieces_as_they_come(emulator: EmulatedSession, agent: Make) -> None:
    emulator.on(stream=True).reply("One, two, three.", stream={"split": "words"})
    shown: list[str] = []
    assert agent().stream("Count.", shown.append) == "One, two, three."
    assert [piece for piece in shown if piece] == ["One,", " two,", " three."]


@beatra
def test_it_keeps_the_conversation(emulator: EmulatedSession, agent: Make) -> None:
    emulator.on(turn=1).reply("First.")
    emulator.on(turn=2, body={"$.messages[1].content": "First."}).reply("Second.")
    made = agent()
    assert (made.ask("one"), made.ask("two")) == ("First.", "Second.")


# How it behaves


@braintwin
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, waits=False), "fail")], ids=["good", "bad"]
)
def test_backing_off(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="rate_limited", times=8).reply("Hello.")  # so often no machine is slower each time
    assert agent(replace(manners, attempts=9)).ask("hi") == "Hello."
    assert status(emulator, "bt-backoff") == expected
    emulator.assert_well_behaved()  # advice
    if expected == "fail":
        with pytest.raises(AssertionError, match="bt-backoff: The waits after a 429 did not back off"):
            emulator.assert_well_behaved(strict=True)


@braintwin
@pytest.mark.parametrize(
    ("manners", "expected"),
    [(GOOD, "pass"), pytest.param(replace(GOOD, gives_up=(500,)), "fail", marks=allow_unused)],
    ids=["good", "bad"],
)
def test_trying_again_after_500(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="server_error").reply("Hello.")
    if expected == "pass":
        assert agent(manners).ask("hi") == "Hello."
    else:
        with pytest.raises(openai.InternalServerError):
            agent(manners).ask("hi")
    assert status(emulator, "bt-retry-500") == expected


@beatra
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, keeps_key=False), "fail")], ids=["good", "bad"]
)
def test_retrying_with_the_same_key(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="rate_limited").reply("Hello.")
    assert agent(manners).ask("hi") == "Hello."
    assert status(emulator, "be-retry-same-key") == expected
    if expected == "fail":
        with pytest.raises(AssertionError) as caught:
            emulator.assert_well_behaved()
        assert str(caught.value) == (
            "the client did not behave as the docs ask:\n"
            "  be-retry-same-key: A 429 was retried with another Idempotency-Key. (exchanges 1, 2; beatra: Errors)\n"
            "allow it with assert_well_behaved(ignore=['be-retry-same-key'])"
        )
        emulator.assert_well_behaved(ignore=["be-retry-same-key"])


@beatra
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, falls_back=None), "fail")], ids=["good", "bad"]
)
def test_switching_the_model(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="model_unavailable").reply("Hello.")
    assert agent(manners).ask("hi") == "Hello."
    assert status(emulator, "be-switch-model") == expected


CUT = {"text": "Half of it, then the rest.", "stream": {"split": 11}, "faults": [{"cut": {"after_chunks": 2}}]}


@beatra
def test_a_cut_stream_is_asked_for_again(emulator: EmulatedSession, agent: Make) -> None:
    emulator.on().reply(**CUT).reply("Half of it, then the rest.")
    assert agent().stream("Tell me.") == "Half of it, then the rest."
    emulator.completed("Half of it, then the rest.")
    assert status(emulator, "be-incomplete-stream") == "pass"


@beatra
@pytest.mark.parametrize("how", ["quoted", "completed"])
def test_a_cut_stream_is_taken_as_whole(emulator: EmulatedSession, agent: Make, how: str) -> None:
    emulator.on(turn=1).reply(**CUT)
    made = agent(replace(GOOD, checks_end=False))
    assert made.stream("Tell me.") == "Half of it,"
    assert status(emulator, "be-incomplete-stream") == "not_seen"
    if how == "quoted":
        emulator.on(turn=2).reply("More.")
        made.ask("And then?")
    else:
        emulator.completed("Half of it,")
    assert status(emulator, "be-incomplete-stream") == "fail"


@beatra
@pytest.mark.parametrize(
    ("how", "errors"), [("clean", BrokenStreamError), ("fin", openai.APIConnectionError)], ids=["clean", "fin"]
)
def test_a_stream_that_is_always_cut_is_given_up(emulator: EmulatedSession, agent: Make, how: str, errors: Any) -> None:
    emulator.on().reply("One two", faults=[{"cut": {"after_chunks": 2, "how": how}}])
    with pytest.raises(errors):
        agent().stream("Tell me.")
    emulator.verify(count=4)


@beatra
def test_what_is_stored_does_not_show(emulator: EmulatedSession, agent: Make) -> None:
    agent().ask("hi")
    assert status(emulator, "be-store-ids") == "not_seen"


@brivionix
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, gives_up=()), "fail")], ids=["good", "bad"]
)
@pytest.mark.parametrize("error", ["invalid_request", "unauthorized", "not_found", "idempotency_mismatch"])
def test_refusals_are_final(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str, error: str
) -> None:
    emulator.on().reply(error=error)
    with pytest.raises(openai.APIStatusError):
        agent(manners).ask("hi")
    assert status(emulator, "no-vain-retry") == expected


@brivionix
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, attempts=11), "fail")], ids=["good", "bad"]
)
def test_attempts_are_bounded(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="rate_limited")
    with pytest.raises(openai.RateLimitError):
        agent(manners).ask("hi")
    emulator.verify(count=manners.attempts)
    assert status(emulator, "bounded-attempts") == expected


@brivionix
@pytest.mark.parametrize(
    ("manners", "expected"), [(GOOD, "pass"), (replace(GOOD, waits=False), "fail")], ids=["good", "bad"]
)
def test_retry_after_is_honoured(
    emulator: EmulatedSession, emulator_time: Any, agent: Make, manners: Manners, expected: str
) -> None:
    emulator.on().reply(error="rate_limited", retry_after=60).reply("Hello.")
    assert agent(manners).ask("hi") == "Hello."
    assert status(emulator, "retry-after") == expected


@brivionix
@pytest.mark.parametrize(
    ("timeout", "expected"), [(0.1, "pass"), pytest.param(30.0, "fail", marks=allow_unused)], ids=["good", "bad"]
)
def test_silence_is_given_up(
    emulator: EmulatedSession, agent: Make, monkeypatch: pytest.MonkeyPatch, timeout: float, expected: str
) -> None:
    """On a real clock, which alone can fail it; what is too long a silence is made short for the test."""
    monkeypatch.setattr("emulator.core.journal.client_rules.LONGEST_SILENCE_S", 0.3)
    silence = "forever" if expected == "pass" else "400ms"
    emulator.on().reply("One two", faults=[{"stall": {"after_chunks": 1, "for": silence}}]).reply("Three")
    assert agent(replace(GOOD, timeout=timeout)).stream("hi") == ("Three" if expected == "pass" else "One two")
    emulator.wait_for(calls=1)
    assert status(emulator, "stalled-stream") == expected


# Without waiting. The session's clock says how long it took; a run that really waited would take longer than CI allows.

HELLO: Any = [{"role": "user", "content": "hi"}]


def slept(emulator: EmulatedSession) -> list[float]:
    """Return the seconds of the session's clock between the exchanges."""
    at = [item["at"] for item in emulator.journal]
    return [round(later - first, 2) for first, later in itertools.pairwise(at)]


@beatra
def test_a_429_that_asks_for_a_minute(emulator_env: EmulatedSession, emulator_time: Any) -> None:
    emulator_env.on().reply(error="rate_limited", retry_after=60).reply("Hello.")
    answer = OpenAI().chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content == "Hello."
    assert slept(emulator_env) == [60.0]


@beatra
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_429_that_asks_for_a_minute_of_the_async_sdk(
    emulator_env: EmulatedSession, emulator_time: Any, backend: str
) -> None:
    import anyio

    emulator_env.on().reply(error="rate_limited", retry_after=60).reply("Hello.")

    async def ask() -> Any:
        async with AsyncOpenAI() as client:
            return await client.chat.completions.create(model="auto", messages=HELLO)

    assert anyio.run(ask, backend=backend).choices[0].message.content == "Hello."
    assert slept(emulator_env) == [60.0]


@pytest.mark.emulator(provider="beatra", clock="virtual")
def test_a_stream_that_stalls_for_ten_minutes(emulator_env: EmulatedSession) -> None:
    emulator_env.on().reply("Hello there", faults=[{"stall": {"after_chunks": 1, "for": "10m"}}])
    stream = OpenAI().chat.completions.create(model="auto", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello there"
    frames = emulator_env.wait_for(calls=1)[0].timeline["frames"]
    assert [round(frames[index]["sent_at"]) for index in (0, 1, -1)] == [0, 600, 600]


@pytest.mark.emulator(provider="braintwin", plan={"requests_per_minute": 1})
def test_a_limit_that_the_client_waits_out(emulator_env: EmulatedSession, emulator_time: Any) -> None:
    client = OpenAI(max_retries=20)
    for _ in range(2):
        client.chat.completions.create(model="gpt-4", messages=HELLO)
    statuses = [item.status for item in emulator_env.journal]
    assert (statuses[0], statuses[-1], set(statuses[1:-1])) == (200, 200, {429})
    assert emulator_env.clock.now - emulator_env.journal[0]["at"] >= 60
