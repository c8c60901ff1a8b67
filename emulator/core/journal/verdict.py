"""The verdict on the client: what the docs, and good manners, ask of a caller, judged from a session's journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.journal.attempts import group
from emulator.core.journal.client_rules import COMMON, JUDGES, Evidence, Judge, Status
from emulator.core.provider.provider import Provider
from emulator.core.secrets.texts import redact_text
from emulator.core.values import Exchange


@frozen
class Finding:
    """One judgement: `exchanges` are the numbers it rests on; advice fails only where strictness is asked for."""

    fact: str
    provider: str
    status: Status
    advice: bool
    message: str
    exchanges: tuple[int, ...]
    source: str

    def body(self) -> dict[str, Json]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def judge(
    provider: Provider,
    exchanges: Sequence[Exchange],
    completed: Sequence[tuple[int, str]] = (),
    muted: Collection[str] = (),
) -> list[Finding]:
    """Judge what a client did at one provider: its client facts, then what holds everywhere.

    What we answered in our own name judges no client, and what is muted nobody.
    """
    judged = (item for item in exchanges if item.rule != "unmatched" and item.crash is None)
    mine = [item for item in judged if item.claim.provider == provider.name]
    evidence = Evidence(group(mine), mine, completed)
    asked = [(fact.id, JUDGES[fact.judge], fact.advice, fact.source)
             for fact in provider.facts.values() if fact.who == "client"]  # fmt: skip
    own = {ask for _, ask, _, _ in asked}  # what a provider's docs ask themselves is found once
    asked += [(name, ask, False, source) for name, (ask, source) in COMMON.items() if ask not in own]
    return [
        _finding(provider.name, *item, evidence)
        if item[0] not in muted
        else Finding(item[0], provider.name, "not_seen", item[2], "The scenario mutes this.", (), item[3])
        for item in asked
    ]


def _finding(provider: str, fact: str, ask: Judge, advice: bool, source: str, evidence: Evidence) -> Finding:
    status, message, seen = ask(evidence)
    numbers = tuple(dict.fromkeys(item.grant.number for item in seen))
    return Finding(fact, provider, status, advice, redact_text(message), numbers, source)
