"""What OpenAI keeps of chats with `store`, and lists of what is kept, page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from independent.openai_requests import METADATA
from independent.openai_rules import Fields
from independent.shapes import missing, refuse
from independent.values import Json, Refused, Reply


def page(items: Sequence[Json], query: Mapping[str, str], order: str) -> Json:
    """Return a page of what is listed from the oldest; `order` where none is asked for. Raises: Refused."""
    if not re.fullmatch("[1-9][0-9]?|100", query.get("limit", "20")):
        raise refuse("invalid_value", "limit", "Invalid 'limit': from 1 to 100.")
    if query.get("order", order) not in ("asc", "desc"):
        raise refuse("invalid_value", "order", "Invalid 'order': asc or desc.")
    ordered = list(items if query.get("order", order) == "asc" else reversed(items))
    ids = [item["id"] for item in ordered]
    if query.get("after") is not None:
        if query["after"] not in ids:
            raise refuse(None, "after", "There is no such item.")
        ordered = ordered[ids.index(query["after"]) + 1 :]
    shown = ordered[: int(query.get("limit", "20"))]
    ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
    return {"object": "list", "data": shown, **ends, "has_more": len(shown) < len(ordered)}


@dataclass(slots=True)
class Chats:
    """The chat completions of one endpoint that were to be kept, each with its messages."""

    kept: dict[str, tuple[Json, list[Json]]] = field(default_factory=dict)

    def keep(self, fields: Fields, reply: Reply) -> Reply:
        """Keep a whole answer, if that was asked for."""
        if fields.get("store") and isinstance(reply.body, dict):
            body = {**reply.body, "metadata": fields.get("metadata") or {}}
            self.kept[body["id"]] = body, fields["messages"]
            return Reply(200, body)
        return reply

    def list(self, query: Mapping[str, str]) -> Reply:
        wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
        found = [
            body for body, _ in self.kept.values()
            if wanted.items() <= body["metadata"].items() and query.get("model", body["model"]) == body["model"]
        ]  # fmt: skip
        return Reply(200, page(found, query, "asc"))

    def show(self, name: str) -> Reply:
        return Reply(200, self._found(name)[0])

    def update(self, name: str, fields: Fields) -> Reply:
        body, messages = self._found(name)
        if "metadata" not in fields:
            raise missing("metadata")
        METADATA(fields["metadata"], "metadata")
        self.kept[name] = {**body, "metadata": fields["metadata"]}, messages
        return Reply(200, self.kept[name][0])

    def forget(self, name: str) -> Reply:
        self._found(name)
        del self.kept[name]
        return Reply(200, {"object": "chat.completion.deleted", "id": name, "deleted": True})

    def messages(self, name: str, query: Mapping[str, str]) -> Reply:
        asked = self._found(name)[1]
        items = [{"id": f"{name}-{index}", "content": None, **message} for index, message in enumerate(asked)]
        return Reply(200, page(items, query, "asc"))

    def _found(self, name: str) -> tuple[Json, list[Json]]:
        if name not in self.kept:
            raise Refused(404, f"Chat completion '{name}' not found.")
        return self.kept[name]
