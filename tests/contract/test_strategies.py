"""Generation: valid values are valid and broken ones broken, by both validators, and nothing goes on for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.contract.generation.mutations import MOST_ITEMS, Mutation, Mutator
from emulator.contract.generation.strategies import Endless, answered, requests, values
from emulator.contract.generation.subschemas import UnsupportedKeyword
from emulator.core.provider.loading.folder import load_providers
from emulator.core.schema.schema import Schema
from emulator.core.tree import canonical

PROVIDERS = load_providers()
QUICK = settings(max_examples=60, derandomize=True, database=None)
_DOCUMENTS = {
    f"{provider.name}-{operation.name}-{part}": document
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    for part, document in (
        ("request", operation.request),
        ("response", operation.response and operation.response.document),
        ("chunk", operation.chunk and operation.chunk.document),
    )
    if document is not None
}
#: Each once: several operations may have the same.
DOCUMENTS = dict({canonical(item): (name, item) for name, item in _DOCUMENTS.items()}.values())
FEW = settings(QUICK, max_examples=10)  # each has a hundred mutations; where it has a thousand, fewer are enough
ENOUGH = 1_500
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 3},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
        }
    },
}
SMALL = {
    "tree": TREE,
    "itself": {"type": ["array", "null"], "items": {"$ref": "#"}},
    "bounds": {"type": "integer", "exclusiveMinimum": 3, "maximum": 5},
    "between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "list": {"type": "array", "minItems": 2, "maxItems": 3, "items": {"enum": ["a", "b", 3, None]}},
    "length": {"type": "string", "minLength": 2, "maxLength": 4},
    "pattern": {"type": "string", "pattern": "^req_[A-Z0-9]{4}$"},
    "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "no fields": {"type": "object", "additionalProperties": False},
    "anything": {"minimum": 1, "minLength": 1},
    "not one": {"type": "string", "enum": ["x", "y"], "not": {"const": "x"}},
    "not both": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "not": {"required": ["a", "b"]},
    },
    "conditional": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": ["n", "s"]}, "n": {"type": "number"}, "s": {"type": "string"}},
        "if": {"properties": {"kind": {"const": "n"}}},
        "then": {"required": ["n"]},
        "else": {"required": ["s"]},
    },
    "merged": {
        "allOf": [
            {"type": ["integer", "string"], "minimum": 1},
            {"type": ["number", "null"], "maximum": 2},
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"a": {"minLength": 2}}},
        ],
    },
    "one of numbers": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 10}]},
    "always": True,
}  # fmt: skip


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), *SMALL.values()], ids=[*DOCUMENTS, *SMALL])
def test_values_are_valid_by_both_validators(document: Any) -> None:
    fast, oracle = Schema(document).verdict, Draft202012Validator(document).is_valid

    @QUICK
    @given(values(document))
    def check(value: Any) -> None:
        value = orjson.loads(orjson.dumps(value))
        assert fast(value), value
        assert oracle(value), value

    check()


def mutations(document: Any, value: Any) -> Iterator[tuple[Any, Mutation]]:
    """Yield a valid value with each single fault, and that fault, in the order of the schema."""
    mutator = Mutator(document, nulls=True)
    found = mutator.candidates(value)
    yield from ((mutation.apply(value), mutation) for mutation in found if mutator.breaks(value, mutation))


@pytest.mark.parametrize("document", [*DOCUMENTS.values(), *SMALL.values()], ids=[*DOCUMENTS, *SMALL])
def test_mutations_are_invalid_by_both_validators(document: Any) -> None:
    schema = Schema(document)
    fast, oracle = schema.verdict, schema.oracle.is_valid  # jsonschema, as it explains: it takes a third of the time
    checked = 0

    @FEW
    @given(values(document))
    def check(value: Any) -> None:
        nonlocal checked
        before = orjson.dumps(value)
        for broken, mutation in mutations(document, value) if checked < ENOUGH else ():
            broken = orjson.loads(orjson.dumps(broken))
            assert not fast(broken), mutation
            assert not oracle(broken), mutation
            checked += 1
        assert orjson.dumps(value) == before

    check()


@pytest.mark.parametrize("name", ["tree", "itself"])
def test_recursion_ends_and_is_reached(name: str) -> None:
    deepest = find(values(SMALL[name]), lambda value: depth(value) >= 2, settings=QUICK)
    assert 2 <= depth(deepest) <= 10


def test_a_schema_without_a_finite_value_is_refused() -> None:
    with pytest.raises(Endless, match="no finite value fits the schema of the whole"):
        values({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}})


@pytest.mark.parametrize(
    "document",
    [
        False,
        {"type": "integer", "minimum": 1, "maximum": 0},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "string", "const": 1},
        {"type": "object", "required": ["a", "b"], "not": {"required": ["a", "b"]}},
    ],
    ids=["false", "bounds", "types", "const", "forbidden"],
)
def test_a_schema_without_any_value_is_refused(document: Any) -> None:
    with pytest.raises(Endless):
        values(document)


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"uniqueItems": True}, "/uniqueItems", "the keyword 'uniqueItems' is not supported; known: $comment, $defs"),
        ({"properties": {"a/b": {"items": {"format": "date"}}}}, "/properties/a~1b/items/format", "'format'"),
        ({"oneOf": [{}, {"not": {"multipleOf": 2}}]}, "/oneOf/1/not/multipleOf", "'multipleOf'"),
        ({"$defs": {"x": {"prefixItems": []}}}, "/$defs/x/prefixItems", "'prefixItems'"),
        ({"items": {"$ref": "#/$defs/x"}}, "/items/$ref", "'#/$defs/x' leads nowhere"),
        ({"$ref": "https://example.com/x"}, "/$ref", "'https://example.com/x' leads nowhere"),
    ],
)
def test_what_is_not_supported_is_an_error_with_its_place(document: Any, pointer: str, words: str) -> None:
    for use in (values, Mutator):
        with pytest.raises(UnsupportedKeyword, match=re.escape(words)) as caught:
            use(document)
        assert caught.value.pointer == pointer


def test_overrides_stand_at_their_pointers() -> None:
    document = {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string"},
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role"]}},
        },
    }
    found = values(document, {"/model": st.just("m"), "/messages/*/role": st.just("user")})

    @QUICK
    @given(found)
    def check(body: Any) -> None:
        assert body["model"] == "m"
        assert {message["role"] for message in body["messages"]} == {"user"}

    check()


CHAT = PROVIDERS["brivionix"].operations["chat"]


@QUICK
@given(requests(CHAT.request, ["gpt-5.4"], CHAT.wire, most_tokens=5))
def test_requests_keep_to_models_and_budget(body: Any) -> None:
    assert body["model"] == "gpt-5.4"
    assert 1 <= body.get("max_tokens", 1) <= 5
    assert body == answered(CHAT.wire, body)


def test_a_tool_message_answers_the_call_before_it() -> None:
    def call(name: str) -> Any:
        return {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}

    first, second = ({"role": "tool", "content": text, "tool_call_id": "?"} for text in ("1", "2"))
    asking = {"role": "assistant", "tool_calls": [call("a"), call("b")]}
    user = {"role": "user", "content": "Hi"}
    body = {"messages": [first, asking, first, second, second, user, first]}
    assert answered(CHAT.wire, body)["messages"] == [
        asking,
        {**first, "tool_call_id": "a"},
        {**second, "tool_call_id": "b"},
        user,
    ]
    assert answered(CHAT.wire, {"messages": [user]}) == {"messages": [user]}
    assert answered(CHAT.wire, [1]) == [1]


def test_a_generated_body_names_nothing_that_is_kept() -> None:
    user, named = {"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}
    wire = PROVIDERS["openai"].operations["responses"].wire
    assert answered(wire, {"input": [named, user], "previous_response_id": "resp_1"}) == {"input": [user]}


def test_every_mutation_of_a_small_body() -> None:
    document = {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["user", "tool"]},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "n": {"type": "integer", "minimum": 1},
            "top_p": {"type": ["number", "string", "null", "boolean", "array"]},
        },
        "not": {"required": ["temperature", "n"]},
    }
    body = {"role": "user", "temperature": 1}
    found = [mutation for _, mutation in mutations(document, body)]
    assert found == [
        *(Mutation((), "type", "retype", body, other) for other in (None, True, 1, 0.5, "1", [])),
        Mutation(("role",), "required", "remove", "user", None),
        Mutation((), "not", "combine", body, {**body, "n": found[7].after["n"]}),
        Mutation(("top_p",), "type", "retype", None, {}),
        Mutation(("role",), "enum", "rename", "user", "userx"),
        Mutation(("role",), "enum", "recase", "user", "USER"),
        Mutation(("role",), "enum", "rename", "user", "toolx"),
        Mutation(("role",), "enum", "recase", "user", "TOOL"),
        Mutation(("role",), "enum", "rename", "user", None),
        *(Mutation(("temperature",), "type", "retype", 1, other) for other in (None, True, "1", [], {})),
        Mutation(("temperature",), "minimum", "below", 1, -0.01),
        Mutation(("temperature",), "maximum", "above", 1, 2.01),
    ]


def test_what_would_make_megabytes_is_a_fault_that_is_not_drawn() -> None:
    document = {
        "properties": {"of": {"type": "array", "maxItems": MOST_ITEMS}, "few": {"type": "array", "maxItems": 2}}
    }
    mutator, body = Mutator(document), {"of": [1], "few": [1]}
    lengths = {len(found.after) for found in mutator.candidates(body) if found.operator == "lengthen"}
    drawn = set()

    @QUICK
    @given(mutator.several(st.just(body), 1))
    def draw(pairs: Any) -> None:
        _, (_, fault) = pairs
        drawn.add(len(fault.after) if fault.operator == "lengthen" else 0)

    draw()
    assert (lengths, drawn) == ({MOST_ITEMS + 1, 3}, {0, 3})


def test_a_mutation_names_its_place_both_ways() -> None:
    mutation = Mutation(("messages", 0, "a/b"), "type", "retype", 1, "x")
    assert mutation.pointer == "/messages/0/a~1b"
    assert mutation.path == "messages[0].a/b"
    assert mutation.apply({"messages": [{"a/b": 1, "c": 2}, 3]}) == {"messages": [{"a/b": "x", "c": 2}, 3]}


def depth(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, below), default=0) if isinstance(value, dict | list) else 0
