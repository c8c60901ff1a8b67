"""`emulator exec`: what the command gets, what is told when it ends, and the code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """\
emulator: 1
provider: beatra
clock: virtual
keys: [sk-of-the-scenario]
rules:
  - {when: {last_user: hello}, reply: {text: Hi!}}
  - {when: {last_user: always}, reply: {error: invalid_request}}
"""
SDK = """\
import sys
from openai import OpenAI, OpenAIError
for text in sys.argv[1:]:
    try:
        answer = OpenAI().chat.completions.create(model="auto", messages=[{"role": "user", "content": text}])
        print(answer.choices[0].message.content)
    except OpenAIError as error:
        print(type(error).__name__)
"""
#: The same in few modules, which are there in a tenth of the time; a refusal is told by its status.
APP = """\
import json, os, sys
from http.client import HTTPConnection
from urllib.parse import urlsplit
base_url = urlsplit(os.environ["OPENAI_BASE_URL"])
headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
connection = HTTPConnection(base_url.netloc, timeout=30)
for text in sys.argv[1:]:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    connection.request("POST", base_url.path + "/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    found = json.load(answer)
    print(found["choices"][0]["message"]["content"] if answer.status == 200 else answer.status)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(SCENARIO)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "sdk.py").write_text(SDK)
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "emulator", "exec", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_official_sdk_needs_no_other_word(folder: Path) -> None:
    assert run(folder, "a.yaml", "--", sys.executable, "sdk.py", "hello") == (
        0, "Hi!\n", "emulator: 1 request, nothing to find fault with\n",
    )  # fmt: skip


def test_what_no_rule_answered_is_told_and_the_code_is_the_commands(folder: Path) -> None:
    code, out, said = run(folder, "a.yaml", "--", sys.executable, "app.py", "hello", "bye")
    assert (code, out) == (0, "Hi!\n404\n")
    assert said.splitlines() == [
        "emulator: 2 requests, 1 finding",
        "no rule answered exchange 2 (POST /beatra/v1/chat/completions); the nearest:",
        "  a.yaml:6 (rule-1)",
        '    last_user: expected "hello", got "bye"',
        "  a.yaml:7 (rule-2)",
        '    last_user: expected "always", got "bye"',
        "leave out what is meant to be so: --ignore unmatched",
    ]


@pytest.mark.parametrize(("strict", "own", "code"), [((), 0, 0), (("--strict",), 0, 1), (("--strict",), 7, 7)])
def test_strict_fails_on_findings(strict: tuple[str, ...], own: int, code: int, folder: Path) -> None:
    shell = f"{sys.executable} app.py bye; exit {own}"
    assert run(folder, "a.yaml", *strict, "--", "sh", "-c", shell)[0] == code


def test_the_verdict_on_the_client_is_told(folder: Path) -> None:
    code, out, said = run(folder, "a.yaml", "--strict", "--", sys.executable, "app.py", "always", "always")
    assert (code, out) == (1, "400\n" * 2)
    assert said.splitlines()[:2] == ["emulator: 2 requests, 1 finding", "the client did not behave as the docs ask:"]
    assert "no-vain-retry" in said.splitlines()[2]
    assert "allow it" not in said


def test_the_command_gets_a_base_url_and_a_key(folder: Path) -> None:
    _, out, _ = run(folder, "a.yaml", "--", "sh", "-c", "echo $OPENAI_BASE_URL $OPENAI_API_KEY $1 --", "x", "--port")
    url, *rest = out.split()
    assert url.startswith("http://127.0.0.1:")
    assert (url.partition("127.0.0.1:")[2].partition("/")[2], rest) == (
        "beatra/v1", ["sk-of-the-scenario", "--port", "--"],
    )  # fmt: skip


def test_no_other_variable_and_no_proxy_leads_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "OPENAI_API_BASE": "https://other.test", "OPENAI_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "other.test", "no_proxy": "",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    names = "$OPENAI_API_BASE ${OPENAI_PROXY-none} $NO_PROXY $no_proxy $OPENAI_API_KEY $ANTHROPIC_API_KEY $EMULATOR_URL"
    base, proxy, *rest, url = run(folder, "--", "sh", "-c", f"echo {names}")[1].split()
    assert (base, proxy) == (f"{url}/openai/v1", "none")
    assert rest == ["other.test,127.0.0.1"] * 2 + ["sk-emulator-key", "sk-ant-api03-emulator-key"]
    (folder / "sdk.py").write_text(SDK.replace('"auto"', '"gpt-4o"'))
    assert run(folder, "--strict", "--", sys.executable, "sdk.py", "hello")[0] == 0


def test_refusals_and_what_the_journal_dropped_are_counted(folder: Path) -> None:
    (folder / "app.py").write_text(APP.replace('"model": "auto"', '"model": "none"'))
    run_app = (sys.executable, "app.py", "a", "b", "c")
    code, _, said = run(folder, "a.yaml", "--journal-size", "2", "--", *run_app)
    assert (code, said.splitlines()[0]) == (
        0, "emulator: 3 requests, 2 of them refused, the first 1 no longer in the journal, 1 finding",
    )  # fmt: skip
    assert "valid-requests: Requests were refused, and no rule said so: 400 invalid_request. (ex" in said
    assert "\n    exchange 2: invalid_request: " in said


def test_an_expectation_that_is_not_met_is_told(folder: Path) -> None:
    (folder / "a.yaml").write_text("emulator: 1\nprovider: beatra\nrules: [{reply: {text: x}, expect: {calls: 1}}]\n")
    code, _, said = run(folder, "a.yaml", "--strict", "--admin-token", "t", "--", "true")
    assert (code, said.splitlines()[1]) == (1, "the rule rule-1 at a.yaml:3 expects calls: 1, and answered 0 times")


UNUSED = "emulator: 0 requests, 1 finding\nnot one request came to this session: the rule at a.yaml:6, "
NO_REQUEST = (
    "emulator: 0 requests, 1 finding\nnot one request came: the command asked nothing, or its client does not read the "
    "variables that are set\nleave out what is meant to be so: --ignore no-request\n"
)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("a.yaml", "--strict"), 1, UNUSED),
        (("a.yaml",), 0, UNUSED),
        (("a.yaml", "--strict", "--ignore", "unused", "--ignore", "no-request"), 0, "emulator: 0 requests, nothing to"),
        (("--strict",), 1, NO_REQUEST),
        (("--strict", "--ignore", "no-request"), 0, "emulator: 0 requests, nothing to find fault with\n"),
        ((), 0, "emulator: 0 requests, nothing to find fault with\n"),
        (("--ignore", "no-reqest"), 2, "--ignore: there is no finding 'no-reqest'; did you mean 'no-request'?"),
    ],
    ids=["strict", "lenient", "ignored", "no scenario", "no scenario, ignored", "lenient, no scenario", "unknown"],
)  # fmt: skip
def test_a_command_that_asks_nothing(arguments: tuple[str, ...], code: int, says: str, folder: Path) -> None:
    found = run(folder, *arguments, "--", "true")
    assert (found[0], found[2][: len(says)]) == (code, says)


SESSIONS = """\
import json, os, urllib.error, urllib.request
def call(method, path, data=None, key=os.environ["OPENAI_API_KEY"]):
    body = None if data is None else json.dumps(data).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer " + key}
    try:
        with urllib.request.urlopen(urllib.request.Request(path, body, headers, method=method)) as answer:
            return json.load(answer) if answer.status != 204 else None
    except urllib.error.HTTPError as error:
        return error.code
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "bye"}]}
RULES = {"scenario": {"emulator": 1, "rules": [{"when": {"last_user": "hi"}, "reply": {"text": "x"}}]}}
control = os.environ["EMULATOR_URL"] + "/_emulator"
for id in ("first", "second"):
    session = call("POST", control + "/sessions", {"id": id, **RULES})
    print(call("POST", session["base_urls"]["beatra"] + "/chat/completions", CHAT, session["api_key"]))
    if id == "first":
        call("DELETE", control + "/sessions/first")
print(call("POST", os.environ["OPENAI_BASE_URL"] + "/chat/completions", CHAT)["object"])
call("POST", control + "/sessions/default/reset", {})
"""


def test_all_sessions_that_lived_are_looked_at_and_their_journals_kept(folder: Path) -> None:
    (folder / "many.py").write_text(SESSIONS)
    code, out, said = run(
        folder, "--strict", "--provider", "beatra", "--journal", "all.jsonl", "--", sys.executable, "many.py"
    )
    assert (code, out.split()) == (1, ["404", "404", "chat.completion"])
    assert [line for line in said.splitlines() if not line.startswith(" ")] == [
        "emulator: 3 requests in 3 sessions, 2 findings",
        "in the session first: no rule answered exchange 1 (POST /s/first/beatra/v1/chat/completions); the nearest:",
        "in the session second: no rule answered exchange 1 (POST /s/second/beatra/v1/chat/completions); the nearest:",
        "leave out what is meant to be so: --ignore unmatched",
    ]
    kept = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    assert [(item["session"], item["rule"]) for item in kept] == [
        ("first", "unmatched"), ("default", "built-in"), ("second", "unmatched"),
    ]  # fmt: skip


def test_a_page_and_a_summary_are_left(folder: Path) -> None:
    (folder / "many.py").write_text(SESSIONS)
    (folder / "summary.md").write_text("# Before\n")
    given = ("--provider", "beatra", "--journal", "all.html", "--summary", "summary.md")
    code, _, said = run(folder, *given, "--", sys.executable, "many.py")
    page = (folder / "all.html").read_text()
    held = json.loads(page.split('id="held">')[1].split("</script>")[0])
    shown = [
        (item["session"]["id"], [row["conversation"]["asked"] for row in item["journal"]]) for item in held["sessions"]
    ]
    asked = [[{"by": "user", "text": "bye"}]]
    assert (code, shown) == (0, [("first", asked), ("default", asked), ("default", []), ("second", asked)])
    summary = (folder / "summary.md").read_text()
    assert summary.startswith("# Before\n### llm-emulator\n\n```text\nemulator: 3 requests in 3 sessions, 2 findings\n")
    assert summary.removesuffix("```\n\n").rpartition("```text\n")[2] == said


RETRY = SCENARIO.partition("rules:")[0] + "rules:\n  - replies: [{error: rate_limited}, {text: Hi!}]\n"


@pytest.mark.parametrize(
    ("more", "mute", "code"), [((), "", 1), (("--ignore", "be-retry-same-key"), "", 0), ((), "be-retry-same-key", 0)]
)
def test_a_finding_on_the_client_can_be_meant(more: tuple[str, ...], mute: str, code: int, folder: Path) -> None:
    (folder / "a.yaml").write_text(RETRY + (f"mute: [{mute}]\n" if mute else ""))
    found = run(folder, "a.yaml", "--strict", *more, "--", sys.executable, "sdk.py", "hello")
    assert (found[0], found[1]) == (code, "Hi!\n")
    assert ("leave out what is meant to be so: --ignore be-retry-same-key\n" in found[2]) is bool(code)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("a.yaml",), 2, "Name the command behind --, as in: emulator exec retry.yaml -- npm test"),
        (("a.yaml", "--"), 2, "Name the command behind --, as in: emulator exec retry.yaml -- npm test"),
        (("--", "sh", "-c", 'case "$OPENAI_BASE_URL" in */openai/v1) exit 7; esac'), 7,
         "emulator: 0 requests, nothing to find fault with"),
        (("no.yaml", "--", "true"), 2, "no.yaml does not exist."),
        (("--provider", "beatra", "--", "no-such-command"), 127,
         "no-such-command cannot be run: No such file or directory."),
        (("--provider", "beatra", "--", "sh", "-c", "kill -9 $$"), 137,
         "emulator: 0 requests, nothing to find fault with"),
    ],
    ids=["no command", "nothing behind", "several providers", "no file", "not found", "killed"],
)  # fmt: skip
def test_codes(arguments: tuple[str, ...], code: int, says: str, folder: Path) -> None:
    found = run(folder, *arguments)
    assert (found[0], found[2].splitlines()[0]) == (code, says)


@pytest.mark.parametrize("more", [(), ("--admin-token", "a/b@c d")])
def test_where_others_can_reach_the_server(more: tuple[str, ...], folder: Path) -> None:
    found = run(folder, "--provider", "beatra", "--host", "0.0.0.0", *more, "--", "sh", "-c", "exit 3")
    assert found == (3, "", "emulator: 0 requests, nothing to find fault with\n")


def test_a_signal_is_passed_on_once(folder: Path) -> None:
    shell = "trap 'echo term' TERM; echo up; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done"
    command = [sys.executable, "-m", "emulator", "exec", "--provider", "beatra", "--", "sh", "-c", shell]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (out, process.returncode) == ("term\n", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command_too(number: signal.Signals, code: int, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "emulator",
        "exec",
        "--provider",
        "beatra",
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 60",
    ]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == code
