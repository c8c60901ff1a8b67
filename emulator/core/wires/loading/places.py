"""Where an answer says what, as dotted paths: `#` is the choice, `*` any item of a list. For messages, and for checks.

text  refusal  finish  id  model  usage.input ...     call  call.id  call.name  call.arguments
text.piece  call.piece  call.begin  call.begin.id ...  finish.finish  start.choice        of a stream, by its moment
stop.finish                                            where the last event tells why
start.mark                                             what only the first event has
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.core.wires.completion import FRESH
from emulator.core.wires.template import ALOUD, Array, Choices, Each, Hole, If, Literal, Node, Object, Whole, holes

Places = Mapping[str, str]
#: What every event of a stream may say.
_OF_ALL = ("id", "created", "model")


def places(whole: Node, events: Mapping[tuple[str, str], Sequence[Node]]) -> Places:
    """Return where holes are; of one that is in several places, the first."""
    found: dict[str, str] = {}
    for name, path in _holes(whole):
        found.setdefault(name, path)
    for (moment, kind), templates in events.items():
        for name, path in (item for node in templates for item in _holes(node)):
            short = name.removeprefix("part.")
            key = f"{kind}.{moment}" if short == "piece" else f"{kind or moment}.{moment}.{short}"
            if name not in _OF_ALL:
                found.setdefault(key if kind else f"{moment}.{short}", path)
    for name, same in _SAME.items():
        if same in found:
            found.setdefault(name, found[same])
    starts = events.get(("start", ""), ())
    marks = _texts([node for node in starts if "choice" in holes(node)] or starts)
    others = {path for key, templates in events.items() if key != ("start", "") for path in _texts(templates)}
    mark = next((path for path in marks if path not in others), None)
    return found | ({"start.mark": mark} if mark else {})


#: What is found where another is, if it is nowhere else.
_SAME = {"finish.finish": "stop.finish", "text": ALOUD, "usage.input": f"usage.{FRESH}"}


def _holes(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the names of holes, those of a part by its kind, and their paths."""
    for leaf, path, kind in _leaves(node):
        if isinstance(leaf, Each) and "call" in leaf.kinds:
            yield "call", path
        elif isinstance(leaf, Hole) and kind and leaf.name.startswith("part."):
            yield kind if leaf.name == "part.text" else f"{kind}.{leaf.name.removeprefix('part.')}", path
        elif isinstance(leaf, Hole):
            yield leaf.name, path


def _texts(templates: Sequence[Node]) -> list[str]:
    """Return the paths of texts that are always the same."""
    leaves = [(leaf, path) for node in templates for leaf, path, _ in _leaves(node, wholes=True)]
    return [path for leaf, path in leaves if isinstance(leaf, Literal) and isinstance(leaf.value, str)]


def _leaves(
    node: Node, path: tuple[str, ...] = (), kind: str = "", wholes: bool = False
) -> Iterator[tuple[Node, str, str]]:
    """Yield what a template holds, its path, and the kind of the part that it is of; what whole answers have too."""
    yield node, ".".join(path), kind
    if isinstance(node, Object):
        for field in node.fields:
            yield from _leaves(field.node, (*path, field.name), kind, wholes)
    elif isinstance(node, Array):
        for index, item in enumerate(node.items):
            each = "#" if isinstance(item, Choices) or "choice" in holes(item) else "*"
            yield from _leaves(item, (*path, each if len(node.items) == 1 else str(index)), kind, wholes)
    elif isinstance(node, Each):
        for name, item in node.kinds.items():
            yield from _leaves(item, path, name, wholes)
    elif isinstance(node, Choices | If) or (wholes and isinstance(node, Whole)):
        yield from _leaves(node.node, path, kind, wholes)
