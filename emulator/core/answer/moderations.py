"""Moderations: scores by category for each input. Nothing is flagged: a scenario says what is, with its own reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emulator.core.answer.render import Rendered, Turn, render_id, render_json
from emulator.core.errors import Json, Refusal, Violation
from emulator.core.scenario.scenario import Reply
from emulator.core.seeded_random import Draw
from emulator.core.tokens import count

#: A score is at most so large: what is judged harmless.
LARGEST = 0.01


#: How many inputs a request may have: a bound of ours, so that others have their turn.
MAX_INPUTS = 5_000


def check_judged(body: Mapping[str, Json]) -> None:
    """Raises: Refusal invalid_request, for too many inputs."""
    given = body.get("input")
    if isinstance(given, list) and len(given) > MAX_INPUTS:
        message = f"must have at most {MAX_INPUTS} items, not {len(given)} (a bound of the emulator's, assumed)"
        raise Refusal("invalid_request", details=[Violation("input", message)])


class Judged(NamedTuple):
    """What one result is about: a text, and the types of what was sent."""

    text: str
    types: frozenset[str] = frozenset(("text",))


def render_moderation(turn: Turn, reply: Reply) -> Rendered:
    """Render a result for each input: the same seed and text, the same scores."""
    judged = judged_inputs(turn.call.body)
    results = [_result(turn.operation.categories, Draw(turn.seed, turn.model, item.text), item) for item in judged]
    ident = render_id(turn.operation, "response", turn.draw, turn.at)
    body = {"id": ident, "model": turn.model, "results": results}
    return Rendered(render_json(turn, body, reply), None, sum(count(item.text) for item in judged))


def judged_inputs(body: Mapping[str, Json]) -> list[Judged]:
    """Return what each result is about: a text each, or all parts of one input together."""
    given = body.get("input", "")
    if not isinstance(given, list):
        return [Judged(str(given))]
    if given and isinstance(given[0], Mapping):  # parts: a text says itself, all else is known by its type and content
        parts = [part for part in given if isinstance(part, Mapping)]
        types = frozenset("text" if "text" in part else "image" for part in parts)
        return [Judged("\n".join(str(part.get("text", part)) for part in parts), types)]
    return [Judged(str(item)) for item in given]


def _result(categories: Mapping[str, Sequence[str]], draw: Draw, judged: Judged) -> dict[str, Json]:
    """Judge an input; where nothing of it is of a type that a category looks at, its score is 0."""
    applied = {name: [kind for kind in kinds if kind in judged.types] for name, kinds in categories.items()}
    return {
        "flagged": False,
        "categories": dict.fromkeys(categories, False),
        "category_scores": {name: draw.uniform(name) * LARGEST if kinds else 0 for name, kinds in applied.items()},
        "category_applied_input_types": applied,
    }
