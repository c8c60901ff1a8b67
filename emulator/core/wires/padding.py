"""Padding of a stream's events: a field of random characters that level how long events are, so that nobody who sees
their size alone can tell what they say.

The characters are those of a session's seed and the event's place: so answers that are alike stay so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from emulator.core.frozen import frozen
from emulator.core.seeded_random import Draw
from emulator.core.wires.stream_writer import Sent

#: The JSON of an event has one character more than a multiple of this: so OpenAI's chat was recorded.
STEP, MORE = 16, 1
#: So many texts are drawn for a seed; events take them in turn.
_TEXTS = 32
_DATA, _END = b"data: ", b"}\n\n"


@frozen
class Padding:
    """The field that pads events: all of them, or those with a piece of what is said."""

    field: str
    pieces: bool = False

    def padded(self, events: Sequence[Sent], seed: int, first: int = 0) -> list[Sent]:
        """Return events with padding; `first` is the place of the first. What is no object stays as it is."""
        ends = _ends(self.field, seed)
        # what an empty padding adds, less what stands around the JSON, and less what is to be over
        more = len(ends[0][0]) - len(_END) - len(_DATA) - len(b"\n\n") - MORE
        return [
            (data[:-3] + ends[place % _TEXTS][-(len(data) - data.index(_DATA) + more) % STEP], when)
            if data.endswith(_END)
            else (data, when)
            for place, (data, when) in enumerate(events, first)
        ]

    def without(self, data: bytes) -> bytes:
        """Return an event without its padding."""
        before, begin, after = data.rpartition(b',"%b":"' % self.field.encode())
        return before + _END if begin and after.endswith(b'"' + _END) and after.count(b'"') == 1 else data


@functools.lru_cache(maxsize=64)
def _ends(field: str, seed: int) -> list[list[bytes]]:
    """Return ends of events, by the place of the event and the number of characters that are to pad it."""
    draw = Draw(seed, "padding")
    texts = [draw.alnum(str(number), STEP) for number in range(_TEXTS)]
    return [[f',"{field}":"{text[:size]}"'.encode() + _END for size in range(STEP)] for text in texts]
