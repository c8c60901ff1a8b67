"""What a test holds in its hand: rules, scenarios, journal, clock and verdict of a session of its own."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from hypothesis import given, settings

from emulator.core.journal import findings as teardown
from emulator.testing.client import ControlError
from emulator.testing.journal import Exchange, Journal
from emulator.testing.session import EmulatedSession, read_scenario

pytestmark = pytest.mark.emulator(provider="beatra")


def ask(emulator: EmulatedSession, text: str = "hi", **fields: Any) -> tuple[int, Any]:
    """Send a chat and return the status and the text, or the error's code."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    headers = {"authorization": f"Bearer {emulator.api_key}", "content-type": "application/json"}
    url = emulator.base_url + "/chat/completions"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
            data = response.read()
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["code"]
    return 200, data.decode() if fields.get("stream") else json.loads(data)["choices"][0]["message"]["content"]


# Rules


def test_more_replies_of_one_on_are_the_next_ones(emulator: EmulatedSession) -> None:
    route = emulator.on().reply("one").reply(error="rate_limited", times=2)
    assert [ask(emulator) for _ in range(3)] == [(200, "one"), *[(429, "rate_limited")] * 2]
    route.reply({"a": 1})
    assert [ask(emulator) for _ in range(2)] == [(200, '{"a":1}')] * 2


@pytest.mark.emulator(allow_unused=True)
def test_a_later_on_comes_before_an_earlier_one_and_both_before_the_file(emulator: EmulatedSession) -> None:
    emulator.use({"emulator": 1, "rules": [{"reply": {"text": "file"}}]})
    assert ask(emulator) == (200, "file")
    emulator.on(model="auto").reply("first")
    assert ask(emulator) == (200, "first")
    emulator.on(last_user="special").reply("second")
    assert [ask(emulator, text)[1] for text in ("special", "else")] == ["second", "first"]
    emulator.use("emulator: 1\nrules:\n  - reply: {text: another file}\n")
    assert [ask(emulator, text)[1] for text in ("special", "else")] == ["second", "first"]


def test_a_rules_own_keys_stand_beside_when(emulator: EmulatedSession) -> None:
    emulator.on(
        state="started", after_last="unmatched", then={"state": "done"}, count_by="key", expect={"calls": 1}
    ).reply("a")
    emulator.on(state="done").reply("b")
    assert [ask(emulator)[1] for _ in range(2)] == ["a", "b"]
    assert emulator.read()["rules"][1]["expect"] == {"calls": 1}


def test_a_rule_stands_where_the_test_made_it(emulator: EmulatedSession) -> None:
    emulator.on().reply("a")
    ask(emulator)
    assert emulator.calls[0].rule.rpartition(":")[0] in ("tests/testing/test_emulated_session.py", "test_testing.py")


@pytest.mark.parametrize(
    ("when", "reply", "message"),
    [
        ({"last_usr": "x"}, {"text": "y"}, "when.last_usr: is not known here; did you mean 'last_user'?"),
        ({}, {"txt": "y"}, "replies[0].txt: is not known here; did you mean 'text'?"),
        ({}, {}, "replies[0]: needs"),
        ({}, {"error": "rate_limitd"}, "replies[0].error"),
    ],
    ids=["when", "reply", "empty", "error"],
)
@pytest.mark.emulator(allow_unused=True)
def test_a_rule_that_does_not_load_is_told_at_its_place(
    emulator: EmulatedSession, when: Any, reply: Any, message: str
) -> None:
    route = emulator.on(**when)
    with pytest.raises(ControlError) as caught:
        route.reply(**reply)
    assert f"{route.at}:1: {message}" in str(caught.value)
    assert (caught.value.status, emulator.read()["rules"], route.replies) == (422, [], ())


@pytest.mark.emulator(allow_unused=True)
def test_a_scenario_with_the_id_of_an_added_rule_is_refused(emulator: EmulatedSession) -> None:
    emulator.on().reply("a")
    with pytest.raises(ControlError, match="has a rule with the id 'on-1' already") as caught:
        emulator.use({"emulator": 1, "rules": [{"id": "on-1", "reply": {"text": "b"}}]})
    assert caught.value.code == "rule_exists"


def test_a_scenario_is_a_mapping_a_text_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "emulator: 1\nrules: []\n"
    (tmp_path / "one.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert read_scenario({"emulator": 1}) == {"scenario": {"emulator": 1}}
    assert read_scenario(text) == {"scenario": text}
    for name in ("one.yaml", Path("one.yaml"), str(tmp_path / "one.yaml")):
        assert read_scenario(name) == {"scenario": text, "file": "one.yaml"}
    assert read_scenario("one.yaml", [tmp_path / "none", tmp_path])["file"] == "one.yaml"
    with pytest.raises(LookupError) as caught:
        read_scenario("c/two.yaml", [Path("/a"), Path("/b"), Path("/a")])
    assert str(caught.value) == (
        "there is no scenario c/two.yaml in /a, /b, nor in the library; "
        "set `emulator_scenarios` to the folder that has it"
    )


def test_a_scenario_of_the_library_comes_after_the_folders(tmp_path: Path) -> None:
    chat = Path(__file__).parents[2] / "scenarios/beatra/chat.yaml"
    assert read_scenario("beatra/chat.yaml", [tmp_path])["scenario"] == chat.read_text()
    (tmp_path / "beatra").mkdir()
    (tmp_path / "beatra/chat.yaml").write_text("emulator: 1")
    assert read_scenario("beatra/chat.yaml", [tmp_path])["scenario"] == "emulator: 1"


def read_pieces(client: httpx2.Client, emulator: EmulatedSession) -> list[bytes]:
    """Ask for a stream and return what each read gave."""
    headers = {"authorization": f"Bearer {emulator.api_key}"}
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with client.stream("POST", f"{emulator.base_url}/chat/completions", headers=headers, json=body) as response:
        return list(response.iter_raw())


def test_slicings_cut_where_they_say_and_leave_every_byte(emulator: EmulatedSession) -> None:
    @settings(max_examples=20)
    @given(emulator.slicings("Grüße! 你好"))
    def cut(cuts: list[int]) -> None:
        pieces = read_pieces(client, emulator)
        body = b"".join(pieces)
        ends = [sum(map(len, pieces[: index + 1])) for index in range(len(pieces))]
        assert ends == sorted({place for place in cuts if place < len(body)} | {len(body)})
        said = [json.loads(event.removeprefix("data: ")) for event in body.decode().split("\n\n")[:-2]]
        assert "".join(item["choices"][0]["delta"].get("content", "") for item in said) == "Grüße! 你好"

    with httpx2.Client() as client:
        cut()


def test_slicings_find_the_smallest_cut_that_breaks_a_client(emulator: EmulatedSession) -> None:
    tried: list[list[int]] = []

    @settings(max_examples=200, database=None, derandomize=True)
    @given(emulator.slicings())
    def careless(cuts: list[int]) -> None:
        tried.append(cuts)
        for piece in read_pieces(client, emulator):
            piece.decode()

    with httpx2.Client() as client, pytest.raises(UnicodeDecodeError):
        careless()
    assert len(tried[-1]) == 1


# What happened


def test_journal_and_calls_are_sequences(emulator: EmulatedSession) -> None:
    emulator.on(last_user="hi").reply("a")
    ask(emulator)
    ask(emulator, temperature=9)
    journal = emulator.journal
    assert ([item.status for item in journal], len(emulator.calls), journal.dropped) == ([200, 400], 1, 0)
    assert (journal[-1].refusal["code"], journal[0]["body"]["model"]) == ("invalid_request", "auto")
    assert isinstance(journal[:1], Journal)
    assert [item.n for item in journal[1:]] == [2]
    path = f"/s/{emulator.id}/beatra/v1/chat/completions"
    assert repr(journal[1:]) == f"2: POST {path} -> 400 (refused)"
    assert repr(Journal(())) == "no exchanges"


def test_an_exchange_says_what_it_has() -> None:
    with pytest.raises(AttributeError, match="an exchange has no 'modle'; it has n, model"):
        _ = Exchange({"n": 1, "model": "auto"}).modle


def test_secrets_are_not_shown(emulator: EmulatedSession) -> None:
    ask(emulator)
    assert emulator.api_key not in json.dumps(emulator.journal[0])


def test_verify_raises_with_the_nearest(emulator: EmulatedSession) -> None:
    ask(emulator)
    emulator.verify()
    emulator.verify(count=1, last_user="hi")
    emulator.verify(at_least=1, at_most=1)
    with pytest.raises(AssertionError) as caught:
        emulator.verify(last_user={"contains": "report"})
    assert str(caught.value) == (
        'expected at least 1 request that fit {"last_user":{"contains":"report"}}, got 0 of 1 requests\n'
        "  exchange 1:\n"
        '    last_user: expected {"contains":"report"}, got "hi"'
    )
    with pytest.raises(ControlError, match="did you mean 'last_user'"):
        emulator.verify(last_usr="x")


def test_waiting_for_calls(emulator: EmulatedSession) -> None:
    thread = threading.Thread(target=ask, args=(emulator,))
    thread.start()
    assert [item.sent["end"] for item in emulator.wait_for(calls=1)] == ["complete"]
    thread.join()
    with pytest.raises(AssertionError, match=r"expected 2 calls within 0\.01 s, got 1\n1: POST /s/"):
        emulator.wait_for(calls=2, timeout=0.01)


def test_a_journal_becomes_a_scenario_that_answers_the_same(emulator: EmulatedSession) -> None:
    emulator.on(last_user="hi").reply("Hello, ${request.last_user}.", headers={"x-extra": "1"}).reply(
        error="rate_limited", retry_after=3
    )
    emulator.on(stream=True).reply("One two", stream={"split": ["One", " two"]})
    before = [ask(emulator), ask(emulator), ask(emulator, "count", stream=True)]
    text = emulator.journal.to_scenario()
    rules = yaml.safe_load(text)["rules"]
    assert [reply.get("headers") for rule in rules for reply in rule["replies"]] == [
        {"x-extra": "1"}, {"retry-after": "3"}, None,
    ]  # fmt: skip
    other = EmulatedSession(emulator._control, scenario=text)
    after = [ask(other), ask(other), ask(other, "count", stream=True)]
    other.delete()
    assert after[:2] == before[:2] == [(200, "Hello, hi."), (429, "rate_limited")]
    assert after[2][1].count('"content":') == before[2][1].count('"content":')


# The clock


@pytest.mark.emulator(clock="virtual")
def test_the_clock_is_moved_held_and_released(emulator: EmulatedSession) -> None:
    began = emulator.clock.now
    assert emulator.clock.kind == "virtual"
    assert round(emulator.clock.advance("60s") - began, 3) == 60
    assert round(emulator.clock.advance(1.5) - began, 3) == 61.5
    assert emulator.clock.seen == emulator.clock.now
    emulator.on().reply("slow", latency="5m")
    emulator.clock.hold()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask(emulator)))
    thread.start()
    while not emulator.journal:
        pass
    assert (answers, emulator.journal[0].sent["end"]) == ([], "under_way")
    emulator.clock.release()
    thread.join()
    assert answers == [(200, "slow")]
    assert round(emulator.clock.now - began, 3) == 361.5


def test_a_real_clock_does_not_move(emulator: EmulatedSession) -> None:
    for act in (lambda: emulator.clock.advance("1s"), emulator.clock.hold):
        with pytest.raises(ControlError) as caught:
            act()
        assert (caught.value.status, caught.value.code) == (409, "real_clock")


# The verdict


def test_completed_needs_a_call(emulator: EmulatedSession) -> None:
    with pytest.raises(LookupError, match="no call was answered yet"):
        emulator.completed("text")


def test_the_verdict_before_anything_happened(emulator: EmulatedSession) -> None:
    verdict = emulator.verdict()
    assert (verdict["ok"], {item["status"] for item in verdict["findings"]}) == (True, {"not_seen"})
    emulator.assert_well_behaved(strict=True, ignore=["be-retry-same-key"])
    with pytest.raises(ValueError, match="there is no finding be-retry; known: be-incomplete-stream, "):
        emulator.assert_well_behaved(ignore=["be-retry"])


FINDINGS = [
    {
        "fact": "a",
        "provider": "p",
        "status": "fail",
        "advice": False,
        "message": "A.",
        "exchanges": [1, 2],
        "source": "S",
    },
    {"fact": "b", "provider": "p", "status": "fail", "advice": True, "message": "B.", "exchanges": [3], "source": "T"},
    {"fact": "c", "provider": "p", "status": "pass", "advice": False, "message": "C.", "exchanges": [4], "source": "U"},
]
FIRST, SECOND = "  a: A. (exchanges 1, 2; p: S)", "  b: B. (exchange 3; p: T)"


@pytest.mark.parametrize(
    ("strict", "ignore", "lines"),
    [(False, [], [FIRST]), (True, [], [FIRST, SECOND]), (True, ["a"], [SECOND]), (False, ["a"], [])],
    ids=["lenient", "strict", "strict-but", "ignored"],
)
def test_misbehaviour_is_told_in_full(strict: bool, ignore: Any, lines: Any) -> None:
    bad = teardown.misbehaved(FINDINGS, strict, ignore)
    assert teardown.misbehaviour(bad, []).splitlines() == ["the client did not behave as the docs ask:", *lines]


def test_a_refused_request_is_misbehaviour_with_its_reason(emulator: EmulatedSession) -> None:
    ask(emulator, temperature="warm")
    ask(emulator)
    with pytest.raises(AssertionError) as caught:
        emulator.assert_well_behaved()
    assert str(caught.value).splitlines()[1:] == [
        "  valid-requests: Requests were refused, and no rule said so: 400 invalid_request. (exchange 1; beatra: "
        "every provider: a request that is refused is a mistake of the client)",
        "    exchange 1: invalid_request: temperature: must be a number, not 'warm'",
        "allow it with assert_well_behaved(ignore=['valid-requests'])",
    ]
    emulator.assert_well_behaved(ignore=["valid-requests"])
