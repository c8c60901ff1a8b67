"""What a test holds in its hand: a session of its own on a running server, spoken to by the control API only."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.core.printable import printable, printable_lines
from emulator.testing import findings as teardown
from emulator.testing.client import Control
from emulator.testing.journal import Exchange as Exchange
from emulator.testing.journal import Journal

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: What `.on()` takes beside what `when` takes.
_RULE_KEYS = ("after_last", "count_by", "then", "expect")
#: About how long a chunk of a stream is, and the piece that holds all the rest: bytes.
_CHUNK, _REST = 200, 10**9
_REAL_WAIT = threading.Event().wait  # not touched by whoever patches time.sleep


class Clock:
    """The session's clock; `seen` is the latest time that this process knows of."""

    def __init__(self, session: EmulatedSession, now: float) -> None:
        self._session = session
        self.seen = now

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._read(self._session.ask("GET", "/clock"))

    @property
    def kind(self) -> str:
        return str(self._session.ask("GET", "/clock")["kind"])

    def advance(self, duration: str | float) -> float:
        """Move a virtual clock, waking what becomes due; return the new time."""
        return self._read(self._session.ask("PATCH", "/clock", {"advance": duration}))

    def hold(self) -> float:
        """Let every wait last until `release` or `advance`."""
        return self._read(self._session.ask("PATCH", "/clock", {"hold": True}))

    def release(self) -> float:
        """End `hold`, and every silence without end."""
        return self._read(self._session.ask("PATCH", "/clock", {"release": True}))

    def _read(self, answer: Mapping[str, Any]) -> float:
        now = float(answer["now"])
        self.seen = max(self.seen, now)
        return now


class Route:
    """The rule that `.on(...)` began, at a place of the test; each `.reply(...)` is its next reply."""

    def __init__(self, session: EmulatedSession, rule: Mapping[str, Any], at: str) -> None:
        self._session = session
        self._rule = rule
        self.at = at
        self.replies: tuple[Mapping[str, Any], ...] = ()
        self.refused = False  # the latest reply did not load, which its own exception tells

    def reply(self, text: Any = None, /, **reply: Any) -> Route:
        """Add a reply, written as in a scenario: `.reply("Hello")`, `.reply(error="rate_limited", times=2)`.

        Raises: ControlError, for one that does not load.
        """
        if text is not None:
            reply["text"] = text
        return self._send((*self.replies, reply))

    def replace(self, **reply: Any) -> Route:
        """Answer with this reply instead of those so far."""
        return self._send((reply,))

    def _send(self, replies: tuple[Mapping[str, Any], ...]) -> Route:
        self.refused = True
        self._session.ask("POST", "/rules", {"rule": {**self._rule, "replies": replies}, "at": self.at})
        self.replies, self.refused = replies, False
        return self


class EmulatedSession:
    """A fresh session on a server. Point the application at `base_url` with `api_key`.

    `folders` are where `.use()` looks for scenario files; without any it is the working directory.
    """

    def __init__(self, control: Control, scenario: Any = None, folders: Sequence[Path] = (), **options: Any) -> None:
        self._control = control
        self._folders = folders
        given = {name: value for name, value in options.items() if value is not None}
        if scenario is not None:
            given |= read_scenario(scenario, folders)
        self._session = control.ask("POST", "/sessions", given)
        self.id: str = self._session["id"]
        self.api_key: str = self._session["api_key"]
        self.clock = Clock(self, float(self._session["clock"]["now"]))
        self._routes: dict[str, Route] = {}
        self._numbers = itertools.count(1)

    # Where it is

    @property
    def provider(self) -> str | None:
        return self._session["provider"]  # type: ignore[no-any-return]

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URL of each provider."""
        return self._session["base_urls"]  # type: ignore[no-any-return]

    @property
    def base_url(self) -> str:
        """The base URL of the session's provider; where it is for several, of the default.

        Raises: LookupError, where the session is for several, none of which is the default.
        """
        base_url: str | None = self._session["base_url"]
        if base_url is None:
            names = ", ".join(self.base_urls)
            raise LookupError(
                f"this session serves {names}: use base_urls[NAME], or name one: @pytest.mark.emulator(provider=NAME)"
            )
        return base_url

    @property
    def env(self) -> Mapping[str, str | None]:
        """The variables that lead a client of its provider to the session; None for those that must not be set.

        Raises: LookupError, where the session is for several.
        """
        self.base_url  # noqa: B018 - raises
        return self._session["env"]  # type: ignore[no-any-return]

    # What it answers

    def use(self, scenario: str | Path | Mapping[str, Any]) -> EmulatedSession:
        """Answer by a scenario from now on: a file, YAML text, or a mapping. Rules of `.on()` stay before it.

        Raises: LookupError, where there is no such file; ControlError, where it does not load.
        """
        self._session = self.ask("PUT", "/scenario", read_scenario(scenario, self._folders))
        return self

    def on(self, **when: Any) -> Route:
        """Begin a rule, before those there are; `when` is as in a scenario: `.on(last_user={"contains": "hi"})`.

        `after_last`, `count_by`, `then` and `expect` are the rule's own.
        """
        name, at = f"on-{next(self._numbers)}", _place(sys._getframe(1))
        own = {key: when.pop(key) for key in _RULE_KEYS if key in when}
        route = self._routes[name] = Route(self, {"id": name, "when": when} | own, at)
        return route

    def slicings(self, text: str = "Grüße! 你好 👋🏽", **reply: Any) -> SearchStrategy[list[int]]:
        """Return a Hypothesis strategy: each list it draws is where the next streams are cut into reads, in bytes.

        A client must not mind. A failure shrinks to the fewest cuts that break it, often a single one:

            @given(emulator.slicings("Grüße!"))
            def survives(cuts):
                assert read_stream(emulator.base_url) == "Grüße!"

            survives()

        `reply` is what stands beside the text in a scenario. Needs hypothesis.
        """
        from hypothesis import strategies as st

        from emulator.core.tokens import pieces

        route = self.on()

        def cut(places: list[list[int]]) -> list[int]:
            cuts = sorted({place for group in places for place in group})
            sizes = [after - before for before, after in pairwise([0, *cuts])]
            route.replace(text=text, faults=[{"slice": {"bytes": [*sizes, _REST]}}], **reply)
            return cuts

        last = _CHUNK * (len(pieces(text)) + 4)  # the role, the end and [DONE] come beside the pieces
        place = st.sampled_from(range(1, last))  # all alike, where integers() prefers small ones
        return st.lists(st.lists(place)).map(cut)  # lists of lists: some twenty cuts on average

    # What happened

    @property
    def journal(self) -> Journal:
        """All exchanges so far."""
        answer = self.ask("GET", "/journal")
        return Journal([Exchange(item) for item in answer["exchanges"]], answer["dropped"])

    @property
    def calls(self) -> Journal:
        """The exchanges that a rule or the built-in reply answered."""
        journal = self.journal
        return Journal([item for item in journal if item.rule not in ("refused", "unmatched")], journal.dropped)

    def verify(
        self, count: int | None = None, at_least: int | None = None, at_most: int | None = None, **when: Any
    ) -> None:
        """Check how many requests fit; without a number, at least one must.

        Raises: AssertionError, with the nearest exchanges field by field.
        """
        bounds = {"count": count, "at_least": at_least, "at_most": at_most}
        body = {"when": when, **{name: value for name, value in bounds.items() if value is not None}}
        answer = self.ask("POST", "/verify", body)
        if not answer["ok"]:
            raise AssertionError(printable_lines(answer["message"]))

    def wait_for(self, calls: int, timeout: float = 5.0) -> Journal:
        """Wait until so many calls were answered and their answers sent, for at most `timeout` real seconds.

        Raises: AssertionError, with the journal, when they did not come.
        """
        deadline = time.monotonic() + timeout
        while True:
            done = [item for item in self.calls if item.sent["end"] != "under_way"]
            if len(done) >= calls:
                return Journal(done)
            if time.monotonic() > deadline:
                raise AssertionError(f"expected {calls} calls within {timeout} s, got {len(done)}\n{self.journal!r}")
            _REAL_WAIT(0.005)

    def completed(self, text: str) -> None:
        """Tell what the application took as its result, of the last call: so that a verdict can judge cut streams."""
        calls = self.calls
        if not calls:
            raise LookupError("no call was answered yet")
        self.ask("POST", "/completed", {"exchange": calls[-1].n, "text": text})

    def verdict(self) -> dict[str, Any]:
        """Return `{ok, findings}`: what the docs ask of a caller, judged from the journal."""
        return self.ask("GET", "/verdict")  # type: ignore[no-any-return]

    def assert_well_behaved(self, strict: bool = False, ignore: Collection[str] = ()) -> None:
        """Fail on what the docs ask of a caller and the application did not do; `strict` takes advice as demands.

        Raises: AssertionError, with each finding and its exchanges; ValueError, where `ignore` names no finding.
        """
        findings = self.verdict()["findings"]
        names = {item["fact"] for item in findings}
        if unknown := [name for name in ignore if name not in names]:
            raise ValueError(f"there is no finding {', '.join(unknown)}; known: {', '.join(sorted(names))}")
        if message := teardown.misbehaviour(findings, strict, ignore):
            raise AssertionError(printable_lines(message))

    # The session itself

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API below this session."""
        return self._control.ask(method, f"/sessions/{self.id}{path}", body)

    def read(self) -> dict[str, Any]:
        """Return the session as the control API shows it."""
        return self.ask("GET", "")  # type: ignore[no-any-return]

    def delete(self) -> None:
        self._control.ask("DELETE", f"/sessions/{self.id}")

    def problems(self, allow_unmatched: bool = False, allow_unused: bool = False) -> Iterator[str]:
        """Yield what should fail a test that ends; each says how to allow it."""
        session = self.read()
        rules, journal = session["rules"], self.journal if session["exchanges"] else Journal(())
        yield from teardown.crashes(journal)
        if not allow_unmatched:
            yield from teardown.unmatched(journal)
        yield from teardown.unexpected(rules)
        if not allow_unused:
            routes = {name: route for name, route in self._routes.items() if not route.refused}
            begun = {name: (route.at, bool(route.replies)) for name, route in routes.items()}
            yield from teardown.unused(rules, journal, begun)


def read_scenario(scenario: Any, folders: Sequence[Path] = ()) -> dict[str, Any]:
    """Return what the control API takes for a mapping, YAML text, or a file (a string with no line break is a path).

    A file is looked for in the folders, then in the library.

    Raises: LookupError, where none of them has it.
    """
    if isinstance(scenario, Mapping):
        return {"scenario": dict(scenario)}
    if isinstance(scenario, str) and "\n" in scenario:
        return {"scenario": scenario}
    looked = dict.fromkeys(folders or [Path()])
    found = next((file for folder in looked if (file := folder / scenario).is_file()), None) or _of_library(scenario)
    if found is None:
        where = ", ".join(map(str, looked)) + ", nor in the library"
        raise LookupError(
            f"there is no scenario {scenario} in {where}; set `emulator_scenarios` to the folder that has it"
        )
    return {"scenario": found.read_text(encoding="utf-8"), "file": printable(os.path.relpath(found))}


def _of_library(name: str | Path) -> Path | None:
    """Find PROVIDER/FILE in the library that comes with the package."""
    from emulator.core.provider.folder import data_folder  # heavy, and seldom needed

    file = data_folder("scenarios") / name
    return file if file.is_file() else None


def _place(frame: Any) -> str:
    """Return FILE:LINE of a frame, relative to the working directory where it is below it."""
    file = Path(frame.f_code.co_filename)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file.name
    return f"{printable(str(shown))}:{frame.f_lineno}"
