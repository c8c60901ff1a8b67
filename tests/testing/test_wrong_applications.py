"""Each wrong application fails under the fixture, with a message that names its mistake; its right twin passes."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import pytest
from wrong_applications import MISTAKES

HERE = Path(__file__).parent.parent
INI = "[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis\nasyncio_default_fixture_loop_scope = function\n"

Outcomes = Mapping[str, tuple[str, str]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Run them all in one process; return of each test how it ended and what was said."""
    folder = tmp_path_factory.mktemp("applications")
    (folder / "pytest.ini").write_text(INI)
    (folder / "test_applications.py").write_text((HERE / "wrong_applications.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml=found.xml", "test_applications.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        case.attrib["name"].removeprefix("test_"): next(
            ((found.tag, found.text or "") for found in case if found.tag in ("failure", "error")), ("passed", "")
        )
        for case in ET.parse(folder / "found.xml").iter("testcase")
    }


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_application_fails_by_its_mistake(outcomes: Outcomes, name: str) -> None:
    how, said = outcomes[f"{name}[wrong]"]
    assert (how, re.search(MISTAKES[name], said) is not None) == ("failure", True), said


@pytest.mark.parametrize("name", MISTAKES)
def test_its_right_twin_passes(outcomes: Outcomes, name: str) -> None:
    assert outcomes[f"{name}[right]"] == ("passed", "")


def test_each_application_has_its_mistake(outcomes: Outcomes) -> None:
    assert len(MISTAKES) >= 30
    assert {name.partition("[")[0] for name in outcomes} == {*MISTAKES}
    assert len(outcomes) == 2 * len(MISTAKES)
