"""A schema from outside, before it is compiled: its size, and its patterns, few, short and small."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from emulator.core.errors import Json
from emulator.core.tree import parts as parts_of

MAX_PATTERNS = 50
#: Characters of one.
MAX_LENGTH = 1_000
#: What one may take compiled: a few characters can multiply repetitions.
PATTERN_BYTES = 2_000_000
#: Objects and lists that the whole schema may hold: compiling it takes time for each.
MAX_PARTS = 20_000

#: Steps that the engine for look-around and back-references takes at one text before it says no.
BACKTRACKS = 10_000

_LOOKS = re.compile(r"\(\?<?[=!]|(?:^|[^\\])(?:\\\\)*\\[1-9k]")
_TOKEN = re.compile(
    r"""(?P<open>\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*:)?)?) | (?P<close>\)) | (?P<cut>[|^$])
      | (?P<times>[*+?]|\{(?P<least>[0-9]*)(?P<more>,?)(?P<most>[0-9]*)\})
      | (?P<many>\\[dDsSwWpP](?:\{[^}]*\})?|\.|\[\^?\]?(?:\\.|\[[^\]]*\]|[^\]\\])*\]) | (?P<one>\\?.)""",
    re.DOTALL | re.VERBOSE,
)


def check_size(document: Json) -> None:
    """Raises: ValueError, where a schema has too many parts or patterns, or too long ones."""
    parts = list(islice(schema_parts(document), MAX_PARTS + 1))
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


def looks_around(pattern: str) -> bool:
    """Tell whether a pattern needs more than linear time: it looks around, or back at a group."""
    return _LOOKS.search(pattern) is not None


def schema_parts(document: Json) -> Iterator[Json]:
    """Yield the objects and lists of a schema in their order, the whole too."""
    left = [document]
    while left:
        part = left.pop()
        if isinstance(part, Mapping | list):
            yield part
            left += [*parts_of(part)][::-1]


def positions(pattern: str) -> int:
    """Return how many places of a pattern, its repetitions unrolled, may have to be tried at each character of a text.

    Plain text that no repetition multiplies leads to one place, and in groups seldom to many: it counts a quarter.
    """
    groups, last = [[1, 4]], (0, 0)  # of each open group, and of what a repetition would repeat: places, their quarters
    for token in _TOKEN.finditer(pattern):
        if token["times"]:
            (places, quarters), times = last, _times(token)
            last = places * times, 4 * places * times
            groups[-1][0] += last[0] - places
            groups[-1][1] += last[1] - quarters
            continue
        if token["open"]:
            groups.append([0, 0])
        last = (0, 0)
        if token["close"] and len(groups) > 1:
            places, quarters = groups.pop()
            last = places, quarters
        elif token["many"] or token["one"]:
            last = 1, 4 if token["many"] else int(len(groups) > 1)
        groups[-1][0] += last[0]
        groups[-1][1] += last[1]
    return sum(quarters for _, quarters in groups) // 4


def _times(token: re.Match[str]) -> int:
    """Return how often a repetition unrolls what it repeats."""
    least, most = (int(token[name][:9] or 0) for name in ("least", "most")) if token["times"][0] == "{" else (0, 0)
    return max(1, most or least + bool(token["more"]))
