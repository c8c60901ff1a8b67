"""A recording as it grows: exchanges with an upstream become a scenario, and a report of what the docs don't say.

Equal requests share a rule, their answers its replies in turn.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson

from emulator.core.engine.engine import Engine
from emulator.core.errors import Json, many
from emulator.core.journal.describe import describe, secrets_of
from emulator.core.provider.provider import Provider
from emulator.core.recording.conditions import masked, wanted, when_of
from emulator.core.recording.replay import Allowed, NotReplayable, allowing, replayed
from emulator.core.recording.to_scenario import to_yaml
from emulator.core.recording.undocumented import MAX_DEPTH
from emulator.core.secrets.repeated import across_events, without
from emulator.core.tree import canonical, deeper
from emulator.core.values import Exchange, Note, Sent

_PLAIN_NAME = re.compile("[A-Za-z0-9_-]+")
#: How large a scenario can be that is loaded, and what a rule takes beside its reply: bytes.
MOST_BYTES = 4_500_000
_RULE_BYTES = 300
_INDEX = re.compile(r"\[\d+\]")


@dataclass(slots=True)
class _Asked:
    """One request and all its answers; `shown` is the rule as it was last written."""

    when: dict[str, Json]
    body: Mapping[str, Json]
    replies: list[Json] = field(default_factory=list)
    shown: tuple[int, Json, str] = (0, None, "")


class Recorder:
    """Gathers the exchanges of one upstream."""

    def __init__(self, engine: Engine, provider: Provider, base_url: str) -> None:
        self.replies = 0
        self._size = 0
        self._engine = engine
        self._provider = provider
        self._base_url = base_url
        self._allowed = Allowed()
        self._asked: dict[tuple[str, bytes], _Asked] = {}
        self._left_out: dict[str, list[int]] = {}  # which exchanges, by why
        self._keys: set[str] = set()  # Idempotency-Keys that have their answer
        self._said: dict[Note, list[int]] = {}  # in which exchanges

    def add(self, exchange: Exchange, sent: Sent) -> None:
        """Take an exchange that has ended."""
        secrets = secrets_of(exchange.request)
        for note in exchange.notes:
            path, message = (_INDEX.sub("[]", without(text, secrets)) for text in (note.path, note.message))
            general = Note(note.fact, path, message)
            self._said.setdefault(general, []).append(exchange.grant.number)
        try:
            self._take(exchange, sent, secrets)
        except NotReplayable as reason:
            self._left_out.setdefault(str(reason), []).append(exchange.grant.number)

    def _take(self, exchange: Exchange, sent: Sent, secrets: Collection[str]) -> None:
        if sent.end == "client_left" or not exchange.proxied:
            raise NotReplayable("the client left before its end" if exchange.proxied else "the upstream was not asked")
        if exchange.claim.operation is None:
            raise NotReplayable("it is at an address that the docs don't name")
        if self._answers_itself(exchange):
            raise NotReplayable("its Idempotency-Key has an answer, which is given again")
        row = describe(exchange)
        if exchange.request.method == "GET":
            row["body"] = dict(parse_qsl(row["path"].partition("?")[2], keep_blank_values=True))
        body = row["body"]
        if not isinstance(body, dict) or deeper(body, MAX_DEPTH):
            raise NotReplayable("its body is no JSON object that a rule can match")
        params = row.get("params", {})
        if set(params) - {"model"}:
            raise NotReplayable("its path has parameters that no rule can match")
        self._allowed = allowing(self._engine, exchange, self._allowed)
        reply = replayed(self._engine, exchange, self._allowed)
        self._size += len(to_yaml(reply)) + len(exchange.request.body) + _RULE_BYTES
        if self._size > MOST_BYTES:
            raise NotReplayable("the scenario would be too large to be loaded")
        when = when_of(row, exchange.claim.wire) | self._way(exchange)
        name = exchange.claim.operation, canonical([masked(body), params, when.get("stream")])
        asked = self._asked.setdefault(name, _Asked(when, body))
        asked.replies.append(_without_secrets(reply, secrets))
        self.replies += 1

    def _way(self, exchange: Exchange) -> dict[str, Json]:
        """Tell a stream from a whole answer where its path asks for it: bodies are told apart by their fields."""
        route = (self._provider.routes.find(exchange.request.path) or {}).get(exchange.request.method)
        return {"stream": route.streams} if route and route.operation.streams_at else {}

    def _answers_itself(self, exchange: Exchange) -> bool:
        name = self._provider.idempotency[0] if self._provider.idempotency else ""
        key = exchange.request.headers.get(name, "").strip('"').lower()
        if key in self._keys:
            return True
        if key and exchange.timeline.status < 400 and not exchange.timeline.broken:
            self._keys.add(key)
        return False

    # The scenario

    def text(self) -> str:
        """Return the scenario as it stands, in YAML."""
        head = {
            "emulator": 1,
            "provider": self._provider.name,
            "description": f"Recorded from {self._base_url}.",
            **self._allowed.data(),
            "plan": "unlimited",  # the limits that were met are among the replies
        }
        rules = [self._rule(asked, when) for asked, when in _told_apart(list(self._asked.values()))]
        return to_yaml(head) + ("rules:\n" + "".join(rules) if rules else "rules: []\n")

    def _rule(self, asked: _Asked, when: Json) -> str:
        if asked.shown[:2] != (len(asked.replies), when):
            asked.shown = len(asked.replies), when, to_yaml([{"when": when, "replies": asked.replies}])
        return asked.shown[2]

    # The report

    def report(self) -> Iterator[str]:
        """Yield the lines that say what was recorded, what was not, and what the docs don't say."""
        yield f"Recorded {many(self.replies, 'answer')} to {many(len(self._asked), 'different request')}."
        for reason, numbers in self._left_out.items():
            yield f"Left out {many(len(numbers), 'exchange')}, first {numbers[0]}: {reason}."
        if self._allowed.mute or self._allowed.off:
            off = ["validation is off"] if self._allowed.off else []
            muted = [f"muted: {', '.join(sorted(self._allowed.mute))}"] if self._allowed.mute else []
            yield f"Requests that the docs rule out are let through: {'; '.join(off + muted)}."
        if not self._said:
            yield f"Nothing differed from the docs of {self._provider.title}."
            return
        yield f"What the docs of {self._provider.title} don't say, or say otherwise:"
        for note, numbers in self._said.items():
            fact = f" [{note.fact}]" if note.fact else ""
            path = note.path if note.path.partition(".")[0] in ("upstream", "response") else f"request.{note.path}"
            times = f"{many(len(numbers), 'time')}, first in exchange {numbers[0]}"
            yield f"  {path.removesuffix('.')}: {note.message}{fact} ({times})"


def _without_secrets(reply: Mapping[str, Json], secrets: Collection[str]) -> Json:
    """Return a reply without secrets: what stands in the place of one is no header's value, and no piece of a text."""
    clean = without(reply, secrets)
    if "events" in reply:
        clean["events"] = orjson.loads(across_events(orjson.dumps(clean["events"]).decode(), secrets))
    if "headers" in reply:
        clean["headers"] = {name: text for name, text in clean["headers"].items() if text == reply["headers"].get(name)}
    if isinstance(clean.get("stream"), Mapping) and clean.get("text") != reply.get("text"):
        clean["stream"] = {name: item for name, item in clean["stream"].items() if name != "split"}
    return {name: item for name, item in clean.items() if item != {} or reply[name] == {}}


def _told_apart(asked: Sequence[_Asked]) -> Iterator[tuple[_Asked, dict[str, Json]]]:
    """Yield each request with a `when` that only it meets: where several look alike, by the fields that differ."""
    alike: dict[bytes, list[_Asked]] = {}
    for item in asked:
        alike.setdefault(orjson.dumps(item.when, option=orjson.OPT_SORT_KEYS), []).append(item)
    differ = {key: _differing([item.body for item in items]) for key, items in alike.items()}
    for item in asked:
        names = differ[orjson.dumps(item.when, option=orjson.OPT_SORT_KEYS)]
        yield item, _with_fields(item, names)


def _differing(bodies: Sequence[Mapping[str, Json]]) -> list[str]:
    bodies = [masked(body) for body in bodies]
    names = dict.fromkeys(name for body in bodies for name in body)
    return [name for name in names if len({canonical([body[name]] if name in body else []) for body in bodies}) > 1]


def _with_fields(asked: _Asked, names: Sequence[str]) -> dict[str, Json]:
    if not names:
        return asked.when
    if not all(_PLAIN_NAME.fullmatch(name) for name in names):
        return {**asked.when, "body": {"$": wanted(asked.body)}}
    fields = {f"$.{name}": wanted(asked.body[name]) if name in asked.body else {"absent": True} for name in names}
    return {**asked.when, "body": {**asked.when.get("body", {}), **fields}}
