"""What happened in a session, as a test reads it: exchanges in order, and a scenario made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from emulator.core.errors import printable


class Exchange(dict[str, Any]):
    """One exchange of the journal; its fields are attributes too: `exchange.response["status"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"an exchange has no '{name}'; it has {', '.join(self)}") from None

    @property
    def status(self) -> int:
        return int(self["response"]["status"])


class Journal(Sequence[Exchange]):
    """The exchanges at the moment of asking, in order."""

    def __init__(self, exchanges: Sequence[Exchange], dropped: int = 0) -> None:
        self._exchanges = tuple(exchanges)
        self.dropped = dropped

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> Journal: ...
    def __getitem__(self, index: int | slice) -> Exchange | Journal:
        return Journal(self._exchanges[index], self.dropped) if isinstance(index, slice) else self._exchanges[index]

    def __len__(self) -> int:
        return len(self._exchanges)

    def __repr__(self) -> str:
        lines = [f"{item.n}: {item.method} {printable(item.path)} -> {item.status} ({item.rule})" for item in self]
        return "\n".join(lines) or "no exchanges"

    def to_scenario(self, schemas: str | Path | None = None) -> str:
        """Write these exchanges as a scenario file that answers the same, without its waits.

        `schemas` is the folder of provider folders of one's own, if the server has any.
        """
        from emulator.core.provider.loading.folder import load_providers
        from emulator.core.recording.to_scenario import scenario_text

        return scenario_text(self._exchanges, load_providers(Path(schemas) if schemas else None))
