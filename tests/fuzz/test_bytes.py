"""Any bytes, anywhere: as a body, a path, a header, a scenario, a schema. Never a crash, a hang, or a 5xx of ours.

EMULATOR_FUZZ_EXAMPLES multiplies the number of examples (default 1: about a minute in all). What was once found stands
as an `@example`.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emulator.contract.bodies import parse_events
from emulator.contract.strategies import ANY_JSON, TEXTS, requests
from emulator.core.engine import Engine
from emulator.core.errors import SourceError
from emulator.core.folder import data_folder, load_providers
from emulator.core.journal import describe
from emulator.core.load import parse_text
from emulator.core.scenario import Scenario
from emulator.core.session import Options, build_session
from emulator.core.source import parse_source
from emulator.core.wire import Request
from emulator.stores.memory import MemoryStore

TIMES = float(os.environ.get("EMULATOR_FUZZ_EXAMPLES", "1"))
TIMEOUT_S = 5
START_S = 20

PROVIDERS = load_providers()
ENGINE = Engine(PROVIDERS)
LIBRARY = [file.read_text() for file in sorted(data_folder("scenarios").glob("*/*.yaml"))]
BODIES = [
    orjson.dumps(body)
    for body in (
        {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 3},
        {"model": "auto", "messages": [{"role": "user", "content": "é👩"}], "temperature": 0.5, "n": 2, "stop": ["a"]},
        {"model": "auto", "input": ["x", "y"], "encoding_format": "base64", "dimensions": 4},
        {"tasks": [{"type": "chat", "estimated_tokens": 10}], "strategy": "combined"},
    )
]
KEYED = {"authorization": "Bearer any", "content-type": "application/json"}


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=max(1, int(examples * TIMES)), deadline=None, derandomize=TIMES == 1, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


# A server in a process of its own, so that its stderr can be read


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running emulator; when it ends, nothing of a crash may stand on its stderr."""
    log = tmp_path_factory.mktemp("fuzz") / "stderr"
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--plan", "unlimited"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("Emulator ready at "), line
            yield urlsplit(line.split()[-1]).netloc
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=START_S)
    said = log.read_text("utf-8", "replace")
    assert "Traceback" not in said, said[-4000:]
    assert "the emulator failed" not in said, said[-4000:]


# Bytes


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace pieces of some bytes: each edit is where, how many, by what."""
    for start, length, new in edits:
        start %= len(data) + 1
        data = data[:start] + new + data[start + length :]
    return data


PIECES = st.binary(max_size=4) | st.sampled_from(
    [b'"', b"[", b"]", b"{", b"}", b",", b":", b"null", b"NaN", b"1e999", b"-0", b"9" * 30, b"\\ud800", b"\xed\xa0\x80",
     b"\xff", b"\x00", b"\n", b"\t", b"  ", b"true", b"'", b"&a", b"*a", b"!!python/object", b"${", b"- ", b": ", b"#"]
)  # fmt: skip
EDITS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 12), PIECES), min_size=1, max_size=4)
BODY = st.binary(max_size=200) | st.builds(edited, st.sampled_from(BODIES), EDITS)
TARGETS = [
    f"/{provider.name}/v1{operation.path}"
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    if operation.method == "POST"
]


@example(b"")
@example(b"[" * 100_000)
@example(b'{"a":' * 20_000)
@example(b'{"model": "gpt-4", "messages": [{"role": "user", "content": "\\ud800"}]}')
@example(b'{"model": "gpt-4", "messages": [], "max_tokens": 1e308}')
@example(b'{"model": "gpt-4", "messages": [], "max_tokens": 1e400}')
@example(b'{"model": "gpt-4", "messages": [], "max_tokens": ' + b"9" * 5_000 + b"}")
@example(b'\xef\xbb\xbf{"model": "gpt-4", "messages": []}')
@example(b'{"model": "gpt-4", "model": 1, "messages": []}')
@fuzz(1_000)
@given(BODY)
def test_any_body_gets_a_clear_answer(server: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(server, timeout=TIMEOUT_S)
    for target in TARGETS:
        connection.request("POST", target, body, KEYED)
        response = connection.getresponse()
        data = response.read()
        assert response.status < 500, data
        assert response.headers["x-emulator-error"] is None
        if response.headers["content-type"] == "application/json":
            orjson.loads(data)
    connection.close()


TOKENS = st.sampled_from(
    [
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "HEAD",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PRI",
        "M-SEARCH",
        "FOO",
        "post",
        "",
    ]
)
STEPS = st.sampled_from(
    ["", "v1", "s", "default", "braintwin", "beatra", "brivionix", "brainstormrouter", "chat", "completions", "models",
     "embeddings", "intelligence", "recommendations", "_emulator", "sessions", "journal", "clock", "health", "..", ".",
     "%2f", "%00", "%", "%zz", "%ff", "é", "?", "?task=%ff", "?since=-1", "#", "*", "http://x", "x" * 5_000, "{id}"]
) | TEXTS  # fmt: skip
PATHS = st.lists(STEPS, max_size=6).map(lambda steps: "/" + "/".join(steps)) | TEXTS
NAMES = st.sampled_from(
    ["Authorization", "Content-Type", "Content-Length", "Transfer-Encoding", "Expect", "Connection", "Upgrade", "Host",
     "Idempotency-Key", "Accept-Encoding", "Cookie", "X-Tenant", "", ":", "\x00"]
) | TEXTS  # fmt: skip
VALUES = st.sampled_from(
    ["Bearer any", "Bearer ", "Basic x", "Bearer é", "Bearer invalid", "application/json", "text/plain;", "/", "0", "5",
     "-1", "9" * 40, "chunked", "gzip, chunked", "100-continue", "close", "keep-alive", "websocket", "h2c", "[::1", "[",
     "127.0.0.1:0", "api.beatra.ai", "\"550e8400-e29b-41d4-a716-446655440000\"", "x" * 9_000]
) | TEXTS  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


def raw_message(method: str, path: str, version: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


MESSAGE = st.builds(
    raw_message, TOKENS, PATHS, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ""]), HEADERS, BODY
)


@example(b"\x00")
@example(b"\r\n\r\n")
@example(b"GET http://[ HTTP/1.1\r\n\r\n")
@example(b"GET /_emulator/sessions/%00 HTTP/1.1\r\nHost: [\r\n\r\n")
@example(b"GET /_emulator/health HTTP/1.1\r\nHost: \xff\r\nAuthorization: Bearer \xff\r\n\r\n")
@example(b"POST /beatra/v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")
@example(b"GET /\xff\xfe HTTP/1.1\r\n\r\n")
@fuzz(2_500)
@given(MESSAGE | st.lists(MESSAGE, min_size=2, max_size=3).map(b"".join) | st.binary(max_size=100))
def test_any_message_on_the_socket_gets_no_error_of_ours(server: str, data: bytes) -> None:
    answer = exchange(server, data)
    for head in heads(answer):
        assert not head.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), head
        assert b"\r\nx-emulator-error:" not in head.lower()


def exchange(server: str, data: bytes) -> bytes:
    """Send, say that nothing more will come, and read to the end."""
    host, port = server.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        received = bytearray()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # what is no HTTP may be cut short
        return bytes(received)


def heads(answer: bytes) -> Iterator[bytes]:
    """Yield each answer's head; what looks like one in a body is none: it does not stand at a line's beginning."""
    for match in re.finditer(rb"(?:^|(?<=[}\n]))HTTP/1\.[01] [^\r]*\r\n(?:[^\r]+\r\n)*", answer):
        yield match[0]


# Scenarios


def text_edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    """Replace, drop or double lines of a text, or insert into one."""
    lines = text.split("\n")
    for number, how, new in edits:
        index = number % len(lines)
        line = lines[index]
        place = how % (len(line) + 1)
        lines[index : index + 1] = [
            [], [line, line], [line[:place] + new + line[place:]], [line.split(":")[0] + ": " + new], [new + line],
            [line[:place]],
        ][how % 6]  # fmt: skip
        lines = lines or [""]
    return "\n".join(lines)


WORDS = st.sampled_from(
    ["~", "[]", "{}", "-1", "0", "1e400", "1e300", "0.1", "forever", "9" * 18, "5000 years", "true", "''", '"${',
     "${n}",
     "${request.body.messages.0.content}", "&a", "*a", "<<: *a", "{regex: '('}", "{regex: '(a+)+$'}",
     "{schema: {$ref: '#'}}",
     "{schema: {pattern: '(?=a)'}}", "{schema: 3}", "{any: []}", "{all: [{not: {one_of: []}}]}", "{like: {a: 1}}",
     "{lt: 3}",
     "any", "embeddings", "cycle", "key", "header:x", "header:", "{cut: {after_chunks: 0}}", "  ", "\t", "!!binary x",
     "|", "- "]
) | TEXTS  # fmt: skip
SCENARIO_TEXT = st.builds(
    text_edited,
    st.sampled_from(LIBRARY),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 600), WORDS), max_size=4),
)
SCENARIO_BYTES = st.builds(lambda text, edits: edited(text.encode(), edits), st.sampled_from(LIBRARY), EDITS)
DATA = [parse_source(text, "x.yaml").data for text in LIBRARY]
ODD = ANY_JSON | st.sampled_from(
    [-1, 0, 10**9, 10**30, 1e300, "forever", "9" * 400 + "s", "${n}", "${request.headers.x}", {"regex": "("},
     {"regex": "(a+)+$"}, {"schema": {"$ref": "#"}}, {"any": []}, {"lt": "x"}, {"uniform": {"min": 2, "max": 1}},
     {"lognormal": {"median": 0, "sigma": 1e308}}, {"normal": {"mean": -1e308, "sd": 1e308}},
     [{"cut": {"after_bytes": 0}}],
     {"name": "rate_limited", "details": [{}]}, {"status": 200, "body": None}, "header:", "\ud800"]
)  # fmt: skip


def replaced(data: Any, steps: list[int], new: Any) -> Any:
    """Return data with one value, found by walking along `steps`, replaced."""
    data = copy.deepcopy(data)
    node = data
    for index, step in enumerate(steps):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = keys[step % len(keys)]
        if index == len(steps) - 1 or not isinstance(node[key], dict | list):
            node[key] = new
            break
        node = node[key]
    return data


SCENARIO_DATA = st.builds(
    replaced, st.sampled_from(DATA), st.lists(st.integers(0, 7), min_size=1, max_size=7), ODD
)  # fmt: skip


@example(b"")
@example(b"\xff")
@example("a: &a [*a]")
@example("emulator: 1\nrules: [{reply: {text: hi}}]\n" + "# \ud800")
@example({"emulator": 1, "rules": [{"reply": {"text": "\ud800"}}]})
@example({"emulator": 1, "rules": [{"reply": {"text": "hi"}, "when": {"body": {"$.temperature": {"lte": 10**400}}}}]})
@example({"emulator": 1, "seed": 1e300, "rules": [{"reply": {"text": "hi", "usage": {"prompt_tokens": 1e300}}}]})
@example({"emulator": 1, "rules": [{"reply": {"text": "hi", "usage": {"prompt_tokens": 2**64 - 1}, "times": 1e300}}]})
@example([])
@example(None)
@fuzz(4_000)
@given(SCENARIO_DATA | SCENARIO_TEXT | SCENARIO_BYTES | st.binary(max_size=100) | ANY_JSON)
def test_any_scenario_loads_or_says_where_it_does_not(given_scenario: Any) -> None:
    try:
        scenario = parse_text(given_scenario, "x.yaml", PROVIDERS, None)
    except SourceError as error:
        check_problems([(item.file, item.line, item.column, item.message) for item in error.problems])
        return
    serve(scenario)


def check_problems(problems: list[tuple[str, int, int, str]]) -> None:
    assert problems
    for file, line, column, message in problems:
        assert file
        assert line >= 1
        assert column >= 1
        assert message
        assert len(message) < 5_000


def serve(scenario: Scenario) -> None:
    """Have the engine answer with a scenario, whole and streamed, and describe what it did."""
    session = build_session("default", "", PROVIDERS, [scenario], Options(), 1_800_000_000.0)
    store = MemoryStore()
    for number, (provider, operation, body) in enumerate(SERVED):
        data = orjson.dumps(body)
        request = Request(
            "default", provider.name, operation.method, operation.path, "", KEYED, data, 1_800_000_000.0 + number,
            operation.path, "http://127.0.0.1",
        )  # fmt: skip
        claim = ENGINE.claim(session, request)
        found = ENGINE.answer(session, request, claim, store.take(claim))
        store.record(found)
        assert found.timeline.end_at >= found.timeline.head_at >= 0
        for name, value in found.timeline.headers:
            f"{name}: {value}".encode("latin-1")
        orjson.dumps(describe(found))


SERVED = [
    (provider, operation, body)
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    for stream in (False, True)
    for body in (
        {
            "model": next(iter(provider.models)),
            "messages": [{"role": "user", "content": "hello"}],
            "stream": stream,
            "input": "x",
            "tasks": [],
        },
    )
    if operation.answer == "chat" or not stream
]


@example({"scenario": {"emulator": 1, "rules": [{"reply": {"text": "hi"}}]}})
@example({"scenario": "\x00"})
@example({"scenario": "a: b: c"})
@example({"plan": {"requests_per_minute": -1}, "seed": 2**63 - 1})
@fuzz(500)
@given(
    (SCENARIO_TEXT | SCENARIO_DATA).map(lambda scenario: {"scenario": scenario})
    | st.dictionaries(
        st.sampled_from(["scenario", "provider", "seed", "clock", "plan", "validation", "other"]), ODD, max_size=4
    )
)
def test_any_scenario_sent_makes_a_session_or_says_why_not(server: str, wanted: Any) -> None:
    try:
        body = json.dumps(wanted).encode("utf-8", "replace")
    except ValueError:
        return
    connection = http.client.HTTPConnection(server, timeout=TIMEOUT_S)
    status, answer = control(connection, "POST", "/sessions", body)
    if status == 201:
        check_session(connection, answer)
    else:
        assert status in (400, 422), answer
        assert answer["error"]["message"]
        if status == 422:
            rows = [(row["file"], row["line"], row["column"], row["message"]) for row in answer["error"]["problems"]]
            check_problems(rows)
    connection.close()


def check_session(connection: http.client.HTTPConnection, session: Any) -> None:
    """Read a session back, and its journal, and remove it. (Its replies may well take time: they are not asked for.)"""
    path = f"/sessions/{session['id']}"
    assert control(connection, "GET", path)[0] == 200
    assert control(connection, "GET", f"{path}/journal")[0] == 200
    connection.request("DELETE", f"/_emulator{path}")
    response = connection.getresponse()
    response.read()
    assert response.status == 204


def control(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:
    connection.request(method, f"/_emulator{path}", body, {"content-type": "application/json"})
    response = connection.getresponse()
    data = response.read()
    assert response.status < 500, data
    return response.status, orjson.loads(data)


# Hostile schemas


def nested(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "required": ["a"], "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> Any:
    """Two references at each level: 2**levels parts if they were all followed."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


def chain(length: int) -> Any:
    """Each reference leads to the next one."""
    definitions = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": {"type": "string"}}}


def doubling_below(levels: int) -> Any:
    """Eight parts that say the same of a field, at each level of the value."""
    definitions = {
        f"d{n}": {
            "type": "object",
            "required": ["a"],
            "allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}}] * 8,
        }
        for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


def doubling_by_anchors(levels: int) -> Any:
    definitions = {f"d{n}": {"$anchor": f"d{n}", "allOf": [{"$ref": f"#d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#d0", "$defs": {**definitions, "last": {"$anchor": f"d{levels}", "type": "string"}}}


HOSTILE = {
    "itself": {"$ref": "#"},
    "loop": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "needs itself": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
    "tree": {"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}, "m": {"$ref": "#"}},
        "required": list("lrm")},
    "remote": {"$ref": "http://127.0.0.1:9/schema.json"},
    "file": {"$ref": "file:///etc/passwd"},
    "nowhere": {"$ref": "#/$defs/none"},
    "anchor": {"$ref": "#x", "$defs": {"a": {"$anchor": "x", "type": "integer"}}},
    "dynamic": {"$dynamicRef": "#x", "$dynamicAnchor": "x"},
    "own id": {"$id": "http://example.com/x", "$ref": "http://example.com/x"},
    "bad id": {"$id": ":::%%", "type": "object"},
    "other dialect": {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
    "unknown dialect": {"$schema": "http://example.com/mine"},
    "catastrophic": {"type": "string", "pattern": "^(a+)+$", "minLength": 40},
    "huge repeat": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "look-around": {"type": "string", "pattern": "(?=x)(?<!y)\\1"},
    "broken pattern": {"type": "string", "pattern": "("},
    "huge string": {"type": "string", "minLength": 10**12},
    "huge list": {"type": "array", "minItems": 10**12},
    "huge lists": {"type": "array", "minItems": 90, "items": {"type": "array", "minItems": 90,
        "items": {"minItems": 90, "type": "array"}}},
    "huge object": {"type": "object", "minProperties": 10**12},
    "wide": {"type": "object", "properties": {f"p{n}": {"$ref": "#/$defs/q"} for n in range(300)},
             "$defs": {"q": {"type": "object", "properties": {f"q{n}": {"type": "array",
                 "items": {}} for n in range(300)}}}},
    "doubling": doubling(40),
    "doubling in a branch": {"$defs": doubling(40)["$defs"], "oneOf": [{"type": "object"}, {"$ref": "#/$defs/d0"}]},
    "doubling of items": {"$defs": doubling(40)["$defs"], "type": "array", "items": {"$ref": "#/$defs/d0"},
        "minItems": 2},
    "doubling below": doubling_below(9),
    "doubling by anchors": doubling_by_anchors(40),
    "chain": chain(500),
    "long chain": chain(5_000),
    "many branches": {"anyOf": [{"const": n} for n in range(3_000)], "not": {}},
    "deep": nested(60),
    "contradiction": {"type": "string", "enum": [1], "const": None},
    "no types": {"type": []},
    "wrong type": {"type": "text"},
    "type of types": {"type": {"type": "string"}},
    "empty enum": {"enum": []},
    "crossed": {"type": "integer", "minimum": 5, "maximum": 1},
    "no step": {"type": "number", "multipleOf": 0},
    "small step": {"type": "number", "multipleOf": 1e-300},
    "far": {"type": "number", "minimum": 1e308, "exclusiveMaximum": -1e308},
    "half": {"type": "integer", "minimum": 0.5, "maximum": 0.6},
    "negative": {"type": "string", "minLength": -5, "maxLength": -1},
    "huge bound": {"type": "array", "minItems": 1e308},
    "wrong parts": {"type": "object", "properties": [], "required": "a", "allOf": {}, "anyOf": 1, "items": 7},
    "numbers as parts": {"allOf": [1], "oneOf": ["x"], "properties": {"a": 3}},
    "odd names": {"type": "object", "required": ["", "\u0000", "a/b~c", "__proto__"],
        "properties": {"": {"type": "null"}}},
    "unique": {"type": "array", "uniqueItems": True, "minItems": 90, "items": {"type": "boolean"}},
    "unevaluated": {"unevaluatedProperties": False, "type": "object", "properties": {"a": {"default": "x" * 50_000}}},
    "conditional": {"if": True, "then": False, "else": False},
    "prefix": {"type": "array", "prefixItems": [{"$ref": "#"}] * 30},
}  # fmt: skip


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_is_answered(server: str, schema: Any) -> None:
    check_schema(server, schema)


KEYS = ["type", "properties", "items", "required", "allOf", "anyOf", "oneOf", "not", "$ref", "enum", "const", "pattern",
        "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "multipleOf", "format", "$defs", "additionalProperties", "prefixItems", "default", "examples", "if",
        "$id"]  # fmt: skip
LEAVES = ANY_JSON | st.sampled_from(
    ["string", "object", "array", "integer", "number", "null", "boolean", "#", "#/$defs/a", "#/items", "date", "uuid",
        "a",
     -1, 10**9, 1e300, ["string", "null"], ["a", "b"], "^a+$", True]
)  # fmt: skip
SCHEMAS = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), LEAVES, max_size=4),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYS), inner | st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner), max_size=4
    ),
    max_leaves=8,
)


@fuzz(500)
@given(SCHEMAS)
def test_any_schema_is_answered(server: str, schema: Any) -> None:
    check_schema(server, schema)


def check_schema(server: str, schema: Any) -> None:
    """Offer a tool with these parameters, and ask for an answer of this form: a 200 each, whole and streamed."""
    function = {"name": "f", "parameters": schema}
    asked = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    connection = http.client.HTTPConnection(server, timeout=TIMEOUT_S)
    for name, model in (("brivionix", "gpt-5.4"), ("brainstormrouter", "auto")):
        for more in ({"tools": [{"type": "function", "function": function}]}, {"response_format": asked}):
            body = {"model": model, "messages": [{"role": "user", "content": "f"}], "stream": len(more) == 2, **more}
            connection.request("POST", f"/{name}/v1/chat/completions", json.dumps(body), KEYED)
            response = connection.getresponse()
            data = response.read()
            assert response.headers["x-emulator-error"] is None, data
            assert response.status == 200, data
            assert len(data) < 5_000_000
    connection.close()


# The stream reader of the contract runner


LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@example(b"\xef\xbb\xbfdata: x\n\n")
@example(b"data\n\n" + b"data:" * 1_000 + b"\r\r")
@fuzz(2_000)
@given(st.binary(max_size=200) | st.builds(edited, st.just(b"data: [DONE]\n\nid: 1\ndata: {}\r\n\r\n: x\n\n"), EDITS))
def test_any_bytes_are_events(data: bytes) -> None:
    events = parse_events(data)
    assert all(event.whole for event in events[:-1])
    assert all(event.data is None or isinstance(event.data, str) for event in events)


@fuzz(500)
@given(
    st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans()
)
def test_what_is_written_as_events_is_read_as_them(texts: list[list[str]], end: str, comments: bool) -> None:
    between = f": a comment{end}" if comments else ""
    written = "".join("".join(f"data: {line}{end}{between}" for line in text) + end for text in texts)
    assert [(event.data, event.whole) for event in parse_events(written.encode())] == [
        ("\n".join(text), True) for text in texts
    ]


# Bodies that an SDK could send, with anything in the customary fields


@fuzz(500)
@given(
    requests(PROVIDERS["brivionix"].operations["chat"].request, ["gpt-5.4"]),
    st.dictionaries(
        st.sampled_from(
            ["stream_options", "n", "stop", "response_format", "dimensions", "encoding_format", "tool_choice"]
        ),
        ANY_JSON
        | st.sampled_from([10**9, 1e300, {"include_usage": 1}, [""], {"type": "json_schema", "json_schema": []}]),
    ),
)
def test_anything_in_customary_fields_is_answered(server: str, body: Any, more: Any) -> None:
    connection = http.client.HTTPConnection(server, timeout=TIMEOUT_S)
    connection.request("POST", "/brivionix/v1/chat/completions", json.dumps({**body, **more}), KEYED)
    response = connection.getresponse()
    data = response.read()
    assert response.status in (200, 400), data
    assert response.headers["x-emulator-error"] is None
    assert len(data) < 5_000_000
    connection.close()
