"""Answers that are computed: of what a router knows of its models and of the session's past, and moderations.

Each function takes a Turn and the session's exchanges, and returns a whole body; `kind:` in provider.yaml names it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from emulator.core.answer.render import Rendered, Turn, render_id, render_json
from emulator.core.answer.stored import page_of
from emulator.core.durations import whole_number
from emulator.core.errors import Json, Refusal, Violation
from emulator.core.provider.holes import fill
from emulator.core.provider.model import Model, model_values
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Reply
from emulator.core.seeded_random import Draw
from emulator.core.tokens import count
from emulator.core.values import Exchange
from emulator.core.wires.request.conversation import last_text, words_of


def models(turn: Turn, past: Sequence[Exchange]) -> Json:
    """List the models, each as the provider's entry has it; where the operation has a body, a page of them."""
    entry = turn.operation.entry or turn.provider.model_entry
    found = [model for model in turn.provider.models.values() if model.listed]
    items = [fill(entry, model_values(model)) for model in found]
    if turn.operation.body is None:
        return {"object": "list", "data": items}
    asked = {**turn.defaults, **turn.call.body}
    return fill(turn.operation.body, page(items, [model.id for model in found], asked, turn.operation.page))


def page(
    items: Sequence[Json], ids: Sequence[Json], asked: Mapping[str, Json], names: Mapping[str, str]
) -> dict[str, Json]:
    """Return what fills the holes of a page; `names` are the parameters `limit`, `after`, and of some lists `before`.

    An id that is not in the list is passed over.
    """
    limit = whole_number(str(asked.get(names.get("limit", ""), "")))
    most = len(items) if limit is None else limit
    after, before = asked.get(names.get("after", "")), asked.get(names.get("before", ""))
    if before in ids and after not in ids:
        end = ids.index(before)
        begin, more = max(0, end - most), end > most
    else:
        begin = ids.index(after) + 1 if after in ids else 0
        end = min(len(items), begin + most)
        more = end < len(items)
    return page_of(list(items[begin:end]), ids[begin:end], more)


def recommendations(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Rank the models by the capability that the task's words ask for."""
    task = str(turn.call.body.get("task", ""))
    kind = task_of(turn.provider, task)
    capability = turn.provider.tasks[kind]["capability"]
    scored = [(model.capabilities.get(capability, 0.0), model.id) for model in _clients(turn.provider)]
    best = sorted(scored, key=lambda item: (-item[0], item[1]))
    why = f"{capability} is rated"
    ranked = [{"model": name, "score": score, "reason": f"{why} {score} ({kind})"} for score, name in best]
    return {"task": task, "recommendations": ranked}


def rankings(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Draw each model's chance of success at each task from Beta(1 + good, 1 + bad): Thompson sampling."""
    seen = Counter(_outcomes(turn.provider, past))
    return {"rankings": {task: _ranking(turn, task, seen) for task in turn.provider.tasks}}


def _ranking(turn: Turn, task: str, seen: Counter[tuple[str, str, bool]]) -> list[dict[str, Json]]:
    rows = []
    for model in _clients(turn.provider):
        good, bad = seen[task, model.id, True], seen[task, model.id, False]
        score = turn.draw.random(f"{task}/{model.id}").betavariate(1 + good, 1 + bad)
        rows.append({"model": model.id, "score": round(score, 4), "samples": good + bad})
    return sorted(rows, key=lambda row: -row["score"])


def cost_forecast(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Price each task at the model that its capability per price favours; in US dollars."""
    asked = turn.call.body.get("tasks")
    asked = asked if isinstance(asked, list) else []
    tasks = [_forecast(turn.provider, item) for item in asked if isinstance(item, Mapping)]
    return {
        "strategy": turn.call.body.get("strategy") or "combined",
        "currency": "USD",
        "total_cost": round(sum(task["cost"] for task in tasks), 6),
        "tasks": tasks,
    }


def _forecast(provider: Provider, item: Mapping[str, Json]) -> dict[str, Json]:
    kind, tokens = str(item.get("type", "")), item.get("estimated_tokens", 0)
    tokens = tokens if isinstance(tokens, int | float) else 0
    entry = provider.tasks[kind if kind in provider.tasks else task_of(provider, kind)]
    share = entry["output_share"]
    cost_of = {model.id: _price(model, share) for model in _clients(provider)}
    best = max(
        _clients(provider),
        key=lambda model: (model.capabilities.get(entry["capability"], 0.0) / (1 + cost_of[model.id]), model.id),
    )
    return {
        "type": kind, "estimated_tokens": tokens, "model": best.id, "cost": round(tokens * cost_of[best.id] / 1e6, 6),
    }  # fmt: skip


def _price(model: Model, share: float) -> float:
    """Return the price of a million tokens of which `share` are output."""
    given = model.pricing
    return given.get("input_per_million", 0.0) * (1 - share) + given.get("output_per_million", 0.0) * share


def health(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Report each owner's latency in milliseconds, error rate and breaker, counted from the session."""
    seen: dict[str, list[tuple[bool, float]]] = {model.owner: [] for model in _clients(turn.provider)}
    for exchange in _chats(turn.provider, past):
        model = turn.provider.models.get(exchange.model)
        if model and model.owner in seen:
            seconds = exchange.sent.at if exchange.sent else exchange.timeline.end_at
            seen[model.owner].append((exchange.timeline.status < 500, seconds))
    return {"providers": [_health(owner, results) for owner, results in sorted(seen.items())]}


def _health(owner: str, results: Sequence[tuple[bool, float]]) -> dict[str, Json]:
    times = sorted(seconds * 1000 for _, seconds in results)
    last = {name: math.ceil(share * len(times)) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    failures = sum(not good for good, _ in results)
    return {
        "provider": owner,
        "latency_ms": {name: round(times[max(0, n - 1)], 3) if times else 0.0 for name, n in last.items()},
        "error_rate": round(failures / len(results), 4) if results else 0.0,
        "circuit_breaker": _breaker([good for good, _ in results]),
    }


def _breaker(results: Sequence[bool]) -> str:
    """Open after five failures in a row; half open when the last of at least one open spell succeeded once."""
    streak, opened = 0, False
    state = "closed"
    for good in results:
        streak = 0 if good else streak + 1
        if streak >= 5:
            state, opened = "open", True
        elif good:
            state = "half_open" if opened else "closed"
            opened = False
    return state


def patterns(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Tell which models are used for which tasks: their share, and whether it grows."""
    used: dict[str, list[str]] = {}
    for task, model, _ in _outcomes(turn.provider, past):
        used.setdefault(task, []).append(model)
    return {"patterns": [row for task in sorted(used) for row in _patterns(task, used[task])]}


def _patterns(task: str, names: Sequence[str]) -> Iterator[dict[str, Json]]:
    recent = names[len(names) // 2 :]
    whole, late = Counter(names), Counter(recent)
    for name in sorted(whole):
        share, lately = whole[name] / len(names), late[name] / len(recent)
        trend = "rising" if lately > share else "falling" if lately < share else "steady"
        yield {"task": task, "model": name, "share": round(share, 4), "trend": trend}


def task_of(provider: Provider, text: str) -> str:
    """Return the task type whose words occur most often in a text; the first one where none does."""
    words = Counter(words_of(text))
    return max(provider.tasks, key=lambda name: sum(words[word] for word in provider.tasks[name]["words"]))


def _clients(provider: Provider) -> list[Model]:
    return [model for model in provider.models.values() if not model.embedding]


def _chats(provider: Provider, past: Iterable[Exchange]) -> Iterator[Exchange]:
    """Yield the exchanges in which a model of the provider was reached: answered, or failed on its side."""
    for exchange in past:
        if exchange.claim.call and exchange.claim.provider == provider.name and exchange.claim.call.messages:
            status = exchange.timeline.status
            if status < 300 or status >= 500:
                yield exchange


def _outcomes(provider: Provider, past: Iterable[Exchange]) -> Iterator[tuple[str, str, bool]]:
    for exchange in _chats(provider, past):
        call = exchange.claim.call
        text = last_text(call.messages, "user") if call else None
        yield task_of(provider, text or ""), exchange.model, exchange.timeline.status < 300


#: Those that look at the past.
LOOK_BACK = frozenset(("rankings", "health", "patterns"))
ANSWERS: Mapping[str, Callable[[Turn, Sequence[Exchange]], Json]] = {
    "models": models,
    "recommendations": recommendations,
    "rankings": rankings,
    "cost_forecast": cost_forecast,
    "health": health,
    "patterns": patterns,
}


# Moderations: scores by category for each input. Nothing is flagged: a scenario says what is, with its own reply

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
