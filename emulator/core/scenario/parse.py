"""Parsing a scenario: from a loaded source to rules and replies; every problem of a file is collected first.

parse_source -> the scenario schema, read as it was meant -> rules and replies
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.durations import Wait, parse_duration, parse_wait
from emulator.core.errors import MOST_PROBLEMS, STATUS, Json, Problem, SourceError, closest, in_order, nearest, shown
from emulator.core.faults.faults import Fault, parse_fault
from emulator.core.noted import MANNERS, MISFITS
from emulator.core.printable import printable
from emulator.core.provider.plans import read_plan
from emulator.core.provider.provider import Provider
from emulator.core.scenario.matchers import Condition, MatchError, compile_when, state_set
from emulator.core.scenario.meant import Meant, as_meant
from emulator.core.scenario.scenario import CONTENT, SAID, Chaos, Pace, Reply, Rule, Scenario
from emulator.core.scenario.template import compile_template, reply_path_check
from emulator.core.schema.formats import own_schema
from emulator.core.schema.untrusted import Allowance
from emulator.core.source import Source
from emulator.core.tree import Path, path_of

#: Keys whose values are sent as they are.
_VERBATIM = {"text", "arguments", "json", "events", "body", "embedding", "vars", "logprobs"}
#: Reply keys that a Reply has under the same name, as they are.
_AS_GIVEN = ("times", "status", "usage", "finish_reason", "verbatim", "off_contract")
#: Rules of ours; their draws and counts go by these names.
RESERVED_IDS = {"built-in", "proxy", "refused", "unmatched", "replay", "withheld"}
#: Headers that the server writes by itself.
RESERVED_HEADERS = {"content-length", "transfer-encoding", "connection", "date", "content-type"}
_HEADER_NAME = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile("[ -~]*")


def parse_scenario(
    source: Source, providers: Mapping[str, Provider], label: str = ""
) -> tuple[Scenario, Sequence[Problem]]:
    """Compile a loaded source; `label` replaces the file's name in rules' addresses.

    With its problems, if there are any; the scenario has the rules then that have none.
    Raises: SourceError, where they leave nothing that can be compiled.
    """
    meant = as_meant(own_schema("scenario"), source)
    if meant.source is None:
        raise SourceError(in_order(meant.problems))
    parser = _Parser(meant.source, providers, label or source.file, meant)
    return parser.parse(), parser.problems


class _Parser:
    """Compiles one scenario whose form is right; what is wrong beyond the form is collected."""

    def __init__(self, source: Source, providers: Mapping[str, Provider], label: str, meant: Meant) -> None:
        self.source = source
        self.data = _whole_numbers(source.data)
        self.providers = providers
        self.label = printable(label)
        self.problems = list(meant.problems)
        self.wrong = set(meant.lacking)  # of rules and chaos, those that have a problem
        self.allowed = Allowance()
        self.template = functools.partial(compile_template, check=reply_path_check(self.data.get("vars") or {}))
        self.named = self.data.get("provider")

    def at(self, path: Path) -> str:
        """Return FILE:LINE of a value; data that was parsed before it came has no lines, but a path."""
        return f"{self.label}:{self.source.place(path)[0] if self.source.places else path_of(path)}"

    def report(self, path: Path, message: str) -> None:
        self.problems.append(self.source.problem(path, message))
        self.wrong.add(path[:2])
        if len(self.problems) >= MOST_PROBLEMS:
            raise SourceError(in_order(self.problems))

    def tried(self, path: Path, read: Callable[[Json], Any], value: Json) -> Any:
        """Read a value if there is one; where it cannot be read the problem is kept, and the result does not count."""
        try:
            return None if value is None else read(value)
        except ValueError as error:
            self.report(path, str(error))
            return None

    def parse(self) -> Scenario:
        if self.named is not None and self.named not in self.providers:
            self.report(("provider",), f"there is no provider '{self.named}'; {nearest(self.named, self.providers)}")
            self.named = closest(self.named, self.providers)
            if self.named is None:
                raise SourceError(in_order(self.problems))
        self.check_settings()
        rules = [self.rule(index, item) for index, item in enumerate(self.data.get("rules") or [])]
        chaos = [self.chaos(index, item) for index, item in enumerate(self.data.get("chaos") or [])]
        self.check_ids([rule.id for rule in rules])
        data = self.data
        plan = data.get("plan")
        if isinstance(plan, Mapping):
            plan = read_plan("scenario", plan)
        return Scenario(
            file=self.source.file,
            rules=tuple(rule for index, rule in enumerate(rules) if ("rules", index) not in self.wrong),
            provider=self.named,
            description=data.get("description", ""),
            seed=self.seed(),
            clock=data.get("clock"),
            validation=data.get("validation"),
            mute=frozenset(data.get("mute", ())),
            keys=frozenset(data["keys"]) if "keys" in data else None,
            models=frozenset(data.get("models", ())),
            plan=plan,
            vars=data.get("vars"),
            unmatched=data.get("unmatched"),
            chaos=tuple(item for index, item in enumerate(chaos) if ("chaos", index) not in self.wrong),
            source=self.source,
        )

    def scope(self) -> Iterator[Provider]:
        """Yield the providers that this file can concern."""
        yield from [self.providers[self.named]] if self.named else self.providers.values()

    def seed(self) -> int | None:
        """Return the seed as it was given: other numbers over 63 bits are floats by now."""
        given = self.source.data.get("seed")
        return None if given is None else int(given)

    def check_settings(self) -> None:
        facts = {fact for provider in self.scope() for fact in provider.known_facts} | {*MISFITS, *MANNERS}
        for index, fact in enumerate(self.data.get("mute", ())):
            if fact not in facts:
                self.report(("mute", index), f"there is no fact '{fact}'; {nearest(fact, facts)}")
        seed = self.source.data.get("seed", 0)
        if isinstance(seed, float) and abs(seed) >= 2**63:  # as loading reads what has more than 64 bits
            self.report(("seed",), f"must be a whole number of at most 64 bits, not {shown(seed)}")
        plan = self.data.get("plan")
        plans = {name for provider in self.scope() for name in provider.plans}
        if isinstance(plan, str) and plan not in plans:
            self.report(("plan",), f"there is no plan '{plan}'; {nearest(plan, plans)}")

    def check_ids(self, ids: Sequence[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in RESERVED_IDS:
                self.report(("rules", index, "id"), f"'{name}' names what is no rule; choose another id")
            if name in seen:
                self.report(("rules", index), f"the id '{name}' stands here a second time")
            seen.add(name)

    def rule(self, index: int, data: Mapping[str, Any]) -> Rule:
        path: Path = ("rules", index)
        when = data.get("when") or {}
        key = "replies" if "replies" in data else "reply"
        given = data[key] if key == "replies" else [data[key]]
        replies = [self.reply((*path, key, turn) if key == "replies" else (*path, key), item)
                   for turn, item in enumerate(given)]  # fmt: skip
        default = "unmatched" if "times" in given[-1] else "repeat"
        after_last = data.get("after_last", default)
        expected = data.get("expect")
        kind = "embeddings" if replies[0].kind == "embedding" else "chat"
        operation, concerns = self.operation((*path, "when"), when, kind)
        return Rule(
            id=data.get("id", f"rule-{index + 1}"),
            at=self.at(path),
            provider=self.named,
            operation=operation,
            conditions=self.conditions((*path, "when"), when),
            states=state_set(when["state"]) if "state" in when else None,
            replies=tuple(replies),
            after_last=after_last,
            turns=sum(reply.times for reply in replies) if after_last == "unmatched" else None,
            count_by=data.get("count_by", "session"),
            then=str(data["then"]["state"]) if "then" in data else None,
            expect=self.expect((*path, "expect"), expected) if expected else None,
            expected=expected,
            concerns=concerns,
        )

    def chaos(self, index: int, data: Mapping[str, Any]) -> Chaos:
        path: Path = ("chaos", index)
        when = data.get("when") or {}
        if "state" in when:
            self.report((*path, "when", "state"), "cannot be used here; chaos strikes in every state")
        return Chaos(
            at=self.at(path),
            chance=data["chance"],
            provider=self.named,
            operation=self.operation((*path, "when"), when, "any")[0],
            conditions=self.conditions((*path, "when"), when),
            strike=self.strike(path, data),
        )

    def strike(self, path: Path, data: Mapping[str, Any]) -> Reply | Fault:
        if "error" in data:
            return self.reply(path, {name: data[name] for name in ("error", "retry_after") if name in data})
        fault = self.fault((*path, "fault"), data["fault"])
        if "chance" in data["fault"]:
            self.report((*path, "fault", "chance"), "stands here a second time; the one of the chaos is enough")
        return fault

    def fault(self, path: Path, data: Mapping[str, Any]) -> Fault:
        fault: Fault = self.tried(path, parse_fault, data)
        if fault and "error" in fault.arguments:
            error = self.error((*path, fault.kind, "error"), fault.arguments["error"])
            return replace(fault, arguments={**fault.arguments, "error": error})
        return fault

    def error(self, path: Path, data: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return an error; a further name of some provider comes with the one that it is like at the others."""
        name = data.get("name")
        if name is None or name in STATUS:
            return data
        likes = [item.errors[name]["like"] for item in self.scope() if name in item.errors]
        if not likes:
            known = {name for provider in self.scope() for name in provider.errors}
            coded = next(filter(None, (item.coded(name) for item in self.scope())), None)
            hint = f"did you mean '{coded}'?" if coded else nearest(name, known)
            place = (*path, "name") if (*path, "name") in self.source.places else path
            self.report(place, f"there is no error '{name}'; {hint}")
        return {**data, "like": (likes or ["server_error"])[0]}

    def expect(self, path: Path, spec: Mapping[str, int]) -> tuple[int, float]:
        """Return the fewest and the most claims that are right."""
        least, most = spec.get("calls", spec.get("min", 0)), spec.get("calls", spec.get("max", math.inf))
        if least > most:
            self.report(path, f"min is {least} and max is {most}: nothing is between them")
        return least, most

    def operation(self, path: Path, when: Mapping[str, Any], left_out: str) -> tuple[str, frozenset[tuple[str, str]]]:
        """Return what a `when` calls the operation, and all that it concerns; left out, those of a kind."""
        name = str(when.get("operation", left_out))
        known = [(provider.name, item) for provider in self.scope() for item in provider.operations.values()]
        of_kind = [pair for pair in known if "operation" not in when and pair[1].kind == left_out]
        named = of_kind or [pair for pair in known if name in ("any", pair[1].name)]
        if not named:
            names = {"any", *(item.name for _, item in known)}
            self.report((*path, "operation"), f"there is no operation '{name}'; {nearest(name, names)}")
        return name, frozenset((provider, item.name) for provider, item in named)

    def conditions(self, path: Path, when: Mapping[str, Any]) -> tuple[Condition, ...]:
        found: list[Condition] = []
        for name, spec in when.items():  # one by one, so that each problem is found
            several = name in ("headers", "body")
            for part in [{name: {key: item}} for key, item in spec.items()] if several else [{name: spec}]:
                try:
                    found += compile_when(part, self.allowed)
                except MatchError as error:
                    self.report((*path, *error.path), str(error))
        return tuple(found)

    def reply(self, path: Path, data: Mapping[str, Any]) -> Reply:
        kind, content = _content(data)
        if kind == "error":
            content = self.error((*path, "error"), content)
        for name in data if kind == "proxy" else ():
            if name not in ("proxy", "times"):
                self.report((*path, name), "cannot stand beside proxy: the upstream's answer is passed on as it comes")
        self.check_tokens(path, data)
        headers = self.headers((*path, "headers"), data.get("headers", {}))
        return Reply(
            kind=kind,
            content=content,
            headers=headers,
            fill=self.tried(path, self.template, {"content": content, "headers": headers}),
            path=path,
            latency=self.tried((*path, "latency"), parse_wait, data.get("latency", 0)),
            pace=self.pace((*path, "stream"), data),
            faults=tuple(
                self.fault((*path, "faults", index), item) for index, item in enumerate(data.get("faults", ()))
            ),
            retry_after=self.tried((*path, "retry_after"), parse_duration, data.get("retry_after")),
            **{name: data[name] for name in _AS_GIVEN if name in data},
        )

    def headers(self, path: Path, data: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in data.items():
            if name.lower() in RESERVED_HEADERS or name.lower().startswith("x-emulator-"):
                self.report((*path, name), "is written by the server and cannot be set here")
            elif not _HEADER_NAME.fullmatch(name):
                self.report((*path, name), "is no header name; use letters, digits and dashes")
            elif not _HEADER_VALUE.fullmatch(value):
                self.report((*path, name), "may hold only printable ASCII characters")
        return data

    def check_tokens(self, path: Path, data: Mapping[str, Any]) -> None:
        """Check that what stands beside a text is of that text."""
        for index, item in enumerate(data.get("outputs", ())):
            self.check_tokens((*path, "outputs", index), item)
        text = data.get("text", data.get("refusal"))
        for name in ("logprobs", "annotations") if text is None else ():
            if name in data:
                self.report((*path, name), "is of a text: say text or refusal beside it")
        tokens = "".join(item["token"] for item in data.get("logprobs", ()))
        if tokens and isinstance(text, str) and "${" not in text and tokens != text:
            self.report((*path, "logprobs"), "the tokens, joined, are not the text")

    def pace(self, path: Path, data: Mapping[str, Any]) -> Pace:
        given = data.get("stream")
        if not given:
            return Pace()
        split, text = given.get("split", "tokens"), data.get("text")
        if isinstance(split, list) and isinstance(text, str) and "${" not in text and text not in "".join(split):
            self.report((*path, "split"), "the pieces, joined, are not the text")
        ttft = self.tried((*path, "ttft"), parse_wait, given.get("ttft", 0))
        *waits, itl = self.waits((*path, "itl"), given.get("itl", 0))
        return Pace(split, ttft, itl, given.get("pace") == "documented", tuple(waits))

    def waits(self, path: Path, data: Json) -> list[Wait]:
        """Return one wait, or those of a list."""
        if not isinstance(data, list):
            return [self.tried(path, parse_wait, data)]
        return [self.tried((*path, index), parse_wait, item) for index, item in enumerate(data)]


def _whole_numbers(value: Json) -> Json:
    """Return data whose 3.0 are 3: JSON Schema takes both for integers. What is sent as it is stays so.

    From 2**63 on they are floats instead: the sum of two would be more than JSON is written with.
    """
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, Mapping):
        return {key: item if key in _VERBATIM else _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return value
    return int(value) if abs(value) < 2**63 else float(value)


def _content(data: Mapping[str, Any]) -> tuple[str, Json]:
    """Return a reply's kind and content."""
    if any(name in data for name in SAID):
        return "message", {name: data[name] for name in SAID if name in data}
    kind = next(name for name in CONTENT if name in data)
    content = data[kind]
    if kind == "error" and isinstance(content, str):
        content = {"name": content}
    return kind, content
