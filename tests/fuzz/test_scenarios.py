"""Any scenario, as a file or sent: it loads, or says where it does not; what loads is answered."""

from __future__ import annotations

import copy
import json
from http.client import HTTPConnection
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emulator.contract.generation.strategies import ANY_JSON, TEXTS
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.errors import SourceError
from emulator.core.journal.describe import describe
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import Options, build_session
from emulator.core.schema.formats import data_folder
from emulator.core.source import parse_source
from emulator.core.values import Request
from emulator.stores.memory import MemoryStore

from .cases import EDITS, case, edited, fuzz, kept
from .conftest import Server
from .test_bodies import KEYED, PROVIDERS

ENGINE = Engine(PROVIDERS)
LIBRARY = [file.read_text() for file in sorted(data_folder("scenarios").glob("*/*.yaml"))]


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


@example({"emulator": 1, "rules": [{"reply": {"text": "\ud800"}}]})
@example({"emulator": 1, "rules": [{"reply": {"text": "hi"}, "when": {"body": {"$.temperature": {"lte": 10**400}}}}]})
@fuzz(4_000)
@given(SCENARIO_DATA | SCENARIO_TEXT | SCENARIO_BYTES | st.binary(max_size=100) | ANY_JSON)
def test_any_scenario_loads_or_says_where_it_does_not(scenario: Any) -> None:
    check_scenario(scenario)


@pytest.mark.parametrize("file", kept("scenarios"))
def test_a_kept_scenario_loads_or_says_where_it_does_not(file: bytes) -> None:
    check_scenario(file)


def check_scenario(given_scenario: Any) -> None:
    with case("scenarios", as_file(given_scenario)):
        try:
            scenario = parse_text(given_scenario, "x.yaml", PROVIDERS, None)
        except SourceError as error:
            check_problems([(item.file, item.line, item.column, item.message) for item in error.problems])
            return
        serve(scenario)


def as_file(scenario: Any) -> bytes:
    """Return what a file of this scenario would hold."""
    if isinstance(scenario, bytes):
        return scenario
    return scenario.encode("utf-8", "surrogatepass") if isinstance(scenario, str) else json.dumps(scenario).encode()


def check_problems(problems: list[tuple[str, int, int, str]]) -> None:
    assert problems
    for file, line, column, message in problems:
        assert file
        assert line >= 1
        assert column >= 1
        assert message
        assert len(message) < 5_000


def serve(scenario: Scenario) -> None:
    """Have the engine answer with a scenario, whole and streamed, and describe what it did.

    Asked are the providers that it is for, and one that its settings alone may concern.
    """
    session = build_session("default", "", PROVIDERS, [scenario], Options(), 1_800_000_000.0)
    store = MemoryStore()
    concerned = {name for rule in scenario.rules for name, _ in rule.concerns} | {scenario.provider, "openai"}
    asked = [served for served in SERVED if scenario.provider is None or served[0].name in concerned]
    for number, (provider, operation, body) in enumerate(asked):
        data = orjson.dumps(body)
        request = Request(
            "default", provider.name, operation.method, operation.path, "", KEYED, data, 1_800_000_000.0 + number,
            operation.path, "http://127.0.0.1",
        )  # fmt: skip
        claim = ENGINE.claim(session, request)
        found = ENGINE.answer(session, request, claim, store.take(claim))
        store.record(found)
        timeline = found.timeline
        assert timeline.endless or timeline.end_at >= timeline.head_at >= 0
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
    if operation.kind == "chat" or not stream
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
def test_any_scenario_sent_makes_a_session_or_says_why_not(server: Server, wanted: Any) -> None:
    body = json.dumps(wanted).encode()
    connection = server.connect()
    with case("sessions", body, server.spent):
        check_sent(connection, body)
    connection.close()


@pytest.mark.parametrize("body", kept("sessions"))
def test_a_kept_scenario_sent_makes_a_session_or_says_why_not(server: Server, body: bytes) -> None:
    connection = server.connect()
    with case("sessions", body, server.spent):
        check_sent(connection, body)
    connection.close()


def check_sent(connection: HTTPConnection, body: bytes) -> None:
    status, answer = control(connection, "POST", "/sessions", body)
    if status == 201:
        check_session(connection, answer)
        return
    assert status in (400, 422), answer
    assert answer["error"]["message"]
    if status == 422:
        rows = [(row["file"], row["line"], row["column"], row["message"]) for row in answer["error"]["problems"]]
        check_problems(rows)


def check_session(connection: HTTPConnection, session: Any) -> None:
    """Read a session back, and its journal, and remove it. (Its replies may well take time: they are not asked for.)"""
    path = f"/sessions/{session['id']}"
    assert control(connection, "GET", path)[0] == 200
    assert control(connection, "GET", f"{path}/journal")[0] == 200
    connection.request("DELETE", f"/_emulator{path}")
    response = connection.getresponse()
    response.read()
    assert response.status == 204


def control(connection: HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:
    connection.request(method, f"/_emulator{path}", body, {"content-type": "application/json"})
    response = connection.getresponse()
    data = response.read()
    assert response.status < 500, data
    return response.status, orjson.loads(data)
