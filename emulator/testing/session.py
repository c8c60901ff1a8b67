"""What a test holds in its hand: a session of its own on a running server, spoken to by the control API only."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from emulator.core.errors import printable_lines
from emulator.core.journal import findings as teardown
from emulator.core.journal.findings import Finding, scenario_findings, session_findings
from emulator.server.real_time import monotonic
from emulator.testing.base_urls import BaseUrls
from emulator.testing.causes import WhyUnused
from emulator.testing.client import Control, ControlError
from emulator.testing.client import __tracebackhide__ as __tracebackhide__
from emulator.testing.clock import Clock
from emulator.testing.journal import Exchange as Exchange
from emulator.testing.journal import Journal
from emulator.testing.route import RULE_KEYS, Route, place, read_scenario

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_REAL_WAIT = threading.Event().wait  # not touched by whoever patches time.sleep


class EmulatedSession:
    """A fresh session on a server. Point the application at `base_url` with `api_key`.

    As a context it ends with `check`, and is removed. `folders` are where scenario files are looked for; without any it
    is the working directory. `form` is where a test says what it allows.
    """

    def __init__(
        self,
        control: Control,
        scenario: Any = None,
        folders: Sequence[Path] = (),
        *,
        allow_unmatched: bool = False,
        allow_unused: Any = False,
        form: str = "session({})",
        **options: Any,
    ) -> None:
        self._control = control
        self._folders = folders
        self._form = form
        self._allowed = {"unmatched": allow_unmatched, "unused": allow_unused}
        given = {name: value for name, value in options.items() if value is not None}
        if scenario is not None:
            given |= read_scenario(scenario, folders)
        self._session = control.ask("POST", "/sessions", given)
        self.id: str = self._session["id"]
        self.api_key: str = self._session["api_key"]
        self.clock = Clock(self.ask, float(self._session["clock"]["now"]))
        self._routes: dict[str, Route] = {}
        self._numbers = itertools.count(1)
        self.deleted = False
        self._checked: int | None = None  # exchanges that there were when it was looked at
        self._replaced: list[Finding] = []  # what was wrong with scenarios that others took the place of

    # Where it is

    @property
    def provider(self) -> str | None:
        provider: str | None = self._session["provider"]
        return provider

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URL of each provider."""
        return BaseUrls(self._session["base_urls"], self.provider)

    @property
    def sdk_urls(self) -> Mapping[str, str]:
        """The base URL for each provider's own SDK: without the version, where that adds it, as google-genai does."""
        return BaseUrls(self._session["sdk_urls"], self.provider)

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
        env: Mapping[str, str | None] = self._session["env"]
        return env

    # What it answers

    def use(self, scenario: str | Path | Mapping[str, Any]) -> EmulatedSession:
        """Answer by a scenario from now on: a file, YAML text, or a mapping. Rules of `.on()` stay before it.

        Raises: LookupError, where there is no such file; ControlError, where it does not load.
        """
        given = read_scenario(scenario, self._folders)
        replaced = self.read()["rules"] if self._session["rules"] else ()
        journal = self.journal if replaced else ()
        self._session = self.ask("PUT", "/scenario", given)
        self._replaced += scenario_findings([rule for rule in replaced if not rule["added"]], journal)
        return self

    def on(self, *text: Any, **when: Any) -> Route:
        """Begin a rule, before those there are; `when` is as in a scenario: `.on(last_user={"contains": "hi"})`.

        `id`, `after_last`, `count_by`, `then` and `expect` are the rule's own.
        """
        if text:
            raise TypeError(f".on() takes what must fit by name: .on(last_user={{'contains': {text[0]!r}}})")
        if "provider" in when:
            raise TypeError(".on() holds for every API of the session: tell them apart by model= or operation=")
        own = {"id": f"on-{next(self._numbers)}"} | {key: when.pop(key) for key in RULE_KEYS if key in when}
        route = self._routes[own["id"]] = Route(self.ask, {"when": when} | own, place(sys._getframe(1)))
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
        return self.on().slicings(text, **reply)

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
        deadline = monotonic() + timeout
        while True:
            done = [item for item in self.calls if item.sent["end"] != "under_way"]
            if len(done) >= calls:
                return Journal(done)
            if monotonic() > deadline:
                raise AssertionError(f"expected {calls} calls within {timeout} s, got {len(done)}\n{self.journal!r}")
            _REAL_WAIT(0.005)

    async def wait_for_async(self, calls: int, timeout: float = 5.0) -> Journal:
        """Wait as `wait_for` does, and let the event loop, asyncio's or trio's, go on meanwhile."""
        from anyio import to_thread

        return await to_thread.run_sync(self.wait_for, calls, timeout)

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
        if bad := teardown.misbehaved(findings, strict, ignore):
            hint = f"allow it with assert_well_behaved(ignore={[*ignore, *(item['fact'] for item in bad)]})"
            raise AssertionError(printable_lines(f"{teardown.misbehaviour(bad, self.journal)}\n{hint}"))

    # The session itself

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API below this session."""
        return self._control.ask(method, f"/sessions/{self.id}{path}", body)

    def read(self) -> dict[str, Any]:
        """Return the session as the control API shows it."""
        return self.ask("GET", "")  # type: ignore[no-any-return]

    def delete(self) -> None:
        self.deleted = True
        self._control.ask("DELETE", f"/sessions/{self.id}")

    # When it ends

    def findings(self) -> list[Finding]:
        """Return what is wrong with what happened here, but for what is allowed."""
        session = self.read()
        self._checked = session["exchanges"]
        journal = self.journal if self._checked else Journal(())
        why = WhyUnused(self._control.ask, self._session, self._routes, journal)
        found = [*self._replaced, *session_findings(session, journal, why.rule, why.session)]
        found += [route.finding() for route in self._routes.values() if not route.replies and not route.refused]
        return self._not_allowed(found)

    def late_findings(self) -> list[Finding]:
        """Return what is wrong with requests that came after `findings` was asked; nothing, where it was not."""
        if self._checked is None or self.read()["exchanges"] == self._checked:
            return []
        journal = [item for item in self.journal if item.n > self._checked]
        return self._not_allowed([*teardown.crashes(journal), *teardown.unmatched(journal)])

    def _not_allowed(self, found: Sequence[Finding]) -> list[Finding]:
        return [item for item in found if not item.is_allowed(self._allowed.get(item.name))]

    def told(self, found: Sequence[Finding]) -> str:
        """Return findings for people; each says how to allow it."""
        return printable_lines("\n\n".join(item.told(self._form) for item in found))

    def report(self, said: str = "") -> str:
        """Return what is wrong and was not said, and the last exchanges: for a test that failed by itself."""
        found = [text for item in self.findings() if (text := self.told([item])) not in said]
        return "\n\n".join([*found, printable_lines(teardown.shown(self.journal))])

    def explain(self, error: Exception) -> None:
        """Add what happened here to an exception, as a note; where the server is gone it stays as it is."""
        with contextlib.suppress(OSError, ControlError):
            error.add_note(self.report())

    def check(self) -> None:
        """Fail on what is wrong with what happened here.

        Raises: AssertionError.
        """
        if found := self.findings():
            raise AssertionError(self.told(found))

    def __enter__(self) -> EmulatedSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            try:
                self.check()
            finally:
                self.delete()
            return
        if isinstance(error, Exception):
            self.explain(error)
        with contextlib.suppress(OSError, ControlError):
            self.delete()
