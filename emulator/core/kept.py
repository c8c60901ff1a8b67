"""Answers that are kept for later requests: how one is said that is still to come, and a request's items are listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tree import change_texts

#: What an answer that is made afterwards can be before it is done: fields of it that are otherwise then.
STATES = ("queued", "running", "cancelled")
#: The holes of an item, and of a text that stands for a list of parts.
_ITEM_HOLE, _TEXT_HOLE = "${item}", "${text}"


@frozen
class Kept:
    """`states` are changes of a whole answer, `output` is where its items are.

    `item` is what a listed item has beside its own fields, `texts` the parts that stand for a content that is a text,
    by the speaker's role, and `else`.
    """

    output: str
    states: Mapping[str, Mapping[str, Json]]
    item: Mapping[str, Json]
    texts: Mapping[str, Json]

    def now(self, response: Mapping[str, Json], state: str) -> dict[str, Json]:
        """Return an answer as it is in a state."""
        return {**response, **self.states.get(state, {})}

    def items(self, response: Mapping[str, Json]) -> list[Json]:
        """Return the items of an answer."""
        found = response.get(self.output)
        return found if isinstance(found, list) else []

    def id_of(self, item: Mapping[str, Json]) -> str | None:
        """Return the id of a listed item."""
        return next((item.get(name) for name, form in self.item.items() if form == _ITEM_HOLE), None)

    def listed(
        self, items: Sequence[Json], role: str, content: str, draw: Callable[[Json, int], str]
    ) -> Iterator[Json]:
        """Yield items as they are listed: each with its id, and its parts in place of a text.

        `role` and `content` are the fields of a message; `draw` makes the id of an item, the index-th.
        """
        for index, given in enumerate(items):
            item = {role: "user", content: given} if isinstance(given, str) else given
            if not isinstance(item, Mapping):
                continue
            added = _filled(self.item, _ITEM_HOLE, "") | dict(item)
            if isinstance(text := item.get(content), str):
                parts = self.texts.get(str(item.get(role)), self.texts.get("else"))
                added[content] = _filled(parts, _TEXT_HOLE, text)
            yield {name: draw(item, index) if value == "" and self.item.get(name) == _ITEM_HOLE else value
                   for name, value in added.items()}  # fmt: skip


def _filled(shape: Json, hole: str, value: str) -> Json:
    return change_texts(shape, lambda text: value if text == hole else text)
