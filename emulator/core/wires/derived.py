"""Holes that follow from other values of an answer: what was said aloud, its time in RFC 3339, how long it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.core.durations import time_text
from emulator.core.errors import Json

#: Text and refusal together: what an answer says aloud, where it has one field for both.
ALOUD = "said"
#: Assumed, in nanoseconds: how long a model takes to be loaded, for a token of the prompt, and for one of the answer.
_LOAD, _PROMPT, _ANSWER = 1_000_000, 1_000_000, 10_000_000

Scope = Mapping[str, Json]
DERIVED: Mapping[str, Callable[[Scope], Json]] = {
    ALOUD: lambda scope: (scope["text"] or "") + (scope["refusal"] or ""),
    "created_at": lambda scope: time_text(scope["created"]),
    "took.load": lambda scope: _LOAD if scope["usage"] else None,
    "took.prompt": lambda scope: _took(scope, "input", _PROMPT),
    "took.answer": lambda scope: _took(scope, "output", _ANSWER),
    "took.total": lambda scope: (
        _LOAD + _took(scope, "input", _PROMPT) + _took(scope, "output", _ANSWER) if scope["usage"] else None
    ),
}


def _took(scope: Scope, name: str, each: int) -> Json:
    """Return how long tokens took; nothing, where usage is not told."""
    usage = scope["usage"]
    return usage[name] * each if usage else None
