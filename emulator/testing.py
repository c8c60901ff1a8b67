"""What a test holds in its hand: a session of its own on a running server, spoken to by the control API only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from emulator.client import Control, ControlError

_REAL_WAIT = threading.Event().wait  # not touched by whoever patches time.sleep


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
    def __getitem__(self, index: slice) -> Sequence[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | Sequence[Exchange]:
        return self._exchanges[index]

    def __len__(self) -> int:
        return len(self._exchanges)

    def __repr__(self) -> str:
        lines = [f"{item.n}: {item.method} {item.path} -> {item.status} ({item.rule})" for item in self]
        return "\n".join(lines) or "no exchanges"

    def to_scenario(self) -> str:
        """Write these exchanges as a scenario file that answers the same."""
        from emulator.core.recording import scenario_text

        return scenario_text(self._exchanges)


class Clock:
    """The session's clock."""

    def __init__(self, session: EmulatedSession) -> None:
        self._session = session

    @property
    def now(self) -> float:
        """Unix seconds."""
        return float(self._session.read()["clock"]["now"])

    @property
    def kind(self) -> str:
        return str(self._session.read()["clock"]["kind"])

    def advance(self, duration: str | float) -> float:
        """Move a virtual clock, waking what becomes due; return the new time."""
        return self._set({"advance": duration})

    def hold(self) -> float:
        """Let every wait last until `release` or `advance`."""
        return self._set({"hold": True})

    def release(self) -> float:
        return self._set({"release": True})

    def _set(self, body: dict[str, Any]) -> float:
        return float(self._session.ask("PATCH", "/clock", body)["now"])


class Route:
    """The rule that `.on(...)` began; each `.reply(...)` is its next reply."""

    def __init__(self, session: EmulatedSession, when: dict[str, Any], rule: dict[str, Any], at: str) -> None:
        self._session = session
        self._when = when
        self._rule = rule
        self._at = at
        self._replies: list[dict[str, Any]] = []

    def reply(self, text: Any = None, /, **reply: Any) -> Route:
        """Add a reply, written as in a scenario: `.reply("Hello")`, `.reply(error="rate_limited", times=2)`."""
        if text is not None:
            reply["text"] = text
        rule = {**self._rule, "when": self._when, "replies": [*self._replies, reply]}
        self._session.ask("POST", "/rules", {"rule": rule, "at": self._at})
        self._replies.append(reply)
        return self


class EmulatedSession:
    """A fresh world on a server. Point the application at `base_url` with `api_key`."""

    def __init__(self, control: Control, **options: Any) -> None:
        self._control = control
        given = {name: value for name, value in options.items() if value is not None}
        self._session = control.ask("POST", "/sessions", given)
        self.id: str = self._session["id"]
        self.api_key: str = self._session["api_key"]
        self.clock = Clock(self)
        self._routes = 0
        self._here: dict[str, str] = {}

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
        """The base URL of the session's provider.

        Raises: LookupError, where the session is for several.
        """
        if self.provider is None and len(self.base_urls) != 1:
            names = ", ".join(self.base_urls)
            raise LookupError(
                f"this session serves {names}: use base_urls[NAME], or name one: @pytest.mark.emulator(provider=NAME)"
            )
        return next(iter(self.base_urls.values()))

    # What it answers

    def use(self, scenario: str | Path | Mapping[str, Any]) -> EmulatedSession:
        """Answer by a scenario from now on: a file, YAML text, or a mapping. Rules of `.on()` stay before it."""
        self._session = self.ask("PUT", "/scenario", {"scenario": read_scenario(scenario)})
        return self

    def on(self, **when: Any) -> Route:
        """Begin a rule, before those there are; `when` is as in a scenario: `.on(last_user={"contains": "hi"})`."""
        self._routes += 1
        frame = sys._getframe(1)
        at = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        name = f"on-{self._routes}"
        self._here[name] = at
        rule = {key: when.pop(key) for key in ("after_last", "count_by", "then", "expect") if key in when}
        return Route(self, when, {"id": name, **rule}, at)

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
            raise AssertionError(answer["message"])

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

    def assert_well_behaved(self, strict: bool = False, ignore: Sequence[str] = ()) -> None:
        """Fail on what the docs ask of a caller and the application did not do; `strict` takes advice as demands.

        Raises: AssertionError, with each finding and its exchanges.
        """
        known = self.verdict()["findings"]
        names = {item["fact"] for item in known}
        unknown = [name for name in ignore if names and name not in names]
        if unknown:
            raise ValueError(f"there is no finding {', '.join(unknown)}; known: {', '.join(sorted(names))}")
        bad = [
            item
            for item in known
            if item["status"] == "fail" and item["fact"] not in ignore and (strict or not item["advice"])
        ]
        if bad:
            lines = [
                f"{item['fact']}: {item['message']} (exchanges {item['exchanges']}; {item['source']})" for item in bad
            ]
            lines.append(f"Allow it with assert_well_behaved(ignore=[{bad[0]['fact']!r}]).")
            raise AssertionError("the client did not behave as the docs ask:\n  " + "\n  ".join(lines))

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
        """Yield what should fail a test that ends: each says how to allow it, where it can be allowed."""
        session, journal = self.read(), self.journal
        for item in journal:
            if item.crash:
                yield f"the emulator failed on exchange {item.n} ({item.method} {item.path}):\n{item.crash}"
        if not allow_unmatched:
            yield from (_unmatched(item) for item in journal if item.rule == "unmatched")
        for rule in session["rules"]:
            if rule["expect"] and not _met(rule["expect"], rule["calls"]):
                yield (
                    f"rule {rule['id']} ({rule['at']}) expected {_said(rule['expect'])} and got {rule['calls']}; "
                    "change its `expect`, or leave it out"
                )
            elif rule["id"] in self._here and not rule["calls"] and not allow_unused:
                yield (
                    f"the rule of .on() at {rule['at']} was never used; "
                    "allow it with @pytest.mark.emulator(allow_unused=True)"
                )


def read_scenario(scenario: str | Path | Mapping[str, Any]) -> str | dict[str, Any]:
    """Return YAML text or a mapping: of a file where a path is given (a string with no line break is a path)."""
    if isinstance(scenario, Mapping):
        return dict(scenario)
    if isinstance(scenario, str) and "\n" in scenario:
        return scenario
    try:
        return Path(scenario).read_text(encoding="utf-8")
    except OSError as error:
        raise ControlError(404, {"message": f"{scenario} cannot be read: {error.strerror}"}) from None


def _unmatched(item: Exchange) -> str:
    lines = [f"no rule answered exchange {item.n} ({item.method} {item.path}); the nearest:"]
    for near in item.nearest:
        lines.append(f"  {near['rule']} ({near['id']})")
        lines += [
            f"    {row['field']}: expected {row['expected']!r}, got {row['actual']!r}" for row in near["differences"]
        ]
    lines.append("allow it with @pytest.mark.emulator(allow_unmatched=True)")
    return "\n".join(lines)


def _met(expect: Mapping[str, int], calls: int) -> bool:
    if "calls" in expect:
        return calls == expect["calls"]
    return expect.get("min", 0) <= calls <= expect.get("max", calls)


def _said(expect: Mapping[str, int]) -> str:
    return " and ".join(f"{word} {number}" for word, number in expect.items())
