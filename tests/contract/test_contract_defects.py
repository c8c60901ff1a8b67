"""An endpoint of another make, written from the docs alone, fails no case; each of its defects is caught by one."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from independent.defects import DEFECTS, Defect
from independent.endpoint import Endpoint, Serve
from independent.misreadings import fields_of
from independent.values import Reply, Request

from emulator.contract.cases import Outcome, load_cases, run_case
from emulator.contract.client import Answer
from emulator.contract.contract import load_contract
from emulator.contract.reports.report import Report
from emulator.contract.run import run_contract
from emulator.contract.target import ForeignTarget

ROOT = Path(__file__).parents[2]
CASES = {name: {case.fact.id: case for case in load_cases(ROOT / "schemas" / name)[1]} for name in DEFECTS}
KEYS = {"braintwin": "bt-key", "brainstormrouter": "br-enterprise", "brivionix": "sk-key", "beatra": "bea-key"}
KEYS |= {
    **dict.fromkeys(("openai", "deepseek", "compatible", "azure", "openrouter"), "sk-key"),
    "anthropic": "sk-ant-key",
    "gemini": "AIza-key",
    "ollama": "any",
}
#: What the base URL of an API ends in; left out: /v1.
BASES = {"anthropic": "", "gemini": "/v1beta", "ollama": "", "azure": "", "openrouter": "/api/v1"}
PLANS = {"brainstormrouter": "enterprise"}

#: APIs beside the first four; and of those with too many facts for each to have a defect, how many have one.
FURTHER = ("openai", "anthropic", "gemini", "deepseek", "compatible", "ollama", "azure", "openrouter")
MANY = {"openai": 80, "anthropic": 60, "gemini": 50}

#: Checks that need a target to be told what to do, or that see nothing.
ARRANGED = {"unseen", "scripted", "limit", "refill", "arranged", "breaks", "comments"}
#: What can't be arranged at a foreign endpoint; and what is assumed, where this one has it otherwise.
NOT_SEEN = {
    *("bt-model-speed", "bt-error-429", "bt-error-500", "bt-rate-plan", "be-error-429", "be-error-503"),
    *("br-plan-free", "br-plan-pro", "br-plan-team", "br-plan-enterprise"),
    *(case for name in FURTHER for case, item in CASES[name].items() if item.steps[0].name in ARRANGED),
    *(
        "oa-rs-annotation",
        "oa-rp-cancel",
        "az-r-cancel",
        "ge-e-402",
        "ge-e-other",
        "ge-e-429",
        "ge-e-429-id",
        "ge-e-503",
    ),
}
OBSERVED = {
    *("br-models", "br-patterns", "bv-vision", "bv-models"),
    *("be-response-sync", "be-error-envelope", "be-unknown-path"),
}

#: Two cases that a defect of another fact leaves as they are.
UNTOUCHED = {
    "braintwin": ("bt-ok-200", "bt-rate-headers"),
    "brainstormrouter": ("br-chat-params", "br-rate-headers"),
    "brivionix": ("bv-roles", "bv-penalties"),
    "beatra": ("be-request-id", "be-unknown-path"),
    "openai": ("oa-mod-response", "oa-comp-required"),
    "ollama": ("ol-ps", "ol-version"),
    "azure": ("az-models", "az-embeddings"),
    "openrouter": ("or-key", "or-credits"),
    "anthropic": ("an-models-get", "an-m-1m"),
    "gemini": ("ge-x-role", "ge-x-contents"),
    "deepseek": ("ds-models-list", "ds-user-id"),
    "compatible": ("co-models", "co-lenient"),
}

ALL = [(name, defect) for name, defects in DEFECTS.items() for defect in defects]
IDS = [f"{defect.fact}-{defect.what.replace(' ', '-')}" for _, defect in ALL]


def base_url(endpoint: Endpoint, provider: str) -> str:
    return f"{endpoint.url}/{provider}{BASES.get(provider, '/v1')}"


class Bench:
    """The endpoint, and a target for each of its APIs; what a run came to is remembered."""

    def __init__(self, endpoint: Endpoint, targets: Mapping[str, ForeignTarget]) -> None:
        self.endpoint = endpoint
        self.targets = targets
        self._outcomes: dict[tuple[str, Defect | None], Outcome] = {}

    def run(self, provider: str, case: str, defect: Defect | None = None) -> Outcome:
        """Run a case on the endpoint, clean or with a defect."""
        if (case, defect) not in self._outcomes:
            self.endpoint.spoil_with(defect.spoil if defect else None)
            self._outcomes[case, defect] = run_case(CASES[provider][case], self.targets[provider])
        return self._outcomes[case, defect]

    def catches(self, provider: str, defect: Defect) -> bool:
        found = self.run(provider, defect.fact, defect)
        return found.outcome == defect.outcome and defect.says in found.message


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Endpoint() as endpoint, ExitStack() as stack:
        targets = {name: ForeignTarget(base_url(endpoint, name), key, PLANS.get(name)) for name, key in KEYS.items()}
        for target in targets.values():
            stack.enter_context(closing(target))
        yield Bench(endpoint, targets)


@pytest.mark.parametrize("file", sorted((ROOT / "tests/independent").glob("*.py")), ids=lambda file: file.stem)
def test_the_endpoint_takes_nothing_from_the_package(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    taken = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not [name for name in taken if name.split(".")[0] == "emulator"]
    assert "__import__" not in file.read_text()


def test_there_are_enough_defects_of_enough_facts() -> None:
    assert len(set(IDS)) == len(IDS)
    failing = [(name, defect.fact) for name, defect in ALL if defect.outcome == "failed"]
    assert len(failing) >= 5 * (len(ALL) - len(failing))
    assert len(failing) >= 44
    assert min(Counter(name for name, _ in failing if name != "compatible").values()) >= 8  # who leaves much to others
    reachable = {case for name, cases in CASES.items() if name not in MANY for case in cases} - NOT_SEEN
    assert reachable - {defect.fact for _, defect in ALL} == set()
    for name, least in MANY.items():
        assert len({defect.fact for defect in DEFECTS[name] if defect.outcome == "failed"}) >= least
    assert min(map(len, DEFECTS.values())) >= 30


@pytest.mark.parametrize("provider", DEFECTS)
def test_the_clean_endpoint_fails_no_case(provider: str, bench: Bench) -> None:
    outcomes = {case: bench.run(provider, case).outcome for case in CASES[provider]}
    wanted = {
        case: "not_seen" if case in NOT_SEEN else "observed" if case in OBSERVED else "passed" for case in outcomes
    }
    assert outcomes == wanted


@pytest.mark.parametrize(("provider", "defect"), ALL, ids=IDS)
def test_a_defect_is_caught_by_the_case_of_its_fact(provider: str, defect: Defect, bench: Bench) -> None:
    found = bench.run(provider, defect.fact, defect)
    assert (found.outcome, defect.says in found.message) == (defect.outcome, True), found
    clean = bench.run(provider, defect.fact)
    assert (clean.outcome, clean.message) != (found.outcome, found.message)


@pytest.mark.parametrize(("provider", "defect"), ALL, ids=IDS)
def test_a_defect_leaves_another_case_as_it_is(provider: str, defect: Defect, bench: Bench) -> None:
    case = next(name for name in UNTOUCHED[provider] if name != defect.fact)
    assert bench.run(provider, case, defect).outcome == bench.run(provider, case).outcome


def test_the_share_caught(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [share(bench, provider, DEFECTS[provider]) for provider in DEFECTS]
    caught = sum(bench.catches(*item) for item in ALL)
    with capsys.disabled():
        print("", *lines, f"caught {caught} of {len(ALL)} defects ({caught / len(ALL):.0%})", sep="\n")
    assert caught == len(ALL)


def share(bench: Bench, provider: str, defects: tuple[Defect, ...]) -> str:
    """Return a line that says what became of a provider's defects, and of its cases on the clean endpoint."""
    caught = sum(bench.catches(provider, defect) for defect in defects)
    clean = Counter(bench.run(provider, case).outcome for case in CASES[provider])
    facts = len({defect.fact for defect in defects})
    return f"{provider}: {caught} of {len(defects)} defects of {facts} facts; clean: {dict(clean)}"


@pytest.mark.parametrize(
    ("provider", "key", "limit"), [("braintwin", "bt-three", 3), ("brainstormrouter", "br-free", 20)]
)
def test_the_endpoint_limits_each_key(provider: str, key: str, limit: int, bench: Bench) -> None:
    bench.endpoint.spoil_with(None)
    answers = [ask(bench, provider, key) for _ in range(limit + 1)]
    assert [answer.status for answer in answers] == [200] * limit + [429]
    assert answers[-1].json["error"]["type"] == "rate_limit_error"
    left = [answer.header("x-ratelimit-remaining") for answer in answers]
    assert left == [str(number) for number in (*reversed(range(limit)), 0)]
    assert len({answer.header("x-ratelimit-reset") for answer in answers}) == 1
    assert ask(bench, provider, KEYS[provider]).status == 200


def ask(bench: Bench, provider: str, key: str) -> Answer:
    target = bench.targets[provider]
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello"}]}
    return target.client.send("POST", f"{target.base_url}/chat/completions", headers, json.dumps(body).encode())


def asked_by(phases: list[str], **budget: int) -> tuple[list[dict[str, Any]], Report]:
    """Return the bodies that a run with a budget sends to the endpoint of OpenAI's API, and its report."""
    bodies: list[dict[str, Any]] = []

    def listen(request: Request, serve: Serve) -> Reply:
        bodies.append(fields_of(request))
        return serve(request)

    with Endpoint() as endpoint:
        endpoint.spoil_with(listen)
        return bodies, run_contract("openai", f"{endpoint.url}/openai/v1", "sk-key", phases=phases, **budget)


#: What a request may ask that costs little; of the others, what its operation has.
CHEAP = {
    "gpt-4o-mini", "text-embedding-ada-002", "text-embedding-3-small", "gpt-3.5-turbo-instruct",
    "omni-moderation-latest",
}  # fmt: skip


def most_output(body: dict[str, Any]) -> int:
    caps = [body.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    count = body["n"] if isinstance(body.get("n"), int) else 1
    return count * max((cap for cap in caps if isinstance(cap, int)), default=0)


@pytest.mark.parametrize("phases", [["probe", "facts", "examples"], ["coverage"], ["fuzz"], ["stateful"], []])
def test_a_small_budget_asks_nothing_that_costs_much(phases: list[str]) -> None:
    bodies, report = asked_by(phases, max_requests=30, max_tokens=2000)
    assert 5 <= len(bodies) == report.requests <= 30
    assert sum(len(json.dumps(body)) for body in bodies) // 4 < 2000
    assert sum(map(most_output, bodies)) <= 2000
    there = load_contract("openai").provider.models  # what a fault makes of a name is no model, and refused
    assert {model for body in bodies if isinstance(model := body.get("model"), str) and model in there} <= CHEAP


def test_a_request_that_may_take_too_much_is_not_sent() -> None:
    bodies, report = asked_by(["facts"], max_tokens=20_000)
    dear = {case.id for case in report.cases if "it may take more than is left of the budget of 20000" in case.message}
    assert {"oa-err-max-tokens-cap"} <= dear
    assert max(map(most_output, bodies)) <= 20_000


#: What is tried of an API in all phases, and where their thousands of cases take too long, in the others.
PHASES = {"anthropic": ["probe", "facts", "examples"], "gemini": ["probe", "facts", "examples"]}


@pytest.mark.parametrize("provider", KEYS)
def test_a_faithful_endpoint_fails_no_case_of_any_phase(provider: str) -> None:
    asked: dict[str, Any] = {"plan": PLANS.get(provider), "phases": PHASES.get(provider, []), "max_examples": 25}
    with Endpoint() as endpoint:
        report = run_contract(provider, base_url(endpoint, provider), KEYS[provider], **asked)
    assert [(case.id, case.message) for case in report.cases if case.outcome in ("failed", "inconclusive")] == []
    assert report.totals["observed" if provider == "compatible" else "passed"] >= 30  # of which all is assumed
