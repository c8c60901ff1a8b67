"""Answers that are computed: the built-in reply of each kind of operation, named by `answer:` in provider.yaml.

Each function takes a Turn and the session's exchanges, and returns the content of a reply or a whole body.
"""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import shake_256

from emulator.core.chat import canonical, compact, functions, last_text, tool_results
from emulator.core.draws import Draw
from emulator.core.errors import Json
from emulator.core.instance import CannotConform, instance
from emulator.core.provider import Model, Provider
from emulator.core.render import Turn, unit_vector
from emulator.core.tokens import count
from emulator.core.wire import Call, Exchange, Note

DIMENSIONS = 1536
MAX_DIMENSIONS = 8192

_OPENINGS = (
    "This is a built-in answer", "The emulator answers in the model's place", "No scenario was given for this request",
    "Here is a deterministic reply",
)  # fmt: skip
_CLOSINGS = (
    "The same request always gets the same answer, and another one gets another.",
    "Write a scenario to decide what is said here, how fast, and what goes wrong.",
    "Its words depend on nothing but the request and the seed, so tests can rely on them.",
    "Every parameter was checked against the documentation before this was said.",
)


# Chat


def builtin_message(turn: Turn, seed: int, body: Mapping[str, Json]) -> tuple[dict[str, Json], list[Note]]:
    """Answer with a fitting tool call, conforming JSON, or text. `body` has the documented defaults filled in."""
    said = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
    draw = Draw(seed, turn.operation.name, canonical(said))
    notes: list[Note] = []
    tool = _fitting_tool(turn, notes, draw) if turn.call.tools else None
    if tool:
        return {"tool_calls": [tool]}, notes
    asked = _schema_asked(body.get("response_format"))
    if asked is not None:
        try:
            return {"text": compact(instance(asked, draw))}, notes
        except CannotConform as error:
            notes.append(Note(None, "response_format", str(error)))
            return {"text": "{}"}, notes
    return {"text": _text(turn.call, draw)}, notes


def _text(call: Call, draw: Draw) -> str:
    opening = _OPENINGS[draw.below("opening", len(_OPENINGS))]
    closing = _CLOSINGS[draw.below("closing", len(_CLOSINGS))]
    results = tool_results(call.messages)
    about = f"“{_excerpt(last_text(call.messages, 'user') or '')}”"
    if results:
        about = f"{about}, with the result {_excerpt(results[-1]['content'])}"
    return f"{opening} ({draw.hex('mark', 6)}) to {about}. {closing}"


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"


def _fitting_tool(turn: Turn, notes: list[Note], draw: Draw) -> dict[str, Json] | None:
    """Choose the offered tool that the choice names, or whose words fit the last user message best."""
    choice = turn.call.body.get("tool_choice", "auto")
    if choice == "none" or tool_results(turn.call.messages):
        return None
    offered = functions(turn.call.body)
    if isinstance(choice, Mapping):
        wanted = choice.get("function", {})
        name = wanted.get("name") if isinstance(wanted, Mapping) else None
        offered = [item for item in offered if item["name"] == name] or offered
    words = set(words_of(last_text(turn.call.messages, "user") or ""))
    best = max(offered, key=lambda item: len(words & set(words_of(f"{item['name']} {item.get('description')}"))))
    try:
        arguments = instance(best.get("parameters") or {"type": "object"}, draw)
    except CannotConform as error:
        notes.append(Note(None, f"tools.{best['name']}", str(error)))
        arguments = {}
    return {"name": best["name"], "arguments": arguments}


def _schema_asked(asked: Json) -> Json:
    if not isinstance(asked, Mapping):
        return None
    if asked.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    wrapped = asked.get("json_schema")
    if asked.get("type") == "json_schema" and isinstance(wrapped, Mapping):
        return wrapped.get("schema", {"type": "object"})
    return None


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a text, names_with_parts taken apart."""
    return "".join(char.lower() if char.isalnum() else " " for char in text).split()


# Embeddings


def embedding_inputs(body: Mapping[str, Json]) -> list[str]:
    """Return each input as text; token numbers are written out."""
    given = body.get("input", "")
    if isinstance(given, list) and given and not all(isinstance(item, int) for item in given):
        return [item if isinstance(item, str) else compact(item) for item in given]
    return [given if isinstance(given, str) else compact(given)]


def vectors(inputs: Iterable[str], body: Mapping[str, Json], model: str) -> list[list[float]]:
    """Return a unit vector for each text: the same text and model, the same vector."""
    asked = body.get("dimensions")
    size = asked if isinstance(asked, int) and 0 < asked <= MAX_DIMENSIONS else DIMENSIONS
    return [_vector(f"{model}\x1f{text}", size) for text in inputs]


def _vector(text: str, size: int) -> list[float]:
    numbers = array.array("h", shake_256(text.encode()).digest(2 * size))
    return unit_vector(numbers)


def input_tokens(inputs: Iterable[str]) -> int:
    """Estimate the tokens of what is embedded."""
    return sum(count(text) for text in inputs)


# What a router knows of its models, and of the session's past


@dataclass(slots=True)
class _Tally:
    """How a model did at a task, or an owner as a whole."""

    good: int = 0
    bad: int = 0


def models(turn: Turn, past: Sequence[Exchange]) -> Json:
    """List the models with owner, window, pricing and capability scores."""
    return {"object": "list", "data": [_listed(turn, model) for model in turn.provider.models.values()]}


def _listed(turn: Turn, model: Model) -> dict[str, Json]:
    return {
        "id": model.id,
        "object": "model",
        "created": 1_767_225_600,
        "owned_by": model.owner,
        "provider": model.owner,
        "context_window": model.context_window,
        "pricing": model.pricing,
        "capabilities": model.capabilities,
    }


def recommendations(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Rank the models by the capability that the task's words ask for."""
    task = str(turn.call.body.get("task", ""))
    kind = task_of(turn.provider, task)
    capability = turn.provider.tasks[kind]["capability"]
    scored = [(model.capabilities.get(capability, 0.0), model.id) for model in _talkers(turn.provider)]
    best = sorted(scored, key=lambda item: (-item[0], item[1]))
    return {
        "task": task,
        "recommendations": [
            {"model": name, "score": score, "reason": f"{capability} is rated {score} ({kind})"} for score, name in best
        ],
    }


def rankings(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Draw each model's chance of success at each task from Beta(1 + good, 1 + bad): Thompson sampling."""
    tallies: dict[tuple[str, str], _Tally] = {}
    for task, model, good in _outcomes(turn.provider, past):
        tally = tallies.setdefault((task, model), _Tally())
        tally.good += good
        tally.bad += not good
    return {"rankings": {task: _ranking(turn, task, tallies) for task in turn.provider.tasks}}


def _ranking(turn: Turn, task: str, tallies: Mapping[tuple[str, str], _Tally]) -> list[dict[str, Json]]:
    rows = []
    for model in _talkers(turn.provider):
        tally = tallies.get((task, model.id), _Tally())
        score = turn.draw.random(f"{task}/{model.id}").betavariate(1 + tally.good, 1 + tally.bad)
        rows.append({"model": model.id, "score": round(score, 4), "samples": tally.good + tally.bad})
    return sorted(rows, key=lambda row: -row["score"])


def cost_forecast(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Price each task at the model that its capability per price favours; in US dollars."""
    asked = turn.call.body.get("tasks")
    asked = asked if isinstance(asked, list) else []
    tasks = [_forecast(turn.provider, item) for item in asked if isinstance(item, Mapping)]
    return {
        "strategy": turn.call.body.get("strategy", "combined"),
        "currency": "USD",
        "total_cost": round(sum(task["cost"] for task in tasks), 6),
        "tasks": tasks,
    }


def _forecast(provider: Provider, item: Mapping[str, Json]) -> dict[str, Json]:
    kind, tokens = str(item.get("type", "")), item.get("estimated_tokens", 0)
    tokens = tokens if isinstance(tokens, int | float) else 0
    entry = provider.tasks[kind if kind in provider.tasks else task_of(provider, kind)]
    share = entry["output_share"]
    cost_of = {model.id: _price(model, share) for model in _talkers(provider)}
    best = max(
        _talkers(provider),
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
    seen: dict[str, list[tuple[bool, float]]] = {model.owner: [] for model in _talkers(turn.provider)}
    for exchange in _chats(turn.provider, past):
        model = turn.provider.models.get(exchange.model)
        if model and model.owner in seen:
            seen[model.owner].append((exchange.timeline.status < 500, _duration(exchange)))
    return {"providers": [_health(owner, results) for owner, results in sorted(seen.items())]}


def _health(owner: str, results: Sequence[tuple[bool, float]]) -> dict[str, Json]:
    times = sorted(seconds * 1000 for _, seconds in results)
    failures = sum(not good for good, _ in results)
    return {
        "provider": owner,
        "latency_ms": {name: _percentile(times, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
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


def _percentile(times: Sequence[float], share: float) -> float:
    return round(times[max(0, math.ceil(share * len(times)) - 1)], 3) if times else 0.0


def patterns(turn: Turn, past: Sequence[Exchange]) -> Json:
    """Tell which models are used for which tasks: their share, and whether it grows."""
    used: dict[str, list[str]] = {}
    for task, model, _ in _outcomes(turn.provider, past):
        used.setdefault(task, []).append(model)
    return {"patterns": [row for task in sorted(used) for row in _patterns(task, used[task])]}


def _patterns(task: str, names: Sequence[str]) -> Iterator[dict[str, Json]]:
    recent = names[len(names) // 2 :]
    for name in sorted(set(names)):
        share, lately = names.count(name) / len(names), recent.count(name) / len(recent)
        trend = "rising" if lately > share else "falling" if lately < share else "steady"
        yield {"task": task, "model": name, "share": round(share, 4), "trend": trend}


def task_of(provider: Provider, text: str) -> str:
    """Return the task type whose words occur most often in a text; the first one where none does."""
    words = words_of(text)
    return max(provider.tasks, key=lambda name: sum(words.count(word) for word in provider.tasks[name]["words"]))


def _talkers(provider: Provider) -> list[Model]:
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


def _duration(exchange: Exchange) -> float:
    return exchange.sent.at if exchange.sent else exchange.timeline.end_at


ANSWERS: Mapping[str, Callable[[Turn, Sequence[Exchange]], Json]] = {
    "models": models,
    "recommendations": recommendations,
    "rankings": rankings,
    "cost_forecast": cost_forecast,
    "health": health,
    "patterns": patterns,
}
