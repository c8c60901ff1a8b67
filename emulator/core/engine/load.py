"""Loading a scenario whole: its form, its rules, and each reply rendered once against the response schema."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import orjson

from emulator.core.answer.render import Turn
from emulator.core.answer.reply import fill_reply, named_error, render_reply
from emulator.core.errors import MOST_PROBLEMS, Json, Problem, SourceError, Violation, in_order, nearest
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.scenario.parse import parse_scenario
from emulator.core.scenario.scenario import Reply, Rule, Scenario, with_warnings
from emulator.core.schema.schema import Schema
from emulator.core.seeded_random import Draw
from emulator.core.source import Source, parse_source, read_source
from emulator.core.values import Call, Request
from emulator.core.wires.request.conversation import Conversation, Message
from emulator.core.wires.sse import payload
from emulator.core.wires.wire import Wire

#: The kind of operation that a kind of reply answers, where it answers one alone.
ANSWERED = {"embedding": "embeddings", "message": "chat"}
#: How many of a reply's chunks are explained.
MOST_BROKEN = 1_000


def load_scenario(file: Path | str, providers: Mapping[str, Provider], provider: str | None = None) -> Scenario:
    """Load a scenario file; `provider` is whom it is checked for where the file names none.

    Raises: SourceError, with every problem of the file.
    """
    path = Path(file)
    label = os.path.relpath(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise SourceError([Problem(str(file), 1, 1, "", "is no regular file")])
    return _load(read_source(path, label, reads_on=True), label, providers, provider)


def load_all(
    files: Sequence[Path],
    providers: Mapping[str, Provider],
    provider: str | None,
    texts: Mapping[Path, bytes] = MappingProxyType({}),
) -> list[Scenario]:
    """Load scenario files; the problems of all of them are raised together. `texts` are files that were read before.

    Raises: SourceError.
    """
    problems: list[Problem] = []
    scenarios = []
    for file in files:
        try:
            text = texts.get(file)
            loaded = (
                load_scenario(file, providers, provider)
                if text is None
                else parse_text(text, str(file), providers, provider)
            )
            scenarios.append(loaded)
        except SourceError as error:
            problems += error.problems
    if problems:
        raise SourceError(problems)
    return scenarios


def parse_text(text: Json, label: str, providers: Mapping[str, Provider], provider: str | None = None) -> Scenario:
    """Load a scenario from YAML text or from data; `label` stands for the file's name."""
    return _load(parse_source(text, label, reads_on=True), label, providers, provider)


def _load(source: Source, label: str, providers: Mapping[str, Provider], provider: str | None) -> Scenario:
    scenario, problems = parse_scenario(source, providers, label)
    named = scenario.provider or provider
    scope = [providers[named]] if named and named in providers else list(providers.values())
    problems = list(problems)
    warnings: list[Problem] = []
    for rule in scenario.rules:
        for reply in rule.replies:
            broken, doubtful = _checked(scenario, scope, rule, reply)
            problems += broken
            if len(problems) >= MOST_PROBLEMS:
                raise SourceError(in_order(problems)[:MOST_PROBLEMS])
            warnings += doubtful
            if len(scope) == 1:
                warnings += _undocumented_error(scenario, scope[0], reply)
    for chaos in scenario.chaos:
        if isinstance(chaos.strike, Reply) and len(scope) == 1:
            warnings += _undocumented_error(scenario, scope[0], chaos.strike)
    if problems:
        raise SourceError(in_order(problems))
    return with_warnings(scenario, warnings)


def _can_say(operation: Operation, reply: Reply) -> bool:
    """Tell whether an operation's wire has words for what a message says: some have them for texts alone."""
    if reply.kind != "message" or set(reply.content) <= {"text", "logprobs", "annotations"}:
        return True
    return operation.wire is None or "call" in operation.wire.request.kinds


def _checked(
    scenario: Scenario, scope: Sequence[Provider], rule: Rule, reply: Reply
) -> tuple[list[Problem], list[Problem]]:
    """Check a reply for each operation that it can answer: broken at all of them is a problem, at some a warning."""
    asked = [
        (provider, operation)
        for provider in scope
        for operation in provider.operations.values()
        if rule.covers(provider.name, operation.name)
    ]
    asked = [pair for pair in asked if _can_say(pair[1], reply)] or asked
    broken = [pair for pair in asked if any(True for _ in _breaks(scenario, *pair, reply))]  # explaining all takes long
    if broken and broken == asked:
        problems = islice(_breaks(scenario, *asked[0], reply), MOST_BROKEN)
        return list(dict.fromkeys(problems)), []  # chunks break it alike
    where = [f"{provider.name} {operation.name}" for provider, operation in broken]
    return [], [scenario.problem(reply.path, f"breaks the documented form of: {', '.join(where)}")] if where else []


def _breaks(scenario: Scenario, provider: Provider, operation: Operation, reply: Reply) -> Iterator[Problem]:
    """Find where a reply breaks the response schema of an operation that it answers."""
    name = reply.content.get("name") if reply.kind == "error" else None
    if name and name not in provider.errors:
        message = f"{provider.title} has no error '{name}'; {nearest(name, provider.errors)}"
        yield scenario.problem((*reply.path, "error"), message)
        return
    if reply.off_contract or reply.kind in ("builtin", "proxy"):
        return
    if operation.kind != ANSWERED.get(reply.kind, operation.kind):
        yield scenario.problem(reply.path, f"answers another operation than {operation.name}; set when.operation")
        return
    for violation in _violations(provider, operation, reply):
        where = f"the reply's {violation.path}" if violation.path else "the reply"
        message = f"{where} {violation.message} (say off_contract: true if it is meant to break the documented form)"
        yield scenario.problem(reply.path, message)


def _violations(provider: Provider, operation: Operation, reply: Reply) -> Iterator[Violation]:
    if reply.kind == "error":
        yield from _envelope_violations(provider, reply)
        return
    if reply.kind == "events":
        if operation.chunk:
            for item in reply.content:
                yield from _event_violations(operation.chunk, operation.wire, item)
        return
    if not _is_text(reply):
        yield from _of_samples(provider, operation, reply)
    elif not provider.proven:  # else its schemas need not be read, which would be most of the memory of a start
        yield from of_any_text(provider, operation)


def _is_text(reply: Reply) -> bool:
    """Tell whether a reply is a text and leaves its form to the provider."""
    given = (reply.status, reply.usage, reply.finish_reason)
    text = reply.content.get("text") if reply.kind == "message" and len(reply.content) == 1 else None
    return isinstance(text, str) and text != "" and given == (None, None, None)


@functools.lru_cache(maxsize=256)
def of_any_text(provider: Provider, operation: Operation) -> tuple[Violation, ...]:
    """Check one text for all: rendering each of them would be most of what loading a scenario costs."""
    return tuple(_of_samples(provider, operation, Reply("message", {"text": "Hello!"}, {}, None, ())))


def _of_samples(provider: Provider, operation: Operation, reply: Reply) -> Iterator[Violation]:
    for schema, stream in ((operation.response, False), (operation.chunk, True)):
        if schema and (reply.kind == "message" or not stream):
            for body in _sample(provider, operation, reply, stream):
                if not schema.verdict(body):
                    yield from schema.violations(body)


def _sample(provider: Provider, operation: Operation, reply: Reply, stream: bool) -> Iterator[Json]:
    """Render a reply for a request that says hello, and yield its body or its chunks."""
    model = next(iter(provider.models), "")
    request = Request("", provider.name, operation.method, operation.path, "", {}, b"", 0.0, "", "")
    said = Conversation(model, stream, (Message("user", "hello"),))
    call = Call(request, operation.name, {}, said, 0, (), 0.0)
    turn = Turn(provider, operation, call, model, Draw("sample"), 0.0)
    scope = {"request": {}, "vars": {}, "state": "", "n": 1, "now": 0, "uuid": ""}
    content, _ = fill_reply(reply, lambda: scope, [])
    timeline = render_reply(turn, reply, content, ()).timeline
    for frame in timeline.frames:
        if frame.kind == "body":
            yield orjson.loads(frame.data)
        elif frame.kind == "data":
            yield orjson.loads(payload(frame.data))


def _event_violations(chunk: Schema, wire: Wire | None, item: Json) -> Iterator[Violation]:
    if isinstance(item, str):
        if "${" in item or (wire and wire.ends(item.encode(errors="replace"))):
            return
        try:
            item = orjson.loads(item)
        except orjson.JSONDecodeError:
            yield Violation("", f"has an event that is no JSON: {item[:60]!r}")
            return
    if not chunk.verdict(item):
        yield from chunk.violations(item)


def _envelope_violations(provider: Provider, reply: Reply) -> Iterator[Violation]:
    """An error with a body of its own must have the provider's envelope; one by name always has."""
    if "body" not in reply.content:
        name = reply.content["name"]
        status = provider.errors[name]["status"]
        if reply.status not in (None, status):
            yield Violation("status", f"must be {status} for {name}, not {reply.status}")
        return
    path = provider.envelope_difference(reply.content["body"])
    if path is not None:
        yield Violation(path, "is not as in the provider's error envelope")


def _undocumented_error(scenario: Scenario, provider: Provider, reply: Reply) -> Iterator[Problem]:
    refusal = named_error(provider, reply.content) if reply.kind == "error" else None
    known = [name for name, given in provider.errors.items() if given.get("documented")]
    if refusal and known and refusal.name not in known:
        listed = ", ".join(known)
        yield scenario.problem(
            reply.path, f"the docs of {provider.title} don't list the error {refusal.name}, only {listed}"
        )
