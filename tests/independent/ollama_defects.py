"""Defects of Ollama's API as the independent endpoint has it; see `defects`."""

from __future__ import annotations

from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Spoil

# isort: off
from independent.misreadings import (
    filling, ignoring, listed, reading, roles, taking, taking_messages,
)  # fmt: skip
from independent.spoils import (
    answering, as_raw, as_status, asked, at, body, chunk, events, good, gone, lacking, on, refusing, setting, status,
    streamed,
)  # fmt: skip

# isort: on
from independent.values import Json, Reply, Request

CHAT, GENERATE, EMBED, SHOW = at("/api/chat"), at("/api/generate"), at("/api/embed"), at("/api/show")
COMPLETIONS = at("/v1/chat/completions")


def below_v1(request: Request, reply: Reply) -> bool:
    return request.path.startswith("/v1") and reply.status >= 400


def says(message: str, code: int) -> Spoil:
    """Say something else in each error of a status."""
    return answering(lambda reply: replace(reply, body={"error": message}), status(code))


def words_of(content: Json) -> Json:
    """Read parts of a text as one."""
    return " ".join(str(part.get("text")) for part in content) if isinstance(content, list) else content


def with_call_text(message: Json) -> Json:
    """Read arguments that are a text as an object."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not calls:
        return message
    return {**message, "tool_calls": [{"function": {**call["function"], "arguments": {}}} for call in calls]}


def without(name: str) -> Spoil:
    """Leave a field of each message aside."""
    return taking_messages(lambda item: {key: value for key, value in item.items() if key != name})


def in_one_line(items: list[Json]) -> list[Json]:
    text = "".join(item["message"]["content"] for item in items)
    return [{**items[0], "message": {"role": "assistant", "content": text}}, items[-1]]


def growing(items: list[Json]) -> list[Json]:
    texts = [item["message"]["content"] for item in items]
    said = ["".join(texts[: n + 1]) for n in range(len(texts) - 1)]
    return [{**item, "message": {"role": "assistant", "content": text}}
            for item, text in zip(items, said, strict=False)] + items[-1:]  # fmt: skip


OLLAMA = (
    # addresses, keys, bodies
    Defect("ol-base-url", "chat answers under another path", refusing(CHAT, 404), "gets 200"),
    Defect("ol-no-key", "a key is needed",
           on(lambda request: "authorization" not in request.headers, refusing(good, 401)), "without a key gets 200"),
    Defect("ol-no-key", "only its own keys are good",
           on(lambda request: request.headers.get("authorization", "").endswith("any-key"), refusing(good, 401)),
           "-key gets 200"),
    Defect("ol-chat", "answers are text", setting("Content-Type", lambda _: "text/plain", CHAT), "is answered in JSON"),
    Defect("ol-content-type", "a body must be called JSON",
           on(lambda request: "json" not in request.headers.get("content-type", "json"), refusing(good, 415)),
           "gets 200"),
    Defect("ol-unknown-path", "an unknown path gets JSON", as_raw(b"{}", "application/json", status(404)),
           "the error of an unknown path is a text"),
    Defect("ol-unknown-path", "405 without Allow", lacking("Allow"), "in its Allow header"),
    Defect("ol-malformed", "what is no JSON is a server error", as_status(500, status(400)), "gets 400"),
    Defect("ol-model-required", "no model means llama3.2", filling(model="llama3.2"), "no model gets 400"),
    Defect("ol-model-required", "no model is told in other words", says("a model is needed", 400),
           "error of the refusal"),
    Defect("ol-model-not-found", "another model answers in its place",
           taking("model", lambda value: "llama3.2" if value == "nobody" else value), "gets 404"),
    Defect("ol-model-not-found", "a model that is not there gets 400", as_status(400, status(404)), "gets 404"),
    Defect("ol-model-tag", "a tag must be told",
           on(lambda request: b'"llama3.2"' in request.body, refusing(good, 404)), "llama3.2 gets 200"),
    Defect("ol-model-tag", "the answer tells the tag",
           body("model", lambda name: name if ":" in name else f"{name}:latest"), "llama3.2 answers by its name"),
    Defect("ol-messages", "a string is one message", taking("messages", listed), 'messages "Hi" gets 400'),
    Defect("ol-messages", "a content may have parts",
           taking_messages(lambda item: {**item, "content": words_of(item.get("content"))}), "gets 400"),
    Defect("ol-messages", "a system message is refused", refusing(asked(lambda fields: "system" in roles(fields))),
           "gets 200"),
    Defect("ol-load", "nothing to say is refused", refusing(asked(lambda fields: fields.get("messages") == [])),
           "gets 200"),
    Defect("ol-load", "a model is never unloaded", ignoring("keep_alive"), "done_reason"),
    Defect("ol-images", "one image needs no list", without("images"), "gets 400"),
    Defect("ol-images", "images are refused",
           on(lambda request: b'"images"' in request.body, refusing(good)), "gets 200"),
    Defect("ol-tools", "arguments are a text",
           body("message.tool_calls.*.function.arguments", lambda _: "{}"), "arguments"),
    Defect("ol-tools", "calls have no id", body("message.tool_calls.*.id", lambda _: ""), "a call has an id"),
    Defect("ol-tools", "the first tool is always called",
           body("message.tool_calls.*.function.name", lambda _: "get_weather"), "the tool chosen is called"),
    Defect("ol-tools", "a stream has no calls", chunk("message.tool_calls", gone), "tool_calls"),
    Defect("ol-no-tools", "tools are left aside", ignoring("tools"), "gets 400"),
    Defect("ol-calls-back", "arguments may be a text", taking_messages(with_call_text), "gets 400"),
    Defect("ol-calls-back", "calls in messages are refused",
           on(lambda request: b'"tool_calls"' in request.body, refusing(good)), "gets 200"),
    Defect("ol-tool-result", "the name of a tool is left aside", without("tool_name"), "gets 400"),
    Defect("ol-tool-result", "a result must name its tool",
           on(lambda request: b'"tool_call_id"' in request.body, refusing(good)), "gets 200"),
    Defect("ol-format", "a schema is refused", refusing(asked(lambda fields: isinstance(fields.get("format"), dict))),
           "gets 200"),
    Defect("ol-options", "options that are none are left aside",
           taking("options", lambda value: value if isinstance(value, dict) else {}), "options 5 gets 400"),
    Defect("ol-options", "an unknown option is refused",
           refusing(asked(lambda fields: "mirostat" in (fields.get("options") or {}))), "gets 200"),
    Defect("ol-num-predict", "the cap is left aside", ignoring("options"), "options.num_predict 1 has 1 tokens"),
    Defect("ol-num-predict", "a cut reply says stop", body("done_reason", lambda _: "stop"), "says that it was cut",
           "observed"),
    Defect("ol-think", "any level will do",
           taking("think", lambda value: "low" if isinstance(value, str) else value), 'think "much" gets 400'),
    Defect("ol-no-thinking", "think is left aside", ignoring("think"), "think true gets 400"),
    Defect("ol-no-thinking", "think false is refused", refusing(asked(lambda fields: fields.get("think") is False)),
           "think false gets 200"),
    Defect("ol-thinking-back", "thoughts of any kind are read", without("thinking"), "gets 400"),
    Defect("ol-keep-alive", "a duration must be a number",
           refusing(asked(lambda fields: isinstance(fields.get("keep_alive"), str))), "gets 200"),
    Defect("ol-truncate", "1 is true", taking("shift", bool), "shift 1 gets 400"),
    Defect("ol-no-chat", "a model for vectors talks",
           taking("model", lambda value: "mistral" if value == "nomic-embed-text" else value), "gets 400"),
    # answers and streams
    Defect("ol-response", "the time is a number", body("created_at", lambda _: 1795000000, CHAT), "created_at"),
    Defect("ol-response", "a whole answer is not done", body("done", lambda _: False, CHAT), "done"),
    Defect("ol-done-reason", "no reason is told", body("done_reason", gone, CHAT), "done_reason is required"),
    Defect("ol-done-reason", "the reason is end_turn", body("done_reason", lambda _: "end_turn", CHAT), "done_reason"),
    Defect("ol-figures", "durations are texts", body("total_duration", lambda _: "6ms", CHAT), "total_duration"),
    Defect("ol-figures", "a prompt has always as many tokens", body("prompt_eval_count", lambda _: 9, CHAT),
           "grows with"),
    Defect("ol-stream-default", "no stream is the default", filling(stream=False), "without stream gets a stream"),
    Defect("ol-stream-default", "all is streamed", reading(lambda fields: {**fields, "stream": True}), "stream false"),
    Defect("ol-stream", "a stream is server-sent events",
           answering(lambda reply: replace(reply, lines=False), streamed), "a stream has its content type"),
    Defect("ol-stream", "a stream has no last line", events(lambda items: items[:-1]), "comes last and once"),
    Defect("ol-stream", "each line is the last", events(lambda items: [{**item, "done": True} for item in items]),
           "comes last and once"),
    Defect("ol-stream", "each line repeats what was said", events(growing), "has only the text that is new"),
    Defect("ol-stream", "the text comes in one line", events(in_one_line), "the content comes in parts"),
    Defect("ol-stream", "lines do not name the model", chunk("model", gone), "model is required"),
    # errors
    Defect("ol-error-body", "an error is an object",
           body("error", lambda told: {"message": told}, status(400)), "error must be"),
    Defect("ol-e-400", "invalid JSON gets 422", as_status(422, status(400)), "gets 400"),
    # other operations
    Defect("ol-generate", "a whole answer has no text", body("response", gone, GENERATE), "response is required"),
    Defect("ol-generate", "a stream has empty pieces", chunk("response", lambda _: ""), "the deltas together"),
    Defect("ol-embed", "only the first of a list is embedded", body("embeddings", lambda items: items[:1], EMBED),
           "embeddings"),
    Defect("ol-embed", "dimensions are left aside", ignoring("dimensions"), "embeddings"),
    Defect("ol-embed", "numbers are written out",
           taking("input", lambda value: value if isinstance(value, str | list) else str(value)), "input 5 gets 400"),
    Defect("ol-embeddings", "the vector is in a list",
           body("embedding", lambda vector: [vector], at("/api/embeddings")), "embedding"),
    Defect("ol-tags", "models have no digest", body("models.*.digest", gone, at("/api/tags")), "digest is required"),
    Defect("ol-tags", "tags are left out",
           body("models.*.name", lambda name: name.removesuffix(":latest"), at("/api/tags")), "models"),
    Defect("ol-show", "no capabilities are told", body("capabilities", gone, SHOW), "capabilities is required"),
    Defect("ol-show", "no model is no error",
           as_status(200, lambda request, reply: request.path == "/api/show" and reply.status == 400),
           "no model gets 400"),
    Defect("ol-ps", "the models are a bare list", as_raw(b"[]", "application/json", at("/api/ps")), "JSON object"),
    Defect("ol-version", "the version is a number", body("version", lambda _: 1, at("/api/version")), "version"),
    # the OpenAI side
    Defect("ol-v1-chat", "there is no such side", refusing(COMPLETIONS, 404), "gets 200"),
    Defect("ol-v1-messages", "a content may be missing",
           taking_messages(lambda item: {**item, "content": item.get("content") or ""}), "gets 400"),
    Defect("ol-v1-images", "an image at an address is fetched",
           on(lambda request: b"https://" in request.body, taking_messages(lambda item: {**item, "content": "Look!"})),
           "gets 400"),
    Defect("ol-v1-options", "a temperature is read as a number", taking("temperature", lambda _: 1),
           'temperature "hot" gets 400'),
    Defect("ol-v1-options", "the cap is left aside", ignoring("max_tokens"), "max_tokens 1 has 1 tokens"),
    Defect("ol-v1-response", "no fingerprint is told", body("system_fingerprint", gone, COMPLETIONS),
           "system_fingerprint is required"),
    Defect("ol-v1-response", "the total leaves the prompt out",
           body("usage", lambda usage: {**usage, "total_tokens": usage["completion_tokens"]}, COMPLETIONS),
           "sum of the others"),
    Defect("ol-v1-stream", "a stream just ends", events(lambda items: items[:-1]), "[DONE] comes last"),
    Defect("ol-v1-stream", "chunks have no deltas", chunk("choices.*.delta", gone), "delta is required"),
    Defect("ol-v1-errors", "errors are as on the other side",
           answering(lambda reply: replace(reply, body={"error": reply.body["error"]["message"]}), below_v1),
           "error must be"),
    Defect("ol-v1-errors", "errors have a code", body("error.code", lambda _: "invalid", below_v1), "error.code"),
    Defect("ol-v1-embeddings", "vectors come in base64",
           body("data.*.embedding", lambda _: "AAAA", at("/v1/embeddings")), "embedding"),
    Defect("ol-v1-models", "models belong to nobody", body("data.*.owned_by", gone, at("/v1/models")), "owned_by"),
    Defect("ol-v1-models", "one model tells its tag",
           body("id", lambda name: f"{name}:latest", at("/v1/models/llama3.2")), "id"),
)  # fmt: skip
