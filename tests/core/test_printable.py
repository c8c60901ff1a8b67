"""What comes from outside acts on no terminal, forges no line, splits no header, and breaks no page by its name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import httpx2
import pytest
from build import PROVIDERS, chat, headers_of, make_session
from hypothesis import given
from hypothesis import strategies as st

from emulator import Emulator
from emulator.contract.reports.html import html_page
from emulator.contract.reports.junit import junit_xml
from emulator.contract.reports.report import Report, Result
from emulator.core.engine.load import load_scenario
from emulator.core.errors import Problem, SourceError, printable, printable_lines
from emulator.core.journal import findings as teardown
from emulator.core.journal.describe import describe
from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession, read_scenario

OVERRIDE = "\u202egnp.exe\u2066x\u2069\x1b[2Jy\u200bz"
SCENARIO = "emulator: 1\nprovider: beatra\nrules:\n  - {when: {last_user: hello}, reply: {text: Hi!}}\n"
#: A line feed and a header behind it, bytes that are no UTF-8, and what turns text around.
FILES = [b"a\r\nx-forged: 1\nb.yaml", b"\xff\xfe.yaml", "\u202elmay.yaml".encode()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"), ("Grüße! 你好 👋🏽\u3000x\u00a0y", "Grüße! 你好 👋🏽\u3000x\u00a0y"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"), ("\x1b[31m", r"\u001b[31m"), ("\u202e\u2066\u200b", r"\u202e\u2066\u200b"),
        ("\udcff", r"\udcff"), ("\U000e0041", r"\U000e0041"), ("", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_of_ours_stay_lines() -> None:
    assert printable_lines("a\n\tb\r\x85") == "a\n\tb\\r\\u0085"


@given(st.text(st.characters(codec=None)))
def test_nothing_acts_and_what_is_shown_can_be_written(text: str) -> None:
    shown = printable(text)
    assert all(char.isprintable() or char.isspace() for char in shown)
    assert not set("\n\r\t\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029") & set(shown)
    assert printable(shown) == shown
    shown.encode()


# Names of files


@pytest.fixture(params=FILES, ids=["line feed", "no UTF-8", "override"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(request.param))
    path.write_text(SCENARIO)
    return path


def test_the_name_of_a_file_splits_no_header_and_breaks_no_answer(file: Path) -> None:
    with Emulator(file) as emulator:
        url = f"{emulator.url}/beatra/v1/chat/completions"
        answer = httpx2.post(url, json=chat(), headers={"authorization": "Bearer k"}, trust_env=False)
        assert answer.status_code == 200
        assert "x-forged" not in answer.headers
        assert answer.headers["x-emulator-rule"].endswith(".yaml:4")
        for path in ("/sessions", "/sessions/default", "/sessions/default/journal", "/metrics"):
            shown = httpx2.get(f"{emulator.url}/_emulator{path}", trust_env=False)
            assert (path, shown.status_code) == (path, 200)
        assert f'rule="{printable(str(file))}:4"'.replace("\\", "\\\\") in shown.text


def test_a_problem_of_a_file_can_be_shown_whatever_its_name(file: Path) -> None:
    file.write_text("emulator: 1\nrule: []\n")
    with pytest.raises(SourceError) as caught:
        load_scenario(file, PROVIDERS)
    assert str(caught.value).startswith(f"{printable(str(file))}:2:1: rule: is not known here")
    assert caught.value.problems[0].file == printable(str(file))
    assert len(str(caught.value).splitlines()) == 1


def test_a_session_takes_a_file_of_any_name(file: Path) -> None:
    assert read_scenario(file)["file"] == printable(str(file))
    with Emulator() as emulator:
        control = Control(emulator.url)
        session = EmulatedSession(control, file)
        assert [rule["at"] for rule in session.read()["rules"]] == [f"{printable(str(file))}:4"]
        control.close()


def test_check_names_a_file_on_one_line(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emulator", "check", file], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.decode()) == (0, f"{printable(str(file))}: ok, 1 rule\n")


# What requests and scenarios say


def test_a_header_filled_from_a_request_is_one_line() -> None:
    live = make_session({"rules": [{"reply": {"text": "x", "headers": {"x-said": "${request.last_user}"}}}]})
    assert headers_of(live.send(body=chat(text="a\r\nx-forged: 1\u202e")))["x-said"] == "a??x-forged: 1?"


def test_an_id_of_several_lines_forges_none() -> None:
    live = make_session({"rules": [{"id": f"a\nb{OVERRIDE}", "when": {"last_user": "x"}, "reply": {"text": "x"}}]})
    row = describe(live.send())
    [told] = teardown.unmatched([row])
    assert f"s1.yaml:rules[0] ({printable(row['nearest'][0]['id'])})" in told.text
    rule = {"id": "a\nb", "at": "s.yaml:1", "calls": 0, "expect": {"calls": 1}}
    assert [item.text.splitlines() for item in teardown.unexpected([rule])] == [
        [item.text] for item in teardown.unexpected([rule])
    ]


def test_exec_prints_requests_so_that_they_can_be_seen(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SCENARIO)
    (tmp_path / "app.py").write_text(
        "import json, os, urllib.request, urllib.error\n"
        f"body = {chat(text=OVERRIDE)!r}\n"
        "ask = urllib.request.Request(os.environ['OPENAI_BASE_URL'] + '/chat/completions', json.dumps(body).encode(),\n"
        "    {'authorization': 'Bearer k', 'content-type': 'application/json'})\n"
        "try:\n    urllib.request.urlopen(ask)\nexcept urllib.error.HTTPError as error:\n    error.close()\n"
    )
    command = [sys.executable, "-m", "emulator", "exec", "a.yaml", "--", sys.executable, "app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    told = done.stderr.decode()
    assert '    last_user: expected "hello", got "\\u202egnp.exe\\u2066x\\u2069\\u001b[2Jy\\u200bz"\n' in told
    assert printable_lines(told) == told


def test_a_report_of_any_names_is_good_xml_and_html() -> None:
    name = "a\x00\x1b\nb\u202e"
    case = Result(
        name, "facts", name, name, False, "failed", name, name, name, {"method": name, "url": name}, None, name
    )
    report = Report("beatra", "http://a.test/v1", 0, 0.0, 0.0, 1, (case,))
    found = list(ElementTree.fromstring(junit_xml(report)).iter("testcase"))
    assert found
    assert all((item.get("name") or "").startswith("a") for item in found)
    assert "\u202e" not in html_page(report).decode()


def test_a_problem_is_shown_on_one_line() -> None:
    problem = Problem("a\nb.yaml", 1, 1, "x\ny", "is wrong")
    assert str(problem) == r"a\nb.yaml:1:1: x\ny: is wrong"
