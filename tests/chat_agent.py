"""A small application to test: a chat agent with tools, streaming and retries, on the official SDK.

It knows nothing of the emulator. What it does wrong in some tests is asked of it by a Manners of its own.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai


@dataclass(frozen=True)
class Manners:
    """How the agent behaves when something goes wrong."""

    attempts: int = 4
    waits: bool = True  # between attempts: Retry-After, or longer and longer
    gives_up: tuple[int, ...] = (400, 401, 403, 404, 422)  # statuses that are not tried again
    keeps_key: bool = True  # one Idempotency-Key for all attempts at a call
    falls_back: str | None = "auto"  # the model to ask after a 503
    checks_end: bool = True  # a stream that ends without a finish_reason is asked for again
    timeout: float = 30.0  # of a silent answer, seconds


@dataclass
class Agent:
    """Talks to one model, and answers its tool calls with functions."""

    client: openai.OpenAI
    model: str
    tools: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    manners: Manners = field(default_factory=Manners)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, text: str) -> str:
        """Return the model's answer to a user's message; tools are called until it has one."""
        self.messages.append({"role": "user", "content": text})
        while True:
            answer = self._attempt(lambda model, key: self._create(model, key)).choices[0].message
            if not answer.tool_calls:
                return self._keep(answer.content or "")
            self.messages.append(answer.model_dump(exclude_none=True))
            for call in answer.tool_calls:
                result = self.tools[call.function.name](**json.loads(call.function.arguments))
                self.messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})

    def stream(self, text: str, show: Callable[[str], None] = lambda piece: None) -> str:
        """Return the model's answer, showing each piece as it comes."""
        self.messages.append({"role": "user", "content": text})
        return self._keep(self._attempt(lambda model, key: self._streamed(model, key, show)))

    def _keep(self, text: str) -> str:
        self.messages.append({"role": "assistant", "content": text})
        return text

    def _create(self, model: str, key: str, **more: Any) -> Any:
        if self.tools:
            more["tools"] = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                             for name in self.tools]  # fmt: skip
        return self.client.with_options(max_retries=0, timeout=self.manners.timeout).chat.completions.create(
            model=model, messages=list(self.messages), extra_headers={"Idempotency-Key": key}, **more
        )  # fmt: skip

    def _streamed(self, model: str, key: str, show: Callable[[str], None]) -> str:
        pieces, finished = [], False
        try:
            for chunk in self._create(model, key, stream=True):
                piece = chunk.choices[0].delta.content or ""
                pieces.append(piece)
                show(piece)
                finished = finished or chunk.choices[0].finish_reason is not None
        except openai.APITimeoutError:
            raise
        except Exception:
            if self.manners.checks_end:
                raise
        if not finished and self.manners.checks_end:
            raise BrokenStreamError("the stream ended early")
        return "".join(pieces)

    def _attempt(self, act: Callable[[str, str], Any]) -> Any:
        """Try until it works, or until trying again makes no sense."""
        model, key = self.model, str(uuid.uuid4())
        for attempt in range(1, self.manners.attempts + 1):
            try:
                return act(model, key)
            except openai.APIStatusError as error:
                if error.status_code in self.manners.gives_up or attempt == self.manners.attempts:
                    raise
                if error.status_code == 503 and self.manners.falls_back:
                    model = self.manners.falls_back
                self._wait(attempt, error.response.headers.get("retry-after"))
            except (openai.APIConnectionError, BrokenStreamError):
                if attempt == self.manners.attempts:
                    raise
            if not self.manners.keeps_key:
                key = str(uuid.uuid4())
        raise AssertionError("not reached")

    def _wait(self, attempt: int, retry_after: str | None) -> None:
        if self.manners.waits:
            time.sleep(float(retry_after) if retry_after else 0.5 * 2**attempt)


class BrokenStreamError(Exception):
    """A stream ended without having finished."""
