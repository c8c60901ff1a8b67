"""Templates of a wire: JSON with holes and a few words, parsed once; `writer` and `reader` compile what is parsed.

${name}      a hole; alone in its string it is the value itself, with its type
name~        a field that may be missing: not written where its value is empty (null, 0, false, no items), not asked for
             when read; `name~: false` tells a form from one in which it is true; likewise a kind
$each        an item for each part of an answer, by its kind
$choices     an item for each choice that was asked for
$if, then    what follows; where there is no value null, or `else`, if there is one: neither then has holes
$whole       the whole answer once more, with other values for some holes
$rows, of    an item for each row of a value: the tokens of a text, what was likely in the place of one, annotations,
             thoughts: what was reasoned, none where that is not told

An event that is `$if` is left out without the value; one that is `$rows` is sent for each row.

${request.NAME} is a field of the request, with its documented default filled in; ${n} the number of an event, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import TypeAlias

from emulator.core.durations import time_text
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.wires.completion import COUNTS, DETAILS, FRESH, SAID, Kind

#: Text and refusal together: what an answer says aloud, where it has one field for both.
ALOUD = "said"
#: Assumed, in nanoseconds: how long a model takes to be loaded, for a token of the prompt, and for one of the answer.
_LOAD, _PROMPT, _ANSWER = 1_000_000, 1_000_000, 10_000_000

#: Holes that follow from other values of an answer: its time in RFC 3339, how long it took.
DERIVED: Mapping[str, Callable[[Mapping[str, Json]], Json]] = {
    ALOUD: lambda scope: (scope["text"] or "") + (scope["refusal"] or ""),
    "created_at": lambda scope: time_text(scope["created"]),
    "took.load": lambda scope: _LOAD if scope["usage"] else None,
    "took.prompt": lambda scope: _took(scope, "input", _PROMPT),
    "took.answer": lambda scope: _took(scope, "output", _ANSWER),
    "took.total": lambda scope: (
        _LOAD + _took(scope, "input", _PROMPT) + _took(scope, "output", _ANSWER) if scope["usage"] else None
    ),
}


def _took(scope: Mapping[str, Json], name: str, each: int) -> Json:
    """Return how long tokens took; nothing, where usage is not told."""
    usage = scope["usage"]
    return usage[name] * each if usage else None


#: Of an answer, of a part of it, and of a piece of a part.
ANSWER = (
    "id", "created", "model", "choice", "text", "refusal", "reasoning", "finish", "stopped",
    *(f"usage.{name}" for name in (*COUNTS, *DETAILS, FRESH, SAID)), "usage.asked", "usage.cost", "conversation",
    *DERIVED,
)  # fmt: skip
#: Of an answer that fails in its middle; `reason` is the code, or where there is none the type.
FAILURE = ("error.type", "error.code", "error.message", "error.param", "error.reason")
ITEM = "part.item"
PART = (
    "part.id", "part.name", "part.text", "part.arguments", "part.input", "part.index", "part.call", "part.signature",
    ITEM,
)  # fmt: skip
PIECE, NUMBER = "piece", "n"
#: What `$if` can ask for and `$whole` can change, beside holes.
PARTS, USAGE, ERROR, FILTERED = "parts", "usage", "error", "filtered"
#: Values that have rows, and the holes of each: of the text that is written, or of a piece of it.
TOKENS, LIKELY, ANNOTATIONS, THOUGHTS = "tokens", "likely", "annotations", "thoughts"
_TOKEN = ("token.text", "token.logprob", "token.bytes")
ROWS: Mapping[str, tuple[str, ...]] = {
    TOKENS: (*_TOKEN, LIKELY),
    LIKELY: _TOKEN,
    THOUGHTS: ("part.text",),
    ANNOTATIONS: tuple(f"annotation.{name}" for name in ("url", "title", "start", "end", "index")),
}
#: What begins the name of a hole that a field of the request fills.
ECHO = "request."


@frozen
class Literal:
    """JSON as it stands."""

    value: Json


@frozen
class Hole:
    """A value."""

    name: str


@frozen
class Text:
    """A string with holes: texts and names of holes in turn, a text first and last; `words` are those of its holes."""

    parts: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@frozen
class Field:
    """A field of an object."""

    name: str
    optional: bool
    node: Node


@frozen
class Object:
    """An object; that of an event may be named outside of its fields."""

    fields: tuple[Field, ...]
    event: str | None = None


@frozen
class Array:
    """A list."""

    items: tuple[Node, ...]


@frozen
class Each:
    """As many items as there are parts whose kind is here; of a spared kind, those that say something."""

    kinds: Mapping[Kind, Node]
    spared: frozenset[str] = frozenset()


@frozen
class Choices:
    """As many items as choices were asked for."""

    node: Node


@frozen
class If:
    """What follows; without a value `other`, or null."""

    name: str
    node: Node
    other: Node | None = None


@frozen
class Whole:
    """The whole answer with changes."""

    node: Node
    changes: Mapping[str, Json]


@frozen
class Rows:
    """As many items as a value has rows."""

    name: str
    node: Node


Node: TypeAlias = Literal | Hole | Text | Object | Array | Each | Choices | If | Whole | Rows


def fields_of(node: Node) -> tuple[Field, ...]:
    """Return the fields of an object; nothing has others."""
    return node.fields if isinstance(node, Object) else ()


def inside(node: Node) -> tuple[Node, ...]:
    """Return what a template holds."""
    if isinstance(node, Object | Array):
        return node.items if isinstance(node, Array) else tuple(field.node for field in node.fields)
    if isinstance(node, Each):
        return tuple(node.kinds.values())
    if isinstance(node, If) and node.other:
        return (node.node, node.other)
    return (node.node,) if isinstance(node, Choices | If | Whole | Rows) else ()


def nodes(node: Node) -> Iterator[Node]:
    """Yield a template and all that it holds."""
    yield node
    for part in inside(node):
        yield from nodes(part)


def own_holes(node: Node) -> frozenset[str]:
    """Return the values that a template asks for itself, beside what it holds."""
    if isinstance(node, Text):
        return frozenset(node.parts[1::2])
    return frozenset((node.name,)) if isinstance(node, Hole | If | Rows) else frozenset()


def holes(node: Node) -> frozenset[str]:
    """Return the values that a template depends on; what `$each` and `$choices` fill themselves is none."""
    found = frozenset[str]().union(*map(holes, inside(node)))
    if isinstance(node, Each):
        return found.difference(PART) | {PARTS}
    if isinstance(node, Choices):
        return (found - {"choice"}) | {"choices"}
    if isinstance(node, Rows):
        found = found.difference(ROWS.get(node.name, ()))
    return found | own_holes(node)
