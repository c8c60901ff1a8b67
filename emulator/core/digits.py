"""Whole numbers as texts write them: other alphabets have digits of their own, which no API takes."""

from __future__ import annotations


def whole_number(text: str, most: int = 9) -> int | None:
    """Return the number that ASCII digits write, `most` of them at the most; None for any other text."""
    return int(text) if len(text) <= most and text.isascii() and text.isdigit() else None
