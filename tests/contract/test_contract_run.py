"""A run: what is planned and in which order, its budget, what it tells, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broken_endpoint import BrokenEndpoint
from hostile_target import HostileTarget

from emulator import Emulator, SourceError
from emulator.contract import run as run_module
from emulator.contract.budget import RequestBudget, Spent
from emulator.contract.client import Answer, Client, Sent
from emulator.contract.contract import load_contract
from emulator.contract.exchange import curl_line, scrub, scrub_json
from emulator.contract.reports.drift import exit_code
from emulator.contract.reports.report import PHASES, Report, Result, report_json
from emulator.contract.run import NotRunnable, plan, prepare, run_contract
from emulator.contract.target import EmulatorTarget, ForeignTarget, NotArranged, is_away
from emulator.core.schema.formats import data_folder

NAMES = ("beatra", "brainstormrouter", "braintwin", "brivionix")
QUICK = ("probe", "examples")


# What is planned


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_has_all_phases_in_order(name: str) -> None:
    cases = plan(name)
    assert list(dict.fromkeys(case.phase for case in cases)) == list(PHASES)
    facts = load_contract(name).provider.facts.values()
    assert [case.id for case in cases if case.phase == "facts"] == [fact.id for fact in facts if fact.who == "server"]


@pytest.mark.parametrize("name", NAMES)
def test_every_planned_case_names_its_fact(name: str) -> None:
    facts = load_contract(name).provider.facts
    nameless = [case.id for case in plan(name) if case.fact not in facts]
    assert nameless == ["probe/reachable"]
    assert all(case.source for case in plan(name) if case.fact)


def test_the_same_seed_plans_the_same() -> None:
    code = "from emulator.contract.run import plan; print([case.id for case in plan('brivionix', seed=5)])"
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert told[0] == told[1]
    assert str([case.id for case in plan("brivionix", seed=5)]).encode() == told[0].strip()


def test_the_same_seed_sends_the_same(emulator_url: str) -> None:
    def sent(seed: int) -> list[bytes]:
        with (
            closing(Recording()) as client,
            closing(ForeignTarget(f"{emulator_url}/beatra/v1", "k", client=client)) as at,
        ):
            for case in plan("beatra", phases=["examples", "coverage", "fuzz"], seed=seed, max_examples=9):
                case.run(at)
        return client.bodies

    first, again, other = sent(1), sent(1), sent(2)
    assert first == again
    assert len(first) > 100
    assert first != other


class Recording(Client):
    """A client that keeps the bodies that it sends."""

    def __init__(self) -> None:
        super().__init__(proxies=False)
        self.bodies: list[bytes] = []

    def send(self, method: str, url: str, headers: Any, body: bytes = b"") -> Answer:
        self.bodies.append(body)
        return super().send(method, url, headers, body)


def test_phases_and_cases_are_chosen() -> None:
    assert {case.phase for case in plan("beatra", phases=["stateful", "probe"])} == {"probe", "stateful"}
    assert [case.id for case in plan("beatra", cases=["be-stream", "probe/chat"])] == ["probe/chat", "be-stream"]
    assert len(plan("beatra", phases=["fuzz"], max_examples=3)) == 2
    assert sum(case.requests for case in plan("beatra", phases=["fuzz"], max_examples=3)) == 6


UNKNOWN = {
    "phase": ({"phases": ["fuzzy"]}, "There is no phase 'fuzzy'; did you mean 'fuzz'?"),
    "begun case": ({"cases": ["be-temp"]}, "There is no case 'be-temp'; did you mean 'be-temperature'?"),
    "case": ({"cases": ["be-steam"]}, "There is no case 'be-steam'; did you mean 'be-stream'?"),
    "case of another phase": (
        {"cases": ["probe/chat", "be-stream"], "phases": ["probe", "coverage"]},
        "The case 'be-stream' is in the phase facts, which is not run; leave --phase out, or add --phase facts.",
    ),
    "far case": (
        {"cases": ["zzzzzz"]}, "There is no case 'zzzzzz'; a run without --case tells them all in its report",
    ),
    "plan": ({"plan": "gold"}, "There is no plan 'gold'; known: unlimited"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "says"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_cannot_be_planned(given: dict[str, Any], says: str) -> None:
    with pytest.raises(NotRunnable) as caught:
        plan("beatra", **given)
    assert str(caught.value) == says


def test_a_provider_that_is_not_known() -> None:
    with pytest.raises(LookupError, match="There is no provider 'beatr'; did you mean 'beatra'"):
        plan("beatr")


def test_a_provider_of_another_folder(tmp_path: Path, emulator_url: str) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(data_folder("schemas") / "braintwin", folder)
    text = (folder / "provider.yaml").read_text().replace("name: braintwin", "name: mine", 1)
    (folder / "provider.yaml").write_text(text)
    (folder / "examples.yaml").unlink()
    assert "examples" not in {case.phase for case in plan("mine", schemas=tmp_path)}
    (folder / "examples.yaml").write_text("- {id: a}\n")
    with pytest.raises(SourceError, match=r"examples\.yaml:1:3: \[0\]\.source: is required"):
        plan("mine", schemas=tmp_path)


def test_a_schema_that_nothing_can_be_drawn_from(tmp_path: Path) -> None:
    folder = tmp_path / "braintwin"
    shutil.copytree(data_folder("schemas") / "braintwin", folder)
    body = json.loads((folder / "chat.request.schema.json").read_text())
    body["properties"]["shape"] = {
        "$comment": "assumed: a schema",
        "$ref": "https://json-schema.org/draft/2020-12/schema",
    }
    (folder / "chat.request.schema.json").write_text(json.dumps(body))
    with pytest.raises(NotRunnable) as caught:
        prepare("braintwin", "http://127.0.0.1:9/v1", "a-key", schemas=tmp_path, phases=["fuzz"])
    assert str(caught.value) == (
        "no requests can be drawn from the request schema of operations.chat of 'braintwin': /properties/shape/$ref: "
        "'https://json-schema.org/draft/2020-12/schema' leads nowhere; a reference must be a '#/…' that exists"
    )


def announced_and_sent(name: str, url: str, **asked: Any) -> tuple[int, int]:
    run = prepare(name, url, "", target=lambda client: EmulatorTarget(url, name, 0, client), **asked)
    announced = run.requests
    with closing(run.target):
        run.go()
    return announced, run.budget.requests


@pytest.mark.parametrize("name", NAMES)
def test_no_more_requests_are_sent_than_announced_and_not_many_fewer(name: str, emulator_url: str) -> None:
    announced, sent = announced_and_sent(name, emulator_url, max_examples=10)
    assert sent <= announced <= 1.25 * sent


@pytest.mark.parametrize(
    ("asked", "both"),
    [
        ({"cases": ["probe/chat"]}, (3, 3)),
        ({"cases": ["probe/reachable"]}, (2, 2)),
        ({"phases": ["probe"]}, (3, 3)),
        ({"phases": ["examples"], "cases": ["examples/chat/chat-stream"]}, (3, 3)),
        ({"phases": ["facts"], "cases": ["be-model", "be-error-429"]}, (22, 21)),
        ({"phases": ["probe", "stateful"]}, (39, 34)),
        ({"max_requests": 5}, (5, 5)),
        ({"cases": ["probe/chat"], "max_requests": 5}, (3, 3)),
    ],
    ids=str,
)
def test_requests_are_announced_with_those_that_see_whether_somebody_answers(
    emulator_url: str, asked: Any, both: tuple[int, int]
) -> None:
    assert announced_and_sent("beatra", emulator_url, **asked) == both


# Whole runs


def test_a_whole_run_of_one_provider(emulator_url: str) -> None:
    told: list[tuple[str, int, int]] = []
    started: list[tuple[int, int]] = []
    report = run_contract(
        "beatra", f"{emulator_url}/beatra/v1", "a-key", max_examples=5, on_start=lambda *now: started.append(now),
        on_result=lambda result, done, total: told.append((result.id, done, total)),
    )  # fmt: skip
    total = len(report.cases)
    assert [(item.id, n + 1, total) for n, item in enumerate(report.cases)] == told
    assert started == [(total, started[0][1])]
    assert started[0][1] > 100
    assert (report.provider, report.url, report.seed) == ("beatra", f"{emulator_url}/beatra/v1", 0)
    assert report.requests > 100
    assert report.seconds > 0
    seen = {item.id: item.outcome for item in report.cases if item.outcome != "passed"}
    assert seen == {"be-error-429": "not_seen", "be-error-503": "not_seen", "stateful/chat/limits": "not_seen"}
    assert json.loads(json.dumps(report_json(report)))["totals"]["not_seen"] == 3


def test_one_case_alone(emulator_url: str) -> None:
    report = run_contract("beatra", f"{emulator_url}/beatra/v1", "a-key", cases=["be-temperature"])
    assert [(item.id, item.outcome) for item in report.cases] == [("be-temperature", "passed")]


def test_a_key_that_is_refused_ends_the_run(emulator_url: str) -> None:
    report = run_contract("beatra", f"{emulator_url}/beatra/v1", "an-invalid-key", phases=["facts"])
    assert [(item.id, item.outcome) for item in report.cases] == [("probe/key", "failed")]
    assert exit_code(report) == 3
    both = run_contract("beatra", f"{emulator_url}/beatra/v1", "an-invalid-key")
    assert [item.id for item in both.cases] == ["probe/reachable", "probe/key"]


@pytest.mark.parametrize("given", [{}, {"cases": ["be-stream"]}, {"phases": ["fuzz"]}], ids=["all", "case", "phase"])
def test_nobody_there_ends_the_run(given: dict[str, Any]) -> None:
    report = run_contract("beatra", "http://127.0.0.1:9/v1", "a-key", **given)
    assert [(item.id, item.outcome) for item in report.cases] == [("probe/reachable", "failed")]
    assert exit_code(report) == 3


def test_an_emulator_that_is_not_there_ends_the_run() -> None:
    url = "http://127.0.0.1:9"
    run = prepare("beatra", url, "", target=lambda client: EmulatorTarget(url, "beatra", 0, client))
    with closing(run.target):
        run.go()
    assert exit_code(run.report()) == 3


def test_a_rate_limit_at_the_gate_is_no_refusal(broken: BrokenEndpoint) -> None:
    broken.break_with({"status": 429})
    report = run_contract("beatra", f"{broken.url}/beatra/v1", "a-key", phases=QUICK)
    assert {item.outcome for item in report.cases if item.id != "probe/reachable"} == {"inconclusive"}
    assert exit_code(report) == 4


def test_what_cannot_be_arranged_is_not_seen(emulator_url: str) -> None:
    report = run_contract("braintwin", f"{emulator_url}/braintwin/v1", "k", cases=["bt-error-500", "bt-error-429"])
    assert [(item.id, item.outcome) for item in report.cases] == [
        ("bt-error-429", "not_seen"),
        ("bt-error-500", "not_seen"),
    ]
    assert exit_code(report) == 0


def test_a_plan_that_is_said_is_known() -> None:
    with Emulator(plan="free") as emulator:
        url = emulator.base_urls["brainstormrouter"]
        for said, word in (("free", "its clock cannot be moved by 0 s"), (None, "not known to be free")):
            report = run_contract("brainstormrouter", url, "br-k", cases=["br-plan-free"], plan=said)
            assert report.cases[0].outcome == "not_seen"
            assert word in report.cases[0].message


def test_the_documented_test_module_runs(tmp_path: Path, emulator_url: str) -> None:
    blocks = run_module.__doc__ or ""
    code = textwrap.dedent(blocks[blocks.index("    import pytest") : blocks.index("A result that is")])
    assert "http://127.0.0.1:8080/v1" in code
    (tmp_path / "test_it.py").write_text(
        code.replace("NAME", "beatra").replace("http://127.0.0.1:8080/v1", f"{emulator_url}/beatra/v1")
    )
    plugins = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]  # importing the second takes longer than the cases
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "test_it.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert re.search(r"\n\d\d\d? passed, 2 skipped in ", result.stdout), result.stdout


LOOPBACK = {
    "http://127.0.0.1:1/v1": True, "http://127.8.9.1/v1": True, "http://localhost/v1": True, "http://[::1]:4/v1": True,
    "http://LOCALHOST/v1": True, "https://127.0.0.1.example.com/v1": False, "https://10.0.0.1/v1": False,
    "https://localhost.example.com/v1": False, "nothing": False,
}  # fmt: skip


@pytest.mark.parametrize(("url", "here"), LOOPBACK.items(), ids=LOOPBACK)
def test_what_is_on_this_machine(url: str, here: bool) -> None:
    assert is_away(url) is not here


# Budgets


@pytest.mark.parametrize("most", [1, 2, 7])
def test_a_budget_of_requests_ends_the_run(most: int) -> None:
    with HostileTarget("good") as target:
        report = run_contract("beatra", target.url, "a-key", max_requests=most)
        sent = target.requests
    assert (sent, report.requests) == (most, most)
    assert report.cases[-1].outcome == "inconclusive"
    assert report.cases[-1].message == f"the budget of {most} requests is spent"
    assert len(report.cases) == len(plan("beatra"))


def test_a_budget_of_tokens_ends_the_run() -> None:
    with HostileTarget("good") as target:  # each answer tells of 2 tokens
        report = run_contract("beatra", target.url, "a-key", max_tokens=9, phases=["probe", "coverage"])
        sent = target.requests
    assert sent == 5
    assert report.cases[-1].message == "the budget of 9 tokens is spent (10 used)"


def test_streams_tell_their_tokens_too(emulator_url: str) -> None:
    budget = RequestBudget(max_tokens=10_000, wire=load_contract("beatra").ask.wire)
    with closing(Client(proxies=False, budget=budget)) as client:
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        body["stream_options"] = {"include_usage": True}
        headers = {"authorization": "Bearer k", "content-type": "application/json"}
        client.send("POST", f"{emulator_url}/beatra/v1/chat/completions", headers, json.dumps(body).encode())
    assert budget.requests == 1
    assert budget.tokens > 5


def test_control_requests_are_no_part_of_a_budget(emulator_url: str) -> None:
    run = prepare(
        "beatra", emulator_url, "", max_requests=2, cases=["probe/chat"],
        target=lambda client: EmulatorTarget(emulator_url, "beatra", 0, client),
    )  # fmt: skip
    with closing(run.target):
        run.go()
    assert run.report().cases[0].outcome == "inconclusive"  # the gates took both
    assert run.budget.requests == 2


def test_a_meter_counts_and_ends() -> None:
    budget = RequestBudget(max_requests=3)
    for ended in (True, False):
        budget.begin()
        budget.end(ended, 5)
    assert (budget.requests, budget.tokens, budget.silent, budget.reason) == (2, 10, 1, "")
    budget.begin()
    with pytest.raises(Spent, match="the budget of 3 requests is spent"):
        budget.begin()


AWAY = {
    "no budget": ({}, "say how much a run may cost, by --max-requests or --max-tokens"),
    "no URL": ({"url": "api.example.com", "max_requests": 1}, "is no base URL"),
    "a query": ({"url": "https://api.example.com/v1?a=1", "max_requests": 1}, "is no base URL"),
    "a port": ({"url": "http://127.0.0.1:99999/v1"}, "is no base URL"),
    "a key of two lines": ({"url": "http://127.0.0.1/v1", "key": "a\nb"}, "the API key must be printable ASCII"),
    "no key": ({"url": "http://127.0.0.1/v1", "key": ""}, "the API key must be printable ASCII"),
}


@pytest.mark.parametrize(("given", "says"), AWAY.values(), ids=AWAY)
def test_what_cannot_be_run(given: dict[str, Any], says: str) -> None:
    wanted = {"url": "https://api.example.com/v1", "key": "a-key", **given}
    with pytest.raises(NotRunnable) as caught:
        run_contract("beatra", **wanted)
    assert says in str(caught.value)


def test_away_from_this_machine_a_run_is_careful() -> None:
    run = prepare("beatra", "https://api.example.com/v1", "a-key", max_requests=1)
    more = prepare("beatra", "https://api.example.com/v1", "a-key", max_tokens=1, phases=["coverage"])
    with closing(run.target), closing(more.target):
        assert {case.phase for case in run.planned_case} == {"probe", "facts", "examples"}
        assert {case.phase for case in more.planned_case} == {"coverage"}


# Exit codes and what is told


def made(*outcomes: str, first: str = "x") -> Report:
    cases = [Result(f"{first}{n}", "facts", None, "", False, word) for n, word in enumerate(outcomes)]  # type: ignore[arg-type]
    return Report("p", "u", 0, 0.0, 0.0, 0, tuple(cases))


CODES = {
    "ok": (made("passed", "not_seen", "observed"), 0),
    "findings": (made("passed", "failed", "inconclusive"), 1),
    "inconclusive": (made("passed", "inconclusive"), 4),
    "nothing": (made(), 0),
}


@pytest.mark.parametrize(("report", "code"), CODES.values(), ids=CODES)
def test_exit_codes(report: Report, code: int) -> None:
    assert exit_code(report) == code


def test_a_failure_can_be_repeated_from_its_line(broken: BrokenEndpoint) -> None:
    broken.break_with({"when": {"body": {"temperature": 2.1}}, "ignore": ["temperature"]})
    with closing(ForeignTarget(f"{broken.url}/beatra/v1", "a-key-of-ours")) as target:
        (case,) = plan("beatra", cases=["be-temperature"])
        result = case.run(target)
    assert result.outcome == "failed"
    assert result.curl is not None
    assert '"Authorization: Bearer $API_KEY"' in result.curl
    line = f"API_KEY=a-key-of-ours; {result.curl.replace('curl -i', 'curl -s', 1)}"
    if shutil.which("curl"):
        answer = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
        assert "choices" in json.loads(answer.stdout)
    sent = subprocess.run(["sh", "-c", f"API_KEY=k; printf '%s\\n' {result.curl}"], capture_output=True, check=True)
    words = sent.stdout.decode().splitlines()
    assert "Authorization: Bearer k" in words
    assert json.loads(words[-1])["temperature"] == 2.1


CURLS = {
    "quotes": ('{"a": "it\'s $HOME `x`"}', '{"a": "it\'s $HOME `x`"}'),
    "the key": ('{"a": "the-secret"}', '{"a": "$API_KEY"}'),
    "lines": ('{"a":\n"é"}', '{"a":\n"é"}'),
}


@pytest.mark.parametrize(("body", "said"), CURLS.values(), ids=CURLS)
def test_a_curl_line_is_what_a_shell_reads(body: str, said: str) -> None:
    headers = (("host", "h"), ("authorization", 'Bearer the-secret"$x'), ("x-a", "it's"))
    line = curl_line(Sent("POST", "http://h/v1?a=1&b=2", headers, body.encode()), "the-secret")
    told = subprocess.run(["sh", "-c", f"API_KEY='k y'; printf '%s\\0' {line}"], capture_output=True, check=True)
    words = told.stdout.decode().split("\0")[:-1]
    assert words == [
        "curl", "-i", "-X", "POST", "http://h/v1?a=1&b=2", "-H", 'Authorization: Bearer k y"$x', "-H", "X-A: it's",
        "--data-binary", said,
    ]  # fmt: skip
    assert "the-secret" not in line


def test_a_long_body_is_no_part_of_a_line() -> None:
    line = curl_line(Sent("POST", "http://h/v1", (), b"x" * 30_000), "")
    assert line == "curl -i -X POST http://h/v1 --data-binary @body.json  # a body of 30000 bytes"


def test_keys_are_scrubbed_also_where_a_text_was_cut() -> None:
    assert scrub("Bearer my-secret-key.", "my-secret-key") == "Bearer $API_KEY."
    assert scrub("Bearer my-secret…", "my-secret-key") == "Bearer $API_KEY"
    assert scrub("Bearer my-", "my-secret-key") == "Bearer my-"
    assert scrub("nothing", "") == "nothing"
    assert scrub_json({"a-key-1": ["x a-key-1", 1, None]}, "a-key-1") == {"$API_KEY": ["x $API_KEY", 1, None]}


def test_a_foreign_target_arranges_nothing() -> None:
    with closing(ForeignTarget("http://127.0.0.1:9/v1", "k", plan="free")) as target:
        target.plan("free")
        for act in (lambda: target.plan("pro"), lambda: target.advance(1), lambda: target.answer({"text": "a"})):
            with pytest.raises(NotArranged):
                act()
        assert target.now() > 1_700_000_000
