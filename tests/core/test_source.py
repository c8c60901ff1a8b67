"""YAML with places: plain data, the line and column of each value, and one message for each slip."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.errors import MOST_PROBLEMS, Problem, SourceError
from emulator.core.source import MAX_BYTES, MAX_VALUES, Source, parse_source
from emulator.core.tree import path_of


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SourceError) as caught:
        parse_source(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("No", "No"), ("12:30", "12:30"), ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        ("=", "="), ("<<", "<<"), (".inf", ".inf"), (".nan", ".nan"), ("0b1", "0b1"), ("1e", "1e"), ("0x", "0x"),
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nUll", "nUll"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
        ("1", 1), ("-1", -1), ("+1", 1), ("0", 0), ("007", 7), ("0x1F", 31), ("0o17", 15),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015),
        ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)), ("-9223372036854775809", -(2.0**63)),
        ("99999999999999999999", 1e20), ("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("! 1", "1"),
        ("|\n  a\n", "a\n"), (">\n  a\n  b\n", "a b\n"), ("{1: a}", {"1": "a"}), ("{true: a}", {"true": "a"}),
        ("[a, [b]]", ["a", ["b"]]), ("!!map {a: !!seq [b]}", {"a": ["b"]}),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}), ("{a: &x k, *x : v}", {"a": "k", "k": "v"}),
        ("{a: &x 1, b: &x 2, c: *x}", {"a": 1, "b": 2, "c": 2}), ("\ufeffa: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    found = parse_source(text.encode(), "f.yaml").data
    assert (found, type(found)) == (value, type(value))


def test_each_value_has_its_place() -> None:
    source = parse_source("a: 1\nb:\n  - c\n  - {d: e}\nf: &x\n  g: 1\nh: *x\n", "f.yaml")
    assert source.places == {
        (): (1, 1), ("a",): (1, 1), ("b",): (2, 1), ("b", 0): (3, 5), ("b", 1): (4, 5), ("b", 1, "d"): (4, 6),
        ("f",): (5, 1), ("f", "g"): (6, 3), ("h",): (7, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "where", "problem"),
    [
        (("b", 0), None, Problem("f", 2, 5, "b[0]", "m")),
        (("b", 0, "c", 1), None, Problem("f", 2, 5, "b[0].c[1]", "m")),
        (("zzz",), "other", Problem("f", 1, 1, "other", "m")),
    ],
    ids=["there", "below", "elsewhere"],
)
def test_a_problem_stands_at_its_value_or_the_nearest_above(
    path: tuple[str | int, ...], where: str | None, problem: Problem
) -> None:
    assert parse_source("b:\n  - a\n", "f").problem(path, "m", where) == problem


MERGED = """\
x-base: &base
  a: 1
  b: {c: 2}
x-more: &more {<<: *base, d: 3}
one: {<<: *base, a: 4}
two:
  <<: [{e: 5, a: 6}, *more]
  e: 7
"""


def test_mappings_are_merged_below_their_own_keys_in_the_order_of_what_is_merged() -> None:
    data = parse_source(MERGED, "f.yaml").data
    assert json.dumps(data) == json.dumps(
        {"one": {"a": 4, "b": {"c": 2}}, "two": {"e": 7, "a": 6, "b": {"c": 2}, "d": 3}}
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("one", "a"), (5, 18)), (("one", "b"), (3, 3)), (("one", "b", "c"), (3, 7)), (("one", "b", "x"), (3, 3)),
        (("two", "e"), (8, 3)), (("two", "a"), (7, 15)), (("two", "b", "c"), (3, 7)), (("two", "d"), (4, 27)),
    ],
)  # fmt: skip
def test_what_was_merged_has_the_place_where_it_stands(path: tuple[str, ...], place: tuple[int, int]) -> None:
    assert parse_source(MERGED, "f.yaml").place(path) == place


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: {<<: 5}", ["f.yaml:1:5: << takes a mapping, or a list of them"]),
        ("a: {<<: [{}, 5]}", ["f.yaml:1:14: << takes a mapping, or a list of them"]),
        ("a: {<<: {}, <<: {}}", ["f.yaml:1:13: a.<<: the key '<<' stands here a second time (first on line 1)"]),
        ("a: &a {<<: *a}", ["f.yaml:1:12: *a refers to itself"]),
    ],
    ids=["number", "item", "twice", "itself"],
)
def test_a_merge_that_cannot_be(text: str, wanted: list[str]) -> None:
    assert problems(text) == wanted


def test_a_quoted_merge_is_a_key() -> None:
    assert parse_source('{"<<": {a: 1}, b: 2}', "f.yaml").data == {"<<": {"a": 1}, "b": 2}


def test_keys_of_the_whole_that_begin_with_x_are_left_alone() -> None:
    wanted = {"a": {"x-b": 1}}
    assert parse_source("x-c: {d: 1}\na: {x-b: 1}\n", "f.yaml").data == wanted
    assert parse_source({"x-c": 1, **wanted}, "f").data == wanted


def test_data_that_was_parsed_already_is_taken_as_it_is() -> None:
    assert parse_source({"a": [1]}, "f") == Source("f", {"a": [1]}, {})
    assert parse_source({"a": 1}, "f").place(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "text"), [((), ""), (("a",), "a"), (("a", 0, "b"), "a[0].b"), ((0, 1), "[0][1]"), (("a b", "c"), "a b.c")]
)
def test_path_text(path: tuple[str | int, ...], text: str) -> None:
    assert path_of(path) == text


SLIPS: dict[str, tuple[str | bytes, list[str]]] = {
    "equal-keys": ("a: 1\nb:\n  c: 1\n  c: 2\n  c: 3\na: 2", [
        "f.yaml:4:3: b.c: the key 'c' stands here a second time (first on line 3)",
        "f.yaml:5:3: b.c: the key 'c' stands here a second time (first on line 3)",
        "f.yaml:6:1: a: the key 'a' stands here a second time (first on line 1)",
    ]),
    "equal-keys-then-broken": ("a: 1\na: [\n", ["f.yaml:3:1: is not YAML: did not find expected node content"]),
    "too-large-number": ("a: 1e999\nb: -1e999", [
        "f.yaml:1:4: the number 1e999 is too large", "f.yaml:2:4: the number -1e999 is too large",
    ]),
    "tag": ("a: !!python/object:os.system x", [
        "f.yaml:1:4: the tag tag:yaml.org,2002:python/object:os.system is not known here; write plain values"]),
    "tag-on-a-list": ("!!set [a]", ["f.yaml:1:1: the tag tag:yaml.org,2002:set is not known here; write plain values"]),
    "own-tag": ("!x 1", ["f.yaml:1:1: the tag !x is not known here; write plain values"]),
    "two-documents": ("a: 1\n---\nb: 1", ["f.yaml:2:1: a second document begins; a file holds one"]),
    "list-as-key": ("? [a]\n: b", ["f.yaml:1:3: a key must be a string"]),
    "alias-to-a-list-as-key": ("a: &x [1]\n*x : b", ["f.yaml:2:1: a key must be a string"]),
    "alias-to-nothing": ("a: *x", ["f.yaml:1:4: *x refers to nothing"]),
    "alias-to-itself": ("a: &x [1, *x]", ["f.yaml:1:11: *x refers to itself"]),
    "too-deep": ("[" * 61, ["f.yaml:1:61: is nested deeper than 60 levels"]),
    "too-deep-by-alias": ("a: &x " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*x" + "]" * 30 + "\n", [
        "f.yaml:2:34: is nested deeper than 60 levels"]),
    "unclosed": ("a: [1\n", ["f.yaml:2:1: is not YAML: did not find expected ',' or ']'"]),
    "tab": ("a:\n\t- b", ["f.yaml:2:1: is not YAML: found character that cannot start any token"]),
    "unfinished-string": ("a: 'b", ["f.yaml:1:6: is not YAML: found unexpected end of stream"]),
    "control-character": ("é: 1\nb: a\x07", ["f.yaml:2:5: is not YAML: the character U+0007 is not allowed"]),
    "lone-surrogate": ("a: \ud800", ["f.yaml:1:4: is not YAML: the character U+D800 is not allowed"]),
    "not-utf-8": (b"a: 1\nb: \xff", ["f.yaml:2:4: is not UTF-8: byte 0xff cannot stand here"]),
    "utf-16": ("a: 1".encode("utf-16"), ["f.yaml:1:1: is not UTF-8: byte 0xff cannot stand here"]),
    "too-long": (b" " * (MAX_BYTES + 1), [f"f.yaml:1:1: is larger than {MAX_BYTES} bytes"]),
    "too-many-values": ("[" + "1," * MAX_VALUES + "]", [
        f"f.yaml:1:{2 * MAX_VALUES}: holds more than {MAX_VALUES} values (aliases count in full)"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SLIPS.values(), ids=SLIPS)
def test_slips(text: str | bytes, said: list[str]) -> None:
    assert problems(text) == said


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (nested(61), "f:1:1: is nested deeper than 60 levels"),
        ({"a": 2**70}, "f:1:1: is no JSON: "),
        ({"a": "\ud800"}, "f:1:1: is no JSON: "),
        ({1: "a"}, "f:1:1: is no JSON: "),
        ({"a": {1, 2}}, "f:1:1: is no JSON: "),
        (nested(2000), "f:1:1: is no"),
    ],
    ids=["deep", "number", "surrogate", "key", "set", "very-deep"],
)
def test_data_that_json_cannot_carry(data: Any, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_source(data, "f")
    assert [str(problem)[: len(said)] for problem in caught.value.problems] == [said]
    assert parse_source(nested(60), "f").data == nested(60)


def test_an_alias_bomb_is_counted_in_full() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]  # small enough to be read where nothing counts
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]
    assert [line.split(": ", 1)[1] for line in problems("\n".join(lines))] == [
        f"holds more than {MAX_VALUES} values (aliases count in full)"
    ]


def test_as_deep_as_the_bound_is_good() -> None:
    found, depth = parse_source("[" * 60 + "]" * 60, "f").data, 0
    while found:
        found, depth = found[0], depth + 1
    assert depth == 59


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufeff\ufffe\uffff"))
    .filter(lambda text: not re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+|0o[0-7]+", text)),  # numbers in YAML 1.2 alone
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text("abc: #-", max_size=4), items, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=JSON)
def test_json_is_yaml(value: Any) -> None:
    assert parse_source(json.dumps(value, ensure_ascii=False), "f").data == value


@given(value=JSON)
def test_what_yaml_writes_is_read_again(value: Any) -> None:
    assert parse_source(yaml.safe_dump(value, allow_unicode=True), "f").data == value


def test_the_parser_without_libyaml_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1, {b: &x c}]\nd: *x\n"
    fast = parse_source(text, "f")
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert parse_source(text, "f") == fast


def test_after_so_many_problems_the_others_are_not_looked_for() -> None:
    with pytest.raises(SourceError) as caught:
        parse_source("a: 1\n" * 500, "f.yaml")
    assert len(caught.value.problems) == MOST_PROBLEMS
