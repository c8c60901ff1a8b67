"""The groups of what surrounds the server: documents, the command, the pytest fixture, recordings, contract runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import entry_points
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from .answers import Case
from .asks import TOOLS
from .connection import Connection, request
from .control import LIBRARY
from .normal import normal, normal_output
from .recorded import CHAT, KEY, PROVIDERS, Server, chat, controlled, wire
from .replies import LONG, THREE
from .sessions import opened

COMMANDS = ("serve", "exec", "check", "record", "contract", "providers", "new")


def run(*arguments: str) -> Any:
    """Run the command in this process, as its entry point names it."""
    (command,) = entry_points(group="console_scripts", name="emulator")
    result = CliRunner().invoke(command.load(), arguments, prog_name="emulator", terminal_width=80)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return {"code": result.exit_code, "out": normal_output(result.stdout), "err": normal_output(result.stderr)}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Work in an empty folder."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name)


def documents(server: Server) -> Iterator[Case]:
    """Read what describes the providers."""
    yield "providers/list", normal(controlled(server.control("GET", "/providers")))
    for provider in PROVIDERS:
        yield f"openapi/{provider}", normal(controlled(server.control("GET", f"/openapi/{provider}.json")))
        yield f"command/{provider}", run("providers", provider)
    yield "command/all", run("providers")
    yield "command/unknown", run("providers", "beatr")


MISTAKES = """\
emulator: 1
provider: beatra
plan: fre
mute: [be-tmp]
rules:
  - id: a
    when: {lst_user: x, turn: one}
    replies: [{text: a, faults: [{ct: {}}]}, {error: rate_limit}]
  - {id: a, reply: {text: "${vars.x}", latency: soon}}
"""
RULES = """\
emulator: 1
provider: braintwin
rules:
  - id: one
    when: {last_user: {contains: hello}, turn: 1}
    reply: {text: Hi!}
  - {id: two, when: {model: gpt-3.5-turbo, stream: true}, reply: {error: bad_gateway}}
  - {id: never, when: {last_user: {contains: hello}, turn: 1}, reply: {text: Never.}}
"""
REQUESTS: dict[str, Any] = {
    "fits": chat("braintwin"),
    "none": chat("braintwin", "nothing"),
    "refused": chat("braintwin", temperature=3),
    "whole": {"method": "POST", "path": "/v1/chat/completions", "headers": {"Authorization": "Basic x"}, "body": {}},
    "lost": {"method": "GET", "path": "/models"},
    "list": [1],
}


def command(_: Server) -> Iterator[Case]:
    """Run the command where it needs no server."""
    with folder() as here:
        (here / "wrong.yaml").write_text(MISTAKES)
        (here / "rules.yaml").write_text(RULES)
        yield "check/wrong", run("check", "wrong.yaml")
        yield "check/rules", run("check", "rules.yaml")
        yield "check/two", run("check", "rules.yaml", "wrong.yaml")
        yield "check/missing", run("check", "no.yaml")
        yield "check/near", run("check", "beatra/chats.yaml")
        yield "check/provider", run("check", "rules.yaml", "--provider", "beatra")
        yield "check/schema", run("check", "--schema")
        for name, body in REQUESTS.items():
            (here / "request.json").write_text(json.dumps(body))
            yield f"request/{name}", run("check", "rules.yaml", "--request", "request.json")
        for provider in PROVIDERS:
            files = [f"{provider}/{file.name}" for file in sorted((LIBRARY / provider).glob("*.yaml"))]
            yield f"library/{provider}", normal(run("check", *files), {os.path.relpath(LIBRARY): "LIBRARY"})
            made = run("new", f"{provider}.yaml", "--provider", provider)
            yield f"new/{provider}", [made, (here / f"{provider}.yaml").read_text(), run("check", f"{provider}.yaml")]
        yield "new/again", run("new", "beatra.yaml")
    yield "help/all", run("--help")
    yield "help/unknown", run("srve")
    for name in COMMANDS:
        yield f"help/{name}", run(name, "--help")


FIXTURE = """\
import http.client, json, pathlib, urllib.request
import pytest

HERE = pathlib.Path(__file__).parent
ASKED = json.loads((HERE / "asked.json").read_text())


@pytest.mark.parametrize("provider", ASKED)
@pytest.mark.emulator(clock="virtual", allow_unmatched=True, plan="unlimited")
def test_it(emulator, provider):
    emulator.use(ASKED[provider]["scenario"])
    for body in ASKED[provider]["bodies"]:
        headers = {"authorization": f"Bearer {emulator.api_key}", "content-type": "application/json"}
        url = emulator.base_urls[provider] + "/chat/completions"
        try:
            urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
        except (OSError, http.client.HTTPException):
            pass  # refused, or cut
    emulator.wait_for(1)
    (HERE / f"{provider}.yaml").write_text(emulator.journal.to_scenario())
"""
CALLS = [{"name": "get_weather", "arguments": {"city": "Oslo"}}, {"name": "f", "arguments": "{", "id": "call_1"}]
FORMS: dict[str, Any] = {
    "text": {"text": LONG, "stream": {"split": "words"}},
    "calls": {"text": "I look.", "tool_calls": CALLS},
    "refusal": {"refusal": "No."},
    "error": {"error": {"name": "rate_limited", "message": "Not ${n}."}, "retry_after": 3},
    "own": {"error": {"status": 418, "body": {"teapot": True}}, "headers": {"x-extra": "$${1}"}},
    "json": {"json": {"choices": [], "say": "$${x"}, "status": 202},
    "events": {"events": ["no JSON", {"a": 1}, "[DONE]"]},
    "cut": {"text": THREE, "faults": [{"cut": {"after_chunks": 3, "how": "clean"}}]},
    "bytes": {"text": THREE, "faults": [{"cut": {"after_bytes": 150, "how": "fin"}}]},
    "type": {"text": THREE, "faults": [{"wrong_content_type": True}, {"drop_done": True}]},
    "half": {"text": THREE, "faults": [{"invalid_json": True}, {"half_event": {"chunk": 2}}]},
}


def scripted(provider: str) -> dict[str, Any]:
    rules = [{"when": {"last_user": name}, "reply": reply | {"off_contract": True}} for name, reply in FORMS.items()]
    return {"emulator": 1, "provider": provider, "plan": "unlimited", "rules": rules}


def bodies(provider: str) -> list[dict[str, Any]]:
    """Return requests for all forms, whole and streamed, some of them wrong, or twice."""
    more = {"tools": TOOLS} if provider in ("brainstormrouter", "brivionix") else {}
    asked = [chat(provider, name, **more, **stream) for name in FORMS for stream in ({}, {"stream": True})]
    return [*asked, chat(provider, "text", n=2), chat(provider, "text"), chat(provider, "text", temperature=5),
            chat(provider, "nobody")]  # fmt: skip


def journals(_: Server) -> Iterator[Case]:
    """Write a session's journal as a scenario, in a test that uses the fixture."""
    with folder() as here:
        asked = {name: {"scenario": scripted(name), "bodies": bodies(name)} for name in PROVIDERS}
        (here / "asked.json").write_text(json.dumps(asked))
        (here / "test_it.py").write_text(FIXTURE)
        arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist", "test_it.py"]
        done = python("-m", "pytest", *arguments)
        assert done.returncode == 0, done.stdout
        for provider in PROVIDERS:
            yield f"to-scenario/{provider}", (here / f"{provider}.yaml").read_text()
            yield f"checked/{provider}", run("check", f"{provider}.yaml")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "API_KEY"))}
    environment = kept | {"CI": "true", "NO_COLOR": "1", "COLUMNS": "80"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def without_waits(value: Any) -> Any:
    """Return a recorded scenario without its waits, which are real time."""
    if isinstance(value, list):
        return [without_waits(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without_waits(item) for key, item in value.items() if key not in ("latency", "ttft", "itl")}
    return {key: item for key, item in kept.items() if (key, item) != ("stream", {})}


def recordings(server: Server, provider: str) -> Iterator[Case]:
    """Record by the command what a session answers; waits are real there, and are left out."""
    session = opened(server, scripted(provider) | {"keys": [KEY]})
    given = ["--provider", provider, "--upstream", f"{server.url}{session.target('')}", "--out", "a.yaml"]
    with folder() as here, recorder(*given) as (process, url):
        line = Connection(url)
        for number, body in enumerate(bodies(provider)):
            sent = {"authorization": f"Bearer {KEY}", "cookie": "a=secret-cookie"}
            answer = line.send(request("POST", f"/{provider}/v1{CHAT}", body, sent))
            if number in (0, 1, 8):
                yield f"wire-{number}", normal(wire(answer), session.names)
        line.close()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        text = (here / "a.yaml").read_text()
        yield "told", normal_output(out, session.names)
        yield "scenario", normal(without_waits(yaml.safe_load(text)), session.names)
        yield "checked", run("check", "a.yaml")
    session.close()


@contextlib.contextmanager
def recorder(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `emulator record`; yield the process and its URL."""
    command = [sys.executable, "-m", "emulator", "record", *arguments, "--port", "0", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    try:
        url = process.stdout.readline().split()[-1]
        process.stdout.readline()
        process.stdout.readline()
        yield process, url
    finally:
        process.kill()
        process.communicate()


#: What a run of the contract is asked for: each phase, where it takes a few hundred requests at the most.
PHASES = {
    "beatra": ("probe", "facts", "examples", "coverage", "stateful"),
    "brainstormrouter": ("probe", "examples", "coverage"),
    "braintwin": ("probe", "facts", "examples", "stateful"),
    "brivionix": ("probe", "facts", "examples", "fuzz", "stateful"),
}


def contract(_: Server, provider: str) -> Iterator[Case]:
    """Run the contract of a provider against an emulator of its own."""
    with folder() as here:
        phases = [word for phase in PHASES[provider] for word in ("--phase", phase)]
        bounds = ["--seed", "5", "--max-examples", "3", "--report", "json=report.json", "--report", "html=report.html"]
        done = python("-m", "emulator", "contract", "--self", "--provider", provider, *phases, *bounds)
        yield "printed", [done.returncode, normal_output(done.stdout), normal_output(done.stderr)]
        report = json.loads((here / "report.json").read_text())
        cases = report.pop("cases")
        yield "report", normal(report)
        for phase, found in groupby(cases, lambda case: case["phase"]):
            yield phase, normal(list(found))


GROUPS: Mapping[str, Callable[[Server], Iterator[Case]]] = {
    "documents": documents, "command": command, "journals": journals,
    **{f"recordings/{name}": partial(recordings, provider=name) for name in PROVIDERS},
    **{f"contract/{name}": partial(contract, provider=name) for name in PROVIDERS},
}  # fmt: skip
