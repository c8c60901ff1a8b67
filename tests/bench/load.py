"""Load: wrk against several targets in alternating rounds, after each target's answer was checked once."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench.servers import QUESTION, TEXT

CONNECTIONS = 32
LONGEST_S = 16
CHUNKS = 60  # the role, 58 words, the finish; `[DONE]` is not counted
HEADERS = {"Authorization": "Bearer any-key", "Content-Type": "application/json"}
#: What a chat request of each provider has beside its messages.
PROVIDERS: dict[str, dict[str, object]] = {
    "beatra": {"model": "auto"},
    "braintwin": {"model": "gpt-4", "max_tokens": 200},
    "brainstormrouter": {"model": "auto"},
    "brivionix": {"model": "gpt-5.4-mini"},
    "openai": {"model": "gpt-4o"},
}
SCRIPT = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('{{"requests": %d, "microseconds": %d, "failed": %d}}\\n',
    summary.requests, summary.duration, failed))
end
"""


#: Makes each request another: a word at the end of the system message, of as many letters each time.
VARIED = """\
local number = 0
local before, after = wrk.body:match("^(.*)VARIED(.*)$")
request = function()
  number = number + 1
  return wrk.format("POST", nil, nil, before .. string.format("%06d", number) .. after)
end
"""


class WrongAnswer(Exception):
    """An answer that is not the one to be measured."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, and its body."""

    name: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, the body put together."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    @property
    def own_headers(self) -> list[tuple[str, str]]:
        """The headers without those that an HTTP server adds by itself."""
        return [(name, value) for name, value in self.headers if name not in ("date", "transfer-encoding")]

    @property
    def events(self) -> list[str]:
        return [line.removeprefix("data: ") for line in self.body.split("\n") if line.startswith("data: ")]

    @property
    def text(self) -> str:
        if not self.events:
            whole = json.loads(self.body)
            return str(_said(whole["output"][0]) if "output" in whole else whole["choices"][0]["message"]["content"])
        chunks = [json.loads(event) for event in self.events if event != "[DONE]"]
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def _said(item: dict[str, Any]) -> str:
    """Return the text of an item of a Response."""
    return str(item["content"][0]["text"])


def responses() -> str:
    """Return the body of a request for a Response."""
    return json.dumps({**PROVIDERS["openai"], "input": QUESTION})


def chat(provider: str = "beatra", stream: bool = False, question: str = QUESTION, varied: bool = False) -> str:
    """Return the body of a chat request; `varied` has a place for what makes each one another."""
    more = {"stream": True} if stream else {}
    system = [{"role": "system", "content": "You are number VARIED."}] if varied else []
    messages = [*system, {"role": "user", "content": question}]
    return json.dumps({**PROVIDERS[provider], "messages": messages, **more})


def ask(target: Target) -> Answer:
    """Send one plain request."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("POST", parts.path, target.body, HEADERS)
        response = connection.getresponse()
        body = response.read().decode()
        return Answer(response.status, tuple(response.getheaders()), body)
    finally:
        connection.close()


def check(target: Target) -> Answer:
    """Return a target's answer, which must be the scripted one: status, text, and how a stream is cut.

    Raises: WrongAnswer.
    """
    answer = ask(target)
    events = CHUNKS + 1 if '"stream"' in target.body else 0
    if answer.status != 200 or answer.text != TEXT or len(answer.events) != events:
        raise WrongAnswer(f"{target.name} answered {answer.status}, {len(answer.events)} events: {answer.body[:500]}")
    return answer


def rounds(targets: Sequence[Target], count: int, seconds: int, folder: Path) -> dict[str, list[float]]:
    """Return the requests a second of each target in each round; the targets take turns."""
    measured: dict[str, list[float]] = {target.name: [] for target in targets}
    for target in targets:
        check(target)
        wrk(target, 1, folder)
    for number in range(count):
        for target in targets[:: -1 if number % 2 else 1]:
            measured[target.name].append(wrk(target, seconds, folder))
    return measured


def wrk(target: Target, seconds: int, folder: Path) -> float:
    """Return the requests a second of one round; none may fail."""
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items())
    script = folder / "load.lua"
    varied = VARIED if "VARIED" in target.body else ""
    script.write_text(SCRIPT.format(body=target.body, headers=headers) + varied)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), target.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = json.loads(printed.rstrip().splitlines()[-1])
    assert not result["failed"], f"{result['failed']} requests to {target.name} failed:\n{printed}"
    if not result["requests"]:  # slower than one round
        assert seconds < LONGEST_S, f"{target.name} answered nothing in {seconds} s"
        return wrk(target, 2 * seconds, folder)
    return float(result["requests"] / result["microseconds"] * 1e6)
