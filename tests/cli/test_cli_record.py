"""`emulator record` and `--upstream`: processes as a user starts them, and what is refused before anything is asked."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
import yaml
from click.testing import CliRunner
from openai import OpenAI

from emulator import Emulator
from emulator.cli.main import main

KEY = "sk-the-clients-own-key"
RULES = """\
emulator: 1
rules:
  - when: {last_user: again}
    replies: [{error: rate_limited, retry_after: 2}, {text: Served.}]
  - reply: {text: "Hi, ${request.last_user}.", stream: {split: words, ttft: 50ms, itl: 20ms}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "up.yaml").write_text(RULES)
    return tmp_path


@pytest.fixture
def base_url(folder: Path) -> Iterator[str]:
    with Emulator("up.yaml") as emulator:
        yield emulator.base_urls["beatra"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a command that serves one provider; yield the process and the base URL."""
    command = [sys.executable, "-m", "emulator", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline().startswith("Emulator ready at http://127.0.0.1:")
        base_url = process.stdout.readline().split()[1]
        while "inspector" not in process.stdout.readline():
            continue
        yield process, base_url
    finally:
        process.kill()
        process.communicate()


def ask(base_url: str, *texts: str) -> list[str]:
    """Ask whole and streamed; return what was said, or the error's status."""
    said = []
    with OpenAI(base_url=base_url, api_key=KEY, max_retries=0, default_headers={"cookie": "sid=cookie-secret"}) as api:
        for text in texts:
            messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": text}]
            try:
                whole = api.chat.completions.create(model="auto", messages=messages)
                stream = api.chat.completions.create(model="auto", messages=messages, stream=True)
                said.append(whole.choices[0].message.content or "")
                said.append("|".join(chunk.choices[0].delta.content or "" for chunk in stream))
            except openai.APIStatusError as error:
                said.append(str(error.status_code))
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupted", "terminated"])
def test_what_is_recorded_answers_the_same(base_url: str, folder: Path, number: int) -> None:
    texts = ("Ada", "again", "again", "Ada")
    arguments = ("--provider", "beatra", "--upstream", base_url, "--out", "taped.yaml")
    with running("record", *arguments) as (process, recorder):
        assert recorder.endswith("/beatra/v1")
        first = ask(recorder, *texts)
        process.send_signal(number)
        out, logged = process.communicate(timeout=20)
    assert process.returncode == 0, logged
    assert out.splitlines() == [
        "Wrote taped.yaml.",
        "Recorded 7 answers to 4 different requests.",
        "Nothing differed from the docs of Beatra.",
    ]
    text = (folder / "taped.yaml").read_text()
    assert [word for word in (KEY, "cookie-secret") if word in text + out + logged] == []
    assert CliRunner().invoke(main, ["check", "taped.yaml"]).output == "taped.yaml: ok, 4 rules\n"
    with running("serve", "taped.yaml") as (_, replay):
        assert ask(replay, *texts) == first == ["Hi, Ada.", "|Hi,| Ada.|", "429", "Served.", "|Served|.|", *first[:2]]


def test_the_file_is_whole_after_each_exchange(base_url: str, folder: Path) -> None:
    with running("record", "--provider", "beatra", "--upstream", base_url, "--out", "a.yaml", "--quiet") as (
        _,
        recorder,
    ):
        for number in range(1, 4):
            ask(recorder, str(number))
            ask(recorder, str(number))  # on return of this the first of them is written
            data = yaml.safe_load((folder / "a.yaml").read_text())
            assert len(data["rules"]) >= 2 * number
    assert not list(folder.glob(".a.yaml*"))


def test_a_recording_of_nothing_is_a_scenario(base_url: str) -> None:
    with running("record", "--provider", "beatra", "--upstream", base_url, "--out", "a.yaml") as (process, _):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert (process.returncode, CliRunner().invoke(main, ["check", "a.yaml"]).output) == (0, "a.yaml: ok, 0 rules\n")


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stderr.strip().splitlines()[-1]


URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--provider", "beatr", "--upstream", URL, "--out", "a.yaml"),
         "--provider: there is no provider 'beatr'; did you mean 'beatra'?"),
        (("--provider", "beatra", "--upstream", "api.example.com", "--out", "a.yaml"),
         "--upstream: 'api.example.com' is no base URL; write it like https://api.example.com/v1"),
        (("--provider", "beatra", "--upstream", "http://me:secret@127.0.0.1/v1", "--out", "a.yaml"),
         "--upstream: a base URL has no name, password, query or fragment; the client sends its own key"),
        (("--provider", "beatra", "--upstream", URL, "--out", "no/a.yaml"),
         "no/a.yaml cannot be written: there is no folder no."),
        (("--provider", "beatra", "--upstream", URL, "--out", "."), ". is a folder; name a file."),
        (("--provider", "beatra", "--upstream", URL), "Error: Missing option '--out'."),
    ],
    ids=["provider", "url", "password", "folder", "is-a-folder", "no-out"],
)  # fmt: skip
def test_record_refuses_what_it_cannot_do(arguments: tuple[str, ...], message: str) -> None:
    assert said("record", *arguments, "--port", "0") == (2, message)


PROXIED = "emulator: 1\nprovider: beatra\nunmatched: proxy\nrules:\n- {when: {turn: 9}, reply: {proxy: true}}\n"


def test_serve_names_the_option_that_a_scenario_needs(folder: Path) -> None:
    (folder / "a.yaml").write_text(PROXIED)
    result = CliRunner().invoke(main, ["serve", "a.yaml", "--port", "0"])
    assert (result.exit_code, result.stderr.splitlines()) == (2, [
        "a.yaml:3:1: unmatched: needs an upstream; start with --upstream beatra=BASE_URL",
        "a.yaml:5:29: rules[0].reply.proxy: needs an upstream; start with --upstream beatra=BASE_URL",
    ])  # fmt: skip
    assert CliRunner().invoke(main, ["check", "a.yaml"]).output == "a.yaml: ok, 1 rule\n"


def test_check_tells_that_a_request_is_sent_on(folder: Path) -> None:
    (folder / "a.yaml").write_text(PROXIED)
    (folder / "b.json").write_text('{"model": "auto", "messages": [{"role": "user", "content": "hello"}]}')
    result = CliRunner().invoke(main, ["check", "a.yaml", "--request", "b.json"])
    assert (result.exit_code, result.output) == (0, "sent on to the upstream by proxy\n")


@pytest.mark.parametrize(
    ("upstream", "message"),
    [
        ("beatra", "Error: Invalid value for '--upstream': 'beatra' must be PROVIDER=URL"),
        (f"beatr={URL}", "--upstream: there is no provider 'beatr'; did you mean 'beatra'?"),
        ("beatra=ftp://x", "--upstream: 'ftp://x' is no base URL; write it like https://api.example.com/v1"),
    ],
)
def test_serve_refuses_an_upstream_that_is_none(upstream: str, message: str) -> None:
    assert said("serve", "--port", "0", "--upstream", upstream) == (2, message)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpcore2", None)
    monkeypatch.delitem(sys.modules, "emulator.server.upstream.client", raising=False)
    assert said("serve", "--port", "0", "--upstream", f"beatra={URL}") == (
        2, "--upstream: needs the package httpcore2; install it with: pip install 'llm-emulator[contract]'",
    )  # fmt: skip


def test_exec_lets_a_part_go_to_the_upstream(base_url: str, folder: Path) -> None:
    (folder / "a.yaml").write_text(PROXIED)
    (folder / "app.py").write_text(
        "from openai import OpenAI\n"
        "answer = OpenAI().chat.completions.create(model='auto', messages=[{'role': 'user', 'content': 'Ada'}])\n"
        "print(answer.choices[0].message.content)\n"
    )
    command = [sys.executable, "-m", "emulator", "exec", "a.yaml", "--upstream", f"beatra={base_url}",
               "--ignore", "unused", "--", sys.executable, "app.py"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "Hi, Ada.\n", "emulator: 1 request, nothing to find fault with\n",
    )  # fmt: skip
