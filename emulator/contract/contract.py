"""A provider's contract, loaded: its facts' cases, its docs' examples, and a good request for each operation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from emulator.contract.bodies import parse_json
from emulator.contract.case_client import Ask
from emulator.contract.cases import Case, Step, load_cases
from emulator.contract.outcome import PlannedCase, judge
from emulator.contract.reports.report import Phase
from emulator.contract.target import NotRunnable, TargetSession
from emulator.core.engine.understand import conversation
from emulator.core.errors import Json, SourceError, nearest
from emulator.core.provider.fact import Fact
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route
from emulator.core.schema.formats import data_folder, own_schema, schema_problems
from emulator.core.schema.schema import Schema
from emulator.core.source import parse_source
from emulator.core.tree import change_texts

#: Of a token, about; the tokens of an answer without a cap, as the questions here are answered; and what is few.
CHARACTERS, USUAL_TOKENS, FEW_TOKENS = 4, 100, 400


@dataclass(frozen=True, slots=True)
class Example:
    """A request that the docs print, and what they print as its answer: a whole one, or the data of events."""

    id: str
    source: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    status: int | None
    answer: Json
    events: tuple[Json, ...]

    @property
    def target(self) -> str:
        """The path with its query."""
        return target(self.path, self.query)


@dataclass(frozen=True, slots=True)
class Contract:
    """What can be checked of a provider. `model`: the one that good chats name, where a run says which."""

    ask: Ask
    cases: tuple[Case, ...]
    examples: tuple[Example, ...]
    model: str | None = None

    @property
    def provider(self) -> Provider:
        return self.ask.provider

    def fact(self, name: str | None) -> Fact | None:
        """Return a fact by its id."""
        return self.provider.facts.get(name) if name else None

    def steps(self, check: str) -> Iterator[tuple[Fact, Step]]:
        """Yield the steps of facts' cases that are made by a check, with the fact."""
        for case in self.cases:
            yield from ((case.fact, step) for step in case.steps if step.name == check)

    def shown_by(self, check: str) -> Fact | None:
        """Return the first fact that a check shows."""
        return next((fact for fact, _ in self.steps(check)), None)

    def params(self, check: str) -> Mapping[str, Json]:
        """Return the parameters of the first step that is made by a check; none where there is no such step."""
        return next((step.params for _, step in self.steps(check)), {})

    def planned(
        self,
        phase: Phase,
        name: str,
        check: Callable[[TargetSession], None],
        *,
        fact: Fact | None,
        source: str = "",
        assumed: bool = False,
        requests: int = 1,
    ) -> PlannedCase:
        """Plan a check of a phase; its id begins with the phase, its source is the fact's unless given."""
        named, where = (fact.id, source or fact.source) if fact else (None, source)
        assumed = assumed or bool(fact and not fact.binding)
        judged = functools.partial(judge, check, assumed=assumed)
        return PlannedCase(f"{phase}/{name}", phase, named, where, assumed, requests, judged)

    def naming(self, model: str) -> Contract:
        """Return the contract whose good chats name a model. Raises: NotRunnable, where the good request is no chat."""
        if self.ask.wire is None:
            raise NotRunnable(f"The good request of '{self.provider.name}' is no chat: it names no model.")

        def named(step: Step) -> Step:
            ask = step.ask.naming(model) if step.ask.model == self.ask.model else step.ask
            return replace(step, ask=ask, params=change_texts(step.params, own))

        def own(text: str) -> str:
            return model if text == self.ask.model else text

        cases = tuple(replace(case, steps=tuple(map(named, case.steps))) for case in self.cases)
        return replace(self, ask=self.ask.naming(model), cases=cases, model=model)

    def route(self, url: str, method: str) -> Route | None:
        """Return where a URL leads, whatever comes before the operation's path."""
        steps = urlsplit(url).path.split("/")
        paths = ("/" + "/".join(steps[at:]) for at in range(1, len(steps)))
        return next(filter(None, map(self.provider.routes.find, paths)), {}).get(method)

    def most_tokens(self, url: str, body: bytes) -> int:
        """Return the tokens that a request may take, of its body and of each answer; 0 where they are few."""
        route, value = self.route(url, "POST"), parse_json(body)
        if route is None or not isinstance(value, dict):
            return 0
        most = len(body) // CHARACTERS
        if route.operation.kind == "chat":
            said = conversation(route.operation, value)
            cap = said.cap if isinstance(said.cap, int) else USUAL_TOKENS
            most += cap * (said.choices if isinstance(said.choices, int) else 1)
        return most if most > FEW_TOKENS else 0


def target(path: str, query: Mapping[str, str]) -> str:
    """Return a path with a query."""
    return f"{path}?{urlencode(query)}" if query else path


def load_contract(name: str, schemas: Path | str | None = None) -> Contract:
    """Load the contract of a built-in provider, or of one in another folder of provider folders.

    Raises: LookupError, where there is no such provider; SourceError, where its folder does not load.
    """
    roots = [data_folder("schemas"), *([Path(schemas)] if schemas else [])]
    folders = {file.parent.name: file.parent for folder in roots for file in folder.glob("*/provider.yaml")}
    if name not in folders:
        raise LookupError(f"There is no provider '{name}'; {nearest(name, folders)}")
    return Contract(*load_cases(folders[name]), load_examples(folders[name]))


def load_examples(folder: Path) -> tuple[Example, ...]:
    """Load what a provider's docs print; nothing where its folder has no examples.yaml. Raises: SourceError."""
    file = folder / "examples.yaml"
    if not file.is_file():
        return ()
    source = parse_source(file.read_bytes(), str(file))
    problems = schema_problems(_examples_schema(), source)
    if problems:
        raise SourceError(problems)
    return tuple(_example(item) for item in source.data)


@functools.cache
def _examples_schema() -> Schema:
    document = own_schema("provider").document
    return Schema({"$defs": document["$defs"], "$ref": "#/$defs/examples"})


def _example(item: Mapping[str, Json]) -> Example:
    request, response = {"query": {}, "headers": {}, "body": None, **item["request"]}, item.get("response", {})
    told = {"status": response.get("status"), "answer": response.get("body"), "events": tuple(item.get("events", ()))}
    return Example(item["id"], item["source"], **request, **told)
