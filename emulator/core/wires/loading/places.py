"""Where an answer says what, as dotted paths: `#` is the choice, `*` any item of a list. For messages, and for checks.

text  refusal  finish  id  model  usage.input ...     call  call.id  call.name  call.arguments
text.piece  call.piece  call.begin  call.begin.id ...  finish.finish  start.choice        of a stream, by its moment
stop.finish                                            where the last event tells why
start.mark                                             what only the first event has
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.core.wires.completion import FRESH
from emulator.core.wires.derived import ALOUD
from emulator.core.wires.template import Array, Choices, Each, Hole, If, Literal, Node, Object, Whole, holes

Places = Mapping[str, str]
#: What every event of a stream may say.
_OF_ALL = ("id", "created", "model")


def places(whole: Node, events: Mapping[tuple[str, str], Sequence[Node]]) -> Places:
    """Return where holes are; of one that is in several places, the first."""
    found: dict[str, str] = {}
    for name, path in _holes(whole, ()):
        found.setdefault(name, ".".join(path))
    for (moment, kind), templates in events.items():
        for node in templates:
            for name, path in _holes(node, ()):
                if name in _OF_ALL:
                    continue
                short = name.removeprefix("part.")
                key = f"{kind}.{moment}" if short == "piece" else f"{kind or moment}.{moment}.{short}"
                found.setdefault(key if kind else f"{moment}.{short}", ".".join(path))
    starts = events.get(("start", ""), ())
    marks = _literals([node for node in starts if "choice" in holes(node)] or starts)
    others = {path for key, templates in events.items() if key != ("start", "") for path in _literals(templates)}
    mark = next((path for path in marks if path not in others), None)
    if "stop.finish" in found:
        found.setdefault("finish.finish", found["stop.finish"])
    if ALOUD in found:
        found.setdefault("text", found[ALOUD])
    if f"usage.{FRESH}" in found:
        found.setdefault("usage.input", found[f"usage.{FRESH}"])
    return found | ({"start.mark": mark} if mark else {})


def _holes(node: Node, path: tuple[str, ...], kind: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, Hole):
        name = node.name
        if kind and name.startswith("part."):
            name = kind if name == "part.text" else f"{kind}.{name.removeprefix('part.')}"
        yield name, path
    elif isinstance(node, Object):
        for field in node.fields:
            yield from _holes(field.node, (*path, field.name), kind)
    elif isinstance(node, Array):
        for index, item in enumerate(node.items):
            step = _step(item) if len(node.items) == 1 else str(index)
            yield from _holes(item, (*path, step), kind)
    elif isinstance(node, Each):
        for name, item in node.kinds.items():
            if name == "call":
                yield name, path
            yield from _holes(item, path, name)
    elif isinstance(node, Choices | If):
        yield from _holes(node.node, path, kind)


def _step(item: Node) -> str:
    return "#" if isinstance(item, Choices) or "choice" in holes(item) else "*"


def _literals(templates: Sequence[Node]) -> list[str]:
    """Return the paths of texts that are always the same."""
    return [".".join(path) for node in templates for path in _texts(node, ())]


def _texts(node: Node, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, Literal) and isinstance(node.value, str):
        yield path
    elif isinstance(node, Object):
        for field in node.fields:
            yield from _texts(field.node, (*path, field.name))
    elif isinstance(node, Array) and len(node.items) == 1:
        yield from _texts(node.items[0], (*path, _step(node.items[0])))
    elif isinstance(node, Whole):
        yield from _texts(node.node, path)
