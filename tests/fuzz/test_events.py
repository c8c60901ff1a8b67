"""Any bytes as a stream of events: the reader of the contract runner takes them as a browser would."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emulator.contract.bodies import parse_events

from .cases import EDITS, case, edited, fuzz, kept

LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@example(b"data\n\n" + b"data:" * 1_000 + b"\r\r")
@fuzz(2_000)
@given(st.binary(max_size=200) | st.builds(edited, st.just(b"data: [DONE]\n\nid: 1\ndata: {}\r\n\r\n: x\n\n"), EDITS))
def test_any_bytes_are_events(data: bytes) -> None:
    check_events(data)


@pytest.mark.parametrize("data", kept("events"))
def test_kept_bytes_are_events(data: bytes) -> None:
    check_events(data)


def check_events(data: bytes) -> None:
    with case("events", data):
        events = parse_events(data)
        assert all(event.whole for event in events[:-1])
        assert all(event.data is None or isinstance(event.data, str) for event in events)


@fuzz(500)
@given(
    st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans()
)
def test_what_is_written_as_events_is_read_as_them(texts: list[list[str]], end: str, comments: bool) -> None:
    between = f": a comment{end}" if comments else ""
    written = "".join("".join(f"data: {line}{end}{between}" for line in text) + end for text in texts)
    assert [(event.data, event.whole) for event in parse_events(written.encode())] == [
        ("\n".join(text), True) for text in texts
    ]
