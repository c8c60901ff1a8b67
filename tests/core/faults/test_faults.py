"""Faults: what they leave of a timeline, and where they have no hold."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.durations import FOREVER, Wait
from emulator.core.faults.chunks import MOST_COMMENTS, MOST_PARTS
from emulator.core.faults.faults import FAULTS, Fault, apply, parse_fault
from emulator.core.seeded_random import Draw
from emulator.core.values import HARMLESS, Frame, Timeline

EVENTS = tuple(Frame(float(at), f"data: {at}\n\n".encode(), "data") for at in range(3))
DONE = Frame(2.0, b"data: [DONE]\n\n", "done")
STREAM = Timeline(200, (), (*EVENTS, DONE), True, 0.0, "complete", 2.0)
NOTHING = Timeline(200, (), (), False, 0.0, "complete", 0.0, 0)
WHOLE = Timeline(200, (), (Frame(1.0, b"0123456789", "body"),), False, 1.0, "complete", 1.0, 10)


def strike(timeline: Timeline, *faults: dict[str, Any], seed: int = 0) -> tuple[Timeline, list[str]]:
    """Apply faults; return the timeline and the kinds of those that had nothing to act on."""
    parsed = {f"fault/{number}": parse_fault(fault) for number, fault in enumerate(faults)}
    struck, idle = apply(
        timeline, parsed, Draw(seed), lambda error, number: [b"data: %b\n\n" % json.dumps(error).encode()]
    )
    return struck, [parsed[label].kind for label in idle]


def data(timeline: Timeline) -> bytes:
    return b"".join(frame.data for frame in timeline.frames)


def test_other_headers_leave_all_else_as_it_is() -> None:
    given = Timeline(201, (("a", "b"),), EVENTS, True, 1.0, "fin", 2.0, 3, ("cut",), 4.0, True, 5.0, b"event: ping\n\n")
    usual = {item.name: item.default for item in fields(Timeline)}
    assert [name for name, default in usual.items() if getattr(given, name) == default] == []
    assert given.headed((("c", "d"),)) == replace(given, headers=(("c", "d"),))


@pytest.mark.parametrize(
    ("arguments", "frames", "end", "end_at"),
    [
        ({"after_chunks": 0}, (), "fin", 0.0),
        ({"after_chunks": 2}, EVENTS[:2], "fin", 1.0),
        ({"after_chunks": 3, "how": "clean"}, EVENTS, "clean", 2.0),
        ({"before": "done"}, EVENTS, "fin", 2.0),
        ({"after_bytes": 0}, (), "fin", 0.0),
        ({"after_bytes": 9}, EVENTS[:1], "fin", 0.0),
        ({"after_bytes": 12}, (EVENTS[0], Frame(1.0, b"dat", "data")), "fin", 1.0),
    ],
    ids=["none", "two", "clean", "before-done", "no-bytes", "whole-event", "half-event"],
)
def test_cut_of_a_stream(arguments: dict[str, Any], frames: tuple[Frame, ...], end: Any, end_at: float) -> None:
    cut = Timeline(200, (), frames, True, 0.0, end, end_at, None, ("cut",))
    assert strike(STREAM, {"cut": arguments}) == (cut, [])
    assert cut.broken


@pytest.mark.parametrize(
    ("arguments", "sent", "end", "length"),
    [({"after_bytes": 4}, b"0123", "fin", 10), ({"after_bytes": 4, "how": "clean"}, b"0123", "clean", 4),
     ({"after_bytes": 0}, b"", "fin", 10)],
    ids=["fin", "clean", "nothing"],
)  # fmt: skip
def test_cut_of_a_whole_answer(arguments: dict[str, Any], sent: bytes, end: str, length: int) -> None:
    cut, notes = strike(WHOLE, {"cut": arguments})
    assert (data(cut), cut.end, cut.length, cut.end_at, notes) == (sent, end, length, 1.0, [])


@pytest.mark.parametrize(
    ("timeline", "fault"),
    [
        (WHOLE, {"cut": {"after_chunks": 1}}),
        (WHOLE, {"cut": {"before": "done"}}),
        (WHOLE, {"cut": {"after_bytes": 10}}),
        (WHOLE, {"stall": {"after_chunks": 0, "for": 1}}),
        (STREAM, {"cut": {"after_chunks": 4}}),
        (STREAM, {"cut": {"after_bytes": 1000}}),
        (STREAM, {"stall": {"after_chunks": 4, "for": 1}}),
        (WHOLE, {"corrupt": {"chunk": 1}}),
        (STREAM, {"corrupt": {"chunk": 5}}),
        (STREAM, {"duplicate": {"chunk": 5}}),
        (STREAM, {"half_event": {"chunk": 5}}),
        (STREAM, {"error_event": {"error": "timeout", "after_chunks": 4}}),
        (STREAM, {"reorder": {"chunks": [4, 5]}}),
        (STREAM, {"reorder": {"chunks": [2, 2]}}),
        (WHOLE, {"merge": {"chunks": 2}}),
        (STREAM, {"comment": {"every": 1}}),
        (WHOLE, {"comment": {"every": 0.1}}),
        (replace(WHOLE, stream=True, head_at=FOREVER), {"comment": {"every": 0.1}}),
        (STREAM, {"invalid_json": True}),
        (WHOLE, {"drop_done": True}),
        (NOTHING, {"empty": True}),
        (NOTHING, {"invalid_json": True}),
        (NOTHING, {"bandwidth": {"bytes_per_second": 1}}),
    ],
)
def test_a_fault_without_hold_changes_nothing_and_is_told(timeline: Timeline, fault: dict[str, Any]) -> None:
    assert strike(timeline, fault) == (timeline, [next(iter(fault))])


def test_stall_makes_what_follows_later() -> None:
    stalled, _ = strike(STREAM, {"stall": {"after_chunks": 1, "for": "5s"}})
    assert ([frame.at for frame in stalled.frames], stalled.end_at, stalled.broken) == ([0, 6, 7, 7], 7, False)
    assert data(stalled) == data(STREAM)


def test_a_stream_without_done_is_cut_before_its_end() -> None:
    cut, idle = strike(Timeline(200, (), EVENTS, True), {"cut": {"before": "done"}})
    assert (cut.frames, cut.end, idle) == (EVENTS, "fin", [])


def test_stall_for_ever_is_a_silence_before_what_follows() -> None:
    stalled, _ = strike(STREAM, {"stall": {"after_chunks": 1, "for": "forever"}})
    assert stalled.frames == (EVENTS[0], Frame(1.0, b"", "hold"), *EVENTS[1:], DONE)


def test_a_silence_is_no_chunk() -> None:
    timeline, _ = strike(STREAM, {"stall": {"after_chunks": 1, "for": "forever"}}, {"cut": {"after_chunks": 2}})
    assert timeline.frames == (EVENTS[0], Frame(1.0, b"", "hold"), EVENTS[1])


def test_faults_are_applied_in_order() -> None:
    fault_names = [{"stall": {"after_chunks": 1, "for": 5}}, {"cut": {"after_chunks": 2}}]
    timeline, notes = strike(STREAM, *fault_names)
    assert ([frame.at for frame in timeline.frames], timeline.end_at) == ([0, 6], 6)
    assert (timeline.faults, notes) == (("stall", "cut"), [])
    _, notes = strike(STREAM, {"cut": {"after_chunks": 1}}, {"stall": {"after_chunks": 2, "for": 5}})
    assert notes == ["stall"]


@pytest.mark.parametrize(("chance", "low", "high"), [(0, 0, 0), (0.25, 60, 140), (1, 400, 400)])
def test_chance(chance: float, low: int, high: int) -> None:
    struck = [
        strike(STREAM, {"cut": {"after_chunks": 1}, "chance": chance}, seed=seed)[0].broken for seed in range(400)
    ]
    assert low <= sum(struck) <= high


def test_parse_fault() -> None:
    assert parse_fault({"chance": 0.5, "stall": {"after_chunks": 1, "for": "1s"}}) == Fault(
        "stall", {"after_chunks": 1, "for": Wait("fixed", 1.0)}, 0.5
    )
    assert parse_fault({"cut": {"before": "done"}}) == Fault("cut", {"before": "done"}, 1.0)
    assert parse_fault({"stall": {"after_chunks": 1, "for": "forever"}}).arguments["for"] == Wait("fixed", FOREVER)


@given(count=st.integers(0, 60), how=st.sampled_from(["fin", "clean"]))
def test_a_cut_after_bytes_leaves_exactly_those(count: int, how: str) -> None:
    cut, _ = strike(STREAM, {"cut": {"after_bytes": count, "how": how}})
    assert data(cut) == data(STREAM)[:count]
    assert cut.broken is (count < len(data(STREAM)))


def frames(timeline: Timeline) -> list[tuple[float, bytes, str]]:
    return [(frame.at, frame.data, frame.kind) for frame in timeline.frames]


def test_a_slice_says_where_events_end() -> None:
    sliced, _ = strike(STREAM, {"slice": {"bytes": 12}})
    assert frames(sliced) == [
        (0.0, b"", "data"), (1.0, b"data: 0\n\ndat", "part"), (1.0, b"", "data"), (2.0, b"a: 1\n\ndata: ", "part"),
        (2.0, b"", "data"), (2.0, b"2\n\ndata: [DO", "part"), (2.0, b"NE]\n\n", "done"),
    ]  # fmt: skip


OTHERS: list[tuple[dict[str, Any], bytes]] = [
    ({"drop_done": True}, b"data: 0\n\ndata: 1\n\ndata: 2\n\n"),
    ({"cut": {"after_chunks": 2}}, b"data: 0\n\ndata: 1\n\n"),
    ({"cut": {"before": "done"}}, b"data: 0\n\ndata: 1\n\ndata: 2\n\n"),
    ({"half_event": {"chunk": 2}}, b"data: 0\n\ndata"),
    ({"error_event": {"error": "timeout", "after_chunks": 1}}, b'data: 0\n\ndata: {"name": "timeout"}\n\n'),
    ({"reorder": {"chunks": [2, 3]}}, b"data: 0\n\ndata: 2\n\ndata: 1\n\ndata: [DONE]\n\n"),
    ({"duplicate": {"chunk": 1}}, b"data: 0\n\n" + data(STREAM)),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda item: json.dumps(item[0]))
@pytest.mark.parametrize(
    "reshaping", [{"slice": {"bytes": 5}}, {"merge": {"chunks": 2}}, {"bandwidth": {"bytes_per_second": 30}}]
)
def test_what_divides_all_comes_last_wherever_it_stands(
    reshaping: dict[str, Any], other: tuple[dict[str, Any], bytes]
) -> None:
    first, last = strike(STREAM, reshaping, other[0]), strike(STREAM, other[0], reshaping)
    assert first == last
    assert (data(first[0]), first[0].faults[0]) == (other[1], next(iter(other[0])))


def test_no_comment_comes_inside_an_event() -> None:
    faults: list[dict[str, Any]] = [
        {"slice": {"bytes": 4}}, {"bandwidth": {"bytes_per_second": 5}}, {"comment": {"every": 0.2}},
    ]  # fmt: skip
    struck, _ = strike(STREAM, *faults)
    assert {line for line in data(struck).split(b"\n\n") if line} == {
        b"data: 0", b"data: 1", b"data: 2", b"data: [DONE]", b": keep-alive",
    }  # fmt: skip


def test_a_slice_makes_so_many_parts_at_most() -> None:
    large = replace(WHOLE, frames=(Frame(0.0, b"x" * (3 * MOST_PARTS), "body"),))
    sliced, _ = strike(large, {"slice": {"bytes": 1}})
    assert {len(frame.data) for frame in sliced.frames} == {0, 3}


@pytest.mark.parametrize("later", [{"empty": True}, {"half_event": {"chunk": 1}}, {"drop_done": True}])
def test_an_end_that_was_decided_stays(later: dict[str, Any]) -> None:
    ended, _ = strike(STREAM, {"cut": {"after_bytes": 35, "how": "reset"}}, later)
    assert ended.end == "reset"


def test_how_long_does_not_depend_on_whether() -> None:
    """The rare one that strikes is not always short: what it draws is another number."""
    fault = {"stall": {"after_chunks": 1, "for": {"uniform": {"min": 0, "max": 10}}}, "chance": 0.1}
    waits = [struck.end_at - 2 for seed in range(600) if (struck := strike(STREAM, fault, seed=seed)[0]).faults]
    assert 30 < len(waits) < 90
    assert 4 < sum(waits) / len(waits) < 6


def test_a_slice_sends_what_it_holds_before_a_silence() -> None:
    faults: list[dict[str, Any]] = [{"stall": {"after_chunks": 1, "for": "forever"}}, {"slice": {"bytes": 100}}]
    sliced, _ = strike(STREAM, *faults)
    assert frames(sliced)[:3] == [(0.0, b"", "data"), (1.0, EVENTS[0].data, "part"), (1.0, b"", "hold")]


def test_merged_events_arrive_together() -> None:
    merged, _ = strike(STREAM, {"merge": {"chunks": 2}})
    assert frames(merged) == [
        (1.0, b"", "data"), (1.0, EVENTS[0].data + EVENTS[1].data, "data"),
        (2.0, b"", "data"), (2.0, EVENTS[2].data + DONE.data, "done"),
    ]  # fmt: skip


def test_a_bandwidth_spreads_the_bytes() -> None:
    slow, _ = strike(WHOLE, {"bandwidth": {"bytes_per_second": 40}})
    assert frames(slow) == [
        (1.05, b"01", "part"), (1.1, b"23", "part"), (pytest.approx(1.15), b"45", "part"),
        (pytest.approx(1.2), b"67", "part"), (pytest.approx(1.25), b"89", "body"),
    ]  # fmt: skip
    assert (slow.end_at, slow.broken) == (pytest.approx(1.25), False)


def test_a_bandwidth_makes_so_many_parts_at_most() -> None:
    large = replace(WHOLE, frames=(Frame(0.0, b"x" * (3 * MOST_PARTS), "body"),))
    slow, _ = strike(large, {"bandwidth": {"bytes_per_second": 1}})
    assert (len(slow.frames), len(slow.frames[0].data), slow.end_at) == (MOST_PARTS, 3, 3 * MOST_PARTS + 1)


def test_so_many_comments_at_most() -> None:
    faults: list[dict[str, Any]] = [{"stall": {"after_chunks": 1, "for": "10h"}}, {"comment": {"every": "1s"}}]
    kept_alive, _ = strike(STREAM, *faults)
    assert sum(frame.kind == "comment" for frame in kept_alive.frames) == MOST_COMMENTS - 1
    assert [frame.at for frame in kept_alive.frames] == sorted(frame.at for frame in kept_alive.frames)


def test_slow_headers_shift_what_follows() -> None:
    slow, _ = strike(STREAM, {"slow_headers": {"for": 5}})
    assert (slow.head_s, [frame.at for frame in slow.frames], slow.end_at) == (5, [5, 6, 7, 7], 7)


def test_an_error_event_is_in_the_envelope_that_is_given() -> None:
    struck, _ = strike(STREAM, {"error_event": {"error": "timeout", "after_chunks": 1}})
    assert (data(struck), struck.end) == (b'data: 0\n\ndata: {"name": "timeout"}\n\n', "clean")


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - HARMLESS - {"error_event"}))
def test_what_spoils_an_answer_breaks_it(kind: str) -> None:
    arguments = {
        "cut": {"after_bytes": 3}, "reorder": {"chunks": [1, 2]}, "corrupt": {"chunk": 1}, "duplicate": {"chunk": 1},
        "half_event": {"chunk": 1},
    }.get(kind, True)  # fmt: skip
    assert any(strike(timeline, {kind: arguments})[0].broken for timeline in (STREAM, WHOLE))


@pytest.mark.parametrize("fault", [{"slow_headers": {"for": "forever"}}, {"comment": {"every": "forever"}}])
def test_what_must_end(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(fault))} needs a duration that ends$"):
        parse_fault(fault)


@given(sizes=st.lists(st.integers(1, 9), min_size=1))
def test_a_slice_leaves_every_byte(sizes: list[int]) -> None:
    sliced, _ = strike(STREAM, {"slice": {"bytes": sizes}})
    assert (data(sliced), sliced.apart, sliced.broken) == (data(STREAM), True, False)
    assert all(len(frame.data) <= max(sizes) for frame in sliced.frames)
