"""Makes a JSON value smaller while it keeps failing: fields go, lists and texts get shorter, the rest gets plain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from emulator.core.errors import Json


def smallest(value: Json, keeps: Callable[[Json], bool], tries: int) -> Json:
    """Return the smallest value found for which `keeps` holds, asking it at most `tries` times."""
    while True:
        for candidate in _smaller(value):
            if tries <= 0:
                return value
            tries -= 1
            if keeps(candidate):
                value = candidate
                break
        else:
            return value


def _smaller(value: Json) -> Iterator[Json]:
    """Yield values that are one step smaller, the largest steps first."""
    if isinstance(value, Mapping):
        for name in value:
            yield {key: item for key, item in value.items() if key != name}
        for name, item in value.items():
            yield from ({**value, name: smaller} for smaller in _smaller(item))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
        for index, item in enumerate(value):
            yield from ([*value[:index], smaller, *value[index + 1 :]] for smaller in _smaller(item))
    elif isinstance(value, str) and len(value) > 1:
        yield value[:1]
        yield value[: len(value) // 2]
    elif isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1):
        yield from (plain for plain in (0, 1) if type(plain) is type(value) or isinstance(value, float))
