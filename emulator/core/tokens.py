"""An estimate of tokens, by rule: words in pieces of at most eight letters, and each sign by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emulator.core.errors import Json
from emulator.core.wire import Message

PER_MESSAGE = 3
PER_REPLY = 3
PER_IMAGE = 85

_CJK = "\u2e80-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
_PIECE = re.compile(rf"[{_CJK}]| ?[^\W{_CJK}]{{1,8}}| ?[^\w\s]|\s{{1,8}}")


def pieces(text: str) -> list[str]:
    """Split text deterministically; joined, the pieces are the text again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Return the number of pieces."""
    return len(_PIECE.findall(text)) if text else 0


def prompt_tokens(messages: Sequence[Message], tools: Json) -> int:
    """Estimate what a conversation and the tools offered cost."""
    total = PER_REPLY
    for message in messages:
        total += PER_MESSAGE + count(message.role) + count(message.name) + count(message.text)
        total += PER_IMAGE * message.images
        for _, name, arguments in message.calls:
            total += count(name) + count(arguments)
    return total + (count(tools) if isinstance(tools, str) else 0)
