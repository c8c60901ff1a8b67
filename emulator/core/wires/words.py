"""The words of a wire for why an answer ended, and the neutral reasons that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Set

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.wires.completion import CALLS, CAUSES, REASONS, Completion


@frozen
class Words:
    """Tables of words, by the names of the holes for them; in each the words stand by reasons and causes.

    Where it `refuses` a refusal looks like a text, and only the word for why it ended tells it from one.
    """

    tables: Mapping[str, Mapping[str, str]]
    refuses: bool = False

    def of(self, completion: Completion) -> dict[str, Json]:
        """Return the words for why a completion ended; a reason that has none is passed on."""
        cause, finish = completion.cause, completion.finish
        return {
            name: table[cause] if cause in table else table.get(finish or "", finish)
            for name, table in self.tables.items()
        }

    def reason(self, found: Mapping[str, Json], kinds: Set[str]) -> str | None:
        """Return the neutral reason that all words fit; of several, the one that fits what was said."""
        if not self.tables:
            return found.get("finish") or None
        words, reasons = self._said(found), self.reasons(found)
        if not words:
            return None
        for of_kinds, reason in ((CALLS, "tool_calls"), (("refusal",), "refusal")):
            if not kinds.isdisjoint(of_kinds) and reason in reasons:
                return reason if reason in REASONS else "stop"
        first = [*(reason for reason in reasons if reason != "refusal"), *words.values()][0]
        return "stop" if first in CAUSES else first

    def reasons(self, found: Mapping[str, Json]) -> list[str]:
        """Return the neutral reasons that all words fit; none where there is no word."""
        words = self._said(found)
        known = next(iter(self.tables.values())) if words else ()
        return [reason for reason in known if all(self.tables[of].get(reason) == word for of, word in words.items())]

    def _said(self, found: Mapping[str, Json]) -> dict[str, str]:
        """Return the words for why an answer ended, of the tables that have more than one."""
        telling = [name for name, table in self.tables.items() if len(set(table.values())) > 1]
        return {name: found[name] for name in telling if found.get(name)}
