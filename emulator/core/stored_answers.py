"""Answers that are kept for later requests: what a request does to them, and how one is said that is still to come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.tree import change_texts

#: What an answer that is made afterwards can be before it is done: fields of it that are otherwise then.
STATES = ("queued", "running", "cancelled")
#: The holes of an item: an id that is drawn, or of those of its answer and its number; and of a text, a list of parts.
_ITEM_HOLE, _ID_HOLE, _INDEX_HOLE, _TEXT_HOLE = "${item}", "${id}", "${index}", "${text}"


@frozen
class Kept:
    """`states` are changes of a whole answer, `output` is where its items are.

    `item` is what a listed item has beside its own fields, `texts` the parts that stand for a content that is a text,
    by the speaker's role, and `else`. `shown` are fields of the request that a kept answer has beside its own, and what
    they are where the request has none. `compacted` is the item that stands for a conversation in short.
    """

    output: str
    states: Mapping[str, Mapping[str, Json]]
    item: Mapping[str, Json]
    texts: Mapping[str, Json]
    shown: Mapping[str, Json] = field(default_factory=dict)
    compacted: Mapping[str, Json] = field(default_factory=dict)

    def now(self, response: Mapping[str, Json], state: str) -> dict[str, Json]:
        """Return an answer as it is in a state."""
        return {**response, **self.states.get(state, {})}

    def items(self, response: Mapping[str, Json] | None) -> list[Json]:
        """Return the items of an answer."""
        found = (response or {}).get(self.output)
        return found if isinstance(found, list) else []

    def id_of(self, item: Json, answer: str, index: int, draw: Callable[[Json, int], str]) -> str:
        """Return the id of a listed item, the index-th of an answer: its own, or as the wire makes it."""
        name = next((name for name, form in self.item.items() if isinstance(form, str) and "${" in form), "")
        own = item.get(name) if isinstance(item, Mapping) else None
        if isinstance(own, str) and own:
            return own
        form = str(self.item.get(name, "")).replace(_ID_HOLE, answer).replace(_INDEX_HOLE, str(index))
        return draw(item, index) if form == _ITEM_HOLE else form

    def in_short(self, ident: str, text: str) -> Json:
        """Return the item that stands for a conversation."""
        values = {_ITEM_HOLE: ident, _TEXT_HOLE: text}
        return change_texts(self.compacted, lambda hole: values.get(hole, hole))

    def listed(self, given: Json, ident: str, role: str, content: str) -> dict[str, Json]:
        """Return an item as it is listed: with its id, and its parts in place of a text.

        `role` and `content` are the fields of a message.
        """
        item = {role: "user", content: given} if isinstance(given, str) else dict(given)
        added = {name: ident if isinstance(form, str) and "${" in form else form for name, form in self.item.items()}
        added |= {name: value for name, value in item.items() if not (name in added and value == "")}
        parts = self.texts.get(str(item.get(role)), self.texts.get("else"))
        if parts is not None and isinstance(text := item.get(content), str):
            added[content] = change_texts(parts, lambda hole: text if hole == _TEXT_HOLE else hole)
        return added


@frozen
class Keeping:
    """What an answered request does to the answers that are kept: one is kept, forgotten or changed, by its id.

    `of` is the operation whose list it is in, `also` are other ids by which it is found, `data` what it has otherwise.
    """

    does: Literal["keep", "forget", "change"]
    id: str
    of: str = ""
    also: tuple[str, ...] = ()
    data: str = ""
