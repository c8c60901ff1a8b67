"""What schemas and patterns from outside can cost: never less than they do, and bounded before they are compiled."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import make_call, scenario
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.scenario.candidates import RuleIndex, candidates, difference_text, nearest_rules
from emulator.core.scenario.matchers import MatchError, compile_when
from emulator.core.schema.bounds import positions
from emulator.core.schema.cost import VISIT, Cost, TooCostly, follow, measure
from emulator.core.schema.untrusted import MOST_STEPS, Allowance

CLOSED = {"unevaluatedProperties": False}


def led(levels: int, step: Any, last: Any = False) -> dict[str, Any]:
    """A schema of definitions of which each leads to the next as `step` says."""
    definitions = {f"d{n}": step({"$ref": f"#/$defs/d{n + 1}"}) for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": last}}


def deep(schema: Any, levels: int) -> Any:
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


PAIRS = led(24, lambda to: {"anyOf": [to, to]}, {"properties": {"a": True}})
HEAVY: dict[str, Any] = {
    "any-of": led(40, lambda to: {"anyOf": [to, to]}),
    "all-of": led(40, lambda to: {"allOf": [to, to]}, True),
    "one-of": led(40, lambda to: {"oneOf": [to, to]}),
    "not": led(40, lambda to: {"allOf": [{"not": to}, {"not": to}]}),
    "if": led(40, lambda to: {"if": to, "then": to, "else": to}),
    "dependent": led(40, lambda to: {"dependentSchemas": {"a": to, "b": to}}, True),
    "dependencies": led(40, lambda to: {"dependencies": {"a": to, "b": to}}, True),
    "unevaluated": led(25, lambda to: {"allOf": [to], **CLOSED}, {"properties": {"a": True}}),
    "unevaluated-items": led(25, lambda to: {"oneOf": [to], "unevaluatedItems": False}, True),
    "percent": led(40, lambda to: {"allOf": [{"$ref": to["$ref"].replace("$", "%24")}] * 2}, True),
    "deep": {**deep({"$ref": "#/$defs/d0", **CLOSED}, 20), "$defs": PAIRS["$defs"]},
    "wide": {"properties": {f"p{n}": {"$ref": "#/$defs/d14", **CLOSED} for n in range(9)}, "$defs": PAIRS["$defs"]},
}


@pytest.mark.parametrize("document", HEAVY.values(), ids=HEAVY)
def test_a_schema_that_multiplies_is_not_compiled(document: Any) -> None:
    with pytest.raises(ValueError, match=r"^is too large: its references and unions lead on too often$"):
        Allowance().schema(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"$ref": "#"}, "refers to itself without end"),
        (deep({"$ref": "#/$defs/a"}, 20) | {"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, "refers to itself"),
        ({"$ref": "#/$defs/a"}, "refers to '#/$defs/a', where no schema stands"),
        ({"$ref": "#/allOf/+0", "allOf": [True]}, "refers to '#/allOf/+0', where no schema stands"),
        ({"$dynamicRef": "#a"}, "refers to '#a'; only '#/…' is followed"),
        ({"items": {"$id": "https://example.com"}}, "has an $id inside"),
        ({"items": [{}] * 20_000}, "has more than 20000 parts"),
    ],
    ids=["itself", "deep", "nowhere", "signed", "anchor", "id", "parts"],
)
def test_what_cannot_be_weighed_is_said(document: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("$", r"\$").replace("+", r"\+")):
        Allowance().schema(document)


NODE = {"anyOf": [{"properties": {name: {"$ref": "#"} for name in "ab"}} for _ in range(3)]}
WIDE_ENUM = {"items": {"not": {"enum": [{"n": n} for n in range(5000)]}}}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("document", "good", "large"),
    [
        (NODE, nested(8), nested(20)),
        (NODE, 1, nested(200)),
        ({"items": {"dependentRequired": {f"b{n}": ["a"] for n in range(900)}}}, [{}], [{}] * 9000),
        (WIDE_ENUM, [{"n": -1}] * 2, [{"n": -1}] * 5000),
        ({"items": {"const": {"n": list(range(4000))}}}, [], [{}] * 9000),
        ({"items": {"multipleOf": 1e-308}}, [1.0], [1.7e308] * 20_000),
        ({"items": {"uniqueItems": True, "allOf": [{}] * 1000}}, [[1]], [[1]] * 9000),
        ({"items": {"pattern": "[01]*1[01]{1000}"}}, ["1" * 1001], ["1" * 100_000]),
        ({"patternProperties": {"[01]*1[01]{1000}": {}}}, {"1": 1}, {"1" * 100_000: 1}),
    ],
    ids=["tree", "bottomless", "dependent", "enum", "const", "division", "unique", "pattern", "names"],
)
def test_a_value_too_large_for_its_schema_is_not_judged(document: Any, good: Any, large: Any) -> None:
    judged = Allowance().schema(document)
    assert judged(good)
    with pytest.raises(TooCostly, match=r"can take this schema too long|the schema is too large for a value of"):
        judged(large)


IN_PLACE = ("allOf", "anyOf", "oneOf")


def met(root: Any, schema: Any, value: Any) -> int:
    """Count the subschemas that a value meets, all of them, as a validator would that never stops early."""
    if not isinstance(schema, dict):
        return 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    same = [part for keyword in IN_PLACE for part in schema.get(keyword, ())]
    same += [schema["not"]] if "not" in schema else []
    same += [follow(root, schema["$ref"])] if "$ref" in schema else []
    total = 1 + sum(met(root, part, value) for part in same)
    if isinstance(value, dict):
        total += sum(met(root, schema.get("properties", {}).get(name, 1), item) for name, item in value.items())
    for keyword in ("items", "additionalProperties"):
        total += sum(met(root, schema[keyword], item) for item in inner) if keyword in schema else 0
    return total


def schemas() -> st.SearchStrategy[Any]:
    """Three definitions; a reference for the same value leads to a later one, one a level down to any."""

    def definition(number: int) -> st.SearchStrategy[Any]:
        later = st.sampled_from([{"$ref": f"#/$defs/{n}"} for n in range(number + 1, 3)] or [True])
        below = st.sampled_from([{"$ref": f"#/$defs/{n}"} for n in range(3)])
        same = st.dictionaries(st.sampled_from(IN_PLACE), st.lists(later, min_size=1, max_size=2), max_size=1)
        optional = {"not": later, "items": below, "additionalProperties": below,
                    "properties": st.dictionaries(st.sampled_from("ab"), below, max_size=2)}  # fmt: skip
        return st.builds(lambda some, more: some | more, same, st.fixed_dictionaries({}, optional=optional))

    return st.tuples(*map(definition, range(3))).map(
        lambda parts: {"$ref": "#/$defs/0", "$defs": {str(n): part for n, part in enumerate(parts)}}
    )


def values(levels: int) -> st.SearchStrategy[Any]:
    if not levels:
        return st.integers(0, 2)
    inner = values(levels - 1)
    return inner | st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)


@given(schemas(), values(3))
def test_no_value_meets_more_subschemas_than_its_cost_says(document: Any, value: Any) -> None:
    places, _, levels = measure(value)
    cost = Cost(document)
    met_times = met(document, document, value)
    assert met_times * VISIT <= cost.weigh(document, levels).steps * places
    assert met_times * VISIT <= (cost.at_most(len(orjson.dumps(value))) or MOST_STEPS)


def test_a_value_is_measured() -> None:
    assert measure("abc") == (1, 3, 0)
    assert measure({"ab": ["c", {"d": 1}], "e": {}}) == (6, 5, 3)


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("", 1), ("a long text without more", 1), ("[01]*1[01]{1000}x", 1002), ("(ab){5}", 11), ("a{5}", 6),
        ("(?:[a-z]{10}){20}x", 201), ("((a{2}){3}){4}", 25), ("a{2}{3}{4}", 25), ("x{2,}", 4), (r"\p{L}{4}\]", 5),
        ("[]a]{3}", 4), ("(Paris|London|Rome)", 4), ("(?i)a+?|b*|^c?$", 4), (")", 1), ("((", 1), ("{5}", 1),
        ("a{99999999999999}", 10**9),
    ],
)  # fmt: skip
def test_places_of_a_pattern_are_counted(pattern: str, places: int) -> None:
    assert positions(pattern) == places


def test_a_text_too_long_for_its_pattern_is_not_searched() -> None:
    found = Allowance().pattern("[01]*1[01]{5000}x")
    assert not found("1" * 4_000)
    with pytest.raises(TooCostly, match=r"^a text of 50000 characters can take this pattern too long$"):
        found("1" * 50_000)


UNROLLED = led(8, lambda to: {"anyOf": [to, to]}, {"properties": {"a": True}}) | CLOSED


@pytest.mark.parametrize(
    ("compile_one", "message"),
    [
        (
            lambda allowed, n: allowed.pattern(rf"\pL{{30}}{n}"),
            "has a pattern that takes too much",
        ),
        (
            lambda allowed, n: allowed.schema({"pattern": rf"\pL{{30}}{n}"}),
            "has a pattern that takes too much",
        ),
        (lambda allowed, n: allowed.schema(UNROLLED), "is too large together with the schemas before it"),
    ],
    ids=["patterns", "patterns-of-schemas", "schemas"],
)
def test_those_of_one_document_share_what_they_may_take(compile_one: Any, message: str) -> None:
    allowed = Allowance()
    for number in range(5):
        compile_one(allowed, number)
    allowed.bytes = allowed.unrolled = 0
    with pytest.raises(ValueError, match=message):
        compile_one(allowed, 6)


def test_a_pattern_too_large_is_said() -> None:
    with pytest.raises(ValueError, match=r"is no regular expression of linear time"):
        Allowance().pattern(r"\pL{1000}")


LONG = make_call(body={"messages": [{"role": "user", "content": "1" * 50_000}]})
SLOW = {"regex": "[01]*1[01]{5000}x"}


@pytest.mark.parametrize("spec", [SLOW, {"not": SLOW}, {"any": [SLOW, "b"]}], ids=["plain", "not", "any"])
def test_a_condition_that_is_not_tried_does_not_hold_and_says_why(spec: Any) -> None:
    [condition] = compile_when({"last_user": spec})
    assert not condition.holds(LONG)
    why = "a text of 50000 characters can take this pattern too long"
    assert (condition.mismatch(LONG) or {})["why"] == f"not tried: {why}"
    assert difference_text([condition.mismatch(LONG) or {}]).endswith(f"… (not tried: {why})")


def test_all_rules_share_what_one_request_may_take() -> None:
    half = {"last_user": {"regex": f"[01]{{{MOST_STEPS // 50_000 // 4 - 1}}}x"}}
    rules = [{"when": when, "reply": {"text": "a"}} for when in (half, half, {"last_user": {"regex": "^1+$"}})]
    every = scenario({"emulator": 1, "rules": rules}).rules
    found = [[item.rule for item in candidates(RuleIndex(some), LONG, "key")] for some in (every, every[1:], every)]
    assert found == [[], ["rule-3"], []]
    nearest = nearest_rules(every[2:], LONG, "started", set())
    assert nearest[0]["differences"] == []


def test_a_schema_too_large_is_a_problem_of_its_matcher() -> None:
    with pytest.raises(MatchError, match="is too large") as caught:
        compile_when({"body": {"$.a": {"not": {"schema": HEAVY["any-of"]}}}})
    assert caught.value.path == ("body", "$.a", "not", "schema")


def test_a_value_of_any_depth_is_judged() -> None:
    value: Any = 1
    for _ in range(600):
        value = [value]
    assert Allowance().schema({"type": "array"})(value)


def test_many_tool_results_by_many_matchers_are_not_tried() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(800)]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in calls]
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    call = make_call(body={"messages": messages})
    few, many = ([{"name": "g"}] * number + [{"name": "f"}] for number in (100, 1000))
    conditions = compile_when({"tool_result": {"any": few}}) + compile_when({"tool_result": {"any": many}})
    assert [condition.holds(call) for condition in conditions] == [True, False]
