"""Draws: the same from the same parts and label, in their ranges and their forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.seeded_random import Draw, series

DRAWS: dict[str, Callable[[Draw, str], Any]] = {
    "bytes": lambda draw, label: draw.bytes(label, 16),
    "number": lambda draw, label: draw.number(label),
    "uniform": lambda draw, label: draw.uniform(label),
    "normal": lambda draw, label: draw.normal(label),
    "random": lambda draw, label: draw.random(label).random(),
    "alnum": lambda draw, label: draw.alnum(label),
    "hex": lambda draw, label: draw.hex(label),
    "ulid": lambda draw, label: draw.ulid(label, 0.0),
    "uuid": lambda draw, label: draw.uuid(label),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_depends_on_its_parts_and_its_label_alone(draw: Callable[[Draw, str], Any]) -> None:
    one = draw(Draw(1, "rule", 2), "a")
    again = Draw(1, "rule", 2)
    again.bytes("something else", 8)
    assert draw(again, "a") == one
    others = [draw(Draw(1, "rule", 3), "a"), draw(Draw(2, "rule", 2), "a"), draw(Draw(1, "rule", 2), "b")]
    assert [other != one for other in others] == [True, True, True]


@pytest.mark.parametrize("number", [0, 1, 12, -3, 10**20])
def test_a_series_draws_as_its_members_do(number: int) -> None:
    assert series(7, "rule é")(number).hex("x") == Draw(7, "rule é", number).hex("x")


def test_parts_do_not_run_together() -> None:
    assert Draw("a", "bc").hex("x") != Draw("ab", "c").hex("x")


def test_draws_stay_the_same_for_ever() -> None:
    draw = Draw(7, "rule-1", 1)
    assert (draw.alnum("id"), draw.hex("id", 8), draw.number("n", 8)) == ("maCXYiC5B8xP5fCkU1EG73BP", "cefdd85f", 96)
    assert draw.uuid("u") == "87fabe93-196c-4cc1-b1b3-08a0f30dca72"
    assert draw.ulid("l", 1_800_000_000) == "01MCC5RM00KWJ1H2K7KQ9TTWFH"


@given(seed=st.integers(), bits=st.integers(1, 512), bound=st.integers(1, 1000))
def test_numbers_are_in_their_range(seed: int, bits: int, bound: int) -> None:
    draw = Draw(seed)
    assert 0 <= draw.number("n", bits) < 2**bits
    assert 0 <= draw.below("b", bound) < bound
    assert 0 < draw.uniform("u") < 1


def test_distributions_have_their_shape() -> None:
    draws = [Draw(seed) for seed in range(2000)]
    uniform, normal = [draw.uniform("u") for draw in draws], [draw.normal("n") for draw in draws]
    assert (abs(fmean(uniform) - 0.5) < 0.02, abs(fmean(normal)) < 0.1, abs(pstdev(normal) - 1) < 0.1) == (True,) * 3
    assert {draw.below("d", 6) for draw in draws} == set(range(6))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (r"[A-Za-z0-9]{24}", Draw(1).alnum("a")),
        (r"[0-9a-f]{6}", Draw(1).hex("a", 6)),
        (r"[0-9A-HJKMNP-TV-Z]{26}", Draw(1).ulid("a", 1.8e9)),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", Draw(1).uuid("a")),
    ],
    ids=["alnum", "hex", "ulid", "uuid"],
)
def test_forms(form: str, text: str) -> None:
    assert re.fullmatch(form, text)


def test_a_ulid_begins_with_its_time() -> None:
    assert Draw(1).ulid("a", 1_469_918_176.385)[:10] == "01ARYZ6S41"  # the specification's example
    assert Draw(1).ulid("a", 1.0)[:10] < Draw(2).ulid("b", 2.0)[:10]
