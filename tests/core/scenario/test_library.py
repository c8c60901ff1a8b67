"""The scenario library: files load clean, stand in the README, and answer as data/library.yaml says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from shown import blocks

from emulator import Emulator, load_scenario

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = ROOT / "scenarios"
README = (SCENARIOS / "README.md").read_text(encoding="utf-8")
LIBRARY = yaml.safe_load((ROOT / "tests" / "data" / "library.yaml").read_text(encoding="utf-8"))

FILES = sorted(path.relative_to(SCENARIOS).as_posix() for path in SCENARIOS.glob("*/*.yaml"))
EXAMPLES = [block.text for block in blocks("scenarios/README.md") if block.language == "yaml"]

#: Read timeouts in seconds: a client gives up early only where a stream is meant to go silent.
PATIENT_S = 30.0
IMPATIENT_S = 1.0


@pytest.mark.parametrize("file", FILES)
def test_file_loads_with_no_problem_and_no_warning(file: str) -> None:
    assert list(load_scenario(SCENARIOS / file).warnings) == []


@pytest.mark.parametrize("file", FILES)
def test_file_stands_in_the_readme(file: str) -> None:
    assert f"]({file})" in README


def test_the_examples_show_every_key_of_the_format_and_the_text_every_word() -> None:
    """Words are what a key's value is chosen from, such as the names of errors."""
    schema = json.loads((ROOT / "schemas" / "scenario.schema.json").read_text(encoding="utf-8"))
    keys, words = zip(*parts_of(schema), strict=True)
    shown = {key for example in EXAMPLES for key in keys_of(yaml.safe_load(example))}
    assert set().union(*keys) - shown == set()
    assert set().union(*words) - set(re.findall(r"[\w-]+", README)) == set()


def parts_of(schema: Any) -> Iterator[tuple[set[str], set[str]]]:
    """Yield, for each part of a JSON Schema, the keys and the words that it names."""
    if isinstance(schema, list):
        for item in schema:
            yield from parts_of(item)
    elif isinstance(schema, dict):
        named = schema.get("properties", {})
        chosen = [*schema.get("enum", []), schema.get("const")]
        yield set(named), {item for item in chosen if isinstance(item, str)}
        for name, item in schema.items():
            yield from parts_of(list(item.values()) if name in ("properties", "$defs") else item)


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def test_readme_names_no_file_that_is_not_there() -> None:
    assert sorted(set(re.findall(r"\]\((\w+/[\w-]+\.yaml)\)", README))) == FILES


def test_every_file_has_a_dry_run_and_every_dry_run_a_file() -> None:
    assert sorted(LIBRARY["runs"]) == FILES


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    """A server started without options: its options would win over the scenarios', plan included."""
    with Emulator() as emulator:
        yield emulator.url


@pytest.mark.parametrize("file", FILES)
def test_dry_run(file: str, emulator_url: str) -> None:
    provider = file.partition("/")[0]
    with httpx2.Client(base_url=f"{emulator_url}/_emulator/", timeout=PATIENT_S, trust_env=False) as control:
        text = (SCENARIOS / file).read_text(encoding="utf-8")
        opened = control.post("sessions", json={"scenario": text, "clock": "virtual"})
        assert opened.status_code == 201, opened.text
        session = opened.json()
        steps = LIBRARY["runs"].get(file, [])
        for number, step in enumerate(steps, 1):
            if "advance" in step:
                control.patch(f"sessions/{session['id']}/clock", json={"advance": step["advance"]})
            answer = send(session, provider, step)
            assert (number, pick(answer, step["get"])) == (number, step["get"]), answer
        rules = control.get(f"sessions/{session['id']}").json()["rules"]
        control.delete(f"sessions/{session['id']}")
    assert [rule["id"] for rule in rules if not rule["calls"]] == [], "rules that the dry run never reaches"
    assert [rule for rule in rules if not expected(rule)] == []


def expected(rule: Mapping[str, Any]) -> bool:
    """Tell whether a rule was called as often as its `expect` says."""
    expect, calls = rule["expect"] or {}, rule["calls"]
    if "calls" in expect:
        return bool(calls == expect["calls"])
    return bool(expect.get("min", 0) <= calls <= expect.get("max", calls))


def pick(actual: Any, like: Any) -> Any:
    """Return of `actual` what `like` has a value for; None for what is not there."""
    if isinstance(actual, Mapping) and isinstance(like, Mapping):
        return {key: pick(actual.get(key), item) for key, item in like.items()}
    if isinstance(actual, list) and isinstance(like, list) and len(actual) == len(like):
        return [pick(*pair) for pair in zip(actual, like, strict=True)]
    return actual


def send(session: Mapping[str, Any], provider: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """Send a step's request and return what came back: the data file says in which words."""
    method, _, path = step.get("to", "POST chat/completions").partition(" ")
    key = session["api_key"]
    headers = {"authorization": f"Bearer {key}", "x-goog-api-key": key, **step.get("headers", {})}
    body = None if method == "GET" else {**(LIBRARY["defaults"][provider] if "to" not in step else {})}
    if body is not None:
        if "ask" in step:
            body["messages"] = [{"role": "user", "content": step["ask"]}]
        body |= step.get("send", {})
    patience = IMPATIENT_S if step["get"].get("ends") == "silent" else PATIENT_S
    url = f"{session['base_urls'][provider]}/{path}"
    with (
        httpx2.Client(timeout=patience, trust_env=False) as client,
        client.stream(method, url, headers=headers, json=body) as response,
    ):
        if response.headers["content-type"].startswith("text/event-stream"):
            said = read_stream(response)
        else:
            said = read_whole(response)
    return {"status": response.status_code, "headers": response.headers, **said}


def read_whole(response: httpx2.Response) -> dict[str, Any]:
    body = json.loads(response.read())
    choice = (body.get("choices") or [{}])[0]
    message = choice.get("message", {})
    return {
        "ends": "whole",
        "body": body,
        "model": body.get("model"),
        "text": message.get("content"),
        "refusal": message.get("refusal"),
        "tool_calls": [call_of(call) for call in message.get("tool_calls") or []],
        "finish_reason": choice.get("finish_reason"),
    }


def read_stream(response: httpx2.Response) -> dict[str, Any]:
    said: dict[str, Any] = {"pieces": [], "finish_reason": None, "ends": "clean"}
    calls: dict[int, dict[str, Any]] = {}
    try:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                said["ends"] = "done"
            elif line.startswith("data: "):
                read_chunk(json.loads(line.removeprefix("data: ")), said, calls)
    except httpx2.ReadTimeout:
        said["ends"] = "silent"
    except httpx2.RemoteProtocolError:
        said["ends"] = "broken"
    return {**said, "text": "".join(said["pieces"]), "tool_calls": [call_of(call) for call in calls.values()]}


def read_chunk(chunk: Mapping[str, Any], said: dict[str, Any], calls: dict[int, dict[str, Any]]) -> None:
    said["model"] = chunk.get("model")
    said.setdefault("events", []).append(chunk.get("type"))
    for candidate in chunk.get("candidates", ()):
        said["pieces"] += [part["text"] for part in candidate["content"]["parts"] if part["text"]]
        said["finish_reason"] = candidate.get("finishReason")
    for choice in chunk.get("choices", ()):
        delta = choice["delta"]
        if delta.get("content"):
            said["pieces"].append(delta["content"])
        for part in delta.get("tool_calls", []):
            begun = {"id": part.get("id"), "function": {"name": "", "arguments": ""}}
            function = calls.setdefault(part["index"], begun)["function"]
            for key in function:
                function[key] += part["function"].get(key) or ""
        said["finish_reason"] = choice.get("finish_reason") or said["finish_reason"]


def call_of(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {"id": call["id"], "name": function["name"], "arguments": json.loads(function["arguments"])}
