"""The command line: what it prints, what it writes, and the codes it exits with."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from build import NAMES as CHATS
from build import PROVIDERS, chat, make_request, make_session
from click.testing import CliRunner, Result

from emulator import load_scenario
from emulator.cli.main import main
from emulator.cli.serve import request_line
from emulator.core.schema.formats import data_folder
from emulator.network.ports import holder

NAMES = [*PROVIDERS]
RULES = """emulator: 1
provider: beatra
rules:
  - id: greeting
    when: {last_user: {contains: hello}}
    reply: {text: Hi!}
"""
BAD = "emulator: 1\nrules:\n- reply: {txt: a}\n"
BAD_SAID = [
    "3:3: rules[0].reply: needs one of: text, tool_calls, refusal, outputs, json, events, error, embedding, builtin, "
    "proxy",
    "3:11: rules[0].reply.txt: is not known here; did you mean 'text'?",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def outcome(*arguments: str) -> tuple[int, str, str]:
    result = run(*arguments)
    return result.exit_code, result.stdout, result.stderr


# serve


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `emulator serve` in a process of its own; it is ended in any case."""
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> tuple[str, list[str]]:
    """Wait for the ready line; return the URL and the lines of the base URLs."""
    assert process.stdout
    line = process.stdout.readline()
    match = re.fullmatch(r"Emulator ready at (http://127\.0\.0\.1:\d+)\n", line)
    assert match, line + (process.stderr.read() if process.stderr else "")
    return match[1], [process.stdout.readline().rstrip() for _ in (*NAMES, "inspector")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_serve_says_when_it_is_ready_and_ends_with_its_code(folder: Path, number: signal.Signals, code: int) -> None:
    with serving("--ready-file", "ready.json") as process:
        url, lines = ready(process)
        written = json.loads((folder / "ready.json").read_text())
        base_urls = {name: f"{url}/{name}{provider.base_path}" for name, provider in PROVIDERS.items()}
        places = base_urls | {"inspector": f"{url}/_emulator/"}
        assert lines == [f"  {name:<18} {place}" for name, place in places.items()]
        assert written == {"url": url, "port": int(url.rpartition(":")[2]), "pid": process.pid, "base_urls": base_urls}
        body, headers = chat(), {"authorization": "Bearer k"}
        answers = [
            httpx2.post(f"{url}/beatra/v1/chat/completions", json=body, headers=headers, trust_env=False)
            for headers in (headers, {})
        ]
        process.send_signal(number)
        out, logged = process.communicate(timeout=30)
    assert [answer.status_code for answer in answers] == [200, 401]
    lines = [re.sub(r"\d+\.\dms$", "Nms", line) for line in logged.splitlines()]
    assert (process.returncode, out) == (code, "")
    assert lines == [
        "1 default beatra POST /chat/completions beatra-1 200 built-in Nms",
        "2 default beatra POST /chat/completions auto 401 refused unauthorized: "
        "No API key: send it as 'Authorization: Bearer KEY'. Nms",
    ]
    assert list(folder.iterdir()) == []


#: What a plain start and a first answer do without; each was loaded once, or would be easily.
NOT_AT_A_START = {
    "difflib", "starlette", "jsonschema", "redis", "httpcore2", "hypothesis", "trustme",
    "emulator.contract", "emulator.core.journal.verdict", "emulator.core.provider.openapi", "emulator.core.recording",
    "emulator.server.control.app", "emulator.server.http.relay", "emulator.server.sessions.sharing",
    "emulator.server.upstream.client", "emulator.stores.redis", "emulator.testing.client",
}  # fmt: skip


def test_a_start_loads_only_what_a_first_answer_needs(folder: Path) -> None:
    (folder / "a.yaml").write_text(RULES)
    command = [sys.executable, "-X", "importtime", "-m", "emulator", "serve", "a.yaml", "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[-1]
            headers = {"authorization": "Bearer k"}
            address = f"{url}/beatra/v1/chat/completions"
            answer = httpx2.post(address, json=chat(text="hello"), headers=headers, trust_env=False)
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert (answer.status_code, "emulator.server.http.dispatch" in loaded) == (200, True)
    assert NOT_AT_A_START & loaded == set()


def test_serve_takes_its_options(folder: Path) -> None:
    (folder / "a.yaml").write_text(RULES + "seed: 1\n")
    own = Path(shutil.copytree(data_folder("schemas") / "beatra", folder / "schemas" / "mine"))
    (own / "provider.yaml").write_text((own / "provider.yaml").read_text().replace("name: beatra", "name: mine", 1))
    options = ["a.yaml", "--seed", "7", "--plan", "unlimited", "--validation", "strict", "--api-key", "one",
               "--api-key", "two", "--clock", "virtual", "--schemas", "schemas", "--quiet",
               "--max-body", "1KB"]  # fmt: skip
    with serving(*options) as process:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        session = httpx2.get(f"{url}/_emulator/sessions/default", trust_env=False).json()
        answers = [
            httpx2.post(f"{url}/{path}/chat/completions", json=chat(text=text), trust_env=False,
                        headers={"authorization": f"Bearer {key}"})
            for path, key, text in (
                ("v1", "two", "hello"), ("v1", "three", "hello"), ("mine/v1", "one", "hello"),
                ("v1", "one", "x" * 1000),
            )
        ]  # fmt: skip
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
    assert [answer.status_code for answer in answers] == [200, 401, 200, 413]
    assert (session["seed"], session["validation"], session["clock"]["kind"]) == (7, "strict", "virtual")
    assert (process.returncode, logged) == (0, "")


def test_serve_takes_a_scenario_of_the_library_by_its_name() -> None:
    with serving("beatra/chat.yaml") as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(2)]
    assert lines[1].split()[0] == "beatra"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["beatra/plan-exhausted.yaml"],
         'plan-exhausted.yaml:6:1: clock: only waits move this clock, so that limits last, until it is moved by '
         'PATCH /_emulator/sessions/default/clock {"advance": "60s"}; --clock real ends that\n'),
        (["beatra/plan-exhausted.yaml", "--clock", "real"], ""),
        (["beatra/plan-exhausted.yaml", "--clock", "virtual"], ""),
        (["beatra/chat.yaml"], ""),
    ],
    ids=["the file's", "real", "asked for", "no clock"],
)  # fmt: skip
def test_serve_says_how_time_moves_where_a_file_makes_it_stand(arguments: list[str], said: str) -> None:
    with serving(*arguments, "--quiet") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("Emulator ready at ")
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=30)[1]
    assert told.endswith(said) if said else told == ""


def test_serve_stops_with_its_standard_input() -> None:
    command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--quiet", "--stop-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout
        assert served.stdin
        assert served.stdout.readline().startswith("Emulator ready at ")
        assert served.poll() is None
        served.stdin.close()
        assert served.wait(20) == 0


def test_serve_where_the_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = outcome("serve", "--port", str(port))
        who = holder(port)
    assert who
    assert who.startswith(f"pid {os.getpid()} (")
    hint = f"It is held by {who}: choose another with --port, or let --port 0 find a free one."
    assert found == (2, "", f"Cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}. {hint}\n")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("retyr.yaml", "; did you mean retry.yaml?"),
        ("beatra/caht.yaml", f"; did you mean {Path('beatra/chat.yaml')}?"),
        ("nowhere/caht.yaml", "."),
        ("retyr.json", "."),
    ],
)
def test_a_missing_file_is_told_with_the_nearest_name(name: str, meant: str, folder: Path) -> None:
    (folder / "retry.yaml").write_text(RULES)
    assert outcome("check", name) == (2, "", f"{name} does not exist{meant}\n")


def test_serve_where_the_host_is_not_ours() -> None:
    code, out, said = outcome("serve", "--host", "192.0.2.1", "--port", "0")
    assert (code, out, said) == (2, "", f"Cannot listen on 192.0.2.1:0: {os.strerror(errno.EADDRNOTAVAIL)}.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.yaml"], 2, "nowhere.yaml does not exist.\n"),
        (["."], 2, ". is a folder; name its files.\n"),
        (["bad.yaml"], 1, "".join(f"bad.yaml:{line}\n" for line in BAD_SAID)),
        (["one.yaml", "two.yaml"], 2,
         "one.yaml:2:1: seed: two scenarios that are served together disagree here: 1\n"
         "two.yaml:2:1: seed: two scenarios that are served together disagree here: 2\n"),
        (["--provider", "beatr"], 2, "provider: there is no provider 'beatr'; did you mean 'beatra'?\n"),
        (["--plan", "proo"], 2, "plan: there is no plan 'proo'; did you mean 'pro'?\n"),
        (["--ready-file", "no/ready.json"], 2, "no/ready.json cannot be written: there is no folder no.\n"),
        (["--schemas", "schemas"], 1, "schemas/mine/provider.yaml:1:1: must be an object, not null\n"),
    ],
    ids=["missing", "folder", "bad", "conflict", "provider", "plan", "ready-file", "schemas"],
)  # fmt: skip
def test_serve_refuses_what_cannot_be_served(folder: Path, arguments: list[str], code: int, said: str) -> None:
    (folder / "bad.yaml").write_text(BAD)
    (folder / "one.yaml").write_text("emulator: 1\nseed: 1\n")
    (folder / "two.yaml").write_text("emulator: 1\nseed: 2\n")
    (folder / "schemas" / "mine").mkdir(parents=True)
    (folder / "schemas" / "mine" / "provider.yaml").write_text("")
    assert outcome("serve", *arguments) == (code, "", said)
    assert gc.isenabled()  # a start does without, whatever becomes of it


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--max-body", "20XB"],
        ["--max-body", "MB"],
        ["--clock", "warp"],
        ["--nonsense"],
        ["--max-sessions", "0"],
    ],
    ids=" ".join,
)
def test_usage(arguments: list[str]) -> None:
    code, out, said = outcome("serve", *arguments)
    assert (code, out, "Usage: main serve" in said or "Usage: emulator serve" in said) == (2, "", True)


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [([], False), (["--host", "0.0.0.0"], True), (["--host", "0.0.0.0", "--admin-token", "t"], False)],
    ids=["loopback", "others", "token"],
)
def test_a_start_says_that_the_control_api_is_closed(arguments: list[str], closed: bool) -> None:
    with serving(*arguments) as process:
        url, _ = ready(process)
        opened = {"authorization": "Bearer t"} if "t" in arguments else {}
        answer = httpx2.get(f"{url}/_emulator/sessions", headers=opened, trust_env=False)
        process.terminate()
        said = process.communicate()[1]
    assert (answer.status_code, "0.0.0.0: the control API answers nobody; --admin-token T opens it.\n" in said) == (
        403 if closed else 200, closed,
    )  # fmt: skip


def test_a_size_says_how_it_is_written() -> None:
    assert "'20XB' is no size; write bytes, or 500KB, 20MB, 1GB" in outcome("serve", "--max-body", "20XB")[2]


@pytest.mark.parametrize(
    ("status", "end", "line"),
    [
        (200, "complete", "1 own beatra POST /chat/completions beatra-1 {} built-in 1500.0ms\n"),
        (404, "complete", "1 own beatra POST /chat/completions beatra-1 {} built-in 1500.0ms\n"),
        (503, "client_left", "1 own beatra POST /chat/completions beatra-1 {} built-in client_left 1500.0ms\n"),
    ],
)
@pytest.mark.parametrize("colours", [False, True], ids=["plain", "colours"])
def test_a_line_for_each_request(status: int, end: Any, line: str, colours: bool) -> None:
    exchange = make_session(id="own").send(key="emu-generated")
    exchange = replace(exchange, timeline=replace(exchange.timeline, status=status))
    colour = {200: "32", 404: "33", 503: "31"}[status]
    shown = f"\x1b[{colour}m{status}\x1b[0m" if colours else str(status)
    assert request_line(exchange, end, 1.5, colours) == line.format(shown)


def test_a_line_of_a_refused_request_names_the_model_asked_for() -> None:
    exchange = make_session().send(body=chat(model="a\nb" * 50, temperature=9))
    model = (r"a\nb" * 27)[:-1]  # of 80 characters
    assert request_line(exchange, "complete", 1.5, False) == (
        f"1 default beatra POST /chat/completions {model} 400 "
        "refused invalid_request: temperature must be at most 2, not 9 1500.0ms\n"
    )


def test_the_api_s_own_words_are_a_sentence_by_themselves() -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "top_logprobs": 2}
    line = request_line(make_session().send("openai", body), "complete", 0.0, False)
    assert "refused invalid_request: top_logprobs: The 'top_logprobs' parameter is only allowed when " in line


def test_a_line_of_a_request_that_is_not_below_the_base_url_has_its_whole_path() -> None:
    asked = replace(make_request(path="/../chat/completions"), address="/beatra/chat/completions")
    exchange = make_session().answer(asked)
    assert request_line(exchange, "complete", 0.0, False).startswith("1 default beatra POST /beatra/chat/completions ")


def test_a_log_that_nobody_reads_stops_nothing(folder: Path) -> None:
    """A pipe holds 64 kB: were its lines written on the way, the server would stand still before it is full."""
    with serving() as process:
        url, _ = ready(process)
        with httpx2.Client(trust_env=False) as client:
            path = f"{url}/beatra/v1/{'x' * 70}"
            statuses = {client.get(path).status_code for _ in range(1500)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert statuses == {404}


@pytest.mark.parametrize(
    ("validation", "line"),
    [
        (
            "documented",
            r"a\u001b[31m\nb\u202ec 400 refused invalid_request: model there is no model "
            r"'a\x1b[31m\nb\u202ec'; known: auto, beatra-1, beatra-1-mini",
        ),
        ("off", r"a\u001b[31m\nb\u202ec 200 built-in"),
    ],
)
def test_a_line_shows_no_control_characters_of_a_model(validation: str, line: str) -> None:
    exchange = make_session(validation=validation).send(body=chat(model="a\x1b[31m\nb\u202ec"))
    assert request_line(exchange, "complete", 0.0, False) == f"1 default beatra POST /chat/completions {line} 0.0ms\n"


# check


def test_check_says_that_a_file_is_good(folder: Path) -> None:
    (folder / "a.yaml").write_text(RULES)
    (folder / "b.yaml").write_text("emulator: 1\nrules: [{reply: {text: a}, when: {model: x}}, {reply: {text: b}}]")
    assert outcome("check", "a.yaml", "b.yaml") == (0, "a.yaml: ok, 1 rule\nb.yaml: ok, 2 rules\n", "")


def test_check_says_all_that_is_wrong_with_all_files(folder: Path) -> None:
    (folder / "a.yaml").write_text(BAD)
    (folder / "b.yaml").write_text("emulator: 2")
    (folder / "c.yaml").write_text("emulator: 1\nseed: 1\nseed: 2\nclock: now\n")
    said = [*[f"a.yaml:{line}" for line in BAD_SAID], "b.yaml:1:1: emulator: must be 1, not 2"]
    said += ["c.yaml:3:1: seed: the key 'seed' stands here a second time (first on line 2)"]
    said += ["c.yaml:4:1: clock: must be one of 'real', 'virtual'; not 'now'"]
    assert outcome("check", "a.yaml", "b.yaml", "c.yaml") == (1, "", "\n".join(said) + "\n")


def test_check_takes_a_folder_for_the_files_in_it(folder: Path) -> None:
    (folder / "all" / "inner").mkdir(parents=True)
    (folder / "all" / "a.yaml").write_text(RULES)
    (folder / "all" / "inner" / "b.yml").write_text("emulator: 2")
    (folder / "all" / "notes.txt").write_text("no scenario")
    said = "all/inner/b.yml:1:1: emulator: must be 1, not 2\n"
    assert outcome("check", "all") == (1, "all/a.yaml: ok, 1 rule\n", said)
    (folder / "empty").mkdir()
    assert outcome("check", "empty") == (2, "", "empty has no .yaml file.\n")


def test_check_reads_standard_input(folder: Path) -> None:
    made = CliRunner().invoke(main, ["check", "-"], input=BAD)
    assert (made.exit_code, made.stderr) == (1, "\n".join(f"-:{line}" for line in BAD_SAID) + "\n")
    assert CliRunner().invoke(main, ["check", "-"], input=RULES).stdout == "-: ok, 1 rule\n"


def test_check_says_what_files_disagree_about_as_serve_does(folder: Path) -> None:
    (folder / "a.yaml").write_text("emulator: 1\nseed: 1\n")
    (folder / "b.yaml").write_text("emulator: 1\nseed: 2\n")
    assert outcome("check", "a.yaml", "b.yaml")[0] == 0  # each by itself
    code, out, said = outcome("check", "--together", "a.yaml", "b.yaml")
    assert (code, out, said.splitlines()[0]) == (
        2, "", "a.yaml:2:1: seed: two scenarios that are served together disagree here: 1",
    )  # fmt: skip


def test_a_folder_without_providers_is_told(folder: Path) -> None:
    (folder / "mine").mkdir()
    assert outcome("providers", "--schemas", "mine") == (
        1, "", "mine:1:1: holds no provider; each has a folder with a provider.yaml\n",
    )  # fmt: skip


def test_check_warns_of_rules_behind_those_of_an_earlier_file(folder: Path) -> None:
    files = {
        "a.yaml": "provider: beatra\nrules: [{reply: {text: a}}]\n",
        "b.yaml": "provider: beatra\nrules: [{when: {model: auto}, reply: {text: b}}, {reply: {text: c}}]\n",
        "c.yaml": "provider: braintwin\nrules: [{reply: {text: d}}]\n",
    }
    for name, text in files.items():
        (folder / name).write_text(f"emulator: 1\n{text}")
    assert outcome("check", *files)[2] == ""
    assert outcome("check", "--together", *files)[2] == (
        "warning: b.yaml:3:9: rules[0]: can never answer: 'rule-1' (a.yaml:3) answers everything before it\n"
        "warning: b.yaml:3:50: rules[1]: can never answer: 'rule-1' (a.yaml:3) answers everything before it\n"
    )


def test_check_warns(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        "emulator: 1\nprovider: beatra\nrules: [{reply: {error: timeout}}, {reply: {text: a}}]\n"
    )
    listed = "invalid_request, rate_limited, model_unavailable"
    assert outcome("check", "a.yaml") == (
        0,
        "a.yaml: ok, 2 rules\n",
        f"warning: a.yaml:3:10: rules[0].reply: the docs of Beatra don't list the error timeout, only {listed}\n"
        "warning: a.yaml:3:36: rules[1]: can never answer: 'rule-1' (a.yaml:3) answers everything before it\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Name at least one scenario file.\n"),
        (["nowhere.yaml"], 2, "nowhere.yaml does not exist.\n"),
        (["a.yaml", "--request", "nowhere.json"], 2, "nowhere.json does not exist.\n"),
        (["a.yaml", "--provider", "beatr"], 2, "There is no provider 'beatr'; did you mean 'beatra'?\n"),
        (["a.yaml", "--request", "list.json"], 2,
         "list.json must hold a JSON object: a body, or method, path, headers (an object) and body.\n"),
        (["a.yaml", "--request", "headers.json"], 2,
         "headers.json must hold a JSON object: a body, or method, path, headers (an object) and body.\n"),
        (["a.yaml", "--request", "no.json"], 2, "no.json is not JSON: Expecting value: line 1 column 1 (char 0)\n"),
        (["any.yaml", "--request", "list.json"], 2,
         f"The scenarios name no single provider; add --provider, one of {', '.join(NAMES)}.\n"),
    ],
    ids=["nothing", "missing", "missing-request", "provider", "list", "headers", "no-json", "no-provider"],
)  # fmt: skip
def test_check_refuses_what_cannot_be_checked(folder: Path, arguments: list[str], code: int, said: str) -> None:
    (folder / "a.yaml").write_text(RULES)
    (folder / "any.yaml").write_text("emulator: 1\n")
    (folder / "list.json").write_text("[]")
    (folder / "headers.json").write_text('{"body": {}, "headers": 5}')
    (folder / "no.json").write_text("no")
    assert outcome("check", *arguments) == (code, "", said)


REQUESTS = {
    "answered": (chat(text="hello, you", n=1), 0, "answered by a.yaml:4 (greeting), status 200\n"
                 "  note: n: is not in the docs; it was accepted and has its customary effect\n"),
    "unmatched": (chat(text="bye"), 1, "no rule answers this request; the nearest:\n  a.yaml:4 (greeting)\n"
                  '    last_user: expected {"contains": "hello"}, got "bye"\n'),
    "refused": (chat(temperature=3), 1, "refused: invalid_request (400), be-temperature\n"
                "  temperature: must be at most 2, not 3\n"),
    "no-json-for-us": ({"body": []}, 1, "refused: invalid_request (400), be-error-400\n"
                       "  The body must be a JSON object, not [].\n  the body: must be a JSON object, not []\n"),
    "key": ({"body": chat(text="hello"), "headers": {"Authorization": "Bearer invalid"}}, 1,
            "refused: unauthorized (401), be-auth\n  The API key is not good here. "
            "Keys that contain 'invalid' are refused everywhere.\n"),
    "path": ({"method": "get", "path": "/v1/chat/completions?x=1"}, 1, "refused: method_not_allowed (405), "
             "be-unknown-path\n  /chat/completions does not take GET; use POST.\n"),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "code", "said"), REQUESTS.values(), ids=REQUESTS)
def test_check_tells_which_rule_answers_a_request(folder: Path, request_: Any, code: int, said: str) -> None:
    (folder / "a.yaml").write_text(RULES)
    (folder / "r.json").write_text(json.dumps(request_))
    assert outcome("check", "a.yaml", "--request", "r.json") == (code, said, "")


BY_OPERATION = """
emulator: 1
provider: openai
rules:
  - {id: responses, when: {operation: responses}, reply: {text: Of responses.}}
  - {id: chat, when: {operation: chat}, reply: {text: Of chat.}}
  - {id: vectors, when: {operation: embeddings}, reply: {embedding: auto}}
"""
RESPONSE = {"model": "gpt-4o", "input": "hello"}
EMBED = {"model": "text-embedding-3-small", "input": "hello"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}, "a.yaml:6 (chat)"),
        (RESPONSE, "a.yaml:5 (responses)"),
        ({"body": RESPONSE}, "a.yaml:5 (responses)"),
        ({"operation": "responses", "body": RESPONSE}, "a.yaml:5 (responses)"),
        ({"path": "/v1/responses", "body": RESPONSE}, "a.yaml:5 (responses)"),
        ({"operation": "embeddings", "body": EMBED}, "a.yaml:7 (vectors)"),
        ({"operation": "models"}, "built-in"),
    ],
    ids=["chat", "responses", "its body", "operation", "path", "embeddings", "no body"],
)
def test_check_finds_the_operation_that_a_request_is_for(folder: Path, given: Any, said: str) -> None:
    (folder / "a.yaml").write_text(BY_OPERATION)
    (folder / "r.json").write_text(json.dumps(given))
    assert outcome("check", "a.yaml", "--request", "r.json") == (0, f"answered by {said}, status 200\n", "")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("respones", "OpenAI has no operation 'respones'; did you mean 'responses'?\n"),
        ("response", "The operation 'response' has an id in its path; say path in its place: "
         "/responses/{response_id}\n"),
    ],
)  # fmt: skip
def test_check_says_what_is_wrong_with_an_operation(folder: Path, operation: str, said: str) -> None:
    (folder / "a.yaml").write_text(BY_OPERATION)
    (folder / "r.json").write_text(json.dumps({"operation": operation, "body": {}}))
    assert outcome("check", "a.yaml", "--request", "r.json") == (2, "", said)


def test_check_takes_a_scripted_error_for_an_answer(folder: Path) -> None:
    (folder / "a.yaml").write_text("emulator: 1\nrules: [{reply: {error: rate_limited}}]")
    (folder / "r.json").write_text(json.dumps(chat()))
    found = outcome("check", "a.yaml", "--request", "r.json", "--provider", "beatra")
    assert found == (0, "answered by a.yaml:2 (rule-1), status 429\n", "")


def test_check_uses_a_key_that_the_scenario_takes(folder: Path) -> None:
    (folder / "a.yaml").write_text(RULES + "keys: [sk-one]\n")
    (folder / "r.json").write_text(json.dumps(chat()))
    assert outcome("check", "a.yaml", "--request", "r.json")[1] == "answered by a.yaml:4 (greeting), status 200\n"


def test_check_says_what_is_built_in(folder: Path) -> None:
    (folder / "a.yaml").write_text("emulator: 1\nprovider: beatra\n")
    (folder / "r.json").write_text(json.dumps(chat()))
    assert outcome("check", "a.yaml", "--request", "r.json") == (0, "answered by built-in, status 200\n", "")


# providers


def test_providers_lists_all() -> None:
    code, out, said = outcome("providers")
    assert (code, [line.split()[0] for line in out.splitlines()], said) == (0, NAMES, "")
    assumed = sum(fact.assumed for fact in PROVIDERS["beatra"].facts.values())
    counted = f"1 operation, {len(PROVIDERS['beatra'].facts) - assumed} documented facts, {assumed} assumed"
    [line] = [line for line in out.splitlines() if line.startswith("beatra")]
    assert line == f"beatra             https://api.beatra.ai/v1                   {counted}"


def test_providers_tells_all_of_one() -> None:
    code, out, said = outcome("providers", "braintwin")
    lines = out.splitlines()
    assert (code, said, lines[0]) == (0, "", "BrainTwin: https://inference.braintwin.ai/v1")
    for line in [
        "Endpoints", "  POST  /chat/completions", "Models", "  gpt-4", "Plans",
        "  unlimited: any number of requests, any number of tokens a minute",
        "  standard (default): 60 requests, any number of tokens a minute",
        "Documented errors", "  rate_limited", "Documented headers", "  X-RateLimit-Reset",
        "Documented facts", "Assumed, where the docs are silent",
        "  bt-stream-default [Parameters] stream is a boolean and false when left out.",
    ]:  # fmt: skip
        assert line in lines
    assert len([line for line in lines if line.startswith("  bt-")]) == len(PROVIDERS["braintwin"].facts)
    assert any(line.endswith("(assumed: A reply that was cut has the finish_reason length.)") for line in lines)


def test_providers_says_none_where_there_are_none() -> None:
    lines = outcome("providers", "brivionix")[1].splitlines()
    assert lines[lines.index("Documented headers") + 1] == "  none"
    assert "  gpt-5.4 (assumed)" in lines


def test_providers_that_do_not_exist() -> None:
    assert outcome("providers", "beatr") == (2, "", "There is no provider 'beatr'; did you mean 'beatra'?\n")


# new


@pytest.mark.parametrize("provider", [None, *CHATS])
def test_new_writes_a_file_that_loads(folder: Path, provider: str | None) -> None:
    options = ["--provider", provider] if provider else []
    (folder / "in").mkdir()
    assert outcome("new", "in/a.yaml", *options) == (
        0, "Wrote in/a.yaml. Serve it with: emulator serve in/a.yaml\n", ""
    )  # fmt: skip
    found = load_scenario("in/a.yaml")
    assert (found.provider, [rule.id for rule in found.rules], found.warnings) == (
        provider or "openai", ["greeting", "echo"], (),
    )  # fmt: skip
    assert "# Serve it:   emulator serve in/a.yaml\n" in (folder / "in" / "a.yaml").read_text()


def test_new_writes_no_place_of_this_machine(folder: Path) -> None:
    assert outcome("new", str(folder / "a.yaml"))[0] == 0
    text = (folder / "a.yaml").read_text()
    assert [word for word in (str(folder), str(data_folder("schemas")), "..") if word in text] == []


def test_check_writes_the_schema(folder: Path) -> None:
    schema = (data_folder("schemas") / "scenario.schema.json").read_text(encoding="utf-8")
    assert outcome("check", "--schema") == (0, schema, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.yaml"], "a.yaml exists already; it was left as it is.\n"),
        (["no/a.yaml"], "no/a.yaml cannot be written: No such file or directory.\n"),
        (["b.yaml", "--provider", "x"], f"There is no provider 'x'; known: {', '.join(sorted(NAMES))}\n"),
    ],
    ids=["exists", "no-folder", "provider"],
)
def test_new_refuses(folder: Path, arguments: list[str], said: str) -> None:
    (folder / "a.yaml").write_text("mine")
    assert outcome("new", *arguments) == (2, "", said)
    assert ((folder / "a.yaml").read_text(), len(list(folder.iterdir()))) == ("mine", 1)


# Help


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["serve", "--help"], ["check", "--help"], ["--version"]], ids=" ".join
)
def test_help(arguments: list[str]) -> None:
    code, out, said = outcome(*arguments)
    assert (code, said) == (0, "")
    assert out.startswith(("Usage: ", "emulator, version "))


def test_each_command_is_told_on_one_whole_line() -> None:
    lines = outcome("--help")[1].partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == [
        "check", "contract", "docs", "exec", "new", "providers", "record", "serve",
    ]  # fmt: skip
    assert [line for line in lines if line.endswith("...") or not line.endswith(".")] == []
