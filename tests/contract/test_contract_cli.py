"""`emulator contract`: what it prints and writes, and the codes it exits with."""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from broken_endpoint import BrokenEndpoint
from click.testing import CliRunner
from hostile_target import HostileTarget

from emulator import Emulator
from emulator.cli.contract import insistent
from emulator.cli.main import main
from emulator.contract.run import plan
from emulator.core.schema.formats import data_folder
from tests.wires.asks import MADE_UP
from tests.wires.build import SCHEMAS

NAMES = ("beatra", "brainstormrouter", "braintwin", "brivionix")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in an empty folder of its own, with no key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEY", raising=False)
    return tmp_path


def outcome(*arguments: str, **env: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["contract", *arguments], env=env)
    return result.exit_code, result.stdout, result.stderr


MORE_PACKAGES = "Contract tests need more packages: pip install 'llm-emulator[contract]'"


@pytest.mark.parametrize("name", ["httpcore2", "hypothesis"])
def test_the_extra_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, and where Python imports what the docs show."""
    monkeypatch.setitem(sys.modules, name, None)
    for module in ("emulator.contract.run", "emulator.contract.client"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    code, out, said = outcome("--self", "--provider", "beatra")
    assert (code, out, MORE_PACKAGES in said) == (2, "", True), said
    with pytest.raises(ImportError, match=re.escape(MORE_PACKAGES)):
        importlib.import_module("emulator.contract.run")


@pytest.mark.parametrize("name", [*NAMES, *MADE_UP])
def test_our_own_emulator_does_as_documented(name: str, folder: Path) -> None:
    schemas = SCHEMAS if name in MADE_UP else None
    more = ["--schemas", str(schemas)] if schemas else []
    code, out, said = outcome("--self", "--provider", name, "--report", "json=report.json", *more)
    report = json.loads((folder / "report.json").read_text())
    cases = plan(name, schemas=schemas)
    assert (code, [file.name for file in folder.iterdir()]) == (0, ["report.json"])
    assert [case["id"] for case in report["cases"]] == [case.id for case in cases]
    assert report["totals"] == {"passed": len(cases), "failed": 0, "inconclusive": 0, "not_seen": 0, "observed": 0}
    assert re.match(rf"{len(cases)} cases, about \d+ requests\n", said)
    assert [line.split()[0] for line in out.splitlines()[:-1]] == list(dict.fromkeys(case.phase for case in cases))
    assert out.splitlines()[-1].startswith(f"{name}: {len(cases)} cases, {report['requests']} requests in ")


def test_our_own_emulator_with_a_plan_walks_its_limits() -> None:
    arguments = ["--self", "--provider", "braintwin", "--plan", "standard", "--case", "stateful/chat/limits"]
    code, out, said = outcome(*arguments)
    assert (code, said) == (0, "1 case, at most 126 requests\n")
    assert out.startswith("stateful  1 passed\nbraintwin: 1 case, 126 requests in ")


def test_a_provider_of_ones_own(folder: Path) -> None:
    own = Path(shutil.copytree(data_folder("schemas") / "beatra", folder / "mine"))
    (own / "provider.yaml").write_text((own / "provider.yaml").read_text().replace("name: beatra", "name: mine", 1))
    code, out, _ = outcome("--self", "--provider", "mine", "--schemas", ".", "--phase", "probe", "--phase", "examples")
    assert (code, out.splitlines()[:2]) == (0, ["probe     3 passed", "examples  2 passed"])


def test_a_failure_is_told_with_all_that_it_takes_to_repeat_it(broken: BrokenEndpoint) -> None:
    broken.break_with({"when": {"body": {"temperature": 2.1}}, "ignore": ["temperature"]})
    url = f"{broken.url}/beatra/v1"
    code, out, said = outcome(
        "--url", url, "--provider", "beatra", "--case", "be-temperature", "--api-key", "secret-key"
    )
    body = '{"model": "auto", "messages": [{"role": "user", "content": "Say hi in five words."}], "temperature": 2.1}'
    assert (code, said) == (1, "1 case, at most 10 requests\n")
    lines = out.splitlines()
    assert lines.pop(7).startswith('    answer    200 {"id": "chatcmpl_')
    assert lines[:-1] == [
        "Failed: 1",
        "",
        "  be-temperature  Key fields",
        "    a request with temperature 2.1 gets 400 (invalid_request)",
        "    expected  400",
        "    actual    200",
        f"    request   POST {url}/chat/completions {body}",
        f'    curl      curl -i -X POST {url}/chat/completions -H "Authorization: Bearer $API_KEY" '
        f"-H 'Content-Type: application/json' --data-binary '{body}'",
        "    run it alone: --case be-temperature",
        "",
        "facts  1 failed",
    ]
    assert out.splitlines()[-1].startswith("beatra: 1 case, 7 requests in ")


def test_what_was_only_assumed_is_told_and_is_no_failure(broken: BrokenEndpoint) -> None:
    broken.break_with({"when": {"status": 405}, "status": 404})
    arguments = ("--url", f"{broken.url}/beatra/v1", "--provider", "beatra", "--case", "be-unknown-path")
    code, out, _ = outcome(*arguments, API_KEY="k-of-the-environment")
    assert code == 0
    assert out.splitlines()[:2] == [
        "Observed (the docs are silent, and we assumed otherwise): 1",
        "  be-unknown-path  GET /chat/completions gets 405 (method_not_allowed): expected 405, got 404",
    ]


def test_what_a_baseline_knows_is_no_finding_and_what_is_new_is(broken: BrokenEndpoint, folder: Path) -> None:
    arguments = ("--url", f"{broken.url}/beatra/v1", "--provider", "beatra", "--api-key", "k", "--phase", "facts")
    broken.break_with({"when": {"body": {"temperature": 2.1}}, "ignore": ["temperature"]})
    assert outcome(*arguments, "--report", "json=before.json")[0] == 1
    code, out, _ = outcome(*arguments, "--baseline", "before.json")
    assert (code, "be-temperature" in out) == (0, True)
    broken.break_with({"when": {"status": 401}, "status": 500})
    code, out, _ = outcome(*arguments, "--baseline", "before.json")
    assert (code, "be-auth" in out) == (1, True)


def test_all_kinds_of_reports_are_written(folder: Path, emulator_url: str) -> None:
    url = ("--url", f"{emulator_url}/beatra/v1", "--api-key", "k")
    kinds = [f"--report={kind}=report.{kind}" for kind in ("json", "junit", "html")]
    assert outcome("--provider", "beatra", *url, "--case", "be-temperature", *kinds)[0] == 0
    assert {file.name: b"be-temperature" in file.read_bytes() for file in folder.iterdir()} == {
        "report.json": True, "report.junit": True, "report.html": True,
    }  # fmt: skip


def test_a_report_goes_where_a_link_leads_and_into_a_pipe(folder: Path, emulator_url: str) -> None:
    (folder / "real.json").write_text("")
    (folder / "link.json").symlink_to("real.json")
    os.mkfifo(folder / "pipe")
    arguments = ["--provider", "beatra", "--url", f"{emulator_url}/beatra/v1", "--api-key", "k"]
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        reports = ["--report", "json=link.json", "--report", "html=pipe"]
        assert outcome(*arguments, "--case", "be-temperature", *reports)[0] == 0
        page = reader.communicate(timeout=10)[0]
    assert b"be-temperature" in page
    assert (folder / "link.json").is_symlink()
    assert b"be-temperature" in (folder / "real.json").read_bytes()


def test_a_short_key_is_no_part_of_other_words(emulator_url: str, folder: Path) -> None:
    url = ("--url", f"{emulator_url}/beatra/v1", "--provider", "beatra", "--api-key", "k")
    assert outcome(*url, "--case", "be-max-tokens", "--report", "json=r.json")[0] == 0
    assert "$API_KEY" not in (folder / "r.json").read_text().replace("Bearer $API_KEY", "")


def test_a_baseline_of_another_provider_is_refused(emulator_url: str, folder: Path) -> None:
    url = ("--url", f"{emulator_url}/braintwin/v1", "--api-key", "k-k-k")
    assert outcome("--provider", "braintwin", *url, "--case", "bt-ok-200", "--report", "json=b.json")[0] == 0
    assert outcome("--provider", "beatra", *URL, "--baseline", "b.json") == (
        2, "", "b.json is a report on braintwin, not on beatra.\n",
    )  # fmt: skip


def test_a_baseline_that_is_none_is_told(folder: Path) -> None:
    (folder / "bad.json").write_text('{"report": 1}')
    code, _, said = outcome("--provider", "beatra", *URL, "--baseline", "bad.json")
    assert (code, said.splitlines()[0].startswith("bad.json:1:1: ")) == (1, True)


def test_a_budget_that_is_spent_is_told_once() -> None:
    with HostileTarget("good") as target:
        arguments = ("--url", target.url, "--provider", "brivionix", "--api-key", "k", "--phase", "examples")
        code, out, _ = outcome(*arguments, "--max-requests", "2")
    assert code == 4
    assert out.count("the budget of 2 requests is spent") == 1
    assert out.splitlines()[-1].startswith("brivionix: 6 cases, 2 requests in ")


UNREACHABLE = {
    "nobody": ("http://127.0.0.1:9/v1", "k", "probe/reachable"),
    "a bad key": ("{url}/beatra/v1", "an-invalid-key", "probe/key"),
}


@pytest.mark.parametrize(("url", "key", "case"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_target_that_cannot_be_used(url: str, key: str, case: str, emulator_url: str, folder: Path) -> None:
    arguments = ("--url", url.format(url=emulator_url), "--provider", "beatra", "--api-key", key)
    code, out, _ = outcome(*arguments, "--report", "json=r.json")
    report = json.loads((folder / "r.json").read_text())
    assert code == 3
    assert out.startswith(f"Failed: 1\n\n  {case}")
    assert ("Connection refused" in out) is (case == "probe/reachable")
    assert (report["cases"][-1]["id"], {item["phase"] for item in report["cases"]}) == (case, {"probe"})
    assert key not in out + (folder / "r.json").read_text() or key == "k"


URL = ("--url", "http://127.0.0.1:9/v1", "--api-key", "k")
WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no target": ((), "Say what is tested: either --url BASE_URL or --self.\n"),
    "two targets": (("--self", *URL), "Say what is tested: either --url BASE_URL or --self.\n"),
    "no key": (
        URL[:2], "Give the key of the URL, any where it asks for none: --api-key KEY, or the variable API_KEY.\n"
    ),
    "no budget": (
        ("--url", "https://api.example.com/v1", "--api-key", "k"),
        "https://api.example.com/v1 is not on this machine: say how much a run may cost, by --max-requests or "
        "--max-tokens.\n",
    ),
    "no URL": (("--url", "localhost", "--api-key", "k", "--max-requests", "1"),
               "'localhost' is no base URL; write one such as https://api.example.com/v1\n"),
    "no URL at all": (("--url", "", "--api-key", "k"), "'' is no base URL; write one such as https://api.example.com/v1\n"),
    "half an address": (("--url", "http://[::1/v1", "--api-key", "k"),
                        "'http://[::1/v1' is no base URL; write one such as https://api.example.com/v1\n"),
    "a password": (("--url", "http://ada:secret@127.0.0.1:9/v1", "--api-key", "k"),
                   "the URL holds a name or a password, which would stand in reports; leave it out\n"),
    "a seed too large": ((*URL, "--seed", "9" * 30), "Invalid value for '--seed'"),
    "no such case": ((*URL, "--case", "be-steam"), "There is no case 'be-steam'; did you mean 'be-stream'?\n"),
    "no such plan": ((*URL, "--plan", "gold"), "There is no plan 'gold'; known: unlimited\n"),
    "no such provider": ((*URL, "--provider", "beatr"), "There is no provider 'beatr'; did you mean 'beatra'?\n"),
    "no such phase": ((*URL, "--phase", "x"), "Invalid value for '--phase'"),
    "no such report": ((*URL, "--report", "xml=a"), "'xml=a' is no report; write json=PATH, junit=PATH, html=PATH"),
    "two of a kind": ((*URL, "--report", "json=a", "--report", "json=b"), "each kind of report goes to one file"),
    "one file twice": ((*URL, "--report", "json=a", "--report", "html=a"), "each kind of report goes to one file"),
    "no path": ((*URL, "--report", "json"), "'json' is no report; write json=PATH, junit=PATH, html=PATH"),
    "no folder": ((*URL, "--report", "json=no/a.json"), "no/a.json cannot be written: there is no folder no"),
    "no number": ((*URL, "--max-requests", "0"), "Invalid value for '--max-requests'"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_what_was_asked_for_wrongly(arguments: tuple[str, ...], says: str) -> None:
    code, out, said = outcome("--provider", "beatra", *arguments)
    assert (code, out) == (2, "")
    assert said == says if says.endswith("\n") else says in said


def test_a_folder_that_does_not_load(folder: Path) -> None:
    own = Path(shutil.copytree(data_folder("schemas") / "beatra", folder / "beatra"))
    (own / "contract.yaml").write_text("emulator: 1\n")
    code, _, said = outcome("--provider", "beatra", "--schemas", ".", *URL)
    assert (code, "beatra/contract.yaml:1:1" in said) == (1, True)


def test_a_report_that_cannot_be_written(emulator_url: str, folder: Path) -> None:
    (folder / "r.json").mkdir()
    url = ("--url", f"{emulator_url}/beatra/v1", "--api-key", "k")
    code, _, said = outcome("--provider", "beatra", *url, "--case", "probe/chat", "--report", "json=r.json")
    assert (code, said.splitlines()[-1]) == (2, "r.json cannot be written: Is a directory")


def test_an_interrupt_ends_the_run_and_writes_what_is_known(folder: Path) -> None:
    """The target answers the gates and then falls silent: the run waits when the signal comes."""
    with HostileTarget("hangs", after=2) as target:
        command = [sys.executable, "-m", "emulator", "contract", "--url", target.url, "--provider", "beatra"]
        process = subprocess.Popen(
            [*command, "--report", "json=r.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "API_KEY": "k-k-k-k"},
        )  # fmt: skip
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            while target.requests < 3:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=30)
        finally:
            process.kill()
            process.communicate()
    assert first.endswith("requests\n")
    assert (process.returncode, said.splitlines()[-1]) == (130, "Interrupted.")
    assert out.splitlines()[-1].startswith("beatra: 2 cases, ")
    report: dict[str, Any] = json.loads((folder / "r.json").read_text())
    assert [case["id"] for case in report["cases"]] == ["probe/reachable", "probe/key"]


def collect_and_wait() -> None:
    gc.collect()
    threading.Event().wait(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_is_lost_comes_again() -> None:
    """What a signal's handler raises in a callback of the garbage collector goes nowhere; Hypothesis has such a one."""
    struck, before = [], signal.getsignal(signal.SIGINT)

    def strike(phase: str, info: Any) -> None:
        if not struck:
            struck.append(phase)
            signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(strike)
    try:
        with pytest.raises(KeyboardInterrupt), insistent():
            collect_and_wait()
    finally:
        gc.callbacks.remove(strike)
    assert struck == ["start"]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_command_is_listed_with_the_others() -> None:
    listed = CliRunner().invoke(main, ["--help"]).stdout
    assert re.findall(r"^  (\w+)  ", listed.partition("Commands:")[2], re.MULTILINE) == [
        "check", "contract", "docs", "exec", "new", "providers", "record", "serve",
    ]  # fmt: skip
    assert CliRunner().invoke(main, ["contract", "--help"]).exit_code == 0


def test_a_gateway_of_ones_own_is_tested_from_python() -> None:
    """As the documentation of emulator.contract.run shows it."""
    from emulator.contract.run import run_contract

    with Emulator(plan="unlimited") as emulator:
        report = run_contract("beatra", emulator.base_urls["beatra"], "key", phases=["facts", "examples"])
    assert report.totals["failed"] == 0
    assert report.totals["passed"] == 18
