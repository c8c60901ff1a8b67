"""Hold what the emulator answers against OpenAI's published API description.

    python tests/suites/judge.py openapi.json [REQUESTS] [SEED]

The description is fetched by hand (github.com/openai/openai-openapi). Generated requests are asked, whole and streamed:
its schemas must accept every answer and event, and what they refuse must be refused. Then each is broken by one fault
of the description's schema. Each difference is printed once, with how often it was seen and the smallest case.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from emulator import Emulator
from emulator.contract.generation.mutations import Mutator
from emulator.contract.generation.strategies import requests
from emulator.contract.generation.subschemas import KEYWORDS
from emulator.core.provider.loading.folder import load_providers

#: The schemas of a request, an answer and an event.
JUDGES = {
    "chat": ("CreateChatCompletionRequest", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "responses": ("CreateResponse", "Response", "ResponseStreamEvent"),
}
MODELS = ["gpt-4o", "gpt-4.1-mini", "gpt-5.4-mini", "gpt-5.1", "gpt-4o-audio-preview"]
#: Where the description is not what the API does, by the facts: properties that may be null, and what is not required.
MAY_BE_NULL = {"user", "system_fingerprint", "usage", "top_logprobs"}
NOT_REQUIRED = {
    "FunctionTool": ["type", "name"],
    # the others are of fields that these do not have
    "LocalShellToolCallOutput": ["id", "type", "output"],
    "MCPApprovalResponse": ["type", "approve", "approval_request_id"],
}
MORE_CHOICES = [
    "web_search",
    "web_search_2025_08_26",
    "local_shell",
    "namespace",
    "tool_search",
    "programmatic_tool_calling",
]


def read(description: Any) -> dict[str, Any]:
    """Return the schemas of a description, in the keywords of JSON Schema alone."""
    schemas: dict[str, Any] = {name: plain(schema) for name, schema in description["components"]["schemas"].items()}
    for name, required in NOT_REQUIRED.items():
        schemas[name]["required"] = required
    reasoned = schemas["ReasoningItem"]["properties"]
    reasoned["content"] = {"anyOf": [reasoned["content"], {"type": "null"}]}  # as OpenAI's Codex sends it
    schemas["ChatCompletionMessageToolCallChunk"]["properties"]["type"]["enum"] += ["custom"]
    schemas["ToolChoiceTypes"]["properties"]["type"]["enum"] += MORE_CHOICES
    return schemas


def plain(schema: Any) -> Any:
    """Return a schema without what describes it, and with `nullable` and an ambiguous `oneOf` as they are meant."""
    if not isinstance(schema, dict):
        return schema
    new = {name: item for name, item in schema.items() if name in KEYWORDS and name not in ("default", "examples")}
    new = {name: item for name, item in new.items() if not (name.startswith("exclusive") and isinstance(item, bool))}
    for name in ("anyOf", "oneOf", "allOf"):
        if name in new:
            new[name] = [plain(item) for item in new[name]]
    for name in ("items", "additionalProperties", "not"):
        if name in new:
            new[name] = plain(new[name])
    if "properties" in new:
        new["properties"] = {
            name: {"anyOf": [plain(item), {"type": "null"}]} if name in MAY_BE_NULL else plain(item)
            for name, item in new["properties"].items()
        }
    if "oneOf" in new:
        new["anyOf"] = new.pop("oneOf")
    if "required" in new:
        new["required"] = list(dict.fromkeys(new["required"]))
    if "$ref" in new:
        new = {"$ref": new["$ref"].replace("#/components/schemas/", "#/$defs/")}
    return {"anyOf": [new, {"type": "null"}]} if schema.get("nullable") else new


def told(error: ValidationError) -> str:
    """Say what is wrong, in the branch of a union that fits best."""
    while error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for below in error.context:
            branches.setdefault(below.schema_path[0], []).append(below)
        best = min(branches.values(), key=lambda found: (any(map(_of_kind, found)), len(found)))
        error = next((item for item in best if not item.context), best[0])
    path = "/".join("*" if isinstance(step, int) else str(step) for step in error.absolute_path)
    return f"{path}: {error.validator} {error.message[-80:]!a}"


def _of_kind(error: ValidationError) -> bool:
    """Tell whether a branch of a union is about something else."""
    return not error.path or (error.validator in ("const", "enum") and error.path[-1] in ("type", "role"))


class Judge:
    """Asks one operation, and counts where its answers and the description differ."""

    def __init__(self, url: str, name: str, schemas: Mapping[str, Any]) -> None:
        self.operation = load_providers()["openai"].operations[name]
        self.url, self.client = (
            f"{url}/openai/v1{self.operation.path}",
            httpx2.Client(headers={"authorization": "Bearer sk"}),
        )
        self.schemas = [{"$ref": f"#/$defs/{part}", "$defs": schemas} for part in JUDGES[name]]
        self.request, self.answer, self.event = map(Draft202012Validator, self.schemas)
        self.asked: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.samples: dict[str, str] = {}

    def ask(self, body: Any) -> bool:
        """Ask once; tell whether it was answered."""
        wrong = next(self.request.iter_errors(body), None)
        answer = self.client.post(self.url, json=body)
        self.asked[f"{'refused' if wrong else 'accepted'} by the description, {answer.status_code}"] += 1
        if wrong and answer.status_code == 200:
            self.differs(f"accepted: {told(wrong)}", body)
        for validator, value in self.parts(answer) if answer.status_code == 200 else ():
            self.asked["answers" if validator is self.answer else "events"] += 1
            if error := next(validator.iter_errors(value), None):
                self.differs(f"said: {value.get('type', '')} {told(error)}", value)
        return answer.status_code == 200

    def parts(self, answer: httpx2.Response) -> Iterator[tuple[Draft202012Validator, Any]]:
        """Yield each thing that an answer says, with what judges it."""
        if answer.headers["content-type"].startswith("application/json"):
            yield self.answer, answer.json()
            return
        for line in answer.text.split("\n"):
            if line.startswith("data: {"):
                yield self.event, json.loads(line.removeprefix("data: "))

    def differs(self, what: str, value: Any) -> None:
        self.found[what] += 1
        self.samples[what] = min(self.samples.get(what, ascii(value)), ascii(value), key=len)

    def run(self, number: int, start: int) -> None:
        """Ask so many generated requests, and broken ones."""
        mutator, chance = Mutator(self.schemas[0], nulls=True), random.Random(start)
        strategy = requests(self.operation.request, MODELS, self.operation.wire)

        @seed(start)
        @settings(
            max_examples=number,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy, st.booleans())
        def ask(body: Any, stream: bool) -> None:
            body = {name: item for name, item in body.items() if name not in ("stream", "stream_options")}
            body |= {"stream": True} if stream else {}
            if self.ask(body) and self.request.is_valid(body):
                broken = [each.apply(body) for each in mutator.candidates(body)]
                for other in chance.sample(broken, min(4, len(broken))):
                    if not self.request.is_valid(other):
                        self.ask(other)

        ask()


def main(path: str, number: int = 300, start: int = 0) -> int:
    with open(path, encoding="utf-8") as file:
        schemas = read(json.load(file))
    differences = 0
    with Emulator() as emulator:
        for name in JUDGES:
            judge = Judge(emulator.url, name, schemas)
            judge.run(number, start)
            print(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(judge.asked.items()))}")
            for what, count in judge.found.most_common():
                print(f"  {count} {what}\n      {judge.samples[what][:300]}")
            differences += len(judge.found)
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
