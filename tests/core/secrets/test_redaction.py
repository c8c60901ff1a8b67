"""Redaction: which names and values hold secrets, and that none is shown, in whatever form it came or was repeated."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import yaml
from build import KEY as SENT_KEY
from build import PROVIDERS, chat, make_session
from hypothesis import given
from hypothesis import strategies as st
from relaying import COMPLETE, answered, heard

from emulator.cli.check import verdict
from emulator.cli.serve import request_line
from emulator.contract.client import Answer, Sent
from emulator.contract.expectations import Differs
from emulator.contract.outcome import judge
from emulator.contract.reports.html import html_page
from emulator.contract.reports.junit import junit_xml
from emulator.contract.reports.report import Report, Result, report_json
from emulator.contract.reports.terminal import summary
from emulator.contract.target import ForeignTarget
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.journal import findings as teardown
from emulator.core.journal.describe import describe, secrets_of
from emulator.core.journal.verify import verify
from emulator.core.recording.recorder import Recorder
from emulator.core.recording.to_scenario import scenario_text
from emulator.core.secrets.redaction import (
    redact_field,
    redact_header,
    redact_json,
    redact_query,
    redact_target,
    redact_when,
)
from emulator.core.secrets.repeated import across_events, without
from emulator.core.secrets.texts import is_secret, redact, redact_text
from emulator.core.values import Exchange, Frame, Timeline
from emulator.server.http.reader import Head
from emulator.server.http.routed_request import target
from emulator.server.own_errors import crash

KEY = "sk-very-secret-0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

# Names


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True), ("authentication", True), ("x-auth", True), ("x-auth-key", True), ("key", True),
        ("x-my-key", True), ("ocp-apim-subscription-key", True), ("x-functions-key", True), ("x-session-token", True),
        ("Helicone-Auth", True), ("x-signature", True), ("x-hub-signature-256", True), ("x-jwt", True),
        ("x-passwd", True), ("set-cookie", True), ("X-Amz-Security-Token", True), ("x-csrf-token", True),
        ("idempotency-key", False), ("x-ratelimit-remaining-tokens", False), ("x-author", False), ("keyboard", False),
        ("x-request-id", False), ("monkey", False), ("www-authenticate", False), ("x-cache-key", False),
        ("x-session-id", False), ("content-type", False), ("", False), ("-", False),
    ],
)  # fmt: skip
def test_a_name_says_whether_a_header_holds_a_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True), ("apiKey", True), ("APIKey", True), ("OPENAI_API_KEY", True), ("apikeys", True),
        ("password", True), ("db_password", True), ("password1", True), ("passwd", True), ("pwd", True),
        ("password_confirmation", True), ("access_token", True), ("accessToken", True), ("token", True),
        ("client_secret", True), ("secret_access_key", True), ("private_key", True), ("authorization", True),
        ("auth", True), ("jwt", True), ("credentials", True),
        ("max_tokens", False), ("prompt_tokens", False), ("max_completion_tokens", False), ("tokens_left", False),
        ("token_ids", False), ("eos_token", False), ("next_page_token", False), ("token_type", False), ("key", False),
        ("prompt_cache_key", False), ("primary_key", False), ("public_key", False), ("idempotency_key", False),
        ("safety_identifier", False), ("user", False), ("logit_bias", False), ("signature", False), ("code", False),
        ("author", False), ("secretary", False), ("content", False), ("compass", False), ("passage", False),
    ],
)  # fmt: skip
def test_a_name_says_whether_a_field_holds_a_secret(name: str, secret: bool) -> None:
    assert is_secret(name, "field") is secret


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (f"a=1&sig={KEY}&b=2", f"a=1&sig={redact(KEY)}&b=2"),
        ("auth=s&pwd=s&code=s&key=s", "auth={0}&pwd={0}&code={0}&key={0}".format(redact("s"))),
        (f"%61pi_key={KEY}", f"%61pi_key={redact(KEY)}"),
        (f"api%5Fkey={quote('a b+c=')}", f"api%5Fkey={redact('a b+c=')}"),
        ("max_tokens=5&page_token=x&task=code&limit=1", "max_tokens=5&page_token=x&task=code&limit=1"),
        ("key=", "key="), ("key", "key"), ("", ""),
        (f"next={KEY}", f"next={redact(KEY)}"), ("q=sk%2D0123456789abc", f"q={redact('sk-0123456789abc')}"),
        ("a=1;api_key=s3c%2Fret&b=a+b%20c", f"a=1;api_key={redact('s3c/ret')}&b=a+b%20c"),
        ("cache;key=s3cret;more", f"cache;key={redact('s3cret;more')}"),
    ],
)  # fmt: skip
def test_a_query_is_shown_without_its_secrets(query: str, shown: str) -> None:
    assert redact_query(query) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/nowhere/cache?key=s3cret", f"/nowhere/cache?key={redact('s3cret')}"),
        ("/v9/page?token=s3cret", f"/v9/page?token={redact('s3cret')}"),
        ("/s/x/sort?key=s3cret&a=%20", f"/s/x/sort?key={redact('s3cret')}&a=%20"),
        ("/x?a=1;api_key=s3cret", f"/x?a=1;api_key={redact('s3cret')}"),
        ("/x;api_key=s3%20cret/y", f"/x;api_key={redact('s3 cret')}/y"),
        ("/nope/sk%2Dproj%2Dabc0123456", f"/nope/{redact('sk-proj-abc0123456')}"),
        ("/models/Bearer%20s3cretvalue/x", f"/models/Bearer {redact('s3cretvalue')}/x"),
        ("/cache%3Fkey=s3cret", f"/cache?key={redact('s3cret')}"),
        ("/cache%253Fkey=s3cret", f"/cache?key={redact('s3cret')}"),
        ("/x?next=%2Fy%3Fa%3D1%26code%3Ds3cret", f"/x?next=/y?a=1&code={redact('s3cret')}"),
        ("/x?a=b+sk%252D0123456789abc", f"/x?a=b {redact('sk-0123456789abc')}"),
        ("http://user:pass@a.test/x?a=1", f"http://{redact('user:pass')}@a.test/x?a=1"),
        ("/models/a%2Fb%20c;v=1?page_token=5", None), ("/cache/sort-key/x?", None), ("*", None), ("", None),
    ],
)  # fmt: skip
def test_a_target_is_shown_without_its_secrets(target: str, shown: str | None) -> None:
    assert redact_target(target) == (target if shown is None else shown)


@pytest.mark.parametrize("text", ["sk%2Dproj-mysecretvalue0013aaaaaaaaaaaaaaaaaaaa", "Bearer%20mysecretvalue0014"])
def test_the_journal_shows_no_secret_of_a_path(text: str) -> None:
    for path in (f"/models/{text}", f"/nowhere/{text}"):
        exchange = make_session().send(path=path, method="GET")
        assert "mysecretvalue" not in f"{describe(exchange)}{request_line(exchange, 'complete', 0.0, False)}"


@pytest.mark.parametrize(
    "request_",
    [{"body": chat("openai", metadata={"password": ["mysecretvalue0205"]})},
     {"path": "/models/mysecretvalue0205", "method": "GET", "key": "mysecretvalue0205"}],
)  # fmt: skip
def test_the_line_of_a_refusal_quotes_no_secret_of_the_request(request_: dict[str, Any]) -> None:
    line = request_line(make_session().send("openai", **request_), "complete", 0.0, False)
    assert f"'{redact('mysecretvalue0205')}'" in line
    assert "mysecretvalue0205" not in line


# Values

INSIDE = 's3"cr3t'
AMAZON, GITHUB, SLACK, GOOGLE = "AKIAIOSFODNN7EXAMPLE", f"ghp_{'a1' * 18}", "xoxb-12345-abcdef", f"AIza{'Sy' * 17}x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"My key is {KEY}.", f"My key is {redact(KEY)}."),
        (f"Authorization: Bearer {KEY}", f"Authorization: Bearer {redact(KEY)}"),
        ("curl -H 'Authorization: Bearer tok_12345678'", f"curl -H 'Authorization: Bearer {redact('tok_12345678')}'"),
        ("Basic dXNlcjpwYXNzd29yZA==", f"Basic {redact('dXNlcjpwYXNzd29yZA==')}"),
        (JWT, redact(JWT)), (AMAZON, redact(AMAZON)), (GITHUB, redact(GITHUB)), (SLACK, redact(SLACK)),
        (GOOGLE, redact(GOOGLE)),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n.", None),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", None),
        ("see http://user:pass@host/x", f"see http://{redact('user:pass')}@host/x"),
        ("https://a.test/x?sig=s3cr3t&y=1", f"https://a.test/x?sig={redact('s3cr3t')}&y=1"),
        ('{"api_key": "s3cr3t", "a": 1}', f'{{"api_key": "{redact("s3cr3t")}", "a": 1}}'),
        (r'{\"api_key\":\"s3\\\"cr3t\",\"a\":1}', rf'{{\"api_key\":\"{redact(INSIDE)}\",\"a\":1}}'),
        ("{'password': 'hunter2'}", f"{{'password': '{redact('hunter2')}'}}"),
        ('{"password": 12345}', f'{{"password": {redact("12345")}}}'),
        ('{"password": "cut he', f'{{"password": "{redact("cut he")}'),
        (r"a\nsk-0123456789abc", rf"a\n{redact('sk-0123456789abc')}"),
    ],
)  # fmt: skip
def test_what_looks_like_a_credential_is_hidden(text: str, shown: str | None) -> None:
    assert redact_text(text) == (shown if shown is not None else redact_text(text))
    assert "MIIE" not in redact_text(text)
    assert redact_text(redact_text(text)) == redact_text(text)  # what was hidden is not hidden again


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of good news and basic information: a risk-free task, in sk-fading-circle-container.",
        "8e03978e-40d5-43e8-bc93-6894a57f9324", "chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVwXyZ12", "call_aB12cD34eF56gH78",
        "https://example.com:8080/a@b?x=1&page_token=5", "ssh://git@example.com/x", "key: value, token: 5; code=3",
        '{"logprobs": {"content": [{"token": "Hello", "logprob": -0.1, "bytes": [72]}]}}', '{"prompt_cache_key": "x"}',
        '{"properties": {"api_key": {"type": "string"}}, "required": ["api_key"]}', "eyJhIjoxfQ", "max_tokens=5",
        "data: {\"usage\":{\"prompt_tokens\":8,\"total_tokens\":11}}", "a password is asked for; the secret of success",
    ],
)  # fmt: skip
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("helicone-auth", "Bearer x", f"Bearer {redact('x')}"), ("x-own", "Bearer x", f"Bearer {redact('x')}"),
        ("x-own", "bEaReR x", f"bEaReR {redact('x')}"), ("x-own", "Basic dXNlcjpw", f"Basic {redact('dXNlcjpw')}"),
        ("x-own", 'Digest username="u"', f"Digest {redact('username=' + chr(34) + 'u' + chr(34))}"),
        ("x-plan", "Basic plan", "Basic plan"), ("www-authenticate", 'Basic realm="x"', 'Basic realm="x"'),
        ("x-own", KEY, redact(KEY)), ("host", "u:p@h:1", f"{redact('u:p')}@h:1"),
        ("Referer", f"http://a.test/?q=1&api_key={KEY}", f"http://a.test/?q=1&api_key={redact(KEY)}"),
        ("referer", "/x?code=1", f"/x?code={redact('1')}"), ("user-agent", "OpenAI/Python 1.99", "OpenAI/Python 1.99"),
    ],
)  # fmt: skip
def test_a_header_is_shown_without_its_secrets(name: str, value: str, shown: str) -> None:
    assert redact_header(name, value) == shown
    assert describe(make_session().send(headers={name.lower(): value}))["headers"][name.lower()] == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [{"api_key": "s"}]}, {"a": [{"api_key": redact("s")}]}),
        ({"authorization": "Bearer s"}, {"authorization": f"Bearer {redact('s')}"}),
        ({"password": 12345, "pwd": True, "secret": None}, {"password": redact("12345"), "pwd": True, "secret": None}),
        ({"passwords": ["a", "b"]}, {"passwords": [redact("a"), redact("b")]}),
        ({"client_secret": {"v": "s", "n": [{"a": 5}]}},
         {"client_secret": {"v": redact("s"), "n": [{"a": redact("5")}]}}),
        ({"access_token": {"v": "s"}, "secrets": [{"v": "s"}]},
         {"access_token": {"v": redact("s")}, "secrets": [{"v": redact("s")}]}),
        ({"headers": {"Cookie": "s", "x-a": "Bearer t"}},
         {"headers": {"Cookie": redact("s"), "x-a": f"Bearer {redact('t')}"}}),
        ({"properties": {"api_key": {"type": "string", "default": "none"}}}, None),
        ({"$defs": {"Password": {"type": "object", "properties": {"token": {"type": "string"}}}}}, None),
        ({"logprobs": {"content": [{"token": "Hello", "logprob": -1}]}, "max_tokens": 7, "token": 5}, None),
        ({"tools": [{"function": {"name": "f", "parameters": {"required": ["password"]}}}]}, None),
        ({"metadata": {"key": "colour", "value": "red"}, "user": "u-1", "prompt_cache_key": "k"}, None),
    ],
)  # fmt: skip
def test_json_is_shown_without_its_secrets(value: Any, shown: Any) -> None:
    assert redact_json(value) == (value if shown is None else shown)
    assert redact_json(value, by_value=False) == (value if shown is None else shown)


def test_what_a_when_says_of_a_secret_is_hidden() -> None:
    when = {
        "headers": {"authorization": "Bearer s", "x-a": {"one_of": ["a", KEY]}},
        "last_user": {"contains": "hi"},
        "body": {
            "$.auth.password": {"equals": "s"},
            "$.temperature": {"lt": 1},
            "$['a'][0].api_key": {"present": True},
        },
    }
    assert redact_when(when) == {
        "headers": {"authorization": f"Bearer {redact('s')}", "x-a": {"one_of": ["a", redact(KEY)]}},
        "last_user": {"contains": "hi"},
        "body": {
            "$.auth.password": {"equals": redact("s")},
            "$.temperature": {"lt": 1},
            "$['a'][0].api_key": {"present": True},
        },
    }
    assert redact_field("body.$", {"api_key": "s"}) == {"api_key": redact("s")}
    assert redact_field("turn", 3) == 3


# Echoes


def html_entities(secret: str) -> str:
    return "".join(f"&#{ord(char)};" for char in secret)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda secret: quote(secret, safe=""),
    "percent, all of it": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 of user:key": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "base64 of x:key:y": lambda secret: base64.b64encode(f"x:{secret}:y".encode()).decode(),
    "base64url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "hex": lambda secret: secret.encode().hex().upper(),
    "JSON": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "JSON, all of it": lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
    "HTML": html.escape,
    "HTML, all of it": html_entities,
}
ENCODED = pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)


@ENCODED
@pytest.mark.parametrize("secret", ["a1+/b2&=<\"c3'", KEY], ids=["signs", "key"])
def test_a_repeated_secret_is_found_in_any_encoding(encode: Callable[[str], str], secret: str) -> None:
    text = f"before {encode(secret)} after"
    shown = without({"a": [text], text: 1}, [secret])
    assert encode(secret) not in str(shown)
    assert shown["a"][0].startswith("before ")
    assert shown["a"][0].endswith(" after")
    assert redact(secret) in shown["a"][0]


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if "all of it" not in name])
def test_a_long_secret_is_found_where_the_whole_is_encoded_alike(encoding: str) -> None:
    secret = "x" * 300 + "/1"
    assert redact(secret) in without(f"before {ENCODINGS[encoding](secret)} after", [secret])


def test_words_are_not_taken_for_repeated_secrets() -> None:
    exchange = make_session({"rules": [{"reply": {"text": "anything goes"}}]}).send(key="anything")
    assert describe(exchange)["response"]["body"]["choices"][0]["message"]["content"] == "anything goes"


def test_a_password_of_basic_and_each_cookie_are_secrets() -> None:
    given = {
        "x-own": f"Basic {base64.b64encode(b'me:hunter2hunter2').decode()}",
        "cookie": "a=cookie-one1; b=cookie-two2",
    }
    found = secrets_of(make_session().send(headers=given).request)
    assert {"hunter2hunter2", "cookie-one1", "cookie-two2", SENT_KEY} <= set(found)


def test_a_secret_that_is_spread_over_the_events_of_a_stream_is_hidden() -> None:
    events = [
        f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}\n\n' for text in ("Key ", KEY[:7], KEY[7:], ".")
    ]
    shown = across_events("".join(events), [KEY])
    said = [json.loads(item[6:])["choices"][0]["delta"]["content"] for item in shown.split("\n\n") if item]
    assert said == [f"Key {redact(KEY)}.", "", "", ""]


@pytest.mark.parametrize("proxied", [True, False])
def test_what_an_answer_repeats_of_a_key_is_redacted_in_the_journal(proxied: bool) -> None:
    data = b'{"error": {"message": "Incorrect API key provided: %b"}}' % KEY.encode()
    timeline = Timeline(401, (("x-debug", f"key {KEY}"),), (Frame(0.0, data, "body"),), length=len(data))
    exchange = make_session().send(key=KEY)
    shown = describe(replace(exchange, timeline=timeline, proxied=proxied))
    stream = describe(replace(exchange, timeline=replace(timeline, stream=True), proxied=proxied))
    assert KEY not in f"{shown}{stream}"


@pytest.mark.parametrize(
    "text",
    ["\\" * 900_000 + ' "key": ":', "-sk-" * 200_000, "-eyJ" * 200_000, '"key":"' * 100_000, "bearer " * 100_000,
     "://a" * 200_000, "?a" * 300_000 + "://", "-----BEGIN PRIVATE KEY-----" * 30_000, "&#" * 400_000, "%" * 900_000,
     "http://?x=" + "".join("%" + "25" * depth + "3A//?x=" for depth in range(600))],
    ids=lambda text: text[:10].strip(),
)  # fmt: skip
def test_long_texts_of_beginnings_are_looked_at_in_time(text: str) -> None:
    shown = describe(make_session().send(body=chat(text=text)))
    assert len(str(shown)) > 100


# A secret at a random place, and everything that shows it

#: Letters and digits beyond what some word of an answer is.
SECRETS = st.from_regex(r"[A-Za-z0-9]{4}[0-9][A-Za-z0-9+/=&<%\"' .~-]{4,30}[A-Za-z][0-9]", fullmatch=True)
NAMES = st.sampled_from(["api_key", "password", "accessToken", "client_secret", "Authorization"])
WRAPPED = st.lists(st.sampled_from(["a", "metadata", 0]), max_size=4)


def wrapped(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        value = [value] if step == 0 else {step: value}
    return value


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a secret, and a request that holds it somewhere."""
    secret = draw(SECRETS)
    place = draw(st.sampled_from(["header", "query", "field", "json in a text", "form", "userinfo"]))
    if place == "header":
        name = draw(st.from_regex(r"x-[a-z]{3,8}", fullmatch=True))
        return secret, {"body": chat(), "headers": {name: f"Bearer {secret}"}}
    if place == "query":
        return secret, {"body": chat(), "query": f"a=1&%61pi%5fkey={quote(secret, safe='')}"}
    if place == "form":
        return secret, {"raw": f"a=1&password={quote(secret, safe='')}".encode()}
    if place == "userinfo":
        url = f"http://user:{quote(secret, safe='')}@a.test/"
        return secret, {"body": chat(text=f"See {url}"), "headers": {"referer": url}}
    field = {draw(NAMES): secret}
    if place == "json in a text":
        return secret, {"body": chat(text=json.dumps(wrapped(field, draw(WRAPPED))))}
    return secret, {"body": chat(extra=wrapped(field, draw(WRAPPED)))}


def is_told(secret: str, text: str) -> bool:
    """Tell whether a text has a secret in any encoding; JSON's own escapes are those of the text."""
    return any(encode(secret) in text or json.dumps(encode(secret))[1:-1] in text for encode in ENCODINGS.values())


@given(requests(), st.sampled_from(list(ENCODINGS.values())), st.booleans())
def test_no_secret_is_shown(asked: tuple[str, dict[str, Any]], encode: Callable[[str], str], stream: bool) -> None:
    secret, request = asked
    live = make_session(
        {"rules": [{"when": {"model": "other", "body": {"$.extra": {"equals": 1}}}, "reply": {"text": "x"}}]}
    )
    exchange = live.send(**request)
    echo = encode(secret)
    data = orjson.dumps({"error": {"message": f"Wrong: {echo}", "code": "x"}})
    said = heard(401, b"data: %b\n\n" % data if stream else data, headers=[("x-echo", echo.replace("\n", " "))])
    upstream = answered(replace(said, headers=(("content-type", "text/event-stream"),)) if stream else said, **request)
    recorder = Recorder(Engine(PROVIDERS), PROVIDERS["beatra"], "https://api.example.com/v1")
    recorder.add(upstream, COMPLETE)
    rows = [
        describe(item)
        for item in (exchange, upstream, crash(exchange.claim, exchange.grant, exchange.request, ValueError(secret)))
    ]
    log = request_line(replace(exchange, model=""), "complete", 0.0, False)
    shown = {
        "journal": orjson.dumps(rows).decode(),
        "verify": verify([exchange], {"body": {"$.extra": 1}, "last_user": "x"}, count=1).message,
        "scenario": scenario_text(orjson.loads(orjson.dumps(rows[1:2]))),
        "recording": recorder.text() + "\n".join(recorder.report()),
        "exec": "\n".join(item.text for item in (*teardown.unmatched(rows), *teardown.crashes(rows))),
        "check": "\n".join(verdict(exchange)),
        "log": log,
    }
    assert [name for name, text in shown.items() if is_told(secret, text)] == []
    parse_text(recorder.text(), "recording", PROVIDERS, "beatra")  # it loads all the same
    parse_text(shown["scenario"], "scenario", PROVIDERS, "beatra")


@given(st.from_regex(r"[a-z]{2}-[A-Za-z0-9+/=&<%.~-]{9,30}[0-9]", fullmatch=True), st.sampled_from(list(ENCODINGS)))
def test_no_report_of_a_contract_tells_the_key(key: str, encoding: str) -> None:
    echo = ENCODINGS[encoding](key)
    sent = Sent("POST", "http://a.test/v1", (("authorization", f"Bearer {key}"),), b"{}")
    body = orjson.dumps({"error": echo, echo: [f"x {echo}"], "long": "x" * 3900})
    answer = Answer(
        sent, 401, (("x-echo", echo), ("set-cookie", "sid=other-secret-1")), body + echo.encode(), "complete"
    )

    def check(live: Any) -> None:
        raise Differs(f"it says {echo}", {"a": 1}, {"echo": echo}, answer)

    found = judge(check, ForeignTarget("http://a.test/v1", key))
    case = Result("x", "facts", None, "", False, found.outcome, found.message, found.expected, found.actual,
                  found.request, found.response, found.curl)  # fmt: skip
    report = Report("beatra", "http://a.test/v1", 0, 0.0, 0.0, 1, (case,))
    told = json.dumps(report_json(report), ensure_ascii=False)
    files = (junit_xml(report).decode(), html_page(report).decode(), "\n".join(summary(report)), case.curl or "")
    assert [encoding for text in (told, *files) if is_told(key, text) or "other-secret-1" in text] == []
    assert "$API_KEY" in told


# Where it goes


def test_requests_that_differ_in_a_secret_alone_share_a_rule_that_does_not_name_it() -> None:
    recorder = Recorder(Engine(PROVIDERS), PROVIDERS["beatra"], "https://api.example.com/v1")
    for number in (1, 2):
        body = chat(extra={"api_key": f"s{number}cret-{number}", "a": 1})
        recorder.add(answered(heard(200, b'{"a": %d}' % number), body=body), COMPLETE)
    recorder.add(answered(heard(200, b'{"a": 3}'), body=chat(extra={"api_key": "s3cret-3", "a": 2})), COMPLETE)
    rules = yaml.safe_load(recorder.text())["rules"]
    assert [(rule["when"]["body"], len(rule["replies"])) for rule in rules] == [
        ({"$.extra": {"like": {"a": 1}}}, 2), ({"$.extra": {"like": {"a": 2}}}, 1),
    ]  # fmt: skip
    live = make_session(recorder.text())
    asked = live.send(body=chat(extra={"api_key": "another", "a": 2}))
    assert orjson.loads(asked.timeline.frames[0].data) == {"a": 3}


def test_a_recorded_prompt_with_a_key_in_it_is_met_by_what_surrounds_the_key() -> None:
    recorder = Recorder(Engine(PROVIDERS), PROVIDERS["beatra"], "https://api.example.com/v1")
    recorder.add(answered(heard(200, b'{"a": 1}'), body=chat(text=f"Use {KEY}, please")), COMPLETE)
    [rule] = yaml.safe_load(recorder.text())["rules"]
    assert rule["when"]["last_user"] == {"all": [{"contains": "Use "}, {"contains": ", please"}]}
    asked = make_session(recorder.text()).send(body=chat(text=f"Use {KEY}, please"))
    assert orjson.loads(asked.timeline.frames[0].data) == {"a": 1}


def test_a_recorded_stream_that_says_a_key_loads() -> None:
    recorder = Recorder(Engine(PROVIDERS), PROVIDERS["beatra"], "https://api.example.com/v1")
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in ("a ", KEY[:5], KEY[5:])
    ]
    data = b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks) + b"data: [DONE]\n\n"
    recorder.add(answered(heard(body=data, kind="text/event-stream"), body=chat(stream=True), key=KEY), COMPLETE)
    assert f"a {redact(KEY)}" in recorder.text()
    assert KEY[5:] not in recorder.text()
    parse_text(recorder.text(), "recording", PROVIDERS, "beatra")


def test_verify_does_not_repeat_the_authorization_that_it_looks_for() -> None:
    exchange: Exchange = make_session().send(key=KEY)
    message = verify([exchange], {"headers": {"authorization": "Bearer another-key-012"}}, count=1).message
    shown = f"Bearer {redact('another-key-012')}"
    assert message == (
        f'expected 1 request that fit {{"headers":{{"authorization":"{shown}"}}}}, got 0 of 1 requests\n'
        f'  exchange 1:\n    headers.authorization: expected "{shown}", got "Bearer {redact(KEY)}"'
    )


def test_a_violation_does_not_quote_a_secret() -> None:
    live = make_session({"rules": [{"reply": {"text": "x"}}]})
    row = describe(live.send(body=chat(messages=[{"role": "user", "content": "x", "name": KEY}], temperature=KEY)))
    assert KEY not in json.dumps(row)


def test_the_user_of_an_absolute_target_is_not_kept() -> None:
    head = Head()
    head.url = b"http://user:pass@a.test/v1/models?a=1"
    assert target(head) == ("/v1/models", "a=1")
    assert head.headers["host"] == "a.test"
