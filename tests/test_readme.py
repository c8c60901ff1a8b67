"""What the READMEs show is true: each block and each command in them is tried, and their figures are the providers'.

A block without a check, and a check without a block, are failures. Commands run in one folder, in the order in which a
file shows them, and only 127.0.0.1 is asked: an upstream that is elsewhere is named, but sent nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from shown import BLOCKS, FILES, PROVIDER, ROOT, Block, text_of, write_provider

from emulator import Emulator, load_scenario
from emulator.cli.main import main
from emulator.core.journal.client_rules import COMMON
from emulator.core.provider.loading.folder import load_providers
from emulator.core.schema.formats import own_schema
from emulator.core.schema.schema import Schema
from emulator.server.control.app import _ROUTES

README = text_of("README.md")
REFERENCE = text_of("emulator/README.md")
SERVED, TESTED = "http://127.0.0.1:4010", "http://127.0.0.1:8080/v1"
WAIT_S = 60
Check = Callable[[str, Path], None]


# Commands


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emulator", *words[1:]] if words[0] == "emulator" else words
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def prints(start: str, code: int = 0) -> Check:
    """The command ends with that code, and this is how its output begins."""

    def check(command: str, folder: Path) -> None:
        done = run(shlex.split(command), folder)
        assert (done.returncode, done.stdout[: len(start)]) == (code, start), done.stderr

    return check


def serves(line: str) -> Check:
    """The command serves until it is told to stop; that line stands in what it says first."""

    def check(command: str, folder: Path) -> None:
        words = [sys.executable, "-m", *shlex.split(command), "--port", "0"]
        out = subprocess.PIPE
        with subprocess.Popen(words, cwd=folder, stdout=out, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout
            said = ""
            for text in process.stdout:
                said += text
                if text.startswith("Emulator ready at http"):
                    process.send_signal(signal.SIGTERM)
        assert (process.returncode, line in said) == (0, True), said

    return check


def asks(status: int, contains: str = "") -> Check:
    """The curl command gets that status, from a server that is started as the text says."""

    def check(command: str, folder: Path) -> None:
        import httpx2

        words = shlex.split(command)
        headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
        with Emulator(schemas=folder / "my-providers") as emulator:
            url = words[1].replace(SERVED, emulator.url)
            answer = httpx2.post(url, headers=headers, content=words[words.index("-d") + 1])
        assert (answer.status_code, contains in answer.text) == (status, True), answer.text

    return check


def asks_a_target(*more: str) -> Check:
    """The contract command passes against an emulator that stands where the text says; it may be made shorter."""

    def check(command: str, folder: Path) -> None:
        with Emulator(plan="unlimited") as emulator:
            command = re.sub(r"https?://\S+/v1", emulator.base_urls["openai"], command.removeprefix("API_KEY=... "))
            prints("", 0)(shlex.join([*shlex.split(command), *more]), folder)

    return check


def is_understood(command: str, folder: Path) -> None:
    """The command's options are good; what it does is tested where a Redis is."""
    words = shlex.split(command)
    found = main.get_command(None, words[1])  # type: ignore[arg-type]
    assert found is not None
    found.make_context(words[1], words[2:])


def names_extras(command: str, folder: Path) -> None:
    [found] = re.findall(r"^pip install 'llm-emulator\[([\w,]+)\]'$", command)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(found.split(",")) <= set(project["optional-dependencies"])


def names_packages(command: str, folder: Path) -> None:
    """What is installed beside the wheel is what the examples below it import."""
    shown = "".join(block.text for block in BLOCKS if block.file == "README.md" and block.language == "python")
    imported = set(re.findall(r"^(?:import|from) (\w+)", shown, re.M))
    assert imported | {"pytest"} == set(command.split()) - {"pip", "install", WHEEL}


def makes_a_wheel(command: str, folder: Path) -> None:
    """The wheel is where the next command looks for it, by the name that the project has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"{command.split()[4]}/{project['name'].replace('-', '_')}-*.whl" == WHEEL


def is_a_file_of_tests(command: str, folder: Path) -> None:
    """The text says which file that is; its tests are run as blocks."""
    file = command.removeprefix("pytest ")
    assert f"the test below as `{file}`" in README


def runs_in_ci(command: str, folder: Path) -> None:
    """The check that every change must pass takes this line out of the README and runs it."""
    ci = (ROOT / ".ci" / "run").read_text()
    patterns = re.findall(r"grep -m1 -E '(.+)' README\.md", ci)
    lines = README.splitlines()
    assert command in [next(line for line in lines if re.search(pattern, line)) for pattern in patterns]


RETRY = "retry.yaml: ok, 2 rules"
WHEEL = "vendor/llm_emulator-*.whl"
COMMANDS: dict[str, Check] = {
    "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/emulator serve": runs_in_ci,
    "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[test]' && .venv/bin/pytest -n auto": runs_in_ci,
    "emulator check retry.yaml": prints(RETRY),
    "emulator check retry.yaml --request body.json": prints("answered by retry.yaml:4 (rule-1), status 429"),
    "emulator serve retry.yaml": serves("  openai "),
    "emulator serve retry.yaml --reload": serves("  openai "),
    "emulator serve --tls": serves("CA to trust"),
    "emulator exec retry.yaml -- npm test": prints("npm was told of http://127.0.0.1"),
    "emulator exec retry.yaml --tls -- npm test": prints("npm was told of https://127.0.0.1"),
    "emulator record --provider openai --upstream https://api.openai.com/v1 --out recorded.yaml": serves("Wrote rec"),
    "emulator check recorded.yaml": prints("recorded.yaml: ok, 0 rules"),
    "emulator serve recorded.yaml": serves("  openai "),
    "emulator serve partly.yaml --upstream openai=https://api.openai.com/v1": serves("  openai "),
    "API_KEY=... emulator contract --provider openai --url http://127.0.0.1:8080/v1":
        asks_a_target("--phase", "probe", "--phase", "examples", "--api-key", "KEY"),
    "emulator contract --provider beatra --self --phase facts --report json=before.json": prints("facts "),
    "emulator contract --provider beatra --self --phase facts --baseline before.json --report html=report.html "
    "--report junit=report.xml": prints("facts "),
    "emulator serve --workers 4 --store redis://127.0.0.1:6379/0": is_understood,
    "emulator serve retry.yaml --host 0.0.0.0 --admin-token TOKEN --workers 4 --store redis://127.0.0.1:6379/0":
        is_understood,
    "pip wheel --no-deps -w vendor PATH/TO/llm-emulator": makes_a_wheel,
    f"pip install {WHEEL} pytest openai anthropic": names_packages,
    "pytest test_first.py": is_a_file_of_tests,
    "pip install 'llm-emulator[contract]'": names_extras,
    "pip install 'llm-emulator[redis]'": names_extras,
    "pip install 'llm-emulator[reload,tls]'": names_extras,
    "emulator providers example --schemas my-providers": prints("Example: https://api.example.com/v1"),
    "emulator contract --provider example --schemas my-providers --self": prints("probe     3 passed"),
    "emulator serve --schemas my-providers": serves("  example "),
}  # fmt: skip


def commands_of(block: Block) -> list[tuple[str, Check]]:
    if block.text.startswith("curl "):
        good = "temperature" not in block.text and "top_logprobs" not in block.text
        said = "" if good else "temperature: must be at most 1" if "example" in block.text else "invalid_request"
        return [(command, asks(200 if good else 400, said)) for command in block.commands]
    return [(command, COMMANDS[command]) for command in block.commands]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who follows the text: files as it shows them, and an npm of three lines."""
    folder = tmp_path_factory.mktemp("reader")
    scenarios = {name: block.text for name, block in SCENARIOS.items()}
    for name, text in scenarios.items():
        (folder / name).write_text(text)
    (folder / "body.json").write_text(
        '{"model": "gpt-4o", "messages": [{"role": "user", "content": "the report"}], "stream": false}'
    )
    npm = folder / "npm"
    npm.write_text(f"#!{sys.executable}\nimport os, ssl\nprint('npm was told of', os.environ['OPENAI_BASE_URL'])\n")
    npm.chmod(0o755)
    write_provider(folder)
    return folder


#: The scenarios that commands are shown with, by the name that the text gives them.
SCENARIOS = {
    "retry.yaml": next(block for block in BLOCKS if block.file == "README.md" and block.language == "yaml"),
    "partly.yaml": next(block for block in BLOCKS if block.file == "emulator/README.md" and block.language == "yaml"),
}


# Blocks


def try_commands(block: Block, folder: Path) -> None:
    for command, check in commands_of(block):
        check(command, folder)


def passes_as_a_test(block: Block, folder: Path) -> None:
    (folder / "test_shown.py").write_text(block.text)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    plugins = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]  # importing the second takes longer than all else
    plugins += ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]  # of a client that nobody closes, now and then
    done = run([sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins, "test_shown.py"], folder)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def runs_with_a_server(block: Block, folder: Path) -> None:
    with Emulator(plan="unlimited") as emulator:
        code = block.text.replace(TESTED, emulator.base_urls["openai"]).replace(SERVED, emulator.url)
        done = run([sys.executable, "-c", code], folder)
    assert (done.returncode, done.stderr) == (0, "")


def runs_with_the_node_package(block: Block, folder: Path) -> None:
    """It is run in tests/clients."""
    from clients.test_node_package import SHOWN

    assert block.file in SHOWN


def loads(block: Block, folder: Path) -> None:
    (folder / "example.yaml").write_text(block.text)
    assert load_scenario(str(folder / "example.yaml")).warnings == ()


def is_a_part_of_a_provider(block: Block, folder: Path) -> None:
    """Each key is one of provider.yaml, and what stands there is of its form, as far as it is shown."""
    document = own_schema("provider").document
    part = without_required({**document, "$id": "urn:part"})
    assert [str(item) for item in Schema(part).violations(yaml.safe_load(block.text))] == []


def without_required(schema: Any) -> Any:
    """Return a schema that lets fields be missing."""
    if isinstance(schema, list):
        return [without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_required(item) for name, item in schema.items()
            if name != "required" or not isinstance(item, list)}  # fmt: skip


def is_the_schema_line(block: Block, folder: Path) -> None:
    assert block.text == "# yaml-language-server: $schema=scenario.schema.json\n"
    assert "`emulator check --schema > scenario.schema.json`" in text_of(block.file)


def is_the_answer(block: Block, folder: Path) -> None:
    [curl] = [item for item in BLOCKS if item.file == block.file and item.text.startswith("curl ")]
    asks(400, block.text.strip())(curl.commands[0], folder)


def is_said_of_slips(block: Block, folder: Path) -> None:
    """These are the problems of the small provider with the three slips that the text names."""
    file = folder / "my-providers" / "example" / "provider.yaml"
    right = file.read_text()
    wrong = right.replace("chat.request.schema", "chat.requst.schema").replace(
        "{code: failed, message: Some", "{message: Some"
    )
    try:
        file.write_text(wrong.replace("fact: ex-limit, documented: true}", "fact: ex-limits, documented: true}"))
        done = run(["emulator", "providers", "--schemas", "my-providers"], folder)
    finally:
        file.write_text(right)
    assert (done.returncode, done.stderr) == (1, block.text)


def is_a_file_of_the_provider(block: Block, folder: Path) -> None:
    assert (folder / block.label).read_text() == PROVIDER[block.label]


def check_of(block: Block) -> Callable[[Block, Path], None]:
    """Return how a block is tried."""
    if block.label:
        return is_a_file_of_the_provider
    if block.language == "python":
        return passes_as_a_test if "\ndef test_" in block.text else runs_with_a_server
    if block.language == "yaml":
        return loads if "emulator: 1" in block.text else is_a_part_of_a_provider
    if block.language in ("js", "ts"):
        return runs_with_the_node_package
    if block.language == "json":
        return is_the_answer
    if block.text.startswith("# yaml-language-server"):
        return is_the_schema_line
    return is_said_of_slips if block.text.startswith("my-providers/") else try_commands


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_what_is_shown_is_so(block: Block, folder: Path) -> None:
    check_of(block)(block, folder)


def test_every_command_has_a_check_and_every_check_a_command() -> None:
    shown = [
        command for block in BLOCKS if check_of(block) is try_commands and not block.text.startswith("curl ")
        for command in block.commands
    ]  # fmt: skip
    assert set(shown) == set(COMMANDS)


def test_no_fence_is_left_over() -> None:
    for file in FILES:
        fences = re.findall(r"^```", text_of(file), re.M)
        assert len(fences) == 2 * sum(block.file == file for block in BLOCKS), file


# Figures, tables, links


def test_the_front_door_is_short_and_begins_with_a_test() -> None:
    assert len(README.splitlines()) <= 200
    assert README.index("| provider |") < README.index("def test_") < README.index("```ts")


def test_commands_in_the_running_text_are_understood() -> None:
    """`emulator ...` in backticks is a command, or the begin of one."""
    names = set(main.list_commands(None))  # type: ignore[arg-type]
    for file in FILES:
        for words in re.findall(r"`emulator(?: (\w+))?[^`]*`", text_of(file)):
            assert words == "" or words in names, words


def test_every_command_and_every_route_has_its_row() -> None:
    rows = re.findall(r"^\| `emulator (\w+)` \|", REFERENCE, re.M)
    assert sorted(rows) == sorted(main.list_commands(None))  # type: ignore[arg-type]
    shown: dict[str, set[str]] = {}
    for methods, path in re.findall(r"^\| (`[A-Z`, ]+) /_emulator(/\S+?)` \|", REFERENCE, re.M):
        shown[path] = set(re.findall("[A-Z]+", methods))
    assert shown == {path: set(methods) for path, methods in _ROUTES.items()}


def test_the_verdict_table_names_every_finding() -> None:
    shown = re.findall(r"^\| `([\w-]+)`(?: \((advice)\))? \| .* \|$", REFERENCE, re.M)
    facts = [fact for provider in load_providers().values() for fact in provider.facts.values()]
    asked = {(fact.id, "advice" if fact.advice else "") for fact in facts if fact.who == "client"}
    seen = {(fact.id, "advice" if fact.advice else "") for fact in facts
            if fact.who == "client" and fact.judge != "not_on_the_wire"}  # fmt: skip
    rows = {row for row in shown if "-" in row[0]} - {(name, "") for name in COMMON}
    assert (rows - asked, seen - rows) == (set(), set())


def test_every_provider_has_its_row() -> None:
    rows = dict(re.findall(r"^\| [\w ]+ \| `/(\w+)([^`]*)`.* \| .* \|$", README, re.M))
    assert rows == {name: provider.base_path for name, provider in load_providers().items()}


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file: str) -> None:
    for link in re.findall(
        r"\]\((?!https?:)([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text_of(file), flags=re.M | re.S)
    ):
        path, _, anchor = link.partition("#")
        target = (ROOT / file).parent / path if path else ROOT / file
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_small_provider_is_six_files_that_load(tmp_path: Path) -> None:
    write_provider(tmp_path)
    assert len(PROVIDER) == 6
    assert "example" in load_providers(tmp_path / "my-providers")


def test_a_bound_in_the_table_is_the_one_that_holds() -> None:
    from emulator.core import source
    from emulator.core.answer import compiled as answer_cache
    from emulator.core.answer import compiled as form
    from emulator.core.answer import message
    from emulator.core.engine import body
    from emulator.core.scenario import template
    from emulator.server import setup
    from emulator.server.control import journal as control_journal
    from emulator.server.http import protocol, reader
    from emulator.server.sessions import live
    from emulator.server.sessions import source as builder
    from emulator.stores import memory

    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", REFERENCE[REFERENCE.index("## Bounds") :], re.M))
    told: Mapping[str, object] = {
        f"{setup.MAX_BODY // 10**6} MB": rows["a request's body"],
        f"{reader.MAX_HEAD // 1024} KB": rows["its head"],
        f"{protocol.REQUEST_S:.0f} s": rows["the time it takes to come in"],
        f"{body.MAX_DEPTH} levels, {body.MAX_VALUES:,} values": rows["JSON in it"],
        f"{source.MAX_BYTES // 10**6} MB, {source.MAX_DEPTH} levels, {source.MAX_VALUES:,} values": rows[
            "a scenario file"
        ],
        f"{template.MAX_OUTPUT:,} characters": rows["what a template writes"],
        f"{memory.JOURNAL_BYTES // 10**6} MB": rows["all journals together, idempotency records as much"],
        f"{live.MOST_SCENARIO_BYTES // 10**6} MB": rows["scenarios and rules sent by the control API"],
        f"{builder.KEPT_SCENARIOS}, {builder.KEPT_BYTES // 10**6} MB": rows["scenarios that are kept compiled"],
        f"{answer_cache.MOST_FORMS}, up to {form.LONGEST:,} bytes": rows["answers that are kept compiled"],
        f"{message.MOST_PIECES:,} pieces": rows["a streamed answer"],
        f"{protocol.MAX_WAITING}, or {protocol.MAX_WAITING_BYTES // 10**6} MB": rows[
            "requests that wait behind another on their connection"
        ],
        f"{setup.KEEP_ALIVE_S} s": rows["an idle connection"],
        f"{control_journal.MOST_WATCHERS}, each up to {control_journal.WATCHED_BYTES // 10**6} MB": rows[
            "readers of `journal/events`"
        ],
        f"{live.MOST_COMPLETED:,} of a session": rows["results noted by `completed`"],
    }
    assert [figure for figure, row in told.items() if figure not in str(row)] == []
