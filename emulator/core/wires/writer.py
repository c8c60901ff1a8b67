"""Writing by a template: bytes that are always the same, and between them functions that write what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from orjson import dumps

from emulator.core.errors import Json
from emulator.core.wires import template
from emulator.core.wires.template import DERIVED, NUMBER, PARTS, PIECE, Node

#: The values of holes by name; `parts` holds the values of each part, `choices` tells how many choices there are.
Scope: TypeAlias = Mapping[str, Json]
Write: TypeAlias = Callable[[Scope], bytes]
#: What writes a value; a value itself is written by its name.
Dynamic: TypeAlias = Write | str

_EMPTY = (b"null", b"[]", b"{}")


class Writer:
    """A compiled template."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterable[bytes | Dynamic]) -> None:
        merged: list[bytes | Dynamic] = []
        for piece in pieces:
            if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
                merged[-1] += piece
            else:
                merged.append(piece)
        self.pieces = tuple(merged)

    def __call__(self, scope: Scope) -> bytes:
        return _written(self.pieces, scope)

    def around(self, scope: Scope) -> tuple[bytes, bytes]:
        """Return what stands before and after the one `${piece}`."""
        at = self.pieces.index(PIECE)
        return _written(self.pieces[:at], scope), _written(self.pieces[at + 1 :], scope)

    def numbered(self, scope: Scope) -> bytes:
        """Return what writes the event of a piece, filled with `%`: the bytes of the piece, and the event's number."""
        holes = {PIECE: b"%(piece)b", NUMBER: b"%(n)d"}
        return b"".join([
            holes[piece] if isinstance(piece, str) and piece in holes
            else _written((piece,), scope).replace(b"%", b"%%")
            for piece in self.pieces
        ])  # fmt: skip

    @property
    def constant(self) -> bool:
        """Tell whether it always writes the same."""
        return all(isinstance(piece, bytes) for piece in self.pieces)


def _written(pieces: Iterable[bytes | Dynamic], scope: Scope) -> bytes:
    return b"".join([
        piece if piece.__class__ is bytes
        else dumps(scope[piece]) if piece.__class__ is str
        else piece(scope)  # type: ignore[operator]
        for piece in pieces
    ])  # fmt: skip


def writer(node: Node) -> Writer:
    """Compile a template."""
    return Writer(_pieces(node))


def event_writer(node: Node, name: Node | None) -> Writer:
    """Compile the template of an event; `name` is that of its name, where it has one."""
    named = [b"event: ", *_bare(name), b"\n"] if name else []
    return Writer([*named, b"data: ", *_pieces(node), b"\n\n"])


def _bare(node: Node) -> list[bytes | Dynamic]:
    """Write a string without its quotes."""
    write = writer(node)
    return [write({})[1:-1]] if write.constant else [lambda scope: write(scope)[1:-1]]


def _pieces(node: Node) -> Iterator[bytes | Dynamic]:
    if isinstance(node, template.Literal):
        yield dumps(node.value)
    elif isinstance(node, template.Object):
        yield b"{"
        for index, field in enumerate(node.fields):
            begin = (b"," if index else b"") + dumps(field.name) + b":"
            if field.optional and field.node == template.Literal(False):
                continue
            if field.optional and not isinstance(field.node, template.Literal):
                yield _optional(begin, field.node)
            else:
                yield begin
                yield from _pieces(field.node)
        yield b"}"
    elif isinstance(node, template.Array):
        yield b"["
        for index, item in enumerate(node.items):
            yield b"," if index else b""
            yield from _pieces(item)
        yield b"]"
    elif isinstance(node, template.Hole):
        yield _derived(node.name) if node.name in DERIVED else node.name
    else:
        yield _WRITE[type(node)](node)


def _derived(name: str) -> Write:
    """Write what follows from other values."""
    value = DERIVED[name]
    return lambda scope: dumps(value(scope))


def _optional(begin: bytes, node: Node) -> Write:
    """Write a field that is left out where its value is empty."""
    if isinstance(node, template.If) and node.other is None:
        name, write = node.name, writer(node.node)
        return lambda scope: b"" if scope[name] is None else begin + write(scope)
    if isinstance(node, template.Hole) and node.name not in DERIVED:
        name = node.name
        return lambda scope: b"" if (value := scope[name]) is None or value == 0 else begin + dumps(value)
    write = writer(node)
    return lambda scope: b"" if (data := write(scope)) in _EMPTY else begin + data


def _text(node: template.Text) -> Write:
    literals, names = node.parts[::2], node.parts[1::2]

    def write(scope: Scope) -> bytes:
        filled = [f"{literal}{scope[name]}" for literal, name in zip(literals, names, strict=False)]
        return dumps("".join(filled) + literals[-1])

    return write


def _each(node: template.Each) -> Write:
    of = {kind: writer(item) for kind, item in node.kinds.items()}
    return lambda scope: b",".join([of[part["kind"]]({**scope, **part}) for part in scope[PARTS] if part["kind"] in of])


def _choices(node: template.Choices) -> Write:
    write = writer(node.node)
    return lambda scope: (
        write(scope)
        if scope["choices"] == 1 and not scope["echoes"]
        else b",".join([write(_choice(scope, index)) for index in range(scope["choices"])])
    )


def _choice(scope: Scope, index: int) -> Scope:
    """Return the values of one choice, whose text begins with what it echoes."""
    if not scope["echoes"]:
        return {**scope, "choice": index}
    return {**scope, "choice": index, "text": scope["echoes"][index] + (scope["text"] or "")}


def _if(node: template.If) -> Write:
    name, write, otherwise = node.name, writer(node.node), writer(node.other or template.Literal(None))
    return lambda scope: otherwise(scope) if scope[name] is None else write(scope)


def _rows(node: template.Rows) -> Write:
    name, write = node.name, writer(node.node)
    return lambda scope: b",".join([write({**scope, **row}) for row in scope[name] or ()])


def _whole(node: template.Whole) -> Write:
    write, changes = writer(node.node), dict(node.changes)
    return lambda scope: write({**scope, **changes})


_WRITE: Mapping[type[Node], Callable[..., Write]] = {
    template.Text: _text, template.Each: _each, template.Choices: _choices, template.If: _if, template.Whole: _whole,
    template.Rows: _rows,
}  # fmt: skip
