"""Durations: the forms that are good, and draws that stay in their bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.durations import (
    FOREVER,
    LONGEST_S,
    NO_WAIT,
    Wait,
    duration_text,
    parse_duration,
    parse_wait,
    read_duration,
)
from emulator.core.errors import shown
from emulator.core.seeded_random import Draw


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0), (1.5, 1.5), ("200ms", 0.2), ("1.5s", 1.5), ("1m", 60), ("2h", 7200), ("3", 3), ("1 s", 1),
     ("forever", FOREVER), (LONGEST_S, LONGEST_S)],
)  # fmt: skip
def test_durations(value: Any, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", [-1, "-1s", "", "s", "1d", "1.s", ".5s", True, None, [], LONGEST_S * 2, math.nan, "1e3s"]
)
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_duration(value)
    form = "must be seconds from 0, or a duration such as 200ms, 1.5s, 1m; not "
    assert str(caught.value) == form + shown(value)


@given(ms=st.integers(0, 10**10))
def test_durations_that_are_written_are_read(ms: int) -> None:
    assert read_duration(duration_text(ms / 1000)) == pytest.approx(ms / 1000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("1h0m0.5s", 3600.5), ("20ms", 0.02), ("2h", 7200), ("0s", 0), ("1s2m", None), ("6", None),
     ("", None), ("m", None), ("1d", None), ("٣s", None), ("1.s", None)],
)  # fmt: skip
def test_what_is_a_written_duration(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("forever", Wait("fixed", FOREVER)),
        (0, NO_WAIT),
        ({"uniform": {"min": 1, "max": "2s"}}, Wait("uniform", 1, 2)),
        ({"normal": {"mean": 1, "sd": "500ms"}}, Wait("normal", 1, 0.5)),
        ({"normal": {"mean": 1, "sd": 0.5, "max": 3}}, Wait("normal", 1, 0.5, 3)),
        ({"lognormal": {"median": "15ms", "sigma": 0.4}}, Wait("lognormal", 0.015, 0.4)),
        ({"lognormal": {"median": 1, "sigma": 2, "max": "1m"}}, Wait("lognormal", 1, 2, 60)),
    ],
    ids=str,
)
def test_waits(value: Any, wait: Wait) -> None:
    assert parse_wait(value) == wait


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"poisson": {}}, "must be a duration, or one of uniform, normal, lognormal"),
        ({"uniform": {"min": 2, "max": 1}}, "min is 2 and max is 1: nothing is between them"),
        ({"uniform": {"min": 1, "max": "forever"}}, "a distribution has no forever in it"),
        ({"normal": {"mean": "forever", "sd": 1}}, "a distribution has no forever in it"),
        ({"normal": {"mean": "x", "sd": 1}}, "must be seconds from 0, or a duration such as 200ms, 1.5s, 1m; not 'x'"),
    ],
    ids=str,
)
def test_what_is_no_wait(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_wait(value)
    assert str(caught.value) == message


@given(
    kind=st.sampled_from(["fixed", "uniform", "normal", "lognormal"]),
    first=st.floats(0, LONGEST_S),
    second=st.floats(0, LONGEST_S),
    most=st.floats(0, 10) | st.just(math.inf),
    seed=st.integers(0, 100),
)
def test_a_draw_is_never_below_0_nor_above_its_bounds(
    kind: Any, first: float, second: float, most: float, seed: int
) -> None:
    seconds = Wait(kind, first, second, most).draw(Draw(seed), "wait")
    assert 0 <= seconds <= (first if kind == "fixed" else min(most, LONGEST_S))


@pytest.mark.parametrize(
    ("wait", "low", "high"),
    [(Wait("uniform", 1, 2), 1, 2), (Wait("normal", 10, 0.001), 9.9, 10.1), (Wait("lognormal", 10, 0.001), 9.9, 10.1)],
    ids=["uniform", "normal", "lognormal"],
)
def test_draws_lie_where_their_parameters_say(wait: Wait, low: float, high: float) -> None:
    drawn = [wait.draw(Draw(seed), "wait") for seed in range(50)]
    assert low <= min(drawn) < max(drawn) <= high
