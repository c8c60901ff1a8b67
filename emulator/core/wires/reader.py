"""Reading by a template: whether a value has its form, and what stands in its holes.

Of what is literal, texts and true tell forms apart (empty texts, and those of fields with `~`, do not), and false in a
field with `~`; all else may be missing or null. Each template looks at a value once: reading takes as long as the value
is large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from emulator.core.errors import Json
from emulator.core.wires import template
from emulator.core.wires.completion import CALLS, COUNTS, DETAILS, FRESH, SAID, Kind
from emulator.core.wires.template import Node, holes

#: What was found by the names of holes; beside them the keys below.
Found: TypeAlias = dict[str, Any]
#: Tells whether a value has the form, and adds what its holes hold.
Match: TypeAlias = Callable[[Json, Found], bool]

#: Parts that `$each` found, the rows of a list, and whether something was there that the template has no form for.
PARTS, ROWS, UNREAD = "$parts", "$rows", "$unread"
_COUNTS = (*(f"usage.{name}" for name in (*COUNTS, *DETAILS, FRESH, SAID)), "choice", "part.index", "part.call",
           "annotation.start", "annotation.end", "annotation.index")  # fmt: skip
#: What is not read: an answer is known by it, and does not say it.
_ASIDE = ("created", "usage.cost", template.NUMBER, *(name for name in template.DERIVED if name != template.ALOUD))


def reader(node: Node, needed: Collection[str] = ()) -> Match:
    """Compile a template; `needed` are holes that must have a value, without which it is another form."""
    return _READ[type(node)](node, needed)


def rows(found: Found) -> Iterator[Found]:
    """Yield what was found once for each item of the lists in which it was."""
    inner = found.pop(ROWS, None)
    if not inner:
        yield found
        return
    for row in inner:
        for item in rows(row):
            yield {**found, **item}


def tells(kind: str, found: Found) -> bool:
    """Tell whether what was found is a part of a kind: a call has a name or an id, others a text, or thoughts."""
    names = ("part.id", "part.name") if kind in CALLS else ("part.text",)
    return template.THOUGHTS in found or any(isinstance(found.get(name), str) for name in names)


def _literal(node: template.Literal, needed: Collection[str]) -> Match:
    value = node.value
    if value is False:
        return lambda given, found: given is not True
    return (lambda given, found: bool(given == value)) if _tells_apart(node) else _anything


def _tells_apart(node: template.Literal) -> bool:
    return node.value is True or (isinstance(node.value, str) and node.value != "")


def _anything(given: Json, found: Found) -> bool:
    return True


def _hole(node: template.Hole, needed: Collection[str]) -> Match:
    name = node.name
    if name in _ASIDE or name.startswith(template.ECHO):
        return _anything
    if name == template.ALOUD:  # an empty one says nothing
        return lambda given, found: _take(found, "text", given, given != "" and isinstance(given, str), not given)
    if name in _COUNTS:
        return lambda given, found: _take(found, name, given, given.__class__ is int, True)
    if name in ("part.input", "token.bytes"):
        return lambda given, found: _take(found, name, given, True, True)
    if name == "token.logprob":
        return lambda given, found: _take(found, name, given, given.__class__ in (int, float), False)
    return lambda given, found: _take(found, name, given, isinstance(given, str), given is None)


def _take(found: Found, name: str, given: Json, good: bool, or_nothing: bool) -> bool:
    if good:
        found[name] = given
    elif not or_nothing:
        found[UNREAD] = True
    return True


def _text(node: template.Text, needed: Collection[str]) -> Match:
    """Ask for what is literal in a text, and for one of a hole's words; a text of holes alone may be anything."""
    if not any(node.parts[::2]):
        return _anything
    among = {name: f"(?:{'|'.join(map(re.escape, words))})" for name, words in node.words.items() if words}
    pieces = [among.get(part, ".*") if index % 2 else re.escape(part) for index, part in enumerate(node.parts)]
    pattern = re.compile("".join(pieces))
    return lambda given, found: isinstance(given, str) and pattern.fullmatch(given) is not None


def _object(node: template.Object, needed: Collection[str]) -> Match:
    fields = [
        (field.name, reader(field.node, needed), _may_be_missing(field.node, needed))
        for field in node.fields
        if not (field.optional and isinstance(field.node, template.Literal) and field.node.value is not False)
    ]
    ordered = sorted(fields, key=lambda item: item[2])  # those that tell forms apart are looked at first

    def match(given: Json, found: Found) -> bool:
        if not isinstance(given, dict):
            return False
        for name, look, missing in ordered:
            item = given.get(name)
            if item is None:
                if not missing:
                    return False
            elif not look(item, found):
                return False
        return True

    return match


def _may_be_missing(node: Node, needed: Collection[str]) -> bool:
    """Tell whether nothing in a template has to be there."""
    if isinstance(node, template.Literal):
        return not _tells_apart(node)
    if isinstance(node, template.Object):
        return all(_may_be_missing(field.node, needed) for field in node.fields if not field.optional)
    if isinstance(node, template.Array):
        return all(holes(item).isdisjoint(needed) for item in node.items)
    if isinstance(node, template.Text):
        return not any(node.parts[::2])
    return isinstance(node, template.Hole | template.If) and node.name not in needed


def _array(node: template.Array, needed: Collection[str]) -> Match:
    if not node.items:
        return _anything
    if len(node.items) == 1:
        return _list(node.items[0], needed)
    looks = [reader(item, needed) for item in node.items]
    return lambda given, found: (
        isinstance(given, list)
        and len(given) >= len(looks)
        and all(look(item, found) for look, item in zip(looks, given, strict=False))
    )


def _list(item: Node, needed: Collection[str]) -> Match:
    """Read a list of one template: its items are rows, or parts, or choices, of which the first is read."""
    if isinstance(item, template.Each):
        return _parts(item, needed)
    if isinstance(item, template.Rows):
        return _rows(item, needed)
    look, only = reader(item, needed), isinstance(item, template.Choices)

    def match(given: Json, found: Found) -> bool:
        if not isinstance(given, list):
            return False
        matched = _matched(look, given)
        if only:
            found.update(next((row for row in matched if not row.get("choice")), {}))
        else:
            found.setdefault(ROWS, []).extend(matched)
        return bool(matched) or not given

    return match


def _matched(look: Match, given: list[Json]) -> list[Found]:
    """Return what is found in the items of a list that have a form."""
    rows: list[Found] = [{} for _ in given]
    return [row for value, row in zip(given, rows, strict=True) if look(value, row)]


def _rows(node: template.Rows, needed: Collection[str]) -> Match:
    """Read the rows of a value; one that has another form is something that the template has no form for."""
    name, look = node.name, reader(node.node)

    def match(given: Json, found: Found) -> bool:
        if not isinstance(given, list):
            return False
        found[name] = _matched(look, given)
        if len(found[name]) < len(given):
            found[UNREAD] = True
        return True

    return match


def _parts(node: template.Each, needed: Collection[str]) -> Match:
    """Read parts, each by the first kind whose form it has."""
    kinds: list[tuple[Kind, Match]] = [(kind, reader(item)) for kind, item in node.kinds.items()]

    def match(given: Json, found: Found) -> bool:
        if not isinstance(given, list):
            return False
        parts = found.setdefault(PARTS, [])
        for value in given:
            part = _first_kind(kinds, value)
            if part is None:
                found[UNREAD] = True
            else:
                parts.append(part)
        return True

    return match


def _first_kind(kinds: Iterable[tuple[Kind, Match]], value: Json) -> tuple[Kind, Found] | None:
    """Return the first kind whose form a value has, and what it says."""
    for kind, look in kinds:
        part: Found = {}
        if look(value, part):
            part = next(rows(part))
            if tells(kind, part) and UNREAD not in part:
                return kind, part
    return None


def _if(node: template.If, needed: Collection[str]) -> Match:
    """Read what follows a condition; where something else stands there without the value, neither is asked for."""
    return reader(node.node, needed) if node.other is None else _anything


def _inner(node: template.Choices | template.Rows, needed: Collection[str]) -> Match:
    """Read a choice or a row that stands alone, not in a list."""
    return reader(node.node, needed)


def _whole(node: template.Whole, needed: Collection[str]) -> Match:
    """Read the whole answer; what is changed in it says nothing of the answer."""
    look = reader(node.node)
    aside = {PARTS, UNREAD, template.TOKENS, template.ANNOTATIONS, template.THOUGHTS, *template.PART, *node.changes}
    if template.USAGE in node.changes:
        aside.update(f"usage.{name}" for name in (*COUNTS, *DETAILS, FRESH, SAID))

    def match(given: Json, found: Found) -> bool:
        inner: Found = {}
        if not look(given, inner):
            return False
        found.update({name: item for name, item in inner.items() if name not in aside and name != ROWS})
        return True

    return match


_READ: Mapping[type[Node], Callable[..., Match]] = {
    template.Literal: _literal, template.Hole: _hole, template.Text: _text, template.Object: _object,
    template.Array: _array, template.Each: _parts, template.Choices: _inner, template.Rows: _inner, template.If: _if,
    template.Whole: _whole,
}  # fmt: skip
