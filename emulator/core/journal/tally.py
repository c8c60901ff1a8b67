"""What the sessions of a run came to: each as it stood before it was forgotten, or at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from emulator.core.errors import many, printable
from emulator.core.journal.findings import Row, misbehaved, misbehaviour, session_findings
from emulator.core.scenario.scenario import MISFITS
from emulator.core.scenario.session import DEFAULT

#: Findings of ours, beside the facts of the verdict. A crash is one too, and cannot be ignored.
NAMES = ("unmatched", "unused", "expect", "no-request", *MISFITS)


class Tally:
    """Counts and finds over the sessions that are added; `ignored` names findings that are meant to be so."""

    def __init__(self, strict: bool, ignored: Collection[str], keeps: bool) -> None:
        self._strict = strict
        self.ignored = ignored
        self._keeps = keeps
        self._requests = self._refused = self._dropped = self._sessions = 0
        self._findings: list[str] = []
        self._names: dict[str, None] = {}
        self.sessions: list[Row] = []  # where they are to be kept: {session, journal, verdict}

    def add(self, session: Row, exchanges: Sequence[Row], verdict: Sequence[Row]) -> None:
        """Count a session in."""
        self._requests += session["exchanges"]
        self._dropped += session["dropped"]
        self._refused += sum(item["rule"] == "refused" for item in exchanges)
        self._sessions += bool(session["exchanges"])
        if self._keeps:
            self.sessions.append({"session": session, "journal": exchanges, "verdict": verdict})
        for name, text in self._found(session, exchanges, verdict):
            self._names[name] = None
            where = "" if session["id"] == DEFAULT else f"in the session {printable(session['id'])}: "
            self._findings.append(where + text)

    def _found(self, session: Row, exchanges: Sequence[Row], verdict: Sequence[Row]) -> Iterator[tuple[str, str]]:
        for item in session_findings(session, exchanges):
            if item.name not in self.ignored:
                yield item.name, item.text
        bad = misbehaved(verdict, self._strict, {*self.ignored, *MISFITS})
        if bad:
            yield bad[0]["fact"], misbehaviour(bad, exchanges)
            self._names.update(dict.fromkeys(item["fact"] for item in bad))

    def findings(self) -> list[str]:
        """Return all that was wrong."""
        none = "not one request came: the command asked nothing, or its client does not read the variables that are set"
        silent = self._strict and not (self._requests or self._findings) and "no-request" not in self.ignored
        return [none] if silent else self._findings

    def lines(self) -> Iterator[str]:
        """Yield what is told at the end: counts, findings, and how they are left out."""
        findings = self.findings()
        told = [many(self._requests, "request") + (f" in {self._sessions} sessions" if self._sessions > 1 else "")]
        told += [f"{self._refused} of them refused"] if self._refused else []
        told += [f"the first {self._dropped} no longer in the journal"] if self._dropped else []
        told.append(many(len(findings), "finding") if findings else "nothing to find fault with")
        names = [*self._names] if self._findings else ["no-request"]
        allowed = " ".join(f"--ignore {name}" for name in names if name != "crash")
        hints = [f"leave out what is meant to be so: {allowed}"] if findings and allowed else []
        yield from chain([f"emulator: {', '.join(told)}"], findings, hints)
