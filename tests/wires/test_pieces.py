"""Faults that count pieces strike at the same place on every wire; each keeps a connection in its own form."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from build import EngineSession, chat, make_session

from emulator.core.wires.completion import Completion
from emulator.core.wires.sse import payload

WIRES = {"openai": "openai-chat", "anthropic": "anthropic-messages"}
REPLY: dict[str, Any] = {"text": "One two three four.", "stream": {"split": "words", "itl": "10s"}}


def struck(provider: str, fault: dict[str, Any]) -> tuple[EngineSession, Any]:
    live = make_session({"rules": [{"reply": {**REPLY, "faults": [fault]}}]})
    return live, live.send(provider, chat(provider, stream=True))


def heard(provider: str, live: EngineSession, exchange: Any) -> Completion:
    """Return what a client reads of the events that are whole JSON."""
    wire = live.engine.providers[provider].operations["chat"].wire
    assert wire
    data = [payload(frame.data) for frame in exchange.timeline.frames if frame.kind == "data"]
    return wire.read_events([orjson.loads(item) for item in data if item.decode() not in wire.texts])


SAID = {
    "cut": ({"cut": {"after_pieces": 2}}, "One two"),
    "cut-before-all": ({"cut": {"after_pieces": 0}}, None),
    "error": ({"error_event": {"error": "server_error", "after_pieces": 3}}, "One two three"),
    "stall": ({"stall": {"after_pieces": 1, "for": "5s"}}, "One two three four."),
    "duplicate": ({"duplicate": {"piece": 2}}, "One two two three four."),
}


@pytest.mark.parametrize("provider", WIRES)
@pytest.mark.parametrize(("fault", "text"), SAID.values(), ids=SAID)
def test_pieces_are_counted_alike(provider: str, fault: dict[str, Any], text: str | None) -> None:
    live, exchange = struck(provider, fault)
    assert heard(provider, live, exchange).text() == text
    assert exchange.timeline.faults == tuple(fault)


@pytest.mark.parametrize("provider", WIRES)
def test_a_piece_that_there_is_not_is_nothing_to_act_on(provider: str) -> None:
    _, exchange = struck(provider, {"cut": {"after_pieces": 5}})
    assert (exchange.timeline.faults, exchange.notes[-1].message) == ((), "the fault cut had nothing to act on here")


KEPT = {"openai": b": keep-alive\n\n", "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n'}


@pytest.mark.parametrize(("provider", "data"), KEPT.items(), ids=KEPT)
def test_a_connection_is_kept_in_the_form_of_the_api(provider: str, data: bytes) -> None:
    _, exchange = struck(provider, {"comment": {"every": "4s"}})
    kept = [frame.data for frame in exchange.timeline.frames if frame.kind == "comment"]
    assert (len(kept) > 3, set(kept)) == (True, {data})
