"""Generated requests: thousands of bodies a provider, valid ones answered and broken ones refused as documented.

    schema ──values──> valid body ──> 2xx, conforming     one Hypothesis example: a valid body
                           └──mutation──> 400, its field named     and FAULTS with one fault each

Most are asked of the engine in this process, some over a socket; both validators judge every body and every answer.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.contract.generation.mutations import Mutation, Mutator
from emulator.contract.generation.strategies import ANY_JSON, TEXTS, requests
from emulator.core.engine.body import CUSTOMARY, without_nulls
from emulator.core.engine.engine import Engine
from emulator.core.engine.understand import conversation
from emulator.core.errors import Refusal
from emulator.core.provider.conversation.rule import Asked, ConversationRule
from emulator.core.provider.holes import fill
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import fill_path
from emulator.core.scenario.session import Options, build_session
from emulator.core.schema.schema import Schema
from emulator.core.values import Request
from emulator.core.wires.sse import TYPES, payload
from emulator.stores.memory import MemoryStore

PROVIDERS = load_providers()
ENGINE = Engine(PROVIDERS)
SESSION = build_session("default", "", PROVIDERS, [], Options(plan="unlimited"), 0.0)
STORE = MemoryStore()
HEADERS = {
    "authorization": "Bearer any",
    "x-goog-api-key": "any",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}
#: What a query must have, where one is asked for.
QUERY = "api-version=2025-04-01-preview"

#: Bodies a provider: each example is a valid one and FAULTS broken ones. Where a body takes many times as long to draw,
#: there are fewer in a run of all tests; EMULATOR_BODIES=10000 asks for as many of each.
BODIES = 10_000
FEWER = {
    "openrouter": 1_000,
    "anthropic": 2_000, "gemini": 1_500, "compatible": 2_000, "deepseek": 2_000, "azure": 1_000, "ollama": 1_000,
}  # fmt: skip
SOCKET_BODIES = 200
ARBITRARY = 500
#: Valid bodies that get odd values, and odd values: drawing them takes the longest, so they are drawn once.
GOOD, ODD = 50, 400
FAULTS = 9
#: Answers longer than this (vectors) are left to the fast validator.
MOST_BYTES = 5_000

OPERATIONS = {
    f"{provider.name}-{operation.name}": (provider, operation)
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    if operation.method == "POST" and operation.kind != "stored"
}
#: How many of them are chats where a provider takes other bodies as well.
CHATS = 0.6
OTHERS = Counter(provider.name for provider, operation in OPERATIONS.values() if operation.kind != "chat")
each_operation = pytest.mark.parametrize(("provider", "operation"), OPERATIONS.values(), ids=OPERATIONS)


@dataclass(frozen=True)
class Answer:
    """What came back: a JSON body, or the data of each event."""

    status: int
    kind: str
    body: bytes
    events: tuple[bytes, ...]
    explained: bool = False  # the slow validator found what is wrong


Ask = Callable[[Provider, Operation, bytes], Answer]


GENERATED = settings(derandomize=True, database=None)


@each_operation
def test_generated_bodies_in_process(provider: Provider, operation: Operation) -> None:
    bodies = int(os.environ.get("EMULATOR_BODIES", FEWER.get(provider.name, BODIES)))
    wanted = share(provider, operation, bodies)
    seen = run(provider, operation, ask_engine, wanted)
    assert seen["valid"] + seen["broken"] >= wanted


@each_operation
def test_generated_bodies_over_a_socket(provider: Provider, operation: Operation, emulator_url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(emulator_url).netloc, timeout=5)
    wanted = share(provider, operation, SOCKET_BODIES)
    seen = run(provider, operation, socket_asker(connection), wanted)
    connection.close()
    assert seen["valid"] + seen["broken"] >= wanted


@each_operation
def test_any_json_is_judged_alike_and_answered(provider: Provider, operation: Operation) -> None:
    """Bodies of any form: the validators agree, and the answer is a 200 or a refusal, by their verdict."""
    agreed = Agreement(operation)
    for data, body in arbitrary(provider, operation).items():
        answer = ask_engine(provider, operation, data)
        read = orjson.loads(data)
        judged = read if provider.nulls_fact or not isinstance(read, dict) else without_nulls(operation, read)
        if reads := reader(provider, operation):
            judged = reads(judged)
        if agreed.verdict(judged, answer):
            beyond = broken_rule(provider, operation, read) or answer.status == 200
            assert beyond or refused_beyond_the_schema(provider, operation, body, answer)
        else:
            check_refused(provider, operation, answer)
        if answer.status == 200:
            check_conforms(provider, operation, answer)


def arbitrary(provider: Provider, operation: Operation) -> dict[bytes, Any]:
    """Return different bodies, always the same: valid ones with odd values in some fields, such fields, and odd values.

    Hypothesis draws what they are made of; letting it put them together would take the longer part of a run.
    """
    random = Random(0)
    good = drawn(requests(operation.request, model_ids(provider, operation), operation.wire), GOOD)
    fields = [*operation.request["properties"], *sorted(CUSTOMARY)]
    found: dict[bytes, Any] = {}
    while len(found) < ARBITRARY:
        some = random.sample(fields, random.randrange(min(7, len(fields) + 1)))
        odd = {name: random.choice(odd_values()) for name in some}
        changed = [{**random.choice(good), **dict(islice(odd.items(), 3))} for _ in range(2)]
        body = random.choice([*changed, odd, random.choice(odd_values())])
        found[orjson.dumps(body)] = body
    return found


@cache
def odd_values() -> list[Any]:
    return drawn(ANY_JSON, ODD)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return values of a strategy."""
    found: list[Any] = []

    @settings(GENERATED, max_examples=count, phases=[Phase.generate])
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


def reader(provider: Provider, operation: Operation) -> Callable[[Any], Any] | None:
    """Return what reads a body that is written in another way than the schema has it, if the provider takes any."""
    if not provider.also_read:
        return None

    def read(body: Any) -> Any:
        try:
            return operation.field_names.documented(body, provider.reads(())) if isinstance(body, Mapping) else body
        except Refusal:  # a field has two spellings
            return body

    return read


def share(provider: Provider, operation: Operation, bodies: int) -> int:
    """Return how many of a provider's bodies fall to one operation."""
    others = OTHERS[provider.name]
    if not others:
        return bodies
    return int(bodies * CHATS) if operation.kind == "chat" else int(bodies * (1 - CHATS) / others)


def run(provider: Provider, operation: Operation, ask: Ask, bodies: int) -> Counter[str]:
    """Ask with generated bodies, check every answer, and return how many of each kind there were."""
    agreed = Agreement(operation)
    mutator = Mutator(operation.request, provider.nulls_fact is not None, reader(provider, operation))
    seen: Counter[str] = Counter()

    valid = requests(operation.request, model_ids(provider, operation), operation.wire)

    @settings(GENERATED, max_examples=-(-bodies // (1 + FAULTS)))
    @given(mutator.several(valid, FAULTS))
    def check(drawn: Any) -> None:
        body, *faults = drawn
        body = in_a_conversation_of_its_own(operation, body, seen["valid"])
        assert agreed.verdict(body)
        check_answered(provider, operation, body, ask(provider, operation, orjson.dumps(body)))
        for broken, mutation in faults:
            answer = ask(provider, operation, orjson.dumps(broken))
            assert not agreed.verdict(broken, answer), mutation
            check_refused(provider, operation, answer)
            check_names(provider, operation, answer, mutation)
        seen.update(valid=1, broken=FAULTS)

    check()
    return seen


def in_a_conversation_of_its_own(operation: Operation, body: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a body whose conversation is no other's: what was said in it would be a part of this one too."""
    if operation.wire is None or not operation.wire.request.conversation(body):
        return body
    name, *_ = operation.wire.request.fields("conversation")
    own = f"conv_own{number}"
    return {**body, name: {**body[name], "id": own} if isinstance(body[name], dict) else own}


class Agreement:
    """Both validators on one request schema."""

    def __init__(self, operation: Operation) -> None:
        self.fast = Schema(operation.request).verdict
        self.oracle = Draft202012Validator(operation.request).is_valid

    def verdict(self, body: Any, answer: Answer | None = None) -> bool:
        """Return the verdict of both; the slow one need not judge what it explained already."""
        verdict = self.fast(body)
        assert verdict is (self.oracle(body) if answer is None or not answer.explained else False), body
        return verdict


# Asking


def ask_engine(provider: Provider, operation: Operation, body: bytes) -> Answer:
    path, _, query = asked_at(provider, operation, body).partition("?")
    request = Request(
        "default", provider.name, operation.method, path, query, HEADERS, body, 1_800_000_000.0, path, "http://127.0.0.1",
    )  # fmt: skip
    claim = ENGINE.claim(SESSION, request)
    timeline = ENGINE.answer(SESSION, request, claim, STORE.take(claim)).timeline
    data = b"".join(frame.data for frame in timeline.frames)
    answer = answer_of(timeline.status, dict(timeline.headers).get("content-type", ""), data)
    explained = claim.refusal is not None and any(item.keyword for item in claim.refusal.details)
    return replace(answer, explained=explained)


def socket_asker(connection: http.client.HTTPConnection) -> Ask:
    def ask(provider: Provider, operation: Operation, body: bytes) -> Answer:
        path = f"/{provider.name}{provider.base_path}{asked_at(provider, operation, body)}"
        connection.request(operation.method, path, body, HEADERS)
        response = connection.getresponse()
        assert response.headers["x-emulator-error"] is None
        return answer_of(response.status, response.headers["content-type"], response.read())

    return ask


def asked_at(provider: Provider, operation: Operation, body: bytes) -> str:
    """Return where a body is sent: every other one, where the path says so, to get a stream."""
    if operation.streams_at and streams_by_path(operation, body) and operation.wire:
        return f"{fill_path(operation.streams_at, in_path(provider, operation))}?{urlencode(operation.wire.asks_sse)}"
    return fill_path(operation.path, in_path(provider, operation)) + ("?" + QUERY if operation.query else "")


def streams_by_path(operation: Operation, body: bytes) -> bool:
    return bool(operation.streams_at) and len(body) % 2 == 1


def in_path(provider: Provider, operation: Operation) -> dict[str, str]:
    """Return what stands in the path: of the models that there are, one that takes the most."""
    return {"model": min(provider.models_of(operation), key=lambda model: len(model.traits)).id}


def answer_of(status: int, kind: str, data: bytes) -> Answer:
    if kind == TYPES["ndjson"]:
        assert data.endswith(b"\n")
        return Answer(status, kind, b"", tuple(data[:-1].split(b"\n")))
    if not kind.startswith("text/event-stream"):
        return Answer(status, kind, data, ())
    assert data.endswith(b"\n\n")
    events = data[:-2].split(b"\n\n")
    assert all(re.fullmatch(rb"(event: [a-z_.]+\n)?data: [^\n]*", event) for event in events)
    return Answer(status, kind, b"", tuple(map(payload, events)))


# Checking


def check_answered(provider: Provider, operation: Operation, body: Mapping[str, Any], answer: Answer) -> None:
    broken = broken_rule(provider, operation, body) if answer.status >= 400 else None
    if broken or (answer.status >= 400 and goes_on(operation, body)):
        check_refused(provider, operation, answer, broken.error if broken else "invalid_request")
        return
    if answer.status == 400 and operation.kind == "embeddings" and ("dimensions" in body or operation.vectors):
        return  # more than the model has, or another model than that of the path
    assert 200 <= answer.status < 300, answer.body
    unasked = operation.request["properties"].get("stream", {}).get("default") is True
    asked = unasked if body.get("stream") is None else body["stream"] is True
    if operation.answer_unasked(body) is not None:
        assert not answer.events
        return
    assert bool(answer.events) is (asked or streams_by_path(operation, orjson.dumps(body)))
    check_conforms(provider, operation, answer)


def check_conforms(provider: Provider, operation: Operation, answer: Answer) -> None:
    if answer.events:
        assert operation.wire
        *chunks, last = answer.events if operation.wire.has_end else (*answer.events, b"")
        assert operation.wire.ends(last) or not operation.wire.has_end
        assert chunks or not operation.wire.read_events([orjson.loads(last)]).parts  # lines begin with what is said
        for chunk in (*chunks, last) if answer.kind == TYPES["ndjson"] else chunks:
            conforms(operation.chunk, chunk)
    else:
        assert answer.kind == "application/json"
        conforms(operation.response, answer.body)


def conforms(schema: Schema | None, data: bytes) -> None:
    assert schema is not None
    value = orjson.loads(data)
    assert schema.verdict(value), schema.violations(value)
    assert len(data) > MOST_BYTES or schema.oracle.is_valid(value)


def check_refused(provider: Provider, operation: Operation, answer: Answer, error: str = "invalid_request") -> None:
    """A 400, or a rule's own status, or that of a model that is not there; every field of the provider's envelope."""
    given = {**provider.errors[error], **({"status": 400} if error == "invalid_request" else {})}
    assert answer.status in (given["status"], provider.errors[provider.models_unknown]["status"]), answer
    assert answer.kind == "application/json"
    envelope = provider.envelope_at(operation.path)
    wanted = fill(envelope, {**dict.fromkeys(("message", "param", "details", "request_id", "more")), **given})
    for path, shape in leaves(envelope, ()):
        if any(name.endswith("~") for name in path):
            continue
        found, expected = (at(value, path) for value in (orjson.loads(answer.body), wanted))
        if shape in ("${message}", "${request_id}"):
            assert isinstance(found, str)
            assert found
        elif shape not in ("${param}", "${details}") and not (shape == "${code}" and provider.wordings):
            assert found == expected


def check_names(provider: Provider, operation: Operation, answer: Answer, mutation: Mutation) -> None:
    """The field with the fault is named wherever the envelope has a place for it."""
    body, own = orjson.loads(answer.body), {item["at"] for item in operation.exceptions}
    for path, shape in leaves(provider.envelope_at(operation.path), ()):
        if any(name.endswith("~") for name in path):
            continue
        found = at(body, path)
        if shape == "${param}":
            elsewhere = provider.wordings and (mutation.path in ("", "model") or tells_another_form(found, mutation))
            assert is_about(found or "", mutation) or elsewhere, found
        elif shape == "${details}":
            assert any(is_about(item["field"], mutation) for item in found), found
            assert all(item["message"] for item in found)
        elif (
            shape == "${message}"
            and mutation.path
            and mutation.operator not in ("combine", "forbid")
            and not provider.wordings
            and re.sub(r"\[\d+\]", "[]", mutation.path) not in own
        ):
            assert mutation.path in found or is_about(found.partition(":")[0], mutation)


def tells_another_form(path: str | None, mutation: Mutation) -> bool:
    """What is wrong in one of several forms may be told of the item, or of a field that the form of its type lacks."""
    place, _, name = mutation.path.rpartition(".")
    told = path or ""
    return place != "" and (told == place or (name == "type" and told.rpartition(".")[0] == place))


def is_about(path: str, mutation: Mutation) -> bool:
    """The place itself, what is missing below it, one of those that do not go together, or an item beside it."""
    if mutation.operator == "combine":
        return path.removeprefix(f"{mutation.path}.") in set(mutation.after) - set(mutation.before) or path in (
            mutation.after
        )
    if mutation.operator == "forbid":
        return True  # of two values that do not go together either is at fault
    if mutation.path.endswith("]") and path.rpartition("[")[0] == mutation.path.rpartition("[")[0] != "":
        return True
    return path == mutation.path or path.startswith((f"{mutation.path}.", f"{mutation.path}["))


def broken_rule(provider: Provider, operation: Operation, body: Any) -> ConversationRule | None:
    """Return why a body is no conversation that the provider takes, though its schema allows it."""
    rules = operation.rules(frozenset())
    if rules is None:
        return None
    said = conversation(operation, body)
    named = in_path(provider, operation)["model"] if "{model}" in operation.path else said.model
    model = provider.models.get(named)
    known = (model.traits, model.output_limit, model.defaults) if model else ()
    rule, _ = rules.first_broken(Asked(body, said, *known)) or (None, None)
    return rule


def refused_beyond_the_schema(
    provider: Provider, operation: Operation, body: Mapping[str, Any], answer: Answer
) -> bool:
    """An unknown model, or a conversation over the window: what a provider refuses and no schema says."""
    if answer.status == 404:
        return not provider.models_open and body.get("model") not in model_ids(provider, operation)
    check_refused(provider, operation, answer)
    if operation.vectors or (operation.kind == "embeddings" and "dimensions" in body) or goes_on(operation, body):
        return True
    known = [*provider.models, *(["auto"] if provider.auto else [])]
    return (not provider.models_open and body.get("model") not in known) or b"context window" in answer.body


def goes_on(operation: Operation, body: Mapping[str, Any]) -> bool:
    """Tell whether a body names an earlier answer, of which there is none here."""
    return operation.wire is not None and operation.wire.request.previous(body) != ""


def model_ids(provider: Provider, operation: Operation) -> list[str]:
    """Return the models that an operation takes."""
    return [model.id for model in provider.models_of(operation)]


def leaves(shape: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(shape, Mapping):
        yield from itertools.chain.from_iterable(leaves(item, (*path, name)) for name, item in shape.items())
    else:
        yield path, shape


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


@settings(GENERATED, max_examples=200)
@given(TEXTS)
def test_a_query_of_any_text_is_answered(text: str) -> None:
    """The GET operations take no body; their query is theirs. Those with parameters in their path take none."""
    for provider in PROVIDERS.values():
        for operation in provider.operations.values():
            if operation.method == "GET" and operation.path in provider.routes.whole:
                check_query(provider, operation, text)


def check_query(provider: Provider, operation: Operation, text: str) -> None:
    query = f"task={text}&{text}"
    request = Request(
        "default",
        provider.name,
        "GET",
        operation.path,
        query,
        HEADERS,
        b"",
        1_800_000_000.0,
        operation.path,
        "http://x",
    )
    claim = ENGINE.claim(SESSION, request)
    timeline = ENGINE.answer(SESSION, request, claim, STORE.take(claim)).timeline
    assert timeline.status == 200
    conforms(operation.response, b"".join(frame.data for frame in timeline.frames))
