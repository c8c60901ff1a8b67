"""The contract of APIs whose forms are none of OpenAI's: what breaks it is found, and told in their words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from broken_endpoint import BrokenEndpoint

from emulator import Emulator
from emulator.contract.case_client import Ask, CaseClient
from emulator.contract.checks.limits import rate_number
from emulator.contract.client import Answer, Sent
from emulator.contract.contract import load_contract
from emulator.contract.expectations import Differs
from emulator.contract.run import plan
from emulator.contract.target import EmulatorTarget, NotArranged, TargetSession
from tests.wires.asks import MADE_UP
from tests.wires.build import SCHEMAS

CASES = {name: {case.id: case for case in plan(name, schemas=SCHEMAS)} for name in MADE_UP}
BROKEN: dict[str, dict[str, list[dict[str, Any]]]] = yaml.load(
    (SCHEMAS.parent / "broken.yaml").read_text(), yaml.CSafeLoader
)
BREAKS = [(name, case, n) for name, cases in BROKEN.items() for case, found in cases.items() for n in range(len(found))]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[BrokenEndpoint]:
    with Emulator(schemas=SCHEMAS) as emulator, BrokenEndpoint(emulator.url) as broken:
        yield broken


@pytest.mark.parametrize("provider", MADE_UP)
def test_every_case_of_a_fact_has_a_break(provider: str) -> None:
    assert {name for name, case in CASES[provider].items() if case.phase == "facts"} <= set(BROKEN[provider])


@pytest.mark.parametrize(("provider", "case", "number"), BREAKS)
def test_what_is_broken_is_found(provider: str, case: str, number: int, endpoint: BrokenEndpoint) -> None:
    broken = BROKEN[provider][case][number]
    endpoint.break_with(broken)
    with closing(EmulatorTarget(endpoint.url, provider)) as target:
        result = CASES[provider][case].run(target)
    assert (result.outcome, broken["says"] in result.message) == ("failed", True), result.message


def test_words_may_stand_beside_a_call(endpoint: BrokenEndpoint) -> None:
    wish = {"kind": "wish", "key": "wish_1", "name": "get_time", "input": {"city": "Zürich"}}
    body = {"blocks": [{"kind": "words", "words": "Let me see."}, wish], "ended": "wants"}
    answer = {"kind": "answer", "key": "ans_1", "model": "parlance-1", "spent": {"in": 1, "out": 2}, **body}
    endpoint.break_with({"when": {"path": ":answer$", "body": {"tool_choice": {"kind": "tool", "name": "get_time"}}},
                         "json": answer})  # fmt: skip
    with closing(EmulatorTarget(endpoint.url, "parlance")) as target:
        result = CASES["parlance"]["pa-tools"].run(target)
    assert (result.outcome, result.message) == ("passed", "")


def test_what_a_form_has_no_place_for_is_not_seen() -> None:
    ask = load_contract("parlance", SCHEMAS).ask
    client = CaseClient(cast(TargetSession, None), ask)
    assert client.asks(model="parlance-2", stream=True) == {"model": "parlance-2", "stream": True}
    assert ask.sent({**ask.body, "model": "a/b", "stream": True}) == ("/engines/a%2Fb:stream", ask.body)
    assert ask.sent(ask.body) == ("/engines/parlance-1:answer", ask.body)
    with pytest.raises(NotArranged, match="no request of /engines/parlance-1:answer can say its choices"):
        client.asks(choices=2)


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("hole", "value", "number"),
    [
        ("remaining", "7", 7), ("", "7", 7), ("remaining", "-7", None), ("remaining", "7.0", None),
        ("remaining", "9" * 16, None), ("reset_in", "1m0s", NOW + 60), ("reset_in", "60", None),
        ("reset_tokens_at", "2027-01-15T08:00:00Z", NOW), ("reset_at", "2027-01-15T09:00:00+01:00", NOW),
        ("reset_at", "2027-01-15T08:00:00", None), ("reset_at", "2027-01-15", None), ("reset_at", "1800000000", None),
        ("reset_at", None, None),
    ],
)  # fmt: skip
def test_a_header_is_read_as_the_docs_render_it(hole: str, value: str | None, number: float | None) -> None:
    headers = (("x-left", value),) if value is not None else ()
    answer = Answer(Sent("GET", "http://h", (), b""), 200, headers, b"", "complete")
    ask = Ask("/", {}, {}, {}, SimpleNamespace(rate_holes={"x-left": hole}))  # type: ignore[arg-type]
    if number is not None:
        assert rate_number(ask, answer, "X-Left", NOW) == number
        return
    with pytest.raises(Differs) as caught:
        rate_number(ask, answer, "X-Left", NOW)
    assert (caught.value.actual, caught.value.message[:39]) == (value, "X-Left is on the answer to a good reque")
