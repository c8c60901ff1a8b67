"""A session's source: what it is built from, as it was sent, so that any worker builds the same of it.

A scenario that was sent before is not compiled again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from emulator.core.engine.load import parse_text
from emulator.core.errors import Json, printable
from emulator.core.frozen import frozen
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Rule, Scenario
from emulator.core.scenario.session import Options, Session, build_session
from emulator.core.values import Plan
from emulator.stores.bounded import BoundedStore, Budget


@frozen
class Added:
    """A rule added alone: its id, a scenario that holds nothing else, and who made it in a test."""

    id: str
    scenario: Mapping[str, Json]
    at: str | None


@frozen
class SessionSource:
    """Scenarios with the names of their files, the rules added (the newest first), and what decides over them."""

    scenarios: tuple[tuple[Json, str], ...]
    options: Options
    clock: str = ""
    added: tuple[Added, ...] = ()

    def with_rule(self, added: Added) -> SessionSource:
        """Return this source with one more rule, or in the place of the one that has its id."""
        known = any(item.id == added.id for item in self.added)
        others = (added if item.id == added.id else item for item in self.added)
        return replace(self, added=tuple(others) if known else (added, *self.added))

    def dump(self) -> bytes:
        """Return it as JSON."""
        scenarios = [[_text(scenario), label] for scenario, label in self.scenarios]
        return orjson.dumps(
            {"scenarios": scenarios, "options": asdict(self.options), "clock": self.clock,
             "added": [asdict(item) for item in self.added]}
        )  # fmt: skip


def read_source(data: bytes) -> SessionSource:
    """Read what `dump` wrote."""
    given = orjson.loads(data)
    options = given["options"]
    plan = options["plan"]
    options |= {"plan": Plan(**plan) if isinstance(plan, dict) else plan, "api_keys": tuple(options["api_keys"])}
    return SessionSource(
        tuple((scenario, label) for scenario, label in given["scenarios"]),
        Options(**options),
        given["clock"],
        tuple(Added(**item) for item in given["added"]),
    )


def digest_of(dumped: bytes) -> str:
    return blake2b(dumped, digest_size=12).hexdigest()


def _text(scenario: Json) -> Json:
    return scenario.decode("utf-8-sig") if isinstance(scenario, bytes) else scenario


def source_of(file: str) -> tuple[str, str]:
    """Return the text of a scenario file, and the file, as a source has them."""
    return Path(file).read_text(encoding="utf-8-sig"), printable(file)


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
