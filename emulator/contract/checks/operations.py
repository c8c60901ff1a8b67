"""Checks of operations beside chat: listings, embeddings, figures of what was asked before, and requests in turn."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from emulator.contract.case_client import CaseClient, Changes
from emulator.contract.client import Answer
from emulator.contract.expectations import conform, demand, equal, first, hold, pick, status_differs, whole
from emulator.core.errors import Json
from emulator.core.tree import change_texts

_MANY = 1e100
_HOLE = re.compile(r"\$\{(\d+)(?:\.([^}]+))?\}")


def operation(
    client: CaseClient,
    *,
    method: str,
    path: str,
    schema: Json,
    body: Json = None,
    sums: Mapping[str, str] | None = None,
    ascending: Sequence[Sequence[str]] = (),
    best_first: str | None = None,
) -> None:
    """An operation answers in this shape; `sums` are sums of others, numbers ascend, lists go by score."""
    answer = client.send(method, path) if body is None else client.post(path, body)
    value = whole(answer, f"{method} {path}")
    conform(answer, value, schema, f"{method} {path}:")
    for total, parts in (sums or {}).items():
        expected = sum(_numbers(value, parts))
        actual = demand(answer, value, total, (int, float))
        near = math.isclose(expected, actual, rel_tol=1e-6, abs_tol=1e-6)
        hold(answer, f"{total} is the sum of {parts}", near, expected, actual)
    for paths in ascending:
        for row in zip(*(_numbers(value, path) for path in paths), strict=False):
            hold(answer, " <= ".join(paths), list(row) == sorted(row), sorted(row), list(row))
    for items in pick(value, best_first) if best_first else ():
        scores = _numbers(items, "*.score")
        equal(answer, f"{best_first} has the best first", sorted(scores, reverse=True), scores)


def _numbers(value: Json, path: str) -> list[float]:
    return [item for item in pick(value, path) if isinstance(item, int | float) and abs(item) < _MANY]


def scales(client: CaseClient, *, path: str, body: Json, double: Json, at: str) -> None:
    """What is asked for twice over costs more, and no more than about twice as much."""
    once, twice = (client.post(path, item) for item in (body, double))
    first = demand(once, whole(once), at, (int, float))
    second = demand(twice, whole(twice), at, (int, float))
    hold(twice, f"{at} grows with what is asked", first < second <= 2.01 * first, f"up to {2 * first}", second)


def moves(
    client: CaseClient,
    *,
    path: str,
    each: str,
    where: Changes,
    number: str,
    changes: Changes,
    error: str | None = None,
    times: int = 3,
) -> None:
    """A number of the items `where` holds for grows with chat requests, or with those that meet an error."""
    start, _ = _figure(client, path, each, where, number)
    if error:
        client.session.answer({"error": error})
    for _ in range(times):
        client.chat(changes)
    end, after = _figure(client, path, each, where, number)
    hold(after, f"{each}.{number} grows with the requests", end > start, f"> {start}", end)


def _figure(client: CaseClient, path: str, each: str, where: Changes, number: str) -> tuple[float, Answer]:
    answer = client.send("GET", path)
    items = [item for item in pick(whole(answer, f"GET {path}"), each) if isinstance(item, Mapping)]
    chosen = [item for item in items if all(item.get(name) == value for name, value in where.items())]
    return sum(_numbers(chosen, f"*.{number}")), answer


def embeddings(client: CaseClient, *, path: str, model: str, schema: Json, texts: Sequence[str]) -> None:
    """One vector for a string, one for each of a list, by index; the same text gets the same vector."""
    answer = client.post(path, {"model": model, "input": texts[0]})
    conform(answer, whole(answer, f"POST {path}"), schema, "the answer's")
    chosen = demand(answer, answer.json, "model", str)
    hold(answer, f"the answer to {model} names the model chosen", chosen != model, "a model's id", chosen)
    single = _vectors(answer, 1)[0]
    many = client.post(path, {"model": model, "input": list(texts)})
    conform(many, whole(many, f"POST {path}"), schema, "the answer's")
    vectors = _vectors(many, len(texts))
    equal(many, "the items are in order", list(range(len(texts))), pick(many.json, "data.*.index"))
    hold(many, "the same text has the same vector", _alike(single, vectors[0]), "the same", "another")
    hold(many, "another text has another vector", not _alike(single, vectors[1]), "another", "the same")


def _vectors(answer: Answer, count: int) -> list[list[float]]:
    items: list[Json] = pick(answer.json, "data.*")
    equal(answer, "each input has a vector", count, len(items))
    vectors = [_numbers(item, "embedding.*") for item in items]
    lengths = {len(vector) for vector in vectors}
    one_length = len(lengths) == 1 and 0 not in lengths
    hold(answer, "all vectors are of one length", one_length, "one length", sorted(lengths))
    return vectors


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether two vectors point the same way; a model may round differently from call to call."""
    size = sum(a * a for a in one) * sum(b * b for b in other)
    product = sum(a * b for a, b in zip(one, other, strict=False))
    return len(one) == len(other) and size > 0 and product / size**0.5 > 0.999


def sequence(
    client: CaseClient, *, steps: Sequence[Mapping[str, Json]], reply: Mapping[str, Json] | None = None
) -> None:
    """Requests in turn, each answered with this status and shape.

    ${0} is the id that the first of them got, ${0.output.0.id} what else its answer says. The shape of a stream is that
    of the list of its events' data.
    """
    if reply:
        client.session.answer(reply)
    answers: list[Json] = []
    for step in steps:
        asked = change_texts(dict(step), lambda text: _HOLE.sub(lambda hole: _told(answers, hole), text))
        body = json.dumps(asked["body"]).encode() if "body" in asked else b""
        answer = client.send(asked["method"], asked["path"], body)
        what = f"{step['method']} {step['path']}"
        status = step.get("status", 200)
        if answer.status != status:
            raise status_differs(answer, str(status), f"{what} is answered with", status)
        value = _said(answer, what)
        conform(answer, value, step.get("schema", True), f"{what}: the answer's")
        answers.append(value)


def _told(answers: Sequence[Json], hole: re.Match[str]) -> str:
    """Return what a hole stands for; nothing, where an answer does not say it."""
    value = answers[int(hole[1])]
    found = _id(value) if hole[2] is None else first(value, hole[2])
    return found if isinstance(found, str) else ""


def _said(answer: Answer, what: str) -> Json:
    """Return the object of an answer, whatever an error has, or the data of a stream's events. Raises: Differs."""
    if answer.events is None:
        return whole(answer, what) if answer.status == 200 else answer.json
    return [event.json for event in answer.events or () if isinstance(event.json, dict)]


def _id(value: Json) -> str:
    """Return the id of an answer: of a stream, of what its first event holds."""
    if isinstance(value, list):
        found = [item for event in value[:1] for item in (event, *event.values()) if isinstance(item, Mapping)]
        return next((item["id"] for item in found if isinstance(item.get("id"), str)), "")
    return value["id"] if isinstance(value, dict) and isinstance(value.get("id"), str) else ""
