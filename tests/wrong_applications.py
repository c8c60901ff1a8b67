"""Thirty applications that have one mistake each, and their right twins: `wrong` makes the mistake.

Each passes by itself: what it asks, or does not, must be what fails it. The fixture's message is held against MISTAKES.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from emulator.testing.session import EmulatedSession

pytestmark = [
    pytest.mark.emulator(provider="beatra"),
    pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"]),
]
openai = pytest.mark.emulator(provider="openai")
braintwin = pytest.mark.emulator(provider="braintwin")

#: What is said of each mistake, by the test's name.
MISTAKES = {
    "does_not_go_on_after_a_call": "reply 2 of the rule at .* was never asked for",
    "gives_up_after_one_500": "reply 2 of the rule at .* was never asked for",
    "forgets_its_tools": "the reply calls 'weather', and the request offers no tools",
    "misspells_a_tool": "the reply calls 'weather', which the request does not offer; did you mean 'wether'",
    "wants_other_arguments": "the reply's arguments of 'weather' break its parameters: .*city",
    "asks_for_another_schema": "the reply's text breaks the schema asked for: .*name",
    "swallows_a_404": "no rule answered exchange 1 .*\\n.*\\n    last_user: expected \"hi\", got \"hi!\"",
    "swallows_a_400": "exchange 1 was refused before any rule was asked: invalid_request: temperature: must be",
    "swallows_a_401": "exchange 1 was refused before any rule was asked: unauthorized",
    "answers_one_of_two_calls": "exchange 2 was refused before any rule was asked: invalid_request: .*tool_call",
    "makes_its_client_at_import": "the client was made before the variables were set",
    "reads_another_variable": "APP_BASE_URL is set, to 127.0.0.1",
    "has_the_servers_address": "the client has another address than this session's base_url: .* got POST /beatra/v1/",
    "goes_through_a_proxy": "HTTP_PROXY is set, and requests go to that proxy: set NO_PROXY=127.0.0.1",
    "answers_from_a_cache": "not one request came to this session: the rule at session:rules.0. was never used",
    "retries_at_once": "bt-backoff: The waits after a 429 did not back off",
    "does_not_heed_retry_after": "retry-after: Retry-After asked for 60 s, the retry came after 10 s",
    "retries_a_spent_quota": "the rule on-1 at .* expects calls: 1, and answered 3 times",
    "retries_a_400": "no-vain-retry: A 400 was retried",
    "retries_for_ever": "bounded-attempts: One call was tried 12 times",
    "loses_its_idempotency_key": "be-retry-same-key: A 429 was retried without an Idempotency-Key",
    "keeps_a_model_that_is_down": "be-switch-model: After a 503 the same model",
    "takes_a_cut_stream_as_whole": "be-incomplete-stream: The text of a cut stream was taken as a whole answer",
    "does_not_stream": "the fault cut of reply 1 of the rule at .* never struck",
    "caps_its_answers": "the fault cut of reply 1 of the rule at .* never struck",
    "asks_twice": "the rule on-1 at .* expects calls: 1, and answered 2 times",
    "forgets_what_was_said": "the rule of .on.. at .* was never used; the nearest:\\n.*turn: expected 2, got 1",
    "forgets_its_system_prompt": "no rule answered exchange 1 .*\\n.*\\n    system: expected .*, got null",
    "asks_another_model": "no rule answered exchange 1 .*\\n.*\\n    model: expected \"beatra-1\", got \"auto\"",
    "loses_a_tool_result": "no rule answered exchange 2 .*\\n.*\\n    tool_result: ",
    "sends_no_tenant": "no rule answered exchange 1 .*\\n.*\\n    headers.x-tenant: expected \"acme\", got null",
    "embeds_one_by_one": "the rule on-1 at .* expects calls: 1, and answered 2 times",
    "asks_what_another_rule_answers": "was never used; what fits it went elsewhere: exchange 1 by the rule at",
}  # fmt: skip

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class App:
    """A client of chats, as small as can be; a proxy counts only where it is asked to heed the environment."""

    def __init__(self, base_url: str, key: str, proxied: bool = False) -> None:
        self.base_url, self.key = base_url, key
        self.opener = urllib.request.build_opener(*(() if proxied else (urllib.request.ProxyHandler({}),)))

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, bytes]:
        given = {"authorization": f"Bearer {self.key}", "content-type": "application/json", **headers}
        request = urllib.request.Request(self.base_url + path, json.dumps(body).encode(), given)
        try:
            with self.opener.open(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def chat(self, *messages: Any, headers: Any = (), **fields: Any) -> tuple[int, Any]:
        """Ask, and return the status and the message, or what went wrong: which an application may well ignore."""
        asked = [{"role": "user", "content": item} if isinstance(item, str) else item for item in messages]
        status, data = self.post("/chat/completions", {"model": "auto", "messages": asked, **fields}, **dict(headers))
        if fields.get("stream"):
            return status, text_of(data)
        return status, json.loads(data)["choices"][0]["message"] if status == 200 else None


def text_of(stream: bytes) -> tuple[str, bool]:
    """Return the text of a stream, and whether it came to its end."""
    events = [line[6:] for line in stream.decode().splitlines() if line.startswith("data: ")]
    chunks = [json.loads(item) for item in events if item != "[DONE]"]
    return "".join(item["choices"][0]["delta"].get("content") or "" for item in chunks), "[DONE]" in events


@pytest.fixture
def app(emulator: EmulatedSession) -> App:
    return App(emulator.base_url, emulator.api_key)


def tool(name: str, parameters: Any = WEATHER) -> Any:
    return {"type": "function", "function": {"name": name, "description": "Tell.", "parameters": parameters}}


CALL = {"name": "weather", "arguments": {"city": "Oslo"}}


def results(message: Any, *contents: str) -> list[Any]:
    """Return the assistant's calls, and a result for as many as there are contents."""
    calls = message["tool_calls"]
    return [message, *({"role": "tool", "tool_call_id": call["id"], "content": content}
                       for call, content in zip(calls, contents, strict=False))]  # fmt: skip


# Replies that nobody reads


@openai
def test_does_not_go_on_after_a_call(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(tool_calls=[CALL]).reply("It is 21 degrees.")
    given = {"model": "gpt-4o", "tools": [tool("weather")]}
    _, message = app.chat("How warm?", **given)
    if not wrong:
        app.chat("How warm?", *results(message, "21"), **given)


def test_gives_up_after_one_500(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(error="server_error").reply("Hello.")
    while app.chat("hi")[0] == 500 and not wrong:
        pass


# What was asked, and what the reply takes for granted


@openai
def test_forgets_its_tools(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(tool_calls=[CALL])
    app.chat("How warm?", model="gpt-4o", **({} if wrong else {"tools": [tool("weather")]}))


@openai
def test_misspells_a_tool(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(tool_calls=[CALL])
    app.chat("How warm?", model="gpt-4o", tools=[tool("wether" if wrong else "weather")])


@openai
def test_wants_other_arguments(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(tool_calls=[CALL])
    other = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"]}
    app.chat("How warm?", model="gpt-4o", tools=[tool("weather", other if wrong else WEATHER)])


@openai
def test_asks_for_another_schema(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply({"name": "Ada"})
    kind = {"type": "integer" if wrong else "string"}
    schema = {"type": "object", "properties": {"name": kind}, "required": ["name"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    app.chat("Who?", model="gpt-4o", response_format=form)


# Refusals that are swallowed


def test_swallows_a_404(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(last_user="hi").reply("Hello.")
    app.chat("hi!" if wrong else "hi")


def test_swallows_a_400(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply("Hello.")
    app.chat("hi", temperature="warm" if wrong else 1)


def test_swallows_a_401(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply("Hello.")
    app.key = "sk-of-another-project" if wrong else app.key
    app.chat("hi")


@openai
def test_answers_one_of_two_calls(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(tool_calls=[CALL, CALL]).reply("It is warm.")
    given = {"model": "gpt-4o", "tools": [tool("weather")]}
    _, message = app.chat("How warm?", **given)
    app.chat("How warm?", *results(message, *(["21"] if wrong else ["21", "22"])), **given)


# Requests that never come


CLIENT = App("http://127.0.0.1:9/v1", "sk-of-the-shell")  # as the environment was when this module was imported


def test_makes_its_client_at_import(emulator_env: EmulatedSession, wrong: bool) -> None:
    emulator_env.on().reply("Hello.")
    client = CLIENT if wrong else App(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])
    client.chat("hi")


def test_reads_another_variable(emulator_env: EmulatedSession, wrong: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator_env.on().reply("Hello.")
    if wrong:
        monkeypatch.setenv("APP_BASE_URL", "http://127.0.0.1:9/v1")
    base_url = os.environ.get("APP_BASE_URL") or os.environ["OPENAI_BASE_URL"]
    App(base_url, os.environ["OPENAI_API_KEY"]).chat("hi")


def test_has_the_servers_address(emulator: EmulatedSession, emulator_server: Any, wrong: bool) -> None:
    emulator.on().reply("Hello.")
    own = (f"{emulator_server.url}/beatra/v1", "sk-own")
    App(*(own if wrong else (emulator.base_url, emulator.api_key))).chat("hi")


def test_goes_through_a_proxy(emulator: EmulatedSession, wrong: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.on().reply("Hello.")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "" if wrong else "127.0.0.1")
    App(emulator.base_url, emulator.api_key, proxied=True).chat("hi")


def test_answers_from_a_cache(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.use({"emulator": 1, "rules": [{"reply": {"text": "Fresh."}}]})
    cached = {"hi": "Stale."} if wrong else {}
    _ = cached.get("hi") or app.chat("hi")


# Manners


@braintwin
def test_retries_at_once(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on().reply(error="rate_limited", times=8).reply("Hello.")  # so often no machine is slower each time
    for attempt in itertools.count():
        if app.chat("hi", model="gpt-4")[0] == 200:
            break
        time.sleep(0.001 if wrong else 2**attempt)
    emulator.assert_well_behaved(strict=True)


@openai
def test_does_not_heed_retry_after(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on().reply(error="rate_limited", retry_after=60).reply("Hello.")
    while app.chat("hi", model="gpt-4o")[0] == 429:
        time.sleep(10 if wrong else 60)
    emulator.assert_well_behaved()


@openai
def test_retries_a_spent_quota(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on(expect={"calls": 1}).reply(error="quota_exhausted")
    while app.chat("hi", model="gpt-4o")[0] == 429 and wrong and len(emulator.calls) < 3:
        time.sleep(60)


def test_retries_a_400(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply(error="invalid_request")
    for _ in range(2 if wrong else 1):
        app.chat("hi")
    emulator.assert_well_behaved()


@openai
def test_retries_for_ever(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on().reply(error="server_error")
    for attempt in range(12 if wrong else 5):
        app.chat("hi", model="gpt-4o")
        time.sleep(2**attempt)
    emulator.assert_well_behaved()


def test_loses_its_idempotency_key(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on().reply(error="rate_limited").reply("Hello.")
    key = {"idempotency-key": "1a4c4f4e-58f1-4c19-8cb5-b0d8e62a0f3e"}
    app.chat("hi", headers=key)
    time.sleep(60)
    app.chat("hi", headers={} if wrong else key)
    emulator.assert_well_behaved()


def test_keeps_a_model_that_is_down(emulator: EmulatedSession, app: App, emulator_time: Any, wrong: bool) -> None:
    emulator.on().reply(error="model_unavailable").reply("Hello.")
    app.chat("hi", model="beatra-1")
    time.sleep(60)
    app.chat("hi", model="beatra-1" if wrong else "auto")
    emulator.assert_well_behaved()


def test_takes_a_cut_stream_as_whole(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    cut = {"cut": {"after_chunks": 3, "how": "clean"}}
    emulator.on().reply("One two three.", faults=[cut]).reply("One two three.")
    answers = [app.chat("Count.", stream=True)[1] for _ in range(2)]
    emulator.completed(next(text for text, whole in answers if whole or wrong))
    emulator.assert_well_behaved()


# Streams


def test_does_not_stream(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply("One two three.", faults=[{"cut": {"after_chunks": 2, "how": "clean"}}])
    app.chat("Count.", **({} if wrong else {"stream": True}))


def test_caps_its_answers(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply("One two three four.", faults=[{"cut": {"after_chunks": 4, "how": "clean"}}])
    app.chat("Count.", stream=True, max_tokens=1 if wrong else 100)


# What is asked


def test_asks_twice(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(expect={"calls": 1}).reply("Hello.")
    for _ in range(2 if wrong else 1):
        app.chat("hi")


def test_forgets_what_was_said(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on().reply("First.")
    emulator.on(turn=2).reply("Second.")
    _, message = app.chat("one")
    app.chat(*([] if wrong else ["one", message]), "two")


def test_forgets_its_system_prompt(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(system={"contains": "pirate"}).reply("Arr.")
    app.chat(*([] if wrong else [{"role": "system", "content": "You are a pirate."}]), "hi")


def test_asks_another_model(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(model="beatra-1").reply("Hello.")
    app.chat("hi", model="auto" if wrong else "beatra-1")


@openai
def test_loses_a_tool_result(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(step=0).reply(tool_calls=[CALL])
    emulator.on(tool_result={"content": {"contains": "21"}}).reply("It is warm.")
    given = {"model": "gpt-4o", "tools": [tool("weather")]}
    _, message = app.chat("How warm?", **given)
    app.chat("How warm?", *results(message, "" if wrong else "21 degrees"), **given)


def test_sends_no_tenant(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(headers={"x-tenant": "acme"}).reply("Hello.")
    app.chat("hi", headers={} if wrong else {"x-tenant": "acme"})


@openai
def test_embeds_one_by_one(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(operation="embeddings", expect={"calls": 1}).reply(embedding="auto")
    for batch in [["a"], ["b"]] if wrong else [["a", "b"]]:
        app.post("/embeddings", {"model": "text-embedding-3-small", "input": batch})


def test_asks_what_another_rule_answers(emulator: EmulatedSession, app: App, wrong: bool) -> None:
    emulator.on(last_user={"contains": "order"}).reply("Ordered.")
    emulator.on(last_user={"contains": "cancel"}).reply("Cancelled.")
    app.chat("order" if not wrong else "cancel my order")
    app.chat("cancel")
