"""The patterns of a document: each guess is written once, each text tried once, and both are paid for by their size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emulator.core.schema.bounds import positions
from emulator.core.schema.instances import instance as module
from emulator.core.schema.instances import scalars
from emulator.core.schema.instances.instance import MAX_CAREFUL_STEPS, MAX_STEPS, instance
from emulator.core.schema.instances.needs import CannotConform
from emulator.core.schema.instances.scalars import RECKONED
from emulator.core.schema.patterns import texts
from emulator.core.schema.patterns.texts import LOOK, TRIED, Patterns
from emulator.core.schema.schema import compile_pattern
from emulator.core.schema.slow import judge_in_steps
from emulator.core.seeded_random import Draw

SLOW = "^(a|a)*(a|a)*(a|a)*(a|a)*"
NONE, TOO_LARGE = "no value conforms to the schema asked for", "the schema asked for is too large"


def test_guesses_are_written_once() -> None:
    spent: list[int] = []
    known = Patterns(Draw(0), spent.append)
    first = next(known.guesses("[a-z]{100}"))
    found = list(known.guesses("[a-z]{100}"))
    paid = sum(spent)
    assert paid > len("".join(found)) // texts.WRITTEN // 2
    assert found[0] == first
    assert len(set(found)) > 100
    assert list(known.guesses("[a-z]{100}")) == found
    assert sum(spent) == paid


@pytest.mark.parametrize(
    ("pattern", "text", "matches", "least"),
    [
        ("^a$", "a", True, 1),
        (SLOW, "a" * 3000, True, 3000 * positions(SLOW) // TRIED),
        ("(?=b)c", "a" * 3000, False, 3000 * 3000 // TRIED),
        ("(?=b)c", "bc", False, LOOK),
        ("(", "a", False, 1),
    ],
    ids=["plain", "slow", "looks", "looks-at-little", "none"],
)
def test_a_text_is_tried_once_and_paid_for_by_its_size(pattern: str, text: str, matches: bool, least: int) -> None:
    spent: list[int] = []
    known = Patterns(Draw(0), spent.append)
    assert known.matches(pattern, text) is matches
    assert least <= sum(spent) <= 2 * least + 1
    del spent[:]
    assert known.matches(pattern, text) is matches
    assert spent == [1]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"type": "string", "pattern": f"{SLOW}c$", "minLength": 3000}, NONE),
        ({"anyOf": [{"type": "string", "pattern": f"{SLOW}{n}$", "minLength": 3000} for n in range(10)]}, TOO_LARGE),
        ({"type": "object", "propertyNames": {"pattern": "^(a+)+$"}, "minProperties": 900}, TOO_LARGE),
        ({"type": "string", "pattern": "^(?=(a+)+b)(a|a)*c$", "minLength": 3000}, TOO_LARGE),
    ],
    ids=["slow", "ten", "names", "looks"],
)
def test_what_is_tried_is_bounded(document: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    def counted(pattern: str, size: int, looks: bool) -> Callable[[str], bool]:
        search = compile_pattern(pattern, size, looks)

        def count(text: str) -> bool:
            nonlocal tried
            tried += len(text) * positions(pattern)
            assert tried <= (MAX_STEPS + MAX_CAREFUL_STEPS) * TRIED, "without a bound"
            return search(text)

        return count

    monkeypatch.setattr(texts, "compile_pattern", counted)
    with pytest.raises(CannotConform, match=f"^{said}"):
        instance(document, Draw(0))
    assert tried > 0


def items(schema: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": 1000, "items": schema}


def named(size: int) -> dict[str, Any]:
    return {"type": "object", "required": ["x" * size], "properties": {"x" * size: {"const": 1}}}


@pytest.mark.parametrize(
    "of",
    [
        lambda size: {"const": "x" * size},
        lambda size: {"enum": [["x" * size]]},
        lambda size: {"default": "x" * size},
        lambda size: {"type": "string", "minLength": size},
        named,
        lambda size: {"allOf": [{"const": "x" * (size // 2)}, {"enum": ["x" * (size // 2)]}]},
    ],
    ids=["const", "enum", "default", "text", "name", "compared"],
)
def test_a_large_value_is_refused_before_it_is_written(of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    dumps = module.orjson.dumps

    def counted(value: Any, **options: Any) -> bytes:
        nonlocal written
        data = dumps(value, **options)
        written += len(data)
        assert written <= (MAX_STEPS + MAX_CAREFUL_STEPS) * module.PLACED * 2
        return data

    monkeypatch.setattr(module.orjson, "dumps", counted)
    assert len(instance(items(of(1_000)), Draw(0))) == 1000
    with pytest.raises(CannotConform, match=f"^{TOO_LARGE}"):
        instance(items({"type": "array", "minItems": 3, "items": of(9_990)}), Draw(0))


def test_numbers_that_are_tried_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    is_good = scalars._is_good

    def counted(needs: Any, value: Any) -> bool:
        nonlocal tried
        tried += 1
        assert tried <= (MAX_STEPS + MAX_CAREFUL_STEPS) // RECKONED, "without a bound"
        return is_good(needs, value)

    monkeypatch.setattr(scalars, "_is_good", counted)
    number = {"type": "number", "multipleOf": 0.37, "minimum": 5, "not": {"const": 3}}
    with pytest.raises(CannotConform, match=f"^{TOO_LARGE}"):
        instance({"type": "array", "minItems": 900, "uniqueItems": True, "items": number}, Draw(0))


@pytest.mark.parametrize(("choices", "steps"), [(3, 1), (5000, 501)])
def test_a_long_keyword_takes_more_steps(choices: int, steps: int) -> None:
    spent: list[int] = []
    document = {"enum": list(range(choices))}
    known = Patterns(Draw(0), spent.append)
    assert judge_in_steps(document, False, spent.append, known.matches)(document, -1) is not None
    assert sum(spent) == steps
