"""What a request says, whatever its wire: messages, tools offered, and what is asked of the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from itertools import takewhile
from typing import Literal

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tokens import count

#: Tokens of a message, of the reply to come, and of an image, beside those of texts.
PER_MESSAGE, PER_REPLY, PER_IMAGE = 3, 3, 85
#: How many characters of a text are read for its words.
MOST_READ = 2000
_WORD = re.compile(r"[^\W_]+")

Choice = Literal["free", "none", "required", "named"]


@frozen
class Message:
    """One message of a conversation, whatever shape its content had."""

    role: str
    text: str
    name: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()  # id, name, arguments
    call_id: str = ""
    images: int = 0
    at: int = field(default=-1, compare=False)  # its place among the messages; -1: it stands beside them
    part: int = field(default=0, compare=False)  # and of the part of that which it is


@frozen
class Tool:
    """A function that is offered; `parameters` is a JSON Schema."""

    name: str
    description: Json = None
    parameters: Json = None
    custom: bool = False  # it takes a text
    grammar: Json = None  # which that text must follow


@frozen
class Conversation:
    """What a request says; `cap` is as it was sent, `schema` the JSON Schema asked of the text."""

    model: str = ""
    stream: bool = False
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Choice = "free"
    tool_named: str = ""
    one_call: bool = False  # an answer has one call at the most
    cap: Json = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    schema: Json = None
    json: bool = False
    bare: bool = False  # a text of the schema is said as it is, without quotes
    usage: bool = False  # a stream is to tell its usage
    logprobs: int | None = None  # so many likely tokens are to be told for each; None: none is told
    echoes: tuple[str, ...] = ()  # what is said before the text of each choice
    reasoning: bool = True  # what was thought is told
    plain: bool = field(default=False, compare=False)  # each message was sent as a role and a text


def last_text(messages: tuple[Message, ...], role: str) -> str | None:
    """Return the text of the last message of a role."""
    return next((message.text for message in reversed(messages) if message.role == role), None)


def system_text(messages: tuple[Message, ...]) -> str | None:
    """Return the system messages' texts joined by a newline."""
    texts = [message.text for message in messages if message.role == "system"]
    return "\n".join(texts) if texts else None


def tool_results(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Return `{name, content}` of each tool message after the last assistant message, named by its call's id."""
    names = {call_id: name for message in messages for call_id, name, _ in message.calls if call_id}
    since = list(takewhile(lambda message: message.role != "assistant", reversed(messages)))[::-1]
    answers = [message for message in since if message.role == "tool"]
    return [{"name": names.get(message.call_id, message.name), "content": message.text} for message in answers]


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a text's beginning, names_with_parts taken apart."""
    return [word.lower() for word in _WORD.findall(text[:MOST_READ])]


def prompt_tokens(messages: Sequence[Message], tools: Json) -> int:
    """Estimate what a conversation and the tools offered cost."""
    total = PER_REPLY
    for message in messages:
        total += PER_MESSAGE + count(message.role) + count(message.text) + PER_IMAGE * message.images
        if message.name:
            total += count(message.name)
        for _, name, arguments in message.calls:
            total += count(name) + count(arguments)
    return total + (count(tools) if isinstance(tools, str) else 0)
