"""Reading a Conversation out of a request's body: where each thing stands is data; no type in it is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from emulator.core.errors import Json
from emulator.core.tree import listed, nested
from emulator.core.wires.request.conversation import Choice, Conversation, Message, Tool
from emulator.core.wires.request.messages import Looks, Messages, Prompts, with_images
from emulator.core.wires.request.openapi_form import json_schema
from emulator.core.wires.request.paths import Path, asking, condition_of, path_of, paths_of, text_of

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


class RequestForm:
    """Where a request says what, compiled."""

    def __init__(self, data: Mapping[str, Any], parts: Looks, items: Looks = ()) -> None:
        self.model_in_path = IN_PATH in listed(data.get("model", []))
        self._data = data = {**data, "model": [path for path in listed(data.get("model", [])) if path != IN_PATH]}
        self._model, self._stream = path_of(data["model"]), asking(data.get("stream"))
        self._cap, self._choices, self._stop = (path_of(data.get(name)) for name in ("cap", "choices", "stop"))
        self._schema, self._usage, self._json = (
            path_of(data.get("schema")), path_of(data.get("usage")), condition_of(data.get("json")),
        )  # fmt: skip
        prompt = data.get("prompt")
        self._messages: Messages | Prompts = (
            Messages(data["messages"], data.get("system"), parts, items)
            if prompt is None
            else Prompts(prompt, data.get("system"))
        )
        self._images = path_of(data["images"]) if "images" in data else None
        self._echo = path_of((prompt or {}).get("echo"))
        probable = data.get("logprobs", {})
        self._probable, self._likely = condition_of(probable.get("asked")), path_of(probable.get("top"))
        self._shows_reasoning = condition_of(data.get("reasoning", {}))
        self._shows_unasked = self._shows_reasoning({})
        self._as_schema: Path = json_schema if data.get("schemas") == "openapi" else lambda value: value
        self._read_tools(data.get("tools", {}), data.get("tool_choice", {}))
        spoken = NEEDED if prompt is None else NEEDED[:1]
        self.kinds: tuple[str, ...] = spoken + ("custom",) * ("custom" in data.get("tools", {}))  # an answer's parts
        self.call_id: str | None = data.get("messages", {}).get("call_id")  # the field of a message that answers a call
        self.tells_usage = data.get("usage") is None  # unasked, in every stream
        self.goes_on = "previous" in data  # from a kept answer
        self._previous, self._conversation = path_of(data.get("previous")), paths_of(data.get("conversation"))
        # of a body, what is known of a model filled in: the answer is kept; a model reasons before it answers
        self.is_stored, self.reasons = asking(data.get("store")), condition_of(data.get("thinks", {}))
        # the answer tells what was reasoned
        thinks, shows = condition_of(data.get("thinks")), condition_of(data.get("reasoning"))
        self.makes_reason: Callable[[Mapping[str, Json]], bool] = lambda body: thinks(body) or shows(body)
        # the answer is made afterwards; what was reasoned is not told, though it is said that there was something;
        # what does not fit is dropped; events have no padding
        self.is_later, self.hides, self.truncates, self.is_unpadded, self._uncapped = (
            condition_of(data.get(name)) for name in ("later", "hides", "truncates", "unpadded", "uncapped")
        )
        # the messages of a body as they were sent, and what is among them; what one of these is
        self.items, self.kind = self._messages.items, self._messages.kind
        self._reference = data.get("messages", {}).get("items", {}).get("reference")
        named = [text for text in (self._reference or {}).values() if "${" not in text]
        self._marks = [name.encode() for name in (*self.fields("previous", "conversation"), *named)]
        looks: Mapping[str, Callable[[Mapping[str, Json]], Json]] = {
            "cap": self._most, "choices": self._number, "stop": lambda body: _texts(self._stop(body)),
            "schema": lambda body: None if isinstance(found := self._schema(body), str) else self._as_schema(found),
            "json": self._json, "bare": condition_of(data.get("bare")), "logprobs": self._logprobs,
            "usage": lambda body: self.tells_usage or self._usage(body) is True, "reasoning": self._shows_reasoning,
        }  # fmt: skip
        # what of a request is seldom there: its fields, what looks at it, and what it is without them
        self._asks = {name: (frozenset(self.fields(name)), look, look({})) for name, look in looks.items()}
        self._seldom = frozenset([*self.fields("tools", *looks), *([] if prompt is None else [prompt["at"]])])

    def _read_tools(self, tools: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        self._tools = [_Tools(tools, False, self._as_schema)]
        self._tools += [_Tools(tools["custom"], True, self._as_schema)] if "custom" in tools else []
        self._named = path_of(choice.get("name"))
        self._one_call = condition_of(choice.get("one"))
        self.calls_alone: bool = choice.get("alone", False)  # no text comes with a call that was asked for
        self._conditions = [(word, condition_of(choice[word])) for word in CHOICES if word in choice]
        self._named_by_condition = "named" in choice  # else a name may stand beside a free choice

    def read(self, body: Mapping[str, Json], with_tools: bool = True, earlier: Sequence[Json] = ()) -> Conversation:
        """Return what a body says after earlier items; without tools, where the docs know none."""
        model, stream = text_of(self._model(body)), self._stream(body)
        messages, plain = self._messages.read(body, earlier)
        if self._images and not plain:
            messages = with_images(messages, self._images(body))
        if self._seldom.isdisjoint(body):
            told, shows = self.tells_usage, self._shows_unasked
            return Conversation(model, stream, messages, usage=told, reasoning=shows, plain=plain)
        said = {
            name: usual if fields.isdisjoint(body) else look(body) for name, (fields, look, usual) in self._asks.items()
        }
        tools = self.tools(body) if with_tools else ()
        choice, named = self._chosen(body) if tools else ("free", "")
        number, alone = said.pop("choices"), isinstance(self._messages, Prompts)
        prompts = [item for item in messages if item.role == "user"][:MOST_PROMPTS] if alone else messages[:1]
        echoes = [message.text for message in prompts for _ in range(number)] if self._echo(body) is True else ()
        return Conversation(
            model, stream, messages, tools, choice, named, self._one_call(body), echoes=tuple(echoes),
            choices=number * max(1, len(prompts)), plain=plain, **said,
        )  # fmt: skip

    def model(self, body: Mapping[str, Json]) -> str:
        return text_of(self._model(body))

    def messages(self, body: Mapping[str, Json]) -> tuple[Message, ...]:
        return self._messages.read(body)[0]

    def tools(self, body: Mapping[str, Json]) -> tuple[Tool, ...]:
        """Return the functions that a body offers, then what takes a text: each has a name."""
        return tuple([tool for tools in self._tools for tool in tools.read(body)])

    def _most(self, body: Mapping[str, Json]) -> Json:
        return None if self._uncapped(body) else self._cap(body)

    def _number(self, body: Mapping[str, Json]) -> int:
        number = self._choices(body)
        several = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MAX_CHOICES
        return number if several else 1

    def _logprobs(self, body: Mapping[str, Json]) -> int | None:
        """Return how many likely tokens are asked for beside each, if their probabilities are."""
        if not self._probable(body):
            return None
        likely = self._likely(body)
        return min(likely, MOST_LIKELY) if isinstance(likely, int) and likely > 0 else 0

    # What is kept between requests

    def previous(self, body: Mapping[str, Json]) -> str:
        """Return the id of the answer that a request goes on from, if it names one."""
        return text_of(self._previous(body))

    def may_go_on(self, data: bytes) -> bool:
        """Tell whether a body, as it was sent, may name an answer that it goes on from, or an item of one."""
        return any(mark in data for mark in self._marks)

    def conversation(self, body: Mapping[str, Json]) -> str:
        """Return the id of the conversation that a request goes on with, if it names one."""
        return next(filter(None, (text_of(look(body)) for look in self._conversation)), "")

    def references(self, body: Mapping[str, Json]) -> list[str]:
        """Return the ids of the items of kept answers to which a request refers."""
        return [name for one in self.items(body) if (name := self._messages.reference(one))] if self._reference else []

    def with_references(self, body: Mapping[str, Json], found: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return a body with items in the place of those that refer to them."""
        if not found:
            return body
        items = [found.get(self._messages.reference(item), item) for item in self.items(body)]
        return {**body, self._data["messages"]["at"]: items}

    @property
    def fields_of_message(self) -> tuple[str, str]:
        """The fields of a message with its role and its content."""
        return self._data["messages"]["role"], self._data["messages"]["content"]

    def _chosen(self, body: Mapping[str, Json]) -> tuple[Choice, str]:
        choice: Choice = next((word for word, holds in self._conditions if holds(body)), "free")
        names = choice in ("required", "named") or (choice == "free" and not self._named_by_condition)
        name = self._named(body) if names else ""
        if isinstance(name, list):  # of several that may be called, the first
            name = next(iter(name), "")
        return choice, name if isinstance(name, str) else ""

    def fields(self, *names: str) -> list[str]:
        """Return the fields of a body in which some things stand, in order."""
        return [path.partition(".")[0].removesuffix("[]") for name in names for path in self.paths(name)]

    def changes(self, **values: Json) -> dict[str, Json]:
        """Return fields of a body that say some things, each where it stands first."""
        return nested((self.path(name), value) for name, value in values.items())

    def path(self, name: str) -> str:
        """Return where something stands; the first place where it can stand in several."""
        return next(iter(self.paths(name)))

    def paths(self, name: str) -> Sequence[str]:
        """Return the paths at which something can stand in a body."""
        given = self._data.get(name) or (self._data.get("prompt") if name == "messages" else None) or []
        if not isinstance(given, Mapping):
            return listed(given)
        if "at" in given:
            return listed(given["at"])
        if name not in ("tool_choice", "logprobs"):  # a condition
            return list(given)
        conditions = [path for word in (*CHOICES, "asked") for path in given.get(word, ())]
        return [*conditions, *listed(given.get("name", []))]


class _Tools:
    """The tools of one kind that a request offers."""

    def __init__(self, data: Mapping[str, Any], custom: bool, as_schema: Path) -> None:
        self._at, self._is_one, self._custom = path_of(data.get("at")), condition_of(data.get("is", {})), custom
        self._as_schema = as_schema
        self._name, *self._looks = (path_of(data.get(one)) for one in ("name", "description", "parameters", "grammar"))

    def read(self, body: Mapping[str, Json]) -> Iterator[Tool]:
        given = self._at(body)
        for item in given if isinstance(given, list) else ():
            if isinstance(item, Mapping) and self._is_one(item) and isinstance(name := self._name(item), str):
                description, parameters, grammar = (look(item) for look in self._looks)
                yield Tool(name, description, self._as_schema(parameters), self._custom, grammar)


def _texts(value: Json) -> tuple[str, ...]:
    """Return the texts of one or a list."""
    given: Sequence[Json] = value[:MOST_STOPS] if isinstance(value, list) else (value,)
    return tuple([item for item in given if isinstance(item, str) and item])
