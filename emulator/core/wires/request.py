"""Reading a Conversation out of a request's body: where each thing stands is data; no type in it is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import orjson

from emulator.core.errors import Json
from emulator.core.openapi_form import json_schema
from emulator.core.wires.conversation import Choice, Conversation, Message, Tool
from emulator.core.wires.reader import Found, Match, tells

#: What a wire names in place of a field: the parameter `model` of the operation's path.
IN_PATH = "{model}"
#: How many choices a request can ask for.
MAX_CHOICES = 128
#: How many stop sequences have an effect; OpenAI's API takes four.
MOST_STOPS = 1000

#: How many prompts of a request are answered.
MOST_PROMPTS = 128
#: How many likely tokens are told in the place of one.
MOST_LIKELY = 20
#: The parts that every answer to messages can say; an answer to a prompt says the first.
NEEDED = ("text", "refusal", "call")
#: What a tool choice can ask for beside what is free.
CHOICES: tuple[Choice, ...] = ("none", "required", "named")
#: Calls that are items of their own, by the message that they belong to.
_Call: TypeAlias = tuple[str, str, str]
_Calls: TypeAlias = dict[int, list[_Call]]
#: A part of a message: its place, its kind, and what was found in it.
_Told: TypeAlias = tuple[int, str, Found]
Look: TypeAlias = Callable[[Json], Json]


class RequestForm:
    """Where a request says what, compiled."""

    def __init__(
        self, data: Mapping[str, Any], parts: Mapping[str, Match], items: Sequence[tuple[str, Match]] = ()
    ) -> None:
        self.model_in_path = IN_PATH in _listed(data.get("model"))
        self._data = data = {**data, "model": [path for path in _listed(data.get("model")) if path != IN_PATH]}
        self._model, self._stream = _look(data["model"]), _look(data.get("stream"))
        self._cap, self._choices, self._stop = (_look(data.get(name)) for name in ("cap", "choices", "stop"))
        self._schema, self._usage, self._json = (
            _look(data.get("schema")), _look(data.get("usage")), _condition(data.get("json")),
        )  # fmt: skip
        prompt = data.get("prompt")
        self._messages: _Messages | _Prompts = (
            _Messages(data["messages"], data.get("system"), parts, items) if prompt is None else _Prompts(prompt)
        )
        self._echo = _look((prompt or {}).get("echo"))
        self.kinds: tuple[str, ...] = NEEDED if prompt is None else NEEDED[:1]  # the parts that an answer can say
        probable = data.get("logprobs", {})
        self._probable, self._likely = _condition(probable.get("asked")), _look(probable.get("top"))
        self._shows_reasoning = _condition(data["reasoning"]) if "reasoning" in data else _always
        self._as_schema: Look = json_schema if data.get("schemas") == "openapi" else _as_it_is
        tools = data.get("tools", {})
        self._tools = [_Tools(tools, False), *([_Tools(tools["custom"], True)] if "custom" in tools else [])]
        self.kinds += ("custom",) * ("custom" in tools)
        choice = data.get("tool_choice", {})
        self._named = _look(choice.get("name"))
        self._one_call = _condition(choice.get("one"))
        self.calls_alone: bool = choice.get("alone", False)  # no text comes with a call that was asked for
        self._conditions = [(word, _condition(choice[word])) for word in CHOICES if word in choice]
        self.call_id: str | None = data.get("messages", {}).get("call_id")  # the field of a message that answers a call
        self.tells_usage = "usage" not in data  # unasked, in every stream
        self.goes_on = "previous" in data  # from a kept answer
        self._previous, self._stored = _look(data.get("previous")), _look(data.get("store"))
        self._later, self._conversation = _condition(data.get("later")), _looks(data.get("conversation"))
        self.truncates = _condition(data.get("truncates"))  # what does not fit is dropped
        self._reference = data.get("messages", {}).get("items", {}).get("reference")
        named = [text for text in (self._reference or {}).values() if "${" not in text]
        self._marks = [name.encode() for name in (*self.fields("previous", "conversation"), *named)]
        self._thinks, self._hides = _condition(data.get("thinks")), _condition(data.get("hides"))
        seldom = self.fields("cap", "choices", "stop", "schema", "json", "usage", "tools", "logprobs", "reasoning")
        self._seldom = frozenset(seldom if prompt is None else (*seldom, prompt["at"]))

    def read(self, body: Mapping[str, Json], with_tools: bool = True, earlier: Sequence[Json] = ()) -> Conversation:
        """Return what a body says after earlier items; without tools, where the docs know none."""
        model, stream = self.model(body), self._stream(body) is True
        plain = None if earlier else self._messages.plain(body)
        messages = self._messages.read(body, earlier) if plain is None else plain
        if self._seldom.isdisjoint(body):
            shows = self._shows_reasoning(body)
            return Conversation(
                model, stream, messages, usage=self.tells_usage, reasoning=shows, plain=plain is not None
            )
        tools = self.tools(body) if with_tools else ()
        choice, named = self._chosen(body) if tools else ("free", "")
        number = self._choices(body)
        several = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MAX_CHOICES
        number = number if several else 1
        prompts = messages[:MOST_PROMPTS] if isinstance(self._messages, _Prompts) else messages[:1]
        echoes = [message.text for message in prompts for _ in range(number)] if self._echo(body) is True else ()
        return Conversation(
            model,
            stream,
            messages,
            tools,
            choice,
            named,
            self._one_call(body),
            self._cap(body),
            number * max(1, len(prompts)),
            _texts(self._stop(body)),
            self._as_schema(self._schema(body)),
            self._json(body),
            self.tells_usage or self._usage(body) is True,
            self._logprobs(body),
            tuple(echoes),
            self._shows_reasoning(body),
            plain is not None,
        )

    def model(self, body: Mapping[str, Json]) -> str:
        return _text(self._model(body))

    def messages(self, body: Mapping[str, Json]) -> tuple[Message, ...]:
        return self._messages.read(body)

    def tools(self, body: Mapping[str, Json]) -> tuple[Tool, ...]:
        """Return the functions that a body offers, then what takes a text: each has a name."""
        found = [tool for tools in self._tools for tool in tools.read(body)]
        if self._as_schema is _as_it_is:
            return tuple(found)
        return tuple([replace(tool, parameters=self._as_schema(tool.parameters)) for tool in found])

    def _logprobs(self, body: Mapping[str, Json]) -> int | None:
        """Return how many likely tokens are asked for beside each, if their probabilities are."""
        if not self._probable(body):
            return None
        likely = self._likely(body)
        return min(likely, MOST_LIKELY) if isinstance(likely, int) and likely > 0 else 0

    # What is kept between requests

    def previous(self, body: Mapping[str, Json]) -> str:
        """Return the id of the answer that a request goes on from, if it names one."""
        return _text(self._previous(body))

    def may_go_on(self, data: bytes) -> bool:
        """Tell whether a body, as it was sent, may name an answer that it goes on from, or an item of one."""
        return any(mark in data for mark in self._marks)

    def conversation(self, body: Mapping[str, Json]) -> str:
        """Return the id of the conversation that a request goes on with, if it names one."""
        return next(filter(None, (_text(look(body)) for look in self._conversation)), "")

    def references(self, body: Mapping[str, Json]) -> list[str]:
        """Return the ids of the items of kept answers to which a request refers."""
        return (
            [ident for item in self.items(body) if (ident := self._messages.reference(item))] if self._reference else []
        )

    def with_references(self, body: Mapping[str, Json], found: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return a body with items in the place of those that refer to them."""
        if not found:
            return body
        items = [found.get(self._messages.reference(item), item) for item in self.items(body)]
        return {**body, self._data["messages"]["at"]: items}

    def is_stored(self, body: Mapping[str, Json]) -> bool:
        """Tell whether the answer is kept; `body` has the documented defaults filled in."""
        return self._stored(body) is True

    def is_later(self, body: Mapping[str, Json]) -> bool:
        """Tell whether the answer is made afterwards, and asked for then."""
        return "later" in self._data and self._later(body)

    def reasons(self, body: Mapping[str, Json]) -> bool:
        """Tell whether a model reasons before it answers; `body` has what the model does unasked filled in."""
        return "thinks" not in self._data or self._thinks(body)

    def hides(self, body: Mapping[str, Json]) -> bool:
        """Tell whether what was reasoned is not told, though it is said that there was something."""
        return self._hides(body)

    def items(self, body: Mapping[str, Json]) -> list[Json]:
        """Return the messages of a body as they were sent, and what is among them; a text is one."""
        return self._messages.items(body)

    def kind(self, item: Json) -> str:
        """Return what an item is: of a kind that the wire names, or a text."""
        return self._messages.kind(item)

    @property
    def fields_of_message(self) -> tuple[str, str]:
        """The fields of a message with its role and its content."""
        return self._data["messages"]["role"], self._data["messages"]["content"]

    def _chosen(self, body: Mapping[str, Json]) -> tuple[Choice, str]:
        choice: Choice = next((word for word, holds in self._conditions if holds(body)), "free")
        name = self._named(body) if choice in ("required", "named") else ""
        if isinstance(name, list):  # of several that may be called, the first
            name = next(iter(name), "")
        return choice, name if isinstance(name, str) else ""

    def fields(self, *names: str) -> list[str]:
        """Return the fields of a body in which some things stand, in order."""
        return [path.partition(".")[0].removesuffix("[]") for name in names for path in self.paths(name)]

    def changes(self, **values: Json) -> dict[str, Json]:
        """Return fields of a body that say some things, each where it stands first."""
        made: dict[str, Json] = {}
        for name, value in values.items():
            *steps, last = self.path(name).split(".")
            inner = made
            for step in steps:
                inner = inner.setdefault(step, {})
            inner[last] = value
        return made

    def path(self, name: str) -> str:
        """Return where something stands; the first place where it can stand in several."""
        return next(iter(self.paths(name)))

    def paths(self, name: str) -> Sequence[str]:
        """Return the paths at which something can stand in a body."""
        given = self._data.get(name) or (self._data.get("prompt") if name == "messages" else None)
        if name in ("json", "later", "thinks", "hides", "reasoning", "truncates"):
            return list(given or ())
        if not isinstance(given, Mapping):
            return _listed(given)
        if "at" in given:
            return _listed(given["at"])
        if name == "logprobs":
            return list(given.get("asked", ()))
        conditions = [path for word in CHOICES for path in given.get(word, ())]
        return [*conditions, *_listed(given.get("name"))]


class _Tools:
    """The tools of one kind that a request offers."""

    def __init__(self, data: Mapping[str, Any], custom: bool) -> None:
        self._at, self._is_one, self._custom = _look(data.get("at")), _condition(data.get("is", {})), custom
        self._name, *self._looks = (_look(data.get(name)) for name in ("name", "description", "parameters", "grammar"))

    def read(self, body: Mapping[str, Json]) -> Iterator[Tool]:
        given = self._at(body)
        for item in given if isinstance(given, list) else ():
            if isinstance(item, Mapping) and self._is_one(item) and isinstance(name := self._name(item), str):
                description, parameters, grammar = (look(item) for look in self._looks)
                yield Tool(name, description, parameters, self._custom, grammar)


class _Messages:
    """The messages of a conversation."""

    def __init__(
        self, data: Mapping[str, Any], system: Json, parts: Mapping[str, Match], items: Sequence[tuple[str, Match]]
    ) -> None:
        self._at, self._system = _look(data["at"]), [_look(path) for path in _listed(system)]
        self._content, self._role = data["content"], data["role"]
        self._roles: Mapping[str, str] = data.get("roles", {})
        self._calls, self._call_id, self._name = _look(data.get("calls_at")), data.get("call_id"), data.get("name")
        self._parts, self._call = tuple(parts.items()), parts.get("call")
        self._items = items
        self._references = [look for kind, look in items if kind == "reference"]
        self._joins = data.get("joins", False)

    def read(self, body: Mapping[str, Json], earlier: Sequence[Json] = ()) -> tuple[Message, ...]:
        """Return the messages, the system's first, and those of earlier items; what is no message is left out."""
        found = [Message("system", text) for look in self._system if (text := self._joined(look(body)))]
        calls: _Calls = {}
        for place, item in enumerate((*earlier, *self.items(body)) if earlier else self.items(body)):
            if isinstance(item, dict):
                self._add(item, place, found, calls)
            elif self._items and isinstance(item, str):
                found.append(Message("user", item, at=place))
        for index, made in calls.items():
            found[index] = replace(found[index], calls=tuple(made))
        return tuple(_turns(found) if self._joins else found)

    def plain(self, body: Mapping[str, Json]) -> tuple[Message, ...] | None:
        """Return the messages where each is a role and a text, as most are; None where they are not."""
        given, found = self._at(body), []
        if not isinstance(given, list) or any(look(body) for look in self._system):
            return None
        for place, item in enumerate(given):
            if item.__class__ is not dict or len(item) != 2:
                return None
            content, role = item.get(self._content), item.get(self._role)
            if content.__class__ is not str or role.__class__ is not str:
                return None
            found.append(Message(self._roles.get(role, role), content, at=place))
        return tuple(_turns(found) if self._joins else found)

    def items(self, body: Mapping[str, Json]) -> list[Json]:
        given = self._at(body)
        return given if isinstance(given, list) else [given] if self._items and isinstance(given, str) else []

    def kind(self, item: Json) -> str:
        return next((kind for kind, look in self._items if look(item, {})), "text")

    def reference(self, item: Json) -> str:
        """Return the id of the item to which another refers; nothing, where it is one itself."""
        for look in self._references if isinstance(item, dict) else ():
            part: Found = {}
            if look(item, part):
                return _text(part.get("part.id"))
        return ""

    def _add(self, item: Mapping[str, Json], place: int, found: list[Message], calls: _Calls) -> None:
        if self._items and self._role not in item:
            self._add_item(item, place, found, calls)
            return
        content, role = item.get(self._content), _text(item.get(self._role))
        role = self._roles.get(role, role)
        if isinstance(content, str) and len(item) == 2:  # most messages are a role and a text
            found.append(Message(role, content, at=place))
            return
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
        name, call_id = (_text(item.get(field)) if field else "" for field in (self._name, self._call_id))
        return Message(role, text, name, calls, call_id, sum(kind == "image" for _, kind, _ in told), place)

    def _add_item(self, item: Mapping[str, Json], place: int, found: list[Message], calls: _Calls) -> None:
        """Add what is no message: a call belongs to the assistant's message before it, if there is one."""
        for kind, look in self._items:
            part: Found = {}
            if not look(item, part):
                continue
            if kind == "result":
                found.append(self._result(part, place))
            elif kind == "call":
                if not (found and found[-1].role == "assistant"):
                    found.append(Message("assistant", "", at=place))
                calls.setdefault(len(found) - 1, list(found[-1].calls)).append(_call(part))
            return

    def _result(self, part: Found, place: int, number: int = 0) -> Message:
        text, ident = self._joined(part.get("part.input")), part.get("part.id", "")
        return Message("tool", text, part.get("part.name", ""), call_id=ident, at=place, part=number)

    def _told(self, content: Json) -> Iterator[_Told]:
        """Yield of each part its place, the first kind whose form it has, and what it says."""
        if isinstance(content, str):
            yield 0, "text", {"part.text": content}
        for place, value in enumerate(content) if isinstance(content, list) else ():
            for kind, look in self._parts:
                part: Found = {}
                if look(value, part) and (kind not in ("text", "call") or tells(kind, part)):
                    yield place, kind, part
                    break

    def _called(self, item: Mapping[str, Json]) -> list[_Call]:
        """Return the calls of a list of their own."""
        given, look = self._calls(item), self._call
        if look is None or not isinstance(given, list):
            return []
        found = [(look(value, part), part) for value, part in ((value, Found()) for value in given)]
        return [_call(part) for good, part in found if good]

    def _joined(self, content: Json) -> str:
        """Return a text, or the texts of a list's parts joined by a newline; other JSON is written as it is."""
        if isinstance(content, list):
            return "\n".join(part["part.text"] for _, kind, part in self._told(content) if kind == "text")
        return _written(content)


class _Prompts:
    """The prompts of an API that has no messages: each is a text, or tokens, and is answered by itself."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._at = _look(data["at"])

    def read(self, body: Mapping[str, Json], earlier: Sequence[Json] = ()) -> tuple[Message, ...]:
        given = self._at(body)
        several = isinstance(given, list) and not all(isinstance(item, int) for item in given)
        return tuple([Message("user", _written(item)) for item in (given if several else [given])])

    def plain(self, body: Mapping[str, Json]) -> None:
        """Tell that a prompt is no message."""

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
    arguments = part["part.arguments"] if "part.arguments" in part else _written(part.get("part.input"))
    return part.get("part.id", ""), part.get("part.name", ""), arguments


def _written(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Json) -> tuple[str, ...]:
    """Return the texts of one or a list."""
    given: Sequence[Json] = value[:MOST_STOPS] if isinstance(value, list) else (value,)
    return tuple([item for item in given if isinstance(item, str) and item])


# Paths: `a.b`, `a[].b` through each item of a list; of several, the first at which something is


def _as_it_is(value: Json) -> Json:
    return value


def _always(value: Json) -> bool:
    return True


def _listed(paths: Json) -> Sequence[str]:
    return () if paths is None else [paths] if isinstance(paths, str) else paths


def _look(paths: Json) -> Look:
    """Compile a path, or several."""
    if paths is None:
        return lambda value: None
    looks = [_follow(path) for path in _listed(paths)]
    if len(looks) == 1:
        return looks[0]
    return lambda value: next((found for look in looks if (found := look(value)) is not None), None)


def _looks(paths: Json) -> list[Look]:
    """Compile several paths, each by itself."""
    return [_follow(path) for path in _listed(paths)]


def _follow(path: str) -> Look:
    steps = path.replace("[]", ".[]").split(".")
    if len(steps) == 1:
        return lambda value: value.get(path)
    first, rest = steps[0], steps[1:]
    return lambda value: None if (found := value.get(first)) is None else _walk(found, rest)


def _walk(value: Json, steps: Sequence[str]) -> Json:
    for index, step in enumerate(steps):
        if step == "[]":
            return _each(value, steps[index + 1 :])
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _each(value: Json, steps: Sequence[str]) -> list[Json] | None:
    if not isinstance(value, list):
        return None
    found = [_walk(item, steps) for item in value]
    if "[]" in steps:
        return [item for items in found if isinstance(items, list) for item in items]
    return found


def _condition(spec: Mapping[str, Json] | None) -> Callable[[Json], bool]:
    """Compile `{path: value}`: each path holds its value, or one of several."""
    if spec is None:
        return lambda value: False
    looks = [(_look(path), wanted if isinstance(wanted, list) else [wanted]) for path, wanted in spec.items()]
    return lambda value: all(_holds(look(value), wanted) for look, wanted in looks)


def _holds(found: Json, wanted: Sequence[Json]) -> bool:
    """Tell whether a value, or one of a list, is wanted."""
    return found in wanted or (isinstance(found, list) and any(item in wanted for item in found))
