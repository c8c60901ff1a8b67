"""The player, on a transport that only remembers: what is written in one go, when, and how it is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from emulator.core.durations import FOREVER
from emulator.core.values import Frame, Sent, Timeline
from emulator.server.http.connection import ClientSide
from emulator.server.http.player import BUFFER, Player
from emulator.server.sessions import clock as clocks
from emulator.server.sessions.clock import RealClock, VirtualClock

HEAD = b"HTTP/1.1 200 OK\r\nx-a: b\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Transport:
    """Remembers each write with its time; pauses its writer when told to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.times: list[float] = []
        self.closed = ""
        self.clock: VirtualClock | RealClock | None = None
        self.after_write: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)
        self.times.append(self.clock.now() if self.clock else 0.0)
        self.after_write()

    def close(self) -> None:
        self.closed = self.closed or "close"

    def abort(self) -> None:
        self.closed = "abort"

    def is_closing(self) -> bool:
        return bool(self.closed)

    def get_extra_info(self, name: str) -> None:
        return None


class Play:
    """One player on one transport, and what it reported."""

    def __init__(self, timeline: Timeline, clock: VirtualClock | RealClock | None = None, **options: Any) -> None:
        self.clock = clock or VirtualClock()
        self.start = self.clock.now()
        self.transport = Transport()
        self.transport.clock = self.clock
        self.reports: list[tuple[bool, Sent]] = []
        given = {"keep_alive": True, "http_10": False, "head_only": False, "extra_headers": b"", **options}
        client = ClientSide(transport=self.transport, **given)
        self.player = Player(timeline, client, self.clock, self.start, lambda *report: self.reports.append(report))

    @property
    def data(self) -> bytes:
        return b"".join(self.transport.writes)

    @property
    def report(self) -> tuple[bool, str, int]:
        """Keep-alive, how it ended, and frames sent; of the one report."""
        ((keep_alive, sent),) = self.reports
        return keep_alive, sent.end, len(sent.frames)


def stream(*frames: tuple[float, bytes], **fields: Any) -> Timeline:
    made = tuple(Frame(at, data, "data" if data else "hold") for at, data in frames)
    last = max((frame.at for frame in made), default=0.0)
    return Timeline(
        **{"status": 200, "headers": (("x-a", "b"),), "frames": made, "stream": True, "end_at": last} | fields
    )


def whole(data: bytes = b"{}", **fields: Any) -> Timeline:
    frames = (Frame(fields.get("head_at", 0.0), data, "body"),)
    return Timeline(**{"status": 200, "headers": (("x-a", "b"),), "frames": frames, "length": len(data)} | fields)


def run(scene: Callable[[], Any]) -> Any:
    """Play a scene inside a loop."""

    async def play() -> Any:
        result = scene()
        return await result if asyncio.iscoroutine(result) else result

    return asyncio.run(play())


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def played(timeline: Timeline, **options: Any) -> Play:
    async def scene() -> Play:
        play = Play(timeline, **options)
        play.player.play()
        await turns()
        return play

    return cast(Play, run(scene))


@pytest.mark.parametrize(
    ("timeline", "options", "data", "report"),
    [
        (whole(), {}, HEAD + b"content-length: 2\r\n\r\n{}", (True, "complete", 1)),
        (whole(b""), {}, HEAD + b"content-length: 0\r\n\r\n", (True, "complete", 1)),
        (whole(), {"head_only": True}, HEAD + b"content-length: 2\r\n\r\n", (True, "complete", 0)),
        (
            whole(),
            {"keep_alive": False},
            HEAD + b"content-length: 2\r\nconnection: close\r\n\r\n{}",
            (False, "complete", 1),
        ),
        (
            whole(),
            {"http_10": True},
            HEAD + b"content-length: 2\r\nconnection: keep-alive\r\n\r\n{}",
            (True, "complete", 1),
        ),
        (
            stream((0, b"one"), (0, b"0123456789abcdef")),
            {},
            CHUNKED + b"3\r\none\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
            (True, "complete", 2),
        ),
        (stream((0, b"one")), {"http_10": True}, HEAD + b"connection: close\r\n\r\none", (False, "complete", 1)),
        (stream((0, b"one")), {"head_only": True}, CHUNKED, (True, "complete", 0)),
        (stream(), {}, CHUNKED + b"0\r\n\r\n", (True, "complete", 0)),
        (stream((0, b"one"), end="clean"), {}, CHUNKED + b"3\r\none\r\n0\r\n\r\n", (True, "cut", 1)),
        (stream((0, b"one"), end="fin"), {}, CHUNKED + b"3\r\none\r\n", (False, "cut", 1)),
        (whole(b"{", length=2, end="fin"), {}, HEAD + b"content-length: 2\r\n\r\n{", (False, "cut", 1)),
    ],
    ids=[
        "whole", "empty", "head", "close", "1.0", "stream", "stream 1.0", "stream head", "no frames", "clean", "fin",
        "whole fin",
    ],
)  # fmt: skip
def test_what_is_due_at_once_goes_in_one_write(
    timeline: Timeline, options: dict[str, Any], data: bytes, report: tuple[bool, str, int]
) -> None:
    play = played(timeline, **options)
    assert play.transport.writes == [data]
    assert play.report == report
    assert play.transport.closed == ("close" if timeline.end == "fin" else "")


def test_headers_of_the_server_come_first() -> None:
    play = played(whole(), extra_headers=b"date: today\r\n")
    assert play.data.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\nx-a: b\r\n")


def test_frames_due_at_different_times_are_written_apart() -> None:
    play = played(stream((1, b"a"), (2, b"b"), (2, b"c"), (5, b"d"), end_at=6.0))
    assert play.transport.writes == [
        CHUNKED,
        b"1\r\na\r\n",
        b"1\r\nb\r\n1\r\nc\r\n",
        b"1\r\nd\r\n",
        b"0\r\n\r\n",
    ]
    assert [round(at - play.start, 6) for at in play.transport.times] == [0, 1, 2, 5, 6]
    ((_, sent),) = play.reports
    assert [round(at, 6) for at in sent.frames] == [1, 2, 2, 5]
    assert (sent.bytes, sent.end, round(sent.at, 6)) == (4, "complete", 6)


def test_latency_comes_before_the_head() -> None:
    play = played(whole(head_at=3.0, end_at=3.0))
    assert (len(play.transport.writes), round(play.transport.times[0] - play.start, 6)) == (1, 3)


def test_two_players_take_turns_by_time() -> None:
    async def scene() -> list[bytes]:
        clock = VirtualClock()
        one, two = Play(stream((1, b"a"), (3, b"c")), clock), Play(stream((2, b"b"), (4, b"d")), clock)
        order: list[bytes] = []
        for play in (one, two):
            play.transport.writes = order
            play.player.play()
        await turns()
        return order[2:]

    assert run(scene) == [
        b"1\r\na\r\n",
        b"1\r\nb\r\n",
        b"1\r\nc\r\n0\r\n\r\n",
        b"1\r\nd\r\n0\r\n\r\n",
    ]


def test_a_hold_stops_it_and_advance_moves_it() -> None:
    async def scene() -> None:
        play = Play(stream((1, b"a"), (2, b"b"), (9, b"c")))
        play.clock.hold()  # type: ignore[union-attr]
        play.player.play()
        await turns()
        assert play.transport.writes == [CHUNKED]
        play.clock.advance(2)  # type: ignore[union-attr]
        assert play.transport.writes[1:] == [b"1\r\na\r\n", b"1\r\nb\r\n"]
        play.clock.release()
        await turns()
        assert play.report == (True, "complete", 3)

    run(scene)


def test_what_follows_a_silence_is_late_by_its_length() -> None:
    async def scene() -> None:
        play = Play(stream((1, b"a"), (3, b""), (3, b"b"), (5, b"c")))
        play.player.play()
        await turns()
        assert play.transport.writes[-1] == b"1\r\na\r\n"
        clock = cast(VirtualClock, play.clock)
        clock.call_at(play.start + 100, clock.release)
        await turns()
        assert [round(at - play.start, 6) for at in play.transport.times] == [0, 1, 100, 102]
        assert play.report == (True, "complete", 4)

    run(scene)


def test_a_silence_before_the_head() -> None:
    async def scene() -> None:
        play = Play(stream((0, b""), (0, b"a"), (2, b"b"), head_at=FOREVER))
        play.player.play()
        assert play.transport.writes == []
        play.clock.release()
        assert play.transport.writes == [CHUNKED]
        play.clock.release()
        await turns()
        assert play.data == CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"

    run(scene)


def test_a_silence_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "FOREVER_LIMIT_S", 0.0)

    async def scene() -> None:
        play = Play(stream((0, b""), (0, b"a")), RealClock())
        play.player.play()
        for _ in range(1000):
            if play.reports:
                break
            await asyncio.sleep(0.001)
        assert play.report == (True, "complete", 2)

    run(scene)


def test_a_full_buffer_stops_writing_until_it_drains() -> None:
    async def scene() -> None:
        big = b"x" * (BUFFER + 1)
        play = Play(stream((0, big), (0, big), (1, b"a"), (2, b"b")))
        play.transport.after_write = play.player.pause
        play.player.play()
        await turns()
        assert len(play.transport.writes) == 1
        play.player.resume()
        await turns()
        assert len(play.transport.writes) == 2
        play.transport.after_write = lambda: None
        play.player.resume()
        play.player.pause()
        await turns()  # its time comes while the buffer is full
        assert play.transport.writes[2:] == []
        assert play.reports == []
        play.player.resume()
        await turns()
        assert play.transport.writes[2:] == [b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n"]
        assert play.report == (True, "complete", 4)

    run(scene)


def test_resume_does_not_shorten_a_wait() -> None:
    async def scene() -> None:
        play = Play(stream((5, b"a")))
        cast(VirtualClock, play.clock).hold()
        play.player.play()
        play.player.pause()
        play.player.resume()
        await turns()
        assert play.transport.writes == [CHUNKED]

    run(scene)


@pytest.mark.parametrize("frames", [((1, b"a"), (9, b"b")), ((1, b"a"), (1, b""), (1, b"b"))], ids=["wait", "silence"])
def test_a_client_that_leaves_is_reported_once(frames: tuple[tuple[float, bytes], ...]) -> None:
    async def scene() -> None:
        play = Play(stream(*frames))
        clock = cast(VirtualClock, play.clock)
        clock.hold()
        play.player.play()
        clock.advance(1)
        play.transport.closed = "lost"
        play.player.leave()
        assert play.report == (False, "client_left", 1)
        play.player.leave()
        play.player.resume()
        clock.release()
        await turns()
        assert play.report == (False, "client_left", 1)
        assert clock.now() == play.start + 1  # what it waited for moves nothing

    run(scene)


def test_a_lost_connection_is_not_taken_for_the_end() -> None:
    async def scene() -> None:
        play = Play(stream(*[(0, b"x" * BUFFER)] * 4))
        play.transport.after_write = play.transport.abort
        play.player.play()
        assert (len(play.transport.writes), play.reports) == (1, [])
        play.player.leave()
        assert play.report[:2] == (False, "client_left")

    run(scene)


@pytest.mark.parametrize("early", [False, True], ids=["in the silence", "before it"])
def test_a_silence_is_over_when_the_client_sends_no_more(early: bool) -> None:
    async def scene() -> None:
        play = Play(stream((0, b"a"), (0, b""), (0, b"b")))
        if early:
            play.player.client_finished()
        play.player.play()
        if not early:
            assert play.reports == []
            play.player.client_finished()
        assert play.report == (False, "client_left", 1)
        assert play.transport.closed == "abort"
        play.clock.release()
        assert play.data == CHUNKED + b"1\r\na\r\n"

    run(scene)


def test_a_held_wait_is_over_when_the_client_sends_no_more() -> None:
    async def scene() -> None:
        play = Play(stream((1, b"a")))
        cast(VirtualClock, play.clock).hold()
        play.player.play()
        play.player.client_finished()
        assert play.report == (False, "client_left", 0)

    run(scene)


def test_a_wait_goes_on_when_the_client_sends_no_more() -> None:
    async def scene() -> None:
        play = Play(stream((1, b"a")))
        play.player.play()
        play.player.client_finished()
        await turns()
        assert play.report == (True, "complete", 1)

    run(scene)


def test_a_real_clock_keeps_order_and_is_not_early() -> None:
    async def scene() -> None:
        play = Play(stream((0.005, b"a"), (0.01, b"b")), RealClock())
        play.player.play()
        for _ in range(2000):
            if play.reports:
                break
            await asyncio.sleep(0.001)
        assert play.report == (True, "complete", 2)
        ((_, sent),) = play.reports
        assert sent.frames[0] >= 0.005
        assert sent.frames[1] >= 0.01
        assert play.data == CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"

    run(scene)
