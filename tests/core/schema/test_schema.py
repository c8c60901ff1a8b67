"""Schemas: a fast verdict, and messages in which each wrong value has its path, its fix and its fact."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from build import NAMES, PROVIDERS, chat
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.core.errors import Violation, nearest, shown
from emulator.core.schema import schema
from emulator.core.schema.explain import explain
from emulator.core.schema.schema import Schema, compile_pattern, path_of
from emulator.core.schema.slow import tag_names


def said(document: Any, value: Any) -> list[tuple[str, str]]:
    compiled = Schema(document)
    assert compiled.verdict(value) is False
    return [(item.path, item.message) for item in compiled.violations(value)]


KEYWORDS = [
    ({"type": "string"}, 5, "must be a string, not 5"),
    ({"type": ["string", "null"]}, 5, "must be a string or null, not 5"),
    ({"type": "integer"}, 1.5, "must be an integer, not 1.5"),
    ({"type": "number"}, "x", "must be a number, not 'x'"),
    ({"type": "boolean"}, None, "must be true or false, not null"),
    ({"type": "array"}, {"a": 1}, "must be a list, not {…}"),
    ({"type": "object"}, [1, "b"], "must be an object, not [1, 'b']"),
    ({"const": True}, False, "must be true, not false"),
    ({"enum": ["yes", "no", 1]}, "yess", "must be one of 'yes', 'no', 1; not 'yess'; did you mean 'yes'?"),
    ({"enum": ["a", "b"]}, 5, "must be one of 'a', 'b'; not 5"),
    ({"minimum": 1}, 0, "must be at least 1, not 0"),
    ({"maximum": 1}, 2, "must be at most 1, not 2"),
    ({"exclusiveMinimum": 1}, 1, "must be over 1, not 1"),
    ({"exclusiveMaximum": 1}, 1, "must be under 1, not 1"),
    ({"minLength": 1}, "", "must not be empty"),
    ({"minLength": 3}, "ab", "must have at least 3 characters, not 2"),
    ({"maxLength": 1}, "ab", "must have at most 1 characters, not 2"),
    ({"minItems": 1}, [], "must not be empty"),
    ({"minItems": 2}, [1], "must have at least 2 items"),
    ({"maxItems": 1}, [1, 2], "must have at most 1 items, not 2"),
    ({"minProperties": 1}, {}, "must have at least 1 field"),
    ({"minProperties": 2}, {}, "must have at least 2 fields"),
    ({"maxProperties": 1}, {"a": 1, "b": 2}, "must have at most 1 field, not 2"),
    ({"pattern": "^a"}, "b", "must match ^a, not 'b'"),
    ({"pattern": "^a", "description": "Begins with a."}, "b", "is not right: 'b'. Begins with a."),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "lacks a field that goes with another"),
    ({"uniqueItems": True}, [1, 1], "must not hold the same item twice"),
    ({"multipleOf": 2}, 3, "3 is not a multiple of 2"),
    (False, 1, "is not allowed here"),
    ({"not": True}, 1, "is not allowed here"),
    ({"not": {"anyOf": [{"required": ["a"]}]}}, {"a": 1}, "is not allowed here"),
    ({"not": {"type": "string"}}, "x", "is not allowed here"),
    ({"not": {"type": "string"}, "$comment": "fact: no text"}, "x", "is not allowed here (no text)"),
]


def test_tags_of_a_union_come_in_the_order_of_the_document() -> None:
    """What a value breaks is told in one order in every process."""
    tags = {name: {"const": name} for name in ("type", "role", "kind", "format", "action")}
    plain = {"type": "object", "properties": {**tags, "text": {"type": "string"}}}
    assert tag_names([plain, {"type": "null"}, {**plain, "properties": tags | {"mode": {"enum": [1]}}}]) == [*tags]


@pytest.mark.parametrize(("document", "value", "message"), KEYWORDS, ids=lambda item: str(item)[:40])
def test_each_keyword_says_what_would_be_right(document: Any, value: Any, message: str) -> None:
    assert said(document, value) == [("", message)]


OBJECT = {
    "type": "object",
    "required": ["a", "b"],
    "additionalProperties": False,
    "properties": {
        "a": {"type": "array", "items": {"type": "object", "properties": {"c d": {"type": "string"}}}},
        "b": {},
    },
}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({}, [("a", "is required"), ("b", "is required")]),
        ({"a": [], "b": 1, "aa": 1, "x": 1},
         [("aa", "is not known here; did you mean 'a'?"), ("x", "is not known here; known: a, b")]),
        ({"a": [{}, {"c d": 1}], "b": 1}, [("a[1].c d", "must be a string, not 1")]),
        ({"a": [5], "b": 1}, [("a[0]", "must be an object, not 5")]),
    ],
    ids=["required", "unknown", "deep", "item"],
)  # fmt: skip
def test_fields(value: Any, found: list[tuple[str, str]]) -> None:
    assert said(OBJECT, value) == found


PARTS = {
    "oneOf": [
        {"type": "string"},
        {"type": "array", "items": {"oneOf": [
            {"type": "object", "required": ["type", "text"],
             "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
            {"type": "object", "required": ["type", "url"],
             "properties": {"type": {"enum": ["image", "file"]}, "url": {"type": "string"}}},
        ]}},
    ]
}  # fmt: skip
ONE_OF_FIELDS = {
    "type": "object",
    "oneOf": [{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"required": ["c"]}],
    "properties": {"a": {}, "b": {}, "c": {}},
}


@pytest.mark.parametrize(
    ("document", "value", "found"),
    [
        (PARTS, 5, [("", "must be one of: a string, a list; not 5")]),
        (PARTS, [{"type": "text"}], [("[0].text", "is required")]),
        (PARTS, [{"type": "text", "text": 5}], [("[0].text", "must be a string, not 5")]),
        (PARTS, [{"type": "file", "url": 5}], [("[0].url", "must be a string, not 5")]),
        (PARTS, [{"type": "imag"}],
         [("[0].type", "must be one of: 'text', 'image', 'file'; not 'imag'; did you mean 'image'?")]),
        (PARTS, [5], [("[0]", "must be one of: an object; not 5")]),
        (PARTS, [{"type": "text", "text": "a"}, {"type": "video"}],
         [("[1].type", "must be one of: 'text', 'image', 'file'; not 'video'")]),
        (ONE_OF_FIELDS, {}, [("", "needs one of: a, b, c")]),
        (ONE_OF_FIELDS, {"a": 1, "c": 1}, [("", "a and c do not go together")]),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, 5,
         [("", "fits more than one of the shapes allowed here")]),
        (ONE_OF_FIELDS, "a c", [("", "must be an object, not 'a c'")]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, 5,
         [("", "fits more than one of the shapes allowed here")]),
        ({"oneOf": [True, True]}, 5, [("", "fits more than one of the shapes allowed here")]),
        ({"anyOf": [False]}, 5, [("", "is not allowed here")]),
        ({"oneOf": [{"required": ["a", "b"]}, {"required": ["a", "c"]}]}, {"b": 1}, [("a", "is required")]),
        ({"anyOf": [{"const": "a"}, {"enum": ["b", 3]}]}, "x", [("", "must be one of: 'a', 'b', '3'; not 'x'")]),
    ],
    ids=["type", "tag", "tagged-field", "enum-tag", "unknown-tag", "no-object", "second-item", "none-of-fields",
         "two-of-fields", "fits-two", "no-object-for-fields", "fields-of-anything", "anything-twice", "nothing",
         "tag-missing", "words"],
)  # fmt: skip
def test_unions_speak_of_the_branch_that_was_meant(document: Any, value: Any, found: list[tuple[str, str]]) -> None:
    assert said(document, value) == found


def test_a_violation_carries_the_fact_of_the_constraint() -> None:
    document = {
        "$comment": "whole: x",
        "properties": {
            "a": {"$comment": "a-fact: a number", "type": "number"},
            "b": {"$comment": "assumed: as elsewhere", "type": "number"},
            "c": {"oneOf": [{"$comment": "c-one", "type": "number"}, {"$comment": "c-two", "type": "null"}]},
        },
        "not": {"required": ["a", "b"]},
    }
    assert Schema(document).violations({"a": "x", "b": "x", "c": "x"}) == (
        Violation("a", "must be a number, not 'x'", "a-fact", ("a",)),
        Violation("b", "must be a number, not 'x'", None, ("b",)),
        Violation("c", "must be one of: a number, null; not 'x'", "c-one", ("c",)),
        Violation("a", "is not allowed here (x)", "whole", ("a",)),
        Violation("b", "is not allowed here (x)", "whole", ("b",)),
    )


def test_violations_are_bounded_and_each_is_said_once() -> None:
    document = {"items": {"type": "string"}, "allOf": [{"items": {"type": "string"}}]}
    assert [item.path for item in Schema(document).violations(list(range(500)))] == [f"[{at}]" for at in range(20)]
    assert [item.path for item in Schema(document).violations(list(range(100)))] == [f"[{at}]" for at in range(50)]
    assert said(document, [1]) == [("[0]", "must be a string, not 1")]


class Seen(list[Any]):
    """A list that counts the items which a validator takes out one by one."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.taken: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int):
            self.taken.append(index)
        return super().__getitem__(index)


ITEM = {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "integer"}}]}


@pytest.mark.parametrize(
    "document",
    [
        {"items": ITEM},
        {"items": {"$ref": "#/$defs/item"}, "$defs": {"item": ITEM}},
        {"items": {"$ref": "#/properties/item"}, "properties": {"item": ITEM}},
        {"items": ITEM, "prefixItems": [{"type": "integer"}]},
    ],
    ids=["plain", "defs", "elsewhere", "prefix"],
)
def test_of_a_long_list_only_items_that_fail_are_explained(document: Any) -> None:
    wrong = {1500: "", 1501: 5, 2999: [1, "x"]}
    value = Seen([wrong.get(index, "good") for index in range(3000)])
    value[0] = 7 if "prefixItems" in document else "good"
    compiled = Schema(document)
    expected = [item for item in explain(Draft202012Validator(document).iter_errors(value)) if item.path]
    value.taken.clear()
    assert (list(compiled.violations(value)), value.taken) == (expected, sorted(wrong))
    assert [item.path for item in expected] == ["[1500]", "[1501]", "[2999][1]"]


#: The same reference leads elsewhere in another document.
NESTED = {
    "$id": "urn:outer",
    "$defs": {"kind": {"type": "string"}},
    "properties": {
        "a": {"$ref": "#/$defs/kind"},
        "b": {"$id": "urn:inner", "$defs": {"kind": {"type": "integer"}}, "items": {"$ref": "#/$defs/kind"}},
    },
}
OTHER = {"properties": {"a": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}}
PLAIN = {
    "$id": "urn:whole",
    "$defs": {"node": {"type": "object", "required": ["name"], "properties": {"next": {"$ref": "#/$defs/node"}}}},
    "properties": {"a": {"$ref": "#/$defs/node"}, "b": {"oneOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
}


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (NESTED, {"a": 1, "b": [1, "x"]}),
        (OTHER, {"a": {"type": 5, "properties": {"x": {"type": 6}}}}),
        (PLAIN, {"a": {"next": {"name": 1, "next": {}}}, "b": {"name": 1, "next": 5}}),
    ],
    ids=["nested", "other", "plain"],
)
def test_what_is_kept_of_a_subschema_tells_the_same_again(document: Any, value: Any) -> None:
    expected = explain(Draft202012Validator(document).iter_errors(value))
    compiled = Schema(document)
    assert (compiled.violations(value), compiled.violations(value)) == (expected, expected)
    assert expected


@pytest.mark.parametrize("items", [False, True], ids=str)
def test_a_long_list_of_nothing_or_anything(items: bool) -> None:
    found = Schema({"items": items}).violations([1] * 101)
    assert [item.path for item in found] == ([] if items else [""])


ORDER = """
from emulator.core.schema.schema import Schema, compile_pattern, path_of
document = {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": {"type": "string"}}
value = {"delta": 1, "x-b": 2, "alpha": 3, "a": 4, "charlie": 5, "bravo": "good", "echo": 6}
print(*[item.path for item in Schema(document).violations(value)])
"""


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_violations_come_in_the_order_of_the_document_whatever_the_hash_seed(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", ORDER], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "delta alpha charlie echo\n"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "strng"}, "is no JSON Schema: "),
        (5, "is no JSON Schema: "),
        ({"$ref": "https://example.com/other.json"}, "is no JSON Schema: "),
        ({"$ref": "file:///etc/passwd"}, "is no JSON Schema: "),
        ({"$ref": "#/nowhere"}, "is no JSON Schema: "),
        ({"pattern": "("}, "is no JSON Schema: "),
        ({"pattern": "(?=a)"}, "is no JSON Schema: "),
        ({"properties": {"a": {"minimum": "x"}}}, "is no JSON Schema: "),
    ],
    ids=["type", "number", "http", "file", "pointer", "pattern", "look-ahead", "minimum"],
)
def test_what_is_no_schema_is_refused(document: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Schema(document)


def test_a_panic_of_the_compiler_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})

    def fail(error: BaseException) -> Any:
        def compile_it(*given: Any, **options: Any) -> None:
            raise error

        return compile_it

    monkeypatch.setattr(schema.jsonschema_rs, "Draft202012Validator", fail(panic("broken")))
    with pytest.raises(ValueError, match="is no JSON Schema: it cannot be compiled"):
        Schema({})
    monkeypatch.setattr(schema.jsonschema_rs, "Draft202012Validator", fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        Schema({})


@pytest.mark.parametrize(("pattern", "text", "found"), [("a+$", "caa", True), ("^a", "ba", False), ("é.", "xéy", True)])
def test_patterns_search(pattern: str, text: str, found: bool) -> None:
    assert compile_pattern(pattern)(text) is found


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "(", "[z-a]"])
def test_patterns_are_of_linear_time(pattern: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        compile_pattern(pattern)
    message = f"{pattern!r} is no regular expression of linear time (no look-around, no back-references)"
    assert str(caught.value) == message


DOCUMENT = {
    "type": "object",
    "$comment": "top: x",
    "properties": {
        "a": {"$comment": "a-fact", "type": "integer", "minimum": 1, "default": 3, "description": "d"},
        "b": {"$comment": "assumed: x", "const": {"type": "object", "properties": {}}},
        "c": {"items": [{"type": "object", "properties": {"d": True}}]},
        "e": True,
    },
    "anyOf": [{"$comment": "u-fact: y", "required": ["a"]}, True],
}


def test_strict_closes_every_object_that_lists_fields_and_leaves_values_alone() -> None:
    found = schema.strict(DOCUMENT)
    assert found["additionalProperties"] is False
    assert found["properties"]["c"]["items"][0]["additionalProperties"] is False
    assert found["properties"]["b"]["const"] == DOCUMENT["properties"]["b"]["const"]  # type: ignore[index]
    assert schema.strict({"type": "object", "properties": {}, "additionalProperties": True})["additionalProperties"]
    assert "additionalProperties" not in schema.strict({"properties": {}})


def test_mute_takes_away_what_a_fact_constrains_and_keeps_what_describes() -> None:
    found = schema.mute(DOCUMENT, frozenset(["a-fact", "u-fact"]))
    assert found["properties"]["a"] == {"$comment": "a-fact", "description": "d"}
    assert found["anyOf"] == [{"$comment": "u-fact: y"}, True]
    assert schema.mute(DOCUMENT, frozenset()) == DOCUMENT


def test_facts_and_defaults() -> None:
    assert list(schema.facts_named(DOCUMENT)) == ["top", "a-fact", "u-fact"]
    assert (schema.defaults(DOCUMENT), schema.default_facts(DOCUMENT)) == ({"a": 3}, {"a": "a-fact"})
    assert (schema.defaults({}), schema.default_facts({"properties": {"x": {"default": 1}}})) == ({}, {"x": ""})


def test_undocumented_names_the_fields_that_only_strict_refuses() -> None:
    document = {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"b": {}}},
            "p": {"type": "array", "items": {"oneOf": [
                {"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
                {"type": "object", "properties": {"k": {"const": 2}}, "required": ["k"]},
            ]}},
        },
    }  # fmt: skip
    value = {"a": {"b": 1, "x": 2}, "p": [{"k": 1}, {"k": 2, "y": 3}], "z": 4}
    assert Schema(document).verdict(value)
    assert sorted(schema.undocumented(Schema(schema.strict(document)), value)) == ["a.x", "p[1].y", "z"]
    assert schema.undocumented(Schema({"type": "object"}), 5) == []


@pytest.mark.parametrize(
    ("steps", "text"), [([], ""), (["a"], "a"), (["a", 0, "b"], "a[0].b"), ([0], "[0]"), (["a", "b c"], "a.b c")]
)
def test_path_of(steps: list[str | int], text: str) -> None:
    assert path_of(steps) == text


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("modle", ["model", "turn"], "did you mean 'model'?"),
        ("be-temp", ["be-stream", "be-temperature", "be-temperature-range"], "did you mean 'be-temperature'?"),
        ("mod", ["mode", "model"], "did you mean 'mode'?"),
        ("mo", ["moderations", "at"], "known: at, moderations"),
        ("", ["b", "a"], "known: a, b"),
        ("x", ["b", "a"], "known: a, b"),
        ("x", [], "nothing is allowed here"),
    ],
)
def test_nearest(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a'b", '"a\'b"'),
        ("x" * 90, "'" + "x" * 78 + "…"),
        (True, "true"),
        (None, "null"),
        (1.50, "1.5"),
        ({}, "{}"),
        ({"a": 1}, "{…}"),
        ([1, [2], "x" * 30], "[1, [2], '" + "x" * 18 + "…]"),
        ((1, 2, 3, 4, 5, 6), "[1, 2, 3, 4, 5…]"),
        ([], "[]"),
    ],
    ids=str,
)
def test_shown(value: Any, text: str) -> None:
    assert shown(value) == text


# The fast validator and the one that explains agree on whatever is sent

SCALARS = st.sampled_from(["", "a", "text", "user", "tool", "image_url", "gpt-4", "auto", "none", "function"]) | (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3)
)
KEYS = st.sampled_from(
    ["role", "content", "type", "text", "image_url", "url", "name", "tool_calls", "tool_call_id", "id", "function",
     "arguments", "parameters", "x"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda items: st.lists(items, max_size=3) | st.dictionaries(KEYS, items, max_size=4), max_leaves=12
)


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data())
def test_a_miss_is_always_explained_and_a_hit_never(provider: str, data: st.DataObject) -> None:
    fields = sorted(PROVIDERS[provider].operations["chat"].request["properties"])
    body = chat(provider) | data.draw(st.dictionaries(st.sampled_from(fields), VALUES, max_size=3))
    checks = PROVIDERS[provider].operations["chat"].checks(frozenset())
    for compiled in (checks.documented, checks.strict):
        assert compiled.verdict(body) is (compiled.violations(body) == ())
