"""The phase `probe`: somebody answers, the key is good, and which operations there are. It goes before all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emulator.contract.client import Answer
from emulator.contract.contract import Contract
from emulator.contract.expectations import hold, outcome
from emulator.contract.outcome import Outcome, PlannedCase, judge
from emulator.contract.phases.endpoint import Endpoint, endpoints
from emulator.contract.phases.exchanges import answers, client_of
from emulator.contract.target import NotArranged, Target, TargetSession

#: Without it nothing else that a run asks says much, whatever the docs promise.
_NO_CHAT = "no chat was answered; name a model that is there: --model NAME"


def probe(contract: Contract) -> Iterator[PlannedCase]:
    """Yield the cases of the probe; without the first two, nothing else is worth asking."""
    yield from gates(contract)
    yield from map(_exists, endpoints(contract))


def gates(contract: Contract) -> tuple[PlannedCase, PlannedCase]:
    """Return the cases that a run needs to pass."""
    shown = contract.shown_by("authentication")
    reachable = contract.planned("probe", "reachable", lambda session: _reachable(contract, session), fact=None)
    key = contract.planned("probe", "key", lambda own: _key(contract, own), fact=shown)
    return _strict(reachable), _strict(key)


def _strict(case: PlannedCase) -> PlannedCase:
    """Fail where nobody answers: to any other case that is inconclusive, here it is what was asked."""

    def judged(target: Target) -> Outcome:
        found = case.judged(target)
        nobody = found.response is None or found.response["status"] == 0
        return replace(found, outcome="failed") if found.outcome == "inconclusive" and nobody else found

    return replace(case, judged=judged)


def _reachable(contract: Contract, session: TargetSession) -> None:
    client, path = client_of(contract, session), endpoints(contract)[0].path
    base = contract.provider.base_path
    answer = client.send("GET", path)
    if answer.status == 404 and not session.base_url.endswith(base):
        url = session.base_url + base
        there = session.client.send("GET", url + path, client.headers()).status in (0, 404)
        hold(answer, f"nothing is at {session.base_url}, but {url} answers: --url {url}", there, url, answer.status)
    hold(answer, f"{session.base_url} answers", answer.status > 0, "an HTTP answer", outcome(answer))


def _key(contract: Contract, session: TargetSession) -> None:
    """Ask what costs least: a listing where there is one."""
    listings = (item for item in endpoints(contract) if item.operation.method == "GET")
    cheapest = next(listings, endpoints(contract)[0])
    answer = _ask(cheapest, session)
    what = f"the key is good for {cheapest.operation.method} {cheapest.path}"
    hold(answer, what, answer.status not in (401, 403), "any status but 401 and 403", answer.status)
    hold(answer, f"{what}: it is answered", answer.status > 0, "an HTTP answer", outcome(answer))
    hold(answer, f"{what}: it is not refused by a rate limit", answer.status != 429, "no rate limit", answer.status)


def _exists(endpoint: Endpoint) -> PlannedCase:
    operation, asked = endpoint.operation, endpoint.is_asked
    what = f"{operation.method} {endpoint.path}"

    def check(session: TargetSession) -> None:
        answer = _ask(endpoint, session)
        answers(answer, what)
        exists = answer.status != 405 and (asked or answer.status != 404)
        hold(answer, f"{what} exists", exists, "neither 404 nor 405", answer.status)
        hold(answer, f"the key is good for {what}", answer.status not in (401, 403), "a good key", answer.status)
        hold(answer, f"{what} is not refused by a rate limit", answer.status != 429, "no rate limit", answer.status)
        hold(answer, _NO_CHAT, not asked or answer.status < 300, "a status of 200", answer.status)

    case = endpoint.contract.planned("probe", operation.name, check, fact=endpoint.fact)
    return replace(case, assumed=False, judged=lambda target: judge(check, target)) if asked else case


def _ask(endpoint: Endpoint, session: TargetSession) -> Answer:
    client, method = client_of(endpoint.contract, session), endpoint.operation.method
    if not endpoint.is_tried:
        raise NotArranged(f"{method} {endpoint.operation.path} is not tried: it deletes, or names what nobody knows")
    if not endpoint.operation.has_body:
        return client.send("GET", endpoint.address)
    if not endpoint.bodies:
        raise NotArranged(f"no good request of {method} {endpoint.path} is known")
    return client.post(endpoint.address, endpoint.bodies[0])
