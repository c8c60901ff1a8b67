"""What a gateway may add or write otherwise fails no case; what it breaks is one finding, however many cases see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from broken_endpoint import BrokenEndpoint

from emulator.contract.contract import load_contract
from emulator.contract.phases.endpoint import endpoints
from emulator.contract.phases.fuzz import draw_all
from emulator.contract.reports.report import Report
from emulator.contract.run import NotRunnable, plan, run_contract

#: Vendors' fields wherever an answer has an object; and forms that mean the same.
BENIGN: Mapping[str, Mapping[str, Any]] = {
    "fields of OpenAI": {
        "set": {"system_fingerprint": "fp_1", "service_tier": "default", "choices.*.logprobs": None},
    },
    "fields of a vendor": {
        "set": {
            "x_vendor": {"region": "eu"}, "error.trace": "t-1", "usage.cost": 0.1, "data.*.tier": 2,
            "choices.*.provider": "x", "choices.*.message.refusal": None, "choices.*.message.reasoning": "Hm.",
            "choices.*.delta.x_index": 7, "usage.prompt_tokens_details": {"cached_tokens": 0},
        },
    },
    "usage null in chunks": {"when": {"stream": True}, "set": {"usage": None}},
    "no space": {"form": "no_space"},
    "CRLF": {"form": "crlf"},
    "CR": {"form": "cr"},
    "comments": {"form": "comments"},
    "names, ids, retry": {"form": "named"},
    "charset": {"form": "charset"},
    "gzip": {"form": "gzip"},
    "tiny pieces": {"pieces": 7},
    "a mark at the start": {"form": "bom"},
    "null is left out": {"nulls": False},
    "null is refused": {"when": {"body": {"temperature": None}}, "status": 400},
    "headers of a proxy": {"headers": {"Via": "1.1 gate", "Server": "gate", "Cache-Control": "no-cache"}},
}  # fmt: skip


MORE_FIELDS = {"fields of OpenAI", "fields of a vendor"}
BEYOND = "fields beyond those of the docs"


@pytest.fixture(scope="module")
def gateway(emulator_url: str) -> Iterator[BrokenEndpoint]:
    with BrokenEndpoint(emulator_url) as endpoint:
        yield endpoint


def report_of(gateway: BrokenEndpoint, broken: Mapping[str, Any], provider: str = "brivionix", **asked: Any) -> Report:
    """Run a provider's contract at a gateway that changes what passes through."""
    gateway.break_with(broken)
    return run_contract(provider, f"{gateway.url}/{provider}/v1", "sk-test-key", **asked)


#: All phases of one API; of another those whose answers differ most.
PHASES: Mapping[str, Sequence[str]] = {"brivionix": ["probe", "facts", "examples", "stateful"], "beatra": []}


@pytest.mark.parametrize("provider", PHASES)
@pytest.mark.parametrize("name", BENIGN)
def test_what_is_benign_fails_no_case(name: str, provider: str, gateway: BrokenEndpoint) -> None:
    report = report_of(gateway, BENIGN[name], provider, phases=PHASES[provider], max_examples=20)
    bad = [item for item in report.cases if item.outcome in ("failed", "inconclusive")]
    assert [(item.id, item.message, item.actual) for item in bad] == []
    assert [item.worst.difference for item in report.findings] == ([BEYOND] if name in MORE_FIELDS else [])


def test_fields_beyond_the_docs_are_one_finding_of_every_phase(gateway: BrokenEndpoint) -> None:
    report = report_of(gateway, {"set": {"system_fingerprint": "fp_1"}}, max_examples=5)
    (found,) = report.findings
    told = 'an answer has no fields but those of the docs; got "system_fingerprint"'
    assert (found.worst.outcome, found.message) == ("observed", told)
    assert {item.phase for item in found.cases} == {"probe", "facts", "examples", "coverage", "fuzz", "stateful"}


WHOLE, STREAMED = {"stream": False, "status": 200}, {"stream": True, "status": 200}
#: A gateway's API and its fault, and a part of what the finding says.
BROKEN: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "no end of a stream": ("beatra", {"when": STREAMED, "events": "no_done"},
                           "this stream has no `data: [DONE]`; got nothing"),
    "the end twice": ("beatra", {"when": STREAMED, "events": "two_done"}, "[DONE] comes last and once"),
    "a stream as text": ("brivionix", {"when": STREAMED, "headers": {"content-type": "text/plain"}},
                         'a stream has its content type; got "text/plain"'),
    "no usage": ("brivionix", {"when": WHOLE, "drop": ["usage"]}, "usage"),
    "no finish reason": ("beatra", {"when": STREAMED, "events": "no_finish"}, "the chunks come in order"),
    "the role comes late": ("beatra", {"when": STREAMED, "events": "role_late"}, "the chunks come in order"),
    "no id": ("brivionix", {"when": {"status": 200}, "drop": ["id"]}, "id is"),
    "no model": ("beatra", {"when": WHOLE, "drop": ["model"]}, "model is there, a string"),
    "a crash for 400": ("beatra", {"when": {"status": 400}, "status": 500}, "gets 400 (invalid_request); got 500"),
    "errors without their words": ("beatra", {"when": {"status": 400}, "json": {"detail": "no"}},
                                   "says invalid_request, details, temperature"),
    "max_tokens is ignored": ("brivionix", {"ignore": ["max_tokens"]}, "max_tokens 1 has 1 tokens; got"),
    "a field is refused": ("beatra", {"when": {"body": {"max_tokens": 7}}, "status": 400, "json": {"error": "no"}},
                           "max_tokens 7 gets 200; got 400"),
    "streams are cut": ("brivionix", {"when": STREAMED, "cut": True}, 'gets 200; got "200 (cut)"'),
    "pages for answers": ("beatra", {"when": WHOLE, "headers": {"content-type": "text/html"}},
                          'is answered in JSON; got "text/html"'),
    "no id of a request": ("beatra", {"headers": {"x-request-id": None}}, "X-Request-Id is on the answer to"),
}  # fmt: skip
#: The envelope, too, is another one, which the docs only hint at.
ASSUMED_TOO = {"errors without their words": ["the error of an invalid request: error is required; got nothing"]}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_one_finding(name: str, gateway: BrokenEndpoint) -> None:
    provider, broken, says = BROKEN[name]
    report = report_of(gateway, broken, provider, max_examples=20, seed=list(BROKEN).index(name) + 1)
    first, *others = report.findings
    assert (first.worst.outcome, says in first.message) == ("failed", True), first.message
    assert [item.message for item in others] == ASSUMED_TOO.get(name, [])
    wrong = [item.id for item in report.cases if item.outcome in ("failed", "observed")]
    assert sorted(wrong) == sorted(item.id for finding in report.findings for item in finding.cases)


@pytest.mark.parametrize(
    ("provider", "cases"),
    [("openai", ["oa-chunk-framing", "oa-chunk-end"]), ("compatible", ["co-stream", "co-stream-end"])],
    ids=["openai", "compatible"],
)
def test_a_stream_without_its_end_fails_where_the_spec_names_it(
    provider: str, cases: list[str], gateway: BrokenEndpoint
) -> None:
    report = report_of(gateway, {"when": STREAMED, "events": "no_done"}, provider, cases=cases)
    assert [(item.worst.id, item.worst.outcome) for item in report.findings] == [(cases[1], "failed")]


@pytest.mark.parametrize(
    "broken",
    [
        {"when": STREAMED, "status": 400},
        {"when": STREAMED, "headers": {"content-type": "application/json"}},
        {"when": STREAMED, "events": "one_chunk"},
    ],
    ids=["refused", "no stream", "another form"],
)
def test_a_gateway_in_the_form_of_openai_may_stream_otherwise(broken: dict[str, Any], gateway: BrokenEndpoint) -> None:
    report = report_of(gateway, broken, "compatible", cases=["co-stream", "co-stream-end"])
    assert report.findings
    assert {item.worst.outcome for item in report.findings} == {"observed"}


def test_a_gateway_that_answers_no_chat_fails_until_its_model_is_named(gateway: BrokenEndpoint) -> None:
    broken = {"when": {"body": {"model": "any-model"}}, "status": 404}
    silent = report_of(gateway, broken, "compatible", phases=["probe"])
    assert [(item.worst.id, item.worst.outcome) for item in silent.findings] == [("probe/chat", "failed")]
    named = report_of(gateway, broken, "compatible", phases=["probe"], model="the-model")
    assert named.findings == []


def test_what_is_ignored_is_not_asked(gateway: BrokenEndpoint) -> None:
    broken = {"when": STREAMED, "events": "no_done"}
    report = report_of(gateway, broken, "openai", cases=["oa-chunk-end", "oa-chunk-object"], ignore=["oa-chunk-end"])
    assert [item.id for item in report.cases] == ["oa-chunk-object"]
    with pytest.raises(NotRunnable, match="There is no fact 'oa-chunk-ends'; did you mean 'oa-chunk-end'"):
        report_of(gateway, {}, "openai", ignore=["oa-chunk-ends"])


def test_a_base_url_without_its_version_is_told_the_one_that_answers(gateway: BrokenEndpoint) -> None:
    gateway.break_with({})
    url = f"{gateway.url}/beatra"
    report = run_contract("beatra", url, "sk-test-key", phases=["probe"])
    said = f"nothing is at {url}, but {url}/v1 answers: --url {url}/v1; got 404"
    assert [item.message for item in report.findings] == [said]


@pytest.mark.parametrize(
    ("provider", "path"), [("openai", "/chat/completions"), ("gemini", "/models/mine:generateContent")]
)
def test_the_model_of_good_requests_can_be_named(provider: str, path: str) -> None:
    ask = load_contract(provider).naming("mine").ask
    assert (ask.sent(ask.body)[0], ask.body.get("model")) == (path, "mine" if provider == "openai" else None)


def test_the_cases_of_facts_ask_the_model_that_is_named(gateway: BrokenEndpoint) -> None:
    broken = {"when": {"body": {"model": "gpt-4o-mini"}}, "status": 404}
    asked: dict[str, Any] = {"cases": ["oa-base-url", "oa-chunk-object", "oa-rq-path"]}
    found = report_of(gateway, broken, "openai", **asked)
    assert {item.id: item.outcome for item in found.cases} == dict.fromkeys(asked["cases"], "failed")
    assert report_of(gateway, broken, "openai", **asked, model="gpt-4o").findings == []


def test_what_a_case_sends_or_a_phase_makes_of_chats_names_that_model() -> None:
    contract = load_contract("openai").naming("mine")
    of = {item.operation.name: item for item in endpoints(contract)}
    told = {
        item["body"]["model"]
        for _, step in contract.steps("sequence")
        for item in step.params["steps"]
        if "model" in item.get("body", {})
    }
    assert told == {"mine"}
    wanted = {"chat": "mine", "responses": "mine", "completions": "gpt-3.5-turbo-instruct"}
    drawn = {name: {item.body["model"] for item in draw_all(of[name], "valid", 1, 5, frugal=True)} for name in wanted}
    assert drawn == {name: {model} for name, model in wanted.items()}
    assert not [
        case.id for case in plan(contract, phases=["coverage"]) if case.id.startswith("coverage/chat/model/listed/")
    ]


@pytest.mark.parametrize(
    ("provider", "operation", "path"),
    [
        ("gemini", "count_tokens", "/models/a%2Fb:countTokens"),
        ("gemini", "embed", "/models/gemini-embedding-001:embedContent"),
        ("azure", "deployment_chat", "/openai/deployments/a%2Fb/chat/completions"),
    ],
)
def test_paths_name_that_model(provider: str, operation: str, path: str) -> None:
    contract = load_contract(provider).naming("a/b")
    assert [item.path for item in endpoints(contract) if item.operation.name == operation] == [path]


def test_several_faults_are_several_findings(gateway: BrokenEndpoint) -> None:
    broken = {"when": {"status": 200}, "ignore": ["max_tokens"], "set": {"model": 7}, "headers": {"x-request-id": None}}
    report = report_of(gateway, broken, "beatra", max_examples=20, seed=99)
    assert [item.worst.difference for item in report.findings if item.worst.outcome == "failed"] == [
        "model: type", "max_tokens of requests has no effect", "X-Request-Id is on the answer to …",
    ]  # fmt: skip
