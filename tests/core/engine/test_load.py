"""Loading: each reply is rendered once and held against the response schema before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from build import PROVIDERS, scenario

import emulator
from emulator.core.engine.load import load_scenario, of_any_text, parse_text
from emulator.core.errors import SourceError
from emulator.core.provider.loading import folder as provider_folder
from emulator.core.schema.formats import data_folder

HOW = " (say off_contract: true if it is meant to break the documented form)"


def problems(reply: str, provider: str, when: str = "{}") -> list[str]:
    with pytest.raises(SourceError) as caught:
        scenario(f"emulator: 1\nprovider: {provider}\nrules:\n- when: {when}\n  reply: {reply}\n")
    start = "s.yaml:5:3: rules[0].reply: "
    said = [str(problem) for problem in caught.value.problems]
    assert all(line.startswith(start) for line in said)
    return [line.removeprefix(start).removesuffix(HOW) for line in said]


BREAKS = {
    "json": ("{json: {id: chatcmpl-1, model: m, choices: 5}}", "braintwin", "{}", [
        "the reply's object is required", "the reply's created is required", "the reply's usage is required",
        "the reply's choices must be a list, not 5",
    ]),
    "event-no-json": ("{events: [hello]}", "beatra", "{}", ["the reply has an event that is no JSON: 'hello'"]),
    "event": ("{events: ['{\"choices\": 5}', {choices: 5}, '[DONE]', '${n}']}", "brivionix", "{}", [
        "the reply's choices must be a list, not 5"]),
    "envelope": ("{error: {status: 500, body: {error: {code: x}}}}", "beatra", "{}", [
        "the reply's error.message is not as in the provider's error envelope"]),
    "envelope-more": (
        "{error: {status: 500, body: {error: {code: x, message: x, details: [], request_id: x, more: 1}}}}", "beatra",
        "{}", ["the reply's error.more is not as in the provider's error envelope"]),
    "envelope-text": ("{error: {status: 500, body: oops}}", "beatra", "{}", [
        "the reply is not as in the provider's error envelope"]),
    "envelope-flat": ("{error: {status: 500, body: {error: oops}}}", "beatra", "{}", [
        "the reply's error is not as in the provider's error envelope"]),
    "status": ("{error: timeout, status: 500}", "beatra", "{}", [
        "the reply's status must be 504 for timeout, not 500"]),
    "text-for-embeddings": ("{text: a}", "brainstormrouter", "{operation: embeddings}", [
        "answers another operation than embeddings; set when.operation"]),
    "embedding-for-chat": ("{embedding: auto}", "brainstormrouter", "{operation: chat}", [
        "answers another operation than chat; set when.operation"]),
    "json-for-models": ("{json: {object: list}}", "brainstormrouter", "{operation: models}", [
        "the reply's data is required"]),
    "finish-reason": ("{text: a, finish_reason: bored}", "beatra", "{}", [
        "the reply's choices[0].finish_reason must be one of 'stop', 'length', 'content_filter'; not 'bored'",
        "the reply's choices[0].finish_reason must be one of 'stop', 'length', 'content_filter', null; not 'bored'"]),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "provider", "when", "said"), BREAKS.values(), ids=BREAKS)
def test_a_reply_that_breaks_the_documented_form(reply: str, provider: str, when: str, said: list[str]) -> None:
    found = problems(reply, provider, when)
    assert [line.removesuffix(HOW) for line in found] == said


KEEPS = {
    "text": ("{text: a}", "beatra", "{}"),
    "refusal": ("{refusal: no}", "beatra", "{}"),
    "tool-calls": ("{tool_calls: [{name: f}]}", "brivionix", "{}"),
    "no-usage": ("{text: a, usage: none, off_contract: true}", "beatra", "{}"),
    "error": ("{error: rate_limited}", "beatra", "{}"),
    "own-error": (
        "{error: {status: 500, body: {error: {code: 1, message: {}, details: 2, request_id: 3}}}}",
        "beatra",
        "{}",
    ),
    "off-contract": ("{json: nonsense, off_contract: true}", "beatra", "{}"),
    "any-operation": ("{json: {object: list, data: []}}", "brainstormrouter", "{operation: models}"),
    "builtin": ("{builtin: true}", "brainstormrouter", "{operation: models}"),
    "embedding": ("{embedding: [0.5, 0.5]}", "brainstormrouter", "{}"),
    "events-of-an-operation-without-chunks": ("{events: [hello]}", "brainstormrouter", "{operation: models}"),
    "events": ("{events: ['{\"id\": \"x\"}', '[DONE]'], off_contract: true}", "beatra", "{}"),
    "good-events": (
        "{events: ['{\"choices\": []}', {choices: [{delta: {content: a}}]}, '[DONE]', '${n}']}",
        "brainstormrouter",
        "{}",
    ),
    "templates": ("{text: '${request.body.x} ${n}', headers: {x: '${uuid}'}}", "beatra", "{}"),
    "latency-for-ever": ("{text: a, latency: forever, stream: {ttft: forever}}", "beatra", "{}"),
}


@pytest.mark.parametrize(("reply", "provider", "when"), KEEPS.values(), ids=KEEPS)
def test_a_reply_that_keeps_to_it_or_says_that_it_does_not(reply: str, provider: str, when: str) -> None:
    found = scenario(f"emulator: 1\nprovider: {provider}\nrules:\n- when: {when}\n  reply: {reply}\n")
    assert (len(found.rules), found.warnings) == (1, ())


def test_a_file_that_names_no_provider_is_checked_for_the_one_that_is_asked_for() -> None:
    text = "emulator: 1\nrules:\n- reply: {json: {}}\n"
    with pytest.raises(SourceError):
        scenario(text, "beatra")


SOME = "breaks the documented form of: beatra chat, braintwin chat"


@pytest.mark.parametrize(
    ("reply", "said"),
    [("{text: a}", []), ("{tool_calls: [{name: f}]}", [SOME])],
    ids=["good-everywhere", "broken-at-some"],
)
def test_a_file_for_any_provider_is_checked_for_all(reply: str, said: list[str]) -> None:
    found = scenario(f"emulator: 1\nrules:\n- reply: {reply}\n").warnings
    assert [str(warning) for warning in found] == [f"s.yaml:3:3: rules[0].reply: {line}" for line in said]


def test_a_file_that_breaks_the_form_of_every_provider_is_refused() -> None:
    with pytest.raises(SourceError):
        scenario("emulator: 1\nrules:\n- reply: {json: {}}\n")


def test_a_rule_of_an_operation_that_the_provider_lacks_is_not_checked() -> None:
    assert len(scenario("emulator: 1\nrules:\n- {when: {operation: models}, reply: {json: {}}}\n", "beatra").rules) == 1


def test_a_file_is_named_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.yaml"
    file.write_text("emulator: 1\nrules:\n\n- reply: {text: a}\n")
    monkeypatch.chdir(tmp_path)
    assert load_scenario(file, PROVIDERS).rules[0].at == "in/a.yaml:4"
    assert emulator.load_scenario("in/a.yaml").rules[0].at == "in/a.yaml:4"
    assert emulator.load_scenario(str(file), dict(PROVIDERS)).file == "in/a.yaml"


@pytest.mark.parametrize(("name", "reason"), [("none.yaml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(name: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / name
    with pytest.raises(SourceError) as caught:
        load_scenario(file, PROVIDERS)
    assert str(caught.value) == f"{file}:1:1: cannot be read: {reason}"


def test_text_is_labelled() -> None:
    rule = parse_text("emulator: 1\nrules: [{reply: {text: a}}]", "session", PROVIDERS).rules[0]
    assert rule.at == "session:2"


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_text_fits_the_schemas_of_what_is_shipped(name: str) -> None:
    """So no scenario has to ask: their schemas are read when they are used."""
    provider = PROVIDERS[name]
    chats = [operation for operation in provider.operations.values() if operation.kind == "chat"]
    assert provider.proven
    assert [operation.name for operation in chats if of_any_text(provider, operation)] == []
    assert all(operation.response for operation in chats)


def test_a_start_compiles_no_wire_of_ours_that_it_does_not_use() -> None:
    """Their templates would be a third of what it keeps."""
    folders = [file.parent for file in data_folder("schemas").glob("*/provider.yaml")]
    fresh = {folder.name: provider_folder._of_ours.__wrapped__(folder) for folder in folders}
    parse_text("emulator: 1\nrules: [{reply: {text: a}}]", "session", fresh)
    operations = [operation for provider in fresh.values() for operation in provider.operations.values()]
    assert [operation.name for operation in operations if "wire" in vars(operation)] == []
    assert fresh["openai"].operations["chat"].wire is not None
