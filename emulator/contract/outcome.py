"""What one check at one target comes to.

A difference that only our own assumption rules out is observed at a foreign target, and a failure at an emulator of
ours. What the target cannot arrange is not seen; what it did not let us find out is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emulator.contract.budget import Spent
from emulator.contract.client import Answer
from emulator.contract.exchange import answer_json, curl_line, hidden_json, request_json, scrub, scrub_json
from emulator.contract.expectations import Differs
from emulator.contract.reports.report import OutcomeWord
from emulator.contract.target import NotArranged, Target, TargetSession, Unreachable
from emulator.core.errors import Json
from emulator.core.secrets.texts import redact_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to, and the exchange that decided it; `fact` where it is not the one of its case."""

    outcome: OutcomeWord
    message: str = ""
    expected: Json = None
    actual: Json = None
    request: Mapping[str, Json] | None = None
    response: Mapping[str, Json] | None = None
    curl: str | None = None
    fact: str | None = None
    difference: str = ""


def judge(check: Callable[[TargetSession], None], target: Target, assumed: bool = False) -> Outcome:
    """Run a check in a fresh session; `assumed`: all it looks at is."""
    sessions: list[TargetSession] = []
    try:
        with target.fresh() as session:
            sessions.append(session)
            session.client.noticed = None
            check(session)
            if session.client.noticed:
                raise session.client.noticed
    except (NotArranged, Unreachable, Spent) as reason:
        return Outcome(_WORDS[type(reason)], scrub(str(reason), _key(sessions)))
    except Differs as found:
        return _scrubbed(found, _word(found, target, assumed), _key(sessions))
    return Outcome("passed")


_WORDS: Mapping[type[Exception], OutcomeWord] = {
    NotArranged: "not_seen",
    Unreachable: "inconclusive",
    Spent: "inconclusive",
}


def _key(sessions: Sequence[TargetSession]) -> str:
    """Return the key in use at last: a session that begins anew has another."""
    return sessions[0].key if sessions else ""


def _word(found: Differs, target: Target, assumed: bool) -> OutcomeWord:
    status = found.answer.status if found.answer else None
    if not target.own and found.answer and (status == 429 or found.answer.ended == "unreachable"):
        return "inconclusive"
    silent = found.assumed or (assumed and found.fact is None)
    broken = status is not None and (status == 0 or status >= 500)
    return "observed" if silent and not broken and not target.own else "failed"


def _scrubbed(found: Differs, word: OutcomeWord, key: str) -> Outcome:
    message = redact_text(scrub(found.message, key))
    told = (word, message, scrub_json(found.expected, key), hidden_json(scrub_json(found.actual, key)))
    difference = redact_text(scrub(found.difference, key))
    return Outcome(*told, *_exchange(found.answer, key), found.fact, difference)


def _exchange(
    answer: Answer | None, key: str
) -> tuple[Mapping[str, Json] | None, Mapping[str, Json] | None, str | None]:
    if answer is None:
        return None, None, None
    return request_json(answer.request, key), answer_json(answer, key), curl_line(answer.request, key)
