"""A check of requests that belong together: what one answers, the next asks for by its id."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from emulator.contract.case_client import CaseClient
from emulator.contract.client import Answer
from emulator.contract.expectations import conform, pick, status_differs, whole
from emulator.core.errors import Json
from emulator.core.tree import change_texts

_HOLE = re.compile(r"\$\{(\d+)(?:\.([^}]+))?\}")


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
    if hole[2] is None:
        return _id(value)
    found = next(iter(pick(value, hole[2])), "")
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
