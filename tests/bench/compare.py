"""What mocks do with requests that OpenAI's reference rules out, each asked over a socket.

`python -m tests.bench.compare --aimock COMMAND --llmock COMMAND` prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.servers import QUESTION, Server, aimock, llmock, ours, write_scenario

USER = {"role": "user", "content": QUESTION}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOD: Mapping[str, Any] = {"model": "gpt-4o", "messages": [USER]}
#: Each is refused by the API, as its reference says.
WRONG: Mapping[str, Mapping[str, Any]] = {
    "temperature of 3": {"temperature": 3},
    "top_p of 2": {"top_p": 2},
    "presence_penalty of 5": {"presence_penalty": 5},
    "no choices": {"n": 0},
    "max_tokens in words": {"max_tokens": "ten"},
    "no messages": {"messages": []},
    "a role that there is not": {"messages": [{"role": "robot", "content": "x"}]},
    "a user's message without content": {"messages": [{"role": "user"}]},
    "a tool's message without a call": {"messages": [USER, {"role": "tool", "tool_call_id": "c9", "content": "x"}]},
    "a call without its answer": {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}, USER]},
    "tool_choice without tools": {"tool_choice": "required"},
    "a function's name with a space": {"tools": [{"type": "function", "function": {"name": "a b"}}]},
    "stream_options without stream": {"stream_options": {"include_usage": True}},
    "top_logprobs without logprobs": {"top_logprobs": 2},
    "json_object without the word": {"response_format": {"type": "json_object"}},
    "no model": {"model": None},
    "a model that there is not": {"model": "gpt-9"},
}


def status_of(url: str, body: Mapping[str, Any]) -> int:
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"authorization": "Bearer any-key", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(given).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def asked(server: Server) -> dict[str, int]:
    """Return the status that each wrong request gets, and a good one that nothing was scripted for."""
    assert status_of(server.url, GOOD) == 200, server
    found = {name: status_of(server.url, {**GOOD, **fields}) for name, fields in WRONG.items()}
    return found | {"unmatched": status_of(server.url, {**GOOD, "messages": [{"role": "user", "content": "Else."}]})}


@contextlib.contextmanager
def started(options: argparse.Namespace) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [stack.enter_context(ours(folder, write_scenario(folder / "s.yaml"), "--provider", "openai"))]
        if options.aimock:
            servers.append(stack.enter_context(aimock(options.aimock, folder)))
        if options.llmock:
            servers.append(stack.enter_context(llmock(options.llmock, folder)))
        yield servers


def main() -> None:
    """Print a table in Markdown: a row for each request, a column for each mock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aimock", metavar="CMD")
    parser.add_argument("--llmock", metavar="CMD")
    with started(parser.parse_args()) as servers:
        columns = {f"{server.name} {server.version}".strip(): asked(server) for server in servers}
    print("| request |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for name in (*WRONG, "unmatched"):
        print(f"| {name} |", " | ".join(str(statuses[name]) for statuses in columns.values()), "|")
    refused = {name: sum(400 <= statuses[key] < 500 for key in WRONG) for name, statuses in columns.items()}
    print(f"| refused, of {len(WRONG)} |", " | ".join(map(str, refused.values())), "|")


if __name__ == "__main__":
    main()
