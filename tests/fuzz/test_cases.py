"""The watchdog of the fuzzed cases: what hangs fails, whoever it is that hangs, and its input is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import cases


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cases, "CORPUS", tmp_path)
    (tmp_path / "bodies").mkdir()
    return tmp_path


def spin() -> None:
    while True:
        pass


def test_a_case_that_hangs_is_stopped_and_its_input_kept(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "MOST_S", 0.05)
    with pytest.raises(AssertionError, match=r"one case takes over 0.05 s"), cases.case("bodies", b"x"):
        spin()
    assert (corpus / "bodies/found").read_bytes() == b"x"


def test_a_case_in_which_the_server_hangs_fails(corpus: Path) -> None:
    worked = iter([5.0, 6.5])
    with (
        pytest.raises(AssertionError, match=r"the server worked 1.50 s on one case"),
        cases.case("bodies", b"x", lambda: next(worked)),
    ):
        pass
    assert (corpus / "bodies/found").read_bytes() == b"x"


def test_a_case_that_is_good_leaves_nothing(corpus: Path) -> None:
    with cases.case("bodies", b"x", lambda: 5.0):
        pass
    assert not list((corpus / "bodies").iterdir())
