"""OpenAI's Responses: made whole or in typed events, and kept so that they can be asked for again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from independent import speech
from independent.openai_answers import ANSWERS_AS, Said, new_id, obfuscated, probabilities, prompt_tokens, say
from independent.openai_kept import page
from independent.openai_rules import AT_REST, FIXED, SAMPLING, Fields
from independent.shapes import refuse
from independent.values import Json, Refused, Reply

#: What an answer repeats of its request, and what is meant where it is left out.
ECHOED: Mapping[str, Json] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "parallel_tool_calls": True,
    "previous_response_id": None, "store": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "truncation": "disabled", "user": None, "metadata": {}, "background": False,
    "safety_identifier": None, "prompt_cache_key": None, "prompt_cache_retention": None,
}  # fmt: skip

#: Models whose top_p is another one where none is asked for.
NEWER = ("gpt-5.2", "gpt-5.3", "gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")


@dataclass(slots=True)
class Kept:
    """The responses of one endpoint, by their ids: each with the items that it was asked with."""

    answers: dict[str, tuple[Json, list[Json]]] = field(default_factory=dict)

    def create(self, fields: Fields) -> Reply:
        items = self.conversation(fields)
        said = _said(fields, items)
        prompt = prompt_tokens(items, fields.get("instructions"), fields.get("tools"))
        made = _response(fields, said, prompt)
        if fields.get("store") is not False:
            self.answers[made["id"]] = made, items
        if fields.get("stream"):
            return Reply(200, events=tuple(_numbered(_padded(_events(made, said.tokens), fields))), named=True)
        return Reply(200, made)

    def conversation(self, fields: Fields) -> list[Json]:
        """Return all items that are asked with, those kept and those referred to. Raises: Refused."""
        given = [self._referred(item) for item in _items(fields.get("input"))]
        return [*self._before(fields.get("previous_response_id")), *given]

    def _referred(self, item: Json) -> Json:
        """Return the kept item that an item refers to, or itself."""
        if item.get("type", "item_reference") not in ("item_reference", None):
            return item
        known = [kept for answer, items in self.answers.values() for kept in (*items, *answer["output"])]
        found = next((kept for kept in known if kept["id"] == item["id"]), None)
        if found is None:
            raise refuse(None, "input", f"Item with id '{item['id']}' not found.", 404)
        return found

    def _before(self, previous: str | None) -> list[Json]:
        if previous is None:
            return []
        if previous not in self.answers:
            told = f"Previous response with id '{previous}' not found."
            raise refuse("previous_response_not_found", "previous_response_id", told)
        answer, items = self.answers[previous]
        return [*items, *answer["output"]]

    def compact(self, fields: Fields) -> Reply:
        """Give what stands for all that was said."""
        items = self.conversation(fields)
        prompt, said = prompt_tokens(items, fields.get("instructions")), 20
        item = {"id": new_id("cmp_", 32), "type": "compaction", "encrypted_content": new_id("", 80)}
        usage = {
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + said,
        }  # fmt: skip
        head = {"id": new_id("resp_", 32), "object": "response.compaction", "created_at": int(time.time())}
        return Reply(200, {**head, "output": [item], "usage": usage})

    def show(self, name: str, query: Mapping[str, str]) -> Reply:
        """Give an answer again; a streamed one from an event on."""
        answer = self._found(name)[0]
        if query.get("stream") != "true":
            return Reply(200, answer)
        events = list(_numbered(_events(answer, speech.tokens(_text_of(answer)))))
        after = int(query.get("starting_after", "-1"))
        return Reply(200, events=tuple(events[after + 1 :]), named=True)

    def forget(self, name: str) -> Reply:
        self._found(name)
        del self.answers[name]
        return Reply(200, {"id": name, "object": "response", "deleted": True})

    def cancel(self, name: str) -> Reply:
        self._found(name)
        raise refuse(None, None, "Cannot cancel a synchronous response.")

    def listed(self, name: str, query: Mapping[str, str]) -> Reply:
        return Reply(200, page(self._found(name)[1], query, "desc"))

    def _found(self, name: str) -> tuple[Json, list[Json]]:
        if name not in self.answers:
            raise Refused(404, f"Response with id '{name}' not found.")
        return self.answers[name]


def _items(given: Json) -> list[Json]:
    if given is None:
        return []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [_item(item) for item in items]


def _item(item: Json) -> Json:
    if item.get("type", "message") != "message" or "role" not in item:
        return item if item.get("type") in ("item_reference", None) else {"id": new_id("item_", 32), **item}
    kind = "output_text" if item["role"] == "assistant" else "input_text"
    content = item["content"] if isinstance(item["content"], list) else [{"type": kind, "text": item["content"]}]
    return {
        "id": new_id("msg_", 32),
        "type": "message",
        "status": "completed",
        "role": item["role"],
        "content": content,
    }


def _said(fields: Fields, items: list[Json]) -> Said:
    form = (fields.get("text") or {}).get("format") or {}
    schema = {"json_object": {}, "json_schema": form.get("schema", {})}.get(form.get("type", ""))
    answered = bool(items) and items[-1].get("type", "").endswith("_output")
    choice = "told" if answered else fields.get("tool_choice", "auto")
    about = [{name: value for name, value in item.items() if name != "id"} for item in items]
    return say(fields, about, fields.get("tools") or (), choice, schema, fields.get("max_output_tokens"))


def _response(fields: Fields, said: Said, prompt: int) -> Json:
    cut, model = said.reason == "length", fields["model"]
    told = fields.get("conversation")
    named = {"id": told} if isinstance(told, str) else told
    usual = {**ECHOED, "top_p": 0.98 if model.startswith(NEWER) else 1.0}
    echoed = {name: value if fields.get(name) is None else fields[name] for name, value in usual.items()}
    text = {"format": {"type": "text"}, "verbosity": "medium"}
    text |= {name: value for name, value in (fields.get("text") or {}).items() if value is not None}
    thinks = model in (*FIXED, *SAMPLING) and model not in AT_REST
    effort = (fields.get("reasoning") or {}).get("effort") or ("medium" if thinks else None)
    return {
        "id": new_id("resp_", 32), "object": "response", "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed", "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None, **echoed,
        **({"conversation": named} if named else {}),
        "tools": [_strict(tool) for tool in echoed["tools"]],
        "model": ANSWERS_AS.get(model, model), "output": [_output(said, fields)], "service_tier": "default",
        "reasoning": {"effort": effort, "summary": None}, "text": text,
        "usage": {
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": said.count,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + said.count,
        },
    }  # fmt: skip


def _strict(tool: Json) -> Json:
    return {"description": None, "strict": True, "parameters": None, **tool} if tool["type"] == "function" else tool


def _output(said: Said, fields: Fields) -> Json:
    status = "incomplete" if said.reason == "length" else "completed"
    if said.call:
        kind, name, given = said.call
        call = {"call_id": new_id("call_", 24), "name": name, "status": status}
        if kind == "function":
            return {"id": new_id("fc_", 32), "type": "function_call", **call, "arguments": given}
        return {"id": new_id("ctc_", 32), "type": "custom_tool_call", **call, "input": given}
    asked = "message.output_text.logprobs" in (fields.get("include") or ())
    logprobs = probabilities(said.tokens, fields.get("top_logprobs") or 0) if asked else []
    part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": logprobs}
    return {"id": new_id("msg_", 32), "type": "message", "status": status, "role": "assistant", "content": [part]}


def _numbered(events: Iterator[Json]) -> Iterator[Json]:
    for number, event in enumerate(events):
        yield {"type": event["type"], "sequence_number": number, **event}


def _padded(events: Iterator[Json], fields: Fields) -> Iterator[Json]:
    for event in events:
        more = {"obfuscation": "x7Qp"} if "delta" in event and obfuscated(fields) else {}
        yield {**event, **more}


def _text_of(answer: Json) -> str:
    return "".join(part.get("text", "") for item in answer["output"] for part in item.get("content", ()))


def _events(made: Json, tokens: Sequence[str]) -> Iterator[Json]:
    begun = {**made, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    item = made["output"][0]
    at = {"item_id": item["id"], "output_index": 0}
    empty = {"content": []} if item["type"] == "message" else {_INSIDE[item["type"]]: ""}
    opened = {**item, "status": "in_progress", **empty}
    yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
    yield from _text_events(item, tokens, at) if item["type"] == "message" else _call_events(item, at)
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": f"response.{made['status']}", "response": made}


_INSIDE = {"function_call": "arguments", "custom_tool_call": "input"}


def _text_events(item: Json, tokens: Sequence[str], at: Mapping[str, Json]) -> Iterator[Json]:
    (part,) = item["content"]
    at = {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": "", "logprobs": []}}
    for token in tokens:
        yield {"type": "response.output_text.delta", **at, "delta": token, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


def _call_events(item: Json, at: Mapping[str, Json]) -> Iterator[Json]:
    inside = _INSIDE[item["type"]]
    kind = "function_call_arguments" if inside == "arguments" else "custom_tool_call_input"
    given = item[inside]
    for start in range(0, len(given), 8):
        yield {"type": f"response.{kind}.delta", **at, "delta": given[start : start + 8]}
    named = {"name": item["name"]} if inside == "arguments" else {}
    yield {"type": f"response.{kind}.done", **at, inside: given, **named}
