"""A schema that comes with a request, before it is compiled: its size, and its patterns, few, short and small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from emulator.core.errors import Json

MAX_PATTERNS = 50
#: Characters of one.
MAX_LENGTH = 1_000
#: What one may take compiled: a few characters can multiply repetitions.
PATTERN_BYTES = 2_000_000
#: Objects and lists that the whole schema may hold: compiling it takes time for each.
MAX_PARTS = 20_000


def check_size(document: Json) -> None:
    """Raises: ValueError, where a schema has too many parts or patterns, or too long ones."""
    parts = list(islice(_parts(document), MAX_PARTS + 1))
    if len(parts) > MAX_PARTS:
        raise ValueError(f"has more than {MAX_PARTS} parts")
    found = list(islice(patterns(parts), MAX_PATTERNS + 1))
    if len(found) > MAX_PATTERNS:
        raise ValueError(f"has more than {MAX_PATTERNS} patterns")
    longest = max(map(len, found), default=0)
    if longest > MAX_LENGTH:
        raise ValueError(f"has a pattern of {longest} characters; up to {MAX_LENGTH} are tried")


def patterns(parts: Iterable[Json]) -> Iterator[str]:
    """Yield the regular expressions that stand in the parts of a schema."""
    for part in parts:
        if isinstance(part, Mapping):
            by_name = part.get("patternProperties")
            yield from by_name if isinstance(by_name, Mapping) else ()
            if isinstance(part.get("pattern"), str):
                yield part["pattern"]


def _parts(document: Json) -> Iterator[Json]:
    """Yield the objects and lists of a schema, the whole too."""
    left = [document]
    while left:
        part = left.pop()
        if isinstance(part, Mapping | list):
            yield part
            left += part.values() if isinstance(part, Mapping) else part
