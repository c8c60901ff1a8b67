"""Tokens: a split that loses nothing, and an estimate that adds up."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emulator.core import tokens
from emulator.core.tokens import count, first, pieces
from emulator.core.wires.request.conversation import PER_IMAGE, Message, prompt_tokens


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("", []),
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("abcdefghij", ["abcdefgh", "ij"]),
        ("a  b\n\nc", ["a", "  ", "b", "\n\n", "c"]),
        ("你好 hi", ["你", "好", " hi"]),
        ("don't", ["don", "'", "t"]),
        ("naïve café", ["naïve", " café"]),
        ('{"a": 1}', ["{", '"', "a", '"', ":", " 1", "}"]),
        ("🌍🌍", ["🌍", "🌍"]),
        ("x" * 17, ["x" * 8, "x" * 8, "x"]),
        (" " * 9 + "a", [" " * 8, " a"]),
        ("a_b", ["a_b"]),
        ("e\u0301", ["e", "\u0301"]),
    ],
)
def test_pieces(text: str, split: list[str]) -> None:
    assert (pieces(text), count(text)) == (split, len(split))


@given(text=st.text())
def test_pieces_joined_are_the_text_and_none_is_empty(text: str) -> None:
    split = pieces(text)
    assert ("".join(split), count(text)) == (text, len(split))
    assert "" not in split


MIXED = st.text(st.sampled_from("a_Z9 \t\n\x1c.\x00{\x7f\x80\x85\xa0éя你。⺀\u3000\u2003🌍"), max_size=60)
RUNS = st.lists(st.tuples(st.sampled_from("a \n.éя你🌍 "), st.integers(1, 20)), max_size=12)


@given(text=MIXED | st.text() | RUNS.map(lambda runs: "".join(c * n for c, n in runs)))
@example("".join(map(chr, range(128))))
@example("".join(f"{chr(n)} a" for n in range(128)))
@example("".join(f"{chr(n)} . {chr(n)}" for n in range(128)))
def test_the_count_is_the_number_of_pieces(text: str) -> None:
    long = text + "." + text * 20
    assert (count(text), count(long)) == (len(pieces(text)), len(pieces(long)))
    if "\u3000" not in text:
        assert tokens._count_classes(tokens._latin(text)) == len(pieces(text))


@given(text=st.text(st.characters(max_codepoint=127)))
def test_ascii_has_the_pieces_of_the_pattern_for_every_script(text: str) -> None:
    assert pieces(text) == tokens._any_piece().findall(text)


def test_every_character_counts_as_the_pattern_says() -> None:
    for start in range(0, 0x110000, 89 * 300):
        text = "".join(f"{chr(code)} a{chr(code)} {chr(code)}\n" for code in range(start, start + 89 * 300, 89)
                       if code < 0xD800 or 0xDFFF < code < 0x110000)  # fmt: skip
        assert count(text) == len(pieces(text))


def test_a_count_makes_no_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pattern:
        subn = staticmethod(re.compile("").subn)

    monkeypatch.setattr(tokens, "_piece", lambda text: Pattern)
    monkeypatch.setattr(tokens, "_ASCII_PIECE", Pattern)
    monkeypatch.setattr(tokens, "_count_word", tokens._count_word.__wrapped__)  # it remembers what others counted
    assert (
        count("one two three four"),
        count("a b " * 1000),
        count("é" * 20) > 0,
        hasattr(tokens._piece(""), "findall"),
    ) == (
        19,
        2001,
        True,
        False,
    )


@given(text=st.text(), at=st.integers(-1, 30))
def test_a_cut_between_pieces_leaves_them_as_they_are(text: str, at: int) -> None:
    kept = "".join(pieces(text)[: max(0, at)])
    assert first(text, at) == kept
    assert count(kept) <= max(0, at)
    assert text.startswith(kept)


@pytest.mark.parametrize(
    ("messages", "tools", "total"),
    [
        ([], None, 3),
        ([Message("user", "hello there")], None, 3 + 3 + 1 + 2),
        ([Message("user", "hi", name="ada")], None, 3 + 3 + 1 + 1 + 1),
        ([Message("user", "", images=2)], None, 3 + 3 + 1 + 2 * PER_IMAGE),
        ([Message("assistant", "", calls=(("id", "f", '{"a":1}'),))], None, 3 + 3 + 2 + 1 + 7),
        ([Message("user", "a"), Message("user", "b")], "[x]", 3 + 5 + 5 + 3),
    ],
    ids=["nothing", "text", "name", "images", "call", "tools"],
)
def test_prompt_tokens(messages: list[Message], tools: str | None, total: int) -> None:
    assert prompt_tokens(messages, tools) == total
