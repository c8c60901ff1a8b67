"""The reader: bytes into HTTP messages, however they are cut. It gathers only; the protocol decides and answers."""

from __future__ import annotations

from collections import deque
from typing import Any

import httptools

from emulator.core.cache import LruCache
from emulator.server.own_errors import OwnError

#: Bytes of a request that are no body: its head, and beside the body its framing.
MAX_HEAD = 65_536
#: How many heads are known, and how long the longest of them is.
MOST_KNOWN = 1024
LONGEST_KNOWN = 4096
#: How many bytes of framing a byte of body may have: a chunk of one byte has five.
_FRAMING = 8
#: What may come before a request, and is no part of it.
_LINE_ENDS = (b"\r", b"\n")


#: What came is no request that can be read; the connection ends with this answer.
NOT_HTTP = OwnError(400, "emulator_not_http", "What was sent is no valid HTTP.")
HEAD_TOO_LARGE = OwnError(
    431, "emulator_head_too_large", f"The request's head, or what frames its body, is over {MAX_HEAD} bytes."
)
TOO_SLOW = OwnError(408, "emulator_too_slow", "The request did not come to its end in time.")


class Head:
    """A request line and headers: `length` bytes of body are announced, and `known` ones are not parsed again."""

    __slots__ = ("headers", "http_10", "keep_alive", "known", "length", "method", "size", "url")

    def __init__(self) -> None:
        self.url = b""
        self.method = ""
        self.headers: dict[str, str] = {}
        self.size = 0  # bytes of target and headers
        self.length = 0
        self.keep_alive = True
        self.http_10 = False
        self.known = False

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing but the head itself decides how it and what follows it are read."""
        plain = self.keep_alive and not self.http_10 and self.url.startswith(b"/")
        return plain and self.headers.keys().isdisjoint(("expect", "transfer-encoding", "upgrade"))

    def without(self, header: str) -> bytes:
        """Write the head again without one of its headers."""
        lines = [f"{name}: {value}\r\n" for name, value in self.headers.items() if name != header]
        version = "1.0" if self.http_10 else "1.1"
        return f"{self.method} {self.url.decode('latin-1')} HTTP/{version}\r\n{''.join(lines)}\r\n".encode("latin-1")


class Heads:
    """The plain heads that came before, parsed, by their bytes: clients send the same ones over and over."""

    def __init__(self) -> None:
        self._known: LruCache[bytes, Head] = LruCache(MOST_KNOWN)
        self.get = self._known.get

    def settle(self, data: bytes, head: Head) -> Head:
        """Return the head that is known by these bytes: the one from before, this one from now on, or just this one."""
        known = self._known.get(data)
        if known:
            return known
        if head.is_plain and len(data) <= LONGEST_KNOWN:
            head.known = True
            self._known.put(data, head)
        return head


class Message:
    """One HTTP request while it is read; `refused` before its body came, `too_large` to keep it.

    `raw` is all of it, where it came in one piece and by itself.
    """

    __slots__ = ("_more", "body", "head", "raw", "refused", "size", "too_large")

    def __init__(self, head: Head, body: bytes = b"", raw: bytes = b"") -> None:
        self.head = head
        self.body = body
        self.raw = raw
        self._more: bytearray | None = None  # a body in pieces while they come: it takes no more than their bytes
        self.size = 0  # bytes of the body
        self.too_large = False
        self.refused = False

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._more is not None:
            self._more += piece
        elif self.body:
            self._more = bytearray(self.body) + piece
        else:
            self.body = piece

    def end(self) -> None:
        """Take no more: the body is whole, or thrown away."""
        if self._more is not None:
            self.body, self._more = bytes(self._more), None
        if self.too_large:
            self.body = b""


#: Stands where no message is being read, so that a connection that rests keeps nothing of its last one.
_NOTHING = Message(Head())


class Reader:
    """The requests of one connection; `over`: no more can come, `asks`: a body is kept back until asked for.

    `begun` is the number of the message of which a part is here and the rest is not; 0 where there is none.
    """

    def __init__(self, max_body: int, heads: Heads) -> None:
        self.messages: deque[Message | OwnError] = deque()  # complete ones
        self.over = False
        self.asks = False
        self._max_body = max_body
        self._heads = heads
        self._message = _NOTHING
        self._fed = 0  # bytes since the last message ended
        self._number = 0  # of the messages that were parsed
        self._begun = False
        self._raw = b""  # the head of the message that is being parsed, where it came in one piece
        self._parser = self._new_parser()

    @property
    def begun(self) -> int:
        return self._number if self._begun and not (self.over or self.asks) else 0

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes of the bodies that wait to be answered."""
        return sum(len(item.body) for item in self.messages if isinstance(item, Message))

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def feed(self, data: bytes) -> None:
        """Take bytes: whole messages with a known head are taken as they are, all others are parsed."""
        while not (self._begun or self.over):
            end = data.find(b"\r\n\r\n") + 4
            self._raw = data[:end] if end > 3 and data[:1] not in _LINE_ENDS else b""
            head = self._heads.get(self._raw)
            if head is None or len(data) < end + head.length:
                break
            size = end + head.length
            self.messages.append(Message(head, data[end:size], data if len(data) == size else b""))
            data = data[size:]
        if data:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse. At an Upgrade header the parser stops, so it gets the same head again without that header."""
        self._fed += len(data)
        while data and not self.over:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                self._parser = self._new_parser()
                data = self._message.head.without("upgrade") + data[upgrade.args[0] :]
            except httptools.HttpParserCallbackError:
                raise  # a fault of ours, which must not pass for bad HTTP
            except httptools.HttpParserError:
                self.refuse(NOT_HTTP)
        if self._fed > MAX_HEAD + (1 + _FRAMING) * self._message.size:
            self.refuse(HEAD_TOO_LARGE)

    def refuse(self, why: OwnError) -> None:
        """Take nothing more; this is the last answer."""
        if not self.over:
            self.over = True
            self.messages.append(why)

    def close(self) -> None:
        """Let go of all that is kept: the parser and its reader know each other, and nobody would count them out."""
        self.over = True
        self._parser, self._message, self._raw = None, _NOTHING, b""
        self.messages.clear()

    # Called by the parser

    def on_message_begin(self) -> None:
        self._begun = True
        self._number += 1
        self._message = Message(Head())

    def on_url(self, url: bytes) -> None:
        self._message.head.url += url
        self._message.head.size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        head = self._message.head
        head.size += len(name) + len(value) + 4
        if head.size > MAX_HEAD:
            self.refuse(HEAD_TOO_LARGE)
        if head.method or self.over:
            return  # a trailer, or what nobody reads
        key, text = name.lower().decode("latin-1"), value.decode("latin-1")
        head.headers[key] = f"{head.headers[key]}, {text}" if key in head.headers else text

    def on_headers_complete(self) -> None:
        message, head = self._message, self._message.head
        head.method = self._parser.get_method().decode("ascii")
        head.http_10 = self._parser.get_http_version() == "1.0"
        head.keep_alive = self._parser.should_keep_alive()
        if self._is_read_again() or self.over:
            return
        length = head.headers.get("content-length", "").strip().lstrip("0")
        head.length = int(length[:20]) if length.isdecimal() else 0
        message.too_large = head.length > self._max_body
        self.asks = not head.http_10 and head.headers.get("expect", "").lower() == "100-continue"
        if self.asks and message.too_large:  # refused without asking for it
            message.refused = True
            self._end(message)

    def on_body(self, body: bytes) -> None:
        self.asks = False
        message = self._message
        message.size += len(body)
        if message.size > self._max_body:
            message.too_large = True
            message.end()
        if not message.too_large:
            message.add(body)

    def on_message_complete(self) -> None:
        self.asks = False
        self._fed, self._begun = 0, False
        message, raw, self._raw = self._message, self._raw, b""
        if message.refused or self._is_read_again():
            return
        message.end()
        self._message = _NOTHING
        if message.head.method == "CONNECT":  # what follows is no HTTP
            self._end(message)
        elif not self.over:
            if raw and not message.too_large:
                message.head.length = message.size  # as it was parsed, however it was announced
                message.head = self._heads.settle(raw, message.head)
            self.messages.append(message)

    def _is_read_again(self) -> bool:
        return bool(self._parser.should_upgrade()) and self._message.head.method != "CONNECT"

    def _end(self, message: Message) -> None:
        """Take the last message of the connection."""
        message.head.keep_alive, self.over = False, True
        self.messages.append(message)
