"""Reading requests: one whose head came before is read as it was the first time, however its head is written."""

from __future__ import annotations

import pytest

from emulator.server.http.reader import Heads, Message, Reader
from emulator.server.own_errors import OwnError

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length:%b\r\n\r\nhello"


def read(data: bytes, heads: Heads, cut: int | None = None) -> list[object]:
    reader = Reader(1000, heads)
    for part in (data[:cut], data[cut:] if cut else b""):
        if part:
            reader.feed(part)
    return [
        item if isinstance(item, OwnError) else (item.head.method, item.head.url, item.head.headers, item.body)
        for item in reader.messages
    ]


WRITTEN = {
    "as ever": GET + POST % b" 5",
    "empty lines before it": b"\r\n\r\n" + GET,
    "bare line feeds before it": b"\n\n" + GET,
    "empty lines before a body": b"\r\n\r\n" + POST % b" 5",
    "a length with many zeros": POST % (b" " + b"0" * 30 + b"5"),
    "a length with very many zeros": POST % (b" " + b"0" * 4000 + b"5"),
    "a length before a blank": POST % b" 5 ",
    "a length before a tab": POST % b" 5\t",
    "a length of nothing but zeros": (POST % b" 000")[:-5],
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_head_that_is_known_is_read_as_the_first_time(written: bytes) -> None:
    data, heads = written + GET + POST % b" 5", Heads()
    first = read(data, heads)
    assert [type(item) for item in first] == [tuple] * len(first)
    assert first[-2:] == read(GET + POST % b" 5", Heads())
    assert read(data, heads) == read(data, heads) == first
    assert all(read(data, heads, cut) == first for cut in range(1, min(len(data), 400)))


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\n\n", b"\r\n"])
def test_empty_lines_are_no_request(data: bytes) -> None:
    heads = Heads()
    assert len(read(data + GET, heads)) == 1
    assert read(data, heads) == []


def test_a_length_with_zeros_is_too_large_all_the_same() -> None:
    reader = Reader(4, Heads())
    reader.feed(POST % (b" " + b"0" * 30 + b"5"))
    message = reader.messages[0]
    assert isinstance(message, Message)
    assert message.too_large
