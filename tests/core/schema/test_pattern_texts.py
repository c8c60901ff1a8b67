"""Guesses at what a pattern matches: how much is written for them, whatever the pattern multiplies."""

from __future__ import annotations

import pytest

from emulator.core.schema.patterns import texts
from emulator.core.schema.patterns.texts import MAX_LETTERS, MAX_WRITTEN, MOST_TOGETHER, guesses
from emulator.core.seeded_random import Draw

DOUBLED = "(?<a0>x{99})" + "".join(rf"(?<a{n + 1}>\k<a{n}>\k<a{n}>)" for n in range(20))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(((){99}){99}){99}", 0),
        ("((((){4000}){4000}){4000}){4000}", 0),
        ("(((){9}|b){99}){999}", 0),
        (DOUBLED, 0),
        ("((){99}){99}", 1),
        ("(ab|cd){5000}", 1),
        (r"(a{9})\1{9}", 1),
    ],
    ids=["empty", "deeper", "or-empty", "doubled", "few", "longest", "looked-back"],
)
def test_what_is_written_for_guesses_is_bounded(pattern: str, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = texts._Writer.write

    def counted(writer: texts._Writer, node: texts.Node) -> str:
        nonlocal written
        written += 1
        assert written <= MOST_TOGETHER + MAX_WRITTEN + 1, "without a bound"
        return write(writer, node)

    monkeypatch.setattr(texts._Writer, "write", counted)
    spent: list[int] = []
    found_texts = list(guesses(pattern, Draw(0), 0, spent.append))
    assert min(len(found_texts), 1) == found
    assert sum(spent) == written
    assert all(len(text) <= MAX_LETTERS for text in found_texts)
