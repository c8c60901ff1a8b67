"""Matching: each operator on each kind of value, and what a condition that fails says."""

from __future__ import annotations

from typing import Any

import pytest
from build import chat, make_call
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.scenario.matchers import ABSENT, MatchError, compile_matcher, compile_when, equal, parse_json_path
from emulator.core.schema.untrusted import Allowance

OPERATORS: list[tuple[Any, list[Any], list[Any]]] = [  # a matcher, what it holds for, what it does not hold for
    ("a", ["a"], ["A", "ab", 1, None, ABSENT]),
    (1, [1, 1.0], [True, "1", 2]),
    (True, [True], [1, "true", False]),
    (None, [None], [ABSENT, "", 0, False]),
    ({"equals": {"a": [1, {"b": 2}]}}, [{"a": [1.0, {"b": 2}]}],
     [{"a": [1]}, {"a": [1, {"b": 2}], "c": 1}, {}, {"a": [1, 2]}]),
    ({"not": "a"}, ["b", None, ABSENT], ["a"]),
    ({"not": {"contains": "a"}}, ["b", 5], ["cat"]),
    ({"contains": "a"}, ["cat"], ["CAT", ["a"], None, ABSENT]),
    ({"regex": "^a.c$"}, ["abc"], ["abcd", 5, None, ABSENT]),
    ({"one_of": ["a", 1]}, ["a", 1], ["b", True, ABSENT]),
    ({"includes": "a"}, [["a", "b"], ("a",)], [["b"], "a", ABSENT]),
    ({"includes": [{"a": [1, True]}, 2]}, [[2.0, {"a": [1.0, True]}]], [[2, {"a": [1, 1]}], [2, {"a": [True, True]}]]),
    ({"includes": ["a", "b"]}, [["b", "a", "c"]], [["a"], []]),
    ({"present": True}, ["", None, 0], [ABSENT]),
    ({"present": False}, [ABSENT], ["", None]),
    ({"absent": True}, [ABSENT], ["", None]),
    ({"absent": False}, ["", None], [ABSENT]),
    ({"lt": 3}, [2, 2.9, -1], [3, "2", True, None, ABSENT]),
    ({"lte": 3}, [3], [3.1]),
    ({"gt": 3}, [3.1], [3, False]),
    ({"gte": "30s"}, [30, 31], [29]),
    ({"like": {"a": {"b": 1}}}, [{"a": {"b": 1, "c": 2}, "d": 3}],
     [{"a": {}}, {"a": 1}, {}, "x", ABSENT, {"a": {"b": 2}}]),
    ({"like": {"a": {"b": 1}}}, ['{"a": {"b": 1, "c": 2}}', {"a": '{"b": 1}'}], ['{"a": 1}', "[1]", "{"]),
    ({"like": 5}, [5, 5.0], [6, "5"]),
    ({"schema": {"type": "integer"}}, [5], ["5", ABSENT]),
    ({"any": ["a", {"contains": "z"}]}, ["a", "xyz"], ["b"]),
    ({"all": [{"contains": "a"}, {"contains": "b"}]}, ["ab"], ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "good", "bad"), OPERATORS, ids=[str(item[0])[:40] for item in OPERATORS])
def test_operators(spec: Any, good: list[Any], bad: list[Any]) -> None:
    test = compile_matcher(spec, ("model",), Allowance())
    assert ([test(value) for value in good], [test(value) for value in bad]) == ([True] * len(good), [False] * len(bad))


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"regex": "("}, ("model", "regex"),
         "'(' is no regular expression of linear time (no look-around, no back-references)"),
        ({"any": ["a", {"not": {"regex": "["}}]}, ("model", "any", 1, "not", "regex"),
         "'[' is no regular expression of linear time (no look-around, no back-references)"),
        ({"all": [{"lt": "soon"}]}, ("model", "all", 0, "lt"),
         "must be seconds from 0, or a duration such as 200ms, 1.5s, 1m; not 'soon'"),
    ],
    ids=["regex", "nested", "duration"],
)  # fmt: skip
def test_what_can_never_work(spec: Any, path: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(MatchError) as caught:
        compile_when({"model": spec})
    assert (str(caught.value), caught.value.path) == (message, path)


def test_a_schema_that_is_none_can_never_work() -> None:
    with pytest.raises(MatchError, match="is no JSON Schema: ") as caught:
        compile_when({"headers": {"x": {"schema": {"type": "strng"}}}})
    assert caught.value.path == ("headers", "x", "schema")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, "", "a"]),
    lambda items: st.lists(items, max_size=2) | st.dictionaries(st.sampled_from("ab"), items, max_size=2),
    max_leaves=6,
)


@given(left=JSON, right=JSON)
def test_equal_is_an_equivalence_that_tells_true_from_1(left: Any, right: Any) -> None:
    assert equal(left, left)
    assert equal(left, right) is equal(right, left)
    assert not equal(left, right) or left == right
    assert equal([True], [1]) is equal({"a": False}, {"a": 0}) is False


PATHS = [
    ("$", ()), ("$.a", ("a",)), ("$.a.b-c", ("a", "b-c")), ("$.a[0].b", ("a", 0, "b")), ("$['a b']", ("a b",)),
    ("$[12]['']", (12, "")), ("$.a['x.y'][0]", ("a", "x.y", 0)),
]  # fmt: skip


@pytest.mark.parametrize(("path", "steps"), PATHS)
def test_json_paths(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse_json_path(path) == steps


@pytest.mark.parametrize(
    "path", ["", "a", "$a", "$.", "$.a.", "$..a", "$.a[*]", "$.a[-1]", "$.a[1", "$['a", "$.a[1234567]", "a$.b"]
)
def test_what_is_no_json_path(path: str) -> None:
    with pytest.raises(MatchError) as caught:
        parse_json_path(path)
    message = f"'{path}' is no path into the body; write it like $.messages[0].content"
    assert (str(caught.value), caught.value.path) == (message, ("body", path))


CALLS = [
    {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    {"id": "2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]
MESSAGES = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "1", "content": '{"temp_c": 21, "wind": 3}'},
    {"role": "tool", "tool_call_id": "2", "content": "noon"},
]
BODY = chat(
    "brivionix",
    messages=MESSAGES,
    temperature=0.5,
    stream=True,
    tools=[{"type": "function", "function": {"name": "weather"}}],
)
CALL = make_call("brivionix", BODY, headers={"x-tenant": "acme"})

FIELDS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"operation": "chat", "state": "x"}, True),  # not conditions on a call
    ({"model": "gpt-5.4-mini"}, True),
    ({"stream": True}, True),
    ({"last_user": "first"}, True),
    ({"system": {"regex": "^Be"}}, True),
    ({"turn": 1, "step": {"lte": 1}}, True),
    ({"elapsed": {"lt": "1ms"}}, True),
    ({"tools": {"includes": "weather"}}, True),
    ({"headers": {"X-Tenant": "acme", "x-none": {"absent": True}}}, True),
    ({"headers": {"X-Tenant": "Acme"}}, False),
    (
        {"body": {"$.temperature": {"lte": 1}, "$.messages[1].content": "first", "$.messages[9]": {"absent": True}}},
        True,
    ),
    (
        {
            "body": {
                "$.temperature.deep": {"absent": True},
                "$.model[0]": {"absent": True},
                "$": {"like": {"stream": True}},
            }
        },
        True,
    ),
    ({"body": {"$.top_p": {"present": True}}}, False),
    ({"tool_result": {"name": "weather"}}, True),
    ({"tool_result": {"name": "weather", "content": {"like": {"temp_c": 21}}}}, True),
    ({"tool_result": {"name": "time", "content": {"like": {"temp_c": 21}}}}, False),
    ({"tool_result": {"content": "noon"}}, True),
    ({"tool_result": {"content": {"schema": {"type": "object", "required": ["wind"]}}}}, True),
    ({"tool_result": {"content": {"like": "noon"}}}, True),
    ({"tool_result": {"content": {"any": [{"like": {"temp_c": 20}}, {"like": {"temp_c": 21}}]}}}, True),
    ({"body": {"$.messages[3].content": {"like": {"wind": 3}}}}, True),
    ({"tool_result": {"absent": True}}, False),
    ({"tool_result": {"absent": False}}, True),
    ({"tool_result": {"all": [{"name": "weather"}, {"name": "time"}]}}, True),
    ({"tool_result": {"all": [{"name": "weather"}, {"name": "other"}]}}, False),
    ({"tool_result": {"any": [{"name": "other"}, {"name": "time"}]}}, True),
    ({"tool_result": {"any": [{"name": "other"}]}}, False),
]


@pytest.mark.parametrize(("when", "holds"), FIELDS, ids=[str(item[0])[:60] for item in FIELDS])
def test_fields(when: dict[str, Any], holds: bool) -> None:
    assert all(condition.holds(CALL) for condition in compile_when(when)) is holds


EMPTY = make_call("brivionix", {"messages": []})


@pytest.mark.parametrize("field", ["model", "last_user", "system", "tool_result"])
def test_what_a_request_lacks_is_absent(field: str) -> None:
    holds = [
        compile_when({field: {"absent": absent}})[0].holds(call) for absent in (True, False) for call in (EMPTY, CALL)
    ]
    assert holds == [True, False, False, True]


@pytest.mark.parametrize(
    ("when", "difference"),
    [
        ({"model": "x"}, {"field": "model", "expected": "x", "actual": "gpt-5.4-mini"}),
        ({"body": {"$.top_p": 1}}, {"field": "body.$.top_p", "expected": 1, "actual": None}),
        (
            {"body": {"$.top_p": None}},
            {
                "field": "body.$.top_p",
                "expected": None,
                "actual": None,
                "why": "the request has no such field; `absent: true` matches that",
            },
        ),
        ({"tools": {"includes": "x"}}, {"field": "tools", "expected": {"includes": "x"}, "actual": ["weather"]}),
        ({"headers": {"X-Tenant": "b"}}, {"field": "headers.x-tenant", "expected": "b", "actual": "acme"}),
    ],
    ids=["model", "absent", "null", "tools", "header"],
)
def test_a_difference_shows_both_sides(when: dict[str, Any], difference: dict[str, Any]) -> None:
    assert compile_when(when)[0].difference(CALL) == difference


@pytest.mark.parametrize(
    "spec",
    ["the-secret", {"one_of": ["the-secret", "b"]}, {"not": {"regex": "the-secret"}}, {"all": ["the-secret"]}],
    ids=["scalar", "list", "nested", "all"],
)  # fmt: skip
def test_what_was_expected_of_a_secret_is_hidden_too(spec: Any) -> None:
    [condition] = compile_when({"headers": {"x-api-key": spec}})
    shown = condition.difference(CALL)["expected"]
    assert "secret" not in str(shown)
    assert type(shown) is type(spec)


def test_a_presence_shows_as_it_is() -> None:
    [condition] = compile_when({"headers": {"Authorization": {"present": False}}})
    assert condition.difference(CALL)["expected"] == {"present": False}


def test_a_difference_hides_secrets() -> None:
    found = compile_when({"headers": {"Authorization": "Bearer x", "cookie": "x"}})
    call = make_call("brivionix", BODY, headers={"cookie": "session=secret-word; b=another-secret"})
    shown = str([condition.difference(call)["actual"] for condition in found])
    assert [word in shown for word in ("a-key-of-the-tests", "secret-word", "another-secret")] == [False] * 3
    assert repr(ABSENT) == "absent"
