"""The regular expressions of a schema that comes with a request: few, short, and small when compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from emulator.core.errors import Json

MAX_PATTERNS = 50
#: Characters of one.
MAX_LENGTH = 1_000
#: What one may take compiled: a few characters can multiply repetitions.
PATTERN_BYTES = 2_000_000


def check_patterns(document: Json) -> None:
    """Raises: ValueError, where a schema has too many patterns, or too long ones."""
    found = list(islice(patterns(document), MAX_PATTERNS + 1))
    if len(found) > MAX_PATTERNS:
        raise ValueError(f"has more than {MAX_PATTERNS} patterns")
    longest = max(map(len, found), default=0)
    if longest > MAX_LENGTH:
        raise ValueError(f"has a pattern of {longest} characters; up to {MAX_LENGTH} are tried")


def patterns(document: Json) -> Iterator[str]:
    """Yield the regular expressions of a schema, wherever they stand."""
    left = [document]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            by_name = node.get("patternProperties")
            yield from by_name if isinstance(by_name, Mapping) else ()
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            left += node.values()
        elif isinstance(node, list):
            left += node
