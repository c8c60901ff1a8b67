"""Changes of a live session: another scenario, one more rule, a fresh start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emulator.core.durations import whole_number
from emulator.core.errors import Json, SourceError
from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import Session, build_session, check_upstreams
from emulator.server.own_errors import OwnError
from emulator.server.sessions.clock import make_clock
from emulator.server.sessions.live import LiveSession, LiveSessions
from emulator.server.sessions.source import SENT, Added


def put_scenario(sessions: LiveSessions, id: str, scenario: Json, label: str = SENT, size: int = 0) -> LiveSession:
    """Give a session another scenario: turns and state begin anew, journal, clock and added rules stay.

    What is under way was decided by the old one and is sent to its end, also what is held or silent.
    Raises: SourceError, for one that does not load; OwnError, 409, where one of its rules has an added rule's id, or
    for too many bytes (`size`).
    """
    live = sessions.find(id)
    sessions.check_room(size - live.size)
    loaded = sessions.builder.read(scenario, live.session.options.read_for, label)
    give(sessions, id, [loaded], [(scenario, label)])
    sessions.resize(live, size)
    return live


def give(
    sessions: LiveSessions, id: str, scenarios: Sequence[Scenario], sources: Sequence[tuple[Json, str]]
) -> LiveSession:
    """Give a session other scenarios, loaded from these sources: turns and state begin anew, the rest stays.

    Raises: SourceError, where they disagree; OwnError, 409, where a rule has an added rule's id.
    """
    live = sessions.find(id)
    old = live.session
    new = build_session(id, old.api_key, sessions.providers, scenarios, old.options, old.started)
    check_upstreams(scenarios, new.provider, sessions.upstreams)
    for rule in old.added:
        _check_free(rule.id, new)
    live.session = replace(new, clock=live.clock.kind, added=old.added)
    live.source = replace(live.source, scenarios=tuple(sources))
    sessions.version += 1
    sessions.forget(live, "turns")
    return live


def reset(sessions: LiveSessions, id: str) -> LiveSession:
    """Forget what happened in a session; its scenario and its key stay, its clock begins anew."""
    live = sessions.find(id)
    sessions.forget(live, "all")
    live.clock.release()
    live.clock = make_clock(live.session.clock)
    live.session = replace(live.session, started=live.clock.now())
    live.completed.clear()
    return live


def add_rule(sessions: LiveSessions, id: str, rule: Mapping[str, Json], at: str | None, size: int = 0) -> LiveSession:
    """Put a rule before the others; one with the id of a rule that was added takes its place and its counts.

    Raises: SourceError, for a rule that does not load; OwnError, 409, for too many bytes (`size`).
    """
    live = sessions.find(id)
    sessions.check_room(size)
    session = live.session
    name = rule.get("id", f"added-{len(session.added) + 1}")
    _check_free(name, session)
    settings = session.settings[session.provider or next(iter(session.settings))]
    data = {"emulator": 1, "vars": settings.vars, "rules": [{**rule, "id": name}]}
    if session.provider:
        data["provider"] = session.provider
    known = [item.id for item in session.added]  # the newest first
    before = len(known) - (known.index(name) + 1 if name in known else 0)
    added = Added(name, data, at or f"{SENT}:added[{before}]")
    try:
        made = sessions.builder.rule(added, session.provider)
    except SourceError as error:
        raise _placed(error, at) if at else error from None
    others = [made if item.id == name else item for item in session.added]
    live.session = replace(session, added=tuple(others if name in known else [made, *others]))
    live.source = live.source.with_rule(added)
    sessions.resize(live, live.size + size)
    return live


def _check_free(name: Json, session: Session) -> None:
    if any(item.id == name for item in session.rules):
        raise OwnError(409, "rule_exists", f"The scenario has a rule with the id '{name}' already.")


def _placed(error: SourceError, at: str) -> SourceError:
    """Return the problems of a rule that was made in a test, at its place there."""
    file, _, line = at.rpartition(":")
    number = whole_number(line) or 1
    return SourceError(
        [replace(item, file=file or at, line=number, where=item.where.removeprefix("rules[0]").removeprefix("."))
         for item in error.problems]
    )  # fmt: skip
