"""The messages that a request says, read by where its wire says that each thing stands; no type in it is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from emulator.core.errors import Json
from emulator.core.wires.reader import Found, Match, tells
from emulator.core.wires.request.conversation import Message
from emulator.core.wires.request.paths import path_of, paths_of, text_of
from emulator.core.wires.stream_reader import arguments_of, json_text

#: Calls that are items of their own, by the message that they belong to.
_Call: TypeAlias = tuple[str, str, str]
_Calls: TypeAlias = dict[int, list[_Call]]
#: A part of a message: its place, its kind, and what was found in it.
_Told: TypeAlias = tuple[int, str, Found]
#: What looks for the forms of each kind; a kind may have several.
Looks: TypeAlias = Sequence[tuple[str, Match]]


class Messages:
    """The messages of a conversation."""

    def __init__(self, data: Mapping[str, Any], system: Json, parts: Looks, items: Looks) -> None:
        self._at, self._system = path_of(data["at"]), paths_of(system)
        self._content, self._role = data["content"], data["role"]
        self._roles: Mapping[str, str] = data.get("roles", {})
        self._calls, self._call_id, self._name = path_of(data.get("calls_at")), data.get("call_id"), data.get("name")
        self._parts, self._items, self._calling = parts, items, [pair for pair in parts if pair[0] == "call"]
        self._joins = data.get("joins", False)

    def read(self, body: Mapping[str, Json], earlier: Sequence[Json] = ()) -> tuple[tuple[Message, ...], bool]:
        """Return the messages, the system's first, those of earlier items, and whether each is a role and a text.

        What is no message is left out.
        """
        found = [Message("system", text) for look in self._system if (text := self._joined(look(body)))]
        calls: _Calls = {}
        plain = not found and isinstance(self._at(body), list)
        for place, item in enumerate((*earlier, *self.items(body)) if earlier else self.items(body)):
            if item.__class__ is dict and len(item) == 2:  # most are a role and a text
                content, role = item.get(self._content), item.get(self._role)
                if content.__class__ is str and role.__class__ is str:
                    found.append(Message(self._roles.get(role, role), content, at=place))
                    continue
            plain = False
            if isinstance(item, dict):
                self._add(item, place, found, calls)
            elif self._items and isinstance(item, str):
                found.append(Message("user", item, at=place))
        for index, made in calls.items():
            found[index] = replace(found[index], calls=tuple(made))
        return tuple(_turns(found) if self._joins else found), plain and not earlier

    def items(self, body: Mapping[str, Json]) -> list[Json]:
        given = self._at(body)
        return given if isinstance(given, list) else [given] if self._items and isinstance(given, str) else []

    def kind(self, item: Json) -> str:
        return next((kind for kind, _ in _fitting(self._items, item)), "text")

    def reference(self, item: Json) -> str:
        """Return the id of the item to which another refers; nothing, where it is one itself."""
        fitting = _fitting(self._items, item) if isinstance(item, dict) else ()
        return next((text_of(part.get("part.id")) for kind, part in fitting if kind == "reference"), "")

    def _add(self, item: Mapping[str, Json], place: int, found: list[Message], calls: _Calls) -> None:
        if self._items and self._role not in item:
            self._add_item(item, place, found, calls)
            return
        content, role = item.get(self._content), text_of(item.get(self._role))
        role = self._roles.get(role, role)
        told, begun, called = list(self._told(content)), list[_Told](), self._called(item)
        for part in told:
            if part[1] == "result":
                found += [self._message(item, role, begun, called, place)] if begun else []
                found.append(self._result(part[2], place, part[0]))
                begun, called = [], []
            else:
                begun.append(part)
        if begun or called or not told:
            found.append(self._message(item, role, begun, called, place))

    def _message(
        self, item: Mapping[str, Json], role: str, told: Sequence[_Told], called: Sequence[_Call], place: int
    ) -> Message:
        """Return what parts of one message say that are no results."""
        text = "\n".join(part["part.text"] for _, kind, part in told if kind == "text")
        calls = (*(_call(part) for _, kind, part in told if kind == "call"), *called)
        name, call_id = (text_of(item.get(field)) if field else "" for field in (self._name, self._call_id))
        return Message(role, text, name, calls, call_id, sum(kind == "image" for _, kind, _ in told), place)

    def _add_item(self, item: Mapping[str, Json], place: int, found: list[Message], calls: _Calls) -> None:
        """Add what is no message: a call belongs to the assistant's message before it, if there is one."""
        kind, part = next(_fitting(self._items, item), ("", {}))
        if kind == "result":
            found.append(self._result(part, place))
        elif kind == "call":
            if not (found and found[-1].role == "assistant"):
                found.append(Message("assistant", "", at=place))
            calls.setdefault(len(found) - 1, list(found[-1].calls)).append(_call(part))

    def _result(self, part: Found, place: int, number: int = 0) -> Message:
        text, ident = self._joined(part.get("part.input")), part.get("part.id", "")
        return Message("tool", text, part.get("part.name", ""), call_id=ident, at=place, part=number)

    def _told(self, content: Json) -> Iterator[_Told]:
        """Yield of each part its place, the first kind whose form it has, and what it says."""
        if isinstance(content, str):
            yield 0, "text", {"part.text": content}
        for place, value in enumerate(content) if isinstance(content, list) else ():
            for kind, part in _fitting(self._parts, value):
                if kind not in ("text", "call") or tells(kind, part):
                    yield place, kind, part
                    break

    def _called(self, item: Mapping[str, Json]) -> list[_Call]:
        """Return the calls of a list of their own."""
        given = self._calls(item)
        found = [next(_fitting(self._calling, value), None) for value in (given if isinstance(given, list) else ())]
        return [_call(part[1]) for part in found if part]

    def _joined(self, content: Json) -> str:
        """Return a text, or the texts of a list's parts joined by a newline; other JSON is written as it is."""
        if isinstance(content, list):
            return "\n".join(part["part.text"] for _, kind, part in self._told(content) if kind == "text")
        return json_text(content)


def _fitting(looks: Looks, value: Json) -> Iterator[tuple[str, Found]]:
    """Yield the kinds whose form a value has, and what it says by each."""
    for kind, look in looks:
        part: Found = {}
        if look(value, part):
            yield kind, part


def with_images(messages: Sequence[Message], given: Json) -> tuple[Message, ...]:
    """Return messages with images that stand beside what is said: a list for each of them, or one for the last."""
    if not isinstance(given, list) or not messages:
        return tuple(messages)
    of_each = {place: len(item) for place, item in enumerate(given) if isinstance(item, list)}
    beside = 0 if of_each else sum(isinstance(item, str) for item in given)
    found = [replace(item, images=item.images + of_each.get(item.at, 0)) for item in messages]
    return (*found[:-1], replace(found[-1], images=found[-1].images + beside))


class Prompts:
    """The prompts of an API that has no messages: each is a text, or tokens, and is answered by itself."""

    def __init__(self, data: Mapping[str, Any], system: Json) -> None:
        self._at, self._system = path_of(data["at"]), path_of(system)

    def read(self, body: Mapping[str, Json], earlier: Sequence[Json] = ()) -> tuple[tuple[Message, ...], bool]:
        """Return the prompts, of which none is plain."""
        given = self._at(body)
        several = isinstance(given, list) and not all(isinstance(item, int) for item in given)
        spoken = [Message("system", text)] if (text := text_of(self._system(body))) else []
        return (*spoken, *(Message("user", json_text(item)) for item in (given if several else [given]))), False

    def items(self, body: Mapping[str, Json]) -> list[Json]:
        """Return nothing: no answer to a prompt is kept."""
        return []

    def kind(self, item: Json) -> str:
        return "text"

    def reference(self, item: Json) -> str:
        return ""


def _turns(messages: Sequence[Message]) -> list[Message]:
    """Join messages of one speaker that follow one another into a turn."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        if last and last.role == message.role and message.role in ("user", "assistant"):
            text = "\n".join(filter(None, (last.text, message.text)))
            images = last.images + message.images
            found[-1] = replace(last, text=text, calls=(*last.calls, *message.calls), images=images)
        else:
            found.append(message)
    return found


def _call(part: Found) -> _Call:
    return part.get("part.id", ""), part.get("part.name", ""), arguments_of(part)
