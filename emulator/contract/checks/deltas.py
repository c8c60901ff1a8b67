"""What the chunks of a stream say, by the places that the wire names: of each choice, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.contract.client import Answer
from emulator.contract.expectations import equal, hold, pick
from emulator.core.errors import Json
from emulator.core.wires.completion import Completion
from emulator.core.wires.wire import Wire

#: The words for what is wrong with the order of a stream, and for one that is another answer than the whole one.
ORDER = "the chunks come in another order"
UNLIKE_WHOLE = "the stream says something else than the whole answer"


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
    """Return what the chunks say of a choice, up to its end."""
    holder, name = _holder(wire), last_step(wire.place("finish.choice"))
    told = bool(wire.place("stop.finish"))  # by the last event
    found = pick([item for item in chunks if told or not wire.ends_with(item)], f"*.{holder}" if holder else "*")
    said = [item for item in found if isinstance(item, Mapping)]
    return [item for item in said if item.get(name, 0) == number] if name else said


def ordered(wire: Wire, answer: Answer, said: Sequence[Mapping[str, Json]], assumed: bool) -> None:
    """Demand that what only begins a stream comes first, and why it ended last. Raises: Differs."""
    mark, end = within(wire, "start.mark"), within(wire, "finish.finish")
    if mark:
        marks = [at for at, item in enumerate(said) if pick(item, mark) not in ([], [None])]
        told = f"the {last_step(mark)} comes first, and once"
        equal(answer, told, [0], marks, assumed=assumed, difference=ORDER)
        ends = [at for at, item in enumerate(said) if pick(item, end) not in ([], [None])]
        told = f"{last_step(end)} comes last, and once"
        equal(answer, told, [len(said) - 1], ends, assumed=assumed, difference=ORDER)


def joined(wire: Wire, answer: Answer, chunks: Sequence[Json]) -> dict[str, Json]:
    """Return what the chunks make together of the first choice. Raises: Differs."""
    said, place = list(of_choice(wire, chunks, 0)), within(wire, "text.piece")
    texts = [text for text in pick(said, f"*.{place}") if text is not None]
    hold(answer, "the text of each delta is a string", all(isinstance(text, str) for text in texts), "strings", texts)
    return in_one_form(wire.read_events(chunks))


def in_one_form(said: Completion) -> dict[str, Json]:
    """Return an answer's text, its calls and why it ended, the same for a whole and a streamed one."""
    calls = [{"id": call.id or None, "name": call.name or None, "arguments": call.text} for call in said.calls()]
    return {"text": said.text() or "", "calls": calls, "reason": said.finish}


def fragments_of(wire: Wire, said: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return the fragments of calls; what says nothing else is one as a whole."""
    number = within(wire, "call.piece.call")
    if number:
        return pick(list(said), f"*.{number.rpartition('.')[0]}")
    places = [within(wire, name) for name in ("call.begin.id", "call.piece")]
    return [item for item in said if any(pick(item, place) for place in places)]


def in_fragment(wire: Wire, name: str) -> str:
    """Return a place within a fragment of a call."""
    number = wire.place("call.piece.call")
    return wire.place(name).removeprefix(number.rpartition(".")[0] + ".") if number else within(wire, name)


def in_call(wire: Wire, name: str) -> str:
    """Return a place within a call of a whole answer."""
    return wire.place(name).removeprefix(wire.place("call") + ".")
