"""The pytest plugin as its users meet it: each test runs pytest on a small file and reads what it says."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai.resources.chat  # noqa: F401  # what a run in this process imports first, it forgets at its end
import pytest
import trio  # noqa: F401

from emulator import Emulator
from emulator.testing.client import Control

pytest_plugins = ["pytester"]

HEAD = """
import json, os, subprocess, sys, threading, time, urllib.error, urllib.request
import pytest

def ask(url, key, text="hi", **fields):
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url + "/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"].get("code")

"""
INI = """
[pytest]
addopts = -p no:cacheprovider
asyncio_default_fixture_loop_scope = function
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Write a test file and run pytest on it, in this process and with the server of its own."""

    def run(text: str, *arguments: str, ini: str = "", subprocess: bool = False) -> pytest.RunResult:
        pytester.makeini(INI + ini)
        pytester.makepyfile(test_it=HEAD + text)
        how = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return how("-p", "no:schemathesis", *arguments)  # importing it takes longer than all else here

    return run


def failure(result: pytest.RunResult) -> str:
    """Return what the only error says, without pytest's frame around it."""
    text = result.stdout.str()
    found = re.search(r"_{3,} (?:ERROR at )?[^\n]* _{3,}\n(.*?)\n(-+ emulator -+|=+ short test summary)", text, re.S)
    assert found, text
    said = re.sub(r"/s/\w{12}/", "/s/ID/", found[1])
    return re.sub(r"^-+ Captured .*", "", said, flags=re.S | re.M).rstrip()


def place(text: str, part: str) -> str:
    """Return FILE:LINE of what a test file says somewhere."""
    lines = (HEAD + text).strip().splitlines()
    return f"test_it.py:{next(number for number, line in enumerate(lines, 1) if part in line)}"


# Fixtures, marker, options


def test_each_test_has_a_world_of_its_own(run: Run) -> None:
    run("""
seen = set()

@pytest.mark.emulator(provider="beatra")
@pytest.mark.parametrize("number", range(3))
def test_one(emulator, number):
    assert len(emulator.journal) == 0
    assert emulator.provider == "beatra"
    assert list(emulator.base_urls.values()) == [emulator.base_url]
    with pytest.raises(KeyError, match="openai: this session is about .*; leave `provider` out to have all"):
        emulator.base_urls["openai"]
    emulator.on(last_user="hi").reply(f"number {number}")
    assert ask(emulator.base_url, emulator.api_key) == (200, f"number {number}")
    assert [item.status for item in emulator.calls] == [200]
    seen.add((emulator.id, emulator.api_key))
    assert len(seen) == number + 1

def test_the_server_is_one(emulator, emulator_server):
    assert emulator_server.ask("GET", "/health")["sessions"] == 2
""").assert_outcomes(passed=4)  # fmt: skip


def test_the_marker_sets_the_session_up_and_the_nearest_wins(run: Run) -> None:
    run("""
pytestmark = pytest.mark.emulator(provider="beatra", seed=1, clock="virtual", validation="strict")

@pytest.mark.emulator(provider="brainstormrouter", plan={"requests_per_minute": 1}, seed=2)
def test_one(emulator):
    session = emulator.read()
    assert (session["provider"], session["seed"], session["plan"]) == ("brainstormrouter", 2, "session")
    assert (session["clock"]["kind"], session["validation"]) == ("virtual", "strict")
    emulator.verify(count=0)
""").assert_outcomes(passed=1)  # fmt: skip


FILE = "emulator: 1\nprovider: beatra\nrules:\n  - reply: {text: From WHERE}\n"


def test_scenarios_are_found_beside_the_test_then_in_the_folder_of_the_ini(run: Run, pytester: pytest.Pytester) -> None:
    for where in (".", "stories"):
        pytester.mkdir(where) if where != "." else None
        (pytester.path / where / "one.yaml").write_text(FILE.replace("WHERE", f"{where}/one"))
    (pytester.path / "stories" / "two.yaml").write_text(FILE.replace("WHERE", "stories/two"))
    run(
        """
@pytest.mark.emulator("one.yaml")
def test_beside(emulator):
    assert ask(emulator.base_url, emulator.api_key) == (200, "From ./one")
    assert emulator.calls[0].rule == "one.yaml:4"

@pytest.mark.emulator("two.yaml")
def test_of_the_ini(emulator):
    assert ask(emulator.base_url, emulator.api_key) == (200, "From stories/two")
    assert emulator.calls[0].rule == "stories/two.yaml:4"
    emulator.use("one.yaml")
    assert ask(emulator.base_url, emulator.api_key) == (200, "From ./one")

def test_used(emulator, tmp_path):
    emulator.use("two.yaml")
    assert ask(emulator.base_url, emulator.api_key) == (200, "From stories/two")

@pytest.mark.emulator({"emulator": 1, "provider": "beatra", "rules": [{"reply": {"text": "A mapping"}}]})
def test_mapping(emulator):
    assert ask(emulator.base_url, emulator.api_key) == (200, "A mapping")
""",
        ini="emulator_scenarios = stories",
    ).assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"none.yaml"', r"there is no scenario none\.yaml in /[^,]*, nor in the library; "
                        r"set `emulator_scenarios` to the folder that has it"),
        ('"a.yaml", "b.yaml"', r"@pytest\.mark\.emulator takes one scenario, not 2"),
        ('provder="beatra"', r"@pytest\.mark\.emulator knows no 'provder'; did you mean 'provider'\?"),
        ('provider="beata"', r"provider: there is no provider 'beata'; did you mean 'beatra'\?"),
        ('"beatra/chat.yaml", provider="brivionix"',
         r"^test_it\.py:1\d: @pytest\.mark\.emulator: provider: brivionix is asked for, and no rule of the scenario is "
         r"for it\n.*beatra/chat\.yaml:4:1: provider: is beatra, not brivionix$"),
        ('"bad.yaml"', r"bad\.yaml:3:6: rules\[0\]\.rply: is not known here; did you mean 'reply'\?"),
    ],
    ids=["no-file", "two-files", "keyword", "provider", "mismatch", "scenario"],
)  # fmt: skip
def test_what_is_wrong_with_a_marker_is_said(run: Run, pytester: pytest.Pytester, marker: str, message: str) -> None:
    (pytester.path / "bad.yaml").write_text("emulator: 1\nrules:\n  - {rply: {text: Hi}}\n")
    result = run(f"@pytest.mark.emulator({marker})\ndef test_one(emulator): pass")
    result.assert_outcomes(errors=1)
    assert re.search(message, failure(result)), failure(result)
    assert "exception occurred" not in failure(result)


def test_the_marker_is_registered(run: Run) -> None:
    run("@pytest.mark.emulator\ndef test_one(emulator): pass", "--strict-markers").assert_outcomes(passed=1)


def test_the_environment_points_at_the_session_and_subprocesses_inherit_it(run: Run) -> None:
    run("""
CHILD = "import os, test_it; print(test_it.ask(os.environ['OPENAI_BASE_URL'], os.environ['OPENAI_API_KEY'])[1])"

@pytest.mark.emulator(provider="beatra")
def test_one(emulator, emulator_env):
    assert emulator_env is emulator
    emulator.on().reply("to a child")
    assert subprocess.check_output([sys.executable, "-c", CHILD], text=True) == "to a child\\n"
    emulator.verify(count=1)

def test_afterwards():
    assert "OPENAI_BASE_URL" not in os.environ
""").assert_outcomes(passed=2)  # fmt: skip


IMPORTED = """
from openai import OpenAI

CLIENT = OpenAI()  # as applications do

def answer():
    return CLIENT.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}])
"""
WHOLE_RUN = """
import app

@pytest.mark.parametrize("number", range(3))
def test_each(emulator, number):
    emulator.on().reply(f"number {number}")
    assert app.answer().choices[0].message.content == f"number {number}"
    emulator.verify(count=1)

def test_without_a_session():
    with pytest.raises(app.openai.NotFoundError, match="There is no session"):
        app.answer()
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_client_made_at_import_is_led_to_the_session_of_each_test(
    run: Run, pytester: pytest.Pytester, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-shell")
    pytester.makepyfile(
        app="import openai\n" + IMPORTED, conftest="import app\nassert app.CLIENT.organization is None\n"
    )
    ini = "emulator_env = true\nemulator_provider = beatra\n"
    run(WHOLE_RUN, *arguments, ini=ini, subprocess=True).assert_outcomes(passed=4)


def test_a_server_that_does_not_answer_ends_a_whole_run(run: Run) -> None:
    result = run(
        "def test_one(): pass", "--emulator-url=http://127.0.0.1:1", ini="emulator_env = true", subprocess=True
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --emulator-url http://127.0.0.1:1: *refused*"])


FOLDERS = """
def test_default(emulator):
    assert (emulator.provider, emulator.base_url.rpartition("/s/")[2].partition("/")[2]) == ("mine", "mine/v1")

@pytest.mark.emulator({"emulator": 1, "provider": "beatra", "rules": []})
def test_of_the_scenario(emulator):
    assert emulator.provider == "beatra"

@pytest.mark.emulator(provider="openai")
def test_of_the_marker(emulator):
    assert emulator.provider == "openai"
    emulator.use({"emulator": 1, "rules": []})
    assert emulator.provider == "openai"

def test_of_a_later_scenario(emulator):
    emulator.use({"emulator": 1, "provider": "beatra", "rules": []})
    assert emulator.provider == "beatra"
"""


def test_the_ini_names_a_folder_of_providers_and_the_default(run: Run, pytester: pytest.Pytester) -> None:
    shutil.copytree(Path(__file__).parents[2] / "schemas" / "beatra", pytester.path / "folders" / "mine")
    file = pytester.path / "folders" / "mine" / "provider.yaml"
    file.write_text(file.read_text().replace("name: beatra", "name: mine", 1))
    run(FOLDERS, ini="emulator_schemas = folders\nemulator_provider = mine\n").assert_outcomes(passed=4)


def test_variables_are_set_taken_away_and_no_proxy_comes_between(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "other.test")
    monkeypatch.setenv("OPENAI_API_BASE", "https://other.test/v1")
    monkeypatch.setenv("OPENAI_PROXY", "http://127.0.0.1:9")
    run("""
def test_one(emulator_env):
    assert os.environ["OPENAI_API_BASE"] == os.environ["OPENAI_BASE_URL"] == emulator_env.base_url
    assert os.environ["OPENAI_API_KEY"] == emulator_env.api_key
    assert emulator_env.api_key.startswith("sk-")
    assert "OPENAI_PROXY" not in os.environ
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "other.test,127.0.0.1"
""").assert_outcomes(passed=1)  # fmt: skip


def test_an_application_of_several_providers_is_led_to_each(run: Run) -> None:
    run("""
def test_one(emulator_env):
    named = {name: url for name, url in os.environ.items() if name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")}
    assert named == {"OPENAI_BASE_URL": emulator_env.base_urls["openai"],
                     "ANTHROPIC_BASE_URL": emulator_env.base_urls["anthropic"]}

@pytest.mark.emulator(provider="beatra")
def test_two(emulator_env):
    assert os.environ["OPENAI_BASE_URL"] == emulator_env.base_url
    assert "ANTHROPIC_BASE_URL" not in os.environ
""").assert_outcomes(passed=2)  # fmt: skip


def test_without_a_provider_it_is_the_default(run: Run) -> None:
    run("""
def test_base_url(emulator):
    assert set(emulator.base_urls) >= {"openai", "beatra", "braintwin", "brainstormrouter", "brivionix"}
    assert emulator.base_url == emulator.base_urls["openai"]
    assert emulator.sdk_urls == emulator.base_urls | {"gemini": emulator.base_urls["gemini"].removesuffix("/v1beta")}
    with pytest.raises(TypeError, match="takes what must fit by name: .on\\(last_user={'contains': 'report'}\\)"):
        emulator.on("report")
    with pytest.raises(TypeError, match="holds for every API of the session: tell them apart by model= or operation="):
        emulator.on(provider="openai")
    with pytest.raises(KeyError, match="opnai: there is no such provider; there are "):
        emulator.base_urls["opnai"]

def test_environment(emulator_env):
    assert os.environ["OPENAI_BASE_URL"] == emulator_env.base_urls["openai"]
""").assert_outcomes(passed=2)  # fmt: skip


def test_another_server_is_used_where_its_url_is_given(run: Run) -> None:
    with Emulator() as server:
        run(
            f"""
@pytest.mark.emulator(provider="beatra")
def test_one(emulator, emulator_time):
    assert emulator.base_url.startswith({server.url!r})
    emulator.on().reply(error="rate_limited").reply("there")
    assert ask(emulator.base_url, emulator.api_key) == (429, "rate_limited")
    time.sleep(60)
    assert ask(emulator.base_url, emulator.api_key) == (200, "there")
    assert emulator.verdict()["ok"] is False
    emulator.wait_for(calls=2)
""",
            f"--emulator-url={server.url}",
        ).assert_outcomes(passed=1)
        control = Control(server.url)
        assert [item["id"] for item in control.ask("GET", "/sessions")["sessions"]] == ["default"]
        control.close()


def test_a_server_that_does_not_answer_is_said(run: Run) -> None:
    result = run("def test_one(emulator): pass", "--emulator-url=http://127.0.0.1:1")
    assert failure(result).startswith("--emulator-url http://127.0.0.1:1: ")
    assert "refused" in failure(result)


# What fails a test that ends


def ends(run: Run, text: str, allow: str = "") -> str:
    """Run a test that passes but ends badly, and once more with what its message says; return the message."""
    marker = '@pytest.mark.emulator(provider="beatra"%s)\n'
    result = run(marker % "" + text)
    result.assert_outcomes(failed=1)
    if allow:
        run(marker % f", {allow}" + text).assert_outcomes(passed=1)
    return failure(result)


def test_an_unmatched_request_fails_it(run: Run) -> None:
    text = """\
def test_one(emulator):
    rule = {"id": "one", "when": {"last_user": "x", "turn": 2}, "reply": {"text": "y"}}
    emulator.use({"emulator": 1, "rules": [rule]})
    assert ask(emulator.base_url, emulator.api_key)[0] == 404
"""
    assert ends(run, text, "allow_unmatched=True") == (
        "no rule answered exchange 1 (POST /s/ID/beatra/v1/chat/completions); the nearest:\n"
        "  session:rules[0] (one)\n"
        '    last_user: expected "x", got "hi"\n'
        "    turn: expected 2, got 1\n"
        "allow it with @pytest.mark.emulator(allow_unmatched=True)"
    )


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"calls": 3}, "expects calls: 3, and answered 1 times"),
        ({"min": 2, "max": 3}, "expects min: 2 and max: 3, and answered 1 times"),
        ({"max": 0}, "expects max: 0, and answered 1 times"),
    ],
    ids=["calls", "min", "max"],
)
def test_an_expectation_that_is_not_met_fails_it(run: Run, expect: Any, said: str) -> None:
    text = f"""\
def test_one(emulator):
    emulator.use({{"emulator": 1, "rules": [{{"reply": {{"text": "y"}}, "expect": {expect}}}]}})
    ask(emulator.base_url, emulator.api_key)
"""
    message = f"the rule rule-1 at session:rules[0] {said}; allow it by changing its `expect`, or leaving it out"
    assert ends(run, text) == message
    met = text.replace(str(expect), "{'calls': 1}")
    run('@pytest.mark.emulator(provider="beatra")\n' + met).assert_outcomes(passed=1)


def test_a_rule_of_on_that_was_never_used_fails_it(run: Run) -> None:
    text = """\
def test_one(emulator):
    emulator.on(last_user="never").reply("y")
"""
    where = place("\n" + text, "emulator.on")
    said = ends(run, text, "allow_unused=True").splitlines()
    assert said[0] == (
        f"not one request came to this session: the rule of .on() at {where} was never used; what may be the cause:"
    )
    assert said[-1] == "allow it with @pytest.mark.emulator(allow_unused=True)"


def test_an_on_without_a_reply_fails_it(run: Run) -> None:
    text = """\
def test_one(emulator):
    emulator.on(last_user="never")
"""
    where = place("\n" + text, "emulator.on")
    expected = f"the rule of .on() at {where} has no .reply(); allow it with @pytest.mark.emulator(allow_unused=True)"
    assert ends(run, text, "allow_unused=True") == expected


def test_a_reply_that_does_not_load_is_told_once(run: Run) -> None:
    result = run("""
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    emulator.on(last_user="never").reply(error="rate_limitd")
""")
    result.assert_outcomes(failed=1)
    assert "did you mean 'rate_limited'?" in result.stdout.str()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('emulator.on(last_user="never").reply(error="rate_limitd")', False),
        ('emulator.use("none.yaml")', False),
        ("emulator.verify(count=3)", False),
        ('emulator.clock.advance("1 parsec")', False),
        ("emulator.on().reply(text=object())", True),
    ],
    ids=["reply", "file", "verify", "clock", "no-error-of-ours"],
)
def test_our_frames_are_shown_only_where_the_error_does_not_tell(run: Run, line: str, shown: bool) -> None:
    result = run(f"def test_one(emulator):\n    {line}")
    result.assert_outcomes(failed=1)
    assert bool(re.search(r"^\S*(session|route|client|clock|scenarios)\.py:\d+: ", result.stdout.str(), re.M)) == shown


def test_a_rule_that_was_used_before_another_scenario_came_was_used(run: Run) -> None:
    run("""
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    emulator.on(last_user="hi").reply("y")
    ask(emulator.base_url, emulator.api_key)
    emulator.use({"emulator": 1, "rules": [{"reply": {"text": "z"}}]})
    ask(emulator.base_url, emulator.api_key, "another")
""").assert_outcomes(passed=1)  # fmt: skip


def test_a_crash_of_the_emulator_fails_it(run: Run) -> None:
    text = """\
def test_one(emulator, monkeypatch):
    def broken(*given):
        raise ZeroDivisionError("of all things")
    monkeypatch.setattr("emulator.core.answer.reply.render_reply", broken)
    assert ask(emulator.base_url, emulator.api_key) == (500, "emulator_crash")
"""
    message = ends(run, text)
    first = "the emulator failed on exchange 1 (POST /s/ID/beatra/v1/chat/completions):\nTraceback "
    assert message.startswith(first)
    assert message.endswith(
        "ZeroDivisionError: of all things\nthis is a fault of its own and cannot be allowed; please report it"
    )


def test_all_that_is_wrong_is_said_at_once(run: Run) -> None:
    message = ends(run, """\
def test_one(emulator):
    emulator.on(last_user="x", expect={"calls": 2}).reply("y")
    emulator.on(last_user="z").reply("y")
    assert ask(emulator.base_url, emulator.api_key)[0] == 404
""")  # fmt: skip
    assert [line.split("(")[0] for line in message.split("\n\n")] == [
        "no rule answered exchange 1 ",
        "the rule on-1 at test_it.py:16 expects calls: 2, and answered 0 times; allow it by changing its `expect`, "
        "or leaving it out",
        "the rule of .on",
    ]


def test_a_session_is_removed_whatever_happens(run: Run) -> None:
    result = run("""
@pytest.fixture(scope="session", autouse=True)
def in_the_end(emulator_server):
    yield
    assert emulator_server.ask("GET", "/health")["sessions"] == 1

@pytest.mark.emulator(provider="beatra")
def test_fails(emulator):
    emulator.on().reply("unused")
    assert False
""")  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not one request came to this session: the rule of .on() at test_it.py:* was never *"])


# One mistake, one report


@pytest.mark.parametrize(
    ("body", "marker", "outcome"),
    [
        ("pytest.skip('not here')", "", {"skipped": 1}),
        ("assert False, 'its own'", "", {"failed": 1}),
        ("pass", "", {"failed": 1}),
        ("pytest.xfail('known')", "", {"xfailed": 1}),
        ("pass", "@pytest.mark.xfail", {"xfailed": 1}),
        ("pass", "@pytest.mark.xfail(strict=True, reason='known')", {"xfailed": 1}),
        ("pytest.exit('enough')", "", {}),
    ],
    ids=["skipped", "failed", "passed", "xfail", "marked", "marked strictly", "exit"],
)
def test_one_mistake_gives_one_report(run: Run, body: str, marker: str, outcome: dict[str, int]) -> None:
    result = run(f"""
{marker}
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    emulator.on().reply("never")
    {body}
""")
    result.assert_outcomes(**outcome)
    assert "not one request came" in result.stdout.str() or "failed" not in outcome
    said = result.stdout.str().partition("short test summary")[0]  # in CI the summary is not cut, and says it again
    assert said.count("was never used") == ("failed" in outcome)


@pytest.mark.parametrize("body", ["assert False, 'its own'", "self.fail('its own')", "self.skipTest('not here')"])
def test_a_unittest_reports_once_too(run: Run, body: str) -> None:
    outcomes = run(f"""
import unittest

class Tests(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def with_emulator(self, emulator):
        self.emulator = emulator

    def test_one(self):
        self.emulator.on().reply("never")
        {body}
""").parseoutcomes()
    assert outcomes == {"skipped" if "skip" in body else "failed": 1}


def test_a_failed_test_shows_its_exchanges_and_what_is_wrong(run: Run) -> None:
    text = run("""
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    emulator.on().reply("one").reply("two")
    ask(emulator.base_url, emulator.api_key)
    ask(emulator.base_url, emulator.api_key, temperature="warm")
    assert False, "its own"
""").stdout.str()
    section = re.sub(r"/s/\w+/", "/s/ID/", text.partition(" emulator ---")[2].partition("\n")[2].partition("\n===")[0])
    assert section.splitlines() == [
        "reply 2 of the rule at test_it.py:17 was never asked for",
        "  exchange 2 was refused before any rule was asked: invalid_request: "
        "temperature: must be a number, not 'warm'",
        "allow it with @pytest.mark.emulator(allow_unused=True)",
        "",
        "1: POST /s/ID/beatra/v1/chat/completions -> 200 (test_it.py:17, reply 1)",
        "2: POST /s/ID/beatra/v1/chat/completions -> 400 (refused)",
        "   invalid_request: temperature: must be a number, not 'warm'",
    ]


def test_a_request_that_comes_while_other_fixtures_end_is_told_too(run: Run) -> None:
    result = run("""
@pytest.fixture
def app(emulator):
    yield
    ask(emulator.base_url, emulator.api_key, "goodbye")

@pytest.mark.emulator(provider="beatra")
def test_one(emulator, app):
    emulator.on(last_user="hi").reply("x")
    ask(emulator.base_url, emulator.api_key)
""")
    result.assert_outcomes(passed=1, errors=1)
    assert failure(result).startswith("no rule answered exchange 2 ")


def test_a_server_that_is_gone_hides_no_failure(run: Run) -> None:
    result = run("""
from emulator.testing.client import Control

@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    emulator._control = Control("http://127.0.0.1:1")
    try:
        assert False, "its own"
    finally:
        emulator.delete = lambda: None
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: its own*", "nothing is known of the session: *refused*"])


def test_sessions_are_kept_for_the_inspector(run: Run) -> None:
    text = "def test_one(emulator): assert ask(emulator.base_url, emulator.api_key)"
    with Emulator() as server:
        result = run(text, f"--emulator-url={server.url}", "--emulator-keep")
        result.assert_outcomes(passed=1)
        control = Control(server.url)
        [kept] = [item["id"] for item in control.ask("GET", "/sessions")["sessions"] if item["id"] != "default"]
        result.stdout.fnmatch_lines([f"test_it.py::test_one: {server.url}/_emulator/#/exchanges/{kept}/1"])
        control.close()


def test_keeping_needs_a_server_that_outlives_the_run(run: Run) -> None:
    result = run("def test_one(): pass", "--emulator-keep", subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --emulator-keep needs --emulator-url, *"])


# Ways to run tests


MANY = """
SCENARIO = "emulator: 1\\nprovider: beatra\\nrules:\\n  - reply: {text: scenario NUMBER}\\n"

@pytest.mark.parametrize("number", range(500))
def test_one(emulator, number):
    emulator.use(SCENARIO.replace("NUMBER", str(number)))
    emulator.on(last_user=f"number {number}").reply(f"answer {number}")
    assert ask(emulator.base_url, emulator.api_key, f"number {number}") == (200, f"answer {number}")
    assert ask(emulator.base_url, emulator.api_key, "another") == (200, f"scenario {number}")
    assert [call.n for call in emulator.calls] == [1, 2]
    emulator.verify(count=1, last_user=f"number {number}")
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_under_xdist_and_in_one_process(run: Run, workers: str) -> None:
    run(MANY, "-n", workers, subprocess=True).assert_outcomes(passed=500)


ASYNC = """
from openai import AsyncOpenAI

MARKER
@pytest.mark.emulator(provider="beatra")
async def test_one(emulator, emulator_time):
    emulator.on().reply(error="rate_limited", retry_after=60).reply("Hello")
    async with AsyncOpenAI(base_url=emulator.base_url, api_key=emulator.api_key) as client:
        answer = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Hello"
    emulator.verify(count=2)
"""
ANYIO = """
@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""


@pytest.mark.parametrize(
    ("text", "arguments", "passed"),
    [
        (ASYNC.replace("MARKER", "@pytest.mark.asyncio"), ("--asyncio-mode=strict",), 1),
        (ASYNC.replace("MARKER", ""), ("--asyncio-mode=auto",), 1),
        (ANYIO + ASYNC.replace("MARKER", "@pytest.mark.anyio"), ("--asyncio-mode=strict",), 2),
    ],
    ids=["asyncio-strict", "asyncio-auto", "anyio"],
)
def test_under_pytest_asyncio_and_anyio(run: Run, text: str, arguments: Any, passed: int) -> None:
    run(text, *arguments).assert_outcomes(passed=passed)


def test_from_threads(run: Run) -> None:
    run("""
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    got = {}
    def one(number):
        emulator.on(last_user=f"number {number}").reply(f"answer {number}")
        got[number] = ask(emulator.base_url, emulator.api_key, f"number {number}")
    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert got == {number: (200, f"answer {number}") for number in range(10)}
    emulator.verify(count=10)
""").assert_outcomes(passed=1)  # fmt: skip


def test_a_forked_process_speaks_on_a_connection_of_its_own(run: Run) -> None:
    run("""
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.emulator(provider="beatra")
def test_one(emulator):
    kept = emulator._control._socket
    pid = os.fork()
    if pid == 0:
        seen = len(emulator.journal)
        os._exit(seen + 7 if emulator._control._socket is not kept else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert len(emulator.journal) == 0
""").assert_outcomes(passed=1)  # fmt: skip


GREENLETS = """
import gevent

@pytest.mark.emulator(provider="beatra")
def test_greenlets(emulator):
    emulator.on(last_user="hi").reply("Hello.", latency="10ms")
    jobs = [gevent.spawn(ask, emulator.base_url, emulator.api_key) for _ in range(5)]
    jobs += [gevent.spawn(emulator.verify, at_most=9) for _ in range(5)]
    thread = threading.Thread(target=ask, args=(emulator.base_url, emulator.api_key))
    thread.start()
    emulator.wait_for(6)
    assert [job.get() for job in jobs] == [(200, "Hello.")] * 5 + [None] * 5
    thread.join()

@pytest.mark.emulator(provider="beatra")
def test_virtual_time(emulator, emulator_time):
    emulator.on().reply("Late.", latency="1h")
    began = time.time()
    assert ask(emulator.base_url, emulator.api_key) == (200, "Late.")
    gevent.sleep(3600)
    assert 7200 <= time.time() - began < 7260
"""
PATCH = "from gevent import monkey; monkey.patch_all()\n"


@pytest.mark.parametrize("before", ["pytest", "the test's module"])
def test_it_works_beside_greenlets(pytester: pytest.Pytester, before: str) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(test_it=(PATCH if before != "pytest" else "") + HEAD + GREENLETS)
    start = (PATCH if before == "pytest" else "") + "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    found = pytester.run(sys.executable, "-c", start, "-p", "no:schemathesis", timeout=60).parseoutcomes()
    found.pop("warnings", None)  # of gevent, where it is late
    assert found == {"passed": 2}


def test_virtual_time_must_be_named_where_the_session_is_made(run: Run) -> None:
    result = run("def test_one(emulator, request):\n    request.getfixturevalue('emulator_time')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["emulator_time must be named among the test's arguments or its usefixtures"])
    run("@pytest.mark.usefixtures('emulator_time')\ndef test_one(emulator):\n    time.sleep(60)").assert_outcomes(
        passed=1
    )


def test_virtual_time_wins_over_the_scenarios_clock(run: Run) -> None:
    run("""
@pytest.mark.emulator({"emulator": 1, "clock": "real", "rules": []}, clock="real")
def test_one(emulator, emulator_time):
    assert emulator.clock.kind == "virtual"
""").assert_outcomes(passed=1)  # fmt: skip


# What it costs


def test_a_run_that_does_not_use_it_imports_nothing_heavy() -> None:
    code = """
import sys
import pytest
before = set(sys.modules)
import emulator.testing.plugin
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert ast.literal_eval(output) == ["emulator"]
