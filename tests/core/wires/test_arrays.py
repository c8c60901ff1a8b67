"""Streams that are the items of an array, split wherever their bytes are cut."""

from __future__ import annotations

import itertools

import orjson
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.wires.sse import Items, items_of, payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON))


def written(items: list[object], indent: bool) -> bytes:
    return orjson.dumps(items, option=orjson.OPT_INDENT_2 if indent else 0)


@given(OBJECTS, st.booleans(), st.lists(st.integers(0, 200)))
def test_items_are_found_wherever_bytes_are_cut(items: list[object], indent: bool, cuts: list[int]) -> None:
    data, split = written(items, indent), Items()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    found = [item for begin, end in itertools.pairwise(places) for item in split.feed(data[begin:end])]
    assert [orjson.loads(payload(item)) for item in found] == items
    assert b"".join(found) + bytes(split.left) == data
    assert [orjson.loads(item) for item in items_of(data)] == items
