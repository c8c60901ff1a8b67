"""The phase `stateful`: conversations of several requests, each a walk whose way is fixed.

- `tools`: a call, its result, the next call, the answer, whole and streamed
- `streamed`: the whole answer and the streamed one are the same message
- `limits`: to the edge of a window, over it, and back, twice
- `replay`: an Idempotency-Key among other requests gets its own answer again
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping

from emulator.contract.case_client import CaseClient
from emulator.contract.checks.deltas import UNLIKE_WHOLE, in_one_form
from emulator.contract.checks.limits import rate_number
from emulator.contract.client import Answer
from emulator.contract.contract import Contract
from emulator.contract.expectations import accepted, equal, hold
from emulator.contract.outcome import PlannedCase
from emulator.contract.phases import exchanges
from emulator.contract.phases.endpoint import Endpoint, endpoints
from emulator.contract.phases.exchanges import client_of, refused, resting_on, wire_of
from emulator.contract.target import NotArranged, TargetSession
from emulator.core.errors import Json
from emulator.core.seeded_random import Draw

#: Said by the model, one after the other: plain, long, of many alphabets, of what JSON and SSE must escape, nothing.
TEXTS = (
    "Hello! How can I help?",
    " ".join(f"Sentence {n} of a longer reply." for n in range(1, 25)),
    "Grüße, 日本語, שלום, 👩\u200d👧 e\u0301",
    'A "quoted" \\ line\nbreak, a\ttab\r\n\ndata: [DONE]\n\n</script>',
    " ",
)
ROUNDS = 3
_WALK = 4
WINDOW_S = 60.0
#: One of the tools that contract.yaml offers.
_NAME = "get_weather"
_QUESTION = "What is the weather?"
_CITIES = ("Zürich", "Köln", 'New "York"')


def stateful(contract: Contract, seed: int = 0, plan: str | None = None) -> Iterator[PlannedCase]:
    """Yield the walks that a provider's contract gives reason for; `plan` is the only one whose limits are walked."""
    endpoint = next((item for item in endpoints(contract) if item.is_asked), None)
    if endpoint is None:
        return
    if endpoint.operation.takes("tools") and contract.shown_by("tools"):
        yield _walk(endpoint, "tools", functools.partial(walk_tools, endpoint), 2 * (ROUNDS + 1), "tools")
    yield _walk(endpoint, "streamed", functools.partial(walk_streamed, endpoint), 3 * len(TEXTS), "stream")
    yield _limits(endpoint, plan)
    if contract.provider.idempotency:
        yield _replay(endpoint, seed)


def _walk(
    endpoint: Endpoint, name: str, walk: Callable[[TargetSession], None], requests: int, *checks: str
) -> PlannedCase:
    """Plan a walk; it rests on the first fact that one of these checks shows, else on the operation's."""
    contract, operation = endpoint.contract, endpoint.operation
    fact = next(filter(None, map(contract.shown_by, checks)), endpoint.fact)
    return contract.planned("stateful", f"{operation.name}/{name}", walk, fact=fact, requests=requests)


# Tools


def walk_tools(endpoint: Endpoint, session: TargetSession) -> None:
    """Call a tool, hand back its result, and so on, until an answer in words; first whole, then streamed."""
    client = client_of(endpoint.contract, session)
    for streamed in (False, True):
        calls = [{"tool_calls": [{"name": _NAME, "arguments": {"city": city}}]} for city in _CITIES[:ROUNDS]]
        told, way = client.arrange(*calls, {"text": TEXTS[0]}), client.asks(stream=True) if streamed else {}
        made: list[tuple[Mapping[str, str], str]] = []
        for round_ in range(ROUNDS if told else 1):  # whoever is not told what to say may have nothing more to ask
            answer = client.chat({**client.with_tools("named", _NAME), **client.called(_QUESTION, made), **way})
            message = _message(endpoint, answer, streamed)
            called = _calls(answer, message, _CITIES[round_] if told else None)
            made += [(call, json.dumps({"temp_c": 21})) for call in called]
        answer = client.chat({**client.ask.tools["offer"], **client.called(_QUESTION, made), **way})
        last = _message(endpoint, answer, streamed)
        said = last["text"] or last["calls"]
        hold(answer, "the results of the calls are answered", bool(said), "words, or another call", last)
        if told:
            equal(answer, "the results of the calls are answered with what the model said", TEXTS[0], last["text"])


def _calls(answer: Answer, message: Mapping[str, Json], city: str | None) -> list[dict[str, Json]]:
    calls: list[dict[str, Json]] = message["calls"]
    equal(answer, "the tool that was chosen is called", [_NAME], [call["name"] for call in calls])
    hold(answer, "a call has an id", all(isinstance(call["id"], str) for call in calls), "a string", calls)
    exchanges.arguments_are_json(answer, calls)
    if city:
        equal(answer, "the arguments are what the model gave", {"city": city}, json.loads(calls[0]["arguments"]))
    return calls


def _message(endpoint: Endpoint, answer: Answer, streamed: bool) -> dict[str, Json]:
    """Return an answer's content, calls and finish_reason in one form, whole or streamed. Raises: Differs."""
    if streamed:
        accepted(answer, "a request for a stream")
        return exchanges.good_stream(endpoint, answer)
    return in_one_form(wire_of(endpoint.operation).read(exchanges.good_whole(endpoint, answer)))


# Whole and streamed


def walk_streamed(endpoint: Endpoint, session: TargetSession) -> None:
    """Ask for each text whole and streamed: the deltas together are the whole message.

    Raises: Differs; NotArranged, where the target says something else each time.
    """
    client = client_of(endpoint.contract, session)
    for text in TEXTS:
        told = client.arrange({"text": text})
        answers = [client.chat(), client.chat(client.asks(stream=True))]
        one, streamed = (_message(endpoint, one, on) for one, on in zip(answers, (False, True), strict=True))
        if one != streamed and not told and _message(endpoint, client.chat(), False) != one:
            raise NotArranged("the same request gets another answer each time; each of its streams was well framed")
        what = "the deltas together are the whole answer's message"
        equal(answers[1], what, one, streamed, difference=UNLIKE_WHOLE)
        if not told:
            return


# Limits


def _limits(endpoint: Endpoint, chosen: str | None) -> PlannedCase:
    """Plan the walk of a window: of the chosen plan, else of one so small that walking it costs little."""
    plan = endpoint.contract.provider.plans.get(chosen or "")
    named = plan.name if plan and plan.requests else None
    size = (plan and plan.requests) or _WALK

    def walk(session: TargetSession) -> None:
        walk_limit(endpoint.contract, session, named or {"requests_per_minute": size}, size)

    return _walk(endpoint, "limits", walk, 2 * (size + 2), "rate_counts", "limit", "refill")


def walk_limit(contract: Contract, session: TargetSession, plan: str | Mapping[str, int], size: int) -> None:
    """Use a window up, go over its edge, wait for its end, and do so once more.

    Raises: Differs; NotArranged, where no plan, or no clock, can be set.
    """
    session.plan(plan)
    session.advance(0)  # where the window cannot be left again, using it up would spoil what comes after
    client = client_of(contract, session)
    for _ in range(2):
        end = _to_the_edge(contract, client, size)
        over = client.chat()
        refused(contract, session, over, "rate_limited", f"request {size + 1} of {size} in a window")
        _header_is(contract, over, "remaining", 0)
        left = end - session.now() if end is not None else WINDOW_S
        left = WINDOW_S / size if contract.provider.refills else left
        session.advance(max(0.0, left - 1))  # headers tell whole seconds
        refused(contract, session, client.chat(), "rate_limited", "a request before the window's end")
        session.advance(WINDOW_S if contract.provider.refills else 1.001)


def _to_the_edge(contract: Contract, client: CaseClient, size: int) -> float | None:
    """Make the requests of a window; return when it ends, if the headers tell. Raises: Differs."""
    end: float | None = None
    for n in range(1, size + 1):
        answer = accepted(client.chat(), f"request {n} of {size} in a window")
        _header_is(contract, answer, "remaining", size - n)
        told = _header(contract, answer, "reset", client.session.now())
        with resting_on(contract.shown_by("rate_counts")):
            hold(answer, "the window's end stays where it is", end in (None, told), end, told)
        end = told
    return end


def _header(contract: Contract, answer: Answer, what: str, now: float) -> float | None:
    name = contract.params("rate_counts").get(what)
    with resting_on(contract.shown_by("rate_counts")):
        return rate_number(contract.ask, answer, name, now) if name else None


def _header_is(contract: Contract, answer: Answer, what: str, value: int) -> None:
    name = contract.params("rate_counts").get(what)
    if name:
        with resting_on(contract.shown_by("rate_counts")):
            equal(answer, f"{name} counts what is left", str(value), answer.header(name))


# Replay


def _replay(endpoint: Endpoint, seed: int) -> PlannedCase:
    contract, name = endpoint.contract, f"{endpoint.operation.name}/replay"
    header, _, fact = contract.provider.idempotency or ("", 0.0, None)
    walk = functools.partial(walk_replay, contract, header, Draw(seed, "replay"))
    return contract.planned("stateful", name, walk, fact=contract.fact(fact), requests=9)


def walk_replay(contract: Contract, header: str, draw: Draw, session: TargetSession) -> None:
    """Ask under two keys, whole and streamed, with other requests between: each key gets its own answer again."""
    client = client_of(contract, session)
    ways: tuple[tuple[str, dict[str, Json]], ...] = (("whole", {}), ("streamed", client.asks(stream=True)))
    asked = [(draw.uuid(name), changes) for name, changes in ways]
    first = {key: client.chat(changes, headers={header: key}) for key, changes in asked}
    for key, answer in first.items():
        accepted(answer, f"a request with {header} {key}")
    for _ in range(2):
        client.chat()
        for key, changes in reversed(asked):
            again = client.chat(changes, headers={header: key})
            equal(again, f"{header} {key} gets its answer again", _said(first[key]), _said(again))
    other = client.chat(headers={header: draw.uuid("other")})
    own = _said(other) not in [_said(answer) for answer in first.values()]
    hold(other, f"another {header} gets an answer of its own", own, "another id", _said(other))


def _said(answer: Answer) -> dict[str, Json]:
    return {"status": answer.status, "body": answer.text}
