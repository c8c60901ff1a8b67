"""Each phase finds what is broken: a case fails, for the right reason, where what it looks at is not there."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
from broken_endpoint import BrokenEndpoint
from hypothesis import given
from jsonschema import Draft202012Validator

from emulator.contract.contract import load_contract
from emulator.contract.generation.boundaries import boundaries, place, slug, tags
from emulator.contract.generation.shrink import smallest
from emulator.contract.generation.strategies import ANY_JSON
from emulator.contract.outcome import PlannedCase
from emulator.contract.phases.coverage import coverage
from emulator.contract.phases.endpoint import endpoints
from emulator.contract.phases.fuzz import draw_all
from emulator.contract.reports.report import Result
from emulator.contract.run import plan
from emulator.contract.target import EmulatorTarget, ForeignTarget

NAMES = ("beatra", "brainstormrouter", "braintwin", "brivionix")
CONTRACTS = {name: load_contract(name) for name in NAMES}
CASES = {name: {case.id: case for case in plan(CONTRACTS[name], max_examples=12)} for name in NAMES}
ALL = [(name, case) for name in NAMES for case in CASES[name].values() if case.phase != "facts"]


def run(provider: str, case: str, broken: BrokenEndpoint) -> Result:
    with closing(EmulatorTarget(broken.url, provider)) as target:
        return CASES[provider][case].run(target)


# Every case of every phase passes, and each kind of case fails where what it looks at is broken.


@pytest.mark.parametrize("name", NAMES)
def test_the_emulator_passes_every_case(name: str, emulator_url: str) -> None:
    with closing(EmulatorTarget(emulator_url, name)) as target:
        results = [case.run(target) for case in CASES[name].values() if case.phase != "facts"]
    assert [(item.id, item.message) for item in results if item.outcome != "passed"] == []


BREAKS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "probe: gone": ("brainstormrouter", "probe/embeddings", {"status": 404}, "POST /embeddings exists"),
    "probe: no chat": ("beatra", "probe/chat", {"status": 404}, "no chat was answered; name a model"),
    "probe: crash": ("brainstormrouter", "probe/health", {"status": 500}, "meets no error of the server"),
    "probe: key": ("beatra", "probe/key", {"status": 403}, "the key is good for POST /chat/completions"),
    "probe: one key": ("brainstormrouter", "probe/models", {"status": 401}, "the key is good for GET /models"),
    "examples: refused": ("beatra", "examples/chat/chat-sync", {"status": 400}, "gets 200"),
    "examples: a field": (
        "beatra", "examples/chat/chat-sync", {"drop": ["choices.0.index"]}, "choices[0].index is required",
    ),
    "examples: a header": ("beatra", "examples/chat/chat-stream", {"events": "two_done"}, "[DONE] comes last and once"),
    "examples: printed type": (
        "brainstormrouter", "examples/chat/rate-limited", {"set": {"error.code": "429"}}, "error.code",
    ),
    "examples: an order": ("braintwin", "examples/chat/chat-stream", {"events": "role_late"}, "the role comes first"),
    "examples: no end": ("brivionix", "examples/chat/stream", {"events": "no_finish"}, "finish_reason comes last"),
    "coverage: a bound": (
        "beatra", "coverage/chat/temperature/maximum/at-2",
        {"when": {"body": {"temperature": 2}}, "request": {"temperature": 3}}, "gets 200",
    ),
    "coverage: past it": (
        "beatra", "coverage/chat/temperature/maximum/above-2.01",
        {"when": {"body": {"temperature": 2.01}}, "ignore": ["temperature"]}, "breaks maximum",
    ),
    "coverage: a type": (
        "brivionix", "coverage/chat/tools/type/retype-string",
        {"when": {"body": {"tools": "1"}}, "ignore": ["tools"]}, "breaks type",
    ),
    "coverage: a word": (
        "beatra", "coverage/chat/messages.0.role/enum/recase-USER",
        {"when": {"path": "chat"}, "request": {"messages": [{"role": "user", "content": "Hi"}]}}, "breaks enum",
    ),
    "coverage: a field": (
        "beatra", "coverage/chat/model/required/remove",
        {"when": {"absent": ["model"]}, "request": {"model": "auto"}}, "breaks required",
    ),
    "coverage: two fields": (
        "beatra", "coverage/chat/body/not/combine-temperature+top_p",
        {"when": {"body": {}}, "ignore": ["top_p"]}, "breaks not",
    ),
    "coverage: a branch": (
        "brivionix", "coverage/chat/messages.user.content.image_url/type/object",
        {"when": {"status": 200}, "status": 400}, "gets 200",
    ),
    "coverage: a model": ("brivionix", "coverage/chat/model/listed/gpt-5.4-pro", {"status": 404}, "gets 200"),
    "coverage: a query": (
        "brainstormrouter", "coverage/recommendations/query.task/required/remove", {"status": 200}, "gets 400",
    ),
    "coverage: a crash": (
        "braintwin", "coverage/chat/body/type/retype-array", {"status": 500}, "meets no error of the server",
    ),
    "coverage: an envelope": (
        "braintwin", "coverage/chat/stream/type/retype-string", {"drop": ["error.param"]}, "param is required",
    ),
    "coverage: a kind": (
        "braintwin", "coverage/chat/stream/type/retype-string", {"headers": {"content-type": "text/html"}}, "is JSON",
    ),
    "coverage: a stream": ("beatra", "coverage/chat/stream/type/true", {"events": "no_done"}, "[DONE] comes last"),
    "coverage: no stream": ("beatra", "coverage/chat/stream/type/true", {"request": {"stream": False}}, "content type"),
    "coverage: usage": (
        "brivionix", "coverage/chat/max_tokens/type/number", {"set": {"usage.total_tokens": 1}}, "is the sum of",
    ),
    "coverage: rate headers": (
        "braintwin", "coverage/chat/temperature/minimum/at-0", {"headers": {"x-ratelimit-reset": "soon"}},
        "X-RateLimit-Reset is on the answer",
    ),
    "fuzz: refused": ("brivionix", "fuzz/chat/valid", {"when": {"stream": True}, "status": 400}, "gets 200"),
    "fuzz: taken": ("beatra", "fuzz/chat/invalid", {"when": {"status": 400}, "status": 200}, "gets 400"),
    "fuzz: a shape": ("brainstormrouter", "fuzz/embeddings/valid", {"drop": ["data.*.index"]}, "index is required"),
    "stateful: a call": (
        "brivionix", "stateful/chat/tools", {"set": {"choices.*.message.tool_calls.0.function.arguments": "{"}},
        "a call's arguments are a JSON object",
    ),
    "stateful: a fragment": (
        "brainstormrouter", "stateful/chat/tools", {"when": {"stream": True}, "events": "lost_chunk"}, "arguments",
    ),
    "stateful: deaf": (
        "brivionix", "stateful/chat/tools",
        {"when": {"absent": ["tool_choice"]}, "set": {"choices.0.message.content": "?"}},
        "are answered with what the model said",
    ),
    "stateful: another text": (
        "beatra", "stateful/chat/streamed", {"when": {"stream": True}, "events": "lost_chunk"},
        "the deltas together are the whole answer's message",
    ),
    "stateful: another end": (
        "braintwin", "stateful/chat/streamed",
        {"when": {"stream": False}, "set": {"choices.0.finish_reason": "length"}},
        "the deltas together are the whole answer's message",
    ),
    "stateful: no limit": (
        "beatra", "stateful/chat/limits",
        {"when": {"status": 429}, "status": 200}, "request 5 of 4 in a window gets 429",
    ),
    "stateful: no way back": (
        "beatra", "stateful/chat/limits", {"when": {"after": 6}, "status": 429}, "request 1 of 4 in a window gets 200",
    ),
    "stateful: no count": (
        "braintwin", "stateful/chat/limits", {"headers": {"x-ratelimit-remaining": "3"}}, "counts what is left",
    ),
    "stateful: a reset that lies": (
        "braintwin", "stateful/chat/limits",
        {"headers": {"x-ratelimit-reset": "1"}}, "request 1 of 4 in a window gets 200",
    ),
    "stateful: a reset that moves": (
        "braintwin", "stateful/chat/limits", {"when": {"after": 2}, "headers": {"x-ratelimit-reset": "1"}},
        "the window's end stays where it is",
    ),
    "stateful: another answer": (
        "beatra", "stateful/chat/replay", {"when": {"after": 3}, "set": {"id": "chatcmpl_1"}}, "gets its answer again",
    ),
    "stateful: one answer": (
        "beatra", "stateful/chat/replay", {"when": {"stream": False}, "json": {"id": "chatcmpl_1"}},
        "gets an answer of its own",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "case", "how", "says"), BREAKS.values(), ids=BREAKS)
def test_a_case_fails_where_its_behaviour_is_broken(
    provider: str, case: str, how: dict[str, Any], says: str, broken: BrokenEndpoint
) -> None:
    broken.break_with(how)
    result = run(provider, case, broken)
    assert (result.outcome, says in result.message) == ("failed", True), result
    assert result.curl is not None
    assert result.request is not None
    assert result.response is not None
    assert result.phase == case.split("/")[0]
    assert result.fact in CONTRACTS[provider].provider.facts
    assert result.source


def test_every_phase_has_breaks() -> None:
    assert {case.split("/")[0] for _, case, _, _ in BREAKS.values()} == {case.phase for _, case in ALL}


OWN_FACTS = {
    "the stream's": ("beatra", "coverage/chat/stream/type/true", {"events": "no_done"}, "be-stream"),
    "the order's": ("beatra", "coverage/chat/stream/type/true", {"events": "no_role"}, "be-stream-order"),
    "the answer's": ("beatra", "coverage/chat/top_p/type/number", {"drop": ["usage"]}, "be-response-sync"),
    "the headers'": (
        "braintwin", "coverage/chat/temperature/maximum/at-2",
        {"headers": {"x-ratelimit-limit": None}}, "bt-rate-headers",
    ),
    "the envelope's": (
        "beatra", "coverage/chat/temperature/type/retype-string", {"drop": ["error.request_id"]}, "be-error-envelope",
    ),
    "the constraint's": (
        "beatra", "coverage/chat/temperature/type/retype-string",
        {"when": {"body": {"temperature": "1"}}, "ignore": ["temperature"]}, "be-temperature",
    ),
    "the fault's": ("beatra", "fuzz/chat/invalid", {"when": {"status": 400}, "status": 200}, None),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "case", "how", "fact"), OWN_FACTS.values(), ids=OWN_FACTS)
def test_a_failure_names_the_fact_that_it_rests_on(
    provider: str, case: str, how: dict[str, Any], fact: str | None, broken: BrokenEndpoint
) -> None:
    broken.break_with(how)
    result = run(provider, case, broken)
    facts = CONTRACTS[provider].provider.facts
    assert result.outcome == "failed"
    assert result.fact == fact or (fact is None and result.fact in facts)
    assert result.source == facts[result.fact or ""].source


FOREIGN = {
    "an assumed type": (
        "coverage/chat/seed/type/retype-string", {"when": {"body": {"seed": "1"}}, "ignore": ["seed"]}, "observed",
    ),
    "a documented type": (
        "coverage/chat/max_tokens/type/retype-string",
        {"when": {"body": {"max_tokens": "1"}}, "ignore": ["max_tokens"]},
        "failed",
    ),
    "an assumed status": ("coverage/chat/max_tokens/type/retype-string", {"status": 422}, "observed"),
    "an empty list": ("coverage/chat/messages/type/empty-list", {"status": 400}, "observed"),
    "an assumed model": ("coverage/chat/model/listed/gpt-5.4-pro", {"status": 404}, "observed"),
    "a documented model": ("coverage/chat/seed/type/number", {"status": 404}, "observed"),
    "a crash on what is assumed": ("coverage/chat/seed/type/retype-string", {"status": 500}, "failed"),
    "a limit": ("coverage/chat/max_tokens/type/number", {"status": 429}, "inconclusive"),
    "a limit while fuzzing": ("fuzz/chat/valid", {"when": {"after": 3}, "status": 429}, "inconclusive"),
    "an assumed order": ("coverage/chat/frequency_penalty/type/number", {}, "passed"),
    "a plan": ("stateful/chat/limits", {}, "not_seen"),
    "a tool": ("stateful/chat/tools", {}, "passed"),
    "a stream": ("stateful/chat/streamed", {}, "passed"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "how", "word"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_target_gets_the_outcome(case: str, how: dict[str, Any], word: str, broken: BrokenEndpoint) -> None:
    broken.break_with(how)
    with closing(ForeignTarget(f"{broken.url}/brivionix/v1", "sk-test")) as target:
        result = CASES["brivionix"][case].run(target)
    assert result.outcome == word, result


@pytest.mark.parametrize(("status", "word"), [(400, "observed"), (403, "failed")], ids=["its model", "another reason"])
def test_a_foreign_target_need_not_have_the_model_of_an_example(status: int, word: str, broken: BrokenEndpoint) -> None:
    broken.break_with({"status": status})
    case, _ = plan(CONTRACTS["braintwin"].naming("mine"), phases=["examples"])
    with closing(ForeignTarget(f"{broken.url}/braintwin/v1", "sk-test")) as target:
        result = case.run(target)
    assert result.outcome == word, result


# Coverage


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_begin_with_their_phase(name: str) -> None:
    cases = plan(CONTRACTS[name])
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.id.startswith(f"{case.phase}/") for case in cases if case.phase != "facts")
    assert all(case.id.isascii() and " " not in case.id for case in cases)


def test_coverage_reaches_every_constraint() -> None:
    """By hand: what the smallest provider's schema says, and nothing beyond."""
    found = {case.id.removeprefix("coverage/chat/") for case in CASES["beatra"].values() if case.phase == "coverage"}
    wanted = {
        "temperature/minimum/at-0", "temperature/maximum/at-2", "temperature/minimum/below--0.01",
        "temperature/maximum/above-2.01", "stream/type/true", "stream/type/false", "model/minLength/shorten-",
        "messages.0/type/object", "messages.0.role/enum/assistant", "messages.0.role/enum/rename-userx",
        "messages.0.content/required/remove", "messages.0.content/type/retype-array", "messages/type/empty-list",
        "messages/required/remove", "body/type/retype-string", "max_tokens/type/number", "top_p/type/number",
        "model/listed/beatra-1",
    }  # fmt: skip
    assert wanted - found == set()
    assert not [name for name in found if name.split("/")[0] in ("n", "stop", "user")]


def test_ids_stay_when_a_schema_grows_elsewhere() -> None:
    (chat,) = (item for item in endpoints(CONTRACTS["brivionix"]) if item.operation.name == "chat")
    schema, good = json.loads(json.dumps(chat.operation.request)), chat.bodies[0]

    def ids() -> set[str]:
        known = tags(schema)
        return {
            f"{place(item.steps, item.value, known)}/{item.keyword}/{item.label}" for item in boundaries(schema, good)
        }

    before = ids()
    branches = schema["properties"]["messages"]["items"]["oneOf"]
    more = {"type": "object", "required": ["role"], "properties": {"role": {"const": "developer"}}}
    schema["properties"] = {"audio": {"type": "boolean"}, **schema["properties"]}
    branches.insert(0, more)
    assert before < ids()
    assert ids() - before == {"audio/type/false", "audio/type/true", "messages.developer/type/object"}


def test_a_list_past_its_bound_is_one_case_whatever_it_holds() -> None:
    """Anthropic takes 100,000 messages: of one more, megabytes, there must not be a case for each kind of message."""
    found = [case.id for case in coverage(load_contract("anthropic")) if case.id.split("/")[3] == "maxItems"]
    assert found == [
        "coverage/chat/messages/maxItems/lengthen-100001-object",
        "coverage/count_tokens/messages/maxItems/lengthen-100001-object",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_boundaries_are_valid_by_the_oracle(name: str) -> None:
    for endpoint in endpoints(CONTRACTS[name]):
        if endpoint.operation.method == "POST":
            valid = Draft202012Validator(endpoint.operation.request).is_valid
            found = list(boundaries(endpoint.operation.request, endpoint.bodies[0]))
            assert len(found) > 3
            assert all(valid(item.value) for item in found)


SMALL = {
    "bounds": ({"type": "integer", "exclusiveMinimum": 1, "maximum": 9}, [9, 2]),
    "between": ({"type": "number", "minimum": 0.5, "exclusiveMaximum": 1}, [0.5, 0.99]),
    "length": ({"type": "string", "minLength": 2, "maxLength": 3}, ["xx", "xxx"]),
    "list": ({"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 2}, [[1], [1, 1]]),
    "words": ({"enum": ["a", None, 3]}, ["a", None, 3]),
    "union": ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, [None, False, True]),
    "fields": (
        {"type": "object", "required": ["a"], "properties": {"a": {"enum": [1, 2]}, "b": {"const": 3}}},
        [{"a": 1}, {"a": 2}, {"a": 1, "b": 3}],
    ),
    "a pattern": ({"type": "string", "pattern": "^[a-z]+$"}, 1),
    "reference": ({"$ref": "#/$defs/x"}, [7]),
    "impossible": ({"type": "object", "required": ["a"], "properties": {"a": False}}, []),
}


@pytest.mark.parametrize(("part", "values"), SMALL.values(), ids=SMALL)
def test_boundaries_of_a_part(part: Any, values: Any) -> None:
    schema = {"type": "object", "properties": {"x": part}, "$defs": {"x": {"const": 7}}}
    found = [item.value["x"] for item in boundaries(schema, {})]
    assert len(found) == values if isinstance(values, int) else found == values


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (2, "2"), (-0.5, "-0.5"), (None, "null"), ("a b", "a_b~"), ("x" * 99, "x" * 24 + "~")],
)
def test_a_slug_is_readable_and_its_own(value: Any, text: str) -> None:
    assert slug(value) == text or slug(value)[:-4] == text
    assert slug("a b") != slug("a_b") != slug("a  b")


# Fuzz


@pytest.mark.parametrize("polarity", ["valid", "invalid"])
@pytest.mark.parametrize("name", NAMES)
def test_drawn_bodies_are_what_they_should_be(name: str, polarity: str) -> None:
    for endpoint in endpoints(CONTRACTS[name]):
        if endpoint.operation.method == "POST":
            oracle = Draft202012Validator(endpoint.operation.request).is_valid
            drawn = draw_all(endpoint, polarity, 3, 50)
            assert len(drawn) == 50
            assert all(oracle(item.sent) is (polarity == "valid") for item in drawn)
            assert drawn == draw_all(endpoint, polarity, 3, 50)
            assert drawn != draw_all(endpoint, polarity, 4, 50)


def test_a_failure_of_a_generated_body_is_shown_by_a_small_one(broken: BrokenEndpoint) -> None:
    broken.break_with({"when": {"body": {"stream": True}}, "status": 400})
    result = run("brivionix", "fuzz/chat/valid", broken)
    assert result.request is not None
    body = result.request["body"]
    assert set(body) == {"model", "messages", "stream"}
    assert len(json.dumps(body)) < 120


def test_a_failure_of_a_broken_body_keeps_its_fault(broken: BrokenEndpoint) -> None:
    broken.break_with({"when": {"status": 400}, "status": 200})
    contract = CONTRACTS["beatra"]
    result = run("beatra", "fuzz/chat/invalid", broken)
    assert result.request is not None
    operation = contract.provider.operations["chat"]
    assert not Draft202012Validator(operation.request).is_valid(result.request["body"])
    assert len(json.dumps(result.request["body"])) < 200
    assert " at '" in result.message


@given(ANY_JSON)
def test_what_shrinks_ends_and_keeps(value: Any) -> None:
    def has_text(item: Any) -> bool:
        return '"' in json.dumps(item)

    found = smallest(value, has_text, 500)
    assert has_text(found) is has_text(value)
    assert len(json.dumps(found)) <= max(len(json.dumps(value)), 8)


def test_shrinking_takes_what_is_not_needed_away() -> None:
    value = {"a": [1, {"b": "a long text"}, 2.5], "c": {"d": 100}, "e": True}
    assert smallest(value, lambda item: "b" in json.dumps(item.get("a", "")), 500) == {"a": [{"b": "a"}]}
    assert smallest(value, lambda item: "b" in json.dumps(item.get("a", "")), 0) == value
    assert smallest({"n": 77, "x": 2.5}, lambda item: set(item) == {"n", "x"}, 50) == {"n": 0, "x": 0}


def test_a_planned_case_shows_no_code() -> None:
    case = CASES["beatra"]["probe/chat"]
    assert isinstance(case, PlannedCase)
    assert "function" not in repr(case)
