"""What a web page of another origin can do to the control API, in a real Chromium: nothing; the inspector's own can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from sockets.raw import ServedSession, chat, control, make_session

import emulator.server.control.app
from emulator import Emulator

RULE = '{"rule": {"reply": {"text": "planted"}}}'

FETCH = "async ([at, id]) => { await fetch(`${at}%s`, {method: 'POST', mode: 'no-cors', ...%s}).catch(() => 0) }"
ELEMENT = """([at, id]) => new Promise(done => {
  const made = document.createElement("%s");
  made.onload = made.onerror = done;
  made.src = `${at}/sessions/${id}/journal`;
  document.body.append(made);
})"""
FORM = """([at, id]) => new Promise(done => {
  document.body.innerHTML = `<iframe name=there></iframe><form method=post target=there enctype="%s"><input></form>`;
  const form = document.forms[0];
  form.action = `${at}%s`;
  form[0].name = '{"rule": {"reply": {"text": "planted"}}, "at": "';
  form[0].value = '"}';
  document.querySelector("iframe").onload = done;
  form.submit();
})"""
BEACON = "([at, id]) => { navigator.sendBeacon(`${at}%s`, '%s') }"
JSON = "mode: 'cors', headers: {'content-type': 'application/json'}"
#: What a browser sends to another origin unasked: each changes something where nobody looks who asks.
UNASKED = {
    "make a session": FETCH % ("/sessions", "{}"),
    "make one with a text": FETCH % ("/sessions", "{body: '{}'}"),
    "make one with a body of no type": FETCH % ("/sessions", "{body: new Uint8Array([123, 125])}"),
    "reset": FETCH % ("/sessions/${id}/reset", "{}"),
    "reset from nowhere": FETCH % ("/sessions/${id}/reset", "{referrerPolicy: 'no-referrer'}"),
    "add a rule": FETCH % ("/sessions/${id}/rules", f"{{body: '{RULE}'}}"),
    "add one by a beacon": BEACON % ("/sessions/${id}/rules", RULE),
    "add one by a form": FORM % ("text/plain", "/sessions/${id}/rules"),
    "reset by a form": FORM % ("multipart/form-data", "/sessions/${id}/reset"),
}
#: What it asks for before, or does not show to the page.
OTHERS = {
    "make a session": FETCH % ("/sessions", f"{{body: '{{}}', {JSON}}}"),
    "delete one": FETCH % ("/sessions/${id}", "{mode: 'cors', method: 'DELETE'}"),
    "read by an image": ELEMENT % "img",
    "read by a script": ELEMENT % "script",
}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of a server of empty pages."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def live(url: str) -> Iterator[ServedSession]:
    made = make_session(url, "rules: [{reply: {text: hello}}]", provider="beatra", clock="virtual")
    made.ask(chat("hi"))
    yield made
    control(url, "DELETE", f"/sessions/{made.id}")


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    opened: list[Page] = []

    def open_page(url: str) -> Page:
        opened.append(browser.new_page())
        opened[-1].goto(url)
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()


def state(live: ServedSession) -> tuple[Any, ...]:
    """Return all that a page could change."""
    session = control(live.url, "GET", f"/sessions/{live.id}")
    sessions = sorted(item["id"] for item in control(live.url, "GET", "/sessions")["sessions"])
    return sessions, [rule["id"] for rule in session["rules"]], session["exchanges"], session["clock"]


def at(url: str, name: str) -> str:
    """Return the control API's address by a name of this machine."""
    return f"http://{name}:{urlsplit(url).port}/_emulator"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("page_name", ["127.0.0.1", "localhost", "evil.localhost"])
def test_a_page_of_another_origin_changes_nothing(
    live: ServedSession, open_page: Callable[[str], Page], elsewhere: int, page_name: str, name: str
) -> None:
    page = open_page(f"http://{page_name}:{elsewhere}/")
    before = state(live)
    for attempt in UNASKED.values():
        with page.expect_event("response") as answer:
            page.evaluate(attempt, [at(live.url, name), live.id])
        assert answer.value.status == 403
    for attempt in OTHERS.values():
        with page.expect_event("requestfailed"):
            page.evaluate(attempt, [at(live.url, name), live.id])
    assert state(live) == before


def test_without_the_check_it_could(
    open_page: Callable[[str], Page], elsewhere: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator.server.control.app, "check_access", lambda *asked: None)
    page = open_page(f"http://127.0.0.1:{elsewhere}/")
    with Emulator() as unguarded:
        for name, attempt in UNASKED.items():
            live = make_session(unguarded.url, "rules: [{reply: {text: hello}}]", clock="virtual")
            live.ask(chat("hi"))
            before = state(live)
            with page.expect_event("response"):
                page.evaluate(attempt, [at(live.url, "127.0.0.1"), live.id])
            assert state(live) != before, name


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_inspectors_own_origin_may(live: ServedSession, open_page: Callable[[str], Page], name: str) -> None:
    page = open_page(f"{at(live.url, name)}/")
    ask = """async ([path, method, body]) => {
      const headers = {"content-type": "application/json"};
      const response = await fetch(`/_emulator/sessions/${path}`, {method, headers, body});
      return response.status;
    }"""
    asked = [
        page.evaluate(ask, given)
        for given in (
            [f"{live.id}/journal", "GET", None], [f"{live.id}/rules", "POST", RULE],
            [f"{live.id}/clock", "PATCH", '{"advance": 5}'], [f"{live.id}/reset", "POST", None],
        )
    ]  # fmt: skip
    assert asked == [200, 201, 200, 200]
    assert state(live)[1:3] == (["added-1", "rule-1"], 0)
