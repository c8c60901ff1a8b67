"""Defects of DeepSeek's API, and of one without docs of its own, as the independent endpoint has them; see `defects`.

Of the latter all is assumed, so that its cases observe what they find.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Spoil

# isort: off
from independent.misreadings import (
    a_key, clamped, filling, ignoring, listed, objects, taking, taking_messages,
)  # fmt: skip
from independent.spoils import (
    answering, as_raw, as_status, asked, at, at_once, body, chunk, cumulative, events, gone, lacking, of_calls,
    refusing, setting, status, streamed,
)  # fmt: skip

# isort: on
from independent.values import Json

CHAT, EMBEDDINGS, MODELS = at("/chat/completions"), at("/embeddings"), at("/models")
_count = itertools.count()


def without(name: str, value: Json = True) -> Spoil:
    """Refuse what has a field."""
    return refusing(asked(lambda fields: name in fields and (value is True or fields[name] == value)))


def of_functions(**said: Json) -> Spoil:
    """Read something in each function that is offered, where it has it not."""
    return taking("tools", objects(lambda tool: {**tool, "function": {**said, **tool.get("function", {})}}))


def both(prefix: str) -> Iterator[Defect]:
    """Yield what both get wrong alike: chats, answers, streams and tools, by the beginning of their facts."""
    outcome = "failed" if prefix == "ds" else "observed"
    response, models = f"{prefix}-response", "ds-models-list" if prefix == "ds" else "co-models"
    end = "ds-stream" if prefix == "ds" else "co-stream-end"
    for fact, what, spoil, says in (
        (f"{prefix}-chat", "chats stand elsewhere", refusing(CHAT, 404), "gets 200"),
        (f"{prefix}-auth", "any key is good", a_key(lambda given: given.startswith("Bearer "), "sk-key"), "401"),
        (f"{prefix}-auth", "no key gets 403", as_status(403, status(401)), "gets 401"),
        (f"{prefix}-messages", "no messages are an empty talk", filling(messages=[{"role": "user", "content": "a"}]),
         "no messages gets 400"),
        (response, "nobody knows when it was made", body("created", gone, CHAT), "created is required"),
        (response, "an answer calls itself a chunk", body("object", lambda _: "chat.completion.chunk", CHAT), "object"),
        (response, "a choice has no index", body("choices.*.index", gone, CHAT), "index is required"),
        (response, "nobody knows why it ended", body("choices.*.finish_reason", gone, CHAT), "finish_reason"),
        (end, "a stream just ends", events(lambda items: items[:-1]), "[DONE] comes last"),
        (f"{prefix}-stream", "each delta repeats what was said", events(cumulative), "has only the text that is new"),
        (f"{prefix}-stream", "the text comes at once", events(at_once), "comes in parts"),
        (f"{prefix}-stream", "a stream goes out as JSON", setting("Content-Type", lambda _: "text/plain", streamed),
         "a stream has its content type"),
        (f"{prefix}-stream", "chunks have no id", chunk("id", gone), "id is required"),
        (f"{prefix}-tools", "arguments are no JSON",
         body("choices.*.message.tool_calls.*.function.arguments", lambda _: "{'a': 1}", CHAT), "arguments"),
        (f"{prefix}-tools", "none of the tools may still be called", taking(
            "tool_choice", lambda value: "auto" if value == "none" else value), "tool_choice none calls no tool"),
        (f"{prefix}-tools", "a call has no id", body("choices.*.message.tool_calls.*.id", lambda _: "", CHAT), "an id"),
        (f"{prefix}-tools", "fragments have no index", of_calls(lambda call: {**call, "index": None}), "index"),
        (models, "nobody owns a model", body("data.*.owned_by", gone, MODELS), "owned_by is required"),
        (models, "the models are a bare list", answering(
            lambda reply: replace(reply, body=reply.body["data"]), MODELS), "JSON object"),
    ):  # fmt: skip
        yield Defect(fact, what, spoil, says, "failed" if fact == "co-stream-end" else outcome)


DEEPSEEK = (
    *both("ds"),
    Defect("ds-models", "one model is unknown", without("model", "deepseek-v4-pro"), "gets 200"),
    Defect("ds-models", "no model is the fast one", filling(model="deepseek-flash"), "no model gets 400"),
    Defect("ds-models", "any model is the fast one", taking("model", lambda _: "deepseek-flash"), "by its name"),
    Defect("ds-messages", "any role is the user's", taking_messages(objects(
        lambda item: {**item, "role": "user"} if item.get("role") == "narrator" else item)), "narrator"),
    Defect("ds-messages", "a result is of no call", taking_messages(objects(
        lambda item: {"tool_call_id": "a", **item} if item.get("role") == "tool" else item)), "tool"),
    Defect("ds-response", "an answer has no fingerprint", body("system_fingerprint", gone, CHAT), "system_fingerprint"),
    Defect("ds-usage", "the cache is not told", body("usage.prompt_cache_hit_tokens", gone, CHAT),
           "prompt_cache_hit_tokens is required"),
    Defect("ds-usage", "each prompt has ten tokens", body("usage", lambda usage: {
        **usage, "prompt_tokens": 10, "total_tokens": 10 + usage["completion_tokens"]}, CHAT), "grows"),
    Defect("ds-max-tokens", "the cap is ignored", ignoring("max_tokens"), "has 1 tokens"),
    Defect("ds-max-tokens", "no tokens are one", clamped("max_tokens", 1, 10**9), "max_tokens 0 gets 400"),
    Defect("ds-sampling", "a temperature has no bound", clamped("temperature", 0, 2), "temperature 2.1 gets 400"),
    Defect("ds-sampling", "top_p has no bound", clamped("top_p", 0, 1), "top_p 1.1 gets 400"),
    Defect("ds-sampling", "a penalty has no bound", clamped("presence_penalty", -2, 2), "presence_penalty"),
    Defect("ds-sampling", "the default temperature is 0.7", filling(temperature=0.7), "without temperature"),
    Defect("ds-json", "any format is text", ignoring("response_format"), "response_format"),
    Defect("ds-tools", "a function needs no name", of_functions(name="f"), "gets 400"),
    Defect("ds-tools", "any choice is free", taking(
        "tool_choice", lambda value: "auto" if value == "perhaps" else value), "perhaps"),
    Defect("ds-thinking", "thinking cannot be asked for", without("thinking", {"type": "enabled"}), "gets 200"),
    Defect("ds-thinking", "perhaps is yes", taking("thinking", lambda _: {"type": "disabled"}), "gets 400"),
    Defect("ds-thinking-back", "thoughts need not come back", filling(thinking={"type": "disabled"}), "gets 400"),
    Defect("ds-thinking-back", "thoughts may not come back", refusing(
        lambda request, _: b"reasoning_content" in request.body), "gets 200"),
    Defect("ds-effort", "most is too much", without("reasoning_effort", "max"), "gets 200"),
    Defect("ds-effort", "any effort is taken", ignoring("reasoning_effort"), "gets 400"),
    Defect("ds-user-id", "users are unknown", without("user_id", "u-1"), "gets 200"),
    Defect("ds-user-id", "a user may be a number", ignoring("user_id"), "gets 400"),
    Defect("ds-models-list", "no model has a window", body("data.*.context_window", gone, MODELS),
           "context_window is required"),
    Defect("ds-err-400", "what is no JSON is a server error", as_status(500, status(400)), "gets 400"),
    Defect("ds-error-body", "an error has no param", body("error.param", gone, lambda request, reply:
                                                          reply.status >= 400), "param is required", "observed"),
    Defect("ds-unknown-path", "405 without Allow", lacking("Allow"), "in its Allow header", "observed"),
)  # fmt: skip


def only(fact: str, what: str, spoil: Spoil, says: str) -> Defect:
    return Defect(f"co-{fact}", what, spoil, says, "observed")


COMPATIBLE = (
    *both("co"),
    only("body", "a list is an empty talk", as_status(200, status(400)), "gets 400"),
    only("messages", "a string is one message", taking("messages", listed), "gets 400"),
    only("lenient", "a temperature has a bound", without("temperature", 5), "gets 200"),
    only("lenient", "top_p is a number", without("top_p", "high"), "gets 200"),
    only("lenient", "an empty talk is refused", without("messages", []), "gets 200"),
    only("any-model", "other models are unknown", without("model", "meta/llama-4"), "gets 200"),
    only("any-model", "one model answers for all", body("model", lambda _: "any-model", CHAT), "by its name"),
    only("response", "usage has no total", body("usage.total_tokens", gone, CHAT), "total_tokens"),
    only("response", "a message has no role", body("choices.*.message.role", gone, CHAT), "role is required"),
    only("embeddings", "only the first is embedded", body("data", lambda items: items[:1], EMBEDDINGS), "data"),
    only("embeddings", "a number is a text", taking(
        "input", lambda value: str(value) if isinstance(value, int) else value), "input 5 gets 400"),
    only("embeddings", "no input is an empty one", filling(input="a"), "no input gets 400"),
    only("embeddings", "any form is a list of numbers", ignoring("encoding_format"), "hex"),
    only("embeddings", "a vector of none is as usual", ignoring("dimensions"), "dimensions 0 gets 400"),
    only("errors", "an error has no code", body("error.code", gone, lambda request, reply: reply.status >= 400),
         "code is required"),
    only("errors", "an error is a page", as_raw(b"<p>no</p>", "text/html", status(400)), "is JSON"),
    only("unknown-path", "405 without Allow", lacking("Allow"), "in its Allow header"),
    only("unknown-path", "an unknown path is answered", as_status(200, status(404)), "gets 404"),
)  # fmt: skip
