"""Digits are those of ASCII: what int() takes besides, no API does."""

from __future__ import annotations

import pytest

from emulator.core.durations import whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("123456789", 123456789), ("1234567890", None), ("", None), ("-1", None), ("+1", None),
     (" 1", None), ("1_0", None), ("1.0", None), ("\u0663", None), ("\uff11", None), ("\u00b2", None)],
)  # fmt: skip
def test_a_whole_number(text: str, number: int | None) -> None:
    assert whole_number(text) == number
