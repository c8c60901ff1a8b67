"""What is wrong when a session ends: scenarios, rules made in tests and requests in, findings out."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from emulator.testing import causes
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession

Act = Callable[[EmulatedSession], Any]


def ask(session: EmulatedSession, text: str = "hi", headers: Any = (), **fields: Any) -> int:
    """Send a chat and return the status; what came is read, as far as it came."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    given = {"authorization": f"Bearer {session.api_key}", "content-type": "application/json", **dict(headers)}
    request = urllib.request.Request(session.base_url + "/chat/completions", json.dumps(body).encode(), given)
    try:
        with urllib.request.urlopen(request) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def on(when: Any = (), *replies: Any, **rule: Any) -> Act:
    """Make a rule as a test does, at line 1 of `t.py`."""

    def act(session: EmulatedSession) -> None:
        number = len(session._routes) + 1
        route = session.on(**dict(when), **rule)
        route.at = f"t.py:{number}"
        for reply in replies:
            route.reply(**reply)

    return act


def asks(*texts: str, **fields: Any) -> Act:
    return lambda session: [ask(session, text, **fields) for text in texts]


def uses(*rules: Any, **settings: Any) -> Act:
    return lambda session: session.use({"emulator": 1, "rules": list(rules), **settings})


A, B = {"text": "a"}, {"text": "b"}
LIMITED = {"error": "rate_limited", "times": 2}
CUT: Any = {"text": "One two three.", "faults": [{"cut": {"after_chunks": 50}}]}
UNDONE: Any = {"text": "One two three.", "faults": [{"drop_done": True}]}
TWO: Any = {"replies": [A, B]}
CALL: Any = {"tool_calls": [{"name": "weather", "arguments": {}}]}
CHAT = "POST /s/ID/brainstormrouter/v1/chat/completions"
NEAREST = 'the nearest:\n  exchange 1: last_user: expected "never", got "hi"'
SHORT, WHOLE = "exchange 1 was a stream of 6 events", "exchange 1 was a whole answer, without chunks"

CASES: dict[str, tuple[Sequence[Act], list[str]]] = {
    "one reply for ever": ([on((), A), asks("hi", "hi")], []),
    "the second reply": ([on((), A, B), asks("hi")], ["reply 2 of the rule at t.py:1 was never asked for"]),
    "both replies": ([on((), A, B), asks("hi", "hi")], []),
    "times": ([on((), LIMITED, A), asks("hi")], [
        "reply 1 of the rule at t.py:1 was asked for once, not twice",
        "reply 2 of the rule at t.py:1 was never asked for",
    ]),
    "times of the last": ([on((), A, {**B, "times": 3}), asks("hi", "hi", "hi")],
                          ["reply 2 of the rule at t.py:1 was asked for twice, not 3 times"]),
    "cycle": ([on((), A, B, after_last="cycle"), asks("hi", "hi", "hi")], []),
    "by key": ([on((), A, B, count_by="request"), asks("hi", "ho")],
               ["reply 2 of the rule at t.py:1 was never asked for"]),
    "never used, one nearly": ([on((), B), on({"last_user": "never"}, A), asks("hi")],
                               [f"the rule of .on() at t.py:2 was never used; {NEAREST}"]),
    "unmatched": ([on({"last_user": "never"}, A), asks("hi")], [
        f"no rule answered exchange 1 ({CHAT}); the nearest:\n"
        '  t.py:1 (on-1)\n    last_user: expected "never", got "hi"',
        "the rule of .on() at t.py:1 was never used",
    ]),
    "shadowed by a later one": (
        [on({"last_user": "hi"}, A), on((), B), asks("hi")],
        ["the rule of .on() at t.py:1 was never used; what fits it went elsewhere: exchange 1 by the rule at t.py:2"],
    ),
    "used before it was": ([asks("hi"), on((), A)], [
        "the rule of .on() at t.py:1 was never used; what fits it went elsewhere: exchange 1 by built-in",
    ]),
    "expected not to be used": ([on((), B), on({"last_user": "never"}, A, expect={"calls": 0}), asks("hi")], []),
    "refused before": (
        [on((), A), asks("hi", temperature="warm")],
        ["the rule of .on() at t.py:1 was never used\n  exchange 1 was refused before any rule was asked: "
         "invalid_request: temperature: must be a number, not 'warm'"],
    ),
    "a file's rule not begun": ([uses({"when": {"last_user": "hi"}, "reply": A}, TWO), asks("hi")], []),
    "a file's rule begun": ([uses(TWO), asks("hi")], ["reply 2 of the rule at session:rules[0] was never asked for"]),
    "a scenario beside .on()": ([uses({"reply": A}), on((), B), asks("hi")], [
        "nothing was asked of the scenario: the rule at session:rules[0] was never used; "
        "what came was answered elsewhere: exchange 1 by the rule at t.py:1",
    ]),
    "a scenario that could have refused": ([uses({"reply": A}, keys=["sk-good"]), asks("hi", temperature="warm")], []),
    "settings without rules": ([uses(seed=3), asks("hi")], []),
    "a scenario in place of another": ([uses({"reply": A}), uses({"reply": B}), asks("hi")], [
        "nothing was asked of the scenario: the rule at session:rules[0] was never used",
    ]),
    "replies of another scenario": ([uses(TWO), asks("hi"), uses({"reply": B}), asks("hi")],
                                    ["reply 2 of the rule at session:rules[0] was never asked for"]),
    "a rule of the same name": ([uses(TWO), asks("hi", "hi"), uses(TWO), asks("hi")],
                                ["reply 2 of the rule at session:rules[0] was never asked for"]),
    "a fault on a shorter stream": ([on((), CUT), asks("hi", stream=True)], [
        f"the fault cut of reply 1 of the rule at t.py:1 never struck: {SHORT}",
    ]),
    "another case": ([on({"last_user": {"contains": "Report"}}, A), asks("the report")], [
        f"no rule answered exchange 1 ({CHAT}); the nearest:\n  t.py:1 (on-1)\n"
        '    last_user: expected {"contains": "Report"}, got "the report" (in another case)',
        "the rule of .on() at t.py:1 was never used",
    ]),
    "a fault on no stream": ([on((), UNDONE), asks("hi")], [
        f"the fault drop_done of reply 1 of the rule at t.py:1 never struck: {WHOLE}",
    ]),
    "a fault that struck once": ([on((), UNDONE), asks("hi"), asks("hi", stream=True)],
                                 []),
    "a fault by chance": ([on((), {**CUT, "faults": [{"cut": {"after_chunks": 50}, "chance": 0.5}]}), asks("hi")], []),
    "a fault where chaos answered": (
        [uses({"reply": CUT}, chaos=[{"chance": 1, "error": "server_error"}]), asks("hi", stream=True)], [],
    ),
    "a fault where chaos struck too": (
        [uses({"reply": CUT}, chaos=[{"chance": 1, "fault": {"slice": {"bytes": 3}}}]), asks("hi", stream=True)],
        [f"the fault cut of reply 1 of the rule at session:rules[0] never struck: {SHORT}"],
    ),
    "a call of a tool that is not offered": ([on((), CALL), asks("hi", "hi")], [
        f"the rule at t.py:1 does not fit exchange 1 ({CHAT}): the reply calls 'weather', and the request offers "
        "no tools (say off_contract: true if it is meant to)",
    ]),
    "such a call that is meant": ([on((), {**CALL, "off_contract": True}), asks("hi")], []),
    "no reply": ([on(), asks("hi")], ["the rule of .on() at t.py:1 has no .reply()"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_when_a_session_ends(
    emulator_server: Control, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, expected = CASES[case]
    session = EmulatedSession(emulator_server, provider="brainstormrouter", clock="virtual", plan="unlimited")
    monkeypatch.setattr("emulator.testing.session.place", lambda frame: f"t.py:{len(session._routes) + 1}")
    for act in acts:
        act(session)
    assert [item.text.replace(session.id, "ID") for item in session.findings()] == expected
    session.delete()


# Where not one request came


def never_came(emulator_server: Control, monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """Return what is said of a session that has a rule and got nothing."""
    for name in [*os.environ]:
        if name.upper().endswith(("_PROXY", *causes._BASE_URLS)):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session = EmulatedSession(emulator_server, provider="beatra", form="test({})")
    session.on().reply("a")
    ask_elsewhere(emulator_server.url)
    [found] = session.findings()
    session.delete()
    return session.told([found]).splitlines()


def ask_elsewhere(url: str) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": "Bearer any", "content-type": "application/json"}
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        urllib.request.Request(f"{url}/beatra/v1/chat/completions", json.dumps(body).encode(), headers)
    ).close()


def test_where_not_one_request_came_the_causes_are_named(
    emulator_server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = never_came(
        emulator_server, monkeypatch, HTTP_PROXY="http://proxy.test:3128", OPENAI_API_BASE="https://other.test/v1",
        OPENAI_BASE_URL=emulator_server.url,
    )  # fmt: skip
    assert re.sub(r"at \S+:\d+", "at PLACE", lines.pop(0)) == (
        "not one request came to this session: the rule of .on() at PLACE was never used; what may be the cause:"
    )
    assert lines == [
        "  - the client has another address than this session's base_url: the server's default session got POST "
        "/beatra/v1/chat/completions",
        "  - HTTP_PROXY is set, and requests go to that proxy: set NO_PROXY=127.0.0.1",
        "  - OPENAI_API_BASE is set, to other.test: clients that read it go there",
        "  - the client was made before the variables were set, as one at the top of a module is: set `emulator_env = "
        "true` in pytest's ini, or make the client in the test",
        "  - the client was given another base URL, or the application asked nothing",
        "allow it with test(allow_unused=True)",
    ]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_proxy_that_is_not_for_the_emulator_is_no_cause(
    emulator_server: Control, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given = {"http_proxy": "http://proxy.test:3128", name: "localhost,127.0.0.1"}
    assert not [line for line in never_came(emulator_server, monkeypatch, **given) if "proxy" in line]


# What is allowed


@pytest.mark.parametrize(
    ("allowed", "left"),
    [(False, 2), (True, 0), ("first", 1), (["first", "second"], 0), (["third"], 2)],
    ids=["nothing", "all", "one", "both", "another"],
)
def test_what_is_unused_is_allowed_by_name(emulator_server: Control, allowed: Any, left: int) -> None:
    session = EmulatedSession(emulator_server, provider="beatra", allow_unused=allowed)
    session.on().reply("a")
    session.on(id="first", last_user="never").reply("b")
    session.on(id="second", last_user="neither").reply("c")
    ask(session)
    assert len(session.findings()) == left
    session.delete()


def test_an_answer_that_is_replayed_asks_for_no_reply(emulator_server: Control) -> None:
    session = EmulatedSession(emulator_server, provider="beatra")
    session.on().reply("a", times=2)
    key = {"idempotency-key": "1a4c4f4e-58f1-4c19-8cb5-b0d8e62a0f3e"}
    assert [ask(session, headers=key) for _ in range(2)] == [200, 200]
    assert session.journal[1].replay_of == 1
    [found] = session.findings()
    assert found.text.endswith("was asked for once, not twice")
    session.delete()


def test_what_a_rule_refuses_needs_no_reason(emulator_server: Control) -> None:
    session = EmulatedSession(emulator_server, provider="beatra")
    session.on().reply(error="invalid_request")
    ask(session)
    assert session.report().count("\n") == 0  # the line of the exchange alone
    session.delete()
