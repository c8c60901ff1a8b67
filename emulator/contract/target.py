"""Where cases are run, and what can be arranged there.

    Target.fresh() ──> TargetSession: base URL, key, client; plan, advance, answer, now

A foreign URL arranges nothing: what needs it is not seen there. An emulator arranges through its control API,
in a session of its own each time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

from emulator.contract.client import Client
from emulator.core.errors import Json, shown
from emulator.network.hosts import is_loopback
from emulator.testing.client import Control, ControlError

Plan = str | Mapping[str, int]


class NotRunnable(ValueError):
    """A run that was asked for in a way that cannot be right; the message says what would be."""


def is_away(url: str) -> bool:
    """Tell whether a URL leads to another machine."""
    return not is_loopback(urlsplit(url).hostname or "")


def check_url(url: str) -> None:
    """Raises: NotRunnable, for what is no http or https URL that can be asked."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if good and (parts.username or parts.password):
        raise NotRunnable("the URL holds a name or a password, which would stand in reports; leave it out")
    if not good or not url.isascii() or not url.isprintable() or " " in url or parts.query or parts.fragment:
        raise NotRunnable(f"{shown(url)} is no base URL; write one such as https://api.example.com/v1")


class NotArranged(Exception):
    """What a case needs cannot be arranged at this target, or doesn't show there."""


class Unreachable(Exception):
    """The target, or its control API, gives no usable answer."""


class ForeignTarget:
    """Any base URL. It arranges nothing, and of plans knows only the one its key is said to have."""

    own = False  # an emulator of ours, which what we assumed binds too

    def __init__(self, base_url: str, key: str, plan: Plan | None = None, client: Client | None = None) -> None:
        """Raises: NotRunnable, for what is no URL, or a key that no header can carry."""
        check_url(base_url)
        if not key.isascii() or not key.isprintable() or key != key.strip() or not key:
            raise NotRunnable("the API key must be printable ASCII, without spaces around it")
        self.base_url = base_url.rstrip("/")
        self.key = key
        self.client = client or Client(proxies=is_away(base_url))
        self._plan = plan

    @contextmanager
    def fresh(self) -> Iterator[ForeignTarget]:
        """Open a session for one case, as untouched as this target can make it."""
        yield self

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def plan(self, plan: Plan) -> None:
        """Count by a plan: its name, or figures in place. Raises: NotArranged."""
        if plan != self._plan:
            raise NotArranged(f"the plan of its key is not known to be {plan}")

    def advance(self, seconds: float) -> None:
        """Move the target's clock. Raises: NotArranged."""
        raise NotArranged(f"its clock cannot be moved by {seconds:g} s")

    def answer(self, *replies: Mapping[str, Json]) -> None:
        """Give these replies to the next chat requests, in turn. Raises: NotArranged."""
        raise NotArranged(f"it cannot be told to answer {json.dumps(replies[0])[:60]}")

    def now(self) -> float:
        """Return the target's time in Unix seconds."""
        return time.time()


class EmulatorTarget:
    """An emulator at its root URL; each case has a session of its own. The methods are those of ForeignTarget."""

    own = True

    def __init__(self, root_url: str, provider: str, seed: int = 0, client: Client | None = None) -> None:
        self.client = client or Client(proxies=is_away(root_url))
        self.provider = provider
        self.seed = seed
        self._control = Control(root_url)

    @contextmanager
    def fresh(self) -> Iterator[EmulatorSession]:
        with closing(EmulatorSession(self)) as session:
            yield session

    def close(self) -> None:
        self.client.close()
        self._control.close()

    def ask(self, method: str, path: str, value: Json = None) -> Json:
        """Ask the control API, which is no part of a budget. Raises: Unreachable, with what the emulator said."""
        try:
            return self._control.ask(method, path, value)
        except (ControlError, OSError) as error:
            raise Unreachable(f"{method} {self._control.url}/_emulator{path}: {error}") from None


class EmulatorSession:
    """A session of an emulator, on a virtual clock."""

    def __init__(self, target: EmulatorTarget) -> None:
        self.client = target.client
        self._target = target
        self._open({})

    def close(self) -> None:
        self._target.ask("DELETE", self._path)

    def plan(self, plan: Plan) -> None:
        """Begin anew, in a session that counts so."""
        self.close()
        self._open({"plan": plan})

    def advance(self, seconds: float) -> None:
        self._target.ask("PATCH", f"{self._path}/clock", {"advance": f"{seconds:g}s"})

    def answer(self, *replies: Mapping[str, Json]) -> None:
        scenario = {"emulator": 1, "provider": self._target.provider, "rules": [{"replies": list(replies)}]}
        self._target.ask("PUT", f"{self._path}/scenario", {"scenario": scenario})

    def now(self) -> float:
        return float(self._target.ask("GET", self._path)["clock"]["now"])

    def _open(self, more: Mapping[str, Json]) -> None:
        provider = self._target.provider
        wanted = {"provider": provider, "seed": self._target.seed, "clock": "virtual", **more}
        made = self._target.ask("POST", "/sessions", wanted)
        self._path = f"/sessions/{made['id']}"
        self.base_url: str = made["base_urls"][provider]
        self.key: str = made["api_key"]


#: Where cases are run, and what one case talks to there.
Target: TypeAlias = ForeignTarget | EmulatorTarget
TargetSession: TypeAlias = ForeignTarget | EmulatorSession
