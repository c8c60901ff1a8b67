"""Reports: the file and its schema, the terminal, JUnit and HTML, with hostile text in every field."""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import SourceError
from emulator.contract.reports.display import json_text, response_text
from emulator.contract.reports.files import Kind, write_reports
from emulator.contract.reports.html import html_page
from emulator.contract.reports.junit import junit_xml
from emulator.contract.reports.report import MAX_LEVELS, OUTCOMES, PHASES, Report, Result, parse_report, report_json
from emulator.contract.reports.terminal import MOST_SHORT, MOST_WHOLE, Progress, write_summary
from emulator.core.schema.formats import own_schema

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:4010/beatra/v1"
REQUEST = {
    "method": "POST", "url": f"{URL}/chat/completions",
    "headers": {"authorization": "Bearer $API_KEY"}, "body": {"n": 1},
}  # fmt: skip
RESPONSE = {"status": 200, "headers": {"x-request-id": "req_1"}, "body": {"id": "a"}, "ended": "complete"}
CURL = "curl http://127.0.0.1:4010/beatra/v1/chat/completions"


def result(id: str, outcome: str = "failed", **given: Any) -> Result:
    fields = {"id": id, "phase": "facts", "fact": id, "source": "Docs > Chat", "assumed": False, "outcome": outcome}
    return Result(**{**fields, **given})


def report(*cases: Result) -> Report:
    return Report("beatra", URL, 7, 1_795_341_448.2, 12.34, 57, cases)


FAILED = result(
    "be-temperature", message="temperature 2.1 gets 400", expected=400, actual=200, request=REQUEST, response=RESPONSE,
    curl=CURL, seconds=0.25,
)  # fmt: skip
OBSERVED = result("be-path", "observed", message="an unknown path gets 404", expected=404, actual=405, assumed=True)
PASSED, UNSEEN = result("be-auth", "passed"), result("be-503", "not_seen", message="it cannot be told to")
OPEN = result("fuzz/chat/1", "inconclusive", phase="fuzz", fact=None, source="", message="the budget is spent")


# The file.

plain = st.text(st.characters(codec=None), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4),
    max_leaves=12,
)
exchanges = st.none() | st.dictionaries(plain, values, max_size=4)
seconds = st.floats(0, 1e9)
results = st.builds(
    Result, plain, st.sampled_from(PHASES), st.none() | plain, plain, st.booleans(), st.sampled_from(OUTCOMES), plain,
    values, values, exchanges, exchanges, st.none() | plain, seconds, plain,
)  # fmt: skip
reports = st.builds(
    Report, plain, plain, st.integers(), seconds, seconds, st.integers(0), st.lists(results, max_size=4).map(tuple)
)


@given(reports)
@settings(max_examples=60)
def test_any_report_conforms_and_comes_back(drawn: Report) -> None:
    assert own_schema("report").violations(report_json(drawn)) == ()
    assert parse_report(json.dumps(report_json(drawn)).encode(), "report.json") == drawn


@given(reports)
@settings(max_examples=40)
def test_any_report_can_be_shown(drawn: Report) -> None:
    suites = ElementTree.fromstring(junit_xml(drawn))
    assert len(suites.findall("testsuite/testcase")) == len(drawn.cases) + len(drawn.findings)
    assert len(suites.findall("testsuite/testcase/failure")) == len(
        [found for found in drawn.findings if found.worst.outcome == "failed"]
    )
    _Page().feed(html_page(drawn).decode())
    for baseline in (None, replace(drawn, cases=())):
        stream = io.StringIO()
        write_summary(drawn, stream, baseline)
        assert "\x1b" not in stream.getvalue()


def test_the_schema_says_what_each_field_is_and_allows_no_other() -> None:
    document = own_schema("report").document
    closed = [document, document["properties"]["totals"], document["$defs"]["case"], document["$defs"]["finding"]]
    for item in closed:
        later = {"findings", "difference"} - {*document["$defs"]["finding"]["properties"]}
        assert (item["additionalProperties"], item["required"]) == (
            False, [name for name in item["properties"] if name not in later],
        )  # fmt: skip
        assert all(field["description"] for field in item["properties"].values())
    assert list(document["properties"]) == list(report_json(report()))
    assert list(document["$defs"]["case"]["properties"]) == list(report_json(report(PASSED))["cases"][0])


def test_the_schema_is_packed_like_the_others() -> None:
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert packed["force-include"]["schemas"] == "emulator/_data/schemas"
    assert (ROOT / "schemas" / "report.schema.json").is_file()


def test_what_json_cannot_say_is_said_in_words() -> None:
    deep: Any = "deep"
    for _ in range(3000):
        deep = [deep]
    held = report_json(report(result("a", actual=[float("nan"), float("-inf"), (1,)], expected={"a": deep})))["cases"][
        0
    ]
    assert held["actual"] == ["nan", "-inf", [1]]
    inside = "[" * (MAX_LEVELS - 1) + '"…"' + "]" * (MAX_LEVELS - 1)
    assert json.dumps(held["expected"], ensure_ascii=False) == f'{{"a": {inside}}}'
    for _ in range(MAX_LEVELS + 1):
        deep = {"b": deep}
    held = report_json(report(result("a", actual=deep)))["cases"][0]
    assert json.dumps(held["actual"], ensure_ascii=False) == '{"b": ' * MAX_LEVELS + '"…"' + "}" * MAX_LEVELS


GOOD = json.dumps(report_json(report(FAILED)), indent=1)
BAD = {
    "empty": (b"", ["1:1: is no JSON: Expecting value"]),
    "not UTF-8": (b"{\n\xff}", ["2:1: is not UTF-8"]),
    "broken": (b'{"report": 1,\n  oops}', ["2:3: is no JSON: Expecting property name enclosed in double quotes"]),
    "NaN": (GOOD.replace("12.34", "NaN").encode(), ["1:1: is no JSON: NaN is no number"]),
    "deep": (b"[" * 100_000, ["1:1: is no report: it is nested too deep"]),
    "a list": (b"[]", ["1:1: must be an object, not []"]),
    "version": (GOOD.replace('"report": 1', '"report": 2').encode(), ["2:2: report: must be 1, not 2"]),
    "unknown": (
        GOOD.replace('"fact": "be-temperature",\n   "source"', '"fakt": "be-temperature",\n   "source"').encode(),
        ["30:4: cases[0].fakt: is not known here; did you mean 'fact'?", "27:3: cases[0].fact: is required"],
    ),
    "no places": (
        GOOD.replace('"assumed": false', '"assumed": 0').replace("Docs", "\\ud800").encode(),
        ["1:1: cases[0].assumed: must be true or false, not 0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD)
def test_what_is_no_report_is_told_with_its_place(text: bytes, problems: list[str]) -> None:
    with pytest.raises(SourceError) as caught:
        parse_report(text, "old.json")
    assert sorted(map(str, caught.value.problems)) == sorted(f"old.json:{problem}" for problem in problems)


def test_the_files_are_written_and_read_back(tmp_path: Path) -> None:
    made = report(FAILED, result("be-half", actual="\ud800 😀"))
    wanted: Mapping[Kind, Path] = {
        "json": tmp_path / "r.json",
        "junit": tmp_path / "r.xml",
        "html": tmp_path / "r.html",
    }
    write_reports(made, wanted)
    assert parse_report((tmp_path / "r.json").read_bytes(), "r.json") == made
    assert (tmp_path / "r.xml").read_bytes() == junit_xml(made)
    assert (tmp_path / "r.html").read_bytes() == html_page(made)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_written_is_told_when_the_rest_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="cannot be written") as caught:
        write_reports(
            report(), {"json": tmp_path / "no/r.json", "junit": tmp_path / "folder", "html": tmp_path / "r.html"}
        )
    assert str(caught.value) == (
        f"{tmp_path}/no/r.json cannot be written: No such file or directory\n"
        f"{tmp_path}/folder cannot be written: Is a directory"
    )
    assert {file.name for file in tmp_path.iterdir()} == {"folder", "r.html"}


# The terminal.

FAILURE = f"""\
Failed: 2 in 3 cases

  coverage/1  be-top-p, Docs > Chat
    is refused
    expected  400
    actual    500
    2 cases  coverage/1, coverage/2
    run it alone: --case coverage/1

  be-temperature  Docs > Chat
    temperature 2.1 gets 400
    expected  400
    actual    200
    request   POST {URL}/chat/completions {{"n": 1}}
    answer    200 {{"id": "a"}}
    curl      {CURL}
    run it alone: --case be-temperature

"""
SHORT = """\
Observed (the docs are silent, and we assumed otherwise): 1
  be-path  an unknown path gets 404: expected 404, got 405

Inconclusive: 1
  fuzz/chat/1  the budget is spent

"""


def summary(now: Report, baseline: Report | None = None) -> str:
    stream = io.StringIO()
    write_summary(now, stream, baseline)
    return stream.getvalue()


def covered(number: int, **given: Any) -> Result:
    fields = {"phase": "coverage", "fact": "be-top-p", "message": "is refused", "expected": 400, "actual": 500}
    return result(f"coverage/{number}", **{**fields, **given})


def test_the_summary_of_a_run() -> None:
    text = summary(report(PASSED, FAILED, OBSERVED, UNSEEN, covered(1), covered(2), OPEN))
    assert text == FAILURE + SHORT + (
        "facts     1 passed  1 failed  1 not seen  1 observed\n"
        "coverage  2 failed\n"
        "fuzz      1 inconclusive\n"
        f"beatra: 7 cases, 57 requests in 12.3 s, seed 7, {URL}\n"
    )


def test_the_summary_of_a_run_without_a_failure() -> None:
    text = summary(replace(report(PASSED), requests=1))
    assert text == f"facts  1 passed\nbeatra: 1 case, 1 request in 12.3 s, seed 7, {URL}\n"


def test_the_summary_of_drift() -> None:
    other = replace(FAILED, id="be-top-p", fact="be-top-p", request=None, curl=None)
    baseline = report(
        FAILED, replace(PASSED, id="be-top-p"), result("be-new", "not_seen"), result("be-auth"),
        result("be-gone", "passed"), replace(OBSERVED, actual=500),
    )  # fmt: skip
    new = result("be-new", message="is new", expected="a", actual=None)
    assert summary(report(FAILED, other, new, PASSED, OBSERVED, covered(1, outcome="passed")), baseline) == (
        "New failures (docs and target disagree): 1\n\n"
        '  be-new  Docs > Chat\n    is new\n    expected  "a"\n    actual    null\n    run it alone: --case be-new\n\n'
        "The target changed since the baseline, and fails: 1\n\n"
        "  be-top-p  Docs > Chat\n    temperature 2.1 gets 400\n    before    passed\n    expected  400\n"
        '    actual    200\n    answer    200 {"id": "a"}\n    run it alone: --case be-top-p\n\n'
        "The target changed since the baseline: 1\n  be-path  an unknown path gets 404: expected 404, got 405\n\n"
        "Known failures (docs and target disagree as in the baseline): 1\n"
        "  be-temperature  temperature 2.1 gets 400: expected 400, got 200\n\n"
        "Fixed since the baseline: 1\n  be-auth\n\n"
        "Not in the baseline: 1 case: coverage/1\n\n"
        "Only in the baseline: 1 case: be-gone\n\n"
        "Observed (the docs are silent, and we assumed otherwise): 1\n"
        "  be-path  an unknown path gets 404: expected 404, got 405\n\n"
        "facts     1 passed  3 failed  1 observed\n"
        "coverage  1 passed\n"
        f"beatra: 6 cases, 57 requests in 12.3 s, seed 7, {URL}\n"
    )


def test_a_summary_is_bounded() -> None:
    failures = [covered(number, actual=number, difference=f"{number}th") for number in range(MOST_WHOLE + 2)]
    seen = [result(str(number), "observed", actual=number) for number in range(MOST_SHORT + 3)]
    equal = [covered(number, actual="x" * 9000) for number in range(100, 112)]
    text = summary(report(*equal, *failures, *seen))
    assert "12 cases  coverage/100, coverage/101," in text
    assert "coverage/109 and 2 more\n" in text
    assert "\n  and 3 more; --report html=PATH has them all\n" in text
    assert "\n  and 3 more\n" in text
    assert max(map(len, text.splitlines())) < 600


def test_failures_without_a_fact_are_told_apart_by_what_they_say() -> None:
    text = summary(report(*(result(name, fact=None, message=f"says {name[0]}") for name in ("a1", "a2", "b1"))))
    assert [line.strip() for line in text.splitlines() if "says" in line or "cases  " in line] == [
        "says a", "2 cases  a1, a2", "says b",
    ]  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_on_a_terminal_only() -> None:
    stream = Terminal()
    write_summary(report(FAILED), stream)
    assert "\x1b[31m\x1b[1mbe-temperature\x1b[0m" in stream.getvalue()
    assert "\x1b" not in summary(report(FAILED))


def test_an_answer_does_not_act_on_the_terminal() -> None:
    acts = "\x1b]0;x\x07\r\x9b31m\u202e\ud800"
    fields = dict.fromkeys(("id", "fact", "source", "message", "expected", "actual", "curl"), acts)
    text = summary(report(result(**fields, request={"method": acts, "url": acts, "body": acts})))
    assert not set("\x1b\x07\r\x9b\u202e\ud800") & set(text)
    assert "\\u001b]0;x\\u0007\\r\\u009b31m\\u202e\\ud800" in text


def test_a_stream_that_knows_few_characters_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    write_summary(report(result("a", message="né 😀")), stream)
    stream.flush()
    assert b"n\\xe9 \\U0001f600" in raw.getvalue()


def progress(stream: io.StringIO, times: list[float], total: int = 4) -> str:
    clock = iter([0.0, *times])
    shown = Progress(stream, lambda: next(clock))
    shown.on_start(total, 9)
    for done, item in enumerate([PASSED, FAILED, UNSEEN, PASSED][: len(times)], 1):
        shown.on_result(item, done, total)
    shown.close()
    return stream.getvalue()


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_quick_run_shows_no_progress(stream: type[io.StringIO]) -> None:
    started = "" if stream is Terminal else "4 cases, about 9 requests\n"
    assert progress(stream(), [0.1, 0.2, 0.3, 99.0]) == started


def test_the_progress_of_a_long_run_on_a_terminal() -> None:
    assert progress(Terminal(), [1.5, 1.55, 2.0, 2.5]) == (
        "\r\x1b[K[######------------------] 1 of 4 cases  be-auth"
        "\r\x1b[K[##################------] 3 of 4 cases, 1 failed, 1 not seen  be-503"
        "\r\x1b[K"
    )


def test_the_progress_of_a_long_run_in_a_file() -> None:
    assert progress(io.StringIO(), [9.0, 11.0, 12.0, 30.0]) == ("4 cases, about 9 requests\n2 of 4 cases, 1 failed\n")


# JUnit.


def test_a_junit_file() -> None:
    text = junit_xml(report(PASSED, replace(FAILED, curl=None, request=None, response=None), UNSEEN, OPEN))
    assert (
        text.decode()
        == f"""\
<?xml version='1.0' encoding='utf-8'?>
<testsuites name="contract of beatra" tests="5" errors="0" failures="1" skipped="3" time="12.340">
  <testsuite name="findings" tests="1" errors="0" failures="1" skipped="0" time="0.000" timestamp="2026-11-22T09:57:28">
    <properties>
      <property name="provider" value="beatra" />
      <property name="url" value="{URL}" />
      <property name="seed" value="7" />
    </properties>
    <testcase classname="beatra.findings" name="be-temperature" time="0.000">
      <failure type="be-temperature" message="temperature 2.1 gets 400; got 200">1 case: be-temperature
docs: Docs &gt; Chat
expected: 400
actual: 200

run it alone: --case be-temperature</failure>
    </testcase>
  </testsuite>
  <testsuite name="facts" tests="3" errors="0" failures="0" skipped="2" time="0.250" timestamp="2026-11-22T09:57:28">
    <properties>
      <property name="provider" value="beatra" />
      <property name="url" value="{URL}" />
      <property name="seed" value="7" />
    </properties>
    <testcase classname="beatra.facts" name="be-auth" time="0.000" />
    <testcase classname="beatra.facts" name="be-temperature" time="0.250">
      <skipped message="failed; see the finding be-temperature: temperature 2.1 gets 400; got 200" />
    </testcase>
    <testcase classname="beatra.facts" name="be-503" time="0.000">
      <skipped message="not seen: it cannot be told to" />
    </testcase>
  </testsuite>
  <testsuite name="fuzz" tests="1" errors="0" failures="0" skipped="1" time="0.000" timestamp="2026-11-22T09:57:28">
    <properties>
      <property name="provider" value="beatra" />
      <property name="url" value="{URL}" />
      <property name="seed" value="7" />
    </properties>
    <testcase classname="beatra.fuzz" name="fuzz/chat/1" time="0.000">
      <skipped message="inconclusive: the budget is spent" />
    </testcase>
  </testsuite>
</testsuites>
"""
    )


KNOWN, NEW = result("be-known", message="it is", expected=1, actual=2), result("be-new", message="so", actual=3)
CHANGED, FIXED = result("be-changed", expected=1, actual=2), result("be-fixed", "passed")
NOW = report(KNOWN, NEW, CHANGED, FIXED, PASSED)
EARLIER = report(KNOWN, replace(CHANGED, actual=9), replace(FIXED, outcome="failed"), PASSED)


def test_what_is_observed_has_passed() -> None:
    suites = ElementTree.fromstring(junit_xml(report(OBSERVED)))
    assert (suites.get("tests"), suites.get("failures"), suites.get("skipped")) == ("2", "0", "0")
    assert [(case.get("classname"), case.findtext("system-out")) for case in suites.iter("testcase")] == [
        (f"beatra.{suite}", "observed: the docs are silent, and the target differs from what we assumed\n"
         "an unknown path gets 404\ndocs: Docs > Chat\nexpected: 404\nactual: 405\n\nrun it alone: --case be-path")
        for suite in ("findings", "facts")
    ]  # fmt: skip


def test_a_finding_fails_once_and_names_the_cases_that_saw_it() -> None:
    seen = [covered(1, difference="x"), replace(FAILED, difference="x")]
    suites = ElementTree.fromstring(junit_xml(report(*seen, replace(FAILED, id="other", message="other"))))
    told = [(case.get("name"), case[0].tag, case[0].get("message")) for case in suites.iter("testcase")]
    assert told == [
        ("coverage/1", "failure", "is refused; got 500"),
        ("other", "failure", "other; got 200"),
        ("be-temperature", "skipped", "failed; see the finding coverage/1: is refused; got 500"),
        ("other", "skipped", "failed; see the finding other: other; got 200"),
        ("coverage/1", "skipped", "failed; see the finding coverage/1: is refused; got 500"),
    ]
    failure = suites.findtext("testsuite/testcase/failure") or ""
    assert failure.startswith("2 cases: coverage/1, be-temperature\n")


def test_a_junit_file_fails_for_findings_alone(tmp_path: Path) -> None:
    write_reports(NOW, {"junit": tmp_path / "r.xml"}, EARLIER)
    suites = ElementTree.fromstring((tmp_path / "r.xml").read_bytes())
    assert (suites.get("tests"), suites.get("failures"), suites.get("skipped")) == ("8", "2", "4")
    told = [(case.get("name"), [(item.tag, item.get("message"), (item.text or "").split("\n")[0]) for item in case])
            for case in suites.iter("testcase")]  # fmt: skip
    assert told == [
        ("be-known", [("skipped", "known: it fails as it did in the baseline: it is", "docs: Docs > Chat")]),
        ("be-new", [("failure", "so; got 3", "new since the baseline")]),
        ("be-changed", [("failure", "; got 2", "changed since the baseline")]),
        ("be-known", [("skipped", "known: it fails as it did in the baseline: it is", "docs: Docs > Chat")]),
        ("be-new", [("skipped", "failed; see the finding be-new: so; got 3", "")]),
        ("be-changed", [("skipped", "failed; see the finding be-changed: ; got 2", "")]),
        ("be-fixed", [("system-out", None, "fixed since the baseline")]),
        ("be-auth", []),
    ]


def test_a_page_tells_what_is_known_from_what_is_new(tmp_path: Path) -> None:
    write_reports(NOW, {"html": tmp_path / "r.html"}, EARLIER)
    page = (tmp_path / "r.html").read_text("utf-8")
    words = re.findall(r'<span class="word">([^<]*)</span><span class="id">([^<]*)<', page)
    assert words == [
        ("known failed", "be-known"), ("new failed", "be-new"), ("changed failed", "be-changed"),
        ("fixed passed", "be-fixed"), ("passed", "be-auth"),
    ]  # fmt: skip
    for word in ("known", "new", "changed", "fixed"):
        assert f"<span>1 {word} since the baseline</span>" in page


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_xml_cannot_say_is_replaced(outcome: str) -> None:
    hard = "a\x00\x1b\ud800\uffff]]>&amp;<b>\"'😀\u0085z"
    fields = dict.fromkeys(("id", "fact", "source", "message", "expected", "actual", "curl"), hard)
    item = result(**fields, outcome=outcome, request={"url": hard, "headers": {hard: hard}, "body": {hard: hard}})
    root = ElementTree.fromstring(junit_xml(replace(report(item), provider=hard, url=hard)))
    legal = "a\ufffd\ufffd\ufffd\ufffd]]>&amp;<b>\"'😀\u0085z"
    case = root.find("testsuite/testcase")
    assert case is not None
    suite = "findings" if outcome in ("failed", "observed") else "facts"
    assert (case.get("name"), case.get("classname")) == (legal, f"{legal}.{suite}")
    told = [part.get("message") or (part.text or "") for part in case]
    assert all(legal in text for text in told)
    assert len(told) == (outcome != "passed")


def test_a_failure_shows_the_exchange() -> None:
    failure = ElementTree.fromstring(junit_xml(report(FAILED))).findtext("testsuite/testcase/failure")
    assert failure == (
        "1 case: be-temperature\ndocs: Docs > Chat\nexpected: 400\nactual: 200\n\n"
        f'POST {URL}/chat/completions\nauthorization: Bearer $API_KEY\n\n{{\n  "n": 1\n}}\n\n'
        f'200\nx-request-id: req_1\n\n{{\n  "id": "a"\n}}\n\n{CURL}\n\nrun it alone: --case be-temperature'
    )


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({"status": 0, "headers": {}, "body": "", "ended": "unreachable"}, "no answer (unreachable)"),
        ({"status": 200, "headers": {"a": "b"}, "body": "data: x\n", "ended": "cut"}, "200 (cut)\na: b\n\ndata: x\n"),
        ({"status": 200, "body": False, "ended": "complete"}, "200\n\nfalse"),
        ({"headers": 3}, "no answer"),
    ],
)  # fmt: skip
def test_answers_are_shown_as_they_came(response: dict[str, Any], text: str) -> None:
    assert response_text(response) == text


def test_values_are_shown_as_json() -> None:
    assert json_text({"a": ["é😀", float("inf"), "\x7f\u2028\n"]}) == '{"a": ["é😀", "inf", "\\u007f\\u2028\\n"]}'


# HTML.


class _Page(HTMLParser):
    """What a page is made of; fails on elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def page(made: Report) -> _Page:
    parsed = _Page()
    parsed.feed(html_page(made).decode())
    parsed.close()
    assert parsed.open == []
    return parsed


def shape(made: Report) -> list[tuple[str, list[str]]]:
    """Return the elements of a page and the names of their attributes; links aside."""
    return [(tag, sorted(given)) for tag, given in page(made).elements if tag != "a"]


HOSTILE = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "\"><svg onload='x'>",
    "</style></pre></details>", "' onmouseover='x", "javascript:alert(1)",
    "$title ${facts} $$ &lt; &#60;", "<!-- ", "]]>", "\x00\x1b\ud800\u202e",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_report_becomes_markup(text: str) -> None:
    def made(said: str) -> Report:
        fields = dict.fromkeys(("id", "fact", "source", "message", "expected", "actual", "curl"), said)
        message = {"method": said, "url": said, "status": said, "ended": said, "headers": {said: said}, "body": said}
        cases = [
            result(**fields, outcome=word, request=message, response={**message, "body": {said: said}})
            for word in OUTCOMES
        ]
        return replace(report(*cases), provider=said, url=said)

    hostile = page(made(text))
    assert shape(made(text)) == shape(made("words"))
    assert {tag for tag, _ in hostile.elements} & {"script", "img", "svg", "iframe"} == set()
    assert all(given["href"].startswith("#case-") for tag, given in hostile.elements if tag == "a")
    if text.isprintable():
        shown = "".join(hostile.texts)
        assert shown.count(text) >= 9 * len(OUTCOMES)


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        (URL, True), ("https://api.example.com/v1?a=1&b=2", True), ("HTTPS://api.example.com", True),
        ("javascript:alert(1)", False), ("JAVASCRIPT://x/%0aalert(1)", False),
        ("data:text/html,x", False), ("//example.com", False), ("http:", False),
        (" http://example.com", False), ("http://[::1", False), ("http://example.com/\"onclick=x", True),
    ],
)  # fmt: skip
def test_only_an_address_of_the_web_becomes_a_link(url: str, linked: bool) -> None:
    links = [given["href"] for tag, given in page(replace(report(), url=url)).elements if tag == "a"]
    assert links == ([url] if linked else [])


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    made = page(report(FAILED, OBSERVED, PASSED))
    policy = [given["content"] for tag, given in made.elements if given.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    assert not [tag for tag, given in made.elements if tag in ("script", "link", "img") or "src" in given]
    assert "url(" not in html_page(report()).decode()
    assert "@import" not in html_page(report()).decode()


def test_the_page_has_the_cases_by_phase_and_outcome() -> None:
    made = page(report(PASSED, FAILED, OBSERVED, UNSEEN, OPEN))
    cases = [(tag, given["class"]) for tag, given in made.elements if (given.get("class") or "").startswith("case ")]
    assert cases == [
        ("details", "case finding failed"), ("details", "case finding observed"),
        ("details", "case failed"), ("details", "case observed"), ("details", "case not_seen"), ("div", "case passed"),
        ("details", "case inconclusive"),
    ]  # fmt: skip
    places = {given.get("id") for _, given in made.elements}
    assert all(given["href"][1:] in places for tag, given in made.elements if tag == "a" and given["href"][0] == "#")
    filters = [given["id"] for tag, given in made.elements if tag == "input"]
    assert filters == [f"show-{word}" for word in OUTCOMES]
    text = "\n".join(made.texts)
    for part in ("2026-11-22 09:57:28 UTC", "seed 7", "12.3 s", "Fact: be-temperature", "Docs: Docs > Chat", CURL,
                 "--case be-temperature", "Bearer $API_KEY", "x-request-id: req_1"):  # fmt: skip
        assert part in text


def test_every_outcome_can_be_hidden() -> None:
    css = html_page(report()).decode()
    for word in OUTCOMES:
        assert f"body:has(#show-{word}:not(:checked)) .case.{word}" in css


def test_the_page_of_no_cases_says_so() -> None:
    assert "No cases." in page(report()).texts
