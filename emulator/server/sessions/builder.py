"""The builder: sessions made as their recipes say. A scenario that was sent before is not compiled again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from emulator.core.engine.load import parse_text
from emulator.core.errors import Json
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Rule, Scenario
from emulator.core.scenario.session import Session, build_session
from emulator.server.sessions.source import Added, SessionSource
from emulator.stores.bounded import BoundedStore, Budget

#: What stands for the file's name of a scenario that was sent.
SENT = "session"
#: Scenarios that were sent and are kept compiled, and the bytes of their texts: tests send the same ones over and over.
KEPT_SCENARIOS = 256
KEPT_BYTES = 10_000_000


class Builder:
    """Builds sessions for some providers."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._compiled: BoundedStore[Any, Scenario] = BoundedStore(KEPT_SCENARIOS, Budget(KEPT_BYTES))

    def build(self, id: str, key: str, source: SessionSource, started: float) -> Session:
        """Build a session from its source.

        Raises: SourceError.
        """
        options = source.options
        scenarios = [self.read(scenario, options.read_for, label) for scenario, label in source.scenarios]
        session = build_session(id, key, self._providers, scenarios, options, started)
        added = tuple(self.rule(item, session.provider) for item in source.added)
        return replace(session, clock=source.clock, added=added)

    def rule(self, added: Added, provider: str | None) -> Rule:
        """Load a rule that was added alone.

        Raises: SourceError.
        """
        made = self.read(added.scenario, provider).rules[0]
        return replace(made, at=added.at or made.at)

    def read(self, scenario: Json, provider: str | None, label: str = SENT) -> Scenario:
        """Load a scenario that was sent, YAML or an object; `label` stands for its file.

        Raises: SourceError.
        """
        try:
            text = scenario if isinstance(scenario, str | bytes) else orjson.dumps(scenario)
        except orjson.JSONEncodeError:  # deeper than what can be written
            return parse_text(scenario, label, self._providers, provider)
        name = (scenario.__class__, text, provider, label)  # an object has no lines, its text has
        found = self._compiled.get(name)
        if found is None:
            found = parse_text(scenario, label, self._providers, provider)
            self._compiled.put(name, found, len(text))
        return found
