"""Defects of Azure OpenAI and OpenRouter as the independent endpoint has them; see `defects`."""

from __future__ import annotations

from dataclasses import replace

from independent.defect import Defect
from independent.endpoint import Serve, Spoil

# isort: off
from independent.misreadings import (
    clamped, filling, header, ignoring, known_roles, reading, taking, taking_messages,
)  # fmt: skip
from independent.spoils import (
    answering, as_raw, as_status, asked, at, body, chunk, cumulative, edited, events, good, gone, lacking, on,
    refusing, setting, status, streamed,
)  # fmt: skip

# isort: on
from independent.values import Json, Reply, Request


def faulty(request: Request, reply: Reply) -> bool:
    return reply.status >= 400


def below(path: str) -> Spoil:
    """Serve nothing below a path."""
    return on(lambda request: request.path.startswith(path), refusing(good, 404))


def to_query(change: Json) -> Spoil:
    """Read another query than there is."""

    def spoil(request: Request, serve: Serve) -> Reply:
        return serve(replace(request, query=change(request.query)))

    return spoil


def first_word(name: str) -> Spoil:
    """Read what is no known word as auto."""
    return taking(
        name, lambda value: value if value in ("none", "auto", "required") or value.__class__ is dict else "auto"
    )


def text_of(value: Json) -> Json:
    return str(value) if isinstance(value, int | float) else value


def few(value: Json) -> Json:
    return value[:4] if isinstance(value, list) else value


def no_tools(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if name not in ("tools", "tool_choice")}


def in_order(fields: Json) -> Json:
    """Leave the messages of tools and their calls aside."""
    messages = fields.get("messages")
    if not isinstance(messages, list):
        return fields
    kept = [item for item in messages if isinstance(item, dict) and item.get("role") != "tool"]
    return {**fields, "messages": [{**item, "tool_calls": [], "content": ""} if "tool_calls" in item else item
                                   for item in kept]}  # fmt: skip


def constant(value: Json) -> Json:
    return lambda _: value


CHATS, DEPLOYED = "/openai/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions"
WHOLE = at(CHATS)
BAD_VERSION = on(lambda request: "api-version" in request.query and request.query["api-version"] == "0613",
                 to_query(constant({"api-version": "2024-10-21"})))  # fmt: skip

AZURE = (
    # addresses and keys
    Defect("az-chat", "deployments have no paths", below("/openai/deployments"), "gets 200"),
    Defect("az-chat", "a deployment has no streams", answering(
        lambda reply: replace(reply, events=None, body={}), lambda request, reply: request.path == DEPLOYED
        and reply.events is not None), "stream"),
    Defect("az-api-version", "the version may be left out",
           to_query(lambda query: {"api-version": "2024-10-21", **query}),
           "404"),
    Defect("az-api-version", "any version is good", BAD_VERSION, "404"),
    Defect("az-api-version", "previews are unknown",
           on(lambda request: "preview" in request.query.get("api-version", ""), refusing(good, 404)), "gets 200"),
    Defect("az-api-version", "a missing version is a bad request", as_status(400, status(404)), "gets 404", "observed"),
    Defect("az-v1", "there is no v1", below(CHATS), "gets 200"),
    Defect("az-v1", "v1 needs a version",
           on(lambda request: request.path == CHATS and not request.query, refusing(good, 404)),
           "gets 200"),
    Defect("az-auth", "a key need not be told", lambda request, serve: serve(
        replace(request, headers={"api-key": "sk-key", **request.headers})), "no key gets 401"),
    Defect("az-auth", "a Bearer token is left aside", header("authorization", constant(None)), "gets 200"),
    Defect("az-auth-wrong", "a wrong key gets 403", as_status(403, status(401)), "a wrong key gets 401", "observed"),
    Defect("az-auth-wrong", "a wrong key is told in other words", body("error.message", constant("no"), status(401)),
           "message", "observed"),
    Defect("az-deployment", "gpt-4o is taken where none is named", filling(model="gpt-4o"), "no model gets 400",
           "observed"),
    Defect("az-operation", "vectors talk", taking("model", lambda name: "gpt-4o" if "embedding" in str(name) else name),
           "gets 400", "observed"),
    Defect("az-operation", "another code is told", body("error.code", constant("BadRequest"), status(400)),
           "error.code",
           "observed"),
    # requests
    Defect("az-messages", "a content may be left out",
           taking_messages(lambda item: {"content": "", **item} if item.get("role") == "user" else item), "gets 400"),
    Defect("az-messages", "any role is the user's", taking_messages(known_roles), "narrator"),
    Defect("az-messages", "an empty list is one message",
           taking("messages", lambda items: items or [{"role": "user", "content": ""}]), "messages []"),
    Defect("az-sampling", "a temperature is clamped", clamped("temperature", 0, 2), "temperature 2.1"),
    Defect("az-sampling", "temperatures end at 1", refusing(asked(lambda fields: fields.get("temperature") == 2)),
           "gets 200"),
    Defect("az-sampling", "seeds are left aside", ignoring("seed"), "seed 1.5"),
    Defect("az-sampling", "top_p is clamped", clamped("top_p", 0, 1), "top_p 1.1"),
    Defect("az-n", "n is clamped", clamped("n", 1, 128), "n 0"),
    Defect("az-max-tokens", "the cap is left aside", ignoring("max_tokens"), "max_tokens 1 has 1 tokens"),
    Defect("az-max-tokens", "the newer cap is left aside", ignoring("max_completion_tokens"),
           "max_completion_tokens 1 has 1 tokens"),
    Defect("az-stop", "more than four are cut", taking("stop", few), "stop"),
    Defect("az-stop", "texts in a list are refused",
           refusing(asked(lambda fields: isinstance(fields.get("stop"), list))),
           "gets 200"),
    Defect("az-format", "any form is text",
           taking("response_format", lambda value: value if value.get("type") != "yaml" else {"type": "text"}), "yaml"),
    Defect("az-format", "schemas are refused",
           refusing(asked(lambda fields: (fields.get("response_format") or {}).get("type") == "json_schema")),
           "gets 200"),
    Defect("az-tools", "tools are left aside", reading(no_tools), "tool_calls is there"),
    Defect("az-tools", "calls have no id", body("choices.*.message.tool_calls.*.id", constant("")), "has an id"),
    Defect("az-tools", "any word chooses", first_word("tool_choice"), "perhaps"),
    Defect("az-tool-turns", "calls need no answers", reading(in_order), "400", "observed"),
    Defect("az-tool-turns", "tools have no turn",
           refusing(asked(lambda fields: any(item.get("role") == "tool" for item in fields.get("messages", ())))),
           "gets 200", "observed"),
    Defect("az-user", "a number is a user", taking("user", text_of), "user 5"),
    # answers and streams
    Defect("az-response", "the fingerprint is left out", body("system_fingerprint", gone, WHOLE), "system_fingerprint"),
    Defect("az-response", "the refusal is left out", body("choices.*.message.refusal", gone, WHOLE), "refusal"),
    Defect("az-response", "an answer is a text completion", body("object", constant("text_completion"), WHOLE),
           "object"),
    Defect("az-usage", "usage has no details", body("usage.completion_tokens_details", gone, WHOLE),
           "completion_tokens_details"),
    Defect("az-usage", "a prompt has always as many tokens", body("usage", lambda usage: {
        **usage, "prompt_tokens": 9, "total_tokens": 9 + usage["completion_tokens"]}, WHOLE), "grows with"),
    Defect("az-filter", "choices tell no results", body("choices.*.content_filter_results", gone, WHOLE),
           "content_filter_results"),
    Defect("az-filter", "a severity is a number",
           body("choices.*.content_filter_results.hate.severity", constant(0), WHOLE), "severity"),
    Defect("az-filter-prompt", "prompts tell no results", body("prompt_filter_results", gone, WHOLE),
           "prompt_filter_results"),
    Defect("az-filter-prompt", "no jailbreak is told", body(
        "prompt_filter_results.*.content_filter_results.jailbreak", gone, WHOLE), "jailbreak"),
    Defect("az-stream", "a stream just ends", events(lambda items: items[:-1]), "[DONE]"),
    Defect("az-stream", "each chunk repeats what was said", events(lambda items: [items[0], *cumulative(items[1:])]),
           "has only the text that is new"),
    Defect("az-chunk", "chunks have no deltas", chunk("choices.*.delta", gone), "delta"),
    Defect("az-chunk", "chunks have no reason", chunk("choices.*.finish_reason", gone), "finish_reason"),
    # the others
    Defect("az-embeddings", "only the first is embedded",
           body("data", lambda items: items[:1], at("/openai/v1/embeddings")),
           "data"),
    Defect("az-embeddings", "any form is float",
           taking("encoding_format", lambda value: value if value == "base64" else "float"), "hex"),
    Defect("az-models", "models belong to nobody", body("data.*.owned_by", gone, at("/openai/v1/models")), "owned_by"),
    Defect("az-models", "models are a bare list", as_raw(b"[]", "application/json", at("/openai/v1/models")), "JSON"),
    Defect("az-request-id", "no answer has an id", lacking("apim-request-id"), "apim-request-id"),
    Defect("az-request-id", "errors have no id", lacking("apim-request-id", faulty), "apim-request-id"),
    Defect("az-request-id", "the id is always the same", setting("apim-request-id", constant("1")), "apim-request-id"),
    Defect("az-rate-headers", "no tokens are told", lacking("x-ratelimit-remaining-tokens"),
           "x-ratelimit-remaining-tokens", "observed"),
    Defect("az-region", "no region is told", lacking("x-ms-region"), "x-ms-region", "observed"),
    Defect("az-context", "windows have no end", taking("model", lambda name: "o3" if "35" in str(name) else name),
           "400", "observed"),
    # errors
    Defect("az-err-body", "an error is a text", body("error", lambda error: error["message"], faulty), "error"),
    Defect("az-err-body", "an error has no message", body("error.message", gone, faulty), "message"),
    Defect("az-unknown-path", "an unknown path gets 400", as_status(400, status(404)), "404", "observed"),
)  # fmt: skip

ASKED = at("/chat/completions")


def prefers(name: str, change: Json) -> Spoil:
    """Read a preference as something else."""
    return taking("provider", lambda given: {**given, name: change(given[name])} if name in given else given)


def known(*names: str) -> Json:
    """Leave other fields aside."""
    return lambda given: {name: value for name, value in given.items() if name in names}


def thinks(name: str, change: Json) -> Spoil:
    return taking("reasoning", lambda given: {**given, name: change(given[name])} if name in given else given)


OPENROUTER = (
    # addresses and keys
    Defect("or-chat", "chats answer under another path", refusing(ASKED, 404), "gets 200"),
    Defect("or-auth", "a key need not be told", lambda request, serve: serve(
        replace(request, headers={"authorization": "Bearer sk-key", **request.headers})), "no Authorization gets 401"),
    Defect("or-auth", "no key is a bad request", as_status(400, status(401)), "401"),
    Defect("or-models", "the answer leaves the vendor out", body("model", lambda name: name.partition("/")[2],
                                                                ASKED), "by its name", "observed"),
    Defect("or-models", "a number names a model", taking("model", text_of), "model 4", "observed"),
    Defect("or-fallback", "one name needs no list",
           taking("models", lambda value: [value] if isinstance(value, str) else value), "models"),
    Defect("or-fallback", "fallbacks are refused", refusing(asked(lambda fields: fields.get("models"))), "gets 200"),
    # requests
    Defect("or-messages", "a developer says nothing", refusing(asked(
        lambda fields: any(item["role"] == "developer" for item in fields.get("messages", ()) if "role" in item))),
        "gets 200"),
    Defect("or-messages", "any role is the user's", taking_messages(known_roles), "narrator"),
    Defect("or-messages", "messages may be left out", filling(messages=[{"role": "user", "content": "Hi"}]),
           "messages"),
    Defect("or-sampling", "a temperature is clamped", clamped("temperature", 0, 2), "temperature 2.1"),
    Defect("or-sampling", "top_p may be 0", clamped("top_p", 0.1, 1), "top_p 0"),
    Defect("or-sampling", "top_k may be anything", ignoring("top_k"), "top_k -1"),
    Defect("or-sampling", "min_p is clamped", clamped("min_p", 0, 1), "min_p 1.1"),
    Defect("or-sampling", "repetition_penalty ends at 1",
           refusing(asked(lambda fields: fields.get("repetition_penalty") == 2)), "gets 200"),
    Defect("or-max-tokens", "the cap is left aside", ignoring("max_tokens"), "max_tokens 1 has 1 tokens"),
    Defect("or-max-tokens", "the newer cap is left aside", ignoring("max_completion_tokens"),
           "max_completion_tokens 7 has 7 tokens"),
    Defect("or-stop", "more than four are cut", taking("stop", few), "stop"),
    Defect("or-format", "any form is text",
           taking("response_format", lambda value: value if value.get("type") != "yaml" else {"type": "text"}), "yaml"),
    Defect("or-tools", "tools are left aside", reading(no_tools), "tool_calls is there"),
    Defect("or-tools", "arguments are an object", body(
        "choices.*.message.tool_calls.*.function.arguments", constant({}), ASKED), "arguments"),
    Defect("or-tools", "a function may have no name", taking("tools", lambda tools: [
        edited(tool, ["function"], lambda item: {"name": "a", **item}) for tool in tools]
        if isinstance(tools, list) else tools), "tools"),
    Defect("or-user", "a number is a user", taking("user", text_of), "user 5"),
    Defect("or-user", "metadata may have numbers", ignoring("metadata"), "metadata"),
    Defect("or-provider", "unknown preferences are left aside",
           taking("provider",
           known("order", "allow_fallbacks", "sort", "max_price", "data_collection", "quantizations")),
           "orders"),
    Defect("or-provider", "one slug needs no list",
           prefers("order", lambda value: [value] if isinstance(value, str) else value), "order"),
    Defect("or-provider", "any levels will do", prefers("quantizations", constant([])), "quantizations"),
    Defect("or-provider", "preferences are refused", refusing(asked(lambda fields: fields.get("provider"))),
           "gets 200"),
    Defect("or-reasoning", "any effort will do", thinks("effort", constant("high")), "effort"),
    Defect("or-reasoning", "reasoning is refused", refusing(asked(lambda fields: fields.get("reasoning"))), "gets 200"),
    Defect("or-reasoning", "thoughts do not come back",
           on(lambda request: b"reasoning_details" in request.body, refusing(good)), "gets 200"),
    Defect("or-reasoning-one", "effort counts more than a number",
           taking("reasoning", lambda given: {"effort": given["effort"]} if "effort" in given else given), "reasoning"),
    # answers and streams
    Defect("or-response", "no fingerprint is told", body("system_fingerprint", gone, ASKED),
           "system_fingerprint"),
    Defect("or-response", "an answer is a text completion", body("object", constant("text_completion"), ASKED),
           "object"),
    Defect("or-response", "ids are OpenAI's", body("id", constant("chatcmpl-1"), ASKED), "id", "observed"),
    Defect("or-finish", "the reason is end_turn", body("choices.*.finish_reason", constant("end_turn"), ASKED),
           "finish_reason"),
    Defect("or-finish", "the model's own reason is left out",
           body("choices.*.native_finish_reason", gone, ASKED), "native_finish_reason"),
    Defect("or-provider-told", "no provider is told", body("provider", gone, ASKED), "provider", "observed"),
    Defect("or-provider-told", "chunks tell no provider", chunk("provider", gone), "provider", "observed"),
    Defect("or-usage", "usage has no details", body("usage.prompt_tokens_details", gone, ASKED),
           "prompt_tokens_details"),
    Defect("or-usage", "a prompt has always as many tokens", body("usage", lambda usage: {
        **usage, "prompt_tokens": 9, "total_tokens": 9 + usage["completion_tokens"]}, ASKED), "grows with"),
    Defect("or-cost", "no cost is told", body("usage.cost", gone, ASKED), "cost"),
    Defect("or-cost", "a cost is a text", body("usage.cost", str, ASKED), "cost"),
    Defect("or-stream", "a stream just ends", events(lambda items: items[:-1]), "[DONE]"),
    Defect("or-stream", "a stream is JSON", answering(
        lambda reply: replace(reply, headers={"Content-Type": "application/json"}), streamed), "content type"),
    Defect("or-chunk", "chunks have no deltas", chunk("choices.*.delta", gone), "delta"),
    Defect("or-chunk", "chunks do not name the model", chunk("model", gone), "model"),
    # the others
    Defect("or-models-list", "prices are left out", body("data.*.pricing", gone, at("/models")), "pricing"),
    Defect("or-models-list", "models are a bare list", as_raw(b"[]", "application/json", at("/models")), "JSON"),
    Defect("or-key", "the key has no data", body("data", gone, at("/key")), "data"),
    Defect("or-key", "no limit is told", body("data.limit_remaining", gone, at("/key")), "limit_remaining"),
    Defect("or-credits", "credits are texts", body("data.total_credits", str, at("/credits")), "total_credits"),
    # errors
    Defect("or-err-body", "a code is a text", body("error.code", str, faulty), "code"),
    Defect("or-err-body", "errors are texts", body("error", lambda error: error["message"], faulty), "error"),
    Defect("or-err-400", "what is wrong is 422", as_status(422, status(400)), "400"),
    Defect("or-err-400", "a code is not the status", body("error.code", constant(0), status(400)), "code"),
    Defect("or-unknown-path", "an unknown path gets no error", as_raw(b"{}", "application/json", status(404)), "error",
           "observed"),
)  # fmt: skip
