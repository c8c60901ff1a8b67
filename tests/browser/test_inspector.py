"""The inspector in a real Chromium: what it shows, by mouse and by keyboard, and that nothing in it can run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect
from sockets.raw import Connection, ServedSession, chat, control, make_session, request

from emulator import Emulator
from emulator.server.control.inspector import page_with

#: Found in what the browser says of a 403, which the token's test provokes.
REFUSED = "status of 403"
SCENARIO = """
provider: beatra
clock: virtual
rules:
- {id: limited, when: {last_user: {contains: retry}}, replies: [{error: rate_limited}, {text: Again.}]}
- id: weather
  when: {last_user: {contains: weather}, headers: {x-tenant: acme}}
  reply:
    text: It is sunny.
    stream: {split: words, ttft: 200ms, itl: 50ms}
    faults: [{comment: {every: 90ms}}, {cut: {after_chunks: 3, how: reset}}]
- {id: poem, when: {last_user: {contains: poem}, model: {not: auto}}, reply: {text: Roses.}}
- {id: story, when: {last_user: {contains: story}}, then: {state: told}, reply: {text: Once upon a time.}}
"""


class Watched:
    """A page, and all that it did which it should not: errors, dialogs, requests to anywhere else."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.requests: list[Request] = []
        self.page: Page = browser.new_page(**options)
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type != "log" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda asked: self.requests.append(asked))

    def open(self, place: str = "", session: str | None = None) -> Page:
        self.page.goto(f"{self.url}/_emulator/{place}")
        if session:
            self.page.select_option("#session", session)
        return self.page

    def check(self) -> None:
        assert self.wrong == []
        assert [
            item.url for item in self.requests if not item.url.startswith((f"{self.url}/_emulator/", "data:"))
        ] == []


@pytest.fixture
def make(url: str) -> Iterator[Callable[..., ServedSession]]:
    """Makes sessions that end with the test."""
    made: list[ServedSession] = []

    def make(scenario: str | None, **options: Any) -> ServedSession:
        made.append(make_session(url, scenario, **options))
        return made[-1]

    yield make
    for live in made:
        control(url, "DELETE", f"/sessions/{live.id}")


@pytest.fixture
def watched(browser: Browser, url: str, make: Callable[..., ServedSession]) -> Iterator[Watched]:
    """A page that closes before the sessions of `make` end: it would ask for one that is gone."""
    found = Watched(browser, url, viewport={"width": 1200, "height": 800})
    yield found
    found.page.close()
    found.check()


@pytest.fixture
def live(make: Callable[..., ServedSession]) -> ServedSession:
    return make(SCENARIO, plan={"requests_per_minute": 9})


def cells(page: Page, name: str) -> list[str]:
    return page.locator(f"#rows .{name}").all_inner_texts()


def rows(page: Page, count: int) -> None:
    expect(page.locator("#rows .row")).to_have_count(count, timeout=20_000)


def cut_stream(live: ServedSession) -> None:
    """Ask for the stream that is reset."""
    with live.connect() as connection:
        connection.send(live.request(chat("the weather", stream=True), headers={"x-tenant": "acme"}))
        with pytest.raises(ConnectionResetError):
            connection.rest()


def lines_of(box: Locator) -> list[str]:
    return [line for line in box.inner_text().split("\n") if line]


def opened(watched: Watched, live: ServedSession, n: int) -> Page:
    page = watched.open(f"#/exchanges/{live.id}/{n}")
    expect(page.locator("#detail h2")).to_contain_text(f"#{n} ")
    return page


# The table


def test_exchanges_are_shown(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("retry"))
    cut_stream(live)
    live.ask(chat("hello"))
    live.ask(chat("hello", temperature=3))
    page = watched.open(session=live.id)
    rows(page, 4)
    assert cells(page, "n") == ["1", "2", "3", "4"]
    assert cells(page, "provider") == ["beatra"] * 4
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", time) for time in cells(page, "at"))
    assert cells(page, "asked") == ["retry", "the weather", "hello", "hello"]
    assert cells(page, "answered") == [
        "rate_limited", "It is", "no rule answered", "invalid_request: temperature must be at most 2, not 3",
    ]  # fmt: skip
    assert cells(page, "model") == ["beatra-1", "beatra-1", "auto", "auto"]
    assert cells(page, "status") == ["429", "200 reset", "404", "400"]
    assert cells(page, "rule") == [
        "session:6 · limited · rate_limited", "session:7 · weather", "unmatched", "invalid_request · be-temperature",
    ]  # fmt: skip
    assert cells(page, "took")[1:] == ["300 ms", "0 ms", "0 ms"]


def test_exchanges_appear_over_the_live_stream(watched: Watched, live: ServedSession) -> None:
    page = watched.open()
    with page.expect_response("**/journal/events?*"):  # what is asked before would be shown by a look alone
        page.select_option("#session", live.id)
    expect(page.locator("#empty")).to_be_visible()
    page.route("**/_emulator/sessions", lambda route: None)  # from here on no look at the sessions is answered
    live.ask(chat("a story"))
    rows(page, 1)
    live.ask(chat("retry"))
    rows(page, 2)
    assert cells(page, "rule") == ["session:14 · story", "session:6 · limited · rate_limited"]


def test_exchanges_of_all_sessions_appear(watched: Watched, live: ServedSession) -> None:
    page = watched.open()
    expect(page.locator("#live")).to_have_text("live")
    other = make_session(live.url, "rules: []")
    other.ask(chat("one"))
    live.ask(chat("a story"))
    expect(page.locator("#rows .session", has_text=other.id)).to_have_count(1)
    expect(page.locator("#rows .session", has_text=live.id)).to_have_count(1)
    control(live.url, "DELETE", f"/sessions/{other.id}")
    expect(page.locator("#rows .session", has_text=other.id)).to_have_count(0)
    # a browser writes of every 404, and the page may just have asked for the session that went away
    watched.wrong = [item for item in watched.wrong if "404 (Not Found)" not in item]


def test_a_session_that_is_reset_begins_anew(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a story"))
    live.ask(chat("a story"))
    page = watched.open(session=live.id)
    rows(page, 2)
    control(live.url, "POST", f"/sessions/{live.id}/reset")
    live.ask(chat("retry"))
    rows(page, 1)
    assert cells(page, "status") == ["429"]


def test_an_exchange_under_way_is_shown_and_ends(watched: Watched, make: Callable[..., ServedSession]) -> None:
    reply = "{text: a b, stream: {split: words}, faults: [{stall: {after_chunks: 2, for: forever}}]}"
    live = make(f"clock: virtual\nprovider: beatra\nrules: [{{reply: {reply}}}]")
    page = watched.open(session=live.id)
    with live.connect() as connection:
        connection.send(live.request(chat(stream=True)))
        connection.until(b'"a"')
        expect(page.locator("#rows .took")).to_have_text("under way")
        page.click("#rows .row")
        expect(page.locator(".fall")).to_contain_text("not sent")
        page.keyboard.press("Escape")
        page.click("text=Sessions")
        page.get_by_role("button", name="Release").click()
        connection.until(b"[DONE]")
    page.click("text=Exchanges")
    expect(page.locator("#rows .took")).not_to_have_text("under way")


@pytest.mark.parametrize(
    ("kind", "found"),
    [("all", "12345"), ("errors", "1345"), ("refused", "45"), ("unmatched", "3"), ("faults", "2")],
)
def test_the_table_is_filtered(watched: Watched, live: ServedSession, kind: str, found: str) -> None:
    live.ask(chat("retry"))
    cut_stream(live)
    live.ask(chat("hello"))
    live.ask(chat(temperature=3))
    live.ask(path="/beatra/v1/nothing")
    page = watched.open(session=live.id)
    rows(page, 5)
    expect(page.locator("#kinds label", has_text="refused")).to_have_text("refused 2")
    page.check(f"#kinds [value={kind}]", force=True)
    rows(page, len(found))
    assert "".join(cells(page, "n")) == found
    expect(page.locator("#count")).to_have_text(f"{len(found)} of 5")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("POEM", "2"),
        ("rate_limited", "1"),
        ("be-temperature", "3"),
        ("beatra invalid_request", "3"),
        ("zebra", ""),
    ],  # no word that a random id can hold
)
def test_the_table_is_searched(watched: Watched, live: ServedSession, words: str, found: str) -> None:
    live.ask(chat("retry"))
    live.ask(chat("a poem"))
    live.ask(chat(temperature=3))
    page = watched.open(session=live.id)
    rows(page, 3)
    page.fill("#search", words)
    rows(page, len(found))
    assert "".join(cells(page, "n")) == found


def test_the_keyboard_is_enough(watched: Watched, live: ServedSession) -> None:
    for text in ("a story", "a poem", "retry"):
        live.ask(chat(text))
    page = watched.open(session=live.id)
    rows(page, 3)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("o")
    page.keyboard.press("Escape")
    table = page.locator("#table")
    expect(table).to_be_focused()
    selected = page.locator("#rows [aria-selected=true] .n")
    for key, n in [("j", "1"), ("ArrowDown", "2"), ("j", "3"), ("j", "3"), ("k", "2"), ("Home", "1"), ("End", "3")]:
        page.keyboard.press(key)
        expect(selected).to_have_text(n)
    expect(table).to_have_attribute("aria-activedescendant", "selected")
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_contain_text("#3 ")
    expect(page.locator("#detail")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("#detail h2")).to_contain_text("#2 ")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(table).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# One exchange


def test_violations_are_marked_at_their_place(watched: Watched, live: ServedSession) -> None:
    body = {"model": "auto", "messages": [{"role": "user"}], "temperature": 9, "top_k": 1}
    live.ask(body, headers={"Idempotency-Key": "nope"})
    page = opened(watched, live, 1)
    lines = lines_of(page.locator("#detail .code >> nth=1"))
    found = [index for index, line in enumerate(lines) if line.startswith("wrong: ")]
    assert [(lines[index - 1], lines[index]) for index in found] == [
        ("{", "wrong: messages[0].content: is required"),
        ('"temperature": 9,', "wrong: temperature: must be at most 2, not 9"),
    ]
    assert [lines[index + 1].partition(":")[0] for index in found] == [
        "be-messages · Key fields", "be-temperature · Key fields",
    ]  # fmt: skip
    expect(page.locator("#detail .box")).to_contain_text("Refused: invalid_request, 400")


def test_a_violation_of_a_header_is_marked_there(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a story"), headers={"Idempotency-Key": "nope"})
    page = opened(watched, live, 1)
    lines = lines_of(page.locator("#detail details[open] .code"))
    index = lines.index("idempotency-key: nope")
    assert lines[index + 1 : index + 3] == [
        "wrong: idempotency-key: must be a UUID, not 'nope'",
        "be-idempotency · Request: An Idempotency-Key header holds a UUID; a repeat with that key and an equal body "
        "gets the first answer once more.",
    ]


def test_notes_are_shown_and_marked(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a story", foo=1))
    page = opened(watched, live, 1)
    note = "foo is not in the docs; it was accepted and has no effect"
    assert page.locator("#detail .notes li").all_inner_texts() == [note]
    expect(page.locator("#detail .mark")).to_have_text(f"note: {note.replace(' is', ': is', 1)}")


def test_a_cut_stream_has_its_waterfall(watched: Watched, live: ServedSession) -> None:
    cut_stream(live)
    page = opened(watched, live, 1)
    assert page.locator("#detail .chip").all_inner_texts() == ["comment", "cut"]
    assert page.locator("#detail .frame").all_inner_texts() == [
        "1 keep-alive line", "2 keep-alive line", "3 data", "4 data", "5 data", "end: reset",
    ]  # fmt: skip
    texts = page.locator("#detail .fall .said:not(.title)").all_inner_texts()
    assert texts == [": keep-alive", ": keep-alive", '""', '"It"', '" is"', ""]
    figures = page.locator("#detail .fall .figure:not(.title)").all_inner_texts()
    assert figures[:10] == [time for time in ("90 ms", "180 ms", "200 ms", "250 ms", "300 ms") for _ in "12"]
    expect(page.locator("#detail .bubble.answer .wrap")).to_have_text("It is")
    planned, real = (page.locator(f".track .bar.{kind}").nth(3).bounding_box() for kind in ("plan", "real"))
    assert planned
    assert real
    assert (round(planned["x"]), round(planned["width"])) == (round(real["x"]), round(real["width"]))
    assert real["y"] > planned["y"]


def test_near_misses_are_a_diff_in_two_columns(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a poem about the weather"))
    page = opened(watched, live, 1)
    assert page.locator("#detail h3", has_text="Near miss").all_inner_texts() == [
        "Near miss: session:6 (limited)", "Near miss: session:7 (weather)", "Near miss: session:13 (poem)",
    ]  # fmt: skip
    assert page.locator("#detail .diff tbody tr").all_inner_texts() == [
        'last_user\t{"contains":"retry"}\t"a poem about the weather"',
        'headers.x-tenant\t"acme"\tnothing',
        'model\t{"not":"auto"}\t"auto"',
    ]
    sides = [page.locator(f"#detail .diff {side}").first.bounding_box() for side in ("ins", "del")]
    assert sides[0]
    assert sides[1]
    assert sides[0]["y"] == sides[1]["y"]


NEVER = "rules: [{when: {operation: any, state: never}, reply: {builtin: true}}]"
LONG = "x" * 150 + "😀" * 60
BODIES = {
    "plain": ("beatra", chat("a poem: é ü 日本")),
    "hostile": ("beatra", chat('"}\n- {reply: x} # ${request.last_user} \x7f\x85\u2028\u202e\ufeff\t\\ yes: [no')),
    "long": ("beatra", chat(LONG)),
    "parts": ("braintwin", {"model": "gpt-4", "messages": [{"role": "user", "content": "one\ntwo"}]}),
    "no user": ("braintwin", {"model": "gpt-4", "messages": [{"role": "system", "content": "be kind"}]}),
    "vision": (
        "brivionix",
        {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ),
}


@pytest.mark.parametrize(("provider", "body"), BODIES.values(), ids=BODIES)
def test_the_rule_that_is_shown_answers(
    watched: Watched, make: Callable[..., ServedSession], provider: str, body: dict[str, Any]
) -> None:
    live = make(NEVER)
    path = f"/{provider}/v1/chat/completions"
    assert live.ask(body, path=path).status == 404, "the request itself is good"
    page = opened(watched, live, 1)
    page.click("text=Show a rule that would answer")
    control(live.url, "PUT", f"/sessions/{live.id}/scenario", {"scenario": page.locator("#rule").text_content()})
    answer = live.ask(body, path=path)
    assert (answer.status, answer.headers["x-emulator-rule"]) == (200, "session:4")
    assert answer.json["choices"][0]["message"]["content"] == "Hello from the scenario."


def test_the_rule_for_another_operation_answers(watched: Watched, make: Callable[..., ServedSession]) -> None:
    live = make(NEVER)
    path = "/brainstormrouter/v1/models"
    assert live.ask(None, method="GET", path=path).status == 404
    page = opened(watched, live, 1)
    page.click("text=Show a rule that would answer")
    control(live.url, "PUT", f"/sessions/{live.id}/scenario", {"scenario": page.locator("#rule").text_content()})
    assert live.ask(None, method="GET", path=path).headers["x-emulator-rule"] == "session:4"


# Sessions and the verdict


def test_a_session_is_shown_and_advanced(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a story"))
    page = watched.open("#/sessions", live.id)
    card = page.get_by_role("article", name=f"Session {live.id}")
    expect(card.locator(".facts")).to_contain_text("State told")
    assert card.locator("table >> nth=0").locator("tbody tr").all_inner_texts() == [
        f"beatra\t{live.journal()[0]['key']}\tsession\t8\tno limit\t60 s"
    ]
    assert card.locator("table >> nth=1").locator("tbody tr").last.inner_text() == "story\tsession:14\t1\t"
    card.get_by_label("Time to advance").fill("45s")
    card.get_by_role("button", name="Advance").click()
    expect(card.locator("table >> nth=0")).to_contain_text("15 s")
    expect(card.get_by_label("Time to advance")).to_have_value("45s")
    card.get_by_label("Time to advance").fill("soon")
    card.get_by_label("Time to advance").press("Enter")
    expect(card.get_by_role("status")).to_contain_text("not 'soon'")
    watched.wrong = [item for item in watched.wrong if "status of 400" not in item]


def test_a_real_clock_has_no_buttons(watched: Watched) -> None:
    page = watched.open("#/sessions", "default")
    card = page.get_by_role("article", name="Session default")
    expect(card).to_contain_text("The clock is real")
    expect(card.get_by_role("button")).to_have_count(0)


def test_the_verdict_is_shown_and_leads_to_its_exchanges(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("retry"))
    live.ask(chat("retry"))
    page = watched.open("#/verdict", live.id)
    expect(page.locator("#verdict h2")).to_have_count(1)
    expect(page.locator("#verdict h2")).to_have_text(f"{live.id}: the client is at fault")
    row = page.locator("#verdict tr", has_text="be-retry-same-key")
    expect(row).to_contain_text("fail")
    row.get_by_role("link", name="#1").click()
    expect(page.locator("#detail h2")).to_contain_text("#1 ")


# The token


def test_the_token_is_asked_for(browser: Browser) -> None:
    emulator = Emulator(host="0.0.0.0")
    emulator.setup = replace(emulator.setup, admin_token="open sesame")
    with emulator:
        watched = Watched(browser, emulator.url)
        page = watched.open()
        expect(page.locator("#ask-why")).to_contain_text("--admin-token")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#ask-why")).to_have_text("The server refused this token.")
        page.fill("#token", "open sesame")
        page.click("text=Continue")
        expect(page.locator("#ask")).to_be_hidden()
        expect(page.locator("#live")).to_have_text("live")
        with Connection(emulator.url) as connection:
            connection.send(request(emulator.url, chat()))
            connection.answer()
        rows(page, 1)
        assert page.evaluate("[Object.keys(sessionStorage).length, Object.keys(localStorage).length]") == [1, 0]
        page.reload()
        rows(page, 1)
        expect(page.locator("#ask")).to_be_hidden()
        assert not any("sesame" in item.url for item in watched.requests)
        watched.wrong = [item for item in watched.wrong if REFUSED not in item]
        watched.check()
        page.close()


# Ten thousand


def fill_journal(live: ServedSession, count: int) -> None:
    """Make exchanges as fast as the server takes them: a hundred at once on one connection."""
    batch = b"".join(live.request(chat(f"number-{index}.")) for index in range(100))
    with live.connect() as connection:
        for _ in range(count // 100):
            connection.send(batch)
            answers = 0
            while answers < 100:
                connection.until(b"HTTP/1.1 200")
                answers += 1


def test_ten_thousand_exchanges(watched: Watched, make: Callable[..., ServedSession]) -> None:
    live = make(None)
    fill_journal(live, 10_000)
    page = watched.open(session=live.id)
    expect(page.locator("#count")).to_have_text("10,000 of 10,000", timeout=60_000)
    drawn = page.locator("#rows .row")
    table = page.locator("#table")
    for key, n in [("Home", "1"), ("End", "10000"), ("PageUp", "9985")]:
        table.press(key)
        expect(page.locator("#rows [aria-selected=true] .n")).to_have_text(n)
        assert drawn.count() < 100
    page.evaluate("document.querySelector('#table').scrollTop = 150000")
    expect(page.locator("#rows .n", has_text="5005")).to_be_in_viewport()
    assert drawn.count() < 100
    page.fill("#search", "Number-42.")
    expect(page.locator("#count")).to_have_text("100 of 10,000")
    expect(page.locator("#rows .n").first).to_have_text("43")
    assert drawn.count() < 100
    asked = [item.url for item in watched.requests if f"{live.id}/journal?" in item.url]
    assert len(asked) < 40, "the journal was read in pages, once"
    live.ask(chat("number-42."))
    expect(page.locator("#count")).to_have_text("101 of 10,000")


# Hostile requests

EVIL = (
    "<img src=x onerror=\"alert('run')\"><script>alert('run')</script>'\"></textarea></title><svg onload=alert('run')>"
)
TURNED = "abc\u202edcba\u2066x\u200bz"
SPELT = r"abc\u202edcba\u2066x\u200bz"


def hostile_requests(live: ServedSession) -> None:
    """Put hostile text wherever a request, a scenario or the control API can."""
    text = f"{EVIL} {TURNED}"
    url, path = "".join(f"%{byte:02x}" for byte in EVIL.encode()), "/beatra/v1/chat/completions"
    live.ask(chat(text), headers={"x-evil": EVIL, "user-agent": EVIL})
    live.ask(chat(text, **{text: {text: [text]}}, model=text))
    live.ask(chat(text, temperature=text))
    live.ask(f"{EVIL} {TURNED}".encode())
    live.ask(chat(text), path=f"{path}?{url}={EVIL.replace(' ', '/')}")
    live.ask(chat(text), path=f"/beatra/v1/{EVIL.replace(' ', '/')}")
    live.ask(chat(text), headers={"Idempotency-Key": EVIL, "content-type": EVIL})
    live.ask({"model": "auto", "messages": [{"role": text, "content": text}]})
    live.ask(chat("please answer " + text, stream=True))
    live.ask(chat("please fail"))
    live.ask(chat("x" * 300_000 + EVIL))
    live.ask([[text] * 5000])
    control(live.url, "POST", f"/sessions/{live.id}/completed", {"exchange": 1, "text": text})


def hostile_session(url: str) -> ServedSession:
    text = f"{EVIL} {TURNED}"
    scenario = {
        "emulator": 1,
        "provider": "beatra",
        "clock": "virtual",
        "rules": [
            {"id": text, "when": {"last_user": {"contains": "please answer"}}, "then": {"state": text},
             "reply": {"text": text, "stream": {"split": 7}, "headers": {"x-reply": EVIL}}},
            {"id": "fails", "when": {"last_user": "please fail"},
             "reply": {"error": {"name": "invalid_request", "message": text,
                                 "details": [{"path": text, "message": text}]}, "off_contract": True}},
            {"id": "never", "when": {"last_user": text + "!", "headers": {"x-evil": "1"}}, "reply": {"text": "no"},
             "expect": {"calls": 0}},
        ],
    }  # fmt: skip
    made = control(url, "POST", "/sessions", {"scenario": scenario, "file": EVIL, "plan": "unlimited"})
    return ServedSession(url, made["id"], made["api_key"])


#: What the page is made of; anything else came from a request.
TAGS = (
    "a article b button dd del details dialog div dl dt fieldset form h1 h2 h3 header html head body input ins label "
    "li link main meta nav option p pre script section select span style summary table tbody td th thead title tr ul"
)


def strange(page: Page) -> Any:
    """Return elements and attributes that the page does not make itself."""
    return page.evaluate(
        """tags => [...document.querySelectorAll("*")].filter(node =>
             !tags.includes(node.localName) || [...node.attributes].some(item => item.name.startsWith("on")))
           .map(node => node.outerHTML.slice(0, 200))
           .concat(document.scripts.length === 1 ? [] : ["scripts"])""",
        TAGS.split(),
    )


def test_hostile_text_is_shown_as_text(watched: Watched, url: str) -> None:
    live = hostile_session(url)
    hostile_requests(live)
    page = watched.open(session=live.id)
    rows(page, 12)
    assert strange(page) == []
    for n in range(1, 13):
        page.evaluate("place => { location.hash = place }", f"#/exchanges/{live.id}/{n}")
        expect(page.locator("#detail h2")).to_contain_text(f"#{n} ")
        for summary in page.locator("#detail summary").all():
            summary.click()
        for button in page.get_by_role("button", name="Show a rule that would answer").all():
            button.click()
        while (more := page.locator("#detail button.link")).count():
            more.first.click()
        assert strange(page) == []
        told = page.locator("#detail").inner_text()
        if n != 10:
            assert "alert('run')" in told
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", told)
        assert (n in (7, 11)) or n == 10 or SPELT in told.replace("\\\\u", "\\u")
    for place in ("#/sessions", "#/verdict"):
        page.evaluate("place => { location.hash = place }", place)
        expect(page.locator(f"{place.replace('/', '')} h2")).to_contain_text(live.id)
        assert strange(page) == []
    page.evaluate("location.hash = '#/sessions'")
    expect(page.locator("#sessions .facts")).to_contain_text(f"State {EVIL} {SPELT}")
    page.evaluate(f"location.hash = '#/exchanges/{live.id}/<img src=x onerror=alert(1)>'")
    expect(page.locator("#detail h2")).to_contain_text("no longer in the journal")
    assert strange(page) == []
    page.close()
    control(url, "DELETE", f"/sessions/{live.id}")


def test_the_browser_lets_no_text_become_markup(watched: Watched) -> None:
    page = watched.open()
    refused = page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>'; } catch (error) { return error.name; } })()"
    )
    assert refused == "TypeError"
    watched.wrong = [item for item in watched.wrong if "TrustedHTML" not in item]


# Both themes, and a phone


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_can_be_read(browser: Browser, url: str, live: ServedSession, scheme: Any) -> None:
    """Each colour of text stands off its background by 4.5 to 1, as WCAG AA asks."""
    live.ask(chat("hello", foo=1))
    watched = Watched(browser, url, color_scheme=scheme)
    page = opened(watched, live, 1)
    poor = page.evaluate(
        """() => {
          const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
          const light = colour => {
            canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(colour);
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255)
              .map(part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b;
          };
          const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          return ["--text", "--faint", "--good", "--bad", "--odd", "--blue"].flatMap(text =>
            ["--page", "--box"].filter(box => ratio(light(text), light(box)) < 4.5).map(box => [text, box]));
        }"""
    )
    assert poor == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 25)"
    assert dark is (scheme == "dark")
    watched.check()
    page.close()


def test_a_phone_is_wide_enough(browser: Browser, url: str, live: ServedSession) -> None:
    live.ask(chat("x" * 2000, foo="y" * 500))
    cut_stream(live)
    watched = Watched(browser, url, viewport={"width": 400, "height": 800})
    for place in ("#/exchanges", f"#/exchanges/{live.id}/1", f"#/exchanges/{live.id}/2", "#/sessions", "#/verdict"):
        page = watched.open(place, live.id)
        shown = page.locator("main > section:not([hidden])")
        expect(shown.locator(".row, .card").nth(1 if "exchanges" in place else 0)).to_be_attached()
        wide = page.evaluate(
            """() => [document.documentElement, ...document.querySelectorAll("main > section, #kinds, #table, #detail")]
                 .filter(node => node.scrollWidth > Math.max(node.clientWidth, 1))
                 .map(node => node.id || node.localName)"""
        )
        assert wide == [], place
    watched.check()
    page.close()


# Where it is, and without a server


def test_the_root_leads_to_it(watched: Watched, live: ServedSession) -> None:
    watched.page.goto(f"{live.url}/")
    expect(watched.page).to_have_url(f"{live.url}/_emulator/")
    watched.requests.clear()  # the root's own is none of the page's


def test_a_row_opens_by_its_element(watched: Watched, live: ServedSession) -> None:
    """As a screen reader does it, or a script."""
    for text in ("a story", "retry"):
        live.ask(chat(text))
    page = watched.open(session=live.id)
    rows(page, 2)
    page.locator("#rows .row").nth(1).evaluate("row => row.click()")
    expect(page.locator("#detail h2")).to_contain_text("#2 ")


def test_a_row_stays_while_others_come(watched: Watched, live: ServedSession) -> None:
    """A click that has begun is not lost when the list is drawn again."""
    live.ask(chat("a story"))
    page = watched.open(session=live.id)
    rows(page, 1)
    first = page.locator("#rows .row").first.element_handle()
    for text in ("retry", "hello"):
        live.ask(chat(text))
    rows(page, 3)
    first.evaluate("row => row.click()")
    expect(page.locator("#detail h2")).to_contain_text("#1 ")


def test_what_was_said_is_shown_and_taken_along(watched: Watched, live: ServedSession) -> None:
    live.ask(chat("a story"))
    page = opened(watched, live, 1)
    assert page.locator("#detail .bubble").all_inner_texts() == ["user\n\na story", "answer\n\nOnce upon a time."]
    for kind, shown in {
        "curl": '-H "authorization: Bearer $API_KEY"',
        "a rule": 'last_user: "a story"',
        "a test": 'emulator.on(last_user="a story").reply("Once upon a time.")',
    }.items():
        page.get_by_role("button", name=kind, exact=True).click()
        expect(page.locator("#rule")).to_contain_text(shown)


def test_exchanges_that_a_finding_names(watched: Watched, live: ServedSession) -> None:
    for text in ("a story", "retry", "retry"):
        live.ask(chat(text))
    page = watched.open(session=live.id)
    rows(page, 3)
    label = page.locator("#kinds label", has_text="mistakes")
    expect(label).to_have_text("mistakes ")  # not looked for yet
    page.check("#kinds [value=mistakes]", force=True)
    rows(page, 2)
    expect(label).to_have_text("mistakes 2")
    assert cells(page, "asked") == ["retry", "retry"]


def test_a_file_needs_no_server(browser: Browser, live: ServedSession, tmp_path: Path) -> None:
    live.ask(chat("</script><b>a story</b>"))
    told = {"session": f"/sessions/{live.id}", "verdict": f"/sessions/{live.id}/verdict"}
    held = {name: control(live.url, "GET", path) for name, path in told.items()}
    path = f"/sessions/{live.id}/journal?conversation=true"
    held["journal"] = control(live.url, "GET", path)["exchanges"]
    providers = control(live.url, "GET", "/providers")["providers"]
    (tmp_path / "journal.html").write_bytes(page_with([held], providers))
    watched = Watched(browser, "", viewport={"width": 1200, "height": 800})
    page = watched.page
    page.goto((tmp_path / "journal.html").as_uri())
    rows(page, 1)
    assert cells(page, "asked") == ["</script><b>a story</b>"]
    page.locator("#rows .row").click()
    expect(page.locator("#detail .bubble.answer")).to_contain_text("Once upon a time.")
    page.click("text=Sessions")
    expect(page.locator("#sessions .card")).to_have_count(1)
    page.click("text=Verdict")
    expect(page.locator("#verdict .card")).to_have_count(1)
    assert watched.wrong == []
    page.close()
