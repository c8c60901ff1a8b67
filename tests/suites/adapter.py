"""Stand before the emulator and make the sample requests of OpenAI's own SDK tests lawful.

Those tests are made for a server that answers anything: they ask for ids that nobody made, name no model, and send all
parameters at once. What is changed stands in the tables, with the reason; each change is printed once.

    python tests/suites/adapter.py 4011 http://127.0.0.1:4010/openai/v1
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = {"authorization": "Bearer sk-any", "content-type": "application/json"}
#: Its message is the assistant's: the SDKs know no other role of a message that is stored.
CHAT = {"model": "gpt-4o", "messages": [{"role": "assistant", "content": "Hi."}], "store": True}
ASKED = {"model": "gpt-4o", "input": "Hi."}
#: What makes the id that a path asks for: where, and with what. Only such a response is cancelled or streamed again.
MADE: dict[str, tuple[str, Any]] = {
    r"\w+ /responses/(?!input_tokens|compact)([^/]+)": ("/responses", {**ASKED, "background": True, "stream": True}),
    r"\w+ /chat/completions/([^/]+)": ("/chat/completions", CHAT),
}
#: The model that they delete.
TUNED = {"emulator": 1, "unmatched": "built-in", "models": ["ft:gpt-4o-mini:acemeco:suffix:abc123"], "rules": []}

ANY, DROP = object(), object()
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
NEW = "younger than the facts"
#: What is changed in a body or a query: where, which value, what stands for it, why.
EDITS: dict[str, list[tuple[str, Any, Any, str]]] = {
    r"POST /chat/completions$": [
        ("model", "gpt-6-astra", "gpt-4o", "takes no tools"),
        ("model", "gpt-5.4", "gpt-4o", "takes no max_tokens"),
        ("max_tokens", 0, DROP, "not with max_completion_tokens"),
        ("max_completion_tokens", 0, 16, "at least 1"),
        ("prediction", ANY, DROP, "not with tools"),
        ("web_search_options", ANY, DROP, "only with a search model"),
        ("tools.0.function.parameters", {"foo": "bar"}, SCHEMA, "strict, so the schema of an object"),
        ("functions.0.parameters", {"foo": "bar"}, SCHEMA, "the schema of an object"),
    ],
    r"POST /responses(/compact|/input_tokens)?$": [
        ("model", "model", "gpt-5.4", "no such model"),
        ("model", "gpt-6-astra", "gpt-5.4", "takes no reasoning of none"),
        ("conversation", ANY, DROP, "not with previous_response_id"),
        ("context_management.0.type", "type", "compaction", "no such type"),
        ("tools.0.parameters", {"foo": "bar"}, SCHEMA, "strict, so the schema of an object"),
        ("tools.0.async", ANY, DROP, NEW),
        ("access_programs", ANY, DROP, NEW),
        ("background_options", ANY, DROP, NEW),
        ("image", ANY, DROP, NEW),
        ("personality", ANY, DROP, NEW),
        ("prompt_cache_options.comparison_response_id", ANY, DROP, NEW),
        ("prompt_cache_options.prewarm", ANY, DROP, NEW),
    ],
    r"POST /completions$": [("best_of", 0, DROP, "no less than n")],
    r"GET ": [("limit", "0", "1", "at least 1"), ("after", "after", DROP, "no such id")],
}


def edited(path: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Change the fields of a body or of a query to what may be sent to a path."""
    for pattern, edits in EDITS.items():
        for where, value, other, why in edits if re.match(pattern, path) else []:
            *above, last = where.split(".")
            place: Any = fields
            for name in above:
                place = place[int(name)] if isinstance(place, list) else place.get(name, {})
            if last in place and value in (ANY, place[last]):
                tell(f"{pattern}: {where}: {why}")
                place.pop(last)
                place.update({} if other is DROP else {last: other})
    if not fields.get("stream"):  # which alone has options
        fields.pop("stream_options", None)
    return fields


def tell(line: str, told: set[str] = set()) -> None:  # noqa: B006
    """Print a line, once."""
    if line not in told:
        print(line, flush=True)
    told.add(line)


def main(port: int, upstream: str) -> None:
    """Serve at a port what the emulator at a base URL answers."""
    client = httpx2.AsyncClient(timeout=30, headers=KEY)
    root = upstream.removesuffix("/openai/v1")
    httpx2.put(f"{root}/_emulator/sessions/default/scenario", json={"scenario": TUNED}).raise_for_status()

    async def make(where: str, body: Any) -> str:
        answer = await client.post(upstream + where, json=body)
        return re.findall(r'"id":"((?:resp_|chatcmpl-)\w+)"', answer.text)[0]

    async def relay(request: Request) -> Response:
        path = f"{request.method} {request.url.path}"
        body = json.loads(await request.body() or "null")
        if path == "POST /responses":
            body = {"model": "gpt-5.4", **body}
        if body and "previous_response_id" in body:
            body["previous_response_id"] = await make("/responses", ASKED)
        for pattern, (where, asked) in MADE.items():
            if found := re.match(pattern, path):
                path = path[: found.start(1)] + await make(where, asked) + path[found.end(1) :]
                break
        method, _, target = path.partition(" ")
        answer = await client.request(
            method, upstream + target, params=edited(path, dict(request.query_params)),
            content=json.dumps(edited(path, body)) if isinstance(body, dict) else None,
        )  # fmt: skip
        kind = answer.headers.get("content-type", "application/json")
        return Response(answer.content, answer.status_code, {"content-type": kind})

    routes = [Route("/{path:path}", relay, methods=["GET", "POST", "DELETE"])]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
