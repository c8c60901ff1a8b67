"""What provider.yaml can say beyond what the four providers need, by one that says a little of everything."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from build import NOW
from click.testing import CliRunner

from emulator import Emulator, SourceError, load_provider
from emulator.cli.main import main
from emulator.contract.client import Client
from emulator.contract.run import run_contract
from emulator.contract.target import EmulatorTarget
from emulator.core.durations import duration_text, time_text
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import parse_text
from emulator.core.journal.attempts import group
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.openapi import openapi
from emulator.core.scenario.session import DEFAULT, Options, build_session
from emulator.core.values import Exchange, Request, Sent
from emulator.server.sessions.live import LiveSessions
from emulator.stores.memory import MemoryStore
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession

pytest_plugins = ["pytester"]

FOLDER = Path(__file__).parents[2] / "data" / "providers"
PROVIDERS = load_providers(FOLDER)
SAMPLE = PROVIDERS["sample"]
HEADERS = {"x-version": "2027-01"}
HELLO = [{"role": "user", "content": "Hello"}]
RULES = "rules: [{reply: {text: Hi}}]"


class LiveSession:
    """An engine, a session of the sample provider and a store."""

    def __init__(self, text: str = "", **options: Any) -> None:
        self.engine, self.store = Engine(PROVIDERS), MemoryStore()
        loaded = [scenario(text)] if text else []
        self.session = build_session(DEFAULT, "", PROVIDERS, loaded, Options(**options), NOW)

    def send(
        self,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: str = "key=k",
        method: str = "",
        at: float = NOW,
    ) -> Exchange:
        method = method or ("POST" if body else "GET")
        given = HEADERS if headers is None else headers
        request = Request(DEFAULT, "sample", method, path, query, given, body, at, path, "http://h")
        claim = self.engine.claim(self.session, request)
        grant = self.store.take(claim)
        self.form = self.engine.answer_cache.compiled(self.session, request, claim, grant)
        exchange = self.engine.answer(self.session, request, claim, grant)
        self.store.record(exchange)
        return exchange


def scenario_of(text: str) -> Any:
    return parse_text(text, "s.yaml", PROVIDERS)


def scenario(text: str) -> Any:
    return parse_text(f"emulator: 1\nprovider: sample\n{text}\n", "s.yaml", PROVIDERS)


def data(exchange: Exchange) -> Any:
    import orjson

    return orjson.loads(b"".join(frame.data for frame in exchange.timeline.frames))


def told(exchange: Exchange) -> tuple[str | None, int]:
    return exchange.refusal[0] if exchange.refusal else None, exchange.timeline.status


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator(schemas=FOLDER, provider="sample") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def control(server: Emulator) -> Iterator[Control]:
    with closing(Control(server.url)) as found:
        yield found


GENERATE = b'{"messages": [{"role": "user", "content": "Hello"}]}'
CHAT = b'{"model": "%b", "messages": [{"role": "user", "content": "Hello"}]}'


# Errors


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("quota_exhausted", 429, "no_money"),
        ("model_unavailable", 529, "overloaded"),
        ("rate_limited", 429, "slow_down"),
    ],
)
def test_errors_have_names_and_status_of_their_own(name: str, status: int, code: str) -> None:
    exchange = LiveSession(f"rules: [{{reply: {{error: {name}}}}}]").send("/models/small:generate", GENERATE)
    assert told(exchange) == (name, status)
    assert data(exchange)["error"]["code"] == code
    assert data(exchange)["error"]["status"] == status


def test_a_further_name_has_what_it_leaves_out_of_the_one_it_is_like() -> None:
    assert SAMPLE.errors["quota_exhausted"]["message"] == SAMPLE.errors["rate_limited"]["message"]
    assert (SAMPLE.errors["no_model"]["documented"], SAMPLE.errors["no_model"]["status"]) == (False, 404)


@pytest.mark.parametrize("code", ["insufficient_quota", "rate_limit_error"], ids=["code", "type"])
def test_who_names_a_code_is_told_the_name(code: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_text(f"emulator: 1\nprovider: openai\nrules: [{{reply: {{error: {code}}}}}]", "s.yaml", PROVIDERS)
    name = {"insufficient_quota": "quota_exhausted", "rate_limit_error": "slow_down"}[code]
    assert f"there is no error '{code}'; did you mean '{name}'?" in str(caught.value)


def test_a_further_name_is_checked() -> None:
    with pytest.raises(SourceError) as caught:
        scenario("rules: [{reply: {error: quota_exhaustd}}]")
    assert str(caught.value) == (
        "s.yaml:3:18: rules[0].reply.error: there is no error 'quota_exhaustd'; did you mean 'quota_exhausted'?"
    )
    with pytest.raises(SourceError) as caught:
        parse_text("emulator: 1\nprovider: beatra\nrules: [{reply: {error: quota_exhausted}}]", "s.yaml", PROVIDERS)
    assert "there is no error 'quota_exhausted'; known: bad_gateway" in str(caught.value)
    assert [str(item) for item in scenario("rules: [{reply: {error: no_model}}]").warnings] == [
        "s.yaml:3:10: rules[0].reply: the docs of Sample don't list the error no_model, only invalid_request, "
        "rate_limited, model_unavailable, quota_exhausted"
    ]


def test_where_another_provider_lacks_a_name_it_says_what_that_is_like() -> None:
    loaded = parse_text("emulator: 1\nrules: [{reply: {error: quota_exhausted, off_contract: true}}]", "s", PROVIDERS)
    assert loaded.rules[0].replies[0].content == {"name": "quota_exhausted", "like": "rate_limited"}
    session = build_session(DEFAULT, "", PROVIDERS, [loaded], Options(), NOW)
    body = b'{"model": "auto", "messages": []}'
    keyed = {"authorization": "Bearer k"}
    request = Request(DEFAULT, "beatra", "POST", "/chat/completions", "", keyed, body, NOW, "/", "http://h")
    engine = Engine(PROVIDERS)
    claim = engine.claim(session, request)
    assert told(engine.answer(session, request, claim, MemoryStore().take(claim))) == ("rate_limited", 429)


@pytest.mark.parametrize("text", [
    "rules: [{reply: {text: Hi, faults: [{error_event: {error: quota_exhausted, after_chunks: 1}}]}}]",
    "chaos: [{chance: 1, error: quota_exhausted}]",
])  # fmt: skip
def test_faults_and_chaos_know_further_names(text: str) -> None:
    exchange = LiveSession(text).send("/models/small:stream", GENERATE)
    assert b"no_money" in b"".join(frame.data for frame in exchange.timeline.frames)
    with pytest.raises(SourceError, match="there is no error 'quota'"):
        scenario(text.replace("quota_exhausted", "quota"))


def test_a_model_that_is_not_there_has_its_own_error() -> None:
    bodies = [LiveSession().send("/chat/completions", CHAT % b"nope"), LiveSession().send("/models/nope")]
    assert [told(item) for item in bodies] == [("no_model", 404)] * 2
    assert data(bodies[0])["error"]["message"].startswith("model: there is no model 'nope'")


# Paths


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/sample/llm/v1beta/models", ("/models", "http://h/sample/llm/v1beta")),
        ("/sample/llm/v1/models", ("/models", "http://h/sample/llm/v1beta")),
        ("/sample/models", ("/../models", "http://h/sample/llm/v1beta")),
        ("/llm/v1beta/models", ("/models", "http://h/llm/v1beta")),
    ],
)
def test_the_path_of_a_base_url_is_its_prefix(path: str, found: tuple[str, str]) -> None:
    address = sessions().locate(path, {}, "http://h")
    assert (address.provider, address.path, address.base_url) == ("sample", *found)


def test_an_sdk_that_adds_the_version_has_a_url_without_it() -> None:
    urls = {name: f"http://h/{name}{item.base_path}" for name, item in PROVIDERS.items()}
    bare = {"gemini": "http://h/gemini", "sample": "http://h/sample/llm"}
    assert {name: PROVIDERS[name].sdk_url(url) for name, url in urls.items()} == urls | bare


def test_what_was_meant_is_said_with_the_base_url() -> None:
    from emulator.server.own_errors import OwnError

    with pytest.raises(OwnError) as caught:
        sessions().locate("/v1beta/sample/models", {}, "http://h")
    assert "(did you mean http://h/sample/llm/v1beta/models?)" in caught.value.message
    assert "http://h/beatra/v1, " in caught.value.message
    doubled = LiveSession().send("/llm/v1beta/models")
    assert "Did you mean http://h/models?" in data(doubled)["error"]["message"]


def sessions() -> LiveSessions:
    found = LiveSessions(Engine(PROVIDERS), MemoryStore(), Options())
    found.open_default([])
    return found


def test_a_base_url_without_a_path(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    change(folder, "base_url: https://api.sample.test/llm/v1beta\nversions: [v1beta, v1]", "base_url: https://x.test")
    change(folder, "path: /models,", "path: /v1/models,")
    bare = load_provider(folder)
    assert (bare.base_path, bare.below(["v1", "models"])) == ("", "/v1/models")
    found = LiveSessions(Engine({**PROVIDERS, "sample": bare}), MemoryStore(), Options(provider="sample"))
    found.open_default([])
    addresses = [found.locate(path, {}, "http://h") for path in ("/sample/v1/models", "/v1/models", "/sample")]
    assert [(item.path, item.base_url) for item in addresses] == [
        ("/v1/models", "http://h/sample"), ("/v1/models", "http://h"), ("/", "http://h/sample"),
    ]  # fmt: skip


def test_routes_find_the_path_that_says_most() -> None:
    found: dict[str, Any] = {}
    for path in ("/models", "/models/a", "/models/a:generate", "/models/a:b:stream"):
        routes = SAMPLE.routes.find(path) or {}
        found[path] = {name: (item.operation.name, item.params, item.streams) for name, item in routes.items()}
    assert found == {
        "/models": {"GET": ("models", {}, False)},
        "/models/a": {"GET": ("model", {"model": "a"}, False)},
        "/models/a:generate": {"POST": ("generate", {"model": "a"}, False)},
        "/models/a:b:stream": {"POST": ("generate", {"model": "a:b"}, True)},
    }
    assert [SAMPLE.routes.find(path) for path in ("/models/", "/models/a/b", "/models/:generate/", "/")] == [None] * 4


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/models/small:generate", 405, "POST"), ("POST", "/models/small", 405, "GET, HEAD"),
        ("GET", "/models/", 404, None), ("HEAD", "/models/small", 200, None),
        ("DELETE", "/models/x:stream", 405, "POST"),
    ],
)  # fmt: skip
def test_methods_and_paths_with_parameters(method: str, path: str, status: int, allow: str | None) -> None:
    exchange = LiveSession().send(path, method=method)
    assert (exchange.timeline.status, dict(exchange.timeline.headers).get("allow")) == (status, allow)


def test_a_parameter_is_decoded_once_and_ends_no_segment(server: Emulator) -> None:
    url = server.base_urls["sample"]
    keyed = {**HEADERS, "x-sample-key": "k"}
    answers = [httpx2.get(f"{url}/{path}", headers=keyed) for path in ("models/a%2Flarge", "files/%25a%20b/x%252F")]
    assert [answer.json() for answer in answers] == [
        {"id": "a/large", "object": "model", "owned_by": "", "window": None}, {"id": "%a b", "name": "part x%2F"},
    ]  # fmt: skip


def test_the_model_of_a_path_is_the_model_and_its_stream_has_a_path_of_its_own() -> None:
    live = LiveSession("rules: [{when: {model: small, stream: true}, reply: {text: A}}, {reply: {text: B}}]")
    one, other = live.send("/models/small:stream", GENERATE), live.send("/models/small:generate", GENERATE)
    assert (one.timeline.stream, one.rule_id, one.model, one.claim.operation) == (True, "rule-1", "small", "generate")
    assert (other.timeline.stream, other.rule_id, other.claim.call and other.claim.call.params) == (
        False, "rule-2", {"model": "small"},
    )  # fmt: skip


def test_answers_with_parameters_are_compiled_each_by_itself() -> None:
    live = LiveSession()
    for _ in range(3):
        bodies = [data(live.send(path))["id"] for path in ("/files/a/1", "/files/b/1")]
        assert bodies == ["a", "b"]
    assert live.form
    assert b'"b"' in live.form.unit + b"".join(live.form.body)


def test_requests_with_other_parameters_are_other_requests() -> None:
    live = LiveSession("rules: [{replies: [{text: A}, {text: B}], count_by: request}]")
    paths = ["/models/small:generate", "/models/a%2Flarge:generate", "/models/small:generate"]
    assert [live.send(path, GENERATE).reply for path in paths] == [0, 0, 1]
    failed = LiveSession("rules: [{when: {operation: any}, reply: {error: server_error}}]")
    sent = [replace(failed.send(path), sent=Sent(0, (), "complete", 0.0)) for path in ("/files/a/1", "/files/b/1")]
    assert [len(call.exchanges) for call in group(sent)] == [1, 1]


# Kinds, rules, ids


def test_a_rule_without_an_operation_concerns_every_chat() -> None:
    live = LiveSession(RULES)
    sent = [live.send("/chat/completions", CHAT % b"small"), live.send("/models/small:generate", GENERATE)]
    assert [item.rule_id for item in sent] == ["rule-1"] * 2
    assert live.send("/models/small").rule_id is None
    only = LiveSession("rules: [{when: {operation: chat}, reply: {text: Hi}}]")
    assert only.send("/models/small:generate", GENERATE).rule_id is None


def test_an_operation_has_ids_of_its_own() -> None:
    live = LiveSession(RULES)
    sent = [live.send("/chat/completions", CHAT % b"small"), live.send("/models/small:generate", GENERATE)]
    assert [data(item)["id"][:4] for item in sent] == ["smp-", "gen_"]


def test_a_scenario_made_of_a_journal_tells_models_of_paths_apart(server: Emulator, control: Control) -> None:
    session = EmulatedSession(control, provider="sample")
    keyed = {**HEADERS, "x-sample-key": session.api_key}
    for model in ("small", "a%2Flarge"):
        httpx2.post(f"{session.base_url}/models/{model}:generate", json={"messages": HELLO}, headers=keyed)
    assert [row["params"] for row in session.journal] == [{"model": "small"}, {"model": "a/large"}]
    made = scenario_of(session.journal.to_scenario())
    assert [rule.conditions[0].expected for rule in made.rules] == ["small", "a/large"]
    session.delete()


# Keys and headers of requests


@pytest.mark.parametrize(
    ("headers", "query", "name"),
    [
        ({"x-sample-key": "k"}, "", None), ({"authorization": "Bearer k"}, "", None), ({}, "a=1&key=k", None),
        ({}, "", "unauthorized"), ({"x-api-key": "k"}, "", "unauthorized"), ({}, "key=", "unauthorized"),
        ({"x-sample-key": "invalid"}, "", "unauthorized"), ({"authorization": "Bearer k x"}, "", "unauthorized"),
        ({"authorization": "bearer  k "}, "", None), ({"authorization": "Bearer"}, "", "unauthorized"),
    ],
)  # fmt: skip
def test_ways_to_send_a_key(headers: dict[str, str], query: str, name: str | None) -> None:
    exchange = LiveSession().send("/models/small", headers={**HEADERS, **headers}, query=query)
    assert told(exchange)[0] == name
    assert [note.path for note in exchange.notes if note.path == "key"] == []


def test_what_is_said_of_no_key_names_the_first_way() -> None:
    assert (
        "send it as 'x-sample-key: KEY'"
        in data(LiveSession().send("/models", headers=HEADERS, query=""))["error"]["message"]
    )


def test_a_session_is_found_by_its_key_in_any_way_and_the_key_is_shown_nowhere(
    server: Emulator, control: Control
) -> None:
    session = EmulatedSession(control, provider="sample")
    url, key = server.base_urls["sample"], session.api_key
    assert key.startswith("sk-smp-")
    for headers, query in (({"x-sample-key": key}, ""), ({"authorization": f"Bearer {key}"}, ""), ({}, f"?key={key}")):
        assert httpx2.get(f"{url}/models/small{query}", headers={**HEADERS, **headers}).status_code == 200
    assert len(session.journal) == 3
    assert key not in str(session.journal[:])
    session.delete()


@pytest.mark.parametrize(
    ("headers", "validation", "told_of"),
    [
        ({}, "documented", "x-version: is required"), ({"x-version": "1"}, "documented", "x-version: must match"),
        ({}, "off", None), (HEADERS, "strict", None),
    ],
)  # fmt: skip
def test_headers_of_requests_are_checked(headers: dict[str, str], validation: str, told_of: str | None) -> None:
    exchange = LiveSession(validation=validation).send("/models/small", headers=headers)
    assert told(exchange)[1] == (400 if told_of else 200)
    if told_of and exchange.refusal:
        assert data(exchange)["error"]["message"].startswith(told_of)
        assert exchange.refusal[2].fact == "sa-version"
    assert told(LiveSession(f"mute: [sa-version]\n{RULES}").send("/models/small", headers={}))[1] == 200


@pytest.mark.parametrize(
    ("query", "validation", "told_of"),
    [
        ("key=k&form=odd", "documented", "form: must be"), ("key=k&form=", "documented", "form: must be"),
        ("key=k&form=odd", "off", None), ("key=k&form=short", "strict", None),
        ("key=k&form=odd&form=long", "strict", None),
    ],
)  # fmt: skip
def test_the_query_of_requests_is_checked(query: str, validation: str, told_of: str | None) -> None:
    exchange = LiveSession(validation=validation).send("/models", headers=HEADERS, query=query)
    assert told(exchange) == (("invalid_request", 400) if told_of else (None, 200))
    if told_of and exchange.refusal:
        assert data(exchange)["error"]["message"].startswith(told_of)
        assert exchange.refusal[2].fact == "sa-form"
    assert told(LiveSession(f"mute: [sa-form]\n{RULES}").send("/models", headers=HEADERS, query=query))[1] == 200


# Variables


def test_exec_sets_the_providers_variables(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere")
    names = ["SAMPLE_BASE_URL", "SAMPLE_ROOT", "SAMPLE_KEY", "OPENAI_BASE_URL"]
    code = f"import os; print(*[os.environ.get(name, '-') for name in {names}])"
    command = ["exec", "--schemas", str(FOLDER), "--provider", "sample", "--", sys.executable, "-c", code]
    assert CliRunner().invoke(main, command).exit_code == 0
    base, root, key, other = capfd.readouterr().out.split()
    assert (base.endswith("/sample/llm/v1beta"), root.endswith("/sample/llm"), other) == (True, True, "-")
    assert key == "sk-smp-emulator-key"


def test_the_fixture_sets_and_clears_them(
    server: Emulator, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere")
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.emulator(provider="sample")
        def test_it(emulator, emulator_env):
            assert os.environ["SAMPLE_BASE_URL"] == emulator.base_url
            assert os.environ["SAMPLE_KEY"] == emulator.api_key
            assert "OPENAI_BASE_URL" not in os.environ
        """
    )
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_inprocess("-p", "no:schemathesis", f"--emulator-url={server.url}")
    assert result.ret == 0, result.stdout.str()


def test_a_session_tells_its_variables(server: Emulator, control: Control) -> None:
    session = EmulatedSession(control, provider="sample")
    assert session.env == {
        "SAMPLE_BASE_URL": session.base_url, "SAMPLE_ROOT": session.base_url.removesuffix("/v1beta"),
        "SAMPLE_KEY": session.api_key, "OPENAI_BASE_URL": None,
    }  # fmt: skip
    session.delete()
    other = EmulatedSession(control, provider="beatra")
    base_url, key = other.base_url, other.api_key
    assert {name: value for name, value in other.env.items() if value} == {
        "OPENAI_BASE_URL": base_url, "OPENAI_API_BASE": base_url, "OPENAI_API_KEY": key,
    }  # fmt: skip
    assert {"OPENAI_PROXY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"} <= other.env.keys()
    other.delete()


# Headers of answers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(360, "6m0s"), (1, "1s"), (0.02, "20ms"), (0, "0s"), (-1, "0s"), (90.5, "1m30.5s"), (3600, "1h0m0s"),
     (0.0001, "1ms"), (59.9999, "1m0s"), (60, "1m0s")],
)  # fmt: skip
def test_durations_as_headers_show_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_times_as_headers_show_them() -> None:
    assert [time_text(at) for at in (1_800_000_000.2, 1e15)] == ["2027-01-15T08:00:01Z", "9999-12-31T23:59:59Z"]


def test_headers_show_limits_in_every_form_and_are_compiled() -> None:
    live = LiveSession(RULES)
    for passed in (0.0, 1.5, 59.98):
        exchange = live.send("/models/small:generate", GENERATE, at=NOW + passed)
    assert live.form
    head, _ = live.form.fill(NOW + 59.98, exchange.grant)
    shown = dict(exchange.timeline.headers)
    assert {name: shown[name] for name in shown if name[2:].startswith(("reset", "tokens", "limit"))} == {
        "x-reset": "1800000060", "x-reset-in": "20ms", "x-reset-at": "2027-01-15T08:01:00Z", "x-reset-tokens": "20ms",
        "x-tokens": str(exchange.grant.standing.tokens_left), "x-limit-tokens": "5000",
    }  # fmt: skip
    assert all(f"{name}: {value}\r\n".encode() in head for name, value in shown.items() if name.startswith("x-r"))


# Facts, and where all of it is shown


def test_facts_say_how_they_are_known() -> None:
    known = {fact.id: (fact.evidence, fact.binding) for fact in SAMPLE.facts.values()}
    assert (known["sa-quota"], known["sa-errors"], known["sa-auth"]) == (
        ("recorded", False), ("reported", False), ("docs", True),
    )  # fmt: skip


def test_the_providers_command_and_the_control_api_tell_it(server: Emulator, control: Control) -> None:
    out = CliRunner().invoke(main, ["providers", "sample", "--schemas", str(FOLDER)]).output
    for line in (
        "  model_unavailable (529)", "  quota_exhausted (429, like rate_limited)", "  no_model (404, like not_found)",
        "  sa-quota [Limits; recorded] A spent budget is a 429 no_money too.", "  GET   /files/{id}/{part}",
        "  POST  /models/{model}:stream (streams of generate)",
    ):  # fmt: skip
        assert f"{line}\n" in out
    [shown] = [item for item in control.ask("GET", "/providers")["providers"] if item["name"] == "sample"]
    assert shown["base_url"] == server.base_urls["sample"]
    assert (shown["error_names"]["model_unavailable"], shown["error_names"]["quota_exhausted"]) == (529, 429)
    assert {fact["id"]: fact["evidence"] for fact in shown["facts"]}["sa-errors"] == "reported"


def test_metrics_and_journal_know_further_names(server: Emulator, control: Control) -> None:
    session = EmulatedSession(control, "emulator: 1\nprovider: sample\nrules: [{reply: {error: quota_exhausted}}]")
    keyed = {**HEADERS, "x-sample-key": session.api_key}
    asked = f"{server.base_urls['sample']}/models/small:generate"
    assert httpx2.post(asked, json={"messages": HELLO}, headers=keyed).status_code == 429
    [exchange] = session.journal
    assert (exchange["refusal"]["code"], exchange["refusal"]["fact"]) == ("quota_exhausted", "sa-quota")
    assert 'error: "quota_exhausted"' in session.journal.to_scenario()
    assert 'operation="generate",status="429"' in httpx2.get(f"{server.url}/_emulator/metrics").text
    session.delete()


def test_openapi_has_parameters_ways_and_statuses() -> None:
    document = openapi(SAMPLE, "1", "http://h")
    assert list(document["paths"]) == [
        "/chat/completions", "/models/{model}:generate", "/models/{model}:stream", "/models", "/models/{model}",
        "/files/{id}/{part}",
    ]  # fmt: skip
    generate = document["paths"]["/models/{model}:generate"]["post"]
    assert [(item["name"], item["in"], item["required"]) for item in generate["parameters"]] == [
        ("model", "path", True), ("x-version", "header", True), ("form", "query", False),
    ]  # fmt: skip
    assert set(generate["responses"]) >= {"404", "429", "529"}
    assert len(generate["responses"]["429"]["content"]["application/json"]["schema"]["anyOf"]) == 2
    assert document["components"]["securitySchemes"]["x-sample-key"] == {
        "type": "apiKey", "in": "header", "name": "x-sample-key",
    }  # fmt: skip
    assert document["security"] == [{"x-sample-key": []}, {"bearer": []}, {"key": []}]


def test_its_contract_holds(server: Emulator) -> None:
    def target(client: Client) -> EmulatorTarget:
        return EmulatorTarget(server.url, "sample", client=client)

    phases = ["probe", "facts", "examples", "coverage"]
    report = run_contract("sample", server.url, "-", target=target, schemas=FOLDER, phases=phases)
    assert [item.message for item in report.cases if item.outcome == "failed"] == []
    assert {item.id: item.assumed for item in report.cases}["sa-quota"] is True


# One slip each

#: what is written in whose place, the text at whose start the problem stands, what is said
SLIPS: dict[str, tuple[str, str, str, str]] = {
    "no-like": ("quota_exhausted: {like: rate_limited, ", "quota_exhausted: {", "quota_exhausted: {",
                "errors.names.quota_exhausted: lacks 'like', one of the names that all providers have; known"),
    "like-of-a-common-name": ("model_unavailable: {", "model_unavailable: {like: timeout, ", "like: timeout",
                              "errors.names.model_unavailable.like: is for further names; 'model_unavailable' is one"),
    "like-what": ("like: rate_limited", "like: rate_limit", "like: rate_limit,",
                  "errors.names.quota_exhausted.like: must be"),
    "no-message": ("{code: timeout, message: The model took too long.}", "{code: timeout}", "timeout: {",
                   "errors.names.timeout: lacks 'message'"),
    "unknown-model-error": ("unknown: no_model", "unknown: no_modl", "unknown: no_modl",
                            "models.unknown: there is no error 'no_modl'; did you mean 'no_model'?"),
    "status": ("status: 529", "status: 200", "status: 200",
               "errors.names.model_unavailable.status: must be at least 400"),
    "versions": ("versions: [v1beta, v1]", "versions: [v1, v1beta]", "versions: [v1,",
                 "versions: must begin with the last part of base_url, 'v1beta', not 'v1'"),
    "parameter-twice": ("/files/{id}/{part}", "/files/{id}/{id}", 'path: "/files',
                        "operations.file.path: has {id} twice; give each parameter a name of its own"),
    "half-a-parameter": ("/files/{id}/{part}", "/files/{id/{part}", 'path: "/files',
                         "operations.file.path: is not right"),
    "same-shape": ("/files/{id}/{part}", "/models/{id}", "path: \"/models/{id}",
                   "operations.file.path: GET /models/{id} is the operation 'model' already"),
    "other-parameters": ("/models/{model}:stream", "/models/{id}:stream", "streams_at:",
                         "operations.generate.streams_at: must have the parameters of path: model, not id"),
    "streams-at-its-path": ("/models/{model}:stream", "/models/{model}:generate", "streams_at:",
                            "operations.generate.streams_at: POST /models/{model}:generate is the operation"),
    "streams-of-no-chat": ("operations:\n  chat:\n    kind: chat\n    method: POST\n",
                           "operations:\n  chat:\n    kind: embeddings\n    method: POST\n", "chunk: chat",
                           "operations.chat.chunk: is for what can be streamed, which is kind: chat, not embeddings"),
    "wire-of-no-chat": ("kind: body\n    method", "kind: body\n    wire: openai-chat\n    method", "wire: openai",
                        "operations.model.wire: is for kinds chat and tokens, not body"),
    "no-body": ("kind: body\n    method", "kind: models\n    method", "model:\n",
                "operations.model: lacks 'request', a schema"),
    "no-fact": ("    fact: sa-chat\n", "", "chat:\n", "operations.chat: lacks 'fact', what it rests on"),
    "unknown-hole-of-a-body": ("${path.id}", "${path.di}", "body: {id: \"${path.di",
                               "operations.file.body: nothing fills ${path.di}; did you mean 'path.id'?"),
    "model-of-no-path": ("${path.id}", "${model.id}", "body: {id: \"${model.id",
                         "operations.file.body: nothing fills ${model.id}; known: path.id, path.part"),
    "body-of-a-chat": ("    ids: {response: \"gen_${alnum}\"}\n", "    body: {}\n", "body: {}",
                       "operations.generate.body: is for kinds body and tokens, for stored that is to forget or list, "
                       "and where there is a page, not chat"),
    "body-breaks-its-schema": ("object: model, owned_by", "object: modl, owned_by", "body: {id: \"${path.model",
                               "operations.model.body: breaks its response schema: object must be 'model', not 'modl'"),
    "shown-key": ("{header: x-sample-key}", "{header: x-sample}", "header: x-sample}",
                  "auth.accepts[0].header: 'x-sample' is not known as a secret, and would be shown; names"),
    "way": ("{query: key}", "{cookie: key}", "{cookie", "auth.accepts[2]"),
    "headers-file": ("request_headers: headers.", "request_headers: header.", "request_headers:",
                     "request_headers: there is no file header.schema.json in this folder"),
    "query-file": ("request_query: query.", "request_query: quary.", "request_query:",
                   "request_query: there is no file quary.schema.json in this folder"),
    "env-hole": ("SAMPLE_KEY: \"${key}\"", "SAMPLE_KEY: \"${kee}\"", "SAMPLE_KEY",
                 "env.SAMPLE_KEY: is not right: '${kee}'"),
    "evidence": ("evidence: recorded", "evidence: heard", "evidence: heard",
                 "facts[7].evidence: must be one of 'spec'"),
    "ids": ("ids: {response: \"gen_", "ids: {respons: \"gen_", "respons:",
            "operations.generate.ids.respons: is not known here; did you mean 'response'?"),
    "any": ("  file: {kind", "  any: {kind", "any: {kind",
            "operations.any: 'any' means all operations; choose another name"),
    "name": ("base_url: https://api.sample.test/llm/v1beta\nversions: [v1beta, v1]", "base_url: https://x.test/sample",
             "name: sample", "name: 'sample' is a part of the addresses; choose another name"),
}  # fmt: skip


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / "sample", tmp_path / "sample"))


def change(folder: Path, old: str, new: str, file: str = "provider.yaml") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


SLIPS |= {
    "hole-of-an-error": ("code: no_model, fact", 'code: no_model, exact: "no ${modle}", fact', "exact: ",
                         "errors.names.no_model.exact: nothing fills ${modle}; did you mean 'model'?"),
    "operation-of-a-header": ('"${reset}", fact', '"${reset}", operations: [chatt], fact', "chatt]",
                              "headers[0].operations[0]: there is no operation 'chatt'; did you mean 'chat'?"),
    "error-of-a-limit": ("  default: standard", "  default: standard\n  over: {tokens: rate_limit}",
                         "tokens: rate_limit}",
                         "plans.over.tokens: there is no error 'rate_limit'; did you mean 'rate_limited'?"),
    "error-of-what-is-left-out": ("facts:\n", "not_emulated: {paths: [/x], error: nowhere}\nfacts:\n", "error: nowhere",
                                  "not_emulated.error: there is no error 'nowhere'; known: "),
    "hole-of-an-entry": ("  unknown: no_model", "  unknown: no_model\n  entry: {id: '${model.idd}'}", "entry: ",
                         "models.entry: nothing fills ${model.idd}; did you mean 'model.id'?"),
    "error-of-a-query": (
        "    fact: sa-generate",
        "    query: {schema: query.schema.json, error: not_found, others: {sa-form: no_modl}}\n    fact: sa-generate",
        "sa-form: no_modl",
        "operations.generate.query.others.sa-form: there is no error 'no_modl'; did you mean 'no_model'?"),
    "fact-of-a-query": (
        "    fact: sa-generate",
        "    query: {schema: query.schema.json, error: not_found, others: {sa-from: timeout}}\n    fact: sa-generate",
        "sa-from: timeout",
        "operations.generate.query.others.sa-from: there is no fact 'sa-from'; did you mean 'sa-form'?"),
    "hole-of-an-error-below": ("code: no_model, fact", 'code: no_model, below: {/files: {more: ["${modl}"]}}, fact',
                               "errors:\n", "errors: nothing fills ${modl} in 'more'; did you mean 'model'?"),
    "categories-of-another-kind": ("    fact: sa-generate", "    categories: {a: [text]}\n    fact: sa-generate",
                                   "categories: {a",
                                   "operations.generate.categories: is for kind: moderations, not chat"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "said"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_said_with_its_place(tmp_path: Path, old: str, new: str, at: str, said: str) -> None:
    folder = copied(tmp_path)
    change(folder, old, new)
    text = (folder / "provider.yaml").read_text()
    before = text[: text.index(at)]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    with pytest.raises(SourceError) as caught:
        load_provider(folder)
    first = str(caught.value.problems[0])
    assert first.startswith(f"{folder}/provider.yaml:{place}: {said}"), first


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sa-version: x-version", "sa-vers: x-version", "rests on 'sa-vers', which is no fact"),
        ("sa-form: of all", "sa-from: of all", "rests on 'sa-from', which is no fact"),
        (
            '"required": ["x-version"]',
            '"required": ["X-Version"]',
            "names the header X-Version; write it in lower case",
        ),
    ],
)
def test_slips_of_the_schemas_of_headers_and_query(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = copied(tmp_path)
    change(folder, old, new, "query.schema.json" if "form" in old else "headers.schema.json")
    with pytest.raises(SourceError) as caught:
        load_provider(folder)
    assert said in str(caught.value)
