"""Providers: the built-in ones load; a folder with one slip says which, and where; a folder of one's own is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from build import FOUR, PROVIDERS

import emulator
from emulator import Emulator
from emulator.core.errors import STATUS, Refusal, SourceError, Violation
from emulator.core.provider.fact import Fact
from emulator.core.provider.holes import fill, holes
from emulator.core.provider.loading import folder as provider_folder
from emulator.core.provider.loading.folder import load_provider, load_providers
from emulator.core.provider.model import Model
from emulator.core.provider.plans import UNLIMITED
from emulator.core.provider.routes import fill_path
from emulator.core.schema.formats import data_folder, own_schema
from emulator.core.values import Plan

SCHEMAS = data_folder("schemas")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_built_in_provider_is_whole(name: str) -> None:
    provider = PROVIDERS[name]
    assert (provider.name, set(STATUS) - set(provider.errors), provider.plans["unlimited"]) == (name, set(), UNLIMITED)
    assert provider.default_plan in provider.plans
    assert provider.host == provider.base_url.split("/")[2]
    chat = provider.operations["chat"]
    assert provider.operation_at("POST", fill_path(chat.path, {"model": "m"})) is chat


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_is_wrong_in_a_built_in_folder(name: str) -> None:
    assert load_provider(SCHEMAS / name, checked=True).name == name


def test_all_are_there() -> None:
    assert list(load_providers()) == [
        "openai", "anthropic", "azure", *FOUR, "compatible", "deepseek", "gemini", "ollama", "openrouter",
    ]  # fmt: skip


def test_values_of_a_provider() -> None:
    twin = PROVIDERS["braintwin"]
    assert twin.plans["standard"] == Plan("standard", 60, None)
    assert twin.models["gpt-4"] == Model("gpt-4", 8192, 0.6, 0.04)
    assert twin.facts["bt-rate-plan"].assumed is True
    assert twin.facts["bt-stream-default"] == Fact(
        "bt-stream-default", "server", "Parameters", "stream is a boolean and false when left out."
    )
    assert PROVIDERS["beatra"].idempotency == ("idempotency-key", 86400.0, "be-idempotency")
    assert PROVIDERS["brainstormrouter"].plans["team"] == Plan("team", 1000, 10_000_000)


def test_operations_know_what_they_take() -> None:
    operations = PROVIDERS["brainstormrouter"].operations
    assert [operations["chat"].takes(name) for name in ("tools", "seed")] == [True, False]
    checks = PROVIDERS["braintwin"].operations["chat"].checks(frozenset())
    assert checks.defaults == {"temperature": 1, "max_tokens": 16, "stream": False}
    assert checks.cap_fact == "bt-max-tokens-default"


# Envelopes


@pytest.mark.parametrize(
    ("shape", "filled"),
    [
        ("${a}", 1), ("<${a}-${b}>", "<1-None>"), ("plain", "plain"), (5, 5), (None, None),
        ({"k": "${b}", "d": {"e": "${a}"}}, {"k": None, "d": {"e": 1}}), (["${a}", {"k": "${a}"}], [1, {"k": 1}]),
    ],
)  # fmt: skip
def test_fill(shape: Any, filled: Any) -> None:
    assert fill(shape, {"a": 1, "b": None}) == filled


def test_holes() -> None:
    assert sorted(holes({"a": "${x} ${y}", "b": [{"c": "${z}"}, 1], "d": None})) == ["x", "y", "z"]


def test_an_error_body_has_the_message_that_says_most() -> None:
    beatra = PROVIDERS["beatra"]
    details = [Violation("a", "is odd"), Violation("", "is too")]
    bodies = [
        beatra.error_body(refusal, "req")["error"]["message"]
        for refusal in (
            Refusal("invalid_request"),
            Refusal("invalid_request", details=details),
            Refusal("invalid_request", "Mine.", details),
        )
    ]
    assert bodies == ["The request is invalid.", "a: is odd; The body is too", "Mine."]
    assert (
        PROVIDERS["braintwin"].error_body(Refusal("invalid_request", details=details), "req")["error"]["param"] == "a"
    )
    assert PROVIDERS["braintwin"].error_body(Refusal("not_found"), "req")["error"]["param"] is None


# One slip each

Break = Callable[[Path], None]


def edit(old: str, new: str, file: str = "provider.yaml") -> Break:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert text.count(old) >= 1
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def write(file: str, data: bytes) -> Break:
    return lambda folder: (folder / file).write_bytes(data) and None


def add_operation(method: str, path: str, kind: str) -> Break:
    files = "request: chat.request.schema.json, response: chat.response.schema.json, fact: be-endpoint"
    return edit("\nfacts:\n", f"  models: {{method: {method}, path: {path}, kind: {kind}, {files}}}\n\nfacts:\n")


def of_chat(text: str) -> Break:
    return edit("    kind: chat\n", f"    kind: chat\n    {text}\n")


def share(data: bytes | None) -> Break:
    """Say what stream is in another file, which holds this; None: there is none."""

    def change(folder: Path) -> None:
        schema = json.loads((folder / CHAT).read_bytes())
        schema["properties"]["stream"] = {"$ref": "shared.json#/$defs/stream"}
        (folder / CHAT).write_text(json.dumps(schema | {"$defs": {"other": {"type": "string"}}}))
        if data is not None:
            (folder / "shared.json").write_bytes(data)

    return change


CHAT = "chat.request.schema.json"
HERE = "provider.yaml"
#: what is broken in a copy of Beatra's folder, the file and the text at whose start the problem stands, what is said
SLIPS: dict[str, tuple[Break, str, str, str]] = {
    "unknown-key": (edit("title: Beatra", "title: Beatra\ntitel: x"), HERE, "titel: x",
                    "titel: is not known here; did you mean 'title'?"),
    "missing-key": (edit("title: Beatra\n", ""), HERE, "emulator: 1", "title: is required"),
    "wrong-type": (edit("open: false", "open: maybe"), HERE, "open: maybe",
                   "models.open: must be true or false, not 'maybe'"),
    "wrong-name": (edit("name: beatra", "name: betra"), HERE, "name: betra",
                   "name: must be the folder's name, 'beatra', not 'betra'"),
    "no-url": (edit("https://api.beatra.ai/v1", "https://[half/v1"), HERE, "base_url:",
               "base_url: must be a URL such as https://api.example.com/v1"),
    "unknown-default-model": (edit("auto: beatra-1", "auto: beatra-2"), HERE, "auto: beatra-2",
                              "models.auto: 'beatra-2' is not in the list; did you mean 'beatra-1'?"),
    "unknown-embedding-model": (edit("auto: beatra-1", "auto: beatra-1\n  embedding: xyz"), HERE, "embedding: xyz",
                                "models.embedding: 'xyz' is not in the list; known: beatra-1, beatra-1-mini"),
    "unknown-default-plan": (edit("default: unlimited", "default: unlimted"), HERE, "default: unlimted",
                             "plans.default: there is no plan 'unlimted'; did you mean 'unlimited'?"),
    "unknown-fact": (edit("fact: be-model", "fact: be-modle"), HERE, "fact: be-modle",
                     "models.fact: there is no fact 'be-modle'; did you mean 'be-model'?"),
    "unknown-fact-of-a-list": (edit('"${request_id}", fact: be-request-id', '"${request_id}", fact: be-requested'),
                               HERE, "fact: be-requested",
                               "headers[0].fact: there is no fact 'be-requested'; did you mean 'be-request-id'?"),
    "fact-twice": (edit("facts:\n", "facts:\n  - {id: be-auth, who: server, source: x, text: x}\n"), HERE,
                   "id: be-auth\n", "facts[2].id: 'be-auth' stands here a second time"),
    "missing-error-name": (edit("    timeout: {code: timeout, message: The model took too long to answer.}\n", ""),
                           HERE, "names:\n", "errors.names.timeout: is required"),
    "hole-without-value": (edit("server_error: {code: server_error, ", "server_error: {"), HERE, "server_error: {",
                           "errors.names.server_error: lacks 'code', which the envelope has a hole for"),
    "unused-value": (edit("server_error: {code: server_error,", "server_error: {type: x, code: server_error,"), HERE,
                     "type: x", "errors.names.server_error.type: is used nowhere: the envelope has no ${type}"),
    "missing-detail": (edit('  detail: {field: "${field}", message: "${message}"}\n', ""), HERE, "errors:\n",
                       "errors: lacks 'detail', the shape of one of ${details}"),
    "unknown-hole-of-a-detail": (edit('{field: "${field}"', '{field: "${feld}"'), HERE, "detail:",
                                 "errors.detail: nothing fills ${feld}; did you mean 'field'?"),
    "no-chunk": (edit("    chunk: chat.chunk.schema.json\n", ""), HERE, "chat:\n",
                 "operations.chat: lacks 'chunk', the schema of what is streamed"),
    "unknown-field-of-fallbacks": (of_chat("fallbacks: {models: model_s, fact: be-model}"), HERE, "fallbacks:",
                                   "operations.chat.fallbacks: the request has no 'model_s'; did you mean 'model'?"),
    "unknown-error-of-fallbacks": (of_chat("fallbacks: {models: model, not_after: [timeot], fact: be-model}"), HERE,
                                   "timeot", "operations.chat.fallbacks.not_after[0]: there is no error 'timeot'; did "
                                   "you mean 'timeout'?"),
    "unknown-field-without-effect": (of_chat("no_effect: {modell: {why: so, fact: be-model}}"), HERE, "no_effect:",
                                     "operations.chat.no_effect: the request has no 'modell'; did you mean 'model'?"),
    "no-tasks": (add_operation("GET", "/models", "recommendations"), HERE,
                 "kind: recommendations",
                 "operations.models.kind: 'recommendations' is computed from `tasks`, and there are none"),
    "same-address": (add_operation("POST", "/chat/completions", "models"), HERE,
                     "path: /chat/completions, kind: models",
                     "operations.models.path: POST /chat/completions is the operation 'chat' already"),
    "unknown-capability": (edit("facts:\n", "tasks: {x: {capability: coding, words: [x], output_share: 1}}\nfacts:\n"),
                           HERE, "capability: coding",
                           "tasks.x.capability: no model has 'coding'; nothing is allowed here"),
    "model-twice": (edit("id: beatra-1-mini", "id: beatra-1"), HERE, "id: beatra-1, assumed: true}\n\nplans",
                    "models.list[1].id: 'beatra-1' stands here a second time"),
    "unknown-hole-of-a-header": (edit('"${request_id}", fact: be-request-id', '"${req}", fact: be-request-id'), HERE,
                                 'value: "${req}"',
                                 "headers[0].value: is not right: '${req}'. Holes: ${limit}, ${remaining} (requests of "
                                 "the window), ${limit_tokens}, ${remaining_tokens}, ${reset} (its end in Unix "
                                 "seconds), ${reset_in} (as 6m0s), ${reset_at} (RFC 3339), the same of "
                                 "${reset_tokens}, ${remaining_tokens_rounded} (to thousands), ${request_id}, "
                                 "${processing_ms} and ${model}, the one that answers."),
    "unknown-hole-of-an-id": (edit("chatcmpl_${ulid}", "chatcmpl_${uild}"), HERE, "response: ",
                              "ids.response: is not right: 'chatcmpl_${uild}'. Holes: ${ulid} (26 characters), "
                              "${alnum} (24 letters and digits), ${hex} (24 hexadecimal digits); ${hex32}, ${alnum29} "
                              "and the like have another length, up to 64."),
    "missing-file": (lambda folder: (folder / CHAT).unlink(), HERE, "request: chat",
                     f"operations.chat.request: there is no file {CHAT} in this folder"),
    "bad-json": (write(CHAT, b'{\n  "type": }'), CHAT, "}", "is not JSON: Expecting value"),
    "bad-bytes": (write(CHAT, b'{"\xff": 1}'), HERE, "request: chat",
                  f"operations.chat.request: {CHAT} cannot be read: 'utf-8' codec can't decode byte 0xff in position "
                  "2: invalid start byte"),
    "no-object": (write(CHAT, b"true"), CHAT, "true", "must hold an object"),
    "no-shared-file": (share(None), HERE, "request: chat",
                       "operations.chat.request: there is no file shared.json in this folder"),
    "shared-file-is-no-json": (share(b"["), CHAT, "", "refers to shared.json, which is not JSON: Expecting value: line "
                               "1 column 2 (char 1)"),
    "nothing-shared": (share(b"[]"), CHAT, "", "refers to shared.json, which has no $defs"),
    "shared-name-twice": (share(b'{"$defs": {"stream": {}, "other": {}}}'), CHAT, "",
                          "defines 'other', as shared.json does, to which it refers"),
    "fact-of-a-schema": (edit("be-stream: a boolean", "be-strem: a boolean", CHAT), HERE, "request: chat",
                         f"operations.chat.request: {CHAT} rests on 'be-strem', which is no fact"),
    "bad-yaml": (edit("title: Beatra", "title: [Beatra"), HERE, ": https://api",
                 "is not YAML: did not find expected ',' or ']'"),
    "equal-keys": (edit("title: Beatra", "title: Beatra\ntitle: Twice"), HERE, "title: Twice",
                   "title: the key 'title' stands here a second time (first on line 5)"),
    "no-yaml": (lambda folder: (folder / HERE).unlink(), HERE, "", "cannot be read: No such file or directory"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of Beatra's folder, of the same name."""
    return Path(shutil.copytree(SCHEMAS / "beatra", tmp_path / "beatra"))


def problems(load: Callable[[], Any]) -> list[str]:
    with pytest.raises(SourceError) as caught:
        load()
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("break_", "file", "at", "said"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_said_with_its_place(folder: Path, break_: Break, file: str, at: str, said: str) -> None:
    break_(folder)
    before = (folder / file).read_text().partition(at)[0] if at else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert problems(lambda: load_provider(folder)) == [f"{folder}/{file}:{line}:{column}: {said}"]


def test_a_schema_that_is_none(folder: Path) -> None:
    write(CHAT, b'{"type": "strng"}')(folder)
    [said] = problems(lambda: load_provider(folder))
    assert said.startswith(f"{folder}/{CHAT}:1:1: is no JSON Schema: ")


def test_what_schemas_have_in_common_stands_in_a_file_of_its_own(folder: Path) -> None:
    one = {"$comment": "be-stream: a boolean or a list", "oneOf": [{"type": "boolean"}, {"$ref": "#/$defs/list"}]}
    several = {"$comment": "be-stream: a list", "type": "array", "items": {"$ref": "#/$defs/stream"}}
    share(json.dumps({"$defs": {"stream": one, "list": several}}).encode())(folder)
    asked = load_provider(folder).operations["chat"].checks(frozenset()).documented
    body = {"model": "auto", "messages": []}
    assert asked.violations({**body, "stream": [True, [False]]}) == ()
    [wrong] = asked.violations({**body, "stream": [[4]]})
    assert (wrong.path, wrong.fact) == ("stream[0][0]", "be-stream")


@pytest.mark.parametrize("name", ["v1", "s"])
def test_a_name_that_is_a_part_of_the_addresses(folder: Path, name: str) -> None:
    moved = folder.rename(folder.with_name(name))
    edit("name: beatra", f"name: {name}")(moved)
    assert problems(lambda: load_provider(moved)) == [
        f"{moved}/provider.yaml:4:1: name: '{name}' is a part of the addresses; choose another name"
    ]


def test_the_slips_of_all_folders_come_at_once(folder: Path) -> None:
    other = Path(shutil.copytree(SCHEMAS / "braintwin", folder.with_name("braintwin")))
    edit("name: beatra", "name: x1")(folder)
    edit("open: false", "open: 5")(folder)
    edit("name: braintwin", "name: x2")(other)
    assert [line.split(": ")[1] for line in problems(lambda: load_providers(folder.parent))] == ["models.open", "name"]


def test_what_is_ours_is_checked_where_it_cannot_be_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_folder, "data_folder", lambda name: folder.parent)
    edit("compatible_with: openai", "x-aside: 1")(folder)
    edit("open: false", "open: 5")(folder)
    edit("name: beatra", "mame: beatra")(folder)
    assert [line.split(": ", 1)[1] for line in problems(lambda: load_provider(folder))] == [
        "name: is required", "mame: is not known here; did you mean 'name'?",
        "models.open: must be true or false, not 5",
    ]  # fmt: skip
    edit("mame: beatra", "name: beatra")(folder)
    compiled = load_provider(folder)
    assert compiled.models_open == 5
    assert load_provider(folder) is compiled


def test_a_provider_of_ones_own_is_beside_the_built_in_ones(folder: Path) -> None:
    own = folder.rename(folder.with_name("mine"))
    edit("name: beatra", "name: mine")(own)
    assert list(load_providers(own.parent)) == [*PROVIDERS, "mine"]
    assert emulator.load_provider(own).title == "Beatra"


def test_a_provider_of_ones_own_is_served(folder: Path) -> None:
    own = folder.rename(folder.with_name("mine"))
    edit("name: beatra", "name: mine")(own)
    edit("error: {code:", "fault: {code:")(own)
    body = {"model": "auto", "messages": []}
    with Emulator(schemas=own.parent) as server:
        url = f"{server.base_urls['mine']}/chat/completions"
        good = httpx2.post(url, json=body, headers={"authorization": "Bearer k"})
        bad = httpx2.post(url, json=body)
    assert (good.status_code, good.json()["model"]) == (200, "beatra-1")
    assert (bad.status_code, bad.json()["fault"]["code"]) == (401, "unauthorized")


def test_our_own_schemas_are_found_packed_or_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emulator.core.schema import formats as module

    assert own_schema("scenario") is own_schema("scenario")
    package = tmp_path / "emulator"
    monkeypatch.setattr(module, "__file__", str(package / "core" / "schema" / "formats.py"))
    find = data_folder.__wrapped__  # without what it remembers
    assert find("schemas") == tmp_path / "schemas"
    (package / "_data" / "schemas").mkdir(parents=True)
    assert find("schemas") == package / "_data" / "schemas"


@pytest.mark.parametrize(
    ("holes", "told"),
    [({"model": "m", "limit": 5}, {"message": "m takes 5."}), ({"limit": 5}, {})],
    ids=["filled", "a hole that nothing fills here"],
)
def test_an_exact_text_is_told_where_its_holes_are_filled(holes: dict[str, Any], told: dict[str, str]) -> None:
    beatra = PROVIDERS["beatra"]
    errors = {**beatra.errors, "timeout": {**beatra.errors["timeout"], "exact": "${model} takes ${limit}."}}
    assert replace(beatra, errors=errors).refuse("timeout", "ours", **holes).documented == told
