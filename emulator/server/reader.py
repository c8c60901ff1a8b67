"""The reader: bytes into HTTP messages, however they are cut. It gathers only; the protocol decides and answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import httptools

#: Bytes of a request that are no body: its head, and beside the body its framing.
MAX_HEAD = 65_536
#: How many bytes of framing a byte of body may have: a chunk of one byte has five.
_FRAMING = 8


@dataclass(frozen=True, slots=True)
class Refused:
    """What came is no request that can be read; the connection ends with this answer."""

    status: int
    code: str
    message: str


NOT_HTTP = Refused(400, "emulator_not_http", "What was sent is no valid HTTP.")
HEAD_TOO_LARGE = Refused(
    431, "emulator_head_too_large", f"The request's head, or what frames its body, is over {MAX_HEAD} bytes."
)
TOO_SLOW = Refused(408, "emulator_too_slow", "The request did not come to its end in time.")


class Message:
    """One HTTP request while it is read; `refused` before its body came, `too_large` to keep it."""

    __slots__ = ("body", "head", "headers", "http_10", "keep_alive", "method", "refused", "size", "too_large", "url")

    def __init__(self) -> None:
        self.url = b""
        self.method = ""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.head = 0  # bytes of target and headers
        self.size = 0  # bytes of the body
        self.too_large = False
        self.keep_alive = True
        self.http_10 = False
        self.refused = False

    def head_without(self, header: str) -> bytes:
        """Write the head again without one of its headers."""
        lines = [f"{name}: {value}\r\n" for name, value in self.headers.items() if name != header]
        version = "1.0" if self.http_10 else "1.1"
        return f"{self.method} {self.url.decode('latin-1')} HTTP/{version}\r\n{''.join(lines)}\r\n".encode("latin-1")


class Reader:
    """The requests of one connection; `over`: no more can come, `asks`: a body is kept back until asked for."""

    def __init__(self, max_body: int) -> None:
        self.messages: deque[Message | Refused] = deque()  # complete ones
        self.over = False
        self.asks = False
        self._max_body = max_body
        self._message = Message()
        self._fed = 0  # bytes since the last message ended
        self._begun = False
        self._parser = self._new_parser()

    @property
    def begun(self) -> bool:
        """Tell whether a part of a message is here, and the rest is not."""
        return self._begun and not (self.over or self.asks)

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def feed(self, data: bytes) -> None:
        """Take bytes. At an Upgrade header the parser stops, so it gets the same head again without that header."""
        self._fed += len(data)
        while data and not self.over:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                self._parser = self._new_parser()
                data = self._message.head_without("upgrade") + data[upgrade.args[0] :]
            except httptools.HttpParserCallbackError:
                raise  # a fault of ours, which must not pass for bad HTTP
            except httptools.HttpParserError:
                self.refuse(NOT_HTTP)
        if self._fed > MAX_HEAD + (1 + _FRAMING) * self._message.size:
            self.refuse(HEAD_TOO_LARGE)

    def refuse(self, why: Refused) -> None:
        """Take nothing more; this is the last answer."""
        if not self.over:
            self.over = True
            self.messages.append(why)

    # Called by the parser

    def on_message_begin(self) -> None:
        self._begun = True
        self._message = Message()

    def on_url(self, url: bytes) -> None:
        self._message.url += url
        self._message.head += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._message.head += len(name) + len(value) + 4
        if self._message.head > MAX_HEAD:
            self.refuse(HEAD_TOO_LARGE)
        if self._message.method or self.over:
            return  # a trailer, or what nobody reads
        key, text = name.lower().decode("latin-1"), value.decode("latin-1")
        headers = self._message.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        message = self._message
        message.method = self._parser.get_method().decode("ascii")
        message.http_10 = self._parser.get_http_version() == "1.0"
        message.keep_alive = self._parser.should_keep_alive()
        if self._is_read_again() or self.over:
            return
        length = message.headers.get("content-length", "0")
        message.too_large = length.isdecimal() and int(length[:20]) > self._max_body
        self.asks = not message.http_10 and message.headers.get("expect", "").lower() == "100-continue"
        if self.asks and message.too_large:  # refused without asking for it
            message.refused = True
            self._end(message)

    def on_body(self, body: bytes) -> None:
        self.asks = False
        message = self._message
        message.size += len(body)
        if message.size > self._max_body:
            message.too_large = True
            message.body.clear()
        if not message.too_large:
            message.body.append(body)

    def on_message_complete(self) -> None:
        self.asks = False
        self._fed, self._begun = 0, False
        if self._message.refused or self._is_read_again():
            return
        if self._message.method == "CONNECT":  # what follows is no HTTP
            self._end(self._message)
        elif not self.over:
            self.messages.append(self._message)

    def _is_read_again(self) -> bool:
        return bool(self._parser.should_upgrade()) and self._message.method != "CONNECT"

    def _end(self, message: Message) -> None:
        """Take the last message of the connection."""
        message.keep_alive, self.over = False, True
        self.messages.append(message)
