"""What the chunks of a stream say, by the places that the wire names: of each choice, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.contract.case_client import demand, equal, hold, pick
from emulator.contract.client import Answer
from emulator.core.errors import Json
from emulator.core.wires.wire import Wire


def within(wire: Wire, name: str) -> str:
    """Return a place within what a chunk says of one choice."""
    holder = _holder(wire)
    return wire.place(name, "*").removeprefix(f"{holder}.")


def _holder(wire: Wire) -> str:
    """Return where a chunk holds what it says of a choice; nothing, where it is of one choice as a whole."""
    return wire.place("finish.choice", "*").rpartition(".")[0]


def last_step(place: str) -> str:
    return place.rpartition(".")[2]


def choices_of(wire: Wire, chunks: Sequence[Json]) -> list[int]:
    """Return the numbers of the choices that a stream has."""
    place = wire.place("finish.choice", "*")
    found = [item for item in pick(list(chunks), f"*.{place}") if isinstance(item, int)] if place else []
    return sorted({*found} or {0})


def of_choice(wire: Wire, chunks: Sequence[Json], number: int) -> list[Mapping[str, Json]]:
    """Return what the chunks say of a choice."""
    holder, name = _holder(wire), last_step(wire.place("finish.choice"))
    found = pick(list(chunks), f"*.{holder}" if holder else "*")
    said = [item for item in found if isinstance(item, Mapping)]
    return [item for item in said if item.get(name, 0) == number] if name else said


def ordered(wire: Wire, answer: Answer, said: Sequence[Mapping[str, Json]], assumed: bool) -> None:
    """Demand that what only begins a stream comes first, and why it ended last. Raises: Differs."""
    mark, end = within(wire, "start.mark"), within(wire, "finish.finish")
    if mark:
        marks = [at for at, item in enumerate(said) if pick(item, mark) not in ([], [None])]
        equal(answer, f"the {last_step(mark)} comes first, and once", [0], marks, assumed=assumed)
        ends = [at for at, item in enumerate(said) if pick(item, end) not in ([], [None])]
        equal(answer, f"{last_step(end)} comes last, and once", [len(said) - 1], ends, assumed=assumed)


def joined(wire: Wire, answer: Answer, said: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return what a choice's chunks make together: its text, its calls, and why it ended. Raises: Differs."""
    texts = [text for text in pick(list(said), f"*.{within(wire, 'text.piece')}") if text is not None]
    hold(answer, "deltas hold text", all(isinstance(text, str) for text in texts), "strings", texts)
    reasons = [item for item in pick(list(said), f"*.{within(wire, 'finish.finish')}") if item is not None]
    return {"text": "".join(texts), "calls": calls_of(wire, answer, said), "reason": next(iter(reasons), None)}


def fragments_of(wire: Wire, said: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return the fragments of calls."""
    return pick(list(said), f"*.{within(wire, 'call.piece.call').rpartition('.')[0]}")


def in_fragment(wire: Wire, name: str) -> str:
    """Return a place within a fragment of a call."""
    return wire.place(name).removeprefix(wire.place("call.piece.call").rpartition(".")[0] + ".")


def calls_of(wire: Wire, answer: Answer, said: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Return the calls that fragments make. Raises: Differs."""
    calls: dict[int, dict[str, Json]] = {}
    for part in fragments_of(wire, said):
        call = calls.setdefault(demand(answer, part, in_fragment(wire, "call.piece.call"), int), _no_call())
        for name in ("id", "name"):
            call[name] = call[name] or next(iter(pick(part, in_fragment(wire, f"call.begin.{name}"))), None)
        pieces = pick(part, in_fragment(wire, "call.piece"))
        call["arguments"] += "".join(text for text in pieces if isinstance(text, str))
    return [calls[index] for index in sorted(calls)]


def _no_call() -> dict[str, Json]:
    return {"id": None, "name": None, "arguments": ""}


def in_call(wire: Wire, name: str) -> str:
    """Return a place within a call of a whole answer."""
    return wire.place(name).removeprefix(wire.place("call") + ".")
