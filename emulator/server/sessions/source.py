"""A session's source: what it is built from, as it was sent, so that any worker builds the same of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path

import orjson

from emulator.core.errors import Json, printable
from emulator.core.frozen import frozen
from emulator.core.scenario.session import Options
from emulator.core.values import Plan


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
