"""A fact of a provider's docs, and how it is known."""

from __future__ import annotations

from typing import Literal

from emulator.core.frozen import frozen

#: How a fact is known.
Evidence = Literal["spec", "docs", "recorded", "measured", "reported"]


@frozen
class Fact:
    """One fact of a provider's docs, in our words; `note` says what of it is assumed."""

    id: str
    who: Literal["server", "client"]
    source: str
    text: str
    assumed: bool = False
    advice: bool = False
    note: str = ""
    judge: str = "not_on_the_wire"  # of a client fact: the function of core.judges that judges it
    evidence: Evidence = "docs"

    @property
    def binding(self) -> bool:
        """Tell whether the docs, or a specification, promise it: anything else is only observed."""
        return not self.assumed and self.evidence in ("spec", "docs")
