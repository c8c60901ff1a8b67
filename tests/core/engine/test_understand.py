"""Understanding a request: what each provider refuses, in which words, and what it only notes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from build import FOUR, NAMES, NOW, PROVIDERS, body_of, chat, headers_of, make_request, make_session
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.engine.body import _JSON_STRING, MAX_DEPTH
from emulator.core.errors import Refusal, Violation
from emulator.core.provider.keys import BEARER
from emulator.core.values import Exchange, Request


def refused(exchange: Exchange) -> tuple[str, str | None, list[tuple[str, str]]]:
    """Return the name, the message, and the offending fields of a refusal."""
    assert exchange.refusal, exchange.timeline
    name, _, refusal = exchange.refusal
    return name, refusal.message, [(item.path, item.message) for item in refusal.details]


def notes(exchange: Exchange) -> list[tuple[str | None, str, str]]:
    return [(note.fact, note.path, note.message) for note in exchange.notes]


def status(exchange: Exchange) -> int:
    return exchange.timeline.status


# Routes

UNKNOWN = [
    ("/chat/completions/", "Did you mean http://test/beatra/v1/chat/completions? The base URL is http://test/beatra/v1."),
    ("/v1/chat/completions", "Did you mean http://test/beatra/v1/chat/completions? The base URL is http://test/beatra/v1."),
    ("/v1/v1/chat/completions", "Did you mean http://test/beatra/v1/chat/completions? The base URL is http://test/beatra/v1."),
    ("/chat/completion", "Did you mean http://test/beatra/v1/chat/completions? The base URL is http://test/beatra/v1."),
    ("/audio", "Below the base URL http://test/beatra/v1 there are: POST /chat/completions."),
    ("", "Below the base URL http://test/beatra/v1 there are: POST /chat/completions."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "hint"), UNKNOWN, ids=["slash", "v1", "v1-twice", "misspelt", "unknown", "none"])
def test_an_unknown_path_names_the_right_one(path: str, hint: str) -> None:
    said = f"There is nothing at /beatra/v1{path}. {hint}"
    assert refused(make_session().send(path=path)) == ("not_found", said, [])


GEMINI = "/models/gemini-2.5-flash:generateContent"
WRONG_BASES = {
    ("gemini", f"/v1{GEMINI}"):
        f"Did you mean http://h/gemini/v1beta{GEMINI}? The base URL is http://h/gemini/v1beta, "
        "or http://h/gemini for an SDK that adds the version itself.",
    ("gemini", f"{GEMINI}/"): f"Did you mean http://h/gemini/v1beta{GEMINI}? The base URL is http://h/gemini/v1beta.",
    ("openai", "/v1/messages"):
        "POST /v1/messages is Anthropic's; this base URL is OpenAI's. Anthropic's is http://h/anthropic.",
    ("openai", "/messages"):
        "POST /v1/messages is Anthropic's; this base URL is OpenAI's. Anthropic's is http://h/anthropic.",
    ("openai", f"/v1{GEMINI}"):
        "POST /models/{model}:generateContent is Gemini's; this base URL is OpenAI's. Gemini's is http://h/gemini.",
    ("openai", f"/../v1beta{GEMINI}"):
        "POST /models/{model}:generateContent is Gemini's; this base URL is OpenAI's. Gemini's is http://h/gemini.",
    ("anthropic", "/chat/completions"):
        "POST /chat/completions is OpenAI's; this base URL is Anthropic's. OpenAI's is http://h/openai/v1.",
    ("ollama", "/chat/completions"):
        "Did you mean http://h/ollama/v1/chat/completions? "
        "OpenAI's clients have the base URL http://h/ollama/v1 here.",
    ("openai", "/chat/completions/chat/completions"):
        "Did you mean http://h/openai/v1/chat/completions? The base URL is http://h/openai/v1.",
    ("openai", "/v1/chat/completions"):
        "Did you mean http://h/openai/v1/chat/completions? The base URL is http://h/openai/v1.",
}  # fmt: skip


def at_base(provider: str, path: str, body: Any = None) -> Request:
    """Return a request to a path below the base URL of a provider."""
    base = f"/{provider}{PROVIDERS[provider].base_path}"
    sent = make_request(provider, {} if body is None else body, path=path)
    return replace(sent, base_url=f"http://h{base}", address=f"{base}{path}")


@pytest.mark.parametrize(("provider", "path"), WRONG_BASES)
def test_a_wrong_base_url_names_the_right_one(provider: str, path: str) -> None:
    _, said, _ = refused(make_session().answer(at_base(provider, path)))
    assert (
        said == f"There is nothing at /{provider}{PROVIDERS[provider].base_path}{path}. {WRONG_BASES[provider, path]}"
    )


def test_a_session_of_one_provider_says_so_of_another_s_path() -> None:
    _, said, _ = refused(make_session(provider="openai").answer(at_base("openai", "/v1/messages")))
    assert said
    assert said.endswith("OpenAI's. This session is for openai alone: name anthropic as its provider, or none for all.")


def test_an_endpoint_as_base_url_is_told_where_another_method_is_known() -> None:
    _, said, _ = refused(make_session().answer(at_base("openai", "/responses/responses")))
    use = "use DELETE or GET or HEAD"
    assert said == f"/responses/responses does not take POST; {use}. The base URL is http://h/openai/v1."


@pytest.mark.parametrize(
    ("provider", "method", "path", "allow", "message"),
    [
        ("beatra", "GET", "/chat/completions", "POST", "/chat/completions does not take GET; use POST."),
        ("brainstormrouter", "POST", "/models", "GET, HEAD", "/models does not take POST; use GET or HEAD."),
    ],
    ids=["get", "post"],
)
def test_a_wrong_method_names_the_right_ones(provider: str, method: str, path: str, allow: str, message: str) -> None:
    exchange = make_session().send(provider, method=method, path=path)
    assert refused(exchange) == ("method_not_allowed", message, [])
    assert (status(exchange), headers_of(exchange)["allow"]) == (405, allow)


def test_head_is_answered_as_get() -> None:
    live = make_session()
    got, head = (live.send("brainstormrouter", method=method, path="/models", raw=b"") for method in ("GET", "HEAD"))
    assert (status(head), body_of(head)) == (200, body_of(got))


# Keys


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", ""),
        ("abc", ""),
        ("Bearer", ""),
        ("", ""),
        ("Bearer a b", ""),
    ],
)
def test_bearer(header: str, key: str) -> None:
    assert (BEARER.read({"authorization": header}, ""), BEARER.read({}, "")) == (key, "")


BAD = "The API key is not good here. Good are those that --api-key or the scenario's keys list."
INVALID = "The API key is not good here. Keys that contain 'invalid' are refused everywhere."
NOT_ITS_OWN = "The API key is not good here. In the session own its own api_key is good, and the keys of its scenario."


@pytest.mark.parametrize(
    ("scenario", "options", "key", "message"),
    [
        ("", {}, None, "No API key: send it as 'Authorization: Bearer KEY'."),
        ("", {}, "anything", None),
        ("", {}, "an-invalid-one", INVALID),
        ("keys: [good]", {}, "good", None),
        ("keys: [good]", {}, "other", BAD),
        ("", {"api_keys": ("good",)}, "good", None),
        ("", {"api_keys": ("good",)}, "other", BAD),
        ("keys: [one]", {"api_keys": ("two",)}, "one", BAD),
        ("keys: [one]", {"api_keys": ("two",)}, "two", None),
        ("keys: [invalid]", {}, "invalid", INVALID),
        ("", {"id": "own"}, "anything", NOT_ITS_OWN),
        ("", {"id": "own"}, "emu-generated", None),
        ("keys: [good]", {"id": "own"}, "good", None),
        ("keys: [good]", {"id": "own"}, "emu-generated", None),
        ("keys: [good]", {"id": "own"}, "other", NOT_ITS_OWN),
    ],
    ids=[
        "none", "any", "invalid", "scenario", "not-scenario", "option", "not-option", "both-1", "both-2",
        "invalid-though-listed", "own-any", "own-generated", "own-scenario", "own-both", "own-other",
    ],
)  # fmt: skip
def test_keys(scenario: str, options: dict[str, Any], key: str | None, message: str | None) -> None:
    exchange = make_session(f"emulator: 1\n{scenario}", **options).send(key=key)
    assert (exchange.refusal and exchange.refusal[2].message) == message
    assert status(exchange) == (401 if message else 200)


@pytest.mark.parametrize(
    ("provider", "key", "why"),
    [
        (
            "brivionix",
            "br-123",
            "It begins as keys of BrainstormRouter do, with br-, and those of Brivionix begin with sk-.",
        ),
        ("beatra", "br-123", "It begins as keys of BrainstormRouter do, with br-."),
        ("brainstormrouter", "123", "Keys of BrainstormRouter begin with br-."),
        ("brainstormrouter", "br-123", "Good are those that --api-key or the scenario's keys list."),
    ],
)
def test_a_key_of_another_provider_is_told_as_such(provider: str, key: str, why: str) -> None:
    exchange = make_session(api_keys=("good",)).send(provider, key=key)
    assert exchange.refusal is not None
    assert exchange.refusal[2].message == f"The API key is not good here. {why}"


def test_the_key_of_a_session_for_one_provider_is_not_good_at_another() -> None:
    live = make_session(id="own", provider="brivionix")
    assert status(live.send("brivionix", key="emu-generated")) == 200
    exchange = live.send("beatra", key="emu-generated")
    assert exchange.refusal is not None
    assert exchange.refusal[2].message == "The API key is not good here. It is that of a session for brivionix."


KEYED = [name for name in NAMES if not PROVIDERS[name].key_optional]


def test_a_key_that_is_optional_may_be_any_or_none() -> None:
    live = make_session(api_keys=("good",))
    assert [status(live.send("ollama", key=key)) for key in (None, "good", "invalid", "emu-generated")] == [200] * 4


@pytest.mark.parametrize("provider", KEYED)
def test_a_refused_key_rests_on_the_providers_fact(provider: str) -> None:
    exchange = make_session().send(provider, key=None)
    assert exchange.refusal is not None
    assert exchange.refusal[2].fact == PROVIDERS[provider].auth_fact


@pytest.mark.parametrize("provider", KEYED)
def test_the_key_is_checked_before_the_body_and_the_path_before_the_key(provider: str) -> None:
    live = make_session()
    assert refused(live.send(provider, raw=b"{", key=None))[0] == PROVIDERS[provider].key_missing
    assert refused(live.send(provider, path="/nowhere", key=None))[0] == PROVIDERS[provider].unknown_path


# Bodies

DEEP = b'{"model": "auto", "messages": [], "x": ' + b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH + b"}"
JUST = b'{"model": "auto", "messages": [], "x": ' + b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1) + b"}"
MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "bom": b"\xef\xbb\xbf{}",
    "nan": b'{"temperature": NaN}',
    "infinity": b'{"temperature": Infinity}',
    "minus-infinity": b'{"temperature": -Infinity}',
    "lone-surrogate": b'{"a": "\\ud800"}',
    "utf-8": b'{"a": "\xff"}',
    "utf-8-surrogate": b'{"a": "\xed\xa0\x80"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "truncated": b'{"a": ',
    "trailing-comma": b'{"a": 1,}',
    "single-quotes": b"{'a': 1}",
    "comment": b'{"a": 1} // no',
    "two-values": b"{} {}",
    "control-character": b'{"a": "\x01"}',
    "leading-zero": b'{"a": 01}',
    "very-deep": b"[" * 100_000,
}


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused(provider: str, raw: bytes) -> None:
    exchange = make_session().send(provider, raw=raw)
    name, message, details = refused(exchange)
    reason = details[0][1]
    malformed = PROVIDERS[provider].malformed
    assert (status(exchange), name, message) == (400, malformed, f"The body is not valid JSON: {reason}.")
    assert [path for path, _ in details] == [""]
    assert (reason == "it is empty") is (not raw.strip())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is not valid JSON: it is empty"),
        (DEEP, "is nested deeper than 200 levels"),
        (b"[1, 2]", "must be a JSON object, not [1, 2]"),
        (b'"text"', "must be a JSON object, not 'text'"),
        (b"null", "must be a JSON object, not null"),
        (b"1.5", "must be a JSON object, not 1.5"),
    ],
    ids=["empty", "deep", "list", "string", "null", "number"],
)
def test_what_is_no_object_of_bounded_depth_is_refused(raw: bytes, reason: str) -> None:
    _, message, _ = refused(make_session().send(raw=raw))
    assert message == f"The body {reason}."


def test_a_body_as_deep_as_the_bound_is_accepted() -> None:
    exchange = make_session().send(raw=JUST)
    assert (status(exchange), [path for fact, path, _ in notes(exchange) if fact is None]) == (200, ["x"])


TOO_MANY = "The body holds more than 500000 values (a bound of the emulator's, assumed)."


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (b"0," * 499_995 + b"0", None),
        (b"0," * 499_996 + b"0", TOO_MANY),
        (b"[]," * 250_000 + b"[]", TOO_MANY),
        (b'"' + b"[,{" * 250_000 + b'"', None),
        (b'"' + rb"\"[{," * 250_000 + b'"', None),
        (b'"a",' * 499_996 + b'"a"', TOO_MANY),
    ],
    ids=["most", "one-more", "lists", "signs-in-a-string", "escapes", "strings"],
)
def test_the_values_of_a_body_are_bounded(items: bytes, message: str | None) -> None:
    exchange = make_session().send(raw=b'{"model": "auto", "messages": [], "x": [' + items + b"]}")
    assert (exchange.refusal and exchange.refusal[2].message) == message
    assert status(exchange) == (400 if message else 200)


def test_a_string_without_an_end_is_passed_in_one_step() -> None:
    assert _JSON_STRING.findall(b'[1, "' + b'\\"' * 1000) == [b'"' + b'\\"' * 1000]
    assert _JSON_STRING.findall(b'"a\\') == [b'"a']


def test_a_layer_of_empty_lists_is_no_level() -> None:
    assert [status(make_session().send(body=chat(x=nested(levels)))) for levels in (199, 200)] == [200, 400]


def nested(levels: int) -> Any:
    value: Any = [[], {}, 1]
    for _ in range(levels - 1):
        value = [value]
    return value


def test_undocumented_fields_are_noted_up_to_a_bound() -> None:
    exchange = make_session().send(body=chat() | {f"k{n}": 1 for n in range(250)})
    found = [(path, message) for _, path, message in notes(exchange)]
    assert [path for path, _ in found] == [*(f"k{n}" for n in range(100)), ""]
    assert found[-1] == ("", "150 more fields are not in the docs")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    messages = [{"role": "user", "content": "[{" * 300}]
    assert status(make_session().send(body=chat(messages=messages))) == 200


@pytest.mark.parametrize("number", ["1" * 400, "-" + "9" * 40, "1e400", "1e-400", "0.1e309", "1.7976931348623157e308"])
@pytest.mark.parametrize("field", ["max_tokens", "temperature", "seed"])
@pytest.mark.parametrize("validation", ["documented", "strict", "off"])
def test_huge_numbers_never_break_the_emulator(number: str, field: str, validation: str) -> None:
    raw = b'{"model": "gpt-4", "messages": [], "%s": %s}' % (field.encode(), number.encode())
    assert status(make_session(validation=validation).send("braintwin", raw=raw)) in (200, 400)


def test_a_body_over_the_bound_is_refused() -> None:
    message = "The request body is larger than this server takes (--max-body)."
    exchange = make_session().send(raw=b"", too_large=True)
    assert (status(exchange), refused(exchange)) == (413, ("too_large", message, []))


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_get_an_answer_of_the_provider(raw: bytes) -> None:
    assert 200 <= status(make_session().send("brivionix", raw=raw)) < 500


# JSON of any shape, at the places that the engine reads itself
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=5), items, max_size=3),
    max_leaves=8,
)
READ = ["model", "messages", "stream", "stream_options", "max_tokens", "n", "stop", "tools", "tool_choice",
        "response_format", "encoding_format", "input", "dimensions", "seed"]  # fmt: skip


@given(
    provider=st.sampled_from(NAMES),
    level=st.sampled_from(["documented", "strict", "off"]),
    body=st.dictionaries(st.sampled_from(READ), ANY_JSON, max_size=6),
    embeddings=st.booleans(),
)
def test_whatever_the_fields_are_the_answer_is_no_failure_of_ours(
    provider: str, level: str, body: dict[str, Any], embeddings: bool
) -> None:
    path = "/embeddings" if embeddings and provider == "brainstormrouter" else None
    exchange = make_session(validation=level, plan="unlimited").send(provider, raw=json.dumps(body).encode(), path=path)
    assert status(exchange) in (200, 400)


# Content types

GOOD_TYPES = [None, "application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
TYPE_MESSAGE = "Content-Type must be application/json, not 'text/plain'"


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("kind", GOOD_TYPES, ids=["absent", "json", "charset", "suffix"])
def test_json_content_types_are_good(provider: str, kind: str | None) -> None:
    sent = make_request(provider)
    headers = {name: value for name, value in {**sent.headers, "content-type": kind}.items() if value is not None}
    live = make_session(plan="unlimited")
    claim = live.engine.claim(live.session, replace(sent, headers=headers))
    assert (claim.refusal, claim.call and claim.call.notes) == (None, ())


@pytest.mark.parametrize(
    ("provider", "code", "name", "fact"),
    [("beatra", 400, "invalid_request", "be-content-type"), ("brivionix", 415, "unsupported_media_type", "bv-headers")],
)
def test_another_content_type_is_refused_where_the_docs_name_one(
    provider: str, code: int, name: str, fact: str
) -> None:
    exchange = make_session().send(provider, headers={"content-type": "text/plain"})
    details = [("content-type", "must be application/json")]
    assert (status(exchange), refused(exchange)) == (code, (name, f"{TYPE_MESSAGE}.", details))
    assert exchange.refusal is not None
    assert exchange.refusal[2].fact == fact


@pytest.mark.parametrize(
    ("provider", "options", "mute", "fact"),
    [
        ("braintwin", {}, [], None),
        ("brainstormrouter", {}, [], None),
        ("beatra", {"validation": "off"}, [], "be-content-type"),
        ("brivionix", {"validation": "off"}, [], "bv-headers"),
        ("beatra", {}, ["be-content-type"], "be-content-type"),
    ],
    ids=["braintwin", "brainstormrouter", "off-beatra", "off-brivionix", "muted"],
)
def test_another_content_type_is_noted_elsewhere(
    provider: str, options: dict[str, str], mute: list[str], fact: str | None
) -> None:
    live = make_session({"mute": mute}, **options)
    exchange = live.send(provider, headers={"content-type": "text/plain"})
    assert status(exchange) == 200
    assert (fact, "headers.content-type", TYPE_MESSAGE) in notes(exchange)


# Validation

WRONG = {
    "beatra": {"temperature": 3},
    "brainstormrouter": {"temperature": "hot"},
    "braintwin": {"presence_penalty": -2.5},
    "brivionix": {"messages": [{"role": "robot", "content": "x"}]},
}
WRONG_DETAILS = {
    "beatra": ("temperature", "must be at most 2, not 3"),
    "brainstormrouter": ("temperature", "must be a number, not 'hot'"),
    "braintwin": ("presence_penalty", "must be at least -2, not -2.5"),
    "brivionix": ("messages[0].role", "must be one of: 'system', 'user', 'assistant', 'tool'; not 'robot'"),
}


@pytest.mark.parametrize("provider", FOUR)
@pytest.mark.parametrize(("level", "code"), [("documented", 400), ("strict", 400), ("off", 200)])
def test_what_the_docs_rule_out(provider: str, level: str, code: int) -> None:
    exchange = make_session(validation=level).send(provider, chat(provider, **WRONG[provider]))
    assert status(exchange) == code
    if code == 400:
        assert refused(exchange) == ("invalid_request", None, [WRONG_DETAILS[provider]])


@pytest.mark.parametrize("provider", FOUR)
@pytest.mark.parametrize(("level", "code"), [("documented", 200), ("strict", 400), ("off", 200)])
def test_what_the_docs_do_not_know(provider: str, level: str, code: int) -> None:
    exchange = make_session(validation=level).send(provider, chat(provider, nonsense=1, n=1))
    assert status(exchange) == code
    if level == "documented":
        assert [note for note in notes(exchange) if note[1] in ("nonsense", "n")] == [
            (None, "nonsense", "is not in the docs; it was accepted and has no effect"),
            (None, "n", "is not in the docs; it was accepted and has its customary effect"),
        ]
    if level == "strict":
        _, _, details = refused(exchange)
        assert [path for path, _ in details] == ["nonsense", "n"]


def test_all_offending_fields_are_named() -> None:
    body = {"model": 5, "messages": [{"role": "tool", "content": ["x"]}, "x"], "temperature": 3, "top_p": 1}
    assert refused(make_session().send(body=body))[2] == [
        ("temperature", "is not allowed here (temperature or top_p, not both)"),
        ("top_p", "is not allowed here (temperature or top_p, not both)"),
        ("model", "must be a string, not 5"),
        ("messages[0].role", "must be one of 'system', 'user', 'assistant'; not 'tool'"),
        ("messages[0].content", "must be a string, not ['x']"),
        ("messages[1]", "must be an object, not 'x'"),
        ("temperature", "must be at most 2, not 3"),
    ]


def test_query_parameters_are_the_body_of_a_get() -> None:
    live = make_session()
    path, query = "/intelligence/recommendations", "task=code+review&empty="
    exchange = live.send("brainstormrouter", method="GET", path=path, query=query)
    assert exchange.claim.call is not None
    assert exchange.claim.call.body == {"task": "code review", "empty": ""}
    assert notes(exchange) == [(None, "empty", "is not in the docs; it was accepted and has no effect")]


# Models and windows


@pytest.mark.parametrize(
    ("provider", "model", "message"),
    [
        ("beatra", "beatra-2", "there is no model 'beatra-2'; did you mean 'beatra-1'?"),
        ("beatra", "x", "there is no model 'x'; known: auto, beatra-1, beatra-1-mini"),
        ("braintwin", "gpt-5", "there is no model 'gpt-5'; did you mean 'gpt-4'?"),
        ("braintwin", "auto", "there is no model 'auto'; known: gpt-3.5-turbo, gpt-4"),
        ("brivionix", "gpt-5.4-minni", "there is no model 'gpt-5.4-minni'; did you mean 'gpt-5.4-mini'?"),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest_name(provider: str, model: str, message: str) -> None:
    exchange = make_session().send(provider, chat(provider, model=model))
    name = "model_not_found" if provider == "brivionix" else "invalid_request"
    assert refused(exchange)[::2] == (name, [("model", message)])


def test_an_unknown_model_is_noted_where_the_list_is_open() -> None:
    exchange = make_session().send("brainstormrouter", chat("brainstormrouter", model="gpt-9"))
    assert (status(exchange), exchange.model) == (200, "gpt-9")
    assert notes(exchange) == [("br-model-named", "model", "the docs don't name 'gpt-9'; any id is accepted")]


@pytest.mark.parametrize(
    ("scenario", "options"),
    [({"models": ["mine"]}, {}), ({"mute": ["be-model"]}, {}), ({}, {"validation": "off"})],
    ids=["listed", "muted", "off"],
)
def test_an_unknown_model_is_good_where_the_session_says_so(scenario: dict[str, Any], options: dict[str, str]) -> None:
    exchange = make_session(scenario, **options).send(body=chat(model="mine"))
    assert (status(exchange), exchange.model) == (200, "mine")


def words(count: int) -> str:
    return " ".join(["word"] * count)


WINDOW = "over the context window of 8192 tokens of gpt-4"


@pytest.mark.parametrize(
    ("count", "fields", "message"),
    [
        (8169, {}, None),  # 3 + 3 + 1 for the role + 8169 + 16
        (8170, {}, f"the messages have about 8177 tokens and max_tokens asks for 16 more: {WINDOW}"),
        (10, {"max_tokens": 8175}, None),
        (10, {"max_tokens": 8176}, f"the messages have about 17 tokens and max_tokens asks for 8176 more: {WINDOW}"),
        (8185, {"max_tokens": -5}, None),
        (8186, {"max_tokens": -5}, f"the messages have about 8193 tokens and max_tokens asks for 0 more: {WINDOW}"),
    ],
    ids=["fits", "over", "asks-all", "asks-more", "negative-fits", "negative-over"],
)
def test_context_window(count: int, fields: dict[str, Any], message: str | None) -> None:
    exchange = make_session().send("braintwin", chat("braintwin", words(count), **fields))
    details = [] if message is None else [("messages", message)]
    assert [(item.path, item.message) for item in (exchange.refusal[2].details if exchange.refusal else ())] == details
    assert exchange.refusal is None or exchange.refusal[2].fact == "bt-context-window"


@pytest.mark.parametrize(
    ("scenario", "options"), [({"mute": ["bt-context-window"]}, {}), ({}, {"validation": "off"})], ids=["muted", "off"]
)
def test_context_window_can_be_muted(scenario: dict[str, Any], options: dict[str, str]) -> None:
    assert status(make_session(scenario, **options).send("braintwin", chat("braintwin", words(9000)))) == 200


def test_a_context_window_overrun_has_the_code_by_which_clients_know_it() -> None:
    exchange = make_session().send("braintwin", chat("braintwin", words(9000)))
    assert (status(exchange), body_of(exchange)["error"]["code"]) == (400, "context_length_exceeded")


def test_an_unknown_model_has_openais_status_and_code_where_errors_are_said_to_be_openais() -> None:
    exchange = make_session().send("brivionix", chat("brivionix", model="x"))
    assert (status(exchange), body_of(exchange)["error"]["code"]) == (404, "model_not_found")


# As OpenAI's API answers, where docs are silent and say that they are like it

LOOK = {"type": "function", "function": {"name": "look"}}
OTHER = {"type": "function", "function": {"name": "other"}}


@pytest.mark.parametrize("provider", ["brainstormrouter", "brivionix"])
@pytest.mark.parametrize("choice", [OTHER, {"type": "function", "function": {"name": ""}}], ids=["other", "empty"])
def test_a_tool_choice_names_an_offered_tool(provider: str, choice: Any) -> None:
    body = chat(provider, tools=[LOOK], tool_choice=choice)
    for live in (make_session(), make_session({"rules": [{"reply": {"text": "scripted"}}]})):
        assert refused(live.send(provider, body))[2] == [
            ("tool_choice", f"tool_choice names '{choice['function']['name']}', which is not among the tools offered")
        ]
    fact = {"brainstormrouter": "br-tool-choice-offered", "brivionix": "bv-tool-choice-offered"}[provider]
    assert status(make_session({"mute": [fact], "provider": provider}).send(provider, body)) == 200
    assert status(make_session().send(provider, chat(provider, tools=[LOOK], tool_choice=LOOK))) == 200


@pytest.mark.parametrize("provider", FOUR)
def test_a_cap_bites_by_either_name(provider: str) -> None:
    live = make_session({"rules": [{"reply": {"text": "one two three four five six"}}]})
    for name in ("max_tokens", "max_completion_tokens"):
        exchange = live.send(provider, chat(provider, **{name: 3}))
        assert (exchange.finish_reason, exchange.usage and exchange.usage["completion_tokens"]) == ("length", 3)
    whole = live.send(provider, chat(provider, max_completion_tokens=200))  # more than any documented default
    assert whole.finish_reason == "stop"
    assert notes(whole) == [
        (None, "max_completion_tokens", "is not in the docs; it was accepted and has its customary effect")
    ]


EMPTY = "must not be empty"
WHOLE = "must be a whole number from 1 to 8192, not"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"input": []}, "input", EMPTY),
        ({"input": ""}, "input", EMPTY),
        ({"input": ["a", ""]}, "input[1]", EMPTY),
        ({"input": [[1], []]}, "input[1]", EMPTY),
        ({"dimensions": 0}, "dimensions", f"{WHOLE} 0 (assumed)"),
        ({"dimensions": "8"}, "dimensions", f"{WHOLE} '8' (assumed)"),
        ({"dimensions": True}, "dimensions", f"{WHOLE} true (assumed)"),
        ({"dimensions": 8.5}, "dimensions", f"{WHOLE} 8.5 (assumed)"),
        ({"dimensions": 8193}, "dimensions", f"{WHOLE} 8193 (assumed)"),
        ({"encoding_format": "hex"}, "encoding_format", "must be 'float' or 'base64', not 'hex' (assumed)"),
    ],
    ids=["none", "empty", "empty-text", "no-tokens", "zero", "text", "boolean", "fraction", "many", "format"],
)
def test_what_has_no_vector_is_refused(body: dict[str, Any], path: str, message: str) -> None:
    given = {"model": "auto", "input": "x", **body}
    exchange = make_session().send("brainstormrouter", given, path="/embeddings")
    assert refused(exchange) == ("invalid_request", None, [(path, message)])
    assert status(make_session(validation="off").send("brainstormrouter", given, path="/embeddings")) == 200


@pytest.mark.parametrize(
    "body", [{"dimensions": None, "encoding_format": None}, {"dimensions": 8192}, {"dimensions": 8.0}, {"input": [1]}]
)
def test_what_has_a_vector_is_not(body: dict[str, Any]) -> None:
    given = {"model": "auto", "input": "x", **body}
    assert status(make_session().send("brainstormrouter", given, path="/embeddings")) == 200


@pytest.mark.parametrize("provider", ["braintwin", "brainstormrouter", "brivionix", "beatra"])
def test_a_customary_field_of_another_type_is_said_to_have_no_effect(provider: str) -> None:
    wrong = {"n": "2", "stop": 3, "response_format": "json"}
    found = {path: message for _, path, message in notes(make_session().send(provider, chat(provider, **wrong)))[:3]}
    assert found == dict.fromkeys(wrong, "is not in the docs; it was accepted and has no effect")
    assert status(make_session(validation="compatible").send(provider, chat(provider, **wrong))) == 400


# Idempotency keys

UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"


@pytest.mark.parametrize(
    ("given_key", "value"),
    [(UUID, UUID), (UUID.upper(), UUID), (f'"{UUID}"', UUID), (None, None)],
    ids=["plain", "upper-case", "quoted", "absent"],
)
def test_good_idempotency_keys(given_key: str | None, value: str | None) -> None:
    live = make_session()
    headers = {"idempotency-key": given_key} if given_key else {}
    claim = live.engine.claim(live.session, make_request(headers=headers))
    assert (claim.refusal, claim.idempotency and claim.idempotency[0]) == (None, value)


@pytest.mark.parametrize(
    "given_key",
    ["", '"', "retry-1", UUID[:-1], UUID + "0", UUID.replace("-", ""), UUID.replace("8", "g"), f'"{UUID}', f"'{UUID}'"],
)
def test_other_idempotency_keys_are_refused(given_key: str) -> None:
    exchange = make_session().send(headers={"idempotency-key": given_key})
    details = [("idempotency-key", f"must be a UUID, not {given_key!r}")]
    assert refused(exchange) == ("invalid_request", None, details)


@pytest.mark.parametrize("provider", [name for name in NAMES if name != "beatra"])
def test_idempotency_keys_mean_nothing_where_the_docs_know_none(provider: str) -> None:
    exchange = make_session().send(provider, headers={"idempotency-key": "anything"})
    assert (status(exchange), exchange.claim.idempotency) == (200, None)


def test_an_idempotency_key_can_be_muted() -> None:
    exchange = make_session({"mute": ["be-idempotency"]}).send(headers={"idempotency-key": "anything"})
    assert (status(exchange), exchange.claim.idempotency) == (200, None)


def test_the_fingerprint_is_of_the_json_and_not_of_its_bytes() -> None:
    live, headers = make_session(), {"idempotency-key": UUID}
    body = chat(temperature=1)
    claims = [
        live.engine.claim(live.session, make_request(raw=raw, headers=headers))
        for raw in (
            json.dumps(body).encode(),
            json.dumps(dict(reversed(body.items())), indent=2).encode(),
            json.dumps({**body, "temperature": 2}).encode(),
        )
    ]
    first, same, other = (claim.idempotency for claim in claims)
    assert first == same != other


# Muting: what a fact forbids is acceptable without it, and nothing else is
#   fact: (provider, what is sent without it, as fields of the body or of the request)

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f"}}
FORBIDDEN: dict[str, dict[str, Any]] = {
    "be-auth": {"request": {"key": None}},
    "be-content-type": {"request": {"headers": {"content-type": "text/plain"}}},
    "be-idempotency": {"request": {"headers": {"idempotency-key": "x"}}},
    "be-model": {"body": {"model": "x"}},
    "be-messages": {"body": {"messages": [{"role": "tool", "content": []}]}},
    "be-stream": {"body": {"stream": "no"}},
    "be-temperature": {"body": {"temperature": -1}},
    "be-max-tokens": {"body": {"max_tokens": 1.5}},
    "be-top-p-xor-temperature": {"body": {"temperature": 1, "top_p": 1}},
    "br-auth-bearer": {"request": {"key": None}},
    "br-chat-params": {"body": {"messages": None}, "drop": "messages"},
    "br-tools": {"body": {"tools": "x"}},
    "bt-auth-bearer": {"request": {"key": None}},
    "bt-model-required": {"body": {"model": None}, "drop": "model", "also": ["bt-model-known"]},
    "bt-model-known": {"body": {"model": "x"}},
    "bt-messages-required": {"drop": "messages"},
    "bt-temperature-range": {"body": {"temperature": 2.1}},
    "bt-max-tokens-default": {"body": {"max_tokens": 1.5}},
    "bt-stream-default": {"body": {"stream": "no"}},
    "bt-presence-penalty-range": {"body": {"presence_penalty": 3}},
    "bt-frequency-penalty-range": {"body": {"frequency_penalty": "x"}},
    "bt-context-window": {"body": {"max_tokens": 9000}},
    "bv-headers": {"request": {"headers": {"content-type": "text/plain"}}},
    "bv-minimal": {"drop": "messages"},
    "bv-models": {"body": {"model": "x"}},
    "bv-roles": {"body": {"messages": [{"role": "robot"}]}},
    "bv-vision": {"body": {"messages": [{"role": "user", "content": [{"type": "video"}]}]}},
    "bv-tools": {"body": {"tools": [{"type": "function"}]}},
    "bv-penalties": {"body": {"presence_penalty": "x"}},
    "bv-max-tokens": {"body": {"max_tokens": 1.5}},
}
BY_PREFIX = {"be": "beatra", "br": "brainstormrouter", "bt": "braintwin", "bv": "brivionix"}


@pytest.mark.parametrize("fact", FORBIDDEN)
def test_a_muted_fact_forbids_nothing(fact: str) -> None:
    provider, breach = BY_PREFIX[fact[:2]], FORBIDDEN[fact]
    body = {**chat(provider), **breach.get("body", {})}
    body.pop(breach.get("drop"), None)
    also = breach.get("also", [])
    outcomes = [
        make_session({"mute": mute, "provider": provider}).send(provider, body, **breach.get("request", {}))
        for mute in ([], also, [fact, *also])
    ]
    assert [status(exchange) < 400 for exchange in outcomes] == [False, False, True], outcomes[2].refusal
    assert outcomes[0].refusal is not None
    assert outcomes[1].refusal is not None
    assert outcomes[1].refusal[2].fact == fact


def test_every_fact_that_forbids_something_is_in_the_table() -> None:
    named = {
        fact
        for provider in map(PROVIDERS.get, FOUR)
        for fact in [*_constraints(provider.operations["chat"].request), provider.auth_fact, provider.models_fact,
                     provider.context_fact, provider.content_type[1], (provider.idempotency or (0, 0, None))[2]]
        if fact
    }  # fmt: skip
    lenient = {"br-model-named", "br-base-url"}  # one only notes, the other wants an object, which every body is
    assert named - lenient == set(FORBIDDEN)


def _constraints(document: Any) -> set[str]:
    """Return the facts that constrain something in a schema; a default alone rules nothing out."""
    if isinstance(document, list):
        return {fact for item in document for fact in _constraints(item)}
    if not isinstance(document, dict):
        return set()
    found = {fact for item in document.values() for fact in _constraints(item)}
    describing = {"$comment", "description", "title", "default", "properties", "items", "$schema", "$id", "allOf"}
    comment = document.get("$comment", "").partition(":")[0]
    return found | ({comment} if comment not in ("", "assumed") and set(document) - describing else set())


def test_muting_a_default_takes_its_effect_away() -> None:
    exchange = make_session({"mute": ["bt-max-tokens-default"]}).send("braintwin")
    assert exchange.finish_reason == "stop"


@pytest.mark.parametrize("model", [5, None, ["x"]], ids=["number", "null", "list"])
def test_a_model_that_is_no_name_is_none(model: Any) -> None:
    exchange = make_session(validation="off").send(body={"model": model})
    assert (status(exchange), exchange.claim.call and exchange.claim.call.model) == (200, "")


def test_elapsed_is_counted_from_the_sessions_start() -> None:
    exchange = make_session().send(at=NOW + 2.5)
    assert (exchange.claim.call and exchange.claim.call.elapsed) == 2.5


def test_a_refusal_says_which_fact_it_rests_on() -> None:
    details = [Violation("a", "x"), Violation("b", "y", "fact-b"), Violation("c", "z", "fact-c")]
    assert (Refusal("not_found", "m", details).fact, Refusal("not_found", fact="own").fact) == ("fact-b", "own")
    assert str(Refusal("not_found")) == "not_found"


GENERATE = {"model": "llama3.2", "prompt": "Hi"}
#: The provider, its request, the field that is added, the fact, and why it changes nothing.
VAIN: list[tuple[str, dict[str, Any], str, Any, str, str]] = [
    ("openrouter", chat("openrouter"), "provider", {"order": ["azure"]}, "or-provider", "no provider is chosen"),
    ("openrouter", chat("openrouter"), "plugins", [{"id": "web"}], "or-chat", "plugins are not emulated"),
    ("openrouter", chat("openrouter"), "transforms", ["middle-out"], "or-chat", "prompts are taken as they are"),
    ("ollama", GENERATE, "context", [1, 2], "ol-generate", "nothing is remembered by it"),
    ("ollama", GENERATE, "suffix", "return", "ol-generate", "the text is as without it"),
    ("ollama", GENERATE, "template", "{{ .Prompt }}", "ol-generate", "no prompt is made by it"),
    ("ollama", GENERATE, "raw", True, "ol-generate", "no prompt is made by a template"),
]


@pytest.mark.parametrize(("provider", "body", "name", "value", "fact", "why"), VAIN, ids=[row[2] for row in VAIN])
def test_a_documented_field_that_changes_nothing_is_noted(
    provider: str, body: dict[str, Any], name: str, value: Any, fact: str, why: str
) -> None:
    asked = {"path": "/api/generate"} if provider == "ollama" else {}
    live = make_session()
    assert notes(live.send(provider, {**body, name: value}, **asked)) == [(fact, name, f"has no effect here: {why}")]
    assert notes(live.send(provider, {**body, name: type(value)()}, **asked)) == []


UNLISTED = {
    "anthropic": ("GET", "/v1/models/m", None, {"type": "model", "id": "m", "display_name": None}),
    "ollama": ("POST", "/api/show", {"model": "m"}, {"capabilities": None}),
}


@pytest.mark.parametrize("provider", UNLISTED)
@pytest.mark.parametrize("how", ["off", "muted"])
def test_of_a_model_that_is_let_through_what_nobody_knows_is_null(provider: str, how: str) -> None:
    method, path, body, told = UNLISTED[provider]
    fact = PROVIDERS[provider].models_fact
    live = make_session(validation="off") if how == "off" else make_session({"provider": provider, "mute": [fact]})
    exchange = live.send(provider, body, method=method, path=path)
    assert (status(exchange), body_of(exchange)) == (200, {**body_of(exchange), **told})
